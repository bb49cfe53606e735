//! The bank applet: debit or credit with electronic cash, as PBOC 3.0 has it.
//!
//! | CLA   | INS | command                | file              |
//! |-------|-----|------------------------|-------------------|
//! | 00    | A4  | SELECT                 | here              |
//! | 80    | A8  | GET PROCESSING OPTIONS | `process.rs`      |
//! | 00    | B2  | READ RECORD            | `process.rs`, `log.rs` |
//! | 80    | CA  | GET DATA               | `process.rs`      |
//! | 00    | 88  | INTERNAL AUTHENTICATE  | `authenticate.rs`, `signature.rs` |
//! | 00    | 82  | EXTERNAL AUTHENTICATE  | `authenticate.rs` |
//! | 00    | 84  | GET CHALLENGE          | `authenticate.rs` |
//! | 00    | 20  | VERIFY                 | `pin.rs`          |
//! | 80    | AE  | GENERATE AC            | `cryptogram.rs`, `risk.rs`, `cash.rs`, `signature.rs` |
//! | 84    | 1E 18 16 24 | scripts that block, unblock, change the PIN | `script.rs` |
//! | 04    | DA DC | PUT DATA, UPDATE RECORD | `script.rs`    |
//! | 80 84 | E2  | STORE DATA             | `personalise.rs`  |
//! | 80 84 | 50 82 | INITIALIZE UPDATE, EXTERNAL AUTHENTICATE | the issuer domain |
//!
//! The checks come in one order for all commands: what the bytes say, '6E00', '6D00',
//! '6E00', '6A86', '6700'; the state of the application, '6985' before it is
//! personalised, '6A81' once it is ended; the state of the transaction, '6985'; then
//! what each command says under "Errors".
//!
//! Debit, credit, quasi-credit are one applet under other names; what it is, its issuer
//! personalises. A transaction lasts from one SELECT to the next, on one logical channel:
//! the applet is not selectable on a second one meanwhile, '6985'.
//!
//! Activation (requirement R06): with the switch for it the personalised application
//! answers SELECT with '6283', verifies no PIN, and declines every transaction, until
//! the bank sends APPLICATION UNBLOCK under a MAC that only it can make. So nobody at the
//! social security desk can activate it, and its PIN and life are its own.
//!
//! Experimental: a second set of keys beside triple DES and RSA, the domestic ciphers,
//! for a terminal that says 'DF69' 01 in the PDOL. SM4 then makes the sums where its keys
//! were personalised; where the set has processing options as well, these stand for the
//! others, and SM2 makes the signatures. PINs stay enciphered under RSA.
//!
//! Contacts only: what is personalised for a contactless reader is kept and not used.
//!
//! Source: JR/T 0025.4, .5, .6, .7, .12, .13 (PBOC 3.0), by public material on cards and
//! terminals that follow them; EMV 4.3 Books 1 to 3; requirements R02, R04, R06, R07, R10.

mod authenticate;
mod cash;
mod command;
mod cryptogram;
pub(crate) mod data;
mod log;
pub(crate) mod personalise;
mod pin;
mod process;
mod risk;
mod script;
mod signature;
mod state;

use cardlab::aid::Aid;
use cardlab::apdu::{Command, Sw};
use cardlab::applet::{Applet, Ctx, Install, Module, Outcome, OwnerPin, Plan, Reply, Transient};
use cardlab::tag;
use cardlab::tlv::Writer;
pub(crate) use command::{Block, Intent};
use data::{Elements, Setup, Value, name};
use log::Log;
use personalise::{Series, opens_session};
use state::{Ledger, Life, Transaction};

/// The module's load file, as card makers' tools name it.
pub const LOAD_FILE: Aid = Aid::constant(&[0xA0, 0x00, 0x00, 0x03, 0x33, 0x01, 0x01, 0x30]);

/// The module, likewise.
pub const MODULE: Module = Module::of::<Debit>(
    LOAD_FILE,
    Aid::constant(&[0xA0, 0x00, 0x00, 0x03, 0x33, 0x01, 0x01]),
);

/// The bank applet.
#[derive(Debug)]
pub struct Debit {
    setup: Setup,
    elements: Elements,
    series: Series,
    pin: OwnerPin,
    ledger: Ledger,
    payments: Log,
    loads: Log,
    transaction: Transaction,
    /// The logical channel where it is selected, and 1; 0 for nowhere.
    channel: Transient<u8>,
}

impl Debit {
    fn is_active(&self, ctx: &Ctx<'_>) -> bool {
        self.ledger.life(ctx) == Life::Active
    }

    /// An element that personalisation left there.
    ///
    /// # Errors
    /// '6985' where it did not.
    fn element(&self, ctx: &Ctx<'_>, name: u16) -> Result<Value, Sw> {
        self.elements.value(ctx, name).ok_or(Sw::CONDITIONS_NOT_MET)
    }

    fn value_or_empty(&self, ctx: &Ctx<'_>, name: u16) -> Value {
        self.elements.value(ctx, name).unwrap_or(Value::EMPTY)
    }

    fn perform(
        &self,
        ctx: &mut Ctx<'_>,
        command: &Command<'_>,
        intent: &Intent<'_>,
        challenge: Option<[u8; 8]>,
    ) -> Outcome {
        match (self.ledger.life(ctx), intent) {
            (_, Intent::SelectOther) => return Err(Sw::FILE_NOT_FOUND),
            (Life::Ended, _) => return Err(Sw::NOT_SUPPORTED),
            (Life::Installed, Intent::StoreData(_)) => {}
            (Life::Installed, _)
            | (Life::Inactive, Intent::Verify { .. } | Intent::VerifyEnciphered { .. }) => {
                return Err(Sw::CONDITIONS_NOT_MET);
            }
            _ => {}
        }
        match *intent {
            Intent::SelectOther => Err(Sw::FILE_NOT_FOUND),
            Intent::ReadRecord { sfi, number } => self.read_record(ctx, sfi, number),
            Intent::GetData { tag } => self.get_data(ctx, tag),
            Intent::GetProcessingOptions { data } => self.get_processing_options(ctx, data),
            Intent::GenerateAc {
                request,
                combined,
                data,
            } => self.generate_ac(ctx, request, combined, data),
            Intent::InternalAuthenticate { data } => self.internal_authenticate(ctx, data),
            Intent::ExternalAuthenticate { ref arpc, code } => {
                self.external_authenticate(ctx, arpc, code)
            }
            Intent::GetChallenge => self.get_challenge(ctx),
            Intent::Verify { ref block } => self.verify(ctx, block),
            Intent::VerifyEnciphered { data } => self.verify_enciphered(ctx, data, challenge),
            Intent::Script { action, ref sealed } => self.script(ctx, action, sealed.as_ref()),
            Intent::StoreData(ref block) => self.store_data(ctx, command, block),
        }
    }
}

/// Looks whether P2 of a SELECT asks for the FCI.
///
/// # Errors
/// '6A86': EMV knows no other answer.
pub(crate) fn check_wants_fci(command: &Command<'_>) -> Result<(), Sw> {
    match command.p2 & 0x0C {
        0x00 => Ok(()),
        _ => Err(Sw::WRONG_P1_P2),
    }
}

/// Answers with an FCI: the name, and what was personalised behind it.
///
/// # Errors
/// '6F00' for an applet without a name.
pub(crate) fn answer_fci(ctx: &mut Ctx<'_>, elements: &Elements) -> Result<(), Sw> {
    let aid = ctx.name().ok_or(Sw::NO_DIAGNOSIS)?;
    let template = elements
        .value(ctx, name::DGI_9102_FCI)
        .unwrap_or(Value::EMPTY);
    let mut fci = [0; 290];
    let mut writer = Writer::fixed(&mut fci);
    writer.nested(tag!(0x6F), |writer| {
        writer.object(tag!(0x84), aid.as_bytes()).raw(&template);
    });
    let len = writer.finish().map_err(|_| Sw::NO_DIAGNOSIS)?;
    ctx.answer(fci.get(..len).unwrap_or_default());
    Ok(())
}

impl Applet for Debit {
    /// Answers with the FCI; '6283' and the FCI while the application is blocked or not
    /// active yet.
    ///
    /// # Errors
    /// '6A86' where something else than the FCI is wanted; '6985' where it is selected on
    /// another logical channel, '6A81' once it is ended.
    fn select(&self, ctx: &mut Ctx<'_>, command: &Command<'_>) -> Outcome {
        check_wants_fci(command)?;
        let here = ctx.channel() + 1;
        let taken = ctx.get(&self.channel);
        if taken != 0 && taken != here {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        if self.ledger.life(ctx) == Life::Ended {
            return Err(Sw::NOT_SUPPORTED);
        }
        self.make_up_for_pin(ctx);
        answer_fci(ctx, &self.elements)?;
        ctx.set(&self.channel, here);
        match self.ledger.life(ctx) {
            Life::Installed | Life::Active => Ok(Reply::OK),
            _ => Ok(Reply::warning(Sw::SELECTED_FILE_INVALIDATED)),
        }
    }

    fn process(&self, ctx: &mut Ctx<'_>, command: &Command<'_>) -> Outcome {
        // Whatever comes now, well formed or not: a challenge was for this command.
        let challenge = self.transaction.take_challenge(ctx);
        if self.ledger.life(ctx) == Life::Installed && opens_session(command) {
            return ctx.process_security(command);
        }
        match &Intent::try_from(command) {
            Ok(intent) => self.perform(ctx, command, intent, challenge),
            Err(sw) => Err(*sw),
        }
    }

    fn overhear(&self, ctx: &mut Ctx<'_>) {
        self.transaction.take_challenge(ctx);
    }

    fn deselect(&self, ctx: &mut Ctx<'_>) {
        ctx.set(&self.channel, 0);
    }
}

impl Install for Debit {
    fn attach(plan: &mut Plan) -> Debit {
        Debit {
            setup: Setup::attach(plan),
            elements: Elements::attach(plan),
            series: Series::attach(plan),
            pin: OwnerPin::attach(plan),
            ledger: Ledger::attach(plan),
            payments: Log::of_transactions(plan),
            loads: Log::of_loads(plan),
            transaction: Transaction::attach(plan),
            channel: plan.transient_on_reset(),
        }
    }

    fn install(&self, ctx: &mut Ctx<'_>, parameters: &[u8]) -> Result<(), Sw> {
        self.setup.install(ctx, parameters)?;
        self.elements.install(ctx)
    }
}
