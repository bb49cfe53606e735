//! Reading: iReadCardBas and iReadCard.

use super::address::{Address, Data, FileAddress, FileData, ItemAddress};
use super::{AuthType, Facts, Failure, SSSE, Terminal, Visit};
use crate::encode::{self, DecodeError, Decoded, hexadecimal};
use crate::profile::{Directory, File, Format, Item, Kind, Record, SpecVersion};
use cardlab::apdu::Sw;
use core::fmt;

/// The cardholder's data.
const EF_06_CARDHOLDER: u16 = 0xEF06;
/// As much as a terminal reads at a time of a transparent file.
const PORTION_LEN: u16 = 0xF0;

/// What iReadCardBas gives.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BaseData {
    /// What EF05 says.
    pub facts: Facts,
    /// The social security number.
    pub number: String,
    /// The name, with its continuation.
    pub name: String,
    /// What is wrong with the bytes of the name, if anything: a character cut in two
    /// between its two items, say. The string of the interface has no place for it.
    pub name_fault: Option<DecodeError>,
    /// The terminal's number, 12 digits.
    pub terminal: String,
    /// The number of the terminal as a device.
    pub device: String,
}

/// The string of the interface.
impl fmt::Display for BaseData {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let facts = &self.facts;
        let fields = [
            &facts.identity.region_digits(),
            &self.number,
            &facts.card_number,
            &hexadecimal(&facts.identity.recognition_code),
            &self.name,
            &hexadecimal(&facts.identity.historical),
            &facts.version_text,
            &facts.issued,
            &facts.expires,
            &self.terminal,
            &self.device,
        ];
        fields.iter().try_for_each(|field| write!(f, "{field}|"))
    }
}

impl Terminal<'_> {
    /// iReadCardBas: who the card belongs to.
    ///
    /// # Errors
    /// [`Failure`], in the order of the module's head.
    pub fn read_base(&mut self) -> Result<BaseData, Failure> {
        let mut visit = self.begin(true)?;
        let (_, file) = self.place(&visit, SSSE, EF_06_CARDHOLDER)?;
        self.satisfy(&mut visit, &file.read, AuthType::Key)?;
        self.select_file(EF_06_CARDHOLDER)?;
        let number = self.text(0x08, 18)?;
        let (_, name) = self.record(0x09, 0x00, 30)?;
        let continuation = match visit.facts.version {
            SpecVersion::V1 => Vec::new(),
            _ => self.record(0x4E, 0x00, 20)?.1,
        };
        let name = encode::decode_name(&name, &continuation);
        let terminal = hexadecimal(&self.module.terminal_number()?);
        Ok(BaseData {
            facts: visit.facts,
            number,
            name: name.text().to_owned(),
            name_fault: name.fault(),
            terminal,
            device: self.policy.device.clone(),
        })
    }

    /// iReadCard: the values at an address, in its order.
    ///
    /// # Errors
    /// [`Failure`], in the order of the module's head; then for each file in turn whether
    /// it is there and has items where the address does, and what its directory, its key,
    /// the PIN, and the file refuse.
    pub fn read(&mut self, by: AuthType, address: &Address) -> Result<Data, Failure> {
        let mut visit = self.begin(false)?;
        let mut data = Data::default();
        for address in address.files() {
            let (directory, file) = self.place_whole(&visit, address)?;
            self.open(&mut visit, directory, file, by)?;
            data.0.push(FileData {
                name: address.name(),
                values: self.values(&visit, file, address)?,
            });
        }
        Ok(data)
    }

    /// Goes to a file and makes its rule for reading true.
    pub(super) fn open(
        &mut self,
        visit: &mut Visit,
        directory: &Directory,
        file: &File,
        by: AuthType,
    ) -> Result<(), Failure> {
        self.go(visit, directory)?;
        self.satisfy(visit, &file.read, by)?;
        self.select_file(file.fid)
    }

    /// The values of the current file.
    fn values(
        &mut self,
        visit: &Visit,
        file: &File,
        address: &FileAddress,
    ) -> Result<Vec<String>, Failure> {
        match file.kind {
            Kind::Transparent { size_bytes } => Ok(vec![hexadecimal(&self.binary(size_bytes)?)]),
            Kind::Cyclic { record_len, .. } => {
                let records = self.cyclic(record_len)?;
                let values = records.iter().map(|record| fields(file, record));
                values.collect()
            }
            Kind::LinearFixed { .. } | Kind::LinearVariable { .. } => {
                let values = address.items.iter().map(|item| {
                    let record = self.item(file, address, item)?;
                    let name = || format!("{}|{item}", address.name());
                    self.value(visit, file, record, address, item)
                        .ok_or_else(|| Failure::NoItem(name()))?
                });
                values.collect()
            }
        }
    }

    /// The record of the layout that an item names.
    pub(super) fn item<'f>(
        &self,
        file: &'f File,
        address: &FileAddress,
        item: &ItemAddress,
    ) -> Result<&'f Record, Failure> {
        let fits = |record: &&Record| {
            record.item.tag == Some(item.tag)
                && item.number.is_none_or(|number| number == record.number)
        };
        let record = file.records.iter().find(fits);
        record.ok_or_else(|| Failure::NoItem(format!("{}|{item}", address.name())))
    }

    /// The value of an item, read; `None` where the record has another tag.
    fn value(
        &mut self,
        visit: &Visit,
        file: &File,
        record: &Record,
        address: &FileAddress,
        item: &ItemAddress,
    ) -> Option<Result<String, Failure>> {
        let read = match item.number {
            Some(number) => self.record(number, 0x04, record.item.len),
            None => self.record(item.tag, 0x00, record.item.len),
        };
        let value = match read {
            Ok((tag, _)) if tag != item.tag => return None,
            Ok((_, value)) => value,
            Err(failure) => return Some(Err(failure)),
        };
        let meant = self.meant(visit, file, &record.item, address, &value);
        Some(text(meant, &value))
    }

    /// The item that a value is of: on a 1.0 card used again, filled right with 'E', it
    /// is that of 2.0.
    fn meant<'i>(
        &'i self,
        visit: &Visit,
        file: &File,
        item: &'i Item,
        address: &FileAddress,
        value: &[u8],
    ) -> &'i Item {
        if !value.ends_with(&[0xEE]) {
            return item;
        }
        let later = self.later(visit, file, item, address);
        let later = later.filter(|later| matches!(later.decode(value), Decoded::Reused(_)));
        later.unwrap_or(item)
    }

    /// The item of 2.0 that an item of a 1.0 card can be used for: that with its tag.
    pub(super) fn later(
        &self,
        visit: &Visit,
        file: &File,
        item: &Item,
        address: &FileAddress,
    ) -> Option<&'_ Item> {
        if visit.facts.version != SpecVersion::V1 {
            return None;
        }
        let later = self.layouts.of(SpecVersion::V2);
        let directory = later.directory_by_label(&address.directory)?;
        let mut records = directory.file(file.fid)?.records.iter();
        let later = records.find(|record| record.item.tag == item.tag)?;
        Some(&later.item)
    }

    /// All bytes of the current transparent file, as far as the card has them.
    fn binary(&mut self, size: u16) -> Result<Vec<u8>, Failure> {
        let mut bytes = Vec::new();
        while let Ok(offset) = u16::try_from(bytes.len())
            && offset < size
        {
            let [high, low] = offset.to_be_bytes();
            let len = u32::from(PORTION_LEN.min(size - offset));
            let answer = self.send([0x00, 0xB0, high & 0x7F, low], &[], len)?;
            match answer.sw {
                Sw::OK if answer.data.is_empty() => break,
                Sw::OK => bytes.extend(answer.data),
                // A card may have a smaller file than the layout.
                Sw::OFFSET_OUTSIDE_EF if offset > 0 => break,
                sw => return Err(self.refused("READ BINARY", sw)),
            }
        }
        Ok(bytes)
    }

    /// The records of the current cyclic file, newest first.
    pub(super) fn cyclic(&mut self, len: u8) -> Result<Vec<Vec<u8>>, Failure> {
        let mut records = Vec::new();
        for number in 1..=0xFE {
            let answer = self.send([0x00, 0xB2, number, 0x04], &[], u32::from(len))?;
            match answer.sw {
                Sw::OK => records.push(answer.data),
                Sw::RECORD_NOT_FOUND => break,
                sw => return Err(self.refused("READ RECORD", sw)),
            }
        }
        Ok(records)
    }
}

/// The fields of a cyclic record, as far as it goes.
fn fields(file: &File, record: &[u8]) -> Result<String, Failure> {
    let mut rest = record;
    let mut values = Vec::new();
    for field in &file.fields {
        if rest.is_empty() && !values.is_empty() {
            break;
        }
        let (value, behind) = rest
            .split_at_checked(usize::from(field.len))
            .ok_or(Failure::Malformed("a record of whole fields"))?;
        rest = behind;
        values.push(text(field, value)?);
    }
    Ok(values.join("^"))
}

/// A value as the interface writes it; the items of a record of several with '^'.
fn text(item: &Item, value: &[u8]) -> Result<String, Failure> {
    if item.format != Format::BTlv {
        return Ok(match item.decode(value) {
            Decoded::Blank => String::new(),
            decoded => decoded.text().to_owned(),
        });
    }
    let mut rest = value;
    let mut values = vec![String::new(); item.inner.len()];
    while let [tag, len, behind @ ..] = rest {
        let (value, after) = behind
            .split_at_checked(usize::from(*len))
            .ok_or(Failure::Malformed("a record of whole items"))?;
        rest = after;
        let known = item.inner.iter().zip(&mut values);
        for (_, text) in known.filter(|(inner, _)| inner.tag == Some(*tag)) {
            item_text(item, *tag, value).clone_into(text);
        }
    }
    if rest.is_empty() {
        Ok(values.join("^"))
    } else {
        Err(Failure::Malformed("a record of whole items"))
    }
}

/// The value of an inner item.
fn item_text(item: &Item, tag: u8, value: &[u8]) -> String {
    let inner = item.inner.iter().find(|inner| inner.tag == Some(tag));
    inner.map_or_else(String::new, |inner| inner.decode(value).text().to_owned())
}
