//! `cardlab pay` as a new user meets it: whole transactions, told and judged.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::Path;
use std::process::{Command, Output};

const WHEN: &str = "20260701123456";

fn cardlab(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cardlab"))
        .args(arguments)
        .output()
        .unwrap()
}

fn pay(arguments: &[&str]) -> Output {
    cardlab(&[&["pay", "--when", WHEN], arguments].concat())
}

/// What was printed, after a look at the exit code.
#[track_caller]
fn told(output: &Output, code: i32) -> String {
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{printed}{errors}");
    assert!(!errors.contains("monitor"), "{errors}");
    printed
}

#[track_caller]
fn says(printed: &str, parts: &[&str]) {
    for part in parts {
        assert!(printed.contains(part), "{part}: {printed}");
    }
}

#[test]
fn a_card_of_a_bureau_s_groupings_pays_with_the_keys_that_they_have() {
    let bureau = ["--profile", "bureau-2.0", "--amount", "12.34"];
    let printed = told(&pay(&bureau), 0);
    says(
        &printed,
        &["联机批准", "account 8888800000000001/01: 00", "CVR A03002"],
    );
    assert!(
        !printed.contains("activates"),
        "it pays as it is handed over"
    );
    let printed = told(&pay(&[&bureau[..], &["--ecash"]].concat()), 0);
    says(
        &printed,
        &["脱机批准", "CVR 900002", "electronic cash: 1087.66"],
    );
    // Its limits are 0: nothing goes off line.
    let printed = told(&pay(&[&bureau[..], &["--offline"]].concat()), 1);
    says(&printed, &["脱机拒绝"]);
}

#[test]
fn a_new_card_pays_off_line() {
    for profile in ["henan-2.0", "henan-3.0"] {
        let output = pay(&["--amount", "12.34", "--offline", "--profile", profile]);
        let printed = told(&output, 0);
        says(
            &printed,
            &[
                "a new card: its bank activates the application first",
                "应用选择 application selection",
                "the card signed this cryptogram (CDA)",
                "持卡人验证 holder verification",
                "PIN正确",
                "脱机批准\n  approved off line",
                "TVR: 0008000000 a new card",
                "CVR 941002",
            ],
        );
        assert!(!printed.contains("主机 host:"), "nobody was asked");
    }
}

#[test]
fn the_bank_approves_declines_and_is_out_of_reach() {
    let printed = told(&pay(&["--amount", "12.34", "--online"]), 0);
    says(
        &printed,
        &[
            "the merchant insists on line",
            "the card knows its bank by the answer (ARPC)",
            "联机批准\n  approved on line",
            "second cryptogram: TC",
        ],
    );
    let printed = told(&pay(&["--amount", "12.34", "--online", "--decline"]), 1);
    says(
        &printed,
        &["it answers 51: the balance is less", "declined on line"],
    );
    let printed = told(&pay(&["--amount", "12.34", "--unable"]), 0);
    says(
        &printed,
        &["it cannot be reached", "approved off line", "CVR 651002"],
    );
    let printed = told(&pay(&["--amount", "1", "--online", "--unable"]), 1);
    says(
        &printed,
        &["a finding declines: the merchant insists on line"],
    );
    let printed = told(&pay(&["--amount", "1000", "--unable"]), 1);
    says(
        &printed,
        &["the floor limit is reached", "declined off line"],
    );
}

#[test]
fn what_the_bank_is_asked_can_be_asked_again() {
    let printed = told(&pay(&["--amount", "12.34", "--online"]), 0);
    let field = printed
        .lines()
        .find_map(|line| line.strip_prefix("报文域55 field 55: "))
        .unwrap();
    let authorise = |data: &str| cardlab(&["bank", "authorise", "--data", data]);
    told(&authorise(field), 0);
    // Of another amount the cryptogram is not.
    let other = field.replace("9F0206000000001234", "9F0206000000001235");
    assert_ne!(other, field);
    told(&authorise(&other), 1);
}

#[test]
fn electronic_cash_is_loaded_and_pays() {
    let printed = told(&pay(&["--amount", "12.34", "--ecash"]), 0);
    says(
        &printed,
        &[
            "100.00 of electronic cash is loaded first",
            "electronic cash: 87.66",
            "approved off line",
        ],
    );
    let printed = told(&pay(&["--amount", "50", "--load"]), 0);
    says(
        &printed,
        &["load electronic cash: done", "electronic cash: 50.00"],
    );
}

#[test]
fn electronic_cash_in_a_second_currency_pays_what_is_of_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.json");
    let text = r#"{ "id": "own", "extends": "henan-2.0", "bank": { "applications": [
        { "aid": "A000000333010101",
          "cash": { "second": { "code": "0344", "balance_fen": 2000 } } } ] } }"#;
    std::fs::write(&path, text).unwrap();
    let own = path.to_str().unwrap();
    let told_of = |currency| {
        let call = ["--amount", "5", "--ecash", "--currency", currency];
        told(&pay(&[&call[..], &["--profile", own]].concat()), 0)
    };
    says(
        &told_of("0344"),
        &["it holds 20.00", "electronic cash: 15.00"],
    );
    says(
        &told_of("0840"),
        &["the card does not pay this with electronic cash"],
    );
}

#[test]
fn an_application_that_cannot_pay_is_told_with_those_that_are_there() {
    for (wrong, says) in [
        (
            ["--application", "A0000003330101"],
            "there are A000000333010101",
        ),
        (["--pin", "12"], "expected 4 to 12 digits"),
        (["--currency", "HKD"], "expected 4 digits"),
    ] {
        let output = pay(&[&["--amount", "1"][..], &wrong].concat());
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(errors.contains(says), "{errors}");
    }
}

#[test]
fn a_card_with_the_sm_set_pays_by_sm2_and_sm4_where_the_terminal_wants_it() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("own.json");
    let text = r#"{ "id": "own", "extends": "henan-2.0", "bank": { "applications": [
        { "aid": "A000000333010101", "sm_algorithms": true } ] } }"#;
    std::fs::write(&path, text).unwrap();
    let own = path.to_str().unwrap();
    let at = |more: &[&str]| pay(&[&["--amount", "12.34", "--profile", own], more].concat());
    let printed = told(&at(&["--sm", "--offline"]), 0);
    says(
        &printed,
        &[
            "the card has the SM set: its certificates are by SM2",
            "卡片采用国密算法集，证书为SM2",
            "the card signed this cryptogram (CDA by SM2)",
            "复合动态数据认证通过（CDA，SM2）",
            "the card answers TC, an approval, by SM4",
            "approved off line",
        ],
    );
    let printed = told(&at(&["--sm", "--online"]), 0);
    says(&printed, &["the card knows its bank by the answer (ARPC)"]);
    let field = printed
        .lines()
        .find_map(|line| line.strip_prefix("报文域55 field 55: "))
        .unwrap();
    let authorise = ["bank", "authorise", "--profile", own, "--data", field];
    let answer = told(&cardlab(&authorise), 0);
    says(&answer, &["algorithm 算法 SM4 (experimental 试验性)"]);
    let printed = told(&at(&["--sm", "--ecash"]), 0);
    says(&printed, &["electronic cash: 87.66", "CDA by SM2"]);
    // Without the wish, and of a profile without the set: by the other.
    let printed = told(&at(&["--online"]), 0);
    assert!(!printed.contains("SM4"), "{printed}");
    let printed = told(&pay(&["--amount", "12.34", "--sm"]), 0);
    says(
        &printed,
        &[
            "the profile gives this application no SM set: \"sm_algorithms\": true does",
            "it goes by RSA",
        ],
    );
    let shown = told(&cardlab(&["show", "--profile", own]), 0);
    says(&shown, &["另有国密算法集（试验性）"]);
    let shown = told(&cardlab(&["show", "--profile", "henan-2.0"]), 0);
    assert!(!shown.contains("国密算法集"), "{shown}");
}

#[test]
fn a_card_that_lasts_is_activated_once_and_remembers() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("card.img");
    let at = |path: &Path| path.to_str().unwrap().to_owned();
    let image = at(&image);
    told(&cardlab(&["issue", "--image", &image]), 0);
    let printed = told(&pay(&["--amount", "1", "--image", &image]), 1);
    says(
        &printed,
        &[
            "金融应用已锁定或尚未激活",
            "its bank has to activate or unblock it: cardlab pay --activate",
        ],
    );
    let printed = told(&pay(&["--activate", "--image", &image]), 0);
    says(&printed, &["the application is active"]);
    let paid = |more: &[&str]| {
        let arguments = [&["--amount", "1", "--image", &image], more].concat();
        pay(&arguments)
    };
    says(&told(&paid(&[]), 0), &["approved on line", "a new card"]);
    let printed = told(&paid(&[]), 0);
    says(&printed, &["approved off line", "TVR: 0000000000"]);
    // Wrong PINs, and then the bank would have to be asked for new tries.
    let printed = told(&paid(&["--pin", "000000", "--pin", "111111"]), 1);
    says(&printed, &["tries left: 2", "tries left: 1"]);
    let printed = told(&paid(&["--pin", "000000"]), 1);
    says(&printed, &["no try is left"]);
    says(
        &told(&paid(&["--no-pin"]), 1),
        &["no try at the PIN is left"],
    );
}

#[test]
fn what_cannot_be_done_is_said_before_anything_is_paid() {
    let output = pay(&["--amount", "1", "--profile", "national-2.0"]);
    assert_eq!(output.status.code(), Some(2));
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(errors.contains("has no bank side 无金融应用"), "{errors}");
    for wrong in [
        &["--amount", "1,5"][..],
        &["--online", "--offline", "--amount", "1"],
        &["--amount", "1", "--application", "A000000333010109"],
        &[],
    ] {
        assert_eq!(pay(wrong).status.code(), Some(2), "{wrong:?}");
    }
}

#[test]
fn a_card_in_a_reader_pays_over_t0() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("card.img");
    let image = image.to_str().unwrap();
    told(&cardlab(&["issue", "--image", image]), 0);
    told(&pay(&["--activate", "--image", image]), 0);
    let at_reader = |more: &[&str]| {
        let own = env!("CARGO_BIN_EXE_cardlab");
        let run = ["run", "--image", image, "--", own, "pay", "--when", WHEN];
        cardlab(&[&run[..], &["--reader", "0", "--amount", "5"], more].concat())
    };
    let printed = told(&at_reader(&["--load"]), 0);
    says(&printed, &["electronic cash: 5.00", "approved on line"]);
    let printed = told(&at_reader(&["--ecash", "--offline"]), 0);
    says(&printed, &["electronic cash: 0.00", "approved off line"]);
}
