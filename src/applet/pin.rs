//! A PIN whose try counter survives roll-back, reset and power cuts.
//!
//! The counter goes down before the comparison, at once, so that no cut and no
//! refusal gives a try back.
//!
//! Source: Java Card 3.0.4 Classic, API, `javacard.framework.OwnerPIN`.

use super::{Ctx, Latch, Nv, Plan, Transient};
use crate::crypto::equal;
use xxhash_rust::xxh3::xxh3_64_with_seed;

/// The greatest number of PIN bytes.
const LEN_MAX: usize = 16;
/// Where the sum over the bytes before it stands.
const AT_SUM: usize = 1 + LEN_MAX;
/// The PIN as it is kept.
const VALUE_LEN: usize = AT_SUM + 4;

/// A PIN of 0 to 16 bytes with a try counter and a flag "verified".
///
/// The flag falls at a reset and when the PIN is replaced, and survives another
/// SELECT.
#[derive(Debug)]
pub struct OwnerPin {
    /// Length byte, then the PIN, then zeros, then a sum of these.
    value: Nv<[u8; VALUE_LEN]>,
    limit: Nv<u8>,
    tries: Latch<u8>,
    verified: Transient<bool>,
}

impl OwnerPin {
    /// Names its cells.
    pub fn attach(plan: &mut Plan) -> OwnerPin {
        OwnerPin {
            value: plan.nv(),
            limit: plan.nv(),
            tries: plan.latch(),
            verified: plan.transient_on_reset(),
        }
    }

    /// Sets how many wrong PINs in a row block it, and gives that many tries.
    pub fn set_limit(&self, ctx: &mut Ctx<'_>, tries: u8) {
        ctx.set(&self.limit, tries);
        ctx.set(&self.tries, tries);
    }

    /// How many wrong PINs in a row block it.
    #[must_use]
    #[inline]
    pub fn limit(&self, ctx: &Ctx<'_>) -> u8 {
        ctx.get(&self.limit)
    }

    /// How many tries are left; 0 is blocked.
    ///
    /// Never more than the limit: where power goes while a greater one is being set,
    /// the counter is there already and the limit is not.
    #[must_use]
    #[inline]
    pub fn tries_left(&self, ctx: &Ctx<'_>) -> u8 {
        ctx.get(&self.tries).min(ctx.get(&self.limit))
    }

    /// Compares, constant in time; whether it was the PIN.
    ///
    /// Blocked, it is never the PIN and nothing is compared. Right, the counter is
    /// full again and the flag stands; wrong, the flag falls. Where memory does not take
    /// the counter, the flag falls with the fault.
    #[inline]
    pub fn check(&self, ctx: &mut Ctx<'_>, pin: &[u8]) -> bool {
        let Some(left) = self.tries_left(ctx).checked_sub(1) else {
            self.forget(ctx);
            return false;
        };
        ctx.set(&self.tries, left);
        let right = framed(pin).is_some_and(|given| equal(&ctx.get(&self.value), &given));
        if right {
            let limit = ctx.get(&self.limit);
            ctx.set(&self.tries, limit);
        }
        ctx.set(&self.verified, right);
        right
    }

    /// Whether it was verified since the last reset.
    #[must_use]
    #[inline]
    pub fn is_verified(&self, ctx: &Ctx<'_>) -> bool {
        ctx.get(&self.verified)
    }

    /// Forgets that it was verified.
    #[inline]
    pub fn forget(&self, ctx: &mut Ctx<'_>) {
        ctx.set(&self.verified, false);
    }

    /// Whether it is as it was set: no PIN matches one whose cells have lost it.
    #[must_use]
    #[inline]
    pub fn is_whole(&self, ctx: &Ctx<'_>) -> bool {
        let value = ctx.get(&self.value);
        value[AT_SUM..] == sum(&value)
    }

    /// Whether one was ever set, and not set to none.
    #[must_use]
    pub fn is_set(&self, ctx: &Ctx<'_>) -> bool {
        ctx.get(&self.value)[0] != 0
    }

    /// Whether there is none: its length is 0.
    #[must_use]
    #[inline]
    pub fn is_empty(&self, ctx: &Ctx<'_>) -> bool {
        ctx.get(&self.value)[0] == 0 && self.is_whole(ctx)
    }

    /// Its bytes, zeros behind them, for who must bind something to them.
    #[must_use]
    pub fn expose(&self, ctx: &Ctx<'_>) -> [u8; LEN_MAX] {
        let value = ctx.get(&self.value);
        let mut pin = [0; LEN_MAX];
        pin.copy_from_slice(&value[1..AT_SUM]);
        pin
    }

    /// Replaces it, with all its tries and the flag fallen; `false` and nothing
    /// done beyond 16 bytes.
    #[must_use]
    pub fn replace(&self, ctx: &mut Ctx<'_>, pin: &[u8]) -> bool {
        let Some(value) = framed(pin) else {
            return false;
        };
        ctx.set(&self.value, value);
        self.unblock(ctx);
        true
    }

    /// Gives all tries back; the flag falls.
    pub fn unblock(&self, ctx: &mut Ctx<'_>) {
        let limit = ctx.get(&self.limit);
        ctx.set(&self.tries, limit);
        self.forget(ctx);
    }
}

/// The PIN as it is kept: length, bytes, zeros, sum.
#[inline]
fn framed(pin: &[u8]) -> Option<[u8; VALUE_LEN]> {
    let mut value = [0; VALUE_LEN];
    value[0] = u8::try_from(pin.len()).ok()?;
    value
        .get_mut(1..=pin.len())
        .filter(|_| pin.len() <= LEN_MAX)?
        .copy_from_slice(pin);
    let sum = sum(&value);
    value[AT_SUM..].copy_from_slice(&sum);
    Some(value)
}

/// Half of the XXH3 sum of what stands before it; whoever writes here past the applet
/// could make it anew, so it is there for cells that lose their bytes and no more.
#[inline]
fn sum(value: &[u8; VALUE_LEN]) -> [u8; 4] {
    // The length as the seed: what is up to 16 bytes long takes the short way.
    let sum = xxh3_64_with_seed(&value[1..AT_SUM], u64::from(value[0]));
    let [a, b, c, d, ..] = sum.to_be_bytes();
    [a, b, c, d]
}
