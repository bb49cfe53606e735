//! The PIN: iVerifyPIN, iChangePIN, iReloadPIN, iUnblockPIN.
//!
//! Reloading and unblocking want the right of the PUK; that the holder shows their
//! identity document before is the desk's business.

use super::{Failure, Seal, Terminal, Visit};
use crate::profile::FirstChange;
use crate::psam::pin_bytes;
use cardlab::apdu::Sw;

impl Terminal<'_> {
    /// iVerifyPIN: whether this is the PIN of the card.
    ///
    /// # Errors
    /// [`Failure::NoPin`], [`Failure`] in the order of the module's head,
    /// [`Failure::PinWrong`], [`Failure::PinLocked`], [`Failure::Card`].
    pub fn verify_pin(&mut self, pin: &str) -> Result<(), Failure> {
        let pin = digits(pin)?;
        self.begin(false)?;
        self.verify(&pin)
    }

    /// iChangePIN: from one PIN to another, which is not the initial one.
    ///
    /// # Errors
    /// [`Failure::NoPin`], [`Failure`] in the order of the module's head,
    /// [`Failure::ToInitialPin`], [`Failure::PinWrong`], [`Failure::PinLocked`],
    /// [`Failure::Card`].
    pub fn change_pin(&mut self, from: &str, to: &str) -> Result<(), Failure> {
        let (old, new) = (digits(from)?, digits(to)?);
        let visit = self.begin(false)?;
        if self.initial(&visit, to) {
            return Err(Failure::ToInitialPin);
        }
        let data = [&old[..], &[0xFF], &new].concat();
        let answer = self.send([0x80, 0x5E, 0x01, 0x00], &data, 0)?;
        judge("CHANGE PIN", answer.sw)
    }

    /// iReloadPIN: sets a PIN anew and unlocks it; the old one is not asked for.
    ///
    /// # Errors
    /// [`Failure::NoPin`], [`Failure`] in the order of the module's head, what the key
    /// refuses, [`Failure::Card`].
    pub fn reload_pin(&mut self, to: &str) -> Result<(), Failure> {
        digits(to)?;
        self.maintain_pin([0x84, 0x24, 0x00, 0x01], Some(to))
    }

    /// iUnblockPIN: unlocks the PIN and leaves it as it is.
    ///
    /// # Errors
    /// [`Failure`] in the order of the module's head, what the key refuses,
    /// [`Failure::Card`].
    pub fn unblock_pin(&mut self) -> Result<(), Failure> {
        self.maintain_pin([0x84, 0x24, 0x00, 0x00], None)
    }

    fn maintain_pin(&mut self, header: [u8; 4], pin: Option<&str>) -> Result<(), Failure> {
        let mut visit = self.begin(false)?;
        self.enter(&mut visit, "PUK")?;
        let random = self.challenge()?;
        let layout = self.layouts.of(visit.facts.version);
        let name = "STKSSSE";
        let key = layout.key(name).map(|(_, key)| key);
        let seal = Seal {
            key: key.ok_or_else(|| Failure::NoKey(name.to_owned()))?,
            random,
            header,
            pin,
        };
        let data = self.module.seal(&visit.facts.identity, &seal)?;
        self.ask("PIN CHANGE/UNBLOCK", header, &data, 0).map(drop)
    }

    /// Presents what the holder keyed in, where the card has a PIN; nothing where they
    /// keyed nothing in, so that the card refuses what follows.
    ///
    /// # Errors
    /// [`Failure::PinLocked`], [`Failure::InitialPin`], [`Failure::NoPin`],
    /// [`Failure::PinWrong`], [`Failure::Card`].
    pub(super) fn open_by_pin(&mut self, visit: &mut Visit) -> Result<(), Failure> {
        if visit.pin {
            return Ok(());
        }
        let state = self.send([0x00, 0x20, 0x00, 0x00], &[], 0)?;
        match state.sw {
            // The card has none.
            Sw::OK => visit.pin = true,
            Sw::METHOD_BLOCKED => return Err(Failure::PinLocked),
            _ => {
                if let Some(pin) = self.policy.pin.clone() {
                    if self.initial(visit, &pin) {
                        return Err(Failure::InitialPin);
                    }
                    self.verify(&digits(&pin)?)?;
                    visit.pin = true;
                    let rules = &self.layouts.of(visit.facts.version).pin;
                    self.opens_nothing = rules.first_change == FirstChange::Card
                        && rules.initial.as_deref() == Some(&*pin);
                }
            }
        }
        Ok(())
    }

    fn verify(&mut self, pin: &[u8]) -> Result<(), Failure> {
        let answer = self.send([0x00, 0x20, 0x00, 0x00], pin, 0)?;
        judge("VERIFY", answer.sw)
    }

    /// Whether a PIN is the initial one and the terminal sees to its first change.
    fn initial(&self, visit: &Visit, pin: &str) -> bool {
        let rules = &self.layouts.of(visit.facts.version).pin;
        rules.first_change == FirstChange::Terminal
            && !self.policy.initial_pin_transacts
            && rules.initial.as_deref() == Some(pin)
    }
}

/// The bytes of a PIN of at least four digits.
fn digits(pin: &str) -> Result<Vec<u8>, Failure> {
    let bytes = pin_bytes(pin).filter(|bytes| !bytes.is_empty());
    bytes.ok_or(Failure::NoPin)
}

/// What an answer to a PIN means.
fn judge(what: &'static str, sw: Sw) -> Result<(), Failure> {
    match sw.0 {
        0x9000 => Ok(()),
        0x63C0 | 0x6983 => Err(Failure::PinLocked),
        0x63C1..=0x63CF => Err(Failure::PinWrong(sw.sw2() & 0x0F)),
        _ => Err(Failure::Card(what, sw)),
    }
}
