//! The commands of the PSAM: bytes become an intent once.
//!
//! The checks come in one order for all commands: the class is one of 00, 80, 84 and BF
//! ('6E00'), the instruction is known ('6D00') and goes with that class ('6E00'), P1-P2
//! ('6A86'), the length ('6700'), the form of the data ('6A80').
//!
//! Source: social security card specification, part 9, 8.

use crate::medical::{Amounts, TYPE_32_PURCHASE};
use cardlab::apdu::{Command, Sw};
use cardlab::fen::Fen;

/// Bytes of a purchase without its factors.
const PURCHASE_LEN: usize = 0x1C;
/// The most levels that a key can have still to go down.
pub(super) const LEVELS_MAX: usize = 3;

/// What a command wants. It can carry a key, so it cannot be printed.
pub(super) enum Intent<'a> {
    /// Make a directory or an EF the current one; `quiet` without its FCI.
    Select { target: Target<'a>, quiet: bool },
    /// Read bytes of a transparent EF: of the current one or of a short identifier.
    ReadBinary { sfi: Option<u8>, offset: u16 },
    /// Read a record by its number.
    ReadRecord { sfi: Option<u8>, number: u8 },
    /// Draw as many random bytes.
    GetChallenge,
    /// Prove who may write keys, with the key of this identifier, 00 to 03.
    ExternalAuthenticate {
        kid: u8,
        code: [u8; 8],
        raw: [u8; 8],
    },
    /// Write a key; `new` where there is none of its usage and identifier yet. The header
    /// and Lc go into the MAC.
    WriteKey {
        new: bool,
        usage: u8,
        id: u8,
        head: [u8; 5],
        key: &'a [u8],
        mac: [u8; 4],
    },
    /// Take this province's keys.
    InitializeEnvironment { province: u8 },
    /// Make a session key: the key of this usage and identifier, the factors from the
    /// card up, the random number.
    Deliver { usage: u8, id: u8, data: &'a [u8] },
    /// Encipher or make a MAC with the session key.
    Cipher { step: Step, data: &'a [u8] },
    /// Begin a purchase.
    InitializePurchase(Wanted<'a>),
    /// Check the card's proof of a purchase.
    CreditPurchase { mac2: [u8; 4] },
}

/// What SELECT names.
pub(super) enum Target<'a> {
    /// Anything by its identifier; nothing is 3F00.
    Fid(u16),
    /// An EF by its identifier.
    ChildFile(u16),
    /// A directory by its name.
    Name(&'a [u8]),
}

/// P1 of CIPHER DATA: bit 1 MAC, bit 2 more follows, bit 3 begins with the initial value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Step {
    /// A MAC, else enciphering.
    pub(super) mac: bool,
    /// More of the same message follows.
    pub(super) more: bool,
    /// The data begin with the initial value.
    pub(super) first: bool,
}

impl Step {
    /// The step of a P1; `None` for what it does not have.
    pub(super) const fn from_p1(p1: u8) -> Option<Step> {
        match p1 {
            0x00..=0x03 | 0x05 | 0x07 => Some(Step {
                mac: p1 & 1 != 0,
                more: p1 & 2 != 0,
                first: p1 & 4 != 0,
            }),
            _ => None,
        }
    }
}

/// A purchase, as a card has offered it.
pub(super) struct Wanted<'a> {
    pub(super) random: [u8; 4],
    pub(super) number: u16,
    pub(super) amounts: Amounts,
    pub(super) time: [u8; 7],
    pub(super) version: u8,
    pub(super) algorithm: u8,
    /// The factors, from the card up.
    pub(super) factors: &'a [[u8; 8]],
}

impl<'a> TryFrom<&Command<'a>> for Intent<'a> {
    type Error = Sw;

    fn try_from(command: &Command<'a>) -> Result<Intent<'a>, Sw> {
        let (p1, p2, data) = (command.p1, command.p2, command.data);
        match (class(command)?, command.ins) {
            (0x00, 0xA4) => select(p1, p2, data),
            (0x00, 0xB0) => {
                let (sfi, offset) = match p1 {
                    high @ 0x00..=0x7F => (None, u16::from_be_bytes([high, p2])),
                    0x81..=0x9E => (Some(p1 & 0x1F), u16::from(p2)),
                    _ => return Err(Sw::WRONG_P1_P2),
                };
                no_data(command)?;
                Ok(Intent::ReadBinary { sfi, offset })
            }
            (0x00, 0xB2) => {
                let sfi = p2 >> 3;
                if p2 & 0x07 != 0x04 || sfi == 0x1F || matches!(p1, 0x00 | 0xFF) {
                    return Err(Sw::WRONG_P1_P2);
                }
                no_data(command)?;
                let sfi = (sfi > 0).then_some(sfi);
                Ok(Intent::ReadRecord { sfi, number: p1 })
            }
            (0x00, 0x84) => {
                fixed(command, [0x00, 0x00])?;
                no_data(command)?;
                Ok(Intent::GetChallenge)
            }
            (0x00, _) => {
                if p1 != 0x00 || p2 > 0x03 {
                    return Err(Sw::WRONG_P1_P2);
                }
                let (&code, raw) = take(data)?;
                let raw = *array(raw)?;
                Ok(Intent::ExternalAuthenticate { kid: p2, code, raw })
            }
            (0x84, ins) => {
                let (key, &mac) = data.split_last_chunk().ok_or(Sw::WRONG_LENGTH)?;
                let lc = u8::try_from(data.len()).map_err(|_| Sw::WRONG_LENGTH)?;
                Ok(Intent::WriteKey {
                    new: ins == 0xD4,
                    usage: p1,
                    id: p2,
                    head: [0x84, ins, p1, p2, lc],
                    key,
                    mac,
                })
            }
            (0xBF, 0xEC) => {
                fixed(command, [0x00, 0x00])?;
                let [province] = *array(data)?;
                Ok(Intent::InitializeEnvironment { province })
            }
            (0xBF, _) => Ok(Intent::Deliver {
                usage: p1,
                id: p2,
                data,
            }),
            (_, 0xFA) => {
                let step = Step::from_p1(p1).filter(|_| p2 == 0x00);
                let step = step.ok_or(Sw::WRONG_P1_P2)?;
                Ok(Intent::Cipher { step, data })
            }
            (_, 0x70) => {
                fixed(command, [0x01, 0x00])?;
                wanted(data).map(Intent::InitializePurchase)
            }
            _ => {
                fixed(command, [0x00, 0x00])?;
                let mac2 = *array(data)?;
                Ok(Intent::CreditPurchase { mac2 })
            }
        }
    }
}

/// The class, where the instruction goes with it.
fn class(command: &Command<'_>) -> Result<u8, Sw> {
    let class = command.class.byte();
    let own = match command.ins {
        _ if !matches!(class, 0x00 | 0x80 | 0x84 | 0xBF) => return Err(Sw::CLA_NOT_SUPPORTED),
        0xA4 | 0xB0 | 0xB2 | 0x84 | 0x82 => 0x00,
        0xD4 | 0xD5 => 0x84,
        0xFA | 0x70 | 0x72 => 0x80,
        0xEC | 0xDE => 0xBF,
        _ => return Err(Sw::INS_NOT_SUPPORTED),
    };
    if class == own {
        Ok(class)
    } else {
        Err(Sw::CLA_NOT_SUPPORTED)
    }
}

fn fixed(command: &Command<'_>, p1_p2: [u8; 2]) -> Result<(), Sw> {
    if [command.p1, command.p2] == p1_p2 {
        Ok(())
    } else {
        Err(Sw::WRONG_P1_P2)
    }
}

fn no_data(command: &Command<'_>) -> Result<(), Sw> {
    array::<0>(command.data).map(|_| ())
}

fn array<const N: usize>(data: &[u8]) -> Result<&[u8; N], Sw> {
    data.try_into().map_err(|_| Sw::WRONG_LENGTH)
}

fn select(p1: u8, p2: u8, data: &[u8]) -> Result<Intent<'_>, Sw> {
    let quiet = match p2 {
        0x00 => false,
        0x0C => true,
        _ => return Err(Sw::WRONG_P1_P2),
    };
    let target = match (p1, data) {
        (0x00, []) => Target::Fid(super::file::FID_MF),
        (0x00, _) => Target::Fid(u16::from_be_bytes(*array(data)?)),
        (0x02, _) => Target::ChildFile(u16::from_be_bytes(*array(data)?)),
        (0x04, _) if (5..=16).contains(&data.len()) => Target::Name(data),
        (0x04, _) => return Err(Sw::WRONG_LENGTH),
        _ => return Err(Sw::WRONG_P1_P2),
    };
    Ok(Intent::Select { target, quiet })
}

/// # Errors
/// '6700' where it is not 1C and up to three factors of 8, '6A80' for another type than a
/// purchase.
fn wanted(data: &[u8]) -> Result<Wanted<'_>, Sw> {
    let (fields, factors) = data
        .split_at_checked(PURCHASE_LEN)
        .ok_or(Sw::WRONG_LENGTH)?;
    let (factors, rest) = factors.as_chunks();
    if !rest.is_empty() || factors.len() > LEVELS_MAX {
        return Err(Sw::WRONG_LENGTH);
    }
    let (&random, fields) = take(fields)?;
    let (&number, fields) = take(fields)?;
    let (&account, fields) = take(fields)?;
    let (&own, fields) = take(fields)?;
    let (&pooled, fields) = take(fields)?;
    let (&[kind], fields) = take(fields)?;
    let (&time, fields) = take(fields)?;
    let &[version, algorithm] = array(fields)?;
    if kind != TYPE_32_PURCHASE {
        return Err(Sw::WRONG_DATA);
    }
    Ok(Wanted {
        random,
        number: u16::from_be_bytes(number),
        amounts: Amounts {
            account: Fen::from_be_bytes(account),
            own: Fen::from_be_bytes(own),
            pooled: Fen::from_be_bytes(pooled),
        },
        time,
        version,
        algorithm,
        factors,
    })
}

fn take<const N: usize>(data: &[u8]) -> Result<(&[u8; N], &[u8]), Sw> {
    data.split_first_chunk().ok_or(Sw::WRONG_LENGTH)
}
