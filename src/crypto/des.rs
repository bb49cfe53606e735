//! DES and two-key triple DES, one block at a time.
//!
//! Triple DES is kept as its two halves: the retail MAC chains with the left one
//! alone.
//!
//! Source: FIPS 46-3 (DES); NIST SP 800-67 Rev. 2, 3.1 (EDE with key option 2).

use cipher::{BlockCipherDecrypt, BlockCipherEncrypt, KeyInit};

/// A DES key made ready.
pub(super) struct Des(des::Des);

impl Des {
    pub(super) fn new(key: &[u8; 8]) -> Des {
        Des(des::Des::new(key.into()))
    }

    pub(super) fn encrypt(&self, block: &mut [u8; 8]) {
        self.0.encrypt_block(block.into());
    }

    pub(super) fn decrypt(&self, block: &mut [u8; 8]) {
        self.0.decrypt_block(block.into());
    }
}

/// A two-key triple DES key made ready: encipher, decipher, encipher.
pub(super) struct TripleDes {
    left: Des,
    right: Des,
}

impl TripleDes {
    pub(super) fn new(left: &[u8; 8], right: &[u8; 8]) -> TripleDes {
        TripleDes {
            left: Des::new(left),
            right: Des::new(right),
        }
    }

    /// Single DES with the left half.
    pub(super) const fn left(&self) -> &Des {
        &self.left
    }

    pub(super) fn encrypt(&self, block: &mut [u8; 8]) {
        self.left.encrypt(block);
        self.right.decrypt(block);
        self.left.encrypt(block);
    }

    pub(super) fn decrypt(&self, block: &mut [u8; 8]) {
        self.left.decrypt(block);
        self.right.encrypt(block);
        self.left.decrypt(block);
    }
}
