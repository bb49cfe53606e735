//! The JUnit report, for continuous integration.
//!
//! `failure` is the card's, `error` is a case that could not be judged.

use super::{Reporter, write_whole};
use crate::event::{Event, Judged, Known};
use crate::verdict::Verdict;
use quick_junit::{NonSuccessKind, Property, Report, TestCase, TestCaseStatus, TestSuite};
use std::io;
use std::path::PathBuf;

/// Gathers a run and writes it at its end.
pub struct Junit {
    path: PathBuf,
    report: Report,
    suite: TestSuite,
}

impl Junit {
    /// A report that goes to this path.
    #[must_use]
    pub fn new(path: PathBuf) -> Junit {
        Junit {
            path,
            report: Report::new("cardlab"),
            suite: TestSuite::new("cardlab"),
        }
    }
}

impl Reporter for Junit {
    fn tell(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Started(run) => {
                let name = format!("{} {}", run.profile, run.subject);
                self.suite = TestSuite::new(name);
                self.suite
                    .add_property(Property::new("seed", run.seed.to_string()));
            }
            Event::Judged(judged) => {
                self.suite.add_test_case(case_of(judged));
            }
            Event::Ended(summary) => {
                self.suite.set_time(summary.took);
                self.report.set_time(summary.took);
                let empty = TestSuite::new("");
                self.report
                    .add_test_suite(std::mem::replace(&mut self.suite, empty));
                let text = self.report.to_string().map_err(io::Error::other)?;
                write_whole(&self.path, text.as_bytes())?;
            }
        }
        Ok(())
    }
}

fn case_of(judged: &Judged<'_>) -> TestCase {
    let reason = judged.reason.as_ref().map(|reason| {
        let step = reason
            .step
            .as_ref()
            .map(|(number, label)| format!("step {number} {label:?}: "));
        format!(
            "{}expected {}, got {}",
            step.unwrap_or_default(),
            reason.expected,
            reason.got
        )
    });
    let reason = reason.unwrap_or_default();
    let mut status = match judged.verdict {
        Verdict::Pass | Verdict::PassNote => TestCaseStatus::success(),
        Verdict::NotApplicable | Verdict::Withheld | Verdict::Blocked => TestCaseStatus::skipped(),
        Verdict::Fail if matches!(judged.known, Some(Known::Failure(_))) => {
            TestCaseStatus::skipped()
        }
        Verdict::Fail => TestCaseStatus::non_success(NonSuccessKind::Failure),
        Verdict::Inconclusive | Verdict::ToolError => {
            TestCaseStatus::non_success(NonSuccessKind::Error)
        }
    };
    if judged.known == Some(Known::UnexpectedPass) {
        status = TestCaseStatus::non_success(NonSuccessKind::Failure);
        status.set_message("passed, but stands in the list of known failures");
    } else if !matches!(status, TestCaseStatus::Success { .. }) {
        status.set_message(match &judged.known {
            Some(Known::Failure(sentence)) => format!("known: {sentence}; {reason}"),
            Some(Known::Expired(sentence)) => format!("known, but expired: {sentence}; {reason}"),
            _ => reason.clone(),
        });
        status.set_type(judged.verdict.word());
    }
    let mut case = TestCase::new(judged.case.id.clone(), status);
    case.set_time(judged.took);
    case.add_property(Property::new("verdict", judged.verdict.word()));
    case.add_property(Property::new("says", judged.case.says.en.clone()));
    case.add_property(Property::new("says-zh", judged.case.says.zh.clone()));
    if let Some(group) = &judged.case.group {
        case.add_property(Property::new("group", group.clone()));
    }
    for requirement in &judged.case.requirements {
        case.add_property(Property::new("requirement", requirement.clone()));
    }
    for source in &judged.case.source {
        case.add_property(Property::new("source", source.clone()));
    }
    for violation in &judged.violations {
        case.add_property(Property::new("monitor", violation.monitor.id));
    }
    if judged.verdict == Verdict::PassNote {
        case.set_system_out(reason);
    }
    case
}
