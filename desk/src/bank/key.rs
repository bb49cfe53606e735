//! The bank's keys: three masters, and three of each card.
//!
//! Source: JR/T 0025.5 and 0025.7, by public material; see [`cardlab::crypto::pboc`].

use crate::hsm::TestRoot;
use cardlab::crypto::{Cipher, Expanded, Key, pboc};

/// Keys for cryptograms, for MACs and for enciphering: a bank's, or a card's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keys {
    /// For cryptograms and the answers to them.
    pub cryptograms: Key,
    /// For MACs of scripts and of discretionary data.
    pub macs: Key,
    /// For the PINs in scripts.
    pub enciphering: Key,
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
        let key = |name| root.key(name, 1, Cipher::TripleDes);
        Keys {
            cryptograms: key("IMK-AC"),
            macs: key("IMK-MAC"),
            enciphering: key("IMK-ENC"),
        }
    }

    /// The keys of a card under these masters; `None` where the account is not up to 19
    /// digits or the sequence number is above 99.
    #[must_use]
    pub fn of_card(&self, account: &str, sequence: u8) -> Option<Keys> {
        let factor = pboc::card_factor(account, sequence)?;
        let key = |master: &Key| pboc::card_key(&master.expand(), &factor);
        Some(Keys {
            cryptograms: key(&self.cryptograms),
            macs: key(&self.macs),
            enciphering: key(&self.enciphering),
        })
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

    /// The session keys of a card's keys for the transaction with this counter.
    #[must_use]
    pub(super) fn session(&self, atc: u16) -> Session {
        let key = |card: &Key| pboc::session_key(&card.expand(), atc).expand();
        Session {
            cryptograms: key(&self.cryptograms),
            macs: key(&self.macs),
            enciphering: key(&self.enciphering),
        }
    }
}

/// The session keys of one transaction.
pub(super) struct Session {
    pub(super) cryptograms: Expanded,
    pub(super) macs: Expanded,
    pub(super) enciphering: Expanded,
}
