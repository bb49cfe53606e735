//! The verb `test`: the safety budget, a card in an image, the line to repeat.

use std::process::{Command, Output};

fn cardlab(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cardlab"));
    command
        .args(arguments)
        .output()
        .expect("the command starts")
}

#[test]
fn a_safety_budget_withholds_what_does_worse_to_a_card() {
    for (safety, code) in [
        ("read-only", 5),
        ("consumes-pin-try", 0),
        ("irreversible", 0),
    ] {
        let output = cardlab(&["test", "--filter", "verify/a-wrong-pin", "--safety", safety]);
        assert_eq!(output.status.code(), Some(code), "{safety}");
    }
}

#[test]
fn a_card_in_an_image_is_tested_in_copies_and_stays_as_it_is() {
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("card.img");
    let path = image.to_str().expect("a name");
    let issued = cardlab(&[
        "issue",
        "--profile",
        "national-2.0",
        "--seed",
        "3",
        "--image",
        path,
    ]);
    assert!(issued.status.success());
    let before = std::fs::read(&image).expect("the image");
    let test = |profile: &str, seed: &str, filter: &str| {
        cardlab(&[
            "test",
            "--image",
            path,
            "--profile",
            profile,
            "--seed",
            seed,
            "--filter",
            filter,
        ])
    };
    for way in ["verify/*", "pin-counter/*"] {
        let tested = test("national-2.0", "3", way);
        assert_eq!(tested.status.code(), Some(0), "{tested:?}");
    }
    assert!(before == std::fs::read(&image).expect("the image"));
    // Keys of another seed are not its own.
    let tested = test("national-2.0", "4", "external-authentication/*");
    assert_eq!(tested.status.code(), Some(1), "{tested:?}");
    let says = String::from_utf8_lossy(&tested.stdout);
    let line = format!("cardlab test --profile national-2.0 --image {path} --subject");
    assert!(says.contains(&line), "{says}");
    let refused = test("national-1.0", "3", "verify/*");
    assert_eq!(refused.status.code(), Some(2), "{refused:?}");
    let says = String::from_utf8_lossy(&refused.stderr);
    assert!(says.contains("not issued from national-1.0"), "{says}");
    // A card that was used is not a new one.
    let wrong = cardlab(&["apdu", "--image", path, "00200000 03 999999"]);
    assert_eq!(wrong.status.code(), Some(1), "{wrong:?}");
    assert!(before != std::fs::read(&image).expect("the image"));
}

#[test]
fn the_line_to_repeat_a_failure_names_the_profile_as_it_was_called() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("its own.json");
    // A credit application where the standard asks for debit.
    let text = r#"{ "id": "own", "extends": "henan-2.0", "bank": { "applications": [
        { "aid": "A000000333010101", "remove": true },
        { "aid": "A000000333010102", "account": "6228480402564890018" } ] } }"#;
    std::fs::write(&path, text).unwrap();
    let path = path.to_str().unwrap();
    let case = "flow/the-account-is-a-debit-card-in-yuan";
    let output = cardlab(&["test", "--profile", path, "--filter", case]);
    let printed = String::from_utf8(output.stdout).unwrap();
    assert_eq!(output.status.code(), Some(1), "{printed}");
    let line = format!("repeat: cardlab test --profile '{path}' --subject");
    assert!(printed.contains(&line), "{printed}");
}

#[test]
fn a_filter_that_fits_nothing_is_an_error_of_every_verb_that_takes_one() {
    for arguments in [
        &["test", "--filter", "nope/*"][..],
        &["cases", "list", "--filter", "nope/*"],
        &["tear", "--case", "nope/*"],
    ] {
        let output = cardlab(arguments);
        let says = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}: {says}");
        assert!(says.contains("no case fits nope/*"), "{says}");
        assert!(says.contains("无匹配用例"), "{says}");
        assert!(output.stdout.is_empty(), "{output:?}");
    }
}

#[test]
fn one_case_is_not_cases() {
    let told = |arguments: &[&str]| {
        let output = cardlab(arguments);
        String::from_utf8_lossy(&output.stdout).into_owned()
    };
    let one = ["--filter", "verify/a-wrong-pin"];
    let listed = told(&[&["cases", "list"][..], &one].concat());
    assert!(listed.ends_with("\n1 case 用例\n"), "{listed}");
    let tested = told(&[&["test"][..], &one].concat());
    assert!(tested.starts_with("1 case for henan-2.0"), "{tested}");
    assert!(tested.contains("1 of 1 case judged"), "{tested}");
    let all = told(&["cases", "list", "--filter", "verify/*"]);
    assert!(all.ends_with(" cases 用例\n"), "{all}");
}
