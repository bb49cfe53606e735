//! On the unbroken card every monitor is silent, whatever is done to it.
//!
//! Random conversations with each profile's card, in process and through T=0: right and
//! wrong PINs and keys, files, money, resets, cuts, and commands that are none.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

mod support;

use cardlab::crypto::Key;
use cardlab::icc::{Icc, Tearable};
use cardlab::link::t0::T0;
use cardlab_conformance::cards::Cards;
use cardlab_conformance::case::{Case, Safety};
use cardlab_conformance::runner::judge;
use cardlab_conformance::subject::Subject;
use cardlab_conformance::verdict::Verdict;
use cardlab_desk::profile::Profile;
use proptest::prelude::{Just, Strategy, any, prop_oneof};
use proptest::test_runner::{Config, TestCaseError, TestRunner};
use serde_json::{Value, json};
use std::cell::Cell;
use std::path::Path;
use support::Ours;

/// The card behind T=0, so that answers come in two parts.
struct Wired<'o>(&'o Ours);

impl Subject for Wired<'_> {
    fn name(&self) -> &str {
        "t0"
    }

    fn fresh(&self) -> Result<Box<dyn Icc + '_>, String> {
        Ok(Box::new(T0::new(self.0.fork())))
    }

    fn tearable(&self) -> Option<Box<dyn Tearable>> {
        self.0.tearable()
    }

    fn key(&self, name: &str, version: u8) -> Option<Key> {
        self.0.key(name, version)
    }
}

fn step(does: Value) -> Value {
    let mut step = does;
    step["do"] = "at random".into();
    step
}

fn hex_of(bytes: &[u8]) -> String {
    hex::encode_upper(bytes)
}

/// A command for files: any instruction of theirs, the parameters near those in use.
fn on_files() -> impl Strategy<Value = Value> {
    let ins = prop_oneof![Just(0xB0_u8), Just(0xB2), Just(0xD6), Just(0xDC)];
    let cla = prop_oneof![9 => Just(0x00_u8), 1 => Just(0x04)];
    let sfi = prop_oneof![2 => Just(0_u8), 8 => 5..=9_u8, 2 => 0x15..=0x1A_u8, 1 => any::<u8>()];
    let body = proptest::collection::vec(any::<u8>(), 0..6);
    (cla, ins, sfi, 0..6_u8, 0..8_u8, body).prop_map(|(cla, ins, sfi, number, mode, body)| {
        let (p1, p2) = match ins {
            0xB0 | 0xD6 => (0x80_u8.wrapping_add(sfi), number),
            _ => (number, sfi << 3 | mode),
        };
        let mut command = vec![cla, ins, p1, p2];
        if ins & 0xF0 == 0xB0 {
            command.push(body.first().copied().unwrap_or(0) & 0x1F);
        } else if !body.is_empty() {
            command.push(u8::try_from(body.len()).unwrap());
            command.extend(body);
        }
        step(json!({ "send": hex_of(&command) }))
    })
}

/// A command of 4 to 12 bytes, its first ones near those in use.
fn any_command() -> impl Strategy<Value = Value> {
    let cla = prop_oneof![
        8 => Just(0x00_u8), 1 => Just(0x04), 2 => Just(0x80), 2 => Just(0x84), 3 => Just(0xB0),
        1 => Just(0x10), 1 => Just(0x01), 2 => any::<u8>(),
    ];
    let known = [
        0x16, 0x1E, 0x20, 0x24, 0x26, 0x28, 0x2A, 0x2C, 0x2E, 0x56, 0x5E, 0x70, 0x82, 0x84, 0x88,
        0xA4, 0xB0, 0xB2, 0xC0, 0xD6, 0xDC,
    ];
    let ins = prop_oneof![9 => proptest::sample::select(known.to_vec()), 1 => any::<u8>()];
    let small = || prop_oneof![9 => 0..4_u8, 1 => any::<u8>()];
    let body = proptest::collection::vec(any::<u8>(), 0..8);
    (cla, ins, small(), small(), body).prop_map(|(cla, ins, p1, p2, mut body)| {
        if let Some(lc) = body.len().checked_sub(1).filter(|&lc| lc > 0) {
            body[0] = u8::try_from(lc).unwrap();
        }
        let command = [&[cla, ins, p1, p2][..], &body].concat();
        step(json!({ "send": hex_of(&command) }))
    })
}

fn steps(profile: &Profile) -> impl Strategy<Value = Vec<Value>> {
    let labels: Vec<String> = profile
        .directories
        .iter()
        .map(|d| d.label.clone())
        .collect();
    let keys = profile.directories.iter().flat_map(|d| &d.keys);
    let keys: Vec<String> = keys.map(|key| key.name.clone()).collect();
    let pins = ["right", "right", "wrong", "654321", "123456", ""];
    let pin = || proptest::sample::select(pins.to_vec());
    let key = || proptest::sample::select(keys.clone());
    let label = proptest::sample::select(labels);
    let fids: Vec<String> = ["3F00", "DDF1", "DF01", "DF03", "EF05", "EF08", "AAAA"]
        .map(str::to_owned)
        .to_vec();
    let headers = ["84240000", "84160000", "841E0001", "04D68700", "04DC0104"];
    let fen = || prop_oneof![3 => 0..1000_u32, 1 => Just(u32::MAX)];
    let one = prop_oneof![
        8 => label.prop_map(|label| step(json!({ "select": label }))),
        2 => (proptest::sample::select(fids), 0..3_u8).prop_map(|(fid, p1)| {
            step(json!({ "send": format!("00A40{p1}00 02 {fid} 00") }))
        }),
        1 => Just(step(json!({ "send": "00A40400 05 0102030405 00" }))),
        1 => Just(step(json!({ "send": "00A40400 07 7378312E73682E 00" }))),
        1 => Just(step(json!({ "send": "00A40400 08 A000000151000000 00" }))),
        4 => pin().prop_map(|pin| step(json!({ "verify": pin }))),
        2 => Just(step(json!({ "unlock": "pin" }))),
        2 => (pin(), pin()).prop_map(|(from, to)| {
            step(json!({ "change_pin": { "from": from, "to": to } }))
        }),
        8 => key().prop_map(|key| step(json!({ "authenticate": { "key": key } }))),
        2 => key().prop_map(|key| step(json!({ "authenticate": { "key": key, "wrong": 1 } }))),
        1 => Just(step(json!({ "authenticate": { "key": "PUK", "random": "0102030405060708" } }))),
        2 => (proptest::sample::select(headers.to_vec()), key(), any::<bool>()).prop_map(
            |(header, key, data)| {
                let data = if data { "0001" } else { "" };
                step(json!({ "secured": { "header": header, "key": key, "data": data } }))
            },
        ),
        1 => Just(step(json!({
            "secured": { "header": "84240001", "key": "STKSSSE", "pin": "112233" }
        }))),
        12 => on_files(),
        4 => any_command(),
        3 => fen().prop_map(|fen| step(json!({ "init_load": { "fen": fen } }))),
        3 => Just(step(json!({ "credit": {} }))),
        3 => (fen(), 0..9_u32).prop_map(|(account, own)| {
            step(json!({ "init_purchase": { "account": account, "own": own, "pooled": 1 } }))
        }),
        3 => Just(step(json!({ "debit": {} }))),
        2 => Just(step(json!({ "send": "B0260001 04" }))),
        2 => Just(step(json!({ "send": "00200000" }))),
        1 => Just(step(json!({ "send": "00840000 10" }))),
        2 => Just(step(json!({ "power": "cycle" }))),
        2 => Just(step(json!({ "power": "reset" }))),
    ];
    // One transaction or one record in a row is rare by chance.
    let load = (fen(), any::<bool>()).prop_map(|(fen, ends)| {
        let mut steps = vec![
            step(json!({ "select": "DF04" })),
            step(json!({ "unlock": "pin" })),
            step(json!({ "init_load": { "fen": fen } })),
        ];
        if ends {
            steps.push(step(json!({ "credit": {} })));
        }
        steps.push(step(json!({ "send": "B0260001 04" })));
        steps.push(step(json!({ "send": "00B20144 1C" })));
        steps
    });
    let record = any::<u8>().prop_map(|byte| {
        let record = hex_of(&[byte; 0x55]);
        vec![
            step(json!({ "select": "DF02" })),
            step(json!({ "unlock": "pin" })),
            step(json!({ "authenticate": { "key": "UK3DF02" } })),
            step(json!({ "send": format!("00DC003B 55 {record}") })),
            step(json!({ "send": "00B2013C 55" })),
            step(json!({ "send": "00B2023C 55" })),
        ]
    });
    let some = prop_oneof![6 => one.prop_map(|one| vec![one]), 1 => load, 1 => record];
    proptest::collection::vec(some, 1..24).prop_map(|steps| steps.concat())
}

fn case(steps: Vec<Value>) -> Case {
    let value = json!({
        "id": "monitors/at-random",
        "says": { "en": "Anything.", "zh": "随机。" },
        "source": ["-"],
        "safety": "irreversible",
        "steps": steps,
    });
    Case::from_json(Path::new("random.json"), &value.to_string()).unwrap()
}

fn silent(id: &str, cases: u32, torn: bool) {
    let profile = Profile::load(id).unwrap();
    let ours = Ours::issued(&profile);
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    let exchanges = Cell::new(0);
    let strategy = (steps(&profile), any::<proptest::sample::Index>());
    TestRunner::new_with_rng(
        config,
        proptest::test_runner::TestRng::deterministic_rng(
            proptest::test_runner::RngAlgorithm::ChaCha,
        ),
    )
    .run(&strategy, |(mut steps, index)| {
        if torn {
            let at = index.index(steps.len());
            if steps[at].get("power").is_none() {
                steps[at]["torn"] = true.into();
            }
        }
        let case = case(steps);
        for subject in [&ours as &dyn Subject, &Wired(&ours)] {
            let judged = judge(&case, &Cards::of(subject, &profile), Safety::Irreversible);
            exchanges.set(exchanges.get() + judged.trace.len());
            if judged.verdict == Verdict::Fail || !judged.violations.is_empty() {
                let trace = judged.trace.iter().map(|exchange| {
                    let [command, response] =
                        [&exchange.command, &exchange.response].map(hex::encode_upper);
                    format!("\n> {command}\n< {response}")
                });
                let trace: String = trace.collect();
                let says = format!("{:?}{trace}", judged.violations);
                return Err(TestCaseError::fail(says));
            }
        }
        Ok(())
    })
    .unwrap_or_else(|error| panic!("{id}: {error}"));
    println!("{id}: {} exchanges", exchanges.get());
}

#[test]
fn random_conversations_leave_all_monitors_silent() {
    for id in Profile::shipped() {
        silent(id, 200, false);
    }
}

#[test]
fn random_conversations_that_are_cut_leave_all_monitors_silent() {
    for id in Profile::shipped() {
        silent(id, 40, true);
    }
}
