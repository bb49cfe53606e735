//! The medical account and the files that turn in a ring. M25 and M26.
//!
//! An account is a set of what it may be: one that was cut in a transaction is the old
//! one or the new one until it shows itself. So with a record that was being added.
//!
//! Source: social security card specification, part 3, 5.3; part 5, the commands of class
//! B0; part 7, 7, 8 and 14.

use super::catalogue::{M25, M26};
use super::place::Meant;
use super::{Findings, Turn};
use cardlab::apdu::Sw;
use cardlab_desk::profile::{Directory, File, Kind, Profile};
use std::collections::VecDeque;

/// The details file.
const SFI_08_DETAILS: u8 = 0x08;
/// The length of its records in full.
const DETAIL_LEN: usize = 28;

/// What an account is worth, as far as it is known.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
struct Money {
    balance: Option<u32>,
    loads: Option<u16>,
    purchases: Option<u16>,
}

/// Whether what is known is not what is shown.
fn differs<T: PartialEq>(known: Option<T>, shown: Option<T>) -> bool {
    known
        .zip(shown)
        .is_some_and(|(known, shown)| known != shown)
}

impl Money {
    fn contradicts(&self, shown: &Money) -> bool {
        differs(self.balance, shown.balance)
            || differs(self.loads, shown.loads)
            || differs(self.purchases, shown.purchases)
    }

    fn with(self, shown: &Money) -> Money {
        Money {
            balance: shown.balance.or(self.balance),
            loads: shown.loads.or(self.loads),
            purchases: shown.purchases.or(self.purchases),
        }
    }

    fn after(self, begun: &Begun) -> Money {
        let fen = begun.amount_fen();
        let counted = |counter: Option<u16>| counter.map(|counter| counter.wrapping_add(1));
        match begun.trade {
            Trade::Load => Money {
                balance: self.balance.map(|balance| balance.wrapping_add(fen)),
                loads: counted(self.loads),
                ..self
            },
            Trade::Purchase => Money {
                balance: self.balance.map(|balance| balance.wrapping_sub(fen)),
                purchases: counted(self.purchases),
                ..self
            },
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trade {
    Load = 0x31,
    Purchase = 0x32,
}

/// A transaction that was begun.
#[derive(Clone, Copy, Debug)]
struct Begun {
    trade: Trade,
    /// Its counter, once it was told.
    number: Option<[u8; 2]>,
    terminal: [u8; 6],
    /// The three amounts; of a load the last two are 0.
    amounts: [u8; 12],
}

impl Begun {
    fn amount_fen(&self) -> u32 {
        let [a, b, c, d, ..] = self.amounts;
        u32::from_be_bytes([a, b, c, d])
    }

    /// What the details file gets.
    fn detail(&self, time: &[u8], len: usize) -> Option<Vec<u8>> {
        let mut detail = Vec::with_capacity(DETAIL_LEN);
        detail.extend(self.number?);
        detail.push(self.trade as u8);
        detail.extend(self.terminal);
        detail.extend(time);
        detail.extend(self.amounts);
        detail.truncate(len);
        Some(detail)
    }
}

/// A record: its bytes, where they are known.
type Bytes = Option<Vec<u8>>;

/// A cyclic file, as far as it is known.
#[derive(Clone, Debug)]
struct Ring {
    directory: u16,
    sfi: u8,
    /// From record 1 on.
    records: VecDeque<Bytes>,
    /// One that was being added when the card was lost.
    adding: Option<Bytes>,
}

#[derive(Clone, Debug, Default)]
pub(super) struct Books {
    /// What the account may be; nothing where it may be anything.
    money: Vec<Money>,
    begun: Option<Begun>,
    rings: Vec<Ring>,
}

/// More than two come of two cuts with nothing told between them.
const CANDIDATES_MAX: usize = 8;

impl Books {
    /// The books of a card as it was issued, or of one of which that is not known.
    pub(super) fn new(profile: Option<&Profile>) -> Books {
        let mut directories = profile.into_iter().flat_map(|profile| &profile.directories);
        let account = directories.find_map(|directory| directory.account);
        let money = account.map(|account| Money {
            balance: Some(u32::from_be_bytes(account.balance.to_be_bytes())),
            loads: Some(0),
            purchases: Some(0),
        });
        Books {
            money: money.into_iter().collect(),
            ..Books::default()
        }
    }

    /// The card was reset or lost its power.
    pub(super) fn started(&mut self) {
        self.begun = None;
    }

    /// One command in a directory of the profile.
    pub(super) fn watch(
        &mut self,
        turn: &Turn<'_>,
        meant: &Meant<'_>,
        profile: &Profile,
        directory: &Directory,
        found: &mut Findings,
    ) {
        match turn.command.ins {
            0xB2 => {
                if let Meant::File(file) = meant {
                    self.watch_read(turn, file, directory, found);
                }
            }
            0xDC => {
                if let Meant::File(file) = meant {
                    self.watch_update(turn, file, profile, directory);
                }
            }
            _ => {}
        }
        // What was begun is over with the next command, but for two.
        let begun = match turn.command.ins {
            0x26 | 0x2E => self.begun,
            _ => self.begun.take(),
        };
        if directory.account.is_none() || turn.command.class.base() != 0xB0 {
            return;
        }
        match (turn.command.ins, turn.command.p1) {
            (0x28, _) if turn.is_ok() => self.begin(turn, found),
            (0x2A, _) => self.end(turn, begun, Trade::Load, directory, found),
            (0x2C, _) => self.end(turn, begun, Trade::Purchase, directory, found),
            (0x26, _) if turn.is_ok() => self.told(turn, found),
            _ => {}
        }
    }

    /// The data of a command whose status word came before them.
    pub(super) fn watch_rest(
        &mut self,
        turn: &Turn<'_>,
        meant: &Meant<'_>,
        directory: &Directory,
        found: &mut Findings,
    ) {
        match (turn.command.ins, meant) {
            (0xB2, Meant::File(file)) => self.watch_read(turn, file, directory, found),
            (0x28 | 0x26, _) if directory.account.is_some() => self.told(turn, found),
            _ => {}
        }
    }

    fn begin(&mut self, turn: &Turn<'_>, found: &mut Findings) {
        let data = turn.command.data;
        let (trade, len) = match turn.command.p1 {
            0 => (Trade::Load, 4),
            _ => (Trade::Purchase, 12),
        };
        let fields = data.get(1..).and_then(|data| data.split_at_checked(len));
        let Some((sums, terminal)) = fields else {
            return;
        };
        let mut amounts = [0; 12];
        amounts[..len].copy_from_slice(sums);
        let Ok(terminal) = terminal.try_into() else {
            return;
        };
        self.begun = Some(Begun {
            trade,
            number: None,
            terminal,
            amounts,
        });
        self.told(turn, found);
    }

    /// The card tells of its money.
    fn told(&mut self, turn: &Turn<'_>, found: &mut Findings) {
        let Some(data) = turn.data else { return };
        let word = |at: usize| data.get(at..at + 2).and_then(|two| two.try_into().ok());
        let balance = data.first_chunk().map(|four| u32::from_be_bytes(*four));
        let number: Option<[u8; 2]> = match (turn.command.ins, turn.command.p1) {
            (0x28, 0) => word(4),
            (0x28, _) => word(14),
            _ => None,
        };
        let counter = number.map(u16::from_be_bytes);
        let shown = match (turn.command.ins, turn.command.p1, turn.command.p2) {
            (0x28, 0, _) => Money {
                balance,
                loads: counter,
                purchases: None,
            },
            (0x28, ..) => Money {
                balance,
                loads: None,
                purchases: counter,
            },
            (0x26, _, 1) => Money {
                balance,
                ..Money::default()
            },
            _ => return,
        };
        if let Some(begun) = self.begun.as_mut().filter(|_| number.is_some()) {
            begun.number = number;
        }
        if self.money.is_empty() {
            self.money.push(Money::default());
        }
        let known = self.money.len();
        self.money.retain(|money| !money.contradicts(&shown));
        if self.money.is_empty() {
            found.add(&M25, || {
                let [balance, loads, purchases] = [
                    shown.balance,
                    shown.loads.map(u32::from),
                    shown.purchases.map(u32::from),
                ]
                .map(|told| told.map_or("-".to_owned(), |told| told.to_string()));
                format!(
                    "balance {balance} fen, loads {loads}, purchases {purchases}, \
                     which none of {known} lawful accounts has"
                )
            });
            self.money.push(Money::default());
        }
        for money in &mut self.money {
            *money = money.with(&shown);
        }
    }

    /// CREDIT FOR LOAD, DEBIT FOR PURCHASE.
    fn end(
        &mut self,
        turn: &Turn<'_>,
        begun: Option<Begun>,
        trade: Trade,
        directory: &Directory,
        found: &mut Findings,
    ) {
        let done = turn.is_ok();
        if !done && turn.sw.is_some() {
            return;
        }
        let details = directory
            .files
            .iter()
            .find(|file| file.sfi == SFI_08_DETAILS);
        let Some(begun) = begun.filter(|begun| begun.trade == trade) else {
            if done {
                found.add(&M25, || "money moved that no command had begun".to_owned());
                self.money.clear();
                self.rings.clear();
            }
            return;
        };
        let after: Vec<Money> = self.money.iter().map(|money| money.after(&begun)).collect();
        if done {
            self.money = after;
        } else {
            self.money.extend(after);
            if self.money.len() > CANDIDATES_MAX {
                self.money.clear();
            }
        }
        let Some((file, len)) = details.and_then(|file| Some((file, record_len(file)?))) else {
            return;
        };
        let from = if trade == Trade::Load { 0 } else { 4 };
        let time = turn.command.data.get(from..from + 7).unwrap_or_default();
        let record = begun.detail(time, len);
        self.added(file, directory, record, done);
    }

    fn ring(&mut self, file: &File, directory: &Directory) -> &mut Ring {
        let is_it = |ring: &Ring| (ring.directory, ring.sfi) == (directory.fid, file.sfi);
        let index = self.rings.iter().position(is_it).unwrap_or_else(|| {
            self.rings.push(Ring {
                directory: directory.fid,
                sfi: file.sfi,
                records: VecDeque::new(),
                adding: None,
            });
            self.rings.len() - 1
        });
        &mut self.rings[index]
    }

    /// A record was added, or may have been.
    fn added(&mut self, file: &File, directory: &Directory, record: Bytes, done: bool) {
        let ring = self.ring(file, directory);
        if ring.adding.is_some() {
            // Which of two is there cannot be told any more.
            ring.adding = None;
            ring.records.clear();
            return;
        }
        if done {
            ring.push(record, file);
        } else {
            ring.adding = Some(record);
        }
    }

    fn watch_update(
        &mut self,
        turn: &Turn<'_>,
        file: &File,
        profile: &Profile,
        directory: &Directory,
    ) {
        if record_len(file).is_none() || (turn.sw.is_some() && !turn.is_ok()) {
            return;
        }
        let sealed = turn.command.class.base() == 0x04;
        let data = turn.command.data;
        let len = data.len().saturating_sub(if sealed { 4 } else { 0 });
        let record = data.get(..len).map(<[u8]>::to_vec);
        let adds = match (turn.command.p1, turn.command.p2 & 7) {
            (0, 3) => true,
            (1, 4) => profile.cyclic_append_by_number,
            _ => false,
        };
        if adds {
            self.added(file, directory, record, turn.is_ok());
        } else {
            // In place, which is no move of the ring.
            let ring = self.ring(file, directory);
            ring.records.clear();
            ring.adding = None;
        }
    }

    fn watch_read(
        &mut self,
        turn: &Turn<'_>,
        file: &File,
        directory: &Directory,
        found: &mut Findings,
    ) {
        let (Some(len), 4, 1..) = (
            record_len(file),
            turn.command.p2 & 7,
            usize::from(turn.command.p1),
        ) else {
            return;
        };
        let number = usize::from(turn.command.p1);
        let ring = self.ring(file, directory);
        match (turn.sw, turn.data) {
            (Some(Sw::OK), Some(data)) => {
                if data.len() != len {
                    found.add(&M26, || {
                        format!("record {number} has {} bytes and not {len}", data.len())
                    });
                } else if !ring.fits(number, data) {
                    found.add(&M26, || {
                        format!("record {number} is not the one in its place")
                    });
                }
                ring.learn(number, data, file);
            }
            (Some(Sw::RECORD_NOT_FOUND), _) if ring.records.len() >= number => {
                found.add(&M26, || format!("record {number} is gone"));
            }
            _ => {}
        }
    }
}

impl Ring {
    fn at(&self, number: usize) -> Option<&[u8]> {
        self.records.get(number.checked_sub(1)?)?.as_deref()
    }

    fn push(&mut self, record: Bytes, file: &File) {
        self.records.push_front(record);
        self.records.truncate(count(file));
    }

    /// Whether a record may be these bytes.
    fn fits(&self, number: usize, data: &[u8]) -> bool {
        let may_be = |known: Option<&[u8]>| known.is_none_or(|known| known == data);
        if may_be(self.at(number)) {
            return true;
        }
        match (&self.adding, number) {
            (None, _) => false,
            (Some(adding), 1) => may_be(adding.as_deref()),
            (Some(_), number) => may_be(self.at(number - 1)),
        }
    }

    fn learn(&mut self, number: usize, data: &[u8], file: &File) {
        if let Some(adding) = &self.adding {
            let is = |known: Option<&[u8]>| known.map(|known| known == data);
            match (number, is(adding.as_deref()), is(self.at(1))) {
                (1, Some(false), _) => self.adding = None,
                (1, _, Some(false)) => {
                    self.adding = None;
                    self.push(Some(data.to_vec()), file);
                }
                // The old and the new one may be alike: nothing more is learnt.
                _ => return,
            }
        }
        if number > count(file) {
            return;
        }
        while self.records.len() < number {
            self.records.push_back(None);
        }
        self.records[number - 1] = Some(data.to_vec());
    }
}

/// The length of the records of a cyclic file; `None` for any other.
const fn record_len(file: &File) -> Option<usize> {
    match file.kind {
        Kind::Cyclic { record_len, .. } => Some(record_len as usize),
        _ => None,
    }
}

/// How many records the ring has at least.
const fn count(file: &File) -> usize {
    match file.kind {
        Kind::Cyclic { count, .. } => count as usize,
        _ => 0,
    }
}
