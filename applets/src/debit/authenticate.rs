//! Data authentication of the card, authentication of the issuer, and challenges.
//!
//! Failures of the issuer to authenticate are counted before anything is compared and
//! outlive every loss of power; a hundred in a row lock the command for good.
//!
//! Source: JR/T 0025.7 (security), by public material; EMV 4.3 Book 2, 6.5 and 8.2.

use super::Debit;
use super::cryptogram::{AIP_DDA, Purpose, is_approval};
use super::data::name;
use super::signature::SIGNED_LEN_MAX;
use super::state::{Cvr, Events, Phase};
use cardlab::apdu::Sw;
use cardlab::applet::{Ctx, Outcome, Reply};
use cardlab::crypto::{equal, pboc};
use cardlab::tag;
use cardlab::tlv::{Dol, Writer};

/// Failures in a row that lock EXTERNAL AUTHENTICATE.
const FAILURES_MAX: u8 = 100;

impl Debit {
    /// INTERNAL AUTHENTICATE: '80' and the signed dynamic application data.
    ///
    /// # Errors
    /// '6985' but directly after GET PROCESSING OPTIONS, where these do not offer
    /// dynamic authentication, and while the application is blocked; '6700' where the
    /// data are not as long as the DDOL.
    pub(super) fn internal_authenticate(&self, ctx: &mut Ctx<'_>, data: &[u8]) -> Outcome {
        let is_next = self.transaction.phase(ctx) == Phase::Initiated;
        if !is_next || !self.offers(ctx, AIP_DDA) || !self.is_active(ctx) {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        let list = self.element(ctx, name::TAG_9F49_DDOL)?;
        let list = Dol::parse(&list).map_err(|_| Sw::CONDITIONS_NOT_MET)?;
        if list.filled_len() != data.len() {
            return Err(Sw::WRONG_LENGTH);
        }
        let mut room = [0; SIGNED_LEN_MAX];
        let signed = self.sign_dynamic(ctx, data, &mut room)?;
        let mut answer = [0; SIGNED_LEN_MAX + 4];
        let mut writer = Writer::fixed(&mut answer);
        writer.object(tag!(0x80), signed);
        let len = writer.finish().map_err(|_| Sw::NO_DIAGNOSIS)?;
        ctx.answer(answer.get(..len).unwrap_or_default());
        let cvr = self.transaction.cvr(ctx) | Cvr::DDA_PERFORMED;
        self.transaction.set_cvr(ctx, cvr);
        self.transaction.set_phase(ctx, Phase::Proven);
        Ok(Reply::OK)
    }

    /// GET CHALLENGE: a random number, good for the very next command.
    pub(super) fn get_challenge(&self, ctx: &mut Ctx<'_>) -> Outcome {
        let mut challenge = [0; 8];
        ctx.random(&mut challenge);
        ctx.answer(&challenge);
        self.transaction.set_challenge(ctx, challenge);
        Ok(Reply::OK)
    }

    /// EXTERNAL AUTHENTICATE: whether the issuer answered the first cryptogram.
    ///
    /// # Errors
    /// '6985' where the command is locked; at any time but once between the two
    /// cryptograms, which counts as a failure. '6300', a warning, where the response
    /// cryptogram is wrong.
    pub(super) fn external_authenticate(
        &self,
        ctx: &mut Ctx<'_>,
        arpc: &[u8; 8],
        code: [u8; 2],
    ) -> Outcome {
        let is_due = self.transaction.phase(ctx) == Phase::Online;
        if !is_due || self.transaction.has(ctx, Events::ISSUER_AUTHENTICATED) {
            self.ledger.issuer_failed.set(ctx);
            if is_due {
                self.transaction.note(ctx, Events::ISSUER_FAILED);
            }
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        let failures = ctx.get(&self.ledger.failures);
        if failures >= FAILURES_MAX {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        ctx.set(&self.ledger.failures, failures + 1);
        self.transaction.note(ctx, Events::ISSUER_AUTHENTICATED);
        let session = self.session(ctx, Purpose::Cryptograms)?;
        let first = ctx.get(&self.transaction.cryptogram);
        if !equal(&pboc::arpc(&session, first, code), arpc) {
            self.ledger.issuer_failed.set(ctx);
            self.transaction.note(ctx, Events::ISSUER_FAILED);
            return Ok(Reply::warning(Sw::COMPARISON_FAILED));
        }
        ctx.set(&self.ledger.failures, 0);
        self.ledger.issuer_failed.clear(ctx);
        if is_approval(code) {
            self.transaction.note(ctx, Events::ISSUER_APPROVED);
        }
        Ok(Reply::OK)
    }
}
