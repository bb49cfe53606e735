//! `cardlab issue`: a card into an image file.

use crate::card;
use crate::origin::Origin;
use anyhow::{Context as _, bail};
use cardlab::aid::Aid;
use cardlab::crypto::Key;
use cardlab::memory::image;
use cardlab::os::Card;
use cardlab_desk::bank::personalise::Access;
use cardlab_desk::issue;
use cardlab_desk::profile::Profile;
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
    /// Leave the bank side to the tool of a card bureau: the card is not SECURED
    #[arg(long)]
    bureau: bool,
    /// What the tool calls the card manager
    #[arg(long, value_name = "AID", requires = "bureau", value_parser = card::name,
        default_value = "A000000003000000")]
    manager: Aid,
    /// The tool's master key (KMC), 16 bytes in hex; the keys of a new card without it
    #[arg(long, value_name = "HEX", requires = "bureau", value_parser = bytes::<16>)]
    kmc: Option<[u8; 16]>,
    /// What the card's keys are diversified by, 10 bytes in hex, as the card tells the tool
    #[arg(long, value_name = "HEX", requires = "bureau", value_parser = bytes::<10>,
        default_value = "00000000000000000001")]
    diversification: [u8; 10],
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
        let mut card = if self.bureau {
            self.for_bureau(&profile)?
        } else {
            card::issued(&profile, self.seed)?
        };
        let origin = Origin::of(&self.profile, self.seed);
        image::save(&self.image, &card.pages(), &origin.label())?;
        writeln!(
            io::stdout(),
            "{}: a card of {} ({}), seed {}",
            self.image.display(),
            profile.id,
            profile.names.zh,
            self.seed
        )?;
        if self.bureau {
            writeln!(
                io::stdout(),
                "待制卡中心个人化，尚未锁定(SECURED) left to a card bureau, not SECURED: \
                 `cardlab serve --image {}`",
                self.image.display()
            )?;
        }
        Ok(ExitCode::SUCCESS)
    }

    /// The card with its social side, as the tool of a bureau finds it.
    fn for_bureau(&self, profile: &Profile) -> anyhow::Result<Card> {
        let mut card = Card::manufacture(&cardlab_applets::ROM, self.seed);
        issue::issue_social(&mut card, profile, self.seed)
            .with_context(|| card::cannot_issue(profile))?;
        let access = Access {
            manager: self.manager,
            diversification: self.diversification,
            master: self.kmc.map(Key::triple_des),
        };
        access
            .give(&mut card)
            .with_context(|| card::cannot_issue(profile))?;
        Ok(card)
    }
}

/// So many bytes, on the command line.
fn bytes<const N: usize>(text: &str) -> Result<[u8; N], String> {
    let bytes = hex::decode(text)
        .ok()
        .and_then(|bytes| bytes.try_into().ok());
    bytes.ok_or_else(|| format!("expected {N} bytes in hex"))
}
