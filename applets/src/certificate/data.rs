//! How the certificate application was set up, and its two PINs as it keeps them.
//!
//! Of a PIN the card keeps what it is proven with: the first 16 bytes of the SM3 hash of
//! its digits, two in a byte.
//!
//! | install parameter | length | what                                          |
//! |-------------------|--------|-----------------------------------------------|
//! | 81                | 1      | switches                                      |
//! | 83                | 3      | who may make key pairs, take them in, use them |
//!
//! Source: install parameters and memory layout are this card's; what is kept of a PIN,
//! card traces of two issuing programs.

use bitflags::bitflags;
use cardlab::apdu::Sw;
use cardlab::applet::{Ctx, Latch, Nv, Plan, Transient};
use cardlab::crypto::sm2::Order;
use cardlab::crypto::{Expanded, Key, Sm3};
use zeroize::Zeroize;

bitflags! {
    /// What an issuer can choose.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Switches: u8 {
        /// The commands of one maker's cards are there.
        const VENDOR_COMMANDS = 0x01;
        /// Cipher texts are point, message, hash.
        const HASH_LAST = 0x02;
    }
}

/// Who must have proven a PIN for something to be done.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Need {
    /// The holder.
    User,
    /// The administrator.
    Administrator,
    /// One of them.
    Either,
    /// Each of them.
    Both,
}

impl Need {
    fn from_byte(byte: u8) -> Option<Need> {
        match byte {
            1 => Some(Need::User),
            2 => Some(Need::Administrator),
            3 => Some(Need::Either),
            4 => Some(Need::Both),
            _ => None,
        }
    }

    /// Whether it is met where these have proven their PINs.
    pub(super) const fn is_met(self, user: bool, administrator: bool) -> bool {
        match self {
            Need::User => user,
            Need::Administrator => administrator,
            Need::Either => user || administrator,
            Need::Both => user && administrator,
        }
    }
}

/// What is done with key pairs and needs somebody's PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Act {
    /// GENERATE KEY PAIR.
    Generate,
    /// The IMPORT commands.
    Import,
    /// SIGN and DECRYPT.
    Use,
}

/// How the applet was set up.
#[derive(Debug)]
pub(super) struct Setup {
    switches: Nv<u8>,
    needs: Nv<[u8; 3]>,
}

const TAG_81_SWITCHES: u8 = 0x81;
const TAG_83_NEEDS: u8 = 0x83;

impl Setup {
    pub(super) fn attach(plan: &mut Plan) -> Setup {
        Setup {
            switches: plan.nv(),
            needs: plan.nv(),
        }
    }

    /// Takes the install parameters; those that are absent stand for all commands, the
    /// standard's order of a cipher text, and the user's PIN for everything.
    ///
    /// # Errors
    /// '6A80' where a parameter is unknown, comes in a wrong length or makes no sense.
    pub(super) fn install(&self, ctx: &mut Ctx<'_>, parameters: &[u8]) -> Result<(), Sw> {
        ctx.set(&self.switches, Switches::VENDOR_COMMANDS.bits());
        ctx.set(&self.needs, [1; 3]);
        let mut rest = parameters;
        while let [tag, len, ref tail @ ..] = *rest {
            let (value, tail) = tail
                .split_at_checked(usize::from(len))
                .ok_or(Sw::WRONG_DATA)?;
            match (tag, value) {
                (TAG_81_SWITCHES, &[switches]) if Switches::from_bits(switches).is_some() => {
                    ctx.set(&self.switches, switches);
                }
                (TAG_83_NEEDS, &[a, b, c])
                    if [a, b, c].map(Need::from_byte).iter().all(Option::is_some) =>
                {
                    ctx.set(&self.needs, [a, b, c]);
                }
                _ => return Err(Sw::WRONG_DATA),
            }
            rest = tail;
        }
        if rest.is_empty() {
            Ok(())
        } else {
            Err(Sw::WRONG_DATA)
        }
    }

    fn switches(&self, ctx: &Ctx<'_>) -> Switches {
        Switches::from_bits_retain(ctx.get(&self.switches))
    }

    /// Whether the commands of one maker's cards are there.
    pub(super) fn has_vendor_commands(&self, ctx: &Ctx<'_>) -> bool {
        self.switches(ctx).contains(Switches::VENDOR_COMMANDS)
    }

    /// In which order the parts of a cipher text stand.
    pub(super) fn order(&self, ctx: &Ctx<'_>) -> Order {
        if self.switches(ctx).contains(Switches::HASH_LAST) {
            Order::C1C2C3
        } else {
            Order::C1C3C2
        }
    }

    /// Whose PIN something needs.
    pub(super) fn need(&self, ctx: &Ctx<'_>, act: Act) -> Need {
        let [generate, import, use_of] = ctx.get(&self.needs);
        let byte = match act {
            Act::Generate => generate,
            Act::Import => import,
            Act::Use => use_of,
        };
        // Checked at installation.
        Need::from_byte(byte).unwrap_or(Need::Both)
    }
}

/// What a PIN is proven with.
fn token_of(pin: &[u8]) -> [u8; 16] {
    let mut hash = Sm3::new().chain(pin).finish();
    let mut token = [0; 16];
    for (byte, hashed) in token.iter_mut().zip(hash) {
        *byte = hashed;
    }
    hash.zeroize();
    token
}

/// A PIN that is proven by a challenge, with a try counter that survives roll-back,
/// reset and power cuts.
#[derive(Debug)]
pub(super) struct Secret {
    token: Nv<[u8; 16]>,
    limit: Nv<u8>,
    tries: Latch<u8>,
    proven: Transient<bool>,
}

impl Secret {
    pub(super) fn attach(plan: &mut Plan) -> Secret {
        Secret {
            token: plan.nv(),
            limit: plan.nv(),
            tries: plan.latch(),
            proven: plan.transient_on_deselect(),
        }
    }

    /// Whether it was ever loaded.
    pub(super) fn is_loaded(&self, ctx: &Ctx<'_>) -> bool {
        ctx.get(&self.limit) > 0
    }

    /// How many tries are left; 0 is blocked. Never more than the limit: where power
    /// goes while a greater one is being set, the counter is there already.
    pub(super) fn tries_left(&self, ctx: &Ctx<'_>) -> u8 {
        ctx.get(&self.tries).min(ctx.get(&self.limit))
    }

    /// Takes a try away, at once and for good, before anything is compared; what was
    /// proven is not any more. How many are left.
    pub(super) fn spend_try(&self, ctx: &mut Ctx<'_>) -> u8 {
        let left = self.tries_left(ctx).saturating_sub(1);
        ctx.set(&self.tries, left);
        ctx.set(&self.proven, false);
        left
    }

    /// Gives all tries back.
    pub(super) fn restore_tries(&self, ctx: &mut Ctx<'_>) {
        let limit = ctx.get(&self.limit);
        ctx.set(&self.tries, limit);
    }

    /// Whether it was proven on this logical channel.
    pub(super) fn is_proven(&self, ctx: &Ctx<'_>) -> bool {
        ctx.get(&self.proven)
    }

    /// Says whether it was proven.
    pub(super) fn set_proven(&self, ctx: &mut Ctx<'_>, proven: bool) {
        ctx.set(&self.proven, proven);
    }

    /// What it is proven with, made ready.
    pub(super) fn key(&self, ctx: &Ctx<'_>) -> Expanded {
        Key::sm4(ctx.get(&self.token)).expand()
    }

    /// Replaces it, with all its tries; it is to be proven anew.
    pub(super) fn replace(&self, ctx: &mut Ctx<'_>, pin: &[u8]) {
        ctx.set(&self.token, token_of(pin));
        self.restore_tries(ctx);
        self.set_proven(ctx, false);
    }

    /// Loads it for the first time, or anew, with its number of tries.
    pub(super) fn load(&self, ctx: &mut Ctx<'_>, tries: u8, pin: &[u8]) {
        ctx.set(&self.limit, tries);
        self.replace(ctx, pin);
    }
}
