//! SAFETY: file × operation × security state, the whole grid and no samples.
//!
//! The states: none; the PIN; each key of the rule; a key that has nothing to do with
//! it; all that the rule names; and the same after what must take the right away.

use super::record::opening;
use super::{authenticate, case, file_id, file_name, group, hex_of, select, send, step, unlock};
use crate::case::{Action, Authenticate, Case, PowerStep, Safety, Step};
use cardlab_desk::profile::{Directory, File, Kind, Profile, Purpose, Rule};

/// An operation on a file.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Operation {
    Read,
    Update,
}

/// What has been presented to the card.
struct State {
    /// In ids.
    name: String,
    /// In sentences.
    words: (String, String),
    steps: Vec<Step>,
    pin: bool,
    keys: Vec<String>,
}

pub(super) fn cases(profile: &Profile, directory: &Directory, file: &File) -> Vec<Case> {
    let mut cases = Vec::new();
    for operation in [Operation::Read, Operation::Update] {
        let rule = match operation {
            Operation::Read => &file.read,
            Operation::Update => &file.update,
        };
        for state in states(profile, directory, rule) {
            cases.push(grid(directory, file, operation, rule, &state));
        }
        if !matches!(rule, Rule::Free | Rule::Never) {
            cases.extend(taken_away(profile, directory, file, operation, rule));
        }
    }
    for case in &mut cases {
        case.group = group(directory, "SAFETY");
        case.requirements
            .extend(["R03".to_owned(), "R23".to_owned()]);
    }
    cases
}

/// Whether the rule holds with these rights.
fn holds(rule: &Rule, pin: bool, keys: &[String]) -> bool {
    match rule {
        Rule::Free => true,
        Rule::Never => false,
        Rule::Pin => pin,
        Rule::Key(key) => keys.contains(&key.name),
        Rule::And(a, b) => holds(a, pin, keys) && holds(b, pin, keys),
        Rule::Or(a, b) => holds(a, pin, keys) || holds(b, pin, keys),
    }
}

fn keys_of(rule: &Rule, into: &mut Vec<String>) {
    match rule {
        Rule::Key(key) => into.push(key.name.clone()),
        Rule::And(a, b) | Rule::Or(a, b) => {
            keys_of(a, into);
            keys_of(b, into);
        }
        Rule::Free | Rule::Never | Rule::Pin => {}
    }
}

fn states(profile: &Profile, directory: &Directory, rule: &Rule) -> Vec<State> {
    let mut keys = Vec::new();
    keys_of(rule, &mut keys);
    let none = State {
        name: "none".to_owned(),
        words: ("nothing presented".to_owned(), "未认证".to_owned()),
        steps: Vec::new(),
        pin: false,
        keys: Vec::new(),
    };
    let mut states = vec![none];
    if profile.pin.initial.is_some() {
        states.push(State {
            name: "pin".to_owned(),
            words: ("the PIN presented".to_owned(), "已校验密码".to_owned()),
            steps: vec![unlock()],
            pin: true,
            keys: Vec::new(),
        });
    }
    for key in &keys {
        states.push(with_keys(std::slice::from_ref(key)));
        if profile.pin.initial.is_some() {
            let mut both = with_keys(std::slice::from_ref(key));
            both.name = format!("pin-and-{}", both.name);
            both.words.0 = format!("the PIN and {}", both.words.0);
            both.words.1 = format!("已校验密码，{}", both.words.1);
            both.steps.push(unlock());
            both.pin = true;
            states.push(both);
        }
        states.push(State {
            name: format!("wrong-{}", key.to_lowercase()),
            words: (
                format!("a wrong {key} presented"),
                format!("{key} 外部认证失败"),
            ),
            steps: vec![step(
                "authenticate wrongly",
                Action::Authenticate(Authenticate {
                    key: key.clone(),
                    wrong: Some(0),
                    ..Authenticate::default()
                }),
                "63C? | 6300",
            )],
            pin: false,
            keys: Vec::new(),
        });
    }
    let stranger = directory.keys.iter().find(|key| {
        key.purpose == Purpose::ExternalAuthentication
            && key.kid & 0x7F != 0
            && !keys.contains(&key.name)
    });
    if let Some(stranger) = stranger {
        states.push(with_keys(std::slice::from_ref(&stranger.name)));
    }
    states
}

fn with_keys(keys: &[String]) -> State {
    State {
        name: keys.join("-and-").to_lowercase(),
        words: (
            format!("{} authenticated", keys.join(" and ")),
            format!("{} 外部认证通过", keys.join("、")),
        ),
        steps: keys.iter().map(|key| authenticate(key)).collect(),
        pin: false,
        keys: keys.to_vec(),
    }
}

fn name(directory: &Directory, file: &File, operation: Operation, state: &str) -> String {
    let verb = match operation {
        Operation::Read => "read",
        Operation::Update => "update",
    };
    format!(
        "{}-safety/{}-{verb}-{state}",
        directory.label.to_lowercase(),
        file_id(file)
    )
}

fn grid(
    directory: &Directory,
    file: &File,
    operation: Operation,
    rule: &Rule,
    state: &State,
) -> Case {
    let whole = file_name(directory, file);
    let allowed = holds(rule, state.pin, &state.keys);
    let (verb, verb_zh) = verbs(operation);
    let (may, may_zh) = if allowed {
        ("is", "允许")
    } else {
        ("is not", "拒绝")
    };
    let mut case = case(
        name(directory, file, operation, &state.name),
        format!("{whole} {may} {verb} with {}.", state.words.0),
        format!("{whole}：{}，{may_zh}{verb_zh}。", state.words.1),
    );
    case.safety = safety_of(&state.steps, operation, allowed);
    case.steps = vec![select(directory)];
    case.steps.extend_from_slice(&state.steps);
    case.steps.push(attempt(file, operation, allowed));
    case
}

/// A right that stood, and what must take it away.
fn taken_away(
    profile: &Profile,
    directory: &Directory,
    file: &File,
    operation: Operation,
    rule: &Rule,
) -> Vec<Case> {
    let Some(way_in) = opening(rule) else {
        return Vec::new();
    };
    let whole = file_name(directory, file);
    let (verb, verb_zh) = verbs(operation);
    let reset = |power| step("take the power or reset", Action::Power(power), "**9000");
    let mut losses = vec![
        ("after-reset", "a reset", "复位", reset(PowerStep::Reset)),
        (
            "after-power-cycle",
            "a power cycle",
            "断电",
            reset(PowerStep::Cycle),
        ),
    ];
    // Another directory takes key rights away, not the PIN's.
    let by_key = !holds(rule, true, &[]);
    let elsewhere = profile.directories.iter().find(|other| {
        other.parent == directory.parent && other.fid != directory.fid && other.name.is_some()
    });
    if let (true, Some(elsewhere)) = (by_key && directory.label != "SSSE", elsewhere) {
        losses.push((
            "after-leaving",
            "another application",
            "选择其他应用",
            select(elsewhere),
        ));
    }
    losses
        .into_iter()
        .map(|(loss, en, zh, away)| {
            let mut case = case(
                name(directory, file, operation, loss),
                format!("{whole} cannot be {verb} any more after {en}."),
                format!("{whole}：{zh}后不能再{verb_zh}。"),
            );
            case.safety = safety_of(&way_in, operation, true);
            case.steps = vec![select(directory)];
            case.steps.extend_from_slice(&way_in);
            case.steps.push(attempt(file, operation, true));
            case.steps.push(away);
            case.steps.push(select(directory));
            case.steps.push(attempt(file, operation, false));
            case
        })
        .collect()
}

fn verbs(operation: Operation) -> (&'static str, &'static str) {
    match operation {
        Operation::Read => ("read", "读"),
        Operation::Update => ("updated", "写"),
    }
}

fn safety_of(steps: &[Step], operation: Operation, allowed: bool) -> Safety {
    let writes = operation == Operation::Update && allowed
        || steps
            .iter()
            .any(|step| matches!(step.action, Action::Unlock(_)));
    let wrong = steps
        .iter()
        .any(|step| matches!(&step.action, Action::Authenticate(by) if by.wrong.is_some()));
    match (writes, wrong) {
        (true, _) => Safety::Writes,
        (false, true) => Safety::ConsumesKeyTry,
        (false, false) => Safety::ReadOnly,
    }
}

/// Reads the first record or byte, or writes it back as it is.
fn attempt(file: &File, operation: Operation, allowed: bool) -> Step {
    let by_number = file.sfi << 3 | 0x04;
    let (command, good) = match (file.kind, operation) {
        (Kind::Transparent { .. }, Operation::Read) => {
            (format!("00B0{:02X}00 01", 0x80 | file.sfi), "{1}9000")
        }
        (Kind::Transparent { .. }, Operation::Update) => {
            let byte = file.content.first().copied().unwrap_or(0);
            (
                format!("00D6{:02X}00 01 {byte:02X}", 0x80 | file.sfi),
                "9000",
            )
        }
        (Kind::Cyclic { record_len, .. }, Operation::Read) => {
            let good = if file.rows.is_empty() {
                "6A83"
            } else {
                "**9000"
            };
            (format!("00B201{by_number:02X} {record_len:02X}"), good)
        }
        (Kind::Cyclic { record_len, .. }, Operation::Update) => {
            let record = hex_of(&vec![0x30; usize::from(record_len)]);
            (
                format!(
                    "00DC00{:02X} {record_len:02X} {record}",
                    file.sfi << 3 | 0x03
                ),
                "9000",
            )
        }
        (Kind::LinearFixed { .. } | Kind::LinearVariable { .. }, operation) => {
            let bytes = file
                .records
                .first()
                .map(|record| record.to_bytes())
                .unwrap_or_default();
            let len = bytes.len();
            match operation {
                Operation::Read => (format!("00B201{by_number:02X} {len:02X}"), "**9000"),
                Operation::Update => (
                    format!("00DC01{by_number:02X} {len:02X} {}", hex_of(&bytes)),
                    "9000",
                ),
            }
        }
    };
    send(
        if allowed {
            "what is allowed"
        } else {
            "what is refused"
        },
        command,
        if allowed { good } else { "6982" },
    )
}
