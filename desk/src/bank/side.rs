//! The bank side of a profile: made ready for a card, and the host that answers it.

use super::authority::CertificateError;
use super::host::Bank;
use super::key::Keys;
use super::personalise::Prepared;
use crate::profile::BankSide;

impl BankSide {
    /// All that goes on a card: the directory, then each application.
    ///
    /// # Errors
    /// As [`Prepared::ordered`]; no profile that was read gives any.
    pub fn prepare(&self, masters: &Keys) -> Result<Vec<Prepared>, CertificateError> {
        let entries = self.applications.iter();
        let entries: Vec<_> = entries
            .map(|one| (one.ordered.aid(), one.ordered.label()))
            .collect();
        let mut prepared = vec![Prepared::directory(&entries)];
        for one in &self.applications {
            prepared.push(Prepared::ordered(&one.ordered, masters)?);
        }
        Ok(prepared)
    }

    /// The bank of the cards that are issued with this seed, each account as it was
    /// ordered.
    #[must_use]
    pub fn host(&self, seed: u64) -> Bank {
        let mut bank = Bank::from_seed(seed);
        for one in &self.applications {
            bank.open_for(&one.ordered, one.balance);
        }
        bank
    }
}
