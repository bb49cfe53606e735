//! A card profile: which card to build, as data that has been checked.
//!
//! A profile is written in JSON; what stands here is what a clean one means:
//! every repetition unrolled, every rule resolved to keys, every value encoded
//! to the bytes that the card will hold.
//!
//! Source: 人社信息函〔2012〕37号 (card file structure and data items, 2.0) for the
//! layout, 社会保障（个人）卡规范 parts 3, 4 and 9 for names, keys and rights.

mod bank;
mod json;
mod load;
mod read;
mod report;
mod rule;
mod shape;

pub use cardlab::crypto::Algorithm;
pub use cardlab::crypto::sm2::Order;
pub use report::{Kind as ProblemKind, Mend, Problem, Report};
pub use rule::{KeyRef, Rule, RuleError};

use crate::bank::application::Ordered;
use crate::encode::{self, Decoded};
use cardlab::aid::Aid;
use cardlab::fen::Fen;

/// One kind of card, with the data of one holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Profile {
    /// How it is called for: `henan-2.0`.
    pub id: String,
    /// What it is, in Chinese and English.
    pub names: Names,
    /// The version of the specification whose layout it has.
    pub version: SpecVersion,
    /// The algorithm of its keys.
    pub algorithm: Algorithm,
    /// The whole answer to reset, TS to the last byte.
    pub atr: Vec<u8>,
    /// The 13 historical bytes of the ATR; the last eight diversify the card's keys.
    pub historical: [u8; 13],
    /// The region code of the issuer, GB/T 2260, as three BCD bytes.
    pub region: [u8; 3],
    /// The rules of the social PIN.
    pub pin: Pin,
    /// Whether READ and UPDATE RECORD number 1 of a cyclic file appends, as
    /// some makers have it.
    pub cyclic_append_by_number: bool,
    /// The certificate application; `None` for a card without one.
    pub certificates: Option<Certificates>,
    /// The bank side; `None` for a card without one.
    pub bank: Option<BankSide>,
    /// MF first, each directory after its parent.
    pub directories: Vec<Directory>,
    /// What the specification leaves open and this profile decides.
    pub notes: Vec<String>,
}

/// What something is called, in Chinese and in English.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Names {
    /// In Chinese, as the specification prints it.
    pub zh: String,
    /// In English.
    pub en: String,
}

/// The version of the card specification, by the first digit.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum SpecVersion {
    /// LB 002-2000.
    V1,
    /// The 2012 letter, LD/T 32-2015.
    V2,
    /// The third generation, SM4.
    V3,
}

/// The rules of the social PIN.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pin {
    /// The initial PIN as digits; `None` where the card is issued without one.
    pub initial: Option<String>,
    /// Wrong tries until it locks, 1 to 15; 0 where no PIN is ever loaded.
    pub tries: u8,
    /// The least length that VERIFY takes, in bytes.
    pub len_min_bytes: u8,
    /// The greatest length that VERIFY takes, in bytes.
    pub len_max_bytes: u8,
    /// Who sees to it that the initial PIN is changed first.
    pub first_change: FirstChange,
}

/// Who sees to it that the initial PIN is changed before the card is used.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FirstChange {
    /// The card: what the PIN opens stays closed until CHANGE PIN.
    Card,
    /// The terminal, the national rule: the card takes the initial PIN as any other.
    Terminal,
}

/// The certificate application of a card.
///
/// What no public text fixes is a member here: which commands there are, in which order
/// the parts of a cipher text stand, and who may do what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificates {
    /// The holder's PIN.
    pub user: KeyPin,
    /// The administrator's PIN.
    pub administrator: KeyPin,
    /// Whether the commands of one maker's cards are there, by which alone keys are made,
    /// taken in and used. A card without them is issued without keys and certificates.
    pub vendor_commands: bool,
    /// In which order the parts of a cipher text stand.
    pub cipher_text: Order,
    /// Who may make a key pair on the card.
    pub generate: Need,
    /// Who may bring a key pair in.
    pub import: Need,
    /// Who may sign and decrypt.
    pub use_keys: Need,
    /// Who may write the certificates.
    pub write: Need,
    /// Bytes of each certificate's EF.
    pub certificate_bytes: u16,
    /// The first day of the certificates, and the last: year, month, day.
    pub days: [[u16; 3]; 2],
}

/// A PIN that is proven by a challenge.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyPin {
    /// Its digits when the card is issued.
    pub initial: String,
    /// Wrong tries until it locks, 1 to 15.
    pub tries: u8,
}

/// Who must have proven a PIN of the certificate application for something to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Need {
    /// The holder.
    User,
    /// The administrator.
    Administrator,
    /// One of them.
    Either,
    /// Each of them.
    Both,
}

/// The bank side of a composite card: its applications, and the directory of them.
///
/// `bank/side.rs` makes it ready for a card, and has its host.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankSide {
    /// The applications, the one of the highest priority first; at least one.
    pub applications: Vec<BankApplication>,
}

/// One application of the bank side.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BankApplication {
    /// What its bank orders.
    pub ordered: Ordered,
    /// What is in the account, at the bank.
    pub balance: Fen,
    /// Where the profile decides: why.
    pub note: Option<String>,
}

/// A directory: the MF, a DDF, or an ADF, with its keys and elementary files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Directory {
    /// Its file identifier: 3F00, DDF1, DF01 …
    pub fid: u16,
    /// The identifier of the directory it lies in; `None` for the MF.
    pub parent: Option<u16>,
    /// How rules, keys and addresses call it: `MF`, `SSSE`, `DF01` …
    pub label: String,
    /// Its name for SELECT: DF name or AID.
    pub name: Option<Aid>,
    /// Its names for people.
    pub names: Names,
    /// The short identifier of its DIR file, given in its FCI.
    pub dir_sfi: Option<u8>,
    /// The issuer's data of its FCI, the value of '9F0C'.
    pub issuer_data: Option<Vec<u8>>,
    /// Who may create files and write keys in it once it is active; `None` for who
    /// has authenticated with its master key.
    pub create: Option<Rule>,
    /// Who may block it for ever; `None` for nobody.
    pub block: Option<Rule>,
    /// Its keys.
    pub keys: Vec<Key>,
    /// Its elementary files.
    pub files: Vec<File>,
    /// The medical account that it is issued with: the hidden money file.
    pub account: Option<Account>,
}

/// A medical account as it is issued: no transaction yet, no sums.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Account {
    /// What is in it.
    pub balance: Fen,
    /// The year of payment, four BCD digits; the first purchase sets it where it is 0000.
    pub year: [u8; 2],
    /// Month and day on which the year of payment starts, four BCD digits.
    pub starting_day: [u8; 2],
}

/// A key of a directory, without its bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// Its name, unique in the card: `RK1DF01`.
    pub name: String,
    /// What it is used for, and for nothing else.
    pub purpose: Purpose,
    /// Its identifier: P2 of EXTERNAL AUTHENTICATION, bit 8 set for a key of an ADF.
    pub kid: u8,
    /// How many versions the card holds: 01 to this, at most 03.
    pub versions: u8,
    /// Wrong tries until it locks, 1 to 15; 0 for no limit.
    pub tries: u8,
    /// Its length in bytes, 8 or 16.
    pub len_bytes: u8,
    /// Its address in the HSM, one for each version; empty where it has none.
    pub hsm: Vec<u16>,
    /// Usage and identifier of the key in a terminal's PSAM.
    pub psam: Option<PsamKey>,
    /// Where its identifier or number is a decision of the profile: why.
    pub note: Option<String>,
}

/// How a PSAM calls a key.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PsamKey {
    /// The usage byte where the PSAM holds the national root: levels and type.
    pub usage: Option<u8>,
    /// The key's identifier.
    pub id: u8,
}

/// What a key is used for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Purpose {
    /// The card authenticates who holds it; the key gives a right.
    ExternalAuthentication,
    /// It proves the card.
    InternalAuthentication,
    /// Application maintenance: MACs and enciphered PINs.
    Maintenance,
    /// Load session.
    Load,
    /// Purchase session.
    Purchase,
    /// Transaction certificate.
    Tac,
    /// Starting day of the year of payment.
    StartingDay,
}

/// An elementary file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct File {
    /// Its file identifier: EF05 …
    pub fid: u16,
    /// Its short identifier, 1 to 30.
    pub sfi: u8,
    /// Its structure and size.
    pub kind: Kind,
    /// Its names.
    pub names: Names,
    /// How far the specification defines it.
    pub class: FileClass,
    /// Who may read it.
    pub read: Rule,
    /// Who may update it.
    pub update: Rule,
    /// The records of a linear file, in the order of their numbers.
    pub records: Vec<Record>,
    /// The fields of each record of a cyclic file, without tags.
    pub fields: Vec<Item>,
    /// The records that a cyclic file is issued with, oldest first.
    pub rows: Vec<Vec<u8>>,
    /// What a transparent file is issued with, from offset 0.
    pub content: Vec<u8>,
    /// Where the specification is open: what this profile decides.
    pub note: Option<String>,
}

/// The structure of an elementary file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Bytes.
    Transparent {
        /// How many.
        size_bytes: u16,
    },
    /// Records of one length.
    LinearFixed {
        /// The length of each, tag and length included.
        record_len: u8,
        /// How many.
        count: u8,
    },
    /// Records of their own lengths.
    LinearVariable {
        /// All of them together, tags and lengths included.
        size_bytes: u16,
    },
    /// A ring of records of one length, the newest number 1.
    Cyclic {
        /// The length of each.
        record_len: u8,
        /// How many.
        count: u8,
    },
}

/// How far the specification defines a file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum FileClass {
    /// 启用: in use.
    Active,
    /// 预设: defined, not yet in use.
    Preset,
    /// 预留: reserved space.
    Reserved,
}

/// A record of a linear file: tag, length, value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// Its number, from 1.
    pub number: u8,
    /// Which one it is of those with its tag, from 1.
    pub occurrence: u8,
    /// What stands in it.
    pub item: Item,
}

/// A data item: of a record, of a B-TLV record, or of a cyclic record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    /// Its tag; a field of a cyclic record has none.
    pub tag: Option<u8>,
    /// Its names.
    pub names: Names,
    /// How its value is written.
    pub format: Format,
    /// The length of its value in bytes.
    pub len: u8,
    /// The items of a B-TLV value, in order.
    pub inner: Vec<Item>,
    /// The value as the profile writes it; `None` where it is left blank.
    pub text: Option<String>,
    /// The value as the card holds it, `len` bytes.
    pub bytes: Vec<u8>,
    /// Whether the last four bytes of `bytes` are the authentication code of the
    /// recognition code, computed with the card's keys when it is issued.
    pub computed: bool,
}

/// How a value is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Format {
    /// Characters in GB 18030, one byte for a letter, filled right with '00'.
    An,
    /// Packed BCD, filled right with 'F'.
    Cn,
    /// Binary.
    B,
    /// A chain of items, each with tag and length.
    BTlv,
}

impl Profile {
    /// Whether its cards and those of another are the same but for their bank side.
    #[must_use]
    pub fn has_social_side_of(&self, other: &Profile) -> bool {
        let Profile {
            id: _,
            names: _,
            version,
            algorithm,
            atr,
            historical,
            region,
            pin,
            cyclic_append_by_number,
            certificates,
            bank: _,
            directories,
            notes: _,
        } = self;
        *version == other.version
            && *algorithm == other.algorithm
            && *atr == other.atr
            && *historical == other.historical
            && *region == other.region
            && *pin == other.pin
            && *cyclic_append_by_number == other.cyclic_append_by_number
            && *certificates == other.certificates
            && *directories == other.directories
    }

    /// The directory with this identifier.
    #[must_use]
    pub fn directory(&self, fid: u16) -> Option<&Directory> {
        self.directories
            .iter()
            .find(|directory| directory.fid == fid)
    }

    /// The directory with this label: `MF`, `SSSE`, `DF01` …
    #[must_use]
    pub fn directory_by_label(&self, label: &str) -> Option<&Directory> {
        self.directories
            .iter()
            .find(|directory| directory.label == label)
    }

    /// The item of this address, as profiles write it: `SSSEEF06|09`,
    /// `DF01EF15|40:2|57`.
    #[must_use]
    pub fn item(&self, address: &str) -> Option<&Item> {
        let mut parts = address.split('|');
        let place = parts.next()?;
        let (label, fid) = place.split_at_checked(place.len().checked_sub(4)?)?;
        let fid = u16::from_str_radix(fid, 16).ok()?;
        let record = parts.next()?;
        let (tag, occurrence) = record.split_once(':').unwrap_or((record, "1"));
        let tag = u8::from_str_radix(tag, 16).ok()?;
        let occurrence: u8 = occurrence.parse().ok()?;
        let file = self.directory_by_label(label)?.file(fid)?;
        let mut records = file.records.iter();
        let record = records.find(|r| r.item.tag == Some(tag) && r.occurrence == occurrence)?;
        let item = match parts.next() {
            None => &record.item,
            Some(inner) => {
                let tag = u8::from_str_radix(inner, 16).ok()?;
                record.item.inner.iter().find(|i| i.tag == Some(tag))?
            }
        };
        parts.next().is_none().then_some(item)
    }

    /// The key with this name, and its directory.
    #[must_use]
    pub fn key(&self, name: &str) -> Option<(&Directory, &Key)> {
        self.directories.iter().find_map(|directory| {
            let key = directory.keys.iter().find(|key| key.name == name)?;
            Some((directory, key))
        })
    }
}

impl Directory {
    /// The elementary file with this identifier.
    #[must_use]
    pub fn file(&self, fid: u16) -> Option<&File> {
        self.files.iter().find(|file| file.fid == fid)
    }
}

impl Account {
    /// The hidden money file: both counters, balance, both sums, year, starting day.
    ///
    /// Source: social security card specification, part 6, 6 (DF04).
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 20] {
        let mut bytes = [0; 20];
        bytes[4..8].copy_from_slice(&self.balance.to_be_bytes());
        bytes[16..18].copy_from_slice(&self.year);
        bytes[18..].copy_from_slice(&self.starting_day);
        bytes
    }
}

impl Record {
    /// The record on the card: tag, length, value.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(2 + self.item.bytes.len());
        self.item.append_to(&mut bytes);
        bytes
    }
}

impl Item {
    /// Appends its tag and length, where it has a tag, and its value.
    pub fn append_to(&self, bytes: &mut Vec<u8>) {
        if let Some(tag) = self.tag {
            bytes.extend([tag, self.len]);
        }
        bytes.extend(&self.bytes);
    }

    /// What bytes mean that were read from where this item stands, tag and length
    /// taken off; of a b-tlv value decode the items in it.
    #[must_use]
    pub fn decode(&self, bytes: &[u8]) -> Decoded {
        self.format.decode(self.tag, bytes)
    }
}

impl Format {
    /// What the value of an item with this tag means.
    ///
    /// The items of SSSE mean the same in all versions: there, and in fields without
    /// a tag, 'E' is no filling.
    #[must_use]
    pub fn decode(self, tag: Option<u8>, bytes: &[u8]) -> Decoded {
        let may_be_reused = !matches!(tag, None | Some(0x01..=0x0D | 0x4E));
        match self {
            Format::An if may_be_reused => encode::decode_an(bytes),
            Format::An => encode::decode_text(bytes),
            Format::Cn if may_be_reused => encode::decode_cn(bytes),
            Format::Cn => encode::decode_digits(bytes),
            Format::B | Format::BTlv => encode::decode_b(bytes),
        }
    }
}

impl SpecVersion {
    /// The version byte of the card: 1, 2 or 3.
    #[must_use]
    pub const fn number(self) -> u8 {
        match self {
            SpecVersion::V1 => 1,
            SpecVersion::V2 => 2,
            SpecVersion::V3 => 3,
        }
    }
}

impl Purpose {
    /// The usage byte of WRITE KEY, its P1.
    #[must_use]
    pub const fn usage(self) -> u8 {
        match self {
            Purpose::ExternalAuthentication => 0x00,
            Purpose::InternalAuthentication => 0x01,
            Purpose::Maintenance => 0x02,
            Purpose::Load => 0x03,
            Purpose::Purchase => 0x04,
            Purpose::Tac => 0x05,
            Purpose::StartingDay => 0x06,
        }
    }
}
