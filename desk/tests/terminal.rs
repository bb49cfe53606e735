//! The terminal over a card of each shipped profile, with each kind of module.

use cardlab::apdu::Sw;
use cardlab::fen::Fen;
use cardlab::icc::{Icc, Lost};
use cardlab::link::pulled::{Pulled, When};
use cardlab::link::tap::{Event, Tap};
use cardlab::os::Card;
use cardlab_desk::encode::{self, DecodeError, hexadecimal};
use cardlab_desk::hsm::TestRoot;
use cardlab_desk::issue::issue;
use cardlab_desk::medical::Amounts;
use cardlab_desk::profile::{Kind, Profile, SpecVersion};
use cardlab_desk::sam::{Level, Outfit, Sam};
use cardlab_desk::terminal::{
    Address, AuthType, Data, Failure, HsmError, HsmLink, HsmModule, Layouts, Payment, Policy,
    PsamModule, Receipt, SecurityModule, Terminal, TestHost, TestHsm,
};
use proptest::prelude::{Just, ProptestConfig, Strategy, any, prop, prop_oneof, proptest};
use std::sync::{LazyLock, Mutex, OnceLock, PoisonError};

const SEED: u64 = 7;
const TERMINAL: [u8; 6] = [0x41, 0x16, 0x00, 0x00, 0x00, 0x01];
const TIME: [u8; 7] = [0x20, 0x26, 0x01, 0x02, 0x08, 0x30, 0x00];
/// The PIN that every card here has after its first change.
const PIN: &str = "246810";

fn layouts() -> &'static Layouts {
    static LAYOUTS: OnceLock<Layouts> = OnceLock::new();
    LAYOUTS.get_or_init(|| Layouts::national().unwrap_or_else(|report| panic!("{report}")))
}

/// A card that is in use: its initial PIN was changed.
fn card(name: &str) -> (Card, Profile) {
    let profile = Profile::load(name).unwrap_or_else(|report| panic!("{report}"));
    let mut card = Card::manufacture(&cardlab_applets::ROM, SEED);
    issue(&mut card, &profile, SEED).unwrap_or_else(|error| panic!("{error}"));
    let mut module = module();
    let changed = terminal(&mut card, &mut module, Policy::default()).change_pin("123456", PIN);
    assert_eq!(changed, Ok(()), "{name}");
    (card, profile)
}

fn module() -> HsmModule<TestHsm> {
    HsmModule::new(hsm(), TERMINAL)
}

/// A module of each kind and level.
fn modules(profile: &Profile) -> Vec<Box<dyn SecurityModule>> {
    let mut modules: Vec<Box<dyn SecurityModule>> = vec![Box::new(module())];
    for level in Level::ALL {
        let outfit = Outfit {
            terminal: TERMINAL,
            ..Outfit::of(profile, level)
        };
        let sam = Sam::issue(profile, SEED, &outfit).expect("a PSAM");
        modules.push(Box::new(PsamModule::new(sam)));
    }
    modules
}

/// Each of these profiles, with a card in use and each kind of module in turn.
fn every<'n>(
    names: impl IntoIterator<Item = &'n str>,
) -> impl Iterator<Item = (&'n str, Card, Profile, Box<dyn SecurityModule>)> {
    names.into_iter().flat_map(|name| {
        let (mut card, profile) = card(name);
        let modules = modules(&profile).into_iter();
        let each = modules.map(|module| (name, card.fork(), profile.clone(), module));
        each.collect::<Vec<_>>()
    })
}

fn hsm() -> TestHsm {
    TestHsm::new(TestRoot::from_seed(SEED), layouts().all())
}

fn terminal<'t>(
    card: &'t mut dyn Icc,
    module: &'t mut dyn SecurityModule,
    policy: Policy,
) -> Terminal<'t> {
    Terminal::new(card, module, layouts(), policy)
}

fn keyed(pin: &str) -> Policy {
    Policy {
        pin: Some(pin.to_owned()),
        ..Policy::default()
    }
}

fn payment(account: u32) -> Payment {
    Payment {
        index: 1,
        amounts: Amounts {
            account: Fen::new(account),
            own: Fen::new(20),
            pooled: Fen::new(3),
        },
        time: TIME,
    }
}

fn host(profile: &Profile) -> TestHost<'_> {
    TestHost::new(TestRoot::from_seed(SEED), profile)
}

fn value(profile: &Profile, directory: &str, fid: u16, tag: u8) -> String {
    let file = profile
        .directory_by_label(directory)
        .and_then(|directory| directory.file(fid))
        .expect("a file");
    let records = file.records.iter();
    let item = records.map(|r| &r.item).find(|i| i.tag == Some(tag));
    item.and_then(|item| item.text.clone()).unwrap_or_default()
}

#[test]
fn base_data_are_those_of_the_card_in_the_order_of_the_interface() {
    for (name, mut card, profile, mut module) in every(Profile::shipped()) {
        let policy = Policy {
            device: "W01".to_owned(),
            ..Policy::default()
        };
        let base = terminal(&mut card, &mut *module, policy)
            .read_base()
            .unwrap();
        let text = base.to_string();
        let fields: Vec<_> = text.strip_suffix('|').unwrap().split('|').collect();
        let issuer = |tag| value(&profile, "SSSE", 0xEF05, tag);
        let holder = |tag| value(&profile, "SSSE", 0xEF06, tag);
        assert_eq!(
            fields,
            [
                &hexadecimal(&profile.region),
                &holder(0x08),
                &issuer(0x07),
                fields[3],
                &(holder(0x09) + &holder(0x4E)),
                &hexadecimal(&profile.historical),
                &issuer(0x03),
                &issuer(0x05),
                &issuer(0x06),
                "411600000001",
                "W01",
            ],
            "{name}"
        );
        assert!(fields[3].starts_with(&format!("{}D156000005", fields[0])));
        assert_eq!(fields[3].len(), 32);
    }
}

/// A card of another issuer, which wrote some records in its own way.
struct Written {
    card: Card,
    /// The values, by tag.
    values: Vec<(u8, Vec<u8>)>,
}

impl Icc for Written {
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
        self.card.transmit(command, response)?;
        for (tag, value) in &self.values {
            if command.starts_with(&[0x00, 0xB2, *tag]) && response.first() == Some(tag) {
                response[2..2 + value.len()].copy_from_slice(value);
            }
        }
        Ok(())
    }
}

/// A name cut where its place ends, between two bytes of a character or not.
fn cut(name: &str) -> Vec<(u8, Vec<u8>)> {
    let bytes = encode::an(name, 50).expect("a name");
    let (head, rest) = bytes.split_at(30);
    vec![(0x09, head.to_vec()), (0x4E, rest.to_vec())]
}

#[test]
fn a_name_that_is_cut_in_a_character_is_told_with_the_place() {
    let long = format!("a{}", "周".repeat(16));
    let four = format!("{}𬭎李", "周".repeat(14));
    // 1.0 has no continuation: what does not fit is lost.
    let lost = format!("a{}\u{FFFD}", "周".repeat(14));
    let both = Some(DecodeError::Cut { at: 16, from: 30 });
    for (profile, name, read, fault) in [
        ("national-1.0", &long, &lost, both),
        ("national-2.0", &long, &long, both),
        ("national-3.0", &long, &long, both),
        (
            "henan-3.0",
            &four,
            &four,
            Some(DecodeError::Cut { at: 15, from: 29 }),
        ),
        ("henan-2.0", &"周".repeat(16), &"周".repeat(16), None),
    ] {
        let (card, _) = card(profile);
        let mut card = Written {
            card,
            values: cut(name),
        };
        let mut module = module();
        let base = terminal(&mut card, &mut module, Policy::default()).read_base();
        let base = base.unwrap();
        assert_eq!((&base.name, base.name_fault), (read, fault), "{profile}");
        assert!(base.to_string().contains(&format!("|{read}|")), "{profile}");
    }
}

#[test]
fn what_the_layout_has_can_be_read_by_the_pin_or_by_the_key() {
    for (name, mut card, profile, mut module) in every(Profile::shipped()) {
        let layout = layouts().of(profile.version);
        for directory in &layout.directories {
            for file in &directory.files {
                let address: Address = address(&directory.label, file).parse().unwrap();
                for by in [AuthType::Pin, AuthType::Key] {
                    let mut terminal = terminal(&mut card, &mut *module, keyed(PIN));
                    match terminal.read(by, &address) {
                        Ok(data) => {
                            let expected = match file.kind {
                                Kind::Transparent { .. } => 1,
                                Kind::Cyclic { .. } => data.0[0].values.len(),
                                _ => file.records.len(),
                            };
                            assert_eq!(data.0[0].values.len(), expected, "{name} {address}");
                        }
                        // Annex B gives no numbers to the keys of DF06.
                        Err(Failure::NoKey(key)) if directory.label == "DF06" => {
                            assert_eq!(key, "RK1DF06");
                        }
                        Err(failure) => panic!("{name} {address}: {failure}"),
                    }
                }
            }
        }
    }
}

/// The address of a file with all its items.
fn address(directory: &str, file: &cardlab_desk::profile::File) -> String {
    let items = file.records.iter().map(|record| {
        let tag = record.item.tag.expect("a tag");
        match record.occurrence {
            1 => format!("{tag:02X}|"),
            _ => format!("{tag:02X}:{}|", record.number),
        }
    });
    let items: String = items.collect();
    format!("{directory}{:04X}|{items}$", file.fid)
}

#[test]
fn what_is_written_is_read_again_and_costs_only_its_own_file() {
    let names = ["national-2.0", "national-3.0", "henan-2.0", "henan-3.0"];
    for (name, mut card, _, mut module) in every(names) {
        for (address, data) in [
            ("DF01EF06|28|$", "DF01EF06|13800000000|$"),
            (
                "DF01EF0A|37|38|$DF01EF15|2A|40:2|$",
                "DF01EF0A|CHN|13|$DF01EF15|21|303^010203^中原示范大学|$",
            ),
            ("DF02EF07|$", "DF02EF07|6020000^20240101^20241231^示范厂|$"),
            ("DF04EF06|90|92|$", "DF04EF06|1|20240101|$"),
        ] {
            let written: Address = address.parse().unwrap();
            let data: Data = data.parse().unwrap();
            let mut terminal = terminal(&mut card, &mut *module, keyed(PIN));
            assert_eq!(terminal.write(&written, &data), Ok(()), "{name} {address}");
            let read = terminal.read(AuthType::Pin, &written).unwrap();
            assert_eq!(read.0[0].values[0], data.0[0].values[0], "{name} {address}");
            if !address.starts_with("DF02EF07") {
                assert_eq!(read, data, "{name}");
            }
        }
    }
    let (mut card, _) = card("national-1.0");
    let written: Address = "SSSEEF06|0B|$DF01EF07|29|$".parse().unwrap();
    let data: Data = "SSSEEF06|01|$DF01EF07|1|$".parse().unwrap();
    let mut module = module();
    let mut terminal = terminal(&mut card, &mut module, keyed(PIN));
    assert_eq!(terminal.write(&written, &data), Ok(()));
    assert_eq!(terminal.read(AuthType::Pin, &written), Ok(data));
}

#[test]
fn what_ends_in_e_on_a_1_0_card_has_the_meaning_of_2_0() {
    let (card, _) = card("national-1.0");
    let mut hospital = b"31011001".to_vec();
    hospital.resize(62, 0xEE);
    let values = vec![
        (0x37, b"CHN\xEE".to_vec()),
        // An amount that happens to end so.
        (0x38, vec![0x00, 0x00, 0x01, 0xEE]),
        (0x4D, vec![0x41, 0x16, 0x02, 0xEE]),
        (0x50, vec![0x20, 0x20, 0x01, 0x01]),
        (0x81, hospital),
    ];
    let mut card = Written { card, values };
    let mut module = module();
    let mut terminal = terminal(&mut card, &mut module, keyed(PIN));
    let address = "DF01EF0A|37|38|$DF02EF06|4D|50|$DF04EF05|81|$";
    let data = terminal.read(AuthType::Pin, &address.parse().unwrap());
    let read = "DF01EF0A|CHN|000001EE|$DF02EF06|411602|20200101|$DF04EF05|31011001|$";
    assert_eq!(data.unwrap().to_string(), read);
}

#[test]
fn a_1_0_card_that_is_used_again_is_written_with_the_meaning_of_2_0() {
    let address: Address = "DF01EF0A|37|38|$DF02EF06|4D|$".parse().unwrap();
    let data: Data = "DF01EF0A|CHN|13|$DF02EF06|411602|$".parse().unwrap();
    let again = Policy {
        reuse: true,
        ..keyed(PIN)
    };
    let (mut card, _) = card("national-1.0");
    let mut module = module();
    let refused = terminal(&mut card, &mut module, keyed(PIN)).write(&address, &data);
    assert!(matches!(refused, Err(Failure::Value(..))), "{refused:?}");
    let mut sent = Vec::new();
    let mut tap = Tap::new(&mut card, |event| {
        if let Event::Exchange {
            command: [0x00, 0xDC, _, _, _, record @ ..],
            ..
        } = event
        {
            sent.push(hexadecimal(record));
        }
    });
    let mut window = terminal(&mut tap, &mut module, again.clone());
    assert_eq!(window.write(&address, &data), Ok(()));
    assert_eq!(window.read(AuthType::Pin, &address), Ok(data));
    // Four bytes are there, and one of them is for the filling.
    let class: Address = "DF02EF06|4B|$".parse().unwrap();
    let long: Data = "DF02EF06|10112|$".parse().unwrap();
    let refused = window.write(&class, &long);
    assert!(matches!(refused, Err(Failure::Value(..))), "{refused:?}");
    // What has one meaning is written as it is.
    let phone: Address = "DF01EF06|28|$".parse().unwrap();
    let number: Data = "DF01EF06|13800000000|$".parse().unwrap();
    assert_eq!(window.write(&phone, &number), Ok(()));
    assert_eq!(
        sent,
        [
            "370443484EEE",
            "38043133EEEE",
            "4D04411602EE",
            "280F313338303030303030303000000000"
        ]
    );
}

#[test]
fn a_2_0_card_is_written_with_its_own_meanings_always() {
    let again = Policy {
        reuse: true,
        ..keyed(PIN)
    };
    let (mut card, _) = card("national-2.0");
    let mut module = module();
    let mut terminal = terminal(&mut card, &mut module, again);
    let address: Address = "DF01EF0A|37|38|$".parse().unwrap();
    let data: Data = "DF01EF0A|CHN|13|$".parse().unwrap();
    assert_eq!(terminal.write(&address, &data), Ok(()));
    assert_eq!(terminal.read(AuthType::Pin, &address), Ok(data));
}

#[test]
fn nothing_is_written_where_one_value_does_not_fit() {
    let (mut card, _) = card("henan-2.0");
    let mut module = module();
    let mut terminal = terminal(&mut card, &mut module, keyed(PIN));
    let address: Address = "DF01EF06|28|2C|$".parse().unwrap();
    let before = terminal.read(AuthType::Pin, &address).unwrap();
    let bad: Data = format!("DF01EF06|110|{}|$", "周".repeat(26))
        .parse()
        .unwrap();
    let refused = terminal.write(&address, &bad).unwrap_err();
    assert!(matches!(refused, Failure::Value(..)), "{refused}");
    assert_eq!(refused.code(), -27264);
    let other: Data = "DF01EF06|110|$".parse().unwrap();
    assert_eq!(terminal.write(&address, &other).unwrap_err().code(), -22);
    assert_eq!(terminal.read(AuthType::Pin, &address), Ok(before));
}

#[test]
fn an_address_has_items_where_its_file_has_them_and_nowhere_else() {
    let (mut card, _) = card("henan-2.0");
    let mut module = module();
    let mut terminal = terminal(&mut card, &mut module, keyed(PIN));
    for (address, data) in [
        // Variable, with items; cyclic; transparent.
        ("DF01EF06|$", "DF01EF06|13800000000|$"),
        ("DF01EF06$", "DF01EF06|13800000000|$"),
        ("DF02EF07|3A|$", "DF02EF07|6020000^20260102^^|$"),
        ("SSSEEF07|09|$", "SSSEEF07|FFFF|$"),
    ] {
        let (address, data) = (address.parse().unwrap(), data.parse().unwrap());
        let read = terminal.read(AuthType::Key, &address);
        assert_eq!(read.unwrap_err().code(), -27264, "{address} read");
        let written = terminal.write(&address, &data);
        assert_eq!(written.unwrap_err().code(), -27264, "{address} written");
    }
}

#[test]
fn the_pin_is_verified_changed_locked_unlocked_and_set_anew() {
    for (name, mut card, profile, mut module) in every(Profile::shipped()) {
        let mut terminal = terminal(&mut card, &mut *module, Policy::default());
        assert_eq!(terminal.verify_pin(PIN), Ok(()), "{name}");
        assert_eq!(terminal.change_pin(PIN, "1357"), Ok(()), "{name}");
        for left in (1..profile.pin.tries).rev() {
            assert_eq!(terminal.verify_pin(PIN), Err(Failure::PinWrong(left)));
        }
        assert_eq!(terminal.verify_pin(PIN), Err(Failure::PinLocked));
        let locked = terminal.verify_pin("1357").unwrap_err();
        assert_eq!((locked.clone(), locked.code()), (Failure::PinLocked, -52));
        assert_eq!(terminal.change_pin("1357", PIN), Err(Failure::PinLocked));
        assert_eq!(terminal.unblock_pin(), Ok(()), "{name}");
        assert_eq!(terminal.verify_pin("1357"), Ok(()), "{name}");
        assert_eq!(terminal.reload_pin("123456"), Ok(()), "{name}");
        assert_eq!(terminal.verify_pin("123456"), Ok(()), "{name}");
        assert_eq!(terminal.verify_pin("12"), Err(Failure::NoPin));
    }
}

#[test]
fn the_initial_pin_neither_transacts_nor_comes_back() {
    for name in ["national-1.0", "national-2.0", "national-3.0"] {
        let (mut card, _) = card(name);
        let mut module = module();
        let address: Address = "DF01EF07|29|$".parse().unwrap();
        let mut terminal = terminal(&mut card, &mut module, keyed("123456"));
        let refused = terminal.change_pin(PIN, "123456").unwrap_err();
        assert_eq!(refused.code(), -36, "{name}");
        assert_eq!(terminal.reload_pin("123456"), Ok(()));
        let refused = terminal.read(AuthType::Pin, &address).unwrap_err();
        assert_eq!(refused.code(), -35, "{name}");
        assert_eq!(terminal.debit(&payment(1)).unwrap_err().code(), -35);
    }
}

#[test]
fn a_card_whose_first_change_comes_first_is_told_as_one() {
    let profile = Profile::load("henan-2.0").unwrap_or_else(|report| panic!("{report}"));
    let mut card = Card::manufacture(&cardlab_applets::ROM, SEED);
    issue(&mut card, &profile, SEED).unwrap_or_else(|error| panic!("{error}"));
    let layouts = layouts().clone().with(profile.clone());
    let mut module = module();
    let with = |pin: &str| Policy {
        pin: Some(pin.to_owned()),
        ..Policy::default()
    };
    let mut host = host(&profile);
    let mut of_new = Terminal::new(&mut card, &mut module, &layouts, with("123456"));
    for address in ["DF01EF06|23|$", "DF04EF08|$"] {
        let refused = of_new.read(AuthType::Pin, &address.parse().unwrap());
        let refused = refused.unwrap_err();
        assert!(
            matches!(refused, Failure::FirstChange("READ RECORD", _)),
            "{refused}"
        );
        assert_eq!(refused.code(), -27013);
    }
    let refused = of_new.load(&payment(0), &mut host).unwrap_err();
    assert_eq!(
        refused,
        Failure::FirstChange("INITIALIZE FOR LOAD", Sw::CONDITIONS_NOT_MET)
    );
    assert!(refused.words().ends_with("change it first"), "{refused}");
    assert!(refused.words_zh().contains("初始密码"), "{refused}");
    assert_eq!(of_new.change_pin("123456", PIN), Ok(()));
    let mut terminal = Terminal::new(&mut card, &mut module, &layouts, with(PIN));
    assert!(terminal.load(&payment(0), &mut host).is_ok());
    // The same word for another reason is the card's own.
    let (mut other, _) = self::card("national-2.0");
    let mut terminal = self::terminal(&mut other, &mut module, Policy::default());
    let refused = terminal.load(&payment(0), &mut host).unwrap_err();
    assert!(
        matches!(refused, Failure::Card("INITIALIZE FOR LOAD", _)),
        "{refused}"
    );
}

#[test]
fn without_a_pin_what_the_pin_opens_stays_closed() {
    let (mut card, _) = card("national-2.0");
    let mut module = module();
    let mut terminal = terminal(&mut card, &mut module, Policy::default());
    for closed in ["DF01EF07|29|$", "DF04EF06|90|$", "DF04EF08|$"] {
        let refused = terminal.read(AuthType::Pin, &closed.parse().unwrap());
        assert_eq!(refused.unwrap_err().code(), -27010, "{closed}");
    }
}

#[test]
fn what_the_layout_does_not_have_is_told_apart() {
    let (mut card, _) = card("national-2.0");
    let mut module = module();
    let mut terminal = terminal(&mut card, &mut module, keyed(PIN));
    for (address, code) in [
        ("DF09EF05|01|$", -27266),
        ("SSSEEF09|01|$", -27266),
        ("SSSEEF05|08|$", -27267),
        ("DF01EF15|40:1|$", -27267),
    ] {
        let refused = terminal.read(AuthType::Pin, &address.parse().unwrap());
        assert_eq!(refused.unwrap_err().code(), code, "{address}");
    }
}

#[test]
fn a_lost_card_answers_and_is_refused_by_the_terminal() {
    let (mut card, _) = card("henan-3.0");
    let mut module = module();
    let base = terminal(&mut card, &mut module, Policy::default());
    let base = { base }.read_base().unwrap();
    let number = &base.facts.card_number;
    let code = hexadecimal(&base.facts.identity.recognition_code);
    for list in [format!("{code},{number}"), format!("{number}-{number}")] {
        let policy = Policy {
            blacklist: list.parse().unwrap(),
            ..Policy::default()
        };
        let refused = terminal(&mut card, &mut module, policy).read_base();
        assert_eq!(refused, Err(Failure::Blacklisted));
    }
    let policies = [
        (
            -9002,
            Policy {
                today: Some("20340602".into()),
                ..Policy::default()
            },
        ),
        (
            -9003,
            Policy {
                institutions: vec!["915600000244".into()],
                ..Policy::default()
            },
        ),
        (
            -9004,
            Policy {
                classes: vec!["1".into()],
                ..Policy::default()
            },
        ),
        (
            -22,
            Policy {
                card_info: Some(format!("411600||{number}|00|")),
                ..Policy::default()
            },
        ),
    ];
    for (code, policy) in policies {
        let refused = terminal(&mut card, &mut module, policy).read_base();
        assert_eq!(refused.unwrap_err().code(), code);
    }
    let policy = Policy {
        today: Some("20340601".into()),
        institutions: vec!["9156000002411600".into()],
        card_info: Some(base.to_string()),
        ..Policy::default()
    };
    assert_eq!(
        terminal(&mut card, &mut module, policy).read_base(),
        Ok(base)
    );
}

#[test]
fn the_keys_of_another_issuer_do_not_open_the_card() {
    for name in Profile::shipped() {
        let (mut card, _) = card(name);
        let other = TestHsm::new(TestRoot::from_seed(SEED + 1), layouts().all());
        let mut module = HsmModule::new(other, TERMINAL);
        let refused = terminal(&mut card, &mut module, Policy::default()).read_base();
        assert_eq!(refused.unwrap_err().code(), -21, "{name}");
    }
}

fn receipt(result: Result<Receipt, Failure>) -> Receipt {
    result.unwrap_or_else(|failure| panic!("{failure}"))
}

#[test]
fn money_is_loaded_paid_and_listed() {
    for (name, mut card, profile, mut module) in every(Profile::shipped()) {
        let mut terminal = terminal(&mut card, &mut *module, keyed(PIN));
        let loaded = receipt(terminal.load(&payment(1000), &mut host(&profile)));
        let before = loaded.balance.unwrap().count() - 1000;
        let paid = receipt(terminal.debit(&payment(300)));
        assert_eq!(paid.balance, Some(Fen::new(before + 700)), "{name}");
        assert_ne!(paid.tac, loaded.tac);
        let records = terminal.debit_records().unwrap();
        let lines: Vec<_> = records.iter().map(ToString::to_string).collect();
        let time = "20260102083000";
        assert_eq!(
            lines,
            [
                format!("{}^2^411600000001^{time}^300^20^3", paid.number),
                format!("{}^1^411600000001^{time}^1000^0^0", loaded.number),
            ],
            "{name}"
        );
        let refused = terminal.debit(&payment(before + 701)).unwrap_err();
        assert_eq!(refused.code(), -37889, "{name}: {refused}");
        let mut unknown = payment(1);
        unknown.index = 9;
        assert_eq!(terminal.debit(&unknown).unwrap_err().code(), -37891);
        assert_eq!(terminal.pending(), None);
    }
}

#[test]
fn a_pulled_card_says_when_it_comes_back_whether_it_took_the_money() {
    for (name, mut issued, profile, mut module) in every(Profile::shipped()) {
        for (ins, when) in [
            (0x2C, When::After),
            (0x2C, When::Before),
            (0x2A, When::After),
            (0x2A, When::Before),
        ] {
            let arrives = when == When::After;
            let mut pulled = Pulled::new(issued.fork());
            let mut host = host(&profile);
            let loaded =
                terminal(&mut pulled, &mut *module, keyed(PIN)).load(&payment(500), &mut host);
            let balance = receipt(loaded).balance.unwrap().count();
            pulled.pull_at(ins, when);
            let mut terminal = terminal(&mut pulled, &mut *module, keyed(PIN));
            let result = match ins {
                0x2C => terminal.debit(&payment(100)),
                _ => terminal.load(&payment(100), &mut host),
            };
            assert_eq!(result.unwrap_err().code(), -4, "{name}");
            let pending = terminal.pending().cloned().unwrap();
            let recovered = terminal.recover(&pending, &mut host).unwrap();
            assert_eq!(recovered.is_some(), arrives, "{name} {ins:02X}");
            assert_eq!(terminal.pending(), None);
            let expected = match (arrives, ins) {
                (false, _) => balance,
                (true, 0x2C) => balance - 100,
                (true, _) => balance + 100,
            };
            let paid = receipt(terminal.debit(&payment(1)));
            assert_eq!(paid.balance, Some(Fen::new(expected - 1)), "{name}");
        }
    }
}

#[test]
fn another_card_does_not_answer_for_the_pulled_one() {
    let (first, profile) = card("henan-2.0");
    let (mut second, _) = card("national-2.0");
    let mut pulled = Pulled::new(first);
    pulled.pull_at(0x2A, When::After);
    let mut module = module();
    let mut host = host(&profile);
    let mut before = terminal(&mut pulled, &mut module, keyed(PIN));
    assert!(before.load(&payment(1), &mut host).is_err());
    let pending = before.pending().cloned().unwrap();
    let mut after = terminal(&mut second, &mut module, keyed(PIN));
    let refused = after.recover(&pending, &mut host).unwrap_err();
    assert_eq!(refused.code(), -22);
}

/// A card that answers '6CXX' to every Le that is not exact, and puts answers off.
struct Exact(Card);

impl Icc for Exact {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.0.power_on()
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.0.reset()
    }

    fn power_off(&mut self) {
        self.0.power_off();
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        let mut fork = self.0.fork();
        let mut long = command.to_vec();
        if command.get(1) == Some(&0xB2) && command.len() == 5 {
            long[4] = 0;
            fork.transmit(&long, response)?;
            let len = match response.as_slice() {
                [.., 0x6C, len] => *len,
                all => u8::try_from(all.len() - 2).unwrap_or(0),
            };
            if len > 0 && command[4] != len {
                *response = vec![0x6C, len];
                return Ok(());
            }
        }
        self.0.transmit(command, response)
    }
}

#[test]
fn a_card_that_wants_each_le_exact_is_read_as_any_other() {
    let (card, profile) = card("national-2.0");
    let mut exact = Exact(card);
    let mut module = module();
    let mut terminal = terminal(&mut exact, &mut module, keyed(PIN));
    let base = terminal.read_base().unwrap();
    assert_eq!(base.number, value(&profile, "SSSE", 0xEF06, 0x08));
    assert_eq!(profile.version, SpecVersion::V2);
}

/// What is answered in the place of what should be, if anything.
#[derive(Clone, Debug)]
enum Whim {
    /// What should be.
    Right,
    /// These bytes, and nothing is done.
    Bytes(Vec<u8>),
    /// The right answer, with one bit turned.
    Turned(u8),
    /// None.
    Silent,
}

/// Whims in turn.
#[derive(Clone, Debug)]
struct Whims {
    all: Vec<Whim>,
    turn: usize,
}

impl Whims {
    fn none() -> Whims {
        Whims {
            all: vec![Whim::Right],
            turn: 0,
        }
    }

    fn next(&mut self) -> Whim {
        self.turn += 1;
        self.all[(self.turn - 1) % self.all.len()].clone()
    }
}

/// Mostly right, so that a function comes far before it is lied to.
fn whims() -> impl Strategy<Value = Whims> {
    let bytes = || prop::collection::vec(any::<u8>(), 0..40);
    let good = bytes().prop_map(|bytes| [bytes, vec![0x90, 0x00]].concat());
    // As long as what decides is answered.
    let long = prop::collection::vec(any::<u8>(), 4..=8)
        .prop_map(|bytes| [bytes, vec![0x90, 0x00]].concat());
    let whim = prop_oneof![
        24 => Just(Whim::Right),
        1 => bytes().prop_map(Whim::Bytes),
        1 => good.prop_map(Whim::Bytes),
        1 => long.prop_map(Whim::Bytes),
        2 => any::<u8>().prop_map(Whim::Turned),
        1 => Just(Whim::Silent),
    ];
    prop::collection::vec(whim, 1..60).prop_map(|all| Whims { all, turn: 0 })
}

fn turn(bytes: &mut [u8], bit: u8) {
    let at = usize::from(bit / 8) % bytes.len().max(1);
    if let Some(byte) = bytes.get_mut(at) {
        *byte ^= 1 << (bit % 8);
    }
}

/// A card or a PSAM that does not always answer what it should.
struct Whimsical<I> {
    icc: I,
    whims: Whims,
    /// How often money was moved.
    moved: usize,
}

impl<I: Icc> Icc for Whimsical<I> {
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
        let whim = self.whims.next();
        match whim {
            Whim::Right | Whim::Turned(_) => self.icc.transmit(command, response)?,
            Whim::Bytes(bytes) => {
                *response = bytes;
                return Ok(());
            }
            Whim::Silent => return Err(Lost::Mute),
        }
        let decides = matches!(command, [0xB0, 0x2A | 0x2C, ..]);
        self.moved += usize::from(decides && response.ends_with(&[0x90, 0x00]));
        if let Whim::Turned(bit) = whim {
            turn(response, bit);
        }
        Ok(())
    }
}

/// An HSM of the same kind.
struct WhimsicalHsm(TestHsm, Whims);

impl HsmLink for WhimsicalHsm {
    fn answer(&mut self, ask: &str) -> Result<String, HsmError> {
        match self.1.next() {
            Whim::Right => self.0.answer(ask),
            // Fields of hexadecimal digits, or anything.
            Whim::Bytes(bytes) if bytes.len() % 2 == 0 => {
                let fields = bytes.chunks(8).map(|field| hexadecimal(field) + "|");
                Ok(fields.collect())
            }
            Whim::Bytes(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
            Whim::Turned(bit) => {
                let mut answer = self.0.answer(ask)?.into_bytes();
                turn(&mut answer, bit);
                Ok(String::from_utf8_lossy(&answer).into_owned())
            }
            Whim::Silent => Err(HsmError::Link("no line".to_owned())),
        }
    }
}

/// Cards with 10 yuan in their accounts, of both algorithms.
fn rich() -> [(Card, Profile); 2] {
    static CARDS: LazyLock<Mutex<[(Card, Profile); 2]>> = LazyLock::new(|| {
        Mutex::new(["national-2.0", "henan-3.0"].map(|name| {
            let (mut card, profile) = card(name);
            let mut module = module();
            let mut terminal = terminal(&mut card, &mut module, keyed(PIN));
            receipt(terminal.load(&payment(1000), &mut host(&profile)));
            (card, profile)
        }))
    });
    let mut cards = CARDS.lock().unwrap_or_else(PoisonError::into_inner);
    cards
        .each_mut()
        .map(|(card, profile)| (card.fork(), profile.clone()))
}

/// Does each function once, each with a card in the same state. Money that one says was
/// moved was moved by the card. How many succeeded.
fn do_all(
    card: &mut Card,
    profile: &Profile,
    whims: &Whims,
    module: &mut dyn SecurityModule,
) -> usize {
    let read: Address = "DF01EF06|28|$DF04EF08|$".parse().expect("an address");
    let phone: Address = "DF01EF06|28|$".parse().expect("an address");
    let data: Data = "DF01EF06|13800000000|$".parse().expect("data");
    let mut succeeded = 0;
    for function in 0..10 {
        let mut card = Whimsical {
            icc: card.fork(),
            whims: Whims {
                turn: function,
                ..whims.clone()
            },
            moved: 0,
        };
        let mut host = host(profile);
        let mut terminal = terminal(&mut card, module, keyed(PIN));
        let done = match function {
            0 => terminal.read_base().is_ok(),
            1 => terminal.read(AuthType::Key, &read).is_ok(),
            2 => terminal.write(&phone, &data).is_ok(),
            3 => terminal.verify_pin(PIN).is_ok(),
            4 => terminal.change_pin(PIN, "135790").is_ok(),
            5 => terminal.reload_pin("135790").is_ok(),
            6 => terminal.unblock_pin().is_ok(),
            7 => terminal.debit_records().is_ok(),
            8 => terminal.debit(&payment(100)).is_ok(),
            _ => terminal.load(&payment(100), &mut host).is_ok(),
        };
        let mut said = done && function > 7;
        if let Some(pending) = terminal.pending().cloned() {
            said |= matches!(terminal.recover(&pending, &mut host), Ok(Some(_)));
        }
        assert!(
            !said || card.moved == 1,
            "function {function} with {whims:?}"
        );
        succeeded += usize::from(done);
    }
    succeeded
}

#[test]
fn each_function_succeeds_where_nobody_lies() {
    for (mut card, profile) in rich() {
        for module in &mut modules(&profile) {
            let whims = Whims::none();
            assert_eq!(do_all(&mut card, &profile, &whims, &mut **module), 10);
        }
    }
}

#[test]
fn one_lie_of_a_card_at_any_command_makes_no_terminal_believe_in_money() {
    let zeros = |len: usize| [&[0; 8][..len], &[0x90, 0x00]].concat();
    for (mut card, profile) in rich() {
        for module in &mut modules(&profile)[..2] {
            for at in 0..50 {
                for lie in [
                    Whim::Bytes(zeros(8)),
                    Whim::Bytes(zeros(4)),
                    Whim::Bytes(zeros(0)),
                    Whim::Turned(0),
                    Whim::Silent,
                ] {
                    let mut all = vec![Whim::Right; 100];
                    all[at] = lie;
                    let whims = Whims { all, turn: 0 };
                    do_all(&mut card, &profile, &whims, &mut **module);
                }
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(128))]

    #[test]
    fn no_answer_of_a_card_makes_a_terminal_panic_or_believe_in_money(whims in whims()) {
        for (mut card, profile) in rich() {
            for module in &mut modules(&profile)[..2] {
                do_all(&mut card, &profile, &whims, &mut **module);
            }
        }
    }

    #[test]
    fn no_answer_of_a_module_makes_a_terminal_panic_or_believe_in_money(whims in whims()) {
        for (mut card, profile) in rich() {
            let outfit = Outfit {
                terminal: TERMINAL,
                ..Outfit::of(&profile, Level::National)
            };
            let psam = Whimsical {
                icc: Sam::issue(&profile, SEED, &outfit).expect("a PSAM"),
                whims: whims.clone(),
                moved: 0,
            };
            let honest = Whims::none();
            do_all(&mut card, &profile, &honest, &mut PsamModule::new(psam));
            let hsm = WhimsicalHsm(hsm(), whims.clone());
            do_all(&mut card, &profile, &honest, &mut HsmModule::new(hsm, TERMINAL));
        }
    }
}
