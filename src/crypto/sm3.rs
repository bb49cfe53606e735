//! The hash SM3, fed piece by piece.
//!
//! Source: GB/T 32905-2016, 5.

use sm3::Digest;

/// A hash being computed.
#[derive(Clone, Default)]
pub struct Sm3(sm3::Sm3);

impl Sm3 {
    /// The hash of nothing yet.
    #[must_use]
    pub fn new() -> Sm3 {
        Sm3::default()
    }

    /// Takes in the next bytes of the message.
    #[must_use]
    pub fn chain(mut self, bytes: &[u8]) -> Sm3 {
        self.0.update(bytes);
        self
    }

    /// The hash of all that was taken in.
    #[must_use]
    pub fn finish(self) -> [u8; 32] {
        self.0.finalize().into()
    }
}

#[cfg(test)]
mod tests {
    use super::Sm3;

    /// GB/T 32905-2016, A.1 and A.2.
    #[test]
    fn the_two_messages_of_the_standard_have_their_hashes() {
        assert_eq!(
            hex::encode_upper(Sm3::new().chain(b"a").chain(b"bc").finish()),
            "66C7F0F462EEEDD9D1F2D46BDC10E4E24167C4875CF2F7A2297DA02B8F4BA8E0"
        );
        let mut long = Sm3::new();
        for _ in 0..16 {
            long = long.chain(b"abcd");
        }
        assert_eq!(
            hex::encode_upper(long.finish()),
            "DEBE9FF92275B8A138604889C18E5A4D6FDB70E5387E5765293DCBA39C0C5732"
        );
    }
}
