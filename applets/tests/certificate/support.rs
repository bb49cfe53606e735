//! A small card with the certificate application, and who talks to it.
//!
//! ```text
//! PKI.社会保障         user PIN 123456, 3 tries; administrator PIN 12345678, 4 tries
//! └─ DF01 SS.CERT.ADF1
//!    ├─ 0012 0014 (66 bytes)    read free, update never
//!    ├─ 0013 0015 (34 bytes)    read and update never
//!    └─ 0018 0019 (1024 bytes)  read free, update administrator
//! ```
//!
//! Beside it SSSE with the PIN 123456, 3 tries, and a file that the PIN opens.

use cardlab::apdu::Sw;
use cardlab::crypto::sm2::{OVERHEAD, Order, PrivateKey, PublicKey};
use cardlab::crypto::{CbcMac, Expanded, Key, Padding, Random, Sm3};
use cardlab::icc::Icc;
use cardlab::os::Card;

pub(crate) const SELECT_ISD: &str = "00A40400 08 A000000151000000 00";
pub(crate) const SELECT_SSSE: &str = "00A40400 0F 7378312E73682EC9E7BBE1B1A3D5CF 00";
pub(crate) const SELECT_PKI: &str = "00A40400 0C 504B492EC9E7BBE1B1A3D5CF 00";
pub(crate) const SELECT_ADF: &str = "00A40400 0C 53532E434552542E41444631 00";
pub(crate) const GENERATE: &str = "80400000 08 C0020012 C2020013";
pub(crate) const EXPORT: &str = "80C98200 08 C0020012 C2020013 00";
pub(crate) const USER: (u8, &str) = (0x81, "123456");
pub(crate) const ADMINISTRATOR: (u8, &str) = (0x00, "12345678");

/// Install parameters: all commands, the user's PIN for everything.
pub(crate) const USUAL: &str = "810101 8303010101";

pub(crate) struct Bench {
    pub(crate) card: Card,
    /// The logical channel that commands go to, 0 to 3.
    pub(crate) channel: u8,
}

pub(crate) fn bytes(text: &str) -> Vec<u8> {
    hex::decode(text.replace(' ', "")).expect("hexadecimal digits")
}

/// What a PIN is proven with.
pub(crate) fn token(pin: &str) -> Expanded {
    let hash = Sm3::new().chain(&bytes(pin)).finish();
    Key::sm4(hash[..16].try_into().expect("16 bytes")).expand()
}

/// Random numbers of the host's.
pub(crate) fn source(seed: u8) -> impl FnMut(&mut [u8]) {
    let random = Random::new(&[seed; 16]);
    let mut next = 0;
    move |into| next = random.fill(next, into)
}

impl Bench {
    pub(crate) fn new() -> Bench {
        Bench::with(USUAL)
    }

    /// An issued card, with power.
    pub(crate) fn with(parameters: &str) -> Bench {
        let mut bench = Bench {
            card: Card::manufacture(&cardlab_applets::ROM, 7),
            channel: 0,
        };
        bench.reset();
        bench.install("50 4B 49 2E C9E7BBE1B1A3D5CF", "504B49", parameters);
        bench.install(
            "7378312E73682EC9E7BBE1B1A3D5CF",
            "535343",
            "860103 800103 810100 82020308",
        );
        bench.ok(SELECT_PKI);
        bench.ok("80D41081 04 03 123456");
        bench.ok("80D41000 05 04 12345678");
        bench.create("820138 8302DF01 840C53532E434552542E41444631");
        for (fid, len, read, update) in [
            (0x12, 66, "00", "FF"),
            (0x13, 34, "FF", "FF"),
            (0x14, 66, "00", "FF"),
            (0x15, 34, "FF", "FF"),
            (0x18, 1024, "00", "0200"),
            (0x19, 1024, "00", "0200"),
        ] {
            let rules = format!(
                "01{:02X}{read} 02{:02X}{update}",
                read.len() / 2,
                update.len() / 2
            );
            let rules_len = bytes(&rules).len();
            bench.create(&format!(
                "820101 830200{fid:02X} 8801{fid:02X} 8002{len:04X} 8C{rules_len:02X}{rules}"
            ));
        }
        bench.ok("00440000");
        bench.ok("00A40000 02 3F00 00");
        bench.ok("00440000");
        bench.ok(SELECT_SSSE);
        bench.create("820138 8302DDF1 840F7378312E73682EC9E7BBE1B1A3D5CF");
        bench.ok("80D41000 04 03 123456");
        bench.create("820101 8302EF0C 88010C 80020010 8C06 010101 020101");
        bench.ok("00440000");
        bench.ok("00A40000 02 3F00 00");
        bench.ok("00440000");
        bench.ok(SELECT_ISD);
        bench.ok("80F0800F");
        bench.reset();
        bench
    }

    fn install(&mut self, instance: &str, module: &str, parameters: &str) {
        let (instance, parameters) = (bytes(instance), bytes(parameters));
        let data = format!(
            "08 F0636172646C6162 0B F0636172646C6162{module} {:02X}{} 01 08 {:02X} C9{:02X}{} 00",
            instance.len(),
            hex::encode(&instance),
            parameters.len() + 2,
            parameters.len(),
            hex::encode(&parameters),
        );
        self.ok(&format!("80E60C00 {:02X} {data} 00", bytes(&data).len()));
    }

    fn create(&mut self, objects: &str) {
        let len = bytes(objects).len();
        self.ok(&format!("00E00000 {:02X} 62{len:02X} {objects}", len + 2));
    }

    /// Sends and gives data and status word.
    pub(crate) fn send_bytes(&mut self, command: &[u8]) -> (Vec<u8>, Sw) {
        let mut command = command.to_vec();
        command[0] |= self.channel;
        let mut answer = Vec::new();
        self.card
            .transmit(&command, &mut answer)
            .expect("the card answers");
        let sw = answer.split_off(answer.len() - 2);
        (answer, Sw(u16::from_be_bytes([sw[0], sw[1]])))
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

    pub(crate) fn reset(&mut self) {
        self.channel = 0;
        self.card.power_on().expect("the card starts");
    }

    pub(crate) fn fork(&mut self) -> Bench {
        Bench {
            card: self.card.fork(),
            channel: self.channel,
        }
    }

    /// Selects the application with its files.
    pub(crate) fn enter(&mut self) {
        self.ok(SELECT_PKI);
        self.ok(SELECT_ADF);
    }

    /// A random number of the card's, filled to 16 bytes.
    pub(crate) fn challenge(&mut self, len: u8) -> [u8; 16] {
        let mut challenge = self.ok(&format!("00840000 {len:02X}"));
        challenge.resize(16, 0);
        challenge.try_into().expect("16 bytes")
    }

    /// VERIFY with a PIN for a fresh challenge.
    pub(crate) fn verify_command(&mut self, (who, pin): (u8, &str)) -> Vec<u8> {
        let mut code = self.challenge(16);
        token(pin).encrypt_block(&mut code);
        bytes(&format!("002001{who:02X} 10 {}", hex::encode(code)))
    }

    pub(crate) fn verify(&mut self, pin: (u8, &str)) -> Sw {
        let command = self.verify_command(pin);
        self.send_bytes(&command).1
    }

    /// A message of 4 header bytes for a fresh challenge: a new PIN, or none.
    pub(crate) fn sealed(&mut self, header: &str, by: &str, new: Option<&str>) -> Vec<u8> {
        let challenge = self.challenge(16);
        let mut data = Vec::new();
        if let Some(new) = new {
            let pin = bytes(new);
            let mut block = [0; 16];
            block[0] = u8::try_from(pin.len()).expect("short");
            block[1..=pin.len()].copy_from_slice(&pin);
            block[1 + pin.len()] = 0x80;
            token(by).encrypt_block(&mut block);
            data.extend(block);
        }
        let mut command = bytes(header);
        command[0] |= self.channel;
        command.push(u8::try_from(data.len() + 4).expect("short"));
        command.extend(&data);
        let mac = CbcMac::new(&token(by))
            .with_iv(&challenge)
            .chain(&command)
            .finish(Padding::M2);
        command.extend(mac.folded());
        command
    }

    pub(crate) fn change(&mut self, (who, old): (u8, &str), new: &str) -> Sw {
        let command = self.sealed(&format!("845E01{who:02X}"), old, Some(new));
        self.send_bytes(&command).1
    }

    /// A public key as it is exported.
    pub(crate) fn public_key(&mut self) -> PublicKey {
        let answer = self.ok(EXPORT);
        assert_eq!(answer[..2], [0xCA, 0x40]);
        PublicKey::from_bytes(answer[2..].try_into().expect("64 bytes")).expect("a point")
    }

    pub(crate) fn sign_command(digest: &[u8; 32]) -> String {
        format!("80480001 26 C2020013 C120 {} 00", hex::encode(digest))
    }

    pub(crate) fn decrypt_command(fid: u16, text: &[u8]) -> String {
        let len = text.len();
        format!(
            "804E0001 {:02X} C202{fid:04X} C182{len:04X} {} 00",
            len + 8,
            hex::encode(text)
        )
    }

    /// An encryption key pair in an envelope for the card's signature key: the commands
    /// that take it in, all but the first, which decrypts the session key.
    pub(crate) fn envelope(&mut self, key: &PrivateKey) -> (String, [String; 3]) {
        let session = [0x5A; 16];
        let mut text = [0; OVERHEAD + 16];
        let sealed = self
            .public_key()
            .encrypt(&session, Order::C1C3C2, &mut source(3), &mut text);
        assert_eq!(sealed, Some(OVERHEAD + 16));
        let mut enciphered = key.expose();
        let session_key = Key::sm4(session).expand();
        session_key.encrypt_ecb(&mut enciphered).expect("2 blocks");
        let public = hex::encode(key.public_key().to_bytes());
        (
            Bench::decrypt_command(0x0013, &text),
            [
                format!("804A0210 12 C110 {}", hex::encode(session)),
                format!("80C24000 46 C0020014 CA40 {public}"),
                format!("80C2C001 26 C2020015 CB20 {}", hex::encode(enciphered)),
            ],
        )
    }
}
