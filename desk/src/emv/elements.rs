//! Data elements of card and terminal, and lists filled with them.
//!
//! Source: EMV 4.4 book 3, 5.4 (lists) and annex A (formats).

use super::Why;
use super::terminal::{Sale, Terminal};
use crate::bank::grouping::amount;
use cardlab::tag;
use cardlab::tlv::{Dol, Format, Tag, Value};
use std::collections::BTreeMap;

/// Elements that are digits, filled on the left.
const NUMERIC: [u32; 14] = [
    0x5F24, 0x5F25, 0x5F28, 0x5F2A, 0x5F30, 0x5F34, 0x5F36, 0x9A, 0x9C, 0x9F02, 0x9F03, 0x9F1A,
    0x9F21, 0x9F35,
];
/// Elements that are digits, filled on the right.
const COMPRESSED: [u32; 2] = [0x5A, 0x9F20];

/// Elements that are the terminal's alone: what a card says of them does not count.
const OWN: [u32; 30] = [
    0x81, 0x8A, 0x91, 0x95, 0x9A, 0x9B, 0x9C, 0x5F2A, 0x5F36, 0x9F02, 0x9F03, 0x9F06, 0x9F09,
    0x9F1A, 0x9F1B, 0x9F1C, 0x9F1E, 0x9F21, 0x9F33, 0x9F34, 0x9F35, 0x9F37, 0x9F40, 0x9F45, 0x9F4E,
    0x9F7A, 0x9F7B, 0xDF69, 0x82, 0x94,
];

/// Data elements by their tags.
#[derive(Clone, Debug, Default)]
pub(super) struct Elements(BTreeMap<u32, Vec<u8>>);

impl Elements {
    /// Those that a terminal knows before there is a card.
    pub(super) fn of(terminal: &Terminal, sale: &Sale) -> Elements {
        let mut elements = Elements::default();
        let binary = sale.amount.to_be_bytes();
        let values: [(Tag, &[u8]); 17] = [
            (tag!(0x81), &binary),
            (tag!(0x9F02), &amount(sale.amount)),
            (tag!(0x9F03), &amount(sale.other)),
            (tag!(0x9A), &sale.date),
            (tag!(0x9F21), &sale.time),
            (tag!(0x9C), &[sale.kind]),
            (tag!(0x9F1A), &terminal.country),
            (tag!(0x5F2A), &terminal.currency),
            (tag!(0x5F36), &[0x02]),
            (tag!(0x9F33), &terminal.capabilities),
            (tag!(0x9F35), &[terminal.kind]),
            (tag!(0x9F40), &terminal.additional),
            (tag!(0x9F1C), &terminal.identification),
            (tag!(0x9F1E), &terminal.identification),
            (tag!(0x9F4E), &terminal.merchant),
            (tag!(0x9F34), &[0x3F, 0x00, 0x00]),
            (tag!(0xDF69), &[u8::from(terminal.sm)]),
        ];
        for (tag, value) in values {
            elements.put(tag, value);
        }
        elements
    }

    pub(super) fn put(&mut self, tag: Tag, value: &[u8]) {
        self.0.insert(tag.value(), value.to_vec());
    }

    /// Takes one that the card gave in its FCI or in a record.
    pub(super) fn take(&mut self, tag: Tag, value: &[u8]) {
        if !OWN.contains(&tag.value()) {
            self.put(tag, value);
        }
    }

    pub(super) fn get(&self, tag: Tag) -> Option<&[u8]> {
        self.0.get(&tag.value()).map(Vec::as_slice)
    }

    /// One of a fixed length; `None` where it is missing or of another length.
    pub(super) fn array<const N: usize>(&self, tag: Tag) -> Option<[u8; N]> {
        self.get(tag)?.try_into().ok()
    }

    /// One of a fixed length that the card need not have: zeros then.
    pub(super) fn of_len<const N: usize>(&self, tag: Tag) -> [u8; N] {
        self.array(tag).unwrap_or([0; N])
    }

    /// The values that a list asks for, one after the other.
    ///
    /// # Errors
    /// [`Why::Malformed`] where it is none.
    pub(super) fn fill(&self, list: &[u8], name: &'static str) -> Result<Vec<u8>, Why> {
        let list = Dol::parse(list).map_err(|_| Why::Malformed(name))?;
        let mut filled = vec![0; list.filled_len()];
        let lookup = |tag: Tag| {
            let bytes = self.get(tag)?;
            let format = match tag.value() {
                tag if NUMERIC.contains(&tag) => Format::Numeric,
                tag if COMPRESSED.contains(&tag) => Format::CompressedNumeric,
                _ => Format::Other,
            };
            Some(Value { format, bytes })
        };
        list.fill(&mut filled, lookup).ok_or(Why::Malformed(name))?;
        Ok(filled)
    }
}

/// The digits of a compressed number.
pub(super) fn digits(bytes: &[u8]) -> String {
    let digits = hex::encode_upper(bytes);
    digits.trim_end_matches('F').to_owned()
}

/// A day with its century, for comparison: years below 50 are of this one.
pub(super) const fn day([year, month, day]: [u8; 3]) -> [u8; 4] {
    [if year < 0x50 { 0x20 } else { 0x19 }, year, month, day]
}
