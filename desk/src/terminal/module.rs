//! What a terminal asks of its security module, whichever kind that is.
//!
//! | module | is                                        | file   |
//! |--------|-------------------------------------------|--------|
//! | PSAM   | a card in the terminal's second connector | `psam` |
//! | HSM    | a machine of the centre, asked in strings | `hsm`  |
//!
//! Keys are asked for as the card specification's tables describe them; a module knows
//! its own by usage and identifier, or by address.
//!
//! Source: social security card specification, parts 4, 8 and 9; 38号文.

use super::failure::Failure;
use crate::medical::{Purchase, PurchaseOffer};
use crate::profile::Key;
use cardlab::crypto::derive::{self, Region};

/// The algorithm of a card's keys, by the identifier that its FCI gives.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum CardAlgorithm {
    /// 01: DES and triple DES.
    Des,
    /// 02: SSF33.
    Ssf33,
    /// 03: SM4.
    Sm4,
}

impl CardAlgorithm {
    /// The one with this identifier.
    #[must_use]
    pub const fn from_id(id: u8) -> Option<CardAlgorithm> {
        match id {
            0x01 => Some(CardAlgorithm::Des),
            0x02 => Some(CardAlgorithm::Ssf33),
            0x03 => Some(CardAlgorithm::Sm4),
            _ => None,
        }
    }

    /// Its identifier.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            CardAlgorithm::Des => 0x01,
            CardAlgorithm::Ssf33 => 0x02,
            CardAlgorithm::Sm4 => 0x03,
        }
    }

    /// The bytes of a block.
    #[must_use]
    pub const fn block_len(self) -> usize {
        match self {
            CardAlgorithm::Des => 8,
            CardAlgorithm::Ssf33 | CardAlgorithm::Sm4 => 16,
        }
    }
}

/// What a module must know of a card to find its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Identity {
    /// Whose region it is: the first three bytes of the recognition code.
    pub region: Region,
    /// The historical bytes of its ATR.
    pub historical: [u8; 13],
    /// The algorithm of its keys.
    pub algorithm: CardAlgorithm,
    /// Its recognition code.
    pub recognition_code: [u8; 16],
}

impl Identity {
    /// The factor that leads from the city's key to the card's.
    #[must_use]
    pub fn card_factor(&self) -> [u8; 8] {
        derive::card_factor(&self.historical).unwrap_or_default()
    }

    /// Its region, six digits.
    #[must_use]
    pub fn region_digits(&self) -> String {
        self.region.digits().map(char::from).iter().collect()
    }
}

/// An authentication code to be computed.
#[derive(Clone, Copy, Debug)]
pub struct Ask<'k> {
    /// By which key; its version 01.
    pub key: &'k Key,
    /// The random number of the session.
    pub random: [u8; 8],
    /// What is enciphered.
    pub raw: [u8; 8],
}

/// The data field of a command with secure messaging to be computed.
#[derive(Clone, Copy, Debug)]
pub struct Seal<'k> {
    /// By which maintenance key.
    pub key: &'k Key,
    /// The random number of the session.
    pub random: [u8; 8],
    /// CLA INS P1 P2.
    pub header: [u8; 4],
    /// A PIN to be enciphered, as digits; none for no data but the MAC.
    pub pin: Option<&'k str>,
}

/// A security module.
pub trait SecurityModule {
    /// Two random numbers of the terminal: session and raw bytes of INTERNAL
    /// AUTHENTICATION. `None` where the card is asked for both.
    ///
    /// # Errors
    /// [`Failure`] of the module.
    fn random(&mut self) -> Result<Option<[[u8; 8]; 2]>, Failure>;

    /// The terminal's number.
    ///
    /// # Errors
    /// [`Failure`] of the module.
    fn terminal_number(&mut self) -> Result<[u8; 6], Failure>;

    /// Authentication codes, one for each that is asked for.
    ///
    /// # Errors
    /// [`Failure`] of the module.
    fn authenticate(&mut self, card: &Identity, asks: &[Ask<'_>]) -> Result<Vec<[u8; 8]>, Failure>;

    /// The data field of a command with secure messaging: the enciphered PIN, the MAC.
    ///
    /// # Errors
    /// [`Failure`] of the module.
    fn seal(&mut self, card: &Identity, seal: &Seal<'_>) -> Result<Vec<u8>, Failure>;

    /// Begins a purchase: puts the terminal's number of the transaction into it; MAC1.
    ///
    /// # Errors
    /// [`Failure`] of the module.
    fn purchase(
        &mut self,
        card: &Identity,
        key: &Key,
        purchase: &mut Purchase,
        offer: &PurchaseOffer,
    ) -> Result<[u8; 4], Failure>;

    /// Ends the purchase: checks MAC2.
    ///
    /// # Errors
    /// [`Failure`] of the module, '9302' or '63CF' where MAC2 is wrong.
    fn settle(
        &mut self,
        card: &Identity,
        key: &Key,
        purchase: &Purchase,
        offer: &PurchaseOffer,
        mac2: [u8; 4],
    ) -> Result<(), Failure>;
}
