//! Commands ask the host for no memory: the card has its own.

use crate::support::{Bench, SELECT_SSSE, VERIFY, bytes};
use cardlab::crypto::Algorithm;
use cardlab::icc::Icc;

#[test]
fn commands_allocate_nothing() {
    for algorithm in [Algorithm::Des, Algorithm::Sm4] {
        let mut bench = Bench::new(algorithm, 0);
        let fork = allocation_counter::measure(|| drop(bench.fork()));
        assert_ne!(fork.count_total, 0, "the counter counts");
        bench.ok(SELECT_SSSE);
        let update = format!("00D68C00 80 {}", "A5".repeat(128));
        for command in [
            SELECT_SSSE,
            "00A40200 02 EF05",
            VERIFY,
            "00200000 03 000000",
            "00B08C00 80",
            &update,
            "00B2012C 04",
            "00DC012C 04 0102CCDD",
            "00840000 08",
            "00880000 10 0001020304050607 08090A0B0C0D0E0F 08",
            "00820000 10 0001020304050607 08090A0B0C0D0E0F",
        ] {
            let apdu = bytes(command);
            // The answer's own room, and what is kept from one command to the next.
            let mut answer = Vec::with_capacity(260);
            bench.card.transmit(&apdu, &mut answer).expect("an answer");
            let counted = allocation_counter::measure(|| {
                for _ in 0..3 {
                    let answered = bench.card.transmit(&apdu, &mut answer);
                    answered.expect("an answer");
                }
            });
            assert_eq!(counted.count_total, 0, "{command}");
        }
    }
}
