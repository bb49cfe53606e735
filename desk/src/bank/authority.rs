//! Certificates of issuers and cards, and signed static data, by RSA.
//!
//! ```text
//! authority ─90, 92, 9F32─► issuer ─9F46, 9F48, 9F47─► card
//!                             └─93─► static data
//! ```
//!
//! Source: EMV 4.4 book 2, 5.1 (keys and certificates of static data authentication,
//! tables 1 to 7) and 6.1 (of dynamic, tables 13 and 14).

use super::application::AUTHORITY_INDEX;
use super::rsa::{RsaPair, Whose};
use cardlab::crypto::{RsaPublic, Sha1};
use thiserror::Error;

const HEADER: u8 = 0x6A;
const TRAILER: u8 = 0xBC;
const FILLER: u8 = 0xBB;
const FORMAT_ISSUER: u8 = 0x02;
const FORMAT_STATIC_DATA: u8 = 0x03;
const FORMAT_CARD: u8 = 0x04;
/// SHA-1, and RSA.
const ALGORITHM: u8 = 0x01;
const HASH_LEN: usize = 20;

/// The authorities for tests: the index of each among those of the scheme, '8F', and its
/// key. A certificate of the second one fits a command whole, and so its record a grouping
/// of one block.
pub const AUTHORITIES: [(u8, Whose); 2] = [
    (AUTHORITY_INDEX, Whose::Authority),
    (SHORT_AUTHORITY_INDEX, Whose::ShortAuthority),
];
/// The index of the authority whose certificates are short.
pub const SHORT_AUTHORITY_INDEX: u8 = 98;

/// The key of the authority for tests with this index.
#[must_use]
pub fn authority(index: u8) -> Option<&'static RsaPair> {
    let found = AUTHORITIES.iter().find(|(known, _)| *known == index);
    found.map(|(_, whose)| RsaPair::of(*whose))
}

/// Why a certificate could not be made or does not hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum CertificateError {
    /// The key to be certified is too long for the key that signs.
    #[error("a key of {0} bytes cannot be certified by one of {1}")]
    TooLong(usize, usize),
    /// SM2 made no signature, as it may with one nonce of all that there are.
    #[error("the key makes no signature over this")]
    Unsigned,
    /// The signature does not open to what it must be; the text says what of it.
    #[error("the certificate does not hold: {0}")]
    Broken(&'static str),
}

/// A certified public key, as it goes into records.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Certificate {
    /// The signature: '90' of an issuer, '9F46' of a card.
    pub certificate: Vec<u8>,
    /// What of the modulus had no room in it: '92', '9F48'; empty where all had.
    pub remainder: Vec<u8>,
    /// The exponent: '9F32', '9F47'.
    pub exponent: Vec<u8>,
}

/// Who is certified, and until when.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Subject {
    /// The last month of validity, MMYY.
    pub expiry: [u8; 2],
    /// The number that the signer gives.
    pub serial: [u8; 3],
}

/// Certifies an issuer's key; `identifier` is the leftmost digits of its accounts,
/// packed and filled with F.
///
/// # Errors
/// [`CertificateError::TooLong`].
pub fn certify_issuer(
    authority: &RsaPair,
    issuer: &RsaPublic,
    identifier: [u8; 4],
    subject: &Subject,
) -> Result<Certificate, CertificateError> {
    certify(authority, issuer, FORMAT_ISSUER, &identifier, subject, &[])
}

/// Certifies a card's key together with the static data that are authenticated.
///
/// `account` is the account number, packed and filled with F.
///
/// # Errors
/// [`CertificateError::TooLong`].
pub fn certify_card(
    issuer: &RsaPair,
    card: &RsaPublic,
    account: [u8; 10],
    subject: &Subject,
    static_data: &[u8],
) -> Result<Certificate, CertificateError> {
    certify(issuer, card, FORMAT_CARD, &account, subject, static_data)
}

fn certify(
    signer: &RsaPair,
    key: &RsaPublic,
    format: u8,
    name: &[u8],
    subject: &Subject,
    static_data: &[u8],
) -> Result<Certificate, CertificateError> {
    let (len, signer_len) = (key.modulus().len(), signer.public().modulus().len());
    let too_long = CertificateError::TooLong(len, signer_len);
    // Header, format, hash and trailer, name, date, number, algorithms and lengths.
    let around = 2 + name.len() + 2 + 3 + 4 + HASH_LEN + 1;
    let room = signer_len.checked_sub(around).ok_or(too_long)?;
    if len > signer_len {
        return Err(too_long);
    }
    let len_byte = u8::try_from(len).map_err(|_| too_long)?;
    let exponent_len = u8::try_from(key.exponent().len()).map_err(|_| too_long)?;
    let (left, remainder) = key.modulus().split_at(len.min(room));
    let mut signed = vec![format];
    signed.extend(name);
    signed.extend(subject.expiry);
    signed.extend(subject.serial);
    signed.extend([ALGORITHM, ALGORITHM, len_byte, exponent_len]);
    signed.extend(left);
    signed.resize(signer_len - HASH_LEN - 2, FILLER);
    let over = [&signed[..], remainder, key.exponent(), static_data];
    Ok(Certificate {
        certificate: sign(signer, &signed, &over).ok_or(too_long)?,
        remainder: remainder.to_vec(),
        exponent: key.exponent().to_vec(),
    })
}

/// The signed static data, '93': `code` is the data authentication code.
///
/// # Errors
/// [`CertificateError::TooLong`], which no key of 64 bytes or more gives.
pub fn sign_static_data(
    issuer: &RsaPair,
    code: [u8; 2],
    static_data: &[u8],
) -> Result<Vec<u8>, CertificateError> {
    let len = issuer.public().modulus().len();
    let mut signed = vec![FORMAT_STATIC_DATA, ALGORITHM];
    signed.extend(code);
    signed.resize(len - HASH_LEN - 2, FILLER);
    let over = [&signed[..], static_data];
    sign(issuer, &signed, &over).ok_or(CertificateError::TooLong(0, len))
}

/// Header, what is signed, the hash over `over`, trailer, all signed.
fn sign(signer: &RsaPair, signed: &[u8], over: &[&[u8]]) -> Option<Vec<u8>> {
    let hash = over.iter().fold(Sha1::new(), |hash, part| hash.chain(part));
    let block = [&[HEADER], signed, &hash.finish(), &[TRAILER]].concat();
    signer.sign(&block)
}

/// What is in a signature between header and hash, once header, trailer, format and hash
/// are right; `over` is hashed behind it.
///
/// # Errors
/// [`CertificateError::Broken`].
pub fn open(
    key: &RsaPublic,
    signature: &[u8],
    format: u8,
    over: &[&[u8]],
) -> Result<Vec<u8>, CertificateError> {
    let broken = CertificateError::Broken;
    let block = key.apply(signature).ok_or(broken("its length"))?;
    let [HEADER, signed @ .., TRAILER] = &block[..] else {
        return Err(broken("header or trailer"));
    };
    let (signed, hash) = signed
        .split_last_chunk::<HASH_LEN>()
        .ok_or(broken("its length"))?;
    if signed.first() != Some(&format) {
        return Err(broken("its format"));
    }
    let computed = over
        .iter()
        .fold(Sha1::new().chain(signed), |hash, part| hash.chain(part));
    if computed.finish() != *hash {
        return Err(broken("its hash"));
    }
    Ok(signed.to_vec())
}

/// The key that a certificate is for, and who has it: the issuer identifier or the
/// account.
///
/// # Errors
/// [`CertificateError::Broken`].
fn open_certificate(
    signer: &RsaPublic,
    certificate: &Certificate,
    format: u8,
    name_len: usize,
    static_data: &[u8],
) -> Result<(RsaPublic, Vec<u8>, [u8; 2]), CertificateError> {
    let broken = CertificateError::Broken;
    let Certificate {
        certificate: signature,
        remainder,
        exponent,
    } = certificate;
    let over = [&remainder[..], &exponent[..], static_data];
    let signed = open(signer, signature, format, &over)?;
    let (name, rest) = signed
        .get(1..)
        .and_then(|rest| rest.split_at_checked(name_len))
        .ok_or(broken("its length"))?;
    let (&expiry, rest) = rest.split_first_chunk::<2>().ok_or(broken("its length"))?;
    let (_, rest) = rest.split_first_chunk::<3>().ok_or(broken("its length"))?;
    let (&[hash, algorithm, len, exponent_len], left) =
        rest.split_first_chunk().ok_or(broken("its length"))?;
    if (hash, algorithm) != (ALGORITHM, ALGORITHM) {
        return Err(broken("its algorithms"));
    }
    if usize::from(exponent_len) != exponent.len() {
        return Err(broken("the length of the exponent"));
    }
    let len = usize::from(len);
    let own = left.get(..len.min(left.len())).unwrap_or_default();
    let modulus = [own, remainder].concat();
    if modulus.len() != len {
        return Err(broken("the remainder of the key"));
    }
    let key = RsaPublic::new(&modulus, exponent).ok_or(broken("the key in it"))?;
    Ok((key, name.to_vec(), expiry))
}

/// The issuer's key, its identifier, and the last month of validity, MMYY.
///
/// # Errors
/// [`CertificateError::Broken`].
pub fn open_issuer(
    authority: &RsaPublic,
    certificate: &Certificate,
) -> Result<(RsaPublic, Vec<u8>, [u8; 2]), CertificateError> {
    open_certificate(authority, certificate, FORMAT_ISSUER, 4, &[])
}

/// The card's key, its account, and the last month of validity, MMYY.
///
/// # Errors
/// [`CertificateError::Broken`].
pub fn open_card(
    issuer: &RsaPublic,
    certificate: &Certificate,
    static_data: &[u8],
) -> Result<(RsaPublic, Vec<u8>, [u8; 2]), CertificateError> {
    open_certificate(issuer, certificate, FORMAT_CARD, 10, static_data)
}

/// The data authentication code of signed static data.
///
/// # Errors
/// [`CertificateError::Broken`].
pub fn open_static_data(
    issuer: &RsaPublic,
    signature: &[u8],
    static_data: &[u8],
) -> Result<[u8; 2], CertificateError> {
    let signed = open(issuer, signature, FORMAT_STATIC_DATA, &[static_data])?;
    match signed[..] {
        [_, ALGORITHM, a, b, ..] => Ok([a, b]),
        _ => Err(CertificateError::Broken("its algorithm")),
    }
}

#[cfg(test)]
mod tests {
    use super::{
        CertificateError, Subject, certify_card, certify_issuer, open_card, open_issuer,
        open_static_data, sign_static_data,
    };
    use crate::bank::rsa::{RsaPair, Whose};

    const SUBJECT: Subject = Subject {
        expiry: [0x12, 0x34],
        serial: [0, 0, 1],
    };
    const ACCOUNT: [u8; 10] = [0x62, 0x28, 0, 0x01, 0, 0, 0x01, 0xFF, 0xFF, 0xFF];
    const STATIC_DATA: &[u8] = b"records, and the AIP";

    #[test]
    fn certificates_of_all_lengths_open_to_what_they_were_made_of() {
        let authority = RsaPair::of(Whose::Authority);
        for issuer in [Whose::Issuer, Whose::LongIssuer] {
            let issuer = RsaPair::of(issuer);
            let made = certify_issuer(authority, issuer.public(), [0x62, 0x28, 0, 0xFF], &SUBJECT);
            let opened = open_issuer(authority.public(), &made.unwrap());
            let name = vec![0x62, 0x28, 0, 0xFF];
            assert_eq!(opened, Ok((issuer.public().clone(), name, SUBJECT.expiry)));
            for card in [Whose::Card(0), Whose::LongCard] {
                let card = RsaPair::of(card);
                let made = certify_card(issuer, card.public(), ACCOUNT, &SUBJECT, STATIC_DATA);
                if card.public().modulus().len() > issuer.public().modulus().len() {
                    assert_eq!(made, Err(CertificateError::TooLong(248, 176)));
                    continue;
                }
                let made = made.unwrap();
                let opened = open_card(issuer.public(), &made, STATIC_DATA);
                let name = ACCOUNT.to_vec();
                assert_eq!(opened, Ok((card.public().clone(), name, SUBJECT.expiry)));
                let other = open_card(issuer.public(), &made, b"other records");
                assert_eq!(other, Err(CertificateError::Broken("its hash")));
            }
        }
    }

    #[test]
    fn a_certificate_with_any_byte_changed_does_not_hold() {
        let (authority, issuer) = (RsaPair::of(Whose::Authority), RsaPair::of(Whose::Issuer));
        let made = certify_issuer(authority, issuer.public(), [0x62; 4], &SUBJECT).unwrap();
        for index in 0..made.certificate.len() {
            let mut spoiled = made.clone();
            spoiled.certificate[index] ^= 1;
            assert!(
                open_issuer(authority.public(), &spoiled).is_err(),
                "byte {index}"
            );
        }
        let mut spoiled = made.clone();
        spoiled.exponent = vec![5];
        assert!(open_issuer(authority.public(), &spoiled).is_err());
        assert!(
            open_card(authority.public(), &made, &[]).is_err(),
            "another format"
        );
    }

    #[test]
    fn signed_static_data_open_to_their_code() {
        let issuer = RsaPair::of(Whose::Issuer);
        let signed = sign_static_data(issuer, [0xDA, 0xC0], STATIC_DATA).unwrap();
        let opened = open_static_data(issuer.public(), &signed, STATIC_DATA);
        assert_eq!(opened, Ok([0xDA, 0xC0]));
        let other = open_static_data(issuer.public(), &signed, b"");
        assert_eq!(other, Err(CertificateError::Broken("its hash")));
    }
}
