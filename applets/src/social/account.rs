//! The hidden money file: what a medical account is worth, and what proves it.
//!
//! | at | len | what                                                        |
//! |----|-----|-------------------------------------------------------------|
//! | 0  | 2   | counter of loads                                            |
//! | 2  | 2   | counter of purchases                                        |
//! | 4  | 4   | balance of the personal account, fen                        |
//! | 8  | 4   | paid by the holder in the year of payment, fen              |
//! | 12 | 4   | paid from the pooled fund in the year of payment, fen       |
//! | 16 | 2   | year of payment, YYYY                                       |
//! | 18 | 2   | its starting day, MMDD                                      |
//! | 20 | 11  | the last load: 1, its number, its MAC, its TAC; 0 for none  |
//! | 31 | 11  | the last purchase, likewise                                 |
//!
//! The first 20 bytes are the specification's. No command reads the file as it lies;
//! it is found from its directory (`data.rs`) and is no file of the tree.
//!
//! Source: social security card specification, part 6, 6 (DF04); part 7, 8 and 14.

use super::command::{Amounts, Trade};
use super::data;
use cardlab::apdu::Sw;
use cardlab::applet::Ctx;
use cardlab::fen::Fen;
use cardlab::files::Directory;
use cardlab::memory::Object;

/// The bytes that the issuer writes.
pub(super) const MONEY_LEN: usize = 20;
const PROOF_LEN: usize = 11;
#[expect(clippy::cast_possible_truncation, reason = "42 bytes")]
const ACCOUNT_LEN: u32 = (MONEY_LEN + 2 * PROOF_LEN) as u32;

/// What an account is worth.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Money {
    /// How many loads there were.
    pub(super) loads: u16,
    /// How many purchases there were.
    pub(super) purchases: u16,
    /// What is in the personal account.
    pub(super) balance: Fen,
    /// What the holder paid in the year of payment.
    pub(super) own: Fen,
    /// What the pooled fund paid in the year of payment.
    pub(super) pooled: Fen,
    /// The year of payment.
    pub(super) year: [u8; 2],
    /// Month and day on which it starts.
    pub(super) starting_day: [u8; 2],
}

/// The number that packed decimal digits are; `None` where one is not decimal.
pub(super) fn decimal(bcd: &[u8]) -> Option<u64> {
    bcd.iter().try_fold(0, |number, byte| {
        let (tens, ones) = (byte >> 4, byte & 0x0F);
        (tens < 10 && ones < 10).then_some(number * 100 + u64::from(tens * 10 + ones))
    })
}

/// Four packed decimal digits, the last four of the number.
fn packed(number: u64) -> [u8; 2] {
    let pair = |pair: u64| {
        let [byte, ..] = (pair / 10 % 10 * 16 + pair % 10).to_le_bytes();
        byte
    };
    [pair(number / 100), pair(number)]
}

/// Whether this is a month and a day of it.
pub(super) fn is_day(mmdd: [u8; 2]) -> bool {
    let [month, day] = mmdd.map(|byte| decimal(&[byte]));
    let last = match month {
        Some(2) => 29,
        Some(4 | 6 | 9 | 11) => 30,
        Some(1..=12) => 31,
        _ => return false,
    };
    day.is_some_and(|day| (1..=last).contains(&day))
}

impl Money {
    /// The money that the issuer writes; `None` where year or starting day are not
    /// decimal.
    pub(super) fn from_bytes(bytes: &[u8; MONEY_LEN]) -> Option<Money> {
        let half = |at: usize| [bytes[at], bytes[at + 1]];
        let amount = |at: usize| {
            let [a, b] = half(at);
            let [c, d] = half(at + 2);
            Fen::from_be_bytes([a, b, c, d])
        };
        let (year, starting_day) = (half(16), half(18));
        decimal(&year)?;
        decimal(&starting_day)?;
        Some(Money {
            loads: u16::from_be_bytes(half(0)),
            purchases: u16::from_be_bytes(half(2)),
            balance: amount(4),
            own: amount(8),
            pooled: amount(12),
            year,
            starting_day,
        })
    }

    fn to_bytes(self) -> [u8; MONEY_LEN] {
        let mut bytes = [0; MONEY_LEN];
        bytes[..2].copy_from_slice(&self.loads.to_be_bytes());
        bytes[2..4].copy_from_slice(&self.purchases.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.balance.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.own.to_be_bytes());
        bytes[12..16].copy_from_slice(&self.pooled.to_be_bytes());
        bytes[16..18].copy_from_slice(&self.year);
        bytes[18..].copy_from_slice(&self.starting_day);
        bytes
    }

    /// After a load; `None` where the balance or the counter has no room for it.
    pub(super) fn loaded(self, amount: Fen) -> Option<Money> {
        Some(Money {
            loads: self.loads.checked_add(1)?,
            balance: self.balance.checked_add(amount)?,
            ..self
        })
    }

    /// After a purchase on a date, with the sums of its year of payment; `None` where
    /// the balance is too small or a sum or the counter has no room.
    pub(super) fn spent(self, amounts: &Amounts, yyyymmdd: u64) -> Option<Money> {
        let paid = self.paid_from_account(amounts.account)?;
        let start = decimal(&self.year)? * 10_000 + decimal(&self.starting_day)?;
        let years = yyyymmdd.saturating_sub(start) / 10_000;
        if years == 0 {
            return Some(Money {
                own: self.own.checked_add(amounts.own)?,
                pooled: self.pooled.checked_add(amounts.pooled)?,
                ..paid
            });
        }
        Some(Money {
            own: amounts.own,
            pooled: amounts.pooled,
            year: packed(decimal(&self.year)? + years),
            ..paid
        })
    }

    /// After a purchase of an account that keeps no sums.
    pub(super) fn paid_from_account(self, amount: Fen) -> Option<Money> {
        Some(Money {
            purchases: self.purchases.checked_add(1)?,
            balance: self.balance.checked_sub(amount)?,
            ..self
        })
    }

    /// As an account that keeps no sums shows itself.
    pub(super) const fn without_sums(self) -> Money {
        Money {
            own: Fen::ZERO,
            pooled: Fen::ZERO,
            year: [0; 2],
            ..self
        }
    }
}

/// What a finished transaction is proven with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Proof {
    /// The counter before the transaction.
    pub(super) number: u16,
    /// The MAC that went over the wire last: MAC2.
    pub(super) mac: [u8; 4],
    /// The transaction certificate.
    pub(super) tac: [u8; 4],
}

/// The account of one directory.
#[derive(Clone, Copy, Debug)]
pub(super) struct Account(Object);

impl Account {
    /// The account of a directory.
    pub(super) fn of(ctx: &Ctx<'_>, directory: &Directory) -> Option<Account> {
        data::account(ctx, directory).map(Account)
    }

    /// Writes the money of a directory's account as its issuer wants it; there is no
    /// proof of any transaction then.
    ///
    /// # Errors
    /// '6A84'.
    pub(super) fn create(ctx: &mut Ctx<'_>, directory: &Directory, money: Money) -> Result<(), Sw> {
        let object = data::account_of(ctx, directory, ACCOUNT_LEN)?;
        ctx.write(object, 0, &[0; ACCOUNT_LEN as usize]);
        Account(object).set_money(ctx, money);
        Ok(())
    }

    /// What it is worth.
    ///
    /// # Errors
    /// '6985', which only memory that was not written here can give.
    pub(super) fn money(self, ctx: &Ctx<'_>) -> Result<Money, Sw> {
        Money::from_bytes(&ctx.read_array(self.0, 0)).ok_or(Sw::CONDITIONS_NOT_MET)
    }

    /// Sets what it is worth.
    pub(super) fn set_money(self, ctx: &mut Ctx<'_>, money: Money) {
        ctx.write(self.0, 0, &money.to_bytes());
    }

    /// The proof of the last transaction of a type.
    pub(super) fn proof(self, ctx: &Ctx<'_>, trade: Trade) -> Option<Proof> {
        let bytes: [u8; PROOF_LEN] = ctx.read_array(self.0, at_proof(trade));
        match bytes {
            [1, n, m, a, b, c, d, tac @ ..] => Some(Proof {
                number: u16::from_be_bytes([n, m]),
                mac: [a, b, c, d],
                tac,
            }),
            _ => None,
        }
    }

    /// Keeps the proof of a transaction in place of the one before of its type.
    pub(super) fn set_proof(self, ctx: &mut Ctx<'_>, trade: Trade, proof: &Proof) {
        let mut bytes = [1; PROOF_LEN];
        bytes[1..3].copy_from_slice(&proof.number.to_be_bytes());
        bytes[3..7].copy_from_slice(&proof.mac);
        bytes[7..].copy_from_slice(&proof.tac);
        ctx.write(self.0, at_proof(trade), &bytes);
    }
}

const fn at_proof(trade: Trade) -> u32 {
    match trade {
        Trade::Load => 20,
        Trade::Purchase => 31,
    }
}

#[cfg(test)]
mod tests {
    use super::{Amounts, Money, decimal, is_day, packed};
    use cardlab::fen::Fen;

    const MONEY: Money = Money {
        loads: 0,
        purchases: 0,
        balance: Fen::new(100),
        own: Fen::new(7),
        pooled: Fen::new(8),
        year: [0x20, 0x25],
        starting_day: [0x04, 0x01],
    };

    fn amounts(account: u32) -> Amounts {
        Amounts {
            account: Fen::new(account),
            own: Fen::new(1),
            pooled: Fen::new(2),
        }
    }

    #[test]
    fn packed_digits_are_decimal_and_nothing_else_is() {
        for number in 0..=9999 {
            assert_eq!(decimal(&packed(number)), Some(number));
        }
        assert_eq!(decimal(&[0x1A]), None);
        assert_eq!(decimal(&[0xA1]), None);
    }

    #[test]
    fn a_year_has_366_days() {
        let days = (0..=u16::MAX).filter(|day| is_day(day.to_be_bytes()));
        assert_eq!(days.count(), 366);
    }

    #[test]
    fn sums_go_on_within_the_year_of_payment_and_begin_anew_with_the_next() {
        for (date, year, own) in [
            (20_250_401, [0x20, 0x25], 8),
            (20_260_331, [0x20, 0x25], 8),
            // A terminal whose clock is behind.
            (20_240_101, [0x20, 0x25], 8),
            (20_260_401, [0x20, 0x26], 1),
            // The year in which the date lies, which began in the calendar year before.
            (20_290_331, [0x20, 0x28], 1),
        ] {
            let money = MONEY.spent(&amounts(100), date).unwrap();
            assert_eq!((money.year, money.own.count()), (year, own), "{date}");
            assert_eq!((money.balance, money.purchases), (Fen::ZERO, 1));
        }
    }

    #[test]
    fn what_has_no_room_is_not_done() {
        assert_eq!(MONEY.spent(&amounts(101), 20_250_401), None);
        let full = Money {
            pooled: Fen::MAX,
            purchases: u16::MAX - 1,
            loads: u16::MAX,
            ..MONEY
        };
        assert_eq!(full.spent(&amounts(1), 20_250_401), None);
        let spent = full.spent(&amounts(1), 20_260_401).unwrap();
        assert_eq!(spent.spent(&amounts(1), 20_260_401), None);
        assert_eq!(full.loaded(Fen::ZERO), None);
        assert_eq!(MONEY.loaded(Fen::MAX), None);
        assert_eq!(Money::from_bytes(&full.to_bytes()), Some(full));
    }
}
