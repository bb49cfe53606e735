//! A BER tag of 1 to 3 bytes.
//!
//! Source: ISO/IEC 7816-4:2020, 5.2.2.1. Second bytes '00' to '1E' after a first
//! byte with number 31 are taken, as EMV assigns them ('9F02').

use super::{Read, Stop, Wrong};
use core::fmt;
use nom::Parser;
use nom::number::complete::be_u8;

/// A tag, with its bytes as one big-endian number: '9F36' is `0x9F36`.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Tag(u32);

/// Who gives a tag its meaning: bits 8 and 7 of its first byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TagClass {
    /// '00': ASN.1.
    Universal,
    /// '40': the standard of the application.
    Application,
    /// '80': the object around it.
    ContextSpecific,
    /// 'C0': an agreement of the parties.
    Private,
}

/// A tag known at compile time: `tag!(0x9F36)`; one that is none does not compile.
#[macro_export]
macro_rules! tag {
    ($value:expr) => {
        const {
            match $crate::tlv::Tag::new($value) {
                Some(tag) => tag,
                None => panic!("not a tag of 1 to 3 bytes"),
            }
        }
    };
}

impl Tag {
    /// The tag whose bytes are this number; `None` where they are no tag.
    #[must_use]
    pub const fn new(value: u32) -> Option<Tag> {
        const NUMBER_FOLLOWS: u8 = 0x1F;
        const MORE: u8 = 0x80;
        let well_formed = match value.to_be_bytes() {
            [0, 0, 0, one] => one != 0 && one & NUMBER_FOLLOWS != NUMBER_FOLLOWS,
            [0, 0, one, two] => one & NUMBER_FOLLOWS == NUMBER_FOLLOWS && two & MORE == 0,
            [0, one, two, three] => {
                one & NUMBER_FOLLOWS == NUMBER_FOLLOWS && two > MORE && three & MORE == 0
            }
            _ => false,
        };
        if well_formed { Some(Tag(value)) } else { None }
    }

    /// Its bytes as a number.
    #[must_use]
    pub const fn value(self) -> u32 {
        self.0
    }

    /// How many bytes it has: 1 to 3.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "no tag is empty")]
    pub const fn len(self) -> usize {
        match self.0 {
            0..=0xFF => 1,
            0x100..=0xFFFF => 2,
            _ => 3,
        }
    }

    const fn first_byte(self) -> u8 {
        match self.0.to_be_bytes() {
            [0, 0, 0, one] | [0, 0, one, _] | [_, one, _, _] => one,
        }
    }

    /// Whether its value is data objects again.
    #[must_use]
    pub const fn is_constructed(self) -> bool {
        self.first_byte() & 0x20 != 0
    }

    /// Who gives it its meaning.
    #[must_use]
    pub const fn class(self) -> TagClass {
        match self.first_byte() & 0xC0 {
            0x00 => TagClass::Universal,
            0x40 => TagClass::Application,
            0x80 => TagClass::ContextSpecific,
            _ => TagClass::Private,
        }
    }

    /// Gives its bytes to `write`.
    pub(super) fn with_bytes<T>(self, write: impl FnOnce(&[u8]) -> T) -> T {
        match self.0.to_be_bytes() {
            [0, 0, 0, one] => write(&[one]),
            [0, 0, one, two] => write(&[one, two]),
            [_, one, two, three] => write(&[one, two, three]),
        }
    }

    pub(super) fn read(input: &[u8]) -> Read<'_, Tag> {
        let (mut rest, first) = be_u8.parse(input)?;
        let mut value = u32::from(first);
        if first & 0x1F == 0x1F {
            loop {
                let next;
                (rest, next) = be_u8.parse(rest)?;
                value = value << 8 | u32::from(next);
                if next & 0x80 == 0 || value > 0xFFFF {
                    break;
                }
            }
        }
        match Tag::new(value) {
            Some(tag) => Ok((rest, tag)),
            None => Stop::at(input, Wrong::Tag),
        }
    }
}

impl fmt::Display for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.with_bytes(|bytes| bytes.iter().try_for_each(|byte| write!(f, "{byte:02X}")))
    }
}

impl fmt::Debug for Tag {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Tag({self})")
    }
}

#[cfg(test)]
mod tests {
    use super::{Tag, TagClass};
    use crate::tlv::Wrong;

    /// All tags of 1 and 2 bytes and the borders of those of 3, by the bytes.
    fn is_tag(bytes: &[u8]) -> bool {
        match *bytes {
            [one] => one != 0 && one % 32 != 31,
            [one, two] => one % 32 == 31 && two < 128,
            [one, two, three] => one % 32 == 31 && two > 128 && three < 128,
            _ => false,
        }
    }

    #[test]
    fn every_number_of_three_bytes_is_a_tag_by_the_rule_or_none() {
        for value in 0..=0x00FF_FFFFu32 {
            let bytes = value.to_be_bytes();
            let bytes = &bytes[bytes.iter().position(|byte| *byte != 0).unwrap_or(3)..];
            let tag = Tag::new(value);
            assert_eq!(tag.is_some(), is_tag(bytes), "{value:06X}");
            if let Some(tag) = tag {
                assert_eq!((tag.value(), tag.len()), (value, bytes.len()));
                assert_eq!(tag.is_constructed(), bytes[0] & 0x20 != 0);
                assert_eq!(Tag::read(bytes).unwrap(), (&[][..], tag));
            }
        }
        for value in [0x0100_0000, 0x9F36_0000, u32::MAX] {
            assert_eq!(Tag::new(value), None);
        }
    }

    #[test]
    fn a_tag_ends_where_its_bytes_say() {
        for (bytes, read) in [
            (&[0x6F, 0x10][..], Ok(0x6F)),
            (&[0x9F, 0x02, 0x06], Ok(0x9F02)),
            (&[0xDF, 0x81, 0x05, 0x01], Ok(0xDF8105)),
            (&[], Err(Wrong::Short)),
            (&[0x9F], Err(Wrong::Short)),
            (&[0x9F, 0x81], Err(Wrong::Short)),
            (&[0x00], Err(Wrong::Tag)),
            (&[0x9F, 0x80, 0x01], Err(Wrong::Tag)),
            (&[0x9F, 0x81, 0x81, 0x01], Err(Wrong::Tag)),
        ] {
            let got = Tag::read(bytes).map(|(_, tag)| tag.value());
            let got = got.map_err(|error| crate::tlv::malformed(bytes, error).wrong);
            assert_eq!(got, read, "{bytes:02X?}");
        }
    }

    #[test]
    fn a_tag_tells_its_class_and_prints_as_the_standards_write_it() {
        assert_eq!(tag!(0x30).class(), TagClass::Universal);
        assert_eq!(tag!(0x5F51).class(), TagClass::Application);
        assert_eq!(tag!(0x9F36).class(), TagClass::ContextSpecific);
        assert_eq!(tag!(0xFF8105).class(), TagClass::Private);
        assert_eq!(format!("{} {:?}", tag!(0x9F02), tag!(0x04)), "9F02 Tag(04)");
    }
}
