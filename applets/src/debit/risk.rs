//! The card's own decision on a transaction: what it checks, in which order.
//!
//! Nothing here reads or writes memory: facts go in, a verdict comes out. A check that
//! hits sets its bits in the card verification results whatever was asked for, and can
//! raise an approval to the question on line, or lower everything to a decline; the
//! card never answers higher than it was asked.
//!
//! What the public sources leave open is decided here so:
//!
//! - The tries at the PIN count as spent before if they were spent when the transaction
//!   began, whether VERIFY is tried again or not.
//! - A currency is foreign if it is neither the own nor the second one. The sum of both
//!   currencies has an upper limit too: that of the sum in the own one.
//! - Where a limit of 'FF' or zeros, or an own country, is not there, nothing is checked.
//! - An amount that is not decimal is more than any limit.
//!
//! Source: JR/T 0025.5, card risk management, by public material on cards that follow it.

use super::command::Cryptogram;
use super::data::Amount;
use super::state::Cvr;
use bitflags::bitflags;

bitflags! {
    /// The application default action, tag '9F52': both bytes as one number.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct DefaultAction: u16 {
        const ISSUER_FAILED_GOES_ONLINE = 0x8000;
        const ISSUER_FAILED_DECLINES = 0x4000;
        const ISSUER_MISSING_DECLINES = 0x2000;
        const DECLINE_IS_ADVISED = 0x1000;
        const PIN_DECLINE_IS_ADVISED = 0x0800;
        const ISSUER_DECLINE_IS_ADVISED = 0x0400;
        const NEW_CARD_GOES_ONLINE = 0x0200;
        const NEW_CARD_UNABLE_DECLINES = 0x0100;
        const PIN_EXHAUSTED_BLOCKS = 0x0080;
        const PIN_BLOCKED_DECLINES = 0x0040;
        const PIN_BLOCKED_GOES_ONLINE = 0x0020;
        const PIN_BLOCKED_UNABLE_DECLINES = 0x0010;
        const SCRIPT_FAILED_GOES_ONLINE = 0x0008;
        const PIN_BLOCKED_DECLINES_AND_BLOCKS = 0x0004;
    }
}

/// A sum and its limits, where it has any.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Sum {
    /// With this transaction counted in.
    pub(super) after: Amount,
    pub(super) lower: Option<Amount>,
    pub(super) upper: Option<Amount>,
    /// Whether this transaction counts.
    pub(super) counts: bool,
}

/// A counter and its limit, where it has one.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Count {
    pub(super) before: u8,
    pub(super) limit: Option<u8>,
    /// Whether this transaction counts.
    pub(super) counts: bool,
}

impl Count {
    const fn exceeds(&self) -> bool {
        match self.limit {
            Some(limit) => self.counts && self.before >= limit,
            None => false,
        }
    }
}

impl Sum {
    fn exceeds(&self, limit: Option<Amount>) -> bool {
        self.counts && limit.is_some_and(|limit| self.after > limit)
    }
}

/// What the card knows when it decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts {
    pub(super) action: DefaultAction,
    /// The application is blocked, or not active yet.
    pub(super) is_blocked: bool,
    pub(super) online_pending: bool,
    pub(super) issuer_failed: bool,
    pub(super) scripts: u8,
    pub(super) script_failed: bool,
    /// Transactions since the last one that the issuer answered, this one too.
    pub(super) since_online: u16,
    pub(super) lower_limit: Option<u8>,
    pub(super) upper_limit: Option<u8>,
    /// The issuer never answered one.
    pub(super) is_new: bool,
    pub(super) foreign_currency: Count,
    pub(super) foreign_country: Count,
    pub(super) sum: Sum,
    pub(super) dual_sum: Sum,
    /// No try at the PIN was left when the transaction began.
    pub(super) pin_blocked: bool,
}

impl Facts {
    fn is_over(&self, limit: Option<u8>) -> bool {
        limit.is_some_and(|limit| self.since_online > u16::from(limit))
    }
}

/// What the card decides.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Verdict {
    pub(super) answer: Cryptogram,
    /// What the checks say.
    pub(super) cvr: Cvr,
    /// The application is to be blocked.
    pub(super) blocks: bool,
}

/// Of the first cryptogram of a debit or credit transaction.
pub(super) fn first(facts: &Facts, asked: Cryptogram) -> Verdict {
    let action = |bit| facts.action.contains(bit);
    let mut cvr = Cvr::scripts(facts.scripts);
    let (mut online, mut decline, mut blocks) = (false, facts.is_blocked, false);
    if facts.online_pending {
        cvr |= Cvr::LAST_ONLINE_INCOMPLETE;
        online = true;
    }
    if facts.issuer_failed {
        cvr |= Cvr::LAST_ISSUER_FAILED;
        online |= action(DefaultAction::ISSUER_FAILED_GOES_ONLINE);
    }
    if facts.script_failed {
        cvr |= Cvr::LAST_SCRIPT_FAILED;
        online |= action(DefaultAction::SCRIPT_FAILED_GOES_ONLINE);
    }
    if facts.is_over(facts.lower_limit)
        || facts.foreign_currency.exceeds()
        || facts.foreign_country.exceeds()
        || facts.sum.exceeds(facts.sum.lower)
        || facts.dual_sum.exceeds(facts.dual_sum.lower)
    {
        cvr |= Cvr::VELOCITY_EXCEEDED;
        online = true;
    }
    if facts.is_new {
        cvr |= Cvr::NEW_CARD;
        online |= action(DefaultAction::NEW_CARD_GOES_ONLINE);
    }
    if facts.pin_blocked {
        cvr |= Cvr::PIN_EXHAUSTED;
        online |= action(DefaultAction::PIN_BLOCKED_GOES_ONLINE);
        blocks = action(DefaultAction::PIN_BLOCKED_DECLINES_AND_BLOCKS);
        decline |= blocks || action(DefaultAction::PIN_BLOCKED_DECLINES);
        if blocks {
            cvr |= Cvr::BLOCKED_FOR_PIN;
        }
    }
    let answer = match asked {
        _ if decline => Cryptogram::Aac,
        Cryptogram::Tc if online => Cryptogram::Arqc,
        asked => asked,
    };
    Verdict {
        answer,
        cvr,
        blocks,
    }
}

/// Of the second cryptogram, where the terminal could not go on line.
pub(super) fn unable(facts: &Facts, asked: Cryptogram) -> Verdict {
    let action = |bit| facts.action.contains(bit);
    let velocity = facts.is_over(facts.upper_limit)
        || facts.sum.exceeds(facts.sum.upper)
        || facts.dual_sum.exceeds(facts.dual_sum.upper);
    let decline = facts.is_blocked
        || velocity
        || facts.is_new && action(DefaultAction::NEW_CARD_UNABLE_DECLINES)
        || facts.pin_blocked && action(DefaultAction::PIN_BLOCKED_UNABLE_DECLINES);
    let mut cvr = Cvr::UNABLE_ONLINE;
    cvr.set(Cvr::VELOCITY_EXCEEDED, velocity);
    Verdict {
        answer: if decline { Cryptogram::Aac } else { asked },
        cvr,
        blocks: false,
    }
}

/// What the issuer, or the terminal in its name, answered.
#[derive(Clone, Copy, Debug)]
pub(super) struct Answered {
    /// The terminal's response code and that of the issuer approve.
    pub(super) approved: bool,
    /// The processing options ask for authentication of the issuer.
    pub(super) supported: bool,
    /// And the card insists on it.
    pub(super) mandatory: bool,
    /// It was done, and whether it failed; `None` for not done.
    pub(super) failed: Option<bool>,
}

/// What the second cryptogram after an answer of the issuer does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Settlement {
    pub(super) verdict: Verdict,
    /// The issuer counts as authentic: what was pending is cleared.
    pub(super) satisfied: bool,
    /// That it did not authenticate is to be remembered.
    pub(super) missing: bool,
    /// It was declined for the sake of authentication.
    pub(super) for_issuer: bool,
}

/// Of the second cryptogram, where the issuer answered.
pub(super) fn answered(facts: &Facts, asked: Cryptogram, issuer: &Answered) -> Settlement {
    let action = |bit| facts.action.contains(bit);
    let mut cvr = Cvr::empty();
    let (mut missing, mut for_issuer) = (false, false);
    let satisfied = match issuer.failed {
        Some(failed) => {
            if failed {
                cvr |= Cvr::ISSUER_FAILED;
                for_issuer = action(DefaultAction::ISSUER_FAILED_DECLINES);
            }
            !failed
        }
        None if issuer.supported => {
            cvr |= Cvr::ISSUER_NOT_AUTHENTICATED;
            missing = issuer.mandatory;
            for_issuer = missing && action(DefaultAction::ISSUER_MISSING_DECLINES);
            !missing
        }
        None => true,
    };
    let decline = facts.is_blocked || !issuer.approved || for_issuer;
    Settlement {
        verdict: Verdict {
            answer: if decline { Cryptogram::Aac } else { asked },
            cvr,
            blocks: false,
        },
        satisfied,
        missing,
        for_issuer: for_issuer && issuer.approved && !facts.is_blocked,
    }
}

/// Cryptogram information data: advice and its reason beside the kind of answer.
pub(super) fn information(
    answer: Cryptogram,
    action: DefaultAction,
    pin_exhausted: bool,
    for_issuer: bool,
) -> u8 {
    const ADVICE: u8 = 0x08;
    const PIN_TRIES_EXCEEDED: u8 = 0x02;
    const ISSUER_FAILED: u8 = 0x03;
    let mut information = answer.information();
    if answer != Cryptogram::Aac {
        return information;
    }
    if action.contains(DefaultAction::DECLINE_IS_ADVISED) {
        information |= ADVICE;
    }
    if for_issuer && action.contains(DefaultAction::ISSUER_DECLINE_IS_ADVISED) {
        information |= ADVICE | ISSUER_FAILED;
    } else if pin_exhausted && action.contains(DefaultAction::PIN_DECLINE_IS_ADVISED) {
        information |= ADVICE | PIN_TRIES_EXCEEDED;
    }
    information
}
