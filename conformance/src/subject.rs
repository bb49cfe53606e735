//! The subject is a switch: the same cases run on any card behind an `Icc`.

use crate::case::Cells;
use cardlab::crypto::Key;
use cardlab::icc::{Icc, Lost};

/// A card to be tested, and the keys that a terminal would have for it.
pub trait Subject: Sync {
    /// What reports call it: `in-process`, `t0`, `t1`, `vpcd`.
    fn name(&self) -> &str;

    /// The card as it was issued, without power; each case starts with one.
    ///
    /// # Errors
    /// A sentence where there is no card.
    fn fresh(&self) -> Result<Box<dyn Icc + '_>, String>;

    /// Whether each fresh card answers the same commands with the same bytes, as one with
    /// a seed does and no real one.
    fn repeats(&self) -> bool {
        false
    }

    /// The same card, its power and its memory under control; `None` where power cannot be
    /// cut at a write, as with every real card.
    fn tearable(&self) -> Option<Box<dyn Tearable + '_>> {
        None
    }

    /// The certificate in DER of the authority that the card's certificates must be of;
    /// `None` where the host knows none.
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

/// What befalls a card at a write of its memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mishap {
    /// Power goes when so many writes more were made, counted from now; `torn` leaves the
    /// next one half done. The next power-on gives it back.
    Cut {
        /// How many writes are made before.
        after_writes: u64,
        /// Whether the next one is left half done.
        torn: bool,
    },
    /// The cells of the write after so many more wear out.
    Wear {
        /// How many writes are made before.
        after_writes: u64,
        /// What becomes of the cells.
        cells: Cells,
    },
    /// No more cells wear out; those that did stay so.
    Spare,
}

/// A card whose power can be cut, and whose cells can be worn out, at a write of its
/// memory.
pub trait Tearable: Icc {
    /// Lets something happen at a write to come. Whether what was to happen to the cells
    /// before has happened.
    fn befall(&mut self, mishap: Mishap) -> bool;
}

/// A card and the switch of its power and its cells.
pub struct Cuttable<I, S> {
    icc: I,
    switch: S,
}

impl<I: Icc, S: FnMut(&mut I, Mishap) -> bool> Cuttable<I, S> {
    /// Puts a switch to a card, which does what [`Tearable::befall`] says.
    pub const fn new(icc: I, switch: S) -> Cuttable<I, S> {
        Cuttable { icc, switch }
    }
}

impl<I: Icc, S> Icc for Cuttable<I, S> {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.icc.power_on()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.icc.reset()
    }

    fn power_off(&mut self) {
        self.icc.power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        self.icc.transmit(command, response)
    }
}

impl<I: Icc, S: FnMut(&mut I, Mishap) -> bool> Tearable for Cuttable<I, S> {
    fn befall(&mut self, mishap: Mishap) -> bool {
        (self.switch)(&mut self.icc, mishap)
    }
}
