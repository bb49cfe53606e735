//! What a card shows from outside: all that a terminal with its keys can see.
//!
//! Two sights of a card are compared item by item, so that a difference has a name.
//! Nothing random is in a sight: it is a function of what the memory holds.

use crate::bank::step::BankVerify;
use crate::bank::variant;
use crate::case::{Action, Authenticate, InitLoad, InitPurchase, Step, UnlockBy};
use crate::generate;
use crate::session::{Session, Trouble};
use crate::subject::Subject;
use cardlab::aid::Aid;
use cardlab::apdu::Sw;
use cardlab::fen::Fen;
use cardlab::icc::Tearable;
use cardlab_desk::medical::{LoadOffer, PurchaseOffer, TYPE_31_LOAD, TYPE_32_PURCHASE};
use cardlab_desk::pki::{Application, Pair, PkiError, Who};
use cardlab_desk::profile::{self, Directory, File, Key, Kind, Profile, Purpose, Rule};
use std::collections::BTreeMap;

/// Something that a card shows; what is shown of it is in hex of an answer.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Item {
    /// The answer to reset.
    Atr,
    /// How many tries the PIN has left, as VERIFY without data says.
    PinTries,
    /// Whether these digits are the PIN.
    Pin(String),
    /// How many tries a key has left, as a wrong code brings it to light.
    KeyTries(String),
    /// The FCI of the directory with this label.
    Directory(String),
    /// A record of a file, from 1; 0 for a transparent file, or for why not.
    Part {
        /// The label of its directory.
        directory: String,
        /// Its identifier.
        fid: u16,
        /// Its number.
        number: usize,
    },
    /// Something of the account in the directory with this label.
    Money(String, Money),
    /// Something of the certificate application.
    Certificates(Certificates),
    /// Something of the first bank application.
    Bank(Bank),
}

/// What a bank application shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Bank {
    /// The answer to SELECT.
    Selected,
    /// How many tries its PIN has left.
    Tries,
    /// Whether its PIN is the one it was issued with.
    Pin,
    /// A data element of GET DATA.
    Element(u16),
    /// A record of a file; of a log, from the newest.
    Record(u8, u8),
}

/// What the certificate application shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Certificates {
    /// How many tries the user's PIN has left.
    UserTries,
    /// How many the administrator's has.
    AdministratorTries,
    /// Whether the user's PIN is the one it was issued with.
    UserPin,
    /// Whether the administrator's is.
    AdministratorPin,
    /// The public key for signatures.
    SignatureKey,
    /// The one for encryption.
    EncryptionKey,
    /// The certificate of the signature key.
    SignatureCertificate,
    /// That of the encryption key.
    EncryptionCertificate,
}

/// What a medical account shows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Money {
    /// The balance.
    Balance,
    /// What the holder paid in the year of payment, and that year.
    Own,
    /// What the fund paid in it, and that year.
    Pooled,
    /// How many loads there were.
    Loads,
    /// How many purchases there were.
    Purchases,
    /// The day on which the year of payment starts.
    StartingDay,
    /// MAC and TAC of the transaction of this type with this number.
    Proof(u8, u16),
}

/// What scripts and payments change of the elements of a bank application.
const ELEMENTS: [u16; 14] = [
    0x9F36, 0x9F13, 0x9F53, 0x9F54, 0x9F58, 0x9F59, 0x9F5C, 0x9F6D, 0x9F72, 0x9F75, 0x9F77, 0x9F78,
    0x9F79, 0xDF79,
];
/// Its files, and how many records of each are looked at; 11 and 12 are its logs.
const FILES_OF_BANK: [(u8, u8); 6] = [(1, 2), (2, 7), (3, 4), (4, 1), (11, 10), (12, 10)];

/// Why a file cannot be read.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// Nobody may.
    Never,
    /// The card says so.
    Sw(Sw),
    /// The way there was not to be gone.
    Trouble(Trouble),
}

impl From<Trouble> for Refusal {
    fn from(trouble: Trouble) -> Refusal {
        Refusal::Trouble(trouble)
    }
}

/// The ways to make a rule true, one after the other.
fn ways_in(rule: &Rule) -> Vec<Vec<Step>> {
    match rule {
        Rule::Or(a, b) => [ways_in(a), ways_in(b)].concat(),
        rule => generate::opening(rule).into_iter().collect(),
    }
}

/// The records of a file, or all its bytes, read by the first way that its rule leaves
/// open; each way is tried in a conversation that `open` begins.
///
/// # Errors
/// Why the last way was closed.
pub fn contents<'s>(
    mut open: impl FnMut() -> Result<Session<'s>, Trouble>,
    directory: &str,
    file: &File,
) -> Result<Vec<Vec<u8>>, Refusal> {
    let mut refused = Refusal::Never;
    for way_in in ways_in(&file.read) {
        match contents_by(&way_in, open()?, directory, file) {
            Ok(parts) => return Ok(parts),
            Err(reason) => refused = reason,
        }
    }
    Err(refused)
}

/// The same, by one way to make its rule true.
fn contents_by(
    way_in: &[Step],
    mut session: Session<'_>,
    directory: &str,
    file: &File,
) -> Result<Vec<Vec<u8>>, Refusal> {
    session.perform(&Action::Select(directory.to_owned()), None)?;
    for step in way_in {
        session.perform(&step.action, None)?;
    }
    let mut parts = Vec::new();
    let mut all = Vec::new();
    loop {
        let command = match file.kind {
            Kind::Transparent { size_bytes } => {
                let left = usize::from(size_bytes).saturating_sub(all.len());
                if left == 0 {
                    return Ok(vec![all]);
                }
                let len = left.min(0xF0);
                if all.is_empty() {
                    format!("00B0{:02X}00 {len:02X}", 0x80 | file.sfi)
                } else {
                    format!("00B0{:04X} {len:02X}", all.len())
                }
            }
            _ => format!("00B2{:02X}{:02X} 00", parts.len() + 1, file.sfi << 3 | 0x04),
        };
        let (data, sw) = session.perform(&Action::Send(command), None)?;
        match (sw, file.kind) {
            (Sw::OK, Kind::Transparent { .. }) if !data.is_empty() => all.extend(data),
            (Sw::OK, _) if parts.len() < 0xFE => parts.push(data),
            (Sw::RECORD_NOT_FOUND, _) => return Ok(parts),
            (sw, _) => return Err(Refusal::Sw(sw)),
        }
    }
}

/// Whether EXTERNAL AUTHENTICATION takes this key.
pub(super) const fn takes_authentication(key: &Key) -> bool {
    matches!(
        key.purpose,
        Purpose::ExternalAuthentication | Purpose::StartingDay
    )
}

/// All that a card shows.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Sight(BTreeMap<Item, Vec<u8>>);

impl Sight {
    /// What is shown of an item.
    #[must_use]
    pub fn get(&self, item: &Item) -> Option<&[u8]> {
        self.0.get(item).map(Vec::as_slice)
    }

    /// All items.
    pub fn items(&self) -> impl Iterator<Item = &Item> {
        self.0.keys()
    }
}

/// Who looks at cards: with the keys of a subject, and all the PINs that may be right.
pub struct Looker<'s> {
    subject: &'s dyn Subject,
    profile: &'s Profile,
    pins: Vec<String>,
    /// The transactions whose proof is asked for.
    numbers: u16,
}

impl<'s> Looker<'s> {
    /// A looker for cards of this profile.
    #[must_use]
    pub fn new(subject: &'s dyn Subject, profile: &'s Profile, pins: &[String]) -> Looker<'s> {
        let mut all: Vec<String> = profile.pin.initial.iter().cloned().collect();
        all.extend(pins.iter().filter(|pin| !pin.is_empty()).cloned());
        all.sort();
        all.dedup();
        Looker {
            subject,
            profile,
            pins: all,
            numbers: 3,
        }
    }

    /// Looks at a card that was just powered on; the card stays as it is.
    #[must_use]
    pub fn look(&self, card: &mut dyn Tearable, atr: &[u8]) -> Sight {
        let mut look = Look {
            looker: self,
            card,
            pin: self.profile.pin.initial.clone().unwrap_or_default(),
            sight: Sight::default(),
        };
        look.show(Item::Atr, atr.to_vec());
        look.pin();
        for directory in &self.profile.directories {
            look.directory(directory);
        }
        if let Some(section) = &self.profile.certificates {
            look.certificates(section);
        }
        if let Some(first) = variant::first(self.profile) {
            look.bank(first.aid());
        }
        look.sight
    }
}

/// One look at one card.
struct Look<'l, 's> {
    looker: &'l Looker<'s>,
    card: &'l mut dyn Tearable,
    /// The PIN that is right.
    pin: String,
    sight: Sight,
}

impl<'s> Look<'_, 's> {
    fn show(&mut self, item: Item, shown: Vec<u8>) {
        self.sight.0.insert(item, shown);
    }

    /// A conversation with a copy of the card, in which the right PIN is known.
    fn open(&mut self) -> Result<Session<'s>, Trouble> {
        let Looker {
            subject, profile, ..
        } = *self.looker;
        let mut session = Session::on(self.card.fork(), subject, profile)?;
        session.set_pin(&self.pin);
        Ok(session)
    }

    /// What a copy of the card answers to the last of these actions.
    fn ask(&mut self, actions: &[Action]) -> Option<(Vec<u8>, Sw)> {
        let mut session = self.open().ok()?;
        let mut answer = None;
        for action in actions {
            answer = Some(session.perform(action, None).ok()?);
        }
        answer
    }

    /// The same, shown: the data and the status word.
    fn ask_and_show(&mut self, item: Item, actions: &[Action]) -> Vec<u8> {
        let answer = self.ask(actions);
        let (mut shown, sw) = answer.unwrap_or((Vec::new(), Sw(0)));
        let data = shown.clone();
        shown.extend(sw.0.to_be_bytes());
        self.show(item, shown);
        data
    }

    fn pin(&mut self) {
        self.ask_and_show(Item::PinTries, &[Action::Send("00200000".to_owned())]);
        for digits in self.looker.pins.clone() {
            let answer = self.ask(&[Action::Verify(digits.clone())]);
            let sw = answer.map_or(Sw(0), |(_, sw)| sw);
            if sw == Sw::OK {
                self.pin.clone_from(&digits);
            }
            // How many tries are left is shown once.
            let shown = if sw.0 & 0xFFF0 == 0x63C0 {
                0x6300
            } else {
                sw.0
            };
            self.show(Item::Pin(digits), shown.to_be_bytes().to_vec());
        }
    }

    fn directory(&mut self, directory: &Directory) {
        let label = &directory.label;
        let select = Action::Select(label.clone());
        let item = Item::Directory(label.clone());
        self.ask_and_show(item, std::slice::from_ref(&select));
        for key in &directory.keys {
            if takes_authentication(key) {
                let wrong = Action::Authenticate(Authenticate {
                    key: key.name.clone(),
                    wrong: Some(0),
                    ..Authenticate::default()
                });
                self.ask_and_show(Item::KeyTries(key.name.clone()), &[select.clone(), wrong]);
            }
        }
        for file in &directory.files {
            self.file(directory, file);
        }
        if directory.account.is_some() {
            self.account(directory);
        }
    }

    fn file(&mut self, directory: &Directory, file: &File) {
        let part = |number| Item::Part {
            directory: directory.label.clone(),
            fid: file.fid,
            number,
        };
        match contents(|| self.open(), &directory.label, file) {
            Ok(parts) => {
                let first = usize::from(!matches!(file.kind, Kind::Transparent { .. }));
                for (number, bytes) in (first..).zip(parts) {
                    self.show(part(number), bytes);
                }
            }
            Err(Refusal::Never) => {}
            Err(Refusal::Sw(sw)) => self.show(part(0), sw.0.to_be_bytes().to_vec()),
            Err(Refusal::Trouble(_)) => self.show(part(0), vec![0, 0]),
        }
    }

    fn certificates(&mut self, section: &profile::Certificates) {
        use Certificates as Shown;
        let users = (Who::User, &section.user, Shown::UserTries, Shown::UserPin);
        let (tries, pin) = (Shown::AdministratorTries, Shown::AdministratorPin);
        let administrators = (Who::Administrator, &section.administrator, tries, pin);
        for (who, issued, tries, pin) in [users, administrators] {
            let shown = self.application(|application| {
                let left = application.tries_left(who)?;
                Ok(vec![0x63, 0xC0 | left])
            });
            self.show(Item::Certificates(tries), shown);
            let shown = self.application(|application| {
                application.verify(who, &issued.initial)?;
                Ok(vec![0x90, 0x00])
            });
            self.show(Item::Certificates(pin), shown);
        }
        for (pair, key, certificate) in [
            (
                Pair::Signature,
                Shown::SignatureKey,
                Shown::SignatureCertificate,
            ),
            (
                Pair::Encryption,
                Shown::EncryptionKey,
                Shown::EncryptionCertificate,
            ),
        ] {
            let shown = self.application(|application| {
                let key = application.public_key(pair)?;
                Ok(key.map_or(Vec::new(), |key| key.to_bytes().to_vec()))
            });
            self.show(Item::Certificates(key), shown);
            let shown = self
                .application(|application| Ok(application.certificate(pair)?.unwrap_or_default()));
            self.show(Item::Certificates(certificate), shown);
        }
    }

    /// What the certificate application of a copy of the card says, or its refusal.
    fn application(
        &mut self,
        ask: impl FnOnce(&mut Application<'_>) -> Result<Vec<u8>, PkiError>,
    ) -> Vec<u8> {
        let mut card = self.card.fork();
        if card.power_on().is_err() {
            return vec![0, 0];
        }
        let asked = Application::select(&mut card).and_then(|mut it| ask(&mut it));
        asked.unwrap_or_else(|error| match error {
            PkiError::WrongPin(_) => vec![0x63, 0x00],
            PkiError::Refused { sw, .. } => sw.0.to_be_bytes().to_vec(),
            _ => vec![0, 0],
        })
    }

    fn bank(&mut self, name: &Aid) {
        let Ok(mut session) = self.open() else { return };
        let mut ask = |command: String| {
            let answer = session.perform(&Action::Send(command), None);
            let (mut shown, sw) = answer.unwrap_or((Vec::new(), Sw(0)));
            shown.extend(sw.0.to_be_bytes());
            shown
        };
        let select = format!("00A40400 {:02X}{name} 00", name.as_bytes().len());
        let mut all = vec![(Bank::Selected, ask(select.clone()))];
        let tries = match ask("80CA9F17 00".to_owned())[..] {
            [0x9F, 0x17, 0x01, left, ..] => vec![0x63, 0xC0 | left],
            ref refused => refused.to_vec(),
        };
        all.push((Bank::Tries, tries));
        for tag in ELEMENTS {
            all.push((Bank::Element(tag), ask(format!("80CA{tag:04X} 00"))));
        }
        for (file, records) in FILES_OF_BANK {
            for number in 1..=records {
                let record = ask(format!("00B2{number:02X}{:02X} 00", file << 3 | 0x04));
                all.push((Bank::Record(file, number), record));
            }
        }
        for (item, shown) in all {
            self.show(Item::Bank(item), shown);
        }
        let verify = BankVerify {
            pin: "right".to_owned(),
            enciphered: false,
        };
        let answer = self.ask(&[Action::Send(select), Action::BankVerify(verify)]);
        let sw = answer.map_or(Sw(0), |(_, sw)| sw);
        // How many tries are left is shown once.
        let shown = if sw.0 & 0xFFF0 == 0x63C0 {
            0x6300
        } else {
            sw.0
        };
        self.show(Item::Bank(Bank::Pin), shown.to_be_bytes().to_vec());
    }

    fn account(&mut self, directory: &Directory) {
        let money = |what| Item::Money(directory.label.clone(), what);
        let way_in = [
            Action::Select(directory.label.clone()),
            Action::Unlock(UnlockBy::Pin),
        ];
        let then = |action: Action| [&way_in[..], &[action]].concat();
        let send = |hex: &str| then(Action::Send(hex.to_owned()));
        self.ask_and_show(money(Money::Balance), &send("B0260001 04"));
        self.ask_and_show(money(Money::Own), &send("B0260002 06"));
        self.ask_and_show(money(Money::Pooled), &send("B0260003 06"));
        self.ask_and_show(money(Money::StartingDay), &send("B0560100 02"));
        let index = |purpose| {
            let keys = &directory.keys;
            let key = keys.iter().find(|key| key.purpose == purpose);
            key.map(|key| key.kid)
        };
        let begin = then(Action::InitLoad(InitLoad {
            fen: Fen::ZERO,
            index: index(Purpose::Load),
        }));
        let offer = self
            .ask(&begin)
            .and_then(|(data, _)| LoadOffer::parse(&data));
        self.count(directory, TYPE_31_LOAD, offer.map(|offer| offer.number));
        let begin = then(Action::InitPurchase(InitPurchase {
            index: index(Purpose::Purchase),
            ..InitPurchase::default()
        }));
        let offer = self
            .ask(&begin)
            .and_then(|(data, _)| PurchaseOffer::parse(&data));
        self.count(directory, TYPE_32_PURCHASE, offer.map(|offer| offer.number));
    }

    /// A counter, and the proofs of the transactions around it.
    fn count(&mut self, directory: &Directory, trade: u8, counter: Option<u16>) {
        let (what, label) = match trade {
            TYPE_31_LOAD => (Money::Loads, directory.label.clone()),
            _ => (Money::Purchases, directory.label.clone()),
        };
        let shown = counter.map_or(Vec::new(), |counter| counter.to_be_bytes().to_vec());
        self.show(Item::Money(label, what), shown);
        let Some(counter) = counter else { return };
        for number in counter.saturating_sub(self.looker.numbers)..=counter {
            let actions = [
                Action::Select(directory.label.clone()),
                Action::Send(format!("B02E00{trade:02X} 02 {number:04X} 00")),
            ];
            if let Some((mut proof, Sw::OK)) = self.ask(&actions) {
                let item = Item::Money(directory.label.clone(), Money::Proof(trade, number));
                proof.truncate(8);
                self.show(item, proof);
            }
        }
    }
}
