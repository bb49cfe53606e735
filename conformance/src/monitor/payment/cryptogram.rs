//! Cryptograms: when, how high, what they say, what they are over. M17 to M20.

use super::super::catalogue::{M17, M18, M19, M20};
use super::super::{Findings, Turn};
use super::state::{Element, First, Phase, Verify};
use super::{End, Payments};
use crate::bank::cryptogram::{Answered, Made, discretionary_is_right, sum};

/// What a cryptogram says, from the lowest to the highest.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Kind {
    Aac,
    Arqc,
    Tc,
}

impl Kind {
    /// As bits 8 and 7 say it.
    const fn of(byte: u8) -> Option<Kind> {
        match byte >> 6 {
            0 => Some(Kind::Aac),
            1 => Some(Kind::Tc),
            2 => Some(Kind::Arqc),
            _ => None,
        }
    }

    const fn bits(self) -> u8 {
        match self {
            Kind::Aac => 0x00,
            Kind::Tc => 0x01,
            Kind::Arqc => 0x02,
        }
    }
}

/// A cryptogram that was heard, and its place.
pub(super) struct Given<'a> {
    pub(super) answered: Answered<'a>,
    pub(super) kind: Kind,
    pub(super) is_second: bool,
    /// Whether the place is known from before, and not told by the card.
    pub(super) is_followed: bool,
}

/// Bits of the card verification results.
const PIN_PERFORMED: u8 = 0x04;
const PIN_FAILED: u8 = 0x02;
const SCRIPT_FAILED: u8 = 0x08;

impl Payments<'_> {
    /// GENERATE AC.
    pub(super) fn generated(&mut self, turn: &Turn<'_>, end: End, found: &mut Findings) {
        match end {
            End::Refused(_) => return,
            End::Lost => {
                self.elements.payment_moved();
                self.life_may_end_with_cryptogram();
                self.lost_cryptogram(turn);
                return;
            }
            End::Done => {}
        }
        self.elements.payment_moved();
        let phase = self.transaction.phase;
        match phase {
            Phase::Selected => found.add(&M17, || {
                "a cryptogram before GET PROCESSING OPTIONS".to_owned()
            }),
            Phase::Over => found.add(&M17, || "a cryptogram after the last one".to_owned()),
            _ => {}
        }
        let answered = turn.data.and_then(Answered::parse);
        let heard = answered
            .and_then(|answered| Some((answered, Kind::of(answered.cid)?, answered.cvr()?)));
        let Some((answered, kind, cvr)) = heard else {
            self.transaction.phase = Phase::Unknown;
            self.ledger.lost_cryptogram();
            return;
        };
        let asked = Kind::of(turn.command.p1);
        if asked.is_some_and(|asked| kind > asked) {
            found.add(&M18, || format!("{kind:?} where {asked:?} was asked"));
        }
        let is_second = match phase {
            Phase::Begun => false,
            Phase::Asked => true,
            _ => cvr[1] >> 6 != 2,
        };
        let given = Given {
            answered,
            kind,
            is_second,
            is_followed: matches!(phase, Phase::Begun | Phase::Asked),
        };
        self.watch_results(&given, cvr, found);
        self.life.watch_cryptogram(kind, found);
        let made = match answered.made {
            Made::Plain(made) => Some(made),
            Made::Signed(signature) => self.watch_combined(turn, &given, signature, found),
        };
        if given.is_followed {
            self.watch_sums(turn, &given, made, cvr, found);
        }
        if phase == Phase::Begun {
            self.marks.watch_first(cvr[3] & SCRIPT_FAILED != 0, found);
        }
        self.settle(turn, &given, found);
        self.life_may_end_with_cryptogram();
        if !is_second {
            self.transaction.first = Some(First {
                atc: answered.atc,
                asks: kind == Kind::Arqc,
                algorithm: answered.algorithm(),
                cryptogram: made,
            });
            self.transaction.cdol1_data = turn.command.data.to_vec();
        }
        self.transaction.phase = match (phase, kind) {
            (Phase::Unknown, _) => Phase::Unknown,
            (Phase::Begun, Kind::Arqc) => Phase::Asked,
            _ => Phase::Over,
        };
    }

    /// Where tries at the PIN that are spent block the application with a cryptogram.
    fn life_may_end_with_cryptogram(&mut self) {
        const DECLINES_AND_BLOCKS: u8 = 0x04;
        let action = self.now(Element::DEFAULT_ACTION);
        if action.is_none_or(|action| action.get(1).is_none_or(|b| b & DECLINES_AND_BLOCKS != 0)) {
            self.life.may_be_blocked();
        }
    }

    /// What the verification results say against what was on the wire.
    fn watch_results(&self, given: &Given<'_>, cvr: [u8; 4], found: &mut Findings) {
        let [_, results, ..] = cvr;
        let right = if given.is_second {
            given.kind.bits() << 2 | Kind::Arqc.bits()
        } else {
            2 << 2 | given.kind.bits()
        };
        if results >> 4 != right {
            let (kind, place) = (given.kind, if given.is_second { "second" } else { "first" });
            found.add(&M19, || {
                format!("results {results:02X} of a {kind:?} as the {place} cryptogram")
            });
        }
        let pin = results & (PIN_PERFORMED | PIN_FAILED);
        let right = match self.transaction.verify {
            Verify::Unknown => return,
            Verify::NotDone => 0,
            Verify::Right => PIN_PERFORMED,
            Verify::Wrong => PIN_PERFORMED | PIN_FAILED,
        };
        if pin != right {
            let verify = self.transaction.verify;
            found.add(&M19, || {
                format!("results {results:02X} where VERIFY was {verify:?}")
            });
        }
    }

    /// What the cryptogram and the issuer's data are over.
    fn watch_sums(
        &self,
        turn: &Turn<'_>,
        given: &Given<'_>,
        made: Option<[u8; 8]>,
        cvr: [u8; 4],
        found: &mut Findings,
    ) {
        let answered = &given.answered;
        let issuer = answered.issuer;
        let Some((keys, algorithm)) = self.keys.as_ref().zip(answered.algorithm()) else {
            return;
        };
        if let Some(set) = self.transaction.set.filter(|set| *set != algorithm) {
            found.add(&M20, || {
                format!("sums by {algorithm:?} where the terminal chose {set:?}")
            });
        }
        let keys = keys.set(algorithm);
        let told = self.told_with(turn.command.data, given.is_second);
        if let (Some(made), Some(told), Some(aip)) = (made, told, self.transaction.aip) {
            let right = sum(keys, answered.atc, aip, cvr, |tag| told.value(tag));
            if made != right {
                let [made, right] = [made, right].map(hex::encode_upper);
                found.add(&M20, || format!("{made} where the payment makes {right}"));
            }
        }
        let long = self.application.long_mac();
        if discretionary_is_right(keys, answered.atc, issuer, long) == Some(false) {
            let issuer = hex::encode_upper(issuer);
            found.add(&M20, || format!("the MAC in {issuer} is another"));
        }
    }
}
