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

/// Encodes characters into `len` bytes of GB 18030.
///
/// # Errors
/// [`EncodeError::Character`] for a character that has no code, or NUL, which is
/// the filling; [`EncodeError::TooLong`].
pub fn an(text: &str, len: usize) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = gb18030(text)?;
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
    /// Bytes that are no value of the format, in hexadecimal.
    Malformed(String),
}

impl Decoded {
    /// The text to show.
    #[must_use]
    pub fn text(&self) -> &str {
        match self {
            Decoded::Blank => "",
            Decoded::Text(text) | Decoded::Reused(text) | Decoded::Malformed(text) => text,
        }
    }
}

/// Decodes characters: filling of '00', 'FF' or blanks is left away.
#[must_use]
pub fn decode_an(bytes: &[u8]) -> Decoded {
    let (value, reused) = without_reuse(bytes);
    let end = value
        .iter()
        .rposition(|byte| !matches!(byte, 0x00 | 0x20 | 0xFF));
    let value = match end {
        Some(end) => value.get(..=end).unwrap_or_default(),
        None if reused => &[],
        None => return Decoded::Blank,
    };
    match GB18030.decode_without_bom_handling_and_without_replacement(value) {
        Some(text) if !text.chars().any(char::is_control) => {
            if reused {
                Decoded::Reused(text.into_owned())
            } else {
                Decoded::Text(text.into_owned())
            }
        }
        _ => Decoded::Malformed(hexadecimal(bytes)),
    }
}

/// Decodes packed BCD: filling of 'F' is left away.
#[must_use]
pub fn decode_cn(bytes: &[u8]) -> Decoded {
    let (value, reused) = without_reuse(bytes);
    let digits = hexadecimal(value);
    let digits = digits.trim_end_matches('F');
    if digits.is_empty() && !reused {
        Decoded::Blank
    } else if digits.contains('F') {
        Decoded::Malformed(hexadecimal(bytes))
    } else if reused {
        Decoded::Reused(digits.to_owned())
    } else {
        Decoded::Text(digits.to_owned())
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

/// Leaves the 'EE' away that a 1.0 card used again is filled with.
fn without_reuse(bytes: &[u8]) -> (&[u8], bool) {
    let end = bytes.iter().rposition(|byte| *byte != 0xEE);
    let value = end.and_then(|end| bytes.get(..=end)).unwrap_or_default();
    (value, value.len() < bytes.len())
}

fn gb18030(text: &str) -> Result<Vec<u8>, EncodeError> {
    let mut bytes = Vec::with_capacity(text.len());
    for (index, character) in text.chars().enumerate() {
        let mut buffer = [0; 4];
        let (code, _, unmapped) = GB18030.encode(character.encode_utf8(&mut buffer));
        if unmapped || character == '\0' {
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
        Decoded, EncodeError, an, b, cn, decode_an, decode_b, decode_cn, hexadecimal, split,
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

    #[test]
    fn half_a_character_reads_as_malformed() {
        let cut = &"王𬭎".bytes_gb()[..5];
        assert_eq!(decode_an(cut), Decoded::Malformed(hexadecimal(cut)));
        assert!(matches!(decode_an(&[0xD6]), Decoded::Malformed(_)));
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
        assert_eq!(decode_cn(&[0x41, 0x16, 0x02, 0xFF]), text("411602"));
        assert_eq!(decode_an(&[0xEE; 3]), Decoded::Reused(String::new()));
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
                Ok(bytes) if character.is_control() || character == ' ' => {
                    assert!(decode_an(&bytes) != text(&character.to_string()));
                }
                // Some private codes were given to characters that came later.
                Ok(_) if ('\u{E000}'..='\u{F8FF}').contains(&character) => {}
                Ok(bytes) => {
                    assert_eq!(
                        decode_an(&bytes),
                        text(&character.to_string()),
                        "{character:?}"
                    );
                }
                Err(_) => assert!(
                    character == '\0' || character == '\u{E5E5}',
                    "{character:?}"
                ),
            }
        }
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_harm(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
            for decoded in [decode_an(&bytes), decode_cn(&bytes), decode_b(&bytes)] {
                assert!(decoded.text().len() <= 4 * bytes.len());
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
