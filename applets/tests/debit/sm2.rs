//! The second set with SM2: its processing options, and what the card signs.
//!
//! What is signed is written out here, and the hash in it computed anew; the signature is
//! verified with the public half of a key pair that the standard prints. No certificate
//! is needed for that, and those in the card's records are none.

use crate::support::{
    AIP, Ac, Bench, Deal, PROVE, Recipe, SELECT, SM_CASH_OPTIONS, SM_OPTIONS, SM2_NUMBER_WITHIN,
    SM2_PRIVATE, STARTS_INACTIVE, VERIFY, bytes, expected_cryptogram, grouping, object, rsa,
    signature, signed_by_sm2, store_data,
};
use cardlab::apdu::Sw;
use cardlab::crypto::Sm3;

const DEAL: Deal = Deal::of(1_234).in_sm();
const CASH: Deal = DEAL.in_cash();
/// The unpredictable number of every deal.
const NUMBER: &str = "D64B8587";

const TC: u8 = 0x40;
const ARQC: u8 = 0x80;
const CDA: u8 = 0x10;

fn recipe() -> Recipe {
    Recipe::new().with_sm2()
}

/// The locator that options have.
fn locator(options: &str) -> String {
    let digits = hex::encode_upper(bytes(options));
    digits[12..].to_owned()
}

/// GENERATE AC with a signature: the answer.
fn generate(bench: &mut Bench, p1: u8, data: &str) -> Vec<u8> {
    let p1 = p1 | CDA;
    let len = data.len() / 2;
    bench.ok(&format!("80AE{p1:02X}00 {len:02X} {data} 00"))
}

/// What a combined authentication sends before the signature, and what it hashes.
fn combined(ac: &Ac, heard: &[String]) -> Vec<u8> {
    let objects = format!(
        "9F2701{:02X}9F3602{:04X}9F10{:02X}{}",
        ac.cid,
        ac.atc,
        ac.issuer.len(),
        hex::encode(&ac.issuer)
    );
    let hash = heard
        .iter()
        .chain([&objects])
        .fold(Sm3::new(), |hash, part| hash.chain(&bytes(part)))
        .finish();
    let head = bytes(&format!("152C02{:04X}{:02X}", ac.atc, ac.cid));
    [&head[..], &ac.cryptogram, &hash].concat()
}

#[test]
fn a_terminal_that_asks_gets_the_options_of_the_set_and_a_proof_by_sm2() {
    let mut bench = Bench::new(&recipe());
    assert_eq!(bench.begin(&DEAL), format!("{AIP}{}", locator(SM_OPTIONS)));
    let proof = bench.ok(PROVE);
    assert_eq!(proof[..2], [0x80, 2 + 3 + 64]);
    let sent = signed_by_sm2(&proof[2..], NUMBER);
    assert_eq!(sent, bytes("1503 02 0001"));
    let ac = bench.first(ARQC, &DEAL);
    assert_eq!((ac.cvr(), ac.issuer[7]), ("03A01002".to_owned(), 0x04));
}

#[test]
fn a_terminal_that_does_not_ask_gets_the_other_options_and_rsa() {
    let mut bench = Bench::new(&recipe());
    let mut plain = Bench::new(&Recipe::new());
    for wish in ["00", "02", "FF"] {
        let deal = Deal { sm: false, ..DEAL };
        bench.ok(SELECT);
        let options = bench.ok(&format!("80A80000 0C 830A {}{wish} 00", deal.pdol()));
        assert_eq!(hex::encode_upper(&options[2..]), plain.begin(&deal));
        let proof = bench.ok(PROVE);
        assert_eq!(proof[..3], [0x80, 0x81, 0x80]);
        assert_eq!(rsa().apply(&proof[3..]).expect("a number")[1], 0x05);
        let (ac, _) = bench.first_signed(ARQC, &deal);
        assert_eq!(ac.issuer[7], 0x01, "{wish}");
    }
}

#[test]
fn by_switch_what_the_terminal_told_stands_in_the_proof_too() {
    let mut bench = Bench::new(&recipe().switched(SM2_NUMBER_WITHIN));
    bench.begin(&DEAL);
    let proof = bench.ok(PROVE);
    assert_eq!(proof[..2], [0x80, 2 + 3 + 4 + 64]);
    let sent = signed_by_sm2(&proof[2..], "");
    assert_eq!(sent, bytes("1503 02 0001 D64B8587"));
    let answer = generate(&mut bench, TC, &DEAL.cdol1());
    let ac = bench.take_ac(&answer, &DEAL, true);
    let heard = [bench.pdol(&DEAL), DEAL.cdol1()];
    let expected = [combined(&ac, &heard), bytes(NUMBER)].concat();
    assert_eq!(signed_by_sm2(&signature(&answer), ""), expected);
}

#[test]
fn the_longest_list_gives_a_proof_of_more_than_256_bytes() {
    let list = "9F3704 9F1C80 9F4E77";
    let told = format!("{NUMBER}{}", "A5".repeat(0x80 + 0x77));
    let lists = [
        object("8C", crate::support::CDOL1),
        object("8D", crate::support::CDOL2),
        object("9F49", list),
    ];
    let recipe = recipe()
        .grouped(0x0302, &object("70", &lists.concat()))
        .switched(SM2_NUMBER_WITHIN);
    let mut bench = Bench::new(&recipe);
    bench.begin(&DEAL);
    let proof = bench.ok(&format!("00880000 0000FB {told} 0000"));
    assert_eq!(proof[..4], [0x80, 0x82, 0x01, 0x40]);
    let sent = signed_by_sm2(&proof[4..], "");
    assert_eq!(sent, bytes(&format!("1503 02 0001 {told}")));
}

#[test]
fn both_cryptograms_of_a_transaction_can_be_signed() {
    let mut bench = Bench::cleaned(&recipe());
    bench.begin(&DEAL);
    bench.ok(VERIFY);
    let mut heard = vec![bench.pdol(&DEAL), DEAL.cdol1()];
    let answer = generate(&mut bench, ARQC, &DEAL.cdol1());
    // The cryptogram, by SM4, stands in what is signed and nowhere else.
    assert_eq!(answer[..2], [0x77, 0x81]);
    let first = bench.take_ac(&answer, &DEAL, true);
    assert_eq!((first.cid, first.cvr()), (ARQC, "03A40002".to_owned()));
    let sent = signature(&answer);
    assert_eq!(signed_by_sm2(&sent, NUMBER), combined(&first, &heard));

    assert_eq!(bench.authenticate("3030"), Sw::OK);
    heard.push(DEAL.cdol2("3030"));
    let answer = generate(&mut bench, TC, &DEAL.cdol2("3030"));
    let second = bench.take_ac(&answer, &DEAL, false);
    assert_eq!((second.cid, second.cvr()), (TC, "03640002".to_owned()));
    let sent = signature(&answer);
    assert_eq!(signed_by_sm2(&sent, NUMBER), combined(&second, &heard));
}

#[test]
fn a_decline_is_never_signed() {
    let mut bench = Bench::cleaned(&recipe());
    bench.begin(&DEAL);
    assert_eq!(bench.first(CDA, &DEAL).cvr(), "03800000");
    bench.begin(&DEAL);
    bench.first(ARQC, &DEAL);
    assert_eq!(bench.second(CDA, "3035", &DEAL).cid, 0x00);
}

#[test]
fn cryptograms_are_over_the_profile_of_the_set() {
    let other = "8202 6D00 940C 080102001001010028010300";
    let mut bench = Bench::new(&recipe().grouped(0x9114, other));
    assert!(bench.begin(&DEAL).starts_with("6D00"));
    let data = bench.ok(&format!("80AE8000 34 {} 00", DEAL.cdol1()));
    let expected = expected_cryptogram(&DEAL, 1, &data[13..], "6D00");
    assert_eq!(data[5..13], expected);
}

#[test]
fn e_cash_is_spent_by_the_options_of_the_set_in_either_currency() {
    let recipe = recipe()
        .with("DF71", "0840")
        .with("DF78", "000000070000")
        .with("DF79", "000000003000");
    let mut bench = Bench::cleaned(&recipe);
    let dollars = Deal {
        currency: "0840",
        ..CASH
    };
    for (deal, tag, left) in [
        (CASH, "9F79", "000000098766"),
        (dollars, "DF79", "000000001766"),
    ] {
        let options = bench.begin(&deal);
        assert_eq!(options, format!("{AIP}{}", locator(SM_CASH_OPTIONS)));
        let answer = generate(&mut bench, TC, &deal.cdol1());
        let ac = bench.take_ac(&answer, &deal, true);
        assert_eq!((ac.cid, ac.cvr()), (TC, "03900002".to_owned()));
        let heard = [bench.pdol(&deal), deal.cdol1()];
        let sent = signature(&answer);
        assert_eq!(signed_by_sm2(&sent, NUMBER), combined(&ac, &heard));
        bench.ok(SELECT);
        assert_eq!(bench.data(tag), left);
    }
}

#[test]
fn the_path_is_chosen_by_the_same_rules_in_both_sets() {
    let mut bench = Bench::cleaned(&recipe());
    let cases = [
        CASH,
        Deal {
            amount: 70_001,
            ..CASH
        },
        Deal {
            currency: "0840",
            ..CASH
        },
        DEAL,
    ];
    for deal in cases {
        let is_cash = |options: &str| options.len() > 30;
        let by_rsa = bench.begin(&Deal { sm: false, ..deal });
        let by_sm2 = bench.begin(&deal);
        assert_ne!(by_rsa, by_sm2);
        assert_eq!(is_cash(&by_rsa), is_cash(&by_sm2), "{deal:?}");
    }
}

#[test]
fn keys_for_sm4_alone_leave_options_and_signatures_to_rsa() {
    let mut bench = Bench::new(&Recipe::new().with_sm4());
    let options = bench.begin(&DEAL);
    assert_eq!(options, Bench::new(&Recipe::new()).begin(&DEAL));
    assert_eq!(bench.ok(PROVE).len(), 131);
    let (ac, sent) = bench.first_signed(ARQC, &DEAL);
    assert_eq!((ac.issuer[7], sent.len()), (0x04, 128));
}

#[test]
fn a_set_without_options_for_e_cash_leaves_its_signatures_to_rsa() {
    let mut recipe = recipe();
    recipe.groupings.retain(|(number, _)| *number != 0x9213);
    let mut bench = Bench::cleaned(&recipe);
    bench.begin(&DEAL);
    assert_eq!(bench.ok(PROVE).len(), 71);
    let options = bench.begin(&CASH);
    assert_eq!(options, Bench::new(&Recipe::new()).begin(&CASH));
    assert_eq!(bench.ok(PROVE).len(), 131);
    let (ac, sent) = bench.first_signed(TC, &CASH);
    assert_eq!((ac.issuer[7], sent.len()), (0x04, 128));
}

#[test]
fn a_proof_has_its_time_its_length_and_its_offer() {
    let mut bench = Bench::new(&recipe());
    bench.ok(SELECT);
    bench.refused(PROVE, 0x6985);
    bench.options(&DEAL);
    bench.refused("00880000 05 D64B858700 00", 0x6700);
    bench.ok(PROVE);
    bench.refused(PROVE, 0x6985);
    // The other set offers what this one does not, and the other way round.
    for (mine, theirs) in [("5C00", "7D00"), ("7D00", "5C00")] {
        let recipe = recipe()
            .grouped(0x9114, &format!("8202 {mine} 9404 08010200"))
            .grouped(0x9104, &format!("8202 {theirs} 9404 08010200"));
        let mut bench = Bench::new(&recipe);
        for deal in [DEAL, Deal { sm: false, ..DEAL }] {
            let offered = bench.begin(&deal).starts_with("7D00");
            assert_eq!(bench.send(PROVE).1 == Sw::OK, offered);
            let signed = bench.send(&format!("80AE9000 34 {} 00", deal.cdol1())).1;
            assert_eq!(signed == Sw::OK, offered);
            assert!(offered || signed == Sw::CONDITIONS_NOT_MET);
        }
    }
}

#[test]
fn a_blocked_application_proves_nothing() {
    let mut bench = Bench::cleaned(&recipe());
    bench.begin(&DEAL);
    bench.first(ARQC, &DEAL);
    assert_eq!(bench.script("841E0000", ""), Sw::OK);
    bench.begin(&DEAL);
    bench.refused(PROVE, 0x6985);
    assert_eq!(bench.first(TC | CDA, &DEAL).cid, 0x00);
    let mut inactive = Bench::new(&recipe().switched(STARTS_INACTIVE));
    inactive.begin(&DEAL);
    inactive.refused(PROVE, 0x6985);
}

#[test]
fn authentication_that_failed_is_told_as_far_as_the_set_offers_it() {
    let both_failed = Deal {
        results: "4C00000000",
        ..DEAL
    };
    let told = |profile: &str, sm: bool| {
        let options = format!("8202 {profile} 9404 08010200");
        let mut bench = Bench::cleaned(&recipe().grouped(0x9114, &options));
        bench.begin(&both_failed);
        bench.send(&format!("80AE0000 34 {} 00", both_failed.cdol1()));
        bench.begin(&Deal { sm, ..DEAL });
        let data = bench.ok(&format!("80AE8000 34 {} 00", DEAL.cdol1()));
        let cvr = &data[16..20];
        (cvr[2] & 0x01 != 0, cvr[3] & 0x04 != 0)
    };
    assert_eq!(told("7D00", true), (true, true));
    assert_eq!(told("5C00", true), (true, false));
    assert_eq!(told("3C00", true), (false, true));
    assert_eq!(told("1C00", true), (false, false));
    // What failed in one set is told in the other.
    assert_eq!(told("1C00", false), (true, true));
}

#[test]
fn an_enciphered_pin_stays_under_rsa() {
    let mut bench = Bench::new(&recipe());
    bench.begin(&DEAL);
    let challenge = hex::encode(bench.ok("00840000 08"));
    let plain = bytes(&format!(
        "7F 26123456FFFFFFFF {challenge} {}",
        "00".repeat(111)
    ));
    let data = hex::encode(rsa().apply(&plain).expect("a number"));
    bench.ok(&format!("00200088 80 {data}"));
    assert_eq!(bench.first(ARQC, &DEAL).cvr(), "03A41000");
}

/// Personalises a card by a recipe: how the last block is answered.
fn finish(recipe: &Recipe) -> Sw {
    let mut bench = Bench::installed(recipe);
    bench.ok(SELECT);
    let stream = recipe.stream();
    let mut last = Sw::OK;
    for (number, grouping) in stream.iter().enumerate() {
        assert_eq!(last, Sw::OK);
        let command = store_data(number, number + 1 == stream.len(), grouping);
        (_, last) = bench.send_bytes(&command);
    }
    last
}

#[test]
fn the_last_block_asks_for_what_the_set_works_with() {
    let without = |mut recipe: Recipe, numbers: &[u16]| {
        let is_left = |(number, _): &(u16, Vec<u8>)| !numbers.contains(number);
        recipe.groupings.retain(is_left);
        finish(&recipe)
    };
    for (numbers, sw) in [
        (&[0x9114, 0x9213][..], Sw::OK),
        (&[0x9213], Sw::OK),
        (&[0x9203, 0x9213], Sw::OK),
        (&[0x9114, 0x9213, 0x8100], Sw::OK),
        (&[0x9114, 0x9213, 0x8030, 0x9030], Sw::OK),
        // Its own: keys with their check values, the key for SM2, records.
        (&[0x8030], Sw::CONDITIONS_NOT_MET),
        (&[0x9030], Sw::CONDITIONS_NOT_MET),
        (&[0x8030, 0x9030], Sw::CONDITIONS_NOT_MET),
        (&[0x8100], Sw::CONDITIONS_NOT_MET),
        (&[0x0502], Sw::CONDITIONS_NOT_MET),
        // Of e-cash: the options of the other set, and those of this one's account.
        (&[0x9203], Sw::CONDITIONS_NOT_MET),
        (&[0x9114], Sw::CONDITIONS_NOT_MET),
        // Each on its own asks for the key and for its records.
        (&[0x9213, 0x8100], Sw::CONDITIONS_NOT_MET),
        (&[0x9213, 0x0503], Sw::CONDITIONS_NOT_MET),
        // The other set's key does not stand in, nor the other way round.
        (&[0x8201], Sw::CONDITIONS_NOT_MET),
    ] {
        assert_eq!(without(recipe(), numbers), sw, "{numbers:04X?}");
    }
    // Options that offer static authentication alone ask for no key.
    let statically = recipe()
        .grouped(0x9114, "8202 5C00 9404 08010200")
        .grouped(0x9213, "8202 5C00 9404 08010200");
    assert_eq!(without(statically, &[0x8100]), Sw::OK);
    for profile in ["2000", "0100"] {
        let cash = format!("8202 {profile} 9404 08010200");
        let recipe = recipe()
            .grouped(0x9114, "8202 5C00 9404 08010200")
            .grouped(0x9213, &cash);
        assert_eq!(without(recipe, &[0x8100]), Sw::CONDITIONS_NOT_MET);
    }
    // A list that is asked for by no option of the other set.
    let lists = [
        object("8C", crate::support::CDOL1),
        object("8D", crate::support::CDOL2),
    ];
    let recipe = recipe()
        .grouped(0x0302, &object("70", &lists.concat()))
        .grouped(0x9104, "8202 5C00 9404 08010200")
        .grouped(0x9203, "8202 5C00 9404 08010200");
    assert_eq!(finish(&recipe), Sw::CONDITIONS_NOT_MET);
    let by_cda = recipe
        .grouped(0x9114, "8202 5D00 9404 08010200")
        .grouped(0x9213, "8202 5D00 9404 08010200");
    assert_eq!(finish(&by_cda), Sw::OK);
}

#[test]
fn what_is_no_grouping_of_the_set_is_refused_and_changes_nothing() {
    let mut bench = Bench::installed(&Recipe::new());
    bench.ok(SELECT);
    let before = bench.card.contents();
    // n - 1 of the curve is no private key any more; n - 2 is.
    let past = "FFFFFFFEFFFFFFFFFFFFFFFFFFFFFFFF7203DF6B21C6052B53BBF40939D54122";
    let last = past.replace("4122", "4121");
    for (number, data, sw) in [
        (0x8100, "", 0x6A80),
        (0x8100, &SM2_PRIVATE[2..], 0x6A80),
        (0x8100, &format!("{SM2_PRIVATE}80"), 0x6A80),
        (0x8100, &"00".repeat(32), 0x6A80),
        (0x8100, past, 0x6A80),
        (0x8101, SM2_PRIVATE, 0x6A88),
        (0x9114, "8202 7D00", 0x6A80),
        (0x9114, "8202 7D00 9403 080101", 0x6A80),
        (0x9115, "8202 7D00 9404 08010100", 0x6A88),
        (0x9213, "8203 7D0000 9404 08010100", 0x6A80),
        (0x9217, "82", 0x6A80),
    ] {
        let command = store_data(0, false, &grouping(number, &bytes(data)));
        assert_eq!(bench.send_bytes(&command).1, Sw(sw), "{number:04X} {data}");
        assert!(bench.card.contents() == before, "{number:04X} {data}");
    }
    let command = store_data(0, false, &grouping(0x8100, &bytes(&last)));
    assert_eq!(bench.send_bytes(&command).1, Sw::OK);
}

#[test]
fn options_without_contacts_are_kept_and_not_used() {
    let data = "8202 7C00 9404 08010100 9F1008 0701110300000004";
    let mut bench = Bench::new(&recipe().grouped(0x9217, data));
    assert_eq!(bench.begin(&DEAL), Bench::new(&recipe()).begin(&DEAL));
}

#[test]
fn no_command_gives_a_private_key_or_takes_another() {
    let mut bench = Bench::cleaned(&recipe());
    bench.begin(&DEAL);
    bench.first(ARQC, &DEAL);
    assert_eq!(bench.authenticate("3030"), Sw::OK);
    bench.second(TC, "3030", &DEAL);
    for tag in ["8100", "8030", "9030"] {
        let (data, sw) = bench.send(&format!("80CA{tag} 00"));
        assert_eq!((data.len(), sw), (0, Sw::REFERENCE_DATA_NOT_FOUND));
        let mut bench = bench.fork();
        let sw = bench.script(&format!("04DA{tag}"), SM2_PRIVATE);
        assert_eq!(sw, Sw::WRONG_DATA, "{tag}");
    }
    // Whatever can be read, and whatever the card answers, holds no part of it.
    let parts: Vec<_> = bytes(SM2_PRIVATE)
        .chunks(8)
        .map(<[u8]>::to_vec)
        .chain(bench_keys())
        .collect();
    let mut heard = Vec::new();
    for p2 in 0..=0xFF {
        for number in 0..=0xFF {
            heard.extend(bench.send(&format!("00B2{number:02X}{p2:02X} 00")).0);
        }
    }
    for tag in 0..=u16::MAX {
        heard.extend(bench.send(&format!("80CA{tag:04X} 00")).0);
    }
    assert!(heard.len() > 1_000);
    for part in parts {
        assert!(!heard.windows(8).any(|found| found == part), "{part:02X?}");
    }
}

/// Halves of the card's SM4 keys.
fn bench_keys() -> impl Iterator<Item = Vec<u8>> {
    let keys = crate::support::SM4_MASTERS.map(crate::support::sm4_card_key);
    keys.into_iter()
        .flat_map(|key| [key[..8].to_vec(), key[8..].to_vec()])
}

#[test]
fn the_same_card_signs_the_same_and_one_card_never_the_same_twice() {
    let proof = |bench: &mut Bench| {
        bench.begin(&DEAL);
        bench.ok(PROVE)
    };
    let (mut one, mut other) = (Bench::new(&recipe()), Bench::new(&recipe()));
    assert_eq!(proof(&mut one), proof(&mut other));
    assert!(one.card.contents() == other.card.contents());
    // Of the same message: r, which only the random number makes, is another.
    let mut bench = Bench::new(&recipe());
    bench.begin(&DEAL);
    let mut again = bench.fork();
    again.ok("00840000 08");
    let (first, second) = (bench.ok(PROVE), again.ok(PROVE));
    assert_eq!(first[..7], second[..7]);
    assert_ne!(first[7..39], second[7..39]);
}
