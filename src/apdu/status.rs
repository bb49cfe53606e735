//! Each status word once: its name, its value, its words.
//!
//! Source: ISO/IEC 7816-4:2020, 5.6, tables 5 and 6; the '93XX' and '94XX' of the
//! social security card specification, part 5, table 5.

use core::fmt;

/// A status word, SW1 SW2.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Sw(pub u16);

/// What a status word promises of non-volatile memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Memory {
    /// Nothing has changed.
    Unchanged,
    /// Something may have changed.
    MayHaveChanged,
    /// The standard says nothing of this word.
    Unsaid,
}

macro_rules! status_words {
    ($($name:ident = $value:literal $en:literal $zh:literal;)*) => {
        impl Sw {
            $(#[doc = concat!("'", stringify!($value), "': ", $en, ".")]
            pub const $name: Sw = Sw($value);)*

            const TABLE: &[(Sw, &str, &str)] = &[$((Sw::$name, $en, $zh)),*];
        }
    };
}

status_words! {
    OK = 0x9000 "normal ending" "正常结束";
    NO_INFORMATION = 0x6200 "warning without information" "警告，无信息";
    SELECTED_FILE_INVALIDATED = 0x6283 "selected file deactivated" "所选文件已失效";
    MORE_DATA_WARNING = 0x6310 "more data available" "还有数据";
    COMPARISON_FAILED = 0x6300 "verification failed" "验证失败";
    EXECUTION_ERROR = 0x6400 "execution error, memory unchanged" "执行错误，存储器未改变";
    MEMORY_FAILURE = 0x6581 "memory failure" "存储器故障";
    WRONG_LENGTH = 0x6700 "wrong length" "长度错误";
    CHANNEL_NOT_SUPPORTED = 0x6881 "logical channel not supported" "不支持该逻辑通道";
    SECURE_MESSAGING_NOT_SUPPORTED = 0x6882 "secure messaging not supported" "不支持安全报文";
    LAST_OF_CHAIN_EXPECTED = 0x6883 "last command of the chain expected" "应为命令链的最后一条命令";
    CHAINING_NOT_SUPPORTED = 0x6884 "command chaining not supported" "不支持命令链";
    COMMAND_NOT_ACCEPTED = 0x6901 "command not accepted in this state" "命令不被接受（状态无效）";
    INCOMPATIBLE_WITH_FILE_STRUCTURE =
        0x6981 "command incompatible with file structure" "命令与文件结构不相容";
    SECURITY_NOT_SATISFIED = 0x6982 "security status not satisfied" "不满足安全状态";
    METHOD_BLOCKED = 0x6983 "authentication method blocked" "认证方法锁定";
    REFERENCE_DATA_NOT_USABLE =
        0x6984 "reference data not usable, or no valid challenge" "引用数据无效或未取随机数";
    CONDITIONS_NOT_MET = 0x6985 "conditions of use not satisfied" "使用条件不满足";
    NO_CURRENT_EF = 0x6986 "command not allowed, no current EF" "没有选择当前文件";
    SM_OBJECT_MISSING = 0x6987 "secure messaging data object missing" "安全报文数据项丢失";
    SM_OBJECT_WRONG = 0x6988 "secure messaging data object wrong" "安全报文数据项不正确";
    APPLET_SELECT_FAILED = 0x6999 "applet selection failed" "应用选择失败";
    WRONG_DATA = 0x6A80 "wrong data field" "数据域参数不正确";
    NOT_SUPPORTED = 0x6A81 "function not supported, or card blocked" "功能不支持或卡片锁定";
    FILE_NOT_FOUND = 0x6A82 "file or application not found" "未找到文件";
    RECORD_NOT_FOUND = 0x6A83 "record not found" "未找到记录";
    NOT_ENOUGH_MEMORY = 0x6A84 "not enough memory space" "存储空间不足";
    NC_INCONSISTENT_WITH_TLV = 0x6A85 "Lc inconsistent with TLV structure" "Lc与TLV结构不一致";
    WRONG_P1_P2 = 0x6A86 "incorrect P1 P2" "P1P2参数不正确";
    NC_INCONSISTENT_WITH_P1_P2 = 0x6A87 "Lc inconsistent with P1 P2" "Lc与P1P2不一致";
    REFERENCE_DATA_NOT_FOUND = 0x6A88 "referenced data or key not found" "未找到引用数据（密钥）";
    FILE_ALREADY_EXISTS = 0x6A89 "file already exists" "文件已存在";
    NAME_ALREADY_EXISTS = 0x6A8A "DF name already exists" "DF名称已存在";
    OFFSET_OUTSIDE_EF = 0x6B00 "offset outside the EF" "偏移量超出文件";
    INS_NOT_SUPPORTED = 0x6D00 "instruction not supported" "指令代码不支持";
    CLA_NOT_SUPPORTED = 0x6E00 "class not supported" "指令类型不支持";
    NO_DIAGNOSIS = 0x6F00 "no precise diagnosis" "数据无效";
    MAC_INVALID = 0x9302 "MAC invalid" "MAC无效";
    APPLICATION_BLOCKED = 0x9303 "application permanently blocked" "应用永久锁定";
    INSUFFICIENT_AMOUNT = 0x9401 "insufficient amount" "金额不足";
    COUNTER_AT_MAXIMUM = 0x9402 "counter at its maximum" "交易计数器达到最大值";
    KEY_INDEX_NOT_SUPPORTED = 0x9403 "key index not supported" "密钥索引不支持";
    MAC_NOT_AVAILABLE = 0x9406 "MAC not available" "所需MAC不可用";
}

impl Sw {
    /// '63CX': comparison failed, `tries` further tries allowed (0 to 15; more
    /// reads as 15).
    #[must_use]
    pub const fn tries_left(tries: u8) -> Sw {
        Sw(0x63C0 | if tries > 15 { 15 } else { tries as u16 })
    }

    /// '61XX': `len` more bytes wait for GET RESPONSE; 256 and more read as '6100'.
    #[must_use]
    pub const fn more_data(len: usize) -> Sw {
        let [low, ..] = len.to_le_bytes();
        Sw(u16::from_be_bytes([0x61, if len > 255 { 0 } else { low }]))
    }

    /// '6CXX': wrong Le, `len` bytes are there; 256 reads as '6C00'.
    #[must_use]
    pub const fn wrong_le(len: usize) -> Sw {
        let [low, ..] = len.to_le_bytes();
        Sw(u16::from_be_bytes([0x6C, low]))
    }

    /// SW1.
    #[must_use]
    pub const fn sw1(self) -> u8 {
        self.0.to_be_bytes()[0]
    }

    /// SW2.
    #[must_use]
    pub const fn sw2(self) -> u8 {
        self.0.to_be_bytes()[1]
    }

    /// Whether the word is an error: '64XX' to '6FXX', or '9XXX' but '9000'.
    ///
    /// The '93XX' and '94XX' of this field are errors, as their commands are
    /// refused with them.
    #[must_use]
    pub const fn is_error(self) -> bool {
        !matches!(self.sw1(), 0x61..=0x63) && self.0 != Sw::OK.0
    }

    /// What this status word promises about non-volatile memory.
    ///
    /// Source: ISO/IEC 7816-4:2020, 5.6, table 5.
    #[must_use]
    pub const fn memory(self) -> Memory {
        match self.sw1() {
            0x62 | 0x64 | 0x67..=0x6F => Memory::Unchanged,
            0x61 | 0x63 | 0x65 | 0x66 => Memory::MayHaveChanged,
            _ if self.0 == Sw::OK.0 => Memory::MayHaveChanged,
            _ => Memory::Unsaid,
        }
    }

    /// Its words in English, where a standard of ours has any.
    #[must_use]
    pub fn words(self) -> Option<&'static str> {
        self.entry().map(|(_, en, _)| *en).or(match self.0 {
            0x6100..=0x61FF => Some("more data for GET RESPONSE"),
            0x63C0..=0x63CF => Some("verification failed, the last digit tries left"),
            0x6C00..=0x6CFF => Some("wrong Le, SW2 is the right one"),
            _ => None,
        })
    }

    /// Its words in Chinese, where a standard of ours has any.
    #[must_use]
    pub fn words_zh(self) -> Option<&'static str> {
        self.entry().map(|(_, _, zh)| *zh).or(match self.0 {
            0x6100..=0x61FF => Some("还有数据可取"),
            0x63C0..=0x63CF => Some("验证失败，末位为剩余次数"),
            0x6C00..=0x6CFF => Some("Le错误，SW2为正确长度"),
            _ => None,
        })
    }

    fn entry(self) -> Option<&'static (Sw, &'static str, &'static str)> {
        Sw::TABLE.iter().find(|(sw, _, _)| *sw == self)
    }
}

impl fmt::Debug for Sw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl fmt::Display for Sw {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:04X}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::{Memory, Sw};
    use std::collections::HashSet;

    #[test]
    fn every_word_stands_once_in_the_table() {
        let mut seen = HashSet::new();
        assert!(Sw::TABLE.iter().all(|(sw, _, _)| seen.insert(sw.0)));
    }

    #[test]
    fn every_one_of_65536_words_keeps_its_value_and_has_one_meaning() {
        for value in 0..=u16::MAX {
            let sw = Sw(value);
            assert_eq!(u16::from_be_bytes([sw.sw1(), sw.sw2()]), value);
            assert_eq!(sw.words().is_some(), sw.words_zh().is_some());
            assert_eq!(sw.to_string(), format!("{value:04X}"));
            if sw.memory() == Memory::Unchanged && sw.sw1() != 0x62 {
                assert!(sw.is_error(), "{sw}");
            }
        }
    }

    #[test]
    fn counting_words_carry_their_count() {
        for tries in 0..=15 {
            assert_eq!(Sw::tries_left(tries).0, 0x63C0 + u16::from(tries));
        }
        assert_eq!(Sw::tries_left(200), Sw(0x63CF));
        for len in 1..=255 {
            assert_eq!(Sw::more_data(len).sw2() as usize, len);
            assert_eq!(Sw::wrong_le(len).sw2() as usize, len);
        }
        assert_eq!(
            (Sw::more_data(256), Sw::wrong_le(256)),
            (Sw(0x6100), Sw(0x6C00))
        );
        assert_eq!(Sw::more_data(5000), Sw(0x6100));
    }
}
