//! A data object list: tags and lengths, to be filled with values alone.
//!
//! Source: EMV 4.3 Book 3, 5.4 (rules for using a data object list).

use super::tag::Tag;
use super::{Malformed, Read, malformed};
use nom::Parser;
use nom::number::complete::be_u8;

/// A data object list, checked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Dol<'a> {
    bytes: &'a [u8],
    filled_len: usize,
}

/// What a list asks for at one place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Entry {
    /// Which data element.
    pub tag: Tag,
    /// How many bytes of it.
    pub len: u8,
}

/// How a value is cut or filled up where its length is not the one asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// n: digits, right-justified. Cut on the left, filled up there with '00'.
    Numeric,
    /// cn: digits, left-justified. Cut on the right, filled up there with 'FF'.
    CompressedNumeric,
    /// Any other. Cut on the right, filled up there with '00'.
    Other,
}

/// A value that is to go into a list's place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Value<'v> {
    /// How it is cut or filled up.
    pub format: Format,
    /// Its bytes.
    pub bytes: &'v [u8],
}

impl Value<'_> {
    /// Puts it into its place, cut or filled up.
    fn put(&self, place: &mut [u8]) {
        let (value, asked) = (self.bytes, place.len());
        let missing = asked.saturating_sub(value.len());
        let excess = value.len().saturating_sub(asked);
        let (kept, padding, fill) = match self.format {
            Format::Numeric => (value.get(excess..), 0..missing, 0x00),
            Format::CompressedNumeric => (value.get(..asked), value.len()..asked, 0xFF),
            Format::Other => (value.get(..asked), value.len()..asked, 0x00),
        };
        let kept = kept.unwrap_or(value);
        if let Some(padding) = place.get_mut(padding) {
            padding.fill(fill);
        }
        let at = if self.format == Format::Numeric {
            missing
        } else {
            0
        };
        for (to, from) in place.iter_mut().skip(at).zip(kept) {
            *to = *from;
        }
    }
}

impl<'a> Dol<'a> {
    /// Checks a list.
    ///
    /// # Errors
    /// [`Malformed`] where it is not tags of 1 to 3 bytes, each with a length of
    /// one byte.
    pub fn parse(bytes: &'a [u8]) -> Result<Dol<'a>, Malformed> {
        let mut filled_len = 0usize;
        let mut rest = bytes;
        while !rest.is_empty() {
            let (after, entry) = entry(rest).map_err(|error| malformed(bytes, error))?;
            filled_len = filled_len.saturating_add(usize::from(entry.len));
            rest = after;
        }
        Ok(Dol { bytes, filled_len })
    }

    /// What it asks for, in order.
    pub fn entries(&self) -> impl Iterator<Item = Entry> + use<'a> {
        let mut rest = self.bytes;
        core::iter::from_fn(move || {
            let (after, entry) = entry(rest).ok()?;
            rest = after;
            Some(entry)
        })
    }

    /// Bytes in all the values that it asks for.
    #[must_use]
    pub const fn filled_len(&self) -> usize {
        self.filled_len
    }

    /// Fills `into` with the values asked for and gives how many bytes that were.
    ///
    /// A value that is not known, or is a template, is '00' throughout. `None`
    /// where `into` is too short; it is left as it was.
    pub fn fill<'v>(
        &self,
        into: &mut [u8],
        mut lookup: impl FnMut(Tag) -> Option<Value<'v>>,
    ) -> Option<usize> {
        let mut left = into.get_mut(..self.filled_len)?;
        for entry in self.entries() {
            let (place, rest) = left.split_at_mut_checked(usize::from(entry.len))?;
            match lookup(entry.tag).filter(|_| !entry.tag.is_constructed()) {
                Some(value) => value.put(place),
                None => place.fill(0),
            }
            left = rest;
        }
        Some(self.filled_len)
    }

    /// The values in `data`, each with its tag; `None` where `data` does not have
    /// the length that the list asks for.
    #[must_use]
    pub fn split<'d>(
        &self,
        data: &'d [u8],
    ) -> Option<impl Iterator<Item = (Tag, &'d [u8])> + use<'a, 'd>> {
        if data.len() != self.filled_len {
            return None;
        }
        let mut left = data;
        Some(self.entries().map_while(move |entry| {
            let (value, rest) = left.split_at_checked(usize::from(entry.len))?;
            left = rest;
            Some((entry.tag, value))
        }))
    }
}

fn entry(input: &[u8]) -> Read<'_, Entry> {
    (Tag::read, be_u8)
        .map(|(tag, len)| Entry { tag, len })
        .parse(input)
}

#[cfg(test)]
mod tests {
    use super::{Dol, Format, Value};
    use crate::tlv::{Malformed, Tag, Wrong, tag};
    use proptest::prelude::{any, prop, proptest};

    fn filled(dol: &str, format: Format, value: &str) -> String {
        let (dol, bytes) = (hex::decode(dol).unwrap(), hex::decode(value).unwrap());
        let dol = Dol::parse(&dol).unwrap();
        let mut into = [0xEE; 32];
        let value = Value {
            format,
            bytes: &bytes,
        };
        let len = dol.fill(&mut into, |_| Some(value)).unwrap();
        assert!(into[len..].iter().all(|byte| *byte == 0xEE));
        hex::encode_upper(&into[..len])
    }

    #[test]
    fn a_value_that_is_too_long_is_cut_by_its_format() {
        let cut = |format| filled("9F0202", format, "11223344");
        assert_eq!(cut(Format::Numeric), "3344");
        assert_eq!(cut(Format::CompressedNumeric), "1122");
        assert_eq!(cut(Format::Other), "1122");
    }

    #[test]
    fn a_value_that_is_too_short_is_filled_up_by_its_format() {
        let filled_up = |format| filled("9F0204", format, "1122");
        assert_eq!(filled_up(Format::Numeric), "00001122");
        assert_eq!(filled_up(Format::CompressedNumeric), "1122FFFF");
        assert_eq!(filled_up(Format::Other), "11220000");
    }

    #[test]
    fn a_template_and_what_is_not_known_are_zeros() {
        assert_eq!(
            filled("BF0C03", Format::CompressedNumeric, "1122"),
            "000000"
        );
        let dol = Dol::parse(&[0x9A, 3, 0x95, 2]).unwrap();
        let mut into = [0xEE; 5];
        let date = Value {
            format: Format::Numeric,
            bytes: &[0x26, 0x11, 0x23],
        };
        let len = dol.fill(&mut into, |tag| (tag == tag!(0x9A)).then_some(date));
        assert_eq!((len, into), (Some(5), [0x26, 0x11, 0x23, 0, 0]));
    }

    #[test]
    fn a_list_is_split_only_from_data_of_its_length() {
        let bytes = hex::decode("9F7A019F02065F2A02").unwrap();
        let dol = Dol::parse(&bytes).unwrap();
        assert_eq!(dol.filled_len(), 9);
        let data = [1, 2, 3, 4, 5, 6, 7, 8, 9];
        let split: Vec<_> = dol.split(&data).unwrap().collect();
        assert_eq!(
            split,
            [
                (tag!(0x9F7A), &data[..1]),
                (tag!(0x9F02), &data[1..7]),
                (tag!(0x5F2A), &data[7..])
            ]
        );
        assert!(dol.split(&data[..8]).is_none() && dol.split(&[0; 10]).is_none());
        assert!(dol.fill(&mut [0; 8], |_| None).is_none());
    }

    #[test]
    fn a_list_that_is_none_is_refused_with_its_place() {
        let refused = |bytes: &[u8], offset, wrong| {
            assert_eq!(Dol::parse(bytes), Err(Malformed { offset, wrong }));
        };
        refused(&[0x9A], 1, Wrong::Short);
        refused(&[0x9A, 3, 0x9F], 3, Wrong::Short);
        refused(&[0x9A, 3, 0x00, 1], 2, Wrong::Tag);
        assert_eq!(Dol::parse(&[]).unwrap().entries().count(), 0);
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_list_or_refused(
            bytes in prop::collection::vec(any::<u8>(), 0..60),
            value in prop::collection::vec(any::<u8>(), 0..20), which in 0u8..3,
        ) {
            let Ok(dol) = Dol::parse(&bytes) else { return Ok(()) };
            let lens = dol.entries().map(|entry| usize::from(entry.len)).sum::<usize>();
            assert_eq!(lens, dol.filled_len());
            let format = [Format::Numeric, Format::CompressedNumeric, Format::Other];
            let value = Value { format: format[usize::from(which)], bytes: &value };
            let mut into = vec![0xEE; lens];
            assert_eq!(dol.fill(&mut into, |_| Some(value)), Some(lens));
            let entries: Vec<_> = dol.entries().collect();
            let split: Vec<(Tag, &[u8])> = dol.split(&into).unwrap().collect();
            assert_eq!(split.len(), entries.len());
            for ((tag, place), entry) in split.into_iter().zip(entries) {
                assert_eq!((tag, place.len()), (entry.tag, usize::from(entry.len)));
                if place.len() == value.bytes.len() && !tag.is_constructed() {
                    assert_eq!(place, value.bytes);
                }
            }
        }
    }
}
