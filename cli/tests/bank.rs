//! The bank's host on the command line answers a card that another call talks to.

use std::path::Path;
use std::process::{Command, Output};

const ACCOUNT: &str = "6228004116000202649";
/// What the terminal tells with the first cryptogram, and as data objects.
const CDOL1: &str = "0000000012340000000000000156000004000001562607010012345678123456\
                     3131313131313131313131313131313131313131";
const OBJECTS: &str = "9F0206000000001234 9F0306000000000000 9F1A020156 95050000040000 \
                       5F2A020156 9A03260701 9C0100 9F370412345678 82027D00";

fn cardlab(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_cardlab"))
        .args(arguments)
        .output()
        .expect("cardlab runs")
}

fn printed(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// A profile whose bank application pays, in a file.
fn profile(folder: &Path, members: &str) -> String {
    let path = folder.join("own.json");
    let text = format!(
        "{{ \"id\": \"own\", \"extends\": \"henan-2.0\", \"bank\": {{ \"applications\": [ \
         {{ \"aid\": \"A000000333010101\" {members} }} ] }} }}"
    );
    std::fs::write(&path, text).expect("a file");
    path.to_str().expect("a path").to_owned()
}

/// The card's answers to a transaction as far as the first cryptogram, and to more.
fn transaction(profile: &str, more: &[String]) -> Vec<String> {
    let first = format!("80AE800034{CDOL1}00");
    let mut arguments = vec!["apdu", "--plain", "--profile", profile];
    arguments.extend([
        "00A4040008A00000033301010100",
        "80A800000B830900000000001234015600",
        &first,
    ]);
    arguments.extend(more.iter().map(String::as_str));
    let output = cardlab(&arguments);
    printed(&output).lines().map(str::to_owned).collect()
}

/// The objects of the first cryptogram's answer.
fn asked(answer: &str) -> String {
    let (cid, rest) = answer[4..].split_at(2);
    let (atc, rest) = rest.split_at(4);
    let (cryptogram, rest) = rest.split_at(16);
    let issuer = rest.strip_suffix("9000").expect("an answer");
    let len = issuer.len() / 2;
    format!("9F2701{cid} 9F3602{atc} 9F2608{cryptogram} 9F10{len:02X}{issuer}")
}

fn authorise(profile: &str, data: &str, more: &[&str]) -> Output {
    let card = format!("5A0A{ACCOUNT}F 5F340101");
    let mut arguments = vec!["bank", "authorise", "--profile", profile];
    arguments.extend(["--data", &card, "--data", OBJECTS, "--data", data]);
    arguments.extend(more);
    cardlab(&arguments)
}

#[test]
fn the_card_takes_what_the_bank_answers() {
    let folder = tempfile::tempdir().expect("a folder");
    let profile = profile(folder.path(), ", \"active\": true");
    let answers = transaction(&profile, &[]);
    let output = authorise(
        &profile,
        &asked(&answers[2]),
        &[
            "--script",
            "load=50.00",
            "--script",
            "put=9F58=05",
            "--script",
            "change-pin=1234",
        ],
    );
    let told = printed(&output);
    assert!(output.status.success(), "{told}");
    for part in [
        "right 正确",
        "decision 授权 12.34: 00 approved 批准",
        "balance 账户余额 987.66",
        "CVR 卡片验证结果 03A0",
        "a new card 新卡",
        "e-cash balance 电子现金余额 0.00",
        "by the counter 0001 and its complement FFFE",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let value = |start: &str| {
        let mut lines = told.lines().map(str::trim);
        let line = lines.find_map(|line| line.strip_prefix(start));
        line.expect(start).to_owned()
    };
    let scripts: Vec<String> = told
        .lines()
        .filter_map(|line| line.strip_prefix("script 脚本 "))
        .map(str::to_owned)
        .collect();
    assert_eq!(scripts.len(), 3, "{told}");
    assert!(value("72 ").contains(&scripts[0]));
    let mut more = vec![value("EXTERNAL AUTHENTICATE ")];
    let second = &CDOL1[..CDOL1.len() - 40];
    more.push(format!("80AE4000223030{second}00"));
    more.extend(scripts);
    more.push("80CA9F7900".to_owned());
    more.push("80CA9F5800".to_owned());
    more.push("0020008008241234FFFFFFFFFF".to_owned());
    let answers = transaction(&profile, &more);
    for (answer, command) in answers.iter().skip(3).zip(&more) {
        assert!(answer.ends_with("9000"), "{command}: {answer}");
    }
    let [.., cash, limit, _] = &answers[..] else {
        panic!("{answers:?}");
    };
    assert_eq!(cash, "9F79060000000050009000");
    assert_eq!(limit, "9F5801059000");
}

#[test]
fn the_bank_activates_a_card_that_declines_until_then() {
    let answers = transaction("henan-2.0", &[]);
    let output = authorise("henan-2.0", &asked(&answers[2]), &["--script", "unblock"]);
    let told = printed(&output);
    assert_eq!(output.status.code(), Some(1));
    assert!(
        told.contains("the card did not ask on line 卡片未请求联机"),
        "{told}"
    );
    assert!(told.contains("ARPC none"), "{told}");
    let script = told
        .lines()
        .find_map(|line| line.strip_prefix("script 脚本 "));
    let more = vec![
        script.expect("a script").to_owned(),
        "00A4040008A00000033301010100".to_owned(),
    ];
    let answers = transaction("henan-2.0", &more);
    assert_eq!(answers[3], "9000");
    assert!(answers[4].ends_with("9000"), "{}", answers[4]);
}

#[test]
fn reasons_to_decline_are_told_in_words_and_a_wrong_cryptogram_gets_no_answer() {
    let folder = tempfile::tempdir().expect("a folder");
    let profile = profile(folder.path(), ", \"active\": true");
    let data = asked(&transaction(&profile, &[])[2]);
    for (more, says) in [
        (
            &["--state", "lost"][..],
            "41 the card was reported lost 卡已挂失",
        ),
        (&["--balance", "12.33"], "51 the balance is less 余额不足"),
        (&["--pin", "123456"], "55 the PIN is wrong 密码错误"),
        (
            &["--seed", "2"],
            "05 the cryptogram is not that of the card 应用密文错误",
        ),
    ] {
        let output = authorise(&profile, &data, more);
        let told = printed(&output);
        assert_eq!(output.status.code(), Some(1), "{told}");
        assert!(told.contains(says), "{says}: {told}");
        assert_eq!(told.contains("910A"), more[0] != "--seed", "{told}");
    }
    let output = authorise(&profile, &data, &["--seed", "2", "--script", "block"]);
    let told = printed(&output);
    assert!(
        told.contains("not our card 非本行卡") && !told.contains("841E"),
        "{told}"
    );
}

#[test]
fn the_published_example_comes_out_with_its_own_master_keys() {
    let masters = [
        "F0C34A8124CEE0A91A0B034AA97D6EAC",
        "12B1AC4AF070CC35612BFE2D30AB600D",
        "D30F45EABC12AC3EF56B0C0D7F8654DE",
    ];
    let data = "9F0206000000000001 9F0306000000000000 9F1A020156 95050080046000 5F2A020156 \
                9A03140701 9C0100 9F37041E78EEBC 82027D00 9F36020240 9F270180 \
                9F26085D016C91005E7CC2 9F101307010103A04002010A010000001000D1F61152";
    let mut arguments = vec!["bank", "authorise", "--account", "6228000100001"];
    arguments.extend([
        "--sequence",
        "1",
        "--data",
        data,
        "--balance",
        "1",
        "--masters",
    ]);
    arguments.extend(masters);
    let told = printed(&cardlab(&arguments));
    for part in [
        "5D016C91005E7CC2: right",
        "e-cash balance 电子现金余额 10.00, MAC D1F61152",
        "no try at the PIN is left",
        "75 ",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!masters.iter().any(|key| told.contains(key)), "{told}");
}

/// A transaction of a card whose key for cryptograms is published, and no master.
#[test]
fn a_card_is_answered_by_its_own_key() {
    let data = "9F0206000000001234 9F0306000000000034 9F1A020156 9505D86004A800 5F2A020156 \
                9A03120516 9C0101 9F370401010101 82027C00 9F3602000E 9F270180 \
                9F2608F294D7022FA9B058 9F101307020103A4B904010A0100000000001BFC423C";
    let key = "0D2E3CB0BC1F9E03AED58F663A2F9679";
    let arguments = [
        "bank",
        "authorise",
        "--account",
        "6228000100001",
        "--sequence",
        "1",
    ];
    let with = |more: &[&str]| {
        let data = ["--data", data, "--balance", "100"];
        cardlab(&[&arguments[..], &data, more].concat())
    };
    let output = with(&["--card-keys", key]);
    let told = printed(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    for part in [
        "F294D7022FA9B058: right",
        "keys 密钥: the card's by --card-keys; of the session by the counter 000E",
        "MAC 1BFC423C not checked 未校验",
        "00 approved 批准",
        "ARPC 3846EEB4C8D34271",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    assert!(!told.contains(key), "{told}");
    for (more, says) in [
        (
            &["--card-keys", key, "--script", "block"][..],
            "a script takes the card's keys for MACs",
        ),
        (&["--card-keys", key, key], "2 keys, expected three"),
        (&["--card-keys", "0D2E"], "key 1: expected 16 bytes"),
        (&["--card-keys", "0D2E3x"], "key 1: character 6"),
        (
            &["--card-keys", key, "--masters", key, key, key],
            "cannot be used with",
        ),
    ] {
        let output = with(more);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{more:?}: {errors}");
        assert!(errors.contains(says), "{says}: {errors}");
    }
}

/// Cryptogram and answer under masters of SM4, computed by OpenSSL's block cipher.
const SM4_CRYPTOGRAM: &str = "63D6753DC83F65E1";
const SM4_ANSWER: &str = "888775A1CA727E5C";

#[test]
fn a_cryptogram_by_sm4_is_answered_by_sm4() {
    let masters = "0123456789ABCDEFFEDCBA9876543210";
    let arguments = [
        "bank",
        "authorise",
        "--account",
        "8888800000000001",
        "--sequence",
        "1",
    ];
    let data = "9F0206000000001500 9F0306000000000000 9F1A020156 95050000040000 5F2A020156 \
                9A03260701 9C0100 9F3704D64B8587 82027D00 9F36020001 9F270180 \
                9F2608{AC} 9F100807010103A0000004";
    let with = |cryptogram: &str, algorithm: &str| {
        let data = data.replace("{AC}", cryptogram);
        let data = data.replace("A0000004", &format!("A00000{algorithm}"));
        let more = [
            "--data",
            &data,
            "--balance",
            "100",
            "--masters",
            masters,
            masters,
            masters,
        ];
        cardlab(&[&arguments[..], &more].concat())
    };
    let output = with(SM4_CRYPTOGRAM, "04");
    let told = printed(&output);
    assert_eq!(output.status.code(), Some(0), "{told}");
    for part in [
        &format!("{SM4_CRYPTOGRAM}: right")[..],
        "algorithm 算法 SM4 (experimental 试验性)",
        &format!("ARPC {SM4_ANSWER}"),
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    let output = with(SM4_CRYPTOGRAM, "01");
    let told = printed(&output);
    assert_eq!(output.status.code(), Some(1), "{told}");
    assert!(told.contains("algorithm 算法 3DES"), "{told}");
    assert!(
        told.contains("the cryptogram is not that of the card"),
        "{told}"
    );
}

#[test]
fn what_cannot_be_read_is_named_with_its_object_and_byte() {
    let card = format!("5A0A{ACCOUNT}F 5F340101");
    for (data, says) in [
        ("5A0A", "not data objects from byte 2"),
        (
            "5F340101 5A0A62280041A6000202649F",
            "5A 62280041A6000202649F",
        ),
        ("zz", "character 1, 'z'"),
        ("5F340101", "neither 5A nor 57"),
        ("5A0A6228004116000202649F", "5F34 is not among the data"),
        (&card, "no 9F10: the issuer application data"),
        (
            &format!("{card} 9F100807010103A0000001"),
            "no 9F02: the cryptogram is over it",
        ),
        (
            &format!("{card} 9F100807011103A0000001"),
            "9F10 is not that of cryptogram version 01",
        ),
    ] {
        let output = cardlab(&["bank", "authorise", "--data", data]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{data}: {errors}");
        assert!(errors.contains(says), "{says}: {errors}");
    }
}

#[test]
fn the_example_of_the_help_is_approved_and_answered_with_its_script() {
    let help = printed(&cardlab(&["help", "bank", "authorise"]));
    let example = help.split("cardlab bank authorise --").nth(1).unwrap();
    let mut arguments = vec!["bank".to_owned(), "authorise".to_owned()];
    // What is quoted is one argument, all else are words.
    for (index, part) in format!("--{example}").split('\'').enumerate() {
        if index % 2 == 1 {
            arguments.push(part.to_owned());
        } else {
            let words = part.split_whitespace().filter(|word| *word != "\\");
            arguments.extend(words.map(str::to_owned));
        }
    }
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let output = cardlab(&arguments);
    let told = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}\n{told}");
    assert!(told.contains("0886E3065817F710: right 正确"), "{told}");
    assert!(told.contains("04DA9F790A000000005000"), "{told}");
}

#[test]
fn what_no_keypad_gives_and_no_card_has_is_refused() {
    for (wrong, says) in [
        (["--pin", "12"], "expected 4 to 12 digits"),
        (["--pin", "12345x"], "expected 4 to 12 digits"),
        (["--account", "123"], "expected 8 to 19 digits"),
        (["--sequence", "100"], "100 is not in 0..=99"),
        (["--script", "record=1=70"], "record=1.2=70"),
    ] {
        let output = cardlab(&[
            "bank",
            "authorise",
            "--data",
            "5F340101",
            wrong[0],
            wrong[1],
        ]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{wrong:?}");
        assert!(errors.contains(says), "{errors}");
    }
}
