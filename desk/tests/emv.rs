//! The terminal's kernel and a card of ours: whole transactions and their stories.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bankcard;

use bankcard::{AID, PIN, application, bank, card};
use cardlab::aid::Aid;
use cardlab::apdu::{Command, Sw};
use cardlab::fen::Fen;
use cardlab::icc::{Icc, Lost};
use cardlab::link::t0::T0;
use cardlab::os::Card;
use cardlab::secure::scp02::{Level, StaticKeys};
use cardlab::tag;
use cardlab::tlv::{Tag, Writer, find};
use cardlab_desk::bank::application::{Application, Grouping, STARTS_INACTIVE};
use cardlab_desk::bank::authority::{Subject, certify_card, certify_issuer};
use cardlab_desk::bank::host::{Bank, Cvr, Reason, Request, Scripts, State};
use cardlab_desk::bank::key::Keys;
use cardlab_desk::bank::personalise::Bureau;
use cardlab_desk::bank::rsa::{RsaPair, Whose};
use cardlab_desk::emv::{
    Answer, End, Finding, Holder, Host, OutOfReach, Outcome, Phase, Sale, Terminal, Tsi, Why,
    activate, pay,
};

const CREDIT: Aid = Aid::constant(&[0xA0, 0x00, 0x00, 0x03, 0x33, 0x01, 0x01, 0x02]);
const APPROVED_OFFLINE: End = End::Approved { online: false };
const APPROVED_ONLINE: End = End::Approved { online: true };
const DECLINED_OFFLINE: End = End::Declined { online: false };
const DECLINED_ONLINE: End = End::Declined { online: true };

fn sale(fen: u32) -> Sale {
    Sale {
        amount: Fen::new(fen),
        other: Fen::ZERO,
        kind: 0x00,
        date: [0x26, 0x07, 0x01],
        time: [0x12, 0x34, 0x56],
        cash: false,
        online: false,
        application: None,
        seed: 5,
    }
}

/// Terminal, card, bank and holder.
struct Bench<I = Card> {
    icc: I,
    bank: Bank,
    terminal: Terminal,
    holder: Holder,
}

impl Bench {
    fn new() -> Bench {
        Bench::of(&application())
    }

    fn of(application: &Application) -> Bench {
        Bench {
            icc: card(application),
            bank: bank(application),
            terminal: Terminal::of_a_merchant(),
            holder: Holder::with_pin(PIN),
        }
    }

    fn offline(mut self) -> Bench {
        self.terminal = self.terminal.offline_only();
        self
    }
}

impl<I: Icc> Bench<I> {
    fn pay(&mut self, sale: &Sale) -> Outcome {
        pay(
            &mut self.icc,
            &self.terminal,
            sale,
            &self.holder,
            &mut self.bank,
        )
    }

    fn pay_with(&mut self, sale: &Sale, host: &mut dyn Host) -> Outcome {
        pay(&mut self.icc, &self.terminal, sale, &self.holder, host)
    }

    fn balance(&self) -> u32 {
        let account = self.bank.account(bankcard::ACCOUNT);
        account.unwrap().balance.count()
    }

    fn through<J>(self, around: impl FnOnce(I) -> J) -> Bench<J> {
        Bench {
            icc: around(self.icc),
            bank: self.bank,
            terminal: self.terminal,
            holder: self.holder,
        }
    }
}

fn cvr(outcome: &Outcome) -> String {
    let last = outcome.second.as_ref().or(outcome.first.as_ref());
    let Cvr(bytes) = last.unwrap().issuer().unwrap().cvr;
    hex::encode_upper(bytes)
}

#[track_caller]
fn says(outcome: &Outcome, phase: Phase, words: &str) {
    let found = outcome
        .steps
        .iter()
        .any(|step| step.phase == phase && step.en.contains(words));
    assert!(found, "{words}: {}", story(outcome));
}

fn story(outcome: &Outcome) -> String {
    let lines = outcome
        .steps
        .iter()
        .map(|step| format!("\n  {:?}: {} {}", step.phase, step.en, step.zh));
    lines.collect()
}

/// A card whose answer to one command is changed.
struct Changed<I, F> {
    icc: I,
    change: F,
}

impl<I: Icc, F: FnMut(&[u8], &mut Vec<u8>)> Icc for Changed<I, F> {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.icc.power_on()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.icc.reset()
    }

    fn power_off(&mut self) {
        self.icc.power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        self.icc.transmit(command, response)?;
        (self.change)(command, response);
        Ok(())
    }
}

/// A host whose answer is changed.
struct Meddled<'b, F>(&'b mut Bank, F);

impl<F: FnMut(&Request, &mut Answer)> Host for Meddled<'_, F> {
    fn authorise(&mut self, request: &Request) -> Option<Answer> {
        let mut answer = Host::authorise(self.0, request)?;
        (self.1)(request, &mut answer);
        Some(answer)
    }
}

#[test]
fn a_card_that_signs_its_cryptogram_is_approved_off_line() {
    let mut bench = Bench::new().offline();
    let outcome = bench.pay(&sale(1_234));
    assert_eq!(outcome.end, APPROVED_OFFLINE, "{}", story(&outcome));
    assert_eq!(outcome.application, Some(AID));
    // A new card; nothing else was found.
    assert_eq!(outcome.tvr.to_string(), "0008000000");
    assert_eq!(outcome.tsi, Tsi([0xE8, 0x00]));
    // A PIN to the card in the clear, successful.
    assert_eq!(outcome.holder, [0x41, 0x03, 0x02]);
    assert_eq!(cvr(&outcome), "941002");
    assert_eq!(outcome.asked, None);
    says(
        &outcome,
        Phase::Authentication,
        "the card signed this cryptogram",
    );
    says(&outcome, Phase::End, "approved off line");
    let (first, number) = (outcome.first.unwrap(), 1);
    assert_eq!((first.information, first.atc), (0x40, number));
}

#[test]
fn every_step_is_told_in_both_languages() {
    let outcome = Bench::new().offline().pay(&sale(1_234));
    let mut phases: Vec<_> = outcome.steps.iter().map(|step| step.phase).collect();
    phases.dedup();
    for (index, step) in outcome.steps.iter().enumerate() {
        assert!(step.en.is_ascii(), "{index}: {}", step.en);
        assert!(!step.zh.is_ascii(), "{index}: {}", step.zh);
    }
    assert_eq!(phases.first(), Some(&Phase::Selection));
    assert_eq!(phases.last(), Some(&Phase::End));
}

#[test]
fn a_terminal_chooses_the_best_authentication_that_both_have() {
    for (capability, cvr_byte, tvr_byte, words) in [
        (0x80, "00", "02", "the issuer signed the card's data"),
        (
            0xC0,
            "02",
            "00",
            "the card signed the terminal's random number",
        ),
        (0xC8, "02", "00", "the card signed this cryptogram"),
    ] {
        let mut bench = Bench::new().offline();
        bench.terminal.capabilities[2] = capability;
        let outcome = bench.pay(&sale(1_234));
        assert_eq!(outcome.end, APPROVED_OFFLINE, "{}", story(&outcome));
        assert_eq!(&cvr(&outcome)[4..], cvr_byte, "{words}");
        assert_eq!(&outcome.tvr.to_string()[..2], tvr_byte);
        says(&outcome, Phase::Authentication, words);
    }
    let mut bench = Bench::new().offline();
    bench.terminal.capabilities[2] = 0x00;
    let outcome = bench.pay(&sale(1_234));
    assert!(outcome.tvr.has(Finding::NotAuthenticated));
    assert_eq!(outcome.end, DECLINED_OFFLINE);
}

#[test]
fn a_terminal_without_the_right_key_declines_and_says_why() {
    type Change = fn(&mut Terminal);
    let changes: [(Change, &str); 3] = [
        (
            |terminal| terminal.authorities.clear(),
            "does not have this authority's key",
        ),
        (
            |terminal| terminal.authorities[0].index = 97,
            "does not have this authority's key",
        ),
        (
            |terminal| {
                terminal.authorities[0].key = RsaPair::of(Whose::LongIssuer).public().clone();
            },
            "the issuer's certificate does not open",
        ),
    ];
    for (change, words) in changes {
        for (capability, finding) in [
            (0x80, Finding::StaticFailed),
            (0x40, Finding::DynamicFailed),
            (0x08, Finding::CombinedFailed),
        ] {
            let mut bench = Bench::new().offline();
            change(&mut bench.terminal);
            bench.terminal.capabilities[2] = capability;
            let outcome = bench.pay(&sale(1_234));
            assert!(outcome.tvr.has(finding), "{}", story(&outcome));
            assert_eq!(outcome.end, DECLINED_OFFLINE);
            says(&outcome, Phase::Authentication, words);
            says(&outcome, Phase::Terminal, "a finding declines");
        }
    }
}

/// An application with a record in the place of its own.
fn with_record(number: u16, fill: impl FnOnce(&mut Writer<'_>)) -> Application {
    let mut ordered = application();
    let mut data = Vec::new();
    Writer::append(&mut data).nested(tag!(0x70), fill);
    ordered.groupings = vec![Grouping { number, data }];
    ordered
}

/// What of the application is authenticated: the first record of the account's file, and
/// the profile.
fn static_data(ordered: &Application) -> Vec<u8> {
    let keys = Keys::from_seed(7).of_card(&ordered.account, ordered.sequence);
    let groupings = ordered.groupings(&keys.unwrap()).unwrap();
    let first = groupings.iter().find(|one| one.number == 0x0201).unwrap();
    let inner = find(&first.data, &[tag!(0x70)]).unwrap().unwrap();
    [inner, &[0x7D, 0x00]].concat()
}

/// With this certificate of its issuer.
fn under_issuer(identifier: [u8; 4], expiry: [u8; 2]) -> Application {
    let subject = Subject {
        expiry,
        serial: [0, 0, 2],
    };
    let authority = RsaPair::of(Whose::Authority);
    let issuer = RsaPair::of(Whose::Issuer).public();
    let made = certify_issuer(authority, issuer, identifier, &subject).unwrap();
    with_record(0x0301, |record| {
        record.object(tag!(0x90), &made.certificate);
    })
}

/// With this certificate of its own.
fn of_account(account: &str, expiry: [u8; 2]) -> Application {
    let number = bankcard::ACCOUNT.parse().unwrap();
    let subject = Subject {
        expiry,
        serial: [0, 0, 2],
    };
    let issuer = RsaPair::of(Whose::Issuer);
    let card = RsaPair::of(Whose::Card(number)).public();
    let name = hex::decode(account).unwrap().try_into().unwrap();
    let data = static_data(&application());
    let made = certify_card(issuer, card, name, &subject, &data).unwrap();
    with_record(0x0202, |record| {
        record
            .object(tag!(0x9F46), &made.certificate)
            .object(tag!(0x9F47), &made.exponent)
            .object(tag!(0x9F48), &made.remainder);
    })
}

#[test]
fn certificates_that_open_and_are_not_for_this_card_or_this_day_do_not_stand() {
    const BANK: [u8; 4] = [0x62, 0x28, 0x00, 0xFF];
    const CARD: &str = "6228004116000202641F";
    let valid = [0x12, 0x34];
    for (ordered, words) in [
        (under_issuer(BANK, valid), None),
        (under_issuer([0x62, 0x28, 0xFF, 0xFF], valid), None),
        (
            under_issuer([0x62, 0x29, 0x00, 0xFF], valid),
            Some("the issuer's certificate is another bank's"),
        ),
        (under_issuer(BANK, [0x07, 0x26]), None),
        (
            under_issuer(BANK, [0x06, 0x26]),
            Some("the issuer's certificate has expired"),
        ),
        (of_account(CARD, valid), None),
        (
            of_account("6228004116000202658F", valid),
            Some("the card's certificate is for another account"),
        ),
        (
            of_account(CARD, [0x12, 0x25]),
            Some("the card's certificate has expired"),
        ),
        (
            with_record(0x0302, |record| {
                record.object(tag!(0x8F), &[99]);
            }),
            Some("data for it are missing"),
        ),
    ] {
        for (capability, finding) in [
            (0x40, Finding::DynamicFailed),
            (0x08, Finding::CombinedFailed),
        ] {
            let mut bench = Bench::of(&ordered).offline();
            bench.terminal.capabilities[2] = capability;
            let outcome = bench.pay(&sale(1_234));
            assert_eq!(
                outcome.tvr.has(finding),
                words.is_some(),
                "{}",
                story(&outcome)
            );
            if let Some(words) = words {
                says(&outcome, Phase::Authentication, words);
                assert_eq!(outcome.end, DECLINED_OFFLINE);
            }
            let missing = words.is_some_and(|words| words.contains("missing"));
            assert_eq!(outcome.tvr.has(Finding::DataMissing), missing);
        }
    }
}

#[test]
fn static_data_that_were_changed_are_found_by_every_authentication() {
    let keys = Keys::from_seed(7).of_card(bankcard::ACCOUNT, bankcard::SEQUENCE);
    let groupings = application().groupings(&keys.unwrap()).unwrap();
    let mut first = groupings
        .into_iter()
        .find(|one| one.number == 0x0201)
        .unwrap();
    // Its last byte: a digit of the country.
    *first.data.last_mut().unwrap() ^= 1;
    let mut ordered = application();
    ordered.groupings = vec![first];
    for (capability, finding) in [
        (0x80, Finding::StaticFailed),
        (0x40, Finding::DynamicFailed),
        (0x08, Finding::CombinedFailed),
    ] {
        let mut bench = Bench::of(&ordered).offline();
        bench.terminal.capabilities[2] = capability;
        let outcome = bench.pay(&sale(1_234));
        assert!(outcome.tvr.has(finding), "{}", story(&outcome));
        assert_eq!(outcome.end, DECLINED_OFFLINE);
    }
}

/// A card with these applications, in this order of priority.
fn card_with(ordered: &[&Application]) -> Card {
    let mut card = Card::manufacture(&cardlab_applets::ROM, 7);
    card.power_on().unwrap();
    let mut bureau = Bureau::new(|_| StaticKeys::initial(), Level::from_p1(1).unwrap(), 3);
    for one in ordered {
        let keys = Keys::from_seed(7).of_card(&one.account, one.sequence);
        bureau.personalise(&mut card, one, &keys.unwrap()).unwrap();
    }
    bureau.personalise_directory(&mut card, ordered).unwrap();
    card.reset().unwrap();
    card
}

#[test]
fn of_two_applications_the_first_is_taken_the_wanted_one_or_the_one_that_serves() {
    let debit = application();
    let credit = Application {
        aid: CREDIT,
        label: "PBOC CREDIT".to_owned(),
        account: "6228004116000302649".to_owned(),
        ..application()
    };
    let both = [&debit, &credit];
    let mut bench = Bench::new().offline();
    bench.icc = card_with(&both);
    let chosen = |bench: &mut Bench, sale: &Sale| {
        let outcome = bench.pay(sale);
        assert_eq!(outcome.end, APPROVED_OFFLINE, "{}", story(&outcome));
        outcome.application
    };
    assert_eq!(chosen(&mut bench, &sale(100)), Some(AID));
    let mut wanted = sale(100);
    wanted.application = Some(CREDIT);
    assert_eq!(chosen(&mut bench, &wanted), Some(CREDIT));
    bench.icc = card_with(&[&credit, &debit]);
    assert_eq!(chosen(&mut bench, &sale(100)), Some(CREDIT));
    // Without a directory both are found by the scheme's name, one after the other.
    for hide_directory in [false, true] {
        // The first does not take the conditions; nothing of it is left behind.
        let mut selected = false;
        let change = move |command: &[u8], response: &mut Vec<u8>| {
            if command[1] == 0xA4 {
                selected = command[5..].starts_with(AID.as_bytes());
                if hide_directory && command[5..].starts_with(b"1PAY") {
                    *response = vec![0x6A, 0x82];
                }
            }
            if command[1] == 0xA8 && selected {
                *response = vec![0x69, 0x85];
            }
        };
        let icc = Changed {
            icc: card_with(&both),
            change,
        };
        let mut bench = Bench::new().offline().through(|_| icc);
        let outcome = bench.pay(&sale(100));
        assert_eq!(outcome.application, Some(CREDIT), "{}", story(&outcome));
        assert_eq!(outcome.end, APPROVED_OFFLINE);
        says(&outcome, Phase::Reading, "another application is tried");
    }
}

#[test]
fn answers_in_templates_are_read_as_those_without() {
    let nested = |tag: Tag, parts: &[(Tag, &[u8])]| {
        let mut bytes = Vec::new();
        Writer::append(&mut bytes).nested(tag, |inner| {
            for (tag, value) in parts {
                inner.object(*tag, value);
            }
        });
        bytes.extend([0x90, 0x00]);
        bytes
    };
    let change = move |command: &[u8], response: &mut Vec<u8>| {
        let Ok(Some(plain)) = find(response, &[tag!(0x80)]) else {
            return;
        };
        *response = match command[1] {
            0xA8 => nested(
                tag!(0x77),
                &[(tag!(0x94), &plain[2..]), (tag!(0x82), &plain[..2])],
            ),
            0x88 => nested(tag!(0x77), &[(tag!(0x9F4B), plain)]),
            0xAE => nested(
                tag!(0x77),
                &[
                    (tag!(0x9F27), &plain[..1]),
                    (tag!(0x9F36), &plain[1..3]),
                    (tag!(0x9F26), &plain[3..11]),
                    (tag!(0x9F10), &plain[11..]),
                ],
            ),
            _ => return,
        };
    };
    for capability in [0x80, 0x40, 0x08] {
        let mut plain = Bench::new();
        plain.terminal.capabilities[2] = capability;
        let expected = plain.pay(&sale(1_234));
        let mut bench = Bench::new().through(|icc| Changed { icc, change });
        bench.terminal.capabilities[2] = capability;
        assert_eq!(bench.pay(&sale(1_234)), expected);
    }
}

#[test]
fn a_locator_that_names_nothing_that_can_be_read_is_broken() {
    for (locator, why) in [
        ("00010100", Why::Malformed("READ RECORD")),
        ("08000100", Why::Malformed("READ RECORD")),
        ("08020100", Why::Malformed("READ RECORD")),
        ("08010203", Why::Malformed("READ RECORD")),
        ("F8010100", Why::Malformed("READ RECORD")),
        ("080101", Why::Malformed("GET PROCESSING OPTIONS")),
        ("", Why::Malformed("GET PROCESSING OPTIONS")),
        ("08010900", Why::Refused("READ RECORD", Sw(0x6A83))),
        ("08010100", Why::Missing(0x5F24)),
    ] {
        let locator = hex::decode(locator).unwrap();
        let change = move |command: &[u8], response: &mut Vec<u8>| {
            if command[1] == 0xA8 {
                let len = u8::try_from(2 + locator.len()).unwrap();
                *response = [&[0x80, len, 0x7D, 0x00], &locator[..], &[0x90, 0x00]].concat();
            }
        };
        let mut bench = Bench::new().through(|icc| Changed { icc, change });
        let outcome = bench.pay(&sale(100));
        assert_eq!(outcome.end, End::Terminated(why), "{}", story(&outcome));
    }
}

#[test]
fn a_terminal_that_is_always_on_line_approves_nothing_alone() {
    let mut bench = Bench::new();
    bench.terminal.kind = 0x21;
    assert_eq!(bench.pay(&sale(100)).end, APPROVED_ONLINE);
    let outcome = bench.pay(&sale(100));
    assert_eq!(outcome.end, APPROVED_ONLINE, "{}", story(&outcome));
    assert_eq!(outcome.tvr, Default::default());
    let outcome = bench.pay_with(&sale(100), &mut OutOfReach);
    assert_eq!(outcome.end, DECLINED_OFFLINE);
}

#[test]
fn chance_chooses_as_often_as_the_terminal_wants() {
    let mut first = Bench::new();
    first.pay(&sale(100));
    let mut chosen = |target, maximum, fen| {
        let seeds = 0..100;
        let mut count = 0;
        for seed in seeds {
            let mut bench = Bench::new();
            bench.icc = first.icc.fork();
            bench.bank = first.bank.clone();
            let selection = &mut bench.terminal.applications[0].selection;
            (selection.target, selection.maximum) = (target, maximum);
            let mut one = sale(fen);
            one.seed = seed;
            count += u32::from(bench.pay(&one).tvr.has(Finding::Chosen));
        }
        count
    };
    assert_eq!(chosen(0, 0, 100), 0);
    assert_eq!(chosen(99, 99, 100), 100);
    let third = chosen(30, 90, 100);
    assert!((18..=42).contains(&third), "{third}");
    // From the threshold on the share grows to the maximum at the floor limit.
    let most = chosen(30, 90, 99_000);
    assert!((78..=99).contains(&most), "{most}");
}

/// Pays with a card whose record answers are changed at one byte of a value.
fn with_spoiled_record(sfi: u8, number: u8, capability: u8) -> Outcome {
    let mut bench = Bench::new().offline().through(|icc| Changed {
        icc,
        change: move |command: &[u8], response: &mut Vec<u8>| {
            if command[1..4] == [0xB2, number, sfi << 3 | 4] {
                let middle = response.len() / 2;
                response[middle] ^= 1;
            }
        },
    });
    bench.terminal.capabilities[2] = capability;
    bench.pay(&sale(1_234))
}

#[test]
fn a_certificate_or_a_signature_that_was_changed_does_not_stand() {
    for (sfi, number, capability, finding) in [
        (3, 1, 0x80, Finding::StaticFailed),
        (2, 3, 0x80, Finding::StaticFailed),
        (3, 1, 0x40, Finding::DynamicFailed),
        (2, 2, 0x40, Finding::DynamicFailed),
        (2, 2, 0x08, Finding::CombinedFailed),
    ] {
        let outcome = with_spoiled_record(sfi, number, capability);
        assert!(
            outcome.tvr.has(finding),
            "{sfi}.{number}: {}",
            story(&outcome)
        );
        assert_eq!(outcome.end, DECLINED_OFFLINE);
    }
}

#[test]
fn a_signed_cryptogram_that_was_changed_is_no_approval() {
    let spoil = |command: &[u8], response: &mut Vec<u8>| {
        if command[1] == 0xAE && response[0] == 0x77 {
            let middle = response.len() / 2;
            response[middle] ^= 1;
        }
    };
    let offline = Bench::new().offline();
    let mut bench = offline.through(|icc| Changed { icc, change: spoil });
    let outcome = bench.pay(&sale(1_234));
    assert!(outcome.tvr.has(Finding::CombinedFailed));
    assert_eq!(outcome.end, DECLINED_OFFLINE);
    assert_eq!(outcome.first.unwrap().information, 0x40);
    // One that asks for the bank is ended at the card, and the bank is not asked.
    let mut bench = Bench::new().through(|icc| Changed { icc, change: spoil });
    let outcome = bench.pay(&sale(1_234));
    assert_eq!(outcome.end, DECLINED_OFFLINE, "{}", story(&outcome));
    assert_eq!(outcome.asked, None);
    assert_eq!(outcome.second.unwrap().information & 0xC0, 0x00);
}

#[test]
fn a_new_card_is_asked_for_on_line_and_then_is_not_new() {
    let mut bench = Bench::new();
    let outcome = bench.pay(&sale(1_234));
    assert_eq!(outcome.end, APPROVED_ONLINE, "{}", story(&outcome));
    says(
        &outcome,
        Phase::Terminal,
        "a finding asks the bank: a new card",
    );
    says(
        &outcome,
        Phase::Host,
        "the card knows its bank by the answer",
    );
    assert_eq!(outcome.tsi, Tsi([0xF8, 0x00]));
    assert_eq!(outcome.answered.unwrap().code, *b"00");
    assert_eq!(bench.balance(), 100_000 - 1_234);
    let outcome = bench.pay(&sale(1_234));
    assert_eq!(outcome.end, APPROVED_OFFLINE, "{}", story(&outcome));
    assert_eq!(outcome.tvr.to_string(), "0000000000");
    assert_eq!(bench.balance(), 100_000 - 1_234);
}

#[test]
fn a_merchant_a_floor_limit_and_chance_ask_the_bank() {
    let mut bench = Bench::new();
    bench.pay(&sale(100));
    let mut insists = sale(1_234);
    insists.online = true;
    let outcome = bench.pay(&insists);
    assert_eq!(outcome.end, APPROVED_ONLINE);
    assert!(outcome.tvr.has(Finding::Merchant));
    bench.terminal.applications[0].floor_limit = Fen::new(1_234);
    let outcome = bench.pay(&sale(1_234));
    assert_eq!(outcome.end, APPROVED_ONLINE);
    assert!(outcome.tvr.has(Finding::FloorLimit));
    assert_eq!(bench.pay(&sale(1_233)).end, APPROVED_OFFLINE);
    bench.terminal.applications[0].selection.target = 99;
    let outcome = bench.pay(&sale(1));
    assert_eq!(outcome.end, APPROVED_ONLINE);
    assert!(outcome.tvr.has(Finding::Chosen));
}

#[test]
fn too_many_off_line_go_on_line_and_are_declined_where_there_is_no_line() {
    let mut ordered = application();
    (ordered.limits.lower, ordered.limits.upper) = (2, 3);
    let mut bench = Bench::of(&ordered);
    assert_eq!(bench.pay(&sale(100)).end, APPROVED_ONLINE);
    for _ in 0..2 {
        assert_eq!(bench.pay(&sale(100)).end, APPROVED_OFFLINE);
    }
    let outcome = bench.pay_with(&sale(100), &mut OutOfReach);
    assert!(outcome.tvr.has(Finding::LowerLimit));
    assert!(!outcome.tvr.has(Finding::UpperLimit));
    assert_eq!(outcome.end, APPROVED_OFFLINE, "{}", story(&outcome));
    assert_eq!(cvr(&outcome), "652002");
    let outcome = bench.pay_with(&sale(100), &mut OutOfReach);
    assert!(outcome.tvr.has(Finding::UpperLimit));
    assert_eq!(outcome.end, DECLINED_OFFLINE, "{}", story(&outcome));
    assert_eq!(cvr(&outcome), "25A002", "and the last one is not completed");
    assert_eq!(bench.pay(&sale(100)).end, APPROVED_ONLINE);
    assert_eq!(bench.pay(&sale(100)).end, APPROVED_OFFLINE);
}

#[test]
fn a_card_that_tells_no_counters_goes_on_line() {
    let silent = |command: &[u8], response: &mut Vec<u8>| {
        if command[1..4] == [0xCA, 0x9F, 0x13] {
            *response = vec![0x6A, 0x88];
        }
    };
    let mut bench = Bench::new().through(|icc| Changed {
        icc,
        change: silent,
    });
    let outcome = bench.pay(&sale(100));
    assert!(outcome.tvr.has(Finding::LowerLimit) && outcome.tvr.has(Finding::UpperLimit));
    assert!(!outcome.tvr.has(Finding::NewCard));
    assert_eq!(outcome.end, APPROVED_ONLINE);
}

#[test]
fn the_host_declines_and_so_does_the_card() {
    let mut bench = Bench::new();
    let account = bench.bank.account_mut(bankcard::ACCOUNT).unwrap();
    account.state = State::Lost;
    let outcome = bench.pay(&sale(1_234));
    assert_eq!(outcome.end, DECLINED_ONLINE);
    assert_eq!(outcome.answered.as_ref().unwrap().code, *b"41");
    assert_eq!(outcome.second.as_ref().unwrap().information & 0xC0, 0x00);
    says(
        &outcome,
        Phase::Host,
        "it answers 41: the card was reported lost",
    );
    assert_eq!(bench.balance(), 100_000);
}

#[test]
fn out_of_reach_the_default_codes_decide() {
    let mut bench = Bench::new();
    let outcome = bench.pay_with(&sale(1_234), &mut OutOfReach);
    assert_eq!(outcome.end, APPROVED_OFFLINE, "{}", story(&outcome));
    assert!(outcome.asked.is_some() && outcome.answered.is_none());
    assert_eq!(cvr(&outcome), "651002");
    // A floor limit that was reached is among the default codes.
    bench.terminal.applications[0].floor_limit = Fen::new(1);
    let outcome = bench.pay_with(&sale(1_234), &mut OutOfReach);
    assert_eq!(outcome.end, DECLINED_OFFLINE);
    assert_eq!(cvr(&outcome), "259002");
    says(
        &outcome,
        Phase::Terminal,
        "the bank is not reached, and a finding declines",
    );
}

#[test]
fn an_answer_of_another_bank_is_found_out_by_the_card() {
    let mut bench = Bench::new();
    let outcome = {
        let mut host = Meddled(&mut bench.bank, |_: &Request, answer: &mut Answer| {
            answer.authentication.as_mut().unwrap()[0] ^= 1;
        });
        pay(
            &mut bench.icc,
            &bench.terminal,
            &sale(1_234),
            &bench.holder,
            &mut host,
        )
    };
    assert!(outcome.tvr.has(Finding::IssuerFailed));
    assert_eq!(outcome.end, DECLINED_ONLINE, "{}", story(&outcome));
    assert_eq!(cvr(&outcome), "2C1002");
}

#[test]
fn pins_right_wrong_and_passed_over() {
    let pins = |pins: &[&str]| Holder {
        pins: pins.iter().map(|pin| (*pin).to_owned()).collect(),
    };
    for (keyed, holder, finding) in [
        (pins(&[PIN]), [0x41, 0x03, 0x02], None),
        (pins(&["000000", PIN]), [0x41, 0x03, 0x02], None),
        // Passed over: the list goes on to a signature.
        (pins(&[]), [0x1E, 0x03, 0x00], Some(Finding::PinNotEntered)),
        (
            pins(&["000000"]),
            [0x1E, 0x03, 0x00],
            Some(Finding::PinNotEntered),
        ),
        (
            pins(&["000000", "111111", "222222"]),
            [0x1E, 0x03, 0x00],
            Some(Finding::NoTryLeft),
        ),
    ] {
        let mut bench = Bench::new().offline();
        bench.holder = keyed;
        let outcome = bench.pay(&sale(1_234));
        assert_eq!(outcome.holder, holder, "{}", story(&outcome));
        for known in [Finding::PinNotEntered, Finding::NoTryLeft] {
            assert_eq!(outcome.tvr.has(known), finding == Some(known));
        }
        // A blocked PIN is among the default codes of nobody; one passed over is.
        if finding.is_none() {
            assert_eq!(outcome.end, APPROVED_OFFLINE);
        }
    }
    let mut bench = Bench::new().offline();
    bench.holder = pins(&["000000", "111111", "222222"]);
    bench.pay(&sale(1_234));
    let outcome = bench.pay(&sale(1_234));
    assert!(outcome.tvr.has(Finding::NoTryLeft));
    says(&outcome, Phase::Card, "no try at the PIN is left");
}

#[test]
fn a_pin_goes_to_the_card_enciphered() {
    let mut ordered = application();
    ordered.methods = hex::decode("00000000000000000400").unwrap();
    for (pin, end, holder) in [
        (PIN, APPROVED_OFFLINE, [0x04, 0x00, 0x02]),
        ("000000", APPROVED_OFFLINE, [0x04, 0x00, 0x01]),
    ] {
        let mut bench = Bench::of(&ordered).offline();
        bench.holder = Holder::with_pin(pin);
        let outcome = bench.pay(&sale(1_234));
        assert_eq!(outcome.holder, holder, "{}", story(&outcome));
        let failed = outcome.tvr.has(Finding::HolderNotVerified);
        assert_eq!(failed, holder[2] == 0x01);
        if !failed {
            assert_eq!(outcome.end, end);
        }
    }
}

#[test]
fn a_pin_goes_to_the_bank_where_the_terminal_cannot_give_it_to_the_card() {
    for (pin, end, code) in [
        (PIN, APPROVED_ONLINE, *b"00"),
        ("111111", DECLINED_ONLINE, *b"55"),
    ] {
        let mut bench = Bench::new();
        bench.terminal.capabilities[1] &= !0x90;
        bench.holder = Holder::with_pin(pin);
        let outcome = bench.pay(&sale(1_234));
        assert!(outcome.tvr.has(Finding::OnlinePin));
        assert_eq!(outcome.holder, [0x42, 0x03, 0x00]);
        assert_eq!(outcome.end, end, "{}", story(&outcome));
        assert_eq!(outcome.answered.unwrap().code, code);
    }
}

#[test]
fn an_unknown_method_is_noted_and_passed_over() {
    let mut ordered = application();
    ordered.methods = hex::decode("000000000000000060001F00").unwrap();
    let outcome = Bench::of(&ordered).offline().pay(&sale(1_234));
    assert!(outcome.tvr.has(Finding::UnknownMethod));
    assert_eq!(outcome.holder, [0x1F, 0x00, 0x02]);
    ordered.methods = hex::decode("000000000000000020001F00").unwrap();
    let outcome = Bench::of(&ordered).offline().pay(&sale(1_234));
    assert!(outcome.tvr.has(Finding::HolderNotVerified));
    // No method was performed.
    assert_eq!(outcome.holder, [0x3F, 0x00, 0x01]);
    // The card refuses all: fail.
    ordered.methods = hex::decode("00000000000000000000").unwrap();
    let outcome = Bench::of(&ordered).offline().pay(&sale(1_234));
    assert!(outcome.tvr.has(Finding::HolderNotVerified));
}

#[test]
fn dates_versions_and_usage_are_looked_at() {
    let mut early = sale(1_234);
    early.date = [0x24, 0x05, 0x31];
    let outcome = Bench::new().offline().pay(&early);
    assert!(outcome.tvr.has(Finding::NotYet) && !outcome.tvr.has(Finding::Expired));
    let mut late = sale(1_234);
    late.date = [0x35, 0x01, 0x01];
    let outcome = Bench::new().offline().pay(&late);
    assert!(outcome.tvr.has(Finding::Expired));
    // The card's certificate ends with it.
    assert!(outcome.tvr.has(Finding::CombinedFailed));
    assert_eq!(outcome.end, DECLINED_OFFLINE);
    let mut bench = Bench::new().offline();
    bench.terminal.applications[0].version = [0x00, 0x20];
    let outcome = bench.pay(&sale(1_234));
    assert!(outcome.tvr.has(Finding::Versions));
    assert_eq!(outcome.end, APPROVED_OFFLINE, "no code has it");
    let mut abroad = Bench::new().offline();
    abroad.terminal.country = [0x08, 0x40];
    abroad.terminal.kind = 0x14;
    let mut cash = sale(1_234);
    cash.kind = 0x01;
    // The card's usage control allows all of it but cash back.
    cash.other = Fen::new(100);
    let outcome = abroad.pay(&cash);
    assert!(outcome.tvr.has(Finding::NotAllowed), "{}", story(&outcome));
    assert_eq!(outcome.end, DECLINED_OFFLINE);
}

#[test]
fn electronic_cash_pays_off_line_and_asks_for_the_bank_when_it_runs_low() {
    let mut bench = Bench::new();
    let mut cash = sale(1_234);
    cash.cash = true;
    let outcome = bench.pay(&cash);
    assert_eq!(outcome.end, APPROVED_OFFLINE, "{}", story(&outcome));
    assert!(outcome.cash);
    assert_eq!(outcome.balance, Some(Fen::new(8_766)));
    assert_eq!(bench.balance(), 100_000, "the account pays nothing");
    // Below 20 yuan no holder is verified.
    assert_eq!(outcome.holder, [0x5F, 0x06, 0x02]);
    cash.amount = Fen::new(4_000);
    let outcome = bench.pay(&cash);
    assert_eq!(outcome.holder, [0x01, 0x03, 0x02], "{}", story(&outcome));
    assert_eq!(outcome.balance, Some(Fen::new(4_766)));
    // 17.66 would be left, below 30: the account pays, on line.
    cash.amount = Fen::new(3_000);
    bench.holder.pins.push(PIN.to_owned());
    let outcome = bench.pay(&cash);
    assert_eq!(outcome.end, APPROVED_ONLINE, "{}", story(&outcome));
    assert!(outcome.tvr.has(Finding::OnlinePin));
    assert!(!outcome.cash, "the account does");
    assert_eq!(outcome.balance, Some(Fen::new(4_766)));
    assert_eq!(bench.balance(), 100_000 - 3_000);
    // Where there is no line the cash is paid to its end.
    bench.terminal = bench.terminal.offline_only();
    let outcome = bench.pay(&cash);
    assert_eq!(outcome.end, APPROVED_OFFLINE);
    assert_eq!(outcome.balance, Some(Fen::new(1_766)));
}

#[test]
fn above_the_limits_of_electronic_cash_the_account_pays() {
    let mut bench = Bench::new();
    let mut cash = sale(5_001);
    cash.cash = true;
    let outcome = bench.pay(&cash);
    assert_eq!(outcome.end, APPROVED_ONLINE, "{}", story(&outcome));
    assert!(!outcome.cash);
    says(&outcome, Phase::Reading, "the account does");
    bench.terminal.cash_limit = Some(Fen::new(1_000));
    cash.amount = Fen::new(1_000);
    let outcome = bench.pay(&cash);
    says(&outcome, Phase::Reading, "electronic cash is not offered");
    assert!(!outcome.cash);
}

#[test]
fn electronic_cash_is_loaded_by_the_bank() {
    let mut bench = Bench::new();
    let mut load = sale(5_000);
    load.kind = 0x63;
    let outcome = bench.pay(&load);
    assert_eq!(outcome.end, APPROVED_ONLINE, "{}", story(&outcome));
    assert_eq!(outcome.scripts, [[0x20, 0, 0, 0, 1]]);
    assert_eq!(outcome.balance, Some(Fen::new(15_000)));
    assert_eq!(outcome.tsi, Tsi([0xFC, 0x00]));
    says(&outcome, Phase::Scripts, "load electronic cash: done");
    assert_eq!(bench.balance(), 95_000);
}

/// The scripts of a request's card and transaction.
fn scripts_for(request: &Request, outcome: &Bank) -> Scripts {
    outcome.scripts(request).unwrap().unwrap()
}

/// A template of commands.
fn template(tag: u8, commands: &[Vec<u8>]) -> Vec<u8> {
    let mut inner = vec![0x9F, 0x18, 0x04, 0, 0, 0, 9];
    for command in commands {
        inner.extend([0x86, u8::try_from(command.len()).unwrap()]);
        inner.extend(command);
    }
    let mut bytes = vec![tag, u8::try_from(inner.len()).unwrap()];
    bytes.extend(inner);
    bytes
}

/// Pays with scripts of the bank in its answer.
fn pay_scripted(bench: &mut Bench, tag: u8, make: fn(&Scripts) -> Vec<Vec<u8>>) -> Outcome {
    let keys = bench.bank.clone();
    let mut host = Meddled(&mut bench.bank, |request: &Request, answer: &mut Answer| {
        let commands = make(&scripts_for(request, &keys));
        answer.scripts = template(tag, &commands);
    });
    let mut online = sale(1_234);
    online.online = true;
    pay(
        &mut bench.icc,
        &bench.terminal,
        &online,
        &bench.holder,
        &mut host,
    )
}

#[test]
fn scripts_run_before_and_after_the_second_cryptogram() {
    for tag in [0x71, 0x72] {
        let mut bench = Bench::new();
        let outcome = pay_scripted(&mut bench, tag, |scripts| {
            let pin = scripts.change_pin("135790", None).unwrap();
            vec![scripts.put_data(0x9F58, &[5]), pin]
        });
        assert_eq!(outcome.end, APPROVED_ONLINE, "{}", story(&outcome));
        assert_eq!(outcome.scripts, [[0x20, 0, 0, 0, 9]]);
        says(&outcome, Phase::Scripts, "change or unblock the PIN: done");
        bench.holder = Holder::with_pin("135790");
        let outcome = bench.pay(&sale(100));
        assert_eq!(outcome.holder, [0x41, 0x03, 0x02]);
    }
}

#[test]
fn a_script_that_fails_stops_and_is_told_next_time() {
    for (tag, finding) in [
        (0x71, Finding::ScriptFailedBefore),
        (0x72, Finding::ScriptFailedAfter),
    ] {
        let mut bench = Bench::new();
        let outcome = pay_scripted(&mut bench, tag, |scripts| {
            let mut wrong = scripts.put_data(0x9F58, &[5]);
            *wrong.last_mut().unwrap() ^= 1;
            vec![
                scripts.put_data(0x9F59, &[9]),
                wrong,
                scripts.block_application(),
            ]
        });
        assert!(outcome.tvr.has(finding));
        assert_eq!(outcome.end, APPROVED_ONLINE);
        assert_eq!(outcome.scripts, [[0x12, 0, 0, 0, 9]]);
        let outcome = bench.pay(&sale(100));
        says(&outcome, Phase::Card, "a script failed last time");
    }
}

#[test]
fn a_blocked_application_is_no_candidate_until_the_bank_unblocks_it() {
    let mut bench = Bench::new();
    let outcome = pay_scripted(&mut bench, 0x72, |scripts| {
        vec![scripts.block_application()]
    });
    assert_eq!(outcome.end, APPROVED_ONLINE);
    let outcome = bench.pay(&sale(100));
    assert_eq!(outcome.end, End::Terminated(Why::ApplicationBlocked(AID)));
    let unblocked = activate(
        &mut bench.icc,
        &bench.terminal,
        &sale(0),
        &AID,
        &mut bench.bank,
    );
    assert!(unblocked.done, "{:?}", unblocked.steps);
    assert_eq!(bench.pay(&sale(100)).end, APPROVED_OFFLINE);
    let again = activate(
        &mut bench.icc,
        &bench.terminal,
        &sale(0),
        &AID,
        &mut bench.bank,
    );
    let end = again.steps.last().unwrap();
    assert!(!again.done && end.en.contains("as it was"), "{}", end.en);
    assert_eq!(bench.pay(&sale(100)).end, APPROVED_OFFLINE);
}

#[test]
fn a_blocked_card_ends_it_at_once() {
    let mut bench = Bench::new();
    let outcome = pay_scripted(&mut bench, 0x72, |scripts| vec![scripts.block_card()]);
    assert_eq!(outcome.end, APPROVED_ONLINE, "{}", story(&outcome));
    let outcome = bench.pay(&sale(100));
    assert_eq!(outcome.end, End::Terminated(Why::CardBlocked));
}

#[test]
fn an_application_that_its_bank_has_not_activated_pays_nothing() {
    let mut ordered = application();
    ordered.switches = STARTS_INACTIVE;
    let mut bench = Bench::of(&ordered);
    let outcome = bench.pay(&sale(100));
    assert_eq!(outcome.end, End::Terminated(Why::ApplicationBlocked(AID)));
    let account = bench.bank.account_mut(bankcard::ACCOUNT).unwrap();
    account.state = State::Stolen;
    let try_it = |bench: &mut Bench| {
        activate(
            &mut bench.icc,
            &bench.terminal,
            &sale(0),
            &AID,
            &mut bench.bank,
        )
    };
    let refused = try_it(&mut bench);
    assert_eq!(
        (refused.done, refused.refused),
        (false, Some(Reason::Stolen))
    );
    let account = bench.bank.account_mut(bankcard::ACCOUNT).unwrap();
    account.state = State::Inactive;
    assert!(try_it(&mut bench).done);
    assert_eq!(bench.pay(&sale(100)).end, APPROVED_ONLINE);
}

#[test]
fn without_a_directory_the_names_that_the_terminal_knows_are_tried() {
    let hidden = |command: &[u8], response: &mut Vec<u8>| {
        if command[1] == 0xA4 && command[5..].starts_with(b"1PAY") {
            *response = vec![0x6A, 0x82];
        }
    };
    let offline = Bench::new().offline();
    let mut bench = offline.through(|icc| Changed {
        icc,
        change: hidden,
    });
    let outcome = bench.pay(&sale(100));
    assert_eq!(outcome.end, APPROVED_OFFLINE, "{}", story(&outcome));
    says(
        &outcome,
        Phase::Selection,
        "by name there are 1 application(s)",
    );
    bench.terminal.applications[0].partial = false;
    let outcome = bench.pay(&sale(100));
    assert_eq!(outcome.end, End::Terminated(Why::NoApplication));
}

#[test]
fn a_terminal_that_knows_no_name_of_the_card_ends_it() {
    let mut bench = Bench::new();
    bench.terminal.applications.clear();
    let outcome = bench.pay(&sale(100));
    assert_eq!(outcome.end, End::Terminated(Why::NoApplication));
    says(
        &outcome,
        Phase::End,
        "no application that this terminal takes",
    );
}

#[test]
fn a_card_with_an_element_twice_or_not_at_all_is_broken() {
    // The account number becomes another 5F24, or an unknown element.
    for (from, to, why) in [
        ("5F2503240601", "5F2403240601", Why::Twice(0x5F24)),
        ("5F2403341231", "5F2303341231", Why::Missing(0x5F24)),
    ] {
        let (from, to) = (hex::decode(from).unwrap(), hex::decode(to).unwrap());
        let change = move |_: &[u8], response: &mut Vec<u8>| {
            let at = response.windows(from.len()).position(|part| part == from);
            if let Some(at) = at {
                response[at..at + to.len()].copy_from_slice(&to);
            }
        };
        let mut bench = Bench::new().through(|icc| Changed { icc, change });
        assert_eq!(bench.pay(&sale(100)).end, End::Terminated(why));
    }
}

#[test]
fn what_a_card_says_of_the_terminal_does_not_count() {
    // The holder's name becomes an amount.
    let (from, to) = (
        hex::decode("5F2009").unwrap(),
        hex::decode("9F0209").unwrap(),
    );
    let change = move |_: &[u8], response: &mut Vec<u8>| {
        let at = response.windows(from.len()).position(|part| part == from);
        if let Some(at) = at {
            response[at..at + to.len()].copy_from_slice(&to);
        }
    };
    let mut bench = Bench::new().through(|icc| Changed { icc, change });
    let outcome = bench.pay(&sale(1_234));
    assert_eq!(outcome.end, APPROVED_ONLINE);
    let asked = outcome.asked.unwrap();
    assert_eq!(asked.get(tag!(0x9F02)), Some(&[0, 0, 0, 0, 0x12, 0x34][..]));
}

#[test]
fn a_card_that_gives_more_than_it_was_asked_for_is_broken() {
    let change = |command: &[u8], response: &mut Vec<u8>| {
        if command[1] == 0xAE && response[0] == 0x80 {
            response[2] = 0x40;
        }
    };
    let mut bench = Bench::new().offline();
    // Without authentication it is asked for a decline.
    bench.terminal.capabilities[2] = 0x00;
    let mut bench = bench.through(|icc| Changed { icc, change });
    let outcome = bench.pay(&sale(100));
    assert_eq!(outcome.end, End::Terminated(Why::WrongCryptogram));
}

#[test]
fn a_card_that_is_pulled_ends_it() {
    let mut bench = Bench::new();
    bench.icc.power_off();
    let outcome = bench.pay(&sale(100));
    assert_eq!(outcome.end, End::Terminated(Why::Lost(Lost::NoPower)));
}

#[test]
fn over_t0_it_is_the_same() {
    let mut bench = Bench::new().through(T0::new);
    bench.icc.power_on().unwrap();
    let outcome = bench.pay(&sale(1_234));
    assert_eq!(outcome.end, APPROVED_ONLINE, "{}", story(&outcome));
    assert_eq!(outcome, Bench::new().pay(&sale(1_234)));
}

#[test]
fn the_same_seed_gives_the_same_transaction_and_another_seed_another() {
    let run = |seed| {
        let mut once = sale(1_234);
        once.seed = seed;
        Bench::new().offline().pay(&once).first.unwrap().cryptogram
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
}

#[test]
fn what_the_host_is_asked_is_what_the_card_answered() {
    let outcome = Bench::new().pay(&sale(1_234));
    let (asked, first) = (outcome.asked.unwrap(), outcome.first.unwrap());
    assert_eq!(asked.account, bankcard::ACCOUNT);
    assert_eq!(asked.sequence, bankcard::SEQUENCE);
    assert_eq!(asked.get(tag!(0x9F26)), Some(&first.cryptogram[..]));
    assert_eq!(asked.get(tag!(0x9F02)), Some(&[0, 0, 0, 0, 0x12, 0x34][..]));
    assert_eq!(asked.get(tag!(0x9F34)), Some(&[0x41, 0x03, 0x02][..]));
    let again = Request::of(&asked.account, asked.sequence).with_objects(&asked.objects());
    assert_eq!(again, Ok(asked.clone()));
    // Another bank has other keys.
    let other = Keys::from_seed(8);
    assert_eq!(
        Bank::authorise(&mut Bank::new(other), &asked)
            .unwrap()
            .reason,
        Reason::UnknownAccount
    );
}

#[test]
fn a_card_that_refuses_a_command_ends_it_with_the_word() {
    for (ins, name) in [(0xAE, "GENERATE AC"), (0xB2, "READ RECORD")] {
        let change = move |command: &[u8], response: &mut Vec<u8>| {
            let command = Command::parse(command).unwrap();
            if command.ins == ins && command.p2 & 0xF8 != 0x08 {
                *response = vec![0x69, 0x84];
            }
        };
        let mut bench = Bench::new().through(|icc| Changed { icc, change });
        let outcome = bench.pay(&sale(100));
        assert_eq!(outcome.end, End::Terminated(Why::Refused(name, Sw(0x6984))));
    }
}
