//! `cardlab tear`: the power cut at every write of a command, and of its recovery.

use crate::subject::{self, Way};
use crate::{Stop, card, cases, explain};
use anyhow::Context as _;
use cardlab::os::Card;
use cardlab_conformance::cards::Cards;
use cardlab_conformance::case::Action;
use cardlab_conformance::report::{counted, write_whole};
use cardlab_conformance::session::Trouble;
use cardlab_conformance::subject::Subject;
use cardlab_conformance::tear::{self, Noted, Report, Writing};
use cardlab_conformance::verdict::Exit;
use cardlab_desk::issue;
use cardlab_desk::profile::Profile;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Instant;

/// Cut the power at every write of a command, and of the recovery after each cut.
#[derive(Args)]
pub(crate) struct Tear {
    /// A shipped profile by name, or a profile file
    #[arg(long, value_name = "NAME|PATH", default_value = card::PROFILE)]
    profile: String,
    /// How the card is reached
    #[arg(long, value_name = "WAY", value_enum, default_value_t = Way::InProcess)]
    subject: Way,
    /// What the card's random numbers and its test keys start from
    #[arg(long, value_name = "N", default_value_t = 1)]
    seed: u64,
    /// Done before the command, not cut: as --command; may be repeated
    #[arg(long, value_name = "HEX|ACTION", requires = "command")]
    before: Vec<String>,
    /// A command APDU in hex, or an action of a case in JSON, such as '{"credit":{}}';
    /// may be repeated
    #[arg(long, value_name = "HEX|ACTION", conflicts_with_all = ["case", "all"])]
    command: Vec<String>,
    /// All commands that write in the cases whose id fits; may be repeated
    #[arg(long, value_name = "GLOB", conflicts_with = "all")]
    case: Vec<String>,
    /// One command of each kind that writes in any case, the whole issuing, and sessions
    /// with the issuer's domain; also where nothing is named
    #[arg(long)]
    all: bool,
    /// How many recoveries one after the other are cut too, 0 to 3
    #[arg(long, value_name = "N", default_value_t = 1,
          value_parser = clap::value_parser!(u8).range(0..=3))]
    depth: u8,
    /// Write a report as well: json=PATH
    #[arg(long, value_name = "json=PATH", value_parser = report_path)]
    report: Option<PathBuf>,
    /// The table of each command with --all too
    #[arg(short, long)]
    verbose: bool,
}

fn report_path(text: &str) -> Result<PathBuf, String> {
    match text.split_once('=') {
        Some(("json", path)) if !path.is_empty() => Ok(PathBuf::from(path)),
        _ => Err("expected json=PATH, such as json=tear.json".to_owned()),
    }
}

impl Tear {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let began = Instant::now();
        let profile = card::load(&self.profile)?;
        let subject = subject::issue(&profile, self.seed, self.subject, None)?;
        let writings = self.writings(&*subject, &profile)?;
        if writings.is_empty() {
            anyhow::bail!("nothing that is named here writes");
        }
        let bar = ProgressBar::new(writings.len() as u64);
        if let Ok(style) = ProgressStyle::with_template("{bar:40} {pos}/{len} {eta}") {
            bar.set_style(style);
        }
        let tell = || bar.inc(1);
        let swept = tear::sweep_all(writings, self.depth, &*subject, &profile, &tell);
        bar.finish_and_clear();
        let report = swept.map_err(|(met, lost)| {
            anyhow::anyhow!("{met}: {lost}").context(Stop(
                Exit::ToolError,
                "a command is not answered without any cut".to_owned(),
            ))
        })?;
        self.print(&report, began)?;
        if let Some(path) = &self.report {
            let text = report.to_json(&profile.id, subject.name(), self.seed);
            write_whole(path, text.as_bytes())
                .with_context(|| format!("{}: cannot be written", path.display()))?;
        }
        let exit = match report.unsound().next() {
            None => Exit::AsExpected,
            Some(_) => Exit::Unexpected,
        };
        Ok(ExitCode::from(exit as u8))
    }

    fn writings(&self, subject: &dyn Subject, profile: &Profile) -> anyhow::Result<Vec<Writing>> {
        if self.subject == Way::Vpcd {
            anyhow::bail!("--subject vpcd: power cannot be cut at a write there");
        }
        if !self.command.is_empty() {
            return self.of_call(subject, profile);
        }
        let cases = cases::fitting(profile, "--case", &self.case)?;
        let mut found = Vec::new();
        let cards = Cards::of(subject, profile);
        for case in &cases {
            found.extend(tear::of_case(case, &cards).map_err(told)?);
        }
        if self.case.is_empty() {
            let mut kinds = BTreeMap::new();
            for writing in found {
                kinds.entry(writing.kind()).or_insert(writing);
            }
            found = kinds.into_values().collect();
            found.extend(issuing(profile, self.seed)?);
            let made = Card::manufacture(&cardlab_applets::ROM, self.seed);
            found.extend(tear::of_sessions(Box::new(made))?);
        }
        Ok(found)
    }

    /// The commands of the call.
    fn of_call(&self, subject: &dyn Subject, profile: &Profile) -> anyhow::Result<Vec<Writing>> {
        let before = self.before.iter().map(|text| ("", text));
        let commands = self.command.iter().map(|text| ("command", text));
        let mut actions = Vec::new();
        for (name, text) in before.chain(commands) {
            actions.push((name.to_owned(), action(text)?));
        }
        let actions = actions
            .iter()
            .map(|(name, action)| (name.clone(), action, None));
        let mut found =
            tear::of_actions(actions, subject, profile).map_err(|(_, trouble)| told(trouble))?;
        found.retain(|writing| !writing.met.is_empty());
        Ok(found)
    }

    fn print(&self, report: &Report, began: Instant) -> io::Result<()> {
        let mut out = io::stdout().lock();
        let by_name = !self.command.is_empty() || !self.case.is_empty();
        for sweep in &report.sweeps {
            if by_name || self.verbose || !sweep.is_sound() {
                writeln!(out, "{}  {}", sweep.met, hex::encode_upper(&sweep.command))?;
                writeln!(out, "  {}", explain::command(&sweep.command))?;
                writeln!(out, "  {}", explain::response(&sweep.response))?;
                writeln!(out, "{sweep}")?;
            }
        }
        let total = report.total();
        writeln!(
            out,
            "{} 条命令, {} writes swept 次写入, {} cuts 次断电, {} of them in recovery \
             恢复中\nold 旧 {}, new 新 {}, a try 次数 {}, broken 不符 {} ({:.1} s)",
            counted(report.sweeps.len(), "command"),
            report.writes(),
            total.cuts + total.recoveries,
            total.recoveries,
            total.old,
            total.new,
            total.tries,
            total.broken,
            began.elapsed().as_secs_f64(),
        )?;
        let unsound = report.unsound().count();
        if unsound > 0 {
            writeln!(
                out,
                "not sound 不符: {} 条命令",
                counted(unsound, "command")
            )?;
        }
        Ok(())
    }
}

/// An action of a case in JSON, or a command in hex.
fn action(text: &str) -> anyhow::Result<Action> {
    if text.trim_start().starts_with('{') {
        return serde_json::from_str(text)
            .with_context(|| format!("{text} is no action of a case; see INTERPRETING.md"));
    }
    let digits: String = text.chars().filter(|c| !c.is_whitespace()).collect();
    if digits.is_empty() || hex::decode(&digits).is_err() {
        anyhow::bail!("{text:?} is no command: expected hex digits in pairs, or an action in JSON");
    }
    Ok(Action::Send(digits))
}

/// Every command of the issuing that writes.
fn issuing(profile: &Profile, seed: u64) -> anyhow::Result<Vec<Writing>> {
    let card = Card::manufacture(&cardlab_applets::ROM, seed);
    let mut card = Noted::new(Box::new(card));
    issue::issue(&mut card, profile, seed).with_context(|| card::cannot_issue(profile))?;
    let mut found = card.take();
    for (number, writing) in (1..).zip(&mut found) {
        writing.met = format!("issuing 发卡, writing command {number}");
    }
    Ok(found)
}

fn told(trouble: Trouble) -> anyhow::Error {
    match trouble {
        Trouble::Lost(lost) => anyhow::Error::new(lost),
        Trouble::Case(text) => anyhow::Error::msg(text),
        Trouble::Unavailable(what) => anyhow::anyhow!("there is no {what}"),
    }
}

#[cfg(test)]
mod tests {
    use super::{Action, action};

    #[test]
    fn a_command_is_hex_or_an_action_of_a_case() {
        assert_eq!(
            action("00 84 00 00 08").unwrap(),
            Action::Send("0084000008".to_owned())
        );
        let select = action(r#"{"select":"DF04"}"#).unwrap();
        assert_eq!(select, Action::Select("DF04".to_owned()));
        for bad in ["", "0", "zz", "{", r#"{"selects":"DF04"}"#] {
            assert!(action(bad).is_err(), "{bad}");
        }
    }
}
