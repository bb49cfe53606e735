//! Payments with the first bank application of the profile. M16 to M24.
//!
//! | file         | what it holds the card to                                         |
//! |--------------|-------------------------------------------------------------------|
//! | `state`      | what is known in the middle of a payment, and of data elements    |
//! | `cryptogram` | when there is one, how high, what it says, what it is over        |
//! | `script`     | what the issuer's scripts change, and what a refused one does not |
//! | `ledger`     | counters, sums, electronic cash, the log                          |
//! | `record`     | records and signatures                                            |
//!
//! A command whose data come later is judged when they came. One in which the card was
//! lost, or says that its memory failed, has done all or nothing: both are lawful. Where
//! it cannot be told whether the application is the selected one, a command that may
//! have changed it leaves nothing known.
//!
//! Source: JR/T 0025.5, 0025.7 and 0025.13, by public material; EMV 4.3 Books 2 and 3.

mod cryptogram;
mod ledger;
mod record;
mod script;
mod state;

use super::{Findings, Turn};
use crate::bank::chain::PublicKey;
use cardlab::apdu::Sw;
use cardlab::tag;
use cardlab::tlv;
use cardlab_desk::bank::application::Ordered;
use cardlab_desk::bank::key::Keys;
use cardlab_desk::profile::Profile;
use ledger::Ledger;
use record::Records;
use script::{Life, Marks};
use state::{Element, Elements, Issued, Lists, Phase, Transaction};

/// Whether the application is selected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    Here,
    Elsewhere,
    Unknown,
}

/// A bank application as far as it is known.
#[derive(Clone, Debug)]
pub(super) struct Payments<'p> {
    application: &'p Ordered,
    /// The seed of the keys, until they are derived.
    seed: Option<u64>,
    keys: Option<Keys>,
    /// The keys that it signs with, of each set, where they are known.
    signers: Vec<PublicKey>,
    /// What it was issued with, once it was selected.
    issued: Option<Issued>,
    /// Whether nothing but what was heard was done with it since.
    is_as_issued: bool,
    place: Place,
    /// The instruction of the last command, where it was answered and its data were not
    /// heard yet.
    waits: Option<u8>,
    transaction: Transaction,
    lists: Lists,
    elements: Elements,
    ledger: Ledger,
    records: Records,
    life: Life,
    marks: Marks,
}

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// With '9000' or a warning.
    Done,
    /// It was refused.
    Refused(Sw),
    /// It may be done or not.
    Lost,
}

impl End {
    fn of(turn: &Turn<'_>) -> End {
        match turn.sw {
            Some(Sw::OK) => End::Done,
            Some(sw) if matches!(sw.sw1(), 0x62 | 0x63) => End::Done,
            Some(sw) if !matches!(sw.sw1(), 0x64 | 0x65 | 0x6F) => End::Refused(sw),
            _ => End::Lost,
        }
    }
}

impl<'p> Payments<'p> {
    /// Of a card of this profile; `None` where it has no bank application.
    pub(super) fn new(
        profile: &'p Profile,
        is_as_issued: bool,
        seed: Option<u64>,
    ) -> Option<Payments<'p>> {
        let first = profile.bank.as_ref()?.applications.first()?;
        Some(Payments {
            application: &first.ordered,
            seed,
            keys: None,
            signers: Vec::new(),
            issued: None,
            is_as_issued,
            place: Place::Elsewhere,
            waits: None,
            transaction: Transaction::UNKNOWN,
            lists: Lists::default(),
            elements: Elements::default(),
            ledger: Ledger::default(),
            records: Records::default(),
            life: Life::default(),
            marks: Marks::default(),
        })
    }

    /// The card was reset or lost its power.
    pub(super) fn started(&mut self) {
        self.stop_waiting();
        self.place = Place::Elsewhere;
        self.transaction = Transaction::UNKNOWN;
    }

    /// What was sent cannot be followed.
    pub(super) fn lose_sight(&mut self) {
        self.forget();
        self.place = Place::Unknown;
    }

    /// Nothing is known but what no command can take back.
    fn forget(&mut self) {
        self.is_as_issued = false;
        self.waits = None;
        self.transaction = Transaction::UNKNOWN;
        self.elements = Elements::default();
        self.ledger = Ledger::default();
        self.records = Records::default();
        self.life.forget();
        self.marks = Marks::default();
    }

    /// One command on the basic channel.
    pub(super) fn watch(&mut self, turn: &Turn<'_>, found: &mut Findings) {
        self.stop_waiting();
        // The right Le was told, and nothing done.
        if turn.sw.is_some_and(|sw| sw.sw1() == 0x6C) {
            return;
        }
        let selects = turn.command.ins == 0xA4 && turn.command.class.base() == 0x00;
        let may_choose = selects && turn.command.p1 == 0x04;
        if self.place == Place::Elsewhere && !may_choose {
            return;
        }
        if turn.sw.is_some() && turn.data.is_none() {
            self.waits = Some(turn.command.ins);
            return;
        }
        self.hear(turn, found);
    }

    /// The data of a command whose status word came before them.
    pub(super) fn watch_rest(&mut self, turn: &Turn<'_>, found: &mut Findings) {
        if self.waits.take().is_some() {
            self.hear(turn, found);
        }
    }

    /// The data of the command before were never fetched.
    fn stop_waiting(&mut self) {
        match self.waits.take() {
            None | Some(0x84 | 0x88 | 0xB2 | 0xCA) => {}
            Some(0xA4) => {
                self.place = Place::Unknown;
                self.transaction = Transaction::UNKNOWN;
            }
            Some(_) => self.forget(),
        }
    }

    fn hear(&mut self, turn: &Turn<'_>, found: &mut Findings) {
        let end = End::of(turn);
        let command = &turn.command;
        let class = command.class.base();
        if (class, command.ins) == (0x00, 0xA4) {
            self.selected(turn, end, found);
            return;
        }
        match self.place {
            Place::Here => {}
            Place::Elsewhere => return,
            Place::Unknown => {
                let changes = matches!(
                    command.ins,
                    0x16 | 0x18 | 0x1E | 0x20 | 0x24 | 0x82 | 0xA8 | 0xAE | 0xDA | 0xDC | 0xE2
                );
                if changes && !matches!(end, End::Refused(_)) {
                    self.forget();
                }
                return;
            }
        }
        match (class, command.ins) {
            (0x80, 0xA8) => self.begun(turn, end),
            (0x80, 0xAE) => self.generated(turn, end, found),
            (0x80, 0xCA) => self.told(turn, end, found),
            (0x00, 0x20) => self.verified(turn, end),
            (0x00, 0x82) => self.transaction.issuer.heard(turn.sw),
            (0x00, 0x88) => self.proved(turn, end, found),
            (0x00, 0xB2) => self.read(turn, end, found),
            (0x84, 0x16 | 0x18 | 0x1E | 0x24) | (0x04, 0xDA | 0xDC) => {
                self.scripted(turn, end, found);
            }
            // Another one is made of it.
            (0x80 | 0x84, 0xE2) if !matches!(end, End::Refused(_)) => self.forget(),
            _ => {}
        }
        if end == End::Lost {
            self.transaction = Transaction::UNKNOWN;
        }
    }

    /// SELECT, by name or otherwise.
    fn selected(&mut self, turn: &Turn<'_>, end: End, found: &mut Findings) {
        let (command, name) = (&turn.command, self.application.aid());
        let by_name = command.p1 == 0x04;
        if by_name && command.data == name.as_bytes() && command.p2 == 0x00 {
            self.life.watch_ended(turn.sw, found);
        }
        if end != End::Done {
            // What was selected still is; whether its payment goes on, cards differ.
            self.transaction = Transaction::UNKNOWN;
            if turn.sw == Some(Sw::APPLET_SELECT_FAILED) {
                self.place = Place::Unknown;
            }
            return;
        }
        let answer = turn.data.unwrap_or_default();
        let told = tlv::find(answer, &[tag!(0x6F), tag!(0x84)]).ok().flatten();
        self.place = match told {
            Some(told) if told == name.as_bytes() => Place::Here,
            Some(_) => Place::Elsewhere,
            None if by_name && command.data == name.as_bytes() => Place::Here,
            None if by_name && !name.as_bytes().starts_with(command.data) => Place::Elsewhere,
            None => Place::Unknown,
        };
        self.transaction = Transaction::UNKNOWN;
        if self.place != Place::Here {
            return;
        }
        self.enter();
        self.transaction = Transaction::of(Phase::Selected);
        self.lists.take_fci(answer);
        self.life.watch_select(turn.sw, found);
    }

    /// What is dear to know is made when the application is first selected.
    fn enter(&mut self) {
        if let Some(seed) = self.seed.take() {
            self.keys = self.application.keys(&Keys::from_seed(seed));
            let (rsa, sm2) = self.application.public_keys();
            self.signers.extend(rsa.map(PublicKey::Rsa));
            self.signers.extend(sm2.map(PublicKey::Sm2));
        }
        if self.issued.is_some() {
            return;
        }
        let issued = Issued::of(self.application);
        if self.is_as_issued {
            self.ledger = Ledger::of_new(issued.amount(Element::BALANCE));
            self.life = Life::of_new(self.application.starts_inactive());
        }
        self.issued = Some(issued);
    }

    /// A data element as it is now.
    fn now(&self, tag: u16) -> Option<&[u8]> {
        match self.elements.known(tag) {
            Some(known) => known,
            None => self
                .issued
                .as_ref()
                .filter(|_| self.is_as_issued)
                .and_then(|issued| issued.element(tag)),
        }
    }
}
