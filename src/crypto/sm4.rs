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

#[cfg(test)]
mod tests {
    use super::Sm4;

    /// GB/T 32907-2016, A.1 and A.2.
    #[test]
    fn one_round_and_a_million_end_as_the_standard_says() {
        let key = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210u128.to_be_bytes();
        let sm4 = Sm4::new(&key);
        let mut block = key;
        sm4.encrypt(&mut block);
        assert_eq!(hex::encode_upper(block), "681EDF34D206965E86B3E94F536E4246");
        for _ in 1..1_000_000 {
            sm4.encrypt(&mut block);
        }
        assert_eq!(hex::encode_upper(block), "595298C7C6FD271F0402F804C33D3F66");
        sm4.decrypt(&mut block);
        sm4.encrypt(&mut block);
        assert_eq!(hex::encode_upper(block), "595298C7C6FD271F0402F804C33D3F66");
    }
}
