//! Power cut at every write of every writing command, and of the recovery.
//!
//! The law: after power-up memory is as before the command or as after it. Only
//! counters go ahead, each a latch:
//!
//! | command                                      | what a cut may leave besides   |
//! |----------------------------------------------|--------------------------------|
//! | VERIFY, CHANGE PIN, EXTERNAL AUTHENTICATION  | a right PIN or code, and a try spent |
//! | CHANGE PIN, PIN CHANGE/UNBLOCK 01, WRITE PIN | the old PIN with all its tries |
//!
//! And cells worn out at every write: the command is refused, memory is as before.
//!
//! Source: ISO/IEC 7816-4:2020, 5.6; Java Card 3.1 Runtime Environment Specification,
//! 7 (atomicity); social security card specification, part 7, 5 (try counters).

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

#[path = "../../applets/tests/social/support.rs"]
#[expect(dead_code, reason = "the applet's own tests use all of it")]
mod support;

use cardlab::apdu::Sw;
use cardlab::crypto::Algorithm;
use cardlab::icc::{Icc, Tearable};
use cardlab::memory::{Cells, Cut, Worn};
use cardlab::os::Card;
use cardlab_conformance::tear::{self, After};
use std::ops::ControlFlow;
use support::{Bench, SELECT_DF01, SELECT_DF04, VERIFY, bytes};

const INSTALL_SOCIAL: &str = "80E60C00 38 08 F0636172646C6162 0B F0636172646C6162535343 \
    0F 7378312E73682EC9E7BBE1B1A3D5CF 01 0C 0F C90D 860101 800102 810100 82020208 00 00";

const CREATE_SSSE: &str = "00E00000 1A 6218 820138 8302DDF1 840F7378312E73682EC9E7BBE1B1A3D5CF";

/// The card that a command is sent to.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Start {
    /// As it comes from the factory.
    Blank,
    /// With the applet, and its MF in creation.
    Installed,
    /// Issued.
    Issued,
}

/// Which counter a command moves ahead of its update.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Counter {
    /// None: before or after.
    None,
    /// The PIN's.
    Pin,
    /// That of the key 0A of SSSE.
    Key,
}

/// A command, and what leads up to it; `sw` is what it answers.
struct Scene {
    what: &'static str,
    start: Start,
    counter: Counter,
    sw: u16,
    play: fn(&mut Bench) -> Vec<u8>,
}

const fn scene(what: &'static str, start: Start, play: fn(&mut Bench) -> Vec<u8>) -> Scene {
    Scene {
        what,
        start,
        counter: Counter::None,
        sw: 0x9000,
        play,
    }
}

impl Scene {
    const fn counting(self, counter: Counter) -> Scene {
        Scene { counter, ..self }
    }

    const fn answering(self, sw: u16) -> Scene {
        Scene { sw, ..self }
    }

    fn bench(&self, algorithm: Algorithm) -> Bench {
        match self.start {
            Start::Issued => Bench::new(algorithm, 0),
            Start::Blank => Bench::blank(algorithm),
            Start::Installed => {
                let mut bench = Bench::blank(algorithm);
                bench.ok(INSTALL_SOCIAL);
                bench.reset();
                bench
            }
        }
    }
}

fn with_key(bench: &mut Bench, directory: u16, kid: u8, command: &str) -> Vec<u8> {
    assert_eq!(bench.authenticate(directory, kid, 1), Sw::OK);
    bytes(command)
}

fn in_df01(bench: &mut Bench, kid: u8, command: &str) -> Vec<u8> {
    bench.ok(SELECT_DF01);
    with_key(bench, 0xDF01, kid, command)
}

fn updates() -> Vec<Scene> {
    use Start::Issued;
    vec![
        scene("UPDATE BINARY of 1 byte", Issued, |_| {
            bytes("00D68C10 01 A5")
        }),
        scene("UPDATE BINARY of 128 bytes", Issued, |_| {
            bytes(&format!("00D68C10 80 {}", "A5".repeat(128)))
        }),
        scene("UPDATE BINARY of 600 bytes", Issued, |_| {
            bytes(&format!("00D68C00 000258 {}", "A5".repeat(600)))
        }),
        scene("UPDATE BINARY, the last of a chain", Issued, |bench| {
            bench.ok(&format!("10D68C00 FF {}", "A5".repeat(255)));
            bytes("00D68C00 02 5A5A")
        }),
        scene("UPDATE BINARY with a MAC", Issued, |bench| {
            bench.sealed("04D68C00", &[0x5A; 40], (0xDDF1, 0x02))
        }),
        scene("UPDATE RECORD, as long, linear variable", Issued, |bench| {
            with_key(bench, 0xDDF1, 0x04, "00DC012C 04 01021122")
        }),
        scene("UPDATE RECORD, longer", Issued, |bench| {
            with_key(bench, 0xDDF1, 0x04, "00DC022C 0A 02081122334455667788")
        }),
        scene("UPDATE RECORD, shorter", Issued, |bench| {
            with_key(bench, 0xDDF1, 0x04, "00DC032C 03 030177")
        }),
        scene(
            "UPDATE RECORD, one more, linear variable",
            Issued,
            |bench| with_key(bench, 0xDDF1, 0x04, "00DC082A 05 0803112233"),
        ),
        scene("UPDATE RECORD with a MAC", Issued, |bench| {
            assert_eq!(bench.authenticate(0xDDF1, 0x04, 1), Sw::OK);
            bench.sealed("04DC022C", &bytes("0203112233"), (0xDDF1, 0x02))
        }),
        scene("UPDATE RECORD, linear fixed", Issued, |bench| {
            in_df01(bench, 0x83, "00DC01CC 04 79025555")
        }),
        scene("UPDATE RECORD, one more, linear fixed", Issued, |bench| {
            in_df01(bench, 0x83, "00DC03CC 04 79024444")
        }),
        scene("UPDATE RECORD, the first of a cyclic EF", Issued, |bench| {
            in_df01(bench, 0x84, "00DC003B 04 01020304")
        }),
        scene(
            "UPDATE RECORD, one more, cyclic and full",
            Issued,
            |bench| {
                let command = in_df01(bench, 0x84, "00DC003B 04 01020304");
                for number in 1..=4 {
                    bench.ok(&format!("00DC003B 04 0000000{number}"));
                }
                command
            },
        ),
    ]
}

fn secrets() -> Vec<Scene> {
    use Counter::{Key, Pin};
    use Start::Issued;
    vec![
        scene("VERIFY, wrong", Issued, |_| bytes("00200000 03 654321")).answering(0x63C3),
        scene("VERIFY, wrong for the last time", Issued, |bench| {
            for left in (1..=3).rev() {
                bench.refused("00200000 03 654321", 0x63C0 + left);
            }
            bytes("00200000 03 654321")
        })
        .answering(0x63C0),
        scene("VERIFY, right", Issued, |_| bytes(VERIFY)).counting(Pin),
        scene("VERIFY, right after a wrong one", Issued, |bench| {
            bench.refused("00200000 03 654321", 0x63C3);
            bytes(VERIFY)
        })
        .counting(Pin),
        scene("CHANGE PIN, wrong", Issued, |_| {
            bytes("805E0100 07 654321 FF 888888")
        })
        .answering(0x63C3),
        scene("CHANGE PIN", Issued, |bench| {
            bench.refused("00200000 03 654321", 0x63C3);
            bytes("805E0100 07 123456 FF 888888")
        })
        .counting(Pin),
        scene("PIN CHANGE/UNBLOCK 00", Issued, |bench| {
            for _ in 0..4 {
                bench.send("00200000 03 654321");
            }
            assert_eq!(bench.authenticate(0xDDF1, 0x06, 1), Sw::OK);
            bench.sealed("84240000", &[], (0xDDF1, 0x02))
        }),
        scene("PIN CHANGE/UNBLOCK 01", Issued, |bench| {
            bench.refused("00200000 03 654321", 0x63C3);
            assert_eq!(bench.authenticate(0xDDF1, 0x06, 1), Sw::OK);
            bench.reset_pin(&bytes("666666"))
        })
        .counting(Pin),
        scene("WRITE PIN", Issued, |bench| {
            bench.refused("00200000 03 654321", 0x63C3);
            with_key(bench, 0xDDF1, 0x00, "80D41000 04 0F 888888")
        })
        .counting(Pin),
        scene("EXTERNAL AUTHENTICATION, wrong", Issued, |bench| {
            bench.ok("00840000 08");
            bytes(&format!("0082000A 10 {}", "00".repeat(16)))
        })
        .answering(0x63C2),
        scene("EXTERNAL AUTHENTICATION, right", Issued, |bench| {
            assert_eq!(bench.fail_to_authenticate(0x0A), Sw(0x63C2));
            let proof = bench.proof(0xDDF1, 0x0A, 1);
            bytes(&format!("0082000A 10 {proof}"))
        })
        .counting(Key),
        scene("GET CHALLENGE", Issued, |_| bytes("00840000 10")),
        scene("APPLICATION BLOCK", Issued, |bench| {
            bench.ok(SELECT_DF04);
            assert_eq!(bench.authenticate(0xDF04, 0x83, 1), Sw::OK);
            bench.sealed("841E0001", &[], (0xDF04, 0x82))
        }),
        scene("CARD BLOCK", Issued, |bench| {
            assert_eq!(bench.authenticate(0xDDF1, 0x05, 1), Sw::OK);
            bench.sealed("84160000", &[], (0xDDF1, 0x02))
        }),
    ]
}

fn issuing() -> Vec<Scene> {
    use Start::{Blank, Installed, Issued};
    vec![
        scene("PUT DATA", Blank, |_| {
            bytes("80DA5F51 0A 3B66000080318066B082")
        }),
        scene("INSTALL", Blank, |_| bytes(INSTALL_SOCIAL)),
        scene("SET STATUS, INITIALIZED", Blank, |_| bytes("80F08007")),
        scene("SET STATUS, SECURED", Blank, |_| bytes("80F0800F")),
        scene("SET STATUS, an applet locked", Blank, |bench| {
            bench.ok(INSTALL_SOCIAL);
            bytes("80F04080 0F 7378312E73682EC9E7BBE1B1A3D5CF")
        }),
        scene("CREATE FILE, SSSE", Installed, |_| bytes(CREATE_SSSE)),
        scene("CREATE FILE, a DF", Issued, |bench| {
            with_key(
                bench,
                0xDDF1,
                0x00,
                "00E00000 11 620F 820138 8302DF0A 8406D1560000050A",
            )
        }),
        scene("CREATE FILE, transparent", Issued, |bench| {
            let fcp = "00E00000 10 620E 820101 8302EF0D 88010D 80020400";
            with_key(bench, 0xDDF1, 0x00, fcp)
        }),
        scene("CREATE FILE, linear fixed", Issued, |bench| {
            let fcp = "00E00000 10 620E 82050201000405 8302EF0D 88010D";
            with_key(bench, 0xDDF1, 0x00, fcp)
        }),
        scene("CREATE FILE, linear variable", Issued, |bench| {
            let fcp = "00E00000 14 6212 82050401004000 8302EF0D 88010D 80020040";
            with_key(bench, 0xDDF1, 0x00, fcp)
        }),
        scene("CREATE FILE, cyclic", Issued, |bench| {
            let fcp = "00E00000 10 620E 82050601000405 8302EF0D 88010D";
            with_key(bench, 0xDDF1, 0x00, fcp)
        }),
        scene("WRITE KEY, the first of a directory", Installed, |_| {
            bytes("80D40000 13 010103 00112233445566778899AABBCCDDEEFF")
        }),
        scene("WRITE KEY, a new number", Issued, |bench| {
            let key = "80D40009 13 010103 00112233445566778899AABBCCDDEEFF";
            with_key(bench, 0xDDF1, 0x00, key)
        }),
        scene("WRITE KEY, another version", Issued, |bench| {
            let key = "80D40005 13 020103 00112233445566778899AABBCCDDEEFF";
            with_key(bench, 0xDDF1, 0x00, key)
        }),
        scene("WRITE PIN, the first", Installed, |bench| {
            bench.ok(CREATE_SSSE);
            bytes("80D41000 04 06 123456")
        })
        .counting(Counter::Pin),
        scene("ACTIVATE FILE", Installed, |_| bytes("00440000")),
    ]
}

/// Where a counter lies in the contents of this card.
fn place(probe: &mut Bench, counter: Counter) -> Option<usize> {
    let before = match counter {
        Counter::None => return None,
        Counter::Pin => {
            let before = probe.card.contents();
            probe.send("00200000 03 999999");
            before
        }
        Counter::Key => {
            probe.ok("00840000 08");
            let before = probe.card.contents();
            probe.send(&format!("0082000A 10 {}", "00".repeat(16)));
            before
        }
    };
    let after = probe.card.contents();
    let mut unlike = before.iter().zip(&after).enumerate();
    unlike
        .find(|(_, (one, other))| one != other)
        .map(|(at, _)| at)
}

/// What memory may hold after the cut.
struct Law {
    what: &'static str,
    before: Vec<u8>,
    after: Vec<u8>,
    /// Where a counter is, which may go ahead of the rest.
    counter: Option<usize>,
}

impl Law {
    fn check(&self, card: &Card, how: &dyn std::fmt::Debug) {
        let holds = self.holds(card);
        assert!(holds, "{}, {how:?}: neither before nor after", self.what);
    }

    fn holds(&self, card: &Card) -> bool {
        let found = card.contents();
        if found == self.before || found == self.after {
            return true;
        }
        self.counter.is_some_and(|at| {
            // A try spent, or all of them given back, and all else as before.
            let counts = [self.before[at].saturating_sub(1), self.after[at]];
            let mut before = self.before.clone();
            before[at] = found[at];
            found == before && counts.contains(&found[at])
        })
    }
}

/// How many cuts there were.
#[derive(Default)]
struct Swept {
    in_command: u64,
    in_recovery: u64,
    /// Writes whose cells wore out.
    worn: u64,
}

fn sweep(scene: &Scene, algorithm: Algorithm, swept: &mut Swept) {
    let mut bench = scene.bench(algorithm);
    let command = (scene.play)(&mut bench);
    let mut whole = bench.fork();
    let before = bench.card.contents();
    assert_eq!(whole.send_bytes(&command).1, Sw(scene.sw), "{}", scene.what);
    let law = Law {
        what: scene.what,
        before,
        after: whole.card.contents(),
        counter: place(&mut whole, scene.counter),
    };
    assert!(law.counter.is_some() == (scene.counter != Counter::None));
    each_cut(&mut bench, &command, 1, &mut |torn, cuts| {
        match cuts {
            [_] => swept.in_command += 1,
            _ => swept.in_recovery += 1,
        }
        law.check(&torn.card, &cuts);
    });
    wear(&mut bench, &command, &law, swept);
}

impl tear::Bench for Bench {
    fn copy(&mut self) -> Option<Self> {
        Some(self.fork())
    }

    fn card(&mut self) -> Option<&mut dyn Tearable> {
        Some(&mut self.card)
    }
}

/// Cuts a command at every write, and as many recoveries after it; each card comes back.
fn each_cut(
    bench: &mut Bench,
    command: &[u8],
    depth: u8,
    judge: &mut dyn FnMut(&mut Bench, &[Cut]),
) {
    let mut work = |bench: &mut Bench| drop(bench.card.transmit(command, &mut Vec::new()));
    let total = tear::writes_of(bench, work);
    assert!(total > 0, "it writes nothing");
    let mut each = |mut after: After<'_, Bench>| {
        assert!(after.back.is_ok(), "{:?}", after.cuts);
        judge(&mut after.bench, after.cuts);
        ControlFlow::<()>::Continue(())
    };
    assert!(tear::sweep(bench, total, depth, &mut work, &mut each).is_continue());
}

/// Wears the cells of every write of a command out: it is refused with '6581', and
/// memory is as before it, if the cells kept what they held.
fn wear(bench: &mut Bench, command: &[u8], law: &Law, swept: &mut Swept) {
    for cells in Cells::ALL {
        for after_writes in 0.. {
            let mut bench = bench.fork();
            bench.card.wear(Worn {
                after_writes,
                cells,
            });
            let mut answer = Vec::new();
            bench.card.transmit(command, &mut answer).unwrap();
            if !bench.card.spare() {
                break;
            }
            swept.worn += 1;
            let how = format!("{cells:?} after {after_writes} writes");
            // What was half written may be all that was needed; and a card that lost its
            // own state, or where memory begins, is broken.
            let allowed: &[[u8; 2]] = match cells {
                Cells::Stuck => &[[0x65, 0x81]],
                Cells::Half => &[[0x65, 0x81], [0x90, 0x00]],
                Cells::Lost => &[[0x65, 0x81], [0x6F, 0x00]],
            };
            let sw = answer.last_chunk().unwrap();
            assert!(allowed.contains(sw), "{}, {how}: {sw:02X?}", law.what);
            // What a command writes twice can be stuck in between: no roll-back brings it
            // back, and nothing changes any more.
            let in_between = law.what == "INSTALL" || takes_no_change(&mut bench);
            if cells == Cells::Stuck && (law.holds(&bench.card) || !in_between) {
                law.check(&bench.card, &how);
                bench.card.power_on().unwrap();
                law.check(&bench.card, &(how, "power"));
            }
        }
    }
}

/// Whether memory has ended: no challenge can be drawn after a reset.
fn takes_no_change(bench: &mut Bench) -> bool {
    let mut card = bench.card.fork();
    let mut answer = Vec::new();
    card.power_on().is_err()
        || card.transmit(&bytes("0084000008"), &mut answer).is_err()
        || answer == [0x65, 0x81]
}

fn sweep_all(scenes: &[Scene]) {
    let mut all = Swept::default();
    for scene in scenes {
        let mut swept = Swept::default();
        for algorithm in [Algorithm::Des, Algorithm::Sm4] {
            sweep(scene, algorithm, &mut swept);
        }
        let Swept {
            in_command,
            in_recovery,
            worn,
        } = swept;
        println!(
            "{}: {in_command} cuts, {in_recovery} in recoveries, {worn} worn writes",
            scene.what
        );
        all.worn += worn;
        all.in_command += in_command;
        all.in_recovery += in_recovery;
    }
    let cuts = all.in_command + all.in_recovery;
    println!("{cuts} cuts and {} worn writes in all", all.worn);
}

#[test]
fn files_are_as_before_or_as_after_whenever_power_goes() {
    sweep_all(&updates());
}

#[test]
fn secrets_are_as_before_or_as_after_whenever_power_goes() {
    sweep_all(&secrets());
}

#[test]
fn an_issuing_is_as_before_or_as_after_whenever_power_goes() {
    sweep_all(&issuing());
}

#[test]
fn a_pin_that_stays_has_never_more_tries_than_its_issuer_gave() {
    let mut bench = Bench::new(Algorithm::Des, 0);
    let command = with_key(&mut bench, 0xDDF1, 0x00, "80D41000 04 0F 888888");
    each_cut(&mut bench, &command, 0, &mut |torn, cuts| {
        let tries = torn.send("00200000").1;
        if torn.fork().send(VERIFY).1 == Sw::OK {
            assert_eq!(tries, Sw(0x63C4), "for the old PIN, {cuts:?}");
            for left in (0..=3).rev() {
                torn.refused("00200000 03 654321", 0x63C0 + left);
            }
            torn.refused(VERIFY, 0x6983);
        } else {
            assert_eq!(tries, Sw(0x63CF), "{cuts:?}");
        }
    });
}
