//! The monitors behind a verb that has a card: what goes wrong is said at once.

use crate::card::Which;
use cardlab::link::tap::Event;
use cardlab_conformance::monitor::{Facts, Monitors};
use cardlab_desk::profile::Profile;
use std::io::{self, Write};

/// The profile of a card, as far as it is known.
pub(crate) struct Known {
    profile: Option<Profile>,
    as_issued: bool,
}

impl Known {
    /// What is known of the card that a verb works on: of one out of an image no more than
    /// its profile, where that is named.
    pub(crate) fn of(which: &Which) -> anyhow::Result<Known> {
        Ok(Known {
            profile: which.known_profile()?,
            as_issued: !which.is_kept(),
        })
    }
}

/// Monitors that speak up on the standard error.
pub(crate) struct Watch<'p> {
    monitors: Monitors<'p>,
    verbose: bool,
}

impl<'p> Watch<'p> {
    /// Watches a card of which this is known; `verbose` prints the exchange too.
    pub(crate) fn new(known: &'p Known, verbose: bool) -> Watch<'p> {
        let facts = known.profile.as_ref().map(|profile| Facts {
            profile,
            as_issued: known.as_issued,
        });
        Watch {
            monitors: Monitors::new(facts),
            verbose,
        }
    }

    /// Hears what a reader did.
    pub(crate) fn hear(&mut self, event: &Event<'_>) {
        if self.verbose {
            let _ = writeln!(io::stderr(), "{event}");
        }
        for violation in self.monitors.hear(event) {
            let _ = writeln!(io::stderr(), "cardlab: monitor 监视 {violation}");
        }
    }

    /// Whether a monitor went red.
    pub(crate) fn is_red(&self) -> bool {
        !self.monitors.violations().is_empty()
    }
}
