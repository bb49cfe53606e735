//! The status word tells the truth about memory: any command, in any state.
//!
//! Source: ISO/IEC 7816-4:2020, 5.6.

use crate::support::{Bench, FIRST_CHANGE, SELECT_DF01, SELECT_DF04, SELECT_SSSE, VERIFY};
use cardlab::apdu::{Memory, Sw};
use cardlab::crypto::Algorithm;
use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_oneof, proptest};

/// Everything proven and verified that can be.
fn privileged(bench: &mut Bench) {
    bench.ok(VERIFY);
    for kid in [0x00, 0x04, 0x05, 0x06, 0x0A] {
        assert_eq!(bench.authenticate(0xDDF1, kid, 1), Sw::OK);
    }
}

/// The states from which commands are tried.
fn states() -> Vec<Bench> {
    let mut states = Vec::new();
    for (algorithm, switches) in [(Algorithm::Des, 0), (Algorithm::Sm4, FIRST_CHANGE)] {
        let mut bench = Bench::new(algorithm, switches);
        states.push(bench.fork());
        privileged(&mut bench);
        bench.ok("00840000 08");
        states.push(bench.fork());
        for (select, directory) in [(SELECT_DF01, 0xDF01), (SELECT_DF04, 0xDF04)] {
            bench.ok(select);
            for kid in [0x00, 0x83, 0x84] {
                assert_eq!(bench.authenticate(directory, kid, 1), Sw::OK);
            }
            states.push(bench.fork());
        }
        bench.ok(SELECT_SSSE);
        bench.ok("00A40000 02 3F00");
        states.push(bench.fork());
    }
    states
}

fn commands() -> impl Strategy<Value = Vec<u8>> {
    let header = prop_oneof![
        prop::sample::select(vec![
            [0x00, 0xA4],
            [0x00, 0xB0],
            [0x00, 0xB2],
            [0x00, 0xD6],
            [0x04, 0xD6],
            [0x00, 0xDC],
            [0x04, 0xDC],
            [0x00, 0x84],
            [0x00, 0x88],
            [0x00, 0x82],
            [0x00, 0x20],
            [0x80, 0x5E],
            [0x84, 0x24],
            [0x84, 0x1E],
            [0x84, 0x16],
            [0x00, 0xE0],
            [0x00, 0x44],
            [0x80, 0xD4],
        ]),
        any::<[u8; 2]>(),
    ];
    let parameter = prop_oneof![3 => 0..8u8, 1 => any::<u8>(), 1 => 0x80..0x90u8];
    let byte = prop_oneof![
        any::<u8>(),
        0..4u8,
        prop::sample::select(vec![0x62, 0x82, 0x83, 0xFF])
    ];
    let data = prop::collection::vec(byte, 0..40);
    let tlv = (any::<u8>(), prop::collection::vec(any::<u8>(), 0..20)).prop_map(|(tag, value)| {
        let mut record = vec![tag, u8::try_from(value.len()).expect("short")];
        record.extend(value);
        record
    });
    let data = prop_oneof![data, tlv];
    let sfi = prop::sample::select(vec![0u8, 5, 6, 7, 8, 12, 25]);
    (
        header,
        parameter.clone(),
        parameter,
        sfi,
        data,
        any::<Option<u8>>(),
    )
        .prop_map(|([cla, ins], p1, p2, sfi, data, le)| {
            let (p1, p2) = match ins {
                0xB2 | 0xDC => (p1, sfi << 3 | p2 & 7),
                0xB0 | 0xD6 if sfi > 0 => (0x80 | sfi, p2),
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
                if sw.memory() != Memory::MayHaveChanged {
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
