//! A small social security card, issued over the wire, and who talks to it.
//!
//! ```text
//! MF 3F00
//! └─ DDF1 SSSE          MK 00, IRK, STK 02, UK 04, BK 05, PUK 06, RK 0A, PIN 123456
//!    ├─ EF05 variable   read free, update UK
//!    ├─ EF06 variable   read RK, update UK
//!    ├─ EF07 transparent, 300 bytes: read RK, update UK
//!    ├─ EF0C transparent, 600 bytes: read and update free
//!    ├─ DF01            MK 00, STK 82, UK 83, UK 84, RK 88
//!    │  ├─ EF05 variable  read PIN or RK, update UK 83
//!    │  ├─ EF07 cyclic, 3 records of 4: read PIN, update UK 84
//!    │  └─ EF19 linear fixed, 3 records of 4: read free, update UK 83
//!    └─ DF04            MK 00, STK 82, LK 83, RK 84; LK blocks it
//!       ├─ EF06 variable  read PIN and RK, update never
//!       └─ EF08 cyclic, 2 records of 4: read PIN, update never
//! ```

use cardlab::apdu::Sw;
use cardlab::crypto::{Algorithm, Key, derive};
use cardlab::icc::Icc;
use cardlab::os::Card;

/// The issuer's domain.
pub(crate) const SELECT_ISD: &str = "00A40400 08 A000000151000000 00";
pub(crate) const SELECT_SSSE: &str = "00A40400 0F 7378312E73682EC9E7BBE1B1A3D5CF 00";
pub(crate) const SELECT_DF01: &str = "00A40400 06 D15600000500 00";
pub(crate) const SELECT_DF04: &str = "00A40400 06 D15600000503 00";
pub(crate) const VERIFY: &str = "00200000 03 123456";

/// Switch: the PIN must be changed on the card first.
pub(crate) const FIRST_CHANGE: u8 = 0x01;
/// Switch: UPDATE RECORD of record 1 of a cyclic EF adds a record.
pub(crate) const CYCLIC_APPENDS: u8 = 0x02;
/// Switch: whole names only.
pub(crate) const WHOLE_NAMES: u8 = 0x04;

/// A card and who talks to it.
pub(crate) struct Bench {
    pub(crate) card: Card,
    pub(crate) algorithm: Algorithm,
    /// The logical channel that commands go to, 0 to 3.
    pub(crate) channel: u8,
    /// The commands so far, each with what it was answered.
    pub(crate) sent: Vec<(Vec<u8>, Sw)>,
}

pub(crate) fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.replace(' ', "")).expect("hexadecimal digits")
}

/// The key of a directory that the tests use: its bytes say whose it is.
pub(crate) fn key_bytes(directory: u16, purpose: u8, kid: u8, version: u8) -> [u8; 16] {
    let [high, low] = directory.to_be_bytes();
    let mut key = [0x5A; 16];
    key[..5].copy_from_slice(&[high, low, purpose << 4, kid, version << 1]);
    key
}

impl Bench {
    /// A card as it comes from the factory, with power.
    pub(crate) fn blank(algorithm: Algorithm) -> Bench {
        let mut bench = Bench {
            card: Card::manufacture(&cardlab_applets::ROM, 7),
            algorithm,
            channel: 0,
            sent: Vec::new(),
        };
        bench.reset();
        bench
    }

    /// A card of which nothing is activated yet, with power.
    pub(crate) fn in_creation(algorithm: Algorithm, switches: u8) -> Bench {
        let mut bench = Bench::blank(algorithm);
        bench.install(switches);
        bench.issue(false);
        bench
    }

    /// An issued card, with power.
    pub(crate) fn new(algorithm: Algorithm, switches: u8) -> Bench {
        let mut bench = Bench::issued(algorithm, switches);
        bench.ok(SELECT_ISD);
        bench.ok("80F0800F");
        bench.reset();
        bench
    }

    /// The same before it is SECURED.
    pub(crate) fn issued(algorithm: Algorithm, switches: u8) -> Bench {
        let mut bench = Bench::blank(algorithm);
        bench.install(switches);
        bench.issue(true);
        bench
    }

    /// Gives the card an ATR and the applet.
    pub(crate) fn install(&mut self, switches: u8) {
        let id = self.algorithm.id();
        self.ok("80DA5F51 0A 3B66000080318066B082");
        self.ok(&format!(
            "80E60C00 38 08 F0636172646C6162 0B F0636172646C6162535343 \
             0F 7378312E73682EC9E7BBE1B1A3D5CF 01 0C \
             0F C90D 8601{id:02X} 800102 8101{switches:02X} 82020308 00 00"
        ));
    }

    fn issue(&mut self, activates: bool) {
        self.ok(SELECT_SSSE);
        self.create("82 01 38 83 02 DDF1 84 0F 7378312E73682EC9E7BBE1B1A3D5CF A5 03 88011E");
        self.key(0xDDF1, 0, 0x00, 1, 3);
        for version in 1..=3 {
            self.key(0xDDF1, 1, 0x00, version, 0);
            self.key(0xDDF1, 0, 0x04, version, 3);
            self.key(0xDDF1, 0, 0x0A, version, 3);
        }
        self.key(0xDDF1, 2, 0x02, 1, 0);
        self.key(0xDDF1, 0, 0x05, 1, 0);
        self.key(0xDDF1, 0, 0x06, 1, 3);
        self.ok("80D41000 04 04 123456");
        self.create("82 05 04 01 0040 07 83 02 EF05 88 01 05 80 02 0040 8C 07 010100 02020204");
        for record in ["0102AABB", "020133", "0304322E3000", "0702CCDD"] {
            self.append(record);
        }
        self.create("82 05 04 01 0040 07 83 02 EF06 88 01 06 80 02 0030 8C 08 0102020A 02020204");
        self.append("0804 31323334");
        self.append("0902 4142");
        self.create("82 01 01 83 02 EF07 88 01 07 80 02 012C 8C 08 0102020A 02020204");
        self.create("82 01 01 83 02 EF0C 88 01 0C 80 02 0258 8C 06 010100 020100");

        self.create("82 01 38 83 02 DF01 84 06 D15600000500");
        self.key(0xDF01, 0, 0x00, 1, 3);
        self.key(0xDF01, 2, 0x82, 1, 0);
        for kid in [0x83, 0x84, 0x88] {
            self.key(0xDF01, 0, kid, 1, 3);
        }
        self.create(
            "82 05 04 01 0040 00 83 02 EF05 88 01 05 80 02 0020 8C 0A 0104 01028804 02020283",
        );
        for record in ["200131", "4001AA", "4001BB", "4001CC", "2102AABB"] {
            self.append(record);
        }
        self.create("82 05 06 01 0004 03 83 02 EF07 88 01 07 8C 07 010101 02020284");
        self.create("82 05 02 01 0004 03 83 02 EF19 88 01 19 8C 07 010100 02020283");
        self.append("79022222");
        self.append("79023333");
        self.activate(activates);

        self.ok(SELECT_SSSE);
        self.create("82 01 38 83 02 DF04 84 06 D15600000503 8C 04 04020283");
        self.key(0xDF04, 0, 0x00, 1, 3);
        self.key(0xDF04, 2, 0x82, 1, 0);
        self.key(0xDF04, 0, 0x83, 1, 0);
        self.key(0xDF04, 0, 0x84, 1, 3);
        self.create(
            "82 05 04 01 0040 00 83 02 EF06 88 01 06 80 02 0020 8C 09 0104 01028403 0201FF",
        );
        self.append("900131");
        self.create("82 05 06 01 0004 02 83 02 EF08 88 01 08 8C 06 010101 0201FF");
        self.activate(activates);
        self.ok(SELECT_SSSE);
        self.activate(activates);
        self.ok("00A40000 02 3F00 00");
        self.activate(activates);
    }

    fn activate(&mut self, activates: bool) {
        if activates {
            self.ok("00440000");
        }
    }

    fn create(&mut self, objects: &str) {
        let objects = objects.replace(' ', "");
        let len = objects.len() / 2;
        self.ok(&format!("00E00000 {:02X} 62{len:02X} {objects}", len + 2));
    }

    fn append(&mut self, record: &str) {
        let len = record.replace(' ', "").len() / 2;
        let tag = &record[..2];
        // By identifier "next", so that several with one tag can be added.
        self.ok(&format!("00DC{tag}02 {len:02X} {record}"));
    }

    pub(crate) fn key(&mut self, directory: u16, purpose: u8, kid: u8, version: u8, tries: u8) {
        let key = hex::encode(key_bytes(directory, purpose, kid, version));
        let id = self.algorithm.id();
        self.ok(&format!(
            "80D4{purpose:02X}{kid:02X} 13 {version:02X}{id:02X}{tries:02X} {key}"
        ));
    }

    /// Sends and gives data and status word.
    pub(crate) fn send_bytes(&mut self, command: &[u8]) -> (Vec<u8>, Sw) {
        let mut command = command.to_vec();
        if let Some(class) = command.first_mut() {
            *class |= self.channel;
        }
        let mut answer = Vec::new();
        self.card
            .transmit(&command, &mut answer)
            .expect("the card answers");
        let sw = answer.split_off(answer.len() - 2);
        let sw = Sw(u16::from_be_bytes([sw[0], sw[1]]));
        self.sent.push((command, sw));
        (answer, sw)
    }

    pub(crate) fn send(&mut self, command: &str) -> (Vec<u8>, Sw) {
        self.send_bytes(&bytes(command))
    }

    #[track_caller]
    pub(crate) fn ok(&mut self, command: &str) -> Vec<u8> {
        let (data, sw) = self.send(command);
        assert_eq!(sw, Sw::OK, "{command}");
        data
    }

    #[track_caller]
    pub(crate) fn refused(&mut self, command: &str, sw: u16) {
        let (data, answered) = self.send(command);
        assert_eq!(answered, Sw(sw), "{command}");
        assert!(data.is_empty(), "{command} answers data with {answered}");
    }

    /// Takes the power away and gives it back; channel 0 is left.
    pub(crate) fn reset(&mut self) {
        self.channel = 0;
        self.card.power_on().expect("the card starts");
    }

    pub(crate) fn fork(&mut self) -> Bench {
        Bench {
            card: self.card.fork(),
            algorithm: self.algorithm,
            channel: self.channel,
            sent: self.sent.clone(),
        }
    }

    pub(crate) fn the_key(&self, directory: u16, purpose: u8, kid: u8, version: u8) -> Key {
        Key::new(self.algorithm, &key_bytes(directory, purpose, kid, version)).expect("16 bytes")
    }

    /// The data of an EXTERNAL AUTHENTICATION for a fresh challenge.
    pub(crate) fn proof(&mut self, directory: u16, kid: u8, version: u8) -> String {
        let challenge = self.ok("00840000 08");
        hex::encode(self.proof_for(directory, kid, version, &challenge))
    }

    /// The data of an EXTERNAL AUTHENTICATION for this challenge.
    pub(crate) fn proof_for(
        &self,
        directory: u16,
        kid: u8,
        version: u8,
        challenge: &[u8],
    ) -> [u8; 16] {
        let key = self.the_key(directory, 0, kid, version);
        let session = derive::session_key(&key.expand(), challenge).expect("a challenge");
        let raw = [1, 2, 3, 4, 5, 6, 7, 8];
        let mut proof = [0; 16];
        let (code, rest) = proof.split_at_mut(8);
        code.copy_from_slice(&derive::authenticate(&session.expand(), &raw));
        rest.copy_from_slice(&raw);
        proof
    }

    pub(crate) fn authenticate(&mut self, directory: u16, kid: u8, version: u8) -> Sw {
        let proof = self.proof(directory, kid, version);
        self.send(&format!("008200{kid:02X} 11 {proof} {version:02X}"))
            .1
    }

    pub(crate) fn fail_to_authenticate(&mut self, kid: u8) -> Sw {
        self.ok("00840000 08");
        self.send(&format!("008200{kid:02X} 10 {}", "00".repeat(16)))
            .1
    }

    /// A command of 4 header bytes with its MAC, for a fresh challenge.
    pub(crate) fn sealed(&mut self, header: &str, data: &[u8], stk: (u16, u8)) -> Vec<u8> {
        let challenge = self.ok("00840000 08");
        self.sealed_with(&bytes(header), data, stk, &challenge)
    }

    pub(crate) fn sealed_with(
        &self,
        header: &[u8],
        data: &[u8],
        (directory, kid): (u16, u8),
        challenge: &[u8],
    ) -> Vec<u8> {
        let key = self.the_key(directory, 2, kid, 1);
        let session = derive::session_key(&key.expand(), challenge)
            .expect("a challenge")
            .expand();
        let mut command = header.to_vec();
        command[0] |= self.channel;
        command.push(u8::try_from(data.len() + 4).expect("short"));
        let mac = derive::mac(&session, &[&command, data]);
        command.extend_from_slice(data);
        command.extend_from_slice(&mac);
        command
    }

    /// PIN CHANGE/UNBLOCK with a new PIN, for a fresh challenge.
    pub(crate) fn reset_pin(&mut self, pin: &[u8]) -> Vec<u8> {
        let challenge = self.ok("00840000 08");
        let key = self.the_key(0xDDF1, 2, 0x02, 1);
        let session = derive::session_key(&key.expand(), &challenge)
            .expect("8 bytes")
            .expand();
        let mut buffer = [0; 32];
        let len = derive::encipher(&session, pin, &mut buffer).expect("room");
        self.sealed_with(
            &bytes("84240001"),
            &buffer[..len],
            (0xDDF1, 0x02),
            &challenge,
        )
    }
}
