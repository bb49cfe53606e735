//! Message authentication codes, fed piece by piece.
//!
//! A header and its data need not lie side by side, and nothing is copied but
//! one block.
//!
//! Source: ISO/IEC 9797-1:2011, 6.3 (padding), 7.2 (algorithm 1) and 7.4
//! (algorithm 3); NIST SP 800-38B, 6 (CMAC); the folding of 16-byte codes: social
//! security card specification, part 4, 8.

use super::cipher::Expanded;
use super::key::{Cipher, Key, equal};
use cipher::KeyInit;
use cmac::Mac as _;
use core::fmt;

/// How the last block is filled up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Padding {
    /// Method 1: with '00', and only where it is not full. A message of no bytes
    /// is one block of '00'.
    M1,
    /// Method 2: always with '80', then '00'.
    M2,
}

/// A whole code, 8 or 16 bytes, of which protocols use a part.
#[derive(Clone, Copy)]
pub struct Mac {
    lane: [u8; 16],
    len: usize,
}

impl Mac {
    /// All its bytes.
    #[must_use]
    pub fn as_bytes(&self) -> &[u8] {
        self.lane.get(..self.len).unwrap_or(&self.lane)
    }

    /// Its first 4 bytes.
    #[must_use]
    pub const fn left_4(&self) -> [u8; 4] {
        let [a, b, c, d, ..] = self.lane;
        [a, b, c, d]
    }

    /// Its first 8 bytes.
    #[must_use]
    pub const fn left_8(&self) -> [u8; 8] {
        let [a, b, c, d, e, f, g, h, ..] = self.lane;
        [a, b, c, d, e, f, g, h]
    }

    /// The 4 bytes that the social security card uses: the first 4 of an 8-byte
    /// code, the sum (xor) of the four words of a 16-byte one.
    #[must_use]
    pub fn folded(&self) -> [u8; 4] {
        if self.len == 8 {
            return self.left_4();
        }
        let words = self.lane.as_chunks::<4>().0;
        words.iter().fold([0; 4], |sum, word| {
            (u32::from_be_bytes(sum) ^ u32::from_be_bytes(*word)).to_be_bytes()
        })
    }

    /// Whether `code`, of 4 bytes or more, is the beginning of this one, in a time
    /// that depends on its length alone.
    #[must_use]
    pub fn begins_with(&self, code: &[u8]) -> bool {
        code.len() >= 4
            && self
                .as_bytes()
                .get(..code.len())
                .is_some_and(|beginning| equal(beginning, code))
    }
}

impl PartialEq for Mac {
    fn eq(&self, other: &Mac) -> bool {
        equal(self.as_bytes(), other.as_bytes())
    }
}

impl Eq for Mac {}

impl fmt::Debug for Mac {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Mac(")?;
        for byte in self.as_bytes() {
            write!(f, "{byte:02X}")?;
        }
        f.write_str(")")
    }
}

/// A CBC-MAC being computed: ISO/IEC 9797-1 algorithm 1 or 3.
pub struct CbcMac<'k> {
    key: &'k Expanded,
    /// Chain with the left half of the key, the last block with all of it.
    retail: bool,
    /// The chaining value, with the bytes of the open block added.
    lane: [u8; 16],
    /// Bytes in the open block. A full block stays open until a byte follows it,
    /// as it may be the last.
    filled: usize,
}

impl<'k> CbcMac<'k> {
    /// Algorithm 1: every block with the whole key. The initial value is zero.
    #[must_use]
    pub const fn new(key: &'k Expanded) -> CbcMac<'k> {
        CbcMac {
            key,
            retail: false,
            lane: [0; 16],
            filled: 0,
        }
    }

    /// Algorithm 3, the retail MAC: single DES with the left half, and the last
    /// block with all of triple DES. The initial value is zero.
    ///
    /// This is the double-length CBC of the social security card specification,
    /// part 9, 7.1.3, too. A key that is not triple DES gives algorithm 1.
    #[must_use]
    pub const fn retail(key: &'k Expanded) -> CbcMac<'k> {
        CbcMac {
            retail: true,
            ..CbcMac::new(key)
        }
    }

    /// Starts from the first block of `iv` instead of zero.
    #[must_use]
    pub const fn with_iv(self, iv: &[u8; 16]) -> CbcMac<'k> {
        CbcMac { lane: *iv, ..self }
    }

    /// Takes in the next bytes of the message.
    #[must_use]
    pub fn chain(mut self, bytes: &[u8]) -> CbcMac<'k> {
        let block_len = self.key.block_len();
        let mut rest = bytes;
        while !rest.is_empty() {
            if self.filled == block_len {
                self.close();
            }
            let (now, later) = rest.split_at(rest.len().min(block_len - self.filled));
            for (byte, next) in self.lane.iter_mut().skip(self.filled).zip(now) {
                *byte ^= next;
            }
            self.filled += now.len();
            rest = later;
        }
        self
    }

    /// The code of all that was taken in.
    #[must_use]
    pub fn finish(mut self, padding: Padding) -> Mac {
        let block_len = self.key.block_len();
        if padding == Padding::M2 {
            if self.filled == block_len {
                self.close();
            }
            if let Some(byte) = self.lane.get_mut(self.filled) {
                *byte ^= 0x80;
            }
        }
        self.key.encrypt_block(&mut self.lane);
        Mac {
            lane: self.lane,
            len: block_len,
        }
    }

    /// Closes a block that is not the last.
    fn close(&mut self) {
        if self.retail {
            self.key.encrypt_block_left(&mut self.lane);
        } else {
            self.key.encrypt_block(&mut self.lane);
        }
        self.filled = 0;
    }
}

/// A CMAC being computed.
pub struct Cmac(State);

enum State {
    Des(cmac::Cmac<des::Des>),
    TripleDes(cmac::Cmac<des::TdesEde2>),
    Sm4(cmac::Cmac<sm4::Sm4>),
    Aes128(cmac::Cmac<aes::Aes128>),
}

impl Cmac {
    /// The code of nothing yet.
    #[must_use]
    pub fn new(key: &Key) -> Cmac {
        Cmac(match key.cipher() {
            Cipher::Des => State::Des(cmac::Cmac::new(key.halves().0.into())),
            Cipher::TripleDes => State::TripleDes(cmac::Cmac::new(key.lane().into())),
            Cipher::Sm4 => State::Sm4(cmac::Cmac::new(key.lane().into())),
            Cipher::Aes128 => State::Aes128(cmac::Cmac::new(key.lane().into())),
        })
    }

    /// Takes in the next bytes of the message.
    #[must_use]
    pub fn chain(mut self, bytes: &[u8]) -> Cmac {
        match &mut self.0 {
            State::Des(cmac) => cmac.update(bytes),
            State::TripleDes(cmac) => cmac.update(bytes),
            State::Sm4(cmac) => cmac.update(bytes),
            State::Aes128(cmac) => cmac.update(bytes),
        }
        self
    }

    /// The code of all that was taken in.
    #[must_use]
    pub fn finish(self) -> Mac {
        let eight = |code: [u8; 8]| {
            let mut lane = [0; 16];
            lane[..8].copy_from_slice(&code);
            Mac { lane, len: 8 }
        };
        let sixteen = |lane: [u8; 16]| Mac { lane, len: 16 };
        match self.0 {
            State::Des(cmac) => eight(cmac.finalize().into_bytes().into()),
            State::TripleDes(cmac) => eight(cmac.finalize().into_bytes().into()),
            State::Sm4(cmac) => sixteen(cmac.finalize().into_bytes().into()),
            State::Aes128(cmac) => sixteen(cmac.finalize().into_bytes().into()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::{CbcMac, Cmac, Mac, Padding};
    use crate::crypto::Key;
    use proptest::prelude::{any, prop, proptest};

    const ISO_KEY: u128 = 0x0123_4567_89AB_CDEF_FEDC_BA98_7654_3210;

    fn shown(mac: Mac) -> String {
        hex::encode_upper(mac.as_bytes())
    }

    fn lane(hex: &str) -> [u8; 16] {
        hex::decode(hex).unwrap().try_into().unwrap()
    }

    /// ISO/IEC 9797-1:2011, annex A, data strings 1 and 2.
    #[test]
    fn des_has_the_known_codes_of_algorithms_1_and_3() {
        let whole = Key::triple_des(ISO_KEY.to_be_bytes());
        let (left, whole) = (whole.left_half().expand(), whole.expand());
        for (text, padding, one, three) in [
            (
                "Now is the time for all ",
                Padding::M1,
                "70A30640CC76DD8B",
                "A1C72E74EA3FA9B6",
            ),
            (
                "Now is the time for all ",
                Padding::M2,
                "10E1F0F108341B6D",
                "E9086230CA3BE796",
            ),
            (
                "Now is the time for it",
                Padding::M1,
                "E45B3AD2B7CC0856",
                "2E2B1428CC78254F",
            ),
            (
                "Now is the time for it",
                Padding::M2,
                "A924C72136149211",
                "5A692CE64F404145",
            ),
        ] {
            let text = text.as_bytes();
            assert_eq!(shown(CbcMac::new(&left).chain(text).finish(padding)), one);
            assert_eq!(
                shown(CbcMac::retail(&left).chain(text).finish(padding)),
                one
            );
            assert_eq!(
                shown(CbcMac::retail(&whole).chain(text).finish(padding)),
                three
            );
        }
    }

    /// ICAO Doc 9303, part 11, appendix D.3 and D.4.
    #[test]
    fn a_passport_has_its_known_retail_macs() {
        for (key, text, code) in [
            (
                "7962D9ECE03D1ACD4C76089DCE131543",
                "72C29C2371CC9BDB65B779B8E8D37B29ECC154AA56A8799FAE2F498F76ED92F2",
                "5F1448EEA8AD90A7",
            ),
            (
                "F1CB1F1FB5ADF208806B89DC579DC1F8",
                "887022120C06C2270CA4020C800000008709016375432908C044F6",
                "BF8B92D635FF24F8",
            ),
        ] {
            let key = Key::triple_des(lane(key)).expand();
            let text = hex::decode(text).unwrap();
            assert_eq!(
                shown(CbcMac::retail(&key).chain(&text).finish(Padding::M2)),
                code
            );
        }
    }

    /// Expected values from an independent implementation (OpenSSL 3.0).
    #[test]
    fn sm4_has_its_known_codes() {
        let key = Key::sm4(ISO_KEY.to_be_bytes()).expand();
        let text: Vec<u8> = (0..32).collect();
        for (len, m1, m2) in [
            (
                0,
                "2677F46B09C122CC975533105BD4A22A",
                "8C338E5A27E349BEAE39214FEDA97099",
            ),
            (
                15,
                "F20FF9E7B4F2F0E4C0943520FD25DBB9",
                "742D351D1AA3523BAFD5832D30295F5D",
            ),
            (
                16,
                "06989C613DA668AD2A8DF782E1A8F96A",
                "6001C40D2A75DA5494074C5B48A5579C",
            ),
            (
                17,
                "8183633DA06289D7BF3726A1B84B6116",
                "C86C0913F0343DEC3C6EE8A1F927F9BA",
            ),
            (
                32,
                "1DC1AFACD5E2D724E1226E42772A63F8",
                "4D21A263B093EE309E685DCDF5049744",
            ),
        ] {
            let mac = || CbcMac::new(&key).chain(&text[..len]);
            assert_eq!(shown(mac().finish(Padding::M1)), m1);
            assert_eq!(shown(mac().finish(Padding::M2)), m2);
        }
    }

    /// NIST SP 800-38B, D.1 and D.5; the SM4 values from an independent
    /// implementation (OpenSSL 3.0).
    #[test]
    fn cmac_has_its_known_codes() {
        let text = hex::decode(concat!(
            "6BC1BEE22E409F96E93D7E117393172AAE2D8A571E03AC9C9EB76FAC45AF8E51",
            "30C81C46A35CE411E5FBC1191A0A52EFF69F2445DF4F9B17AD2B417BE66C3710"
        ))
        .unwrap();
        let code = |key: &Key, len: usize| shown(Cmac::new(key).chain(&text[..len]).finish());
        let aes = Key::aes_128(lane("2B7E151628AED2A6ABF7158809CF4F3C"));
        assert_eq!(code(&aes, 0), "BB1D6929E95937287FA37D129B756746");
        assert_eq!(code(&aes, 16), "070A16B46B4D4144F79BDD9DD04A287C");
        assert_eq!(code(&aes, 40), "DFA66747DE9AE63030CA32611497C827");
        assert_eq!(code(&aes, 64), "51F0BEBF7E3B9D92FC49741779363CFE");
        let des = Key::triple_des(lane("4CF15134A2850DD58A3D10BA80570D38"));
        assert_eq!(code(&des, 0), "BD2EBF9A3BA00361");
        assert_eq!(code(&des, 8), "4FF2AB813C53CE83");
        assert_eq!(code(&des, 20), "62DD1B471902BD4E");
        assert_eq!(code(&des, 32), "31B1E431DABC4EB8");
        let sm4 = Key::sm4(lane("2B7E151628AED2A6ABF7158809CF4F3C"));
        assert_eq!(code(&sm4, 0), "399A9C930964A3D4E38C59DA47F0B309");
        assert_eq!(code(&sm4, 16), "4E4C2A4417E567FEF081E0FAB55A5762");
        assert_eq!(code(&sm4, 20), "7E8D5E550154792A82724B32DFA2BFBF");
        assert_eq!(code(&sm4, 40), "8E31701927D50B28D53787513B69DD75");
    }

    #[test]
    fn the_parts_of_a_code_are_what_they_say() {
        let sixteen = Mac {
            lane: lane("00112233445566778899AABBCCDDEEFF"),
            len: 16,
        };
        assert_eq!(sixteen.left_4(), [0x00, 0x11, 0x22, 0x33]);
        assert_eq!(
            sixteen.left_8(),
            lane("00112233445566778899AABBCCDDEEFF")[..8]
        );
        assert_eq!(sixteen.folded(), [0; 4]);
        let eight = Mac { len: 8, ..sixteen };
        assert_eq!(eight.folded(), eight.left_4());
        assert_eq!(format!("{eight:?}"), "Mac(0011223344556677)");
        for len in 0..=16 {
            let code = &sixteen.lane[..len];
            assert_eq!(sixteen.begins_with(code), len >= 4);
            assert_eq!(eight.begins_with(code), (4..=8).contains(&len));
        }
        assert!(!sixteen.begins_with(&[0x00, 0x11, 0x22, 0x32]));
        assert!(eight != sixteen);
    }

    proptest! {
        #[test]
        fn how_a_message_is_cut_does_not_count(
            pieces in prop::collection::vec(prop::collection::vec(any::<u8>(), 0..40), 0..6),
            iv: [u8; 16],
        ) {
            let whole = pieces.concat();
            for key in [Key::des([0x13; 8]), Key::triple_des(ISO_KEY.to_be_bytes()),
                        Key::sm4([0x31; 16]), Key::aes_128([0x77; 16])] {
                let cmac = pieces.iter().fold(Cmac::new(&key), |mac, piece| mac.chain(piece));
                assert_eq!(cmac.finish(), Cmac::new(&key).chain(&whole).finish());
                let key = key.expand();
                for padding in [Padding::M1, Padding::M2] {
                    for start in [CbcMac::new, CbcMac::retail] {
                        let begun = || start(&key).with_iv(&iv);
                        let cut = pieces.iter().fold(begun(), |mac, piece| mac.chain(piece));
                        assert_eq!(cut.finish(padding), begun().chain(&whole).finish(padding));
                    }
                }
            }
        }

        #[test]
        fn algorithm_1_is_the_last_block_of_cbc(
            mut data in prop::collection::vec(any::<u8>(), 1..100), iv: [u8; 16],
        ) {
            let key = Key::triple_des(ISO_KEY.to_be_bytes()).expand();
            let mac = CbcMac::new(&key).with_iv(&iv).chain(&data).finish(Padding::M1);
            data.resize(data.len().next_multiple_of(8), 0);
            key.encrypt_cbc(&iv, &mut data).unwrap();
            assert_eq!(mac.as_bytes(), &data[data.len() - 8..]);
        }
    }
}
