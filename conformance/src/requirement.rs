//! The requirements, and the scenario that walks each of them.
//!
//! A scenario is a case of the area `flow`: it walks a requirement from end to end and
//! cites it. `REQUIREMENTS.md` is this table; `cardlab cases requirements` prints it.
//!
//! Source: a province's leaflet for holders of the card, read with the card's design.

use crate::case::Case;
use std::collections::BTreeSet;
use std::fmt::Write as _;

/// Where a requirement is shown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Where {
    /// By the card or a terminal: a scenario walks it.
    Card,
    /// By the card or a terminal, and none walks it yet; why.
    Open(&'static str),
    /// By the card or a terminal: a scenario walks it in part; what is left.
    Part(&'static str),
    /// At the desk alone.
    Desk,
}

/// A requirement.
#[derive(Clone, Copy, Debug)]
pub struct Requirement {
    /// Its id, for ever.
    pub id: &'static str,
    /// What must be true, in English and in Chinese.
    pub says: (&'static str, &'static str),
    /// Where it is shown.
    pub shown: Where,
}

const fn requirement(
    id: &'static str,
    en: &'static str,
    zh: &'static str,
    shown: Where,
) -> Requirement {
    Requirement {
        id,
        says: (en, zh),
        shown,
    }
}

/// All of them, in their order.
pub const REQUIREMENTS: [Requirement; 23] = [
    requirement(
        "R01",
        "a contact CPU card; a terminal of any region reads its base data",
        "接触式CPU卡，任一地区终端可读基本信息",
        Where::Card,
    ),
    requirement(
        "R02",
        "two accounts, social and financial, isolated from each other",
        "社保、金融两账户相互隔离",
        Where::Card,
    ),
    requirement(
        "R03",
        "it stores, answers and is updated in all fields, by access rights",
        "各业务领域信息存储、查询、更新，按权限控制",
        Where::Card,
    ),
    requirement(
        "R04",
        "the financial account is an RMB debit card",
        "金融账户为人民币借记卡",
        Where::Card,
    ),
    requirement(
        "R05",
        "the initial PIN is 123456 and is changed before use",
        "初始密码123456，使用前须修改",
        Where::Card,
    ),
    requirement(
        "R06",
        "the financial account has a PIN of its own and is activated first",
        "金融账户有独立密码，须先激活",
        Where::Card,
    ),
    requirement(
        "R07",
        "contributions and benefits need the financial account active",
        "缴费和待遇领取须金融账户已激活",
        Where::Card,
    ),
    requirement(
        "R08",
        "a forgotten PIN is reset at the desk, never without the card",
        "忘记密码须凭卡在柜面重置",
        Where::Card,
    ),
    requirement(
        "R09",
        "six wrong PINs in a row lock it, over any loss of power",
        "连续六次密码错误锁定，断电不清零",
        Where::Card,
    ),
    requirement(
        "R10",
        "a locked PIN is unlocked at the desk; the bank's PIN is another's",
        "密码锁定在柜面解锁，不影响金融密码",
        Where::Card,
    ),
    requirement(
        "R11",
        "data that are not printed are updated when the card is presented",
        "非卡面信息在持卡时更新",
        Where::Card,
    ),
    requirement(
        "R12",
        "a lost card still answers; the loss is the register's and terminals'",
        "挂失卡仍应答，挂失在后台和终端",
        Where::Card,
    ),
    requirement(
        "R13",
        "an old card is taken back and can never be used again",
        "旧卡收回，不可再用",
        Where::Card,
    ),
    requirement(
        "R14",
        "a temporary card is valid for three months, then cancelled",
        "临时卡有效三个月，领新卡时注销",
        Where::Part("its dates and its end; that it has no bank's side is the desk's to order"),
    ),
    requirement(
        "R15",
        "cancellation after all business is settled",
        "业务结清后注销",
        Where::Desk,
    ),
    requirement(
        "R16",
        "only an insured person can apply",
        "参保人员方可申领",
        Where::Desk,
    ),
    requirement(
        "R17",
        "medical costs are settled at once, also after a pulled card",
        "医疗费用即时结算，拔卡后可查证",
        Where::Card,
    ),
    requirement(
        "R18",
        "moving the insurance inside the province needs no new card",
        "省内转移参保关系不换卡",
        Where::Card,
    ),
    requirement("R19", "employment services", "就业服务", Where::Card),
    requirement(
        "R20",
        "a resident's pension is paid and paid into by card",
        "居民养老待遇凭卡领取和缴费",
        Where::Card,
    ),
    requirement(
        "R21",
        "the former medical insurance card stops on first activation",
        "启用后原医保卡停用",
        Where::Desk,
    ),
    requirement(
        "R22",
        "the catalogue of applications can be listed",
        "可列出应用目录",
        Where::Desk,
    ),
    requirement(
        "R23",
        "it serves its holder alone; what is secret never leaves it",
        "卡片仅供本人使用，机密不出卡",
        Where::Card,
    ),
];

/// The scenarios that cite a requirement, by id.
fn scenarios<'c>(id: &str, cases: &'c [Case]) -> BTreeSet<&'c str> {
    let cited = cases.iter().filter(|case| {
        case.id.starts_with("flow/") && case.requirements.iter().any(|cited| cited == id)
    });
    cited.map(|case| case.id.as_str()).collect()
}

/// What is wrong between the table and these cases, one sentence each: a requirement
/// without its scenario, and an exception that has become untrue.
#[must_use]
pub fn faults(cases: &[Case]) -> Vec<String> {
    let faults = REQUIREMENTS.iter().filter_map(|requirement| {
        let walked = !scenarios(requirement.id, cases).is_empty();
        let id = requirement.id;
        match (requirement.shown, walked) {
            (Where::Card | Where::Part(_), false) => Some(format!("{id}: no scenario walks it")),
            (Where::Open(_) | Where::Desk, true) => Some(format!(
                "{id}: a scenario walks it, and the table says none does"
            )),
            _ => None,
        }
    });
    faults.collect()
}

/// The table as Markdown.
#[must_use]
pub fn to_markdown(cases: &[Case]) -> String {
    let mut text = "\
# Every requirement, and the scenario that walks it

Made by `cardlab cases requirements > conformance/REQUIREMENTS.md`; a test sees that it is
current and that each requirement on the card or a terminal has its scenario or its sentence.

| id | what must be true | scenarios | what is open |
|---|---|---|---|
"
    .to_owned();
    for requirement in &REQUIREMENTS {
        let (en, zh) = requirement.says;
        let scenarios = scenarios(requirement.id, cases);
        let scenarios: Vec<_> = scenarios.iter().map(|id| format!("`{id}`")).collect();
        let open = match requirement.shown {
            Where::Card => "",
            Where::Part(open) | Where::Open(open) => open,
            Where::Desk => "the desk's alone",
        };
        let id = requirement.id;
        let _ = writeln!(
            text,
            "| {id} | {en} {zh} | {} | {open} |",
            scenarios.join(", ")
        );
    }
    text
}

#[cfg(test)]
mod tests {
    use super::{REQUIREMENTS, faults};
    use crate::plan;

    #[test]
    fn the_ids_are_r01_to_r23() {
        for (number, requirement) in (1..).zip(&REQUIREMENTS) {
            assert_eq!(requirement.id, format!("R{number:02}"));
        }
    }

    #[test]
    fn a_scenario_that_goes_missing_and_one_too_many_are_told() {
        let mut cases = plan::shipped().unwrap();
        assert_eq!(faults(&cases), Vec::<String>::new());
        for case in &mut cases {
            for cited in &mut case.requirements {
                if cited == "R18" {
                    *cited = "R16".to_owned();
                }
            }
        }
        let faults = faults(&cases);
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].starts_with("R16") && faults[1].starts_with("R18"));
    }
}
