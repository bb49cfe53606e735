//! TEXT: each place for characters takes every name there is, and gives it back.
//!
//! A card keeps bytes: it neither trims, nor fills, nor mends what it is given, be it a
//! character of four bytes, a filling that the specification does not have, or a
//! character that its place cuts in two.
//!
//! Source: GB 18030-2022; 人社信息函〔2012〕37号, data formats.

use super::record::opening;
use super::{case, file_id, file_name, group, hex_of, select, send};
use crate::case::{Case, Safety, Step};
use cardlab_desk::profile::{Directory, File, Format, Item, Kind};

/// The shortest place that holds more than a code, in bytes.
const TEXT_LEN_MIN: u8 = 10;

/// A place for characters, in the record that it stands in.
struct Place<'p> {
    item: &'p Item,
    /// In ids.
    name: String,
    /// The whole record, tag and length included.
    record: Vec<u8>,
    /// Where the characters begin in it.
    at: usize,
    /// How the record is written, and how it is read back.
    write: String,
    read: String,
}

pub(super) fn cases(directory: &Directory, file: &File) -> Vec<Case> {
    let (Some(way_in), Some(way_to_write)) = (opening(&file.read), opening(&file.update)) else {
        return Vec::new();
    };
    let way = [way_in, way_to_write].concat();
    let places = places(file);
    places
        .iter()
        .map(|place| kept(directory, file, place, &way))
        .collect()
}

fn places(file: &File) -> Vec<Place<'_>> {
    let (sfi, mut places) = (file.sfi << 3, Vec::new());
    for record in &file.records {
        let (tag, number) = (record.item.tag.unwrap_or_default(), record.number);
        let bytes = record.to_bytes();
        let mut push = |item, name: String, at| {
            places.push(Place {
                item,
                name: format!("record-{number:02}-{name}"),
                at,
                write: format!("00DC{number:02X}{:02X} {:02X}", sfi | 0x04, bytes.len()),
                read: format!("00B2{number:02X}{:02X} {:02X}", sfi | 0x04, bytes.len()),
                record: bytes.clone(),
            });
        };
        push(&record.item, format!("tag-{tag:02x}"), 2);
        let mut at = 2;
        for inner in &record.item.inner {
            let name = format!("tag-{tag:02x}-{:02x}", inner.tag.unwrap_or_default());
            push(inner, name, at + 2);
            at += 2 + usize::from(inner.len);
        }
    }
    if let Kind::Cyclic { record_len, .. } = file.kind {
        let mut at = 0;
        for (number, field) in (1..).zip(&file.fields) {
            places.push(Place {
                item: field,
                name: format!("field-{number}"),
                record: vec![0; usize::from(record_len)],
                at,
                write: format!("00DC00{:02X} {record_len:02X}", sfi | 0x03),
                read: format!("00B201{:02X} {record_len:02X}", sfi | 0x04),
            });
            at += usize::from(field.len);
        }
    }
    places.retain(|place| place.item.format == Format::An && place.item.len >= TEXT_LEN_MIN);
    places
}

fn kept(directory: &Directory, file: &File, place: &Place<'_>, way: &[Step]) -> Case {
    let whole = file_name(directory, file);
    let Place { item, name, .. } = place;
    let len = usize::from(item.len);
    let id = format!(
        "{}-text/{}-{name}",
        directory.label.to_lowercase(),
        file_id(file)
    );
    let mut case = case(
        id,
        format!(
            "{whole}: {}, {len} bytes, keeps characters of any length and any filling.",
            item.names.en
        ),
        format!(
            "{whole} {}（{len} 字节）原样保存各种长度的汉字和填充。",
            item.names.zh
        ),
    );
    case.source.push("GB 18030-2022".to_owned());
    case.group = group(directory, "RECORD");
    case.requirements = vec!["R03".to_owned()];
    case.safety = Safety::Writes;
    case.steps = vec![select(directory)];
    case.steps.extend_from_slice(way);
    for (label, value) in values(len) {
        let mut record = place.record.clone();
        if let Some(bytes) = record.get_mut(place.at..place.at + len) {
            bytes.copy_from_slice(&value);
        }
        let record = hex_of(&record);
        let write = format!("{} {record}", place.write);
        case.steps
            .push(send(&format!("write {label}"), write, "9000"));
        case.steps.push(send(
            &format!("read {label}"),
            place.read.clone(),
            &format!("{record}9000"),
        ));
    }
    case
}

/// Names that are hard to write or to read, each of `len` bytes.
fn values(len: usize) -> [(&'static str, Vec<u8>); 8] {
    let whole = |characters: &[&[u8]], filling| {
        let mut bytes = Vec::with_capacity(len);
        for character in characters.iter().cycle() {
            if bytes.len() + character.len() > len {
                break;
            }
            bytes.extend_from_slice(character);
        }
        bytes.resize(len, filling);
        bytes
    };
    let short = |filling| {
        let mut bytes = [LI, SHI, FAN].concat();
        bytes.resize(len, filling);
        bytes
    };
    // The last character begins in the last byte or two and goes on outside.
    let mut cut = ZHOU.repeat(len.saturating_sub(1) / 2);
    cut.extend(YAN.iter().take(len - cut.len()));
    [
        ("two-byte characters", whole(&[ZHOU], 0x00)),
        ("four-byte characters", whole(&[YAN, HU], 0x00)),
        (
            "characters of one, two and four bytes",
            whole(&[b"A", YAN2, YAN], 0x00),
        ),
        ("both dots", whole(&[LI, DOT, SHI, BULLET], 0x00)),
        ("characters that end in EE", whole(&[ZHU], 0x00)),
        ("a name filled with blanks", short(0x20)),
        ("a name filled with FF", short(0xFF)),
        ("a character cut in two", cut),
    ]
}

/// 李, 示, 范, 周, and 诸, whose second byte is 'EE'.
const LI: &[u8] = &[0xC0, 0xEE];
const SHI: &[u8] = &[0xCA, 0xBE];
const FAN: &[u8] = &[0xB7, 0xB6];
const ZHOU: &[u8] = &[0xD6, 0xDC];
const ZHU: &[u8] = &[0xD6, 0xEE];
/// 䶮 of two bytes, 𬭎 and 㼆 of four.
const YAN2: &[u8] = &[0xFE, 0x9F];
const YAN: &[u8] = &[0x99, 0x33, 0xA9, 0x32];
const HU: &[u8] = &[0x82, 0x32, 0x8D, 0x37];
/// U+00B7 and U+2022.
const DOT: &[u8] = &[0xA1, 0xA4];
const BULLET: &[u8] = &[0x81, 0x36, 0xA6, 0x31];

#[cfg(test)]
mod tests {
    use super::values;
    use cardlab_desk::encode::{DecodeError, decode_text};

    #[test]
    fn the_names_are_what_they_are_called() {
        for len in [10, 15, 30, 50, 80] {
            let read = |index: usize| {
                let value = &values(len)[index].1;
                assert_eq!(value.len(), len);
                decode_text(value)
            };
            let only = |index, characters: &str| {
                let read = read(index);
                assert_eq!(read.fault(), None);
                read.text().chars().all(|c| characters.contains(c))
            };
            assert!(only(0, "周") && only(1, "𬭎㼆") && only(2, "A䶮𬭎"));
            assert!(only(3, "李·示•") && only(4, "诸"));
            assert_eq!((read(5).text(), read(6).text()), ("李示范", "李示范"));
            let at = len.div_ceil(2);
            let cut = DecodeError::Cut {
                at,
                from: 2 * at - 1,
            };
            assert_eq!(read(7).fault(), Some(cut));
        }
    }
}
