//! Try counters: what the PIN and each key have left, to the lock and back.
//!
//! The counter goes down before anything is compared, so that power cut at any write
//! of a right try leaves one try less at least once.

use super::{authenticate, case, select, send, step, unlock};
use crate::case::{
    Action, Authenticate, Case, ChangePin, PowerStep, Safety, Secured, Step, Torn, Weight,
};
use crate::expect::Expect;
use cardlab_desk::profile::{Directory, Key, Profile, Purpose};

const PIN_SOURCE: &str = "社会保障（个人）卡规范, part 5, VERIFY";
const CHANGE_SOURCE: &str = "LD/T 32.5-2015, 7.3 CHANGE PIN";
const KEY_SOURCE: &str = "LD/T 32.5-2015, 7.4 EXTERNAL AUTHENTICATION";
const TEAR_SOURCE: &str = "LD/T 6001.2-2023 (anti-tear, by its published scope)";

pub(super) fn cases(profile: &Profile) -> Vec<Case> {
    let Some(ssse) = profile.directory_by_label("SSSE") else {
        return Vec::new();
    };
    let mut cases = Vec::new();
    if profile.pin.initial.is_some() {
        cases.extend(pin(profile, ssse));
    }
    for directory in &profile.directories {
        for key in &directory.keys {
            if key.purpose == Purpose::ExternalAuthentication && directory.parent.is_some() {
                cases.extend(of_key(directory, key));
            }
        }
    }
    cases
}

fn verify(pin: &str, label: &str, expect: &str) -> Step {
    step(label, Action::Verify(pin.to_owned()), expect)
}

fn change(from: &str, to: &str, expect: &str) -> Step {
    let change = ChangePin {
        from: from.to_owned(),
        to: to.to_owned(),
    };
    step("change the PIN", Action::ChangePin(change), expect)
}

/// VERIFY without data.
fn status(expect: &str) -> Step {
    send("ask for the tries", "00200000".to_owned(), expect)
}

fn power(cycle: bool) -> Step {
    if cycle {
        step(
            "power off and on",
            Action::Power(PowerStep::Cycle),
            "**9000",
        )
    } else {
        step("reset", Action::Power(PowerStep::Reset), "**9000")
    }
}

fn left(tries: u8) -> String {
    format!("63C{tries:X}")
}

/// What a locked PIN answers to the question for its tries.
const LOCKED_STATUS: &str = "6983 | 63C0";

/// All tries but the last `spare` ones, each answered with what is left.
fn wrong_pins(tries: u8, spare: u8) -> Vec<Step> {
    (spare..tries)
        .rev()
        .map(|rest| verify("wrong", "a wrong PIN", &left(rest)))
        .collect()
}

fn pin(profile: &Profile, ssse: &Directory) -> Vec<Case> {
    let tries = profile.pin.tries;
    let mut cases = vec![
        pin_case(
            "as-issued",
            &format!("The card is issued with {tries} tries."),
            &format!("发卡时可尝试 {tries} 次。"),
            vec![select(ssse), status(&left(tries))],
        ),
        pin_case(
            "wrong-pins-lock-it",
            &format!("{tries} wrong PINs in a row lock it; the right one does not help any more."),
            &format!("连续输错 {tries} 次锁定，正确密码也不再接受。"),
            [
                vec![select(ssse)],
                wrong_pins(tries, 0),
                vec![
                    verify("right", "the right PIN", "6983"),
                    verify("wrong", "a wrong PIN", "6983"),
                    status(LOCKED_STATUS),
                ],
            ]
            .concat(),
        ),
        pin_case(
            "the-lock-outlives-power",
            "A locked PIN is locked after reset and power off too.",
            "密码锁定后复位和断电仍锁定。",
            [
                vec![select(ssse)],
                wrong_pins(tries, 0),
                vec![
                    power(false),
                    select(ssse),
                    verify("right", "the right PIN", "6983"),
                    power(true),
                    select(ssse),
                    verify("right", "the right PIN", "6983"),
                ],
            ]
            .concat(),
        ),
        pin_case(
            "the-count-outlives-power",
            "Each wrong PIN counts though the card is pulled after it.",
            "每次输错后拔卡，错误次数仍累计。",
            [
                vec![select(ssse)],
                wrong_pins(tries, 0)
                    .into_iter()
                    .flat_map(|wrong| [wrong, power(true)])
                    .collect(),
                vec![verify("right", "the right PIN", "6983")],
            ]
            .concat(),
        ),
        pin_case(
            "the-right-pin-gives-all-tries-back",
            "With one try left the right PIN gives all of them back.",
            "剩余一次时输对，恢复全部次数。",
            [
                vec![select(ssse)],
                wrong_pins(tries, 1),
                vec![
                    verify("right", "the right PIN", "9000"),
                    status(&left(tries)),
                ],
                wrong_pins(tries, 1),
            ]
            .concat(),
        ),
        pin_case(
            "asking-shows-each-try",
            "Asking shows what is left after each wrong PIN, and costs nothing.",
            "每次输错后查询剩余次数，查询不扣次数。",
            [
                vec![select(ssse)],
                (1..tries)
                    .rev()
                    .flat_map(|rest| {
                        [
                            verify("wrong", "a wrong PIN", &left(rest)),
                            status(&left(rest)),
                            status(&left(rest)),
                        ]
                    })
                    .collect(),
            ]
            .concat(),
        ),
        pin_case(
            "wrong-old-pins-lock-it",
            "Wrong old PINs in CHANGE PIN lock it as wrong PINs do.",
            "修改密码时旧密码连续错误同样锁定。",
            [
                vec![select(ssse)],
                (0..tries)
                    .rev()
                    .map(|rest| change("wrong", "246810", &left(rest)))
                    .collect(),
                vec![
                    verify("right", "the right PIN", "6983"),
                    change("right", "246810", "6983"),
                ],
            ]
            .concat(),
        ),
        pin_case(
            "a-locked-pin-cannot-be-changed",
            "A locked PIN cannot be changed with the right one.",
            "密码锁定后不能修改。",
            [
                vec![select(ssse)],
                wrong_pins(tries, 0),
                vec![change("right", "246810", "6983")],
            ]
            .concat(),
        ),
        pin_case(
            "the-change-of-a-pin-gives-all-tries-back",
            "CHANGE PIN gives all tries back.",
            "修改密码成功恢复全部次数。",
            [
                vec![select(ssse)],
                wrong_pins(tries, 1),
                vec![change("right", "246810", "9000"), status(&left(tries))],
            ]
            .concat(),
        ),
    ];
    if let Some(guarded) = profile.directory_by_label("DF01") {
        let mut closed = pin_case(
            "a-locked-pin-opens-nothing",
            "What the PIN opened is closed once it is locked.",
            "密码锁定后，已获密码权限失效。",
            [
                vec![
                    select(guarded),
                    unlock(),
                    send("what it opens", "00B2012C 00".to_owned(), "**9000"),
                ],
                wrong_pins(tries, 0),
                vec![send("what it opened", "00B2012C 00".to_owned(), "6982")],
            ]
            .concat(),
        );
        closed.weight = Weight::Should;
        cases.push(closed);
    }
    if profile.key("PUK").is_some() && profile.key("STKSSSE").is_some() {
        cases.extend(desk(profile, ssse));
    }
    cases.extend(torn_pin(profile, ssse));
    cases
}

fn pin_case(name: &str, en: &str, zh: &str, steps: Vec<Step>) -> Case {
    let mut case = case(format!("pin-counter/{name}"), en.to_owned(), zh.to_owned());
    case.source = vec![PIN_SOURCE.to_owned(), CHANGE_SOURCE.to_owned()];
    case.requirements = vec!["R09".to_owned(), "R23".to_owned()];
    case.after = vec!["verify/the-right-pin".to_owned()];
    let writes = |step: &Step| matches!(step.action, Action::ChangePin(_) | Action::Unlock(_));
    case.safety = if steps.iter().any(writes) {
        Safety::Writes
    } else {
        Safety::ConsumesPinTry
    };
    case.steps = steps;
    case
}

fn sealed(label: &str, p2: u8, pin: Option<&str>, expect: &str) -> Step {
    let secured = Secured {
        header: format!("842400{p2:02X}"),
        key: "STKSSSE".to_owned(),
        pin: pin.map(str::to_owned),
        data: None,
        wrong: None,
        mac_over: None,
        random: None,
    };
    step(label, Action::Secured(secured), expect)
}

/// The desk unlocks, and only the desk.
fn desk(profile: &Profile, ssse: &Directory) -> Vec<Case> {
    let tries = profile.pin.tries;
    let locked = || [vec![select(ssse)], wrong_pins(tries, 0)].concat();
    let mut unlocked = pin_case(
        "the-desk-unlocks-it",
        "The desk unlocks a locked PIN: it is the same, with all its tries.",
        "柜面解锁后密码不变，恢复全部次数。",
        [
            locked(),
            vec![
                authenticate("PUK"),
                sealed("unblock", 0x00, None, "9000"),
                status(&left(tries)),
                verify("right", "the right PIN", "9000"),
            ],
        ]
        .concat(),
    );
    unlocked.requirements = vec!["R09".to_owned(), "R10".to_owned()];
    let mut replaced = pin_case(
        "the-desk-replaces-it",
        "The desk replaces a locked PIN: the new one has all its tries.",
        "柜面重置已锁定密码，恢复全部次数。",
        [
            locked(),
            vec![
                authenticate("PUK"),
                sealed("set a new PIN", 0x01, Some("246810"), "9000"),
                status(&left(tries)),
                verify("right", "the new PIN", "9000"),
            ],
        ]
        .concat(),
    );
    replaced.requirements = vec!["R08".to_owned(), "R09".to_owned(), "R10".to_owned()];
    let mut refused = pin_case(
        "nobody-else-unlocks-it",
        "Without the PUK a locked PIN stays locked.",
        "未认证PUK不能解锁。",
        [
            locked(),
            vec![
                sealed("unblock", 0x00, None, "6982"),
                sealed("set a new PIN", 0x01, Some("246810"), "6982"),
                verify("right", "the right PIN", "6983"),
            ],
        ]
        .concat(),
    );
    refused.requirements = vec!["R08".to_owned(), "R10".to_owned(), "R23".to_owned()];
    let mut torn = pin_case(
        "torn-unblocking",
        "Power cut while the desk unlocks leaves it locked or with all its tries.",
        "解锁过程中断电：仍锁定或恢复全部次数。",
        [
            locked(),
            vec![
                authenticate("PUK"),
                Step {
                    torn: Torn::InStep,
                    ..sealed("unblock", 0x00, None, "9000")
                },
                select(ssse),
                status(&format!("{LOCKED_STATUS} | {}", left(tries))),
            ],
        ]
        .concat(),
    );
    torn.source = vec![TEAR_SOURCE.to_owned(), PIN_SOURCE.to_owned()];
    torn.requirements = vec!["R09".to_owned(), "R10".to_owned()];
    let mut cases = vec![unlocked, replaced, refused, torn];
    for case in &mut cases {
        case.safety = Safety::Writes;
    }
    cases
}

/// Power cut at each write of the commands that touch the counter.
fn torn_pin(profile: &Profile, ssse: &Directory) -> Vec<Case> {
    let tries = profile.pin.tries;
    let (all, one_less) = (left(tries), left(tries - 1));
    let either = format!("{all} | {one_less}");
    let one_less_once = |step: Step| Step {
        sometimes: Expect::parse(&one_less).ok(),
        ..step
    };
    let torn = |step: Step| Step {
        torn: Torn::InStep,
        ..step
    };
    let mut cases = vec![
        pin_case(
            "torn-right-pin",
            "The try is spent before the PIN is compared: power cut in the right one shows it.",
            "先扣次数再比较：正确密码校验中断电可见少一次。",
            vec![
                select(ssse),
                torn(verify("right", "the right PIN", "9000")),
                select(ssse),
                one_less_once(status(&either)),
                verify("right", "the right PIN", "9000"),
                status(&all),
            ],
        ),
        pin_case(
            "torn-wrong-pin",
            "Power cut in a wrong PIN leaves all tries or one less.",
            "错误密码校验中断电：次数不变或少一次。",
            vec![
                select(ssse),
                torn(verify("wrong", "a wrong PIN", &one_less)),
                select(ssse),
                one_less_once(status(&either)),
                verify("right", "the right PIN", "9000"),
            ],
        ),
    ];
    if let Some(initial) = &profile.pin.initial {
        // The old one or the new one, never both and never neither: of the two tries
        // exactly one fails, and the right one gives all tries back.
        let mut changed = pin_case(
            "torn-change-of-pin",
            "Power cut in CHANGE PIN leaves the old PIN or the new one.",
            "修改密码过程中断电：旧密码或新密码有效。",
            vec![
                select(ssse),
                torn(change("right", "246810", "9000")),
                select(ssse),
                verify("246810", "the new one", "9000 | 63C?"),
                verify(initial, "the old one", "9000 | 63C?"),
                status(&either),
            ],
        );
        changed.safety = Safety::Writes;
        cases.push(changed);
    }
    for case in &mut cases {
        case.source.insert(0, TEAR_SOURCE.to_owned());
    }
    cases
}

fn by(key: &Key, wrong: bool) -> Action {
    Action::Authenticate(Authenticate {
        key: key.name.clone(),
        // The last byte: a card that compares only the first ones lets it pass.
        wrong: wrong.then_some(7),
        ..Authenticate::default()
    })
}

/// To the lock and back, for a key whose tries are counted; and that one whose tries
/// are not counted does not lock.
fn of_key(directory: &Directory, key: &Key) -> Vec<Case> {
    let name = &key.name;
    let named = |what: &str| format!("key-counter/{}-{what}", name.to_lowercase());
    let wrong = |expect: &str| step("authenticate wrongly", by(key, true), expect);
    let right = |expect: &str| step("authenticate rightly", by(key, false), expect);
    let new = |what: &str, en: String, zh: String, steps: Vec<Step>| {
        let mut case = case(named(what), en, zh);
        case.source = vec![KEY_SOURCE.to_owned()];
        case.requirements = vec!["R23".to_owned()];
        case.safety = Safety::ConsumesKeyTry;
        case.after = vec![format!("fci/{}", directory.label.to_lowercase())];
        case.steps = [vec![select(directory)], steps].concat();
        case
    };
    let tries = key.tries;
    if tries == 0 {
        let sixteen = (0..16).map(|_| wrong("63C? | 6300"));
        return vec![new(
            "does-not-lock",
            format!("Failures do not lock {name}."),
            format!("{name} 认证失败不锁定。"),
            sixteen.chain([right("9000")]).collect(),
        )];
    }
    let to_the_lock = || (0..tries).rev().map(|rest| wrong(&left(rest)));
    let mut torn = new(
        "torn",
        format!("Power cut in an authentication with {name} shows that the try is spent first."),
        format!("{name} 认证中断电：先扣次数再比较。"),
        vec![
            Step {
                torn: Torn::InStep,
                ..right("9000")
            },
            select(directory),
            Step {
                sometimes: Expect::parse(&left(tries.saturating_sub(2))).ok(),
                ..wrong(&format!(
                    "{} | {}",
                    left(tries - 1),
                    left(tries.saturating_sub(2))
                ))
            },
            right("9000"),
        ],
    );
    torn.source.insert(0, TEAR_SOURCE.to_owned());
    let mut cases = vec![
        new(
            "locks",
            format!("{tries} failures in a row lock {name}, over power too."),
            format!("{name} 连续认证失败 {tries} 次锁定，断电后仍锁定。"),
            to_the_lock()
                .chain([right("6983"), power(true), select(directory), right("6983")])
                .collect(),
        ),
        new(
            "comes-back",
            format!("Success gives {name} all its tries back."),
            format!("{name} 认证成功恢复全部次数。"),
            (1..tries)
                .rev()
                .map(|rest| wrong(&left(rest)))
                .chain([right("9000"), wrong(&left(tries - 1))])
                .collect(),
        ),
    ];
    if tries > 1 {
        cases.push(torn);
    }
    cases
}
