//! Each monitor is shown red by a card that is broken on purpose, and by no other.
//!
//! A broken card is the card of this house behind an [`Icc`] that changes what it does.
//! The same steps on the unbroken card leave every monitor silent.

#![expect(clippy::unwrap_used, reason = "what cannot be set up fails the test")]

#[path = "monitors/payment.rs"]
mod payment;
#[path = "monitors/payment_sm.rs"]
mod payment_sm;
mod support;

use cardlab::crypto::Key;
use cardlab::icc::{Icc, Lost, Tearable};
use cardlab::memory::{Cut, Worn};
use cardlab::os::Card;
use cardlab_conformance::cards::Cards;
use cardlab_conformance::case::{Case, Safety};
use cardlab_conformance::monitor::{ALL, Facts, Monitors, Watched};
use cardlab_conformance::runner::judge;
use cardlab_conformance::subject::Subject;
use cardlab_conformance::verdict::Verdict;
use cardlab_desk::profile::Profile;
use serde_json::{Value, json};
use std::path::Path;
use std::sync::LazyLock;
use std::sync::atomic::{AtomicU8, Ordering};
use support::Ours;

const ID: &str = "monitors/red";

static PROFILE: LazyLock<Profile> = LazyLock::new(|| Profile::load("national-2.0").unwrap());
static OURS: LazyLock<Ours> = LazyLock::new(|| Ours::issued(&PROFILE));
/// A card with certificates.
static THIRD: LazyLock<Profile> = LazyLock::new(|| Profile::load("national-3.0").unwrap());
static CERTIFIED: LazyLock<Ours> = LazyLock::new(|| Ours::issued(&THIRD));

/// What breaks a card. It has a second one to keep a state in.
trait Break: Send {
    /// A second one in the same state.
    fn fork(&mut self) -> Box<dyn Break>;

    fn power_on(&mut self, card: &mut Card) -> Vec<u8> {
        card.power_on().unwrap()
    }

    fn reset(&mut self, card: &mut Card) -> Vec<u8> {
        card.reset().unwrap()
    }

    fn transmit(&mut self, card: &mut Card, command: &[u8], answer: &mut Vec<u8>);
}

/// A card broken in its answers alone.
struct Answers<F>(F);

impl<F> Break for Answers<F>
where
    F: FnMut(&mut Card, &[u8], &mut Vec<u8>) + Clone + Send + 'static,
{
    fn fork(&mut self) -> Box<dyn Break> {
        Box::new(Answers(self.0.clone()))
    }

    fn transmit(&mut self, card: &mut Card, command: &[u8], answer: &mut Vec<u8>) {
        (self.0)(card, command, answer);
    }
}

/// The card behind what breaks it.
struct Broken {
    card: Card,
    by: Box<dyn Break>,
}

impl Icc for Broken {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        Ok(self.by.power_on(&mut self.card))
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        Ok(self.by.reset(&mut self.card))
    }

    fn power_off(&mut self) {
        self.card.power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        self.card.transmit(command, response)?;
        self.by.transmit(&mut self.card, command, response);
        Ok(())
    }
}

impl Tearable for Broken {
    fn fork(&mut self) -> Box<dyn Tearable> {
        Box::new(Broken {
            card: self.card.fork(),
            by: self.by.fork(),
        })
    }

    fn cut(&mut self, cut: Cut) {
        self.card.cut(cut);
    }

    fn disarm(&mut self) {
        Tearable::disarm(&mut self.card);
    }

    fn wear(&mut self, worn: Worn) {
        self.card.wear(worn);
    }

    fn spare(&mut self) -> bool {
        self.card.spare()
    }

    fn writes(&self) -> u64 {
        self.card.writes()
    }

    fn contents(&self) -> Option<Vec<u8>> {
        Some(self.card.contents())
    }
}

/// The subject whose every card is one of these, broken in one way.
struct Mutant(&'static Ours, fn() -> Box<dyn Break>);

impl Subject for Mutant {
    fn name(&self) -> &str {
        "mutant"
    }

    fn fresh(&self) -> Result<Box<dyn Icc + '_>, String> {
        Ok(Box::new(Broken {
            card: self.0.fork(),
            by: (self.1)(),
        }))
    }

    fn repeats(&self) -> bool {
        true
    }

    fn tearable(&self) -> Option<Box<dyn Tearable>> {
        Some(Box::new(Broken {
            card: self.0.fork(),
            by: (self.1)(),
        }))
    }

    fn key(&self, name: &str, version: u8) -> Option<Key> {
        self.0.key(name, version)
    }

    fn authority(&self) -> Option<Vec<u8>> {
        self.0.authority()
    }
}

/// A card that changes answers by this function, which sees the command.
macro_rules! answers {
    (|$card:ident, $command:ident, $answer:ident| $body:expr) => {
        || -> Box<dyn Break> {
            Box::new(Answers(
                move |$card: &mut Card, $command: &[u8], $answer: &mut Vec<u8>| $body,
            ))
        }
    };
}

fn case(id: &str, steps: &Value) -> Case {
    let value = json!({
        "id": id,
        "says": { "en": "A card broken on purpose.", "zh": "故意破坏的卡。" },
        "source": ["-"],
        "safety": "irreversible",
        "steps": steps,
    });
    Case::from_json(Path::new("red.json"), &value.to_string()).unwrap()
}

/// The ids of the monitors that go red, after a look at the unbroken card.
fn red(steps: &Value, breaks: fn() -> Box<dyn Break>) -> Vec<&'static str> {
    red_of(&OURS, &PROFILE, steps, breaks)
}

/// The same of a card with certificates.
fn red_certified(steps: &Value, breaks: fn() -> Box<dyn Break>) -> Vec<&'static str> {
    red_of(&CERTIFIED, &THIRD, steps, breaks)
}

fn red_of(
    ours: &'static Ours,
    profile: &Profile,
    steps: &Value,
    breaks: fn() -> Box<dyn Break>,
) -> Vec<&'static str> {
    let case = case(ID, steps);
    let whole = judge(&case, &Cards::of(ours, profile), Safety::Irreversible);
    assert!(whole.violations.is_empty(), "{:?}", whole.violations);
    assert!(whole.verdict < Verdict::Fail, "{:?}", whole.reason);
    let mutant = Mutant(ours, breaks);
    let broken = judge(&case, &Cards::of(&mutant, profile), Safety::Irreversible);
    assert_eq!(broken.verdict, Verdict::Fail, "{:?}", broken.reason);
    let reason = broken.reason.unwrap();
    let first = &broken.violations[0];
    assert!(reason.expected.starts_with(first.monitor.id), "{reason:?}");
    assert!(reason.got.contains(&format!("exchange {}", first.exchange)));
    assert!(!first.saw.is_empty() && first.exchange <= broken.trace.len());
    broken
        .violations
        .iter()
        .map(|violation| violation.monitor.id)
        .collect()
}

fn send(command: &str) -> Value {
    json!({ "do": "send", "send": command })
}

fn select(label: &str) -> Value {
    json!({ "do": "select", "select": label })
}

fn verify(pin: &str) -> Value {
    json!({ "do": "verify", "verify": pin })
}

fn authenticate(key: &str) -> Value {
    json!({ "do": "authenticate", "authenticate": { "key": key } })
}

fn power(how: &str) -> Value {
    json!({ "do": "power", "power": how })
}

fn is(command: &[u8], ins: u8) -> bool {
    command.get(1) == Some(&ins)
}

fn says(answer: &[u8], sw: u16) -> bool {
    answer.ends_with(&sw.to_be_bytes())
}

fn say(answer: &mut Vec<u8>, sw: u16) {
    answer.clear();
    answer.extend(sw.to_be_bytes());
}

#[test]
fn m01_data_that_were_not_asked_for() {
    let steps = json!([select("SSSE"), verify("right")]);
    let breaks = answers!(|_card, command, answer| if is(command, 0x20) {
        answer.insert(0, 0x00);
    });
    assert_eq!(red(&steps, breaks), ["M01"]);
}

#[test]
fn m02_a_byte_less_than_was_announced() {
    let steps = json!([send("00A40400 0F 7378312E73682EC9E7BBE1B1A3D5CF 04")]);
    let breaks = answers!(|_card, command, answer| if is(command, 0xC0) {
        answer.remove(0);
    });
    assert_eq!(red(&steps, breaks), ["M02"]);
}

#[test]
fn m02_data_that_outlive_another_command() {
    let steps = json!([select("SSSE"), send("00840000 08"), send("00C00000 08")]);
    let breaks = answers!(|_card, command, answer| if is(command, 0xC0) {
        answer.splice(0.., [1, 2, 3, 4, 5, 6, 7, 8, 0x90, 0x00]);
    });
    assert_eq!(red(&steps, breaks), ["M02"]);
}

#[test]
fn m03_a_le_that_is_never_right() {
    let steps = json!([select("SSSE"), send("00B2012C 00")]);
    let breaks = answers!(|_card, command, answer| if is(command, 0xB2) {
        say(answer, 0x6C0C);
    });
    assert_eq!(red(&steps, breaks), ["M03"]);
}

#[test]
fn m04_an_error_with_data() {
    let steps = json!([select("SSSE"), send("00B27F2C 04")]);
    let breaks = answers!(|_card, command, answer| if is(command, 0xB2) {
        answer.insert(0, 0x55);
    });
    assert_eq!(red(&steps, breaks), ["M04"]);
}

#[test]
fn m04_a_warning_that_the_command_does_not_have() {
    let steps = json!([select("SSSE"), send("00B2012C 0C")]);
    let breaks = answers!(|_card, command, answer| if is(command, 0xB2) {
        say(answer, 0x6282);
    });
    assert_eq!(red(&steps, breaks), ["M04"]);
}

/// A card that a warm reset does nothing to.
struct Deaf;

impl Break for Deaf {
    fn fork(&mut self) -> Box<dyn Break> {
        Box::new(Deaf)
    }

    fn reset(&mut self, _: &mut Card) -> Vec<u8> {
        PROFILE.atr.clone()
    }

    fn transmit(&mut self, _: &mut Card, _: &[u8], _: &mut Vec<u8>) {}
}

#[test]
fn m05_the_right_of_the_pin_after_a_reset() {
    let read = send("00B2012C 00");
    let steps = json!([verify("right"), power("reset"), select("DF01"), read]);
    assert_eq!(red(&steps, || Box::new(Deaf)), ["M05"]);
}

#[test]
fn m05_the_right_of_a_key_after_a_reset() {
    let again = [power("reset"), select("SSSE"), send("00B08700 04")];
    let steps = json!([authenticate("RKSSSE"), again[0], again[1], again[2]]);
    assert_eq!(red(&steps, || Box::new(Deaf)), ["M05"]);
}

/// A card that does what is refused with a word in a state that it had before.
struct Keeps {
    /// After this instruction the state is kept.
    ins: u8,
    sw: u16,
    kept: Option<Card>,
}

impl Break for Keeps {
    fn fork(&mut self) -> Box<dyn Break> {
        Box::new(Keeps {
            kept: self.kept.as_mut().map(Card::fork),
            ..*self
        })
    }

    fn transmit(&mut self, card: &mut Card, command: &[u8], answer: &mut Vec<u8>) {
        if is(command, self.ins) && says(answer, 0x9000) {
            self.kept = Some(card.fork());
        } else if says(answer, self.sw)
            && let Some(kept) = &mut self.kept
        {
            kept.transmit(command, answer).unwrap();
        }
    }
}

#[test]
fn m06_a_right_that_survives_another_application() {
    let steps = json!([
        select("DF01"),
        authenticate("RK1DF01"),
        select("DF02"),
        select("DF01"),
        send("00B2012C 00"),
    ]);
    let breaks = || -> Box<dyn Break> {
        Box::new(Keeps {
            ins: 0x82,
            sw: 0x6982,
            kept: None,
        })
    };
    assert_eq!(red(&steps, breaks), ["M06"]);
}

#[test]
fn m06_a_key_of_another_application_with_the_same_number() {
    let steps = json!([
        select("DF01"),
        authenticate("RK1DF01"),
        select("DF02"),
        send("00B2012C 00"),
    ]);
    let breaks = answers!(|_card, command, answer| if is(command, 0xB2) {
        answer.splice(0.., [0x42, 0x01, 0x00, 0x90, 0x00]);
    });
    assert_eq!(red(&steps, breaks), ["M06"]);
}

#[test]
fn m07_a_select_that_fails_and_goes_to_the_mf() {
    let steps = json!([
        select("SSSE"),
        send("00A40400 05 0102030405 00"),
        send("00B2012C 00")
    ]);
    let breaks = answers!(
        |card, command, answer| if is(command, 0xA4) && says(answer, 0x6A82) {
            let mut aside = Vec::new();
            card.transmit(&[0x00, 0xA4, 0x00, 0x00, 0x02, 0x3F, 0x00], &mut aside)
                .unwrap();
        }
    );
    assert_eq!(red(&steps, breaks), ["M07"]);
}

/// A card that takes a challenge twice.
#[derive(Default)]
struct Forgetful {
    drawn: Option<Card>,
}

impl Break for Forgetful {
    fn fork(&mut self) -> Box<dyn Break> {
        Box::new(Forgetful {
            drawn: self.drawn.as_mut().map(Card::fork),
        })
    }

    fn transmit(&mut self, card: &mut Card, command: &[u8], answer: &mut Vec<u8>) {
        if is(command, 0x84) {
            self.drawn = Some(card.fork());
        } else if is(command, 0x82) && says(answer, 0x6984) {
            *card = self.drawn.as_mut().unwrap().fork();
            card.transmit(command, answer).unwrap();
        }
    }
}

#[test]
fn m08_a_challenge_that_is_good_twice() {
    let by = json!({ "key": "UKSSSE", "random": "{r}" });
    let steps = json!([
        { "do": "draw", "send": "00840000 08", "save": "r" },
        { "do": "once", "authenticate": by },
        { "do": "twice", "authenticate": by },
    ]);
    assert_eq!(red(&steps, || Box::new(Forgetful::default())), ["M08"]);
}

#[test]
fn m09_a_challenge_that_comes_again() {
    let steps = json!([send("00840000 08"), send("00840000 10")]);
    let breaks = answers!(|_card, command, answer| if is(command, 0x84) {
        answer[..8].fill(0x5A);
    });
    assert_eq!(red(&steps, breaks), ["M09"]);
}

#[test]
fn m10_the_instruction_before_the_class() {
    let steps = json!([send("A0000000")]);
    let breaks = answers!(|_card, _command, answer| say(answer, 0x6D00));
    assert_eq!(red(&steps, breaks), ["M10"]);
}

#[test]
fn m10_the_length_before_p1_p2() {
    let steps = json!([send("00200001 01 12")]);
    let breaks = answers!(|_card, _command, answer| say(answer, 0x6700));
    assert_eq!(red(&steps, breaks), ["M10"]);
}

#[test]
fn m11_a_card_that_is_not_a_function_of_its_seed() {
    static COUNT: AtomicU8 = AtomicU8::new(0);
    let breaks = answers!(|_card, command, answer| if is(command, 0x84) {
        answer[0] = COUNT.fetch_add(1, Ordering::Relaxed);
    });
    let steps = json!([
        power("cycle"),
        send("00840000 08"),
        power("reset"),
        send("00840000 08")
    ]);
    // Not every case is asked twice.
    let mut asked = 0;
    for number in 0..128 {
        let case = case(&format!("monitors/red-{number}"), &steps);
        let whole = judge(&case, &Cards::of(&*OURS, &PROFILE), Safety::Irreversible);
        assert!(whole.violations.is_empty());
        let mutant = Mutant(&OURS, breaks);
        let judged = judge(&case, &Cards::of(&mutant, &PROFILE), Safety::Irreversible);
        match &judged.violations[..] {
            [] => assert_ne!(judged.verdict, Verdict::Fail),
            [violation] => {
                assert_eq!((violation.monitor.id, violation.exchange), ("M11", 1));
                asked += 1;
            }
            more => panic!("{more:?}"),
        }
    }
    assert!((1..=32).contains(&asked), "{asked} of 128");
}

/// A card that forgets what was written when its power goes.
#[derive(Default)]
struct Fresh {
    began: Option<Card>,
}

impl Break for Fresh {
    fn fork(&mut self) -> Box<dyn Break> {
        Box::new(Fresh {
            began: self.began.as_mut().map(Card::fork),
        })
    }

    fn power_on(&mut self, card: &mut Card) -> Vec<u8> {
        let began = self.began.get_or_insert_with(|| card.fork());
        *card = began.fork();
        card.power_on().unwrap()
    }

    fn transmit(&mut self, _: &mut Card, _: &[u8], _: &mut Vec<u8>) {}
}

#[test]
fn m12_a_try_that_the_loss_of_power_gives_back() {
    let steps = json!([verify("wrong"), power("cycle"), send("00200000")]);
    assert_eq!(red(&steps, || Box::new(Fresh::default())), ["M12"]);
}

#[test]
fn m12_a_try_that_a_cut_gives_back() {
    let steps = json!([
        verify("wrong"),
        { "do": "cut", "verify": "wrong", "torn": true },
        { "do": "status", "send": "00200000", "expect": "63C?" },
    ]);
    assert_eq!(red(&steps, || Box::new(Fresh::default())), ["M12"]);
}

#[test]
fn m13_tries_that_do_not_count_down() {
    let steps = json!([verify("wrong"), verify("wrong")]);
    let breaks = answers!(|_card, command, answer| if is(command, 0x20) {
        say(answer, 0x63C2);
    });
    assert_eq!(red(&steps, breaks), ["M13"]);
}

#[test]
fn m13_a_blocked_pin_that_is_taken() {
    let wrong = verify("wrong");
    let steps = json!([wrong, wrong, wrong, verify("right")]);
    let breaks = answers!(|_card, command, answer| {
        if is(command, 0x20) && says(answer, 0x6983) {
            say(answer, 0x9000);
        }
    });
    assert_eq!(red(&steps, breaks), ["M13"]);
}

#[test]
fn m13_a_right_pin_that_gives_no_tries_back() {
    let steps = json!([verify("wrong"), verify("right"), verify("wrong")]);
    let breaks = answers!(|_card, command, answer| {
        if is(command, 0x20) && says(answer, 0x63C2) && command[5] != 0x12 {
            say(answer, 0x63C1);
        }
    });
    assert_eq!(red(&steps, breaks), ["M13"]);
}

#[test]
fn m14_a_word_that_tells_what_is_not_there() {
    let steps = json!([select("DF01"), send("00B27F2C 00")]);
    let breaks = answers!(|_card, command, answer| if is(command, 0xB2) {
        say(answer, 0x6A83);
    });
    assert_eq!(red(&steps, breaks), ["M14"]);
}

#[test]
fn m14_what_is_read_without_any_right() {
    let steps = json!([select("DF01"), send("00B2012C 00")]);
    let breaks = answers!(|_card, command, answer| if is(command, 0xB2) {
        answer.splice(0.., [0x20, 0x02, 0x31, 0x30, 0x90, 0x00]);
    });
    assert_eq!(red(&steps, breaks), ["M14"]);
}

#[test]
fn m15_a_key_that_can_be_tried_for_ever() {
    let wrong = json!({ "do": "wrong", "authenticate": { "key": "UKSSSE", "wrong": 0 } });
    let steps = json!([wrong, wrong]);
    let breaks = answers!(|_card, command, answer| if is(command, 0x82) {
        say(answer, 0x63C2);
    });
    assert_eq!(red(&steps, breaks), ["M15"]);
}

/// A load of this many fen, from the selection on.
fn load(fen: u32) -> Vec<Value> {
    vec![
        select("DF04"),
        verify("right"),
        json!({ "do": "begin", "init_load": { "fen": fen } }),
        json!({ "do": "end", "credit": {} }),
    ]
}

#[test]
fn m25_a_load_of_a_fen_too_much() {
    let steps = json!([&load(500)[..], &[send("B0260001 04")]].concat());
    let breaks = answers!(|_card, command, answer| if is(command, 0x26) {
        answer[3] ^= 1;
    });
    assert_eq!(red(&steps, breaks), ["M25"]);
}

#[test]
fn m25_a_counter_out_of_step() {
    let steps = json!([load(500), load(1)].concat());
    let breaks = answers!(
        |_card, command, answer| if is(command, 0x28) && command[2] == 0 {
            answer[5] = 0;
        }
    );
    assert_eq!(red(&steps, breaks), ["M25"]);
}

#[test]
fn m25_half_of_a_load_after_a_cut() {
    let mut steps = load(500);
    steps[3]["torn"] = true.into();
    steps.extend([select("DF04"), verify("right"), send("B0260001 04")]);
    steps[6]["expect"] = "**9000".into();
    let breaks = answers!(|_card, command, answer| if is(command, 0x26) {
        answer.splice(..4, 250u32.to_be_bytes());
    });
    assert_eq!(red(&steps.into(), breaks), ["M25"]);
}

/// Two records added to a cyclic file, and who may read it.
fn two_records() -> Vec<Value> {
    let add = |digit: &str| send(&format!("00DC003B 55 {}", digit.repeat(0x55)));
    vec![
        select("DF02"),
        verify("right"),
        authenticate("UK3DF02"),
        add("31"),
        add("32"),
    ]
}

#[test]
fn m26_the_newest_record_last() {
    let steps = json!(
        [
            &two_records()[..],
            &[send("00B2013C 55"), send("00B2023C 55")]
        ]
        .concat()
    );
    let breaks = answers!(|card, command, answer| if is(command, 0xB2) {
        let mut other = command.to_vec();
        other[2] = 3 - other[2];
        card.transmit(&other, answer).unwrap();
    });
    assert_eq!(red(&steps, breaks), ["M26"]);
}

#[test]
fn m26_half_a_record_after_a_cut() {
    let mut steps = two_records();
    steps[4]["torn"] = true.into();
    steps.extend([select("DF02"), verify("right"), send("00B2013C 55")]);
    steps[7]["expect"] = "**9000".into();
    let breaks = answers!(|_card, command, answer| if is(command, 0xB2) {
        answer[0x40..0x55].fill(0x32);
        answer[..0x40].fill(0x31);
    });
    assert_eq!(red(&steps.into(), breaks), ["M26"]);
}

#[test]
fn m27_the_right_to_read_that_lets_write() {
    let steps = json!([
        select("DF01"),
        authenticate("RK1DF01"),
        send("00DC012C 04 20023131"),
    ]);
    let breaks = answers!(|_card, command, answer| if is(command, 0xDC) {
        say(answer, 0x9000);
    });
    assert_eq!(red(&steps, breaks), ["M27"]);
}

#[test]
fn m27_a_pin_that_is_unblocked_without_the_right() {
    let steps = json!([send("00840000 08"), send("84240000 04 00000000")]);
    let breaks = answers!(|_card, command, answer| if is(command, 0x24) {
        say(answer, 0x9000);
    });
    assert_eq!(red(&steps, breaks), ["M27"]);
}

/// To the certificate application, and there.
fn in_certificates(steps: &[Value]) -> Value {
    let environment = send("00A40400 {pki:lv} 00");
    let application = send("00A40400 {cert:lv} 00");
    json!([&[environment, application], steps].concat())
}

/// The public key of the signature pair is read, and its certificate.
fn both_halves() -> Value {
    in_certificates(&[
        send("00B09200 42"),
        json!({ "do": "check", "certificate_check": "public" }),
    ])
}

#[test]
fn m28_a_certificate_with_a_byte_that_the_authority_did_not_sign() {
    let steps = in_certificates(&[
        send("00A40000 02 0018"),
        send("00B00000 E0"),
        send("00B000E0 E0"),
        send("00B001C0 E0"),
    ]);
    // In the holder's name, so that all else stays in order.
    let breaks = answers!(|_card, command, answer| if is(command, 0xB0) {
        let holder = answer.windows(2).rposition(|pair| pair == [0x0C, 0x09]);
        if let Some(at) = holder {
            answer[at + 4] ^= 1;
        }
    });
    assert_eq!(red_certified(&steps, breaks), ["M28"]);
}

#[test]
fn m28_a_public_key_that_is_not_the_certificate_s() {
    let breaks = answers!(|card, command, answer| {
        if is(command, 0xB0) && answer.starts_with(&[0xCA, 0x40]) {
            let mut other = command.to_vec();
            other[2] = 0x94;
            card.transmit(&other, answer).unwrap();
        }
    });
    assert_eq!(red_certified(&both_halves(), breaks), ["M28"]);
}

#[test]
fn m28_an_exported_key_that_is_not_the_certificate_s() {
    let steps = in_certificates(&[
        json!({ "do": "check", "certificate_check": "public" }),
        send("80C98200 08 C0020012 C2020013 00"),
    ]);
    let breaks = answers!(|_card, command, answer| if is(command, 0xC9) {
        let len = answer.len() - 2;
        answer[2..len].fill(0x11);
    });
    assert_eq!(red_certified(&steps, breaks), ["M28"]);
}

#[test]
fn m28_a_signature_of_another_key() {
    let verify =
        |who: &str| json!({ "do": "PIN", "certificate_verify": { "who": who, "pin": "right" } });
    let steps = in_certificates(&[
        send("00B09200 42"),
        verify("user"),
        verify("administrator"),
        json!({ "do": "sign", "certificate_sign": { "message": "616263" } }),
    ]);
    let breaks = answers!(
        |_card, command, answer| if is(command, 0x48) && answer.len() == 66 {
            answer[63] ^= 1;
        }
    );
    assert_eq!(red_certified(&steps, breaks), ["M28"]);
}

#[test]
fn m28_says_nothing_of_a_pair_that_was_made_anew() {
    let verify =
        |who: &str| json!({ "do": "PIN", "certificate_verify": { "who": who, "pin": "right" } });
    let steps = in_certificates(&[
        send("00B09200 42"),
        verify("user"),
        verify("administrator"),
        send("80400000 08 C0020012 C2020013"),
        send("00B09200 42"),
        json!({ "do": "certificate", "certificate_check": "public" }),
    ]);
    let case = case(ID, &steps);
    let judged = judge(&case, &Cards::of(&*CERTIFIED, &THIRD), Safety::Irreversible);
    assert!(judged.violations.is_empty(), "{:?}", judged.violations);
}

#[test]
fn every_monitor_has_a_card_that_makes_it_red() {
    let sources = [
        include_str!("monitors.rs"),
        include_str!("monitors/payment.rs"),
    ];
    for monitor in ALL {
        let test = format!("fn {}_", monitor.id.to_lowercase());
        let is_there = sources.iter().any(|source| source.contains(&test));
        assert!(is_there, "{}", monitor.id);
    }
}

#[test]
fn monitors_without_a_profile_watch_any_card() {
    let mut watched = Watched::new(OURS.fork(), Monitors::new(None));
    watched.power_on().unwrap();
    let mut response = Vec::new();
    for command in ["0084000008", "00200000", "00B2012C00", "00A4040000", "00"] {
        let command = hex::decode(command).unwrap();
        watched.transmit(&command, &mut response).unwrap();
    }
    assert!(watched.monitors().violations().is_empty());
}

#[test]
fn a_card_of_another_profile_is_not_held_against_this_one() {
    let other = Profile::load("henan-3.0").unwrap();
    let facts = Facts {
        profile: &other,
        as_issued: true,
        seed: None,
    };
    let mut watched = Watched::new(OURS.fork(), Monitors::new(Some(facts)));
    watched.power_on().unwrap();
    let mut response = Vec::new();
    // Free on this card, and not on the other.
    for command in ["00A40000023F00", "00A4000002DDF1", "00B2013414"] {
        let command = hex::decode(command).unwrap();
        watched.transmit(&command, &mut response).unwrap();
    }
    assert_eq!(response.len(), 22);
    assert!(watched.monitors().violations().is_empty());
}

#[test]
fn what_happens_in_a_bank_application_is_none_of_theirs() {
    let profile = Profile::load("henan-2.0").unwrap();
    let facts = Facts {
        profile: &profile,
        as_issued: true,
        seed: None,
    };
    let ours = Ours::issued(&profile);
    let mut watched = Watched::new(ours.fork(), Monitors::new(Some(facts)));
    watched.power_on().unwrap();
    let mut response = Vec::new();
    // Not activated it answers its SELECT with a warning, and is current all the same.
    let select = "00A4040008A00000033301010100";
    for (command, sw) in [
        (select, 0x6283),
        ("80A800000B830900000000000000015600", 0x9000),
        ("002000800826888888FFFFFFFF", 0x6985),
        ("80CA9F1700", 0x9000),
        ("80CA9F0300", 0x6A88),
        ("00A4040005A0000003FF00", 0x6A82),
        ("00B2010C00", 0x9000),
        ("00A404000F7378312E73682EC9E7BBE1B1A3D5CF00", 0x9000),
        (select, 0x6283),
    ] {
        let bytes = hex::decode(command).unwrap();
        watched.transmit(&bytes, &mut response).unwrap();
        assert!(says(&response, sw), "{command}: {response:02X?}");
        let violations = watched.monitors().violations();
        assert!(violations.is_empty(), "{command}: {violations:?}");
    }
}
