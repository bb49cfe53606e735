//! The JSON report: the master, from which every other one could be made.
//!
//! `summary` has one count for each verdict; `cases` has `id`, `verdict`,
//! `requirements` and more; `monitors` stands in a case only where some went red.

use super::{Reporter, write_whole};
use crate::event::{Event, Judged, Known, Run, Summary};
use crate::verdict::Verdict;
use serde_json::{Map, Value, json};
use std::io;
use std::path::PathBuf;

/// Gathers a run and writes it at its end.
pub struct Json {
    path: PathBuf,
    run: Value,
    cases: Vec<Value>,
}

impl Json {
    /// A report that goes to this path.
    #[must_use]
    pub fn new(path: PathBuf) -> Json {
        Json {
            path,
            run: Value::Null,
            cases: Vec::new(),
        }
    }
}

impl Reporter for Json {
    fn tell(&mut self, event: &Event<'_>) -> io::Result<()> {
        match event {
            Event::Started(run) => self.run = run_of(run),
            Event::Judged(judged) => self.cases.push(case_of(judged)),
            Event::Ended(summary) => {
                let report = json!({
                    "format": 1,
                    "run": self.run.take(),
                    "summary": summary_of(summary),
                    "cases": std::mem::take(&mut self.cases),
                });
                let mut text = serde_json::to_string_pretty(&report)?;
                text.push('\n');
                write_whole(&self.path, text.as_bytes())?;
            }
        }
        Ok(())
    }
}

fn run_of(run: &Run) -> Value {
    json!({
        "tool": concat!("cardlab ", env!("CARGO_PKG_VERSION")),
        "profile": run.profile,
        "subject": run.subject,
        "seed": run.seed,
    })
}

fn summary_of(summary: &Summary) -> Value {
    let mut counts = Map::new();
    for verdict in Verdict::ALL {
        counts.insert(verdict.word().to_owned(), summary.count(verdict).into());
    }
    counts.insert("known".to_owned(), summary.known.into());
    counts.insert("unexpected".to_owned(), summary.unexpected.into());
    counts.insert("cuts".to_owned(), summary.cuts.into());
    counts.insert("total".to_owned(), summary.total().into());
    counts.insert(
        "took_ms".to_owned(),
        // To the microsecond: a float has digits of its own behind that.
        json!((summary.took.as_secs_f64() * 1e6).round() / 1e3),
    );
    Value::Object(counts)
}

fn case_of(judged: &Judged<'_>) -> Value {
    let case = judged.case;
    let mut value = json!({
        "id": case.id,
        "verdict": judged.verdict,
        "requirements": case.requirements,
        "group": case.group,
        "says": case.says,
        "source": case.source,
        "weight": case.weight,
        "safety": case.safety,
        "evaluated": judged.evaluated,
        "cuts": judged.cuts,
    });
    if let Some(reason) = &judged.reason {
        value["reason"] = json!({
            "step": reason.step.as_ref().map(|(number, _)| number),
            "do": reason.step.as_ref().map(|(_, label)| label),
            "expected": reason.expected,
            "got": reason.got,
        });
    }
    if let Some(known) = &judged.known {
        value["known"] = match known {
            Known::Failure(reason) => json!({ "state": "failure", "reason": reason }),
            Known::UnexpectedPass => json!({ "state": "unexpected-pass" }),
            Known::Expired(reason) => json!({ "state": "expired", "reason": reason }),
        };
    }
    if !judged.violations.is_empty() {
        let violations = judged.violations.iter().map(|violation| {
            json!({
                "id": violation.monitor.id,
                "exchange": violation.exchange,
                "saw": violation.saw,
            })
        });
        value["monitors"] = violations.collect();
    }
    let trace = judged.trace.iter().map(|exchange| {
        json!([
            hex::encode_upper(&exchange.command),
            hex::encode_upper(&exchange.response)
        ])
    });
    value["trace"] = trace.collect();
    value
}
