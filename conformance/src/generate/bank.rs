//! Each payment application of the profile, held to what it was ordered with.
//!
//! Hand-written cases of the bank take the first, with the limits that they count on; these
//! take each, as it is.

use super::{case, hex_of, send, step};
use crate::bank::step::Options;
use crate::case::{Action, Case, Safety, Step};
use cardlab::aid::Aid;
use cardlab::crypto::pboc;
use cardlab::tlv::Objects;
use cardlab_desk::bank::application::{Grouping, Ordered};
use cardlab_desk::bank::grouping;
use cardlab_desk::bank::key::Keys;
use cardlab_desk::bank::look::{ELEMENTS, Form};
use cardlab_desk::bank::personalise::DIRECTORY;
use cardlab_desk::profile::{BankSide, Profile};

/// Where the meaning of elements and records is from.
const SOURCE: &str = "JR/T 0025.5 (by public material)";
/// Computed by the card, not ordered.
const AVAILABLE: u16 = 0x9F5D;
/// The grouping of the tries at the PIN, left and in all.
const PIN_TRIES: u16 = 0x9010;

pub(super) fn cases(profile: &Profile) -> Vec<Case> {
    let Some(bank) = &profile.bank else {
        return Vec::new();
    };
    let mut cases = vec![directory(bank)];
    for one in &bank.applications {
        let ordered = &one.ordered;
        // The keys are in groupings that nothing reads.
        let groupings = match ordered {
            Ordered::Groupings(raw) => raw.groupings.clone(),
            Ordered::Fields(application) => {
                let made = application.groupings(&Keys::from_seed(0));
                made.unwrap_or_default()
            }
        };
        cases.push(data(ordered, &groupings));
        cases.push(records(ordered, &groupings));
        cases.extend(pin(ordered));
    }
    cases
}

/// A case of one application, which is selected in its first step.
fn of(area: &str, ordered: &Ordered, en: &str, zh: &str) -> Case {
    let aid = ordered.aid();
    let mut case = case(
        format!("{area}/{}", hex::encode(aid.as_bytes())),
        format!("{aid} {en}"),
        format!("{aid}{zh}"),
    );
    case.source = vec![SOURCE.to_owned()];
    let opens = if ordered.starts_inactive() {
        "**6283"
    } else {
        "**9000"
    };
    case.steps = vec![select(aid, opens)];
    case
}

fn select(aid: &Aid, expect: &str) -> Step {
    let name = aid.as_bytes();
    let apdu = format!("00A40400 {:02X} {} 00", name.len(), hex_of(name));
    send("select", apdu, expect)
}

/// All applications in the directory, in their order, and no other.
fn directory(bank: &BankSide) -> Case {
    let entries = bank.applications.iter();
    let entries: Vec<_> = entries
        .map(|one| (one.ordered.aid(), one.ordered.label()))
        .collect();
    let mut case = case(
        "bank-directory/entries".to_owned(),
        "The payment system's directory names each application once, the first first.".to_owned(),
        "支付系统目录按优先级列出全部应用，各一次。".to_owned(),
    );
    case.source = vec!["EMV 4.4 book 1, 12.2.3".to_owned()];
    case.steps = vec![select(&DIRECTORY, "**9000")];
    let made = grouping::directory(&entries);
    let read = read_all(&made);
    let next = read.len() + 1;
    case.steps.extend(read);
    let apdu = format!("00B2{next:02X}0C 00");
    case.steps.push(send("no other", apdu, "6A83"));
    case
}

/// What GET DATA gives, for each element that can be known.
fn data(ordered: &Ordered, groupings: &[Grouping]) -> Case {
    let mut case = of(
        "bank-data",
        ordered,
        "gives the elements that it was ordered with.",
        "的数据元与个人化数据一致。",
    );
    let internal = ordered.internal_elements();
    let objects: Vec<_> = Objects::new(&internal).flatten().collect();
    let tries = groupings.iter().rfind(|one| one.number == PIN_TRIES);
    let tries = tries.and_then(|one| one.data.first());
    for (tag, form, _, name) in ELEMENTS {
        let ordered = objects
            .iter()
            .rfind(|one| one.tag.value() == u32::from(tag));
        let value = match (tag, ordered) {
            (AVAILABLE, _) => continue,
            (0x9F17, _) => tries.map(|left| vec![*left]),
            (_, None) if form == Form::Count => Some(vec![0, 0]),
            (_, ordered) => ordered.map(|one| one.value.to_vec()),
        };
        let Some(value) = value else { continue };
        let expect = format!("{tag:04X}{:02X}{}9000", value.len(), hex_of(&value));
        case.steps
            .push(send(name, format!("80CA{tag:04X} 00"), &expect));
    }
    case
}

/// Each record, byte for byte.
fn records(ordered: &Ordered, groupings: &[Grouping]) -> Case {
    let mut case = of(
        "bank-record",
        ordered,
        "gives the records that it was ordered with.",
        "的记录与个人化数据一致。",
    );
    case.safety = Safety::Writes;
    case.steps.push(options());
    case.steps.extend(read_all(groupings));
    case
}

/// A transaction begins, which the card counts.
fn options() -> Step {
    step("options", Action::Options(Options::default()), "**9000")
}

/// READ RECORD of each grouping that is one.
fn read_all(groupings: &[Grouping]) -> Vec<Step> {
    let files = groupings
        .iter()
        .filter(|one| one.is_record() && one.number < 0x0B00);
    files
        .map(|one| {
            let [sfi, number] = one.number.to_be_bytes();
            let apdu = format!("00B2{number:02X}{:02X} 00", sfi << 3 | 0x04);
            let expect = format!("{}9000", hex_of(&one.data));
            send(&format!("record {sfi}.{number}"), apdu, &expect)
        })
        .collect()
}

/// The PIN opens, where there is one and the application is in use from the start.
fn pin(ordered: &Ordered) -> Option<Case> {
    if ordered.starts_inactive() {
        return None;
    }
    let block = pboc::plain_pin_block(&ordered.pin()?)?;
    let mut case = of(
        "bank-pin",
        ordered,
        "takes the PIN that it was ordered with.",
        "接受个人化的密码。",
    );
    case.safety = Safety::Writes;
    case.steps.push(options());
    let apdu = format!("00200080 08 {}", hex_of(&block));
    case.steps.push(send("the PIN", apdu, "9000"));
    Some(case)
}
