//! The cards of a run: the subject's, and those issued for single cases.
//!
//! Many cases ask for the same bank application; its card is issued once.

use crate::bank::variant::Variant;
use crate::case::Case;
use crate::session::Trouble;
use crate::subject::Subject;
use cardlab_desk::profile::Profile;
use std::cell::RefCell;
use std::collections::HashMap;
use std::rc::Rc;
use std::sync::Arc;

/// A subject, the profile of its cards, and what was issued besides for cases.
pub struct Cards<'s> {
    subject: &'s dyn Subject,
    profile: &'s Profile,
    issued: RefCell<HashMap<Variant, Result<Own, Trouble>>>,
}

/// The card of cases with an application of their own; `None` where the subject's is such.
type Own = Option<Rc<Issued>>;

/// A card that was issued for such cases.
struct Issued {
    subject: Arc<dyn Subject>,
    profile: Profile,
}

/// The card of one case.
pub struct Chosen<'s> {
    base: (&'s dyn Subject, &'s Profile),
    own: Own,
}

impl<'s> Cards<'s> {
    /// Those of this subject; nothing is issued yet.
    #[must_use]
    pub fn of(subject: &'s dyn Subject, profile: &'s Profile) -> Cards<'s> {
        Cards {
            subject,
            profile,
            issued: RefCell::default(),
        }
    }

    /// The profile of the subject's own card.
    #[must_use]
    pub const fn profile(&self) -> &'s Profile {
        self.profile
    }

    /// The card that a case runs on.
    ///
    /// # Errors
    /// [`Trouble::Unavailable`] where the subject issues no cards or none such,
    /// [`Trouble::Case`] where none can be issued as the case has it.
    pub fn choose(&self, case: &Case) -> Result<Chosen<'s>, Trouble> {
        let own = match &case.application {
            None => None,
            Some(variant) => self.issued(variant)?,
        };
        Ok(Chosen {
            base: (self.subject, self.profile),
            own,
        })
    }

    fn issued(&self, variant: &Variant) -> Result<Own, Trouble> {
        if let Some(known) = self.issued.borrow().get(variant) {
            return known.clone();
        }
        let issued = self.issue(variant).map(|issued| issued.map(Rc::new));
        let mut all = self.issued.borrow_mut();
        all.insert(variant.clone(), issued.clone());
        issued
    }

    fn issue(&self, variant: &Variant) -> Result<Option<Issued>, Trouble> {
        let profile = variant.of(self.profile)?;
        if profile.bank == self.profile.bank {
            return Ok(None);
        }
        let subject = self.subject.issued(&profile).map_err(Trouble::Case)?;
        let unavailable = Trouble::Unavailable("a card that is issued for this case");
        Ok(Some(Issued {
            subject: subject.ok_or(unavailable)?,
            profile,
        }))
    }
}

impl Chosen<'_> {
    /// The subject whose card it is.
    #[must_use]
    pub fn subject(&self) -> &dyn Subject {
        match &self.own {
            Some(own) => &*own.subject,
            None => self.base.0,
        }
    }

    /// The profile that it is issued from.
    #[must_use]
    pub fn profile(&self) -> &Profile {
        match &self.own {
            Some(own) => &own.profile,
            None => self.base.1,
        }
    }
}
