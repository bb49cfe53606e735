//! The host's end of the certificate application, over any card.
//!
//! Source: card traces of two issuing programs.

use super::{APPLICATION, ENVIRONMENT, FID_APPLICATION, PUBLIC_HEAD, Pair, Token, Who};
use crate::wire::{Answer, exchange};
use cardlab::apdu::{Class, Command, Sw};
use cardlab::crypto::sm2::PublicKey;
use cardlab::icc::{Icc, Lost};
use thiserror::Error;

/// The most that one READ BINARY is asked for.
const PIECE_MAX: u16 = 0xE0;

/// Why something with the certificate application did not come about.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PkiError {
    /// The card is lost.
    #[error("{0}")]
    Lost(#[from] Lost),
    /// The card has no such application.
    #[error("the card has no certificate application: {0} to SELECT of PKI.社会保障")]
    Absent(Sw),
    /// A PIN was wrong.
    #[error("wrong PIN, {0} tries left")]
    WrongPin(u8),
    /// The card refused a command.
    #[error("{command} was answered {sw}: {words}", words = .sw.words().unwrap_or("unknown"))]
    Refused {
        /// The command's name.
        command: &'static str,
        /// The card's answer.
        sw: Sw,
    },
    /// What the card or a file has is not what it must be.
    #[error("{0}")]
    Malformed(&'static str),
}

/// The application of a card, selected.
pub struct Application<'i> {
    icc: &'i mut dyn Icc,
}

impl<'i> Application<'i> {
    /// Selects the application on a card with power.
    ///
    /// # Errors
    /// [`PkiError::Absent`], [`PkiError::Refused`], [`PkiError::Lost`].
    pub fn select(icc: &'i mut dyn Icc) -> Result<Application<'i>, PkiError> {
        let mut application = Application { icc };
        let name = ENVIRONMENT;
        let select = interindustry(0xA4, 0x04, 0x00);
        let answer = application.send(&select.with_data(name.as_bytes()).expecting(256))?;
        if answer.sw != Sw::OK {
            return Err(PkiError::Absent(answer.sw));
        }
        let name = APPLICATION;
        let answer = application.send(&select.with_data(name.as_bytes()).expecting(256))?;
        if answer.sw == Sw::FILE_NOT_FOUND {
            // Some cards give it no name.
            application.select_file(FID_APPLICATION)?;
        } else {
            done("SELECT", answer)?;
        }
        Ok(application)
    }

    /// Proves a PIN of digits.
    ///
    /// # Errors
    /// [`PkiError::WrongPin`], [`PkiError::Malformed`] where it is no PIN,
    /// [`PkiError::Refused`], [`PkiError::Lost`].
    pub fn verify(&mut self, who: Who, pin: &str) -> Result<(), PkiError> {
        let token = Token::of(pin).ok_or(NO_PIN)?;
        let challenge = self.challenge()?;
        let proof = token.proof(&challenge).ok_or(NO_CHALLENGE)?;
        let verify = interindustry(0x20, 0x01, who.p2());
        let answer = self.send(&verify.with_data(&proof))?;
        pin_answer("VERIFY", answer)
    }

    /// How many tries a PIN has left, 0 where it is blocked; costs none.
    ///
    /// # Errors
    /// [`PkiError::Refused`], [`PkiError::Lost`].
    pub fn tries_left(&mut self, who: Who) -> Result<u8, PkiError> {
        let answer = self.send(&interindustry(0x20, 0x01, who.p2()))?;
        match answer.sw {
            Sw(sw @ 0x63C0..=0x63CF) => Ok(sw.to_be_bytes()[1] & 0x0F),
            Sw::METHOD_BLOCKED => Ok(0),
            sw => Err(PkiError::Refused {
                command: "VERIFY",
                sw,
            }),
        }
    }

    /// Changes a PIN by whoever knows it.
    ///
    /// # Errors
    /// As [`verify`](Application::verify).
    pub fn change_pin(&mut self, who: Who, old: &str, new: &str) -> Result<(), PkiError> {
        let token = Token::of(old).ok_or(NO_PIN)?;
        let answer = self.message(&token, [0x84, 0x5E, 0x01, who.p2()], Some(new))?;
        pin_answer("CHANGE PIN", answer)
    }

    /// Replaces the user's PIN, or only gives its tries back; the administrator's must
    /// have been proven.
    ///
    /// # Errors
    /// As [`verify`](Application::verify).
    pub fn replace_pin(&mut self, administrator: &str, new: Option<&str>) -> Result<(), PkiError> {
        let token = Token::of(administrator).ok_or(NO_PIN)?;
        let answer = self.message(&token, [0x84, 0x24, 0x01, Who::User.p2()], new)?;
        done("REPLACE PIN", answer).map(drop)
    }

    /// The public key of a pair; `None` where there is none yet.
    ///
    /// # Errors
    /// [`PkiError::Malformed`] where its EF holds something else,
    /// [`PkiError::Refused`], [`PkiError::Lost`].
    pub fn public_key(&mut self, pair: Pair) -> Result<Option<PublicKey>, PkiError> {
        self.select_file(pair.public())?;
        let bytes = self.read(0, 0x42)?;
        match bytes.split_first_chunk() {
            Some((&PUBLIC_HEAD, key)) => {
                let key = key.try_into().ok().and_then(PublicKey::from_bytes);
                key.map(Some)
                    .ok_or(PkiError::Malformed("the EF holds no point of the curve"))
            }
            _ if bytes.iter().all(|&byte| byte == 0) => Ok(None),
            _ => Err(PkiError::Malformed("the EF does not begin as a public key")),
        }
    }

    /// The certificate of a pair, in DER; `None` where there is none yet.
    ///
    /// # Errors
    /// [`PkiError::Malformed`] where its EF holds something else,
    /// [`PkiError::Refused`], [`PkiError::Lost`].
    pub fn certificate(&mut self, pair: Pair) -> Result<Option<Vec<u8>>, PkiError> {
        self.select_file(pair.certificate())?;
        let head = self.read(0, 4)?;
        let len = match *head {
            [0x30, 0x82, high, low] => u16::from_be_bytes([high, low]).saturating_add(4),
            [0x30, 0x81, len, _] => u16::from(len) + 3,
            [0, 0, 0, 0] => return Ok(None),
            _ => {
                return Err(PkiError::Malformed(
                    "the EF does not begin as a certificate",
                ));
            }
        };
        let mut bytes = head;
        while let Ok(at) = u16::try_from(bytes.len())
            && at < len
        {
            let piece = self.read(at, PIECE_MAX.min(len - at))?;
            if piece.is_empty() {
                return Err(PkiError::Malformed("the EF ends within the certificate"));
            }
            bytes.extend(piece);
        }
        Ok(Some(bytes))
    }

    /// Signs a digest with the signature key: r and s. The holder's PIN must have been
    /// proven.
    ///
    /// # Errors
    /// [`PkiError::Malformed`], [`PkiError::Refused`], [`PkiError::Lost`].
    pub fn sign_digest(&mut self, digest: &[u8; 32]) -> Result<[u8; 64], PkiError> {
        let data = [
            &Pair::Signature.private_reference()[..],
            &[0xC1, 0x20],
            digest,
        ]
        .concat();
        let sign = proprietary(0x48, 0x00, 0x01);
        let answer = self.send(&sign.with_data(&data).expecting(64))?;
        let signature = done("SIGN", answer)?;
        signature
            .try_into()
            .map_err(|_| PkiError::Malformed("a signature of another length than 64"))
    }

    /// Decrypts a cipher text with a private key. The holder's PIN must have been proven.
    ///
    /// # Errors
    /// [`PkiError::Malformed`] where it is too long, [`PkiError::Refused`] with '6A80'
    /// where it is none of this key's, [`PkiError::Lost`].
    pub fn decrypt(&mut self, pair: Pair, text: &[u8]) -> Result<Vec<u8>, PkiError> {
        let data = decrypt_data(pair, text).ok_or(TOO_LONG)?;
        let decrypt = proprietary(0x4E, 0x00, 0x01);
        let answer = self.send(&decrypt.with_data(&data).expecting(256))?;
        done("DECRYPT", answer)
    }

    fn challenge(&mut self) -> Result<Vec<u8>, PkiError> {
        let answer = self.send(&interindustry(0x84, 0x00, 0x00).expecting(16))?;
        if answer.sw == Sw::WRONG_LENGTH {
            // Some cards give 8 bytes alone.
            let answer = self.send(&interindustry(0x84, 0x00, 0x00).expecting(8))?;
            return done("GET CHALLENGE", answer);
        }
        done("GET CHALLENGE", answer)
    }

    fn message(
        &mut self,
        token: &Token,
        header: [u8; 4],
        new: Option<&str>,
    ) -> Result<Answer, PkiError> {
        let challenge = self.challenge()?;
        let [cla, ins, p1, p2] = header;
        let data = token.message(header, &challenge, new).ok_or(NO_PIN)?;
        let class = Class::new(cla).unwrap_or(Class::BASIC);
        self.send(&Command::new(class, ins, p1, p2).with_data(&data))
    }

    fn select_file(&mut self, fid: u16) -> Result<(), PkiError> {
        let fid = fid.to_be_bytes();
        let select = interindustry(0xA4, 0x00, 0x00);
        let answer = self.send(&select.with_data(&fid).expecting(256))?;
        done("SELECT", answer).map(drop)
    }

    fn read(&mut self, offset: u16, len: u16) -> Result<Vec<u8>, PkiError> {
        let [high, low] = offset.to_be_bytes();
        let read = interindustry(0xB0, high, low).expecting(u32::from(len));
        let answer = self.send(&read)?;
        done("READ BINARY", answer)
    }

    fn send(&mut self, command: &Command<'_>) -> Result<Answer, PkiError> {
        Ok(exchange(self.icc, command)?)
    }
}

const NO_PIN: PkiError = PkiError::Malformed("a PIN has 4 to 16 digits, in pairs");
const NO_CHALLENGE: PkiError = PkiError::Malformed("a random number of neither 8 nor 16 bytes");
const TOO_LONG: PkiError = PkiError::Malformed("a cipher text that does not fit into one command");

/// The data of DECRYPT; `None` where they do not fit into one command.
pub(crate) fn decrypt_data(pair: Pair, text: &[u8]) -> Option<Vec<u8>> {
    let [high, low] = u16::try_from(text.len()).ok()?.to_be_bytes();
    let head = [0xC1, 0x82, high, low];
    let data = [&pair.private_reference()[..], &head, text].concat();
    (data.len() <= 255).then_some(data)
}

fn done(command: &'static str, answer: Answer) -> Result<Vec<u8>, PkiError> {
    match answer.sw {
        Sw::OK => Ok(answer.data),
        sw => Err(PkiError::Refused { command, sw }),
    }
}

fn pin_answer(command: &'static str, answer: Answer) -> Result<(), PkiError> {
    match answer.sw {
        Sw(sw @ 0x63C0..=0x63CF) => Err(PkiError::WrongPin(sw.to_be_bytes()[1] & 0x0F)),
        _ => done(command, answer).map(drop),
    }
}

pub(crate) fn interindustry<'a>(ins: u8, p1: u8, p2: u8) -> Command<'a> {
    Command::new(Class::BASIC, ins, p1, p2)
}

pub(crate) fn proprietary<'a>(ins: u8, p1: u8, p2: u8) -> Command<'a> {
    Command::new(Class::new(0x80).unwrap_or(Class::BASIC), ins, p1, p2)
}
