//! The hash SHA-1, fed piece by piece.
//!
//! Source: FIPS 180-4, 6.1.

use sha1::Digest;

/// A hash being computed.
#[derive(Clone, Default)]
pub struct Sha1(sha1::Sha1);

impl Sha1 {
    /// The hash of nothing yet.
    #[must_use]
    pub fn new() -> Sha1 {
        Sha1::default()
    }

    /// Takes in the next bytes of the message.
    #[must_use]
    pub fn chain(mut self, bytes: &[u8]) -> Sha1 {
        self.0.update(bytes);
        self
    }

    /// The hash of all that was taken in.
    #[must_use]
    pub fn finish(self) -> [u8; 20] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::Sha1;

    /// The examples of FIPS 180-4.
    #[test]
    fn the_messages_of_the_standard_have_their_hashes() {
        assert_eq!(
            hex::encode_upper(Sha1::new().chain(b"a").chain(b"bc").finish()),
            "A9993E364706816ABA3E25717850C26C9CD0D89D"
        );
        let message = b"abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq";
        assert_eq!(
            hex::encode_upper(Sha1::new().chain(message).finish()),
            "84983E441C3BD26EBAAE4AA1F95129E5E54670F1"
        );
    }
}
