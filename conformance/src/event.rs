//! What a run tells its reporters.

use crate::case::Case;
use crate::monitor::Violation;
use crate::record::Exchange;
use crate::verdict::Verdict;
use cardlab::apdu::Sw;
use std::time::Duration;

/// Why a case got its verdict.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reason {
    /// The step, from 1, and its label; `None` where no step is to blame.
    pub step: Option<(usize, String)>,
    /// What was expected.
    pub expected: String,
    /// What came.
    pub got: String,
}

/// A status word that a step expected, and that came.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Answered {
    /// The step, from 1.
    pub step: usize,
    /// CLA INS P1 P2 of the command, the last one of the step.
    pub header: [u8; 4],
    /// What it was answered.
    pub sw: Sw,
}

/// One case, judged.
#[derive(Clone, Debug)]
pub struct Judged<'c> {
    /// The case.
    pub case: &'c Case,
    /// Its verdict.
    pub verdict: Verdict,
    /// Why, unless it simply passed.
    pub reason: Option<Reason>,
    /// The known failure that it is, or was to be: its sentence.
    pub known: Option<Known>,
    /// How many expectations were evaluated.
    pub evaluated: usize,
    /// What was expected and came, each once.
    pub answers: Vec<Answered>,
    /// How often the power was cut.
    pub cuts: usize,
    /// What went over the wire; of a case with a torn step, in its last run.
    pub trace: Vec<Exchange>,
    /// The monitors that went red; of a case with a torn step, in its last run.
    pub violations: Vec<Violation>,
    /// How long it took.
    pub took: Duration,
}

/// How a case stands to the list of known failures.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Known {
    /// It failed as the list says, for this reason.
    Failure(String),
    /// It is in the list and passed: the list is stale.
    UnexpectedPass,
    /// Its entry has expired.
    Expired(String),
}

impl Judged<'_> {
    /// Whether the case ended as expected.
    #[must_use]
    pub fn is_expected(&self) -> bool {
        match &self.known {
            Some(Known::Failure(_)) => true,
            Some(Known::UnexpectedPass | Known::Expired(_)) => false,
            None => self.verdict.is_good(),
        }
    }
}

/// What is being run.
#[derive(Clone, Debug)]
pub struct Run {
    /// The profile's id.
    pub profile: String,
    /// The subject's name.
    pub subject: String,
    /// The seed of the card and its keys.
    pub seed: u64,
    /// How many cases there are.
    pub case_count: usize,
}

/// The counts at the end.
#[derive(Clone, Debug, Default)]
pub struct Summary {
    /// How many cases ended with each verdict, in the order of [`Verdict::ALL`].
    pub verdicts: [usize; Verdict::ALL.len()],
    /// How many of them were known failures.
    pub known: usize,
    /// How many did not end as expected.
    pub unexpected: usize,
    /// How often the power was cut.
    pub cuts: usize,
    /// How long the run took.
    pub took: Duration,
}

impl Summary {
    /// How many cases ended so.
    #[must_use]
    pub fn count(&self, verdict: Verdict) -> usize {
        self.verdicts[verdict as usize]
    }

    /// How many cases were judged.
    #[must_use]
    pub fn decided(&self) -> usize {
        Verdict::ALL
            .into_iter()
            .filter(|v| v.is_decided())
            .map(|v| self.count(v))
            .sum()
    }

    /// How many cases there were.
    #[must_use]
    pub fn total(&self) -> usize {
        self.verdicts.iter().sum()
    }
}

/// What happens in a run, in this order: started, each case, ended.
#[derive(Clone, Debug)]
pub enum Event<'e> {
    /// A run begins.
    Started(&'e Run),
    /// A case was judged.
    Judged(&'e Judged<'e>),
    /// The run is over.
    Ended(&'e Summary),
}
