//! `cardlab show`: the card as a tree, read over the wire with the terminal's keys.
//!
//! It works on a copy, so the card stays as it is: where a file asks for the PIN, the
//! copy's initial PIN is used.

use crate::card::Which;
use crate::{explain, subject};
use cardlab::apdu::Sw;
use cardlab::icc::Icc;
use cardlab::link::atr::Atr;
use cardlab_conformance::session::{Session, Trouble};
use cardlab_conformance::subject::Subject;
use cardlab_conformance::{case::Action, generate};
use cardlab_desk::encode;
use cardlab_desk::profile::{Directory, File, Format, Item, Kind, Profile};
use clap::Args;
use std::io::{self, Write};
use std::process::ExitCode;
use termtree::Tree;

/// Print the card as a tree.
#[derive(Args)]
pub(crate) struct Show {
    #[command(flatten)]
    which: Which,
    /// Records in hex beside their values
    #[arg(long)]
    hex: bool,
}

impl Show {
    pub(crate) fn run(self) -> anyhow::Result<ExitCode> {
        let (profile, seed) = self.which.profile()?;
        let mut card = self.which.card()?;
        let mut out = io::stdout().lock();
        let atr = card.power_on()?;
        writeln!(out, "ATR {}", hex::encode_upper(&atr))?;
        if let Ok(atr) = Atr::parse(&atr) {
            for line in atr.to_string().lines() {
                writeln!(out, "    {line}")?;
            }
        }
        let subject = subject::of(card.card().fork(), &profile, seed)?;
        writeln!(out, "{}", self.tree(&*subject, &profile, None))?;
        Ok(ExitCode::SUCCESS)
    }

    /// What lies below a directory, or below nothing: the MF.
    fn tree(
        &self,
        subject: &dyn Subject,
        profile: &Profile,
        parent: Option<&Directory>,
    ) -> Tree<String> {
        let title = parent.map_or_else(|| "card 卡".to_owned(), title_of);
        let mut tree = Tree::new(title);
        for file in parent.into_iter().flat_map(|directory| &directory.files) {
            let directory = parent.map_or("", |directory| directory.label.as_str());
            tree.push(self.file(subject, profile, directory, file));
        }
        let fid = parent.map(|directory| directory.fid);
        for child in profile
            .directories
            .iter()
            .filter(|child| child.parent == fid)
        {
            tree.push(self.tree(subject, profile, Some(child)));
        }
        tree
    }

    fn file(
        &self,
        subject: &dyn Subject,
        profile: &Profile,
        directory: &str,
        file: &File,
    ) -> Tree<String> {
        let mut tree = Tree::new(format!(
            "EF{:02X} {} {}, {}, read {}, update {}",
            file.fid & 0xFF,
            file.names.zh,
            file.names.en,
            structure(file.kind),
            file.read,
            file.update,
        ));
        match contents(subject, profile, directory, file) {
            Ok(parts) => tree.extend(parts.iter().map(|part| self.part(file, part))),
            Err(refused) => {
                tree.push(refused);
            }
        }
        tree
    }

    /// A record, or the bytes of a transparent file, in words.
    fn part(&self, file: &File, bytes: &[u8]) -> String {
        let raw = if self.hex {
            format!("  [{}]", hex::encode_upper(bytes))
        } else {
            String::new()
        };
        match (file.kind, bytes) {
            (Kind::Transparent { .. }, bytes) => match bytes.iter().filter(|b| **b != 0).count() {
                0 => format!("{} bytes, all 00 空{raw}", bytes.len()),
                used => format!("{} bytes, {used} of them not 00{raw}", bytes.len()),
            },
            (Kind::Cyclic { .. }, mut rest) => {
                let mut words = Vec::new();
                for field in &file.fields {
                    let (value, behind) = rest.split_at(usize::from(field.len).min(rest.len()));
                    rest = behind;
                    words.push(in_words(field, value));
                }
                words.join(", ") + &raw
            }
            (_, &[tag, _, ref value @ ..]) => {
                let known = file
                    .records
                    .iter()
                    .find(|record| record.item.tag == Some(tag));
                match known {
                    Some(record) => format!("{tag:02X} {}{raw}", in_words(&record.item, value)),
                    None => format!("{tag:02X} {}{raw}", hex::encode_upper(value)),
                }
            }
            (_, short) => hex::encode_upper(short),
        }
    }
}

fn title_of(directory: &Directory) -> String {
    let name = directory
        .name
        .map(|name| format!(" {name}"))
        .unwrap_or_default();
    let keys = match directory.keys.len() {
        0 => String::new(),
        count => format!(", {count} keys"),
    };
    format!(
        "{} {:04X}{name} {} {}{keys}",
        directory.label, directory.fid, directory.names.zh, directory.names.en
    )
}

fn structure(kind: Kind) -> String {
    match kind {
        Kind::Transparent { size_bytes } => format!("transparent, {size_bytes} bytes"),
        Kind::LinearFixed { record_len, count } => format!("linear fixed, {count} x {record_len}"),
        Kind::LinearVariable { size_bytes } => format!("linear variable, {size_bytes} bytes"),
        Kind::Cyclic { record_len, count } => format!("cyclic, {count} x {record_len}"),
    }
}

/// An item with its names and its value.
fn in_words(item: &Item, value: &[u8]) -> String {
    let names = format!("{} {}", item.names.zh, item.names.en);
    if item.inner.is_empty() {
        return format!("{names}: {}", text_of(item, value));
    }
    let mut rest = value;
    let mut parts = Vec::new();
    while let [tag, len, behind @ ..] = rest {
        let (value, after) = behind.split_at(usize::from(*len).min(behind.len()));
        rest = after;
        match item.inner.iter().find(|inner| inner.tag == Some(*tag)) {
            Some(inner) => parts.push(format!("{} {}", inner.names.zh, text_of(inner, value))),
            None => parts.push(format!("{tag:02X} {}", hex::encode_upper(value))),
        }
    }
    format!("{names}: {}", parts.join(", "))
}

fn text_of(item: &Item, value: &[u8]) -> String {
    let decoded = match item.format {
        Format::An => encode::decode_an(value),
        Format::Cn => encode::decode_cn(value),
        Format::B | Format::BTlv => encode::decode_b(value),
    };
    match decoded.text() {
        "" => "-".to_owned(),
        text => text.to_owned(),
    }
}

/// The records of a file, or all its bytes; the reason where it cannot be read.
fn contents(
    subject: &dyn Subject,
    profile: &Profile,
    directory: &str,
    file: &File,
) -> Result<Vec<Vec<u8>>, String> {
    let way_in = generate::opening(&file.read).ok_or("never read from outside 不可读")?;
    let trouble = |trouble: Trouble| match trouble {
        Trouble::Lost(lost) => lost.to_string(),
        Trouble::Case(text) => text,
        Trouble::Unavailable(text) => text.to_owned(),
    };
    let mut session = Session::begin(subject, profile).map_err(trouble)?;
    session
        .perform(&Action::Select(directory.to_owned()), None)
        .map_err(trouble)?;
    for step in way_in {
        session.perform(&step.action, None).map_err(trouble)?;
    }
    let mut parts = Vec::new();
    let mut all = Vec::new();
    loop {
        let command = match file.kind {
            Kind::Transparent { size_bytes } => {
                let left = usize::from(size_bytes) - all.len();
                if left == 0 {
                    return Ok(vec![all]);
                }
                let len = left.min(0xF0);
                if all.is_empty() {
                    format!("00B0{:02X}00 {len:02X}", 0x80 | file.sfi)
                } else {
                    format!("00B0{:04X} {len:02X}", all.len())
                }
            }
            _ => format!("00B2{:02X}{:02X} 00", parts.len() + 1, file.sfi << 3 | 0x04),
        };
        let (data, sw) = session
            .perform(&Action::Send(command), None)
            .map_err(trouble)?;
        match (sw, file.kind) {
            (Sw::OK, Kind::Transparent { .. }) => all.extend(data),
            (Sw::OK, _) => parts.push(data),
            (Sw::RECORD_NOT_FOUND, _) => return Ok(parts),
            (sw, _) => {
                return Err(format!(
                    "not read 不可读: {}",
                    explain::response(&sw.0.to_be_bytes())
                ));
            }
        }
    }
}
