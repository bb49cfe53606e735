//! A session key in the PSAM, and what is done with it: CIPHER DATA.
//!
//! ```text
//!            ┌─────────────── 02 ──┐
//! delivered ─┼─ 00 encipher ─► end │
//!            ├─ 02 ─► enciphering ─┴─ 00 ─► end
//!            ├─ 05 MAC, initial value first ─► end
//!            └─ 07 ─► chaining ─┬─ 01 ─► end
//!                       └─ 03 ──┘
//! ```
//!
//! The last step of a message ends the session. The terminal pads: only whole blocks are
//! taken. Enciphering is ECB; a MAC is CBC, cut to 4 bytes, or its four words added (xor)
//! for a 16-byte algorithm.
//!
//! Source: social security card specification, part 9, 8; part 4, 8.

use super::command::Step;
use super::key::Uses;
use cardlab::apdu::Sw;
use cardlab::crypto::{CbcMac, Key, Mac, Padding};

/// A session key that was delivered.
pub(super) struct Session {
    key: Key,
    uses: Uses,
    message: Message,
}

/// How far a message has come.
#[derive(Clone, Copy)]
enum Message {
    New,
    Enciphering,
    /// The chaining value of a MAC.
    Chaining([u8; 16]),
}

impl Session {
    /// A session with no message yet.
    pub(super) const fn new(key: Key, uses: Uses) -> Session {
        Session {
            key,
            uses,
            message: Message::New,
        }
    }

    /// Does a step and appends what it answers; gives the session back if it goes on.
    ///
    /// # Errors
    /// '6901' where the step does not follow what was done, '6985' where the key is not
    /// for it, '6700' where the data are not whole blocks, at least one besides an
    /// initial value.
    pub(super) fn step(
        mut self,
        step: Step,
        data: &[u8],
        out: &mut Vec<u8>,
    ) -> Result<Option<Session>, Sw> {
        let chain = match (self.message, step.mac, step.first) {
            (Message::New | Message::Enciphering, false, _) => None,
            (Message::New, true, true) => Some([0; 16]),
            (Message::Chaining(chain), true, false) => Some(chain),
            _ => return Err(Sw::COMMAND_NOT_ACCEPTED),
        };
        let allowed = if step.mac {
            self.uses.mac
        } else {
            self.uses.encipher
        };
        if !allowed {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        let key = self.key.expand();
        let block_len = key.block_len();
        let least = block_len * if step.first { 2 } else { 1 };
        if data.len() < least || !data.len().is_multiple_of(block_len) {
            return Err(Sw::WRONG_LENGTH);
        }
        self.message = match chain {
            None => {
                let start = out.len();
                out.extend_from_slice(data);
                let enciphered = out.get_mut(start..).unwrap_or_default();
                // Whole blocks: it cannot fail.
                let _ = key.encrypt_ecb(enciphered);
                Message::Enciphering
            }
            Some(chain) => {
                // An initial value that comes first is added to the zero that stands there,
                // and enters unenciphered.
                let (initial, data) = data.split_at(if step.first { block_len } else { 0 });
                let mut chain = chain;
                chain
                    .iter_mut()
                    .zip(initial)
                    .for_each(|(to, from)| *to = *from);
                let mac = CbcMac::new(&key).with_iv(&chain).chain(data);
                let mac = mac.finish(Padding::M1);
                if !step.more {
                    out.extend(mac.folded());
                }
                Message::Chaining(lane(&mac))
            }
        };
        Ok(step.more.then_some(self))
    }
}

/// A MAC's block, filled up with zeros.
fn lane(mac: &Mac) -> [u8; 16] {
    let mut lane = [0; 16];
    lane.iter_mut()
        .zip(mac.as_bytes())
        .for_each(|(to, from)| *to = *from);
    lane
}
