//! What a transaction is made of while it runs, and what it leaves behind.
//!
//! A transaction lasts from one SELECT of the application to the next; what it is made
//! of is volatile. What it leaves behind is of three kinds:
//!
//! | kept as | what                                                    |
//! |---------|---------------------------------------------------------|
//! | latch   | ATC, PIN tries, failures to authenticate                |
//! | mark    | issuer failed, script failed, how many scripts, last try |
//! | update  | sums, counters, flags, balances, log                    |
//!
//! No refusal and no loss of power gives a latch back. A mark is set by commands that
//! are refused, and cleared with an update. An update is all of one answer, or nothing.
//!
//! A [`Mark`] is two numbers: one that is written at once when it is set, and one that
//! an update makes equal to it. So setting it survives the refusal that it comes with,
//! and clearing it is part of the update that allows it.
//!
//! Source: JR/T 0025.5, internal counters and indicators, by public material.

use super::data::Amount;
use bitflags::bitflags;
use cardlab::apdu::Sw;
use cardlab::applet::{Ctx, Latch, Nv, Plan, Transient};

/// How far the application's life is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Life {
    /// Takes personalisation data and nothing else.
    Installed = 0,
    /// Personalised; the bank has not activated it.
    Inactive = 1,
    /// In use.
    Active = 2,
    /// Blocked by the issuer or by itself.
    Blocked = 3,
    /// Ended by CARD BLOCK, where that may not end the card.
    Ended = 4,
}

impl Life {
    const fn from_byte(byte: u8) -> Life {
        match byte {
            0 => Life::Installed,
            1 => Life::Inactive,
            2 => Life::Active,
            3 => Life::Blocked,
            _ => Life::Ended,
        }
    }
}

/// How far a transaction is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Phase {
    /// Selected, nothing begun.
    Selected = 0,
    /// GET PROCESSING OPTIONS was answered.
    Initiated = 1,
    /// And the card proved itself.
    Proven = 2,
    /// The first cryptogram asks the issuer.
    Online = 3,
    /// The second cryptogram was given.
    Completed = 4,
    /// The first cryptogram was the last one.
    Over = 5,
}

/// Whose processing options a transaction has, and whose money.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Path {
    /// Debit or credit.
    Account = 0,
    /// E-cash.
    Cash = 1,
    /// E-cash in the second currency.
    SecondCash = 2,
}

bitflags! {
    /// What happened in the transaction so far.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Events: u16 {
        /// EXTERNAL AUTHENTICATE was done.
        const ISSUER_AUTHENTICATED = 0x0001;
        /// And failed.
        const ISSUER_FAILED = 0x0002;
        /// The response code in it was an approval.
        const ISSUER_APPROVED = 0x0004;
        /// A script with a wrong MAC: no others.
        const SCRIPTS_CLOSED = 0x0008;
        /// A script failed.
        const SCRIPT_FAILED = 0x0010;
        /// The last try at the PIN was spent.
        const PIN_EXHAUSTED = 0x0020;
        /// That the PIN was blocked before was told.
        const PIN_TOLD = 0x0040;
        /// SM4 makes the sums.
        const SM4 = 0x0080;
        /// SM2 makes the signatures, and the processing options are those of its set.
        const SM2 = 0x0100;
    }
}

bitflags! {
    /// Card verification results: bytes 2 to 4 as one number.
    #[derive(Clone, Copy, Debug, PartialEq, Eq)]
    pub(super) struct Cvr: u32 {
        /// The second cryptogram: with neither an AAC.
        const SECOND_NOT_REQUESTED = 0x80_0000;
        const SECOND_IS_TC = 0x40_0000;
        /// The first cryptogram: with neither an AAC.
        const FIRST_IS_ARQC = 0x20_0000;
        const FIRST_IS_TC = 0x10_0000;
        const ISSUER_FAILED = 0x08_0000;
        const PIN_PERFORMED = 0x04_0000;
        const PIN_FAILED = 0x02_0000;
        const UNABLE_ONLINE = 0x01_0000;
        const LAST_ONLINE_INCOMPLETE = 0x00_8000;
        const PIN_EXHAUSTED = 0x00_4000;
        const VELOCITY_EXCEEDED = 0x00_2000;
        const NEW_CARD = 0x00_1000;
        const LAST_ISSUER_FAILED = 0x00_0800;
        const ISSUER_NOT_AUTHENTICATED = 0x00_0400;
        const BLOCKED_FOR_PIN = 0x00_0200;
        const LAST_SDA_FAILED = 0x00_0100;
        /// Scripts after the second cryptogram of the last transaction.
        const SCRIPTS = 0x00_00F0;
        const LAST_SCRIPT_FAILED = 0x00_0008;
        const LAST_DDA_FAILED = 0x00_0004;
        const DDA_PERFORMED = 0x00_0002;
    }
}

impl Cvr {
    /// All four bytes, the length first.
    pub(super) fn to_bytes(self) -> [u8; 4] {
        (0x0300_0000 | self.bits()).to_be_bytes()
    }

    /// As many scripts, at most 15.
    pub(super) fn scripts(count: u8) -> Cvr {
        Cvr::from_bits_retain(u32::from(count.min(15)) << 4)
    }
}

/// Something that is set at once and for good, and cleared with an update.
#[derive(Debug)]
pub(super) struct Mark {
    set: Latch<u16>,
    cleared: Nv<u16>,
}

impl Mark {
    fn attach(plan: &mut Plan) -> Mark {
        Mark {
            set: plan.latch(),
            cleared: plan.nv(),
        }
    }

    /// How often it was set since it was cleared.
    pub(super) fn count(&self, ctx: &Ctx<'_>) -> u16 {
        ctx.get(&self.set).wrapping_sub(ctx.get(&self.cleared))
    }

    pub(super) fn is_set(&self, ctx: &Ctx<'_>) -> bool {
        self.count(ctx) > 0
    }

    pub(super) fn set(&self, ctx: &mut Ctx<'_>) {
        if self.count(ctx) < u16::MAX {
            let set = ctx.get(&self.set).wrapping_add(1);
            ctx.set(&self.set, set);
        }
    }

    /// Takes back at once, and not with an update, that it was set.
    pub(super) fn take_back(&self, ctx: &mut Ctx<'_>) {
        let cleared = ctx.get(&self.cleared);
        ctx.set(&self.set, cleared);
    }

    pub(super) fn clear(&self, ctx: &mut Ctx<'_>) {
        let set = ctx.get(&self.set);
        ctx.set(&self.cleared, set);
    }
}

/// Bytes that a list can ask for, of the lists that a transaction has.
const DATA_LEN: usize = 255;

/// A transaction on the channel where the application is selected.
#[derive(Debug)]
pub(super) struct Transaction {
    phase: Transient<u8>,
    path: Transient<u8>,
    events: Transient<u16>,
    cvr: Transient<u32>,
    /// Its number.
    pub(super) atc: Transient<u16>,
    pub(super) aip: Transient<[u8; 2]>,
    /// The first cryptogram.
    pub(super) cryptogram: Transient<[u8; 8]>,
    pub(super) pdol: Given,
    pub(super) cdol1: Given,
    /// A random number drawn and not yet used: 1 and 8 bytes.
    challenge: Transient<[u8; 9]>,
}

/// What a terminal filled a list with.
#[derive(Debug)]
pub(super) struct Given {
    len: Transient<u8>,
    bytes: Transient<[u8; DATA_LEN]>,
}

impl Given {
    fn attach(plan: &mut Plan) -> Given {
        Given {
            len: plan.transient_on_deselect(),
            // Only one channel has a transaction, and without a length these are nothing.
            bytes: plan.transient_on_reset(),
        }
    }

    pub(super) fn put(&self, ctx: &mut Ctx<'_>, data: &[u8]) -> Result<(), Sw> {
        let mut bytes = [0; DATA_LEN];
        let room = bytes.get_mut(..data.len()).ok_or(Sw::WRONG_LENGTH)?;
        room.copy_from_slice(data);
        ctx.set(&self.bytes, bytes);
        ctx.set(&self.len, u8::try_from(data.len()).unwrap_or(u8::MAX));
        Ok(())
    }

    /// All bytes, and how many of them count.
    pub(super) fn get(&self, ctx: &Ctx<'_>) -> ([u8; DATA_LEN], usize) {
        (ctx.get(&self.bytes), usize::from(ctx.get(&self.len)))
    }
}

impl Transaction {
    pub(super) fn attach(plan: &mut Plan) -> Transaction {
        Transaction {
            phase: plan.transient_on_deselect(),
            path: plan.transient_on_deselect(),
            events: plan.transient_on_deselect(),
            cvr: plan.transient_on_deselect(),
            atc: plan.transient_on_deselect(),
            aip: plan.transient_on_deselect(),
            cryptogram: plan.transient_on_deselect(),
            pdol: Given::attach(plan),
            cdol1: Given::attach(plan),
            challenge: plan.transient_on_deselect(),
        }
    }

    pub(super) fn phase(&self, ctx: &Ctx<'_>) -> Phase {
        match ctx.get(&self.phase) {
            0 => Phase::Selected,
            1 => Phase::Initiated,
            2 => Phase::Proven,
            3 => Phase::Online,
            4 => Phase::Completed,
            _ => Phase::Over,
        }
    }

    pub(super) fn set_phase(&self, ctx: &mut Ctx<'_>, phase: Phase) {
        ctx.set(&self.phase, phase as u8);
    }

    pub(super) fn path(&self, ctx: &Ctx<'_>) -> Path {
        match ctx.get(&self.path) {
            0 => Path::Account,
            1 => Path::Cash,
            _ => Path::SecondCash,
        }
    }

    pub(super) fn set_path(&self, ctx: &mut Ctx<'_>, path: Path) {
        ctx.set(&self.path, path as u8);
    }

    pub(super) fn events(&self, ctx: &Ctx<'_>) -> Events {
        Events::from_bits_retain(ctx.get(&self.events))
    }

    pub(super) fn has(&self, ctx: &Ctx<'_>, event: Events) -> bool {
        self.events(ctx).contains(event)
    }

    pub(super) fn note(&self, ctx: &mut Ctx<'_>, event: Events) {
        let events = self.events(ctx) | event;
        ctx.set(&self.events, events.bits());
    }

    pub(super) fn cvr(&self, ctx: &Ctx<'_>) -> Cvr {
        Cvr::from_bits_retain(ctx.get(&self.cvr))
    }

    pub(super) fn set_cvr(&self, ctx: &mut Ctx<'_>, cvr: Cvr) {
        ctx.set(&self.cvr, cvr.bits());
    }

    pub(super) fn set_challenge(&self, ctx: &mut Ctx<'_>, challenge: [u8; 8]) {
        let mut kept = [1; 9];
        kept[1..].copy_from_slice(&challenge);
        ctx.set(&self.challenge, kept);
    }

    /// The random number drawn with the command before, which is used up.
    pub(super) fn take_challenge(&self, ctx: &mut Ctx<'_>) -> Option<[u8; 8]> {
        let [drawn, challenge @ ..] = ctx.get(&self.challenge);
        if drawn == 0 {
            return None;
        }
        ctx.set(&self.challenge, [0; 9]);
        Some(challenge)
    }
}

/// What transactions leave behind.
#[derive(Debug)]
pub(super) struct Ledger {
    life: Nv<u8>,
    /// The application transaction counter.
    pub(super) atc: Latch<u16>,
    /// Its value in the last transaction that the issuer answered.
    pub(super) last_online_atc: Nv<u16>,
    /// A transaction on line was begun and not completed.
    pub(super) online_pending: Nv<bool>,
    /// Static data authentication failed in the last one, which was declined.
    pub(super) sda_failed: Nv<bool>,
    /// Dynamic or combined data authentication did.
    pub(super) dda_failed: Nv<bool>,
    /// The issuer failed to authenticate, or had to and did not.
    pub(super) issuer_failed: Mark,
    pub(super) script_failed: Mark,
    /// Script commands after the second cryptogram.
    pub(super) scripts: Mark,
    /// Failures in a row of EXTERNAL AUTHENTICATE.
    pub(super) failures: Latch<u8>,
    /// The last try at the PIN may have been spent, and nothing followed from it yet.
    pub(super) last_try: Mark,
    /// Spent off line in the own currency, and in both.
    sum: Nv<u64>,
    dual_sum: Nv<u64>,
    /// Off line in a foreign currency, and in a foreign country.
    pub(super) foreign_currency: Nv<u8>,
    pub(super) foreign_country: Nv<u8>,
}

impl Ledger {
    pub(super) fn attach(plan: &mut Plan) -> Ledger {
        Ledger {
            life: plan.nv(),
            atc: plan.latch(),
            last_online_atc: plan.nv(),
            online_pending: plan.nv(),
            sda_failed: plan.nv(),
            dda_failed: plan.nv(),
            issuer_failed: Mark::attach(plan),
            script_failed: Mark::attach(plan),
            scripts: Mark::attach(plan),
            failures: plan.latch(),
            last_try: Mark::attach(plan),
            sum: plan.nv(),
            dual_sum: plan.nv(),
            foreign_currency: plan.nv(),
            foreign_country: plan.nv(),
        }
    }

    pub(super) fn life(&self, ctx: &Ctx<'_>) -> Life {
        Life::from_byte(ctx.get(&self.life))
    }

    pub(super) fn set_life(&self, ctx: &mut Ctx<'_>, life: Life) {
        ctx.set(&self.life, life as u8);
    }

    pub(super) fn sum(&self, ctx: &Ctx<'_>) -> Amount {
        Amount::new(u128::from(ctx.get(&self.sum)))
    }

    pub(super) fn set_sum(&self, ctx: &mut Ctx<'_>, sum: Amount) {
        ctx.set(&self.sum, sum.count());
    }

    pub(super) fn dual_sum(&self, ctx: &Ctx<'_>) -> Amount {
        Amount::new(u128::from(ctx.get(&self.dual_sum)))
    }

    pub(super) fn set_dual_sum(&self, ctx: &mut Ctx<'_>, sum: Amount) {
        ctx.set(&self.dual_sum, sum.count());
    }
}
