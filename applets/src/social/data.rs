//! What the applet keeps beside its files: how it was set up, and its keys.
//!
//! Each directory has a table of references, one for each purpose and key number;
//! each leads to the up to three versions of that key. So a key is found in as
//! many reads, however many there are.
//!
//! Behind that table lies one reference more: to the account, where the directory has
//! one (`account.rs`).
//!
//! | install parameter | length | what                                           |
//! |-------------------|--------|------------------------------------------------|
//! | 80                | 1      | version of the specification, 1 to 3           |
//! | 81                | 1      | switches                                       |
//! | 82                | 2      | least and greatest length of a PIN in bytes    |
//! | 86                | 1      | algorithm, 01 triple DES, 03 SM4               |
//!
//! Source: social security card specification, part 4, 5 to 7; install parameters
//! and memory layout are this card's.

use super::command::{NewKey, Purpose};
use bitflags::bitflags;
use cardlab::apdu::Sw;
use cardlab::applet::{Ctx, Nv, Plan};
use cardlab::crypto::{Algorithm, Key};
use cardlab::files::Directory;
use cardlab::memory::{Object, Ref};
use zeroize::Zeroize;

bitflags! {
    /// What an issuer can choose.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Switches: u8 {
        /// The PIN opens no file before its holder has changed it.
        const FIRST_CHANGE_ON_CARD = 0x01;
        /// UPDATE RECORD of record 1 of a cyclic EF adds a record.
        const CYCLIC_UPDATE_APPENDS = 0x02;
        /// SELECT takes whole names only.
        const WHOLE_NAMES_ONLY = 0x04;
    }
}

/// How the applet was set up.
#[derive(Debug)]
pub(super) struct Setup {
    switches: Nv<u8>,
    pin_len_min: Nv<u8>,
    pin_len_max: Nv<u8>,
    algorithm: Nv<u8>,
}

const TAG_80_VERSION: u8 = 0x80;
const TAG_81_SWITCHES: u8 = 0x81;
const TAG_82_PIN_LEN: u8 = 0x82;
const TAG_86_ALGORITHM: u8 = 0x86;

impl Setup {
    pub(super) fn attach(plan: &mut Plan) -> Setup {
        Setup {
            switches: plan.nv(),
            pin_len_min: plan.nv(),
            pin_len_max: plan.nv(),
            algorithm: plan.nv(),
        }
    }

    /// Takes the install parameters; those that are absent stand for no switch,
    /// PINs of 2 to 8 bytes and triple DES.
    ///
    /// # Errors
    /// '6A80' where a parameter is unknown, comes in a wrong length or makes no sense.
    pub(super) fn install(&self, ctx: &mut Ctx<'_>, parameters: &[u8]) -> Result<(), Sw> {
        ctx.set(&self.pin_len_min, 2);
        ctx.set(&self.pin_len_max, 8);
        ctx.set(&self.algorithm, Algorithm::Des.id());
        let mut rest = parameters;
        while let [tag, len, ref tail @ ..] = *rest {
            let (value, tail) = tail
                .split_at_checked(usize::from(len))
                .ok_or(Sw::WRONG_DATA)?;
            match (tag, value) {
                (TAG_80_VERSION, [1..=3]) => {}
                (TAG_81_SWITCHES, &[switches]) if Switches::from_bits(switches).is_some() => {
                    ctx.set(&self.switches, switches);
                }
                (TAG_82_PIN_LEN, &[min, max]) if 2 <= min && min <= max && max <= 8 => {
                    ctx.set(&self.pin_len_min, min);
                    ctx.set(&self.pin_len_max, max);
                }
                (TAG_86_ALGORITHM, &[id]) if Algorithm::from_id(id).is_some() => {
                    ctx.set(&self.algorithm, id);
                }
                _ => return Err(Sw::WRONG_DATA),
            }
            rest = tail;
        }
        if rest.is_empty() {
            Ok(())
        } else {
            Err(Sw::WRONG_DATA)
        }
    }

    /// Whether a switch is on.
    pub(super) fn is_on(&self, ctx: &Ctx<'_>, switch: Switches) -> bool {
        Switches::from_bits_retain(ctx.get(&self.switches)).contains(switch)
    }

    /// Bytes in a block of the card's algorithm.
    pub(super) fn block_len(&self, ctx: &Ctx<'_>) -> usize {
        Algorithm::from_id(ctx.get(&self.algorithm)).map_or(8, Algorithm::block_len)
    }

    /// Whether a PIN of this length in bytes may be chosen.
    pub(super) fn allows_pin_len(&self, ctx: &Ctx<'_>, len: usize) -> bool {
        let (min, max) = (ctx.get(&self.pin_len_min), ctx.get(&self.pin_len_max));
        (usize::from(min)..=usize::from(max)).contains(&len)
    }
}

/// Key numbers of one purpose in a directory, 0 to 15.
const NUMBERS: u32 = 16;
/// The reference to the account, behind those to keys.
const AT_ACCOUNT: u32 = 4 * NUMBERS * Purpose::COUNT;
/// A table of references.
const TABLE_LEN: u32 = AT_ACCOUNT + 4;
/// KID, then one entry for each version.
const VERSIONS_LEN: u32 = 1 + VERSIONS as u32 * ENTRY_LEN;
/// Versions of a key, from 1.
const VERSIONS: u8 = 3;
/// Algorithm, length, limit, tries left, 16 bytes.
const ENTRY_LEN: u32 = 20;
const AT_TRIES: u32 = 3;

/// A key as a command finds it.
#[derive(Debug)]
pub(super) struct KeyEntry {
    object: Object,
    at: u32,
    limit: u8,
    tries: u8,
    key: Key,
}

impl KeyEntry {
    /// Finds a key of a directory.
    ///
    /// # Errors
    /// '6A88' where there is none.
    #[inline]
    pub(super) fn find(
        ctx: &Ctx<'_>,
        directory: &Directory,
        purpose: Purpose,
        kid: u8,
        version: u8,
    ) -> Result<KeyEntry, Sw> {
        KeyEntry::look_up(ctx, directory, purpose, kid, version).ok_or(Sw::REFERENCE_DATA_NOT_FOUND)
    }

    fn look_up(
        ctx: &Ctx<'_>,
        directory: &Directory,
        purpose: Purpose,
        kid: u8,
        version: u8,
    ) -> Option<KeyEntry> {
        let table = directory.attached(ctx)?;
        let object = at_slot(ctx, table, slot(purpose, kid))?;
        let at = at_version(version)?;
        let mut entry: [u8; ENTRY_LEN as usize] = ctx.read_array(object, at);
        let [algorithm, len, limit, tries, bytes @ ..] = &entry;
        let bytes = bytes.get(..usize::from(*len))?;
        let key = Algorithm::from_id(*algorithm).and_then(|algorithm| Key::new(algorithm, bytes));
        let found = KeyEntry {
            object,
            at,
            limit: *limit,
            tries: *tries,
            key: key?,
        };
        entry.zeroize();
        (ctx.read_array(object, 0) == [kid]).then_some(found)
    }

    /// The key of the lowest version that there is, and that version.
    pub(super) fn first(
        ctx: &Ctx<'_>,
        directory: &Directory,
        purpose: Purpose,
        kid: u8,
    ) -> Option<(u8, KeyEntry)> {
        (1..=VERSIONS).find_map(|version| {
            let entry = KeyEntry::look_up(ctx, directory, purpose, kid, version)?;
            Some((version, entry))
        })
    }

    /// The identifier of the only key of a purpose, of the first one by its number
    /// where there are more.
    pub(super) fn kid_for(ctx: &Ctx<'_>, directory: &Directory, purpose: Purpose) -> Option<u8> {
        let table = directory.attached(ctx)?;
        (0..NUMBERS).find_map(|number| {
            let object = at_slot(ctx, table, slot_of(purpose, number))?;
            let [kid] = ctx.read_array(object, 0);
            Some(kid)
        })
    }

    /// The key.
    pub(super) const fn key(&self) -> &Key {
        &self.key
    }

    /// Whether its tries are used up.
    pub(super) const fn is_locked(&self) -> bool {
        self.limit > 0 && self.tries == 0
    }

    /// Takes a try away, at once and for good, before anything is compared; a key
    /// with any number of tries has none to lose. How many are left, at most 15.
    pub(super) fn spend_try(&self, ctx: &mut Ctx<'_>) -> u8 {
        if self.limit == 0 {
            return 15;
        }
        let left = self.tries.saturating_sub(1);
        ctx.latch_bytes(self.object, self.at + AT_TRIES, &[left]);
        left
    }

    /// Gives all tries back.
    pub(super) fn restore_tries(&self, ctx: &mut Ctx<'_>) {
        if self.limit > 0 {
            ctx.latch_bytes(self.object, self.at + AT_TRIES, &[self.limit]);
        }
    }

    /// Loads a key into a directory, in place of one with the same identifier and
    /// version.
    ///
    /// # Errors
    /// '6A80' where the algorithm is unknown or takes no key of that length, where the
    /// key number belongs to another KID, or where the right that its number stands for
    /// is another key's, '6A84'.
    pub(super) fn write(
        ctx: &mut Ctx<'_>,
        directory: &Directory,
        new: &NewKey<'_>,
    ) -> Result<(), Sw> {
        let algorithm = Algorithm::from_id(new.algorithm).ok_or(Sw::WRONG_DATA)?;
        let at = at_version(new.version).ok_or(Sw::WRONG_DATA)?;
        Key::new(algorithm, new.bytes).ok_or(Sw::WRONG_DATA)?;
        let table = table(ctx, directory)?;
        let rival = match new.purpose {
            Purpose::ExternalAuthentication => Some(Purpose::StartingDay),
            Purpose::StartingDay => Some(Purpose::ExternalAuthentication),
            _ => None,
        };
        if rival.is_some_and(|rival| at_slot(ctx, table, slot(rival, new.kid)).is_some()) {
            return Err(Sw::WRONG_DATA);
        }
        let slot = slot(new.purpose, new.kid);
        let object = match at_slot(ctx, table, slot) {
            Some(object) if ctx.read_array(object, 0) != [new.kid] => return Err(Sw::WRONG_DATA),
            Some(object) => object,
            None => {
                let object = ctx.allocate(VERSIONS_LEN)?;
                ctx.write(object, 0, &[new.kid]);
                ctx.write(table, slot, &object.reference().number().to_be_bytes());
                object
            }
        };
        let mut entry = [0; ENTRY_LEN as usize];
        let len = u8::try_from(new.bytes.len()).map_err(|_| Sw::WRONG_DATA)?;
        entry[..4].copy_from_slice(&[new.algorithm, len, new.tries, new.tries]);
        entry[4..4 + new.bytes.len()].copy_from_slice(new.bytes);
        ctx.write(object, at, &entry);
        entry.zeroize();
        Ok(())
    }
}

/// Where in the table of a directory the reference to a key lies.
const fn slot(purpose: Purpose, kid: u8) -> u32 {
    slot_of(purpose, (kid & 0x0F) as u32)
}

const fn slot_of(purpose: Purpose, number: u32) -> u32 {
    4 * (NUMBERS * purpose as u32 + number)
}

/// The table of a directory, made where there is none.
///
/// # Errors
/// '6A84'.
fn table(ctx: &mut Ctx<'_>, directory: &Directory) -> Result<Object, Sw> {
    if let Some(table) = directory.attached(ctx) {
        return Ok(table);
    }
    let table = ctx.allocate(TABLE_LEN)?;
    directory.attach(ctx, table);
    Ok(table)
}

/// The account of a directory, where it has one.
pub(super) fn account(ctx: &Ctx<'_>, directory: &Directory) -> Option<Object> {
    at_slot(ctx, directory.attached(ctx)?, AT_ACCOUNT)
}

/// The account of a directory, made with `len` bytes where there is none.
///
/// # Errors
/// '6A84'.
pub(super) fn account_of(ctx: &mut Ctx<'_>, directory: &Directory, len: u32) -> Result<Object, Sw> {
    let table = table(ctx, directory)?;
    if let Some(object) = at_slot(ctx, table, AT_ACCOUNT) {
        return Ok(object);
    }
    let object = ctx.allocate(len)?;
    ctx.write(
        table,
        AT_ACCOUNT,
        &object.reference().number().to_be_bytes(),
    );
    Ok(object)
}

fn at_slot(ctx: &Ctx<'_>, table: Object, slot: u32) -> Option<Object> {
    let reference = Ref::from_number(u32::from_be_bytes(ctx.read_array(table, slot)));
    (reference != Ref::NONE).then(|| ctx.object(reference))
}

fn at_version(version: u8) -> Option<u32> {
    let index = version.checked_sub(1).filter(|&index| index < VERSIONS)?;
    Some(1 + ENTRY_LEN * u32::from(index))
}
