//! A command APDU as a value: header, data, expected length.
//!
//! [`Command::parse`] takes only what ISO/IEC 7816-3 knows: the four cases, short
//! and extended.
//!
//! Source: ISO/IEC 7816-3:2006, 12.1.3, table 13; ISO/IEC 7816-4:2020, 5.2.

use super::{Class, Sw};
use thiserror::Error;

/// One command, its data borrowed from the wire.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Command<'a> {
    /// The class byte.
    pub class: Class,
    /// The instruction byte.
    pub ins: u8,
    /// The first parameter byte.
    pub p1: u8,
    /// The second parameter byte.
    pub p2: u8,
    /// The data field, Nc bytes, 0 to 65 535.
    pub data: &'a [u8],
    /// Ne: the greatest number of data bytes expected, 0 to 65 536.
    pub ne: u32,
    /// Whether the length fields are in the extended form.
    pub extended: bool,
}

/// Why some bytes are not a command.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Malformed {
    /// CLA is reserved or invalid.
    #[error("CLA '{0:02X}' is reserved")]
    Class(u8),
    /// The length fields do not agree with the number of bytes.
    #[error("the length fields do not agree with the {0} bytes of the command")]
    Length(usize),
}

impl Malformed {
    /// The status word that a card answers with: '6E00' or '6700'.
    #[must_use]
    pub const fn sw(self) -> Sw {
        match self {
            Malformed::Class(_) => Sw::CLA_NOT_SUPPORTED,
            Malformed::Length(_) => Sw::WRONG_LENGTH,
        }
    }
}

impl<'a> Command<'a> {
    /// The greatest Nc and one less than the greatest Ne.
    pub const NC_MAX: usize = 65_535;

    /// A case 1 command on the basic channel, to be completed with
    /// [`with_data`](Command::with_data) and [`expecting`](Command::expecting).
    #[must_use]
    pub const fn new(class: Class, ins: u8, p1: u8, p2: u8) -> Command<'a> {
        Command {
            class,
            ins,
            p1,
            p2,
            data: &[],
            ne: 0,
            extended: false,
        }
    }

    /// The same with this data field; more than 255 bytes make it extended.
    #[must_use]
    pub const fn with_data(mut self, data: &'a [u8]) -> Command<'a> {
        self.data = data;
        self.extended |= data.len() > 255;
        self
    }

    /// The same with this Ne; more than 256 make it extended.
    #[must_use]
    pub const fn expecting(mut self, ne: u32) -> Command<'a> {
        self.ne = ne;
        self.extended |= ne > 256;
        self
    }

    /// Reads a command APDU.
    ///
    /// # Errors
    /// [`Malformed::Length`] where there are fewer than 4 bytes, then
    /// [`Malformed::Class`], then [`Malformed::Length`] where Lc and Le do not
    /// agree with the number of bytes.
    #[inline(always)]
    pub fn parse(bytes: &'a [u8]) -> Result<Command<'a>, Malformed> {
        let wrong_length = Malformed::Length(bytes.len());
        let (&[cla, ins, p1, p2], body) = bytes.split_first_chunk().ok_or(wrong_length)?;
        let class = Class::new(cla).ok_or(Malformed::Class(cla))?;
        let command = Command::new(class, ins, p1, p2);
        let of_256 = |le: u8| if le == 0 { 256 } else { u32::from(le) };
        let of_65536 = |le: [u8; 2]| match u16::from_be_bytes(le) {
            0 => 65_536,
            ne => u32::from(ne),
        };
        match body {
            [] => Ok(command),
            &[le] => Ok(Command {
                ne: of_256(le),
                ..command
            }),
            &[0, high, low] => Ok(Command {
                ne: of_65536([high, low]),
                extended: true,
                ..command
            }),
            &[0, high, low, ref rest @ ..] => {
                let nc = usize::from(u16::from_be_bytes([high, low]));
                let (data, le) = rest.split_at_checked(nc).ok_or(wrong_length)?;
                let ne = match *le {
                    [] => 0,
                    [high, low] => of_65536([high, low]),
                    _ => return Err(wrong_length),
                };
                if nc == 0 {
                    Err(wrong_length)
                } else {
                    Ok(Command {
                        data,
                        ne,
                        extended: true,
                        ..command
                    })
                }
            }
            &[lc, ref rest @ ..] => {
                let (data, le) = rest.split_at_checked(usize::from(lc)).ok_or(wrong_length)?;
                let ne = match *le {
                    [] => 0,
                    [le] => of_256(le),
                    _ => return Err(wrong_length),
                };
                if lc == 0 {
                    Err(wrong_length)
                } else {
                    Ok(Command {
                        data,
                        ne,
                        ..command
                    })
                }
            }
        }
    }

    /// Its bytes on the wire: the inverse of [`parse`](Command::parse).
    ///
    /// Data beyond [`NC_MAX`](Command::NC_MAX) and an Ne beyond 65 536 have no
    /// form and are cut.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let data = self.data.get(..Self::NC_MAX).unwrap_or(self.data);
        let mut bytes = Vec::with_capacity(data.len().saturating_add(9));
        bytes.extend([self.class.byte(), self.ins, self.p1, self.p2]);
        let extended = self.extended || data.len() > 255 || self.ne > 256;
        if !data.is_empty() {
            let nc = u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes();
            if extended {
                bytes.push(0);
                bytes.extend(nc);
            } else {
                bytes.push(nc[1]);
            }
            bytes.extend(data);
        }
        if self.ne > 0 {
            // Ne 256 is written 00 and Ne 65 536 is written 0000.
            let le = (self.ne.min(65_536) & 0xFFFF).to_be_bytes();
            if extended && data.is_empty() {
                bytes.push(0);
            }
            bytes.extend(if extended { &le[2..] } else { &le[3..] });
        }
        bytes
    }

    /// Its case by ISO/IEC 7816-3, 1 to 4.
    #[must_use]
    pub const fn case(&self) -> u8 {
        match (self.data.is_empty(), self.ne) {
            (true, 0) => 1,
            (true, _) => 2,
            (false, 0) => 3,
            (false, _) => 4,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, Command, Malformed};
    use proptest::prelude::{any, prop, proptest};

    #[test]
    fn the_seven_forms_of_the_standard_are_read() {
        let of = |hex: &str| {
            let bytes = hex::decode(hex).unwrap();
            let command = Command::parse(&bytes).unwrap();
            (
                command.case(),
                command.data.len(),
                command.ne,
                command.extended,
            )
        };
        assert_eq!(of("00A40000"), (1, 0, 0, false));
        assert_eq!(of("00B0000000"), (2, 0, 256, false));
        assert_eq!(of("00B00000000000"), (2, 0, 65_536, true));
        assert_eq!(of("00D6000002AABB"), (3, 2, 0, false));
        assert_eq!(of("00D60000000002AABB"), (3, 2, 0, true));
        assert_eq!(of("00A4040002AABB10"), (4, 2, 16, false));
        assert_eq!(of("00A40400000002AABB0100"), (4, 2, 256, true));
    }

    #[test]
    fn lengths_that_do_not_agree_are_refused() {
        for hex in [
            "",
            "00",
            "00A400",
            "00A4000002AA",
            "00A4000002AABB0000",
            "00A400000000",
            "00A40000000001",
            "00A40000000001AA00",
            "00A4000000000000",
        ] {
            let bytes = hex::decode(hex).unwrap();
            let parsed = Command::parse(&bytes);
            if hex == "00A40000000001" {
                assert_eq!(parsed.unwrap().ne, 1, "an extended case 2");
            } else {
                assert_eq!(parsed, Err(Malformed::Length(bytes.len())), "{hex}");
            }
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_again(
            cla in any::<u8>(), header: [u8; 3], extended: bool,
            data in prop::collection::vec(any::<u8>(), 0..700), ne in 0u32..=65_536,
        ) {
            let Some(class) = Class::new(cla) else { return Ok(()) };
            let [ins, p1, p2] = header;
            let command = Command { extended, ..Command::new(class, ins, p1, p2) }
                .with_data(&data).expecting(ne);
            let bytes = command.to_bytes();
            let read = Command::parse(&bytes).unwrap();
            // A case 1 command has no length field to be extended.
            let extended = command.extended && command.case() != 1;
            assert_eq!(read, Command { extended, ..command });
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in prop::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(command) = Command::parse(&bytes) {
                assert_eq!(command.to_bytes(), bytes);
            }
        }
    }
}
