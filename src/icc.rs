//! A card as a reader sees it: ours, or a real one behind a reader.
//!
//! The one seam of the house: links, the desk, the suite and the command drive
//! any `Icc` and know nothing else of a card.
//!
//! Source: ISO/IEC 7816-3:2006, 6 (activation, reset, deactivation).

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
