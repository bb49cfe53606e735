//! A bureau's sequence, byte for byte, to a card served over vpcd's protocol.
//!
//! The commands are written out here as a public tool for PBOC cards sends them; the
//! bureau of the desk has no part in it. What sends them stands in vpcd's place.
//!
//! Source: EMV Card Personalization Specification 1.1, 4; GlobalPlatform Card
//! Specification 2.1.1, 9; the commands, names, data and keys of that tool.

use cardlab::aid::Aid;
use cardlab::apdu::{Command, Sw};
use cardlab::crypto::Key;
use cardlab::fen::Fen;
use cardlab::icc::{Icc, Lost};
use cardlab::memory::image;
use cardlab::os::Card;
use cardlab::secure::scp02::{Level, Session, StaticKeys};
use cardlab_desk::bank::authority::{Subject, certify_card, certify_issuer, sign_static_data};
use cardlab_desk::bank::host::{Account, Bank, Reason};
use cardlab_desk::bank::key::{KeySet, Keys};
use cardlab_desk::bank::rsa::{RsaPair, Whose};
use cardlab_desk::emv::{End, Finding, Holder, Sale, Terminal, pay};
use cardlab_desk::host::SecureChannel;
use cardlab_desk::wire::exchange;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command as Process, Stdio};
use tempfile::TempDir;

/// The tool's master key, of which each card has three of its own.
const KMC: &str = "46454C5851524552524F52404C514C45";
const DIVERSIFICATION: &str = "00004106001234567890";
const MANAGER: &str = "A000000003000000";
const AID: &str = "A000000333010101";
const SELECT: &str = "00A40400 08 A000000333010101";

fn bytes(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    hex::decode(digits).expect("hex")
}

fn array<const N: usize>(text: &str) -> [u8; N] {
    bytes(text).try_into().expect("so many bytes")
}

/// A data object.
fn object(tag: &str, value: &str) -> String {
    let value: String = value.split_whitespace().collect();
    match value.len() / 2 {
        len @ 0..=0x7F => format!("{tag}{len:02X}{value}"),
        len => format!("{tag}81{len:02X}{value}"),
    }
}

fn record(objects: &[String]) -> String {
    object("70", &objects.concat())
}

/// The card in the reader of vpcd, which this test stands in for.
struct Reader {
    stream: TcpStream,
    serving: Child,
    /// Where its image lies.
    _folder: TempDir,
}

impl Reader {
    /// A card with the tool's keys, otherwise as it comes from its maker, served.
    fn with_a_blank_card() -> Reader {
        let mut card = Card::manufacture(&cardlab_applets::ROM, 7);
        card.power_on().expect("power");
        let manager = "00A40400 08 A000000151000000";
        assert_eq!(send(&mut card, manager).1, Sw::OK);
        let named = format!("80DA004F 08 {MANAGER}");
        assert_eq!(send(&mut card, &named).1, Sw::OK);
        let own = format!("80DA00CF 0A {DIVERSIFICATION}");
        assert_eq!(send(&mut card, &own).1, Sw::OK);
        let initial = |_: &[u8; 10]| StaticKeys::initial();
        let mut channel = SecureChannel::open(&mut card, initial, Level::C_MAC, [1; 8]);
        let channel = channel.as_mut().expect("a session");
        channel.put_keys(&mut card, 1, &card_keys()).expect("keys");
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("blank.img");
        image::save(&path, &card.pages()).expect("an image");
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        let address = listener.local_addr().expect("an address").to_string();
        let serving = Process::new(env!("CARGO_BIN_EXE_cardlab"))
            .args(["serve", "--vpcd", &address, "--image"])
            .arg(&path)
            .stdout(Stdio::null())
            .spawn()
            .expect("cardlab runs");
        let (stream, _) = listener.accept().expect("the card connects");
        let mut reader = Reader {
            stream,
            serving,
            _folder: folder,
        };
        assert_eq!(reader.power_on().expect("an ATR")[0], 0x3B);
        reader
    }

    fn message(&mut self, message: &[u8]) {
        let len = u16::try_from(message.len()).expect("a short message");
        let framed = [&len.to_be_bytes()[..], message].concat();
        self.stream.write_all(&framed).expect("the card is there");
    }

    fn answer(&mut self) -> Vec<u8> {
        let mut len = [0; 2];
        self.stream.read_exact(&mut len).expect("an answer");
        let mut answer = vec![0; usize::from(u16::from_be_bytes(len))];
        self.stream.read_exact(&mut answer).expect("an answer");
        answer
    }
}

impl Drop for Reader {
    fn drop(&mut self) {
        let _ = self.stream.shutdown(std::net::Shutdown::Both);
        let _ = self.serving.wait();
    }
}

impl Icc for Reader {
    fn power_on(&mut self) -> Result<Vec<u8>, Lost> {
        self.message(&[0x01]);
        self.message(&[0x04]);
        Ok(self.answer())
    }

    fn reset(&mut self) -> Result<Vec<u8>, Lost> {
        self.message(&[0x02]);
        self.message(&[0x04]);
        Ok(self.answer())
    }

    fn power_off(&mut self) {
        self.message(&[0x00]);
    }

    fn transmit(&mut self, command: &[u8], response: &mut Vec<u8>) -> Result<(), Lost> {
        // As pcscd does over T=0: Le goes only where there are no data.
        let lc = command.get(4).map_or(0, |lc| usize::from(*lc));
        let whole = command.len() == 5 + lc + 1 && lc > 0;
        self.message(&command[..command.len() - usize::from(whole)]);
        *response = self.answer();
        Ok(())
    }
}

fn send(icc: &mut dyn Icc, command: &str) -> (Vec<u8>, Sw) {
    let command = bytes(command);
    let answer = exchange(icc, &Command::parse(&command).expect("a command"));
    let answer = answer.unwrap_or_else(|lost| panic!("{lost}: {}", hex::encode(&command)));
    (answer.data, answer.sw)
}

#[track_caller]
fn ok(icc: &mut dyn Icc, command: &str) -> Vec<u8> {
    let (data, sw) = send(icc, command);
    assert_eq!(sw, Sw::OK, "{command}");
    data
}

fn card_keys() -> StaticKeys {
    StaticKeys::diversified(&Key::triple_des(array(KMC)), &array(DIVERSIFICATION))
}

/// INITIALIZE UPDATE and EXTERNAL AUTHENTICATE of level 00, both cryptograms held against
/// what the keys give.
fn open(icc: &mut dyn Icc) -> Session {
    let host = array("0102030405060708");
    let answer = ok(icc, "80500000 08 0102030405060708 00");
    assert_eq!(answer.len(), 28);
    assert_eq!(answer[..10], bytes(DIVERSIFICATION));
    assert_eq!(answer[11], 0x02);
    let sequence = u16::from_be_bytes([answer[12], answer[13]]);
    let challenge = answer[14..20].try_into().expect("6 bytes");
    let mut session = Session::new(&card_keys(), sequence);
    let proof = session.card_cryptogram(host, sequence, challenge);
    assert_eq!(answer[20..], proof);
    let own = session.host_cryptogram(host, sequence, challenge);
    session.set_level(Level::C_MAC);
    let (class, field) = session.wrap([0x80, 0x82, 0x00, 0x00], &own).expect("room");
    assert_eq!((class, field.len()), (0x84, 0x10));
    ok(icc, &format!("84820000 10 {}", hex::encode(field)));
    session.set_level(Level::empty());
    session
}

/// Up to the series: card manager, DELETE, INSTALL, the instance; its session.
fn install(icc: &mut dyn Icc) -> Session {
    assert_eq!(
        send(icc, "00A40400 08 A000000004000000").1,
        Sw::FILE_NOT_FOUND
    );
    ok(icc, &format!("00A40400 08 {MANAGER}"));
    open(icc);
    // There is nothing to be replaced yet.
    let deleted = send(icc, &format!("80E40000 0A 4F08 {AID}")).1;
    assert_eq!(deleted, Sw::REFERENCE_DATA_NOT_FOUND);
    ok(
        icc,
        "80E60C00 2C 08 A000000333010130 07 A0000003330101 08 A000000333010101 01 10 \
         0E C90C FFFF00000400000000010001 00",
    );
    ok(icc, SELECT);
    open(icc)
}

/// The keys of the three numbers in the tool's file.
fn masters() -> Keys {
    let key = |text: &str| Key::triple_des(array(text));
    Keys {
        des: KeySet {
            cryptograms: key("31313131313131314040404040404040"),
            macs: key("40404040404040405151515151515151"),
            enciphering: key("51515151515151516161616161616161"),
        },
        ..Keys::from_seed(0)
    }
}

/// The groupings in the tool's order, with its data; the certificates are of the keys for
/// tests, one step shorter than ours so that each grouping fits one block.
fn groupings() -> Vec<(u16, String)> {
    let (authority, issuer, card) = (
        RsaPair::of(Whose::Issuer),
        RsaPair::of(Whose::Card(1)),
        RsaPair::of(Whose::Card(0)),
    );
    let subject = Subject {
        expiry: [0x12, 0x34],
        serial: [0, 0, 1],
    };
    let by = certify_issuer(authority, issuer.public(), array("888880FF"), &subject);
    let by = by.expect("a certificate");
    let signed = |methods: &str, codes: [&str; 3], more: String| {
        [
            object("5F24", "341231"),
            object("5A", "8888800000000001"),
            object("9F07", "FF00"),
            object("8E", methods),
            object("9F0D", codes[0]),
            object("9F0E", codes[1]),
            object("9F0F", codes[2]),
            object("5F28", "0156"),
            more,
        ]
        .concat()
    };
    let account = signed(
        "0000000000000000 42031E031F00",
        ["D86004A800", "0010980000", "D86804F800"],
        String::new(),
    );
    let cash = signed(
        "000007D000000000 5F060103",
        ["D8603CA800", "0010800000", "D8683CF800"],
        object("9F74", "454343303031"),
    );
    let name = array("8888800000000001FFFF");
    let proof = |data: &str| {
        let data = bytes(&format!("{data}7D00"));
        let own = certify_card(issuer, card.public(), name, &subject, &data);
        let statics = sign_static_data(issuer, [0xDA, 0xC0], &data);
        let own = own.expect("a certificate");
        (
            hex::encode(own.certificate),
            hex::encode(own.remainder),
            hex::encode(statics.expect("a signature")),
        )
    };
    let (account_own, rest, account_statics) = proof(&account);
    let (cash_own, _, cash_statics) = proof(&cash);
    let parts: Vec<String> = card
        .parts()
        .iter()
        .map(|part| format!("{}8000000000000000", hex::encode(part)))
        .collect();
    let fci = |pdol: &str| {
        let logs = object("9F4D", "0B0A") + &object("DF4D", "0C0A");
        let inner = [
            object("50", "50424F43204445424954"),
            object("87", "01"),
            object("9F38", pdol),
            object("5F2D", "7A68656E"),
            object("9F11", "01"),
            object("9F12", "50424F43204445424954"),
            object("BF0C", &logs),
        ];
        object("A5", &inner.concat())
    };
    let contactless = "9F66049F02069F03069F1A0295055F2A029A039C019F3704";
    let options = |afl: &str| object("82", "7D00") + &object("94", afl);
    let issuer_data = object("9F10", "07010103000000010A010000000000 00000000");
    let stripe = object("57", "8888800000000001D34122010000000000");
    let internal = [
        object("9F58", "00"),
        object("9F59", "00"),
        object("9F53", "00"),
        object("9F54", "000000000000"),
        object("9F5C", "000000000000"),
        object("9F4F", "9A039F21039F02069F03069F1A025F2A029F4E149C019F3602"),
        object("DF4F", "9A039F21039F1A029F4E149F3602"),
        object("9F77", "000000200000"),
        object("9F78", "000000070000"),
        object("9F79", "000000100000"),
        object("9F6D", "000000050000"),
        object("9F68", "9940F000"),
        object("9F6C", "2000"),
        object("9F5D", "000000000001"),
        object("9F6B", "999999999999"),
        stripe.clone(),
    ];
    let lists = [
        object("5F30", "0201"),
        object("5F34", "01"),
        object(
            "8C",
            "9F02069F03069F1A0295055F2A029A039C019F37049F21039F4E14",
        ),
        object("8D", "8A029F02069F03069F1A0295055F2A029A039C019F37049F2103"),
        object("9F08", "0030"),
        object("9F49", "9F3704"),
        object("9F4A", "82"),
    ];
    vec![
        (0x9104, options("0801020010010500 18010201")),
        (
            0x9203,
            options("0801020010010200 10050700 18020200 18030301"),
        ),
        (0x9207, options("0801010010010200") + &issuer_data),
        (0x9102, fci("9F7A019F02065F2A02")),
        (0x9103, fci(contactless)),
        (0x0101, record(&[stripe, object("9F1F", "30303030")])),
        (
            0x0102,
            record(&[
                object("5F20", "54455354204341524420"),
                object("9F61", "313130313031313939303031303130303131"),
                object("9F62", "00"),
            ]),
        ),
        (
            0x0201,
            record(&[object("90", &hex::encode(by.certificate))]),
        ),
        (
            0x0202,
            record(&[
                object("8F", "63"),
                object("9F32", "03"),
                object("92", &hex::encode(by.remainder)),
                object("9F42", "0156"),
            ]),
        ),
        (0x0203, record(&[object("9F46", &account_own)])),
        (0x0204, record(&[object("93", &account_statics)])),
        (
            0x0205,
            record(&[object("9F47", "03"), object("9F48", &rest)]),
        ),
        (0x0206, record(&[object("9F46", &cash_own)])),
        (0x0207, record(&[object("93", &cash_statics)])),
        (0x0301, object("70", &account)),
        (0x0302, record(&lists)),
        (0x0303, object("70", &cash)),
        (
            0x0401,
            record(&[object("9F14", "00"), object("9F23", "00")]),
        ),
        (0x0D01, internal.concat()),
        (
            0x0E01,
            object("9F51", "0156")
                + &object("9F52", "6010")
                + &object("5F34", "01")
                + &object("9F56", "80"),
        ),
        (0x9200, issuer_data),
        (
            0x8000,
            "08B93D5426A7709E4F2346E3B083706D D90462EAFE73B5BA54BC5DA275670729 \
             135DD03E1CF268FDBF16C8E09B73D931"
                .to_owned(),
        ),
        (0x9000, "6C71E0 8CEDEB B2D170".to_owned()),
        (0x8205, parts[0].clone()),
        (0x8204, parts[1].clone()),
        (0x8203, parts[2].clone()),
        (0x8202, parts[3].clone()),
        (0x8201, parts[4].clone()),
        (0x8010, "06123456FFFFFFFF".to_owned()),
        (0x9010, "0303".to_owned()),
    ]
}

/// STORE DATA of a grouping: P1 '60' and enciphered where it is secret, bit 8 of P1 for the
/// last one, P2 the number of the block.
fn store(session: &Session, number: usize, last: bool, grouping: u16, data: &str) -> String {
    let mut data = bytes(data);
    let mut p1 = 0x00;
    if grouping >> 12 == 0x8 {
        session.encrypt_data(&mut data).expect("whole blocks");
        p1 = 0x60;
    }
    if last {
        p1 |= 0x80;
    }
    let (lc, len) = (data.len() + 3, data.len());
    assert!(lc <= 255, "{grouping:04X} has {len} bytes");
    let data = hex::encode(data);
    format!("80E2{p1:02X}{number:02X} {lc:02X} {grouping:04X} {len:02X} {data}")
}

#[test]
fn the_tool_s_sequence_is_taken_and_the_application_pays_on_line_and_with_e_cash() {
    let mut reader = Reader::with_a_blank_card();
    let session = install(&mut reader);
    let groupings = groupings();
    for (number, (grouping, data)) in groupings.iter().enumerate() {
        let last = number + 1 == groupings.len();
        ok(&mut reader, &store(&session, number, last, *grouping, data));
    }
    reader.reset().expect("an ATR");
    // The FCI for contacts, not that for contactless readers.
    let (_, fci) = &groupings[3];
    let selected = ok(&mut reader, SELECT);
    assert!(selected.ends_with(&bytes(fci)));
    // A partial name finds it, too.
    assert_eq!(ok(&mut reader, "00A40400 07 A0000003330101"), selected);

    let mut terminal = Terminal::of_a_merchant();
    terminal.authorities[0].key = RsaPair::of(Whose::Issuer).public().clone();
    let mut bank = Bank::new(masters());
    bank.open("8888800000000001", Account::of(Fen::new(100_000)));
    let mut sale = Sale {
        amount: Fen::new(1_500),
        other: Fen::ZERO,
        kind: 0x00,
        date: [0x26, 0x07, 0x01],
        time: [0x12, 0x34, 0x56],
        cash: false,
        online: false,
        application: Aid::new(&bytes(AID)),
        seed: 5,
    };
    let holder = Holder::with_pin("123456");
    let mut paid = |sale: &Sale, bank: &mut Bank| {
        let outcome = pay(&mut reader, &terminal, sale, &holder, bank);
        assert!(
            !outcome.tvr.has(Finding::CombinedFailed),
            "{:?}",
            outcome.steps
        );
        assert!(
            !outcome.tvr.has(Finding::NotAuthenticated),
            "{:?}",
            outcome.steps
        );
        outcome
    };
    let outcome = paid(&sale, &mut bank);
    assert_eq!(
        outcome.end,
        End::Approved { online: true },
        "{:?}",
        outcome.steps
    );
    let asked = outcome.asked.expect("the bank was asked");
    assert_eq!(
        bank.authorise(&asked).expect("whole").reason,
        Reason::CounterSeen
    );
    let left = bank
        .account("8888800000000001")
        .map(|account| account.balance);
    assert_eq!(left, Some(Fen::new(98_500)));

    sale.cash = true;
    let outcome = paid(&sale, &mut bank);
    assert_eq!(
        outcome.end,
        End::Approved { online: false },
        "{:?}",
        outcome.steps
    );
    assert!(outcome.cash);
    assert_eq!(outcome.balance, Some(Fen::new(98_500)));
}

#[test]
fn blocks_out_of_order_and_unknown_groupings_are_refused_and_the_series_goes_on() {
    let mut reader = Reader::with_a_blank_card();
    let session = install(&mut reader);
    let groupings = groupings();
    for (number, (grouping, data)) in groupings.iter().enumerate() {
        let last = number + 1 == groupings.len();
        let ahead = store(&session, number + 1, last, *grouping, data);
        assert_eq!(
            send(&mut reader, &ahead).1,
            Sw::WRONG_P1_P2,
            "{grouping:04X}"
        );
        if number > 0 {
            let again = store(&session, number - 1, false, *grouping, data);
            assert_eq!(
                send(&mut reader, &again).1,
                Sw::WRONG_P1_P2,
                "{grouping:04X}"
            );
        }
        let unknown = store(&session, number, false, 0x9F99, "00");
        assert_eq!(send(&mut reader, &unknown).1, Sw::REFERENCE_DATA_NOT_FOUND);
        ok(&mut reader, &store(&session, number, last, *grouping, data));
    }
    ok(&mut reader, SELECT);
    // Personalised: no more of it.
    let more = store(&session, 0, false, 0x9010, "0303");
    assert_eq!(send(&mut reader, &more).1, Sw::CONDITIONS_NOT_MET);
}

#[test]
fn the_order_of_groupings_is_the_tool_s_own_affair_but_all_must_come() {
    let mut reader = Reader::with_a_blank_card();
    let session = install(&mut reader);
    let mut groupings = groupings();
    groupings.reverse();
    let without = groupings.pop();
    assert_eq!(without.map(|(number, _)| number), Some(0x9104));
    let count = groupings.len();
    for (number, (grouping, data)) in groupings.iter().enumerate() {
        let last = number + 1 == count;
        let (_, sw) = send(&mut reader, &store(&session, number, last, *grouping, data));
        let expected = if last { Sw::CONDITIONS_NOT_MET } else { Sw::OK };
        assert_eq!(sw, expected, "{grouping:04X}");
    }
    // The last block is sent again once what was missing has come.
    let missing = &self::groupings()[0];
    let next = count - 1;
    ok(
        &mut reader,
        &store(&session, next, false, missing.0, &missing.1),
    );
    let (grouping, data) = &groupings[next];
    ok(
        &mut reader,
        &store(&session, next + 1, true, *grouping, data),
    );
    ok(&mut reader, SELECT);
}
