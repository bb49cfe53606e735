//! The keys of the PSAM: which, and how many levels they have still to go down.
//!
//! | usage byte   | what                                                           |
//! |--------------|----------------------------------------------------------------|
//! | bits 8 to 6  | levels: 3 in a national PSAM, 2 in a provincial, 1 in a city's |
//! | bits 5 to 1  | type: 2 purchase, 6 MAC, 7 encipher, 8 both                    |
//!
//! Each key has a level of its own: one that is written later may be of another level
//! than those that the PSAM was given out with. Identifiers say whose key it is, and so
//! who may write it ([`owner`]).
//!
//! Which keys there are, and their identifiers, is in the card's profile (`psam`), once.
//! A table that prints the usage 26 for a maintenance key and one that prints 48 mean the
//! same key: the type asked for may be less than the key can, never more, and the digits
//! above it say only who gave the PSAM out. Keys of loads and of TACs are the host's and
//! not here.
//!
//! The tables give a key no version: a PSAM has one of each authentication key, which
//! 001A names, and of the purchase key of the index that 001A names all, by their version.
//!
//! Source: social security card specification, part 9, 6.2, 7.1 and annex B.

use crate::hsm::{TestRoot, cipher};
use crate::profile::{Key as Described, Profile, Purpose};
use cardlab::crypto::derive::{self, Region};
use cardlab::crypto::{Algorithm, Cipher, Key};

/// Bytes of a key in the memory: usage, identifier, version, cipher, 16 of its own.
pub(super) const KEY_LEN: u32 = 20;

/// Bits of the usage that are the type.
const TYPE: u8 = 0x1F;
const TYPE_PURCHASE: u8 = 2;
const TYPE_MAC: u8 = 6;
const TYPE_ENCIPHER: u8 = 7;
const TYPE_BOTH: u8 = 8;
/// Of the keys that prove who may write keys; never delivered, never written.
const TYPE_ADMINISTRATION: u8 = 31;

/// The names of the keys 00 to 03 that prove who may write keys: the PSAM's master key,
/// and those of nation, province and city. Each PSAM has the same ones.
pub const ADMINISTRATION: [&str; 4] = ["MKPSAM", "UK1PSAM", "UK2PSAM", "UK3PSAM"];

/// Who gave the PSAM out, and so which keys are in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Level {
    /// National roots: three levels to go, usages 6X.
    #[default]
    National,
    /// The keys of the profile's province: two levels, usages 4X.
    Province,
    /// The keys of the profile's city: one level, usages 2X.
    City,
}

impl Level {
    /// All of them.
    pub const ALL: [Level; 3] = [Level::National, Level::Province, Level::City];

    /// How many levels a key has still to go down, 1 to 3: so many factors are sent.
    #[must_use]
    pub const fn levels(self) -> u8 {
        match self {
            Level::National => 3,
            Level::Province => 2,
            Level::City => 1,
        }
    }

    /// The key of a national root that a PSAM of this level holds.
    fn down(self, root: Key, region: Region) -> Key {
        let province = |key: &Key| derive::diversify(&key.expand(), &region.province_factor());
        let city = |key: &Key| derive::diversify(&key.expand(), &region.city_factor());
        match self {
            Level::National => root,
            Level::Province => province(&root),
            Level::City => city(&province(&root)),
        }
    }
}

/// What a session key may be used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Uses {
    pub(super) encipher: bool,
    pub(super) mac: bool,
}

/// The levels that a usage asks for.
pub(super) const fn levels_of(usage: u8) -> u8 {
    usage >> 5
}

/// What a usage asks for; `None` where it is not for sessions.
pub(super) const fn uses_of(usage: u8) -> Option<Uses> {
    let (encipher, mac) = match usage & TYPE {
        TYPE_MAC => (false, true),
        TYPE_ENCIPHER => (true, false),
        TYPE_BOTH => (true, true),
        _ => return None,
    };
    Some(Uses { encipher, mac })
}

/// Whose key an identifier names, by the KID of who may write it: 01 the nation, 02 the
/// province, 03 the city; `None` for none's.
///
/// The tables give purchase keys, 01 to 03, no owner; here they are the nation's.
///
/// Source: social security card specification, part 9, annex B.
pub(super) const fn owner(id: u8) -> Option<u8> {
    match id {
        0x01..=0x03 | 0x08..=0x0F | 0x20..=0x3F => Some(1),
        0x10..=0x17 | 0x40..=0x7F => Some(2),
        0x18..=0x1F | 0x80..=0xBF => Some(3),
        _ => None,
    }
}

/// A key as it is kept.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct SamKey {
    usage: u8,
    pub(super) id: u8,
    pub(super) version: u8,
    pub(super) key: Key,
}

impl SamKey {
    /// A key to be written: data are version, algorithm, and the key. Of purchase keys the
    /// version is the identifier.
    ///
    /// `None` where the usage is not one that is written, or the key has not the length of
    /// its algorithm, or the algorithm is not that of the environment.
    pub(super) fn parse(usage: u8, id: u8, data: &[u8], environment: Algorithm) -> Option<SamKey> {
        let (&[version, code], key) = data.split_first_chunk()?;
        let algorithm = match code {
            0x00 | 0x01 => Algorithm::Des,
            0x03 => Algorithm::Sm4,
            _ => return None,
        };
        let key = Key::new(algorithm, key)?;
        let purchase = usage & TYPE == TYPE_PURCHASE && version == id;
        let fits = algorithm == environment && self::code(key.cipher()) == code;
        let written = purchase || uses_of(usage).is_some();
        (fits && written && levels_of(usage) <= 3).then_some(SamKey {
            usage,
            id,
            version,
            key,
        })
    }

    /// Its usage and identifier.
    pub(super) const fn place(&self) -> (u8, u8) {
        (self.usage, self.id)
    }

    /// Whether it lies at the place of a key of this usage and identifier: one purchase key,
    /// and one other, to an identifier.
    pub(super) const fn is_at(&self, usage: u8, id: u8) -> bool {
        let kinds = (self.usage & TYPE, usage & TYPE);
        let other = matches!(kinds, (TYPE_PURCHASE | TYPE_ADMINISTRATION, _));
        let same = kinds.0 == kinds.1 || !other && kinds.1 != TYPE_PURCHASE;
        self.id == id && same
    }

    /// Whether it proves who may write keys, under this identifier.
    pub(super) const fn is_administration(&self, kid: u8) -> bool {
        self.usage & TYPE == TYPE_ADMINISTRATION && self.id == kid
    }

    /// The levels that it has still to go down.
    pub(super) const fn levels(&self) -> u8 {
        levels_of(self.usage)
    }

    /// Whether it is the key of this identifier, and can what is asked of it.
    pub(super) fn serves(&self, id: u8, asked: Uses) -> bool {
        let can = uses_of(self.usage)
            .is_some_and(|can| (can.encipher || !asked.encipher) && (can.mac || !asked.mac));
        self.id == id && can
    }

    /// Whether it is the purchase key of this version.
    pub(super) const fn is_for_purchases(&self, version: u8) -> bool {
        self.usage & TYPE == TYPE_PURCHASE && self.version == version
    }

    pub(super) fn to_bytes(&self) -> [u8; KEY_LEN as usize] {
        let mut bytes = [0; KEY_LEN as usize];
        let head = [self.usage, self.id, self.version, code(self.key.cipher())];
        let all = head.iter().chain(self.key.expose());
        bytes.iter_mut().zip(all).for_each(|(to, from)| *to = *from);
        bytes
    }

    /// `None` for a place where no key is.
    pub(super) fn from_bytes(bytes: [u8; KEY_LEN as usize]) -> Option<SamKey> {
        let (&[usage, id, version, code], key) = bytes.split_first_chunk()?;
        let key = match code {
            0x00 => Key::new(Algorithm::Des, key),
            0x01 => Key::new(Algorithm::Des, key.get(..8)?),
            0x03 => Key::new(Algorithm::Sm4, key),
            _ => None,
        }?;
        (usage != 0).then_some(SamKey {
            usage,
            id,
            version,
            key,
        })
    }
}

/// The PSAM's name of a cipher: 00 triple DES, 01 DES, 03 SM4 in the place of SSF33's 02.
///
/// Source: social security card specification, part 9, 6.2.
pub(super) const fn code(cipher: Cipher) -> u8 {
    match cipher {
        Cipher::TripleDes => 0x00,
        Cipher::Des => 0x01,
        Cipher::Sm4 | Cipher::Aes128 => 0x03,
    }
}

/// The keys of one environment of a PSAM.
pub(super) fn table(
    profile: &Profile,
    algorithm: Algorithm,
    root: TestRoot,
    level: Level,
    (index, version): (u8, u8),
) -> Option<Vec<SamKey>> {
    let region = Region::from_bcd(profile.region)?;
    let administration = cipher(algorithm, Purpose::ExternalAuthentication);
    let mut keys: Vec<SamKey> = ADMINISTRATION
        .iter()
        .zip(0..)
        .map(|(name, id)| SamKey {
            usage: TYPE_ADMINISTRATION,
            id,
            version: 1,
            key: root.key(name, 1, administration),
        })
        .collect();
    for described in profile.directories.iter().flat_map(|d| &d.keys) {
        let Some((kind, id)) = kind(described) else {
            continue;
        };
        let versions = match described.purpose {
            Purpose::Purchase if described.kid == index => 1..=described.versions,
            Purpose::Purchase => continue,
            _ => {
                let version = version.min(described.versions);
                version..=version
            }
        };
        for version in versions {
            let cipher = cipher(algorithm, described.purpose);
            let key = level.down(root.key(&described.name, version, cipher), region);
            keys.push(SamKey {
                usage: level.levels() << 5 | kind,
                id: if kind == TYPE_PURCHASE { version } else { id },
                version,
                key,
            });
        }
    }
    Some(keys)
}

/// The type and the identifier of a key, if a PSAM has it.
fn kind(key: &Described) -> Option<(u8, u8)> {
    let psam = key.psam?;
    let kind = match key.purpose {
        // PIN CHANGE/UNBLOCK needs both of it.
        Purpose::Maintenance => TYPE_BOTH,
        Purpose::Purchase => TYPE_PURCHASE,
        Purpose::ExternalAuthentication
        | Purpose::InternalAuthentication
        | Purpose::StartingDay => psam.usage.map_or(TYPE_ENCIPHER, |usage| usage & TYPE),
        Purpose::Load | Purpose::Tac => return None,
    };
    Some((kind, psam.id))
}
