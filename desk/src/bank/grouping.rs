//! The data groupings that a bank application becomes, and those of the directory.
//!
//! | file, record | what                                                              |
//! |--------------|-------------------------------------------------------------------|
//! | 1.1, 1.2     | account as on a magnetic stripe; holder                           |
//! | 2.1 to 2.4   | account: signed data; card's certificate; static data; limits     |
//! | 2.5 to 2.7   | the same for electronic cash, without limits                      |
//! | 3.1 to 3.3   | issuer's certificate; what goes with it; the lists                |
//! | 3.4          | exponent and rest of the card's key, where 2.2 has no room for them |
//! | 4.1          | '9F74', which makes a transaction one with electronic cash        |
//! | 5.1, 5.2     | the SM set: issuer's certificate; what goes with it               |
//! | 5.3, 5.4     | of the account: card's certificate; static data                   |
//! | 5.5, 5.6     | the same for electronic cash                                      |
//!
//! Each locator names one copy of each data element, as terminals ask for; only those of
//! electronic cash name 4.1. Records 2.1 and 2.5 are authenticated, and with them the
//! profile '82'. An application with static authentication alone has no 2.2 and 2.6, and
//! no 5.3 and 5.5.
//!
//! The SM set has locators of its own, which name file 5 in place of certificates and
//! static data by RSA; no other names it. It takes besides, and this is experimental: the
//! keys of SM4, '8030', with '9030'; the card's key of SM2, '8100'; options in place of
//! those of the account, '9114', and of electronic cash, '9213'; 'DF69' at the end of the
//! list that a terminal fills first.
//!
//! Source: JR/T 0025.5, 0025.13 and 0025.17, by public material; EMV 4.4 book 3, 7.5 and
//! 10.3; the order of the groupings is that of a public personalisation tool, the numbers
//! of the SM set are those of a bureau's, of which '9114' and '9213' are inferred.

use super::application::{
    AUTHORITY_INDEX, Application, Authentication, CDOL1, CDOL2, Dual, Grouping, KeyLength, Limits,
    PDOL, PDOL_SM, YUAN,
};
use super::authority::{
    Certificate, CertificateError, Subject, certify_card, certify_issuer, sign_static_data,
};
use super::authority_sm2;
use super::key::Keys;
use super::rsa::{RsaPair, Whose};
use super::sm2::{self, Sm2Pair};
use cardlab::aid::Aid;
use cardlab::crypto::RsaPublic;
use cardlab::crypto::sm2::PublicKey as Sm2Public;
use cardlab::fen::Fen;
use cardlab::tag;
use cardlab::tlv::{self, Tag, Writer};

/// What is in a record of a transaction, and of a load.
const LOG_FORMAT: &[u8] = &[
    0x9A, 0x03, 0x9F, 0x21, 0x03, 0x9F, 0x02, 0x06, 0x9F, 0x03, 0x06, 0x9F, 0x1A, 0x02, 0x5F, 0x2A,
    0x02, 0x9F, 0x4E, 0x14, 0x9C, 0x01, 0x9F, 0x36, 0x02,
];
const LOAD_LOG_FORMAT: &[u8] = &[
    0x9A, 0x03, 0x9F, 0x21, 0x03, 0x9F, 0x1A, 0x02, 0x9F, 0x4E, 0x14, 0x9F, 0x36, 0x02,
];
/// Where the logs are: files 11 and 12, 10 records each.
const LOGS: &[u8] = &[0x9F, 0x4D, 0x02, 0x0B, 0x0A, 0xDF, 0x4D, 0x02, 0x0C, 0x0A];
/// The data authentication code of signed static data.
const AUTHENTICATION_CODE: [u8; 2] = [0xDA, 0xC0];
/// Exponent and rest of a card's key, as a record has them.
fn rest_of_key<'w, 'b>(record: &'w mut Writer<'b>, own: &Certificate) -> &'w mut Writer<'b> {
    record.object(tag!(0x9F47), &own.exponent);
    if !own.remainder.is_empty() {
        record.object(tag!(0x9F48), &own.remainder);
    }
    record
}

impl Application {
    /// The groupings that make this application of an instance of the bank applet, with
    /// certificates of the authority for tests, in the order of sending; those that it
    /// was ordered with stand in place of the ones of their numbers, new ones at the end.
    ///
    /// # Errors
    /// [`CertificateError::TooLong`] for a long key of a card under a usual one of its
    /// issuer.
    pub fn groupings(&self, keys: &Keys) -> Result<Vec<Grouping>, CertificateError> {
        let mut groupings = vec![grouping(0x9104, self.options(&self.account_afl()))];
        if self.cash.is_some() {
            groupings.push(grouping(0x9203, self.options(&self.cash_afl())));
        }
        if self.sm_algorithms {
            groupings.push(grouping(0x9114, self.options(&self.account_afl_sm())));
            if self.cash.is_some() {
                groupings.push(grouping(0x9213, self.options(&self.cash_afl_sm())));
            }
        }
        groupings.extend([
            grouping(0x9102, self.fci()),
            grouping(
                0x0101,
                record(|record| {
                    record.object(tag!(0x57), &self.stripe());
                }),
            ),
            grouping(
                0x0102,
                record(|record| {
                    record
                        .object(tag!(0x5F20), self.holder.as_bytes())
                        .object(tag!(0x9F61), self.holder_id.as_bytes())
                        .object(tag!(0x9F62), &[0x00]);
                }),
            ),
        ]);
        let rest = self.add_copies(&mut groupings)?;
        self.add_issuer(rest.as_ref(), &mut groupings)?;
        if self.sm_algorithms {
            self.add_sm(&mut groupings)?;
        }
        groupings.extend([
            grouping(0x0D01, self.limits()),
            grouping(0x0E01, self.defaults()),
            grouping(
                0x9200,
                objects(|data| {
                    data.object(tag!(0x9F10), &self.issuer_data());
                }),
            ),
            grouping(0x8000, keys.des.to_bytes()),
            grouping(0x9000, keys.des.check_values()),
        ]);
        if self.sm_algorithms {
            groupings.push(grouping(0x8030, keys.sm4.to_bytes()));
            groupings.push(grouping(0x9030, keys.sm4.check_values()));
        }
        if self.has_card_key() {
            for (number, part) in (0x8201..=0x8205).rev().zip(self.card_pair().parts()) {
                groupings.push(grouping(number, padded(part)));
            }
            if self.sm_algorithms {
                let private = self.card_pair_sm2().private();
                groupings.push(grouping(0x8100, private.expose().to_vec()));
            }
        }
        // A PIN that is none makes no block, and the card refuses the grouping.
        let pin = cardlab::crypto::pboc::plain_pin_block(&self.pin).unwrap_or_default();
        groupings.push(grouping(0x8010, pin.to_vec()));
        groupings.push(grouping(0x9010, vec![self.pin_tries; 2]));
        for own in &self.groupings {
            let made = groupings.iter_mut().find(|made| made.number == own.number);
            match made {
                Some(made) => made.data.clone_from(&own.data),
                None => groupings.push(own.clone()),
            }
        }
        Ok(groupings)
    }

    /// The card's public keys that it is made with, by RSA and, where it has the SM set, by
    /// SM2.
    pub(super) fn public_keys(&self) -> (Option<&'static RsaPublic>, Option<&'static Sm2Public>) {
        if !self.has_card_key() {
            return (None, None);
        }
        let sm2 = self.sm_algorithms.then(|| self.card_pair_sm2().public());
        (Some(self.card_pair().public()), sm2)
    }

    const fn has_card_key(&self) -> bool {
        !matches!(self.authentication, Authentication::Static)
    }

    /// What chooses the card's key pair among those for tests.
    fn number(&self) -> u64 {
        self.account.bytes().fold(0, |sum: u64, digit| {
            sum.wrapping_mul(10).wrapping_add(u64::from(digit & 0x0F))
        })
    }

    fn card_pair_sm2(&self) -> &'static Sm2Pair {
        Sm2Pair::of(sm2::Whose::Card(self.number()))
    }

    fn card_pair(&self) -> &'static RsaPair {
        RsaPair::of(match self.card_key {
            KeyLength::Usual => Whose::Card(self.number()),
            KeyLength::Long => Whose::LongCard,
        })
    }

    fn issuer_pair(&self) -> &'static RsaPair {
        RsaPair::of(match self.issuer_key {
            KeyLength::Usual => Whose::Issuer,
            KeyLength::Long => Whose::LongIssuer,
        })
    }

    /// Whether a certificate of the card leaves no room in its record for what goes with
    /// it.
    const fn rest_is_apart(&self) -> bool {
        self.has_card_key() && matches!(self.issuer_key, KeyLength::Long)
    }

    /// The application interchange profile, '82'.
    #[must_use]
    pub const fn aip(&self) -> [u8; 2] {
        // Card holder verification, terminal risk management, issuer authentication.
        let always = 0x1C;
        match self.authentication {
            Authentication::Static => [always | 0x40, 0x00],
            Authentication::Dynamic => [always | 0x60, 0x00],
            Authentication::Combined => [always | 0x61, 0x00],
        }
    }

    fn options(&self, afl: &[u8]) -> Vec<u8> {
        objects(|options| {
            options
                .object(tag!(0x82), &self.aip())
                .object(tag!(0x94), afl);
        })
    }

    fn account_afl(&self) -> Vec<u8> {
        let last = if self.rest_is_apart() { 4 } else { 3 };
        let signed: &[u8] = if self.has_card_key() {
            &[0x10, 1, 4, 1]
        } else {
            &[0x10, 1, 1, 1, 0x10, 3, 4, 0]
        };
        [&[0x08, 1, 2, 0][..], signed, &[0x18, 1, last, 0]].concat()
    }

    fn cash_afl(&self) -> Vec<u8> {
        let last = if self.rest_is_apart() { 4 } else { 3 };
        let signed: &[u8] = if self.has_card_key() {
            &[0x10, 5, 7, 1]
        } else {
            &[0x10, 5, 5, 1, 0x10, 7, 7, 0]
        };
        let last = [0x18, 1, last, 0, 0x20, 1, 1, 0];
        [&[0x08, 1, 2, 0][..], signed, &last].concat()
    }

    fn account_afl_sm(&self) -> Vec<u8> {
        let own: &[u8] = if self.has_card_key() {
            &[0x28, 1, 4, 0]
        } else {
            &[0x28, 1, 2, 0, 0x28, 4, 4, 0]
        };
        let common = [0x08, 1, 2, 0, 0x10, 1, 1, 1, 0x10, 4, 4, 0, 0x18, 3, 3, 0];
        [&common[..], own].concat()
    }

    fn cash_afl_sm(&self) -> Vec<u8> {
        let first = if self.has_card_key() { 5 } else { 6 };
        let common = [0x08, 1, 2, 0, 0x10, 5, 5, 1, 0x18, 3, 3, 0, 0x20, 1, 1, 0];
        [&common[..], &[0x28, 1, 2, 0, 0x28, first, 6, 0]].concat()
    }

    /// The data of the account, or of electronic cash, that are authenticated.
    fn signed_data(&self, cash: bool) -> Vec<u8> {
        const ACCOUNT: [[u8; 5]; 3] = [
            [0xD8, 0x60, 0x04, 0xA8, 0x00],
            [0x00, 0x10, 0x98, 0x00, 0x00],
            [0xD8, 0x68, 0x04, 0xF8, 0x00],
        ];
        const CASH: [[u8; 5]; 3] = [
            [0xD8, 0x60, 0x3C, 0xA8, 0x00],
            [0x00, 0x10, 0x80, 0x00, 0x00],
            [0xD8, 0x68, 0x3C, 0xF8, 0x00],
        ];
        let (methods, [default, denial, online]) = if cash {
            (&self.cash_methods, CASH)
        } else {
            (&self.methods, ACCOUNT)
        };
        objects(|record| {
            record
                .object(tag!(0x5F25), &self.effective)
                .object(tag!(0x5F24), &self.expiry)
                .object(tag!(0x5A), &packed(&self.account, None))
                .object(tag!(0x9F07), &[0xFF, 0x00])
                .object(tag!(0x8E), methods)
                .object(tag!(0x9F0D), &default)
                .object(tag!(0x9F0E), &denial)
                .object(tag!(0x9F0F), &online)
                .object(tag!(0x5F28), &YUAN);
        })
    }

    /// The records that differ between the account and its electronic cash; the card's
    /// certificate where the rest of it goes elsewhere.
    fn add_copies(
        &self,
        groupings: &mut Vec<Grouping>,
    ) -> Result<Option<Certificate>, CertificateError> {
        let issuer = self.issuer_pair();
        let mut copies = vec![(0x0201, false)];
        if self.cash.is_some() {
            copies.push((0x0205, true));
        }
        let mut rest = None;
        for (first, cash) in copies {
            let signed = self.signed_data(cash);
            let data = [&signed[..], &self.aip()].concat();
            groupings.push(grouping(
                first,
                record(|record| {
                    record.raw(&signed);
                }),
            ));
            if self.has_card_key() {
                let own = self.certificate(issuer, &data)?;
                groupings.push(grouping(
                    first + 1,
                    record(|record| {
                        record.object(tag!(0x9F46), &own.certificate);
                        if !self.rest_is_apart() {
                            rest_of_key(record, &own);
                        }
                    }),
                ));
                rest = self.rest_is_apart().then_some(own);
            }
            let statics = sign_static_data(issuer, AUTHENTICATION_CODE, &data)?;
            groupings.push(grouping(
                first + 2,
                record(|record| {
                    record.object(tag!(0x93), &statics);
                }),
            ));
            if !cash {
                let Limits { lower, upper, .. } = self.limits;
                groupings.push(grouping(
                    0x0204,
                    record(|record| {
                        record
                            .object(tag!(0x9F14), &[lower])
                            .object(tag!(0x9F23), &[upper]);
                    }),
                ));
            }
        }
        Ok(rest)
    }

    fn certificate(&self, issuer: &RsaPair, data: &[u8]) -> Result<Certificate, CertificateError> {
        let card = self.card_pair().public();
        certify_card(
            issuer,
            card,
            self.certified_account(),
            &self.subject(),
            data,
        )
    }

    /// What a certificate of the card says besides.
    const fn subject(&self) -> Subject {
        let [year, month, _] = self.expiry;
        Subject {
            expiry: [month, year],
            serial: [0, 0, 1],
        }
    }

    /// The account as certificates have it, filled with F.
    fn certified_account(&self) -> [u8; 10] {
        let name = packed(&self.account, Some(10));
        name.try_into().unwrap_or([0xFF; 10])
    }

    /// The leftmost digits of the account, by which certificates know the issuer.
    fn issuer_identifier(&self) -> [u8; 4] {
        // An even number of digits: a terminal is known that takes no odd one.
        let mut identifier = [0xFF; 4];
        let digits = packed(&self.account, None);
        for (to, from) in identifier.iter_mut().zip(digits).take(3) {
            *to = from;
        }
        identifier
    }

    /// The records of the SM set.
    fn add_sm(&self, groupings: &mut Vec<Grouping>) -> Result<(), CertificateError> {
        let authority = Sm2Pair::of(sm2::Whose::Authority);
        let issuer = Sm2Pair::of(sm2::Whose::Issuer);
        let certificate = authority_sm2::certify_issuer(
            authority,
            issuer.public(),
            self.issuer_identifier(),
            &ISSUER_SUBJECT,
        )?;
        groupings.push(grouping(
            0x0501,
            record(|record| {
                record.object(tag!(0x90), &certificate);
            }),
        ));
        groupings.push(grouping(
            0x0502,
            record(|record| {
                record.object(tag!(0x8F), &[AUTHORITY_INDEX]);
                self.rest_of_issuer(record);
            }),
        ));
        let mut copies = vec![(0x0503, false)];
        if self.cash.is_some() {
            copies.push((0x0505, true));
        }
        for (first, cash) in copies {
            let data = [&self.signed_data(cash)[..], &self.aip()].concat();
            if self.has_card_key() {
                let card = self.card_pair_sm2().public();
                let (account, subject) = (self.certified_account(), self.subject());
                let own = authority_sm2::certify_card(issuer, card, account, &subject, &data)?;
                groupings.push(grouping(
                    first,
                    record(|record| {
                        record.object(tag!(0x9F46), &own);
                    }),
                ));
            }
            let statics = authority_sm2::sign_static_data(issuer, AUTHENTICATION_CODE, &data)?;
            groupings.push(grouping(
                first + 1,
                record(|record| {
                    record.object(tag!(0x93), &statics);
                }),
            ));
        }
        Ok(())
    }

    /// What goes with the issuer's certificate, in either set.
    fn rest_of_issuer(&self, record: &mut Writer<'_>) {
        record
            .object(tag!(0x5F30), &[0x02, 0x01])
            .object(tag!(0x5F34), &[bcd_byte(self.sequence)])
            .object(tag!(0x9F08), &[0x00, 0x30])
            .object(tag!(0x9F42), &YUAN)
            .object(tag!(0x9F4A), &[0x82]);
    }

    /// The records about the issuer, and the lists; `rest` is of the card's key what goes
    /// with it elsewhere.
    fn add_issuer(
        &self,
        rest: Option<&Certificate>,
        groupings: &mut Vec<Grouping>,
    ) -> Result<(), CertificateError> {
        let authority = RsaPair::of(Whose::Authority);
        let issuer = self.issuer_pair().public();
        let identifier = self.issuer_identifier();
        let made = certify_issuer(authority, issuer, identifier, &ISSUER_SUBJECT)?;
        groupings.push(grouping(
            0x0301,
            record(|record| {
                record.object(tag!(0x90), &made.certificate);
            }),
        ));
        groupings.push(grouping(
            0x0302,
            record(|record| {
                record
                    .object(tag!(0x8F), &[AUTHORITY_INDEX])
                    .object(tag!(0x9F32), &made.exponent);
                if !made.remainder.is_empty() {
                    record.object(tag!(0x92), &made.remainder);
                }
                self.rest_of_issuer(record);
            }),
        ));
        groupings.push(grouping(
            0x0303,
            record(|record| {
                record.object(tag!(0x8C), CDOL1).object(tag!(0x8D), CDOL2);
                if self.has_card_key() {
                    record.object(tag!(0x9F49), &[0x9F, 0x37, 0x04]);
                }
            }),
        ));
        if let Some(own) = rest {
            groupings.push(grouping(
                0x0304,
                record(|record| {
                    rest_of_key(record, own);
                }),
            ));
        }
        if self.cash.is_some() {
            groupings.push(grouping(
                0x0401,
                record(|record| {
                    record.object(tag!(0x9F74), b"ECC001");
                }),
            ));
        }
        Ok(())
    }

    /// What a terminal is to tell before the transaction, '9F38'.
    fn options_list(&self) -> Vec<u8> {
        let more = if self.sm_algorithms { PDOL_SM } else { &[] };
        [PDOL, more].concat()
    }

    fn fci(&self) -> Vec<u8> {
        objects(|fci| {
            fci.nested(tag!(0xA5), |fci| {
                fci.object(tag!(0x50), self.label.as_bytes())
                    .object(tag!(0x87), &[0x01])
                    .object(tag!(0x9F38), &self.options_list())
                    .object(tag!(0x5F2D), b"zhen")
                    .object(tag!(0xBF0C), LOGS);
            });
        })
    }

    /// The internal data elements, '0D01'.
    fn limits(&self) -> Vec<u8> {
        let Limits {
            lower,
            upper,
            foreign_currency,
            foreign_country,
            sum,
            upper_sum,
        } = self.limits;
        objects(|elements| {
            elements
                .object(tag!(0x9F58), &[lower])
                .object(tag!(0x9F59), &[upper])
                .object(tag!(0x9F53), &[foreign_currency])
                .object(tag!(0x9F72), &[foreign_country])
                .object(tag!(0x9F54), &amount(sum))
                .object(tag!(0x9F5C), &amount(upper_sum))
                .object(tag!(0x9F4F), LOG_FORMAT)
                .object(tag!(0xDF4F), LOAD_LOG_FORMAT);
            if let Some(Dual {
                currency,
                conversion,
                sum,
            }) = self.dual
            {
                elements
                    .object(tag!(0x9F76), &currency)
                    .object(tag!(0x9F73), &conversion)
                    .object(tag!(0x9F75), &amount(sum));
            }
            if let Some(cash) = self.cash {
                elements
                    .object(tag!(0x9F77), &amount(cash.balance_limit))
                    .object(tag!(0x9F78), &amount(cash.single_limit))
                    .object(tag!(0x9F79), &amount(cash.balance))
                    .object(tag!(0x9F6D), &amount(cash.reset_threshold));
            }
            if let Some((currency, cash)) = self.second_cash {
                elements
                    .object(tag!(0xDF71), &currency)
                    .object(tag!(0xDF72), &amount(Fen::ZERO))
                    .object(tag!(0xDF76), &amount(cash.reset_threshold))
                    .object(tag!(0xDF77), &amount(cash.balance_limit))
                    .object(tag!(0xDF78), &amount(cash.single_limit))
                    .object(tag!(0xDF79), &amount(cash.balance));
            }
        })
    }

    /// The other internal data elements, '0E01'.
    fn defaults(&self) -> Vec<u8> {
        objects(|elements| {
            elements
                .object(tag!(0x9F51), &YUAN)
                .object(tag!(0x9F57), &YUAN)
                .object(tag!(0x9F52), &self.default_action)
                .object(tag!(0x5F34), &[bcd_byte(self.sequence)])
                .object(tag!(0x9F56), &[0x80]);
        })
    }

    /// The grouping of this number that is ordered as it stands.
    fn own(&self, number: u16) -> Option<&[u8]> {
        let own = self.groupings.iter().rfind(|own| own.number == number);
        own.map(|own| own.data.as_slice())
    }

    /// The internal data elements that it is issued with, one after the other.
    #[must_use]
    pub fn internal_elements(&self) -> Vec<u8> {
        let made = [(0x0D01, self.limits()), (0x0E01, self.defaults())];
        let issued = made.map(|(number, made)| self.own(number).map_or(made, <[u8]>::to_vec));
        issued.concat()
    }

    /// The locators of its records, '94': of the account's payments, and of those of
    /// electronic cash; of each set that it has.
    #[must_use]
    pub fn locators(&self) -> [Vec<Vec<u8>>; 2] {
        let sm = self.sm_algorithms;
        let cash = self.cash.is_some();
        let made = [
            [
                (0x9104, Some(self.account_afl())),
                (0x9114, sm.then(|| self.account_afl_sm())),
            ],
            [
                (0x9203, cash.then(|| self.cash_afl())),
                (0x9213, (sm && cash).then(|| self.cash_afl_sm())),
            ],
        ];
        made.map(|sets| {
            let issued = sets.into_iter().filter_map(|(number, made)| {
                let Some(own) = self.own(number) else {
                    return made;
                };
                let own = tlv::find(own, &[tag!(0x94)]).ok()??;
                Some(own.to_vec())
            });
            issued.collect()
        })
    }

    /// The lists that stand in its records, '8C' and '8D': what a terminal tells with the
    /// first cryptogram, and with the second.
    #[must_use]
    pub fn lists(&self) -> [Vec<u8>; 2] {
        let made = [(tag!(0x8C), CDOL1), (tag!(0x8D), CDOL2)];
        made.map(|(tag, made)| {
            let records = self.groupings.iter().filter(|own| own.number < 0x0B00);
            let mut own =
                records.filter_map(|own| tlv::find(&own.data, &[tag!(0x70), tag]).ok()?);
            own.next_back().unwrap_or(made).to_vec()
        })
    }

    /// '9F10' as the card fills it: with discretionary data where it has e-cash, whose
    /// balance goes there.
    fn issuer_data(&self) -> Vec<u8> {
        let mut data = vec![0x07, 0x01, 0x01, 0x03, 0, 0, 0, 0x01];
        if self.cash.is_some() {
            data.extend([0x0A, 0x01]);
            data.resize(8 + 1 + 0x0A, 0);
        }
        data
    }

    /// '57': account, expiry, service code.
    fn stripe(&self) -> Vec<u8> {
        let [year, month, _] = self.expiry;
        let digits = format!("{}D{year:02X}{month:02X}2010000000", self.account);
        let digits: Vec<u8> = digits
            .chars()
            .filter_map(|digit| u8::try_from(digit.to_digit(16)?).ok())
            .collect();
        pairs(&digits)
    }
}

/// The groupings of the directory: what a terminal reads first. Each entry is a name and
/// what a terminal calls it; the first has the highest priority.
#[must_use]
pub fn directory(entries: &[(&Aid, &str)]) -> Vec<Grouping> {
    let fci = objects(|fci| {
        fci.nested(tag!(0xA5), |fci| {
            fci.object(tag!(0x88), &[0x01])
                .object(tag!(0x5F2D), b"zhen");
        });
    });
    let mut groupings = vec![grouping(0x9102, fci)];
    for (number, (aid, label)) in (0x0101..).zip(entries) {
        let priority = u8::try_from(number & 0x0F).unwrap_or(0);
        groupings.push(grouping(
            number,
            record(|record| {
                record.nested(tag!(0x61), |entry| {
                    entry
                        .object(tag!(0x4F), aid.as_bytes())
                        .object(tag!(0x50), label.as_bytes())
                        .object(tag!(0x87), &[priority]);
                });
            }),
        ));
    }
    groupings
}

/// What certificates of the issuer say besides.
const ISSUER_SUBJECT: Subject = Subject {
    expiry: [0x12, 0x49],
    serial: [0, 0, 1],
};

const fn grouping(number: u16, data: Vec<u8>) -> Grouping {
    Grouping { number, data }
}

fn objects(fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    let mut bytes = Vec::new();
    fill(&mut Writer::append(&mut bytes));
    bytes
}

fn record(fill: impl FnOnce(&mut Writer<'_>)) -> Vec<u8> {
    const TEMPLATE: Tag = tag!(0x70);
    objects(|writer| {
        writer.nested(TEMPLATE, fill);
    })
}

/// Digits two to a byte, filled right with F, up to so many bytes where that is given.
fn packed(digits: &str, len: Option<usize>) -> Vec<u8> {
    let digits: Vec<u8> = digits.bytes().map(|digit| digit & 0x0F).collect();
    let mut bytes = pairs(&digits);
    if let Some(len) = len {
        bytes.resize(len, 0xFF);
    }
    bytes
}

fn pairs(nibbles: &[u8]) -> Vec<u8> {
    nibbles
        .chunks(2)
        .map(|pair| match *pair {
            [high, low] => high << 4 | low,
            [high] => high << 4 | 0x0F,
            _ => 0xFF,
        })
        .collect()
}

pub(super) const fn bcd_byte(number: u8) -> u8 {
    ((number / 10 % 10) << 4) | (number % 10)
}

/// An amount as 12 packed digits.
pub(crate) fn amount(fen: Fen) -> [u8; 6] {
    let mut bytes = [0; 6];
    let mut rest = fen.count();
    for byte in bytes.iter_mut().rev() {
        *byte = bcd_byte(u8::try_from(rest % 100).unwrap_or(0));
        rest /= 100;
    }
    bytes
}

/// A number of a key with '80' behind, filled with '00' to whole blocks.
fn padded(part: &[u8]) -> Vec<u8> {
    let mut bytes = part.to_vec();
    bytes.push(0x80);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

#[cfg(test)]
mod tests {
    use super::authority_sm2::{open_card, open_issuer, open_static_data};
    use super::sm2::{Sm2Pair, Whose};
    use super::{Application, Authentication, Grouping, PDOL, PDOL_SM};
    use crate::bank::application::Cash;
    use crate::bank::key::Keys;
    use cardlab::crypto::sm2::PrivateKey;
    use cardlab::fen::Fen;
    use cardlab::tag;
    use cardlab::tlv::{Objects, find};
    use std::collections::BTreeMap;

    const ACCOUNT: &str = "6228004116000202641";
    /// The groupings that the SM set takes.
    const SM: [u16; 5] = [0x8030, 0x8100, 0x9030, 0x9114, 0x9213];

    /// Every way to prove itself, with electronic cash and without.
    fn all() -> impl Iterator<Item = Application> {
        let cash = Cash {
            balance: Fen::ZERO,
            balance_limit: Fen::new(100_000),
            single_limit: Fen::new(50_000),
            reset_threshold: Fen::ZERO,
        };
        let ways = [
            Authentication::Static,
            Authentication::Dynamic,
            Authentication::Combined,
        ];
        let both = move |way| {
            [None, Some(cash)].map(|cash| Application {
                authentication: way,
                cash,
                sm_algorithms: true,
                ..Application::of(ACCOUNT)
            })
        };
        ways.into_iter().flat_map(both)
    }

    fn keys() -> Keys {
        Keys::from_seed(7).of_card(ACCOUNT, 1).unwrap()
    }

    fn of(groupings: &[Grouping], number: u16) -> Option<&[u8]> {
        let found = groupings.iter().find(|one| one.number == number);
        found.map(|one| one.data.as_slice())
    }

    /// What a locator names: elements by their tags, each once, and what is signed.
    fn read(groupings: &[Grouping], locator: &[u8]) -> (BTreeMap<u32, Vec<u8>>, Vec<u8>) {
        let (mut elements, mut signed) = (BTreeMap::new(), Vec::new());
        for &[file, first, last, count] in locator.as_chunks::<4>().0 {
            for number in first..=last {
                let record = of(groupings, u16::from_be_bytes([file >> 3, number]));
                let record = find(record.unwrap(), &[tag!(0x70)]).unwrap().unwrap();
                if number - first < count {
                    signed.extend(record);
                }
                for object in Objects::new(record) {
                    let object = object.unwrap();
                    let tag = object.tag.value();
                    let before = elements.insert(tag, object.value.to_vec());
                    assert_eq!(before, None, "{tag:X} twice");
                }
            }
        }
        (elements, signed)
    }

    #[test]
    fn the_sm_set_stands_beside_an_application_that_is_as_without_it() {
        for with in all() {
            let without = Application {
                sm_algorithms: false,
                ..with.clone()
            };
            let mut made = with.groupings(&keys()).unwrap();
            let expected = without.groupings(&keys()).unwrap();
            let fci = [PDOL, PDOL_SM].concat();
            let list = [tag!(0xA5), tag!(0x9F38)];
            let told = find(of(&made, 0x9102).unwrap(), &list).unwrap();
            assert_eq!(told, Some(&fci[..]));
            let own = |one: &Grouping| SM.contains(&one.number) || one.number >> 8 == 0x05;
            made.retain(|one| !own(one) && one.number != 0x9102);
            assert!(!expected.iter().any(own));
            let expected = expected.into_iter().filter(|one| one.number != 0x9102);
            assert_eq!(made, expected.collect::<Vec<_>>());
            // And no locator of the other set names its file.
            for locators in without.locators() {
                for locator in locators {
                    let files = locator.as_chunks::<4>().0;
                    assert!(files.iter().all(|[file, ..]| file >> 3 != 5));
                }
            }
        }
    }

    #[test]
    fn the_records_of_the_sm_set_prove_what_the_other_proves() {
        for ordered in all() {
            let groupings = ordered.groupings(&keys()).unwrap();
            let has_key = ordered.authentication != Authentication::Static;
            let mut options = vec![(0x9104, 0x9114)];
            if ordered.cash.is_some() {
                options.push((0x9203, 0x9213));
            }
            for (rsa, sm) in options {
                let part = |number, tag| {
                    let options = of(&groupings, number).unwrap();
                    find(options, &[tag]).unwrap().unwrap()
                };
                assert_eq!(part(rsa, tag!(0x82)), part(sm, tag!(0x82)));
                let (rsa, signed_rsa) = read(&groupings, part(rsa, tag!(0x94)));
                let (sm, mut signed) = read(&groupings, part(sm, tag!(0x94)));
                assert_eq!(signed_rsa, signed);
                let by_rsa = [0x90, 0x92, 0x93, 0x9F32, 0x9F46, 0x9F47, 0x9F48];
                for (tag, value) in &rsa {
                    assert_eq!(sm.get(tag) == Some(value), !by_rsa.contains(tag), "{tag:X}");
                }
                for tag in [0x92, 0x9F32, 0x9F47, 0x9F48] {
                    assert!(!sm.contains_key(&tag), "{tag:X}");
                }
                assert!(sm.keys().all(|tag| rsa.contains_key(tag)));
                signed.extend(ordered.aip());
                let authority = Sm2Pair::of(Whose::Authority).public();
                let (issuer, identifier, _) = open_issuer(authority, &sm[&0x90]).unwrap();
                assert_eq!(identifier, [0x62, 0x28, 0x00, 0xFF]);
                open_static_data(&issuer, &sm[&0x93], &signed).unwrap();
                assert_eq!(sm.contains_key(&0x9F46), has_key);
                if has_key {
                    let (key, account, _) = open_card(&issuer, &sm[&0x9F46], &signed).unwrap();
                    assert_eq!(hex::encode(account), format!("{ACCOUNT}f"));
                    let private = of(&groupings, 0x8100).unwrap().try_into().unwrap();
                    let private = PrivateKey::from_bytes(private).unwrap();
                    assert_eq!(private.public_key(), key);
                }
            }
            assert_eq!(of(&groupings, 0x8100).is_some(), has_key);
            let sm4 = keys().sm4;
            assert_eq!(of(&groupings, 0x8030), Some(&sm4.to_bytes()[..]));
            assert_eq!(of(&groupings, 0x9030), Some(&sm4.check_values()[..]));
        }
    }

    #[test]
    fn locators_are_those_of_the_options_in_each_set() {
        for ordered in all() {
            let groupings = ordered.groupings(&keys()).unwrap();
            let of = |number| {
                let options = of(&groupings, number)?;
                Some(find(options, &[tag!(0x94)]).unwrap().unwrap().to_vec())
            };
            let expected = [[0x9104, 0x9114], [0x9203, 0x9213]]
                .map(|numbers| numbers.into_iter().filter_map(of).collect::<Vec<_>>());
            assert_eq!(ordered.locators(), expected);
        }
    }
}
