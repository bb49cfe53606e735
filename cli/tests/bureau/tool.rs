//! The commands of the tool, as it sends them, to any card.
//!
//! Source: EMV Card Personalization Specification 1.1, 4; GlobalPlatform Card
//! Specification 2.1.1, 9; the commands of a public tool for PBOC cards.

use cardlab::apdu::{Command, Sw};
use cardlab::crypto::Key;
use cardlab::icc::Icc;
use cardlab::secure::scp02::{Level, Session, StaticKeys};
use cardlab_desk::wire::exchange;

/// The tool's master key, of which each card has three of its own.
pub(crate) const KMC: &str = "46454C5851524552524F52404C514C45";
pub(crate) const DIVERSIFICATION: &str = "00004106001234567890";
const MANAGER: &str = "A000000003000000";
pub(crate) const AID: &str = "A000000333010101";
pub(crate) const SELECT: &str = "00A40400 08 A000000333010101";

pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    hex::decode(digits).expect("hex")
}

pub(crate) fn array<const N: usize>(text: &str) -> [u8; N] {
    bytes(text).try_into().expect("so many bytes")
}

pub(crate) fn send(icc: &mut dyn Icc, command: &str) -> (Vec<u8>, Sw) {
    let command = bytes(command);
    let answer = exchange(icc, &Command::parse(&command).expect("a command"));
    let answer = answer.unwrap_or_else(|lost| panic!("{lost}: {}", hex::encode(&command)));
    (answer.data, answer.sw)
}

#[track_caller]
pub(crate) fn ok(icc: &mut dyn Icc, command: &str) -> Vec<u8> {
    let (data, sw) = send(icc, command);
    assert_eq!(sw, Sw::OK, "{command}");
    data
}

pub(crate) fn card_keys() -> StaticKeys {
    StaticKeys::diversified(&Key::triple_des(array(KMC)), &array(DIVERSIFICATION))
}

/// INITIALIZE UPDATE and EXTERNAL AUTHENTICATE of this level, both cryptograms held
/// against what the keys give.
fn open_at(icc: &mut dyn Icc, level: Level) -> Session {
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
    let p1 = level.bits();
    let (class, field) = session.wrap([0x80, 0x82, p1, 0x00], &own).expect("room");
    assert_eq!((class, field.len()), (0x84, 0x10));
    ok(icc, &format!("8482{p1:02X}00 10 {}", hex::encode(field)));
    session.set_level(level);
    session
}

/// A session as the tool has it: of level 00, which no command after it shows.
pub(crate) fn open(icc: &mut dyn Icc) -> Session {
    open_at(icc, Level::empty())
}

/// An instance and how it is installed.
pub(crate) struct Instance {
    pub(crate) name: String,
    pub(crate) module: &'static str,
    pub(crate) privileges: u8,
    pub(crate) parameters: String,
}

impl Instance {
    /// The application, as the tool installs it.
    pub(crate) fn of_the_tool() -> Instance {
        Instance {
            name: AID.to_owned(),
            module: "A0000003330101",
            privileges: 0x10,
            parameters: "FFFF00000400000000010001".to_owned(),
        }
    }

    /// The directory of applications, in the same manner.
    fn directory() -> Instance {
        Instance {
            name: "315041592E5359532E4444463031".to_owned(),
            module: "A0000003330102",
            privileges: 0x00,
            parameters: String::new(),
        }
    }

    /// Up to the series: card manager, DELETE, INSTALL, the instance; its session.
    pub(crate) fn install(&self, icc: &mut dyn Icc) -> Session {
        let name = with_len(&self.name);
        let select = format!("00A40400 {name}");
        let other = send(icc, "00A40400 08 A000000004000000").1;
        assert_eq!(other, Sw::FILE_NOT_FOUND);
        ok(icc, &format!("00A40400 08 {MANAGER}"));
        open(icc);
        // There is nothing to be replaced yet.
        let delete = with_len(&format!("4F{name}"));
        let deleted = send(icc, &format!("80E40000 {delete}")).1;
        assert_eq!(deleted, Sw::REFERENCE_DATA_NOT_FOUND);
        let parameters = with_len(&format!("C9{}", with_len(&self.parameters)));
        let install = format!(
            "08A000000333010130 {} {name} 01{:02X} {parameters} 00",
            with_len(self.module),
            self.privileges
        );
        ok(icc, &format!("80E60C00 {}", with_len(&install)));
        ok(icc, &select);
        open(icc)
    }
}

/// Hex with its length before it.
fn with_len(digits: &str) -> String {
    let digits: String = digits.split_whitespace().collect();
    format!("{:02X}{digits}", digits.len() / 2)
}

/// A whole application: installed, its groupings in their order, the directory of it, and
/// the card SECURED by its issuer.
pub(crate) fn personalise(icc: &mut dyn Icc, application: &Instance, groupings: &[(u16, String)]) {
    let session = application.install(icc);
    series(icc, &session, groupings);
    let session = Instance::directory().install(icc);
    let entry = format!(
        "4F{} 500A50424F43204445424954 870101",
        with_len(&application.name)
    );
    series(
        icc,
        &session,
        &[
            (0x9102, "A50A 880101 5F2D047A68656E".to_owned()),
            (
                0x0101,
                format!("70{}", with_len(&format!("61{}", with_len(&entry)))),
            ),
        ],
    );
    secure(icc);
}

/// The issuer secures the card: SET STATUS, with a MAC.
pub(crate) fn secure(icc: &mut dyn Icc) {
    ok(icc, &format!("00A40400 08 {MANAGER}"));
    let mut session = open_at(icc, Level::C_MAC);
    let (_, mac) = session.wrap([0x80, 0xF0, 0x80, 0x0F], &[]).expect("room");
    ok(icc, &format!("84F0800F {}", with_len(&hex::encode(mac))));
}

/// STORE DATA of groupings, one after the other.
fn series(icc: &mut dyn Icc, session: &Session, groupings: &[(u16, String)]) {
    let mut number = 0;
    for (index, (grouping, data)) in groupings.iter().enumerate() {
        let (p1, framed) = framed(session, *grouping, data);
        let pieces: Vec<_> = framed.chunks(255).collect();
        for (piece, data) in pieces.iter().enumerate() {
            let last = index + 1 == groupings.len() && piece + 1 == pieces.len();
            let p1 = p1 | u8::from(last) << 7;
            let data = with_len(&hex::encode(data));
            ok(icc, &format!("80E2{p1:02X}{number:02X} {data}"));
            number += 1;
        }
    }
}

/// P1 and the data of a grouping: '60' and enciphered where it is secret.
fn framed(session: &Session, grouping: u16, data: &str) -> (u8, Vec<u8>) {
    let mut data = bytes(data);
    let mut p1 = 0x00;
    if grouping >> 12 == 0x8 {
        session.encrypt_data(&mut data).expect("whole blocks");
        p1 = 0x60;
    }
    let mut framed = grouping.to_be_bytes().to_vec();
    match data.len() {
        len @ 0..=0xFE => framed.push(u8::try_from(len).expect("a byte")),
        len => {
            framed.push(0xFF);
            framed.extend(u16::try_from(len).expect("two bytes").to_be_bytes());
        }
    }
    framed.extend(data);
    (p1, framed)
}

/// STORE DATA of a grouping, of which the tool sends each in one block: bit 8 of P1 for the
/// last one, P2 the number of the block.
pub(crate) fn store(
    session: &Session,
    number: usize,
    last: bool,
    grouping: u16,
    data: &str,
) -> String {
    let (p1, framed) = framed(session, grouping, data);
    let p1 = p1 | u8::from(last) << 7;
    assert!(
        framed.len() <= 255,
        "{grouping:04X} has {} bytes",
        framed.len()
    );
    format!(
        "80E2{p1:02X}{number:02X} {}",
        with_len(&hex::encode(framed))
    )
}
