//! What an issuer can want of its domain: bytes become an intent once, here.

use cardlab::aid::Aid;
use cardlab::apdu::{Command, Sw};
use cardlab::applet::{CardLifeCycle, Deed, Privileges};
use cardlab::tag;
use cardlab::tlv::{self, Tag};

const TAG_C9_APPLET_PARAMETERS: Tag = tag!(0xC9);

/// One command of the issuer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Intent<'a> {
    Install(InstallData<'a>),
    PutAtr { atr: &'a [u8] },
    SetCardLifeCycle(CardLifeCycle),
    SetLocked { instance: Aid, locked: bool },
}

impl<'a> TryFrom<&Command<'a>> for Intent<'a> {
    type Error = Sw;

    /// Checks CLA, then INS, then P1-P2, then the data.
    fn try_from(command: &Command<'a>) -> Result<Intent<'a>, Sw> {
        if command.class.base() != 0x80 {
            return Err(Sw::CLA_NOT_SUPPORTED);
        }
        match (command.ins, command.p1, command.p2) {
            (0xE6, 0x0C, 0x00) => Ok(Intent::Install(InstallData::read(command.data)?)),
            (0xDA, 0x5F, 0x51) => Ok(Intent::PutAtr { atr: command.data }),
            (0xF0, 0x80, state) if command.data.is_empty() => CardLifeCycle::from_byte(state)
                .map(Intent::SetCardLifeCycle)
                .ok_or(Sw::WRONG_P1_P2),
            (0xF0, 0x80, _) => Err(Sw::WRONG_LENGTH),
            (0xF0, 0x40, state @ (0x00 | 0x80)) => {
                let instance = Aid::new(command.data).ok_or(Sw::WRONG_DATA)?;
                Ok(Intent::SetLocked {
                    instance,
                    locked: state == 0x80,
                })
            }
            (0xE6 | 0xDA | 0xF0, _, _) => Err(Sw::WRONG_P1_P2),
            _ => Err(Sw::INS_NOT_SUPPORTED),
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
