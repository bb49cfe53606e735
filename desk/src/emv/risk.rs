//! Terminal risk management: floor limit, random selection, velocity.
//!
//! Source: EMV 4.4 book 3, 10.6.

use super::{Finding, Kernel, Phase, RandomSelection, Tsi, Why};
use cardlab::fen::Fen;
use cardlab::tag;

impl Kernel<'_> {
    /// Weighs what speaks for asking the bank.
    pub(super) fn manage_risk(&mut self) -> Result<(), Why> {
        const PHASE: Phase = Phase::Risk;
        if self.sale.online {
            self.find(PHASE, Finding::Merchant);
        }
        // Where the card asks for it; a merchant's wish stands anyway.
        if !self.profile_has(0, 0x08) {
            return Ok(());
        }
        let before = self.tvr;
        self.tsi.did(Tsi::TERMINAL_RISK);
        if let Some(accepted) = self.accepted {
            if self.sale.amount >= accepted.floor_limit {
                self.find(PHASE, Finding::FloorLimit);
            } else if self.is_chosen(accepted.selection, accepted.floor_limit) {
                self.find(PHASE, Finding::Chosen);
            }
        }
        self.check_velocity()?;
        if self.tvr == before {
            self.say(
                PHASE,
                "nothing asks for going on line",
                "无需因风险管理联机",
            );
        }
        Ok(())
    }

    fn is_chosen(&self, selection: RandomSelection, floor_limit: Fen) -> bool {
        let [drawn] = self.random::<1>("random selection");
        let drawn = u32::from(drawn) % 99 + 1;
        let (target, maximum) = (u32::from(selection.target), u32::from(selection.maximum));
        let (amount, threshold) = (self.sale.amount.count(), selection.threshold.count());
        if amount < threshold {
            return drawn <= target;
        }
        // Between threshold and floor limit the share grows evenly.
        let width = u64::from(floor_limit.count().saturating_sub(threshold)).max(1);
        let into = u64::from(amount - threshold);
        let more = u64::from(maximum.saturating_sub(target)) * into / width;
        u64::from(drawn) <= u64::from(target) + more
    }

    fn check_velocity(&mut self) -> Result<(), Why> {
        const PHASE: Phase = Phase::Risk;
        let limits = self
            .elements
            .array::<1>(tag!(0x9F14))
            .zip(self.elements.array::<1>(tag!(0x9F23)));
        let Some(([lower], [upper])) = limits else {
            return Ok(());
        };
        let count = |value: Option<Vec<u8>>| {
            let bytes = value.and_then(|value| <[u8; 2]>::try_from(value).ok());
            bytes.map(u16::from_be_bytes)
        };
        let now = count(self.get_data(tag!(0x9F36))?);
        let last = count(self.get_data(tag!(0x9F13))?);
        let (Some(now), Some(last)) = (now, last) else {
            self.find(PHASE, Finding::LowerLimit);
            self.find(PHASE, Finding::UpperLimit);
            return Ok(());
        };
        // A counter that ran backwards is as good as none.
        let since = now.checked_sub(last).filter(|since| *since > 0);
        if since.is_none_or(|since| since > u16::from(lower)) {
            self.find(PHASE, Finding::LowerLimit);
        }
        if since.is_none_or(|since| since > u16::from(upper)) {
            self.find(PHASE, Finding::UpperLimit);
        }
        if last == 0 {
            self.find(PHASE, Finding::NewCard);
        }
        Ok(())
    }
}
