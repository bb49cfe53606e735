//! The console report: progress while it runs, failures explained, a summary.

use super::{Reporter, counted};
use crate::case::Case;
use crate::event::{Event, Judged, Known, Run, Summary};
use crate::expect::Expect;
use crate::explain::Worded;
use crate::monitor::Violation;
use crate::record::Exchange;
use crate::verdict::Verdict;
use indicatif::{ProgressBar, ProgressStyle};
use owo_colors::{OwoColorize, Stream, Style};
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;

/// How much is printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Detail {
    /// Failures and the summary.
    Failures,
    /// Each case on a line as well.
    Cases,
    /// Each exchange as well.
    Exchanges,
}

/// Prints to the standard output; progress goes to the standard error, where that is a
/// terminal.
pub struct Console {
    detail: Detail,
    card: String,
    progress: ProgressBar,
    run: Option<Run>,
    /// Passed and judged cases of each area.
    areas: BTreeMap<String, (usize, usize)>,
}

impl Console {
    /// A console report of a run whose profile is called up by this name or path, and its
    /// card by this one.
    #[must_use]
    pub fn new(detail: Detail, profile: &str, image: Option<&Path>) -> Console {
        let image = image.map(|image| format!(" --image {}", quoted(&image.to_string_lossy())));
        let image = image.unwrap_or_default();
        Console {
            detail,
            card: format!("--profile {}{image}", quoted(profile)),
            progress: ProgressBar::hidden(),
            run: None,
            areas: BTreeMap::new(),
        }
    }
}

/// A word as a shell takes it.
fn quoted(word: &str) -> String {
    let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_./".contains(&byte);
    if !word.is_empty() && word.bytes().all(is_plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

impl Reporter for Console {
    fn tell(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Started(run) => {
                self.run = Some((*run).clone());
                let cases = u64::try_from(run.case_count).unwrap_or(u64::MAX);
                let style = ProgressStyle::with_template("{bar:40} {pos}/{len} {msg}");
                self.progress = ProgressBar::new(cases)
                    .with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()));
                writeln!(
                    io::stdout(),
                    "{} for {}, {}, seed {}  用例 {} 个",
                    counted(run.case_count, "case"),
                    run.profile,
                    run.subject,
                    run.seed,
                    run.case_count,
                )
            }
            Event::Judged(judged) => {
                self.progress.inc(1);
                self.progress.set_message(judged.case.id.clone());
                if judged.verdict.is_decided() {
                    let area = judged.case.id.split('/').next().unwrap_or_default();
                    let counts = self.areas.entry(area.to_owned()).or_default();
                    counts.0 += usize::from(judged.verdict != Verdict::Fail);
                    counts.1 += 1;
                }
                if judged.is_expected() && self.detail == Detail::Failures {
                    return Ok(());
                }
                self.progress
                    .suspend(|| self.print(judged, &mut io::stdout().lock()))
            }
            Event::Ended(summary) => {
                self.progress.finish_and_clear();
                self.print_summary(summary, &mut io::stdout().lock())
            }
        }
    }
}

impl Console {
    fn print(&self, judged: &Judged<'_>, out: &mut dyn Write) -> io::Result<()> {
        let style = if judged.is_expected() {
            Style::new().green()
        } else {
            Style::new().red().bold()
        };
        let word = judged.verdict.word();
        writeln!(
            out,
            "{} {}",
            format!("{word:>14}").if_supports_color(Stream::Stdout, |word| word.style(style)),
            judged.case.id
        )?;
        match &judged.known {
            Some(Known::Failure(sentence)) => writeln!(out, "{:15}known: {sentence}", "")?,
            Some(Known::Expired(sentence)) => {
                writeln!(
                    out,
                    "{:15}its entry in known.json has expired: {sentence}",
                    ""
                )?;
            }
            Some(Known::UnexpectedPass) => {
                writeln!(out, "{:15}passed, but known.json says that it fails", "")?;
            }
            None => {}
        }
        if !judged.is_expected() || judged.verdict == Verdict::PassNote {
            self.explain(judged, out)?;
        }
        if self.detail == Detail::Exchanges {
            print_trace(&judged.trace, out)?;
        }
        Ok(())
    }

    fn explain(&self, judged: &Judged<'_>, out: &mut dyn Write) -> io::Result<()> {
        let Case {
            id, says, source, ..
        } = judged.case;
        writeln!(out, "{:15}{}\n{:15}{}", "", says.en, "", says.zh)?;
        writeln!(out, "{:15}source: {}", "", source.join("; "))?;
        if let Some(reason) = &judged.reason {
            if let Some((number, label)) = &reason.step {
                writeln!(out, "{:15}step {number}: {label}", "")?;
            }
            // Not every reason is a pattern.
            let expected = match Expect::parse(&reason.expected) {
                Ok(expect) => Worded(&expect).to_string(),
                Err(_) => reason.expected.clone(),
            };
            writeln!(out, "{:15}expected 预期  {expected}", "")?;
            writeln!(out, "{:15}got 实际       {}", "", reason.got)?;
        }
        for Violation {
            monitor,
            exchange,
            saw,
        } in &judged.violations
        {
            let id = monitor.id;
            writeln!(
                out,
                "{:15}monitor 监视 {id}, exchange {exchange}: {saw}",
                ""
            )?;
        }
        if self.detail != Detail::Exchanges {
            print_trace(&judged.trace, out)?;
        }
        if let Some(run) = &self.run {
            writeln!(
                out,
                "{:15}repeat: cardlab test {} --subject {} --seed {} --filter '{id}' -vv",
                "", self.card, run.subject, run.seed
            )?;
        }
        Ok(())
    }

    fn print_summary(&self, summary: &Summary, out: &mut dyn Write) -> io::Result<()> {
        for (area, (good, all)) in &self.areas {
            writeln!(out, "  {area:<26} {good:>4} of {all}")?;
        }
        for verdict in Verdict::ALL {
            let count = summary.count(verdict);
            if count > 0 {
                writeln!(out, "  {verdict:<26} {count:>4}  {}", verdict.word_zh())?;
            }
        }
        if summary.known > 0 {
            writeln!(
                out,
                "  of them known              {:>4}  已知",
                summary.known
            )?;
        }
        if summary.cuts > 0 {
            writeln!(
                out,
                "  power cuts                 {:>4}  断电次数",
                summary.cuts
            )?;
        }
        let ms = summary.took.as_secs_f64() * 1000.0;
        if summary.decided() == 0 {
            return writeln!(out, "nothing was judged in {ms:.0} ms  没有判定任何用例");
        }
        let (words, style) = match summary.unexpected {
            0 => (
                "all as expected  全部符合预期".to_owned(),
                Style::new().green().bold(),
            ),
            n => (
                format!("{n} not as expected  {n} 个不符合预期"),
                Style::new().red().bold(),
            ),
        };
        writeln!(
            out,
            "{} of {} judged, {} ({ms:.0} ms)",
            summary.decided(),
            counted(summary.total(), "case"),
            words.if_supports_color(Stream::Stdout, |words| words.style(style)),
        )
    }
}

fn print_trace(trace: &[Exchange], out: &mut dyn Write) -> io::Result<()> {
    for Exchange { command, response } in trace {
        writeln!(out, "{:15}> {}", "", hex::encode_upper(command))?;
        writeln!(out, "{:15}< {}", "", hex::encode_upper(response))?;
    }
    Ok(())
}
