//! The bank's host: authorises transactions, answers cards, sends scripts.
//!
//! ```text
//! terminal ─account, data, cryptogram─► authorise ─code, ARPC, scripts─► terminal ─► card
//! ```
//!
//! The checks of an authorisation, in this order; the first that fails is the reason:
//!
//! | check                              | response code |
//! |------------------------------------|---------------|
//! | the account is known               | 14            |
//! | there are keys for its cryptogram  | 05            |
//! | the cryptogram is asking, and right | 05           |
//! | the MAC of the discretionary data  | 05            |
//! | the card's counter is new          | 05            |
//! | the account: lost, stolen, closed, not active | 41, 43, 62, 62 |
//! | the card has not expired           | 54            |
//! | the PIN is not blocked             | 75            |
//! | the PIN, where one was sent        | 55            |
//! | how many, and how much, on one day | 65, 61        |
//! | a load fits the limit of e-cash    | 61            |
//! | the balance                        | 51            |
//!
//! Who sent a cryptogram that is not right gets no answer to it: ARPC and scripts go to
//! our own cards alone. The state of the account, the day's count and the balance are
//! the host's; it has no clock, and the day is that of the transaction.
//!
//! Which keys made a cryptogram, its issuer application data say, triple DES or SM4; all
//! that is answered is by the same. SM4 is experimental, see [`pboc`].
//!
//! Source: JR/T 0025.5 and 0025.7, by public material; ISO 8583:1987, field 39; EMV 4.4
//! book 2, 8.2 (ARPC), book 3, 10.10 (scripts).

use super::application::Ordered;
use super::grouping::amount;
use super::key::{CardKeys, KeySet, Keys, session};
use cardlab::crypto::{Algorithm, Expanded, Key, Padding, equal, pboc};
use cardlab::fen::Fen;
use cardlab::tag;
use cardlab::tlv::{Dol, Objects, Tag, Writer};
use std::collections::BTreeMap;
use thiserror::Error;

/// What the cryptogram version 01 is over, from the terminal, in its order.
const SIGNED: [(Tag, usize); 9] = [
    (tag!(0x9F02), 6),
    (tag!(0x9F03), 6),
    (tag!(0x9F1A), 2),
    (tag!(0x95), 5),
    (tag!(0x5F2A), 2),
    (tag!(0x9A), 3),
    (tag!(0x9C), 1),
    (tag!(0x9F37), 4),
    (tag!(0x82), 2),
];

/// A transaction as a terminal sends it on line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Request {
    /// The account number, digits.
    pub account: String,
    /// The card's sequence number.
    pub sequence: u8,
    /// The PIN that was keyed in for the host: here in the clear, in life enciphered from
    /// the PIN pad to the host's security module.
    pub pin: Option<String>,
    /// Data elements by their tags.
    elements: BTreeMap<u32, Vec<u8>>,
}

/// Why a request cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
pub enum RequestError {
    /// Not data objects one after the other.
    #[error("not data objects from byte {0}")]
    NotObjects(usize),
    /// A data element twice in one message.
    #[error("{0:X} is there twice")]
    Twice(u32),
    /// The data are not as many as the list asks for.
    #[error("{found} bytes for a list that asks for {expected}")]
    OtherLength {
        /// What the list asks for.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// A list that is none.
    #[error("not a list of tags and lengths")]
    NotList,
    /// A data element is missing.
    #[error("no {0:X}: {1}")]
    Missing(u32, &'static str),
    /// A data element of another length.
    #[error("{tag:X} has {found} bytes where {expected} are expected")]
    Length {
        /// Which.
        tag: u32,
        /// What is expected.
        expected: usize,
        /// What was given.
        found: usize,
    },
    /// Issuer application data of another form: '07 DKI 01 03 CVR 01 …' is expected, or
    /// '04' where SM4 makes the sums.
    #[error("9F10 is not that of cryptogram version 01: {0}")]
    IssuerData(String),
}

impl Request {
    /// A request of this card, without data yet.
    #[must_use]
    pub fn of(account: &str, sequence: u8) -> Request {
        Request {
            account: account.to_owned(),
            sequence,
            pin: None,
            elements: BTreeMap::new(),
        }
    }

    /// With a data element.
    #[must_use]
    pub fn with(mut self, tag: Tag, value: &[u8]) -> Request {
        self.elements.insert(tag.value(), value.to_vec());
        self
    }

    /// With data objects, as the field 55 of a message carries them: each once, in place
    /// of what was there before.
    ///
    /// # Errors
    /// [`RequestError::NotObjects`], [`RequestError::Twice`], whichever comes first.
    pub fn with_objects(mut self, bytes: &[u8]) -> Result<Request, RequestError> {
        let mut read = BTreeMap::new();
        for object in Objects::new(bytes) {
            let object = object.map_err(|error| RequestError::NotObjects(error.offset))?;
            let tag = object.tag.value();
            if read.insert(tag, object.value.to_vec()).is_some() {
                return Err(RequestError::Twice(tag));
            }
        }
        self.elements.append(&mut read);
        Ok(self)
    }

    /// Its data objects one after the other, as the field 55 of a message carries them.
    #[must_use]
    pub fn objects(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        let mut writer = Writer::append(&mut bytes);
        for (tag, value) in &self.elements {
            if let Some(tag) = Tag::new(*tag) {
                writer.object(tag, value);
            }
        }
        bytes
    }

    /// With the data that a list was filled with.
    ///
    /// # Errors
    /// [`RequestError::NotList`], [`RequestError::OtherLength`].
    pub fn with_list(mut self, list: &[u8], data: &[u8]) -> Result<Request, RequestError> {
        let list = Dol::parse(list).map_err(|_| RequestError::NotList)?;
        let values = list.split(data).ok_or(RequestError::OtherLength {
            expected: list.filled_len(),
            found: data.len(),
        })?;
        for (tag, value) in values {
            self.elements.insert(tag.value(), value.to_vec());
        }
        Ok(self)
    }

    /// A data element; `None` where it has none.
    #[must_use]
    pub fn get(&self, tag: Tag) -> Option<&[u8]> {
        self.elements.get(&tag.value()).map(Vec::as_slice)
    }

    /// What the card says of the transaction and of itself, '9F10'.
    ///
    /// # Errors
    /// [`RequestError::Missing`], [`RequestError::IssuerData`].
    pub fn issuer_data(&self) -> Result<IssuerData, RequestError> {
        let data = self.element(tag!(0x9F10), "the issuer application data")?;
        IssuerData::read(data).ok_or_else(|| RequestError::IssuerData(hex::encode_upper(data)))
    }

    /// The transaction's counter and cryptogram, which scripts are bound to.
    ///
    /// # Errors
    /// [`RequestError::Missing`], [`RequestError::Length`].
    pub fn transaction(&self) -> Result<(u16, [u8; 8]), RequestError> {
        let atc = self.array(tag!(0x9F36), "the transaction counter")?;
        let cryptogram = self.array(tag!(0x9F26), "the cryptogram")?;
        Ok((u16::from_be_bytes(atc), cryptogram))
    }

    fn element(&self, tag: Tag, says: &'static str) -> Result<&[u8], RequestError> {
        self.get(tag)
            .ok_or(RequestError::Missing(tag.value(), says))
    }

    fn array<const N: usize>(&self, tag: Tag, says: &'static str) -> Result<[u8; N], RequestError> {
        let value = self.element(tag, says)?;
        value.try_into().map_err(|_| RequestError::Length {
            tag: tag.value(),
            expected: N,
            found: value.len(),
        })
    }

    fn read(&self) -> Result<Asked<'_>, RequestError> {
        let mut signed = Vec::with_capacity(37);
        for (tag, len) in SIGNED {
            let value = self.element(tag, "the cryptogram is over it")?;
            if value.len() != len {
                return Err(RequestError::Length {
                    tag: tag.value(),
                    expected: len,
                    found: value.len(),
                });
            }
            signed.extend(value);
        }
        let atc: [u8; 2] = self.array(tag!(0x9F36), "the transaction counter")?;
        let issuer = self.issuer_data()?;
        signed.extend(atc);
        signed.push(0x03);
        signed.extend(issuer.cvr.0);
        let [kind] = self.array(tag!(0x9C), "the type of transaction")?;
        let day = self.array(tag!(0x9A), "the date")?;
        let amount: [u8; 6] = self.array(tag!(0x9F02), "the amount")?;
        // Left out by some terminals; the card verification results say it too.
        let cid = match self.elements.get(&0x9F27) {
            Some(cid) => cid.first().copied(),
            None => Some(issuer.cvr.first_answer() << 6),
        };
        Ok(Asked {
            signed,
            atc: u16::from_be_bytes(atc),
            issuer,
            cryptogram: self.array(tag!(0x9F26), "the cryptogram")?,
            cid: cid.unwrap_or(0),
            kind,
            day,
            amount,
            pin: self.pin.as_deref(),
        })
    }
}

/// What a request says.
struct Asked<'r> {
    signed: Vec<u8>,
    atc: u16,
    issuer: IssuerData,
    cryptogram: [u8; 8],
    cid: u8,
    kind: u8,
    day: [u8; 3],
    amount: [u8; 6],
    pin: Option<&'r str>,
}

/// The last byte of issuer application data before discretionary ones.
const ALGORITHM_DES: u8 = 0x01;
const ALGORITHM_SM4: u8 = 0x04;

/// The issuer application data, '9F10'.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct IssuerData {
    /// Which version of the bank's keys.
    pub key_index: u8,
    /// What the card makes its sums with.
    pub algorithm: Algorithm,
    /// The card verification results.
    pub cvr: Cvr,
    /// Discretionary data: their identifier and value with their MAC.
    pub discretionary: Option<(u8, Vec<u8>, [u8; 4])>,
}

impl IssuerData {
    /// Reads them; `None` where they are of another cryptogram version or algorithm.
    #[must_use]
    pub fn read(bytes: &[u8]) -> Option<IssuerData> {
        let (&[0x07, key_index, 0x01, 0x03, a, b, c, algorithm], rest) =
            bytes.split_first_chunk()?
        else {
            return None;
        };
        let algorithm = match algorithm {
            ALGORITHM_DES => Algorithm::Des,
            ALGORITHM_SM4 => Algorithm::Sm4,
            _ => return None,
        };
        let discretionary = match rest {
            [] => None,
            [len, id, rest @ ..] if usize::from(*len) == rest.len() + 1 => {
                let (value, mac) = rest.split_last_chunk()?;
                Some((*id, value.to_vec(), *mac))
            }
            _ => return None,
        };
        Some(IssuerData {
            key_index,
            algorithm,
            cvr: Cvr([a, b, c]),
            discretionary,
        })
    }

    /// The balance of electronic cash, where the discretionary data carry it.
    #[must_use]
    pub fn cash_balance(&self) -> Option<Fen> {
        match &self.discretionary {
            Some((0x01, value, _)) => fen_of(value),
            _ => None,
        }
    }
}

/// The card verification results, three bytes.
///
/// Source: JR/T 0025.5, card verification results, by public material.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cvr(pub [u8; 3]);

/// Each bit: byte, mask, what it says in English and in Chinese.
const CVR_WORDS: [(usize, u8, &str, &str); 15] = [
    (0, 0x08, "issuer authentication failed", "发卡行认证失败"),
    (
        0,
        0x04,
        "the PIN was verified on the card",
        "已执行脱机PIN验证",
    ),
    (0, 0x02, "that PIN was wrong", "脱机PIN验证失败"),
    (0, 0x01, "unable to go on line", "无法联机"),
    (
        1,
        0x80,
        "the last transaction on line was not completed",
        "上次联机交易未完成",
    ),
    (1, 0x40, "no try at the PIN is left", "PIN尝试次数超限"),
    (1, 0x20, "too much off line", "超过脱机频度或金额"),
    (1, 0x10, "a new card", "新卡"),
    (
        1,
        0x08,
        "issuer authentication failed last time",
        "上次发卡行认证失败",
    ),
    (
        1,
        0x04,
        "issuer authentication is missing",
        "联机后未执行发卡行认证",
    ),
    (
        1,
        0x02,
        "blocked by the card for the PIN",
        "因PIN超限应用锁定",
    ),
    (
        1,
        0x01,
        "static authentication failed last time",
        "上次静态数据认证失败且脱机拒绝",
    ),
    (2, 0x08, "a script failed last time", "上次交易脚本失败"),
    (
        2,
        0x04,
        "dynamic authentication failed last time",
        "上次动态数据认证失败且脱机拒绝",
    ),
    (
        2,
        0x02,
        "dynamic authentication was done",
        "已执行动态数据认证",
    ),
];

impl Cvr {
    /// Whether the cryptogram that carries them asks on line: the first one does, and a
    /// second one was not asked for yet.
    #[must_use]
    pub const fn asks(self) -> bool {
        self.0[0] >> 4 == 0x0A
    }

    /// What the first cryptogram answered: 0 declined, 1 approved, 2 asks on line.
    #[must_use]
    pub const fn first_answer(self) -> u8 {
        self.0[0] >> 4 & 0x03
    }

    /// Commands of scripts after the last transaction's end.
    #[must_use]
    pub const fn scripts(self) -> u8 {
        self.0[2] >> 4
    }

    /// Whether no try at the PIN is left.
    #[must_use]
    pub const fn is_pin_blocked(self) -> bool {
        self.0[1] & 0x40 != 0
    }

    /// What its bits say, each in English and in Chinese.
    pub fn words(self) -> impl Iterator<Item = (&'static str, &'static str)> {
        let said = CVR_WORDS
            .into_iter()
            .filter(move |(at, mask, ..)| self.0[*at] & mask != 0);
        said.map(|(_, _, en, zh)| (en, zh))
    }
}

/// An amount of packed digits; `None` where one is none, or it is more than there is
/// room for.
#[must_use]
pub fn fen_of(bytes: &[u8]) -> Option<Fen> {
    let sum = bytes.iter().try_fold(0u32, |sum, byte| {
        let (high, low) = (u32::from(byte >> 4), u32::from(byte & 0x0F));
        if high > 9 || low > 9 {
            return None;
        }
        sum.checked_mul(100)?.checked_add(high * 10 + low)
    })?;
    Some(Fen::new(sum))
}

/// A day with its century, so that days compare: years from 50 on are of the 20th.
const fn in_century([year, month, day]: [u8; 3]) -> [u8; 4] {
    [if year < 0x50 { 0x20 } else { 0x19 }, year, month, day]
}

/// What became of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// It was never activated (requirement R06).
    Inactive,
    /// In use.
    Active,
    /// The card was reported lost.
    Lost,
    /// The card was reported stolen.
    Stolen,
    /// Closed.
    Closed,
}

/// An account as the host keeps it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Account {
    /// What became of it.
    pub state: State,
    /// What is in it.
    pub balance: Fen,
    /// Transactions on one day.
    pub daily_count: u32,
    /// The sum of them.
    pub daily_sum: Fen,
    /// The most that its electronic cash may hold.
    pub cash_limit: Fen,
    /// The PIN that is right on line; `None` takes any.
    pub pin: Option<String>,
    /// The last day of validity of its card, YYMMDD in packed digits; `None` for no end.
    pub expiry: Option<[u8; 3]>,
    /// How its card pads ten bytes of discretionary data for their MAC.
    long_mac: Padding,
    /// The highest counter seen of each card, by its sequence number.
    counters: BTreeMap<u8, u16>,
    day: [u8; 3],
    count: u32,
    sum: Fen,
}

impl Account {
    /// An account that is active, with this in it: 20 transactions and 50,000 yuan a
    /// day, e-cash up to 1,000 yuan.
    #[must_use]
    pub const fn of(balance: Fen) -> Account {
        Account {
            state: State::Active,
            balance,
            daily_count: 20,
            daily_sum: Fen::new(5_000_000),
            cash_limit: Fen::new(100_000),
            pin: None,
            expiry: None,
            long_mac: Padding::M2,
            counters: BTreeMap::new(),
            day: [0; 3],
            count: 0,
            sum: Fen::ZERO,
        }
    }
}

/// Why the host decided as it did.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Reason {
    /// Nothing stands against it.
    Approved,
    /// No such account.
    UnknownAccount,
    /// The bank does not have the keys of the card that this takes.
    NoKeys,
    /// The card did not ask on line.
    NotAsked,
    /// The cryptogram is not that of the card.
    WrongCryptogram,
    /// The MAC of the discretionary data is not that of the card.
    WrongDiscretionary,
    /// The transaction counter did not move on.
    CounterSeen,
    /// The card was reported lost.
    Lost,
    /// The card was reported stolen.
    Stolen,
    /// The account is closed.
    Closed,
    /// The account was never activated.
    Inactive,
    /// The card has expired.
    Expired,
    /// No try at the PIN is left.
    PinBlocked,
    /// The PIN that was sent is wrong.
    WrongPin,
    /// Too many transactions on one day.
    TooMany,
    /// Too much on one day, or more than electronic cash may hold.
    TooMuch,
    /// The balance is less.
    NotEnough,
}

impl Reason {
    /// The authorisation response code, two characters.
    #[must_use]
    pub const fn code(self) -> [u8; 2] {
        match self {
            Reason::Approved => *b"00",
            Reason::UnknownAccount => *b"14",
            Reason::NoKeys
            | Reason::NotAsked
            | Reason::WrongCryptogram
            | Reason::WrongDiscretionary
            | Reason::CounterSeen => *b"05",
            Reason::Lost => *b"41",
            Reason::Stolen => *b"43",
            Reason::Closed | Reason::Inactive => *b"62",
            Reason::Expired => *b"54",
            Reason::PinBlocked => *b"75",
            Reason::WrongPin => *b"55",
            Reason::TooMany => *b"65",
            Reason::TooMuch => *b"61",
            Reason::NotEnough => *b"51",
        }
    }

    /// Its words in English.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Reason::Approved => "approved",
            Reason::UnknownAccount => "no such account",
            Reason::NoKeys => "the bank does not have the card's keys for it",
            Reason::NotAsked => "the card did not ask on line",
            Reason::WrongCryptogram => "the cryptogram is not that of the card",
            Reason::WrongDiscretionary => "the MAC of the discretionary data is wrong",
            Reason::CounterSeen => "the transaction counter did not move on",
            Reason::Lost => "the card was reported lost",
            Reason::Stolen => "the card was reported stolen",
            Reason::Closed => "the account is closed",
            Reason::Inactive => "the account was never activated",
            Reason::Expired => "the card has expired",
            Reason::PinBlocked => "no try at the PIN is left",
            Reason::WrongPin => "the PIN is wrong",
            Reason::TooMany => "too many transactions today",
            Reason::TooMuch => "more than a limit allows",
            Reason::NotEnough => "the balance is less",
        }
    }

    /// Its words in Chinese.
    #[must_use]
    pub const fn words_zh(self) -> &'static str {
        match self {
            Reason::Approved => "批准",
            Reason::UnknownAccount => "无此账户",
            Reason::NoKeys => "发卡行无此卡所需密钥",
            Reason::NotAsked => "卡片未请求联机",
            Reason::WrongCryptogram => "应用密文错误",
            Reason::WrongDiscretionary => "发卡行自定义数据MAC错误",
            Reason::CounterSeen => "交易计数器未递增",
            Reason::Lost => "卡已挂失",
            Reason::Stolen => "被窃卡",
            Reason::Closed => "账户已销户",
            Reason::Inactive => "金融账户未激活",
            Reason::Expired => "卡片已过期",
            Reason::PinBlocked => "PIN尝试次数超限",
            Reason::WrongPin => "密码错误",
            Reason::TooMany => "超过当日交易次数",
            Reason::TooMuch => "超过限额",
            Reason::NotEnough => "余额不足",
        }
    }
}

/// What the host answers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Decision {
    /// Why; [`Reason::Approved`] approves.
    pub reason: Reason,
    /// The card's application data.
    pub issuer: IssuerData,
    /// The answer to the cryptogram; `None` for who is not our card.
    pub arpc: Option<[u8; 8]>,
    /// Commands for the card, complete with their MACs.
    pub scripts: Vec<Vec<u8>>,
}

impl Decision {
    /// The authorisation response code, '8A'.
    #[must_use]
    pub const fn code(&self) -> [u8; 2] {
        self.reason.code()
    }

    /// The value of '91': ARPC and response code, the data of EXTERNAL AUTHENTICATE.
    #[must_use]
    pub fn authentication_data(&self) -> Option<[u8; 10]> {
        let arpc = self.arpc?;
        [&arpc[..], &self.code()].concat().try_into().ok()
    }

    /// The scripts as a template, '72' for after the second cryptogram, '71' for before
    /// it; `None` where there are none.
    #[must_use]
    pub fn script_template(&self, tag: Tag) -> Option<Vec<u8>> {
        if self.scripts.is_empty() {
            return None;
        }
        let mut bytes = Vec::new();
        Writer::append(&mut bytes).nested(tag, |script| {
            script.object(tag!(0x9F18), &[0, 0, 0, 1]);
            for command in &self.scripts {
                script.object(tag!(0x86), command);
            }
        });
        Some(bytes)
    }
}

/// The type of a transaction that loads electronic cash, '9C'.
pub const TYPE_CASH_LOAD: u8 = 0x63;
/// The type of one that only asks.
const TYPE_BALANCE: u8 = 0x31;

/// The host of a bank.
#[derive(Clone, Debug)]
pub struct Bank {
    masters: Keys,
    accounts: BTreeMap<String, Account>,
    /// Keys of cards that are not under the masters, by account and sequence number.
    cards: BTreeMap<(String, u8), CardKeys>,
}

impl Bank {
    /// A bank with these master keys, and no accounts.
    #[must_use]
    pub const fn new(masters: Keys) -> Bank {
        Bank {
            masters,
            accounts: BTreeMap::new(),
            cards: BTreeMap::new(),
        }
    }

    /// The bank for tests of this seed.
    #[must_use]
    pub fn from_seed(seed: u64) -> Bank {
        Bank::new(Keys::from_seed(seed))
    }

    /// Its master keys.
    #[must_use]
    pub const fn masters(&self) -> &Keys {
        &self.masters
    }

    /// Opens an account, or replaces it.
    pub fn open(&mut self, number: &str, account: Account) {
        self.accounts.insert(number.to_owned(), account);
    }

    /// Opens the account of an application that was ordered, as its card is issued: not
    /// active where the card is not. Keys of triple DES that the order states are known;
    /// an order whose groupings have no account opens none.
    pub fn open_for(&mut self, ordered: &Ordered, balance: Fen) {
        let Some(number) = ordered.account() else {
            return;
        };
        let mut account = Account::of(balance);
        account.pin = ordered.pin();
        account.expiry = ordered.expiry();
        account.long_mac = ordered.long_mac();
        if ordered.starts_inactive() {
            account.state = State::Inactive;
        }
        if let Some(limit) = ordered.cash_limit() {
            account.cash_limit = limit;
        }
        self.open(&number, account);
        if let Some(keys) = ordered.own_keys() {
            self.know_card(&number, ordered.sequence(), CardKeys::Whole(keys));
        }
    }

    /// Takes the keys of a card that is not under the masters. Its cryptograms of the
    /// other algorithm are then nobody's.
    pub fn know_card(&mut self, account: &str, sequence: u8, keys: CardKeys) {
        self.cards.insert((account.to_owned(), sequence), keys);
    }

    /// The keys of a card for what it makes with this algorithm.
    fn keys(&self, request: &Request, algorithm: Algorithm) -> Result<CardKeys, Reason> {
        let own = (request.account.clone(), request.sequence);
        if let Some(known) = self.cards.get(&own) {
            let fits = known.are_of(algorithm);
            return fits.then(|| known.clone()).ok_or(Reason::NoKeys);
        }
        let keys = self.masters.of_card(&request.account, request.sequence);
        let keys = keys.ok_or(Reason::UnknownAccount)?;
        Ok(CardKeys::Whole(keys.set(algorithm).clone()))
    }

    /// An account.
    #[must_use]
    pub fn account(&self, number: &str) -> Option<&Account> {
        self.accounts.get(number)
    }

    /// An account, to be changed: its state, its limits.
    pub fn account_mut(&mut self, number: &str) -> Option<&mut Account> {
        self.accounts.get_mut(number)
    }

    /// Decides on a transaction, and books it where it is approved.
    ///
    /// # Errors
    /// [`RequestError`] where the request is not whole.
    pub fn authorise(&mut self, request: &Request) -> Result<Decision, RequestError> {
        let asked = request.read()?;
        let keys = self.keys(request, asked.issuer.algorithm);
        let Some(account) = self.accounts.get_mut(&request.account) else {
            return Ok(asked.answer(Reason::UnknownAccount));
        };
        let keys = match keys {
            Ok(keys) => keys,
            Err(reason) => return Ok(asked.answer(reason)),
        };
        // The terminal says the one, and the card, under the cryptogram, the other.
        if asked.cid >> 6 != 0x02 || !asked.issuer.cvr.asks() {
            return Ok(asked.answer(Reason::NotAsked));
        }
        if let Err(reason) = asked.prove(&keys, account.long_mac) {
            return Ok(asked.answer(reason));
        }
        let decided = match keys.whole() {
            // Nothing is loaded without a script.
            None if asked.kind == TYPE_CASH_LOAD => Err(Reason::NoKeys),
            _ => account.decide(&asked, request.sequence),
        };
        let (reason, load) = match decided {
            Ok(load) => (Reason::Approved, load),
            Err(reason) => (reason, None),
        };
        let seen = account.counters.entry(request.sequence).or_default();
        *seen = asked.atc.max(*seen);
        let cryptograms = session(keys.cryptograms(), asked.atc);
        let arpc = pboc::arpc(&cryptograms, asked.cryptogram, reason.code());
        let mut decision = Decision {
            arpc: Some(arpc),
            ..asked.answer(reason)
        };
        if let (Some(balance), Some(keys)) = (load, keys.whole()) {
            let scripts = Scripts::new(keys, asked.atc, asked.cryptogram);
            decision.scripts.push(scripts.load(balance));
        }
        Ok(decision)
    }

    /// Whether cryptogram and discretionary data are those of the card, whatever the
    /// cryptogram says and whatever became of the account; nothing is booked.
    ///
    /// # Errors
    /// [`RequestError`] where the request is not whole.
    pub fn prove(&self, request: &Request) -> Result<Result<(), Reason>, RequestError> {
        let asked = request.read()?;
        let keys = self.keys(request, asked.issuer.algorithm);
        let account = self.accounts.get(&request.account);
        let long_mac = account.map_or(Padding::M2, |account| account.long_mac);
        Ok(keys.and_then(|keys| asked.prove(&keys, long_mac)))
    }

    /// Activates an account (requirement R06): the card, which declines everything until
    /// then, takes the script that is answered after its cryptogram.
    ///
    /// # Errors
    /// [`RequestError`] where the request is not whole; of what is whole the reason, as
    /// in [`authorise`](Bank::authorise), in the inner result.
    pub fn activate(&mut self, request: &Request) -> Result<Result<Vec<u8>, Reason>, RequestError> {
        let asked = request.read()?;
        let keys = self.keys(request, asked.issuer.algorithm);
        let Some(account) = self.accounts.get_mut(&request.account) else {
            return Ok(Err(Reason::UnknownAccount));
        };
        let proven = keys.and_then(|keys| asked.prove(&keys, account.long_mac).map(|()| keys));
        let keys = match &proven {
            Ok(CardKeys::Whole(keys)) => keys,
            Ok(CardKeys::Cryptograms(_)) => return Ok(Err(Reason::NoKeys)),
            Err(reason) => return Ok(Err(*reason)),
        };
        match account.state {
            State::Inactive | State::Active => {}
            State::Lost => return Ok(Err(Reason::Lost)),
            State::Stolen => return Ok(Err(Reason::Stolen)),
            State::Closed => return Ok(Err(Reason::Closed)),
        }
        account.state = State::Active;
        Ok(Ok(
            Scripts::new(keys, asked.atc, asked.cryptogram).unblock_application()
        ))
    }

    /// Scripts for the card of a transaction, of which the request has the first
    /// cryptogram; `None` where the bank does not have the keys that they take.
    ///
    /// # Errors
    /// [`RequestError`] for '9F36', '9F26' and '9F10', in this order.
    pub fn scripts(&self, request: &Request) -> Result<Option<Scripts>, RequestError> {
        let (atc, cryptogram) = request.transaction()?;
        let keys = self.keys(request, request.issuer_data()?.algorithm).ok();
        let keys = keys.as_ref().and_then(CardKeys::whole);
        Ok(keys.map(|keys| Scripts::new(keys, atc, cryptogram)))
    }
}

impl Asked<'_> {
    fn answer(&self, reason: Reason) -> Decision {
        Decision {
            reason,
            issuer: self.issuer.clone(),
            arpc: None,
            scripts: Vec::new(),
        }
    }

    /// Whether card and data belong together; `long_mac` is how ten bytes of discretionary
    /// data are padded.
    fn prove(&self, keys: &CardKeys, long_mac: Padding) -> Result<(), Reason> {
        let right = pboc::cryptogram(&session(keys.cryptograms(), self.atc), &[&self.signed]);
        if !equal(&right, &self.cryptogram) {
            return Err(Reason::WrongCryptogram);
        }
        if let (Some((_, value, mac)), Some(keys)) = (&self.issuer.discretionary, keys.whole()) {
            let session = session(&keys.macs, self.atc);
            let right = pboc::discretionary_mac(&session, self.atc, value, long_mac);
            if !equal(&right, mac) {
                return Err(Reason::WrongDiscretionary);
            }
        }
        Ok(())
    }
}

impl Account {
    /// Decides, and books what is approved; the new balance of electronic cash where it
    /// is a load.
    fn decide(&mut self, asked: &Asked<'_>, sequence: u8) -> Result<Option<Fen>, Reason> {
        let seen = self.counters.get(&sequence);
        if seen.is_some_and(|seen| asked.atc <= *seen) {
            return Err(Reason::CounterSeen);
        }
        match self.state {
            State::Active => {}
            State::Inactive => return Err(Reason::Inactive),
            State::Lost => return Err(Reason::Lost),
            State::Stolen => return Err(Reason::Stolen),
            State::Closed => return Err(Reason::Closed),
        }
        let expired = |last| in_century(asked.day) > in_century(last);
        if self.expiry.is_some_and(expired) {
            return Err(Reason::Expired);
        }
        if asked.issuer.cvr.is_pin_blocked() {
            return Err(Reason::PinBlocked);
        }
        let expected = self.pin.as_deref();
        if let Some((sent, right)) = asked.pin.zip(expected)
            && !equal(sent.as_bytes(), right.as_bytes())
        {
            return Err(Reason::WrongPin);
        }
        if asked.kind == TYPE_BALANCE {
            return Ok(None);
        }
        let amount = fen_of(&asked.amount).ok_or(Reason::TooMuch)?;
        let (count, sum) = if self.day == asked.day {
            (self.count, self.sum)
        } else {
            (0, Fen::ZERO)
        };
        if count >= self.daily_count {
            return Err(Reason::TooMany);
        }
        let sum = sum.checked_add(amount).ok_or(Reason::TooMuch)?;
        if sum > self.daily_sum {
            return Err(Reason::TooMuch);
        }
        let load = if asked.kind == TYPE_CASH_LOAD {
            // Only the card knows what is in it.
            let held = asked.issuer.cash_balance().ok_or(Reason::TooMuch)?;
            let after = held.checked_add(amount).ok_or(Reason::TooMuch)?;
            if after > self.cash_limit {
                return Err(Reason::TooMuch);
            }
            Some(after)
        } else {
            None
        };
        self.balance = self.balance.checked_sub(amount).ok_or(Reason::NotEnough)?;
        (self.day, self.count, self.sum) = (asked.day, count + 1, sum);
        Ok(load)
    }
}

/// The script commands of one transaction, each with its MAC.
pub struct Scripts {
    enciphering: Key,
    macs: Expanded,
    atc: u16,
    cryptogram: [u8; 8],
}

impl Scripts {
    /// Those of the card with these keys, for the transaction with this counter and
    /// first cryptogram.
    #[must_use]
    pub fn new(keys: &KeySet, atc: u16, cryptogram: [u8; 8]) -> Scripts {
        Scripts {
            enciphering: keys.enciphering.clone(),
            macs: session(&keys.macs, atc),
            atc,
            cryptogram,
        }
    }

    fn sealed(&self, header: [u8; 4], data: &[u8]) -> Vec<u8> {
        // No script of ours has more than a record, and no record more than 250 bytes.
        let lc = u8::try_from(data.len() + 4).unwrap_or(u8::MAX);
        let [cla, ins, p1, p2] = header;
        let header = [cla, ins, p1, p2, lc];
        let mac = pboc::script_mac(&self.macs, header, self.atc, self.cryptogram, data);
        [&header[..], data, &mac].concat()
    }

    /// APPLICATION BLOCK.
    #[must_use]
    pub fn block_application(&self) -> Vec<u8> {
        self.sealed([0x84, 0x1E, 0x00, 0x00], &[])
    }

    /// APPLICATION UNBLOCK, which activates, too.
    #[must_use]
    pub fn unblock_application(&self) -> Vec<u8> {
        self.sealed([0x84, 0x18, 0x00, 0x00], &[])
    }

    /// CARD BLOCK.
    #[must_use]
    pub fn block_card(&self) -> Vec<u8> {
        self.sealed([0x84, 0x16, 0x00, 0x00], &[])
    }

    /// PIN UNBLOCK: all tries again.
    #[must_use]
    pub fn unblock_pin(&self) -> Vec<u8> {
        self.sealed([0x84, 0x24, 0x00, 0x00], &[])
    }

    /// PIN CHANGE to a new one, bound to the present one where that is given; `None`
    /// where one is not 4 to 12 digits.
    #[must_use]
    pub fn change_pin(&self, pin: &str, present: Option<&str>) -> Option<Vec<u8>> {
        let (p2, present) = match present {
            Some(present) => (0x01, Some(pboc::plain_pin_block(present)?)),
            None => (0x02, None),
        };
        let key = &self.enciphering;
        let block = pboc::pin_block(key, &session(key, self.atc), pin, present.as_ref())?;
        Some(self.sealed([0x84, 0x24, 0x00, p2], &block))
    }

    /// PUT DATA of a data element of two bytes' tag.
    #[must_use]
    pub fn put_data(&self, tag: u16, value: &[u8]) -> Vec<u8> {
        let [p1, p2] = tag.to_be_bytes();
        self.sealed([0x04, 0xDA, p1, p2], value)
    }

    /// The load of electronic cash: its new balance.
    #[must_use]
    pub fn load(&self, balance: Fen) -> Vec<u8> {
        self.put_data(0x9F79, &amount(balance))
    }

    /// UPDATE RECORD of a file; the record is the whole template, up to 250 bytes.
    #[must_use]
    pub fn update_record(&self, sfi: u8, number: u8, record: &[u8]) -> Vec<u8> {
        self.sealed([0x04, 0xDC, number, sfi << 3 | 0x04], record)
    }
}
