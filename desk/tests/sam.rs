//! The PSAM as a card: its sums are the desk's own, and the cards take them.

use cardlab::crypto::derive::{self, Region};
use cardlab::crypto::{Algorithm, CbcMac, Cipher, Expanded, Padding};
use cardlab::icc::Icc;
use cardlab::link::t0::T0;
use cardlab::os::Card;
use cardlab_desk::hsm::{Hsm, TestRoot};
use cardlab_desk::issue::{Issued, issue};
use cardlab_desk::profile::{Key as Described, Profile, Purpose};
use cardlab_desk::sam::{ADMINISTRATION, Level, Outfit, Sam};

const SEED: u64 = 7;
const SELECT_SSSE: &str = "00A404000F7378312E73682EC9E7BBE1B1A3D5CF";
const SELECT_SIXTEEN: &str = "00A404000F7378322E73682EC9E7BBE1B1A3D5CF";
const CHALLENGE: [u8; 8] = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88];
const RAW: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];

fn load(name: &str) -> Profile {
    Profile::load(name).unwrap_or_else(|report| panic!("{report}"))
}

fn bytes(hex: &str) -> Vec<u8> {
    hex::decode(hex.replace(' ', "")).expect("hex")
}

/// What a PC/SC program sees: it fetches what T=0 holds back. Data and status word in hex.
fn send(icc: &mut dyn Icc, command: &str) -> String {
    let mut response = Vec::new();
    icc.transmit(&bytes(command), &mut response)
        .expect("an answer");
    if let [0x61, len] = response[..] {
        icc.transmit(&[0x00, 0xC0, 0x00, 0x00, len], &mut response)
            .expect("it is there");
    }
    hex::encode_upper(response)
}

/// The data of an answer that must be good.
fn ask(icc: &mut dyn Icc, command: &str) -> String {
    let answer = send(icc, command);
    let data = answer.strip_suffix("9000");
    data.unwrap_or_else(|| panic!("{command}: {answer}"))
        .to_owned()
}

/// A PSAM with power, in DF01 of the environment of the profile's cards.
fn psam(profile: &Profile, level: Level) -> T0<Sam> {
    let sam = Sam::issue(profile, SEED, &Outfit::of(profile, level)).expect("a PSAM");
    let mut sam = T0::new(sam);
    sam.power_on().expect("an ATR");
    enter(&mut sam, profile.algorithm);
    sam
}

fn enter(sam: &mut dyn Icc, algorithm: Algorithm) {
    if algorithm == Algorithm::Sm4 {
        ask(sam, SELECT_SIXTEEN);
    }
    ask(sam, "00A4000002DF01");
}

fn card(profile: &Profile) -> (T0<Card>, Issued) {
    let mut card = Card::manufacture(&cardlab_applets::ROM, 1);
    let issued = issue(&mut card, profile, SEED).expect("a card");
    let mut card = T0::new(card);
    card.power_on().expect("an ATR");
    ask(&mut card, SELECT_SSSE);
    (card, issued)
}

/// f3, f2, f1, as many as a level has.
fn factors(profile: &Profile, level: Level) -> Vec<u8> {
    let region = Region::from_bcd(profile.region).expect("a region");
    let all = [
        derive::card_factor(&profile.historical).expect("an ATR"),
        region.city_factor(),
        region.province_factor(),
    ];
    all.concat()[..usize::from(level.levels()) * 8].to_vec()
}

fn command(header: &[u8; 4], data: &[u8]) -> String {
    let len = u8::try_from(data.len()).expect("a short command");
    hex::encode_upper([&header[..], &[len], data].concat())
}

fn padded(data: &[u8], block_len: usize) -> Vec<u8> {
    let mut data = [data, &[0x80]].concat();
    data.resize(data.len().next_multiple_of(block_len), 0);
    data
}

/// DELIVERY SESSION KEY as a terminal sends it.
fn delivery(profile: &Profile, level: Level, kind: u8, id: u8, random: &[u8; 8]) -> String {
    let mut data = [&factors(profile, level)[..], random].concat();
    data.resize(data.len() - 8 + profile.algorithm.block_len(), 0);
    command(&[0xBF, 0xDE, level.levels() << 5 | kind, id], &data)
}

/// The code of an external authentication, of what CIPHER DATA gives.
fn code(sam: &mut dyn Icc, profile: &Profile) -> String {
    let mut raw = RAW.to_vec();
    raw.resize(profile.algorithm.block_len(), 0);
    let block = bytes(&ask(sam, &command(&[0x80, 0xFA, 0x00, 0x00], &raw)));
    let mut code = block[..8].to_vec();
    for (to, from) in code.iter_mut().zip(&block[8..]) {
        *to ^= from;
    }
    hex::encode_upper(code)
}

/// The keys that a PSAM delivers.
fn delivered(profile: &Profile) -> impl Iterator<Item = &Described> {
    let keys = profile.directories.iter().flat_map(|d| &d.keys);
    keys.filter(|key| {
        let here = !matches!(
            key.purpose,
            Purpose::Purchase | Purpose::Load | Purpose::Tac
        );
        here && key.psam.is_some()
    })
}

#[test]
fn every_key_of_every_profile_and_level_gives_the_desks_own_sums() {
    for name in Profile::shipped() {
        let profile = load(name);
        let keys = Hsm::new(TestRoot::from_seed(SEED)).card(&profile).unwrap();
        let desk = cardlab_desk::psam::Psam::new(keys, 0);
        let block_len = profile.algorithm.block_len();
        for level in Level::ALL {
            let mut sam = psam(&profile, level);
            let mut seen = 0;
            for key in delivered(&profile) {
                let id = key.psam.unwrap().id;
                if key.purpose == Purpose::Maintenance {
                    let header = [0x84, 0x24, 0x00, 0x01];
                    let plain = padded(&[3, 0x12, 0x34, 0x56], block_len);
                    let deliver = delivery(&profile, level, 0x08, id, &CHALLENGE);
                    ask(&mut sam, &deliver);
                    let block = ask(&mut sam, &command(&[0x80, 0xFA, 0x00, 0x00], &plain));
                    let expected = desk.pin_block(&key.name, &CHALLENGE, "123456").unwrap();
                    assert_eq!(bytes(&block), expected, "{name} {}", key.name);
                    let lc = u8::try_from(expected.len() + 4).unwrap();
                    let message = [&header[..], &[lc], &expected].concat();
                    let message = [vec![0; block_len], padded(&message, block_len)].concat();
                    let deliver = delivery(&profile, level, 0x06, id, &CHALLENGE);
                    ask(&mut sam, &deliver);
                    let mac = ask(&mut sam, &command(&[0x80, 0xFA, 0x05, 0x00], &message));
                    let expected = desk.mac(&key.name, &CHALLENGE, header, &expected);
                    assert_eq!(bytes(&mac), expected.unwrap(), "{name} {}", key.name);
                } else {
                    let deliver = delivery(&profile, level, 0x07, id, &CHALLENGE);
                    ask(&mut sam, &deliver);
                    let expected = desk.code(&key.name, 1, &CHALLENGE, &RAW).unwrap();
                    assert_eq!(
                        bytes(&code(&mut sam, &profile)),
                        expected,
                        "{name} {}",
                        key.name
                    );
                }
                seen += 1;
            }
            assert!(seen >= 30, "{name}: {seen}");
        }
    }
}

#[test]
fn every_usage_that_the_tables_print_finds_its_key() {
    for name in Profile::shipped() {
        let profile = load(name);
        for key in delivered(&profile) {
            let known = key.psam.unwrap();
            let Some(usage) = known.usage else { continue };
            let level = Level::ALL.into_iter().find(|l| l.levels() == usage >> 5);
            let level = level.unwrap();
            let deliver = delivery(&profile, level, usage & 0x1F, known.id, &CHALLENGE);
            assert_eq!(send(&mut psam(&profile, level), &deliver), "9000");
        }
    }
}

#[test]
fn a_reader_is_let_in_by_the_commands_of_the_trace() {
    for name in ["national-2.0", "national-3.0", "henan-2.0", "henan-3.0"] {
        let profile = load(name);
        let (mut card, _) = card(&profile);
        let mut sam = psam(&profile, Level::National);
        ask(&mut card, "00A4000002DF01");
        assert_eq!(send(&mut card, "00B2202800"), "6982");
        let random = bytes(&ask(&mut card, "0084000008"));
        let deliver = delivery(
            &profile,
            Level::National,
            0x07,
            0x2E,
            &random.try_into().unwrap(),
        );
        assert!(deliver.starts_with("BFDE672E"));
        ask(&mut sam, &deliver);
        let code = code(&mut sam, &profile);
        ask(&mut card, &format!("0082008810{code}{}", hex::encode(RAW)));
        let wrong_le = send(&mut card, "00B2202800");
        let (sw1, len) = wrong_le.split_at(2);
        assert_eq!(sw1, "6C");
        assert!(ask(&mut card, &format!("00B22028{len}")).starts_with("20"));
    }
}

/// Opens the account: the right of PUK by the PSAM, the PIN 123456 anew, and first changed
/// where the profile wants that; goes to DF04.
fn open_account(card: &mut dyn Icc, sam: &mut dyn Icc, profile: &Profile, level: Level) {
    let random = bytes(&ask(card, "0084000008")).try_into().expect("8 bytes");
    ask(sam, &delivery(profile, level, 0x08, 0x10, &random));
    let code = code(sam, profile);
    ask(card, &format!("0082000610{code}{}", hex::encode(RAW)));
    let random = bytes(&ask(card, "0084000008")).try_into().expect("8 bytes");
    let block_len = profile.algorithm.block_len();
    ask(sam, &delivery(profile, level, 0x08, 0x09, &random));
    let header = bytes("8424000004");
    let message = [vec![0; block_len], padded(&header, block_len)].concat();
    let mac = ask(sam, &command(&[0x80, 0xFA, 0x05, 0x00], &message));
    ask(card, &format!("8424000004{mac}"));
    ask(card, "805E010007123456FF246802");
    ask(card, "0020000003246802");
    ask(card, "00A4000002DF04");
}

const TERM: &str = "411600000009";
const TIME: &str = "20260102083000";

/// A purchase of this account's share: INIT on the card, what the PSAM is asked.
fn begin(card: &mut dyn Icc, profile: &Profile, level: Level, amounts: &str) -> String {
    let offer = ask(card, &format!("B02801011301{amounts}{TERM}16"));
    let (number, key, random) = (&offer[28..32], &offer[32..36], &offer[36..44]);
    let data = format!(
        "{random}{number}{amounts}32{TIME}{key}{}",
        hex::encode_upper(factors(profile, level))
    );
    format!("80700100{:02X}{data}", data.len() / 2)
}

#[test]
fn a_purchase_is_made_by_the_commands_of_the_trace() {
    for name in ["national-2.0", "national-3.0", "henan-2.0", "henan-3.0"] {
        let profile = load(name);
        for level in Level::ALL {
            let (mut card, _) = card(&profile);
            let outfit = Outfit {
                terminal: bytes(TERM).try_into().unwrap(),
                ..Outfit::of(&profile, level)
            };
            let mut sam = T0::new(Sam::issue(&profile, SEED, &outfit).unwrap());
            sam.power_on().unwrap();
            assert_eq!(ask(&mut sam, "00B0960006"), TERM);
            enter(&mut sam, profile.algorithm);
            open_account(&mut card, &mut sam, &profile, level);
            for number in 1..=3 {
                let amounts = "000000000000006400000032";
                let init = begin(&mut card, &profile, level, amounts);
                let answer = ask(&mut sam, &init);
                let (txn, mac1) = answer.split_at(8);
                assert_eq!(txn, format!("{number:08X}"));
                assert_eq!(ask(&mut sam, "00B0990004"), format!("{:08X}", number + 1));
                let done = ask(&mut card, &format!("B02C01000F{txn}{TIME}{mac1}08"));
                let mac2 = &done[8..];
                ask(&mut sam, &format!("8072000004{mac2}"));
                assert_eq!(send(&mut sam, &format!("8072000004{mac2}")), "6901");
            }
        }
    }
}

/// One of the keys that prove who may write keys.
fn administration(algorithm: Algorithm, kid: u8) -> Expanded {
    let cipher = match algorithm {
        Algorithm::Des => Cipher::TripleDes,
        Algorithm::Sm4 => Cipher::Sm4,
    };
    let name = ADMINISTRATION[usize::from(kid)];
    TestRoot::from_seed(SEED).key(name, 1, cipher).expand()
}

/// EXTERNAL AUTHENTICATION with the key of a KID.
fn prove(sam: &mut dyn Icc, algorithm: Algorithm, kid: u8) {
    let challenge = bytes(&ask(sam, "0084000008"));
    let session = derive::session_key(&administration(algorithm, kid), &challenge);
    let code = derive::authenticate(&session.expect("a session").expand(), &RAW);
    let data = [code, RAW].concat();
    ask(sam, &command(&[0x00, 0x82, 0x00, kid], &data));
}

/// CHANGE KEY of the data version, algorithm, key.
fn change_key(sam: &mut dyn Icc, algorithm: Algorithm, usage: u8, id: u8, plain: &[u8]) {
    let mut iv = [0; 16];
    iv[..8].copy_from_slice(&bytes(&ask(sam, "0084000008")));
    let master = administration(algorithm, 0);
    let mut data = [0; 48];
    let len = derive::encipher(&master, plain, &mut data).expect("room");
    let header = [0x84, 0xD5, usage, id];
    let mac = CbcMac::retail(&master)
        .with_iv(&iv)
        .chain(&header)
        .chain(&[u8::try_from(len + 4).expect("short")])
        .chain(&data[..len])
        .finish(Padding::M2);
    let data = [&data[..len], &mac.folded()].concat();
    ask(sam, &command(&header, &data));
}

/// The worked example: a root, and what the commands make of it for the card of region
/// 411600 with the ATR that ends in 86844116018593CA.
#[test]
fn the_sums_of_the_worked_example_come_out_of_the_commands() {
    let root: Vec<u8> = (0..16).collect();
    let factors = bytes("86844116018593CA 3431313630307378 3431303030307368");
    for (name, code_of, stk, expected) in [
        (
            "national-2.0",
            0x00,
            // The maintenance key has 8 bytes: the left half of the card's key.
            (
                0x08,
                [&[0x01, 0x01][..], &bytes("6F870DE0E261C80A")].concat(),
            ),
            [
                "C6942BB9F143F925",
                "2249AA34",
                "42D8BEE0",
                "EAF05479",
                "46F2BD0522349F2B1EDE6FE3",
            ],
        ),
        (
            "national-3.0",
            0x03,
            (0x68, [&[0x01, 0x03][..], &root].concat()),
            [
                "FB9EAA79A26A910B",
                "1BC9B7FF",
                "4FCFEDB8",
                "B8208633",
                "35D95514CDFC8EF9983A6D93CD97AC3A0BDD65EB",
            ],
        ),
    ] {
        let profile = load(name);
        let block_len = profile.algorithm.block_len();
        let mut sam = psam(&profile, Level::National);
        prove(&mut sam, profile.algorithm, 1);
        let irk = [&[0x01, code_of][..], &root].concat();
        change_key(&mut sam, profile.algorithm, 0x67, 0x08, &irk);
        change_key(&mut sam, profile.algorithm, stk.0, 0x09, &stk.1);
        let mut random = CHALLENGE.to_vec();
        random.resize(block_len, 0);
        let deliver = |usage: u8, id: u8| {
            let levels = usize::from(usage >> 5);
            let data = [&factors[..levels * 8], &random].concat();
            command(&[0xBF, 0xDE, usage, id], &data)
        };
        ask(&mut sam, &deliver(0x67, 0x08));
        assert_eq!(code(&mut sam, &profile), expected[0], "{name}");
        let mut mac = |message: &[u8]| {
            ask(&mut sam, &deliver(stk.0 & 0xE0 | 0x06, 0x09));
            let message = [vec![0; block_len], padded(message, block_len)].concat();
            ask(&mut sam, &command(&[0x80, 0xFA, 0x05, 0x00], &message))
        };
        for (header, expected) in ["8416000004", "841E000104", "8424000004"]
            .into_iter()
            .zip(&expected[1..])
        {
            assert_eq!(mac(&bytes(header)), *expected, "{name} {header}");
        }
        let (enciphered, sealed) = expected[4].split_at(2 * block_len);
        let lc = u8::try_from(block_len + 4).unwrap();
        let message = [&[0x84, 0x24, 0x00, 0x01, lc][..], &bytes(enciphered)].concat();
        assert_eq!(mac(&message), sealed, "{name}");
        ask(&mut sam, &deliver(stk.0, 0x09));
        let pin = padded(&[0x03, 0x12, 0x34, 0x56], block_len);
        let block = ask(&mut sam, &command(&[0x80, 0xFA, 0x00, 0x00], &pin));
        assert_eq!(block, enciphered, "{name}");
    }
}

/// A command of the PSAM: what is sent before it each time, its class and instruction,
/// what comes behind P1-P2, the words that it has besides '9000' and '6A86', and which
/// P1-P2 it knows.
struct Swept<'s> {
    before: &'s [&'s str],
    start: [u8; 2],
    rest: String,
    words: &'static [u16],
    knows: fn(u8, u8) -> bool,
}

#[test]
fn no_parameters_of_any_command_get_another_word_than_it_has() {
    let profile = load("henan-2.0");
    let deliver = delivery(&profile, Level::National, 0x08, 0x12, &CHALLENGE);
    let deliver = [deliver.as_str()];
    let (key, purchase) = ("17".repeat(22), "11".repeat(0x1C + 24));
    let all = |_, _| true;
    let commands = [
        Swept {
            before: &["00A4000002DF01"],
            start: [0x00, 0xA4],
            rest: "02DF01".to_owned(),
            words: &[0x6700, 0x6A82],
            knows: |p1, p2| matches!((p1, p2), (0 | 2 | 4, 0 | 0x0C)),
        },
        Swept {
            before: &["00A4020002001A"],
            start: [0x00, 0xB0],
            rest: "04".to_owned(),
            words: &[0x6A82, 0x6B00, 0x6C00],
            knows: |p1, _| p1 < 0x80 || matches!(p1, 0x81..=0x9E),
        },
        Swept {
            before: &["00A4000000", "00A40200020001"],
            start: [0x00, 0xB2],
            rest: "00".to_owned(),
            words: &[0x6981, 0x6A82, 0x6A83],
            knows: |p1, p2| p2 & 7 == 4 && p2 >> 3 != 0x1F && !matches!(p1, 0x00 | 0xFF),
        },
        Swept {
            before: &[],
            start: [0x00, 0x84],
            rest: "08".to_owned(),
            words: &[],
            knows: |p1, p2| (p1, p2) == (0, 0),
        },
        Swept {
            before: &[],
            start: [0x00, 0x82],
            rest: format!("10{}", "00".repeat(16)),
            words: &[0x6984, 0x6983],
            knows: |p1, p2| p1 == 0 && p2 <= 3,
        },
        Swept {
            before: &["00A4000002DF01", "0084000008"],
            start: [0x84, 0xD4],
            rest: format!("16{key}"),
            words: &[0x6A80, 0x6982, 0x6988],
            knows: all,
        },
        Swept {
            before: &["00A4000002DF01", "0084000008"],
            start: [0x84, 0xD5],
            rest: format!("16{key}"),
            words: &[0x6A80, 0x6982, 0x6988],
            knows: all,
        },
        Swept {
            before: &[],
            start: [0xBF, 0xEC],
            rest: "0141".to_owned(),
            words: &[],
            knows: |p1, p2| (p1, p2) == (0, 0),
        },
        Swept {
            before: &[],
            start: [0xBF, 0xDE],
            rest: format!("20{}", "22".repeat(32)),
            words: &[0x6A88, 0x6A80],
            knows: all,
        },
        Swept {
            before: &deliver,
            start: [0x80, 0xFA],
            rest: format!("10{}00", "33".repeat(16)),
            words: &[0x6901],
            knows: |p1, p2| matches!((p1, p2), (0..=3 | 5 | 7, 0)),
        },
        Swept {
            before: &[],
            start: [0x80, 0x70],
            rest: format!("34{purchase}00"),
            words: &[0x6A80],
            knows: |p1, p2| (p1, p2) == (1, 0),
        },
        Swept {
            before: &[],
            start: [0x80, 0x72],
            rest: "0400000000".to_owned(),
            words: &[0x6901],
            knows: |p1, p2| (p1, p2) == (0, 0),
        },
    ];
    let mut sam = Sam::issue(&profile, SEED, &Outfit::of(&profile, Level::National)).unwrap();
    sam.power_on().unwrap();
    let mut response = Vec::new();
    for command in commands {
        ask(&mut sam, "00A4000002DF01");
        prove(&mut sam, Algorithm::Des, 1);
        let before: Vec<_> = command.before.iter().map(|hex| bytes(hex)).collect();
        let rest = bytes(&command.rest);
        let [cla, ins] = command.start;
        for [p1, p2] in (0..=u16::MAX).map(u16::to_be_bytes) {
            for command in &before {
                sam.transmit(command, &mut response).unwrap();
                assert!(
                    response.ends_with(&[0x90, 0x00]),
                    "{command:02X?}: {response:02X?}"
                );
            }
            let sent = [&[cla, ins, p1, p2][..], &rest].concat();
            sam.transmit(&sent, &mut response).unwrap();
            let (data, sw) = response.split_last_chunk().unwrap();
            let sw = u16::from_be_bytes(*sw);
            assert!(
                sw == 0x9000 || data.is_empty(),
                "{sent:02X?}: {sw:04X} with data"
            );
            let has = sw == 0x9000
                || command.words.contains(&sw)
                || sw >> 8 == 0x6C && command.words.contains(&0x6C00);
            if (command.knows)(p1, p2) {
                assert!(has, "{sent:02X?}: {sw:04X}");
            } else {
                assert_eq!(sw, 0x6A86, "{sent:02X?}");
            }
        }
    }
}
