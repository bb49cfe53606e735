//! Records and signatures. M23.

use super::super::catalogue::M23;
use super::super::{Findings, Turn};
use super::cryptogram::Given;
use super::{End, Payments};
use crate::bank::cryptogram::Made;
use cardlab::apdu::Sw;
use cardlab::tag;
use cardlab::tlv;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

/// Files of records of the payment system; those above are logs.
const FILES_OF_RECORDS: std::ops::RangeInclusive<u8> = 1..=10;

/// What stands for bytes that are only compared.
fn digest(bytes: &[u8]) -> u64 {
    let mut hasher = DefaultHasher::new();
    bytes.hash(&mut hasher);
    hasher.finish()
}

/// What was read and what was signed.
#[derive(Clone, Debug, Default)]
pub(super) struct Records {
    /// File, number, what is in it.
    read: Vec<(u8, u8, u64)>,
    /// The last signature: over which data of the terminal, and what it is.
    signed: Option<(u64, u64)>,
}

impl Records {
    pub(super) fn may_change(&mut self, file: u8, number: u8) {
        self.read
            .retain(|(of, index, _)| (*of, *index) != (file, number));
    }

    fn watch_signature(&mut self, terminal: &[u8], signature: &[u8], found: &mut Findings) {
        let (terminal, signature) = (digest(terminal), digest(signature));
        if let Some((other, before)) = self.signed
            && before == signature
            && other != terminal
        {
            found.add(&M23, || "the same signature over another number".to_owned());
        }
        self.signed = Some((terminal, signature));
    }
}

impl Payments<'_> {
    /// READ RECORD.
    pub(super) fn read(&mut self, turn: &Turn<'_>, end: End, found: &mut Findings) {
        let command = &turn.command;
        let (file, number) = (command.p2 >> 3, command.p1);
        let is_plain = command.p2 & 7 == 4 && command.data.is_empty() && command.ne > 0;
        if !is_plain {
            return;
        }
        match end {
            End::Done => {
                let record = turn.data.unwrap_or_default();
                if self.lists.log == Some(file) {
                    if number == 1 {
                        self.watch_log(record, found);
                    }
                } else if FILES_OF_RECORDS.contains(&file) {
                    self.lists.take_record(record);
                    self.watch_record(file, number, record, found);
                }
            }
            // A wrong Le of a reader, or an application that is over.
            End::Refused(Sw::WRONG_LENGTH | Sw::NOT_SUPPORTED) | End::Lost => {}
            End::Refused(sw) => {
                if self.transaction.locates(file, number) {
                    found.add(&M23, || {
                        format!("{sw} for record {number} of file {file}, which the locator names")
                    });
                }
            }
        }
    }

    fn watch_record(&mut self, file: u8, number: u8, record: &[u8], found: &mut Findings) {
        let now = digest(record);
        let is_it = |(of, index, _): &&mut (u8, u8, u64)| (*of, *index) == (file, number);
        match self.records.read.iter_mut().find(is_it) {
            None => self.records.read.push((file, number, now)),
            Some((.., before)) => {
                if *before != now {
                    found.add(&M23, || {
                        format!("record {number} of file {file} is another than before")
                    });
                }
                *before = now;
            }
        }
    }

    /// INTERNAL AUTHENTICATE.
    pub(super) fn proved(&mut self, turn: &Turn<'_>, end: End, found: &mut Findings) {
        if end != End::Done {
            return;
        }
        self.life.watch_proof(found);
        let answer = turn.data.unwrap_or_default();
        let of = |path| tlv::find(answer, path).ok().flatten();
        let signature = of(&[tag!(0x80)]).or_else(|| of(&[tag!(0x77), tag!(0x9F4B)]));
        if let Some(signature) = signature {
            self.records
                .watch_signature(turn.command.data, signature, found);
        }
    }

    /// A cryptogram in a signature.
    pub(super) fn watch_combined(
        &mut self,
        turn: &Turn<'_>,
        given: &Given<'_>,
        found: &mut Findings,
    ) {
        let Made::Signed(signature) = given.answered.made else {
            return;
        };
        let told = self.told_with(turn.command.data, given.is_second);
        let number = told.and_then(|told| told.value(0x9F37)).map(<[u8]>::to_vec);
        if let Some(number) = number {
            self.records.watch_signature(&number, signature, found);
        }
    }
}
