//! The host's end of a secure channel over any card: SCP02.
//!
//! | command               | bytes                          |
//! |-----------------------|--------------------------------|
//! | INITIALIZE UPDATE     | 80 50 version 00 08 challenge  |
//! | EXTERNAL AUTHENTICATE | 84 82 level 00 10 cryptogram MAC |
//!
//! The session is that of whatever is selected: a selection ends it on the card, and
//! the host drops it.
//!
//! Source: GlobalPlatform Card Specification 2.3.1, annex E.5.

use crate::wire::{Answer, exchange};
use cardlab::apdu::{Class, Command, Sw};
use cardlab::crypto::equal;
use cardlab::icc::{Icc, Lost};
use cardlab::secure::scp02::{Level, PROTOCOL, Session, StaticKeys};
use thiserror::Error;

/// Why a session could not be opened or used.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HostError {
    /// A command was refused.
    #[error("{0} was answered {1}: {words}", words = .1.words().unwrap_or("unknown"))]
    Refused(&'static str, Sw),
    /// The card speaks another protocol, or not at all.
    #[error("INITIALIZE UPDATE was not answered as by SCP02: {}", hex::encode_upper(.0))]
    OtherProtocol(Vec<u8>),
    /// The card did not prove that it has these keys.
    #[error("the card has other keys: its cryptogram is not theirs")]
    OtherKeys,
    /// There is no room for the data beside their MAC.
    #[error("{0} bytes are too long for a command of this session")]
    TooLong(usize),
    /// The card is lost.
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// An open session.
pub struct SecureChannel {
    session: Session,
}

impl SecureChannel {
    /// Opens a session at this level with the applet that is selected.
    ///
    /// `keys` gives the card's keys for its diversification data; `challenge` is the
    /// host's.
    ///
    /// # Errors
    /// [`HostError`] for the first thing that went wrong.
    pub fn open(
        icc: &mut dyn Icc,
        keys: impl FnOnce(&[u8; 10]) -> StaticKeys,
        level: Level,
        challenge: [u8; 8],
    ) -> Result<SecureChannel, HostError> {
        let class = Class::new(0x80).unwrap_or(Class::BASIC);
        let command = Command::new(class, 0x50, 0x00, 0x00).with_data(&challenge);
        let answer = exchange(icc, &command.expecting(256))?;
        if answer.sw != Sw::OK {
            return Err(HostError::Refused("INITIALIZE UPDATE", answer.sw));
        }
        let other = || HostError::OtherProtocol(answer.data.clone());
        let (diversification, rest) = answer.data.split_first_chunk().ok_or_else(other)?;
        let (&[_, protocol], rest) = rest.split_first_chunk().ok_or_else(other)?;
        let (&sequence, rest) = rest.split_first_chunk().ok_or_else(other)?;
        let (&card, cryptogram) = rest.split_first_chunk().ok_or_else(other)?;
        if protocol != PROTOCOL || cryptogram.len() != 8 {
            return Err(other());
        }
        let sequence = u16::from_be_bytes(sequence);
        let mut session = Session::new(&keys(diversification), sequence);
        if !equal(
            &session.card_cryptogram(challenge, sequence, card),
            cryptogram,
        ) {
            return Err(HostError::OtherKeys);
        }
        let own = session.host_cryptogram(challenge, sequence, card);
        session.set_level(Level::C_MAC);
        let mut channel = SecureChannel { session };
        let answer = channel.send(icc, [0x80, 0x82, level.bits(), 0x00], &own, 0)?;
        if answer.sw != Sw::OK {
            return Err(HostError::Refused("EXTERNAL AUTHENTICATE", answer.sw));
        }
        channel.session.set_level(level);
        Ok(channel)
    }

    /// Sends a command as the session's level asks for it; its answer.
    ///
    /// # Errors
    /// [`HostError::TooLong`], [`HostError::Lost`].
    pub fn send(
        &mut self,
        icc: &mut dyn Icc,
        header: [u8; 4],
        data: &[u8],
        ne: u32,
    ) -> Result<Answer, HostError> {
        let wrapped = self.session.wrap(header, data);
        let (class, field) = wrapped.ok_or(HostError::TooLong(data.len()))?;
        let [_, ins, p1, p2] = header;
        let class = Class::new(class).unwrap_or(Class::BASIC);
        let command = Command::new(class, ins, p1, p2).with_data(&field);
        Ok(exchange(icc, &command.expecting(ne))?)
    }

    /// Enciphers key data for this session, whole blocks of 8 bytes; `None` where they
    /// are not.
    #[must_use]
    pub fn encipher_keys(&self, plain: &[u8]) -> Option<Vec<u8>> {
        let mut data = plain.to_vec();
        self.session.encrypt_data(&mut data).ok()?;
        Some(data)
    }

    /// Replaces the three keys of the card by these, as the version 1 to 127.
    ///
    /// # Errors
    /// [`HostError::Refused`], [`HostError::Lost`].
    pub fn put_keys(
        &mut self,
        icc: &mut dyn Icc,
        version: u8,
        keys: &StaticKeys,
    ) -> Result<(), HostError> {
        let mut data = vec![version];
        for key in [&keys.enc, &keys.mac, &keys.dek] {
            // A key is two whole blocks.
            let enciphered = self.encipher_keys(key.expose()).unwrap_or_default();
            data.extend([0x80, 0x10]);
            data.extend(enciphered);
            data.push(0x03);
            data.extend(key.kcv());
        }
        let answer = self.send(icc, [0x80, 0xD8, 0x00, 0x81], &data, 256)?;
        match answer.sw {
            Sw::OK => Ok(()),
            sw => Err(HostError::Refused("PUT KEY", sw)),
        }
    }
}
