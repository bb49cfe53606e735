//! What a function of the terminal must return: a code, and a text by pattern.
//!
//! | pattern     | matches                                        |
//! |-------------|------------------------------------------------|
//! | `0`         | that return code                               |
//! | `-51 \| -52` | either                                         |
//! | `*`         | any characters of the text, or none            |
//! | `?`         | any one character                              |
//! | `{name}`    | what the name stands for, character by character |
//!
//! All other characters stand for themselves.

use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// The return codes of which one must come.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Returns {
    text: String,
    codes: Vec<i32>,
}

/// What the text must be.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Gives(String);

/// Why a text is no pattern.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum SaidError {
    /// Something else than codes with '|' between them.
    #[error("{0:?} is no return code: expected 0 or a negative number, '|' between several")]
    Code(String),
    /// A name that does not end.
    #[error("'{{' without '}}' in {0:?}")]
    Name(String),
}

/// What a function said.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Said {
    /// Its return code.
    pub code: i32,
    /// The string of the interface; empty where it failed.
    pub text: String,
    /// In words, where it failed.
    pub words: String,
}

impl fmt::Display for Said {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Said { code, text, words } = self;
        write!(f, "return code {code}")?;
        if !words.is_empty() {
            write!(f, " ({words})")?;
        }
        if !text.is_empty() {
            write!(f, " and {text}")?;
        }
        Ok(())
    }
}

impl Returns {
    /// Whether a code is one of those meant.
    #[must_use]
    pub fn allows(&self, code: i32) -> bool {
        self.codes.contains(&code)
    }

    /// The codes, in their order.
    #[must_use]
    pub fn codes(&self) -> &[i32] {
        &self.codes
    }
}

impl Gives {
    /// Whether a text is what is meant; `value` gives what a name stands for.
    ///
    /// # Errors
    /// The error of `value`.
    pub fn matches<E>(
        &self,
        text: &str,
        mut value: impl FnMut(&str) -> Result<String, E>,
    ) -> Result<bool, E> {
        let mut parts = Vec::new();
        let mut rest = self.0.as_str();
        while let Some(first) = rest.chars().next() {
            let named = rest.strip_prefix('{').and_then(|rest| rest.split_once('}'));
            if let Some((name, behind)) = named {
                parts.extend(value(name)?.chars().map(Part::Exactly));
                rest = behind;
            } else {
                parts.push(match first {
                    '*' => Part::Any,
                    '?' => Part::One,
                    other => Part::Exactly(other),
                });
                rest = &rest[first.len_utf8()..];
            }
        }
        let characters: Vec<char> = text.chars().collect();
        Ok(fits(&parts, &characters))
    }
}

enum Part {
    Exactly(char),
    One,
    Any,
}

/// Whether a text fits, in steps of at most the product of both lengths.
fn fits(parts: &[Part], text: &[char]) -> bool {
    // For each end of the text so far: whether the parts so far fit up to there.
    let mut ends = vec![false; text.len() + 1];
    ends[0] = true;
    for part in parts {
        let mut next = vec![false; text.len() + 1];
        let mut before = false;
        for (at, reached) in ends.iter().enumerate() {
            match part {
                Part::Any => {
                    before |= reached;
                    next[at] = before;
                }
                Part::One | Part::Exactly(_) if *reached => {
                    let fits = text.get(at).is_some_and(|found| match part {
                        Part::Exactly(wanted) => wanted == found,
                        _ => true,
                    });
                    if fits {
                        next[at + 1] = true;
                    }
                }
                Part::One | Part::Exactly(_) => {}
            }
        }
        ends = next;
    }
    ends.last() == Some(&true)
}

impl TryFrom<String> for Returns {
    type Error = SaidError;

    fn try_from(text: String) -> Result<Returns, SaidError> {
        let code = |part: &str| {
            let part = part.trim();
            let code = part.parse().ok().filter(|code: &i32| *code <= 0);
            let plain = code.filter(|code| code.to_string() == part);
            plain.ok_or_else(|| SaidError::Code(part.to_owned()))
        };
        let codes = text.split('|').map(code).collect::<Result<_, _>>()?;
        Ok(Returns { text, codes })
    }
}

impl From<Returns> for String {
    fn from(returns: Returns) -> String {
        returns.text
    }
}

impl fmt::Display for Returns {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl TryFrom<String> for Gives {
    type Error = SaidError;

    fn try_from(text: String) -> Result<Gives, SaidError> {
        match text.rsplit('{').next() {
            Some(last) if last.len() < text.len() && !last.contains('}') => {
                Err(SaidError::Name(text))
            }
            _ => Ok(Gives(text)),
        }
    }
}

impl From<Gives> for String {
    fn from(gives: Gives) -> String {
        gives.0
    }
}

impl fmt::Display for Gives {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Gives, Returns};

    fn matches(pattern: &str, text: &str) -> bool {
        let gives = Gives::try_from(pattern.to_owned()).unwrap();
        let value = |name: &str| match name {
            "number" => Ok("A1*"),
            other => Err(other.to_owned()),
        };
        let value = |name: &str| value(name).map(str::to_owned);
        gives.matches(text, value).unwrap()
    }

    #[test]
    fn patterns_match_as_the_table_says() {
        assert!(matches("411600|*|", "411600|周|x|"));
        assert!(matches("周??|", "周ab|"));
        assert!(matches("{number}|*", "A1*|"));
        assert!(matches("", "") && matches("*", "") && matches("**?", "x"));
        assert!(!matches("{number}", "A12"), "a value stands for itself");
        assert!(!matches("411600|*|", "411600"));
        assert!(!matches("?", "") && !matches("", "x") && !matches("周", "周周"));
        assert!(!matches(&"*a".repeat(60), &"a".repeat(59)));
    }

    #[test]
    fn codes_are_zero_or_negative() {
        let returns = Returns::try_from("0 | -51".to_owned()).unwrap();
        assert!(returns.allows(0) && returns.allows(-51) && !returns.allows(-52));
        for text in ["", "1", "0|", "-", "x", "-0", "+0", "- 5"] {
            assert!(Returns::try_from(text.to_owned()).is_err(), "{text:?}");
        }
        assert!(Gives::try_from("{number".to_owned()).is_err());
        assert!(Gives::try_from("{a}{b".to_owned()).is_err());
    }
}
