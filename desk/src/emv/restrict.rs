//! Processing restrictions: versions, usage, dates.
//!
//! Source: EMV 4.4 book 3, 10.4, and annex C2 (application usage control).

use super::elements::day;
use super::{Finding, Kernel, Phase};
use cardlab::fen::Fen;
use cardlab::tag;

/// Types of transactions, '9C', that give out cash.
const CASH: [u8; 2] = [0x01, 0x17];

impl Kernel<'_> {
    /// Compares what the card may with what is wanted of it.
    pub(super) fn restrict(&mut self) {
        const PHASE: Phase = Phase::Restrictions;
        let before = self.tvr;
        let terminal = self.accepted.map(|accepted| accepted.version);
        if let Some(version) = self.elements.array::<2>(tag!(0x9F08))
            && terminal != Some(version)
        {
            self.find(PHASE, Finding::Versions);
        }
        if let Some(usage) = self.elements.array(tag!(0x9F07))
            && !self.is_for_this(usage)
        {
            self.find(PHASE, Finding::NotAllowed);
        }
        let today = day(self.sale.date);
        let from = self.elements.array(tag!(0x5F25)).map(day);
        if from.is_some_and(|from| from > today) {
            self.find(PHASE, Finding::NotYet);
        }
        let until = self.elements.array(tag!(0x5F24)).map(day);
        if until.is_none_or(|until| until < today) {
            self.find(PHASE, Finding::Expired);
        }
        if self.tvr == before {
            self.say(
                PHASE,
                "version, usage and dates allow it",
                "版本、用途和有效期均符合",
            );
        }
    }

    fn is_for_this(&self, usage: [u8; 2]) -> bool {
        let has = |byte: usize, mask: u8| usage[byte] & mask != 0;
        // An automated teller is unattended and gives out cash.
        let is_teller = self.terminal.kind >> 4 == 1 && !self.terminal.is_attended();
        if !has(0, if is_teller { 0x02 } else { 0x01 }) {
            return false;
        }
        let Some(issuer) = self.elements.array::<2>(tag!(0x5F28)) else {
            return true;
        };
        let domestic = issuer == self.terminal.country;
        let of = |home: u8, abroad: u8| if domestic { home } else { abroad };
        let right = if CASH.contains(&self.sale.kind) {
            has(0, of(0x80, 0x40))
        } else {
            has(0, of(0x20, 0x10)) || has(0, of(0x08, 0x04))
        };
        right && (self.sale.other == Fen::ZERO || has(1, of(0x80, 0x40)))
    }
}
