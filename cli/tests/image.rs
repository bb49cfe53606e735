//! Images say which profile and seed their cards were issued with.

use cardlab::memory::image;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use tempfile::TempDir;

fn cardlab(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cardlab"));
    command.args(arguments).output().expect("cardlab runs")
}

/// What was printed, after a look at the exit code.
#[track_caller]
fn told(output: &Output, code: i32) -> String {
    let printed = String::from_utf8_lossy(&output.stdout).into_owned();
    let errors = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(code), "{printed}{errors}");
    printed
}

/// An image of a card of this profile and seed 3.
fn issued(profile: &str) -> (TempDir, PathBuf) {
    let folder = tempfile::tempdir().expect("a folder");
    let image = folder.path().join("card.img");
    let issue = ["issue", "--profile", profile, "--seed", "3", "--image"];
    told(&cardlab(&[&issue[..], &[text(&image)]].concat()), 0);
    (folder, image)
}

fn text(path: &Path) -> &str {
    path.to_str().expect("a name")
}

const SELECT: &str = "00A404000F7378312E73682EC9E7BBE1B1A3D5CF00";

#[test]
fn no_verb_has_to_be_told_what_the_image_says() {
    let (_folder, image) = issued("national-3.0");
    let image = text(&image);
    // What is written leaves the label as it is.
    told(
        &cardlab(&["apdu", "--image", image, SELECT, "00200000 03 123456"]),
        0,
    );
    let shown = told(&cardlab(&["show", "--image", image]), 0);
    assert!(shown.contains("profile national-3.0"), "{shown}");
    // The keys are those of the seed: the card is genuine.
    told(&cardlab(&["terminal", "read-base", "--image", image]), 0);
    let other = ["terminal", "read-base", "--image", image, "--seed", "4"];
    assert!(told(&cardlab(&other), 1).contains("-21"));
    let tested = told(
        &cardlab(&["test", "--image", image, "--filter", "select/*"]),
        0,
    );
    assert!(
        tested.contains("for national-3.0, in-process, seed 3"),
        "{tested}"
    );
    let (_folder, image) = issued("henan-2.0");
    told(&cardlab(&["pay", "--activate", "--image", text(&image)]), 0);
    told(
        &cardlab(&["pay", "--amount", "1.00", "--image", text(&image)]),
        0,
    );
}

#[test]
fn what_is_named_goes_before_what_the_image_says() {
    let (_folder, image) = issued("national-1.0");
    let refused = cardlab(&["show", "--image", text(&image), "--profile", "national-2.0"]);
    told(&refused, 2);
    let says = String::from_utf8_lossy(&refused.stderr);
    assert!(says.contains("not issued from national-2.0"), "{says}");
}

#[test]
fn a_profile_file_that_is_gone_is_missed_where_it_is_needed() {
    let folder = tempfile::tempdir().expect("a folder");
    let profile = folder.path().join("own.json");
    let own = r#"{ "id": "own", "extends": "national-2.0", "pin": { "tries": 4 } }"#;
    std::fs::write(&profile, own).expect("written");
    let (_folder, image) = issued(text(&profile));
    let shown = told(&cardlab(&["show", "--image", text(&image)]), 0);
    assert!(shown.contains("profile own"), "{shown}");
    let moved = folder.path().join("moved.json");
    std::fs::rename(&profile, &moved).expect("moved");
    // The card itself does without.
    let asked = cardlab(&["apdu", "--image", text(&image), SELECT]);
    told(&asked, 0);
    let says = String::from_utf8_lossy(&asked.stderr);
    assert_eq!(says.matches("own.json").count(), 1, "{says}");
    assert!(says.contains("--profile names another"), "{says}");
    let refused = cardlab(&["show", "--image", text(&image)]);
    told(&refused, 2);
    assert!(String::from_utf8_lossy(&refused.stderr).contains("own.json"));
    let named = ["show", "--image", text(&image), "--profile", text(&moved)];
    told(&cardlab(&named), 0);
}

#[test]
fn an_older_image_says_nothing_and_is_taken_as_ever() {
    let (_folder, image) = issued("henan-2.0");
    let medium = image::load(&image).expect("an image").medium;
    image::save(&image, &medium, "").expect("saved");
    let image = text(&image);
    told(&cardlab(&["apdu", "--image", image, SELECT]), 0);
    // The default profile is the right one; the seed is not.
    told(&cardlab(&["show", "--image", image]), 0);
    assert!(told(&cardlab(&["terminal", "read-base", "--image", image]), 1).contains("-21"));
    told(
        &cardlab(&["terminal", "read-base", "--image", image, "--seed", "3"]),
        0,
    );
}
