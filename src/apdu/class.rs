//! The class byte: logical channel, chaining, secure messaging.
//!
//! | CLA       | form                          | channel | chaining | secure messaging |
//! |-----------|-------------------------------|---------|----------|------------------|
//! | 00 to 1F  | first interindustry           | b2 b1   | b5       | b4 b3            |
//! | 20 to 3F  | reserved                      |         |          |                  |
//! | 40 to 7F  | further interindustry         | 4 + b4 to b1 | b5  | b6               |
//! | 80 to BF  | proprietary, coded as the first   | b2 b1 | b5     | b4 b3            |
//! | C0 to FE  | proprietary, coded as the further | 4 + b4 to b1 | b5 | b6          |
//! | FF        | invalid                       |         |          |                  |
//!
//! In the proprietary classes 90 to 9F and B0 to BF b5 is part of the class and
//! not the chaining bit: the medical commands are CLA B0.
//!
//! Source: ISO/IEC 7816-4:2020, 5.4.1, tables 2 and 3; the proprietary forms as in
//! GlobalPlatform Card Specification 2.3.1, 11.1.4.

use core::fmt;

/// A class byte that a standard gives a meaning to.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Class(u8);

/// What the class byte says of secure messaging.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum SecureMessaging {
    /// None, or no indication.
    None,
    /// A proprietary format ('04' of the first form).
    Proprietary,
    /// The standard's format, header not authenticated ('08').
    Standard,
    /// The standard's format, header authenticated ('0C').
    StandardHeader,
}

impl Class {
    /// The plain interindustry class of the basic channel, '00'.
    pub const BASIC: Class = Class(0x00);

    /// The class of this byte, or `None` for 20 to 3F and FF.
    #[must_use]
    pub const fn new(byte: u8) -> Option<Class> {
        match byte {
            0x20..=0x3F | 0xFF => None,
            _ => Some(Class(byte)),
        }
    }

    /// The byte on the wire.
    #[must_use]
    pub const fn byte(self) -> u8 {
        self.0
    }

    /// Whether the class is one of ISO/IEC 7816 and not proprietary.
    #[must_use]
    pub const fn is_interindustry(self) -> bool {
        self.0 & 0x80 == 0
    }

    const fn is_further(self) -> bool {
        self.0 & 0x40 != 0
    }

    /// The logical channel, 0 to 19.
    #[must_use]
    pub const fn channel(self) -> u8 {
        if self.is_further() {
            (self.0 & 0x0F).saturating_add(4)
        } else {
            self.0 & 0x03
        }
    }

    /// Whether more of the same command follows.
    #[must_use]
    pub const fn is_chaining(self) -> bool {
        match self.0 {
            0x90..=0x9F | 0xB0..=0xBF => false,
            byte => byte & 0x10 != 0,
        }
    }

    /// What it says of secure messaging.
    #[must_use]
    pub const fn secure_messaging(self) -> SecureMessaging {
        if self.is_further() {
            return if self.0 & 0x20 != 0 {
                SecureMessaging::Standard
            } else {
                SecureMessaging::None
            };
        }
        match self.0 & 0x0C {
            0x00 => SecureMessaging::None,
            0x04 => SecureMessaging::Proprietary,
            0x08 => SecureMessaging::Standard,
            _ => SecureMessaging::StandardHeader,
        }
    }

    /// The class without its channel and its chaining bit: '00', '80', '04' …
    ///
    /// The channel is the business of the operating system; what an applet
    /// compares is this. Secure messaging of the further forms reads as '08'.
    #[must_use]
    pub const fn base(self) -> u8 {
        let kind = self.0 & 0x80;
        if self.is_further() {
            return if self.0 & 0x20 != 0 {
                kind | 0x08
            } else {
                kind
            };
        }
        match self.0 {
            0x90..=0x9F | 0xB0..=0xBF => self.0 & 0xFC,
            byte => byte & 0xEC,
        }
    }

    /// This class on another logical channel, or `None` above channel 19 or
    /// where the form has no room for it.
    #[must_use]
    pub const fn on_channel(self, channel: u8) -> Option<Class> {
        let kind = self.0 & 0x80;
        let chaining = if self.is_chaining() { 0x10 } else { 0 };
        match channel {
            0..=3 if !self.is_further() => Some(Class(self.0 & 0xFC | channel)),
            0..=3 if kind == 0x80 && self.is_chaining() => None,
            0..=3 => {
                let sm = if self.0 & 0x20 != 0 { 0x08 } else { 0 };
                Some(Class(kind | chaining | sm | channel))
            }
            4..=19 => {
                let further = match self.secure_messaging() {
                    SecureMessaging::None => 0,
                    SecureMessaging::Standard => 0x20,
                    SecureMessaging::Proprietary | SecureMessaging::StandardHeader => return None,
                };
                if !self.is_further() && matches!(self.0, 0x90..=0xBF) {
                    return None;
                }
                Class::new(kind | 0x40 | chaining | further | channel.saturating_sub(4))
            }
            _ => None,
        }
    }
}

impl fmt::Debug for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "'{:02X}'", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Class, SecureMessaging};

    #[test]
    fn only_20_to_3f_and_ff_are_no_class() {
        for byte in 0..=0xFFu8 {
            let invalid = (0x20..=0x3F).contains(&byte) || byte == 0xFF;
            assert_eq!(Class::new(byte).is_none(), invalid, "{byte:02X}");
        }
    }

    #[test]
    fn every_class_byte_reads_as_the_tables_say() {
        for byte in 0..=0xFFu8 {
            let Some(class) = Class::new(byte) else {
                continue;
            };
            let further = byte & 0x40 != 0;
            let channel = if further { byte % 16 + 4 } else { byte % 4 };
            assert_eq!(class.channel(), channel, "{byte:02X}");
            let sm = match (further, byte >> 2 & 3, byte >> 5 & 1) {
                (true, _, 0) | (false, 0, _) => SecureMessaging::None,
                (true, _, _) | (false, 2, _) => SecureMessaging::Standard,
                (false, 1, _) => SecureMessaging::Proprietary,
                (false, _, _) => SecureMessaging::StandardHeader,
            };
            assert_eq!(class.secure_messaging(), sm, "{byte:02X}");
            let part_of_class = matches!(byte >> 4, 0x9 | 0xB);
            assert_eq!(
                class.is_chaining(),
                byte & 0x10 != 0 && !part_of_class,
                "{byte:02X}"
            );
            assert_eq!(class.is_interindustry(), byte < 0x80);
        }
    }

    #[test]
    fn a_class_moved_to_another_channel_keeps_all_else() {
        for byte in 0..=0xFFu8 {
            let Some(class) = Class::new(byte) else {
                continue;
            };
            for channel in 0..=255 {
                let Some(moved) = class.on_channel(channel) else {
                    continue;
                };
                assert_eq!(moved.channel(), channel);
                assert_eq!(moved.base(), class.base(), "{byte:02X} on {channel}");
                assert_eq!(moved.is_chaining(), class.is_chaining());
                assert_eq!(moved.secure_messaging(), class.secure_messaging());
            }
        }
    }

    #[test]
    fn the_medical_class_b0_is_not_a_chained_a0() {
        let class = Class::new(0xB0).unwrap();
        assert!(!class.is_chaining());
        assert_eq!(class.base(), 0xB0);
    }
}
