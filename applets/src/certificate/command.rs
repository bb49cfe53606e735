//! The commands of the certificate application: bytes become an intent once.
//!
//! The checks come in one order for all commands: the class is one of 00, 80 and 84
//! ('6E00'), the instruction is known ('6D00') and goes with that class ('6E00'), P1-P2
//! ('6A86'), the length ('6700'), the form of the data ('6A80').
//!
//! What is done with keys names them by objects: `C0 02` and the FID of a public key,
//! `C2 02` and that of a private one, `CA 40` and `CB 20` the keys themselves, `C1` any
//! other bytes.
//!
//! Source: card traces of two issuing programs.

use cardlab::apdu::{Command, Sw};
use cardlab::crypto::sm2;
use cardlab::files;

/// What a command wants that is not the file system's. It can carry a key, so it cannot
/// be printed.
#[derive(Clone, Copy)]
pub(super) enum Intent<'a> {
    /// Draw a random number of this length, 8 or 16.
    GetChallenge { len: u8 },
    /// Ask how many tries a PIN has left.
    PinStatus { who: Who },
    /// Prove that a PIN is known.
    Verify { who: Who, code: [u8; 16] },
    /// Replace a PIN by whoever knows it.
    ChangePin { who: Who, change: Change },
    /// Replace the user's PIN by the administrator.
    ReplacePin { change: Change },
    /// Give the user's PIN its tries back.
    UnblockPin { mac: Mac },
    /// Load a PIN with its number of tries.
    WritePin { who: Who, tries: u8, pin: &'a [u8] },
    /// Give the hash of a message.
    Hash { message: &'a [u8] },
    /// Make a key pair.
    Generate { pair: Pair },
    /// Give a public key.
    ExportPublic { pair: Pair },
    /// Take a public key, x and y.
    ImportPublic { pair: Pair, key: &'a [u8; 64] },
    /// Take a private key, enciphered with the session key.
    ImportPrivate { pair: Pair, key: [u8; 32] },
    /// Take a session key.
    ImportSession { key: [u8; 16] },
    /// Sign a digest with the signature key.
    Sign { digest: [u8; 32] },
    /// Decrypt a cipher text.
    Decrypt { pair: Pair, text: &'a [u8] },
}

/// Whose PIN: P2 of VERIFY.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Who {
    /// The card's holder.
    User = 0x81,
    /// Who looks after the application.
    Administrator = 0x00,
}

/// A key pair, by the FID of its public key; that of its private key is one more.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Pair {
    /// The one that signs.
    Signature = 0x0012,
    /// The one that decrypts.
    Encryption = 0x0014,
}

impl Pair {
    /// The FID of the public key.
    pub(super) const fn public(self) -> u16 {
        self as u16
    }

    /// The FID of the private key.
    pub(super) const fn private(self) -> u16 {
        self as u16 + 1
    }

    fn of_public(fid: u16) -> Option<Pair> {
        let pairs = [Pair::Signature, Pair::Encryption];
        pairs.into_iter().find(|pair| pair.public() == fid)
    }

    fn of_private(fid: u16) -> Option<Pair> {
        fid.checked_sub(1).and_then(Pair::of_public)
    }
}

/// The MAC of a message, and the header that it is over.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Mac {
    /// CLA INS P1 P2 Lc, with the MAC counted in Lc.
    pub(super) header: [u8; 5],
    /// The MAC.
    pub(super) code: [u8; 4],
}

/// A new PIN, enciphered, with its MAC.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Change {
    /// One block.
    pub(super) enciphered: [u8; 16],
    /// Over the header and that.
    pub(super) mac: Mac,
}

/// CHANGE PIN.
const INS_CHANGE_PIN: u8 = 0x5E;
/// REPLACE PIN.
const INS_REPLACE_PIN: u8 = 0x24;
/// DECRYPT.
const INS_DECRYPT: u8 = 0x4E;
/// EXPORT PUBLIC KEY.
const INS_EXPORT: u8 = 0xC9;
/// GENERATE KEY PAIR.
const INS_GENERATE: u8 = 0x40;
/// GET CHALLENGE.
const INS_GET_CHALLENGE: u8 = 0x84;
/// HASH.
const INS_HASH: u8 = 0xC4;
/// IMPORT PUBLIC KEY and IMPORT PRIVATE KEY.
const INS_IMPORT: u8 = 0xC2;
/// IMPORT SESSION KEY.
const INS_IMPORT_SESSION: u8 = 0x4A;
/// SIGN.
const INS_SIGN: u8 = 0x48;
/// VERIFY.
const INS_VERIFY: u8 = 0x20;
/// WRITE PIN: a command of this card for its issuer.
const INS_WRITE_PIN: u8 = 0xD4;

/// Whether an instruction is the file system's.
pub(super) const fn is_on_files(ins: u8) -> bool {
    matches!(
        ins,
        files::INS_SELECT
            | files::INS_READ_BINARY
            | files::INS_UPDATE_BINARY
            | files::INS_CREATE_FILE
            | files::INS_ACTIVATE_FILE
    )
}

/// Which class an instruction goes with; `vendor` says whether the maker's own
/// commands are there.
///
/// # Errors
/// '6E00' for a class that no command has, '6D00', '6E00' for one that this command
/// has not.
#[inline]
pub(super) fn check_class(command: &Command<'_>, vendor: bool) -> Result<(), Sw> {
    let class = command.class.base();
    let goes_with = match command.ins {
        ins if is_on_files(ins) => 0x00,
        INS_GET_CHALLENGE | INS_VERIFY => 0x00,
        INS_WRITE_PIN => 0x80,
        INS_CHANGE_PIN | INS_REPLACE_PIN if vendor => 0x84,
        INS_DECRYPT | INS_EXPORT | INS_GENERATE | INS_HASH | INS_IMPORT | INS_IMPORT_SESSION
        | INS_SIGN
            if vendor =>
        {
            0x80
        }
        _ if matches!(class, 0x00 | 0x80 | 0x84) => return Err(Sw::INS_NOT_SUPPORTED),
        _ => return Err(Sw::CLA_NOT_SUPPORTED),
    };
    if class == goes_with {
        Ok(())
    } else {
        Err(Sw::CLA_NOT_SUPPORTED)
    }
}

impl<'a> TryFrom<&Command<'a>> for Intent<'a> {
    type Error = Sw;

    /// Checks P1-P2, the length and the form of the data, in this order; the class and
    /// the instruction were checked before.
    #[inline]
    fn try_from(command: &Command<'a>) -> Result<Intent<'a>, Sw> {
        let data = command.data;
        match command.ins {
            INS_GET_CHALLENGE => {
                parameters(command, [0x00, 0x00])?;
                match (data, command.ne) {
                    ([], 8) => Ok(Intent::GetChallenge { len: 8 }),
                    ([], 16) => Ok(Intent::GetChallenge { len: 16 }),
                    _ => Err(Sw::WRONG_LENGTH),
                }
            }
            INS_VERIFY => {
                let who = who(command, 0x01)?;
                if data.is_empty() {
                    return Ok(Intent::PinStatus { who });
                }
                let code = *exactly(data)?;
                Ok(Intent::Verify { who, code })
            }
            INS_CHANGE_PIN => {
                let who = who(command, 0x01)?;
                let change = change(command)?;
                Ok(Intent::ChangePin { who, change })
            }
            INS_REPLACE_PIN => {
                parameters(command, [0x01, Who::User as u8])?;
                match data.len() {
                    4 => Ok(Intent::UnblockPin {
                        mac: mac(command, *exactly(data)?),
                    }),
                    _ => Ok(Intent::ReplacePin {
                        change: change(command)?,
                    }),
                }
            }
            INS_WRITE_PIN => {
                let who = who(command, 0x10)?;
                let (&tries, pin) = data.split_first().ok_or(Sw::WRONG_LENGTH)?;
                if !(2..=8).contains(&pin.len()) {
                    return Err(Sw::WRONG_LENGTH);
                }
                if !(1..=15).contains(&tries) || !is_pin(pin) {
                    return Err(Sw::WRONG_DATA);
                }
                Ok(Intent::WritePin { who, tries, pin })
            }
            INS_HASH => {
                parameters(command, [0x01, 0x03])?;
                if data.len() < 3 {
                    return Err(Sw::WRONG_LENGTH);
                }
                let message = object(data, 0xC1)?;
                Ok(Intent::Hash { message })
            }
            _ => on_keys(command),
        }
    }
}

/// What is done with keys.
fn on_keys<'a>(command: &Command<'a>) -> Result<Intent<'a>, Sw> {
    let data = command.data;
    match (command.ins, command.p1, command.p2) {
        (INS_GENERATE, 0x00, 0x00) => Ok(Intent::Generate { pair: pair(data)? }),
        (INS_EXPORT, 0x82, 0x00) => Ok(Intent::ExportPublic { pair: pair(data)? }),
        (INS_IMPORT, 0x40, 0x00) => {
            let (head, key) = exactly::<70>(data)?.split_at(4);
            let pair = Pair::of_public(fid(head, 0xC0)?).ok_or(Sw::WRONG_DATA)?;
            let key = object(key, 0xCA)?.try_into().map_err(|_| Sw::WRONG_DATA)?;
            Ok(Intent::ImportPublic { pair, key })
        }
        (INS_IMPORT, 0xC0, 0x01) => {
            let (head, key) = exactly::<38>(data)?.split_at(4);
            let pair = Pair::of_private(fid(head, 0xC2)?).ok_or(Sw::WRONG_DATA)?;
            let key = object(key, 0xCB)?.try_into().map_err(|_| Sw::WRONG_DATA)?;
            Ok(Intent::ImportPrivate { pair, key })
        }
        (INS_IMPORT_SESSION, 0x02, 0x10) => {
            let key = object(exactly::<18>(data)?, 0xC1)?;
            let key = key.try_into().map_err(|_| Sw::WRONG_DATA)?;
            Ok(Intent::ImportSession { key })
        }
        (INS_SIGN, 0x00, 0x01) => {
            let (head, digest) = exactly::<38>(data)?.split_at(4);
            let pair = Pair::of_private(fid(head, 0xC2)?);
            let digest = object(digest, 0xC1)?.try_into();
            match (pair, digest) {
                (Some(Pair::Signature), Ok(digest)) => Ok(Intent::Sign { digest }),
                _ => Err(Sw::WRONG_DATA),
            }
        }
        (INS_DECRYPT, 0x00, 0x01) => {
            let (head, text) = data.split_at_checked(4).ok_or(Sw::WRONG_LENGTH)?;
            if text.len() < 2 + sm2::OVERHEAD + 1 {
                return Err(Sw::WRONG_LENGTH);
            }
            let pair = Pair::of_private(fid(head, 0xC2)?).ok_or(Sw::WRONG_DATA)?;
            let text = object(text, 0xC1)?;
            Ok(Intent::Decrypt { pair, text })
        }
        _ => Err(Sw::WRONG_P1_P2),
    }
}

fn parameters(command: &Command<'_>, p1_p2: [u8; 2]) -> Result<(), Sw> {
    if [command.p1, command.p2] == p1_p2 {
        Ok(())
    } else {
        Err(Sw::WRONG_P1_P2)
    }
}

fn who(command: &Command<'_>, p1: u8) -> Result<Who, Sw> {
    let all = [Who::User, Who::Administrator];
    let named = all.into_iter().find(|&who| who as u8 == command.p2);
    named.filter(|_| command.p1 == p1).ok_or(Sw::WRONG_P1_P2)
}

fn exactly<const N: usize>(data: &[u8]) -> Result<&[u8; N], Sw> {
    data.try_into().map_err(|_| Sw::WRONG_LENGTH)
}

fn mac(command: &Command<'_>, code: [u8; 4]) -> Mac {
    let lc = u8::try_from(command.data.len()).unwrap_or(0);
    Mac {
        header: [
            command.class.byte(),
            command.ins,
            command.p1,
            command.p2,
            lc,
        ],
        code,
    }
}

fn change(command: &Command<'_>) -> Result<Change, Sw> {
    let (enciphered, code) = exactly::<20>(command.data)?.split_at(16);
    Ok(Change {
        enciphered: *exactly(enciphered)?,
        mac: mac(command, *exactly(code)?),
    })
}

/// The value of the one object that the data are.
fn object(data: &[u8], tag: u8) -> Result<&[u8], Sw> {
    let (len, value) = match *data {
        [found, len @ 0x00..=0x7F, ref value @ ..] if found == tag => (usize::from(len), value),
        [found, 0x81, len, ref value @ ..] if found == tag => (usize::from(len), value),
        [found, 0x82, high, low, ref value @ ..] if found == tag => {
            (usize::from(u16::from_be_bytes([high, low])), value)
        }
        _ => return Err(Sw::WRONG_DATA),
    };
    if value.len() == len {
        Ok(value)
    } else {
        Err(Sw::WRONG_DATA)
    }
}

fn fid(data: &[u8], tag: u8) -> Result<u16, Sw> {
    match *object(data, tag)? {
        [high, low] => Ok(u16::from_be_bytes([high, low])),
        _ => Err(Sw::WRONG_DATA),
    }
}

/// Both keys of one pair: C0 02 and the public one, C2 02 and the private one.
fn pair(data: &[u8]) -> Result<Pair, Sw> {
    let (public, private) = exactly::<8>(data)?.split_at(4);
    let (public, private) = (fid(public, 0xC0)?, fid(private, 0xC2)?);
    Pair::of_public(public)
        .filter(|pair| pair.private() == private)
        .ok_or(Sw::WRONG_DATA)
}

/// Whether bytes are a PIN: 2 to 8 bytes of two decimal digits each.
pub(super) fn is_pin(bytes: &[u8]) -> bool {
    (2..=8).contains(&bytes.len()) && bytes.iter().all(|byte| byte >> 4 <= 9 && byte & 0x0F <= 9)
}

#[cfg(test)]
mod tests {
    use super::{Intent, Pair, check_class, is_pin, object};
    use cardlab::apdu::{Command, Sw};

    fn read(bytes: &[u8]) -> Result<&'static str, Sw> {
        let command = Command::parse(bytes).unwrap();
        check_class(&command, true)?;
        Intent::try_from(&command).map(|_| "read")
    }

    #[test]
    fn every_class_but_00_80_and_84_is_refused_first() {
        for class in (0..=u8::MAX).filter(|class| class & 0x03 == 0) {
            let bytes = [class, 0xEE, 0, 0];
            let Ok(command) = Command::parse(&bytes) else {
                continue;
            };
            let expected = match command.class.base() {
                0x00 | 0x80 | 0x84 => Sw::INS_NOT_SUPPORTED,
                _ => Sw::CLA_NOT_SUPPORTED,
            };
            assert_eq!(check_class(&command, true), Err(expected), "{class:02X}");
        }
    }

    #[test]
    fn every_instruction_of_the_maker_s_goes_with_the_switch() {
        for ins in 0..=u8::MAX {
            for class in [0x00, 0x80, 0x84] {
                let bytes = [class, ins, 0, 0];
                let Ok(command) = Command::parse(&bytes) else {
                    continue;
                };
                let of_maker = matches!(
                    ins,
                    0x40 | 0xC9 | 0xC2 | 0x4A | 0x48 | 0x4E | 0xC4 | 0x5E | 0x24
                );
                let (on, off) = (check_class(&command, true), check_class(&command, false));
                if of_maker {
                    assert_ne!(on, Err(Sw::INS_NOT_SUPPORTED));
                    assert_eq!(off, Err(Sw::INS_NOT_SUPPORTED));
                } else {
                    assert_eq!(on, off);
                }
            }
        }
    }

    #[test]
    fn every_p1_p2_but_the_right_ones_is_refused() {
        for (header, right) in [
            ([0x00, 0x20], &[[0x01, 0x81], [0x01, 0x00]][..]),
            ([0x84, 0x5E], &[[0x01, 0x81], [0x01, 0x00]]),
            ([0x84, 0x24], &[[0x01, 0x81]]),
            ([0x80, 0x40], &[[0x00, 0x00]]),
            ([0x80, 0xC9], &[[0x82, 0x00]]),
            ([0x80, 0xC2], &[[0x40, 0x00], [0xC0, 0x01]]),
            ([0x80, 0x4A], &[[0x02, 0x10]]),
            ([0x80, 0x48], &[[0x00, 0x01]]),
            ([0x80, 0x4E], &[[0x00, 0x01]]),
            ([0x80, 0xC4], &[[0x01, 0x03]]),
            ([0x80, 0xD4], &[[0x10, 0x81], [0x10, 0x00]]),
            ([0x00, 0x84], &[[0x00, 0x00]]),
        ] {
            for p1 in 0..=u8::MAX {
                for p2 in 0..=u8::MAX {
                    let [cla, ins] = header;
                    // One byte of data, which is no length of any of them.
                    let answer = read(&[cla, ins, p1, p2, 1, 0]);
                    let expected = if right.contains(&[p1, p2]) {
                        Sw::WRONG_LENGTH
                    } else {
                        Sw::WRONG_P1_P2
                    };
                    assert_eq!(answer, Err(expected), "{header:02X?} {p1:02X} {p2:02X}");
                }
            }
        }
    }

    #[test]
    fn every_fid_but_those_of_a_pair_is_refused() {
        for fid in 0..=u16::MAX {
            let [high, low] = fid.to_be_bytes();
            let named = |p| [0x80, 0x40, 0, 0, 8, 0xC0, 2, high, low, 0xC2, 2, high, p];
            let pair = Pair::of_public(fid);
            assert_eq!(pair.is_some(), fid == 0x0012 || fid == 0x0014);
            for private in [low, low.wrapping_add(1), low.wrapping_add(3)] {
                let good = pair.is_some() && private == low.wrapping_add(1);
                let answer = read(&named(private));
                assert_eq!(answer.is_ok(), good, "{fid:04X} {private:02X}");
            }
        }
    }

    #[test]
    fn an_object_is_all_of_the_data_with_a_length_of_one_to_three_bytes() {
        assert_eq!(object(&[0xC1, 2, 7, 8], 0xC1), Ok(&[7, 8][..]));
        assert_eq!(object(&[0xC1, 0x81, 2, 7, 8], 0xC1), Ok(&[7, 8][..]));
        assert_eq!(object(&[0xC1, 0x82, 0, 2, 7, 8], 0xC1), Ok(&[7, 8][..]));
        for wrong in [
            &[][..],
            &[0xC1],
            &[0xC2, 2, 7, 8],
            &[0xC1, 1, 7, 8],
            &[0xC1, 3, 7, 8],
            &[0xC1, 0x83, 0, 0, 2, 7, 8],
        ] {
            assert_eq!(object(wrong, 0xC1), Err(Sw::WRONG_DATA), "{wrong:02X?}");
        }
    }

    #[test]
    fn a_pin_is_of_decimal_digits() {
        for byte in 0..=u8::MAX {
            let decimal = byte >> 4 <= 9 && byte & 0x0F <= 9;
            assert_eq!(is_pin(&[0x12, byte]), decimal);
        }
        for len in 0..=20 {
            assert_eq!(is_pin(&vec![0x12; len]), (2..=8).contains(&len));
        }
    }
}
