//! The status word tells the truth about memory: any command, in any state.
//!
//! Source: ISO/IEC 7816-4:2020, 5.6.

use crate::support::{ADMINISTRATOR, Bench, GENERATE, SELECT_PKI, USER};
use cardlab::apdu::{Memory, Sw};
use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_oneof, proptest};

/// The states from which commands are tried.
fn states() -> Vec<Bench> {
    let mut bench = Bench::new();
    bench.ok(SELECT_PKI);
    let mut states = vec![bench.fork()];
    bench.enter();
    states.push(bench.fork());
    for who in [USER, ADMINISTRATOR] {
        assert_eq!(bench.verify(who), Sw::OK);
    }
    bench.ok(GENERATE);
    bench.ok("804A0210 12 C110 00112233445566778899AABBCCDDEEFF");
    bench.ok("00A40000 02 0018");
    bench.ok("00840000 10");
    states.push(bench);
    states
}

fn commands() -> impl Strategy<Value = Vec<u8>> {
    let known = prop::sample::select(vec![
        [0x00, 0xA4, 0x00, 0x00],
        [0x00, 0xB0, 0x00, 0x00],
        [0x00, 0xD6, 0x00, 0x00],
        [0x00, 0x84, 0x00, 0x00],
        [0x00, 0x20, 0x01, 0x81],
        [0x00, 0x20, 0x01, 0x00],
        [0x84, 0x5E, 0x01, 0x81],
        [0x84, 0x24, 0x01, 0x81],
        [0x80, 0x40, 0x00, 0x00],
        [0x80, 0xC9, 0x82, 0x00],
        [0x80, 0xC2, 0x40, 0x00],
        [0x80, 0xC2, 0xC0, 0x01],
        [0x80, 0x4A, 0x02, 0x10],
        [0x80, 0x48, 0x00, 0x01],
        [0x80, 0x4E, 0x00, 0x01],
        [0x80, 0xC4, 0x01, 0x03],
        [0x80, 0xD4, 0x10, 0x81],
        [0x00, 0xE0, 0x00, 0x00],
        [0x00, 0x44, 0x00, 0x00],
    ]);
    let header = prop_oneof![4 => known, 1 => any::<[u8; 4]>()];
    let heads = prop::sample::select(vec![
        &[][..],
        &[0xC0, 0x02, 0x00, 0x12, 0xC2, 0x02, 0x00, 0x13],
        &[0xC0, 0x02, 0x00, 0x14, 0xCA, 0x40],
        &[0xC2, 0x02, 0x00, 0x15, 0xCB, 0x20],
        &[0xC2, 0x02, 0x00, 0x13, 0xC1, 0x20],
        &[0xC2, 0x02, 0x00, 0x13, 0xC1, 0x82, 0x00, 0x70],
        &[0xC1, 0x10],
        &[0x00, 0x12],
    ]);
    let len = prop::sample::select(vec![0, 1, 2, 4, 16, 20, 32, 64, 112]);
    (header, heads, len, any::<u8>(), any::<Option<u8>>()).prop_map(
        |(header, head, len, byte, le)| {
            let mut command = header.to_vec();
            let data = [head, &vec![byte; len]].concat();
            if !data.is_empty() {
                command.push(u8::try_from(data.len()).expect("short"));
                command.extend(data);
            }
            command.extend(le);
            command
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(100))]

    #[test]
    fn a_word_that_promises_unchanged_memory_keeps_its_promise(
        commands in prop::collection::vec(commands(), 1..40),
    ) {
        for mut bench in states() {
            for command in &commands {
                let before = bench.card.contents();
                let (data, sw) = bench.send_bytes(command);
                // A signature or a key that is refused drew random numbers, and their
                // count never goes back.
                if sw.memory() != Memory::MayHaveChanged {
                    assert_eq!(bench.card.contents(), before, "{command:02X?} {sw}");
                }
                assert!(data.is_empty() || !sw.is_error(), "{command:02X?} {sw}");
                let fault = sw == Sw::NO_DIAGNOSIS && command[1] != 0xC0;
                assert!(!fault, "{command:02X?}");
            }
        }
    }
}
