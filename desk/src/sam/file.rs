//! The PSAM's directories and files.
//!
//! ```text
//! MF 3F00, the environment of DES        DDF1 "sx2.sh.社会保障", that of 16-byte algorithms
//! ├─ 0001 DIR, records                   ├─ 0001 DIR, records
//! ├─ 0015 card information, 15           └─ DF01, AID D15600000590
//! ├─ 0016 terminal's number, 6              └─ as in the MF's
//! └─ DF01, AID D15600000590
//!    ├─ 0019 the number of the next purchase, 4
//!    └─ 001A, 001B, 001C  keys of the nation, the province, the city, 10
//! ```
//!
//! A short identifier is the low byte of the identifier. DDF1 is there where the cards
//! are of a 16-byte algorithm. The number in 0019 is one for both environments, since a
//! terminal gives a number once.
//!
//! Source: social security card specification, part 9, 5; part 3 (FCI, DIR).

use super::data::{Field, INFORMATION, KEYS, NUMBER, TERMINAL};
use cardlab::apdu::Sw;
use cardlab::crypto::Algorithm;

pub(super) const FID_MF: u16 = 0x3F00;
const FID_DDF: u16 = 0xDDF1;
const FID_ADF: u16 = 0xDF01;
/// "sx2.sh.社会保障".
const DDF_NAME: &[u8; 15] = b"sx2.sh.\xC9\xE7\xBB\xE1\xB1\xA3\xD5\xCF";
const ADF_NAME: &[u8; 6] = &[0xD1, 0x56, 0x00, 0x00, 0x05, 0x90];
const ADF_LABEL: &[u8; 4] = b"PSAM";
const SFI_DIR: u8 = 0x01;

/// A directory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Directory {
    /// The MF for DES, DDF1 for a 16-byte algorithm.
    Environment(Algorithm),
    /// DF01 of that environment.
    Application(Algorithm),
}

/// An elementary file.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Ef {
    /// DIR.
    Dir,
    /// Bytes that are kept.
    Transparent(Field),
}

/// Where a SELECT arrives.
pub(super) enum Found {
    Directory(Directory),
    Ef(Ef),
}

impl Directory {
    /// The MF, current after a reset.
    pub(super) const ROOT: Directory = Directory::Environment(Algorithm::Des);

    /// The algorithm of its environment.
    pub(super) const fn algorithm(self) -> Algorithm {
        match self {
            Directory::Environment(algorithm) | Directory::Application(algorithm) => algorithm,
        }
    }

    const fn fid(self) -> u16 {
        match self {
            Directory::Environment(Algorithm::Des) => FID_MF,
            Directory::Environment(Algorithm::Sm4) => FID_DDF,
            Directory::Application(_) => FID_ADF,
        }
    }

    /// The directory of an identifier, seen from here; `sixteen` where there is DDF1.
    const fn by_fid(self, fid: u16, sixteen: bool) -> Option<Directory> {
        match fid {
            FID_MF => Some(Directory::ROOT),
            FID_DDF if sixteen => Some(Directory::Environment(Algorithm::Sm4)),
            FID_ADF => Some(Directory::Application(self.algorithm())),
            _ => None,
        }
    }

    /// The directory of a name, seen from here.
    ///
    /// # Errors
    /// '6A82'.
    pub(super) fn by_name(self, name: &[u8], sixteen: bool) -> Result<Directory, Sw> {
        if name == ADF_NAME {
            Ok(Directory::Application(self.algorithm()))
        } else if name == DDF_NAME && sixteen {
            Ok(Directory::Environment(Algorithm::Sm4))
        } else {
            Err(Sw::FILE_NOT_FOUND)
        }
    }

    /// A directory or an EF of here by its identifier.
    ///
    /// # Errors
    /// '6A82'.
    pub(super) fn find(self, fid: u16, sixteen: bool) -> Result<Found, Sw> {
        match self.by_fid(fid, sixteen) {
            Some(directory) => Ok(Found::Directory(directory)),
            None => self.ef(fid).map(Found::Ef),
        }
    }

    /// An EF of here.
    ///
    /// # Errors
    /// '6A82'.
    pub(super) const fn ef(self, fid: u16) -> Result<Ef, Sw> {
        Ok(match (self, fid) {
            (Directory::Environment(_), 0x0001) => Ef::Dir,
            (Directory::Environment(Algorithm::Des), 0x0015) => Ef::Transparent(INFORMATION),
            (Directory::Environment(Algorithm::Des), 0x0016) => Ef::Transparent(TERMINAL),
            (Directory::Application(_), 0x0019) => Ef::Transparent(NUMBER),
            (Directory::Application(_), 0x001A) => Ef::Transparent(KEYS[0]),
            (Directory::Application(_), 0x001B) => Ef::Transparent(KEYS[1]),
            (Directory::Application(_), 0x001C) => Ef::Transparent(KEYS[2]),
            _ => return Err(Sw::FILE_NOT_FOUND),
        })
    }

    /// Appends its FCI.
    pub(super) fn fci(self, out: &mut Vec<u8>) {
        let start = out.len();
        out.extend([0x6F, 0x00]);
        let name: &[u8] = match self.fid() {
            FID_DDF => DDF_NAME,
            FID_ADF => ADF_NAME,
            _ => &[],
        };
        if !name.is_empty() {
            object(0x84, name, out);
        }
        if let Directory::Environment(algorithm) = self {
            let dir = [0x88, 0x01, SFI_DIR];
            let id = [0x9F, 0x0C, 0x03, 0x86, 0x01, algorithm.id()];
            object(0xA5, &[&dir[..], &id].concat(), out);
        }
        close(start, out);
    }

    /// Appends a record of its DIR.
    ///
    /// # Errors
    /// '6A83'.
    pub(super) fn entry(self, number: u8, sixteen: bool, out: &mut Vec<u8>) -> Result<(), Sw> {
        let start = out.len();
        out.extend([0x61, 0x00]);
        match (self, number) {
            (Directory::Environment(_), 1) => {
                object(0x4F, ADF_NAME, out);
                object(0x50, ADF_LABEL, out);
            }
            (Directory::ROOT, 2) if sixteen => object(0x4F, DDF_NAME, out),
            _ => return Err(Sw::RECORD_NOT_FOUND),
        }
        close(start, out);
        Ok(())
    }
}

/// Appends a data object of less than 128 bytes.
fn object(tag: u8, value: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.extend([tag, 0x00]);
    out.extend(value);
    close(start, out);
}

/// Writes the length of the data object that begins at `start` and ends here.
fn close(start: usize, out: &mut [u8]) {
    let len = out.len().saturating_sub(start).saturating_sub(2);
    if let (Some(byte), Ok(len)) = (out.get_mut(start.saturating_add(1)), u8::try_from(len)) {
        *byte = len;
    }
}
