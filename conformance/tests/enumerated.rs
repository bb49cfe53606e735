//! Commands of all forms, sent in many states of a card: no status word lies.
//!
//! | word  | what may change                                                     |
//! |-------|---------------------------------------------------------------------|
//! | 9000, 61XX | anything                                                       |
//! | 63CX  | one byte, the counter: a comparison was made and failed             |
//! | other | nothing, latches included                                           |
//!
//! The standard lets '63CX' change memory, so there are no exceptions: no refusal
//! moves a latch. '93XX' and '94XX', of which the standard says nothing, refuse too.
//! '6F00' is answered to GET RESPONSE with nothing to give, and to nothing else.
//!
//! Source: ISO/IEC 7816-4:2020, 5.6, tables 5 and 6; social security card
//! specification, part 5, table 5 and GET RESPONSE.

#[path = "../../applets/tests/social/support.rs"]
#[expect(dead_code, reason = "the applet's own tests use all of it")]
mod support;

use cardlab::apdu::{Memory, Response, Sw};
use cardlab::crypto::Algorithm;
use cardlab::icc::Icc;
use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_oneof, proptest};
use support::{
    Bench, CYCLIC_APPENDS, FIRST_CHANGE, SELECT_DF01, SELECT_DF04, SELECT_ISD, SELECT_SSSE, VERIFY,
    bytes,
};

const INS_GET_RESPONSE: u8 = 0xC0;

/// Sends, and holds the answer to what it says; `contents` is what memory holds, before
/// and after.
fn exchange(bench: &mut Bench, contents: &mut Vec<u8>, command: &[u8], state: &str) -> Sw {
    let writes = bench.card.writes();
    let mut response = Vec::new();
    let answered = bench.card.transmit(command, &mut response);
    assert_eq!(answered, Ok(()), "{state}: {command:02X?}");
    let answer = Response::parse(&response).expect("a status word");
    let sw = answer.sw;
    let is_get_response = command.get(1) == Some(&INS_GET_RESPONSE);
    assert!(
        sw != Sw::NO_DIAGNOSIS || is_get_response,
        "{state}: {command:02X?}"
    );
    assert!(
        answer.data.is_empty() || !sw.is_error(),
        "{state}: {command:02X?} {sw}"
    );
    if bench.card.writes() == writes {
        return sw;
    }
    let before = core::mem::replace(contents, bench.card.contents());
    let after = &*contents;
    let unlike = before.iter().zip(after).filter(|(a, b)| a != b).count();
    let changed = unlike + before.len().abs_diff(after.len());
    let may_change = match (sw.0, sw.memory()) {
        (0x63C0..=0x63CF, _) => 1,
        (_, Memory::MayHaveChanged) => usize::MAX,
        (_, Memory::Unchanged | Memory::Unsaid) => 0,
    };
    assert!(
        changed <= may_change,
        "{state}: {command:02X?} {sw} changes {changed} bytes"
    );
    sw
}

fn prove(bench: &mut Bench, directory: u16, kids: &[u8]) {
    for &kid in kids {
        assert_eq!(bench.authenticate(directory, kid, 1), Sw::OK);
    }
}

/// A state of a card, and how to get there.
type State = (&'static str, fn() -> Bench);

const STATES: [State; 14] = [
    ("from the factory", || Bench::blank(Algorithm::Des)),
    ("the MF in creation", || {
        let mut bench = Bench::blank(Algorithm::Des);
        bench.install(0);
        bench.reset();
        bench
    }),
    ("SSSE in creation, without a PIN", || {
        let mut bench = Bench::blank(Algorithm::Sm4);
        bench.install(CYCLIC_APPENDS);
        bench.ok(SELECT_SSSE);
        bench.ok("00E00000 1A 6218 820138 8302DDF1 840F7378312E73682EC9E7BBE1B1A3D5CF");
        bench
    }),
    ("issued", || Bench::new(Algorithm::Des, 0)),
    ("the PIN to be changed first", || {
        let mut bench = Bench::new(Algorithm::Sm4, FIRST_CHANGE);
        bench.ok(VERIFY);
        bench
    }),
    ("all rights of SSSE, and a challenge", || {
        let mut bench = Bench::new(Algorithm::Sm4, CYCLIC_APPENDS);
        bench.ok(VERIFY);
        prove(&mut bench, 0xDDF1, &[0x00, 0x04, 0x05, 0x06, 0x0A]);
        bench.ok("00840000 08");
        bench
    }),
    ("all rights of DF01, a challenge, another channel", || {
        let mut bench = Bench::new(Algorithm::Des, 0);
        bench.ok("00700001");
        bench.ok(VERIFY);
        bench.ok(SELECT_DF01);
        prove(&mut bench, 0xDF01, &[0x00, 0x83, 0x84, 0x88]);
        bench.ok("00DC003B 04 01020304");
        bench.ok("00840000 10");
        bench
    }),
    ("all rights of DF04", || {
        let mut bench = Bench::new(Algorithm::Des, 0);
        bench.ok(SELECT_DF04);
        prove(&mut bench, 0xDF04, &[0x00, 0x83, 0x84]);
        bench.ok("00840000 08");
        bench
    }),
    ("DF04 blocked", || {
        let mut bench = Bench::new(Algorithm::Des, 0);
        bench.ok(SELECT_DF04);
        prove(&mut bench, 0xDF04, &[0x83]);
        let command = bench.sealed("841E0001", &[], (0xDF04, 0x82));
        assert_eq!(bench.send_bytes(&command).1, Sw::OK);
        bench
    }),
    ("PIN and key locked", || {
        let mut bench = Bench::new(Algorithm::Des, 0);
        for _ in 0..4 {
            bench.send("00200000 03 654321");
            bench.fail_to_authenticate(0x0A);
        }
        bench.ok("00840000 08");
        bench
    }),
    ("the issuer domain of a SECURED card", || {
        let mut bench = Bench::new(Algorithm::Des, 0);
        bench.ok(SELECT_ISD);
        bench
    }),
    ("in the middle of a chain", || {
        let mut bench = Bench::new(Algorithm::Des, 0);
        bench.ok("10D68C00 04 01020304");
        bench
    }),
    ("with an answer half given", || {
        let mut bench = Bench::new(Algorithm::Des, 0);
        bench.send("00A40400 05 7378312E73 08");
        bench
    }),
    ("blocked for good", || {
        let mut bench = Bench::new(Algorithm::Sm4, 0);
        prove(&mut bench, 0xDDF1, &[0x05]);
        let command = bench.sealed("84160000", &[], (0xDDF1, 0x02));
        assert_eq!(bench.send_bytes(&command).1, Sw::OK);
        bench
    }),
];

const CLASSES: [u8; 10] = [0x00, 0x01, 0x04, 0x10, 0x40, 0x80, 0x84, 0x90, 0xB0, 0xFF];

/// Every INS that a part of the card knows.
const KNOWN: [u8; 21] = [
    0x16, 0x1E, 0x20, 0x24, 0x44, 0x5E, 0x70, 0x82, 0x84, 0x88, 0xA4, 0xB0, 0xB2, 0xC0, 0xD4, 0xD6,
    0xDA, 0xDC, 0xE0, 0xE6, 0xF0,
];

const P1: [u8; 8] = [0x00, 0x01, 0x02, 0x04, 0x10, 0x80, 0x8C, 0xFF];
const P2: [u8; 8] = [0x00, 0x01, 0x02, 0x0A, 0x2C, 0x3B, 0x83, 0xFF];

/// Headers of the issuer domain that the edges above leave out.
const HEADERS: [[u8; 4]; 4] = [
    [0x80, 0xE6, 0x0C, 0x00],
    [0x80, 0xDA, 0x5F, 0x51],
    [0x80, 0xF0, 0x80, 0x0F],
    [0x80, 0xF0, 0x40, 0x80],
];

/// What follows the header: forms of each command, right and wrong, and of none.
const BODIES: [&str; 29] = [
    "",
    "00",
    "08",
    "10",
    "FF",
    "000000",
    "01 00",
    "02 3F00",
    "02 EF05 00",
    "03 123456",
    "03 654321",
    "03 040133",
    "04 01021122",
    "04 79020000",
    "04 04 123456",
    "07 123456 FF 888888",
    "07 000000 FF 888888",
    "08 A000000151000000 00",
    "0F 7378312E73682EC9E7BBE1B1A3D5CF",
    "0A 3B66000080318066B082",
    "10 620E 820101 8302EF0D 88010D 80020400",
    "11 620F 820138 8302DF0A 8406D1560000050A",
    "10 00000000000000000102030405060708",
    "11 0000000000000000010203040506070801",
    "13 010103 00112233445566778899AABBCCDDEEFF",
    "14 0000000000000000000000000000000000000000",
    "000003 123456 0000",
    "38 08F0636172646C6162 0BF0636172646C6162535343 0F7378312E73682EC9E7BBE1B1A3D5CF \
     010C 0FC90D860101 800102810100 82020208 00 00",
    "38 08F0636172646C6162 0BF0636172646C6162535343 0F7378312E73682EC9E7BBE1B1A3D5CF \
     010C 0FC90D860101 800102810100 82020901 00 00",
];

/// A command of which a part of the card knows the instruction, in all forms; another
/// one in a few.
fn enumerated() -> Vec<Vec<u8>> {
    let bodies = BODIES.map(bytes);
    let mut commands = Vec::new();
    let mut add = |header: [u8; 4], body: &[u8]| commands.push([&header, body].concat());
    for header in HEADERS {
        bodies.iter().for_each(|body| add(header, body));
    }
    for cla in CLASSES {
        for ins in 0..=u8::MAX {
            let known = KNOWN.contains(&ins);
            let (p1s, p2s) = if known {
                (&P1[..], &P2[..])
            } else {
                (&P1[..2], &P2[..1])
            };
            for &p1 in p1s {
                for &p2 in p2s {
                    let few = if known { &bodies[..] } else { &bodies[..2] };
                    few.iter().for_each(|body| add([cla, ins, p1, p2], body));
                }
            }
        }
    }
    commands
}

#[test]
fn every_enumerated_command_is_true_in_every_state() {
    let commands = enumerated();
    let mut words = std::collections::BTreeSet::new();
    for (state, make) in STATES {
        let mut origin = make();
        origin.sent.clear();
        let before = origin.card.contents();
        let (mut bench, mut contents) = (origin.fork(), before.clone());
        for command in &commands {
            let sw = exchange(&mut bench, &mut contents, command, state);
            words.insert(sw);
            // What was not refused, compared or chained leaves another state.
            if !sw.is_error() || command.get(1) == Some(&INS_GET_RESPONSE) {
                bench = origin.fork();
                contents.clone_from(&before);
            }
        }
    }
    println!(
        "{} commands in {} states answer with {} words: {words:?}",
        commands.len(),
        STATES.len(),
        words.len()
    );
}

fn random() -> impl Strategy<Value = Vec<u8>> {
    let of = |all: &[u8]| prop::sample::select(all.to_vec());
    let byte = || prop_oneof![2 => of(&P1), 2 => of(&P2), 1 => any::<u8>()];
    let header = (of(&CLASSES), of(&KNOWN), byte(), byte());
    let header = header.prop_map(|(cla, ins, p1, p2)| vec![cla, ins, p1, p2]);
    let header = prop_oneof![9 => header, 1 => prop::collection::vec(any::<u8>(), 0..6)];
    let body = prop_oneof![
        prop::sample::select(BODIES.map(bytes).to_vec()),
        prop::collection::vec(byte(), 0..40).prop_map(|data| {
            let len = u8::try_from(data.len()).expect("short");
            [&[len][..], &data].concat()
        }),
    ];
    (header, body).prop_map(|(header, body)| [header, body].concat())
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(64)
    })]

    #[test]
    fn every_row_of_random_commands_is_true_from_every_state(
        commands in prop::collection::vec(random(), 1..80),
    ) {
        thread_local! {
            static ORIGINS: std::cell::RefCell<Vec<(&'static str, Bench)>> =
                std::cell::RefCell::new(STATES.map(|(state, make)| (state, make())).into());
        }
        ORIGINS.with_borrow_mut(|origins| {
            for (state, origin) in origins {
                let mut bench = origin.fork();
                let mut contents = bench.card.contents();
                for command in &commands {
                    exchange(&mut bench, &mut contents, command, state);
                }
            }
        });
    }
}
