//! A card of a few scripted answers, for the tests of the links.

use crate::icc::{Icc, Lost};

/// Answers the commands it knows, GET RESPONSE '6F00' and all others '6D00'; counts
/// what is done to it.
#[derive(Debug, Default)]
pub(crate) struct Script {
    answers: Vec<(Vec<u8>, Vec<u8>)>,
    powered: bool,
    /// Calls of `power_on`.
    pub(crate) cold: usize,
    /// Calls of `reset`.
    pub(crate) warm: usize,
    /// The commands seen.
    pub(crate) seen: Vec<String>,
    /// Stays silent to every command.
    pub(crate) mute: bool,
}

pub(crate) fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex.replace(' ', "")).unwrap()
}

impl Script {
    /// The card in its sleep: command and response in hex, spaces allowed.
    pub(crate) fn new(answers: &[(&str, &str)]) -> Script {
        let answers = answers.iter();
        Script {
            answers: answers.map(|(c, r)| (bytes(c), bytes(r))).collect(),
            ..Script::default()
        }
    }

    /// The same, with power.
    pub(crate) fn awake(answers: &[(&str, &str)]) -> Script {
        Script {
            powered: true,
            ..Script::new(answers)
        }
    }
}

impl Icc for Script {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.powered = true;
        self.cold += 1;
        Ok(vec![0x3B, 0x00])
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        if !self.powered {
            return Err(Lost::NoPower);
        }
        self.warm += 1;
        Ok(vec![0x3B, 0x00])
    }

    fn power_off(&mut self) {
        self.powered = false;
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        response.clear();
        if !self.powered {
            return Err(Lost::NoPower);
        }
        if self.mute {
            return Err(Lost::Mute);
        }
        self.seen.push(hex::encode_upper(command));
        let known = self.answers.iter().find(|(known, _)| known == command);
        let unknown: &[u8] = match command {
            [_, 0xC0, ..] => &[0x6F, 0x00],
            _ => &[0x6D, 0x00],
        };
        response.extend(known.map_or(unknown, |(_, answer)| answer));
        Ok(())
    }
}
