//! Cryptograms as cards answer them, and the sums that they are.
//!
//! Source: JR/T 0025.5 and 0025.7, cryptogram version 01, by public material.

use cardlab::crypto::{Algorithm, Expanded, Key, Padding, pboc};
use cardlab::tag;
use cardlab::tlv::{self, Objects, Tag, Writer};
use cardlab_desk::bank::key::KeySet;

/// An answer to GENERATE AC.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Answered<'a> {
    /// The cryptogram information data.
    pub(crate) cid: u8,
    pub(crate) atc: u16,
    pub(crate) made: Made<'a>,
    /// The issuer application data.
    pub(crate) issuer: &'a [u8],
}

/// Where the cryptogram is.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Made<'a> {
    /// Here.
    Plain([u8; 8]),
    /// In this signature.
    Signed(&'a [u8]),
}

impl<'a> Answered<'a> {
    /// One of either format.
    pub(crate) fn parse(answer: &'a [u8]) -> Option<Answered<'a>> {
        if let Ok(Some(value)) = tlv::find(answer, &[tag!(0x80)]) {
            let (&[cid, high, low, ref made @ ..], issuer) = value.split_first_chunk::<11>()?;
            return Some(Answered {
                cid,
                atc: u16::from_be_bytes([high, low]),
                made: Made::Plain(*made),
                issuer,
            });
        }
        let of = |tag: Tag| tlv::find(answer, &[tag!(0x77), tag]).ok().flatten();
        let &[cid] = of(tag!(0x9F27))? else {
            return None;
        };
        let made = match (of(tag!(0x9F4B)), of(tag!(0x9F26))) {
            (Some(signature), _) => Made::Signed(signature),
            (None, Some(plain)) => Made::Plain(plain.try_into().ok()?),
            (None, None) => return None,
        };
        Some(Answered {
            cid,
            atc: u16::from_be_bytes(of(tag!(0x9F36))?.try_into().ok()?),
            made,
            issuer: of(tag!(0x9F10))?,
        })
    }

    /// What makes its sums; `None` of another version, or of what is not known.
    pub(crate) fn algorithm(&self) -> Option<Algorithm> {
        match (
            self.issuer.get(VERSION_AT)?,
            *self.issuer.get(ALGORITHM_AT)?,
        ) {
            (1, DES) => Some(Algorithm::Des),
            (1, SM4) => Some(Algorithm::Sm4),
            _ => None,
        }
    }

    /// The card verification results, with their length.
    pub(crate) fn cvr(&self) -> Option<[u8; 4]> {
        cvr(self.issuer)
    }
}

/// Where the version of a cryptogram is in issuer application data, and what made it.
const VERSION_AT: usize = 2;
pub(crate) const ALGORITHM_AT: usize = 7;
const DES: u8 = 1;
const SM4: u8 = 4;

/// What issuer application data say of an algorithm.
pub(crate) const fn says(algorithm: Algorithm) -> u8 {
    match algorithm {
        Algorithm::Des => DES,
        Algorithm::Sm4 => SM4,
    }
}

/// The objects of a template '77' that a signature in it is over.
pub(crate) fn besides_the_signature(template: &[u8]) -> Vec<u8> {
    let mut others = Vec::new();
    for object in Objects::new(template).filter_map(Result::ok) {
        if object.tag != tag!(0x9F4B) {
            Writer::append(&mut others).object(object.tag, object.value);
        }
    }
    others
}

/// The card verification results in issuer application data, with their length.
pub(crate) fn cvr(issuer: &[u8]) -> Option<[u8; 4]> {
    issuer.get(3..7)?.try_into().ok()
}

/// A card's key in the payment with this counter.
pub(crate) fn session(key: &Key, atc: u16) -> Expanded {
    pboc::session_key(&key.expand(), atc).expand()
}

/// What is summed before the profile, the counter and the results: tag and length.
const SUMMED: [(u32, usize); 8] = [
    (0x9F02, 6),
    (0x9F03, 6),
    (0x9F1A, 2),
    (0x95, 5),
    (0x5F2A, 2),
    (0x9A, 3),
    (0x9C, 1),
    (0x9F37, 4),
];

/// The cryptogram over a payment; what the terminal was not asked is '00'.
pub(crate) fn sum<'v>(
    keys: &KeySet,
    atc: u16,
    aip: [u8; 2],
    cvr: [u8; 4],
    told: impl Fn(u32) -> Option<&'v [u8]>,
) -> [u8; 8] {
    const ZEROS: [u8; 6] = [0; 6];
    let atc_bytes = atc.to_be_bytes();
    let mut parts: [&[u8]; 11] = [&[]; 11];
    for (part, (tag, len)) in parts.iter_mut().zip(SUMMED) {
        let missing = ZEROS.get(..len).unwrap_or_default();
        *part = told(tag).unwrap_or(missing);
    }
    parts[8..].copy_from_slice(&[&aip, &atc_bytes, &cvr]);
    pboc::cryptogram(&session(&keys.cryptograms, atc), &parts)
}

/// Whether discretionary data of the issuer have the right MAC; `None` where there are
/// none, or none that can be told from their MAC; `long` is how ten bytes are padded.
pub(crate) fn discretionary_is_right(
    keys: &KeySet,
    atc: u16,
    issuer: &[u8],
    long: Padding,
) -> Option<bool> {
    let (value, mac) = issuer.get(8..)?.split_last_chunk()?;
    let value = value.get(2..).unwrap_or_default();
    let right = pboc::discretionary_mac(&session(&keys.macs, atc), atc, value, long);
    Some(right == *mac)
}
