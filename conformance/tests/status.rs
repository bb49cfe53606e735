//! Every command with every status word, found by running the suite.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod support;

use cardlab_conformance::cards::Cards;
use cardlab_conformance::case::Safety;
use cardlab_conformance::plan;
use cardlab_conformance::runner;
use cardlab_conformance::status::{self, Reached};
use support::Ours;

fn reached() -> Reached {
    let mut reached = Reached::default();
    for profile in status::profiles().unwrap() {
        let subject = Ours::issued(&profile);
        let cards = Cards::of(&subject, &profile);
        for case in plan::for_profile(&profile).unwrap() {
            let judged = runner::judge(&case, &cards, Safety::Irreversible);
            reached.note(&profile, &judged);
        }
    }
    reached
}

#[test]
fn every_listed_status_word_of_every_command_is_reached_by_a_case() {
    let reached = reached();
    assert_eq!(reached.missing(), Vec::<String>::new(), "never reached");
    assert_eq!(reached.stale(), Vec::<String>::new(), "never, and reached");
    let kept = include_str!("../STATUS.md");
    assert_eq!(
        kept,
        reached.to_markdown(),
        "`cardlab cases status > conformance/STATUS.md` makes it anew"
    );
}
