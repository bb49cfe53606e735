//! `cardlab monitors`: what holds in every exchange, by ids.

use cardlab_conformance::monitor::ALL;
use clap::Args;
use std::io::{self, Write};
use std::process::ExitCode;

/// List the monitors.
#[derive(Args)]
pub(crate) struct Monitors {}

impl Monitors {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mut out = io::stdout().lock();
        for monitor in ALL {
            writeln!(out, "{}  {}", monitor.id, monitor.en)?;
            writeln!(out, "     {}", monitor.zh)?;
            writeln!(out, "     source 依据: {}", monitor.source)?;
            writeln!(out, "     needs 前提: {}", monitor.needs.word())?;
        }
        Ok(ExitCode::SUCCESS)
    }
}
