//! The PSAM flavour: the security module is a card in the second connector.
//!
//! | command                | bytes                                                 |
//! |------------------------|-------------------------------------------------------|
//! | environment, ADF       | 00 A4 00 00 3F00, or 00 A4 04 00 "sx2.sh.社会保障"; 00 A4 00 00 DF01 |
//! | GET CHALLENGE          | 00 84 00 00 08                                        |
//! | terminal's number      | 00 B0 96 00 06                                        |
//! | DELIVERY SESSION KEY   | BF DE usage id Lc f3‖f2‖f1‖random                     |
//! | CIPHER DATA            | 80 FA 00 00 encipher, 80 FA 05 00 MAC behind its initial value |
//! | INIT SAM FOR PURCHASE  | 80 70 01 00                                           |
//! | CREDIT SAM FOR PURCHASE | 80 72 00 00 04 MAC2                                  |
//!
//! The first digit of the usage says how many levels of keys the PSAM still has to go
//! down, and so which factors are sent. It depends on who gave the PSAM out: where '6A80'
//! says that the number of levels is wrong, the others are tried, and the one that fits is
//! kept.
//!
//! A session key of a 16-byte algorithm is of the random number filled up with '00'; the
//! authentication code is the two halves of the enciphered block added (xor), which is the
//! terminal's work.
//!
//! Source: social security card specification, part 9, 5 to 8; traces of readers.

use super::failure::Failure;
use super::module::{Ask, CardAlgorithm, Identity, Seal, SecurityModule};
use crate::medical::{Purchase, PurchaseOffer, TYPE_32_PURCHASE};
use crate::profile::Key;
use crate::psam::pin_bytes;
use crate::wire::{self, Answer};
use cardlab::apdu::{Class, Command, Sw};
use cardlab::icc::{Icc, Lost};

/// The environment for 16-byte algorithms, "sx2.sh.社会保障".
const ENVIRONMENT_16: &[u8] = b"sx2.sh.\xC9\xE7\xBB\xE1\xB1\xA3\xD5\xCF";
/// The levels that there are, the deepest first: national, provincial, city PSAM.
const LEVELS: [u8; 3] = [3, 2, 1];
/// The types of the keys that make MACs: MAC only, MAC and encipher.
const MAC_TYPES: [u8; 2] = [0x06, 0x08];

/// A PSAM and what the terminal knows of it.
pub struct PsamModule<I> {
    icc: I,
    powered: bool,
    selected: Option<CardAlgorithm>,
    /// The level that fitted last.
    level: Option<u8>,
}

impl<I: Icc> PsamModule<I> {
    /// The PSAM in the second connector; it is given power when it is first asked.
    pub const fn new(icc: I) -> PsamModule<I> {
        PsamModule {
            icc,
            powered: false,
            selected: None,
            level: None,
        }
    }

    /// The PSAM again.
    pub fn into_inner(self) -> I {
        self.icc
    }

    fn command(&mut self, header: [u8; 4], data: &[u8], ne: u32) -> Result<Answer, Failure> {
        if !self.powered {
            self.icc.power_on().map_err(gone)?;
            self.powered = true;
        }
        let [cla, ins, p1, p2] = header;
        let class = Class::new(cla).unwrap_or(Class::BASIC);
        let command = Command::new(class, ins, p1, p2)
            .with_data(data)
            .expecting(ne);
        wire::exchange(&mut self.icc, &command).map_err(gone)
    }

    /// Goes to the ADF of the environment of an algorithm.
    fn select(&mut self, algorithm: CardAlgorithm) -> Result<(), Failure> {
        if self.selected == Some(algorithm) {
            return Ok(());
        }
        let environment = match algorithm {
            CardAlgorithm::Des => self.command([0x00, 0xA4, 0x00, 0x00], &[0x3F, 0x00], 256)?,
            CardAlgorithm::Ssf33 | CardAlgorithm::Sm4 => {
                self.command([0x00, 0xA4, 0x04, 0x00], ENVIRONMENT_16, 256)?
            }
        };
        match environment.sw {
            Sw::OK => {}
            Sw::FILE_NOT_FOUND => return Err(Failure::NoAlgorithm),
            sw => return Err(Failure::Module("SELECT", sw)),
        }
        let adf = self.command([0x00, 0xA4, 0x00, 0x00], &[0xDF, 0x01], 256)?;
        ok("SELECT", adf)?;
        self.selected = Some(algorithm);
        Ok(())
    }

    /// DELIVERY SESSION KEY by a key, of one of these types; levels are tried.
    fn deliver(
        &mut self,
        card: &Identity,
        key: &Key,
        types: &[u8],
        random: [u8; 8],
    ) -> Result<(), Failure> {
        self.select(card.algorithm)?;
        let missing = || match key.name.as_str() {
            "RKSSSE" => Failure::NoReadingKey,
            name => Failure::NoKey(name.to_owned()),
        };
        let id = key.psam.ok_or_else(missing)?.id;
        let mut random = random.to_vec();
        random.resize(card.algorithm.block_len(), 0);
        let mut refused = missing();
        for kind in types {
            for level in self.levels(key) {
                let data = [factors(card, level), random.clone()].concat();
                let usage = level << 5 | kind;
                let answer = self.command([0xBF, 0xDE, usage, id], &data, 0)?;
                match answer.sw {
                    Sw::OK => {
                        self.level = Some(level);
                        return Ok(());
                    }
                    Sw::WRONG_DATA => refused = Failure::KeyLevel,
                    Sw::REFERENCE_DATA_NOT_FOUND => {}
                    sw => return Err(Failure::Module("DELIVERY SESSION KEY", sw)),
                }
            }
        }
        Err(refused)
    }

    /// The levels to try: what fitted last, what the tables say, the others.
    fn levels(&self, key: &Key) -> Vec<u8> {
        let usage = key.psam.and_then(|psam| psam.usage);
        let known = self.level.into_iter().chain(usage.map(|usage| usage >> 5));
        let mut levels: Vec<u8> = Vec::new();
        for level in known.chain(LEVELS) {
            if LEVELS.contains(&level) && !levels.contains(&level) {
                levels.push(level);
            }
        }
        levels
    }

    /// CIPHER DATA.
    fn cipher(&mut self, p1: u8, data: &[u8]) -> Result<Vec<u8>, Failure> {
        let answer = self.command([0x80, 0xFA, p1, 0x00], data, 256)?;
        ok("CIPHER DATA", answer)
    }
}

/// The type of the keys that encipher: the last five bits of their usage.
fn kind(key: &Key) -> u8 {
    let usage = key.psam.and_then(|psam| psam.usage);
    usage.map_or(0x07, |usage| usage & 0x1F)
}

/// f3, f2, f1, as many as a PSAM of this level must go down.
fn factors(card: &Identity, level: u8) -> Vec<u8> {
    let all = [
        card.card_factor(),
        card.region.city_factor(),
        card.region.province_factor(),
    ];
    all.iter()
        .take(usize::from(level))
        .flatten()
        .copied()
        .collect()
}

fn gone(lost: Lost) -> Failure {
    Failure::NoModule(lost.to_string())
}

fn ok(what: &'static str, answer: Answer) -> Result<Vec<u8>, Failure> {
    match answer.sw {
        Sw::OK => Ok(answer.data),
        sw => Err(Failure::Module(what, sw)),
    }
}

fn strange(what: &str) -> Failure {
    Failure::NoModule(format!("the PSAM's answer is not {what}"))
}

/// Fills up with '80 00 ..' to whole blocks.
fn padded(mut message: Vec<u8>, block: usize) -> Vec<u8> {
    message.push(0x80);
    let len = message.len().next_multiple_of(block);
    message.resize(len, 0x00);
    message
}

impl<I: Icc> SecurityModule for PsamModule<I> {
    fn random(&mut self) -> Result<Option<[[u8; 8]; 2]>, Failure> {
        let mut randoms = [[0; 8]; 2];
        for random in &mut randoms {
            let answer = self.command([0x00, 0x84, 0x00, 0x00], &[], 8)?;
            let drawn = ok("GET CHALLENGE", answer)?;
            *random = drawn.try_into().map_err(|_| strange("8 random bytes"))?;
        }
        Ok(Some(randoms))
    }

    fn terminal_number(&mut self) -> Result<[u8; 6], Failure> {
        // The file lies in the MF, outside of the environments.
        self.selected = None;
        let mf = self.command([0x00, 0xA4, 0x00, 0x00], &[0x3F, 0x00], 256)?;
        ok("SELECT", mf)?;
        let answer = self.command([0x00, 0xB0, 0x96, 0x00], &[], 6)?;
        let number = ok("READ BINARY", answer)?;
        number
            .try_into()
            .map_err(|_| strange("a number of 6 bytes"))
    }

    fn authenticate(&mut self, card: &Identity, asks: &[Ask<'_>]) -> Result<Vec<[u8; 8]>, Failure> {
        let mut codes = Vec::new();
        for ask in asks {
            self.deliver(card, ask.key, &[kind(ask.key)], ask.random)?;
            let mut block = ask.raw.to_vec();
            block.resize(card.algorithm.block_len(), 0);
            let enciphered = self.cipher(0x00, &block)?;
            let (halves, rest) = enciphered.as_chunks::<8>();
            codes.push(match (halves, rest, card.algorithm.block_len()) {
                ([code], [], 8) => *code,
                ([left, right], [], 16) => {
                    let mut code = *left;
                    code.iter_mut().zip(right).for_each(|(a, b)| *a ^= b);
                    code
                }
                _ => return Err(strange("one block enciphered")),
            });
        }
        Ok(codes)
    }

    fn seal(&mut self, card: &Identity, seal: &Seal<'_>) -> Result<Vec<u8>, Failure> {
        let block = card.algorithm.block_len();
        let mut data = Vec::new();
        if let Some(pin) = seal.pin {
            let plain = pin_bytes(pin).ok_or(Failure::NoPin)?;
            let len = u8::try_from(plain.len()).map_err(|_| Failure::NoPin)?;
            let plain = [&[len][..], &plain].concat();
            let plain = match plain.len() % block {
                0 => plain,
                _ => padded(plain, block),
            };
            self.deliver(card, seal.key, &MAC_TYPES[1..], seal.random)?;
            data = self.cipher(0x00, &plain)?;
        }
        let lc = u8::try_from(data.len() + 4).map_err(|_| strange("a PIN enciphered"))?;
        let message = [&seal.header[..], &[lc], &data].concat();
        let initial = vec![0; block];
        let message = [initial, padded(message, block)].concat();
        self.deliver(card, seal.key, &MAC_TYPES, seal.random)?;
        let mac = self.cipher(0x05, &message)?;
        let mac: [u8; 4] = mac.try_into().map_err(|_| strange("a MAC of 4 bytes"))?;
        data.extend(mac);
        Ok(data)
    }

    fn purchase(
        &mut self,
        card: &Identity,
        _key: &Key,
        purchase: &mut Purchase,
        offer: &PurchaseOffer,
    ) -> Result<[u8; 4], Failure> {
        self.select(card.algorithm)?;
        let common = [
            &offer.random[..],
            &offer.number.to_be_bytes(),
            &purchase.amounts.to_bytes(),
            &[TYPE_32_PURCHASE],
            &purchase.time,
            &[offer.version, offer.algorithm],
        ]
        .concat();
        let mut refused = Failure::KeyLevel;
        let levels = self.level.into_iter().chain(LEVELS);
        for level in levels {
            let data = [common.clone(), factors(card, level)].concat();
            let answer = self.command([0x80, 0x70, 0x01, 0x00], &data, 8)?;
            match answer.sw {
                Sw::OK => {
                    let answer = answer.data.split_first_chunk::<4>();
                    let (number, mac1) = answer.ok_or_else(|| strange("a number and MAC1"))?;
                    purchase.terminal_number = *number;
                    return mac1.try_into().map_err(|_| strange("a number and MAC1"));
                }
                Sw::WRONG_DATA | Sw::WRONG_LENGTH => {
                    refused = Failure::KeyLevel;
                }
                sw => return Err(Failure::Module("INIT SAM FOR PURCHASE", sw)),
            }
        }
        Err(refused)
    }

    fn settle(
        &mut self,
        _card: &Identity,
        _key: &Key,
        _purchase: &Purchase,
        _offer: &PurchaseOffer,
        mac2: [u8; 4],
    ) -> Result<(), Failure> {
        let answer = self.command([0x80, 0x72, 0x00, 0x00], &mac2, 0)?;
        ok("CREDIT SAM FOR PURCHASE", answer).map(drop)
    }
}
