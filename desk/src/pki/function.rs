//! What a host program does with a holder's keys: sign, verify, seal and open.
//!
//! A signature is SEQUENCE { r, s }, made over the message with the usual identity. An
//! envelope is a session key encrypted for the holder's encryption certificate, and the
//! message enciphered with it, SM4 in CBC with whole blocks. It is this program's own
//! form; the one of GM/T 0010 puts the same parts into CMS.
//!
//! Source: LD/T 6001-2023, part 5 (PKI_SignData, PKI_VerifySign, digital envelope); GM/T
//! 0009-2012, 7.

use super::Pair;
use super::authority::{signature_from_der, signature_to_der};
use super::card::{Application, PkiError};
use super::check::key_of;
use cardlab::crypto::Key;
use cardlab::crypto::sm2::{IDENTITY, OVERHEAD, Order};

/// What is at the beginning of an envelope's bytes.
const MAGIC: [u8; 4] = *b"CLE1";

/// A message for one holder.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Envelope {
    /// The session key, encrypted for the holder.
    pub key: Vec<u8>,
    /// What the first block is chained to.
    pub iv: [u8; 16],
    /// The message, enciphered.
    pub message: Vec<u8>,
}

impl Envelope {
    /// "CLE1", the encrypted key (112 bytes), the first block's chain (16), the message.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        [&MAGIC[..], &self.key, &self.iv, &self.message].concat()
    }

    /// The envelope of these bytes; `None` where they are none.
    #[must_use]
    pub fn from_bytes(bytes: &[u8]) -> Option<Envelope> {
        let rest = bytes.strip_prefix(&MAGIC)?;
        let (key, rest) = rest.split_at_checked(OVERHEAD + 16)?;
        let (iv, message) = rest.split_first_chunk()?;
        let whole = !message.is_empty() && message.len().is_multiple_of(16);
        whole.then(|| Envelope {
            key: key.to_vec(),
            iv: *iv,
            message: message.to_vec(),
        })
    }
}

/// PKI_SignData: signs a message with the card's signature key, whose PIN was proven.
///
/// # Errors
/// [`PkiError::Malformed`] where the card has no such key, and what the card answers.
pub fn sign(card: &mut Application<'_>, message: &[u8]) -> Result<Vec<u8>, PkiError> {
    let key = card.public_key(Pair::Signature)?;
    let key = key.ok_or(PkiError::Malformed("the card has no signature key"))?;
    let digest = key.message_digest(IDENTITY, message);
    let digest = digest.ok_or(PkiError::Malformed("an identity that is too long"))?;
    let signature = card.sign_digest(&digest)?;
    signature_to_der(&signature).map_err(|_| PkiError::Malformed("a signature of nothing"))
}

/// PKI_VerifySign: whether a signature is one of a message by the holder of a
/// certificate in DER.
///
/// # Errors
/// What the certificate is not, in words.
pub fn verify(certificate: &[u8], message: &[u8], signature: &[u8]) -> Result<bool, String> {
    let key = key_of(certificate)?;
    let digest = key.message_digest(IDENTITY, message);
    let signature = signature_from_der(signature);
    Ok(digest
        .zip(signature)
        .is_some_and(|(digest, signature)| key.verify(&digest, &signature)))
}

/// Seals a message for the holder of an encryption certificate in DER; `fill` gives
/// random bytes.
///
/// # Errors
/// What the certificate is not, in words.
pub fn seal(
    certificate: &[u8],
    message: &[u8],
    fill: &mut dyn FnMut(&mut [u8]),
) -> Result<Envelope, String> {
    let key = key_of(certificate)?;
    let (mut session, mut iv) = ([0; 16], [0; 16]);
    fill(&mut session);
    fill(&mut iv);
    let mut sealed = [0; OVERHEAD + 16];
    let len = key
        .encrypt(&session, Order::C1C3C2, fill, &mut sealed)
        .ok_or("random bytes that make no key")?;
    let mut enciphered = message.to_vec();
    let filling = 16 - message.len() % 16;
    enciphered.resize(message.len() + filling, u8::try_from(filling).unwrap_or(16));
    let session = Key::sm4(session).expand();
    session
        .encrypt_cbc(&iv, &mut enciphered)
        .map_err(|error| error.to_string())?;
    Ok(Envelope {
        key: sealed.iter().take(len).copied().collect(),
        iv,
        message: enciphered,
    })
}

/// Opens an envelope with the card's encryption key, whose PIN was proven. The card is
/// one whose cipher texts have the standard's order.
///
/// # Errors
/// [`PkiError::Refused`] with '6A80' where it is for another holder,
/// [`PkiError::Malformed`] where the message is damaged.
pub fn open(card: &mut Application<'_>, envelope: &Envelope) -> Result<Vec<u8>, PkiError> {
    const DAMAGED: PkiError = PkiError::Malformed("the message in the envelope is damaged");
    let session = card.decrypt(Pair::Encryption, &envelope.key)?;
    let session = session.try_into().map_err(|_| DAMAGED)?;
    let mut message = envelope.message.clone();
    let session = Key::sm4(session).expand();
    session
        .decrypt_cbc(&envelope.iv, &mut message)
        .map_err(|_| DAMAGED)?;
    let filling = message.last().copied().ok_or(DAMAGED)?;
    let len = message.len().checked_sub(usize::from(filling));
    let len = len.filter(|_| (1..=16).contains(&filling)).ok_or(DAMAGED)?;
    if message.iter().skip(len).any(|&byte| byte != filling) {
        return Err(DAMAGED);
    }
    message.truncate(len);
    Ok(message)
}
