//! The logs: of transactions, and of loads of e-cash.
//!
//! A log is a ring of records, the newest one first; a record is the values of its
//! format and nothing else. That of a load has before them the tag that was written,
//! the old balance and the new one. Its place and its size stand in the FCI ('9F4D',
//! 'DF4D': file and number of records), its format in '9F4F' and 'DF4F'.
//!
//! Source: JR/T 0025.5, transaction log, and 0025.13, load log, by public material; EMV
//! 4.3 Book 3, annex D.

use super::Debit;
use super::cryptogram::Told;
use super::data::{Amount, Elements, name};
use cardlab::apdu::Sw;
use cardlab::applet::{Ctx, Nv, Outcome, Plan, Reply};
use cardlab::tlv::{Dol, Format, Value};

/// Tag, old balance, new balance.
const LOAD_HEAD_LEN: usize = 14;
/// A record at most.
const RECORD_LEN_MAX: usize = 255;

/// One log.
#[derive(Debug)]
pub(super) struct Log {
    /// The element that says where it is.
    entry: u16,
    /// The element that says what is in it.
    format: u16,
    head_len: usize,
    /// The place that the next record takes, and how many places are taken.
    next: Nv<u8>,
    filled: Nv<u8>,
}

impl Log {
    pub(super) fn of_transactions(plan: &mut Plan) -> Log {
        Log {
            entry: name::TAG_9F4D_LOG,
            format: name::TAG_9F4F_LOG_FORMAT,
            head_len: 0,
            next: plan.nv(),
            filled: plan.nv(),
        }
    }

    pub(super) fn of_loads(plan: &mut Plan) -> Log {
        Log {
            entry: name::TAG_DF4D_LOAD_LOG,
            format: name::TAG_DF4F_LOAD_LOG_FORMAT,
            head_len: LOAD_HEAD_LEN,
            next: plan.nv(),
            filled: plan.nv(),
        }
    }

    /// The file and how many records it has; `None` where there is no log.
    fn place(&self, ctx: &Ctx<'_>, elements: &Elements) -> Option<(u8, u8)> {
        let [sfi, records] = elements.array(ctx, self.entry)?;
        (records > 0 && elements.has(ctx, self.format)).then_some((sfi, records))
    }

    fn record_len(&self, ctx: &Ctx<'_>, elements: &Elements) -> Option<u32> {
        let format = elements.value(ctx, self.format)?;
        let len = self.head_len + Dol::parse(&format).ok()?.filled_len();
        u32::try_from(len)
            .ok()
            .filter(|_| (1..=RECORD_LEN_MAX).contains(&len))
    }

    /// Makes room for its records, once all is personalised.
    ///
    /// # Errors
    /// '6A80' where its file is none for logs or its format is none, '6A84'.
    pub(super) fn create(&self, ctx: &mut Ctx<'_>, elements: &Elements) -> Result<(), Sw> {
        let Some((sfi, records)) = self.place(ctx, elements) else {
            return Ok(());
        };
        if !super::personalise::is_log_file(sfi) {
            return Err(Sw::WRONG_DATA);
        }
        let len = self.record_len(ctx, elements).ok_or(Sw::WRONG_DATA)?;
        elements.reserve(ctx, u16::from(sfi) << 8, u32::from(records) * len)
    }

    /// Adds a record in place of the oldest; nothing where there is no log.
    fn append(
        &self,
        ctx: &mut Ctx<'_>,
        elements: &Elements,
        head: &[u8],
        told: &Told<'_>,
        atc: u16,
    ) -> Result<(), Sw> {
        let (Some((sfi, records)), Some(format)) =
            (self.place(ctx, elements), elements.value(ctx, self.format))
        else {
            return Ok(());
        };
        let dol = Dol::parse(&format).map_err(|_| Sw::NO_DIAGNOSIS)?;
        let (atc, mut record) = (atc.to_be_bytes(), [0; RECORD_LEN_MAX]);
        let (start, rest) = record
            .split_at_mut_checked(head.len())
            .ok_or(Sw::NO_DIAGNOSIS)?;
        start.copy_from_slice(head);
        let filled = dol.fill(rest, |tag| {
            let tag = u16::try_from(tag.value()).ok()?;
            let bytes = match tag {
                name::TAG_9F36_ATC => Some(&atc[..]),
                tag => told.value(tag),
            };
            Some(Value {
                format: Format::Other,
                bytes: bytes?,
            })
        });
        let len = head.len() + filled.ok_or(Sw::NO_DIAGNOSIS)?;
        let (object, _) = elements
            .find(ctx, u16::from(sfi) << 8)
            .ok_or(Sw::NO_DIAGNOSIS)?;
        let at = ctx.get(&self.next);
        let offset = u32::from(at) * u32::try_from(len).map_err(|_| Sw::NO_DIAGNOSIS)?;
        ctx.write(object, offset, record.get(..len).unwrap_or_default());
        ctx.set(&self.next, if at + 1 == records { 0 } else { at + 1 });
        let filled = ctx.get(&self.filled);
        ctx.set(&self.filled, filled.saturating_add(1).min(records));
        Ok(())
    }

    /// READ RECORD of this log; `None` where the file is not its own.
    fn read(
        &self,
        ctx: &mut Ctx<'_>,
        elements: &Elements,
        file: u8,
        number: u8,
    ) -> Option<Outcome> {
        let (sfi, records) = self.place(ctx, elements)?;
        if sfi != file {
            return None;
        }
        let len = self.record_len(ctx, elements)?;
        let (object, _) = elements.find(ctx, u16::from(sfi) << 8)?;
        if number == 0 || number > ctx.get(&self.filled) {
            return Some(Err(Sw::RECORD_NOT_FOUND));
        }
        let back = u16::from(ctx.get(&self.next)) + u16::from(records) - u16::from(number);
        let at = u32::from(back % u16::from(records));
        ctx.answer_from(object, at * len, len);
        Some(Ok(Reply::OK))
    }
}

impl Debit {
    /// READ RECORD of a log; `None` where the file is none.
    pub(super) fn read_log(&self, ctx: &mut Ctx<'_>, sfi: u8, number: u8) -> Option<Outcome> {
        let read = self.payments.read(ctx, &self.elements, sfi, number);
        read.or_else(|| self.loads.read(ctx, &self.elements, sfi, number))
    }

    pub(super) fn log_transaction(&self, ctx: &mut Ctx<'_>, told: &Told<'_>) -> Result<(), Sw> {
        let atc = ctx.get(&self.transaction.atc);
        self.payments.append(ctx, &self.elements, &[], told, atc)
    }

    /// Logs that the balance of a tag was loaded.
    pub(super) fn log_load(
        &self,
        ctx: &mut Ctx<'_>,
        tag: u16,
        old: Amount,
        new: Amount,
    ) -> Result<(), Sw> {
        let mut head = [0; LOAD_HEAD_LEN];
        head[..2].copy_from_slice(&tag.to_be_bytes());
        head[2..8].copy_from_slice(&old.to_bcd());
        head[8..].copy_from_slice(&new.to_bcd());
        let (first, first_len) = self.transaction.cdol1.get(ctx);
        let (given, given_len) = self.transaction.pdol.get(ctx);
        let cdol1 = self.value_or_empty(ctx, name::TAG_8C_CDOL1);
        let pdol = self.value_or_empty(ctx, name::TAG_9F38_PDOL);
        let told = Told([
            (&cdol1, first.get(..first_len).unwrap_or_default()),
            (&pdol, given.get(..given_len).unwrap_or_default()),
            (&[], &[]),
        ]);
        let atc = ctx.get(&self.transaction.atc);
        self.loads.append(ctx, &self.elements, &head, &told, atc)
    }
}
