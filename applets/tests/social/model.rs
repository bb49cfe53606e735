//! PIN, files and rights against a small model, by random commands.
//!
//! The model knows what a terminal may expect and nothing of how the card does it.

use crate::support::{Bench, FIRST_CHANGE, SELECT_DF01, SELECT_DF04, SELECT_SSSE, bytes};
use cardlab::apdu::Sw;
use cardlab::crypto::Algorithm;
use cardlab::icc::Icc;
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_oneof, proptest};
use std::collections::{BTreeMap, BTreeSet};

const PINS: [&str; 3] = ["123456", "888888", "66666666"];

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Directory {
    Mf,
    Ssse,
    Df01,
    Df04,
}
use Directory::{Df01, Df04, Mf, Ssse};

impl Directory {
    fn select(self) -> &'static str {
        match self {
            Mf => "00A40000 02 3F00 00",
            Ssse => SELECT_SSSE,
            Df01 => SELECT_DF01,
            Df04 => SELECT_DF04,
        }
    }

    fn fid(self) -> u16 {
        match self {
            Mf => 0x3F00,
            Ssse => 0xDDF1,
            Df01 => 0xDF01,
            Df04 => 0xDF04,
        }
    }

    /// Whether what is `self`'s counts while `current` is current.
    fn holds_in(self, current: Directory) -> bool {
        self == current || self == Mf || (self == Ssse && current != Mf)
    }
}

/// A key for EXTERNAL AUTHENTICATION: directory, KID, whether it can be locked.
const KEYS: [(Directory, u8, bool); 7] = [
    (Ssse, 0x04, true),
    (Ssse, 0x05, false),
    (Ssse, 0x06, true),
    (Ssse, 0x0A, true),
    (Df01, 0x83, true),
    (Df01, 0x88, true),
    (Df04, 0x84, true),
];

/// An EF with records: directory, SFI, who may read, who may update.
type Needs = fn(&Model) -> bool;
const FILES: [(Directory, u8, Needs, Needs); 5] = [
    (Ssse, 0x05, |_| true, |model| model.has(Ssse, 0x04)),
    (
        Ssse,
        0x06,
        |model| model.has(Ssse, 0x0A),
        |model| model.has(Ssse, 0x04),
    ),
    (
        Df01,
        0x05,
        |model| model.pin || model.has(Df01, 0x88),
        |model| model.has(Df01, 0x83),
    ),
    (Df01, 0x19, |_| true, |model| model.has(Df01, 0x83)),
    (
        Df04,
        0x06,
        |model| model.pin && model.has(Df04, 0x84),
        |_| false,
    ),
];

#[derive(Clone, Debug)]
enum Step {
    Select(Directory),
    Verify(usize),
    Status,
    Change { old: usize, new: usize },
    Prove { key: usize, right: bool },
    Read { file: usize, number: u8 },
    Update { file: usize, number: u8, value: u8 },
    Unblock { right: bool },
    Replace { pin: usize },
    Reset,
    CutVerify { pin: usize, after_writes: u64 },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let directory = prop_oneof![Just(Mf), Just(Ssse), Just(Df01), Just(Df04)];
    let pin = prop_oneof![3 => Just(0usize), 1 => 1..PINS.len()];
    let step = prop_oneof![
        3 => directory.prop_map(Step::Select),
        2 => pin.clone().prop_map(Step::Verify),
        1 => Just(Step::Status),
        1 => (pin.clone(), 0..PINS.len()).prop_map(|(old, new)| Step::Change { old, new }),
        3 => (0..KEYS.len(), prop::bool::weighted(0.8))
            .prop_map(|(key, right)| Step::Prove { key, right }),
        4 => (0..FILES.len(), 1..7u8).prop_map(|(file, number)| Step::Read { file, number }),
        3 => (0..FILES.len(), 1..7u8, any::<u8>())
            .prop_map(|(file, number, value)| Step::Update { file, number, value }),
        1 => any::<bool>().prop_map(|right| Step::Unblock { right }),
        1 => (0..PINS.len()).prop_map(|pin| Step::Replace { pin }),
        1 => Just(Step::Reset),
        1 => (pin, 0..12u64)
            .prop_map(|(pin, after_writes)| Step::CutVerify { pin, after_writes }),
    ];
    prop::collection::vec(step, 1..80)
}

const PIN_TRIES: u8 = 4;
const KEY_TRIES: u8 = 3;

#[derive(Debug)]
struct Model {
    first_change: bool,
    must_change: bool,
    value: usize,
    tries: u8,
    verified: bool,
    /// Whether the PIN opens files.
    pin: bool,
    current: Directory,
    proven: BTreeSet<(Directory, u8)>,
    key_tries: BTreeMap<(Directory, u8), u8>,
    records: [Vec<Vec<u8>>; FILES.len()],
}

impl Model {
    fn new(first_change: bool) -> Model {
        let records = |all: &[&str]| all.iter().map(|record| bytes(record)).collect();
        Model {
            first_change,
            must_change: first_change,
            value: 0,
            tries: PIN_TRIES,
            verified: false,
            pin: false,
            current: Ssse,
            proven: BTreeSet::new(),
            key_tries: KEYS
                .iter()
                .map(|&(home, kid, _)| ((home, kid), KEY_TRIES))
                .collect(),
            records: [
                records(&["0102AABB", "020133", "0304322E3000", "0702CCDD"]),
                records(&["080431323334", "09024142"]),
                records(&["200131", "4001AA", "4001BB", "4001CC", "2102AABB"]),
                records(&["79022222", "79023333"]),
                records(&["900131"]),
            ],
        }
    }

    fn has(&self, home: Directory, kid: u8) -> bool {
        self.proven.contains(&(home, kid))
    }

    fn set_verified(&mut self, verified: bool) {
        self.verified = verified;
        self.pin = verified && !self.must_change;
    }

    fn select(&mut self, to: Directory) {
        self.current = to;
        self.proven.retain(|(home, _)| home.holds_in(to));
    }

    fn reset(&mut self) {
        self.proven.clear();
        self.current = Ssse;
        self.set_verified(false);
    }

    /// What comparing a PIN answers, and does.
    fn compare(&mut self, pin: usize) -> Sw {
        if self.tries == 0 {
            return Sw(0x6983);
        }
        if pin == self.value {
            self.tries = PIN_TRIES;
            self.set_verified(true);
            return Sw::OK;
        }
        self.tries -= 1;
        self.set_verified(false);
        Sw::tries_left(self.tries)
    }

    fn replace_pin(&mut self, pin: usize, must_change: bool) {
        self.value = pin;
        self.tries = PIN_TRIES;
        self.must_change = must_change;
        self.set_verified(false);
    }

    fn refusal(&self, met: bool, with_pin: bool) -> Option<Sw> {
        match (met, with_pin && self.verified) {
            (true, _) => None,
            (false, true) => Some(Sw(0x6985)),
            (false, false) => Some(Sw(0x6982)),
        }
    }
}

fn verify(pin: usize) -> String {
    format!("00200000 {:02X} {}", PINS[pin].len() / 2, PINS[pin])
}

/// Does a step on card and model, and compares.
fn step(bench: &mut Bench, model: &mut Model, step: &Step) {
    match *step {
        Step::Select(directory) => {
            bench.ok(directory.select());
            model.select(directory);
        }
        Step::Verify(pin) => {
            let sw = bench.send(&verify(pin)).1;
            assert_eq!(sw, model.compare(pin), "{step:?}");
        }
        Step::Status => {
            let expected = if model.tries == 0 {
                Sw(0x6983)
            } else {
                Sw::tries_left(model.tries)
            };
            assert_eq!(bench.send("00200000").1, expected);
        }
        Step::Change { old, new } => {
            let len = (PINS[old].len() + PINS[new].len()) / 2 + 1;
            let command = format!("805E0100 {len:02X} {} FF {}", PINS[old], PINS[new]);
            let sw = bench.send(&command).1;
            if model.must_change && old == new {
                assert_eq!(sw, Sw(0x6A80));
                return;
            }
            let expected = model.compare(old);
            assert_eq!(sw, expected, "{step:?}");
            if expected == Sw::OK {
                model.replace_pin(new, false);
            }
        }
        Step::Prove { key, right } => {
            let (home, kid, locks) = KEYS[key];
            // A KID with b8 is a key of the current application.
            let here = if kid & 0x80 != 0 {
                model.current
            } else {
                model.current.min(Ssse)
            };
            let sw = if right {
                bench.authenticate(home.fid(), kid, 1)
            } else {
                bench.fail_to_authenticate(kid)
            };
            let found = KEYS
                .iter()
                .find(|&&(other, number, _)| (other, number) == (here, kid));
            let expected = match (found, model.key_tries.get_mut(&(here, kid))) {
                // DF04 has another key under the number of one of DF01's.
                (None, _) if here == Df04 && kid == 0x83 => Sw(0x63CF),
                (None, _) if here == Df01 && kid == 0x84 => return reset_keys(bench, model),
                (Some(_), Some(0)) if locks => Sw(0x6983),
                (Some(_), Some(tries)) if right && home == here => {
                    *tries = KEY_TRIES;
                    model.proven.insert((here, kid));
                    Sw::OK
                }
                (Some(_), Some(tries)) => {
                    model.proven.remove(&(here, kid));
                    if locks {
                        *tries -= 1;
                        Sw::tries_left(*tries)
                    } else {
                        Sw(0x63CF)
                    }
                }
                _ => Sw(0x6A88),
            };
            assert_eq!(sw, expected, "{step:?} in {:?}", model.current);
        }
        Step::Read { file, number } => {
            let (home, sfi, read, _) = FILES[file];
            if home != model.current {
                return;
            }
            let would = would_be_met(model, read);
            let record = model.records[file].get(usize::from(number) - 1);
            let len = record.map_or(1, Vec::len);
            let (data, sw) = bench.send(&format!("00B2{number:02X}{:02X} {len:02X}", sfi << 3 | 4));
            match (model.refusal(read(model), would), record) {
                (Some(refusal), _) => assert_eq!(sw, refusal, "{step:?}"),
                (None, None) => assert_eq!(sw, Sw(0x6A83), "{step:?}"),
                (None, Some(record)) => assert_eq!((sw, &data), (Sw::OK, record), "{step:?}"),
            }
        }
        Step::Update {
            file,
            number,
            value,
        } => {
            let (home, sfi, _, update) = FILES[file];
            if home != model.current {
                return;
            }
            let count = model.records[file].len();
            let at = usize::from(number) - 1;
            let mut record = match model.records[file].get(at) {
                Some(record) => record.clone(),
                None => vec![if sfi == 0x19 { 0x79 } else { 0x7A }, 2, 0, 0],
            };
            if let Some(last) = record.last_mut() {
                *last = value;
            }
            let header = format!("00DC{number:02X}{:02X}", sfi << 3 | 4);
            let command = format!("{header} {:02X} {}", record.len(), hex::encode(&record));
            let sw = bench.send(&command).1;
            let room = if sfi == 0x19 { 3 } else { 6 };
            let expected = match model.refusal(update(model), false) {
                Some(refusal) => refusal,
                None if at > count => Sw(0x6A83),
                None if at >= room => return,
                None => Sw::OK,
            };
            assert_eq!(sw, expected, "{step:?}");
            if sw == Sw::OK {
                if at < count {
                    model.records[file][at] = record;
                } else {
                    model.records[file].push(record);
                }
            }
        }
        Step::Unblock { right } => {
            let stk = if right {
                (0xDDF1, 0x02)
            } else {
                (0xDF01, 0x82)
            };
            let command = bench.sealed("84240000", &[], stk);
            let sw = bench.send_bytes(&command).1;
            let expected = match (model.has(Ssse, 0x06), model.current, right) {
                (false, ..) => Sw(0x6982),
                (true, _, false) => Sw(0x6988),
                (true, _, true) => Sw::OK,
            };
            assert_eq!(sw, expected, "{step:?}");
            if sw == Sw::OK {
                model.tries = PIN_TRIES;
                model.set_verified(false);
            }
        }
        Step::Replace { pin } => {
            let command = bench.reset_pin(&bytes(PINS[pin]));
            let sw = bench.send_bytes(&command).1;
            let expected = if model.has(Ssse, 0x06) {
                Sw::OK
            } else {
                Sw(0x6982)
            };
            assert_eq!(sw, expected, "{step:?}");
            if sw == Sw::OK {
                model.replace_pin(pin, model.first_change);
            }
        }
        Step::Reset => {
            bench.reset();
            model.reset();
        }
        Step::CutVerify { pin, after_writes } => {
            let cut = cardlab::memory::Cut {
                after_writes,
                ending: cardlab::memory::Ending::Prefix,
            };
            let mut copy = bench.fork();
            copy.card.cut(cut);
            if copy
                .card
                .transmit(&bytes(&verify(pin)), &mut Vec::new())
                .is_ok()
            {
                return;
            }
            let before = model.tries;
            copy.reset();
            let left = match copy.send("00200000").1 {
                Sw(sw @ 0x63C0..=0x63CF) => u8::try_from(sw & 0xF).expect("a digit"),
                _ => 0,
            };
            let right = pin == model.value && before > 0;
            assert!(left == before || left + 1 == before || (right && left == PIN_TRIES));
            *bench = copy;
            model.reset();
            model.tries = left;
        }
    }
}

/// Whether a rule would be met if a PIN that was verified opened files.
fn would_be_met(model: &mut Model, needs: Needs) -> bool {
    let pin = model.pin;
    model.pin = model.verified;
    let met = needs(model);
    model.pin = pin;
    met
}

/// DF01's UK 84 is not in the model: what it counts and grants is left out.
fn reset_keys(bench: &mut Bench, model: &mut Model) {
    bench.reset();
    model.reset();
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(400))]

    #[test]
    fn the_card_does_what_the_model_does(
        steps in steps(), first_change: bool, sm4: bool,
    ) {
        let algorithm = if sm4 { Algorithm::Sm4 } else { Algorithm::Des };
        let switches = if first_change { FIRST_CHANGE } else { 0 };
        let mut bench = Bench::new(algorithm, switches);
        let mut model = Model::new(first_change);
        for one in &steps {
            step(&mut bench, &mut model, one);
        }
    }
}
