//! A small social security card, issued over the wire.

use cardlab::icc::Icc;
use cardlab::os::Card;

pub(crate) const SELECT_SSSE: &str = "00A40400 0F 7378312E73682EC9E7BBE1B1A3D5CF 00";
pub(crate) const VERIFY: &str = "00200000 03 123456";

const INSTALL: &str = "80E60C00 38 08 F0636172646C6162 0B F0636172646C6162535343 \
    0F 7378312E73682EC9E7BBE1B1A3D5CF 01 0C 0F C90D 860101 800102 810100 82020308 00 00";

/// Sends in hexadecimal digits.
pub(crate) trait Wire {
    /// The data of an answer that must end in '9000'.
    fn ok(&mut self, command: &str) -> Vec<u8>;
}

impl Wire for Card {
    #[track_caller]
    fn ok(&mut self, command: &str) -> Vec<u8> {
        let mut answer = Vec::new();
        self.transmit(&hex(command), &mut answer).unwrap();
        assert!(answer.ends_with(&[0x90, 0x00]), "{command}: {answer:02X?}");
        answer.truncate(answer.len() - 2);
        answer
    }
}

/// The bytes of these digits, blanks left out.
pub(crate) fn hex(digits: &str) -> Vec<u8> {
    let digits: Vec<u32> = digits
        .chars()
        .filter_map(|digit| digit.to_digit(16))
        .collect();
    let pairs = digits.chunks_exact(2);
    pairs
        .map(|pair| u8::try_from(pair[0] << 4 | pair[1]).unwrap())
        .collect()
}

/// The card: SSSE with EF05 (variable, free), EF0C (transparent, 600 bytes, PIN),
/// the IRK and the PIN 123456.
pub(crate) fn card() -> Card {
    let mut card = Card::manufacture(&cardlab_applets::ROM, 7);
    card.power_on().unwrap();
    for command in [
        INSTALL,
        SELECT_SSSE,
        "00E00000 1A 6218 820138 8302DDF1 840F7378312E73682EC9E7BBE1B1A3D5CF",
        "80D40100 13 010100 404142434445464748494A4B4C4D4E4F",
        "80D41000 04 06123456",
        "00E00000 19 6217 82050401004007 8302EF05 880105 80020040 8C03010100",
        "00DC0102 07 0105AABBCCDDEE",
        "00DC0202 07 02053431303130",
        "00E00000 18 6216 820101 8302EF0C 88010C 80020258 8C06 010101 020101",
        "00440000",
        "00A40000 02 3F00 00",
        "00440000",
        "00A40400 08 A000000151000000 00",
        "80F0800F",
    ] {
        card.ok(command);
    }
    card.power_on().unwrap();
    card
}
