//! What an answer must be: a pattern over data and status word.
//!
//! | pattern          | matches                                                   |
//! |------------------|-----------------------------------------------------------|
//! | `9000`           | that status word and no data                              |
//! | `63C?`           | any digit for each `?`                                    |
//! | `0110 ** 9000`   | these bytes, any bytes, the status word                   |
//! | `**9000`         | any data                                                  |
//! | `{8}9000`        | any 8 bytes                                               |
//! | `{raw}9000`      | the value of this name, put in before it is matched       |
//! | `9000 \| 6A86`    | either                                                    |
//!
//! White space does not count; the last four digits are the status word.

use cardlab::apdu::{Response, Sw};
use cardlab::tlv::{Objects, Tag};
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// One or more patterns, of which one must match.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Expect {
    text: String,
    alternatives: Vec<Pattern>,
}

/// Where an object stands in BER-TLV: tags from the outermost on, `6F/A5/88`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectPath(String);

/// What the value of an object must be: data without a status word, or `-`, no object.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ObjectValue {
    text: String,
    parts: Option<Vec<Part>>,
}

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum ExpectError {
    /// A character that no pattern has.
    #[error(
        "'{0}' has no place in an expectation: hex digits, '?', '**', '{{n}}', '{{name}}' \
         and '|' do"
    )]
    Character(char),
    /// A pattern without four digits at its end.
    #[error("{0:?} does not end in a status word of four digits or '?'")]
    NoStatusWord(String),
    /// Half a byte before the status word.
    #[error("{0:?} has an odd number of digits before its status word")]
    HalfByte(String),
    /// A path that has something else than tags in it.
    #[error("{0:?} is no path of tags such as 6F/A5/88")]
    Path(String),
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct Pattern {
    data: Vec<Part>,
    sw: [Nibble; 4],
}

/// A digit, or `None` for any.
type Nibble = Option<u8>;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Byte(Nibble, Nibble),
    Any(usize),
    Rest,
    /// A value that is not put in yet; nothing is it.
    Value,
}

impl Expect {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`ExpectError`] for the first alternative that is none.
    pub fn parse(text: &str) -> Result<Expect, ExpectError> {
        let mut in_braces = false;
        let stands_between = |c| {
            in_braces = c == '{' || in_braces && c != '}';
            c == '|' && !in_braces
        };
        let alternatives = text
            .split(stands_between)
            .map(Pattern::parse)
            .collect::<Result<_, _>>()?;
        Ok(Expect {
            text: text.to_owned(),
            alternatives,
        })
    }

    /// Whether values are to be put in before it can match.
    #[must_use]
    pub fn has_values(&self) -> bool {
        let mut parts = self.alternatives.iter().flat_map(|pattern| &pattern.data);
        parts.any(|part| *part == Part::Value)
    }

    /// As it was written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.text
    }

    /// The status words that it names in full, in their order.
    pub fn status_words(&self) -> impl Iterator<Item = Sw> + '_ {
        self.alternatives.iter().filter_map(|pattern| {
            let [a, b, c, d] = pattern.sw;
            let sw1 = a? << 4 | b?;
            // Of a counting word any one stands for all.
            let sw2 = c? << 4 | d.or((sw1 == 0x63).then_some(0))?;
            Some(Sw(u16::from_be_bytes([sw1, sw2])))
        })
    }

    /// Whether an answer is one of those meant.
    #[must_use]
    pub fn matches(&self, answer: &Response<'_>) -> bool {
        self.alternatives
            .iter()
            .any(|pattern| pattern.matches(answer))
    }
}

impl ObjectPath {
    /// Reads a path.
    ///
    /// # Errors
    /// [`ExpectError::Path`].
    pub fn parse(text: &str) -> Result<ObjectPath, ExpectError> {
        match tags(text) {
            Some(_) => Ok(ObjectPath(text.to_owned())),
            None => Err(ExpectError::Path(text.to_owned())),
        }
    }

    /// The first value that stands there, if there is one; records may stand one after
    /// the other.
    #[must_use]
    pub fn find<'d>(&self, data: &'d [u8]) -> Option<&'d [u8]> {
        below(data, &tags(&self.0)?)
    }
}

/// The first value at the end of this path; `None` too where data before it are no
/// objects.
fn below<'d>(data: &'d [u8], path: &[Tag]) -> Option<&'d [u8]> {
    let (tag, path) = path.split_first()?;
    for object in Objects::new(data) {
        let object = object.ok()?;
        if object.tag == *tag {
            let found = match path {
                [] => Some(object.value),
                path => below(object.value, path),
            };
            if found.is_some() {
                return found;
            }
        }
    }
    None
}

fn tags(text: &str) -> Option<Vec<Tag>> {
    text.split('/')
        .map(|tag| Tag::new(u32::from_str_radix(tag, 16).ok()?))
        .collect()
}

impl ObjectValue {
    /// Reads a pattern.
    ///
    /// # Errors
    /// [`ExpectError`] where it is none.
    pub fn parse(text: &str) -> Result<ObjectValue, ExpectError> {
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let parts = match compact.as_str() {
            "-" => None,
            data => Some(parts(data, text)?),
        };
        if parts.iter().flatten().any(|part| *part == Part::Value) {
            return Err(ExpectError::Character('{'));
        }
        Ok(ObjectValue {
            text: text.to_owned(),
            parts,
        })
    }

    /// Whether what was found is what is meant.
    #[must_use]
    pub fn matches(&self, found: Option<&[u8]>) -> bool {
        match (&self.parts, found) {
            (None, None) => true,
            (Some(parts), Some(value)) => data_matches(parts, value),
            (None, Some(_)) | (Some(_), None) => false,
        }
    }
}

impl Pattern {
    fn parse(text: &str) -> Result<Pattern, ExpectError> {
        let compact: String = text.chars().filter(|c| !c.is_whitespace()).collect();
        let no_sw = || ExpectError::NoStatusWord(text.trim().to_owned());
        let split = compact
            .len()
            .checked_sub(4)
            .filter(|at| compact.is_char_boundary(*at));
        let (data, sw) = compact.split_at(split.ok_or_else(no_sw)?);
        let mut nibbles = [None; 4];
        for (nibble, c) in nibbles.iter_mut().zip(sw.chars()) {
            *nibble = nibble_of(c).map_err(|_| no_sw())?;
        }
        let parts = parts(data, text)?;
        Ok(Pattern {
            data: parts,
            sw: nibbles,
        })
    }

    fn matches(&self, answer: &Response<'_>) -> bool {
        let [sw1, sw2] = answer.sw.0.to_be_bytes();
        let digits = [sw1 >> 4, sw1 & 15, sw2 >> 4, sw2 & 15];
        self.sw
            .iter()
            .zip(digits)
            .all(|(want, got)| fits(*want, got))
            && data_matches(&self.data, answer.data)
    }
}

/// The parts of a pattern for data, without white space.
fn parts(mut data: &str, text: &str) -> Result<Vec<Part>, ExpectError> {
    let mut parts = Vec::new();
    while let Some(first) = data.chars().next() {
        if let Some(rest) = data.strip_prefix("**") {
            parts.push(Part::Rest);
            data = rest;
        } else if let Some((count, rest)) =
            data.strip_prefix('{').and_then(|rest| rest.split_once('}'))
        {
            parts.push(match count.parse() {
                Ok(count) => Part::Any(count),
                Err(_) if is_name(count) => Part::Value,
                Err(_) => return Err(ExpectError::Character('{')),
            });
            data = rest;
        } else {
            let high = nibble_of(first)?;
            let rest = &data[first.len_utf8()..];
            let Some(second) = rest.chars().next() else {
                return Err(ExpectError::HalfByte(text.trim().to_owned()));
            };
            parts.push(Part::Byte(high, nibble_of(second)?));
            data = &rest[second.len_utf8()..];
        }
    }
    Ok(parts)
}

/// Whether a value can have this name: letters, digits, and what stands in addresses.
fn is_name(name: &str) -> bool {
    let first = name.chars().next();
    first.is_some_and(char::is_alphabetic)
        && name
            .chars()
            .all(|c| c.is_ascii_alphanumeric() || "_|:".contains(c))
}

fn nibble_of(c: char) -> Result<Nibble, ExpectError> {
    match c {
        '?' => Ok(None),
        c => match c.to_digit(16) {
            Some(digit) => Ok(u8::try_from(digit).ok()),
            None => Err(ExpectError::Character(c)),
        },
    }
}

fn fits(want: Nibble, got: u8) -> bool {
    want.is_none_or(|want| want == got)
}

fn data_matches(parts: &[Part], data: &[u8]) -> bool {
    match parts {
        [] => data.is_empty(),
        [Part::Value, ..] => false,
        [Part::Rest, rest @ ..] => (0..=data.len()).any(|skip| data_matches(rest, &data[skip..])),
        [Part::Any(count), rest @ ..] => data
            .get(*count..)
            .is_some_and(|data| data_matches(rest, data)),
        [Part::Byte(high, low), rest @ ..] => data.split_first().is_some_and(|(byte, data)| {
            fits(*high, byte >> 4) && fits(*low, byte & 15) && data_matches(rest, data)
        }),
    }
}

impl TryFrom<String> for ObjectPath {
    type Error = ExpectError;

    fn try_from(text: String) -> Result<ObjectPath, ExpectError> {
        ObjectPath::parse(&text)
    }
}

impl From<ObjectPath> for String {
    fn from(path: ObjectPath) -> String {
        path.0
    }
}

impl fmt::Display for ObjectPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl TryFrom<String> for ObjectValue {
    type Error = ExpectError;

    fn try_from(text: String) -> Result<ObjectValue, ExpectError> {
        ObjectValue::parse(&text)
    }
}

impl From<ObjectValue> for String {
    fn from(value: ObjectValue) -> String {
        value.text
    }
}

impl fmt::Display for ObjectValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Expect {
    type Error = ExpectError;

    fn try_from(text: String) -> Result<Expect, ExpectError> {
        Expect::parse(&text)
    }
}

impl From<Expect> for String {
    fn from(expect: Expect) -> String {
        expect.text
    }
}

impl fmt::Display for Expect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

#[cfg(test)]
mod tests {
    use super::{Expect, ObjectPath, ObjectValue};
    use cardlab::apdu::{Response, Sw};

    fn matches(pattern: &str, data: &[u8], sw: u16) -> bool {
        Expect::parse(pattern)
            .unwrap()
            .matches(&Response { data, sw: Sw(sw) })
    }

    #[test]
    fn patterns_match_as_the_table_says() {
        assert!(matches("9000", &[], 0x9000));
        assert!(!matches("9000", &[1], 0x9000), "data that was not expected");
        assert!(matches("63C?", &[], 0x63C7));
        assert!(!matches("63C?", &[], 0x6983));
        assert!(matches("01 10 ** 9000", &[1, 0x10, 5, 6], 0x9000));
        assert!(matches("**90 00", &[], 0x9000));
        assert!(matches("{8}9000", &[0; 8], 0x9000));
        assert!(!matches("{8}9000", &[0; 7], 0x9000));
        assert!(matches("**A5??9000", &[1, 2, 0xA5, 9], 0x9000));
        assert!(matches("6A86 | 6B00", &[], 0x6B00));
    }

    #[test]
    fn a_value_that_is_not_put_in_is_nothing() {
        for text in ["{raw}9000", "07{SSSEEF05|07}9000 | 6982", "{a:lv}**9000"] {
            let expect = Expect::parse(text).unwrap();
            assert!(expect.has_values(), "{text}");
            assert_eq!(expect.text(), text);
            assert!(!expect.matches(&Response {
                data: &[],
                sw: Sw::OK
            }));
        }
        assert!(matches("{SSSEEF05|07}9000 | 6982", &[], 0x6982));
        assert!(!Expect::parse("{8}9000 | 6982").unwrap().has_values());
        assert!(ObjectValue::parse("{raw}").is_err());
    }

    #[test]
    fn objects_are_found_by_path_and_judged_by_pattern() {
        let fci = hex::decode("6F0A8403112233A503880115").unwrap();
        let judge = |path: &str, value: &str| {
            ObjectValue::parse(value)
                .unwrap()
                .matches(ObjectPath::parse(path).unwrap().find(&fci))
        };
        assert!(judge("6F/84", "112233"));
        assert!(judge("6F/84", "11**"));
        assert!(judge("6F/A5/88", "?5"));
        assert!(judge("6F/A5/9F0C", "-"));
        assert!(!judge("6F/A5/88", "-"));
        assert!(!judge("6F/84", "1122"));
        let records = hex::decode("7003840111 7003850122 7003850133".replace(' ', "")).unwrap();
        let found = |path: &str| ObjectPath::parse(path).unwrap().find(&records);
        assert_eq!(found("70/85"), Some(&[0x22][..]));
        assert_eq!(found("70/86"), None);
        assert!(ObjectPath::parse("6F/").is_err() && ObjectPath::parse("6F.84").is_err());
        assert!(ObjectValue::parse("1").is_err());
    }

    #[test]
    fn every_status_word_matches_itself_alone() {
        for sw in (0..=u16::MAX).step_by(7) {
            let pattern = Expect::parse(&format!("{sw:04X}")).unwrap();
            assert!(pattern.matches(&Response {
                data: &[],
                sw: Sw(sw)
            }));
            assert!(!pattern.matches(&Response {
                data: &[],
                sw: Sw(sw ^ 0x0100)
            }));
        }
    }

    #[test]
    fn what_is_no_pattern_is_refused() {
        for text in [
            "", "900", "90G0", "1 9000", "9000 |", "{-}9000", "{}9000", "{x9000", "zz9000",
            "社9000",
        ] {
            assert!(Expect::parse(text).is_err(), "{text:?}");
        }
    }
}
