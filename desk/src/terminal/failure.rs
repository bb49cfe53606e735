//! What a function of the reader interface returns when it does not succeed.
//!
//! | code             | when                                                        |
//! |------------------|-------------------------------------------------------------|
//! | 0                | done                                                        |
//! | minus the status word | the card or the PSAM refused: -27010 is '6982'          |
//! | -1 to -4         | another kind of card, none, no power, no answer             |
//! | -20 to -24       | recognition code, internal authentication, data, key level  |
//! | -35, -36         | the initial PIN may not transact, may not be set again      |
//! | -51, -52         | the PIN is wrong, is locked                                 |
//! | -2201 to -2204   | the security module                                         |
//! | -9001 to -9004   | the terminal's own rules; the interface has no numbers for them |
//!
//! '63CX' of a PIN is -51, and -52 where no try is left; of a key it is minus itself.
//! What the terminal itself finds as a card would is minus the word the card would say:
//! '6A82' no such file, '6A83' no such record, '6A80' an address that is none of its file,
//! or a value that its place does not take, '6F00' an answer of the card that is none.
//!
//! Source: reader specification of 38号文, annex A; social security card
//! specification, part 5, table 5.

use super::address::AddressError;
use crate::encode::EncodeError;
use cardlab::apdu::Sw;
use cardlab::icc::Lost;
use core::fmt;

/// Why a function did not succeed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Failure {
    /// The card refused a command: its name, and the status word.
    Card(&'static str, Sw),
    /// The card refused a command after its initial PIN, which opens nothing on it before
    /// it is changed: the command's name, and the status word.
    FirstChange(&'static str, Sw),
    /// The PSAM refused a command.
    Module(&'static str, Sw),
    /// It is no social security card, or of a version that the terminal does not know.
    WrongCardType,
    /// There is no card that answers a reset.
    NoCard(Lost),
    /// The card has no power.
    NotPowered,
    /// The card does not answer: mute, or pulled.
    NoAnswer(Lost),
    /// The recognition code has not the form that it must have.
    RecognitionCode,
    /// The card did not prove its issuer: internal authentication failed.
    NotGenuine,
    /// The card is another one than the caller says, or its data are: which.
    Differs(&'static str),
    /// No level of the PSAM fits the key.
    KeyLevel,
    /// The PIN is wrong; so many tries are left.
    PinWrong(u8),
    /// The PIN is locked.
    PinLocked,
    /// The initial PIN may not transact: it is to be changed first.
    InitialPin,
    /// The initial PIN may not be set again.
    ToInitialPin,
    /// There is no PSAM, or it does not answer.
    NoModule(String),
    /// The module lacks the card's algorithm.
    NoAlgorithm,
    /// The module lacks the key that opens the cardholder's data of 3.0.
    NoReadingKey,
    /// The module lacks another key.
    NoKey(String),
    /// No HSM is needed for this.
    HsmNotNeeded,
    /// The card is in the blacklist: reported lost.
    Blacklisted,
    /// The card's day is over: which day.
    Expired(String),
    /// The institution that initialised it is not among those served here.
    Institution(String),
    /// Its class is not among those served here.
    Class(String),
    /// The caller's file address is none.
    Address(AddressError),
    /// The card of this version has no such file.
    NoFile(String),
    /// The file has no such item.
    NoItem(String),
    /// The file is read and written item by item, and the address names none.
    ItemsMissing(String),
    /// The file, cyclic or transparent, has no items, and the address names some.
    ItemsTooMany(String),
    /// A value that its place does not take.
    Value(String, EncodeError),
    /// A PIN has 4 to 16 digits.
    NoPin,
    /// An answer of the card that is none: what was to come.
    Malformed(&'static str),
}

impl Failure {
    /// The return code of the interface, never 0.
    #[must_use]
    pub fn code(&self) -> i32 {
        let minus = |sw: Sw| -i32::from(sw.0);
        match self {
            Failure::Card(_, sw) | Failure::FirstChange(_, sw) | Failure::Module(_, sw) => {
                minus(*sw)
            }
            Failure::WrongCardType => -1,
            Failure::NoCard(_) => -2,
            Failure::NotPowered => -3,
            Failure::NoAnswer(_) => -4,
            Failure::RecognitionCode => -20,
            Failure::NotGenuine => -21,
            Failure::Differs(_) => -22,
            Failure::KeyLevel => -24,
            Failure::InitialPin => -35,
            Failure::ToInitialPin => -36,
            Failure::PinWrong(_) => -51,
            Failure::PinLocked => -52,
            Failure::NoModule(_) => -2201,
            Failure::NoAlgorithm => -2202,
            Failure::NoReadingKey => -2203,
            Failure::HsmNotNeeded => -2204,
            Failure::Blacklisted => -9001,
            Failure::Expired(_) => -9002,
            Failure::Institution(_) => -9003,
            Failure::Class(_) => -9004,
            Failure::NoKey(_) => minus(Sw::REFERENCE_DATA_NOT_FOUND),
            Failure::NoFile(_) => minus(Sw::FILE_NOT_FOUND),
            Failure::NoItem(_) => minus(Sw::RECORD_NOT_FOUND),
            Failure::Address(_)
            | Failure::ItemsMissing(_)
            | Failure::ItemsTooMany(_)
            | Failure::Value(..)
            | Failure::NoPin => minus(Sw::WRONG_DATA),
            Failure::Malformed(_) => minus(Sw::NO_DIAGNOSIS),
        }
    }

    /// What it says, in English.
    #[must_use]
    pub fn words(&self) -> String {
        match self {
            Failure::Card(what, sw) => {
                let words = sw.words().unwrap_or("unknown");
                format!("the card answered {what} with {sw}: {words}")
            }
            Failure::FirstChange(what, sw) => {
                let refused = Failure::Card(what, *sw).words();
                format!("{refused}; on this card the initial PIN opens nothing: change it first")
            }
            Failure::Module(what, sw) => {
                let words = sw.words().unwrap_or("unknown");
                format!("the PSAM answered {what} with {sw}: {words}")
            }
            Failure::WrongCardType => "no social security card that this terminal knows".into(),
            Failure::NoCard(lost) => format!("no card: {lost}"),
            Failure::NotPowered => "the card has no power".into(),
            Failure::NoAnswer(lost) => format!("the card does not answer: {lost}"),
            Failure::RecognitionCode => "the card recognition code is malformed".into(),
            Failure::NotGenuine => "internal authentication failed: the card is not genuine".into(),
            Failure::Differs(what) => format!("another card than the caller's: {what} differs"),
            Failure::KeyLevel => "the PSAM has the key at no level that fits".into(),
            Failure::PinWrong(1) => "PIN wrong, 1 try left".into(),
            Failure::PinWrong(tries) => format!("PIN wrong, {tries} tries left"),
            Failure::PinLocked => "PIN locked: to be unlocked at the desk".into(),
            Failure::InitialPin => "the initial PIN may not transact: change it first".into(),
            Failure::ToInitialPin => "the PIN may not be changed to the initial one".into(),
            Failure::NoModule(why) => format!("no security module: {why}"),
            Failure::NoAlgorithm => "the security module lacks the card's algorithm".into(),
            Failure::NoReadingKey => "the security module lacks RKSSSE".into(),
            Failure::NoKey(name) => format!("the security module lacks the key {name}"),
            Failure::HsmNotNeeded => "no HSM is needed".into(),
            Failure::Blacklisted => "the card is in the blacklist: reported lost".into(),
            Failure::Expired(day) => format!("the card was valid until {day}"),
            Failure::Institution(number) => {
                format!("cards initialised by {number} are not served here")
            }
            Failure::Class(class) => format!("cards of class {class:?} are not served here"),
            Failure::Address(error) => error.to_string(),
            Failure::NoFile(name) => format!("a card of this version has no file {name}"),
            Failure::NoItem(name) => format!("{name} is no item of its file"),
            Failure::ItemsMissing(name) => {
                format!("{name} has items, and the address names none: as in '{name}|09|$'")
            }
            Failure::ItemsTooMany(name) => {
                format!("{name} has no items: its address is '{name}|$' or '{name}$'")
            }
            Failure::Value(name, error) => format!("the value for {name}: {error}"),
            Failure::NoPin => "a PIN has 4 to 16 digits".into(),
            Failure::Malformed(what) => format!("the card's answer is not {what}"),
        }
    }

    /// What it says, in Chinese.
    #[must_use]
    pub fn words_zh(&self) -> String {
        match self {
            Failure::Card(_, sw) => {
                format!("卡片返回 {sw}：{}", sw.words_zh().unwrap_or("未知状态"))
            }
            Failure::FirstChange(what, sw) => {
                let refused = Failure::Card(what, *sw).words_zh();
                format!("{refused}；此卡初始密码须先修改方可使用")
            }
            Failure::Module(_, sw) => {
                format!("PSAM卡返回 {sw}：{}", sw.words_zh().unwrap_or("未知状态"))
            }
            Failure::WrongCardType => "卡类型不对".into(),
            Failure::NoCard(_) => "无卡".into(),
            Failure::NotPowered => "卡未上电".into(),
            Failure::NoAnswer(_) => "卡无应答".into(),
            Failure::RecognitionCode => "卡识别码格式错误".into(),
            Failure::NotGenuine => "内部认证失败".into(),
            Failure::Differs(_) => "传入数据与卡内数据不符".into(),
            Failure::KeyLevel => "PSAM卡密钥分散级数不符".into(),
            Failure::PinWrong(tries) => format!("个人密码错误，剩余 {tries} 次"),
            Failure::PinLocked => "个人密码锁定，请到服务窗口解锁".into(),
            Failure::InitialPin => "初始密码不能进行交易，请先修改密码".into(),
            Failure::ToInitialPin => "不能修改为初始密码".into(),
            Failure::NoModule(_) => "无PSAM卡或加密机".into(),
            Failure::NoAlgorithm => "安全模块不支持该卡的算法".into(),
            Failure::NoReadingKey => "安全模块无RKSSSE密钥".into(),
            Failure::NoKey(name) => format!("安全模块无密钥 {name}"),
            Failure::HsmNotNeeded => "不需要加密机".into(),
            Failure::Blacklisted => "黑名单卡（已挂失）".into(),
            Failure::Expired(day) => format!("卡已过有效期 {day}"),
            Failure::Institution(number) => format!("不受理初始化机构 {number} 的卡"),
            Failure::Class(class) => format!("不受理类别为 {class:?} 的卡"),
            Failure::Address(error) => format!("文件地址错误：{}", error.words_zh()),
            Failure::NoFile(name) => format!("该版本的卡无文件 {name}"),
            Failure::NoItem(name) => format!("文件中无数据项 {name}"),
            Failure::ItemsMissing(name) => {
                format!("文件 {name} 按数据项读写，地址须写明数据项，如“{name}|09|$”")
            }
            Failure::ItemsTooMany(name) => {
                format!("文件 {name} 无数据项，地址应为“{name}|$”或“{name}$”")
            }
            Failure::Value(name, error) => format!("{name} 的值错误：{}", error.words_zh()),
            Failure::NoPin => "个人密码应为4至16位数字".into(),
            Failure::Malformed(_) => "卡内数据无效".into(),
        }
    }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.words(), self.words_zh())
    }
}

impl std::error::Error for Failure {}

impl From<Lost> for Failure {
    fn from(lost: Lost) -> Failure {
        match lost {
            Lost::NoPower => Failure::NotPowered,
            lost => Failure::NoAnswer(lost),
        }
    }
}

impl From<AddressError> for Failure {
    fn from(error: AddressError) -> Failure {
        Failure::Address(error)
    }
}

#[cfg(test)]
mod tests {
    use super::super::address::Address;
    use super::Failure;
    use crate::encode;
    use cardlab::apdu::Sw;

    #[test]
    fn chinese_words_have_no_english_in_them_but_names_and_characters() {
        let failures = [
            Failure::Value("SSSEEF06|09".to_owned(), encode::an("王王", 3).unwrap_err()),
            Failure::Value("DF01EF05|20".to_owned(), encode::cn("12x", 2).unwrap_err()),
            Failure::Value("DF01EF05|20".to_owned(), encode::b("00", 2).unwrap_err()),
            Failure::Address("SSSEEF06|".parse::<Address>().unwrap_err()),
            Failure::Address("EF06$".parse::<Address>().unwrap_err()),
            Failure::FirstChange("READ RECORD", Sw::CONDITIONS_NOT_MET),
            Failure::PinWrong(1),
        ];
        let mut long = Vec::new();
        for failure in failures {
            let words = failure.words_zh();
            let letters = words.split(|c: char| !c.is_ascii_lowercase());
            long.extend(letters.filter(|word| word.len() > 1).map(str::to_owned));
            assert!(!words.is_ascii(), "{words}");
        }
        assert_eq!(long, Vec::<String>::new());
    }

    #[test]
    fn the_codes_of_the_annex_are_minus_the_status_word() {
        for (sw, code) in [
            (0x63C2, -25538),
            (0x6700, -26368),
            (0x6901, -26881),
            (0x6981, -27009),
            (0x6982, -27010),
            (0x6983, -27011),
            (0x6988, -27016),
            (0x6A82, -27266),
            (0x6A88, -27272),
            (0x9302, -37634),
            (0x9403, -37891),
            (0x9406, -37894),
        ] {
            assert_eq!(Failure::Card("READ RECORD", Sw(sw)).code(), code);
        }
    }
}
