//! Records and signatures. M23, and with what is signed M20.

use super::super::catalogue::{M20, M23};
use super::super::{Findings, Turn};
use super::cryptogram::Given;
use super::{End, Payments};
use crate::bank::chain::PublicKey;
use crate::bank::cryptogram::besides_the_signature;
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
            let number = turn.command.data;
            self.records.watch_signature(number, signature, found);
            let opened = self.signer().map(|key| key.open_dynamic(signature, number));
            if let Some(Err(wrong)) = opened {
                found.add(&M23, || wrong);
            }
        }
    }

    /// The card's key in this payment, where it is known.
    fn signer(&self) -> Option<&PublicKey> {
        let set = self.transaction.set?;
        self.signers.iter().find(|key| key.set() == set)
    }

    /// A cryptogram in a signature; what it is, where that can be told.
    pub(super) fn watch_combined(
        &mut self,
        turn: &Turn<'_>,
        given: &Given<'_>,
        signature: &[u8],
        found: &mut Findings,
    ) -> Option<[u8; 8]> {
        let data = turn.command.data;
        let told = self.told_with(data, given.is_second)?;
        let number = told.value(0x9F37)?.to_vec();
        self.records.watch_signature(&number, signature, found);
        let key = self.signer().filter(|_| given.is_followed)?;
        let combined = match key.open_combined(signature, &number) {
            Ok(combined) => combined,
            Err(wrong) => {
                found.add(&M23, || wrong);
                return None;
            }
        };
        let answered = &given.answered;
        if (combined.atc, combined.cid) != (answered.atc.to_be_bytes(), answered.cid) {
            found.add(&M20, || {
                "another counter or kind in a signature than outside".to_owned()
            });
        }
        let template = tlv::find(turn.data?, &[tag!(0x77)]).ok().flatten()?;
        let others = besides_the_signature(template);
        let payment = &self.transaction;
        let lists: [&[u8]; 2] = if given.is_second {
            [&payment.cdol1_data, data]
        } else {
            [data, &[]]
        };
        let [first, second] = lists;
        if key.hash(&[&payment.pdol_data, first, second, &others]) != combined.hash {
            found.add(&M20, || "a signature over another payment".to_owned());
        }
        Some(combined.cryptogram)
    }
}
