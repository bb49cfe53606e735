//! A bank card personalised by hand over the wire, and who talks to it.
//!
//! The data are those of a test card of a public issuing tool: account 8888800000000001,
//! sequence 01, keys derived from three well-known master keys; one RSA key proves the
//! card and enciphers PINs. Its certificates stand for themselves: they are of the right
//! shape and length, and no authority signed them. A recipe can add the second set, keys
//! for SM4 and with them one for SM2; then the card's list asks terminals for the set.

use cardlab::apdu::Sw;
use cardlab::crypto::sm2::{IDENTITY, PublicKey};
use cardlab::crypto::{Expanded, Key, Padding, RsaPrivate, RsaPublic, pboc};
use cardlab::icc::Icc;
use cardlab::os::Card;
use cardlab::tag;
use cardlab::tlv;
use std::collections::BTreeMap;

pub(crate) const SELECT_ISD: &str = "00A40400 08 A000000151000000 00";
pub(crate) const SELECT_PSE: &str = "00A40400 0E 315041592E5359532E4444463031 00";
pub(crate) const SELECT: &str = "00A40400 08 A000000333010101 00";
/// PIN 123456.
pub(crate) const VERIFY: &str = "00200080 08 26123456FFFFFFFF";
pub(crate) const VERIFY_WRONG: &str = "00200080 08 26654321FFFFFFFF";
/// INTERNAL AUTHENTICATE with the number that cryptograms are asked for with.
pub(crate) const PROVE: &str = "00880000 04 D64B8587 00";

/// Switches of the install parameters.
pub(crate) const STARTS_INACTIVE: u16 = 0x0001;
pub(crate) const NEW_CARD_TAKES_NO_CASH: u16 = 0x0002;
pub(crate) const PENDING_SENDS_CASH_ONLINE: u16 = 0x0004;
pub(crate) const PDOL_LENGTH_IS_DATA: u16 = 0x0008;
pub(crate) const SECOND_BALANCE_IS_DATA: u16 = 0x0010;
pub(crate) const COUNTS_AT_FIRST_AC: u16 = 0x0020;
pub(crate) const SM2_NUMBER_WITHIN: u16 = 0x0040;

/// Keys for cryptograms, MACs, enciphering.
const TRIPLE_DES: [&str; 3] = [
    "08B93D5426A7709E4F2346E3B083706D",
    "D90462EAFE73B5BA54BC5DA275670729",
    "135DD03E1CF268FDBF16C8E09B73D931",
];

/// Master keys for the same by SM4.
pub(crate) const SM4_MASTERS: [&str; 3] = [
    "0123456789ABCDEFFEDCBA9876543210",
    "112233445566778899AABBCCDDEEFF00",
    "00FFEEDDCCBBAA998877665544332211",
];
/// The account's digits that make a card's keys its own, and their complement.
const SM4_FACTOR: &str = "8880000000000101 777FFFFFFFFFFEFE";

/// The SM2 key pair of GB/T 32918.5-2017, A.2.
pub(crate) const SM2_PRIVATE: &str =
    "3945208F7B2144B13F36E38AC6D39F95889393692860B51A42FB81EF4DF7C5B8";
pub(crate) const SM2_PUBLIC: &str = "\
     09F9DF311E5421A150DD7D161E4BC5C672179FAD1833FC076BB08FF356F35020\
     CCEA490CE26775A52DC6EA718CC1AA600AED05FBF35E084A6632F6072DA9AD13";
/// The options of the account and of e-cash in the set with SM2.
pub(crate) const SM_OPTIONS: &str = "8202 7D00 940C 080102001001010028010300";
pub(crate) const SM_CASH_OPTIONS: &str = "8202 7D00 9410 08010200100505002801030020010100";

/// The RSA key of 1024 bits, exponent 3: p, q, d mod p−1, d mod q−1, q⁻¹ mod p.
const RSA: [&str; 5] = [
    "FD2D724250BCBA3838462156CED912C08D9C1065081652FF721F07152266DE3A\
     B69049E576A2BCA8471066BE5DCC7DEF3743AABFD3381D29CD4989EEF47D89AF",
    "E70E0CCA9262BA7DED0937041FCF4AB889E4FF7E561A79C2728C347978374DBA\
     D56FBD01AF0C400E3F1F8834D1B12FD3871972ECD2408FE9A03DBC55D23F0995",
    "A8C8F6D6E07DD17AD02EC0E489E60C805E680AEE05643754F6BF5A0E16EF3ED1\
     CF0ADBEE4F1728702F60447EE932FE9F7A2D1C7FE22568C688DBB149F853B11F",
    "9A095DDC619726FE9E0624AD6A8A31D05BEDFFA98EBC512C4C5D7850FACF8927\
     38F528ABCA082AB42A1505788BCB7537AF664C9DE1805FF1157E7D8E8C2A0663",
    "1E75C721351DEB2E93DA08AE3EFF7D2A9D01F04D2E680A9C67901451D2ACAA9A\
     32FE5CEE23BE13BDEEE6A0D038CCFC3C423DD13D4776A587FCC9CC12CADFF076",
];

pub(crate) fn bytes(text: &str) -> Vec<u8> {
    let digits: String = text.split_whitespace().collect();
    hex::decode(digits).expect("hexadecimal digits")
}

pub(crate) fn array<const N: usize>(text: &str) -> [u8; N] {
    bytes(text).try_into().expect("so many bytes")
}

/// A data object.
pub(crate) fn object(tag: &str, value: &str) -> String {
    let value: String = value.split_whitespace().collect();
    let len = value.len() / 2;
    let len = match len {
        0..=0x7F => format!("{len:02X}"),
        0x80..=0xFF => format!("81{len:02X}"),
        _ => format!("82{len:04X}"),
    };
    format!("{tag}{len}{value}")
}

/// The data of a card, by number of the grouping, in the order of sending.
#[derive(Clone)]
pub(crate) struct Recipe {
    pub(crate) switches: u16,
    pub(crate) privileges: u8,
    /// Internal elements by tag, and their values.
    pub(crate) elements: BTreeMap<&'static str, String>,
    /// Everything else.
    pub(crate) groupings: Vec<(u16, Vec<u8>)>,
    /// Whether the card's list asks the terminal for the set.
    pub(crate) asks_for_set: bool,
}

impl Recipe {
    pub(crate) fn new() -> Recipe {
        let elements = [
            ("9F58", "0A"),
            ("9F59", "0F"),
            ("9F53", "03"),
            ("9F72", "03"),
            ("9F54", "000000100000"),
            ("9F5C", "000000200000"),
            ("9F4F", "9A039F21039F02069F03069F1A025F2A029F4E149C019F3602"),
            ("DF4F", "9A039F21039F1A029F4E149F3602"),
            ("9F77", "000000200000"),
            ("9F78", "000000070000"),
            ("9F79", "000000100000"),
            ("9F6D", "000000050000"),
            ("9F68", "9940F000"),
            ("9F6C", "2000"),
            ("9F5D", "000000000001"),
            ("9F6B", "999999999999"),
            ("9F51", "0156"),
            ("9F52", "C000"),
            ("9F56", "80"),
            ("9F57", "0156"),
            ("5F34", "01"),
        ];
        let parts = RSA.map(|part| format!("{part}8000000000000000"));
        let [p, q, dp, dq, q_inverse] = &parts;
        let fci = fci("9F7A019F02065F2A02");
        let account = |codes: &str, methods: &str| {
            record(&[
                object("5F24", "301231"),
                object("5A", "8888800000000001"),
                object("9F07", "FF00"),
                object("8E", methods),
                codes.to_owned(),
                object("5F28", "0156"),
            ])
        };
        let codes = |default, denial, online| {
            object("9F0D", default) + &object("9F0E", denial) + &object("9F0F", online)
        };
        let card_certificate = record(&[object("9F46", &"46".repeat(128)), object("9F47", "03")]);
        let signed = record(&[object("93", &"93".repeat(128))]);
        let groupings = [
            (0x9104, "8202 7D00 940C 080102001001040118010200".to_owned()),
            (
                0x9203,
                "8202 7D00 9410 08010200100507011801020020010100".to_owned(),
            ),
            (0x9207, "8202 7C00 9404 08010100".to_owned()),
            (0x9102, fci.clone()),
            (0x9103, fci),
            (
                0x0101,
                record(&[object("57", "8888800000000001D30122010000000000000F")]),
            ),
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
                account(
                    &codes("D86004A800", "0010980000", "D86804F800"),
                    "0000000000000000 4103 42031E031F00",
                ),
            ),
            (0x0202, card_certificate.clone()),
            (0x0203, signed.clone()),
            (0x0204, record(&[object("5F25", "250101")])),
            (
                0x0205,
                account(
                    &codes("D8603CA800", "0010800000", "D8683CF800"),
                    "000007D000000000 5F060103",
                ),
            ),
            (0x0206, card_certificate),
            (0x0207, signed),
            (
                0x0301,
                record(&[
                    object("90", &"90".repeat(128)),
                    object("8F", "63"),
                    object("9F32", "03"),
                    object("5F30", "0201"),
                    object("5F34", "01"),
                ]),
            ),
            (
                0x0302,
                record(&[
                    object("8C", CDOL1),
                    object("8D", CDOL2),
                    object("9F08", "0030"),
                    object("9F49", "9F3704"),
                    object("9F4A", "82"),
                ]),
            ),
            (
                0x0401,
                record(&[object("9F74", "454343303031"), object("9F14", "03")]),
            ),
            (
                0x9200,
                object(
                    "9F10",
                    "07010103000000010A0100000000000000000000"[..38].trim(),
                ),
            ),
            (0x8000, TRIPLE_DES.concat()),
            (0x9000, "6C71E0 8CEDEB B2D170".to_owned()),
            (0x8205, p.clone()),
            (0x8204, q.clone()),
            (0x8203, dp.clone()),
            (0x8202, dq.clone()),
            (0x8201, q_inverse.clone()),
            (0x8010, "26123456FFFFFFFF".to_owned()),
            (0x9010, "0303".to_owned()),
        ];
        Recipe {
            switches: 0,
            privileges: 0x00,
            elements: elements
                .into_iter()
                .map(|(tag, value)| (tag, value.to_owned()))
                .collect(),
            groupings: groupings
                .into_iter()
                .map(|(number, data)| (number, bytes(&data)))
                .collect(),
            asks_for_set: false,
        }
    }

    /// With keys for SM4, and a list that asks for the set.
    pub(crate) fn with_sm4(self) -> Recipe {
        let keys = SM4_MASTERS.map(sm4_card_key);
        let checks = keys.map(|key| {
            let mut block = [0; 16];
            Key::sm4(key).expand().encrypt_block(&mut block);
            hex::encode(&block[..3])
        });
        let mut recipe = self
            .grouped(0x8030, &hex::encode(keys.concat()))
            .grouped(0x9030, &checks.concat())
            .grouped(0x9102, &fci("9F7A019F02065F2A02DF6901"));
        recipe.asks_for_set = true;
        recipe
    }

    /// With both: keys for SM4, and options, records and a key for SM2.
    pub(crate) fn with_sm2(self) -> Recipe {
        let issuer = [
            object("90", &"12".repeat(142)),
            object("8F", "63"),
            object("5F30", "0201"),
        ];
        self.with_sm4()
            .grouped(0x0501, &record(&issuer))
            .grouped(0x0502, &record(&[object("9F46", &"14".repeat(148))]))
            .grouped(0x0503, &record(&[object("93", &"13".repeat(67))]))
            .grouped(0x8100, SM2_PRIVATE)
            .grouped(0x9114, SM_OPTIONS)
            .grouped(0x9213, SM_CASH_OPTIONS)
    }

    /// With an internal element of another value.
    pub(crate) fn with(mut self, tag: &'static str, value: &str) -> Recipe {
        self.elements.insert(tag, value.to_owned());
        self
    }

    pub(crate) fn switched(mut self, switches: u16) -> Recipe {
        self.switches |= switches;
        self
    }

    /// With a grouping of other data.
    pub(crate) fn grouped(mut self, number: u16, data: &str) -> Recipe {
        self.groupings.retain(|(known, _)| *known != number);
        self.groupings.push((number, bytes(data)));
        self
    }

    /// All groupings, each with its number and length.
    pub(crate) fn stream(&self) -> Vec<Vec<u8>> {
        let elements: String = self
            .elements
            .iter()
            .map(|(tag, value)| object(tag, value))
            .collect();
        self.groupings
            .iter()
            .cloned()
            .chain([(0x0D01, bytes(&elements))])
            .map(|(number, data)| grouping(number, &data))
            .collect()
    }
}

pub(crate) const CDOL1: &str = "9F02069F03069F1A0295055F2A029A039C019F37049F21039F4E14";
pub(crate) const CDOL2: &str = "8A029F02069F03069F1A0295055F2A029A039C019F37049F2103";

fn record(objects: &[String]) -> String {
    object("70", &objects.concat())
}

/// The template 'A5' with this PDOL.
fn fci(list: &str) -> String {
    let objects = [
        object("50", "50424F43204445424954"),
        object("87", "01"),
        object("9F38", list),
        object("5F2D", "7A68656E"),
        object("9F11", "01"),
        object("9F12", "50424F43204445424954"),
        object("BF0C", "9F4D020B0ADF4D020C0A"),
    ];
    object("A5", &objects.concat())
}

pub(crate) fn grouping(number: u16, data: &[u8]) -> Vec<u8> {
    let mut bytes = number.to_be_bytes().to_vec();
    match u8::try_from(data.len()) {
        Ok(len @ 0..=0xFE) => bytes.push(len),
        _ => {
            bytes.push(0xFF);
            bytes.extend(u16::try_from(data.len()).expect("short").to_be_bytes());
        }
    }
    bytes.extend(data);
    bytes
}

/// What a terminal tells of a transaction.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Deal {
    pub(crate) amount: u64,
    pub(crate) cash: bool,
    pub(crate) currency: &'static str,
    pub(crate) country: &'static str,
    /// Terminal verification results.
    pub(crate) results: &'static str,
    /// The terminal asks for the second set, where the card wants to know.
    pub(crate) sm: bool,
}

impl Deal {
    pub(crate) const fn of(amount: u64) -> Deal {
        Deal {
            amount,
            cash: false,
            currency: "0156",
            country: "0156",
            results: "0000040000",
            sm: false,
        }
    }

    /// The same with e-cash asked for.
    pub(crate) const fn in_cash(self) -> Deal {
        Deal { cash: true, ..self }
    }

    /// The same with the second set asked for.
    pub(crate) const fn in_sm(self) -> Deal {
        Deal { sm: true, ..self }
    }

    pub(crate) fn pdol(&self) -> String {
        format!(
            "{:02X}{:012}{}",
            u8::from(self.cash),
            self.amount,
            self.currency
        )
    }

    pub(crate) fn cdol1(&self) -> String {
        format!("{}{}", self.shared(), "31".repeat(20))
    }

    pub(crate) fn cdol2(&self, code: &str) -> String {
        format!("{code}{}", self.shared())
    }

    fn shared(&self) -> String {
        format!(
            "{:012}000000000000{}{}{}26070100D64B8587123456",
            self.amount, self.country, self.results, self.currency
        )
    }
}

/// A cryptogram as it was answered.
#[derive(Clone, Debug)]
pub(crate) struct Ac {
    pub(crate) cid: u8,
    pub(crate) atc: u16,
    pub(crate) cryptogram: [u8; 8],
    pub(crate) issuer: Vec<u8>,
}

impl Ac {
    /// The card verification results, with their length.
    pub(crate) fn cvr(&self) -> String {
        hex::encode_upper(&self.issuer[3..7])
    }

    /// The session key of its transaction, in the set that it tells.
    fn session(&self, purpose: Purpose) -> Expanded {
        session(&self.issuer, purpose, self.atc)
    }
}

/// What one of the card's three keys of a set is for.
#[derive(Clone, Copy)]
pub(crate) enum Purpose {
    Cryptograms = 0,
    Macs = 1,
    Enciphering = 2,
}

/// A card and who talks to it.
pub(crate) struct Bench {
    pub(crate) card: Card,
    /// The logical channel that commands go to, 0 to 3.
    pub(crate) channel: u8,
    /// The last first cryptogram.
    pub(crate) first: Option<Ac>,
    asks_for_set: bool,
}

impl Bench {
    /// A card as it comes from the factory, with power.
    pub(crate) fn blank() -> Bench {
        let mut bench = Bench {
            card: Card::manufacture(&cardlab_applets::ROM, 7),
            channel: 0,
            first: None,
            asks_for_set: false,
        };
        bench.reset();
        bench
    }

    /// A card with the applet, nothing personalised.
    pub(crate) fn installed(recipe: &Recipe) -> Bench {
        let mut bench = Bench::blank();
        bench.asks_for_set = recipe.asks_for_set;
        let switches = format!("8102{:04X}", recipe.switches);
        bench.ok(&install(
            "A0000003330101",
            "A000000333010101",
            recipe.privileges,
            &switches,
        ));
        bench
    }

    /// A personalised card that was never used.
    pub(crate) fn new(recipe: &Recipe) -> Bench {
        let mut bench = Bench::installed(recipe);
        bench.ok(SELECT);
        bench.personalise(recipe);
        bench.reset();
        bench
    }

    /// A card in use: the issuer answered a transaction once.
    pub(crate) fn cleaned(recipe: &Recipe) -> Bench {
        let mut bench = Bench::new(recipe);
        bench.clean();
        bench
    }

    pub(crate) fn personalise(&mut self, recipe: &Recipe) {
        let stream = recipe.stream();
        for (number, grouping) in stream.iter().enumerate() {
            let last = number + 1 == stream.len();
            let command = store_data(number, last, grouping);
            let (_, sw) = self.send_bytes(&command);
            assert_eq!(sw, Sw::OK, "{:02X?}", &grouping[..2]);
        }
    }

    /// Gives the card its directory.
    pub(crate) fn install_pse(&mut self) {
        self.ok(SELECT_ISD);
        self.ok(&install(
            "A0000003330102",
            "315041592E5359532E4444463031",
            0,
            "",
        ));
        self.ok(SELECT_PSE);
        let fci = object("A5", &[object("88", "01"), object("5F2D", "7A68")].concat());
        let entry = [
            object("4F", "A000000333010101"),
            object("50", "50424F43204445424954"),
            object("87", "01"),
        ];
        let entry = record(&[object("61", &entry.concat())]);
        let fci = grouping(0x9102, &bytes(&fci));
        assert_eq!(self.send_bytes(&store_data(0, false, &fci)).1, Sw::OK);
        let entry = grouping(0x0101, &bytes(&entry));
        assert_eq!(self.send_bytes(&store_data(1, true, &entry)).1, Sw::OK);
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

    /// Takes the power away and gives it back; channel 0 is left.
    pub(crate) fn reset(&mut self) {
        self.channel = 0;
        self.card.power_on().expect("the card starts");
    }

    pub(crate) fn fork(&mut self) -> Bench {
        Bench {
            card: self.card.fork(),
            channel: self.channel,
            first: self.first.clone(),
            asks_for_set: self.asks_for_set,
        }
    }

    /// SELECT and GET PROCESSING OPTIONS: profile and locator.
    #[track_caller]
    pub(crate) fn begin(&mut self, deal: &Deal) -> String {
        let (_, sw) = self.send(SELECT);
        assert!(matches!(sw.0, 0x9000 | 0x6283), "{sw}");
        self.options(deal)
    }

    #[track_caller]
    pub(crate) fn options(&mut self, deal: &Deal) -> String {
        let data = self.ok(&self.begins(deal));
        assert_eq!(data[0], 0x80);
        hex::encode_upper(&data[2..])
    }

    /// GET PROCESSING OPTIONS.
    pub(crate) fn begins(&self, deal: &Deal) -> String {
        let pdol = self.pdol(deal);
        let len = pdol.len() / 2;
        format!("80A80000 {:02X} 83{len:02X} {pdol} 00", len + 2)
    }

    /// What this card's list asks for.
    pub(crate) fn pdol(&self, deal: &Deal) -> String {
        let mut pdol = deal.pdol();
        if self.asks_for_set {
            pdol += if deal.sm { "01" } else { "00" };
        }
        pdol
    }

    /// The first GENERATE AC, unsigned, whose cryptogram is checked.
    #[track_caller]
    pub(crate) fn first(&mut self, p1: u8, deal: &Deal) -> Ac {
        let data = self.ok(&format!("80AE{p1:02X}00 34 {} 00", deal.cdol1()));
        assert_eq!(data[0], 0x80, "{data:02X?}");
        self.take_ac(&data, deal, true)
    }

    /// The first GENERATE AC with its signature, whose cryptogram is in that.
    #[track_caller]
    pub(crate) fn first_signed(&mut self, p1: u8, deal: &Deal) -> (Ac, Vec<u8>) {
        let p1 = p1 | 0x10;
        let data = self.ok(&format!("80AE{p1:02X}00 34 {} 00", deal.cdol1()));
        let ac = self.take_ac(&data, deal, true);
        (ac, signature(&data))
    }

    /// The second GENERATE AC, unsigned, whose cryptogram is checked.
    #[track_caller]
    pub(crate) fn second(&mut self, p1: u8, code: &str, deal: &Deal) -> Ac {
        let data = self.ok(&format!("80AE{p1:02X}00 22 {} 00", deal.cdol2(code)));
        assert_eq!(data[0], 0x80, "{data:02X?}");
        read_ac(&data, deal)
    }

    /// A cryptogram, signed or not, that was answered to a command already sent.
    #[track_caller]
    pub(crate) fn take_ac(&mut self, data: &[u8], deal: &Deal, is_first: bool) -> Ac {
        let ac = read_ac(data, deal);
        if is_first {
            self.first = Some(ac.clone());
        }
        ac
    }

    /// EXTERNAL AUTHENTICATE with the right response cryptogram.
    pub(crate) fn authenticate(&mut self, code: &str) -> Sw {
        let first = self.first.clone().expect("a first cryptogram");
        let arpc = arpc(&first, code);
        self.send(&format!("00820000 0A {} {code}", hex::encode(arpc)))
            .1
    }

    /// EXTERNAL AUTHENTICATE with a wrong one.
    pub(crate) fn fail_to_authenticate(&mut self) -> Sw {
        self.send("00820000 0A 0000000000000000 3030").1
    }

    /// An issuer script command with its MAC.
    pub(crate) fn sealed(&self, header: &str, data: &[u8]) -> Vec<u8> {
        let first = self.first.as_ref().expect("a first cryptogram");
        let mut command = bytes(header);
        command.push(u8::try_from(data.len() + 4).expect("short"));
        let session = first.session(Purpose::Macs);
        let head = command[..].try_into().expect("5 bytes");
        let mac = pboc::script_mac(&session, head, first.atc, first.cryptogram, data);
        command.extend_from_slice(data);
        command.extend_from_slice(&mac);
        command
    }

    pub(crate) fn script(&mut self, header: &str, data: &str) -> Sw {
        let command = self.sealed(header, &bytes(data));
        self.send_bytes(&command).1
    }

    /// The data of a PIN CHANGE.
    pub(crate) fn enciphered_pin(&self, pin: &str, present: Option<&str>) -> String {
        let first = self.first.as_ref().expect("a first cryptogram");
        let card = card_key(&first.issuer, Purpose::Enciphering);
        let present = present.map(|pin| pboc::plain_pin_block(pin).expect("a PIN"));
        let session = first.session(Purpose::Enciphering);
        let block = pboc::pin_block(&card, &session, pin, present.as_ref());
        hex::encode(block.expect("a PIN"))
    }

    /// A whole transaction on line, approved, after which nothing is pending.
    #[track_caller]
    pub(crate) fn clean(&mut self) -> u16 {
        let deal = Deal::of(0);
        self.begin(&deal);
        self.ok(VERIFY);
        let first = self.first(0x80, &deal);
        assert_eq!(first.cid, 0x80);
        assert_eq!(self.authenticate("3030"), Sw::OK);
        assert_eq!(self.second(0x40, "3030", &deal).cid, 0x40);
        first.atc
    }

    /// SELECT, GET PROCESSING OPTIONS, GENERATE AC.
    #[track_caller]
    pub(crate) fn offline(&mut self, p1: u8, deal: &Deal) -> Ac {
        self.begin(deal);
        self.first(p1, deal)
    }

    #[track_caller]
    pub(crate) fn data(&mut self, tag: &str) -> String {
        let data = self.ok(&format!("80CA{tag} 00"));
        let text = hex::encode_upper(data);
        text[tag.len() + 2..].to_owned()
    }
}

/// What the shipped data have as their profile, both ways.
pub(crate) const AIP: &str = "7D00";

/// The card's key by SM4 of a master.
pub(crate) fn sm4_card_key(master: &str) -> [u8; 16] {
    let mut block = array(SM4_FACTOR);
    Key::sm4(array(master)).expand().encrypt_block(&mut block);
    block
}

/// The card's key, in the set that its issuer application data tell.
fn card_key(issuer: &[u8], purpose: Purpose) -> Key {
    match issuer[7] {
        0x04 => Key::sm4(sm4_card_key(SM4_MASTERS[purpose as usize])),
        _ => Key::triple_des(array(TRIPLE_DES[purpose as usize])),
    }
}

fn session(issuer: &[u8], purpose: Purpose, atc: u16) -> Expanded {
    pboc::session_key(&card_key(issuer, purpose).expand(), atc).expand()
}

/// The cryptogram that a host would compute.
pub(crate) fn expected_cryptogram(deal: &Deal, atc: u16, issuer: &[u8], aip: &str) -> [u8; 8] {
    let terminal = format!(
        "{:012}000000000000{}{}{}26070100D64B8587{aip}{atc:04X}{}",
        deal.amount,
        deal.country,
        deal.results,
        deal.currency,
        hex::encode(&issuer[3..7])
    );
    let session = session(issuer, Purpose::Cryptograms, atc);
    pboc::cryptogram(&session, &[&bytes(&terminal)])
}

/// An object of the template '77'.
fn of_signed(data: &[u8], tag: tlv::Tag) -> Vec<u8> {
    let found = tlv::find(data, &[tag!(0x77), tag]).expect("data objects");
    found.expect("in the template").to_vec()
}

/// The signature in a signed answer, and with SM2 what it comes with.
pub(crate) fn signature(data: &[u8]) -> Vec<u8> {
    of_signed(data, tag!(0x9F4B))
}

#[track_caller]
fn read_ac(data: &[u8], deal: &Deal) -> Ac {
    let ac = if data[0] == 0x77 {
        Ac {
            cid: of_signed(data, tag!(0x9F27))[0],
            atc: u16::from_be_bytes(of_signed(data, tag!(0x9F36)).try_into().expect("2 bytes")),
            cryptogram: signed_cryptogram(&signature(data)),
            issuer: of_signed(data, tag!(0x9F10)),
        }
    } else {
        assert_eq!(data[0], 0x80, "{data:02X?}");
        assert_eq!(usize::from(data[1]), data.len() - 2);
        Ac {
            cid: data[2],
            atc: u16::from_be_bytes([data[3], data[4]]),
            cryptogram: data[5..13].try_into().expect("8 bytes"),
            issuer: data[13..].to_vec(),
        }
    };
    assert_eq!(
        ac.cryptogram,
        expected_cryptogram(deal, ac.atc, &ac.issuer, AIP)
    );
    if let Some((field, mac)) = ac.issuer.get(10..).and_then(<[u8]>::split_last_chunk::<4>) {
        let session = ac.session(Purpose::Macs);
        assert_eq!(
            *mac,
            pboc::discretionary_mac(&session, ac.atc, field, Padding::M2)
        );
    }
    ac
}

/// The cryptogram in a signature by RSA, or in what one by SM2 comes with.
fn signed_cryptogram(signature: &[u8]) -> [u8; 8] {
    let recovered = match signature.len() {
        128 => rsa().apply(signature).expect("a number").split_off(2),
        _ => signature.to_vec(),
    };
    recovered[6..14].try_into().expect("8 bytes")
}

/// What precedes a signature by SM2, which is one of this and of what the terminal told.
#[track_caller]
pub(crate) fn signed_by_sm2<'s>(signed: &'s [u8], told: &str) -> &'s [u8] {
    let (sent, signature) = signed.split_last_chunk().expect("64 bytes");
    let key = PublicKey::from_bytes(&array(SM2_PUBLIC)).expect("a point");
    let message = [sent, &bytes(told)].concat();
    let digest = key.message_digest(IDENTITY, &message).expect("short");
    assert!(key.verify(&digest, signature), "{signed:02X?}");
    sent
}

pub(crate) fn arpc(first: &Ac, code: &str) -> [u8; 8] {
    let session = first.session(Purpose::Cryptograms);
    pboc::arpc(&session, first.cryptogram, array(code))
}

/// The card's RSA key.
pub(crate) fn rsa() -> RsaPublic {
    let [p, q, dp, dq, q_inverse] = RSA.map(bytes);
    let private = RsaPrivate::new(&p, &q, &dp, &dq, &q_inverse).expect("a key");
    RsaPublic::new(&private.modulus(), &[3]).expect("a key")
}

/// INSTALL of a module of the bank's load file, with the value of 'C9'.
pub(crate) fn install(module: &str, instance: &str, privileges: u8, c9: &str) -> String {
    let counted = |value: &str| format!("{:02X}{value}", value.len() / 2);
    let data = [
        counted("A000000333010130"),
        counted(module),
        counted(instance),
        format!("01{privileges:02X}"),
        counted(&object("C9", c9)),
        "00".to_owned(),
    ];
    format!("80E60C00 {} 00", counted(&data.concat()))
}

pub(crate) fn store_data(number: usize, last: bool, data: &[u8]) -> Vec<u8> {
    let p1 = if last { 0x80 } else { 0x00 };
    let number = u8::try_from(number).expect("few blocks");
    let len = u8::try_from(data.len()).expect("a short block");
    let mut command = vec![0x80, 0xE2, p1, number, len];
    command.extend_from_slice(data);
    command
}
