//! `cardlab certificate` where the card does not do what it is asked for.

use std::process::{Command, Output};

fn cardlab(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cardlab"));
    command.args(arguments).output().expect("cardlab runs")
}

#[test]
fn a_wrong_pin_is_told_with_its_tries_and_is_no_wrong_call() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (image, file, signature) = (path("card.img"), path("file"), path("file.der"));
    std::fs::write(&file, "to be signed").expect("written");
    let issued = cardlab(&["issue", "--profile", "henan-3.0", "--image", &image]);
    assert!(issued.status.success(), "{issued:?}");
    let sign = |pin: &[&str]| {
        let card = ["--image", &image, "--profile", "henan-3.0"];
        let call = ["certificate", "sign", &file, "-o", &signature];
        cardlab(&[&call[..], &card, pin].concat())
    };
    let refused = |output: &Output, code: i32, says: &[&str]| {
        let told = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(code), "{told}");
        for part in says {
            assert!(told.contains(part), "{part}: {told}");
        }
        assert!(!folder.path().join("file.der").exists());
    };
    // What is no PIN costs no try.
    for none in ["", "12a4", "123", "12345678901234567"] {
        refused(&sign(&["--pin", none]), 2, &["4 to 16 digits"]);
    }
    for left in (1..=5).rev() {
        let (zh, en) = (format!("剩余{left}次"), format!("{left} tr"));
        refused(&sign(&["--pin", "000000"]), 1, &["wrong PIN", &zh, &en]);
    }
    for _ in 0..2 {
        refused(&sign(&["--pin", "000000"]), 1, &["blocked", "已锁定"]);
    }
    refused(&sign(&[]), 1, &["blocked"]);
}

#[test]
fn an_envelope_for_another_card_stays_closed() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = |name: &str| folder.path().join(name).display().to_string();
    let (file, sealed, opened) = (path("file"), path("file.sealed"), path("file.opened"));
    std::fs::write(&file, "for the holder").expect("written");
    let seal = cardlab(&["certificate", "seal", &file, "-o", &sealed]);
    assert!(seal.status.success(), "{seal:?}");
    let open = |seed: &str| {
        cardlab(&[
            "certificate",
            "open",
            &sealed,
            "-o",
            &opened,
            "--seed",
            seed,
        ])
    };
    let other = open("2");
    let told = String::from_utf8_lossy(&other.stderr);
    assert_eq!(other.status.code(), Some(1), "{told}");
    assert!(
        told.contains("not for this card") && told.contains("信封"),
        "{told}"
    );
    assert!(open("1").status.success());
    assert_eq!(
        std::fs::read_to_string(opened).expect("opened"),
        "for the holder"
    );
}
