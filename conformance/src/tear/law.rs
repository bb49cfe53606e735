//! The law: after any cut a card shows the old or the new, and nothing between.
//!
//! | what a card may show        | is called                                         |
//! |-----------------------------|---------------------------------------------------|
//! | all as before the command   | old                                               |
//! | all as after it             | new                                               |
//! | all as before, but a try of the PIN or of one key spent, or given back | a try  |
//! | anything else               | broken                                            |
//!
//! The third is what ISO/IEC 7816-4 calls a counter that a refusal moves: it is written
//! at once, before anything is compared, and outlives the command that is cut.
//!
//! Source: conformance notes, 7.2, invariants 12 (tries), 16 (counter of a bank), 22 (its logs),
//! 24 (its money), 25 (money), 26 (records);
//! ISO/IEC 7816-4:2020, 5.6.

use super::sight::{Bank, Certificates, Item, Money, Sight};
use cardlab_desk::profile::{File, Kind, Profile};
use std::fmt::{self, Display};

/// The details file of an account, by its short identifier.
const SFI_08_DETAILS: u8 = 0x08;

/// What a card shows after a cut.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// All as before the command.
    Old,
    /// All as after it.
    New,
    /// As before, but a try spent or given back.
    Try,
    /// Anything else: what differs.
    Broken(Vec<Difference>),
}

/// An item that is not as it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Difference {
    /// What.
    pub item: Item,
    /// The invariant of the conformance notes, 7.2, that it breaks; `None` for the law
    /// of old or new alone.
    pub invariant: Option<u8>,
    /// What it is called, in English and Chinese.
    pub name: String,
    /// What was shown before the command; `None` for nothing.
    pub old: Option<Vec<u8>>,
    /// What is shown after it.
    pub new: Option<Vec<u8>>,
    /// What was found.
    pub found: Option<Vec<u8>>,
}

/// Judges a sight between those before and after a command.
#[must_use]
pub fn judge(old: &Sight, new: &Sight, found: &Sight, profile: &Profile) -> Outcome {
    if found == old {
        return Outcome::Old;
    }
    if found == new {
        return Outcome::New;
    }
    if is_a_try(old, new, found) {
        return Outcome::Try;
    }
    let mut items: Vec<&Item> = old
        .items()
        .chain(new.items())
        .chain(found.items())
        .collect();
    items.sort();
    items.dedup();
    let differences = items.into_iter().filter_map(|item| {
        let (was, is, seen) = (old.get(item), new.get(item), found.get(item));
        (was != is || seen != was).then(|| Difference {
            item: item.clone(),
            invariant: invariant(item, old, new, found, profile),
            name: name(item, profile, was, seen),
            old: was.map(<[u8]>::to_vec),
            new: is.map(<[u8]>::to_vec),
            found: seen.map(<[u8]>::to_vec),
        })
    });
    Outcome::Broken(differences.collect())
}

/// Whether all is as before but for the tries of the PIN or of one key: one spent, or
/// as many as after the command; where that was the last one, all else that the PIN or
/// the key opens is closed, and where it was given back, open again. A bank application
/// may block itself with the last try.
fn is_a_try(old: &Sight, new: &Sight, found: &Sight) -> bool {
    let unlike = |item: &&Item| old.get(item) != found.get(item);
    let mut counters = found.items().filter(unlike).filter(|item| is_counter(item));
    let (Some(item), None) = (counters.next(), counters.next()) else {
        return false;
    };
    let (was, seen) = (old.get(item), found.get(item));
    let before = was.and_then(tries);
    let spent = seen.and_then(tries) == before.and_then(|tries| tries.checked_sub(1));
    // The wrong code that brings a key's tries to light takes one itself.
    let locked = match item {
        Item::KeyTries(_) => before == Some(0) && seen == Some(&LOCKED),
        _ => before == Some(1) && matches!(seen, Some([0x63, 0xC0] | [0x69, 0x83])),
    };
    let given_back = seen == new.get(item);
    let lawful = locked || (before.is_some() && spent) || given_back;
    let refused = |shown: &[u8]| matches!(shown, [] | [.., 0x69, _]);
    let blocked = |was: &[u8], seen: &[u8]| match (was, seen) {
        ([was @ .., 0x90, 0x00], [seen @ .., 0x62, 0x83]) => was == seen,
        _ => false,
    };
    let blocks = |other: &Item| {
        let shown = old.get(other).zip(found.get(other));
        (item, other) == (&Item::Bank(Bank::Tries), &Item::Bank(Bank::Selected))
            && shown.is_some_and(|(was, seen)| blocked(was, seen))
    };
    let follows = |item: &Item| {
        (locked && (blocks(item) || found.get(item).is_none_or(refused)))
            || (given_back
                && before.is_none_or(|tries| tries == 0)
                && old.get(item).is_none_or(refused))
    };
    let mut others = old.items().chain(found.items()).filter(unlike);
    lawful && others.all(|other| other == item || follows(other))
}

/// '6983', authentication method blocked.
const LOCKED: [u8; 2] = [0x69, 0x83];

const fn is_counter(item: &Item) -> bool {
    matches!(
        item,
        Item::PinTries
            | Item::KeyTries(_)
            | Item::Certificates(Certificates::UserTries | Certificates::AdministratorTries)
            | Item::Bank(Bank::Tries)
    )
}

/// The tries in what is shown of a counter.
fn tries(shown: &[u8]) -> Option<u8> {
    match *shown {
        [0x63, count] if count & 0xF0 == 0xC0 => Some(count & 0x0F),
        _ => None,
    }
}

/// Which invariant a wrong item breaks.
fn invariant(
    item: &Item,
    old: &Sight,
    new: &Sight,
    found: &Sight,
    profile: &Profile,
) -> Option<u8> {
    match item {
        Item::PinTries | Item::Pin(_) | Item::KeyTries(_) => Some(12),
        Item::Certificates(_) if is_counter(item) => Some(12),
        Item::Bank(Bank::Tries | Bank::Pin) => Some(12),
        Item::Bank(Bank::Element(0x9F36)) => Some(16),
        Item::Bank(Bank::Element(0x9F79 | 0xDF79)) => Some(24),
        Item::Bank(Bank::Record(11 | 12, _)) => Some(22),
        Item::Money(..) => Some(25),
        Item::Part { directory, fid, .. } => {
            let file = file(profile, directory, *fid)?;
            let Kind::Cyclic { .. } = file.kind else {
                return None;
            };
            let rows = |sight: &Sight| -> Vec<Vec<u8>> {
                let inside = |item: &&Item| {
                    matches!(item, Item::Part { directory: label, fid: id, .. }
                        if label == directory && id == fid)
                };
                let rows = sight.items().filter(inside);
                rows.filter_map(|item| sight.get(item).map(<[u8]>::to_vec))
                    .collect()
            };
            let whole = rows(found) == rows(old) || rows(found) == rows(new);
            let of_account = profile.directory_by_label(directory)?.account.is_some()
                && file.sfi == SFI_08_DETAILS;
            match (whole, of_account) {
                (true, true) => Some(25),
                (true, false) => None,
                (false, _) => Some(26),
            }
        }
        Item::Atr | Item::Directory(_) | Item::Certificates(_) | Item::Bank(_) => None,
    }
}

fn file<'p>(profile: &'p Profile, directory: &str, fid: u16) -> Option<&'p File> {
    profile.directory_by_label(directory)?.file(fid)
}

/// What an item is called, with the first field in which two values of it differ.
fn name(item: &Item, profile: &Profile, was: Option<&[u8]>, seen: Option<&[u8]>) -> String {
    match item {
        Item::Atr => "ATR 复位应答".to_owned(),
        Item::PinTries => "tries of the PIN 密码剩余次数".to_owned(),
        Item::Pin(digits) => format!("VERIFY with {digits} 校验密码"),
        Item::KeyTries(key) => format!("tries of {key} 密钥剩余次数"),
        Item::Directory(label) => format!("{label}, its FCI 目录"),
        Item::Money(label, what) => format!("{label} {what}"),
        Item::Certificates(what) => format!("certificate application 证书应用, {what}"),
        Item::Bank(what) => format!("bank application 金融应用, {what}"),
        Item::Part {
            directory,
            fid,
            number,
        } => {
            let mut name = format!("{directory}/EF{:02X}", fid & 0xFF);
            if *number > 0 {
                name += &format!(" record {number} 记录");
            }
            if let Some(file) = file(profile, directory, *fid) {
                name += &format!(" {}{}", file.names.zh, field(file, was, seen));
            }
            name
        }
    }
}

/// The field of a cyclic record in which two values first differ.
fn field(file: &File, was: Option<&[u8]>, seen: Option<&[u8]>) -> String {
    let (Some(was), Some(seen)) = (was, seen) else {
        return String::new();
    };
    let Some(at) = was.iter().zip(seen).position(|(a, b)| a != b) else {
        return String::new();
    };
    let mut end = 0;
    let inside = file.fields.iter().find(|field| {
        end += usize::from(field.len);
        at < end
    });
    match inside {
        Some(field) => format!(", {}", field.names.zh),
        None => format!(", byte {at} 第{at}字节"),
    }
}

impl Display for Money {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Money::Balance => f.write_str("balance 余额"),
            Money::Own => f.write_str("sum of the holder 自付累计"),
            Money::Pooled => f.write_str("sum of the fund 统筹累计"),
            Money::Loads => f.write_str("counter of loads 圈存序号"),
            Money::Purchases => f.write_str("counter of purchases 消费序号"),
            Money::StartingDay => f.write_str("starting day 年度起始日"),
            Money::Proof(trade, number) => {
                write!(f, "proof of {trade:02X} number {number:04X} 交易认证")
            }
        }
    }
}

impl Display for Bank {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Bank::Selected => f.write_str("its FCI 选择应答"),
            Bank::Tries => f.write_str("tries of the PIN 密码剩余次数"),
            Bank::Pin => f.write_str("VERIFY with its PIN 校验密码"),
            Bank::Element(tag) => write!(f, "{tag:04X} 数据元"),
            Bank::Record(file, number) => write!(f, "file {file} record {number} 记录"),
        }
    }
}

impl Display for Certificates {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Certificates::UserTries => "tries of the user's PIN 用户PIN剩余次数",
            Certificates::AdministratorTries => "tries of the administrator's 管理员PIN剩余次数",
            Certificates::UserPin => "the user's PIN 用户PIN",
            Certificates::AdministratorPin => "the administrator's PIN 管理员PIN",
            Certificates::SignatureKey => "signature key 签名公钥",
            Certificates::EncryptionKey => "encryption key 加密公钥",
            Certificates::SignatureCertificate => "signature certificate 签名证书",
            Certificates::EncryptionCertificate => "encryption certificate 加密证书",
        })
    }
}

impl Display for Difference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let hex = |shown: &Option<Vec<u8>>| match shown {
            None => "-".to_owned(),
            Some(bytes) if bytes.len() > 32 => {
                format!(
                    "{}… ({} bytes)",
                    hex::encode_upper(&bytes[..32]),
                    bytes.len()
                )
            }
            Some(bytes) => hex::encode_upper(bytes),
        };
        let state = match (self.found == self.old, self.found == self.new) {
            (true, _) => "still old 仍旧",
            (false, true) => "already new 已新",
            (false, false) => "neither 皆非",
        };
        if let Some(invariant) = self.invariant {
            write!(f, "[{invariant}] ")?;
        }
        write!(
            f,
            "{}: {state}; old {}, new {}, found {}",
            self.name,
            hex(&self.old),
            hex(&self.new),
            hex(&self.found)
        )
    }
}

/// What is wrong with the money of a command that was not cut at all: the balance moved
/// by another amount than that of the transaction that the details show, or a counter,
/// a detail or a proof without the others.
///
/// Source: conformance notes, 7.2, invariant 25.
#[must_use]
pub fn money_out_of_step(old: &Sight, new: &Sight, profile: &Profile) -> Vec<String> {
    let accounts = profile.directories.iter().filter(|d| d.account.is_some());
    let mut wrong = Vec::new();
    for directory in accounts {
        let money = |what| Item::Money(directory.label.clone(), what);
        let number = |sight: &Sight, what| {
            let shown = sight.get(&money(what))?;
            let shown = match what {
                Money::Balance => shown.strip_suffix(&[0x90, 0x00])?,
                _ => shown,
            };
            let bytes = shown.iter().map(|byte| i64::from(*byte));
            (!shown.is_empty()).then(|| bytes.fold(0, |sum, byte| sum << 8 | byte))
        };
        let step = |what| Some(number(new, what)? - number(old, what)?);
        let (Some(balance), Some(loads), Some(purchases)) = (
            step(Money::Balance),
            step(Money::Loads),
            step(Money::Purchases),
        ) else {
            continue;
        };
        let details = directory
            .files
            .iter()
            .find(|file| file.sfi == SFI_08_DETAILS);
        let newest = |sight: &Sight| {
            let item = Item::Part {
                directory: directory.label.clone(),
                fid: details?.fid,
                number: 1,
            };
            sight.get(&item).map(<[u8]>::to_vec)
        };
        let detail = newest(new).filter(|detail| newest(old).as_ref() != Some(detail));
        let label = &directory.label;
        let mut say = |text: String| wrong.push(format!("[25] {label}: {text}"));
        let Some(detail) = detail else {
            if (balance, loads, purchases) != (0, 0, 0) {
                say(format!(
                    "balance {balance:+}, loads {loads:+}, purchases {purchases:+} without a detail"
                ));
            }
            continue;
        };
        let (&[high, low, trade, ..], Some(&amount)) = (
            &detail[..],
            detail
                .get(16..20)
                .and_then(|amount| <&[u8; 4]>::try_from(amount).ok()),
        ) else {
            say(format!("a detail of {} bytes", detail.len()));
            continue;
        };
        let (told, amount) = (u16::from_be_bytes([high, low]), u32::from_be_bytes(amount));
        let (what, want) = match trade {
            0x31 => (Money::Loads, (i64::from(amount), 1, 0)),
            _ => (Money::Purchases, (-i64::from(amount), 0, 1)),
        };
        if (balance, loads, purchases) != want {
            say(format!(
                "balance {balance:+}, loads {loads:+}, purchases {purchases:+}, but the detail \
                 is of {trade:02X} and {amount} fen"
            ));
        }
        if number(old, what) != Some(i64::from(told)) {
            say(format!(
                "the detail has number {told:04X}, not the counter before it"
            ));
        }
        if new.get(&money(Money::Proof(trade, told))).is_none() {
            say(format!("no proof of {trade:02X} number {told:04X}"));
        }
    }
    wrong
}
