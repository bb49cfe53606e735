//! `cardlab apdu`: commands to the card, both directions in words.

use crate::card::Which;
use crate::explain;
use anyhow::Context as _;
use cardlab::icc::Icc;
use clap::Args;
use std::io::{self, Write};
use std::process::ExitCode;

/// Send commands to the card and explain both directions.
#[derive(Args)]
pub(crate) struct Apdu {
    #[command(flatten)]
    which: Which,
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
        let mut card = self.which.card()?;
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
                }
            }
        }
        // As a shell expects: whether the last command was taken.
        Ok(if refused {
            ExitCode::FAILURE
        } else {
            ExitCode::SUCCESS
        })
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
    let bytes = hex::decode(&digits)
        .with_context(|| format!("{text:?} is no command: expected hex digits in pairs"))?;
    Ok(Step::Command(bytes))
}
