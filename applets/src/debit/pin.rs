//! VERIFY: the PIN in the clear or enciphered.
//!
//! The PIN is kept and compared as its block: '2N', digits, filled with 'F'; a block of
//! another form is a wrong PIN. Enciphered it comes under the card's RSA key for PINs,
//! or under its only one, together with a challenge: '7F', the block, the challenge, and
//! anything. Without such a key P2 '88' is unknown.
//!
//! The last wrong PIN can block the application, by the application default action. That
//! the last try is about to be spent is marked before; if power goes between the spent
//! try and the block, SELECT finds the mark and makes up for it.
//!
//! Source: JR/T 0025.5, VERIFY, by public material; EMV 4.3 Book 2, 7 (enciphered PIN).

use super::Debit;
use super::data::name;
use super::risk::DefaultAction;
use super::state::{Cvr, Events, Life};
use cardlab::apdu::Sw;
use cardlab::applet::{Ctx, Outcome, Reply};
use cardlab::crypto::{RsaPrivate, equal};
use zeroize::Zeroize;

impl Debit {
    /// VERIFY with a PIN block in the clear.
    ///
    /// # Errors
    /// '6A88' where there is no PIN; '6984' where no try was left before the
    /// transaction, and '6983' when told again or where none is left in it; the warning
    /// '63CX' for a wrong PIN.
    pub(super) fn verify(&self, ctx: &mut Ctx<'_>, block: &[u8; 8]) -> Outcome {
        self.check_pin_is_usable(ctx)?;
        if self.pin.tries_left(ctx) == 1 && !self.ledger.last_try.is_set(ctx) {
            self.ledger.last_try.set(ctx);
        }
        let right = self.pin.check(ctx, block);
        let mut cvr = self.transaction.cvr(ctx) | Cvr::PIN_PERFORMED;
        cvr.set(Cvr::PIN_FAILED, !right);
        if right {
            if self.ledger.last_try.is_set(ctx) {
                self.ledger.last_try.take_back(ctx);
            }
            self.transaction.set_cvr(ctx, cvr);
            return Ok(Reply::OK);
        }
        let left = self.pin.tries_left(ctx);
        if left == 0 {
            cvr |= Cvr::PIN_EXHAUSTED;
            self.transaction.note(ctx, Events::PIN_EXHAUSTED);
            if self.note_exhausted(ctx) {
                cvr |= Cvr::BLOCKED_FOR_PIN;
            }
        }
        self.transaction.set_cvr(ctx, cvr);
        Ok(Reply::warning(Sw::tries_left(left)))
    }

    /// VERIFY with an enciphered PIN.
    ///
    /// # Errors
    /// '6A86' where the card has no key for it; '6A88', '6983' and '6984' as in the
    /// clear; '6700' where the data are not as long as the key; '6984' without a
    /// challenge or where what was enciphered is none of it; '63CX'.
    pub(super) fn verify_enciphered(
        &self,
        ctx: &mut Ctx<'_>,
        data: &[u8],
        challenge: Option<[u8; 8]>,
    ) -> Outcome {
        let key = self.pin_key(ctx).ok_or(Sw::WRONG_P1_P2)?;
        if data.len() != key.modulus_len() {
            return Err(Sw::WRONG_LENGTH);
        }
        self.check_pin_is_usable(ctx)?;
        let challenge = challenge.ok_or(Sw::REFERENCE_DATA_NOT_USABLE)?;
        let mut plain = key.apply(data).ok_or(Sw::REFERENCE_DATA_NOT_USABLE)?;
        let outcome = match plain.split_first_chunk::<17>() {
            Some(([0x7F, rest @ ..], _)) if equal(&rest[8..], &challenge) => {
                let mut block = [0; 8];
                block.copy_from_slice(&rest[..8]);
                self.verify(ctx, &block)
            }
            _ => Err(Sw::REFERENCE_DATA_NOT_USABLE),
        };
        plain.zeroize();
        outcome
    }

    fn pin_key(&self, ctx: &Ctx<'_>) -> Option<RsaPrivate> {
        self.rsa(ctx, name::DGI_8301_PIN_RSA)
            .or_else(|_| self.rsa(ctx, name::DGI_8201_RSA))
            .ok()
    }

    fn check_pin_is_usable(&self, ctx: &mut Ctx<'_>) -> Result<(), Sw> {
        if self.pin.limit(ctx) == 0 {
            return Err(Sw::REFERENCE_DATA_NOT_FOUND);
        }
        if self.pin.tries_left(ctx) > 0 {
            return Ok(());
        }
        let cvr = self.transaction.cvr(ctx) | Cvr::PIN_PERFORMED | Cvr::PIN_FAILED;
        self.transaction.set_cvr(ctx, cvr);
        let told = Events::PIN_TOLD | Events::PIN_EXHAUSTED;
        if self.transaction.events(ctx).intersects(told) {
            return Err(Sw::METHOD_BLOCKED);
        }
        self.transaction.note(ctx, Events::PIN_TOLD);
        Err(Sw::REFERENCE_DATA_NOT_USABLE)
    }

    /// Whether there is a PIN and no try at it is left.
    pub(super) fn pin_is_blocked(&self, ctx: &Ctx<'_>) -> bool {
        self.pin.limit(ctx) > 0 && self.pin.tries_left(ctx) == 0
    }

    /// Does what the spending of the last try brings with it; whether that blocks the
    /// application.
    fn note_exhausted(&self, ctx: &mut Ctx<'_>) -> bool {
        self.ledger.last_try.clear(ctx);
        let blocks = self
            .default_action(ctx)
            .contains(DefaultAction::PIN_EXHAUSTED_BLOCKS);
        if blocks && self.is_active(ctx) {
            self.ledger.set_life(ctx, Life::Blocked);
        }
        blocks
    }

    /// Makes up for a block that a loss of power prevented.
    pub(super) fn make_up_for_pin(&self, ctx: &mut Ctx<'_>) {
        if self.pin_is_blocked(ctx) && self.ledger.last_try.is_set(ctx) {
            self.note_exhausted(ctx);
        }
    }
}
