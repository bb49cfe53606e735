//! The card of this house as a subject, in process and behind T=0.

use cardlab::crypto::Key;
use cardlab::icc::{Icc, Lost};
use cardlab::link::t0::T0;
use cardlab::memory::{Cut, Ending};
use cardlab::os::Card;
use cardlab_applets::ROM;
use cardlab_conformance::subject::{Subject, Tearable};
use cardlab_desk::hsm::CardKeys;
use cardlab_desk::issue::issue;
use cardlab_desk::profile::Profile;
use std::sync::Mutex;

/// The seed of every card in these tests.
pub(crate) const SEED: u64 = 20_240_601;

/// How a card is reached.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    /// Called directly.
    InProcess,
    /// Byte by byte.
    T0,
}

/// A card that was issued once; each case gets a fork.
pub(crate) struct Ours {
    card: Mutex<Card>,
    keys: CardKeys,
    way: Way,
}

impl Ours {
    /// Manufactures and issues a card.
    pub(crate) fn issued(profile: &Profile, way: Way) -> Ours {
        let mut card = Card::manufacture(&ROM, SEED);
        let issued = issue(&mut card, profile, SEED).unwrap();
        card.power_off();
        Ours {
            card: Mutex::new(card),
            keys: issued.keys().clone(),
            way,
        }
    }

    /// A card as it was issued, without power.
    pub(crate) fn fork(&self) -> Card {
        self.card.lock().unwrap().fork()
    }
}

impl Subject for Ours {
    fn name(&self) -> &str {
        match self.way {
            Way::InProcess => "in-process",
            Way::T0 => "t0",
        }
    }

    fn fresh(&self) -> Result<Box<dyn Icc + '_>, String> {
        let card = self.fork();
        Ok(match self.way {
            Way::InProcess => Box::new(card),
            Way::T0 => Box::new(T0::new(card)),
        })
    }

    fn tearable(&self) -> Option<Box<dyn Tearable + '_>> {
        Some(Box::new(Torn(self.fork())))
    }

    fn key(&self, name: &str, version: u8) -> Option<Key> {
        self.keys.key(name, version).cloned()
    }
}

/// The ways in which a write is left half done, taken in turn.
const TORN: [Ending; 4] = [
    Ending::Prefix,
    Ending::Suffix,
    Ending::MixedByte,
    Ending::Comb,
];

/// A card whose power is in our hands.
struct Torn(Card);

impl Icc for Torn {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.0.power_on()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.0.reset()
    }

    fn power_off(&mut self) {
        self.0.power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        self.0.transmit(command, response)
    }
}

impl Tearable for Torn {
    fn cut(&mut self, after_writes: u64, torn: bool) {
        let ending = if torn {
            TORN[usize::try_from(after_writes).unwrap() % TORN.len()]
        } else {
            Ending::Clean
        };
        self.0.cut(Cut {
            after_writes,
            ending,
        });
    }
}
