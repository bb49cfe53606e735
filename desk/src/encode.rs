//! Values as people write them, and as the card holds them.
//!
//! | format | written as        | on the card                           | left blank |
//! |--------|-------------------|---------------------------------------|------------|
//! | an     | text              | GB 18030, filled right with '00'      | all '00'   |
//! | cn     | digits            | packed BCD, filled right with 'F'     | all 'FF'   |
//! | b      | hexadecimal       | itself, of the exact length           | all '00'   |
//!
//! A code that is 'cn' by the specification may hold the digits A to E: the
//! application identifier in the recognition code, the institution number.
//!
//! Writing is strict: what is written comes back as it was, or is refused at the
//! character where it cannot be. Reading is lenient: any filling, a character cut in
//! two, a code that is none; what can be read is read, and the first fault is told
//! with its place.
//!
//! A name goes on in its continuation between two characters, never inside one: the
//! specification gives the continuation as an item of its own, and terminals put the
//! two together after each was read as text. A character that does not fit whole goes
//! on to it, and filling takes its place.
//!
//! Source: 人社信息函〔2012〕37号, data formats, and annex C (cards of 1.0 used again:
//! values filled right with 'E').

use encoding_rs::GB18030;
use thiserror::Error;

/// Why a value cannot be written on a card.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum EncodeError {
    /// It is longer than its place.
    #[error(
        "{len} bytes where {most} have room: character {at}, {character:?}, \
         takes bytes {from} to {to}"
    )]
    TooLong {
        /// The bytes that it takes.
        len: usize,
        /// The bytes that there are.
        most: usize,
        /// The first character that does not fit, from 1.
        at: usize,
        /// That character.
        character: char,
        /// The first byte of it, from 1.
        from: usize,
        /// The last byte of it.
        to: usize,
    },
    /// Binary of another length than its place.
    #[error("{len} bytes where there must be {exact}")]
    Length {
        /// The bytes that there are.
        len: usize,
        /// The bytes that there must be.
        exact: usize,
    },
    /// A character that the format does not have.
    #[error("character {at}, {character:?}, which is none of this format")]
    Character {
        /// The character's place, from 1.
        at: usize,
        /// That character.
        character: char,
    },
}

impl EncodeError {
    /// What it says, in Chinese.
    #[must_use]
    pub fn words_zh(&self) -> String {
        match self {
            EncodeError::TooLong {
                len,
                most,
                at,
                character,
                from,
                to,
            } => format!(
                "共{len}字节，最多{most}字节：第{at}个字符{character:?}占第{from}至{to}字节"
            ),
            EncodeError::Length { len, exact } => format!("共{len}字节，应为{exact}字节"),
            EncodeError::Character { at, character } => {
                format!("第{at}个字符{character:?}不属于该格式")
            }
        }
    }

    /// The same, of a text that began with `head`, which stands elsewhere.
    #[must_use]
    pub fn after(self, head: &str) -> EncodeError {
        let (chars, bytes) = (head.chars().count(), head.chars().map(width).sum::<usize>());
        match self {
            EncodeError::TooLong {
                len,
                most,
                at,
                character,
                from,
                to,
            } => EncodeError::TooLong {
                len: len + bytes,
                most: most + bytes,
                at: at + chars,
                character,
                from: from + bytes,
                to: to + bytes,
            },
            EncodeError::Character { at, character } => EncodeError::Character {
                at: at + chars,
                character,
            },
            EncodeError::Length { .. } => self,
        }
    }
}

/// Encodes characters into `len` bytes of GB 18030, filled right with '00'.
///
/// # Errors
/// [`EncodeError::Character`] for a character that has no code or would not come
/// back as it is: a control character, a private code, U+FFFD, which stands for one
/// that was lost before, a blank at the end, which is a filling;
/// [`EncodeError::TooLong`].
pub fn an(text: &str, len: usize) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = gb18030(text)?;
    if text.ends_with(' ') {
        return Err(EncodeError::Character {
            at: text.chars().count(),
            character: ' ',
        });
    }
    if bytes.len() > len {
        return Err(too_long(text, bytes.len(), len));
    }
    bytes.resize(len, 0x00);
    Ok(bytes)
}

/// Encodes digits into `len` bytes of packed BCD.
///
/// # Errors
/// [`EncodeError::Character`], [`EncodeError::TooLong`].
pub fn cn(text: &str, len: usize) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = vec![0xFF; len];
    for (index, character) in text.chars().enumerate() {
        let digit = match character {
            '0'..='9' | 'A'..='E' => character.to_digit(16).and_then(|d| u8::try_from(d).ok()),
            _ => None,
        };
        let Some(digit) = digit else {
            let at = index + 1;
            return Err(EncodeError::Character { at, character });
        };
        match bytes.get_mut(index / 2) {
            Some(byte) if index % 2 == 0 => *byte = digit << 4 | 0x0F,
            Some(byte) => *byte = *byte & 0xF0 | digit,
            None => {
                let (from, to) = (index / 2 + 1, index / 2 + 1);
                return Err(EncodeError::TooLong {
                    len: text.chars().count().div_ceil(2),
                    most: len,
                    at: index + 1,
                    character,
                    from,
                    to,
                });
            }
        }
    }
    Ok(bytes)
}

/// Encodes hexadecimal digits, blanks between them allowed, into exactly `len` bytes.
///
/// # Errors
/// [`EncodeError::Character`], also for half a byte, then [`EncodeError::Length`].
pub fn b(text: &str, len: usize) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::with_capacity(len);
    let mut high = None;
    let mut last = (1, '0');
    for (index, character) in text.chars().enumerate().filter(|(_, c)| *c != ' ') {
        last = (index + 1, character);
        let digit = character.to_digit(16).and_then(|d| u8::try_from(d).ok());
        let Some(digit) = digit else {
            let at = index + 1;
            return Err(EncodeError::Character { at, character });
        };
        match high.take() {
            None => high = Some(digit),
            Some(high) => bytes.push(high << 4 | digit),
        }
    }
    if high.is_some() {
        let (at, character) = last;
        return Err(EncodeError::Character { at, character });
    }
    if bytes.len() == len {
        Ok(bytes)
    } else {
        Err(EncodeError::Length {
            len: bytes.len(),
            exact: len,
        })
    }
}

/// Encodes characters of an item that 2.0 gave a new meaning, into the `place` bytes that a
/// card of 1.0 has for its tag: of at most `len` bytes, and filled right with 'E'.
///
/// # Errors
/// As [`an`]; [`EncodeError::Character`] also for one that is not printable ASCII, behind
/// which 'E' is not read as filling, [`EncodeError::TooLong`] also where no byte is left
/// for the filling.
pub fn an_reused(text: &str, len: usize, place: usize) -> Result<Vec<u8>, EncodeError> {
    let most = len.min(place.saturating_sub(1));
    let strange = text.chars().zip(1..).find(|(c, _)| !is_code(*c));
    if let Some((character, at)) = strange {
        return Err(EncodeError::Character { at, character });
    }
    an(text, most)?;
    let mut bytes = text.as_bytes().to_vec();
    bytes.resize(place, 0xEE);
    Ok(bytes)
}

/// Encodes decimal digits of such an item.
///
/// # Errors
/// As [`an_reused`].
pub fn cn_reused(text: &str, len: usize, place: usize) -> Result<Vec<u8>, EncodeError> {
    let strange = text.chars().zip(1..).find(|(c, _)| !c.is_ascii_digit());
    if let Some((character, at)) = strange {
        return Err(EncodeError::Character { at, character });
    }
    cn(text, len.min(place.saturating_sub(1)))?;
    cn(&format!("{text:E<width$}", width = 2 * place), place)
}

/// Splits a name that is longer than `len` bytes: what stands in the name, whole
/// characters of at most `len` bytes, and what goes on in its continuation.
///
/// # Errors
/// [`EncodeError::Character`] as [`an`].
pub fn split(text: &str, len: usize) -> Result<(&str, &str), EncodeError> {
    gb18030(text)?;
    let mut used = 0;
    for (start, character) in text.char_indices() {
        used += width(character);
        if used > len {
            return Ok(text.split_at(start));
        }
    }
    Ok((text, ""))
}

/// Why bytes read from a card are no value of their format.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum DecodeError {
    /// A character that the end of its place cuts in two.
    #[error("character {at}, from byte {from} on, is cut in two")]
    Cut {
        /// The character's place, from 1.
        at: usize,
        /// The first byte of it, from 1.
        from: usize,
    },
    /// A byte that begins no character.
    #[error("character {at}, byte {from}: '{byte:02X}' begins none")]
    Code {
        /// The character's place, from 1.
        at: usize,
        /// The byte's place, from 1.
        from: usize,
        /// That byte.
        byte: u8,
    },
    /// A control character, or filling with more behind it.
    #[error("character {at}, byte {from}: '{byte:02X}' is a control character")]
    Control {
        /// The character's place, from 1.
        at: usize,
        /// The byte's place, from 1.
        from: usize,
        /// That byte.
        byte: u8,
    },
    /// The filling 'F' with digits behind it.
    #[error("digit {at} is filling, and more follows")]
    Digit {
        /// The digit's place, from 1.
        at: usize,
    },
}

/// A value read from a card.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Decoded {
    /// Nothing but filling.
    Blank,
    /// A value.
    Text(String),
    /// A value of a 1.0 card used again for an item of 2.0: filled right with 'E',
    /// it has the meaning that 2.0 gives its tag.
    Reused(String),
    /// Bytes that are no value of the format.
    Malformed {
        /// What can be read: characters, with U+FFFD in the place of each that cannot;
        /// of digits all of them, 'F' too.
        text: String,
        /// The first thing that is wrong.
        fault: DecodeError,
    },
}

impl Decoded {
    /// The text to show.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Decoded::Blank => "",
            Decoded::Text(text) | Decoded::Reused(text) | Decoded::Malformed { text, .. } => text,
        }
    }

    /// What is wrong with it, if anything.
    #[must_use]
    pub const fn fault(&self) -> Option<DecodeError> {
        match self {
            Decoded::Malformed { fault, .. } => Some(*fault),
            _ => None,
        }
    }
}

/// Decodes characters: filling of '00', 'FF' or blanks is left away.
#[must_use]
pub fn decode_text(bytes: &[u8]) -> Decoded {
    let value = without_filling(bytes);
    if value.is_empty() {
        return Decoded::Blank;
    }
    let (mut text, mut first, mut from, mut at) = (String::new(), None, 1, 1);
    let mut rest = value;
    while let Some(&byte) = rest.first() {
        let code = code_of(rest);
        let character = code.and_then(character);
        let fault = match (code, character) {
            (None, _) => Some(DecodeError::Cut { at, from }),
            (_, None) => Some(DecodeError::Code { at, from, byte }),
            (_, Some(c)) if c.is_control() => Some(DecodeError::Control { at, from, byte }),
            _ => None,
        };
        text.push(match fault {
            None => character.unwrap_or(char::REPLACEMENT_CHARACTER),
            Some(_) => char::REPLACEMENT_CHARACTER,
        });
        first = first.or(fault);
        let taken = match (code, character) {
            (None, _) => rest.len(),
            (Some(code), Some(_)) => code.len(),
            (Some(_), None) => 1,
        };
        rest = rest.get(taken..).unwrap_or_default();
        from += taken;
        at += 1;
    }
    match first {
        None => Decoded::Text(text),
        Some(fault) => Decoded::Malformed { text, fault },
    }
}

/// Decodes a name and its continuation, as they were read from their two places, to
/// one name. A character that was cut in two between them is put together, and told.
#[must_use]
pub fn decode_name(name: &[u8], continuation: &[u8]) -> Decoded {
    let (head, rest) = (decode_text(name), decode_text(continuation));
    let whole = [name, without_filling(continuation)].concat();
    match (head.fault(), decode_text(&whole), &rest) {
        (_, _, Decoded::Blank) => return head,
        // Its last byte is the last of its place: no filling stands between.
        (Some(fault @ DecodeError::Cut { .. }), Decoded::Text(text), _) => {
            return Decoded::Malformed { text, fault };
        }
        _ => {}
    }
    let text = format!("{}{}", head.text(), rest.text());
    let chars = head.text().chars().count();
    match head
        .fault()
        .or(rest.fault().map(|f| f.after(chars, name.len())))
    {
        None => Decoded::Text(text),
        Some(fault) => Decoded::Malformed { text, fault },
    }
}

impl DecodeError {
    /// What it says, in Chinese.
    #[must_use]
    pub fn words_zh(&self) -> String {
        match self {
            DecodeError::Cut { at, from } => {
                format!("第{at}个字符（自第{from}字节起）被截断")
            }
            DecodeError::Code { at, from, byte } => {
                format!("第{at}个字符（第{from}字节'{byte:02X}'）不是字符编码")
            }
            DecodeError::Control { at, from, byte } => {
                format!("第{at}个字符（第{from}字节'{byte:02X}'）是控制字符")
            }
            DecodeError::Digit { at } => format!("第{at}位是填充，其后仍有数字"),
        }
    }

    /// The same, where so many characters and bytes stand before.
    const fn after(self, chars: usize, bytes: usize) -> DecodeError {
        match self {
            DecodeError::Cut { at, from } => DecodeError::Cut {
                at: at + chars,
                from: from + bytes,
            },
            DecodeError::Code { at, from, byte } => DecodeError::Code {
                at: at + chars,
                from: from + bytes,
                byte,
            },
            DecodeError::Control { at, from, byte } => DecodeError::Control {
                at: at + chars,
                from: from + bytes,
                byte,
            },
            DecodeError::Digit { at } => DecodeError::Digit { at: at + 2 * bytes },
        }
    }
}

/// Decodes packed BCD: filling of 'F' is left away.
#[must_use]
pub fn decode_digits(bytes: &[u8]) -> Decoded {
    let all = hexadecimal(bytes);
    let digits = all.trim_end_matches('F');
    match digits.find('F') {
        _ if digits.is_empty() => Decoded::Blank,
        None => Decoded::Text(digits.to_owned()),
        Some(index) => {
            let fault = DecodeError::Digit { at: index + 1 };
            Decoded::Malformed { text: all, fault }
        }
    }
}

/// Decodes characters of an item that 2.0 may have given a new meaning: filling of
/// 'E' behind a code of letters and digits is told as such.
///
/// 'EE' may be the second byte of a character that fills its place to the end, or the last
/// byte of an amount; a value of anything but printable ASCII is therefore never taken for
/// one that was used again.
#[must_use]
pub fn decode_an(bytes: &[u8]) -> Decoded {
    let end = bytes.iter().rposition(|byte| *byte != 0xEE);
    match bytes.split_at_checked(end.map_or(0, |end| end + 1)) {
        Some((value, [_, ..])) if value.iter().all(|&byte| is_code(byte.into())) => {
            Decoded::Reused(decode_text(value).text().to_owned())
        }
        _ => decode_text(bytes),
    }
}

/// Decodes packed BCD of such an item.
///
/// The digits of codes go up to E; only behind decimal digits is 'E' a filling.
#[must_use]
pub fn decode_cn(bytes: &[u8]) -> Decoded {
    let all = hexadecimal(bytes);
    let value = all.trim_end_matches('E');
    if value.len() < all.len() && value.bytes().all(|digit| digit.is_ascii_digit()) {
        Decoded::Reused(value.to_owned())
    } else {
        decode_digits(bytes)
    }
}

/// Decodes binary to hexadecimal; nothing but '00' or nothing but 'FF' is blank.
#[must_use]
pub fn decode_b(bytes: &[u8]) -> Decoded {
    let all = |filling: u8| bytes.iter().all(|byte| *byte == filling);
    if all(0x00) || all(0xFF) {
        Decoded::Blank
    } else {
        Decoded::Text(hexadecimal(bytes))
    }
}

/// Bytes as hexadecimal digits.
#[must_use]
pub fn hexadecimal(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02X}")).collect()
}

/// Whether a code of letters and digits can have it, behind which 'E' is a filling.
const fn is_code(character: char) -> bool {
    matches!(character, ' '..='~')
}

/// Leaves the filling of characters away.
fn without_filling(bytes: &[u8]) -> &[u8] {
    let mut bytes = bytes;
    while let [value @ .., 0x00 | 0x20 | 0xFF] = bytes {
        bytes = value;
    }
    bytes
}

/// The bytes of the first character; `None` where they end before it does.
fn code_of(bytes: &[u8]) -> Option<&[u8]> {
    let len = match bytes {
        [0x81..=0xFE] => return None,
        [0x81..=0xFE, 0x30..=0x39, ..] => 4,
        [0x81..=0xFE, ..] => 2,
        _ => 1,
    };
    bytes.get(..len)
}

fn character(code: &[u8]) -> Option<char> {
    let text = GB18030.decode_without_bom_handling_and_without_replacement(code)?;
    let mut characters = text.chars();
    characters.next().filter(|_| characters.next().is_none())
}

/// Whether it is for private use: another machine shows another character for it.
const fn is_private(character: char) -> bool {
    matches!(character, '\u{E000}'..='\u{F8FF}' | '\u{F0000}'..)
}

fn gb18030(text: &str) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::with_capacity(text.len());
    for (index, character) in text.chars().enumerate() {
        let mut buffer = [0; 4];
        let (code, _, unmapped) = GB18030.encode(character.encode_utf8(&mut buffer));
        let lost = character.is_control() || character == char::REPLACEMENT_CHARACTER;
        if unmapped || lost || is_private(character) {
            let at = index + 1;
            return Err(EncodeError::Character { at, character });
        }
        bytes.extend_from_slice(&code);
    }
    Ok(bytes)
}

/// The bytes that a character takes in GB 18030; one without a code takes none.
fn width(character: char) -> usize {
    gb18030(character.encode_utf8(&mut [0; 4])).map_or(0, |code| code.len())
}

fn too_long(text: &str, len: usize, most: usize) -> EncodeError {
    let mut used = 0;
    for (index, character) in text.chars().enumerate() {
        let from = used + 1;
        used += width(character);
        if used > most {
            return EncodeError::TooLong {
                len,
                most,
                at: index + 1,
                character,
                from,
                to: used,
            };
        }
    }
    EncodeError::Length { len, exact: most }
}

#[cfg(test)]
mod tests {
    use super::{
        DecodeError, Decoded, EncodeError, an, an_reused, b, cn, cn_reused, decode_an, decode_b,
        decode_cn, decode_digits, decode_name, decode_text, hexadecimal, is_private, split,
    };
    use proptest::prelude::{any, prop, proptest};

    fn text(text: &str) -> Decoded {
        Decoded::Text(text.to_owned())
    }

    #[test]
    fn rare_characters_and_both_dots_have_their_codes() {
        for (character, code) in [
            ("㼆", "82328D37"),
            ("𬭎", "9933A932"),
            ("䶮", "FE9F"),
            ("·", "A1A4"),
            ("•", "8136A631"),
            ("周", "D6DC"),
            ("a", "61"),
        ] {
            let bytes = an(character, code.len() / 2).unwrap();
            assert_eq!(hexadecimal(&bytes), code, "{character}");
            assert_eq!(decode_an(&bytes), text(character));
        }
    }

    #[test]
    fn names_of_characters_of_one_two_and_four_bytes_come_back() {
        for name in [
            "李示范",
            "王䶮𬭎",
            "㼆㼆",
            "阿卜杜热合曼·托合提",
            "买买提•吐尔逊",
            "John Smith",
            "Ａ李",
        ] {
            for len in [30, 50] {
                let bytes = an(name, len).unwrap();
                assert_eq!(bytes.len(), len);
                assert_eq!(decode_an(&bytes), text(name));
            }
        }
    }

    #[test]
    fn a_name_fits_exactly_or_is_refused_at_the_character_that_is_cut() {
        let full = "周".repeat(15);
        assert_eq!(an(&full, 30).unwrap(), "周".repeat(15).bytes_gb());
        for (name, at, character, from, to) in [
            (format!("{full}a"), 16, 'a', 31, 31),
            (format!("a{full}"), 16, '周', 30, 31),
            (format!("{}𬭎", "周".repeat(14)), 15, '𬭎', 29, 32),
            (format!("a{}𬭎𬭎", "周".repeat(13)), 15, '𬭎', 28, 31),
        ] {
            let len = name.as_str().bytes_gb().len();
            let error = EncodeError::TooLong {
                len,
                most: 30,
                at,
                character,
                from,
                to,
            };
            assert_eq!(an(&name, 30), Err(error), "{name}");
        }
    }

    trait InGb18030 {
        fn bytes_gb(&self) -> Vec<u8>;
    }

    impl<T: AsRef<str>> InGb18030 for T {
        fn bytes_gb(&self) -> Vec<u8> {
            encoding_rs::GB18030.encode(self.as_ref()).0.into_owned()
        }
    }

    #[test]
    fn a_long_name_is_split_between_characters() {
        for (name, head, rest) in [
            ("李", "李", ""),
            (&"周".repeat(16), &"周".repeat(15), "周"),
            (
                &format!("a{}", "周".repeat(15)),
                &format!("a{}", "周".repeat(14)),
                "周",
            ),
            (&format!("{}𬭎", "周".repeat(14)), &"周".repeat(14), "𬭎"),
        ] {
            assert_eq!(split(name, 30), Ok((head, rest)));
        }
        assert!(split("a\0b", 30).is_err());
    }

    #[test]
    fn any_filling_of_a_name_is_left_away() {
        let name = "李示范".bytes_gb();
        for filling in [0x00, 0x20, 0xFF] {
            let mut bytes = name.clone();
            bytes.resize(30, filling);
            assert_eq!(decode_an(&bytes), text("李示范"));
            assert_eq!(decode_an(&[filling; 30]), Decoded::Blank);
        }
    }

    fn malformed(text: &str, fault: DecodeError) -> Decoded {
        let text = text.to_owned();
        Decoded::Malformed { text, fault }
    }

    #[test]
    fn what_can_be_read_is_read_and_the_first_fault_is_told() {
        let (cut, control) = (DecodeError::Cut { at: 2, from: 3 }, |from, byte| {
            DecodeError::Control { at: 2, from, byte }
        });
        let name = "王𬭎".bytes_gb();
        for len in 3..6 {
            assert_eq!(decode_text(&name[..len]), malformed("王\u{FFFD}", cut));
        }
        assert_eq!(decode_text(&name), text("王𬭎"));
        for (bytes, shown, fault) in [
            (
                &b"\xD6"[..],
                "\u{FFFD}",
                DecodeError::Cut { at: 1, from: 1 },
            ),
            (
                b"\xFFab",
                "\u{FFFD}ab",
                DecodeError::Code {
                    at: 1,
                    from: 1,
                    byte: 0xFF,
                },
            ),
            (
                b"\xD6\xDC\x81\x20b",
                "周\u{FFFD} b",
                DecodeError::Code {
                    at: 2,
                    from: 3,
                    byte: 0x81,
                },
            ),
            (b"a\0b", "a\u{FFFD}b", control(2, 0x00)),
            (b"\xD6\xDC\x07\0", "周\u{FFFD}", control(3, 0x07)),
        ] {
            assert_eq!(decode_text(bytes), malformed(shown, fault), "{bytes:X?}");
        }
    }

    #[test]
    fn a_name_and_its_continuation_read_as_one_name() {
        let part = |text: &str, len| an(text, len).unwrap();
        for name in ["李", "阿卜杜热合曼·阿卜杜克热木·托合提", &"𬭎".repeat(12)]
        {
            let (head, rest) = split(name, 30).unwrap();
            let read = decode_name(&part(head, 30), &part(rest, 20));
            assert_eq!(read, text(name));
        }
        for filling in [0x00, 0x20, 0xFF] {
            let (mut head, mut rest) = ("阿卜杜".bytes_gb(), "𬭎".bytes_gb());
            head.resize(30, filling);
            rest.resize(20, filling);
            assert_eq!(decode_name(&head, &rest), text("阿卜杜𬭎"));
            assert_eq!(decode_name(&[filling; 30], &[filling; 20]), Decoded::Blank);
        }
    }

    #[test]
    fn a_name_that_was_cut_between_its_two_places_is_put_together_and_told() {
        for (name, at, from) in [
            (format!("a{}", "周".repeat(16)), 16, 30),
            (format!("{}𬭎李", "周".repeat(14)), 15, 29),
            (format!("a{}𬭎李", "周".repeat(13)), 15, 28),
        ] {
            let mut bytes = name.bytes_gb();
            bytes.resize(50, 0x00);
            let read = decode_name(&bytes[..30], &bytes[30..]);
            assert_eq!(read, malformed(&name, DecodeError::Cut { at, from }));
        }
        // Half a character and nothing that goes on with it.
        let half = [&"周".repeat(14).bytes_gb()[..], &[0x82, 0x32]].concat();
        let fault = DecodeError::Cut { at: 15, from: 29 };
        let shown = format!("{}\u{FFFD}", "周".repeat(14));
        assert_eq!(decode_name(&half, &[0; 20]), malformed(&shown, fault));
        let read = decode_name(&half, &an("李", 20).unwrap());
        assert_eq!(read, malformed(&(shown + "李"), fault));
        // A fault of the continuation is counted from the beginning of the name.
        let fault = DecodeError::Cut { at: 4, from: 33 };
        let read = decode_name(&an("李示", 30).unwrap(), &[0xD6, 0xDC, 0xD6]);
        assert_eq!(read, malformed("李示周\u{FFFD}", fault));
    }

    #[test]
    fn the_place_of_a_fault_counts_what_stands_before() {
        let refused = an(&format!("{}诸", "周".repeat(10)), 20).unwrap_err();
        let EncodeError::TooLong {
            len,
            most,
            at,
            from,
            to,
            ..
        } = refused.after("a𬭎")
        else {
            panic!("too long");
        };
        assert_eq!((len, most, at, from, to), (27, 25, 13, 26, 27));
    }

    #[test]
    fn what_would_not_come_back_is_refused_at_its_place() {
        for (name, at, character) in [
            ("李\u{FFFD}", 2, '\u{FFFD}'),
            ("李示 ", 3, ' '),
            ("李\n示", 2, '\n'),
            ("\u{7F}", 1, '\u{7F}'),
            ("李\u{85}", 2, '\u{85}'),
        ] {
            let refused = EncodeError::Character { at, character };
            assert_eq!(an(name, 30), Err(refused), "{name:?}");
        }
    }

    #[test]
    fn a_character_by_a_private_code_is_refused() {
        // 䶮 as machines had it before it had a code of its own.
        for character in ['\u{E863}', '\u{F8FF}', '\u{F0000}', '\u{10FFFD}'] {
            let refused = EncodeError::Character { at: 2, character };
            assert_eq!(an(&format!("王{character}"), 30), Err(refused));
        }
    }

    #[test]
    fn digits_are_packed_and_filled_with_f() {
        for (digits, len, bytes) in [
            ("20240601", 4, "20240601"),
            ("123", 2, "123F"),
            ("", 3, "FFFFFF"),
            ("9156000002430200430100D5", 12, "9156000002430200430100D5"),
            ("7", 4, "7FFFFFFF"),
        ] {
            assert_eq!(hexadecimal(&cn(digits, len).unwrap()), bytes);
        }
        assert!(matches!(
            cn("123456789", 4),
            Err(EncodeError::TooLong {
                len: 5,
                at: 9,
                from: 5,
                to: 5,
                ..
            })
        ));
        for (bad, at) in [("12F", 3), ("1 2", 2), ("一", 1), ("1a", 2)] {
            assert!(matches!(cn(bad, 4), Err(EncodeError::Character { at: a, .. }) if a == at));
        }
    }

    #[test]
    fn a_value_filled_with_e_has_the_meaning_of_the_second_generation() {
        assert_eq!(decode_an(b"24\xEE"), Decoded::Reused("24".to_owned()));
        assert_eq!(decode_an(b"CHN\xEE"), Decoded::Reused("CHN".to_owned()));
        assert_eq!(
            decode_cn(&[0x41, 0x16, 0x02, 0xEE]),
            Decoded::Reused("411602".to_owned())
        );
        assert_eq!(
            decode_cn(&[0x7E, 0xEE]),
            Decoded::Reused("7".to_owned()),
            "an odd count of digits"
        );
        assert_eq!(decode_cn(&[0x41, 0x16, 0x02, 0xFF]), text("411602"));
        assert_eq!(decode_an(&[0xEE; 3]), Decoded::Reused(String::new()));
    }

    #[test]
    fn a_value_of_the_second_generation_is_written_short_and_read_again() {
        for (value, len, place, bytes) in [
            ("CHN", 3, 4, "43484EEE"),
            ("13", 2, 4, "3133EEEE"),
            ("", 2, 4, "EEEEEEEE"),
        ] {
            let written = an_reused(value, len, place).unwrap();
            assert_eq!(hexadecimal(&written), bytes);
            assert_eq!(decode_an(&written), Decoded::Reused(value.to_owned()));
        }
        for (value, bytes) in [("411602", "411602EE"), ("7", "7EEEEEEE")] {
            let written = cn_reused(value, 3, 4).unwrap();
            assert_eq!(hexadecimal(&written), bytes);
            assert_eq!(decode_cn(&written), Decoded::Reused(value.to_owned()));
        }
        let too_long = |wrong| matches!(wrong, Err(EncodeError::TooLong { .. }));
        assert!(
            too_long(an_reused("CHNA", 5, 4)),
            "no place for the filling"
        );
        assert!(too_long(an_reused("CHN", 2, 4)), "longer than its item");
        assert!(too_long(cn_reused("4116021", 4, 4)));
        for (wrong, at) in [(an_reused("1周", 3, 4), 2), (cn_reused("12E", 3, 4), 3)] {
            assert!(matches!(wrong, Err(EncodeError::Character { at: a, .. }) if a == at));
        }
        // An amount is none, whatever its last byte.
        assert!(!matches!(decode_an(&[0, 0, 0, 0xEE]), Decoded::Reused(_)));
    }

    #[test]
    fn a_character_or_a_code_that_ends_in_ee_is_not_taken_for_filling() {
        let name = "诸".repeat(15);
        assert_eq!(decode_an(&an(&name, 30).unwrap()), text(&name));
        let code = [0x41, 0x16, 0x00, 0xD1, 0x56, 0x00, 0x00, 0x05, 0x00, 0xEE];
        assert_eq!(decode_cn(&code), text("411600D15600000500EE"));
        // Where 2.0 gave no new meaning, 'E' is a digit.
        assert_eq!(decode_digits(&[0x12, 0xEE]), text("12EE"));
        assert_eq!(
            decode_digits(&[0x1F, 0x2F]),
            malformed("1F2F", DecodeError::Digit { at: 2 })
        );
    }

    #[test]
    fn binary_has_exactly_the_length_of_its_place() {
        assert_eq!(b("00 01 0a", 3), Ok(vec![0x00, 0x01, 0x0A]));
        assert_eq!(b("0001", 3), Err(EncodeError::Length { len: 2, exact: 3 }));
        assert!(matches!(
            b("000", 2),
            Err(EncodeError::Character { at: 3, .. })
        ));
        assert_eq!(decode_b(&[0x00, 0x01]), text("0001"));
        assert_eq!(decode_b(&[0xFF, 0xFF]), Decoded::Blank);
    }

    #[test]
    fn every_character_comes_back_or_is_refused() {
        for character in '\0'..=char::MAX {
            let mut buffer = [0; 4];
            let encoded = an(character.encode_utf8(&mut buffer), 4);
            match encoded {
                Ok(bytes) => {
                    let back = text(&character.to_string());
                    assert_eq!(decode_an(&bytes), back, "{character:?}");
                }
                Err(_) => assert!(
                    character.is_control()
                        || is_private(character)
                        || " \u{FFFD}".contains(character),
                    "{character:?}"
                ),
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            let (head, rest) = bytes.split_at(bytes.len() / 2);
            for decoded in [
                decode_an(&bytes),
                decode_cn(&bytes),
                decode_b(&bytes),
                decode_name(head, rest),
            ] {
                assert!(decoded.text().len() <= 4 * bytes.len());
            }
        }

        #[test]
        fn a_text_cut_anywhere_is_whole_or_cut_at_the_last_character(
            name in "[a-z周诸䶮㼆𬭎·•]{1,20}",
            len in 1usize..50,
        ) {
            let bytes = name.bytes_gb();
            let len = len.min(bytes.len());
            let read = decode_text(&bytes[..len]);
            let (head, _) = split(&name, len).unwrap();
            let shown = read.text().trim_end_matches('\u{FFFD}');
            assert_eq!(shown, head);
            let whole = head.bytes_gb().len();
            let cut = DecodeError::Cut { at: head.chars().count() + 1, from: whole + 1 };
            assert_eq!(read.fault(), (whole < len).then_some(cut));
        }

        #[test]
        fn a_text_that_is_written_comes_back(name in "[ -~周诸䶮㼆𬭎·•]{0,20}", len in 1usize..60) {
            if let Ok(bytes) = an(&name, len) {
                let back = if name.is_empty() { Decoded::Blank } else { text(&name) };
                assert_eq!(decode_text(&bytes), back);
            }
        }

        #[test]
        fn any_text_is_written_whole_or_refused(name: String, len in 1usize..40) {
            if let Ok(bytes) = an(&name, len) {
                assert!(bytes.len() == len && bytes.starts_with(&name.bytes_gb()));
            }
        }
    }
}
