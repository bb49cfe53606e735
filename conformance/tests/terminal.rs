//! Steps that run a function of the terminal: judged, filled in, told, refused.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod support;

use cardlab_conformance::cards::Cards;
use cardlab_conformance::case::{Case, CaseError, Safety};
use cardlab_conformance::event::Judged;
use cardlab_conformance::explain::explain;
use cardlab_conformance::runner::judge;
use cardlab_conformance::verdict::Verdict;
use cardlab_desk::profile::Profile;
use serde_json::{Value, json};
use std::path::Path;
use support::Ours;

fn read(steps: &Value) -> Result<Case, CaseError> {
    let case = json!({
        "id": "terminal/a-case",
        "says": { "en": "A case.", "zh": "用例。" },
        "source": ["38号文"],
        "safety": "irreversible",
        "steps": steps,
    });
    Case::from_json(Path::new("a-case.json"), &case.to_string())
}

fn case(steps: &Value) -> Case {
    read(steps).unwrap_or_else(|error| panic!("{error}"))
}

fn run<'c>(profile: &str, case: &'c Case) -> Judged<'c> {
    let profile = Profile::load(profile).unwrap();
    let ours = Ours::issued(&profile);
    judge(case, &Cards::of(&ours, &profile), Safety::Irreversible)
}

fn passes(profile: &str, steps: &Value) {
    let case = case(steps);
    let judged = run(profile, &case);
    assert_eq!(
        judged.verdict,
        Verdict::Pass,
        "{profile}: {:?}",
        judged.reason
    );
}

const MODULES: [&str; 2] = ["hsm", "psam"];

#[test]
fn base_data_are_judged_by_the_values_of_the_profile() {
    for profile in Profile::shipped() {
        for module in MODULES {
            passes(
                profile,
                &json!([
                    {
                        "do": "read", "terminal": { "read_base": {}, "module": module },
                        "returns": "0",
                        "gives": "{region}|{SSSEEF06|08}|{SSSEEF05|07}|{recognition_code}|{name}|\
                                  {historical}|{SSSEEF05|03}|{SSSEEF05|05}|{SSSEEF05|06}|\
                                  411600000001||",
                        "save": "base"
                    },
                    {
                        "do": "the same card",
                        "terminal": { "read_base": {}, "card_info": "{base}" },
                        "returns": "0", "gives": "{base}", "same_as": "base"
                    },
                    {
                        "do": "reported lost",
                        "terminal": {
                            "read_base": {},
                            "blacklist": ["{recognition_code},{SSSEEF05|07}"]
                        },
                        "returns": "-9001"
                    },
                    {
                        "do": "expired", "terminal": { "read_base": {}, "today": "20991231" },
                        "returns": "-9002"
                    }
                ]),
            );
        }
    }
}

#[test]
fn a_card_goes_from_its_first_pin_to_money_and_back() {
    for profile in Profile::shipped() {
        for module in MODULES {
            passes(
                profile,
                &json!([
                    {
                        "do": "the first change",
                        "terminal": {
                            "change_pin": { "from": "right", "to": "246810" }, "module": module
                        },
                        "returns": "0"
                    },
                    {
                        "do": "a wrong PIN",
                        "terminal": { "verify_pin": { "pin": "wrong" }, "module": module },
                        "returns": "-51"
                    },
                    {
                        "do": "load",
                        "terminal": { "load": { "fen": 1000 }, "pin": "right", "module": module },
                        "returns": "0", "gives": "{SSSEEF05|07}|{recognition_code}|1|0|1000|1000|*"
                    },
                    {
                        "do": "pay, and pull the card",
                        "terminal": {
                            "debit": { "account": 300 }, "pin": "right", "pulled": "after",
                            "module": module
                        },
                        "returns": "-4"
                    },
                    {
                        "do": "put it in again",
                        "terminal": { "recover": {}, "module": module },
                        "returns": "0", "gives": "*|2|0|700|300|0|0|411600000001|*"
                    },
                    {
                        "do": "the details",
                        "terminal": { "debit_records": {}, "pin": "right", "module": module },
                        "returns": "0", "gives": "0^2^411600000001^20260102083000^300^0^0|0^1^*|"
                    },
                    {
                        "do": "set the PIN anew",
                        "terminal": { "reload_pin": { "to": "1357" }, "module": module },
                        "returns": "0"
                    },
                    {
                        "do": "which is now right",
                        "terminal": { "verify_pin": { "pin": "right" }, "module": module },
                        "returns": "0"
                    }
                ]),
            );
        }
    }
}

#[test]
fn data_are_written_and_read_in_the_form_of_the_interface() {
    passes(
        "henan-2.0",
        &json!([
            {
                "do": "write",
                "terminal": {
                    "write": { "address": "DF01EF06|28|$", "data": "DF01EF06|13800000000|$" }
                },
                "returns": "0", "gives": ""
            },
            {
                "do": "read",
                "terminal": { "read": { "address": "DF01EF06|28|$DF01EF07|29|$", "key": true } },
                "returns": "0", "gives": "DF01EF06|13800000000|$DF01EF07|{DF01EF07|29}|$"
            },
            {
                "do": "read without a PIN",
                "terminal": { "read": { "address": "DF01EF06|28|$" } },
                "returns": "-27010"
            }
        ]),
    );
}

#[test]
fn another_code_and_another_string_fail_with_what_was_said() {
    for (steps, got) in [
        (
            json!([{ "do": "read", "terminal": { "read_base": {} }, "returns": "-1" }]),
            "return code 0 and 411600|",
        ),
        (
            json!([{
                "do": "read", "terminal": { "read_base": {} }, "returns": "0", "gives": "519900|*"
            }]),
            "return code 0 and 411600|",
        ),
        (
            json!([{
                "do": "verify", "terminal": { "verify_pin": { "pin": "wrong" } }, "returns": "0"
            }]),
            "return code -51 (PIN wrong, 5 tries left",
        ),
    ] {
        let case = case(&steps);
        let judged = run("henan-2.0", &case);
        assert_eq!(judged.verdict, Verdict::Fail);
        let reason = judged.reason.unwrap();
        assert!(reason.got.starts_with(got), "{reason:?}");
        assert!(!judged.trace.is_empty());
    }
}

#[test]
fn a_step_is_judged_by_what_its_kind_has() {
    for steps in [
        json!([{ "do": "x", "terminal": { "read_base": {} }, "expect": "9000" }]),
        json!([{ "do": "x", "terminal": { "read_base": {} } }]),
        json!([{
            "do": "x", "terminal": { "read_base": {} }, "returns": "0", "expect": "9000"
        }]),
        json!([{ "do": "x", "verify": "right", "returns": "0" }]),
        json!([{ "do": "x", "terminal": { "read_base": {} }, "returns": "0", "torn": true }]),
        json!([{ "do": "x", "verify": "right", "expect": "9000", "gives": "*" }]),
    ] {
        let error = read(&steps).unwrap_err();
        assert!(
            matches!(error, CaseError::Judged { step: 1, .. }),
            "{error}"
        );
    }
    for steps in [
        json!([{ "do": "x", "terminal": { "read_bas": {} }, "returns": "0" }]),
        json!([{ "do": "x", "terminal": { "read_base": { "pin": "1" } }, "returns": "0" }]),
        json!([{ "do": "x", "terminal": { "read_base": {}, "pni": "1" }, "returns": "0" }]),
        json!([{ "do": "x", "terminal": { "pin": "1" }, "returns": "0" }]),
        json!([{ "do": "x", "terminal": { "read_base": {} }, "returns": "1" }]),
    ] {
        let error = read(&steps).unwrap_err();
        assert!(matches!(error, CaseError::Json { .. }), "{error}");
    }
}

#[test]
fn a_name_that_stands_for_nothing_is_the_suite_s_fault() {
    for steps in [
        json!([{
            "do": "x", "terminal": { "read_base": {} }, "returns": "0", "gives": "{nothing}"
        }]),
        json!([{ "do": "x", "terminal": { "recover": {} }, "returns": "0" }]),
        json!([{
            "do": "x", "terminal": { "read": { "address": "DF01" } }, "returns": "0"
        }]),
    ] {
        let case = case(&steps);
        assert_eq!(run("henan-2.0", &case).verdict, Verdict::ToolError);
    }
}

#[test]
fn every_function_is_told_in_both_languages_and_kept_in_canonical_form() {
    let functions = json!([
        { "read_base": {} },
        { "read": { "address": "DF01EF07|29|$" } },
        { "write": { "address": "DF01EF07|29|$", "data": "DF01EF07|1|$" } },
        { "verify_pin": { "pin": "right" } },
        { "change_pin": { "from": "right", "to": "246810" } },
        { "reload_pin": { "to": "246810" } },
        { "unblock_pin": {} },
        { "debit": { "account": 1 } },
        { "load": { "fen": 1 } },
        { "debit_records": {} },
        { "recover": {} },
    ]);
    let mut told = std::collections::BTreeSet::new();
    for function in functions.as_array().unwrap() {
        let mut terminal = function.clone();
        terminal["pin"] = json!("wrong");
        terminal["pulled"] = json!("after");
        terminal["blacklist"] = json!(["A00000000-A99999999"]);
        let steps = json!([{ "do": "x", "terminal": terminal, "returns": "0", "gives": "*" }]);
        let case = case(&steps);
        let text = explain(&case);
        for words in [
            "terminal with",
            "终端（",
            "a wrong PIN",
            "错误密码",
            "返回值  0",
        ] {
            assert!(text.contains(words), "{words}: {text}");
        }
        assert!(told.insert(text));
        let again = Case::from_json(Path::new("a-case.json"), &case.to_canonical()).unwrap();
        assert_eq!(again, case);
    }
}
