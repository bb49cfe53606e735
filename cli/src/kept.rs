//! A card whose image on disk is never behind what it has answered.

use anyhow::{Context as _, bail};
use cardlab::icc::{Icc, Lost};
use cardlab::memory::image;
use cardlab::os::Card;
use std::fs::{File, TryLockError};
use std::path::{Path, PathBuf};

/// A card, and the file that its memory is kept in, if any.
pub(crate) struct Kept {
    card: Card,
    path: Option<PathBuf>,
    /// What its image says of it.
    label: String,
    /// The number of physical writes that the file has seen.
    saved: u64,
    /// Held while the card is: two processes would each keep a card of their own.
    _lock: Option<File>,
}

impl Kept {
    /// A card that is gone with the process.
    pub(crate) fn nowhere(card: Card) -> Kept {
        Kept {
            card,
            path: None,
            label: String::new(),
            saved: 0,
            _lock: None,
        }
    }

    /// The card in this image; every command that writes is in the file before it
    /// is answered.
    pub(crate) fn open(path: &Path) -> anyhow::Result<Kept> {
        // Whether it is an image comes first: a wrong path leaves no lock behind.
        image::load(path)?;
        let lock = lock(path)?;
        image::sweep(path);
        let image::Image { medium, label } = image::load(path)?;
        let card = Card::open(&cardlab_applets::ROM, medium)
            .with_context(|| format!("{}: not a card of this program", path.display()))?;
        let saved = card.writes();
        Ok(Kept {
            card,
            path: Some(path.to_owned()),
            label,
            saved,
            _lock: Some(lock),
        })
    }

    /// The card itself.
    pub(crate) fn card(&mut self) -> &mut Card {
        &mut self.card
    }

    fn save(&mut self) -> Result<(), Lost> {
        let writes = self.card.writes();
        if let Some(path) = self.path.as_deref().filter(|_| writes != self.saved) {
            let saved = image::save(path, &self.card.pages(), &self.label);
            saved.map_err(|error| Lost::Link(error.to_string()))?;
            self.saved = writes;
        }
        Ok(())
    }
}

/// Locks an image by a file beside it, since the image itself is replaced at each save.
fn lock(path: &Path) -> anyhow::Result<File> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(".lock");
    let file =
        File::create(&beside).with_context(|| format!("{}: cannot be locked", path.display()))?;
    match file.try_lock() {
        Ok(()) => Ok(file),
        Err(TryLockError::WouldBlock) => {
            bail!("{}: the card is in use by another process", path.display())
        }
        Err(TryLockError::Error(error)) => {
            Err(error).with_context(|| format!("{}: cannot be locked", path.display()))
        }
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

#[cfg(test)]
mod tests {
    use super::Kept;
    use cardlab::memory::image;
    use cardlab::os::Card;

    #[test]
    fn an_image_is_one_process_s_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("card.img");
        let mut card = Card::manufacture(&cardlab_applets::ROM, 1);
        image::save(&path, &card.pages(), "").unwrap();
        let first = Kept::open(&path).unwrap();
        let refused = Kept::open(&path).err().unwrap().to_string();
        assert!(refused.contains("in use"), "{refused}");
        drop(first);
        assert!(Kept::open(&path).is_ok());
    }
}
