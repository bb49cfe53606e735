//! The runner and its reports against cards that answer by script.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod support;

use cardlab::crypto::Key;
use cardlab::icc::{Icc, Lost};
use cardlab_conformance::cards::Cards;
use cardlab_conformance::case::{Case, Safety};
use cardlab_conformance::event::{Event, Known};
use cardlab_conformance::plan::{self, KnownFailures};
use cardlab_conformance::report::Wanted;
use cardlab_conformance::runner::{self, Options, judge};
use cardlab_conformance::subject::Subject;
use cardlab_conformance::verdict::{Exit, Verdict};
use cardlab_desk::profile::Profile;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use support::{Ours, SEED};

/// A card that gives these answers in turn; an empty one is silence.
struct Script(&'static [&'static str]);

struct Playing(&'static [&'static str]);

impl Icc for Playing {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        Ok(vec![0x3B, 0x00])
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.power_on()
    }

    fn power_off(&mut self) {}

    fn transmit(&mut self, _: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        let (next, rest) = self.0.split_first().unwrap_or((&"", &[]));
        self.0 = rest;
        *response = hex::decode(next).unwrap();
        if response.is_empty() {
            return Err(Lost::Mute);
        }
        Ok(())
    }
}

impl Subject for Script {
    fn name(&self) -> &str {
        "script"
    }

    fn fresh(&self) -> Result<Box<dyn Icc + '_>, String> {
        Ok(Box::new(Playing(self.0)))
    }

    fn key(&self, _: &str, _: u8) -> Option<Key> {
        None
    }
}

/// A reader without a card.
struct NoCard;

impl Subject for NoCard {
    fn name(&self) -> &str {
        "none"
    }

    fn fresh(&self) -> Result<Box<dyn Icc + '_>, String> {
        Err("no card in the reader".to_owned())
    }

    fn key(&self, _: &str, _: u8) -> Option<Key> {
        None
    }
}

fn case(steps: Value) -> Case {
    let case = json!({
        "id": "test/case",
        "says": { "en": "A case.", "zh": "用例。" },
        "source": ["this test"],
        "steps": steps,
    });
    Case::from_json(Path::new("case.json"), &case.to_string()).unwrap()
}

fn profile() -> Profile {
    Profile::load("henan-2.0").unwrap()
}

fn verdict(steps: Value, answers: &'static [&'static str]) -> Verdict {
    let (script, profile) = (Script(answers), profile());
    let cards = Cards::of(&script, &profile);
    judge(&case(steps), &cards, Safety::Irreversible).verdict
}

#[test]
fn an_answer_is_judged_by_what_is_expected_and_what_is_accepted() {
    let steps = json!([{ "do": "x", "send": "00840000 08", "expect": "6700", "accept": "6A80" }]);
    assert_eq!(verdict(steps.clone(), &["6700"]), Verdict::Pass);
    assert_eq!(verdict(steps.clone(), &["6A80"]), Verdict::PassNote);
    assert_eq!(verdict(steps.clone(), &["9000"]), Verdict::Fail);
    assert_eq!(
        verdict(steps, &["01026700"]),
        Verdict::Fail,
        "data beside it"
    );
}

#[test]
fn a_card_that_is_lost_decides_nothing() {
    let steps = json!([{ "do": "x", "send": "00840000 08", "expect": "9000" }]);
    assert_eq!(verdict(steps.clone(), &[]), Verdict::Inconclusive);
    assert_eq!(verdict(steps.clone(), &["90"]), Verdict::Inconclusive);
    let profile = profile();
    let case = case(steps);
    let judged = judge(&case, &Cards::of(&NoCard, &profile), Safety::Irreversible);
    assert_eq!(judged.verdict, Verdict::Inconclusive);
}

#[test]
fn a_case_that_expects_nothing_decides_nothing() {
    let steps = json!([{ "do": "x", "send": "00840000 08" }]);
    assert_eq!(verdict(steps, &["9000"]), Verdict::Inconclusive);
}

#[test]
fn a_case_that_cannot_be_carried_out_is_the_suites_fault() {
    for steps in [
        json!([{ "do": "x", "send": "0084{nothing}", "expect": "9000" }]),
        json!([{ "do": "x", "send": "0G", "expect": "9000" }]),
        json!([{ "do": "x", "select": "DF99", "expect": "9000" }]),
        json!([{ "do": "x", "authenticate": { "key": "NONE" }, "expect": "9000" }]),
        json!([{ "do": "x", "send": "00", "expect": "9000", "same_as": "nothing" }]),
    ] {
        assert_eq!(
            verdict(steps.clone(), &["9000"]),
            Verdict::ToolError,
            "{steps}"
        );
    }
}

#[test]
fn what_t0_holds_back_is_fetched_and_what_it_corrects_is_sent_again() {
    let steps = |expect: &str| json!([{ "do": "x", "send": "00B20104 00", "expect": expect }]);
    assert_eq!(
        verdict(steps("01029000"), &["6C02", "01029000"]),
        Verdict::Pass
    );
    assert_eq!(
        verdict(steps("010203049000"), &["6102", "01026102", "03049000"]),
        Verdict::Pass
    );
    assert_eq!(
        verdict(steps("010203049000"), &["01026102", "03049000"]),
        Verdict::Pass
    );
    // What is expected is not interfered with.
    assert_eq!(verdict(steps("6C02"), &["6C02"]), Verdict::Pass);
    assert_eq!(verdict(steps("6102"), &["6102"]), Verdict::Pass);
    // A card that never ends is not waited for.
    assert_eq!(
        verdict(steps("9000"), &["6102", "6102", "6102"]),
        Verdict::Fail
    );
}

#[test]
fn kept_data_are_held_against_later_ones() {
    let steps = |key: &str| {
        json!([
            { "do": "x", "send": "00840000 08", "expect": "{2}9000", "save": "first" },
            { "do": "y", "send": "00840000 08", "expect": "{2}9000", key: "first" },
        ])
    };
    assert_eq!(
        verdict(steps("same_as"), &["01029000", "01029000"]),
        Verdict::Pass
    );
    assert_eq!(
        verdict(steps("same_as"), &["01029000", "01039000"]),
        Verdict::Fail
    );
    assert_eq!(
        verdict(steps("differs_from"), &["01029000", "01039000"]),
        Verdict::Pass
    );
    assert_eq!(
        verdict(steps("differs_from"), &["01029000", "01029000"]),
        Verdict::Fail
    );
}

#[test]
fn objects_of_an_answer_are_judged_by_path() {
    let steps = |path: &str, value: &str| {
        json!([{
            "do": "x", "send": "00A4000000", "expect": "**9000", "objects": { path: value },
        }])
    };
    const FCI: &[&str] = &["6F0A8403112233A5038801159000"];
    assert_eq!(verdict(steps("6F/84", "112233"), FCI), Verdict::Pass);
    assert_eq!(verdict(steps("6F/84", "112234"), FCI), Verdict::Fail);
    assert_eq!(verdict(steps("6F/A5/88", "15"), FCI), Verdict::Pass);
    assert_eq!(verdict(steps("6F/85", "-"), FCI), Verdict::Pass);
}

/// A subject that counts the cards that were issued for cases.
struct Counting {
    ours: Arc<Ours>,
    issued: AtomicUsize,
}

impl Subject for Counting {
    fn name(&self) -> &str {
        "counting"
    }

    fn fresh(&self) -> Result<Box<dyn Icc + '_>, String> {
        self.ours.fresh()
    }

    fn issued(&self, profile: &Profile) -> Result<Option<Arc<dyn Subject>>, String> {
        self.issued.fetch_add(1, Ordering::Relaxed);
        self.ours.issued(profile)
    }

    fn key(&self, name: &str, version: u8) -> Option<Key> {
        self.ours.key(name, version)
    }

    fn seed(&self) -> Option<u64> {
        Some(SEED)
    }
}

#[test]
fn a_card_that_several_cases_ask_for_is_issued_once() {
    let profile = profile();
    let subject = Counting {
        ours: Arc::new(Ours::issued(&profile)),
        issued: AtomicUsize::new(0),
    };
    let cards = Cards::of(&subject, &profile);
    let select = json!([{ "do": "select", "send": "00A40400 {bank:lv} 00", "expect": "**9000" }]);
    for variant in [
        json!({ "active": true }),
        json!({ "active": true }),
        json!({ "active": true, "tries": 4 }),
        json!({ "active": true }),
    ] {
        let mut case = case(select.clone());
        case.application = serde_json::from_value(variant).unwrap();
        let judged = judge(&case, &cards, Safety::Irreversible);
        assert_eq!(judged.verdict, Verdict::Pass, "{:?}", judged.reason);
    }
    assert_eq!(subject.issued.load(Ordering::Relaxed), 2);
}

#[test]
fn the_first_step_that_fails_ends_the_case_and_is_named() {
    let case = case(json!([
        { "do": "good", "send": "00", "expect": "9000" },
        { "do": "bad", "send": "01", "expect": "9000" },
        { "do": "never", "send": "02", "expect": "9000" },
    ]));
    let script = Script(&["9000", "6A82", "9000"]);
    let profile = profile();
    let judged = judge(&case, &Cards::of(&script, &profile), Safety::Irreversible);
    let reason = judged.reason.unwrap();
    assert_eq!(reason.step, Some((2, "bad".to_owned())));
    assert_eq!(reason.expected, "9000");
    assert!(reason.got.contains("6A82 (file or application not found"));
    assert!(reason.got.contains("未找到文件"));
    assert_eq!(judged.trace.len(), 2);
}

#[test]
fn power_that_cannot_be_cut_makes_a_torn_case_not_applicable() {
    let steps = json!([{ "do": "x", "send": "00", "expect": "9000", "torn": true }]);
    assert_eq!(verdict(steps, &["9000"]), Verdict::NotApplicable);
}

fn run(cases: &[Case], subject: &dyn Subject, known: &str) -> (Exit, Vec<Option<Known>>) {
    let options = Options {
        seed: 1,
        budget: Safety::Irreversible,
    };
    let known = KnownFailures::from_json(known).unwrap();
    let mut overlays = Vec::new();
    let mut tell = |event: &Event<'_>| {
        if let Event::Judged(judged) = event {
            overlays.push(judged.known.clone());
        }
    };
    let (_, exit) = runner::run(cases, subject, &profile(), options, &known, &mut tell);
    (exit, overlays)
}

#[test]
fn the_exit_says_how_the_run_went() {
    let good = case(json!([{ "do": "x", "send": "00", "expect": "9000" }]));
    let wrong = case(json!([{ "do": "x", "send": "0G", "expect": "9000" }]));
    let pass = Script(&["9000"]);
    let fail = Script(&["6F00"]);
    assert_eq!(
        run(&[], &pass, "[]").0,
        Exit::ToolError,
        "no case is no pass"
    );
    assert_eq!(
        run(std::slice::from_ref(&good), &pass, "[]").0,
        Exit::AsExpected
    );
    assert_eq!(
        run(std::slice::from_ref(&good), &fail, "[]").0,
        Exit::Unexpected
    );
    assert_eq!(
        run(std::slice::from_ref(&good), &NoCard, "[]").0,
        Exit::NoCard
    );
    assert_eq!(run(&[good.clone(), wrong], &pass, "[]").0, Exit::ToolError);
    let dear = Case {
        safety: Safety::Writes,
        ..good
    };
    let options = Options {
        seed: 1,
        budget: Safety::ReadOnly,
    };
    let none = KnownFailures::default();
    let (_, exit) = runner::run(&[dear], &pass, &profile(), options, &none, &mut |_| {});
    assert_eq!(exit, Exit::Refused);
}

#[test]
fn a_known_failure_is_expected_until_it_expires_or_passes() {
    let good = [case(json!([{ "do": "x", "send": "00", "expect": "9000" }]))];
    let (pass, fail) = (Script(&["9000"]), Script(&["6F00"]));
    let entry = |extra: &str, day: &str| {
        format!(r#"[{{"case": "test/case", {extra} "reason": "so", "expires": "{day}"}}]"#)
    };
    let live = entry("", "9999-12-31");
    assert_eq!(
        run(&good, &fail, &live),
        (
            Exit::AsExpected,
            vec![Some(Known::Failure("so".to_owned()))]
        )
    );
    assert_eq!(
        run(&good, &pass, &live),
        (Exit::Unexpected, vec![Some(Known::UnexpectedPass)])
    );
    assert_eq!(
        run(&good, &fail, &entry("", "2020-01-01")),
        (
            Exit::Unexpected,
            vec![Some(Known::Expired("so".to_owned()))]
        )
    );
    let elsewhere = entry(r#""subject": "t0","#, "9999-12-31");
    assert_eq!(
        run(&good, &fail, &elsewhere),
        (Exit::Unexpected, vec![None])
    );
    assert!(KnownFailures::from_json(r#"[{"case": "a/b"}]"#).is_err());
}

#[test]
fn a_case_that_builds_on_one_that_failed_is_blocked() {
    let below = case(json!([{ "do": "x", "send": "00", "expect": "9000" }]));
    let above = Case {
        id: "a/above".to_owned(),
        after: vec!["test/case".to_owned(), "not/in-this-run".to_owned()],
        ..below.clone()
    };
    let cases = [above, below];
    let verdicts = |subject: &dyn Subject| {
        let mut verdicts = Vec::new();
        let options = Options {
            seed: 1,
            budget: Safety::Irreversible,
        };
        let none = KnownFailures::default();
        runner::run(&cases, subject, &profile(), options, &none, &mut |event| {
            if let Event::Judged(judged) = event {
                verdicts.push((judged.case.id.clone(), judged.verdict));
            }
        });
        verdicts
    };
    let of = |below, above| {
        vec![
            ("test/case".to_owned(), below),
            ("a/above".to_owned(), above),
        ]
    };
    assert_eq!(
        verdicts(&Script(&["9000"])),
        of(Verdict::Pass, Verdict::Pass)
    );
    assert_eq!(
        verdicts(&Script(&["6F00"])),
        of(Verdict::Fail, Verdict::Blocked)
    );
}

#[test]
fn a_filter_takes_ids_by_pattern() {
    let cases = || plan::shipped().unwrap();
    let ids = |patterns: &[&str]| {
        let patterns: Vec<_> = patterns.iter().map(|p| (*p).to_owned()).collect();
        plan::filter(cases(), &patterns).unwrap().len()
    };
    assert_eq!(ids(&[]), cases().len());
    assert_eq!(
        ids(&["verify/*", "select/*"]),
        ids(&["verify/*"]) + ids(&["select/*"])
    );
    assert_eq!(ids(&["nothing/*"]), 0);
    assert!(plan::filter(cases(), &["[".to_owned()]).is_err());
}

/// Runs all cases of a profile into report files and gives their texts.
fn reports() -> (Value, String, usize) {
    let folder = tempfile::tempdir().unwrap();
    let path = |name: &str| folder.path().join(name);
    let wanted = ["json", "junit"].map(|kind| {
        let wanted = format!("{kind}={}", path(kind).display());
        wanted.parse::<Wanted>().unwrap()
    });
    let mut reporters = wanted.map(|wanted| wanted.reporter());
    let profile = profile();
    let cases = plan::for_profile(&profile).unwrap();
    let ours = Ours::issued(&profile);
    let options = Options {
        seed: SEED,
        budget: Safety::Irreversible,
    };
    let known = KnownFailures::default();
    runner::run(&cases, &ours, &profile, options, &known, &mut |event| {
        for reporter in &mut reporters {
            reporter.tell(event).unwrap();
        }
    });
    let read = |name| std::fs::read_to_string(path(name)).unwrap();
    let json = read("json");
    for directory in &profile.directories {
        for key in &directory.keys {
            for version in 1..=key.versions {
                let bytes = ours.key(&key.name, version).unwrap();
                let shown = json.contains(&hex::encode_upper(bytes.expose()));
                assert!(!shown, "{} version {version} is in the report", key.name);
            }
        }
    }
    (
        serde_json::from_str(&json).unwrap(),
        read("junit"),
        cases.len(),
    )
}

#[test]
fn the_reports_have_every_case_and_the_counts_and_no_key() {
    let (json, junit, case_count) = reports();
    let cases = json["cases"].as_array().unwrap();
    assert_eq!(cases.len(), case_count);
    for case in cases {
        assert!(case["id"].is_string() && case["requirements"].is_array());
        assert!(case["verdict"].is_string());
    }
    let summary = &json["summary"];
    let counts = Verdict::ALL.map(|verdict| summary[verdict.word()].as_u64().unwrap());
    assert_eq!(counts.iter().sum::<u64>(), case_count as u64);
    assert_eq!(junit.matches("<testcase ").count(), case_count);
    assert!(!junit.contains("<failure") && !junit.contains("<error"));
    assert_eq!(
        junit.matches("<skipped").count() as u64,
        summary["not-applicable"].as_u64().unwrap()
    );
}
