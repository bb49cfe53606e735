//! An `Icc` around an `Icc` that is pulled out of its reader at a command.
//!
//! Once: the next [`power_on`](Icc::power_on) is the card put in again.

use crate::icc::{Icc, Lost};

/// When a card is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum When {
    /// Before the command reaches it.
    Before,
    /// After it took the command, before its answer is there.
    After,
}

/// The `Icc` that is pulled.
#[derive(Debug)]
pub struct Pulled<I> {
    icc: I,
    at: Option<(u8, When)>,
}

impl<I: Icc> Pulled<I> {
    /// A card that stays where it is until it is told to go.
    pub const fn new(icc: I) -> Pulled<I> {
        Pulled { icc, at: None }
    }

    /// Pulls it at the next command with this INS.
    pub const fn pull_at(&mut self, ins: u8, when: When) {
        self.at = Some((ins, when));
    }
}

impl<I: Icc> Icc for Pulled<I> {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.icc.power_on()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.icc.reset()
    }

    fn power_off(&mut self) {
        self.icc.power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        let Some((_, when)) = self.at.take_if(|(ins, _)| command.get(1) == Some(ins)) else {
            return self.icc.transmit(command, response);
        };
        if when == When::After {
            self.icc.transmit(command, response)?;
        }
        response.clear();
        self.icc.power_off();
        Err(Lost::Link("the card was pulled".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::{Pulled, When};
    use crate::icc::{Icc, Lost};
    use crate::link::testing::Script;

    #[test]
    fn it_is_gone_at_the_command_and_works_when_it_is_put_in_again() {
        for (when, seen) in [(When::Before, 2), (When::After, 3)] {
            let mut card = Script::awake(&[("B02C0100", "1122 9000")]);
            let mut pulled = Pulled::new(&mut card);
            pulled.pull_at(0x2C, when);
            let mut response = Vec::new();
            pulled.transmit(&[0xB0, 0x28, 0, 0], &mut response).unwrap();
            assert_eq!(response, [0x6D, 0x00]);
            let debit = [0xB0, 0x2C, 0x01, 0x00];
            let lost = pulled.transmit(&debit, &mut response);
            assert!(matches!(lost, Err(Lost::Link(_))) && response.is_empty());
            let lost = pulled.transmit(&debit, &mut response);
            assert_eq!(lost, Err(Lost::NoPower), "it is not there any more");
            pulled.power_on().unwrap();
            pulled.transmit(&debit, &mut response).unwrap();
            assert_eq!(response, [0x11, 0x22, 0x90, 0x00]);
            assert_eq!(card.seen.len(), seen, "{when:?}");
        }
    }
}
