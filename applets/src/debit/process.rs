//! GET PROCESSING OPTIONS, and what can be read: records and data elements.
//!
//! A transaction begins with GET PROCESSING OPTIONS, once for each SELECT. It counts at
//! once, before anything is answered, and no refusal or loss of power takes that back.
//!
//! A terminal that asks for the second set, 'DF69' 01, gets it as far as it was
//! personalised: SM4 alone, or with it the processing options of the path in that set
//! and SM2. The path is chosen by the same rules in both.
//!
//! Records can be read while the application is blocked: the bank has to know the
//! account to activate or unblock it.
//!
//! Source: JR/T 0025.5, GET PROCESSING OPTIONS, READ RECORD, GET DATA, by public
//! material; EMV 4.3 Book 3, 6.5.7, 6.5.8 and 6.5.11.

use super::Debit;
use super::data::{self, Switches, in_list, name};
use super::state::{Events, Phase};
use cardlab::apdu::Sw;
use cardlab::applet::{Ctx, Outcome, Reply};
use cardlab::tag;
use cardlab::tlv::{self, Dol, Tag, Writer};

/// Template '83': the values of the PDOL.
const TEMPLATE_83: u8 = 0x83;

impl Debit {
    /// GET PROCESSING OPTIONS: '80', the profile and the locator of the files.
    ///
    /// # Errors
    /// '6A80' where the data are not the template '83', '6700' (by switch '6A80') where
    /// its value is not as long as the PDOL asks for, '6985' where the transaction was
    /// begun already or the counter is at its end.
    pub(super) fn get_processing_options(&self, ctx: &mut Ctx<'_>, data: &[u8]) -> Outcome {
        let given = match *data {
            [TEMPLATE_83, len @ ..=0x7F, ref given @ ..] => (usize::from(len), given),
            [TEMPLATE_83, 0x81, len, ref given @ ..] => (usize::from(len), given),
            [TEMPLATE_83, ..] => (usize::MAX, data),
            _ => return Err(Sw::WRONG_DATA),
        };
        let list = self.value_or_empty(ctx, name::TAG_9F38_PDOL);
        let asked = Dol::parse(&list).map_err(|_| Sw::CONDITIONS_NOT_MET)?;
        let (len, given) = given;
        if len != given.len() || len != asked.filled_len() {
            let is_data = self.setup.is_on(ctx, Switches::PDOL_LENGTH_IS_DATA);
            return Err(if is_data {
                Sw::WRONG_DATA
            } else {
                Sw::WRONG_LENGTH
            });
        }
        let next = ctx.get(&self.ledger.atc).checked_add(1);
        let atc = next.ok_or(Sw::CONDITIONS_NOT_MET)?;
        if self.transaction.phase(ctx) != Phase::Selected {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        let path = self.path_for(ctx, &list, given);
        let wants_sm = in_list(&list, given, name::TAG_DF69_SM) == Some(&[0x01]);
        let by_sm4 = wants_sm && self.elements.has(ctx, name::DGI_8030_SM4_KEYS);
        let by_sm2 = by_sm4 && self.elements.has(ctx, path.sm_options());
        let options = if by_sm2 {
            path.sm_options()
        } else {
            path.options()
        };
        let options = self.element(ctx, options)?;
        let of = |tag| tlv::find(&options, &[tag]).ok().flatten();
        let aip = of(tag!(0x82)).and_then(|aip| aip.try_into().ok());
        let aip: [u8; 2] = aip.ok_or(Sw::CONDITIONS_NOT_MET)?;
        let afl = of(tag!(0x94)).ok_or(Sw::CONDITIONS_NOT_MET)?;

        self.transaction.pdol.put(ctx, given)?;
        ctx.set(&self.transaction.atc, atc);
        if !self.setup.is_on(ctx, Switches::COUNTS_AT_FIRST_AC) {
            self.count_transaction(ctx)?;
        }
        ctx.set(&self.transaction.aip, aip);
        self.transaction.set_path(ctx, path);
        if by_sm4 {
            self.transaction.note(ctx, Events::SM4);
        }
        if by_sm2 {
            self.transaction.note(ctx, Events::SM2);
        }
        self.transaction.set_phase(ctx, Phase::Initiated);
        let mut answer = [0; 260];
        let mut writer = Writer::fixed(&mut answer);
        writer.nested(tag!(0x80), |writer| {
            writer.raw(&aip).raw(afl);
        });
        let len = writer.finish().map_err(|_| Sw::NO_DIAGNOSIS)?;
        ctx.answer(answer.get(..len).unwrap_or_default());
        Ok(Reply::OK)
    }

    /// Makes the transaction's number the card's.
    ///
    /// # Errors
    /// '6985' where the card is past it.
    pub(super) fn count_transaction(&self, ctx: &mut Ctx<'_>) -> Result<(), Sw> {
        let atc = ctx.get(&self.transaction.atc);
        if atc < ctx.get(&self.ledger.atc) {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        ctx.set(&self.ledger.atc, atc);
        Ok(())
    }

    /// READ RECORD: of a file, or of a log.
    ///
    /// # Errors
    /// '6A82' where the file has no record at all, '6A83'.
    pub(super) fn read_record(&self, ctx: &mut Ctx<'_>, sfi: u8, number: u8) -> Outcome {
        if let Some(read) = self.read_log(ctx, sfi, number) {
            return read;
        }
        self.elements.answer_record(ctx, sfi, number)
    }

    /// GET DATA: tag, length and value. In a transaction of e-cash in the second
    /// currency its elements stand for those of the first.
    ///
    /// # Errors
    /// '6A88'.
    pub(super) fn get_data(&self, ctx: &mut Ctx<'_>, tag: u16) -> Outcome {
        let known = Tag::new(u32::from(tag)).ok_or(Sw::REFERENCE_DATA_NOT_FOUND)?;
        let mut answer = [0; 260];
        let mut writer = Writer::fixed(&mut answer);
        match tag {
            name::TAG_9F36_ATC => {
                writer.object(known, &ctx.get(&self.ledger.atc).to_be_bytes());
            }
            name::TAG_9F13_LAST_ONLINE_ATC => {
                let atc = ctx.get(&self.ledger.last_online_atc);
                writer.object(known, &atc.to_be_bytes());
            }
            name::TAG_9F17_PIN_TRIES if self.pin.limit(ctx) > 0 => {
                writer.object(known, &[self.pin.tries_left(ctx)]);
            }
            name::TAG_9F5D_AVAILABLE if self.elements.has(ctx, tag) => {
                writer.object(known, &self.available(ctx).to_bcd());
            }
            tag if data::is_readable(tag) => {
                let shown = self.transaction.path(ctx).element_for(tag);
                let value = self.elements.value(ctx, shown);
                writer.object(known, &value.ok_or(Sw::REFERENCE_DATA_NOT_FOUND)?);
            }
            _ => return Err(Sw::REFERENCE_DATA_NOT_FOUND),
        }
        let len = writer.finish().map_err(|_| Sw::NO_DIAGNOSIS)?;
        ctx.answer(answer.get(..len).unwrap_or_default());
        Ok(Reply::OK)
    }
}
