//! What a sweep came to, as a table for people and as JSON for programs.

use super::find::Writing;
use super::law::{Difference, Outcome};
use super::{TOLD_MAX, write_number};
use cardlab::memory::{Cut, Ending};
use serde_json::{Value, json};
use std::fmt::{self, Display};

/// How often each outcome was seen.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Cuts in the command.
    pub cuts: u64,
    /// Cuts in a recovery.
    pub recoveries: u64,
    /// All as before.
    pub old: u64,
    /// All as after.
    pub new: u64,
    /// As before, but a try spent or given back.
    pub tries: u64,
    /// Anything else.
    pub broken: u64,
}

impl Tally {
    fn add(&mut self, other: &Tally) {
        self.cuts += other.cuts;
        self.recoveries += other.recoveries;
        self.old += other.old;
        self.new += other.new;
        self.tries += other.tries;
        self.broken += other.broken;
    }

    /// Which outcomes there were.
    const fn kinds(&self) -> [bool; 4] {
        [self.old > 0, self.new > 0, self.tries > 0, self.broken > 0]
    }
}

/// A cut after which a card shows neither old nor new.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Breakage {
    /// The cut in the command, then those in the recoveries.
    pub cuts: Vec<Cut>,
    /// What differs.
    pub differences: Vec<Difference>,
}

/// The sweep of one command.
#[derive(Clone, Debug)]
pub struct Sweep {
    /// Where the command was met.
    pub met: String,
    /// The command APDU.
    pub command: Vec<u8>,
    /// What it answers where it is not cut.
    pub response: Vec<u8>,
    /// How many recoveries one after the other were cut.
    pub depth: u8,
    /// What was seen, for each write in turn.
    pub rows: Vec<Tally>,
    /// The first breakages; [`total`](Sweep::total) counts all.
    pub breakages: Vec<Breakage>,
    /// What is wrong without a cut, or over all of them: an invariant, in words.
    pub out_of_step: Vec<String>,
}

impl Sweep {
    pub(super) fn of(writing: &Writing, depth: u8) -> Sweep {
        let writes = usize::try_from(writing.writes).unwrap_or(usize::MAX);
        Sweep {
            met: writing.met.clone(),
            command: writing.command.clone(),
            response: writing.response.clone(),
            depth,
            rows: vec![Tally::default(); writes],
            breakages: Vec::new(),
            out_of_step: Vec::new(),
        }
    }

    pub(super) fn count(&mut self, cuts: &[Cut], outcome: &Outcome) {
        let Some(first) = cuts.first() else { return };
        let index = usize::try_from(first.after_writes).unwrap_or(usize::MAX);
        let Some(row) = self.rows.get_mut(index) else {
            return;
        };
        match cuts.len() {
            1 => row.cuts += 1,
            _ => row.recoveries += 1,
        }
        match outcome {
            Outcome::Old => row.old += 1,
            Outcome::New => row.new += 1,
            Outcome::Try => row.tries += 1,
            Outcome::Broken(differences) => {
                row.broken += 1;
                if self.breakages.len() < TOLD_MAX {
                    self.breakages.push(Breakage {
                        cuts: cuts.to_vec(),
                        differences: differences.clone(),
                    });
                }
            }
        }
    }

    /// All writes together.
    #[must_use]
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.rows.iter().for_each(|row| total.add(row));
        total
    }

    /// Whether nothing is wrong.
    #[must_use]
    pub fn is_sound(&self) -> bool {
        self.total().broken == 0 && self.out_of_step.is_empty()
    }

    /// The rows, those beside each other with the same outcomes put together: first and
    /// last write, from 1, and the sum.
    #[must_use]
    pub fn folded(&self) -> Vec<(u64, u64, Tally)> {
        let mut folded: Vec<(u64, u64, Tally)> = Vec::new();
        for (number, row) in (1..).zip(&self.rows) {
            match folded.last_mut() {
                Some((_, last, sum)) if sum.kinds() == row.kinds() => {
                    *last = number;
                    sum.add(row);
                }
                _ => folded.push((number, number, *row)),
            }
        }
        folded
    }

    fn to_json(&self) -> Value {
        let hex = |bytes: &Option<Vec<u8>>| bytes.as_ref().map(hex::encode_upper);
        let rows = self.folded().into_iter().map(|(first, last, tally)| {
            json!({
                "first": first, "last": last,
                "cuts": tally.cuts, "cuts_in_recovery": tally.recoveries,
                "old": tally.old, "new": tally.new, "try": tally.tries,
                "broken": tally.broken,
            })
        });
        let breakages = self.breakages.iter().map(|breakage| {
            let cuts = breakage
                .cuts
                .iter()
                .map(|cut| json!({ "write": write_number(cut), "ending": ending(cut.ending).0 }));
            let differences = breakage.differences.iter().map(|difference| {
                json!({
                    "what": difference.name, "invariant": difference.invariant,
                    "old": hex(&difference.old), "new": hex(&difference.new),
                    "found": hex(&difference.found),
                })
            });
            json!({
                "cuts": cuts.collect::<Vec<_>>(),
                "differences": differences.collect::<Vec<_>>(),
            })
        });
        json!({
            "met": self.met,
            "command": hex::encode_upper(&self.command),
            "response": hex::encode_upper(&self.response),
            "writes": self.rows.len(),
            "rows": rows.collect::<Vec<_>>(),
            "breakages": breakages.collect::<Vec<_>>(),
            "out_of_step": self.out_of_step,
        })
    }
}

/// What an ending is called.
const fn ending(ending: Ending) -> (&'static str, &'static str) {
    match ending {
        Ending::Clean => ("not begun", "未写"),
        Ending::Prefix => ("first half", "前半"),
        Ending::Suffix => ("last half", "后半"),
        Ending::MixedByte => ("within a byte", "半字节"),
        Ending::Comb => ("every second byte", "隔字节"),
        Ending::Noise => ("noise", "乱码"),
    }
}

/// Where the power was cut, in words that follow others; nothing for no cut.
#[must_use]
pub fn place(cuts: &[Cut]) -> String {
    let mut text = String::new();
    for (index, cut) in cuts.iter().enumerate() {
        let (en, zh) = ending(cut.ending);
        text += match index {
            0 => ", power cut at write 断于写入",
            _ => ", in recovery at write 恢复中断于写入",
        };
        text += &format!(" {} ({en} {zh})", write_number(cut));
    }
    text
}

impl Display for Breakage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(place(&self.cuts).trim_start_matches(", "))?;
        for difference in &self.differences {
            write!(f, "\n      {difference}")?;
        }
        Ok(())
    }
}

impl Display for Sweep {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(
            f,
            "  {:>13}  {:>7}  {:>11}  {:>8}  {:>8}  {:>6}  {:>6}",
            "cut at write", "cuts", "in recovery", "old", "new", "try", "broken"
        )?;
        let mut row = |place: &str, tally: &Tally| {
            writeln!(
                f,
                "  {place:>13}  {:>7}  {:>11}  {:>8}  {:>8}  {:>6}  {:>6}",
                tally.cuts, tally.recoveries, tally.old, tally.new, tally.tries, tally.broken
            )
        };
        for (first, last, tally) in self.folded() {
            if first == last {
                row(&first.to_string(), &tally)?;
            } else {
                row(&format!("{first} to {last}"), &tally)?;
            }
        }
        let uncut = Tally {
            new: 1,
            ..Tally::default()
        };
        row("not cut", &uncut)?;
        for text in &self.out_of_step {
            writeln!(f, "    broken 不符: {text}")?;
        }
        for breakage in &self.breakages {
            writeln!(f, "    broken 不符: {breakage}")?;
        }
        let more = self
            .total()
            .broken
            .saturating_sub(self.breakages.len() as u64);
        if more > 0 {
            writeln!(f, "    and {more} more 另有 {more} 处")?;
        }
        Ok(())
    }
}

/// The sweeps of one call.
#[derive(Clone, Debug, Default)]
pub struct Report {
    /// One for each command.
    pub sweeps: Vec<Sweep>,
}

impl Report {
    /// All sweeps together.
    #[must_use]
    pub fn total(&self) -> Tally {
        let mut total = Tally::default();
        self.sweeps
            .iter()
            .for_each(|sweep| total.add(&sweep.total()));
        total
    }

    /// How many writes were swept.
    #[must_use]
    pub fn writes(&self) -> usize {
        self.sweeps.iter().map(|sweep| sweep.rows.len()).sum()
    }

    /// The commands with which something is wrong.
    pub fn unsound(&self) -> impl Iterator<Item = &Sweep> {
        self.sweeps.iter().filter(|sweep| !sweep.is_sound())
    }

    /// The whole of it for programs; a text, ended by a line feed.
    #[must_use]
    pub fn to_json(&self, profile: &str, subject: &str, seed: u64) -> String {
        let total = self.total();
        let report = json!({
            "format": 1,
            "run": {
                "tool": concat!("cardlab ", env!("CARGO_PKG_VERSION")),
                "profile": profile, "subject": subject, "seed": seed,
            },
            "summary": {
                "commands": self.sweeps.len(), "writes": self.writes(),
                "cuts": total.cuts, "cuts_in_recovery": total.recoveries,
                "old": total.old, "new": total.new, "try": total.tries,
                "broken": total.broken, "unsound": self.unsound().count(),
            },
            "sweeps": self.sweeps.iter().map(Sweep::to_json).collect::<Vec<_>>(),
        });
        let mut text = serde_json::to_string_pretty(&report).unwrap_or_default();
        text.push('\n');
        text
    }
}
