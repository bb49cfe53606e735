//! The key tree and sums of a PBOC debit or credit application.
//!
//! ```text
//! master key ─account─► card key ─ATC─► session key ─► cryptogram, ARPC, MAC, enciphered PIN
//! ```
//!
//! The issuer has three master keys, a card three keys: for cryptograms, for MACs
//! and for enciphering; each makes its own session key of the ATC. The sums are those
//! of cryptogram version 01 with triple DES. With SM4 the same inputs go through it
//! in blocks of 16 bytes; how that is done is known from one source alone and is
//! experimental.
//!
//! Source: JR/T 0025.5 and 0025.7 (PBOC 3.0, debit/credit, security), by the public
//! material on cards that follow them; ISO/IEC 9797-1:2011, algorithm 3, padding
//! method 2.

use super::cipher::Expanded;
use super::derive::diversify;
use super::key::{Cipher, Key};
use super::mac::{CbcMac, Mac, Padding};

/// What makes a card's keys its own: the rightmost 16 digits of account number and
/// sequence number, packed; shorter ones are filled left with 0.
///
/// `None` where `account` has another character than a digit, or is longer than 19.
#[must_use]
pub fn card_factor(account: &str, sequence: u8) -> Option<[u8; 8]> {
    let digits = account.bytes().all(|digit| digit.is_ascii_digit());
    if !digits || account.len() > 19 || sequence > 99 {
        return None;
    }
    let digits = account.bytes().map(|digit| u64::from(digit - b'0'));
    let sequence = [u64::from(sequence / 10), u64::from(sequence % 10)];
    // A digit is a nibble; those beyond the sixteenth fall off at the left.
    let packed = digits
        .chain(sequence)
        .fold(0_u64, |packed, digit| packed << 4 | digit);
    Some(packed.to_be_bytes())
}

/// The key of a card, from the issuer's master key: EMV's option A. The bytes of a
/// triple DES key have odd parity, which [`pin_block`] sees.
#[must_use]
pub fn card_key(master: &Expanded, factor: &[u8; 8]) -> Key {
    let mut key = diversify(master, factor);
    if key.cipher() == Cipher::TripleDes {
        for byte in key.lane_mut() {
            *byte = (*byte & 0xFE) | u8::from((*byte >> 1).count_ones().is_multiple_of(2));
        }
    }
    key
}

/// The session key of a card's key for the transaction with this counter.
#[must_use]
pub fn session_key(card: &Expanded, atc: u16) -> Key {
    let mut key = Key::blank(card.cipher());
    let both = (u128::from(atc) << 64 | u128::from(!atc)).to_be_bytes();
    *key.lane_mut() = both;
    match card.cipher() {
        // The halves are whole blocks: it cannot fail.
        Cipher::TripleDes => drop(card.encrypt_ecb(key.lane_mut())),
        _ => card.encrypt_block(key.lane_mut()),
    }
    key
}

/// The parts of a message, one after the other, taken in.
fn summed<'k>(session: &'k Expanded, parts: &[&[u8]]) -> CbcMac<'k> {
    parts
        .iter()
        .fold(CbcMac::retail(session), |mac, part| mac.chain(part))
}

/// The MAC of the parts of a message.
fn mac(session: &Expanded, parts: &[&[u8]]) -> Mac {
    summed(session, parts).finish(Padding::M2)
}

/// The application cryptogram, ARQC, TC or AAC, over the parts of its data.
#[must_use]
pub fn cryptogram(session: &Expanded, parts: &[&[u8]]) -> [u8; 8] {
    mac(session, parts).left_8()
}

/// The issuer's answer to a cryptogram: method 1, over the cryptogram and the
/// authorisation response code, by the session key of cryptograms.
#[must_use]
pub fn arpc(session: &Expanded, cryptogram: [u8; 8], response_code: [u8; 2]) -> [u8; 8] {
    let mut lane = [0; 16];
    lane[..8].copy_from_slice(&cryptogram);
    for (byte, code) in lane.iter_mut().zip(response_code) {
        *byte ^= code;
    }
    session.encrypt_block(&mut lane);
    let [a, b, c, d, e, f, g, h, ..] = lane;
    [a, b, c, d, e, f, g, h]
}

/// The MAC of issuer discretionary data: over the ATC and their value, 5 or 10
/// bytes, filled up to 8 or 16 in all, by the session key of MACs.
///
/// Whether padding follows the 16 bytes, which are whole blocks, sources tell
/// differently: `long` is method 2 where it does and method 1 where it does not. It
/// follows the 8 bytes, by published values.
#[must_use]
pub fn discretionary_mac(session: &Expanded, atc: u16, value: &[u8], long: Padding) -> [u8; 4] {
    let filled = (value.len() + 2).next_multiple_of(8) - value.len() - 2;
    let zeros = [0; 8];
    let zeros = zeros.get(..filled).unwrap_or_default();
    let padding = if value.len() > 6 { long } else { Padding::M2 };
    summed(session, &[&atc.to_be_bytes(), value, zeros])
        .finish(padding)
        .left_4()
}

/// The MAC of an issuer script command, by the session key of MACs.
///
/// `header` is CLA INS P1 P2 Lc, CLA on the basic channel and Lc with the MAC counted
/// in; `cryptogram` is the first one of the transaction.
#[must_use]
pub fn script_mac(
    session: &Expanded,
    header: [u8; 5],
    atc: u16,
    cryptogram: [u8; 8],
    data: &[u8],
) -> [u8; 4] {
    mac(session, &[&header, &atc.to_be_bytes(), &cryptogram, data]).left_4()
}

/// A PIN as the card compares it: format 2, `2N`, digits, filled with F. `first` is the
/// nibble before the length: 2 on the card, 0 in a block that is enciphered for it.
///
/// `None` where it is not 4 to 12 decimal digits.
fn pin_digits(first: u8, pin: &str) -> Option<[u8; 8]> {
    let decimal = pin.bytes().all(|digit| digit.is_ascii_digit());
    let len = u8::try_from(pin.len())
        .ok()
        .filter(|len| (4..=12).contains(len) && decimal)?;
    let mut block = [0xFF; 8];
    block[0] = first << 4 | len;
    for (index, digit) in pin.bytes().map(|digit| digit - b'0').enumerate() {
        let byte = block.get_mut(1 + index / 2)?;
        *byte = match index % 2 {
            0 => digit << 4 | 0x0F,
            _ => (*byte & 0xF0) | digit,
        };
    }
    Some(block)
}

/// A PIN in the form in which VERIFY presents it: `2N`, digits, filled with F.
///
/// `None` where it is not 4 to 12 decimal digits.
#[must_use]
pub fn plain_pin_block(pin: &str) -> Option<[u8; 8]> {
    pin_digits(2, pin)
}

/// The mask over a new PIN: bytes 5 to 8 of the left half of the card's key for
/// enciphering, and the present PIN left justified where one is given (P2 of the
/// command is then 01).
fn pin_mask(card: &Key, present: Option<&[u8; 8]>) -> [u8; 8] {
    let mut mask = [0; 8];
    if let Some(own) = card.expose().get(4..8) {
        mask[4..].copy_from_slice(own);
    }
    if let Some(present) = present {
        // Digits only: the length nibbles are not in it, and filler counts as 0.
        for (mask, byte) in mask.iter_mut().zip(present.iter().skip(1)) {
            let (high, low) = (byte >> 4, byte & 0x0F);
            let of = |nibble: u8| if nibble < 10 { nibble } else { 0 };
            *mask ^= of(high) << 4 | of(low);
        }
    }
    mask
}

/// The PIN of a PIN CHANGE, enciphered by the session key for that; 16 bytes.
///
/// `card` is the card's own key for enciphering, `present` the PIN that the new one is
/// bound to, as [`plain_pin_block`] writes it.
///
/// `None` where `pin` is not 4 to 12 decimal digits.
#[must_use]
pub fn pin_block(
    card: &Key,
    session: &Expanded,
    pin: &str,
    present: Option<&[u8; 8]>,
) -> Option<[u8; 16]> {
    let clear = pin_digits(0, pin)?;
    let mut block = [0; 16];
    block[0] = 8;
    for ((to, digits), mask) in block[1..]
        .iter_mut()
        .zip(clear)
        .zip(pin_mask(card, present))
    {
        *to = digits ^ mask;
    }
    block[9] = 0x80;
    session.encrypt_ecb(&mut block).ok()?;
    Some(block)
}

/// The new PIN of a PIN CHANGE, as [`plain_pin_block`] writes it; the inverse of
/// [`pin_block`].
///
/// `None` where the block does not hold a PIN of 4 to 12 digits for this card.
#[must_use]
pub fn open_pin_block(
    card: &Key,
    session: &Expanded,
    block: &[u8; 16],
    present: Option<&[u8; 8]>,
) -> Option<[u8; 8]> {
    let mut block = *block;
    session.decrypt_ecb(&mut block).ok()?;
    let [8, clear @ .., 0x80, 0, 0, 0, 0, 0, 0] = block else {
        return None;
    };
    let mut pin = [0; 8];
    for ((to, byte), mask) in pin.iter_mut().zip(clear).zip(pin_mask(card, present)) {
        *to = byte ^ mask;
    }
    let len = usize::from(pin[0]);
    let nibble = |index: usize| {
        pin.get(1 + index / 2)
            .map(|byte| byte >> (4 * (1 - index % 2)) & 0x0F)
    };
    let right = (0..14).all(|index| match nibble(index) {
        Some(digit) if index < len => digit < 10,
        filler => filler == Some(0x0F),
    });
    if !(4..=12).contains(&len) || !right {
        return None;
    }
    pin[0] |= 0x20;
    Some(pin)
}

#[cfg(test)]
mod tests {
    use super::{
        arpc, card_factor, card_key, cryptogram, discretionary_mac, open_pin_block, pin_block,
        plain_pin_block, script_mac, session_key,
    };
    use crate::crypto::{CbcMac, Expanded, Key, Padding};
    use proptest::prelude::*;

    fn bytes<const N: usize>(text: &str) -> [u8; N] {
        hex::decode(text.replace(' ', ""))
            .unwrap()
            .try_into()
            .unwrap()
    }

    fn key(text: &str) -> Key {
        Key::triple_des(bytes(text))
    }

    fn session(card: &str, atc: u16) -> Expanded {
        session_key(&key(card).expand(), atc).expand()
    }

    const V3_AC: &str = "08B93D5426A7709E4F2346E3B083706D";
    const V3_MAC: &str = "D90462EAFE73B5BA54BC5DA275670729";
    const V3_ENC: &str = "135DD03E1CF268FDBF16C8E09B73D931";

    #[test]
    fn the_published_cryptogram_of_an_issuer_s_example_comes_out() {
        let factor = card_factor("6228000100001", 1).unwrap();
        assert_eq!(factor, bytes("0622800010000101"));
        let card = card_key(&key("F0C34A8124CEE0A91A0B034AA97D6EAC").expand(), &factor);
        let session = session_key(&card.expand(), 0x0240).expand();
        let data: [u8; 37] = bytes(
            "000000000001 000000000000 0156 0080046000 0156 140701 00 1E78EEBC 7D00 0240 03A04002",
        );
        let arqc = cryptogram(&session, &[&data]);
        assert_eq!(arqc, bytes("5D016C91005E7CC2"));
        assert_eq!(arpc(&session, arqc, *b"01"), bytes("21415243527CE78F"));
        let card = card_key(&key("12B1AC4AF070CC35612BFE2D30AB600D").expand(), &factor);
        let session = session_key(&card.expand(), 0x0240).expand();
        let mac = discretionary_mac(&session, 0x0240, &bytes::<5>("0000001000"), Padding::M1);
        assert_eq!(mac, bytes("D1F61152"));
    }

    #[test]
    fn the_cryptogram_of_a_real_transaction_comes_out() {
        let card = key("0D2E3CB0BC1F9E03AED58F663A2F9679");
        let of_atc = session_key(&card.expand(), 0x000E);
        assert_eq!(
            of_atc.expose(),
            bytes::<16>("C3D3F062E9992B4E923D338D66193526")
        );
        let session = of_atc.expand();
        let terminal: [u8; 29] =
            bytes("000000001234 000000000034 0156 D86004A800 0156 120516 01 01010101");
        let card: [u8; 8] = bytes("7C00 000E 03A4B904");
        let arqc = cryptogram(&session, &[&terminal, &card]);
        assert_eq!(arqc, bytes("F294D7022FA9B058"));
        assert_eq!(arpc(&session, arqc, *b"00"), bytes("3846EEB4C8D34271"));
    }

    #[test]
    fn the_keys_of_an_independent_personalisation_tool_come_out() {
        let factor = card_factor("8888800000000001", 1).unwrap();
        assert_eq!(factor, bytes("8880000000000101"));
        for (master, card, kcv) in [
            ("31313131313131314040404040404040", V3_AC, "6C71E0"),
            ("40404040404040405151515151515151", V3_MAC, "8CEDEB"),
            ("51515151515151516161616161616161", V3_ENC, "B2D170"),
        ] {
            let derived = card_key(&key(master).expand(), &factor);
            assert_eq!(derived.expose(), bytes::<16>(card));
            assert_eq!(derived.kcv(), bytes(kcv));
        }
        for (card, expected) in [
            (V3_AC, "76920E34F08BBF9AA969E262D5253468"),
            (V3_MAC, "6031230868C7EE437D5878319815CDDD"),
            (V3_ENC, "D395063DD1AAFFCABA5AE25485F1FE96"),
        ] {
            let session = session_key(&key(card).expand(), 1);
            assert_eq!(session.expose(), bytes::<16>(expected));
        }
    }

    #[test]
    fn cryptograms_and_the_mac_of_discretionary_data_are_those_of_the_table() {
        let data: [u8; 37] = bytes(
            "000000001500 000000000000 0156 0000040000 0156 260701 00 D64B8587 7D00 0001 03A00002",
        );
        let arqc = cryptogram(&session(V3_AC, 1), &[&data]);
        assert_eq!(arqc, bytes("42D000A1A6D4244E"));
        assert_eq!(
            arpc(&session(V3_AC, 1), arqc, *b"00"),
            bytes("670F601EFB306D92")
        );
        let mac = discretionary_mac(
            &session(V3_MAC, 1),
            1,
            &bytes::<5>("0000100000"),
            Padding::M2,
        );
        assert_eq!(mac, bytes("3AEFE99A"));
        // Cryptogram version 17 takes less, by the same key.
        let quick: [u8; 13] = bytes("000000001500 D64B8587 0001 A0");
        assert_eq!(
            cryptogram(&session(V3_AC, 1), &[&quick]),
            bytes("2CED3332BC036F07")
        );
    }

    #[test]
    fn ten_bytes_of_discretionary_data_have_a_block_of_padding_behind_or_none() {
        let value: [u8; 10] = bytes("0000100000 0000001234");
        let whole: [u8; 16] = bytes("0001 0000100000 0000001234 00000000");
        let padded = [&whole[..], &bytes::<8>("8000000000000000")].concat();
        let session = session(V3_MAC, 1);
        let sum = |message: &[u8]| {
            let sum = CbcMac::retail(&session).chain(message);
            sum.finish(Padding::M1).left_4()
        };
        let of = |long| discretionary_mac(&session, 1, &value, long);
        assert_eq!(of(Padding::M2), sum(&padded));
        assert_eq!(of(Padding::M1), sum(&whole));
        assert_ne!(of(Padding::M1), of(Padding::M2));
    }

    #[test]
    fn script_macs_are_those_of_the_table() {
        let session = session(V3_MAC, 1);
        let arqc = bytes("7B4D0DB17F1F355D");
        for (header, data, mac) in [
            ("04DA9F790A", "000000105000", "C8FF43A4"),
            ("841E000004", "", "63573CAF"),
            ("8418000004", "", "1BB44931"),
            ("8416000004", "", "4BD5F3E0"),
            ("8424000004", "", "846A2829"),
            ("04DA9F5805", "05", "B39A71C9"),
            ("8424000214", "7B6196F0AA3A7D539EEA9185E71DFA6A", "451DB99E"),
            ("8424000114", "00B3BFBF77A2B2959EEA9185E71DFA6A", "E92B319F"),
        ] {
            let data = hex::decode(data).unwrap();
            let found = script_mac(&session, bytes(header), 1, arqc, &data);
            assert_eq!(found, bytes(mac), "{header}");
        }
    }

    #[test]
    fn pin_blocks_are_those_of_the_table() {
        let (card, session) = (key(V3_ENC), session(V3_ENC, 1));
        let block = pin_block(&card, &session, "654321", None).unwrap();
        assert_eq!(block, bytes("7B6196F0AA3A7D539EEA9185E71DFA6A"));
        let present = plain_pin_block("123456").unwrap();
        assert_eq!(present, bytes("26123456FFFFFFFF"));
        let bound = pin_block(&card, &session, "654321", Some(&present)).unwrap();
        assert_eq!(bound, bytes("00B3BFBF77A2B2959EEA9185E71DFA6A"));
    }

    #[test]
    fn the_keys_by_sm4_are_those_of_the_table() {
        let master = Key::sm4(bytes("0123456789ABCDEFFEDCBA9876543210"));
        let factor = card_factor("8888800000000001", 1).unwrap();
        let card = card_key(&master.expand(), &factor);
        assert_eq!(
            card.expose(),
            bytes::<16>("F10D42AE82351AA3EEAF5953F11C0ACA")
        );
        let session = session_key(&card.expand(), 1);
        assert_eq!(
            session.expose(),
            bytes::<16>("15B985AE549A81B7BBC4A15DB12AD337")
        );
    }

    #[test]
    fn an_account_is_19_digits_at_most_of_which_the_last_count() {
        assert_eq!(
            card_factor("6222000000000000019", 7),
            Some(bytes("0000000000001907"))
        );
        assert_eq!(card_factor("12345678901234567890", 0), None);
        assert_eq!(card_factor("622200000000000001X", 0), None);
        assert_eq!(card_factor("6222", 100), None);
        assert_eq!(card_factor("6222", 0), Some(bytes("0000000000622200")));
    }

    proptest! {
        #[test]
        fn a_pin_block_opens_for_its_own_card_and_session_alone(
            pin in "[0-9]{4,12}", present in proptest::option::of("[0-9]{4,12}"), atc: u16,
        ) {
            let card = key(V3_ENC);
            let present = present.map(|pin| plain_pin_block(&pin).unwrap());
            let session = session_key(&card.expand(), atc).expand();
            let block = pin_block(&card, &session, &pin, present.as_ref()).unwrap();
            let opened = open_pin_block(&card, &session, &block, present.as_ref());
            prop_assert_eq!(opened, plain_pin_block(&pin));
            let other = session_key(&card.expand(), atc.wrapping_add(1)).expand();
            prop_assert_eq!(open_pin_block(&card, &other, &block, present.as_ref()), None);
        }

        #[test]
        fn what_is_no_pin_makes_no_block(pin in "[0-9]{0,3}|[0-9]{13,20}|[0-9]{4}[a-f]") {
            prop_assert_eq!(plain_pin_block(&pin), None);
        }

        #[test]
        fn any_block_opens_or_not_and_nothing_breaks(block: [u8; 16]) {
            let (card, session) = (key(V3_ENC), session(V3_ENC, 1));
            let _ = open_pin_block(&card, &session, &block, None);
        }
    }
}
