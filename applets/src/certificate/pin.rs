//! Both PINs: proven by a challenge, changed, and the user's replaced.
//!
//! A PIN never goes over the wire to be verified: with the *token*, the first 16 bytes of
//! its SM3 hash, the host enciphers the card's random number of 16 bytes, or of 8 and
//! eight '00' behind them. A random number serves once, right or wrong; the try counter
//! goes down before anything is compared.
//!
//! A new PIN comes as one block, its length, its digits, '80' and zeros, enciphered with
//! the token of the PIN that allows the change; behind it the MAC over header and
//! block: CBC with that token, starting from the challenge, its 16 bytes folded to 4.
//!
//! Each try to prove a PIN that fails takes its right away; so does a change.
//!
//! Source: card traces of two issuing programs, recomputed.

use super::Certificates;
use super::command::{Change, Mac, Who, is_pin};
use super::data::{Act, Secret};
use cardlab::apdu::Sw;
use cardlab::applet::{Ctx, Outcome, Reply};
use cardlab::crypto::{CbcMac, Expanded, Padding, equal};
use zeroize::Zeroize;

impl Certificates {
    /// GET CHALLENGE: a random number of 8 or 16 bytes in place of any before.
    pub(super) fn get_challenge(&self, ctx: &mut Ctx<'_>, len: u8) -> Outcome {
        self.challenge.draw(ctx, len);
        Ok(Reply::OK)
    }

    /// VERIFY without data: '63CX'.
    ///
    /// # Errors
    /// '6A88' where no such PIN was ever loaded, '6983', '63CX'.
    pub(super) fn pin_status(&self, ctx: &Ctx<'_>, who: Who) -> Outcome {
        let secret = self.usable(ctx, who)?;
        Err(Sw::tries_left(secret.tries_left(ctx)))
    }

    /// VERIFY.
    ///
    /// # Errors
    /// '6A88', '6983', '6984' without a challenge, which costs no try, '63CX'.
    pub(super) fn verify(&self, ctx: &mut Ctx<'_>, who: Who, code: &[u8; 16]) -> Outcome {
        let secret = self.usable(ctx, who)?;
        let mut expected = self.take_challenge(ctx)?;
        let left = secret.spend_try(ctx);
        secret.key(ctx).encrypt_block(&mut expected);
        if !equal(&expected, code) {
            return Err(Sw::tries_left(left));
        }
        secret.restore_tries(ctx);
        secret.set_proven(ctx, true);
        Ok(Reply::OK)
    }

    /// CHANGE PIN, by whoever knows it: the MAC is the proof, and a wrong one a wrong PIN.
    ///
    /// # Errors
    /// '6A88', '6983', '6984' without a challenge, which costs no try, '63CX', '6A80'
    /// where what was enciphered is no PIN.
    pub(super) fn change_pin(&self, ctx: &mut Ctx<'_>, who: Who, change: &Change) -> Outcome {
        let secret = self.usable(ctx, who)?;
        let challenge = self.take_challenge(ctx)?;
        let left = secret.spend_try(ctx);
        let key = secret.key(ctx);
        if !is_right(&key, &challenge, &change.mac, &change.enciphered) {
            return Err(Sw::tries_left(left));
        }
        secret.restore_tries(ctx);
        replace(ctx, secret, &key, &change.enciphered)
    }

    /// REPLACE PIN: a new PIN for the user, and all its tries.
    ///
    /// # Errors
    /// '6A88', '6982' unless the administrator's PIN was proven, '6984', '6988', '6A80'
    /// where what was enciphered is no PIN.
    pub(super) fn replace_pin(&self, ctx: &mut Ctx<'_>, change: &Change) -> Outcome {
        let key = self.unseal(ctx, &change.mac, &change.enciphered)?;
        replace(ctx, &self.user, &key, &change.enciphered)
    }

    /// REPLACE PIN without one: the user's gets its tries back.
    ///
    /// # Errors
    /// '6A88', '6982', '6984', '6988'.
    pub(super) fn unblock_pin(&self, ctx: &mut Ctx<'_>, mac: &Mac) -> Outcome {
        self.unseal(ctx, mac, &[])?;
        self.user.restore_tries(ctx);
        self.user.set_proven(ctx, false);
        Ok(Reply::OK)
    }

    /// Checks the MAC of the administrator; the token, for what is enciphered with it.
    fn unseal(&self, ctx: &mut Ctx<'_>, mac: &Mac, data: &[u8]) -> Result<Expanded, Sw> {
        if !self.user.is_loaded(ctx) {
            return Err(Sw::REFERENCE_DATA_NOT_FOUND);
        }
        if !self.administrator.is_proven(ctx) {
            return Err(Sw::SECURITY_NOT_SATISFIED);
        }
        let challenge = self.take_challenge(ctx)?;
        let key = self.administrator.key(ctx);
        if is_right(&key, &challenge, mac, data) {
            Ok(key)
        } else {
            Err(Sw::SM_OBJECT_WRONG)
        }
    }

    /// Whether whoever an act needs has proven a PIN.
    ///
    /// # Errors
    /// '6982'.
    pub(super) fn demand(&self, ctx: &Ctx<'_>, act: Act) -> Result<(), Sw> {
        let (user, administrator) = (&self.user, &self.administrator);
        let need = self.setup.need(ctx, act);
        if need.is_met(user.is_proven(ctx), administrator.is_proven(ctx)) {
            Ok(())
        } else {
            Err(Sw::SECURITY_NOT_SATISFIED)
        }
    }

    /// A PIN that can be tried.
    fn usable(&self, ctx: &Ctx<'_>, who: Who) -> Result<&Secret, Sw> {
        let secret = self.secret(who);
        if !secret.is_loaded(ctx) {
            Err(Sw::REFERENCE_DATA_NOT_FOUND)
        } else if secret.tries_left(ctx) == 0 {
            Err(Sw::METHOD_BLOCKED)
        } else {
            Ok(secret)
        }
    }

    /// The random number drawn last, which is used up.
    fn take_challenge(&self, ctx: &mut Ctx<'_>) -> Result<[u8; 16], Sw> {
        let challenge = self.challenge.take(ctx).filled();
        challenge.ok_or(Sw::REFERENCE_DATA_NOT_USABLE)
    }
}

fn is_right(key: &Expanded, challenge: &[u8; 16], mac: &Mac, data: &[u8]) -> bool {
    let code = CbcMac::new(key)
        .with_iv(challenge)
        .chain(&mac.header)
        .chain(data)
        .finish(Padding::M2);
    equal(&code.folded(), &mac.code)
}

/// Replaces a PIN by what was enciphered with a token.
fn replace(ctx: &mut Ctx<'_>, secret: &Secret, key: &Expanded, block: &[u8; 16]) -> Outcome {
    let mut block = *block;
    key.decrypt_block(&mut block);
    let [len, rest @ ..] = block;
    let filled = rest
        .split_at_checked(usize::from(len))
        .filter(|(pin, fill)| is_pin(pin) && is_filling(fill));
    let outcome = match filled {
        Some((pin, _)) => {
            secret.replace(ctx, pin);
            Ok(Reply::OK)
        }
        None => Err(Sw::WRONG_DATA),
    };
    block.zeroize();
    outcome
}

/// '80' and zeros.
fn is_filling(bytes: &[u8]) -> bool {
    matches!(bytes, [0x80, zeros @ ..] if zeros.iter().all(|&byte| byte == 0))
}
