//! The medical account against a model of its own, with power cut anywhere.
//!
//! The model knows the specification and nothing of the card or the desk: its MACs are
//! made from the bare ciphers. After each transaction balance, sums, counters, details,
//! TAC and proof must be the model's; after a cut those of before or of after. A card whose
//! cells wear out blocks itself, or its balance is that of before.
//!
//! Source: social security card specification, part 7, 7, 8, 14 and 15; part 4, 8.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use cardlab::apdu::{Response, Sw};
use cardlab::crypto::Key;
use cardlab::icc::{Icc, Lost, Tearable};
use cardlab::memory::{Cells, Cut, Ending, Worn};
use cardlab::os::Card;
use cardlab_applets::ROM;
use cardlab_conformance::tear::{self, After};
use cardlab_desk::issue::{Issued, issue};
use cardlab_desk::profile::{FirstChange, Profile};
use des::cipher::{Array, BlockCipherEncrypt, KeyInit};
use proptest::prelude::{Just, Strategy, any, prop, prop_oneof};
use proptest::test_runner::{Config, TestRunner};
use std::collections::VecDeque;
use std::ops::ControlFlow;

const TERMINAL: [u8; 6] = [0x41, 0x16, 0x00, 0x00, 0x00, 0x02];
const SELECT_SSSE: &str = "00A404000F7378312E73682EC9E7BBE1B1A3D5CF00";
const SELECT_DF04: &str = "00A4040006D1560000050300";
const VERIFY: &str = "0020000003123456";
/// How many details the shipped profiles keep at most.
const DETAILS_MAX: usize = 30;

/// One block cipher, as the specification counts: 8-byte or 16-byte.
#[derive(Clone)]
enum Bare {
    Des(des::Des),
    TripleDes(des::TdesEde2),
    Sm4(sm4::Sm4),
}

impl Bare {
    fn base(key: &Key, sm4: bool) -> Bare {
        let bytes: [u8; 16] = key.expose().try_into().unwrap();
        if sm4 {
            Bare::Sm4(sm4::Sm4::new(&bytes.into()))
        } else {
            Bare::TripleDes(des::TdesEde2::new(&bytes.into()))
        }
    }

    fn len(&self) -> usize {
        match self {
            Bare::Des(_) | Bare::TripleDes(_) => 8,
            Bare::Sm4(_) => 16,
        }
    }

    fn encrypt(&self, block: &[u8]) -> Vec<u8> {
        match self {
            Bare::Des(cipher) => {
                let mut block = Array::try_from(block).unwrap();
                cipher.encrypt_block(&mut block);
                block.to_vec()
            }
            Bare::TripleDes(cipher) => {
                let mut block = Array::try_from(block).unwrap();
                cipher.encrypt_block(&mut block);
                block.to_vec()
            }
            Bare::Sm4(cipher) => {
                let mut block = Array::try_from(block).unwrap();
                cipher.encrypt_block(&mut block);
                block.to_vec()
            }
        }
    }

    /// The session cipher of 8 bytes of input.
    fn session(&self, input: &[u8]) -> Bare {
        let mut block = input.to_vec();
        block.resize(self.len(), 0);
        let key = self.encrypt(&block);
        if self.len() == 8 {
            Bare::Des(des::Des::new(&<[u8; 8]>::try_from(key).unwrap().into()))
        } else {
            Bare::Sm4(sm4::Sm4::new(&<[u8; 16]>::try_from(key).unwrap().into()))
        }
    }

    /// The cipher of a TAC.
    fn tac(key: &Key, sm4: bool) -> Bare {
        if sm4 {
            return Bare::base(key, true);
        }
        let (left, right) = key.expose().split_at(8);
        let sum: Vec<u8> = left.iter().zip(right).map(|(a, b)| a ^ b).collect();
        Bare::Des(des::Des::new(&<[u8; 8]>::try_from(sum).unwrap().into()))
    }

    /// Four bytes over a message: CBC from zero, padded with '80 00 ..'.
    fn mac(&self, message: &[u8]) -> [u8; 4] {
        let len = self.len();
        let mut padded = message.to_vec();
        padded.push(0x80);
        padded.resize(padded.len().next_multiple_of(len), 0);
        let mut chain = vec![0; len];
        for block in padded.chunks(len) {
            let mixed: Vec<u8> = chain.iter().zip(block).map(|(a, b)| a ^ b).collect();
            chain = self.encrypt(&mixed);
        }
        let words = if len == 8 { &chain[..4] } else { &chain[..] };
        let mut folded = [0; 4];
        for word in words.chunks(4) {
            for (to, from) in folded.iter_mut().zip(word) {
                *to ^= from;
            }
        }
        folded
    }
}

/// The keys of the account, as ciphers.
struct Ciphers {
    load: Bare,
    purchase: Bare,
    tac: Bare,
}

/// Number, MAC and TAC of a transaction.
type Proof = (u16, [u8; 4], [u8; 4]);

/// What can be seen of an account.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Model {
    balance: u32,
    own: u32,
    pooled: u32,
    year: u32,
    start: u32,
    loads: u16,
    purchases: u16,
    /// Newest first.
    details: VecDeque<Vec<u8>>,
    /// Of the last load and of the last purchase.
    proofs: [Option<Proof>; 2],
}

impl Model {
    fn new() -> Model {
        Model {
            balance: 0,
            own: 0,
            pooled: 0,
            year: 0,
            start: 101,
            loads: 0,
            purchases: 0,
            details: VecDeque::new(),
            proofs: [None; 2],
        }
    }

    fn note(&mut self, number: u16, kind: u8, time: [u8; 7], amounts: [u32; 3]) {
        let mut detail = number.to_be_bytes().to_vec();
        detail.push(kind);
        detail.extend(TERMINAL);
        detail.extend(time);
        detail.extend(amounts.iter().flat_map(|amount| amount.to_be_bytes()));
        self.details.push_front(detail);
        self.details.truncate(DETAILS_MAX);
    }

    /// After a load.
    fn load(&mut self, amount: u32, time: [u8; 7], mac: [u8; 4], tac: [u8; 4]) {
        let number = self.loads;
        self.balance += amount;
        self.loads += 1;
        self.note(number, 0x31, time, [amount, 0, 0]);
        self.proofs[0] = Some((number, mac, tac));
    }

    /// After a purchase, on a date YYYYMMDD; `false` where it cannot be.
    fn purchase(&mut self, [account, own, pooled]: [u32; 3], date: u32) -> bool {
        let began = i64::from(self.year) * 10_000 + i64::from(self.start);
        let (sums, year) = if i64::from(date) - began < 10_000 {
            let sums = (self.own.checked_add(own), self.pooled.checked_add(pooled));
            (sums, self.year)
        } else {
            // The year that began last before the date.
            let year = date / 10_000 - u32::from(date % 10_000 < self.start);
            ((Some(own), Some(pooled)), year)
        };
        let (Some(own), Some(pooled)) = sums else {
            return false;
        };
        (self.own, self.pooled, self.year) = (own, pooled, year);
        self.balance -= account;
        self.purchases += 1;
        true
    }
}

/// A card with an account, on one logical channel.
struct Bench {
    card: Card,
    channel: u8,
}

fn bcd(number: u64, bytes: usize) -> Vec<u8> {
    hex::decode(format!("{number:0width$}", width = 2 * bytes)).unwrap()
}

impl Bench {
    fn send(&mut self, command: &[u8]) -> Result<(Vec<u8>, Sw), Lost> {
        let mut command = command.to_vec();
        command[0] |= self.channel;
        let mut answer = Vec::new();
        self.card.transmit(&command, &mut answer)?;
        let answer = Response::parse(&answer).unwrap();
        Ok((answer.data.to_vec(), answer.sw))
    }

    fn hex(&mut self, command: &str) -> (Vec<u8>, Sw) {
        self.send(&hex::decode(command).unwrap()).unwrap()
    }

    #[track_caller]
    fn ok(&mut self, command: &str) -> Vec<u8> {
        let (data, sw) = self.hex(command);
        assert_eq!(sw, Sw::OK, "{command}");
        data
    }

    fn enter(&mut self) {
        self.ok(SELECT_SSSE);
        self.ok(VERIFY);
        self.ok(SELECT_DF04);
    }

    fn cycle(&mut self) {
        self.card.power_on().unwrap();
        self.enter();
    }

    /// All that the card tells of its account.
    fn observe(&mut self, expected: &Model) -> Model {
        let word = |data: &[u8]| u32::from_be_bytes(data[..4].try_into().unwrap());
        let year = |data: &[u8]| hex::encode(&data[4..6]).parse().unwrap();
        let balance = word(&self.ok("B026000104"));
        let own = self.ok("B026000206");
        let pooled = self.ok("B026000306");
        assert_eq!(own[4..], pooled[4..]);
        let start = hex::encode(self.ok("B056010002")).parse().unwrap();
        // Counters are told by an INITIALIZE of nothing.
        let load = self.ok("B02800010B010000000041160000000200");
        let purchase =
            self.ok(&format!("B028010113 01{}41160000000200", "00".repeat(12)).replace(' ', ""));
        let counter = |data: &[u8], at: usize| u16::from_be_bytes([data[at], data[at + 1]]);
        let mut details = VecDeque::new();
        for number in 1..=expected.details.len() + 1 {
            match self.hex(&format!("00B2{number:02X}441C")) {
                (record, Sw::OK) => details.push_back(record),
                (_, sw) => {
                    assert_eq!(sw, Sw::RECORD_NOT_FOUND);
                    break;
                }
            }
        }
        let mut proofs = [None; 2];
        let ends = [counter(&load, 4), counter(&purchase, 14)];
        for ((kind, proof), end) in [0x31, 0x32].into_iter().zip(&mut proofs).zip(ends) {
            for number in [end.wrapping_sub(1), end, end.wrapping_sub(2)] {
                let (data, sw) = self.hex(&format!("B02E00{kind:02X}02{number:04X}00"));
                if sw == Sw::OK {
                    let (mac, tac) = data.split_at(4);
                    *proof = Some((number, mac.try_into().unwrap(), tac.try_into().unwrap()));
                } else {
                    assert_eq!(sw, Sw::MAC_NOT_AVAILABLE);
                }
            }
        }
        Model {
            balance,
            own: word(&own),
            pooled: word(&pooled),
            year: year(&own),
            start,
            loads: ends[0],
            purchases: ends[1],
            details,
            proofs,
        }
    }
}

/// One thing done to a card.
#[derive(Clone, Debug)]
enum Deed {
    Load {
        amount: u32,
        date: u32,
        wrong: bool,
    },
    Purchase {
        amounts: [u32; 3],
        date: u32,
        terminal_number: u32,
        wrong: bool,
    },
    Reset,
}

/// What happens at a write of the last command of a deed.
#[derive(Clone, Copy, Debug)]
enum Mishap {
    Cut(Cut),
    Wear(Worn),
}

/// A deed, and what happens in its last command, if anything does.
type Move = (Deed, Option<Mishap>);

fn amount() -> impl Strategy<Value = u32> {
    prop_oneof![8 => 0..5000u32, 1 => any::<u32>(), 1 => Just(u32::MAX)]
}

fn date() -> impl Strategy<Value = u32> {
    (2020..2036u32, 1..=12u32, 1..=28u32)
        .prop_map(|(year, month, day)| year * 10_000 + month * 100 + day)
}

fn moves() -> impl Strategy<Value = Vec<Move>> {
    let wrong = || prop::bool::weighted(0.1);
    let load = (amount(), date(), wrong()).prop_map(|(amount, date, wrong)| Deed::Load {
        amount,
        date,
        wrong,
    });
    let purchase = (
        [0..4000u32, 0..9000, 0..9000],
        [amount(), amount()],
        date(),
        any::<u32>(),
        wrong(),
    )
        .prop_map(
            |([account, own, pooled], [large, larger], date, terminal_number, wrong)| {
                let rare = terminal_number % 16 == 0;
                Deed::Purchase {
                    amounts: if rare {
                        [account, large, larger]
                    } else {
                        [account, own, pooled]
                    },
                    date,
                    terminal_number,
                    wrong,
                }
            },
        );
    let deed = prop_oneof![4 => load, 6 => purchase, 1 => Just(Deed::Reset)];
    let endings = prop::sample::select(Ending::ALL.to_vec());
    let cut = (0..24u64, endings).prop_map(|(after_writes, ending)| {
        Mishap::Cut(Cut {
            after_writes,
            ending,
        })
    });
    let cells = prop::sample::select(Cells::ALL.to_vec());
    let wear = (0..24u64, cells).prop_map(|(after_writes, cells)| {
        Mishap::Wear(Worn {
            after_writes,
            cells,
        })
    });
    let mishap = prop::option::weighted(0.25, prop_oneof![9 => cut, 1 => wear]);
    prop::collection::vec((deed, mishap), 1..12)
}

fn time(date: u32) -> [u8; 7] {
    let time = bcd(u64::from(date) * 1_000_000 + 83_000, 7);
    time.try_into().unwrap()
}

/// What a deed comes to: the last command, what it is to answer, the account after it.
struct Planned {
    command: Vec<u8>,
    answer: (Vec<u8>, Sw),
    after: Model,
}

/// Does all of a deed but its last command; `None` where the card refused to begin, as
/// the model does.
fn begin(bench: &mut Bench, ciphers: &Ciphers, model: &Model, deed: &Deed) -> Option<Planned> {
    match *deed {
        Deed::Reset => {
            bench.cycle();
            None
        }
        Deed::Load {
            amount,
            date,
            wrong,
        } => {
            let bytes = amount.to_be_bytes();
            let begin = [
                &[0xB0, 0x28, 0x00, 0x01, 0x0B, 0x01][..],
                &bytes,
                &TERMINAL,
                &[0x00],
            ];
            let (offer, sw) = bench.send(&begin.concat()).unwrap();
            if model.balance.checked_add(amount).is_none() {
                assert_eq!(sw, Sw::CONDITIONS_NOT_MET);
                return None;
            }
            assert_eq!(sw, Sw::OK);
            let number = model.loads.to_be_bytes();
            assert_eq!(offer[..4], model.balance.to_be_bytes());
            assert_eq!(offer[4..6], number);
            let session = [&offer[8..12], &number, &[0x80, 0x00]].concat();
            let session = ciphers.load.session(&session);
            let time = time(date);
            let order = [&bytes[..], &[0x31], &TERMINAL].concat();
            assert_eq!(offer[12..], session.mac(&[&offer[..4], &order].concat()));
            let mac = session.mac(&[&order[..], &time].concat());
            let mut after = model.clone();
            let tac = (model.balance + amount).to_be_bytes();
            let tac = ciphers
                .tac
                .mac(&[&tac, &number[..], &order, &time].concat());
            let mut sent = mac;
            sent[3] ^= u8::from(wrong);
            let head = [0xB0, 0x2A, 0x00, 0x00, 0x0B];
            let command = [&head[..], &time, &sent, &[0x00]].concat();
            let answer = if wrong {
                (Vec::new(), Sw::MAC_INVALID)
            } else {
                after.load(amount, time, mac, tac);
                (tac.to_vec(), Sw::OK)
            };
            Some(Planned {
                command,
                answer,
                after,
            })
        }
        Deed::Purchase {
            amounts,
            date,
            terminal_number,
            wrong,
        } => {
            let bytes = amounts.map(u32::to_be_bytes).concat();
            let begin = [
                &[0xB0, 0x28, 0x01, 0x01, 0x13, 0x01][..],
                &bytes,
                &TERMINAL,
                &[0x00],
            ];
            let (offer, sw) = bench.send(&begin.concat()).unwrap();
            if model.balance < amounts[0] {
                assert_eq!(sw, Sw::INSUFFICIENT_AMOUNT);
                return None;
            }
            assert_eq!(sw, Sw::OK);
            let number = model.purchases.to_be_bytes();
            let told = [model.balance, model.own, model.pooled]
                .map(u32::to_be_bytes)
                .concat();
            assert_eq!(offer[..12], told);
            assert_eq!(offer[12..14], bcd(u64::from(model.year), 2));
            assert_eq!(offer[14..16], number);
            let terminal_number = terminal_number.to_be_bytes();
            let session = [&offer[18..22], &number[..], &terminal_number[2..]].concat();
            let session = ciphers.purchase.session(&session);
            let time = time(date);
            let order = [&bytes[..], &[0x32], &TERMINAL].concat();
            let mut mac1 = session.mac(&[&order[..], &time].concat());
            mac1[0] ^= u8::from(wrong);
            let head = [0xB0, 0x2C, 0x01, 0x00, 0x0F];
            let command = [&head[..], &terminal_number, &time, &mac1, &[0x00]].concat();
            let mac = session.mac(&bytes);
            let tac = ciphers
                .tac
                .mac(&[&order[..], &terminal_number, &time].concat());
            let mut after = model.clone();
            let answer = if wrong {
                (Vec::new(), Sw::MAC_INVALID)
            } else if after.purchase(amounts, date) {
                after.note(model.purchases, 0x32, time, amounts);
                after.proofs[1] = Some((model.purchases, mac, tac));
                ([tac, mac].concat(), Sw::OK)
            } else {
                after = model.clone();
                (Vec::new(), Sw::CONDITIONS_NOT_MET)
            };
            Some(Planned {
                command,
                answer,
                after,
            })
        }
    }
}

/// Does one move and holds the card against the model; whether the card still works.
fn play(bench: &mut Bench, ciphers: &Ciphers, model: &mut Model, (deed, mishap): &Move) -> bool {
    let Some(planned) = begin(bench, ciphers, model, deed) else {
        assert_eq!(bench.observe(model), *model, "{deed:?}");
        return true;
    };
    match *mishap {
        Some(Mishap::Cut(cut)) => bench.card.cut(cut),
        Some(Mishap::Wear(worn)) => bench.card.wear(worn),
        None => {}
    }
    match bench.send(&planned.command) {
        Ok((data, Sw::MEMORY_FAILURE)) => {
            let happened = bench.card.spare();
            assert!(data.is_empty() && happened, "{deed:?}, {mishap:?}");
            worn(bench, model, (deed, mishap));
            return false;
        }
        Ok(answer) => {
            assert_eq!(answer, planned.answer, "{deed:?}");
            // What is left of the mishap comes in a command of no account.
            bench.card.disarm();
            *model = planned.after;
            if matches!(mishap, Some(Mishap::Wear(_))) && bench.card.spare() {
                // They hold what was written; the next command may meet them.
                assert_eq!(bench.ok("B026000104"), model.balance.to_be_bytes());
                return false;
            }
        }
        Err(lost) => {
            assert_eq!(lost, Lost::NoPower);
            bench.cycle();
            let seen = bench.observe(&planned.after);
            if seen == planned.after {
                *model = planned.after;
            }
            assert!(
                seen == *model,
                "{deed:?}, {mishap:?}: {seen:?} is neither before nor after {model:?}"
            );
        }
    }
    assert_eq!(bench.observe(model), *model, "{deed:?}");
    true
}

/// After '6581': nothing is answered, and after power either nothing is again, or the
/// balance is that of before, if it can be asked for.
fn worn(bench: &mut Bench, model: &Model, what: (&Deed, &Option<Mishap>)) {
    assert_eq!(bench.hex("B026000104").1, Sw::NOT_SUPPORTED, "{what:?}");
    bench.card.power_on().unwrap();
    let words = [SELECT_SSSE, VERIFY, SELECT_DF04].map(|command| bench.hex(command).1);
    if words != [Sw::OK; 3] {
        let lawful = |sw: &Sw| matches!(*sw, Sw::OK | Sw::NOT_SUPPORTED | Sw::MEMORY_FAILURE);
        assert!(words.iter().all(lawful), "{what:?}: {words:?}");
        return;
    }
    let balance = bench.ok("B026000104");
    assert_eq!(balance, model.balance.to_be_bytes(), "{what:?}");
}

fn issued(name: &str) -> (Card, Issued) {
    let profile = Profile::load(name).unwrap();
    assert_eq!(profile.pin.first_change, FirstChange::Terminal);
    let mut card = Card::manufacture(&ROM, 5);
    let issued = issue(&mut card, &profile, 5).unwrap();
    (card, issued)
}

fn ciphers(issued: &Issued, sm4: bool) -> Ciphers {
    let key = |name: &str| issued.keys().key(name, 1).unwrap();
    Ciphers {
        load: Bare::base(key("DLK"), sm4),
        purchase: Bare::base(key("DPK1"), sm4),
        tac: Bare::tac(key("DTK"), sm4),
    }
}

/// So many sequences of moves, each on a card as it was issued.
fn sequences(name: &str, sm4: bool, cases: u32) {
    let (card, issued) = issued(name);
    let ciphers = ciphers(&issued, sm4);
    let card = std::cell::RefCell::new(card);
    let config = Config {
        cases,
        failure_persistence: None,
        ..Config::default()
    };
    TestRunner::new(config)
        .run(&moves(), |moves| {
            let mut bench = Bench {
                card: card.borrow_mut().fork(),
                channel: 0,
            };
            bench.cycle();
            let mut model = Model::new();
            for step in &moves {
                if !play(&mut bench, &ciphers, &mut model, step) {
                    break;
                }
            }
            Ok(())
        })
        .unwrap();
}

#[test]
fn in_10_000_random_sequences_a_3des_account_is_what_the_model_says() {
    sequences("national-2.0", false, 10_000);
}

#[test]
fn in_10_000_random_sequences_an_sm4_account_is_what_the_model_says() {
    sequences("national-3.0", true, 10_000);
}

impl tear::Bench for Bench {
    fn copy(&mut self) -> Option<Self> {
        Some(Bench {
            card: self.card.fork(),
            channel: self.channel,
        })
    }

    fn card(&mut self) -> Option<&mut dyn Tearable> {
        Some(&mut self.card)
    }
}

/// Cuts the power at every write of a command and of its recovery, in every way: memory
/// is as before or as after. How many cuts there were.
fn sweep(bench: &mut Bench, what: &str, command: &[u8]) -> u64 {
    let mut work = |bench: &mut Bench| drop(bench.card.transmit(command, &mut Vec::new()));
    let mut whole = bench.card.fork();
    whole.transmit(command, &mut Vec::new()).unwrap();
    let lawful = [bench.card.contents(), whole.contents()];
    let total = tear::writes_of(bench, work);
    assert!(total > 0, "{what} writes nothing");
    let mut swept = 0;
    let mut judge = |after: After<'_, Bench>| {
        assert!(after.back.is_ok(), "{what}, {:?}", after.cuts);
        let found = after.bench.card.contents();
        assert!(lawful.contains(&found), "{what}, {:?}", after.cuts);
        swept += 1;
        ControlFlow::<()>::Continue(())
    };
    assert!(tear::sweep(bench, total, 1, &mut work, &mut judge).is_continue());
    println!("{what}: {swept} cuts");
    swept
}

/// The right of a key, got by the terminal's module.
fn authenticate(bench: &mut Bench, issued: &Issued, key: &str) {
    let sw = issued.psam(3).external_auth(&mut bench.card, key, None);
    assert_eq!(sw, Ok(Sw::OK));
}

#[test]
fn every_writing_medical_command_is_whole_or_not_wherever_power_goes() {
    let mut swept = 0;
    for (name, sm4) in [("national-2.0", false), ("national-3.0", true)] {
        let (card, issued) = issued(name);
        let ciphers = ciphers(&issued, sm4);
        let mut bench = Bench { card, channel: 0 };
        bench.cycle();
        let mut model = Model::new();
        let load = |amount| Deed::Load {
            amount,
            date: 20_260_102,
            wrong: false,
        };
        let purchase = |account| Deed::Purchase {
            amounts: [account, 20, 30],
            date: 20_260_103,
            terminal_number: 7,
            wrong: false,
        };
        let begin_load = hex::decode("B02800010B010000000141160000000200").unwrap();
        swept += sweep(&mut bench, "INITIALIZE FOR LOAD", &begin_load);
        // On empty details, and where the oldest falls out.
        for round in 0..2 {
            let planned = begin(&mut bench, &ciphers, &model, &load(1000)).unwrap();
            swept += sweep(&mut bench, "CREDIT FOR LOAD", &planned.command);
            play(&mut bench, &ciphers, &mut model, &(load(1000), None));
            let begin_purchase = format!("B028010113 01{}41160000000200", "00".repeat(12));
            let begin_purchase = hex::decode(begin_purchase.replace(' ', "")).unwrap();
            swept += sweep(&mut bench, "INITIALIZE FOR PURCHASE", &begin_purchase);
            let planned = begin(&mut bench, &ciphers, &model, &purchase(100)).unwrap();
            swept += sweep(&mut bench, "DEBIT FOR PURCHASE", &planned.command);
            for _ in 0..DETAILS_MAX * (1 - round) {
                play(&mut bench, &ciphers, &mut model, &(purchase(1), None));
            }
        }
        authenticate(&mut bench, &issued, "DSK");
        let day = hex::decode("B0560000020401").unwrap();
        swept += sweep(&mut bench, "UPDATE STARTING DAY", &day);
        authenticate(&mut bench, &issued, "MKDF04");
        let account = hex::decode(format!("80D4110014{}20260401", "01".repeat(16))).unwrap();
        swept += sweep(&mut bench, "WRITE ACCOUNT", &account);
    }
    println!("{swept} cuts in all");
}

#[test]
fn a_transaction_on_another_channel_makes_this_one_void() {
    let (card, issued) = issued("national-3.0");
    let ciphers = ciphers(&issued, true);
    let mut bench = Bench { card, channel: 0 };
    bench.cycle();
    let mut model = Model::new();
    bench.ok("0070000001");
    bench.channel = 1;
    bench.ok(SELECT_SSSE);
    bench.ok(SELECT_DF04);
    let load = Deed::Load {
        amount: 10,
        date: 20_260_102,
        wrong: false,
    };
    let purchase = Deed::Purchase {
        amounts: [1, 2, 3],
        date: 20_260_102,
        terminal_number: 4,
        wrong: false,
    };
    for deed in [load, purchase] {
        bench.channel = 0;
        let planned = begin(&mut bench, &ciphers, &model, &deed).unwrap();
        bench.channel = 1;
        // What was begun on one channel is not begun on the other.
        assert_eq!(
            bench.send(&planned.command).unwrap().1,
            Sw::COMMAND_NOT_ACCEPTED
        );
        play(&mut bench, &ciphers, &mut model, &(deed.clone(), None));
        bench.channel = 0;
        assert_eq!(
            bench.send(&planned.command).unwrap().1,
            Sw::CONDITIONS_NOT_MET
        );
        assert_eq!(bench.observe(&model), model);
        play(&mut bench, &ciphers, &mut model, &(deed, None));
    }
}
