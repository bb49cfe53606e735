//! What the card's ROM holds: modules from which applets are installed.
//!
//! Source: GlobalPlatform Card Specification 2.3.1, 2.3 (executable load file,
//! executable module, application).

use super::{Applet, Ctx, Install, Plan};
use crate::aid::Aid;
use crate::apdu::Sw;

/// An installed applet with its kind forgotten.
pub trait Guest: Applet {
    /// [`Install::install`].
    ///
    /// # Errors
    /// As there.
    fn settle_in(&self, ctx: &mut Ctx<'_>, parameters: &[u8]) -> Result<(), Sw>;
}

impl<A: Install> Guest for A {
    fn settle_in(&self, ctx: &mut Ctx<'_>, parameters: &[u8]) -> Result<(), Sw> {
        self.install(ctx, parameters)
    }
}

/// A native executable module.
#[derive(Debug)]
pub struct Module {
    /// The load file it came in.
    pub load_file: Aid,
    /// Its own name.
    pub aid: Aid,
    attach: fn(&mut Plan) -> Box<dyn Guest>,
}

impl Module {
    /// The module whose applets are `A`s.
    #[must_use]
    pub const fn of<A: Install>(load_file: Aid, aid: Aid) -> Module {
        Module {
            load_file,
            aid,
            attach: |plan| Box::new(A::attach(plan)),
        }
    }

    /// [`Install::attach`].
    pub(crate) fn attach(&self, plan: &mut Plan) -> Box<dyn Guest> {
        (self.attach)(plan)
    }
}

/// All that a kind of card is made with.
#[derive(Debug)]
pub struct Rom {
    /// The applet that is there from the start and may manage the card.
    pub issuer_domain: Module,
    /// The others, which it can install.
    pub modules: &'static [Module],
}

impl Rom {
    /// The module of this name.
    #[must_use]
    pub fn module(&self, aid: &Aid) -> Option<&Module> {
        core::iter::once(&self.issuer_domain)
            .chain(self.modules)
            .find(|module| module.aid == *aid)
    }
}
