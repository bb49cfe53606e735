//! The FCI that each directory answers with, byte for byte.

use super::{case, select, send, step};
use crate::case::{Action, Case};
use cardlab_desk::profile::{Directory, Profile};

pub(super) fn cases(profile: &Profile) -> Vec<Case> {
    profile
        .directories
        .iter()
        .filter(|directory| directory.parent.is_some())
        .map(|directory| of(profile, directory))
        .collect()
}

fn of(profile: &Profile, directory: &Directory) -> Case {
    let label = &directory.label;
    let mut case = case(
        format!("fci/{}", label.to_lowercase()),
        format!("{label} answers with its FCI, whether by name or by FID, and all of it."),
        format!("选择 {label} 返回完整FCI，按名称和文件标识相同。"),
    );
    case.source = vec!["社会保障（个人）卡规范, part 5, tables 36 to 38".to_owned()];
    case.requirements = vec!["R01".to_owned()];
    let fci = format!("{}9000", hex::encode_upper(encode(directory)));
    case.steps = vec![step("select", Action::Select(label.clone()), &fci)];
    // Below SSSE a directory is found by its FID from a sibling too.
    let sibling = profile.directories.iter().find(|other| {
        other.parent == directory.parent && other.fid != directory.fid && other.name.is_some()
    });
    if let Some(sibling) = sibling.filter(|_| label != "SSSE") {
        case.steps.push(select(sibling));
        case.steps.push(send(
            "by FID, from beside",
            format!("00A40000 02 {:04X} 00", directory.fid),
            &fci,
        ));
    }
    case
}

/// `6F { 84 name | 83 FID, A5 { 88 SFI, 9F0C data }? }`; all lengths are one byte.
fn encode(directory: &Directory) -> Vec<u8> {
    let object = |tag: &[u8], value: &[u8]| {
        let len = u8::try_from(value.len()).unwrap_or(u8::MAX);
        [tag, &[len], value].concat()
    };
    let mut inner = match &directory.name {
        Some(name) => object(&[0x84], name.as_bytes()),
        None => object(&[0x83], &directory.fid.to_be_bytes()),
    };
    let mut proprietary = Vec::new();
    if let Some(sfi) = directory.dir_sfi {
        proprietary.extend(object(&[0x88], &[sfi]));
    }
    if let Some(data) = &directory.issuer_data {
        proprietary.extend(object(&[0x9F, 0x0C], data));
    }
    if !proprietary.is_empty() {
        inner.extend(object(&[0xA5], &proprietary));
    }
    object(&[0x6F], &inner)
}

#[cfg(test)]
mod tests {
    use super::encode;
    use cardlab_desk::profile::Profile;

    #[test]
    fn the_fci_of_real_cards_comes_out() {
        for (id, fci) in [
            (
                "national-2.0",
                "6F16840F7378312E73682EC9E7BBE1B1A3D5CFA50388011E",
            ),
            (
                "national-3.0",
                "6F1C840F7378312E73682EC9E7BBE1B1A3D5CFA50988011E9F0C03860103",
            ),
        ] {
            let profile = Profile::load(id).unwrap();
            let ssse = profile.directory_by_label("SSSE").unwrap();
            assert_eq!(hex::encode_upper(encode(ssse)), fci);
        }
    }
}
