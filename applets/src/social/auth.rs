//! Challenges, authentication both ways, rights, and messages with a MAC.
//!
//! Two kinds of rights: that the PIN was verified lasts until power-off; that a
//! key was proven lasts while its directory is current or the current one lies in
//! it, on one logical channel, and ends when another applet is selected.
//!
//! A challenge is good for one use, in the directory where it was drawn; the
//! latest one counts.
//!
//! Source: social security card specification, part 4, 6, 8 and 9; part 5, 7.4,
//! 7.5, 7.7; part 7, 6.

use super::command::{Purpose, Seal};
use super::data::KeyEntry;
use super::{LEVEL_SSSE, SocialSecurity};
use cardlab::apdu::Sw;
use cardlab::applet::{Ctx, Outcome, Reply};
use cardlab::crypto::{Expanded, derive, equal};
use cardlab::files::{Area, Directory, Operation, Right, Rule};

/// The master key of a directory, for EXTERNAL AUTHENTICATION in it.
pub(super) const KID_MK: u8 = 0x00;
/// The key that proves the card, of SSSE.
const KID_IRK: u8 = 0x00;
/// The key for messages of SSSE; that of an application is this one with b8 = 1.
const KID_STK: u8 = 0x02;
/// The right to block the card, of SSSE.
pub(super) const KID_BK: u8 = 0x05;
/// The right to unblock and replace the PIN, of SSSE.
pub(super) const KID_PUK: u8 = 0x06;

/// In a key identifier: the key is one of the current application's.
const KID_OF_APPLICATION: u8 = 0x80;

/// A bit for each key number, at each level of the path: 16 bits a level.
#[derive(Clone, Copy)]
pub(super) struct Rights(pub(super) u64);

impl Rights {
    const fn bit(level: u8, kid: u8) -> u64 {
        1 << (16 * (level as u32 & 3) + (kid & 0x0F) as u32)
    }

    /// Those of the outermost `levels` directories.
    const fn within(self, levels: usize) -> Rights {
        match levels {
            0 => Rights(0),
            1..=3 => Rights(self.0 & ((1 << (16 * levels)) - 1)),
            _ => self,
        }
    }
}

/// The level of the directory whose key this is, seen from the current one.
fn level_of_key(area: &Area, kid: u8) -> u8 {
    if kid == KID_MK || kid & KID_OF_APPLICATION != 0 {
        area.level()
    } else {
        area.level().min(LEVEL_SSSE)
    }
}

// Rights.
impl SocialSecurity {
    /// Whether an operation is allowed here and now.
    ///
    /// # Errors
    /// '6985' where only the first change of the PIN is missing, '6982'.
    #[inline]
    pub(super) fn demand(&self, ctx: &Ctx<'_>, area: &Area, rule: &Rule) -> Result<(), Sw> {
        if rule.is_met(|right| self.holds(ctx, area, right)) {
            return Ok(());
        }
        let changed = |right| match right {
            Right::Pin => self.pin.is_verified(ctx),
            Right::Key(_) => self.holds(ctx, area, right),
        };
        if rule.is_met(changed) {
            Err(Sw::CONDITIONS_NOT_MET)
        } else {
            Err(Sw::SECURITY_NOT_SATISFIED)
        }
    }

    /// Whether a key of the current application was proven.
    ///
    /// # Errors
    /// '6982'.
    pub(super) fn demand_key(&self, ctx: &Ctx<'_>, area: &Area, kid: u8) -> Result<(), Sw> {
        if self.holds(ctx, area, Right::Key(kid)) {
            Ok(())
        } else {
            Err(Sw::SECURITY_NOT_SATISFIED)
        }
    }

    /// Whether a key of SSSE was proven, seen from the current directory.
    ///
    /// # Errors
    /// '6985' where that is neither SSSE nor in it, '6982'.
    pub(super) fn demand_key_of_ssse(&self, ctx: &Ctx<'_>, area: &Area, kid: u8) -> Result<(), Sw> {
        if !self.is_in_ssse(ctx, area) {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        self.demand_key(ctx, area, kid)
    }

    /// Whether the PIN was verified, where there is one.
    ///
    /// # Errors
    /// '6985' where only its first change is missing, '6982'.
    pub(super) fn demand_pin(&self, ctx: &Ctx<'_>) -> Result<(), Sw> {
        if self.pin_opens(ctx) {
            Ok(())
        } else if self.pin.is_verified(ctx) {
            Err(Sw::CONDITIONS_NOT_MET)
        } else {
            Err(Sw::SECURITY_NOT_SATISFIED)
        }
    }

    fn holds(&self, ctx: &Ctx<'_>, area: &Area, right: Right) -> bool {
        match right {
            Right::Pin => self.pin_opens(ctx),
            Right::Key(kid) => {
                ctx.get(&self.rights) & Rights::bit(level_of_key(area, kid), kid) != 0
            }
        }
    }

    /// Makes another area current. In another directory the rights of keys that are
    /// not on its path fall, and so does the challenge.
    pub(super) fn enter(&self, ctx: &mut Ctx<'_>, from: &Area, to: &Area) {
        if !from.is_in_same_directory(to) {
            let rights = Rights(ctx.get(&self.rights)).within(from.shared_levels(to));
            ctx.set(&self.rights, rights.0);
            self.challenge.drop(ctx);
        }
        if from != to {
            self.files.set_area(ctx, to);
        }
    }

    /// The rule by which the master key guards what no rule says anything of.
    pub(super) fn create_rule(ctx: &Ctx<'_>, directory: &Directory) -> Rule {
        let rule = directory.rule(ctx, Operation::Create);
        if rule.is_absent() {
            Rule::new(&[0x02, KID_MK]).unwrap_or(Rule::ABSENT)
        } else {
            rule
        }
    }
}

// Commands.
impl SocialSecurity {
    /// GET CHALLENGE: a random number of 4, 8 or 16 bytes in place of any before.
    ///
    /// Source: social security card specification, part 5, 7.5.
    pub(super) fn get_challenge(&self, ctx: &mut Ctx<'_>, len: u8) -> Outcome {
        self.challenge.draw(ctx, len);
        Ok(Reply::OK)
    }

    /// INTERNAL AUTHENTICATION: the code of `raw` under the IRK and the terminal's
    /// random number, 8 bytes.
    ///
    /// # Errors
    /// '6A88'.
    ///
    /// Source: social security card specification, part 5, 7.7; part 4, 9.
    pub(super) fn internal_authenticate(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        random: &[u8; 8],
        raw: &[u8; 8],
        version: u8,
    ) -> Outcome {
        let ssse = self.files.directory_at(ctx, area, LEVEL_SSSE);
        let purpose = Purpose::InternalAuthentication;
        let irk = KeyEntry::find(ctx, &ssse, purpose, KID_IRK, version)?;
        let session = derive::session_key(&irk.key().expand(), random);
        let session = session.ok_or(Sw::REFERENCE_DATA_NOT_FOUND)?.expand();
        ctx.answer(&derive::authenticate(&session, raw));
        Ok(Reply::OK)
    }

    /// EXTERNAL AUTHENTICATION: with the right code, the right of the key.
    ///
    /// # Errors
    /// '6A88', '6983', '6984' without a challenge or with one that the algorithm
    /// cannot use, '63CX'; '63CF' for a key with any number of tries.
    ///
    /// Source: social security card specification, part 5, 7.4; part 4, 9.
    pub(super) fn external_authenticate(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        kid: u8,
        code: &[u8; 8],
        raw: &[u8; 8],
        version: u8,
    ) -> Outcome {
        let level = level_of_key(area, kid);
        let directory = self.files.directory_at(ctx, area, level);
        // The starting day has a purpose of its own, and its right is got in this way too.
        let find = |purpose| KeyEntry::find(ctx, &directory, purpose, kid, version);
        let entry =
            find(Purpose::ExternalAuthentication).or_else(|_| find(Purpose::StartingDay))?;
        if entry.is_locked() {
            return Err(Sw::METHOD_BLOCKED);
        }
        let session = self.session(ctx, &entry)?;
        let left = entry.spend_try(ctx);
        let right = equal(&derive::authenticate(&session, raw), code);
        let bit = Rights::bit(level, kid);
        let rights = ctx.get(&self.rights);
        if !right {
            ctx.set(&self.rights, rights & !bit);
            return Err(Sw::tries_left(left));
        }
        entry.restore_tries(ctx);
        ctx.set(&self.rights, rights | bit);
        Ok(Reply::OK)
    }

    /// The session key of a key and the challenge, which is used up.
    ///
    /// # Errors
    /// '6984'.
    fn session(&self, ctx: &mut Ctx<'_>, entry: &KeyEntry) -> Result<Expanded, Sw> {
        let challenge = self.challenge.take(ctx);
        let session = derive::session_key(&entry.key().expand(), challenge.as_bytes());
        session
            .map(|key| key.expand())
            .ok_or(Sw::REFERENCE_DATA_NOT_USABLE)
    }

    /// Checks the MAC of a message with the current directory's STK, or with that of
    /// SSSE; the session key, for what is enciphered in it.
    ///
    /// # Errors
    /// '6A88' where there is no STK, '6984', '6988'.
    ///
    /// Source: social security card specification, part 4, 8.
    pub(super) fn unseal(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        of_ssse: bool,
        seal: &Seal<'_>,
    ) -> Result<Expanded, Sw> {
        let level = if of_ssse {
            area.level().min(LEVEL_SSSE)
        } else {
            area.level()
        };
        let kid = if level > LEVEL_SSSE {
            KID_OF_APPLICATION | KID_STK
        } else {
            KID_STK
        };
        let directory = self.files.directory_at(ctx, area, level);
        let entry = KeyEntry::find(ctx, &directory, Purpose::Messages, kid, 1)?;
        let session = self.session(ctx, &entry)?;
        if equal(
            &derive::mac(&session, &[&seal.header, seal.data]),
            &seal.mac,
        ) {
            Ok(session)
        } else {
            Err(Sw::SM_OBJECT_WRONG)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::Rights;

    #[test]
    fn every_level_and_number_has_a_bit_of_its_own() {
        let mut seen = 0u64;
        for level in 0..4 {
            for number in 0..16 {
                let bit = Rights::bit(level, number);
                assert_eq!(seen & bit, 0);
                seen |= bit;
            }
        }
        assert_eq!(seen, u64::MAX);
    }

    #[test]
    fn rights_within_some_levels_are_those_of_these_levels() {
        for levels in 0..=4u8 {
            for level in 0..4 {
                let kept = Rights(u64::MAX).within(usize::from(levels)).0 & Rights::bit(level, 9);
                assert_eq!(kept != 0, level < levels);
            }
        }
    }
}
