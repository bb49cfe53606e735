//! `cardlab show`: the card as a tree, read over the wire with the terminal's keys.
//!
//! It works on a copy, so the card stays as it is: where a file asks for the PIN, the
//! copy's initial PIN is used, and where that was changed, a key that opens it too.

use crate::card::{self, Which};
use crate::explain;
use crate::subject::{self, Way};
use cardlab::apdu::Sw;
use cardlab::icc::Icc;
use cardlab::link::atr::Atr;
use cardlab_conformance::session::{Session, Trouble};
use cardlab_conformance::subject::Subject;
use cardlab_conformance::tear::{self, Refusal};
use cardlab_desk::bank::application::{CardBlock, STARTS_INACTIVE};
use cardlab_desk::bank::host::fen_of;
use cardlab_desk::bank::look::{self, ELEMENTS, Form, Look};
use cardlab_desk::encode::{self, Decoded};
use cardlab_desk::pki::{self, Application, Pair};
use cardlab_desk::profile::{
    Algorithm, BankSide, Directory, File, FirstChange, Item, Kind, Profile,
};
use clap::Args;
use std::io::{self, Write};
use std::process::ExitCode;
use termtree::Tree;

/// What stands in place of records that the card keeps back.
const NOT_READ: &str = "not read 不可读";
/// Why a card out of an image may keep records back.
const WHY_NOT_READ: &str = "\
What is not read needs a PIN that was changed, or keys of another --profile or --seed than the
card was issued with. 未读出的内容：密码已修改，或配置文件、种子与发卡时不同。";

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
        card::must_be_of(&profile, &atr)?;
        writeln!(out, "ATR {}", hex::encode_upper(&atr))?;
        if let Ok(atr) = Atr::parse(&atr) {
            for line in atr.to_string().lines() {
                writeln!(out, "    {line}")?;
            }
        }
        let subject = subject::of(card.card().fork(), &profile, seed, Way::InProcess, None)?;
        writeln!(out, "{}", about(&profile))?;
        let mut tree = self.tree(&*subject, &profile, None);
        tree.extend(certificates(&*subject, &profile));
        tree.extend(bank(&*subject, &profile));
        let tree = tree.to_string();
        writeln!(out, "{}", tree.trim_end())?;
        if tree.contains(NOT_READ) && self.which.is_kept() {
            writeln!(out, "{WHY_NOT_READ}")?;
        }
        if !profile.notes.is_empty() {
            writeln!(out, "\nnotes 说明")?;
        }
        for note in &profile.notes {
            writeln!(out, "  - {note}")?;
        }
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
            Ok(parts) => {
                tree.extend(parts.iter().map(|part| self.part(file, part)));
                tree.extend(whole_name(directory, file, &parts));
            }
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

/// The certificate application, where the profile has it: what anybody may read.
fn certificates(subject: &dyn Subject, profile: &Profile) -> Option<Tree<String>> {
    let section = profile.certificates.as_ref()?;
    let mut tree = Tree::new(format!(
        "PKI.社会保障 / DF01 SS.CERT.ADF1 证书应用 certificate application, user PIN {} tries, \
         administrator PIN {} tries",
        section.user.tries, section.administrator.tries
    ));
    let mut card = subject.fresh().ok()?;
    card.power_on().ok()?;
    let mut application = match Application::select(&mut *card) {
        Ok(application) => application,
        Err(error) => {
            tree.push(error.to_string());
            return Some(tree);
        }
    };
    let none = || "none 无".to_owned();
    for (pair, zh, en) in [
        (Pair::Signature, "签名", "signature"),
        (Pair::Encryption, "加密", "encryption"),
    ] {
        let key = match application.public_key(pair) {
            Ok(key) => key.map_or_else(none, |key| hex::encode_upper(key.to_bytes())),
            Err(error) => error.to_string(),
        };
        let certificate = match application.certificate(pair) {
            Ok(None) => none(),
            Ok(Some(der)) => match pki::facts(&der) {
                Ok(facts) => {
                    let facts = facts.iter().take(4);
                    let facts: Vec<_> = facts.map(|f| format!("{} {}", f.zh, f.says)).collect();
                    facts.join(", ")
                }
                Err(error) => error,
            },
            Err(error) => error.to_string(),
        };
        let fid = pair.public();
        tree.push(format!("{fid:04X} {zh}公钥 {en} public key: {key}"));
        let fid = pair.private();
        tree.push(format!(
            "{fid:04X} {zh}私钥 {en} private key: never leaves the card 不可读出"
        ));
        let fid = pair.certificate();
        tree.push(format!(
            "{fid:04X} {zh}证书 {en} certificate: {certificate}"
        ));
    }
    Some(tree)
}

/// The bank side, where the profile has it: what anybody may see.
fn bank(subject: &dyn Subject, profile: &Profile) -> Option<Tree<String>> {
    let side = profile.bank.as_ref()?;
    let mut tree = Tree::new("1PAY.SYS.DDF01 金融应用 bank side".to_owned());
    let mut card = subject.fresh().ok()?;
    card.power_on().ok()?;
    match look::applications(&mut *card) {
        Ok(Some(looks)) => tree.extend(looks.iter().map(|look| application(look, side))),
        Ok(None) => {
            tree.push("no directory 无支付系统环境".to_owned());
        }
        Err(lost) => {
            tree.push(lost.to_string());
        }
    }
    Some(tree)
}

fn application(look: &Look, side: &BankSide) -> Tree<String> {
    let mut applications = side.applications.iter();
    let ordered = applications
        .find(|one| *one.ordered.aid() == look.aid)
        .map(|one| &one.ordered);
    let inactive = ordered.is_some_and(|ordered| ordered.switches() & STARTS_INACTIVE != 0);
    let state = match (look.selected, inactive) {
        (Sw::OK, _) => "in use 使用中".to_owned(),
        (Sw::SELECTED_FILE_INVALIDATED, true) => {
            "pays nothing: not activated by its bank, or blocked 未激活或已锁定".to_owned()
        }
        (Sw::SELECTED_FILE_INVALIDATED, false) => "blocked 已锁定".to_owned(),
        (Sw::NOT_SUPPORTED, _) => "ended by its bank 已永久锁定".to_owned(),
        (sw, _) => explain::response(&sw.0.to_be_bytes()),
    };
    let mut tree = Tree::new(format!("{} {}, {state}", look.aid, look.label));
    if let Some(ordered) = ordered {
        tree.push(match ordered.card_block() {
            CardBlock::Application => {
                "CARD BLOCK ends this application alone 卡片锁定仅终止本应用".to_owned()
            }
            CardBlock::Card => "CARD BLOCK locks the card 卡片锁定终止整卡".to_owned(),
        });
    }
    if look.has_sm {
        tree.push(
            "SM2 and SM4 for terminals that want them, experimental 另有国密算法集（试验性）"
                .to_owned(),
        );
    }
    for (tag, value) in &look.elements {
        let known = ELEMENTS.iter().find(|(known, ..)| known == tag);
        if let Some((_, form, zh, en)) = known {
            tree.push(format!("{tag:04X} {zh} {en}: {}", in_form(*form, value)));
        }
    }
    for fields in &look.payments {
        tree.push(format!("交易记录 payment: {}", logged(fields)));
    }
    for (old, new, fields) in &look.loads {
        let [old, new] = [old, new].map(|balance| in_form(Form::Amount, balance));
        tree.push(format!("圈存记录 load: {old} → {new}, {}", logged(fields)));
    }
    tree
}

fn in_form(form: Form, value: &[u8]) -> String {
    let count = || {
        value
            .iter()
            .fold(0u64, |sum, byte| sum << 8 | u64::from(*byte))
    };
    match (form, value) {
        (Form::Limit, [0xFF]) => "none 无限制".to_owned(),
        (Form::Count | Form::Limit, _) => count().to_string(),
        (Form::Amount, _) => match fen_of(value) {
            Some(fen) => fen.to_string(),
            None => hex::encode_upper(value),
        },
        (Form::Bytes, _) => hex::encode_upper(value),
    }
}

/// The fields of a log in words.
fn logged(fields: &[(u32, Vec<u8>)]) -> String {
    let words = fields.iter().map(|(tag, value)| {
        let digits = hex::encode(value);
        let pair = |at: usize| digits.get(at..at + 2).unwrap_or_default();
        match tag {
            0x9A => format!("20{}-{}-{}", pair(0), pair(2), pair(4)),
            0x9F21 => format!("{}:{}:{}", pair(0), pair(2), pair(4)),
            0x9F02 => in_form(Form::Amount, value),
            0x9F03 => format!("其他金额 other {}", in_form(Form::Amount, value)),
            0x9F1A => format!("国家 country {digits}"),
            0x5F2A => format!("货币 currency {digits}"),
            0x9F4E => {
                let name = value.split(|byte| *byte == 0).next().unwrap_or_default();
                format!("商户 merchant {:?}", told(&encode::decode_text(name)))
            }
            0x9C => format!("类型 type {digits}"),
            0x9F36 => format!("ATC {}", in_form(Form::Count, value)),
            other => format!("{other:X} {digits}"),
        }
    });
    words.collect::<Vec<_>>().join(", ")
}

/// What the profile is, and the rules of its PIN without the PIN.
fn about(profile: &Profile) -> String {
    let Profile {
        id,
        names,
        algorithm,
        pin,
        ..
    } = profile;
    let algorithm = match algorithm {
        Algorithm::Des => "3DES",
        Algorithm::Sm4 => "SM4",
    };
    let first_change = match (&pin.initial, pin.first_change) {
        (None, _) => "none at first 初始无密码",
        (Some(_), FirstChange::Card) => {
            "opens nothing before its first change 首次修改前不产生权限"
        }
        (Some(_), FirstChange::Terminal) => {
            "the terminal sees to its first change 由终端控制首次修改"
        }
    };
    format!(
        "profile {id} {} {}, {algorithm}\nPIN 个人密码 {} tries, {} to {} bytes, {first_change}",
        names.zh, names.en, pin.tries, pin.len_min_bytes, pin.len_max_bytes,
    )
}

fn title_of(directory: &Directory) -> String {
    let name = directory
        .name
        .map(|name| format!(" {name}"))
        .unwrap_or_default();
    let keys = match directory.keys.len() {
        0 => String::new(),
        1 => ", 1 key".to_owned(),
        count => format!(", {count} keys"),
    };
    let fid = format!("{:04X}", directory.fid);
    let label = &directory.label;
    let fid = match fid == *label {
        true => fid,
        false => format!("{label} {fid}"),
    };
    let names = &directory.names;
    format!("{fid}{name} {} {}{keys}", names.zh, names.en)
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
    told(&item.decode(value))
}

/// A value, and what is wrong with it.
fn told(decoded: &Decoded) -> String {
    match (decoded.text(), decoded.fault()) {
        ("", _) => "-".to_owned(),
        (text, None) => text.to_owned(),
        (text, Some(fault)) => format!("{text} ({fault} {})", fault.words_zh()),
    }
}

/// The holder's name out of the two items that it is written in, where it goes on in
/// the second.
fn whole_name(directory: &str, file: &File, parts: &[Vec<u8>]) -> Option<String> {
    let value = |tag| {
        let mut parts = parts.iter();
        let found = parts.find(|part| part.first() == Some(&tag))?;
        found.get(2..)
    };
    if directory != "SSSE" || file.fid != 0xEF06 {
        return None;
    }
    let (name, continuation) = (value(0x09)?, value(0x4E)?);
    let goes_on = encode::decode_text(continuation) != Decoded::Blank;
    goes_on.then(|| {
        let whole = encode::decode_name(name, continuation);
        format!("姓名全文 whole name: {}", told(&whole))
    })
}

/// The records of a file, or all its bytes; the reason where it cannot be read.
fn contents(
    subject: &dyn Subject,
    profile: &Profile,
    directory: &str,
    file: &File,
) -> Result<Vec<Vec<u8>>, String> {
    let open = || Session::begin(subject, profile);
    tear::contents(open, directory, file).map_err(|refusal| match refusal {
        Refusal::Never => "never read from outside 不可读".to_owned(),
        Refusal::Sw(sw) => {
            format!("{NOT_READ}: {}", explain::response(&sw.0.to_be_bytes()))
        }
        Refusal::Trouble(Trouble::Lost(lost)) => lost.to_string(),
        Refusal::Trouble(Trouble::Case(text)) => text,
        Refusal::Trouble(Trouble::Unavailable(text)) => text.to_owned(),
    })
}
