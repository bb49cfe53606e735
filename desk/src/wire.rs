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

#[cfg(test)]
mod tests {
    use super::{Answer, exchange};
    use cardlab::apdu::{Class, Command, Sw};
    use cardlab::icc::{Icc, Lost};

    /// A card that answers with what it was given, and keeps what it was asked.
    struct Script {
        answers: Vec<&'static str>,
        asked: Vec<String>,
    }

    impl Icc for Script {
        fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
            Ok(Vec::new())
        }

        fn reset(&mut self) -> Result<Vec<u8>, Lost> {
            Ok(Vec::new())
        }

        fn power_off(&mut self) {}

        fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
            self.asked.push(hex::encode_upper(command));
            let index = self.asked.len().min(self.answers.len()) - 1;
            *response = hex::decode(self.answers[index]).unwrap_or_default();
            Ok(())
        }
    }

    fn run(answers: &[&'static str]) -> (Result<Answer, Lost>, Vec<String>) {
        let mut card = Script {
            answers: answers.to_vec(),
            asked: Vec::new(),
        };
        let select = Command::new(Class::BASIC, 0xA4, 0x04, 0x00).with_data(b"sx1.s");
        let answer = exchange(&mut card, &select.expecting(256));
        (answer, card.asked)
    }

    #[test]
    fn what_waits_is_fetched_in_the_length_that_the_card_names() {
        let (answer, asked) = run(&["6102", "6F006103", "8401019000"]);
        let answer = answer.unwrap();
        assert_eq!(answer.sw, Sw::OK);
        assert_eq!(answer.data, [0x6F, 0x00, 0x84, 0x01, 0x01]);
        assert_eq!(
            asked,
            ["00A40400057378312E7300", "00C0000002", "00C0000003"]
        );
    }

    #[test]
    fn a_wrong_length_is_asked_for_again() {
        let (answer, asked) = run(&["6C12", "AABB9000"]);
        assert_eq!(answer.unwrap().data, [0xAA, 0xBB]);
        assert_eq!(asked[1], "00A40400057378312E7312");
    }

    #[test]
    fn a_card_that_never_ends_and_one_without_a_word_are_lost() {
        assert!(matches!(run(&["6C00"]).0, Err(Lost::Link(_))));
        assert!(matches!(run(&["90"]).0, Err(Lost::Link(_))));
    }
}
