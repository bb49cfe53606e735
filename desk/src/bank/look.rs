//! What anybody may see of a card's bank side: states, elements, logs.
//!
//! Nothing is verified and nothing begun: SELECT, READ RECORD and GET DATA alone.
//!
//! Source: JR/T 0025.5, GET DATA and logs, by public material; EMV 4.4 book 1, 12.2.3
//! (directory).

use super::personalise::DIRECTORY;
use crate::wire::exchange;
use cardlab::aid::Aid;
use cardlab::apdu::{Class, Command, Sw};
use cardlab::icc::{Icc, Lost};
use cardlab::tag;
use cardlab::tlv::{self, Dol, Objects, Tag};

/// How the value of a data element is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// A number, big-endian.
    Count,
    /// A number where '255' means that there is no limit.
    Limit,
    /// 12 packed digits, in the least unit of the currency.
    Amount,
    /// Something else, shown in hexadecimal.
    Bytes,
}

/// The elements that GET DATA gives: tag, form, names in Chinese and English.
pub const ELEMENTS: [(u16, Form, &str, &str); 22] = [
    (0x9F17, Form::Count, "PIN剩余次数", "PIN tries left"),
    (0x9F36, Form::Count, "应用交易计数器", "transaction counter"),
    (
        0x9F13,
        Form::Count,
        "上次联机交易计数器",
        "counter when last on line",
    ),
    (0x9F79, Form::Amount, "电子现金余额", "e-cash balance"),
    (
        0x9F77,
        Form::Amount,
        "电子现金余额上限",
        "e-cash balance limit",
    ),
    (
        0x9F78,
        Form::Amount,
        "电子现金单笔交易限额",
        "e-cash limit of one payment",
    ),
    (
        0x9F6D,
        Form::Amount,
        "电子现金重置阈值",
        "e-cash reset threshold",
    ),
    (
        0xDF71,
        Form::Bytes,
        "第二币种电子现金货币",
        "second e-cash currency",
    ),
    (
        0xDF79,
        Form::Amount,
        "第二币种电子现金余额",
        "second e-cash balance",
    ),
    (
        0xDF77,
        Form::Amount,
        "第二币种余额上限",
        "second balance limit",
    ),
    (
        0xDF78,
        Form::Amount,
        "第二币种单笔限额",
        "second limit of one payment",
    ),
    (0x9F5D, Form::Amount, "脱机可用余额", "available off line"),
    (
        0x9F58,
        Form::Limit,
        "连续脱机交易下限",
        "lower limit off line",
    ),
    (
        0x9F59,
        Form::Limit,
        "连续脱机交易上限",
        "upper limit off line",
    ),
    (
        0x9F53,
        Form::Limit,
        "连续脱机交易限制(国际-货币)",
        "limit in foreign currencies",
    ),
    (
        0x9F72,
        Form::Limit,
        "连续脱机交易限制(国际-国家)",
        "limit in foreign countries",
    ),
    (0x9F54, Form::Amount, "累计脱机交易金额限制", "sum off line"),
    (
        0x9F5C,
        Form::Amount,
        "累计脱机交易金额上限",
        "upper sum off line",
    ),
    (
        0x9F75,
        Form::Amount,
        "累计脱机交易金额限制(双货币)",
        "sum in two currencies",
    ),
    (0x9F76, Form::Bytes, "第二应用货币代码", "second currency"),
    (0x9F51, Form::Bytes, "应用货币代码", "currency"),
    (0x9F52, Form::Bytes, "应用缺省行为", "default action"),
];

/// An application, as it shows itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Look {
    /// Its name.
    pub aid: Aid,
    /// What the directory calls it.
    pub label: String,
    /// What it answers to SELECT.
    pub selected: Sw,
    /// Whether it asks terminals if they want the SM set.
    pub has_sm: bool,
    /// Its elements that it gives, in the order of [`ELEMENTS`].
    pub elements: Vec<(u16, Vec<u8>)>,
    /// Its payments, the newest first, each by the fields of its log.
    pub payments: Vec<Fields>,
    /// Its loads: balance before and after, and the fields of the log.
    pub loads: Vec<([u8; 6], [u8; 6], Fields)>,
}

/// What a record of a log says: tags and values.
pub type Fields = Vec<(u32, Vec<u8>)>;

/// The applications of the directory; `None` for a card without one.
///
/// # Errors
/// [`Lost`].
pub fn applications(icc: &mut dyn Icc) -> Result<Option<Vec<Look>>, Lost> {
    let Some(fci) = select(icc, DIRECTORY.as_bytes())?.1 else {
        return Ok(None);
    };
    let sfi = tlv::find(&fci, &[tag!(0x6F), tag!(0xA5), tag!(0x88)]);
    let sfi = sfi.ok().flatten().and_then(<[u8]>::first).copied();
    let mut entries = Vec::new();
    for record in records(icc, sfi.unwrap_or(1))? {
        for template in Objects::new(&record).flatten() {
            for entry in template.objects().flatten() {
                let of = |tag| tlv::find(entry.value, &[tag]).ok().flatten();
                let Some(aid) = of(tag!(0x4F)).and_then(Aid::new) else {
                    continue;
                };
                let label = String::from_utf8_lossy(of(tag!(0x50)).unwrap_or_default());
                entries.push((aid, label.into_owned()));
            }
        }
    }
    let looks = entries
        .into_iter()
        .map(|(aid, label)| look(icc, aid, label));
    looks.collect::<Result<_, _>>().map(Some)
}

fn look(icc: &mut dyn Icc, aid: Aid, label: String) -> Result<Look, Lost> {
    let (selected, fci) = select(icc, aid.as_bytes())?;
    let mut look = Look {
        aid,
        label,
        selected,
        has_sm: false,
        elements: Vec::new(),
        payments: Vec::new(),
        loads: Vec::new(),
    };
    let Some(fci) = fci else {
        return Ok(look);
    };
    let list = tlv::find(&fci, &[tag!(0x6F), tag!(0xA5), tag!(0x9F38)]);
    let list = list.ok().flatten().and_then(|list| Dol::parse(list).ok());
    look.has_sm = list.is_some_and(|list| list.entries().any(|one| one.tag == tag!(0xDF69)));
    for (tag, ..) in ELEMENTS {
        look.elements
            .extend(element(icc, tag)?.map(|value| (tag, value)));
    }
    let log = |tag| {
        let path = [tag!(0x6F), tag!(0xA5), tag!(0xBF0C), tag];
        let place = tlv::find(&fci, &path).ok().flatten();
        place.and_then(<[u8]>::first).copied()
    };
    if let (Some(sfi), Some(format)) = (log(tag!(0x9F4D)), element(icc, 0x9F4F)?) {
        let records = records(icc, sfi)?;
        look.payments = records.iter().map(|one| fields(&format, one)).collect();
    }
    if let (Some(sfi), Some(format)) = (log(tag!(0xDF4D)), element(icc, 0xDF4F)?) {
        for record in records(icc, sfi)? {
            // What was put, and both balances, stand before what the format lists.
            let parts = record.split_at_checked(2).and_then(|(_, rest)| {
                let (old, rest) = rest.split_first_chunk()?;
                let (new, rest) = rest.split_first_chunk()?;
                Some((*old, *new, fields(&format, rest)))
            });
            look.loads.extend(parts);
        }
    }
    Ok(look)
}

/// What a record says by the list that it was written with.
fn fields(format: &[u8], record: &[u8]) -> Fields {
    let values = Dol::parse(format).ok().and_then(|list| {
        let values = list.split(record)?;
        Some(
            values
                .map(|(tag, value)| (Tag::value(tag), value.to_vec()))
                .collect(),
        )
    });
    values.unwrap_or_default()
}

/// The answer to SELECT by name, and the FCI where one came.
fn select(icc: &mut dyn Icc, name: &[u8]) -> Result<(Sw, Option<Vec<u8>>), Lost> {
    let command = Command::new(Class::BASIC, 0xA4, 0x04, 0x00).with_data(name);
    let answer = exchange(icc, &command.expecting(256))?;
    let fci = matches!(answer.sw, Sw::OK | Sw::SELECTED_FILE_INVALIDATED).then_some(answer.data);
    Ok((answer.sw, fci))
}

/// All records of a file.
fn records(icc: &mut dyn Icc, sfi: u8) -> Result<Vec<Vec<u8>>, Lost> {
    let mut records = Vec::new();
    for number in 1..=u8::MAX {
        let command = Command::new(Class::BASIC, 0xB2, number, sfi << 3 | 0x04);
        let answer = exchange(icc, &command.expecting(256))?;
        if answer.sw != Sw::OK {
            break;
        }
        records.push(answer.data);
    }
    Ok(records)
}

/// The value of an element; `None` where the card does not give it.
fn element(icc: &mut dyn Icc, tag: u16) -> Result<Option<Vec<u8>>, Lost> {
    let class = Class::new(0x80).unwrap_or(Class::BASIC);
    let [p1, p2] = tag.to_be_bytes();
    let answer = exchange(icc, &Command::new(class, 0xCA, p1, p2).expecting(256))?;
    let object = Objects::new(&answer.data).next();
    let value = object
        .and_then(Result::ok)
        .map(|object| object.value.to_vec());
    Ok(value.filter(|_| answer.sw == Sw::OK))
}
