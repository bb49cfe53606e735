//! Where data stand on a card, as the reader interface writes it, and the data.
//!
//! ```text
//! DF01EF0A|37|$DF01EF15|2A|40:2|$     address: file, items, '$' ends a file
//! DF01EF0A|CHN|$DF01EF15|21|303^…|$   data: values in the place of the items
//! ```
//!
//! | written     | means                                                         |
//! |-------------|---------------------------------------------------------------|
//! | `DF01EF15`  | the file EF15 of DF01; a cyclic or transparent file stands alone |
//! | `2A`        | the first record with this tag                                |
//! | `40:2`      | record number 2, which has this tag                           |
//! | `a^b`       | the items of a record of several, or the fields of a cyclic record |
//!
//! A character that joins values cannot stand in a value; the interface has no escape.
//! The bytes of a transparent file are written in hexadecimal.
//!
//! Source: reader specification of 38号文, iReadCard and iWriteCard. That data have the
//! form of their address is a decision here: what is read can be written back.

use core::fmt;
use core::str::FromStr;
use thiserror::Error;

/// The characters that join values.
pub const JOINTS: [char; 3] = ['|', '^', '$'];

/// Where an item stands in its file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct ItemAddress {
    /// Its tag.
    pub tag: u8,
    /// The number of its record, from 1; without, the first one with the tag is meant.
    pub number: Option<u8>,
}

/// A file and its items.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileAddress {
    /// The directory's label: `SSSE`, `DF01` …
    pub directory: String,
    /// The file's identifier: EF05 …
    pub fid: u16,
    /// The items; none where the file stands alone.
    pub items: Vec<ItemAddress>,
}

/// One or more files.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Address(Vec<FileAddress>);

/// A file's values.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct FileData {
    /// The file, as addresses write it.
    pub name: String,
    /// A value for each item, or for each record of a cyclic file, newest first.
    pub values: Vec<String>,
}

/// The values of one or more files.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash)]
pub struct Data(pub Vec<FileData>);

/// Why a text is no address, or no data.
#[derive(Clone, Debug, PartialEq, Eq, Error)]
#[error("character {at}: expected {expected}, found {}", shown(.found))]
pub struct AddressError {
    /// The character's place, from 1.
    pub at: usize,
    /// What should stand there.
    pub expected: &'static str,
    /// What does, up to the next joint.
    pub found: String,
}

impl AddressError {
    /// What it says, in Chinese.
    #[must_use]
    pub fn words_zh(&self) -> String {
        match self.found.as_str() {
            "" => format!("第{}个字符处不完整", self.at),
            found => format!("第{}个字符处的{found:?}有误", self.at),
        }
    }
}

/// What stands at a place, for an error.
fn shown(found: &str) -> String {
    match found {
        "" => "nothing".to_owned(),
        found => format!("{found:?}"),
    }
}

impl Address {
    /// The files, in order; at least one.
    #[must_use]
    pub fn files(&self) -> &[FileAddress] {
        &self.0
    }
}

impl FromStr for Address {
    type Err = AddressError;

    /// Reads an address.
    fn from_str(text: &str) -> Result<Address, AddressError> {
        let files = split(text)?;
        let files = files.into_iter().map(|(name, parts)| {
            let (directory, fid) = file(&name)?;
            let items = parts.iter().map(item).collect::<Result<_, _>>()?;
            Ok(FileAddress {
                directory,
                fid,
                items,
            })
        });
        files.collect::<Result<_, _>>().map(Address)
    }
}

impl FromStr for Data {
    type Err = AddressError;

    /// Reads data.
    fn from_str(text: &str) -> Result<Data, AddressError> {
        let files = split(text)?;
        let files = files.into_iter().map(|(name, parts)| {
            file(&name)?;
            let values = parts.into_iter().map(|part| part.text.to_owned()).collect();
            Ok(FileData {
                name: name.text.to_owned(),
                values,
            })
        });
        files.collect::<Result<_, _>>().map(Data)
    }
}

/// A piece of the text and where it begins, from 1.
struct Part<'t> {
    text: &'t str,
    at: usize,
}

impl Part<'_> {
    fn error(&self, expected: &'static str) -> AddressError {
        AddressError {
            at: self.at,
            expected,
            found: self.text.to_owned(),
        }
    }
}

/// The files of a text: name and parts of each.
fn split(text: &str) -> Result<Vec<(Part<'_>, Vec<Part<'_>>)>, AddressError> {
    let mut files = Vec::new();
    let mut at = 1;
    let mut rest = text;
    while !rest.is_empty() || files.is_empty() {
        let Some((one, behind)) = rest.split_once('$') else {
            let at = at + rest.chars().count();
            let found = String::new();
            let expected = "'$' behind each file";
            return Err(AddressError {
                at,
                expected,
                found,
            });
        };
        let mut parts = Vec::new();
        let mut begins = at;
        for part in one.split('|') {
            parts.push(Part {
                text: part,
                at: begins,
            });
            begins += part.chars().count() + 1;
        }
        at += one.chars().count() + 1;
        rest = behind;
        // Behind the last '|' stands nothing.
        if parts.len() > 1 {
            match parts.pop() {
                Some(last) if !last.text.is_empty() => {
                    let at = last.at + last.text.chars().count();
                    return Err(AddressError {
                        at,
                        expected: "'|' behind each item",
                        found: "$".to_owned(),
                    });
                }
                _ => {}
            }
        }
        let items = parts.split_off(1);
        if let Some(name) = parts.pop() {
            files.push((name, items));
        }
    }
    Ok(files)
}

fn file(name: &Part<'_>) -> Result<(String, u16), AddressError> {
    let wrong = || name.error("a file such as DF01EF05");
    let (directory, file) = name
        .text
        .len()
        .checked_sub(4)
        .and_then(|at| name.text.split_at_checked(at))
        .ok_or_else(wrong)?;
    let good = |c: char| c.is_ascii_uppercase() || c.is_ascii_digit();
    let labelled = !directory.is_empty() && directory.chars().all(good);
    let fid = file
        .strip_prefix("EF")
        .and_then(hexadecimal)
        .filter(|_| labelled);
    let low = fid.ok_or_else(wrong)?;
    Ok((directory.to_owned(), 0xEF00 | u16::from(low)))
}

fn item(part: &Part<'_>) -> Result<ItemAddress, AddressError> {
    let (tag, number) = match part.text.split_once(':') {
        Some((tag, number)) => (tag, Some(number)),
        None => (part.text, None),
    };
    let wrong = || part.error("a tag such as 2A, or a tag and a record number such as 40:2");
    let tag = hexadecimal(tag)
        .filter(|tag| (0x01..=0xFE).contains(tag))
        .ok_or_else(wrong)?;
    let number = match number {
        None => None,
        Some(number) => {
            let plain = !number.starts_with(['0', '+']);
            let number = number.parse().ok().filter(|n| plain && *n != 0xFF);
            Some(number.ok_or_else(wrong)?)
        }
    };
    Ok(ItemAddress { tag, number })
}

fn hexadecimal(digits: &str) -> Option<u8> {
    let good = |c: char| c.is_ascii_digit() || ('A'..='F').contains(&c);
    if digits.len() == 2 && digits.chars().all(good) {
        u8::from_str_radix(digits, 16).ok()
    } else {
        None
    }
}

impl FileAddress {
    /// The file, as addresses write it.
    #[must_use]
    pub fn name(&self) -> String {
        format!("{}{:04X}", self.directory, self.fid)
    }
}

impl fmt::Display for ItemAddress {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:02X}", self.tag)?;
        match self.number {
            Some(number) => write!(f, ":{number}"),
            None => Ok(()),
        }
    }
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.0 {
            write!(f, "{}|", file.name())?;
            for item in &file.items {
                write!(f, "{item}|")?;
            }
            write!(f, "$")?;
        }
        Ok(())
    }
}

impl fmt::Display for Data {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for file in &self.0 {
            write!(f, "{}|", file.name)?;
            for value in &file.values {
                write!(f, "{value}|")?;
            }
            write!(f, "$")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::{Address, Data, FileAddress, FileData, ItemAddress};
    use proptest::prelude::{Strategy, any, prop, proptest};

    #[test]
    fn the_address_of_the_specification_is_read() {
        let address: Address = "DF01EF0A|37|$DF01EF15|2A|40:2|$".parse().unwrap();
        let item = |tag, number| ItemAddress { tag, number };
        let file = |fid, items| FileAddress {
            directory: "DF01".to_owned(),
            fid,
            items,
        };
        assert_eq!(
            address.files(),
            [
                file(0xEF0A, vec![item(0x37, None)]),
                file(0xEF15, vec![item(0x2A, None), item(0x40, Some(2))]),
            ]
        );
        for alone in ["DF02EF07|$", "DF02EF07$"] {
            let address: Address = alone.parse().unwrap();
            assert_eq!(address.to_string(), "DF02EF07|$");
        }
    }

    #[test]
    fn what_is_no_address_is_told_with_its_place() {
        for (text, at, expected) in [
            ("", 1, "'$' behind"),
            ("DF01EF0A|37|", 13, "'$' behind"),
            ("DF01EF0A|37$", 12, "'|' behind"),
            ("$", 1, "a file"),
            ("EF05|01|$", 1, "a file"),
            ("DF01EF|01|$", 1, "a file"),
            ("df01EF05|01|$", 1, "a file"),
            ("DF01EF0a|01|$", 1, "a file"),
            ("SSSEEF05|1|$", 10, "a tag"),
            ("SSSEEF05|01||$", 13, "a tag"),
            ("SSSEEF05|00|$", 10, "a tag"),
            ("SSSEEF05|40:|$", 10, "a tag"),
            ("SSSEEF05|40:0|$", 10, "a tag"),
            ("SSSEEF05|40:+1|$", 10, "a tag"),
            ("SSSEEF05|40:255|$", 10, "a tag"),
            ("SSSEEF05|01|$社EF05|01|$", 14, "a file"),
            ("SSSEEF05|01|$SSSEEF06|社|$", 23, "a tag"),
        ] {
            let error = text.parse::<Address>().unwrap_err();
            assert_eq!(error.at, at, "{text}: {error}");
            assert!(error.expected.starts_with(expected), "{text}: {error}");
            assert!(!error.to_string().contains("\"\""), "{text}: {error}");
        }
    }

    fn file() -> impl Strategy<Value = FileAddress> {
        let item = (0x01..=0xFE_u8, prop::option::of(1..=0xFE_u8))
            .prop_map(|(tag, number)| ItemAddress { tag, number });
        (
            "(SSSE|MF|DF0[0-9A-F])",
            any::<u8>(),
            prop::collection::vec(item, 0..6),
        )
            .prop_map(|(directory, low, items)| FileAddress {
                directory,
                fid: 0xEF00 | u16::from(low),
                items,
            })
    }

    proptest! {
        #[test]
        fn every_address_comes_back(files in prop::collection::vec(file(), 1..5)) {
            let address = Address(files);
            assert_eq!(address.to_string().parse(), Ok(address));
        }

        #[test]
        fn all_data_come_back(
            files in prop::collection::vec(
                (file(), prop::collection::vec("[^|$]{0,8}", 0..5)), 1..4,
            ),
        ) {
            let files = files.into_iter().map(|(file, values)| FileData {
                name: file.name(),
                values,
            });
            let data = Data(files.collect());
            assert_eq!(data.to_string().parse(), Ok(data));
        }

        #[test]
        fn any_text_is_read_or_refused(text in "[DFES0-9A-F|$:^社]{0,24}") {
            let places = text.chars().count() + 1;
            if let Err(error) = text.parse::<Address>() {
                assert!((1..=places).contains(&error.at), "{error}");
            }
        }
    }
}
