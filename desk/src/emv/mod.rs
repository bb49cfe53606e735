//! A payment terminal's kernel: one transaction with a bank card, and its story.
//!
//! | file           | what                                                              |
//! |----------------|-------------------------------------------------------------------|
//! | `terminal`     | what a terminal is and holds: names, limits, keys of authorities   |
//! | `story`        | steps and findings in words, in English and in Chinese             |
//! | `elements`     | data elements of card and terminal, and lists filled with them     |
//! | `host`         | whom it asks on line                                               |
//! | `select`       | candidates, by the directory or by name; the choice                |
//! | `read`         | processing options, records                                        |
//! | `authenticate` | static, dynamic, combined data authentication                      |
//! | `restrict`     | versions, usage, dates                                             |
//! | `holder`       | methods to verify the holder                                       |
//! | `risk`         | floor limit, random selection, velocity                            |
//! | `decide`       | action codes, cryptograms, the host's answer, scripts, the end     |
//! | `activate`     | the bank activates an application                                  |
//!
//! Knows a card by [`Icc`] and by the standards alone: what it needs of the card it reads
//! there. It has neither clock nor entropy; date, time and the seed of its random numbers
//! are given with the [`Sale`].
//!
//! A terminal that wants the SM set ('DF69') tells by the issuer's certificate, and without
//! the exponent of RSA beside it, that a card has it: then certificates and signatures are
//! by SM2. What makes the card's sums is between card and bank, and told as the card says
//! it. All of it is experimental.
//!
//! What the standards leave to the terminal is decided so: combined authentication is
//! asked for with every cryptogram that is not a decline; a response code that refers to
//! the bank declines; a holder who keys in nothing more has passed the PIN over.
//!
//! Source: EMV 4.4 book 1, 12; book 2, 5 to 8; book 3, 10; book 4, 6. JR/T 0025.6,
//! 0025.13 (e-cash) and 0025.17 (the SM set), by public material.

mod activate;
mod authenticate;
mod decide;
mod elements;
mod holder;
mod host;
mod read;
mod restrict;
mod risk;
mod select;
mod story;
mod terminal;

pub use activate::{Activation, activate};
pub use host::{Answer, Host, OutOfReach};
pub use story::{Finding, Phase, Step, Tsi, Tvr};
pub use terminal::{
    Accepted, Authority, Holder, RandomSelection, Sale, TYPE_ATTENDED, TYPE_OFFLINE, Terminal,
};

use crate::bank::host::{IssuerData, Request};
use crate::wire::{self, exchange};
use authenticate::PublicKey;
use cardlab::aid::Aid;
use cardlab::apdu::{Class, Command, Sw};
use cardlab::crypto::Sm3;
use cardlab::fen::Fen;
use cardlab::icc::{Icc, Lost};
use cardlab::tag;
use cardlab::tlv::Tag;
use elements::Elements;
use std::collections::VecDeque;
use thiserror::Error;

/// How a transaction ended.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum End {
    /// Approved; `online` by the host, else by card and terminal.
    Approved {
        /// Whether the host said so.
        online: bool,
    },
    /// Declined; `online` after the host's answer, else by card or terminal.
    Declined {
        /// Whether the host was heard.
        online: bool,
    },
    /// Not a transaction.
    Terminated(Why),
}

/// Why there was no transaction.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum Why {
    /// No answer.
    #[error(transparent)]
    Lost(#[from] Lost),
    /// The whole card is blocked.
    #[error("the card is blocked")]
    CardBlocked,
    /// The application is there, and blocked or not activated.
    #[error("the application is blocked, or was not activated by its bank")]
    ApplicationBlocked(Aid),
    /// No application that the terminal knows.
    #[error("the card has no application that this terminal takes")]
    NoApplication,
    /// A command was refused.
    #[error("{0} was answered {1}: {words}", words = .1.words().unwrap_or("unknown"))]
    Refused(&'static str, Sw),
    /// An answer that cannot be read.
    #[error("what {0} answered is malformed")]
    Malformed(&'static str),
    /// A data element twice in the records.
    #[error("the card has {0:X} twice in its records")]
    Twice(u32),
    /// A data element that must be there.
    #[error("the card has no {0:X} in its records")]
    Missing(u32),
    /// The card says that it does not do this.
    #[error("the card does not allow this service")]
    NotAllowed,
    /// The card answered more than it was asked for.
    #[error("the card answered with a cryptogram that was not asked for")]
    WrongCryptogram,
}

impl Why {
    /// Its words in Chinese.
    #[must_use]
    pub fn words_zh(&self) -> String {
        match self {
            Why::Lost(_) => "卡片无应答".to_owned(),
            Why::CardBlocked => "卡片已锁定".to_owned(),
            Why::ApplicationBlocked(_) => "金融应用已锁定或尚未激活".to_owned(),
            Why::NoApplication => "卡内无本终端支持的应用".to_owned(),
            Why::Refused(_, sw) => {
                format!("卡片拒绝命令：{}", sw.words_zh().unwrap_or("未知状态"))
            }
            Why::Malformed(_) => "卡片应答数据格式错误".to_owned(),
            Why::Twice(tag) => format!("卡片记录中{tag:X}重复"),
            Why::Missing(tag) => format!("卡片记录中缺少{tag:X}"),
            Why::NotAllowed => "卡片不允许此服务".to_owned(),
            Why::WrongCryptogram => "卡片返回了未请求的密文类型".to_owned(),
        }
    }
}

/// A cryptogram as the card gave it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Cryptogram {
    /// Cryptogram information data, '9F27'.
    pub information: u8,
    /// The transaction counter, '9F36'.
    pub atc: u16,
    /// The cryptogram, '9F26'.
    pub cryptogram: [u8; 8],
    /// Issuer application data, '9F10'.
    pub issuer_data: Vec<u8>,
}

impl Cryptogram {
    /// Whether the card approves with it.
    #[must_use]
    pub const fn approves(&self) -> bool {
        self.information >> 6 == 0x01
    }

    /// The issuer application data, read; `None` where they are of another version.
    #[must_use]
    pub fn issuer(&self) -> Option<IssuerData> {
        IssuerData::read(&self.issuer_data)
    }
}

/// All that is known of a transaction when it is over.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Outcome {
    /// How it ended.
    pub end: End,
    /// The application that was chosen.
    pub application: Option<Aid>,
    /// Whether the card paid with electronic cash.
    pub cash: bool,
    /// Terminal verification results, '95'.
    pub tvr: Tvr,
    /// Transaction status information, '9B'.
    pub tsi: Tsi,
    /// How the holder was verified, '9F34'.
    pub holder: [u8; 3],
    /// The first cryptogram.
    pub first: Option<Cryptogram>,
    /// The second cryptogram.
    pub second: Option<Cryptogram>,
    /// What the host was asked.
    pub asked: Option<Request>,
    /// What the host answered; `None` where it was not asked or not reached.
    pub answered: Option<Answer>,
    /// The results of issuer scripts, '9F5B': 5 bytes each.
    pub scripts: Vec<[u8; 5]>,
    /// What is left of electronic cash, where the card pays with it.
    pub balance: Option<Fen>,
    /// What happened, in order.
    pub steps: Vec<Step>,
}

/// Makes a transaction with the card in the reader, which has power.
///
/// Whatever happens is in the [`Outcome`].
pub fn pay(
    icc: &mut dyn Icc,
    terminal: &Terminal,
    sale: &Sale,
    holder: &Holder,
    host: &mut dyn Host,
) -> Outcome {
    let mut kernel = Kernel::new(icc, terminal, sale, holder);
    let end = kernel.run(host);
    kernel.outcome(end)
}

/// A transaction while it goes on.
struct Kernel<'a> {
    icc: &'a mut dyn Icc,
    terminal: &'a Terminal,
    sale: &'a Sale,
    pins: VecDeque<&'a str>,
    /// What the terminal goes by for the application chosen.
    accepted: Option<&'a Accepted>,
    application: Option<Aid>,
    elements: Elements,
    tvr: Tvr,
    tsi: Tsi,
    steps: Vec<Step>,
    /// Values given with GET PROCESSING OPTIONS.
    options: Vec<u8>,
    /// Values given with the first GENERATE AC.
    cdol1: Vec<u8>,
    /// Static data to be authenticated.
    signed: Vec<u8>,
    card_key: Option<PublicKey>,
    /// Whether cryptograms are to be signed.
    combined: bool,
    cash: bool,
    /// The PIN that goes to the host.
    online_pin: Option<&'a str>,
    first: Option<Cryptogram>,
    second: Option<Cryptogram>,
    asked: Option<Request>,
    answered: Option<Answer>,
    scripts: Vec<[u8; 5]>,
    balance: Option<Fen>,
}

impl<'a> Kernel<'a> {
    fn new(
        icc: &'a mut dyn Icc,
        terminal: &'a Terminal,
        sale: &'a Sale,
        holder: &'a Holder,
    ) -> Kernel<'a> {
        Kernel {
            icc,
            terminal,
            sale,
            pins: holder.pins.iter().map(String::as_str).collect(),
            accepted: None,
            application: None,
            elements: Elements::of(terminal, sale),
            tvr: Tvr::default(),
            tsi: Tsi::default(),
            steps: Vec::new(),
            options: Vec::new(),
            cdol1: Vec::new(),
            signed: Vec::new(),
            card_key: None,
            combined: false,
            cash: false,
            online_pin: None,
            first: None,
            second: None,
            asked: None,
            answered: None,
            scripts: Vec::new(),
            balance: None,
        }
    }

    /// The elements as they are before a card said anything.
    fn begin_anew(&mut self) {
        self.elements = Elements::of(self.terminal, self.sale);
        let number = self.random::<4>("unpredictable number");
        self.elements.put(tag!(0x9F37), &number);
    }

    fn run(&mut self, host: &mut dyn Host) -> Result<End, Why> {
        self.choose()?;
        self.read_application()?;
        self.authenticate_data()?;
        self.restrict();
        self.verify_holder()?;
        self.manage_risk()?;
        self.decide(host)
    }

    fn outcome(self, end: Result<End, Why>) -> Outcome {
        let mut steps = self.steps;
        let end = end.unwrap_or_else(End::Terminated);
        steps.push(Step::end(&end));
        Outcome {
            end,
            application: self.application,
            cash: self.cash && self.first.as_ref().is_some_and(Cryptogram::approves),
            tvr: self.tvr,
            tsi: self.tsi,
            holder: self.elements.array(tag!(0x9F34)).unwrap_or_default(),
            first: self.first,
            second: self.second,
            asked: self.asked,
            answered: self.answered,
            scripts: self.scripts,
            balance: self.balance,
            steps,
        }
    }

    fn say(&mut self, phase: Phase, en: impl Into<String>, zh: impl Into<String>) {
        self.steps.push(Step {
            phase,
            en: en.into(),
            zh: zh.into(),
        });
    }

    /// Notes a finding; it is told where it is new.
    fn find(&mut self, phase: Phase, finding: Finding) {
        if self.tvr.has(finding) {
            return;
        }
        self.tvr.note(finding);
        let (en, zh) = finding.words();
        self.say(phase, format!("noted: {en}"), format!("记录：{zh}"));
    }

    fn send(&mut self, command: &Command<'_>) -> Result<wire::Answer, Why> {
        Ok(exchange(self.icc, command)?)
    }

    /// GET DATA: the value; `None` where the card has none of it.
    fn get_data(&mut self, tag: Tag) -> Result<Option<Vec<u8>>, Why> {
        let [.., p1, p2] = tag.value().to_be_bytes();
        let class = Class::new(0x80).ok_or(Why::Malformed("GET DATA"))?;
        let answer = self.send(&Command::new(class, 0xCA, p1, p2).expecting(256))?;
        if answer.sw != Sw::OK {
            return Ok(None);
        }
        let value = cardlab::tlv::find(&answer.data, &[tag]).ok().flatten();
        Ok(value.map(<[u8]>::to_vec))
    }

    /// Random bytes for a purpose, up to 32.
    fn random<const N: usize>(&self, purpose: &str) -> [u8; N] {
        let hash = Sm3::new()
            .chain(purpose.as_bytes())
            .chain(&self.sale.seed.to_be_bytes())
            .finish();
        std::array::from_fn(|index| hash[index % hash.len()])
    }

    fn profile_has(&self, byte: usize, mask: u8) -> bool {
        let profile = self.elements.get(tag!(0x82)).unwrap_or_default();
        profile.get(byte).is_some_and(|bits| bits & mask != 0)
    }
}
