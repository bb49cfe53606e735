//! The journal: what makes many physical writes one update.
//!
//! It stands at the start of the medium, in four parts that never overlap.
//!
//! | at         | part    | holds                                                |
//! |------------|---------|------------------------------------------------------|
//! | 0          | plate   | magic, format number, sizes, check                   |
//! | 32, 48     | slots   | generation (8), check (8); the greatest is in force  |
//! | 64         | entries | 32 bytes each, in the order in which they were made  |
//! | after them | bytes   | what does not fit into an entry                      |
//!
//! | bytes of an entry | hold                                                    |
//! |-------------------|---------------------------------------------------------|
//! | 0 to 7            | generation                                              |
//! | 8 to 11           | address                                                 |
//! | 12 to 15          | length in bytes; bit 32 is set for a latch              |
//! | 16 to 23          | up to 8 bytes themselves, else where the bytes are kept |
//! | 24 to 31          | check of the 24 bytes before                            |
//!
//! Numbers are big-endian; a check is the XXH3 sum of 64 bits. Entries lie at
//! fixed places and hold no more than 8 bytes from outside, so that nothing an
//! applet stores can ever be read as an entry.
//!
//! Source: XXH3 specification, `xxhash_spec.md` of the xxHash project, 0.2.0.

use xxhash_rust::xxh3::xxh3_64;

use super::medium::Medium;
use super::store::{Damaged, Fault};

/// What a formatted medium begins with.
const MAGIC: &[u8; 8] = b"CARDMEM\0";
/// The format described above.
const FORMAT: u32 = 1;

const SLOTS_AT: u32 = 32;
const SLOT_LEN: u32 = 16;
const ENTRIES_AT: u32 = 64;
const ENTRY_LEN: u32 = 32;
/// Up to this many bytes stand in the entry itself.
const INLINE: usize = 8;
/// The greatest number of bytes that are copied at once.
const CHUNK: u32 = 1024;
/// Set in the length of a latch's entry.
const LATCH: u32 = 0x8000_0000;

/// How large a journal is; chosen when a medium is formatted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct JournalSize {
    /// How many writes fit into one update.
    pub entries: u32,
    /// How many bytes fit into one update, besides those of writes of up to 8
    /// bytes, which have room in their entries.
    pub bytes: u32,
}

impl JournalSize {
    /// The size that suits a medium: a quarter of it, up to 32 KiB.
    #[must_use]
    pub fn of_medium(size: u32) -> JournalSize {
        JournalSize {
            entries: (size / 512).clamp(32, 256),
            bytes: (size / 16 * 3).clamp(1024, 24 * 1024) & !7,
        }
    }

    fn bytes_at(self) -> u64 {
        u64::from(ENTRIES_AT) + u64::from(self.entries) * u64::from(ENTRY_LEN)
    }

    fn end(self) -> u64 {
        (self.bytes_at() + u64::from(self.bytes)).next_multiple_of(8)
    }
}

/// What becomes of an entry's bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// They are the old ones, put back when the update is rolled back.
    Undo,
    /// They are the new ones, put in place whatever becomes of the update.
    Latch,
}

#[derive(Clone, Copy)]
struct Entry {
    kind: Kind,
    at: u32,
    len: u32,
    /// Up to 8 bytes themselves, from the left; else where they are kept.
    inline: u64,
}

/// The journal, and what is known of it while power is on.
pub(super) struct Journal {
    size: JournalSize,
    generation: u64,
    entries: Vec<Entry>,
    /// Where the next entry will be written.
    next_at: u32,
    bytes_used: u32,
    /// Its entries stay in force for good: bytes could not be put in place, or no new
    /// generation could be begun.
    is_stuck: bool,
    chunk: Box<[u8; CHUNK as usize]>,
}

impl Journal {
    /// Writes an empty journal of this size to a medium whose slots and entries
    /// are zero. `None` where it does not fit, or the cells do not take it.
    pub(super) fn format(medium: &mut impl Medium, size: JournalSize) -> Option<Journal> {
        if size.end() > u64::from(medium.size()) {
            return None;
        }
        let mut plate = [0; SLOTS_AT as usize];
        plate[..8].copy_from_slice(MAGIC);
        plate[8..12].copy_from_slice(&FORMAT.to_be_bytes());
        plate[12..16].copy_from_slice(&size.entries.to_be_bytes());
        plate[16..20].copy_from_slice(&size.bytes.to_be_bytes());
        let check = xxh3_64(&plate[..24]);
        plate[24..].copy_from_slice(&check.to_be_bytes());
        if !medium.write(0, &plate) {
            return None;
        }
        let mut journal = Journal::with_size(size);
        journal.retire(medium);
        Some(journal).filter(|journal| !journal.is_stuck)
    }

    /// The journal of a formatted medium, in which no entry is in force any
    /// more: latches are in place, and what an update left unfinished is undone. Where
    /// cells do not take that, it is stuck.
    pub(super) fn recover(medium: &mut impl Medium) -> Result<Journal, Damaged> {
        let mut journal = Journal::with_size(Journal::read_size(medium)?);
        journal.generation = [0, 1]
            .into_iter()
            .filter_map(|slot| Journal::read_slot(medium, slot))
            .max()
            .ok_or(Damaged::Journal)?;
        while journal.entries.len() < journal.size.entries as usize {
            let mut bytes = [0; ENTRY_LEN as usize];
            medium.read(journal.next_at, &mut bytes);
            let Some(entry) = Entry::decode(&bytes, journal.generation) else {
                break;
            };
            // All that is ever written lies behind the journal and on the medium.
            let end = u64::from(entry.at) + u64::from(entry.len);
            if entry.at < journal.end() || end > u64::from(medium.size()) {
                return Err(Damaged::Journal);
            }
            journal.push(entry);
        }
        for index in 0..journal.entries.len() {
            journal.put(medium, index, Kind::Latch);
        }
        journal.undo(medium, 0);
        if !journal.is_empty() {
            journal.retire(medium);
        }
        Ok(journal)
    }

    /// The journal of a memory that has none.
    pub(super) fn none() -> Journal {
        Journal::with_size(JournalSize {
            entries: 0,
            bytes: 0,
        })
    }

    fn with_size(size: JournalSize) -> Journal {
        Journal {
            size,
            generation: 0,
            entries: Vec::with_capacity(32),
            next_at: ENTRIES_AT,
            bytes_used: 0,
            is_stuck: false,
            chunk: Box::new([0; CHUNK as usize]),
        }
    }

    fn read_size(medium: &impl Medium) -> Result<JournalSize, Damaged> {
        let plate: [u8; SLOTS_AT as usize] = read_array(medium, 0);
        if &plate[..8] != MAGIC {
            return Err(Damaged::NotFormatted);
        }
        let number = |at: usize| u32::from_be_bytes(word(&plate, at));
        if u64::from_be_bytes(word(&plate, 24)) != xxh3_64(&plate[..24]) {
            return Err(Damaged::Plate);
        }
        if number(8) != FORMAT {
            return Err(Damaged::Format(number(8)));
        }
        let size = JournalSize {
            entries: number(12),
            bytes: number(16),
        };
        if size.end() > u64::from(medium.size()) {
            return Err(Damaged::Plate);
        }
        Ok(size)
    }

    fn read_slot(medium: &impl Medium, slot: u32) -> Option<u64> {
        let bytes: [u8; SLOT_LEN as usize] = read_array(medium, SLOTS_AT + slot * SLOT_LEN);
        let check = u64::from_be_bytes(word(&bytes, 8));
        (check == xxh3_64(&bytes[..8])).then(|| u64::from_be_bytes(word(&bytes, 0)))
    }

    /// The first address after the journal, a multiple of 8.
    pub(super) fn end(&self) -> u32 {
        // Fits: it was compared with the size of the medium.
        u32::try_from(self.size.end()).unwrap_or(u32::MAX)
    }

    /// Whether no entry is in force.
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.entries.is_empty()
    }

    /// Whether its entries stay in force for good, so that nothing can change any more.
    #[inline]
    pub(super) fn is_stuck(&self) -> bool {
        self.is_stuck
    }

    /// Says that bytes of an entry could not be put in place.
    #[cold]
    pub(super) fn stick(&mut self) {
        self.is_stuck = true;
    }

    /// How many entries are in force.
    #[inline]
    pub(super) fn len(&self) -> usize {
        self.entries.len()
    }

    /// Which generation is in force.
    #[inline]
    pub(super) fn generation(&self) -> u64 {
        self.generation
    }

    /// Whether an undo entry made since there were `floor` entries already
    /// holds the old bytes of this range.
    #[inline]
    pub(super) fn covers(&self, floor: usize, at: u32, len: usize) -> bool {
        let covers = |entry: &Entry| {
            entry.kind == Kind::Undo
                && entry.at <= at
                && u64::from(at) + len as u64 <= u64::from(entry.at) + u64::from(entry.len)
        };
        self.entries
            .get(floor..)
            .unwrap_or_default()
            .iter()
            .any(covers)
    }

    /// Makes an entry: for an undo of what stands at `at`, for a latch of
    /// `bytes`, which are to be written there. The entry is whole when this
    /// returns.
    ///
    /// # Errors
    /// The fault, and no entry made, where the journal is full or its cells are worn.
    #[inline]
    pub(super) fn record(
        &mut self,
        medium: &mut impl Medium,
        kind: Kind,
        at: u32,
        bytes: &[u8],
    ) -> Result<(), Fault> {
        let len = u32::try_from(bytes.len()).map_err(|_| Fault::JournalFull)?;
        // The last sixteenth is kept for latches: a try counter can move in an
        // update that has filled the journal.
        let room = |all: u32| match kind {
            Kind::Undo => all - all / 16,
            Kind::Latch => all,
        };
        if self.entries.len() >= room(self.size.entries) as usize {
            return Err(Fault::JournalFull);
        }
        let inline = if bytes.len() <= INLINE {
            match kind {
                // Eight bytes in one go cost less than a loop over fewer.
                Kind::Undo => leftmost(u64::from_be_bytes(read_array(medium, at)), len),
                Kind::Latch => left_aligned(bytes),
            }
        } else {
            if len > room(self.size.bytes).saturating_sub(self.bytes_used) {
                return Err(Fault::JournalFull);
            }
            let used = self.bytes_used;
            if !self.keep(medium, kind, at, bytes) {
                return Err(Fault::Worn);
            }
            self.bytes_used += len;
            u64::from(used)
        };
        let entry = Entry {
            kind,
            at,
            len,
            inline,
        };
        if !medium.write(self.next_at, &entry.encode(self.generation)) {
            return Err(Fault::Worn);
        }
        self.push(entry);
        Ok(())
    }

    /// Copies what does not fit into an entry, before there is one. False where the
    /// cells did not take it.
    #[inline]
    fn keep(&mut self, medium: &mut impl Medium, kind: Kind, at: u32, bytes: &[u8]) -> bool {
        let to = self.kept_at(self.bytes_used);
        let mut done = 0;
        for part in bytes.chunks(CHUNK as usize) {
            let kept = match kind {
                Kind::Latch => part,
                Kind::Undo => {
                    let old = &mut self.chunk[..part.len()];
                    medium.read(at + done, old);
                    old
                }
            };
            if !medium.write(to + done, kept) {
                return false;
            }
            done += CHUNK;
        }
        true
    }

    /// Puts the old bytes back in place, the newest first, down to the first
    /// `down_to` entries. The entries stay in force; where the cells do not take the
    /// bytes, for good.
    pub(super) fn undo(&mut self, medium: &mut impl Medium, down_to: usize) {
        for index in (down_to..self.entries.len()).rev() {
            self.put(medium, index, Kind::Undo);
        }
    }

    /// Puts the bytes of one entry in place, if it is of this kind.
    fn put(&mut self, medium: &mut impl Medium, index: usize, kind: Kind) {
        let Some(entry) = self.entries.get(index).copied() else {
            return;
        };
        if entry.kind != kind {
            return;
        }
        if let Some(bytes) = entry.inline.to_be_bytes().get(..entry.len as usize) {
            let taken = medium.write(entry.at, bytes);
            self.is_stuck |= !taken;
            return;
        }
        let from = self.kept_at(u32::try_from(entry.inline).unwrap_or(u32::MAX));
        let mut done = 0;
        while done < entry.len {
            let len = (entry.len - done).min(CHUNK);
            let part = &mut self.chunk[..len as usize];
            medium.read(from.saturating_add(done), part);
            let taken = medium.write(entry.at.saturating_add(done), part);
            self.is_stuck |= !taken;
            done += len;
        }
    }

    /// Begins a new generation, by one write: no entry is in force any more. Where the
    /// cells do not take it, or the journal is stuck already, it is stuck with the
    /// entries that it has.
    #[inline]
    pub(super) fn retire(&mut self, medium: &mut impl Medium) {
        let generation = self.generation.wrapping_add(1);
        let mut slot = [0; SLOT_LEN as usize];
        slot[..8].copy_from_slice(&generation.to_be_bytes());
        let check = xxh3_64(&slot[..8]);
        slot[8..].copy_from_slice(&check.to_be_bytes());
        let odd = if generation % 2 == 1 { 1 } else { 0 };
        if self.is_stuck || !medium.write(SLOTS_AT + odd * SLOT_LEN, &slot) {
            return self.stick();
        }
        self.generation = generation;
        self.entries.clear();
        self.next_at = ENTRIES_AT;
        self.bytes_used = 0;
    }

    #[inline]
    fn push(&mut self, entry: Entry) {
        self.entries.push(entry);
        self.next_at += ENTRY_LEN;
    }

    #[inline]
    fn kept_at(&self, used: u32) -> u32 {
        (ENTRIES_AT + self.size.entries * ENTRY_LEN).saturating_add(used)
    }

    /// What is known of the journal, for a copy of the medium.
    pub(super) fn fork(&self) -> Journal {
        let mut fork = Journal::with_size(self.size);
        fork.generation = self.generation;
        fork.entries.extend_from_slice(&self.entries);
        fork.next_at = self.next_at;
        fork.bytes_used = self.bytes_used;
        fork.is_stuck = self.is_stuck;
        fork
    }
}

impl Entry {
    #[inline]
    fn encode(&self, generation: u64) -> [u8; ENTRY_LEN as usize] {
        let len = match self.kind {
            Kind::Undo => self.len,
            Kind::Latch => self.len | LATCH,
        };
        // Whole words, so that the sum does not wait for pieces of them.
        let place = u64::from(self.at) << 32 | u64::from(len);
        let mut bytes = [0; ENTRY_LEN as usize];
        bytes[..8].copy_from_slice(&generation.to_be_bytes());
        bytes[8..16].copy_from_slice(&place.to_be_bytes());
        bytes[16..24].copy_from_slice(&self.inline.to_be_bytes());
        let check = xxh3_64(&bytes[..24]);
        bytes[24..].copy_from_slice(&check.to_be_bytes());
        bytes
    }

    /// The entry these bytes are, if they are a whole one of this generation.
    fn decode(bytes: &[u8; ENTRY_LEN as usize], generation: u64) -> Option<Entry> {
        if u64::from_be_bytes(word(bytes, 0)) != generation
            || u64::from_be_bytes(word(bytes, 24)) != xxh3_64(&bytes[..24])
        {
            return None;
        }
        let len = u32::from_be_bytes(word(bytes, 12));
        let kind = match len & LATCH {
            0 => Kind::Undo,
            _ => Kind::Latch,
        };
        Some(Entry {
            kind,
            at: u32::from_be_bytes(word(bytes, 8)),
            len: len & !LATCH,
            inline: u64::from_be_bytes(word(bytes, 16)),
        })
    }
}

/// Up to 8 bytes as the left part of a word.
#[inline]
fn left_aligned(bytes: &[u8]) -> u64 {
    let shifts = [56, 48, 40, 32, 24, 16, 8, 0];
    bytes
        .iter()
        .zip(shifts)
        .fold(0, |word, (byte, shift)| word | u64::from(*byte) << shift)
}

/// The left `len` bytes of a word.
#[inline]
fn leftmost(word: u64, len: u32) -> u64 {
    word & !u64::MAX.checked_shr(8 * len).unwrap_or(0)
}

/// The `N` bytes of a medium from `at` on.
#[inline]
pub(super) fn read_array<const N: usize>(medium: &impl Medium, at: u32) -> [u8; N] {
    let mut bytes = [0; N];
    medium.read(at, &mut bytes);
    bytes
}

/// The `N` bytes from `at` on; zero where there are none.
#[inline]
fn word<const N: usize>(bytes: &[u8], at: usize) -> [u8; N] {
    let mut word = [0; N];
    if let Some(bytes) = bytes.get(at..at + N) {
        word.copy_from_slice(bytes);
    }
    word
}

#[cfg(test)]
mod tests {
    use super::super::{Cut, Ending, JournalSize, Owner, Pages, Store, Tear};
    use super::{Damaged, ENTRIES_AT, Entry, INLINE, Journal, Kind, Medium};
    use super::{left_aligned, leftmost};

    #[test]
    fn short_bytes_fill_a_word_from_the_left() {
        let bytes = [1, 2, 3, 4, 5, 6, 7, 8];
        for len in 0..=INLINE {
            let mut word = [0; INLINE];
            word[..len].copy_from_slice(&bytes[..len]);
            let word = u64::from_be_bytes(word);
            assert_eq!(left_aligned(&bytes[..len]), word);
            let len = u32::try_from(len).expect("small");
            assert_eq!(leftmost(u64::from_be_bytes(bytes), len), word);
        }
    }

    #[test]
    fn an_entry_of_bytes_that_are_no_object_s_is_damage() {
        let size = 8 * 1024;
        let end = Journal::recover(&mut Store::format(Pages::new(size)).medium_mut().fork());
        let (end, long) = (end.unwrap().end(), 1 << 30);
        for (at, len, whole) in [
            (end, 4, true),
            (size - 8, 8, true),
            (size - 8, 9, false),
            (end - 1, 1, false),
            (0, 16, false),
            (end, long, false),
            (u32::MAX, long, false),
        ] {
            let mut medium = Store::format(Pages::new(size)).medium_mut().fork();
            let generation = Journal::recover(&mut medium).unwrap().generation;
            for kind in [Kind::Undo, Kind::Latch] {
                let inline = 0;
                let entry = Entry {
                    kind,
                    at,
                    len,
                    inline,
                };
                assert!(medium.write(ENTRIES_AT, &entry.encode(generation)));
                let recovered = Journal::recover(&mut medium.fork()).map(|_| ());
                let expected = if whole { Ok(()) } else { Err(Damaged::Journal) };
                assert_eq!(recovered, expected, "{len} bytes at {at}");
            }
        }
    }

    #[test]
    fn an_entry_is_whole_or_none() {
        for kind in [Kind::Undo, Kind::Latch] {
            let entry = Entry {
                kind,
                at: 0x0001_0203,
                len: 7,
                inline: 0x1122_3344_5566_7700,
            };
            let bytes = entry.encode(5);
            let read = Entry::decode(&bytes, 5).expect("whole");
            assert_eq!(
                (read.kind, read.at, read.len, read.inline),
                (entry.kind, entry.at, entry.len, entry.inline)
            );
            assert!(Entry::decode(&bytes, 4).is_none());
            assert!(Entry::decode(&bytes, 6).is_none());
            for bit in 0..bytes.len() * 8 {
                let mut bytes = bytes;
                bytes[bit / 8] ^= 1 << (bit % 8);
                assert!(Entry::decode(&bytes, 5).is_none());
            }
        }
    }

    #[test]
    fn bytes_that_look_like_entries_are_never_taken_for_some() {
        let size = JournalSize {
            entries: 32,
            bytes: 4096,
        };
        let medium = Tear::new(Pages::new(16 * 1024));
        let mut store = Store::format_with(medium, size);
        let victim = store.allocate(Owner::OS, 8).expect("room");
        let object = store.allocate(Owner(1), 3000).expect("room");
        // What a patient attacker would store: entries of the generations to
        // come, which latch other bytes into the victim, at every alignment.
        let generation = store.journal_generation();
        let forged = |coming: u64| {
            let entry = Entry {
                kind: Kind::Latch,
                at: victim.reference().number(),
                len: 8,
                inline: u64::MAX,
            };
            entry.encode(generation + coming)
        };
        for shift in 0..32 {
            for coming in 0..8 {
                let mut store = store.fork();
                let flood: Vec<u8> = forged(coming)
                    .into_iter()
                    .cycle()
                    .skip(shift)
                    .take(3000)
                    .collect();
                store.write(object, 0, &flood);
                store.write(object, 0, &[0; 3000]);
                for len in [1, 8, 9, 20, 33] {
                    store.begin();
                    store.write(object, 0, &vec![1; len]);
                    store.write(object, 1000, &vec![1; len]);
                    let mut dark = store.fork();
                    dark.medium_mut().arm(Cut {
                        after_writes: 0,
                        ending: Ending::Noise,
                    });
                    dark.write(object, 2000, &flood[..len]);
                    dark.medium_mut().restore();
                    for store in [&mut store, &mut dark] {
                        store.recover();
                        assert_eq!(store.read_array::<8>(victim, 0), [0; 8]);
                    }
                }
            }
        }
    }
}
