//! RECORD: the structure of each file and the bytes of each record.

use super::{authenticate, case, file_id, file_name, group, hex_of, select, send, step, unlock};
use crate::case::{Action, Case, Safety, Step};
use cardlab_desk::profile::{Directory, File, Kind, Rule};

pub(super) fn cases(directory: &Directory, file: &File) -> Vec<Case> {
    let Some(way_in) = opening(&file.read) else {
        return Vec::new();
    };
    let mut cases = match file.kind {
        Kind::Transparent { size_bytes } => transparent(directory, file, size_bytes, &way_in),
        Kind::LinearFixed { .. } | Kind::LinearVariable { .. } => linear(directory, file, &way_in),
        Kind::Cyclic { record_len, count } => cyclic(directory, file, record_len, count, &way_in),
    };
    cases.push(structure(directory, file, &way_in));
    for case in &mut cases {
        case.group = group(directory, "RECORD");
        case.requirements.push("R03".to_owned());
        if directory.label == "SSSE" {
            case.requirements.insert(0, "R01".to_owned());
        }
        if case
            .steps
            .iter()
            .any(|step| matches!(step.action, Action::Unlock(_)))
        {
            // Where the card asks for it, the initial PIN is changed on the way.
            case.safety = case.safety.max(Safety::Writes);
        }
    }
    cases
}

/// The steps that make a rule true, if anything does.
pub fn opening(rule: &Rule) -> Option<Vec<Step>> {
    match rule {
        Rule::Free => Some(Vec::new()),
        Rule::Never => None,
        Rule::Pin => Some(vec![unlock()]),
        Rule::Key(key) => Some(vec![authenticate(&key.name)]),
        Rule::Or(a, b) => opening(a).or_else(|| opening(b)),
        Rule::And(a, b) => Some([opening(a)?, opening(b)?].concat()),
    }
}

fn name(directory: &Directory, file: &File, what: &str) -> String {
    format!(
        "{}-record/{}-{what}",
        directory.label.to_lowercase(),
        file_id(file)
    )
}

/// P2 of READ RECORD by number with the SFI of the file.
fn by_number(file: &File) -> u8 {
    file.sfi << 3 | 0x04
}

/// The wrong structure is refused, the last record is the last one, an unknown SFI is none.
fn structure(directory: &Directory, file: &File, way_in: &[Step]) -> Case {
    let whole = file_name(directory, file);
    let mut case = case(
        name(directory, file, "structure"),
        format!("{whole} is selected by its FID and refuses the commands of other structures."),
        format!("{whole} 可按文件标识选择，且拒绝不相容结构的命令。"),
    );
    case.steps = vec![select(directory)];
    case.steps.extend_from_slice(way_in);
    case.steps.push(send(
        "select the EF",
        format!("00A40200 02 {:04X}", file.fid),
        "9000",
    ));
    let wrong = match file.kind {
        Kind::Transparent { .. } => "00B20104 00",
        _ => "00B00000 01",
    };
    case.steps
        .push(send("read it as what it is not", wrong.to_owned(), "6981"));
    case
}

fn linear(directory: &Directory, file: &File, way_in: &[Step]) -> Vec<Case> {
    let whole = file_name(directory, file);
    let mut cases: Vec<Case> = Vec::new();
    for record in &file.records {
        let tag = record.item.tag.unwrap_or_default();
        let bytes = record.to_bytes();
        let len = bytes.len();
        let number = record.number;
        // The code of a recognition code is the card's own: any four bytes.
        let shown = match record.item.computed {
            true => format!("{}{{4}}", hex_of(&bytes[..len - 4])),
            false => hex_of(&bytes),
        };
        let good = format!("{shown}9000");
        let mut case = case(
            name(
                directory,
                file,
                &format!("record-{number:02}-tag-{tag:02x}"),
            ),
            format!(
                "Record {number} of {whole} is {tag:02X} {}, {} bytes, by number and by tag.",
                record.item.names.en, record.item.len
            ),
            format!(
                "{whole} 第 {number} 条记录为 {tag:02X} {}，长度 {} 字节，可按记录号和标识读取。",
                record.item.names.zh, record.item.len
            ),
        );
        case.steps = vec![select(directory)];
        case.steps.extend_from_slice(way_in);
        case.steps.push(send(
            "by number, with the SFI",
            format!("00B2{number:02X}{:02X} {len:02X}", by_number(file)),
            &good,
        ));
        case.steps.push(send(
            "without the right length",
            format!("00B2{number:02X}04 00"),
            &format!("6C{len:02X}"),
        ));
        // The first of its identifier, then as many next ones as it takes.
        for occurrence in 1..=record.occurrence {
            let p2 = if occurrence == 1 { 0x00 } else { 0x02 };
            let last = occurrence == record.occurrence;
            case.steps.push(send(
                if occurrence == 1 {
                    "by identifier, first"
                } else {
                    "by identifier, next"
                },
                format!("00B2{tag:02X}{p2:02X} {len:02X}"),
                if last { &good } else { "**9000" },
            ));
        }
        cases.push(case);
    }
    let count = file.records.len();
    let mut end = case(
        name(directory, file, "end"),
        format!("{whole} has {count} records and not one more; they follow one another."),
        format!("{whole} 共有 {count} 条记录，依次排列，无多余记录。"),
    );
    end.steps = vec![select(directory)];
    end.steps.extend_from_slice(way_in);
    let all: Vec<u8> = file
        .records
        .iter()
        .flat_map(|record| record.to_bytes())
        .collect();
    if count > 0 && all.len() <= 256 && file.records.iter().all(|record| !record.item.computed) {
        end.steps.push(send(
            "all of them at once",
            format!(
                "00B201{:02X} {:02X}",
                file.sfi << 3 | 0x05,
                all.len() & 0xFF
            ),
            &format!("{}9000", hex_of(&all)),
        ));
    }
    end.steps.push(send(
        "one past the last",
        format!("00B2{:02X}{:02X} 00", count + 1, by_number(file)),
        "6A83",
    ));
    end.steps.push(send(
        "an identifier that is not there",
        format!("00B2FE{:02X} 00", file.sfi << 3),
        "6A83",
    ));
    cases.push(end);
    cases
}

fn transparent(directory: &Directory, file: &File, size_bytes: u16, way_in: &[Step]) -> Vec<Case> {
    let whole = file_name(directory, file);
    let mut case = case(
        name(directory, file, "size"),
        format!("{whole} has {size_bytes} bytes, from the first to the last."),
        format!("{whole} 大小为 {size_bytes} 字节。"),
    );
    let last = size_bytes.saturating_sub(1);
    let first: String = file
        .content
        .first()
        .map_or("??".to_owned(), |byte| format!("{byte:02X}"));
    case.steps = vec![select(directory)];
    case.steps.extend_from_slice(way_in);
    case.steps.extend([
        send(
            "the first byte",
            format!("00B0{:02X}00 01", 0x80 | file.sfi),
            &format!("{first}9000"),
        ),
        send("the last byte", format!("00B0{last:04X} 01"), "{1}9000"),
        send(
            "one past the last",
            format!("00B0{size_bytes:04X} 01"),
            "6B00",
        ),
        send(
            "two bytes where one is left",
            format!("00B0{last:04X} 02"),
            "6C01",
        ),
    ]);
    vec![case]
}

fn cyclic(
    directory: &Directory,
    file: &File,
    record_len: u8,
    count: u8,
    way_in: &[Step],
) -> Vec<Case> {
    let whole = file_name(directory, file);
    let mut empty = case(
        name(directory, file, "as-issued"),
        format!(
            "{whole} has the {} records that it was issued with.",
            file.rows.len()
        ),
        format!("{whole} 发卡时有 {} 条记录。", file.rows.len()),
    );
    empty.steps = vec![select(directory)];
    empty.steps.extend_from_slice(way_in);
    for (number, row) in (1..).zip(file.rows.iter().rev()) {
        empty.steps.push(send(
            "a record it was issued with",
            format!("00B2{number:02X}{:02X} {record_len:02X}", by_number(file)),
            &format!("{}9000", hex_of(row)),
        ));
    }
    empty.steps.push(send(
        "one past the last",
        format!(
            "00B2{:02X}{:02X} {record_len:02X}",
            file.rows.len() + 1,
            by_number(file)
        ),
        "6A83",
    ));
    let mut cases = vec![empty];
    if let Some(way_to_write) = opening(&file.update) {
        cases.push(ring(
            directory,
            file,
            record_len,
            count,
            &[way_in, &way_to_write].concat(),
        ));
    }
    cases
}

/// Appends one more than fit: the newest is number 1 and the oldest is gone.
fn ring(directory: &Directory, file: &File, record_len: u8, count: u8, way: &[Step]) -> Case {
    let whole = file_name(directory, file);
    let mut case = case(
        name(directory, file, "ring"),
        format!("{whole} keeps the newest {count} records, the newest as number 1."),
        format!("{whole} 保留最新 {count} 条记录，最新一条记录号为 1。"),
    );
    case.safety = Safety::Writes;
    let record = |mark: u8| hex_of(&vec![mark; usize::from(record_len)]);
    case.steps = vec![select(directory)];
    case.steps.extend_from_slice(way);
    for mark in 1..=count + 1 {
        case.steps.push(send(
            "append",
            format!(
                "00DC00{:02X} {record_len:02X} {}",
                file.sfi << 3 | 0x03,
                record(mark)
            ),
            "9000",
        ));
    }
    for number in 1..=count {
        case.steps.push(send(
            "newest first",
            format!("00B2{number:02X}{:02X} {record_len:02X}", by_number(file)),
            &format!("{}9000", record(count + 2 - number)),
        ));
    }
    case.steps.push(step(
        "the oldest is gone",
        Action::Send(format!(
            "00B2{:02X}{:02X} {record_len:02X}",
            count + 1,
            by_number(file)
        )),
        "6A83",
    ));
    case
}
