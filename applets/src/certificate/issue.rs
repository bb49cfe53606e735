//! Personalisation: directory, files and PINs come onto the card.
//!
//! A directory in creation takes everything; ACTIVATE FILE ends that for good. The
//! commands are this card's own, as each card operating system has its own.
//!
//! | command                       | data                                       |
//! |-------------------------------|--------------------------------------------|
//! | 00 E0 00 00 CREATE FILE       | the FCP, see the file system               |
//! | 80 D4 10 81, 10 00 WRITE PIN  | tries 1, PIN 2 to 8: the user's, the administrator's |
//! | 00 44 00 00 ACTIVATE FILE     | -                                          |
//!
//! Source: social security card specification, part 10.

use super::Certificates;
use super::command::Who;
use cardlab::apdu::Sw;
use cardlab::applet::{Ctx, Outcome, Reply};
use cardlab::files::{Area, Life, NewDirectory, NewFile};

impl Certificates {
    /// CREATE FILE of a directory, which becomes the current one.
    ///
    /// # Errors
    /// '6982' in a directory that is active, then those of the file system: '6A80',
    /// '6A89', '6A8A', '6A84'.
    pub(super) fn create_directory(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        new: &NewDirectory<'_>,
    ) -> Outcome {
        self.demand_creation(ctx, area)?;
        let created = self.files.create_directory(ctx, area, new)?;
        self.files.set_area(ctx, &created);
        Ok(Reply::OK)
    }

    /// CREATE FILE of an EF, which becomes the current one.
    ///
    /// # Errors
    /// '6982' in a directory that is active, then those of the file system: '6A80',
    /// '6A89', '6A84'.
    pub(super) fn create_file(&self, ctx: &mut Ctx<'_>, area: &Area, new: &NewFile) -> Outcome {
        self.demand_creation(ctx, area)?;
        let created = self.files.create_file(ctx, area, new)?;
        self.files.set_area(ctx, &created);
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

    /// WRITE PIN, while the environment is in creation.
    ///
    /// # Errors
    /// '6982' once it is active.
    pub(super) fn write_pin(&self, ctx: &mut Ctx<'_>, who: Who, tries: u8, pin: &[u8]) -> Outcome {
        let area = self.files.area(ctx);
        if self.files.directory_at(ctx, &area, 0).life() != Life::Creation {
            return Err(Sw::SECURITY_NOT_SATISFIED);
        }
        self.secret(who).load(ctx, tries, pin);
        Ok(Reply::OK)
    }

    fn demand_creation(&self, ctx: &Ctx<'_>, area: &Area) -> Result<(), Sw> {
        match self.files.directory(ctx, area).life() {
            Life::Creation => Ok(()),
            Life::Activated | Life::Blocked => Err(Sw::SECURITY_NOT_SATISFIED),
        }
    }
}
