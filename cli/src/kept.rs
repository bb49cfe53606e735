//! A card whose image on disk is never behind what it has answered.

use anyhow::Context as _;
use cardlab::icc::{Icc, Lost};
use cardlab::memory::image;
use cardlab::os::Card;
use std::path::{Path, PathBuf};

/// A card, and the file that its memory is kept in, if any.
pub(crate) struct Kept {
    card: Card,
    path: Option<PathBuf>,
    /// The number of physical writes that the file has seen.
    saved: u64,
}

impl Kept {
    /// A card that is gone with the process.
    pub(crate) fn nowhere(card: Card) -> Kept {
        Kept {
            card,
            path: None,
            saved: 0,
        }
    }

    /// The card in this image; every command that writes is in the file before it
    /// is answered.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Kept> {
        let pages = image::load(path)?;
        let card = Card::open(&cardlab_applets::ROM, pages)
            .with_context(|| format!("{}: not a card of this program", path.display()))?;
        let saved = card.writes();
        Ok(Kept {
            card,
            path: Some(path.to_owned()),
            saved,
        })
    }

    /// The card itself.
    pub(crate) fn card(&mut self) -> &mut Card {
        &mut self.card
    }

    fn save(&mut self) -> Result<(), Lost> {
        let writes = self.card.writes();
        if let Some(path) = self.path.as_deref().filter(|_| writes != self.saved) {
            let saved = image::save(path, &self.card.pages());
            saved.map_err(|error| Lost::Link(error.to_string()))?;
            self.saved = writes;
        }
        Ok(())
    }
}

impl Icc for Kept {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        let atr = self.card.power_on()?;
        self.save()?;
        Ok(atr)
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        let atr = self.card.reset()?;
        self.save()?;
        Ok(atr)
    }

    fn power_off(&mut self) {
        self.card.power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        self.card.transmit(command, response)?;
        self.save().inspect_err(|_| response.clear())
    }
}
