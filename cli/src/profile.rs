//! `cardlab profile`: check card profiles, list them, print their schema.

use crate::card;
use cardlab_conformance::verdict::Exit;
use cardlab_desk::profile;
use clap::Subcommand;
use std::io::{self, IsTerminal as _, Write};
use std::process::ExitCode;

/// What can be done with profiles.
#[derive(Subcommand)]
pub(crate) enum Profile {
    /// Check profiles; each error with its JSON path, what was found, what is allowed 检查
    #[command(after_help = "Exit codes: 0 all are clean, 2 one is not, or cannot be read.")]
    Check {
        /// Shipped profiles by name, or files
        #[arg(required = true, value_name = "NAME|PATH")]
        profiles: Vec<String>,
    },
    /// Print the JSON Schema of profiles 输出JSON Schema
    Schema,
    /// List the profiles that are shipped 列出自带配置
    List,
}

impl Profile {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let mut out = io::stdout().lock();
        match self {
            Profile::Check { profiles } => {
                let mut clean = true;
                for name in profiles {
                    match profile::Profile::load(&name) {
                        Ok(profile) => {
                            let files: usize =
                                profile.directories.iter().map(|d| d.files.len()).sum();
                            write!(
                                out,
                                "{name}: clean 检查无误: {} directories, {files} files",
                                profile.directories.len()
                            )?;
                            match profile.bank.map_or(0, |side| side.applications.len()) {
                                0 => writeln!(out)?,
                                1 => writeln!(out, ", 1 bank application")?,
                                count => writeln!(out, ", {count} bank applications")?,
                            }
                        }
                        Err(report) => {
                            clean = false;
                            write!(
                                io::stderr(),
                                "{}",
                                report.render(io::stderr().is_terminal())
                            )?;
                        }
                    }
                }
                Ok(if clean {
                    ExitCode::SUCCESS
                } else {
                    ExitCode::from(Exit::Usage as u8)
                })
            }
            Profile::Schema => {
                writeln!(
                    out,
                    "{}",
                    serde_json::to_string_pretty(&profile::Profile::schema())?
                )?;
                Ok(ExitCode::SUCCESS)
            }
            Profile::List => {
                let shipped = profile::Profile::shipped();
                let names = profile::Profile::names_pack();
                for name in shipped.into_iter().chain(names) {
                    let profile = card::load(name)?;
                    writeln!(out, "{name:15} {}  {}", profile.names.en, profile.names.zh)?;
                }
                Ok(ExitCode::SUCCESS)
            }
        }
    }
}
