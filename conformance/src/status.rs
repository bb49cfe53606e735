//! Every status word that the specification lists, and the case that brings it.
//!
//! A word counts as reached where a step expected it and the card gave it: what was
//! judged, not what a case says of itself. `STATUS.md` is this table as the shipped
//! profiles reach it; `cardlab cases status` prints it.
//!
//! Source: social security card specification, part 5: the commands' own lists, for
//! those of class B0 too, and table 5; part 5, 6.4 (LD/T 32.5-2015, by the same names).
//! Of the bank application: JR/T 0025.5, by public material on cards that follow it.

use crate::case::{Case, Need};
use crate::event::{Answered, Judged};
use cardlab::apdu::Sw;
use cardlab_desk::profile::{Profile, Report};
use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;

/// A command and what the specification lists for it.
#[derive(Debug)]
pub struct Listed {
    /// Its name in the specification.
    pub name: &'static str,
    /// INS.
    pub ins: u8,
    /// P1, where two commands share an INS.
    pub p1: Option<u8>,
    /// The status words, '9000' first; `X` is any digit.
    pub words: &'static [&'static str],
    /// Whose command it is.
    pub of: Of,
}

/// Which application a command belongs to.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The social security application.
    Social,
    /// A bank application.
    Bank,
}

impl Of {
    /// Which one a case is about; `None` for another one.
    fn in_case(case: &Case) -> Option<Of> {
        let of_bank = case.needs.iter().any(Need::is_bank);
        match case.id.split_once('/') {
            // The certificate application's commands share instructions and are others.
            Some(("certificate", _)) => None,
            // A scenario goes from one application to another.
            Some(("flow", _)) if of_bank => None,
            _ if of_bank => Some(Of::Bank),
            _ => Some(Of::Social),
        }
    }
}

/// A status word that a command of this card cannot give, and why.
#[derive(Debug)]
pub struct Never {
    /// The command, by its name.
    pub command: &'static str,
    /// The word.
    pub word: &'static str,
    /// Why, in one sentence.
    pub why: &'static str,
}

const fn listed(name: &'static str, ins: u8, words: &'static [&'static str]) -> Listed {
    Listed {
        name,
        ins,
        p1: None,
        words,
        of: Of::Social,
    }
}

const fn of_bank(name: &'static str, ins: u8, words: &'static [&'static str]) -> Listed {
    Listed {
        name,
        ins,
        p1: None,
        words,
        of: Of::Bank,
    }
}

const fn with_p1(name: &'static str, ins: u8, p1: u8, words: &'static [&'static str]) -> Listed {
    Listed {
        name,
        ins,
        p1: Some(p1),
        words,
        of: Of::Social,
    }
}

/// What every command may answer besides; CARD BLOCK not '9303'.
const FOR_ALL: [&str; 4] = ["6A81", "6A86", "6E00", "9303"];
/// The same in the bank application.
const FOR_ALL_OF_BANK: [&str; 1] = ["6E00"];

/// The commands of the specification, in its order.
pub const LISTED: &[Listed] = &[
    listed(
        "APPLICATION BLOCK",
        0x1E,
        &[
            "9000", "6581", "6700", "6982", "6984", "6985", "6988", "6A88",
        ],
    ),
    listed(
        CARD_BLOCK,
        0x16,
        &[
            "9000", "6581", "6700", "6982", "6984", "6985", "6988", "6A88",
        ],
    ),
    listed(
        "CHANGE PIN",
        0x5E,
        &["9000", "63CX", "63C0", "6581", "6700", "6983", "6A80"],
    ),
    listed(
        "EXTERNAL AUTHENTICATION",
        0x82,
        &[
            "9000", "63CX", "63C0", "6581", "6700", "6983", "6984", "6A88",
        ],
    ),
    listed("GET CHALLENGE", 0x84, &["9000", "6700"]),
    listed(
        "GET RESPONSE",
        0xC0,
        &["9000", "61XX", "6700", "6CXX", "6F00"],
    ),
    listed("INTERNAL AUTHENTICATION", 0x88, &["9000", "6700", "6A88"]),
    listed(
        "PIN CHANGE/UNBLOCK",
        0x24,
        &[
            "9000", "6581", "6700", "6982", "6984", "6985", "6988", "6A80", "6A88",
        ],
    ),
    listed(
        "READ BINARY",
        0xB0,
        &["9000", "6981", "6982", "6986", "6A82", "6B00", "6CXX"],
    ),
    listed(
        "READ RECORD",
        0xB2,
        &["9000", "6981", "6982", "6986", "6A82", "6A83", "6CXX"],
    ),
    listed("SELECT", 0xA4, &["9000", "61XX", "6700", "6A82"]),
    listed(
        "UPDATE BINARY",
        0xD6,
        &[
            "9000", "6581", "6700", "6981", "6982", "6984", "6986", "6988", "6A82", "6B00",
        ],
    ),
    listed(
        "UPDATE RECORD",
        0xDC,
        &[
            "9000", "6581", "6700", "6981", "6982", "6984", "6986", "6988", "6A82", "6A83", "6A84",
            "6A85",
        ],
    ),
    listed(
        "VERIFY",
        0x20,
        &["9000", "63CX", "63C0", "6700", "6983", "6984", "6A88"],
    ),
    with_p1(
        "INITIALIZE FOR LOAD",
        0x28,
        0x00,
        &["9000", "6581", "6700", "6982", "6985", "9402", "9403"],
    ),
    listed(
        "CREDIT FOR LOAD",
        0x2A,
        &["9000", "6581", "6700", "6901", "6985", "9302"],
    ),
    with_p1(
        "INITIALIZE FOR PURCHASE",
        0x28,
        0x01,
        &[
            "9000", "6581", "6700", "6982", "6985", "9401", "9402", "9403",
        ],
    ),
    listed(
        "DEBIT FOR PURCHASE",
        0x2C,
        &["9000", "6581", "6700", "6901", "6985", "9302"],
    ),
    listed("GET BALANCE", 0x26, &["9000", "6700", "6982", "6985"]),
    listed(
        "GET TRANSACTION PROOF",
        0x2E,
        &["9000", "6700", "6985", "9406"],
    ),
    with_p1("UPDATE STARTING DAY", 0x56, 0x00, &["9000", "6982", "6985"]),
    with_p1("GET STARTING DAY", 0x56, 0x01, &["9000", "6982", "6985"]),
    of_bank(
        "SELECT (bank)",
        0xA4,
        &["9000", "6283", "6A81", "6A82", "6A86"],
    ),
    of_bank(
        "GET PROCESSING OPTIONS",
        0xA8,
        &["9000", "6581", "6700", "6985", "6A80", "6A81", "6A86"],
    ),
    of_bank(
        "READ RECORD (bank)",
        0xB2,
        &["9000", "6A81", "6A82", "6A83", "6A86"],
    ),
    of_bank("GET DATA", 0xCA, &["9000", "6A81", "6A88"]),
    of_bank(
        "INTERNAL AUTHENTICATE",
        0x88,
        &["9000", "6700", "6985", "6A81", "6A86"],
    ),
    of_bank("GET CHALLENGE (bank)", 0x84, &["9000", "6700", "6A86"]),
    of_bank(
        "VERIFY (bank)",
        0x20,
        &[
            "9000", "63CX", "63C0", "6581", "6700", "6983", "6984", "6985", "6A81", "6A86",
        ],
    ),
    of_bank(
        "GENERATE AC",
        0xAE,
        &["9000", "6581", "6700", "6985", "6A81", "6A86"],
    ),
    of_bank(
        "EXTERNAL AUTHENTICATE",
        0x82,
        &["9000", "6300", "6581", "6700", "6985", "6A81", "6A86"],
    ),
    of_bank(
        "APPLICATION BLOCK (bank)",
        0x1E,
        &["9000", "6581", "6700", "6985", "6988", "6A86"],
    ),
    of_bank(
        "APPLICATION UNBLOCK",
        0x18,
        &["9000", "6581", "6700", "6985", "6988", "6A86"],
    ),
    of_bank(
        "CARD BLOCK (bank)",
        0x16,
        &["9000", "6581", "6700", "6985", "6988", "6A86"],
    ),
    of_bank(
        "PIN CHANGE/UNBLOCK (bank)",
        0x24,
        &["9000", "6581", "6700", "6985", "6988", "6A80", "6A86"],
    ),
    of_bank(
        "PUT DATA",
        0xDA,
        &["9000", "6581", "6700", "6985", "6988", "6A80"],
    ),
    of_bank(
        "UPDATE RECORD (bank)",
        0xDC,
        &[
            "9000", "6581", "6700", "6985", "6988", "6A80", "6A83", "6A86",
        ],
    ),
];

const CARD_BLOCK: &str = "CARD BLOCK";

/// What is listed and cannot come.
pub const NEVER: &[Never] = &[Never {
    command: "APPLICATION BLOCK",
    word: "9303",
    why: "in a blocked application it answers '9000', which the command's own words ask for",
}];

/// Cards that are half personalised, for words that a whole one never gives.
const BARE: [(&str, &str); 2] = [
    ("bare-3des", include_str!("../profiles/bare/3des.json")),
    ("bare-sm4", include_str!("../profiles/bare/sm4.json")),
];

/// The profiles that the table is made with: the shipped ones, then two of cards that
/// are half personalised.
///
/// # Errors
/// What is wrong with a profile.
pub fn profiles() -> Result<Vec<Profile>, Report> {
    let shipped = Profile::shipped().into_iter().map(Profile::load);
    let bare = BARE.map(|(name, text)| Profile::parse(name, text));
    shipped.chain(bare).collect()
}

impl Listed {
    /// All its status words: its own, then those that every command may answer.
    pub fn all_words(&self) -> impl Iterator<Item = &'static str> + '_ {
        let permanent = |word: &&str| *word != "9303" || self.name != CARD_BLOCK;
        let for_all: &'static [&'static str] = match self.of {
            Of::Social => &FOR_ALL,
            // SELECT of another class is no SELECT.
            Of::Bank if self.ins == 0xA4 => &[],
            Of::Bank => &FOR_ALL_OF_BANK,
        };
        let for_all = for_all.iter().copied().filter(permanent);
        self.words.iter().copied().chain(for_all)
    }

    /// Whether a command with this header is this one, as far as it can be told.
    fn is(&self, [_, ins, p1, _]: [u8; 4]) -> bool {
        self.ins == ins && self.p1.is_none_or(|own| own == p1)
    }
}

/// Whether a status word is the one meant.
fn fits(word: &str, sw: Sw) -> bool {
    let digits = sw.to_string();
    word.len() == digits.len()
        && word
            .chars()
            .zip(digits.chars())
            .all(|(want, got)| want == 'X' || want == got)
}

/// A case's step, in one place of the table.
type Place = (String, usize);

/// What a run reaches, profile by profile.
#[derive(Debug, Default)]
pub struct Reached {
    /// For each command, by its place in the list, and each word the profiles that
    /// reach it, by the step that does.
    found: BTreeMap<(usize, &'static str), BTreeMap<Place, BTreeSet<String>>>,
    /// The algorithm of each profile: '01' triple DES, '03' SM4.
    algorithms: BTreeMap<String, u8>,
}

impl Reached {
    /// Takes what a case that passed reached on a card of this profile.
    pub fn note(&mut self, profile: &Profile, judged: &Judged<'_>) {
        let Some(of) = Of::in_case(judged.case).filter(|_| judged.verdict.is_good()) else {
            return;
        };
        self.algorithms
            .insert(profile.id.clone(), profile.algorithm.id());
        for Answered { step, header, sw } in &judged.answers {
            let commands = LISTED.iter().enumerate();
            let commands = commands.filter(|(_, own)| own.of == of && own.is(*header));
            for (index, command) in commands {
                for word in command.all_words().filter(|word| fits(word, *sw)) {
                    let places = self.found.entry((index, word)).or_default();
                    let profiles = places.entry((judged.case.id.clone(), *step)).or_default();
                    profiles.insert(profile.id.clone());
                }
            }
        }
    }

    /// What is listed and not reached with each algorithm, and is not known to be out of
    /// reach: `COMMAND WORD (algorithm)`.
    #[must_use]
    pub fn missing(&self) -> Vec<String> {
        let algorithms: BTreeSet<u8> = self.algorithms.values().copied().collect();
        let mut missing = Vec::new();
        for (index, command) in LISTED.iter().enumerate() {
            for word in command.all_words() {
                if never(command, word).is_some() {
                    continue;
                }
                let with = self.algorithms_of(index, word);
                if command.of == Of::Bank && !with.is_empty() {
                    // Its algorithm is its own, whatever the social side has.
                    continue;
                }
                for algorithm in algorithms.difference(&with) {
                    missing.push(format!("{} {word} ({algorithm:02X})", command.name));
                }
            }
        }
        missing
    }

    /// What is said to be out of reach and is reached all the same.
    #[must_use]
    pub fn stale(&self) -> Vec<String> {
        let reached = |never: &&Never| {
            let index = LISTED.iter().position(|own| own.name == never.command);
            index.is_none_or(|index| self.found.contains_key(&(index, never.word)))
        };
        let words = |never: &Never| format!("{} {}", never.command, never.word);
        NEVER.iter().filter(reached).map(words).collect()
    }

    fn algorithms_of(&self, index: usize, word: &'static str) -> BTreeSet<u8> {
        let places = self.found.get(&(index, word)).into_iter().flatten();
        let profiles = places.flat_map(|(_, profiles)| profiles);
        profiles
            .filter_map(|profile| self.algorithms.get(profile).copied())
            .collect()
    }

    /// The table, as `STATUS.md` has it.
    #[must_use]
    pub fn to_markdown(&self) -> String {
        let mut out = String::from(HEAD);
        for (index, command) in LISTED.iter().enumerate() {
            let p1 = command.p1.map(|p1| format!(", P1 {p1:02X}"));
            let p1 = p1.unwrap_or_default();
            let _ = write!(
                out,
                "\n## {}\n\nINS {:02X}{p1}\n\n| SW | step of case | profiles |\n|---|---|---|\n",
                command.name, command.ins
            );
            for word in command.all_words() {
                if let Some(never) = never(command, word) {
                    let _ = writeln!(out, "| {word} | never: {} | |", never.why);
                }
                for ((case, step), profiles) in self.best(index, word) {
                    let profiles: Vec<&str> = profiles.iter().map(String::as_str).collect();
                    let profiles = profiles.join(", ");
                    let _ = writeln!(out, "| {word} | {step} of `{case}` | {profiles} |");
                }
            }
        }
        out
    }

    /// As few steps as reach the word on every profile on which it is reached at all,
    /// those that reach it on most of them first.
    fn best(&self, index: usize, word: &'static str) -> Vec<(&Place, &BTreeSet<String>)> {
        let Some(places) = self.found.get(&(index, word)) else {
            return Vec::new();
        };
        let mut left: BTreeSet<&String> = places.values().flatten().collect();
        let mut best = Vec::new();
        while !left.is_empty() {
            let gain = |profiles: &BTreeSet<String>| {
                profiles.iter().filter(|id| left.contains(id)).count()
            };
            // The last of equals is taken, so they are offered in reverse.
            let most = places
                .iter()
                .rev()
                .max_by_key(|(_, profiles)| gain(profiles));
            let Some((place, profiles)) = most else { break };
            left.retain(|id| !profiles.contains(*id));
            best.push((place, profiles));
        }
        best
    }
}

fn never(command: &Listed, word: &str) -> Option<&'static Never> {
    NEVER
        .iter()
        .find(|never| never.command == command.name && never.word == word)
}

const HEAD: &str = "\
# Every command, every status word

Made by `cardlab cases status > conformance/STATUS.md`, which runs the suite on the shipped
profiles and looks at what was expected and came; a test sees that it is current and that
nothing is missing with either algorithm. The lists are the specification's
(`src/status.rs`); X is any digit.
";

#[cfg(test)]
mod tests {
    use super::{LISTED, NEVER, fits};
    use cardlab::apdu::Sw;

    #[test]
    fn a_word_fits_itself_and_a_counting_word_all_its_counts() {
        assert!(fits("6982", Sw(0x6982)) && !fits("6982", Sw(0x6983)));
        assert!(fits("63CX", Sw(0x63C5)) && !fits("63CX", Sw(0x6300)));
        assert!(fits("6CXX", Sw(0x6C00)) && !fits("6CXX", Sw(0x6D00)));
    }

    #[test]
    fn what_never_comes_is_listed() {
        for never in NEVER {
            let command = LISTED.iter().find(|own| own.name == never.command);
            let command = command.expect("a command of the list");
            assert!(command.all_words().any(|word| word == never.word));
        }
    }
}
