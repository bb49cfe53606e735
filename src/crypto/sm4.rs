//! SM4, one block at a time.
//!
//! Source: GB/T 32907-2016, 6 and 7.

use cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

/// An SM4 key made ready.
pub(super) struct Sm4(sm4::Sm4);

impl Sm4 {
    pub(super) fn new(key: &[u8; 16]) -> Sm4 {
        Sm4(sm4::Sm4::new(key.into()))
    }

    pub(super) fn encrypt(&self, block: &mut [u8; 16]) {
        self.0.encrypt_block(block.into());
    }

    pub(super) fn decrypt(&self, block: &mut [u8; 16]) {
        self.0.decrypt_block(block.into());
    }
}
