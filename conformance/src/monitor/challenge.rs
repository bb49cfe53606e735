//! Challenges: drawn once, used once. M08 and M09.
//!
//! The standard lets a terminal draw two and takes the latest, so a challenge need not
//! be used by the very next command. What uses it up is a command that came as far as to
//! compute with it.
//!
//! Source: social security card specification, part 4, 8 and 9; part 5, 7.5.

use super::catalogue::{M08, M09};
use super::{Findings, Turn};
use std::collections::HashSet;

/// How many bytes of a challenge are remembered; shorter ones may repeat by chance.
const KEPT_LEN: usize = 8;

/// How many challenges are remembered.
const KEPT_MAX: usize = 1 << 20;

#[derive(Clone, Debug, Default)]
pub(super) struct Challenges {
    /// All that were drawn.
    drawn: HashSet<[u8; KEPT_LEN]>,
    /// Whether there may be one to use.
    there: bool,
}

/// Whether a command computes with a challenge.
fn uses(turn: &Turn<'_>) -> bool {
    match turn.command.ins {
        0x82 => true,
        0x16 | 0x1E | 0x24 => turn.command.class.base() == 0x84,
        0xD6 | 0xDC => turn.command.class.base() == 0x04,
        _ => false,
    }
}

impl Challenges {
    /// There is none to use: the card was reset, or another directory is current.
    pub(super) fn dropped(&mut self) {
        self.there = false;
    }

    /// Whatever application gave it.
    pub(super) fn watch_drawn(&mut self, turn: &Turn<'_>, found: &mut Findings) {
        if turn.command.ins != 0x84 || turn.command.class.base() != 0x00 || !turn.is_ok() {
            return;
        }
        let Some(&first) = turn.data.and_then(|data| data.first_chunk()) else {
            return;
        };
        if self.drawn.len() >= KEPT_MAX {
            self.drawn.clear();
        }
        if !self.drawn.insert(first) {
            found.add(&M09, || format!("{} came before", hex::encode_upper(first)));
        }
    }

    /// In the social security application.
    pub(super) fn watch_used(&mut self, turn: &Turn<'_>, found: &mut Findings) {
        let Some(sw) = turn.sw else { return };
        if turn.command.ins == 0x84 && turn.is_ok() {
            self.there = true;
        } else if uses(turn) {
            if turn.is_ok() && !self.there {
                found.add(&M08, || {
                    "a code was taken without a challenge for it".to_owned()
                });
            }
            // Compared, rightly or wrongly.
            if turn.is_ok() || sw.sw1() == 0x63 || sw == cardlab::apdu::Sw::SM_OBJECT_WRONG {
                self.there = false;
            }
        }
    }
}
