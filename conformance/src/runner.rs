//! The runner: cases in, events out; it knows no report format.
//!
//! A case that evaluated nothing is inconclusive, never a pass.

use crate::case::{Case, Safety, Step};
use crate::event::{Event, Judged, Known, Reason, Run, Summary};
use crate::plan::KnownFailures;
use crate::session::{Session, Trouble, WRONG_CODE};
use crate::subject::Subject;
use crate::verdict::{Exit, Verdict};
use cardlab::apdu::{Response, Sw};
use cardlab_desk::profile::Profile;
use std::time::Instant;

/// How a run is made.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Options {
    /// The seed of the card and its keys, as reports name it.
    pub seed: u64,
    /// The safety budget: cases that do worse than this are withheld.
    pub budget: Safety,
}

/// Runs the cases in their order and tells what happens.
///
/// The exit is [`Exit::ToolError`] where no case was judged or the suite was at
/// fault, [`Exit::Refused`] where the safety budget allows none of the cases.
pub fn run(
    cases: &[Case],
    subject: &dyn Subject,
    profile: &Profile,
    options: Options,
    known: &KnownFailures,
    tell: &mut dyn FnMut(&Event<'_>),
) -> (Summary, Exit) {
    let began = Instant::now();
    let run = Run {
        profile: profile.id.clone(),
        subject: subject.name().to_owned(),
        seed: options.seed,
        case_count: cases.len(),
    };
    tell(&Event::Started(&run));
    let mut summary = Summary::default();
    for case in cases {
        let mut judged = judge(case, subject, profile, options.budget);
        judged.known = known.state(&run, &judged);
        summary.verdicts[judged.verdict as usize] += 1;
        summary.known += usize::from(matches!(judged.known, Some(Known::Failure(_))));
        summary.unexpected += usize::from(!judged.is_expected());
        tell(&Event::Judged(&judged));
    }
    summary.took = began.elapsed();
    tell(&Event::Ended(&summary));
    let exit = exit_of(&summary);
    (summary, exit)
}

fn exit_of(summary: &Summary) -> Exit {
    if summary.count(Verdict::ToolError) > 0 {
        Exit::ToolError
    } else if summary.unexpected > 0 {
        Exit::Unexpected
    } else if summary.decided() > 0 {
        Exit::AsExpected
    } else if summary.count(Verdict::Withheld) > 0 {
        Exit::Refused
    } else {
        Exit::ToolError
    }
}

/// Runs one case on a fresh card, if the budget allows it.
#[must_use]
pub fn judge<'c>(
    case: &'c Case,
    subject: &dyn Subject,
    profile: &Profile,
    budget: Safety,
) -> Judged<'c> {
    let began = Instant::now();
    let mut judged = Judged {
        case,
        verdict: Verdict::Pass,
        reason: None,
        known: None,
        evaluated: 0,
        trace: Vec::new(),
        took: began.elapsed(),
    };
    if let Some(need) = case.unmet(profile) {
        judged.verdict = Verdict::NotApplicable;
        judged.reason = Some(Reason {
            step: None,
            expected: format!("a card with {need}"),
            got: format!("profile {}", profile.id),
        });
        return judged;
    }
    if case.safety > budget {
        judged.verdict = Verdict::Withheld;
        judged.reason = Some(Reason {
            step: None,
            expected: format!("a safety budget of {}", case.safety.word()),
            got: budget.word().to_owned(),
        });
        return judged;
    }
    match Session::begin(subject, profile) {
        Err(trouble) => blame(&mut judged, None, "a card that answers a reset", &trouble),
        Ok(mut session) => {
            for (index, step) in case.steps.iter().enumerate() {
                take(&mut judged, &mut session, index + 1, step);
                if judged.verdict > Verdict::PassNote {
                    break;
                }
            }
            judged.trace = session.trace;
        }
    }
    if judged.evaluated == 0 {
        judged.verdict = judged.verdict.with(Verdict::Inconclusive);
        judged.reason.get_or_insert_with(|| Reason {
            step: None,
            expected: "at least one expectation".to_owned(),
            got: "none was evaluated".to_owned(),
        });
    }
    judged.took = began.elapsed();
    judged
}

/// Carries one step out and judges its answer.
fn take(judged: &mut Judged<'_>, session: &mut Session<'_>, number: usize, step: &Step) {
    let at = Some((number, step.label.clone()));
    let (data, sw) = match session.perform(&step.action, step.expect.as_ref()) {
        Ok(answer) => answer,
        Err(trouble) => {
            let expected = step
                .expect
                .as_ref()
                .map_or_else(|| "an answer".to_owned(), ToString::to_string);
            blame(judged, at, &expected, &trouble);
            return;
        }
    };
    let answer = Response { data: &data, sw };
    let got = words(&answer);
    let mut worsen = |verdict: Verdict, expected: String| {
        judged.verdict = judged.verdict.with(verdict);
        judged.reason = Some(Reason {
            step: at.clone(),
            expected,
            got: got.clone(),
        });
    };
    let mut evaluated = 0;
    if let Some(expect) = &step.expect {
        evaluated += 1;
        if !expect.matches(&answer) {
            let accepted = step
                .accept
                .as_ref()
                .is_some_and(|accept| accept.matches(&answer));
            let verdict = if accepted {
                Verdict::PassNote
            } else {
                Verdict::Fail
            };
            worsen(verdict, expect.to_string());
        }
    }
    for (name, same) in [(&step.same_as, true), (&step.differs_from, false)] {
        let Some(name) = name else { continue };
        evaluated += 1;
        match session.kept(name) {
            None => worsen(Verdict::ToolError, format!("data kept as {name:?}")),
            Some(kept) if (kept == data) != same => {
                let how = if same { "the data" } else { "other data than" };
                worsen(
                    Verdict::Fail,
                    format!("{how} kept as {name}: {}", hex::encode_upper(kept)),
                );
            }
            Some(_) => {}
        }
    }
    for (path, value) in &step.objects {
        evaluated += 1;
        if !value.matches(path.find(&data)) {
            worsen(Verdict::Fail, format!("{path} = {value}"));
        }
    }
    judged.evaluated += evaluated;
    if let Some(name) = &step.save {
        session.keep(name, &data);
    }
}

fn blame(
    judged: &mut Judged<'_>,
    step: Option<(usize, String)>,
    expected: &str,
    trouble: &Trouble,
) {
    let (verdict, got) = match trouble {
        Trouble::Lost(lost) => (Verdict::Inconclusive, lost.to_string()),
        Trouble::Case(text) => (Verdict::ToolError, text.clone()),
    };
    judged.verdict = judged.verdict.with(verdict);
    judged.reason = Some(Reason {
        step,
        expected: expected.to_owned(),
        got,
    });
}

/// An answer as reports print it.
fn words(answer: &Response<'_>) -> String {
    if answer.sw == WRONG_CODE {
        return format!(
            "{}, which is not the authentication code of the key",
            hex::encode_upper(answer.data)
        );
    }
    let data = hex::encode_upper(answer.data);
    let gap = if data.is_empty() { "" } else { " " };
    match (answer.sw.words(), answer.sw.words_zh()) {
        (Some(en), Some(zh)) if answer.sw != Sw::OK => {
            format!("{data}{gap}{} ({en} {zh})", answer.sw)
        }
        _ => format!("{data}{gap}{}", answer.sw),
    }
}
