//! RSA keys for tests, printed here: making a card searches for no primes.
//!
//! All have the public exponent 3, as cards in the field do. Each is read once in the
//! life of a program, when it is first asked for.

use cardlab::crypto::{RsaPrivate, RsaPublic};
use serde::Deserialize;
use std::collections::HashMap;
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

static KEYS: &str = include_str!("keys.json");

/// The public exponent of all of them.
pub const EXPONENT: [u8; 1] = [3];

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Keys {
    authority: Numbers,
    short_authority: Numbers,
    issuer: Numbers,
    cards: Vec<Numbers>,
    long_issuer: Numbers,
    long_card: Numbers,
}

/// The numbers of a private key in hexadecimal.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
struct Numbers {
    p: String,
    q: String,
    dp: String,
    dq: String,
    q_inverse: String,
}

/// Whose key it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Whose {
    /// The certification authority's, 1984 bits.
    Authority,
    /// That of an authority whose certificates are shorter, 1408 bits.
    ShortAuthority,
    /// The issuer's, 1408 bits.
    Issuer,
    /// A card's, 1152 bits; there are four, and the number chooses one of them.
    Card(u64),
    /// An issuer's of the greatest length, 1984 bits.
    LongIssuer,
    /// A card's of the greatest length, 1984 bits.
    LongCard,
}

/// A private key with its five numbers as bytes.
pub struct RsaPair {
    private: RsaPrivate,
    public: RsaPublic,
    parts: [Vec<u8>; 5],
    /// What was signed, and the signatures: cards of one bank have most of it in common.
    signed: Mutex<HashMap<Vec<u8>, Vec<u8>>>,
}

/// The keys as they are printed.
static PRINTED: LazyLock<Keys> =
    LazyLock::new(|| serde_json::from_str(KEYS).expect("the keys of this source"));
/// Those that were asked for: authorities, issuers, cards.
static READ: [OnceLock<RsaPair>; 5 + CARDS] = [const { OnceLock::new() }; 5 + CARDS];
/// So many signatures of a key are kept.
const KEPT_MAX: usize = 1024;
/// So many cards' keys are printed.
const CARDS: usize = 4;

impl RsaPair {
    /// The key of a party.
    ///
    /// # Panics
    /// Where the file of keys in this source is damaged.
    #[must_use]
    pub fn of(whose: Whose) -> &'static RsaPair {
        let index = match whose {
            Whose::Authority => 0,
            Whose::Issuer => 1,
            Whose::LongIssuer => 2,
            Whose::LongCard => 3,
            Whose::ShortAuthority => 4,
            Whose::Card(number) => 5 + usize::try_from(number % CARDS as u64).unwrap_or(0),
        };
        READ[index].get_or_init(|| {
            let numbers = match whose {
                Whose::Authority => &PRINTED.authority,
                Whose::ShortAuthority => &PRINTED.short_authority,
                Whose::Issuer => &PRINTED.issuer,
                Whose::LongIssuer => &PRINTED.long_issuer,
                Whose::LongCard => &PRINTED.long_card,
                Whose::Card(_) => &PRINTED.cards[index - 5],
            };
            RsaPair::new(numbers).expect("the keys of this source")
        })
    }

    fn new(numbers: &Numbers) -> Option<RsaPair> {
        let Numbers {
            p,
            q,
            dp,
            dq,
            q_inverse,
        } = numbers;
        let bytes = |text: &String| hex::decode(text).ok();
        let parts = [
            bytes(p)?,
            bytes(q)?,
            bytes(dp)?,
            bytes(dq)?,
            bytes(q_inverse)?,
        ];
        let [p, q, dp, dq, q_inverse] = &parts;
        let private = RsaPrivate::new(p, q, dp, dq, q_inverse)?;
        let public = RsaPublic::new(&private.modulus(), &EXPONENT)?;
        Some(RsaPair {
            private,
            public,
            parts,
            signed: Mutex::default(),
        })
    }

    /// The signature of a block as long as the key; of one that was signed lately it is
    /// not computed again. `None` for a block of another length.
    #[must_use]
    pub fn sign(&self, block: &[u8]) -> Option<Vec<u8>> {
        let lock = || self.signed.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = lock().get(block) {
            return Some(known.clone());
        }
        let signature = self.private.apply(block)?;
        let mut signed = lock();
        if signed.len() >= KEPT_MAX {
            signed.clear();
        }
        signed.insert(block.to_vec(), signature.clone());
        Some(signature)
    }

    /// The private key.
    #[must_use]
    pub const fn private(&self) -> &RsaPrivate {
        &self.private
    }

    /// The public key.
    #[must_use]
    pub const fn public(&self) -> &RsaPublic {
        &self.public
    }

    /// The five numbers of the Chinese remainder theorem: p, q, d mod p−1, d mod q−1, q⁻¹
    /// mod p.
    #[must_use]
    pub const fn parts(&self) -> &[Vec<u8>; 5] {
        &self.parts
    }
}

#[cfg(test)]
mod tests {
    use super::{RsaPair, Whose};

    #[test]
    fn every_key_signs_what_its_public_part_recovers() {
        for (whose, bits) in [
            (Whose::Authority, 1984),
            (Whose::ShortAuthority, 1408),
            (Whose::Issuer, 1408),
            (Whose::Card(0), 1152),
            (Whose::Card(1), 1152),
            (Whose::Card(2), 1152),
            (Whose::Card(3), 1152),
            (Whose::LongIssuer, 1984),
            (Whose::LongCard, 1984),
        ] {
            let pair = RsaPair::of(whose);
            assert_eq!(pair.public().modulus().len() * 8, bits, "{whose:?}");
            let mut data = vec![0x6A; bits / 8];
            data[bits / 8 - 1] = 0xBC;
            let signature = pair.private().apply(&data).unwrap();
            assert_eq!(pair.public().apply(&signature), Some(data), "{whose:?}");
        }
    }

    #[test]
    fn a_card_s_key_is_one_of_four() {
        let modulus = |number| RsaPair::of(Whose::Card(number)).public().modulus().to_vec();
        assert_eq!(modulus(5), modulus(1));
        assert_ne!(modulus(2), modulus(1));
    }
}
