//! Payments and scripts in any order, against what they must come to.
//!
//! | bytes of `emv_session` | hold                                                       |
//! |------------------------|------------------------------------------------------------|
//! | 0                      | which card                                                 |
//! | 1 to 4, and so on      | an operation and what it takes                             |
//!
//! Those of `script` are commands to a card whose first cryptogram asked its bank: a byte
//! says which, whether its MAC is right, and how many of the bytes after it are its data.

use super::{power_on, transmit};
use cardlab::apdu::{Response, Sw};
use cardlab::crypto::{Expanded, Key, pboc};
use cardlab::icc::Icc;
use cardlab::memory::{Cut, Ending};
use cardlab::os::Card;
use cardlab::tag;
use cardlab::tlv;
use cardlab_applets::ROM;
use cardlab_conformance::bank::variant::Variant;
use cardlab_conformance::monitor::{Facts, Monitors};
use cardlab_desk::bank::key::{KeySet, Keys};
use cardlab_desk::issue::issue;
use cardlab_desk::profile::Profile;
use std::cell::RefCell;
use std::sync::LazyLock;

/// The seed of the cards.
const SEED: u64 = 9;
const SELECT: [u8; 14] = [
    0x00, 0xA4, 0x04, 0x00, 0x08, 0xA0, 0x00, 0x00, 0x03, 0x33, 0x01, 0x01, 0x01, 0x00,
];
/// The PIN that the cards are issued with.
const PIN: &str = "888888";

/// The cards: what of the bank side of `henan-2.0` is other on them.
static PROFILES: LazyLock<[Profile; 4]> = LazyLock::new(|| {
    let cash = r#""9F79":"000000010000","9F6D":"000000001000""#;
    [
        format!(r#"{{"active":true,"authentication":"static","elements":{{{cash}}}}}"#),
        format!(r#"{{"active":true,"elements":{{{cash},"9F52":"FFFC"}}}}"#),
        format!(r#"{{"active":false,"elements":{{{cash}}}}}"#),
        format!(
            r#"{{"active":true,"switches":["counts_at_first_ac"],"elements":{{{cash},
            "DF71":"0840","DF77":"000000100000","DF78":"000000050000","DF79":"000000007000"}}}}"#
        ),
    ]
    .map(|text| {
        let variant: Variant = serde_json::from_str(&text).expect("a variant");
        let base = Profile::load("henan-2.0").expect("a shipped profile");
        variant.of(&base).expect("a bank application")
    })
});

thread_local! {
    static BLANKS: RefCell<Vec<Card>> = RefCell::new(PROFILES.iter().map(issued).collect());
}

fn issued(profile: &Profile) -> Card {
    let mut card = Card::manufacture(&ROM, SEED);
    issue(&mut card, profile, SEED).expect("a card");
    card.power_off();
    card
}

/// A card in the middle of a payment.
struct Till {
    card: Card,
    monitors: Monitors<'static>,
    keys: KeySet,
    /// Counter and cryptogram of the first answer of this payment.
    first: Option<(u16, [u8; 8])>,
    /// The lowest and the highest that the counter can be.
    atc: (u16, u16),
    /// What is in the electronic cash; `None` where a loss of power left two answers.
    cash: Option<u64>,
    /// The amount of the payment, where it goes from electronic cash.
    in_cash: Option<u64>,
    lost: bool,
}

impl Till {
    fn new(which: u8) -> Till {
        let which = usize::from(which) % PROFILES.len();
        let profile = &PROFILES[which];
        let facts = Facts {
            profile,
            as_issued: true,
            seed: Some(SEED),
        };
        let bank = profile.bank.as_ref().expect("a bank side");
        let application = bank.applications[0].ordered.fields().expect("an account");
        let keys = Keys::from_seed(SEED).of_card(&application.account, application.sequence);
        let mut till = Till {
            card: BLANKS.with_borrow_mut(|blanks| blanks[which].fork()),
            monitors: Monitors::new(Some(facts)),
            keys: keys.expect("an account number").des,
            first: None,
            atc: (0, 0),
            cash: Some(10_000),
            in_cash: None,
            lost: false,
        };
        assert!(power_on(&mut till.card, &mut till.monitors));
        till
    }

    /// The answer; none where the card was lost, which then has power again.
    fn send(&mut self, command: &[u8]) -> Option<(Vec<u8>, Sw)> {
        let mut answer = Vec::new();
        let sent = transmit(&mut self.card, &mut self.monitors, command, &mut answer);
        if sent.is_err() {
            self.lost = true;
            self.restart();
            return None;
        }
        let Response { data, sw } = Response::parse(&answer).expect("a status word");
        assert!(!sw.is_error() || data.is_empty(), "{sw} with data");
        assert!(sw != Sw::NO_DIAGNOSIS && sw != Sw::MEMORY_FAILURE, "{sw}");
        Some((data.to_vec(), sw))
    }

    fn restart(&mut self) {
        self.first = None;
        self.in_cash = None;
        assert!(power_on(&mut self.card, &mut self.monitors));
    }

    fn select(&mut self) {
        self.first = None;
        self.in_cash = None;
        self.send(&SELECT);
    }

    fn options(&mut self, amount: u64, cash: bool, foreign: bool) {
        let currency = if foreign { "0840" } else { "0156" };
        let data = format!(
            "80A800000B8309{:02X}{amount:012}{currency}00",
            u8::from(cash)
        );
        let before = self.cash;
        let answer = self.send(&hex::decode(data).expect("hexadecimal"));
        match answer {
            Some((data, Sw::OK)) => {
                // The locator of the e-cash path names file 4.
                let locator = data.get(4..).unwrap_or_default().as_chunks::<4>().0;
                let takes = locator.iter().any(|[file, ..]| *file == 4 << 3) && !foreign;
                self.in_cash = takes.then_some(amount);
                assert!(!takes || cash && before.is_none_or(|before| amount <= before));
                self.atc.1 += 1;
            }
            Some(_) => {}
            None => self.atc.1 += 1,
        }
    }

    fn generate(&mut self, p1: u8, second: bool, amount: u64, code: [u8; 2]) {
        let shared = format!("{amount:012}000000000000015600000400000156260701000102030408300000");
        let mut data = hex::decode(&shared[..58]).expect("hexadecimal");
        data.extend([0x12, 0x34, 0x56]);
        let data = match second {
            true => [&code[..], &data].concat(),
            false => [&data[..], &[0x20; 20]].concat(),
        };
        let len = u8::try_from(data.len()).expect("short");
        let command = [&[0x80, 0xAE, p1, 0x00, len][..], &data, &[0x00]].concat();
        let in_cash = self.in_cash.filter(|_| !second);
        match self.send(&command) {
            Some((answer, Sw::OK)) => {
                let cid = match answer[..] {
                    [0x80, _, cid, high, low, ref rest @ ..] => {
                        let atc = u16::from_be_bytes([high, low]);
                        if !second {
                            self.first = rest.first_chunk().map(|ac| (atc, *ac));
                        }
                        cid
                    }
                    // What was signed is inside of the signature.
                    _ => {
                        let cid = tlv::find(&answer, &[tag!(0x77), tag!(0x9F27)]);
                        cid.expect("data objects").expect("its kind")[0]
                    }
                };
                assert!(rank(cid) <= rank(p1), "{cid:02X} to P1 {p1:02X}");
                if let (true, Some(amount)) = (cid & 0xC0 == 0x40, in_cash) {
                    self.cash = self.cash.map(|cash| cash - amount);
                    self.in_cash = None;
                }
            }
            Some(_) => {}
            None if in_cash.is_some() => self.cash = None,
            None => {}
        }
    }

    fn session(&self, key: &Key, atc: u16) -> Expanded {
        pboc::session_key(&key.expand(), atc).expand()
    }

    fn authenticate(&mut self, code: [u8; 2], wrong: bool) {
        let (atc, first) = self.first.unwrap_or_default();
        let mut arpc = pboc::arpc(&self.session(&self.keys.cryptograms, atc), first, code);
        arpc[0] ^= u8::from(wrong);
        let answer = self.send(&[&[0x00, 0x82, 0, 0, 0x0A][..], &arpc, &code].concat());
        assert!(!wrong || answer.is_none_or(|(_, sw)| sw != Sw::OK));
    }

    /// A command with its MAC, right or not; the status word.
    fn script(&mut self, header: [u8; 4], data: &[u8], wrong: bool) -> Option<Sw> {
        let (atc, first) = self.first.unwrap_or_default();
        let [cla, ins, p1, p2] = header;
        let lc = u8::try_from(data.len() + 4).expect("short");
        let header = [cla, ins, p1, p2, lc];
        let macs = self.session(&self.keys.macs, atc);
        let mut mac = pboc::script_mac(&macs, header, atc, first, data);
        mac[3] ^= u8::from(wrong);
        let (_, sw) = self.send(&[&header[..], data, &mac].concat())?;
        let is_script = matches!(
            (cla, ins),
            (0x84, 0x16 | 0x18 | 0x1E | 0x24) | (0x04, 0xDA | 0xDC)
        );
        assert!(
            !(wrong && is_script && sw == Sw::OK),
            "a wrong MAC was taken"
        );
        Some(sw)
    }

    fn load(&mut self, amount: u64, wrong: bool) {
        let value = hex::decode(format!("{amount:012}")).expect("hexadecimal");
        match self.script([0x04, 0xDA, 0x9F, 0x79], &value, wrong) {
            Some(Sw::OK) => self.cash = Some(amount),
            Some(_) => {}
            None if wrong => {}
            None => self.cash = None,
        }
    }

    /// The value of a data element, where it can be told.
    fn told(&mut self, tag: u16) -> Option<u64> {
        let [p1, p2] = tag.to_be_bytes();
        let (data, sw) = self.send(&[0x80, 0xCA, p1, p2, 0x00])?;
        let value = data.get(3..).filter(|_| sw == Sw::OK)?;
        Some(
            value
                .iter()
                .fold(0, |sum, byte| sum << 8 | u64::from(*byte)),
        )
    }

    /// Counter and e-cash are what they must be, as a terminal would be told after a
    /// SELECT.
    fn check(&mut self) {
        let mut other = self.card.fork();
        std::mem::swap(&mut other, &mut self.card);
        let (first, in_cash, lost) = (self.first, self.in_cash, self.lost);
        let quiet = Monitors::new(None);
        let monitors = std::mem::replace(&mut self.monitors, quiet);
        self.restart();
        self.select();
        if let Some(atc) = self.told(0x9F36) {
            let atc = u16::try_from(atc).expect("two bytes");
            assert!((self.atc.0..=self.atc.1).contains(&atc), "counter {atc}");
            self.atc.0 = atc;
        }
        if let Some(digits) = self.told(0x9F79) {
            let cash = format!("{digits:x}").parse().expect("digits");
            assert!(self.cash.is_none_or(|known| known == cash), "e-cash {cash}");
            self.cash = Some(cash);
        }
        self.card = other;
        (self.first, self.in_cash, self.lost) = (first, in_cash, lost);
        self.monitors = monitors;
    }
}

/// How high an answer is: decline, question, approval.
fn rank(byte: u8) -> u8 {
    match byte >> 6 {
        0 => 0,
        2 => 1,
        _ => 2,
    }
}

/// Response codes: approvals, declines, unable to go on line.
const CODES: [[u8; 2]; 6] = [*b"00", *b"05", *b"Y1", *b"Y3", *b"Z3", *b"10"];

/// Any row of operations; see the table of this file.
pub fn emv_session(bytes: &[u8]) {
    let Some((&which, operations)) = bytes.split_first() else {
        return;
    };
    let mut till = Till::new(which);
    for &[what, x, y, z] in operations.as_chunks::<4>().0.iter().take(64) {
        let number = u64::from(u16::from_be_bytes([x, y]));
        let wrong = what & 0x10 != 0;
        let code = CODES[usize::from(z) % CODES.len()];
        match what & 0x0F {
            0 => till.select(),
            1 => till.options(number, z & 1 == 1, z & 2 == 2),
            2 => till.generate(
                [0x00, 0x40, 0x80, 0x50][usize::from(z & 3)],
                false,
                number,
                code,
            ),
            3 => till.generate([0x00, 0x40, 0x50, 0x80][usize::from(x & 3)], true, 0, code),
            4 => {
                let pin = if wrong { "111111" } else { PIN };
                let block = pboc::plain_pin_block(pin).expect("a PIN");
                till.send(&[&[0x00, 0x20, 0x00, 0x80, 0x08][..], &block].concat());
            }
            5 => drop(till.send(&[0x00, 0x88, 0x00, 0x00, 0x04, x, y, z, what, 0x00])),
            6 => till.authenticate(code, wrong),
            7 => till.load(number, wrong),
            8 => {
                let header = [[0x84, 0x1E, 0, 0], [0x84, 0x18, 0, 0], [0x84, 0x24, 0, 0]];
                till.script(header[usize::from(x) % 3], &[], wrong);
            }
            9 => drop(till.send(&[0x80, 0xCA, x, y, 0x00])),
            10 => drop(till.send(&[0x00, 0xB2, x, y, 0x00])),
            11 => till.restart(),
            12 => till.card.cut(Cut {
                after_writes: u64::from(x % 32),
                ending: Ending::ALL[usize::from(y) % Ending::ALL.len()],
            }),
            13 => drop(till.send(&[0x00, 0x84, 0x00, 0x00, 0x08])),
            14 => {
                let elements = [0x9F58, 0x9F59, 0x9F53, 0x9F72];
                let [p1, p2] = u16::to_be_bytes(elements[usize::from(x) % 4]);
                till.script([0x04, 0xDA, p1, p2], &[y], wrong);
            }
            _ => drop(till.send(&[what, x, y, z, 0x00])),
        }
        till.check();
    }
}

/// What of an application scripts can change, as it is told after a SELECT.
fn shown(till: &mut Till) -> Vec<(Vec<u8>, Sw)> {
    let mut other = till.card.fork();
    std::mem::swap(&mut other, &mut till.card);
    let quiet = std::mem::replace(&mut till.monitors, Monitors::new(None));
    till.card.power_on().expect("an ATR");
    let mut shown: Vec<_> = till.send(&SELECT).into_iter().collect();
    let elements = [
        0x9F17, 0x9F51, 0x9F52, 0x9F53, 0x9F54, 0x9F56, 0x9F57, 0x9F58, 0x9F59, 0x9F5C, 0x9F68,
        0x9F6B, 0x9F6D, 0x9F72, 0x9F73, 0x9F75, 0x9F76, 0x9F77, 0x9F78, 0x9F79, 0xDF71, 0xDF77,
        0xDF78, 0xDF79,
    ];
    for tag in elements.map(u16::to_be_bytes) {
        shown.extend(till.send(&[0x80, 0xCA, tag[0], tag[1], 0x00]));
    }
    for file in 1..=4 {
        for number in 1..=4 {
            shown.extend(till.send(&[0x00, 0xB2, number, file << 3 | 4, 0x00]));
        }
    }
    till.card = other;
    till.monitors = quiet;
    shown
}

/// Any commands to a card that waits for scripts: what is refused changes nothing.
pub fn script(bytes: &[u8]) {
    let Some((&which, mut rest)) = bytes.split_first() else {
        return;
    };
    let mut till = Till::new(which & 1);
    till.select();
    till.options(100, false, false);
    till.generate(0x80, false, 100, *b"00");
    if which & 2 != 0 {
        till.authenticate(*b"00", which & 4 != 0);
        till.generate(0x40, true, 100, *b"00");
    }
    let mut before = shown(&mut till);
    for _ in 0..16 {
        let Some((&[head, how, p1, p2], behind)) = rest.split_first_chunk() else {
            return;
        };
        let len = usize::from(how & 0x3F).min(behind.len());
        let (data, behind) = behind.split_at(len);
        rest = behind;
        let headers = [
            [0x84, 0x1E, 0x00, 0x00],
            [0x84, 0x18, 0x00, 0x00],
            [0x84, 0x24, 0x00, p2 & 0x03],
            [0x04, 0xDA, p1, p2],
            [0x04, 0xDC, p1, p2],
            [0x84, 0x16, p1 & 0x01, 0x00],
            [head, p1, p2, 0x00],
        ];
        let header = headers[usize::from(head) % headers.len()];
        let sw = match how & 0x40 {
            0 => till.script(header, data, how & 0x80 != 0),
            // Without a MAC.
            _ => {
                let len = u8::try_from(data.len()).expect("short");
                let sent = till.send(&[&header[..], &[len], data].concat());
                sent.map(|(_, sw)| sw)
            }
        };
        let after = shown(&mut till);
        if sw.is_some_and(Sw::is_error) {
            assert_eq!(before, after, "{header:02X?} {sw:?}");
        }
        before = after;
    }
}
