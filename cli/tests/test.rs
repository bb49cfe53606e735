//! The verb `test`: the exit code of the safety budget.

use std::process::Command;

#[test]
fn a_safety_budget_withholds_what_does_worse_to_a_card() {
    for (safety, code) in [
        ("read-only", 5),
        ("consumes-pin-try", 0),
        ("irreversible", 0),
    ] {
        let mut command = Command::new(env!("CARGO_BIN_EXE_cardlab"));
        let command = command.args(["test", "--filter", "verify/a-wrong-pin", "--safety", safety]);
        let output = command.output().expect("the command starts");
        assert_eq!(output.status.code(), Some(code), "{safety}");
    }
}
