//! PIN, keys, rights, files and channels against a small model, by random commands.
//!
//! The model knows what a terminal may expect and nothing of how the card does it: every
//! status word and all data are its prediction.

use crate::support::{Bench, FIRST_CHANGE, SELECT_DF01, SELECT_DF04, SELECT_SSSE, bytes};
use cardlab::apdu::Sw;
use cardlab::crypto::Algorithm;
use cardlab::icc::Icc;
use cardlab::memory::{Cut, Ending};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_oneof, proptest};
use std::collections::{BTreeMap, BTreeSet};

/// The last one is none.
const PINS: [&str; 4] = ["123456", "888888", "66666666", ""];
const NO_PIN: usize = 3;

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

/// A key for EXTERNAL AUTHENTICATION: directory, KID, whether it can be locked, how many
/// versions it has.
const KEYS: [(Directory, u8, bool, u8); 9] = [
    (Ssse, 0x04, true, 3),
    (Ssse, 0x05, false, 1),
    (Ssse, 0x06, true, 1),
    (Ssse, 0x0A, true, 3),
    (Df01, 0x83, true, 1),
    (Df01, 0x84, true, 1),
    (Df01, 0x88, true, 1),
    (Df04, 0x83, false, 1),
    (Df04, 0x84, true, 1),
];

/// Who may do something, by the model and whether the PIN counts as given.
type Needs = fn(&Model, bool) -> bool;

/// A linear EF: directory, SFI, who may read, who may update.
const FILES: [(Directory, u8, Needs, Needs); 5] = [
    (Ssse, 0x05, |_, _| true, |model, _| model.has(Ssse, 0x04)),
    (
        Ssse,
        0x06,
        |model, _| model.has(Ssse, 0x0A),
        |model, _| model.has(Ssse, 0x04),
    ),
    (
        Df01,
        0x05,
        |model, pin| pin || model.has(Df01, 0x88),
        |model, _| model.has(Df01, 0x83),
    ),
    (Df01, 0x19, |_, _| true, |model, _| model.has(Df01, 0x83)),
    (
        Df04,
        0x06,
        |model, pin| pin && model.has(Df04, 0x84),
        |_, _| false,
    ),
];

/// A transparent EF of SSSE: SFI, length, who may read, who may update.
const BINARIES: [(u8, u16, Needs, Needs); 2] = [
    (0x0C, 600, |_, _| true, |_, _| true),
    (
        0x07,
        300,
        |model, _| model.has(Ssse, 0x0A),
        |model, _| model.has(Ssse, 0x04),
    ),
];

/// Slots of the cyclic EF of DF01.
const RING: usize = 3;
const CHANNELS: usize = 3;

#[derive(Clone, Debug)]
enum Step {
    Select(Directory),
    Verify(usize),
    Status,
    Change {
        old: usize,
        new: usize,
    },
    Prove {
        key: usize,
        version: u8,
        right: bool,
    },
    Read {
        file: usize,
        number: u8,
    },
    Update {
        file: usize,
        number: u8,
        value: u8,
    },
    ReadBinary {
        file: usize,
        offset: u8,
        ne: u8,
    },
    UpdateBinary {
        file: usize,
        offset: u8,
        bytes: Vec<u8>,
    },
    ReadRing {
        number: u8,
    },
    AppendToRing {
        value: u8,
    },
    Unblock {
        right: bool,
    },
    Replace {
        pin: usize,
    },
    Channel(usize),
    Close(usize),
    Reset {
        warm: bool,
    },
    CutVerify {
        pin: usize,
        after_writes: u64,
    },
    /// The last command of a step is cut, so that the step is done or not.
    Cut {
        step: Box<Step>,
        cut: Cut,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let directory = prop_oneof![
        1 => Just(Mf), 3 => Just(Ssse), 3 => Just(Df01), 2 => Just(Df04)
    ];
    let pin = || prop_oneof![4 => Just(0usize), 1 => 0..PINS.len()];
    let value = any::<u8>;
    let file = || 0..FILES.len();
    let binary = || 0..BINARIES.len();
    let data = prop::collection::vec(value(), 1..60);
    let step = prop_oneof![
        4 => directory.prop_map(Step::Select),
        2 => pin().prop_map(Step::Verify),
        1 => Just(Step::Status),
        1 => (pin(), pin()).prop_map(|(old, new)| Step::Change { old, new }),
        5 => (0..KEYS.len(), prop_oneof![3 => Just(1), 2 => 0..5u8], prop::bool::weighted(0.85))
            .prop_map(|(key, version, right)| Step::Prove { key, version, right }),
        4 => (file(), 1..7u8).prop_map(|(file, number)| Step::Read { file, number }),
        3 => (file(), 1..7u8, value())
            .prop_map(|(file, number, value)| Step::Update { file, number, value }),
        1 => (binary(), value(), value())
            .prop_map(|(file, offset, ne)| Step::ReadBinary { file, offset, ne }),
        1 => (binary(), value(), data)
            .prop_map(|(file, offset, bytes)| Step::UpdateBinary { file, offset, bytes }),
        1 => (1..5u8).prop_map(|number| Step::ReadRing { number }),
        2 => value().prop_map(|value| Step::AppendToRing { value }),
        1 => any::<bool>().prop_map(|right| Step::Unblock { right }),
        1 => pin().prop_map(|pin| Step::Replace { pin }),
        1 => (0..CHANNELS).prop_map(Step::Channel),
        1 => (1..CHANNELS).prop_map(Step::Close),
        1 => any::<bool>().prop_map(|warm| Step::Reset { warm }),
        1 => (pin(), 0..12u64)
            .prop_map(|(pin, after_writes)| Step::CutVerify { pin, after_writes }),
    ];
    let step = step.boxed();
    let ending = prop::sample::select(Ending::ALL.to_vec());
    let cut = (step.clone(), 0..16u64, ending).prop_map(|(step, after_writes, ending)| {
        let cut = Cut {
            after_writes,
            ending,
        };
        Step::Cut {
            step: Box::new(step),
            cut,
        }
    });
    let step = prop_oneof![5 => step, 1 => cut];
    prop::collection::vec(step, 1..100)
}

const PIN_TRIES: u8 = 4;
const KEY_TRIES: u8 = 3;

/// One logical channel.
#[derive(Clone, Debug)]
struct Channel {
    open: bool,
    current: Directory,
    proven: BTreeSet<(Directory, u8)>,
}

impl Channel {
    fn new(open: bool) -> Channel {
        Channel {
            open,
            current: Ssse,
            proven: BTreeSet::new(),
        }
    }
}

#[derive(Clone, Debug)]
struct Model {
    first_change: bool,
    must_change: bool,
    value: usize,
    tries: u8,
    verified: bool,
    channels: [Channel; CHANNELS],
    channel: usize,
    key_tries: BTreeMap<(Directory, u8, u8), u8>,
    records: [Vec<Vec<u8>>; FILES.len()],
    binaries: [Vec<u8>; BINARIES.len()],
    /// The newest first.
    ring: Vec<[u8; 4]>,
}

impl Model {
    fn new(first_change: bool) -> Model {
        let records = |all: &[&str]| all.iter().map(|record| bytes(record)).collect();
        let versions = KEYS.iter().flat_map(|&(home, kid, _, versions)| {
            (1..=versions).map(move |version| ((home, kid, version), KEY_TRIES))
        });
        Model {
            first_change,
            must_change: first_change,
            value: 0,
            tries: PIN_TRIES,
            verified: false,
            channels: std::array::from_fn(|number| Channel::new(number == 0)),
            channel: 0,
            key_tries: versions.collect(),
            records: [
                records(&["0102AABB", "020133", "0304322E3000", "0702CCDD"]),
                records(&["080431323334", "09024142"]),
                records(&["200131", "4001AA", "4001BB", "4001CC", "2102AABB"]),
                records(&["79022222", "79023333"]),
                records(&["900131"]),
            ],
            binaries: BINARIES.map(|(_, len, _, _)| vec![0; usize::from(len)]),
            ring: Vec::new(),
        }
    }

    fn here(&mut self) -> &mut Channel {
        &mut self.channels[self.channel]
    }

    fn current(&self) -> Directory {
        self.channels[self.channel].current
    }

    fn has(&self, home: Directory, kid: u8) -> bool {
        self.channels[self.channel].proven.contains(&(home, kid))
    }

    /// Whether the PIN opens files.
    fn pin(&self) -> bool {
        if self.verified {
            !self.must_change
        } else {
            self.value == NO_PIN
        }
    }

    fn select(&mut self, to: Directory) {
        let here = self.here();
        here.current = to;
        here.proven.retain(|(home, _)| home.holds_in(to));
    }

    fn reset(&mut self) {
        self.channels = std::array::from_fn(|number| Channel::new(number == 0));
        self.channel = 0;
        self.verified = false;
    }

    /// What comparing a PIN answers, and does.
    fn compare(&mut self, pin: usize) -> Sw {
        if self.tries == 0 {
            return Sw(0x6983);
        }
        if pin == self.value {
            self.tries = PIN_TRIES;
            self.verified = true;
            return Sw::OK;
        }
        // Where there is no PIN, any is wrong and costs nothing.
        if self.value != NO_PIN {
            self.tries -= 1;
            self.verified = false;
        }
        Sw::tries_left(self.tries)
    }

    fn replace_pin(&mut self, pin: usize, must_change: bool) {
        self.value = pin;
        self.tries = PIN_TRIES;
        self.must_change = must_change && pin != NO_PIN;
        self.verified = false;
    }

    /// What a rule that is not met answers.
    fn refusal(&self, needs: Needs) -> Option<Sw> {
        if needs(self, self.pin()) {
            None
        } else if needs(self, self.verified) {
            Some(Sw(0x6985))
        } else {
            Some(Sw(0x6982))
        }
    }

    /// What EXTERNAL AUTHENTICATION answers, and does: `code` is that of this directory's
    /// key, or wrong.
    fn prove(&mut self, kid: u8, version: u8, code: Option<Directory>) -> Sw {
        // A KID with b8 is a key of the current application.
        let here = match self.current() {
            current if kid & 0x80 != 0 => current,
            current => current.min(Ssse),
        };
        let Some(tries) = self.key_tries.get_mut(&(here, kid, version)) else {
            return Sw(0x6A88);
        };
        let locks = KEYS
            .iter()
            .any(|&(home, other, locks, _)| (home, other) == (here, kid) && locks);
        if *tries == 0 {
            return Sw(0x6983);
        }
        if code == Some(here) {
            *tries = KEY_TRIES;
            self.here().proven.insert((here, kid));
            return Sw::OK;
        }
        let sw = if locks {
            *tries -= 1;
            Sw::tries_left(*tries)
        } else {
            Sw(0x63CF)
        };
        self.here().proven.remove(&(here, kid));
        sw
    }
}

fn verify(pin: usize) -> String {
    match PINS[pin] {
        // Without data it asks for the state of the PIN.
        "" => "00200000".to_owned(),
        pin => format!("00200000 {:02X} {pin}", pin.len() / 2),
    }
}

fn status(model: &Model) -> Sw {
    match model.tries {
        _ if model.value == NO_PIN => Sw::OK,
        0 => Sw(0x6983),
        tries => Sw::tries_left(tries),
    }
}

/// Does a step on card and model, and compares.
fn step(bench: &mut Bench, model: &mut Model, step: &Step) {
    match *step {
        Step::Select(directory) => {
            bench.ok(directory.select());
            model.select(directory);
        }
        Step::Verify(NO_PIN) | Step::Status => {
            assert_eq!(bench.send("00200000").1, status(model), "{step:?}");
        }
        Step::Verify(pin) => {
            let sw = bench.send(&verify(pin)).1;
            assert_eq!(sw, model.compare(pin), "{step:?}");
        }
        Step::Change { old, new } => change(bench, model, old, new),
        Step::Prove {
            key,
            version,
            right,
        } => {
            let (home, kid, _, _) = KEYS[key];
            let sw = if right {
                bench.authenticate(home.fid(), kid, version)
            } else {
                bench.ok("00840000 08");
                let zeros = "00".repeat(16);
                bench
                    .send(&format!("008200{kid:02X} 11 {zeros} {version:02X}"))
                    .1
            };
            let code = right.then_some(home);
            assert_eq!(sw, model.prove(kid, version, code), "{step:?}");
        }
        Step::Read { file, number } => {
            let (home, sfi, read, _) = FILES[file];
            let record = model.records[file].get(usize::from(number) - 1);
            let len = record.map_or(1, Vec::len);
            let (data, sw) = bench.send(&format!("00B2{number:02X}{:02X} {len:02X}", sfi << 3 | 4));
            if home != model.current() {
                return elsewhere(model, sfi, sw);
            }
            match (model.refusal(read), record) {
                (Some(refusal), _) => assert_eq!(sw, refusal, "{step:?}"),
                (None, None) => assert_eq!(sw, Sw(0x6A83), "{step:?}"),
                (None, Some(record)) => assert_eq!((sw, &data), (Sw::OK, record), "{step:?}"),
            }
        }
        Step::Update {
            file,
            number,
            value,
        } => update(bench, model, file, number, value),
        Step::ReadBinary { file, offset, ne } => {
            let (sfi, len, read, _) = BINARIES[file];
            let command = format!("00B0{:02X}{offset:02X} {ne:02X}", 0x80 | sfi);
            let (data, sw) = bench.send(&command);
            if model.current() != Ssse {
                return elsewhere(model, sfi, sw);
            }
            let left = len - u16::from(offset);
            let from = usize::from(offset);
            let expected = match model.refusal(read) {
                Some(refusal) => refusal,
                None if u16::from(ne) > left => Sw::wrong_le(usize::from(left)),
                None => Sw::OK,
            };
            assert_eq!(sw, expected, "{step:?}");
            if sw == Sw::OK {
                let asked = if ne == 0 { 256 } else { usize::from(ne) };
                let to = (from + asked).min(usize::from(len));
                assert_eq!(data, model.binaries[file][from..to], "{step:?}");
            }
        }
        Step::UpdateBinary {
            file,
            offset,
            ref bytes,
        } => {
            let (sfi, len, _, update) = BINARIES[file];
            let header = [0x00, 0xD6, 0x80 | sfi, offset];
            let count = u8::try_from(bytes.len()).expect("short");
            let (_, sw) = bench.send_bytes(&[&header[..], &[count], bytes].concat());
            if model.current() != Ssse {
                return elsewhere(model, sfi, sw);
            }
            let from = usize::from(offset);
            let place = from..from + bytes.len();
            let expected = match model.refusal(update) {
                Some(refusal) => refusal,
                None if place.end > usize::from(len) => Sw(0x6700),
                None => Sw::OK,
            };
            assert_eq!(sw, expected, "{step:?}");
            if sw == Sw::OK {
                model.binaries[file][place].copy_from_slice(bytes);
            }
        }
        Step::ReadRing { number } => {
            if model.current() != Df01 {
                return;
            }
            let (data, sw) = bench.send(&format!("00B2{number:02X}3C 04"));
            match (
                model.refusal(|_, pin| pin),
                model.ring.get(usize::from(number) - 1),
            ) {
                (Some(refusal), _) => assert_eq!(sw, refusal, "{step:?}"),
                (None, None) => assert_eq!(sw, Sw(0x6A83), "{step:?}"),
                (None, Some(record)) => assert_eq!((sw, &data[..]), (Sw::OK, &record[..])),
            }
        }
        Step::AppendToRing { value } => {
            if model.current() != Df01 {
                return;
            }
            let sw = bench.send(&format!("00DC003B 04 010203{value:02X}")).1;
            let refusal = model.refusal(|model, _| model.has(Df01, 0x84));
            assert_eq!(sw, refusal.unwrap_or(Sw::OK), "{step:?}");
            if sw == Sw::OK {
                model.ring.insert(0, [1, 2, 3, value]);
                model.ring.truncate(RING);
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
            let expected = match (model.has(Ssse, 0x06), right) {
                _ if model.current() == Mf => Sw(0x6985),
                (false, _) => Sw(0x6982),
                (true, false) => Sw(0x6988),
                (true, true) => Sw::OK,
            };
            assert_eq!(sw, expected, "{step:?}");
            if sw == Sw::OK {
                model.tries = PIN_TRIES;
                model.verified = false;
            }
        }
        Step::Replace { pin } => {
            let command = bench.reset_pin(&bytes(PINS[pin]));
            let sw = bench.send_bytes(&command).1;
            let expected = if model.current() == Mf {
                Sw(0x6985)
            } else if model.has(Ssse, 0x06) {
                Sw::OK
            } else {
                Sw(0x6982)
            };
            assert_eq!(sw, expected, "{step:?}");
            if sw == Sw::OK {
                model.replace_pin(pin, model.first_change);
            }
        }
        Step::Channel(number) => {
            if !model.channels[number].open {
                bench.ok(&format!("007000{number:02X}"));
                model.channels[number] = Channel::new(true);
            }
            bench.channel = u8::try_from(number).expect("few");
            model.channel = number;
        }
        Step::Close(number) => {
            if number == model.channel {
                return;
            }
            let sw = bench.send(&format!("007080{number:02X}")).1;
            let open = std::mem::replace(&mut model.channels[number].open, false);
            assert_eq!(sw, if open { Sw::OK } else { Sw(0x6200) }, "{step:?}");
        }
        Step::Reset { warm } => {
            if warm {
                bench.card.reset().expect("a card with power");
                bench.channel = 0;
            } else {
                bench.reset();
            }
            model.reset();
        }
        Step::CutVerify { pin, after_writes } => cut_verify(bench, model, pin, after_writes),
        Step::Cut { ref step, cut } => cut_step(bench, model, step, cut),
    }
}

/// Another directory is current: its EF with this SFI, if any, is not the one meant.
fn elsewhere(model: &Model, sfi: u8, sw: Sw) {
    let has = match model.current() {
        Mf => &[][..],
        Ssse => &[0x05, 0x06, 0x07, 0x0C],
        Df01 => &[0x05, 0x07, 0x19],
        Df04 => &[0x06, 0x08],
    };
    if !has.contains(&sfi) {
        assert_eq!(sw, Sw(0x6A82));
    }
}

fn change(bench: &mut Bench, model: &mut Model, old: usize, new: usize) {
    let len = (PINS[old].len() + PINS[new].len()) / 2 + 1;
    let command = format!("805E0100 {len:02X} {} FF {}", PINS[old], PINS[new]);
    let sw = bench.send(&command).1;
    let expected = match (old, new) {
        (NO_PIN, NO_PIN) => Sw(0x6700),
        _ if model.must_change && (old == new || new == NO_PIN) => Sw(0x6A80),
        _ => model.compare(old),
    };
    assert_eq!(sw, expected, "from {old} to {new}");
    if sw == Sw::OK {
        model.replace_pin(new, false);
    }
}

fn update(bench: &mut Bench, model: &mut Model, file: usize, number: u8, value: u8) {
    let (home, sfi, _, update) = FILES[file];
    if home != model.current() {
        return;
    }
    let count = model.records[file].len();
    let at = usize::from(number) - 1;
    let room = if sfi == 0x19 { 3 } else { 6 };
    if at >= room {
        return;
    }
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
    let expected = match model.refusal(update) {
        Some(refusal) => refusal,
        None if at > count => Sw(0x6A83),
        None => Sw::OK,
    };
    assert_eq!(sw, expected, "record {number} of {sfi:02X} in {home:?}");
    if sw == Sw::OK {
        model.records[file].truncate(count.max(at));
        match model.records[file].get_mut(at) {
            Some(old) => *old = record,
            None => model.records[file].push(record),
        }
    }
}

/// Power goes in a VERIFY: no try comes back, unless all of them with the right PIN.
fn cut_verify(bench: &mut Bench, model: &mut Model, pin: usize, after_writes: u64) {
    let mut copy = bench.fork();
    copy.channel = 0;
    copy.card.cut(Cut {
        after_writes,
        ending: Ending::Prefix,
    });
    let answered = copy.card.transmit(&bytes(&verify(pin)), &mut Vec::new());
    if answered.is_ok() {
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

/// Does a step whose last command is cut: memory, and so the model, is as before it or
/// as after it, or a counter alone went ahead, and then the step is not done at all.
fn cut_step(bench: &mut Bench, model: &mut Model, what: &Step, cut: Cut) {
    let (mut done, mut after) = (bench.fork(), model.clone());
    done.sent.clear();
    step(&mut done, &mut after, what);
    let Some(((last, _), first)) = done.sent.split_last() else {
        return;
    };
    let mut torn = bench.fork();
    let mut transmit = |command: &[u8]| torn.card.transmit(command, &mut Vec::new());
    for (command, _) in first {
        assert_eq!(transmit(command), Ok(()));
    }
    let before = torn.card.contents();
    torn.card.cut(cut);
    if torn.card.transmit(last, &mut Vec::new()).is_ok() {
        return;
    }
    torn.reset();
    let found = torn.card.contents();
    if found == done.card.contents() {
        *model = after;
    } else if found != before {
        let unlike = found.iter().zip(&before).filter(|(a, b)| a != b);
        assert_eq!(
            unlike.count(),
            1,
            "{what:?}, {cut:?}: neither before nor after"
        );
        return;
    }
    model.reset();
    *bench = torn;
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        ..ProptestConfig::with_cases(400)
    })]

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
