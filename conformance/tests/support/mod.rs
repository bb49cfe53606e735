//! The card of this house as a subject.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use cardlab::crypto::Key;
use cardlab::icc::Icc;
use cardlab::memory::{Cells, Cut, Ending, Worn};
use cardlab::os::Card;
use cardlab_applets::ROM;
use cardlab_conformance::case;
use cardlab_conformance::subject::{Cuttable, Mishap, Subject, Tearable};
use cardlab_desk::hsm::{CardKeys, TestRoot};
use cardlab_desk::issue::issue;
use cardlab_desk::pki::Authority;
use cardlab_desk::profile::Profile;
use std::sync::Mutex;

/// The seed of every card in these tests.
pub(crate) const SEED: u64 = 20_240_601;

/// A card that was issued once; each case gets a fork, in process.
pub(crate) struct Ours {
    card: Mutex<Card>,
    keys: CardKeys,
}

impl Ours {
    /// Manufactures and issues a card.
    pub(crate) fn issued(profile: &Profile) -> Ours {
        let mut card = Card::manufacture(&ROM, SEED);
        let issued = issue(&mut card, profile, SEED).unwrap();
        card.power_off();
        Ours {
            card: Mutex::new(card),
            keys: issued.keys().clone(),
        }
    }

    /// A card as it was issued, without power.
    pub(crate) fn fork(&self) -> Card {
        self.card.lock().unwrap().fork()
    }
}

impl Subject for Ours {
    fn name(&self) -> &str {
        "in-process"
    }

    fn fresh(&self) -> Result<Box<dyn Icc + '_>, String> {
        Ok(Box::new(self.fork()))
    }

    fn repeats(&self) -> bool {
        true
    }

    fn tearable(&self) -> Option<Box<dyn Tearable + '_>> {
        Some(Box::new(Cuttable::new(self.fork(), befall)))
    }

    fn key(&self, name: &str, version: u8) -> Option<Key> {
        self.keys.key(name, version).cloned()
    }

    fn authority(&self) -> Option<Vec<u8>> {
        Authority::new(TestRoot::from_seed(SEED))?
            .certificate()
            .ok()
    }

    fn seed(&self) -> Option<u64> {
        Some(SEED)
    }
}

/// The ways in which a write is left half done, taken in turn.
const TORN: [Ending; 5] = [
    Ending::Prefix,
    Ending::Suffix,
    Ending::MixedByte,
    Ending::Comb,
    Ending::Noise,
];

/// Cuts the power of a card, or wears its cells out.
pub(crate) fn befall(card: &mut Card, mishap: Mishap) -> bool {
    match mishap {
        Mishap::Cut { after_writes, torn } => {
            let turn = usize::try_from(after_writes % 5).unwrap();
            let ending = if torn { TORN[turn] } else { Ending::Clean };
            card.cut(Cut {
                after_writes,
                ending,
            });
            false
        }
        Mishap::Wear {
            after_writes,
            cells,
        } => {
            let cells = match cells {
                case::Cells::Stuck => Cells::Stuck,
                case::Cells::Lost => Cells::Lost,
            };
            card.wear(Worn {
                after_writes,
                cells,
            });
            false
        }
        Mishap::Spare => card.spare(),
    }
}
