//! All shipped cases and those of each shipped profile, on our card.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod support;

use cardlab::crypto::Key;
use cardlab::icc::{Icc, Tearable};
use cardlab::link::t0::T0;
use cardlab::link::t1::{IFS_MAX, Parameters, T1};
use cardlab::os::Card;
use cardlab_conformance::cards::Cards;
use cardlab_conformance::case::{Case, Need, Safety};
use cardlab_conformance::event::{Event, Judged};
use cardlab_conformance::plan::{self, KnownFailures};
use cardlab_conformance::runner::{self, Options};
use cardlab_conformance::subject::Subject;
use cardlab_conformance::verdict::{Exit, Verdict};
use cardlab_desk::profile::Profile;
use std::sync::Arc;
use support::{Ours, SEED};

const OPTIONS: Options = Options {
    seed: SEED,
    budget: Safety::Irreversible,
};

/// What a run came to.
struct Ran {
    unexpected: Vec<String>,
    verdicts: Vec<(String, Verdict)>,
    decided: usize,
    cuts: usize,
    exit: Exit,
}

fn run(profile: &Profile, subject: &dyn Subject) -> Ran {
    run_some(&plan::for_profile(profile).unwrap(), profile, subject)
}

fn run_some(cases: &[Case], profile: &Profile, subject: &dyn Subject) -> Ran {
    let known = KnownFailures::shipped().unwrap();
    let mut unexpected = Vec::new();
    let mut verdicts = Vec::new();
    let mut tell = |event: &Event<'_>| {
        if let Event::Judged(judged) = event {
            verdicts.push((judged.case.id.clone(), judged.verdict));
            if !judged.is_expected() || judged.verdict == Verdict::Withheld {
                unexpected.push(tale(judged));
            }
        }
    };
    let (summary, exit) = runner::run(cases, subject, profile, OPTIONS, &known, &mut tell);
    Ran {
        unexpected,
        verdicts,
        decided: summary.decided(),
        cuts: summary.cuts,
        exit,
    }
}

/// A protocol between the suite and the card.
#[derive(Clone, Copy)]
enum Wire {
    T0,
    T1,
}

impl Wire {
    fn before(self, card: Card) -> Box<dyn Tearable> {
        match self {
            Wire::T0 => Box::new(T0::new(card)),
            Wire::T1 => {
                let parameters = Parameters {
                    ifsd: IFS_MAX,
                    ..Parameters::default()
                };
                Box::new(T1::new(card, parameters))
            }
        }
    }
}

/// The same card behind a wire.
struct Behind(Wire, Arc<Ours>);

impl Subject for Behind {
    fn name(&self) -> &str {
        match self.0 {
            Wire::T0 => "t0",
            Wire::T1 => "t1",
        }
    }

    fn fresh(&self) -> Result<Box<dyn Icc + '_>, String> {
        Ok(Box::new(self.0.before(self.1.fork())))
    }

    fn issued(&self, profile: &Profile) -> Result<Option<Arc<dyn Subject>>, String> {
        let other = Arc::new(self.1.other(profile));
        Ok(Some(Arc::new(Behind(self.0, other))))
    }

    fn repeats(&self) -> bool {
        true
    }

    fn tearable(&self) -> Option<Box<dyn Tearable>> {
        Some(self.0.before(self.1.fork()))
    }

    fn key(&self, name: &str, version: u8) -> Option<Key> {
        self.1.key(name, version)
    }

    fn seed(&self) -> Option<u64> {
        self.1.seed()
    }

    fn authority(&self) -> Option<Vec<u8>> {
        self.1.authority()
    }
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

#[test]
fn every_profile_passes_in_process_and_through_t0_and_t1_alike() {
    let mut failures = Vec::new();
    for id in Profile::shipped() {
        let profile = Profile::load(id).unwrap();
        let direct = Ours::issued(&profile);
        let [t0, t1] =
            [Wire::T0, Wire::T1].map(|wire| Behind(wire, Arc::new(Ours::issued(&profile))));
        let subjects: [&dyn Subject; 3] = [&direct, &t0, &t1];
        let [direct, t0, t1] = subjects.map(|subject| {
            let ran = run(&profile, subject);
            if ran.exit != Exit::AsExpected || !ran.unexpected.is_empty() {
                failures.push(format!("{id} {} {:?}", subject.name(), ran.exit));
                failures.extend(ran.unexpected.iter().cloned());
            }
            ran
        });
        assert!(failures.is_empty(), "{}", failures.join("\n"));
        for wired in [t0, t1] {
            assert_eq!(direct.verdicts, wired.verdicts, "{id}");
            assert_eq!(direct.cuts, wired.cuts, "{id}");
        }
        assert!(direct.decided >= 400, "{id}: {} judged", direct.decided);
        println!("{id}: {} judged, {} cuts", direct.decided, direct.cuts);
    }
}

/// A composite card with these applications over those of the shipped profile.
fn composite(applications: &str) -> Profile {
    let applications = applications.replace("{keys}", &KEY.repeat(3));
    let text = format!(
        r#"{{ "id": "own", "extends": "henan-2.0",
              "bank": {{ "applications": [ {applications} ] }} }}"#
    );
    Profile::parse("own.json", &text).unwrap_or_else(|report| panic!("{report}"))
}

/// Its check value is '8BAF47'.
const KEY: &str = "404142434445464748494A4B4C4D4E4F";

/// Three ways to be a bank application: none as cases count on it.
const OF_THEIR_OWN: &str = r#"
  { "aid": "A000000333010101", "active": true, "pin": "1234", "tries": 5, "label": "ACME",
    "card_block": "card", "sm_algorithms": true, "default_action": "0000",
    "methods": "00000000000000001F00", "switches": { "counts_at_first_ac": true },
    "limits": { "lower": 2, "upper": 3, "foreign_currency": 0, "sum_fen": 5000 },
    "second_currency": { "code": "0840", "conversion": "20000690" },
    "cash": { "balance_fen": 5000, "balance_limit_fen": 30000, "single_limit_fen": 10000,
              "reset_threshold_fen": 1000, "second": { "code": "0344" } },
    "groupings": [ { "dgi": "0302", "data":
      "701E8F01639F3201035F300202205F3401019F080200309F420201569F4A0182" } ] },
  { "aid": "A00000033301010201", "account": "6228480402564890026",
    "authentication": "static", "limits": { "lower": 1 } },
  { "aid": "A000000333010110", "groupings": [
    { "dgi": "0101", "data": "701357116228004116000202649D34062010000000" },
    { "dgi": "0102", "data": "701A8C0D9F02069F37049F1A0295059A038D098A029F370495059A03" },
    { "dgi": "0D01", "data": "9F580107" },
    { "dgi": "9102", "data": "A512500A50424F432044454249549F38039F1A02" },
    { "dgi": "9104", "data": "82021C00940408010200" },
    { "dgi": "8000", "data": "{keys}" },
    { "dgi": "9000", "data": "8BAF478BAF478BAF47" },
    { "dgi": "9200", "data": "9F10080701010300000001" } ] }"#;

#[test]
fn a_card_with_bank_applications_of_its_own_passes_and_each_is_looked_at() {
    let profile = composite(OF_THEIR_OWN);
    let ran = run(&profile, &Ours::issued(&profile));
    assert_eq!(ran.unexpected, Vec::<String>::new());
    let verdict = |id: &str| {
        let found = ran.verdicts.iter().find(|(known, _)| known == id);
        found.unwrap_or_else(|| panic!("no case {id}")).1
    };
    for id in [
        "bank-directory/entries",
        "bank-data/a000000333010101",
        "bank-data/a00000033301010201",
        "bank-data/a000000333010110",
        "bank-record/a000000333010101",
        "bank-record/a00000033301010201",
        "bank-record/a000000333010110",
        "bank-pin/a000000333010101",
        "vlp/a-load",
        "pli/the-fourth-foreign-payment",
    ] {
        assert_eq!(verdict(id), Verdict::Pass, "{id}");
    }
}

#[test]
fn a_card_that_was_ordered_with_other_values_is_found_out() {
    let ordered = composite(OF_THEIR_OWN);
    for (id, from, to) in [
        ("bank-directory/entries", "ACME", "OTHER"),
        (
            "bank-data/a000000333010101",
            r#""tries": 5"#,
            r#""tries": 6"#,
        ),
        (
            "bank-data/a000000333010101",
            r#""upper": 3"#,
            r#""upper": 4"#,
        ),
        (
            "bank-data/a00000033301010201",
            r#""lower": 1"#,
            r#""lower": 0"#,
        ),
        ("bank-data/a000000333010110", "9F580107", "9F580108"),
        ("bank-record/a000000333010101", "5F30020220", "5F30020221"),
        ("bank-record/a000000333010110", "D34062010", "D34072010"),
        ("bank-pin/a000000333010101", "1234", "1235"),
    ] {
        assert_eq!(OF_THEIR_OWN.matches(from).count(), 1, "{from}");
        let made = Ours::issued(&composite(&OF_THEIR_OWN.replace(from, to)));
        let cards = Cards::of(&made, &ordered);
        let cases = plan::for_profile(&ordered).unwrap();
        let case = cases.iter().find(|case| case.id == id).unwrap();
        let judged = runner::judge(case, &cards, Safety::Irreversible);
        assert_eq!(
            judged.verdict,
            Verdict::Fail,
            "{id} {to}: {}",
            tale(&judged)
        );
    }
}

#[test]
fn a_run_is_a_function_of_its_seed() {
    let profile = Profile::load("henan-3.0").unwrap();
    let ours = Ours::issued(&profile);
    let first = run(&profile, &ours);
    let again = run(&profile, &ours);
    assert_eq!(first.verdicts, again.verdicts);
    let anew = run(&profile, &Ours::issued(&profile));
    assert_eq!(first.verdicts, anew.verdicts);
}

#[test]
fn every_case_makes_the_same_exchanges_each_time() {
    let profile = Profile::load("henan-2.0").unwrap();
    let ours = Ours::issued(&profile);
    let cards = Cards::of(&ours, &profile);
    for case in plan::for_profile(&profile).unwrap() {
        let trace = || runner::judge(&case, &cards, Safety::Irreversible).trace;
        assert_eq!(trace(), trace(), "{}", case.id);
    }
}

#[test]
fn a_budget_withholds_what_does_worse_to_a_card() {
    let profile = Profile::load("henan-2.0").unwrap();
    let ours = Ours::issued(&profile);
    let cards = Cards::of(&ours, &profile);
    for case in plan::for_profile(&profile).unwrap() {
        let judged = runner::judge(&case, &cards, Safety::ReadOnly);
        let withheld = judged.verdict == Verdict::Withheld;
        let applies = case.unmet(&profile).is_none();
        assert_eq!(
            withheld,
            applies && case.safety > Safety::ReadOnly,
            "{}",
            case.id
        );
        assert!(!withheld || judged.trace.is_empty());
    }
}

#[test]
fn the_names_of_the_pack_are_on_the_card_as_they_were_written() {
    for id in Profile::names_pack() {
        let profile = Profile::load(id).unwrap();
        let ours = Ours::issued(&profile);
        let cards = Cards::of(&ours, &profile);
        let cases = plan::for_profile(&profile).unwrap();
        let wanted = ["{ssse,df??}-{record,text}/*".to_owned()];
        let cases = plan::filter(cases, &wanted).unwrap();
        assert!(cases.len() > 150, "{id}: {} cases", cases.len());
        for case in cases {
            let judged = runner::judge(&case, &cards, Safety::Irreversible);
            assert_eq!(judged.verdict, Verdict::Pass, "{id}: {}", tale(&judged));
        }
    }
}

/// Profiles whose bank application is another in what decides how payments go.
fn other_banks() -> Vec<Profile> {
    let odd = r#""pin": "1357", "active": true, "card_block": "card",
        "switches": { "new_card_takes_no_cash": true, "counts_at_first_ac": true },
        "limits": { "lower": 0, "upper": 0 }, "default_action": "6010", "tries": 6,
        "methods": "0000000000000000 1E031F00",
        "second_currency": { "code": "0840", "conversion": "10000072" },
        "cash": { "balance_fen": 12345, "second": { "code": "0344" } }, "issuer_key_bits": 1984"#;
    let members = [
        ("without-cash", r#""cash": null"#),
        ("static", r#""authentication": "static""#),
        ("with-sm", r#""sm_algorithms": true"#),
        ("odd", odd),
    ];
    members
        .map(|(id, members)| {
            let application = format!(r#"{{ "aid": "A000000333010101", {members} }}"#);
            let text = format!(
                r#"{{ "id": "{id}", "extends": "henan-2.0",
                     "bank": {{ "applications": [{application}] }} }}"#
            );
            Profile::parse(id, &text).unwrap()
        })
        .into()
}

#[test]
fn the_cases_of_payments_hold_on_any_bank_application() {
    for profile in other_banks() {
        let ours = Ours::issued(&profile);
        let cases = plan::shipped().unwrap();
        let cases: Vec<_> = cases
            .into_iter()
            .filter(|case| case.needs.iter().any(Need::is_bank))
            .collect();
        let ran = run_some(&cases, &profile, &ours);
        assert_eq!(ran.unexpected, Vec::<String>::new(), "{}", profile.id);
        assert!(ran.decided > 700, "{}: {}", profile.id, ran.decided);
    }
}
