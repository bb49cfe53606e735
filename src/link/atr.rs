//! The answer to reset: what a card says of itself when power comes.
//!
//! Parsed strictly and built back byte for byte: T0, the indicator bits of each
//! TD and TCK follow from the rest, so that an [`Atr`] cannot disagree with itself.
//! Bytes are in direct convention; of the inverse one only TS = '3F' remains here.
//!
//! | character | meaning                                                |
//! |-----------|--------------------------------------------------------|
//! | TS        | '3B' direct or '3F' inverse convention                 |
//! | T0        | which of TA1 to TD1 follow, number of historical bytes |
//! | TA1       | Fi and Di: clock cycles an etu, baud rate adjustment   |
//! | TB1, TB2  | programming voltage, no longer used                    |
//! | TC1       | N: extra guard time, 'FF' the least                    |
//! | TDi       | protocol, which of TAi+1 to TDi+1 follow               |
//! | TA2       | specific mode: the protocol that is in force           |
//! | TC2       | WI of T=0: work waiting time                           |
//! | TA of T=15 | clock stop, supply classes                            |
//! | TCK       | makes the XOR from T0 on zero; absent where only T=0   |
//!
//! Source: ISO/IEC 7816-3:2006, 8.2 and 8.3, tables 7 to 10.

use core::fmt;
use thiserror::Error;

/// The order of bits on the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Convention {
    /// '3B': high is one, least significant bit first.
    Direct,
    /// '3F': high is zero, most significant bit first.
    Inverse,
}

impl Convention {
    const fn ts(self) -> u8 {
        match self {
            Convention::Direct => 0x3B,
            Convention::Inverse => 0x3F,
        }
    }
}

/// The interface characters TAi, TBi, TCi of one round.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Interface {
    /// TAi, where present.
    pub ta: Option<u8>,
    /// TBi, where present.
    pub tb: Option<u8>,
    /// TCi, where present.
    pub tc: Option<u8>,
}

impl Interface {
    /// The high half-byte that announces these and, if `more`, a TD.
    fn indicator(self, more: bool) -> u8 {
        let bit = |present: bool, bit: u8| if present { bit } else { 0 };
        bit(self.ta.is_some(), 0x10)
            | bit(self.tb.is_some(), 0x20)
            | bit(self.tc.is_some(), 0x40)
            | bit(more, 0x80)
    }

    fn characters(self) -> impl Iterator<Item = u8> {
        [self.ta, self.tb, self.tc].into_iter().flatten()
    }
}

/// A round that a TD announced: its protocol and its characters.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Round {
    /// T, 0 to 15; 15 is no protocol but global characters.
    pub protocol: u8,
    /// The characters TAi, TBi, TCi after that TD.
    pub interface: Interface,
}

impl Round {
    /// Bytes on the wire, the TD included.
    fn len(self) -> usize {
        self.interface.characters().count().saturating_add(1)
    }
}

/// A well-formed answer to reset.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Atr {
    convention: Convention,
    first: Interface,
    rounds: Vec<Round>,
    historical: Vec<u8>,
}

/// Why some bytes are not an ATR, and at which byte that shows (TS is byte 0).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("ATR, byte {at}: {wrong}")]
pub struct Malformed {
    /// The offset of the byte, from 0.
    pub at: usize,
    /// What is wrong with it.
    pub wrong: Wrong,
}

/// What can be wrong with a byte of an ATR.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Wrong {
    /// The bytes end where another is announced.
    #[error("{0} is announced, but the bytes end here")]
    Missing(&'static str),
    /// TS is neither '3B' nor '3F'.
    #[error("TS is '{0:02X}', not '3B' or '3F'")]
    Convention(u8),
    /// TD1 announces T=15, which is no protocol.
    #[error("TD1 announces T=15, which is no protocol")]
    FirstIsGlobal,
    /// Protocols are not in ascending order.
    #[error("T={0} is announced after a greater one")]
    Order(u8),
    /// T is above 15 in a value that is to be built.
    #[error("T={0} does not fit a half-byte")]
    Protocol(u8),
    /// There are more than 15 historical bytes in a value that is to be built.
    #[error("{0} historical bytes, at most 15 fit")]
    Historical(usize),
    /// TCK does not make the XOR zero.
    #[error("TCK is '{found:02X}', the bytes before it make it '{expected:02X}'")]
    Check {
        /// The byte found.
        found: u8,
        /// The byte that would be right.
        expected: u8,
    },
    /// Bytes follow that nothing announced.
    #[error("nothing announced this byte")]
    Trailing,
    /// There are more than 32 characters after TS.
    #[error("an ATR has at most 33 bytes")]
    TooLong,
}

/// The greatest number of bytes, TS included.
pub const LEN_MAX: usize = 33;

impl Atr {
    /// An ATR of these parts.
    ///
    /// # Errors
    /// What [`parse`](Atr::parse) would say of its bytes, with the offset in them.
    pub fn new(
        convention: Convention,
        first: Interface,
        rounds: &[Round],
        historical: &[u8],
    ) -> Result<Atr, Malformed> {
        let fail = |at, wrong| Err(Malformed { at, wrong });
        if historical.len() > 15 {
            return fail(1, Wrong::Historical(historical.len()));
        }
        let mut at = 2usize.saturating_add(first.characters().count());
        let mut before = 0;
        for (index, round) in rounds.iter().enumerate() {
            if round.protocol > 15 {
                return fail(at, Wrong::Protocol(round.protocol));
            }
            check_order(index, before, round.protocol).map_err(|wrong| Malformed { at, wrong })?;
            before = round.protocol;
            at = at.saturating_add(round.len());
        }
        let atr = Atr {
            convention,
            first,
            rounds: rounds.to_vec(),
            historical: historical.to_vec(),
        };
        if atr.to_bytes().len() > LEN_MAX {
            return fail(LEN_MAX, Wrong::TooLong);
        }
        Ok(atr)
    }

    /// Reads an ATR.
    ///
    /// # Errors
    /// [`Malformed`] with the offset of the first byte that does not fit.
    pub fn parse(bytes: &[u8]) -> Result<Atr, Malformed> {
        let mut reader = Reader { bytes, at: 0 };
        let convention = match reader.next("TS")? {
            0x3B => Convention::Direct,
            0x3F => Convention::Inverse,
            other => return Err(reader.wrong(Wrong::Convention(other))),
        };
        let t0 = reader.next("T0")?;
        let first = reader.interface(t0)?;
        let mut rounds: Vec<Round> = Vec::new();
        let mut indicator = t0;
        while indicator & 0x80 != 0 {
            indicator = reader.next("TD")?;
            let protocol = indicator & 0x0F;
            let before = rounds.last().map_or(0, |round| round.protocol);
            check_order(rounds.len(), before, protocol).map_err(|wrong| reader.wrong(wrong))?;
            let interface = reader.interface(indicator)?;
            rounds.push(Round {
                protocol,
                interface,
            });
        }
        let mut historical = Vec::with_capacity(15);
        for _ in 0..t0 & 0x0F {
            historical.push(reader.next("a historical byte")?);
        }
        let atr = Atr {
            convention,
            first,
            rounds,
            historical,
        };
        if atr.has_check() {
            let expected = check_of(bytes.get(1..reader.at).unwrap_or(&[]));
            let found = reader.next("TCK")?;
            if found != expected {
                return Err(reader.wrong(Wrong::Check { found, expected }));
            }
        }
        if reader.at > LEN_MAX {
            return Err(Malformed {
                at: LEN_MAX,
                wrong: Wrong::TooLong,
            });
        }
        if reader.at < bytes.len() {
            return Err(Malformed {
                at: reader.at,
                wrong: Wrong::Trailing,
            });
        }
        Ok(atr)
    }

    /// Its bytes: the inverse of [`parse`](Atr::parse).
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(LEN_MAX);
        let more = !self.rounds.is_empty();
        // `new` and `parse` let at most 15 through.
        let k = u8::try_from(self.historical.len()).unwrap_or(15);
        bytes.extend([self.convention.ts(), self.first.indicator(more) | k]);
        bytes.extend(self.first.characters());
        let mut rounds = self.rounds.iter().peekable();
        while let Some(round) = rounds.next() {
            let indicator = round.interface.indicator(rounds.peek().is_some());
            bytes.push(indicator | round.protocol);
            bytes.extend(round.interface.characters());
        }
        bytes.extend(&self.historical);
        if self.has_check() {
            let check = check_of(bytes.get(1..).unwrap_or(&[]));
            bytes.push(check);
        }
        bytes
    }

    /// The order of bits on the wire.
    #[must_use]
    pub const fn convention(&self) -> Convention {
        self.convention
    }

    /// TA1, TB1, TC1.
    #[must_use]
    pub const fn first(&self) -> Interface {
        self.first
    }

    /// What TD1, TD2 … announce.
    #[must_use]
    pub fn rounds(&self) -> &[Round] {
        &self.rounds
    }

    /// The historical bytes, at most 15.
    #[must_use]
    pub fn historical(&self) -> &[u8] {
        &self.historical
    }

    /// Whether TCK is there: unless T=0 is all that is announced.
    #[must_use]
    pub fn has_check(&self) -> bool {
        self.rounds.iter().any(|round| round.protocol != 0)
    }

    /// The protocols on offer in their order, T=0 where none is named.
    #[must_use]
    pub fn protocols(&self) -> Vec<u8> {
        let mut protocols: Vec<u8> = self
            .rounds
            .iter()
            .map(|round| round.protocol)
            .filter(|&protocol| protocol != 15)
            .collect();
        protocols.dedup();
        if protocols.is_empty() {
            protocols.push(0);
        }
        protocols
    }

    /// TA2: the card is in the specific mode.
    #[must_use]
    pub fn specific_mode(&self) -> Option<u8> {
        self.rounds.first().and_then(|round| round.interface.ta)
    }

    /// WI of T=0 (TC2), 10 where absent.
    #[must_use]
    pub fn waiting_integer(&self) -> u8 {
        self.rounds
            .first()
            .and_then(|round| round.interface.tc)
            .unwrap_or(10)
    }

    /// Clock stop (b8 b7) and supply classes (b6 to b1): the first TA after T=15.
    #[must_use]
    pub fn classes(&self) -> Option<u8> {
        let global = self.rounds.iter().find(|round| round.protocol == 15)?;
        global.interface.ta
    }

    /// The clock frequency conversion Fi and the baud rate adjustment Di of TA1,
    /// `None` where a value is reserved; 372 and 1 where TA1 is absent.
    #[must_use]
    pub fn speed(&self) -> Option<(u16, u8)> {
        speed(self.first.ta.unwrap_or(0x11))
    }
}

/// Fi and Di of a TA1 or PPS1, `None` where a value is reserved.
///
/// Source: ISO/IEC 7816-3:2006, 8.3, tables 7 and 8.
#[must_use]
pub const fn speed(ta1: u8) -> Option<(u16, u8)> {
    let fi = match ta1 >> 4 {
        0 | 1 => 372,
        2 => 558,
        3 => 744,
        4 => 1116,
        5 => 1488,
        6 => 1860,
        9 => 512,
        10 => 768,
        11 => 1024,
        12 => 1536,
        13 => 2048,
        _ => return None,
    };
    let di = match ta1 & 0x0F {
        1 => 1,
        2 => 2,
        3 => 4,
        4 => 8,
        5 => 16,
        6 => 32,
        7 => 64,
        8 => 12,
        9 => 20,
        _ => return None,
    };
    Some((fi, di))
}

/// T=15 is not the first, and protocols ascend.
const fn check_order(index: usize, before: u8, protocol: u8) -> Result<(), Wrong> {
    if index == 0 && protocol == 15 {
        Err(Wrong::FirstIsGlobal)
    } else if protocol < before {
        Err(Wrong::Order(protocol))
    } else {
        Ok(())
    }
}

fn check_of(bytes: &[u8]) -> u8 {
    bytes.iter().fold(0, |sum, byte| sum ^ byte)
}

struct Reader<'a> {
    bytes: &'a [u8],
    at: usize,
}

impl Reader<'_> {
    fn next(&mut self, what: &'static str) -> Result<u8, Malformed> {
        let byte = self.bytes.get(self.at).copied().ok_or(Malformed {
            at: self.at,
            wrong: Wrong::Missing(what),
        })?;
        self.at = self.at.saturating_add(1);
        Ok(byte)
    }

    fn interface(&mut self, indicator: u8) -> Result<Interface, Malformed> {
        let mut character =
            |bit: u8, what| (indicator & bit != 0).then(|| self.next(what)).transpose();
        Ok(Interface {
            ta: character(0x10, "TA")?,
            tb: character(0x20, "TB")?,
            tc: character(0x40, "TC")?,
        })
    }

    /// Something wrong with the byte read last.
    fn wrong(&self, wrong: Wrong) -> Malformed {
        Malformed {
            at: self.at.saturating_sub(1),
            wrong,
        }
    }
}

/// One line a character: its byte, its name, its meaning.
impl fmt::Display for Atr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let convention = match self.convention {
            Convention::Direct => "direct convention",
            Convention::Inverse => "inverse convention",
        };
        writeln!(f, "{:02X}  TS   {convention}", self.convention.ts())?;
        let bytes = self.to_bytes();
        let t0 = bytes.get(1).copied().unwrap_or_default();
        let k = self.historical.len();
        writeln!(f, "{t0:02X}  T0   {k} historical bytes")?;
        self.fmt_first(f)?;
        let mut at = 2usize.saturating_add(self.first.characters().count());
        for (index, round) in (1usize..).zip(&self.rounds) {
            let td = bytes.get(at).copied().unwrap_or_default();
            writeln!(f, "{td:02X}  TD{index}  T={}", round.protocol)?;
            fmt_round(f, index.saturating_add(1), round)?;
            at = at.saturating_add(round.len());
        }
        if k > 0 {
            write!(f, "   ")?;
            for byte in &self.historical {
                write!(f, " {byte:02X}")?;
            }
            writeln!(f, "  historical bytes")?;
        }
        if self.has_check() {
            let tck = bytes.last().copied().unwrap_or_default();
            writeln!(f, "{tck:02X}  TCK  right")?;
        }
        Ok(())
    }
}

impl Atr {
    fn fmt_first(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(ta) = self.first.ta {
            match speed(ta) {
                Some((fi, di)) => writeln!(f, "{ta:02X}  TA1  Fi {fi}, Di {di}")?,
                None => writeln!(f, "{ta:02X}  TA1  Fi or Di reserved")?,
            }
        }
        if let Some(tb) = self.first.tb {
            let words = if tb == 0 {
                "not connected"
            } else {
                "deprecated"
            };
            writeln!(f, "{tb:02X}  TB1  programming voltage, {words}")?;
        }
        match self.first.tc {
            Some(0xFF) => writeln!(f, "FF  TC1  least guard time"),
            Some(tc) => writeln!(f, "{tc:02X}  TC1  {tc} etu of extra guard time"),
            None => Ok(()),
        }
    }
}

fn fmt_round(f: &mut fmt::Formatter<'_>, i: usize, round: &Round) -> fmt::Result {
    let Round {
        protocol,
        interface: Interface { ta, tb, tc },
    } = *round;
    if let Some(ta) = ta {
        write!(f, "{ta:02X}  TA{i}  ")?;
        match (i, protocol) {
            (2, _) => writeln!(f, "specific mode, T={}", ta & 0x0F)?,
            (_, 15) => {
                let clock = match ta >> 6 {
                    0 => "clock does not stop",
                    1 => "clock stops low",
                    2 => "clock stops high",
                    _ => "clock stops in any state",
                };
                let classes = [(1, "A"), (2, "B"), (4, "C")]
                    .into_iter()
                    .filter_map(|(bit, name)| (ta & bit != 0).then_some(name));
                let classes = classes.collect::<Vec<_>>().join(" ");
                writeln!(f, "{clock}, supply classes {classes}")?;
            }
            (_, 1) => writeln!(f, "blocks of {ta} bytes")?,
            _ => writeln!(f, "T={protocol}")?,
        }
    }
    if let Some(tb) = tb {
        match (i, protocol) {
            (2, _) => writeln!(f, "{tb:02X}  TB2  programming voltage, deprecated")?,
            (_, 1) => writeln!(
                f,
                "{tb:02X}  TB{i}  waiting integers BWI {}, CWI {}",
                tb >> 4,
                tb & 0x0F
            )?,
            _ => writeln!(f, "{tb:02X}  TB{i}  T={protocol}")?,
        }
    }
    match (tc, i, protocol) {
        (None, ..) => Ok(()),
        (Some(tc), 2, _) => writeln!(f, "{tc:02X}  TC2  waiting integer WI {tc} of T=0"),
        (Some(tc), _, 1) => {
            let check = if tc & 1 == 0 { "LRC" } else { "CRC" };
            writeln!(f, "{tc:02X}  TC{i}  {check}")
        }
        (Some(tc), ..) => writeln!(f, "{tc:02X}  TC{i}  T={protocol}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Atr, Convention, Interface, LEN_MAX, Malformed, Round, Wrong, speed};
    use proptest::option;
    use proptest::prelude::{Just, Strategy, any, prop, prop_oneof, proptest};

    fn of(hex: &str) -> Result<Atr, Malformed> {
        Atr::parse(&hex::decode(hex).unwrap())
    }

    fn fails(hex: &str) -> (usize, Wrong) {
        let malformed = of(hex).unwrap_err();
        (malformed.at, malformed.wrong)
    }

    /// Cards that were seen, and the forms the social security card allows.
    #[test]
    fn cards_of_the_field_are_read_and_written_back() {
        for (hex, historical) in [
            // Hunan, 2.0; a 3.0 test card; a card with bank application.
            (
                "3B6D00000081314731865043020000 0013",
                "00813147318650430200000013",
            ),
            (
                "3B6D000000814A444686605199000001AC",
                "00814A444686605199000001AC",
            ),
            (
                "3B6D000080650849048653000000000000",
                "80650849048653000000000000",
            ),
            ("3B6500002063CB6600", "2063CB6600"),
            // The other first characters: TB1; TA1 TB1 TC1; TA1 TB1.
            ("3B2100AA", "AA"),
            ("3B71110000AA", "AA"),
            ("3B311100AA", "AA"),
            ("3B00", ""),
        ] {
            let hex = hex.replace(' ', "");
            let atr = of(&hex).unwrap();
            assert_eq!(hex::encode_upper(atr.historical()), historical);
            assert_eq!(hex::encode_upper(atr.to_bytes()), hex);
            assert_eq!(atr.protocols(), [0]);
            assert!(!atr.has_check());
        }
    }

    #[test]
    fn clock_stop_and_classes_come_in_the_round_of_t_15() {
        let global = Interface {
            ta: Some(0x03),
            ..Interface::default()
        };
        let rounds = [
            Round {
                protocol: 0,
                interface: Interface::default(),
            },
            Round {
                protocol: 15,
                interface: global,
            },
        ];
        let atr = Atr::new(Convention::Direct, Interface::default(), &rounds, &[0xAA]).unwrap();
        assert_eq!(hex::encode_upper(atr.to_bytes()), "3B81801F03AAB7");
        assert_eq!(atr.classes(), Some(0x03));
        assert_eq!(atr.protocols(), [0]);
        assert_eq!(Atr::parse(&atr.to_bytes()), Ok(atr));
    }

    #[test]
    fn the_words_name_each_character() {
        let words = of("3F6D000000814A444686605199000001AC")
            .unwrap()
            .to_string();
        assert_eq!(
            words,
            "3F  TS   inverse convention\n\
             6D  T0   13 historical bytes\n\
             00  TB1  programming voltage, not connected\n\
             00  TC1  0 etu of extra guard time\n    \
             00 81 4A 44 46 86 60 51 99 00 00 01 AC  historical bytes\n"
        );
        let jcop = "3BF81300008131FE454A434F5076323431B7";
        assert_eq!(
            of(jcop).unwrap().to_string(),
            "3B  TS   direct convention\n\
             F8  T0   8 historical bytes\n\
             13  TA1  Fi 372, Di 4\n\
             00  TB1  programming voltage, not connected\n\
             00  TC1  0 etu of extra guard time\n\
             81  TD1  T=1\n\
             31  TD2  T=1\n\
             FE  TA3  blocks of 254 bytes\n\
             45  TB3  waiting integers BWI 4, CWI 5\n    \
             4A 43 4F 50 76 32 34 31  historical bytes\n\
             B7  TCK  right\n"
        );
        assert_eq!(
            of(&jcop[..18]).unwrap_err().to_string(),
            "ATR, byte 9: a historical byte is announced, but the bytes end here"
        );
        assert_eq!(
            of(&jcop.replace("B7", "B8")).unwrap_err().to_string(),
            "ATR, byte 17: TCK is 'B8', the bytes before it make it 'B7'"
        );
    }

    #[test]
    fn an_error_says_the_byte() {
        assert_eq!(fails(""), (0, Wrong::Missing("TS")));
        assert_eq!(fails("3A00"), (0, Wrong::Convention(0x3A)));
        assert_eq!(fails("3B"), (1, Wrong::Missing("T0")));
        assert_eq!(fails("3B60"), (2, Wrong::Missing("TB")));
        assert_eq!(fails("3B6000"), (3, Wrong::Missing("TC")));
        assert_eq!(fails("3B02AA"), (3, Wrong::Missing("a historical byte")));
        assert_eq!(fails("3B80"), (2, Wrong::Missing("TD")));
        assert_eq!(fails("3B800F"), (2, Wrong::FirstIsGlobal));
        assert_eq!(fails("3B808100"), (3, Wrong::Order(0)));
        assert_eq!(fails("3B0000"), (2, Wrong::Trailing));
        assert_eq!(
            fails("3B800100"),
            (
                3,
                Wrong::Check {
                    found: 0,
                    expected: 0x81
                }
            )
        );
        assert_eq!(of("3B80810E0F").unwrap().protocols(), [1, 14]);
    }

    #[test]
    fn every_t0_and_every_td1_announces_what_it_says() {
        for t0 in 0..=0x7Fu8 {
            let after = (t0 >> 4).count_ones() as usize + usize::from(t0 & 0x0F);
            for len in 0..=after + 1 {
                let bytes = [vec![0x3B, t0], vec![0; len]].concat();
                assert_eq!(Atr::parse(&bytes).is_ok(), len == after, "{t0:02X} {len}");
            }
        }
        for td1 in 0..=0x7Fu8 {
            let protocol = td1 & 0x0F;
            let mut bytes = vec![0x3B, 0x80, td1];
            bytes.extend(vec![0; (td1 >> 4).count_ones() as usize]);
            if protocol != 0 {
                bytes.push(0x80 ^ td1);
            }
            let atr = Atr::parse(&bytes);
            assert_eq!(atr.is_ok(), protocol != 15, "{td1:02X}");
            if let Ok(atr) = atr {
                assert_eq!(atr.protocols(), [protocol]);
            }
        }
    }

    #[test]
    fn every_ta1_has_a_speed_or_is_reserved() {
        let known = (0..=0xFF).filter(|&ta1| speed(ta1).is_some()).count();
        assert_eq!(known, 12 * 9);
        assert_eq!(speed(0x11), Some((372, 1)));
        assert_eq!(speed(0x96), Some((512, 32)));
        assert_eq!(of("3B1095").unwrap().speed(), Some((512, 16)));
        assert_eq!(of("3B00").unwrap().speed(), Some((372, 1)));
        assert_eq!(of("3B1070").unwrap().speed(), None);
    }

    #[test]
    fn what_has_no_form_is_not_built() {
        let build = |rounds: &[Round], historical: &[u8]| {
            Atr::new(Convention::Direct, Interface::default(), rounds, historical)
                .map_err(|malformed| (malformed.at, malformed.wrong))
        };
        let round = |protocol, interface| Round {
            protocol,
            interface,
        };
        let none = Interface::default();
        let all = Interface {
            ta: Some(0),
            tb: Some(0),
            tc: Some(0),
        };
        assert_eq!(build(&[], &[0; 16]), Err((1, Wrong::Historical(16))));
        assert_eq!(
            build(&[round(16, none)], &[]),
            Err((2, Wrong::Protocol(16)))
        );
        assert_eq!(
            build(&[round(15, none)], &[]),
            Err((2, Wrong::FirstIsGlobal))
        );
        assert_eq!(
            build(&[round(1, all), round(0, none)], &[]),
            Err((6, Wrong::Order(0)))
        );
        assert_eq!(
            build(&[round(1, all); 8], &[]),
            Err((LEN_MAX, Wrong::TooLong))
        );
    }

    fn interfaces() -> impl Strategy<Value = Interface> {
        (
            option::of(any::<u8>()),
            option::of(any::<u8>()),
            option::of(any::<u8>()),
        )
            .prop_map(|(ta, tb, tc)| Interface { ta, tb, tc })
    }

    proptest! {
        #[test]
        fn what_is_built_is_read_again(
            convention in prop_oneof![Just(Convention::Direct), Just(Convention::Inverse)],
            first in interfaces(),
            rounds in prop::collection::vec((0..=15u8, interfaces()), 0..5),
            historical in prop::collection::vec(any::<u8>(), 0..=15),
        ) {
            let mut rounds: Vec<_> = rounds.into_iter()
                .map(|(protocol, interface)| Round { protocol, interface }).collect();
            rounds.sort_by_key(|round| round.protocol);
            if let Ok(atr) = Atr::new(convention, first, &rounds, &historical) {
                assert!(atr.to_bytes().len() <= LEN_MAX);
                assert_eq!(Atr::parse(&atr.to_bytes()), Ok(atr));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            ts in 0x3Au8..=0x3F, rest in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let bytes = [vec![ts], rest].concat();
            match Atr::parse(&bytes) {
                Ok(atr) => {
                    assert_eq!(atr.to_bytes(), bytes);
                    assert!(!atr.to_string().is_empty());
                }
                Err(malformed) => assert!(malformed.at <= bytes.len()),
            }
        }
    }
}
