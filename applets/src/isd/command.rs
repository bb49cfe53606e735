//! What an issuer can want of its domain: bytes become an intent once, here.

use cardlab::aid::Aid;
use cardlab::apdu::{Command, SecureMessaging, Sw};
use cardlab::applet::{CardLifeCycle, Deed, Privileges};
use cardlab::secure::scp02::Level;
use cardlab::tag;
use cardlab::tlv::{self, Tag};

const TAG_C9_APPLET_PARAMETERS: Tag = tag!(0xC9);
const TAG_4F_AID: Tag = tag!(0x4F);

/// Whether this is a SELECT by name.
pub(super) fn is_select_by_name(command: &Command<'_>) -> bool {
    (command.class.base(), command.ins, command.p1) == (0x00, 0xA4, 0x04)
}

/// Whether this instruction begins or opens a session.
pub(super) const fn is_opening(ins: u8) -> bool {
    matches!(ins, 0x50 | 0x82)
}

/// A command that begins or opens a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opening<'a> {
    InitializeUpdate {
        /// The version of the keys, 0 for whichever there are.
        version: u8,
        host: [u8; 8],
    },
    ExternalAuthenticate {
        level: Level,
        p1: u8,
        /// Cryptogram and MAC.
        field: &'a [u8; 16],
    },
}

impl<'a> TryFrom<&Command<'a>> for Opening<'a> {
    type Error = Sw;

    /// Checks CLA, then INS, then P1-P2, then the length.
    fn try_from(command: &Command<'a>) -> Result<Opening<'a>, Sw> {
        match (command.class.base(), command.ins, command.p1, command.p2) {
            (0x80, 0x50, version, 0x00) => Ok(Opening::InitializeUpdate {
                version,
                host: command.data.try_into().map_err(|_| Sw::WRONG_LENGTH)?,
            }),
            (0x84, 0x82, p1, 0x00) => Ok(Opening::ExternalAuthenticate {
                level: Level::from_p1(p1).ok_or(Sw::WRONG_P1_P2)?,
                p1,
                field: command.data.try_into().map_err(|_| Sw::WRONG_LENGTH)?,
            }),
            (0x80, 0x50, _, _) | (0x84, 0x82, _, _) => Err(Sw::WRONG_P1_P2),
            (_, 0x50 | 0x82, _, _) => Err(Sw::CLA_NOT_SUPPORTED),
            _ => Err(Sw::INS_NOT_SUPPORTED),
        }
    }
}

/// Checks CLA, then INS, then P1-P2 of a command that is not an opening, before what
/// is in its data can be known.
///
/// # Errors
/// '6E00', '6D00', '6A86'.
pub(super) fn check_header(command: &Command<'_>) -> Result<(), Sw> {
    if !matches!(command.class.base(), 0x80 | 0x84) {
        return Err(Sw::CLA_NOT_SUPPORTED);
    }
    match (command.ins, command.p1, command.p2) {
        (0xE6, 0x0C, 0x00)
        | (0xE4, 0x00, 0x00 | 0x80)
        | (0xDA, 0x5F, 0x51)
        | (0xDA, 0x00, 0x4F | 0xCF)
        | (0xD8, _, 0x81)
        | (0xF0, 0x40, 0x00 | 0x80) => Ok(()),
        (0xF0, 0x80, state) if CardLifeCycle::from_byte(state).is_some() => Ok(()),
        (0xE6 | 0xE4 | 0xDA | 0xD8 | 0xF0, _, _) => Err(Sw::WRONG_P1_P2),
        _ => Err(Sw::INS_NOT_SUPPORTED),
    }
}

/// Whether a command came with a MAC of a session.
pub(super) fn is_wrapped(command: &Command<'_>) -> bool {
    command.class.secure_messaging() != SecureMessaging::None
}

/// One command of the issuer, as it is without a session.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Intent<'a> {
    Install(InstallData<'a>),
    Delete { instance: Aid },
    PutAtr { atr: &'a [u8] },
    PutName { aid: Aid },
    PutDiversification([u8; 10]),
    PutKeys(KeySet<'a>),
    SetCardLifeCycle(CardLifeCycle),
    SetLocked { instance: Aid, locked: bool },
}

impl<'a> TryFrom<&Command<'a>> for Intent<'a> {
    type Error = Sw;

    /// Checks the data of a command that passed [`check_header`].
    fn try_from(command: &Command<'a>) -> Result<Intent<'a>, Sw> {
        let data = command.data;
        let named = |bytes| Aid::new(bytes).ok_or(Sw::WRONG_DATA);
        match (command.ins, command.p1, command.p2) {
            (0xE6, _, _) => Ok(Intent::Install(InstallData::read(data)?)),
            (0xE4, _, _) => {
                let found = tlv::find(data, &[TAG_4F_AID]).map_err(|_| Sw::WRONG_DATA)?;
                let instance = named(found.ok_or(Sw::WRONG_DATA)?)?;
                Ok(Intent::Delete { instance })
            }
            (0xDA, 0x5F, _) => Ok(Intent::PutAtr { atr: data }),
            (0xDA, _, 0x4F) => Ok(Intent::PutName { aid: named(data)? }),
            (0xDA, _, _) => data
                .try_into()
                .map(Intent::PutDiversification)
                .map_err(|_| Sw::WRONG_LENGTH),
            (0xD8, replaced, _) => Ok(Intent::PutKeys(KeySet::read(replaced, data)?)),
            (0xF0, 0x80, state) if data.is_empty() => CardLifeCycle::from_byte(state)
                .map(Intent::SetCardLifeCycle)
                .ok_or(Sw::WRONG_P1_P2),
            (0xF0, 0x80, _) => Err(Sw::WRONG_LENGTH),
            (0xF0, _, state) => Ok(Intent::SetLocked {
                instance: named(data)?,
                locked: state == 0x80,
            }),
            _ => Err(Sw::INS_NOT_SUPPORTED),
        }
    }
}

/// The data field of PUT KEY: three triple DES keys, each enciphered and with its check
/// value.
///
/// Source: GlobalPlatform Card Specification 2.3.1, 11.8.2.3.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct KeySet<'a> {
    /// The version of the keys to be replaced, 0 for whichever there are.
    pub(super) replaced: u8,
    /// The version of the new ones, 1 to 127.
    pub(super) version: u8,
    /// Of each: enciphered bytes and check value.
    pub(super) keys: [(&'a [u8; 16], &'a [u8; 3]); 3],
}

impl<'a> KeySet<'a> {
    fn read(replaced: u8, data: &'a [u8]) -> Result<KeySet<'a>, Sw> {
        let (&version, mut rest) = data.split_first().ok_or(Sw::WRONG_DATA)?;
        if !(0x01..=0x7F).contains(&version) {
            return Err(Sw::WRONG_DATA);
        }
        let mut next = || -> Option<(&'a [u8; 16], &'a [u8; 3])> {
            let behind = rest.strip_prefix(&[0x80, 0x10])?;
            let (key, behind) = behind.split_first_chunk()?;
            let (check, behind) = behind.strip_prefix(&[0x03])?.split_first_chunk()?;
            rest = behind;
            Some((key, check))
        };
        let keys = [next(), next(), next()];
        match keys {
            [Some(enc), Some(mac), Some(dek)] if rest.is_empty() => Ok(KeySet {
                replaced,
                version,
                keys: [enc, mac, dek],
            }),
            _ => Err(Sw::WRONG_DATA),
        }
    }
}

/// The data field of INSTALL: six values, each behind its length.
///
/// Source: GlobalPlatform Card Specification 2.3.1, 11.5.2.3.2, table 11-46.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct InstallData<'a> {
    load_file: &'a [u8],
    module: &'a [u8],
    instance: &'a [u8],
    privileges: &'a [u8],
    parameters: &'a [u8],
}

impl<'a> InstallData<'a> {
    fn read(data: &'a [u8]) -> Result<InstallData<'a>, Sw> {
        let mut rest = data;
        let mut next = || -> Result<&'a [u8], Sw> {
            let (&len, behind) = rest.split_first().ok_or(Sw::WRONG_DATA)?;
            let (value, behind) = behind
                .split_at_checked(usize::from(len))
                .ok_or(Sw::WRONG_DATA)?;
            rest = behind;
            Ok(value)
        };
        let read = InstallData {
            load_file: next()?,
            module: next()?,
            instance: next()?,
            privileges: next()?,
            parameters: next()?,
        };
        // The install token; this card asks for none.
        next()?;
        if rest.is_empty() {
            Ok(read)
        } else {
            Err(Sw::WRONG_DATA)
        }
    }

    /// What the card is asked for.
    ///
    /// # Errors
    /// '6A80' where a name is none, a privilege is not known, or 'C9' is missing.
    pub(super) fn deed(&self) -> Result<Deed, Sw> {
        let aid = |bytes| Aid::new(bytes).ok_or(Sw::WRONG_DATA);
        let parameters = tlv::find(self.parameters, &[TAG_C9_APPLET_PARAMETERS]);
        let parameters = parameters.map_err(|_| Sw::WRONG_DATA)?;
        Ok(Deed::Install {
            load_file: aid(self.load_file)?,
            module: aid(self.module)?,
            instance: aid(self.instance)?,
            privileges: Privileges::from_bytes(self.privileges).ok_or(Sw::WRONG_DATA)?,
            parameters: parameters.ok_or(Sw::WRONG_DATA)?.to_vec(),
        })
    }
}
