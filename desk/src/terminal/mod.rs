//! The terminal: the functions of the national reader interface, over any card.
//!
//! | function         | here                     | file   |
//! |------------------|--------------------------|--------|
//! | iReadCardBas     | [`Terminal::read_base`]  | `read` |
//! | iReadCard        | [`Terminal::read`]       | `read` |
//! | iWriteCard       | [`Terminal::write`]      | `write` |
//! | iVerifyPIN       | [`Terminal::verify_pin`] | `pin`  |
//! | iChangePIN       | [`Terminal::change_pin`] | `pin`  |
//! | iReloadPIN       | [`Terminal::reload_pin`] | `pin`  |
//! | iUnblockPIN      | [`Terminal::unblock_pin`] | `pin` |
//! | iDoDebit         | [`Terminal::debit`]      | `pay`  |
//! | iReadDebitRecord | [`Terminal::debit_records`] | `pay` |
//! | load, pulled card | [`Terminal::load`], [`Terminal::recover`] | `pay` |
//!
//! Each function is whole: it gives the card power, selects the SSSE, finds algorithm and
//! version, has the card prove its issuer, looks whether the card is to be served here,
//! and then does what it is for. The security module is any [`SecurityModule`]: a PSAM in
//! the second connector, or an HSM.
//!
//! ```text
//! power ─► SELECT SSSE ─► algorithm (9F0C/86) ─► EF05 ─► INTERNAL AUTHENTICATION
//!       ─► blacklist, institution, class, expiry ─► keys, then PIN ─► the function
//! ```
//!
//! What is where on a card, and which key opens it, stands in a [`Layouts`]: one profile
//! for each version of the card specification.
//!
//! Source: 38号文 (reader interface), on LD/T 33-2015; social security card
//! specification, part 7, 4 to 14.

mod address;
mod blacklist;
mod failure;
mod hsm;
mod module;
mod pay;
mod pin;
mod psam;
mod read;
mod write;

pub use address::{Address, AddressError, Data, FileAddress, FileData, ItemAddress, JOINTS};
pub use blacklist::{Blacklist, BlacklistError};
pub use failure::Failure;
pub use hsm::{HsmError, HsmLink, HsmModule, TestHsm};
pub use module::{Ask, CardAlgorithm, Identity, Seal, SecurityModule};
pub use pay::{DebitRecord, Host, Payment, Pending, Receipt, TestHost};
pub use psam::PsamModule;
pub use read::BaseData;

use crate::encode::{self, hexadecimal};
use crate::numbers;
use crate::profile::{Directory, File, Key, Kind, Profile, Report, Rule, SpecVersion};
use crate::wire::{self, Answer};
use cardlab::apdu::{Class, Command, Sw};
use cardlab::crypto::derive::Region;
use cardlab::crypto::equal;
use cardlab::icc::Icc;
use cardlab::link::atr::Atr;
use cardlab::tlv::{self, Simple, tag};

/// The environment that every social security card has.
const SSSE: &str = "SSSE";
/// Its name, "sx1.sh.社会保障".
const SSSE_NAME: &[u8] = b"sx1.sh.\xC9\xE7\xBB\xE1\xB1\xA3\xD5\xCF";
/// The issuer's data.
const EF_05_ISSUER: u16 = 0xEF05;
/// The application identifier in the middle of each recognition code.
const RID: [u8; 5] = [0xD1, 0x56, 0x00, 0x00, 0x05];

/// What is where on a card of each version, and which key opens it.
#[derive(Clone, Debug)]
pub struct Layouts([Profile; 3]);

impl Layouts {
    /// The national layouts.
    ///
    /// # Errors
    /// What is wrong with a shipped profile.
    pub fn national() -> Result<Layouts, Report> {
        Ok(Layouts([
            Profile::load("national-1.0")?,
            Profile::load("national-2.0")?,
            Profile::load("national-3.0")?,
        ]))
    }

    /// The same, with another layout for the version of this profile.
    #[must_use]
    pub fn with(mut self, profile: Profile) -> Layouts {
        let version = profile.version;
        for layout in &mut self.0 {
            if layout.version == version {
                profile.clone_into(layout);
            }
        }
        self
    }

    /// The layout of a version.
    #[must_use]
    pub const fn of(&self, version: SpecVersion) -> &Profile {
        let [first, second, third] = &self.0;
        match version {
            SpecVersion::V1 => first,
            SpecVersion::V2 => second,
            SpecVersion::V3 => third,
        }
    }

    /// All three.
    #[must_use]
    pub const fn all(&self) -> &[Profile] {
        &self.0
    }
}

/// Which cards are served, and what the caller and the holder gave.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Policy {
    /// Cards that are refused.
    pub blacklist: Blacklist,
    /// Today, YYYYMMDD; without it no card has expired.
    pub today: Option<String>,
    /// The institution numbers that are served, by their first digits; all where none.
    pub institutions: Vec<String>,
    /// The card classes that are served; all where none.
    pub classes: Vec<String>,
    /// What the caller says of the card: the output of iReadCardBas or the beginning of
    /// it. Region, card number and recognition code in it must be the card's; an empty
    /// one is not compared.
    pub card_info: Option<String>,
    /// What the holder keys in at the PIN pad; nothing where they do not.
    pub pin: Option<String>,
    /// The initial PIN transacts all the same, where the layout says that the terminal
    /// sees to its first change.
    pub initial_pin_transacts: bool,
    /// A card of 1.0 is used again: an item whose tag 2.0 gave another meaning is written
    /// with that one, filled right with 'E'.
    pub reuse: bool,
    /// The number of the terminal as a device.
    pub device: String,
}

/// How a file is opened that the PIN or a key opens: iAuthType.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AuthType {
    /// 1: the PIN.
    #[default]
    Pin,
    /// 2: the reading key.
    Key,
}

/// What a terminal has read of a card before it does anything with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// What a security module must know of it.
    pub identity: Identity,
    /// The version of its layout.
    pub version: SpecVersion,
    /// The version as it stands on the card, `2.00`.
    pub version_text: String,
    /// Its class.
    pub class: String,
    /// The number of the institution that initialised it.
    pub institution: String,
    /// The day of its issue.
    pub issued: String,
    /// The last day of its validity.
    pub expires: String,
    /// Its number.
    pub card_number: String,
}

/// A card in a terminal, from power on to the end of the function.
struct Visit {
    facts: Facts,
    /// The label of the current directory.
    current: String,
    /// The names of the keys whose rights stand.
    rights: Vec<String>,
    /// Whether the PIN's right stands.
    pin: bool,
}

/// A terminal with a card and a security module.
pub struct Terminal<'t> {
    card: &'t mut dyn Icc,
    module: &'t mut dyn SecurityModule,
    layouts: &'t Layouts,
    policy: Policy,
    pending: Option<Pending>,
    /// Whether the initial PIN was presented to a card that opens nothing by it.
    opens_nothing: bool,
}

impl<'t> Terminal<'t> {
    /// A terminal that knows cards by these layouts.
    pub const fn new(
        card: &'t mut dyn Icc,
        module: &'t mut dyn SecurityModule,
        layouts: &'t Layouts,
        policy: Policy,
    ) -> Terminal<'t> {
        Terminal {
            card,
            module,
            layouts,
            policy,
            pending: None,
            opens_nothing: false,
        }
    }

    /// What must be asked of the card when it is put in again: the last load or purchase,
    /// where its answer did not come.
    #[must_use]
    pub const fn pending(&self) -> Option<&Pending> {
        self.pending.as_ref()
    }

    /// Sends a command.
    fn send(&mut self, header: [u8; 4], data: &[u8], ne: u32) -> Result<Answer, Failure> {
        let [cla, ins, p1, p2] = header;
        let class = Class::new(cla).unwrap_or(Class::BASIC);
        let command = Command::new(class, ins, p1, p2)
            .with_data(data)
            .expecting(ne);
        Ok(wire::exchange(self.card, &command)?)
    }

    /// Sends a command that the card is to take.
    fn ask(
        &mut self,
        what: &'static str,
        header: [u8; 4],
        data: &[u8],
        ne: u32,
    ) -> Result<Vec<u8>, Failure> {
        let answer = self.send(header, data, ne)?;
        match answer.sw {
            Sw::OK => Ok(answer.data),
            sw => Err(self.refused(what, sw)),
        }
    }

    /// Why the card may have refused a command.
    const fn refused(&self, what: &'static str, sw: Sw) -> Failure {
        if self.opens_nothing && sw.0 == Sw::CONDITIONS_NOT_MET.0 {
            Failure::FirstChange(what, sw)
        } else {
            Failure::Card(what, sw)
        }
    }

    fn challenge(&mut self) -> Result<[u8; 8], Failure> {
        let drawn = self.ask("GET CHALLENGE", [0x00, 0x84, 0x00, 0x00], &[], 8)?;
        drawn
            .try_into()
            .map_err(|_| Failure::Malformed("8 random bytes"))
    }

    /// Power, selection, and what EF05 says: nothing is proven yet.
    fn look(&mut self) -> Result<Visit, Failure> {
        self.opens_nothing = false;
        let atr = self.card.power_on().map_err(Failure::NoCard)?;
        let atr = Atr::parse(&atr).map_err(|_| Failure::WrongCardType)?;
        let historical = atr.historical().try_into();
        let historical = historical.map_err(|_| Failure::WrongCardType)?;
        let fci = self.send([0x00, 0xA4, 0x04, 0x00], SSSE_NAME, 256)?;
        match fci.sw {
            Sw::OK => {}
            Sw::FILE_NOT_FOUND => return Err(Failure::WrongCardType),
            sw => return Err(Failure::Card("SELECT", sw)),
        }
        self.select_file(EF_05_ISSUER)?;
        let code: [u8; 16] = self
            .record(0x01, 0x00, 16)?
            .1
            .try_into()
            .map_err(|_| Failure::RecognitionCode)?;
        let (region, rest) = code.split_first_chunk().unwrap_or((&[0; 3], &[]));
        let region = Region::from_bcd(*region).filter(|_| rest.starts_with(&RID));
        let region = region.ok_or(Failure::RecognitionCode)?;
        let version_text = self.text(0x03, 4)?;
        let version = match version_text.get(..3).unwrap_or(&version_text) {
            "" | "1.0" => SpecVersion::V1,
            "2.0" => SpecVersion::V2,
            "3.0" => SpecVersion::V3,
            _ => return Err(Failure::WrongCardType),
        };
        let facts = Facts {
            identity: Identity {
                region,
                historical,
                algorithm: algorithm(&fci.data, region)?,
                recognition_code: code,
            },
            version,
            version_text,
            card_number: self.text(0x07, 9)?,
            class: self.text(0x02, 1)?,
            institution: self.digits(0x04, 12)?,
            issued: self.digits(0x05, 4)?,
            expires: self.digits(0x06, 4)?,
        };
        Ok(Visit {
            facts,
            current: SSSE.to_owned(),
            rights: Vec::new(),
            pin: false,
        })
    }

    /// The same, and the card has proven its issuer and is to be served.
    ///
    /// With `cardholder`, the right to read the cardholder's data of 3.0 is won, too: an
    /// HSM is asked for both codes at once.
    fn begin(&mut self, cardholder: bool) -> Result<Visit, Failure> {
        let mut visit = self.look()?;
        let layout = self.layouts.of(visit.facts.version);
        let key = |name: &str| {
            let key = layout.key(name).map(|(_, key)| key);
            key.ok_or_else(|| Failure::NoKey(name.to_owned()))
        };
        let [random, raw] = match self.module.random()? {
            Some(randoms) => randoms,
            None => {
                let raw = self.challenge()?;
                [self.challenge()?, raw]
            }
        };
        let irk = key("IRK")?;
        let header = [0x00, 0x88, 0x00, irk.kid];
        let what = "INTERNAL AUTHENTICATION";
        let proof = self.ask(what, header, &[random, raw].concat(), 256)?;
        let internal = Ask {
            key: irk,
            random,
            raw,
        };
        let codes = if cardholder && visit.facts.version == SpecVersion::V3 {
            let rksse = key("RKSSSE")?;
            let external = self.prepare(rksse)?;
            let identity = &visit.facts.identity;
            let codes = self.module.authenticate(identity, &[internal, external])?;
            if let Some(code) = codes.get(1)
                && codes.first().is_some_and(|code| equal(&proof, code))
            {
                self.present(rksse, *code, external.raw)?;
                visit.rights.push(rksse.name.clone());
            }
            codes
        } else {
            self.module
                .authenticate(&visit.facts.identity, &[internal])?
        };
        if !codes.first().is_some_and(|code| equal(&proof, code)) {
            return Err(Failure::NotGenuine);
        }
        self.judge(&visit.facts)?;
        Ok(visit)
    }

    /// Whether the card is to be served here.
    ///
    /// # Errors
    /// [`Failure::Differs`], [`Failure::Blacklisted`], [`Failure::Institution`],
    /// [`Failure::Class`], [`Failure::Expired`].
    fn judge(&self, facts: &Facts) -> Result<(), Failure> {
        let policy = &self.policy;
        let code = hexadecimal(&facts.identity.recognition_code);
        if let Some(info) = &policy.card_info {
            let mut said = info.split('|');
            let region = facts.identity.region_digits();
            let known = [
                (Some(&region), "the region"),
                (None, "the social security number"),
                (Some(&facts.card_number), "the card number"),
                (Some(&code), "the recognition code"),
            ];
            for (value, what) in known {
                let said = said.next().unwrap_or_default();
                if value.is_some_and(|value| !said.is_empty() && value != said) {
                    return Err(Failure::Differs(what));
                }
            }
        }
        if policy.blacklist.has(&code, &facts.card_number) {
            return Err(Failure::Blacklisted);
        }
        let served = |list: &[String], value: &str| {
            list.is_empty() || list.iter().any(|begins| value.starts_with(&**begins))
        };
        if !served(&policy.institutions, &facts.institution) {
            return Err(Failure::Institution(facts.institution.clone()));
        }
        if !served(&policy.classes, &facts.class) {
            return Err(Failure::Class(facts.class.clone()));
        }
        // A field that is no date decides nothing: cards with such are about.
        match &policy.today {
            Some(today) if numbers::is_date(&facts.expires) && *today > facts.expires => {
                Err(Failure::Expired(facts.expires.clone()))
            }
            _ => Ok(()),
        }
    }

    /// Draws what a key is authenticated with.
    fn prepare<'k>(&mut self, key: &'k Key) -> Result<Ask<'k>, Failure> {
        let raw = self.challenge()?;
        let random = self.challenge()?;
        Ok(Ask { key, random, raw })
    }

    /// EXTERNAL AUTHENTICATION.
    fn present(&mut self, key: &Key, code: [u8; 8], raw: [u8; 8]) -> Result<(), Failure> {
        let header = [0x00, 0x82, 0x00, key.kid];
        let data = [code, raw].concat();
        self.ask("EXTERNAL AUTHENTICATION", header, &data, 0)
            .map(drop)
    }

    /// Wins the right of a key, where it does not stand.
    fn enter(&mut self, visit: &mut Visit, name: &str) -> Result<(), Failure> {
        if visit.rights.iter().any(|right| right == name) {
            return Ok(());
        }
        let layout = self.layouts.of(visit.facts.version);
        let key = layout.key(name).map(|(_, key)| key);
        let key = key.ok_or_else(|| Failure::NoKey(name.to_owned()))?;
        let ask = self.prepare(key)?;
        let codes = self.module.authenticate(&visit.facts.identity, &[ask])?;
        let code = codes
            .first()
            .ok_or_else(|| Failure::NoKey(name.to_owned()))?;
        self.present(key, *code, ask.raw)?;
        visit.rights.push(name.to_owned());
        Ok(())
    }

    /// Makes a rule true: keys first, then the PIN.
    fn satisfy(&mut self, visit: &mut Visit, rule: &Rule, by: AuthType) -> Result<(), Failure> {
        let mut wanted = Wanted::default();
        wanted.add(rule, by);
        for key in wanted.keys {
            self.enter(visit, key)?;
        }
        if wanted.pin {
            self.open_by_pin(visit)?;
        }
        Ok(())
    }

    /// Goes to a directory; key rights of another are gone then.
    fn go(&mut self, visit: &mut Visit, directory: &Directory) -> Result<(), Failure> {
        if visit.current == directory.label {
            return Ok(());
        }
        if directory.label != SSSE && visit.current != SSSE {
            self.select_by_name(SSSE_NAME)?;
        }
        let by_name = match directory.name {
            Some(name) => self.send([0x00, 0xA4, 0x04, 0x00], name.as_bytes(), 256)?,
            None => Answer {
                data: Vec::new(),
                sw: Sw::FILE_NOT_FOUND,
            },
        };
        match by_name.sw {
            Sw::OK => {}
            // Some cards know their applications by identifier alone.
            Sw::FILE_NOT_FOUND => {
                let fid = directory.fid.to_be_bytes();
                self.ask("SELECT", [0x00, 0xA4, 0x00, 0x00], &fid, 256)?;
            }
            sw => return Err(Failure::Card("SELECT", sw)),
        }
        visit.current.clone_from(&directory.label);
        visit.rights.clear();
        Ok(())
    }

    fn select_by_name(&mut self, name: &[u8]) -> Result<Vec<u8>, Failure> {
        self.ask("SELECT", [0x00, 0xA4, 0x04, 0x00], name, 256)
    }

    fn select_file(&mut self, fid: u16) -> Result<(), Failure> {
        let fid = fid.to_be_bytes();
        self.ask("SELECT", [0x00, 0xA4, 0x02, 0x00], &fid, 0)
            .map(drop)
    }

    /// READ RECORD of the current file, by identifier (P2 00) or number (P2 04), a record
    /// with a value of `len` bytes: its tag and its value.
    fn record(&mut self, p1: u8, p2: u8, len: u8) -> Result<(u8, Vec<u8>), Failure> {
        let header = [0x00, 0xB2, p1, p2];
        let record = self.ask("READ RECORD", header, &[], u32::from(len) + 2)?;
        let malformed = Failure::Malformed("one record with tag and length");
        match Simple::whole(&record) {
            Ok(Simple { tag, value }) if p2 != 0x00 || tag == p1 => Ok((tag, value.to_vec())),
            _ => Err(malformed),
        }
    }

    fn text(&mut self, tag: u8, len: u8) -> Result<String, Failure> {
        let (_, value) = self.record(tag, 0x00, len)?;
        Ok(encode::decode_text(&value).text().to_owned())
    }

    fn digits(&mut self, tag: u8, len: u8) -> Result<String, Failure> {
        let (_, value) = self.record(tag, 0x00, len)?;
        Ok(encode::decode_digits(&value).text().to_owned())
    }

    /// The directory and the file of an address, in the card's layout; its items stand
    /// where the file has items, and nowhere else.
    fn place_whole(
        &self,
        visit: &Visit,
        address: &FileAddress,
    ) -> Result<(&'t Directory, &'t File), Failure> {
        let (directory, file) = self.place(visit, &address.directory, address.fid)?;
        let by_items = matches!(
            file.kind,
            Kind::LinearFixed { .. } | Kind::LinearVariable { .. }
        );
        match (by_items, address.items.is_empty()) {
            (true, true) => Err(Failure::ItemsMissing(address.name())),
            (false, false) => Err(Failure::ItemsTooMany(address.name())),
            _ => Ok((directory, file)),
        }
    }

    /// The directory and the file of this name, in the card's layout.
    fn place(
        &self,
        visit: &Visit,
        directory: &str,
        fid: u16,
    ) -> Result<(&'t Directory, &'t File), Failure> {
        let layout = self.layouts.of(visit.facts.version);
        let found = layout
            .directory_by_label(directory)
            .and_then(|directory| Some((directory, directory.file(fid)?)));
        found.ok_or_else(|| Failure::NoFile(format!("{directory}{fid:04X}")))
    }
}

/// The algorithm that an FCI names; without, SSF33 in Beijing and DES elsewhere.
///
/// Source: reader specification of 38号文, 10.1.
fn algorithm(fci: &[u8], region: Region) -> Result<CardAlgorithm, Failure> {
    let issuer = tlv::find(fci, &[tag!(0x6F), tag!(0xA5), tag!(0x9F0C)]).ok();
    let named = issuer
        .flatten()
        .and_then(|data| tlv::find(data, &[tag!(0x86)]).ok().flatten());
    match (named, region.digits()) {
        (Some([id]), _) => CardAlgorithm::from_id(*id).ok_or(Failure::NoAlgorithm),
        (Some(_), _) => Err(Failure::NoAlgorithm),
        (None, [b'1', b'1', ..]) => Ok(CardAlgorithm::Ssf33),
        (None, _) => Ok(CardAlgorithm::Des),
    }
}

/// What makes a rule true.
#[derive(Default)]
struct Wanted<'r> {
    keys: Vec<&'r str>,
    pin: bool,
}

impl<'r> Wanted<'r> {
    fn add(&mut self, rule: &'r Rule, by: AuthType) {
        match rule {
            // What is closed is left to the card to refuse.
            Rule::Free | Rule::Never => {}
            Rule::Pin => self.pin = true,
            Rule::Key(key) => self.keys.push(&key.name),
            Rule::And(a, b) => {
                self.add(a, by);
                self.add(b, by);
            }
            Rule::Or(a, b) => {
                let mut first = Wanted::default();
                first.add(a, by);
                let fits = first.pin == (by == AuthType::Pin);
                self.add(if fits { a } else { b }, by);
            }
        }
    }
}
