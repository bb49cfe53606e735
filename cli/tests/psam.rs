//! A program of others does a terminal's work with card and PSAM in two readers.
//!
//! It is passed over where Python or pyscard is not installed, and says so.

use std::process::Command;

const PYTHON: &str = "python3";

fn python_reads_cards() -> bool {
    let imported = Command::new(PYTHON)
        .args(["-c", "import smartcard"])
        .output();
    let there = imported.is_ok_and(|output| output.status.success());
    if !there {
        println!("passed over: {PYTHON} with pyscard is not installed");
    }
    there
}

#[test]
fn a_program_of_others_authenticates_and_pays_with_the_psam() {
    if !python_reads_cards() {
        return;
    }
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/psam.py");
    for profile in ["henan-2.0", "henan-3.0"] {
        for (level, levels) in [("national", "3"), ("province", "2"), ("city", "1")] {
            let output = Command::new(env!("CARGO_BIN_EXE_cardlab"))
                .args(["run", "--psam", "--psam-level", level, "--profile", profile])
                .args(["--", PYTHON, script, levels])
                .output()
                .unwrap();
            let printed = String::from_utf8_lossy(&output.stdout);
            let errors = String::from_utf8_lossy(&output.stderr);
            assert!(
                printed.contains("DF01EF05|20") && printed.contains("purchase 00000001"),
                "{profile}, {level}: {printed}{errors}"
            );
        }
    }
}

#[test]
fn the_psam_has_a_reader_of_its_own() {
    let listed = Command::new(env!("CARGO_BIN_EXE_cardlab"))
        .args(["run", "--psam", "--", "opensc-tool", "-l"])
        .output()
        .unwrap();
    if listed.status.code() == Some(127) {
        println!("passed over: opensc-tool is not installed");
        return;
    }
    let printed = String::from_utf8_lossy(&listed.stdout);
    assert!(
        printed.contains("0    Yes             cardlab 00 00"),
        "{printed}"
    );
    assert!(
        printed.contains("1    Yes             cardlab 01 00"),
        "{printed}"
    );
}

#[test]
fn commands_reach_the_psam_instead_of_the_card() {
    let answered = Command::new(env!("CARGO_BIN_EXE_cardlab"))
        .args(["apdu", "--psam", "--plain", "00B0960006", "00A4000002DF01"])
        .output()
        .unwrap();
    let printed = String::from_utf8_lossy(&answered.stdout);
    assert_eq!(printed, "4116000000019000\n9000\n");
}
