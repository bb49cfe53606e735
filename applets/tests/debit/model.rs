//! The bank applet against a small model, over random transactions and cuts.
//!
//! The terminal asks for either set of keys as it likes, which changes no decision; every
//! signature is checked.
//!
//! The model knows the rules of the specification and nothing of the card: it predicts
//! every cryptogram's information, verification results and balance, and every status
//! word. After a loss of power it holds every state that may be there, and lets go of
//! those that an answer contradicts; one must be left.

use crate::support::{
    Bench, Deal, PROVE, Recipe, SELECT, VERIFY, VERIFY_WRONG, bytes, rsa, signature, signed_by_sm2,
};
use cardlab::crypto::Sha1;
use cardlab::icc::Icc;
use cardlab::memory::{Cut, Ending};
use cardlab::{tag, tlv};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_oneof, proptest};
use proptest::sample::select;

const BALANCE_LIMIT: u64 = 9_000;
const SINGLE_LIMIT: u64 = 700;
const SUM_LIMIT: u64 = 2_000;
const SUM_UPPER: u64 = 3_000;
const LOWER: u16 = 4;
const UPPER: u16 = 7;
const FOREIGN: u8 = 2;
/// Beside what is asked for: with a signature.
const CDA: u8 = 0x10;

/// What the card's issuer chose.
#[derive(Clone, Copy, Debug)]
struct Chosen {
    /// Application default action.
    action: u16,
    mandatory: bool,
}

impl Chosen {
    /// Whether a bit of the default action is set: byte 1 or 2, bit 8 to 1.
    fn says(self, byte: u8, bit: u8) -> bool {
        let byte = self.action.to_be_bytes()[usize::from(byte) - 1];
        byte >> (bit - 1) & 1 == 1
    }
}

/// What a card may remember.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Memory {
    atc: u16,
    last_online: u16,
    tries: u8,
    blocked: bool,
    pending: bool,
    issuer_failed: bool,
    script_failed: bool,
    scripts: u8,
    sda_failed: bool,
    dda_failed: bool,
    sum: u64,
    balance: u64,
    foreign_currency: u8,
    foreign_country: u8,
}

/// A transaction as the model sees it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Now {
    cash: bool,
    cvr: [u8; 3],
    exhausted: bool,
    told: bool,
    authenticated: Option<bool>,
    approves: bool,
    closed: bool,
    script_failed: bool,
    stage: Stage,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Selected,
    Begun,
    Proven,
    Online,
    Completed,
    Over,
}

#[derive(Clone, Debug, PartialEq, Eq)]
struct State {
    memory: Memory,
    now: Now,
}

/// What is asked of the card.
#[derive(Clone, Copy, Debug)]
enum Step {
    Select,
    Begin,
    Prove,
    Verify(bool),
    First(u8),
    Authenticate { right: bool, code: &'static str },
    Second { p1: u8, code: &'static str },
    Script(Script),
}

#[derive(Clone, Copy, Debug)]
enum Script {
    Load(u64),
    WrongMac,
    NoMac,
    Block,
    Unblock,
    UnblockPin,
}

/// What the card answers, as far as the model can tell.
#[derive(Clone, Debug, PartialEq, Eq)]
enum Answer {
    Sw(u16),
    Options {
        cash: bool,
    },
    Proof,
    Ac {
        signed: bool,
        cid: u8,
        cvr: [u8; 3],
        balance: u64,
    },
}

fn new_now() -> Now {
    Now {
        cash: false,
        cvr: [0; 3],
        exhausted: false,
        told: false,
        authenticated: None,
        approves: false,
        closed: false,
        script_failed: false,
        stage: Stage::Selected,
    }
}

impl State {
    /// The answer, the state after it, and the states that a loss of power can leave on
    /// the way there.
    fn step(&self, chosen: Chosen, deal: &Deal, step: Step) -> (Answer, State, Vec<Memory>) {
        let mut next = self.clone();
        let mut on_the_way = Vec::new();
        let answer = match step {
            Step::Select => {
                next.now = new_now();
                Answer::Sw(if self.memory.blocked { 0x6283 } else { 0x9000 })
            }
            Step::Begin => {
                next.memory.atc += 1;
                next.now.stage = Stage::Begun;
                next.now.cash = deal.cash
                    && deal.currency == "0156"
                    && deal.amount <= self.memory.balance
                    && deal.amount <= SINGLE_LIMIT
                    && !self.memory.issuer_failed
                    && !self.memory.script_failed
                    && self.memory.tries > 0;
                Answer::Options {
                    cash: next.now.cash,
                }
            }
            Step::Prove => {
                if self.now.stage == Stage::Begun && !self.memory.blocked {
                    next.now.stage = Stage::Proven;
                    next.now.cvr[2] |= 0x02;
                    Answer::Proof
                } else {
                    Answer::Sw(0x6985)
                }
            }
            Step::Verify(right) => {
                next.now.cvr[0] |= 0x04;
                if self.memory.tries == 0 {
                    next.now.cvr[0] |= 0x02;
                    next.now.told = true;
                    let again = self.now.told || self.now.exhausted;
                    Answer::Sw(if again { 0x6983 } else { 0x6984 })
                } else if right {
                    let mut taken = self.memory.clone();
                    taken.tries -= 1;
                    if taken.tries == 0 && chosen.says(2, 8) {
                        taken.blocked = true;
                    }
                    on_the_way.push(taken);
                    next.memory.tries = 3;
                    next.now.cvr[0] &= !0x02;
                    Answer::Sw(0x9000)
                } else {
                    next.memory.tries -= 1;
                    next.now.cvr[0] |= 0x02;
                    if next.memory.tries == 0 {
                        next.now.exhausted = true;
                        next.now.cvr[1] |= 0x40;
                        if chosen.says(2, 8) {
                            next.now.cvr[1] |= 0x02;
                            next.memory.blocked = true;
                        }
                    }
                    Answer::Sw(0x63C0 + u16::from(next.memory.tries))
                }
            }
            Step::First(p1) => next.first(chosen, deal, p1),
            Step::Authenticate { right, code } => {
                let due = self.now.stage == Stage::Online;
                if !due || self.now.authenticated.is_some() {
                    next.memory.issuer_failed = true;
                    if due {
                        next.now.authenticated = Some(false);
                    }
                    Answer::Sw(0x6985)
                } else if right {
                    next.memory.issuer_failed = false;
                    next.now.authenticated = Some(true);
                    next.now.approves = approves(code);
                    Answer::Sw(0x9000)
                } else {
                    next.memory.issuer_failed = true;
                    next.now.authenticated = Some(false);
                    Answer::Sw(0x6300)
                }
            }
            Step::Second { p1, code } => {
                if self.now.stage == Stage::Online {
                    let answer = next.second(chosen, deal, p1, code);
                    if next.memory.issuer_failed {
                        let mut marked = self.memory.clone();
                        marked.issuer_failed = true;
                        on_the_way.push(marked);
                    }
                    answer
                } else {
                    Answer::Sw(0x6985)
                }
            }
            Step::Script(script) => next.script(script, &mut on_the_way),
        };
        (answer, next, on_the_way)
    }

    fn pin_blocked_before(&self) -> bool {
        self.memory.tries == 0 && !self.now.exhausted
    }

    /// A cryptogram, signed where that was asked for and it is no decline.
    fn ac(&mut self, p1: u8, cid: u8) -> Answer {
        let signed = p1 & CDA != 0 && cid & 0xC0 != 0;
        if signed {
            self.now.cvr[2] |= 0x02;
        }
        Answer::Ac {
            signed,
            cid,
            cvr: self.now.cvr,
            balance: self.memory.balance,
        }
    }

    /// Advice of a decline.
    fn decline(&self, chosen: Chosen, for_issuer: bool) -> u8 {
        let mut cid = 0;
        if chosen.says(1, 5) {
            cid |= 0x08;
        }
        if for_issuer && chosen.says(1, 3) {
            cid |= 0x0B;
        } else if self.now.exhausted && chosen.says(1, 4) {
            cid |= 0x0A;
        }
        cid
    }

    fn first(&mut self, chosen: Chosen, deal: &Deal, p1: u8) -> Answer {
        if !matches!(self.now.stage, Stage::Begun | Stage::Proven) {
            return Answer::Sw(0x6985);
        }
        let is_foreign = deal.currency != "0156";
        let is_abroad = deal.country != "0156";
        if self.memory.sda_failed {
            self.now.cvr[1] |= 0x01;
        }
        if self.memory.dda_failed {
            self.now.cvr[2] |= 0x04;
        }
        let mut answer = p1 & !CDA;
        if self.now.cash {
            if self.memory.blocked {
                answer = 0x00;
            }
        } else {
            let mut online = false;
            let mut decline = self.memory.blocked;
            if self.memory.pending {
                self.now.cvr[1] |= 0x80;
                online = true;
            }
            if self.memory.issuer_failed {
                self.now.cvr[1] |= 0x08;
                online |= chosen.says(1, 8);
            }
            self.now.cvr[2] |= self.memory.scripts.min(15) << 4;
            if self.memory.script_failed {
                self.now.cvr[2] |= 0x08;
                online |= chosen.says(2, 4);
            }
            let velocity = self.memory.atc - self.memory.last_online > LOWER
                || is_foreign && self.memory.foreign_currency + 1 > FOREIGN
                || is_abroad && self.memory.foreign_country + 1 > FOREIGN
                || !is_foreign && self.memory.sum + deal.amount > SUM_LIMIT;
            if velocity {
                self.now.cvr[1] |= 0x20;
                online = true;
            }
            if self.memory.last_online == 0 {
                self.now.cvr[1] |= 0x10;
                online |= chosen.says(1, 2);
            }
            if self.pin_blocked_before() {
                self.now.cvr[1] |= 0x40;
                online |= chosen.says(2, 6);
                decline |= chosen.says(2, 7) || chosen.says(2, 3);
                if chosen.says(2, 3) {
                    self.now.cvr[1] |= 0x02;
                    self.memory.blocked = true;
                }
            }
            if decline {
                answer = 0x00;
            } else if answer == 0x40 && online {
                answer = 0x80;
            }
        }
        self.now.cvr[0] |= 0x80;
        match answer {
            0x80 => {
                self.now.cvr[0] |= 0x20;
                self.memory.pending = true;
                self.now.stage = Stage::Online;
            }
            0x40 => {
                self.now.cvr[0] |= 0x10;
                self.now.stage = Stage::Over;
                if self.now.cash {
                    self.memory.balance -= deal.amount;
                } else {
                    self.memory.pending = false;
                    self.count(deal, true);
                }
            }
            _ => {
                self.now.stage = Stage::Over;
                if !self.now.cash {
                    self.count(deal, false);
                }
                self.remember(deal);
                let cid = self.decline(chosen, false);
                return self.ac(p1, cid);
            }
        }
        self.ac(p1, answer)
    }

    fn count(&mut self, deal: &Deal, approved: bool) {
        if deal.currency != "0156" {
            self.memory.foreign_currency += 1;
        } else if approved {
            self.memory.sum += deal.amount;
        }
        if deal.country != "0156" {
            self.memory.foreign_country += 1;
        }
    }

    fn remember(&mut self, deal: &Deal) {
        self.memory.sda_failed |= deal.results.starts_with('4');
        self.memory.dda_failed |= deal.results.starts_with("08");
    }

    fn second(&mut self, chosen: Chosen, deal: &Deal, p1: u8, code: &str) -> Answer {
        self.now.stage = Stage::Completed;
        self.now.cvr[0] &= 0x3F;
        let asks = p1 & !CDA == 0x40;
        let (approved, for_issuer);
        if matches!(code, "5933" | "5A33") {
            self.now.cvr[0] |= 0x01;
            let velocity = self.memory.atc - self.memory.last_online > UPPER
                || deal.currency == "0156" && self.memory.sum + deal.amount > SUM_UPPER;
            if velocity {
                self.now.cvr[1] |= 0x20;
            }
            let decline = self.memory.blocked
                || velocity
                || self.memory.last_online == 0 && chosen.says(1, 1)
                || self.pin_blocked_before() && chosen.says(2, 5);
            (approved, for_issuer) = (asks && !decline, false);
            if approved {
                self.count(deal, true);
            }
        } else {
            let mut good = approves(code);
            let (satisfied, against) = match self.now.authenticated {
                Some(true) => {
                    good &= self.now.approves;
                    (true, false)
                }
                Some(false) => {
                    self.now.cvr[0] |= 0x08;
                    (false, chosen.says(1, 7))
                }
                None => {
                    self.now.cvr[1] |= 0x04;
                    if chosen.mandatory {
                        self.memory.issuer_failed = true;
                    }
                    (!chosen.mandatory, chosen.mandatory && chosen.says(1, 6))
                }
            };
            let decline = self.memory.blocked || !good || against;
            approved = asks && !decline;
            for_issuer = against && good && !self.memory.blocked;
            if satisfied {
                self.memory.pending = false;
                self.memory.sda_failed = false;
                self.memory.dda_failed = false;
                self.memory.scripts = 0;
                self.memory.script_failed &= self.now.script_failed;
                if approved {
                    self.memory.sum = 0;
                    self.memory.foreign_currency = 0;
                    self.memory.foreign_country = 0;
                    self.memory.last_online = self.memory.atc;
                }
            }
        }
        if approved {
            self.now.cvr[0] |= 0x40;
            return self.ac(p1, 0x40);
        }
        self.remember(deal);
        let cid = self.decline(chosen, for_issuer);
        self.ac(p1, cid)
    }

    fn script(&mut self, script: Script, on_the_way: &mut Vec<Memory>) -> Answer {
        let unblocks = matches!(script, Script::Unblock | Script::UnblockPin);
        let in_time = match self.now.stage {
            Stage::Online | Stage::Completed => true,
            Stage::Over => unblocks && (self.memory.blocked || self.memory.tries == 0),
            Stage::Selected | Stage::Begun | Stage::Proven => false,
        };
        if !in_time || self.now.closed || self.now.authenticated == Some(false) {
            return Answer::Sw(0x6985);
        }
        if !matches!(script, Script::NoMac) && self.now.stage == Stage::Completed {
            self.memory.scripts = self.memory.scripts.saturating_add(1);
            on_the_way.push(self.memory.clone());
        }
        let sw = match script {
            Script::Load(balance) if balance > BALANCE_LIMIT => 0x6A80,
            Script::Load(balance) => {
                self.memory.balance = balance;
                0x9000
            }
            Script::WrongMac => {
                self.now.closed = true;
                0x6988
            }
            Script::NoMac => 0x6700,
            Script::Block => {
                self.memory.blocked = true;
                0x9000
            }
            Script::Unblock => {
                self.memory.blocked = false;
                0x9000
            }
            Script::UnblockPin => {
                self.memory.tries = 3;
                0x9000
            }
        };
        if sw != 0x9000 {
            self.memory.script_failed = true;
            self.now.script_failed = true;
        }
        Answer::Sw(sw)
    }
}

/// Looks whether a signature is the card's in the set that the terminal asked for.
fn prove(signed: &[u8], deal: &Deal) {
    if deal.sm {
        signed_by_sm2(signed, "D64B8587");
    } else {
        let recovered = rsa().apply(signed).expect("a number");
        assert_eq!((recovered[0], recovered[127]), (0x6A, 0xBC));
        let hash = Sha1::new()
            .chain(&recovered[1..107])
            .chain(&bytes("D64B8587"));
        assert_eq!(recovered[107..127], hash.finish());
    }
}

fn approves(code: &str) -> bool {
    matches!(code, "3030" | "3130" | "3131" | "3031" | "3032" | "5931")
}

/// The card, and every state that it may be in.
struct Pair {
    bench: Bench,
    chosen: Chosen,
    states: Vec<State>,
}

impl Pair {
    fn new(chosen: Chosen) -> Pair {
        let recipe = Recipe::new()
            .with_sm2()
            .with("9F52", &format!("{:04X}", chosen.action))
            .with("9F56", if chosen.mandatory { "80" } else { "00" })
            .with("9F58", &format!("{LOWER:02X}"))
            .with("9F59", &format!("{UPPER:02X}"))
            .with("9F53", &format!("{FOREIGN:02X}"))
            .with("9F72", &format!("{FOREIGN:02X}"))
            .with("9F54", &format!("{SUM_LIMIT:012}"))
            .with("9F5C", &format!("{SUM_UPPER:012}"))
            .with("9F77", &format!("{BALANCE_LIMIT:012}"))
            .with("9F78", &format!("{SINGLE_LIMIT:012}"))
            .with("9F79", &format!("{:012}", 5_000));
        let memory = Memory {
            atc: 0,
            last_online: 0,
            tries: 3,
            blocked: false,
            pending: false,
            issuer_failed: false,
            script_failed: false,
            scripts: 0,
            sda_failed: false,
            dda_failed: false,
            sum: 0,
            balance: 5_000,
            foreign_currency: 0,
            foreign_country: 0,
        };
        Pair {
            bench: Bench::new(&recipe),
            chosen,
            states: vec![State {
                memory,
                now: new_now(),
            }],
        }
    }

    fn command(&self, deal: &Deal, step: Step) -> Vec<u8> {
        let wrong = |mut command: Vec<u8>| {
            if let Some(last) = command.last_mut() {
                *last ^= 1;
            }
            command
        };
        let sealed = |header: &str, data: &str| match &self.bench.first {
            Some(_) => self.bench.sealed(header, &bytes(data)),
            None => bytes(&format!(
                "{header} {:02X} {data} 00000000",
                data.len() / 2 + 4
            )),
        };
        match step {
            Step::Select => bytes(SELECT),
            Step::Begin => bytes(&self.bench.begins(deal)),
            Step::Prove => bytes(PROVE),
            Step::Verify(true) => bytes(VERIFY),
            Step::Verify(false) => bytes(VERIFY_WRONG),
            Step::First(p1) => bytes(&format!("80AE{p1:02X}00 34 {} 00", deal.cdol1())),
            Step::Authenticate { right, code } => {
                let mut arpc = [0; 8];
                if let Some(first) = &self.bench.first {
                    arpc = crate::support::arpc(first, code);
                }
                arpc[0] ^= u8::from(!right);
                bytes(&format!("00820000 0A {} {code}", hex::encode(arpc)))
            }
            Step::Second { p1, code } => {
                bytes(&format!("80AE{p1:02X}00 22 {} 00", deal.cdol2(code)))
            }
            Step::Script(script) => match script {
                Script::Load(balance) => sealed("04DA9F79", &format!("{balance:012}")),
                Script::WrongMac => wrong(sealed("04DA9F79", "000000009000")),
                Script::NoMac => bytes("04DA9F79 06 000000009000"),
                Script::Block => sealed("841E0000", ""),
                Script::Unblock => sealed("84180000", ""),
                Script::UnblockPin => sealed("84240000", ""),
            },
        }
    }

    fn step(&mut self, deal: &Deal, step: Step, cut: Option<Cut>) {
        let command = self.command(deal, step);
        if let Some(cut) = cut {
            self.bench.card.cut(cut);
        }
        let mut answer = Vec::new();
        let answered = self.bench.card.transmit(&command, &mut answer);
        let predicted = |state: &State| state.step(self.chosen, deal, step);
        if answered.is_err() {
            // Power is gone, the transaction with it; what was written may be all, some
            // of what is written at once, or nothing.
            let mut states: Vec<State> = Vec::new();
            for state in &self.states {
                let (_, after, on_the_way) = predicted(state);
                let memories = [state.memory.clone(), after.memory].into_iter();
                for memory in memories.chain(on_the_way) {
                    let state = State {
                        memory,
                        now: new_now(),
                    };
                    if !states.contains(&state) {
                        states.push(state);
                    }
                }
            }
            self.states = states;
            return self.restart();
        }
        let sw = answer.split_off(answer.len() - 2);
        let sw = u16::from_be_bytes([sw[0], sw[1]]);
        let found = match step {
            Step::Begin if sw == 0x9000 => Answer::Options {
                cash: answer.len() > 16,
            },
            Step::Prove if sw == 0x9000 => {
                let signed = tlv::find(&answer, &[tag!(0x80)]).expect("an object");
                prove(signed.expect("the template"), deal);
                Answer::Proof
            }
            Step::First(_) | Step::Second { .. } if sw == 0x9000 => {
                if answer[0] == 0x77 {
                    prove(&signature(&answer), deal);
                }
                let ac = self
                    .bench
                    .take_ac(&answer, deal, matches!(step, Step::First(_)));
                let digits = hex::encode(&ac.issuer[10..15]);
                Answer::Ac {
                    signed: answer[0] == 0x77,
                    cid: ac.cid,
                    cvr: ac.issuer[4..7].try_into().expect("3 bytes"),
                    balance: digits.parse().expect("decimal digits"),
                }
            }
            _ => Answer::Sw(sw),
        };
        let states: Vec<State> = self
            .states
            .iter()
            .filter_map(|state| {
                let (answer, after, _) = predicted(state);
                (answer == found).then_some(after)
            })
            .collect();
        assert!(
            !states.is_empty(),
            "{step:?} was answered {found:02X?}, and not as any of {:02X?}",
            self.states
        );
        self.states = states;
        if cut.is_some() {
            self.restart();
        }
    }

    /// Takes the power away, if it is not gone, and gives it back; a cut still armed can
    /// hit the recovery.
    fn restart(&mut self) {
        while self.bench.card.power_on().is_err() {}
        for state in &mut self.states {
            state.now = new_now();
        }
    }
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let codes = select(vec!["3030", "3030", "3130", "3035", "5933", "5A33", "5931"]);
    let pins = prop_oneof![
        5 => select(vec![vec![], vec![true]]),
        1 => prop::collection::vec(prop::bool::weighted(0.3), 1..5),
    ];
    let script = prop_oneof![
        4 => (0..10_000u64).prop_map(Script::Load),
        1 => select(vec![Script::WrongMac, Script::NoMac, Script::Block]),
        3 => select(vec![Script::Unblock, Script::UnblockPin]),
    ];
    let scripts = prop_oneof![
        2 => Just(Vec::new()),
        1 => prop::collection::vec(script, 1..3),
    ];
    let asked = select(vec![0x00, 0x40, 0x40, 0x40 | CDA, 0x80, 0x80, 0x80 | CDA]);
    let authentication = prop_oneof![
        4 => select(vec![vec![true]]),
        1 => select(vec![vec![], vec![false], vec![true, true]]),
    ];
    let second = select(vec![0x40, 0x40, 0x40 | CDA, 0x00]);
    (
        (pins, prop::bool::weighted(0.2)),
        asked,
        authentication,
        codes.clone(),
        prop::bool::weighted(0.9),
        codes,
        second,
        scripts.clone(),
        scripts,
        prop::bool::weighted(0.9),
    )
        .prop_map(
            |(
                (pins, proves),
                asked,
                authentication,
                code,
                same,
                other,
                second,
                early,
                late,
                finishes,
            )| {
                let mut steps = vec![Step::Select, Step::Begin];
                steps.extend(proves.then_some(Step::Prove));
                steps.extend(pins.into_iter().map(Step::Verify));
                steps.push(Step::First(asked));
                if finishes {
                    steps.extend(early.into_iter().map(Step::Script));
                    steps.extend(
                        authentication
                            .into_iter()
                            .map(|right| Step::Authenticate { right, code }),
                    );
                    let code = if same { code } else { other };
                    steps.push(Step::Second { p1: second, code });
                    steps.extend(late.into_iter().map(Step::Script));
                }
                steps
            },
        )
}

fn deals() -> impl Strategy<Value = Deal> {
    (
        0..900u64,
        any::<bool>(),
        select(vec!["0156", "0156", "0156", "0840"]),
        select(vec!["0156", "0156", "0156", "0840"]),
        select(vec!["0000040000", "0000040000", "4000000000", "0800000000"]),
        any::<bool>(),
    )
        .prop_map(|(amount, cash, currency, country, results, sm)| Deal {
            amount,
            cash,
            currency,
            country,
            results,
            sm,
        })
}

/// Power goes in the step of this number, at this write of it.
fn cuts() -> impl Strategy<Value = Option<(usize, Cut)>> {
    let cut = (0..12usize, 0..14u64, select(Ending::ALL.to_vec())).prop_map(
        |(step, after_writes, ending)| {
            let cut = Cut {
                after_writes,
                ending,
            };
            (step, cut)
        },
    );
    prop_oneof![4 => Just(None), 1 => cut.prop_map(Some)]
}

/// Transactions in a row on one card; with `PROPTEST_CASES=2000` they are 100,000.
const ROW: usize = 50;

/// What a terminal tells, what it asks, and in which step power goes.
type Drawn = (Deal, Vec<Step>, Option<(usize, Cut)>);

fn run(action: u16, mandatory: bool, transactions: &[Drawn]) {
    let mut pair = Pair::new(Chosen { action, mandatory });
    let mut highest = 0;
    for (deal, steps, cut) in transactions {
        for (number, step) in steps.iter().enumerate() {
            let cut = cut.and_then(|(at, cut)| (at == number).then_some(cut));
            pair.step(deal, *step, cut);
            if cut.is_some() {
                break;
            }
        }
        let lowest = pair.states.iter().map(|state| state.memory.atc).min();
        assert!(lowest >= Some(highest), "the counter went down");
        highest = lowest.expect("a state is left");
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        max_shrink_iters: 4_000,
        ..ProptestConfig::default()
    })]

    #[test]
    fn random_transactions_and_cuts_go_as_the_model_says(
        action in prop_oneof![any::<u16>(), Just(0xC000), Just(0x2000)],
        mandatory: bool,
        transactions in prop::collection::vec((deals(), steps(), cuts()), ROW),
    ) {
        run(action, mandatory, &transactions);
    }
}
