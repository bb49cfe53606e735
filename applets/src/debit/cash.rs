//! E-cash: whether a transaction takes its path, and what it spends.
//!
//! A payment of e-cash is approved off line against a balance on the card. It has
//! processing options of its own, and nothing of the account's risk management: no
//! counter and no flag moves.
//!
//! Source: JR/T 0025.13 (PBOC 3.0, e-cash), by public material.

use super::Debit;
use super::data::{Amount, Switches, in_list, name};
use super::state::Path;
use cardlab::apdu::Sw;
use cardlab::applet::Ctx;

impl Path {
    /// The processing options.
    pub(super) const fn options(self) -> u16 {
        match self {
            Path::Account => name::DGI_9104_OPTIONS,
            Path::Cash | Path::SecondCash => name::DGI_9203_CASH_OPTIONS,
        }
    }

    /// Those of the set with SM2.
    pub(super) const fn sm_options(self) -> u16 {
        match self {
            Path::Account => name::DGI_9114_SM_OPTIONS,
            Path::Cash | Path::SecondCash => name::DGI_9213_SM_CASH_OPTIONS,
        }
    }

    /// The balance that it spends.
    const fn balance(self) -> u16 {
        match self {
            Path::Account | Path::Cash => name::TAG_9F79_BALANCE,
            Path::SecondCash => name::TAG_DF79_SECOND_BALANCE,
        }
    }

    /// The most that one payment can be.
    const fn single_limit(self) -> u16 {
        match self {
            Path::Account | Path::Cash => name::TAG_9F78_SINGLE_LIMIT,
            Path::SecondCash => name::TAG_DF78_SECOND_SINGLE_LIMIT,
        }
    }

    /// The element that GET DATA gives for a tag while a transaction has this path.
    pub(super) const fn element_for(self, tag: u16) -> u16 {
        match (self, tag) {
            (Path::SecondCash, name::TAG_9F79_BALANCE) => name::TAG_DF79_SECOND_BALANCE,
            (Path::SecondCash, name::TAG_9F77_BALANCE_LIMIT) => name::TAG_DF77_SECOND_BALANCE_LIMIT,
            (Path::SecondCash, name::TAG_9F78_SINGLE_LIMIT) => name::TAG_DF78_SECOND_SINGLE_LIMIT,
            (Path::SecondCash, name::TAG_9F6D_RESET_THRESHOLD) => {
                name::TAG_DF76_SECOND_RESET_THRESHOLD
            }
            (Path::SecondCash, name::TAG_9F6B_CVM_LIMIT) => name::TAG_DF72_SECOND_CVM_LIMIT,
            _ => tag,
        }
    }
}

impl Debit {
    /// The path of a transaction, by the values of the PDOL.
    ///
    /// E-cash asks for its indicator, a currency of the card, a payment within balance
    /// and single limit, no failed issuer authentication, no failed script, and a try
    /// left at the PIN.
    pub(super) fn path_for(&self, ctx: &Ctx<'_>, list: &[u8], data: &[u8]) -> Path {
        let given = |tag| in_list(list, data, tag);
        if given(name::TAG_9F7A_CASH_INDICATOR) != Some(&[0x01]) {
            return Path::Account;
        }
        let of = |tag| self.elements.array::<2>(ctx, tag);
        let Some(currency) = given(name::TAG_5F2A_CURRENCY) else {
            return Path::Account;
        };
        let path = if of(name::TAG_9F51_OWN_CURRENCY).is_some_and(|own| own == currency) {
            Path::Cash
        } else if of(name::TAG_DF71_SECOND_CASH_CURRENCY).is_some_and(|own| own == currency) {
            Path::SecondCash
        } else {
            return Path::Account;
        };
        let amount = given(name::TAG_9F02_AMOUNT).and_then(Amount::from_bcd);
        let within = |tag| match (amount, self.elements.amount(ctx, tag)) {
            (Some(amount), Some(limit)) => amount <= limit,
            _ => false,
        };
        let refused = self.ledger.issuer_failed.is_set(ctx)
            || self.ledger.script_failed.is_set(ctx)
            || self.pin_is_blocked(ctx)
            || self.setup.is_on(ctx, Switches::NEW_CARD_TAKES_NO_CASH)
                && ctx.get(&self.ledger.last_online_atc) == 0;
        let has_options = self.elements.has(ctx, name::DGI_9203_CASH_OPTIONS);
        if has_options && within(path.balance()) && within(path.single_limit()) && !refused {
            path
        } else {
            Path::Account
        }
    }

    /// Takes a payment off the balance.
    ///
    /// # Errors
    /// '6985' where it is more, which GET PROCESSING OPTIONS did not let through.
    pub(super) fn spend(&self, ctx: &mut Ctx<'_>, path: Path, amount: Amount) -> Result<(), Sw> {
        let balance = self.elements.amount(ctx, path.balance());
        let left = balance
            .and_then(|balance| balance.checked_sub(amount))
            .ok_or(Sw::CONDITIONS_NOT_MET)?;
        self.elements.put(ctx, path.balance(), &left.to_bcd())
    }

    /// The balance in the currency of a path.
    pub(super) fn balance(&self, ctx: &Ctx<'_>, path: Path) -> Amount {
        self.elements
            .amount(ctx, path.balance())
            .unwrap_or(Amount::ZERO)
    }
}
