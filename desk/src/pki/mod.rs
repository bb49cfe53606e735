//! The certificate application of 3.0 cards, seen from outside.
//!
//! | file           | what                                                      |
//! |----------------|-----------------------------------------------------------|
//! | `mod.rs`       | names, PINs and their proofs, the data of messages        |
//! | `card.rs`      | the host's end of the application, over any [`Icc`]       |
//! | `function.rs`  | sign, verify, seal and open, as a host program offers them |
//! | `authority.rs` | a certificate authority for tests                         |
//! | `check.rs`     | whether the certificates on a card are right              |
//!
//! A PIN of digits is packed two in a byte; its *token* is the first 16 bytes of the
//! SM3 hash of that. Whoever has the token proves the PIN.
//!
//! Source: card traces of two issuing programs, recomputed; LD/T 6001-2023, part 5 (the
//! names of the functions) and part 3, 10.3 (CHECK_CERT).
//!
//! [`Icc`]: cardlab::icc::Icc

mod authority;
mod card;
mod check;
mod function;

pub use authority::{Authority, Request, Source, Usage};
pub use card::{Application, PkiError};
pub(crate) use card::{decrypt_data, interindustry, proprietary};
pub use check::{Fact, Finding, Item, as_pem, check, examine, facts};
pub use function::{Envelope, open, seal, sign, verify};

use cardlab::aid::Aid;
use cardlab::crypto::{CbcMac, Expanded, Key, Padding, Sm3};

/// "PKI.社会保障", the environment.
pub const ENVIRONMENT: Aid = Aid::constant(b"PKI.\xC9\xE7\xBB\xE1\xB1\xA3\xD5\xCF");
/// "SS.CERT.ADF1", the application with the files.
pub const APPLICATION: Aid = Aid::constant(b"SS.CERT.ADF1");
/// The FID of the application.
pub const FID_APPLICATION: u16 = 0xDF01;

/// Tag and length of a public key, in its EF and when it is exported.
pub const PUBLIC_HEAD: [u8; 2] = [0xCA, 0x40];

/// Whose PIN.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Who {
    /// The card's holder.
    User,
    /// Who looks after the application.
    Administrator,
}

impl Who {
    /// P2 of VERIFY and CHANGE PIN.
    #[must_use]
    pub const fn p2(self) -> u8 {
        match self {
            Who::User => 0x81,
            Who::Administrator => 0x00,
        }
    }
}

/// A key pair and its certificate.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Pair {
    /// The pair that signs; it was made on the card.
    Signature,
    /// The pair that decrypts; the authority knows it too.
    Encryption,
}

impl Pair {
    /// Both.
    pub const ALL: [Pair; 2] = [Pair::Signature, Pair::Encryption];

    /// The FID of the public key.
    #[must_use]
    pub const fn public(self) -> u16 {
        match self {
            Pair::Signature => 0x0012,
            Pair::Encryption => 0x0014,
        }
    }

    /// The FID of the private key.
    #[must_use]
    pub const fn private(self) -> u16 {
        self.public() + 1
    }

    /// The FID of the certificate.
    #[must_use]
    pub const fn certificate(self) -> u16 {
        match self {
            Pair::Signature => 0x0018,
            Pair::Encryption => 0x0019,
        }
    }

    /// The object that names the public key in a command.
    #[must_use]
    pub const fn public_reference(self) -> [u8; 4] {
        let [high, low] = self.public().to_be_bytes();
        [0xC0, 0x02, high, low]
    }

    /// The object that names the private key in a command.
    #[must_use]
    pub const fn private_reference(self) -> [u8; 4] {
        let [high, low] = self.private().to_be_bytes();
        [0xC2, 0x02, high, low]
    }
}

/// What a PIN is proven with.
#[derive(Debug)]
pub struct Token(Expanded);

impl Token {
    /// The token of a PIN of digits, 4 to 16 of them in pairs; `None` where it is none.
    #[must_use]
    pub fn of(pin: &str) -> Option<Token> {
        let hash = Sm3::new().chain(&packed(pin)?).finish();
        let (token, _) = hash.split_first_chunk()?;
        Some(Token(Key::sm4(*token).expand()))
    }

    /// The proof for a random number of 8 or 16 bytes; `None` for another length.
    #[must_use]
    pub fn proof(&self, challenge: &[u8]) -> Option<[u8; 16]> {
        let mut block = filled(challenge)?;
        self.0.encrypt_block(&mut block);
        Some(block)
    }

    /// The data of CHANGE PIN and REPLACE PIN: the new PIN enciphered, none for its
    /// tries alone, and the MAC for a random number of 8 or 16 bytes. `None` where the
    /// new one is no PIN or that is no random number.
    #[must_use]
    pub fn message(&self, header: [u8; 4], challenge: &[u8], new: Option<&str>) -> Option<Vec<u8>> {
        let mut data = Vec::with_capacity(20);
        if let Some(new) = new {
            let pin = packed(new)?;
            let mut block = [0; 16];
            block[0] = u8::try_from(pin.len()).ok()?;
            block.get_mut(1..=pin.len())?.copy_from_slice(&pin);
            *block.get_mut(1 + pin.len())? = 0x80;
            self.0.encrypt_block(&mut block);
            data.extend(block);
        }
        let lc = u8::try_from(data.len() + 4).ok()?;
        let mac = CbcMac::new(&self.0)
            .with_iv(&filled(challenge)?)
            .chain(&header)
            .chain(&[lc])
            .chain(&data)
            .finish(Padding::M2);
        data.extend(mac.folded());
        Some(data)
    }
}

/// A random number with zeros behind it.
fn filled(challenge: &[u8]) -> Option<[u8; 16]> {
    if !matches!(challenge.len(), 8 | 16) {
        return None;
    }
    let mut block = [0; 16];
    block.get_mut(..challenge.len())?.copy_from_slice(challenge);
    Some(block)
}

/// The digits of a PIN, two in a byte.
pub(crate) fn packed(pin: &str) -> Option<Vec<u8>> {
    let digits: Option<Vec<u8>> = pin
        .chars()
        .map(|c| c.to_digit(10).and_then(|digit| u8::try_from(digit).ok()))
        .collect();
    let digits = digits?;
    let good = digits.len().is_multiple_of(2) && (4..=16).contains(&digits.len());
    good.then(|| {
        let pairs = digits.as_chunks::<2>().0;
        pairs.iter().map(|[high, low]| high << 4 | low).collect()
    })
}

#[cfg(test)]
mod tests {
    use super::{Token, packed};

    const CHALLENGE: &str = "84B7B9199A29A245B2ADE3E80BE4EAF3";

    /// Card traces of an issuing program.
    #[test]
    fn proofs_and_messages_are_those_of_real_cards() {
        let challenge = hex::decode("51780DDC9394E497EAE01B3D9CAB4A97").unwrap();
        let user = Token::of("123456").unwrap();
        assert_eq!(
            hex::encode_upper(user.proof(&challenge).unwrap()),
            "C6CEE3CC430485E8676D2A6B10E52494"
        );
        let administrator = Token::of("12345678").unwrap();
        let message = administrator.message(
            [0x84, 0x5E, 0x01, 0x00],
            &hex::decode(CHALLENGE).unwrap(),
            Some("72923074"),
        );
        assert_eq!(
            hex::encode_upper(message.unwrap()),
            "91A41964F0736EB6F6003DD1934FFE11E48CEFB3"
        );
    }

    #[test]
    fn a_short_challenge_is_filled_with_zeros_and_any_other_length_refused() {
        let token = Token::of("123456").unwrap();
        let mut long = [0; 16];
        long[..8].copy_from_slice(&[7; 8]);
        assert_eq!(token.proof(&[7; 8]), token.proof(&long));
        for len in (0..40).filter(|len| *len != 8 && *len != 16) {
            assert_eq!(token.proof(&vec![7; len]), None);
        }
    }

    #[test]
    fn a_pin_has_4_to_16_digits_in_pairs() {
        for len in 0..20 {
            let good = len % 2 == 0 && (4..=16).contains(&len);
            assert_eq!(packed(&"1".repeat(len)).is_some(), good, "{len}");
        }
        assert_eq!(packed("12A4"), None);
        assert_eq!(packed("１２３４"), None);
    }
}
