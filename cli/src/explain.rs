//! A command and its answer in words, English and Chinese.
//!
//! Says what the bytes are by the standard; it does not know what the card meant.

use crate::elements;
use cardlab::apdu::{Command, Response, SecureMessaging, Sw};
use cardlab_desk::encode::Decoded;
use std::fmt::Write as _;

/// INS, its name, its name in Chinese, in every class but 'BX'.
const NAMES: [(u8, &str, &str); 25] = [
    (0x16, "CARD BLOCK", "卡片锁定"),
    (0x18, "APPLICATION UNBLOCK", "应用解锁"),
    (0x1E, "APPLICATION BLOCK", "应用锁定"),
    (0x20, "VERIFY", "校验个人密码"),
    (0x24, "PIN CHANGE/UNBLOCK", "个人密码重装/解锁"),
    (0x44, "ACTIVATE FILE", "激活文件"),
    (0x5E, "CHANGE PIN", "修改个人密码"),
    (0x70, "MANAGE CHANNEL", "逻辑通道管理"),
    (0x82, "EXTERNAL AUTHENTICATION", "外部认证"),
    (0x84, "GET CHALLENGE", "取随机数"),
    (0x88, "INTERNAL AUTHENTICATION", "内部认证"),
    (0xA4, "SELECT", "选择文件"),
    (0xA8, "GET PROCESSING OPTIONS", "取处理选项"),
    (0xAE, "GENERATE AC", "生成应用密文"),
    (0xB0, "READ BINARY", "读二进制文件"),
    (0xB2, "READ RECORD", "读记录文件"),
    (0xC0, "GET RESPONSE", "取响应数据"),
    (0xCA, "GET DATA", "取数据"),
    (0xD4, "WRITE KEY", "写密钥"),
    (0xD6, "UPDATE BINARY", "修改二进制文件"),
    (0xDA, "PUT DATA", "写数据"),
    (0xDC, "UPDATE RECORD", "修改记录文件"),
    (0xE0, "CREATE FILE", "建立文件"),
    (0xE6, "INSTALL", "安装应用"),
    (0xF0, "SET STATUS", "设置状态"),
];

/// INS and P1 of the medical commands, class 'BX'; P1 `None` where it says nothing.
const MEDICAL: [(u8, Option<u8>, &str, &str); 8] = [
    (0x26, None, "GET BALANCE", "读余额"),
    (0x28, Some(0x00), "INITIALIZE FOR LOAD", "账户划入初始化"),
    (0x28, Some(0x01), "INITIALIZE FOR PURCHASE", "消费初始化"),
    (0x2A, None, "CREDIT FOR LOAD", "账户划入"),
    (0x2C, None, "DEBIT FOR PURCHASE", "消费"),
    (0x2E, None, "GET TRANSACTION PROOF", "取交易认证"),
    (0x56, Some(0x00), "UPDATE STARTING DAY", "修改年度起始日期"),
    (0x56, Some(0x01), "GET STARTING DAY", "读年度起始日期"),
];

/// The names of a command, in English and Chinese.
fn names_of(command: &Command<'_>) -> Option<(&'static str, &'static str)> {
    if command.class.byte() & 0xF0 == 0xB0 {
        return MEDICAL
            .iter()
            .find(|(ins, p1, ..)| *ins == command.ins && p1.is_none_or(|p1| p1 == command.p1))
            .map(|(.., en, zh)| (*en, *zh));
    }
    NAMES
        .iter()
        .find(|(ins, ..)| *ins == command.ins)
        .map(|(_, en, zh)| (*en, *zh))
}

/// One line about a command: its name, what it addresses, its lengths.
pub(crate) fn command(bytes: &[u8]) -> String {
    let command = match Command::parse(bytes) {
        Ok(command) => command,
        Err(malformed) => return format!("not a command: {malformed}"),
    };
    let mut line = match names_of(&command) {
        Some((en, zh)) => format!("{en} {zh}"),
        None => format!("INS '{:02X}'", command.ins),
    };
    line += &addressed(&command);
    let class = command.class;
    if class.channel() > 0 {
        let _ = write!(line, ", channel {}", class.channel());
    }
    if class.is_chaining() {
        line += ", more of it follows";
    }
    if class.secure_messaging() != SecureMessaging::None {
        line += ", secure messaging 安全报文";
    }
    if !command.data.is_empty() {
        let _ = write!(line, ", {} bytes sent", command.data.len());
    }
    if command.ne > 0 {
        let _ = write!(line, ", up to {} bytes expected", command.ne);
    }
    line
}

/// What P1, P2 and the data field of a known command address.
fn addressed(command: &Command<'_>) -> String {
    let sfi = |sfi: u8| match sfi {
        0 => "of the current EF".to_owned(),
        sfi => format!("of EF with SFI {sfi:02X}"),
    };
    match (command.ins, command.p1) {
        (0xA4, 0x04) => format!(" by name {}", name_of(command.data)),
        (0xA4, 0x00 | 0x02) if command.data.len() == 2 => {
            format!(" by FID {}", hex::encode_upper(command.data))
        }
        (0xA4, 0x00) if command.data.is_empty() => " the MF".to_owned(),
        (0xB0 | 0xD6, p1) if p1 & 0x80 != 0 => {
            format!(" {} from offset {}", sfi(p1 & 0x1F), command.p2)
        }
        (0xB0 | 0xD6, p1) => {
            format!(
                " of the current EF from offset {}",
                u16::from_be_bytes([p1, command.p2])
            )
        }
        (0xB2 | 0xDC, p1) => {
            let which = match command.p2 & 0x07 {
                0 => format!("first with identifier {p1:02X}"),
                1 => format!("last with identifier {p1:02X}"),
                2 => format!("next with identifier {p1:02X}"),
                3 => format!("previous with identifier {p1:02X}"),
                4 if p1 == 0 => "current one".to_owned(),
                4 => format!("number {p1}"),
                5 => format!("numbers {p1} to the last"),
                6 => format!("numbers from the last to {p1}"),
                _ => "reserved P2".to_owned(),
            };
            format!(" {which} {}", sfi(command.p2 >> 3))
        }
        (0xAE, p1) => {
            let asked = match p1 >> 6 {
                0 => "AAC",
                1 => "TC",
                2 => "ARQC",
                _ => "RFU",
            };
            let signed = if p1 & 0x10 == 0 { "" } else { ", signed (CDA)" };
            format!(" asks for {asked}{signed}")
        }
        (0xCA | 0xDA, p1) => {
            let tag = u16::from_be_bytes([p1, command.p2]);
            match elements::names(u32::from(tag)) {
                Some((zh, en)) => format!(" {tag:04X} {zh} {en}"),
                None => format!(" {tag:04X}"),
            }
        }
        (0x82 | 0x88, _) => format!(" with key {:02X}", command.p2),
        (0x24, _) if command.p2 == 0 => " unblock".to_owned(),
        (0x24, _) if command.p2 == 1 => " set a new PIN".to_owned(),
        (0x20, _) if command.data.is_empty() => " asks for the state".to_owned(),
        _ => String::new(),
    }
}

/// A DF name in hex, and as text where it is one in GB 18030.
fn name_of(name: &[u8]) -> String {
    let hex = hex::encode_upper(name);
    match cardlab_desk::encode::decode_text(name) {
        Decoded::Text(text) => format!("{hex} \"{text}\""),
        _ => hex,
    }
}

/// One line about an answer: how many bytes and what the status word says.
pub(crate) fn response(bytes: &[u8]) -> String {
    let Some(response) = Response::parse(bytes) else {
        return "not an answer: fewer than 2 bytes".to_owned();
    };
    let words = match (response.sw.words(), response.sw.words_zh()) {
        (Some(en), Some(zh)) => format!("{en} {zh}"),
        _ => "a status word that no standard here names".to_owned(),
    };
    match response.data.len() {
        0 => format!("{}: {words}", response.sw),
        len => format!("{len} bytes, {}: {words}", response.sw),
    }
}

/// Whether an answer refuses its command.
pub(crate) fn refuses(bytes: &[u8]) -> bool {
    Response::parse(bytes)
        .is_none_or(|response| response.sw.is_error() || is_failed_try(response.sw))
}

fn is_failed_try(sw: Sw) -> bool {
    sw.0 & 0xFFF0 == 0x63C0
}

#[cfg(test)]
mod tests {
    use super::{command, response};

    fn of(hex: &str) -> String {
        command(&hex::decode(hex.replace(' ', "")).unwrap())
    }

    #[test]
    fn commands_read_as_sentences() {
        assert_eq!(
            of("00B20134 00"),
            "READ RECORD 读记录文件 number 1 of EF with SFI 06, up to 256 bytes expected"
        );
        assert_eq!(
            of("00B24E00 16"),
            "READ RECORD 读记录文件 first with identifier 4E of the current EF, up to 22 bytes expected"
        );
        assert_eq!(
            of("00200000 03 123456"),
            "VERIFY 校验个人密码, 3 bytes sent"
        );
        assert!(
            of("00A40400 0F 7378312E73682EC9E7BBE1B1A3D5CF 00").contains("\"sx1.sh.社会保障\"")
        );
        assert_eq!(
            of("80A80000 02 8300 00"),
            "GET PROCESSING OPTIONS 取处理选项, 2 bytes sent, up to 256 bytes expected"
        );
        assert_eq!(
            of("80AE9000 01 00 00"),
            "GENERATE AC 生成应用密文 asks for ARQC, signed (CDA), 1 bytes sent, \
             up to 256 bytes expected"
        );
        assert_eq!(
            of("80CA9F36 00"),
            "GET DATA 取数据 9F36 应用交易计数器 transaction counter, up to 256 bytes expected"
        );
        assert_eq!(
            of("84180000 04 1BB44931"),
            "APPLICATION UNBLOCK 应用解锁, secure messaging 安全报文, 4 bytes sent"
        );
        assert!(of("B0280101 00").starts_with("INITIALIZE FOR PURCHASE 消费初始化"));
        assert_eq!(
            of("00"),
            "not a command: the length fields do not agree with the 1 bytes of the command"
        );
    }

    #[test]
    fn every_first_byte_can_be_explained() {
        for cla in 0..=255u8 {
            for ins in 0..=255u8 {
                assert!(!command(&[cla, ins, 0x80, 0xFF, 1, 2]).is_empty());
            }
        }
    }

    #[test]
    fn answers_say_what_the_status_word_means() {
        assert_eq!(
            response(&[0x69, 0x82]),
            "6982: security status not satisfied 不满足安全状态"
        );
        assert_eq!(
            response(&[1, 0x90, 0]),
            "1 bytes, 9000: normal ending 正常结束"
        );
        assert_eq!(response(&[0x12]), "not an answer: fewer than 2 bytes");
    }
}
