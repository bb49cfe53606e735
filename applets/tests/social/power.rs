//! Power cut at every write of every writing command of the social security applet.

use crate::support::{Bench, SELECT_DF01, SELECT_DF04, SELECT_SSSE, VERIFY, bytes};
use cardlab::apdu::Sw;
use cardlab::crypto::Algorithm;
use cardlab::icc::Icc;
use cardlab::memory::{Cut, Ending};

/// Does `work` on a copy of the card with power cut at each of its writes in each
/// way, and again at each write of the recovery, and lets `judge` look at the card
/// after power-on; how many cuts there were.
fn cut_everywhere(
    bench: &mut Bench,
    command: &[u8],
    mut judge: impl FnMut(&mut Bench, Cut),
) -> usize {
    let mut cuts = 0;
    for ending in Ending::ALL {
        for after_writes in 0.. {
            let mut cut = bench.fork();
            let armed = Cut {
                after_writes,
                ending,
            };
            cut.card.cut(armed);
            if cut.card.transmit(command, &mut Vec::new()).is_ok() {
                assert!(after_writes > 0, "a command that writes nothing");
                break;
            }
            cuts += 1 + cut_recovery(&mut cut, armed, &mut judge);
            cut.reset();
            judge(&mut cut, armed);
        }
    }
    cuts
}

/// Cuts the recovery of a card without power, too, at each of its writes.
fn cut_recovery(bench: &mut Bench, first: Cut, judge: &mut impl FnMut(&mut Bench, Cut)) -> usize {
    for after_writes in 0.. {
        let mut cut = bench.fork();
        cut.card.cut(Cut {
            after_writes,
            ..first
        });
        if cut.card.power_on().is_ok() {
            return usize::try_from(after_writes).expect("not so many");
        }
        cut.reset();
        judge(&mut cut, first);
    }
    0
}

/// A card that is about to do something, and the command that does it.
type Scene = (&'static str, fn(&mut Bench) -> Vec<u8>);

#[test]
fn a_cut_leaves_memory_as_before_or_as_after_the_command() {
    let scenes: [Scene; 17] = [
        ("update binary", |_| {
            bytes(&format!("00D68C10 80 {}", "A5".repeat(128)))
        }),
        ("update binary under secure messaging", |bench| {
            bench.sealed("04D68C00", &[0x5A; 40], (0xDDF1, 0x02))
        }),
        ("replace a record", |bench| {
            assert_eq!(bench.authenticate(0xDDF1, 0x04, 1), Sw::OK);
            bytes("00DC012C 04 01021122")
        }),
        ("lengthen a record", |bench| {
            assert_eq!(bench.authenticate(0xDDF1, 0x04, 1), Sw::OK);
            bytes("00DC022C 0A 02081122334455667788")
        }),
        ("shorten a record", |bench| {
            assert_eq!(bench.authenticate(0xDDF1, 0x04, 1), Sw::OK);
            bytes("00DC032C 03 030177")
        }),
        ("add a record", |bench| {
            assert_eq!(bench.authenticate(0xDDF1, 0x04, 1), Sw::OK);
            bytes("00DC082A 05 0803112233")
        }),
        ("add a fixed record", |bench| {
            bench.ok(SELECT_DF01);
            assert_eq!(bench.authenticate(0xDF01, 0x83, 1), Sw::OK);
            bytes("00DC03CC 04 79024444")
        }),
        ("add to an empty ring", |bench| {
            bench.ok(SELECT_DF01);
            assert_eq!(bench.authenticate(0xDF01, 0x84, 1), Sw::OK);
            bytes("00DC003B 04 01020304")
        }),
        ("add to a full ring", |bench| {
            bench.ok(SELECT_DF01);
            assert_eq!(bench.authenticate(0xDF01, 0x84, 1), Sw::OK);
            for number in 1..=4 {
                bench.ok(&format!("00DC003B 04 0000000{number}"));
            }
            bytes("00DC003B 04 01020304")
        }),
        ("create a directory", |bench| {
            assert_eq!(bench.authenticate(0xDDF1, 0x00, 1), Sw::OK);
            bytes("00E00000 11 620F 820138 8302DF0A 8406D1560000050A")
        }),
        ("create a file", |bench| {
            assert_eq!(bench.authenticate(0xDDF1, 0x00, 1), Sw::OK);
            bytes("00E00000 10 620E 820101 8302EF0D 88010D 80020400")
        }),
        ("load a key of a new number", |bench| {
            assert_eq!(bench.authenticate(0xDDF1, 0x00, 1), Sw::OK);
            bytes("80D40009 13 010103 00112233445566778899AABBCCDDEEFF")
        }),
        ("load another version of a key", |bench| {
            assert_eq!(bench.authenticate(0xDDF1, 0x00, 1), Sw::OK);
            bytes("80D40005 13 020103 00112233445566778899AABBCCDDEEFF")
        }),
        ("activate", |bench| {
            assert_eq!(bench.authenticate(0xDDF1, 0x00, 1), Sw::OK);
            bench.ok("00E00000 09 6207 820138 8302DF0A");
            bytes("00440000")
        }),
        ("replace the PIN at the desk", |bench| {
            assert_eq!(bench.authenticate(0xDDF1, 0x06, 1), Sw::OK);
            bench.reset_pin(&bytes("666666"))
        }),
        ("block an application", |bench| {
            bench.ok(SELECT_DF04);
            assert_eq!(bench.authenticate(0xDF04, 0x83, 1), Sw::OK);
            bench.sealed("841E0001", &[], (0xDF04, 0x82))
        }),
        ("block the card", |bench| {
            assert_eq!(bench.authenticate(0xDDF1, 0x05, 1), Sw::OK);
            bench.sealed("84160000", &[], (0xDDF1, 0x02))
        }),
    ];
    let mut cuts = 0;
    for algorithm in [Algorithm::Des, Algorithm::Sm4] {
        for (what, scene) in scenes {
            let mut bench = Bench::new(algorithm, 0);
            let command = scene(&mut bench);
            // The commands say DES where they load a key; both cards take such keys.
            let before = bench.card.contents();
            let mut done = bench.fork();
            assert_eq!(done.send_bytes(&command).1, Sw::OK, "{what}");
            let after = done.card.contents();
            assert_ne!(before, after, "{what} changes something");
            cuts += cut_everywhere(&mut bench, &command, |cut, armed| {
                let found = cut.card.contents();
                assert!(found == before || found == after, "{what}: {armed:?}");
            });
        }
    }
    println!("{cuts} cuts, each before or after");
}

/// How many tries VERIFY without data says are left.
fn tries(bench: &mut Bench) -> u8 {
    match bench.send("00200000").1 {
        Sw(sw @ 0x63C0..=0x63CF) => u8::try_from(sw & 0xF).expect("a digit"),
        _ => 0,
    }
}

#[test]
fn a_cut_never_gives_a_try_at_the_pin_back() {
    let mut bench = Bench::new(Algorithm::Des, 0);
    for left in (0..=3).rev() {
        cut_everywhere(&mut bench, &bytes("00200000 03 654321"), |cut, armed| {
            let tries = tries(cut);
            assert!(
                tries == left || tries == left + 1,
                "{tries} tries, {armed:?}"
            );
        });
        bench.refused("00200000 03 654321", 0x63C0 + u16::from(left));
    }
}

#[test]
fn a_wrong_pin_whose_answer_is_known_is_counted() {
    // The try is taken before anything is compared: who cuts power at the moment
    // of the answer has lost it.
    let mut bench = Bench::new(Algorithm::Des, 0);
    let mut probe = bench.fork();
    let start = probe.card.writes();
    probe.refused("00200000 03 654321", 0x63C3);
    let last = probe.card.writes() - start - 1;
    bench.card.cut(Cut {
        after_writes: last,
        ending: Ending::Clean,
    });
    let _ = bench
        .card
        .transmit(&bytes("00200000 03 654321"), &mut Vec::new());
    bench.reset();
    assert_eq!(tries(&mut bench), 3);
}

#[test]
fn a_cut_in_a_right_pin_costs_at_most_one_try() {
    let mut bench = Bench::new(Algorithm::Des, 0);
    bench.refused("00200000 03 654321", 0x63C3);
    cut_everywhere(&mut bench, &bytes(VERIFY), |cut, armed| {
        let tries = tries(cut);
        assert!(matches!(tries, 2..=4), "{tries} tries, {armed:?}");
        cut.ok(SELECT_DF01);
        cut.refused("00B2012C 03", 0x6982);
    });
}

#[test]
fn a_cut_in_a_change_leaves_the_old_pin_or_the_new_one() {
    let mut bench = Bench::new(Algorithm::Des, 0);
    cut_everywhere(
        &mut bench,
        &bytes("805E0100 07 123456 FF 888888"),
        |cut, armed| {
            let old = cut.fork().send(VERIFY).1 == Sw::OK;
            let new = cut.fork().send("00200000 03 888888").1 == Sw::OK;
            assert!(old != new, "{armed:?}");
            assert!(tries(cut) >= 3, "{armed:?}");
        },
    );
}

#[test]
fn a_cut_in_unblocking_leaves_the_pin_locked_or_with_all_tries() {
    let mut bench = Bench::new(Algorithm::Des, 0);
    for _ in 0..4 {
        bench.send("00200000 03 654321");
    }
    assert_eq!(bench.authenticate(0xDDF1, 0x06, 1), Sw::OK);
    let command = bench.sealed("84240000", &[], (0xDDF1, 0x02));
    cut_everywhere(&mut bench, &command, |cut, armed| {
        assert!(matches!(tries(cut), 0 | 4), "{armed:?}");
    });
}

#[test]
fn a_cut_never_gives_a_try_at_a_key_back_and_grants_nothing() {
    for algorithm in [Algorithm::Des, Algorithm::Sm4] {
        let mut bench = Bench::new(algorithm, 0);
        assert_eq!(bench.fail_to_authenticate(0x0A), Sw(0x63C2));
        for right in [false, true] {
            let proof = bench.proof(0xDDF1, 0x0A, 1);
            let proof = if right { proof } else { "00".repeat(16) };
            let command = bytes(&format!("0082000A 10 {proof}"));
            cut_everywhere(&mut bench, &command, |cut, armed| {
                cut.ok(SELECT_SSSE);
                cut.refused("00B20134 06", 0x6982);
                let left = match cut.fail_to_authenticate(0x0A) {
                    Sw(sw @ 0x63C0..=0x63CF) => sw & 0xF,
                    sw => panic!("{sw}, {armed:?}"),
                };
                let most = if right { 2 } else { 1 };
                assert!(left <= most, "{left} left, {armed:?}");
            });
        }
    }
}

#[test]
fn a_cut_in_a_challenge_never_brings_the_same_one_again() {
    let mut bench = Bench::new(Algorithm::Des, 0);
    let mut seen = std::collections::HashSet::new();
    for _ in 0..3 {
        assert!(seen.insert(bench.ok("00840000 10")));
    }
    let seen = &seen;
    cut_everywhere(&mut bench, &bytes("00840000 10"), |cut, armed| {
        for _ in 0..3 {
            assert!(!seen.contains(&cut.ok("00840000 10")), "{armed:?}");
        }
    });
}
