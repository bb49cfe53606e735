//! The issuer security domain: installs applets and leads the card's life.
//!
//! | CLA | INS | P1 P2 | command                                     | answers |
//! |-----|-----|-------|---------------------------------------------|---------|
//! | 00  | A4  | 04 00 | SELECT                                      | FCI     |
//! | 80  | E6  | 0C 00 | INSTALL for install and make selectable     | '00'    |
//! | 80  | DA  | 5F 51 | PUT DATA: the ATR                           | nothing |
//! | 80  | F0  | 80 XX | SET STATUS of the card                      | nothing |
//! | 80  | F0  | 40 XX | SET STATUS of an applet: '80' lock, '00' unlock | nothing |
//!
//! Until the card is SECURED these work in the clear, as at a card maker's; from
//! then on they are refused with '6982', since they ask for a secure channel and
//! none can be opened.
//!
//! The order of checks: CLA '6E00', INS '6D00', P1-P2 '6A86', security '6982',
//! data '6A80', then the card's own: '6A88' no such module, '6985' a name or a life
//! cycle that is taken, '6A84' no room.
//!
//! Source: GlobalPlatform Card Specification 2.3.1, 11.5 (INSTALL), 11.10 (SET
//! STATUS), 11.9 (SELECT); data object '5F51' of ISO/IEC 7816-4:2020, 12.2.2.

mod command;

use cardlab::aid::Aid;
use cardlab::apdu::{Command, Sw};
use cardlab::applet::{Applet, CardLifeCycle, Ctx, Deed, Install, Module, Outcome, Plan, Reply};
use cardlab::tag;
use cardlab::tlv::Writer;
use command::Intent;

/// The load file of the issuer domain.
const LOAD_FILE: Aid = Aid::constant(&[0xA0, 0x00, 0x00, 0x01, 0x51]);
/// Its module and its only instance.
pub const AID: Aid = Aid::constant(&[0xA0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00, 0x00]);

/// The module.
pub const MODULE: Module = Module::of::<IssuerDomain>(LOAD_FILE, AID);

/// The greatest data field that it takes.
const BLOCK_LEN_MAX: u8 = 0xFF;

/// The applet; all its state is the card's own.
#[derive(Debug)]
pub struct IssuerDomain;

impl Applet for IssuerDomain {
    fn select(&self, ctx: &mut Ctx<'_>, _: &Command<'_>) -> Outcome {
        let mut fci = [0; 32];
        let mut writer = Writer::fixed(&mut fci);
        writer.nested(tag!(0x6F), |writer| {
            writer
                .object(tag!(0x84), AID.as_bytes())
                .nested(tag!(0xA5), |writer| {
                    writer.object(tag!(0x9F65), &[BLOCK_LEN_MAX]);
                });
        });
        let len = writer.finish().map_err(|_| Sw::NO_DIAGNOSIS)?;
        ctx.answer(fci.get(..len).unwrap_or_default());
        Ok(Reply::OK)
    }

    fn process(&self, ctx: &mut Ctx<'_>, command: &Command<'_>) -> Outcome {
        let intent = Intent::try_from(command)?;
        if ctx.card_life_cycle() >= CardLifeCycle::Secured {
            return Err(Sw::SECURITY_NOT_SATISFIED);
        }
        match intent {
            Intent::Install(install) => {
                ctx.request(install.deed()?)?;
                // No confirmation follows: its length is 0.
                ctx.answer(&[0x00]);
            }
            Intent::PutAtr { atr } => ctx.request(Deed::SetAtr(atr.to_vec()))?,
            Intent::SetCardLifeCycle(state) => ctx.request(Deed::SetCardLifeCycle(state))?,
            Intent::SetLocked { instance, locked } => {
                ctx.request(Deed::SetLocked { instance, locked })?;
            }
        }
        Ok(Reply::OK)
    }
}

impl Install for IssuerDomain {
    fn attach(_: &mut Plan) -> IssuerDomain {
        IssuerDomain
    }

    fn install(&self, _: &mut Ctx<'_>, _: &[u8]) -> Result<(), Sw> {
        Ok(())
    }
}
