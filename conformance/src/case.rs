//! A case: one purpose, its source, its steps; a JSON file or generated.
//!
//! Unknown keys are refused; the canonical form is the one that
//! [`Case::to_canonical`] writes. `INTERPRETING.md` says what each key means.

use crate::bank::step::{BankVerify, Cryptogram, Issuer, Options, Prove, Script};
use crate::bank::variant::{self, Variant};
use crate::expect::{Expect, ObjectPath, ObjectValue};
use crate::said::{Gives, Returns};
use cardlab::fen::Fen;
use cardlab_desk::profile::{FirstChange, Profile};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The version of `INTERPRETING.md` that this runner reads by.
pub const INTERPRETING_VERSION: u32 = 5;

/// One case.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// `area/name`, lower case; the path of the file without `.json`.
    pub id: String,
    /// What is to be shown, in one sentence.
    pub says: Says,
    /// Document, edition, clause.
    pub source: Vec<String>,
    /// The requirements that the case shows, R01 to R23.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub requirements: Vec<String>,
    /// The item of LD/T 6001.3-2023 that it belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// How much it weighs.
    #[serde(default, skip_serializing_if = "Weight::is_must")]
    pub weight: Weight,
    /// Cases that it builds on: if one of them fails in the same run, it is blocked.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<String>,
    /// Conditions on the profile; all must hold or the case is not applicable.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<Need>,
    /// The bank application of its card, where that differs from the profile's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub application: Option<Variant>,
    /// What it can do to a card.
    #[serde(default, skip_serializing_if = "Safety::is_read_only")]
    pub safety: Safety,
    /// What is done, in order, on a freshly powered card.
    pub steps: Vec<Step>,
}

/// A sentence in two languages.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Says {
    /// English.
    pub en: String,
    /// Chinese.
    pub zh: String,
}

/// How much a case weighs.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Weight {
    /// A requirement.
    #[default]
    Must,
    /// A recommendation.
    Should,
    /// An option.
    May,
}

/// What a case can do to a card, the worst thing of it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Safety {
    /// Nothing.
    #[default]
    ReadOnly,
    /// Costs tries of the PIN.
    ConsumesPinTry,
    /// Costs tries of a key.
    ConsumesKeyTry,
    /// Writes.
    Writes,
    /// Cannot be undone.
    Irreversible,
}

/// A condition on the profile: `version>=2`, `version=3`, `algorithm=sm4`,
/// `first-change=card`, `pin`, `pin=never`, `key=PUK`, `no-key=PUK`, `directory=DF05`,
/// `file=SSSE/EF07`, `pin-tries=6`, `cyclic-append-by-number`, `cyclic-append-by-number=no`,
/// `profile=henan-2.0`, `certificates`, `certificate-commands`, `bank`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Need {
    text: String,
    condition: Condition,
}

#[derive(Clone, Debug, PartialEq, Eq)]
enum Condition {
    VersionAtLeast(u8),
    Version(u8),
    Algorithm(u8),
    FirstChange(FirstChange),
    Key(String),
    NoKey(String),
    Directory(String),
    File(String, u16),
    Pin,
    PinNever,
    PinTries(u8),
    CyclicAppendByNumber(bool),
    Profile(String),
    Certificates,
    CertificateCommands,
    Bank,
    BankByAccount,
    BankWithCash,
    BankAlone,
}

/// One step: a label, one thing done, and what is expected of it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Step {
    /// What the step is called in reports.
    #[serde(rename = "do")]
    pub label: String,
    /// What is done.
    #[serde(flatten)]
    pub action: Action,
    /// What the answer must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// What else is lawful, with a note.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub accept: Option<Expect>,
    /// What must come at least once, where the case has a torn or a worn step before this
    /// one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sometimes: Option<Expect>,
    /// Where the power is cut in turn; the case goes on after it came back, once for
    /// each cut.
    #[serde(default, skip_serializing_if = "Torn::is_nowhere")]
    pub torn: Torn,
    /// Wears the cells of each write of this step out in turn; the case is run once for
    /// each.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub worn: Option<Cells>,
    /// What must stand in the BER-TLV of the answer: the value of each path of tags,
    /// `6F/A5/88`, as a pattern of hex digits, `?`, `**` and `{n}`; `-` where there is
    /// no such object.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub objects: BTreeMap<ObjectPath, ObjectValue>,
    /// The cryptogram information data of a cryptogram.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cid: Option<ObjectValue>,
    /// Its card verification results, with their length.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub cvr: Option<ObjectValue>,
    /// The return code of a terminal's function; of every step that runs one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub returns: Option<Returns>,
    /// The string that a terminal's function gives.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gives: Option<Gives>,
    /// Keeps the data of the answer under a name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub save: Option<String>,
    /// The data must be those kept under this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub same_as: Option<String>,
    /// The data must not be those kept under this name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub differs_from: Option<String>,
}

/// What becomes of cells that wear out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Cells {
    /// They keep what they hold.
    Stuck,
    /// They lose it.
    Lost,
}

/// Where the power is cut because of a step: `true` or `recovery` in a case.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Torn {
    /// Nowhere.
    #[default]
    Nowhere,
    /// At each write of the step.
    InStep,
    /// Also at each write of the recovery after each of those cuts.
    InRecovery,
}

impl Torn {
    /// How many recoveries one after the other are cut, or `None` where nothing is.
    #[must_use]
    pub const fn depth(self) -> Option<u8> {
        match self {
            Torn::Nowhere => None,
            Torn::InStep => Some(0),
            Torn::InRecovery => Some(1),
        }
    }

    fn is_nowhere(&self) -> bool {
        *self == Torn::Nowhere
    }
}

impl Serialize for Torn {
    fn serialize<S: serde::Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Torn::Nowhere => to.serialize_bool(false),
            Torn::InStep => to.serialize_bool(true),
            Torn::InRecovery => to.serialize_str("recovery"),
        }
    }
}

impl<'de> Deserialize<'de> for Torn {
    fn deserialize<D: serde::Deserializer<'de>>(from: D) -> Result<Torn, D::Error> {
        struct Word;
        impl serde::de::Visitor<'_> for Word {
            type Value = Torn;

            fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str("true, false or \"recovery\"")
            }

            fn visit_bool<E>(self, torn: bool) -> Result<Torn, E> {
                Ok(if torn { Torn::InStep } else { Torn::Nowhere })
            }

            fn visit_str<E: serde::de::Error>(self, word: &str) -> Result<Torn, E> {
                match word {
                    "recovery" => Ok(Torn::InRecovery),
                    other => Err(E::invalid_value(serde::de::Unexpected::Str(other), &self)),
                }
            }
        }
        from.deserialize_any(Word)
    }
}

/// What a step does; exactly one of these keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Action {
    /// Sends these bytes: hex, with `{name}` for kept data and profile values.
    Send(String),
    /// Goes to a directory by its label: from the SSSE down, as a terminal does.
    Select(String),
    /// VERIFY with `right`, `wrong`, or digits.
    Verify(String),
    /// Makes the PIN right stand: changes the initial PIN first where the card asks
    /// for it, then VERIFY. The answer is that of VERIFY.
    Unlock(UnlockBy),
    /// CHANGE PIN from one PIN to another; `right` is the present one.
    ChangePin(ChangePin),
    /// GET CHALLENGE and EXTERNAL AUTHENTICATION with a key.
    Authenticate(Authenticate),
    /// INTERNAL AUTHENTICATION; the answer's data are checked with the key.
    Internal(Authenticate),
    /// GET CHALLENGE, then a command with secure messaging.
    Secured(Secured),
    /// INITIALIZE FOR LOAD; MAC1 of the answer is checked.
    InitLoad(InitLoad),
    /// CREDIT FOR LOAD with MAC2 of what was begun last; the TAC is checked.
    Credit(Credit),
    /// INITIALIZE FOR PURCHASE.
    InitPurchase(InitPurchase),
    /// DEBIT FOR PURCHASE with MAC1 of what was begun last; TAC and MAC2 are checked.
    Debit(Debit),
    /// A PIN of the certificate application, proven by a challenge.
    CertificateVerify(CertificateVerify),
    /// A PIN of the certificate application, changed or replaced.
    CertificateChange(CertificateChange),
    /// SIGN; the signature is checked with the card's public key.
    CertificateSign(CertificateSign),
    /// DECRYPT of a message encrypted for the card; the answer must be the message.
    CertificateDecrypt(CertificateDecrypt),
    /// CHECK_CERT: all that is to be said of the certificates on the card.
    CertificateCheck(CertificateCheck),
    /// GET PROCESSING OPTIONS of the bank application.
    Options(Options),
    /// READ RECORD of all that the options name.
    Records(Nothing),
    /// Checks the signed static data of the records.
    StaticData(Nothing),
    /// INTERNAL AUTHENTICATE; the signature is checked.
    Prove(Prove),
    /// GENERATE AC; cryptogram, issuer's data and signature are checked.
    Cryptogram(Cryptogram),
    /// EXTERNAL AUTHENTICATE with the bank's answer.
    Issuer(Issuer),
    /// A command of an issuer's script, with its MAC.
    Script(Script),
    /// VERIFY of the bank application.
    BankVerify(BankVerify),
    /// Takes power away and gives it back, or resets.
    Power(PowerStep),
    /// A function of the reader interface, whole: from power on to its return code.
    Terminal(Box<TerminalStep>),
}

/// A function of the terminal, and what the terminal goes by.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct TerminalStep {
    /// The function.
    #[serde(flatten)]
    pub function: Function,
    /// What the holder keys in: digits, `right` or `wrong`; nothing without it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// The kind of its security module.
    #[serde(default, skip_serializing_if = "ModuleKind::is_hsm")]
    pub module: ModuleKind,
    /// Lost cards, an entry each: `CODE,NUMBER` or `FIRST-LAST`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub blacklist: Vec<String>,
    /// The day, YYYYMMDD; without it no card has expired.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub today: Option<String>,
    /// The institutions that are served, by their first digits; all without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub institutions: Vec<String>,
    /// The card classes that are served; all without it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub classes: Vec<String>,
    /// What the caller says of the card.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub card_info: Option<String>,
    /// The initial PIN transacts, too.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub initial_pin: bool,
    /// The card is pulled at the command that decides a debit or a load.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pulled: Option<Pull>,
}

/// A function of the reader interface; exactly one of these keys.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Function {
    /// iReadCardBas.
    ReadBase(Nothing),
    /// iReadCard.
    Read(Read),
    /// iWriteCard.
    Write(Write),
    /// iVerifyPIN.
    VerifyPin(OnePin),
    /// iChangePIN.
    ChangePin(ChangePin),
    /// iReloadPIN.
    ReloadPin(NewPin),
    /// iUnblockPIN.
    UnblockPin(Nothing),
    /// iDoDebit.
    Debit(InitPurchase),
    /// A load, the host's end included.
    Load(InitLoad),
    /// iReadDebitRecord.
    DebitRecords(Nothing),
    /// Asks the card whether it took the load or purchase whose answer did not come.
    Recover(Nothing),
}

/// A function without arguments: `{}`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Nothing {}

/// What is read.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Read {
    /// The address, `DF01EF0A|37|$`.
    pub address: String,
    /// By the reading key and not by the PIN, where either opens a file.
    #[serde(default, skip_serializing_if = "core::ops::Not::not")]
    pub key: bool,
}

/// What is written.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Write {
    /// The address, `DF01EF06|28|$`.
    pub address: String,
    /// The data, `DF01EF06|13800000000|$`.
    pub data: String,
}

/// A PIN: digits, `right` or `wrong`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct OnePin {
    /// It.
    pub pin: String,
}

/// A PIN to come: digits.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPin {
    /// It.
    pub to: String,
}

/// The kind of a security module.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ModuleKind {
    /// A machine of the centre, asked in strings.
    #[default]
    Hsm,
    /// A card in the terminal's second connector, of a national issuer.
    Psam,
}

/// When a card is pulled.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Pull {
    /// Before the command reaches it.
    Before,
    /// After it took the command, before it answers.
    After,
}

/// How a load begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitLoad {
    /// How much.
    #[serde(with = "in_fen")]
    pub fen: Fen,
    /// The key index, 1 where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u8>,
}

/// How a load ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Credit {
    /// The host's time: 7 bytes, as in `send`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Spoils MAC2: the last bit of its byte with this index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong: Option<u8>,
}

/// How a purchase begins.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct InitPurchase {
    /// What the personal account pays.
    #[serde(with = "in_fen")]
    pub account: Fen,
    /// What the holder pays.
    #[serde(default, with = "in_fen")]
    pub own: Fen,
    /// What the pooled fund pays.
    #[serde(default, with = "in_fen")]
    pub pooled: Fen,
    /// The key index, 1 where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<u8>,
}

/// How a purchase ends.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Debit {
    /// The terminal's number of the transaction: 4 bytes, as in `send`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<String>,
    /// The terminal's time: 7 bytes, as in `send`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub time: Option<String>,
    /// Spoils MAC1: the last bit of its byte with this index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong: Option<u8>,
}

/// How a PIN of the certificate application is proven.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateVerify {
    /// Whose.
    pub who: Whose,
    /// `right`, `wrong`, or digits.
    pub pin: String,
    /// How long the random number is that is drawn: 8 or 16, 16 where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub challenge: Option<u8>,
    /// The random number, as in `send`; none is drawn then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random: Option<String>,
    /// Spoils the proof: the last bit of its byte with this index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong: Option<u8>,
}

/// How a PIN of the certificate application is changed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateChange {
    /// Whose.
    pub who: Whose,
    /// Who does it, and proves it with this PIN: the one whose it is (CHANGE PIN), or the
    /// administrator for the user (REPLACE PIN).
    pub by: Whose,
    /// That PIN: `right`, `wrong`, or digits; `right` where it is left out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The new one; left out, only the tries are given back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<String>,
    /// Spoils the MAC: the last bit of its byte with this index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong: Option<u8>,
}

/// Whose PIN of the certificate application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Whose {
    /// The holder's.
    User,
    /// The administrator's.
    Administrator,
}

/// What is signed.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateSign {
    /// The message, as in `send`.
    pub message: String,
}

/// What is decrypted.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct CertificateDecrypt {
    /// With which key.
    pub key: KeyPair,
    /// The message, 1 to 151 bytes, as in `send`.
    pub message: String,
    /// Spoils the cipher text: the last bit of its byte with this index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong: Option<u8>,
}

/// A key pair of the certificate application.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum KeyPair {
    /// The one that signs.
    Signature,
    /// The one that decrypts.
    Encryption,
}

/// What the certificates are checked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum CertificateCheck {
    /// Form, chain, validity, key usage, and the public keys on the card.
    Public,
    /// The private keys as well, by using them.
    Private,
}

/// What is presented to unlock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum UnlockBy {
    /// The PIN.
    Pin,
}

/// The two PINs of CHANGE PIN: digits, `right` or `wrong`; empty for none.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct ChangePin {
    /// The one there is.
    pub from: String,
    /// The one to come.
    pub to: String,
}

/// A key to authenticate with.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Authenticate {
    /// Its name in the profile.
    pub key: String,
    /// The version byte; none is sent without.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<u8>,
    /// Spoils the authentication code: the last bit of its byte with this index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong: Option<u8>,
    /// The random number of the session key, as in `send`; a challenge is drawn where
    /// there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random: Option<String>,
    /// The 8 bytes that are enciphered, as in `send`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub raw: Option<String>,
}

/// A command with secure messaging.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Secured {
    /// CLA INS P1 P2 in hex.
    pub header: String,
    /// The key of the MAC.
    pub key: String,
    /// A PIN, digits, that is sent enciphered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pin: Option<String>,
    /// Plain data, hex, before the MAC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data: Option<String>,
    /// Spoils the MAC: the last bit of its byte with this index.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub wrong: Option<u8>,
    /// What the MAC is over instead of what is sent: CLA INS P1 P2, then data, as in
    /// `send`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mac_over: Option<String>,
    /// The random number of the session key, as in `send`; a challenge is drawn where
    /// there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub random: Option<String>,
}

/// What is done with the power.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum PowerStep {
    /// Off and on.
    Cycle,
    /// A warm reset.
    Reset,
}

/// What is wrong with a file of a case.
#[derive(Debug, Error)]
pub enum CaseError {
    /// It cannot be read.
    #[error("{}: cannot be read or written", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
    /// It is not a case.
    #[error("{}: line {line}, column {column}: {message}", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
        /// The column, from 1.
        column: usize,
        /// What was found and what is allowed.
        message: String,
    },
    /// Its id is not its path.
    #[error("{}: the id is {id:?}, by its place it must be {expected:?}", path.display())]
    Id {
        /// The file.
        path: PathBuf,
        /// The id in it.
        id: String,
        /// The id that its path stands for.
        expected: String,
    },
    /// A step that is judged by what its kind does not have.
    #[error("{}: step {step}: {what}", path.display())]
    Judged {
        /// The file.
        path: PathBuf,
        /// The step, from 1.
        step: usize,
        /// What is wrong.
        what: &'static str,
    },
    /// A case without steps says nothing.
    #[error("{}: no steps", path.display())]
    NoSteps {
        /// The file.
        path: PathBuf,
    },
}

impl Case {
    /// Reads a case from the text of its file.
    ///
    /// # Errors
    /// [`CaseError::Json`] with the place, then [`CaseError::NoSteps`], then
    /// [`CaseError::Judged`].
    pub fn from_json(path: &Path, text: &str) -> Result<Case, CaseError> {
        let case: Case = serde_json::from_str(text).map_err(|error| {
            let message = error.to_string();
            let message = message
                .split(" at line ")
                .next()
                .unwrap_or_default()
                .to_owned();
            CaseError::Json {
                path: path.to_owned(),
                line: error.line(),
                column: error.column(),
                message,
            }
        })?;
        if case.steps.is_empty() {
            return Err(CaseError::NoSteps {
                path: path.to_owned(),
            });
        }
        for (step, judged) in (1..).zip(&case.steps) {
            if let Some(what) = judged.misjudged() {
                let path = path.to_owned();
                return Err(CaseError::Judged { path, step, what });
            }
        }
        Ok(case)
    }

    /// Its canonical text: two spaces, keys in order, one line feed at the end.
    #[must_use]
    pub fn to_canonical(&self) -> String {
        let mut text = serde_json::to_string_pretty(self).unwrap_or_default();
        text.push('\n');
        text
    }

    /// The first need that the profile does not meet, if any.
    #[must_use]
    pub fn unmet(&self, profile: &Profile) -> Option<&str> {
        self.needs
            .iter()
            .find(|need| !need.is_met(profile))
            .map(|need| need.text.as_str())
    }
}

impl Step {
    /// What is wrong with how it is judged, if anything.
    fn misjudged(&self) -> Option<&'static str> {
        let by_answer = self.expect.is_some() || self.accept.is_some() || !self.objects.is_empty();
        let by_word = self.returns.is_some() || self.gives.is_some();
        let by_cryptogram = self.cid.is_some() || self.cvr.is_some();
        match &self.action {
            Action::Cryptogram(_) => None,
            _ if by_cryptogram => Some("only a cryptogram has \"cid\" and \"cvr\""),
            Action::Terminal(_) if self.returns.is_none() => {
                Some("a function of the terminal is judged by \"returns\"")
            }
            Action::Terminal(_) if by_answer => {
                Some("a function of the terminal has no answer for \"expect\" to judge")
            }
            Action::Terminal(_)
                if self.torn != Torn::Nowhere
                    || self.worn.is_some()
                    || self.sometimes.is_some() =>
            {
                Some("a function of the terminal gives power itself: it is neither torn nor worn")
            }
            Action::Terminal(_) => None,
            _ if by_word => Some("only a function of the terminal has \"returns\" and \"gives\""),
            _ => None,
        }
    }
}

impl ModuleKind {
    fn is_hsm(&self) -> bool {
        *self == ModuleKind::Hsm
    }
}

impl Weight {
    fn is_must(&self) -> bool {
        *self == Weight::Must
    }
}

impl Safety {
    /// The word in cases and reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Safety::ReadOnly => "read-only",
            Safety::ConsumesPinTry => "consumes-pin-try",
            Safety::ConsumesKeyTry => "consumes-key-try",
            Safety::Writes => "writes",
            Safety::Irreversible => "irreversible",
        }
    }

    fn is_read_only(&self) -> bool {
        *self == Safety::ReadOnly
    }
}

impl Need {
    /// Whether it asks for a bank application.
    #[must_use]
    pub fn is_bank(&self) -> bool {
        matches!(
            self.condition,
            Condition::Bank
                | Condition::BankByAccount
                | Condition::BankWithCash
                | Condition::BankAlone
        )
    }

    fn is_met(&self, profile: &Profile) -> bool {
        match &self.condition {
            Condition::VersionAtLeast(version) => profile.version.number() >= *version,
            Condition::Version(version) => profile.version.number() == *version,
            Condition::Algorithm(identifier) => profile.algorithm.id() == *identifier,
            Condition::FirstChange(first_change) => profile.pin.first_change == *first_change,
            Condition::Key(name) => profile.key(name).is_some(),
            Condition::NoKey(name) => profile.key(name).is_none(),
            Condition::Directory(label) => profile.directory_by_label(label).is_some(),
            Condition::File(label, fid) => profile
                .directory_by_label(label)
                .is_some_and(|directory| directory.file(*fid).is_some()),
            Condition::PinNever => profile.pin.tries == 0,
            Condition::Pin => profile.pin.initial.is_some(),
            Condition::PinTries(tries) => profile.pin.tries == *tries,
            Condition::CyclicAppendByNumber(wanted) => profile.cyclic_append_by_number == *wanted,
            Condition::Profile(id) => profile.id == *id,
            Condition::Certificates => profile.certificates.is_some(),
            Condition::Bank => variant::first(profile).is_some(),
            Condition::BankByAccount => {
                variant::first(profile).is_some_and(|first| first.fields().is_some())
            }
            Condition::BankAlone => {
                let side = profile.bank.as_ref();
                side.is_some_and(|bank| bank.applications.len() == 1)
            }
            Condition::BankWithCash => {
                variant::first(profile).is_some_and(|first| !first.locators()[1].is_empty())
            }
            Condition::CertificateCommands => profile
                .certificates
                .as_ref()
                .is_some_and(|certificates| certificates.vendor_commands),
        }
    }
}

impl TryFrom<String> for Need {
    type Error = String;

    fn try_from(text: String) -> Result<Need, String> {
        let unknown = || {
            format!(
                "unknown condition {text:?}; allowed are version>=N, version=N, \
                 algorithm=3des|sm4, first-change=card|terminal, key=NAME, no-key=NAME, \
                 directory=LABEL, file=LABEL/EFXX, pin, pin=never, pin-tries=N, \
                 cyclic-append-by-number, \
                 cyclic-append-by-number=no, profile=ID, certificates, \
                 certificate-commands, bank, bank=account, bank=cash, \
                 bank=alone"
            )
        };
        let version = |digit: &str| digit.parse().ok().filter(|v| (1..=3).contains(v));
        let condition = if text == "pin" {
            Some(Condition::Pin)
        } else if text == "bank" {
            Some(Condition::Bank)
        } else if text == "certificates" {
            Some(Condition::Certificates)
        } else if text == "certificate-commands" {
            Some(Condition::CertificateCommands)
        } else if text == "cyclic-append-by-number" {
            Some(Condition::CyclicAppendByNumber(true))
        } else if let Some(digit) = text.strip_prefix("version>=") {
            version(digit).map(Condition::VersionAtLeast)
        } else {
            match text.split_once('=') {
                Some(("version", digit)) => version(digit).map(Condition::Version),
                Some(("algorithm", "3des")) => Some(Condition::Algorithm(0x01)),
                Some(("algorithm", "sm4")) => Some(Condition::Algorithm(0x03)),
                Some(("first-change", "card")) => Some(Condition::FirstChange(FirstChange::Card)),
                Some(("first-change", "terminal")) => {
                    Some(Condition::FirstChange(FirstChange::Terminal))
                }
                Some(("no-key", name)) => Some(Condition::NoKey(name.to_owned())),
                Some(("bank", "account")) => Some(Condition::BankByAccount),
                Some(("bank", "cash")) => Some(Condition::BankWithCash),
                Some(("bank", "alone")) => Some(Condition::BankAlone),
                Some(("pin", "never")) => Some(Condition::PinNever),
                Some(("pin-tries", tries)) => tries.parse().ok().map(Condition::PinTries),
                Some(("key", name)) => Some(Condition::Key(name.to_owned())),
                Some(("cyclic-append-by-number", "no")) => {
                    Some(Condition::CyclicAppendByNumber(false))
                }
                Some(("profile", id)) => Some(Condition::Profile(id.to_owned())),
                Some(("directory", label)) => Some(Condition::Directory(label.to_owned())),
                Some(("file", path)) => path.split_once('/').and_then(|(label, fid)| {
                    let fid = u16::from_str_radix(fid, 16).ok()?;
                    Some(Condition::File(label.to_owned(), fid))
                }),
                _ => None,
            }
        };
        let condition = condition.ok_or_else(unknown)?;
        Ok(Need { text, condition })
    }
}

impl From<Need> for String {
    fn from(need: Need) -> String {
        need.text
    }
}

/// Amounts in cases: whole fen, a bare number.
mod in_fen {
    use cardlab::fen::Fen;
    use serde::{Deserialize, Deserializer, Serializer};

    pub(super) fn serialize<S: Serializer>(fen: &Fen, to: S) -> Result<S::Ok, S::Error> {
        to.serialize_u32(fen.count())
    }

    pub(super) fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Fen, D::Error> {
        u32::deserialize(from).map(Fen::new)
    }
}

#[cfg(test)]
mod tests {
    use super::{Case, CaseError, Need};
    use std::path::Path;

    const CASE: &str = r#"{
  "id": "verify/a-wrong-pin-costs-one-try",
  "says": {
    "en": "A wrong PIN costs one try.",
    "zh": "密码错误一次，剩余次数减一。"
  },
  "source": [
    "LD/T 32.5-2015, VERIFY"
  ],
  "needs": [
    "pin"
  ],
  "safety": "consumes-pin-try",
  "steps": [
    {
      "do": "wrong",
      "verify": "wrong",
      "expect": "63C?"
    }
  ]
}
"#;

    #[test]
    fn a_case_in_canonical_form_is_written_as_it_was_read() {
        let case = Case::from_json(Path::new("x.json"), CASE).unwrap();
        assert_eq!(case.to_canonical(), CASE);
    }

    #[test]
    fn a_key_that_is_not_known_is_refused_with_its_place() {
        for (good, bad) in [
            ("\"safety\"", "\"saftey\""),
            ("\"verify\"", "\"verfiy\""),
            ("\"expect\"", "\"expects\""),
            ("63C?", "63C"),
            ("\"pin\"", "\"pni\""),
        ] {
            let text = CASE.replace(good, bad);
            let error = Case::from_json(Path::new("x.json"), &text).unwrap_err();
            assert!(
                matches!(error, CaseError::Json { line: 2.., .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn needs_are_read_or_refused_with_what_is_allowed() {
        for text in [
            "version>=2",
            "version=3",
            "algorithm=sm4",
            "key=PUK",
            "file=SSSE/EF07",
        ] {
            assert!(Need::try_from(text.to_owned()).is_ok(), "{text}");
        }
        for text in ["version>=9", "file=SSSE", "algorithm=aes", "anything"] {
            assert!(
                Need::try_from(text.to_owned())
                    .unwrap_err()
                    .contains("allowed are")
            );
        }
    }
}
