//! The door that guests come in by: what an applet is and what it may ask for.
//!
//! An applet owns handles, the card owns bytes. So a roll-back, a torn write and
//! a saved image see the whole of its state, and isolation needs no applet's help.
//!
//! | Java Card                          | here                                       |
//! |------------------------------------|--------------------------------------------|
//! | `install`, `select`, `process`     | [`Install`], [`Applet`]                    |
//! | `ISOException.throwIt(sw)`         | `Err(sw)`                                  |
//! | `OwnerPIN`                         | [`OwnerPin`]                               |
//! | persistent fields                  | [`Nv`]                                     |
//! | non-atomic writes                  | [`Latch`]                                  |
//! | `CLEAR_ON_RESET`                   | [`Plan::transient_on_reset`]               |
//! | `CLEAR_ON_DESELECT`                | [`Plan::transient_on_deselect`], one copy a channel |
//! | transactions                       | each command is one; [`Ctx::update`] nests |
//! | `Shareable`                        | [`Applet::share`], [`Ctx::call`]           |
//!
//! A whole applet, which counts how often it was asked:
//!
//! ```
//! use cardlab::aid::Aid;
//! use cardlab::apdu::{Command, Sw};
//! use cardlab::applet::{Applet, Ctx, Install, Module, Nv, Outcome, Plan, Reply, Rom};
//! use cardlab::icc::Icc;
//! use cardlab::os::Card;
//!
//! /// Answers INS 50 with how often it was asked, 4 bytes big-endian.
//! struct Counter {
//!     asked: Nv<u32>,
//! }
//!
//! impl Applet for Counter {
//!     fn select(&self, _: &mut Ctx<'_>, _: &Command<'_>) -> Outcome {
//!         Ok(Reply::OK)
//!     }
//!
//!     fn process(&self, ctx: &mut Ctx<'_>, command: &Command<'_>) -> Outcome {
//!         match (command.ins, command.p1, command.p2) {
//!             (0x50, 0, 0) => {
//!                 let asked = ctx.get(&self.asked).checked_add(1).ok_or(Sw::COUNTER_AT_MAXIMUM)?;
//!                 ctx.set(&self.asked, asked);
//!                 ctx.answer(&asked.to_be_bytes());
//!                 Ok(Reply::OK)
//!             }
//!             (0x50, _, _) => Err(Sw::WRONG_P1_P2),
//!             _ => Err(Sw::INS_NOT_SUPPORTED),
//!         }
//!     }
//! }
//!
//! impl Install for Counter {
//!     fn attach(plan: &mut Plan) -> Counter {
//!         Counter { asked: plan.nv() }
//!     }
//!
//!     fn install(&self, _: &mut Ctx<'_>, _: &[u8]) -> Result<(), Sw> {
//!         Ok(())
//!     }
//! }
//!
//! const AID: Aid = Aid::constant(&[0xF0, 0, 0, 0, 0, 1]);
//! static ROM: Rom = Rom { issuer_domain: Module::of::<Counter>(AID, AID), modules: &[] };
//!
//! let mut card = Card::manufacture(&ROM, 7);
//! let mut answer = Vec::new();
//! card.power_on()?;
//! card.transmit(&[0x80, 0x50, 0, 0, 4], &mut answer)?;
//! assert_eq!(answer, [0, 0, 0, 1, 0x90, 0x00]);
//! # Ok::<(), cardlab::icc::Lost>(())
//! ```
//!
//! Source: Java Card 3.0.4 Classic, runtime environment specification, 3 to 7.

mod cell;
mod context;
mod manage;
mod module;
mod pin;
mod plan;
mod secure;
mod share;

pub use cell::{Cell, Handle, Latch, Nv, Transient};
pub use context::{Ctx, Hold};
pub use manage::{CardLifeCycle, Deed, LifeCycle, Privileges};
pub use module::{Guest, Module, Rom};
pub use pin::OwnerPin;
pub use plan::{Extent, Plan};
pub use secure::SecurityService;
pub use share::{Peer, Peers};

use crate::aid::Aid;
use crate::apdu::{Command, Sw};

/// How many logical channels there are, 0 to 19.
///
/// Source: ISO/IEC 7816-4:2020, 5.4.1.
pub const CHANNELS: u8 = 20;

/// How a command ends: `Ok` commits what it wrote, `Err` rolls it back.
pub type Outcome = Result<Reply, Sw>;

/// A good ending: '9000', or a warning; the data are what was answered before.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Reply(Sw);

impl Reply {
    /// '9000'.
    pub const OK: Reply = Reply(Sw::OK);

    /// A warning ('62XX' or '63XX') that commits what was written.
    #[must_use]
    pub const fn warning(sw: Sw) -> Reply {
        Reply(sw)
    }

    /// The status word.
    #[must_use]
    pub const fn sw(self) -> Sw {
        self.0
    }
}

/// One application on the card.
///
/// Every method takes `&self`, and `Sync` is asked for so that no `Cell` can
/// hide any state from the card.
pub trait Applet: Send + Sync {
    /// Answers the SELECT that chose this applet; `Err` and nothing is selected.
    ///
    /// # Errors
    /// The status word of a selection refused.
    fn select(&self, ctx: &mut Ctx<'_>, command: &Command<'_>) -> Outcome;

    /// Answers any other command.
    ///
    /// # Errors
    /// The status word of a command refused; all it wrote is rolled back.
    fn process(&self, ctx: &mut Ctx<'_>, command: &Command<'_>) -> Outcome;

    /// Is told that another applet was chosen on this logical channel.
    fn deselect(&self, _ctx: &mut Ctx<'_>) {}

    /// Is told that the operating system answered a command on this logical channel in the
    /// applet's place: what was good for the very next command is good no more.
    ///
    /// So are answered MANAGE CHANNEL, a command in the midst of a chain, and one whose
    /// length is wrong; a part of a chain and GET RESPONSE belong to other commands. What
    /// is answered here is lost.
    fn overhear(&self, _ctx: &mut Ctx<'_>) {}

    /// Whether a SELECT that names this applet while it is selected leaves its
    /// transient memory as it is; Java Card clears it.
    fn keeps_state_when_selected_again(&self) -> bool {
        false
    }

    /// Whether the card blocks itself for good when its memory fails in this command,
    /// which was answered '6581'.
    fn ends_card_when_memory_fails(&self, _command: &Command<'_>) -> bool {
        false
    }

    /// Answers another applet's [`Ctx::call`] in this applet's own context.
    ///
    /// `data` is lent by the caller; the answer is left at its start and its
    /// length given back.
    ///
    /// # Errors
    /// '6985' unless the applet offers anything.
    fn share(
        &self,
        _ctx: &mut Ctx<'_>,
        _client: &Aid,
        _service: u8,
        _data: &mut [u8],
    ) -> Result<usize, Sw> {
        Err(Sw::CONDITIONS_NOT_MET)
    }
}

/// How an applet comes onto the card, and comes back at every power-on.
pub trait Install: Applet + Sized + 'static {
    /// Names the cells; decides nothing, so that it can be repeated.
    fn attach(plan: &mut Plan) -> Self;

    /// Fills the cells, once; `parameters` is the value of 'C9'.
    ///
    /// # Errors
    /// A status word, and nothing of the applet stays on the card.
    fn install(&self, ctx: &mut Ctx<'_>, parameters: &[u8]) -> Result<(), Sw>;
}
