//! The medical account from outside: what terminal and host send and check.
//!
//! ```text
//! load      INITIALIZE ─► balance, number, random, MAC1 ─► host: MAC2 ─► CREDIT ─► TAC
//! purchase  INITIALIZE ─► balance, sums, number, random ─► PSAM: MAC1 ─► DEBIT ─► TAC, MAC2
//! ```
//!
//! A number is the card's counter before the transaction. Session keys are of the
//! card's random number, that number, and the mark 8000 of a load or the last two
//! bytes of the terminal's own number of a purchase. The TAC has a key of its own and
//! no session.
//!
//! Source: social security card specification, part 7, 7, 8 and 15; part 4, 8; part 5,
//! the commands of class B0.

use cardlab::crypto::{Expanded, Key, derive};
use cardlab::fen::Fen;

/// The type of a load, in MACs and in the details file.
pub const TYPE_31_LOAD: u8 = 0x31;
/// The type of a purchase.
pub const TYPE_32_PURCHASE: u8 = 0x32;

/// Who pays how much of a purchase.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Amounts {
    /// The personal account on the card.
    pub account: Fen,
    /// The holder.
    pub own: Fen,
    /// The pooled fund.
    pub pooled: Fen,
}

impl Amounts {
    /// Their bytes, one after the other.
    #[must_use]
    pub fn to_bytes(&self) -> [u8; 12] {
        let mut bytes = [0; 12];
        let amounts = [self.account, self.own, self.pooled];
        for (field, amount) in bytes.as_chunks_mut().0.iter_mut().zip(amounts) {
            *field = amount.to_be_bytes();
        }
        bytes
    }
}

/// A load, as the host wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Load {
    /// The index of the load key.
    pub index: u8,
    /// How much.
    pub amount: Fen,
    /// The terminal's number.
    pub terminal: [u8; 6],
    /// The host's time, YYYYMMDDhhmmss in BCD.
    pub time: [u8; 7],
}

/// What INITIALIZE FOR LOAD answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct LoadOffer {
    /// The balance before the load.
    pub balance: Fen,
    /// How many loads there were.
    pub number: u16,
    /// The version of the load key.
    pub version: u8,
    /// Its algorithm: 00 triple DES, 03 SM4.
    pub algorithm: u8,
    /// The card's random number.
    pub random: [u8; 4],
    /// MAC1: by it the host knows the card.
    pub mac: [u8; 4],
}

impl LoadOffer {
    /// The offer in an answer; `None` where it has another length.
    #[must_use]
    pub fn parse(answer: &[u8]) -> Option<LoadOffer> {
        let (&balance, rest) = answer.split_first_chunk()?;
        let (&number, rest) = rest.split_first_chunk()?;
        let (&[version, algorithm], rest) = rest.split_first_chunk()?;
        let (&random, mac) = rest.split_first_chunk()?;
        Some(LoadOffer {
            balance: Fen::from_be_bytes(balance),
            number: u16::from_be_bytes(number),
            version,
            algorithm,
            random,
            mac: mac.try_into().ok()?,
        })
    }
}

impl Load {
    /// The data of INITIALIZE FOR LOAD.
    #[must_use]
    pub fn initialize_data(&self) -> Vec<u8> {
        let amount = self.amount.to_be_bytes();
        [&[self.index][..], &amount, &self.terminal].concat()
    }

    /// The data of CREDIT FOR LOAD.
    #[must_use]
    pub fn credit_data(&self, mac2: [u8; 4]) -> Vec<u8> {
        [&self.time[..], &mac2].concat()
    }

    /// MAC1 of an offer, by the load key.
    #[must_use]
    pub fn mac1(&self, dlk: &Key, offer: &LoadOffer) -> Option<[u8; 4]> {
        let balance = offer.balance.to_be_bytes();
        let amount = self.amount.to_be_bytes();
        let session = load_session(dlk, offer)?;
        let parts: [&[u8]; 4] = [&balance, &amount, &[TYPE_31_LOAD], &self.terminal];
        Some(derive::mac(&session, &parts))
    }

    /// MAC2 for an offer, by the load key: the host's consent.
    #[must_use]
    pub fn mac2(&self, dlk: &Key, offer: &LoadOffer) -> Option<[u8; 4]> {
        let amount = self.amount.to_be_bytes();
        let session = load_session(dlk, offer)?;
        let parts: [&[u8]; 4] = [&amount, &[TYPE_31_LOAD], &self.terminal, &self.time];
        Some(derive::mac(&session, &parts))
    }

    /// The TAC, by the certificate key; `None` where the balance has no room.
    #[must_use]
    pub fn tac(&self, dtk: &Key, offer: &LoadOffer) -> Option<[u8; 4]> {
        let balance = offer.balance.checked_add(self.amount)?.to_be_bytes();
        let (number, amount) = (offer.number.to_be_bytes(), self.amount.to_be_bytes());
        let parts: [&[u8]; 6] = [
            &balance,
            &number,
            &amount,
            &[TYPE_31_LOAD],
            &self.terminal,
            &self.time,
        ];
        Some(derive::mac(&derive::tac_key(dtk).expand(), &parts))
    }
}

/// A purchase, as the terminal wants it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Purchase {
    /// The index of the purchase key.
    pub index: u8,
    /// Who pays how much.
    pub amounts: Amounts,
    /// The terminal's number.
    pub terminal: [u8; 6],
    /// The number that the terminal gives the transaction.
    pub terminal_number: [u8; 4],
    /// The terminal's time, YYYYMMDDhhmmss in BCD.
    pub time: [u8; 7],
}

/// What INITIALIZE FOR PURCHASE answers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct PurchaseOffer {
    /// The balance before the purchase.
    pub balance: Fen,
    /// What the holder paid in the year of payment so far.
    pub own: Fen,
    /// What the pooled fund paid in it so far.
    pub pooled: Fen,
    /// That year, four BCD digits.
    pub year: [u8; 2],
    /// How many purchases there were.
    pub number: u16,
    /// The version of the purchase key.
    pub version: u8,
    /// Its algorithm: 00 triple DES, 03 SM4.
    pub algorithm: u8,
    /// The card's random number.
    pub random: [u8; 4],
}

impl PurchaseOffer {
    /// The offer in an answer; `None` where it has another length.
    #[must_use]
    pub fn parse(answer: &[u8]) -> Option<PurchaseOffer> {
        let (&balance, rest) = answer.split_first_chunk()?;
        let (&own, rest) = rest.split_first_chunk()?;
        let (&pooled, rest) = rest.split_first_chunk()?;
        let (&year, rest) = rest.split_first_chunk()?;
        let (&number, rest) = rest.split_first_chunk()?;
        let (&[version, algorithm], random) = rest.split_first_chunk()?;
        Some(PurchaseOffer {
            balance: Fen::from_be_bytes(balance),
            own: Fen::from_be_bytes(own),
            pooled: Fen::from_be_bytes(pooled),
            year,
            number: u16::from_be_bytes(number),
            version,
            algorithm,
            random: random.try_into().ok()?,
        })
    }
}

impl Purchase {
    /// The data of INITIALIZE FOR PURCHASE.
    #[must_use]
    pub fn initialize_data(&self) -> Vec<u8> {
        let amounts = self.amounts.to_bytes();
        [&[self.index][..], &amounts, &self.terminal].concat()
    }

    /// The data of DEBIT FOR PURCHASE.
    #[must_use]
    pub fn debit_data(&self, mac1: [u8; 4]) -> Vec<u8> {
        [&self.terminal_number[..], &self.time, &mac1].concat()
    }

    /// MAC1 for an offer, by the purchase key: by it the card knows the terminal.
    #[must_use]
    pub fn mac1(&self, dpk: &Key, offer: &PurchaseOffer) -> Option<[u8; 4]> {
        let amounts = self.amounts.to_bytes();
        let session = self.session(dpk, offer)?;
        let parts: [&[u8]; 4] = [&amounts, &[TYPE_32_PURCHASE], &self.terminal, &self.time];
        Some(derive::mac(&session, &parts))
    }

    /// MAC2 of a debit, by the purchase key: by it the terminal knows the card.
    #[must_use]
    pub fn mac2(&self, dpk: &Key, offer: &PurchaseOffer) -> Option<[u8; 4]> {
        let session = self.session(dpk, offer)?;
        Some(derive::mac(&session, &[&self.amounts.to_bytes()]))
    }

    /// The TAC, by the certificate key.
    #[must_use]
    pub fn tac(&self, dtk: &Key) -> [u8; 4] {
        let amounts = self.amounts.to_bytes();
        let parts: [&[u8]; 5] = [
            &amounts,
            &[TYPE_32_PURCHASE],
            &self.terminal,
            &self.terminal_number,
            &self.time,
        ];
        derive::mac(&derive::tac_key(dtk).expand(), &parts)
    }

    fn session(&self, dpk: &Key, offer: &PurchaseOffer) -> Option<Expanded> {
        let [_, _, high, low] = self.terminal_number;
        session(dpk, offer.random, offer.number, [high, low])
    }
}

fn load_session(dlk: &Key, offer: &LoadOffer) -> Option<Expanded> {
    session(dlk, offer.random, offer.number, [0x80, 0x00])
}

fn session(key: &Key, random: [u8; 4], number: u16, more: [u8; 2]) -> Option<Expanded> {
    let input = [&random[..], &number.to_be_bytes(), &more].concat();
    Some(derive::session_key(&key.expand(), &input)?.expand())
}

#[cfg(test)]
mod tests {
    use super::{Amounts, Fen, Load, LoadOffer, Purchase, PurchaseOffer};
    use crate::profile::Algorithm;
    use cardlab::crypto::Key;

    const TIME: [u8; 7] = [0x20, 0x26, 0x01, 0x02, 0x08, 0x30, 0x00];
    const TERMINAL: [u8; 6] = [0x41, 0x16, 0x00, 0x00, 0x00, 0x01];

    fn key(algorithm: Algorithm) -> Key {
        let bytes: Vec<u8> = (0..16).collect();
        Key::new(algorithm, &bytes).unwrap()
    }

    fn load() -> Load {
        Load {
            index: 1,
            amount: Fen::new(1000),
            terminal: TERMINAL,
            time: TIME,
        }
    }

    fn purchase() -> Purchase {
        Purchase {
            index: 1,
            amounts: Amounts {
                account: Fen::new(100),
                own: Fen::new(20),
                pooled: Fen::new(3),
            },
            terminal: TERMINAL,
            terminal_number: [0, 0, 0, 7],
            time: TIME,
        }
    }

    #[test]
    fn commands_have_the_lengths_of_the_specification() {
        assert_eq!(load().initialize_data().len(), 0x0B);
        assert_eq!(load().credit_data([0; 4]).len(), 0x0B);
        assert_eq!(purchase().initialize_data().len(), 0x13);
        assert_eq!(purchase().debit_data([0; 4]).len(), 0x0F);
    }

    #[test]
    fn answers_of_another_length_are_no_offers() {
        for len in 0..40 {
            let answer = vec![1; len];
            assert_eq!(LoadOffer::parse(&answer).is_some(), len == 0x10);
            assert_eq!(PurchaseOffer::parse(&answer).is_some(), len == 0x16);
        }
    }

    #[test]
    fn each_field_counts_in_each_code_that_covers_it() {
        for algorithm in [Algorithm::Des, Algorithm::Sm4] {
            let key = key(algorithm);
            let offer = PurchaseOffer::default();
            let base = purchase();
            let codes = |p: &Purchase, offer: &PurchaseOffer| {
                [
                    p.mac1(&key, offer).unwrap(),
                    p.mac2(&key, offer).unwrap(),
                    p.tac(&key),
                ]
            };
            let plain = codes(&base, &offer);
            let changed = |p: Purchase, offer: PurchaseOffer| {
                let other = codes(&p, &offer);
                [0, 1, 2].map(|at| other[at] != plain[at])
            };
            let amounts = Amounts {
                own: Fen::new(21),
                ..base.amounts
            };
            let cases = [
                (Purchase { amounts, ..base }, offer, [true, true, true]),
                (
                    Purchase {
                        time: [0x20; 7],
                        ..base
                    },
                    offer,
                    [true, false, true],
                ),
                (
                    Purchase {
                        terminal: [0; 6],
                        ..base
                    },
                    offer,
                    [true, false, true],
                ),
                (
                    Purchase {
                        terminal_number: [1, 0, 0, 7],
                        ..base
                    },
                    offer,
                    [false, false, true],
                ),
                (
                    Purchase {
                        terminal_number: [0, 0, 0, 8],
                        ..base
                    },
                    offer,
                    [true, true, true],
                ),
                (
                    base,
                    PurchaseOffer { number: 1, ..offer },
                    [true, true, false],
                ),
            ];
            for (index, (p, offer, expected)) in cases.into_iter().enumerate() {
                assert_eq!(changed(p, offer), expected, "{index}");
            }
        }
    }

    #[test]
    fn a_load_beyond_the_greatest_balance_has_no_certificate() {
        let key = key(Algorithm::Sm4);
        let offer = LoadOffer {
            balance: Fen::MAX,
            ..LoadOffer::default()
        };
        assert_eq!(load().tac(&key, &offer), None);
        assert!(load().tac(&key, &LoadOffer::default()).is_some());
    }
}
