//! A terminal program of others, emvtool, reads the bank application over PC/SC.
//!
//! It searches all files instead of asking the card which, and so sends what a payment
//! terminal does not. Passed over, and that is said, where it neither is installed nor can
//! be put into a place of this test's own, or Python has no pyscard.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use std::path::{Path, PathBuf};
use std::process::Command;

/// An account of an even number of digits: the program knows no other.
const PROFILE: &str = r#"{
  "id": "even", "extends": "henan-2.0", "zh": "偶数位账号", "en": "An account of 16 digits",
  "bank": { "applications": [ { "account": "6228004116002671", "cash": {} } ] }
}"#;

fn run(program: &Path, arguments: &[&str]) -> bool {
    let output = Command::new(program).args(arguments).output();
    output.is_ok_and(|output| output.status.success())
}

/// The program, put beside this test where it is not there already.
fn emvtool() -> Option<PathBuf> {
    let there = PathBuf::from("python3");
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("emvtool");
    let (python, tool) = (own.join("bin/python3"), own.join("bin/emvtool"));
    if run(&tool, &["version"]) {
        return Some(tool);
    }
    let installed = run(&there, &["-c", "import smartcard"])
        && run(
            &there,
            &["-m", "venv", "--system-site-packages", own.to_str()?],
        )
        && {
            let quick = ["--quiet", "--retries", "0", "--timeout", "10"];
            let install = [&["-m", "pip", "install"][..], &quick, &["emv==1.0.14"]].concat();
            run(&python, &install)
        };
    if !installed || !run(&tool, &["version"]) {
        println!("passed over: emvtool is not installed and cannot be");
        return None;
    }
    Some(tool)
}

fn cardlab(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_cardlab"))
        .args(arguments)
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{arguments:?}: {printed}{errors}");
    printed
}

#[test]
fn a_program_of_others_reads_the_bank_application() {
    let Some(tool) = emvtool() else {
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let at = |name: &str| folder.path().join(name).to_str().unwrap().to_owned();
    let (profile, image) = (at("even.json"), at("card.img"));
    std::fs::write(&profile, PROFILE).unwrap();
    let card = ["--profile", &profile, "--image", &image];
    cardlab(&[&["issue"][..], &card].concat());
    cardlab(&[&["pay", "--activate"][..], &card].concat());
    cardlab(&[&["pay", "--amount", "1"][..], &card].concat());
    let tool = tool.to_str().unwrap();
    let on_card = |verb: &str| cardlab(&["run", "--image", &image, "--", tool, verb]);
    let listed = on_card("listapps");
    for part in ["PBOC DEBIT", "A0 00 00 03 33 01 01 01"] {
        assert!(listed.contains(part), "{part}: {listed}");
    }
    let told = on_card("info");
    for part in [
        "6228004116002671",
        "CARDHOLDER/TEST",
        "34/06/01",
        "Plaintext PIN",
        "Issuer Public Key Certificate",
        "CNY",
        "pin_retries",
        "last_online_atc",
    ] {
        assert!(told.contains(part), "{part}: {told}");
    }
    // The activation and the payment were two transactions; the second went on line.
    // Its tables have lines in the graphics of old terminals.
    let plain = told.replace("\u{1b}(0x\u{1b}(B", "|");
    let number = |name: &str| {
        let mut cells = plain.lines().map(|line| line.split('|').map(str::trim));
        let found = cells.find_map(|mut row| row.find(|cell| *cell == name).and(row.next()));
        found.unwrap().to_owned()
    };
    assert_eq!(number("atc"), "2");
    assert_eq!(number("last_online_atc"), "2");
    assert_eq!(number("pin_retries"), "3");
}
