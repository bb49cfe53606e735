//! GENERATE APPLICATION CRYPTOGRAM, the first and the second one.
//!
//! The first one decides off line or asks the issuer; the second one follows the
//! issuer's answer, or stands in for it. What the decision changes on the card is one
//! update with the answer.
//!
//! A cryptogram is a MAC over amounts, country, terminal verification results,
//! currency, date, type, unpredictable number, application interchange profile, ATC and
//! card verification results: cryptogram version 01. What the list does not ask for is
//! '00'.
//!
//! What the public sources leave open is decided here so:
//!
//! - A script that failed before the second cryptogram is told in the next transaction
//!   even where this one's answer clears what earlier ones left.
//! - Combined authentication that was asked for stays unsigned with a decline, and then
//!   the bit "DDA performed" stays '0'.
//! - Counters of foreign transactions move with a first decline, and not with a second.
//!
//! Source: JR/T 0025.5, GENERATE AC and card risk management, by public material; EMV
//! 4.3 Book 2, 6.6 (combined authentication).

use super::Debit;
use super::command::Cryptogram;
use super::data::{Amount, Switches, Value, in_list, name};
use super::risk::{self, Answered, Count, DefaultAction, Facts, Sum, Verdict};
use super::signature::SIGNED_LEN_MAX;
use super::state::{Cvr, Events, Life, Path, Phase};
use cardlab::apdu::Sw;
use cardlab::applet::{Ctx, Outcome, Reply};
use cardlab::crypto::{Expanded, Key, Padding, pboc};
use cardlab::tag;
use cardlab::tlv::{Dol, Writer};
use zeroize::Zeroize;

/// Bits of the application interchange profile.
pub(super) const AIP_SDA: u16 = 0x4000;
pub(super) const AIP_DDA: u16 = 0x2000;
const AIP_ISSUER_AUTHENTICATION: u16 = 0x0400;
const AIP_CDA: u16 = 0x0100;

/// Which of the card's three keys.
#[derive(Clone, Copy)]
pub(super) enum Purpose {
    Cryptograms = 0,
    Macs = 1,
    Enciphering = 2,
}

/// What a terminal told, the latest list first.
pub(super) struct Told<'a>(pub(super) [(&'a [u8], &'a [u8]); 3]);

impl<'a> Told<'a> {
    pub(super) fn value(&self, tag: u16) -> Option<&'a [u8]> {
        self.0
            .iter()
            .find_map(|(list, data)| in_list(list, data, tag))
    }

    /// The amount authorised; more than any limit where it is not decimal.
    fn amount(&self) -> Amount {
        self.value(name::TAG_9F02_AMOUNT)
            .map_or(Amount::ZERO, |bytes| {
                Amount::from_bcd(bytes).unwrap_or(Amount::MAX)
            })
    }
}

/// The response codes that approve.
pub(super) const fn is_approval(code: [u8; 2]) -> bool {
    matches!(&code, b"00" | b"10" | b"11" | b"01" | b"02" | b"Y1")
}

/// The response codes of a terminal that could not go on line.
const fn is_unable(code: [u8; 2]) -> bool {
    matches!(&code, b"Y3" | b"Z3")
}

impl Debit {
    /// GENERATE AC.
    ///
    /// # Errors
    /// '6985' before GET PROCESSING OPTIONS, after the last cryptogram, and for a second
    /// question on line; '6700' where the data are not as long as the list; '6985' for
    /// combined authentication that the processing options do not offer.
    pub(super) fn generate_ac(
        &self,
        ctx: &mut Ctx<'_>,
        asked: Cryptogram,
        combined: bool,
        data: &[u8],
    ) -> Outcome {
        let phase = self.transaction.phase(ctx);
        let list = match phase {
            Phase::Initiated | Phase::Proven => name::TAG_8C_CDOL1,
            Phase::Online if asked != Cryptogram::Arqc => name::TAG_8D_CDOL2,
            _ => return Err(Sw::CONDITIONS_NOT_MET),
        };
        let list = self.element(ctx, list)?;
        let len = Dol::parse(&list).map_err(|_| Sw::CONDITIONS_NOT_MET)?;
        if len.filled_len() != data.len() {
            return Err(Sw::WRONG_LENGTH);
        }
        if combined && !self.offers(ctx, AIP_CDA) {
            return Err(Sw::CONDITIONS_NOT_MET);
        }
        if phase == Phase::Online {
            self.second(ctx, asked, combined, &list, data)
        } else {
            self.first(ctx, asked, combined, &list, data)
        }
    }

    fn first(
        &self,
        ctx: &mut Ctx<'_>,
        asked: Cryptogram,
        combined: bool,
        list: &[u8],
        data: &[u8],
    ) -> Outcome {
        self.transaction.cdol1.put(ctx, data)?;
        if self.setup.is_on(ctx, Switches::COUNTS_AT_FIRST_AC) {
            self.count_transaction(ctx)?;
        }
        let pdol = self.value_or_empty(ctx, name::TAG_9F38_PDOL);
        let (given, given_len) = self.transaction.pdol.get(ctx);
        let given = given.get(..given_len).unwrap_or_default();
        let told = Told([(list, data), (&pdol, given), (&[], &[])]);
        let facts = self.facts(ctx, &told);
        let path = self.transaction.path(ctx);
        let mut verdict = match path {
            Path::Account => risk::first(&facts, asked),
            Path::Cash | Path::SecondCash => self.first_of_cash(ctx, &facts, asked, &told),
        };
        if verdict.blocks {
            self.ledger.set_life(ctx, Life::Blocked);
        }
        verdict.cvr |= self.transaction.cvr(ctx) | self.last_failures(ctx);
        verdict.cvr |= Cvr::SECOND_NOT_REQUESTED;
        match verdict.answer {
            Cryptogram::Aac => {
                if path == Path::Account {
                    self.count_foreign(ctx, &facts);
                }
                self.remember_failures(ctx, &told);
            }
            Cryptogram::Tc => {
                verdict.cvr |= Cvr::FIRST_IS_TC;
                if path == Path::Account {
                    ctx.set(&self.ledger.online_pending, false);
                    self.count_approval(ctx, &facts);
                } else {
                    self.spend(ctx, path, told.amount())?;
                }
                self.log_transaction(ctx, &told)?;
            }
            Cryptogram::Arqc => {
                verdict.cvr |= Cvr::FIRST_IS_ARQC;
                ctx.set(&self.ledger.online_pending, true);
            }
        }
        let phase = match verdict.answer {
            Cryptogram::Arqc => Phase::Online,
            _ => Phase::Over,
        };
        let hashed: [&[u8]; 2] = [given, data];
        let made = self.answer(ctx, &verdict, false, combined, &told, &hashed)?;
        ctx.set(&self.transaction.cryptogram, made);
        self.transaction.set_phase(ctx, phase);
        Ok(Reply::OK)
    }

    /// Of an e-cash transaction: what was told before must hold still, and nothing else
    /// is checked.
    fn first_of_cash(
        &self,
        ctx: &Ctx<'_>,
        facts: &Facts,
        asked: Cryptogram,
        told: &Told<'_>,
    ) -> Verdict {
        let mut cvr = Cvr::empty();
        let pending =
            facts.online_pending && self.setup.is_on(ctx, Switches::PENDING_SENDS_CASH_ONLINE);
        let answer = match asked {
            _ if facts.is_blocked => Cryptogram::Aac,
            Cryptogram::Tc if !agree(told) => Cryptogram::Aac,
            Cryptogram::Tc if pending => {
                cvr |= Cvr::LAST_ONLINE_INCOMPLETE;
                Cryptogram::Arqc
            }
            asked => asked,
        };
        Verdict {
            answer,
            cvr,
            blocks: false,
        }
    }

    fn second(
        &self,
        ctx: &mut Ctx<'_>,
        asked: Cryptogram,
        combined: bool,
        list: &[u8],
        data: &[u8],
    ) -> Outcome {
        let (first, first_len) = self.transaction.cdol1.get(ctx);
        let first = first.get(..first_len).unwrap_or_default();
        let (given, given_len) = self.transaction.pdol.get(ctx);
        let given = given.get(..given_len).unwrap_or_default();
        let cdol1 = self.element(ctx, name::TAG_8C_CDOL1)?;
        let pdol = self.value_or_empty(ctx, name::TAG_9F38_PDOL);
        let told = Told([(list, data), (&cdol1, first), (&pdol, given)]);
        let code = in_list(list, data, name::TAG_8A_RESPONSE_CODE)
            .and_then(|code| code.try_into().ok())
            .ok_or(Sw::CONDITIONS_NOT_MET)?;
        let facts = self.facts(ctx, &told);
        let (mut verdict, for_issuer) = if is_unable(code) {
            (self.second_unable(ctx, &facts, asked), false)
        } else {
            self.second_answered(ctx, &facts, asked, code)
        };
        let approved = verdict.answer == Cryptogram::Tc;
        if approved {
            self.log_transaction(ctx, &told)?;
        } else {
            self.remember_failures(ctx, &told);
        }
        verdict.cvr |= self.transaction.cvr(ctx) - Cvr::SECOND_NOT_REQUESTED;
        verdict.cvr.set(Cvr::SECOND_IS_TC, approved);
        let hashed: [&[u8]; 3] = [given, first, data];
        self.answer(ctx, &verdict, for_issuer, combined, &told, &hashed)?;
        self.transaction.set_phase(ctx, Phase::Completed);
        Ok(Reply::OK)
    }

    fn second_unable(&self, ctx: &mut Ctx<'_>, facts: &Facts, asked: Cryptogram) -> Verdict {
        let verdict = risk::unable(facts, asked);
        if verdict.answer == Cryptogram::Tc {
            self.count_approval(ctx, facts);
        }
        verdict
    }

    /// The verdict, and whether the issuer's authentication is why it was declined.
    fn second_answered(
        &self,
        ctx: &mut Ctx<'_>,
        facts: &Facts,
        asked: Cryptogram,
        code: [u8; 2],
    ) -> (Verdict, bool) {
        let events = self.transaction.events(ctx);
        let authenticated = events.contains(Events::ISSUER_AUTHENTICATED);
        let failed = events.contains(Events::ISSUER_FAILED);
        let indicator = self
            .elements
            .array::<1>(ctx, name::TAG_9F56_ISSUER_AUTHENTICATION);
        let issuer = Answered {
            approved: is_approval(code)
                && (!authenticated || failed || events.contains(Events::ISSUER_APPROVED)),
            supported: self.offers(ctx, AIP_ISSUER_AUTHENTICATION),
            mandatory: indicator.is_some_and(|[indicator]| indicator & 0x80 != 0),
            failed: authenticated.then_some(failed),
        };
        let settlement = risk::answered(facts, asked, &issuer);
        if settlement.missing {
            self.ledger.issuer_failed.set(ctx);
        }
        if settlement.satisfied {
            ctx.set(&self.ledger.online_pending, false);
            ctx.set(&self.ledger.sda_failed, false);
            ctx.set(&self.ledger.dda_failed, false);
            self.ledger.scripts.clear(ctx);
            if !events.contains(Events::SCRIPT_FAILED) {
                self.ledger.script_failed.clear(ctx);
            }
            if settlement.verdict.answer == Cryptogram::Tc {
                self.ledger.set_sum(ctx, Amount::ZERO);
                self.ledger.set_dual_sum(ctx, Amount::ZERO);
                ctx.set(&self.ledger.foreign_currency, 0);
                ctx.set(&self.ledger.foreign_country, 0);
                let atc = ctx.get(&self.transaction.atc);
                ctx.set(&self.ledger.last_online_atc, atc);
            }
        }
        (settlement.verdict, settlement.for_issuer)
    }

    /// Makes the cryptogram and answers with it; the cryptogram.
    fn answer(
        &self,
        ctx: &mut Ctx<'_>,
        verdict: &Verdict,
        for_issuer: bool,
        combined: bool,
        told: &Told<'_>,
        hashed: &[&[u8]],
    ) -> Result<[u8; 8], Sw> {
        let signed = combined && verdict.answer != Cryptogram::Aac;
        let mut cvr = verdict.cvr;
        cvr.set(
            Cvr::DDA_PERFORMED,
            signed || cvr.contains(Cvr::DDA_PERFORMED),
        );
        self.transaction.set_cvr(ctx, cvr);
        let exhausted = self.transaction.has(ctx, Events::PIN_EXHAUSTED);
        let information = [risk::information(
            verdict.answer,
            self.default_action(ctx),
            exhausted,
            for_issuer,
        )];
        let atc = ctx.get(&self.transaction.atc);
        let session = self.session(ctx, Purpose::Cryptograms)?;
        let cryptogram = self.cryptogram(ctx, &session, told, cvr);
        let issuer = self.issuer_data(ctx, cvr)?;
        let mut buffer = [0; 512];
        let mut writer = Writer::fixed(&mut buffer);
        if signed {
            let mut plain = [0; 64];
            let mut objects = Writer::fixed(&mut plain);
            objects
                .object(tag!(0x9F27), &information)
                .object(tag!(0x9F36), &atc.to_be_bytes())
                .object(tag!(0x9F10), &issuer);
            let len = objects.finish().map_err(|_| Sw::NO_DIAGNOSIS)?;
            let plain = plain.get(..len).unwrap_or_default();
            let hashed = hashed.iter().copied().chain([plain]);
            let number = told.value(name::TAG_9F37_UNPREDICTABLE).unwrap_or_default();
            let mut room = [0; SIGNED_LEN_MAX];
            let signature =
                self.sign_combined(ctx, information[0], &cryptogram, hashed, number, &mut room)?;
            writer.nested(tag!(0x77), |writer| {
                writer
                    .object(tag!(0x9F27), &information)
                    .object(tag!(0x9F36), &atc.to_be_bytes())
                    .object(tag!(0x9F4B), signature)
                    .object(tag!(0x9F10), &issuer);
            });
        } else {
            writer.nested(tag!(0x80), |writer| {
                writer
                    .raw(&information)
                    .raw(&atc.to_be_bytes())
                    .raw(&cryptogram)
                    .raw(&issuer);
            });
        }
        let len = writer.finish().map_err(|_| Sw::NO_DIAGNOSIS)?;
        ctx.answer(buffer.get(..len).unwrap_or_default());
        Ok(cryptogram)
    }

    fn cryptogram(&self, ctx: &Ctx<'_>, session: &Expanded, told: &Told<'_>, cvr: Cvr) -> [u8; 8] {
        let zeros = [0; 6];
        let of = |tag, len: usize| {
            let missing = zeros.get(..len).unwrap_or_default();
            told.value(tag).unwrap_or(missing)
        };
        pboc::cryptogram(
            session,
            &[
                of(name::TAG_9F02_AMOUNT, 6),
                of(name::TAG_9F03_OTHER_AMOUNT, 6),
                of(name::TAG_9F1A_COUNTRY, 2),
                of(name::TAG_95_TVR, 5),
                of(name::TAG_5F2A_CURRENCY, 2),
                of(name::TAG_9A_DATE, 3),
                of(name::TAG_9C_TYPE, 1),
                of(name::TAG_9F37_UNPREDICTABLE, 4),
                &ctx.get(&self.transaction.aip),
                &ctx.get(&self.transaction.atc).to_be_bytes(),
                &cvr.to_bytes(),
            ],
        )
    }

    /// Issuer application data: what was personalised, with the results and, where there
    /// is room for it, a balance or sum with its MAC.
    ///
    /// | at | len | what                                                        |
    /// |----|-----|-------------------------------------------------------------|
    /// | 0  | 3   | '07', derivation key index, cryptogram version              |
    /// | 3  | 4   | card verification results                                   |
    /// | 7  | 1   | algorithm, 01 triple DES, 04 SM4                            |
    /// | 8  | 1   | length of what follows, 0A or 0F; may be absent             |
    /// | 9  | 1   | what follows: 01 balance, 02 sum, 03 both, 04 sum and limit, |
    /// |    |     | 05 what is available                                        |
    /// | 10 | 5 10 | the low 10 digits of each                                  |
    /// |    | 4   | MAC over ATC and these                                      |
    fn issuer_data(&self, ctx: &Ctx<'_>, cvr: Cvr) -> Result<Value, Sw> {
        let mut data = self.element(ctx, name::DGI_9200_DISCRETIONARY)?;
        let is_sm4 = self.transaction.has(ctx, Events::SM4);
        let [_, _, _, results @ .., algorithm] =
            data.first_chunk_mut::<8>().ok_or(Sw::NO_DIAGNOSIS)?;
        *results = cvr.to_bytes();
        *algorithm = if is_sm4 { 0x04 } else { 0x01 };
        let balance = || self.balance(ctx, self.transaction.path(ctx));
        let limit = || {
            let limit = self.elements.amount(ctx, name::TAG_9F54_SUM_LIMIT);
            limit.unwrap_or(Amount::ZERO)
        };
        let shown = match data.get(8..10) {
            Some([0x0A, 0x01]) => [Some(balance()), None],
            Some([0x0A, 0x02]) => [Some(self.ledger.sum(ctx)), None],
            Some([0x0A, 0x05]) => [Some(self.available(ctx)), None],
            Some([0x0F, 0x03]) => [Some(balance()), Some(self.ledger.sum(ctx))],
            Some([0x0F, 0x04]) => [Some(self.ledger.sum(ctx)), Some(limit())],
            _ => [None, None],
        };
        let Some((field, mac)) = data
            .get_mut(10..)
            .and_then(|rest| rest.split_last_chunk_mut::<4>())
        else {
            return Ok(data);
        };
        for (place, amount) in field.chunks_exact_mut(5).zip(shown.into_iter().flatten()) {
            let [_, digits @ ..] = amount.to_bcd();
            place.copy_from_slice(&digits);
        }
        let session = self.session(ctx, Purpose::Macs)?;
        let long = if self.setup.is_on(ctx, Switches::LONG_MAC_UNPADDED) {
            Padding::M1
        } else {
            Padding::M2
        };
        *mac = pboc::discretionary_mac(&session, ctx.get(&self.transaction.atc), field, long);
        Ok(data)
    }

    /// What may still be spent off line: the sum's limit less the sum.
    pub(super) fn available(&self, ctx: &Ctx<'_>) -> Amount {
        let limit = |tag| {
            self.elements
                .amount(ctx, tag)
                .filter(|limit| limit.count() > 0)
        };
        limit(name::TAG_9F5C_SUM_UPPER_LIMIT)
            .or_else(|| limit(name::TAG_9F54_SUM_LIMIT))
            .map_or(Amount::ZERO, |limit| {
                limit.saturating_sub(self.ledger.sum(ctx))
            })
    }

    /// The session key of this transaction for a purpose.
    ///
    /// # Errors
    /// '6985' where there is no such key.
    pub(super) fn session(&self, ctx: &Ctx<'_>, purpose: Purpose) -> Result<Expanded, Sw> {
        let card = self.card_key(ctx, purpose)?.expand();
        let atc = ctx.get(&self.transaction.atc);
        Ok(pboc::session_key(&card, atc).expand())
    }

    /// The card's own key for a purpose.
    ///
    /// # Errors
    /// '6985' where there is none.
    pub(super) fn card_key(&self, ctx: &Ctx<'_>, purpose: Purpose) -> Result<Key, Sw> {
        let is_sm4 = self.transaction.has(ctx, Events::SM4);
        let keys = if is_sm4 {
            name::DGI_8030_SM4_KEYS
        } else {
            name::DGI_8000_KEYS
        };
        let (keys, _) = self
            .elements
            .find(ctx, keys)
            .ok_or(Sw::CONDITIONS_NOT_MET)?;
        let mut bytes: [u8; 16] = ctx.read_array(keys, 16 * purpose as u32);
        let key = if is_sm4 {
            Key::sm4(bytes)
        } else {
            Key::triple_des(bytes)
        };
        bytes.zeroize();
        Ok(key)
    }

    /// Whether the processing options of this transaction have a bit.
    pub(super) fn offers(&self, ctx: &Ctx<'_>, bit: u16) -> bool {
        u16::from_be_bytes(ctx.get(&self.transaction.aip)) & bit != 0
    }

    pub(super) fn default_action(&self, ctx: &Ctx<'_>) -> DefaultAction {
        let bytes = self.elements.array(ctx, name::TAG_9F52_DEFAULT_ACTION);
        DefaultAction::from_bits_retain(bytes.map_or(0, u16::from_be_bytes))
    }

    fn facts(&self, ctx: &Ctx<'_>, told: &Told<'_>) -> Facts {
        let limit = |tag| {
            let limit = self.elements.array::<1>(ctx, tag);
            limit.map(|[limit]| limit).filter(|limit| *limit != 0xFF)
        };
        let sum_limit = |tag| {
            self.elements
                .amount(ctx, tag)
                .filter(|limit| limit.count() > 0)
        };
        let own = |tag| self.elements.array::<2>(ctx, tag);
        let is = |told: Option<&[u8]>, own: Option<[u8; 2]>| match (told, own) {
            (Some(told), Some(own)) => told == own,
            _ => false,
        };
        let currency = told.value(name::TAG_5F2A_CURRENCY);
        let country = told.value(name::TAG_9F1A_COUNTRY);
        let is_own = is(currency, own(name::TAG_9F51_OWN_CURRENCY));
        let second = own(name::TAG_9F76_SECOND_CURRENCY);
        let is_second = !is_own && is(currency, second);
        let own_country = own(name::TAG_9F57_OWN_COUNTRY);
        let amount = told.amount();
        let upper = sum_limit(name::TAG_9F5C_SUM_UPPER_LIMIT);
        let converted = if is_second {
            self.converted(ctx, amount)
        } else {
            amount
        };
        let atc = ctx.get(&self.transaction.atc);
        let last_online = ctx.get(&self.ledger.last_online_atc);
        Facts {
            action: self.default_action(ctx),
            is_blocked: self.ledger.life(ctx) != Life::Active,
            online_pending: ctx.get(&self.ledger.online_pending),
            issuer_failed: self.ledger.issuer_failed.is_set(ctx),
            scripts: u8::try_from(self.ledger.scripts.count(ctx)).unwrap_or(u8::MAX),
            script_failed: self.ledger.script_failed.is_set(ctx),
            since_online: atc.saturating_sub(last_online),
            lower_limit: limit(name::TAG_9F58_LOWER_LIMIT),
            upper_limit: limit(name::TAG_9F59_UPPER_LIMIT),
            is_new: last_online == 0,
            foreign_currency: Count {
                before: ctx.get(&self.ledger.foreign_currency),
                limit: limit(name::TAG_9F53_FOREIGN_CURRENCY_LIMIT),
                counts: !is_own && !is_second,
            },
            foreign_country: Count {
                before: ctx.get(&self.ledger.foreign_country),
                limit: limit(name::TAG_9F72_FOREIGN_COUNTRY_LIMIT),
                counts: own_country.is_some() && !is(country, own_country),
            },
            sum: Sum {
                after: self.ledger.sum(ctx).saturating_add(amount),
                lower: sum_limit(name::TAG_9F54_SUM_LIMIT),
                upper,
                counts: is_own,
            },
            dual_sum: Sum {
                after: self.ledger.dual_sum(ctx).saturating_add(converted),
                lower: sum_limit(name::TAG_9F75_DUAL_LIMIT),
                upper,
                counts: second.is_some() && (is_own || is_second),
            },
            pin_blocked: self.pin_is_blocked(ctx)
                && !self.transaction.has(ctx, Events::PIN_EXHAUSTED),
        }
    }

    /// An amount in the second currency as one in the own: times the factor's seven
    /// digits, the point shifted left by its first one.
    fn converted(&self, ctx: &Ctx<'_>, amount: Amount) -> Amount {
        let Some([first, rest @ ..]) = self.elements.array::<4>(ctx, name::TAG_9F73_CONVERSION)
        else {
            return Amount::MAX;
        };
        let [a, b, c] = rest;
        let factor = Amount::from_bcd(&[first & 0x0F, a, b, c]).unwrap_or(Amount::MAX);
        let product = u128::from(amount.count()) * u128::from(factor.count());
        Amount::new(product / 10u128.pow(u32::from(first >> 4)))
    }

    /// Data authentication that failed in the last transaction, as far as this one offers
    /// it.
    fn last_failures(&self, ctx: &Ctx<'_>) -> Cvr {
        let mut cvr = Cvr::empty();
        cvr.set(
            Cvr::LAST_SDA_FAILED,
            ctx.get(&self.ledger.sda_failed) && self.offers(ctx, AIP_SDA),
        );
        cvr.set(
            Cvr::LAST_DDA_FAILED,
            ctx.get(&self.ledger.dda_failed) && self.offers(ctx, AIP_DDA | AIP_CDA),
        );
        cvr
    }

    /// Keeps for the next transaction which data authentication the terminal says failed
    /// in this one, which is declined.
    fn remember_failures(&self, ctx: &mut Ctx<'_>, told: &Told<'_>) {
        const SDA_FAILED: u8 = 0x40;
        const DDA_OR_CDA_FAILED: u8 = 0x0C;
        let Some(&[results, ..]) = told.value(name::TAG_95_TVR) else {
            return;
        };
        if results & SDA_FAILED != 0 {
            ctx.set(&self.ledger.sda_failed, true);
        }
        if results & DDA_OR_CDA_FAILED != 0 {
            ctx.set(&self.ledger.dda_failed, true);
        }
    }

    fn count_approval(&self, ctx: &mut Ctx<'_>, facts: &Facts) {
        if facts.sum.counts {
            self.ledger.set_sum(ctx, facts.sum.after);
        }
        if facts.dual_sum.counts {
            self.ledger.set_dual_sum(ctx, facts.dual_sum.after);
        }
        self.count_foreign(ctx, facts);
    }

    fn count_foreign(&self, ctx: &mut Ctx<'_>, facts: &Facts) {
        if facts.foreign_currency.counts {
            let count = facts.foreign_currency.before.saturating_add(1);
            ctx.set(&self.ledger.foreign_currency, count);
        }
        if facts.foreign_country.counts {
            let count = facts.foreign_country.before.saturating_add(1);
            ctx.set(&self.ledger.foreign_country, count);
        }
    }
}

/// Whether what both lists ask for was told alike, but for what changes on the way.
fn agree(told: &Told<'_>) -> bool {
    let Told([(list, data), (earlier, before), _]) = told;
    let Ok(earlier) = Dol::parse(earlier) else {
        return false;
    };
    let Some(mut values) = earlier.split(before) else {
        return false;
    };
    values.all(|(tag, value)| {
        let tag = u16::try_from(tag.value()).unwrap_or(0);
        let changes = matches!(
            tag,
            name::TAG_95_TVR | name::TAG_9B_TSI | name::TAG_9F37_UNPREDICTABLE
        );
        changes || in_list(list, data, tag).is_none_or(|now| now == value)
    })
}
