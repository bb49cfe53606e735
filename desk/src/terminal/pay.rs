//! The medical account: debit, its records, load, and a card that was pulled.
//!
//! ```text
//! purchase   DF04, PIN ─► INITIALIZE ─► module: number, MAC1 ─► DEBIT ─► module: MAC2
//! load       DF04, PIN ─► INITIALIZE ─► host: MAC2 ─► CREDIT ─► host: TAC
//! pulled     same card? ─► DF04 ─► GET TRANSACTION PROOF ─► done, or not
//! ```
//!
//! Between the module's or the host's consent and the card's answer nobody knows whether
//! the card took it: then the transaction is kept as [`Pending`], and the card says it
//! when it is put in again.
//!
//! Source: social security card specification, part 7, 7, 8 and 10; part 5, the commands
//! of class B0.

use super::module::{CardAlgorithm, Identity};
use super::{AuthType, Facts, Failure, Terminal, Visit};
use crate::encode::{decode_digits, decode_text, hexadecimal};
use crate::hsm::{Hsm, TestRoot};
use crate::medical::{
    Amounts, Load, LoadOffer, Purchase, PurchaseOffer, TYPE_31_LOAD, TYPE_32_PURCHASE,
};
use crate::profile::{Key, Kind, Profile, Purpose};
use cardlab::apdu::Sw;
use cardlab::crypto::{self, Cipher, equal};
use cardlab::fen::Fen;
use core::fmt;

/// The directory of the account.
const DF04: &str = "DF04";
/// Its details file.
const EF_08_DETAILS: u16 = 0xEF08;

/// What is paid or loaded.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Payment {
    /// The key index.
    pub index: u8,
    /// Who pays how much; of a load only the account's amount counts.
    pub amounts: Amounts,
    /// When, YYYYMMDDhhmmss in BCD.
    pub time: [u8; 7],
}

/// A load or a purchase that the card took.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Receipt {
    /// The card's number.
    pub card_number: String,
    /// Its recognition code.
    pub recognition_code: [u8; 16],
    /// 31 load, 32 purchase.
    pub kind: u8,
    /// The card's number of the transaction.
    pub number: u16,
    /// The balance after it; `None` where it does not fit, which no card takes.
    pub balance: Option<Fen>,
    /// Who paid how much; of a load the account's amount.
    pub amounts: Amounts,
    /// The terminal's number.
    pub terminal: [u8; 6],
    /// The terminal's number of the transaction; zero of a load.
    pub terminal_number: [u8; 4],
    /// When, YYYYMMDDhhmmss in BCD.
    pub time: [u8; 7],
    /// The transaction certificate.
    pub tac: [u8; 4],
}

/// The string of the interface: card number, recognition code, type, the card's number,
/// balance, amounts of account, holder and fund, terminal, its number, time, TAC. Amounts
/// are in fen. The order of the field's own string is not public.
impl fmt::Display for Receipt {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Amounts {
            account,
            own,
            pooled,
        } = self.amounts;
        write!(
            f,
            "{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|{}|",
            self.card_number,
            hexadecimal(&self.recognition_code),
            char::from(self.kind),
            self.number,
            self.balance
                .map_or_else(String::new, |balance| balance.count().to_string()),
            account.count(),
            own.count(),
            pooled.count(),
            hexadecimal(&self.terminal),
            hexadecimal(&self.terminal_number),
            hexadecimal(&self.time),
            hexadecimal(&self.tac),
        )
    }
}

/// One line of the details file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct DebitRecord {
    /// The card's number of the transaction.
    pub number: u16,
    /// Its type, `1` load, `2` purchase.
    pub kind: String,
    /// The terminal's number, 12 digits.
    pub terminal: String,
    /// When, YYYYMMDDhhmmss.
    pub time: String,
    /// Who paid how much.
    pub amounts: Amounts,
}

/// Its fields, joined by '^'; amounts in fen.
impl fmt::Display for DebitRecord {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}^{}^{}^{}^{}^{}^{}",
            self.number,
            self.kind,
            self.terminal,
            self.time,
            self.amounts.account.count(),
            self.amounts.own.count(),
            self.amounts.pooled.count()
        )
    }
}

/// A transaction of which nobody knows whether the card took it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pending {
    facts: Facts,
    trade: Trade,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Trade {
    Load(Load, LoadOffer),
    Purchase(Purchase, PurchaseOffer),
}

impl Pending {
    /// The receipt, where the card took it and gave this TAC.
    fn receipt(&self, tac: [u8; 4]) -> Receipt {
        let (kind, number, balance, amounts) = match &self.trade {
            Trade::Load(load, offer) => {
                let amounts = Amounts {
                    account: load.amount,
                    ..Amounts::default()
                };
                let balance = offer.balance.checked_add(load.amount);
                (TYPE_31_LOAD, offer.number, balance, amounts)
            }
            Trade::Purchase(purchase, offer) => {
                let balance = offer.balance.checked_sub(purchase.amounts.account);
                (TYPE_32_PURCHASE, offer.number, balance, purchase.amounts)
            }
        };
        let (terminal, terminal_number, time) = match &self.trade {
            Trade::Load(load, _) => (load.terminal, [0; 4], load.time),
            Trade::Purchase(purchase, _) => {
                (purchase.terminal, purchase.terminal_number, purchase.time)
            }
        };
        Receipt {
            card_number: self.facts.card_number.clone(),
            recognition_code: self.facts.identity.recognition_code,
            kind,
            number,
            balance,
            amounts,
            terminal,
            terminal_number,
            time,
            tac,
        }
    }
}

/// The end of a load that holds its keys.
pub trait Host {
    /// Consents to a load: checks MAC1; MAC2.
    ///
    /// # Errors
    /// [`Failure::NotGenuine`] where MAC1 is wrong, [`Failure::NoKey`].
    fn consent(
        &mut self,
        card: &Identity,
        load: &Load,
        offer: &LoadOffer,
    ) -> Result<[u8; 4], Failure>;

    /// Books a load: checks its TAC.
    ///
    /// # Errors
    /// [`Failure::NotGenuine`] where it is wrong, [`Failure::NoKey`].
    fn book(
        &mut self,
        card: &Identity,
        load: &Load,
        offer: &LoadOffer,
        tac: [u8; 4],
    ) -> Result<(), Failure>;
}

/// A host with test keys.
pub struct TestHost<'p> {
    hsm: Hsm,
    profile: &'p Profile,
}

impl<'p> TestHost<'p> {
    /// The keys under this root, by the names that a layout gives them.
    #[must_use]
    pub fn new(root: TestRoot, profile: &'p Profile) -> TestHost<'p> {
        TestHost {
            hsm: Hsm::new(root),
            profile,
        }
    }

    fn key(
        &self,
        card: &Identity,
        purpose: Purpose,
        index: Option<u8>,
        version: u8,
    ) -> Result<crypto::Key, Failure> {
        let key = key_for(self.profile, purpose, index)?;
        let cipher = match card.algorithm {
            CardAlgorithm::Des => Cipher::TripleDes,
            CardAlgorithm::Sm4 => Cipher::Sm4,
            CardAlgorithm::Ssf33 => return Err(Failure::NoAlgorithm),
        };
        if !(1..=key.versions).contains(&version) {
            return Err(Failure::NoKey(format!("{} of version {version}", key.name)));
        }
        let factor = card.card_factor();
        Ok(self
            .hsm
            .card_key(&key.name, version, cipher, card.region, &factor))
    }
}

/// The key of a layout with a purpose, and with this identifier where one is given.
fn key_for(layout: &Profile, purpose: Purpose, kid: Option<u8>) -> Result<&Key, Failure> {
    let mut keys = layout.directories.iter().flat_map(|d| &d.keys);
    let key = keys.find(|key| key.purpose == purpose && kid.is_none_or(|kid| key.kid == kid));
    key.ok_or(Failure::Card("the key index", Sw::KEY_INDEX_NOT_SUPPORTED))
}

impl Host for TestHost<'_> {
    fn consent(
        &mut self,
        card: &Identity,
        load: &Load,
        offer: &LoadOffer,
    ) -> Result<[u8; 4], Failure> {
        let dlk = self.key(card, Purpose::Load, Some(load.index), offer.version)?;
        let genuine = load
            .mac1(&dlk, offer)
            .is_some_and(|mac| equal(&mac, &offer.mac));
        let mac2 = load.mac2(&dlk, offer).filter(|_| genuine);
        mac2.ok_or(Failure::NotGenuine)
    }

    fn book(
        &mut self,
        card: &Identity,
        load: &Load,
        offer: &LoadOffer,
        tac: [u8; 4],
    ) -> Result<(), Failure> {
        let dtk = self.key(card, Purpose::Tac, None, 1)?;
        match load.tac(&dtk, offer) {
            Some(expected) if equal(&expected, &tac) => Ok(()),
            _ => Err(Failure::NotGenuine),
        }
    }
}

impl Terminal<'_> {
    /// iDoDebit: pays from the account; checks MAC2.
    ///
    /// # Errors
    /// [`Failure`] in the order of the module's head, what the PIN, the card and the
    /// module refuse. Where the answer to DEBIT did not come, [`Failure::NoAnswer`], and
    /// [`pending`](Terminal::pending) has the transaction.
    pub fn debit(&mut self, payment: &Payment) -> Result<Receipt, Failure> {
        let (visit, terminal) = self.account()?;
        let mut purchase = Purchase {
            index: payment.index,
            amounts: payment.amounts,
            terminal,
            terminal_number: [0; 4],
            time: payment.time,
        };
        let what = "INITIALIZE FOR PURCHASE";
        let data = purchase.initialize_data();
        let answer = self.ask(what, [0xB0, 0x28, 0x01, 0x01], &data, 0x16)?;
        let offer = PurchaseOffer::parse(&answer);
        let offer = offer.ok_or(Failure::Malformed("the offer of a purchase"))?;
        let layout = self.layouts.of(visit.facts.version);
        let key = key_for(layout, Purpose::Purchase, Some(purchase.index))?;
        let identity = &visit.facts.identity;
        let mac1 = self.module.purchase(identity, key, &mut purchase, &offer)?;
        let data = purchase.debit_data(mac1);
        let pending = Pending {
            facts: visit.facts,
            trade: Trade::Purchase(purchase, offer),
        };
        let what = "DEBIT FOR PURCHASE";
        let answer = self.decide(&pending, what, [0xB0, 0x2C, 0x01, 0x00], &data, 8)?;
        let malformed = Failure::Malformed("TAC and MAC2");
        match answer.as_chunks() {
            ([tac, mac2], []) => {
                let identity = &pending.facts.identity;
                self.module
                    .settle(identity, key, &purchase, &offer, *mac2)?;
                Ok(pending.receipt(*tac))
            }
            _ => Err(malformed),
        }
    }

    /// Loads the account, with a host that consents.
    ///
    /// # Errors
    /// [`Failure`] in the order of the module's head, what the PIN, the card and the host
    /// refuse. Where the answer to CREDIT did not come, [`Failure::NoAnswer`], and
    /// [`pending`](Terminal::pending) has the transaction.
    pub fn load(&mut self, payment: &Payment, host: &mut dyn Host) -> Result<Receipt, Failure> {
        let (visit, terminal) = self.account()?;
        let load = Load {
            index: payment.index,
            amount: payment.amounts.account,
            terminal,
            time: payment.time,
        };
        let what = "INITIALIZE FOR LOAD";
        let data = load.initialize_data();
        let answer = self.ask(what, [0xB0, 0x28, 0x00, 0x01], &data, 0x10)?;
        let offer = LoadOffer::parse(&answer);
        let offer = offer.ok_or(Failure::Malformed("the offer of a load"))?;
        let mac2 = host.consent(&visit.facts.identity, &load, &offer)?;
        let data = load.credit_data(mac2);
        let pending = Pending {
            facts: visit.facts,
            trade: Trade::Load(load, offer),
        };
        let what = "CREDIT FOR LOAD";
        let answer = self.decide(&pending, what, [0xB0, 0x2A, 0x00, 0x00], &data, 4)?;
        let tac = answer.try_into().map_err(|_| Failure::Malformed("a TAC"))?;
        host.book(&pending.facts.identity, &load, &offer, tac)?;
        Ok(pending.receipt(tac))
    }

    /// Asks a card that was put in again whether it took a transaction: its receipt, or
    /// `None` where it did not.
    ///
    /// INTERNAL AUTHENTICATION is left away: MAC2 proves the card, and a PSAM would forget
    /// its purchase over another sum.
    ///
    /// # Errors
    /// [`Failure::Differs`] where it is another card; what card, module and host refuse.
    pub fn recover(
        &mut self,
        pending: &Pending,
        host: &mut dyn Host,
    ) -> Result<Option<Receipt>, Failure> {
        let mut visit = self.look()?;
        let (facts, before) = (&visit.facts, &pending.facts);
        if facts.identity.recognition_code != before.identity.recognition_code {
            return Err(Failure::Differs("the recognition code"));
        }
        if facts.card_number != before.card_number {
            return Err(Failure::Differs("the card number"));
        }
        self.go_to_account(&mut visit)?;
        let (kind, number) = match &pending.trade {
            Trade::Load(_, offer) => (TYPE_31_LOAD, offer.number),
            Trade::Purchase(_, offer) => (TYPE_32_PURCHASE, offer.number),
        };
        let header = [0xB0, 0x2E, 0x00, kind];
        let answer = self.send(header, &number.to_be_bytes(), 8)?;
        let receipt = match (answer.sw, answer.data.as_chunks()) {
            (Sw::OK, ([mac, tac], [])) => {
                let identity = &pending.facts.identity;
                match &pending.trade {
                    Trade::Load(load, offer) => host.book(identity, load, offer, *tac)?,
                    Trade::Purchase(purchase, offer) => {
                        let layout = self.layouts.of(visit.facts.version);
                        let key = key_for(layout, Purpose::Purchase, Some(purchase.index))?;
                        self.module.settle(identity, key, purchase, offer, *mac)?;
                    }
                }
                Some(pending.receipt(*tac))
            }
            (Sw::OK, _) => return Err(Failure::Malformed("MAC and TAC")),
            (Sw::MAC_NOT_AVAILABLE, _) => None,
            (sw, _) => return Err(Failure::Card("GET TRANSACTION PROOF", sw)),
        };
        self.pending = None;
        Ok(receipt)
    }

    /// iReadDebitRecord: the details file, newest first.
    ///
    /// # Errors
    /// [`Failure`] in the order of the module's head, what the PIN and the file refuse.
    pub fn debit_records(&mut self) -> Result<Vec<DebitRecord>, Failure> {
        let mut visit = self.begin(false)?;
        let (directory, file) = self.place(&visit, DF04, EF_08_DETAILS)?;
        self.open(&mut visit, directory, file, AuthType::Pin)?;
        let len = match file.kind {
            Kind::Cyclic { record_len, .. } => record_len,
            _ => 0x1C,
        };
        let records = self.cyclic(len)?;
        let records = records.iter().map(|record| debit_record(record));
        let records: Option<_> = records.collect();
        records.ok_or(Failure::Malformed("a record of 20 or 28 bytes"))
    }

    /// The card in DF04, the PIN presented, and the terminal's number.
    fn account(&mut self) -> Result<(Visit, [u8; 6]), Failure> {
        let mut visit = self.begin(false)?;
        let terminal = self.module.terminal_number()?;
        self.go_to_account(&mut visit)?;
        self.open_by_pin(&mut visit)?;
        Ok((visit, terminal))
    }

    fn go_to_account(&mut self, visit: &mut Visit) -> Result<(), Failure> {
        let layout = self.layouts.of(visit.facts.version);
        let directory = layout.directory_by_label(DF04);
        let directory = directory.ok_or_else(|| Failure::NoFile(DF04.to_owned()))?;
        self.go(visit, directory)
    }

    /// Sends the command that decides; where its answer does not come, the transaction
    /// is pending.
    fn decide(
        &mut self,
        pending: &Pending,
        what: &'static str,
        header: [u8; 4],
        data: &[u8],
        ne: u32,
    ) -> Result<Vec<u8>, Failure> {
        self.pending = Some(pending.clone());
        let answer = self.send(header, data, ne)?;
        self.pending = None;
        match answer.sw {
            Sw::OK => Ok(answer.data),
            sw => Err(Failure::Card(what, sw)),
        }
    }
}

/// A record of the details file; of 20 bytes where the account has no sums.
fn debit_record(record: &[u8]) -> Option<DebitRecord> {
    let (&number, rest) = record.split_first_chunk()?;
    let (kind, rest) = rest.split_at_checked(1)?;
    let (terminal, rest) = rest.split_at_checked(6)?;
    let (time, rest) = rest.split_at_checked(7)?;
    let fen = |bytes: &[u8; 4]| Fen::from_be_bytes(*bytes);
    let amounts = match rest.as_chunks() {
        ([account], []) => Amounts {
            account: fen(account),
            ..Amounts::default()
        },
        ([account, own, pooled], []) => Amounts {
            account: fen(account),
            own: fen(own),
            pooled: fen(pooled),
        },
        _ => return None,
    };
    Some(DebitRecord {
        number: u16::from_be_bytes(number),
        kind: decode_text(kind).text().to_owned(),
        terminal: decode_digits(terminal).text().to_owned(),
        time: decode_digits(time).text().to_owned(),
        amounts,
    })
}
