//! The card of this house as a subject.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

use cardlab::crypto::Key;
use cardlab::icc::{Icc, Tearable};
use cardlab::os::Card;
use cardlab_applets::ROM;
use cardlab_conformance::subject::Subject;
use cardlab_desk::hsm::{CardKeys, TestRoot};
use cardlab_desk::issue::issue;
use cardlab_desk::pki::Authority;
use cardlab_desk::profile::Profile;
use std::collections::HashMap;
use std::sync::{Arc, LazyLock, Mutex};

/// The seed of every card in these tests.
pub(crate) const SEED: u64 = 20_240_601;

/// A card that was issued once; each case gets a fork, in process.
pub(crate) struct Ours {
    card: Mutex<Card>,
    keys: CardKeys,
    /// Those issued for cases with an application of their own, by the profile's id.
    others: Mutex<HashMap<String, Arc<Ours>>>,
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
            others: Mutex::default(),
        }
    }

    /// The card of another profile, issued at the first call.
    pub(crate) fn other(&self, profile: &Profile) -> Arc<Ours> {
        let mut others = self.others.lock().unwrap();
        let other = others
            .entry(profile.id.clone())
            .or_insert_with(|| Arc::new(Ours::issued(profile)));
        other.clone()
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
        Ok(Some(self.other(profile)))
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
