//! Power cut at every write of every writing command of the bank applet.
//!
//! What an update holds is as before or as after the command. What is latched (the
//! transaction counter, tries, marks of failures) is each for itself as before or as
//! after, and goes down only where the command may take it down.

use crate::support::{
    Bench, Deal, PROVE, Recipe, SELECT, VERIFY, VERIFY_WRONG, bytes, signed_by_sm2, store_data,
};
use cardlab::apdu::Sw;
use cardlab::icc::Icc;
use cardlab::memory::{Cut, Ending};
use std::collections::{HashMap, HashSet};

const DEAL: Deal = Deal::of(1500);
const CASH: Deal = Deal::of(1500).in_cash();
const BY_SM2: Deal = DEAL.in_sm();
const CASH_BY_SM2: Deal = CASH.in_sm();

/// Does `command` on a copy of the card with power cut at each of its writes in each
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

/// What can be seen of a card that was just switched on.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Seen {
    /// All that updates hold.
    held: String,
    atc: String,
    tries: String,
    /// Scripts counted, one failed, the issuer failed.
    marks: [bool; 3],
}

fn look(bench: &mut Bench) -> Seen {
    let mut bench = bench.fork();
    let (_, sw) = bench.send(SELECT);
    let mut held = sw.to_string();
    let (atc, tries) = (bench.data("9F36"), bench.data("9F17"));
    for tag in ["9F13", "9F58", "9F5D", "9F79"] {
        held += &bench.data(tag);
    }
    for record in ["015C", "025C", "0164", "0114"] {
        let (data, sw) = bench.send(&format!("00B2{record} 00"));
        held += &format!(" {sw}{}", hex::encode(data));
    }
    let cvr = bench.offline(0x80, &DEAL).cvr();
    let cvr = u32::from_str_radix(&cvr, 16).expect("4 bytes");
    held += &format!(" {:08X}", cvr & !0x0000_08F8);
    for pin in [VERIFY, VERIFY_WRONG] {
        held += &format!(" {}", bench.fork().send(pin).1 == Sw::OK);
    }
    Seen {
        held,
        atc,
        tries,
        marks: [cvr & 0xF0 != 0, cvr & 0x08 != 0, cvr & 0x0800 != 0],
    }
}

/// A card that is about to do something, and the command that does it.
type Scene = (&'static str, fn(&mut Bench) -> Vec<u8>);

fn online(bench: &mut Bench) {
    bench.begin(&DEAL);
    bench.first(0x80, &DEAL);
}

fn external(bench: &Bench, code: &str) -> Vec<u8> {
    let first = bench.first.clone().expect("a first cryptogram");
    let arpc = hex::encode(crate::support::arpc(&first, code));
    bytes(&format!("00820000 0A {arpc} {code}"))
}

fn first(p1: u8, deal: &Deal) -> Vec<u8> {
    bytes(&format!("80AE{p1:02X}00 34 {} 00", deal.cdol1()))
}

fn second(p1: u8, code: &str) -> Vec<u8> {
    bytes(&format!("80AE{p1:02X}00 22 {} 00", DEAL.cdol2(code)))
}

fn script(bench: &mut Bench, header: &str, data: &str) -> Vec<u8> {
    online(bench);
    assert_eq!(bench.authenticate("3030"), Sw::OK);
    bench.second(0x40, "3030", &DEAL);
    bench.sealed(header, &bytes(data))
}

#[test]
fn a_cut_leaves_what_updates_hold_as_before_or_as_after_the_command() {
    let scenes: [Scene; 20] = [
        ("begin", |bench| {
            bench.ok(SELECT);
            bytes(&format!("80A80000 0B 8309 {} 00", DEAL.pdol()))
        }),
        ("a wrong PIN", |bench| {
            bench.ok(SELECT);
            bytes(VERIFY_WRONG)
        }),
        ("a right PIN after a wrong one", |bench| {
            bench.ok(SELECT);
            bench.send(VERIFY_WRONG);
            bytes(VERIFY)
        }),
        ("the last wrong PIN, which blocks", |bench| {
            bench.ok(SELECT);
            bench.send(VERIFY_WRONG);
            bench.send(VERIFY_WRONG);
            bytes(VERIFY_WRONG)
        }),
        ("approve off line", |bench| {
            bench.begin(&DEAL);
            first(0x40, &DEAL)
        }),
        ("spend e-cash", |bench| {
            bench.begin(&CASH);
            first(0x40, &CASH)
        }),
        ("go on line", |bench| {
            bench.begin(&DEAL);
            first(0x80, &DEAL)
        }),
        ("decline abroad with data that failed", |bench| {
            let deal = Deal {
                currency: "0840",
                country: "0840",
                results: "4C00000000",
                ..DEAL
            };
            bench.begin(&deal);
            first(0x00, &deal)
        }),
        ("authenticate after a failure", |bench| {
            online(bench);
            bench.fail_to_authenticate();
            online(bench);
            external(bench, "3030")
        }),
        ("fail to authenticate", |bench| {
            online(bench);
            bytes("00820000 0A 00000000000000003030")
        }),
        ("approve on line", |bench| {
            bench.offline(0x40, &DEAL);
            bench.offline(0x00, &DEAL);
            online(bench);
            assert_eq!(bench.authenticate("3030"), Sw::OK);
            second(0x40, "3030")
        }),
        ("decline on line", |bench| {
            online(bench);
            assert_eq!(bench.authenticate("3035"), Sw::OK);
            second(0x00, "3035")
        }),
        ("miss the issuer", |bench| {
            online(bench);
            second(0x40, "3030")
        }),
        ("approve in the issuer's place", |bench| {
            online(bench);
            second(0x40, "5933")
        }),
        ("load e-cash", |bench| {
            script(bench, "04DA9F79", "000000150000")
        }),
        ("put an element", |bench| script(bench, "04DA9F58", "07")),
        ("update a record", |bench| {
            bench.ok(SELECT);
            let mut record = bench.ok("00B20114 00");
            record[4] ^= 1;
            script(bench, "04DC0114", &hex::encode(record))
        }),
        ("block the application", |bench| {
            script(bench, "841E0000", "")
        }),
        ("change the PIN", |bench| {
            online(bench);
            let block = bench.enciphered_pin("654321", None);
            bench.sealed("84240002", &bytes(&block))
        }),
        ("a script with a wrong MAC", |bench| {
            let mut command = script(bench, "04DA9F58", "07");
            command[6] ^= 1;
            command
        }),
    ];
    sweep(&Recipe::new(), &scenes);
}

#[test]
fn a_cut_with_the_second_set_leaves_what_updates_hold_as_before_or_as_after() {
    let scenes: [Scene; 5] = [
        ("begin", |bench| {
            bench.ok(SELECT);
            bytes(&bench.begins(&BY_SM2))
        }),
        ("approve off line, signed", |bench| {
            bench.begin(&BY_SM2);
            first(0x50, &BY_SM2)
        }),
        ("spend e-cash, signed", |bench| {
            bench.begin(&CASH_BY_SM2);
            first(0x50, &CASH_BY_SM2)
        }),
        ("go on line, signed", |bench| {
            bench.begin(&BY_SM2);
            first(0x90, &BY_SM2)
        }),
        ("approve on line, signed twice", |bench| {
            bench.offline(0x40, &BY_SM2);
            bench.begin(&BY_SM2);
            bench.first_signed(0x80, &BY_SM2);
            assert_eq!(bench.authenticate("3030"), Sw::OK);
            second(0x50, "3030")
        }),
    ];
    sweep(&Recipe::new().with_sm2(), &scenes);
}

#[test]
fn a_cut_in_a_proof_by_sm2_leaves_a_card_that_proves_itself() {
    let mut bench = Bench::cleaned(&Recipe::new().with_sm2());
    bench.begin(&BY_SM2);
    let mut before = bench.fork();
    before.reset();
    let before = look(&mut before);
    cut_everywhere(&mut bench, &bytes(PROVE), |cut, armed| {
        assert_eq!(look(cut), before, "{armed:?}");
        cut.begin(&BY_SM2);
        let proof = cut.ok(PROVE);
        signed_by_sm2(&proof[2..], "D64B8587");
    });
}

/// Cuts power in each scene on a card of this recipe, and looks.
fn sweep(recipe: &Recipe, scenes: &[Scene]) {
    let recipe = recipe.clone().with("9F52", "C080");
    let mut cuts = 0;
    for (what, scene) in scenes {
        let what = *what;
        let mut bench = Bench::cleaned(&recipe);
        let command = scene(&mut bench);
        let mut done = bench.fork();
        done.send_bytes(&command);
        done.reset();
        let after = look(&mut done);
        let mut before = bench.fork();
        before.reset();
        let before = look(&mut before);
        assert_ne!(before, after, "{what} changes something");
        // Cards whose memory is the same look the same.
        let mut looked_at = HashMap::new();
        cuts += cut_everywhere(&mut bench, &command, |cut, armed| {
            let contents = cut.card.contents();
            let seen: &Seen = looked_at.entry(contents).or_insert_with(|| look(cut));
            let one = |seen: &str, before: &str, after: &str| {
                assert!(
                    seen == before || seen == after,
                    "{what}: {armed:?}\nseen   {seen}\nbefore {before}\nafter  {after}"
                );
            };
            one(&seen.held, &before.held, &after.held);
            one(&seen.atc, &before.atc, &after.atc);
            // A try is taken before it is given back.
            let taken = what == "a right PIN after a wrong one" && seen.tries == "01";
            if !taken {
                one(&seen.tries, &before.tries, &after.tries);
            }
            for (mark, (before, after)) in
                seen.marks.iter().zip(before.marks.iter().zip(after.marks))
            {
                assert!(*mark == *before || *mark == after, "{what}: {armed:?}");
            }
        });
    }
    println!("{cuts} cuts, each before or after");
}

#[test]
fn a_cut_in_personalisation_leaves_a_card_that_can_be_personalised_or_is() {
    cut_personalisation(&Recipe::new(), |stream| vec![0, 5, 15, stream.len() - 1]);
}

#[test]
fn a_cut_in_personalisation_with_the_second_set_does_so_too() {
    cut_personalisation(&Recipe::new().with_sm2(), |stream| {
        let of_set = [0x8030, 0x9030, 0x8100, 0x9114, 0x9213, 0x0502];
        let numbers = stream.iter().enumerate().filter_map(|(at, grouping)| {
            let number = u16::from_be_bytes([grouping[0], grouping[1]]);
            of_set.contains(&number).then_some(at)
        });
        let numbers: Vec<_> = numbers.chain([stream.len() - 1]).collect();
        assert_eq!(numbers.len(), 7);
        numbers
    });
}

/// Cuts power in the blocks of these numbers of a card's personalisation.
fn cut_personalisation(recipe: &Recipe, numbers: impl Fn(&[Vec<u8>]) -> Vec<usize>) {
    let stream = recipe.stream();
    for number in numbers(&stream) {
        let mut bench = Bench::installed(recipe);
        bench.ok(SELECT);
        for (at, grouping) in stream.iter().enumerate().take(number) {
            assert_eq!(bench.send_bytes(&store_data(at, false, grouping)).1, Sw::OK);
        }
        let last = number + 1 == stream.len();
        let command = store_data(number, last, &stream[number]);
        // Cards whose memory is the same do the same.
        let mut tried = HashSet::new();
        cut_everywhere(&mut bench, &command, |cut, armed| {
            if !tried.insert(cut.card.contents()) {
                return;
            }
            let mut cut = cut.fork();
            cut.ok(SELECT);
            let first = store_data(0, false, &stream[0]);
            match cut.send_bytes(&first).1 {
                Sw::OK => {
                    cut.ok(SELECT);
                    cut.personalise(recipe);
                }
                sw => assert!(last && sw == Sw::CONDITIONS_NOT_MET, "{armed:?}"),
            }
            cut.clean();
        });
    }
}
