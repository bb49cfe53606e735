//! BER-TLV data objects, read from borrowed bytes and written into lent ones.
//!
//! Lengths have 1 to 5 bytes; a long form is taken where a short one would do,
//! as the standard allows, and never written. '00' before, between and after
//! objects means nothing and is skipped.
//!
//! Source: ISO/IEC 7816-4:2020, 5.2.2; EMV 4.3 Book 3, annex B.

use super::tag::Tag;
use super::{Malformed, Read, Stop, Wrong, malformed};
use core::iter::FusedIterator;
use nom::Parser;
use nom::bytes::complete::take;
use nom::number::complete::{be_u8, be_u16, be_u24, be_u32};
use thiserror::Error;

/// One data object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DataObject<'a> {
    /// What it is.
    pub tag: Tag,
    /// What it holds.
    pub value: &'a [u8],
}

impl<'a> DataObject<'a> {
    /// The objects in its value. Has a meaning where the tag
    /// [is constructed](Tag::is_constructed); offsets count from the value.
    #[must_use]
    pub const fn objects(&self) -> Objects<'a> {
        Objects::new(self.value)
    }

    fn read(input: &'a [u8]) -> Read<'a, DataObject<'a>> {
        let (rest, tag) = Tag::read(input)?;
        let (rest, len) = length(rest)?;
        let (rest, value) = take(len).parse(rest)?;
        Ok((rest, DataObject { tag, value }))
    }
}

fn length(input: &[u8]) -> Read<'_, u32> {
    let (rest, first) = be_u8.parse(input)?;
    match first {
        0x00..=0x7F => Ok((rest, u32::from(first))),
        0x81 => be_u8.map(u32::from).parse(rest),
        0x82 => be_u16.map(u32::from).parse(rest),
        0x83 => be_u24.parse(rest),
        0x84 => be_u32.parse(rest),
        _ => Stop::at(input, Wrong::Length),
    }
}

/// The data objects of a string of bytes, one after the other. Ends after the
/// first error.
#[derive(Clone, Debug)]
pub struct Objects<'a> {
    whole: &'a [u8],
    rest: &'a [u8],
}

impl<'a> Objects<'a> {
    /// Reads from the first byte.
    #[must_use]
    pub const fn new(bytes: &'a [u8]) -> Objects<'a> {
        Objects {
            whole: bytes,
            rest: bytes,
        }
    }
}

impl<'a> Iterator for Objects<'a> {
    type Item = Result<DataObject<'a>, Malformed>;

    fn next(&mut self) -> Option<Self::Item> {
        while let [0, rest @ ..] = self.rest {
            self.rest = rest;
        }
        if self.rest.is_empty() {
            return None;
        }
        match DataObject::read(self.rest) {
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

impl FusedIterator for Objects<'_> {}

/// The value of the first object with the path's first tag, in it that of the
/// second, and so on: `find(fci, &[tag!(0x6F), tag!(0x84)])` is the DF name.
///
/// `Ok(None)` where a tag is not there, or the path is empty.
///
/// # Errors
/// [`Malformed`] where bytes before the object sought are no data objects; its
/// offset counts from the value that was searched.
pub fn find<'a>(bytes: &'a [u8], path: &[Tag]) -> Result<Option<&'a [u8]>, Malformed> {
    let Some((tag, path)) = path.split_first() else {
        return Ok(None);
    };
    let mut found = first(bytes, *tag)?;
    for tag in path {
        let Some(value) = found else { return Ok(None) };
        found = first(value, *tag)?;
    }
    Ok(found)
}

fn first(bytes: &[u8], tag: Tag) -> Result<Option<&[u8]>, Malformed> {
    for object in Objects::new(bytes) {
        let object = object?;
        if object.tag == tag {
            return Ok(Some(object.value));
        }
    }
    Ok(None)
}

/// The lent buffer is too short.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("the buffer is too short for the data objects")]
pub struct Full;

/// Writes data objects, into a buffer of fixed length or to the end of a vector.
///
/// Running out of room is told once, by [`finish`](Writer::finish).
///
/// ```
/// use cardlab::tlv::{Writer, tag};
///
/// let mut buffer = [0; 32];
/// let mut writer = Writer::fixed(&mut buffer);
/// writer.nested(tag!(0x6F), |fci| {
///     fci.object(tag!(0x84), b"sx1");
///     fci.nested(tag!(0xA5), |_| {});
/// });
/// let len = writer.finish().unwrap();
/// assert_eq!(buffer[..len], *b"\x6F\x07\x84\x03sx1\xA5\x00");
/// ```
#[derive(Debug)]
pub struct Writer<'b> {
    room: Room<'b>,
    /// Bytes that were in the vector before.
    before: usize,
    full: bool,
}

#[derive(Debug)]
enum Room<'b> {
    Fixed { buffer: &'b mut [u8], len: usize },
    Grown(&'b mut Vec<u8>),
}

impl Room<'_> {
    const fn len(&self) -> usize {
        match self {
            Room::Fixed { len, .. } => *len,
            Room::Grown(vector) => vector.len(),
        }
    }

    fn push(&mut self, bytes: &[u8]) -> Option<()> {
        match self {
            Room::Fixed { buffer, len } => {
                let end = len.checked_add(bytes.len())?;
                buffer.get_mut(*len..end)?.copy_from_slice(bytes);
                *len = end;
            }
            Room::Grown(vector) => vector.extend_from_slice(bytes),
        }
        Some(())
    }

    /// All that was written from `at` on.
    fn from(&mut self, at: usize) -> &mut [u8] {
        match self {
            Room::Fixed { buffer, len } => buffer.get_mut(at..*len),
            Room::Grown(vector) => vector.get_mut(at..),
        }
        .unwrap_or_default()
    }
}

impl<'b> Writer<'b> {
    /// Writes from the start of `buffer`.
    #[must_use]
    pub const fn fixed(buffer: &'b mut [u8]) -> Writer<'b> {
        Writer {
            room: Room::Fixed { buffer, len: 0 },
            before: 0,
            full: false,
        }
    }

    /// Writes after what is in `vector`.
    #[must_use]
    pub const fn append(vector: &'b mut Vec<u8>) -> Writer<'b> {
        Writer {
            before: vector.len(),
            room: Room::Grown(vector),
            full: false,
        }
    }

    /// Writes one object.
    pub fn object(&mut self, tag: Tag, value: &[u8]) -> &mut Writer<'b> {
        tag.with_bytes(|bytes| self.push(bytes));
        with_length(value.len(), |bytes| {
            self.push(bytes);
        });
        self.push(value)
    }

    /// Writes one object whose value is what `fill` writes.
    pub fn nested(&mut self, tag: Tag, fill: impl FnOnce(&mut Self)) -> &mut Writer<'b> {
        tag.with_bytes(|bytes| self.push(bytes));
        let start = self.room.len();
        fill(self);
        let len = self.room.len().saturating_sub(start);
        // The length goes to the end, then around the value to its front.
        with_length(len, |bytes| {
            self.push(bytes);
            if !self.full {
                self.room.from(start).rotate_right(bytes.len());
            }
        });
        self
    }

    /// Writes bytes that are data objects already.
    pub fn raw(&mut self, objects: &[u8]) -> &mut Writer<'b> {
        self.push(objects)
    }

    /// How many bytes were written.
    ///
    /// # Errors
    /// [`Full`] where they were too many; what was written is then of no use.
    pub fn finish(self) -> Result<usize, Full> {
        if self.full {
            Err(Full)
        } else {
            Ok(self.room.len().saturating_sub(self.before))
        }
    }

    fn push(&mut self, bytes: &[u8]) -> &mut Writer<'b> {
        self.full = self.full || self.room.push(bytes).is_none();
        self
    }
}

/// Gives the shortest form of a length to `write`.
fn with_length(len: usize, write: impl FnOnce(&[u8])) {
    // No buffer here comes near 4 GiB.
    match u32::try_from(len).unwrap_or(u32::MAX).to_be_bytes() {
        [0, 0, 0, a @ 0x00..=0x7F] => write(&[a]),
        [0, 0, 0, a] => write(&[0x81, a]),
        [0, 0, b, a] => write(&[0x82, b, a]),
        [0, c, b, a] => write(&[0x83, c, b, a]),
        [d, c, b, a] => write(&[0x84, d, c, b, a]),
    }
}

#[cfg(test)]
mod tests {
    use super::{DataObject, Full, Objects, Writer, find};
    use crate::tlv::{Malformed, Tag, Wrong, tag};
    use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

    fn all(hex: &str) -> Result<Vec<(u32, Vec<u8>)>, Malformed> {
        Objects::new(&hex::decode(hex).unwrap())
            .map(|object| object.map(|object| (object.tag.value(), object.value.to_vec())))
            .collect()
    }

    #[test]
    fn every_form_of_a_length_is_read() {
        for head in ["8402", "848102", "84820002", "8483000002", "848400000002"] {
            assert_eq!(
                all(&format!("{head}AABB")).unwrap(),
                [(0x84, vec![0xAA, 0xBB])]
            );
        }
    }

    #[test]
    fn what_is_no_object_is_refused_with_its_place() {
        let refused = |hex, offset, wrong| {
            assert_eq!(all(hex), Err(Malformed { offset, wrong }), "{hex}");
        };
        refused("8480AABB", 1, Wrong::Length);
        refused("8485000000000102", 1, Wrong::Length);
        refused("84FF", 1, Wrong::Length);
        refused("84", 1, Wrong::Short);
        refused("8401AA8402AA", 5, Wrong::Short);
    }

    #[test]
    fn zeros_between_objects_mean_nothing() {
        assert_eq!(all("").unwrap(), []);
        assert_eq!(all("000000").unwrap(), []);
        assert_eq!(
            all("0084000050010000").unwrap(),
            [(0x84, vec![]), (0x50, vec![0])]
        );
    }

    #[test]
    fn reading_ends_after_an_error() {
        let mut objects = Objects::new(&[0x84, 0x05, 0x84, 0x00]);
        assert!(objects.next().unwrap().is_err());
        assert_eq!(objects.next(), None);
    }

    #[test]
    fn a_path_leads_to_the_first_object_of_its_tags() {
        let fci = hex::decode("6F108402AABBA50A880105A5009F0C02CCDD").unwrap();
        let found = |path: &[Tag]| find(&fci, path).unwrap().map(hex::encode_upper);
        assert_eq!(found(&[tag!(0x6F), tag!(0x84)]).as_deref(), Some("AABB"));
        let deep = [tag!(0x6F), tag!(0xA5), tag!(0x9F0C)];
        assert_eq!(found(&deep).as_deref(), Some("CCDD"));
        assert_eq!(
            found(&[tag!(0x6F), tag!(0xA5), tag!(0xA5)]).as_deref(),
            Some("")
        );
        assert_eq!(found(&[tag!(0x6F), tag!(0x50)]), None);
        assert_eq!(found(&[tag!(0x84), tag!(0x84)]), None);
        assert_eq!(found(&[]), None);
        let wrong = find(&fci[..7], &[tag!(0x6F)]).unwrap_err();
        assert_eq!((wrong.offset, wrong.wrong), (2, Wrong::Short));
    }

    #[test]
    fn lengths_are_written_in_their_shortest_form() {
        for (len, form) in [
            (0, "00"),
            (127, "7F"),
            (128, "8180"),
            (255, "81FF"),
            (256, "820100"),
            (65_535, "82FFFF"),
            (65_536, "83010000"),
        ] {
            let value = vec![0x5A; len];
            let (mut flat, mut nested) = (vec![0xEE], vec![0xEE]);
            let mut writer = Writer::append(&mut flat);
            writer.object(tag!(0x70), &value);
            let written = writer.finish().unwrap();
            Writer::append(&mut nested).nested(tag!(0x70), |inner| {
                inner.raw(&value);
            });
            let head = hex::decode(format!("70{form}")).unwrap();
            assert_eq!(flat[1..], [&head[..], &value].concat());
            assert_eq!(nested, flat);
            assert_eq!(written, flat.len() - 1);
        }
    }

    #[test]
    fn a_buffer_is_full_exactly_when_the_objects_do_not_fit() {
        let write = |room: usize| {
            let mut buffer = vec![0; room];
            let mut writer = Writer::fixed(&mut buffer);
            writer.nested(tag!(0x6F), |fci| {
                fci.object(tag!(0x84), &[7; 100]);
                fci.nested(tag!(0xA5), |inner| {
                    inner.object(tag!(0x9F0C), &[8; 40]);
                });
            });
            let written = writer.finish();
            written.map(|len| buffer[..len].to_vec())
        };
        let whole = write(300).unwrap();
        for room in 0..300 {
            match write(room) {
                Ok(bytes) => assert!(room >= whole.len() && bytes == whole),
                Err(Full) => assert!(room < whole.len()),
            }
        }
    }

    /// A tree of objects.
    #[derive(Clone, Debug, PartialEq)]
    enum Tree {
        Leaf(Tag, Vec<u8>),
        Node(Tag, Vec<Tree>),
    }

    fn trees() -> impl Strategy<Value = Tree> {
        let leaf = (
            prop_oneof![Just(tag!(0x84)), Just(tag!(0x9F36)), Just(tag!(0xDF8105))],
            prop::collection::vec(any::<u8>(), 0..300),
        )
            .prop_map(|(tag, value)| Tree::Leaf(tag, value));
        leaf.prop_recursive(4, 24, 5, |inner| {
            (
                prop_oneof![Just(tag!(0x6F)), Just(tag!(0xBF0C)), Just(tag!(0xFF8105))],
                prop::collection::vec(inner, 0..5),
            )
                .prop_map(|(tag, children)| Tree::Node(tag, children))
        })
    }

    fn write(writer: &mut Writer<'_>, tree: &Tree) {
        match tree {
            Tree::Leaf(tag, value) => writer.object(*tag, value),
            Tree::Node(tag, children) => writer.nested(*tag, |inner| {
                children.iter().for_each(|child| write(inner, child));
            }),
        };
    }

    fn read(object: DataObject<'_>) -> Tree {
        if object.tag.is_constructed() {
            let children = object.objects().map(|child| read(child.unwrap())).collect();
            Tree::Node(object.tag, children)
        } else {
            Tree::Leaf(object.tag, object.value.to_vec())
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(forest in prop::collection::vec(trees(), 0..4)) {
            let mut bytes = Vec::new();
            let mut writer = Writer::append(&mut bytes);
            forest.iter().for_each(|tree| write(&mut writer, tree));
            let len = writer.finish().unwrap();
            assert_eq!(len, bytes.len());
            let back: Vec<_> = Objects::new(&bytes).map(|object| read(object.unwrap())).collect();
            assert_eq!(back, forest);
            let mut fixed = vec![0; len];
            let mut writer = Writer::fixed(&mut fixed);
            forest.iter().for_each(|tree| write(&mut writer, tree));
            assert_eq!(writer.finish(), Ok(len));
            assert_eq!(fixed, bytes);
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let mut seen = 0;
            for object in Objects::new(&bytes) {
                match object {
                    Ok(object) => seen += object.tag.len() + 1 + object.value.len(),
                    Err(wrong) => assert!(wrong.offset >= seen && wrong.offset <= bytes.len()),
                }
                assert!(seen <= bytes.len());
            }
            let _ = find(&bytes, &[tag!(0x6F), tag!(0x84)]);
        }

        #[test]
        fn near_misses_are_read_or_refused(
            tree in trees(), at in any::<prop::sample::Index>(), byte: u8,
        ) {
            let mut bytes = Vec::new();
            write(&mut Writer::append(&mut bytes), &tree);
            let at = at.index(bytes.len());
            bytes[at] = byte;
            for object in Objects::new(&bytes) {
                let Ok(object) = object else { break };
                for child in object.objects() {
                    assert!(child.is_err() || child.unwrap().value.len() < bytes.len());
                }
            }
        }
    }
}
