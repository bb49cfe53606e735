//! Personalisation: directories, files, keys and the PIN come onto the card.
//!
//! A directory in creation takes everything; ACTIVATE FILE ends that, and from then
//! on it takes only what its rule for creation allows, or, where it has none, what
//! its master key opens. The commands are this card's own, as each card operating
//! system has its own.
//!
//! | command                  | data                                            |
//! |--------------------------|-------------------------------------------------|
//! | 00 E0 00 00 CREATE FILE  | the FCP, see the file system                    |
//! | 80 D4 use KID WRITE KEY  | version 1, algorithm 1, tries 1, key 8 or 16    |
//! | 80 D4 10 00 WRITE PIN    | tries 1, PIN 0 to 8                             |
//! | 80 D4 11 00 WRITE ACCOUNT | the hidden money file, 20; see `account.rs`    |
//! | 00 44 00 00 ACTIVATE FILE | -                                              |
//!
//! Source: social security card specification, part 10; part 4, 5.2 to 5.4 (who
//! loads what).

use super::SocialSecurity;
use super::account::{Account, MONEY_LEN, Money};
use super::command::NewKey;
use super::data::KeyEntry;
use cardlab::apdu::Sw;
use cardlab::applet::{Ctx, Outcome, Reply};
use cardlab::files::{Area, Directory, Life, NewDirectory, NewFile};

impl SocialSecurity {
    /// CREATE FILE of a directory, which becomes the current one.
    ///
    /// # Errors
    /// '6982', then those of the file system: '6A80', '6A89', '6A8A', '6A84'.
    pub(super) fn create_directory(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        new: &NewDirectory<'_>,
    ) -> Outcome {
        self.demand_creation(ctx, area)?;
        let created = self.files.create_directory(ctx, area, new)?;
        self.enter(ctx, area, &created);
        Ok(Reply::OK)
    }

    /// CREATE FILE of an EF, which becomes the current one.
    ///
    /// # Errors
    /// '6982', then those of the file system: '6A80', '6A89', '6A84'.
    pub(super) fn create_file(&self, ctx: &mut Ctx<'_>, area: &Area, new: &NewFile) -> Outcome {
        self.demand_creation(ctx, area)?;
        let created = self.files.create_file(ctx, area, new)?;
        self.enter(ctx, area, &created);
        Ok(Reply::OK)
    }

    /// ACTIVATE FILE: the rules of the current directory hold from now on.
    ///
    /// # Errors
    /// '6985' where they already do.
    pub(super) fn activate(&self, ctx: &mut Ctx<'_>, area: &Area) -> Outcome {
        self.files.directory(ctx, area).activate(ctx)?;
        Ok(Reply::OK)
    }

    /// WRITE KEY, into the current directory.
    ///
    /// # Errors
    /// '6982', '6A80' where the algorithm takes no such key or the key number is
    /// another KID's, '6A84'.
    pub(super) fn write_key(&self, ctx: &mut Ctx<'_>, area: &Area, new: &NewKey<'_>) -> Outcome {
        let directory = self.demand_creation(ctx, area)?;
        KeyEntry::write(ctx, &directory, new)?;
        Ok(Reply::OK)
    }

    /// WRITE PIN, in SSSE.
    ///
    /// # Errors
    /// '6985' in another directory, '6982'.
    pub(super) fn write_pin(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        tries: u8,
        pin: &[u8],
    ) -> Outcome {
        if area.level() != super::LEVEL_SSSE || !self.is_in_ssse(ctx, area) {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        self.demand_creation(ctx, area)?;
        self.load_pin(ctx, tries, pin)
    }

    /// WRITE ACCOUNT: makes the medical account of the current application, or writes
    /// it anew; it has no proof of any transaction then.
    ///
    /// # Errors
    /// '6985' where the current directory is not an application, '6982', '6A80' where
    /// year or starting day are not decimal, '6A84'.
    pub(super) fn write_account(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        money: &[u8; MONEY_LEN],
    ) -> Outcome {
        if area.level() <= super::LEVEL_SSSE {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        let directory = self.demand_creation(ctx, area)?;
        let money = Money::from_bytes(money).ok_or(Sw::WRONG_DATA)?;
        Account::create(ctx, &directory, money)?;
        Ok(Reply::OK)
    }

    fn demand_creation(&self, ctx: &Ctx<'_>, area: &Area) -> Result<Directory, Sw> {
        let directory = self.files.directory(ctx, area);
        if directory.life() != Life::Creation {
            self.demand(ctx, area, &SocialSecurity::create_rule(ctx, &directory))?;
        }
        Ok(directory)
    }
}
