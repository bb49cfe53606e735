//! Monitors: what holds in every exchange, whoever sends it and why.
//!
//! [`Monitors`] hear what a reader does to a card and say which invariant broke, by its
//! id of [`ALL`]. [`Watched`] is a card with monitors, and a card itself, so that a link,
//! a terminal or a fuzzer has them by wrapping. They judge what is on the wire alone; what
//! they must know of the card is its profile, and for a bank's sums its keys; a monitor
//! that does not know enough says nothing.
//!
//! They follow the basic channel of the profile's tree. From a chained command, another
//! logical channel, or a SELECT that cannot be followed until the next reset the monitors
//! that need the profile are silent; where the card's structure or keys are changed, or
//! its ATR is not the profile's, for good.

mod again;
mod catalogue;
mod certificate;
mod challenge;
mod money;
mod order;
mod payment;
mod place;
mod protocol;
mod rights;
mod tries;

pub(crate) use again::repeat;
pub use catalogue::{ALL, Monitor, Needs};

use cardlab::apdu::{Command, Response, Sw};
use cardlab::icc::{Icc, Lost};
use cardlab::link::tap::Event;
use cardlab_desk::profile::{Directory, Profile};
use certificate::Certificates;
use challenge::Challenges;
use money::Books;
use payment::Payments;
use place::{Place, Standing};
use protocol::Protocol;
use rights::Rights;
use std::fmt;
use tries::Tries;

const INS_GET_RESPONSE: u8 = 0xC0;
const INS_MANAGE_CHANNEL: u8 = 0x70;
/// How rules and profiles call the environment of social security.
const LABEL_SSSE: &str = "SSSE";

/// What monitors know of a card.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'p> {
    /// What it was issued from.
    pub profile: &'p Profile,
    /// Whether nothing was done with it since: counters are full, the PIN is the initial
    /// one, the account has what the profile says.
    pub as_issued: bool,
    /// The seed of the root that the bank's keys hang from, where it is one for tests.
    pub seed: Option<u64>,
}

/// A monitor that went red.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Violation {
    /// Which.
    pub monitor: &'static Monitor,
    /// In which exchange, from 1.
    pub exchange: usize,
    /// What was seen.
    pub saw: String,
}

/// Id, exchange, what was seen; then what holds, in both languages.
impl fmt::Display for Violation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Monitor { id, en, zh, .. } = self.monitor;
        write!(
            f,
            "{id} exchange {}: {}\n  {en}\n  {zh}",
            self.exchange, self.saw
        )
    }
}

/// The violations so far; each monitor speaks once.
#[derive(Clone, Debug, Default)]
struct Findings {
    exchange: usize,
    all: Vec<Violation>,
}

impl Findings {
    #[cold]
    fn add(&mut self, monitor: &'static Monitor, saw: impl FnOnce() -> String) {
        if self.all.iter().all(|found| found.monitor != monitor) {
            self.all.push(Violation {
                monitor,
                exchange: self.exchange,
                saw: saw(),
            });
        }
    }
}

/// A command and what came of it, '61XX' and what was fetched put together.
struct Turn<'a> {
    command: Command<'a>,
    /// '9000' where data wait; `None` where the card was lost.
    sw: Option<Sw>,
    /// All the data; `None` as long as some wait.
    data: Option<&'a [u8]>,
}

impl Turn<'_> {
    fn is_ok(&self) -> bool {
        self.sw == Some(Sw::OK)
    }
}

/// Data that are fetched in parts.
#[derive(Clone, Debug, Default)]
struct Fetching {
    /// The command; empty where nothing is fetched.
    command: Vec<u8>,
    data: Vec<u8>,
}

/// The monitors of one card.
#[derive(Clone, Debug)]
pub struct Monitors<'p> {
    /// The profile, where the card is known to be of it.
    profile: Option<&'p Profile>,
    /// What happens is not followed until the next reset.
    blind: bool,
    chaining: bool,
    fetching: Fetching,
    found: Findings,
    protocol: Protocol,
    challenges: Challenges,
    standing: Standing<'p>,
    rights: Rights,
    tries: Tries,
    books: Books,
    certificates: Certificates,
    payments: Option<Payments<'p>>,
}

impl<'p> Monitors<'p> {
    /// The monitors of a card that is about to be powered on; without facts, those that
    /// need none.
    #[must_use]
    pub fn new(facts: Option<Facts<'p>>) -> Monitors<'p> {
        let profile = facts.map(|facts| facts.profile);
        let issued = profile.filter(|_| facts.is_some_and(|facts| facts.as_issued));
        Monitors {
            profile,
            blind: true,
            chaining: false,
            fetching: Fetching::default(),
            found: Findings::default(),
            protocol: Protocol::default(),
            challenges: Challenges::default(),
            standing: Standing::at(Place::Unknown),
            rights: Rights::default(),
            tries: Tries::new(issued),
            books: Books::new(issued),
            certificates: Certificates::new(issued.is_some()),
            payments: facts
                .and_then(|facts| Payments::new(facts.profile, facts.as_issued, facts.seed)),
        }
    }

    /// The same, which know the certificate of the authority, in DER, that the card's
    /// certificates must be of.
    #[must_use]
    pub fn with_authority(mut self, authority: Vec<u8>) -> Monitors<'p> {
        self.certificates.trust(authority);
        self
    }

    /// What went wrong so far, each monitor at most once.
    #[must_use]
    pub fn violations(&self) -> &[Violation] {
        &self.found.all
    }

    /// What went wrong, and nothing else.
    #[must_use]
    pub fn into_violations(self) -> Vec<Violation> {
        self.found.all
    }

    /// Hears one thing that a reader did; what went wrong in it.
    pub fn hear(&mut self, event: &Event<'_>) -> &[Violation] {
        let before = self.found.all.len();
        match event {
            Event::PowerOn(Ok(atr)) | Event::Reset(Ok(atr)) => self.started(atr),
            Event::PowerOn(Err(_)) | Event::Reset(Err(_)) | Event::PowerOff => {}
            Event::Exchange { command, response } => {
                self.found.exchange += 1;
                let answer = response.ok().and_then(Response::parse);
                self.exchanged(command, answer.as_ref());
            }
        }
        self.found.all.get(before..).unwrap_or_default()
    }

    fn started(&mut self, atr: &[u8]) {
        self.protocol.started();
        self.chaining = false;
        self.fetching.command.clear();
        self.challenges.dropped();
        self.rights.started(self.tries.was_verified());
        self.tries.started();
        self.books.started();
        self.certificates.started();
        if let Some(payments) = &mut self.payments {
            payments.started();
        }
        self.profile = self.profile.filter(|profile| profile.atr == atr);
        let ssse = self.profile.and_then(ssse);
        self.blind = ssse.is_none();
        let place = ssse.map_or(Place::Unknown, |ssse| Place::In(ssse, None));
        self.standing = Standing::at(place);
    }

    /// What is sent is not followed: nothing is known of what lasts, either.
    fn lose_sight(&mut self) {
        self.blind = true;
        self.tries = Tries::new(None);
        self.books = Books::new(None);
        self.certificates.forget();
        if let Some(payments) = &mut self.payments {
            payments.lose_sight();
        }
    }

    fn exchanged(&mut self, bytes: &[u8], answer: Option<&Response<'_>>) {
        let command = Command::parse(bytes).ok();
        if let Some(answer) = answer {
            self.protocol
                .watch(command.as_ref(), bytes, answer, &mut self.found);
        }
        let Some(command) = command else { return };
        if protocol::fetches(&command) && !command.class.is_chaining() {
            self.fetched(answer);
            return;
        }
        self.fetching.command.clear();
        let continues = command.class.is_chaining();
        if continues || std::mem::replace(&mut self.chaining, continues) {
            self.chaining = continues;
            let refused = answer.is_some_and(|answer| answer.sw.is_error());
            if !continues && !refused && !self.blind {
                self.lose_sight();
            }
            return;
        }
        let waits = answer.filter(|answer| answer.sw.sw1() == 0x61);
        let turn = Turn {
            command,
            sw: answer.map(|answer| waits.map_or(answer.sw, |_| Sw::OK)),
            data: answer.filter(|_| waits.is_none()).map(|answer| answer.data),
        };
        if let Some(answer) = waits {
            self.fetching.command.extend_from_slice(bytes);
            self.fetching.data.clear();
            self.fetching.data.extend_from_slice(answer.data);
        }
        self.turned(&turn);
    }

    /// GET RESPONSE.
    fn fetched(&mut self, answer: Option<&Response<'_>>) {
        if self.fetching.command.is_empty() {
            return;
        }
        let Some(answer) = answer.filter(|answer| answer.sw.sw1() != 0x6C) else {
            return;
        };
        self.fetching.data.extend_from_slice(answer.data);
        if answer.sw.sw1() == 0x61 {
            return;
        }
        let Fetching { mut command, data } = std::mem::take(&mut self.fetching);
        if let Ok(parsed) = Command::parse(&command) {
            self.turned_late(&Turn {
                command: parsed,
                sw: Some(answer.sw),
                data: Some(&data),
            });
        }
        command.clear();
        self.fetching = Fetching { command, data };
    }

    /// Data came whose status word was heard before.
    fn turned_late(&mut self, turn: &Turn<'_>) {
        self.challenges.watch_drawn(turn, &mut self.found);
        if self.blind {
            return;
        }
        self.certificates.watch_data(turn, &mut self.found);
        if let Some(payments) = &mut self.payments {
            payments.watch_rest(turn, &mut self.found);
        }
        if let Place::In(directory, _) = self.standing.place {
            let meant = self.standing.meant(&turn.command);
            self.books
                .watch_rest(turn, &meant, directory, &mut self.found);
        }
    }

    fn turned(&mut self, turn: &Turn<'_>) {
        self.challenges.watch_drawn(turn, &mut self.found);
        let Some(profile) = self.profile.filter(|_| !self.blind) else {
            return;
        };
        let of_another = turn.command.class.channel() != 0;
        if of_another || turn.command.ins == INS_MANAGE_CHANNEL {
            let refused = turn.sw.is_some_and(Sw::is_error);
            if of_another && !refused {
                self.lose_sight();
            }
            return;
        }
        if let Some(payments) = &mut self.payments {
            payments.watch(turn, &mut self.found);
        }
        if turn.sw == Some(Sw::APPLET_SELECT_FAILED) {
            self.standing = Standing::at(Place::Unknown);
            return;
        }
        self.certificates.watch(turn, &mut self.found);
        let meant = self.standing.meant(&turn.command);
        match (self.standing.place, ssse(profile)) {
            (Place::In(directory, _), Some(ssse)) => {
                self.inside(turn, &meant, profile, [directory, ssse]);
            }
            (Place::Outside, _) => {}
            // Whose PIN or key it is cannot be told.
            _ if matches!(turn.command.ins, 0x20 | 0x24 | 0x5E | 0x82) => self.lose_sight(),
            _ => {}
        }
        let before = self.standing.place;
        self.standing.follow(turn, &meant, profile);
        self.moved(before, profile);
        // What the profile says of the card is not true any more.
        if turn.is_ok() && matches!(turn.command.ins, 0x44 | 0xD4 | 0xE0 | 0xE6 | 0xE4 | 0xF0) {
            self.profile = None;
            self.blind = true;
        }
    }

    /// A command in a directory of the profile.
    fn inside(
        &mut self,
        turn: &Turn<'_>,
        meant: &place::Meant<'p>,
        profile: &'p Profile,
        [directory, ssse]: [&Directory; 2],
    ) {
        let found = &mut self.found;
        if !self.standing.leaves(turn, profile) {
            protocol::watch_warning(turn, found);
        }
        if order::is_unclear(&turn.command) {
            self.challenges.watch_used(turn, found);
            return;
        }
        let wrong = order::first_wrong(&turn.command);
        order::watch(turn, wrong, found);
        if wrong.is_some() {
            return;
        }
        if self.standing.watch(turn, meant, found) {
            self.lose_sight();
            return;
        }
        let pin = self.tries.pin_may_open();
        self.rights
            .watch(turn, meant, pin, [directory, ssse], found);
        self.challenges.watch_used(turn, found);
        self.tries.watch(turn, profile, directory, ssse, found);
        self.books.watch(turn, meant, profile, directory, found);
    }

    /// Another directory may be current than before.
    fn moved(&mut self, before: Place<'_>, profile: &Profile) {
        let same = match (before, self.standing.place) {
            (Place::In(before, _), Place::In(now, _)) => before.fid == now.fid,
            (Place::Outside, Place::Outside) | (_, Place::Unknown) => true,
            _ => false,
        };
        if !same {
            self.rights.entered(self.standing.place, profile);
            self.challenges.dropped();
        }
    }
}

fn ssse(profile: &Profile) -> Option<&Directory> {
    profile.directory_by_label(LABEL_SSSE)
}

/// A card with monitors.
#[derive(Debug)]
pub struct Watched<'p, I> {
    icc: I,
    monitors: Monitors<'p>,
}

impl<'p, I: Icc> Watched<'p, I> {
    /// Lets monitors watch a card that is about to be powered on.
    pub const fn new(icc: I, monitors: Monitors<'p>) -> Watched<'p, I> {
        Watched { icc, monitors }
    }

    /// Adds what another way of looking at the card found.
    pub(crate) fn add(&mut self, violation: Violation) {
        self.monitors.found.all.push(violation);
    }

    /// The monitors.
    pub const fn monitors(&self) -> &Monitors<'p> {
        &self.monitors
    }

    /// The card itself, for what is no exchange.
    pub const fn card(&mut self) -> &mut I {
        &mut self.icc
    }

    /// The monitors, without the card.
    #[must_use]
    pub fn into_monitors(self) -> Monitors<'p> {
        self.monitors
    }
}

impl<I: Icc> Icc for Watched<'_, I> {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        let answer = self.icc.power_on();
        self.monitors.hear(&Event::PowerOn(answer.as_deref()));
        answer
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        let answer = self.icc.reset();
        self.monitors.hear(&Event::Reset(answer.as_deref()));
        answer
    }

    fn power_off(&mut self) {
        self.icc.power_off();
        self.monitors.hear(&Event::PowerOff);
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        let answer = self.icc.transmit(command, response);
        self.monitors.hear(&Event::Exchange {
            command,
            response: answer.as_ref().map(|()| response.as_slice()),
        });
        answer
    }
}
