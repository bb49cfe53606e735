//! The certificates that a card shows, and what it signed, by RSA or by SM2.
//!
//! The authorities are those for tests, of which the first has a key of each kind.
//!
//! Source: JR/T 0025.7 and 0025.17, by public material; EMV 4.3 Book 2, 5 and 6.

use super::till::Wrong;
use cardlab::crypto::sm2::PublicKey as Sm2Public;
use cardlab::crypto::{Algorithm, RsaPublic, Sha1, Sm3};
use cardlab_desk::bank::authority::{
    Certificate, authority, open, open_card, open_issuer, open_static_data,
};
use cardlab_desk::bank::sm2::Sm2Pair;
use cardlab_desk::bank::{authority_sm2, sm2};
use std::collections::BTreeMap;

/// What signed dynamic data by RSA begin with: format, SHA-1.
const FORMAT_DYNAMIC: u8 = 0x05;
const SHA1: u8 = 0x01;

/// A public key of either kind.
#[derive(Clone, Debug)]
pub(crate) enum PublicKey {
    /// RSA.
    Rsa(RsaPublic),
    /// SM2.
    Sm2(Sm2Public),
}

/// What a terminal read for it.
pub(crate) struct Chain<'t> {
    /// The set of the payment: with SM4 goes SM2.
    pub(crate) algorithm: Algorithm,
    /// What was in the records, by tag.
    pub(crate) elements: &'t BTreeMap<u32, Vec<u8>>,
    /// What of it is authenticated.
    pub(crate) signed: &'t [u8],
    pub(crate) aip: [u8; 2],
}

/// The dynamic data of combined authentication.
pub(crate) struct Combined {
    pub(crate) atc: [u8; 2],
    pub(crate) cid: u8,
    pub(crate) cryptogram: [u8; 8],
    /// Over the values of the lists and the other objects of the answer.
    pub(crate) hash: Vec<u8>,
}

impl Chain<'_> {
    /// An element that the records have.
    ///
    /// # Errors
    /// That they do not.
    pub(crate) fn element(&self, tag: u32) -> Result<&[u8], Wrong> {
        let found = self.elements.get(&tag).map(Vec::as_slice);
        found.ok_or_else(|| format!("no {tag:X} in the records that were read"))
    }

    fn certificate(&self, [certificate, rest, exponent]: [u32; 3]) -> Result<Certificate, Wrong> {
        Ok(Certificate {
            certificate: self.element(certificate)?.to_vec(),
            remainder: self.element(rest).unwrap_or_default().to_vec(),
            exponent: self.element(exponent)?.to_vec(),
        })
    }

    /// The certificate by SM2 of this tag, beside which there is nothing of `others`.
    fn certificate_sm2(&self, tag: u32, others: [u32; 2]) -> Result<&[u8], Wrong> {
        match others.iter().find(|tag| self.elements.contains_key(tag)) {
            Some(other) => Err(format!("{other:X} where certificates are by SM2")),
            None => self.element(tag),
        }
    }

    fn issuer_key(&self) -> Result<PublicKey, Wrong> {
        let wrong = |error| format!("the issuer's certificate: {error}");
        let (key, name) = match self.algorithm {
            Algorithm::Des => {
                let authority = match self.element(0x8F)? {
                    [index] => authority(*index),
                    _ => None,
                };
                let authority = authority.ok_or("an authority that is none of those for tests")?;
                let certificate = self.certificate([0x90, 0x92, 0x9F32])?;
                let opened = open_issuer(authority.public(), &certificate);
                let (key, name, _) = opened.map_err(wrong)?;
                (PublicKey::Rsa(key), name)
            }
            Algorithm::Sm4 => {
                let authority = Sm2Pair::of(sm2::Whose::Authority).public();
                let certificate = self.certificate_sm2(0x90, [0x92, 0x9F32])?;
                let opened = authority_sm2::open_issuer(authority, certificate);
                let (key, name, _) = opened.map_err(wrong)?;
                (PublicKey::Sm2(key), name.to_vec())
            }
        };
        if digits(self.element(0x5A)?).starts_with(&digits(&name)) {
            Ok(key)
        } else {
            Err(format!("a certificate of the issuer {}", digits(&name)))
        }
    }

    /// What is authenticated besides the records: by '9F4A', the profile.
    fn static_data(&self) -> Result<Vec<u8>, Wrong> {
        let mut data = self.signed.to_vec();
        match self.elements.get(&0x9F4A).map(Vec::as_slice) {
            None => {}
            Some([0x82]) => data.extend(self.aip),
            Some(_) => return Err("9F4A names something else than 82".to_owned()),
        }
        Ok(data)
    }

    /// Checks the signed static data.
    ///
    /// # Errors
    /// What is wrong with the issuer's certificate, or with them.
    pub(crate) fn check_static(&self) -> Result<(), Wrong> {
        let issuer = self.issuer_key()?;
        let (signed, data) = (self.element(0x93)?, self.static_data()?);
        let opened = match &issuer {
            PublicKey::Rsa(issuer) => open_static_data(issuer, signed, &data),
            PublicKey::Sm2(issuer) => authority_sm2::open_static_data(issuer, signed, &data),
        };
        opened
            .map(|_| ())
            .map_err(|error| format!("the signed static data: {error}"))
    }

    /// The card's key.
    ///
    /// # Errors
    /// What is wrong with a certificate.
    pub(crate) fn card_key(&self) -> Result<PublicKey, Wrong> {
        let wrong = |error| format!("the card's certificate: {error}");
        let (key, name) = match self.issuer_key()? {
            PublicKey::Rsa(issuer) => {
                let certificate = self.certificate([0x9F46, 0x9F48, 0x9F47])?;
                let opened = open_card(&issuer, &certificate, &self.static_data()?);
                let (key, name, _) = opened.map_err(wrong)?;
                (PublicKey::Rsa(key), name)
            }
            PublicKey::Sm2(issuer) => {
                let certificate = self.certificate_sm2(0x9F46, [0x9F47, 0x9F48])?;
                let data = self.static_data()?;
                let opened = authority_sm2::open_card(&issuer, certificate, &data);
                let (key, name, _) = opened.map_err(wrong)?;
                (PublicKey::Sm2(key), name.to_vec())
            }
        };
        if digits(&name) == digits(self.element(0x5A)?) {
            Ok(key)
        } else {
            Err(format!("a certificate of the account {}", digits(&name)))
        }
    }
}

fn digits(packed: &[u8]) -> String {
    hex::encode(packed).trim_end_matches('f').to_owned()
}

impl PublicKey {
    /// The dynamic data in what a card signed over the terminal's `data`.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn open_dynamic(&self, signed: &[u8], data: &[u8]) -> Result<Vec<u8>, Wrong> {
        let wrong = |error| format!("the signed dynamic data: {error}");
        let recovered = match self {
            PublicKey::Rsa(key) => open(key, signed, FORMAT_DYNAMIC, &[data]).map_err(wrong)?,
            PublicKey::Sm2(key) => {
                let opened = authority_sm2::open_dynamic(key, signed, data);
                return opened.map(<[u8]>::to_vec).map_err(wrong);
            }
        };
        let dynamic = match &recovered[..] {
            [FORMAT_DYNAMIC, SHA1, len, rest @ ..] => rest.get(..usize::from(*len)),
            _ => None,
        };
        let dynamic = dynamic.ok_or("signed dynamic data of another form")?;
        Ok(dynamic.to_vec())
    }

    /// Which set it belongs to.
    pub(crate) const fn set(&self) -> Algorithm {
        match self {
            PublicKey::Rsa(_) => Algorithm::Des,
            PublicKey::Sm2(_) => Algorithm::Sm4,
        }
    }

    /// What a card signed with its cryptogram.
    ///
    /// # Errors
    /// What is wrong with it.
    pub(crate) fn open_combined(&self, signed: &[u8], number: &[u8]) -> Result<Combined, Wrong> {
        let dynamic = self.open_dynamic(signed, number)?;
        let [2, high, low, cid, rest @ ..] = &dynamic[..] else {
            return Err("a dynamic number of another length".to_owned());
        };
        let (cryptogram, hash) = rest.split_first_chunk().ok_or("no cryptogram")?;
        Ok(Combined {
            atc: [*high, *low],
            cid: *cid,
            cryptogram: *cryptogram,
            hash: hash.to_vec(),
        })
    }

    /// The hash that goes with its signatures, of parts one after the other.
    pub(crate) fn hash(&self, parts: &[&[u8]]) -> Vec<u8> {
        let parts = parts.iter().copied();
        match self {
            PublicKey::Rsa(_) => parts.fold(Sha1::new(), Sha1::chain).finish().to_vec(),
            PublicKey::Sm2(_) => parts.fold(Sm3::new(), Sm3::chain).finish().to_vec(),
        }
    }
}
