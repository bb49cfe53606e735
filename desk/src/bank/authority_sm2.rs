//! Certificates and signed data of the SM set, made and opened; experimental.
//!
//! | element | what is signed, and then the signature                             | len |
//! |---------|--------------------------------------------------------------------|-----|
//! | '90'    | '12', issuer identifier (4), expiry MMYY, serial (3), the key        | 142 |
//! | '9F46'  | '14', account (10), expiry MMYY, serial (3), the key; static data    | 148 |
//! | '93'    | '13', data authentication code (2); static data                     | 67  |
//! | '9F4B'  | '15', a length, as many dynamic data; the terminal's data            |     |
//!
//! A key is '04' (signed by SM2 with SM3), '00' (what it enciphers with, not used), '11'
//! (the parameters of the curve), '40' (its length) and both coordinates. What stands
//! behind the semicolon is signed and not sent. A signature is R and S, 32 bytes each, by
//! the identity that signers have where nobody says another.
//!
//! Nothing of this has exponents ('9F32', '9F47') or remainders ('92', '9F48').
//!
//! Of '9F4B' the public sources do not agree: in one the terminal's data are not sent, in
//! the other they stand between the dynamic data and the signature, and the length does
//! not count them. What is signed is the same, and what is read is told by its length.
//!
//! Source: JR/T 0025.7 and 0025.17, by public material: record layouts of terminals'
//! kernels, a bureau's personalisation tool, records of real cards, and a certificate
//! under the scheme's test key of index '57', which is a test here.

use super::authority::{CertificateError, Subject};
use super::sm2::Sm2Pair;
use cardlab::crypto::sm2::{IDENTITY, PublicKey};

/// What an issuer's certificate begins with; where '9F32' is missing, it tells the set.
pub const FORMAT_ISSUER: u8 = 0x12;
const FORMAT_STATIC_DATA: u8 = 0x13;
const FORMAT_CARD: u8 = 0x14;
const FORMAT_DYNAMIC: u8 = 0x15;
/// SM2 with SM3.
const ALGORITHM: u8 = 0x04;
/// None that is used.
const ENCIPHERING: u8 = 0x00;
/// The curve of GB/T 32918.5.
const PARAMETERS: u8 = 0x11;
/// Bytes of a key, and of a signature.
const KEY_LEN: usize = 64;

/// Certifies an issuer's key, '90': `identifier` is the leftmost digits of its accounts,
/// packed and filled with F.
///
/// # Errors
/// [`CertificateError::Unsigned`].
pub fn certify_issuer(
    authority: &Sm2Pair,
    issuer: &PublicKey,
    identifier: [u8; 4],
    subject: &Subject,
) -> Result<Vec<u8>, CertificateError> {
    let signed = certified(FORMAT_ISSUER, &identifier, subject, issuer);
    sign(authority, signed, &[])
}

/// Certifies a card's key together with the static data that are authenticated, '9F46'.
///
/// `account` is the account number, packed and filled with F.
///
/// # Errors
/// [`CertificateError::Unsigned`].
pub fn certify_card(
    issuer: &Sm2Pair,
    card: &PublicKey,
    account: [u8; 10],
    subject: &Subject,
    static_data: &[u8],
) -> Result<Vec<u8>, CertificateError> {
    let signed = certified(FORMAT_CARD, &account, subject, card);
    sign(issuer, signed, static_data)
}

/// The signed static data, '93': `code` is the data authentication code.
///
/// # Errors
/// [`CertificateError::Unsigned`].
pub fn sign_static_data(
    issuer: &Sm2Pair,
    code: [u8; 2],
    static_data: &[u8],
) -> Result<Vec<u8>, CertificateError> {
    let [a, b] = code;
    sign(issuer, vec![FORMAT_STATIC_DATA, a, b], static_data)
}

fn certified(format: u8, name: &[u8], subject: &Subject, key: &PublicKey) -> Vec<u8> {
    let mut signed = vec![format];
    signed.extend(name);
    signed.extend(subject.expiry);
    signed.extend(subject.serial);
    signed.extend([ALGORITHM, ENCIPHERING, PARAMETERS, 0x40]);
    signed.extend(key.to_bytes());
    signed
}

/// What is signed, and the signature over it and over what is not sent.
fn sign(signer: &Sm2Pair, signed: Vec<u8>, besides: &[u8]) -> Result<Vec<u8>, CertificateError> {
    let message = [&signed[..], besides].concat();
    let signature = signer.sign(&message).ok_or(CertificateError::Unsigned)?;
    Ok([&signed[..], &signature].concat())
}

/// What of it is signed, once format and signature are right; `besides` is signed with it.
fn open<'s>(
    signer: &PublicKey,
    whole: &'s [u8],
    format: u8,
    besides: &[u8],
) -> Result<&'s [u8], CertificateError> {
    let broken = CertificateError::Broken;
    let (signed, signature) = whole
        .split_last_chunk::<KEY_LEN>()
        .ok_or(broken("its length"))?;
    if signed.first() != Some(&format) {
        return Err(broken("its format"));
    }
    let message = [signed, besides].concat();
    let digest = signer.message_digest(IDENTITY, &message);
    if !digest.is_some_and(|digest| signer.verify(&digest, signature)) {
        return Err(broken("its signature"));
    }
    Ok(signed)
}

/// The key that a certificate is for, who has it, and the last month of validity.
fn open_certificate<const NAME_LEN: usize>(
    signer: &PublicKey,
    certificate: &[u8],
    format: u8,
    static_data: &[u8],
) -> Result<(PublicKey, [u8; NAME_LEN], [u8; 2]), CertificateError> {
    let broken = CertificateError::Broken;
    if certificate.len() != 1 + NAME_LEN + 2 + 3 + 4 + KEY_LEN + KEY_LEN {
        return Err(broken("its length"));
    }
    let signed = open(signer, certificate, format, static_data)?;
    let length = broken("its length");
    let (_, rest) = signed.split_first().ok_or(length)?;
    let (&name, rest) = rest.split_first_chunk().ok_or(length)?;
    let (&expiry, rest) = rest.split_first_chunk().ok_or(length)?;
    let (_, rest) = rest.split_first_chunk::<3>().ok_or(length)?;
    let (&[algorithm, _, parameters, len], key) = rest.split_first_chunk().ok_or(length)?;
    if (algorithm, parameters) != (ALGORITHM, PARAMETERS) {
        return Err(broken("its algorithms"));
    }
    if usize::from(len) != KEY_LEN {
        return Err(broken("the length of the key"));
    }
    let key = key.try_into().ok().and_then(PublicKey::from_bytes);
    Ok((key.ok_or(broken("the key in it"))?, name, expiry))
}

/// The issuer's key, its identifier, and the last month of validity, MMYY.
///
/// # Errors
/// [`CertificateError::Broken`] for length, format, signature, algorithms, length of the
/// key, and key, in this order.
pub fn open_issuer(
    authority: &PublicKey,
    certificate: &[u8],
) -> Result<(PublicKey, [u8; 4], [u8; 2]), CertificateError> {
    open_certificate(authority, certificate, FORMAT_ISSUER, &[])
}

/// The card's key, its account, and the last month of validity, MMYY.
///
/// # Errors
/// As [`open_issuer`].
pub fn open_card(
    issuer: &PublicKey,
    certificate: &[u8],
    static_data: &[u8],
) -> Result<(PublicKey, [u8; 10], [u8; 2]), CertificateError> {
    open_certificate(issuer, certificate, FORMAT_CARD, static_data)
}

/// The data authentication code of signed static data.
///
/// # Errors
/// [`CertificateError::Broken`] for format, signature and length, in this order.
pub fn open_static_data(
    issuer: &PublicKey,
    signed: &[u8],
    static_data: &[u8],
) -> Result<[u8; 2], CertificateError> {
    match *open(issuer, signed, FORMAT_STATIC_DATA, static_data)? {
        [_, a, b] => Ok([a, b]),
        _ => Err(CertificateError::Broken("its length")),
    }
}

/// The dynamic data in what a card signed over the terminal's `data`, wherever these are.
///
/// # Errors
/// [`CertificateError::Broken`] for length, format, the terminal's data where they are
/// sent, and signature, in this order.
pub fn open_dynamic<'s>(
    card: &PublicKey,
    signed: &'s [u8],
    data: &[u8],
) -> Result<&'s [u8], CertificateError> {
    let length = CertificateError::Broken("its length");
    let &[_, len, ..] = signed else {
        return Err(length);
    };
    let end = 2 + usize::from(len);
    let besides = match signed.len().checked_sub(end + KEY_LEN) {
        Some(0) => data,
        Some(within) if within == data.len() => &[],
        _ => return Err(length),
    };
    if signed.first() != Some(&FORMAT_DYNAMIC) {
        return Err(CertificateError::Broken("its format"));
    }
    let dynamic = signed.get(2..end).ok_or(length)?;
    if besides.is_empty() && signed.get(end..end + data.len()) != Some(data) {
        return Err(CertificateError::Broken("the terminal's data"));
    }
    open(card, signed, FORMAT_DYNAMIC, besides)?;
    Ok(dynamic)
}

#[cfg(test)]
mod tests {
    use super::{
        CertificateError, FORMAT_DYNAMIC, Subject, certify_card, certify_issuer, open_card,
        open_dynamic, open_issuer, open_static_data, sign, sign_static_data,
    };
    use crate::bank::sm2::{Sm2Pair, Whose};
    use cardlab::crypto::sm2::PublicKey;

    const SUBJECT: Subject = Subject {
        expiry: [0x12, 0x34],
        serial: [0, 0, 1],
    };
    const ACCOUNT: [u8; 10] = [0x62, 0x28, 0, 0x01, 0, 0, 0x01, 0xFF, 0xFF, 0xFF];
    const STATIC_DATA: &[u8] = b"records, and the AIP";

    fn bytes(text: &str) -> Vec<u8> {
        let digits: String = text.split_whitespace().collect();
        hex::decode(digits).unwrap()
    }

    fn pairs() -> [&'static Sm2Pair; 3] {
        [Whose::Authority, Whose::Issuer, Whose::Card(0)].map(Sm2Pair::of)
    }

    /// Every bit of `whole` changed, one after the other; `opens` says whether it opens.
    #[track_caller]
    fn no_bit_can_change(whole: &[u8], opens: impl Fn(&[u8]) -> bool) {
        assert!(opens(whole));
        for at in 0..whole.len() * 8 {
            let mut other = whole.to_vec();
            other[at / 8] ^= 1 << (at % 8);
            assert!(!opens(&other), "bit {at}");
        }
        assert!(!opens(&whole[..whole.len() - 1]));
        assert!(!opens(&[whole, &[0]].concat()));
        assert!(!opens(&[]));
    }

    /// Published with an account of how such certificates are made; the key of index '57'
    /// is the scheme's for tests.
    #[test]
    fn the_published_certificate_of_an_issuer_opens_under_the_key_of_the_scheme() {
        let authority = bytes(
            "E8105E77861FD2EB727C84E36D3D4A5666BD0ADCE8781F0145D3D82D72B92748 \
             E22D5404C6C41F3EC8B790DE2F61CF29FAECB168C79F5C8666762D53CC26A460",
        );
        let authority = PublicKey::from_bytes(&authority.try_into().unwrap()).unwrap();
        let key = "9F483BF2CC71C5093728318061E3F768EA7C170F82DD8C4B979FBD8C76A129F9 \
                   3FB5746E96F5E49B987FFB521E473B25E1B017C30BE3FC638BA14D5FA4AADC16";
        let certificate = bytes(&format!(
            "12 62280001 1220 000001 04 00 11 40 {key} \
             B1E1A02ED62D811268C4A2123CD8B26690BCE14BB7A01713C01C2D2FF2892D15 \
             96A7D9D131C73813C3A3D6F851DCDA917E986923F98DD2444ADC8EF0D0CE1E2A"
        ));
        let (issuer, identifier, expiry) = open_issuer(&authority, &certificate).unwrap();
        assert_eq!(issuer.to_bytes()[..], bytes(key));
        assert_eq!(identifier[..], bytes("62280001"));
        assert_eq!(expiry, [0x12, 0x20]);
        no_bit_can_change(&certificate, |other| open_issuer(&authority, other).is_ok());
    }

    #[test]
    fn what_is_made_opens_to_what_it_was_made_of_and_no_bit_can_change() {
        let [authority, issuer, card] = pairs();
        let identifier = [0x62, 0x28, 0, 0xFF];
        let made = certify_issuer(authority, issuer.public(), identifier, &SUBJECT).unwrap();
        assert_eq!(made.len(), 142);
        assert_eq!(made[..14], bytes("12 622800FF 1234 000001 04 00 11 40"));
        let opened = open_issuer(authority.public(), &made).unwrap();
        assert_eq!(opened, (*issuer.public(), identifier, SUBJECT.expiry));
        no_bit_can_change(&made, |made| open_issuer(authority.public(), made).is_ok());

        let made = certify_card(issuer, card.public(), ACCOUNT, &SUBJECT, STATIC_DATA).unwrap();
        assert_eq!(made.len(), 148);
        let head = "14 62280001000001FFFFFF 1234 000001 04 00 11 40";
        assert_eq!(made[..20], bytes(head));
        let opened = open_card(issuer.public(), &made, STATIC_DATA).unwrap();
        assert_eq!(opened, (*card.public(), ACCOUNT, SUBJECT.expiry));
        no_bit_can_change(&made, |made| {
            open_card(issuer.public(), made, STATIC_DATA).is_ok()
        });
        no_bit_can_change(STATIC_DATA, |data| {
            open_card(issuer.public(), &made, data).is_ok()
        });

        let made = sign_static_data(issuer, [0xDA, 0xC0], STATIC_DATA).unwrap();
        assert_eq!(made.len(), 67);
        assert_eq!(made[..3], [0x13, 0xDA, 0xC0]);
        let opened = open_static_data(issuer.public(), &made, STATIC_DATA);
        assert_eq!(opened, Ok([0xDA, 0xC0]));
        no_bit_can_change(&made, |made| {
            open_static_data(issuer.public(), made, STATIC_DATA).is_ok()
        });
    }

    #[test]
    fn what_is_wrong_with_a_certificate_is_said() {
        let [authority, issuer, card] = pairs();
        let broken = |says| Err(CertificateError::Broken(says));
        let made = certify_issuer(authority, issuer.public(), [0x62; 4], &SUBJECT).unwrap();
        let open = |made: &[u8]| open_issuer(authority.public(), made).map(|_| ());
        assert_eq!(open(&made[1..]), broken("its length"));
        // What its authority signed, and no certificate is.
        let signed_as = |at: usize, byte: u8| {
            let mut signed = made[..78].to_vec();
            signed[at] = byte;
            open(&sign(authority, signed, &[]).unwrap())
        };
        assert_eq!(signed_as(0, 0x14), broken("its format"));
        assert_eq!(signed_as(10, 0x01), broken("its algorithms"));
        assert_eq!(signed_as(12, 0x01), broken("its algorithms"));
        assert_eq!(signed_as(13, 0x3F), broken("the length of the key"));
        assert_eq!(signed_as(77, !made[77]), broken("the key in it"));
        // What enciphers is not used, and so not asked for.
        assert_eq!(signed_as(11, 0x01), Ok(()));
        let other = open_issuer(card.public(), &made);
        assert_eq!(other.map(|_| ()), broken("its signature"));
    }

    #[test]
    fn what_a_card_signs_opens_with_the_terminal_s_data_outside_and_within() {
        let [.., card] = pairs();
        let (dynamic, number) = ([0x02, 0x00, 0x01], [1, 2, 3, 4]);
        let head = [&[FORMAT_DYNAMIC, 3][..], &dynamic].concat();
        let outside = sign(card, head.clone(), &number).unwrap();
        let within = sign(card, [&head[..], &number].concat(), &[]).unwrap();
        assert_eq!(outside[5..], within[9..], "the same is signed");
        for signed in [outside, within] {
            let opened = open_dynamic(card.public(), &signed, &number);
            assert_eq!(opened, Ok(&dynamic[..]));
            no_bit_can_change(&signed, |signed| {
                open_dynamic(card.public(), signed, &number).is_ok()
            });
            no_bit_can_change(&number, |number| {
                open_dynamic(card.public(), &signed, number).is_ok()
            });
        }
    }
}
