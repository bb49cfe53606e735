//! Money, in fen.
//!
//! An amount is never a bare number: it is added and subtracted with a check, and
//! goes over the wire as four bytes, the most significant first. People write and read
//! it in yuan, `12.34`.
//!
//! Source: social security card specification, part 6, 6 (amounts are binary, in fen).

use core::fmt;
use core::str::FromStr;
use thiserror::Error;

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
    /// In yuan, with two decimals; the alternate form has the sign before it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if f.alternate() { "¥" } else { "" };
        f.pad(&format!("{sign}{}.{:02}", self.0 / 100, self.0 % 100))
    }
}

/// Why a text is no amount.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum FenError {
    /// It ends where a digit must stand.
    #[error("expected a digit at character {at}, found the end")]
    Ends {
        /// The place, from 1.
        at: usize,
    },
    /// A character that no amount has there: a sign, an exponent, a digit that is not
    /// of ASCII, a third decimal.
    #[error("expected {expected} at character {at}, found {character:?}")]
    Character {
        /// The character's place, from 1.
        at: usize,
        /// That character.
        character: char,
        /// What may stand there.
        expected: &'static str,
    },
    /// More than [`Fen::MAX`].
    #[error("more than {} yuan, from character {at} on", Fen::MAX)]
    TooMuch {
        /// The first digit that is too much, from 1.
        at: usize,
    },
}

impl FromStr for Fen {
    type Err = FenError;

    /// Reads yuan, as [`Display`](fmt::Display) writes them: digits, and after a point
    /// one or two decimals; `¥` may stand before it, `元` after it.
    ///
    /// # Errors
    /// The first character that is wrong; [`FenError::TooMuch`] where all are right.
    fn from_str(text: &str) -> Result<Fen, FenError> {
        let end = text.chars().count() + 1;
        let mut characters = (1..).zip(text.chars()).peekable();
        characters.next_if(|(_, character)| *character == '¥');
        let (mut fen, mut too_much) = (0u32, None);
        let mut take = |at, digit: u32| {
            let more = fen.checked_mul(10).and_then(|fen| fen.checked_add(digit));
            match more {
                Some(more) => fen = more,
                None => too_much = too_much.or(Some(at)),
            }
        };
        let (mut whole, mut decimals, mut point, mut last) = (0, 0, false, 1);
        for (at, character) in characters {
            match (character.to_digit(10), character) {
                (Some(digit), _) if decimals < 2 => {
                    take(at, digit);
                    last = at;
                    whole += usize::from(!point);
                    decimals += usize::from(point);
                }
                (None, '.') if whole > 0 && !point => point = true,
                (None, '元') if whole > 0 && point == (decimals > 0) && at + 1 == end => {}
                _ => {
                    let expected = match (whole, point, decimals) {
                        (0, ..) => "a digit",
                        (_, false, _) => "a digit, a point or the end",
                        (_, true, 0) => "a digit",
                        (_, true, 1) => "a digit or the end",
                        _ => "the end, after two decimals",
                    };
                    return Err(FenError::Character {
                        at,
                        character,
                        expected,
                    });
                }
            }
        }
        if whole == 0 || (point && decimals == 0) {
            return Err(FenError::Ends { at: end });
        }
        (decimals..2).for_each(|_| take(last, 0));
        match too_much {
            None => Ok(Fen(fen)),
            Some(at) => Err(FenError::TooMuch { at }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Fen, FenError};
    use proptest::prelude::{any, proptest};

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

    #[test]
    fn the_sign_and_a_width_are_had_for_the_asking() {
        assert_eq!(format!("{:#}", Fen::new(1234)), "¥12.34");
        assert_eq!(format!("{:>8}", Fen::new(1234)), "   12.34");
        assert_eq!(Fen::MAX.to_string(), "42949672.95");
    }

    #[test]
    fn an_amount_is_read_as_people_write_it() {
        for (text, fen) in [
            ("12.34", 1234),
            ("12.3", 1230),
            ("12", 1200),
            ("0", 0),
            ("0.07", 7),
            ("¥12.34", 1234),
            ("12.34元", 1234),
            ("12元", 1200),
            ("007", 700),
            ("42949672.95", u32::MAX),
        ] {
            assert_eq!(text.parse(), Ok(Fen::new(fen)), "{text}");
        }
    }

    #[test]
    fn what_is_no_amount_is_refused_at_its_place() {
        for (text, at, character) in [
            ("12.345", 6, '5'),
            ("-1", 1, '-'),
            ("+1", 1, '+'),
            ("1e3", 2, 'e'),
            ("1,000", 2, ','),
            (".5", 1, '.'),
            ("1.2.3", 4, '.'),
            (" 1", 1, ' '),
            ("1 ", 2, ' '),
            ("１２", 1, '１'),
            ("12。5", 3, '。'),
            ("元", 1, '元'),
            ("1元2", 2, '元'),
            ("1.元", 3, '元'),
            ("¥¥1", 2, '¥'),
            ("0x10", 2, 'x'),
        ] {
            let refused = text.parse::<Fen>();
            let Err(FenError::Character {
                at: a,
                character: c,
                ..
            }) = refused
            else {
                panic!("{text}: {refused:?}");
            };
            assert_eq!((a, c), (at, character), "{text}");
        }
        for (text, at) in [("", 1), ("¥", 2), ("12.", 4)] {
            assert_eq!(text.parse::<Fen>(), Err(FenError::Ends { at }), "{text}");
        }
        for (text, at) in [
            ("42949672.96", 11),
            ("42949673", 8),
            ("429496730", 9),
            ("99999999999", 10),
            ("4294967296元", 10),
        ] {
            assert_eq!(text.parse::<Fen>(), Err(FenError::TooMuch { at }), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_shown_is_read_back(fen: u32) {
            let fen = Fen::new(fen);
            assert_eq!(fen.to_string().parse(), Ok(fen));
            assert_eq!(format!("{fen:#}").parse(), Ok(fen));
            assert_eq!(format!("{fen}元").parse(), Ok(fen));
        }

        #[test]
        fn any_text_is_read_or_refused_without_harm(text: String, mark in any::<char>()) {
            let _ = text.parse::<Fen>();
            let _ = format!("12{mark}34").parse::<Fen>();
        }
    }
}
