//! One command and its whole answer, over any card.
//!
//! Hides what T=0 shows an application: '61XX' is followed by GET RESPONSE, '6CXX'
//! by the same command with the right Le.
//!
//! Source: ISO/IEC 7816-3:2006, 12.2; ISO/IEC 7816-4:2020, 5.3.4.

use cardlab::apdu::{Class, Command, Response, Sw};
use cardlab::icc::{Icc, Lost};

/// How often a card may put an answer off.
const ROUNDS_MAX: usize = 32;

/// What a card answered.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// The data, of all parts.
    pub data: Vec<u8>,
    /// The status word of the last part.
    pub sw: Sw,
}

/// Sends a command and collects its answer.
///
/// # Errors
/// [`Lost`] where no answer came, or one without a status word, or one that does
/// not end.
pub fn exchange(icc: &mut dyn Icc, command: &Command<'_>) -> Result<Answer, Lost> {
    let mut bytes = command.to_bytes();
    let mut response = Vec::new();
    let mut data = Vec::new();
    for _ in 0..ROUNDS_MAX {
        icc.transmit(&bytes, &mut response)?;
        let part = Response::parse(&response)
            .ok_or_else(|| Lost::Link("an answer without a status word".to_owned()))?;
        data.extend_from_slice(part.data);
        let ne = match part.sw.sw2() {
            0 => 256,
            len => u32::from(len),
        };
        match part.sw.sw1() {
            0x61 => {
                let class = Class::BASIC.on_channel(command.class.channel());
                let rest = Command::new(class.unwrap_or(Class::BASIC), 0xC0, 0x00, 0x00);
                bytes = rest.expecting(ne).to_bytes();
            }
            0x6C => {
                let again = Command::parse(&bytes).map(|command| command.expecting(ne).to_bytes());
                bytes = again.map_err(|error| Lost::Link(error.to_string()))?;
            }
            _ => return Ok(Answer { data, sw: part.sw }),
        }
    }
    Err(Lost::Link("an answer that does not end".to_owned()))
}
