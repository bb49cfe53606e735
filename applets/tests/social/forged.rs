//! Memory that lies: images with a right checksum, their bytes changed by hand.
//!
//! What such a card answers is nobody's promise, but it answers: it neither hangs nor
//! takes its host down.

use crate::support::{Bench, CYCLIC_APPENDS, SELECT_DF01, SELECT_DF04, SELECT_ISD, SELECT_SSSE};
use cardlab::crypto::Algorithm;
use cardlab::icc::Icc;
use cardlab::memory::{Medium, Pages, Ref, Silicon, Tear, Wear};
use cardlab::os::Card;

/// Commands that walk the tree and read and write the bodies of all kinds of EFs.
fn walk() -> Vec<Vec<u8>> {
    [
        SELECT_SSSE,
        "00200000 03 123456",
        "00A40000 02 3F00 00",
        "00A40000 02 DDF1 00",
        "00A40400 05 D156000005 00",
        "00A40402 05 D156000005 00",
        "00A40402 05 D156000005 00",
        "00A40400 06 AAAAAAAAAAAA 00",
        SELECT_SSSE,
        "00A40000 02 AAAA 00",
        "00B2012D 00",
        "00B2072D 00",
        "00B07F00 00",
        "00B08C00 00",
        "00D68CFF 04 01020304",
        "00E00000 0D 62 0B 820101 8302EF1D 80020008",
        "00E00000 09 62 07 820138 8302DF0D",
        SELECT_SSSE,
        "80D40007 13 010103 00000000000000000000000000000001",
        "00840000 08",
        "0082000A 10 00000000000000000000000000000000",
        "00880000 10 00000000000000000000000000000000",
        SELECT_DF01,
        "00B2012D 00",
        "00B2022E 00",
        "00DC202C 04 20023132",
        "00DC0100 04 20023132",
        "00DC0104 04 20023132",
        "00DC2028 05 2003313233",
        "00DC032C 04 4002DDDD",
        "00DC402A 05 4003EEEEEE",
        "00DC4028 02 4000",
        "00B2003B 00",
        "00DC003B 04 01020304",
        "00DC003B 04 01020304",
        "00B2013D 00",
        "00DC013C 04 01020304",
        "00B201CD 00",
        "00B201CE 00",
        "00DC02CC 04 79020102",
        "00DC03CC 04 79020102",
        "00E00000 09 62 07 820138 8302DF0E",
        "00A40000 02 DF04 00",
        SELECT_DF04,
        "00B20134 00",
        "00B20144 00",
        SELECT_ISD,
    ]
    .map(crate::support::bytes)
    .to_vec()
}

/// Gives power to the card with this memory and sends the commands; a Le that was wrong
/// is sent again.
fn drive(pages: Pages, commands: &[Vec<u8>]) {
    let Ok(mut card) = Card::open(&cardlab_applets::ROM, pages) else {
        return;
    };
    let mut answer = Vec::new();
    let _ = card.power_on();
    for command in commands {
        let lost = card.transmit(command, &mut answer).is_err();
        if lost && card.reset().is_err() {
            return;
        }
        if let ([0x6C, right], [head @ .., _]) = (&answer[..], &command[..]) {
            let _ = card.transmit(&[head, &[*right]].concat(), &mut answer);
        }
    }
}

#[test]
fn a_forged_memory_neither_hangs_the_card_nor_takes_its_host_down() {
    // Nothing is activated, so that no rule keeps a command away.
    let mut issued = Bench::in_creation(Algorithm::Des, CYCLIC_APPENDS).card;
    let commands = walk();
    let store = Silicon::open(Tear::new(Wear::new(issued.pages()))).unwrap();
    let mut before = Ref::NONE;
    for object in store.objects() {
        let own = object.reference();
        for at in (0..object.len()).map(|offset| own.number() + offset) {
            for byte in [0x00, 0x01, 0x7F, 0xFF] {
                let mut pages = issued.pages();
                assert!(pages.write(at, &[byte]));
                drive(pages, &commands);
            }
        }
        // A reference leads to where it came from, or further back.
        for at in (own.number()..own.number() + object.len()).step_by(4) {
            for reference in [own, before] {
                let mut pages = issued.pages();
                assert!(pages.write(at, &reference.number().to_be_bytes()));
                drive(pages, &commands);
            }
        }
        before = own;
    }
}
