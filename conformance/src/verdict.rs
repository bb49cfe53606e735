//! What can be said of a case after it ran.
//!
//! Verdicts form a lattice: a step can only make a case worse.
//!
//! Source: ISO/IEC 9646-1, 3.3.17 (verdicts), widened by what a runner itself can
//! come to.

use serde::Serialize;
use std::fmt;

/// A verdict; the later one is the worse one.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Strictly as specified.
    Pass,
    /// Allowed by the specification, but not the preferred answer.
    PassNote,
    /// The profile says that the case has no object on this card.
    NotApplicable,
    /// The safety budget forbids it.
    Withheld,
    /// A case that it builds on failed.
    Blocked,
    /// It could not be decided: nothing was evaluated, or the card was lost.
    Inconclusive,
    /// A requirement is violated.
    Fail,
    /// The suite itself is at fault.
    ToolError,
}

impl Verdict {
    /// All of them, in the order of the lattice.
    pub const ALL: [Verdict; 8] = [
        Verdict::Pass,
        Verdict::PassNote,
        Verdict::NotApplicable,
        Verdict::Withheld,
        Verdict::Blocked,
        Verdict::Inconclusive,
        Verdict::Fail,
        Verdict::ToolError,
    ];

    /// The word in reports.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Verdict::Pass => "pass",
            Verdict::PassNote => "pass-note",
            Verdict::NotApplicable => "not-applicable",
            Verdict::Withheld => "withheld",
            Verdict::Blocked => "blocked",
            Verdict::Inconclusive => "inconclusive",
            Verdict::Fail => "fail",
            Verdict::ToolError => "tool-error",
        }
    }

    /// The word in Chinese.
    #[must_use]
    pub const fn word_zh(self) -> &'static str {
        match self {
            Verdict::Pass => "通过",
            Verdict::PassNote => "通过（有说明）",
            Verdict::NotApplicable => "不适用",
            Verdict::Withheld => "未执行（安全限制）",
            Verdict::Blocked => "前提未满足",
            Verdict::Inconclusive => "无法判定",
            Verdict::Fail => "不通过",
            Verdict::ToolError => "工具错误",
        }
    }

    /// Whether the card was judged.
    #[must_use]
    pub const fn is_decided(self) -> bool {
        matches!(self, Verdict::Pass | Verdict::PassNote | Verdict::Fail)
    }

    /// Whether a run in which a case ended so is as expected; of a blocked case, the one
    /// that blocks it is not.
    #[must_use]
    pub const fn is_good(self) -> bool {
        matches!(
            self,
            Verdict::Pass
                | Verdict::PassNote
                | Verdict::NotApplicable
                | Verdict::Withheld
                | Verdict::Blocked
        )
    }

    /// Both verdicts together: the worse one.
    #[must_use]
    pub fn with(self, other: Verdict) -> Verdict {
        self.max(other)
    }
}

impl fmt::Display for Verdict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.word())
    }
}

/// How a run ends, as the exit code of the command.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    /// Every case ended as expected.
    AsExpected = 0,
    /// A case ended otherwise.
    Unexpected = 1,
    /// The call itself is wrong: an option, a file, a profile.
    Usage = 2,
    /// No card or no reader.
    NoCard = 3,
    /// The suite itself is at fault, or nothing was judged.
    ToolError = 4,
    /// Refused by the safety budget.
    Refused = 5,
}

/// The exit codes in words, for help texts.
pub const EXIT_CODES: &str = "\
Exit codes:
  0  every case ended as expected            全部符合预期
  1  a case ended otherwise                  有用例不符合预期
  2  the call, a file or a profile is wrong  用法、文件或配置有误
  3  no card or no reader                    没有卡片或读卡器
  4  tool error, or nothing was judged       工具错误，或没有判定任何用例
  5  refused by the safety budget            超出安全限制，拒绝执行";

#[cfg(test)]
mod tests {
    use super::Verdict;

    #[test]
    fn a_step_can_only_make_a_case_worse() {
        for a in Verdict::ALL {
            for b in Verdict::ALL {
                assert!(a.with(b) >= a && a.with(b) >= b);
                assert_eq!(a.with(b), b.with(a));
                for c in Verdict::ALL {
                    assert_eq!(a.with(b).with(c), a.with(b.with(c)));
                }
            }
        }
    }

    #[test]
    fn nothing_that_was_not_decided_is_a_pass() {
        for verdict in Verdict::ALL {
            assert!(!verdict.is_good() || verdict <= Verdict::Blocked);
        }
    }
}
