//! The file control information that a SELECT of a directory answers with.
//!
//! | directory            | FCI                                      |
//! |----------------------|------------------------------------------|
//! | with a name          | `6F { 84 name, A5 { proprietary }? }`    |
//! | without              | `6F { 83 FID, A5 { proprietary }? }`     |
//!
//! Source: social security card specification, part 5, tables 36 to 38; ISO/IEC
//! 7816-4:2020, 7.4.3, table 10.

use crate::aid::Aid;

const TAG_6F_FCI: u8 = 0x6F;
const TAG_83_FID: u8 = 0x83;
const TAG_84_DF_NAME: u8 = 0x84;
const TAG_A5_PROPRIETARY: u8 = 0xA5;

/// The greatest length of the proprietary part: all lengths stay one byte long.
pub(super) const PROPRIETARY_MAX: usize = 96;

/// The FCI, or `None` where the proprietary part is too long.
pub(super) fn encode(fid: u16, name: Option<&Aid>, proprietary: &[u8]) -> Option<Vec<u8>> {
    if proprietary.len() > PROPRIETARY_MAX {
        return None;
    }
    let mut inner = Vec::new();
    match name {
        Some(name) => push(&mut inner, TAG_84_DF_NAME, name.as_bytes())?,
        None => push(&mut inner, TAG_83_FID, &fid.to_be_bytes())?,
    }
    if !proprietary.is_empty() {
        push(&mut inner, TAG_A5_PROPRIETARY, proprietary)?;
    }
    let mut fci = Vec::new();
    push(&mut fci, TAG_6F_FCI, &inner)?;
    Some(fci)
}

fn push(into: &mut Vec<u8>, tag: u8, value: &[u8]) -> Option<()> {
    into.push(tag);
    into.push(u8::try_from(value.len()).ok().filter(|&len| len < 0x80)?);
    into.extend_from_slice(value);
    Some(())
}

#[cfg(test)]
mod tests {
    use super::{PROPRIETARY_MAX, encode};
    use crate::aid::Aid;

    const SSSE: Aid = Aid::constant(b"sx1.sh.\xC9\xE7\xBB\xE1\xB1\xA3\xD5\xCF");

    fn fci(fid: u16, name: Option<&Aid>, proprietary: &str) -> String {
        hex::encode_upper(encode(fid, name, &hex::decode(proprietary).unwrap()).unwrap())
    }

    #[test]
    fn the_fci_of_real_cards_comes_out() {
        assert_eq!(
            fci(0xDDF1, Some(&SSSE), "88011E"),
            "6F16840F7378312E73682EC9E7BBE1B1A3D5CFA50388011E"
        );
        assert_eq!(
            fci(0xDDF1, Some(&SSSE), "88011E9F0C03860103"),
            "6F1C840F7378312E73682EC9E7BBE1B1A3D5CFA50988011E9F0C03860103"
        );
        let adf = Aid::constant(&[0xD1, 0x56, 0, 0, 5, 0]);
        assert_eq!(fci(0xDF01, Some(&adf), ""), "6F088406D15600000500");
        assert_eq!(fci(0xDF05, None, ""), "6F048302DF05");
    }

    #[test]
    fn a_proprietary_part_too_long_for_one_length_byte_is_refused() {
        assert!(encode(1, Some(&SSSE), &[0; PROPRIETARY_MAX]).is_some());
        assert!(encode(1, Some(&SSSE), &[0; PROPRIETARY_MAX + 1]).is_none());
    }
}
