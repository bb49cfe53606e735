//! The verb `terminal`, with the monitors that watch the card in it.

use std::process::{Command, Output};

fn terminal(arguments: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_cardlab"));
    let command = command.arg("terminal").args(arguments);
    command.output().expect("the command starts")
}

#[test]
fn a_profile_that_an_image_is_not_of_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let image = folder.path().join("card.img");
    let image = image.to_str().unwrap();
    let mut issue = Command::new(env!("CARGO_BIN_EXE_cardlab"));
    let issued = issue.args(["issue", "--image", image]).output().unwrap();
    assert!(issued.status.success());
    let read = |more: &[&str]| terminal(&[&["read-base", "--image", image], more].concat());
    assert_eq!(read(&[]).status.code(), Some(0));
    assert_eq!(read(&["--profile", "henan-2.0"]).status.code(), Some(0));
    let refused = read(&["--profile", "henan-3.0"]);
    let said = String::from_utf8_lossy(&refused.stderr);
    assert_eq!(refused.status.code(), Some(2), "{said}");
    assert!(said.contains("not issued from henan-3.0"), "{said}");
}

#[test]
fn what_a_window_does_leaves_the_monitors_silent() {
    let own = ["--pin", "123456", "--initial-pin", "--today", "20150601"];
    for profile in ["national-1.0", "national-2.0", "national-3.0"] {
        for (function, is_done) in [
            (&["read-base"][..], true),
            (&["read", "DF01EF06|28|$"], true),
            (&["verify", "111111"], false),
            (&["change-pin", "123456", "654321"], true),
            (&["reload-pin", "135790"], true),
            (&["load", "5"], true),
            (&["load", "5", "--pull", "after"], true),
            (&["load", "5", "--pull", "before"], true),
            (&["debit", "5"], false),
            (&["debit", "0", "--pull", "after", "--module", "psam"], true),
        ] {
            let output = terminal(&[function, &["--profile", profile], &own].concat());
            let said = String::from_utf8_lossy(&output.stderr);
            assert_eq!(said, "", "{profile} {function:?}");
            assert_eq!(output.status.success(), is_done, "{profile} {function:?}");
        }
    }
}
