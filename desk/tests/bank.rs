//! The bank's desk and a card of ours: personalised, read, authorised, scripted.

#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

use cardlab::aid::Aid;
use cardlab::apdu::{Command, Sw};
use cardlab::crypto::{Key, Sha1};
use cardlab::fen::Fen;
use cardlab::icc::Icc;
use cardlab::link::t0::T0;
use cardlab::os::Card;
use cardlab::secure::scp02::{Level, StaticKeys};
use cardlab::tag;
use cardlab::tlv::{self, Dol, Objects, Tag};
use cardlab_desk::bank::application::{
    Application, CDOL1, CDOL2, CardBlock, Cash, Grouping, Limits, STARTS_INACTIVE, SWITCHES,
};
use cardlab_desk::bank::authority::{Certificate, open_card, open_issuer, open_static_data};
use cardlab_desk::bank::host::{
    Account, Bank, Cvr, Decision, IssuerData, Reason, Request, RequestError, Scripts, State,
};
use cardlab_desk::bank::key::{CardKeys, KeySet, Keys};
use cardlab_desk::bank::personalise::{Bureau, install_data};
use cardlab_desk::bank::rsa::{RsaPair, Whose};
use cardlab_desk::wire::exchange;
use proptest::prelude::{
    ProptestConfig, any, prop, prop_assert, prop_assert_eq, prop_oneof, proptest,
};

const ACCOUNT: &str = "6228004116000202641";
const SEQUENCE: u8 = 1;
/// What a cryptogram or a MAC of the card is over, and these.
const VOUCHED: [Tag; 12] = [
    tag!(0x9F02),
    tag!(0x9F03),
    tag!(0x9F1A),
    tag!(0x95),
    tag!(0x5F2A),
    tag!(0x9A),
    tag!(0x9C),
    tag!(0x9F37),
    tag!(0x82),
    tag!(0x9F36),
    tag!(0x9F26),
    tag!(0x9F10),
];
/// What a card with combined authentication offers.
const AIP: [u8; 2] = [0x7D, 0x00];

fn bytes(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    hex::decode(digits).unwrap()
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    bytes(text).try_into().unwrap()
}

fn application() -> Application {
    Application {
        aid: Aid::constant(&[0xA0, 0x00, 0x00, 0x03, 0x33, 0x01, 0x01, 0x01]),
        label: "PBOC DEBIT".to_owned(),
        account: ACCOUNT.to_owned(),
        sequence: SEQUENCE,
        holder: "LI SHIFAN".to_owned(),
        holder_id: "41160219900307152X".to_owned(),
        expiry: [0x34, 0x12, 0x31],
        effective: [0x24, 0x06, 0x01],
        pin: "654321".to_owned(),
        pin_tries: 3,
        default_action: [0xC0, 0x00],
        limits: Limits {
            lower: 10,
            upper: 15,
            foreign_currency: 3,
            foreign_country: 3,
            sum: Fen::new(100_000),
            upper_sum: Fen::new(200_000),
        },
        cash: Some(Cash {
            balance: Fen::ZERO,
            balance_limit: Fen::new(100_000),
            single_limit: Fen::new(5_0000),
            reset_threshold: Fen::ZERO,
        }),
        methods: bytes("0000000000000000 4103 42031E031F00"),
        cash_methods: bytes("000007D000000000 5F060103"),
        card_block: CardBlock::Card,
        switches: 0,
        ..Application::of(ACCOUNT)
    }
}

fn level(p1: u8) -> Level {
    Level::from_p1(p1).unwrap()
}

fn keys() -> Keys {
    Keys::from_seed(7).of_card(ACCOUNT, SEQUENCE).unwrap()
}

fn blank() -> Card {
    let mut card = Card::manufacture(&cardlab_applets::ROM, 7);
    card.power_on().unwrap();
    card
}

fn personalise(icc: &mut dyn Icc, application: &Application, p1: u8) {
    let mut bureau = Bureau::new(|_| StaticKeys::initial(), level(p1), 3);
    let keys = Keys::from_seed(7).of_card(&application.account, application.sequence);
    bureau
        .personalise(icc, application, &keys.unwrap())
        .unwrap();
    bureau.personalise_directory(icc, &[application]).unwrap();
    icc.reset().unwrap();
}

/// A card and its bank, with 1,000 yuan in the account.
struct Bench<I = Card> {
    icc: I,
    bank: Bank,
    amount: u32,
    kind: u8,
    day: &'static str,
    first: Option<Ac>,
}

#[derive(Clone)]
struct Ac {
    cid: u8,
    atc: u16,
    cryptogram: [u8; 8],
    issuer: Vec<u8>,
}

impl Ac {
    fn cvr(&self) -> String {
        hex::encode_upper(&self.issuer[3..7])
    }
}

impl Bench {
    fn of(application: &Application) -> Bench {
        let mut card = blank();
        personalise(&mut card, application, 1);
        Bench::with(card, application)
    }
}

impl<I: Icc> Bench<I> {
    fn with(icc: I, application: &Application) -> Bench<I> {
        let mut bank = Bank::from_seed(7);
        bank.open_for(&application.clone().into(), Fen::new(100_000));
        Bench {
            icc,
            bank,
            amount: 1_234,
            kind: 0,
            day: "260701",
            first: None,
        }
    }

    fn send(&mut self, command: &str) -> (Vec<u8>, Sw) {
        self.send_bytes(&bytes(command))
    }

    fn send_bytes(&mut self, command: &[u8]) -> (Vec<u8>, Sw) {
        let answer = exchange(&mut self.icc, &Command::parse(command).unwrap()).unwrap();
        (answer.data, answer.sw)
    }

    #[track_caller]
    fn ok(&mut self, command: &str) -> Vec<u8> {
        let (data, sw) = self.send(command);
        assert_eq!(sw, Sw::OK, "{command}");
        data
    }

    fn value(&self, tag: Tag, code: &str) -> Vec<u8> {
        bytes(&match tag.value() {
            0x8A => hex::encode(code),
            0x9F02 => format!("{:012}", self.amount),
            0x9F03 => "00".repeat(6),
            0x9F1A | 0x5F2A => "0156".to_owned(),
            0x95 => "0000040000".to_owned(),
            0x9A => self.day.to_owned(),
            0x9C => format!("{:02X}", self.kind),
            0x9F37 => "D64B8587".to_owned(),
            0x9F21 => "123456".to_owned(),
            0x9F4E => "31".repeat(20),
            other => panic!("{other:X}"),
        })
    }

    fn filled(&self, list: &[u8], code: &str) -> Vec<u8> {
        let entries = Dol::parse(list).unwrap();
        entries
            .entries()
            .flat_map(|entry| self.value(entry.tag, code))
            .collect()
    }

    #[track_caller]
    fn begin(&mut self, cash: bool) -> Vec<u8> {
        let (_, sw) = self.send("00A40400 08 A000000333010101 00");
        assert!(matches!(sw.0, 0x9000 | 0x6283), "{sw}");
        let command = format!(
            "80A80000 0B 8309 {:02X}{:012}0156 00",
            u8::from(cash),
            self.amount
        );
        self.ok(&command)
    }

    #[track_caller]
    fn generate(&mut self, p1: u8, list: &[u8], code: &str) -> Ac {
        let data = self.filled(list, code);
        let command = format!("80AE{p1:02X}00 {:02X}{}00", data.len(), hex::encode(data));
        let answer = self.ok(&command);
        Ac {
            cid: answer[2],
            atc: u16::from_be_bytes([answer[3], answer[4]]),
            cryptogram: answer[5..13].try_into().unwrap(),
            issuer: answer[13..].to_vec(),
        }
    }

    #[track_caller]
    fn first(&mut self, p1: u8) -> Ac {
        let ac = self.generate(p1, CDOL1, "");
        self.first = Some(ac.clone());
        ac
    }

    fn request(&self) -> Request {
        let first = self.first.as_ref().unwrap();
        Request::of(ACCOUNT, SEQUENCE)
            .with_list(CDOL1, &self.filled(CDOL1, ""))
            .unwrap()
            .with(tag!(0x82), &AIP)
            .with(tag!(0x9F36), &first.atc.to_be_bytes())
            .with(tag!(0x9F26), &first.cryptogram)
            .with(tag!(0x9F27), &[first.cid])
            .with(tag!(0x9F10), &first.issuer)
    }

    fn authorise(&mut self) -> Decision {
        let request = self.request();
        self.bank.authorise(&request).unwrap()
    }

    fn authenticate(&mut self, decision: &Decision) -> Sw {
        let data = decision.authentication_data().unwrap();
        self.send(&format!("00820000 0A {}", hex::encode(data))).1
    }

    /// GPO, first cryptogram, authorisation, authentication, second cryptogram; approved.
    #[track_caller]
    fn online(&mut self) -> Decision {
        self.begin(false);
        assert_eq!(self.first(0x80).cid, 0x80);
        let decision = self.authorise();
        assert_eq!(decision.reason, Reason::Approved);
        assert_eq!(self.authenticate(&decision), Sw::OK);
        assert_eq!(self.generate(0x40, CDOL2, "00").cid, 0x40);
        decision
    }

    fn scripts(&self) -> Scripts {
        self.bank.scripts(&self.request()).unwrap().unwrap()
    }

    fn balance(&self) -> u32 {
        self.bank.account(ACCOUNT).unwrap().balance.count()
    }
}

#[test]
fn without_switches_the_install_is_that_of_a_bureau_s_tool() {
    let expected = "08A000000333010130 07A0000003330101 08A000000333010101 0110 \
        0EC90CFFFF00000400000000010001 00";
    assert_eq!(install_data(&application()), bytes(expected));
    assert_eq!(bytes(expected).len(), 0x2C);
}

/// Collects the data elements of the records that a locator names, each once, and what
/// of them is authenticated.
fn read_records<I: Icc>(bench: &mut Bench<I>, afl: &[u8]) -> (Vec<(u32, Vec<u8>)>, Vec<u8>) {
    let (mut elements, mut signed) = (Vec::<(u32, Vec<u8>)>::new(), Vec::new());
    for &[sfi, first, last, count] in afl.as_chunks::<4>().0 {
        for number in first..=last {
            let record = bench.ok(&format!("00B2{number:02X}{:02X} 00", sfi | 0x04));
            let inner = tlv::find(&record, &[tag!(0x70)]).unwrap().unwrap();
            if number - first < count {
                signed.extend(inner);
            }
            for object in Objects::new(inner) {
                let object = object.unwrap();
                let tag = object.tag.value();
                assert!(elements.iter().all(|(known, _)| *known != tag), "{tag:X}");
                elements.push((tag, object.value.to_vec()));
            }
        }
    }
    (elements, signed)
}

#[track_caller]
fn reads_as_a_terminal_reads<I: Icc>(bench: &mut Bench<I>) {
    let fci = bench.ok("00A40400 0E 315041592E5359532E4444463031 00");
    let sfi = tlv::find(&fci, &[tag!(0x6F), tag!(0xA5), tag!(0x88)]).unwrap();
    assert_eq!(sfi, Some(&[0x01][..]));
    let entry = bench.ok("00B2010C 00");
    let name = tlv::find(&entry, &[tag!(0x70), tag!(0x61), tag!(0x4F)]).unwrap();
    assert_eq!(name, Some(&bytes("A000000333010101")[..]));
    for cash in [false, true] {
        let options = bench.begin(cash);
        assert_eq!(options[2..4], AIP);
        let (elements, mut signed) = read_records(bench, &options[4..]);
        let of = |tag: u32| {
            let found = elements.iter().find(|(known, _)| *known == tag);
            found.map(|(_, value)| value.clone())
        };
        assert_eq!(of(0x9F74).is_some(), cash, "9F74 is e-cash's");
        for needed in [0x5F24, 0x5A, 0x8C, 0x8D, 0x8E, 0x57, 0x5F20] {
            assert!(of(needed).is_some(), "{needed:X}");
        }
        assert_eq!(of(0x8F), Some(vec![99]));
        assert_eq!(of(0x9F4A), Some(vec![0x82]));
        signed.extend(AIP);
        let certificate = |a, b, c| Certificate {
            certificate: of(a).unwrap(),
            remainder: of(b).unwrap_or_default(),
            exponent: of(c).unwrap(),
        };
        let authority = RsaPair::of(Whose::Authority);
        let issuer = certificate(0x90, 0x92, 0x9F32);
        let (issuer, identifier, _) = open_issuer(authority.public(), &issuer).unwrap();
        assert_eq!(identifier, bytes("622800FF"));
        let own = certificate(0x9F46, 0x9F48, 0x9F47);
        let (own, account, expiry) = open_card(&issuer, &own, &signed).unwrap();
        assert_eq!(account, bytes("6228004116000202641F"));
        assert_eq!(expiry, [0x12, 0x34]);
        open_static_data(&issuer, &of(0x93).unwrap(), &signed).unwrap();
        let proof = bench.ok("00880000 04 11223344 00");
        let recovered = own.apply(&proof[3..]).unwrap();
        let (hashed, hash) = recovered[1..recovered.len() - 1]
            .split_last_chunk::<20>()
            .unwrap();
        let computed = Sha1::new().chain(hashed).chain(&bytes("11223344")).finish();
        assert_eq!(*hash, computed);
    }
}

#[test]
fn a_card_of_a_bureau_reads_and_proves_itself_to_a_terminal() {
    let mut application = application();
    // A new card has no e-cash to spend: this one was loaded at the bureau.
    application.cash.as_mut().unwrap().balance = Fen::new(5_000);
    for p1 in [0, 1, 3] {
        let mut card = blank();
        personalise(&mut card, &application, p1);
        reads_as_a_terminal_reads(&mut Bench::with(card, &application));
        let mut icc = T0::new(blank());
        personalise(&mut icc, &application, p1);
        reads_as_a_terminal_reads(&mut Bench::with(icc, &application));
    }
}

#[test]
fn an_application_is_replaced_by_personalising_it_again() {
    let mut application = application();
    let mut card = blank();
    personalise(&mut card, &application, 3);
    application.label = "SECOND".to_owned();
    personalise(&mut card, &application, 3);
    let mut bench = Bench::with(card, &application);
    let fci = bench.ok("00A40400 08 A000000333010101 00");
    let label = tlv::find(&fci, &[tag!(0x6F), tag!(0xA5), tag!(0x50)]).unwrap();
    assert_eq!(label, Some(&b"SECOND"[..]));
}

#[test]
fn a_bureau_with_other_keys_personalises_nothing() {
    let mut card = blank();
    let other = |_: &[u8; 10]| StaticKeys::diversified(&Key::triple_des([9; 16]), &[1; 10]);
    let mut bureau = Bureau::new(other, level(1), 3);
    let refused = bureau.personalise(&mut card, &application(), &keys());
    assert!(refused.is_err());
    let mut bench = Bench::with(card, &application());
    let (_, sw) = bench.send("00A40400 08 A000000333010101 00");
    assert_eq!(sw, Sw::FILE_NOT_FOUND);
}

#[test]
fn a_transaction_on_line_is_authorised_and_booked() {
    let mut bench = Bench::of(&application());
    let decision = bench.online();
    assert_eq!(decision.scripts, Vec::<Vec<u8>>::new());
    let words: Vec<_> = decision.issuer.cvr.words().map(|(en, _)| en).collect();
    assert_eq!(words, ["a new card"]);
    assert_eq!(bench.balance(), 100_000 - 1_234);
    // The card took it: not new, nothing pending.
    bench.begin(false);
    assert_eq!(bench.first(0x40).cvr(), "03900000");
}

#[test]
fn every_reason_to_decline_has_its_code_and_the_card_declines() {
    type Change = fn(&mut Account);
    let change: [(Reason, &str, Change); 10] = [
        (Reason::NotEnough, "51", |a| a.balance = Fen::new(1_233)),
        (Reason::Lost, "41", |a| a.state = State::Lost),
        (Reason::Stolen, "43", |a| a.state = State::Stolen),
        (Reason::Closed, "62", |a| a.state = State::Closed),
        (Reason::Inactive, "62", |a| a.state = State::Inactive),
        (Reason::Expired, "54", |a| {
            a.expiry = Some([0x26, 0x06, 0x30])
        }),
        (Reason::Approved, "00", |a| {
            a.expiry = Some([0x26, 0x07, 0x01])
        }),
        (Reason::TooMany, "65", |a| a.daily_count = 0),
        (Reason::TooMuch, "61", |a| a.daily_sum = Fen::new(1_233)),
        (Reason::Approved, "00", |_| {}),
    ];
    for (reason, code, change) in change {
        let mut bench = Bench::of(&application());
        change(bench.bank.account_mut(ACCOUNT).unwrap());
        let before = bench.balance();
        bench.begin(false);
        bench.first(0x80);
        let decision = bench.authorise();
        assert_eq!(decision.reason, reason);
        assert_eq!(decision.code(), code.as_bytes());
        assert_eq!(bench.authenticate(&decision), Sw::OK);
        let approved = reason == Reason::Approved;
        let cid = bench.generate(0x40, CDOL2, code).cid;
        assert_eq!(cid & 0xC0, if approved { 0x40 } else { 0x00 }, "{reason:?}");
        assert_eq!(bench.balance() == before, !approved, "{reason:?}");
    }
}

#[test]
fn the_day_s_count_begins_anew_with_the_day() {
    let mut bench = Bench::of(&application());
    bench.bank.account_mut(ACCOUNT).unwrap().daily_count = 1;
    bench.online();
    bench.begin(false);
    bench.first(0x80);
    assert_eq!(bench.authorise().reason, Reason::TooMany);
    bench.day = "260702";
    bench.online();
}

#[test]
fn what_is_not_our_card_s_gets_no_answer() {
    let mut bench = Bench::of(&application());
    bench.begin(false);
    let first = bench.first(0x80);
    let mut forged = first.issuer.clone();
    *forged.last_mut().unwrap() ^= 1;
    let request = bench.request();
    let (mut unknown, mut second) = (request.clone(), request.clone());
    unknown.account = "6228004116000202658".to_owned();
    second.sequence = 2;
    for (request, reason) in [
        (
            request.clone().with(tag!(0x9F02), &[9; 6]),
            Reason::WrongCryptogram,
        ),
        (
            request.clone().with(tag!(0x9F26), &[0; 8]),
            Reason::WrongCryptogram,
        ),
        (
            request.clone().with(tag!(0x9F36), &[0, 9]),
            Reason::WrongCryptogram,
        ),
        (
            request.clone().with(tag!(0x9F10), &forged),
            Reason::WrongDiscretionary,
        ),
        (
            request.clone().with(tag!(0x9F27), &[0x40]),
            Reason::NotAsked,
        ),
        (unknown, Reason::UnknownAccount),
        (second, Reason::WrongCryptogram),
    ] {
        let decision = bench.bank.authorise(&request).unwrap();
        assert_eq!(decision.reason, reason);
        assert_eq!(decision.arpc, None, "{reason:?}");
    }
    assert_eq!(bench.authorise().reason, Reason::Approved);
    // The same once more: its counter was seen.
    assert_eq!(bench.authorise().reason, Reason::CounterSeen);
}

#[test]
fn a_counter_once_seen_stays_seen_whatever_comes_between() {
    let mut bench = Bench::of(&application());
    let seen: Vec<Request> = (0..3)
        .map(|_| {
            bench.online();
            bench.request()
        })
        .collect();
    let balance = bench.balance();
    for request in seen.iter().chain(&seen) {
        let decision = bench.bank.authorise(request).unwrap();
        assert_eq!(decision.reason, Reason::CounterSeen);
    }
    assert_eq!(bench.balance(), balance);
}

#[test]
fn a_cryptogram_that_did_not_ask_is_no_question_whatever_the_terminal_says_of_it() {
    let mut bench = Bench::of(&application());
    bench.begin(false);
    assert_eq!(bench.first(0x00).cid, 0x00, "a decline");
    let says_it_asks = bench.request().with(tag!(0x9F27), &[0x80]);
    let decision = bench.bank.authorise(&says_it_asks).unwrap();
    assert_eq!((decision.reason, decision.arpc), (Reason::NotAsked, None));
    // Nor does the second cryptogram of a transaction that the bank never heard of.
    bench.begin(false);
    bench.first(0x80);
    let second = bench.generate(0x00, CDOL2, "Z3");
    let says_it_asks = bench
        .request()
        .with_list(CDOL2, &bench.filled(CDOL2, "Z3"))
        .unwrap()
        .with(tag!(0x9F26), &second.cryptogram)
        .with(tag!(0x9F10), &second.issuer);
    assert_eq!(bench.bank.prove(&says_it_asks).unwrap(), Ok(()));
    let decision = bench.bank.authorise(&says_it_asks).unwrap();
    assert_eq!((decision.reason, decision.arpc), (Reason::NotAsked, None));
    assert_eq!(bench.balance(), 100_000);
}

#[test]
fn each_card_of_an_account_has_a_counter_of_its_own() {
    let mut bench = Bench::of(&application());
    bench.online();
    bench.online();
    let replaced = Application {
        sequence: SEQUENCE + 1,
        ..application()
    };
    let mut other = Bench::of(&replaced);
    other.begin(false);
    other.first(0x80);
    let mut request = other.request();
    request.sequence = replaced.sequence;
    let decision = bench.bank.authorise(&request).unwrap();
    assert_eq!(decision.reason, Reason::Approved);
}

#[test]
fn discretionary_data_of_any_length_and_digits_are_read_or_are_none() {
    for len in 0..=240_u8 {
        for digits in [0x00, 0x99, 0xFF] {
            let head = [7, 1, 1, 3, 0xA0, 0, 0, 1, len + 5, 0x01];
            let data = [&head[..], &vec![digits; usize::from(len)], &[0; 4]].concat();
            let balance = IssuerData::read(&data).unwrap().cash_balance();
            let fits = len == 0 || digits == 0x00 || digits == 0x99 && len < 5;
            assert_eq!(balance.is_some(), fits, "{len} of {digits:02X}");
        }
    }
}

#[test]
fn a_message_with_an_element_twice_is_none() {
    let once = Request::of(ACCOUNT, SEQUENCE).with_objects(&bytes("9C0100 9F0206000000001234"));
    let again = once.unwrap().with_objects(&bytes("9C0163"));
    assert_eq!(again.unwrap().get(tag!(0x9C)), Some(&[0x63][..]));
    let twice = Request::of(ACCOUNT, SEQUENCE).with_objects(&bytes("9C0100 9A03260701 9C0100"));
    assert_eq!(twice, Err(RequestError::Twice(0x9C)));
}

thread_local! {
    /// A bank and a question to it.
    static ASKED: (Bank, Request) = {
        let mut bench = Bench::of(&application());
        bench.begin(false);
        bench.first(0x80);
        (bench.bank.clone(), bench.request())
    };
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn nothing_that_the_card_vouches_for_can_be_changed_on_the_way_to_its_bank(
        changed in prop::collection::vec(
            (
                prop::sample::select(VOUCHED.to_vec()),
                prop_oneof![
                    prop::collection::vec(any::<u8>(), 0..8),
                    prop::collection::vec(any::<u8>(), 0..256),
                ],
            ),
            0..3,
        ),
        bit in prop::option::of((prop::sample::select(VOUCHED.to_vec()), any::<usize>())),
    ) {
        let (mut bank, right) = ASKED.with(Clone::clone);
        let mut request = right.clone();
        for (tag, value) in &changed {
            request = request.with(*tag, value);
        }
        if let Some((tag, at)) = bit {
            let mut value = request.get(tag).unwrap().to_vec();
            if !value.is_empty() {
                let at = at % (value.len() * 8);
                value[at / 8] ^= 1 << (at % 8);
            }
            request = request.with(tag, &value);
        }
        let before = bank.account(ACCOUNT).unwrap().clone();
        // Which version of the keys made it, nothing vouches for.
        let mut said = request.clone();
        if let Some(issuer) = request.get(tag!(0x9F10)).filter(|data| data.len() > 1) {
            let mut issuer = issuer.to_vec();
            issuer[1] = right.get(tag!(0x9F10)).unwrap()[1];
            said = said.with(tag!(0x9F10), &issuer);
        }
        let proven = bank.prove(&request).is_ok_and(|proven| proven.is_ok());
        prop_assert_eq!(proven, said == right);
        let activated = bank.clone().activate(&request).is_ok_and(|done| done.is_ok());
        prop_assert_eq!(activated, said == right);
        let _made_or_refused = bank.scripts(&request);
        match bank.authorise(&request) {
            Ok(decision) if said == right => prop_assert_eq!(decision.reason, Reason::Approved),
            Ok(decision) => prop_assert_eq!(decision.arpc, None),
            Err(error) => prop_assert!(!error.to_string().is_empty()),
        }
        prop_assert_eq!(bank.account(ACCOUNT) == Some(&before), said != right);
    }
}

/// Ten bytes of discretionary data: balance and sum.
fn with_long_discretionary_data(switches: u16) -> Application {
    let mut data = bytes("9F1018 07010103000000010F03");
    data.resize(3 + 0x18, 0);
    Application {
        switches,
        groupings: vec![Grouping {
            number: 0x9200,
            data,
        }],
        ..application()
    }
}

#[test]
fn the_mac_of_long_discretionary_data_is_as_the_card_was_ordered_to_pad_it() {
    let switch = SWITCHES
        .iter()
        .find(|(name, _)| *name == "long_mac_unpadded");
    let [padded, unpadded] = [0, switch.unwrap().1].map(with_long_discretionary_data);
    for (card, ordered, reason) in [
        (&padded, &padded, Reason::Approved),
        (&unpadded, &unpadded, Reason::Approved),
        (&padded, &unpadded, Reason::WrongDiscretionary),
        (&unpadded, &padded, Reason::WrongDiscretionary),
    ] {
        let mut bench = Bench::of(card);
        bench
            .bank
            .open_for(&ordered.clone().into(), Fen::new(100_000));
        bench.begin(false);
        bench.first(0x80);
        assert_eq!(bench.authorise().reason, reason);
    }
}

#[test]
fn a_request_that_is_not_whole_says_what_is_missing() {
    let mut bench = Bench::of(&application());
    bench.begin(false);
    bench.first(0x80);
    let whole = bench.request();
    let missing = Request::of(ACCOUNT, SEQUENCE);
    let error = bench.bank.authorise(&missing).unwrap_err();
    assert_eq!(error.to_string(), "no 9F02: the cryptogram is over it");
    let short = whole.clone().with(tag!(0x95), &[0; 4]);
    let error = bench.bank.authorise(&short).unwrap_err();
    assert_eq!(error.to_string(), "95 has 4 bytes where 5 are expected");
    let other = whole.clone().with(tag!(0x9F10), &bytes("0701110300000001"));
    let error = bench.bank.authorise(&other).unwrap_err();
    assert!(matches!(error, RequestError::IssuerData(_)));
    let list = Request::of(ACCOUNT, SEQUENCE).with_list(CDOL1, &[0; 51]);
    let expected = RequestError::OtherLength {
        expected: 52,
        found: 51,
    };
    assert_eq!(list, Err(expected));
}

#[test]
fn a_wrong_answer_to_the_cryptogram_is_refused_by_the_card() {
    let mut bench = Bench::of(&application());
    bench.begin(false);
    bench.first(0x80);
    let mut decision = bench.authorise();
    decision.arpc = Some([0; 8]);
    assert_eq!(bench.authenticate(&decision), Sw(0x6300));
    let second = bench.generate(0x40, CDOL2, "00");
    assert_eq!(second.cid & 0xC0, 0x00);
    assert_eq!(&second.cvr()[2..4], "28");
}

#[test]
fn electronic_cash_is_loaded_on_line_and_spent_off_line() {
    let mut bench = Bench::of(&application());
    (bench.kind, bench.amount) = (0x63, 5_000);
    let decision = bench.online();
    let [load] = &decision.scripts[..] else {
        panic!("one script");
    };
    assert_eq!(load[..11], bytes("04DA9F790A 000000005000"));
    assert_eq!(bench.send_bytes(load).1, Sw::OK);
    assert_eq!(bench.balance(), 100_000 - 5_000);
    assert_eq!(bench.ok("80CA9F79 00"), bytes("9F7906 000000005000"));
    (bench.kind, bench.amount) = (0x00, 1_234);
    let options = bench.begin(true);
    assert_eq!(options.len(), 2 + 2 + 16, "the locator of e-cash");
    let spent = bench.first(0x40);
    assert_eq!(spent.cid, 0x40);
    assert_eq!(bench.ok("80CA9F79 00"), bytes("9F7906 000000003766"));
    // Loaded again: on what is in it, up to its limit.
    (bench.kind, bench.amount) = (0x63, 90_000);
    let decision = bench.online();
    assert_eq!(bench.send_bytes(&decision.scripts[0]).1, Sw::OK);
    assert_eq!(bench.ok("80CA9F79 00"), bytes("9F7906 000000093766"));
    bench.amount = 6_300;
    bench.begin(false);
    bench.first(0x80);
    assert_eq!(bench.authorise().reason, Reason::TooMuch);
}

#[test]
fn scripts_block_unblock_and_change_the_pin() {
    const SELECT: &str = "00A40400 08 A000000333010101 00";
    let mut bench = Bench::of(&application());
    bench.online();
    let scripts = bench.scripts();
    for command in [
        scripts.put_data(0x9F58, &[5]),
        scripts.change_pin("135790", None).unwrap(),
        scripts.block_application(),
    ] {
        assert_eq!(bench.send_bytes(&command).1, Sw::OK, "{command:02X?}");
    }
    assert_eq!(bench.send(SELECT).1, Sw(0x6283));
    bench.begin(false);
    assert_eq!(bench.first(0x80).cid & 0xC0, 0, "it declines");
    let unblock = bench.scripts().unblock_application();
    assert_eq!(bench.send_bytes(&unblock).1, Sw::OK);
    bench.ok(SELECT);
    assert_eq!(bench.send("00200080 08 26654321FFFFFFFF").1, Sw(0x63C2));
    bench.ok("00200080 08 26135790FFFFFFFF");
    assert_eq!(bench.ok("80CA9F58 00"), bytes("9F580105"));
    for _ in 0..3 {
        bench.send("00200080 08 26000000FFFFFFFF");
    }
    bench.begin(false);
    assert_eq!(bench.first(0x80).cid & 0xC0, 0x80);
    let decision = bench.authorise();
    assert_eq!(decision.reason, Reason::PinBlocked);
    assert_eq!(bench.authenticate(&decision), Sw::OK);
    assert_eq!(bench.generate(0x40, CDOL2, "75").cid & 0xC0, 0x00);
    let unblock = bench.scripts().unblock_pin();
    assert_eq!(bench.send_bytes(&unblock).1, Sw::OK);
    bench.ok("00200080 08 26135790FFFFFFFF");
    let bound = bench.scripts().change_pin("246801", Some("135790"));
    assert_eq!(bench.send_bytes(&bound.unwrap()).1, Sw::OK);
    bench.ok(SELECT);
    bench.ok("00200080 08 26246801FFFFFFFF");
    assert!(bench.scripts().change_pin("12x4", None).is_none());
}

#[test]
fn an_account_is_activated_by_its_bank_alone() {
    let mut inactive = application();
    inactive.switches = STARTS_INACTIVE;
    let mut bench = Bench::of(&inactive);
    assert_eq!(bench.bank.account(ACCOUNT).unwrap().state, State::Inactive);
    bench.begin(false);
    assert_eq!(bench.send("00200080 08 26654321FFFFFFFF").1, Sw(0x6985));
    assert_eq!(bench.first(0x80).cid & 0xC0, 0, "it declines");
    assert_eq!(bench.authorise().reason, Reason::NotAsked);
    let forged = bench.request().with(tag!(0x9F26), &[0; 8]);
    let refused = bench.bank.activate(&forged).unwrap();
    assert_eq!(refused, Err(Reason::WrongCryptogram));
    let script = bench.bank.activate(&bench.request()).unwrap().unwrap();
    let mut spoiled = script.clone();
    *spoiled.last_mut().unwrap() ^= 1;
    assert_eq!(bench.send_bytes(&spoiled).1, Sw(0x6988));
    // A wrong MAC closes the scripts of a transaction.
    bench.begin(false);
    bench.first(0x80);
    let script = bench.bank.activate(&bench.request()).unwrap().unwrap();
    assert_eq!(bench.send_bytes(&script).1, Sw::OK);
    bench.ok("00A40400 08 A000000333010101 00");
    bench.ok("00200080 08 26654321FFFFFFFF");
    bench.online();
}

#[test]
fn cards_and_answers_are_a_function_of_the_seed() {
    let run = || {
        let mut bench = Bench::of(&application());
        bench.kind = 0x63;
        let decision = bench.online();
        (bench.icc.contents(), decision)
    };
    let (a, b) = (run(), run());
    assert!(a.0 == b.0);
    assert_eq!(a.1, b.1);
    assert_ne!(
        Keys::from_seed(7).of_card(ACCOUNT, 1),
        Keys::from_seed(8).of_card(ACCOUNT, 1)
    );
}

/// The bank of a published example, with its account.
fn bank_of(masters: [&str; 3], account: &str) -> Bank {
    let [cryptograms, macs, enciphering] = masters.map(|key| Key::triple_des(array(key)));
    let mut bank = Bank::new(Keys {
        des: KeySet {
            cryptograms,
            macs,
            enciphering,
        },
        ..Keys::from_seed(0)
    });
    bank.open(account, Account::of(Fen::new(10_000_000)));
    bank
}

const EXAMPLE: [&str; 3] = [
    "F0C34A8124CEE0A91A0B034AA97D6EAC",
    "12B1AC4AF070CC35612BFE2D30AB600D",
    "D30F45EABC12AC3EF56B0C0D7F8654DE",
];
const TOOL: [&str; 3] = [
    "31313131313131314040404040404040",
    "40404040404040405151515151515151",
    "51515151515151516161616161616161",
];

#[test]
fn the_published_example_is_authorised_as_it_stands() {
    let mut bank = bank_of(EXAMPLE, "6228000100001");
    let field = "9F2608 5D016C91005E7CC2 9F2701 80 9F1013 07010103A04002010A010000001000D1F61152 \
        9F3704 1E78EEBC 9F3602 0240 9505 0080046000 9A03 140701 9C01 00 9F0206 000000000001 \
        5F2A02 0156 8202 7D00 9F1A02 0156 9F0306 000000000000";
    let request = Request::of("6228000100001", 1).with_objects(&bytes(field));
    let request = request.unwrap();
    let decision = bank.authorise(&request).unwrap();
    // Its CVR says that no try at the PIN is left.
    assert_eq!(decision.issuer.cvr, Cvr([0xA0, 0x40, 0x02]));
    assert_eq!(decision.issuer.cash_balance(), Some(Fen::new(1_000)));
    assert_eq!(decision.reason, Reason::PinBlocked);
    assert!(decision.arpc.is_some());
    let spoiled = request.with(tag!(0x9F37), &[0; 4]);
    let decision = bank.authorise(&spoiled).unwrap();
    assert_eq!(decision.reason, Reason::WrongCryptogram);
}

/// Of its card the key for cryptograms is known, and no master.
#[test]
fn a_real_transaction_is_answered_for_a_card_whose_key_is_given() {
    let account = "6228000100001";
    let field = "9F0206 000000001234 9F0306 000000000034 9F1A02 0156 9505 D86004A800 5F2A02 0156 \
        9A03 120516 9C01 01 9F3704 01010101 8202 7C00 9F3602 000E 9F2701 80 \
        9F2608 F294D7022FA9B058 9F1013 07020103A4B904010A0100000000001BFC423C";
    let request = Request::of(account, 1).with_objects(&bytes(field)).unwrap();
    let mut bank = Bank::from_seed(0);
    bank.open(account, Account::of(Fen::new(10_000)));
    assert_eq!(bank.prove(&request), Ok(Err(Reason::WrongCryptogram)));
    let key = Key::triple_des(array("0D2E3CB0BC1F9E03AED58F663A2F9679"));
    bank.know_card(account, 1, CardKeys::Cryptograms(key));
    assert_eq!(bank.prove(&request), Ok(Ok(())));
    let decision = bank.authorise(&request).unwrap();
    assert_eq!(decision.reason, Reason::Approved);
    assert_eq!(decision.issuer.key_index, 2);
    assert_eq!(decision.issuer.cvr, Cvr([0xA4, 0xB9, 0x04]));
    assert_eq!(decision.arpc, Some(array("3846EEB4C8D34271")));
}

#[test]
fn the_keys_answer_and_scripts_of_the_tool_s_card_come_out() {
    let account = "8888800000000001";
    let mut bank = bank_of(TOOL, account);
    let card = bank.masters().of_card(account, 1).unwrap();
    let keys = "08B93D5426A7709E4F2346E3B083706D D90462EAFE73B5BA54BC5DA275670729 \
        135DD03E1CF268FDBF16C8E09B73D931";
    assert_eq!(card.des.to_bytes(), bytes(keys));
    assert_eq!(card.des.check_values(), bytes("6C71E0 8CEDEB B2D170"));
    let field = "9F2608 42D000A1A6D4244E 9F1013 07010103A00002010A0100001000003AEFE99A \
        9F3704 D64B8587 9F3602 0001 9505 0000040000 9A03 260701 9C01 00 9F0206 000000001500 \
        5F2A02 0156 8202 7D00 9F1A02 0156 9F0306 000000000000";
    let request = Request::of(account, 1).with_objects(&bytes(field)).unwrap();
    let decision = bank.authorise(&request).unwrap();
    assert_eq!(decision.reason, Reason::Approved);
    assert_eq!(decision.arpc, Some(array("670F601EFB306D92")));
    assert_eq!(
        decision.authentication_data(),
        Some(array("670F601EFB306D92 3030"))
    );
    let other = request.with(tag!(0x9F26), &bytes("7B4D0DB17F1F355D"));
    let scripts = bank.scripts(&other).unwrap().unwrap();
    for (command, expected) in [
        (
            scripts.load(Fen::new(105_000)),
            "04DA9F790A 000000105000 C8FF43A4",
        ),
        (scripts.block_application(), "841E000004 63573CAF"),
        (scripts.unblock_application(), "8418000004 1BB44931"),
        (scripts.block_card(), "8416000004 4BD5F3E0"),
        (scripts.unblock_pin(), "8424000004 846A2829"),
        (scripts.put_data(0x9F58, &[5]), "04DA9F5805 05 B39A71C9"),
        (
            scripts.change_pin("654321", None).unwrap(),
            "8424000214 7B6196F0AA3A7D539EEA9185E71DFA6A 451DB99E",
        ),
        (
            scripts.change_pin("654321", Some("123456")).unwrap(),
            "8424000114 00B3BFBF77A2B2959EEA9185E71DFA6A E92B319F",
        ),
    ] {
        assert_eq!(command, bytes(expected));
    }
}
