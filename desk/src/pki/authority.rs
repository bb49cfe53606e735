//! A certificate authority for tests: keys from a seed, certificates with SM2.
//!
//! A certificate has what those of the ministry's authority have: the signature
//! algorithm SM2 with SM3 (1.2.156.10197.1.501), the key's curve SM2
//! (1.2.156.10197.1.301), both key identifiers and the key usage. Its own key, and so its
//! name, begins with "TEST": nobody is to take it for one that vouches for anything.
//!
//! The library knows the form of a certificate, names, dates and extensions. What it does
//! not know of SM2 stands here: how a key and a signature are written, and that the signer's
//! identity and key go into the digest. The private extensions of the ministry's
//! certificates are not made.
//!
//! Source: RFC 5280, 4.1 and 4.2; GM/T 0015-2012, 5.2; GM/T 0009-2012, 7.

use super::Pair;
use crate::hsm::TestRoot;
use cardlab::crypto::sm2::{IDENTITY, PrivateKey, PublicKey};
use cardlab::crypto::{Cipher, Key, Random, Sm3};
use std::cell::RefCell;
use x509_cert::Certificate;
use x509_cert::builder::profile::BuilderProfile;
use x509_cert::builder::{Builder, CertificateBuilder};
use x509_cert::certificate::TbsCertificate;
use x509_cert::der::asn1::{
    BitString, GeneralizedTime, ObjectIdentifier, OctetString, UintRef, UtcTime,
};
use x509_cert::der::{self, DateTime, Decode, Encode};
use x509_cert::ext::pkix::{
    AuthorityKeyIdentifier, BasicConstraints, KeyUsage, KeyUsages, SubjectKeyIdentifier,
};
use x509_cert::ext::{Extension, ToExtension};
use x509_cert::name::Name;
use x509_cert::serial_number::SerialNumber;
use x509_cert::spki::{
    AlgorithmIdentifierOwned, Document, DynSignatureAlgorithmIdentifier, EncodePublicKey,
    SignatureBitStringEncoding, SubjectPublicKeyInfo, SubjectPublicKeyInfoRef,
};
use x509_cert::time::{Time, Validity};

/// id-ecPublicKey.
pub(super) const OID_EC_PUBLIC_KEY: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.840.10045.2.1");
/// The curve of SM2.
pub(super) const OID_SM2: ObjectIdentifier = ObjectIdentifier::new_unwrap("1.2.156.10197.1.301");
/// Signatures by SM2 with SM3.
pub(super) const OID_SM2_WITH_SM3: ObjectIdentifier =
    ObjectIdentifier::new_unwrap("1.2.156.10197.1.501");

/// From when to when the authority itself is good: decades, so that no card outlives it.
const OWN_VALIDITY: [[u16; 3]; 2] = [[2020, 1, 1], [2049, 12, 31]];

/// What a certificate is for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// Signatures of the holder.
    Signature,
    /// Keys and messages for the holder.
    Encryption,
    /// Signing certificates.
    Authority,
}

impl From<Pair> for Usage {
    fn from(pair: Pair) -> Usage {
        match pair {
            Pair::Signature => Usage::Signature,
            Pair::Encryption => Usage::Encryption,
        }
    }
}

/// What a certificate is asked for with.
#[derive(Clone, Debug)]
pub struct Request<'r> {
    /// The holder's name.
    pub name: &'r str,
    /// Its key.
    pub key: PublicKey,
    /// What it is for.
    pub usage: Usage,
    /// Its serial number, up to 20 bytes, the first one not above '7F'.
    pub serial: &'r [u8],
    /// The first day, and the last: year, month, day.
    pub days: [[u16; 3]; 2],
}

/// The authority.
#[derive(Debug)]
pub struct Authority {
    key: PrivateKey,
    public: PublicKey,
    seed: Key,
}

/// Random bytes: a function of the authority's root, of what they are for, and of how
/// often they were asked for.
pub struct Source(Random, u64);

impl Source {
    /// Fills with the next ones.
    pub fn fill(&mut self, into: &mut [u8]) {
        self.1 = self.0.fill(self.1, into);
    }
}

impl Authority {
    /// The authority of a root for tests; `None` is never seen.
    #[must_use]
    pub fn new(root: TestRoot) -> Option<Authority> {
        let seed = root.key("certificate authority", 1, Cipher::Sm4);
        let mut source = source(&seed, b"");
        let key = PrivateKey::generate(&mut |into| source.fill(into))?;
        Some(Authority {
            public: key.public_key(),
            key,
            seed,
        })
    }

    /// Random bytes for something: a card, by the bytes that tell it from others.
    #[must_use]
    pub fn source(&self, of: &[u8]) -> Source {
        source(&self.seed, of)
    }

    /// Its public key.
    #[must_use]
    pub const fn public_key(&self) -> PublicKey {
        self.public
    }

    /// Its own certificate, in DER, signed by itself.
    ///
    /// # Errors
    /// What the form of a certificate does not allow.
    pub fn certificate(&self) -> Result<Vec<u8>, String> {
        let request = Request {
            name: AUTHORITY_NAME,
            key: self.public,
            usage: Usage::Authority,
            serial: &[1],
            days: OWN_VALIDITY,
        };
        self.issue(&request, &mut self.source(b"own"))
    }

    /// Issues a certificate, in DER.
    ///
    /// # Errors
    /// What the form of a certificate does not allow: a name or a serial number too long,
    /// a day that is none.
    pub fn issue(&self, request: &Request<'_>, source: &mut Source) -> Result<Vec<u8>, String> {
        self.try_issue(request, source)
            .map_err(|error| error.to_string())
    }

    fn try_issue(
        &self,
        request: &Request<'_>,
        source: &mut Source,
    ) -> x509_cert::builder::Result<Vec<u8>> {
        let [from, to] = request.days;
        let validity = Validity::new(time(from, [0; 3])?, time(to, [23, 59, 59])?);
        let form = Form {
            issuer: name(AUTHORITY_NAME)?,
            subject: name(request.name)?,
            usage: request.usage,
        };
        let serial = SerialNumber::new(request.serial)?;
        let key = SubjectPublicKeyInfo::from_key(&Spki(request.key))?;
        let builder = CertificateBuilder::new(form, serial, validity, key)?;
        let certificate: Certificate = builder.build::<_, Signature>(&Signing {
            authority: self,
            source: RefCell::new(source),
        })?;
        Ok(certificate.to_der()?)
    }

    /// A fresh private key that the authority makes for a holder.
    #[must_use]
    pub fn make_key(&self, source: &mut Source) -> Option<PrivateKey> {
        PrivateKey::generate(&mut |into| source.fill(into))
    }
}

fn source(seed: &Key, of: &[u8]) -> Source {
    let hash = Sm3::new().chain(seed.expose()).chain(of).finish();
    let mut start = [0; 16];
    for (into, byte) in start.iter_mut().zip(hash) {
        *into = byte;
    }
    Source(Random::new(&start), 0)
}

/// The authority at work on one certificate.
struct Signing<'a> {
    authority: &'a Authority,
    source: RefCell<&'a mut Source>,
}

/// Country, and a name that says what it is.
const AUTHORITY_NAME: &str = "TEST CA of cardlab 测试证书机构";

/// The name of a holder or of the authority, in China.
fn name(common: &str) -> der::Result<Name> {
    let mut escaped = String::with_capacity(common.len());
    for c in common.chars() {
        if ",+\"\\<>;=#".contains(c) {
            escaped.push('\\');
        }
        escaped.push(c);
    }
    // Written the other way round: the country is the first in the certificate.
    format!("CN={escaped},C=CN").parse()
}

fn time([year, month, day]: [u16; 3], [hour, minute, second]: [u8; 3]) -> der::Result<Time> {
    let part = |number| u8::try_from(number).map_err(|_| der::ErrorKind::DateTime);
    let moment = DateTime::new(year, part(month)?, part(day)?, hour, minute, second)?;
    if year < 2050 {
        Ok(Time::UtcTime(UtcTime::from_date_time(moment)?))
    } else {
        Ok(Time::GeneralTime(GeneralizedTime::from_date_time(moment)))
    }
}

/// How the certificates of the authority look.
struct Form {
    issuer: Name,
    subject: Name,
    usage: Usage,
}

impl BuilderProfile for Form {
    fn get_issuer(&self, _: &Name) -> Name {
        self.issuer.clone()
    }

    fn get_subject(&self) -> Name {
        self.subject.clone()
    }

    fn build_extensions(
        &self,
        key: SubjectPublicKeyInfoRef<'_>,
        issuer: SubjectPublicKeyInfoRef<'_>,
        tbs: &TbsCertificate,
    ) -> x509_cert::builder::Result<Vec<Extension>> {
        let issuer = AuthorityKeyIdentifier {
            key_identifier: Some(OctetString::new(key_identifier(&issuer))?),
            ..AuthorityKeyIdentifier::default()
        };
        let own = SubjectKeyIdentifier(OctetString::new(key_identifier(&key))?);
        let usage = KeyUsage(match self.usage {
            Usage::Signature => KeyUsages::DigitalSignature | KeyUsages::NonRepudiation,
            Usage::Encryption => KeyUsages::KeyEncipherment | KeyUsages::DataEncipherment,
            Usage::Authority => KeyUsages::KeyCertSign | KeyUsages::CRLSign,
        });
        let mut extensions = vec![issuer.to_extension(&tbs.subject().clone(), &[])?];
        extensions.push(own.to_extension(tbs.subject(), &extensions)?);
        extensions.push(usage.to_extension(tbs.subject(), &extensions)?);
        if self.usage == Usage::Authority {
            let constraints = BasicConstraints {
                ca: true,
                path_len_constraint: Some(0),
            };
            extensions.push(constraints.to_extension(tbs.subject(), &extensions)?);
        }
        Ok(extensions)
    }
}

/// The identifier of a key: the first 20 bytes of the SM3 hash of its point. RFC 5280
/// would hash with SHA-1 and leaves the choice.
pub(super) fn key_identifier(key: &SubjectPublicKeyInfoRef<'_>) -> Vec<u8> {
    let hash = Sm3::new()
        .chain(key.subject_public_key.raw_bytes())
        .finish();
    hash.iter().take(20).copied().collect()
}

/// A public key as certificates have it.
#[derive(Clone)]
pub(super) struct Spki(pub(super) PublicKey);

impl EncodePublicKey for Spki {
    fn to_public_key_der(&self) -> x509_cert::spki::Result<Document> {
        let mut point = vec![0x04];
        point.extend(self.0.to_bytes());
        let info = SubjectPublicKeyInfo {
            algorithm: AlgorithmIdentifierOwned {
                oid: OID_EC_PUBLIC_KEY,
                parameters: Some((&OID_SM2).into()),
            },
            subject_public_key: BitString::from_bytes(&point)?,
        };
        Ok(Document::try_from(info.to_der()?)?)
    }
}

/// A signature as certificates have it: SEQUENCE { r, s }.
struct Signature(Vec<u8>);

impl SignatureBitStringEncoding for Signature {
    fn to_bitstring(&self) -> der::Result<BitString> {
        BitString::from_bytes(&self.0)
    }
}

impl signature::Keypair for Signing<'_> {
    type VerifyingKey = Spki;

    fn verifying_key(&self) -> Spki {
        Spki(self.authority.public)
    }
}

impl DynSignatureAlgorithmIdentifier for Signing<'_> {
    fn signature_algorithm_identifier(&self) -> x509_cert::spki::Result<AlgorithmIdentifierOwned> {
        Ok(AlgorithmIdentifierOwned {
            oid: OID_SM2_WITH_SM3,
            parameters: None,
        })
    }
}

impl signature::Signer<Signature> for Signing<'_> {
    fn try_sign(&self, message: &[u8]) -> Result<Signature, signature::Error> {
        let Authority { key, public, .. } = self.authority;
        let digest = public.message_digest(IDENTITY, message);
        let mut fill = |into: &mut [u8]| self.source.borrow_mut().fill(into);
        let signed = digest.and_then(|digest| key.sign(&digest, &mut fill));
        let signed = signed.ok_or_else(signature::Error::new)?;
        signature_to_der(&signed)
            .map(Signature)
            .map_err(|_| signature::Error::new())
    }
}

/// r and s as SEQUENCE { r, s }.
///
/// Source: GM/T 0009-2012, 7.3.
pub(super) fn signature_to_der(signature: &[u8; 64]) -> der::Result<Vec<u8>> {
    let (r, s) = signature.split_at(32);
    [UintRef::new(r)?, UintRef::new(s)?].to_der()
}

/// r and s of a SEQUENCE { r, s }; `None` where it is none.
pub(super) fn signature_from_der(bytes: &[u8]) -> Option<[u8; 64]> {
    let parts = Vec::<UintRef<'_>>::from_der(bytes).ok()?;
    let parts: [_; 2] = parts.try_into().ok()?;
    let mut signature = [0; 64];
    let (r, s) = signature.split_at_mut(32);
    for (into, part) in [r, s].into_iter().zip(parts) {
        let part = part.as_bytes();
        let at = into.len().checked_sub(part.len())?;
        into.get_mut(at..)?.copy_from_slice(part);
    }
    Some(signature)
}
