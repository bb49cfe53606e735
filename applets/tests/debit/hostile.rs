//! Personalisation data as no bureau sends them: lacking, twice, cut, wrong.
//!
//! What the last block ends well is a card that pays with all that it offers, in either
//! set; nothing that is sent leaves a card that does not answer.

use crate::support::{Bench, Deal, PROVE, Recipe, SELECT, store_data};
use cardlab::apdu::Sw;
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, proptest,
};
use proptest::sample::Index;

const DEALS: [Deal; 4] = [
    Deal::of(1_234),
    Deal::of(1_234).in_cash(),
    Deal::of(1_234).in_sm(),
    Deal::of(1_234).in_sm().in_cash(),
];

/// An applet that waits for its data, selected.
fn waiting(recipe: &Recipe) -> Bench {
    let mut bench = Bench::installed(recipe);
    bench.ok(SELECT);
    bench
}

/// The groupings in another order, without some, and with some twice.
fn dealt() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let groupings = Recipe::new().with_sm2().stream();
    let len = groupings.len();
    let lacking = prop::collection::vec(0..len, 0..4);
    let twice = prop::collection::vec(0..len, 0..3);
    (Just(groupings), lacking, twice).prop_flat_map(|(groupings, lacking, twice)| {
        let twice = twice.iter().map(|at| groupings[*at].clone());
        let once = groupings.iter().enumerate();
        let once = once.filter(|(at, _)| !lacking.contains(at));
        let dealt: Vec<_> = once
            .map(|(_, grouping)| grouping.clone())
            .chain(twice)
            .collect();
        Just(dealt).prop_shuffle()
    })
}

/// Everything that the options offer is there.
fn pays(bench: &mut Bench, deal: &Deal) {
    let options = bench.begin(deal);
    assert_eq!(options[..4], *"7D00");
    for record in options.as_bytes()[4..].chunks(8) {
        let entry = hex::decode(record).expect("a locator");
        for number in entry[1]..=entry[2] {
            bench.ok(&format!("00B2{number:02X}{:02X}00", entry[0] | 4));
        }
    }
    bench.ok(PROVE);
    for p1 in [0x00, 0x40, 0x80, 0x50, 0x90] {
        let data = deal.cdol1();
        let len = data.len() / 2;
        bench
            .fork()
            .ok(&format!("80AE{p1:02X}00 {len:02X} {data} 00"));
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 64,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn what_is_personalised_pays_with_all_that_it_offers(groupings in dealt()) {
        let mut bench = waiting(&Recipe::new().with_sm2());
        for (number, grouping) in groupings.iter().enumerate() {
            let last = number + 1 == groupings.len();
            let (data, sw) = bench.send_bytes(&store_data(number, last, grouping));
            prop_assert!(data.is_empty());
            if sw != Sw::OK {
                prop_assert_eq!(sw, Sw::CONDITIONS_NOT_MET, "{:02X?}", grouping);
                prop_assert!(last, "{:02X?}", grouping);
                bench.ok(SELECT);
                bench.refused("80CA9F3600", 0x6985);
                return Ok(());
            }
        }
        for deal in &DEALS {
            pays(&mut bench, deal);
        }
    }

    #[test]
    fn a_stream_that_is_spoiled_leaves_a_card_that_answers(
        groupings in dealt(),
        spoiled in prop::collection::vec((any::<Index>(), any::<u8>()), 0..4),
        cut: bool,
        len in 1..=255_usize,
    ) {
        let mut stream = groupings.concat();
        for (at, byte) in spoiled {
            let at = at.index(stream.len());
            if cut {
                stream.truncate(at.max(1));
            } else {
                stream[at] = byte;
            }
        }
        let mut bench = waiting(&Recipe::new().with_sm2());
        let blocks = stream.chunks(len).count();
        for (number, block) in stream.chunks(len).enumerate().take(256) {
            let command = store_data(number, number + 1 == blocks, block);
            let (data, sw) = bench.send_bytes(&command);
            prop_assert!(data.is_empty());
            let known = matches!(sw.0, 0x9000 | 0x6985 | 0x6A80 | 0x6A84 | 0x6A86 | 0x6A88);
            prop_assert!(known, "{sw} to {command:02X?}");
        }
        for deal in &DEALS {
            for command in [
                SELECT.to_owned(),
                bench.begins(deal),
                "00B2010C00".to_owned(),
                PROVE.to_owned(),
                format!("80AE9000 {:02X} {} 00", deal.cdol1().len() / 2, deal.cdol1()),
                format!("80AE5000 {:02X} {} 00", deal.cdol2("3030").len() / 2, deal.cdol2("3030")),
            ] {
                let (data, sw) = bench.send(&command);
                prop_assert!(sw != Sw::NO_DIAGNOSIS, "{command}");
                prop_assert!(data.is_empty() || !sw.is_error(), "{command}");
            }
        }
    }
}
