//! An access rule: free, never, the PIN, a key, joined by AND and OR.
//!
//! | text                | postfix, as CREATE FILE has it |
//! |---------------------|--------------------------------|
//! | `free`, `never`     | `00`, `FF`                     |
//! | `pin`               | `01`                           |
//! | `RK1DF01`           | `02` KID                       |
//! | `pin \| RK1DF01`    | `01 02` KID `04`               |
//! | `pin & RK1DF04`     | `01 02` KID `03`               |
//!
//! `&` binds more tightly than `|`; parentheses group.

use core::fmt;
use thiserror::Error;

/// Who may do something with a file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Rule {
    /// Everybody.
    Free,
    /// Nobody from outside.
    Never,
    /// Who has presented the PIN.
    Pin,
    /// Who has authenticated with this key.
    Key(KeyRef),
    /// Who may do both.
    And(Box<Rule>, Box<Rule>),
    /// Who may do either.
    Or(Box<Rule>, Box<Rule>),
}

/// A key that a rule names.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyRef {
    /// Its name, unique in the card.
    pub name: String,
    /// Its identifier, P2 of EXTERNAL AUTHENTICATION.
    pub kid: u8,
}

/// Why a text is not a rule.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RuleError {
    /// A character that no rule has.
    #[error("{0:?} at character {1} has no place in a rule")]
    Character(char, usize),
    /// The text ends, or goes on, where it should not.
    #[error("expected {expected} at character {at}")]
    Syntax {
        /// What should stand there.
        expected: &'static str,
        /// The character's place, from 1.
        at: usize,
    },
    /// A name that is no key of this card.
    #[error("there is no key {0:?}")]
    UnknownKey(String),
    /// `free` or `never` inside a larger rule, where it says nothing.
    #[error("{0:?} stands alone or not at all")]
    NotAlone(&'static str),
    /// More operators or parentheses than any card takes.
    #[error("more than {} operands or levels", Rule::OPERANDS_MAX)]
    TooLong,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Token<'a> {
    Name(&'a str),
    And,
    Or,
    Open,
    Close,
}

impl Rule {
    /// The most operands that a rule may have.
    pub const OPERANDS_MAX: usize = 16;

    /// Reads a rule; `find` gives the identifier of a key by its name.
    ///
    /// # Errors
    /// [`RuleError`] for the first thing that is wrong, syntax before keys.
    pub fn parse(text: &str, find: impl Fn(&str) -> Option<u8>) -> Result<Rule, RuleError> {
        let tokens = tokens(text)?;
        let mut parser = Parser {
            tokens: &tokens,
            end: text.chars().count() + 1,
            depth: 0,
            operands: 0,
        };
        let rule = parser.or()?;
        match parser.tokens {
            [] => {}
            [(_, at), ..] => {
                return Err(RuleError::Syntax {
                    expected: "'&', '|' or the end",
                    at: *at,
                });
            }
        }
        let rule = rule.resolve(&find)?;
        if let Rule::And(..) | Rule::Or(..) = rule {
            rule.refuse_alone()?;
        }
        Ok(rule)
    }

    fn resolve(self, find: &impl Fn(&str) -> Option<u8>) -> Result<Rule, RuleError> {
        Ok(match self {
            Rule::Key(KeyRef { name, .. }) => match find(&name) {
                Some(kid) => Rule::Key(KeyRef { name, kid }),
                None => return Err(RuleError::UnknownKey(name)),
            },
            Rule::And(a, b) => Rule::And(Box::new(a.resolve(find)?), Box::new(b.resolve(find)?)),
            Rule::Or(a, b) => Rule::Or(Box::new(a.resolve(find)?), Box::new(b.resolve(find)?)),
            other => other,
        })
    }

    fn refuse_alone(&self) -> Result<(), RuleError> {
        match self {
            Rule::Free => Err(RuleError::NotAlone("free")),
            Rule::Never => Err(RuleError::NotAlone("never")),
            Rule::And(a, b) | Rule::Or(a, b) => a.refuse_alone().and_then(|()| b.refuse_alone()),
            Rule::Pin | Rule::Key(_) => Ok(()),
        }
    }

    /// The rule in postfix, as CREATE FILE takes it.
    #[must_use]
    pub fn to_postfix(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        self.append_to(&mut bytes);
        bytes
    }

    fn append_to(&self, bytes: &mut Vec<u8>) {
        match self {
            Rule::Free => bytes.push(0x00),
            Rule::Never => bytes.push(0xFF),
            Rule::Pin => bytes.push(0x01),
            Rule::Key(key) => bytes.extend([0x02, key.kid]),
            Rule::And(a, b) | Rule::Or(a, b) => {
                a.append_to(bytes);
                b.append_to(bytes);
                bytes.push(if matches!(self, Rule::And(..)) {
                    0x03
                } else {
                    0x04
                });
            }
        }
    }

    /// Whether who has presented the PIN, or not, and holds the rights of these
    /// keys may pass.
    pub fn is_satisfied(&self, pin: bool, holds: &impl Fn(&KeyRef) -> bool) -> bool {
        match self {
            Rule::Free => true,
            Rule::Never => false,
            Rule::Pin => pin,
            Rule::Key(key) => holds(key),
            Rule::And(a, b) => a.is_satisfied(pin, holds) && b.is_satisfied(pin, holds),
            Rule::Or(a, b) => a.is_satisfied(pin, holds) || b.is_satisfied(pin, holds),
        }
    }

    /// The keys that it names, from left to right.
    #[must_use]
    pub fn keys(&self) -> Vec<&KeyRef> {
        match self {
            Rule::Free | Rule::Never | Rule::Pin => Vec::new(),
            Rule::Key(key) => vec![key],
            Rule::And(a, b) | Rule::Or(a, b) => {
                let mut keys = a.keys();
                keys.extend(b.keys());
                keys
            }
        }
    }

    /// Whether it names the PIN.
    #[must_use]
    pub fn names_pin(&self) -> bool {
        match self {
            Rule::Pin => true,
            Rule::Free | Rule::Never | Rule::Key(_) => false,
            Rule::And(a, b) | Rule::Or(a, b) => a.names_pin() || b.names_pin(),
        }
    }
}

impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let group = |rule: &Rule, f: &mut fmt::Formatter<'_>| match rule {
            Rule::Or(..) => write!(f, "({rule})"),
            _ => write!(f, "{rule}"),
        };
        match self {
            Rule::Free => f.write_str("free"),
            Rule::Never => f.write_str("never"),
            Rule::Pin => f.write_str("pin"),
            Rule::Key(key) => f.write_str(&key.name),
            Rule::And(a, b) => {
                group(a, f)?;
                f.write_str(" & ")?;
                group(b, f)
            }
            Rule::Or(a, b) => write!(f, "{a} | {b}"),
        }
    }
}

fn tokens(text: &str) -> Result<Vec<(Token<'_>, usize)>, RuleError> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut at = 1;
    while let Some(first) = rest.chars().next() {
        let name = rest
            .find(|c: char| !c.is_ascii_alphanumeric())
            .unwrap_or(rest.len());
        let (len, token) = match first {
            ' ' => (1, None),
            '&' => (1, Some(Token::And)),
            '|' => (1, Some(Token::Or)),
            '(' => (1, Some(Token::Open)),
            ')' => (1, Some(Token::Close)),
            _ if name > 0 => (name, rest.get(..name).map(Token::Name)),
            other => return Err(RuleError::Character(other, at)),
        };
        tokens.extend(token.map(|token| (token, at)));
        at += len;
        rest = rest.get(len..).unwrap_or_default();
    }
    Ok(tokens)
}

struct Parser<'a, 't> {
    tokens: &'t [(Token<'a>, usize)],
    end: usize,
    depth: usize,
    operands: usize,
}

impl Parser<'_, '_> {
    fn or(&mut self) -> Result<Rule, RuleError> {
        let mut left = self.and()?;
        while let [(Token::Or, _), rest @ ..] = self.tokens {
            self.tokens = rest;
            left = Rule::Or(Box::new(left), Box::new(self.and()?));
        }
        Ok(left)
    }

    fn and(&mut self) -> Result<Rule, RuleError> {
        let mut left = self.operand()?;
        while let [(Token::And, _), rest @ ..] = self.tokens {
            self.tokens = rest;
            left = Rule::And(Box::new(left), Box::new(self.operand()?));
        }
        Ok(left)
    }

    fn operand(&mut self) -> Result<Rule, RuleError> {
        let expected = "'free', 'never', 'pin', a key's name or '('";
        match self.tokens {
            [(Token::Name(name), _), rest @ ..] => {
                self.tokens = rest;
                self.operands += 1;
                if self.operands > Rule::OPERANDS_MAX {
                    return Err(RuleError::TooLong);
                }
                Ok(match *name {
                    "free" => Rule::Free,
                    "never" => Rule::Never,
                    "pin" => Rule::Pin,
                    name => Rule::Key(KeyRef {
                        name: name.to_owned(),
                        kid: 0,
                    }),
                })
            }
            [(Token::Open, _), rest @ ..] => {
                self.tokens = rest;
                self.depth += 1;
                if self.depth > Rule::OPERANDS_MAX {
                    return Err(RuleError::TooLong);
                }
                let rule = self.or()?;
                self.depth -= 1;
                match self.tokens {
                    [(Token::Close, _), rest @ ..] => {
                        self.tokens = rest;
                        Ok(rule)
                    }
                    _ => Err(self.syntax("')'")),
                }
            }
            _ => Err(self.syntax(expected)),
        }
    }

    fn syntax(&self, expected: &'static str) -> RuleError {
        let at = self.tokens.first().map_or(self.end, |(_, at)| *at);
        RuleError::Syntax { expected, at }
    }
}

#[cfg(test)]
mod tests {
    use super::{Rule, RuleError};

    fn kid(name: &str) -> Option<u8> {
        match name {
            "RK1" => Some(0x88),
            "UKSSSE" => Some(0x04),
            _ => None,
        }
    }

    fn parse(text: &str) -> Result<Rule, RuleError> {
        Rule::parse(text, kid)
    }

    #[test]
    fn a_rule_is_written_in_postfix() {
        for (text, postfix) in [
            ("free", "00"),
            ("never", "FF"),
            ("pin", "01"),
            ("UKSSSE", "0204"),
            ("pin | RK1", "01028804"),
            ("pin&RK1", "01028803"),
            ("pin & RK1 | UKSSSE", "01028803020404"),
            ("pin & (RK1|UKSSSE)", "01028802040403"),
        ] {
            let expected = hex::decode(postfix).unwrap();
            assert_eq!(parse(text).unwrap().to_postfix(), expected, "{text}");
        }
    }

    #[test]
    fn a_rule_prints_as_it_reads() {
        for text in [
            "free",
            "pin | RK1",
            "pin & (RK1 | UKSSSE)",
            "pin & RK1 | UKSSSE",
        ] {
            let rule = parse(text).unwrap();
            assert_eq!(rule.to_string(), text);
            assert_eq!(parse(&rule.to_string()), Ok(rule));
        }
    }

    #[test]
    fn what_is_no_rule_is_refused_with_its_place() {
        for (text, error) in [
            ("pin + RK1", RuleError::Character('+', 5)),
            ("密码", RuleError::Character('密', 1)),
            ("pin | RK9", RuleError::UnknownKey("RK9".to_owned())),
            ("free | pin", RuleError::NotAlone("free")),
            (
                "pin RK1",
                RuleError::Syntax {
                    expected: "'&', '|' or the end",
                    at: 5,
                },
            ),
            (
                "(pin | RK1",
                RuleError::Syntax {
                    expected: "')'",
                    at: 11,
                },
            ),
            ("pin|".repeat(17).trim_end_matches('|'), RuleError::TooLong),
            (&"(".repeat(10_000), RuleError::TooLong),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
        assert!(parse("").is_err());
        assert!(parse("pin |").is_err());
    }

    #[test]
    fn a_rule_opens_for_those_it_names() {
        let rule = parse("pin & (RK1 | UKSSSE)").unwrap();
        assert!(!rule.is_satisfied(true, &|_| false));
        assert!(!rule.is_satisfied(false, &|_| true));
        assert!(rule.is_satisfied(true, &|key| key.name == "UKSSSE"));
        assert!(rule.names_pin());
        assert_eq!(rule.keys().len(), 2);
    }
}
