//! All shipped cases and those of each shipped profile, on our card.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod support;

use cardlab_conformance::case::Safety;
use cardlab_conformance::event::{Event, Judged};
use cardlab_conformance::plan::{self, KnownFailures};
use cardlab_conformance::runner::{self, Options};
use cardlab_conformance::verdict::{Exit, Verdict};
use cardlab_desk::profile::Profile;
use support::{Ours, SEED, Way};

const OPTIONS: Options = Options {
    seed: SEED,
    budget: Safety::Irreversible,
};

/// Runs a profile and gives what was not as expected, and how many were judged.
fn run(id: &str, way: Way) -> (Vec<String>, usize, Exit) {
    let profile = Profile::load(id).unwrap();
    let cases = plan::for_profile(&profile).unwrap();
    let subject = Ours::issued(&profile, way);
    let known = KnownFailures::shipped().unwrap();
    let mut unexpected = Vec::new();
    let mut tell = |event: &Event<'_>| {
        if let Event::Judged(judged) = event
            && (!judged.is_expected() || judged.verdict == Verdict::Inconclusive)
        {
            unexpected.push(tale(judged));
        }
    };
    let (summary, exit) = runner::run(&cases, &subject, &profile, OPTIONS, &known, &mut tell);
    println!("{id} {way:?}: {:?} {:?}", summary.verdicts, summary.took);
    (unexpected, summary.decided(), exit)
}

fn tale(judged: &Judged<'_>) -> String {
    let mut tale = format!("{} {}", judged.case.id, judged.verdict);
    if let Some(reason) = &judged.reason {
        tale += &format!(
            "\n  step {:?}\n  expected {}\n  got {}",
            reason.step, reason.expected, reason.got
        );
    }
    for exchange in &judged.trace {
        tale += &format!(
            "\n    > {}\n    < {}",
            hex::encode_upper(&exchange.command),
            hex::encode_upper(&exchange.response)
        );
    }
    tale
}

fn all_as_expected(way: Way) {
    let mut failures = Vec::new();
    for id in Profile::shipped() {
        let (unexpected, decided, exit) = run(id, way);
        assert!(decided >= 400, "{id}: only {decided} cases were judged");
        if exit != Exit::AsExpected || !unexpected.is_empty() {
            failures.push(format!("{id} {way:?} {exit:?}"));
            failures.extend(unexpected);
        }
    }
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}

#[test]
fn every_profile_passes_in_process() {
    all_as_expected(Way::InProcess);
}

#[test]
fn every_profile_passes_through_t0() {
    all_as_expected(Way::T0);
}
