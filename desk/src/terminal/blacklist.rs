//! The terminal's blacklist: cards that were reported lost.
//!
//! ```text
//! # a comment
//! 411600D156000005018593CA5436A7B1,D2143569X      recognition code, card number
//! D21435000-D21435999                             card numbers, both ends included
//! ```
//!
//! A lost card still answers commands; that it is refused is the terminal's doing.
//! An entry of recognition code and card number wants both: a number that was given
//! again stays in use.
//!
//! Source: social security card specification, part 7, 4 (pre-processing) and part 8
//! (blacklists of codes and numbers, or of ranges of numbers); the text form is this
//! program's own.

use core::str::FromStr;
use thiserror::Error;

/// Cards that a terminal refuses.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Blacklist {
    entries: Vec<Entry>,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Entry {
    Card { code: String, number: String },
    Numbers { first: String, last: String },
}

/// Why a text is no blacklist.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("line {line}: expected {expected}, found {found:?}")]
pub struct BlacklistError {
    /// The line, from 1.
    pub line: usize,
    /// What should stand there.
    pub expected: &'static str,
    /// What does.
    pub found: String,
}

impl Blacklist {
    /// Whether a card is in it; both as digits and letters.
    #[must_use]
    pub fn has(&self, recognition_code: &str, card_number: &str) -> bool {
        self.entries.iter().any(|entry| match entry {
            Entry::Card { code, number } => code == recognition_code && number == card_number,
            Entry::Numbers { first, last } => {
                card_number.len() == first.len() && (&**first..=&**last).contains(&card_number)
            }
        })
    }
}

impl FromStr for Blacklist {
    type Err = BlacklistError;

    /// Reads a list, one entry a line.
    fn from_str(text: &str) -> Result<Blacklist, BlacklistError> {
        let mut entries = Vec::new();
        for (line, full) in (1..).zip(text.lines()) {
            let entry = full.split('#').next().unwrap_or_default().trim();
            if entry.is_empty() {
                continue;
            }
            let wrong = |expected| BlacklistError {
                line,
                expected,
                found: entry.to_owned(),
            };
            let number = |text: &str| {
                let text = text.trim();
                let good = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
                (text.len() == 9 && text.chars().all(good)).then(|| text.to_owned())
            };
            let numbers = "card numbers of 9 digits or capital letters";
            entries.push(if let Some((code, card)) = entry.split_once(',') {
                let code = code.trim();
                let good = |c: char| c.is_ascii_digit() || ('A'..='F').contains(&c);
                if code.len() != 32 || !code.chars().all(good) {
                    return Err(wrong("a recognition code of 32 hex digits before ','"));
                }
                Entry::Card {
                    code: code.to_owned(),
                    number: number(card).ok_or_else(|| wrong(numbers))?,
                }
            } else if let Some((first, last)) = entry.split_once('-') {
                let first = number(first).ok_or_else(|| wrong(numbers))?;
                let last = number(last).ok_or_else(|| wrong(numbers))?;
                if last < first {
                    return Err(wrong("a range that does not run backwards"));
                }
                Entry::Numbers { first, last }
            } else {
                return Err(wrong("CODE,NUMBER or FIRST-LAST"));
            });
        }
        Ok(Blacklist { entries })
    }
}

#[cfg(test)]
mod tests {
    use super::Blacklist;

    const CODE: &str = "411600D156000005018593CA5436A7B1";

    #[test]
    fn a_card_is_in_it_by_code_and_number_or_by_its_number_in_a_range() {
        let text = format!("# lost\n{CODE},D2143569X # one\n\nD21435700-D21435999\n");
        let list: Blacklist = text.parse().unwrap();
        assert!(list.has(CODE, "D2143569X"));
        assert!(!list.has(CODE, "D21435690"));
        assert!(!list.has(&CODE.replace("B1", "B2"), "D2143569X"));
        for number in ["D21435700", "D21435850", "D21435999"] {
            assert!(list.has("", number), "{number}");
        }
        for number in ["D21435699", "D21436000", "D2143570", ""] {
            assert!(!list.has("", number), "{number}");
        }
        assert!(!Blacklist::default().has(CODE, "D2143569X"));
    }

    #[test]
    fn a_line_that_is_no_entry_is_told_with_its_number() {
        for (text, line) in [
            ("x", 1),
            ("# ok\n\nD21435000", 3),
            ("411600,D2143569X", 1),
            (&format!("{CODE},D214")[..], 1),
            ("D21435999-D21435000", 1),
            ("d21435000-d21435999", 1),
            ("D21435000-D2143599", 1),
        ] {
            let error = text.parse::<Blacklist>().unwrap_err();
            assert_eq!(error.line, line, "{error}");
        }
    }
}
