//! Commands ask the host for no memory, those that compute on the curve neither.

use crate::support::{Bench, EXPORT, GENERATE, SELECT_ADF, USER, bytes};
use cardlab::apdu::Sw;
use cardlab::crypto::sm2::{OVERHEAD, Order};
use cardlab::icc::Icc;

#[test]
fn commands_allocate_nothing() {
    let mut bench = Bench::new();
    bench.enter();
    assert_eq!(bench.verify(USER), Sw::OK);
    bench.ok(GENERATE);
    let mut text = [0; OVERHEAD + 16];
    bench
        .public_key()
        .encrypt(&[7; 16], Order::C1C3C2, &mut |into| into.fill(3), &mut text)
        .expect("room");
    bench.ok("00A40000 02 0012");
    for command in [
        SELECT_ADF,
        "00A40000 02 0012",
        "00B00000 42",
        "00840000 10",
        GENERATE,
        EXPORT,
        &Bench::sign_command(&[7; 32]),
        &Bench::decrypt_command(0x0013, &text),
        "80C40103 05 C103 123456 00",
        "804A0210 12 C110 00112233445566778899AABBCCDDEEFF",
        "00200181 10 00112233445566778899AABBCCDDEEFF",
    ] {
        let apdu = bytes(command);
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
