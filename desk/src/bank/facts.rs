//! What an order says of its card: account, keys, PIN, elements, locators, lists.
//!
//! An order by fields says it in them, but for the groupings that it states itself; one by
//! groupings says it there, as a bureau's file does.

use super::application::{Grouping, LONG_MAC_UNPADDED, Ordered, Raw, STARTS_INACTIVE};
use super::grouping::bcd_byte;
use super::host::fen_of;
use super::key::{KeySet, Keys};
use super::rsa::EXPONENT;
use cardlab::crypto::sm2::{PrivateKey as Sm2Private, PublicKey as Sm2Public};
use cardlab::crypto::{Cipher, Padding, RsaPrivate, RsaPublic};
use cardlab::fen::Fen;
use cardlab::tag;
use cardlab::tlv::{self, Tag};

/// The groupings of keys, of the PIN, and of options.
const DES_KEYS: u16 = 0x8000;
const SM4_KEYS: u16 = 0x8030;
/// Those of the card's own keys: p, q, d mod p−1, d mod q−1, q⁻¹ mod p; and by SM2.
const RSA_PARTS: [u16; 5] = [0x8205, 0x8204, 0x8203, 0x8202, 0x8201];
const SM2_KEY: u16 = 0x8100;
const PIN: u16 = 0x8010;
const ACCOUNT_OPTIONS: [u16; 2] = [0x9104, 0x9114];
const CASH_OPTIONS: [u16; 2] = [0x9203, 0x9213];

impl Ordered {
    /// The groupings that it states itself.
    fn stated(&self) -> &[Grouping] {
        match self {
            Ordered::Fields(application) => &application.groupings,
            Ordered::Groupings(raw) => &raw.groupings,
        }
    }

    fn grouping(&self, number: u16) -> Option<&[u8]> {
        let stated = self.stated().iter().rfind(|one| one.number == number);
        stated.map(|one| one.data.as_slice())
    }

    /// The account number; `None` where no record of its groupings has one, '5A'.
    #[must_use]
    pub fn account(&self) -> Option<String> {
        match self {
            Ordered::Fields(application) => Some(application.account.clone()),
            Ordered::Groupings(raw) => {
                let digits = hex::encode(of_records(&raw.groupings, tag!(0x5A))?);
                Some(digits.trim_end_matches('f').to_owned())
            }
        }
    }

    /// The card's sequence number; 0 where its groupings have none, '5F34'.
    #[must_use]
    pub fn sequence(&self) -> u8 {
        match self {
            Ordered::Fields(application) => application.sequence,
            Ordered::Groupings(raw) => match of_records(&raw.groupings, tag!(0x5F34)) {
                Some(&[byte]) => (0..100)
                    .find(|number| bcd_byte(*number) == byte)
                    .unwrap_or(0),
                _ => 0,
            },
        }
    }

    /// The card's keys: those that it states, else under these masters of its bank.
    ///
    /// `None` where it states none of triple DES and has no account that has some.
    #[must_use]
    pub fn keys(&self, masters: &Keys) -> Option<Keys> {
        let derived = || masters.of_card(&self.account()?, self.sequence());
        let sm4 = self.grouping(SM4_KEYS);
        let sm4 = sm4.and_then(|bytes| KeySet::from_bytes(bytes, Cipher::Sm4));
        match (self.own_keys(), sm4) {
            (Some(des), Some(sm4)) => Some(Keys { des, sm4 }),
            // A card that states one set alone has no other.
            (Some(des), None) => Some(Keys {
                des,
                sm4: derived().map_or_else(|| masters.sm4.clone(), |keys| keys.sm4),
            }),
            (None, Some(sm4)) => derived().map(|keys| Keys { sm4, ..keys }),
            (None, None) => derived(),
        }
    }

    /// Keys of triple DES that it states, which need not be under any masters.
    #[must_use]
    pub fn own_keys(&self) -> Option<KeySet> {
        KeySet::from_bytes(self.grouping(DES_KEYS)?, Cipher::TripleDes)
    }

    /// The card's public keys, by RSA and by SM2; `None` of a kind that it has none of.
    #[must_use]
    pub fn public_keys(&self) -> (Option<RsaPublic>, Option<Sm2Public>) {
        let (rsa, sm2) = match self {
            Ordered::Fields(application) => application.public_keys(),
            Ordered::Groupings(_) => (None, None),
        };
        let parts = RSA_PARTS.map(|number| self.grouping(number).map(unfilled));
        let rsa = match parts {
            [Some(p), Some(q), Some(dp), Some(dq), Some(q_inverse)] => {
                let private = RsaPrivate::new(p, q, dp, dq, q_inverse);
                private.and_then(|private| RsaPublic::new(&private.modulus(), &EXPONENT))
            }
            [None, None, None, None, None] => rsa.cloned(),
            _ => None,
        };
        let sm2 = match self.grouping(SM2_KEY) {
            Some(own) => {
                let own = own.try_into().ok().and_then(Sm2Private::from_bytes);
                own.map(|own| own.public_key())
            }
            None => sm2.copied(),
        };
        (rsa, sm2)
    }

    /// The PIN; `None` where it has none.
    #[must_use]
    pub fn pin(&self) -> Option<String> {
        match (self.grouping(PIN), self) {
            (Some(block), _) => pin_in(block),
            (None, Ordered::Fields(application)) => Some(application.pin.clone()),
            (None, Ordered::Groupings(_)) => None,
        }
    }

    /// The last day of validity, YYMMDD in packed digits, as terminals read it; `None`
    /// where its groupings state none.
    #[must_use]
    pub fn expiry(&self) -> Option<[u8; 3]> {
        let own = of_records(self.stated(), tag!(0x5F24));
        let own = own.and_then(|own| own.try_into().ok());
        own.or_else(|| self.fields().map(|application| application.expiry))
    }

    /// Whether it declines everything until its bank activates it.
    #[must_use]
    pub const fn starts_inactive(&self) -> bool {
        self.switches() & STARTS_INACTIVE != 0
    }

    /// How ten bytes of discretionary data are padded for their MAC.
    #[must_use]
    pub const fn long_mac(&self) -> Padding {
        if self.switches() & LONG_MAC_UNPADDED != 0 {
            Padding::M1
        } else {
            Padding::M2
        }
    }

    /// The internal data elements that it is issued with, one after the other.
    #[must_use]
    pub fn internal_elements(&self) -> Vec<u8> {
        match self {
            Ordered::Fields(application) => application.internal_elements(),
            Ordered::Groupings(raw) => raw.internal().collect::<Vec<_>>().concat(),
        }
    }

    /// The most that its electronic cash holds, '9F77'; `None` where it has none.
    #[must_use]
    pub fn cash_limit(&self) -> Option<Fen> {
        match self {
            Ordered::Fields(application) => Some(application.cash?.balance_limit),
            Ordered::Groupings(_) => {
                let [_, cash] = self.locators();
                let elements = self.internal_elements();
                let limit = tlv::find(&elements, &[tag!(0x9F77)]).ok()??;
                fen_of(limit).filter(|_| !cash.is_empty())
            }
        }
    }

    /// Whether it has the SM set beside the other.
    #[must_use]
    pub fn has_sm_set(&self) -> bool {
        match self {
            Ordered::Fields(application) => application.sm_algorithms,
            Ordered::Groupings(_) => self.grouping(SM4_KEYS).is_some(),
        }
    }

    /// The locators of its records, '94', of each set: of the account's payments, and of
    /// those of electronic cash.
    #[must_use]
    pub fn locators(&self) -> [Vec<Vec<u8>>; 2] {
        match self {
            Ordered::Fields(application) => application.locators(),
            Ordered::Groupings(_) => [ACCOUNT_OPTIONS, CASH_OPTIONS].map(|numbers| {
                let options = numbers.into_iter().filter_map(|one| self.grouping(one));
                let locators = options.filter_map(|data| tlv::find(data, &[tag!(0x94)]).ok()?);
                locators.map(<[u8]>::to_vec).collect()
            }),
        }
    }

    /// The lists that stand in its records, '8C' and '8D'; empty where none does.
    #[must_use]
    pub fn lists(&self) -> [Vec<u8>; 2] {
        match self {
            Ordered::Fields(application) => application.lists(),
            Ordered::Groupings(raw) => [tag!(0x8C), tag!(0x8D)]
                .map(|tag| of_records(&raw.groupings, tag).unwrap_or_default().to_vec()),
        }
    }
}

impl Raw {
    /// The data of its internal groupings.
    fn internal(&self) -> impl Iterator<Item = &[u8]> {
        let internal = self.groupings.iter().filter(|one| one.is_internal());
        internal.map(|one| one.data.as_slice())
    }
}

impl Grouping {
    /// Whether it is a record of a file.
    #[must_use]
    pub const fn is_record(&self) -> bool {
        matches!(self.number >> 8, 0x01..=0x1E) && !self.is_internal()
    }

    /// Whether it has internal data elements.
    #[must_use]
    pub const fn is_internal(&self) -> bool {
        matches!(self.number >> 8, 0x0D | 0x0E)
    }

    /// Whether data objects are what it has: no keys, check values, or tries.
    #[must_use]
    pub const fn is_of_objects(&self) -> bool {
        !self.is_secret() && self.number >> 8 != 0x90
    }
}

/// A data element in the last record that has it.
fn of_records(groupings: &[Grouping], tag: Tag) -> Option<&[u8]> {
    let records = groupings.iter().filter(|one| one.is_record());
    let mut found = records.filter_map(|one| tlv::find(&one.data, &[tag!(0x70), tag]).ok()?);
    found.next_back()
}

/// A number without the '80' and the '00' that fill it.
fn unfilled(grouping: &[u8]) -> &[u8] {
    let end = grouping.iter().rposition(|byte| *byte != 0);
    let marked = end.filter(|at| grouping[*at] == 0x80);
    marked.map_or(grouping, |at| &grouping[..at])
}

/// The PIN of a block: the number of its digits, the digits, 'F' behind.
fn pin_in(block: &[u8]) -> Option<String> {
    let digits = hex::encode(block);
    let (head, digits) = digits.split_at_checked(2)?;
    let len = usize::from_str_radix(head, 16).ok()? & 0x0F;
    let pin = digits.get(..len)?;
    let is_pin = (4..=12).contains(&len) && pin.bytes().all(|digit| digit.is_ascii_digit());
    is_pin.then(|| pin.to_owned())
}
