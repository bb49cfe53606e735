//! The tear sweep: the power cut at every write of a command, and of its recovery.
//!
//! ```text
//! cases, issuing, a call ─► find: the commands that write ─► cut: at every write,
//!     every ending, every recovery ─► sight: what the card shows then ─► law: old,
//!     new, a try, broken ─► report: the table
//! ```
//!
//! Old and new are what the card shows before the command and after it, when power was
//! taken away and given back. Where the memory can be seen as well and holds exactly
//! what it held before, or holds after, the card shows the same, and is not asked
//! again; so a sweep of some ten thousand cuts takes seconds.
//!
//! Source: conformance notes, 7.2 (invariants 12, 25, 26), 7.3 (storage counts writes);
//! LD/T 6001.2-2023 (anti-tear, by its published scope).

mod cut;
mod find;
mod law;
mod report;
mod sight;

pub use cut::{After, Bench, sweep, writes_of};
pub use find::{Noted, Writing, of_actions, of_case, of_sessions};
pub use law::{Difference, Outcome, judge, money_out_of_step};
pub use report::{Breakage, Report, Sweep, Tally, place};
pub use sight::{Bank, Certificates, Item, Looker, Money, Refusal, Sight, contents};

use crate::subject::Subject;
use cardlab::apdu::Command;
use cardlab::icc::{Lost, Tearable};
use cardlab::memory::Cut;
use cardlab_desk::profile::Profile;
use std::ops::ControlFlow;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};

/// WRITE KEY, with which an account is written too.
const INS_WRITE_KEY: u8 = 0xD4;

/// How many broken cuts of one command are told; all are counted.
const TOLD_MAX: usize = 3;

/// What is known of memories: those that were looked at, and what came of it.
struct Judge<'j> {
    looker: Looker<'j>,
    profile: &'j Profile,
    old: Sight,
    new: Sight,
    seen: Vec<(Vec<u8>, Outcome)>,
}

impl Judge<'_> {
    fn outcome(&mut self, after: &mut After<'_, Box<dyn Tearable>>) -> Outcome {
        let atr = match &after.back {
            Ok(atr) => atr.clone(),
            Err(lost) => return Outcome::Broken(vec![gone(lost)]),
        };
        let contents = after.bench.contents();
        if let Some(contents) = &contents
            && let Some((_, outcome)) = self.seen.iter().find(|(seen, _)| seen == contents)
        {
            return outcome.clone();
        }
        let found = self.looker.look(&mut *after.bench, &atr);
        let outcome = judge(&self.old, &self.new, &found, self.profile);
        if let Some(contents) = contents {
            self.seen.push((contents, outcome.clone()));
        }
        outcome
    }
}

/// A card that does not come back, as a difference.
fn gone(lost: &Lost) -> Difference {
    Difference {
        item: Item::Atr,
        invariant: None,
        name: format!("the card does not come back 卡片不再应答 ({lost})"),
        old: None,
        new: None,
        found: None,
    }
}

/// What a card shows when power was taken away and given back.
fn cycled(card: &mut dyn Tearable, looker: &Looker<'_>) -> Result<(Sight, Option<Vec<u8>>), Lost> {
    let mut card = card.fork();
    card.power_off();
    let atr = card.power_on()?;
    let contents = card.contents();
    Ok((looker.look(&mut *card, &atr), contents))
}

/// Sweeps one command: `depth` is how many recoveries one after the other are cut too.
///
/// # Errors
/// [`Lost`] where the card does not answer the command, or no reset, without any cut.
pub fn sweep_one(
    writing: &mut Writing,
    depth: u8,
    subject: &dyn Subject,
    profile: &Profile,
) -> Result<Sweep, Lost> {
    let looker = Looker::new(subject, profile, &writing.pins);
    let (old, held_before) = cycled(&mut *writing.before, &looker)?;
    let mut whole = writing.before.fork();
    let mut response = Vec::new();
    whole.transmit(&writing.command, &mut response)?;
    let (new, held_after) = cycled(&mut *whole, &looker)?;
    let mut sweep_of = Sweep::of(writing, depth);
    // The issuer writes an account without a transaction.
    if writing.command.get(1) != Some(&INS_WRITE_KEY) {
        sweep_of.out_of_step = money_out_of_step(&old, &new, profile);
    }
    let known = [(held_before, Outcome::Old), (held_after, Outcome::New)];
    let mut judge = Judge {
        looker,
        profile,
        old,
        new,
        seen: Vec::new(),
    };
    for (held, outcome) in known {
        judge.seen.extend(held.map(|held| (held, outcome)));
    }
    let Writing {
        before,
        command,
        writes,
        ..
    } = writing;
    let mut work = |card: &mut Box<dyn Tearable>| drop(card.transmit(command, &mut Vec::new()));
    let mut look = |mut after: After<'_, Box<dyn Tearable>>| -> ControlFlow<()> {
        let outcome = judge.outcome(&mut after);
        sweep_of.count(after.cuts, &outcome);
        ControlFlow::Continue(())
    };
    let _ = sweep(before, *writes, depth, &mut work, &mut look);
    if spends_a_try_first(&sweep_of, profile) == Some(false) {
        sweep_of.out_of_step.push(
            "[12] no cut shows a try spent: the counter does not go down before the comparison \
             次数未先减后比"
                .to_owned(),
        );
    }
    Ok(sweep_of)
}

/// Whether a try was spent at some cut of a command that presents the right secret;
/// `None` for any other command, and for a key without a limit.
///
/// Source: conformance notes, 7.2, invariant 12.
fn spends_a_try_first(sweep: &Sweep, profile: &Profile) -> Option<bool> {
    let command = Command::parse(&sweep.command).ok()?;
    let accepted = sweep.response.ends_with(&[0x90, 0x00]);
    let keys = profile
        .directories
        .iter()
        .flat_map(|directory| &directory.keys);
    let limited = match command.ins {
        // With P2 '80' and '88' it is the bank application's.
        0x20 => {
            let known = command.p1 == 1 || matches!(command.p2, 0x00 | 0x80 | 0x88);
            known && !command.data.is_empty()
        }
        // A card without PIN takes the first one without a comparison.
        0x5E => command.class.base() == 0x80 && command.data.first() != Some(&0xFF),
        // In class '84' it opens a secure channel, and no counter is spent; of 10 bytes it
        // is the bank's answer to a cryptogram.
        0x82 if command.class.base() == 0x00 && command.data.len() != 10 => keys
            .filter(|key| sight::takes_authentication(key) && key.kid == command.p2)
            .all(|key| key.tries > 0),
        _ => false,
    };
    (accepted && limited).then(|| sweep.total().tries > 0)
}

/// Sweeps commands, on as many threads as the machine has cores; `tell` is told after
/// each. The sweeps stand in the order of the commands.
///
/// # Errors
/// The first command that the card does not answer without any cut.
pub fn sweep_all(
    writings: Vec<Writing>,
    depth: u8,
    subject: &dyn Subject,
    profile: &Profile,
    tell: &(dyn Fn() + Sync),
) -> Result<Report, (String, Lost)> {
    let count = writings.len();
    let slots: Vec<_> = writings
        .into_iter()
        .map(|writing| Mutex::new((writing, None)))
        .collect();
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(slot) = slots.get(next.fetch_add(1, Ordering::Relaxed)) {
            let mut slot = slot.lock().unwrap_or_else(PoisonError::into_inner);
            let swept = sweep_one(&mut slot.0, depth, subject, profile);
            slot.1 = Some(swept);
            tell();
        }
    };
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 1..threads.min(count) {
            scope.spawn(work);
        }
        work();
    });
    let mut report = Report::default();
    for slot in slots {
        let (writing, swept) = slot.into_inner().unwrap_or_else(PoisonError::into_inner);
        match swept {
            Some(Ok(swept)) => report.sweeps.push(swept),
            Some(Err(lost)) => return Err((writing.met, lost)),
            None => {}
        }
    }
    Ok(report)
}

/// Which write a cut falls on, from 1.
fn write_number(cut: &Cut) -> u64 {
    cut.after_writes.saturating_add(1)
}
