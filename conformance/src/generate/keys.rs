//! KEY_VER1 to KEY_VER3: each key is there in each of its versions, and no other.

use super::{case, select, step};
use crate::case::{Action, Authenticate, Case, Safety};
use cardlab_desk::profile::{Directory, Key, Profile, Purpose};

/// The versions that the standard knows.
const VERSIONS: core::ops::RangeInclusive<u8> = 1..=3;

pub(super) fn cases(profile: &Profile) -> Vec<Case> {
    let mut cases = Vec::new();
    for directory in profile
        .directories
        .iter()
        .filter(|directory| directory.parent.is_some())
    {
        for key in &directory.keys {
            let proves_card = match key.purpose {
                Purpose::InternalAuthentication => true,
                // The master key opens what no test may change.
                Purpose::ExternalAuthentication if key.kid & 0x7F != 0 => false,
                _ => continue,
            };
            for version in VERSIONS.filter(|version| *version <= key.versions) {
                cases.push(good(directory, key, version, proves_card));
            }
            cases.push(absent(directory, key, proves_card));
        }
    }
    cases
}

fn action(key: &Key, version: u8, proves_card: bool) -> Action {
    let by = Authenticate {
        key: key.name.clone(),
        version: Some(version),
        ..Authenticate::default()
    };
    if proves_card {
        Action::Internal(by)
    } else {
        Action::Authenticate(by)
    }
}

fn good(directory: &Directory, key: &Key, version: u8, proves_card: bool) -> Case {
    let (en, zh) = if proves_card {
        (
            format!(
                "The card proves that it holds {} version {version:02}.",
                key.name
            ),
            format!("卡片以 {} 版本 {version:02} 内部认证正确。", key.name),
        )
    } else {
        (
            format!("The card accepts {} version {version:02}.", key.name),
            format!("卡片接受 {} 版本 {version:02} 的外部认证。", key.name),
        )
    };
    let mut case = case(
        format!("key-ver{version}/{}", key.name.to_lowercase()),
        en,
        zh,
    );
    case.source = vec!["LD/T 32.4-2015, keys; LD/T 6001.3-2023, 9".to_owned()];
    case.group = Some(format!("KEY_VER{version}"));
    case.requirements = vec!["R01".to_owned()];
    let expect = if proves_card { "{8}9000" } else { "9000" };
    case.steps = vec![
        select(directory),
        step("authenticate", action(key, version, proves_card), expect),
    ];
    case
}

fn absent(directory: &Directory, key: &Key, proves_card: bool) -> Case {
    let version = key.versions + 1;
    let mut case = case(
        format!("key-ver{version}/{}-absent", key.name.to_lowercase()),
        format!("The card has no {} version {version:02}.", key.name),
        format!("卡片没有 {} 版本 {version:02}。", key.name),
    );
    case.source = vec!["LD/T 32.4-2015, keys; LD/T 32.5-2015, 7.4 and 7.7".to_owned()];
    case.group = VERSIONS
        .contains(&version)
        .then(|| format!("KEY_VER{version}"));
    case.requirements = vec!["R01".to_owned()];
    case.safety = Safety::ReadOnly;
    case.steps = vec![
        select(directory),
        step("authenticate", action(key, version, proves_card), "6A88"),
    ];
    case
}
