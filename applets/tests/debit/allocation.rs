//! Commands ask the host for no memory: the card has its own. RSA is the exception.

use crate::support::{Bench, Deal, PROVE, Recipe, SELECT, VERIFY, VERIFY_WRONG, bytes};
use cardlab::icc::Icc;

#[test]
fn commands_without_rsa_allocate_nothing() {
    let deal = Deal::of(1);
    let cash = deal.in_cash();
    let by_sm2 = deal.in_sm();
    let mut bench = Bench::cleaned(&Recipe::new().with_sm2());
    let fork = allocation_counter::measure(|| drop(bench.fork()));
    assert_ne!(fork.count_total, 0, "the counter counts");
    let [begin, begin_cash, begin_by_sm2] = [deal, cash, by_sm2].map(|deal| bench.begins(&deal));
    let first = |p1: u8, deal: &Deal| format!("80AE{p1:02X}00 34 {} 00", deal.cdol1());
    let second = format!("80AE4000 22 {} 00", deal.cdol2("5933"));
    let mut answer = Vec::with_capacity(300);
    // Memory that a copy shares is copied at its first change: once before it is counted.
    for round in 0..2 {
        for command in [
            SELECT,
            &begin,
            "00B2010C 00",
            "00B2015C 00",
            "80CA9F79 00",
            "80CA9F36 00",
            VERIFY_WRONG,
            VERIFY,
            "00840000 08",
            &first(0x80, &deal),
            "00820000 0A 00000000000000003030",
            "04DA9F58 05 0000000000",
            &second,
            SELECT,
            &begin,
            &first(0x40, &deal),
            SELECT,
            &begin_cash,
            &first(0x40, &cash),
            SELECT,
            &begin_by_sm2,
            PROVE,
            &first(0x50, &by_sm2),
        ] {
            let apdu = bytes(command);
            let counted = allocation_counter::measure(|| {
                let answered = bench.card.transmit(&apdu, &mut answer);
                answered.expect("an answer");
            });
            assert!(round == 0 || counted.count_total == 0, "{command}");
        }
        bench.clean();
    }
}
