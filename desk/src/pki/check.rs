//! CHECK_CERT: whether the certificates on a card are right.
//!
//! Each finding says what was looked at and what was found; a card passes where all are
//! good. That a key is the certificate's is shown by the public keys on the card, and, with
//! the PIN proven, by a signature and a decryption as well.
//!
//! Source: LD/T 6001.3-2023, 10.3 (the title alone is public); RFC 5280, 6.1.3.

use super::Pair;
use super::authority::{OID_EC_PUBLIC_KEY, OID_SM2, OID_SM2_WITH_SM3, signature_from_der};
use super::card::{Application, PkiError};
use crate::encode::hexadecimal;
use cardlab::crypto::sm2::{IDENTITY, OVERHEAD, Order, PublicKey};
use core::fmt;
use x509_cert::Certificate;
use x509_cert::der::asn1::ObjectIdentifier;
use x509_cert::der::pem::LineEnding;
use x509_cert::der::{Decode, Encode, EncodePem};
use x509_cert::ext::pkix::{KeyUsage, KeyUsages};

/// What is looked at.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Item {
    /// There is a certificate, in the form of X.509.
    Form,
    /// Its algorithms are SM2 with SM3.
    Algorithm,
    /// The authority signed it.
    Signature,
    /// The authority's name is the issuer's.
    Issuer,
    /// The day lies within its validity.
    Validity,
    /// Its key usage is that of the pair.
    KeyUsage,
    /// Its key is the one in the EF of the public key.
    PublicKey,
    /// The card has the private key to it.
    PrivateKey,
}

/// What was found.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Finding {
    /// Of which pair's certificate.
    pub pair: Pair,
    /// What was looked at.
    pub item: Item,
    /// Why it is not right; `None` where it is.
    pub wrong: Option<String>,
}

impl Finding {
    const fn new(pair: Pair, item: Item, wrong: Option<String>) -> Finding {
        Finding { pair, item, wrong }
    }

    /// Whether it is right.
    #[must_use]
    pub const fn is_good(&self) -> bool {
        self.wrong.is_none()
    }
}

impl Item {
    /// Its words in English.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Item::Form => "a certificate in the form of X.509",
            Item::Algorithm => "SM2 with SM3",
            Item::Signature => "signed by the authority",
            Item::Issuer => "issued in the authority's name",
            Item::Validity => "valid on the day",
            Item::KeyUsage => "the key usage of its pair",
            Item::PublicKey => "the public key on the card",
            Item::PrivateKey => "the private key on the card",
        }
    }

    /// Its words in Chinese.
    #[must_use]
    pub const fn words_zh(self) -> &'static str {
        match self {
            Item::Form => "X.509格式的证书",
            Item::Algorithm => "SM2/SM3算法",
            Item::Signature => "由证书机构签发",
            Item::Issuer => "颁发者名称一致",
            Item::Validity => "在有效期内",
            Item::KeyUsage => "密钥用途正确",
            Item::PublicKey => "与卡内公钥一致",
            Item::PrivateKey => "与卡内私钥匹配",
        }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let pair = match self.pair {
            Pair::Signature => "signature",
            Pair::Encryption => "encryption",
        };
        write!(f, "{pair} certificate: {}", self.item.words())?;
        match &self.wrong {
            Some(wrong) => write!(f, ": {wrong}"),
            None => Ok(()),
        }
    }
}

/// Looks at both certificates of a card: against the authority's own, in DER, on a day,
/// year, month and day. The private keys are looked at only where `proven` says that the
/// PIN that they need was, and in which order the card wants the parts of a cipher text.
///
/// # Errors
/// [`PkiError::Lost`]; all else is a finding.
pub fn check(
    card: &mut Application<'_>,
    authority: &[u8],
    day: [u16; 3],
    proven: Option<Order>,
) -> Result<Vec<Finding>, PkiError> {
    let mut findings = Vec::new();
    for pair in Pair::ALL {
        let der = match card.certificate(pair) {
            Ok(Some(der)) => Ok(der),
            Ok(None) => Err("there is none".to_owned()),
            Err(PkiError::Lost(lost)) => return Err(PkiError::Lost(lost)),
            Err(error) => Err(error.to_string()),
        };
        let der = match der {
            Ok(der) => der,
            Err(wrong) => {
                findings.push(Finding::new(pair, Item::Form, Some(wrong)));
                continue;
            }
        };
        let (alone, key) = examine(pair, &der, Some(authority), Some(day));
        let is_one = alone.iter().all(|f| f.item != Item::Form || f.is_good());
        findings.extend(alone);
        if !is_one {
            continue;
        }
        let on_card = match card.public_key(pair) {
            Err(PkiError::Lost(lost)) => return Err(PkiError::Lost(lost)),
            other => other,
        };
        let wrong = match (&key, on_card) {
            (Ok(key), Ok(Some(on_card))) if *key == on_card => None,
            (Ok(_), Ok(Some(_))) => Some("the card has another one".to_owned()),
            (_, Ok(None)) => Some("the card has none".to_owned()),
            (Err(error), _) => Some(error.clone()),
            (_, Err(error)) => Some(error.to_string()),
        };
        findings.push(Finding::new(pair, Item::PublicKey, wrong));
        if let (Some(order), Ok(key)) = (proven, key) {
            let wrong = match private_key(card, pair, &key, order) {
                Err(PkiError::Lost(lost)) => return Err(PkiError::Lost(lost)),
                Err(error) => Some(error.to_string()),
                Ok(true) => None,
                Ok(false) => Some("the card has another one".to_owned()),
            };
            findings.push(Finding::new(pair, Item::PrivateKey, wrong));
        }
    }
    Ok(findings)
}

/// Looks at a certificate alone, in DER: at its form, its algorithms and its key usage;
/// where the authority's own is known, in DER, whether that signed and issued it; where the
/// day is known, year, month and day, at its validity. Gives its key, or why there is
/// none, too.
pub fn examine(
    pair: Pair,
    der: &[u8],
    authority: Option<&[u8]>,
    day: Option<[u16; 3]>,
) -> (Vec<Finding>, Result<PublicKey, String>) {
    let certificate = match Certificate::from_der(der) {
        Ok(certificate) => certificate,
        Err(error) => {
            let wrong = error.to_string();
            let finding = Finding::new(pair, Item::Form, Some(wrong.clone()));
            return (vec![finding], Err(wrong));
        }
    };
    let mut findings = vec![Finding::new(pair, Item::Form, None)];
    let mut add = |item, wrong| findings.push(Finding::new(pair, item, wrong));
    let key = key_in(&certificate);
    let other = other_algorithm(&certificate);
    add(Item::Algorithm, other.or_else(|| key.clone().err()));
    if let Some(authority) = authority {
        let authority = Certificate::from_der(authority).map_err(|error| error.to_string());
        let signed = authority.as_ref().map_err(Clone::clone);
        let signed = signed.and_then(|authority| signed_by(&certificate, authority));
        add(Item::Signature, signed.err());
        let issuer = certificate.tbs_certificate().issuer();
        let issued =
            authority.is_ok_and(|authority| authority.tbs_certificate().subject() == issuer);
        add(
            Item::Issuer,
            (!issued).then(|| format!("issued by {issuer}")),
        );
    }
    if let Some(day) = day {
        add(Item::Validity, outside_validity(&certificate, day));
    }
    add(Item::KeyUsage, key_usage(&certificate, pair));
    (findings, key)
}

fn other_algorithm(certificate: &Certificate) -> Option<String> {
    let signature = certificate.tbs_certificate().signature();
    let algorithms = [certificate.signature_algorithm(), signature];
    let other = algorithms.iter().find(|a| a.oid != OID_SM2_WITH_SM3);
    other.map(|algorithm| format!("signed with {}", algorithm.oid))
}

fn signed_by(certificate: &Certificate, authority: &Certificate) -> Result<(), String> {
    let key = key_in(authority)?;
    let tbs = certificate.tbs_certificate();
    let der = tbs.to_der().map_err(|error| error.to_string())?;
    let digest = key.message_digest(IDENTITY, &der);
    let signature = signature_from_der(certificate.signature().raw_bytes());
    let good = digest
        .zip(signature)
        .is_some_and(|(digest, signature)| key.verify(&digest, &signature));
    good.then_some(()).ok_or_else(|| "it did not".to_owned())
}

fn outside_validity(certificate: &Certificate, day: [u16; 3]) -> Option<String> {
    let validity = certificate.tbs_certificate().validity();
    let from = validity.not_before.to_date_time();
    let to = validity.not_after.to_date_time();
    let of = |moment: &x509_cert::der::DateTime| {
        [
            moment.year(),
            u16::from(moment.month()),
            u16::from(moment.day()),
        ]
    };
    let within = (of(&from)..=of(&to)).contains(&day);
    (!within).then(|| format!("valid from {from} to {to}"))
}

fn key_usage(certificate: &Certificate, pair: Pair) -> Option<String> {
    let wanted = match pair {
        Pair::Signature => KeyUsages::DigitalSignature,
        Pair::Encryption => KeyUsages::KeyEncipherment,
    };
    match certificate.tbs_certificate().get_extension::<KeyUsage>() {
        Ok(Some((_, usage))) if usage.0.contains(wanted) => None,
        Ok(Some(_)) => Some("it is for something else".to_owned()),
        Ok(None) => Some("it says none".to_owned()),
        Err(error) => Some(error.to_string()),
    }
}

/// Whether the card has the private key of a public one, shown by using it.
fn private_key(
    card: &mut Application<'_>,
    pair: Pair,
    key: &PublicKey,
    order: Order,
) -> Result<bool, PkiError> {
    // Any message will do: what is asked is whether the card can.
    const MESSAGE: &[u8; 16] = b"CHECK_CERT 10.3.";
    match pair {
        Pair::Signature => {
            let digest = key.message_digest(IDENTITY, MESSAGE).unwrap_or_default();
            let signature = card.sign_digest(&digest)?;
            Ok(key.verify(&digest, &signature))
        }
        Pair::Encryption => {
            let mut text = [0; OVERHEAD + MESSAGE.len()];
            let mut counter = 0u8;
            let mut fill = |into: &mut [u8]| {
                counter += 1;
                into.fill(counter);
            };
            key.encrypt(MESSAGE, order, &mut fill, &mut text)
                .ok_or(PkiError::Malformed("random bytes that make no key"))?;
            match card.decrypt(pair, &text) {
                Ok(message) => Ok(message == MESSAGE),
                Err(PkiError::Refused { sw, .. }) if sw == cardlab::apdu::Sw::WRONG_DATA => {
                    Ok(false)
                }
                Err(error) => Err(error),
            }
        }
    }
}

/// Something that a certificate says: its name in English and in Chinese, and what.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fact {
    /// Its name in English.
    pub en: &'static str,
    /// Its name in Chinese.
    pub zh: &'static str,
    /// What the certificate says.
    pub says: String,
}

/// What a certificate in DER says, for people.
///
/// # Errors
/// Why it is none.
pub fn facts(certificate: &[u8]) -> Result<Vec<Fact>, String> {
    let certificate = Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    let tbs = certificate.tbs_certificate();
    let fact = |en, zh, says| Fact { en, zh, says };
    let validity = tbs.validity();
    let (from, to) = (
        validity.not_before.to_date_time(),
        validity.not_after.to_date_time(),
    );
    let key = match key_in(&certificate) {
        Ok(key) => hexadecimal(&key.to_bytes()),
        Err(says) => says,
    };
    Ok(vec![
        fact("holder", "持有人", tbs.subject().to_string()),
        fact("issuer", "颁发者", tbs.issuer().to_string()),
        fact(
            "serial number",
            "序列号",
            hexadecimal(tbs.serial_number().as_bytes()),
        ),
        fact("valid", "有效期", format!("{from} to {to}")),
        fact("public key", "公钥", key),
    ])
}

/// A certificate in DER as PEM, for other programs.
///
/// # Errors
/// Why it is none.
pub fn as_pem(certificate: &[u8]) -> Result<String, String> {
    let certificate = Certificate::from_der(certificate).map_err(|error| error.to_string())?;
    certificate
        .to_pem(LineEnding::LF)
        .map_err(|error| error.to_string())
}

/// The public key in a certificate in DER.
pub(super) fn key_of(certificate: &[u8]) -> Result<PublicKey, String> {
    let certificate = Certificate::from_der(certificate)
        .map_err(|error| format!("not a certificate in DER: {error}"))?;
    key_in(&certificate)
}

fn key_in(certificate: &Certificate) -> Result<PublicKey, String> {
    let info = certificate.tbs_certificate().subject_public_key_info();
    if info.algorithm.oid != OID_EC_PUBLIC_KEY {
        return Err(format!("a key for {}", info.algorithm.oid));
    }
    let curve = info.algorithm.parameters.as_ref();
    let curve = curve.and_then(|curve| curve.decode_as::<ObjectIdentifier>().ok());
    if curve != Some(OID_SM2) {
        return Err("a key of another curve than SM2".to_owned());
    }
    match info.subject_public_key.raw_bytes() {
        [0x04, point @ ..] => point.try_into().ok().and_then(PublicKey::from_bytes),
        _ => None,
    }
    .ok_or_else(|| "a key that is no point of the curve".to_owned())
}
