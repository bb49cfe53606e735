//! The key tree and session sums of the social security card.
//!
//! ```text
//! national root ─province factor─► province key ─city factor─► city key ─card factor─► card key
//! card key ─random of the other side─► session key ─► authentication code, MAC, enciphered data
//! ```
//!
//! Each sum has two forms. The 8-byte algorithms are DES and triple DES: a
//! session key is a single DES key, codes are cut. The 16-byte algorithm is SM4:
//! a session key is an SM4 key, codes are folded.
//!
//! Source: social security card specification, part 4, 8 (sessions and messages),
//! 9 (authentication); part 7, 15 (TAC); part 9, 7.1 to 7.3 (key tree).

use super::cipher::Expanded;
use super::key::{Cipher, Key};
use super::mac::{CbcMac, Padding};

/// A region by GB/T 2260: six decimal digits, province, city and county.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Region([u8; 6]);

impl Region {
    /// The region that the first 3 bytes of a card recognition code name in packed
    /// BCD; `None` where a digit is not decimal.
    #[must_use]
    pub fn from_bcd(bcd: [u8; 3]) -> Option<Region> {
        let mut digits = [0; 6];
        for (pair, byte) in digits.as_chunks_mut().0.iter_mut().zip(bcd) {
            *pair = [b'0' + (byte >> 4), b'0' + (byte & 0xF)];
        }
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then_some(Region(digits))
    }

    /// The region of six ASCII digits.
    #[must_use]
    pub fn from_digits(digits: [u8; 6]) -> Option<Region> {
        digits
            .iter()
            .all(u8::is_ascii_digit)
            .then_some(Region(digits))
    }

    /// Its six ASCII digits.
    #[must_use]
    pub const fn digits(self) -> [u8; 6] {
        self.0
    }

    /// What leads from the national root to the province: "410000sh".
    #[must_use]
    pub const fn province_factor(self) -> [u8; 8] {
        let [a, b, ..] = self.0;
        [a, b, b'0', b'0', b'0', b'0', b's', b'h']
    }

    /// What leads from the province to the city: "411600sx". In province 33 the
    /// county does not count: "330100sx" for all of 3301.
    #[must_use]
    pub const fn city_factor(self) -> [u8; 8] {
        let [a, b, c, d, e, f] = self.0;
        match (a, b) {
            (b'3', b'3') => [a, b, c, d, b'0', b'0', b's', b'x'],
            _ => [a, b, c, d, e, f, b's', b'x'],
        }
    }
}

/// What leads from the city to the card: the historical bytes T6 to TD of its
/// ATR; `None` where there are fewer than 13.
#[must_use]
pub fn card_factor(historical: &[u8]) -> Option<[u8; 8]> {
    historical.get(5..13)?.try_into().ok()
}

/// The key one step down the tree.
///
/// A DES key: the factor enciphered. A triple DES key: the factor and its
/// complement, each enciphered. A 16-byte algorithm: both enciphered as one block.
#[must_use]
pub fn diversify(parent: &Expanded, factor: &[u8; 8]) -> Key {
    let mut key = Key::blank(parent.cipher());
    let value = u64::from_be_bytes(*factor);
    let both = (u128::from(value) << 64 | u128::from(!value)).to_be_bytes();
    *key.lane_mut() = both;
    match parent.cipher() {
        Cipher::Des => {
            parent.encrypt_block(key.lane_mut());
            key.lane_mut()[8..].fill(0);
        }
        Cipher::TripleDes => {
            // The halves are whole blocks: it cannot fail.
            let _ = parent.encrypt_ecb(key.lane_mut());
        }
        Cipher::Sm4 | Cipher::Aes128 => parent.encrypt_block(key.lane_mut()),
    }
    key
}

/// The key of a card, from the national root of three levels.
#[must_use]
pub fn card_key(root: &Key, region: Region, card_factor: &[u8; 8]) -> Key {
    let province = diversify(&root.expand(), &region.province_factor());
    let city = diversify(&province.expand(), &region.city_factor());
    diversify(&city.expand(), card_factor)
}

/// The key of one session: the random of the other side, enciphered.
///
/// An 8-byte algorithm takes 4 or 8 bytes and gives a DES key, a 16-byte one
/// takes 4, 8 or 16 and gives its own kind; shorter ones are filled up with '00'.
/// `None` for another length.
#[must_use]
pub fn session_key(base: &Expanded, random: &[u8]) -> Option<Key> {
    let cipher = match base.cipher() {
        Cipher::Des | Cipher::TripleDes => Cipher::Des,
        same => same,
    };
    if !matches!(random.len(), 4 | 8 | 16) || random.len() > cipher.block_len() {
        return None;
    }
    let mut key = Key::blank(cipher);
    key.lane_mut()[..random.len()].copy_from_slice(random);
    base.encrypt_block(key.lane_mut());
    Some(key)
}

/// The authentication code of 8 bytes: what a card answers to INTERNAL
/// AUTHENTICATE and asks for in EXTERNAL AUTHENTICATE.
///
/// A DES session key enciphers `raw`; a 16-byte algorithm enciphers it filled up
/// with '00' and adds (xor) the halves.
#[must_use]
pub fn authenticate(session: &Expanded, raw: &[u8; 8]) -> [u8; 8] {
    let mut lane = [0; 16];
    lane[..8].copy_from_slice(raw);
    session.encrypt_block(&mut lane);
    let sum = match session.block_len() {
        8 => u128::from_be_bytes(lane) >> 64,
        _ => (u128::from_be_bytes(lane) >> 64) ^ u128::from_be_bytes(lane),
    };
    let [_, _, _, _, _, _, _, _, code @ ..] = sum.to_be_bytes();
    code
}

/// The 4-byte MAC of messages, MAC1, MAC2 and TAC over the parts of a message,
/// one after the other; padding method 2, initial value zero.
///
/// The parts of a command are its header CLA INS P1 P2 Lc, Lc with the MAC
/// counted in, and the data without the MAC; those of MAC1, MAC2 and TAC have no
/// header.
///
/// A triple DES key works as the double-length MAC of part 9; session keys are
/// never of that kind.
#[must_use]
pub fn mac(key: &Expanded, parts: &[&[u8]]) -> [u8; 4] {
    parts
        .iter()
        .fold(CbcMac::retail(key), |mac, part| mac.chain(part))
        .finish(Padding::M2)
        .folded()
}

/// The key of a TAC: a triple DES key's halves added (xor) as a DES key, any
/// other key itself.
#[must_use]
pub fn tac_key(transaction: &Key) -> Key {
    match transaction.cipher() {
        Cipher::TripleDes => {
            let (left, right) = transaction.halves();
            let sum = u64::from_be_bytes(*left) ^ u64::from_be_bytes(*right);
            Key::des(sum.to_be_bytes())
        }
        _ => transaction.clone(),
    }
}

/// Enciphers the data of a command into `into` and gives how many bytes it is
/// now: its length in one byte, itself, and '80 00 ..' where that is not whole
/// blocks; ECB.
///
/// `None` where `plain` has more than 255 bytes or `into` is too short; `into`
/// is left as it was.
#[must_use]
pub fn encipher(session: &Expanded, plain: &[u8], into: &mut [u8]) -> Option<usize> {
    let len = u8::try_from(plain.len()).ok()?;
    let filled = plain.len() + 1;
    let whole = into.get_mut(..filled.next_multiple_of(session.block_len()))?;
    whole[0] = len;
    whole[1..filled].copy_from_slice(plain);
    if let Some((mark, zeros)) = whole[filled..].split_first_mut() {
        *mark = 0x80;
        zeros.fill(0);
    }
    session.encrypt_ecb(whole).ok()?;
    Some(whole.len())
}

/// Deciphers in place what [`encipher`] enciphered and gives the data in it.
///
/// `None` where it is not whole blocks, or length and padding do not agree; the
/// bytes in `data` are then of no use.
#[must_use]
pub fn decipher<'a>(session: &Expanded, data: &'a mut [u8]) -> Option<&'a [u8]> {
    session.decrypt_ecb(data).ok()?;
    let (len, rest) = data.split_first()?;
    let (plain, padding) = rest.split_at_checked(usize::from(*len))?;
    let padded = match padding {
        [] => true,
        [0x80, zeros @ ..] => padding.len() < session.block_len() && zeros.iter().all(|b| *b == 0),
        _ => false,
    };
    padded.then_some(plain)
}

/// The authentication code that ends a card recognition code: the double-length
/// MAC of its first 12 bytes with the card's IRK.
#[must_use]
pub fn recognition_code_mac(irk: &Expanded, first: &[u8; 12]) -> [u8; 4] {
    mac(irk, &[first])
}

#[cfg(test)]
mod tests {
    use super::{
        Region, authenticate, card_factor, card_key, decipher, diversify, encipher, mac,
        recognition_code_mac, session_key, tac_key,
    };
    use crate::crypto::{Algorithm, Key, PartialBlock};
    use proptest::prelude::{any, prop, proptest};

    const ROOT: &str = "000102030405060708090A0B0C0D0E0F";
    const CHALLENGE: [u8; 8] = [0x11, 0x22, 0x33, 0x44, 0x55, 0x66, 0x77, 0x88];
    const RAW: [u8; 8] = [1, 2, 3, 4, 5, 6, 7, 8];
    const HISTORICAL: &str = "0031C0640886844116018593CA";

    fn bytes(hex: &str) -> Vec<u8> {
        hex::decode(hex.replace(' ', "")).unwrap()
    }

    fn key(algorithm: Algorithm, hex: &str) -> Key {
        Key::new(algorithm, &bytes(hex)).unwrap()
    }

    fn region() -> Region {
        Region::from_bcd([0x41, 0x16, 0x00]).unwrap()
    }

    fn factor() -> [u8; 8] {
        card_factor(&bytes(HISTORICAL)).unwrap()
    }

    /// One column of the table of vectors in the notes on the specification.
    struct Column {
        algorithm: Algorithm,
        province: &'static str,
        city: &'static str,
        card: &'static str,
        session: &'static str,
        code: &'static str,
        /// Commands as sent, header to MAC.
        block_card: &'static str,
        block_application: &'static str,
        unblock_pin: &'static str,
        set_pin: &'static str,
    }

    const COLUMNS: [Column; 2] = [
        Column {
            algorithm: Algorithm::Des,
            province: "8A4D8E841A6C9D5828E51E050B211111",
            city: "E8D6703901458BD26AC85256541ECC96",
            card: "6F870DE0E261C80A2FEE7F84C29B74F7",
            session: "B54B19AD4D3ABDE1",
            code: "C6942BB9F143F925",
            block_card: "8416000004 2249AA34",
            block_application: "841E000104 42D8BEE0",
            unblock_pin: "8424000004 EAF05479",
            set_pin: "842400010C 46F2BD0522349F2B 1EDE6FE3",
        },
        Column {
            algorithm: Algorithm::Sm4,
            province: "CE0004ED61C20BB5FDE5638FFB26228E",
            city: "7971AAB1CC2B5B0931A2EB27539083BF",
            card: "AF1B417505A40D72700AD28A4D82A18E",
            session: "68302DA4E3C2242B259F0655B35D8B4A",
            code: "FB9EAA79A26A910B",
            block_card: "8416000004 1BC9B7FF",
            block_application: "841E000104 4FCFEDB8",
            unblock_pin: "8424000004 B8208633",
            set_pin: "8424000114 35D95514CDFC8EF9983A6D93CD97AC3A 0BDD65EB",
        },
    ];

    #[test]
    fn the_key_tree_has_its_known_keys() {
        assert_eq!(region().province_factor(), *b"410000sh");
        assert_eq!(region().city_factor(), *b"411600sx");
        assert_eq!(factor().to_vec(), bytes("86844116018593CA"));
        for column in COLUMNS {
            let of = |hex| key(column.algorithm, hex);
            let province = diversify(&of(ROOT).expand(), &region().province_factor());
            let city = diversify(&province.expand(), &region().city_factor());
            assert_eq!(province, of(column.province));
            assert_eq!(city, of(column.city));
            assert_eq!(diversify(&city.expand(), &factor()), of(column.card));
            assert_eq!(card_key(&of(ROOT), region(), &factor()), of(column.card));
        }
    }

    #[test]
    fn a_session_has_its_known_key_and_code() {
        for column in COLUMNS {
            let card = key(column.algorithm, column.card).expand();
            let session = session_key(&card, &CHALLENGE).unwrap();
            assert_eq!(session, key(column.algorithm, column.session));
            let code = authenticate(&session.expand(), &RAW);
            assert_eq!(code.to_vec(), bytes(column.code));
        }
    }

    #[test]
    fn guarded_commands_have_their_known_bytes() {
        for column in COLUMNS {
            let guard = key(column.algorithm, column.card).left_half();
            let session = session_key(&guard.expand(), &CHALLENGE).unwrap();
            if column.algorithm == Algorithm::Des {
                assert_eq!(session, key(Algorithm::Des, "22EE1D931A805154"));
            }
            let session = session.expand();
            for command in [
                column.block_card,
                column.block_application,
                column.unblock_pin,
                column.set_pin,
            ] {
                let command = bytes(command);
                let (header, body) = command.split_first_chunk::<5>().unwrap();
                let (data, code) = body.split_last_chunk::<4>().unwrap();
                assert_eq!(usize::from(header[4]), body.len());
                assert_eq!(mac(&session, &[header, data]), *code);
            }
            let sent = bytes(column.set_pin);
            let sent = &sent[5..sent.len() - 4];
            let mut data = [0xEE; 16];
            let len = encipher(&session, &[0x12, 0x34, 0x56], &mut data).unwrap();
            assert_eq!(&data[..len], sent);
            assert_eq!(
                decipher(&session, &mut data[..len]),
                Some(&[0x12, 0x34, 0x56][..])
            );
        }
    }

    #[test]
    fn the_recognition_code_ends_in_its_known_mac() {
        let irk = key(Algorithm::Des, COLUMNS[0].card).expand();
        let first = bytes("411600D156000005018593CA").try_into().unwrap();
        assert_eq!(
            recognition_code_mac(&irk, &first).to_vec(),
            bytes("5436A7B1")
        );
    }

    #[test]
    fn in_province_33_the_county_does_not_count() {
        let of = |bcd| Region::from_bcd(bcd).unwrap().city_factor();
        assert_eq!(of([0x33, 0x01, 0x27]), *b"330100sx");
        assert_eq!(of([0x32, 0x01, 0x27]), *b"320127sx");
        assert_eq!(of([0x33, 0x01, 0x00]), of([0x33, 0x01, 0x99]));
    }

    #[test]
    fn a_region_has_decimal_digits() {
        for byte in 0..=u8::MAX {
            let decimal = byte >> 4 < 10 && byte & 0xF < 10;
            for at in 0..3 {
                let mut bcd = [0x41, 0x16, 0x00];
                bcd[at] = byte;
                let region = Region::from_bcd(bcd);
                assert_eq!(region.is_some(), decimal);
                if let Some(region) = region {
                    assert_eq!(
                        String::from_utf8(region.digits().to_vec()).unwrap(),
                        hex::encode(bcd)
                    );
                    assert_eq!(Region::from_digits(region.digits()), Some(region));
                }
            }
        }
        assert_eq!(Region::from_digits(*b"41160x"), None);
    }

    #[test]
    fn a_card_factor_needs_13_historical_bytes() {
        for len in 0..=15 {
            assert_eq!(card_factor(&[9; 15][..len]).is_some(), len >= 13);
        }
    }

    #[test]
    fn a_short_random_is_filled_up_with_zeros() {
        for column in COLUMNS {
            let base = key(column.algorithm, column.card).expand();
            let block_len = column.algorithm.block_len();
            for len in 0..=20 {
                let random = [0x5A; 20];
                let session = session_key(&base, &random[..len]);
                let fits = matches!(len, 4 | 8 | 16) && len <= block_len;
                assert_eq!(session.is_some(), fits);
                let Some(session) = session else { continue };
                let mut whole = [0; 16];
                whole[..len].copy_from_slice(&random[..len]);
                assert_eq!(session_key(&base, &whole[..block_len]), Some(session));
            }
        }
    }

    #[test]
    fn a_tac_key_is_the_sum_of_the_halves() {
        let halves = key(Algorithm::Des, ROOT);
        assert_eq!(tac_key(&halves), Key::des([8; 8]));
        let whole = key(Algorithm::Sm4, ROOT);
        assert_eq!(tac_key(&whole), whole);
        assert_eq!(tac_key(&Key::des([3; 8])), Key::des([3; 8]));
    }

    #[test]
    fn data_whose_padding_lies_is_refused() {
        for algorithm in [Algorithm::Des, Algorithm::Sm4] {
            let session = session_key(&key(algorithm, ROOT).expand(), &CHALLENGE).unwrap();
            let session = session.expand();
            let block_len = algorithm.block_len();
            let read = |plain: &[u8]| {
                let mut data = plain.to_vec();
                data.resize(data.len().next_multiple_of(block_len), 0);
                session.encrypt_ecb(&mut data).unwrap();
                decipher(&session, &mut data).map(<[u8]>::to_vec)
            };
            assert_eq!(read(&[2, 7, 7, 0x80]), Some(vec![7, 7]));
            assert_eq!(read(&[0, 0x80]), Some(vec![]));
            assert_eq!(read(&[2, 7, 7, 0x81]), None);
            assert_eq!(read(&[2, 7, 7, 0]), None);
            assert_eq!(read(&[2, 7, 7, 0x80, 1]), None);
            assert_eq!(read(&[200, 7, 7, 0x80]), None);
            assert_eq!(read(&[]), None);
            // A whole block of padding, or more, is never written.
            let mut long = vec![7; 2 * block_len];
            long[0] = u8::try_from(block_len - 1).unwrap();
            long[block_len] = 0x80;
            long[block_len + 1..].fill(0);
            assert_eq!(read(&long), None);
            let mut partial = [0; 5];
            assert_eq!(decipher(&session, &mut partial), None);
            assert_eq!(
                session.decrypt_ecb(&mut partial),
                Err(PartialBlock { len: 5, block_len })
            );
        }
    }

    proptest! {
        #[test]
        fn what_is_enciphered_is_read_again(
            plain in prop::collection::vec(any::<u8>(), 0..300), sm4: bool, room in 0usize..300,
        ) {
            let algorithm = if sm4 { Algorithm::Sm4 } else { Algorithm::Des };
            let session = session_key(&key(algorithm, ROOT).expand(), &CHALLENGE).unwrap();
            let session = session.expand();
            let mut into = vec![0xEE; room];
            let needed = (plain.len() + 1).next_multiple_of(algorithm.block_len());
            match encipher(&session, &plain, &mut into) {
                Some(len) => {
                    assert_eq!(len, needed);
                    assert!(into[len..].iter().all(|byte| *byte == 0xEE));
                    assert_eq!(decipher(&session, &mut into[..len]), Some(&plain[..]));
                }
                None => {
                    assert!(needed > room || plain.len() > 255);
                    assert!(into.iter().all(|byte| *byte == 0xEE));
                }
            }
        }

        #[test]
        fn any_bytes_are_deciphered_or_refused(
            mut data in prop::collection::vec(any::<u8>(), 0..80),
        ) {
            let session = key(Algorithm::Sm4, ROOT).expand();
            let len = data.len();
            if let Some(plain) = decipher(&session, &mut data) {
                assert!(plain.len() < len);
            }
        }

        #[test]
        fn parts_are_one_message(
            data in prop::collection::vec(any::<u8>(), 0..80), at in 0usize..80,
        ) {
            let session = Key::des([1, 2, 3, 4, 5, 6, 7, 8]).expand();
            let (left, right) = data.split_at(at.min(data.len()));
            assert_eq!(mac(&session, &[left, right]), mac(&session, &[&data]));
        }
    }

    /// The purse of the old PBOC specification has the sums of the medical account.
    #[test]
    fn the_published_sums_of_a_purse_come_out() {
        let bytes = |text: &str| hex::decode(text).unwrap();
        let key = Key::triple_des(
            bytes("11223344556677888877665544332211")
                .try_into()
                .unwrap(),
        );
        let load = session_key(&key.expand(), &bytes("1122334400008000")).unwrap();
        assert_eq!(load.expose(), bytes("9B1D924E05595603"));
        let mac1 = mac(&load.expand(), &[&bytes("000000000000100001001122334455")]);
        assert_eq!(mac1.to_vec(), bytes("2988AE5A"));
        let mac2 = mac(
            &load.expand(),
            &[&bytes("000010000100112233445520111221214822")],
        );
        assert_eq!(mac2.to_vec(), bytes("3A845BF0"));
        let purchase = session_key(&key.expand(), &bytes("1122334400000001")).unwrap();
        assert_eq!(purchase.expose(), bytes("003238ABC57659DD"));
        let mac1 = mac(
            &purchase.expand(),
            &[&bytes("000010000600112233445520120229135100")],
        );
        assert_eq!(mac1.to_vec(), bytes("F15CAB75"));
    }
}
