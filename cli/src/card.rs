//! Which card a verb works on, new or from an image, and the PSAM beside it.

use crate::kept::Kept;
use crate::origin::Origin;
use anyhow::Context as _;
use cardlab::aid::Aid;
use cardlab::icc::Icc as _;
use cardlab::memory::image;
use cardlab::os::Card;
use cardlab_desk::issue;
use cardlab_desk::profile::Profile;
use cardlab_desk::sam::{Level, Outfit, Sam};
use clap::{Args, ValueEnum};
use std::cell::OnceCell;
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

/// The profile that is used where none is named.
pub(crate) const PROFILE: &str = "henan-2.0";

/// Which card, on the command line.
#[derive(Args)]
pub(crate) struct Which {
    /// A shipped profile by name, or a profile file; with --image, the one that its card was
    /// issued from [default: the one that the image says; without one henan-2.0, for
    /// certificates henan-3.0]
    #[arg(long, value_name = "NAME|PATH")]
    profile: Option<String>,
    /// A card image made by `cardlab issue`; what the card writes is kept in it
    #[arg(long, value_name = "FILE")]
    image: Option<PathBuf>,
    /// What random numbers and test keys start from; with --image, the one that its card
    /// was issued with [default: the one that the image says, or 1]
    #[arg(long, value_name = "N")]
    seed: Option<u64>,
    /// The profile where none is named.
    #[arg(skip = PROFILE.to_owned())]
    default: String,
    /// The profile, once it was read.
    #[arg(skip)]
    read: OnceCell<Profile>,
    /// What the image says, once it was read.
    #[arg(skip)]
    said: OnceCell<Option<Origin>>,
    /// The profile that is sure, once it was asked for.
    #[arg(skip)]
    known: OnceCell<Option<Profile>>,
}

/// Whether the PSAM is there too, on the command line.
#[derive(Args)]
pub(crate) struct WhichPsam {
    /// Put the terminal's PSAM beside the card: one for the cards of the profile and seed
    #[arg(long)]
    psam: bool,
    /// Who gave the PSAM out, and so which keys it has
    #[arg(
        long,
        value_name = "LEVEL",
        default_value = "national",
        requires = "psam"
    )]
    psam_level: PsamLevel,
}

/// Who gave a PSAM out.
#[derive(Clone, Copy, ValueEnum)]
enum PsamLevel {
    /// National roots: usages 67, 68
    National,
    /// The province's keys: usages 47, 48
    Province,
    /// The city's keys: usages 27, 28
    City,
}

impl WhichPsam {
    /// The PSAM for these cards, without power; `None` where none is wanted.
    pub(crate) fn psam(&self, which: &Which) -> anyhow::Result<Option<Sam>> {
        if !self.psam {
            return Ok(None);
        }
        let (profile, seed) = which.profile()?;
        let level = match self.psam_level {
            PsamLevel::National => Level::National,
            PsamLevel::Province => Level::Province,
            PsamLevel::City => Level::City,
        };
        let sam = Sam::issue(&profile, seed, &Outfit::of(&profile, level));
        sam.with_context(|| format!("profile {}: a PSAM has no room for its keys", profile.id))
            .map(Some)
    }
}

impl Which {
    /// The card, without power.
    pub(crate) fn card(&self) -> anyhow::Result<Kept> {
        match &self.image {
            Some(path) => {
                let mut card = Kept::open(path)?;
                if let Some(profile) = self.known_profile()?
                    && let Ok(atr) = card.power_on()
                {
                    must_be_of(&profile, &atr)?;
                    card.power_off();
                }
                Ok(card)
            }
            None => {
                let (profile, seed) = self.profile()?;
                Ok(Kept::nowhere(issued(&profile, seed)?))
            }
        }
    }

    /// The same, with another profile where none is named.
    pub(crate) fn defaulting_to(mut self, profile: &str) -> Which {
        profile.clone_into(&mut self.default);
        self
    }

    /// Whether it lies in an image.
    pub(crate) fn is_kept(&self) -> bool {
        self.image.is_some()
    }

    /// What its image says, where it says something.
    fn said(&self) -> Option<&Origin> {
        let said = || {
            // What is wrong with it is told where it is opened.
            let image = image::load(self.image.as_deref()?).ok()?;
            Origin::read(&image.label)
        };
        self.said.get_or_init(said).as_ref()
    }

    /// The image that it lies in.
    pub(crate) fn image(&self) -> Option<&Path> {
        self.image.as_deref()
    }

    /// What its profile is called by: as it was named, or as the image says.
    pub(crate) fn profile_name(&self) -> &str {
        let said = || self.said().map(|origin| origin.profile.as_str());
        let named = self.profile.as_deref().or_else(said);
        named.unwrap_or(&self.default)
    }

    /// What its test keys start from.
    pub(crate) fn seed(&self) -> u64 {
        let said = || self.said().map(|origin| origin.seed);
        self.seed.or_else(said).unwrap_or(1)
    }

    /// The seed that it is sure to be issued with: of an image the one that it says.
    pub(crate) fn known_seed(&self) -> Option<u64> {
        match self.is_kept() {
            true => self.said().map(|origin| origin.seed),
            false => Some(self.seed()),
        }
    }

    /// The profile that it is issued from, and the seed.
    pub(crate) fn profile(&self) -> anyhow::Result<(Profile, u64)> {
        if let Some(read) = self.read.get() {
            return Ok((read.clone(), self.seed()));
        }
        let profile = match (&self.profile, self.said()) {
            (Some(named), _) => load(named)?,
            (None, Some(said)) => load(&said.profile).with_context(|| {
                format!(
                    "the image says that its card was issued from {}; --profile names another \
                     映像所记配置文件不可用",
                    said.profile
                )
            })?,
            (None, None) => load(&self.default)?,
        };
        let profile = self.read.get_or_init(|| profile).clone();
        Ok((profile, self.seed()))
    }

    /// The profile that it is sure to be issued from: not the default one, where it lies
    /// in an image. That one which an image says is not there any more is told once.
    pub(crate) fn known_profile(&self) -> anyhow::Result<Option<Profile>> {
        if let Some(known) = self.known.get() {
            return Ok(known.clone());
        }
        let by_image = self.is_kept() && self.profile.is_none();
        let known = match self.profile() {
            _ if by_image && self.said().is_none() => None,
            Ok((profile, _)) => Some(profile),
            Err(error) if by_image => {
                let _ = writeln!(io::stderr(), "cardlab: {error}");
                None
            }
            Err(error) => return Err(error),
        };
        Ok(self.known.get_or_init(|| known).clone())
    }
}

/// Refuses a profile that a card with this ATR was not issued from.
pub(crate) fn must_be_of(profile: &Profile, atr: &[u8]) -> anyhow::Result<()> {
    anyhow::ensure!(
        atr == profile.atr,
        "the image was not issued from {}: its card answers with the ATR {}, the profile says {}; \
         name the right one with --profile",
        profile.id,
        hex::encode_upper(atr),
        hex::encode_upper(&profile.atr)
    );
    Ok(())
}

/// A profile by name or path; all that is wrong with it is in the error.
pub(crate) fn load(name_or_path: &str) -> anyhow::Result<Profile> {
    use std::io::IsTerminal as _;
    Profile::load(name_or_path).map_err(|report| {
        let colour = std::io::stderr().is_terminal();
        let problems = report.render(colour);
        anyhow::anyhow!(
            "{name_or_path}: no clean profile\n\n{}",
            problems.trim_end()
        )
    })
}

/// A new card, issued over the wire.
pub(crate) fn issued(profile: &Profile, seed: u64) -> anyhow::Result<Card> {
    let mut card = Card::manufacture(&cardlab_applets::ROM, seed);
    issue::issue(&mut card, profile, seed).with_context(|| cannot_issue(profile))?;
    Ok(card)
}

/// What is said before the reason.
pub(crate) fn cannot_issue(profile: &Profile) -> String {
    format!("cannot issue a card of profile {}", profile.id)
}

/// The name of an application, on the command line.
pub(crate) fn name(text: &str) -> Result<Aid, String> {
    let bytes = hex::decode(text).ok().and_then(|bytes| Aid::new(&bytes));
    bytes.ok_or_else(|| "expected 5 to 16 bytes in hex".to_owned())
}

#[cfg(test)]
mod tests {
    use super::name;

    #[test]
    fn a_name_is_hex() {
        assert!(name("A000000333010101").is_ok());
        for text in ["", "A0", "A00000033301010", "PBOC"] {
            assert!(name(text).is_err(), "{text:?}");
        }
    }
}
