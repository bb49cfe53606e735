//! The terminal's sums with one card's keys, and the flows done with them.
//!
//! | flow                   | commands                                         |
//! |------------------------|--------------------------------------------------|
//! | external authentication | 00 84, 00 82 00 KID                             |
//! | internal authentication | 00 88                                           |
//! | PIN unblock, PIN reset  | 00 84, 84 24 00 00 and 84 24 00 01              |
//! | application, card block | 00 84, 84 1E 00 01 and 84 16 00 00              |
//! | load                   | B0 28 00 01, B0 2A 00 00                         |
//! | purchase               | B0 28 01 01, B0 2C 01 00                         |
//!
//! It stands for a security module where none is wanted: the PSAM as a card, which
//! holds what diversifies to the keys of all cards, is `sam`.
//!
//! It knows keys by the names that the profile gives them; which right a flow
//! needs first, and which directory is current, is the terminal's business.
//!
//! Of a load it is the host's end, which holds DLK and DTK; a purchase it checks by
//! DTK too, as the settlement does later.
//!
//! Source: social security card specification, part 4, 8 and 9; part 7, 6 to 8.

use crate::encode;
use crate::hsm::CardKeys;
use crate::medical::{Load, LoadOffer, Purchase, PurchaseOffer};
use crate::profile::Purpose;
use crate::wire::exchange;
use cardlab::apdu::{Class, Command, Sw};
use cardlab::crypto::derive;
use cardlab::crypto::{Expanded, Key, Random, equal};
use cardlab::icc::{Icc, Lost};
use thiserror::Error;

/// The bytes of a challenge that a terminal asks for.
const CHALLENGE_LEN: u32 = 8;

/// Why a terminal's flow could not be done.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum PsamError {
    /// There is no key of this name and version for this.
    #[error("no key {0} of version {1} for this")]
    NoKey(String, u8),
    /// The new PIN is no PIN.
    #[error("a PIN has 4 to 16 digits, or none")]
    NoPin,
    /// GET CHALLENGE was answered with this.
    #[error("GET CHALLENGE was answered {0}: {words}", words = .0.words().unwrap_or("unknown"))]
    NoChallenge(Sw),
    /// A command of the flow was refused.
    #[error("{0} was answered {1}: {words}", words = .1.words().unwrap_or("unknown"))]
    Refused(&'static str, Sw),
    /// An answer has not the length that it must have, or a code that is not the key's.
    #[error("the answer to {0} is not that of this card")]
    NotGenuine(&'static str),
    /// The card is lost.
    #[error(transparent)]
    Lost(#[from] Lost),
}

/// A security module that holds what diversifies to one card's keys.
pub struct Psam {
    keys: CardKeys,
    random: Random,
    drawn: u64,
}

impl Psam {
    /// A module for a card with these keys; its random numbers are a function of
    /// the seed.
    #[must_use]
    pub fn new(keys: CardKeys, seed: u64) -> Psam {
        let seed = u128::from(seed) ^ u128::from_be_bytes(*b"terminal random.");
        Psam {
            keys,
            random: Random::new(&seed.to_be_bytes()),
            drawn: 0,
        }
    }

    /// The keys that it holds.
    #[must_use]
    pub const fn keys(&self) -> &CardKeys {
        &self.keys
    }

    /// Eight random bytes of the terminal.
    pub fn draw(&mut self) -> [u8; 8] {
        let mut bytes = [0; 8];
        self.drawn = self.random.fill(self.drawn, &mut bytes);
        bytes
    }

    /// The authentication code over `raw` in the session of `random`: what EXTERNAL
    /// AUTHENTICATION presents, and what INTERNAL AUTHENTICATION answers.
    #[must_use]
    pub fn code(&self, key: &str, version: u8, random: &[u8], raw: &[u8; 8]) -> Option<[u8; 8]> {
        let session = self.session(key, version, random)?;
        Some(derive::authenticate(&session, raw))
    }

    /// The data field of EXTERNAL AUTHENTICATION: code, `raw`, and the version where
    /// one is given; without, the card takes its key of version 01.
    #[must_use]
    pub fn external_data(
        &self,
        key: &str,
        version: Option<u8>,
        challenge: &[u8],
        raw: &[u8; 8],
    ) -> Option<Vec<u8>> {
        let code = self.code(key, version.unwrap_or(1), challenge, raw)?;
        let mut data = [code, *raw].concat();
        data.extend(version);
        Some(data)
    }

    /// The MAC of a command with secure messaging, by the maintenance key of this
    /// name; `data` goes into it as it is sent.
    #[must_use]
    pub fn mac(
        &self,
        key: &str,
        challenge: &[u8],
        header: [u8; 4],
        data: &[u8],
    ) -> Option<[u8; 4]> {
        let lc = u8::try_from(data.len() + 4).ok()?;
        let session = self.session(key, 1, challenge)?;
        Some(derive::mac(&session, &[&header, &[lc], data]))
    }

    /// A PIN, enciphered for PIN CHANGE/UNBLOCK by the maintenance key of this name;
    /// no digits for no PIN.
    #[must_use]
    pub fn pin_block(&self, key: &str, challenge: &[u8], pin: &str) -> Option<Vec<u8>> {
        let session = self.session(key, 1, challenge)?;
        let mut block = [0; 32];
        let len = derive::encipher(&session, &pin_bytes(pin)?, &mut block)?;
        block.get(..len).map(<[u8]>::to_vec)
    }

    /// The data field of a command with secure messaging: `data` and its MAC.
    #[must_use]
    pub fn sealed(
        &self,
        key: &str,
        challenge: &[u8],
        header: [u8; 4],
        data: &[u8],
    ) -> Option<Vec<u8>> {
        let mac = self.mac(key, challenge, header, data)?;
        Some([data, &mac].concat())
    }

    /// Authenticates to the card with the key of this name; gives the card's answer
    /// to EXTERNAL AUTHENTICATION.
    ///
    /// # Errors
    /// [`PsamError`] where it did not come to that.
    pub fn external_auth(
        &mut self,
        icc: &mut dyn Icc,
        key: &str,
        version: Option<u8>,
    ) -> Result<Sw, PsamError> {
        let missing = || PsamError::NoKey(key.to_owned(), version.unwrap_or(1));
        let kid = match self.keys.purpose(key) {
            Some(Purpose::ExternalAuthentication | Purpose::StartingDay) => self.keys.kid(key),
            _ => None,
        };
        let kid = kid.ok_or_else(missing)?;
        let challenge = challenge(icc)?;
        let raw = self.draw();
        let data = self.external_data(key, version, &challenge, &raw);
        let data = data.ok_or_else(missing)?;
        let command = Command::new(Class::BASIC, 0x82, 0x00, kid).with_data(&data);
        Ok(exchange(icc, &command)?.sw)
    }

    /// Has the card prove its IRK: its answer, and whether the proof was right.
    ///
    /// # Errors
    /// [`PsamError`] where it did not come to that.
    pub fn internal_auth(
        &mut self,
        icc: &mut dyn Icc,
        version: Option<u8>,
    ) -> Result<(Sw, bool), PsamError> {
        let (random, raw) = (self.draw(), self.draw());
        let expected = self.code("IRK", version.unwrap_or(1), &random, &raw);
        let expected =
            expected.ok_or_else(|| PsamError::NoKey("IRK".to_owned(), version.unwrap_or(1)))?;
        let mut data = [random, raw].concat();
        data.extend(version);
        let command = Command::new(Class::BASIC, 0x88, 0x00, 0x00).with_data(&data);
        let answer = exchange(icc, &command.expecting(256))?;
        Ok((answer.sw, equal(&answer.data, &expected)))
    }

    /// Unblocks the PIN and leaves it as it is; wants the right of PUK.
    ///
    /// # Errors
    /// [`PsamError`] where the command was not sent.
    pub fn unblock_pin(&mut self, icc: &mut dyn Icc) -> Result<Sw, PsamError> {
        self.send_sealed(icc, "STKSSSE", [0x84, 0x24, 0x00, 0x00])
    }

    /// Sets a new PIN, or none, and unblocks it; wants the right of PUK.
    ///
    /// # Errors
    /// [`PsamError`] where the command was not sent.
    pub fn set_pin(&mut self, icc: &mut dyn Icc, pin: &str) -> Result<Sw, PsamError> {
        pin_bytes(pin).ok_or(PsamError::NoPin)?;
        let key = "STKSSSE";
        let missing = || PsamError::NoKey(key.to_owned(), 1);
        let challenge = challenge(icc)?;
        let header = [0x84, 0x24, 0x00, 0x01];
        let block = self.pin_block(key, &challenge, pin).ok_or_else(missing)?;
        let data = self.sealed(key, &challenge, header, &block);
        send(icc, header, &data.ok_or_else(missing)?)
    }

    /// Blocks the current application for ever, by its maintenance key (`STKDF04`);
    /// wants the right of its key for that (`LKDF04`).
    ///
    /// # Errors
    /// [`PsamError`] where the command was not sent.
    pub fn block_application(&mut self, icc: &mut dyn Icc, key: &str) -> Result<Sw, PsamError> {
        self.send_sealed(icc, key, [0x84, 0x1E, 0x00, 0x01])
    }

    /// Blocks the card for ever; wants the right of BK.
    ///
    /// # Errors
    /// [`PsamError`] where the command was not sent.
    pub fn block_card(&mut self, icc: &mut dyn Icc) -> Result<Sw, PsamError> {
        self.send_sealed(icc, "STKSSSE", [0x84, 0x16, 0x00, 0x00])
    }

    /// Loads the account of the current application, at the host's end: checks MAC1,
    /// consents with MAC2, checks the TAC. The TAC.
    ///
    /// # Errors
    /// [`PsamError`] for the first thing that went wrong.
    pub fn load(&mut self, icc: &mut dyn Icc, load: &Load) -> Result<[u8; 4], PsamError> {
        let what = "INITIALIZE FOR LOAD";
        let answer = medical(icc, what, [0x28, 0x00, 0x01], &load.initialize_data())?;
        let offer = LoadOffer::parse(&answer).ok_or(PsamError::NotGenuine(what))?;
        let dlk = self.key_for(Purpose::Load, Some(load.index), offer.version)?;
        let genuine = load.mac1(dlk, &offer) == Some(offer.mac);
        let mac2 = load.mac2(dlk, &offer).filter(|_| genuine);
        let data = load.credit_data(mac2.ok_or(PsamError::NotGenuine(what))?);
        let what = "CREDIT FOR LOAD";
        let tac = medical(icc, what, [0x2A, 0x00, 0x00], &data)?;
        let expected = load.tac(self.key_for(Purpose::Tac, None, 1)?, &offer);
        let expected = expected.filter(|expected| tac == expected);
        expected.ok_or(PsamError::NotGenuine(what))
    }

    /// Pays from the account of the current application: sends MAC1, checks MAC2 and
    /// the TAC. The TAC.
    ///
    /// # Errors
    /// [`PsamError`] for the first thing that went wrong.
    pub fn purchase(
        &mut self,
        icc: &mut dyn Icc,
        purchase: &Purchase,
    ) -> Result<[u8; 4], PsamError> {
        let what = "INITIALIZE FOR PURCHASE";
        let answer = medical(icc, what, [0x28, 0x01, 0x01], &purchase.initialize_data())?;
        let offer = PurchaseOffer::parse(&answer).ok_or(PsamError::NotGenuine(what))?;
        let dpk = self.key_for(Purpose::Purchase, Some(purchase.index), offer.version)?;
        let mac1 = purchase.mac1(dpk, &offer);
        let data = purchase.debit_data(mac1.ok_or(PsamError::NotGenuine(what))?);
        let what = "DEBIT FOR PURCHASE";
        let answer = medical(icc, what, [0x2C, 0x01, 0x00], &data)?;
        let tac = purchase.tac(self.key_for(Purpose::Tac, None, 1)?);
        let expected = purchase.mac2(dpk, &offer).map(|mac2| [tac, mac2].concat());
        if expected.is_some_and(|expected| answer == expected) {
            Ok(tac)
        } else {
            Err(PsamError::NotGenuine(what))
        }
    }

    fn key_for(&self, purpose: Purpose, kid: Option<u8>, version: u8) -> Result<&Key, PsamError> {
        let name = self.keys.name(purpose, kid);
        let key = name.and_then(|name| self.keys.key(name, version));
        let missing = || PsamError::NoKey(name.unwrap_or("for this").to_owned(), version);
        key.ok_or_else(missing)
    }

    fn send_sealed(
        &mut self,
        icc: &mut dyn Icc,
        key: &str,
        header: [u8; 4],
    ) -> Result<Sw, PsamError> {
        let challenge = challenge(icc)?;
        let data = self.sealed(key, &challenge, header, &[]);
        let data = data.ok_or_else(|| PsamError::NoKey(key.to_owned(), 1))?;
        send(icc, header, &data)
    }

    fn session(&self, key: &str, version: u8, random: &[u8]) -> Option<Expanded> {
        let key = self.keys.key(key, version)?;
        Some(derive::session_key(&key.expand(), random)?.expand())
    }
}

/// The bytes of a PIN as VERIFY presents it: BCD, an odd digit filled up with F.
///
/// `None` where it is neither empty nor 4 to 16 digits.
#[must_use]
pub fn pin_bytes(pin: &str) -> Option<Vec<u8>> {
    let digits = pin.len();
    let decimal = pin.bytes().all(|digit| digit.is_ascii_digit());
    if !decimal || !matches!(digits, 0 | 4..=16) {
        return None;
    }
    encode::cn(pin, digits.div_ceil(2)).ok()
}

/// GET CHALLENGE of eight bytes.
///
/// # Errors
/// [`PsamError::NoChallenge`], [`PsamError::Lost`].
pub fn challenge(icc: &mut dyn Icc) -> Result<[u8; 8], PsamError> {
    let command = Command::new(Class::BASIC, 0x84, 0x00, 0x00).expecting(CHALLENGE_LEN);
    let answer = exchange(icc, &command)?;
    match answer.data.try_into() {
        Ok(challenge) if answer.sw == Sw::OK => Ok(challenge),
        _ => Err(PsamError::NoChallenge(answer.sw)),
    }
}

/// A medical command with an answer.
fn medical(
    icc: &mut dyn Icc,
    what: &'static str,
    [ins, p1, p2]: [u8; 3],
    data: &[u8],
) -> Result<Vec<u8>, PsamError> {
    let class = Class::new(0xB0).unwrap_or(Class::BASIC);
    let command = Command::new(class, ins, p1, p2).with_data(data);
    let answer = exchange(icc, &command.expecting(256))?;
    if answer.sw == Sw::OK {
        Ok(answer.data)
    } else {
        Err(PsamError::Refused(what, answer.sw))
    }
}

fn send(icc: &mut dyn Icc, header: [u8; 4], data: &[u8]) -> Result<Sw, PsamError> {
    let [cla, ins, p1, p2] = header;
    let class = Class::new(cla).unwrap_or(Class::BASIC);
    let command = Command::new(class, ins, p1, p2).with_data(data);
    Ok(exchange(icc, &command)?.sw)
}

#[cfg(test)]
mod tests {
    use super::{Psam, pin_bytes};
    use crate::hsm::CardKeys;
    use crate::profile::{Algorithm, Purpose};
    use cardlab::crypto::Key;

    const CHALLENGE: [u8; 8] = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88];
    const RAW: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

    /// A card with one key for everything, as in the table of vectors.
    fn psam(algorithm: Algorithm, key: &str) -> Psam {
        let key = Key::new(algorithm, &hex::decode(key).unwrap()).unwrap();
        let stk = key.left_half();
        let keys = [
            (
                "RK1DF01",
                Purpose::ExternalAuthentication,
                0x88,
                key.clone(),
            ),
            ("IRK", Purpose::InternalAuthentication, 0x00, key),
            ("STKSSSE", Purpose::Maintenance, 0x02, stk),
        ];
        Psam::new(CardKeys::of(algorithm, keys), 0)
    }

    #[test]
    fn what_it_computes_is_in_the_table_of_vectors() {
        let columns = [
            (
                Algorithm::Des,
                "6F870DE0E261C80A2FEE7F84C29B74F7",
                "C6942BB9F143F925",
                ["2249AA34", "42D8BEE0", "EAF05479"],
                "46F2BD0522349F2B1EDE6FE3",
            ),
            (
                Algorithm::Sm4,
                "AF1B417505A40D72700AD28A4D82A18E",
                "FB9EAA79A26A910B",
                ["1BC9B7FF", "4FCFEDB8", "B8208633"],
                "35D95514CDFC8EF9983A6D93CD97AC3A0BDD65EB",
            ),
        ];
        for (algorithm, key, code, macs, pin) in columns {
            let psam = psam(algorithm, key);
            let data = psam.external_data("RK1DF01", None, &CHALLENGE, &RAW);
            assert_eq!(
                hex::encode_upper(data.unwrap()),
                format!("{code}0102030405060708")
            );
            let headers = [
                [0x84, 0x16, 0x00, 0x00],
                [0x84, 0x1E, 0x00, 0x01],
                [0x84, 0x24, 0x00, 0x00],
            ];
            for (header, mac) in headers.into_iter().zip(macs) {
                let data = psam.sealed("STKSSSE", &CHALLENGE, header, &[]).unwrap();
                assert_eq!(hex::encode_upper(data), mac);
            }
            let block = psam.pin_block("STKSSSE", &CHALLENGE, "123456").unwrap();
            let header = [0x84, 0x24, 0x00, 0x01];
            let data = psam.sealed("STKSSSE", &CHALLENGE, header, &block).unwrap();
            assert_eq!(hex::encode_upper(data), pin);
        }
    }

    #[test]
    fn a_version_is_sent_where_one_is_asked_for() {
        let psam = psam(Algorithm::Des, "6F870DE0E261C80A2FEE7F84C29B74F7");
        let without = psam
            .external_data("RK1DF01", None, &CHALLENGE, &RAW)
            .unwrap();
        let with = psam
            .external_data("RK1DF01", Some(1), &CHALLENGE, &RAW)
            .unwrap();
        assert_eq!((without.len(), with.len(), with[16]), (16, 17, 1));
        assert_eq!(with[..16], without);
        assert!(
            psam.external_data("RK1DF01", Some(2), &CHALLENGE, &RAW)
                .is_none()
        );
        assert!(
            psam.external_data("RK1DF02", None, &CHALLENGE, &RAW)
                .is_none()
        );
    }

    #[test]
    fn a_pin_has_4_to_16_digits_or_none() {
        assert_eq!(pin_bytes("123456"), Some(vec![0x12, 0x34, 0x56]));
        assert_eq!(pin_bytes("12345"), Some(vec![0x12, 0x34, 0x5F]));
        assert_eq!(pin_bytes(""), Some(Vec::new()));
        for len in 0..20 {
            let pin = "7".repeat(len);
            assert_eq!(
                pin_bytes(&pin).is_some(),
                len == 0 || (4..=16).contains(&len)
            );
        }
        for bad in ["12A4", "１２３４", "12 34"] {
            assert_eq!(pin_bytes(bad), None);
        }
    }

    #[test]
    fn the_terminal_never_draws_the_same_twice() {
        let mut psam = psam(Algorithm::Sm4, "AF1B417505A40D72700AD28A4D82A18E");
        let drawn: std::collections::HashSet<_> = (0..1000).map(|_| psam.draw()).collect();
        assert_eq!(drawn.len(), 1000);
    }
}
