//! What only a privileged applet may ask of the card.
//!
//! The issuer security domain is an ordinary applet; that it may install others
//! lies in its privileges and not in the dispatcher.
//!
//! Source: GlobalPlatform Card Specification 2.3.1, 5 (life cycles), 6.6
//! (privileges), 11.1.2 (coding of privileges).

use super::Ctx;
use crate::aid::Aid;
use crate::apdu::Sw;
use bitflags::bitflags;

bitflags! {
    /// Privileges of an applet, three bytes, the first one leftmost.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub struct Privileges: u32 {
        /// Is a security domain.
        const SECURITY_DOMAIN = 0x80_0000;
        /// May lock the card.
        const CARD_LOCK = 0x10_0000;
        /// May end the card's life.
        const CARD_TERMINATE = 0x08_0000;
        /// Is selected on the basic channel after a reset.
        const CARD_RESET = 0x04_0000;
        /// May install applets and set the card's life cycle.
        const AUTHORIZED_MANAGEMENT = 0x00_4000;
    }
}

impl Privileges {
    /// Reads the one byte or the three bytes of an INSTALL command; others are
    /// no privileges, and neither are bits that this card does not know.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Privileges> {
        let word = match *bytes {
            [] => 0,
            [first] => u32::from_be_bytes([0, first, 0, 0]),
            [first, second, third] => u32::from_be_bytes([0, first, second, third]),
            _ => return None,
        };
        Privileges::from_bits(word)
    }
}

/// The life cycle of the card.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum CardLifeCycle {
    /// Being made: the issuer domain works in the clear.
    OpReady = 0x01,
    /// Initial keys and data are there.
    Initialized = 0x07,
    /// In the field.
    Secured = 0x0F,
    /// Locked: every command answers '6A81'.
    Locked = 0x7F,
    /// Ended for good: every command answers '6A81'.
    Terminated = 0xFF,
}

impl CardLifeCycle {
    /// The life cycle of this coding.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<CardLifeCycle> {
        match byte {
            0x01 => Some(CardLifeCycle::OpReady),
            0x07 => Some(CardLifeCycle::Initialized),
            0x0F => Some(CardLifeCycle::Secured),
            0x7F => Some(CardLifeCycle::Locked),
            0xFF => Some(CardLifeCycle::Terminated),
            _ => None,
        }
    }
}

/// The life cycle of an applet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum LifeCycle {
    /// Deleted: it has no name any more, and its memory is not used again.
    Deleted = 0x00,
    /// Installed, not to be selected yet.
    Installed = 0x03,
    /// Can be selected.
    Selectable = 0x07,
    /// Carries its holder's data.
    Personalized = 0x0F,
    /// Locked: SELECT does not find it.
    Locked = 0x83,
}

impl LifeCycle {
    /// The life cycle of this coding; each with bit 8 reads as locked.
    #[must_use]
    pub const fn from_byte(byte: u8) -> Option<LifeCycle> {
        match byte {
            0x00 => Some(LifeCycle::Deleted),
            0x03 => Some(LifeCycle::Installed),
            0x07 => Some(LifeCycle::Selectable),
            0x0F => Some(LifeCycle::Personalized),
            0x80.. => Some(LifeCycle::Locked),
            _ => None,
        }
    }

    /// Whether a SELECT may find it.
    #[must_use]
    pub const fn is_selectable(self) -> bool {
        matches!(self, LifeCycle::Selectable | LifeCycle::Personalized)
    }
}

/// What a privileged applet asked for; the card does it when the command ends well.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Deed {
    /// Install an applet and make it selectable.
    Install {
        /// The load file.
        load_file: Aid,
        /// The module in it.
        module: Aid,
        /// The name that SELECT will know it by.
        instance: Aid,
        /// What it may do.
        privileges: Privileges,
        /// The value of 'C9'.
        parameters: Vec<u8>,
    },
    /// Answer resets with these bytes, 2 to 33.
    SetAtr(Vec<u8>),
    /// Move the card's life cycle.
    SetCardLifeCycle(CardLifeCycle),
    /// Delete an applet that is selected on no other channel.
    Delete {
        /// The instance.
        instance: Aid,
    },
    /// Know the issuer domain by this name.
    NameIssuerDomain(Aid),
    /// Lock an applet, or unlock it.
    SetLocked {
        /// The instance.
        instance: Aid,
        /// Locked or not.
        locked: bool,
    },
}

impl Deed {
    const fn privilege(&self) -> Privileges {
        match self {
            Deed::SetCardLifeCycle(CardLifeCycle::Locked) => Privileges::CARD_LOCK,
            Deed::SetCardLifeCycle(CardLifeCycle::Terminated) => Privileges::CARD_TERMINATE,
            Deed::SetCardLifeCycle(_)
            | Deed::Install { .. }
            | Deed::SetAtr(_)
            | Deed::Delete { .. }
            | Deed::NameIssuerDomain(_)
            | Deed::SetLocked { .. } => Privileges::AUTHORIZED_MANAGEMENT,
        }
    }
}

impl Ctx<'_> {
    /// Asks the card for a deed, done when this command ends well and together
    /// with what it wrote; a second request in one command replaces the first.
    ///
    /// # Errors
    /// '6985' without the privilege.
    pub fn request(&mut self, deed: Deed) -> Result<(), Sw> {
        if !self.hold.privileges.contains(deed.privilege()) {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        *self.deed = Some(deed);
        Ok(())
    }

    /// The card's life cycle.
    #[must_use]
    pub const fn card_life_cycle(&self) -> CardLifeCycle {
        self.hold.card_life_cycle
    }
}

#[cfg(test)]
mod tests {
    use super::{CardLifeCycle, LifeCycle, Privileges};

    #[test]
    fn every_byte_is_one_life_cycle_or_none() {
        for byte in 0..=0xFF {
            if let Some(state) = CardLifeCycle::from_byte(byte) {
                assert_eq!(state as u8, byte);
            }
            let selectable = LifeCycle::from_byte(byte).is_some_and(LifeCycle::is_selectable);
            assert_eq!(selectable, byte == 0x07 || byte == 0x0F);
        }
    }

    #[test]
    fn privileges_have_one_byte_or_three() {
        assert_eq!(
            Privileges::from_bytes(&[0x04]),
            Some(Privileges::CARD_RESET)
        );
        assert_eq!(Privileges::from_bytes(&[]), Some(Privileges::empty()));
        assert_eq!(Privileges::from_bytes(&[0, 0]), None);
        assert_eq!(
            Privileges::from_bytes(&[0, 0, 1]),
            None,
            "a privilege that is not known"
        );
    }
}
