//! Access rules: who may do what with a file, in postfix bytes.
//!
//! | byte    | meaning                                   |
//! |---------|-------------------------------------------|
//! | 00      | free                                      |
//! | FF      | never                                     |
//! | 01      | the PIN was verified                      |
//! | 02 KID  | the key with this identifier was proven   |
//! | 03      | AND of the two before                     |
//! | 04      | OR of the two before                      |
//!
//! So "PIN or key 88" is `01 02 88 04`. What a PIN or a key identifier means is
//! the applet's affair: it is asked for each [`Right`].
//!
//! Source: house coding; the rules themselves as in the social security card
//! specification, part 4, 6, and ISO/IEC 7816-4:2020, 9.3.

/// What a file can be asked to let happen.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Operation {
    /// READ BINARY, READ RECORD.
    Read,
    /// UPDATE BINARY, UPDATE RECORD.
    Update,
    /// CREATE FILE in a directory, and writing its keys.
    Create,
    /// Blocking a directory for good.
    Block,
}

impl Operation {
    /// All of them, in the order of their numbers on the wire, which start at 1.
    pub const ALL: [Operation; 4] = [
        Operation::Read,
        Operation::Update,
        Operation::Create,
        Operation::Block,
    ];

    /// The operation of this number.
    #[must_use]
    pub fn from_number(number: u8) -> Option<Operation> {
        Operation::ALL
            .get(usize::from(number).checked_sub(1)?)
            .copied()
    }
}

/// What a rule can ask for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Right {
    /// That the PIN was verified.
    Pin,
    /// That the key with this identifier was proven.
    Key(u8),
}

const FREE: u8 = 0x00;
const PIN: u8 = 0x01;
const KEY: u8 = 0x02;
const AND: u8 = 0x03;
const OR: u8 = 0x04;
const NEVER: u8 = 0xFF;

/// A rule that can be evaluated, of 1 to 7 postfix bytes, or none at all.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    len: u8,
    code: [u8; Rule::CODE_MAX],
}

impl Rule {
    /// The greatest number of postfix bytes.
    pub const CODE_MAX: usize = 7;
    /// How many bytes it takes in memory.
    pub const LEN: usize = 1 + Rule::CODE_MAX;

    /// No rule was given.
    pub const ABSENT: Rule = Rule {
        len: 0,
        code: [0; Rule::CODE_MAX],
    };

    /// The rule with this code; `None` where it is longer than 7 bytes or does not
    /// leave exactly one value.
    #[must_use]
    pub fn new(code: &[u8]) -> Option<Rule> {
        let mut rule = Rule {
            len: u8::try_from(code.len()).ok()?,
            ..Rule::ABSENT
        };
        rule.code.get_mut(..code.len())?.copy_from_slice(code);
        let mut depth = 0usize;
        let mut bytes = code.iter();
        while let Some(&byte) = bytes.next() {
            depth = match byte {
                FREE | NEVER | PIN => depth + 1,
                KEY => {
                    bytes.next()?;
                    depth + 1
                }
                AND | OR if depth >= 2 => depth - 1,
                _ => return None,
            };
        }
        (depth == 1).then_some(rule)
    }

    /// Whether no rule was given.
    #[must_use]
    pub const fn is_absent(&self) -> bool {
        self.len == 0
    }

    /// Whether the rule is met by the rights that `holds` knows of. No rule is
    /// never met.
    #[must_use]
    #[inline]
    pub fn is_met(&self, holds: impl Fn(Right) -> bool) -> bool {
        // The top of the stack is bit 0.
        let mut stack = 0u8;
        let mut bytes = self.code.iter().take(usize::from(self.len));
        while let Some(&byte) = bytes.next() {
            let top = stack & 1;
            stack = match byte {
                AND => stack >> 1 & (top | 0xFE),
                OR => stack >> 1 | top,
                _ => {
                    let value = match byte {
                        FREE => true,
                        PIN => holds(Right::Pin),
                        KEY => bytes.next().is_some_and(|&kid| holds(Right::Key(kid))),
                        _ => false,
                    };
                    stack << 1 | u8::from(value)
                }
            };
        }
        stack & 1 == 1
    }

    /// As it lies in memory: its length, then its code, then zeros.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; Rule::LEN] {
        let mut bytes = [0; Rule::LEN];
        bytes[0] = self.len;
        bytes[1..].copy_from_slice(&self.code);
        bytes
    }

    /// The rule that lies in memory so.
    #[must_use]
    #[inline]
    pub fn from_bytes(bytes: [u8; Rule::LEN]) -> Rule {
        let [len, code @ ..] = bytes;
        Rule { len, code }
    }
}

/// One rule for each operation.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rules([Rule; Operation::ALL.len()]);

impl Rules {
    /// No rule for anything.
    pub const ABSENT: Rules = Rules([Rule::ABSENT; Operation::ALL.len()]);

    /// Reads a list of `operation(1) len(1) code`; `None` where an operation is not
    /// known or comes twice, where a rule is none, or where the lengths disagree.
    #[must_use]
    pub fn parse(mut list: &[u8]) -> Option<Rules> {
        let mut rules = Rules::ABSENT;
        while let [number, len, ref rest @ ..] = *list {
            let (code, rest) = rest.split_at_checked(usize::from(len))?;
            let slot = rules.0.get_mut(Operation::from_number(number)? as usize)?;
            if !slot.is_absent() {
                return None;
            }
            *slot = Rule::new(code)?;
            list = rest;
        }
        list.is_empty().then_some(rules)
    }

    /// The rule for an operation.
    #[must_use]
    pub const fn of(&self, operation: Operation) -> Rule {
        self.0[operation as usize]
    }
}

#[cfg(test)]
mod tests {
    use super::{Operation, Right, Rule, Rules};

    fn met(code: &[u8], pin: bool, keys: &[u8]) -> bool {
        Rule::new(code).unwrap().is_met(|right| match right {
            Right::Pin => pin,
            Right::Key(kid) => keys.contains(&kid),
        })
    }

    #[test]
    fn free_is_always_met_and_never_and_nothing_are_not() {
        assert!(met(&[0x00], false, &[]));
        assert!(!met(&[0xFF], true, &[0x88]));
        assert!(!Rule::ABSENT.is_met(|_| true));
    }

    #[test]
    fn and_asks_for_both_and_or_for_one() {
        for pin in [false, true] {
            for keys in [&[][..], &[0x88], &[0x84]] {
                let key = keys == [0x88];
                assert_eq!(met(&[1, 2, 0x88, 4], pin, keys), pin || key);
                assert_eq!(met(&[1, 2, 0x88, 3], pin, keys), pin && key);
            }
        }
    }

    #[test]
    fn a_key_identifier_is_not_read_as_an_operator() {
        assert!(met(&[2, 3, 2, 4, 3], false, &[3, 4]));
        assert!(!met(&[2, 3, 2, 4, 3], false, &[3]));
    }

    #[test]
    fn rules_that_leave_no_single_value_are_refused() {
        for code in [
            &[][..],
            &[3],
            &[1, 3],
            &[1, 1],
            &[2],
            &[5],
            &[0, 0, 0, 3],
            &[0; 8],
        ] {
            assert_eq!(Rule::new(code), None, "{code:02X?}");
        }
    }

    #[test]
    fn every_short_code_is_refused_or_evaluated_like_a_stack_of_booleans() {
        let alphabet = [0x00, 0x01, 0x02, 0x03, 0x04, 0x88, 0xFF];
        for len in 1..=5u32 {
            for index in 0..alphabet.len().pow(len) {
                let code: Vec<u8> = (0..len)
                    .map(|place| alphabet[index / alphabet.len().pow(place) % alphabet.len()])
                    .collect();
                let mut stack = Vec::new();
                let mut bytes = code.iter();
                let mut sound = true;
                while let Some(&byte) = bytes.next() {
                    match byte {
                        0x00 => stack.push(true),
                        0xFF | 0x01 => stack.push(false),
                        0x02 => match bytes.next() {
                            Some(&kid) => stack.push(kid == 0x88),
                            None => sound = false,
                        },
                        3 | 4 if stack.len() > 1 => {
                            let (right, left) = (stack.pop().unwrap(), stack.pop().unwrap());
                            stack.push(if byte == 3 {
                                left && right
                            } else {
                                left || right
                            });
                        }
                        _ => sound = false,
                    }
                }
                match Rule::new(&code) {
                    Some(_) => assert_eq!(met(&code, false, &[0x88]), stack[0], "{code:02X?}"),
                    None => assert!(!sound || stack.len() != 1, "{code:02X?}"),
                }
            }
        }
    }

    #[test]
    fn a_list_names_each_operation_once() {
        let rules = Rules::parse(&[1, 1, 0, 2, 2, 2, 4]).unwrap();
        assert_eq!(rules.of(Operation::Read), Rule::new(&[0]).unwrap());
        assert_eq!(rules.of(Operation::Update), Rule::new(&[2, 4]).unwrap());
        assert!(rules.of(Operation::Create).is_absent());
        assert_eq!(Rules::parse(&[]), Some(Rules::ABSENT));
        for list in [
            &[1, 1, 0, 1, 1, 0][..],
            &[0, 1, 0],
            &[5, 1, 0],
            &[1, 2, 0],
            &[1],
            &[1, 0],
        ] {
            assert_eq!(Rules::parse(list), None, "{list:02X?}");
        }
    }

    #[test]
    fn a_rule_comes_back_from_memory() {
        let rule = Rule::new(&[1, 2, 0x88, 4]).unwrap();
        assert_eq!(Rule::from_bytes(rule.to_bytes()), rule);
    }
}
