//! Monitors of payments by the SM set: they know its keys and its locators.
//!
//! The terminal is the desk's; a card is broken in what it hears or answers.

use crate::payment::{self, Issued, Mishears, bad_script, chain, choose, end, issuer, prove};
use crate::support::{Ours, SEED};
use crate::{is, say};
use cardlab::fen::Fen;
use cardlab::icc::{Icc, Lost};
use cardlab::link::tap::Tap;
use cardlab::os::Card;
use cardlab_conformance::monitor::{Facts, Monitors};
use cardlab_desk::bank::host::{Bank, Request, TYPE_CASH_LOAD};
use cardlab_desk::emv::{Answer, End, Holder, Host, Sale, Terminal, pay};
use cardlab_desk::profile::Profile;
use serde_json::{Value, json};
use std::sync::LazyLock;

static PROFILE: LazyLock<Profile> = LazyLock::new(|| {
    let text = r#"{ "id": "own", "extends": "henan-2.0", "bank": { "applications": [
        { "aid": "A000000333010101", "active": true, "sm_algorithms": true,
          "cash": { "balance_fen": 10000 } } ] } }"#;
    Profile::parse("own.json", text).unwrap()
});
static OURS: LazyLock<Ours> = LazyLock::new(|| Ours::issued(&PROFILE));

/// What changes a command, and what an answer to one.
type Hear = fn(&mut Vec<u8>);
type Say = fn(&[u8], &mut Vec<u8>);

struct Bent {
    card: Card,
    hear: Hear,
    answer: Say,
}

impl Icc for Bent {
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
        let mut heard = command.to_vec();
        (self.hear)(&mut heard);
        self.card.transmit(&heard, response)?;
        (self.answer)(command, response);
        Ok(())
    }
}

/// A bank whose script has another MAC.
struct Forging(Bank);

impl Host for Forging {
    fn authorise(&mut self, request: &Request) -> Option<Answer> {
        let mut answer = Host::authorise(&mut self.0, request)?;
        if let Some(last) = answer.scripts.last_mut() {
            *last ^= 1;
        }
        Some(answer)
    }
}

/// The monitors that go red where this is sold.
fn red(hear: Hear, answer: Say, sales: &[Sale], forge: bool) -> Vec<String> {
    let facts = Facts {
        profile: &PROFILE,
        as_issued: true,
        seed: Some(SEED),
    };
    let mut monitors = Monitors::new(Some(facts));
    let card = OURS.fork();
    let mut card = Tap::new(Bent { card, hear, answer }, |event| {
        monitors.hear(&event);
    });
    card.power_on().unwrap();
    // Static data alone leave cryptograms in the clear, where they can be checked.
    let mut terminal = Terminal::of_a_merchant().with_sm();
    terminal.capabilities[2] = 0x80;
    let bank = PROFILE.bank.as_ref().unwrap().host(SEED);
    let (mut bank, mut forging) = (bank.clone(), Forging(bank));
    for sale in sales {
        let host: &mut dyn Host = if forge { &mut forging } else { &mut bank };
        let holder = Holder::with_pin("888888");
        let outcome = pay(&mut card, &terminal, sale, &holder, host);
        assert!(
            !matches!(outcome.end, End::Terminated(_)),
            "{:?}",
            outcome.steps
        );
        assert!(outcome.steps.iter().any(|step| step.en.contains("by SM4")));
    }
    drop(card);
    let mut ids: Vec<_> = monitors
        .violations()
        .iter()
        .map(|violation| violation.monitor.id.to_owned())
        .collect();
    ids.dedup();
    ids
}

fn sale(kind: u8, cash: bool) -> Sale {
    Sale {
        amount: Fen::new(1_000),
        other: Fen::ZERO,
        kind,
        date: [0x26, 0x07, 0x01],
        time: [0x12, 0x34, 0x56],
        cash,
        online: !cash,
        application: None,
        seed: 5,
    }
}

const WHOLE: (Hear, Say) = (|_| {}, |_, _| {});

#[test]
fn a_whole_card_leaves_them_silent() {
    let (hear, answer) = WHOLE;
    let sales = [
        sale(0x00, false),
        sale(0x00, true),
        sale(TYPE_CASH_LOAD, false),
        sale(0x00, true),
    ];
    assert!(red(hear, answer, &sales, false).is_empty());
}

#[test]
fn m20_a_cryptogram_by_sm4_over_another_amount() {
    let hear = |command: &mut Vec<u8>| {
        if is(command, 0xAE) {
            command[10] ^= 1;
        }
    };
    assert_eq!(red(hear, WHOLE.1, &[sale(0x00, false)], false), ["M20"]);
}

#[test]
fn m20_a_balance_under_another_mac_by_sm4() {
    let answer = |command: &[u8], answer: &mut Vec<u8>| {
        if is(command, 0xAE) {
            let last = answer.len() - 3;
            answer[last] ^= 1;
        }
    };
    assert_eq!(red(WHOLE.0, answer, &[sale(0x00, false)], false), ["M20"]);
}

#[test]
fn m21_a_wrong_mac_by_sm4_that_is_taken() {
    let answer = |command: &[u8], answer: &mut Vec<u8>| {
        if is(command, 0xDA) {
            say(answer, 0x9000);
        }
    };
    let found = red(WHOLE.0, answer, &[sale(TYPE_CASH_LOAD, false)], true);
    assert!(found.contains(&"M21".to_owned()), "{found:?}");
}

#[test]
fn m24_electronic_cash_of_the_set_that_is_not_spent() {
    // What the card says after a payment with it is what it had before.
    let answer = |command: &[u8], answer: &mut Vec<u8>| {
        if command.starts_with(&[0x80, 0xCA, 0x9F, 0x79]) {
            answer[3..9].copy_from_slice(&[0, 0, 0, 0x01, 0, 0]);
        }
    };
    assert_eq!(red(WHOLE.0, answer, &[sale(0x00, true)], false), ["M24"]);
}

/// A card with both sets, and what a terminal says to it that wants one of them.
static BOTH: LazyLock<Issued> = LazyLock::new(|| Issued::of(&json!({ "sm_algorithms": true })));
const WISHES: [&str; 2] = ["00", "01"];

fn wish(sm: &str) -> Value {
    payment::pay(json!({ "sm": sm }))
}

fn ask_signed(what: &str) -> Value {
    json!({ "do": "first", "cryptogram": { "ask": what, "signed": true } })
}

#[test]
fn m20_sums_of_another_set_than_was_wanted() {
    let by = || {
        Mishears(|command| {
            if let [0x80, 0xA8, .., told, 0x00] = &mut command[..] {
                *told ^= 0x01;
            }
        })
    };
    for sm in WISHES {
        let steps = [choose(), wish(sm), payment::ask("arqc")];
        assert_eq!(payment::red(&BOTH, &steps, by), ["M20"]);
    }
}

#[test]
fn m20_a_signature_over_another_merchant() {
    let by = || {
        Mishears(|command| {
            if is(command, 0xAE) {
                command[5 + 33] ^= 0x01;
            }
        })
    };
    for sm in WISHES {
        let steps = [choose(), wish(sm), payment::records(), ask_signed("tc")];
        assert_eq!(payment::red(&BOTH, &steps, by), ["M20"]);
    }
}

#[test]
fn m20_another_kind_outside_than_in_the_signature() {
    let by = || {
        |command: &[u8], answer: &mut Vec<u8>| {
            if is(command, 0xAE) {
                let at = answer.windows(3).position(|at| at == [0x9F, 0x27, 0x01]);
                answer[at.unwrap() + 3] |= 0x08;
            }
        }
    };
    for sm in WISHES {
        let steps = [choose(), wish(sm), payment::records(), ask_signed("tc")];
        assert_eq!(payment::red(&BOTH, &steps, by), ["M20"]);
    }
}

#[test]
fn m21_a_wrong_mac_that_is_taken_after_a_signed_question() {
    let by = || {
        |command: &[u8], answer: &mut Vec<u8>| {
            if is(command, 0xDA) {
                say(answer, 0x9000);
            }
        }
    };
    for sm in WISHES {
        let question = [choose(), wish(sm), payment::records(), ask_signed("arqc")];
        let answered = [issuer(), end("tc", "00"), bad_script("04DA9F58", "05")];
        let steps = chain(&[&question, &answered]);
        assert_eq!(payment::red(&BOTH, &steps, by), ["M21"]);
    }
}

#[test]
fn m23_a_proof_over_another_number() {
    let by = || {
        Mishears(|command| {
            if is(command, 0x88) {
                command[5] ^= 0x01;
            }
        })
    };
    for sm in WISHES {
        let steps = [choose(), wish(sm), payment::records(), prove("01020304")];
        assert_eq!(payment::red(&BOTH, &steps, by), ["M23"]);
    }
}

#[test]
fn m23_a_signed_approval_over_another_number() {
    let by = || {
        Mishears(|command| {
            if is(command, 0xAE) {
                command[5 + 25] ^= 0x01;
            }
        })
    };
    for sm in WISHES {
        let steps = [choose(), wish(sm), payment::records(), ask_signed("tc")];
        assert_eq!(payment::red(&BOTH, &steps, by), ["M23"]);
    }
}
