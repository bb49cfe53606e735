//! What the applet keeps: how it was set up, and its data elements.
//!
//! A data element has a name of two bytes: its tag, or, for what comes whole (records,
//! templates, keys), the number of the data grouping it came in. Each lies in an object
//! of its own; a table, sorted by name, leads to it.
//!
//! | install parameter | length | what                     |
//! |-------------------|--------|--------------------------|
//! | 81                | 2      | switches, [`Switches`]   |
//!
//! Parameters that begin with 'FF' are those of card makers' tools; they say nothing
//! of this card, and it is set up as without any.
//!
//! Source: JR/T 0025.5, data elements, by public material; EMV 4.3 Book 3, annex A and
//! B; install parameters and memory layout are this card's.

use bitflags::bitflags;
use cardlab::apdu::Sw;
use cardlab::applet::{Ctx, Nv, Outcome, Plan, Reply};
use cardlab::memory::{Object, Ref};
use cardlab::tlv::{Dol, Tag};
use core::ops::{Deref, DerefMut};

bitflags! {
    /// What is open in the public sources, or the issuer's choice. None is on unless
    /// the install parameters say so.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Switches: u16 {
        /// Personalised, the application answers as a blocked one until the bank
        /// activates it, with APPLICATION UNBLOCK (requirement R06).
        const STARTS_INACTIVE = 0x0001;
        /// A card that was never on line takes no e-cash path. One published test asks
        /// for it, the applet read for this card does not do it.
        const NEW_CARD_TAKES_NO_CASH = 0x0002;
        /// A transaction on line that was not completed sends an e-cash transaction on
        /// line. One published test asks for it, the applet read does not do it.
        const PENDING_SENDS_CASH_ONLINE = 0x0004;
        /// PDOL values of a wrong length are '6A80' and not '6700'.
        const PDOL_LENGTH_IS_DATA = 0x0008;
        /// A balance in the second currency above its limit is '6A80' as in the first,
        /// and not '6985'.
        const SECOND_BALANCE_IS_DATA = 0x0010;
        /// The transaction counter counts at the first GENERATE AC and not at GET
        /// PROCESSING OPTIONS.
        const COUNTS_AT_FIRST_AC = 0x0020;
        /// Experimental: what the terminal told for a signature by SM2 is sent back before
        /// the signature, and not only signed. Two public tools differ in it; a published
        /// message of a combined authentication is as without.
        const SM2_NUMBER_WITHIN = 0x0040;
        /// The MAC of ten bytes of discretionary data has no block of padding behind them.
        /// With their ATC and filler they are whole blocks, and sources differ.
        const LONG_MAC_UNPADDED = 0x0080;
    }
}

const TAG_81_SWITCHES: u8 = 0x81;

/// Names of data elements that the applet works with.
pub(super) mod name {
    pub(in crate::debit) const TAG_8A_RESPONSE_CODE: u16 = 0x008A;
    pub(in crate::debit) const TAG_8C_CDOL1: u16 = 0x008C;
    pub(in crate::debit) const TAG_8D_CDOL2: u16 = 0x008D;
    pub(in crate::debit) const TAG_95_TVR: u16 = 0x0095;
    pub(in crate::debit) const TAG_9A_DATE: u16 = 0x009A;
    pub(in crate::debit) const TAG_9B_TSI: u16 = 0x009B;
    pub(in crate::debit) const TAG_9C_TYPE: u16 = 0x009C;
    pub(in crate::debit) const TAG_5F2A_CURRENCY: u16 = 0x5F2A;
    pub(in crate::debit) const TAG_9F02_AMOUNT: u16 = 0x9F02;
    pub(in crate::debit) const TAG_9F03_OTHER_AMOUNT: u16 = 0x9F03;
    pub(in crate::debit) const TAG_9F13_LAST_ONLINE_ATC: u16 = 0x9F13;
    pub(in crate::debit) const TAG_9F17_PIN_TRIES: u16 = 0x9F17;
    pub(in crate::debit) const TAG_9F1A_COUNTRY: u16 = 0x9F1A;
    pub(in crate::debit) const TAG_9F36_ATC: u16 = 0x9F36;
    pub(in crate::debit) const TAG_9F37_UNPREDICTABLE: u16 = 0x9F37;
    pub(in crate::debit) const TAG_9F38_PDOL: u16 = 0x9F38;
    pub(in crate::debit) const TAG_9F49_DDOL: u16 = 0x9F49;
    pub(in crate::debit) const TAG_9F4D_LOG: u16 = 0x9F4D;
    pub(in crate::debit) const TAG_9F4F_LOG_FORMAT: u16 = 0x9F4F;
    pub(in crate::debit) const TAG_9F51_OWN_CURRENCY: u16 = 0x9F51;
    pub(in crate::debit) const TAG_9F52_DEFAULT_ACTION: u16 = 0x9F52;
    pub(in crate::debit) const TAG_9F53_FOREIGN_CURRENCY_LIMIT: u16 = 0x9F53;
    pub(in crate::debit) const TAG_9F54_SUM_LIMIT: u16 = 0x9F54;
    pub(in crate::debit) const TAG_9F56_ISSUER_AUTHENTICATION: u16 = 0x9F56;
    pub(in crate::debit) const TAG_9F57_OWN_COUNTRY: u16 = 0x9F57;
    pub(in crate::debit) const TAG_9F58_LOWER_LIMIT: u16 = 0x9F58;
    pub(in crate::debit) const TAG_9F59_UPPER_LIMIT: u16 = 0x9F59;
    pub(in crate::debit) const TAG_9F5C_SUM_UPPER_LIMIT: u16 = 0x9F5C;
    pub(in crate::debit) const TAG_9F5D_AVAILABLE: u16 = 0x9F5D;
    pub(in crate::debit) const TAG_9F6B_CVM_LIMIT: u16 = 0x9F6B;
    pub(in crate::debit) const TAG_9F6D_RESET_THRESHOLD: u16 = 0x9F6D;
    pub(in crate::debit) const TAG_9F72_FOREIGN_COUNTRY_LIMIT: u16 = 0x9F72;
    pub(in crate::debit) const TAG_9F73_CONVERSION: u16 = 0x9F73;
    pub(in crate::debit) const TAG_9F75_DUAL_LIMIT: u16 = 0x9F75;
    pub(in crate::debit) const TAG_9F76_SECOND_CURRENCY: u16 = 0x9F76;
    pub(in crate::debit) const TAG_9F77_BALANCE_LIMIT: u16 = 0x9F77;
    pub(in crate::debit) const TAG_9F78_SINGLE_LIMIT: u16 = 0x9F78;
    pub(in crate::debit) const TAG_9F79_BALANCE: u16 = 0x9F79;
    pub(in crate::debit) const TAG_9F7A_CASH_INDICATOR: u16 = 0x9F7A;
    pub(in crate::debit) const TAG_DF4D_LOAD_LOG: u16 = 0xDF4D;
    pub(in crate::debit) const TAG_DF4F_LOAD_LOG_FORMAT: u16 = 0xDF4F;
    pub(in crate::debit) const TAG_DF69_SM: u16 = 0xDF69;
    pub(in crate::debit) const TAG_DF71_SECOND_CASH_CURRENCY: u16 = 0xDF71;
    pub(in crate::debit) const TAG_DF72_SECOND_CVM_LIMIT: u16 = 0xDF72;
    pub(in crate::debit) const TAG_DF76_SECOND_RESET_THRESHOLD: u16 = 0xDF76;
    pub(in crate::debit) const TAG_DF77_SECOND_BALANCE_LIMIT: u16 = 0xDF77;
    pub(in crate::debit) const TAG_DF78_SECOND_SINGLE_LIMIT: u16 = 0xDF78;
    pub(in crate::debit) const TAG_DF79_SECOND_BALANCE: u16 = 0xDF79;
    /// Keys for cryptograms, MACs and enciphering, 16 bytes each.
    pub(in crate::debit) const DGI_8000_KEYS: u16 = 0x8000;
    /// The check values of these.
    pub(in crate::debit) const DGI_9000_CHECKS: u16 = 0x9000;
    /// The same for SM4.
    pub(in crate::debit) const DGI_8030_SM4_KEYS: u16 = 0x8030;
    pub(in crate::debit) const DGI_9030_SM4_CHECKS: u16 = 0x9030;
    /// The SM2 key that proves the card, and the digest of its owner's identity.
    pub(in crate::debit) const DGI_8100_SM2: u16 = 0x8100;
    /// The RSA key that does; five numbers from here on.
    pub(in crate::debit) const DGI_8201_RSA: u16 = 0x8201;
    /// The RSA key for PINs, where it is another.
    pub(in crate::debit) const DGI_8301_PIN_RSA: u16 = 0x8301;
    pub(in crate::debit) const DGI_8010_PIN: u16 = 0x8010;
    pub(in crate::debit) const DGI_9010_PIN_TRIES: u16 = 0x9010;
    pub(in crate::debit) const DGI_9102_FCI: u16 = 0x9102;
    pub(in crate::debit) const DGI_9103_FCI_CONTACTLESS: u16 = 0x9103;
    pub(in crate::debit) const DGI_9104_OPTIONS: u16 = 0x9104;
    /// The same of the set with SM2, and in it for e-cash and without contacts.
    pub(in crate::debit) const DGI_9114_SM_OPTIONS: u16 = 0x9114;
    pub(in crate::debit) const DGI_9213_SM_CASH_OPTIONS: u16 = 0x9213;
    pub(in crate::debit) const DGI_9217_SM_OPTIONS_QPBOC: u16 = 0x9217;
    pub(in crate::debit) const DGI_9200_DISCRETIONARY: u16 = 0x9200;
    pub(in crate::debit) const DGI_9203_CASH_OPTIONS: u16 = 0x9203;
    pub(in crate::debit) const DGI_9206_OPTIONS_MSD: u16 = 0x9206;
    pub(in crate::debit) const DGI_9207_OPTIONS_QPBOC: u16 = 0x9207;
}

/// What may be done with an internal data element by its tag.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Access {
    /// GET DATA.
    Read,
    /// GET DATA and PUT DATA.
    Write,
    /// Neither.
    None,
}

/// The internal data elements: tag, length in bytes (0 for any), access.
///
/// Source: JR/T 0025.5 and 0025.13, data elements, by public material.
const ELEMENTS: &[(u16, usize, Access)] = {
    use Access::{None, Read, Write};
    &[
        (name::TAG_9F4F_LOG_FORMAT, 0, Read),
        (name::TAG_DF4F_LOAD_LOG_FORMAT, 0, Read),
        (name::TAG_9F51_OWN_CURRENCY, 2, Read),
        (name::TAG_9F52_DEFAULT_ACTION, 2, Read),
        (name::TAG_9F53_FOREIGN_CURRENCY_LIMIT, 1, Write),
        (name::TAG_9F54_SUM_LIMIT, 6, Write),
        (name::TAG_9F56_ISSUER_AUTHENTICATION, 1, Read),
        (name::TAG_9F57_OWN_COUNTRY, 2, Read),
        (name::TAG_9F58_LOWER_LIMIT, 1, Write),
        (name::TAG_9F59_UPPER_LIMIT, 1, Write),
        (name::TAG_9F5C_SUM_UPPER_LIMIT, 6, Write),
        // Card product identifier.
        (0x9F63, 16, None),
        // Card additional processes.
        (0x9F68, 4, Read),
        (name::TAG_9F6B_CVM_LIMIT, 6, Write),
        // Card transaction qualifiers.
        (0x9F6C, 2, None),
        (name::TAG_9F6D_RESET_THRESHOLD, 6, Write),
        (name::TAG_9F72_FOREIGN_COUNTRY_LIMIT, 1, Write),
        (name::TAG_9F73_CONVERSION, 4, Write),
        (name::TAG_9F75_DUAL_LIMIT, 6, Write),
        (name::TAG_9F76_SECOND_CURRENCY, 2, Read),
        (name::TAG_9F77_BALANCE_LIMIT, 6, Write),
        (name::TAG_9F78_SINGLE_LIMIT, 6, Write),
        (name::TAG_9F79_BALANCE, 6, Write),
        // Card production life cycle data.
        (0x9F7F, 0, Read),
        // Of segmented fees: indicator, identifier, limit, deducted so far.
        (0xDF60, 1, None),
        (0xDF61, 1, Write),
        (0xDF62, 6, Write),
        (0xDF63, 6, Read),
        (name::TAG_DF71_SECOND_CASH_CURRENCY, 2, Read),
        (name::TAG_DF72_SECOND_CVM_LIMIT, 6, Write),
        (name::TAG_DF76_SECOND_RESET_THRESHOLD, 6, Write),
        (name::TAG_DF77_SECOND_BALANCE_LIMIT, 6, Write),
        (name::TAG_DF78_SECOND_SINGLE_LIMIT, 6, Write),
        (name::TAG_DF79_SECOND_BALANCE, 6, Write),
    ]
};

fn element(tag: u16) -> Option<(usize, Access)> {
    let found = ELEMENTS.iter().find(|(known, ..)| *known == tag)?;
    Some((found.1, found.2))
}

/// Whether GET DATA gives the element of this tag as it lies there.
pub(super) fn is_readable(tag: u16) -> bool {
    element(tag).is_some_and(|(_, access)| access != Access::None)
}

/// Whether PUT DATA takes an element of this tag with this value: amounts and factors
/// are decimal.
pub(super) fn takes(tag: u16, value: &[u8]) -> bool {
    element(tag).is_some_and(|(_, access)| access == Access::Write) && is_element(tag, value)
}

/// Whether an element of this tag may have this value.
pub(super) fn is_element(tag: u16, value: &[u8]) -> bool {
    let (len, _) = element(tag).unwrap_or((0, Access::None));
    let is_decimal = |byte: &u8| byte >> 4 < 10 && byte & 0x0F < 10;
    let right = match len {
        6 | 4 if tag != 0x9F68 => value.iter().all(is_decimal),
        _ => true,
    };
    right && (len == 0 || len == value.len())
}

/// How long the value in a PUT DATA of this tag is: what the tag asks for; whatever
/// stands before the MAC where the tag is none that can be put.
pub(super) fn put_len(tag: u16, data: &[u8]) -> Option<usize> {
    match element(tag) {
        Some((len @ 1.., Access::Write)) => Some(len),
        _ => data.len().checked_sub(4),
    }
}

/// An amount of 12 decimal digits, in the least unit of its currency.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Amount(u64);

impl Amount {
    pub(super) const ZERO: Amount = Amount(0);
    /// All digits 9.
    pub(super) const MAX: Amount = Amount(999_999_999_999);

    /// So many, at most [`MAX`](Amount::MAX).
    pub(super) fn new(count: u128) -> Amount {
        u64::try_from(count).map_or(Amount::MAX, |count| Amount(count).min(Amount::MAX))
    }

    pub(super) const fn count(self) -> u64 {
        self.0
    }

    /// Of packed digits; `None` where one is none, or there are more than 12.
    pub(super) fn from_bcd(bytes: &[u8]) -> Option<Amount> {
        if bytes.len() > 6 {
            return None;
        }
        bytes.iter().try_fold(Amount::ZERO, |sum, byte| {
            let (high, low) = (u64::from(byte >> 4), u64::from(byte & 0x0F));
            (high < 10 && low < 10).then_some(Amount(sum.0 * 100 + high * 10 + low))
        })
    }

    /// Its 12 digits, packed.
    pub(super) fn to_bcd(self) -> [u8; 6] {
        let mut bytes = [0; 6];
        let mut rest = self.0;
        for byte in bytes.iter_mut().rev() {
            let pair = u8::try_from(rest % 100).unwrap_or(0);
            *byte = ((pair / 10) << 4) | (pair % 10);
            rest /= 100;
        }
        bytes
    }

    /// The sum, at most [`MAX`](Amount::MAX).
    pub(super) fn saturating_add(self, more: Amount) -> Amount {
        Amount(self.0.saturating_add(more.0)).min(Amount::MAX)
    }

    /// What is left, or nothing.
    pub(super) const fn saturating_sub(self, less: Amount) -> Amount {
        Amount(self.0.saturating_sub(less.0))
    }

    /// What is left; `None` where it is not enough.
    pub(super) fn checked_sub(self, less: Amount) -> Option<Amount> {
        self.0.checked_sub(less.0).map(Amount)
    }
}

/// A value of up to 255 bytes, out of memory.
#[derive(Clone)]
pub(super) struct Value {
    bytes: [u8; 255],
    len: usize,
}

impl Value {
    pub(super) const EMPTY: Value = Value {
        bytes: [0; 255],
        len: 0,
    };
}

impl Deref for Value {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}

impl DerefMut for Value {
    fn deref_mut(&mut self) -> &mut [u8] {
        self.bytes.get_mut(..self.len).unwrap_or_default()
    }
}

/// The value that a list, filled with `data`, has for a tag.
pub(super) fn in_list<'d>(list: &[u8], data: &'d [u8], tag: u16) -> Option<&'d [u8]> {
    let list = Dol::parse(list).ok()?;
    let mut values = list.split(data)?;
    let wanted = Tag::new(u32::from(tag))?;
    values.find_map(|(tag, value)| (tag == wanted).then_some(value))
}

/// Elements that a card can have.
const COUNT_MAX: u32 = 120;
/// Name, length, reference.
const ENTRY_LEN: u32 = 8;

/// The data elements of one application.
#[derive(Debug)]
pub(crate) struct Elements {
    table: Nv<Ref>,
    count: Nv<u8>,
}

impl Elements {
    pub(crate) fn attach(plan: &mut Plan) -> Elements {
        Elements {
            table: plan.nv(),
            count: plan.nv(),
        }
    }

    /// Makes room for the table.
    ///
    /// # Errors
    /// '6A84'.
    pub(crate) fn install(&self, ctx: &mut Ctx<'_>) -> Result<(), Sw> {
        let table = ctx.allocate(COUNT_MAX * ENTRY_LEN)?;
        ctx.set(&self.table, table.reference());
        Ok(())
    }

    fn table(&self, ctx: &Ctx<'_>) -> Object {
        ctx.object(ctx.get(&self.table))
    }

    /// The index of the entry with this name, or where it would stand.
    fn search(&self, ctx: &Ctx<'_>, table: Object, name: u16) -> Result<u32, u32> {
        let (mut low, mut high) = (0, u32::from(ctx.get(&self.count)));
        while low < high {
            let middle = (low + high) / 2;
            match u16::from_be_bytes(ctx.read_array(table, middle * ENTRY_LEN)).cmp(&name) {
                core::cmp::Ordering::Less => low = middle + 1,
                core::cmp::Ordering::Equal => return Ok(middle),
                core::cmp::Ordering::Greater => high = middle,
            }
        }
        Err(low)
    }

    /// The object of an element, and how much of it is the value.
    pub(crate) fn find(&self, ctx: &Ctx<'_>, name: u16) -> Option<(Object, u32)> {
        let table = self.table(ctx);
        let at = self.search(ctx, table, name).ok()? * ENTRY_LEN;
        let [_, _, high, low, reference @ ..] = ctx.read_array::<8>(table, at);
        let object = ctx.object(Ref::from_number(u32::from_be_bytes(reference)));
        Some((object, u32::from(u16::from_be_bytes([high, low]))))
    }

    pub(crate) fn has(&self, ctx: &Ctx<'_>, name: u16) -> bool {
        self.search(ctx, self.table(ctx), name).is_ok()
    }

    /// READ RECORD of a file.
    ///
    /// # Errors
    /// '6A82' where the file has no record at all, '6A83'.
    pub(crate) fn answer_record(&self, ctx: &mut Ctx<'_>, sfi: u8, number: u8) -> Outcome {
        let name = u16::from_be_bytes([sfi, number]);
        if let Some((object, len)) = self.find(ctx, name).filter(|_| number > 0) {
            ctx.answer_from(object, 0, len);
            return Ok(Reply::OK);
        }
        let table = self.table(ctx);
        let first = u16::from_be_bytes([sfi, 1]);
        let next = self.search(ctx, table, first).unwrap_or_else(|next| next);
        let is_file = next < u32::from(ctx.get(&self.count))
            && ctx.read_array::<1>(table, next * ENTRY_LEN) == [sfi];
        Err(if is_file {
            Sw::RECORD_NOT_FOUND
        } else {
            Sw::FILE_NOT_FOUND
        })
    }

    /// Makes an element of `len` bytes, all zero where it is new.
    ///
    /// # Errors
    /// '6A84'.
    pub(super) fn reserve(&self, ctx: &mut Ctx<'_>, name: u16, len: u32) -> Result<(), Sw> {
        if self
            .find(ctx, name)
            .is_some_and(|(object, _)| object.len() >= len)
        {
            return Ok(());
        }
        let object = ctx.allocate(len)?;
        let len = u16::try_from(len).map_err(|_| Sw::NOT_ENOUGH_MEMORY)?;
        self.enter(ctx, name, object, len)
    }

    /// The value of an element of up to 255 bytes.
    pub(super) fn value(&self, ctx: &Ctx<'_>, name: u16) -> Option<Value> {
        let (object, len) = self.find(ctx, name)?;
        let mut value = Value::EMPTY;
        value.len = usize::try_from(len).ok()?;
        ctx.read(object, 0, value.bytes.get_mut(..value.len)?);
        Some(value)
    }

    /// The value of an element of exactly `N` bytes.
    pub(super) fn array<const N: usize>(&self, ctx: &Ctx<'_>, name: u16) -> Option<[u8; N]> {
        let (object, len) = self.find(ctx, name)?;
        (usize::try_from(len) == Ok(N)).then(|| ctx.read_array(object, 0))
    }

    /// The amount that an element is.
    pub(super) fn amount(&self, ctx: &Ctx<'_>, name: u16) -> Option<Amount> {
        Amount::from_bcd(&self.array::<6>(ctx, name)?)
    }

    /// Gives an element a value, in place where it has room there.
    ///
    /// # Errors
    /// '6A84'.
    pub(crate) fn put(&self, ctx: &mut Ctx<'_>, name: u16, value: &[u8]) -> Result<(), Sw> {
        let len = u16::try_from(value.len()).map_err(|_| Sw::NOT_ENOUGH_MEMORY)?;
        let found = self.find(ctx, name);
        let kept = found.filter(|(object, _)| object.len() >= u32::from(len));
        let object = match kept {
            Some((object, _)) => object,
            None => ctx.allocate(u32::from(len))?,
        };
        ctx.write(object, 0, value);
        if kept.is_some_and(|(_, old)| old == u32::from(len)) {
            return Ok(());
        }
        self.enter(ctx, name, object, len)
    }

    /// Makes the table lead from a name to an object.
    fn enter(&self, ctx: &mut Ctx<'_>, name: u16, object: Object, len: u16) -> Result<(), Sw> {
        let table = self.table(ctx);
        let at = match self.search(ctx, table, name) {
            Ok(index) => index * ENTRY_LEN,
            Err(index) => self.make_room(ctx, table, index)?,
        };
        let mut entry = [0; 8];
        entry[..2].copy_from_slice(&name.to_be_bytes());
        entry[2..4].copy_from_slice(&len.to_be_bytes());
        entry[4..].copy_from_slice(&object.reference().number().to_be_bytes());
        ctx.write(table, at, &entry);
        Ok(())
    }

    /// Moves the entries from an index on up by one; where the new one stands.
    fn make_room(&self, ctx: &mut Ctx<'_>, table: Object, index: u32) -> Result<u32, Sw> {
        let count = u32::from(ctx.get(&self.count));
        if count == COUNT_MAX {
            return Err(Sw::NOT_ENOUGH_MEMORY);
        }
        for moved in (index..count).rev() {
            let entry: [u8; 8] = ctx.read_array(table, moved * ENTRY_LEN);
            ctx.write(table, (moved + 1) * ENTRY_LEN, &entry);
        }
        ctx.set(&self.count, u8::try_from(count + 1).unwrap_or(u8::MAX));
        Ok(index * ENTRY_LEN)
    }
}

/// How the applet was set up.
#[derive(Debug)]
pub(super) struct Setup {
    switches: Nv<u16>,
}

impl Setup {
    pub(super) fn attach(plan: &mut Plan) -> Setup {
        Setup {
            switches: plan.nv(),
        }
    }

    /// Takes the install parameters.
    ///
    /// # Errors
    /// '6A80' where they are not of this card or of a maker's tool.
    pub(super) fn install(&self, ctx: &mut Ctx<'_>, parameters: &[u8]) -> Result<(), Sw> {
        match *parameters {
            [] | [0xFF, ..] => Ok(()),
            [TAG_81_SWITCHES, 2, high, low] => {
                let switches = u16::from_be_bytes([high, low]);
                Switches::from_bits(switches).ok_or(Sw::WRONG_DATA)?;
                ctx.set(&self.switches, switches);
                Ok(())
            }
            _ => Err(Sw::WRONG_DATA),
        }
    }

    pub(super) fn is_on(&self, ctx: &Ctx<'_>, switch: Switches) -> bool {
        Switches::from_bits_retain(ctx.get(&self.switches)).contains(switch)
    }
}

#[cfg(test)]
mod tests {
    use super::{Amount, ELEMENTS};

    #[test]
    fn an_amount_is_its_12_digits() {
        for (digits, count) in [
            ("000000000000", 0),
            ("000000001234", 1234),
            ("999999999999", 999_999_999_999),
        ] {
            let bytes = hex::decode(digits).expect("digits");
            let amount = Amount::from_bcd(&bytes).expect("an amount");
            assert_eq!(amount, Amount(count));
            assert_eq!(hex::encode(amount.to_bcd()), digits);
        }
        assert_eq!(Amount::from_bcd(&[0x0A]), None);
        assert_eq!(Amount::from_bcd(&[0xA0]), None);
        assert_eq!(Amount::from_bcd(&[0; 7]), None);
    }

    #[test]
    fn sums_stop_at_12_digits_and_at_nothing() {
        assert_eq!(Amount::MAX.saturating_add(Amount(1)), Amount::MAX);
        assert_eq!(Amount::new(u128::MAX), Amount::MAX);
        assert_eq!(Amount(3).saturating_sub(Amount(5)), Amount::ZERO);
        assert_eq!(Amount(3).checked_sub(Amount(5)), None);
    }

    #[test]
    fn every_element_stands_once_in_the_table() {
        for (index, (tag, ..)) in ELEMENTS.iter().enumerate() {
            assert!(ELEMENTS[index + 1..].iter().all(|(other, ..)| other != tag));
        }
    }
}
