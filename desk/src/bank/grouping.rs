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
//!
//! Each locator names one copy of each data element, as terminals ask for; only that of
//! electronic cash names 4.1. Records 2.1 and 2.5 are authenticated, and with them the
//! profile '82'. An application with static authentication alone has no 2.2 and 2.6.
//!
//! Source: JR/T 0025.5 and 0025.13, by public material; EMV 4.4 book 3, 7.5 and 10.3;
//! the order of the groupings is that of a public personalisation tool.

use super::application::{
    AUTHORITY_INDEX, Application, Authentication, CDOL1, CDOL2, Dual, Grouping, KeyLength, Limits,
    PDOL, YUAN,
};
use super::authority::{
    Certificate, CertificateError, Subject, certify_card, certify_issuer, sign_static_data,
};
use super::key::Keys;
use super::rsa::{RsaPair, Whose};
use cardlab::aid::Aid;
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
        groupings.extend([
            grouping(0x0D01, self.limits()),
            grouping(0x0E01, self.defaults()),
            grouping(
                0x9200,
                objects(|data| {
                    data.object(tag!(0x9F10), &self.issuer_data());
                }),
            ),
            grouping(0x8000, keys.to_bytes()),
            grouping(0x9000, keys.check_values()),
        ]);
        if self.has_card_key() {
            for (number, part) in (0x8201..=0x8205).rev().zip(self.card_pair().parts()) {
                groupings.push(grouping(number, padded(part)));
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

    const fn has_card_key(&self) -> bool {
        !matches!(self.authentication, Authentication::Static)
    }

    fn card_pair(&self) -> &'static RsaPair {
        let number = self.account.bytes().fold(0u64, |sum, digit| {
            sum.wrapping_mul(10).wrapping_add(u64::from(digit & 0x0F))
        });
        RsaPair::of(match self.card_key {
            KeyLength::Usual => Whose::Card(number),
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

    /// The records that differ between the account and its electronic cash; the card's
    /// certificate where the rest of it goes elsewhere.
    fn add_copies(
        &self,
        groupings: &mut Vec<Grouping>,
    ) -> Result<Option<Certificate>, CertificateError> {
        let issuer = self.issuer_pair();
        let account = [
            (tag!(0x9F0D), [0xD8, 0x60, 0x04, 0xA8, 0x00]),
            (tag!(0x9F0E), [0x00, 0x10, 0x98, 0x00, 0x00]),
            (tag!(0x9F0F), [0xD8, 0x68, 0x04, 0xF8, 0x00]),
        ];
        let cash = [
            (tag!(0x9F0D), [0xD8, 0x60, 0x3C, 0xA8, 0x00]),
            (tag!(0x9F0E), [0x00, 0x10, 0x80, 0x00, 0x00]),
            (tag!(0x9F0F), [0xD8, 0x68, 0x3C, 0xF8, 0x00]),
        ];
        let mut copies = vec![(0x0201, &self.methods, account)];
        if self.cash.is_some() {
            copies.push((0x0205, &self.cash_methods, cash));
        }
        let mut rest = None;
        for (first, methods, codes) in copies {
            let signed = objects(|record| {
                record
                    .object(tag!(0x5F25), &self.effective)
                    .object(tag!(0x5F24), &self.expiry)
                    .object(tag!(0x5A), &packed(&self.account, None))
                    .object(tag!(0x9F07), &[0xFF, 0x00])
                    .object(tag!(0x8E), methods);
                for (tag, code) in &codes {
                    record.object(*tag, code);
                }
                record.object(tag!(0x5F28), &YUAN);
            });
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
            if first == 0x0201 {
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
        let subject = Subject {
            expiry: [self.expiry[1], self.expiry[0]],
            serial: [0, 0, 1],
        };
        let name = packed(&self.account, Some(10));
        let name = name.try_into().unwrap_or([0xFF; 10]);
        certify_card(issuer, self.card_pair().public(), name, &subject, data)
    }

    /// The records about the issuer, and the lists; `rest` is of the card's key what goes
    /// with it elsewhere.
    fn add_issuer(
        &self,
        rest: Option<&Certificate>,
        groupings: &mut Vec<Grouping>,
    ) -> Result<(), CertificateError> {
        let authority = RsaPair::of(Whose::Authority);
        // An even number of digits: a terminal is known that takes no odd one.
        let mut identifier = [0xFF; 4];
        for (to, from) in identifier
            .iter_mut()
            .zip(packed(&self.account, None))
            .take(3)
        {
            *to = from;
        }
        let subject = Subject {
            expiry: ISSUER_EXPIRY,
            serial: [0, 0, 1],
        };
        let issuer = self.issuer_pair().public();
        let made = certify_issuer(authority, issuer, identifier, &subject)?;
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
                record
                    .object(tag!(0x5F30), &[0x02, 0x01])
                    .object(tag!(0x5F34), &[bcd_byte(self.sequence)])
                    .object(tag!(0x9F08), &[0x00, 0x30])
                    .object(tag!(0x9F42), &YUAN)
                    .object(tag!(0x9F4A), &[0x82]);
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

    fn fci(&self) -> Vec<u8> {
        objects(|fci| {
            fci.nested(tag!(0xA5), |fci| {
                fci.object(tag!(0x50), self.label.as_bytes())
                    .object(tag!(0x87), &[0x01])
                    .object(tag!(0x9F38), PDOL)
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
    /// electronic cash.
    #[must_use]
    pub fn locators(&self) -> [Option<Vec<u8>>; 2] {
        let cash = self.cash.map(|_| self.cash_afl());
        let made = [(0x9104, Some(self.account_afl())), (0x9203, cash)];
        made.map(|(number, made)| match self.own(number) {
            Some(own) => Some(tlv::find(own, &[tag!(0x94)]).ok()??.to_vec()),
            None => made,
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

/// The last month of validity of the issuer's certificate.
const ISSUER_EXPIRY: [u8; 2] = [0x12, 0x49];

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
