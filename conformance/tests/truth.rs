//! The status word tells the truth about memory, in all exchanges of the suite.
//!
//! ISO/IEC 7816-4 promises unchanged non-volatile memory with '62', '64' and '67' to
//! '6F'; here the '9XXX' that refuse a command promise it too. Each command of each
//! case is held against it, and beside each, on a fork of the card in that very state,
//! variants with bytes changed, added or missing: so the refusals are as many as the
//! answers.
//!
//! Source: ISO/IEC 7816-4:2020, 5.6, table 5.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod support;

use cardlab::apdu::{Memory, Response, Sw};
use cardlab::crypto::Key;
use cardlab::icc::{Icc, Lost};
use cardlab::os::Card;
use cardlab_conformance::cards::Cards;
use cardlab_conformance::case::Safety;
use cardlab_conformance::plan;
use cardlab_conformance::runner::judge;
use cardlab_conformance::subject::Subject;
use cardlab_desk::profile::Profile;
use std::cell::RefCell;
use std::collections::BTreeMap;
use std::sync::Mutex;
use support::Ours;

/// How many variants of each command are tried.
const VARIANTS: usize = 3;

/// What was seen: refusals and answers, and each lie.
#[derive(Default)]
struct Seen {
    promises: BTreeMap<u16, usize>,
    lies: Vec<String>,
}

/// A card that is watched.
struct Watched<'w> {
    card: Card,
    seen: &'w Mutex<Seen>,
    dice: RefCell<u64>,
}

/// Whether a command that was answered so may have written.
fn may_write(sw: Sw) -> bool {
    match sw.memory() {
        Memory::Unchanged => false,
        Memory::MayHaveChanged => true,
        Memory::Unsaid => !sw.is_error(),
    }
}

fn watch(card: &mut Card, command: &[u8], response: &mut Vec<u8>, seen: &Mutex<Seen>) {
    let before = card.contents();
    if card.transmit(command, response).is_err() {
        return;
    }
    let sw = Response::parse(response).unwrap().sw;
    if may_write(sw) {
        return;
    }
    let mut seen = seen.lock().unwrap();
    *seen.promises.entry(sw.0).or_default() += 1;
    if card.contents() != before {
        seen.lies
            .push(format!("{} {sw}", hex::encode_upper(command)));
    }
}

impl Watched<'_> {
    /// The next of a fixed row of numbers (xorshift).
    fn roll(&self) -> usize {
        let mut dice = self.dice.borrow_mut();
        *dice ^= *dice << 13;
        *dice ^= *dice >> 7;
        *dice ^= *dice << 17;
        usize::try_from(*dice >> 33).unwrap()
    }

    /// The command with one thing wrong.
    fn variant(&self, command: &[u8]) -> Vec<u8> {
        let mut bytes = command.to_vec();
        let place = self.roll() % bytes.len().max(1);
        match self.roll() % 5 {
            0 => bytes.truncate(place),
            1 => bytes.push(0),
            2 => bytes[place] ^= 1 << (self.roll() % 8),
            3 => bytes[place.min(3)] ^= 1 << (self.roll() % 8),
            _ => bytes[place] = 0xFF,
        }
        bytes
    }
}

impl Icc for Watched<'_> {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.card.power_on()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.card.reset()
    }

    fn power_off(&mut self) {
        self.card.power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        for _ in 0..VARIANTS {
            let variant = self.variant(command);
            watch(&mut self.card.fork(), &variant, response, self.seen);
        }
        watch(&mut self.card, command, response, self.seen);
        if response.is_empty() {
            return Err(Lost::Mute);
        }
        Ok(())
    }
}

struct WatchedSubject<'w> {
    ours: &'w Ours,
    seen: &'w Mutex<Seen>,
}

impl Subject for WatchedSubject<'_> {
    fn name(&self) -> &str {
        "watched"
    }

    fn fresh(&self) -> Result<Box<dyn Icc + '_>, String> {
        Ok(Box::new(Watched {
            card: self.ours.fork(),
            seen: self.seen,
            dice: RefCell::new(0x2545_F491_4F6C_DD1D),
        }))
    }

    fn key(&self, name: &str, version: u8) -> Option<Key> {
        self.ours.key(name, version)
    }

    fn authority(&self) -> Option<Vec<u8>> {
        self.ours.authority()
    }
}

#[test]
fn no_refusal_leaves_a_trace_in_memory() {
    for id in ["henan-2.0", "henan-3.0"] {
        let profile = Profile::load(id).unwrap();
        let ours = Ours::issued(&profile);
        let seen = Mutex::new(Seen::default());
        let subject = WatchedSubject {
            ours: &ours,
            seen: &seen,
        };
        let cards = Cards::of(&subject, &profile);
        for case in plan::for_profile(&profile).unwrap() {
            // The verdicts are the suite's matter.
            let _ = judge(&case, &cards, Safety::Irreversible);
        }
        let seen = seen.into_inner().unwrap();
        println!("{id}: {:04X?}", seen.promises);
        assert!(seen.lies.is_empty(), "{}", seen.lies.join("\n"));
        assert!(seen.promises.values().sum::<usize>() > 10_000);
        assert!(!seen.promises.contains_key(&0x6F00) || seen.promises[&0x6F00] < 100);
        for sw in [
            0x6700, 0x6881, 0x6981, 0x6982, 0x6983, 0x6984, 0x6985, 0x6986, 0x6988, 0x6A80, 0x6A81,
            0x6A82, 0x6A83, 0x6A84, 0x6A85, 0x6A86, 0x6A88, 0x6B00, 0x6D00, 0x6E00, 0x9303,
        ] {
            assert!(seen.promises.contains_key(&sw), "{id}: no {sw:04X}");
        }
    }
}
