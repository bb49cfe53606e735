//! The bank side of a profile: read, refused with all its faults, issued, answered.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use cardlab::apdu::{Command, Sw};
use cardlab::fen::Fen;
use cardlab::icc::Icc;
use cardlab::link::t0::T0;
use cardlab::os::Card;
use cardlab::tag;
use cardlab_desk::bank::application::{
    Application, Authentication, CDOL1, CDOL2, CardBlock, Cash, Grouping, KeyLength, Limits,
    Ordered, Raw, STARTS_INACTIVE, SWITCHES,
};
use cardlab_desk::bank::host::{Bank, Reason, Request, State};
use cardlab_desk::bank::key::Keys;
use cardlab_desk::bank::look;
use cardlab_desk::issue::{IssueError, issue, issue_watched};
use cardlab_desk::profile::{BankSide, ProblemKind, Profile};
use cardlab_desk::wire::exchange;
use proptest::prelude::{Strategy, any, prop, prop_assert_eq, proptest};
use serde_json::{Value, json};

const SEED: u64 = 5;
const ACCOUNT: &str = "6228004116000202649";
const SELECT_SSSE: &str = "00A40400 0F 7378312E73682EC9E7BBE1B1A3D5CF 00";
const SELECT_DIRECTORY: &str = "00A40400 0E 315041592E5359532E4444463031 00";
const SELECT: &str = "00A40400 08 A000000333010101 00";

fn bytes(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    hex::decode(digits).unwrap()
}

/// A profile over `national-2.0` with this one application.
fn with(application: &str) -> Profile {
    parse(application).unwrap_or_else(|report| panic!("{report}"))
}

fn parse(applications: &str) -> Result<Profile, cardlab_desk::profile::Report> {
    let text = format!(
        "{{ \"id\": \"own\", \"extends\": \"national-2.0\", \
         \"bank\": {{ \"applications\": [{applications}] }} }}"
    );
    Profile::parse("own.json", &text)
}

fn side(profile: &Profile) -> &BankSide {
    profile.bank.as_ref().unwrap()
}

fn first(profile: &Profile) -> &Application {
    side(profile).applications[0].ordered.fields().unwrap()
}

fn issued(profile: &Profile) -> Card {
    let mut card = Card::manufacture(&cardlab_applets::ROM, SEED);
    issue(&mut card, profile, SEED).unwrap();
    card
}

fn send(icc: &mut dyn Icc, command: &str) -> (Vec<u8>, Sw) {
    let command = bytes(command);
    let answer = exchange(icc, &Command::parse(&command).unwrap()).unwrap();
    (answer.data, answer.sw)
}

#[track_caller]
fn ok(icc: &mut dyn Icc, command: &str) -> Vec<u8> {
    let (data, sw) = send(icc, command);
    assert_eq!(sw, Sw::OK, "{command}");
    data
}

/// 12.34 yuan at a terminal, as far as the first cryptogram: its request to the bank.
fn first_cryptogram(icc: &mut dyn Icc, application: &Application) -> Request {
    let begun = send(icc, SELECT).1;
    assert!(matches!(begun.0, 0x9000 | 0x6283), "{begun}");
    ok(icc, "80A80000 0B 8309 00 000000001234 0156 00");
    let data = "000000001234 000000000000 0156 0000040000 0156 260701 00 D64B8587 123456";
    let data = format!("{data} {}", "31".repeat(20));
    let answer = ok(icc, &format!("80AE8000 34 {data} 00"));
    Request::of(&application.account, application.sequence)
        .with_list(CDOL1, &bytes(&data))
        .unwrap()
        .with(tag!(0x82), &application.aip())
        .with(tag!(0x9F27), &answer[2..3])
        .with(tag!(0x9F36), &answer[3..5])
        .with(tag!(0x9F26), &answer[5..13])
        .with(tag!(0x9F10), &answer[13..])
}

/// The same to its end: what the bank decided, and the second cryptogram's CID.
fn pay(icc: &mut dyn Icc, application: &Application, bank: &mut Bank) -> (Reason, u8) {
    let request = first_cryptogram(icc, application);
    let decision = bank.authorise(&request).unwrap();
    let Some(data) = decision.authentication_data() else {
        return (decision.reason, 0);
    };
    ok(icc, &format!("00820000 0A {}", hex::encode(data)));
    assert_eq!(CDOL2.len(), 26);
    let code = hex::encode(decision.code());
    let data = "000000001234 000000000000 0156 0000040000 0156 260701 00 D64B8587 123456";
    let answer = ok(icc, &format!("80AE4000 22 {code} {data} 00"));
    (decision.reason, answer[2])
}

/// Has the bank activate the card over a terminal.
fn activate(icc: &mut dyn Icc, application: &Application, bank: &mut Bank) {
    let request = first_cryptogram(icc, application);
    let script = bank.activate(&request).unwrap().unwrap();
    ok(icc, &hex::encode(script));
}

#[test]
fn an_account_is_all_that_a_bank_side_needs() {
    let profile = with(&format!("{{ \"account\": \"{ACCOUNT}\" }}"));
    let application = first(&profile);
    assert_eq!(
        (application.label.as_str(), application.starts_inactive()),
        ("PBOC DEBIT", true)
    );
    assert_eq!(application.card_block, CardBlock::Application);
    let mut card = issued(&profile);
    let mut bank = side(&profile).host(SEED);
    assert_eq!(bank.account(ACCOUNT).unwrap().state, State::Inactive);
    activate(&mut card, application, &mut bank);
    assert_eq!(
        pay(&mut card, application, &mut bank),
        (Reason::Approved, 0x40)
    );
    let left = bank.account(ACCOUNT).unwrap().balance;
    assert_eq!(left, Fen::new(100_000 - 1_234));
}

#[test]
fn a_composite_card_has_both_accounts_and_the_bank_s_pays_once_it_is_active() {
    for (name, is_composite) in [
        ("national-1.0", false),
        ("national-2.0", false),
        ("national-3.0", false),
        ("henan-2.0", true),
        ("henan-3.0", true),
    ] {
        let profile = Profile::load(name).unwrap();
        assert_eq!(profile.bank.is_some(), is_composite, "{name}");
        let mut card = issued(&profile);
        if !is_composite {
            assert_eq!(send(&mut card, SELECT_DIRECTORY).1, Sw::FILE_NOT_FOUND);
            assert_eq!(send(&mut card, SELECT).1, Sw::FILE_NOT_FOUND);
            continue;
        }
        let application = first(&profile);
        let mut bank = side(&profile).host(SEED);
        // Through T=0, as a terminal in the field has it.
        let mut card = T0::new(card);
        card.power_on().unwrap();
        ok(&mut card, SELECT_DIRECTORY);
        let entry = ok(&mut card, "00B2010C 00");
        assert!(
            entry
                .windows(8)
                .any(|name| name == application.aid.as_bytes())
        );
        assert_eq!(send(&mut card, SELECT).1, Sw::SELECTED_FILE_INVALIDATED);
        // Before the bank activated it: no PIN, no payment.
        assert_eq!(
            send(&mut card, "00200080 08 26888888FFFFFFFF").1,
            Sw::CONDITIONS_NOT_MET
        );
        let request = first_cryptogram(&mut card, application);
        let decision = bank.authorise(&request).unwrap();
        assert_eq!(decision.reason, Reason::NotAsked, "{name}");
        activate(&mut card, application, &mut bank);
        assert_eq!(
            pay(&mut card, application, &mut bank),
            (Reason::Approved, 0x40)
        );
        ok(&mut card, SELECT);
        ok(&mut card, "00200080 08 26888888FFFFFFFF");
        assert_eq!(ok(&mut card, "80CA9F79 00"), bytes("9F7906 000000000000"));
        ok(&mut card, SELECT_SSSE);
    }
}

#[test]
fn card_block_ends_what_the_profile_says() {
    for (policy, social) in [("application", Sw::OK), ("card", Sw::NOT_SUPPORTED)] {
        let profile = with(&format!(
            "{{ \"account\": \"{ACCOUNT}\", \"active\": true, \"card_block\": {policy:?} }}"
        ));
        let application = first(&profile);
        let mut card = issued(&profile);
        let mut bank = side(&profile).host(SEED);
        let request = first_cryptogram(&mut card, application);
        assert_eq!(bank.authorise(&request).unwrap().reason, Reason::Approved);
        let scripts = bank.scripts(&request).unwrap().unwrap();
        ok(&mut card, &hex::encode(scripts.block_card()));
        assert_eq!(send(&mut card, SELECT).1, Sw::NOT_SUPPORTED, "{policy}");
        assert_eq!(send(&mut card, SELECT_SSSE).1, social, "{policy}");
    }
}

#[test]
fn every_way_of_data_authentication_and_every_length_of_key_can_be_ordered() {
    for (members, authentication, issuer, own) in [
        (
            "\"authentication\": \"static\"",
            Authentication::Static,
            KeyLength::Usual,
            KeyLength::Usual,
        ),
        (
            "\"authentication\": \"static\", \"issuer_key_bits\": 1984",
            Authentication::Static,
            KeyLength::Long,
            KeyLength::Usual,
        ),
        (
            "\"authentication\": \"dynamic\"",
            Authentication::Dynamic,
            KeyLength::Usual,
            KeyLength::Usual,
        ),
        (
            "\"authentication\": \"dynamic\", \"issuer_key_bits\": 1984, \"card_key_bits\": 1984",
            Authentication::Dynamic,
            KeyLength::Long,
            KeyLength::Long,
        ),
        (
            "\"issuer_key_bits\": 1984",
            Authentication::Combined,
            KeyLength::Long,
            KeyLength::Usual,
        ),
    ] {
        let profile = with(&format!(
            "{{ \"account\": \"{ACCOUNT}\", \"active\": true, \"cash\": {{}}, {members} }}"
        ));
        let application = first(&profile);
        let made = (
            application.authentication,
            application.issuer_key,
            application.card_key,
        );
        assert_eq!(made, (authentication, issuer, own));
        let mut card = issued(&profile);
        // Each record that a locator names is there.
        for cash in ["00", "01"] {
            ok(&mut card, SELECT);
            let options = ok(
                &mut card,
                &format!("80A80000 0B 8309 {cash} 000000001234 0156 00"),
            );
            assert_eq!(options[2..4], application.aip());
            for entry in options[4..].chunks(4) {
                for number in entry[1]..=entry[2] {
                    let p2 = entry[0] | 0x04;
                    ok(&mut card, &format!("00B2{number:02X}{p2:02X} 00"));
                }
            }
        }
        let (_, proven) = send(&mut card, "00880000 04 D64B8587 00");
        let expected = match authentication {
            Authentication::Static => Sw::CONDITIONS_NOT_MET,
            _ => Sw::OK,
        };
        assert_eq!(proven, expected, "{members}");
        let mut bank = side(&profile).host(SEED);
        assert_eq!(
            pay(&mut card, application, &mut bank),
            (Reason::Approved, 0x40)
        );
    }
}

#[test]
fn an_application_out_of_its_groupings_is_the_same_card() {
    let ordered = with(&format!("{{ \"account\": \"{ACCOUNT}\", \"cash\": {{}} }}"));
    let keys = Keys::from_seed(SEED).of_card(ACCOUNT, 1).unwrap();
    let groupings = first(&ordered).groupings(&keys).unwrap();
    let groupings: Vec<_> = groupings
        .iter()
        .map(|grouping| {
            let data = hex::encode_upper(&grouping.data);
            format!(
                "{{ \"dgi\": \"{:04X}\", \"data\": {data:?} }}",
                grouping.number
            )
        })
        .collect();
    let raw = with(&format!("{{ \"groupings\": [{}] }}", groupings.join(", ")));
    assert!(matches!(
        side(&raw).applications[0].ordered,
        Ordered::Groupings(_)
    ));
    let mut cards = [issued(&ordered), issued(&raw)];
    for command in [
        SELECT,
        "80A80000 0B 8309 01 000000001234 0156 00",
        "00B20114 00",
        "00B2021C 00",
        "80CA9F79 00",
    ] {
        let [one, other] = &mut cards;
        assert_eq!(send(one, command), send(other, command), "{command}");
    }
    // Its own bank knows its keys, whatever the seed.
    for mut bank in [side(&ordered).host(SEED), side(&raw).host(SEED + 1)] {
        let request = first_cryptogram(&mut cards[1], first(&ordered));
        assert!(bank.activate(&request).unwrap().is_ok());
    }
}

#[test]
fn an_order_by_groupings_says_of_its_card_what_one_by_fields_says() {
    let masters = Keys::from_seed(SEED);
    for members in [
        r#""active": true"#,
        r#""cash": { "balance_limit_fen": 12345 }, "sequence": 7, "pin": "13572468""#,
        r#""authentication": "static", "limits": { "lower": 3, "upper": 4 }"#,
        r#""cash": {}, "sm_algorithms": true"#,
    ] {
        let profile = with(&format!("{{ \"account\": \"{ACCOUNT}\", {members} }}"));
        let ordered = &side(&profile).applications[0].ordered;
        let keys = masters.of_card(ACCOUNT, ordered.sequence()).unwrap();
        let raw = Ordered::Groupings(Raw {
            aid: *ordered.aid(),
            label: ordered.label().to_owned(),
            card_block: ordered.card_block(),
            switches: ordered.switches(),
            groupings: first(&profile).groupings(&keys).unwrap(),
        });
        assert_eq!(raw.account().as_deref(), Some(ACCOUNT), "{members}");
        assert_eq!(raw.sequence(), ordered.sequence(), "{members}");
        assert_eq!(raw.pin(), ordered.pin(), "{members}");
        assert_eq!(raw.keys(&masters), Some(keys), "{members}");
        assert_eq!(raw.keys(&masters), ordered.keys(&masters), "{members}");
        assert_eq!(raw.starts_inactive(), ordered.starts_inactive());
        assert_eq!(raw.internal_elements(), ordered.internal_elements());
        assert_eq!(raw.locators(), ordered.locators(), "{members}");
        assert_eq!(raw.lists(), ordered.lists(), "{members}");
        assert_eq!(raw.cash_limit(), ordered.cash_limit(), "{members}");
        assert_eq!(raw.has_sm_set(), ordered.has_sm_set(), "{members}");
        assert!(raw.public_keys() == ordered.public_keys(), "{members}");
        let (rsa, sm2) = raw.public_keys();
        assert_eq!(rsa.is_some(), !members.contains("static"));
        assert_eq!(sm2.is_some(), members.contains("sm_algorithms"));
    }
}

#[test]
fn keys_and_a_pin_that_an_order_states_are_its_card_s() {
    let own = "31".repeat(48);
    let profile = with(&format!(
        "{{ \"account\": \"{ACCOUNT}\", \"groupings\": [ \
         {{ \"dgi\": \"8000\", \"data\": \"{own}\" }}, \
         {{ \"dgi\": \"8010\", \"data\": \"06246810FFFFFFFF\" }} ] }}"
    ));
    let ordered = &side(&profile).applications[0].ordered;
    let masters = Keys::from_seed(SEED);
    let keys = ordered.keys(&masters).unwrap();
    assert_eq!(keys.des.to_bytes(), [0x31; 48]);
    assert_eq!(keys.sm4, masters.of_card(ACCOUNT, 1).unwrap().sm4);
    assert_eq!(ordered.pin().as_deref(), Some("246810"));
    // What is no block of a PIN is none.
    for block in ["0324681FFFFFFFFF", "06246A10FFFFFFFF", "0D24681024681024"] {
        let profile = with(&format!(
            "{{ \"account\": \"{ACCOUNT}\", \"groupings\": [ \
             {{ \"dgi\": \"8010\", \"data\": \"{block}\" }} ] }}"
        ));
        assert_eq!(
            side(&profile).applications[0].ordered.pin(),
            None,
            "{block}"
        );
    }
}

#[test]
fn a_grouping_beside_an_account_stands_in_place_of_the_one_made() {
    let options = "8202 5C00 9404 08010100";
    let profile = with(&format!(
        "{{ \"account\": \"{ACCOUNT}\", \"active\": true, \"groupings\": [ \
         {{ \"dgi\": \"9104\", \"data\": \"{options}\" }}, \
         {{ \"dgi\": \"9103\", \"data\": \"A5 06 50 04 50424F43\" }} ] }}"
    ));
    let mut card = issued(&profile);
    ok(&mut card, SELECT);
    let answer = ok(&mut card, "80A80000 0B 8309 00 000000001234 0156 00");
    assert_eq!(answer, bytes("80 06 5C00 08010100"));
}

#[test]
fn amounts_limits_switches_and_currencies_reach_the_card() {
    let profile = with(&format!(
        "{{ \"account\": \"{ACCOUNT}\", \"aid\": \"A000000333010102\", \"sequence\": 7, \
         \"active\": true, \"tries\": 5, \"pin\": \"1234567\", \"balance_fen\": 77, \
         \"valid_from\": \"20250203\", \"valid_to\": \"20491231\", \"default_action\": \"F8C0\", \
         \"limits\": {{ \"lower\": 2, \"upper\": 4, \"foreign_currency\": 5, \
         \"foreign_country\": 6, \"sum_fen\": 700, \"upper_sum_fen\": 800 }}, \
         \"second_currency\": {{ \"code\": \"0840\", \"conversion\": \"07000000\", \
         \"sum_fen\": 900 }}, \
         \"cash\": {{ \"balance_fen\": 10, \"balance_limit_fen\": 20, \
         \"reset_threshold_fen\": 11, \"second\": {{ \"code\": \"0344\", \
         \"balance_fen\": 30, \"balance_limit_fen\": 60, \"single_limit_fen\": 50 }} }}, \
         \"switches\": {{ \"pdol_length_is_data\": true }} }}"
    ));
    assert_eq!(first(&profile).label, "PBOC CREDIT");
    let mut card = issued(&profile);
    ok(&mut card, "00A40400 08 A000000333010102 00");
    for (tag, value) in [
        ("9F17", "05"),
        ("9F52", "F8C0"),
        ("9F58", "02"),
        ("9F59", "04"),
        ("9F53", "05"),
        ("9F72", "06"),
        ("9F54", "000000000700"),
        ("9F5C", "000000000800"),
        ("9F76", "0840"),
        ("9F73", "07000000"),
        ("9F75", "000000000900"),
        ("9F79", "000000000010"),
        ("9F77", "000000000020"),
        ("9F78", "000000000020"),
        ("9F6D", "000000000011"),
        ("DF71", "0344"),
        ("DF79", "000000000030"),
        ("DF77", "000000000060"),
        ("DF78", "000000000050"),
    ] {
        let answer = ok(&mut card, &format!("80CA{tag} 00"));
        assert_eq!(answer[3..], bytes(value), "{tag}");
    }
    ok(&mut card, "00200080 08 271234567FFFFFFF");
    assert_eq!(send(&mut card, "80A80000 03 830100 00").1, Sw::WRONG_DATA);
    let bank = side(&profile).host(SEED);
    assert_eq!(bank.account(ACCOUNT).unwrap().balance, Fen::new(77));
}

/// All that a profile can say of an application with an account, but its groupings.
fn written(application: &Application) -> Value {
    let day = |day: [u8; 3]| format!("20{}", hex::encode(day));
    let on = |bit: u16| application.switches & bit != 0;
    let switches: serde_json::Map<_, _> = SWITCHES
        .into_iter()
        .map(|(name, bit)| (name.to_owned(), json!(on(bit))))
        .collect();
    let Limits {
        lower,
        upper,
        foreign_currency,
        foreign_country,
        sum,
        upper_sum,
    } = application.limits;
    let bits = |length, usual| match length {
        KeyLength::Usual => usual,
        KeyLength::Long => 1984,
    };
    let has_key = application.authentication != Authentication::Static;
    let mut written = json!({
        "aid": application.aid.to_string(),
        "label": application.label,
        "account": application.account,
        "sequence": application.sequence,
        "holder": application.holder,
        "holder_id": application.holder_id,
        "valid_from": day(application.effective),
        "valid_to": day(application.expiry),
        "pin": application.pin,
        "tries": application.pin_tries,
        "active": !on(STARTS_INACTIVE),
        "card_block": match application.card_block {
            CardBlock::Application => "application",
            CardBlock::Card => "card",
        },
        "authentication": match application.authentication {
            Authentication::Static => "static",
            Authentication::Dynamic => "dynamic",
            Authentication::Combined => "combined",
        },
        "issuer_key_bits": bits(application.issuer_key, 1408),
        "sm_algorithms": application.sm_algorithms,
        "default_action": hex::encode(application.default_action),
        "limits": {
            "lower": lower, "upper": upper, "foreign_currency": foreign_currency,
            "foreign_country": foreign_country, "sum_fen": sum.count(),
            "upper_sum_fen": upper_sum.count(),
        },
        "methods": hex::encode(&application.methods),
        "cash_methods": hex::encode(&application.cash_methods),
        "switches": switches,
    });
    if has_key {
        written["card_key_bits"] = json!(bits(application.card_key, 1152));
    }
    if let Some(cash) = application.cash {
        written["cash"] = json!({
            "balance_fen": cash.balance.count(),
            "balance_limit_fen": cash.balance_limit.count(),
            "single_limit_fen": cash.single_limit.count(),
            "reset_threshold_fen": cash.reset_threshold.count(),
        });
    }
    written
}

/// Applications of all kinds that profiles can order.
fn any_application() -> impl Strategy<Value = Application> {
    let authentication = prop::sample::select(vec![
        (Authentication::Static, KeyLength::Usual),
        (Authentication::Dynamic, KeyLength::Usual),
        (Authentication::Dynamic, KeyLength::Long),
        (Authentication::Combined, KeyLength::Usual),
    ]);
    let names = (
        "[A-Z0-9 ]{1,16}",
        "[A-Z][A-Z /.]{1,25}",
        "[0-9X]{1,40}",
        "[0-9]{4,12}",
    );
    let numbers = (0..=99u8, 1..=15u8, 0..=200u8, 0..=55u8, any::<u16>());
    let cash = prop::option::of([
        0..=1_000_000u32,
        0..=1_000_000,
        0..=1_000_000,
        0..=1_000_000,
    ]);
    let flags = any::<[bool; 10]>();
    (authentication, names, numbers, cash, flags).prop_map(
        |((authentication, card_key), (label, holder, holder_id, pin), numbers, cash, flags)| {
            let (sequence, pin_tries, lower, more, action) = numbers;
            let [sm_algorithms, inactive, card_block, long_issuer, on @ ..] = flags;
            let bits = SWITCHES.into_iter().zip(on);
            let bits = bits.map(|((_, bit), on)| if on { bit } else { 0 });
            let cash = cash.map(|amounts| {
                let limit = amounts.into_iter().max().unwrap_or(0);
                let [balance, single_limit, reset_threshold, _] = amounts.map(Fen::new);
                Cash {
                    balance,
                    balance_limit: Fen::new(limit),
                    single_limit,
                    reset_threshold,
                }
            });
            let is_long = card_key == KeyLength::Long || long_issuer;
            Application {
                label,
                sequence,
                holder,
                holder_id,
                pin,
                pin_tries,
                authentication,
                card_key,
                issuer_key: if is_long {
                    KeyLength::Long
                } else {
                    KeyLength::Usual
                },
                sm_algorithms,
                card_block: if card_block {
                    CardBlock::Card
                } else {
                    CardBlock::Application
                },
                default_action: action.to_be_bytes(),
                limits: Limits {
                    lower,
                    upper: lower + more,
                    ..Application::of(ACCOUNT).limits
                },
                cash,
                switches: bits.sum::<u16>() | if inactive { STARTS_INACTIVE } else { 0 },
                ..Application::of(ACCOUNT)
            }
        },
    )
}

proptest! {
    #[test]
    fn an_application_that_is_written_down_is_read_as_it_was(application in any_application()) {
        let profile = with(&written(&application).to_string());
        prop_assert_eq!(first(&profile), &application);
        // And becomes groupings, with those of the SM set where it has that.
        let keys = Keys::from_seed(SEED).of_card(ACCOUNT, application.sequence);
        let groupings = application.groupings(&keys.unwrap()).unwrap();
        let has = |number| groupings.iter().any(|one: &Grouping| one.number == number);
        let sm = application.sm_algorithms;
        let has_key = application.authentication != Authentication::Static;
        prop_assert_eq!([has(0x8030), has(0x9030), has(0x9114)], [sm; 3]);
        prop_assert_eq!(has(0x9213), sm && application.cash.is_some());
        prop_assert_eq!(has(0x8100), sm && has_key);
    }
}

#[test]
fn shipped_profiles_have_no_sm_set() {
    for name in Profile::shipped() {
        let profile = Profile::load(name).unwrap();
        for one in profile.bank.iter().flat_map(|side| &side.applications) {
            let Some(application) = one.ordered.fields() else {
                continue;
            };
            assert!(!application.sm_algorithms, "{name}");
        }
    }
}

#[test]
fn an_application_with_the_sm_set_is_issued_and_shows_that_it_asks_for_it() {
    for sm in [false, true] {
        let profile = with(&format!(
            "{{ \"account\": \"{ACCOUNT}\", \"sm_algorithms\": {sm}, \"cash\": {{}}, \
             \"switches\": {{ \"sm2_number_within\": true }} }}"
        ));
        assert_eq!(first(&profile).switches, 0x0041);
        let mut card = issued(&profile);
        let looks = look::applications(&mut card).unwrap().unwrap();
        assert_eq!(looks[0].has_sm, sm);
    }
}

#[test]
fn all_that_is_wrong_with_a_bank_side_is_told_at_once() {
    let report = parse(
        r#"{ "aid": "A000000333010101", "account": "6228004116000202641", "label": "标签",
             "holder": "X", "holder_id": "一", "pin": "12A4", "tries": 16,
             "valid_from": "20240231", "valid_to": "20500101",
             "methods": "0000000000000000 41 03 42",
             "card_key_bits": 1984, "active": "yes", "sm_algorithms": "yes", "coffee": 1,
             "limits": { "lower": 9, "upper": 3, "sum_fen": 5, "upper_sum_fen": 4 },
             "cash": { "balance_fen": 9, "balance_limit_fen": 8, "second": { "balance_fen": 1 } },
             "switches": { "unknown": true } },
           { "aid": "a000000333010101", "account": "1234" },
           { "aid": "315041592E5359532E4444463031", "pin": "123456", "sm_algorithms": true,
             "groupings": [ { "dgi": "0B01", "data": "70 00" }, { "dgi": "8000", "data": "00" },
                            { "dgi": "9102", "data": "A500" },
                            { "dgi": "9102", "data": "A500" } ] },
           { "aid": "A000000333010107" }"#,
    )
    .unwrap_err();
    let told: Vec<_> = report
        .problems()
        .iter()
        .map(|problem| (problem.path.as_str(), problem.kind))
        .collect();
    let at = |path: &str| format!("$.bank.applications{path}");
    for (path, kind) in [
        ("[0].account", ProblemKind::Value),
        ("[0].label", ProblemKind::Value),
        ("[0].holder", ProblemKind::Value),
        ("[0].holder_id", ProblemKind::Value),
        ("[0].pin", ProblemKind::Value),
        ("[0].tries", ProblemKind::Form),
        ("[0].valid_from", ProblemKind::Value),
        ("[0].valid_to", ProblemKind::Value),
        ("[0].methods", ProblemKind::Value),
        ("[0].card_key_bits", ProblemKind::Conflict),
        ("[0].active", ProblemKind::Form),
        ("[0].sm_algorithms", ProblemKind::Form),
        ("[0].coffee", ProblemKind::Unknown),
        ("[0].limits.upper", ProblemKind::Conflict),
        ("[0].limits.upper_sum_fen", ProblemKind::Conflict),
        ("[0].cash.balance_fen", ProblemKind::Conflict),
        ("[0].cash.second", ProblemKind::Missing),
        ("[0].switches.unknown", ProblemKind::Unknown),
        ("[1].aid", ProblemKind::Duplicate),
        ("[1].account", ProblemKind::Form),
        ("[2].aid", ProblemKind::Value),
        ("[2].pin", ProblemKind::Conflict),
        ("[2].sm_algorithms", ProblemKind::Conflict),
        ("[2].groupings", ProblemKind::Missing),
        ("[2].groupings[0].dgi", ProblemKind::Reference),
        ("[2].groupings[1].data", ProblemKind::Length),
        ("[2].groupings[3].dgi", ProblemKind::Duplicate),
        ("[3]", ProblemKind::Missing),
    ] {
        assert!(told.contains(&(&at(path), kind)), "{path}: {told:?}");
    }
    assert_eq!(told.len(), 30, "{told:?}");
    let check = "with the check digit 9";
    assert!(report.to_string().contains(check), "{report}");
}

#[test]
fn a_name_of_the_social_side_and_a_second_currency_that_is_the_first_are_told() {
    let told = |members: &str| {
        let text = format!(
            r#"{{ "id": "own", "extends": "henan-2.0", "zh": "样卡", "en": "A card", "bank": {{
                "applications": [ {{ "account": "6228480402564890018", {members} }} ] }} }}"#
        );
        let report = Profile::parse("own.json", &text).unwrap_err();
        let problems = report.problems().iter();
        problems
            .map(|problem| (problem.path.clone(), problem.kind))
            .collect::<Vec<_>>()
    };
    for (members, path) in [
        (r#""aid": "7378312E73682EC9E7BBE1B1A3D5CF""#, "aid"),
        (r#""aid": "D15600000500""#, "aid"),
        (
            r#""second_currency": { "code": "0156", "conversion": "20000690" }"#,
            "second_currency.code",
        ),
        (
            r#""cash": { "second": { "code": "0156" } }"#,
            "cash.second.code",
        ),
    ] {
        let path = format!("$.bank.applications[0].{path}");
        assert_eq!(told(members), [(path, ProblemKind::Conflict)], "{members}");
    }
}

#[test]
fn a_profile_over_a_composite_one_changes_or_removes_an_application_by_its_name() {
    let over = |bank: &str| {
        let text = format!("{{ \"id\": \"own\", \"extends\": \"henan-2.0\", \"bank\": {bank} }}");
        Profile::parse("own.json", &text).unwrap_or_else(|report| panic!("{report}"))
    };
    let changed = over(r#"{ "applications": [ { "aid": "A000000333010101", "active": true } ] }"#);
    let original = Profile::load("henan-2.0").unwrap();
    assert_eq!(first(&changed).account, first(&original).account);
    assert!(!first(&changed).starts_inactive());
    let more = over(
        r#"{ "applications": [
              { "aid": "A000000333010102", "account": "6228004116003026268" } ] }"#,
    );
    assert_eq!(side(&more).applications.len(), 2);
    assert!(over("null").bank.is_none());
}

#[test]
fn the_bank_side_s_steps_are_told_and_counted_and_show_no_secret() {
    let profile = Profile::load("henan-2.0").unwrap();
    let mut card = Card::manufacture(&cardlab_applets::ROM, SEED);
    let mut told = Vec::new();
    let issued = issue_watched(&mut card, &profile, SEED, &mut |step, far| {
        told.push((step.clone(), far));
    });
    let issued = issued.unwrap();
    assert_eq!(told.len(), issued.commands);
    for (index, (step, far)) in told.iter().enumerate() {
        assert_eq!(*far, (index, issued.commands), "{step:?}");
    }
    let path = "$.bank.applications[A000000333010101]";
    let of_application: Vec<_> = told
        .iter()
        .filter(|(step, _)| step.path() == path)
        .collect();
    assert!(of_application.len() > 30);
    let secret = of_application
        .iter()
        .filter(|(step, _)| step.command()[..3] == [0x80, 0xE2, 0x60]);
    let keys = Keys::from_seed(SEED).of_card(&first(&profile).account, 1);
    let key = keys.unwrap().des.to_bytes();
    let mut count = 0;
    for (step, _) in secret {
        assert!(step.shown().ends_with("··"), "{step:?}");
        assert!(!step.command().windows(16).any(|part| part == &key[..16]));
        count += 1;
    }
    // Keys, five numbers of the RSA key, the PIN.
    assert_eq!(count, 7);
}

#[test]
fn what_anybody_may_see_of_the_bank_side_is_read_with_its_logs() {
    let profile = with(&format!(
        "{{ \"account\": \"{ACCOUNT}\", \"active\": true, \
         \"cash\": {{ \"balance_fen\": 500 }} }}"
    ));
    let application = first(&profile);
    let mut card = issued(&profile);
    let mut bank = side(&profile).host(SEED);
    let request = first_cryptogram(&mut card, application);
    let scripts = bank.scripts(&request).unwrap().unwrap();
    ok(&mut card, &hex::encode(scripts.load(Fen::new(700))));
    assert_eq!(
        pay(&mut card, application, &mut bank),
        (Reason::Approved, 0x40)
    );
    let looks = look::applications(&mut card).unwrap().unwrap();
    let [look] = &looks[..] else {
        panic!("{looks:?}");
    };
    assert_eq!((look.aid, look.selected), (application.aid, Sw::OK));
    let element = |tag| {
        look.elements
            .iter()
            .find(|(known, _)| *known == tag)
            .cloned()
    };
    assert_eq!(element(0x9F36), Some((0x9F36, vec![0, 2])));
    assert_eq!(element(0x9F79), Some((0x9F79, bytes("000000000700"))));
    assert_eq!(element(0xDF79), None);
    let [payment] = &look.payments[..] else {
        panic!("{look:?}");
    };
    assert!(payment.contains(&(0x9F02, bytes("000000001234"))));
    assert!(payment.contains(&(0x9F36, vec![0, 2])));
    let [(old, new, fields)] = &look.loads[..] else {
        panic!("{look:?}");
    };
    assert_eq!(
        [&old[..], &new[..]],
        [bytes("000000000500"), bytes("000000000700")]
    );
    assert!(fields.contains(&(0x9F36, vec![0, 1])));
    let mut none = issued(&Profile::load("national-2.0").unwrap());
    assert_eq!(look::applications(&mut none), Ok(None));
}

#[test]
fn a_grouping_that_the_card_refuses_is_named_with_its_application() {
    // A record that is no template.
    let profile = with(&format!(
        "{{ \"account\": \"{ACCOUNT}\", \
         \"groupings\": [ {{ \"dgi\": \"0101\", \"data\": \"57 00\" }} ] }}"
    ));
    let mut card = Card::manufacture(&cardlab_applets::ROM, SEED);
    let error = issue(&mut card, &profile, SEED).unwrap_err();
    assert!(matches!(error, IssueError::Bank { .. }));
    let says = error.to_string();
    for part in ["$.bank.applications[A000000333010101]", "0101", "6A80"] {
        assert!(says.contains(part), "{says}");
    }
}
