//! The key tree: national root, province, city, card, from a root for tests.
//!
//! ```text
//! seed ─SM3─► root of a key name and version ─f1─► province ─f2─► city ─f3─► card
//! ```
//!
//! A root of ours begins with the four letters "TEST", so that nobody takes it
//! for one that guards anything. Keys are never shown; [`Key`] prints its check
//! value.
//!
//! Source: social security card specification, part 9, 7.1 to 7.3 (the tree); the
//! roots are this program's own.

use crate::pki::Authority;
use crate::profile::{Algorithm, Profile, Purpose};
use cardlab::crypto::derive::{self, Region};
use cardlab::crypto::{Cipher, Key, Sm3};
use std::cell::{OnceCell, RefCell};
use std::collections::HashMap;
use std::rc::Rc;

/// What a root for tests begins with.
pub const MARKER: [u8; 4] = *b"TEST";

/// The root of all keys, for tests: a function of a seed.
///
/// The root of a key is "TEST" and the first bytes of SM3("cardlab test root" ‖ seed,
/// 8 bytes ‖ version, 1 byte ‖ name).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct TestRoot {
    seed: u64,
}

impl TestRoot {
    /// The root of this seed.
    #[must_use]
    pub const fn from_seed(seed: u64) -> TestRoot {
        TestRoot { seed }
    }

    /// The national root key of this name and version.
    ///
    /// UKMF is what 1.0 cards call UKSSSE: one address in the HSM, one key in the PSAM.
    #[must_use]
    pub fn key(&self, name: &str, version: u8, cipher: Cipher) -> Key {
        let name = if name == "UKMF" { "UKSSSE" } else { name };
        let hash = Sm3::new()
            .chain(b"cardlab test root")
            .chain(&self.seed.to_be_bytes())
            .chain(&[version])
            .chain(name.as_bytes())
            .finish();
        let mut bytes = [0; 16];
        for (to, from) in bytes.iter_mut().zip(MARKER.iter().chain(&hash)) {
            *to = *from;
        }
        match cipher {
            Cipher::Des => {
                let [a, b, c, d, e, f, g, h, ..] = bytes;
                Key::des([a, b, c, d, e, f, g, h])
            }
            Cipher::TripleDes => Key::triple_des(bytes),
            Cipher::Sm4 => Key::sm4(bytes),
            Cipher::Aes128 => Key::aes_128(bytes),
        }
    }

    /// Whether a key begins as the roots for tests do.
    #[must_use]
    pub fn made(key: &Key) -> bool {
        key.expose().starts_with(&MARKER)
    }
}

/// A city's end of the tree: gives cards their keys, and keeps those of its city.
#[derive(Debug)]
pub struct Hsm {
    root: TestRoot,
    cities: RefCell<HashMap<CityKey, Rc<Key>>>,
    authority: OnceCell<Option<Authority>>,
}

/// Name, version, cipher and region of a city's key.
type CityKey = (String, u8, Cipher, Region);

impl Hsm {
    /// An HSM over this root.
    #[must_use]
    pub fn new(root: TestRoot) -> Hsm {
        Hsm {
            root,
            cities: RefCell::default(),
            authority: OnceCell::new(),
        }
    }

    /// Its root.
    #[must_use]
    pub const fn root(&self) -> TestRoot {
        self.root
    }

    /// The certificate authority of its root; `None` is never seen.
    #[must_use]
    pub fn authority(&self) -> Option<&Authority> {
        let authority = || Authority::new(self.root);
        self.authority.get_or_init(authority).as_ref()
    }

    /// The key of a card, by the factors of its region and its ATR.
    #[must_use]
    pub fn card_key(
        &self,
        name: &str,
        version: u8,
        cipher: Cipher,
        region: Region,
        card_factor: &[u8; 8],
    ) -> Key {
        let wanted = (name.to_owned(), version, cipher, region);
        let known = self.cities.borrow().get(&wanted).cloned();
        let city = known.unwrap_or_else(|| {
            let root = self.root.key(name, version, cipher);
            let province = derive::diversify(&root.expand(), &region.province_factor());
            let city = derive::diversify(&province.expand(), &region.city_factor());
            let city = Rc::new(city);
            self.cities.borrow_mut().insert(wanted, Rc::clone(&city));
            city
        });
        derive::diversify(&city.expand(), card_factor)
    }

    /// All keys of a card of this profile; `None` where its region has digits that
    /// are none, which no profile that was read has.
    #[must_use]
    pub fn card(&self, profile: &Profile) -> Option<CardKeys> {
        let region = Region::from_bcd(profile.region)?;
        let factor = derive::card_factor(&profile.historical)?;
        let mut keys = HashMap::new();
        for key in profile.directories.iter().flat_map(|d| &d.keys) {
            let cipher = cipher(profile.algorithm, key.purpose);
            let versions = (1..=key.versions)
                .map(|version| self.card_key(&key.name, version, cipher, region, &factor));
            let known = CardKey {
                purpose: key.purpose,
                kid: key.kid,
                versions: versions.collect(),
            };
            keys.insert(key.name.clone(), known);
        }
        Some(CardKeys {
            keys,
            algorithm: profile.algorithm,
        })
    }
}

/// The cipher of a key: those that guard messages are single DES on a DES card.
pub(crate) const fn cipher(algorithm: Algorithm, purpose: Purpose) -> Cipher {
    match (algorithm, purpose) {
        (Algorithm::Des, Purpose::Maintenance) => Cipher::Des,
        (Algorithm::Des, _) => Cipher::TripleDes,
        (Algorithm::Sm4, _) => Cipher::Sm4,
    }
}

/// The keys of one card.
#[derive(Clone, Debug)]
pub struct CardKeys {
    keys: HashMap<String, CardKey>,
    algorithm: Algorithm,
}

#[derive(Clone, Debug)]
struct CardKey {
    purpose: Purpose,
    kid: u8,
    versions: Vec<Key>,
}

impl CardKeys {
    /// A card with these keys, each in one version.
    #[cfg(test)]
    pub(crate) fn of<const N: usize>(
        algorithm: Algorithm,
        keys: [(&str, Purpose, u8, Key); N],
    ) -> CardKeys {
        let keys = keys.map(|(name, purpose, kid, key)| {
            let versions = vec![key];
            let key = CardKey {
                purpose,
                kid,
                versions,
            };
            (name.to_owned(), key)
        });
        CardKeys {
            keys: HashMap::from(keys),
            algorithm,
        }
    }

    /// The key of this name and version, from 1.
    #[must_use]
    pub fn key(&self, name: &str, version: u8) -> Option<&Key> {
        let index = usize::from(version).checked_sub(1)?;
        self.keys.get(name)?.versions.get(index)
    }

    /// The identifier of the key of this name.
    #[must_use]
    pub fn kid(&self, name: &str) -> Option<u8> {
        self.keys.get(name).map(|key| key.kid)
    }

    /// What the key of this name is for.
    #[must_use]
    pub fn purpose(&self, name: &str) -> Option<Purpose> {
        self.keys.get(name).map(|key| key.purpose)
    }

    /// The name of the key with a purpose, and with this identifier where one is given;
    /// of several the one with the lowest.
    #[must_use]
    pub fn name(&self, purpose: Purpose, kid: Option<u8>) -> Option<&str> {
        let fits = |key: &CardKey| key.purpose == purpose && kid.is_none_or(|kid| key.kid == kid);
        let found = self.keys.iter().filter(|(_, key)| fits(key));
        let (name, _) = found.min_by_key(|(_, key)| key.kid)?;
        Some(name)
    }

    /// The algorithm of the card.
    #[must_use]
    pub const fn algorithm(&self) -> Algorithm {
        self.algorithm
    }

    /// The authentication code that ends the recognition code, by the first version
    /// of the card's IRK; `None` for a card without.
    #[must_use]
    pub fn recognition_code_mac(&self, first: &[u8; 12]) -> Option<[u8; 4]> {
        let irk = self.key("IRK", 1)?;
        Some(derive::recognition_code_mac(&irk.expand(), first))
    }
}

#[cfg(test)]
mod tests {
    use super::{Hsm, TestRoot};
    use crate::profile::Profile;
    use cardlab::crypto::derive::{self, Region};
    use cardlab::crypto::{Cipher, Key};
    use std::collections::HashSet;

    #[test]
    fn a_root_for_tests_can_be_recognised() {
        let root = TestRoot::from_seed(1);
        for cipher in [Cipher::Des, Cipher::TripleDes, Cipher::Sm4] {
            assert!(TestRoot::made(&root.key("IRK", 1, cipher)));
        }
        assert!(!TestRoot::made(&Key::sm4([0; 16])));
    }

    #[test]
    fn every_key_name_version_and_seed_has_its_own_root() {
        let mut seen = HashSet::new();
        for seed in 0..3 {
            for name in ["IRK", "RK1DF01", "RK1DF0"] {
                for version in 1..=3 {
                    let key = TestRoot::from_seed(seed).key(name, version, Cipher::Sm4);
                    assert!(seen.insert(key.expose().to_vec()));
                }
            }
        }
    }

    #[test]
    fn a_card_key_is_three_steps_below_its_root() {
        let hsm = Hsm::new(TestRoot::from_seed(7));
        let region = Region::from_digits(*b"411600").unwrap();
        let factor = *b"\x86\x84\x41\x16\x01\x85\x93\xCA";
        for cipher in [Cipher::Des, Cipher::TripleDes, Cipher::Sm4] {
            let root = TestRoot::from_seed(7).key("RK1DF01", 2, cipher);
            let expected = derive::card_key(&root, region, &factor);
            for _ in 0..2 {
                assert_eq!(
                    hsm.card_key("RK1DF01", 2, cipher, region, &factor),
                    expected
                );
            }
        }
    }

    #[test]
    fn a_card_has_every_key_of_its_profile_and_no_other() {
        for name in Profile::shipped() {
            let profile = Profile::load(name).unwrap();
            let keys = Hsm::new(TestRoot::from_seed(0)).card(&profile).unwrap();
            for key in profile.directories.iter().flat_map(|d| &d.keys) {
                let len = keys.key(&key.name, key.versions).unwrap().expose().len();
                assert_eq!(len, usize::from(key.len_bytes), "{}", key.name);
                assert!(keys.key(&key.name, key.versions + 1).is_none());
                assert!(keys.key(&key.name, 0).is_none());
            }
            assert!(keys.key("UKSSSE9", 1).is_none());
        }
    }

    #[test]
    fn keys_are_not_in_what_is_printed() {
        let profile = Profile::load("henan-2.0").unwrap();
        let keys = Hsm::new(TestRoot::from_seed(0)).card(&profile).unwrap();
        let shown = format!("{keys:?}");
        let key = keys.key("PUK", 1).unwrap();
        let hex: String = key.expose().iter().map(|b| format!("{b:02X}")).collect();
        assert!(!shown.contains(&hex) && shown.contains("KCV"));
    }

    #[test]
    fn the_recognition_code_has_the_computed_code_of_the_specification() {
        let irk = Key::triple_des(
            hex::decode("6F870DE0E261C80A2FEE7F84C29B74F7")
                .unwrap()
                .try_into()
                .unwrap(),
        );
        let first = hex::decode("411600D156000005018593CA").unwrap();
        let code = derive::recognition_code_mac(&irk.expand(), &first.try_into().unwrap());
        assert_eq!(code, [0x54, 0x36, 0xA7, 0xB1]);
    }
}
