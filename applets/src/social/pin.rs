//! The PIN: verified and changed by its holder, unblocked and replaced at the desk.
//!
//! There is one for all of SSSE. Its try counter goes down before anything is
//! compared, at once and for good. Where there is no PIN (its length is 0) the
//! right of the PIN holds, and any PIN presented is wrong and costs nothing.
//!
//! With the switch "first change on the card" a PIN that was loaded or replaced by
//! the issuer can be verified, but opens no file before its holder has changed it.
//!
//! Source: social security card specification, part 5, 7.3, PIN CHANGE/UNBLOCK and
//! VERIFY; part 7, 5; requirements R05, R08, R09, R10.

use super::SocialSecurity;
use super::auth::KID_PUK;
use super::command::{Seal, is_pin};
use super::data::Switches;
use cardlab::apdu::Sw;
use cardlab::applet::{Ctx, Outcome, Reply};
use cardlab::crypto::derive;
use cardlab::files::Area;

impl SocialSecurity {
    /// Whether the right of the PIN holds.
    #[inline]
    pub(super) fn pin_opens(&self, ctx: &Ctx<'_>) -> bool {
        if self.pin.is_verified(ctx) {
            !ctx.get(&self.must_change)
        } else {
            self.pin.limit(ctx) > 0 && self.pin.is_empty(ctx)
        }
    }

    /// VERIFY without data: '9000' where there is no PIN, else '63CX'.
    ///
    /// # Errors
    /// '6A88' where none was ever loaded, '6983', '6984' where memory has lost it, '63CX'.
    ///
    /// Source: social security card specification, part 5, VERIFY.
    pub(super) fn pin_status(&self, ctx: &Ctx<'_>) -> Outcome {
        self.pin_is_loaded(ctx)?;
        match self.pin.tries_left(ctx) {
            _ if self.pin.is_empty(ctx) => Ok(Reply::OK),
            0 => Err(Sw::METHOD_BLOCKED),
            _ if !self.pin.is_whole(ctx) => Err(Sw::REFERENCE_DATA_NOT_USABLE),
            tries => Err(Sw::tries_left(tries)),
        }
    }

    /// VERIFY.
    ///
    /// # Errors
    /// '6A88' where no PIN was ever loaded, '6983', '6984' where memory has lost it, '63CX'.
    ///
    /// Source: social security card specification, part 5, VERIFY.
    #[inline]
    pub(super) fn verify(&self, ctx: &mut Ctx<'_>, pin: &[u8]) -> Outcome {
        self.pin_is_loaded(ctx)?;
        self.check_pin(ctx, pin)?;
        Ok(Reply::OK)
    }

    /// CHANGE PIN: also gives all tries back. The new PIN is to be verified anew.
    ///
    /// # Errors
    /// '6A88' where no PIN was ever loaded, '6A80' where the new one is not of a length
    /// that the issuer allows or where a first change changes nothing, '6983', '6984' where
    /// memory has lost the old one, '63CX'.
    ///
    /// Source: social security card specification, part 5, 7.3.
    pub(super) fn change_pin(&self, ctx: &mut Ctx<'_>, old: &[u8], new: &[u8]) -> Outcome {
        self.pin_is_loaded(ctx)?;
        let is_first = ctx.get(&self.must_change);
        if !self.may_become_pin(ctx, new) || (is_first && (new.is_empty() || new == old)) {
            return Err(Sw::WRONG_DATA);
        }
        self.check_pin(ctx, old)?;
        self.set_pin(ctx, new)?;
        ctx.set(&self.must_change, false);
        Ok(Reply::OK)
    }

    /// PIN CHANGE/UNBLOCK, P2 00: gives all tries back.
    ///
    /// # Errors
    /// '6A88' where no PIN was ever loaded, '6985' outside SSSE, '6982' without the right
    /// of the PUK, '6A88' where SSSE has no key for messages, '6984', '6988'.
    ///
    /// Source: social security card specification, part 5, PIN CHANGE/UNBLOCK.
    pub(super) fn unblock_pin(&self, ctx: &mut Ctx<'_>, area: &Area, seal: &Seal<'_>) -> Outcome {
        self.pin_is_loaded(ctx)?;
        self.demand_key_of_ssse(ctx, area, KID_PUK)?;
        self.unseal(ctx, area, true, seal)?;
        self.pin.unblock(ctx);
        Ok(Reply::OK)
    }

    /// PIN CHANGE/UNBLOCK, P2 01: replaces the PIN and gives all tries back; nothing
    /// enciphered is no PIN.
    ///
    /// # Errors
    /// As [`unblock_pin`](SocialSecurity::unblock_pin), then '6A80' where what was
    /// enciphered cannot be the PIN.
    ///
    /// Source: social security card specification, part 5, PIN CHANGE/UNBLOCK.
    pub(super) fn reset_pin(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        enciphered: &[u8],
        seal: &Seal<'_>,
    ) -> Outcome {
        self.pin_is_loaded(ctx)?;
        self.demand_key_of_ssse(ctx, area, KID_PUK)?;
        let session = self.unseal(ctx, area, true, seal)?;
        let mut buffer = [0; 16];
        let data = buffer.get_mut(..enciphered.len()).ok_or(Sw::WRONG_DATA)?;
        data.copy_from_slice(enciphered);
        let new = derive::decipher(&session, data).ok_or(Sw::WRONG_DATA)?;
        if !is_pin(new) || !self.may_become_pin(ctx, new) {
            return Err(Sw::WRONG_DATA);
        }
        self.set_pin(ctx, new)?;
        self.expect_first_change(ctx, new);
        Ok(Reply::OK)
    }

    /// WRITE PIN, of the issuer: loads the PIN with its number of tries.
    pub(super) fn load_pin(&self, ctx: &mut Ctx<'_>, tries: u8, pin: &[u8]) -> Outcome {
        self.pin.set_limit(ctx, tries);
        self.set_pin(ctx, pin)?;
        self.expect_first_change(ctx, pin);
        Ok(Reply::OK)
    }

    #[inline]
    fn pin_is_loaded(&self, ctx: &Ctx<'_>) -> Result<(), Sw> {
        if self.pin.limit(ctx) > 0 {
            Ok(())
        } else {
            Err(Sw::REFERENCE_DATA_NOT_FOUND)
        }
    }

    #[inline]
    fn check_pin(&self, ctx: &mut Ctx<'_>, pin: &[u8]) -> Result<(), Sw> {
        let tries = self.pin.tries_left(ctx);
        if tries == 0 {
            return Err(Sw::METHOD_BLOCKED);
        }
        if !self.pin.is_whole(ctx) {
            return Err(Sw::REFERENCE_DATA_NOT_USABLE);
        }
        if !pin.is_empty() && self.pin.is_empty(ctx) {
            return Err(Sw::tries_left(tries));
        }
        if self.pin.check(ctx, pin) {
            Ok(())
        } else {
            Err(Sw::tries_left(tries - 1))
        }
    }

    fn may_become_pin(&self, ctx: &Ctx<'_>, new: &[u8]) -> bool {
        new.is_empty() || self.setup.allows_pin_len(ctx, new.len())
    }

    fn set_pin(&self, ctx: &mut Ctx<'_>, new: &[u8]) -> Result<(), Sw> {
        if self.pin.replace(ctx, new) {
            Ok(())
        } else {
            Err(Sw::WRONG_DATA)
        }
    }

    fn expect_first_change(&self, ctx: &mut Ctx<'_>, new: &[u8]) {
        let on_card = self.setup.is_on(ctx, Switches::FIRST_CHANGE_ON_CARD);
        ctx.set(&self.must_change, on_card && !new.is_empty());
    }
}
