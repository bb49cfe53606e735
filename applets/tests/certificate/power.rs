//! Power cut at every write of the certificate application's commands.

use crate::support::{ADMINISTRATOR, Bench, GENERATE, USER, bytes, source};
use cardlab::apdu::Sw;
use cardlab::crypto::sm2::PrivateKey;
use cardlab::icc::Icc;
use cardlab::memory::{Cut, Ending};

/// A card that is about to do something, and the command that does it.
type Scene = (&'static str, fn(&mut Bench) -> Vec<u8>);

fn with_key(bench: &mut Bench) -> [String; 3] {
    assert_eq!(bench.verify(USER), Sw::OK);
    bench.ok(GENERATE);
    let key = PrivateKey::generate(&mut source(9)).expect("a key");
    bench.envelope(&key).1
}

const SCENES: [Scene; 7] = [
    ("a first key pair", |bench| {
        assert_eq!(bench.verify(USER), Sw::OK);
        bytes(GENERATE)
    }),
    ("another key pair", |bench| {
        with_key(bench);
        bytes(GENERATE)
    }),
    ("a public key", |bench| bytes(&with_key(bench)[1])),
    ("a private key", |bench| {
        let [session, public, private] = with_key(bench);
        bench.ok(&session);
        bench.ok(&public);
        bytes(&private)
    }),
    ("a certificate", |bench| {
        assert_eq!(bench.verify(ADMINISTRATOR), Sw::OK);
        bench.ok("00A40000 02 0018");
        bytes(&format!("00D60000 70 {}", "30".repeat(0x70)))
    }),
    ("a changed PIN", |bench| {
        bench.sealed("845E0181", USER.1, Some("87654321"))
    }),
    ("a replaced PIN", |bench| {
        assert_eq!(bench.verify(ADMINISTRATOR), Sw::OK);
        bench.sealed("84240181", ADMINISTRATOR.1, Some("87654321"))
    }),
];

/// What can be seen of a card: its public keys, whether they serve, its certificates,
/// and which PIN it has. The tries are another test's.
fn seen(bench: &mut Bench) -> Vec<u8> {
    bench.reset();
    bench.enter();
    let mut seen = Vec::new();
    for fid in [0x12, 0x14, 0x18] {
        bench.ok(&format!("00A40000 02 00{fid:02X}"));
        seen.extend(bench.ok("00B00000 42"));
    }
    let old = bench.verify(USER);
    let new = bench.verify((USER.0, "87654321"));
    assert!(
        (old == Sw::OK) != (new == Sw::OK),
        "one PIN or the other: {old} {new}"
    );
    seen.push(u8::from(old == Sw::OK));
    let pin = if old == Sw::OK { USER.1 } else { "87654321" };
    assert_eq!(bench.verify((USER.0, pin)), Sw::OK);
    for fid in [0x12u16, 0x14] {
        // Whether the private key is there, and is that of the public one.
        let mut text = [0; 112];
        let public = bench.send(&format!(
            "80C98200 08 C0020{:03X} C2020{:03X} 00",
            fid,
            fid + 1
        ));
        let Some(key) = public.0.get(2..).and_then(|key| key.try_into().ok()) else {
            seen.push(0);
            continue;
        };
        let key = cardlab::crypto::sm2::PublicKey::from_bytes(key).expect("a point");
        let order = cardlab::crypto::sm2::Order::C1C3C2;
        key.encrypt(&[7; 16], order, &mut source(1), &mut text)
            .expect("room");
        let (data, sw) = bench.send(&Bench::decrypt_command(fid + 1, &text));
        assert!(
            sw == Sw::REFERENCE_DATA_NOT_FOUND || data == [7; 16],
            "{fid:04X}: halves of different pairs, {sw}"
        );
        seen.push(if sw == Sw::OK { 2 } else { 1 });
    }
    seen
}

#[test]
fn a_cut_leaves_all_as_before_or_as_after_the_command() {
    let mut cuts = 0;
    for (name, scene) in SCENES {
        let mut bench = Bench::new();
        bench.enter();
        let command = scene(&mut bench);
        let before = seen(&mut bench.fork());
        let mut done = bench.fork();
        assert_eq!(done.send_bytes(&command).1, Sw::OK, "{name}");
        let after = seen(&mut done);
        let mut ends = [0, 0];
        for ending in Ending::ALL {
            for after_writes in 0.. {
                let mut cut = bench.fork();
                cut.card.cut(Cut {
                    after_writes,
                    ending,
                });
                if cut.card.transmit(&command, &mut Vec::new()).is_ok() {
                    assert!(after_writes > 0, "{name} writes nothing");
                    break;
                }
                cuts += 1;
                // And again while the card recovers from it.
                for after_writes in 0.. {
                    let mut again = cut.fork();
                    again.card.cut(Cut {
                        after_writes,
                        ending,
                    });
                    if again.card.power_on().is_ok() {
                        break;
                    }
                    let found = seen(&mut again);
                    assert!(found == before || found == after, "{name}: in recovery");
                }
                let found = seen(&mut cut);
                assert!(found == before || found == after, "{name}: {after_writes}");
                ends[usize::from(found == after)] += 1;
            }
        }
        assert!(ends[0] > 0, "{name} is never undone");
    }
    assert!(cuts > 100, "{cuts}");
}

#[test]
fn a_cut_leaves_the_tries_of_an_unblocked_pin_as_they_were_or_full() {
    let mut bench = Bench::new();
    bench.enter();
    assert_eq!(bench.verify((USER.0, "000000")), Sw(0x63C2));
    assert_eq!(bench.verify(ADMINISTRATOR), Sw::OK);
    let command = bench.sealed("84240181", ADMINISTRATOR.1, None);
    let mut found = Vec::new();
    for ending in Ending::ALL {
        for after_writes in 0.. {
            let mut cut = bench.fork();
            cut.card.cut(Cut {
                after_writes,
                ending,
            });
            if cut.card.transmit(&command, &mut Vec::new()).is_ok() {
                break;
            }
            cut.reset();
            cut.enter();
            found.push(cut.send("00200181").1);
        }
    }
    found.sort_by_key(|sw| sw.0);
    found.dedup();
    assert_eq!(found, [Sw(0x63C2), Sw(0x63C3)]);
}

#[test]
fn a_cut_in_a_wrong_proof_gives_no_try_back() {
    let mut bench = Bench::new();
    bench.enter();
    let command = bench.verify_command((USER.0, "000000"));
    for ending in Ending::ALL {
        for after_writes in 0.. {
            let mut cut = bench.fork();
            cut.card.cut(Cut {
                after_writes,
                ending,
            });
            if cut.card.transmit(&command, &mut Vec::new()).is_ok() {
                break;
            }
            cut.reset();
            cut.enter();
            // Taken before anything was compared, or the comparison never was.
            let left = cut.send("00200181").1;
            assert!([Sw(0x63C2), Sw(0x63C3)].contains(&left), "{left}");
        }
    }
}

#[test]
fn power_lost_again_and_again_does_not_make_guessing_free() {
    let mut bench = Bench::new();
    let mut guesses = 0;
    loop {
        bench.enter();
        if bench.send("00200181").1 == Sw::METHOD_BLOCKED {
            break;
        }
        // Power goes as soon as the answer would say right or wrong.
        let mut guess = bench.fork();
        let command = guess.verify_command((USER.0, "000000"));
        assert!(guess.send_bytes(&command).1.sw1() == 0x63);
        guess.reset();
        bench = guess;
        guesses += 1;
    }
    assert_eq!(guesses, 3);
}
