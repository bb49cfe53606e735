//! An `Icc` around an `Icc` that tells a listener what goes through it.
//!
//! The listener sees each exchange after it ended and cannot change it; it prints
//! any nonsense, since nothing here is parsed.

use crate::icc::{Icc, Lost};
use core::fmt;

/// One thing that a reader did to the card, and what came of it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// Power was supplied: the ATR, or none.
    PowerOn(Result<&'a [u8], &'a Lost>),
    /// The card was reset warm: the ATR, or none.
    Reset(Result<&'a [u8], &'a Lost>),
    /// Power was taken away.
    PowerOff,
    /// A command was sent.
    Exchange {
        /// The bytes of the command.
        command: &'a [u8],
        /// The bytes of the response, or none.
        response: Result<&'a [u8], &'a Lost>,
    },
}

/// Lines of hex, '>' to the card and '<' from it; the last line is not ended.
impl fmt::Display for Event<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let answer = match self {
            Event::PowerOn(answer) => {
                writeln!(f, "# power on")?;
                answer
            }
            Event::Reset(answer) => {
                writeln!(f, "# reset")?;
                answer
            }
            Event::PowerOff => return write!(f, "# power off"),
            Event::Exchange { command, response } => {
                write!(f, ">")?;
                fmt_hex(f, command)?;
                writeln!(f)?;
                response
            }
        };
        match answer {
            Ok(bytes) => {
                write!(f, "<")?;
                fmt_hex(f, bytes)
            }
            Err(lost) => write!(f, "# {lost}"),
        }
    }
}

fn fmt_hex(f: &mut fmt::Formatter<'_>, bytes: &[u8]) -> fmt::Result {
    bytes.iter().try_for_each(|byte| write!(f, " {byte:02X}"))
}

/// The `Icc` that listens in.
#[derive(Debug)]
pub struct Tap<I, F> {
    icc: I,
    listener: F,
}

impl<I: Icc, F: FnMut(Event<'_>)> Tap<I, F> {
    /// Lets `listener` hear what goes to and from `icc`.
    pub const fn new(icc: I, listener: F) -> Tap<I, F> {
        Tap { icc, listener }
    }

    /// The card again, without the listener.
    pub fn into_inner(self) -> I {
        self.icc
    }
}

impl<I: Icc, F: FnMut(Event<'_>)> Icc for Tap<I, F> {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        let answer = self.icc.power_on();
        (self.listener)(Event::PowerOn(answer.as_deref()));
        answer
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        let answer = self.icc.reset();
        (self.listener)(Event::Reset(answer.as_deref()));
        answer
    }

    fn power_off(&mut self) {
        self.icc.power_off();
        (self.listener)(Event::PowerOff);
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        let answer = self.icc.transmit(command, response);
        (self.listener)(Event::Exchange {
            command,
            response: answer.as_ref().map(|()| response.as_slice()),
        });
        answer
    }
}

#[cfg(test)]
mod tests {
    use super::Tap;
    use crate::icc::Icc;
    use crate::link::testing::Script;

    #[test]
    fn the_listener_hears_each_exchange_and_changes_none() {
        let mut heard = Vec::new();
        let card = Script::new(&[("00A40000", "6F00 9000")]);
        let mut tap = Tap::new(card, |event| heard.push(event.to_string()));
        let mut response = Vec::new();
        assert_eq!(tap.power_on().unwrap(), [0x3B, 0x00]);
        tap.transmit(&[0x00, 0xA4, 0, 0], &mut response).unwrap();
        assert_eq!(response, [0x6F, 0x00, 0x90, 0x00]);
        tap.transmit(&[0xFF], &mut response).unwrap();
        tap.reset().unwrap();
        tap.power_off();
        assert!(tap.transmit(&[0], &mut response).is_err());
        drop(tap);
        assert_eq!(
            heard,
            [
                "# power on\n< 3B 00",
                "> 00 A4 00 00\n< 6F 00 90 00",
                "> FF\n< 6D 00",
                "# reset\n< 3B 00",
                "# power off",
                "> 00\n# the card has no power",
            ]
        );
    }
}
