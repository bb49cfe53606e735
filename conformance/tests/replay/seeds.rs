//! The seeds of the corpora.
//!
//! Sessions that get past PIN and authentication, and bytes of each form that the
//! parsers know.
//!
//! Random numbers follow from the card's seed, so a session that was recorded with the
//! right authentications and MACs has them right when it is replayed.

use crate::targets::support::{
    Bench, CYCLIC_APPENDS, FIRST_CHANGE, SELECT_DF01, SELECT_DF04, SELECT_ISD, SELECT_SSSE, VERIFY,
    bytes,
};
use cardlab::apdu::Sw;
use cardlab::crypto::Algorithm;
use cardlab::icc::Icc;

/// The card of a session.
#[derive(Clone, Copy)]
enum Start {
    Des,
    Sm4,
    Blank,
}

/// A session that is being recorded.
pub(crate) struct Session {
    /// The name of its file.
    pub(crate) name: &'static str,
    start: Start,
    bench: Bench,
    events: Vec<u8>,
    /// What the card answered.
    pub(crate) answered: Vec<Sw>,
}

impl Session {
    fn record(name: &'static str, start: Start, play: fn(&mut Session)) -> Session {
        let bench = match start {
            Start::Des => Bench::new(Algorithm::Des, 0),
            Start::Sm4 => Bench::new(Algorithm::Sm4, FIRST_CHANGE | CYCLIC_APPENDS),
            Start::Blank => Bench::blank(Algorithm::Des),
        };
        let mut session = Session {
            name,
            start,
            bench,
            events: Vec::new(),
            answered: Vec::new(),
        };
        session.bench.sent.clear();
        play(&mut session);
        session.gather();
        session
    }

    /// Takes over what was sent since.
    fn gather(&mut self) {
        for (command, sw) in self.bench.sent.drain(..) {
            let len = u16::try_from(command.len()).expect("shorter than an event");
            self.events.extend(len.to_be_bytes());
            self.events.extend(command);
            self.answered.push(sw);
        }
    }

    fn reset(&mut self) {
        self.gather();
        self.events.extend([0xFF, 0xFF]);
        self.bench.card.reset().expect("a card with power");
    }

    fn power_cycle(&mut self) {
        self.gather();
        self.events.extend([0xFF, 0xFE]);
        self.bench.reset();
    }

    /// An event of one byte whose commands the replay sends itself.
    fn event(&mut self, event: u16, how: u8) {
        self.gather();
        self.events.extend(event.to_be_bytes());
        self.events.push(how);
    }

    /// A command that is cut; the bench's card only loses its power.
    fn cut(&mut self, how: u8, command: &str) {
        self.gather();
        let command = bytes(command);
        self.event(0xFFFD, how);
        self.events
            .extend([0, u8::try_from(command.len()).expect("short")]);
        self.events.extend(command);
        self.bench.reset();
    }

    /// The file of the corpus.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut bytes = vec![self.start as u8];
        bytes.extend(&self.events);
        bytes
    }
}

impl std::ops::Deref for Session {
    type Target = Bench;

    fn deref(&self) -> &Bench {
        &self.bench
    }
}

impl std::ops::DerefMut for Session {
    fn deref_mut(&mut self) -> &mut Bench {
        &mut self.bench
    }
}

fn pin(card: &mut Session) {
    card.ok(SELECT_DF01);
    card.refused("00B2012C 03", 0x6982);
    card.ok(VERIFY);
    card.ok("00B2012C 03");
    card.refused("00200000", 0x63C4);
    card.refused("00200000 03 654321", 0x63C3);
    card.refused("00B2012C 03", 0x6982);
    card.ok("805E0100 07 123456 FF 888888");
    card.ok("00200000 03 888888");
    card.ok("00B2012C 03");
    card.ok("805E0100 04 888888 FF");
    card.ok("00200000");
    card.ok("00B2012C 03");
}

fn first_change(card: &mut Session) {
    card.ok(SELECT_DF01);
    card.ok(VERIFY);
    card.refused("00B2012C 03", 0x6985);
    card.refused("805E0100 07 123456 FF 123456", 0x6A80);
    card.ok("805E0100 07 123456 FF 888888");
    card.ok("00200000 03 888888");
    card.ok("00B2012C 03");
}

fn locked_pin(card: &mut Session) {
    for left in (0..=3).rev() {
        card.refused("00200000 03 654321", 0x63C0 + left);
    }
    card.refused(VERIFY, 0x6983);
    card.power_cycle();
    card.refused(VERIFY, 0x6983);
    assert_eq!(card.authenticate(0xDDF1, 0x06, 1), Sw::OK);
    let command = card.sealed("84240000", &[], (0xDDF1, 0x02));
    assert_eq!(card.send_bytes(&command).1, Sw::OK);
    card.ok(VERIFY);
}

fn replaced_pin(card: &mut Session) {
    assert_eq!(card.authenticate(0xDDF1, 0x06, 1), Sw::OK);
    let command = card.reset_pin(&bytes("66666666"));
    assert_eq!(card.send_bytes(&command).1, Sw::OK);
    card.refused(VERIFY, 0x63C3);
    card.ok("00200000 04 66666666");
}

fn keys(card: &mut Session) {
    for version in 1..=3 {
        assert_eq!(card.authenticate(0xDDF1, 0x0A, version), Sw::OK);
        card.ok("00B20134 06");
        assert_eq!(card.authenticate(0xDDF1, 0x04, version), Sw::OK);
        card.ok("00DC012C 04 01021122");
        card.ok(&format!(
            "00880000 11 {} {version:02X} 00",
            "11223344".repeat(4)
        ));
        card.reset();
        card.refused("00B20134 06", 0x6982);
        card.ok(SELECT_SSSE);
    }
    assert_eq!(card.fail_to_authenticate(0x0A), Sw(0x63C2));
    assert_eq!(card.fail_to_authenticate(0x0A), Sw(0x63C1));
    assert_eq!(card.fail_to_authenticate(0x0A), Sw(0x63C0));
    assert_eq!(card.fail_to_authenticate(0x0A), Sw(0x6983));
}

fn records(card: &mut Session) {
    assert_eq!(card.authenticate(0xDDF1, 0x04, 1), Sw::OK);
    card.ok("00DC022C 0A 02081122334455667788");
    card.ok("00DC032C 03 030177");
    card.ok("00DC082A 05 0803112233");
    let refusal = card.send("00B2012D 00").1;
    card.ok(&format!("00B2012D {:02X}", refusal.sw2()));
    card.ok(SELECT_DF01);
    assert_eq!(card.authenticate(0xDF01, 0x83, 1), Sw::OK);
    assert_eq!(card.authenticate(0xDF01, 0x84, 1), Sw::OK);
    card.ok("00DC03CC 04 79024444");
    for number in 1..=4 {
        card.ok(&format!("00DC003B 04 0000000{number}"));
    }
    card.ok(VERIFY);
    card.ok("00B2013C 04");
    card.ok("00B2003A 04");
    card.ok("00B2003A 04");
    card.refused("00B2043C 04", 0x6A83);
}

fn binary(card: &mut Session) {
    card.ok(&format!("00D68C10 80 {}", "A5".repeat(128)));
    card.ok("00A40200 02 EF0C");
    card.ok("00B00000 00");
    card.ok("00B00010 00 0100");
    let command = card.sealed("04D68C00", &[0x5A; 40], (0xDDF1, 0x02));
    assert_eq!(card.send_bytes(&command).1, Sw::OK);
    assert_eq!(card.send_bytes(&command).1, Sw(0x6984));
    card.ok("10D60010 04 01020304");
    card.ok("00D60010 04 05060708");
    card.ok(&format!("00D60000 00 0104 {}", "C3".repeat(260)));
    card.refused("00B00258 00", 0x6B00);
}

fn channels(card: &mut Session) {
    card.ok("00700000 01");
    card.ok("00700005");
    card.ok(VERIFY);
    card.ok("01A40400 06 D15600000500 00");
    card.ok("01B2012C 03");
    assert_eq!(card.authenticate(0xDDF1, 0x0A, 1), Sw::OK);
    card.refused("01B2012C 00", 0x6C03);
    card.ok("41A40400 0F 7378312E73682EC9E7BBE1B1A3D5CF 00");
    card.ok("01708001");
    card.refused("01B2012C 03", 0x6881);
    card.ok(SELECT_ISD);
    card.refused("80F0800F", 0x6982);
    assert_eq!(card.send("00A40400 05 7378312E73 10").1, Sw(0x6108));
    card.ok("00C00000 08");
}

fn blocked_application(card: &mut Session) {
    card.ok(SELECT_DF04);
    assert_eq!(card.authenticate(0xDF04, 0x83, 1), Sw::OK);
    let command = card.sealed("841E0001", &[], (0xDF04, 0x82));
    assert_eq!(card.send_bytes(&command).1, Sw::OK);
    card.refused("00840000 08", 0x9303);
    card.refused(SELECT_DF04, 0x9303);
    card.ok(SELECT_SSSE);
    card.ok("00B2012C 04");
}

fn blocked_card(card: &mut Session) {
    assert_eq!(card.authenticate(0xDDF1, 0x05, 1), Sw::OK);
    let command = card.sealed("84160000", &[], (0xDDF1, 0x02));
    assert_eq!(card.send_bytes(&command).1, Sw::OK);
    card.refused(SELECT_SSSE, 0x6A81);
    card.power_cycle();
    card.refused(SELECT_SSSE, 0x6A81);
}

fn loading(card: &mut Session) {
    assert_eq!(card.authenticate(0xDDF1, 0x00, 1), Sw::OK);
    card.ok("80D40009 13 010103 00112233445566778899AABBCCDDEEFF");
    card.ok("80D41000 04 06 111111");
    card.ok("00E00000 18 6216 820101 8302EF0D 88010D 80020400 8C06010100020100");
    card.ok("00D60000 04 01020304");
    card.ok("00E00000 11 620F 820138 8302DF0A 8406D1560000050A");
    card.ok("80D40000 13 010103 00112233445566778899AABBCCDDEEFF");
    card.ok("00E00000 19 6217 82050401004000 8302EF05 880105 80020020 8C03010101");
    card.ok("00DC2002 03 200131");
    card.ok("00440000");
    card.refused("00440000", 0x6985);
    card.refused("00DC2002 03 200131", 0x6982);
}

/// A whole issuing, and SECURED.
fn issuing(card: &mut Session) {
    let issued = Bench::new(Algorithm::Des, 0);
    for (command, sw) in issued.sent {
        assert_eq!(card.send_bytes(&command).1, sw);
    }
    card.power_cycle();
    card.ok(VERIFY);
    card.ok(SELECT_ISD);
    card.refused("80F0807F", 0x6982);
}

fn issuer(card: &mut Session) {
    card.ok("80DA5F51 0A 3B66000080318066B082");
    card.reset();
    card.refused("80E60C00 02 0000", 0x6A80);
    card.refused("80F0407F 08 A000000151000000", 0x6A86);
    card.ok("80F08007");
    card.ok("80F0800F");
    card.ok("00A40400 00");
}

fn losses_of_power(card: &mut Session) {
    let update = format!("00D68C10 80 {}", "A5".repeat(128));
    for how in [0x00, 0x09, 0x12, 0x1B, 0x24, 0x2D] {
        card.cut(how, &update);
        card.cut(how, VERIFY);
        card.cut(how, "00840000 08");
        card.cut(how, "805E0100 07 123456 FF 123456");
    }
    card.ok(SELECT_DF01);
}

/// Everything proven and messages sealed by the replay, so that they stay right
/// whatever is changed around them.
fn sealed(card: &mut Session) {
    for (select, keys) in [
        (SELECT_SSSE, 0..5),
        (SELECT_DF01, 5..9),
        (SELECT_DF04, 9..12),
    ] {
        card.ok(select);
        for key in keys {
            card.event(0xFFFC, key);
        }
        for (message_key, command) in [
            (0, "04D68C00 A5A5A5A5"),
            (0, "04DC022C 0203112233"),
            (1, "04DC01CC 79021111"),
            (1, "04DC003B 01020304"),
            (0, "84240000"),
            (2, "841E0001"),
        ] {
            card.event(0xFFFB, message_key);
            let command = bytes(command);
            card.events
                .extend([0, u8::try_from(command.len()).expect("short")]);
            card.events.extend(command);
        }
    }
}

/// A session: its name, its card, what is sent.
type Play = (&'static str, Start, fn(&mut Session));

/// The sessions.
pub(crate) fn sessions() -> Vec<Session> {
    let all: [Play; 21] = [
        ("pin", Start::Des, pin),
        ("first-change", Start::Sm4, first_change),
        ("locked-pin", Start::Des, locked_pin),
        ("locked-pin-sm4", Start::Sm4, locked_pin),
        ("replaced-pin", Start::Des, replaced_pin),
        ("replaced-pin-sm4", Start::Sm4, replaced_pin),
        ("keys", Start::Des, keys),
        ("keys-sm4", Start::Sm4, keys),
        ("records", Start::Des, records),
        ("binary", Start::Des, binary),
        ("binary-sm4", Start::Sm4, binary),
        ("channels", Start::Des, channels),
        ("blocked-application", Start::Des, blocked_application),
        ("blocked-card", Start::Des, blocked_card),
        ("blocked-card-sm4", Start::Sm4, blocked_card),
        ("loading", Start::Des, loading),
        ("issuing", Start::Blank, issuing),
        ("issuer", Start::Blank, issuer),
        ("sealed", Start::Des, sealed),
        ("sealed-sm4", Start::Sm4, sealed),
        ("losses-of-power", Start::Des, losses_of_power),
    ];
    all.map(|(name, start, play)| Session::record(name, start, play))
        .into()
}

/// Target, name and bytes of what the parsers know.
const FORMS: [(&str, &str, &str); 44] = [
    ("command", "case-1", "00A40000"),
    ("command", "case-2-short", "00B0000000"),
    ("command", "case-2-extended", "00B00000000000"),
    ("command", "case-3-short", "00D6000002AABB"),
    ("command", "case-3-extended", "00D60000000002AABB"),
    ("command", "case-4-short", "00A4040002AABB10"),
    ("command", "case-4-extended", "00A40400000002AABB0100"),
    ("command", "further-channel", "D5B2012C05"),
    ("command", "response", "01020390 00"),
    ("command", "atr-t0", "3B6D00000080318065B08951000000"),
    (
        "command",
        "atr-check",
        "3B9F95801FC78031E073FE211B63E208A8830F900088",
    ),
    (
        "command",
        "t0-exchange",
        "00D6000004010203 D6602929616104 9000",
    ),
    (
        "psam",
        "session",
        concat!(
            "00 0007 00A4000002DF01 0025 ",
            "BFDE672E20868441160002002631313030303073783131303030307368112233",
            "4455667788 000E 80FA000008010203040506070800",
        ),
    ),
    (
        "psam",
        "mac",
        concat!(
            "01 0007 00A4000002DF01 001D ",
            "BFDE480918868441160002002631313030303073781122334455667788 0015 ",
            "80FA07001000000000000000008424000004800000 000D ",
            "80FA0300081111111111111111 000E 80FA010008222222222222222200",
        ),
    ),
    (
        "psam",
        "sixteen",
        concat!(
            "05 0014 00A404000F7378322E73682EC9E7BBE1B1A3D5CF 0007 ",
            "00A4000002DF01 001D ",
            "BFDE272E18868441160002002611111111111111111111111111111111 0016 ",
            "80FA0200100101010101010101010101010101010100 0026 ",
            "80FA000020020202020202020202020202020202020202020202020202020202",
            "020202020200",
        ),
    ),
    (
        "psam",
        "purchases",
        concat!(
            "00 0007 00A4000002DF01 003A ",
            "8070010034112233440000000000000000006400000032322026010208300001",
            "0086844116000200263131303030307378313130303030736800 FFFD 02 003A ",
            "8070010034112233440000000000000000006400000032322026010208300001",
            "0086844116000200263131303030307378313130303030736800 0007 ",
            "00A4000002DF01 003A ",
            "8070010034112233440000000000000000006400000032322026010208300001",
            "0086844116000200263131303030307378313130303030736800 FFFE 0005 ",
            "00B0960006",
        ),
    ),
    (
        "psam",
        "keys",
        concat!(
            "00 0007 00A4000002DF01 FFFC 01 0005 0084000008 FFFB 0016 ",
            "84D5672E010011111111111111111111111111111111 0005 0084000004 FFFB ",
            "0016 84D4670B010022222222222222222222222222222222 0025 ",
            "BFDE670B20868441160002002631313030303073783131303030307368111111",
            "1111111111 FFFF",
        ),
    ),
    (
        "medical",
        "load-and-purchase",
        "00 00100000 02000A05 05010000 05000000",
    ),
    (
        "medical",
        "load-and-purchase-sm4",
        "01 00100000 02000A05 05010000 05000000",
    ),
    (
        "medical",
        "wrong-macs",
        "01 08100000 00100000 0A000A05 04000000 04010000 0D000700",
    ),
    (
        "medical",
        "power-cuts",
        "00 00100000 07030000 02000A05 07080200 00010000 070C0500 0A000105 06000000",
    ),
    (
        "medical",
        "no-room",
        "01 00FFFF10 00FFFF10 02FFFF00 00FFFF1F",
    ),
    (
        "emv_session",
        "off-line",
        "01 00000000 01006400 04000000 02006401 0A010C00",
    ),
    (
        "emv_session",
        "on-line",
        "01 00000000 01006400 04000000 02006402 06000000 03010000 14000000",
    ),
    (
        "emv_session",
        "cash-and-load",
        "00 00000000 01006401 02006401 00000000 01000000 02000002 07500000 06000000 03010000",
    ),
    (
        "emv_session",
        "activated",
        "02 00000000 01000000 02000000 08010000 00000000 01006400 02006402",
    ),
    (
        "emv_session",
        "power-cuts",
        "03 00000000 0C030000 01006401 00000000 01006401 0C050200 02006401 00000000 01000100",
    ),
    (
        "script",
        "all-kinds",
        concat!(
            "02 03019F5805 03069F79000000002000 00000000 01000000 02000000 ",
            "04090301 70078F01639F320103"
        ),
    ),
    (
        "script",
        "wrong-macs",
        "00 03819F5805 01000000 03809F59 02C00000 05000000",
    ),
    ("t1_block", "pps", "FF10957A"),
    ("t1_block", "one-block", "00000400A40000A0"),
    (
        "t1_block",
        "exchange",
        "1F 87 00000000A40000 83 008000 85 0040009000",
    ),
    (
        "t1_block",
        "chains",
        "01 85 00200000A4 85 0040000000 83 009000 83 008000 83 009000 86 002000AABBCC",
    ),
    (
        "t1_block",
        "requests",
        "E7 84 00C10010 84 00E10007 87 00000000A40000 84 00E10009 84 00E300E7 84 00C30005",
    ),
    (
        "t1_block",
        "errors",
        "1F 03 000000 83 008100 83 009200 00 00 83 00C200 83 00E200 83 00C000 83 00E000",
    ),
    ("tlv", "fci", "6F108408A000000151000000A5049F6501FF"),
    ("tlv", "fcp", "620E8201018302EF0D88010D80020400"),
    (
        "tlv",
        "long-lengths",
        "5F51820004 41424344 DF81018400000001FF 7F218102A500",
    ),
    ("tlv", "records", "0102AABB0201330304322E3000"),
    ("tlv", "dol", "9F02069F03069F1A0295055F2A029A039C019F3704"),
    ("tlv", "filler", "0000820138000083023F0000"),
    (
        "torn_store",
        "commit",
        "050000 00AA01 2B0B02 33104B 050000 7F0001 18AB44 050000",
    ),
    (
        "torn_store",
        "roll-back",
        "0A1213 280A01 2B0B02 070000 18AB44 050000 7F0001",
    ),
    (
        "torn_store",
        "no-cut",
        "FF0000 00AA01 2B0B02 33104B 050000 7F0001 070000",
    ),
];

/// Every seed: target, name, bytes.
pub(crate) fn all() -> Vec<(&'static str, &'static str, Vec<u8>)> {
    let forms = FORMS.map(|(target, name, hex)| (target, name, bytes(hex)));
    let sessions = sessions();
    let sessions = sessions
        .iter()
        .map(|session| ("session", session.name, session.bytes()));
    forms.into_iter().chain(sessions).collect()
}
