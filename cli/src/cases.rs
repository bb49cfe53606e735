//! `cardlab cases`: list, explain and format the cases of the suite.

use crate::card;
use crate::subject::{self, Way};
use anyhow::Context as _;
use cardlab_conformance::cards::Cards;
use cardlab_conformance::case::{Case, Safety};
use cardlab_conformance::explain::explain;
use cardlab_conformance::plan;
use cardlab_conformance::report::counted;
use cardlab_conformance::requirement;
use cardlab_conformance::runner;
use cardlab_conformance::status::{self, Reached};
use cardlab_conformance::verdict::Exit;
use cardlab_desk::profile::Profile;
use clap::{Args, Subcommand};
use std::io::{self, Write};
use std::path::PathBuf;
use std::process::ExitCode;

/// The seed of the cards that the table of status words is made with.
const SEED: u64 = 1;

/// What can be done with cases.
#[derive(Subcommand)]
pub(crate) enum Cases {
    /// List ids, with what each shows 列出用例
    List(List),
    /// Explain a case: what it shows, why, and each of its steps 解释用例
    Explain(Explain),
    /// Write case files in their canonical form 规范化用例文件
    Fmt(Fmt),
    /// Print which case brings which status word of which command, as Markdown 状态字覆盖表
    Status,
    /// Print which scenario walks which requirement, as Markdown 需求覆盖表
    Requirements,
}

/// List ids, with what each shows.
#[derive(Args)]
pub(crate) struct List {
    /// The profile whose generated cases are listed too
    #[arg(long, value_name = "NAME|PATH", default_value = card::PROFILE)]
    profile: String,
    /// Only ids that fit; may be repeated
    #[arg(long, value_name = "GLOB")]
    filter: Vec<String>,
    /// The sentences in Chinese
    #[arg(long)]
    zh: bool,
}

/// Explain a case.
#[derive(Args)]
pub(crate) struct Explain {
    /// The profile whose generated cases are known too
    #[arg(long, value_name = "NAME|PATH", default_value = card::PROFILE)]
    profile: String,
    /// The case
    #[arg(value_name = "ID")]
    id: String,
}

/// Write case files in their canonical form.
#[derive(Args)]
pub(crate) struct Fmt {
    /// Change nothing; fail where a file is not in its canonical form
    #[arg(long)]
    check: bool,
    /// The folder that ids are relative to
    #[arg(default_value = "conformance/cases", value_name = "FOLDER")]
    folder: PathBuf,
}

impl Cases {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        match self {
            Cases::List(verb) => verb.run(),
            Cases::Explain(verb) => verb.run(),
            Cases::Fmt(verb) => verb.run(),
            Cases::Status => status(),
            Cases::Requirements => requirements(),
        }
    }
}

impl List {
    fn run(self) -> anyhow::Result<ExitCode> {
        let profile = card::load(&self.profile)?;
        let cases = fitting(&profile, "--filter", &self.filter)?;
        let mut out = io::stdout().lock();
        for case in &cases {
            let says = if self.zh {
                &case.says.zh
            } else {
                &case.says.en
            };
            writeln!(out, "{:48} {says}", case.id)?;
        }
        writeln!(out, "{} 用例", counted(cases.len(), "case"))?;
        Ok(ExitCode::SUCCESS)
    }
}

impl Explain {
    fn run(self) -> anyhow::Result<ExitCode> {
        let profile = card::load(&self.profile)?;
        let cases = plan::for_profile(&profile)?;
        let case = cases
            .iter()
            .find(|case| case.id == self.id)
            .with_context(|| {
                let near = near(&self.id, cases.iter().map(|case| case.id.as_str()));
                match near.is_empty() {
                    true => format!(
                        "no case {:?} for {}; `cardlab cases list` lists them",
                        self.id, profile.id
                    ),
                    false => format!("no case {:?}; did you mean {}?", self.id, near.join(", ")),
                }
            })?;
        let mut out = io::stdout().lock();
        write!(out, "{}", explain(case))?;
        if let Some(need) = case.unmet(&profile) {
            writeln!(out, "not applicable to {}: needs {need}", profile.id)?;
        }
        Ok(ExitCode::SUCCESS)
    }
}

/// The cases for a card of this profile whose ids fit, at least one; `option` is where the
/// patterns come from.
pub(crate) fn fitting(
    profile: &Profile,
    option: &str,
    patterns: &[String],
) -> anyhow::Result<Vec<Case>> {
    let cases = plan::filter(plan::for_profile(profile)?, patterns)
        .map_err(|error| anyhow::anyhow!("{option}: {error}"))?;
    anyhow::ensure!(
        !cases.is_empty(),
        "{option}: no case fits {} 无匹配用例; `cardlab cases list` lists them",
        patterns.join(" ")
    );
    Ok(cases)
}

/// The ids that could be meant: those that hold this one, or else begin as it does.
fn near<'c>(id: &str, ids: impl Iterator<Item = &'c str> + Clone) -> Vec<&'c str> {
    let holding: Vec<_> = ids.clone().filter(|known| known.contains(id)).collect();
    if !holding.is_empty() {
        return holding.into_iter().take(5).collect();
    }
    let common = |known: &str| {
        let pairs = known.bytes().zip(id.bytes());
        pairs.take_while(|(a, b)| a == b).count()
    };
    let longest = ids.clone().map(common).max().unwrap_or(0);
    // A shared letter or two is chance.
    ids.filter(|known| longest >= 4 && common(known) == longest)
        .take(5)
        .collect()
}

impl Fmt {
    fn run(self) -> anyhow::Result<ExitCode> {
        let mut out = io::stdout().lock();
        let changed = plan::format(&self.folder, self.check)?;
        for path in &changed {
            let verb = if self.check {
                "not in its canonical form"
            } else {
                "formatted"
            };
            writeln!(out, "{}: {verb}", path.display())?;
        }
        let failed = self.check && !changed.is_empty();
        Ok(if failed {
            ExitCode::from(Exit::Unexpected as u8)
        } else {
            ExitCode::SUCCESS
        })
    }
}

/// Prints which scenario walks which requirement.
fn requirements() -> anyhow::Result<ExitCode> {
    let cases = plan::shipped()?;
    io::stdout()
        .lock()
        .write_all(requirement::to_markdown(&cases).as_bytes())?;
    let faults = requirement::faults(&cases);
    for fault in &faults {
        eprintln!("{fault}");
    }
    Ok(if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(Exit::Unexpected as u8)
    })
}

/// Runs the suite on each profile of the table and prints what it reached.
fn status() -> anyhow::Result<ExitCode> {
    let mut reached = Reached::default();
    for profile in status::profiles()? {
        let subject = subject::issue(&profile, SEED, Way::InProcess, None)?;
        let cards = Cards::of(&*subject, &profile);
        for case in plan::for_profile(&profile)? {
            let judged = runner::judge(&case, &cards, Safety::Irreversible);
            reached.note(&profile, &judged);
        }
    }
    io::stdout()
        .lock()
        .write_all(reached.to_markdown().as_bytes())?;
    for missing in reached.missing() {
        eprintln!("{missing}: no case brings it 无用例覆盖");
    }
    Ok(if reached.missing().is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::from(Exit::Unexpected as u8)
    })
}

#[cfg(test)]
mod tests {
    use super::near;

    #[test]
    fn a_case_that_there_is_not_brings_those_that_could_be_meant() {
        let ids = ["verify/a-wrong-pin", "verify/too-long", "select/by-name"];
        assert_eq!(near("wrong", ids.into_iter()), ["verify/a-wrong-pin"]);
        let longer = "verify/a-wrong-pin-costs-one-try";
        assert_eq!(near(longer, ids.into_iter()), ["verify/a-wrong-pin"]);
        assert!(near("nope/x", ids.into_iter()).is_empty());
    }
}
