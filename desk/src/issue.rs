//! From a profile to a card: everything over the wire, nothing behind its back.
//!
//! The order: INSTALL and ATR with the issuer security domain; then MF, SSSE and
//! each application with its keys, PIN, files and records; each ACTIVATE FILE after
//! what lies below; then the certificate application, where the profile has one
//! (`certify.rs`), and the bank side, where it has one, as a card bureau puts it on
//! (`bank/personalise.rs`); last the card is SECURED, and its power is taken and given, so
//! that it answers with its own ATR.
//!
//! Source: social security card specification, part 10 (personalisation); the
//! commands are this card's own.

use crate::bank::authority::CertificateError;
use crate::bank::key::Keys;
use crate::bank::personalise::{Bureau, PersonaliseError, Prepared, commands_on_new};
use crate::certify;
use crate::hsm::{CardKeys, Hsm, TestRoot};
use crate::pki::ENVIRONMENT;
use crate::profile::{
    Directory, File, FirstChange, Item, Key, Kind, Pin, Profile, Rule, SpecVersion,
};
use crate::psam::{Psam, pin_bytes};
use crate::wire::exchange;
use cardlab::aid::Aid;
use cardlab::apdu::{Class, Command, Sw};
use cardlab::icc::{Icc, Lost};
use cardlab::secure::scp02::{Level, StaticKeys};
use cardlab::tag;
use cardlab::tlv::Writer;
use core::fmt;
use thiserror::Error;

/// The issuer security domain.
const ISD: Aid = Aid::constant(&[0xA0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00, 0x00]);
/// The load file of the applets.
const LOAD_FILE: Aid = Aid::constant(b"\xF0cardlab");
/// The module of the social security applet.
const MODULE: Aid = Aid::constant(b"\xF0cardlabSSC");

/// The module of the certificate applet.
const MODULE_CERTIFICATES: Aid = Aid::constant(b"\xF0cardlabPKI");

/// The class of this card's own commands.
const PROPRIETARY: u8 = 0x80;
/// The longest piece of a transparent file that goes into one command.
const PIECE_MAX: usize = 255;
/// P2 of UPDATE RECORD: the record of the number in P1, in the current file.
const BY_NUMBER: u8 = 0x04;
/// P2 of UPDATE RECORD: the previous record, which appends to a cyclic file.
const PREVIOUS: u8 = 0x03;

/// The applet is there when power comes, and may end the card's life.
const PRIVILEGES: u8 = 0x0C;
/// Operations that access rights are for.
const READ: u8 = 0x01;
const UPDATE: u8 = 0x02;
const CREATE: u8 = 0x03;
const BLOCK: u8 = 0x04;

/// One command of an issue, and where in the profile it comes from.
#[derive(Clone, PartialEq, Eq)]
pub struct Step {
    name: &'static str,
    path: String,
    command: Vec<u8>,
    /// How many of the last bytes are a key or a PIN.
    secret_len: usize,
}

impl Step {
    /// A command whose last bytes, so many, are a key or a PIN.
    pub(crate) fn new(
        name: &'static str,
        path: &str,
        command: &Command<'_>,
        secret_len: usize,
    ) -> Step {
        Step {
            name,
            path: path.to_owned(),
            command: command.to_bytes(),
            secret_len,
        }
    }

    /// The name of the command.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// What of the profile it writes: `$.directories[DF01].files[EF05]`, elements of
    /// lists by fid, name or tag.
    #[must_use]
    pub fn path(&self) -> &str {
        &self.path
    }

    /// The command as it goes over the wire; it may hold a key.
    #[must_use]
    pub fn command(&self) -> &[u8] {
        &self.command
    }

    /// The command in hexadecimal, with two dots for each byte of a key or a PIN.
    #[must_use]
    pub fn shown(&self) -> String {
        let open = self.command.len().saturating_sub(self.secret_len);
        let bytes = self.command.iter().enumerate();
        bytes
            .map(|(at, byte)| {
                if at < open {
                    format!("{byte:02X}")
                } else {
                    "··".to_owned()
                }
            })
            .collect()
    }
}

impl fmt::Debug for Step {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} for {}: {}", self.name, self.path, self.shown())
    }
}

/// Why a card was not issued.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum IssueError {
    /// The card refused a command.
    #[error(
        "{name} for {path} was answered {sw}: {words} ({shown})",
        words = .sw.words().unwrap_or("unknown")
    )]
    Refused {
        /// The command's name.
        name: &'static str,
        /// Where in the profile it comes from.
        path: String,
        /// The command, without keys and PINs.
        shown: String,
        /// The card's answer.
        sw: Sw,
    },
    /// The card is lost.
    #[error("{name} for {path}: {lost}")]
    Lost {
        /// The command's name.
        name: &'static str,
        /// Where in the profile it comes from.
        path: String,
        /// What became of the card.
        lost: Lost,
    },
    /// The card answers to reset with another ATR than it was given.
    #[error("the ATR is {found}, $.atr has {expected}")]
    Atr {
        /// The profile's, in hexadecimal.
        expected: String,
        /// The card's.
        found: String,
    },
    /// The bank side could not be put on the card.
    #[error("{path}: {error}")]
    Bank {
        /// Where in the profile it comes from.
        path: String,
        /// What went wrong.
        error: PersonaliseError,
    },
    /// The profile cannot be put into commands.
    #[error("{path}: {says}")]
    Profile {
        /// Where in the profile.
        path: String,
        /// What is wrong.
        says: &'static str,
    },
}

/// A card that was issued.
#[derive(Clone, Debug)]
pub struct Issued {
    /// Its ATR.
    pub atr: Vec<u8>,
    /// Its recognition code, the authentication code in it.
    pub recognition_code: [u8; 16],
    /// How many commands it took.
    pub commands: usize,
    keys: CardKeys,
}

impl Issued {
    /// Its keys.
    #[must_use]
    pub const fn keys(&self) -> &CardKeys {
        &self.keys
    }

    /// A terminal's security module for it.
    #[must_use]
    pub fn psam(&self, seed: u64) -> Psam {
        Psam::new(self.keys.clone(), seed)
    }
}

/// Issues a card with keys from the test root of a seed. Power is on afterwards.
///
/// # Errors
/// [`IssueError`] for the first command that failed; the card is then of no use.
pub fn issue(icc: &mut dyn Icc, profile: &Profile, seed: u64) -> Result<Issued, IssueError> {
    issue_watched(icc, profile, seed, &mut |_, _| {})
}

/// Issues a card and tells each step, with how far it is: steps done, and all.
///
/// # Errors
/// As [`issue`].
pub fn issue_watched(
    icc: &mut dyn Icc,
    profile: &Profile,
    seed: u64,
    watch: &mut dyn FnMut(&Step, (usize, usize)),
) -> Result<Issued, IssueError> {
    let hsm = Hsm::new(TestRoot::from_seed(seed));
    issue_with(icc, profile, &hsm, watch)
}

/// Issues a card with keys from an HSM, which keeps its city's keys for the next.
///
/// # Errors
/// As [`issue`].
pub fn issue_with(
    icc: &mut dyn Icc,
    profile: &Profile,
    hsm: &Hsm,
    watch: &mut dyn FnMut(&Step, (usize, usize)),
) -> Result<Issued, IssueError> {
    let social = Social::of(profile, hsm)?;
    icc.power_on().map_err(unpowered)?;
    let last = Last::of(profile, hsm.root())?;
    let commands = social.commands + last.commands;
    let mut issuing = Issuing {
        icc,
        watch,
        done: 0,
        commands,
    };
    let keys = social.perform(&mut issuing)?;
    last.perform(&mut issuing)?;
    let Issuing { icc, .. } = issuing;
    let atr = restart(icc, profile)?;
    Ok(Issued {
        atr,
        recognition_code: recognition_code(profile, &keys).unwrap_or_default(),
        commands,
        keys,
    })
}

/// Issues all but the bank side, and gives the keys of the social side.
///
/// Power is on afterwards; the card is as it goes to a card bureau: its issuer domain has
/// the keys of a new one, and it is not SECURED.
///
/// # Errors
/// As [`issue`].
pub fn issue_social(
    icc: &mut dyn Icc,
    profile: &Profile,
    seed: u64,
) -> Result<CardKeys, IssueError> {
    let hsm = Hsm::new(TestRoot::from_seed(seed));
    let social = Social::of(profile, &hsm)?;
    icc.power_on().map_err(unpowered)?;
    let commands = social.commands;
    social.perform(&mut Issuing {
        icc,
        watch: &mut |_, _| {},
        done: 0,
        commands,
    })
}

/// Puts the bank side on a card that [`issue_social`] left, or a copy, and secures it.
///
/// Both together are one [`issue`]. Power is on before and afterwards.
///
/// # Errors
/// As [`issue`].
pub fn issue_bank(icc: &mut dyn Icc, profile: &Profile, seed: u64) -> Result<(), IssueError> {
    let last = Last::of(profile, TestRoot::from_seed(seed))?;
    let commands = last.commands;
    last.perform(&mut Issuing {
        icc: &mut *icc,
        watch: &mut |_, _| {},
        done: 0,
        commands,
    })?;
    restart(icc, profile).map(drop)
}

fn unpowered(lost: Lost) -> IssueError {
    IssueError::Lost {
        name: "power on",
        path: "$".to_owned(),
        lost,
    }
}

/// Takes power and gives it back; the ATR, which is the profile's.
fn restart(icc: &mut dyn Icc, profile: &Profile) -> Result<Vec<u8>, IssueError> {
    icc.power_off();
    let atr = icc.power_on().map_err(unpowered)?;
    if atr != profile.atr {
        return Err(IssueError::Atr {
            expected: crate::encode::hexadecimal(&profile.atr),
            found: crate::encode::hexadecimal(&atr),
        });
    }
    Ok(atr)
}

/// The social side, made ready.
struct Social<'p> {
    profile: &'p Profile,
    hsm: &'p Hsm,
    keys: CardKeys,
    steps: Vec<Step>,
    commands: usize,
}

impl<'p> Social<'p> {
    fn of(profile: &'p Profile, hsm: &'p Hsm) -> Result<Social<'p>, IssueError> {
        let keys = hsm.card(profile).ok_or(IssueError::Profile {
            path: "$.region".to_owned(),
            says: "not a region",
        })?;
        let steps = beginning(profile, &keys)?;
        let certifying = profile.certificates.as_ref().map_or(0, certify::count);
        Ok(Social {
            profile,
            hsm,
            keys,
            commands: steps.len() + certifying,
            steps,
        })
    }

    fn perform(self, issuing: &mut Issuing<'_>) -> Result<CardKeys, IssueError> {
        for step in &self.steps {
            issuing.perform(step)?;
        }
        if let Some(certificates) = &self.profile.certificates {
            let authority = self.hsm.authority().ok_or(IssueError::Profile {
                path: "$.certificates".to_owned(),
                says: "the root makes no authority",
            })?;
            certify::certify(self.profile, certificates, authority, &mut |step| {
                issuing.perform(&step)
            })?;
        }
        Ok(self.keys)
    }
}

/// The card that is being issued, and who hears of it.
struct Issuing<'i> {
    icc: &'i mut dyn Icc,
    watch: &'i mut dyn FnMut(&Step, (usize, usize)),
    done: usize,
    commands: usize,
}

impl Issuing<'_> {
    fn tell(&mut self, step: &Step) {
        (self.watch)(step, (self.done, self.commands));
        self.done += 1;
    }

    fn perform(&mut self, step: &Step) -> Result<Vec<u8>, IssueError> {
        self.tell(step);
        let lost = |lost| IssueError::Lost {
            name: step.name,
            path: step.path.clone(),
            lost,
        };
        let command =
            Command::parse(&step.command).map_err(|error| lost(Lost::Link(error.to_string())))?;
        let answer = exchange(self.icc, &command).map_err(lost)?;
        if answer.sw == Sw::OK {
            Ok(answer.data)
        } else {
            Err(IssueError::Refused {
                name: step.name,
                path: step.path.clone(),
                shown: step.shown(),
                sw: answer.sw,
            })
        }
    }
}

/// What comes last, made ready: the bank side, each instance with where in the profile it
/// comes from, and the card's being secured.
struct Last {
    prepared: Vec<(String, Prepared)>,
    ending: Vec<Step>,
    commands: usize,
}

impl Last {
    fn of(profile: &Profile, root: TestRoot) -> Result<Last, IssueError> {
        let mut prepared = Vec::new();
        if let Some(side) = &profile.bank {
            let masters = Keys::of_root(root);
            let path = |at: &Prepared| format!("$.bank.applications[{}]", at.instance);
            let all = side.prepare(&masters).map_err(|error| IssueError::Bank {
                path: "$.bank".to_owned(),
                error: CertificateError::into(error),
            })?;
            let paths = all.iter().skip(1).map(path);
            let paths: Vec<_> = core::iter::once("$.bank".to_owned()).chain(paths).collect();
            prepared.extend(paths.into_iter().zip(all));
        }
        let ending = ending();
        let mut commands = ending.len();
        for (path, prepared) in &prepared {
            commands += commands_on_new(prepared).map_err(|error| IssueError::Bank {
                path: path.clone(),
                error,
            })?;
        }
        Ok(Last {
            prepared,
            ending,
            commands,
        })
    }

    fn perform(self, issuing: &mut Issuing<'_>) -> Result<(), IssueError> {
        // The card has the keys of a new one, and no MACs yet: nobody else is on the wire.
        let mut bureau = Bureau::new(|_| StaticKeys::initial(), Level::empty(), 0);
        for (path, prepared) in self.prepared {
            let mut icc = Told {
                path: &path,
                issuing,
            };
            let put = bureau.put_on_new(&mut icc, &prepared);
            put.map_err(|error| IssueError::Bank { path, error })?;
        }
        for step in &self.ending {
            issuing.perform(step)?;
        }
        Ok(())
    }
}

/// The card, as the bureau talks to it: each command is told as a step.
struct Told<'t, 'i> {
    path: &'t str,
    issuing: &'t mut Issuing<'i>,
}

impl Icc for Told<'_, '_> {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.issuing.icc.power_on()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.issuing.icc.reset()
    }

    fn power_off(&mut self) {
        self.issuing.icc.power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        let command = Command::parse(command).map_err(|error| Lost::Link(error.to_string()))?;
        let name = match command.ins {
            0xA4 => "SELECT",
            0x50 => "INITIALIZE UPDATE",
            0x82 => "EXTERNAL AUTHENTICATE",
            0xE6 => "INSTALL",
            _ => "STORE DATA",
        };
        // Keys and PINs go enciphered; they are not shown all the same.
        let secret_len = match (command.ins, command.p1 & 0x60) {
            (0xE2, 0x60) => command.data.len(),
            _ => 0,
        };
        let step = Step::new(name, self.path, &command, secret_len);
        self.issuing.tell(&step);
        let answer = exchange(self.issuing.icc, &command)?;
        response.clear();
        response.extend(answer.data);
        response.extend(answer.sw.0.to_be_bytes());
        Ok(())
    }
}

/// The recognition code that a card of this profile has with these keys; `None`
/// where the profile has no such item.
#[must_use]
pub fn recognition_code(profile: &Profile, keys: &CardKeys) -> Option<[u8; 16]> {
    let file = profile.directory_by_label("SSSE")?.file(0xEF05)?;
    let mut records = file.records.iter();
    let code = records.find(|record| record.item.tag == Some(0x01))?;
    complete(&code.item, keys).try_into().ok()
}

/// The value of an item as this card holds it.
fn complete(item: &Item, keys: &CardKeys) -> Vec<u8> {
    let mut bytes = item.bytes.clone();
    if item.computed
        && let Some((first, rest)) = bytes.split_first_chunk_mut::<12>()
        && let Some(mac) = keys.recognition_code_mac(first)
        && rest.len() == mac.len()
    {
        rest.copy_from_slice(&mac);
    }
    bytes
}

/// All commands of an issue that are known before the card answers, in order; what the
/// certificate application and the bank side get follows from its answers.
///
/// # Errors
/// [`IssueError::Profile`] where the profile has no SSSE.
pub fn steps(profile: &Profile, keys: &CardKeys) -> Result<Vec<Step>, IssueError> {
    let mut steps = beginning(profile, keys)?;
    steps.extend(ending());
    Ok(steps)
}

/// Those before the certificate application and the bank side.
///
/// # Errors
/// [`IssueError::Profile`] where the profile has no SSSE.
fn beginning(profile: &Profile, keys: &CardKeys) -> Result<Vec<Step>, IssueError> {
    let ssse = profile.directory_by_label("SSSE");
    let name = ssse.and_then(|ssse| ssse.name).ok_or(IssueError::Profile {
        path: "$.directories".to_owned(),
        says: "no directory SSSE with a name",
    })?;
    let mut plan = Plan {
        profile,
        keys,
        steps: Vec::with_capacity(700),
    };
    plan.begin(&name);
    for directory in top(profile) {
        plan.directory(directory);
    }
    Ok(plan.steps)
}

/// Those after them.
fn ending() -> Vec<Step> {
    let select = interindustry(0xA4, 0x04, 0x00).with_data(ISD.as_bytes());
    let secure = proprietary(0xF0, 0x80, 0x0F);
    vec![
        Step::new("SELECT", "$", &select.expecting(256), 0),
        Step::new("SET STATUS", "$", &secure, 0),
    ]
}

/// The directories that lie in none: the MF.
fn top(profile: &Profile) -> impl Iterator<Item = &Directory> {
    let directories = profile.directories.iter();
    directories.filter(|directory| directory.parent.is_none())
}

struct Plan<'p> {
    profile: &'p Profile,
    keys: &'p CardKeys,
    steps: Vec<Step>,
}

impl Plan<'_> {
    fn push(&mut self, name: &'static str, path: &str, command: &Command<'_>) {
        self.steps.push(Step::new(name, path, command, 0));
    }

    fn push_secret(&mut self, name: &'static str, path: &str, command: &Command<'_>, len: usize) {
        self.steps.push(Step::new(name, path, command, len));
    }

    fn select_name(&mut self, path: &str, name: &Aid) {
        let command = interindustry(0xA4, 0x04, 0x00);
        self.push(
            "SELECT",
            path,
            &command.with_data(name.as_bytes()).expecting(256),
        );
    }

    /// What the issuer security domain does before the applet is there.
    fn begin(&mut self, ssse: &Aid) {
        self.select_name("$", &ISD);
        let install = install_data(self.profile, ssse);
        let command = proprietary(0xE6, 0x0C, 0x00);
        let command = command.with_data(&install).expecting(256);
        self.push("INSTALL", "$", &command);
        if let Some(certificates) = &self.profile.certificates {
            let mut parameters = Vec::new();
            let own = certify::parameters(certificates);
            Writer::append(&mut parameters).object(tag!(0xC9), &own);
            let install = installation(&MODULE_CERTIFICATES, &ENVIRONMENT, 0x00, &parameters);
            let command = proprietary(0xE6, 0x0C, 0x00);
            let command = command.with_data(&install).expecting(256);
            self.push("INSTALL", "$.certificates", &command);
        }
        let command = proprietary(0xDA, 0x5F, 0x51);
        self.push("PUT DATA", "$.atr", &command.with_data(&self.profile.atr));
        self.select_name("$", ssse);
    }

    /// A directory, which is current when this begins (the MF) or is created, with
    /// all that is in it; its parent is current afterwards.
    fn directory(&mut self, directory: &Directory) {
        let path = format!("$.directories[{:04X}]", directory.fid);
        let parent = directory
            .parent
            .and_then(|parent| self.profile.directory(parent));
        if parent.is_some() {
            let fcp = directory_fcp(directory);
            let command = interindustry(0xE0, 0x00, 0x00).with_data(&fcp);
            self.push("CREATE FILE", &path, &command);
        }
        for key in &directory.keys {
            self.key(key, &path);
        }
        if directory.label == "SSSE" {
            self.pin();
        }
        for file in &directory.files {
            self.file(file, &path);
        }
        if let Some(account) = &directory.account {
            let data = account.to_bytes();
            let command = proprietary(0xD4, 0x11, 0x00).with_data(&data);
            self.push("WRITE ACCOUNT", &format!("{path}.account"), &command);
        }
        let profile = self.profile;
        for below in &profile.directories {
            if below.parent == Some(directory.fid) {
                self.directory(below);
            }
        }
        self.push("ACTIVATE FILE", &path, &interindustry(0x44, 0x00, 0x00));
        match parent {
            Some(Directory {
                name: Some(name), ..
            }) => self.select_name(&path, name),
            Some(Directory { fid, .. }) => {
                let fid = fid.to_be_bytes();
                let command = interindustry(0xA4, 0x00, 0x00).with_data(&fid);
                self.push("SELECT", &path, &command.expecting(256));
            }
            None => {}
        }
    }

    fn key(&mut self, key: &Key, path: &str) {
        let path = format!("{path}.keys[{}]", key.name);
        for version in 1..=key.versions {
            let Some(bytes) = self.keys.key(&key.name, version) else {
                continue;
            };
            let algorithm = self.profile.algorithm.id();
            let mut data = vec![version, algorithm, key.tries];
            data.extend_from_slice(bytes.expose());
            let command = proprietary(0xD4, key.purpose.usage(), key.kid).with_data(&data);
            self.push_secret("WRITE KEY", &path, &command, bytes.expose().len());
        }
    }

    fn pin(&mut self) {
        let Pin { initial, tries, .. } = &self.profile.pin;
        if *tries == 0 {
            return;
        }
        let pin = pin_bytes(initial.as_deref().unwrap_or_default()).unwrap_or_default();
        let mut data = vec![*tries];
        data.extend(&pin);
        let command = proprietary(0xD4, 0x10, 0x00).with_data(&data);
        self.push_secret("WRITE PIN", "$.pin", &command, pin.len());
    }

    fn file(&mut self, file: &File, path: &str) {
        let path = format!("{path}.files[{:04X}]", file.fid);
        let fcp = file_fcp(file);
        let command = interindustry(0xE0, 0x00, 0x00).with_data(&fcp);
        self.push("CREATE FILE", &path, &command);
        for record in &file.records {
            let value = complete(&record.item, self.keys);
            let tag = record.item.tag.unwrap_or_default();
            let data = [&[tag, record.item.len][..], &value].concat();
            let path = format!("{path}.items[{tag:02X}]");
            let command = interindustry(0xDC, record.number, BY_NUMBER).with_data(&data);
            self.push("UPDATE RECORD", &path, &command);
        }
        for row in &file.rows {
            let command = interindustry(0xDC, 0x00, PREVIOUS).with_data(row);
            self.push("UPDATE RECORD", &path, &command);
        }
        let pieces = file.content.chunks(PIECE_MAX);
        for (piece, offset) in pieces.zip((0u16..).step_by(PIECE_MAX)) {
            let [high, low] = offset.to_be_bytes();
            let command = interindustry(0xD6, high, low).with_data(piece);
            self.push("UPDATE BINARY", &path, &command);
        }
    }
}

fn interindustry<'a>(ins: u8, p1: u8, p2: u8) -> Command<'a> {
    Command::new(Class::BASIC, ins, p1, p2)
}

fn proprietary<'a>(ins: u8, p1: u8, p2: u8) -> Command<'a> {
    const CLASS: Class = match Class::new(PROPRIETARY) {
        Some(class) => class,
        None => Class::BASIC,
    };
    Command::new(CLASS, ins, p1, p2)
}

/// The data of INSTALL for install and make selectable.
///
/// Source: GlobalPlatform Card Specification 2.3.1, 11.5.2.3.2.
fn install_data(profile: &Profile, ssse: &Aid) -> Vec<u8> {
    let first_change = match profile.pin.first_change {
        FirstChange::Card => 0x01,
        FirstChange::Terminal => 0x00,
    };
    let append = if profile.cyclic_append_by_number {
        0x02
    } else {
        0x00
    };
    let mut parameters = Vec::new();
    Writer::append(&mut parameters).nested(tag!(0xC9), |writer| {
        writer
            .object(tag!(0x86), &[profile.algorithm.id()])
            .object(tag!(0x80), &[SpecVersion::number(profile.version)])
            .object(tag!(0x81), &[first_change | append])
            .object(
                tag!(0x82),
                &[profile.pin.len_min_bytes, profile.pin.len_max_bytes],
            );
    });
    installation(&MODULE, ssse, PRIVILEGES, &parameters)
}

/// The data of an INSTALL of one of our modules.
fn installation(module: &Aid, instance: &Aid, privileges: u8, parameters: &[u8]) -> Vec<u8> {
    let values: [&[u8]; 6] = [
        LOAD_FILE.as_bytes(),
        module.as_bytes(),
        instance.as_bytes(),
        &[privileges],
        parameters,
        // No install token.
        &[],
    ];
    let mut data = Vec::new();
    for value in values {
        data.extend(u8::try_from(value.len()));
        data.extend_from_slice(value);
    }
    data
}

/// The file control parameters of a directory.
///
/// Source: ISO/IEC 7816-4:2020, 7.4.3, table 11.
fn directory_fcp(directory: &Directory) -> Vec<u8> {
    let mut fcp = Vec::new();
    Writer::append(&mut fcp).nested(tag!(0x62), |writer| {
        writer
            .object(tag!(0x82), &[0x38])
            .object(tag!(0x83), &directory.fid.to_be_bytes());
        if let Some(name) = &directory.name {
            writer.object(tag!(0x84), name.as_bytes());
        }
        if directory.dir_sfi.is_some() || directory.issuer_data.is_some() {
            writer.nested(tag!(0xA5), |writer| {
                if let Some(sfi) = directory.dir_sfi {
                    writer.object(tag!(0x88), &[sfi]);
                }
                if let Some(data) = &directory.issuer_data {
                    writer.object(tag!(0x9F0C), data);
                }
            });
        }
        let rules = [(CREATE, &directory.create), (BLOCK, &directory.block)];
        let rules = rules.into_iter().filter_map(|(operation, rule)| {
            let rule = rule.as_ref()?;
            Some(rights(operation, rule))
        });
        let rules: Vec<_> = rules.flatten().collect();
        if !rules.is_empty() {
            writer.object(tag!(0x8C), &rules);
        }
    });
    fcp
}

/// The file control parameters of an elementary file.
fn file_fcp(file: &File) -> Vec<u8> {
    let mut fcp = Vec::new();
    Writer::append(&mut fcp).nested(tag!(0x62), |writer| {
        let records = |structure, len: u8, count| [structure, 0x01, 0x00, len, count];
        let size = match file.kind {
            Kind::Transparent { size_bytes } => {
                writer.object(tag!(0x82), &[0x01]);
                Some(size_bytes)
            }
            Kind::LinearFixed { record_len, count } => {
                writer.object(tag!(0x82), &records(0x02, record_len, count));
                None
            }
            Kind::LinearVariable { size_bytes } => {
                let lens = file.records.iter().map(|record| record.item.len);
                let longest = lens.max().unwrap_or(0).saturating_add(2);
                let count = u8::try_from(file.records.len()).unwrap_or(u8::MAX);
                writer.object(tag!(0x82), &records(0x04, longest, count));
                Some(size_bytes)
            }
            Kind::Cyclic { record_len, count } => {
                writer.object(tag!(0x82), &records(0x06, record_len, count));
                None
            }
        };
        writer
            .object(tag!(0x83), &file.fid.to_be_bytes())
            .object(tag!(0x88), &[file.sfi]);
        if let Some(size) = size {
            writer.object(tag!(0x80), &size.to_be_bytes());
        }
        let rights = [rights(READ, &file.read), rights(UPDATE, &file.update)].concat();
        writer.object(tag!(0x8C), &rights);
    });
    fcp
}

/// One operation of the access rights: its code, the length of its rule, the rule.
fn rights(operation: u8, rule: &Rule) -> Vec<u8> {
    let postfix = rule.to_postfix();
    let len = u8::try_from(postfix.len()).unwrap_or(u8::MAX);
    [&[operation, len][..], &postfix].concat()
}
