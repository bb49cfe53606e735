//! An application identifier, 5 to 16 bytes, and what "matches" means.
//!
//! Source: ISO/IEC 7816-4:2020, 12.2.3 (application identifier), 11.2.2 (SELECT
//! by DF name, right-truncated).

use core::fmt;

/// An application identifier (AID), or a DF name, of 5 to 16 bytes.
#[derive(Clone, Copy)]
pub struct Aid {
    len: u8,
    bytes: [u8; 16],
}

impl Aid {
    /// The least and the greatest length in bytes.
    pub const LEN_BYTES: core::ops::RangeInclusive<usize> = 5..=16;

    /// An AID of these bytes, or `None` where there are not 5 to 16 of them.
    #[must_use]
    pub const fn new(bytes: &[u8]) -> Option<Aid> {
        if bytes.len() < 5 || bytes.len() > 16 {
            return None;
        }
        let mut aid = Aid {
            len: 0,
            bytes: [0; 16],
        };
        let mut index = 0;
        while index < bytes.len() {
            aid.bytes[index] = bytes[index];
            index += 1;
            aid.len += 1;
        }
        Some(aid)
    }

    /// An AID known at compile time.
    ///
    /// # Panics
    /// Where there are not 5 to 16 bytes; in a `const` that is a compile error.
    #[must_use]
    pub const fn constant(bytes: &[u8]) -> Aid {
        match Aid::new(bytes) {
            Some(aid) => aid,
            None => panic!("an AID has 5 to 16 bytes"),
        }
    }

    /// Its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }

    /// Whether a SELECT with this name in its data field means this AID in
    /// full, or by its first bytes only.
    #[must_use]
    pub fn matches(&self, name: &[u8]) -> Option<Match> {
        if self.as_bytes() == name {
            Some(Match::Full)
        } else if self.as_bytes().starts_with(name) {
            Some(Match::Partial)
        } else {
            None
        }
    }
}

/// How much of an AID a SELECT named.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Match {
    /// Every byte.
    Full,
    /// Its first bytes, at least none.
    Partial,
}

impl PartialEq for Aid {
    fn eq(&self, other: &Aid) -> bool {
        self.as_bytes() == other.as_bytes()
    }
}

impl Eq for Aid {}

impl fmt::Debug for Aid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Aid {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.as_bytes()
            .iter()
            .try_for_each(|byte| write!(f, "{byte:02X}"))
    }
}

#[cfg(test)]
mod tests {
    use super::{Aid, Match};

    #[test]
    fn an_aid_has_5_to_16_bytes() {
        for len in 0..40 {
            assert_eq!(
                Aid::new(&vec![0xA0; len]).is_some(),
                Aid::LEN_BYTES.contains(&len)
            );
        }
    }

    #[test]
    fn a_name_matches_in_full_or_by_its_first_bytes() {
        let aid = Aid::constant(b"sx1.sh.social");
        assert_eq!(aid.matches(b"sx1.sh.social"), Some(Match::Full));
        assert_eq!(aid.matches(b"sx1.sh"), Some(Match::Partial));
        assert_eq!(aid.matches(b""), Some(Match::Partial));
        assert_eq!(aid.matches(b"sx1.sh.social1"), None);
        assert_eq!(aid.matches(b"sx2"), None);
    }
}
