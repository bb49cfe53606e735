//! The bodies of EFs: bytes, and records by number or identifier.
//!
//! | structure       | how the body lies in memory                   | identifier  |
//! |-----------------|-----------------------------------------------|-------------|
//! | transparent     | a row of bytes                                | -           |
//! | linear fixed    | slots of one length, record 1 in the first    | first byte  |
//! | linear variable | tag, length and value one after another       | the tag     |
//! | cyclic          | slots of one length in a ring, record 1 newest | none       |
//!
//! A number refers to a record without making it current; an identifier makes
//! the record it finds current.
//!
//! Source: ISO/IEC 7816-4:2020, 11.3 and 11.4 (data units, records), 7.3.4; social
//! security card specification, part 3, 5.3, and part 5 (UPDATE RECORD).

use super::tree::{AT_BODY, AT_RECORDS, File, Structure};
use crate::apdu::Sw;
use crate::applet::Ctx;

/// Which of the records with an identifier.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Occurrence {
    /// The one with the least number.
    First,
    /// The one with the greatest number.
    Last,
    /// The first one behind the current record; the first of all where none is current.
    Next,
    /// The last one before the current record; the last of all where none is current.
    Previous,
}

/// One record, as a command names it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Record {
    /// The current one.
    Current,
    /// The one with this number, 1 to 254.
    Number(u8),
    /// One with this identifier, 1 to 254; 0 is any record.
    Identified {
        /// The identifier.
        identifier: u8,
        /// Which of those that have it.
        occurrence: Occurrence,
    },
}

/// The records that a READ RECORD names.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Span {
    /// One.
    One(Record),
    /// From this one to the last.
    From(Record),
    /// From the last one down to this one.
    DownTo(Record),
}

/// Where a record lies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Place {
    number: u8,
    at: u32,
    len: u16,
}

/// The records that a READ RECORD found.
#[derive(Clone, Copy, Debug)]
pub struct Found {
    first: u8,
    last: u8,
    current: u8,
    len: u32,
}

impl Found {
    /// How many bytes they are together.
    #[must_use]
    pub const fn len(&self) -> u32 {
        self.len
    }

    /// Whether they are no bytes; no record is.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.len == 0
    }

    /// The number of the record that is current from now on, 0 for none.
    #[must_use]
    pub const fn current(&self) -> u8 {
        self.current
    }
}

const AT_USED: u32 = AT_RECORDS + 1;

/// How many bytes one step of a move within a body takes.
const STEP: u32 = 256;

// Transparent.
impl File {
    /// How many bytes the body has from this offset on.
    ///
    /// # Errors
    /// '6981' where the EF is not transparent, '6B00' where the offset is outside.
    #[inline]
    pub fn bytes_from(&self, offset: u16) -> Result<u16, Sw> {
        if self.structure() != Structure::Transparent {
            return Err(Sw::INCOMPATIBLE_WITH_FILE_STRUCTURE);
        }
        self.size()
            .checked_sub(offset)
            .filter(|&len| len > 0)
            .ok_or(Sw::OFFSET_OUTSIDE_EF)
    }

    /// Answers with `len` bytes from an offset, of those that
    /// [`bytes_from`](File::bytes_from) counts.
    #[inline]
    pub fn answer_binary(&self, ctx: &mut Ctx<'_>, offset: u16, len: u32) {
        ctx.answer_from(self.object, AT_BODY + u32::from(offset), len);
    }

    /// Fills `into` with the bytes from an offset on, for the applet's own use.
    ///
    /// # Errors
    /// '6981', '6B00' where the offset is outside, '6700' where the end is.
    pub fn read_binary(&self, ctx: &Ctx<'_>, offset: u16, into: &mut [u8]) -> Result<(), Sw> {
        if into.len() > usize::from(self.bytes_from(offset)?) {
            return Err(Sw::WRONG_LENGTH);
        }
        ctx.read(self.object, AT_BODY + u32::from(offset), into);
        Ok(())
    }

    /// Replaces bytes from an offset on.
    ///
    /// # Errors
    /// '6981', '6B00' where the offset is outside, '6700' where the end is.
    #[inline]
    pub fn update_binary(&self, ctx: &mut Ctx<'_>, offset: u16, bytes: &[u8]) -> Result<(), Sw> {
        if bytes.len() > usize::from(self.bytes_from(offset)?) {
            return Err(Sw::WRONG_LENGTH);
        }
        ctx.write(self.object, AT_BODY + u32::from(offset), bytes);
        Ok(())
    }
}

// Records.
impl File {
    const fn size(&self) -> u16 {
        self.header.word(6)
    }

    /// The length of each record, 0 where they are not of one length.
    #[must_use]
    pub const fn record_len(&self) -> u16 {
        self.header.word(8)
    }

    const fn record_max(&self) -> u8 {
        self.header.byte(10)
    }

    /// How many records there are.
    #[must_use]
    pub const fn record_count(&self) -> u8 {
        self.header.byte(AT_RECORDS)
    }

    /// Bytes in use of a linear variable EF; the slot of record 1 of a cyclic one.
    const fn used(&self) -> u16 {
        self.header.word(AT_USED)
    }

    /// How many slots a cyclic EF has, at least 1.
    fn slots(&self) -> u16 {
        u16::from(self.record_max().max(1))
    }

    /// The slot of record 1 of a cyclic EF.
    fn newest_slot(&self) -> u16 {
        self.used() % self.slots()
    }

    fn must_have_records(&self) -> Result<(), Sw> {
        match self.structure() {
            Structure::Transparent => Err(Sw::INCOMPATIBLE_WITH_FILE_STRUCTURE),
            _ => Ok(()),
        }
    }

    /// Finds the records that a READ RECORD names; of several, as many whole ones,
    /// and at least one, as are not longer than `len_max` together.
    ///
    /// # Errors
    /// '6981' where the EF has no records, '6A83'.
    pub fn find_records(
        &self,
        ctx: &Ctx<'_>,
        span: Span,
        current: u8,
        len_max: u32,
    ) -> Result<Found, Sw> {
        self.must_have_records()?;
        let (Span::One(record) | Span::From(record) | Span::DownTo(record)) = span;
        let place = self
            .locate(ctx, record, current)
            .ok_or(Sw::RECORD_NOT_FOUND)?;
        let number = place.number;
        let one = |place: Place| Found {
            first: place.number,
            last: place.number,
            current: match record {
                Record::Identified { .. } => number,
                Record::Current | Record::Number(_) => current,
            },
            len: u32::from(place.len),
        };
        let grow = |found: Found, place: Place| {
            let len = found.len + u32::from(place.len);
            (len <= len_max).then_some(Found {
                last: place.number,
                len,
                ..found
            })
        };
        let mut found = one(place);
        match span {
            Span::One(_) => {}
            Span::From(_) => {
                for place in self.places(ctx).skip_while(|other| other.number <= number) {
                    let Some(more) = grow(found, place) else {
                        break;
                    };
                    found = more;
                }
            }
            Span::DownTo(_) => {
                let last = self
                    .place(ctx, self.record_count())
                    .ok_or(Sw::RECORD_NOT_FOUND)?;
                found = one(last);
                for number in (number..last.number).rev() {
                    let place = self.place(ctx, number).ok_or(Sw::RECORD_NOT_FOUND)?;
                    let Some(more) = grow(found, place) else {
                        break;
                    };
                    found = more;
                }
            }
        }
        Ok(found)
    }

    /// Answers with the records found.
    pub fn answer_records(&self, ctx: &mut Ctx<'_>, found: &Found) {
        if found.first <= found.last {
            for number in found.first..=found.last {
                self.answer_record(ctx, number);
            }
        } else {
            for number in (found.last..=found.first).rev() {
                self.answer_record(ctx, number);
            }
        }
    }

    fn answer_record(&self, ctx: &mut Ctx<'_>, number: u8) {
        if let Some(place) = self.place(ctx, number) {
            ctx.answer_from(self.object, place.at, u32::from(place.len));
        }
    }

    /// Replaces a record, or adds it: in a linear EF where the number is the next
    /// one or no record has the identifier, in a cyclic EF where any "previous" one
    /// is named. The number of the record that is current from now on.
    ///
    /// # Errors
    /// '6981' where the EF has no records, '6700' where the record is not of the
    /// fixed length, '6A85' where it is not tag, length and value or has another tag
    /// than the one named or replaced, '6A83', '6A84'.
    pub fn update_record(
        &self,
        ctx: &mut Ctx<'_>,
        record: Record,
        current: u8,
        bytes: &[u8],
    ) -> Result<u8, Sw> {
        self.check_record(bytes)?;
        let linear = self.structure() != Structure::Cyclic;
        let now_current = |number| match record {
            Record::Identified { .. } => number,
            Record::Current | Record::Number(_) => current,
        };
        if let Record::Identified {
            identifier,
            occurrence,
        } = record
        {
            if !linear && identifier == 0 && occurrence == Occurrence::Previous {
                return self.append_record(ctx, bytes);
            }
            if identifier != 0 && bytes.first() != Some(&identifier) && linear {
                return Err(Sw::NC_INCONSISTENT_WITH_TLV);
            }
        }
        if let Some(place) = self.locate(ctx, record, current) {
            self.replace(ctx, place, bytes)?;
            return Ok(now_current(place.number));
        }
        let is_next = match record {
            Record::Current => false,
            Record::Number(number) => number == self.record_count().saturating_add(1),
            Record::Identified { identifier, .. } => identifier != 0,
        };
        if linear && is_next {
            self.append_record(ctx, bytes).map(now_current)
        } else {
            Err(Sw::RECORD_NOT_FOUND)
        }
    }

    /// Adds a record: behind the last one of a linear EF, before the newest one of a
    /// cyclic EF, where the oldest falls out if need be. Its number.
    ///
    /// # Errors
    /// '6981', '6700' and '6A85' as [`update_record`](File::update_record), '6A84'.
    pub fn append_record(&self, ctx: &mut Ctx<'_>, bytes: &[u8]) -> Result<u8, Sw> {
        self.check_record(bytes)?;
        let count = self.record_count();
        let next = count
            .checked_add(1)
            .filter(|&next| next < 0xFF)
            .ok_or(Sw::NOT_ENOUGH_MEMORY);
        match self.structure() {
            Structure::Cyclic => {
                let slot = if count == 0 {
                    0
                } else {
                    (self.newest_slot() + 1) % self.slots()
                };
                ctx.write(self.object, self.slot(slot), bytes);
                let count = count.saturating_add(1).min(self.record_max());
                self.set_extent(ctx, count, slot);
                Ok(1)
            }
            Structure::LinearFixed => {
                let next = next?;
                if next > self.record_max() {
                    return Err(Sw::NOT_ENOUGH_MEMORY);
                }
                ctx.write(self.object, self.slot(u16::from(count)), bytes);
                self.set_extent(ctx, next, 0);
                Ok(next)
            }
            Structure::LinearVariable | Structure::Transparent => {
                let next = next?;
                let used = self.grown(0, bytes.len())?;
                ctx.write(self.object, AT_BODY + u32::from(self.used()), bytes);
                self.set_extent(ctx, next, used);
                Ok(next)
            }
        }
    }

    fn check_record(&self, bytes: &[u8]) -> Result<(), Sw> {
        match (self.structure(), bytes) {
            (Structure::Transparent, _) => Err(Sw::INCOMPATIBLE_WITH_FILE_STRUCTURE),
            (Structure::LinearVariable, &[tag, len, ref value @ ..])
                if usize::from(len) == value.len() && !matches!(tag, 0x00 | 0xFF) =>
            {
                Ok(())
            }
            (Structure::LinearVariable, _) => Err(Sw::NC_INCONSISTENT_WITH_TLV),
            _ if bytes.len() == usize::from(self.record_len()) => Ok(()),
            _ => Err(Sw::WRONG_LENGTH),
        }
    }

    fn replace(&self, ctx: &mut Ctx<'_>, place: Place, bytes: &[u8]) -> Result<(), Sw> {
        if self.structure() == Structure::LinearVariable {
            let [tag] = ctx.read_array(self.object, place.at);
            if bytes.first() != Some(&tag) {
                return Err(Sw::NC_INCONSISTENT_WITH_TLV);
            }
            self.resize(ctx, place, bytes.len())?;
        }
        ctx.write(self.object, place.at, bytes);
        Ok(())
    }

    /// How many bytes are in use once `more` have taken the place of `less`.
    fn grown(&self, less: u16, more: usize) -> Result<u16, Sw> {
        let kept = self.used().saturating_sub(less);
        let used = u16::try_from(more)
            .ok()
            .and_then(|more| kept.checked_add(more));
        used.filter(|&used| used <= self.size())
            .ok_or(Sw::NOT_ENOUGH_MEMORY)
    }

    /// Moves what lies behind a record so that the record can be `len` long.
    fn resize(&self, ctx: &mut Ctx<'_>, place: Place, len: usize) -> Result<(), Sw> {
        let used = self.grown(place.len, len)?;
        let tail = place.at + u32::from(place.len);
        let tail_len = (AT_BODY + u32::from(self.used())).checked_sub(tail);
        // The records take more bytes than are in use: no update has left them so.
        let tail_len = tail_len.ok_or_else(|| {
            ctx.report_damage();
            Sw::NO_DIAGNOSIS
        })?;
        let tail_to = AT_BODY + u32::from(used) - tail_len;
        if tail != tail_to {
            self.shift(ctx, tail, tail_to, tail_len);
        }
        self.set_extent(ctx, self.record_count(), used);
        Ok(())
    }

    /// Moves bytes of the body; the two places may overlap.
    fn shift(&self, ctx: &mut Ctx<'_>, from: u32, to: u32, len: u32) {
        let mut buffer = [0; STEP as usize];
        let mut done = 0;
        while done < len {
            let step = STEP.min(len - done);
            let offset = if to > from { len - done - step } else { done };
            let part = &mut buffer[..step as usize];
            ctx.read(self.object, from + offset, part);
            ctx.write(self.object, to + offset, part);
            done += step;
        }
    }

    fn set_extent(&self, ctx: &mut Ctx<'_>, count: u8, used: u16) {
        let [high, low] = used.to_be_bytes();
        ctx.write(self.object, AT_RECORDS, &[count, high, low]);
    }

    fn slot(&self, index: u16) -> u32 {
        AT_BODY + u32::from(index) * u32::from(self.record_len())
    }

    /// All records in the order of their numbers.
    fn places<'f>(&'f self, ctx: &'f Ctx<'_>) -> impl Iterator<Item = Place> + 'f {
        let mut at = AT_BODY;
        (1..=self.record_count()).map(move |number| {
            if self.structure() != Structure::LinearVariable {
                return self.slot_of(number);
            }
            let [_, len] = ctx.read_array(self.object, at);
            let place = Place {
                number,
                at,
                len: u16::from(len) + 2,
            };
            at += u32::from(place.len);
            place
        })
    }

    fn place(&self, ctx: &Ctx<'_>, number: u8) -> Option<Place> {
        if number == 0 || number > self.record_count() {
            None
        } else if self.structure() == Structure::LinearVariable {
            self.places(ctx).find(|place| place.number == number)
        } else {
            Some(self.slot_of(number))
        }
    }

    /// The place of a record of fixed length, whose number is 1 to the count.
    fn slot_of(&self, number: u8) -> Place {
        let back = u16::from(number.saturating_sub(1));
        let index = if self.structure() == Structure::Cyclic {
            let slots = self.slots();
            (self.newest_slot() + slots - back % slots) % slots
        } else {
            back
        };
        Place {
            number,
            at: self.slot(index),
            len: self.record_len(),
        }
    }

    fn locate(&self, ctx: &Ctx<'_>, record: Record, current: u8) -> Option<Place> {
        let (identifier, occurrence) = match record {
            Record::Current => return self.place(ctx, current),
            Record::Number(number) => return self.place(ctx, number),
            Record::Identified {
                identifier,
                occurrence,
            } => (identifier, occurrence),
        };
        let has_it = |place: &Place| {
            identifier == 0
                || (self.structure() != Structure::Cyclic
                    && ctx.read_array(self.object, place.at) == [identifier])
        };
        let mut those = self.places(ctx).filter(has_it);
        match occurrence {
            Occurrence::First => those.next(),
            Occurrence::Last => those.last(),
            Occurrence::Next => those.find(|place| place.number > current),
            Occurrence::Previous => those
                .take_while(|place| current == 0 || place.number < current)
                .last(),
        }
    }
}
