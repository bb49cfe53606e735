//! Issuer scripts: what the bank changes on the card over the terminal's head.
//!
//! | CLA INS | command             | data                                   |
//! |---------|---------------------|----------------------------------------|
//! | 84 1E   | APPLICATION BLOCK   | MAC                                    |
//! | 84 18   | APPLICATION UNBLOCK | MAC; activates the application, too    |
//! | 84 16   | CARD BLOCK          | MAC                                    |
//! | 84 24   | PIN CHANGE/UNBLOCK  | P2 00: MAC; 01, 02: enciphered PIN, MAC |
//! | 04 DA   | PUT DATA            | value, MAC                             |
//! | 04 DC   | UPDATE RECORD       | record, MAC                            |
//!
//! The checks, in this order: the time '6985', the length '6700', the MAC '6988', then
//! what the command asks for. Scripts are taken after a first cryptogram that asks the
//! issuer, before and after the second one; not once EXTERNAL AUTHENTICATE failed, and
//! not after a wrong MAC. After any other first cryptogram only the two commands that
//! unblock are taken, while there is something to unblock.
//!
//! A command with a MAC counts once the second cryptogram was given; that one failed,
//! by length, MAC or what it asks for, is marked at any time. Both survive its refusal
//! and any loss of power.
//!
//! CARD BLOCK ends the card's life where the applet was installed with the privilege
//! for that; with the privilege to lock the card it locks it; with none it ends this
//! application alone. So the composite card's owners settle it at installation.
//!
//! Source: JR/T 0025.5, issuer script commands, by public material; EMV 4.3 Book 3,
//! 6.5.1 to 6.5.3, 6.5.10 and 10.10.

use super::Debit;
use super::command::{Action, Sealed};
use super::cryptogram::Purpose;
use super::data::{self, Amount, Switches, name};
use super::state::{Events, Life, Phase};
use cardlab::apdu::Sw;
use cardlab::applet::{CardLifeCycle, Ctx, Deed, Outcome, Reply};
use cardlab::crypto::{equal, pboc};
use zeroize::Zeroize;

impl Debit {
    /// An issuer script command; `sealed` is absent where its length is wrong.
    ///
    /// # Errors
    /// '6985', '6700', '6988', then those of the command.
    pub(super) fn script(
        &self,
        ctx: &mut Ctx<'_>,
        action: Action,
        sealed: Option<&Sealed<'_>>,
    ) -> Outcome {
        if !self.takes_script(ctx, action) {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        let done = match sealed {
            None => Err(Sw::WRONG_LENGTH),
            Some(sealed) => {
                if self.transaction.phase(ctx) == Phase::Completed {
                    self.ledger.scripts.set(ctx);
                }
                self.unseal(ctx, sealed)
                    .and_then(|()| self.carry_out(ctx, action, sealed.data))
            }
        };
        if done.is_err() {
            self.ledger.script_failed.set(ctx);
            self.transaction.note(ctx, Events::SCRIPT_FAILED);
        }
        done.map(|()| Reply::OK)
    }

    fn takes_script(&self, ctx: &Ctx<'_>, action: Action) -> bool {
        let events = self.transaction.events(ctx);
        if events.intersects(Events::SCRIPTS_CLOSED | Events::ISSUER_FAILED) {
            return false;
        }
        match self.transaction.phase(ctx) {
            Phase::Online | Phase::Completed => true,
            Phase::Over => {
                let unblocks = matches!(action, Action::UnblockApplication | Action::UnblockPin);
                unblocks && (!self.is_active(ctx) || self.pin_is_blocked(ctx))
            }
            Phase::Selected | Phase::Initiated | Phase::Proven => false,
        }
    }

    fn unseal(&self, ctx: &mut Ctx<'_>, sealed: &Sealed<'_>) -> Result<(), Sw> {
        let session = self.session(ctx, Purpose::Macs)?;
        let atc = ctx.get(&self.transaction.atc);
        let first = ctx.get(&self.transaction.cryptogram);
        let right = pboc::script_mac(&session, sealed.header, atc, first, sealed.data);
        if equal(&right, &sealed.mac) {
            return Ok(());
        }
        self.transaction.note(ctx, Events::SCRIPTS_CLOSED);
        Err(Sw::SM_OBJECT_WRONG)
    }

    fn carry_out(&self, ctx: &mut Ctx<'_>, action: Action, data: &[u8]) -> Result<(), Sw> {
        match action {
            Action::BlockApplication => self.ledger.set_life(ctx, Life::Blocked),
            Action::UnblockApplication => self.ledger.set_life(ctx, Life::Active),
            Action::BlockCard => self.block_card(ctx),
            Action::UnblockPin => {
                self.must_have_pin(ctx)?;
                self.pin.unblock(ctx);
            }
            Action::ChangePin { bound } => self.change_pin(ctx, bound, data)?,
            Action::PutData { tag } => self.put_data(ctx, tag, data)?,
            Action::UpdateRecord { sfi, number } => self.update_record(ctx, sfi, number, data)?,
        }
        Ok(())
    }

    fn block_card(&self, ctx: &mut Ctx<'_>) {
        let end = |state| Deed::SetCardLifeCycle(state);
        let asked = ctx
            .request(end(CardLifeCycle::Terminated))
            .or_else(|_| ctx.request(end(CardLifeCycle::Locked)));
        if asked.is_err() {
            self.ledger.set_life(ctx, Life::Ended);
        }
    }

    fn must_have_pin(&self, ctx: &Ctx<'_>) -> Result<(), Sw> {
        if self.pin.limit(ctx) > 0 {
            Ok(())
        } else {
            Err(Sw::REFERENCE_DATA_NOT_FOUND)
        }
    }

    /// PIN CHANGE: all tries come back with the new PIN.
    ///
    /// # Errors
    /// '6A88' where there is no PIN, '6A80' where what was enciphered is none.
    fn change_pin(&self, ctx: &mut Ctx<'_>, bound: bool, data: &[u8]) -> Result<(), Sw> {
        self.must_have_pin(ctx)?;
        let enciphered = data.try_into().map_err(|_| Sw::WRONG_LENGTH)?;
        let session = self.session(ctx, Purpose::Enciphering)?;
        let card = self.card_key(ctx, Purpose::Enciphering)?;
        let mut present = self.pin.expose(ctx);
        let bound_to = present.first_chunk().filter(|_| bound);
        let opened = pboc::open_pin_block(&card, &session, enciphered, bound_to);
        present.zeroize();
        let mut new = opened.ok_or(Sw::WRONG_DATA)?;
        let replaced = self.pin.replace(ctx, &new);
        new.zeroize();
        if replaced {
            Ok(())
        } else {
            Err(Sw::WRONG_DATA)
        }
    }

    /// PUT DATA; a balance of e-cash is loaded by it.
    ///
    /// # Errors
    /// '6A80' where the tag is none that can be put, the value is none of it, or is a
    /// balance above its limit; for the second currency that is '6985' (by switch
    /// '6A80'). '6A88' where the card has no such element.
    fn put_data(&self, ctx: &mut Ctx<'_>, tag: u16, value: &[u8]) -> Result<(), Sw> {
        if !data::takes(tag, value) {
            return Err(Sw::WRONG_DATA);
        }
        if !self.elements.has(ctx, tag) {
            return Err(Sw::REFERENCE_DATA_NOT_FOUND);
        }
        let above = self.setup.is_on(ctx, Switches::SECOND_BALANCE_IS_DATA);
        let limit = match tag {
            name::TAG_9F79_BALANCE => Some((name::TAG_9F77_BALANCE_LIMIT, Sw::WRONG_DATA)),
            name::TAG_DF79_SECOND_BALANCE if above => {
                Some((name::TAG_DF77_SECOND_BALANCE_LIMIT, Sw::WRONG_DATA))
            }
            name::TAG_DF79_SECOND_BALANCE => {
                Some((name::TAG_DF77_SECOND_BALANCE_LIMIT, Sw::CONDITIONS_NOT_MET))
            }
            _ => None,
        };
        if let Some((limit, refusal)) = limit {
            let new = Amount::from_bcd(value).ok_or(Sw::WRONG_DATA)?;
            let limit = self.elements.amount(ctx, limit);
            if limit.is_some_and(|limit| new > limit) {
                return Err(refusal);
            }
            let old = self.elements.amount(ctx, tag).unwrap_or(Amount::ZERO);
            self.log_load(ctx, tag, old, new)?;
        }
        self.elements.put(ctx, tag, value)
    }

    /// UPDATE RECORD of a file; logs are the card's own.
    ///
    /// # Errors
    /// '6A83' where there is no such record or the new one has no room in it, '6A80'
    /// where it is not the template '70'.
    fn update_record(
        &self,
        ctx: &mut Ctx<'_>,
        sfi: u8,
        number: u8,
        record: &[u8],
    ) -> Result<(), Sw> {
        let name = u16::from_be_bytes([sfi, number]);
        let room = self
            .elements
            .find(ctx, name)
            .map(|(object, _)| object.len());
        let len = u32::try_from(record.len()).unwrap_or(u32::MAX);
        if room.is_none_or(|room| len > room) {
            return Err(Sw::RECORD_NOT_FOUND);
        }
        self.store_record(ctx, name, record)
    }
}
