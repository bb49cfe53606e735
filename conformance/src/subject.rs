//! The subject is a switch: the same cases run on any card behind an `Icc`.

use cardlab::crypto::Key;
use cardlab::icc::Icc;

/// A card to be tested, and the keys that a terminal would have for it.
pub trait Subject: Sync {
    /// What reports call it: `in-process`, `t0`, `vpcd`.
    fn name(&self) -> &str;

    /// The card as it was issued, without power; each case starts with one.
    ///
    /// # Errors
    /// A sentence where there is no card.
    fn fresh(&self) -> Result<Box<dyn Icc + '_>, String>;

    /// The card's key with this name and version, as the security module derives it.
    fn key(&self, name: &str, version: u8) -> Option<Key>;
}
