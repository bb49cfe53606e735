//! Key bytes that erase themselves and are never shown.
//!
//! A key lies inline, so that making and dropping one allocates nothing. It has
//! no `Display` and no serial form; who must store one asks for
//! [`expose`](Key::expose) and can be found by that name.
//!
//! Source: social security card specification, part 4, 7.1, and part 9, 7.1.3
//! (algorithms and their key lengths).

use super::cipher::Expanded;
use core::fmt;
use ctutils::CtEq;
use zeroize::{Zeroize, ZeroizeOnDrop};

/// A family of algorithms, as the social security card names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Algorithm {
    /// '01': DES with 8-byte keys and two-key triple DES with 16-byte keys, the
    /// "8-byte algorithms".
    Des,
    /// '03': SM4, a "16-byte algorithm".
    Sm4,
}

impl Algorithm {
    /// The algorithm of an identifier, as in tag '86' of the FCI.
    #[must_use]
    pub const fn from_id(id: u8) -> Option<Algorithm> {
        match id {
            0x01 => Some(Algorithm::Des),
            0x03 => Some(Algorithm::Sm4),
            _ => None,
        }
    }

    /// Its identifier.
    #[must_use]
    pub const fn id(self) -> u8 {
        match self {
            Algorithm::Des => 0x01,
            Algorithm::Sm4 => 0x03,
        }
    }

    /// Bytes in a block: 8 or 16.
    #[must_use]
    pub const fn block_len(self) -> usize {
        match self {
            Algorithm::Des => 8,
            Algorithm::Sm4 => 16,
        }
    }
}

/// A block cipher together with its key length.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Cipher {
    /// DES, an 8-byte key.
    Des,
    /// Triple DES with two keys, 16 bytes.
    TripleDes,
    /// SM4, a 16-byte key.
    Sm4,
    /// AES with a 16-byte key.
    Aes128,
}

impl Cipher {
    /// Bytes in a key.
    #[must_use]
    pub const fn key_len(self) -> usize {
        match self {
            Cipher::Des => 8,
            Cipher::TripleDes | Cipher::Sm4 | Cipher::Aes128 => 16,
        }
    }

    /// Bytes in a block.
    #[must_use]
    pub const fn block_len(self) -> usize {
        match self {
            Cipher::Des | Cipher::TripleDes => 8,
            Cipher::Sm4 | Cipher::Aes128 => 16,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Cipher::Des => "DES",
            Cipher::TripleDes => "3DES",
            Cipher::Sm4 => "SM4",
            Cipher::Aes128 => "AES-128",
        }
    }
}

/// The bytes of a key and what they are a key of.
///
/// Compares in constant time; `Debug` shows the cipher and the check value.
#[derive(Clone, ZeroizeOnDrop)]
pub struct Key {
    #[zeroize(skip)]
    cipher: Cipher,
    /// Beyond the cipher's key length: zeros.
    bytes: [u8; 16],
}

impl Key {
    /// A DES key. Parity bits are ignored, as cards do.
    #[must_use]
    pub fn des(mut bytes: [u8; 8]) -> Key {
        let mut key = Key::blank(Cipher::Des);
        key.bytes[..8].copy_from_slice(&bytes);
        bytes.zeroize();
        key
    }

    /// A two-key triple DES key. Parity bits are ignored, as cards do.
    #[must_use]
    pub const fn triple_des(bytes: [u8; 16]) -> Key {
        Key {
            cipher: Cipher::TripleDes,
            bytes,
        }
    }

    /// An SM4 key.
    #[must_use]
    pub const fn sm4(bytes: [u8; 16]) -> Key {
        Key {
            cipher: Cipher::Sm4,
            bytes,
        }
    }

    /// An AES-128 key.
    #[must_use]
    pub const fn aes_128(bytes: [u8; 16]) -> Key {
        Key {
            cipher: Cipher::Aes128,
            bytes,
        }
    }

    /// A key of an algorithm of the social security card, 8 or 16 bytes for
    /// [`Algorithm::Des`] and 16 for [`Algorithm::Sm4`]; `None` for another length.
    #[must_use]
    pub fn new(algorithm: Algorithm, bytes: &[u8]) -> Option<Key> {
        let cipher = match (algorithm, bytes.len()) {
            (Algorithm::Des, 8) => Cipher::Des,
            (Algorithm::Des, 16) => Cipher::TripleDes,
            (Algorithm::Sm4, 16) => Cipher::Sm4,
            _ => return None,
        };
        let mut key = Key::blank(cipher);
        key.bytes[..bytes.len()].copy_from_slice(bytes);
        Some(key)
    }

    /// A key whose bytes are still to be filled in.
    pub(super) const fn blank(cipher: Cipher) -> Key {
        Key {
            cipher,
            bytes: [0; 16],
        }
    }

    /// All 16 bytes it lies in.
    pub(super) const fn lane(&self) -> &[u8; 16] {
        &self.bytes
    }

    /// All 16 bytes it lies in, to be filled.
    pub(super) const fn lane_mut(&mut self) -> &mut [u8; 16] {
        &mut self.bytes
    }

    /// Its left and right 8 bytes, each a DES key.
    pub(super) fn halves(&self) -> (&[u8; 8], &[u8; 8]) {
        let halves = self.bytes.as_chunks().0;
        (&halves[0], &halves[1])
    }

    /// Which cipher it is a key of.
    #[must_use]
    pub const fn cipher(&self) -> Cipher {
        self.cipher
    }

    /// Its bytes, for who must store or send them.
    #[must_use]
    pub fn expose(&self) -> &[u8] {
        &self.bytes[..self.cipher.key_len()]
    }

    /// Makes it ready for work.
    #[must_use]
    pub fn expand(&self) -> Expanded {
        Expanded::new(self)
    }

    /// The check value: the first 3 bytes of a block of zeros, enciphered.
    ///
    /// Source: GlobalPlatform Card Specification 2.3.1, B.5 (DES keys); the same
    /// is usual for SM4.
    #[must_use]
    pub fn kcv(&self) -> [u8; 3] {
        let mut block = [0; 16];
        self.expand().encrypt_block(&mut block);
        [block[0], block[1], block[2]]
    }

    /// The left half of a two-key triple DES key, as a DES key; any other key is
    /// its own left half.
    ///
    /// The 8-byte keys of the social security card's 8-byte algorithms (those that
    /// guard messages) are made so from 16-byte ones.
    #[must_use]
    pub fn left_half(&self) -> Key {
        match self.cipher {
            Cipher::TripleDes => Key::des(*self.halves().0),
            _ => self.clone(),
        }
    }
}

impl PartialEq for Key {
    fn eq(&self, other: &Key) -> bool {
        self.cipher == other.cipher && equal(&self.bytes, &other.bytes)
    }
}

impl Eq for Key {}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [a, b, c] = self.kcv();
        let name = self.cipher.name();
        write!(f, "Key({name}, KCV {a:02X}{b:02X}{c:02X})")
    }
}

/// Whether two MACs, cryptograms or PINs are equal, in a time that depends on
/// their lengths alone.
#[must_use]
pub fn equal(a: &[u8], b: &[u8]) -> bool {
    a.ct_eq(b).to_bool()
}

#[cfg(test)]
mod tests {
    use super::{Algorithm, Cipher, Key, equal};

    #[test]
    fn a_key_shows_its_check_value_and_nothing_else() {
        let bytes = *b"@ABCDEFGHIJKLMNO";
        assert_eq!(
            format!("{:?}", Key::triple_des(bytes)),
            "Key(3DES, KCV 8BAF47)"
        );
        for key in [
            Key::des([0xA5; 8]),
            Key::triple_des([0xA5; 16]),
            Key::sm4([0xA5; 16]),
            Key::aes_128([0xA5; 16]),
        ] {
            let shown = format!("{key:?} {key:#?}");
            assert!(!shown.contains("A5A5") && !shown.contains("165"), "{shown}");
        }
    }

    #[test]
    fn only_the_lengths_of_an_algorithm_make_a_key() {
        for len in 0..=40 {
            let bytes = vec![1; len];
            let cipher = |algorithm| Key::new(algorithm, &bytes).map(|key| key.cipher());
            assert_eq!(
                cipher(Algorithm::Des),
                match len {
                    8 => Some(Cipher::Des),
                    16 => Some(Cipher::TripleDes),
                    _ => None,
                }
            );
            assert_eq!(cipher(Algorithm::Sm4), (len == 16).then_some(Cipher::Sm4));
        }
    }

    #[test]
    fn every_identifier_but_two_is_no_algorithm() {
        for id in 0..=u8::MAX {
            match Algorithm::from_id(id) {
                Some(algorithm) => assert_eq!(algorithm.id(), id),
                None => assert!(id != 1 && id != 3),
            }
        }
    }

    #[test]
    fn what_was_put_in_can_be_exposed_again() {
        assert_eq!(Key::des([7; 8]).expose(), [7; 8]);
        assert_eq!(Key::sm4([7; 16]).expose(), [7; 16]);
        assert_eq!(Key::triple_des([7; 16]).left_half(), Key::des([7; 8]));
        assert_ne!(Key::triple_des([7; 16]), Key::sm4([7; 16]));
    }

    #[test]
    fn equality_looks_at_every_byte_and_at_the_length() {
        assert!(equal(&[], &[]) && equal(&[1, 2, 3], &[1, 2, 3]));
        assert!(!equal(&[1, 2, 3], &[1, 2]) && !equal(&[], &[0]));
        for at in 0..16 {
            for bit in 0..8 {
                let mut other = [0x5A; 16];
                other[at] ^= 1 << bit;
                assert!(!equal(&[0x5A; 16], &other));
            }
        }
    }
}
