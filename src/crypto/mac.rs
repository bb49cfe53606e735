//! Message authentication codes, fed piece by piece.
//!
//! A header and its data need not lie side by side, and nothing is copied but
//! one block.
//!
//! Source: ISO/IEC 9797-1:2011, 6.3 (padding), 7.2 (algorithm 1) and 7.4
//! (algorithm 3); NIST SP 800-38B, 6 (CMAC); the folding of 16-byte codes: social
//! security card specification, part 4, 8.

use super::cipher::Expanded;
use super::key::{Cipher, Key, equal};
use cipher::KeyInit;
use cmac::Mac as _;
use core::fmt;

/// How the last block is filled up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Method 1: with '00', and only where it is not full. A message of no bytes
    /// is one block of '00'.
    M1,
    /// Method 2: always with '80', then '00'.
    M2,
}

/// A whole code, 8 or 16 bytes, of which protocols use a part.
#[derive(Clone, Copy)]
pub struct Mac {
    lane: [u8; 16],
    len: usize,
}

impl Mac {
    /// All its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.lane.get(..self.len).unwrap_or(&self.lane)
    }

    /// Its first 4 bytes.
    #[must_use]
    pub const fn left_4(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.lane;
        [a, b, c, d]
    }

    /// Its first 8 bytes.
    #[must_use]
    pub const fn left_8(&self) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = self.lane;
        [a, b, c, d, e, f, g, h]
    }

    /// The 4 bytes that the social security card uses: the first 4 of an 8-byte
    /// code, the sum (xor) of the four words of a 16-byte one.
    #[must_use]
    pub fn folded(&self) -> [u8; 4] {
        if self.len == 8 {
            return self.left_4();
        }
        let words = self.lane.as_chunks::<4>().0;
        words.iter().fold([0; 4], |sum, word| {
            (u32::from_be_bytes(sum) ^ u32::from_be_bytes(*word)).to_be_bytes()
        })
    }

    /// Whether `code`, of 4 bytes or more, is the beginning of this one, in a time
    /// that depends on its length alone.
    #[must_use]
    pub fn begins_with(&self, code: &[u8]) -> bool {
        code.len() >= 4
            && self
                .as_bytes()
                .get(..code.len())
                .is_some_and(|beginning| equal(beginning, code))
    }
}

impl PartialEq for Mac {
    fn eq(&self, other: &Mac) -> bool {
        equal(self.as_bytes(), other.as_bytes())
    }
}

impl Eq for Mac {}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mac(")?;
        for byte in self.as_bytes() {
            write!(f, "{byte:02X}")?;
        }
        f.write_str(")")
    }
}

/// A CBC-MAC being computed: ISO/IEC 9797-1 algorithm 1 or 3.
pub struct CbcMac<'k> {
    key: &'k Expanded,
    /// Chain with the left half of the key, the last block with all of it.
    retail: bool,
    /// The chaining value, with the bytes of the open block added.
    lane: [u8; 16],
    /// Bytes in the open block. A full block stays open until a byte follows it,
    /// as it may be the last.
    filled: usize,
}

impl<'k> CbcMac<'k> {
    /// Algorithm 1: every block with the whole key. The initial value is zero.
    #[must_use]
    pub const fn new(key: &'k Expanded) -> CbcMac<'k> {
        CbcMac {
            key,
            retail: false,
            lane: [0; 16],
            filled: 0,
        }
    }

    /// Algorithm 3, the retail MAC: single DES with the left half, and the last
    /// block with all of triple DES. The initial value is zero.
    ///
    /// This is the double-length CBC of the social security card specification,
    /// part 9, 7.1.3, too. A key that is not triple DES gives algorithm 1.
    #[must_use]
    pub const fn retail(key: &'k Expanded) -> CbcMac<'k> {
        CbcMac {
            retail: true,
            ..CbcMac::new(key)
        }
    }

    /// Starts from the first block of `iv` instead of zero.
    #[must_use]
    pub const fn with_iv(self, iv: &[u8; 16]) -> CbcMac<'k> {
        CbcMac { lane: *iv, ..self }
    }

    /// Takes in the next bytes of the message.
    #[must_use]
    pub fn chain(mut self, bytes: &[u8]) -> CbcMac<'k> {
        let block_len = self.key.block_len();
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.filled == block_len {
                self.close();
            }
            let (now, later) = rest.split_at(rest.len().min(block_len - self.filled));
            for (byte, next) in self.lane.iter_mut().skip(self.filled).zip(now) {
                *byte ^= next;
            }
            self.filled += now.len();
            rest = later;
        }
        self
    }

    /// The code of all that was taken in.
    #[must_use]
    pub fn finish(mut self, padding: Padding) -> Mac {
        let block_len = self.key.block_len();
        if padding == Padding::M2 {
            if self.filled == block_len {
                self.close();
            }
            if let Some(byte) = self.lane.get_mut(self.filled) {
                *byte ^= 0x80;
            }
        }
        self.key.encrypt_block(&mut self.lane);
        Mac {
            lane: self.lane,
            len: block_len,
        }
    }

    /// Closes a block that is not the last.
    fn close(&mut self) {
        if self.retail {
            self.key.encrypt_block_left(&mut self.lane);
        } else {
            self.key.encrypt_block(&mut self.lane);
        }
        self.filled = 0;
    }
}

/// A CMAC being computed.
pub struct Cmac(State);

enum State {
    Des(cmac::Cmac<des::Des>),
    TripleDes(cmac::Cmac<des::TdesEde2>),
    Sm4(cmac::Cmac<sm4::Sm4>),
    Aes128(cmac::Cmac<aes::Aes128>),
}

impl Cmac {
    /// The code of nothing yet.
    #[must_use]
    pub fn new(key: &Key) -> Cmac {
        Cmac(match key.cipher() {
            Cipher::Des => State::Des(cmac::Cmac::new((&key.left()).into())),
            Cipher::TripleDes => State::TripleDes(cmac::Cmac::new(key.lane().into())),
            Cipher::Sm4 => State::Sm4(cmac::Cmac::new(key.lane().into())),
            Cipher::Aes128 => State::Aes128(cmac::Cmac::new(key.lane().into())),
        })
    }

    /// Takes in the next bytes of the message.
    #[must_use]
    pub fn chain(mut self, bytes: &[u8]) -> Cmac {
        match &mut self.0 {
            State::Des(cmac) => cmac.update(bytes),
            State::TripleDes(cmac) => cmac.update(bytes),
            State::Sm4(cmac) => cmac.update(bytes),
            State::Aes128(cmac) => cmac.update(bytes),
        }
        self
    }

    /// The code of all that was taken in.
    #[must_use]
    pub fn finish(self) -> Mac {
        let eight = |code: [u8; 8]| {
            let mut lane = [0; 16];
            lane[..8].copy_from_slice(&code);
            Mac { lane, len: 8 }
        };
        let sixteen = |lane: [u8; 16]| Mac { lane, len: 16 };
        match self.0 {
            State::Des(cmac) => eight(cmac.finalize().into_bytes().into()),
            State::TripleDes(cmac) => eight(cmac.finalize().into_bytes().into()),
            State::Sm4(cmac) => sixteen(cmac.finalize().into_bytes().into()),
            State::Aes128(cmac) => sixteen(cmac.finalize().into_bytes().into()),
        }
    }
}
