//! Transactions step by step: what is answered, in which state, with which results.
//!
//! The card verification results are those of public test scripts, each named here by
//! what brings it about.

use crate::support::{
    AIP, Ac, Bench, COUNTS_AT_FIRST_AC, Deal, PDOL_LENGTH_IS_DATA, Recipe, SELECT, VERIFY,
    VERIFY_WRONG, expected_cryptogram, rsa,
};
use cardlab::apdu::Sw;
use cardlab::crypto::{RsaPrivate, RsaPublic, Sha1};
use cardlab::tag;
use cardlab::tlv;

const AAC: u8 = 0x00;
const TC: u8 = 0x40;
const ARQC: u8 = 0x80;
const CDA: u8 = 0x10;

const DEAL: Deal = Deal::of(1500);

fn used() -> Bench {
    Bench::cleaned(&Recipe::new())
}

/// A transaction with the PIN, up to its first cryptogram.
#[track_caller]
fn with_pin(bench: &mut Bench, p1: u8) -> Ac {
    bench.begin(&DEAL);
    bench.ok(VERIFY);
    bench.first(p1, &DEAL)
}

#[track_caller]
fn is(ac: &Ac, cid: u8, cvr: &str) {
    assert_eq!((ac.cid, &*ac.cvr()), (cid, cvr), "{ac:02X?}");
}

#[test]
fn a_transaction_on_line_is_asked_answered_and_approved() {
    let mut bench = used();
    assert_eq!(bench.begin(&DEAL), "7D00080102001001040118010200");
    bench.ok(VERIFY);
    let first = bench.first(ARQC, &DEAL);
    is(&first, ARQC, "03A40000");
    assert_eq!(first.atc, 2);
    assert_eq!(
        hex::encode_upper(&first.issuer[..15]),
        "07010103A40000010A010000100000"
    );
    assert_eq!(bench.authenticate("3030"), Sw::OK);
    is(&bench.second(TC, "3030", &DEAL), TC, "03640000");
    assert_eq!(bench.data("9F13"), "0002");
    assert_eq!(bench.data("9F36"), "0002");
}

#[test]
fn answers_off_line_tell_whether_the_pin_was_verified() {
    let mut bench = used();
    is(&with_pin(&mut bench, TC), TC, "03940000");
    is(&with_pin(&mut bench, AAC), AAC, "03840000");
    is(&bench.offline(TC, &DEAL), TC, "03900000");
    is(&bench.offline(AAC, &DEAL), AAC, "03800000");
    is(&bench.offline(ARQC, &DEAL), ARQC, "03A00000");
}

#[test]
fn the_second_cryptogram_tells_how_the_issuer_answered() {
    // Not authenticated, mandatory or not.
    let mut bench = used();
    with_pin(&mut bench, ARQC);
    is(&bench.second(TC, "3030", &DEAL), TC, "03640400");
    let mut bench = used();
    with_pin(&mut bench, ARQC);
    is(&bench.second(AAC, "3030", &DEAL), AAC, "03240400");
    // Authentication failed: accepted where the default action lets it, else declined.
    let accepting = Recipe::new().with("9F52", "8000");
    let mut bench = Bench::cleaned(&accepting);
    with_pin(&mut bench, ARQC);
    assert_eq!(bench.fail_to_authenticate(), Sw(0x6300));
    is(&bench.second(TC, "3030", &DEAL), TC, "036C0000");
    is(&with_pin(&mut bench, TC), ARQC, "03A48800");
    let mut bench = used();
    with_pin(&mut bench, ARQC);
    assert_eq!(bench.fail_to_authenticate(), Sw(0x6300));
    is(&bench.second(TC, "3030", &DEAL), AAC, "032C0000");
    // Declined by the issuer, by the terminal, and unable to go on line.
    let mut bench = used();
    with_pin(&mut bench, ARQC);
    assert_eq!(bench.authenticate("3035"), Sw::OK);
    is(&bench.second(AAC, "3035", &DEAL), AAC, "03240000");
    with_pin(&mut bench, ARQC);
    is(&bench.second(AAC, "5A33", &DEAL), AAC, "03250000");
    is(&with_pin(&mut bench, AAC), AAC, "03848000");
}

#[test]
fn a_mandatory_authentication_that_is_missing_declines_by_default_action() {
    let mut bench = Bench::cleaned(&Recipe::new().with("9F52", "A000"));
    with_pin(&mut bench, ARQC);
    is(&bench.second(TC, "3030", &DEAL), AAC, "03240400");
    is(&with_pin(&mut bench, ARQC), ARQC, "03A48800");
    // Optional, it is approved, and nothing is pending.
    let mut bench = Bench::cleaned(&Recipe::new().with("9F52", "A000").with("9F56", "00"));
    with_pin(&mut bench, ARQC);
    is(&bench.second(TC, "3030", &DEAL), TC, "03640400");
    is(&with_pin(&mut bench, ARQC), ARQC, "03A40000");
}

#[test]
fn six_response_codes_approve_and_both_of_them_must() {
    let mut bench = used();
    with_pin(&mut bench, ARQC);
    for code in 0..=0xFFFF_u16 {
        let approves = matches!(
            &code.to_be_bytes(),
            b"00" | b"10" | b"11" | b"01" | b"02" | b"Y1"
        );
        let unable = matches!(&code.to_be_bytes(), b"Y3" | b"Z3");
        if code % 251 != 0 && !approves && !unable {
            continue;
        }
        let code = format!("{code:04X}");
        let mut other = bench.fork();
        assert_eq!(other.authenticate(&code), Sw::OK);
        let second = other.second(TC, &code, &DEAL);
        assert_eq!(second.cid == TC, approves || unable, "{code}");
    }
    assert_eq!(bench.authenticate("3135"), Sw::OK);
    is(&bench.second(TC, "3030", &DEAL), AAC, "03240000");
}

#[test]
fn a_new_card_says_so_until_the_issuer_approved_once() {
    let mut bench = Bench::new(&Recipe::new());
    is(&with_pin(&mut bench, TC), TC, "03941000");
    is(&with_pin(&mut bench, AAC), AAC, "03841000");
    is(&with_pin(&mut bench, ARQC), ARQC, "03A41000");
    assert_eq!(bench.authenticate("3035"), Sw::OK);
    is(&bench.second(AAC, "3035", &DEAL), AAC, "03241000");
    assert_eq!(bench.data("9F13"), "0000");
    is(&with_pin(&mut bench, TC), TC, "03941000");
    with_pin(&mut bench, ARQC);
    assert_eq!(bench.authenticate("3030"), Sw::OK);
    is(&bench.second(TC, "3030", &DEAL), TC, "03641000");
    is(&with_pin(&mut bench, TC), TC, "03940000");
    // The default action sends it on line, and declines where that fails.
    let mut bench = Bench::new(&Recipe::new().with("9F52", "0300"));
    is(&with_pin(&mut bench, TC), ARQC, "03A41000");
    is(&bench.second(TC, "5933", &DEAL), AAC, "03251000");
}

#[test]
fn transactions_in_a_row_off_line_are_limited() {
    let mut bench = Bench::cleaned(&Recipe::new().with("9F58", "03").with("9F59", "05"));
    for _ in 0..3 {
        is(&with_pin(&mut bench, TC), TC, "03940000");
    }
    let mut other = bench.fork();
    is(&with_pin(&mut other, AAC), AAC, "03842000");
    is(&with_pin(&mut bench, TC), ARQC, "03A42000");
    is(&bench.second(TC, "5933", &DEAL), TC, "03652000");
    with_pin(&mut bench, TC);
    bench.second(TC, "5933", &DEAL);
    with_pin(&mut bench, TC);
    is(&bench.second(TC, "5933", &DEAL), AAC, "0325A000");
    // 'FF' is no limit.
    let mut bench = Bench::cleaned(&Recipe::new().with("9F58", "FF"));
    for _ in 0..30 {
        is(&bench.offline(TC, &Deal::of(1)), TC, "03900000");
    }
}

#[test]
fn the_sum_spent_off_line_is_limited() {
    let mut bench = used();
    let (big, small) = (Deal::of(60_000), Deal::of(40_000));
    is(&bench.offline(TC, &big), TC, "03900000");
    assert_eq!(bench.data("9F5D"), "000000140000");
    let mut other = bench.fork();
    is(&other.offline(TC, &small), TC, "03900000");
    is(&bench.offline(TC, &big), ARQC, "03A02000");
    is(&bench.second(TC, "5933", &big), TC, "03612000");
    bench.offline(TC, &Deal::of(80_001));
    is(
        &bench.second(TC, "5933", &Deal::of(80_001)),
        AAC,
        "0321A000",
    );
    bench.offline(TC, &Deal::of(80_000));
    is(&bench.second(TC, "5933", &Deal::of(80_000)), TC, "0361A000");
    assert_eq!(bench.data("9F5D"), "000000000000");
    // An answer of the issuer clears it.
    bench.clean();
    assert_eq!(bench.data("9F5D"), "000000200000");
}

#[test]
fn a_foreign_currency_and_a_foreign_country_are_counted() {
    for foreign in [
        Deal {
            currency: "0841",
            ..DEAL
        },
        Deal {
            country: "0840",
            ..DEAL
        },
    ] {
        let mut bench = used();
        for _ in 0..3 {
            is(&bench.offline(TC, &foreign), TC, "03900000");
        }
        is(&bench.offline(TC, &DEAL), TC, "03900000");
        is(&bench.offline(TC, &foreign), ARQC, "03A02000");
        // Declines count, too.
        let mut bench = used();
        for _ in 0..3 {
            bench.offline(AAC, &foreign);
        }
        is(&bench.offline(TC, &foreign), ARQC, "03A02000");
    }
    // A new card abroad.
    let foreign = Deal {
        currency: "0841",
        ..DEAL
    };
    let recipe = Recipe::new().with("9F53", "00").with("9F52", "1300");
    let mut bench = Bench::new(&recipe);
    bench.begin(&foreign);
    bench.ok(VERIFY);
    is(&bench.first(TC, &foreign), ARQC, "03A43000");
    is(&bench.second(AAC, "5A33", &foreign), 0x08, "03253000");
}

#[test]
fn a_second_currency_counts_at_its_rate() {
    // One unit is 7.15 of the own currency.
    let recipe = Recipe::new()
        .with("9F76", "0840")
        .with("9F73", "20000715")
        .with("9F75", "000000010000")
        .with("9F54", "000000000000");
    let second = |amount| Deal {
        currency: "0840",
        ..Deal::of(amount)
    };
    let mut bench = Bench::cleaned(&recipe);
    is(&bench.offline(TC, &second(1000)), TC, "03900000");
    let mut other = bench.fork();
    is(&other.offline(TC, &Deal::of(2850)), TC, "03900000");
    is(&bench.offline(TC, &Deal::of(2851)), ARQC, "03A02000");
    let mut bench = Bench::cleaned(&recipe);
    is(&bench.offline(TC, &second(1399)), ARQC, "03A02000");
    // It is no foreign currency.
    let mut bench = Bench::cleaned(&recipe);
    for _ in 0..8 {
        is(&bench.offline(TC, &second(1)), TC, "03900000");
    }
}

#[test]
fn a_transaction_on_line_that_was_not_completed_is_told_and_goes_on_line() {
    let mut bench = used();
    with_pin(&mut bench, ARQC);
    is(&with_pin(&mut bench, ARQC), ARQC, "03A48000");
    bench.reset();
    is(&with_pin(&mut bench, TC), ARQC, "03A48000");
    assert_eq!(bench.authenticate("3030"), Sw::OK);
    bench.second(TC, "3030", &DEAL);
    is(&with_pin(&mut bench, TC), TC, "03940000");
}

#[test]
fn data_authentication_that_failed_is_told_after_a_decline() {
    let failed = |results| Deal { results, ..DEAL };
    let mut bench = used();
    is(&bench.offline(AAC, &failed("4000000000")), AAC, "03800000");
    is(&bench.offline(TC, &DEAL), TC, "03900100");
    is(&bench.offline(AAC, &failed("0800000000")), AAC, "03800100");
    is(&bench.offline(AAC, &DEAL), AAC, "03800104");
    bench.clean();
    is(&bench.offline(TC, &DEAL), TC, "03900000");
    // Combined authentication, while a transaction on line is pending.
    bench.offline(ARQC, &DEAL);
    bench.offline(AAC, &failed("0400000000"));
    bench.begin(&DEAL);
    bench.ok(VERIFY);
    let (first, _) = bench.first_signed(ARQC, &DEAL);
    assert_eq!(first.cvr(), "03A48006");
    bench.authenticate("3030");
    is(&bench.second(TC, "3030", &DEAL), TC, "03648006");
}

#[test]
fn wrong_pins_are_counted_told_and_block_by_default_action() {
    let recipe = Recipe::new().with("9F52", "C8C0");
    let mut bench = Bench::cleaned(&recipe);
    bench.begin(&DEAL);
    for tries in [0x63C2, 0x63C1] {
        assert_eq!(bench.send(VERIFY_WRONG).1, Sw(tries));
    }
    let mut other = bench.fork();
    is(&other.first(TC, &DEAL), TC, "03960000");
    bench.ok(VERIFY);
    assert_eq!(bench.data("9F17"), "03");
    for tries in [0x63C2, 0x63C1, 0x63C0, 0x6983, 0x6983] {
        assert_eq!(bench.send(VERIFY_WRONG).1, Sw(tries));
    }
    assert_eq!(bench.send(VERIFY).1, Sw::METHOD_BLOCKED);
    is(&bench.first(ARQC, &DEAL), 0x0A, "03864200");
    assert_eq!(bench.send(SELECT).1, Sw::SELECTED_FILE_INVALIDATED);
    bench.options(&DEAL);
    is(&bench.first(TC, &DEAL), AAC, "03804000");
}

#[test]
fn without_a_default_action_a_blocked_pin_is_only_told() {
    let mut bench = used();
    bench.begin(&DEAL);
    for _ in 0..3 {
        bench.send(VERIFY_WRONG);
    }
    is(&bench.first(AAC, &DEAL), AAC, "03864000");
    is(&bench.offline(TC, &DEAL), TC, "03904000");
    bench.begin(&DEAL);
    assert_eq!(bench.send(VERIFY).1, Sw::REFERENCE_DATA_NOT_USABLE);
    assert_eq!(bench.send(VERIFY).1, Sw::METHOD_BLOCKED);
    is(&bench.first(ARQC, &DEAL), ARQC, "03A64000");
}

#[test]
fn a_pin_blocked_before_declines_goes_on_line_or_blocks_by_default_action() {
    let exhausted = |action: &str| {
        let mut bench = Bench::cleaned(&Recipe::new().with("9F52", action));
        bench.begin(&DEAL);
        for _ in 0..3 {
            bench.send(VERIFY_WRONG);
        }
        bench
    };
    let mut bench = exhausted("0040");
    is(&bench.offline(ARQC, &DEAL), AAC, "03804000");
    let mut bench = exhausted("0020");
    is(&bench.offline(TC, &DEAL), ARQC, "03A04000");
    is(&bench.second(TC, "5933", &DEAL), TC, "03614000");
    let mut bench = exhausted("0030");
    is(&bench.offline(TC, &DEAL), ARQC, "03A04000");
    is(&bench.second(TC, "5933", &DEAL), AAC, "03214000");
    let mut bench = exhausted("0004");
    is(&bench.offline(TC, &DEAL), AAC, "03804200");
    assert_eq!(bench.send(SELECT).1, Sw::SELECTED_FILE_INVALIDATED);
}

#[test]
fn each_command_has_its_time_and_its_length() {
    let ac = format!("80AE4000 34 {} 00", DEAL.cdol1());
    let mut bench = used();
    bench.ok(SELECT);
    bench.refused(&ac, 0x6985);
    bench.refused("00880000 04 01020304 00", 0x6985);
    bench.refused("00820000 0A 00000000000000003030", 0x6985);
    bench.refused("80A80000 0B 8209 000000000000000156 00", 0x6A80);
    bench.refused("80A80000 02 8300 00", 0x6700);
    bench.refused("80A80000 0B 8308 00 000000000000 0156 00", 0x6700);
    bench.options(&DEAL);
    bench.refused(&format!("80A80000 0B 8309 {} 00", DEAL.pdol()), 0x6985);
    bench.refused("00880000 05 0102030405 00", 0x6700);
    assert_eq!(bench.ok("00880000 04 01020304 00").len(), 131);
    bench.refused("00880000 04 01020304 00", 0x6985);
    bench.refused(
        "80AE4000 33 00 00"
            .replace("33 00", &format!("33 {}", "00".repeat(51)))
            .as_str(),
        0x6700,
    );
    bench.refused(&ac.replace("AE40", "AEC0"), 0x6A86);
    bench.refused(&ac.replace("AE40", "AE41"), 0x6A86);
    bench.first(ARQC, &DEAL);
    bench.refused(&ac.replace("AE40", "AE80"), 0x6985);
    bench.refused(&ac, 0x6700);
    bench.refused(&format!("80AE8000 22 {} 00", DEAL.cdol2("3030")), 0x6985);
    assert_eq!(bench.authenticate("3030"), Sw::OK);
    bench.second(TC, "3030", &DEAL);
    bench.refused(&format!("80AE4000 22 {} 00", DEAL.cdol2("3030")), 0x6985);
    assert_eq!(bench.authenticate("3030"), Sw::CONDITIONS_NOT_MET);
    // After a decline nothing more.
    let mut bench = used();
    bench.offline(AAC, &DEAL);
    bench.refused(&ac, 0x6985);
    // By switch.
    let mut bench = Bench::new(&Recipe::new().switched(PDOL_LENGTH_IS_DATA));
    bench.ok(SELECT);
    bench.refused("80A80000 02 8300 00", 0x6A80);
}

#[test]
fn a_second_external_authenticate_counts_as_a_failure() {
    let mut bench = used();
    with_pin(&mut bench, ARQC);
    assert_eq!(bench.authenticate("3030"), Sw::OK);
    assert_eq!(bench.authenticate("3030"), Sw::CONDITIONS_NOT_MET);
    is(&bench.second(TC, "3030", &DEAL), AAC, "032C0000");
    is(&with_pin(&mut bench, ARQC), ARQC, "03A48800");
}

#[test]
fn a_hundred_failures_lock_external_authenticate_for_good() {
    let mut bench = used();
    for _ in 0..100 {
        bench.offline(ARQC, &DEAL);
        assert_eq!(bench.fail_to_authenticate(), Sw(0x6300));
    }
    bench.offline(ARQC, &DEAL);
    assert_eq!(bench.authenticate("3030"), Sw::CONDITIONS_NOT_MET);
}

#[test]
fn the_counter_counts_once_a_transaction_and_stops_at_its_end() {
    let mut bench = used();
    bench.ok(SELECT);
    assert_eq!(bench.data("9F36"), "0001");
    bench.options(&DEAL);
    assert_eq!(bench.data("9F36"), "0002");
    assert_eq!(bench.first(TC, &DEAL).atc, 2);
    assert_eq!(bench.data("9F36"), "0002");
    let mut late = Bench::new(&Recipe::new().switched(COUNTS_AT_FIRST_AC));
    late.begin(&DEAL);
    assert_eq!(late.data("9F36"), "0000");
    assert_eq!(late.first(TC, &DEAL).atc, 1);
    assert_eq!(late.data("9F36"), "0001");
    while bench.data("9F36") != "FFFF" {
        bench.ok(SELECT);
        bench.options(&DEAL);
    }
    bench.ok(SELECT);
    bench.refused(&format!("80A80000 0B 8309 {} 00", DEAL.pdol()), 0x6985);
}

#[test]
fn dynamic_data_are_signed_with_the_cards_key() {
    let mut bench = used();
    bench.begin(&DEAL);
    let answer = bench.ok("00880000 04 D64B8587 00");
    assert_eq!(answer[..3], [0x80, 0x81, 0x80]);
    let signed = rsa().apply(&answer[3..]).expect("a number");
    assert_eq!(signed[..7], [0x6A, 0x05, 0x01, 0x03, 0x02, 0x00, 0x02]);
    assert_eq!(signed[7..107], [0xBB; 100]);
    let hash = Sha1::new()
        .chain(&signed[1..107])
        .chain(&[0xD6, 0x4B, 0x85, 0x87])
        .finish();
    assert_eq!(signed[107..127], hash);
    assert_eq!(signed[127], 0xBC);
    is(&bench.first(TC, &DEAL), TC, "03900002");
}

#[test]
fn a_cryptogram_can_be_signed_and_a_decline_never_is() {
    let mut bench = used();
    bench.begin(&DEAL);
    bench.ok(VERIFY);
    let (first, signature) = bench.first_signed(TC, &DEAL);
    is(&first, TC, "03940002");
    let signed = rsa().apply(&signature).expect("a number");
    assert_eq!(signed[..6], [0x6A, 0x05, 0x01, 0x20, 0x02, 0x00]);
    assert_eq!(signed[7], TC);
    let expected = expected_cryptogram(&DEAL, first.atc, &first.issuer, AIP);
    assert_eq!(signed[8..16], expected);
    let objects = [
        crate::support::bytes("9F270140 9F3602 0002 9F1013"),
        first.issuer.clone(),
    ]
    .concat();
    let hash = Sha1::new()
        .chain(&crate::support::bytes(&DEAL.pdol()))
        .chain(&crate::support::bytes(&DEAL.cdol1()))
        .chain(&objects)
        .finish();
    assert_eq!(signed[16..36], hash);
    bench.begin(&DEAL);
    let declined = bench.first(AAC | CDA, &DEAL);
    is(&declined, AAC, "03800000");
    // Where the profile offers none of it.
    let plain = Recipe::new().grouped(0x9104, "8202 7C00 940C 080102001001040118010200");
    let mut bench = Bench::new(&plain);
    bench.begin(&DEAL);
    bench.refused(&format!("80AE5000 34 {} 00", DEAL.cdol1()), 0x6985);
}

#[test]
fn a_long_key_signs_in_an_answer_of_more_than_256_bytes() {
    // Of 1984 bits, the most that the scheme has: p, q, d mod p−1, d mod q−1, q⁻¹ mod p.
    let parts = [
        "F17DDD6D5CB55D1A802B4A8C606AF22ACD0443A5DE0D0B6CBA5702C5F5664264\
         EF3004D51EDF6EEF55D51FD9BF5583EA6088C914B7951BB4AB894C4925893911\
         B9F4B09B508BFF61B3FBA81715E95A4FA6B267C5FBE695BEAD67ED35D6E733EA\
         7D561BCD1D6CC75DE0D824EA165941506FAE837799C8022F1921CC55",
        "D6A56B550E3B90BD69FEAB738EACC71839DE63F8D80B6E026103E1A6B4E1BEF7\
         4AA3280607C4B4D25C93C9B0B065C3FADCD42D80C9894C5BC8875652E2004DEF\
         9FE05B677B0C0AAA96854AA90BB0C8663576A36CDBC68AE8C2D7BC2BB86F35CB\
         3C6386EF299EE127E64D76EAB0BFCC65E73FA235DFB0E24F919F8ACD",
        "9477F17E9F14D1DCCD17D089656DDADCFD96B59070684CB1D80E4EA22E316478\
         71A57013271BEF342DED0DDBED8A41C402FD95C2AAEB7D51227512F595A23BF7\
         EDFFC5E4772CDB21D269D1F9FF7AAC0F7449130BE1C6EE2180B2F85FB57407B3\
         0EC3B5EBF13F4383300D3304C820AFCB281E7EAD355A861D36B254D1",
        "201C26EE566EBABC5B3AE9D323A8DD2FD6985A4443AD920B710FEF95CCC1689B\
         FDE2627E64731CC9CB67A0687A3AFF126C2EA18FFE96378213818B7C62AAC0FD\
         F3E0D04BAEB0A277DA849E22A3C9127197D5E3A4C94BEE43DBC202385822EADD\
         386F7B241409DC8CE77AF72B2CBDC48A0A0A0EEE184491D66D667C91",
        "6396B5F1680266581A482182FD4CA1E3884D18EE425978F813FA11B253F84002\
         01AC1D80E6C40D1385608D9F8F48BEF292B393738744AC3F68798D0041D02C78\
         34B723ED6F7E29082B5314129DBBD3BAFA1B33F5C17D92625057F0AC2AC7A1D5\
         F06BD75AD49A5688F32B787A02471DFFDA9C792314B3C3BE41616F49",
    ];
    let [p, q, dp, dq, q_inverse] = parts.map(crate::support::bytes);
    let key = RsaPrivate::new(&p, &q, &dp, &dq, &q_inverse).expect("a key");
    let public = RsaPublic::new(&key.modulus(), &[1, 0, 1]).expect("a key");
    let mut recipe = Recipe::new();
    for (number, part) in (0x8201..).zip([parts[4], parts[3], parts[2], parts[1], parts[0]]) {
        recipe = recipe.grouped(number, &format!("{part}8000000000000000"));
    }
    let mut bench = Bench::cleaned(&recipe);
    bench.begin(&DEAL);
    let answer = bench.ok("00880000 000004 D64B8587 0000");
    assert_eq!(answer[..3], [0x80, 0x81, 0xF8]);
    let signed = public.apply(&answer[3..]).expect("a number");
    assert_eq!(signed[..4], [0x6A, 0x05, 0x01, 0x03]);
    let command = format!("80AE5000 000034 {} 0000", DEAL.cdol1());
    let answer = bench.ok(&command);
    assert!(answer.len() > 256);
    let signature = tlv::find(&answer, &[tag!(0x77), tag!(0x9F4B)]);
    let signature = signature.expect("data objects").expect("in the template");
    let signed = public.apply(signature).expect("a number");
    assert_eq!(signed[..5], [0x6A, 0x05, 0x01, 0x20, 0x02]);
    assert_eq!(signed[247], 0xBC);
}

#[test]
fn an_enciphered_pin_is_bound_to_its_challenge() {
    let mut bench = used();
    bench.begin(&DEAL);
    let enciphered = |pin: &str, challenge: &[u8]| {
        let mut plain = vec![0x7F];
        plain.extend(crate::support::bytes(pin));
        plain.extend(challenge);
        plain.resize(128, 0x5A);
        let data = hex::encode(rsa().apply(&plain).expect("a number"));
        format!("00200088 80 {data}")
    };
    let challenge = bench.ok("00840000 08");
    bench.ok(&enciphered("26123456FFFFFFFF", &challenge));
    // It is used up.
    bench.refused(&enciphered("26123456FFFFFFFF", &challenge), 0x6984);
    bench.ok("00840000 08");
    bench.refused(&enciphered("26123456FFFFFFFF", &challenge), 0x6984);
    // It is for the very next command.
    let challenge = bench.ok("00840000 08");
    bench.data("9F17");
    bench.refused(&enciphered("26123456FFFFFFFF", &challenge), 0x6984);
    // Whoever answers that.
    for (system, sw) in [("00700000 01", 0x9000), ("00840000 0301", 0x6700)] {
        let challenge = bench.ok("00840000 08");
        assert_eq!(bench.send(system).1, Sw(sw));
        bench.refused(&enciphered("26123456FFFFFFFF", &challenge), 0x6984);
    }
    assert_eq!(bench.data("9F17"), "03");
    let challenge = bench.ok("00840000 08");
    let wrong = enciphered("26000000FFFFFFFF", &challenge);
    assert_eq!(bench.send(&wrong).1, Sw(0x63C2));
    bench.refused("00200088 08 0000000000000000", 0x6700);
    bench.refused("00200000 08 26123456FFFFFFFF", 0x6A86);
    bench.refused("00200080 07 26123456FFFFFF", 0x6700);
}

#[test]
fn every_approval_is_logged_the_newest_first() {
    let mut bench = Bench::cleaned(&Recipe::new().with("9F58", "FF"));
    let logged = |deal: &Deal, atc: u16| {
        format!(
            "260701123456{:012}0000000000000156{}{}00{atc:04X}",
            deal.amount,
            deal.currency,
            "31".repeat(20)
        )
    };
    assert_eq!(
        hex::encode_upper(bench.ok("00B2015C 00")),
        logged(&Deal::of(0), 1)
    );
    bench.refused("00B2025C 00", 0x6A83);
    bench.offline(AAC, &DEAL);
    for amount in 1..=12 {
        let deal = Deal::of(amount.into());
        assert_eq!(bench.offline(TC, &deal).atc, amount + 2);
        let read = hex::encode_upper(bench.ok("00B2015C 00"));
        assert_eq!(read, logged(&deal, amount + 2));
    }
    assert_eq!(
        hex::encode_upper(bench.ok("00B20A5C 00")),
        logged(&Deal::of(3), 5)
    );
    bench.refused("00B20B5C 00", 0x6A83);
    bench.refused("00B2005C 00", 0x6A83);
}

#[test]
fn elements_are_read_by_their_tags_and_secrets_are_not() {
    let mut bench = used();
    bench.ok(SELECT);
    let mut read = 0;
    for tag in 0..=0xFFFF_u16 {
        let (data, sw) = bench.send(&format!("80CA{tag:04X} 00"));
        if sw == Sw::OK {
            read += 1;
            assert_eq!(data[..2], tag.to_be_bytes());
            assert_eq!(usize::from(data[2]), data.len() - 3);
        } else {
            assert_eq!(sw, Sw::REFERENCE_DATA_NOT_FOUND, "{tag:04X}");
        }
    }
    assert_eq!(read, 22);
    assert!(tlv::find(&bench.ok("80CA9F79 00"), &[tag!(0x9F79)]).is_ok());
    assert_eq!(bench.data("9F17"), "03");
    assert_eq!(bench.data("9F79"), "000000100000");
    bench.refused("80CA9F79 01 00", 0x6700);
}
