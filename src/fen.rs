//! Money, in fen.
//!
//! An amount is never a bare number: it is added and subtracted with a check, and
//! goes over the wire as four bytes, the most significant first.
//!
//! Source: social security card specification, part 6, 6 (amounts are binary, in fen).

use core::fmt;

/// An amount in fen, a hundredth of a yuan.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Fen(u32);

impl Fen {
    /// Nothing.
    pub const ZERO: Fen = Fen(0);
    /// The most that four bytes hold.
    pub const MAX: Fen = Fen(u32::MAX);

    /// So many fen.
    #[must_use]
    pub const fn new(fen: u32) -> Fen {
        Fen(fen)
    }

    /// How many fen.
    #[must_use]
    pub const fn count(self) -> u32 {
        self.0
    }

    /// The amount that these four bytes are.
    #[must_use]
    pub const fn from_be_bytes(bytes: [u8; 4]) -> Fen {
        Fen(u32::from_be_bytes(bytes))
    }

    /// Its four bytes.
    #[must_use]
    pub const fn to_be_bytes(self) -> [u8; 4] {
        self.0.to_be_bytes()
    }

    /// The sum; `None` where it is more than [`MAX`](Fen::MAX).
    #[must_use]
    pub const fn checked_add(self, more: Fen) -> Option<Fen> {
        match self.0.checked_add(more.0) {
            Some(sum) => Some(Fen(sum)),
            None => None,
        }
    }

    /// What is left; `None` where it is not enough.
    #[must_use]
    pub const fn checked_sub(self, less: Fen) -> Option<Fen> {
        match self.0.checked_sub(less.0) {
            Some(left) => Some(Fen(left)),
            None => None,
        }
    }
}

impl fmt::Display for Fen {
    /// In yuan, with two decimals.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::Fen;

    #[test]
    fn nothing_is_lost_at_either_end() {
        assert_eq!(Fen::ZERO.checked_sub(Fen::new(1)), None);
        assert_eq!(Fen::MAX.checked_add(Fen::new(1)), None);
        assert_eq!(Fen::MAX.checked_sub(Fen::MAX), Some(Fen::ZERO));
        assert_eq!(Fen::new(7).checked_add(Fen::new(5)), Some(Fen::new(12)));
    }

    #[test]
    fn it_is_shown_in_yuan_and_sent_in_four_bytes() {
        assert_eq!(Fen::new(1205).to_string(), "12.05");
        assert_eq!(Fen::new(7).to_string(), "0.07");
        assert_eq!(Fen::new(0x0102_0304).to_be_bytes(), [1, 2, 3, 4]);
        assert_eq!(Fen::from_be_bytes([0, 0, 4, 0xB5]).count(), 1205);
    }
}
