//! The order in which a command's bytes are checked. M10.
//!
//! The card declares: '6E00' for a class that no command has, '6D00', '6E00' for a class
//! that this command has not, '6A86', '6700'; the state is looked at after them.
//!
//! Source: social security card specification, part 5, 6.3 and 7, for what each command
//! is; the order is the card's own (head of its applet).

use super::catalogue::M10;
use super::{Findings, Turn};
use cardlab::apdu::{Command, Sw};

/// The first thing that is wrong with the bytes; what the operating system answers
/// itself, SELECT among them, has nothing wrong.
pub(super) fn first_wrong(command: &Command<'_>) -> Option<Sw> {
    let class = command.class.base();
    let classes: &[u8] = match command.ins {
        0x20 | 0x44 | 0x82 | 0x84 | 0x88 | 0xB0 | 0xB2 | 0xE0 => &[0x00],
        0xD6 | 0xDC => &[0x00, 0x04],
        0x5E | 0xD4 => &[0x80],
        0x16 | 0x1E | 0x24 => &[0x84],
        0x26 | 0x28 | 0x2A | 0x2C | 0x2E | 0x56 => &[0xB0],
        0x70 | 0xA4 | 0xC0 => return None,
        _ if matches!(class, 0x00 | 0x04 | 0x80 | 0x84 | 0xB0) => {
            return Some(Sw::INS_NOT_SUPPORTED);
        }
        _ => &[],
    };
    if !classes.contains(&class) {
        return Some(Sw::CLA_NOT_SUPPORTED);
    }
    if !has_parameters(command) {
        return Some(Sw::WRONG_P1_P2);
    }
    (!has_length(command)).then_some(Sw::WRONG_LENGTH)
}

fn has_parameters(command: &Command<'_>) -> bool {
    let (p1, p2) = (command.p1, command.p2);
    match command.ins {
        0x20 | 0x16 | 0x2A | 0x44 | 0x84 | 0x88 | 0xE0 => (p1, p2) == (0, 0),
        0x82 => p1 == 0 && p2 & 0x70 == 0,
        0x1E => (p1, p2) == (0, 1),
        0x2C | 0x5E => (p1, p2) == (1, 0),
        0x24 => matches!((p1, p2), (0, 0 | 1)),
        0x26 => matches!((p1, p2), (0, 1..=3)),
        0x28 => matches!((p1, p2), (0 | 1, 1)),
        0x2E => matches!((p1, p2), (0, 0x31 | 0x32)),
        0x56 => matches!((p1, p2), (0 | 1, 0)),
        0xB0 | 0xD6 => p1 < 0x80 || matches!(p1, 0x81..=0x9E),
        0xB2 => p1 != 0xFF && p2 >> 3 <= 30 && p2 & 7 != 7,
        0xDC => p1 != 0xFF && p2 >> 3 <= 30 && p2 & 7 < 5,
        _ => true,
    }
}

fn has_length(command: &Command<'_>) -> bool {
    let (len, ne) = (command.data.len(), command.ne);
    match (command.ins, command.p1, command.p2) {
        (0x20, ..) => matches!(len, 0 | 2..=8),
        (0x84, ..) => len == 0 && matches!(ne, 4 | 8 | 16),
        (0x82 | 0x88, ..) => matches!(len, 16 | 17),
        (0x5E, ..) => matches!(len, 3..=17),
        (0x24, 0, 1) => matches!(len, 12 | 20),
        (0x16 | 0x1E | 0x24, ..) => len == 4,
        (0xB0 | 0xB2 | 0x44, ..) => len == 0,
        (0xD6 | 0xDC, ..) if command.class.base() == 0x04 => matches!(len, 5..=255),
        (0xD6 | 0xDC | 0xE0, ..) => len > 0,
        (0x28, 0, _) | (0x2A, ..) => len == 11,
        (0x28, ..) => len == 19,
        (0x2C, ..) => len == 15,
        (0x2E, ..) | (0x56, 0, _) => len == 2,
        (0x26, _, 1) => len == 0 && ne >= 4,
        (0x26, ..) => len == 0 && ne >= 6,
        (0x56, ..) => len == 0 && ne >= 2,
        _ => true,
    }
}

/// Whether data stand where the command has none, or nothing where it has an Le: T=0 has
/// one length for both directions, so that a card behind it takes the number of the data
/// for Le, and none for 256.
pub(super) fn is_unclear(command: &Command<'_>) -> bool {
    let has_none = matches!(command.ins, 0x26 | 0x44 | 0x56 | 0x84 | 0xB0 | 0xB2);
    let other = !command.data.is_empty() || command.ne == 0;
    has_none && other && first_wrong(command) == Some(Sw::WRONG_LENGTH)
}

/// Holds an answer against the declared order; `wrong` is the first thing wrong.
pub(super) fn watch(turn: &Turn<'_>, wrong: Option<Sw>, found: &mut Findings) {
    let Some(sw) = turn.sw else { return };
    // The card itself speaks first: blocked, channel closed, chain broken, at fault.
    if matches!(sw, Sw::NOT_SUPPORTED | Sw::NO_DIAGNOSIS) || sw.sw1() == 0x68 {
        return;
    }
    match wrong {
        Some(wrong) if sw != wrong => {
            found.add(&M10, || format!("{sw} where {wrong} comes first"));
        }
        None if matches!(
            sw,
            Sw::CLA_NOT_SUPPORTED | Sw::INS_NOT_SUPPORTED | Sw::WRONG_P1_P2
        ) && !matches!(turn.command.ins, 0x70 | 0xA4 | 0xC0 | 0xD4) =>
        {
            found.add(&M10, || format!("{sw} to a command that is none of it"));
        }
        _ => {}
    }
}
