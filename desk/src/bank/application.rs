//! A bank application as it is ordered, and the data groupings that it becomes.
//!
//! | file, record | what                                                              |
//! |--------------|-------------------------------------------------------------------|
//! | 1.1, 1.2     | account as on a magnetic stripe; holder                           |
//! | 2.1 to 2.4   | account: signed data; card's certificate; static data; limits     |
//! | 2.5 to 2.7   | the same for electronic cash, without limits                      |
//! | 3.1 to 3.3   | issuer's certificate; what goes with it; the lists                |
//! | 4.1          | '9F74', which makes a transaction one with electronic cash        |
//!
//! Each locator names one copy of each data element, as terminals ask for; only that of
//! electronic cash names 4.1. Records 2.1 and 2.5 are authenticated, and with them the
//! profile '82'.
//!
//! Source: JR/T 0025.5 and 0025.13, by public material; EMV 4.4 book 3, 7.5 and 10.3;
//! the order of the groupings is that of a public personalisation tool.

use super::authority::{CertificateError, Subject, certify_card, certify_issuer, sign_static_data};
use super::key::Keys;
use super::rsa::{RsaPair, Whose};
use cardlab::aid::Aid;
use cardlab::fen::Fen;
use cardlab::tag;
use cardlab::tlv::{Tag, Writer};

/// The index of the authority for tests among those of the scheme.
pub const AUTHORITY_INDEX: u8 = 99;
/// Static and dynamic authentication, card holder verification, terminal risk
/// management, issuer authentication, combined authentication.
pub const AIP: [u8; 2] = [0x7D, 0x00];
/// What the terminal tells before the transaction: asks for e-cash, amount, currency.
pub const PDOL: &[u8] = &[0x9F, 0x7A, 0x01, 0x9F, 0x02, 0x06, 0x5F, 0x2A, 0x02];
/// What it tells with the first cryptogram: 52 bytes.
pub const CDOL1: &[u8] = &[
    0x9F, 0x02, 0x06, 0x9F, 0x03, 0x06, 0x9F, 0x1A, 0x02, 0x95, 0x05, 0x5F, 0x2A, 0x02, 0x9A, 0x03,
    0x9C, 0x01, 0x9F, 0x37, 0x04, 0x9F, 0x21, 0x03, 0x9F, 0x4E, 0x14,
];
/// What it tells with the second: 34 bytes.
pub const CDOL2: &[u8] = &[
    0x8A, 0x02, 0x9F, 0x02, 0x06, 0x9F, 0x03, 0x06, 0x9F, 0x1A, 0x02, 0x95, 0x05, 0x5F, 0x2A, 0x02,
    0x9A, 0x03, 0x9C, 0x01, 0x9F, 0x37, 0x04, 0x9F, 0x21, 0x03,
];
/// What is in a record of a transaction, and of a load.
const LOG_FORMAT: &[u8] = &[
    0x9A, 0x03, 0x9F, 0x21, 0x03, 0x9F, 0x02, 0x06, 0x9F, 0x03, 0x06, 0x9F, 0x1A, 0x02, 0x5F, 0x2A,
    0x02, 0x9F, 0x4E, 0x14, 0x9C, 0x01, 0x9F, 0x36, 0x02,
];
const LOAD_LOG_FORMAT: &[u8] = &[
    0x9A, 0x03, 0x9F, 0x21, 0x03, 0x9F, 0x1A, 0x02, 0x9F, 0x4E, 0x14, 0x9F, 0x36, 0x02,
];
/// The switch of an application that its bank has to activate.
pub const STARTS_INACTIVE: u16 = 0x0001;
/// Where the logs are: files 11 and 12, 10 records each.
const LOGS: &[u8] = &[0x9F, 0x4D, 0x02, 0x0B, 0x0A, 0xDF, 0x4D, 0x02, 0x0C, 0x0A];
const ACCOUNT_AFL: &[u8] = &[8, 1, 2, 0, 0x10, 1, 4, 1, 0x18, 1, 3, 0];
const CASH_AFL: &[u8] = &[8, 1, 2, 0, 0x10, 5, 7, 1, 0x18, 1, 3, 0, 0x20, 1, 1, 0];
/// Renminbi, and China.
const YUAN: [u8; 2] = [0x01, 0x56];
/// The data authentication code of signed static data.
const AUTHENTICATION_CODE: [u8; 2] = [0xDA, 0xC0];

/// Electronic cash as it is issued.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cash {
    /// What is in it, '9F79'.
    pub balance: Fen,
    /// The most that can be in it, '9F77'.
    pub balance_limit: Fen,
    /// The most of one payment, '9F78'.
    pub single_limit: Fen,
    /// Below this a terminal goes on line, '9F6D'.
    pub reset_threshold: Fen,
}

/// What a card may do without its bank.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Transactions in a row until it asks for the bank, '9F58'; 255 for no limit.
    pub lower: u8,
    /// Those until it declines where the bank cannot be asked, '9F59'.
    pub upper: u8,
    /// The same for foreign currencies, '9F53'.
    pub foreign_currency: u8,
    /// The same for foreign countries, '9F72'.
    pub foreign_country: u8,
    /// The sum until it asks for the bank, '9F54'; zero for no limit.
    pub sum: Fen,
    /// The sum until it declines where the bank cannot be asked, '9F5C'.
    pub upper_sum: Fen,
}

/// A debit, credit or quasi-credit application, as its bank orders it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Application {
    /// Its name.
    pub aid: Aid,
    /// What a terminal calls it, '50': 1 to 16 letters, digits and blanks.
    pub label: String,
    /// The account number, 12 to 19 digits.
    pub account: String,
    /// The card's sequence number, 0 to 99.
    pub sequence: u8,
    /// The holder as a terminal prints it, '5F20': 2 to 26 letters, blanks and slashes.
    pub holder: String,
    /// The number of the holder's document, '9F61'.
    pub holder_id: String,
    /// The last day of validity, YYMMDD in packed digits, '5F24'.
    pub expiry: [u8; 3],
    /// The first day of validity, '5F25'.
    pub effective: [u8; 3],
    /// The PIN, 4 to 12 digits.
    pub pin: String,
    /// Wrong PINs until it is blocked, 1 to 15.
    pub pin_tries: u8,
    /// What the card does by itself, '9F52'.
    pub default_action: [u8; 2],
    /// What it may do without its bank.
    pub limits: Limits,
    /// Its electronic cash; `None` where it has none.
    pub cash: Option<Cash>,
    /// Methods to verify the holder, '8E'; of electronic cash.
    pub methods: Vec<u8>,
    /// Those where it pays with electronic cash.
    pub cash_methods: Vec<u8>,
    /// The switches of its installation; 0 installs it as a bureau's tool does.
    pub switches: u16,
}

/// A data grouping: its number, and its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Grouping {
    /// Its number.
    pub number: u16,
    /// Its data.
    pub data: Vec<u8>,
}

impl Grouping {
    /// Whether it goes enciphered under the session's key for data.
    #[must_use]
    pub const fn is_secret(&self) -> bool {
        self.number >> 12 == 0x8
    }

    /// Number, length, and these data in place of its own.
    pub(super) fn framed(&self, data: &[u8]) -> Vec<u8> {
        let mut bytes = self.number.to_be_bytes().to_vec();
        match u8::try_from(data.len()) {
            Ok(len @ 0..=0xFE) => bytes.push(len),
            _ => {
                bytes.push(0xFF);
                bytes.extend(u16::try_from(data.len()).unwrap_or(u16::MAX).to_be_bytes());
            }
        }
        bytes.extend(data);
        bytes
    }
}

impl Application {
    /// The groupings that make this application of an instance of the bank applet, with
    /// certificates of the authority for tests, in the order of sending.
    ///
    /// # Errors
    /// [`CertificateError::TooLong`], which none of the keys for tests gives.
    pub fn groupings(&self, keys: &Keys) -> Result<Vec<Grouping>, CertificateError> {
        let number = self.account.bytes().fold(0u64, |sum, digit| {
            sum.wrapping_mul(10).wrapping_add(u64::from(digit & 0x0F))
        });
        let card = RsaPair::of(Whose::Card(number));
        let mut groupings = vec![
            grouping(0x9104, options(ACCOUNT_AFL)),
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
        ];
        if self.cash.is_some() {
            groupings.insert(1, grouping(0x9203, options(CASH_AFL)));
        }
        self.add_copies(&card, &mut groupings)?;
        self.add_issuer(&mut groupings)?;
        groupings.extend([
            grouping(0x0D01, self.limits()),
            grouping(
                0x0E01,
                objects(|elements| {
                    elements
                        .object(tag!(0x9F51), &YUAN)
                        .object(tag!(0x9F57), &YUAN)
                        .object(tag!(0x9F52), &self.default_action)
                        .object(tag!(0x5F34), &[bcd_byte(self.sequence)])
                        .object(tag!(0x9F56), &[0x80]);
                }),
            ),
            grouping(
                0x9200,
                objects(|data| {
                    data.object(tag!(0x9F10), &self.issuer_data());
                }),
            ),
            grouping(0x8000, keys.to_bytes()),
            grouping(0x9000, keys.check_values()),
        ]);
        for (number, part) in (0x8201..=0x8205).rev().zip(card.parts()) {
            groupings.push(grouping(number, padded(part)));
        }
        // A PIN that is none makes no block, and the card refuses the grouping.
        let pin = cardlab::crypto::pboc::plain_pin_block(&self.pin).unwrap_or_default();
        groupings.push(grouping(0x8010, pin.to_vec()));
        groupings.push(grouping(0x9010, vec![self.pin_tries; 2]));
        Ok(groupings)
    }

    /// The records that differ between the account and its electronic cash.
    fn add_copies(
        &self,
        card: &RsaPair,
        groupings: &mut Vec<Grouping>,
    ) -> Result<(), CertificateError> {
        let issuer = RsaPair::of(Whose::Issuer);
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
        let subject = Subject {
            expiry: [self.expiry[1], self.expiry[0]],
            serial: [0, 0, 1],
        };
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
            let data = [&signed[..], &AIP].concat();
            let name = packed(&self.account, Some(10));
            let name = name.try_into().unwrap_or([0xFF; 10]);
            let own = certify_card(&issuer, card.public(), name, &subject, &data)?;
            groupings.push(grouping(
                first,
                record(|record| {
                    record.raw(&signed);
                }),
            ));
            groupings.push(grouping(
                first + 1,
                record(|record| {
                    record
                        .object(tag!(0x9F46), &own.certificate)
                        .object(tag!(0x9F47), &own.exponent);
                    if !own.remainder.is_empty() {
                        record.object(tag!(0x9F48), &own.remainder);
                    }
                }),
            ));
            let statics = sign_static_data(&issuer, AUTHENTICATION_CODE, &data)?;
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
        Ok(())
    }

    /// The records about the issuer, and the lists.
    fn add_issuer(&self, groupings: &mut Vec<Grouping>) -> Result<(), CertificateError> {
        let authority = RsaPair::of(Whose::Authority);
        let issuer = RsaPair::of(Whose::Issuer);
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
        let made = certify_issuer(&authority, issuer.public(), identifier, &subject)?;
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
                record
                    .object(tag!(0x8C), CDOL1)
                    .object(tag!(0x8D), CDOL2)
                    .object(tag!(0x9F49), &[0x9F, 0x37, 0x04]);
            }),
        ));
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

    /// Whether it declines everything until its bank activates it.
    #[must_use]
    pub const fn starts_inactive(&self) -> bool {
        self.switches & STARTS_INACTIVE != 0
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
            if let Some(cash) = self.cash {
                elements
                    .object(tag!(0x9F77), &amount(cash.balance_limit))
                    .object(tag!(0x9F78), &amount(cash.single_limit))
                    .object(tag!(0x9F79), &amount(cash.balance))
                    .object(tag!(0x9F6D), &amount(cash.reset_threshold));
            }
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

/// The groupings of the directory: what a terminal reads first.
#[must_use]
pub fn directory(applications: &[&Application]) -> Vec<Grouping> {
    let fci = objects(|fci| {
        fci.nested(tag!(0xA5), |fci| {
            fci.object(tag!(0x88), &[0x01])
                .object(tag!(0x5F2D), b"zhen");
        });
    });
    let mut groupings = vec![grouping(0x9102, fci)];
    for (number, application) in (0x0101..).zip(applications) {
        let priority = u8::try_from(number & 0x0F).unwrap_or(0);
        groupings.push(grouping(
            number,
            record(|record| {
                record.nested(tag!(0x61), |entry| {
                    entry
                        .object(tag!(0x4F), application.aid.as_bytes())
                        .object(tag!(0x50), application.label.as_bytes())
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

fn options(afl: &[u8]) -> Vec<u8> {
    objects(|options| {
        options.object(tag!(0x82), &AIP).object(tag!(0x94), afl);
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
