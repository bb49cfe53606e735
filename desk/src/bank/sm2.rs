//! SM2 keys for tests, each made of its party's name.
//!
//! The private key of a party is the first of SM3("cardlab test SM2 key" ‖ name ‖ n, 4
//! bytes) for n from 0 on that is one. Each is made once in the life of a program, when
//! it is first asked for.

use cardlab::crypto::Sm3;
use cardlab::crypto::sm2::{IDENTITY, PrivateKey, PublicKey};
use std::collections::HashMap;
use std::sync::{Mutex, OnceLock, PoisonError};

/// Whose key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The certification authority's.
    Authority,
    /// The issuer's.
    Issuer,
    /// A card's; there are four, and the number chooses one of them.
    Card(u64),
}

/// A key pair that remembers what it signed.
pub struct Sm2Pair {
    private: PrivateKey,
    public: PublicKey,
    /// Digests, and their signatures: cards of one bank have most of them in common.
    signed: Mutex<HashMap<[u8; 32], [u8; 64]>>,
}

/// Those that were asked for: authority, issuer, cards.
static MADE: [OnceLock<Sm2Pair>; 2 + CARDS] = [const { OnceLock::new() }; 2 + CARDS];
/// So many signatures of a key are kept.
const KEPT_MAX: usize = 1024;
/// So many cards' keys there are.
const CARDS: usize = 4;

impl Sm2Pair {
    /// The key of a party.
    ///
    /// # Panics
    /// Where sixteen hashes in a row are no private keys, which no name here gives.
    #[must_use]
    pub fn of(whose: Whose) -> &'static Sm2Pair {
        let index = match whose {
            Whose::Authority => 0,
            Whose::Issuer => 1,
            Whose::Card(number) => 2 + usize::try_from(number % CARDS as u64).unwrap_or(0),
        };
        MADE[index].get_or_init(|| {
            let name = match whose {
                Whose::Authority => "authority".to_owned(),
                Whose::Issuer => "issuer".to_owned(),
                Whose::Card(number) => format!("card {}", number % CARDS as u64),
            };
            Sm2Pair::named(&name).expect("hashes that are private keys")
        })
    }

    fn named(name: &str) -> Option<Sm2Pair> {
        let mut number = 0_u32;
        let private = PrivateKey::generate(&mut |into| {
            let hash = Sm3::new()
                .chain(b"cardlab test SM2 key")
                .chain(name.as_bytes())
                .chain(&number.to_be_bytes())
                .finish();
            into.copy_from_slice(hash.get(..into.len()).unwrap_or(&hash));
            number += 1;
        })?;
        Some(Sm2Pair {
            public: private.public_key(),
            private,
            signed: Mutex::default(),
        })
    }

    /// The signature of a message, R and S, by the identity that signers have where
    /// nobody says another; of one that was signed lately it is not computed again.
    ///
    /// `None` for a nonce that the standard throws away, which nobody will ever see.
    #[must_use]
    pub fn sign(&self, message: &[u8]) -> Option<[u8; 64]> {
        let digest = self.public.message_digest(IDENTITY, message)?;
        let lock = || self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(&digest) {
            return Some(*known);
        }
        // The nonce is made of key and digest: a run can be repeated.
        let signature = self.private.sign(&digest, &mut |into| into.fill(0))?;
        let mut signed = lock();
        if signed.len() >= KEPT_MAX {
            signed.clear();
        }
        signed.insert(digest, signature);
        Some(signature)
    }

    /// The private key.
    #[must_use]
    pub const fn private(&self) -> &PrivateKey {
        &self.private
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> &PublicKey {
        &self.public
    }
}

#[cfg(test)]
mod tests {
    use super::{Sm2Pair, Whose};
    use cardlab::crypto::sm2::IDENTITY;
    use std::collections::HashSet;

    #[test]
    fn every_party_has_its_own_key_which_signs_the_same_twice() {
        let mut seen = HashSet::new();
        let parties = (0..4).map(Whose::Card);
        for whose in parties.chain([Whose::Authority, Whose::Issuer]) {
            let pair = Sm2Pair::of(whose);
            assert!(seen.insert(pair.public().to_bytes()), "{whose:?}");
            let signature = pair.sign(b"a message").unwrap();
            let digest = pair.public().message_digest(IDENTITY, b"a message");
            assert!(pair.public().verify(&digest.unwrap(), &signature));
            assert_eq!(pair.sign(b"a message"), Some(signature));
            assert_ne!(pair.sign(b"another"), Some(signature));
        }
    }

    #[test]
    fn a_card_s_key_is_one_of_four() {
        let key = |number| Sm2Pair::of(Whose::Card(number)).public().to_bytes();
        assert_eq!(key(5), key(1));
        assert_ne!(key(2), key(1));
    }
}
