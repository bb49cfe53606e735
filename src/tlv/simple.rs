//! Tag and length of one byte each: records of the social security card.
//!
//! The standard's SIMPLE-TLV without its three-byte length: no record is that
//! long, so a length 'FF' is refused.
//!
//! Source: ISO/IEC 7816-4:2020, 5.2.1; social security card specification, part 3,
//! 5.3.

use super::{Malformed, Read, Stop, Wrong, malformed};
use core::iter::FusedIterator;
use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::be_u8;

/// One data object with a tag of one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Simple<'a> {
    /// What it is: '01' to 'FE'.
    pub tag: u8,
    /// What it holds: at most 254 bytes.
    pub value: &'a [u8],
}

impl<'a> Simple<'a> {
    /// The one object that all of `record` is.
    ///
    /// # Errors
    /// [`Malformed`] where it is none; with [`Wrong::Length`] where bytes follow.
    pub fn whole(record: &'a [u8]) -> Result<Simple<'a>, Malformed> {
        match Simple::read(record) {
            Ok(([], object)) => Ok(object),
            Ok((rest, _)) => Err(Malformed {
                offset: record.len().saturating_sub(rest.len()),
                wrong: Wrong::Length,
            }),
            Err(error) => Err(malformed(record, error)),
        }
    }

    /// The objects that its value is made of, where it is ("B-TLV").
    #[must_use]
    pub const fn objects(&self) -> SimpleObjects<'a> {
        SimpleObjects::new(self.value)
    }

    /// Writes it after what is in `vector`. A value of more than 254 bytes has no
    /// form and is cut.
    pub fn append_to(&self, vector: &mut Vec<u8>) {
        let value = self.value.get(..0xFE).unwrap_or(self.value);
        vector.extend([self.tag, u8::try_from(value.len()).unwrap_or(0xFE)]);
        vector.extend(value);
    }

    fn read(input: &'a [u8]) -> Read<'a, Simple<'a>> {
        let (after_tag, tag) = be_u8.parse(input)?;
        if matches!(tag, 0x00 | 0xFF) {
            return Stop::at(input, Wrong::Tag);
        }
        let (rest, len) = be_u8.parse(after_tag)?;
        if len == 0xFF {
            return Stop::at(after_tag, Wrong::Length);
        }
        let (rest, value) = take(len).parse(rest)?;
        Ok((rest, Simple { tag, value }))
    }
}

/// The objects of a string of bytes, one after the other. Ends after the first
/// error.
#[derive(Clone, Debug)]
pub struct SimpleObjects<'a> {
    whole: &'a [u8],
    rest: &'a [u8],
}

impl<'a> SimpleObjects<'a> {
    /// Reads from the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> SimpleObjects<'a> {
        SimpleObjects {
            whole: bytes,
            rest: bytes,
        }
    }
}

impl<'a> Iterator for SimpleObjects<'a> {
    type Item = Result<Simple<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.rest.is_empty() {
            return None;
        }
        match Simple::read(self.rest) {
            Ok((rest, object)) => {
                self.rest = rest;
                Some(Ok(object))
            }
            Err(error) => {
                self.rest = &[];
                Some(Err(malformed(self.whole, error)))
            }
        }
    }
}

impl FusedIterator for SimpleObjects<'_> {}

#[cfg(test)]
mod tests {
    use super::{Simple, SimpleObjects};
    use crate::tlv::{Malformed, Wrong};
    use proptest::prelude::{any, prop, proptest};

    #[test]
    fn a_record_may_hold_objects_in_its_object() {
        let record = hex::decode("400B5703303133580412345678DF00").unwrap();
        assert_eq!(
            Simple::whole(&record),
            Err(Malformed {
                offset: 13,
                wrong: Wrong::Length
            })
        );
        let record = Simple::whole(&record[..13]).unwrap();
        let inner: Vec<_> = record.objects().map(Result::unwrap).collect();
        assert_eq!(
            inner
                .iter()
                .map(|one| (one.tag, one.value.len()))
                .collect::<Vec<_>>(),
            [(0x57, 3), (0x58, 4)]
        );
    }

    #[test]
    fn what_is_no_object_is_refused_with_its_place() {
        let refused = |bytes: &[u8], offset, wrong| {
            assert_eq!(Simple::whole(bytes), Err(Malformed { offset, wrong }));
        };
        refused(&[], 0, Wrong::Short);
        refused(&[0x40], 1, Wrong::Short);
        refused(&[0x40, 2, 7], 2, Wrong::Short);
        refused(&[0x00, 0], 0, Wrong::Tag);
        refused(&[0xFF, 0], 0, Wrong::Tag);
        refused(&[0x40, 0xFF, 0, 0], 1, Wrong::Length);
        refused(&[0x40, 0, 0x41, 0], 2, Wrong::Length);
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            objects in prop::collection::vec(
                (1u8..0xFF, prop::collection::vec(any::<u8>(), 0..255)), 0..6),
        ) {
            let mut bytes = Vec::new();
            for (tag, value) in &objects {
                Simple { tag: *tag, value }.append_to(&mut bytes);
            }
            let back: Vec<_> = SimpleObjects::new(&bytes)
                .map(|object| object.map(|object| (object.tag, object.value.to_vec())).unwrap())
                .collect();
            assert_eq!(back, objects);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut again = Vec::new();
            for object in SimpleObjects::new(&bytes) {
                match object {
                    Ok(object) => object.append_to(&mut again),
                    Err(wrong) => assert!(wrong.offset >= again.len()),
                }
            }
            assert!(bytes.starts_with(&again));
        }
    }
}
