//! The HSM flavour: what is asked and answered are strings.
//!
//! ```text
//! ask     region|historical bytes|algorithm|recognition code|…|
//!         …random|raw|                            IRK, 0170
//!         …random|raw|random|raw|                 IRK and RKSSSE, 0170 and 004C
//!         …address|random|raw|                    any other key
//!         …address|random|8424000114|PIN|         a PIN, enciphered, and its MAC
//!         …address|random|8424000004|             a MAC
//!         …address|random|message|              a MAC of a purchase
//! answer  code‖raw|code‖raw|   or   data‖MAC|
//! ```
//!
//! The first form is the published one. The others put behind the card's four fields what
//! public traces show of an HSM's own commands, address first; their exact order in the
//! field is not public.
//!
//! Whoever answers the strings is the HSM: [`HsmLink`]. [`TestHsm`] answers them with test
//! keys.
//!
//! Source: 38号文, the functions with `_HSM_`; traces of a 3.0 card and its HSM; key
//! addresses of annex B of the reader specification.

use super::failure::Failure;
use super::module::{Ask, CardAlgorithm, Identity, Seal, SecurityModule};
use crate::encode::hexadecimal;
use crate::hsm::{Hsm, TestRoot};
use crate::medical::{Purchase, PurchaseOffer, TYPE_32_PURCHASE};
use crate::profile::{Key, Profile, Purpose};
use crate::psam::pin_bytes;
use cardlab::crypto::derive::{self, Region};
use cardlab::crypto::{Cipher, Expanded, equal};
use std::collections::HashMap;
use thiserror::Error;

/// The addresses that a string without addresses means, in order: IRK, RKSSSE.
const OF_BASE_DATA: [u16; 2] = [0x0170, 0x004C];

/// Who answers the strings.
pub trait HsmLink {
    /// The answer to a string.
    ///
    /// # Errors
    /// [`HsmError`].
    fn answer(&mut self, ask: &str) -> Result<String, HsmError>;
}

/// Why a string was not answered.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum HsmError {
    /// A field that is none.
    #[error("field {at}: expected {expected}, found {found:?}")]
    Field {
        /// The field's place, from 1.
        at: usize,
        /// What should stand there.
        expected: &'static str,
        /// What does; nothing of a PIN.
        found: String,
    },
    /// It has no key at this address.
    #[error("no key at {0:04X}")]
    NoKey(u16),
    /// It does not know the algorithm.
    #[error("no algorithm {0}")]
    NoAlgorithm(String),
    /// There is no way to it.
    #[error("{0}")]
    Link(String),
}

/// The terminal's end.
pub struct HsmModule<L> {
    link: L,
    terminal_number: [u8; 6],
    /// The number of the next purchase.
    next: u32,
}

impl<L: HsmLink> HsmModule<L> {
    /// A module that asks over this link, in a terminal of this number.
    pub const fn new(link: L, terminal_number: [u8; 6]) -> HsmModule<L> {
        HsmModule {
            link,
            terminal_number,
            next: 1,
        }
    }

    /// A module whose next purchase has this number.
    #[must_use]
    pub fn numbering_from(mut self, next: u32) -> HsmModule<L> {
        self.next = next;
        self
    }

    /// The fields of the answer.
    fn ask(&mut self, card: &Identity, fields: &[String]) -> Result<Vec<Vec<u8>>, Failure> {
        let mut ask = format!(
            "{}|{}|{:02X}|{}|",
            card.region_digits(),
            hexadecimal(&card.historical),
            card.algorithm.id(),
            hexadecimal(&card.recognition_code),
        );
        for field in fields {
            ask += field;
            ask.push('|');
        }
        let answer = self.link.answer(&ask).map_err(|error| match error {
            HsmError::NoAlgorithm(_) => Failure::NoAlgorithm,
            HsmError::NoKey(0x004C) => Failure::NoReadingKey,
            HsmError::NoKey(address) => Failure::NoKey(format!("{address:04X}")),
            error => Failure::NoModule(error.to_string()),
        })?;
        let fields = answer.strip_suffix('|').unwrap_or(&answer).split('|');
        let fields: Option<Vec<_>> = fields.map(bytes).collect();
        fields.ok_or_else(|| Failure::NoModule(format!("the HSM answered {answer:?}")))
    }

    fn mac(
        &mut self,
        card: &Identity,
        key: &Key,
        version: u8,
        fields: [&[u8]; 2],
    ) -> Result<[u8; 4], Failure> {
        let [session, message] = fields.map(hexadecimal);
        let fields = [address(key, version)?, session, message];
        let answer = self.ask(card, &fields)?;
        match &answer[..] {
            [mac] => mac.as_slice().try_into().map_err(|_| strange("a MAC")),
            _ => Err(strange("a MAC")),
        }
    }
}

fn strange(what: &str) -> Failure {
    Failure::NoModule(format!("the HSM's answer is not {what}"))
}

fn address(key: &Key, version: u8) -> Result<String, Failure> {
    let index = usize::from(version).saturating_sub(1);
    let address = key.hsm.get(index);
    let address = address.ok_or_else(|| Failure::NoKey(key.name.clone()))?;
    Ok(format!("{address:04X}"))
}

impl<L: HsmLink> SecurityModule for HsmModule<L> {
    fn random(&mut self) -> Result<Option<[[u8; 8]; 2]>, Failure> {
        Ok(None)
    }

    fn terminal_number(&mut self) -> Result<[u8; 6], Failure> {
        Ok(self.terminal_number)
    }

    fn authenticate(&mut self, card: &Identity, asks: &[Ask<'_>]) -> Result<Vec<[u8; 8]>, Failure> {
        let of_base_data = asks.len() <= OF_BASE_DATA.len()
            && asks
                .iter()
                .zip(OF_BASE_DATA)
                .all(|(ask, address)| ask.key.hsm.first() == Some(&address));
        let mut fields = Vec::new();
        for ask in asks {
            if !of_base_data {
                fields.push(address(ask.key, 1)?);
            }
            fields.extend([hexadecimal(&ask.random), hexadecimal(&ask.raw)]);
        }
        let answers = self.ask(card, &fields)?;
        if answers.len() != asks.len() {
            return Err(strange("a code for each that was asked for"));
        }
        let codes = answers.iter().zip(asks).map(|(answer, ask)| {
            let (code, raw) = answer.split_first_chunk()?;
            (raw == ask.raw).then_some(*code)
        });
        let codes: Option<_> = codes.collect();
        codes.ok_or_else(|| strange("an authentication code and what it is over"))
    }

    fn seal(&mut self, card: &Identity, seal: &Seal<'_>) -> Result<Vec<u8>, Failure> {
        let block = card.algorithm.block_len();
        let plain = match seal.pin {
            Some(pin) => 1 + pin_bytes(pin).ok_or(Failure::NoPin)?.len(),
            None => 0,
        };
        let lc = plain.next_multiple_of(block) + 4;
        let header = format!("{}{lc:02X}", hexadecimal(&seal.header));
        let mut fields = vec![address(seal.key, 1)?, hexadecimal(&seal.random), header];
        fields.extend(seal.pin.map(str::to_owned));
        let mut answer = self.ask(card, &fields)?;
        match answer.pop() {
            Some(data) if answer.is_empty() && data.len() == lc => Ok(data),
            _ => Err(strange("the data field of the command")),
        }
    }

    fn purchase(
        &mut self,
        card: &Identity,
        key: &Key,
        purchase: &mut Purchase,
        offer: &PurchaseOffer,
    ) -> Result<[u8; 4], Failure> {
        purchase.terminal_number = self.next.to_be_bytes();
        self.next = self.next.wrapping_add(1);
        let message = [
            &purchase.amounts.to_bytes()[..],
            &[TYPE_32_PURCHASE],
            &purchase.terminal,
            &purchase.time,
        ]
        .concat();
        let session = purchase_factor(purchase, offer);
        self.mac(card, key, offer.version, [&session, &message])
    }

    fn settle(
        &mut self,
        card: &Identity,
        key: &Key,
        purchase: &Purchase,
        offer: &PurchaseOffer,
        mac2: [u8; 4],
    ) -> Result<(), Failure> {
        let session = purchase_factor(purchase, offer);
        let message = purchase.amounts.to_bytes();
        let expected = self.mac(card, key, offer.version, [&session, &message])?;
        if equal(&expected, &mac2) {
            Ok(())
        } else {
            let sw = cardlab::apdu::Sw::MAC_INVALID;
            Err(Failure::Module("MAC2 of DEBIT FOR PURCHASE", sw))
        }
    }
}

/// What the session key of a purchase is of.
fn purchase_factor(purchase: &Purchase, offer: &PurchaseOffer) -> [u8; 8] {
    let [a, b, c, d] = offer.random;
    let [e, f] = offer.number.to_be_bytes();
    let [_, _, g, h] = purchase.terminal_number;
    [a, b, c, d, e, f, g, h]
}

/// An HSM with test keys: those at the addresses that the shipped profiles name.
pub struct TestHsm {
    hsm: Hsm,
    keys: HashMap<u16, (String, u8, Purpose)>,
}

impl TestHsm {
    /// The keys under this root, for cards with the layouts of these profiles.
    pub fn new<'p>(root: TestRoot, profiles: impl IntoIterator<Item = &'p Profile>) -> TestHsm {
        let mut keys = HashMap::new();
        for key in profiles
            .into_iter()
            .flat_map(|profile| &profile.directories)
            .flat_map(|directory| &directory.keys)
        {
            for (version, address) in (1..).zip(&key.hsm) {
                keys.insert(*address, (key.name.clone(), version, key.purpose));
            }
        }
        TestHsm {
            hsm: Hsm::new(root),
            keys,
        }
    }

    /// The card's key at an address.
    fn key(&self, card: &Card, address: u16) -> Result<Expanded, HsmError> {
        let found = self.keys.get(&address);
        let (name, version, purpose) = found.ok_or(HsmError::NoKey(address))?;
        let cipher = match (card.algorithm, purpose) {
            (CardAlgorithm::Sm4, _) => Cipher::Sm4,
            (_, Purpose::Maintenance) => Cipher::Des,
            _ => Cipher::TripleDes,
        };
        let key = self
            .hsm
            .card_key(name, *version, cipher, card.region, &card.factor);
        Ok(key.expand())
    }

    fn session(&self, card: &Card, address: u16, random: &[u8]) -> Result<Expanded, HsmError> {
        let key = self.key(card, address)?;
        let session = derive::session_key(&key, random);
        let session = session.ok_or_else(|| HsmError::Field {
            at: 6,
            expected: "a random number of 4, 8 or 16 bytes",
            found: hexadecimal(random),
        })?;
        Ok(session.expand())
    }

    fn code(
        &self,
        card: &Card,
        address: u16,
        random: &Field<'_>,
        raw: &Field<'_>,
    ) -> Result<String, HsmError> {
        let raw: [u8; 8] = raw.fixed("8 bytes in hex")?;
        let session = self.session(card, address, &random.fixed::<8>("8 bytes in hex")?)?;
        let code = derive::authenticate(&session, &raw);
        Ok(format!("{}{}|", hexadecimal(&code), hexadecimal(&raw)))
    }

    /// A MAC over a header and a PIN enciphered, or over a message.
    fn seal(
        &self,
        card: &Card,
        address: &Field<'_>,
        random: &Field<'_>,
        message: &Field<'_>,
        pin: Option<&Field<'_>>,
    ) -> Result<String, HsmError> {
        let address = u16::from_be_bytes(address.fixed("a key address of 4 hex digits")?);
        let random: [u8; 8] = random.fixed("8 bytes in hex")?;
        let session = self.session(card, address, &random)?;
        let message = bytes(message.text).ok_or_else(|| message.error("bytes in hex"))?;
        let mut data = Vec::new();
        if let Some(pin) = pin {
            let error = || HsmError::Field {
                at: pin.at,
                expected: "a PIN of 4 to 16 digits",
                found: String::new(),
            };
            let plain = pin_bytes(pin.text).ok_or_else(error)?;
            let mut block = [0; 32];
            let len = derive::encipher(&session, &plain, &mut block).ok_or_else(error)?;
            data.extend(block.iter().take(len));
        }
        let mac = derive::mac(&session, &[&message, &data]);
        data.extend(mac);
        Ok(hexadecimal(&data) + "|")
    }
}

/// What a string says of its card.
struct Card {
    region: Region,
    factor: [u8; 8],
    algorithm: CardAlgorithm,
}

/// One field of a string.
struct Field<'t> {
    at: usize,
    text: &'t str,
}

impl Field<'_> {
    fn error(&self, expected: &'static str) -> HsmError {
        HsmError::Field {
            at: self.at,
            expected,
            found: self.text.to_owned(),
        }
    }

    fn fixed<const N: usize>(&self, expected: &'static str) -> Result<[u8; N], HsmError> {
        let bytes = bytes(self.text).and_then(|bytes| bytes.try_into().ok());
        bytes.ok_or_else(|| self.error(expected))
    }
}

impl HsmLink for TestHsm {
    fn answer(&mut self, ask: &str) -> Result<String, HsmError> {
        let fields: Vec<_> = (1..)
            .zip(ask.split('|'))
            .map(|(at, text)| Field { at, text })
            .collect();
        let [region, historical, algorithm, code, asked @ .., end] = &fields[..] else {
            return Err(HsmError::Field {
                at: fields.len(),
                expected: "region, historical bytes, algorithm and recognition code",
                found: ask.to_owned(),
            });
        };
        if !end.text.is_empty() {
            return Err(end.error("'|' behind the last field"));
        }
        let digits = region.text.as_bytes().try_into().ok();
        let historical: [u8; 13] = historical.fixed("13 bytes in hex")?;
        code.fixed::<16>("16 bytes in hex")?;
        let known = match algorithm.fixed::<1>("an algorithm in two hex digits")? {
            [0x01] => CardAlgorithm::Des,
            [0x03] => CardAlgorithm::Sm4,
            _ => return Err(HsmError::NoAlgorithm(algorithm.text.to_owned())),
        };
        let card = Card {
            region: digits
                .and_then(Region::from_digits)
                .ok_or_else(|| region.error("six digits"))?,
            factor: derive::card_factor(&historical).unwrap_or_default(),
            algorithm: known,
        };
        let [irk, rksse] = OF_BASE_DATA;
        match asked {
            [random, raw] => self.code(&card, irk, random, raw),
            [random, raw, random_2, raw_2] if random.text.len() == 16 => {
                let internal = self.code(&card, irk, random, raw)?;
                Ok(internal + &self.code(&card, rksse, random_2, raw_2)?)
            }
            [address, random, raw] if raw.text.len() == 16 => {
                let address = u16::from_be_bytes(address.fixed("a key address of 4 hex digits")?);
                self.code(&card, address, random, raw)
            }
            [address, random, message] => self.seal(&card, address, random, message, None),
            [address, random, header, pin] => self.seal(&card, address, random, header, Some(pin)),
            _ => Err(HsmError::Field {
                at: 5,
                expected: "2, 3 or 4 fields behind those of the card",
                found: format!("{} fields", asked.len()),
            }),
        }
    }
}

fn bytes(text: &str) -> Option<Vec<u8>> {
    let (pairs, rest) = text.as_bytes().as_chunks::<2>();
    if !rest.is_empty() {
        return None;
    }
    let digit = |c: u8| u8::try_from(char::from(c).to_digit(16)?).ok();
    pairs
        .iter()
        .map(|[high, low]| Some(digit(*high)? << 4 | digit(*low)?))
        .collect()
}
