//! The bank application of a case's card, where it differs from the profile's.
//!
//! Test centres personalise a card for each group of cases; so does this. The change is
//! made in the data groupings that the application would be sent with.

use crate::session::Trouble;
use cardlab::tag;
use cardlab::tlv::{self, DataObject, Objects, Tag, Writer};
use cardlab_desk::bank::application::{
    Application, Authentication, CardBlock, Grouping, Ordered, Raw, STARTS_INACTIVE, SWITCHES,
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
    /// Whether what decides how a payment goes is as usual, but for what is named here: the
    /// data elements, the tries at the PIN, combined authentication, no switch.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub usual: bool,
    /// Wrong PINs until it is blocked.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tries: Option<u8>,
    /// Whether CARD BLOCK ends the whole card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_block_ends_the_card: Option<bool>,
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

/// The grouping of the tries at the PIN, left and in all.
const TRIES: u16 = 0x9010;
/// The grouping of the keys of the SM set.
const SM4_KEYS: u16 = 0x8030;
/// The grouping of options where it pays with electronic cash.
const CASH_OPTIONS: u16 = 0x9203;

/// The usual values: currency, country, what the card does by itself, how often and how
/// much it pays without its bank.
const USUAL: [(u32, &[u8]); 10] = [
    (0x9F51, &[0x01, 0x56]),
    (0x9F52, &[0xC0, 0x00]),
    (0x9F53, &[3]),
    (0x9F54, &[0, 0, 0, 0x10, 0, 0]),
    (0x9F56, &[0x80]),
    (0x9F57, &[0x01, 0x56]),
    (0x9F58, &[10]),
    (0x9F59, &[15]),
    (0x9F5C, &[0, 0, 0, 0x20, 0, 0]),
    (0x9F72, &[3]),
];
/// Those where there is electronic cash: what cryptograms tell the bank, and threshold,
/// limits, balance.
const USUAL_WITH_CASH: [(u32, &[u8]); 5] = [
    (
        0x9F10,
        &[7, 1, 1, 3, 0, 0, 0, 1, 10, 1, 0, 0, 0, 0, 0, 0, 0, 0, 0],
    ),
    (0x9F6D, &[0; 6]),
    (0x9F77, &[0, 0, 0, 0x10, 0, 0]),
    (0x9F78, &[0, 0, 0, 0x05, 0, 0]),
    (0x9F79, &[0; 6]),
];
/// And where there is none.
const USUAL_WITHOUT_CASH: [(u32, &[u8]); 1] = [(0x9F10, &[7, 1, 1, 3, 0, 0, 0, 1])];
/// What is usually not there: the available amount, second currencies.
const USUALLY_ABSENT: [u32; 10] = [
    0x9F5D, 0x9F73, 0x9F75, 0x9F76, 0xDF71, 0xDF72, 0xDF76, 0xDF77, 0xDF78, 0xDF79,
];
/// And how many tries there are at the PIN.
const USUAL_TRIES: u8 = 3;

impl Variant {
    /// The profile of a card whose first bank application is this one.
    ///
    /// # Errors
    /// [`Trouble::Case`] for what cannot be made so; [`Trouble::Unavailable`] where it would
    /// have to be signed anew and is its groupings alone.
    pub fn of(&self, profile: &Profile) -> Result<Profile, Trouble> {
        let mut profile = profile.clone();
        let first = profile
            .bank
            .as_mut()
            .and_then(|bank| bank.applications.first_mut());
        let none = || Trouble::Case("the profile has no bank application".to_owned());
        match &mut first.ok_or_else(none)?.ordered {
            Ordered::Fields(application) => self.change(application).map_err(Trouble::Case)?,
            Ordered::Groupings(raw) => self.change_raw(raw)?,
        }
        let says = serde_json::to_string(self).map_err(|error| Trouble::Case(error.to_string()))?;
        profile.id = format!("{} {says}", profile.id);
        Ok(profile)
    }

    fn change(&self, application: &mut Application) -> Result<(), String> {
        self.install(&mut application.switches, &mut application.card_block)?;
        if let Some(proof) = self.proof() {
            application.authentication = match proof {
                Proof::Static => Authentication::Static,
                Proof::Dynamic => Authentication::Dynamic,
                Proof::Combined => Authentication::Combined,
            };
        }
        application.sm_algorithms |= self.sm_algorithms;
        if let Some(tries) = self.tries() {
            application.pin_tries = tries;
        }
        if self.elements.is_empty() && self.absent.is_empty() && !self.usual {
            return Ok(());
        }
        // The keys are in groupings of their own, which stay as they are.
        let groupings = application
            .groupings(&Keys::from_seed(0))
            .map_err(|error| error.to_string())?;
        for changed in self.changed(groupings)? {
            let own = &mut application.groupings;
            own.retain(|known| known.number != changed.number);
            own.push(changed);
        }
        Ok(())
    }

    fn change_raw(&self, raw: &mut Raw) -> Result<(), Trouble> {
        self.install(&mut raw.switches, &mut raw.card_block)
            .map_err(Trouble::Case)?;
        let has_sm = raw.groupings.iter().any(|one| one.number == SM4_KEYS);
        let signed_anew = self.proof().is_some_and(|own| own != proof_of(raw));
        if signed_anew || self.sm_algorithms && !has_sm {
            return Err(Trouble::Unavailable("a card that is signed for this case"));
        }
        let mut changed = self.changed(raw.groupings.clone()).map_err(Trouble::Case)?;
        changed.extend(self.tries().map(|tries| Grouping {
            number: TRIES,
            data: vec![tries; 2],
        }));
        for one in changed {
            let mut known = raw.groupings.iter_mut();
            match known.find(|known| known.number == one.number) {
                Some(known) => *known = one,
                None => raw.groupings.push(one),
            }
        }
        Ok(())
    }

    /// What goes with its installation.
    fn install(&self, switches: &mut u16, card_block: &mut CardBlock) -> Result<(), String> {
        match self.active {
            Some(true) => *switches &= !STARTS_INACTIVE,
            Some(false) => *switches |= STARTS_INACTIVE,
            None => {}
        }
        if self.usual {
            *switches &= STARTS_INACTIVE;
        }
        for name in &self.switches {
            let known = SWITCHES.iter().find(|(known, _)| known == name);
            let (_, bit) = known.ok_or_else(|| format!("there is no switch {name:?}"))?;
            *switches |= bit;
        }
        match self.card_block_ends_the_card {
            Some(true) => *card_block = CardBlock::Card,
            Some(false) => *card_block = CardBlock::Application,
            None => {}
        }
        Ok(())
    }

    fn proof(&self) -> Option<Proof> {
        self.authentication
            .or(self.usual.then_some(Proof::Combined))
    }

    fn tries(&self) -> Option<u8> {
        self.tries.or(self.usual.then_some(USUAL_TRIES))
    }

    /// Those of an application's groupings that are other than before. Elements that
    /// stand nowhere yet go to the internal ones.
    fn changed(&self, groupings: Vec<Grouping>) -> Result<Vec<Grouping>, String> {
        let has_cash = groupings.iter().any(|one| one.number == CASH_OPTIONS);
        let wanted = self.wanted(has_cash)?;
        let mut left: BTreeSet<u32> = wanted
            .iter()
            .filter_map(|(tag, value)| value.map(|_| *tag))
            .collect();
        let mut all = Vec::new();
        for before in groupings.into_iter().filter(Grouping::is_of_objects) {
            let mut data = Vec::new();
            let written = rewrite(
                &before.data,
                &wanted,
                &mut Writer::append(&mut data),
                &mut left,
            );
            written.ok_or_else(|| format!("grouping {:04X}", before.number))?;
            all.push((Grouping { data, ..before }, before.data));
        }
        if !left.is_empty() {
            let mut internal = all.iter_mut().filter(|(one, _)| one.is_internal());
            let internal = internal.next();
            let (internal, _) = internal.ok_or("an application without internal elements")?;
            let mut writer = Writer::append(&mut internal.data);
            for (tag, value) in left
                .iter()
                .filter_map(|tag| Some((Tag::new(*tag)?, wanted[tag]?)))
            {
                writer.object(tag, value);
            }
        }
        let changed = all.into_iter().filter(|(now, before)| now.data != *before);
        Ok(changed.map(|(grouping, _)| grouping).collect())
    }

    /// The elements that have a value of their own, `None` for those that are not there.
    fn wanted(&self, has_cash: bool) -> Result<BTreeMap<u32, Option<&[u8]>>, String> {
        let mut wanted = BTreeMap::new();
        if self.usual {
            let by_cash: &[_] = if has_cash {
                &USUAL_WITH_CASH
            } else {
                &USUAL_WITHOUT_CASH
            };
            let usual = USUAL.iter().chain(by_cash);
            wanted.extend(usual.map(|(tag, value)| (*tag, Some(*value))));
            wanted.extend(USUALLY_ABSENT.map(|tag| (tag, None)));
        }
        let no_tag = |name: &Hex| format!("{name:?} is no tag");
        for (name, value) in &self.elements {
            let tag = name.tag().ok_or_else(|| no_tag(name))?;
            wanted.insert(tag.value(), Some(&value.0[..]));
        }
        for name in &self.absent {
            let tag = name.tag().ok_or_else(|| no_tag(name))?;
            wanted.insert(tag.value(), None);
        }
        Ok(wanted)
    }
}

/// Writes objects with what is wanted of them, and takes that from what is left; `None`
/// where they are none.
fn rewrite(
    objects: &[u8],
    wanted: &BTreeMap<u32, Option<&[u8]>>,
    writer: &mut Writer<'_>,
    left: &mut BTreeSet<u32>,
) -> Option<()> {
    for object in Objects::new(objects) {
        let DataObject { tag, value } = object.ok()?;
        match wanted.get(&tag.value()) {
            Some(None) => {}
            Some(Some(new)) => {
                writer.object(tag, new);
                left.remove(&tag.value());
            }
            None if tag.is_constructed() => {
                let mut inner = None;
                writer.nested(tag, |writer| {
                    inner = rewrite(value, wanted, writer, left);
                });
                inner?;
            }
            None => {
                writer.object(tag, value);
            }
        }
    }
    Some(())
}

/// How an application proves itself that is its groupings, by its profile '82'.
fn proof_of(raw: &Raw) -> Proof {
    let options = raw.groupings.iter().find(|one| one.number == 0x9104);
    let profile = options.and_then(|one| tlv::find(&one.data, &[tag!(0x82)]).ok()?);
    match profile {
        Some([first, _]) if first & 0x01 != 0 => Proof::Combined,
        Some([first, _]) if first & 0x20 != 0 => Proof::Dynamic,
        _ => Proof::Static,
    }
}

/// The first bank application of a profile.
pub(crate) fn first(profile: &Profile) -> Option<&Ordered> {
    Some(&profile.bank.as_ref()?.applications.first()?.ordered)
}

#[cfg(test)]
mod tests {
    use super::{Variant, first};
    use crate::session::Trouble;
    use cardlab::tag;
    use cardlab::tlv;
    use cardlab_desk::bank::application::{CardBlock, Ordered, Raw};
    use cardlab_desk::profile::Profile;
    use serde_json::{Value, json};

    fn of(profile: &str, variant: Value) -> Result<Profile, Trouble> {
        let variant: Variant = serde_json::from_value(variant).unwrap();
        variant.of(&Profile::load(profile).unwrap())
    }

    fn raw(profile: &Profile) -> &Raw {
        match first(profile) {
            Some(Ordered::Groupings(raw)) => raw,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_is_so_already_changes_nothing_but_the_name() {
        for (profile, variant) in [
            ("henan-2.0", json!({ "usual": true, "active": false })),
            (
                "henan-3.0",
                json!({ "card_block_ends_the_card": false, "tries": 3 }),
            ),
            (
                "bureau-2.0",
                json!({ "active": true, "authentication": "combined", "tries": 3,
                    "card_block_ends_the_card": true, "absent": ["9F57"],
                    "elements": { "9F52": "6010" } }),
            ),
        ] {
            let before = Profile::load(profile).unwrap();
            let after = of(profile, variant).unwrap();
            assert!(after.bank == before.bank, "{profile}");
            assert!(after.id != before.id);
        }
    }

    #[test]
    fn groupings_are_changed_where_they_stand() {
        let before = Profile::load("bureau-2.0").unwrap();
        let variant = json!({ "tries": 5, "active": false, "card_block_ends_the_card": false,
            "elements": { "9F58": "07", "DF71": "0344", "9F08": "0020" }, "absent": ["9F5D"] });
        let after = of("bureau-2.0", variant).unwrap();
        let (before, after) = (raw(&before), raw(&after));
        assert_eq!(after.card_block, CardBlock::Application);
        assert_eq!(after.switches, 0x0001);
        let numbers = |raw: &Raw| {
            raw.groupings
                .iter()
                .map(|one| one.number)
                .collect::<Vec<_>>()
        };
        assert_eq!(numbers(before), numbers(after));
        let changed = before.groupings.iter().zip(&after.groupings);
        let changed: Vec<_> = changed
            .filter(|(before, after)| before.data != after.data)
            .map(|(_, after)| (after.number, &after.data[..]))
            .collect();
        let [(0x0302, lists), (0x0D01, internal), (0x9010, tries)] = changed[..] else {
            panic!("{changed:?}");
        };
        let find = |data, path: &[_]| tlv::find(data, path).unwrap();
        assert_eq!(
            find(lists, &[tag!(0x70), tag!(0x9F08)]),
            Some(&[0x00, 0x20][..])
        );
        assert_eq!(find(internal, &[tag!(0x9F58)]), Some(&[7][..]));
        assert_eq!(find(internal, &[tag!(0x9F5D)]), None);
        // What stands nowhere goes to the end of the first that has such.
        assert!(internal.ends_with(&[0xDF, 0x71, 0x02, 0x03, 0x44]));
        assert_eq!(tries, [5, 5]);
    }

    #[test]
    fn what_would_have_to_be_signed_anew_is_not_there() {
        for proof in ["static", "dynamic"] {
            let refused = of("bureau-2.0", json!({ "authentication": proof }));
            assert!(matches!(refused, Err(Trouble::Unavailable(_))), "{proof}");
        }
        for (profile, variant) in [
            ("henan-2.0", json!({ "switches": ["nothing"] })),
            ("henan-2.0", json!({ "elements": { "00000000": "00" } })),
            ("national-2.0", json!({})),
        ] {
            assert!(
                matches!(of(profile, variant), Err(Trouble::Case(_))),
                "{profile}"
            );
        }
    }

    #[test]
    fn the_usual_values_give_way_to_those_that_are_named() {
        let variant = json!({ "usual": true, "tries": 4, "elements": { "9F58": "00" },
            "absent": ["9F72"] });
        let after = of("bureau-2.0", variant).unwrap();
        let elements = first(&after).unwrap().internal_elements();
        let find = |tag| tlv::find(&elements, &[tag]).unwrap();
        assert_eq!(find(tag!(0x9F58)), Some(&[0][..]));
        assert_eq!(find(tag!(0x9F59)), Some(&[15][..]));
        assert_eq!(find(tag!(0x9F52)), Some(&[0xC0, 0x00][..]));
        assert_eq!(find(tag!(0x9F57)), Some(&[0x01, 0x56][..]));
        assert_eq!(find(tag!(0x9F5D)), None);
        assert_eq!(find(tag!(0x9F72)), None);
        let tries = raw(&after)
            .groupings
            .iter()
            .find(|one| one.number == 0x9010);
        assert_eq!(tries.unwrap().data, [4, 4]);
    }
}
