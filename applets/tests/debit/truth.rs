//! The status word tells the truth about memory: any command, in any state.
//!
//! Two kinds of refusal leave something, by the specification: EXTERNAL AUTHENTICATE at
//! a wrong time is a failure of the issuer, and a script that was refused while scripts
//! are taken is counted and marked.
//!
//! Source: ISO/IEC 7816-4:2020, 5.6; JR/T 0025.5, internal indicators.

use crate::support::{Bench, Deal, Recipe, SELECT, STARTS_INACTIVE, VERIFY};
use cardlab::apdu::{Memory, Sw};
use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_oneof, proptest};

const DEAL: Deal = Deal::of(1500);

/// The states from which commands are tried.
fn states() -> Vec<Bench> {
    let mut bench = Bench::cleaned(&Recipe::new());
    let mut states = Vec::new();
    bench.ok(SELECT);
    states.push(bench.fork());
    bench.ok(VERIFY);
    bench.options(&DEAL);
    states.push(bench.fork());
    bench.first(0x80, &DEAL);
    states.push(bench.fork());
    assert_eq!(bench.authenticate("3030"), Sw::OK);
    bench.second(0x40, "3030", &DEAL);
    states.push(bench.fork());
    assert_eq!(bench.script("841E0000", ""), Sw::OK);
    bench.offline(0x00, &DEAL);
    states.push(bench);
    let mut fresh = Bench::installed(&Recipe::new());
    fresh.ok(SELECT);
    states.push(fresh);
    let mut inactive = Bench::new(&Recipe::new().switched(STARTS_INACTIVE));
    inactive.begin(&DEAL);
    states.push(inactive);
    let mut by_sm2 = Bench::cleaned(&Recipe::new().with_sm2());
    by_sm2.begin(&DEAL.in_sm());
    states.push(by_sm2);
    states
}

fn commands() -> impl Strategy<Value = Vec<u8>> {
    let header = prop_oneof![
        8 => prop::sample::select(vec![
            [0x00, 0xA4],
            [0x00, 0xB2],
            [0x80, 0xA8],
            [0x80, 0xCA],
            [0x80, 0xAE],
            [0x00, 0x88],
            [0x00, 0x82],
            [0x00, 0x84],
            [0x00, 0x20],
            [0x84, 0x1E],
            [0x84, 0x18],
            [0x84, 0x16],
            [0x84, 0x24],
            [0x04, 0xDA],
            [0x04, 0xDC],
            [0x80, 0xE2],
        ]),
        1 => any::<[u8; 2]>(),
    ];
    let parameter = prop_oneof![
        4 => prop::sample::select(vec![0, 1, 2, 4, 0x40, 0x50, 0x80, 0x88, 0x0C, 0x14, 0x5C]),
        1 => any::<u8>(),
        1 => prop::sample::select(vec![0x9F, 0x79, 0x58, 0x36]),
    ];
    let data = prop_oneof![
        prop::sample::select(vec![
            DEAL.cdol1(),
            DEAL.cdol2("3030"),
            format!("8309{}", DEAL.pdol()),
            format!("830A{}01", DEAL.pdol()),
            "D64B8587".to_owned(),
            "26123456FFFFFFFF".to_owned(),
            "00000000000000003030".to_owned(),
        ])
        .prop_map(|data| crate::support::bytes(&data)),
        prop::collection::vec(any::<u8>(), 0..30),
    ];
    (
        header,
        parameter.clone(),
        parameter,
        data,
        any::<Option<u8>>(),
    )
        .prop_map(|([cla, ins], p1, p2, data, le)| {
            let (p1, p2) = match ins {
                0xA8 | 0x88 | 0x82 | 0x84 | 0x1E | 0x18 | 0x16 if p1 < 0x80 => (0, 0),
                0x20 if p2 != 0x88 => (0, 0x80),
                0xAE => (p1, 0),
                _ => (p1, p2),
            };
            let mut command = vec![cla, ins, p1, p2];
            if !data.is_empty() {
                command.push(u8::try_from(data.len()).expect("short"));
                command.extend(data);
            }
            command.extend(le);
            command
        })
}

/// Whether a refusal of this command leaves something, by the specification.
fn leaves_a_mark(command: &[u8], sw: Sw) -> bool {
    match command[1] {
        0x82 => sw == Sw::CONDITIONS_NOT_MET,
        0x1E | 0x18 | 0x16 | 0x24 | 0xDA | 0xDC => {
            matches!(sw, Sw::WRONG_LENGTH | Sw::SM_OBJECT_WRONG)
        }
        _ => false,
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(200))]

    #[test]
    fn a_word_that_promises_unchanged_memory_keeps_its_promise(
        commands in prop::collection::vec(commands(), 1..60),
    ) {
        for mut bench in states() {
            for command in &commands {
                let before = bench.card.contents();
                let (data, sw) = bench.send_bytes(command);
                if sw.memory() != Memory::MayHaveChanged && !leaves_a_mark(command, sw) {
                    assert_eq!(bench.card.contents(), before, "{command:02X?} {sw}");
                }
                assert!(data.is_empty() || !sw.is_error(), "{command:02X?} {sw}");
                // GET RESPONSE with nothing left to give is answered so by the standard.
                let fault = sw == Sw::NO_DIAGNOSIS && command[1] != 0xC0;
                assert!(!fault, "{command:02X?}");
            }
        }
    }
}
