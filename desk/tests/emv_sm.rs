//! The terminal's kernel and a card of ours that has the SM set.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod bankcard;

use bankcard::{ACCOUNT, PIN, application, bank, card};
use cardlab::apdu::{Command, Sw};
use cardlab::crypto::Algorithm;
use cardlab::fen::Fen;
use cardlab::icc::{Icc, Lost};
use cardlab::link::t0::T0;
use cardlab::link::t1::{Parameters, T1};
use cardlab::os::Card;
use cardlab::tag;
use cardlab::tlv::{Tag, Writer, find};
use cardlab_desk::bank::application::{
    Application, Authentication, Cash, Grouping, STARTS_INACTIVE,
};
use cardlab_desk::bank::authority::Subject;
use cardlab_desk::bank::authority_sm2::{certify_card, certify_issuer};
use cardlab_desk::bank::host::{Bank, Cvr, Reason, Request, Scripts, State, TYPE_CASH_LOAD};
use cardlab_desk::bank::key::Keys;
use cardlab_desk::bank::sm2::{Sm2Pair, Whose};
use cardlab_desk::emv::{
    Answer, End, Finding, Holder, Host, OutOfReach, Outcome, Sale, Terminal, activate, pay,
};
use cardlab_desk::wire::exchange;
use proptest::prelude::{ProptestConfig, Strategy, any, prop, prop_assert_eq, proptest};

const APPROVED_OFFLINE: End = End::Approved { online: false };
const APPROVED_ONLINE: End = End::Approved { online: true };
const DECLINED_OFFLINE: End = End::Declined { online: false };
const DECLINED_ONLINE: End = End::Declined { online: true };
/// The switch that puts the terminal's data into what is sent.
const NUMBER_WITHIN: u16 = 0x0040;
/// Capabilities of a terminal: which authentication, what it is called, what fails.
const WAYS: [(u8, &str, Finding); 3] = [
    (0x80, "SDA by SM2", Finding::StaticFailed),
    (0x40, "DDA by SM2", Finding::DynamicFailed),
    (0x08, "CDA by SM2", Finding::CombinedFailed),
];

/// An application with the SM set, the terminal's data outside of what is sent.
fn ordered() -> Application {
    Application {
        sm_algorithms: true,
        ..application()
    }
}

/// The same with either form of what the card signs.
fn forms() -> [Application; 2] {
    [0, NUMBER_WITHIN].map(|switches| Application {
        switches,
        ..ordered()
    })
}

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

/// A sale for which the merchant asks the bank.
fn online_sale(fen: u32) -> Sale {
    Sale {
        online: true,
        ..sale(fen)
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
    fn of(application: &Application) -> Bench {
        Bench {
            icc: card(application),
            bank: bank(application),
            terminal: Terminal::of_a_merchant().with_sm(),
            holder: Holder::with_pin(PIN),
        }
    }

    fn through<J>(self, around: impl FnOnce(Card) -> J) -> Bench<J> {
        Bench {
            icc: around(self.icc),
            bank: self.bank,
            terminal: self.terminal,
            holder: self.holder,
        }
    }
}

impl<I: Icc> Bench<I> {
    /// With this way to authenticate alone.
    fn by(mut self, capability: u8) -> Bench<I> {
        self.terminal.capabilities[2] = capability;
        self
    }

    fn offline(mut self) -> Bench<I> {
        self.terminal = self.terminal.offline_only();
        self
    }

    fn pay(&mut self, sale: &Sale) -> Outcome {
        let Bench {
            icc,
            bank,
            terminal,
            holder,
        } = self;
        pay(icc, terminal, sale, holder, bank)
    }

    fn pay_with(&mut self, sale: &Sale, host: &mut dyn Host) -> Outcome {
        pay(&mut self.icc, &self.terminal, sale, &self.holder, host)
    }

    fn balance(&self) -> u32 {
        self.bank.account(ACCOUNT).unwrap().balance.count()
    }
}

fn story(outcome: &Outcome) -> String {
    let lines = outcome
        .steps
        .iter()
        .map(|step| format!("\n  {:?}: {} {}", step.phase, step.en, step.zh));
    lines.collect()
}

fn said(outcome: &Outcome, words: &str) -> bool {
    outcome
        .steps
        .iter()
        .any(|step| step.en.contains(words) || step.zh.contains(words))
}

#[track_caller]
fn says(outcome: &Outcome, words: &str) {
    assert!(said(outcome, words), "{words}: {}", story(outcome));
}

/// Ended so, by SM2 and SM4 throughout.
#[track_caller]
fn ended(outcome: &Outcome, end: &End, authentication: &str) {
    assert_eq!(outcome.end, *end, "{}", story(outcome));
    says(outcome, "the card has the SM set");
    says(outcome, authentication);
    says(outcome, "by SM4");
    for made in [&outcome.first, &outcome.second].into_iter().flatten() {
        assert_eq!(made.issuer().unwrap().algorithm, Algorithm::Sm4);
    }
}

fn cvr(outcome: &Outcome) -> String {
    let last = outcome.second.as_ref().or(outcome.first.as_ref());
    let Cvr(bytes) = last.unwrap().issuer().unwrap().cvr;
    hex::encode_upper(bytes)
}

#[test]
fn a_card_is_authenticated_by_sm2_and_approved_off_line() {
    for ordered in forms() {
        for (capability, words, _) in WAYS {
            let mut bench = Bench::of(&ordered).by(capability).offline();
            let outcome = bench.pay(&sale(1_234));
            ended(&outcome, &APPROVED_OFFLINE, words);
            let tvr = if capability == 0x80 { "02" } else { "00" };
            assert_eq!(outcome.tvr.to_string(), format!("{tvr}08000000"));
            assert_eq!(outcome.tsi.to_string(), "E800");
            let proven = if capability == 0x80 { "00" } else { "02" };
            assert_eq!(cvr(&outcome), format!("9410{proven}"));
            for (index, step) in outcome.steps.iter().enumerate() {
                assert!(step.en.is_ascii(), "{index}: {}", step.en);
                assert!(!step.zh.is_ascii(), "{index}: {}", step.zh);
            }
            says(&outcome, "国密算法集");
            says(&outcome, "SM4算法");
        }
    }
}

#[test]
fn what_a_card_is_issued_with_decides_what_of_sm2_there_is() {
    for (authentication, words) in [
        (Authentication::Static, WAYS[0].1),
        (Authentication::Dynamic, WAYS[1].1),
        (Authentication::Combined, WAYS[2].1),
    ] {
        let ordered = Application {
            authentication,
            ..ordered()
        };
        let mut bench = Bench::of(&ordered);
        ended(&bench.pay(&sale(1_234)), &APPROVED_ONLINE, words);
        ended(&bench.pay(&sale(1_234)), &APPROVED_OFFLINE, words);
    }
}

#[test]
fn the_bank_is_asked_answers_and_is_known_by_its_answer() {
    for ordered in forms() {
        for (capability, words, _) in WAYS {
            let mut bench = Bench::of(&ordered).by(capability);
            let outcome = bench.pay(&online_sale(1_234));
            ended(&outcome, &APPROVED_ONLINE, words);
            says(&outcome, "the card knows its bank by the answer (ARPC)");
            assert_eq!(bench.balance(), 100_000 - 1_234);

            bench.bank.account_mut(ACCOUNT).unwrap().state = State::Lost;
            let outcome = bench.pay(&online_sale(1_234));
            ended(&outcome, &DECLINED_ONLINE, words);
            assert_eq!(outcome.second.as_ref().unwrap().information & 0xC0, 0x00);
            assert_eq!(bench.balance(), 100_000 - 1_234);

            // A merchant who insists gets nothing without it; a new card may be taken.
            let outcome = bench.pay_with(&online_sale(1_234), &mut OutOfReach);
            ended(&outcome, &DECLINED_OFFLINE, words);
            let mut bench = Bench::of(&ordered).by(capability);
            let outcome = bench.pay_with(&sale(1_234), &mut OutOfReach);
            ended(&outcome, &APPROVED_OFFLINE, words);
            assert_eq!(cvr(&outcome)[..4], *"6510");
        }
    }
}

#[test]
fn an_answer_of_a_bank_with_other_masters_is_none() {
    let ordered = ordered();
    let mut bench = Bench::of(&ordered);
    // Those of triple DES are right: they are not asked.
    let masters = Keys {
        sm4: Keys::from_seed(8).sm4,
        ..Keys::from_seed(7)
    };
    let mut other = Bank::new(masters);
    other.open_for(&ordered.clone().into(), Fen::new(100_000));
    let outcome = bench.pay_with(&online_sale(1_234), &mut other);
    assert_eq!(outcome.end, DECLINED_ONLINE);
    let answered = outcome.answered.as_ref().unwrap();
    assert_eq!((answered.code, &answered.authentication), (*b"05", &None));
    says(&outcome, Reason::WrongCryptogram.words());
    // And the other way round, on the same card.
    let masters = Keys {
        des: Keys::from_seed(8).des,
        ..Keys::from_seed(7)
    };
    let mut other = Bank::new(masters);
    other.open_for(&ordered.clone().into(), Fen::new(100_000));
    let outcome = bench.pay_with(&online_sale(1_234), &mut other);
    ended(&outcome, &APPROVED_ONLINE, "CDA by SM2");
    bench.terminal.sm = false;
    let outcome = bench.pay_with(&online_sale(1_234), &mut other);
    assert_eq!(outcome.end, DECLINED_ONLINE, "{}", story(&outcome));
}

#[test]
fn an_answer_that_was_changed_is_found_out_by_the_card() {
    struct Meddled<'b>(&'b mut Bank);
    impl Host for Meddled<'_> {
        fn authorise(&mut self, request: &Request) -> Option<Answer> {
            let mut answer = Host::authorise(self.0, request)?;
            answer.authentication.as_mut()?[7] ^= 1;
            Some(answer)
        }
    }
    let mut bench = Bench::of(&ordered());
    let mut bank = bench.bank.clone();
    let outcome = bench.pay_with(&online_sale(1_234), &mut Meddled(&mut bank));
    assert!(outcome.tvr.has(Finding::IssuerFailed));
    assert_eq!(outcome.end, DECLINED_ONLINE, "{}", story(&outcome));
}

#[test]
fn electronic_cash_pays_is_loaded_and_runs_low() {
    for ordered in forms() {
        for (capability, words, _) in WAYS {
            let mut bench = Bench::of(&ordered).by(capability);
            let cash = |fen| Sale {
                cash: true,
                ..sale(fen)
            };
            let outcome = bench.pay(&cash(1_999));
            ended(&outcome, &APPROVED_OFFLINE, words);
            assert!(outcome.cash);
            assert_eq!(outcome.balance, Some(Fen::new(8_001)));
            let outcome = bench.pay(&cash(5_001));
            assert!(!outcome.cash, "above its limit the account pays");
            ended(&outcome, &APPROVED_ONLINE, words);

            let mut load = online_sale(5_000);
            load.kind = TYPE_CASH_LOAD;
            let outcome = bench.pay(&load);
            ended(&outcome, &APPROVED_ONLINE, words);
            says(&outcome, "load electronic cash: done");
            assert_eq!(outcome.balance, Some(Fen::new(13_001)));

            bench.pay(&cash(4_999));
            bench.pay(&cash(4_999));
            // 30 yuan are left, and are to stay.
            bench.holder = Holder {
                pins: vec![PIN.to_owned(); 2],
            };
            let outcome = bench.pay(&cash(1_500));
            ended(&outcome, &APPROVED_ONLINE, words);
            says(&outcome, "electronic cash would fall below");
            assert_eq!(outcome.balance, Some(Fen::new(3_003)));
        }
    }
}

#[test]
fn electronic_cash_in_the_second_currency_goes_by_the_set_too() {
    let dollars = [0x08, 0x40];
    let cash = Cash {
        balance: Fen::new(10_000),
        balance_limit: Fen::new(100_000),
        single_limit: Fen::new(5_000),
        reset_threshold: Fen::ZERO,
    };
    for mut ordered in forms() {
        ordered.second_cash = Some((dollars, cash));
        let mut bench = Bench::of(&ordered);
        bench.terminal.currency = dollars;
        let mut sale = sale(1_999);
        sale.cash = true;
        let outcome = bench.pay(&sale);
        ended(&outcome, &APPROVED_OFFLINE, "CDA by SM2");
        assert!(outcome.cash);
        assert_eq!(outcome.balance, Some(Fen::new(8_001)));
    }
}

/// A bank that adds the commands that are made.
struct Scripting<'b, F>(&'b mut Bank, F);

impl<F: FnMut(&Scripts) -> Vec<Vec<u8>>> Host for Scripting<'_, F> {
    fn authorise(&mut self, request: &Request) -> Option<Answer> {
        let mut answer = Host::authorise(self.0, request)?;
        let scripts = self.0.scripts(request).unwrap().unwrap();
        let mut template = Vec::new();
        Writer::append(&mut template).nested(tag!(0x72), |inner| {
            inner.object(tag!(0x9F18), &[0, 0, 0, 9]);
            for command in (self.1)(&scripts) {
                inner.object(tag!(0x86), &command);
            }
        });
        answer.scripts = template;
        Some(answer)
    }
}

#[test]
fn scripts_by_sm4_are_carried_out_and_a_changed_one_is_not() {
    let mut bench = Bench::of(&ordered());
    let mut bank = bench.bank.clone();
    let mut all = Scripting(&mut bank, |scripts: &Scripts| {
        vec![
            scripts.put_data(0x9F58, &[5]),
            scripts.change_pin("135790", Some(PIN)).unwrap(),
            scripts.unblock_pin(),
        ]
    });
    let outcome = bench.pay_with(&online_sale(100), &mut all);
    ended(&outcome, &APPROVED_ONLINE, "CDA by SM2");
    assert_eq!(outcome.scripts, [[0x20, 0, 0, 0, 9]], "{}", story(&outcome));
    bench.holder = Holder::with_pin("135790");
    let outcome = bench.pay(&sale(100));
    ended(&outcome, &APPROVED_OFFLINE, "CDA by SM2");
    assert_eq!(outcome.holder, [0x41, 0x03, 0x02]);

    let mut wrong = Scripting(&mut bank, |scripts: &Scripts| {
        let mut command = scripts.put_data(0x9F58, &[6]);
        *command.last_mut().unwrap() ^= 1;
        vec![command]
    });
    let outcome = bench.pay_with(&online_sale(100), &mut wrong);
    assert_eq!(outcome.scripts, [[0x11, 0, 0, 0, 9]]);
    let outcome = bench.pay(&sale(100));
    assert!(cvr(&outcome).ends_with("1A"), "{}", story(&outcome));
}

#[test]
fn the_bank_activates_blocks_and_unblocks_by_sm4() {
    let ordered = Application {
        switches: STARTS_INACTIVE,
        ..ordered()
    };
    let mut bench = Bench::of(&ordered);
    let Bench {
        icc,
        bank,
        terminal,
        ..
    } = &mut bench;
    let activation = activate(icc, terminal, &sale(0), &ordered.aid, bank);
    assert!(activation.done, "{:?}", activation.steps);
    let outcome = bench.pay(&sale(100));
    ended(&outcome, &APPROVED_ONLINE, "CDA by SM2");
    let mut bank = bench.bank.clone();
    let mut block = Scripting(&mut bank, |scripts: &Scripts| {
        vec![scripts.block_application()]
    });
    bench.pay_with(&online_sale(100), &mut block);
    assert!(matches!(bench.pay(&sale(100)).end, End::Terminated(_)));
    // By the other set, which the card has as well.
    bench.terminal.sm = false;
    let Bench {
        icc,
        bank,
        terminal,
        ..
    } = &mut bench;
    assert!(activate(icc, terminal, &sale(0), &ordered.aid, bank).done);
    assert_eq!(bench.pay(&sale(100)).end, APPROVED_OFFLINE);
}

#[test]
fn a_terminal_that_does_not_want_the_set_gets_the_other() {
    let mut bench = Bench::of(&ordered());
    bench.terminal.sm = false;
    for capability in [0x80, 0x40, 0x08] {
        bench.terminal.capabilities[2] = capability;
        let outcome = bench.pay(&online_sale(100));
        assert_eq!(outcome.end, APPROVED_ONLINE, "{}", story(&outcome));
        assert!(!said(&outcome, "SM"), "{}", story(&outcome));
        let issuer = outcome.first.unwrap().issuer().unwrap();
        assert_eq!(issuer.algorithm, Algorithm::Des);
    }
    // Each transaction has its own, and the counter is one.
    bench.terminal = bench.terminal.with_sm();
    let outcome = bench.pay(&sale(100));
    ended(&outcome, &APPROVED_OFFLINE, "CDA by SM2");
    assert_eq!(outcome.first.unwrap().atc, 4);
}

#[test]
fn a_terminal_that_wants_the_set_takes_a_card_without_it() {
    let mut bench = Bench::of(&application());
    let outcome = bench.pay(&sale(1_234));
    assert_eq!(outcome.end, APPROVED_ONLINE, "{}", story(&outcome));
    says(
        &outcome,
        "the card has no certificates by SM2: it goes by RSA",
    );
    let issuer = outcome.first.unwrap().issuer().unwrap();
    assert_eq!(issuer.algorithm, Algorithm::Des);
}

/// Keys of SM4 and the question, and no options of the set.
#[test]
fn a_card_with_keys_of_sm4_alone_proves_itself_by_rsa_and_pays_by_sm4() {
    let of_both = [0x8030, 0x9030, 0x9102].map(grouping);
    let ordered = Application {
        groupings: of_both.into(),
        ..application()
    };
    let mut bench = Bench::of(&ordered);
    for capability in [0x80, 0x40, 0x08] {
        bench.terminal.capabilities[2] = capability;
        let outcome = bench.pay(&online_sale(100));
        assert_eq!(outcome.end, APPROVED_ONLINE, "{}", story(&outcome));
        says(
            &outcome,
            "the card has no certificates by SM2: it goes by RSA",
        );
        says(&outcome, "by SM4");
        let issuer = outcome.first.unwrap().issuer().unwrap();
        assert_eq!(issuer.algorithm, Algorithm::Sm4);
    }
}

#[test]
fn a_terminal_without_the_right_key_declines_and_says_why() {
    type Change = fn(&mut Terminal);
    let changes: [(Change, &str); 4] = [
        (
            |terminal| terminal.sm2_authorities.clear(),
            "does not have this authority's key",
        ),
        (
            |terminal| terminal.sm2_authorities[0].index = 98,
            "does not have this authority's key",
        ),
        (
            |terminal| terminal.sm2_authorities[0].scheme = [0xA0, 0, 0, 0, 3],
            "does not have this authority's key",
        ),
        (
            |terminal| terminal.sm2_authorities[0].key = *Sm2Pair::of(Whose::Issuer).public(),
            "the issuer's certificate does not open",
        ),
    ];
    for (change, words) in changes {
        for (capability, _, finding) in WAYS {
            let mut bench = Bench::of(&ordered()).by(capability).offline();
            change(&mut bench.terminal);
            let outcome = bench.pay(&sale(1_234));
            assert!(outcome.tvr.has(finding), "{}", story(&outcome));
            assert_eq!(outcome.end, DECLINED_OFFLINE);
            says(&outcome, words);
            // By RSA it holds: the keys are others.
            bench.terminal.sm = false;
            let outcome = bench.pay(&sale(1_234));
            assert_eq!(outcome.end, APPROVED_OFFLINE, "{}", story(&outcome));
        }
    }
}

/// An application with a record in the place of its own.
fn with_record(number: u16, fill: impl FnOnce(&mut Writer<'_>)) -> Application {
    let mut data = Vec::new();
    Writer::append(&mut data).nested(tag!(0x70), fill);
    Application {
        groupings: vec![Grouping { number, data }],
        ..ordered()
    }
}

fn groupings() -> Vec<Grouping> {
    let keys = Keys::from_seed(7).of_card(ACCOUNT, bankcard::SEQUENCE);
    ordered().groupings(&keys.unwrap()).unwrap()
}

fn grouping(number: u16) -> Grouping {
    let mut all = groupings().into_iter();
    all.find(|one| one.number == number).unwrap()
}

/// With this certificate of its issuer.
fn under_issuer(identifier: [u8; 4], expiry: [u8; 2]) -> Application {
    let subject = Subject {
        expiry,
        serial: [0, 0, 2],
    };
    let authority = Sm2Pair::of(Whose::Authority);
    let issuer = Sm2Pair::of(Whose::Issuer).public();
    let made = certify_issuer(authority, issuer, identifier, &subject).unwrap();
    with_record(0x0501, |record| {
        record.object(tag!(0x90), &made);
    })
}

/// With this certificate of its own.
fn of_account(account: &str, expiry: [u8; 2]) -> Application {
    let subject = Subject {
        expiry,
        serial: [0, 0, 2],
    };
    let issuer = Sm2Pair::of(Whose::Issuer);
    let card = Sm2Pair::of(Whose::Card(ACCOUNT.parse().unwrap())).public();
    let name = hex::decode(account).unwrap().try_into().unwrap();
    let first = grouping(0x0201).data;
    let signed = find(&first, &[tag!(0x70)]).unwrap().unwrap();
    let data = [signed, &[0x7D, 0x00]].concat();
    let made = certify_card(issuer, card, name, &subject, &data).unwrap();
    with_record(0x0503, |record| {
        record.object(tag!(0x9F46), &made);
    })
}

#[test]
fn certificates_that_open_and_are_not_for_this_card_or_this_day_do_not_stand() {
    const BANK: [u8; 4] = [0x62, 0x28, 0x00, 0xFF];
    const CARD: &str = "6228004116000202641F";
    let valid = [0x12, 0x34];
    for (ordered, words) in [
        (under_issuer(BANK, valid), None),
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
            with_record(0x0503, |record| {
                record.object(tag!(0x9F08), &[0x00, 0x30]);
            }),
            Some("data for it are missing"),
        ),
    ] {
        for (capability, _, finding) in &WAYS[1..] {
            let mut ordered = ordered.clone();
            if words.is_some_and(|words| words.contains("missing")) {
                // Once in the records, and not twice.
                let mut rest = grouping(0x0502);
                let version = [0x9F, 0x08, 0x02, 0x00, 0x30];
                let at = rest.data.windows(5).position(|part| part == version);
                rest.data.drain(at.unwrap()..at.unwrap() + 5);
                rest.data[1] -= 5;
                ordered.groupings.push(rest);
            }
            let mut bench = Bench::of(&ordered).by(*capability).offline();
            let outcome = bench.pay(&sale(1_234));
            let fails = outcome.tvr.has(*finding);
            assert_eq!(fails, words.is_some(), "{}", story(&outcome));
            if let Some(words) = words {
                says(&outcome, words);
                assert_eq!(outcome.end, DECLINED_OFFLINE);
            }
            let missing = words.is_some_and(|words| words.contains("missing"));
            assert_eq!(outcome.tvr.has(Finding::DataMissing), missing);
        }
    }
}

/// A card whose answers are changed.
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

#[test]
fn a_record_that_was_changed_is_found_where_it_counts() {
    // The issuer's certificate, the card's, static data, what is signed.
    for (sfi, number, touches) in [
        (5, 1, [true, true, true]),
        (5, 3, [false, true, true]),
        (5, 4, [true, false, false]),
        (2, 1, [true, true, true]),
    ] {
        for ((capability, words, finding), touched) in WAYS.into_iter().zip(touches) {
            let spoil = |command: &[u8], response: &mut Vec<u8>| {
                if command[1..4] == [0xB2, number, sfi << 3 | 4] {
                    // The last byte of the last object.
                    let at = response.len() - 3;
                    response[at] ^= 0x01;
                }
            };
            let bench = Bench::of(&ordered()).by(capability).offline();
            let mut bench = bench.through(|icc| Changed { icc, change: spoil });
            let outcome = bench.pay(&sale(1_234));
            let place = format!("{sfi}.{number}: {}", story(&outcome));
            assert_eq!(outcome.tvr.has(finding), touched, "{place}");
            if touched {
                assert_eq!(outcome.end, DECLINED_OFFLINE, "{place}");
            } else {
                ended(&outcome, &APPROVED_OFFLINE, words);
            }
        }
    }
}

#[test]
fn what_a_card_signed_does_not_stand_with_a_bit_changed() {
    for ordered in forms() {
        for (ins, capability, finding) in [
            (0x88, 0x40, Finding::DynamicFailed),
            (0xAE, 0x08, Finding::CombinedFailed),
        ] {
            // From the length of the dynamic data to the last byte of the signature.
            for at in [1, 2, 4, 6, 20, 60] {
                let spoil = move |command: &[u8], response: &mut Vec<u8>| {
                    if command[1] != ins {
                        return;
                    }
                    let path: &[Tag] = match ins {
                        0x88 => &[tag!(0x80)],
                        _ => &[tag!(0x77), tag!(0x9F4B)],
                    };
                    let Ok(Some(signed)) = find(response, path) else {
                        return;
                    };
                    let signed = signed.to_vec();
                    let mut windows = response.windows(signed.len());
                    let start = windows.position(|part| part == signed).unwrap();
                    response[start + at] ^= 0x01;
                };
                let bench = Bench::of(&ordered).by(capability).offline();
                let mut bench = bench.through(|icc| Changed { icc, change: spoil });
                let outcome = bench.pay(&sale(1_234));
                assert!(
                    outcome.tvr.has(finding),
                    "{ins:02X}, {at}: {}",
                    story(&outcome)
                );
                assert_eq!(outcome.end, DECLINED_OFFLINE);
            }
        }
    }
}

#[test]
fn a_signed_cryptogram_with_other_data_beside_it_is_no_approval() {
    // The counter outside of the signature, which is hashed in it.
    let spoil = |command: &[u8], response: &mut Vec<u8>| {
        if command[1] == 0xAE {
            let counter = [0x9F, 0x36, 0x02];
            let at = response.windows(3).position(|part| part == counter);
            if let Some(at) = at {
                response[at + 4] ^= 1;
            }
        }
    };
    for ordered in forms() {
        let bench = Bench::of(&ordered).offline();
        let mut bench = bench.through(|icc| Changed { icc, change: spoil });
        let outcome = bench.pay(&sale(1_234));
        assert!(outcome.tvr.has(Finding::CombinedFailed));
        says(&outcome, "the card signed another transaction");
        assert_eq!(outcome.end, DECLINED_OFFLINE);
    }
}

#[test]
fn a_pin_is_not_enciphered_under_a_key_of_sm2() {
    // An enciphered PIN always, or where that is supported; then a plain one.
    for (methods, holder, tvr) in [
        ("0000000000000000 4400 0100", "010002", "0008100000"),
        ("0000000000000000 4403 0100", "010002", "0008000000"),
        ("0000000000000000 0400 0100", "040001", "0008900000"),
    ] {
        let methods = hex::decode(methods.replace(' ', "")).unwrap();
        let ordered = Application {
            methods,
            ..ordered()
        };
        let mut bench = Bench::of(&ordered);
        let outcome = bench.pay(&sale(100));
        assert_eq!(hex::encode(outcome.holder), holder, "{}", story(&outcome));
        let mut found = outcome.tvr;
        // The bank is asked for a new card; whether PINs were asked for is of interest.
        found.0[3] = 0;
        assert_eq!(found.to_string(), tvr, "{}", story(&outcome));
        // With the other set it is.
        bench.terminal.sm = false;
        let outcome = bench.pay(&sale(100));
        assert_eq!(outcome.holder[2], 2, "{}", story(&outcome));
        assert_eq!(outcome.holder[0] & 0x3F, 0x04, "{}", story(&outcome));
    }
}

#[test]
fn over_t0_and_t1_it_is_the_same() {
    let sales = [sale(1_234), online_sale(5_678), {
        let mut cash = sale(1_000);
        cash.cash = true;
        cash
    }];
    for ordered in forms() {
        let run = |icc: &mut dyn Icc| {
            let Bench {
                mut bank,
                terminal,
                holder,
                ..
            } = Bench::of(&ordered);
            let pay = |sale| pay(icc, &terminal, sale, &holder, &mut bank);
            sales.iter().map(pay).collect::<Vec<_>>()
        };
        let direct = run(&mut card(&ordered));
        let mut t0 = T0::new(card(&ordered));
        t0.power_on().unwrap();
        let mut t1 = T1::new(card(&ordered), Parameters::default());
        t1.power_on().unwrap();
        let mut power_on = card(&ordered);
        power_on.power_on().unwrap();
        assert_eq!(direct, run(&mut power_on));
        assert_eq!(direct, run(&mut t0));
        assert_eq!(direct, run(&mut t1));
    }
}

#[test]
fn the_private_key_and_the_keys_of_sm4_are_not_told() {
    let mut card = card(&ordered());
    let mut send = |text: &str| {
        let bytes = hex::decode(text).unwrap();
        exchange(&mut card, &Command::parse(&bytes).unwrap()).unwrap()
    };
    assert_eq!(send("00A4040008A00000033301010100").sw, Sw::OK);
    for number in ["8030", "8100", "9114", "9213"] {
        let answer = send(&format!("80CA{number}00"));
        assert!(answer.data.is_empty(), "{number}");
        assert_eq!(answer.sw, Sw::REFERENCE_DATA_NOT_FOUND, "{number}");
    }
}

/// What is paid, and how.
#[derive(Clone, Debug)]
struct Way {
    fen: u32,
    cash: bool,
    online: bool,
    kind: u8,
    /// Which authentication the terminal can do.
    capability: u8,
    /// Whether the bank is reached, and whether the account is lost.
    reached: bool,
    lost: bool,
    pin: bool,
}

fn way() -> impl Strategy<Value = Way> {
    let kind = prop::sample::select(vec![0x00, 0x01, TYPE_CASH_LOAD]);
    let capability = prop::sample::select(vec![0x00, 0x80, 0x40, 0x08, 0xC8]);
    let flags = any::<[bool; 3]>();
    let seldom = (0..4u8, 0..4u8);
    (1..6_000u32, kind, capability, flags, seldom).prop_map(
        |(fen, kind, capability, [cash, online, pin], (reached, lost))| Way {
            fen,
            cash,
            online,
            kind,
            capability,
            reached: reached > 0,
            lost: lost == 0,
            pin,
        },
    )
}

/// All that is no sum of the keys.
type Seen = (
    End,
    bool,
    String,
    String,
    [u8; 3],
    Vec<(u8, u16, String)>,
    Option<Fen>,
);

fn seen(bench: &mut Bench, way: &Way) -> Seen {
    bench.terminal.capabilities[2] = way.capability;
    let state = if way.lost { State::Lost } else { State::Active };
    bench.bank.account_mut(ACCOUNT).unwrap().state = state;
    let pins = usize::from(way.pin) * 2;
    bench.holder = Holder {
        pins: vec![PIN.to_owned(); pins],
    };
    let sale = Sale {
        cash: way.cash,
        online: way.online,
        kind: way.kind,
        ..sale(way.fen)
    };
    let outcome = if way.reached {
        bench.pay(&sale)
    } else {
        bench.pay_with(&sale, &mut OutOfReach)
    };
    let made = [&outcome.first, &outcome.second];
    let made = made.into_iter().flatten().map(|made| {
        let issuer = made.issuer().unwrap();
        let results = format!("{:?} {:?}", issuer.cvr, issuer.cash_balance());
        (made.information, made.atc, results)
    });
    let made = made.collect();
    (
        outcome.end,
        outcome.cash,
        outcome.tvr.to_string(),
        outcome.tsi.to_string(),
        outcome.holder,
        made,
        outcome.balance,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(24))]

    #[test]
    fn whichever_set_pays_the_transactions_are_the_same(
        ways in prop::collection::vec(way(), 1..12), switched: [bool; 12],
    ) {
        let [outside, within] = forms();
        let mut by_rsa = Bench::of(&outside);
        by_rsa.terminal.sm = false;
        let mut by_sm = [Bench::of(&outside), Bench::of(&within), Bench::of(&outside)];
        for (way, switched) in ways.iter().zip(switched) {
            // The third changes its terminal as it likes.
            by_sm[2].terminal.sm = switched;
            let expected = seen(&mut by_rsa, way);
            for bench in &mut by_sm {
                prop_assert_eq!(&seen(bench, way), &expected);
            }
        }
        for bench in &by_sm {
            prop_assert_eq!(bench.balance(), by_rsa.balance());
        }
    }
}
