//! One case's conversation with a card: actions become commands.
//!
//! On '61XX' the rest is fetched, on '6CXX' the command is sent again with the
//! right Le, unless the step expects just that answer; so a case reads the same over
//! T=0 and in process.
//!
//! Source: social security card specification, parts 4 and 5 (authentication,
//! secure messaging); ISO/IEC 7816-3:2006, 12.2 (T=0 and APDUs).

mod bank;

use crate::bank::till::{Ac, Till};
use crate::bank::variant;
use crate::case::{
    Action, Authenticate, Cells, CertificateChange, CertificateCheck, CertificateDecrypt,
    CertificateSign, CertificateVerify, Credit, Debit, Function, InitLoad, InitPurchase, KeyPair,
    PowerStep, Secured, Step, TerminalStep, Whose,
};
use crate::expect::Expect;
use crate::monitor::{Facts, Monitors, Violation, Watched, repeat};
use crate::record::{Exchange, Record, Recorded};
use crate::said::{Gives, Said};
use crate::subject::Subject;
use crate::terminal::{self, Window};
use cardlab::apdu::{Command, Response, Sw};
use cardlab::crypto::sm2::{IDENTITY, MESSAGE_MAX, OVERHEAD, PublicKey};
use cardlab::crypto::{Key, derive};
use cardlab::fen::Fen;
use cardlab::icc::{Icc, Lost, Tearable};
use cardlab::memory::{self, Worn};
use cardlab_desk::encode;
use cardlab_desk::medical::{Amounts, Load, LoadOffer, Purchase, PurchaseOffer};
use cardlab_desk::pki::{self, Application, PUBLIC_HEAD, Pair, PkiError, Token, Who};
use cardlab_desk::profile::{FirstChange, Profile, Purpose};
use std::borrow::Cow;
use std::collections::BTreeMap;

/// Why a step could not be carried out.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Trouble {
    /// The card or the link was lost: the case cannot be decided.
    Lost(Lost),
    /// The subject has no such thing: the case has no object on it.
    Unavailable(&'static str),
    /// The case asks for something that there is not: the suite is at fault.
    Case(String),
}

impl From<Lost> for Trouble {
    fn from(lost: Lost) -> Trouble {
        Trouble::Lost(lost)
    }
}

/// The card of a conversation.
enum Held<'s> {
    Card(Box<dyn Icc + 's>),
    Tearable(Box<dyn Tearable>),
}

impl Held<'_> {
    fn icc(&mut self) -> &mut dyn Icc {
        match self {
            Held::Card(icc) => icc,
            Held::Tearable(icc) => icc,
        }
    }
}

impl Icc for Held<'_> {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.icc().power_on()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.icc().reset()
    }

    fn power_off(&mut self) {
        self.icc().power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        self.icc().transmit(command, response)
    }
}

/// The conversation.
pub struct Session<'s> {
    card: Recorded<Watched<'s, Held<'s>>>,
    subject: &'s dyn Subject,
    profile: &'s Profile,
    /// Data kept by name, and the profile's values.
    kept: BTreeMap<String, Vec<u8>>,
    /// The PIN that is right now, as digits.
    pin: String,
    /// The PINs of the certificate application that are right now: user's, administrator's.
    key_pins: [String; 2],
    /// The load and the purchase that were begun last, and what the card offered.
    load: (Load, LoadOffer),
    purchase: (Purchase, PurchaseOffer),
    /// CLA INS P1 P2 of the last command of the present step.
    asked: Option<[u8; 4]>,
    /// At which write of the judged command of a step cells are to wear out.
    wear: Option<(u64, Cells)>,
    /// What the terminal's function of this step said.
    said: Option<Said>,
    /// The payment, where the subject's bank is one for tests.
    till: Option<Till>,
    /// The cryptogram of this step.
    ac: Option<Ac>,
    /// What functions said, kept by name.
    texts: BTreeMap<String, String>,
    /// The terminal of the case, once it was used.
    window: Option<Window>,
}

/// Eight bytes that a terminal chooses; any will do, these are in the public traces.
const TERMINAL_RANDOM: [u8; 8] = [0x01, 0x02, 0x03, 0x04, 0x05, 0x06, 0x07, 0x08];
/// The terminal's random number in INTERNAL AUTHENTICATION.
const SESSION_RANDOM: [u8; 8] = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88];

/// The number of every terminal here.
const TERMINAL_NUMBER: [u8; 6] = [0x41, 0x16, 0x00, 0x00, 0x00, 0x01];
/// The number that a terminal gives a purchase.
const PURCHASE_NUMBER: [u8; 4] = [0x00, 0x00, 0x00, 0x01];
/// The time of every load and purchase: 2026-01-02 08:30:00.
const TIME: [u8; 7] = [0x20, 0x26, 0x01, 0x02, 0x08, 0x30, 0x00];
/// The day of that.
const DAY: [u16; 3] = [2026, 1, 2];
/// A load of nothing, where none was begun.
const NO_LOAD: Load = Load {
    index: 1,
    amount: Fen::ZERO,
    terminal: TERMINAL_NUMBER,
    time: TIME,
};
/// A purchase of nothing, where none was begun.
const NO_PURCHASE: Purchase = Purchase {
    index: 1,
    amounts: Amounts {
        account: Fen::ZERO,
        own: Fen::ZERO,
        pooled: Fen::ZERO,
    },
    terminal: TERMINAL_NUMBER,
    terminal_number: PURCHASE_NUMBER,
    time: TIME,
};

impl<'s> Session<'s> {
    /// Powers a fresh card on.
    ///
    /// # Errors
    /// [`Trouble`] where there is no card or no ATR.
    pub fn begin(subject: &'s dyn Subject, profile: &'s Profile) -> Result<Session<'s>, Trouble> {
        let icc = subject
            .fresh()
            .map_err(|text| Trouble::Lost(Lost::Link(text)))?;
        Session::over(Held::Card(icc), subject, profile)
    }

    /// Powers a fresh card on whose power can be cut.
    ///
    /// # Errors
    /// [`Trouble::Unavailable`] where the subject has none, else as
    /// [`begin`](Session::begin).
    pub fn begin_tearable(
        subject: &'s dyn Subject,
        profile: &'s Profile,
    ) -> Result<Session<'s>, Trouble> {
        let unavailable = Trouble::Unavailable("a card whose power can be cut at a write");
        Session::on(subject.tearable().ok_or(unavailable)?, subject, profile)
    }

    /// Powers this card on; the subject has its keys.
    ///
    /// # Errors
    /// [`Trouble::Lost`] where no ATR came.
    pub fn on(
        card: Box<dyn Tearable>,
        subject: &'s dyn Subject,
        profile: &'s Profile,
    ) -> Result<Session<'s>, Trouble> {
        Session::over(Held::Tearable(card), subject, profile)
    }

    /// A second conversation in the very same state, with a copy of the card; its trace
    /// begins where this one's stands. `None` where the card cannot be copied, or a
    /// terminal was used, which may be in the middle of something.
    #[must_use]
    pub fn fork(&mut self) -> Option<Session<'s>> {
        if self.window.is_some() {
            return None;
        }
        let card = Held::Tearable(self.tearable()?.fork());
        Some(Session {
            card: Recorded {
                icc: Watched::new(card, self.card.icc.monitors().clone()),
                record: self.card.record.clone(),
            },
            subject: self.subject,
            profile: self.profile,
            kept: self.kept.clone(),
            pin: self.pin.clone(),
            key_pins: self.key_pins.clone(),
            load: self.load,
            purchase: self.purchase,
            asked: self.asked,
            wear: self.wear,
            said: self.said.clone(),
            till: self.till.clone(),
            ac: self.ac.clone(),
            texts: self.texts.clone(),
            window: None,
        })
    }

    /// The card, where its power can be cut.
    pub fn tearable(&mut self) -> Option<&mut Box<dyn Tearable>> {
        match self.card.icc.card() {
            Held::Card(_) => None,
            Held::Tearable(card) => Some(card),
        }
    }

    /// The PIN that is right now, as digits; none where it is empty.
    #[must_use]
    pub fn pin(&self) -> &str {
        &self.pin
    }

    /// Says which PIN is right now, where it was changed in another conversation.
    pub fn set_pin(&mut self, digits: &str) {
        digits.clone_into(&mut self.pin);
    }

    fn over(
        card: Held<'s>,
        subject: &'s dyn Subject,
        profile: &'s Profile,
    ) -> Result<Session<'s>, Trouble> {
        let facts = Facts {
            profile,
            as_issued: true,
            seed: subject.seed(),
        };
        let mut monitors = Monitors::new(Some(facts));
        if profile.certificates.is_some()
            && let Some(authority) = subject.authority()
        {
            monitors = monitors.with_authority(authority);
        }
        let mut icc = Watched::new(card, monitors);
        let atr = icc.power_on()?;
        let mut kept = BTreeMap::new();
        kept.insert("atr".to_owned(), atr);
        kept.insert("profile_atr".to_owned(), profile.atr.clone());
        for directory in &profile.directories {
            let label = directory.label.to_lowercase();
            kept.insert(format!("{label}_fid"), directory.fid.to_be_bytes().to_vec());
            if let Some(name) = directory.name {
                kept.insert(label, name.as_bytes().to_vec());
            }
        }
        if let Some(ordered) = variant::first(profile) {
            kept.extend(bank::values(ordered));
        }
        kept.insert("pki".to_owned(), pki::ENVIRONMENT.as_bytes().to_vec());
        kept.insert("cert".to_owned(), pki::APPLICATION.as_bytes().to_vec());
        let pin = profile.pin.initial.clone().unwrap_or_default();
        Ok(Session {
            card: Recorded {
                icc,
                record: Record::default(),
            },
            subject,
            profile,
            kept,
            pin,
            key_pins: profile
                .certificates
                .as_ref()
                .map_or_else(Default::default, |certificates| {
                    [&certificates.user, &certificates.administrator].map(|pin| pin.initial.clone())
                }),
            load: (NO_LOAD, LoadOffer::default()),
            purchase: (NO_PURCHASE, PurchaseOffer::default()),
            asked: None,
            wear: None,
            said: None,
            till: subject.seed().and_then(|seed| bank::till(profile, seed)),
            ac: None,
            texts: BTreeMap::new(),
            window: None,
        })
    }

    /// Wears out, in the command of the next step that is judged, the cells of the write
    /// after so many.
    pub fn wear(&mut self, after_writes: u64, cells: Cells) {
        self.wear = Some((after_writes, cells));
    }

    /// Wears nothing more out; whether what [`wear`](Session::wear) asked for happened.
    pub fn spare(&mut self) -> bool {
        let waits = self.wear.take().is_some();
        self.tearable().is_some_and(|card| !waits && card.spare())
    }

    /// Takes the power away and gives it back; the ATR.
    ///
    /// # Errors
    /// [`Trouble::Lost`].
    pub fn cycle(&mut self) -> Result<Vec<u8>, Trouble> {
        Ok(self.card.power_on()?)
    }

    /// All that went over the wire, and the monitors that went red, each with the number
    /// of the exchange.
    #[must_use]
    pub fn end(self) -> (Vec<Exchange>, Vec<Violation>) {
        (
            self.card.record.trace,
            self.card.icc.into_monitors().into_violations(),
        )
    }

    /// Asks a second card the same; where it answers otherwise, that is a violation too.
    pub fn repeat(&mut self) {
        let Ok(mut card) = self.subject.fresh() else {
            return;
        };
        if let Ok(Some(violation)) = repeat(&mut *card, &self.card.record) {
            self.card.icc.add(violation);
        }
    }

    /// The data kept under this name.
    #[must_use]
    pub fn kept(&self, name: &str) -> Option<&[u8]> {
        self.kept.get(name).map(Vec::as_slice)
    }

    /// What the terminal's function of the last step said; `None` where that was
    /// something else.
    #[must_use]
    pub const fn said(&self) -> Option<&Said> {
        self.said.as_ref()
    }

    /// The kind and the results of the last step's cryptogram; `None` where that was
    /// something else, or wrong.
    #[must_use]
    pub fn cryptogram_said(&self) -> Option<([u8; 1], [u8; 4])> {
        self.ac.as_ref().map(|ac| ([ac.cid], ac.cvr))
    }

    /// Whether a text is what is meant.
    ///
    /// # Errors
    /// [`Trouble::Case`] where a name in it stands for nothing.
    pub fn gives(&self, gives: &Gives, text: &str) -> Result<bool, Trouble> {
        gives.matches(text, |name| self.text(name))
    }

    /// Keeps data under a name.
    pub fn keep(&mut self, name: &str, data: &[u8]) {
        if let Some(said) = &self.said {
            self.texts.insert(name.to_owned(), said.text.clone());
        }
        self.kept.insert(name.to_owned(), data.to_vec());
    }

    /// CLA INS P1 P2 of the command that the last step ended with, before what T=0 asks
    /// for after it; `None` where it sent none.
    #[must_use]
    pub const fn asked(&self) -> Option<[u8; 4]> {
        self.asked
    }

    /// Carries an action out and gives its answer: data and status word.
    ///
    /// # Errors
    /// [`Trouble`].
    pub fn perform(
        &mut self,
        action: &Action,
        expect: Option<&Expect>,
    ) -> Result<(Vec<u8>, Sw), Trouble> {
        self.asked = None;
        self.said = None;
        self.ac = None;
        match action {
            Action::Send(template) => {
                let bytes = self.fill(template)?;
                let answer = self.exchange(&bytes, expect)?;
                self.hear_select(&bytes, &answer.0);
                Ok(answer)
            }
            Action::Select(label) => self.select(label, expect),
            Action::Verify(pin) => {
                let pin = self.pin_bytes(pin)?;
                self.command([0x00, 0x20, 0x00, 0x00], &pin, 0, expect)
            }
            Action::Unlock(_) => self.unlock(expect),
            Action::ChangePin(change) => {
                let (from, to) = (self.pin_bytes(&change.from)?, self.pin_bytes(&change.to)?);
                let answer = self.change_pin(&from, &to, expect)?;
                if answer.1 == Sw::OK {
                    self.pin = self.pin_digits(&change.to);
                }
                Ok(answer)
            }
            Action::Authenticate(by) => self.authenticate(by, expect),
            Action::Internal(by) => self.internal(by, expect),
            Action::Secured(secured) => self.secured(secured, expect),
            Action::InitLoad(begin) => self.init_load(begin, expect),
            Action::Credit(end) => self.credit(end, expect),
            Action::InitPurchase(begin) => self.init_purchase(begin, expect),
            Action::Debit(end) => self.debit(end, expect),
            Action::CertificateVerify(by) => self.certificate_verify(by, expect),
            Action::CertificateChange(change) => self.certificate_change(change, expect),
            Action::CertificateSign(sign) => self.certificate_sign(sign, expect),
            Action::CertificateDecrypt(decrypt) => self.certificate_decrypt(decrypt, expect),
            Action::CertificateCheck(check) => self.certificate_check(*check),
            Action::Options(step) => self.options(step, expect),
            Action::Records(_) => self.records(),
            Action::StaticData(_) => self.static_data(),
            Action::Prove(step) => self.prove(step, expect),
            Action::Cryptogram(step) => self.cryptogram(step, expect),
            Action::Issuer(step) => self.issuer(step, expect),
            Action::Script(step) => self.script(step, expect),
            Action::BankVerify(step) => self.bank_verify(step, expect),
            Action::Power(power) => {
                let atr = match power {
                    PowerStep::Cycle => self.cycle()?,
                    PowerStep::Reset => self.card.reset()?,
                };
                Ok((atr, Sw::OK))
            }
            Action::Terminal(step) => self.terminal(step),
        }
    }

    /// A step with the values put into what it expects.
    ///
    /// # Errors
    /// [`Trouble::Case`] for a name that no value has.
    pub fn expecting<'c>(&self, step: &'c Step) -> Result<Cow<'c, Step>, Trouble> {
        let has_values = |expect: &Option<Expect>| expect.as_ref().is_some_and(Expect::has_values);
        if ![&step.expect, &step.accept, &step.sometimes]
            .into_iter()
            .any(has_values)
        {
            return Ok(Cow::Borrowed(step));
        }
        let mut step = step.clone();
        for expect in [&mut step.expect, &mut step.accept, &mut step.sometimes] {
            if let Some(text) = expect.as_ref().map(Expect::text) {
                let text = self.put_in(text)?;
                let pattern = Expect::parse(&text)
                    .map_err(|error| Trouble::Case(format!("{text:?}: {error}")))?;
                *expect = Some(pattern);
            }
        }
        Ok(Cow::Owned(step))
    }

    /// A function of the terminal; the answer is the text that it gives.
    fn terminal(&mut self, step: &TerminalStep) -> Result<(Vec<u8>, Sw), Trouble> {
        let seed = self.subject.seed();
        let seed = seed.ok_or(Trouble::Unavailable("keys whose root is one for tests"))?;
        let step = self.filled(step)?;
        let window = match &mut self.window {
            Some(window) => window,
            none => none.insert(Window::open(self.profile, seed).map_err(Trouble::Case)?),
        };
        let outcome = terminal::run(&step, window, &mut self.card, seed, self.profile);
        let outcome = outcome.map_err(Trouble::Case)?;
        if let Some(lost) = outcome.lost {
            return Err(Trouble::Lost(lost));
        }
        if outcome.said.code == 0 {
            match &step.function {
                Function::ChangePin(change) => self.pin.clone_from(&change.to),
                Function::ReloadPin(new) => self.pin.clone_from(&new.to),
                _ => {}
            }
        }
        let text = outcome.said.text.clone().into_bytes();
        self.said = Some(outcome.said);
        Ok((text, Sw::OK))
    }

    /// A step of the terminal with its PINs and its texts filled in.
    fn filled(&self, step: &TerminalStep) -> Result<TerminalStep, Trouble> {
        let mut step = step.clone();
        if let Some(pin) = &mut step.pin {
            *pin = self.pin_digits(pin);
        }
        match &mut step.function {
            Function::Read(read) => read.address = self.fill_text(&read.address)?,
            Function::Write(write) => {
                write.address = self.fill_text(&write.address)?;
                write.data = self.fill_text(&write.data)?;
            }
            Function::VerifyPin(pin) => pin.pin = self.pin_digits(&pin.pin),
            Function::ChangePin(change) => {
                change.from = self.pin_digits(&change.from);
                change.to = self.pin_digits(&change.to);
            }
            _ => {}
        }
        for entry in &mut step.blacklist {
            *entry = self.fill_text(entry)?;
        }
        if let Some(info) = &mut step.card_info {
            *info = self.fill_text(info)?;
        }
        Ok(step)
    }

    /// Text with `{name}` in it, filled in.
    fn fill_text(&self, template: &str) -> Result<String, Trouble> {
        let mut filled = String::new();
        let mut rest = template;
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) = behind
                .split_once('}')
                .ok_or_else(|| Trouble::Case(format!("'{{' without '}}' in {template:?}")))?;
            filled += before;
            filled += &self.text(name)?;
            rest = after;
        }
        Ok(filled + rest)
    }

    /// What a name stands for in a text: what a function said, an item of the card as it
    /// was issued (`SSSEEF05|07`), the whole name, the recognition code, data kept in hex.
    fn text(&self, name: &str) -> Result<String, Trouble> {
        let unknown = || Trouble::Case(format!("no value is called {name:?}"));
        if let Some(text) = self.texts.get(name) {
            return Ok(text.clone());
        }
        match name {
            "name" => {
                let name = self.profile.item("SSSEEF06|09").ok_or_else(unknown)?;
                let more = self.profile.item("SSSEEF06|4E");
                let more = more.map_or(&[][..], |item| &item.bytes);
                Ok(encode::decode_name(&name.bytes, more).text().to_owned())
            }
            "recognition_code" => {
                let item = self.profile.item("SSSEEF05|01").ok_or_else(unknown)?;
                let mut code = item.bytes.clone();
                if let (true, Some((first, mac))) = (item.computed, code.split_first_chunk_mut()) {
                    let (irk, _) = self.key("IRK", 1)?;
                    mac.copy_from_slice(&derive::recognition_code_mac(&irk.expand(), first));
                }
                Ok(hex::encode_upper(code))
            }
            "region" => Ok(hex::encode_upper(self.profile.region)),
            "historical" => Ok(hex::encode_upper(self.profile.historical)),
            name => {
                let item = self.profile.item(name);
                let kept = || self.kept(name).map(hex::encode_upper);
                let item = item.map(|item| item.decode(&item.bytes).text().to_owned());
                item.or_else(kept).ok_or_else(unknown)
            }
        }
    }

    /// Hex with `{name}` in it, filled in.
    fn fill(&self, template: &str) -> Result<Vec<u8>, Trouble> {
        let mut digits = self.put_in(template)?;
        digits.retain(|c| !c.is_whitespace());
        hex::decode(&digits).map_err(|error| Trouble::Case(format!("{template:?}: {error}")))
    }

    /// A text with a value in the place of each `{name}`; `{8}` stays.
    fn put_in(&self, template: &str) -> Result<String, Trouble> {
        let (mut text, mut rest) = (String::new(), template);
        while let Some((before, behind)) = rest.split_once('{') {
            let (name, after) = behind
                .split_once('}')
                .ok_or_else(|| Trouble::Case(format!("'{{' without '}}' in {template:?}")))?;
            text += before;
            if name.parse::<usize>().is_ok() {
                text += &format!("{{{name}}}");
            } else {
                text += &self.value(name)?;
            }
            rest = after;
        }
        Ok(text + rest)
    }

    /// A value by name; `name:lv` puts its length in one byte before it.
    fn value(&self, name: &str) -> Result<String, Trouble> {
        let (name, with_len) = match name.strip_suffix(":lv") {
            Some(name) => (name, true),
            None => (name, false),
        };
        let unknown = || Trouble::Case(format!("no value is called {name:?}"));
        let bytes = match name {
            "pin" => self.pin_bytes("right")?,
            name if name.contains('|') => {
                let item = self.profile.item(name).ok_or_else(unknown)?;
                if item.computed {
                    let says = format!("{name:?} is computed when a card is issued");
                    return Err(Trouble::Case(says));
                }
                item.bytes.clone()
            }
            name => self.kept(name).ok_or_else(unknown)?.to_vec(),
        };
        let len = if with_len {
            format!("{:02X}", bytes.len())
        } else {
            String::new()
        };
        Ok(len + &hex::encode_upper(bytes))
    }

    /// One command, and what T=0 asks for after it.
    fn exchange(
        &mut self,
        command: &[u8],
        expect: Option<&Expect>,
    ) -> Result<(Vec<u8>, Sw), Trouble> {
        self.asked = command.first_chunk().copied();
        if expect.is_some()
            && let Some((after_writes, cells)) = self.wear.take()
            && let Held::Tearable(icc) = self.card.icc.card()
        {
            icc.wear(Worn {
                after_writes,
                cells: match cells {
                    Cells::Stuck => memory::Cells::Stuck,
                    Cells::Lost => memory::Cells::Lost,
                },
            });
        }
        let (mut data, mut sw) = self.transmit(command)?;
        let expected = |data: &[u8], sw| expect.is_some_and(|e| e.matches(&Response { data, sw }));
        if expected(&data, sw) {
            return Ok((data, sw));
        }
        if let (0x6C, Ok(parsed)) = (sw.sw1(), Command::parse(command)) {
            let ne = if sw.sw2() == 0 {
                256
            } else {
                u32::from(sw.sw2())
            };
            (data, sw) = self.transmit(&parsed.expecting(ne).to_bytes())?;
        }
        // Each part brings at least one byte or ends it; 65 536 bytes are the most there can be.
        while sw.sw1() == 0x61 && data.len() <= 65_536 {
            let class = command.first().copied().unwrap_or(0) & 0x43;
            let (part, next) = self.transmit(&[class, 0xC0, 0x00, 0x00, sw.sw2()])?;
            if part.is_empty() && next.sw1() == 0x61 {
                break;
            }
            data.extend(part);
            sw = next;
        }
        Ok((data, sw))
    }

    fn transmit(&mut self, command: &[u8]) -> Result<(Vec<u8>, Sw), Trouble> {
        let mut response = Vec::new();
        self.card.transmit(command, &mut response)?;
        let answer = Response::parse(&response).ok_or_else(|| {
            Trouble::Lost(Lost::Link(format!("an answer of {} bytes", response.len())))
        })?;
        Ok((answer.data.to_vec(), answer.sw))
    }

    fn command(
        &mut self,
        header: [u8; 4],
        data: &[u8],
        ne: u32,
        expect: Option<&Expect>,
    ) -> Result<(Vec<u8>, Sw), Trouble> {
        let [cla, ins, p1, p2] = header;
        let class = cardlab::apdu::Class::new(cla)
            .ok_or_else(|| Trouble::Case(format!("CLA '{cla:02X}' is none")))?;
        let command = Command::new(class, ins, p1, p2)
            .with_data(data)
            .expecting(ne);
        self.exchange(&command.to_bytes(), expect)
    }

    /// From the SSSE down to the directory; only the last answer counts.
    fn select(&mut self, label: &str, expect: Option<&Expect>) -> Result<(Vec<u8>, Sw), Trouble> {
        let unknown = || Trouble::Case(format!("the profile has no directory {label:?}"));
        let directory = self.profile.directory_by_label(label).ok_or_else(unknown)?;
        let (fid, name) = (directory.fid, directory.name);
        if let Some(parent) = directory.parent.and_then(|fid| self.profile.directory(fid))
            && parent.parent.is_some()
        {
            self.select(&parent.label, None)?;
        }
        match name {
            Some(name) => self.command([0x00, 0xA4, 0x04, 0x00], name.as_bytes(), 256, expect),
            None => self.command([0x00, 0xA4, 0x00, 0x00], &fid.to_be_bytes(), 256, expect),
        }
    }

    fn change_pin(
        &mut self,
        from: &[u8],
        to: &[u8],
        expect: Option<&Expect>,
    ) -> Result<(Vec<u8>, Sw), Trouble> {
        let data = [from, &[0xFF], to].concat();
        self.command([0x80, 0x5E, 0x01, 0x00], &data, 0, expect)
    }

    fn unlock(&mut self, expect: Option<&Expect>) -> Result<(Vec<u8>, Sw), Trouble> {
        let initial = self.profile.pin.initial.as_ref() == Some(&self.pin);
        if initial && self.profile.pin.first_change == FirstChange::Card {
            let to: String = self.pin.chars().rev().collect();
            let (from, new) = (self.pin_bytes("right")?, self.pin_bytes(&to)?);
            let (_, sw) = self.change_pin(&from, &new, None)?;
            if sw == Sw::OK {
                self.pin = to;
            }
        }
        let pin = self.pin_bytes("right")?;
        self.command([0x00, 0x20, 0x00, 0x00], &pin, 0, expect)
    }

    fn pin_digits(&self, pin: &str) -> String {
        digits_of(&self.pin, pin)
    }

    /// A PIN as packed digits, an odd one filled with 'F'.
    fn pin_bytes(&self, pin: &str) -> Result<Vec<u8>, Trouble> {
        let mut digits = self.pin_digits(pin);
        if digits.len() % 2 == 1 {
            digits.push('F');
        }
        hex::decode(&digits).map_err(|_| Trouble::Case(format!("{pin:?} is no PIN")))
    }

    fn key(&self, name: &str, version: u8) -> Result<(Key, u8), Trouble> {
        let unknown = || Trouble::Case(format!("the profile has no key {name:?}"));
        let (_, key) = self.profile.key(name).ok_or_else(unknown)?;
        // A version that the card does not hold is asked for with the first one's bytes.
        let version = if (1..=key.versions).contains(&version) {
            version
        } else {
            1
        };
        let bytes = self
            .subject
            .key(name, version)
            .ok_or_else(|| Trouble::Case(format!("the security module has no key {name:?}")))?;
        Ok((bytes, key.kid))
    }

    fn challenge(&mut self, len: u32) -> Result<Vec<u8>, Trouble> {
        let (challenge, sw) = self.command([0x00, 0x84, 0x00, 0x00], &[], len, None)?;
        if sw == Sw::OK && challenge.len() == len as usize {
            Ok(challenge)
        } else {
            Err(Trouble::Case(format!("GET CHALLENGE answered {sw}")))
        }
    }

    /// The random number that a step names, or a challenge drawn for it.
    fn random(&mut self, named: Option<&String>) -> Result<Vec<u8>, Trouble> {
        match named {
            Some(template) => self.fill(template),
            None => self.challenge(8),
        }
    }

    /// The 8 bytes that a step names, or those of every terminal here.
    fn raw(&self, named: Option<&String>) -> Result<[u8; 8], Trouble> {
        let Some(template) = named else {
            return Ok(TERMINAL_RANDOM);
        };
        let raw = self.fill(template)?;
        raw.try_into()
            .map_err(|_| Trouble::Case(format!("{template:?} is not 8 bytes")))
    }

    fn authenticate(
        &mut self,
        by: &Authenticate,
        expect: Option<&Expect>,
    ) -> Result<(Vec<u8>, Sw), Trouble> {
        let (key, kid) = self.key(&by.key, by.version.unwrap_or(1))?;
        let random = self.random(by.random.as_ref())?;
        let raw = self.raw(by.raw.as_ref())?;
        let mut code = authentication(&key, &random, &raw)?;
        spoil(&mut code, by.wrong);
        let mut data = [code, raw].concat();
        data.extend(by.version);
        self.command([0x00, 0x82, 0x00, kid], &data, 0, expect)
    }

    fn internal(
        &mut self,
        by: &Authenticate,
        expect: Option<&Expect>,
    ) -> Result<(Vec<u8>, Sw), Trouble> {
        let (key, kid) = self.key(&by.key, by.version.unwrap_or(1))?;
        let random = match &by.random {
            Some(template) => self.fill(template)?,
            None => SESSION_RANDOM.to_vec(),
        };
        let raw = self.raw(by.raw.as_ref())?;
        let mut data = [&random[..], &raw].concat();
        data.extend(by.version);
        let answer = self.command([0x00, 0x88, 0x00, kid], &data, 256, expect)?;
        let want = authentication(&key, &random, &raw)?;
        if answer.1 == Sw::OK && answer.0 != want {
            // A wrong code can be no answer that any expectation allows.
            return Ok((answer.0, WRONG_CODE));
        }
        Ok(answer)
    }

    fn secured(
        &mut self,
        secured: &Secured,
        expect: Option<&Expect>,
    ) -> Result<(Vec<u8>, Sw), Trouble> {
        let (key, _) = self.key(&secured.key, 1)?;
        let header: [u8; 4] = self
            .fill(&secured.header)?
            .try_into()
            .map_err(|_| Trouble::Case(format!("{:?} is no CLA INS P1 P2", secured.header)))?;
        let random = self.random(secured.random.as_ref())?;
        let session = session_key(&key, &random)?.expand();
        let mut data = match &secured.data {
            Some(template) => self.fill(template)?,
            None => Vec::new(),
        };
        if let Some(pin) = &secured.pin {
            let plain = self.pin_bytes(pin)?;
            let mut enciphered = [0; 32];
            let len = derive::encipher(&session, &plain, &mut enciphered)
                .ok_or_else(|| Trouble::Case(format!("{pin:?} is too long")))?;
            data.extend(&enciphered[..len]);
        }
        let lc = u8::try_from(data.len() + 4)
            .map_err(|_| Trouble::Case("the data are too long".to_owned()))?;
        let mut mac = match &secured.mac_over {
            Some(template) => {
                let over = self.fill(template)?;
                let (header, data) = over
                    .split_first_chunk::<4>()
                    .ok_or_else(|| Trouble::Case(format!("{template:?} has no CLA INS P1 P2")))?;
                derive::mac(&session, &[header, &[lc], data])
            }
            None => derive::mac(&session, &[&header, &[lc], &data]),
        };
        spoil(&mut mac, secured.wrong);
        data.extend(mac);
        let answer = self.command(header, &data, 0, expect)?;
        if let (Sw::OK, Some(pin)) = (answer.1, &secured.pin) {
            self.pin = self.pin_digits(pin);
        }
        Ok(answer)
    }

    fn key_pin(&self, who: Whose, pin: &str) -> String {
        let [user, administrator] = &self.key_pins;
        let right = match who {
            Whose::User => user,
            Whose::Administrator => administrator,
        };
        digits_of(right, pin)
    }

    fn token(&self, who: Whose, pin: &str) -> Result<Token, Trouble> {
        let digits = self.key_pin(who, pin);
        Token::of(&digits).ok_or_else(|| Trouble::Case(format!("{digits:?} is no such PIN")))
    }

    fn certificate_verify(
        &mut self,
        by: &CertificateVerify,
        expect: Option<&Expect>,
    ) -> Result<(Vec<u8>, Sw), Trouble> {
        let token = self.token(by.who, &by.pin)?;
        let random = match &by.random {
            Some(template) => self.fill(template)?,
            None => self.challenge(u32::from(by.challenge.unwrap_or(16)))?,
        };
        let proof = token.proof(&random);
        let mut proof = proof.ok_or_else(|| Trouble::Case("8 or 16 random bytes".to_owned()))?;
        spoil(&mut proof, by.wrong);
        let p2 = Who::from(by.who).p2();
        self.command([0x00, 0x20, 0x01, p2], &proof, 0, expect)
    }

    fn certificate_change(
        &mut self,
        change: &CertificateChange,
        expect: Option<&Expect>,
    ) -> Result<(Vec<u8>, Sw), Trouble> {
        let from = change.from.as_deref().unwrap_or("right");
        let token = self.token(change.by, from)?;
        let p2 = Who::from(change.who).p2();
        let header = match (change.who, change.by) {
            (Whose::User, Whose::Administrator) => [0x84, 0x24, 0x01, p2],
            _ => [0x84, 0x5E, 0x01, p2],
        };
        let random = self.challenge(16)?;
        let new = change.to.as_deref();
        let message = token.message(header, &random, new);
        let mut data = message.ok_or_else(|| Trouble::Case(format!("{new:?} is no such PIN")))?;
        let mac_at = data.len().saturating_sub(4);
        if let Some(mac) = data.get_mut(mac_at..) {
            spoil(mac, change.wrong);
        }
        let answer = self.command(header, &data, 0, expect)?;
        if let (Sw::OK, Some(new)) = (answer.1, new) {
            let [user, administrator] = &mut self.key_pins;
            *match change.who {
                Whose::User => user,
                Whose::Administrator => administrator,
            } = new.to_owned();
        }
        Ok(answer)
    }

    /// The card's public key, by EXPORT PUBLIC KEY.
    fn certificate_key(&mut self, pair: Pair) -> Result<PublicKey, Trouble> {
        let references = [pair.public_reference(), pair.private_reference()].concat();
        let (data, _) = self.command([0x80, 0xC9, 0x82, 0x00], &references, 256, None)?;
        data.strip_prefix(&PUBLIC_HEAD)
            .and_then(|key| key.try_into().ok())
            .and_then(PublicKey::from_bytes)
            .ok_or_else(|| Trouble::Case("the card exports no public key".to_owned()))
    }

    fn certificate_sign(
        &mut self,
        sign: &CertificateSign,
        expect: Option<&Expect>,
    ) -> Result<(Vec<u8>, Sw), Trouble> {
        let message = self.fill(&sign.message)?;
        let pair = Pair::Signature;
        let key = self.certificate_key(pair)?;
        let digest = key.message_digest(IDENTITY, &message).unwrap_or_default();
        let data = [&pair.private_reference()[..], &[0xC1, 0x20], &digest].concat();
        let (data, sw) = self.command([0x80, 0x48, 0x00, 0x01], &data, 256, expect)?;
        let signature = data.as_slice().try_into();
        let good = signature.is_ok_and(|signature| key.verify(&digest, signature));
        let sw = if sw == Sw::OK && !good {
            WRONG_CODE
        } else {
            sw
        };
        Ok((data, sw))
    }

    fn certificate_decrypt(
        &mut self,
        decrypt: &CertificateDecrypt,
        expect: Option<&Expect>,
    ) -> Result<(Vec<u8>, Sw), Trouble> {
        let message = self.fill(&decrypt.message)?;
        let pair = Pair::from(decrypt.key);
        let key = self.certificate_key(pair)?;
        let certificates = self.profile.certificates.as_ref();
        let order = certificates.map_or_else(Default::default, |c| c.cipher_text);
        let mut text = [0; OVERHEAD + MESSAGE_MAX];
        // Any random bytes will do, and the same ones repeat a run.
        let mut draws = 0u8;
        let mut fill = |into: &mut [u8]| {
            draws = draws.wrapping_add(1);
            into.fill(draws);
        };
        let len = key.encrypt(&message, order, &mut fill, &mut text);
        let too_long = || Trouble::Case("a message of 1 to 151 bytes".to_owned());
        let text = len.and_then(|len| text.get_mut(..len));
        let text = text.ok_or_else(too_long)?;
        spoil(text, decrypt.wrong);
        let [high, low] = u16::try_from(text.len()).unwrap_or(0).to_be_bytes();
        let head = [0xC1, 0x82, high, low];
        let data = [&pair.private_reference()[..], &head, text].concat();
        let answer = self.command([0x80, 0x4E, 0x00, 0x01], &data, 256, expect)?;
        Ok(proven(answer, &message))
    }

    /// '9000' where all findings are good; else the words of the first that is not.
    fn certificate_check(&mut self, check: CertificateCheck) -> Result<(Vec<u8>, Sw), Trouble> {
        let unknown = Trouble::Unavailable("the certificate of the authority");
        let authority = self.subject.authority().ok_or(unknown)?;
        let mut application = match Application::select(&mut self.card) {
            Ok(application) => application,
            Err(PkiError::Lost(lost)) => return Err(Trouble::Lost(lost)),
            Err(error) => return Ok((error.to_string().into_bytes(), WRONG_CODE)),
        };
        let private = check == CertificateCheck::Private;
        if private {
            let [user, administrator] = &self.key_pins;
            for (who, pin) in [(Who::User, user), (Who::Administrator, administrator)] {
                if let Err(error) = application.verify(who, pin) {
                    return Ok((error.to_string().into_bytes(), WRONG_CODE));
                }
            }
        }
        let certificates = self.profile.certificates.as_ref();
        let order = certificates.map_or_else(Default::default, |c| c.cipher_text);
        match pki::check(&mut application, &authority, DAY, private.then_some(order)) {
            Err(PkiError::Lost(lost)) => Err(Trouble::Lost(lost)),
            Err(error) => Ok((error.to_string().into_bytes(), WRONG_CODE)),
            Ok(findings) => Ok(match findings.iter().find(|finding| !finding.is_good()) {
                None => (Vec::new(), Sw::OK),
                Some(finding) => (finding.to_string().into_bytes(), WRONG_CODE),
            }),
        }
    }

    /// The key of DF04 with a purpose and, where one is given, this index; the first
    /// one for an index that there is not.
    fn medical_key(
        &self,
        purpose: Purpose,
        index: Option<u8>,
        version: u8,
    ) -> Result<Key, Trouble> {
        let keys = self.profile.directories.iter().flat_map(|d| &d.keys);
        let keys: Vec<_> = keys.filter(|key| key.purpose == purpose).collect();
        let named = keys.iter().find(|key| Some(key.kid) == index);
        let key = named.or_else(|| keys.first());
        let key = key.ok_or_else(|| Trouble::Case(format!("no key for {purpose:?}")))?;
        self.key(&key.name, version).map(|(key, _)| key)
    }

    fn field<const N: usize>(
        &self,
        named: Option<&String>,
        default: [u8; N],
    ) -> Result<[u8; N], Trouble> {
        let Some(template) = named else {
            return Ok(default);
        };
        let bytes = self.fill(template)?;
        bytes
            .try_into()
            .map_err(|_| Trouble::Case(format!("{template:?} is not {N} bytes")))
    }

    fn init_load(
        &mut self,
        begin: &InitLoad,
        expect: Option<&Expect>,
    ) -> Result<(Vec<u8>, Sw), Trouble> {
        let load = Load {
            index: begin.index.unwrap_or(1),
            amount: begin.fen,
            ..NO_LOAD
        };
        let data = load.initialize_data();
        let (data, sw) = self.command([0xB0, 0x28, 0x00, 0x01], &data, 256, expect)?;
        let offer = LoadOffer::parse(&data);
        self.load = (load, offer.unwrap_or_default());
        let Some(offer) = offer.filter(|_| sw == Sw::OK) else {
            return Ok((data, sw));
        };
        let dlk = self.medical_key(Purpose::Load, Some(load.index), offer.version)?;
        if load.mac1(&dlk, &offer) == Some(offer.mac) {
            Ok((data, sw))
        } else {
            Ok((data, WRONG_CODE))
        }
    }

    fn credit(&mut self, end: &Credit, expect: Option<&Expect>) -> Result<(Vec<u8>, Sw), Trouble> {
        let (mut load, offer) = self.load;
        load.time = self.field(end.time.as_ref(), TIME)?;
        let version = offer.version.max(1);
        let dlk = self.medical_key(Purpose::Load, Some(load.index), version)?;
        let dtk = self.medical_key(Purpose::Tac, None, 1)?;
        let mac2 = load.mac2(&dlk, &offer).unwrap_or_default();
        let tac = load.tac(&dtk, &offer).unwrap_or_default();
        self.keep("proof", &[mac2, tac].concat());
        let mut sent = mac2;
        spoil(&mut sent, end.wrong);
        let data = load.credit_data(sent);
        let answer = self.command([0xB0, 0x2A, 0x00, 0x00], &data, 256, expect)?;
        Ok(proven(answer, &tac))
    }

    fn init_purchase(
        &mut self,
        begin: &InitPurchase,
        expect: Option<&Expect>,
    ) -> Result<(Vec<u8>, Sw), Trouble> {
        let purchase = Purchase {
            index: begin.index.unwrap_or(1),
            amounts: Amounts {
                account: begin.account,
                own: begin.own,
                pooled: begin.pooled,
            },
            ..NO_PURCHASE
        };
        let data = purchase.initialize_data();
        let answer = self.command([0xB0, 0x28, 0x01, 0x01], &data, 256, expect)?;
        self.purchase = (
            purchase,
            PurchaseOffer::parse(&answer.0).unwrap_or_default(),
        );
        Ok(answer)
    }

    fn debit(&mut self, end: &Debit, expect: Option<&Expect>) -> Result<(Vec<u8>, Sw), Trouble> {
        let (mut purchase, offer) = self.purchase;
        purchase.terminal_number = self.field(end.number.as_ref(), PURCHASE_NUMBER)?;
        purchase.time = self.field(end.time.as_ref(), TIME)?;
        let version = offer.version.max(1);
        let dpk = self.medical_key(Purpose::Purchase, Some(purchase.index), version)?;
        let dtk = self.medical_key(Purpose::Tac, None, 1)?;
        let mut mac1 = purchase.mac1(&dpk, &offer).unwrap_or_default();
        let mac2 = purchase.mac2(&dpk, &offer).unwrap_or_default();
        let tac = purchase.tac(&dtk);
        self.keep("proof", &[mac2, tac].concat());
        spoil(&mut mac1, end.wrong);
        let data = purchase.debit_data(mac1);
        let answer = self.command([0xB0, 0x2C, 0x01, 0x00], &data, 256, expect)?;
        Ok(proven(answer, &[tac, mac2].concat()))
    }
}

impl From<Whose> for Who {
    fn from(who: Whose) -> Who {
        match who {
            Whose::User => Who::User,
            Whose::Administrator => Who::Administrator,
        }
    }
}

impl From<KeyPair> for Pair {
    fn from(pair: KeyPair) -> Pair {
        match pair {
            KeyPair::Signature => Pair::Signature,
            KeyPair::Encryption => Pair::Encryption,
        }
    }
}

/// `right` is the PIN itself, `wrong` has each digit one greater; else digits.
pub(crate) fn digits_of(right: &str, pin: &str) -> String {
    match pin {
        "right" => right.to_owned(),
        // Each digit another one, so that it differs in every place.
        "wrong" => {
            let next = |c: char| {
                c.to_digit(10)
                    .and_then(|d| char::from_digit((d + 1) % 10, 10))
            };
            right.chars().filter_map(next).collect()
        }
        digits => digits.to_owned(),
    }
}

/// Stands for '9000' with a code that the key does not give; no card can send it,
/// since SW1 is '6X' or '9X'.
pub const WRONG_CODE: Sw = Sw(0x0000);

/// Turns the last bit of one byte of a code.
fn spoil(code: &mut [u8], index: Option<u8>) {
    if let Some(byte) = index.and_then(|index| code.get_mut(usize::from(index))) {
        *byte ^= 0x01;
    }
}

/// An answer with these codes, or one that no expectation means.
fn proven((data, sw): (Vec<u8>, Sw), codes: &[u8]) -> (Vec<u8>, Sw) {
    if sw == Sw::OK && data != codes {
        (data, WRONG_CODE)
    } else {
        (data, sw)
    }
}

fn session_key(key: &Key, random: &[u8]) -> Result<Key, Trouble> {
    derive::session_key(&key.expand(), random)
        .ok_or_else(|| Trouble::Case(format!("{} bytes make no session key", random.len())))
}

fn authentication(key: &Key, random: &[u8], raw: &[u8; 8]) -> Result<[u8; 8], Trouble> {
    let session = session_key(key, random)?;
    Ok(derive::authenticate(&session.expand(), raw))
}
