//! The subject is a switch: the same cases run on any card behind an `Icc`.

use cardlab::crypto::Key;
use cardlab::icc::{Icc, Tearable};
use cardlab_desk::profile::Profile;
use std::sync::Arc;

/// A card to be tested, and the keys that a terminal would have for it.
pub trait Subject: Sync {
    /// What reports call it: `in-process`, `t0`, `t1`, `vpcd`.
    fn name(&self) -> &str;

    /// The card as it was issued, without power; each case starts with one.
    ///
    /// # Errors
    /// A sentence where there is no card.
    fn fresh(&self) -> Result<Box<dyn Icc + '_>, String>;

    /// A subject whose cards are issued from this profile, by the same seed and reached in
    /// the same way; `None` where no cards are issued, as with every real one.
    ///
    /// # Errors
    /// A sentence where a card cannot be issued so.
    fn issued(&self, profile: &Profile) -> Result<Option<Arc<dyn Subject>>, String> {
        let _ = profile;
        Ok(None)
    }

    /// Whether each fresh card answers the same commands with the same bytes, as one with
    /// a seed does and no real one.
    fn repeats(&self) -> bool {
        false
    }

    /// The same card, its power and its memory under control; `None` where power
    /// cannot be cut at a write, as with every real card.
    fn tearable(&self) -> Option<Box<dyn Tearable>> {
        None
    }

    /// The certificate in DER of the authority that the card's certificates must be of;
    /// `None` where the host knows none. It is asked for in each conversation.
    fn authority(&self) -> Option<Vec<u8>> {
        None
    }

    /// The card's key with this name and version, as the security module derives it.
    fn key(&self, name: &str, version: u8) -> Option<Key>;

    /// The seed of the root that its keys hang from, where that is one for tests: a
    /// terminal's security module is made of it. `None` for a card whose root is
    /// somebody's secret.
    fn seed(&self) -> Option<u64> {
        None
    }
}
