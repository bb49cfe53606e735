//! The bank's keys: masters for each algorithm, and those of each card.
//!
//! A card of the SM set has two sets of keys, triple DES and SM4, under two sets of
//! masters; which one makes the sums of a transaction, the terminal chooses. SM4 is
//! experimental: how keys come of masters there is known from one source alone.
//!
//! Source: JR/T 0025.5 and 0025.7, by public material; see [`cardlab::crypto::pboc`].

use crate::hsm::TestRoot;
use cardlab::crypto::{Algorithm, Cipher, Expanded, Key, pboc};

/// Keys of one algorithm for cryptograms, for MACs and for enciphering.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeySet {
    /// For cryptograms and the answers to them.
    pub cryptograms: Key,
    /// For MACs of scripts and of discretionary data.
    pub macs: Key,
    /// For the PINs in scripts.
    pub enciphering: Key,
}

impl KeySet {
    /// Master keys under a root for tests, whose names end in `suffix`.
    fn of_root(root: TestRoot, suffix: &str, cipher: Cipher) -> KeySet {
        let key = |name| root.key(&format!("IMK-{name}{suffix}"), 1, cipher);
        KeySet {
            cryptograms: key("AC"),
            macs: key("MAC"),
            enciphering: key("ENC"),
        }
    }

    /// The keys of a card under these masters, by what makes them its own.
    fn of_factor(&self, factor: &[u8; 8]) -> KeySet {
        let key = |master: &Key| pboc::card_key(&master.expand(), factor);
        KeySet {
            cryptograms: key(&self.cryptograms),
            macs: key(&self.macs),
            enciphering: key(&self.enciphering),
        }
    }

    /// Those in a grouping of keys; `None` where it is not 48 bytes.
    #[must_use]
    pub fn from_bytes(bytes: &[u8], cipher: Cipher) -> Option<KeySet> {
        let key = |bytes: &[u8; 16]| match cipher {
            Cipher::Sm4 => Key::sm4(*bytes),
            _ => Key::triple_des(*bytes),
        };
        match bytes.as_chunks::<16>() {
            ([a, b, c], []) => Some(KeySet {
                cryptograms: key(a),
                macs: key(b),
                enciphering: key(c),
            }),
            _ => None,
        }
    }

    /// The three keys one after the other, as they are personalised: 48 bytes.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let [a, b, c] = [&self.cryptograms, &self.macs, &self.enciphering];
        [a.expose(), b.expose(), c.expose()].concat()
    }

    /// Their check values, 9 bytes.
    #[must_use]
    pub fn check_values(&self) -> Vec<u8> {
        let keys = [&self.cryptograms, &self.macs, &self.enciphering];
        keys.map(Key::kcv).concat()
    }
}

/// The keys of a bank, or of one of its cards: a set for each algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// Triple DES.
    pub des: KeySet,
    /// SM4, which is experimental.
    pub sm4: KeySet,
}

impl Keys {
    /// A bank's master keys for tests: a function of a seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Keys {
        Keys::of_root(TestRoot::from_seed(seed))
    }

    /// Those under a root for tests.
    #[must_use]
    pub fn of_root(root: TestRoot) -> Keys {
        Keys {
            des: KeySet::of_root(root, "", Cipher::TripleDes),
            sm4: KeySet::of_root(root, "-SM4", Cipher::Sm4),
        }
    }

    /// The keys of a card under these masters; `None` where the account is not up to 19
    /// digits or the sequence number is above 99.
    #[must_use]
    pub fn of_card(&self, account: &str, sequence: u8) -> Option<Keys> {
        let factor = pboc::card_factor(account, sequence)?;
        Some(Keys {
            des: self.des.of_factor(&factor),
            sm4: self.sm4.of_factor(&factor),
        })
    }

    /// Those of an algorithm.
    #[must_use]
    pub const fn set(&self, algorithm: Algorithm) -> &KeySet {
        match algorithm {
            Algorithm::Des => &self.des,
            Algorithm::Sm4 => &self.sm4,
        }
    }
}

/// What a host has of a card's keys of one algorithm.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CardKeys {
    /// All of them.
    Whole(KeySet),
    /// That for cryptograms alone: MACs are not checked, and no script can be sealed.
    Cryptograms(Key),
}

impl CardKeys {
    pub(super) const fn cryptograms(&self) -> &Key {
        match self {
            CardKeys::Whole(KeySet { cryptograms, .. }) | CardKeys::Cryptograms(cryptograms) => {
                cryptograms
            }
        }
    }

    pub(super) const fn whole(&self) -> Option<&KeySet> {
        match self {
            CardKeys::Whole(keys) => Some(keys),
            CardKeys::Cryptograms(_) => None,
        }
    }

    /// Whether they are for this algorithm.
    pub(super) fn are_of(&self, algorithm: Algorithm) -> bool {
        self.cryptograms().cipher()
            == match algorithm {
                Algorithm::Des => Cipher::TripleDes,
                Algorithm::Sm4 => Cipher::Sm4,
            }
    }
}

/// The session key of a card's key for the transaction with this counter.
pub(super) fn session(card: &Key, atc: u16) -> Expanded {
    pboc::session_key(&card.expand(), atc).expand()
}

#[cfg(test)]
mod tests {
    use super::Keys;
    use cardlab::crypto::Algorithm;

    #[test]
    fn the_masters_of_the_two_algorithms_have_nothing_in_common() {
        let masters = Keys::from_seed(7);
        let [des, sm4] = [Algorithm::Des, Algorithm::Sm4].map(|one| masters.set(one).to_bytes());
        // Four letters say that they are for tests.
        for (des, sm4) in des.chunks(16).zip(sm4.chunks(16)) {
            assert_eq!(des[..4], sm4[..4]);
            assert_ne!(des[4..], sm4[4..]);
        }
    }

    #[test]
    fn both_sets_of_a_card_are_its_own() {
        let masters = Keys::from_seed(7);
        let card = masters.of_card("6228004116000202641", 1).unwrap();
        let other = masters.of_card("6228004116000202641", 2).unwrap();
        assert_ne!(card.des, other.des);
        assert_ne!(card.sm4, other.sm4);
        assert_eq!(masters.of_card("62280041160002026x1", 1), None);
    }
}
