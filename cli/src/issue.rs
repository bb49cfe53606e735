//! `cardlab issue`: a card into an image file.

use crate::card;
use anyhow::bail;
use cardlab::memory::image;
use clap::Args;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// Issue a card from a profile into an image file.
#[derive(Args)]
pub(crate) struct Issue {
    /// A shipped profile by name, or a profile file
    #[arg(long, value_name = "NAME|PATH", default_value = card::PROFILE)]
    profile: String,
    /// The file that the card is kept in
    #[arg(long, value_name = "FILE")]
    image: PathBuf,
    /// What the card's random numbers and its test keys start from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Replace an image that is there; the card in it is lost
    #[arg(long)]
    force: bool,
}

impl Issue {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        if self.image.exists() && !self.force {
            bail!(
                "{} is there already; --force replaces it",
                self.image.display()
            );
        }
        let profile = card::load(&self.profile)?;
        let mut card = card::issued(&profile, self.seed)?;
        image::save(&self.image, &card.pages())?;
        writeln!(
            io::stdout(),
            "{}: a card of {} ({}), seed {}",
            self.image.display(),
            profile.id,
            profile.names.zh,
            self.seed
        )?;
        Ok(ExitCode::SUCCESS)
    }
}
