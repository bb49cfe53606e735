//! Monitors of payments, each shown red by a bank card broken on purpose.
//!
//! A card is broken in what it hears, in what it answers, or in what it was issued with:
//! then it is a whole card that keeps to another profile than it is held to.

use crate::support::{Ours, SEED};
use crate::{case, is, power, say, says, send};
use cardlab::crypto::Key;
use cardlab::icc::{Icc, Lost};
use cardlab::os::Card;
use cardlab_conformance::bank::variant::Variant;
use cardlab_conformance::cards::Cards;
use cardlab_conformance::case::Safety;
use cardlab_conformance::runner::judge;
use cardlab_conformance::subject::Subject;
use cardlab_conformance::verdict::Verdict;
use cardlab_desk::profile::Profile;
use proptest::collection::vec;
use proptest::option;
use proptest::prelude::{ProptestConfig, any, prop_assert, proptest};
use proptest::sample::Index;
use serde_json::{Value, json};
use std::sync::LazyLock;

/// A bank's card that pays.
static BANK: LazyLock<Issued> = LazyLock::new(|| Issued::of(&json!({})));
/// One with money in it.
static PURSE: LazyLock<Issued> = LazyLock::new(|| {
    let elements =
        json!({ "9F79": "000000100000", "9F77": "000000200000", "9F78": "000000100000" });
    Issued::of(&json!({ "elements": elements }))
});

/// A profile and a card of it.
pub(crate) struct Issued {
    profile: Profile,
    ours: Ours,
}

impl Issued {
    /// Where the bank's application differs from the profile so.
    pub(crate) fn of(variant: &Value) -> Issued {
        let mut variant = variant.clone();
        variant["active"] = true.into();
        let variant: Variant = serde_json::from_value(variant).unwrap();
        let profile = variant.of(&Profile::load("henan-2.0").unwrap()).unwrap();
        let ours = Ours::issued(&profile);
        Issued { profile, ours }
    }
}

/// What breaks a card.
pub(crate) trait Bend: Send {
    /// Another command than this is heard.
    fn hear(&mut self, _card: &mut Card, _command: &mut Vec<u8>) {}

    /// Another answer than this is given.
    fn answer(&mut self, card: &mut Card, command: &[u8], answer: &mut Vec<u8>);
}

impl<F: FnMut(&[u8], &mut Vec<u8>) + Send> Bend for F {
    fn answer(&mut self, _card: &mut Card, command: &[u8], answer: &mut Vec<u8>) {
        self(command, answer);
    }
}

/// What a card hears instead of this.
pub(crate) struct Mishears(pub(crate) fn(&mut Vec<u8>));

impl Bend for Mishears {
    fn hear(&mut self, _card: &mut Card, command: &mut Vec<u8>) {
        (self.0)(command);
    }

    fn answer(&mut self, _: &mut Card, _: &[u8], _: &mut Vec<u8>) {}
}

struct Bent {
    card: Card,
    by: Box<dyn Bend>,
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
        self.by.hear(&mut self.card, &mut heard);
        self.card.transmit(&heard, response)?;
        self.by.answer(&mut self.card, command, response);
        Ok(())
    }
}

struct Broken<'i> {
    issued: &'i Issued,
    by: &'i (dyn Fn() -> Box<dyn Bend> + Sync),
}

impl Subject for Broken<'_> {
    fn name(&self) -> &'static str {
        "broken"
    }

    fn fresh(&self) -> Result<Box<dyn Icc + '_>, String> {
        Ok(Box::new(Bent {
            card: self.issued.ours.fork(),
            by: (self.by)(),
        }))
    }

    fn key(&self, name: &str, version: u8) -> Option<Key> {
        self.issued.ours.key(name, version)
    }

    fn seed(&self) -> Option<u64> {
        Some(SEED)
    }
}

/// The monitors that go red for a subject, after a look at the card that is whole.
fn red_of(issued: &Issued, steps: &[Value], broken: &dyn Subject) -> Vec<&'static str> {
    silent(issued, steps);
    let case = case("monitors/red", &steps.into());
    let broken = judge(
        &case,
        &Cards::of(broken, &issued.profile),
        Safety::Irreversible,
    );
    assert_eq!(broken.verdict, Verdict::Fail, "{:?}", broken.reason);
    let mut ids: Vec<_> = broken.violations.iter().map(|v| v.monitor.id).collect();
    ids.sort_unstable();
    ids
}

/// Those of a card that is broken so.
pub(crate) fn red<B: Bend + 'static>(
    issued: &Issued,
    steps: &[Value],
    by: fn() -> B,
) -> Vec<&'static str> {
    let by = || -> Box<dyn Bend> { Box::new(by()) };
    red_of(issued, steps, &Broken { issued, by: &by })
}

/// No monitor goes red on the whole card, and each step is as it should be.
pub(crate) fn silent(issued: &Issued, steps: &[Value]) {
    let case = case("monitors/red", &steps.into());
    let cards = Cards::of(&issued.ours, &issued.profile);
    let whole = judge(&case, &cards, Safety::Irreversible);
    assert!(whole.violations.is_empty(), "{:?}", whole.violations);
    assert!(whole.verdict < Verdict::Fail, "{:?}", whole.reason);
    // No step stopped it.
    let is_torn = steps.iter().any(|step| step.get("torn").is_some());
    let commands = steps.iter().filter(|step| step.get("power").is_none());
    assert!(is_torn || whole.trace.len() >= commands.count());
}

pub(crate) fn choose() -> Value {
    json!({ "do": "select", "send": "00A40400 {bank:lv} 00" })
}

pub(crate) fn options() -> Value {
    json!({ "do": "options", "options": {} })
}

pub(crate) fn pay(told: Value) -> Value {
    json!({ "do": "options", "options": told })
}

pub(crate) fn ask(what: &str) -> Value {
    json!({ "do": "first", "cryptogram": { "ask": what } })
}

pub(crate) fn end(what: &str, code: &str) -> Value {
    json!({ "do": "second", "cryptogram": { "ask": what, "code": code } })
}

pub(crate) fn issuer() -> Value {
    json!({ "do": "issuer", "issuer": { "code": "00" } })
}

fn pin(which: &str) -> Value {
    json!({ "do": "PIN", "bank_verify": { "pin": which } })
}

pub(crate) fn records() -> Value {
    json!({ "do": "records", "records": {} })
}

fn script(header: &str, data: &str) -> Value {
    json!({ "do": "script", "script": { "header": header, "data": data } })
}

pub(crate) fn bad_script(header: &str, data: &str) -> Value {
    json!({ "do": "script", "script": { "header": header, "data": data, "wrong": 1 } })
}

pub(crate) fn prove(number: &str) -> Value {
    json!({ "do": "prove", "prove": { "number": number } })
}

fn read(tag: &str) -> Value {
    send(&format!("80CA{tag} 00"))
}

/// A payment that the bank approves, up to where scripts come.
fn on_line() -> Vec<Value> {
    vec![
        choose(),
        options(),
        records(),
        ask("arqc"),
        issuer(),
        end("tc", "00"),
    ]
}

fn cash(amount: u64) -> Vec<Value> {
    let told = json!({ "amount": amount, "cash": true });
    vec![choose(), pay(told), records(), ask("tc")]
}

pub(crate) fn chain(parts: &[&[Value]]) -> Vec<Value> {
    parts.concat()
}

/// The place of the results in an answer in format 1.
const RESULTS_AT: usize = 2 + 11 + 4;

#[test]
fn m16_a_counter_that_stands_still() {
    let steps = [choose(), options(), read("9F36")];
    let by = || {
        |command: &[u8], answer: &mut Vec<u8>| {
            if command.starts_with(&[0x80, 0xCA, 0x9F, 0x36]) {
                answer[4] = 0;
            }
        }
    };
    assert_eq!(red(&BANK, &steps, by), ["M16"]);
}

#[test]
fn m16_a_counter_that_the_loss_of_power_gives_back() {
    let steps = [choose(), options(), power("cycle"), choose(), read("9F36")];
    let by = || {
        |command: &[u8], answer: &mut Vec<u8>| {
            if command.starts_with(&[0x80, 0xCA, 0x9F, 0x36]) {
                answer[4] = 0;
            }
        }
    };
    assert_eq!(red(&BANK, &steps, by), ["M16"]);
}

#[test]
fn m16_a_card_that_counts_later_than_declared() {
    let later = Issued::of(&json!({ "switches": ["counts_at_first_ac"] }));
    let steps = [choose(), options(), read("9F36"), ask("arqc"), read("9F36")];
    silent(&later, &steps);
    assert_eq!(red_of(&BANK, &steps, &later.ours), ["M16"]);
}

#[test]
fn m17_a_cryptogram_before_the_options() {
    let steps = [choose(), ask("arqc")];
    let by = || {
        |command: &[u8], answer: &mut Vec<u8>| {
            if is(command, 0xAE) {
                let made = "8013800000010203040506070807010103A00000019000";
                *answer = hex::decode(made).unwrap();
            }
        }
    };
    assert_eq!(red(&BANK, &steps, by), ["M17"]);
}

/// A card that gives its last cryptogram again.
fn again() -> impl FnMut(&[u8], &mut Vec<u8>) + Send {
    let mut last = Vec::new();
    move |command: &[u8], answer: &mut Vec<u8>| {
        if is(command, 0xAE) {
            if says(answer, 0x9000) {
                last.clone_from(answer);
            } else {
                answer.clone_from(&last);
            }
        }
    }
}

#[test]
fn m17_a_third_cryptogram() {
    let steps = chain(&[&on_line(), &[end("aac", "00")]]);
    assert!(red(&BANK, &steps, again).contains(&"M17"));
}

#[test]
fn m17_a_second_one_after_a_decline() {
    let steps = [choose(), options(), ask("aac"), ask("aac")];
    assert_eq!(red(&BANK, &steps, again), ["M17"]);
}

/// A card that approves whatever it is asked.
fn approves() -> Mishears {
    Mishears(|command| {
        if is(command, 0xAE) {
            command[2] = 0x40;
        }
    })
}

#[test]
fn m18_an_approval_where_the_bank_is_to_be_asked() {
    let steps = [choose(), options(), ask("arqc")];
    assert_eq!(red(&BANK, &steps, approves), ["M18"]);
}

#[test]
fn m18_an_approval_where_a_decline_was_asked() {
    let steps = [choose(), options(), ask("arqc"), issuer(), end("aac", "00")];
    let by = || {
        Mishears(|command| {
            if is(command, 0xAE) && command[2] == 0 {
                command[2] = 0x40;
            }
        })
    };
    assert_eq!(red(&BANK, &steps, by), ["M18"]);
}

/// What sits between card and terminal and says that any PIN is right.
struct Wedge;

impl Bend for Wedge {
    fn hear(&mut self, _card: &mut Card, command: &mut Vec<u8>) {
        if is(command, 0x20) {
            *command = vec![0x80, 0xCA, 0x9F, 0x36, 0x00];
        }
    }

    fn answer(&mut self, _card: &mut Card, command: &[u8], answer: &mut Vec<u8>) {
        if is(command, 0x20) {
            say(answer, 0x9000);
        }
    }
}

#[test]
fn m19_a_pin_that_the_card_never_saw() {
    let steps = [choose(), options(), pin("right"), ask("tc")];
    assert_eq!(red(&BANK, &steps, || Wedge), ["M19"]);
}

/// A card that says that a PIN is wrong and notes that it is right.
struct Flatters;

impl Bend for Flatters {
    fn hear(&mut self, _card: &mut Card, command: &mut Vec<u8>) {
        if is(command, 0x20) {
            command[5..13].copy_from_slice(&[0x26, 0x88, 0x88, 0x88, 0xFF, 0xFF, 0xFF, 0xFF]);
        }
    }

    fn answer(&mut self, _card: &mut Card, command: &[u8], answer: &mut Vec<u8>) {
        if is(command, 0x20) {
            say(answer, 0x63C2);
        }
    }
}

#[test]
fn m19_a_wrong_pin_that_the_results_call_right() {
    let steps = [choose(), options(), pin("wrong"), ask("arqc")];
    assert_eq!(red(&BANK, &steps, || Flatters), ["M19"]);
}

#[test]
fn m19_results_that_contradict_the_kind() {
    let steps = [choose(), options(), ask("arqc")];
    let by = || {
        |command: &[u8], answer: &mut Vec<u8>| {
            if is(command, 0xAE) {
                answer[RESULTS_AT] ^= 0x30;
            }
        }
    };
    assert_eq!(red(&BANK, &steps, by), ["M19", "M20"]);
}

#[test]
fn m20_a_cryptogram_over_another_amount() {
    let steps = [choose(), options(), ask("arqc")];
    let by = || {
        Mishears(|command| {
            if is(command, 0xAE) {
                command[10] ^= 1;
            }
        })
    };
    assert_eq!(red(&BANK, &steps, by), ["M20"]);
}

#[test]
fn m20_a_cryptogram_over_another_profile() {
    let steps = [choose(), options(), ask("arqc")];
    let by = || {
        |command: &[u8], answer: &mut Vec<u8>| {
            if is(command, 0xA8) {
                answer[2] ^= 0x20;
            }
        }
    };
    assert_eq!(red(&BANK, &steps, by), ["M20"]);
}

#[test]
fn m20_a_balance_under_another_mac() {
    let steps = [choose(), options(), ask("arqc")];
    let by = || {
        |command: &[u8], answer: &mut Vec<u8>| {
            if is(command, 0xAE) {
                let last = answer.len() - 3;
                answer[last] ^= 1;
            }
        }
    };
    assert_eq!(red(&PURSE, &steps, by), ["M20"]);
}

#[test]
fn m20_an_amount_that_a_relay_changes_in_a_second_cryptogram() {
    let by = || {
        Mishears(|command| {
            if is(command, 0xAE) && command[4] == 34 {
                command[12] ^= 1;
            }
        })
    };
    assert_eq!(red(&BANK, &on_line(), by), ["M20"]);
}

#[test]
fn m21_a_wrong_mac_that_is_taken() {
    let steps = chain(&[&on_line(), &[bad_script("04DA9F58", "05")]]);
    let by = || {
        |command: &[u8], answer: &mut Vec<u8>| {
            if is(command, 0xDA) {
                say(answer, 0x9000);
            }
        }
    };
    assert_eq!(red(&BANK, &steps, by), ["M21"]);
}

#[test]
fn m21_a_refused_script_that_writes() {
    let refused = [read("9F58"), bad_script("04DA9F58", "05"), read("9F58")];
    let steps = chain(&[&on_line(), &refused]);
    let by = || {
        let mut written = None;
        move |command: &[u8], answer: &mut Vec<u8>| {
            if is(command, 0xDA) {
                written = Some(command[5]);
            } else if command.starts_with(&[0x80, 0xCA, 0x9F, 0x58])
                && let Some(written) = written
            {
                answer[3] = written;
            }
        }
    };
    assert_eq!(red(&BANK, &steps, by), ["M21"]);
}

#[test]
fn m21_a_refused_script_that_blocks() {
    let steps = chain(&[&on_line(), &[bad_script("841E0000", ""), choose()]]);
    let by = || {
        let mut came = false;
        move |command: &[u8], answer: &mut Vec<u8>| {
            came |= is(command, 0x1E);
            if came && is(command, 0xA4) {
                let sw = answer.len() - 2;
                answer.splice(sw.., [0x62, 0x83]);
            }
        }
    };
    assert_eq!(red(&BANK, &steps, by), ["M21"]);
}

#[test]
fn m21_a_refused_script_that_gives_tries_back() {
    let steps = [
        choose(),
        options(),
        pin("wrong"),
        ask("arqc"),
        issuer(),
        end("tc", "00"),
        read("9F17"),
        bad_script("84240000", ""),
        read("9F17"),
    ];
    let by = || {
        let mut came = false;
        move |command: &[u8], answer: &mut Vec<u8>| {
            came |= is(command, 0x24);
            if came && command.starts_with(&[0x80, 0xCA, 0x9F, 0x17]) {
                answer[3] = 3;
            }
        }
    };
    assert_eq!(red(&BANK, &steps, by), ["M21"]);
}

/// A card that forgets whatever a refused script left.
struct Forgets(Option<Card>);

impl Bend for Forgets {
    fn hear(&mut self, card: &mut Card, command: &mut Vec<u8>) {
        if is(command, 0xDA) {
            self.0 = Some(card.fork());
        }
    }

    fn answer(&mut self, card: &mut Card, _: &[u8], answer: &mut Vec<u8>) {
        if says(answer, 0x6988)
            && let Some(before) = self.0.take()
        {
            *card = before;
        }
    }
}

#[test]
fn m21_a_failed_script_that_is_not_told() {
    let next = [
        bad_script("04DA9F58", "05"),
        choose(),
        options(),
        ask("arqc"),
    ];
    let steps = chain(&[&on_line(), &next]);
    assert_eq!(red(&BANK, &steps, || Forgets(None)), ["M21"]);
}

#[test]
fn m22_a_blocked_application_that_does_not_say_so() {
    let steps = chain(&[&on_line(), &[script("841E0000", ""), choose()]]);
    let by = || {
        |command: &[u8], answer: &mut Vec<u8>| {
            if is(command, 0xA4) {
                let sw = answer.len() - 2;
                answer.splice(sw.., [0x90, 0x00]);
            }
        }
    };
    assert_eq!(red(&BANK, &steps, by), ["M22"]);
}

/// Says '9000' to what it does not do.
struct Shirks(u8);

impl Bend for Shirks {
    fn hear(&mut self, _card: &mut Card, command: &mut Vec<u8>) {
        if is(command, self.0) {
            *command = vec![0x80, 0xCA, 0x9F, 0x36, 0x00];
        }
    }

    fn answer(&mut self, _card: &mut Card, command: &[u8], answer: &mut Vec<u8>) {
        if is(command, self.0) {
            say(answer, 0x9000);
        }
    }
}

#[test]
fn m22_a_blocked_application_that_asks_the_bank() {
    let steps = [
        choose(),
        options(),
        ask("arqc"),
        issuer(),
        script("841E0000", ""),
        end("tc", "00"),
    ];
    assert_eq!(red(&BANK, &steps, || Shirks(0x1E)), ["M22"]);
}

#[test]
fn m22_a_blocked_application_that_proves_itself() {
    let blocked = [
        script("841E0000", ""),
        choose(),
        options(),
        prove("01020304"),
    ];
    let steps = chain(&[&on_line(), &blocked]);
    let by = || {
        |command: &[u8], answer: &mut Vec<u8>| {
            if is(command, 0x88) {
                *answer = [&[0x80, 0x02, 1, 2][..], &[0x90, 0x00]].concat();
            }
        }
    };
    // What it says is no signature, either.
    assert_eq!(red(&BANK, &steps, by), ["M22", "M23"]);
}

#[test]
fn m22_an_application_that_stays_blocked() {
    let scripts = [script("841E0000", ""), script("84180000", ""), choose()];
    let steps = chain(&[&on_line(), &scripts]);
    assert_eq!(red(&BANK, &steps, || Shirks(0x18)), ["M22"]);
}

#[test]
fn m22_a_card_that_comes_back() {
    let steps = chain(&[
        &on_line(),
        &[script("84160000", ""), power("cycle"), choose()],
    ]);
    assert_eq!(red(&BANK, &steps, || Shirks(0x16)), ["M22"]);
}

#[test]
fn m22_a_log_of_another_amount() {
    let told = json!({ "amount": 1234 });
    let steps = [choose(), pay(told), ask("tc"), send("00B2015C 00")];
    let by = || {
        |command: &[u8], answer: &mut Vec<u8>| {
            if is(command, 0xB2) {
                answer[11] ^= 1;
            }
        }
    };
    assert_eq!(red(&BANK, &steps, by), ["M22"]);
}

#[test]
fn m23_a_record_that_is_not_there() {
    let steps = [choose(), options(), records()];
    let by = || {
        |command: &[u8], answer: &mut Vec<u8>| {
            if command.starts_with(&[0x00, 0xB2, 0x02]) {
                say(answer, 0x6A83);
            }
        }
    };
    assert_eq!(red(&BANK, &steps, by), ["M23"]);
}

#[test]
fn m23_a_record_that_is_another_the_second_time() {
    let steps = [choose(), options(), records(), send("00B2020C 00")];
    let by = || {
        let mut count = 0;
        move |command: &[u8], answer: &mut Vec<u8>| {
            if command.starts_with(&[0x00, 0xB2, 0x02, 0x0C]) {
                answer[8] ^= count;
                count = 1;
            }
        }
    };
    assert_eq!(red(&BANK, &steps, by), ["M23"]);
}

#[test]
fn m23_a_signature_that_is_played_again() {
    let first = [choose(), options(), records(), prove("01020304")];
    let second = [choose(), options(), records(), prove("04030201")];
    let by = || {
        let mut kept: Option<Vec<u8>> = None;
        move |command: &[u8], answer: &mut Vec<u8>| {
            if is(command, 0x88) {
                answer.clone_from(kept.get_or_insert_with(|| answer.clone()));
            }
        }
    };
    assert_eq!(red(&BANK, &chain(&[&first, &second]), by), ["M23"]);
}

#[test]
fn m24_a_payment_that_takes_a_fen_too_much() {
    let steps = chain(&[&cash(1_000), &[read("9F79")]]);
    let by = || {
        |command: &[u8], answer: &mut Vec<u8>| {
            if command.starts_with(&[0x80, 0xCA, 0x9F, 0x79]) {
                answer[8] = 0x99;
            }
        }
    };
    assert_eq!(red(&PURSE, &steps, by), ["M24"]);
}

#[test]
fn m24_a_payment_that_takes_nothing() {
    let steps = chain(&[&cash(1_000), &[choose(), read("9F79")]]);
    let by = || {
        |command: &[u8], answer: &mut Vec<u8>| {
            if command.starts_with(&[0x80, 0xCA, 0x9F, 0x79]) {
                answer[3..9].copy_from_slice(&[0, 0, 0, 0x10, 0, 0]);
            }
        }
    };
    assert_eq!(red(&PURSE, &steps, by), ["M24"]);
}

#[test]
fn m24_a_load_above_the_limit() {
    let steps = chain(&[&on_line(), &[script("04DA9F79", "000000200001")]]);
    let by = || {
        |command: &[u8], answer: &mut Vec<u8>| {
            if is(command, 0xDA) {
                say(answer, 0x9000);
            }
        }
    };
    assert_eq!(red(&PURSE, &steps, by), ["M24"]);
}

#[test]
fn m24_a_payment_above_the_single_limit() {
    let limited = json!({ "9F79": "000000100000", "9F77": "000000200000", "9F78": "000000000999" });
    let limited = Issued::of(&json!({ "elements": limited }));
    assert_eq!(red_of(&limited, &cash(1_000), &PURSE.ours), ["M24"]);
}

#[test]
fn m24_one_payment_off_line_too_many() {
    let limited = Issued::of(&json!({ "elements": { "9F58": "01" } }));
    let payment = [choose(), options(), ask("tc")];
    let steps = chain(&[&payment, &payment, &[read("9F36")]]);
    assert_eq!(red_of(&limited, &steps, &BANK.ours), ["M24"]);
}

#[test]
fn m24_a_sum_off_line_above_the_limit() {
    let limited = Issued::of(&json!({ "elements": { "9F54": "000000001999" } }));
    let payment = [choose(), pay(json!({ "amount": 1_000 })), ask("tc")];
    let steps = chain(&[&payment, &payment]);
    assert_eq!(red_of(&limited, &steps, &BANK.ours), ["M24"]);
}

#[test]
fn m24_a_limit_without_the_bank_that_does_not_hold() {
    let limited = Issued::of(&json!({ "elements": { "9F59": "00" } }));
    let steps = [choose(), options(), ask("arqc"), end("tc", "Y3")];
    assert_eq!(red_of(&limited, &steps, &BANK.ours), ["M24"]);
}

#[test]
fn m24_a_bank_that_was_never_heard() {
    let optional = Issued::of(&json!({ "elements": { "9F56": "00" } }));
    let steps = [
        choose(),
        options(),
        ask("arqc"),
        end("tc", "00"),
        read("9F13"),
    ];
    silent(&optional, &steps);
    assert_eq!(red_of(&BANK, &steps, &optional.ours), ["M24"]);
}

/// What shows all that is followed.
fn look() -> Vec<Value> {
    let tags = ["9F13", "9F17", "9F36", "9F58", "9F5D", "9F77", "9F79"];
    let mut steps = vec![choose()];
    steps.extend(tags.map(read));
    steps.push(send("00B2015C 00"));
    steps.extend([options(), records(), ask("arqc")]);
    steps
}

#[test]
fn a_card_that_is_cut_anywhere_in_a_payment_keeps_every_monitor_silent() {
    let begin = [choose(), options()];
    let scripted = on_line();
    let purse = cash(1_000);
    let (pay, before) = purse.split_last().unwrap();
    let (second, first) = scripted.split_last().unwrap();
    let torn: [(&[Value], Value); 12] = [
        (&begin[..1], options()),
        (&begin, pin("right")),
        (&begin, pin("wrong")),
        (&begin, ask("tc")),
        (&begin, ask("arqc")),
        (before, pay.clone()),
        (first, second.clone()),
        (&scripted, script("04DA9F79", "000000150000")),
        (&scripted, bad_script("04DA9F79", "000000150000")),
        (&scripted, script("841E0000", "")),
        (&scripted, script("84240000", "")),
        (&scripted, script("04DA9F58", "05")),
    ];
    for (before, mut step) in torn {
        step["torn"] = true.into();
        silent(
            &PURSE,
            &chain(&[before, &[step], &look(), &cash(500), &look()]),
        );
    }
}

#[test]
fn a_long_life_keeps_every_monitor_silent() {
    let scripts = [
        read("9F58"),
        script("04DA9F79", "000000150000"),
        read("9F79"),
        script("04DA9F58", "05"),
        script("04DA9F77", "000000100000"),
        read("9F79"),
        script("84240000", ""),
        script("841E0000", ""),
        script("84180000", ""),
        script("04DA9F50", "00"),
        bad_script("04DA9F58", "06"),
        read("9F58"),
    ];
    let offline = [choose(), pay(json!({ "amount": 700 })), ask("tc")];
    let unable = [
        choose(),
        pay(json!({ "amount": 7 })),
        ask("arqc"),
        end("tc", "Y3"),
    ];
    let foreign = [
        choose(),
        pay(json!({ "amount": 7, "currency": "0840", "cash": true })),
        ask("tc"),
    ];
    let wrong = [
        choose(),
        options(),
        pin("wrong"),
        pin("right"),
        ask("arqc"),
        pin("wrong"),
    ];
    let no_issuer = [choose(), options(), ask("arqc"), end("tc", "00")];
    let steps = chain(&[
        &look(),
        &offline,
        &look(),
        &unable,
        &look(),
        &on_line(),
        &scripts,
        &look(),
        &cash(300),
        &look(),
        &wrong,
        &[end("aac", "00")],
        &foreign,
        &no_issuer,
        &look(),
        &on_line(),
        &look(),
        &cash(200),
        &[power("reset")],
        &look(),
    ]);
    silent(&PURSE, &steps);
    let later = Issued::of(&json!({
        "switches": ["counts_at_first_ac"],
        "authentication": "combined",
    }));
    silent(&later, &steps);
}

#[test]
fn a_second_currency_keeps_every_monitor_silent() {
    let two = Issued::of(&json!({ "elements": {
        "9F79": "000000100000", "9F77": "000000200000", "9F78": "000000100000",
        "DF71": "0840", "DF72": "000000000000", "DF76": "000000000000",
        "DF77": "000000002000", "DF78": "000000001000", "DF79": "000000001500",
    } }));
    let told = json!({ "amount": 300, "currency": "0840", "cash": true });
    let payment = [
        choose(),
        pay(told),
        records(),
        read("9F79"),
        ask("tc"),
        read("9F79"),
    ];
    let load = [
        script("04DADF79", "000000001900"),
        script("04DADF79", "000000002001"),
    ];
    let steps = chain(&[
        &payment,
        &look(),
        &cash(1_000),
        &look(),
        &on_line(),
        &load,
        &look(),
    ]);
    silent(&two, &steps);
}

#[test]
fn a_pin_that_blocks_keeps_every_monitor_silent() {
    let wrong = [
        choose(),
        options(),
        pin("wrong"),
        pin("wrong"),
        pin("wrong"),
        pin("right"),
    ];
    let unblock = [script("84240000", ""), script("84180000", "")];
    let steps = chain(&[
        &wrong,
        &[ask("arqc"), choose(), options(), ask("arqc")],
        &[choose(), options(), ask("aac")],
        &unblock,
        &look(),
        &on_line(),
        &look(),
        &[
            choose(),
            options(),
            pin("wrong"),
            ask("arqc"),
            pin("right"),
            end("tc", "00"),
        ],
        &look(),
    ]);
    for action in ["0000", "0080", "0004", "0044", "FFFF", "F9F8"] {
        silent(
            &Issued::of(&json!({ "elements": { "9F52": action } })),
            &steps,
        );
    }
}

#[test]
fn another_application_in_between_keeps_every_monitor_silent() {
    let social = [
        crate::select("SSSE"),
        crate::verify("right"),
        send("00A40000 02 3F00"),
        send("00A40400 {pse:lv} 00"),
        send("00A40400 07 A0000003330101 00"),
        send("00A40402 07 A0000003330101 00"),
        send("00A40400 05 A000000004 00"),
    ];
    let payment = [
        choose(),
        options(),
        send("00A40400 05 A000000004 00"),
        ask("arqc"),
    ];
    let steps = chain(&[
        &look(),
        &social,
        &payment,
        &social,
        &on_line(),
        &social,
        &look(),
        &[send("01A40400 {bank:lv} 00"), send("00700000 01")],
        &look(),
    ]);
    silent(&PURSE, &steps);
}

#[test]
fn a_card_that_ends_keeps_every_monitor_silent() {
    let steps = chain(&[
        &on_line(),
        &[
            script("84160000", ""),
            power("cycle"),
            choose(),
            read("9F36"),
        ],
    ]);
    for ends in [false, true] {
        let card = Issued::of(&json!({ "card_block_ends_the_card": ends }));
        silent(&card, &steps);
    }
}

/// What terminals, banks and others do with a card, in any order.
static STEPS: LazyLock<Vec<Value>> = LazyLock::new(|| {
    let cryptogram = |step: Value| json!({ "do": "cryptogram", "cryptogram": step });
    let issuer_says = |step: Value| json!({ "do": "issuer", "issuer": step });
    let new_pin = |header: &str, present: Option<&str>| {
        let mut step = json!({ "header": header, "pin": "888888" });
        if let Some(present) = present {
            step["present"] = present.into();
        }
        json!({ "do": "script", "script": step })
    };
    let told = [
        json!({}),
        json!({ "amount": 700 }),
        json!({ "amount": 300, "cash": true }),
        json!({ "amount": 300, "cash": true, "currency": "0840" }),
        json!({ "amount": 100_000 }),
        json!({ "sm": "01" }),
        json!({ "amount": 300, "cash": true, "sm": "01" }),
    ];
    let mut steps: Vec<Value> = told.map(pay).to_vec();
    steps.extend(["aac", "tc", "tc", "arqc", "arqc"].map(ask));
    steps.extend([
        cryptogram(json!({ "ask": "tc", "code": "00", "signed": true })),
        cryptogram(json!({ "ask": "tc", "signed": true })),
        cryptogram(json!({ "ask": "arqc", "signed": true })),
        cryptogram(json!({ "ask": "arqc", "amount": 900 })),
        issuer_says(json!({ "code": "00", "wrong": 1 })),
        issuer_says(json!({ "code": "05" })),
        issuer_says(json!({ "code": "00", "by": "3des" })),
        end("tc", "00"),
        end("aac", "00"),
        end("tc", "Y3"),
        end("aac", "Z3"),
        end("tc", "05"),
        new_pin("84240002", None),
        new_pin("84240001", Some("right")),
        bad_script("04DA9F79", "000000120000"),
        bad_script("841E0000", ""),
        bad_script("84180000", ""),
        power("cycle"),
        power("reset"),
        crate::select("SSSE"),
    ]);
    steps.extend(["right", "right", "wrong"].map(pin));
    let scripts = [
        ("04DA9F79", "000000150000"),
        ("04DA9F77", "000000100000"),
        ("04DA9F77", "000000200000"),
        ("04DADF79", "000000001900"),
        ("04DA9F54", "000000001000"),
        ("04DA9F58", "02"),
        ("841E0000", ""),
        ("84180000", ""),
        ("84240000", ""),
        ("04DC010C", "701357116228004116000202649D340622000000000F"),
    ];
    steps.extend(scripts.map(|(header, data)| script(header, data)));
    steps.extend(["9F13", "9F17", "9F36", "9F54", "9F58", "9F77", "9F79"].map(read));
    let sent = [
        "00B2015C 00",
        "00B2010C 00",
        "00840000 00",
        "00880000 04 01020304 00",
        "84240000",
        "84240000 04 00000000",
        "00A40400 05 A000000004 00",
        "00A40400 07 A0000003330101 00",
        "00A40400 {pse:lv} 00",
    ];
    steps.extend(sent.map(send));
    steps
});

/// Cards that differ in what they decide by themselves.
static KINDS: LazyLock<[Issued; 5]> = LazyLock::new(|| {
    [
        ("C000", "80", false),
        ("F9F8", "00", false),
        ("0004", "80", true),
        ("0040", "00", false),
        ("C000", "80", true),
    ]
    .map(|(action, mandatory, sm)| {
        let elements = json!({
            "9F52": action, "9F56": mandatory, "9F58": "03",
            "9F79": "000000100000", "9F77": "000000200000", "9F78": "000000100000",
            "DF71": "0840", "DF72": "000000000000", "DF76": "000000000000",
            "DF77": "000000002000", "DF78": "000000001000", "DF79": "000000001500",
        });
        let late = action == "0004";
        let switches = if late {
            vec!["counts_at_first_ac"]
        } else {
            Vec::new()
        };
        Issued::of(&json!({ "elements": elements, "switches": switches, "sm_algorithms": sm }))
    })
});

proptest! {
    #![proptest_config(ProptestConfig::with_cases(48))]

    /// Whatever is done with a card that is whole, and wherever it is cut.
    #[test]
    fn any_conversation_keeps_every_monitor_silent(
        kind in 0..KINDS.len(),
        begins in vec((0..4usize, vec(0..STEPS.len(), 0..6)), 1..10),
        torn in option::of(any::<Index>()),
    ) {
        let mut steps = Vec::new();
        for (how, chosen) in begins {
            steps.extend([choose(), options()]);
            if how > 0 {
                steps.push(records());
            }
            if how > 1 {
                steps.extend([ask("arqc"), issuer()]);
            }
            if how > 2 {
                steps.push(end("tc", "00"));
            }
            steps.extend(chosen.into_iter().map(|step| STEPS[step].clone()));
        }
        let tearable = |step: &Value| step.get("power").is_none() && step.get("records").is_none();
        if let Some(torn) = torn {
            let at = torn.index(steps.len());
            if tearable(&steps[at]) {
                steps[at]["torn"] = true.into();
            }
        }
        let case = case("monitors/red", &steps.into());
        let issued = &KINDS[kind];
        let cards = Cards::of(&issued.ours, &issued.profile);
    let whole = judge(&case, &cards, Safety::Irreversible);
        prop_assert!(whole.violations.is_empty(), "{:?} {:?}", whole.violations, whole.trace);
        prop_assert!(whole.verdict < Verdict::Fail, "{:?}", whole.reason);
    }
}
