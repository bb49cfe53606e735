//! The secure channel of the domain: its keys, and one session a logical channel.
//!
//! A session is begun by INITIALIZE UPDATE, opened by the EXTERNAL AUTHENTICATE that
//! comes next, and over with the first command that is not as its level asks.
//!
//! Source: GlobalPlatform Card Specification 2.3.1, annex E.

use super::command::{KeySet, Opening};
use cardlab::apdu::{Command, SecureMessaging, Sw};
use cardlab::applet::{Ctx, Nv, Plan, SecurityService, Transient};
use cardlab::crypto::{Key, equal};
use cardlab::secure::scp02::{Level, PROTOCOL, SAVED_LEN, Session, StaticKeys};

/// The version number of the keys that a new card has.
const VERSION_INITIAL: u8 = 0xFF;
const KEY_LEN: usize = 16;
const KEY_SET_LEN: usize = 3 * KEY_LEN;

/// Where a session stands.
const PHASE_NONE: u8 = 0;
const PHASE_BEGUN: u8 = 1;
const PHASE_OPEN: u8 = 2;

/// The cells of keys and sessions.
#[derive(Debug)]
pub(super) struct Channel {
    keys: Nv<[u8; KEY_SET_LEN]>,
    version: Nv<u8>,
    /// How many sessions these keys opened.
    sequence: Nv<u16>,
    diversification: Nv<[u8; 10]>,
    phase: Transient<u8>,
    session: Transient<[u8; SAVED_LEN]>,
    /// The host's cryptogram that opens a session that is begun.
    expected: Transient<[u8; 8]>,
}

impl Channel {
    pub(super) fn attach(plan: &mut Plan) -> Channel {
        Channel {
            keys: plan.nv(),
            version: plan.nv(),
            sequence: plan.nv(),
            diversification: plan.nv(),
            phase: plan.transient_on_deselect(),
            session: plan.transient_on_deselect(),
            expected: plan.transient_on_deselect(),
        }
    }

    /// Gives a new card the keys that all new cards have.
    pub(super) fn install(&self, ctx: &mut Ctx<'_>) {
        self.put_keys(ctx, VERSION_INITIAL, &StaticKeys::initial());
    }

    fn put_keys(&self, ctx: &mut Ctx<'_>, version: u8, keys: &StaticKeys) {
        let mut bytes = [0; KEY_SET_LEN];
        let keys = [&keys.enc, &keys.mac, &keys.dek];
        for (to, key) in bytes.chunks_exact_mut(KEY_LEN).zip(keys) {
            to.copy_from_slice(key.expose());
        }
        ctx.set(&self.keys, bytes);
        ctx.set(&self.version, version);
        ctx.set(&self.sequence, 0);
    }

    fn static_keys(&self, ctx: &Ctx<'_>) -> StaticKeys {
        let bytes = ctx.get(&self.keys);
        let [enc, mac, dek] = *bytes.as_chunks::<KEY_LEN>().0 else {
            return StaticKeys::initial();
        };
        StaticKeys {
            enc: Key::triple_des(enc),
            mac: Key::triple_des(mac),
            dek: Key::triple_des(dek),
        }
    }

    /// Sets the data by which a host finds the card's keys.
    pub(super) fn set_diversification(&self, ctx: &mut Ctx<'_>, data: [u8; 10]) {
        ctx.set(&self.diversification, data);
    }

    /// The answer to INITIALIZE UPDATE or EXTERNAL AUTHENTICATE.
    ///
    /// # Errors
    /// Of the first: '6A88' for a key version that there is not. Of the second:
    /// '6985' where none is begun, '6300' for a wrong cryptogram, '6982' for a wrong
    /// MAC; the session is over.
    pub(super) fn process(&self, ctx: &mut Ctx<'_>, opening: &Opening<'_>) -> Result<Vec<u8>, Sw> {
        let phase = ctx.get(&self.phase);
        ctx.set(&self.phase, PHASE_NONE);
        match *opening {
            Opening::InitializeUpdate { version, host } => {
                if version != 0 && version != ctx.get(&self.version) {
                    return Err(Sw::REFERENCE_DATA_NOT_FOUND);
                }
                Ok(self.begin(ctx, host))
            }
            Opening::ExternalAuthenticate { level, p1, field } if phase == PHASE_BEGUN => {
                self.open(ctx, level, p1, field)?;
                Ok(Vec::new())
            }
            Opening::ExternalAuthenticate { .. } => Err(Sw::CONDITIONS_NOT_MET),
        }
    }

    fn begin(&self, ctx: &mut Ctx<'_>, host: [u8; 8]) -> Vec<u8> {
        let sequence = ctx.get(&self.sequence);
        let mut card = [0; 6];
        ctx.random(&mut card);
        let session = Session::new(&self.static_keys(ctx), sequence);
        let diversification = ctx.get(&self.diversification);
        let version = ctx.get(&self.version);
        ctx.set(
            &self.expected,
            session.host_cryptogram(host, sequence, card),
        );
        ctx.set(&self.session, session.save());
        ctx.set(&self.phase, PHASE_BEGUN);
        [
            &diversification[..],
            &[version, PROTOCOL],
            &sequence.to_be_bytes(),
            &card,
            &session.card_cryptogram(host, sequence, card),
        ]
        .concat()
    }

    fn open(&self, ctx: &mut Ctx<'_>, level: Level, p1: u8, field: &[u8; 16]) -> Result<(), Sw> {
        let mut session = Session::restore(&ctx.get(&self.session));
        let mut field = *field;
        let (cryptogram, _) = field.split_at(8);
        if !equal(cryptogram, &ctx.get(&self.expected)) {
            return Err(Sw::COMPARISON_FAILED);
        }
        let header = [0x84, 0x82, p1, 0x00];
        session
            .unwrap(Level::C_MAC, header, &mut field)
            .map_err(|_| Sw::SECURITY_NOT_SATISFIED)?;
        // The last number opens no session, so that none is used twice.
        let sequence = ctx.get(&self.sequence).checked_add(1);
        ctx.set(&self.sequence, sequence.ok_or(Sw::CONDITIONS_NOT_MET)?);
        session.set_level(level);
        ctx.set(&self.session, session.save());
        ctx.set(&self.phase, PHASE_OPEN);
        Ok(())
    }

    /// What the commands of the open session must have; `None` where none is open.
    pub(super) fn level(&self, ctx: &Ctx<'_>) -> Option<Level> {
        let is_open = ctx.get(&self.phase) == PHASE_OPEN;
        is_open.then(|| Session::restore(&ctx.get(&self.session)).level())
    }

    /// The plain data of a command that came through the open session.
    ///
    /// # Errors
    /// '6982' where none is open, or the command is not as its level asks; the
    /// session is over then.
    pub(super) fn unwrap(&self, ctx: &mut Ctx<'_>, command: &Command<'_>) -> Result<Vec<u8>, Sw> {
        let level = self.level(ctx).ok_or(Sw::SECURITY_NOT_SATISFIED)?;
        let has_mac = command.class.secure_messaging() == SecureMessaging::Proprietary;
        let mut session = Session::restore(&ctx.get(&self.session));
        let header = [command.class.byte(), command.ins, command.p1, command.p2];
        let mut field = command.data.to_vec();
        match session.unwrap(level, header, &mut field) {
            Ok(data) if has_mac != level.is_empty() => {
                let data = data.to_vec();
                ctx.set(&self.session, session.save());
                Ok(data)
            }
            _ => {
                ctx.set(&self.phase, PHASE_NONE);
                Err(Sw::SECURITY_NOT_SATISFIED)
            }
        }
    }

    /// Deciphers key data in place.
    ///
    /// # Errors
    /// '6982' where no session is open, '6A80' where they are not whole blocks.
    pub(super) fn decrypt(&self, ctx: &Ctx<'_>, data: &mut [u8]) -> Result<(), Sw> {
        self.level(ctx).ok_or(Sw::SECURITY_NOT_SATISFIED)?;
        let session = Session::restore(&ctx.get(&self.session));
        session.decrypt_data(data).map_err(|_| Sw::WRONG_DATA)
    }

    /// Replaces the keys, and answers with the version and the check values.
    ///
    /// # Errors
    /// '6982' where no session is open, '6A88' where the keys to be replaced are not
    /// there, '6A80' where a check value is not that of its key.
    pub(super) fn replace_keys(&self, ctx: &mut Ctx<'_>, set: &KeySet<'_>) -> Result<(), Sw> {
        self.level(ctx).ok_or(Sw::SECURITY_NOT_SATISFIED)?;
        if set.replaced != 0 && set.replaced != ctx.get(&self.version) {
            return Err(Sw::REFERENCE_DATA_NOT_FOUND);
        }
        let mut keys = [const { None }; 3];
        for (key, (enciphered, check)) in keys.iter_mut().zip(set.keys) {
            let mut bytes = *enciphered;
            self.decrypt(ctx, &mut bytes)?;
            let new = Key::triple_des(bytes);
            if !equal(&new.kcv(), check) {
                return Err(Sw::WRONG_DATA);
            }
            *key = Some(new);
        }
        let [Some(enc), Some(mac), Some(dek)] = keys else {
            return Err(Sw::WRONG_DATA);
        };
        ctx.answer(&[set.version]);
        for key in [&enc, &mac, &dek] {
            ctx.answer(&key.kcv());
        }
        self.put_keys(ctx, set.version, &StaticKeys { enc, mac, dek });
        Ok(())
    }

    /// Answers another applet.
    ///
    /// # Errors
    /// '6985' for a service that there is not, else as the command it stands for.
    pub(super) fn serve(
        &self,
        ctx: &mut Ctx<'_>,
        service: u8,
        data: &mut [u8],
    ) -> Result<usize, Sw> {
        let service = SecurityService::from_number(service).ok_or(Sw::CONDITIONS_NOT_MET)?;
        let answer = match service {
            SecurityService::Process => {
                let command = command_in(data)?;
                let opening = Opening::try_from(&command)?;
                self.process(ctx, &opening)?
            }
            SecurityService::Unwrap => {
                let command = command_in(data)?;
                self.unwrap(ctx, &command)?
            }
            SecurityService::Decrypt => {
                self.decrypt(ctx, data)?;
                return Ok(data.len());
            }
            SecurityService::Level => self
                .level(ctx)
                .map_or_else(Vec::new, |level| vec![level.bits()]),
        };
        let room = data.get_mut(..answer.len()).ok_or(Sw::WRONG_LENGTH)?;
        room.copy_from_slice(&answer);
        Ok(answer.len())
    }
}

/// The command that an applet hands on: CLA INS P1 P2 Lc data.
///
/// # Errors
/// '6700' where the data are fewer than Lc says, '6E00' for a class that is none.
fn command_in(data: &[u8]) -> Result<Command<'_>, Sw> {
    let (&[cla, ins, p1, p2, lc], rest) = data.split_first_chunk().ok_or(Sw::WRONG_LENGTH)?;
    let field = rest.get(..usize::from(lc)).ok_or(Sw::WRONG_LENGTH)?;
    let class = cardlab::apdu::Class::new(cla).ok_or(Sw::CLA_NOT_SUPPORTED)?;
    Ok(Command::new(class, ins, p1, p2).with_data(field))
}
