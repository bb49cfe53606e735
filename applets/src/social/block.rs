//! APPLICATION BLOCK and CARD BLOCK: ends without return.
//!
//! Source: social security card specification, part 5, 7.1 and 7.2; part 7, 13.

use super::LEVEL_SSSE;
use super::SocialSecurity;
use super::auth::KID_BK;
use super::command::Seal;
use cardlab::apdu::Sw;
use cardlab::applet::{CardLifeCycle, Ctx, Deed, Outcome, Reply};
use cardlab::files::{Area, Life, Operation};

impl SocialSecurity {
    /// APPLICATION BLOCK: from now on the current application answers '9303' to
    /// everything but CARD BLOCK, and to this again with '9000'.
    ///
    /// Which key gives the right stands in the directory's rule for blocking.
    ///
    /// # Errors
    /// '6985' where the current directory is not an application, '6982', '6A88', '6984',
    /// '6988'.
    ///
    /// Source: social security card specification, part 5, 7.1.
    pub(super) fn block_application(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        seal: &Seal<'_>,
    ) -> Outcome {
        if area.level() <= LEVEL_SSSE {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        let directory = self.files.directory(ctx, area);
        self.demand(ctx, area, &directory.rule(ctx, Operation::Block))?;
        self.unseal(ctx, area, false, seal)?;
        directory.set_life(ctx, Life::Blocked);
        Ok(Reply::OK)
    }

    /// CARD BLOCK: from now on the card answers '6A81' to everything.
    ///
    /// # Errors
    /// '6985' outside SSSE, '6982' without the right of the BK, '6A88', '6984', '6988',
    /// '6985' where the applet was installed without the privilege to end the card's life.
    ///
    /// Source: social security card specification, part 5, 7.2.
    pub(super) fn block_card(&self, ctx: &mut Ctx<'_>, area: &Area, seal: &Seal<'_>) -> Outcome {
        self.demand_key_of_ssse(ctx, area, KID_BK)?;
        self.unseal(ctx, area, true, seal)?;
        ctx.request(Deed::SetCardLifeCycle(CardLifeCycle::Terminated))?;
        Ok(Reply::OK)
    }
}
