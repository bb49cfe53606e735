//! Writing: iWriteCard.

use super::address::{Address, Data};
use super::{AuthType, Failure, Terminal};
use crate::encode::{self, EncodeError};
use crate::profile::{Format, Item, Kind};

/// As much as a terminal writes at a time to a transparent file.
const PORTION_LEN: usize = 0xF0;

/// UPDATE RECORD.
const UPDATE: &str = "UPDATE RECORD";

impl Terminal<'_> {
    /// iWriteCard: puts values at an address. Data have the form of the address, with
    /// values in the place of items; of a cyclic file, one new record.
    ///
    /// All values are encoded before the first one is written.
    ///
    /// # Errors
    /// [`Failure::Differs`] where data and address do not agree, [`Failure`] in the
    /// order of the module's head, [`Failure::NoFile`], [`Failure::ItemsMissing`],
    /// [`Failure::ItemsTooMany`], [`Failure::NoItem`], [`Failure::Value`]; then for each
    /// file in turn what its directory, its key, the PIN, and the file refuse.
    pub fn write(&mut self, address: &Address, data: &Data) -> Result<(), Failure> {
        let files = address.files();
        let agree = files.len() == data.0.len()
            && files.iter().zip(&data.0).all(|(address, data)| {
                let values = address.items.len().max(1);
                address.name() == data.name && values == data.values.len()
            });
        if !agree {
            return Err(Failure::Differs(
                "the form of the data and of their address",
            ));
        }
        let mut visit = self.begin(false)?;
        let mut plan = Vec::new();
        for (address, data) in files.iter().zip(&data.0) {
            let (directory, file) = self.place_whole(&visit, address)?;
            let mut commands: Vec<([u8; 4], Vec<u8>)> = Vec::new();
            match (file.kind, &data.values[..]) {
                (Kind::Transparent { size_bytes }, [value]) => {
                    let wrong = |error| Failure::Value(address.name(), error);
                    let len = value.chars().filter(|c| *c != ' ').count() / 2;
                    let bytes = encode::b(value, len).map_err(wrong)?;
                    let exact = usize::from(size_bytes);
                    if bytes.len() > exact {
                        let len = bytes.len();
                        return Err(wrong(EncodeError::Length { len, exact }));
                    }
                    for (index, part) in bytes.chunks(PORTION_LEN).enumerate() {
                        let [.., high, low] = (index * PORTION_LEN).to_be_bytes();
                        commands.push(([0x00, 0xD6, high, low], part.to_vec()));
                    }
                }
                (Kind::Cyclic { .. }, [value]) => {
                    let name = address.name();
                    let bytes = joined(&file.fields, value, &name, false)?;
                    let layout = self.layouts.of(visit.facts.version);
                    let header = match layout.cyclic_append_by_number {
                        true => [0x00, 0xDC, 0x01, 0x04],
                        false => [0x00, 0xDC, 0x00, 0x03],
                    };
                    commands.push((header, bytes));
                }
                (_, values) => {
                    for (item, value) in address.items.iter().zip(values) {
                        let record = self.item(file, address, item)?;
                        let name = format!("{}|{item}", address.name());
                        let later = self.later(&visit, file, &record.item, address);
                        let later = later.filter(|_| self.policy.reuse);
                        let value = match later {
                            Some(later) => reused(&record.item, later, value, &name)?,
                            None => encoded(&record.item, value, &name)?,
                        };
                        let record_bytes = [&[item.tag, record.item.len][..], &value].concat();
                        commands.push(([0x00, 0xDC, record.number, 0x04], record_bytes));
                    }
                }
            }
            plan.push((directory, file, commands));
        }
        for (directory, file, commands) in plan {
            self.go(&mut visit, directory)?;
            self.satisfy(&mut visit, &file.update, AuthType::Key)?;
            self.select_file(file.fid)?;
            for (header, bytes) in commands {
                let what = match header[1] {
                    0xD6 => "UPDATE BINARY",
                    _ => UPDATE,
                };
                self.ask(what, header, &bytes, 0)?;
            }
        }
        Ok(())
    }
}

/// The bytes of an item's value.
fn encoded(item: &Item, value: &str, name: &str) -> Result<Vec<u8>, Failure> {
    let len = usize::from(item.len);
    let bytes = match item.format {
        Format::An => encode::an(value, len),
        Format::Cn => encode::cn(value, len),
        // A binary value left blank is zero, as it is read.
        Format::B if value.is_empty() => Ok(vec![0; len]),
        Format::B => encode::b(value, len),
        Format::BTlv => return joined(&item.inner, value, name, true),
    };
    bytes.map_err(|error| Failure::Value(name.to_owned(), error))
}

/// The bytes of a value of 2.0 in the place of an item of 1.0.
///
/// What has the same form in both, or no form that can be filled with 'E', is written as
/// 1.0 has it.
///
/// Source: 人社信息函〔2012〕37号, annex C.
fn reused(item: &Item, later: &Item, value: &str, name: &str) -> Result<Vec<u8>, Failure> {
    let (len, place) = (usize::from(later.len), usize::from(item.len));
    if (later.format, later.len) == (item.format, item.len) {
        return encoded(item, value, name);
    }
    let bytes = match later.format {
        Format::An => encode::an_reused(value, len, place),
        Format::Cn => encode::cn_reused(value, len, place),
        Format::B | Format::BTlv => return encoded(item, value, name),
    };
    bytes.map_err(|error| Failure::Value(name.to_owned(), error))
}

/// Values joined by '^', each behind its tag where `tagged`.
fn joined(items: &[Item], value: &str, name: &str, tagged: bool) -> Result<Vec<u8>, Failure> {
    let values: Vec<_> = value.split('^').collect();
    if values.len() != items.len() {
        let error = EncodeError::Length {
            len: values.len(),
            exact: items.len(),
        };
        return Err(Failure::Value(name.to_owned(), error));
    }
    let mut bytes = Vec::new();
    for (item, value) in items.iter().zip(values) {
        let tag = item.tag.map(|tag| format!("|{tag:02X}"));
        let name = name.to_owned() + &tag.unwrap_or_default();
        let value = encoded(item, value, &name)?;
        if let (true, Some(tag)) = (tagged, item.tag) {
            bytes.extend([tag, item.len]);
        }
        bytes.extend(value);
    }
    Ok(bytes)
}
