//! The runner: cases in, events out; it knows no report format.
//!
//! A case that evaluated nothing is inconclusive, never a pass.

use crate::cards::Cards;
use crate::case::{Case, Cells, Safety, Step};
use crate::event::{Answered, Event, Judged, Known, Reason, Run, Summary};
use crate::monitor::Monitor;
use crate::plan::KnownFailures;
use crate::session::{Session, Trouble, WRONG_CODE};
use crate::subject::Subject;
use crate::tear::{self, After};
use crate::verdict::{Exit, Verdict};
use cardlab::apdu::{Response, Sw};
use cardlab::memory::Cut;
use cardlab_desk::profile::Profile;
use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::time::{Duration, Instant};

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
/// fault, [`Exit::NoCard`] where no case found a card, [`Exit::Refused`] where the
/// safety budget allows none of the cases.
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
    let mut heard = false;
    let mut failed = BTreeSet::new();
    let cards = Cards::of(subject, profile);
    for case in in_order(cases) {
        let blocker = case.after.iter().find(|id| failed.contains(id.as_str()));
        let mut judged = match blocker {
            Some(id) if case.unmet(profile).is_none() => blocked(case, id),
            _ => judge(case, &cards, options.budget),
        };
        if judged.verdict >= Verdict::Blocked {
            failed.insert(case.id.as_str());
        }
        judged.known = known.state(&run, &judged);
        summary.verdicts[judged.verdict as usize] += 1;
        summary.known += usize::from(matches!(judged.known, Some(Known::Failure(_))));
        summary.unexpected += usize::from(!judged.is_expected());
        heard |= !judged.trace.is_empty();
        summary.cuts += judged.cuts;
        tell(&Event::Judged(&judged));
    }
    summary.took = began.elapsed();
    tell(&Event::Ended(&summary));
    let exit = exit_of(&summary, heard);
    (summary, exit)
}

/// Each case after those that it builds on, as far as they are in this run; else by
/// their order.
fn in_order(cases: &[Case]) -> Vec<&Case> {
    let by_id: BTreeMap<&str, &Case> = cases.iter().map(|case| (&*case.id, case)).collect();
    let mut ordered: Vec<(usize, &Case)> = cases
        .iter()
        .map(|case| (depth(case, &by_id, 0), case))
        .collect();
    ordered.sort_by_key(|(depth, _)| *depth);
    ordered.into_iter().map(|(_, case)| case).collect()
}

/// How many cases deep it builds on others; no more than there are.
fn depth(case: &Case, by_id: &BTreeMap<&str, &Case>, above: usize) -> usize {
    if above >= by_id.len() {
        return 0;
    }
    case.after
        .iter()
        .filter_map(|id| by_id.get(id.as_str()))
        .map(|other| 1 + depth(other, by_id, above + 1))
        .max()
        .unwrap_or(0)
}

fn blocked<'c>(case: &'c Case, by: &str) -> Judged<'c> {
    let mut judged = unjudged(case);
    judged.verdict = Verdict::Blocked;
    judged.reason = Some(Reason {
        step: None,
        expected: format!("{by} to pass"),
        got: "it did not".to_owned(),
    });
    judged
}

fn unjudged(case: &Case) -> Judged<'_> {
    Judged {
        case,
        verdict: Verdict::Pass,
        reason: None,
        known: None,
        evaluated: 0,
        answers: Vec::new(),
        cuts: 0,
        trace: Vec::new(),
        violations: Vec::new(),
        took: Duration::ZERO,
    }
}

/// `heard` is whether any card was spoken to.
fn exit_of(summary: &Summary, heard: bool) -> Exit {
    if summary.count(Verdict::ToolError) > 0 {
        Exit::ToolError
    } else if !heard && summary.count(Verdict::Inconclusive) > 0 {
        Exit::NoCard
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
pub fn judge<'c>(case: &'c Case, cards: &Cards<'_>, budget: Safety) -> Judged<'c> {
    let began = Instant::now();
    let profile = cards.profile();
    let mut judged = unjudged(case);
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
    let chosen = match cards.choose(case) {
        Ok(chosen) => chosen,
        Err(trouble) => {
            blame(&mut judged, None, "a card of its own", &trouble);
            return judged;
        }
    };
    let (subject, profile) = (chosen.subject(), chosen.profile());
    let harmed = |step: &Step| step.torn.depth().is_some() || step.worn.is_some();
    match case.steps.iter().position(harmed) {
        None => go_through(&mut judged, subject, profile),
        Some(index) => match (case.steps[index].worn, case.steps[index].torn.depth()) {
            (None, depth) => tear(
                &mut judged,
                subject,
                profile,
                (index, depth.unwrap_or_default()),
            ),
            (Some(cells), _) => wear_out(&mut judged, subject, profile, index, cells),
        },
    }
    if judged.evaluated == 0 && judged.verdict != Verdict::NotApplicable {
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

/// All steps on one card.
fn go_through(judged: &mut Judged<'_>, subject: &dyn Subject, profile: &Profile) {
    match Session::begin(subject, profile) {
        Err(trouble) => blame(judged, None, "a card that answers a reset", &trouble),
        Ok(mut session) => {
            take_all(judged, &mut session, 0, &judged.case.steps);
            if subject.repeats() && is_repeated(&judged.case.id) {
                session.repeat();
            }
            close(judged, session);
        }
    }
}

/// One case of so many is asked twice.
const REPEATED_OF: u32 = 32;

/// Whether this case is one of those that are asked twice.
fn is_repeated(id: &str) -> bool {
    let mix = |sum: u32, byte| sum.wrapping_mul(31).wrapping_add(u32::from(byte));
    id.bytes().fold(0, mix) % REPEATED_OF == 0
}

/// Takes over what went over the wire and what the monitors say of it.
fn close(judged: &mut Judged<'_>, session: Session<'_>) {
    (judged.trace, judged.violations) = session.end();
    if let Some(violation) = judged.violations.first()
        && judged.verdict < Verdict::Fail
    {
        let Monitor { id, en, zh, .. } = violation.monitor;
        judged.verdict = Verdict::Fail;
        judged.reason = Some(Reason {
            step: None,
            expected: format!("{id}: {en} {zh}"),
            got: format!("exchange {}: {}", violation.exchange, violation.saw),
        });
    }
}

/// The most writes that a torn or a worn step may make.
const WRITES_MAX: u64 = 10_000;

/// The steps before the torn one on one card; then, on a copy for each cut of it, the
/// power back, and the steps after it; and once without any cut.
fn tear(
    judged: &mut Judged<'_>,
    subject: &dyn Subject,
    profile: &Profile,
    (index, depth): (usize, u8),
) {
    let case = judged.case;
    let (before, from) = case.steps.split_at(index);
    let Some((torn_step, after)) = from.split_first() else {
        return;
    };
    let at = Some((index + 1, torn_step.label.clone()));
    let mut start = match Session::begin_tearable(subject, profile) {
        Ok(session) => session,
        Err(trouble) => return blame(judged, None, "a card that answers a reset", &trouble),
    };
    take_all(judged, &mut start, 0, before);
    if judged.verdict > Verdict::PassNote {
        return close(judged, start);
    }
    let torn_step = match start.expecting(torn_step) {
        Ok(step) => step,
        Err(trouble) => return blame(judged, at, "values that there are", &trouble),
    };
    let Some(mut whole) = start.fork() else {
        let trouble = Trouble::Case("a function of the terminal stands before it".to_owned());
        return blame(judged, at, "a step that can be torn", &trouble);
    };
    match whole.perform(&torn_step.action, torn_step.expect.as_ref()) {
        Ok((data, sw)) => {
            let answer = Response { data: &data, sw };
            judge_answer(judged, &whole, at.clone(), &torn_step, &answer);
        }
        Err(trouble) => blame(judged, at.clone(), "an answer", &trouble),
    }
    if judged.verdict > Verdict::PassNote {
        return close(judged, whole);
    }
    let mut perform = |session: &mut Session<'_>| {
        // It ends where the power does.
        drop(session.perform(&torn_step.action, torn_step.expect.as_ref()));
    };
    let writes = tear::writes_of(&mut start, perform);
    if writes > WRITES_MAX {
        return blame(judged, at, "a step that ends", &endless());
    }
    let mut seen = vec![false; after.len()];
    let mut go_on = |mut session: Session<'_>, cuts: &[Cut], back: Result<(), Trouble>| {
        judged.cuts += usize::from(!cuts.is_empty());
        if let Err(trouble) = back {
            blame(judged, at.clone(), "a card that comes back", &trouble);
            return ControlFlow::Break(());
        }
        let answers = take_all(judged, &mut session, index + 1, after);
        see(&mut seen, &session, after, answers);
        close(judged, session);
        if judged.verdict > Verdict::PassNote {
            if let Some(reason) = &mut judged.reason {
                reason.got += &tear::place(cuts);
            }
            return ControlFlow::Break(());
        }
        ControlFlow::Continue(())
    };
    let mut look = |after: After<'_, Session<'_>>| {
        let back = after.back.map(drop).map_err(Trouble::from);
        go_on(after.bench, after.cuts, back)
    };
    if tear::sweep(&mut start, writes, depth, &mut perform, &mut look).is_break() {
        return;
    }
    let back = whole.cycle().map(drop);
    if go_on(whole, &[], back).is_continue() {
        judge_sometimes(judged, index + 1, after, &seen);
    }
}

fn endless() -> Trouble {
    Trouble::Case(format!("more than {WRITES_MAX} writes"))
}

/// All steps on one card after another, with the cells of the first write of the worn
/// step worn out in it, then those of the second, until the step has no more writes.
fn wear_out(
    judged: &mut Judged<'_>,
    subject: &dyn Subject,
    profile: &Profile,
    index: usize,
    cells: Cells,
) {
    let case = judged.case;
    let (before, from) = case.steps.split_at(index);
    let Some((worn_step, after)) = from.split_first() else {
        return;
    };
    let mut seen = vec![false; after.len()];
    for writes in 0..WRITES_MAX {
        let mut session = match Session::begin_tearable(subject, profile) {
            Ok(session) => session,
            Err(trouble) => return blame(judged, None, "a card that answers a reset", &trouble),
        };
        take_all(judged, &mut session, 0, before);
        if judged.verdict > Verdict::PassNote {
            return close(judged, session);
        }
        let at = Some((index + 1, worn_step.label.clone()));
        let worn_step = match session.expecting(worn_step) {
            Ok(step) => step,
            Err(trouble) => return blame(judged, at, "values that there are", &trouble),
        };
        session.wear(writes, cells);
        let performed = session.perform(&worn_step.action, worn_step.expect.as_ref());
        let is_worn = session.spare();
        match performed {
            Ok(_) if !is_worn => {
                return judge_sometimes(judged, index + 1, after, &seen);
            }
            Ok((data, sw)) => {
                let answer = Response { data: &data, sw };
                judge_answer(judged, &session, at, &worn_step, &answer);
            }
            Err(trouble) => return blame(judged, at, "an answer", &trouble),
        }
        let answers = take_all(judged, &mut session, index + 1, after);
        see(&mut seen, &session, after, answers);
        close(judged, session);
        if judged.verdict > Verdict::PassNote {
            if let Some(reason) = &mut judged.reason {
                reason.got += &format!(", cells worn out at write {}", writes + 1);
            }
            return;
        }
    }
    blame(judged, None, "a step that ends", &endless());
}

/// Notes which of the answers to come at least once came.
fn see(seen: &mut [bool], session: &Session<'_>, steps: &[Step], answers: Vec<(Vec<u8>, Sw)>) {
    for ((seen, step), (data, sw)) in seen.iter_mut().zip(steps).zip(answers) {
        let answer = Response { data: &data, sw };
        let step = session.expecting(step);
        let sometimes = step.as_ref().ok().and_then(|step| step.sometimes.as_ref());
        *seen |= sometimes.is_some_and(|e| e.matches(&answer));
    }
}

/// What was to come at least once came at least once.
fn judge_sometimes(judged: &mut Judged<'_>, first: usize, steps: &[Step], seen: &[bool]) {
    for (index, (step, seen)) in steps.iter().zip(seen).enumerate() {
        let Some(sometimes) = &step.sometimes else {
            continue;
        };
        judged.evaluated += 1;
        if !seen {
            judged.verdict = judged.verdict.with(Verdict::Fail);
            judged.reason = Some(Reason {
                step: Some((first + index + 1, step.label.clone())),
                expected: format!("{sometimes} at least once"),
                got: "never in any of the runs".to_owned(),
            });
        }
    }
}

/// Carries steps out until the case cannot pass any more; their answers.
fn take_all(
    judged: &mut Judged<'_>,
    session: &mut Session<'_>,
    done: usize,
    steps: &[Step],
) -> Vec<(Vec<u8>, Sw)> {
    let mut answers = Vec::new();
    for (number, step) in (done + 1..).zip(steps) {
        if judged.verdict > Verdict::PassNote {
            break;
        }
        let at = Some((number, step.label.clone()));
        let step = match session.expecting(step) {
            Ok(step) => step,
            Err(trouble) => {
                blame(judged, at, "values that there are", &trouble);
                break;
            }
        };
        match session.perform(&step.action, step.expect.as_ref()) {
            Ok((data, sw)) => {
                let answer = Response { data: &data, sw };
                judge_answer(judged, session, at, &step, &answer);
                if let Some(name) = &step.save {
                    session.keep(name, &data);
                }
                answers.push((data, sw));
            }
            Err(trouble) => {
                let returns = || step.returns.as_ref().map(|r| format!("return code {r}"));
                let expected = step.expect.as_ref().map(ToString::to_string);
                let expected = expected.or_else(returns);
                let expected = expected.unwrap_or_else(|| "an answer".to_owned());
                blame(judged, at, &expected, &trouble);
            }
        }
    }
    answers
}

/// Holds an answer against what its step expects.
fn judge_answer(
    judged: &mut Judged<'_>,
    session: &Session<'_>,
    at: Option<(usize, String)>,
    step: &Step,
    answer: &Response<'_>,
) {
    let said = session.said();
    let got = said.map_or_else(|| words(answer), ToString::to_string);
    let mut reached = None;
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
        if expect.matches(answer) {
            reached = answered(session, at.as_ref(), answer.sw);
        } else {
            let accepted = step
                .accept
                .as_ref()
                .is_some_and(|accept| accept.matches(answer));
            let verdict = if accepted {
                Verdict::PassNote
            } else {
                Verdict::Fail
            };
            worsen(verdict, expect.to_string());
        }
    }
    if let Some(returns) = &step.returns {
        evaluated += 1;
        if !said.is_some_and(|said| returns.allows(said.code)) {
            worsen(Verdict::Fail, format!("return code {returns}"));
        }
    }
    if let (Some(gives), Some(said)) = (&step.gives, said) {
        evaluated += 1;
        match session.gives(gives, &said.text) {
            Ok(true) => {}
            Ok(false) => worsen(Verdict::Fail, format!("return code 0 and {gives}")),
            Err(trouble) => worsen(Verdict::ToolError, format!("{trouble:?}")),
        }
    }
    let (cid, cvr) = session.cryptogram_said().unzip();
    let cid = cid.as_ref().map(|cid| &cid[..]);
    let cvr = cvr.as_ref().map(|cvr| &cvr[..]);
    for (name, wanted, is) in [("CID", &step.cid, cid), ("CVR", &step.cvr, cvr)] {
        let Some(wanted) = wanted else { continue };
        evaluated += 1;
        if !wanted.matches(is) {
            let is = is.map_or_else(|| "none".to_owned(), hex::encode_upper);
            worsen(Verdict::Fail, format!("{name} {wanted}, which is {is}"));
        }
    }
    for (name, same) in [(&step.same_as, true), (&step.differs_from, false)] {
        let Some(name) = name else { continue };
        evaluated += 1;
        match session.kept(name) {
            None => worsen(Verdict::ToolError, format!("data kept as {name:?}")),
            Some(kept) if (kept == answer.data) != same => {
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
        if !value.matches(path.find(answer.data)) {
            worsen(Verdict::Fail, format!("{path} = {value}"));
        }
    }
    judged.evaluated += evaluated;
    if let Some(reached) = reached.filter(|reached| !judged.answers.contains(reached)) {
        judged.answers.push(reached);
    }
}

/// What came as it was expected, where a command was sent for it.
fn answered(session: &Session<'_>, at: Option<&(usize, String)>, sw: Sw) -> Option<Answered> {
    let (step, _) = at?;
    Some(Answered {
        step: *step,
        header: session.asked()?,
        sw,
    })
}

fn blame(
    judged: &mut Judged<'_>,
    step: Option<(usize, String)>,
    expected: &str,
    trouble: &Trouble,
) {
    let (verdict, got) = match trouble {
        Trouble::Lost(lost) => (Verdict::Inconclusive, lost.to_string()),
        Trouble::Unavailable(what) => {
            judged.verdict = judged.verdict.with(Verdict::NotApplicable);
            judged.reason = Some(Reason {
                step,
                expected: (*what).to_owned(),
                got: "a subject that has none".to_owned(),
            });
            return;
        }
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
    if answer.sw == WRONG_CODE
        && let Ok(says) = core::str::from_utf8(answer.data)
        && says.contains(' ')
    {
        return says.to_owned();
    }
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
