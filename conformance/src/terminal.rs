//! A step that runs a function of the terminal over the card of its case.
//!
//! Each exchange is recorded as any other. The keys are those of the subject's seed, in
//! an HSM or a PSAM; the layouts are the national ones, and for the card's version that of its
//! profile.

use crate::case::{Function, ModuleKind, Pull, TerminalStep};
use crate::said::Said;
use cardlab::icc::{Icc, Lost};
use cardlab::link::pulled::{Pulled, When};
use cardlab_desk::hsm::TestRoot;
use cardlab_desk::medical::Amounts;
use cardlab_desk::profile::Profile;
use cardlab_desk::sam::{Level, Outfit, Sam};
use cardlab_desk::terminal::{
    AuthType, Failure, HsmModule, Layouts, Payment, Pending, Policy, PsamModule, SecurityModule,
    Terminal, TestHost, TestHsm,
};
use std::sync::OnceLock;

/// What a step came to.
pub(crate) struct Outcome {
    /// What the function said.
    pub(crate) said: Said,
    /// The card was lost, and no step had it pulled.
    pub(crate) lost: Option<Lost>,
}

/// The number of every terminal here.
const TERMINAL_NUMBER: [u8; 6] = [0x41, 0x16, 0x00, 0x00, 0x00, 0x01];
/// The time of every load and purchase: 2026-01-02 08:30:00.
const TIME: [u8; 7] = [0x20, 0x26, 0x01, 0x02, 0x08, 0x30, 0x00];
/// DEBIT FOR PURCHASE and CREDIT FOR LOAD: the instructions that decide.
const DEBIT: u8 = 0x2C;
const CREDIT: u8 = 0x2A;

/// What a terminal has for the length of a case.
pub(crate) struct Window {
    layouts: Layouts,
    hsm: HsmModule<TestHsm>,
    psam: Option<PsamModule<Sam>>,
    /// The load or purchase whose answer did not come.
    pending: Option<Pending>,
}

impl Window {
    /// A terminal that knows cards of the profile's version by the profile, with modules
    /// of the keys of this seed.
    ///
    /// # Errors
    /// A sentence where the shipped profiles cannot be read.
    pub(crate) fn open(profile: &Profile, seed: u64) -> Result<Window, String> {
        let layouts = layouts()?.clone().with(profile.clone());
        let outfit = Outfit {
            terminal: TERMINAL_NUMBER,
            ..Outfit::of(profile, Level::National)
        };
        let hsm = TestHsm::new(TestRoot::from_seed(seed), layouts.all());
        Ok(Window {
            layouts,
            hsm: HsmModule::new(hsm, TERMINAL_NUMBER),
            psam: Sam::issue(profile, seed, &outfit).map(PsamModule::new),
            pending: None,
        })
    }
}

/// Runs a function whose texts are filled in.
///
/// # Errors
/// A sentence where the step cannot be run as it is written.
pub(crate) fn run(
    step: &TerminalStep,
    window: &mut Window,
    card: &mut dyn Icc,
    seed: u64,
    profile: &Profile,
) -> Result<Outcome, String> {
    let blacklist = step.blacklist.join("\n");
    let policy = Policy {
        blacklist: blacklist.parse().map_err(|e| format!("blacklist: {e}"))?,
        today: step.today.clone(),
        institutions: step.institutions.clone(),
        classes: step.classes.clone(),
        card_info: step.card_info.clone(),
        pin: step.pin.clone(),
        initial_pin_transacts: step.initial_pin,
        reuse: false,
        device: String::new(),
    };
    let mut card = Pulled::new(card);
    let pull = step.pulled.and_then(|when| match step.function {
        Function::Debit(_) => Some((DEBIT, when)),
        Function::Load(_) => Some((CREDIT, when)),
        _ => None,
    });
    if let Some((ins, when)) = pull {
        let when = match when {
            Pull::Before => When::Before,
            Pull::After => When::After,
        };
        card.pull_at(ins, when);
    }
    let module: &mut dyn SecurityModule = match (step.module, &mut window.psam) {
        (ModuleKind::Hsm, _) => &mut window.hsm,
        (ModuleKind::Psam, Some(psam)) => psam,
        (ModuleKind::Psam, None) => return Err(format!("no PSAM can be made for {}", profile.id)),
    };
    let mut terminal = Terminal::new(&mut card, module, &window.layouts, policy);
    let mut host = TestHost::new(TestRoot::from_seed(seed), profile);
    let result = match &step.function {
        Function::ReadBase(_) => terminal.read_base().map(|base| base.to_string()),
        Function::Read(read) => {
            let address = read.address.parse().map_err(|e| format!("address: {e}"))?;
            let by = if read.key {
                AuthType::Key
            } else {
                AuthType::Pin
            };
            terminal.read(by, &address).map(|data| data.to_string())
        }
        Function::Write(write) => {
            let address = write.address.parse().map_err(|e| format!("address: {e}"))?;
            let data = write.data.parse().map_err(|e| format!("data: {e}"))?;
            terminal.write(&address, &data).map(|()| String::new())
        }
        Function::VerifyPin(pin) => terminal.verify_pin(&pin.pin).map(|()| String::new()),
        Function::ChangePin(change) => terminal
            .change_pin(&change.from, &change.to)
            .map(|()| String::new()),
        Function::ReloadPin(to) => terminal.reload_pin(&to.to).map(|()| String::new()),
        Function::UnblockPin(_) => terminal.unblock_pin().map(|()| String::new()),
        Function::Debit(debit) => {
            let amounts = Amounts {
                account: debit.account,
                own: debit.own,
                pooled: debit.pooled,
            };
            let payment = payment(amounts, debit.index);
            terminal.debit(&payment).map(|receipt| receipt.to_string())
        }
        Function::Load(load) => {
            let amounts = Amounts {
                account: load.fen,
                ..Amounts::default()
            };
            let payment = payment(amounts, load.index);
            let receipt = terminal.load(&payment, &mut host);
            receipt.map(|receipt| receipt.to_string())
        }
        Function::DebitRecords(_) => terminal.debit_records().map(|records| {
            let records = records.iter().map(|record| format!("{record}|"));
            records.collect()
        }),
        Function::Recover(_) => {
            let before = window.pending.take();
            let before = before.ok_or("no load or purchase is without its answer")?;
            let receipt = terminal.recover(&before, &mut host);
            receipt.map(|receipt| receipt.map_or_else(String::new, |r| r.to_string()))
        }
    };
    if let Some(open) = terminal.pending() {
        window.pending = Some(open.clone());
    }
    let lost = match &result {
        Err(Failure::NoAnswer(lost) | Failure::NoCard(lost)) if pull.is_none() => {
            Some(lost.clone())
        }
        Err(Failure::NotPowered) if pull.is_none() => Some(Lost::NoPower),
        _ => None,
    };
    let said = match result {
        Ok(text) => Said {
            code: 0,
            text,
            words: String::new(),
        },
        Err(failure) => Said {
            code: failure.code(),
            text: String::new(),
            words: failure.to_string(),
        },
    };
    Ok(Outcome { said, lost })
}

fn payment(amounts: Amounts, index: Option<u8>) -> Payment {
    Payment {
        index: index.unwrap_or(1),
        amounts,
        time: TIME,
    }
}

/// The national layouts, read once.
fn layouts() -> Result<&'static Layouts, String> {
    static LAYOUTS: OnceLock<Option<Layouts>> = OnceLock::new();
    let layouts = LAYOUTS.get_or_init(|| Layouts::national().ok());
    let missing = || "the national layouts cannot be read".to_owned();
    layouts.as_ref().ok_or_else(missing)
}
