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
    pub(super) fn new((left, right): (&[u8; 8], &[u8; 8])) -> TripleDes {
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

#[cfg(test)]
mod tests {
    use super::{Des, TripleDes};

    fn block(hex: &str) -> [u8; 8] {
        hex::decode(hex).unwrap().try_into().unwrap()
    }

    /// R. L. Rivest, "Testing implementations of DES" (1985): a wrong bit in any
    /// table changes the end.
    #[test]
    fn the_chain_of_16_keys_ends_where_it_must() {
        let mut x = block("9474B8E8C73BCA7D");
        for step in 0..16 {
            let des = Des::new(&x.clone());
            if step % 2 == 0 {
                des.encrypt(&mut x);
            } else {
                des.decrypt(&mut x);
            }
        }
        assert_eq!(x, block("1B1A2DDB4C642438"));
    }

    #[test]
    fn parity_bits_do_not_count() {
        let (mut odd, mut even) = (block("0011223344556677"), block("0011223344556677"));
        Des::new(&block("0123456789ABCDEF")).encrypt(&mut odd);
        Des::new(&block("0022446688AACCEE")).encrypt(&mut even);
        assert_eq!(odd, even);
    }

    #[test]
    fn triple_des_with_equal_halves_is_des() {
        let key = block("0123456789ABCDEF");
        let (mut once, mut thrice) = (*b"Now is t", *b"Now is t");
        Des::new(&key).encrypt(&mut once);
        TripleDes::new((&key, &key)).encrypt(&mut thrice);
        assert_eq!(once, block("3FA40E8A984D4815"));
        assert_eq!(thrice, once);
    }

    /// Expected value from an independent implementation (OpenSSL 3.0).
    #[test]
    fn two_keys_have_their_known_block() {
        let key = TripleDes::new((&block("0123456789ABCDEF"), &block("FEDCBA9876543210")));
        let mut text = *b"Now is t";
        key.encrypt(&mut text);
        assert_eq!(text, block("D80A0D8B2BAE5E4E"));
        key.decrypt(&mut text);
        assert_eq!(text, *b"Now is t");
    }
}
