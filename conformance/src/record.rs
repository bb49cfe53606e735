//! The record of a conversation: what went over the wire, and the power.

use crate::case::PowerStep;
use cardlab::icc::{Icc, Lost};

/// One command and its answer, as they were on the wire.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Exchange {
    /// The command APDU.
    pub command: Vec<u8>,
    /// The response APDU; empty where none came.
    pub response: Vec<u8>,
}

/// All that was done to a card since its first power-on.
#[derive(Clone, Debug, Default)]
pub(crate) struct Record {
    /// What went over the wire.
    pub(crate) trace: Vec<Exchange>,
    /// What happened to the power, and before which exchange, from 0.
    pub(crate) powers: Vec<(usize, PowerStep)>,
}

/// A card with a record of it.
#[derive(Debug)]
pub(crate) struct Recorded<I> {
    /// The card itself, for what is not to be recorded.
    pub(crate) icc: I,
    /// What was done to it.
    pub(crate) record: Record,
}

impl<I: Icc> Icc for Recorded<I> {
    /// Takes the power away first, so that a card in a reader is reset cold, too.
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        let at = self.record.trace.len();
        self.record.powers.push((at, PowerStep::Cycle));
        self.icc.power_off();
        self.icc.power_on()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        let at = self.record.trace.len();
        self.record.powers.push((at, PowerStep::Reset));
        self.icc.reset()
    }

    fn power_off(&mut self) {
        self.icc.power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        let sent = self.icc.transmit(command, response);
        self.record.trace.push(Exchange {
            command: command.to_vec(),
            response: response.clone(),
        });
        sent
    }
}
