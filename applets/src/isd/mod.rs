//! The issuer security domain: applets, the card's life, the secure channel.
//!
//! | CLA   | INS | P1 P2 | command                                     | answers |
//! |-------|-----|-------|---------------------------------------------|---------|
//! | 00    | A4  | 04 00 | SELECT                                      | FCI     |
//! | 80    | 50  | XX 00 | INITIALIZE UPDATE                           | 28 bytes |
//! | 84    | 82  | XX 00 | EXTERNAL AUTHENTICATE, level 00, 01 or 03   | nothing |
//! | 80 84 | E6  | 0C 00 | INSTALL for install and make selectable     | '00'    |
//! | 80 84 | E4  | 00 XX | DELETE of an applet                         | '00'    |
//! | 80 84 | DA  | 5F 51 | PUT DATA: the ATR                           | nothing |
//! | 80 84 | DA  | 00 4F | PUT DATA: the name of the domain            | nothing |
//! | 80 84 | DA  | 00 CF | PUT DATA: what its keys are diversified by, 10 bytes | nothing |
//! | 80 84 | D8  | XX 81 | PUT KEY: all three keys                     | version, check values |
//! | 80 84 | F0  | 80 XX | SET STATUS of the card                      | nothing |
//! | 80 84 | F0  | 40 XX | SET STATUS of an applet: '80' lock, '00' unlock | nothing |
//!
//! Until the card is SECURED these work in the clear, as at a card maker's, but for PUT
//! KEY; from then on they ask for a session with at least a MAC. While a session is open,
//! every command must be as its level asks.
//!
//! The order of checks: CLA '6E00', INS '6D00', P1-P2 '6A86', security '6982',
//! data '6A80' and '6700', then the card's own: '6A88' no such module or applet, '6985'
//! a name or a life cycle that is taken, an applet at work, '6A84' no room.
//!
//! Source: GlobalPlatform Card Specification 2.3.1, 11.2 (DELETE), 11.5 (INSTALL), 11.8
//! (PUT KEY), 11.9 (SELECT), 11.10 (SET STATUS), annex E (SCP02); data object '5F51' of
//! ISO/IEC 7816-4:2020, 12.2.2.

mod channel;
mod command;

use cardlab::aid::Aid;
use cardlab::apdu::{Command, Sw};
use cardlab::applet::{Applet, CardLifeCycle, Ctx, Deed, Install, Module, Outcome, Plan, Reply};
use cardlab::secure::scp02::Level;
use cardlab::tag;
use cardlab::tlv::Writer;
use channel::Channel;
use command::{Intent, Opening};

/// The load file of the issuer domain.
const LOAD_FILE: Aid = Aid::constant(&[0xA0, 0x00, 0x00, 0x01, 0x51]);
/// Its module and its only instance.
pub const AID: Aid = Aid::constant(&[0xA0, 0x00, 0x00, 0x01, 0x51, 0x00, 0x00, 0x00]);

/// The module.
pub const MODULE: Module = Module::of::<IssuerDomain>(LOAD_FILE, AID);

/// The greatest data field that it takes.
const BLOCK_LEN_MAX: u8 = 0xFF;

/// The applet.
#[derive(Debug)]
pub struct IssuerDomain {
    channel: Channel,
}

impl IssuerDomain {
    /// The plain data of a command, as far as security lets it pass.
    ///
    /// # Errors
    /// '6982'.
    fn admit(&self, ctx: &mut Ctx<'_>, command: &Command<'_>) -> Result<Vec<u8>, Sw> {
        let level = self.channel.level(ctx);
        let secured = ctx.card_life_cycle() >= CardLifeCycle::Secured;
        match level {
            Some(level) if !secured || level.contains(Level::C_MAC) => {
                self.channel.unwrap(ctx, command)
            }
            None if !secured && !command::is_wrapped(command) => Ok(command.data.to_vec()),
            _ => Err(Sw::SECURITY_NOT_SATISFIED),
        }
    }
}

impl Applet for IssuerDomain {
    fn select(&self, ctx: &mut Ctx<'_>, _: &Command<'_>) -> Outcome {
        let name = ctx.name().unwrap_or(AID);
        let mut fci = [0; 32];
        let mut writer = Writer::fixed(&mut fci);
        writer.nested(tag!(0x6F), |writer| {
            writer
                .object(tag!(0x84), name.as_bytes())
                .nested(tag!(0xA5), |writer| {
                    writer.object(tag!(0x9F65), &[BLOCK_LEN_MAX]);
                });
        });
        let len = writer.finish().map_err(|_| Sw::NO_DIAGNOSIS)?;
        ctx.answer(fci.get(..len).unwrap_or_default());
        Ok(Reply::OK)
    }

    fn process(&self, ctx: &mut Ctx<'_>, command: &Command<'_>) -> Outcome {
        if command::is_select_by_name(command) {
            // It comes here where no applet of the card has the name.
            return Err(Sw::FILE_NOT_FOUND);
        }
        if command::is_opening(command.ins) {
            let answer = self.channel.process(ctx, &Opening::try_from(command)?)?;
            ctx.answer(&answer);
            return Ok(Reply::OK);
        }
        command::check_header(command)?;
        let data = self.admit(ctx, command)?;
        let plain = Command {
            data: &data,
            ..*command
        };
        match Intent::try_from(&plain)? {
            Intent::Install(install) => {
                ctx.request(install.deed()?)?;
                // No confirmation follows: its length is 0.
                ctx.answer(&[0x00]);
            }
            Intent::Delete { instance } => {
                ctx.request(Deed::Delete { instance })?;
                ctx.answer(&[0x00]);
            }
            Intent::PutAtr { atr } => ctx.request(Deed::SetAtr(atr.to_vec()))?,
            Intent::PutName { aid } => ctx.request(Deed::NameIssuerDomain(aid))?,
            Intent::PutDiversification(data) => self.channel.set_diversification(ctx, data),
            Intent::PutKeys(set) => self.channel.replace_keys(ctx, &set)?,
            Intent::SetCardLifeCycle(state) => ctx.request(Deed::SetCardLifeCycle(state))?,
            Intent::SetLocked { instance, locked } => {
                ctx.request(Deed::SetLocked { instance, locked })?;
            }
        }
        Ok(Reply::OK)
    }

    /// Answers the applets that it looks after: [`SecurityService`].
    ///
    /// [`SecurityService`]: cardlab::applet::SecurityService
    fn share(&self, ctx: &mut Ctx<'_>, _: &Aid, service: u8, data: &mut [u8]) -> Result<usize, Sw> {
        self.channel.serve(ctx, service, data)
    }
}

impl Install for IssuerDomain {
    fn attach(plan: &mut Plan) -> IssuerDomain {
        IssuerDomain {
            channel: Channel::attach(plan),
        }
    }

    fn install(&self, ctx: &mut Ctx<'_>, _: &[u8]) -> Result<(), Sw> {
        self.channel.install(ctx);
        Ok(())
    }
}
