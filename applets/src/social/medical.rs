//! The medical account: load, purchase, their proof, balance, starting day.
//!
//! | INS P1 | command                 | checks, in this order                        |
//! |--------|-------------------------|----------------------------------------------|
//! | 28 00  | INITIALIZE FOR LOAD     | 6985 6982 9403 9402 6985                     |
//! | 2A 00  | CREDIT FOR LOAD         | 6901 9302 6985                               |
//! | 28 01  | INITIALIZE FOR PURCHASE | 6985 6982 9403 9402 9401                     |
//! | 2C 01  | DEBIT FOR PURCHASE      | 6901 9302 6985                               |
//! | 26 00  | GET BALANCE             | 6985 6982                                    |
//! | 2E 00  | GET TRANSACTION PROOF   | 6985 9406                                    |
//! | 56 00  | UPDATE STARTING DAY     | 6985 6982 6985                               |
//! | 56 01  | GET STARTING DAY        | 6985 6982                                    |
//!
//! The first '6985' says that the current directory has no account, or for the
//! initializing commands no details file or no TAC key; with the PIN, that only its
//! first change is missing. '6581', worn out memory, comes from the operating system in
//! whatever command writes, and after it in one of these the card is blocked for good.
//!
//! What is open in the public sources is decided here so:
//!
//! - A transaction's number is its counter as INITIALIZE tells it, before it is
//!   counted: in session key, TAC, details file and GET TRANSACTION PROOF alike.
//! - P2 of GET TRANSACTION PROOF is the type as it stands in the details file, 31 or 32.
//!   The proof of the last transaction of each type is kept; a load's MAC is the host's
//!   MAC2, which the card checked.
//! - An INITIALIZE is good for the very next command on its logical channel, whether that
//!   is answered here or by the operating system; GET BALANCE and GET TRANSACTION PROOF
//!   that succeed do not count, since they "keep the state".
//! - The TAC of a load has the new balance and the old counter.
//! - The key index is the key's identifier; of its versions the lowest one serves.
//!   The algorithm byte is 00 for triple DES, as a terminal's module calls it, and 03
//!   for SM4, as the FCI does.
//! - GET STARTING DAY wants the PIN as GET BALANCE does.
//! - A new year of payment is the one in which the terminal's date lies, so that a
//!   date before the starting day belongs to the year that began before it.
//! - A time that is not decimal, a sum without room, and an account that changed on
//!   another logical channel meanwhile are '6985' of CREDIT and DEBIT.
//! - Details of 20 bytes make an account without sums: year and sums are 0.
//!
//! Source: social security card specification, part 5, the commands of class B0;
//! part 7, 7, 8, 12, 14 and 15; part 4, 8.

use super::account::{Account, Money, Proof, decimal, is_day};
use super::command::{Amounts, Balance, Medical, Purpose, Trade};
use super::data::KeyEntry;
use super::{LEVEL_SSSE, SocialSecurity};
use cardlab::apdu::Sw;
use cardlab::applet::{Ctx, Outcome, Plan, Reply, Transient};
use cardlab::crypto::{Cipher, Expanded, Key, derive, equal};
use cardlab::fen::Fen;
use cardlab::files::{Area, Directory, File, Reference, Structure};

/// The details file.
const SFI_08_DETAILS: u8 = 0x08;
/// A record of it: number, type, terminal, time, three amounts.
const DETAIL_LEN: usize = 28;
/// A record without the holder's and the fund's part.
const DETAIL_ACCOUNT_ONLY_LEN: usize = 20;

/// What follows the counter in the session key of a load.
const LOAD_MARK: [u8; 2] = [0x80, 0x00];

/// A transaction that was begun.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Begun {
    trade: Trade,
    index: u8,
    version: u8,
    random: [u8; 4],
    /// The counter as it was told.
    number: u16,
    amounts: Amounts,
    terminal: [u8; 6],
}

const BEGUN_LEN: usize = 2 + 4 + 2 + Amounts::LEN + 6;

/// The state of the medical commands on each logical channel: a type of transaction
/// that was begun, 0 for idle, and what of it is needed to end it.
#[derive(Debug)]
pub(super) struct State {
    trade: Transient<u8>,
    begun: Transient<[u8; BEGUN_LEN]>,
}

impl State {
    pub(super) fn attach(plan: &mut Plan) -> State {
        State {
            trade: plan.transient_on_deselect(),
            begun: plan.transient_on_deselect(),
        }
    }

    /// What was begun with the command before; the state is idle from now on.
    #[inline]
    pub(super) fn take(&self, ctx: &mut Ctx<'_>) -> Option<Begun> {
        let trade = Trade::from_byte(ctx.get(&self.trade))?;
        ctx.set(&self.trade, 0);
        let bytes = ctx.get(&self.begun);
        let (&[index, version], rest) = bytes.split_first_chunk()?;
        let (&random, rest) = rest.split_first_chunk()?;
        let (&number, rest) = rest.split_first_chunk()?;
        let (&amounts, rest) = rest.split_first_chunk()?;
        let &terminal = rest.first_chunk()?;
        Some(Begun {
            trade,
            index,
            version,
            random,
            number: u16::from_be_bytes(number),
            amounts: Amounts::from_bytes(amounts),
            terminal,
        })
    }

    fn put(&self, ctx: &mut Ctx<'_>, begun: &Begun) {
        let mut bytes = [0; BEGUN_LEN];
        bytes[..2].copy_from_slice(&[begun.index, begun.version]);
        bytes[2..6].copy_from_slice(&begun.random);
        bytes[6..8].copy_from_slice(&begun.number.to_be_bytes());
        bytes[8..20].copy_from_slice(&begun.amounts.to_bytes());
        bytes[20..].copy_from_slice(&begun.terminal);
        ctx.set(&self.begun, bytes);
        ctx.set(&self.trade, begun.trade as u8);
    }
}

/// What a transaction needs of the directory that it is done in.
struct Till {
    directory: Directory,
    account: Account,
    details: File,
    tac: Key,
}

impl Till {
    /// Whether it keeps the sums of a year.
    const fn has_sums(&self) -> bool {
        self.details.record_len() as usize != DETAIL_ACCOUNT_ONLY_LEN
    }

    /// The session key of a transaction: random, number and two bytes more.
    fn session(key: &KeyEntry, begun: &Begun, more: [u8; 2]) -> Result<Expanded, Sw> {
        let mut input = [0; 8];
        input[..4].copy_from_slice(&begun.random);
        input[4..6].copy_from_slice(&begun.number.to_be_bytes());
        input[6..].copy_from_slice(&more);
        let session = derive::session_key(&key.key().expand(), &input);
        session
            .map(|key| key.expand())
            .ok_or(Sw::CONDITIONS_NOT_MET)
    }

    /// Does what was decided, all of it or nothing: money, details and proof.
    fn settle(
        &self,
        ctx: &mut Ctx<'_>,
        begun: &Begun,
        time: [u8; 7],
        money: Money,
        proof: &Proof,
    ) -> Result<(), Sw> {
        let mut detail = [0; DETAIL_LEN];
        detail[..2].copy_from_slice(&begun.number.to_be_bytes());
        detail[2] = begun.trade as u8;
        detail[3..9].copy_from_slice(&begun.terminal);
        detail[9..16].copy_from_slice(&time);
        detail[16..].copy_from_slice(&begun.amounts.to_bytes());
        let len = if self.has_sums() {
            DETAIL_LEN
        } else {
            DETAIL_ACCOUNT_ONLY_LEN
        };
        self.account.set_money(ctx, money);
        self.account.set_proof(ctx, begun.trade, proof);
        self.details.append_record(ctx, &detail[..len])?;
        Ok(())
    }
}

/// The date of a time, as a number YYYYMMDD.
///
/// # Errors
/// '6985' where the time has digits that are not decimal.
fn date(time: [u8; 7]) -> Result<u64, Sw> {
    decimal(&time)
        .map(|time| time / 1_000_000)
        .ok_or(Sw::CONDITIONS_NOT_MET)
}

/// How INITIALIZE names the algorithm of a key.
const fn algorithm_byte(cipher: Cipher) -> u8 {
    match cipher {
        Cipher::TripleDes => 0x00,
        Cipher::Des => 0x01,
        Cipher::Sm4 | Cipher::Aes128 => 0x03,
    }
}

impl SocialSecurity {
    /// Carries a medical command out, after the one that `begun` is left from.
    pub(super) fn perform_medical(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        intent: &Medical,
        begun: Option<Begun>,
    ) -> Outcome {
        let of = |trade| begun.filter(|begun| begun.trade == trade);
        match *intent {
            Medical::InitializeForLoad {
                index,
                amount,
                terminal,
            } => self.initialize_for_load(ctx, area, index, amount, terminal),
            Medical::CreditForLoad { time, mac } => {
                let begun = of(Trade::Load).ok_or(Sw::COMMAND_NOT_ACCEPTED)?;
                self.credit(ctx, area, &begun, time, mac)
            }
            Medical::InitializeForPurchase {
                index,
                amounts,
                terminal,
            } => self.initialize_for_purchase(ctx, area, index, amounts, terminal),
            Medical::DebitForPurchase { number, time, mac } => {
                let begun = of(Trade::Purchase).ok_or(Sw::COMMAND_NOT_ACCEPTED)?;
                self.debit(ctx, area, &begun, number, time, mac)
            }
            Medical::GetBalance(what) => {
                self.get_balance(ctx, area, what)?;
                self.keep(ctx, begun)
            }
            Medical::Prove { trade, number } => {
                self.prove(ctx, area, trade, number)?;
                self.keep(ctx, begun)
            }
            Medical::UpdateStartingDay { day } => self.update_starting_day(ctx, area, day),
            Medical::GetStartingDay => self.get_starting_day(ctx, area),
        }
    }

    /// Leaves the state as it was before the command.
    fn keep(&self, ctx: &mut Ctx<'_>, begun: Option<Begun>) -> Outcome {
        if let Some(begun) = begun {
            self.medical.put(ctx, &begun);
        }
        Ok(Reply::OK)
    }

    /// INITIALIZE FOR LOAD: balance, counter, key version, algorithm, random number
    /// and MAC1.
    ///
    /// # Errors
    /// '6985', '6982', '9403', '9402', '6985' where the balance has no room.
    ///
    /// Source: social security card specification, part 7, 7.
    fn initialize_for_load(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        index: u8,
        amount: Fen,
        terminal: [u8; 6],
    ) -> Outcome {
        let till = self.till(ctx, area)?;
        self.demand_pin(ctx)?;
        let (version, key) = transaction_key(ctx, &till, Purpose::Load, index)?;
        let money = till.account.money(ctx)?;
        must_count(money.loads)?;
        money.loaded(amount).ok_or(Sw::CONDITIONS_NOT_MET)?;
        let begun = Begun {
            trade: Trade::Load,
            index,
            version,
            random: draw(ctx),
            number: money.loads,
            amounts: Amounts {
                account: amount,
                ..Amounts::default()
            },
            terminal,
        };
        let session = Till::session(&key, &begun, LOAD_MARK)?;
        let balance = money.balance.to_be_bytes();
        let trade = [Trade::Load as u8];
        let mac = derive::mac(
            &session,
            &[&balance, &amount.to_be_bytes(), &trade, &terminal],
        );
        ctx.answer(&balance);
        ctx.answer(&begun.number.to_be_bytes());
        ctx.answer(&[version, algorithm_byte(key.key().cipher())]);
        ctx.answer(&begun.random);
        ctx.answer(&mac);
        self.medical.put(ctx, &begun);
        Ok(Reply::OK)
    }

    /// CREDIT FOR LOAD: the TAC.
    ///
    /// # Errors
    /// '9302', '6985'.
    ///
    /// Source: social security card specification, part 7, 7.
    fn credit(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        begun: &Begun,
        time: [u8; 7],
        mac: [u8; 4],
    ) -> Outcome {
        let till = self.till(ctx, area)?;
        let key = begun_key(ctx, &till, Purpose::Load, begun)?;
        let session = Till::session(&key, begun, LOAD_MARK)?;
        let amount = begun.amounts.account;
        let (amount_bytes, trade) = (amount.to_be_bytes(), [Trade::Load as u8]);
        let right = derive::mac(&session, &[&amount_bytes, &trade, &begun.terminal, &time]);
        if !equal(&right, &mac) {
            return Err(Sw::MAC_INVALID);
        }
        date(time)?;
        let money = till.account.money(ctx)?;
        if money.loads != begun.number {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        let money = money.loaded(amount).ok_or(Sw::CONDITIONS_NOT_MET)?;
        let tac = derive::mac(
            &till.tac.expand(),
            &[
                &money.balance.to_be_bytes(),
                &begun.number.to_be_bytes(),
                &amount_bytes,
                &trade,
                &begun.terminal,
                &time,
            ],
        );
        let number = begun.number;
        till.settle(ctx, begun, time, money, &Proof { number, mac, tac })?;
        ctx.answer(&tac);
        Ok(Reply::OK)
    }

    /// INITIALIZE FOR PURCHASE: balance, both sums, year, counter, key version,
    /// algorithm and random number.
    ///
    /// # Errors
    /// '6985', '6982', '9403', '9402', '9401'.
    ///
    /// Source: social security card specification, part 7, 8.
    fn initialize_for_purchase(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        index: u8,
        amounts: Amounts,
        terminal: [u8; 6],
    ) -> Outcome {
        let till = self.till(ctx, area)?;
        self.demand_pin(ctx)?;
        let (version, key) = transaction_key(ctx, &till, Purpose::Purchase, index)?;
        let money = till.account.money(ctx)?;
        must_count(money.purchases)?;
        if money.balance < amounts.account {
            return Err(Sw::INSUFFICIENT_AMOUNT);
        }
        let shown = if till.has_sums() {
            money
        } else {
            money.without_sums()
        };
        let begun = Begun {
            trade: Trade::Purchase,
            index,
            version,
            random: draw(ctx),
            number: money.purchases,
            amounts,
            terminal,
        };
        for amount in [shown.balance, shown.own, shown.pooled] {
            ctx.answer(&amount.to_be_bytes());
        }
        ctx.answer(&shown.year);
        ctx.answer(&begun.number.to_be_bytes());
        ctx.answer(&[version, algorithm_byte(key.key().cipher())]);
        ctx.answer(&begun.random);
        self.medical.put(ctx, &begun);
        Ok(Reply::OK)
    }

    /// DEBIT FOR PURCHASE: the TAC and MAC2.
    ///
    /// # Errors
    /// '9302', '6985'.
    ///
    /// Source: social security card specification, part 7, 8.
    fn debit(
        &self,
        ctx: &mut Ctx<'_>,
        area: &Area,
        begun: &Begun,
        terminal_number: [u8; 4],
        time: [u8; 7],
        mac: [u8; 4],
    ) -> Outcome {
        let till = self.till(ctx, area)?;
        let key = begun_key(ctx, &till, Purpose::Purchase, begun)?;
        let [_, _, high, low] = terminal_number;
        let session = Till::session(&key, begun, [high, low])?;
        let (amounts, trade) = (begun.amounts.to_bytes(), [Trade::Purchase as u8]);
        let right = derive::mac(&session, &[&amounts, &trade, &begun.terminal, &time]);
        if !equal(&right, &mac) {
            return Err(Sw::MAC_INVALID);
        }
        let date = date(time)?;
        let money = till.account.money(ctx)?;
        if money.purchases != begun.number {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        let money = if till.has_sums() {
            money.spent(&begun.amounts, date)
        } else {
            money.paid_from_account(begun.amounts.account)
        };
        let money = money.ok_or(Sw::CONDITIONS_NOT_MET)?;
        let mac = derive::mac(&session, &[&amounts]);
        let tac = derive::mac(
            &till.tac.expand(),
            &[&amounts, &trade, &begun.terminal, &terminal_number, &time],
        );
        let number = begun.number;
        till.settle(ctx, begun, time, money, &Proof { number, mac, tac })?;
        ctx.answer(&tac);
        ctx.answer(&mac);
        Ok(Reply::OK)
    }

    /// GET BALANCE: the balance, or a sum and its year.
    ///
    /// # Errors
    /// '6985', '6982'.
    ///
    /// Source: social security card specification, part 5, GET BALANCE.
    fn get_balance(&self, ctx: &mut Ctx<'_>, area: &Area, what: Balance) -> Result<(), Sw> {
        let account = self.account(ctx, area)?;
        self.demand_pin(ctx)?;
        let has_sums = self
            .details(ctx, area)
            .is_ok_and(|file| usize::from(file.record_len()) == DETAIL_LEN);
        let money = account.money(ctx)?;
        let shown = if has_sums {
            money
        } else {
            money.without_sums()
        };
        match what {
            Balance::Account => ctx.answer(&shown.balance.to_be_bytes()),
            Balance::Own => {
                ctx.answer(&shown.own.to_be_bytes());
                ctx.answer(&shown.year);
            }
            Balance::Pooled => {
                ctx.answer(&shown.pooled.to_be_bytes());
                ctx.answer(&shown.year);
            }
        }
        Ok(())
    }

    /// GET TRANSACTION PROOF: MAC and TAC of the last transaction of a type, if it
    /// had this number.
    ///
    /// # Errors
    /// '6985', '9406'.
    ///
    /// Source: social security card specification, part 7, 14.
    fn prove(&self, ctx: &mut Ctx<'_>, area: &Area, trade: Trade, number: u16) -> Result<(), Sw> {
        let account = self.account(ctx, area)?;
        let proof = account.proof(ctx, trade);
        let proof = proof.filter(|proof| proof.number == number);
        let proof = proof.ok_or(Sw::MAC_NOT_AVAILABLE)?;
        ctx.answer(&proof.mac);
        ctx.answer(&proof.tac);
        Ok(())
    }

    /// UPDATE STARTING DAY.
    ///
    /// # Errors
    /// '6985', '6982' without the right of the DSK, '6985' where it is no day of a year.
    ///
    /// Source: social security card specification, part 5, UPDATE STARTING DAY.
    fn update_starting_day(&self, ctx: &mut Ctx<'_>, area: &Area, day: [u8; 2]) -> Outcome {
        let account = self.account(ctx, area)?;
        let directory = self.files.directory(ctx, area);
        let dsk = KeyEntry::kid_for(ctx, &directory, Purpose::StartingDay);
        self.demand_key(ctx, area, dsk.ok_or(Sw::SECURITY_NOT_SATISFIED)?)?;
        if !is_day(day) {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        let money = account.money(ctx)?;
        account.set_money(
            ctx,
            Money {
                starting_day: day,
                ..money
            },
        );
        Ok(Reply::OK)
    }

    /// GET STARTING DAY.
    ///
    /// # Errors
    /// '6985', '6982'.
    ///
    /// Source: social security card specification, part 5, GET STARTING DAY.
    fn get_starting_day(&self, ctx: &mut Ctx<'_>, area: &Area) -> Outcome {
        let account = self.account(ctx, area)?;
        self.demand_pin(ctx)?;
        let money = account.money(ctx)?;
        ctx.answer(&money.starting_day);
        Ok(Reply::OK)
    }

    /// The account of the current application.
    ///
    /// # Errors
    /// '6985'.
    fn account(&self, ctx: &Ctx<'_>, area: &Area) -> Result<Account, Sw> {
        if area.level() <= LEVEL_SSSE {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        let directory = self.files.directory(ctx, area);
        Account::of(ctx, &directory).ok_or(Sw::CONDITIONS_NOT_MET)
    }

    /// The details file of the current application.
    ///
    /// # Errors
    /// '6985' where there is none of a form that the card can write.
    fn details(&self, ctx: &Ctx<'_>, area: &Area) -> Result<File, Sw> {
        let file = self.files.file(ctx, area, Reference::Sfi(SFI_08_DETAILS));
        let fits = |file: &File| {
            file.structure() == Structure::Cyclic
                && matches!(
                    usize::from(file.record_len()),
                    DETAIL_LEN | DETAIL_ACCOUNT_ONLY_LEN
                )
        };
        file.ok().filter(fits).ok_or(Sw::CONDITIONS_NOT_MET)
    }

    /// All that a transaction needs.
    ///
    /// # Errors
    /// '6985'.
    fn till(&self, ctx: &Ctx<'_>, area: &Area) -> Result<Till, Sw> {
        let account = self.account(ctx, area)?;
        let details = self.details(ctx, area)?;
        let directory = self.files.directory(ctx, area);
        let dtk = KeyEntry::kid_for(ctx, &directory, Purpose::Certificate)
            .and_then(|kid| KeyEntry::first(ctx, &directory, Purpose::Certificate, kid));
        let (_, dtk) = dtk.ok_or(Sw::CONDITIONS_NOT_MET)?;
        Ok(Till {
            directory,
            account,
            details,
            tac: derive::tac_key(dtk.key()),
        })
    }
}

/// The key of an index, and its version.
///
/// # Errors
/// '9403'.
fn transaction_key(
    ctx: &Ctx<'_>,
    till: &Till,
    purpose: Purpose,
    index: u8,
) -> Result<(u8, KeyEntry), Sw> {
    KeyEntry::first(ctx, &till.directory, purpose, index).ok_or(Sw::KEY_INDEX_NOT_SUPPORTED)
}

/// The key that a transaction was begun with.
///
/// # Errors
/// '6985', which only a key that was taken away meanwhile can give.
fn begun_key(ctx: &Ctx<'_>, till: &Till, purpose: Purpose, begun: &Begun) -> Result<KeyEntry, Sw> {
    KeyEntry::find(ctx, &till.directory, purpose, begun.index, begun.version)
        .map_err(|_| Sw::CONDITIONS_NOT_MET)
}

/// Whether a counter can count one more.
///
/// # Errors
/// '9402'.
fn must_count(counter: u16) -> Result<(), Sw> {
    if counter == u16::MAX {
        Err(Sw::COUNTER_AT_MAXIMUM)
    } else {
        Ok(())
    }
}

/// Four random bytes of the card.
fn draw(ctx: &mut Ctx<'_>) -> [u8; 4] {
    let mut random = [0; 4];
    ctx.random(&mut random);
    random
}
