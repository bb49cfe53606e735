//! The issuer domain's secure channel, for the applets that it looks after.
//!
//! An applet that takes part hands INITIALIZE UPDATE and EXTERNAL AUTHENTICATE on and
//! has its other commands unwrapped. The session is the domain's, one a logical
//! channel, and ends with any selection on it.
//!
//! Source: GlobalPlatform Card Specification 2.3.1, 10.1; the services are those of
//! the card API's `SecureChannel`.

use super::{Ctx, Outcome, Reply};
use crate::apdu::{Command, Sw};
use crate::secure::scp02::Level;

/// What the issuer domain answers an applet's [`Ctx::call`] with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum SecurityService {
    /// In: CLA INS P1 P2 Lc data of the command that opens a session; out: its answer.
    Process = 1,
    /// In: CLA INS P1 P2 Lc data of a command; out: its plain data.
    Unwrap = 2,
    /// In: enciphered key data; out: plain ones.
    Decrypt = 3,
    /// Out: the level of the open session.
    Level = 4,
}

impl SecurityService {
    /// The service of this number.
    #[must_use]
    pub const fn from_number(number: u8) -> Option<SecurityService> {
        match number {
            1 => Some(SecurityService::Process),
            2 => Some(SecurityService::Unwrap),
            3 => Some(SecurityService::Decrypt),
            4 => Some(SecurityService::Level),
            _ => None,
        }
    }
}

/// Room for the longest answer to a command of an opening: INITIALIZE UPDATE's.
const ANSWER_LEN_MAX: usize = 28;

impl Ctx<'_> {
    fn ask_issuer_domain(
        &mut self,
        service: SecurityService,
        data: &mut [u8],
    ) -> Result<usize, Sw> {
        let domain = self.peers.issuer_domain().ok_or(Sw::CONDITIONS_NOT_MET)?;
        self.call(&domain, service as u8, data)
    }

    /// Has the issuer domain answer INITIALIZE UPDATE or EXTERNAL AUTHENTICATE.
    ///
    /// # Errors
    /// The domain's: '6E00', '6A86', '6700', '6A88', '6985', '6300', '6982'.
    pub fn process_security(&mut self, command: &Command<'_>) -> Outcome {
        let mut buffer = short(command)?;
        buffer.resize(buffer.len().max(ANSWER_LEN_MAX), 0);
        // The service reads as many data as its Lc says.
        let len = self.ask_issuer_domain(SecurityService::Process, &mut buffer)?;
        self.answer(buffer.get(..len).unwrap_or_default());
        Ok(Reply::OK)
    }

    /// The plain data of a command that came through the open session.
    ///
    /// # Errors
    /// '6982' where no session is open, or the command is not as its level asks; the
    /// session is over then.
    pub fn unwrap_command(&mut self, command: &Command<'_>) -> Result<Vec<u8>, Sw> {
        let mut buffer = short(command)?;
        let len = self.ask_issuer_domain(SecurityService::Unwrap, &mut buffer)?;
        buffer.truncate(len);
        Ok(buffer)
    }

    /// Deciphers key data that came through the open session.
    ///
    /// # Errors
    /// '6982' where no session is open, '6A80' where they are not whole blocks of 8
    /// bytes.
    pub fn decrypt_key_data(&mut self, data: &mut [u8]) -> Result<(), Sw> {
        self.ask_issuer_domain(SecurityService::Decrypt, data)
            .map(|_| ())
    }

    /// What the commands of the open session must have; `None` where none is open.
    pub fn security_level(&mut self) -> Option<Level> {
        let mut level = [0];
        let len = self
            .ask_issuer_domain(SecurityService::Level, &mut level)
            .ok()?;
        (len == 1).then(|| Level::from_bits_truncate(level[0]))
    }
}

/// CLA INS P1 P2 Lc data.
///
/// # Errors
/// '6700' where the data have more than 255 bytes.
fn short(command: &Command<'_>) -> Result<Vec<u8>, Sw> {
    let lc = u8::try_from(command.data.len()).map_err(|_| Sw::WRONG_LENGTH)?;
    let header = [
        command.class.byte(),
        command.ins,
        command.p1,
        command.p2,
        lc,
    ];
    Ok([&header[..], command.data].concat())
}
