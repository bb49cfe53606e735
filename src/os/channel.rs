//! The logical channels: who is selected, what is gathered, what is left to give.
//!
//! Source: ISO/IEC 7816-4:2020, 5.3.3 (command chaining), 5.3.4 (response
//! chaining), 5.4.1 (logical channels).

use crate::apdu::{Command, Sw};
use crate::applet::CHANNELS;

/// One command of several chained APDUs, as far as it has come.
#[derive(Clone, Debug)]
struct Chain {
    header: [u8; 4],
    data: Vec<u8>,
}

/// The part of an answer that the last command did not ask for.
#[derive(Clone, Debug)]
struct Rest {
    channel: u8,
    bytes: Vec<u8>,
    sw: Sw,
}

/// What a gathered command is.
pub(super) enum Gathered {
    /// The command stands alone.
    Whole,
    /// It was a part; more follow.
    Part,
    /// It was the last part; all the data.
    Last(Vec<u8>),
}

/// All the channels of a card.
#[derive(Clone, Debug, Default)]
pub(super) struct Channels {
    /// For each channel: closed, or open with the index of its applet, if any.
    selected: [Option<Option<usize>>; CHANNELS as usize],
    chain: Option<Chain>,
    rest: Option<Rest>,
}

impl Channels {
    /// As after a reset: channel 0 open, nothing selected.
    pub(super) fn reset(&mut self) {
        *self = Channels::default();
        self.selected[0] = Some(None);
    }

    /// Whether the channel is open.
    pub(super) fn is_open(&self, channel: u8) -> bool {
        self.selected
            .get(usize::from(channel))
            .is_some_and(Option::is_some)
    }

    /// The applet selected on an open channel.
    #[inline]
    pub(super) fn selected(&self, channel: u8) -> Option<usize> {
        self.selected
            .get(usize::from(channel))
            .copied()
            .flatten()
            .flatten()
    }

    /// Opens the channel if need be and puts an applet, or none, on it.
    pub(super) fn put(&mut self, channel: u8, applet: Option<usize>) {
        if let Some(slot) = self.selected.get_mut(usize::from(channel)) {
            *slot = Some(applet);
        }
    }

    /// Closes the channel.
    pub(super) fn close(&mut self, channel: u8) {
        if let Some(slot) = self.selected.get_mut(usize::from(channel)) {
            *slot = None;
        }
    }

    /// The lowest closed channel.
    pub(super) fn free(&self) -> Option<u8> {
        (1..CHANNELS).find(|&channel| !self.is_open(channel))
    }

    /// Adds a command to the chain it is part of.
    ///
    /// # Errors
    /// '6883' where a chain is not continued by the same CLA, INS, P1 and P2, and
    /// '6700' beyond 65 535 bytes; the chain is then forgotten.
    pub(super) fn gather(&mut self, command: &Command<'_>) -> Result<Gathered, Sw> {
        let chaining = command.class.is_chaining();
        if !chaining && self.chain.is_none() {
            return Ok(Gathered::Whole);
        }
        let plain = command.class.byte() & !u8::from(chaining).wrapping_mul(0x10);
        let header = [plain, command.ins, command.p1, command.p2];
        let mut chain = self.chain.take().unwrap_or(Chain {
            header,
            data: Vec::new(),
        });
        if chain.header != header {
            return Err(Sw::LAST_OF_CHAIN_EXPECTED);
        }
        if chain.data.len() + command.data.len() > Command::NC_MAX {
            return Err(Sw::WRONG_LENGTH);
        }
        chain.data.extend_from_slice(command.data);
        if chaining {
            self.chain = Some(chain);
            return Ok(Gathered::Part);
        }
        Ok(Gathered::Last(chain.data))
    }

    /// Forgets what was left to give.
    #[inline]
    pub(super) fn drop_rest(&mut self) {
        if self.rest.is_some() {
            self.rest = None;
        }
    }

    /// Cuts an answer to the `ne` bytes expected, keeps the rest, and gives the
    /// status word that goes with it.
    pub(super) fn portion(&mut self, channel: u8, ne: u32, answer: &mut Vec<u8>, sw: Sw) -> Sw {
        let ne = usize::try_from(ne).unwrap_or(usize::MAX);
        if answer.len() <= ne {
            return sw;
        }
        let bytes = answer.split_off(ne);
        if ne == 0 {
            // Nothing was asked for: a case 1 or case 3 command has no answer data.
            return sw;
        }
        let left = Sw::more_data(bytes.len());
        self.rest = Some(Rest { channel, bytes, sw });
        left
    }

    /// GET RESPONSE: gives what is left; `None` with nothing left on this channel.
    /// '6A86' for P1-P2, '6700' with a data field, '6CXX' where more is asked than is
    /// left.
    pub(super) fn get_response(
        &mut self,
        command: &Command<'_>,
        answer: &mut Vec<u8>,
    ) -> Option<Sw> {
        let channel = command.class.channel();
        let rest = self.rest.take().filter(|rest| rest.channel == channel)?;
        if (command.p1, command.p2) != (0, 0) {
            return Some(Sw::WRONG_P1_P2);
        }
        if !command.data.is_empty() {
            return Some(Sw::WRONG_LENGTH);
        }
        let ne = usize::try_from(command.ne).unwrap_or(usize::MAX);
        let all = ne == 256 || ne == 65_536;
        if ne == 0 || (ne > rest.bytes.len() && !all) {
            let sw = Sw::wrong_le(rest.bytes.len().min(256));
            self.rest = Some(rest);
            return Some(sw);
        }
        answer.extend_from_slice(&rest.bytes);
        Some(self.portion(channel, command.ne, answer, rest.sw))
    }
}
