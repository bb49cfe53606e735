//! Steps of a transaction, and the findings that decide it, in words.
//!
//! Source: EMV 4.4 book 3, annexes C5 (terminal verification results) and C6
//! (transaction status information).

use super::End;
use std::fmt;

/// A part of a transaction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Phase {
    /// An application is chosen.
    Selection,
    /// The transaction begins, and the records are read.
    Reading,
    /// The card's data are authenticated.
    Authentication,
    /// Versions, usage, dates.
    Restrictions,
    /// The holder is verified.
    Holder,
    /// The terminal weighs risks.
    Risk,
    /// The terminal decides.
    Terminal,
    /// The card decides.
    Card,
    /// The host is asked, and authenticated.
    Host,
    /// The host's commands reach the card.
    Scripts,
    /// The end.
    End,
}

impl Phase {
    /// Its name in English.
    #[must_use]
    pub const fn words(self) -> &'static str {
        match self {
            Phase::Selection => "application selection",
            Phase::Reading => "reading the application",
            Phase::Authentication => "data authentication",
            Phase::Restrictions => "processing restrictions",
            Phase::Holder => "holder verification",
            Phase::Risk => "terminal risk management",
            Phase::Terminal => "terminal action analysis",
            Phase::Card => "card action analysis",
            Phase::Host => "on line",
            Phase::Scripts => "issuer scripts",
            Phase::End => "completion",
        }
    }

    /// Its name in Chinese.
    #[must_use]
    pub const fn words_zh(self) -> &'static str {
        match self {
            Phase::Selection => "应用选择",
            Phase::Reading => "读应用数据",
            Phase::Authentication => "脱机数据认证",
            Phase::Restrictions => "处理限制",
            Phase::Holder => "持卡人验证",
            Phase::Risk => "终端风险管理",
            Phase::Terminal => "终端行为分析",
            Phase::Card => "卡片行为分析",
            Phase::Host => "联机处理",
            Phase::Scripts => "发卡行脚本",
            Phase::End => "交易结束",
        }
    }
}

/// One step, explained.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Step {
    /// Of which part.
    pub phase: Phase,
    /// In English.
    pub en: String,
    /// In Chinese.
    pub zh: String,
}

impl Step {
    pub(super) fn end(end: &End) -> Step {
        let (en, zh) = match end {
            End::Approved { online: true } => ("approved on line", "联机批准"),
            End::Approved { online: false } => ("approved off line", "脱机批准"),
            End::Declined { online: true } => ("declined on line", "联机拒绝"),
            End::Declined { online: false } => ("declined off line", "脱机拒绝"),
            End::Terminated(why) => {
                return Step {
                    phase: Phase::End,
                    en: format!("terminated: {why}"),
                    zh: format!("交易终止：{}", why.words_zh()),
                };
            }
        };
        Step {
            phase: Phase::End,
            en: en.to_owned(),
            zh: zh.to_owned(),
        }
    }
}

/// One bit of the terminal verification results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Finding {
    /// Data were not authenticated.
    NotAuthenticated,
    /// Static authentication failed.
    StaticFailed,
    /// The card lacks data.
    DataMissing,
    /// Dynamic authentication failed.
    DynamicFailed,
    /// Combined authentication failed.
    CombinedFailed,
    /// Static authentication was selected.
    StaticSelected,
    /// The versions differ.
    Versions,
    /// The application expired.
    Expired,
    /// It is not valid yet.
    NotYet,
    /// It is not for this service.
    NotAllowed,
    /// The card is new.
    NewCard,
    /// The holder was not verified.
    HolderNotVerified,
    /// An unknown method.
    UnknownMethod,
    /// No try at the PIN is left.
    NoTryLeft,
    /// A PIN is asked for, and the terminal cannot.
    NoPinPad,
    /// A PIN was asked for and not keyed in.
    PinNotEntered,
    /// A PIN goes to the host.
    OnlinePin,
    /// The amount reaches the floor limit.
    FloorLimit,
    /// Too many in a row off line: the lower limit.
    LowerLimit,
    /// The upper limit.
    UpperLimit,
    /// Chosen at random.
    Chosen,
    /// The merchant insists.
    Merchant,
    /// The issuer did not authenticate.
    IssuerFailed,
    /// A script failed before the last cryptogram.
    ScriptFailedBefore,
    /// A script failed after it.
    ScriptFailedAfter,
}

/// All findings: byte, mask, words in English and in Chinese.
const FINDINGS: [(Finding, usize, u8, &str, &str); 25] = {
    use Finding as F;
    [
        (
            F::NotAuthenticated,
            0,
            0x80,
            "data were not authenticated off line",
            "未进行脱机数据认证",
        ),
        (
            F::StaticFailed,
            0,
            0x40,
            "static data authentication failed",
            "静态数据认证失败",
        ),
        (
            F::DataMissing,
            0,
            0x20,
            "the card lacks data",
            "IC卡数据缺失",
        ),
        (
            F::DynamicFailed,
            0,
            0x08,
            "dynamic data authentication failed",
            "动态数据认证失败",
        ),
        (
            F::CombinedFailed,
            0,
            0x04,
            "combined data authentication failed",
            "复合动态数据认证失败",
        ),
        (
            F::StaticSelected,
            0,
            0x02,
            "static data authentication was selected",
            "选择了静态数据认证",
        ),
        (
            F::Versions,
            1,
            0x80,
            "card and terminal are of different versions",
            "IC卡和终端应用版本不一致",
        ),
        (
            F::Expired,
            1,
            0x40,
            "the application has expired",
            "应用已过期",
        ),
        (
            F::NotYet,
            1,
            0x20,
            "the application is not yet valid",
            "应用尚未生效",
        ),
        (
            F::NotAllowed,
            1,
            0x10,
            "the card is not for this service",
            "卡片不允许所请求的服务",
        ),
        (F::NewCard, 1, 0x08, "a new card", "新卡"),
        (
            F::HolderNotVerified,
            2,
            0x80,
            "the holder was not verified",
            "持卡人验证失败",
        ),
        (
            F::UnknownMethod,
            2,
            0x40,
            "a method to verify the holder is unknown",
            "未知的持卡人验证方法",
        ),
        (
            F::NoTryLeft,
            2,
            0x20,
            "no try at the PIN is left",
            "PIN尝试次数超限",
        ),
        (
            F::NoPinPad,
            2,
            0x10,
            "a PIN is asked for and there is no PIN pad",
            "要求输入PIN，但无PIN键盘",
        ),
        (
            F::PinNotEntered,
            2,
            0x08,
            "a PIN was asked for and not keyed in",
            "要求输入PIN，但未输入",
        ),
        (
            F::OnlinePin,
            2,
            0x04,
            "the PIN goes to the host",
            "输入联机PIN",
        ),
        (
            F::FloorLimit,
            3,
            0x80,
            "the floor limit is reached",
            "交易超过最低限额",
        ),
        (
            F::LowerLimit,
            3,
            0x40,
            "the lower limit of offline transactions in a row is exceeded",
            "超过连续脱机交易下限",
        ),
        (
            F::UpperLimit,
            3,
            0x20,
            "the upper limit of offline transactions in a row is exceeded",
            "超过连续脱机交易上限",
        ),
        (
            F::Chosen,
            3,
            0x10,
            "chosen at random to go on line",
            "随机选择联机",
        ),
        (
            F::Merchant,
            3,
            0x08,
            "the merchant insists on line",
            "商户要求联机",
        ),
        (
            F::IssuerFailed,
            4,
            0x40,
            "the issuer did not authenticate",
            "发卡行认证失败",
        ),
        (
            F::ScriptFailedBefore,
            4,
            0x20,
            "a script failed before the last cryptogram",
            "最后一次生成应用密文之前脚本失败",
        ),
        (
            F::ScriptFailedAfter,
            4,
            0x10,
            "a script failed after the last cryptogram",
            "最后一次生成应用密文之后脚本失败",
        ),
    ]
};

impl Finding {
    fn entry(self) -> (usize, u8, &'static str, &'static str) {
        let found = FINDINGS.iter().find(|(finding, ..)| *finding == self);
        let (_, byte, mask, en, zh) = found.copied().unwrap_or(FINDINGS[0]);
        (byte, mask, en, zh)
    }

    /// Its words in English and in Chinese.
    #[must_use]
    pub fn words(self) -> (&'static str, &'static str) {
        let (_, _, en, zh) = self.entry();
        (en, zh)
    }
}

/// Terminal verification results, '95'.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tvr(pub [u8; 5]);

impl Tvr {
    /// Notes a finding.
    pub fn note(&mut self, finding: Finding) {
        let (byte, mask, ..) = finding.entry();
        self.0[byte] |= mask;
    }

    /// Whether a finding was noted.
    #[must_use]
    pub fn has(&self, finding: Finding) -> bool {
        let (byte, mask, ..) = finding.entry();
        self.0[byte] & mask != 0
    }

    /// The findings that are in these codes, too.
    pub fn findings(self, codes: [u8; 5]) -> impl Iterator<Item = Finding> {
        let hit = FINDINGS
            .into_iter()
            .filter(move |(_, byte, mask, ..)| self.0[*byte] & codes[*byte] & mask != 0);
        hit.map(|(finding, ..)| finding)
    }
}

impl fmt::Display for Tvr {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode_upper(self.0))
    }
}

/// Transaction status information, '9B': what was done.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tsi(pub [u8; 2]);

impl Tsi {
    pub(super) const AUTHENTICATION: u8 = 0x80;
    pub(super) const HOLDER: u8 = 0x40;
    pub(super) const CARD_RISK: u8 = 0x20;
    pub(super) const ISSUER: u8 = 0x10;
    pub(super) const TERMINAL_RISK: u8 = 0x08;
    pub(super) const SCRIPTS: u8 = 0x04;

    pub(super) const fn did(&mut self, what: u8) {
        self.0[0] |= what;
    }
}

impl fmt::Display for Tsi {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode_upper(self.0))
    }
}

#[cfg(test)]
mod tests {
    use super::{FINDINGS, Finding, Tvr};

    #[test]
    fn every_finding_has_a_bit_of_its_own() {
        let mut all = Tvr::default();
        for (finding, ..) in FINDINGS {
            assert!(!all.has(finding), "{finding:?}");
            all.note(finding);
            assert!(all.has(finding), "{finding:?}");
        }
        assert_eq!(all.0, [0xEE, 0xF8, 0xFC, 0xF8, 0x70]);
        let hit: Vec<_> = all.findings([0, 0, 0, 0x18, 0]).collect();
        assert_eq!(hit, [Finding::Chosen, Finding::Merchant]);
    }
}
