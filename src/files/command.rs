//! The commands of the file system: bytes become an intent here and nowhere else.
//!
//! | INS   | command         | P1-P2                                       |
//! |-------|-----------------|---------------------------------------------|
//! | A4    | SELECT          | how; which occurrence and what to answer    |
//! | B0 D6 | READ, UPDATE BINARY | an offset, or an SFI and an offset      |
//! | B2 DC | READ, UPDATE RECORD | number or identifier; SFI and mode      |
//! | E0    | CREATE FILE     | 0000                                        |
//! | 44    | ACTIVATE FILE   | 0000: the current directory                 |
//!
//! What the standard knows and an applet does not support is the applet's to
//! refuse. The class byte and secure messaging are the applet's too: it takes the
//! MAC off before it asks what the rest means.
//!
//! Source: ISO/IEC 7816-4:2020, 11.2.2, 11.3, 11.4, 7.3.3; ISO/IEC 7816-9:2017, 9.3.

use super::access::Rules;
use super::record::{Occurrence, Record, Span};
use super::tree::{FID_MF, NewDirectory, NewFile, SFI_MAX, Shape};
use crate::aid::Aid;
use crate::apdu::{Command, Sw};
use crate::tlv::Objects;

/// SELECT.
pub const INS_SELECT: u8 = 0xA4;
/// READ BINARY.
pub const INS_READ_BINARY: u8 = 0xB0;
/// UPDATE BINARY.
pub const INS_UPDATE_BINARY: u8 = 0xD6;
/// READ RECORD.
pub const INS_READ_RECORD: u8 = 0xB2;
/// UPDATE RECORD.
pub const INS_UPDATE_RECORD: u8 = 0xDC;
/// CREATE FILE.
pub const INS_CREATE_FILE: u8 = 0xE0;
/// ACTIVATE FILE.
pub const INS_ACTIVATE_FILE: u8 = 0x44;

/// What a SELECT names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Target<'a> {
    /// The MF.
    MasterFile,
    /// The file with this FID, wherever it may lie.
    Fid(u16),
    /// The directory with this FID in the current one.
    ChildDirectory(u16),
    /// The EF with this FID in the current directory.
    ChildFile(u16),
    /// The parent of the current directory.
    Parent,
    /// The directory with this name, 5 to 16 bytes of it.
    Name(&'a [u8]),
}

/// What a SELECT wants to be told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Answer {
    /// The FCI template.
    Fci,
    /// The FCP template.
    Fcp,
    /// The FMD template.
    Fmd,
    /// Nothing.
    Nothing,
}

/// Which EF of the current directory a command works on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reference {
    /// The current one.
    Current,
    /// The one with this short identifier, 1 to 30, current from then on.
    Sfi(u8),
}

/// What a command for files wants.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Intent<'a> {
    /// Make a file current.
    Select {
        /// Which.
        target: Target<'a>,
        /// Which of those.
        occurrence: Occurrence,
        /// What to answer.
        answer: Answer,
    },
    /// Read bytes.
    ReadBinary {
        /// Where.
        file: Reference,
        /// From which byte on.
        offset: u16,
    },
    /// Replace bytes.
    UpdateBinary {
        /// Where.
        file: Reference,
        /// From which byte on.
        offset: u16,
        /// By these.
        bytes: &'a [u8],
    },
    /// Read records.
    ReadRecord {
        /// Where.
        file: Reference,
        /// Which.
        span: Span,
    },
    /// Replace or add a record.
    UpdateRecord {
        /// Where.
        file: Reference,
        /// Which.
        record: Record,
        /// By this one.
        bytes: &'a [u8],
    },
    /// Make a directory.
    CreateDirectory(NewDirectory<'a>),
    /// Make an EF.
    CreateFile(NewFile),
    /// Let the rules of the current directory hold from now on.
    Activate,
}

impl<'a> TryFrom<&Command<'a>> for Intent<'a> {
    type Error = Sw;

    /// Checks INS ('6D00'), then P1-P2 ('6A86'), then the length ('6700'), then
    /// the data ('6A80'). The class is not looked at.
    #[inline]
    fn try_from(command: &Command<'a>) -> Result<Intent<'a>, Sw> {
        match command.ins {
            INS_SELECT => select(command),
            INS_READ_BINARY => {
                let (file, offset) = offset(command)?;
                no_data(command)?;
                Ok(Intent::ReadBinary { file, offset })
            }
            INS_UPDATE_BINARY => {
                let (file, offset) = offset(command)?;
                Ok(Intent::UpdateBinary {
                    file,
                    offset,
                    bytes: some_data(command)?,
                })
            }
            INS_READ_RECORD => {
                let (file, span) = span(command)?;
                no_data(command)?;
                Ok(Intent::ReadRecord { file, span })
            }
            INS_UPDATE_RECORD => match span(command)? {
                (file, Span::One(record)) => Ok(Intent::UpdateRecord {
                    file,
                    record,
                    bytes: some_data(command)?,
                }),
                (_, Span::From(_) | Span::DownTo(_)) => Err(Sw::WRONG_P1_P2),
            },
            INS_CREATE_FILE => {
                no_parameters(command)?;
                create(some_data(command)?).ok_or(Sw::WRONG_DATA)
            }
            INS_ACTIVATE_FILE => {
                no_parameters(command)?;
                no_data(command)?;
                Ok(Intent::Activate)
            }
            _ => Err(Sw::INS_NOT_SUPPORTED),
        }
    }
}

fn no_parameters(command: &Command<'_>) -> Result<(), Sw> {
    if command.p1 == 0 && command.p2 == 0 {
        Ok(())
    } else {
        Err(Sw::WRONG_P1_P2)
    }
}

fn no_data(command: &Command<'_>) -> Result<(), Sw> {
    if command.data.is_empty() {
        Ok(())
    } else {
        Err(Sw::WRONG_LENGTH)
    }
}

fn some_data<'a>(command: &Command<'a>) -> Result<&'a [u8], Sw> {
    if command.data.is_empty() {
        Err(Sw::WRONG_LENGTH)
    } else {
        Ok(command.data)
    }
}

/// Source: ISO/IEC 7816-4:2020, tables 62 and 63.
fn select<'a>(command: &Command<'a>) -> Result<Intent<'a>, Sw> {
    let occurrence = match command.p2 & 0x03 {
        0b00 => Occurrence::First,
        0b01 => Occurrence::Last,
        0b10 => Occurrence::Next,
        _ => Occurrence::Previous,
    };
    let answer = match command.p2 & 0xFC {
        0x00 => Answer::Fci,
        0x04 => Answer::Fcp,
        0x08 => Answer::Fmd,
        0x0C => Answer::Nothing,
        _ => return Err(Sw::WRONG_P1_P2),
    };
    let data = command.data;
    let fid = || match *data {
        [high, low] => Ok(u16::from_be_bytes([high, low])),
        _ => Err(Sw::WRONG_LENGTH),
    };
    let target = match command.p1 {
        0x00 if data.is_empty() => Target::MasterFile,
        0x00 => match fid()? {
            FID_MF => Target::MasterFile,
            fid => Target::Fid(fid),
        },
        0x01 => Target::ChildDirectory(fid()?),
        0x02 => Target::ChildFile(fid()?),
        0x03 => no_data(command).map(|()| Target::Parent)?,
        0x04 if Aid::LEN_BYTES.contains(&data.len()) => Target::Name(data),
        0x04 => return Err(Sw::WRONG_LENGTH),
        _ => return Err(Sw::WRONG_P1_P2),
    };
    Ok(Intent::Select {
        target,
        occurrence,
        answer,
    })
}

/// P1 b8 = 0: an offset of 15 bits; b8 to b6 = 100: an SFI, and the offset in P2.
///
/// Source: ISO/IEC 7816-4:2020, 11.3.2.
fn offset(command: &Command<'_>) -> Result<(Reference, u16), Sw> {
    match command.p1 {
        high @ 0x00..=0x7F => Ok((Reference::Current, u16::from_be_bytes([high, command.p2]))),
        p1 => {
            let sfi = p1 & 0x1F;
            if p1 & 0x60 != 0 || sfi == 0 || sfi > SFI_MAX {
                return Err(Sw::WRONG_P1_P2);
            }
            Ok((Reference::Sfi(sfi), u16::from(command.p2)))
        }
    }
}

/// P1 is a number or an identifier, P2 b8 to b4 the SFI, b3 to b1 the mode.
///
/// Source: ISO/IEC 7816-4:2020, 11.4.2, table 71.
fn span(command: &Command<'_>) -> Result<(Reference, Span), Sw> {
    let file = match command.p2 >> 3 {
        0 => Reference::Current,
        sfi if sfi <= SFI_MAX => Reference::Sfi(sfi),
        _ => return Err(Sw::WRONG_P1_P2),
    };
    let identified = |occurrence| {
        Span::One(Record::Identified {
            identifier: command.p1,
            occurrence,
        })
    };
    let number = match command.p1 {
        0x00 => Record::Current,
        0xFF => return Err(Sw::WRONG_P1_P2),
        number => Record::Number(number),
    };
    let span = match command.p2 & 0x07 {
        0b000 => identified(Occurrence::First),
        0b001 => identified(Occurrence::Last),
        0b010 => identified(Occurrence::Next),
        0b011 => identified(Occurrence::Previous),
        0b100 => Span::One(number),
        0b101 => Span::From(number),
        0b110 => Span::DownTo(number),
        _ => return Err(Sw::WRONG_P1_P2),
    };
    Ok((file, span))
}

const TAG_62_FCP: u32 = 0x62;
const TAG_80_SIZE: u32 = 0x80;
const TAG_82_DESCRIPTOR: u32 = 0x82;
const TAG_83_FID: u32 = 0x83;
const TAG_84_DF_NAME: u32 = 0x84;
const TAG_88_SFI: u32 = 0x88;
const TAG_8C_RULES: u32 = 0x8C;
const TAG_A5_PROPRIETARY: u32 = 0xA5;

/// What an FCP template says, each object at most once.
#[derive(Default)]
struct Fcp<'a> {
    descriptor: Option<&'a [u8]>,
    fid: Option<u16>,
    name: Option<Aid>,
    sfi: Option<u8>,
    size: Option<u16>,
    proprietary: Option<&'a [u8]>,
    rules: Option<Rules>,
}

/// Puts a value in its place, once.
fn once<T>(place: &mut Option<T>, value: Option<T>) -> Option<()> {
    match place {
        Some(_) => None,
        None => {
            *place = Some(value?);
            Some(())
        }
    }
}

fn word(bytes: &[u8]) -> Option<u16> {
    <[u8; 2]>::try_from(bytes).ok().map(u16::from_be_bytes)
}

impl<'a> Fcp<'a> {
    fn parse(data: &'a [u8]) -> Option<Fcp<'a>> {
        let mut objects = Objects::new(data);
        let template = objects
            .next()?
            .ok()
            .filter(|object| object.tag.value() == TAG_62_FCP)?;
        if objects.next().is_some() {
            return None;
        }
        let mut fcp = Fcp::default();
        for object in template.objects() {
            let object = object.ok()?;
            let value = object.value;
            match object.tag.value() {
                TAG_80_SIZE => once(&mut fcp.size, word(value))?,
                TAG_82_DESCRIPTOR => once(&mut fcp.descriptor, Some(value))?,
                TAG_83_FID => once(&mut fcp.fid, word(value))?,
                TAG_84_DF_NAME => once(&mut fcp.name, Aid::new(value))?,
                TAG_88_SFI => once(
                    &mut fcp.sfi,
                    <[u8; 1]>::try_from(value).ok().map(|[sfi]| sfi),
                )?,
                TAG_8C_RULES => once(&mut fcp.rules, Rules::parse(value))?,
                TAG_A5_PROPRIETARY => once(&mut fcp.proprietary, Some(value))?,
                _ => return None,
            }
        }
        Some(fcp)
    }

    /// The structure of an EF; what is said of a size it must need.
    fn shape(&self) -> Option<Shape> {
        match (self.descriptor?, self.size) {
            ([0x01] | [0x01, 0x01], size) => Some(Shape::Transparent { size: size? }),
            (&[fd, 0x01, high, low, records], size) => {
                let record_len = u16::from_be_bytes([high, low]);
                match (fd, size) {
                    (0x02, None) => Some(Shape::LinearFixed {
                        record_len,
                        records,
                    }),
                    (0x04, size) => Some(Shape::LinearVariable { size: size? }),
                    (0x06, None) => Some(Shape::Cyclic {
                        record_len,
                        records,
                    }),
                    _ => None,
                }
            }
            _ => None,
        }
    }
}

/// Reads the FCP of a CREATE FILE; `None` where it lacks what is needed or says
/// what has no place there.
///
/// Source: ISO/IEC 7816-4:2020, tables 10 to 12; '8C' as in the rules' own coding.
fn create(data: &[u8]) -> Option<Intent<'_>> {
    let fcp = Fcp::parse(data)?;
    let (fid, rules) = (fcp.fid?, fcp.rules.unwrap_or(Rules::ABSENT));
    if fcp.descriptor == Some(&[0x38][..]) {
        if fcp.sfi.is_some() || fcp.size.is_some() {
            return None;
        }
        let proprietary = fcp.proprietary.unwrap_or_default();
        return Some(Intent::CreateDirectory(NewDirectory {
            fid,
            name: fcp.name,
            proprietary,
            rules,
        }));
    }
    if fcp.name.is_some() || fcp.proprietary.is_some() {
        return None;
    }
    Some(Intent::CreateFile(NewFile {
        fid,
        sfi: fcp.sfi,
        shape: fcp.shape()?,
        rules,
    }))
}

#[cfg(test)]
mod tests {
    use super::{Answer, Intent, Occurrence, Record, Reference, Shape, Span, Target};
    use crate::aid::Aid;
    use crate::apdu::{Class, Command, Sw};
    use crate::files::{NewDirectory, NewFile, Rules};

    fn read<'a>(header: [u8; 3], data: &'a [u8]) -> Result<Intent<'a>, Sw> {
        let [ins, p1, p2] = header;
        Intent::try_from(&Command::new(Class::BASIC, ins, p1, p2).with_data(data))
    }

    #[test]
    fn every_p1_and_p2_of_the_binary_commands_is_an_offset_an_sfi_or_refused() {
        for p1 in 0..=0xFFu8 {
            for p2 in 0..=0xFFu8 {
                let expected = match p1 {
                    0x00..=0x7F => Ok((Reference::Current, u16::from(p1) << 8 | u16::from(p2))),
                    0x81..=0x9E => Ok((Reference::Sfi(p1 - 0x80), u16::from(p2))),
                    _ => Err(Sw::WRONG_P1_P2),
                };
                let of = |(file, offset)| Intent::ReadBinary { file, offset };
                assert_eq!(read([0xB0, p1, p2], &[]), expected.map(of));
                let of = |(file, offset)| Intent::UpdateBinary {
                    file,
                    offset,
                    bytes: &[7],
                };
                assert_eq!(read([0xD6, p1, p2], &[7]), expected.map(of));
            }
        }
    }

    #[test]
    fn every_p1_and_p2_of_the_record_commands_names_records_or_is_refused() {
        for p1 in 0..=0xFFu8 {
            for p2 in 0..=0xFFu8 {
                let file = match p2 / 8 {
                    0 => Reference::Current,
                    sfi => Reference::Sfi(sfi),
                };
                let number = if p1 == 0 {
                    Record::Current
                } else {
                    Record::Number(p1)
                };
                let span = match p2 % 8 {
                    mode @ 0..=3 => {
                        let occurrence = [
                            Occurrence::First,
                            Occurrence::Last,
                            Occurrence::Next,
                            Occurrence::Previous,
                        ][usize::from(mode)];
                        Some(Span::One(Record::Identified {
                            identifier: p1,
                            occurrence,
                        }))
                    }
                    4 => Some(Span::One(number)),
                    5 => Some(Span::From(number)),
                    6 => Some(Span::DownTo(number)),
                    _ => None,
                };
                let span = span
                    .filter(|_| p1 != 0xFF && p2 / 8 != 31)
                    .ok_or(Sw::WRONG_P1_P2);
                let reading = span.map(|span| Intent::ReadRecord { file, span });
                assert_eq!(read([0xB2, p1, p2], &[]), reading, "{p1:02X} {p2:02X}");
                let updating = span.and_then(|span| match span {
                    Span::One(record) => Ok(Intent::UpdateRecord {
                        file,
                        record,
                        bytes: &[7],
                    }),
                    _ => Err(Sw::WRONG_P1_P2),
                });
                assert_eq!(read([0xDC, p1, p2], &[7]), updating, "{p1:02X} {p2:02X}");
            }
        }
    }

    #[test]
    fn select_says_what_which_and_what_to_answer() {
        let select = |target, occurrence, answer| {
            Ok(Intent::Select {
                target,
                occurrence,
                answer,
            })
        };
        let fci = |target| select(target, Occurrence::First, Answer::Fci);
        assert_eq!(read([0xA4, 0, 0], &[]), fci(Target::MasterFile));
        assert_eq!(read([0xA4, 0, 0], &[0x3F, 0]), fci(Target::MasterFile));
        assert_eq!(read([0xA4, 0, 0], &[0xEF, 5]), fci(Target::Fid(0xEF05)));
        assert_eq!(
            read([0xA4, 1, 0], &[0xDF, 1]),
            fci(Target::ChildDirectory(0xDF01))
        );
        assert_eq!(
            read([0xA4, 2, 0], &[0xEF, 5]),
            fci(Target::ChildFile(0xEF05))
        );
        assert_eq!(read([0xA4, 3, 0], &[]), fci(Target::Parent));
        let names = [0xA0; 20];
        for len in 0..=20 {
            let name = &names[..len];
            let expected = match len {
                5..=16 => select(Target::Name(name), Occurrence::Next, Answer::Nothing),
                _ => Err(Sw::WRONG_LENGTH),
            };
            assert_eq!(read([0xA4, 4, 0x0E], name), expected);
        }
        for p1 in 5..=0xFF {
            assert_eq!(read([0xA4, p1, 0], &[]), Err(Sw::WRONG_P1_P2));
        }
        for p2 in 0x10..=0xFF {
            assert_eq!(read([0xA4, 0, p2], &[]), Err(Sw::WRONG_P1_P2));
        }
    }

    #[test]
    fn lengths_are_checked_after_parameters() {
        for (header, data, sw) in [
            ([0xB0, 0, 0], &[1][..], Sw::WRONG_LENGTH),
            ([0xD6, 0, 0], &[], Sw::WRONG_LENGTH),
            ([0xB2, 1, 4], &[1], Sw::WRONG_LENGTH),
            ([0xDC, 1, 4], &[], Sw::WRONG_LENGTH),
            ([0xA4, 0, 0], &[1], Sw::WRONG_LENGTH),
            ([0xA4, 0, 0], &[1, 2, 3], Sw::WRONG_LENGTH),
            ([0xA4, 3, 0], &[1], Sw::WRONG_LENGTH),
            ([0xE0, 0, 0], &[], Sw::WRONG_LENGTH),
            ([0xE0, 0, 1], &[], Sw::WRONG_P1_P2),
            ([0x44, 0, 0], &[1], Sw::WRONG_LENGTH),
            ([0x44, 1, 0], &[1], Sw::WRONG_P1_P2),
            ([0x20, 0, 0], &[], Sw::INS_NOT_SUPPORTED),
        ] {
            assert_eq!(read(header, data), Err(sw), "{header:02X?}");
        }
    }

    #[test]
    fn an_fcp_makes_a_directory_or_an_ef() {
        let of = |text: &str| {
            let bytes = hex::decode(text.replace(' ', "")).unwrap();
            match read([0xE0, 0, 0], &bytes) {
                Ok(Intent::CreateFile(new)) => Ok(new),
                Ok(other) => panic!("{other:?}"),
                Err(sw) => Err(sw),
            }
        };
        let rules = Rules::ABSENT;
        let file = |sfi, shape| NewFile {
            fid: 0xEF05,
            sfi,
            shape,
            rules,
        };
        assert_eq!(
            of("620B 820101 8302EF05 80020100"),
            Ok(file(None, Shape::Transparent { size: 256 }))
        );
        assert_eq!(
            of("6212 82050401 0040 07 8302EF05 880105 80020100"),
            Ok(file(Some(5), Shape::LinearVariable { size: 256 }))
        );
        assert_eq!(
            of("620B 82050201 0029 04 8302EF05"),
            Ok(file(
                None,
                Shape::LinearFixed {
                    record_len: 41,
                    records: 4
                }
            ))
        );
        assert_eq!(
            of("620B 82050601 001C 1E 8302EF05"),
            Ok(file(
                None,
                Shape::Cyclic {
                    record_len: 28,
                    records: 30
                }
            ))
        );
        for text in [
            "6207 820101 8302EF05",
            "620B 820138 8302EF05 80020100",
            "620F 82050601 001C 1E 8302EF05 80020100",
            "620B 820103 8302EF05 80020100",
            "6207 820101 80020100",
            "6208 8302EF05 80020100",
            "6F0B 820101 8302EF05 80020100",
            "620B 820101 8302EF05 80020100 990100",
            "620F 820101 8302EF05 8302EF06 80020100",
            "620E 820101 8302EF05 80020100 990100",
        ] {
            assert_eq!(of(text), Err(Sw::WRONG_DATA), "{text}");
        }
        let bytes =
            hex::decode("6214 820138 8302DF01 8406D15600000500 A50388011E".replace(' ', ""));
        assert_eq!(
            read([0xE0, 0, 0], &bytes.unwrap()),
            Ok(Intent::CreateDirectory(NewDirectory {
                fid: 0xDF01,
                name: Aid::new(&[0xD1, 0x56, 0, 0, 5, 0]),
                proprietary: &[0x88, 1, 0x1E],
                rules,
            }))
        );
    }
}
