//! The payment system environment: the directory that a terminal reads first.
//!
//! | CLA   | INS | command     | answers                             |
//! |-------|-----|-------------|-------------------------------------|
//! | 00    | A4  | SELECT      | the FCI with the directory's file   |
//! | 00    | B2  | READ RECORD | an entry of the directory           |
//! | 80 84 | E2  | STORE DATA  | nothing; FCI and records come by it |
//!
//! The name of the instance says which one it is, `1PAY.SYS.DDF01` on contacts. FCI and
//! records come as they go to the bank applets, by the same data groupings.
//!
//! The order of checks: CLA '6E00', INS '6D00', P1-P2 '6A86', length '6700', the state
//! '6985', then the file '6A82' and the record '6A83'.
//!
//! Source: EMV 4.3 Book 1, 12.2 (PSE), 11.3 (SELECT).

use crate::debit::data::Elements;
use crate::debit::personalise::{Series, admit, opens_session, store_fci, store_record};
use crate::debit::{Block, Intent, answer_fci, check_wants_fci};
use cardlab::aid::Aid;
use cardlab::apdu::{Command, Sw};
use cardlab::applet::{Applet, Ctx, Install, Module, Nv, Outcome, Plan, Reply};

/// The name that terminals know it by on contacts.
pub const AID: Aid = Aid::constant(b"1PAY.SYS.DDF01");

/// The module, in the bank applets' load file.
pub const MODULE: Module = Module::of::<PaymentSystem>(
    crate::debit::LOAD_FILE,
    Aid::constant(&[0xA0, 0x00, 0x00, 0x03, 0x33, 0x01, 0x02]),
);

/// FCI for contacts.
const DGI_9102_FCI: u16 = 0x9102;
/// FCI for contactless readers.
const DGI_9103_FCI_CONTACTLESS: u16 = 0x9103;

/// The applet.
#[derive(Debug)]
pub struct PaymentSystem {
    elements: Elements,
    series: Series,
    is_personalised: Nv<bool>,
}

impl PaymentSystem {
    fn store_data(&self, ctx: &mut Ctx<'_>, command: &Command<'_>, block: &Block) -> Outcome {
        if ctx.get(&self.is_personalised) {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        let data = admit(ctx, command, block)?;
        self.series.take(
            ctx,
            block,
            &data,
            |ctx, number, data| match number {
                DGI_9102_FCI | DGI_9103_FCI_CONTACTLESS => {
                    store_fci(ctx, &self.elements, number, data)
                }
                _ => store_record(ctx, &self.elements, number, data),
            },
            |ctx| {
                if !self.elements.has(ctx, DGI_9102_FCI) {
                    return Err(Sw::CONDITIONS_NOT_MET);
                }
                ctx.set(&self.is_personalised, true);
                Ok(())
            },
        )
    }
}

impl Applet for PaymentSystem {
    fn select(&self, ctx: &mut Ctx<'_>, command: &Command<'_>) -> Outcome {
        check_wants_fci(command)?;
        answer_fci(ctx, &self.elements)?;
        Ok(Reply::OK)
    }

    fn process(&self, ctx: &mut Ctx<'_>, command: &Command<'_>) -> Outcome {
        if !ctx.get(&self.is_personalised) && opens_session(command) {
            return ctx.process_security(command);
        }
        let is_known = matches!(command.ins, 0xA4 | 0xB2 | 0xE2);
        match Intent::try_from(command) {
            Err(Sw::CLA_NOT_SUPPORTED) => Err(Sw::CLA_NOT_SUPPORTED),
            _ if !is_known => Err(Sw::INS_NOT_SUPPORTED),
            Err(sw) => Err(sw),
            Ok(Intent::SelectOther) => Err(Sw::FILE_NOT_FOUND),
            Ok(Intent::StoreData(ref block)) => self.store_data(ctx, command, block),
            Ok(_) if !ctx.get(&self.is_personalised) => Err(Sw::CONDITIONS_NOT_MET),
            Ok(Intent::ReadRecord { sfi, number }) => self.elements.answer_record(ctx, sfi, number),
            Ok(_) => Err(Sw::INS_NOT_SUPPORTED),
        }
    }
}

impl Install for PaymentSystem {
    fn attach(plan: &mut Plan) -> PaymentSystem {
        PaymentSystem {
            elements: Elements::attach(plan),
            series: Series::attach(plan),
            is_personalised: plan.nv(),
        }
    }

    fn install(&self, ctx: &mut Ctx<'_>, _: &[u8]) -> Result<(), Sw> {
        self.elements.install(ctx)
    }
}
