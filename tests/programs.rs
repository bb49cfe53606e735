//! Real PC/SC programs on the private endpoint.
//!
//! Each is passed over where it is not installed, and says so.

#![cfg(unix)]

use cardlab::icc::{Icc, Lost};
use cardlab::link::pcsc;
use std::env;
use std::fs;
use std::process::Command;
use std::thread;

/// A social security card as far as these programs ask.
struct Small;

const ATR: &str = "3B6D000000814A444686605199000001AC";
const SELECT: &str = "00A404000F7378312E73682EC9E7BBE1B1A3D5CF";
const FCI: &str = "6F16840F7378312E73682EC9E7BBE1B1A3D5CFA50388011E";

impl Icc for Small {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.reset()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        Ok(hex::decode(ATR).unwrap_or_default())
    }

    fn power_off(&mut self) {}

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        let answer = match command {
            [0x00, 0xA4, 0x04, 0x00, ..] => format!("{FCI}9000"),
            [0x00, 0xB2, 0x03, 0x04, 0x06] => "0304332E30309000".into(),
            [0x00, 0xB2, 0x03, 0x04, _] => "6C06".into(),
            _ => "6D00".into(),
        };
        *response = hex::decode(answer).unwrap_or_default();
        Ok(())
    }
}

/// Whether the programs are there; says which one is not.
fn installed(programs: &[&str]) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let absent = programs
        .iter()
        .find(|program| !env::split_paths(&path).any(|directory| directory.join(program).exists()));
    if let Some(absent) = absent {
        println!("passed over: {absent} is not installed");
    }
    absent.is_none()
}

/// What a shell script prints that runs with the card in its reader.
fn output(script: &str) -> String {
    let Ok(file) = tempfile::NamedTempFile::new() else {
        return "no temporary file".into();
    };
    let script = format!("exec > {} 2>&1\n{script}", file.path().display());
    let ended = pcsc::run(&mut Small, "/bin/sh", ["-c", &script]);
    let printed = fs::read_to_string(file.path()).unwrap_or_default();
    format!("{printed}\n{ended:?}")
}

fn expect(script: &str, all: &[&str]) {
    let printed = output(script);
    for part in all {
        assert!(printed.contains(part), "{part:?} is not in:\n{printed}");
    }
}

#[test]
fn opensc_tool_lists_the_reader_and_reads_the_atr() {
    if installed(&["opensc-tool"]) {
        expect("opensc-tool -l", &["0    Yes             cardlab 00 00"]);
        expect(
            "opensc-tool -a",
            &["3b:6d:00:00:00:81:4a:44:46:86:60:51:99:00:00:01:ac"],
        );
    }
}

#[test]
fn opensc_tool_sends_commands() {
    if installed(&["opensc-tool"]) {
        expect(
            "opensc-tool -c default -s 00:A4:04:00:0F:73:78:31:2E:73:68:2E:C9:E7:BB:E1:B1:A3:D5:CF \
             -s 00:C0:00:00:18 -s 00:B2:03:04:06",
            &["6F 16 84 0F", "03 04 33 2E 30 30", "(SW1=0x90, SW2=0x00)"],
        );
    }
}

#[test]
fn pcsc_scan_sees_the_card() {
    if installed(&["pcsc_scan", "timeout"]) {
        expect(
            "timeout 1 pcsc_scan -n",
            &[
                "0: cardlab 00 00",
                "Card inserted",
                "ATR: 3B 6D 00 00 00 81",
            ],
        );
    }
}

#[test]
fn scriptor_sees_t0_and_resets() {
    if installed(&["scriptor"]) {
        expect(
            &format!(
                "printf '{SELECT}\\n00C0000018\\n00B2030400\\n00B2030406\\nreset\\n' | scriptor"
            ),
            &[
                "Using T=0 protocol",
                "< 61 18",
                "< 6C 06",
                "< 03 04 33 2E 30 30 90 00",
                "< OK: 3B 6D",
            ],
        );
    }
}

#[test]
fn pyscard_reads_a_record_from_several_threads() {
    let python = "/usr/bin/python3";
    let pyscard = Command::new(python)
        .args(["-c", "import smartcard"])
        .output();
    if !pyscard.is_ok_and(|output| output.status.success()) {
        println!("passed over: pyscard is not installed");
        return;
    }
    let script = r#"
import threading
from smartcard.scard import *
def fails(result): return result if isinstance(result, int) else result[0]
def client(lines):
    error, context = SCardEstablishContext(SCARD_SCOPE_USER)
    error, card, protocol = SCardConnect(
        context, "cardlab 00 00", SCARD_SHARE_SHARED, SCARD_PROTOCOL_ANY)
    for _ in range(50):
        errors = [SCardBeginTransaction(card)]
        errors.append(SCardTransmit(card, SCARD_PCI_T0, [0, 0xA4, 4, 0, 1, 0x41]))
        errors.append(SCardTransmit(card, SCARD_PCI_T0, [0, 0xC0, 0, 0, 0x18]))
        lines.append([fails(error) for error in errors] + errors[1][1] + errors[2][1][-2:])
        SCardEndTransaction(card, SCARD_LEAVE_CARD)
    SCardReleaseContext(context)
lines = []
threads = [threading.Thread(target=client, args=(lines,)) for _ in range(4)]
for thread in threads: thread.start()
for thread in threads: thread.join()
print(len(lines), set(map(tuple, lines)))
"#;
    expect(
        &format!("{python} - <<'END'\n{script}END"),
        &["200 {(0, 0, 0, 97, 24, 144, 0)}"],
    );
}

#[test]
fn several_programs_have_each_its_own_card() {
    if installed(&["opensc-tool"]) {
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| expect("opensc-tool -a", &["3b:6d:00:00:00:81"]));
            }
        });
    }
}
