//! Every requirement on the card or a terminal, walked by a scenario.

use cardlab_conformance::{plan, requirement};
use cardlab_desk::profile::Profile;

#[test]
fn every_requirement_on_the_card_or_a_terminal_has_its_scenario_or_its_sentence() {
    let cases = plan::shipped().unwrap();
    assert_eq!(requirement::faults(&cases), Vec::<String>::new());
    assert_eq!(
        include_str!("../REQUIREMENTS.md"),
        requirement::to_markdown(&cases),
        "`cardlab cases requirements > conformance/REQUIREMENTS.md` makes it anew"
    );
}

#[test]
fn every_scenario_is_walked_on_some_shipped_card() {
    let profiles = Profile::shipped().map(|id| Profile::load(id).unwrap());
    for case in plan::shipped().unwrap() {
        let walked = profiles.iter().any(|profile| case.unmet(profile).is_none());
        assert!(walked || !case.id.starts_with("flow/"), "{}", case.id);
    }
}
