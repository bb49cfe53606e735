//! A library of others, pyemv, computes anew what goes over the wire.
//!
//! Passed over, and that is said, where Python is not installed, or pyemv neither is nor
//! can be put into a place of this test's own.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bankcard;

use bankcard::{AID, application, bank, card};
use cardlab::fen::Fen;
use cardlab::link::tap::{Event, Tap};
use cardlab_desk::bank::application::Application;
use cardlab_desk::bank::host::{Bank, Request};
use cardlab_desk::bank::key::Keys;
use cardlab_desk::bank::rsa::{RsaPair, Whose};
use cardlab_desk::emv::{Answer, End, Holder, Host, Sale, Terminal, pay};
use serde_json::{Value, json};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::LazyLock;

/// The bank's seed, as `bankcard` has it.
const SEED: u64 = 7;
const NEW_PIN: &str = "13579";

fn imports(python: &Path) -> bool {
    let imported = Command::new(python).args(["-c", "import pyemv"]).output();
    imported.is_ok_and(|output| output.status.success())
}

/// A Python that has pyemv, looked for once.
static PYTHON: LazyLock<Option<PathBuf>> = LazyLock::new(python);

/// The one there is, or one put beside this test.
fn python() -> Option<PathBuf> {
    let there = PathBuf::from("python3");
    if imports(&there) {
        return Some(there);
    }
    let own = Path::new(env!("CARGO_TARGET_TMPDIR")).join("pyemv");
    let python = own.join("bin/python3");
    if !imports(&python) {
        let run = |program: &Path, arguments: &[&str]| {
            let output = Command::new(program).args(arguments).output();
            output.is_ok_and(|output| output.status.success())
        };
        let made = run(&there, &["-m", "venv", own.to_str()?]);
        let quick = ["--quiet", "--retries", "0", "--timeout", "10"];
        let install = [&["-m", "pip", "install"][..], &quick, &["pyemv==1.5.0"]].concat();
        if !made || !run(&python, &install) {
            println!("passed over: no python3 with pyemv, and pyemv cannot be installed");
            return None;
        }
    }
    Some(python)
}

/// A bank that adds scripts to its answers.
struct Scripting<'b> {
    bank: &'b mut Bank,
    bound_to: Option<&'b str>,
}

impl Host for Scripting<'_> {
    fn authorise(&mut self, request: &Request) -> Option<Answer> {
        let mut answer = Host::authorise(self.bank, request)?;
        let scripts = self.bank.scripts(request).unwrap().unwrap();
        let commands = [
            scripts.put_data(0x9F58, &[5]),
            scripts.change_pin(NEW_PIN, self.bound_to).unwrap(),
            scripts.unblock_pin(),
            scripts.block_application(),
        ];
        let mut inner = Vec::new();
        for command in commands {
            inner.extend([0x86, u8::try_from(command.len()).unwrap()]);
            inner.extend(command);
        }
        answer.scripts = vec![0x72, u8::try_from(inner.len()).unwrap()];
        answer.scripts.extend(inner);
        Some(answer)
    }
}

/// What is paid, and how.
struct Way {
    terminal: Terminal,
    fen: u32,
    kind: u8,
    cash: bool,
    scripted: Option<Option<&'static str>>,
}

/// Pays, and gives what went over the wire with what a checker has to know.
fn run(ordered: &Application, ways: &[Way]) -> Value {
    let mut exchange: Vec<[String; 2]> = Vec::new();
    let mut heard = Tap::new(card(ordered), |event| {
        if let Event::Exchange {
            command,
            response: Ok(response),
        } = event
        {
            exchange.push([hex::encode(command), hex::encode(response)]);
        }
    });
    let mut bank = bank(ordered);
    for (number, way) in ways.iter().enumerate() {
        let sale = Sale {
            amount: Fen::new(way.fen),
            other: Fen::ZERO,
            kind: way.kind,
            date: [0x26, 0x07, 0x01],
            time: [0x12, 0x34, 0x56],
            cash: way.cash,
            online: !way.cash && way.terminal.can_go_online(),
            application: Some(AID),
            seed: u64::try_from(number).unwrap(),
        };
        let holder = Holder::with_pin(&ordered.pin);
        let outcome = match way.scripted {
            None => pay(&mut heard, &way.terminal, &sale, &holder, &mut bank),
            Some(bound_to) => {
                let mut host = Scripting {
                    bank: &mut bank,
                    bound_to,
                };
                pay(&mut heard, &way.terminal, &sale, &holder, &mut host)
            }
        };
        assert!(
            matches!(outcome.end, End::Approved { .. }),
            "{:?}",
            outcome.steps
        );
    }
    drop(heard);
    let masters = Keys::from_seed(SEED);
    let keys = masters.of_card(&ordered.account, ordered.sequence).unwrap();
    let authority = RsaPair::of(Whose::Authority).public().clone();
    let thirds = |bytes: Vec<u8>| -> Vec<String> {
        let parts = bytes.chunks(bytes.len() / 3);
        parts.map(hex::encode).collect()
    };
    json!({
        "masters": thirds(masters.des.to_bytes()),
        "check_values": thirds(keys.des.check_values()),
        "account": ordered.account,
        "sequence": format!("{:02}", ordered.sequence),
        "pin": ordered.pin,
        "new_pin": NEW_PIN,
        "authority": { "modulus": hex::encode(authority.modulus()), "exponent": 3 },
        "exchange": exchange,
    })
}

fn runs() -> Vec<Value> {
    let way = |fen| Way {
        terminal: Terminal::of_a_merchant(),
        fen,
        kind: 0x00,
        cash: false,
        scripted: None,
    };
    let with = |capability, mut way: Way| {
        way.terminal.capabilities[2] = capability;
        way
    };
    let offline = |mut way: Way| {
        way.terminal = way.terminal.offline_only();
        way
    };
    let cash = |mut way: Way| {
        way.cash = true;
        way
    };
    let load = |mut way: Way| {
        way.kind = 0x63;
        way
    };
    let scripted = |bound_to, mut way: Way| {
        way.scripted = Some(bound_to);
        way
    };
    // Accounts of all lengths: the factor of a card's keys is their last digits.
    let accounts = [
        ("622800011162", 0),
        ("6228000100001", 1),
        ("8888800000000001", 1),
        ("62280041162000267", 99),
        ("6228004116000202641", 7),
    ];
    let mut runs = Vec::new();
    for (account, sequence) in accounts {
        for bound_to in [None, Some(bankcard::PIN)] {
            let mut ordered = application();
            ordered.account = account.to_owned();
            ordered.sequence = sequence;
            let ways = [
                offline(way(1_234)),
                way(5_678),
                with(0x80, way(9_012)),
                with(0x40, way(345)),
                load(way(6_789)),
                cash(way(1_999)),
                with(0x40, offline(way(1))),
                scripted(bound_to, way(100)),
            ];
            runs.push(run(&ordered, &ways));
        }
    }
    runs
}

/// Has the runs checked.
fn check(python: &Path, runs: &[Value]) -> Output {
    let mut checker = Command::new(python)
        .arg(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/wire_check.py"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let given = serde_json::to_vec(runs).unwrap();
    // Where it stops reading, its own words say why.
    let _ = checker.stdin.take().unwrap().write_all(&given);
    checker.wait_with_output().unwrap()
}

/// How often a check was made.
fn count(printed: &str, name: &str) -> u32 {
    let mut checks = printed
        .split_whitespace()
        .filter_map(|one| one.split_once('='));
    checks
        .find(|(found, _)| *found == name)
        .map_or(0, |(_, count)| count.parse().unwrap())
}

#[test]
fn what_goes_over_the_wire_is_what_a_library_of_others_computes() {
    let Some(python) = &*PYTHON else {
        return;
    };
    let output = check(python, &runs());
    let printed = String::from_utf8_lossy(&output.stdout);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}{errors}");
    for (name, least) in [
        ("check_value", 30),
        ("PIN_block", 50),
        ("TC", 70),
        ("ARQC", 50),
        ("ARPC", 50),
        ("CDA", 60),
        ("DDA", 20),
        ("MAC_of_issuer_data", 100),
        ("MAC_of_a_script", 50),
        ("PIN_change", 10),
        ("account_of_the_certificate", 50),
    ] {
        let made = count(&printed, name);
        assert!(made >= least, "{name}: {made} of {least}: {printed}");
    }
}

#[test]
fn a_byte_that_is_wrong_is_found_by_it() {
    let Some(python) = &*PYTHON else {
        return;
    };
    let whole = runs().swap_remove(0);
    // The last byte of an answer to GENERATE AC, of an EXTERNAL AUTHENTICATE, of a script.
    for (ins, of_answer) in [("ae", true), ("82", false), ("da", false), ("24", false)] {
        let mut spoiled = whole.clone();
        let exchange = spoiled["exchange"].as_array_mut().unwrap();
        let one = exchange
            .iter_mut()
            .find(|one| one[0].as_str().is_some_and(|command| &command[2..4] == ins))
            .unwrap();
        let text = &mut one[usize::from(of_answer)];
        let mut bytes = hex::decode(text.as_str().unwrap()).unwrap();
        let at = bytes.len() - if of_answer { 3 } else { 1 };
        bytes[at] ^= 1;
        *text = json!(hex::encode(bytes));
        let output = check(python, &[spoiled]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(!output.status.success(), "{ins}");
        assert!(errors.contains("on the wire"), "{ins}: {errors}");
    }
}
