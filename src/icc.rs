//! A card as a reader sees it: ours, or a real one behind a reader.
//!
//! The one seam of the house: links, the desk, the suite and the command drive
//! any `Icc` and know nothing else of a card. A [`Tearable`] is one whose power can
//! be cut at a write, which no real card allows.
//!
//! Source: ISO/IEC 7816-3:2006, 6 (activation, reset, deactivation).

use crate::memory::{Cut, Worn};
use thiserror::Error;

/// Why a card gave no answer at all.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Lost {
    /// The card has no power: it was never switched on, or power was cut.
    #[error("the card has no power")]
    NoPower,
    /// The card is powered and stays silent until the next reset.
    #[error("the card is mute until it is reset")]
    Mute,
    /// The way to the card is broken; the text says where.
    #[error("the link to the card is lost: {0}")]
    Link(String),
}

/// What a reader can do with a card.
pub trait Icc {
    /// Supplies power and resets cold; gives the bytes of the ATR.
    ///
    /// # Errors
    /// [`Lost`] where no ATR came.
    fn power_on(&mut self) -> Result<Vec<u8>, Lost>;

    /// Resets warm, power kept; gives the bytes of the ATR.
    ///
    /// # Errors
    /// [`Lost`] where no ATR came, [`Lost::NoPower`] before a [`power_on`](Icc::power_on).
    fn reset(&mut self) -> Result<Vec<u8>, Lost>;

    /// Takes the power away; what was not committed is gone.
    fn power_off(&mut self);

    /// Sends one command APDU and puts the response APDU, which ends in SW1
    /// SW2, into `response`, whose former content is dropped.
    ///
    /// # Errors
    /// [`Lost`] where no response came; `response` is then empty.
    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost>;
}

impl<I: Icc + ?Sized> Icc for &mut I {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        (**self).power_on()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        (**self).reset()
    }

    fn power_off(&mut self) {
        (**self).power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        (**self).transmit(command, response)
    }
}

impl<I: Icc + ?Sized> Icc for Box<I> {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        (**self).power_on()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        (**self).reset()
    }

    fn power_off(&mut self) {
        (**self).power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        (**self).transmit(command, response)
    }
}

/// A card whose power can be cut at any write of its memory, and that can be copied.
pub trait Tearable: Icc + Send {
    /// A second card in the very same state, power and link and all.
    fn fork(&mut self) -> Box<dyn Tearable>;

    /// Cuts the power at a write to come, counted from now, of a command or of the
    /// recovery at the next [`power_on`](Icc::power_on), which gives the power back. Once
    /// the card has started, no cut is armed.
    fn cut(&mut self, cut: Cut);

    /// Takes back a cut that has not happened.
    fn disarm(&mut self);

    /// Wears cells of its memory out, at a write to come; for good, and in its copies too.
    fn wear(&mut self, worn: Worn);

    /// Takes back what [`wear`](Tearable::wear) asked for and has not happened; whether it
    /// has.
    fn spare(&mut self) -> bool;

    /// How many physical writes its memory has made; a copy begins to count anew.
    fn writes(&self) -> u64;

    /// What its memory holds: two cards whose contents are equal answer alike after a
    /// reset. `None` where that cannot be seen.
    fn contents(&self) -> Option<Vec<u8>>;
}

impl Tearable for Box<dyn Tearable> {
    fn fork(&mut self) -> Box<dyn Tearable> {
        (**self).fork()
    }

    fn cut(&mut self, cut: Cut) {
        (**self).cut(cut);
    }

    fn disarm(&mut self) {
        (**self).disarm();
    }

    fn wear(&mut self, worn: Worn) {
        (**self).wear(worn);
    }

    fn spare(&mut self) -> bool {
        (**self).spare()
    }

    fn writes(&self) -> u64 {
        (**self).writes()
    }

    fn contents(&self) -> Option<Vec<u8>> {
        (**self).contents()
    }
}
