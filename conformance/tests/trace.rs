//! The replayed traces: what of a real card stands in none of the shipped profiles.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod support;

use cardlab_conformance::cards::Cards;
use cardlab_conformance::case::Safety;
use cardlab_conformance::plan;
use cardlab_conformance::runner;
use cardlab_conformance::verdict::Verdict;
use cardlab_desk::profile::Profile;
use support::Ours;

/// The answers of a card over `national-2.0` with these members to a case.
fn answers(members: &str, id: &str) -> Vec<String> {
    let text = format!(r#"{{ "id": "own", "extends": "national-2.0", {members} }}"#);
    let profile = Profile::parse("own.json", &text).unwrap();
    let ours = Ours::issued(&profile);
    let cases = plan::shipped().unwrap();
    let case = cases.iter().find(|case| case.id == id).unwrap();
    let judged = runner::judge(case, &Cards::of(&ours, &profile), Safety::ReadOnly);
    assert_eq!(judged.verdict, Verdict::Pass, "{:?}", judged.reason);
    let answers = judged.trace.iter();
    answers.map(|e| hex::encode_upper(&e.response)).collect()
}

#[test]
fn items_that_are_not_used_read_as_they_do_on_a_real_card() {
    let unused = r#""data": { "SSSEEF06|09": "李示范", "SSSEEF06|0A": "2",
        "SSSEEF06|0B": null, "SSSEEF06|0C": null, "SSSEEF06|0D": null }"#;
    let answers = answers(unused, "trace/a-2-0-card-is-read-whole");
    let blank = "00".repeat(20);
    let end = format!("4E14{blank}0A01320B01FF0C03FFFFFF0D04FFFFFFFF9000");
    assert!(answers.last().unwrap().ends_with(&end), "{answers:?}");
}
