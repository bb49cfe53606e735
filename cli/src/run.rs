//! `cardlab run -- PROGRAM`: a PC/SC program with the card and a PSAM in readers.

use crate::card::{Which, WhichPsam};
use crate::watch::{Known, Watch};
use anyhow::Context as _;
use cardlab::icc::Icc;
use cardlab::link::{pcsc, tap::Tap};
use clap::Args;
use std::ffi::OsString;
use std::io::{self, Write};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{ExitCode, ExitStatus};

/// Run a PC/SC program with the card in its reader, and the PSAM in a second one.
#[derive(Args)]
pub(crate) struct Run {
    #[command(flatten)]
    which: Which,
    #[command(flatten)]
    beside: WhichPsam,
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
        let known = Known::of(&self.which)?;
        let mut watch = Watch::new(&known, self.verbose);
        let mut card = Tap::new(self.which.card()?, |event| watch.hear(&event));
        let verbose = self.verbose;
        let mut psam = self.beside.psam(&self.which)?.map(|psam| {
            Tap::new(psam, move |event| {
                if verbose {
                    let _ = writeln!(io::stderr(), "PSAM {event}");
                }
            })
        });
        let mut cards: Vec<&mut (dyn Icc + Send)> = vec![&mut card];
        if let Some(psam) = &mut psam {
            cards.push(psam);
        }
        match pcsc::run_all(&mut cards, program, arguments) {
            Ok(status) => {
                drop(card);
                let red = u8::from(watch.is_red());
                Ok(ExitCode::from(
                    Some(code_of(status))
                        .filter(|&code| code > 0)
                        .unwrap_or(red),
                ))
            }
            Err(error) => {
                let program = program.display();
                let _ = writeln!(io::stderr(), "cardlab: cannot run {program}: {error}");
                Ok(ExitCode::from(code_without(&error)))
            }
        }
    }
}

/// The code that a program ended with; where a signal ended it, what shells give.
fn code_of(status: ExitStatus) -> u8 {
    let code = status.code().or(status.signal().map(|signal| 128 + signal));
    code.and_then(|code| u8::try_from(code).ok()).unwrap_or(128)
}

/// What shells give where a program could not be started.
fn code_without(error: &io::Error) -> u8 {
    match error.kind() {
        io::ErrorKind::NotFound => 127,
        _ => 126,
    }
}

#[cfg(test)]
mod tests {
    use super::{code_of, code_without};
    use std::io;
    use std::os::unix::process::ExitStatusExt as _;
    use std::process::ExitStatus;

    #[test]
    fn the_code_is_what_a_shell_gives() {
        assert_eq!(code_of(ExitStatus::from_raw(0)), 0);
        assert_eq!(code_of(ExitStatus::from_raw(3 << 8)), 3);
        assert_eq!(code_of(ExitStatus::from_raw(9)), 128 + 9);
        assert_eq!(code_without(&io::ErrorKind::NotFound.into()), 127);
        assert_eq!(code_without(&io::ErrorKind::PermissionDenied.into()), 126);
    }
}
