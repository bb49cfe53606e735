//! The terminal's security module as a card: the PSAM of the second connector.
//!
//! | command                 | bytes                                  | answer      |
//! |-------------------------|----------------------------------------|-------------|
//! | SELECT                  | 00 A4 00, 02 or 04                     | FCI         |
//! | READ BINARY, RECORD     | 00 B0, 00 B2                           | the data    |
//! | GET CHALLENGE           | 00 84 00 00 Le 04, 08 (DDF1: 10)       | random      |
//! | EXTERNAL AUTHENTICATION | 00 82 00 KID 10 code‖raw               | -           |
//! | CREATE KEY, CHANGE KEY  | 84 D4, 84 D5 usage id                  | -           |
//! | INITIALIZE ENVIRONMENT  | BF EC 00 00 01 province                | -           |
//! | DELIVERY SESSION KEY    | BF DE usage id, f3‖f2‖f1‖random        | -           |
//! | CIPHER DATA             | 80 FA P1 00, whole blocks              | see `session` |
//! | INIT SAM FOR PURCHASE   | 80 70 01 00                            | number 4, MAC1 4 |
//! | CREDIT SAM FOR PURCHASE | 80 72 00 00 04 MAC2                    | -           |
//!
//! It is an [`Icc`], and works with cards whose keys are from the same seed. `psam.rs` is
//! another thing: the same sums without a card, for who knows one card's keys by name.
//!
//! | file      | what                                            |
//! |-----------|-------------------------------------------------|
//! | `command` | bytes become an intent                          |
//! | `file`    | directories and files                           |
//! | `key`     | which keys, and their levels                    |
//! | `data`    | what is kept without power                      |
//! | `session` | a session key and CIPHER DATA                   |
//!
//! What the sources leave open is decided so:
//!
//! - DELIVERY and purchases want DF01, whose environment says which algorithm.
//! - A session or a purchase that was begun ends with SELECT, with BF EC, BF DE, 80 70 and
//!   with every command that fails; reading and GET CHALLENGE leave it.
//! - The number of a purchase is given with MAC1 and never again, whatever becomes of the
//!   purchase. FFFFFFFF is never given: '9402'.
//! - A wrong MAC2 is '63CX': sixteen wrong ones in a row, from 63CF to 63C0, and no
//!   purchase begins any more ('6983'). '9302' is not used.
//! - CREATE KEY and CHANGE KEY have no bytes in the sources: here 84 D4 and 84 D5, with
//!   version, algorithm (00, 01, 03) and key, enciphered as the data of guarded commands,
//!   and a MAC of 4 bytes over header and data. Both are under the master key itself, and
//!   the MAC's initial value is the last challenge. The right to write a key is proven
//!   before with the key of its owner, KID 01, 02 or 03; three wrong proofs lock that.
//! - No source names a key under which 0016, the terminal's number, is written once the
//!   PSAM was given out: no command writes it.
//! - The random number of a session has a block: 8 bytes, 16 for a 16-byte algorithm.
//! - An answer longer than Le is not cut: '6CXX', and the command is to be sent again.
//!
//! Source: social security card specification, part 9, 5 to 8 and annex B; part 7, 8.

mod command;
mod data;
mod file;
mod key;
mod session;

pub use key::{ADMINISTRATION, Level};

use crate::encode;
use crate::hsm::TestRoot;
use crate::medical::{Purchase, PurchaseOffer};
use crate::profile::Profile;
use cardlab::apdu::{Command, Sw};
use cardlab::crypto::{Algorithm, CbcMac, Key, Padding, derive, equal};
use cardlab::icc::{Icc, Lost};
use cardlab::memory::Cut;
use command::{Intent, Step, Target, Wanted};
use data::{Contents, Data, PROOFS_MAX, TRIES_MAX};
use file::{Directory, Ef, Found};
use key::SamKey;
use session::Session;

/// T=0, and historical bytes that name it.
const ATR: &[u8; 12] = b"\x3B\x68\x00\x00cardSAM\x01";

/// What tells one PSAM from another.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Outfit {
    /// Who gave it out.
    pub level: Level,
    /// The terminal's number.
    pub terminal: [u8; 6],
    /// The index of the card's purchase key that it has.
    pub purchase_index: u8,
    /// The version of the card's authentication keys that it has, from 1; of a key with
    /// fewer versions the last.
    pub key_version: u8,
}

impl Outfit {
    /// One of this level for a terminal of the profile's region: key index and version
    /// 1, the terminal's number the region and 000001.
    #[must_use]
    pub const fn of(profile: &Profile, level: Level) -> Outfit {
        let [a, b, c] = profile.region;
        Outfit {
            level,
            terminal: [a, b, c, 0x00, 0x00, 0x01],
            purchase_index: 1,
            key_version: 1,
        }
    }
}

/// A PSAM.
pub struct Sam {
    data: Data,
    powered: bool,
    place: Place,
    state: State,
    /// The last random number that was given, until it is used.
    challenge: Option<Challenge>,
    /// What was proven in this environment, by KID.
    proven: [bool; 4],
}

/// A random number, filled up with '00'.
#[derive(Clone, Copy)]
struct Challenge {
    len: usize,
    bytes: [u8; 16],
}

/// What is current.
#[derive(Clone, Copy)]
struct Place {
    directory: Directory,
    ef: Option<Ef>,
}

impl Place {
    const ROOT: Place = Place {
        directory: Directory::ROOT,
        ef: None,
    };
}

/// What the next command can go on with.
enum State {
    Idle,
    Session(Session),
    /// A purchase for which MAC1 was given: the code of the card that ends it.
    Purchase([u8; 4]),
}

impl Sam {
    /// The PSAM for the cards of this profile, with keys from the test root of a seed and
    /// without power. It has the environment of DES, and where the profile's cards are of
    /// SM4 that of 16-byte algorithms besides.
    ///
    /// `None` where the profile has more keys than the PSAM has room for, or its region
    /// has digits that are none.
    #[must_use]
    pub fn issue(profile: &Profile, seed: u64, outfit: &Outfit) -> Option<Sam> {
        let root = TestRoot::from_seed(seed);
        let algorithms = match profile.algorithm {
            Algorithm::Des => &[Algorithm::Des][..],
            Algorithm::Sm4 => &[Algorithm::Des, Algorithm::Sm4],
        };
        let held = (outfit.purchase_index, outfit.key_version);
        let tables = algorithms.iter().map(|&algorithm| {
            let keys = key::table(profile, algorithm, root, outfit.level, held)?;
            Some((algorithm, keys))
        });
        let [province, ..] = profile.region;
        let mut information = [0; 15];
        let serial = encode::cn(&format!("{seed:020}"), 10).ok()?;
        let all = [&[province][..], &serial, &[0x01, 0x01, 0x00, 0x00]].concat();
        information.copy_from_slice(all.get(..15)?);
        let contents = Contents {
            seed: (u128::from(seed) ^ u128::from_be_bytes(*b"PSAM random bits")).to_be_bytes(),
            levels: outfit.level.levels(),
            information,
            terminal: outfit.terminal,
            keys_information: [
                outfit.purchase_index,
                outfit.key_version,
                0x20,
                0x20,
                0x01,
                0x01,
                0x20,
                0x99,
                0x12,
                0x31,
            ],
            tables: tables.collect::<Option<_>>()?,
        };
        Some(Sam {
            data: Data::new(&contents)?,
            powered: false,
            place: Place::ROOT,
            state: State::Idle,
            challenge: None,
            proven: [false; 4],
        })
    }

    /// A second PSAM that keeps what this one does, and is without power.
    #[must_use]
    pub fn fork(&mut self) -> Sam {
        Sam {
            data: self.data.fork(),
            powered: false,
            place: Place::ROOT,
            state: State::Idle,
            challenge: None,
            proven: [false; 4],
        }
    }

    /// Cuts the power at a write to come; the next [`power_on`](Icc::power_on) gives it
    /// back.
    pub fn cut(&mut self, cut: Cut) {
        let medium = self.data.memory.medium_mut();
        medium.restore();
        medium.arm(cut);
    }

    /// How many physical writes the memory has made.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.data.memory.medium().writes()
    }

    fn start(&mut self) -> Result<Vec<u8>, Lost> {
        self.place = Place::ROOT;
        self.state = State::Idle;
        self.leave();
        self.powered = true;
        self.check_power()?;
        Ok(ATR.to_vec())
    }

    /// Forgets what holds in one environment only.
    const fn leave(&mut self) {
        self.challenge = None;
        self.proven = [false; 4];
    }

    fn check_power(&mut self) -> Result<(), Lost> {
        if self.data.memory.medium().is_cut() {
            self.powered = false;
            return Err(Lost::NoPower);
        }
        Ok(())
    }

    fn answer(&mut self, bytes: &[u8], out: &mut Vec<u8>) -> Result<(), Sw> {
        let command = Command::parse(bytes).map_err(|malformed| malformed.sw())?;
        let intent = Intent::try_from(&command)?;
        let ne = command.ne;
        match intent {
            Intent::Select { target, quiet } => {
                self.state = State::Idle;
                self.select(&target)?;
                if !quiet && self.place.ef.is_none() {
                    self.place.directory.fci(out);
                }
            }
            Intent::ReadBinary { sfi, offset } => {
                return self.read_binary(sfi, offset, ne, out);
            }
            Intent::ReadRecord { sfi, number } => self.read_record(sfi, number, out)?,
            Intent::GetChallenge => return self.draw(ne, out),
            Intent::ExternalAuthenticate { kid, code, raw } => {
                self.authenticate(kid, &code, &raw)?;
            }
            Intent::WriteKey {
                new,
                usage,
                id,
                head,
                key,
                mac,
            } => {
                self.state = State::Idle;
                self.write_key(new, (usage, id), &head, key, mac)?;
            }
            Intent::InitializeEnvironment { province } => {
                self.state = State::Idle;
                self.initialize_environment(province)?;
            }
            Intent::Deliver { usage, id, data } => {
                self.state = State::Idle;
                self.state = State::Session(self.deliver(usage, id, data)?);
            }
            Intent::Cipher { step, data } => self.cipher(step, data, out)?,
            Intent::InitializePurchase(wanted) => {
                self.state = State::Idle;
                let (mac2, answer) = self.initialize_purchase(&wanted)?;
                out.extend(answer);
                self.state = State::Purchase(mac2);
            }
            Intent::CreditPurchase { mac2 } => self.credit_purchase(mac2)?,
        }
        match u32::try_from(out.len()) {
            // A case 1 or case 3 command has no answer data.
            _ if ne == 0 => out.clear(),
            Ok(len) if len <= ne => {}
            _ => return Err(Sw::wrong_le(out.len())),
        }
        Ok(())
    }

    /// # Errors
    /// '6A82'; all stays as it was.
    fn select(&mut self, target: &Target<'_>) -> Result<(), Sw> {
        let (directory, sixteen) = (self.place.directory, self.data.has_sixteen());
        let found = match *target {
            Target::Fid(fid) => directory.find(fid, sixteen)?,
            Target::ChildFile(fid) => Found::Ef(directory.ef(fid)?),
            Target::Name(name) => Found::Directory(directory.by_name(name, sixteen)?),
        };
        if let Found::Directory(chosen) = found
            && chosen != directory
        {
            self.leave();
        }
        self.place = match found {
            Found::Directory(directory) => Place {
                directory,
                ef: None,
            },
            Found::Ef(ef) => Place {
                directory,
                ef: Some(ef),
            },
        };
        Ok(())
    }

    /// The EF of a short identifier, or the current one.
    ///
    /// # Errors
    /// '6A82', '6986'.
    fn ef(&mut self, sfi: Option<u8>) -> Result<Ef, Sw> {
        if let Some(sfi) = sfi {
            self.place.ef = Some(self.place.directory.ef(u16::from(sfi))?);
        }
        self.place.ef.ok_or(Sw::NO_CURRENT_EF)
    }

    /// # Errors
    /// '6A82', '6986', '6981', '6B00', '6CXX' where Le is more than there is.
    fn read_binary(
        &mut self,
        sfi: Option<u8>,
        offset: u16,
        ne: u32,
        out: &mut Vec<u8>,
    ) -> Result<(), Sw> {
        let Ef::Transparent(field) = self.ef(sfi)? else {
            return Err(Sw::INCOMPATIBLE_WITH_FILE_STRUCTURE);
        };
        let rest = field.len.checked_sub(offset).filter(|&rest| rest > 0);
        let rest = rest.ok_or(Sw::OFFSET_OUTSIDE_EF)?;
        let len = match u16::try_from(ne) {
            _ if ne == 256 => rest,
            Ok(len) if len <= rest => len,
            _ => return Err(Sw::wrong_le(usize::from(rest))),
        };
        self.data.append_to(field, offset, len, out);
        Ok(())
    }

    /// # Errors
    /// '6A82', '6986', '6981', '6A83'.
    fn read_record(&mut self, sfi: Option<u8>, number: u8, out: &mut Vec<u8>) -> Result<(), Sw> {
        match self.ef(sfi)? {
            Ef::Dir => self
                .place
                .directory
                .entry(number, self.data.has_sixteen(), out),
            Ef::Transparent(_) => Err(Sw::INCOMPATIBLE_WITH_FILE_STRUCTURE),
        }
    }

    /// GET CHALLENGE.
    ///
    /// # Errors
    /// '6700' where Le is not 04 or 08, or 10 where the algorithm has blocks of 16 bytes.
    fn draw(&mut self, ne: u32, out: &mut Vec<u8>) -> Result<(), Sw> {
        let block_len = self.place.directory.algorithm().block_len();
        let len = match ne {
            4 => 4,
            8 => 8,
            16 if block_len == 16 => 16,
            _ => return Err(Sw::WRONG_LENGTH),
        };
        let mut bytes = [0; 16];
        let drawn = bytes.get_mut(..len).unwrap_or_default();
        self.data.draw(drawn);
        out.extend_from_slice(drawn);
        self.challenge = Some(Challenge { len, bytes });
        Ok(())
    }

    /// EXTERNAL AUTHENTICATION, as a card's.
    ///
    /// # Errors
    /// '6A88' where the environment has no such key, '6983' with no tries left, '6984'
    /// without a challenge, '63CX'.
    fn authenticate(&mut self, kid: u8, code: &[u8; 8], raw: &[u8; 8]) -> Result<(), Sw> {
        let challenge = self.challenge.take();
        let key = self.data.key(self.place.directory.algorithm(), |key| {
            key.is_administration(kid)
        });
        let key = key.ok_or(Sw::REFERENCE_DATA_NOT_FOUND)?.key;
        let left = self.data.proofs(kid).checked_sub(1);
        let left = left.ok_or(Sw::METHOD_BLOCKED)?;
        let challenge = challenge.ok_or(Sw::REFERENCE_DATA_NOT_USABLE)?;
        let random = challenge.bytes.get(..challenge.len).unwrap_or_default();
        let session = derive::session_key(&key.expand(), random);
        let session = session.ok_or(Sw::REFERENCE_DATA_NOT_USABLE)?;
        self.data.set_proofs(kid, left);
        if !equal(&derive::authenticate(&session.expand(), raw), code) {
            return Err(Sw::tries_left(left));
        }
        self.data.set_proofs(kid, PROOFS_MAX);
        if let Some(proven) = self.proven.get_mut(usize::from(kid)) {
            *proven = true;
        }
        Ok(())
    }

    /// CREATE KEY and CHANGE KEY.
    ///
    /// # Errors
    /// '6985' outside of DF01, '6A80' for an identifier that is none's, '6982' where its
    /// owner has proven nothing, '6984' without a challenge, '6988' for a wrong MAC,
    /// '6A80' where it does not decipher to a key for this usage; then '6A89', '6A88' and
    /// '6A84'.
    fn write_key(
        &mut self,
        new: bool,
        (usage, id): (u8, u8),
        head: &[u8; 5],
        enciphered: &[u8],
        mac: [u8; 4],
    ) -> Result<(), Sw> {
        let challenge = self.challenge.take();
        let algorithm = self.application()?;
        let owner = key::owner(id).ok_or(Sw::WRONG_DATA)?;
        if self.proven.get(usize::from(owner)) != Some(&true) {
            return Err(Sw::SECURITY_NOT_SATISFIED);
        }
        let challenge = challenge.ok_or(Sw::REFERENCE_DATA_NOT_USABLE)?;
        let master = self.data.key(algorithm, |key| key.is_administration(0));
        let master = master.ok_or(Sw::REFERENCE_DATA_NOT_FOUND)?.key.expand();
        let expected = CbcMac::retail(&master)
            .with_iv(&challenge.bytes)
            .chain(head)
            .chain(enciphered)
            .finish(Padding::M2);
        if !equal(&expected.folded(), &mac) {
            return Err(Sw::SM_OBJECT_WRONG);
        }
        let mut plain = [0; 256];
        let plain = plain.get_mut(..enciphered.len()).ok_or(Sw::WRONG_DATA)?;
        plain.copy_from_slice(enciphered);
        let key = derive::decipher(&master, plain)
            .and_then(|plain| SamKey::parse(usage, id, plain, algorithm));
        self.data
            .write_key(algorithm, &key.ok_or(Sw::WRONG_DATA)?, new)
    }

    /// A national PSAM takes every province, another only its own.
    ///
    /// # Errors
    /// '6A80'.
    fn initialize_environment(&self, province: u8) -> Result<(), Sw> {
        let [own] = self.data.get(data::PROVINCE);
        let national = self.data.levels() == Level::National.levels();
        if national || own == province {
            Ok(())
        } else {
            Err(Sw::WRONG_DATA)
        }
    }

    /// The environment's algorithm, in DF01.
    ///
    /// # Errors
    /// '6985' elsewhere.
    const fn application(&self) -> Result<Algorithm, Sw> {
        match self.place.directory {
            Directory::Application(algorithm) => Ok(algorithm),
            Directory::Environment(_) => Err(Sw::CONDITIONS_NOT_MET),
        }
    }

    /// DELIVERY SESSION KEY.
    ///
    /// # Errors
    /// '6985' outside of DF01, '6A88' where there is no such key for this, '6A80' where
    /// the usage's levels are not the key's, '6700' where the data are not a factor for
    /// each level and a block.
    fn deliver(&self, usage: u8, id: u8, data: &[u8]) -> Result<Session, Sw> {
        let algorithm = self.application()?;
        let uses = key::uses_of(usage);
        let key = uses.and_then(|uses| self.data.key(algorithm, |key| key.serves(id, uses)));
        let (Some(uses), Some(key)) = (uses, key) else {
            return Err(Sw::REFERENCE_DATA_NOT_FOUND);
        };
        let levels = key::levels_of(usage);
        if levels != key.levels() {
            return Err(Sw::WRONG_DATA);
        }
        let split = data.split_at_checked(usize::from(levels) * 8);
        let (factors, random) = split.ok_or(Sw::WRONG_LENGTH)?;
        if random.len() != algorithm.block_len() {
            return Err(Sw::WRONG_LENGTH);
        }
        let key = down(key.key, factors.as_chunks().0);
        let session = derive::session_key(&key.expand(), random).ok_or(Sw::WRONG_LENGTH)?;
        Ok(Session::new(session, uses))
    }

    /// CIPHER DATA.
    ///
    /// # Errors
    /// '6901' without a session, then those of [`Session::step`].
    fn cipher(&mut self, step: Step, data: &[u8], out: &mut Vec<u8>) -> Result<(), Sw> {
        match core::mem::replace(&mut self.state, State::Idle) {
            State::Session(session) => {
                if let Some(session) = session.step(step, data, out)? {
                    self.state = State::Session(session);
                }
                Ok(())
            }
            State::Idle | State::Purchase(_) => Err(Sw::COMMAND_NOT_ACCEPTED),
        }
    }

    /// INIT SAM FOR PURCHASE: the MAC2 to expect, and the number with MAC1.
    ///
    /// # Errors
    /// '6985' outside of DF01, '6983' after too many wrong MAC2, '9403' where there is no
    /// purchase key of this version and algorithm, '6A80' where there are not as many
    /// factors as it has levels, '9402'.
    fn initialize_purchase(&mut self, wanted: &Wanted<'_>) -> Result<([u8; 4], [u8; 8]), Sw> {
        let algorithm = self.application()?;
        if self.data.tries() == 0 {
            return Err(Sw::METHOD_BLOCKED);
        }
        let key = self
            .data
            .key(algorithm, |key| key.is_for_purchases(wanted.version))
            .filter(|key| key::code(key.key.cipher()) == wanted.algorithm)
            .ok_or(Sw::KEY_INDEX_NOT_SUPPORTED)?;
        if wanted.factors.len() != usize::from(key.levels()) {
            return Err(Sw::WRONG_DATA);
        }
        let dpk = down(key.key, wanted.factors);
        let number = self.data.next_number()?;
        let purchase = Purchase {
            index: 0,
            amounts: wanted.amounts,
            terminal: self.data.get(data::TERMINAL),
            terminal_number: number,
            time: wanted.time,
        };
        let offer = PurchaseOffer {
            number: wanted.number,
            random: wanted.random,
            version: wanted.version,
            algorithm: wanted.algorithm,
            ..PurchaseOffer::default()
        };
        let macs = purchase.mac1(&dpk, &offer).zip(purchase.mac2(&dpk, &offer));
        let (mac1, mac2) = macs.ok_or(Sw::KEY_INDEX_NOT_SUPPORTED)?;
        let [a, b, c, d] = number;
        let [e, f, g, h] = mac1;
        Ok((mac2, [a, b, c, d, e, f, g, h]))
    }

    /// CREDIT SAM FOR PURCHASE.
    ///
    /// # Errors
    /// '6901' without a purchase, '63CX' for a wrong code.
    fn credit_purchase(&mut self, mac2: [u8; 4]) -> Result<(), Sw> {
        let State::Purchase(expected) = core::mem::replace(&mut self.state, State::Idle) else {
            return Err(Sw::COMMAND_NOT_ACCEPTED);
        };
        // Counted before it is compared: power that goes in between costs a try.
        let left = self.data.tries().saturating_sub(1);
        self.data.set_tries(left);
        if equal(&mac2, &expected) {
            self.data.set_tries(TRIES_MAX);
            Ok(())
        } else {
            Err(Sw::tries_left(left))
        }
    }
}

/// A key down to the card; the factors come from the card up.
fn down(key: Key, factors: &[[u8; 8]]) -> Key {
    factors
        .iter()
        .rev()
        .fold(key, |key, factor| derive::diversify(&key.expand(), factor))
}

impl Icc for Sam {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        if self.data.memory.medium().is_cut() {
            self.data.memory.medium_mut().restore();
        }
        self.data.memory.recover();
        let atr = self.start()?;
        self.data.memory.medium_mut().disarm();
        Ok(atr)
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        if !self.powered {
            return Err(Lost::NoPower);
        }
        self.start()
    }

    fn power_off(&mut self) {
        self.powered = false;
        self.state = State::Idle;
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        response.clear();
        if !self.powered {
            return Err(Lost::NoPower);
        }
        let answered = self.answer(command, response);
        self.check_power().inspect_err(|_| response.clear())?;
        let answered = match self.data.memory.take_fault() {
            Some(_) => Err(Sw::MEMORY_FAILURE),
            None => answered,
        };
        let sw = match answered {
            Ok(()) => Sw::OK,
            Err(sw) => {
                self.state = State::Idle;
                response.clear();
                sw
            }
        };
        response.extend(sw.0.to_be_bytes());
        Ok(())
    }
}
