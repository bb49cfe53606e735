//! The bank side of a profile: from the checked form to what a bank orders.
//!
//! What a profile leaves out is what [`Application::of`] has, and of the holder and the
//! days what stands on the social side of the card.

use super::json::Node;
use super::read::{number, text, word};
use super::report::{Kind, Problems};
use super::shape::hex;
use super::{BankApplication, BankSide, Directory};
use crate::bank::application::{
    Application, Authentication, CardBlock, Cash, Dual, Grouping, KeyLength, Limits, Ordered, Raw,
    STARTS_INACTIVE, SWITCHES,
};
use crate::numbers;
use cardlab::aid::Aid;
use cardlab::fen::Fen;
use cardlab::tag;
use cardlab::tlv;
use std::collections::HashSet;

/// The names of applications that have labels of their own.
const LABELS: [(&[u8], &str); 4] = [
    (&[0xA0, 0, 0, 0x03, 0x33, 0x01, 0x01, 0x01], "PBOC DEBIT"),
    (&[0xA0, 0, 0, 0x03, 0x33, 0x01, 0x01, 0x02], "PBOC CREDIT"),
    (&[0xA0, 0, 0, 0x03, 0x33, 0x01, 0x01, 0x03], "QUASI CREDIT"),
    (&[0xA0, 0, 0, 0x03, 0x33, 0x01, 0x01, 0x06], "PBOC ECASH"),
];
/// What any other is called.
const OTHER_LABEL: &str = "PBOC";
/// The directory of them, which has a name of its own.
const DIRECTORY: &[u8] = b"1PAY.SYS.DDF01";
/// What is in an account where nothing is said: 1,000 yuan.
const BALANCE: Fen = Fen::new(100_000);
/// The most that electronic cash holds where nothing is said, and the most of one payment.
const CASH_LIMIT: Fen = Fen::new(100_000);
const CASH_SINGLE_LIMIT: Fen = Fen::new(50_000);
/// The sum in two currencies where nothing is said.
const DUAL_SUM: Fen = Fen::new(100_000);
/// The least groupings that make an application.
const NEEDED: [u16; 5] = [0x8000, 0x9000, 0x9102, 0x9104, 0x9200];

/// Members that only an application with an account has.
const FIELDS: [&str; 17] = [
    "sequence",
    "holder",
    "holder_id",
    "valid_from",
    "valid_to",
    "pin",
    "tries",
    "authentication",
    "issuer_key_bits",
    "card_key_bits",
    "sm_algorithms",
    "default_action",
    "limits",
    "second_currency",
    "cash",
    "methods",
    "cash_methods",
];

/// What the social side says of the holder and the card.
pub(super) struct Card<'d> {
    names: Vec<&'d Aid>,
    holder_id: Option<&'d str>,
    from: Option<&'d str>,
    to: Option<&'d str>,
}

impl<'d> Card<'d> {
    pub(super) fn of(directories: &'d [Directory]) -> Card<'d> {
        let value = |fid, tag| {
            let ssse = directories.iter().find(|one| one.label == "SSSE")?;
            let mut records = ssse.file(fid)?.records.iter();
            let record = records.find(|record| record.item.tag == Some(tag))?;
            record.item.text.as_deref().filter(|text| !text.is_empty())
        };
        Card {
            names: directories
                .iter()
                .filter_map(|one| one.name.as_ref())
                .collect(),
            holder_id: value(0xEF06, 0x08),
            from: value(0xEF05, 0x05),
            to: value(0xEF05, 0x06),
        }
    }
}

/// Reads the section; what is wrong goes to `problems`.
pub(super) fn side(node: &Node, card: &Card<'_>, problems: &mut Problems) -> Option<BankSide> {
    let list = node.get("applications")?;
    let nodes = list.elements();
    let mut reading = Reading { card, problems };
    if nodes.is_empty() {
        let allowed = "at least one application, or no bank side";
        reading.add(list, Kind::Missing, "no application", allowed);
    }
    let read: Vec<_> = nodes.iter().map(|node| reading.application(node)).collect();
    reading.names(nodes);
    let applications: Option<Vec<_>> = read.into_iter().collect();
    Some(BankSide {
        applications: applications?,
    })
}

struct Reading<'c, 'p> {
    card: &'c Card<'c>,
    problems: &'p mut Problems,
}

impl Reading<'_, '_> {
    fn add(
        &mut self,
        node: &Node,
        kind: Kind,
        found: impl Into<String>,
        allowed: impl Into<String>,
    ) {
        self.problems.add(&node.place, kind, found, allowed);
    }

    /// The value of a member where `right` holds, else what is there by default; one that
    /// is not right is told with what may be.
    fn take<T>(
        &mut self,
        node: &Node,
        name: &str,
        default: T,
        read: impl FnOnce(&str) -> Option<T>,
        allowed: &str,
    ) -> T {
        let Some((at, text)) = node.get(name).and_then(|at| Some((at, at.as_text()?))) else {
            return default;
        };
        read(text).unwrap_or_else(|| {
            self.add(at, Kind::Value, at.describe(), allowed);
            default
        })
    }

    /// No name twice, and none that something else on the card has.
    fn names(&mut self, nodes: &[Node]) {
        let mut seen = HashSet::new();
        for node in nodes {
            let name = aid(node);
            let at = node.get("aid").unwrap_or(node);
            if name.as_bytes() == DIRECTORY {
                self.add(
                    at,
                    Kind::Value,
                    at.describe(),
                    "any name but the directory's",
                );
            }
            if self.card.names.contains(&&name) {
                let allowed = "any name but those of the card's directories";
                self.add(at, Kind::Conflict, at.describe(), allowed);
            }
            if !seen.insert(name.as_bytes().to_vec()) {
                let found = format!("the name {name} again");
                let allowed = "aid: a name that no other application has";
                self.add(at, Kind::Duplicate, found, allowed);
            }
        }
    }

    fn application(&mut self, node: &Node) -> Option<BankApplication> {
        let account = node.get("account");
        let groupings = self.groupings(node, account.is_none());
        let aid = aid(node);
        let known = LABELS.iter().find(|(known, _)| aid.as_bytes() == *known);
        let label = known.map_or(OTHER_LABEL, |(_, label)| label);
        let label = self.take(
            node,
            "label",
            label.to_owned(),
            |text| is_text(text, 1..=16, b" ").then(|| text.to_owned()),
            "1 to 16 letters, digits and blanks of ASCII",
        );
        let card_block = match text(node, "card_block") {
            "card" => CardBlock::Card,
            _ => CardBlock::Application,
        };
        let mut switches = match node.get("active").and_then(Node::as_flag) {
            Some(true) => 0,
            _ => STARTS_INACTIVE,
        };
        for (name, bit) in SWITCHES {
            let on = node.get("switches").and_then(|node| node.get(name));
            if on.and_then(Node::as_flag) == Some(true) {
                switches |= bit;
            }
        }
        let note = node.get("note").and_then(Node::as_text).map(str::to_owned);
        let Some(account) = account else {
            for name in FIELDS {
                if let Some(at) = node.get(name) {
                    let found = format!("{name:?} in an application that is its groupings alone");
                    let allowed = "to leave it out, or an account";
                    self.add(at, Kind::Conflict, found, allowed);
                }
            }
            let raw = Raw {
                aid,
                label,
                card_block,
                switches,
                groupings: groupings?,
            };
            return Some(BankApplication {
                ordered: Ordered::Groupings(raw),
                balance: fen(node, "balance_fen").unwrap_or(BALANCE),
                note,
            });
        };
        let number = account.as_text()?;
        if let Some((body, check)) = number.split_at_checked(number.len().saturating_sub(1))
            && (12..=19).contains(&number.len())
            && let Some(right) = numbers::account_check(body)
            && !check.starts_with(right)
        {
            let allowed = format!("an account number, with the check digit {right}");
            self.add(account, Kind::Value, account.describe(), allowed);
        }
        let application = Application {
            aid,
            label,
            card_block,
            switches,
            groupings: groupings.unwrap_or_default(),
            ..Application::of(number)
        };
        Some(BankApplication {
            ordered: Ordered::Fields(Box::new(self.fields(node, application))),
            balance: fen(node, "balance_fen").unwrap_or(BALANCE),
            note,
        })
    }

    /// The members that an application with an account has besides.
    fn fields(&mut self, node: &Node, mut made: Application) -> Application {
        made.sequence = number(node, "sequence").unwrap_or(made.sequence);
        made.holder = self.take(
            node,
            "holder",
            made.holder,
            |text| is_text(text, 2..=26, b" /.").then(|| text.to_owned()),
            "2 to 26 letters, digits, blanks, dots and slashes of ASCII",
        );
        made.holder_id = self.take(
            node,
            "holder_id",
            self.card.holder_id.unwrap_or(&made.holder_id).to_owned(),
            |text| is_text(text, 1..=40, b"").then(|| text.to_owned()),
            "1 to 40 letters and digits of ASCII",
        );
        let allowed = "a day, YYYYMMDD, of 2000 to 2049";
        let own = |text: Option<&str>, default| text.and_then(day).unwrap_or(default);
        let from = own(self.card.from, made.effective);
        made.effective = self.take(node, "valid_from", from, day, allowed);
        let to = own(self.card.to, made.expiry);
        made.expiry = self.take(node, "valid_to", to, day, allowed);
        if made.expiry < made.effective {
            let at = node.get("valid_to").or(node.get("valid_from"));
            let [year, month, day] = made.effective;
            let allowed =
                format!("a last day not before the first, 20{year:02X}{month:02X}{day:02X}");
            let at = at.unwrap_or(node);
            self.add(at, Kind::Conflict, at.describe(), allowed);
        }
        made.pin = self.take(
            node,
            "pin",
            made.pin,
            |text| {
                let decimal = text.bytes().all(|digit| digit.is_ascii_digit());
                (decimal && (4..=12).contains(&text.len())).then(|| text.to_owned())
            },
            "4 to 12 digits",
        );
        made.pin_tries = number(node, "tries").unwrap_or(made.pin_tries);
        if let Some(bytes) = node.get("default_action").and_then(bytes)
            && let Ok(action) = bytes.try_into()
        {
            made.default_action = action;
        }
        for (name, into) in [
            ("methods", &mut made.methods),
            ("cash_methods", &mut made.cash_methods),
        ] {
            let Some(at) = node.get(name) else { continue };
            match bytes(at) {
                Some(list) if list.len().is_multiple_of(2) => *into = list,
                Some(_) => self.problems.add(
                    &at.place,
                    Kind::Value,
                    at.describe(),
                    "two amounts of four bytes, then methods of two bytes each",
                ),
                None => {}
            }
        }
        let sm = node.get("sm_algorithms").and_then(Node::as_flag);
        made.sm_algorithms = sm.unwrap_or(made.sm_algorithms);
        made.limits = self.limits(node, made.limits);
        made.dual = node.get("second_currency").and_then(|node| {
            Some(Dual {
                currency: word_of(node, "code")?,
                conversion: bytes(node.get("conversion")?)?.try_into().ok()?,
                sum: fen(node, "sum_fen").unwrap_or(DUAL_SUM),
            })
        });
        made.cash = node.get("cash").map(|node| self.cash(node));
        made.second_cash = node
            .get("cash")
            .and_then(|node| node.get("second"))
            .and_then(|node| Some((word_of(node, "code")?, self.cash(node))));
        self.second_currencies(node, &made);
        self.keys(node, made)
    }

    /// Each is another than the first.
    fn second_currencies(&mut self, node: &Node, made: &Application) {
        let internal = made.internal_elements();
        let Ok(Some(first)) = tlv::find(&internal, &[tag!(0x9F51)]) else {
            return;
        };
        let cash = node.get("cash").and_then(|cash| cash.get("second"));
        for (second, code) in [
            (
                node.get("second_currency"),
                made.dual.map(|dual| dual.currency),
            ),
            (cash, made.second_cash.map(|(code, _)| code)),
        ] {
            if let Some(at) = second.and_then(|second| second.get("code"))
                && code.is_some_and(|code| code == *first)
            {
                let allowed = format!("another than the first, {}", hex::encode(first));
                self.add(at, Kind::Conflict, at.describe(), allowed);
            }
        }
    }

    fn limits(&mut self, node: &Node, made: Limits) -> Limits {
        let Some(node) = node.get("limits") else {
            return made;
        };
        let limits = Limits {
            lower: number(node, "lower").unwrap_or(made.lower),
            upper: number(node, "upper").unwrap_or(made.upper),
            foreign_currency: number(node, "foreign_currency").unwrap_or(made.foreign_currency),
            foreign_country: number(node, "foreign_country").unwrap_or(made.foreign_country),
            sum: fen(node, "sum_fen").unwrap_or(made.sum),
            upper_sum: fen(node, "upper_sum_fen").unwrap_or(made.upper_sum),
        };
        if limits.upper < limits.lower && limits.lower != u8::MAX {
            let at = node.get("upper").or(node.get("lower")).unwrap_or(node);
            let allowed = format!("upper at least lower, {}", limits.lower);
            self.add(
                at,
                Kind::Conflict,
                format!("upper {}", limits.upper),
                allowed,
            );
        }
        if limits.upper_sum < limits.sum && limits.upper_sum != Fen::ZERO {
            let at = node.get("upper_sum_fen").or(node.get("sum_fen"));
            let found = format!("upper_sum_fen {}", limits.upper_sum.count());
            let allowed = format!("upper_sum_fen at least sum_fen, {}", limits.sum.count());
            self.add(at.unwrap_or(node), Kind::Conflict, found, allowed);
        }
        limits
    }

    fn cash(&mut self, node: &Node) -> Cash {
        let balance_limit = fen(node, "balance_limit_fen").unwrap_or(CASH_LIMIT);
        let cash = Cash {
            balance: fen(node, "balance_fen").unwrap_or(Fen::ZERO),
            balance_limit,
            single_limit: fen(node, "single_limit_fen")
                .unwrap_or(CASH_SINGLE_LIMIT.min(balance_limit)),
            reset_threshold: fen(node, "reset_threshold_fen").unwrap_or(Fen::ZERO),
        };
        for (name, amount) in [
            ("balance_fen", cash.balance),
            ("single_limit_fen", cash.single_limit),
            ("reset_threshold_fen", cash.reset_threshold),
        ] {
            if let Some(at) = node.get(name)
                && amount > balance_limit
            {
                let allowed = format!("at most balance_limit_fen, {}", balance_limit.count());
                self.add(at, Kind::Conflict, amount.count().to_string(), allowed);
            }
        }
        cash
    }

    /// How the card proves itself, and the lengths of keys.
    fn keys(&mut self, node: &Node, mut made: Application) -> Application {
        made.authentication = match text(node, "authentication") {
            "static" => Authentication::Static,
            "dynamic" => Authentication::Dynamic,
            _ => Authentication::Combined,
        };
        let mut length = |name, usual: i64| {
            let at = node.get(name)?;
            let bits = at.as_integer()?;
            if bits == 1984 {
                return Some(KeyLength::Long);
            }
            if bits != usual && (1152..1984).contains(&bits) {
                let allowed = format!("{usual} or 1984: of these there are keys for tests");
                self.add(at, Kind::Value, at.describe(), allowed);
            }
            None
        };
        made.issuer_key = length("issuer_key_bits", 1408).unwrap_or(KeyLength::Usual);
        made.card_key = length("card_key_bits", 1152).unwrap_or(KeyLength::Usual);
        let Some(at) = node.get("card_key_bits") else {
            return made;
        };
        match (made.authentication, made.issuer_key, made.card_key) {
            (Authentication::Static, _, _) => {
                let found = "a key of a card with static authentication";
                self.add(at, Kind::Conflict, found, "to leave it out");
            }
            (_, KeyLength::Usual, KeyLength::Long) => {
                let found = "1984 bits under an issuer's key of 1408";
                let allowed = "a key not longer than issuer_key_bits";
                self.add(at, Kind::Conflict, found, allowed);
            }
            (Authentication::Combined, _, KeyLength::Long) => {
                let found = "1984 bits, with which a combined answer is longer than 256 bytes";
                let allowed = "1152, or authentication \"dynamic\"";
                self.add(at, Kind::Conflict, found, allowed);
            }
            _ => {}
        }
        made
    }

    /// The groupings, where there are any; `alone` where they are all there is.
    fn groupings(&mut self, node: &Node, alone: bool) -> Option<Vec<Grouping>> {
        let Some(list) = node.get("groupings") else {
            if alone {
                let found = "an application without \"account\" and \"groupings\"";
                self.add(node, Kind::Missing, found, "one of them");
            }
            return None;
        };
        let mut groupings: Vec<Grouping> = Vec::new();
        for element in list.elements() {
            let (Some(at), Some(data_at)) = (element.get("dgi"), element.get("data")) else {
                continue;
            };
            let (Some(number), Some(data)) = (word(at), bytes(data_at)) else {
                continue;
            };
            let grouping = Grouping { number, data };
            if !is_grouping(number) {
                let allowed = "a record, 0101 to 1EFF without 0B and 0C, 0DXX, 0EXX, 8000, 8010, \
                               8030, 8100, 8201 to 8205, 8301 to 8305, 9000, 9010, 9030, 9102, \
                               9103, 9104, 9114, 9200, 9203, 9206, 9207, 9213, 9217";
                self.add(at, Kind::Reference, at.describe(), allowed);
            }
            if groupings.iter().any(|known| known.number == number) {
                let allowed = "each grouping once";
                self.add(at, Kind::Duplicate, at.describe(), allowed);
            }
            if grouping.is_secret() && !grouping.data.len().is_multiple_of(8) {
                let found = format!(
                    "{} bytes of a grouping that goes enciphered",
                    grouping.data.len()
                );
                self.add(data_at, Kind::Length, found, "whole blocks of 8 bytes");
            }
            groupings.push(grouping);
        }
        if alone {
            let missing = |number: &&u16| !groupings.iter().any(|known| known.number == **number);
            let missing: Vec<_> = NEEDED.iter().filter(missing).collect();
            if !missing.is_empty() {
                let missing: Vec<_> = missing
                    .iter()
                    .map(|number| format!("{number:04X}"))
                    .collect();
                let found = format!("groupings without {}", missing.join(", "));
                let allowed = "all that make an application, or an account";
                self.add(list, Kind::Missing, found, allowed);
            }
            for (list_tag, name) in [(tag!(0x8C), "8C"), (tag!(0x8D), "8D")] {
                let of = |record: &Grouping| {
                    let found = tlv::find(&record.data, &[tag!(0x70), list_tag]);
                    record.number < 0x0B00 && matches!(found, Ok(Some(_)))
                };
                if !groupings.iter().any(of) {
                    let found = format!("no record, 01XX to 0AXX, with {name} in its 70");
                    let allowed = "the list of what a terminal tells with a cryptogram";
                    self.add(list, Kind::Missing, found, allowed);
                }
            }
        }
        Some(groupings)
    }
}

/// The name of an application, that of debit where it has none.
fn aid(node: &Node) -> Aid {
    let stated = node.get("aid").and_then(bytes);
    let stated = stated.and_then(|bytes| Aid::new(&bytes));
    stated.unwrap_or(Application::of("").aid)
}

fn bytes(node: &Node) -> Option<Vec<u8>> {
    hex(node.as_text()?)
}

fn word_of(node: &Node, name: &str) -> Option<[u8; 2]> {
    Some(word(node.get(name)?)?.to_be_bytes())
}

fn fen(node: &Node, name: &str) -> Option<Fen> {
    number(node, name).map(Fen::new)
}

fn is_text(text: &str, len: core::ops::RangeInclusive<usize>, besides: &[u8]) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || besides.contains(&byte);
    len.contains(&text.len()) && text.bytes().all(fits)
}

/// A day of this half of the century, YYMMDD in packed digits.
fn day(digits: &str) -> Option<[u8; 3]> {
    let year = digits.strip_prefix("20")?;
    if !numbers::is_date(digits) || year.get(..2)? > "49" {
        return None;
    }
    hex(year)?.try_into().ok()
}

/// Whether the applet knows a grouping of this number.
///
/// Source: this card's, `applets/src/debit/personalise.rs`.
fn is_grouping(number: u16) -> bool {
    match number {
        0x8000 | 0x8010 | 0x8030 | 0x8100 | 0x9000 | 0x9010 | 0x9030 => true,
        0x8201..=0x8205 | 0x8301..=0x8305 => true,
        0x9102..=0x9104 | 0x9200 | 0x9203 | 0x9206 | 0x9207 => true,
        0x9114 | 0x9213 | 0x9217 => true,
        0x0D00..=0x0EFF => true,
        0x0B00..=0x0CFF => false,
        0x0101..=0x1EFF => number & 0x00FF != 0,
        _ => false,
    }
}
