//! `cardlab apdu`: commands to the card or the PSAM, both directions in words.

use crate::card::{Which, WhichPsam};
use crate::watch::{Known, Watch};
use crate::{elements, explain};
use anyhow::Context as _;
use cardlab::icc::Icc;
use cardlab::link::tap::Tap;
use clap::Args;
use std::io::{self, Write};
use std::process::ExitCode;

/// Send commands to the card, or with --psam to the PSAM, and explain both directions.
#[derive(Args)]
pub(crate) struct Apdu {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    instead: WhichPsam,
    /// Print hex only
    #[arg(long)]
    plain: bool,
    /// Command APDUs in hex, spaces, ':' and '.' allowed; `reset` resets the card
    #[arg(required = true, value_name = "HEX")]
    commands: Vec<String>,
}

enum Step {
    Reset,
    Command(Vec<u8>),
}

impl Apdu {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let steps: Vec<Step> = self
            .commands
            .iter()
            .map(|text| read(text))
            .collect::<Result<_, _>>()?;
        let known = Known::of(&self.which)?;
        let mut watch = Watch::new(&known, false);
        let mut card: Box<dyn Icc + '_> = match self.instead.psam(&self.which)? {
            Some(psam) => Box::new(psam),
            None => Box::new(Tap::new(self.which.card()?, |event| watch.hear(&event))),
        };
        let atr = card.power_on()?;
        let mut out = io::stdout().lock();
        if !self.plain {
            writeln!(out, "ATR {}", hex::encode_upper(&atr))?;
        }
        let mut response = Vec::new();
        let mut refused = false;
        for step in steps {
            match step {
                Step::Reset => {
                    card.reset()?;
                    if !self.plain {
                        writeln!(out, "-- reset")?;
                    }
                }
                Step::Command(command) => {
                    card.transmit(&command, &mut response)?;
                    refused = explain::refuses(&response);
                    if self.plain {
                        writeln!(out, "{}", hex::encode_upper(&response))?;
                        continue;
                    }
                    writeln!(out, "> {}", hex::encode_upper(&command))?;
                    writeln!(out, "  {}", explain::command(&command))?;
                    writeln!(out, "< {}", hex::encode_upper(&response))?;
                    writeln!(out, "  {}", explain::response(&response))?;
                    for line in elements::of(&command, &response) {
                        writeln!(out, "    {line}")?;
                    }
                }
            }
        }
        drop(card);
        // As a shell expects: whether the last command was taken, by a card in order.
        Ok(watch.judge(ExitCode::from(u8::from(refused))))
    }
}

fn read(text: &str) -> anyhow::Result<Step> {
    if text == "reset" {
        return Ok(Step::Reset);
    }
    let digits: String = text
        .chars()
        .filter(|c| !matches!(c, ' ' | ':' | '.'))
        .collect();
    if digits.is_empty() {
        anyhow::bail!("{text:?} is no command: expected hex digits in pairs, or reset");
    }
    let bytes = hex::decode(&digits)
        .with_context(|| format!("{text:?} is no command: expected hex digits in pairs"))?;
    Ok(Step::Command(bytes))
}

#[cfg(test)]
mod tests {
    use super::{Step, read};

    #[test]
    fn a_command_is_hex_with_or_without_separators() {
        for text in ["0084000008", "00 84 00 00 08", "00:84.00:00 08"] {
            let Ok(Step::Command(bytes)) = read(text) else {
                panic!("{text}");
            };
            assert_eq!(bytes, [0x00, 0x84, 0x00, 0x00, 0x08]);
        }
        assert!(matches!(read("reset"), Ok(Step::Reset)));
    }

    #[test]
    fn what_is_no_hex_is_no_command() {
        for text in ["", " ", ":", "zz", "123", "00840000０８", "RESET"] {
            assert!(read(text).is_err(), "{text:?}");
        }
    }
}
