//! A key made ready for work: one block, ECB and CBC.
//!
//! A block travels in a *lane* of 16 bytes, of which an 8-byte cipher uses the
//! first 8; so one code serves all ciphers without allocating.
//!
//! Source: ISO/IEC 10116:2017, 6 (ECB) and 7 (CBC).

use super::des::{Des, TripleDes};
use super::key::{Cipher, Key};
use super::sm4::Sm4;
use aes::Aes128;
use cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};
use core::fmt;
use thiserror::Error;

/// The data is not whole blocks.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("{len} bytes are not whole blocks of {block_len}")]
pub struct PartialBlock {
    /// Bytes of data.
    pub len: usize,
    /// Bytes in a block.
    pub block_len: usize,
}

/// A key made ready, erased when dropped.
///
/// Making one costs about as much as enciphering a block; keep it while the key
/// is in use.
pub struct Expanded(Schedule);

enum Schedule {
    Des(Des),
    TripleDes(TripleDes),
    Sm4(Sm4),
    Aes128(Aes128),
}

impl Expanded {
    pub(super) fn new(key: &Key) -> Expanded {
        Expanded(match key.cipher() {
            Cipher::Des => Schedule::Des(Des::new(key.halves().0)),
            Cipher::TripleDes => Schedule::TripleDes(TripleDes::new(key.halves())),
            Cipher::Sm4 => Schedule::Sm4(Sm4::new(key.lane())),
            Cipher::Aes128 => Schedule::Aes128(Aes128::new(key.lane().into())),
        })
    }

    /// Which cipher it is a key of.
    #[must_use]
    pub const fn cipher(&self) -> Cipher {
        match self.0 {
            Schedule::Des(_) => Cipher::Des,
            Schedule::TripleDes(_) => Cipher::TripleDes,
            Schedule::Sm4(_) => Cipher::Sm4,
            Schedule::Aes128(_) => Cipher::Aes128,
        }
    }

    /// Bytes in a block: 8 or 16.
    #[must_use]
    pub const fn block_len(&self) -> usize {
        self.cipher().block_len()
    }

    /// Enciphers the first block of a lane; the rest of the lane stays.
    pub fn encrypt_block(&self, lane: &mut [u8; 16]) {
        match &self.0 {
            Schedule::Des(des) => des.encrypt(first_half(lane)),
            Schedule::TripleDes(des) => des.encrypt(first_half(lane)),
            Schedule::Sm4(sm4) => sm4.encrypt(lane),
            Schedule::Aes128(aes) => aes.encrypt_block(lane.into()),
        }
    }

    /// Deciphers the first block of a lane; the rest of the lane stays.
    pub fn decrypt_block(&self, lane: &mut [u8; 16]) {
        match &self.0 {
            Schedule::Des(des) => des.decrypt(first_half(lane)),
            Schedule::TripleDes(des) => des.decrypt(first_half(lane)),
            Schedule::Sm4(sm4) => sm4.decrypt(lane),
            Schedule::Aes128(aes) => aes.decrypt_block(lane.into()),
        }
    }

    /// Enciphers the first block of a lane with the left half of a triple DES key;
    /// another key knows no halves and enciphers as ever.
    pub(super) fn encrypt_block_left(&self, lane: &mut [u8; 16]) {
        match &self.0 {
            Schedule::TripleDes(des) => des.left().encrypt(first_half(lane)),
            _ => self.encrypt_block(lane),
        }
    }

    /// Enciphers in place, each block for itself.
    ///
    /// # Errors
    /// [`PartialBlock`] where the data is not whole blocks; it is left as it was.
    pub fn encrypt_ecb(&self, data: &mut [u8]) -> Result<(), PartialBlock> {
        self.each_block(data, |lane| self.encrypt_block(lane))
    }

    /// Deciphers in place, each block for itself.
    ///
    /// # Errors
    /// [`PartialBlock`] where the data is not whole blocks; it is left as it was.
    pub fn decrypt_ecb(&self, data: &mut [u8]) -> Result<(), PartialBlock> {
        self.each_block(data, |lane| self.decrypt_block(lane))
    }

    /// Enciphers in place, each block chained to the one before, the first to the
    /// first block of `iv`.
    ///
    /// # Errors
    /// [`PartialBlock`] where the data is not whole blocks; it is left as it was.
    pub fn encrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), PartialBlock> {
        let mut before = *iv;
        self.each_block(data, |lane| {
            xor(lane, &before);
            self.encrypt_block(lane);
            before = *lane;
        })
    }

    /// Deciphers in place what [`encrypt_cbc`](Expanded::encrypt_cbc) enciphered.
    ///
    /// # Errors
    /// [`PartialBlock`] where the data is not whole blocks; it is left as it was.
    pub fn decrypt_cbc(&self, iv: &[u8; 16], data: &mut [u8]) -> Result<(), PartialBlock> {
        let mut before = *iv;
        self.each_block(data, |lane| {
            let enciphered = *lane;
            self.decrypt_block(lane);
            xor(lane, &before);
            before = enciphered;
        })
    }

    /// Takes each block into a lane, and what `work` made of it back.
    fn each_block(
        &self,
        data: &mut [u8],
        mut work: impl FnMut(&mut [u8; 16]),
    ) -> Result<(), PartialBlock> {
        let block_len = self.block_len();
        if !data.len().is_multiple_of(block_len) {
            return Err(PartialBlock {
                len: data.len(),
                block_len,
            });
        }
        let mut lane = [0; 16];
        for block in data.chunks_exact_mut(block_len) {
            lane[..block_len].copy_from_slice(block);
            work(&mut lane);
            block.copy_from_slice(&lane[..block_len]);
        }
        Ok(())
    }
}

impl fmt::Debug for Expanded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Expanded").field(&self.cipher()).finish()
    }
}

/// The half of a lane that an 8-byte cipher works in.
fn first_half(lane: &mut [u8; 16]) -> &mut [u8; 8] {
    &mut lane.as_chunks_mut().0[0]
}

/// Adds `other` to a lane, bit by bit.
pub(super) fn xor(lane: &mut [u8; 16], other: &[u8; 16]) {
    for (byte, other) in lane.iter_mut().zip(other) {
        *byte ^= other;
    }
}

#[cfg(test)]
mod tests {
    use super::PartialBlock;
    use crate::crypto::Key;
    use proptest::prelude::{any, prop, proptest};

    const TEXT: &[u8; 24] = b"Now is the time for all ";

    fn keys() -> [Key; 4] {
        [
            Key::des([0x13; 8]),
            Key::triple_des(*b"@ABCDEFGHIJKLMNO"),
            Key::sm4([0x31; 16]),
            Key::aes_128([0x77; 16]),
        ]
    }

    /// FIPS 81, appendix B.
    #[test]
    fn des_has_the_known_texts_of_its_modes() {
        let key = Key::des([0x01, 0x23, 0x45, 0x67, 0x89, 0xAB, 0xCD, 0xEF]).expand();
        let mut text = *TEXT;
        key.encrypt_ecb(&mut text).unwrap();
        assert_eq!(
            hex::encode_upper(text),
            "3FA40E8A984D48156A271787AB8883F9893D51EC4B563B53"
        );
        key.decrypt_ecb(&mut text).unwrap();
        assert_eq!(text, *TEXT);
        let mut iv = [0; 16];
        iv[..8].copy_from_slice(&[0x12, 0x34, 0x56, 0x78, 0x90, 0xAB, 0xCD, 0xEF]);
        key.encrypt_cbc(&iv, &mut text).unwrap();
        assert_eq!(
            hex::encode_upper(text),
            "E5C7CDDE872BF27C43E934008C389C0F683788499A7C05F6"
        );
        key.decrypt_cbc(&iv, &mut text).unwrap();
        assert_eq!(text, *TEXT);
    }

    #[test]
    fn an_8_byte_block_leaves_the_rest_of_its_lane() {
        for key in keys() {
            let key = key.expand();
            let mut lane = [0x5A; 16];
            key.encrypt_block(&mut lane);
            assert_ne!(lane[..8], [0x5A; 8]);
            assert_eq!(lane[8..] == [0x5A; 8], key.block_len() == 8);
            key.decrypt_block(&mut lane);
            assert_eq!(lane, [0x5A; 16]);
        }
    }

    #[test]
    fn data_that_is_not_whole_blocks_is_left_as_it_was() {
        for key in keys() {
            let key = key.expand();
            let block_len = key.block_len();
            for len in 0..=48 {
                let mut data = vec![7; len];
                let wrong = Err(PartialBlock { len, block_len });
                if len.is_multiple_of(block_len) {
                    assert_eq!(key.encrypt_ecb(&mut data), Ok(()));
                    assert_eq!(key.decrypt_ecb(&mut data), Ok(()));
                } else {
                    assert_eq!(key.encrypt_ecb(&mut data), wrong);
                    assert_eq!(key.decrypt_ecb(&mut data), wrong);
                    assert_eq!(key.encrypt_cbc(&[0; 16], &mut data), wrong);
                    assert_eq!(key.decrypt_cbc(&[0; 16], &mut data), wrong);
                }
                assert_eq!(data, vec![7; len]);
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_enciphered_is_read_again(
            mut data in prop::collection::vec(any::<u8>(), 0..100), iv: [u8; 16],
        ) {
            for key in keys() {
                data.resize(data.len().next_multiple_of(16), 0);
                let key = key.expand();
                let before = data.clone();
                key.encrypt_cbc(&iv, &mut data).unwrap();
                assert!(data.is_empty() || data != before);
                key.decrypt_cbc(&iv, &mut data).unwrap();
                assert_eq!(data, before);
            }
        }
    }
}
