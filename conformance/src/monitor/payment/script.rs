//! Scripts, what a refused one leaves, and blocked applications. M21 and M22.

use super::super::catalogue::{M21, M22};
use super::super::{Findings, Turn};
use super::cryptogram::Kind;
use super::state::Element;
use super::{End, Payments};
use crate::bank::cryptogram::session;
use cardlab::apdu::Sw;
use cardlab::crypto::pboc;

/// Whether the application is open, as far as it is known.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Life {
    open: Option<bool>,
    /// By a script, which nobody takes back but another one.
    by_script: bool,
    /// A script was refused since SELECT told it.
    refused_since: bool,
    /// CARD BLOCK was done.
    ended: bool,
}

impl Life {
    pub(super) fn of_new(starts_inactive: bool) -> Life {
        Life {
            open: Some(!starts_inactive),
            ..Life::default()
        }
    }

    pub(super) fn forget(&mut self) {
        *self = Life {
            ended: self.ended,
            ..Life::default()
        };
    }

    /// Something other than a script may have blocked it.
    pub(super) fn may_be_blocked(&mut self) {
        if self.open == Some(true) {
            self.open = None;
        }
    }

    fn set(&mut self, open: bool) {
        self.open = Some(open);
        self.by_script = true;
        self.refused_since = false;
    }

    /// SELECT by its whole name.
    pub(super) fn watch_ended(&self, sw: Option<Sw>, found: &mut Findings) {
        if let Some(sw) = sw.filter(|sw| self.ended && *sw != Sw::NOT_SUPPORTED) {
            found.add(&M22, || format!("SELECT {sw} after CARD BLOCK"));
        }
    }

    /// SELECT that was done.
    pub(super) fn watch_select(&mut self, sw: Option<Sw>, found: &mut Findings) {
        let Some(sw) = sw else { return };
        let open = sw == Sw::OK;
        if self.open == Some(!open) {
            if self.by_script {
                let script = if open { "BLOCK" } else { "UNBLOCK" };
                found.add(&M22, || format!("SELECT {sw} after APPLICATION {script}"));
            } else if self.refused_since {
                found.add(&M21, || {
                    format!("SELECT {sw} after a script that was refused")
                });
            }
            self.by_script = false;
        }
        self.open = Some(open);
        self.refused_since = false;
    }

    pub(super) fn watch_cryptogram(&self, kind: Kind, found: &mut Findings) {
        if self.open == Some(false) && kind != Kind::Aac {
            found.add(&M22, || format!("{kind:?} of a blocked application"));
        }
    }

    pub(super) fn watch_proof(&self, found: &mut Findings) {
        if self.open == Some(false) {
            found.add(&M22, || "a blocked application proves itself".to_owned());
        }
    }
}

/// What scripts leave to be told.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Marks {
    /// One failed, and no answer of the issuer may have cleared that since.
    failed: bool,
}

impl Marks {
    /// The first cryptogram of a payment.
    pub(super) fn watch_first(self, is_told: bool, found: &mut Findings) {
        if self.failed && !is_told {
            found.add(&M21, || "a script that failed is not told".to_owned());
        }
    }

    pub(super) fn may_be_cleared(&mut self) {
        self.failed = false;
    }
}

impl Payments<'_> {
    /// A command of a script.
    pub(super) fn scripted(&mut self, turn: &Turn<'_>, end: End, found: &mut Findings) {
        let ins = turn.command.ins;
        match end {
            End::Done => {
                self.watch_mac(turn, found);
                self.carried_out(turn, found);
            }
            End::Refused(Sw::SM_OBJECT_WRONG | Sw::WRONG_LENGTH) => {
                self.elements.script_refused();
                self.life.refused_since = true;
                // At another time it is no script.
                if self.transaction.first.is_some_and(|first| first.asks) {
                    self.marks.failed = true;
                }
            }
            End::Refused(_) => {}
            End::Lost => {
                match ins {
                    0x16 | 0x18 | 0x1E => self.life.open = None,
                    0x24 => self.elements.may_change(&[Element::TRIES]),
                    0xDC => self
                        .records
                        .may_change(turn.command.p2 >> 3, turn.command.p1),
                    _ => {
                        let tag = u16::from_be_bytes([turn.command.p1, turn.command.p2]);
                        self.elements.set(tag, None);
                        self.elements.may_change(&[Element::AVAILABLE]);
                        self.put(tag, None, found);
                    }
                }
                self.lists.cdol1 = None;
                self.lists.cdol2 = None;
            }
        }
    }

    /// Whether a script that was done had the right MAC.
    fn watch_mac(&self, turn: &Turn<'_>, found: &mut Findings) {
        let command = &turn.command;
        let first = self.transaction.first;
        let (Some(keys), Some(first)) = (&self.keys, first) else {
            return;
        };
        let Some(cryptogram) = first.cryptogram else {
            return;
        };
        let Some((data, mac)) = command.data.split_last_chunk::<4>() else {
            found.add(&M21, || "a script without a MAC was done".to_owned());
            return;
        };
        let Ok(lc) = u8::try_from(command.data.len()) else {
            return;
        };
        let class = command.class.base();
        let header = [class, command.ins, command.p1, command.p2, lc];
        let Some(algorithm) = first.algorithm else {
            return;
        };
        let macs = session(&keys.set(algorithm).macs, first.atc);
        let right = pboc::script_mac(&macs, header, first.atc, cryptogram, data);
        if right != *mac {
            let [mac, right] = [*mac, right].map(hex::encode_upper);
            found.add(&M21, || {
                format!("a script with the MAC {mac}, not {right}, was done")
            });
        }
    }

    fn carried_out(&mut self, turn: &Turn<'_>, found: &mut Findings) {
        let command = &turn.command;
        let value = command.data.split_last_chunk::<4>().map(|(value, _)| value);
        match command.ins {
            0x16 => {
                self.life.ended = true;
                self.life.open = None;
            }
            0x18 => self.life.set(true),
            0x1E => self.life.set(false),
            0x24 => self.elements.may_change(&[Element::TRIES]),
            0xDC => {
                self.records.may_change(command.p2 >> 3, command.p1);
                if let Some(record) = value {
                    self.lists.take_record(record);
                }
            }
            _ => {
                let tag = u16::from_be_bytes([command.p1, command.p2]);
                self.elements.set(tag, value);
                self.elements.may_change(&[Element::AVAILABLE]);
                self.put(tag, value, found);
            }
        }
    }
}

/// GET DATA tells another value, though nothing but a script that was refused came in
/// between.
#[cold]
pub(super) fn changed(tag: u16, value: &[u8], found: &mut Findings) {
    let value = hex::encode_upper(value);
    found.add(&M21, || {
        format!("{tag:X} is {value} after a script that was refused, and was not before")
    });
}
