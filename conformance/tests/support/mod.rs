//! The card of this house as a subject.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use cardlab::crypto::Key;
use cardlab::icc::{Icc, Tearable};
use cardlab::os::Card;
use cardlab_applets::ROM;
use cardlab_conformance::subject::Subject;
use cardlab_desk::hsm::{CardKeys, TestRoot};
use cardlab_desk::issue::{issue_bank, issue_social};
use cardlab_desk::pki::Authority;
use cardlab_desk::profile::Profile;
use std::sync::{Arc, LazyLock, Mutex};

/// The seed of every card in these tests.
pub(crate) const SEED: u64 = 20_240_601;

/// A card that was issued once; each case gets a fork, in process.
pub(crate) struct Ours {
    card: Mutex<Card>,
    /// As it was before its bank side, and what it was issued from.
    social: Arc<(Mutex<Card>, Profile)>,
    keys: CardKeys,
}

impl Ours {
    /// Manufactures and issues a card.
    pub(crate) fn issued(profile: &Profile) -> Ours {
        let mut card = Card::manufacture(&ROM, SEED);
        let keys = issue_social(&mut card, profile, SEED).unwrap();
        Ours::banked(Arc::new((Mutex::new(card), profile.clone())), keys, profile)
    }

    fn banked(social: Arc<(Mutex<Card>, Profile)>, keys: CardKeys, profile: &Profile) -> Ours {
        let mut card = social.0.lock().unwrap().fork();
        issue_bank(&mut card, profile, SEED).unwrap();
        card.power_off();
        Ours {
            card: Mutex::new(card),
            social,
            keys,
        }
    }

    /// The card of another profile; the social side is issued once where it is the same.
    pub(crate) fn other(&self, profile: &Profile) -> Ours {
        if profile.has_social_side_of(&self.social.1) {
            Ours::banked(Arc::clone(&self.social), self.keys.clone(), profile)
        } else {
            Ours::issued(profile)
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

    fn issued(&self, profile: &Profile) -> Result<Option<Arc<dyn Subject>>, String> {
        Ok(Some(Arc::new(self.other(profile))))
    }

    fn repeats(&self) -> bool {
        true
    }

    fn tearable(&self) -> Option<Box<dyn Tearable>> {
        Some(Box::new(self.fork()))
    }

    fn key(&self, name: &str, version: u8) -> Option<Key> {
        self.keys.key(name, version).cloned()
    }

    fn authority(&self) -> Option<Vec<u8>> {
        static AUTHORITY: LazyLock<Option<Vec<u8>>> = LazyLock::new(|| {
            let authority = Authority::new(TestRoot::from_seed(SEED))?;
            authority.certificate().ok()
        });
        AUTHORITY.clone()
    }

    fn seed(&self) -> Option<u64> {
        Some(SEED)
    }
}
