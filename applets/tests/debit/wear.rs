//! Cells that wear out under the bank applet.

use crate::support::{Bench, Deal, Recipe, SELECT, VERIFY, VERIFY_WRONG, bytes};
use cardlab::apdu::Sw;
use cardlab::icc::Icc;
use cardlab::memory::{Cells, Cut, Ending, Worn};

const DEAL: Deal = Deal::of(1500);

/// A last wrong PIN blocks the application, as the recipe has it.
fn card() -> Bench {
    Bench::cleaned(&Recipe::new().with("9F52", "C080"))
}

fn exhaust(bench: &mut Bench) {
    bench.ok(SELECT);
    for tries in [0x63C2, 0x63C1, 0x63C0] {
        assert_eq!(bench.send(VERIFY_WRONG).1, Sw(tries));
    }
}

/// The command that gives all tries back to a PIN without any.
fn unblocks_pin(bench: &mut Bench) -> Vec<u8> {
    exhaust(bench);
    bench.begin(&DEAL);
    bench.first(0x00, &DEAL);
    bench.sealed("84240000", &[])
}

/// Does `command` on a copy of the card with the cells of each of its writes worn out in
/// each way, and lets `judge` look at it where that was refused; how often it was.
fn wear_everywhere(bench: &mut Bench, command: &[u8], mut judge: impl FnMut(Bench, Worn)) -> usize {
    let mut refused = 0;
    for cells in Cells::ALL {
        for after_writes in 0.. {
            let mut worn = bench.fork();
            let armed = Worn {
                after_writes,
                cells,
            };
            worn.card.wear(armed);
            let (_, sw) = worn.send_bytes(command);
            if sw != Sw::MEMORY_FAILURE {
                assert!(!sw.is_error(), "{sw}");
                break;
            }
            refused += 1;
            judge(worn, armed);
        }
    }
    refused
}

/// SELECT on a card that just got power; `None` where it writes anything.
fn select_without_a_write(bench: &mut Bench) -> Option<Sw> {
    let mut bench = bench.fork();
    bench.reset();
    bench.card.cut(Cut {
        after_writes: 0,
        ending: Ending::Clean,
    });
    let mut answer = Vec::new();
    bench.card.transmit(&bytes(SELECT), &mut answer).ok()?;
    let (_, sw) = answer.split_last_chunk().expect("a status word");
    Some(Sw(u16::from_be_bytes(*sw)))
}

#[test]
fn a_selection_writes_nothing_whatever_became_of_the_pin() {
    let mut bench = card();
    assert_eq!(select_without_a_write(&mut bench), Some(Sw::OK));
    bench.ok(SELECT);
    bench.send(VERIFY_WRONG);
    assert_eq!(select_without_a_write(&mut bench), Some(Sw::OK));
    bench.ok(VERIFY);
    assert_eq!(select_without_a_write(&mut bench), Some(Sw::OK));
    let unblock = unblocks_pin(&mut bench);
    let blocked = Some(Sw::SELECTED_FILE_INVALIDATED);
    assert_eq!(select_without_a_write(&mut bench), blocked);
    assert_eq!(bench.send_bytes(&unblock).1, Sw::OK);
    assert_eq!(select_without_a_write(&mut bench), blocked);
    bench.begin(&DEAL);
    bench.first(0x00, &DEAL);
    assert_eq!(bench.script("84180000", ""), Sw::OK);
    assert_eq!(select_without_a_write(&mut bench), Some(Sw::OK));
}

#[test]
fn a_pin_unblocked_on_worn_cells_leaves_an_application_that_is_selected() {
    let mut bench = card();
    let unblock = unblocks_pin(&mut bench);
    let refused = wear_everywhere(&mut bench, &unblock, |mut worn, armed| {
        worn.reset();
        let (_, sw) = worn.send(SELECT);
        assert_eq!(sw, Sw::SELECTED_FILE_INVALIDATED, "{armed:?}");
    });
    assert!(refused > 3, "{refused}");
}

#[test]
fn no_worn_cell_leaves_an_application_open_whose_last_try_was_spent() {
    let mut bench = card();
    bench.ok(SELECT);
    bench.send(VERIFY_WRONG);
    bench.send(VERIFY_WRONG);
    let refused = wear_everywhere(&mut bench, &bytes(VERIFY_WRONG), |mut worn, armed| {
        worn.reset();
        let (_, sw) = worn.send(SELECT);
        let open = sw == Sw::OK;
        assert!(!open || worn.data("9F17") != "00", "{armed:?}");
    });
    assert!(refused > 3, "{refused}");
}
