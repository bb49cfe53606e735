//! The terminal's kernel and cards that answer as no card does.
//!
//! A card of ours answers, and what it answers is changed on the way: bits, lengths,
//! words, objects twice or before their time, answers of another command. Whatever comes,
//! a transaction ends, and what is approved off line is what the card itself said.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bankcard;

use bankcard::{PIN, application, bank, card};
use cardlab::fen::Fen;
use cardlab::icc::{Icc, Lost};
use cardlab::os::Card;
use cardlab::tag;
use cardlab::tlv::{Tag, Writer, find};
use cardlab_desk::bank::application::Application;
use cardlab_desk::emv::{End, Finding, Holder, Outcome, Sale, Terminal, pay};
use proptest::prelude::{
    Just, ProptestConfig, Strategy, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};
use std::cell::RefCell;

/// More commands than any transaction sends: 63 files of 255 records, each put off often.
const COMMANDS_MAX: usize = 63 * 255 * 32;

/// One change of an answer.
#[derive(Clone, Debug)]
enum Change {
    /// A bit of the data.
    Bit(usize),
    /// No more data than that.
    Cut(usize),
    /// All data twice.
    Twice,
    /// These bytes before the data.
    Before(Vec<u8>),
    /// These bytes behind the data.
    Behind(Vec<u8>),
    /// These bytes inside the outermost template, at its beginning.
    Within(Vec<u8>),
    /// These in place of the data.
    Other(Vec<u8>),
    /// What was answered so many commands before.
    Earlier(usize),
    /// Another status word.
    Word(u16),
    /// No answer, or none with a status word.
    Lost(bool),
}

/// A card whose answers are changed: which one, and how.
struct Hostile {
    card: Card,
    changes: Vec<(usize, Change)>,
    answers: Vec<Vec<u8>>,
    /// What the card itself answered to the commands for a cryptogram.
    own: Vec<Vec<u8>>,
}

impl Icc for Hostile {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.card.power_on()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.card.reset()
    }

    fn power_off(&mut self) {
        self.card.power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        self.card.transmit(command, response)?;
        if command.get(1) == Some(&0xAE) {
            self.own.push(response.clone());
        }
        let number = self.answers.len();
        assert!(number < COMMANDS_MAX, "a transaction that does not end");
        for (_, change) in self.changes.iter().filter(|(at, _)| *at == number) {
            let end = response.len().saturating_sub(2);
            let word = response.split_off(end);
            match change {
                Change::Bit(at) if !response.is_empty() => {
                    let at = at % (response.len() * 8);
                    response[at / 8] ^= 1 << (at % 8);
                }
                Change::Bit(_) => {}
                Change::Cut(len) => response.truncate(len % (response.len() + 1)),
                Change::Twice => response.extend_from_within(..),
                Change::Before(bytes) => *response = [bytes, &response[..]].concat(),
                Change::Behind(bytes) => response.extend(bytes),
                Change::Within(bytes) => {
                    let templates = [0x6F_u32, 0x70, 0x77];
                    for tag in templates.map(|tag| Tag::new(tag).unwrap()) {
                        if let Ok(Some(inner)) = find(response, &[tag]) {
                            let inner = [bytes, inner].concat();
                            response.clear();
                            Writer::append(response).object(tag, &inner);
                            break;
                        }
                    }
                }
                Change::Other(bytes) => response.clone_from(bytes),
                Change::Earlier(back) => {
                    let earlier = number.checked_sub(back % 8 + 1);
                    if let Some(earlier) = earlier.and_then(|at| self.answers.get(at)) {
                        response.clone_from(earlier);
                        continue;
                    }
                }
                Change::Word(word) => {
                    response.extend(word.to_be_bytes());
                    continue;
                }
                Change::Lost(true) => return Err(Lost::Link("pulled".to_owned())),
                Change::Lost(false) => {
                    response.clear();
                    continue;
                }
            }
            response.extend(word);
        }
        self.answers.push(response.clone());
        Ok(())
    }
}

/// Bytes that look like something to a terminal.
fn bytes() -> impl Strategy<Value = Vec<u8>> {
    let object = |tag: Tag, value: &[u8]| {
        let mut bytes = Vec::new();
        Writer::append(&mut bytes).object(tag, value);
        bytes
    };
    let tags = vec![
        tag!(0x57),
        tag!(0x5A),
        tag!(0x70),
        tag!(0x77),
        tag!(0x80),
        tag!(0x82),
        tag!(0x83),
        tag!(0x84),
        tag!(0x8C),
        tag!(0x8D),
        tag!(0x8E),
        tag!(0x8F),
        tag!(0x90),
        tag!(0x93),
        tag!(0x94),
        tag!(0x95),
        tag!(0xA5),
        tag!(0x9F10),
        tag!(0x9F26),
        tag!(0x9F27),
        tag!(0x9F36),
        tag!(0x9F37),
        tag!(0x9F38),
        tag!(0x9F46),
        tag!(0x9F49),
        tag!(0x9F4A),
        tag!(0x9F4B),
        tag!(0x9F74),
        tag!(0xBF0C),
    ];
    let value = prop_oneof![
        prop::collection::vec(any::<u8>(), 0..40),
        prop::collection::vec(any::<u8>(), 0..256),
        // Lists and locators at their longest; a cryptogram in the clear.
        Just([0x9F, 0x02, 0xFF].repeat(80)),
        Just([0x58, 0x01, 0xFF, 0x00].repeat(63)),
        Just([0x08, 0x01, 0x01, 0x01].repeat(63)),
        Just(
            [
                vec![0x40, 0xFF, 0xFF],
                vec![0; 8],
                vec![7, 1, 1, 3, 0x90, 0, 0, 1]
            ]
            .concat()
        ),
        Just(
            [
                vec![0x80, 0xFF, 0xFF],
                vec![0; 8],
                vec![7, 1, 1, 3, 0xA0, 0, 0, 1]
            ]
            .concat()
        ),
    ];
    prop_oneof![
        3 => (prop::sample::select(tags), value).prop_map(move |(tag, value)| object(tag, &value)),
        1 => prop::collection::vec(any::<u8>(), 0..256),
    ]
}

fn change() -> impl Strategy<Value = Change> {
    let words = [
        0x9000, 0x6101, 0x6100, 0x6C00, 0x6C08, 0x6283, 0x6A81, 0x6A83, 0x6985, 0x63C0,
    ];
    prop_oneof![
        any::<usize>().prop_map(Change::Bit),
        any::<usize>().prop_map(Change::Cut),
        Just(Change::Twice),
        bytes().prop_map(Change::Before),
        bytes().prop_map(Change::Behind),
        bytes().prop_map(Change::Within),
        bytes().prop_map(Change::Other),
        any::<usize>().prop_map(Change::Earlier),
        prop::sample::select(words.to_vec()).prop_map(Change::Word),
        any::<u16>().prop_map(Change::Word),
        any::<bool>().prop_map(Change::Lost),
    ]
}

/// Changes of some answers; more than one of an answer come one after the other.
fn changes() -> impl Strategy<Value = Vec<(usize, Change)>> {
    prop::collection::vec((0..30_usize, change()), 1..4)
}

thread_local! {
    /// Cards that sign their cryptogram: by RSA, and by SM2 in both forms.
    static CARDS: RefCell<Vec<(Application, Card)>> = RefCell::new(
        [(false, 0), (true, 0), (true, 0x0040)]
            .into_iter()
            .map(|(sm_algorithms, switches)| {
                let ordered = Application {
                    sm_algorithms,
                    switches,
                    ..application()
                };
                let card = card(&ordered);
                (ordered, card)
            })
            .collect(),
    );
}

/// A transaction with a card whose answers are changed, and what the card itself said.
fn paid(
    which: usize,
    terminal: &Terminal,
    sale: &Sale,
    changes: Vec<(usize, Change)>,
) -> (Outcome, Vec<Vec<u8>>) {
    CARDS.with_borrow_mut(|cards| {
        let (ordered, card) = &mut cards[which];
        let mut hostile = Hostile {
            card: card.fork(),
            changes,
            answers: Vec::new(),
            own: Vec::new(),
        };
        hostile.power_on().unwrap();
        let mut bank = bank(ordered);
        let outcome = pay(
            &mut hostile,
            terminal,
            sale,
            &Holder::with_pin(PIN),
            &mut bank,
        );
        (outcome, hostile.own)
    })
}

fn sale(cash: bool) -> Sale {
    Sale {
        amount: Fen::new(1_234),
        other: Fen::ZERO,
        kind: 0x00,
        date: [0x26, 0x07, 0x01],
        time: [0x12, 0x34, 0x56],
        cash,
        online: false,
        application: None,
        seed: 5,
    }
}

/// Information, counter and issuer application data of an answer with a cryptogram.
fn said(answer: &[u8]) -> Option<(u8, u16, Vec<u8>)> {
    if let Ok(Some(plain)) = find(answer, &[tag!(0x80)]) {
        let counter = u16::from_be_bytes([plain[1], plain[2]]);
        return Some((plain[0], counter, plain[11..].to_vec()));
    }
    let of = |tag| find(answer, &[tag!(0x77), tag]).ok().flatten();
    let counter = of(tag!(0x9F36))?.try_into().ok()?;
    let information = *of(tag!(0x9F27))?.first()?;
    Some((
        information,
        u16::from_be_bytes(counter),
        of(tag!(0x9F10))?.to_vec(),
    ))
}

/// An approval off line is the card's own, as it was given.
fn is_the_cards_own(outcome: &Outcome, own: &[Vec<u8>]) -> bool {
    let Some(first) = &outcome.first else {
        return false;
    };
    let told = (first.information, first.atc, first.issuer_data.clone());
    first.approves() && own.first().and_then(|own| said(own)) == Some(told)
}

#[test]
fn a_cryptogram_in_the_clear_before_or_beside_a_signed_one_is_no_answer() {
    let mut clear = Vec::new();
    let lie = [
        &[0x40, 0xFF, 0xFF][..],
        &[0; 8],
        &[7, 1, 1, 3, 0x90, 0, 0, 1],
    ]
    .concat();
    Writer::append(&mut clear).object(tag!(0x80), &lie);
    for which in 0..3 {
        let terminal = Terminal::of_a_merchant().with_sm().offline_only();
        let (plain, own) = paid(which, &terminal, &sale(false), Vec::new());
        assert_eq!(plain.end, End::Approved { online: false });
        assert!(is_the_cards_own(&plain, &own));
        let at = plain.steps.len();
        for change in [Change::Before(clear.clone()), Change::Behind(clear.clone())] {
            // Wherever the cryptogram is among the answers.
            let changes = (0..at + 30).map(|at| (at, change.clone()));
            for change in changes {
                let (outcome, own) = paid(which, &terminal, &sale(false), vec![change.clone()]);
                let approved = matches!(outcome.end, End::Approved { .. });
                assert!(!approved || is_the_cards_own(&outcome, &own), "{change:?}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        cases: 200,
        failure_persistence: None,
        ..ProptestConfig::default()
    })]

    #[test]
    fn whatever_a_card_answers_a_transaction_ends_and_no_lie_is_approved_off_line(
        which in 0..3_usize,
        wants_sm: bool,
        cash: bool,
        changes in changes(),
    ) {
        let mut terminal = Terminal::of_a_merchant().offline_only();
        terminal.sm = wants_sm;
        let (outcome, own) = paid(which, &terminal, &sale(cash), changes);
        prop_assert!(!outcome.steps.is_empty());
        if let End::Approved { online } = outcome.end {
            prop_assert_eq!(online, false);
            prop_assert!(is_the_cards_own(&outcome, &own), "{:?}", outcome.first);
            prop_assert!(!outcome.tvr.has(Finding::CombinedFailed));
        }
    }

    #[test]
    fn whatever_a_card_answers_the_bank_approves_no_cryptogram_but_its_own(
        which in 0..3_usize,
        wants_sm: bool,
        changes in changes(),
    ) {
        let mut terminal = Terminal::of_a_merchant();
        terminal.sm = wants_sm;
        let sale = Sale { online: true, ..sale(false) };
        let (outcome, own) = paid(which, &terminal, &sale, changes);
        if outcome.end == (End::Approved { online: true }) {
            let first = outcome.first.as_ref().map(|first| (first.atc, first.issuer_data.clone()));
            let said = own.first().and_then(|own| said(own));
            prop_assert_eq!(said.map(|(_, atc, issuer)| (atc, issuer)), first);
            prop_assert!(outcome.second.is_some_and(|second| second.approves()));
        }
    }
}
