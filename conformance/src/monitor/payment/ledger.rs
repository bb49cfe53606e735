//! Counters, sums, electronic cash and the log. M16, M24, and the log of M22.
//!
//! The transaction counter is a range, the balance and the last payment on line are sets
//! of what they may be, and what was spent off line is at least a sum: a payment that was
//! lost widens them, and what the card tells narrows them again.

use super::super::catalogue::{M16, M22, M24};
use super::super::{Findings, Turn};
use super::cryptogram::{Given, Kind};
use super::state::{Element, Issuer, Path, Phase, Told, amount};
use super::{End, Payments};
use cardlab::tag;
use cardlab::tlv::{self, Dol};
use std::ops::RangeInclusive;

/// What something may be; nothing where that is not known.
type Candidates<T> = Vec<T>;

/// More than so many are as good as none.
const CANDIDATES_MAX: usize = 8;

/// A payment as the log has it.
#[derive(Clone, Debug)]
struct Approved {
    atc: u16,
    amount: Option<[u8; 6]>,
    day: Option<[u8; 3]>,
}

/// What payments leave behind.
#[derive(Clone, Debug, Default)]
pub(super) struct Ledger {
    /// The transaction counter, from and to.
    atc: Option<(u16, u16)>,
    balance: Candidates<u64>,
    /// The counter of the last payment on line.
    online: Candidates<u16>,
    /// What was spent off line since, at least.
    spent: u64,
    /// The limit of the balance was put below the balance, as an issuer may.
    is_over: bool,
    /// The last payment that was approved.
    last: Option<Approved>,
}

fn widen<T: PartialEq>(candidates: &mut Candidates<T>, more: Vec<T>) {
    for one in more {
        if !candidates.contains(&one) {
            candidates.push(one);
        }
    }
    if candidates.len() > CANDIDATES_MAX {
        candidates.clear();
    }
}

impl Ledger {
    /// That of a card as it was issued.
    pub(super) fn of_new(balance: Option<u64>) -> Ledger {
        Ledger {
            atc: Some((0, 0)),
            balance: balance.into_iter().collect(),
            online: vec![0],
            ..Ledger::default()
        }
    }

    /// The transaction counter rose by one of so many.
    pub(super) fn counted(&mut self, by: RangeInclusive<u16>) {
        if let Some((low, high)) = &mut self.atc {
            *low = low.saturating_add(*by.start());
            *high = high.saturating_add(*by.end());
        }
    }

    fn watch_atc(&mut self, told: u16, found: &mut Findings) {
        if let Some((low, high)) = self.atc
            && !(low..=high).contains(&told)
        {
            found.add(&M16, || format!("{told} where {low} to {high} is right"));
        }
        self.atc = Some((told, told));
    }

    /// A cryptogram that cannot be read, or was lost.
    pub(super) fn lost_cryptogram(&mut self) {
        self.balance.clear();
        self.online.clear();
        self.spent = 0;
        self.last = None;
    }

    /// The balance as far as the card tells it.
    fn watch_balance(&mut self, is_it: impl Fn(u64) -> bool, told: u64, found: &mut Findings) {
        let known = self.balance.len();
        self.balance.retain(|balance| is_it(*balance));
        if known > 0 && self.balance.is_empty() {
            found.add(&M24, || {
                format!("a balance of {told}, which no payment and no load leaves")
            });
        }
    }
}

/// The response codes of a terminal that could not go on line.
fn is_unable(code: &[u8]) -> bool {
    matches!(code, b"Y3" | b"Z3")
}

impl Payments<'_> {
    fn limit(&self, tag: u16) -> Option<u64> {
        let limit = amount(self.now(tag)?)?;
        (limit > 0).then_some(limit)
    }

    fn count_limit(&self, tag: u16) -> Option<u16> {
        match *self.now(tag)? {
            [limit] if limit != 0xFF => Some(u16::from(limit)),
            _ => None,
        }
    }

    /// A cryptogram that was lost with the card.
    pub(super) fn lost_cryptogram(&mut self, turn: &Turn<'_>) {
        let is_second = self.transaction.phase == Phase::Asked;
        if self.counts_at_first_ac() && !is_second {
            self.ledger.counted(0..=1);
        }
        self.ledger.last = None;
        self.marks.may_be_cleared();
        let told = self.told_with(turn.command.data, is_second);
        let spent = told.and_then(|told| told.amount());
        match (is_second, self.transaction.path, spent) {
            (false, Path::Account | Path::SecondCash, _) => {}
            (false, _, Some(spent)) => {
                let after = self.ledger.balance.iter();
                let after = after
                    .filter_map(|before| before.checked_sub(spent))
                    .collect();
                widen(&mut self.ledger.balance, after);
            }
            (false, _, None) => self.ledger.balance.clear(),
            (true, ..) => {
                self.ledger.spent = 0;
                match self.transaction.first {
                    Some(first) if !self.ledger.online.is_empty() => {
                        widen(&mut self.ledger.online, vec![first.atc]);
                    }
                    _ => self.ledger.online.clear(),
                }
            }
        }
    }

    /// What a cryptogram that was given leaves behind.
    pub(super) fn settle(&mut self, turn: &Turn<'_>, given: &Given<'_>, found: &mut Findings) {
        if self.counts_at_first_ac() && !given.is_second {
            let least = u16::from(given.is_followed);
            self.ledger.counted(least..=1);
        }
        self.ledger.watch_atc(given.answered.atc, found);
        // Only what of the terminal's data is needed, so that nothing is borrowed.
        let told = self.told_with(turn.command.data, given.is_second);
        let payment = told.map(|told| Payment::of(&told));
        let own = match (&payment, self.now(Element::OWN_CURRENCY)) {
            (Some(Payment { currency, .. }), Some(own)) => {
                currency.is_some_and(|currency| currency == own)
            }
            _ => false,
        };
        if given.kind == Kind::Tc {
            self.ledger.last = payment.as_ref().map(|payment| Approved {
                atc: given.answered.atc,
                ..payment.approved.clone()
            });
        }
        let spent = payment.as_ref().and_then(|payment| payment.spent);
        if given.is_second {
            let code = payment.as_ref().and_then(|payment| payment.code);
            self.settle_second(given, code, spent.filter(|_| own), found);
        } else if given.kind == Kind::Tc {
            self.settle_first(given, spent, own, found);
        }
        self.watch_shown(given.answered.issuer, found);
    }

    /// Approved at once.
    fn settle_first(
        &mut self,
        given: &Given<'_>,
        spent: Option<u64>,
        own: bool,
        found: &mut Findings,
    ) {
        let path = self.transaction.path;
        if path == Path::Account {
            let limits = [Element::LOWER_LIMIT, Element::SUM_LIMIT];
            self.watch_limits(given, spent.filter(|_| own), limits, found);
            return;
        }
        if path == Path::SecondCash {
            return;
        }
        let Some(spent) = spent else {
            self.ledger.balance.clear();
            return;
        };
        let before = &self.ledger.balance;
        let after: Vec<u64> = before.iter().filter_map(|b| b.checked_sub(spent)).collect();
        if path != Path::Cash {
            widen(&mut self.ledger.balance, after);
            return;
        }
        let single = self.now(Element::SINGLE_LIMIT).and_then(amount);
        if let Some(single) = single.filter(|single| spent > *single) {
            found.add(&M24, || {
                format!("{spent} is spent at once, and {single} is the limit")
            });
        }
        if after.is_empty() && !before.is_empty() {
            found.add(&M24, || {
                format!("{spent} is spent, which is more than there is")
            });
        }
        self.ledger.balance = after;
    }

    /// The second cryptogram.
    fn settle_second(
        &mut self,
        given: &Given<'_>,
        code: Option<[u8; 2]>,
        spent: Option<u64>,
        found: &mut Findings,
    ) {
        if code.is_some_and(|code| is_unable(&code)) {
            if given.kind == Kind::Tc && given.is_followed {
                let limits = [Element::UPPER_LIMIT, Element::UPPER_SUM_LIMIT];
                self.watch_limits(given, spent, limits, found);
            }
            return;
        }
        self.marks.may_be_cleared();
        if given.kind != Kind::Tc || !self.issuer_may_be_satisfied() {
            return;
        }
        self.ledger.spent = 0;
        if !self.ledger.online.is_empty() {
            widen(&mut self.ledger.online, vec![given.answered.atc]);
        }
    }

    /// Whether the answer counts as the issuer's: authenticated, or in no need of it.
    fn issuer_may_be_satisfied(&self) -> bool {
        const AIP_ISSUER_AUTHENTICATION: u8 = 0x04;
        const MANDATORY: u8 = 0x80;
        match self.transaction.issuer {
            Issuer::Unknown | Issuer::Right => true,
            Issuer::Failed => false,
            Issuer::NotDone => {
                let aip = self.transaction.aip;
                let offers = aip.is_none_or(|aip| aip[0] & AIP_ISSUER_AUTHENTICATION != 0);
                let indicator = self.now(Element::ISSUER_INDICATOR);
                let mandatory = matches!(indicator, Some([bits, ..]) if bits & MANDATORY != 0);
                !(offers && mandatory)
            }
        }
    }

    /// An approval without the issuer; `spent` counts.
    fn watch_limits(
        &mut self,
        given: &Given<'_>,
        spent: Option<u64>,
        [count, sum]: [u16; 2],
        found: &mut Findings,
    ) {
        let atc = given.answered.atc;
        let since = self.ledger.online.iter().max().copied();
        let since = since.map(|online| atc.saturating_sub(online));
        if let (Some(since), Some(limit)) = (since, self.count_limit(count))
            && since > limit
        {
            found.add(&M24, || {
                format!("payment {since} off line is approved, and {limit} is the limit")
            });
        }
        let Some(spent) = spent else { return };
        let after = self.ledger.spent.saturating_add(spent);
        if let Some(limit) = self.limit(sum).filter(|limit| after > *limit) {
            found.add(&M24, || {
                format!("{after} off line is approved, and {limit} is the limit")
            });
        }
        self.ledger.spent = after;
    }

    /// The balance that the issuer's data show: its low ten digits.
    fn watch_shown(&mut self, issuer: &[u8], found: &mut Findings) {
        let is_first = matches!(self.transaction.path, Path::Account | Path::Cash);
        let Some([0x0A, 0x01, digits @ ..] | [0x0F, 0x03, digits @ ..]) = issuer.get(8..) else {
            return;
        };
        let shown = digits.get(..5).and_then(amount);
        if let Some(shown) = shown.filter(|_| is_first) {
            let is_it = |balance| balance % 10_000_000_000 == shown;
            self.ledger.watch_balance(is_it, shown, found);
        }
    }

    /// GET DATA.
    pub(super) fn told(&mut self, turn: &Turn<'_>, end: End, found: &mut Findings) {
        let tag = u16::from_be_bytes([turn.command.p1, turn.command.p2]);
        let name = tlv::Tag::new(u32::from(tag));
        let (Some(name), Some(data), End::Done) = (name, turn.data, end) else {
            return;
        };
        let Some(value) = tlv::find(data, &[name]).ok().flatten() else {
            return;
        };
        if !self.shows_the_first(tag) {
            return;
        }
        if self.elements.changed_by_a_refused_script(tag, value) {
            super::script::changed(tag, value, found);
        }
        self.elements.set(tag, Some(value));
        let number = || Some(u16::from_be_bytes(value.try_into().ok()?));
        match tag {
            Element::COUNTER => {
                if let Some(told) = number() {
                    self.ledger.watch_atc(told, found);
                }
            }
            Element::LAST_ONLINE => {
                if let Some(told) = number() {
                    let known = &self.ledger.online;
                    if !known.is_empty() && !known.contains(&told) {
                        found.add(&M24, || format!("payment {told} was the last on line"));
                    }
                    self.ledger.online = vec![told];
                }
            }
            Element::BALANCE => {
                if let Some(told) = amount(value) {
                    self.ledger
                        .watch_balance(|balance| balance == told, told, found);
                    self.ledger.balance = vec![told];
                    if !self.ledger.is_over {
                        self.watch_balance_limit(found);
                    }
                }
            }
            _ => {}
        }
    }

    fn watch_balance_limit(&self, found: &mut Findings) {
        let limit = self.now(Element::BALANCE_LIMIT).and_then(amount);
        let balance = self.ledger.balance.iter().min().copied();
        if let (Some(limit), Some(balance)) = (limit, balance)
            && balance > limit
        {
            found.add(&M24, || {
                format!("a balance of {balance}, and {limit} is the limit")
            });
        }
    }

    /// PUT DATA that was done, or `None` where it may have been.
    pub(super) fn put(&mut self, tag: u16, value: Option<&[u8]>, found: &mut Findings) {
        match (tag, value.and_then(amount)) {
            (Element::BALANCE, Some(new)) => {
                self.ledger.balance = vec![new];
                self.ledger.is_over = false;
                self.watch_balance_limit(found);
            }
            // What it would be is in a command that was lost: it may be anything.
            (Element::BALANCE, None) => self.ledger.balance.clear(),
            (Element::BALANCE_LIMIT, limit) => {
                let balance = self.ledger.balance.iter().max();
                self.ledger.is_over = match (limit, balance) {
                    (Some(limit), Some(balance)) => *balance > limit,
                    _ => true,
                };
            }
            _ => {}
        }
    }

    /// The newest record of the log.
    pub(super) fn watch_log(&self, record: &[u8], found: &mut Findings) {
        let (Some(last), Some(format)) = (&self.ledger.last, self.now(Element::LOG_FORMAT)) else {
            return;
        };
        let Some(mut values) = Dol::parse(format).ok().and_then(|list| list.split(record)) else {
            return;
        };
        let atc = last.atc.to_be_bytes();
        let of = |tag| match tag {
            tag if tag == tag!(0x9F36) => Some(&atc[..]),
            tag if tag == tag!(0x9F02) => last.amount.as_ref().map(<[u8; 6]>::as_slice),
            tag if tag == tag!(0x9A) => last.day.as_ref().map(<[u8; 3]>::as_slice),
            _ => None,
        };
        let wrong = values.find(|(tag, value)| of(*tag).is_some_and(|right| right != *value));
        if let Some((tag, value)) = wrong {
            let (tag, value) = (tag.value(), hex::encode_upper(value));
            found.add(&M22, || {
                format!("{tag:X} is {value} in the log, which the last payment has not")
            });
        }
    }
}

/// What is taken out of a terminal's data.
struct Payment {
    approved: Approved,
    spent: Option<u64>,
    currency: Option<[u8; 2]>,
    code: Option<[u8; 2]>,
}

impl Payment {
    fn of(told: &Told<'_>) -> Payment {
        Payment {
            approved: Approved {
                atc: 0,
                amount: array(told.value(0x9F02)),
                day: array(told.value(0x9A)),
            },
            spent: told.amount(),
            currency: array(told.value(0x5F2A)),
            code: array(told.value(0x8A)),
        }
    }
}

fn array<const N: usize>(bytes: Option<&[u8]>) -> Option<[u8; N]> {
    bytes?.try_into().ok()
}
