//! The beginning of a transaction: processing options, and the records they name.
//!
//! Electronic cash is asked for in the options ('9F7A'); that the card pays with it is
//! told by '9F74' in the records.
//!
//! Source: EMV 4.4 book 3, 6.5.8, 10.1 and 10.2; JR/T 0025.13, 7.4, by public material.

use super::{Kernel, Phase, Why};
use cardlab::apdu::{Class, Command, Sw};
use cardlab::fen::Fen;
use cardlab::tag;
use cardlab::tlv::{DataObject, Objects, Tag, Writer, find};

/// What the records must have.
const MANDATORY: [Tag; 4] = [tag!(0x5F24), tag!(0x5A), tag!(0x8C), tag!(0x8D)];
/// The type of a transaction that buys.
const TYPE_PURCHASE: u8 = 0x00;

impl Kernel<'_> {
    /// GET PROCESSING OPTIONS; whether the card takes the conditions.
    pub(super) fn begin(&mut self) -> Result<bool, Why> {
        let cash = self.sale.cash
            && self.sale.kind == TYPE_PURCHASE
            && self
                .terminal
                .cash_limit
                .is_some_and(|limit| self.sale.amount < limit);
        if self.sale.cash && !cash {
            self.say(
                Phase::Reading,
                "electronic cash is not offered: the terminal's limit, or no purchase",
                "不使用电子现金：超过终端限额或非消费交易",
            );
        }
        self.elements.put(tag!(0x9F7A), &[u8::from(cash)]);
        if let Some(limit) = self.terminal.cash_limit {
            let limit = crate::bank::grouping::amount(limit);
            self.elements.put(tag!(0x9F7B), &limit);
        }
        let list = self.elements.get(tag!(0x9F38)).unwrap_or_default().to_vec();
        self.options = self.elements.fill(&list, "the PDOL")?;
        let mut data = Vec::new();
        Writer::append(&mut data).object(tag!(0x83), &self.options);
        let class = Class::new(0x80).ok_or(Why::Malformed("GET PROCESSING OPTIONS"))?;
        let command = Command::new(class, 0xA8, 0x00, 0x00).with_data(&data);
        let answer = self.send(&command.expecting(256))?;
        match answer.sw {
            Sw::OK => {}
            Sw::CONDITIONS_NOT_MET => {
                self.say(
                    Phase::Reading,
                    "the card does not take the conditions: another application is tried",
                    "卡片不满足使用条件，尝试其他应用",
                );
                return Ok(false);
            }
            sw => return Err(Why::Refused("GET PROCESSING OPTIONS", sw)),
        }
        let malformed = || Why::Malformed("GET PROCESSING OPTIONS");
        let of = |path: &[Tag]| find(&answer.data, path).map_err(|_| malformed());
        let (profile, locator) = match of(&[tag!(0x80)])? {
            Some(both) => both.split_at_checked(2).ok_or_else(malformed)?,
            None => {
                let profile = of(&[tag!(0x77), tag!(0x82)])?;
                let locator = of(&[tag!(0x77), tag!(0x94)])?;
                profile.zip(locator).ok_or_else(malformed)?
            }
        };
        if profile.len() != 2 || locator.is_empty() || !locator.len().is_multiple_of(4) {
            return Err(malformed());
        }
        self.elements.put(tag!(0x82), profile);
        self.elements.put(tag!(0x94), locator);
        Ok(true)
    }

    /// Reads the records that the locator names.
    pub(super) fn read_application(&mut self) -> Result<(), Why> {
        let locator = self.elements.get(tag!(0x94)).unwrap_or_default().to_vec();
        let malformed = || Why::Malformed("READ RECORD");
        let mut read = Vec::new();
        for &[file, first, last, signed] in locator.as_chunks::<4>().0 {
            let sfi = file >> 3;
            let count = last.checked_sub(first).and_then(|more| more.checked_add(1));
            let count = count.ok_or_else(malformed)?;
            if !(1..=30).contains(&sfi) || first == 0 || signed > count {
                return Err(malformed());
            }
            for number in first..=last {
                let command = Command::new(Class::BASIC, 0xB2, number, sfi << 3 | 0x04);
                let answer = self.send(&command.expecting(256))?;
                if answer.sw != Sw::OK {
                    return Err(Why::Refused("READ RECORD", answer.sw));
                }
                let is_signed = number - first < signed;
                let inner = match find(&answer.data, &[tag!(0x70)]) {
                    Ok(Some(inner)) => inner,
                    // Files above 10 are the scheme's own.
                    _ if sfi > 10 => continue,
                    _ => return Err(malformed()),
                };
                if is_signed && sfi > 10 {
                    self.signed.extend(&answer.data);
                } else if is_signed {
                    self.signed.extend(inner);
                }
                for object in Objects::new(inner) {
                    let DataObject { tag, value } = object.map_err(|_| malformed())?;
                    if read.contains(&tag) {
                        return Err(Why::Twice(tag.value()));
                    }
                    read.push(tag);
                    self.elements.take(tag, value);
                }
            }
        }
        for tag in MANDATORY {
            if !read.contains(&tag) {
                return Err(Why::Missing(tag.value()));
            }
        }
        self.say(
            Phase::Reading,
            format!("{} data elements are read", read.len()),
            format!("读取{}个数据元", read.len()),
        );
        if self.is_by_sm2() {
            self.say(
                Phase::Reading,
                "the card has the SM set: its certificates are by SM2",
                "卡片采用国密算法集，证书为SM2",
            );
        } else if self.terminal.sm {
            self.say(
                Phase::Reading,
                "the card has no certificates by SM2: it goes by RSA",
                "卡片无SM2证书，按RSA处理",
            );
        }
        self.cash = read.contains(&tag!(0x9F74));
        if self.cash {
            self.balance = self.amount_of(tag!(0x9F79))?;
            let text = self.balance.unwrap_or(Fen::ZERO);
            self.say(
                Phase::Reading,
                format!("the card pays with electronic cash: it holds {text}"),
                format!("电子现金交易，余额{text}"),
            );
        } else if self.elements.get(tag!(0x9F7A)) == Some(&[1]) {
            self.say(
                Phase::Reading,
                "the card does not pay this with electronic cash: the account does",
                "卡片不以电子现金支付，改为账户交易",
            );
        }
        Ok(())
    }

    /// An amount that GET DATA gives.
    pub(super) fn amount_of(&mut self, tag: Tag) -> Result<Option<Fen>, Why> {
        let value = self.get_data(tag)?;
        Ok(value.and_then(|value| fen(&value)))
    }
}

/// An amount of 12 packed digits.
fn fen(bytes: &[u8]) -> Option<Fen> {
    let digits = hex::encode(bytes);
    digits.parse().ok().map(Fen::new)
}
