//! The second set of keys, SM4, where the terminal asks for it.
//!
//! The sums are made here block by block, as the public material describes them: nothing
//! but the cipher itself is shared with the card.

use super::support::{
    Bench, Deal, Recipe, SELECT, SM4_MASTERS, VERIFY, bytes, expected_cryptogram, sm4_card_key,
};
use cardlab::apdu::Sw;
use cardlab::crypto::{Expanded, Key};

fn encipher(key: &Expanded, block: [u8; 16]) -> [u8; 16] {
    let mut block = block;
    key.encrypt_block(&mut block);
    block
}

/// The session key of a master for a transaction.
fn session(master: &str, atc: u16) -> Expanded {
    let mut block = [0; 16];
    block[6..8].copy_from_slice(&atc.to_be_bytes());
    block[14..].copy_from_slice(&(!atc).to_be_bytes());
    Key::sm4(encipher(&Key::sm4(sm4_card_key(master)).expand(), block)).expand()
}

/// The chain over a message, filled up with '80' and zeros.
fn chain(key: &Expanded, message: &[u8]) -> [u8; 16] {
    let mut message = message.to_vec();
    message.push(0x80);
    message.resize(message.len().next_multiple_of(16), 0);
    message.chunks(16).fold([0; 16], |sum, block| {
        let mut lane = sum;
        for (to, from) in lane.iter_mut().zip(block) {
            *to ^= from;
        }
        encipher(key, lane)
    })
}

/// A card with both sets of keys, whose list asks the terminal which it wants.
fn card() -> Bench {
    Bench::new(&Recipe::new().with_sm4())
}

const DEAL: Deal = Deal::of(1_234);

/// SELECT, options with this wish, PIN, ARQC: its data without the template.
fn ask(bench: &mut Bench, wish: &str) -> Vec<u8> {
    bench.ok(SELECT);
    bench.ok(&format!("80A80000 0C 830A {}{wish} 00", DEAL.pdol()));
    bench.ok(VERIFY);
    bench.ok(&format!("80AE8000 34 {} 00", DEAL.cdol1()))[2..].to_vec()
}

/// What the cryptogram is over: as told, profile, counter and verification results.
fn signed(answer: &[u8]) -> Vec<u8> {
    let told = bytes(&DEAL.cdol1());
    // Amounts, country, results, currency, day, kind, number.
    [&told[..29], &[0x7D, 0x00], &answer[1..3], &answer[14..18]].concat()
}

#[test]
fn a_terminal_that_wants_sm4_gets_its_cryptogram_and_answers_with_it() {
    let mut bench = card();
    let answer = ask(&mut bench, "01");
    assert_eq!((answer[0], &answer[1..3]), (0x80, &[0x00, 0x01][..]));
    let cryptograms = session(SM4_MASTERS[0], 1);
    assert_eq!(answer[3..11], chain(&cryptograms, &signed(&answer))[..8]);
    let issuer = &answer[11..];
    assert_eq!(issuer[7], 0x04, "the algorithm is told");
    let mac = chain(
        &session(SM4_MASTERS[1], 1),
        &[&[0x00, 0x01][..], &issuer[10..15], &[0x00]].concat(),
    );
    assert_eq!(issuer[15..19], mac[..4]);

    // The bank's answer, by the same set.
    let mut lane = [0; 16];
    lane[..8].copy_from_slice(&answer[3..11]);
    lane[0] ^= 0x30;
    lane[1] ^= 0x30;
    let arpc = hex::encode(&encipher(&cryptograms, lane)[..8]);
    bench.ok(&format!("00820000 0A {arpc} 3030"));
    let second = bench.ok(&format!("80AE4000 22 {} 00", DEAL.cdol2("3030")));
    assert_eq!(second[2], 0x40);

    // A script, by the same set.
    let header = [0x04, 0xDA, 0x9F, 0x58, 0x05];
    let message = [&header[..], &[0x00, 0x01], &answer[3..11], &[0x07]].concat();
    let mac = hex::encode(&chain(&session(SM4_MASTERS[1], 1), &message)[..4]);
    bench.ok(&format!("04DA9F58 05 07 {mac}"));
    assert_eq!(bench.data("9F58"), "07");
}

#[test]
fn an_answer_by_the_other_set_is_refused() {
    let mut bench = card();
    let answer = ask(&mut bench, "01");
    let ac = super::support::Ac {
        cid: answer[0],
        atc: 1,
        cryptogram: answer[3..11].try_into().unwrap(),
        issuer: [&answer[11..18], &[0x01]].concat(),
    };
    let arpc = hex::encode(super::support::arpc(&ac, "3030"));
    bench_refuses(&mut bench, &format!("00820000 0A {arpc} 3030"));
}

fn bench_refuses(bench: &mut Bench, command: &str) {
    assert_eq!(bench.send(command).1, Sw::COMPARISON_FAILED);
}

#[test]
fn a_terminal_that_does_not_ask_gets_triple_des() {
    for wish in ["00", "02", "FF"] {
        let mut bench = card();
        let answer = ask(&mut bench, wish);
        let issuer = &answer[11..];
        assert_eq!(issuer[7], 0x01, "{wish}");
        assert_eq!(answer[3..11], expected_cryptogram(&DEAL, 1, issuer, "7D00"));
    }
}

#[test]
fn the_wish_lasts_for_one_payment() {
    let mut bench = card();
    assert_eq!(ask(&mut bench, "01")[18], 0x04);
    assert_eq!(ask(&mut bench, "00")[18], 0x01);
}
