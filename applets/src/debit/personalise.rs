//! Personalisation: data groupings come in by STORE DATA and become data elements.
//!
//! A grouping is its number, two bytes; its length, one byte or 'FF' and two; and its
//! data. Groupings follow one another over the blocks of a series, each block an update
//! of its own; nothing of it shows before the last one, which checks that all is there.
//! A series that is broken off begins anew with block 0.
//!
//! | grouping     | what                                                          |
//! |--------------|---------------------------------------------------------------|
//! | 01XX to 0AXX, 0FXX to 1EXX | record XX of the file, the template '70' in the first ten |
//! | 0DXX, 0EXX   | internal data elements, one after the other                   |
//! | 8000, 9000   | keys for cryptograms, MACs, enciphering; their check values   |
//! | 8030, 9030   | the same for SM4                                              |
//! | 8100         | SM2: the private key, 32 bytes                                |
//! | 8201 to 8205 | RSA: q⁻¹, d mod q−1, d mod p−1, q, p, each with '80' and '00' behind |
//! | 8301 to 8305 | the same of a key for PINs alone                              |
//! | 8010, 9010   | PIN block; tries left, tries in all                           |
//! | 9102, 9103   | FCI: the template 'A5', for contacts and without              |
//! | 9104, 9203, 9206, 9207 | processing options: account, e-cash, two without contacts |
//! | 9114, 9213, 9217 | the same with SM2: account, e-cash, without contacts      |
//! | 9200         | issuer application data, '9F10', as a template                |
//!
//! The checks: the state '6985', the block's number '6A86', then each grouping: '6A88'
//! for one that is not in the table, '6A80' for data that are none of it or do not
//! match their check value; with the last block '6A80' where one was cut short, '6985'
//! where something is missing.
//!
//! The last block asks for FCI, options of the account, keys with their check values,
//! issuer application data, CDOL1 and CDOL2; for a PIN with its tries, or neither; for the
//! records that the locators name; for the RSA key and the DDOL where options offer what
//! needs them, or the SM2 key where those with SM2 do; beside 9114 for 8030 and 9030,
//! beside 9213 for 9114 and 9203.
//!
//! The groupings with SM2 are experimental: one public tool numbers them so, and what
//! 9114, 9213 and 9217 hold is inferred from the groupings that they take the place of.
//!
//! Before the card is SECURED the data may come in the clear, as at a card maker's, or
//! in a session with the issuer domain of any level; from then on they ask for one with
//! at least a MAC, '6982'. What a block announces as enciphered is, grouping by grouping,
//! under that session's key for data.
//!
//! Source: EMV Card Personalization Specification 1.1, 3 and annex A; the groupings of
//! the public personalisation tools for PBOC cards.

use super::Debit;
use super::command::Block;
use super::data::{self, Elements, Switches, name};
use super::state::{Life, Path};
use cardlab::apdu::{Command, Sw};
use cardlab::applet::{CardLifeCycle, Ctx, Outcome, Plan, Reply, Transient};
use cardlab::crypto::Key;
use cardlab::secure::scp02::Level;
use cardlab::tag;
use cardlab::tlv::{self, Dol, Objects, Tag};
use zeroize::Zeroize;

/// Bytes of a grouping that can wait for the block with the rest of it.
const WAITING_LEN: usize = 768;

/// Files with internal data elements in place of records.
const INTERNAL_FILES: core::ops::RangeInclusive<u8> = 0x0D..=0x0E;
/// Files with logs.
const LOG_FILES: core::ops::RangeInclusive<u8> = 0x0B..=0x0C;
/// Files whose records are templates '70'.
const TEMPLATE_FILES: core::ops::RangeInclusive<u8> = 0x01..=0x0A;

/// Groupings of the set with SM2, and what each asks for.
const COMPANIONS: [(u16, &[u16]); 2] = [
    (
        name::DGI_9114_SM_OPTIONS,
        &[name::DGI_8030_SM4_KEYS, name::DGI_9030_SM4_CHECKS],
    ),
    (
        name::DGI_9213_SM_CASH_OPTIONS,
        &[name::DGI_9203_CASH_OPTIONS, name::DGI_9114_SM_OPTIONS],
    ),
];

/// Whether a file can be a log.
pub(super) fn is_log_file(sfi: u8) -> bool {
    LOG_FILES.contains(&sfi)
}

/// A series of blocks, as far as it has come.
#[derive(Debug)]
pub(crate) struct Series {
    /// The number of the next block.
    next: Transient<u16>,
    /// Bytes that wait, and how many.
    len: Transient<u16>,
    waiting: Transient<[u8; WAITING_LEN]>,
}

impl Series {
    pub(crate) fn attach(plan: &mut Plan) -> Series {
        Series {
            next: plan.transient_on_deselect(),
            len: plan.transient_on_deselect(),
            // Without a length these are nothing.
            waiting: plan.transient_on_reset(),
        }
    }

    /// Takes a block, gives each grouping that it completes to `take`, and with the last
    /// block lets `finish` end the series.
    ///
    /// # Errors
    /// '6A86', those of `take`, '6A80', those of `finish`. The series stays as it was.
    pub(crate) fn take(
        &self,
        ctx: &mut Ctx<'_>,
        block: &Block,
        data: &[u8],
        mut take: impl FnMut(&mut Ctx<'_>, u16, &[u8]) -> Result<(), Sw>,
        finish: impl FnOnce(&mut Ctx<'_>) -> Result<(), Sw>,
    ) -> Outcome {
        if ctx.get(&self.next) != u16::from(block.number) {
            return Err(Sw::WRONG_P1_P2);
        }
        let mut bytes = [0; WAITING_LEN];
        bytes.copy_from_slice(&ctx.get(&self.waiting));
        let before = usize::from(ctx.get(&self.len));
        let len = before + data.len();
        let room = bytes.get_mut(before..len).ok_or(Sw::WRONG_DATA)?;
        room.copy_from_slice(data);
        let mut rest = bytes.get(..len).unwrap_or_default();
        while let Some((number, data, behind)) = grouping(rest) {
            if block.enciphered {
                let mut plain = data.to_vec();
                ctx.decrypt_key_data(&mut plain)?;
                let taken = take(ctx, number, &plain);
                plain.zeroize();
                taken?;
            } else {
                take(ctx, number, data)?;
            }
            rest = behind;
        }
        match (block.last, rest) {
            (true, []) => finish(ctx)?,
            (true, _) => return Err(Sw::WRONG_DATA),
            (false, _) => {}
        }
        let mut waiting = [0; WAITING_LEN];
        waiting[..rest.len()].copy_from_slice(rest);
        ctx.set(&self.waiting, waiting);
        ctx.set(&self.len, u16::try_from(rest.len()).unwrap_or(u16::MAX));
        ctx.set(&self.next, u16::from(block.number) + 1);
        bytes.zeroize();
        Ok(Reply::OK)
    }
}

/// The first grouping: number, data, and what is behind; `None` where it is cut short.
fn grouping(bytes: &[u8]) -> Option<(u16, &[u8], &[u8])> {
    let (&number, rest) = bytes.split_first_chunk()?;
    let (len, rest) = match *rest {
        [0xFF, high, low, ref rest @ ..] => (u16::from_be_bytes([high, low]), rest),
        [0xFF, ..] | [] => return None,
        [len, ref rest @ ..] => (u16::from(len), rest),
    };
    let (data, behind) = rest.split_at_checked(usize::from(len))?;
    Some((u16::from_be_bytes(number), data, behind))
}

/// Whether a command opens a session with the issuer domain.
pub(crate) fn opens_session(command: &Command<'_>) -> bool {
    matches!(
        (command.class.base(), command.ins),
        (0x80, 0x50) | (0x84, 0x82)
    )
}

/// The data of a block, as far as security lets it pass.
///
/// # Errors
/// '6982'.
pub(crate) fn admit(
    ctx: &mut Ctx<'_>,
    command: &Command<'_>,
    block: &Block,
) -> Result<Vec<u8>, Sw> {
    let is_secured = ctx.card_life_cycle() >= CardLifeCycle::Secured;
    let is_wrapped = command.class.base() != 0x80;
    match ctx.security_level() {
        Some(level) if !is_secured || level.contains(Level::C_MAC) => ctx.unwrap_command(command),
        None if !is_secured && !is_wrapped && !block.enciphered => Ok(command.data.to_vec()),
        _ => Err(Sw::SECURITY_NOT_SATISFIED),
    }
}

/// Puts the template 'A5' of an FCI away.
///
/// # Errors
/// '6A80' where it is another, '6A84'.
pub(crate) fn store_fci(
    ctx: &mut Ctx<'_>,
    elements: &Elements,
    number: u16,
    fci: &[u8],
) -> Result<(), Sw> {
    let only = || {
        let mut objects = Objects::new(fci);
        let first = objects.next()?.ok()?;
        (first.tag == tag!(0xA5) && objects.next().is_none()).then_some(first)
    };
    let template = only().ok_or(Sw::WRONG_DATA)?;
    if template.objects().any(|object| object.is_err()) {
        return Err(Sw::WRONG_DATA);
    }
    elements.put(ctx, number, fci)
}

/// Puts a record away.
///
/// # Errors
/// '6A88' for a file or number that holds none, '6A80' where it is not the template
/// '70' and has to be, '6A84'.
pub(crate) fn store_record(
    ctx: &mut Ctx<'_>,
    elements: &Elements,
    number: u16,
    record: &[u8],
) -> Result<(), Sw> {
    let [file, index] = number.to_be_bytes();
    if !(0x01..=0x1E).contains(&file) || index == 0 || LOG_FILES.contains(&file) {
        return Err(Sw::REFERENCE_DATA_NOT_FOUND);
    }
    if TEMPLATE_FILES.contains(&file) && template(record).is_none() {
        return Err(Sw::WRONG_DATA);
    }
    if record.is_empty() || record.len() > 255 {
        return Err(Sw::WRONG_DATA);
    }
    elements.put(ctx, number, record)
}

/// What a record's template '70' holds; `None` where it is none, or not all of it.
fn template(record: &[u8]) -> Option<Objects<'_>> {
    let mut objects = Objects::new(record);
    let first = objects.next()?.ok()?;
    let whole = first.tag == tag!(0x70) && objects.next().is_none();
    let inner = first.objects();
    (whole && inner.clone().all(|object| object.is_ok())).then_some(inner)
}

impl Debit {
    /// STORE DATA.
    ///
    /// # Errors
    /// As at the head of this file.
    pub(super) fn store_data(
        &self,
        ctx: &mut Ctx<'_>,
        command: &Command<'_>,
        block: &Block,
    ) -> Outcome {
        if self.ledger.life(ctx) != Life::Installed {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        let data = admit(ctx, command, block)?;
        self.series.take(
            ctx,
            block,
            &data,
            |ctx, number, data| self.store(ctx, number, data),
            |ctx| self.finish(ctx),
        )
    }

    fn store(&self, ctx: &mut Ctx<'_>, number: u16, data: &[u8]) -> Result<(), Sw> {
        let [file, _] = number.to_be_bytes();
        match number {
            name::DGI_9102_FCI => {
                store_fci(ctx, &self.elements, number, data)?;
                self.adopt_fci(ctx, data)
            }
            name::DGI_9103_FCI_CONTACTLESS => store_fci(ctx, &self.elements, number, data),
            name::DGI_9104_OPTIONS
            | name::DGI_9203_CASH_OPTIONS
            | name::DGI_9114_SM_OPTIONS
            | name::DGI_9213_SM_CASH_OPTIONS => {
                let of = |tag| tlv::find(data, &[tag]).ok().flatten().map(<[u8]>::len);
                let (aip, afl) = (of(tag!(0x82)), of(tag!(0x94)));
                let right = aip == Some(2) && afl.is_some_and(|len| len > 0 && len % 4 == 0);
                if !right || data.len() > 255 {
                    return Err(Sw::WRONG_DATA);
                }
                self.elements.put(ctx, number, data)
            }
            name::DGI_9206_OPTIONS_MSD
            | name::DGI_9207_OPTIONS_QPBOC
            | name::DGI_9217_SM_OPTIONS_QPBOC => {
                all_objects(data)?;
                self.elements.put(ctx, number, data)
            }
            name::DGI_9200_DISCRETIONARY => self.store_issuer_data(ctx, data),
            name::DGI_8000_KEYS
            | name::DGI_9000_CHECKS
            | name::DGI_8030_SM4_KEYS
            | name::DGI_9030_SM4_CHECKS => self.store_keys(ctx, number, data),
            name::DGI_8100_SM2 => self.store_sm2(ctx, data),
            name::DGI_8201_RSA..=0x8205 | name::DGI_8301_PIN_RSA..=0x8305 => {
                let value = unpadded(data).ok_or(Sw::WRONG_DATA)?;
                self.elements.put(ctx, number, value)
            }
            name::DGI_8010_PIN => {
                let mut block: [u8; 8] = data.try_into().map_err(|_| Sw::WRONG_DATA)?;
                // The nibble before the length says where a block is for, not what it holds.
                block[0] = 0x20 | (block[0] & 0x0F);
                let replaced = self.pin.replace(ctx, &block);
                block.zeroize();
                if replaced {
                    Ok(())
                } else {
                    Err(Sw::WRONG_DATA)
                }
            }
            name::DGI_9010_PIN_TRIES => match *data {
                [left, limit] if (1..=15).contains(&limit) && left <= limit => {
                    self.elements.put(ctx, number, data)
                }
                _ => Err(Sw::WRONG_DATA),
            },
            _ if INTERNAL_FILES.contains(&file) => self.store_elements(ctx, data),
            _ => self.store_record(ctx, number, data),
        }
    }

    /// Puts a record away, and beside it what the card itself works with in it: the
    /// lists for cryptograms and for the card's proof.
    ///
    /// # Errors
    /// As [`store_record`], '6A80' where such a list is none.
    pub(super) fn store_record(
        &self,
        ctx: &mut Ctx<'_>,
        number: u16,
        record: &[u8],
    ) -> Result<(), Sw> {
        store_record(ctx, &self.elements, number, record)?;
        for object in template(record).into_iter().flatten() {
            let object = object.map_err(|_| Sw::WRONG_DATA)?;
            let tag = u16::try_from(object.tag.value()).unwrap_or(0);
            if matches!(
                tag,
                name::TAG_8C_CDOL1 | name::TAG_8D_CDOL2 | name::TAG_9F49_DDOL
            ) {
                self.store_list(ctx, tag, object.value)?;
            }
        }
        Ok(())
    }

    fn store_list(&self, ctx: &mut Ctx<'_>, tag: u16, list: &[u8]) -> Result<(), Sw> {
        let len = Dol::parse(list).map_err(|_| Sw::WRONG_DATA)?.filled_len();
        if len > 255 || list.len() > 255 {
            return Err(Sw::WRONG_DATA);
        }
        self.elements.put(ctx, tag, list)
    }

    /// Keeps what the card itself works with in its FCI: the PDOL and where the logs are.
    fn adopt_fci(&self, ctx: &mut Ctx<'_>, fci: &[u8]) -> Result<(), Sw> {
        let of = |path: &[Tag]| tlv::find(fci, path).map_err(|_| Sw::WRONG_DATA);
        if let Some(list) = of(&[tag!(0xA5), tag!(0x9F38)])? {
            self.store_list(ctx, name::TAG_9F38_PDOL, list)?;
        }
        for (tag, entry) in [
            (tag!(0x9F4D), name::TAG_9F4D_LOG),
            (tag!(0xDF4D), name::TAG_DF4D_LOAD_LOG),
        ] {
            if let Some(place) = of(&[tag!(0xA5), tag!(0xBF0C), tag])? {
                let [sfi, _] = place else {
                    return Err(Sw::WRONG_DATA);
                };
                if !is_log_file(*sfi) {
                    return Err(Sw::WRONG_DATA);
                }
                self.elements.put(ctx, entry, place)?;
            }
        }
        Ok(())
    }

    fn store_elements(&self, ctx: &mut Ctx<'_>, data: &[u8]) -> Result<(), Sw> {
        for object in Objects::new(data) {
            let object = object.map_err(|_| Sw::WRONG_DATA)?;
            let tag = u16::try_from(object.tag.value()).map_err(|_| Sw::WRONG_DATA)?;
            let is_list = matches!(
                tag,
                name::TAG_9F4F_LOG_FORMAT | name::TAG_DF4F_LOAD_LOG_FORMAT
            );
            if is_list {
                self.store_list(ctx, tag, object.value)?;
            } else if data::is_element(tag, object.value) && object.value.len() <= 252 {
                self.elements.put(ctx, tag, object.value)?;
            } else {
                return Err(Sw::WRONG_DATA);
            }
        }
        Ok(())
    }

    /// Issuer application data, with or without the tag '9F10' before it.
    fn store_issuer_data(&self, ctx: &mut Ctx<'_>, data: &[u8]) -> Result<(), Sw> {
        let value = tlv::find(data, &[tag!(0x9F10)]).ok().flatten();
        let value = value.unwrap_or(data);
        let right = match *value {
            [0x07, _, 0x01, 0x03, _, _, _, _] => true,
            [
                0x07,
                _,
                0x01,
                0x03,
                _,
                _,
                _,
                _,
                len @ (0x0A | 0x0F),
                ref rest @ ..,
            ] => rest.len() == usize::from(len),
            _ => false,
        };
        if right {
            self.elements.put(ctx, name::DGI_9200_DISCRETIONARY, value)
        } else {
            Err(Sw::WRONG_DATA)
        }
    }

    /// Keys and their check values, whichever comes first.
    fn store_keys(&self, ctx: &mut Ctx<'_>, number: u16, data: &[u8]) -> Result<(), Sw> {
        let is_keys = matches!(number, name::DGI_8000_KEYS | name::DGI_8030_SM4_KEYS);
        if data.len() != if is_keys { 48 } else { 9 } {
            return Err(Sw::WRONG_DATA);
        }
        self.elements.put(ctx, number, data)?;
        let (keys, checks) = match number {
            name::DGI_8000_KEYS | name::DGI_9000_CHECKS => {
                (name::DGI_8000_KEYS, name::DGI_9000_CHECKS)
            }
            _ => (name::DGI_8030_SM4_KEYS, name::DGI_9030_SM4_CHECKS),
        };
        let (Some(mut bytes), Some(expected)) = (
            self.elements.array::<48>(ctx, keys),
            self.elements.array::<9>(ctx, checks),
        ) else {
            return Ok(());
        };
        let pairs = bytes
            .as_chunks::<16>()
            .0
            .iter()
            .zip(expected.as_chunks::<3>().0);
        let right = pairs.fold(true, |right, (bytes, expected)| {
            let key = if keys == name::DGI_8000_KEYS {
                Key::triple_des(*bytes)
            } else {
                Key::sm4(*bytes)
            };
            right & (key.kcv() == *expected)
        });
        bytes.zeroize();
        if right { Ok(()) } else { Err(Sw::WRONG_DATA) }
    }

    /// Ends personalisation.
    fn finish(&self, ctx: &mut Ctx<'_>) -> Result<(), Sw> {
        let needed = [
            name::DGI_9102_FCI,
            name::DGI_9104_OPTIONS,
            name::DGI_8000_KEYS,
            name::DGI_9000_CHECKS,
            name::DGI_9200_DISCRETIONARY,
            name::TAG_8C_CDOL1,
            name::TAG_8D_CDOL2,
        ];
        let has = |number: &u16| self.elements.has(ctx, *number);
        // A PIN and its tries come both or not at all.
        let pin_is_whole = has(&name::DGI_9010_PIN_TRIES) == self.pin.is_set(ctx);
        let sm_is_whole = COMPANIONS
            .iter()
            .all(|(number, others)| !has(number) || others.iter().all(has));
        let is_whole = needed.iter().all(has) && pin_is_whole && sm_is_whole;
        if !is_whole || !self.has_what_it_offers(ctx) {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        self.payments.create(ctx, &self.elements)?;
        self.loads.create(ctx, &self.elements)?;
        let inactive = self.setup.is_on(ctx, Switches::STARTS_INACTIVE);
        let life = if inactive {
            Life::Inactive
        } else {
            Life::Active
        };
        self.ledger.set_life(ctx, life);
        if let Some([left, limit]) = self.elements.array(ctx, name::DGI_9010_PIN_TRIES) {
            self.pin.set_limit(ctx, limit);
            if left == 0 {
                self.ledger.last_try.set(ctx);
            }
            // A wrong PIN takes a try.
            for _ in left..limit {
                self.pin.check(ctx, &[]);
            }
        }
        Ok(())
    }

    /// Whether the records that the locators name are there, and the keys and lists for
    /// the data authentication that the profiles offer.
    fn has_what_it_offers(&self, ctx: &Ctx<'_>) -> bool {
        [Path::Account, Path::Cash]
            .into_iter()
            .flat_map(|path| [(path.options(), false), (path.sm_options(), true)])
            .filter_map(|(number, by_sm2)| Some((self.elements.value(ctx, number)?, by_sm2)))
            .all(|(options, by_sm2)| {
                let of = |tag| tlv::find(&options, &[tag]).ok().flatten();
                let (aip, afl) = (of(tag!(0x82)), of(tag!(0x94)).unwrap_or_default());
                let offers = |bits: u8| aip.is_some_and(|aip| aip[0] & bits != 0);
                let records = afl.as_chunks::<4>().0.iter().all(|[sfi, first, last, _]| {
                    (*first..=*last).all(|number| {
                        self.elements
                            .has(ctx, u16::from_be_bytes([sfi >> 3, number]))
                    })
                });
                let dynamic = offers(0x20);
                let signs = dynamic || offers(0x01);
                let has_key = || match by_sm2 {
                    false => self.rsa(ctx, name::DGI_8201_RSA).is_ok(),
                    true => self.elements.has(ctx, name::DGI_8100_SM2),
                };
                records
                    && (!signs || has_key())
                    && (!dynamic || self.elements.has(ctx, name::TAG_9F49_DDOL))
            })
    }
}

/// # Errors
/// '6A80' where the bytes are not data objects.
fn all_objects(bytes: &[u8]) -> Result<(), Sw> {
    if Objects::new(bytes).all(|object| object.is_ok()) {
        Ok(())
    } else {
        Err(Sw::WRONG_DATA)
    }
}

/// What stands before '80' and any number of '00' at the end.
fn unpadded(bytes: &[u8]) -> Option<&[u8]> {
    let at = bytes.iter().rposition(|byte| *byte != 0)?;
    let (value, padding) = bytes.split_at_checked(at)?;
    (padding.first() == Some(&0x80) && !value.is_empty()).then_some(value)
}
