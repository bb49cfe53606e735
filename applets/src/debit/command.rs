//! The commands of the bank applet: bytes become an intent once.
//!
//! The checks come in one order for all commands: the class is one of 00, 04, 80 and
//! 84 ('6E00'), the instruction is known ('6D00') and goes with that class ('6E00'),
//! P1-P2 ('6A86'), the length ('6700'). A length that depends on the card's own lists
//! or keys is the handler's to check, and so is that of an issuer script command: one
//! without its MAC leaves a mark on the card.
//!
//! Source: JR/T 0025.5 (PBOC 3.0, debit/credit, commands), by public material; EMV 4.3
//! Book 3, 6.5, where the two agree.

use cardlab::apdu::{Command, Sw};

/// What a command wants. It can carry a PIN or a key, so it cannot be printed.
#[derive(Clone, Copy)]
pub(crate) enum Intent<'a> {
    /// Choose an application that this is not.
    SelectOther,
    /// Read a record of a file.
    ReadRecord { sfi: u8, number: u8 },
    /// Read a data element by its tag.
    GetData { tag: u16 },
    /// Begin a transaction: the template '83' with the values of the PDOL.
    GetProcessingOptions { data: &'a [u8] },
    /// Ask for a cryptogram over the values of the CDOL.
    GenerateAc {
        request: Cryptogram,
        combined: bool,
        data: &'a [u8],
    },
    /// Prove the card over the values of the DDOL.
    InternalAuthenticate { data: &'a [u8] },
    /// Prove the issuer to the card.
    ExternalAuthenticate { arpc: [u8; 8], code: [u8; 2] },
    /// Draw a random number of 8 bytes.
    GetChallenge,
    /// Verify a PIN block in the clear.
    Verify { block: [u8; 8] },
    /// Verify an enciphered PIN.
    VerifyEnciphered { data: &'a [u8] },
    /// Do what the issuer wants; `sealed` is absent where the length is wrong.
    Script {
        action: Action,
        sealed: Option<Sealed<'a>>,
    },
    /// Take personalisation data.
    StoreData(Block),
}

/// What a cryptogram says, from the lowest answer to the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Cryptogram {
    /// The transaction is declined.
    Aac,
    /// The issuer is asked.
    Arqc,
    /// The transaction is approved.
    Tc,
}

impl Cryptogram {
    /// As bits 8 and 7 of P1 and of the cryptogram information data say it.
    const fn from_bits(byte: u8) -> Option<Cryptogram> {
        match byte >> 6 {
            0 => Some(Cryptogram::Aac),
            1 => Some(Cryptogram::Tc),
            2 => Some(Cryptogram::Arqc),
            _ => None,
        }
    }

    /// The cryptogram information data with nothing but this.
    pub(super) const fn information(self) -> u8 {
        match self {
            Cryptogram::Aac => 0x00,
            Cryptogram::Tc => 0x40,
            Cryptogram::Arqc => 0x80,
        }
    }
}

/// What an issuer script command does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Action {
    BlockApplication,
    UnblockApplication,
    BlockCard,
    UnblockPin,
    /// Replace the PIN; `bound` to the present one, which both sides know.
    ChangePin {
        bound: bool,
    },
    PutData {
        tag: u16,
    },
    UpdateRecord {
        sfi: u8,
        number: u8,
    },
}

/// A message and its MAC.
#[derive(Clone, Copy)]
pub(crate) struct Sealed<'a> {
    /// CLA without a logical channel, INS, P1, P2, Lc.
    pub(super) header: [u8; 5],
    pub(super) data: &'a [u8],
    pub(super) mac: [u8; 4],
}

/// What the header of a block of personalisation data says.
#[derive(Clone, Copy)]
pub(crate) struct Block {
    /// It is the last one.
    pub(crate) last: bool,
    /// What is in it was enciphered under the session's key for data.
    pub(crate) enciphered: bool,
    /// Its number, from 0.
    pub(crate) number: u8,
}

impl<'a> TryFrom<&Command<'a>> for Intent<'a> {
    type Error = Sw;

    fn try_from(command: &Command<'a>) -> Result<Intent<'a>, Sw> {
        let class = command.class.base();
        if !matches!(class, 0x00 | 0x04 | 0x80 | 0x84) {
            return Err(Sw::CLA_NOT_SUPPORTED);
        }
        let right = match command.ins {
            0xA4 | 0xB2 | 0x82 | 0x84 | 0x88 | 0x20 => 0x00,
            0xA8 | 0xAE | 0xCA => 0x80,
            0xE2 if class == 0x84 => 0x84,
            0xE2 => 0x80,
            0xDA | 0xDC => 0x04,
            0x16 | 0x18 | 0x1E | 0x24 => 0x84,
            _ => return Err(Sw::INS_NOT_SUPPORTED),
        };
        if class != right {
            return Err(Sw::CLA_NOT_SUPPORTED);
        }
        let script = |action, len| {
            Ok(Intent::Script {
                action,
                sealed: Sealed::of(command).filter(|sealed| len == Some(sealed.data.len())),
            })
        };
        let (data, empty) = (command.data, command.data.is_empty());
        match (command.ins, command.p1, command.p2) {
            (0xA4, 0x04, 0x00 | 0x02) => Ok(Intent::SelectOther),
            (0xB2, number, p2) if p2 & 0x07 == 0x04 && (1..31).contains(&(p2 >> 3)) => {
                let sfi = p2 >> 3;
                when(empty, Intent::ReadRecord { sfi, number })
            }
            (0xCA, p1, p2) => {
                let tag = u16::from_be_bytes([p1, p2]);
                when(empty, Intent::GetData { tag })
            }
            (0xA8, 0x00, 0x00) => when(!empty, Intent::GetProcessingOptions { data }),
            (0xAE, p1, 0x00) if p1 & 0x2F == 0 => {
                let intent = |request| Intent::GenerateAc {
                    request,
                    combined: p1 & 0x10 != 0,
                    data,
                };
                Cryptogram::from_bits(p1).map(intent).ok_or(Sw::WRONG_P1_P2)
            }
            (0x88, 0x00, 0x00) => Ok(Intent::InternalAuthenticate { data }),
            (0x82, 0x00, 0x00) => match *data {
                [a, b, c, d, e, f, g, h, high, low] => Ok(Intent::ExternalAuthenticate {
                    arpc: [a, b, c, d, e, f, g, h],
                    code: [high, low],
                }),
                _ => Err(Sw::WRONG_LENGTH),
            },
            (0x84, 0x00, 0x00) => {
                when(empty && matches!(command.ne, 8 | 256), Intent::GetChallenge)
            }
            (0x20, 0x00, 0x80) => {
                let block = data.try_into().map_err(|_| Sw::WRONG_LENGTH)?;
                Ok(Intent::Verify { block })
            }
            (0x20, 0x00, 0x88) => when(!empty, Intent::VerifyEnciphered { data }),
            (0x1E, 0x00, 0x00) => script(Action::BlockApplication, Some(0)),
            (0x18, 0x00, 0x00) => script(Action::UnblockApplication, Some(0)),
            (0x16, 0x00, 0x00) => script(Action::BlockCard, Some(0)),
            (0x24, 0x00, 0x00) => script(Action::UnblockPin, Some(0)),
            (0x24, 0x00, bound @ (0x01 | 0x02)) => {
                let bound = bound == 0x01;
                script(Action::ChangePin { bound }, Some(16))
            }
            (0xDA, p1, p2) => {
                let tag = u16::from_be_bytes([p1, p2]);
                script(Action::PutData { tag }, super::data::put_len(tag, data))
            }
            (0xDC, number @ 1.., p2) if p2 & 0x07 == 0x04 && (1..31).contains(&(p2 >> 3)) => {
                let sfi = p2 >> 3;
                let len = data.len().checked_sub(4).filter(|&len| len > 0);
                script(Action::UpdateRecord { sfi, number }, len)
            }
            (0xE2, p1 @ (0x00 | 0x60 | 0x80 | 0xE0), number) => {
                let block = Block {
                    last: p1 & 0x80 != 0,
                    enciphered: p1 & 0x60 != 0,
                    number,
                };
                when(!empty, Intent::StoreData(block))
            }
            _ => Err(Sw::WRONG_P1_P2),
        }
    }
}

impl<'a> Sealed<'a> {
    /// The command's data but the last 4 bytes, and those; `None` for a command with
    /// fewer bytes, or more than a short Lc can tell.
    fn of(command: &Command<'a>) -> Option<Sealed<'a>> {
        let (data, mac) = command.data.split_last_chunk()?;
        let lc = u8::try_from(command.data.len()).ok()?;
        Some(Sealed {
            header: [
                command.class.base(),
                command.ins,
                command.p1,
                command.p2,
                lc,
            ],
            data,
            mac: *mac,
        })
    }
}

fn when(right: bool, intent: Intent<'_>) -> Result<Intent<'_>, Sw> {
    if right {
        Ok(intent)
    } else {
        Err(Sw::WRONG_LENGTH)
    }
}
