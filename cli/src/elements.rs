//! The data objects of a bank card, with their names, English and Chinese.
//!
//! Source: EMV 4.4 book 3, annexes A to C; JR/T 0025.5, by public material.

use cardlab::apdu::{Command, Response};
use cardlab::fen::Fen;
use cardlab::tag;
use cardlab::tlv::{DataObject, Dol, Objects};
use cardlab_desk::bank::host::{IssuerData, fen_of};
use cardlab_desk::bank::look::{ELEMENTS, Form};

/// How a value is written behind its name, where hexadecimal digits say too little.
#[derive(Clone, Copy)]
enum As {
    Hex,
    Text,
    List,
    Amount,
}

/// Tag, form, names; those that [`ELEMENTS`] has are not here.
const NAMES: [(u32, As, &str, &str); 58] = [
    (0x4F, As::Hex, "应用标识符", "application identifier"),
    (0x50, As::Text, "应用标签", "application label"),
    (0x57, As::Hex, "二磁道等效数据", "track 2 equivalent data"),
    (0x5A, As::Hex, "应用主账号", "account number"),
    (0x5F20, As::Text, "持卡人姓名", "holder"),
    (0x5F24, As::Hex, "应用失效日期", "last day"),
    (0x5F25, As::Hex, "应用生效日期", "first day"),
    (0x5F28, As::Hex, "发卡行国家代码", "issuer's country"),
    (0x5F2D, As::Text, "首选语言", "languages"),
    (0x5F30, As::Hex, "服务码", "service code"),
    (0x5F34, As::Hex, "应用主账号序列号", "sequence number"),
    (0x61, As::Hex, "目录入口", "directory entry"),
    (0x6F, As::Hex, "文件控制信息", "FCI"),
    (0x70, As::Hex, "记录模板", "record"),
    (0x77, As::Hex, "响应模板", "answer"),
    (0x82, As::Hex, "应用交互特征", "AIP"),
    (0x83, As::Hex, "文件标识符", "file identifier"),
    (0x84, As::Hex, "DF名称", "DF name"),
    (0x87, As::Hex, "应用优先指示符", "priority"),
    (0x88, As::Hex, "目录短文件标识符", "SFI of the directory"),
    (0x8C, As::List, "卡片风险管理数据对象列表1", "CDOL1"),
    (0x8D, As::List, "卡片风险管理数据对象列表2", "CDOL2"),
    (
        0x8E,
        As::Hex,
        "持卡人验证方法列表",
        "methods to verify the holder",
    ),
    (0x8F, As::Hex, "认证中心公钥索引", "authority's key index"),
    (0x90, As::Hex, "发卡行公钥证书", "issuer's certificate"),
    (0x92, As::Hex, "发卡行公钥余项", "rest of the issuer's key"),
    (0x93, As::Hex, "签名的静态应用数据", "signed static data"),
    (0x94, As::Hex, "应用文件定位器", "AFL"),
    (0x9F07, As::Hex, "应用用途控制", "usage control"),
    (0x9F08, As::Hex, "应用版本号", "application version"),
    (
        0x9F0D,
        As::Hex,
        "发卡行行为代码-缺省",
        "issuer action code, default",
    ),
    (
        0x9F0E,
        As::Hex,
        "发卡行行为代码-拒绝",
        "issuer action code, denial",
    ),
    (
        0x9F0F,
        As::Hex,
        "发卡行行为代码-联机",
        "issuer action code, on line",
    ),
    (0x9F10, As::Hex, "发卡行应用数据", "issuer application data"),
    (0x9F12, As::Text, "应用首选名称", "preferred name"),
    (0x9F14, As::Hex, "连续脱机交易下限", "lower limit off line"),
    (
        0x9F1F,
        As::Hex,
        "一磁道自定义数据",
        "track 1 discretionary data",
    ),
    (0x9F23, As::Hex, "连续脱机交易上限", "upper limit off line"),
    (0x9F26, As::Hex, "应用密文", "cryptogram"),
    (0x9F27, As::Hex, "密文信息数据", "CID"),
    (0x9F32, As::Hex, "发卡行公钥指数", "issuer's exponent"),
    (0x9F38, As::List, "处理选项数据对象列表", "PDOL"),
    (0x9F42, As::Hex, "应用货币代码", "application currency"),
    (0x9F46, As::Hex, "IC卡公钥证书", "card's certificate"),
    (0x9F47, As::Hex, "IC卡公钥指数", "card's exponent"),
    (0x9F48, As::Hex, "IC卡公钥余项", "rest of the card's key"),
    (0x9F49, As::List, "动态数据认证数据对象列表", "DDOL"),
    (
        0x9F4A,
        As::Hex,
        "静态数据认证标签列表",
        "tags that are signed too",
    ),
    (0x9F4B, As::Hex, "签名的动态应用数据", "signed dynamic data"),
    (0x9F4D, As::Hex, "交易日志入口", "log of payments"),
    (0x9F4F, As::List, "交易日志格式", "form of the log"),
    (0x9F61, As::Text, "持卡人证件号", "holder's document"),
    (0x9F62, As::Hex, "持卡人证件类型", "kind of document"),
    (
        0x9F74,
        As::Text,
        "电子现金发卡行授权码",
        "e-cash authorisation code",
    ),
    (0xA5, As::Hex, "专用模板", "proprietary template"),
    (0xBF0C, As::Hex, "发卡行自定义数据", "issuer's data"),
    (0xDF4D, As::Hex, "圈存日志入口", "log of loads"),
    (0xDF4F, As::List, "圈存日志格式", "form of the log of loads"),
];

/// Bit of the first byte of the AIP, and what the card then has.
const INTERCHANGE: [(u8, &str); 6] = [
    (0x40, "SDA"),
    (0x20, "DDA"),
    (0x10, "持卡人验证 holder verification"),
    (0x08, "终端风险管理 terminal risk management"),
    (0x04, "发卡行认证 issuer authentication"),
    (0x01, "CDA"),
];

/// Values longer than this are not printed again below their answer.
const LONG: usize = 32;

/// The names of a data element of a bank card, Chinese and English.
pub(crate) fn names(tag: u32) -> Option<(&'static str, &'static str)> {
    known(tag).map(|(_, zh, en)| (zh, en))
}

fn known(tag: u32) -> Option<(As, &'static str, &'static str)> {
    let named = NAMES.iter().find(|(known, ..)| *known == tag);
    named
        .map(|(_, form, zh, en)| (*form, *zh, *en))
        .or_else(|| {
            let element = ELEMENTS.iter().find(|(known, ..)| u32::from(*known) == tag);
            element.map(|(_, form, zh, en)| match form {
                Form::Amount => (As::Amount, *zh, *en),
                _ => (As::Hex, *zh, *en),
            })
        })
}

/// What the data of an answer say, a line each; none where they are no objects of a bank
/// card.
pub(crate) fn of(command: &[u8], response: &[u8]) -> Vec<String> {
    let (Ok(command), Some(response)) = (Command::parse(command), Response::parse(response)) else {
        return Vec::new();
    };
    let data = response.data;
    let mut lines = Vec::new();
    match (command.ins, data) {
        (0xA8, [0x80, len, options @ ..]) if usize::from(*len) == options.len() => {
            if let Some((aip, afl)) = options.split_at_checked(2) {
                lines.push(line(0, 0x82, aip));
                lines.push(line(0, 0x94, afl));
            }
        }
        (0xAE, [0x80, len, answer @ ..]) if usize::from(*len) == answer.len() => {
            let [id, high, low, rest @ ..] = answer else {
                return lines;
            };
            lines.push(line(0, 0x9F27, &[*id]));
            lines.push(line(0, 0x9F36, &[*high, *low]));
            if let Some((cryptogram, issuer)) = rest.split_at_checked(8) {
                lines.push(line(0, 0x9F26, cryptogram));
                lines.push(line(0, 0x9F10, issuer));
                lines.extend(verification_results(1, issuer));
            }
        }
        (0xA4 | 0xA8 | 0xAE | 0x88 | 0xB2, [0x61 | 0x6F | 0x70 | 0x77, ..]) | (0xCA, _) => {
            objects(0, data, &mut lines);
        }
        _ => {}
    }
    lines
}

/// The objects one after the other; nothing of them where one is none or has no name.
fn objects(depth: usize, bytes: &[u8], lines: &mut Vec<String>) {
    let all: Result<Vec<_>, _> = Objects::new(bytes).collect();
    let Ok(all) = all else { return };
    for DataObject { tag, value } in all {
        lines.push(if tag.is_constructed() {
            heading(depth, tag.value())
        } else {
            line(depth, tag.value(), value)
        });
        if tag.is_constructed() {
            objects(depth + 1, value, lines);
        } else if tag == tag!(0x9F10) {
            lines.extend(verification_results(depth + 1, value));
        }
    }
}

fn heading(depth: usize, tag: u32) -> String {
    let indent = "  ".repeat(depth);
    match names(tag) {
        Some((zh, en)) => format!("{indent}{tag:02X} {zh} {en}"),
        None => format!("{indent}{tag:02X}"),
    }
}

fn line(depth: usize, tag: u32, value: &[u8]) -> String {
    let shown = match (tag, known(tag)) {
        (0x82, _) => interchange(value),
        (0x94, _) => locator(value),
        (0x9F27, _) => information(value),
        (_, Some((As::Text, ..))) => match std::str::from_utf8(value) {
            Ok(text) if text.bytes().all(|byte| (0x20..0x7F).contains(&byte)) => text.to_owned(),
            _ => plain(value),
        },
        (_, Some((As::Amount, ..))) => {
            fen_of(value).map_or_else(|| plain(value), |fen: Fen| fen.to_string())
        }
        (_, Some((As::List, ..))) => list(value),
        _ => plain(value),
    };
    format!("{}: {shown}", heading(depth, tag))
}

fn plain(value: &[u8]) -> String {
    match value.len() {
        len if len > LONG => format!("{len} bytes"),
        _ => hex::encode_upper(value),
    }
}

/// The AIP, with what its bits say.
fn interchange(value: &[u8]) -> String {
    let said = INTERCHANGE
        .iter()
        .filter(|(bit, _)| value.first().is_some_and(|byte| byte & bit != 0));
    let said: Vec<_> = said.map(|(_, words)| *words).collect();
    format!("{} {}", hex::encode_upper(value), said.join(", "))
}

/// The AFL as files and records.
fn locator(value: &[u8]) -> String {
    let (files, []) = value.as_chunks::<4>() else {
        return plain(value);
    };
    let files = files.iter().map(|[sfi, first, last, signed]| {
        let signed = match signed {
            0 => String::new(),
            signed => format!(", {signed} signed 参与签名"),
        };
        format!(
            "SFI {:02X} records 记录 {first} to {last}{signed}",
            sfi >> 3
        )
    });
    files.collect::<Vec<_>>().join("; ")
}

/// The kind of a cryptogram.
fn information(value: &[u8]) -> String {
    let words = match value.first().map(|id| id >> 6) {
        Some(0) => "AAC, declined 拒绝",
        Some(1) => "TC, approved 批准",
        Some(2) => "ARQC, asks the bank 请求联机",
        _ => "",
    };
    format!("{} {words}", hex::encode_upper(value))
}

/// Tags and lengths of a list.
fn list(value: &[u8]) -> String {
    let Ok(list) = Dol::parse(value) else {
        return plain(value);
    };
    let entries = list
        .entries()
        .map(|entry| format!("{:02X} {}", entry.tag.value(), entry.len));
    entries.collect::<Vec<_>>().join(", ")
}

/// What issuer application data say.
fn verification_results(depth: usize, value: &[u8]) -> Vec<String> {
    let indent = "  ".repeat(depth);
    let Some(issuer) = IssuerData::read(value) else {
        return Vec::new();
    };
    let [a, b, c] = issuer.cvr.0;
    let said: Vec<_> = issuer
        .cvr
        .words()
        .map(|(en, zh)| format!("{zh} {en}"))
        .collect();
    let mut lines = vec![format!(
        "{indent}卡片验证结果 CVR: 03{a:02X}{b:02X}{c:02X} {}",
        said.join("; ")
    )];
    if let Some(balance) = issuer.cash_balance() {
        lines.push(format!("{indent}电子现金余额 e-cash balance: {balance}"));
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::{NAMES, of};
    use cardlab_desk::bank::look::ELEMENTS;
    use std::collections::HashSet;

    fn lines(command: &str, response: &str) -> Vec<String> {
        let bytes = |hex: &str| hex::decode(hex.replace(' ', "")).unwrap();
        of(&bytes(command), &bytes(response))
    }

    #[test]
    fn processing_options_and_cryptograms_are_taken_apart() {
        assert_eq!(
            lines("80A80000 02 8300 00", "80 0A 7D00 08010200 10010401 9000"),
            [
                "82 应用交互特征 AIP: 7D00 SDA, DDA, 持卡人验证 holder verification, \
                 终端风险管理 terminal risk management, 发卡行认证 issuer authentication, CDA",
                "94 应用文件定位器 AFL: SFI 01 records 记录 1 to 2; \
                 SFI 02 records 记录 1 to 4, 1 signed 参与签名",
            ]
        );
        assert_eq!(
            lines(
                "80AE8000 01 00 00",
                "80 1E 80 0003 E6988C370A195CD7 07010103A61000010A01000000000004D980CA 9000"
            ),
            [
                "9F27 密文信息数据 CID: 80 ARQC, asks the bank 请求联机",
                "9F36 应用交易计数器 transaction counter: 0003",
                "9F26 应用密文 cryptogram: E6988C370A195CD7",
                "9F10 发卡行应用数据 issuer application data: \
                 07010103A61000010A01000000000004D980CA",
                "  卡片验证结果 CVR: 03A61000 已执行脱机PIN验证 the PIN was verified on the card; \
                 脱机PIN验证失败 that PIN was wrong; 新卡 a new card",
                "  电子现金余额 e-cash balance: 0.00",
            ]
        );
    }

    #[test]
    fn templates_are_printed_as_a_tree_and_what_is_no_template_not_at_all() {
        assert_eq!(
            lines(
                "00B2010C 00",
                "70 1B 61 19 4F 08 A000000333010101 50 0A 50424F43204445424954 87 01 01 9000"
            ),
            [
                "70 记录模板 record",
                "  61 目录入口 directory entry",
                "    4F 应用标识符 application identifier: A000000333010101",
                "    50 应用标签 application label: PBOC DEBIT",
                "    87 应用优先指示符 priority: 01",
            ]
        );
        assert_eq!(
            lines("80CA9F79 00", "9F79 06 000000012345 9000"),
            ["9F79 电子现金余额 e-cash balance: 123.45"]
        );
        for nothing in ["08 02 3431 9000", "70 05 01 9000", "6A83"] {
            assert_eq!(lines("00B20134 00", nothing), [""; 0], "{nothing}");
        }
    }

    #[test]
    fn every_tag_has_its_names_once() {
        let elements = ELEMENTS.iter().map(|(tag, ..)| u32::from(*tag));
        let mut seen = HashSet::new();
        for tag in NAMES.iter().map(|(tag, ..)| *tag).chain(elements) {
            assert!(seen.insert(tag), "{tag:X}");
        }
    }
}
