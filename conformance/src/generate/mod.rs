//! Cases generated from the profile: what the card holds, and who may touch it.
//!
//! | area            | item of LD/T 6001.3-2023 | what                                    |
//! |-----------------|--------------------------|-----------------------------------------|
//! | `ssse-record` … | SSSE_RECORD, DF0x_RECORD | each file and record as the profile says |
//! | `ssse-safety` … | SSSE_SAFETY, DF0x_SAFETY | file × operation × security state       |
//! | `key-ver1` …    | KEY_VER1 to KEY_VER3     | each key by each version                |
//! | `pin-counter`, `key-counter` | -           | to the lock and back, and torn          |
//! | `fci`           | -                        | each directory's FCI                    |
//! | `ssse-text` …   | SSSE_RECORD, DF0x_RECORD | hard names in each place for characters |
//! | `bank-…`        | -                        | each payment application as it was ordered |
//!
//! The items are mapped by their published names; the clauses' text is not public.

mod bank;
mod counter;
mod fci;
mod keys;
mod record;
mod safety;
mod text;

pub use record::opening;

use crate::case::{Action, Authenticate, Case, Safety, Says, Step, Torn, UnlockBy, Weight};
use crate::expect::Expect;
use cardlab_desk::profile::{Directory, File, Profile};
use std::collections::BTreeMap;

/// The source that the layouts come from.
const LAYOUT: &str = "人社信息函〔2012〕37号 (LD/T 32.6-2015), data structure";

/// All the cases that a profile gives.
#[must_use]
pub fn cases(profile: &Profile) -> Vec<Case> {
    let mut cases = Vec::new();
    for directory in profile
        .directories
        .iter()
        .filter(|directory| directory.parent.is_some())
    {
        for file in &directory.files {
            cases.extend(record::cases(directory, file));
            cases.extend(safety::cases(profile, directory, file));
            cases.extend(text::cases(directory, file));
        }
    }
    for case in &mut cases {
        // Where a directory cannot be selected, nothing of it can be judged.
        let label = case.id.split('-').next().unwrap_or_default();
        case.after = vec![format!("fci/{label}")];
    }
    cases.extend(keys::cases(profile));
    cases.extend(counter::cases(profile));
    cases.extend(fci::cases(profile));
    cases.extend(bank::cases(profile));
    cases
}

/// What a file is called in ids: `ef05`.
fn file_id(file: &File) -> String {
    format!("ef{:02x}", file.fid & 0xFF)
}

/// What a file is called in sentences: `DF01/EF05`.
fn file_name(directory: &Directory, file: &File) -> String {
    format!("{}/EF{:02X}", directory.label, file.fid & 0xFF)
}

/// The item of LD/T 6001.3-2023, `SSSE_RECORD` and the like; there is none for DF06.
fn group(directory: &Directory, kind: &str) -> Option<String> {
    let has_item = matches!(
        directory.label.as_str(),
        "SSSE" | "DF01" | "DF02" | "DF03" | "DF04" | "DF05" | "DF07"
    );
    has_item.then(|| format!("{}_{kind}", directory.label))
}

fn case(id: String, en: String, zh: String) -> Case {
    Case {
        id,
        says: Says { en, zh },
        source: vec![LAYOUT.to_owned()],
        requirements: Vec::new(),
        group: None,
        weight: Weight::Must,
        after: Vec::new(),
        needs: Vec::new(),
        application: None,
        safety: Safety::ReadOnly,
        steps: Vec::new(),
    }
}

fn step(label: &str, action: Action, expect: &str) -> Step {
    Step {
        label: label.to_owned(),
        action,
        // Generated patterns are patterns; a test reads every one of them.
        expect: Expect::parse(expect).ok(),
        accept: None,
        sometimes: None,
        torn: Torn::Nowhere,
        worn: None,
        objects: BTreeMap::new(),
        cid: None,
        cvr: None,
        returns: None,
        gives: None,
        save: None,
        same_as: None,
        differs_from: None,
    }
}

fn send(label: &str, hex: String, expect: &str) -> Step {
    step(label, Action::Send(hex), expect)
}

fn select(directory: &Directory) -> Step {
    step("select", Action::Select(directory.label.clone()), "**9000")
}

fn unlock() -> Step {
    step("present the PIN", Action::Unlock(UnlockBy::Pin), "9000")
}

fn authenticate(key: &str) -> Step {
    let by = Authenticate {
        key: key.to_owned(),
        ..Authenticate::default()
    };
    step(
        &format!("authenticate with {key}"),
        Action::Authenticate(by),
        "9000",
    )
}

/// A record of the test's own: `tag` or none, then `len` bytes.
fn hex_of(bytes: &[u8]) -> String {
    hex::encode_upper(bytes)
}
