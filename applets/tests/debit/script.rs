//! Issuer scripts, blocking, activation, and e-cash.

use crate::support::{
    Bench, Deal, NEW_CARD_TAKES_NO_CASH, PENDING_SENDS_CASH_ONLINE, Recipe, SECOND_BALANCE_IS_DATA,
    SELECT, SELECT_ISD, STARTS_INACTIVE, VERIFY, VERIFY_WRONG, bytes,
};
use cardlab::apdu::Sw;
use cardlab::icc::Icc;

const AAC: u8 = 0x00;
const TC: u8 = 0x40;
const ARQC: u8 = 0x80;

const DEAL: Deal = Deal::of(1500);
const CASH: Deal = Deal::of(1500).in_cash();

/// Processing options of the account, and of e-cash.
const ACCOUNT: &str = "7D00080102001001040118010200";
const E_CASH: &str = "7D0008010200100507011801020020010100";

fn used() -> Bench {
    Bench::cleaned(&Recipe::new())
}

/// A transaction on line that was answered and approved: scripts may come.
fn open(bench: &mut Bench) {
    bench.begin(&DEAL);
    bench.ok(VERIFY);
    bench.first(ARQC, &DEAL);
    assert_eq!(bench.authenticate("3030"), Sw::OK);
    bench.second(TC, "3030", &DEAL);
}

#[track_caller]
fn next_cvr(bench: &mut Bench) -> String {
    bench.begin(&DEAL);
    bench.ok(VERIFY);
    bench.first(ARQC, &DEAL).cvr()
}

#[test]
fn scripts_are_counted_after_the_second_cryptogram_and_told_in_the_next_transaction() {
    let mut bench = used();
    open(&mut bench);
    assert_eq!(bench.script("04DA9F58", "0A"), Sw::OK);
    let mut other = bench.fork();
    assert_eq!(next_cvr(&mut other), "03A40010");
    assert_eq!(bench.script("04DA9F59", "0E"), Sw::OK);
    assert_eq!(bench.data("9F59"), "0E");
    assert_eq!(next_cvr(&mut bench), "03A40020");
    // Before the second cryptogram they do not count.
    assert_eq!(bench.script("04DA9F59", "0F"), Sw::OK);
    assert_eq!(bench.authenticate("3030"), Sw::OK);
    assert_eq!(bench.second(TC, "3030", &DEAL).cvr(), "03640020");
    assert_eq!(next_cvr(&mut bench), "03A40000");
    // Fifteen is the most that can be told.
    bench.authenticate("3030");
    bench.second(TC, "3030", &DEAL);
    for _ in 0..20 {
        assert_eq!(bench.script("04DA9F58", "0A"), Sw::OK);
    }
    assert_eq!(next_cvr(&mut bench), "03A400F0");
}

#[test]
fn a_wrong_mac_counts_is_marked_and_closes_the_window() {
    let mut bench = used();
    open(&mut bench);
    let mut wrong = bench.sealed("04DA9F58", &bytes("07"));
    *wrong.last_mut().expect("a MAC") ^= 1;
    assert_eq!(bench.send_bytes(&wrong).1, Sw::SM_OBJECT_WRONG);
    assert_eq!(bench.script("04DA9F58", "07"), Sw::CONDITIONS_NOT_MET);
    assert_eq!(bench.data("9F58"), "0A");
    assert_eq!(next_cvr(&mut bench), "03A40018");
    // It stands until the issuer answered.
    bench.reset();
    assert_eq!(next_cvr(&mut bench), "03A48018");
    bench.authenticate("3030");
    bench.second(AAC, "3035", &DEAL);
    assert_eq!(next_cvr(&mut bench), "03A40000");
}

#[test]
fn any_bit_of_a_script_that_is_changed_makes_its_mac_wrong() {
    let mut bench = used();
    open(&mut bench);
    let right = bench.sealed("04DA9F79", &bytes("000000105000"));
    for bit in 0..right.len() * 8 {
        // CLA, INS and Lc decide which command it is and whether it has a MAC at all.
        if bit < 16 || (32..40).contains(&bit) {
            continue;
        }
        let mut spoiled = right.clone();
        spoiled[bit / 8] ^= 0x80 >> (bit % 8);
        let mut other = bench.fork();
        let sw = other.send_bytes(&spoiled).1;
        let other_length = bit < 32 && sw == Sw::WRONG_LENGTH;
        assert!(sw == Sw::SM_OBJECT_WRONG || other_length, "bit {bit}: {sw}");
        assert_eq!(other.data("9F79"), "000000100000");
    }
    assert_eq!(bench.send_bytes(&right).1, Sw::OK);
}

#[test]
fn a_script_without_its_mac_is_marked_and_not_counted() {
    let mut bench = used();
    open(&mut bench);
    bench.refused("04DA9F58 01 05", 0x6700);
    let mut other = bench.fork();
    other.begin(&DEAL);
    other.ok(VERIFY);
    assert_eq!(other.first(TC, &DEAL).cvr(), "03940008");
    for command in [
        "841E0000",
        "84180000 03 000000",
        "84160000 05 0000000000",
        "84240000",
        "84240002 08 0000000000000000",
        "04DA9F79 06 000000105000",
        "04DC010C 04 70000000",
    ] {
        bench.refused(command, 0x6700);
    }
    // Later ones are still taken.
    assert_eq!(bench.script("04DA9F58", "07"), Sw::OK);
    assert_eq!(next_cvr(&mut bench), "03A40018");
}

#[test]
fn scripts_have_their_time() {
    let script = |bench: &mut Bench| bench.script("04DA9F58", "07");
    let mut bench = used();
    open(&mut bench);
    // Before, and after anything but a question on line.
    bench.begin(&DEAL);
    assert_eq!(script(&mut bench), Sw::CONDITIONS_NOT_MET);
    bench.first(TC, &DEAL);
    assert_eq!(script(&mut bench), Sw::CONDITIONS_NOT_MET);
    bench.refused("04DA9F58 01 05", 0x6985);
    bench.offline(AAC, &DEAL);
    assert_eq!(script(&mut bench), Sw::CONDITIONS_NOT_MET);
    assert_eq!(bench.script("84180000", ""), Sw::CONDITIONS_NOT_MET);
    // Nothing was marked by them.
    assert_eq!(next_cvr(&mut bench), "03A40000");
    assert_eq!(script(&mut bench), Sw::OK);
    assert_eq!(bench.fail_to_authenticate(), Sw(0x6300));
    assert_eq!(script(&mut bench), Sw::CONDITIONS_NOT_MET);
    bench.second(AAC, "3030", &DEAL);
    assert_eq!(script(&mut bench), Sw::CONDITIONS_NOT_MET);
    // Where the issuer did not authenticate at all, they are.
    bench.begin(&DEAL);
    bench.first(ARQC, &DEAL);
    bench.second(TC, "3030", &DEAL);
    assert_eq!(script(&mut bench), Sw::OK);
    // Not after another SELECT.
    bench.ok(SELECT);
    assert_eq!(script(&mut bench), Sw::CONDITIONS_NOT_MET);
}

#[test]
fn a_missing_authentication_and_a_script_are_both_told() {
    let mut bench = Bench::cleaned(&Recipe::new().with("9F52", "2000"));
    bench.begin(&DEAL);
    bench.ok(VERIFY);
    bench.first(ARQC, &DEAL);
    bench.second(TC, "3030", &DEAL);
    let mut wrong = bench.sealed("04DA9F58", &bytes("07"));
    wrong[6] ^= 1;
    assert_eq!(bench.send_bytes(&wrong).1, Sw::SM_OBJECT_WRONG);
    assert_eq!(next_cvr(&mut bench), "03A48818");
}

#[test]
fn a_blocked_application_declines_until_it_is_unblocked() {
    let mut bench = used();
    open(&mut bench);
    assert_eq!(bench.script("841E0000", ""), Sw::OK);
    let (fci, sw) = bench.send(SELECT);
    assert_eq!((fci.len(), sw), (78, Sw::SELECTED_FILE_INVALIDATED));
    bench.reset();
    for p1 in [AAC, TC, ARQC] {
        bench.begin(&DEAL);
        bench.refused("00880000 04 01020304 00", 0x6985);
        bench.ok(VERIFY);
        bench.data("9F79");
        bench.ok("00B2010C 00");
        let first = bench.first(p1, &DEAL);
        assert_eq!((first.cid, &*first.cvr()), (0x00, "03840010"));
        assert_eq!(
            bench.script("84240002", &bench.enciphered_pin("1234", None)),
            Sw(0x6985)
        );
        assert_eq!(bench.script("841E0000", ""), Sw::CONDITIONS_NOT_MET);
    }
    assert_eq!(bench.script("84180000", ""), Sw::OK);
    bench.ok(SELECT);
    assert_eq!(next_cvr(&mut bench), "03A40010");
}

#[test]
fn a_block_between_the_cryptograms_declines_the_second() {
    let mut bench = used();
    bench.begin(&DEAL);
    bench.first(ARQC, &DEAL);
    assert_eq!(bench.script("841E0000", ""), Sw::OK);
    assert_eq!(bench.authenticate("3030"), Sw::OK);
    assert_eq!(bench.second(TC, "3030", &DEAL).cid, 0x00);
    assert_eq!(bench.script("84180000", ""), Sw::OK);
    bench.ok(SELECT);
}

#[test]
fn an_inactive_application_does_nothing_until_the_bank_activates_it() {
    let mut bench = Bench::new(&Recipe::new().switched(STARTS_INACTIVE));
    assert_eq!(bench.send(SELECT).1, Sw::SELECTED_FILE_INVALIDATED);
    bench.refused(VERIFY, 0x6985);
    for deal in [DEAL, CASH] {
        for p1 in [AAC, TC, ARQC] {
            bench.begin(&deal);
            assert_eq!(bench.first(p1, &deal).cid, 0x00);
        }
    }
    assert_eq!(bench.data("9F79"), "000000100000");
    let mut wrong = bench.sealed("84180000", &[]);
    wrong[5] ^= 1;
    assert_eq!(bench.send_bytes(&wrong).1, Sw::SM_OBJECT_WRONG);
    bench.begin(&DEAL);
    bench.first(AAC, &DEAL);
    assert_eq!(bench.script("84180000", ""), Sw::OK);
    bench.reset();
    bench.ok(SELECT);
    bench.ok(VERIFY);
    bench.options(&DEAL);
    assert_eq!(bench.first(TC, &DEAL).cid, TC);
}

#[test]
fn a_card_block_reaches_as_far_as_the_applets_privileges() {
    for (privileges, whole) in [(0x00, false), (0x10, true), (0x08, true)] {
        let recipe = Recipe {
            privileges,
            ..Recipe::new()
        };
        let mut bench = Bench::cleaned(&recipe);
        open(&mut bench);
        assert_eq!(bench.script("84160000", ""), Sw::OK);
        for _ in 0..2 {
            bench.refused(SELECT, 0x6A81);
            let isd = if whole { 0x6A81 } else { 0x9000 };
            assert_eq!(bench.send(SELECT_ISD).1, Sw(isd), "{privileges:02X}");
            bench.reset();
        }
    }
    // The rest of the very session, too.
    let mut bench = used();
    open(&mut bench);
    assert_eq!(bench.script("84160000", ""), Sw::OK);
    for command in ["80CA9F79 00", "00B2010C 00", VERIFY, "84180000 04 00000000"] {
        bench.refused(command, 0x6A81);
    }
}

#[test]
fn the_bank_unblocks_and_changes_the_pin() {
    let exhausted = || {
        let mut bench = used();
        bench.begin(&DEAL);
        for _ in 0..3 {
            bench.send(VERIFY_WRONG);
        }
        bench.first(AAC, &DEAL);
        bench
    };
    let mut bench = exhausted();
    assert_eq!(bench.script("84240000", ""), Sw::OK);
    assert_eq!(bench.data("9F17"), "03");
    bench.ok(VERIFY);
    bench.begin(&DEAL);
    bench.first(ARQC, &DEAL);
    let block = bench.enciphered_pin("654321", None);
    assert_eq!(bench.script("84240002", &block), Sw::OK);
    assert_eq!(bench.send(VERIFY).1, Sw(0x63C2));
    bench.ok(VERIFY_WRONG);
    // Bound to the present one.
    let block = bench.enciphered_pin("123456", Some("654321"));
    assert_eq!(bench.script("84240001", &block), Sw::OK);
    bench.ok(VERIFY);
    let block = bench.enciphered_pin("123456", Some("111111"));
    assert_eq!(bench.script("84240001", &block), Sw::WRONG_DATA);
    bench.ok(VERIFY);
    // No unblocking where nothing is blocked.
    bench.offline(AAC, &DEAL);
    assert_eq!(bench.script("84240000", ""), Sw::CONDITIONS_NOT_MET);
}

#[test]
fn elements_can_be_put_that_are_the_issuers_to_change() {
    let mut bench = used();
    open(&mut bench);
    let mut taken = Vec::new();
    for tag in 0..=0xFFFF_u16 {
        if !matches!(tag >> 8, 0x9F | 0xDF | 0x00) {
            continue;
        }
        for value in ["00", "00000000", "000000000000"] {
            let mut other = bench.fork();
            let header = format!("04DA{tag:04X}");
            match other.script(&header, value) {
                Sw::OK => taken.push(format!("{tag:04X}")),
                Sw::WRONG_DATA | Sw::WRONG_LENGTH | Sw::REFERENCE_DATA_NOT_FOUND => {}
                sw => panic!("{tag:04X}: {sw}"),
            }
        }
    }
    assert_eq!(
        taken.join(" "),
        "9F53 9F54 9F58 9F59 9F5C 9F6B 9F6D 9F72 9F77 9F78 9F79"
    );
}

#[test]
fn a_record_can_be_updated_where_it_has_room() {
    let mut bench = used();
    open(&mut bench);
    let old = bench.ok("00B20114 00");
    let mut new = old.clone();
    new[4..7].copy_from_slice(&[0x31, 0x12, 0x31]);
    let text = hex::encode(&new);
    assert_eq!(bench.script("04DC0114", &text), Sw::OK);
    assert_eq!(bench.ok("00B20114 00"), new);
    for (header, record, sw) in [
        ("04DC0114", format!("{text}00"), Sw::RECORD_NOT_FOUND),
        ("04DC0914", text.clone(), Sw::RECORD_NOT_FOUND),
        ("04DC0164", text.clone(), Sw::RECORD_NOT_FOUND),
        ("04DC0114", "71".to_owned() + &text[2..], Sw::WRONG_DATA),
        ("04DC0114", text[..8].to_owned(), Sw::WRONG_DATA),
    ] {
        assert_eq!(bench.script(header, &record), sw, "{header}");
    }
    assert_eq!(bench.ok("00B20114 00"), new);
    // The card works with the lists that its records have.
    let lists = hex::encode_upper(bench.ok("00B2021C 00"));
    let shorter = lists.replace("9F2103", "9F2102");
    assert_eq!(bench.script("04DC021C", &shorter), Sw::OK);
    bench.begin(&DEAL);
    bench.refused(&format!("80AE4000 34 {} 00", DEAL.cdol1()), 0x6700);
    bench.ok(&format!("80AE4000 33 {} 00", &DEAL.cdol1()[2..]));
}

#[test]
fn e_cash_has_its_own_options_under_its_own_conditions() {
    let mut bench = used();
    for (deal, options) in [
        (CASH, E_CASH),
        (DEAL, ACCOUNT),
        (
            Deal {
                currency: "0840",
                ..CASH
            },
            ACCOUNT,
        ),
        (Deal::of(70_000).in_cash(), E_CASH),
        (Deal::of(70_001).in_cash(), ACCOUNT),
    ] {
        assert_eq!(bench.begin(&deal), options);
    }
    // Two wrong PINs leave it, the third takes it away.
    for _ in 0..2 {
        bench.send(VERIFY_WRONG);
    }
    assert_eq!(bench.begin(&CASH), E_CASH);
    bench.send(VERIFY_WRONG);
    assert_eq!(bench.begin(&CASH), ACCOUNT);
    // A failed script or authentication does so until the issuer answered.
    let mut bench = used();
    open(&mut bench);
    bench.refused("04DA9F58 01 05", 0x6700);
    assert_eq!(bench.begin(&CASH), ACCOUNT);
    bench.clean();
    assert_eq!(bench.begin(&CASH), E_CASH);
    bench.first(ARQC, &CASH);
    bench.fail_to_authenticate();
    assert_eq!(bench.begin(&CASH), ACCOUNT);
    bench.clean();
    assert_eq!(bench.begin(&CASH), E_CASH);
}

#[test]
fn e_cash_is_spent_off_line_and_moves_nothing_else() {
    let mut bench = used();
    bench.begin(&CASH);
    bench.ok(VERIFY);
    let first = bench.first(TC, &CASH);
    assert_eq!((first.cid, &*first.cvr()), (TC, "03940000"));
    assert_eq!(
        hex::encode_upper(&first.issuer[..15]),
        "07010103940000010A010000098500"
    );
    assert_eq!(bench.data("9F79"), "000000098500");
    assert_eq!(bench.data("9F5D"), "000000200000");
    assert_eq!(bench.data("9F13"), "0001");
    for _ in 0..12 {
        assert_eq!(bench.offline(TC, &CASH).cvr(), "03900000");
    }
    assert_eq!(bench.data("9F79"), "000000080500");
    bench.ok("00B20A5C 00");
    // Declined or on line, nothing is spent.
    assert_eq!(bench.offline(AAC, &CASH).cvr(), "03800000");
    assert_eq!(bench.offline(ARQC, &CASH).cvr(), "03A00000");
    assert_eq!(bench.data("9F79"), "000000080500");
    // What was told first must hold.
    bench.begin(&CASH);
    assert_eq!(bench.first(TC, &Deal::of(1501).in_cash()).cid, AAC);
    bench.begin(&CASH);
    let abroad = Deal {
        country: "0840",
        results: "8000000000",
        ..CASH
    };
    assert_eq!(bench.first(TC, &abroad).cid, TC);
}

#[test]
fn switches_decide_what_the_sources_leave_open_of_e_cash() {
    let recipe = Recipe::new();
    let mut bench = Bench::new(&recipe);
    assert_eq!(bench.begin(&CASH), E_CASH);
    let mut bench = Bench::new(&recipe.clone().switched(NEW_CARD_TAKES_NO_CASH));
    assert_eq!(bench.begin(&CASH), ACCOUNT);
    bench.clean();
    assert_eq!(bench.begin(&CASH), E_CASH);
    let mut bench = used();
    bench.offline(ARQC, &DEAL);
    assert_eq!(bench.offline(TC, &CASH).cvr(), "03900000");
    let mut bench = Bench::cleaned(&recipe.switched(PENDING_SENDS_CASH_ONLINE));
    bench.offline(ARQC, &DEAL);
    bench.begin(&CASH);
    bench.ok(VERIFY);
    let first = bench.first(TC, &CASH);
    assert_eq!((first.cid, &*first.cvr()), (ARQC, "03A48000"));
}

#[test]
fn e_cash_is_loaded_by_script_up_to_its_limit_and_the_load_is_logged() {
    let mut bench = used();
    open(&mut bench);
    assert_eq!(bench.script("04DA9F79", "000000200001"), Sw::WRONG_DATA);
    assert_eq!(bench.script("04DA9F79", "00000000000A"), Sw::WRONG_DATA);
    assert_eq!(bench.data("9F79"), "000000100000");
    bench.refused("00B20164 00", 0x6A83);
    assert_eq!(bench.script("04DA9F79", "000000200000"), Sw::OK);
    assert_eq!(bench.data("9F79"), "000000200000");
    let load = format!(
        "9F79000000100000000000200000260701123456 0156{}0002",
        "31".repeat(20)
    );
    assert_eq!(bench.ok("00B20164 00"), bytes(&load));
    bench.ok("00B2015C 00");
}

#[test]
fn a_second_currency_has_a_balance_of_its_own() {
    let recipe = Recipe::new()
        .with("DF71", "0840")
        .with("DF72", "000000000001")
        .with("DF76", "000000000002")
        .with("DF77", "000000003000")
        .with("DF78", "000000002000")
        .with("DF79", "000000001600");
    let second = Deal {
        currency: "0840",
        ..CASH
    };
    let mut bench = Bench::cleaned(&recipe);
    assert_eq!(bench.begin(&second), E_CASH);
    assert_eq!(bench.data("9F79"), "000000001600");
    assert_eq!(bench.data("9F77"), "000000003000");
    assert_eq!(bench.data("9F78"), "000000002000");
    assert_eq!(bench.data("9F6D"), "000000000002");
    assert_eq!(bench.data("9F6B"), "000000000001");
    let first = bench.first(TC, &second);
    assert_eq!(first.cid, TC);
    assert_eq!(hex::encode_upper(&first.issuer[9..15]), "010000000100");
    assert_eq!(bench.begin(&second), ACCOUNT);
    assert_eq!(bench.data("9F79"), "000000100000");
    assert_eq!(bench.data("DF79"), "000000000100");
    open(&mut bench);
    assert_eq!(
        bench.script("04DADF79", "000000003001"),
        Sw::CONDITIONS_NOT_MET
    );
    assert_eq!(bench.script("04DADF79", "000000003000"), Sw::OK);
    let mut bench = Bench::cleaned(&recipe.switched(SECOND_BALANCE_IS_DATA));
    open(&mut bench);
    assert_eq!(bench.script("04DADF79", "000000003001"), Sw::WRONG_DATA);
}

#[test]
fn a_second_channel_cannot_have_the_application_too() {
    let mut bench = used();
    bench.begin(&CASH);
    assert_eq!(bench.ok("00700000 01"), [1]);
    bench.channel = 1;
    bench.refused(SELECT, 0x6985);
    bench.channel = 0;
    assert_eq!(bench.first(TC, &CASH).cid, TC);
    bench.ok(SELECT_ISD);
    bench.channel = 1;
    bench.begin(&CASH);
    assert_eq!(bench.first(TC, &CASH).cid, TC);
    bench.channel = 0;
    bench.refused(SELECT, 0x6985);
    bench.ok("00708001");
    bench.begin(&CASH);
    bench.card.reset().expect("the card starts");
    bench.begin(&CASH);
}
