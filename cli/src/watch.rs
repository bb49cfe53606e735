//! The monitors behind a verb that has a card: what goes wrong is said at once.

use crate::card::Which;
use cardlab::link::tap::Event;
use cardlab_conformance::monitor::{Facts, Monitors};
use cardlab_desk::hsm::TestRoot;
use cardlab_desk::pki::Authority;
use cardlab_desk::profile::Profile;
use std::io::{self, Write};
use std::process::ExitCode;

/// The profile of a card, as far as it is known.
pub(crate) struct Known {
    profile: Option<Profile>,
    as_issued: bool,
    /// The certificate of the test authority, of a card that has some of it.
    authority: Option<Vec<u8>>,
    /// The seed that it was issued with.
    seed: Option<u64>,
}

impl Known {
    /// What is known of the card that a verb works on: of one out of an image no more than
    /// its profile and seed, where they are named or the image says them.
    pub(crate) fn of(which: &Which) -> anyhow::Result<Known> {
        let profile = which.known_profile()?;
        let has_some = profile.as_ref().is_some_and(|p| p.certificates.is_some());
        let authority = || {
            Authority::new(TestRoot::from_seed(which.seed()))?
                .certificate()
                .ok()
        };
        Ok(Known {
            profile,
            as_issued: !which.is_kept(),
            authority: has_some.then(authority).flatten(),
            seed: which.known_seed(),
        })
    }

    /// What is known of somebody's card in a reader: nothing.
    pub(crate) const fn nothing() -> Known {
        Known {
            profile: None,
            as_issued: false,
            authority: None,
            seed: None,
        }
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
            seed: known.seed,
        });
        let mut monitors = Monitors::new(facts);
        if let Some(authority) = &known.authority {
            monitors = monitors.with_authority(authority.clone());
        }
        Watch { monitors, verbose }
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

    /// The code of a verb that ended with this one, had all monitors been silent.
    pub(crate) fn judge(&self, code: ExitCode) -> ExitCode {
        if self.is_red() && code == ExitCode::SUCCESS {
            ExitCode::FAILURE
        } else {
            code
        }
    }

    /// Whether a monitor went red.
    pub(crate) fn is_red(&self) -> bool {
        !self.monitors.violations().is_empty()
    }
}
