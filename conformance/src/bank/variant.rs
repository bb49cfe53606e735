//! The bank application of a case's card, where it differs from the profile's.
//!
//! Test centres personalise a card for each group of cases; so does this. The change is
//! made in the data groupings that the application would be sent with.

use cardlab::aid::Aid;
use cardlab::tlv::{DataObject, Objects, Tag, Writer};
use cardlab_desk::bank::application::{
    Application, Authentication, CardBlock, Grouping, Ordered, STARTS_INACTIVE, SWITCHES,
};
use cardlab_desk::bank::key::Keys;
use cardlab_desk::profile::Profile;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, BTreeSet};

/// What is other than in the profile.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Variant {
    /// Whether it pays as it is handed over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub active: Option<bool>,
    /// How the card proves itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub authentication: Option<Proof>,
    /// Whether it has the SM set beside the other.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub sm_algorithms: bool,
    /// Wrong PINs until it is blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tries: Option<u8>,
    /// Whether CARD BLOCK ends the whole card.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub card_block_ends_the_card: bool,
    /// Switches that are on, by their names in profiles.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub switches: BTreeSet<String>,
    /// Data elements of another value, tag and value in hex, wherever they stand; new
    /// ones are internal.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub elements: BTreeMap<Hex, Hex>,
    /// Data elements that it does not have.
    #[serde(default, skip_serializing_if = "BTreeSet::is_empty")]
    pub absent: BTreeSet<Hex>,
}

/// How a card proves itself without its bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Proof {
    /// By signed static data alone.
    Static,
    /// And by a signature over the terminal's number.
    Dynamic,
    /// And by one over its cryptogram.
    Combined,
}

/// Bytes, as hex digits of upper case.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Hex(Vec<u8>);

impl Hex {
    fn tag(&self) -> Option<Tag> {
        let number = self
            .0
            .iter()
            .fold(0, |sum, byte| sum << 8 | u32::from(*byte));
        (self.0.len() <= 3).then(|| Tag::new(number)).flatten()
    }
}

impl TryFrom<String> for Hex {
    type Error = String;

    fn try_from(text: String) -> Result<Hex, String> {
        let digits: String = text.split_whitespace().collect();
        hex::decode(digits)
            .map(Hex)
            .map_err(|error| format!("{text:?}: {error}"))
    }
}

impl From<Hex> for String {
    fn from(bytes: Hex) -> String {
        hex::encode_upper(bytes.0)
    }
}

/// Where the internal data elements are.
const INTERNAL: u16 = 0x0D01;

impl Variant {
    /// The profile of a card whose first bank application is this one.
    ///
    /// # Errors
    /// What cannot be made so.
    pub fn of(&self, profile: &Profile) -> Result<Profile, String> {
        let mut profile = profile.clone();
        let first = profile
            .bank
            .as_mut()
            .and_then(|bank| bank.applications.first_mut());
        let Some(Ordered::Fields(application)) = first.map(|first| &mut first.ordered) else {
            return Err("the profile has no bank application with an account".to_owned());
        };
        self.change(application)?;
        let says = serde_json::to_string(self).map_err(|error| error.to_string())?;
        profile.id = format!("{} {says}", profile.id);
        Ok(profile)
    }

    fn change(&self, application: &mut Application) -> Result<(), String> {
        match self.active {
            Some(true) => application.switches &= !STARTS_INACTIVE,
            Some(false) => application.switches |= STARTS_INACTIVE,
            None => {}
        }
        for name in &self.switches {
            let known = SWITCHES.iter().find(|(known, _)| known == name);
            let (_, bit) = known.ok_or_else(|| format!("there is no switch {name:?}"))?;
            application.switches |= bit;
        }
        if let Some(proof) = self.authentication {
            application.authentication = match proof {
                Proof::Static => Authentication::Static,
                Proof::Dynamic => Authentication::Dynamic,
                Proof::Combined => Authentication::Combined,
            };
        }
        application.sm_algorithms |= self.sm_algorithms;
        if let Some(tries) = self.tries {
            application.pin_tries = tries;
        }
        if self.card_block_ends_the_card {
            application.card_block = CardBlock::Card;
        }
        // The keys are in groupings of their own, which stay as they are.
        let groupings = application
            .groupings(&Keys::from_seed(0))
            .map_err(|error| error.to_string())?;
        let mut left: BTreeSet<&Hex> = self.elements.keys().collect();
        for mut grouping in groupings {
            if grouping.number >> 12 == 0x8 || grouping.number >> 8 == 0x90 {
                continue;
            }
            let mut data = Vec::new();
            let mut writer = Writer::append(&mut data);
            let changed = self.rewrite(&grouping.data, &mut writer, &mut left);
            if changed.ok_or_else(|| format!("grouping {:04X}", grouping.number))? {
                grouping.data = data;
                replace(application, grouping);
            }
        }
        self.add(application, &left)
    }

    /// Elements that stand nowhere yet go to the internal ones.
    fn add(&self, application: &mut Application, left: &BTreeSet<&Hex>) -> Result<(), String> {
        if left.is_empty() {
            return Ok(());
        }
        let groupings = application
            .groupings(&Keys::from_seed(0))
            .map_err(|error| error.to_string())?;
        let internal = groupings.into_iter().find(|one| one.number == INTERNAL);
        let mut internal = internal.ok_or("an application without internal elements")?;
        for name in left {
            let tag = name.tag().ok_or_else(|| format!("{name:?} is no tag"))?;
            let mut object = Vec::new();
            Writer::append(&mut object).object(tag, &self.elements[*name].0);
            internal.data.extend(object);
        }
        replace(application, internal);
        Ok(())
    }

    /// Writes objects with what is changed in them; whether anything was, `None` where
    /// they are none.
    fn rewrite(
        &self,
        objects: &[u8],
        writer: &mut Writer<'_>,
        left: &mut BTreeSet<&Hex>,
    ) -> Option<bool> {
        let mut changed = Some(false);
        for object in Objects::new(objects) {
            let DataObject { tag, value } = object.ok()?;
            let is = |name: &&Hex| name.tag() == Some(tag);
            if self.absent.iter().any(|name| is(&name)) {
                changed = changed.map(|_| true);
                continue;
            }
            if let Some((name, new)) = self.elements.iter().find(|(name, _)| is(name)) {
                writer.object(tag, &new.0);
                left.remove(name);
                changed = changed.map(|_| true);
            } else if tag.is_constructed() {
                writer.nested(tag, |writer| {
                    let inner = self.rewrite(value, writer, left);
                    changed = changed.zip(inner).map(|(a, b)| a | b);
                });
            } else {
                writer.object(tag, value);
            }
        }
        changed
    }
}

/// Puts a grouping in place of the one of its number.
fn replace(application: &mut Application, grouping: Grouping) {
    application
        .groupings
        .retain(|known| known.number != grouping.number);
    application.groupings.push(grouping);
}

/// The name of the first bank application of a profile.
#[must_use]
pub(crate) fn name(profile: &Profile) -> Option<&Aid> {
    Some(profile.bank.as_ref()?.applications.first()?.ordered.aid())
}
