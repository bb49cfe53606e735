//! Tag-length-value, read and written without copying.
//!
//! Readers borrow from the bytes they read, never panic, and say at which byte
//! they stopped. The writer fills a buffer that the caller lends, or a vector.
//!
//! | file     | what                                                            |
//! |----------|-----------------------------------------------------------------|
//! | `tag`    | a BER tag of 1 to 3 bytes                                       |
//! | `ber`    | BER-TLV data objects                                            |
//! | `simple` | one-byte tag, one-byte length: records of the social card       |
//! | `dol`    | data object lists, filled and split                             |
//!
//! Source: ISO/IEC 7816-4:2020, 5.2 and 8.2; EMV 4.3 Book 3, 5.4 and annex B.

// Hostile bytes come through here; tests may index what they made themselves.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod ber;
mod dol;
mod simple;
mod tag;

pub use crate::tag;
pub use ber::{DataObject, Full, Objects, Writer, find};
pub use dol::{Dol, Entry, Format, Value};
pub use simple::{Simple, SimpleObjects};
pub use tag::{Tag, TagClass};

use nom::error::{ErrorKind, ParseError};
use thiserror::Error;

/// Where and how bytes stop being what they should be.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
#[error("byte {offset}: {wrong}")]
pub struct Malformed {
    /// Bytes before the one that is wrong.
    pub offset: usize,
    /// What is wrong with it.
    pub wrong: Wrong,
}

/// What is wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Error)]
pub enum Wrong {
    /// No tag of 1 to 3 bytes begins here.
    #[error("not a tag")]
    Tag,
    /// No length begins here.
    #[error("not a length")]
    Length,
    /// More bytes are announced than follow.
    #[error("cut short")]
    Short,
}

/// A [`Malformed`] whose place is told by what was left to read.
#[derive(Debug)]
struct Stop<'a> {
    rest: &'a [u8],
    wrong: Wrong,
}

impl<'a> Stop<'a> {
    /// A failure that no other way of reading can mend.
    fn at<T>(rest: &'a [u8], wrong: Wrong) -> Read<'a, T> {
        Err(nom::Err::Failure(Stop { rest, wrong }))
    }
}

impl<'a> ParseError<&'a [u8]> for Stop<'a> {
    fn from_error_kind(rest: &'a [u8], _: ErrorKind) -> Stop<'a> {
        // The primitives used here fail only where the bytes end.
        Stop {
            rest,
            wrong: Wrong::Short,
        }
    }

    fn append(_: &'a [u8], _: ErrorKind, other: Stop<'a>) -> Stop<'a> {
        other
    }
}

type Read<'a, T> = nom::IResult<&'a [u8], T, Stop<'a>>;

/// Our error of nom's, for a reader that began with `whole`.
fn malformed(whole: &[u8], error: nom::Err<Stop<'_>>) -> Malformed {
    let (rest, wrong) = match error {
        nom::Err::Error(stop) | nom::Err::Failure(stop) => (stop.rest.len(), stop.wrong),
        nom::Err::Incomplete(_) => (0, Wrong::Short),
    };
    Malformed {
        offset: whole.len().saturating_sub(rest),
        wrong,
    }
}
