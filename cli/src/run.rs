//! `cardlab run -- PROGRAM`: a PC/SC program with the card in its reader.

use crate::card::Which;
use anyhow::Context as _;
use cardlab::link::{pcsc, tap::Tap};
use clap::Args;
use std::ffi::OsString;
use std::io::{self, Write};
use std::process::ExitCode;

/// Run a PC/SC program with the card in its only reader.
#[derive(Args)]
pub(crate) struct Run {
    #[command(flatten)]
    which: Which,
    /// Print the exchange to the standard error
    #[arg(short, long)]
    verbose: bool,
    /// The program and its arguments, behind `--`
    #[arg(required = true, last = true, value_name = "PROGRAM ARGS")]
    command: Vec<OsString>,
}

impl Run {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let (program, arguments) = self.command.split_first().context("a program is needed")?;
        let verbose = self.verbose;
        let mut card = Tap::new(self.which.card()?, move |event| {
            if verbose {
                let _ = writeln!(io::stderr(), "{event}");
            }
        });
        let status = pcsc::run(&mut card, program, arguments)
            .with_context(|| format!("cannot run {}", program.display()))?;
        let code = status.code().and_then(|code| u8::try_from(code).ok());
        // A program that a signal ended has no code; shells use 128 + the signal.
        Ok(code.map_or(ExitCode::from(128), ExitCode::from))
    }
}
