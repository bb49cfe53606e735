//! Objects with an owner, and updates of them that happen wholly or not at all.
//!
//! After the journal stands `top` (4 bytes), where free memory begins, and after
//! that one object behind the other: length (4), owner (1), three zero bytes,
//! then the bytes of the object, padded to a multiple of 8.

use core::cell::Cell;
use core::fmt;

use super::journal::{Journal, JournalSize, Kind, read_array};
use super::medium::{Medium, Pages};
use super::tear::Tear;

/// Objects begin at multiples of this.
const ALIGN: u32 = 8;
/// Length, owner, and three zero bytes.
const HEADER_LEN: u32 = 8;
/// Memory is cleared in pieces of this size.
const CLEAR_LEN: u32 = 1024;

/// To whom an object belongs: the operating system, or one applet.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Owner(pub u8);

impl Owner {
    /// The card operating system itself.
    pub const OS: Owner = Owner(0);
}

/// A handle of allocated memory: who owns it, where it is, how long it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Object {
    owner: Owner,
    at: u32,
    len: u32,
}

impl Object {
    /// An object that is nowhere: any access is a fault.
    pub const NOWHERE: Object = Object {
        owner: Owner::OS,
        at: 0,
        len: 0,
    };

    /// To whom it belongs.
    #[must_use]
    #[inline]
    pub fn owner(self) -> Owner {
        self.owner
    }

    /// Its length in bytes.
    #[must_use]
    #[inline]
    #[expect(clippy::len_without_is_empty, reason = "a length, not a collection")]
    pub fn len(self) -> u32 {
        self.len
    }

    /// The form in which it can be kept in memory.
    #[must_use]
    #[inline]
    pub fn reference(self) -> Ref {
        Ref(self.at)
    }
}

/// An object's name in memory: 4 bytes, which stay the same for its whole life.
///
/// It promises nothing: [`Store::object`] says whether there is such an object
/// and whose it is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Ref(u32);

impl Ref {
    /// The name of no object; what fresh memory holds.
    pub const NONE: Ref = Ref(0);

    /// The name with this number.
    #[must_use]
    pub const fn from_number(number: u32) -> Ref {
        Ref(number)
    }

    /// The number of this name.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.0
    }
}

/// How far an update had come; [`Store::roll_back_to`] goes back there.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mark {
    generation: u64,
    entries: usize,
}

/// Our card is broken: not an answer that a standard names.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Bytes outside an object, or an object that is gone.
    #[error("an access outside of an object")]
    Bounds,
    /// An object of another owner.
    #[error("an access to an object of another owner")]
    Foreign,
    /// More was written in one update than the journal can undo.
    #[error("an update too large for the journal")]
    JournalFull,
    /// Cells that do not take what is written: the update is rolled back.
    #[error("worn out cells of the memory")]
    Worn,
    /// The memory cannot be understood at power-on.
    #[error("the memory is damaged")]
    Damaged,
}

/// Why a medium is not a memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Damaged {
    /// It was never formatted.
    #[error("not a formatted memory")]
    NotFormatted,
    /// It has a format that this program does not know.
    #[error("memory of format {0}, which this program does not know")]
    Format(u32),
    /// What stands at its start is not what was written there.
    #[error("the plate of the memory is damaged")]
    Plate,
    /// Neither of its two slots is whole.
    #[error("the journal of the memory is damaged")]
    Journal,
    /// Its objects do not end where free memory begins.
    #[error("the objects of the memory are damaged")]
    Objects,
}

/// A memory of objects on a medium.
pub struct Store<M: Medium = Tear<Pages>> {
    medium: M,
    journal: Journal,
    /// Where free memory begins.
    top: u32,
    /// One bit for every place at which an object can begin.
    starts: Vec<u64>,
    /// Whether an update is open.
    open: bool,
    /// The journal was stuck when the update was opened: nothing changes in it.
    frozen: bool,
    /// How many entries the journal had at the last mark.
    floor: usize,
    /// Memory from here on is newer than the update and all its marks: nobody
    /// can ask for its old bytes.
    fresh: u32,
    fault: Cell<Option<Fault>>,
}

impl<M: Medium> Store<M> {
    /// Makes an empty memory of a medium, at least 4 KiB large, whatever it held.
    #[must_use]
    pub fn format(medium: M) -> Store<M> {
        let size = JournalSize::of_medium(medium.size());
        Store::format_with(medium, size)
    }

    /// As [`Store::format`], with a journal of this size.
    #[must_use]
    pub fn format_with(mut medium: M, size: JournalSize) -> Store<M> {
        clear(&mut medium, 0, u32::MAX);
        let journal = Journal::format(&mut medium, size);
        let mut store = Store::around(medium);
        if let Some(journal) = journal {
            let base = journal.end() + HEADER_LEN;
            // Where the cells do not take it, there is no room for an object.
            let _ = store.medium.write(journal.end(), &base.to_be_bytes());
        }
        store.recover();
        store
    }

    /// The memory on a formatted medium, recovered.
    ///
    /// # Errors
    /// What is wrong with the medium.
    pub fn open(medium: M) -> Result<Store<M>, Damaged> {
        let mut store = Store::around(medium);
        store.try_recover()?;
        Ok(store)
    }

    /// Power-on: forgets what was known while power was on, puts latches in
    /// place, undoes an update that power left unfinished, and forgets a fault.
    /// A damaged memory is a [`Fault::Damaged`], and has no objects.
    pub fn recover(&mut self) {
        if self.try_recover().is_err() {
            self.journal = Journal::none();
            self.top = 0;
            self.raise(Fault::Damaged);
        }
    }

    fn around(medium: M) -> Store<M> {
        Store {
            medium,
            journal: Journal::none(),
            top: 0,
            starts: Vec::new(),
            open: false,
            frozen: false,
            floor: 0,
            fresh: 0,
            fault: Cell::new(None),
        }
    }

    fn try_recover(&mut self) -> Result<(), Damaged> {
        self.journal = Journal::none();
        self.top = 0;
        self.starts.clear();
        self.open = false;
        self.fault.set(None);
        self.journal = Journal::recover(&mut self.medium)?;
        // Free memory begins after the last object, and is reached one by one.
        let top = self.read_top();
        self.top = self.base();
        while self.top < top {
            let at = self.top;
            self.top = self.after(self.header(at).1).ok_or(Damaged::Objects)?;
            self.set_start(at);
        }
        match self.top == top {
            true => Ok(()),
            false => Err(Damaged::Objects),
        }
    }

    /// Where the first object's header is.
    fn base(&self) -> u32 {
        self.journal.end().saturating_add(HEADER_LEN)
    }

    fn read_top(&self) -> u32 {
        // Torn by loss of power it can be anything, until it is recovered.
        u32::from_be_bytes(read_array(&self.medium, self.journal.end())).min(self.medium.size())
    }

    /// The owner and the length in the header at `at`.
    fn header(&self, at: u32) -> (Owner, u32) {
        let [a, b, c, d, owner, ..] = read_array::<8>(&self.medium, at);
        (Owner(owner), u32::from_be_bytes([a, b, c, d]))
    }

    /// Where free memory would begin after one more object of this length.
    fn after(&self, len: u32) -> Option<u32> {
        if self.top < self.base() {
            return None;
        }
        let end = self.top.checked_add(HEADER_LEN)?.checked_add(len)?;
        let end = end.checked_next_multiple_of(ALIGN)?;
        (end <= self.medium.size()).then_some(end)
    }
}

/// Objects.
impl<M: Medium> Store<M> {
    /// Allocates an object of `len` zero bytes. `None` where memory has not so
    /// much left, or where the journal is full or cells are worn, which is a fault
    /// besides.
    pub fn allocate(&mut self, owner: Owner, len: u32) -> Option<Object> {
        let at = self.top;
        let top = self.after(len)?;
        let [a, b, c, d] = len.to_be_bytes();
        let alone = self.enter();
        // Free memory belongs to nobody: only the step of `top` is an update.
        let taken = clear(&mut self.medium, at + HEADER_LEN, top)
            && self.medium.write(at, &[a, b, c, d, owner.0, 0, 0, 0]);
        if !taken {
            self.raise(Fault::Worn);
        }
        let done = taken && self.put(Kind::Undo, self.journal.end(), &top.to_be_bytes());
        if done {
            self.top = top;
            self.set_start(at);
        }
        self.leave(alone);
        // With a fault that waits, it was rolled back.
        (done && self.top == top).then_some(Object {
            owner,
            at: at + HEADER_LEN,
            len,
        })
    }

    /// The object of this name, if there is one.
    #[must_use]
    #[inline]
    pub fn object(&self, name: Ref) -> Option<Object> {
        let start = name.0.checked_sub(HEADER_LEN)?;
        if start >= self.top || start % ALIGN != 0 || !self.is_start(start) {
            return None;
        }
        let (owner, len) = self.header(start);
        (len <= self.top - start).then_some(Object {
            owner,
            at: name.0,
            len,
        })
    }

    /// The object that was allocated first: where the operating system begins
    /// to find its own.
    #[must_use]
    pub fn first(&self) -> Option<Object> {
        self.object(Ref(self.base().checked_add(HEADER_LEN)?))
    }

    /// All objects, in the order in which they were allocated.
    pub fn objects(&self) -> impl Iterator<Item = Object> {
        let mut at = self.base();
        core::iter::from_fn(move || {
            let object = self.object(Ref(at.checked_add(HEADER_LEN)?))?;
            at = object.at.checked_add(object.len)?;
            at = at.checked_next_multiple_of(ALIGN)?;
            Some(object)
        })
    }

    /// How many bytes the largest object can have that fits.
    #[must_use]
    pub fn free_bytes(&self) -> u32 {
        if self.top < self.base() {
            return 0;
        }
        (self.medium.size().saturating_sub(self.top) & !(ALIGN - 1)).saturating_sub(HEADER_LEN)
    }

    /// All allocated memory, headers included: equal in two copies of a card
    /// exactly if their objects and all their bytes are equal.
    #[must_use]
    pub fn contents(&self) -> Vec<u8> {
        let base = self.base();
        let mut bytes = vec![0; self.top.saturating_sub(base) as usize];
        self.medium.read(base, &mut bytes);
        bytes
    }

    #[inline]
    fn start_bit(&self, at: u32) -> (usize, u64) {
        let index = at.wrapping_sub(self.base()) / ALIGN;
        (index as usize / 64, 1 << (index % 64))
    }

    #[inline]
    fn is_start(&self, at: u32) -> bool {
        let (word, bit) = self.start_bit(at);
        self.starts.get(word).is_some_and(|bits| bits & bit != 0)
    }

    fn set_start(&mut self, at: u32) {
        let (word, bit) = self.start_bit(at);
        if word >= self.starts.len() {
            self.starts.resize(word + 1, 0);
        }
        if let Some(bits) = self.starts.get_mut(word) {
            *bits |= bit;
        }
    }

    /// Forgets the objects from `top` on.
    fn lower_top(&mut self) {
        self.top = self.read_top();
        let (word, bit) = self.start_bit(self.top);
        self.starts.truncate(word + 1);
        if let Some(bits) = self.starts.get_mut(word) {
            *bits &= bit - 1;
        }
    }
}

/// Bytes of objects.
impl<M: Medium> Store<M> {
    /// Copies bytes of an object. Outside of it they are zero, and a fault.
    #[inline]
    pub fn read(&self, object: Object, offset: u32, into: &mut [u8]) {
        match self.place(object, offset, into.len()) {
            Some(at) => self.medium.read(at, into),
            None => into.fill(0),
        }
    }

    /// The `N` bytes of an object from `offset` on. Outside of it they are zero,
    /// and a fault.
    #[must_use]
    #[inline]
    pub fn read_array<const N: usize>(&self, object: Object, offset: u32) -> [u8; N] {
        match self.place(object, offset, N) {
            Some(at) => read_array(&self.medium, at),
            None => [0; N],
        }
    }

    /// Appends bytes of an object to `out`. Outside of it nothing is appended,
    /// and that is a fault.
    #[inline]
    pub fn append_to(&self, object: Object, offset: u32, len: u32, out: &mut Vec<u8>) {
        if let Some(at) = self.place(object, offset, len as usize) {
            let start = out.len();
            out.resize(start + len as usize, 0);
            self.medium.read(at, &mut out[start..]);
        }
    }

    /// Replaces bytes of an object, as part of the open update; with none open,
    /// as an update of its own. Outside of the object nothing is written, and
    /// that is a fault.
    #[inline]
    pub fn write(&mut self, object: Object, offset: u32, bytes: &[u8]) {
        self.change(Kind::Undo, object, offset, bytes);
    }

    /// Replaces bytes of an object at once and for good: neither roll-back nor
    /// loss of power undoes or tears it. Outside of the object nothing is
    /// written, and that is a fault.
    ///
    /// Bytes are either written or latched: where one update does both to the
    /// same byte, its roll-back also undoes the latch.
    #[inline]
    pub fn latch(&mut self, object: Object, offset: u32, bytes: &[u8]) {
        self.change(Kind::Latch, object, offset, bytes);
    }

    #[inline]
    fn change(&mut self, kind: Kind, object: Object, offset: u32, bytes: &[u8]) {
        if let Some(at) = self.place(object, offset, bytes.len()) {
            let alone = self.enter();
            self.put(kind, at, bytes);
            self.leave(alone);
        }
    }

    /// The address of `len` bytes of an object, or a fault.
    #[inline]
    fn place(&self, object: Object, offset: u32, len: usize) -> Option<u32> {
        let within = u64::from(offset) + len as u64 <= u64::from(object.len);
        let exists = u64::from(object.at) + u64::from(object.len) <= u64::from(self.top);
        if within && exists {
            Some(object.at + offset)
        } else {
            self.raise(Fault::Bounds);
            None
        }
    }

    /// One write, of which the journal knows. False, and a fault, if it is full, or if
    /// cells are worn.
    #[inline]
    fn put(&mut self, kind: Kind, at: u32, bytes: &[u8]) -> bool {
        if bytes.is_empty() {
            return true;
        }
        // After worn cells were met nothing more is done: the update is lost.
        if self.journal.is_stuck() || self.fault.get() == Some(Fault::Worn) {
            self.raise(Fault::Worn);
            return false;
        }
        let known = at >= self.fresh
            || kind == Kind::Undo && self.journal.covers(self.floor, at, bytes.len());
        if !known && let Err(fault) = self.journal.record(&mut self.medium, kind, at, bytes) {
            self.raise(fault);
            return false;
        }
        let taken = self.medium.write(at, bytes);
        if !taken {
            self.raise(Fault::Worn);
            if !known && kind == Kind::Latch {
                // No roll-back undoes it, so nothing may come after it.
                self.journal.stick();
            }
        }
        taken
    }
}

/// Updates.
impl<M: Medium> Store<M> {
    /// Opens an update: what is written from now on happens wholly or not at all.
    /// Within an open update this does nothing.
    #[inline]
    pub fn begin(&mut self) {
        if !self.open {
            self.open = true;
            self.frozen = self.journal.is_stuck();
            self.floor = 0;
            self.fresh = self.top;
        }
    }

    /// Ends the update: what was written stays. An update with a fault that was
    /// not taken is rolled back instead, and so is one whose end the cells do not take,
    /// which is a fault.
    #[inline]
    pub fn commit(&mut self) {
        if self.open {
            if self.fault.get().is_some() {
                return self.roll_back();
            }
            if !self.journal.is_empty() && !self.frozen {
                self.journal.retire(&mut self.medium);
                if self.journal.is_stuck() {
                    return self.roll_back();
                }
            }
            self.open = false;
        }
    }

    /// Ends the update: what was written is undone, what was latched stays. Where the
    /// cells do not take that, it is a fault.
    pub fn roll_back(&mut self) {
        if self.open {
            self.open = false;
            if !self.journal.is_empty() && !self.frozen {
                self.journal.undo(&mut self.medium, 0);
                self.journal.retire(&mut self.medium);
                self.lower_top();
                self.notice_stuck();
            }
        }
    }

    /// How far the open update has come.
    #[must_use]
    pub fn mark(&mut self) -> Mark {
        self.floor = self.journal.len();
        self.fresh = self.top;
        Mark {
            generation: self.journal.generation(),
            entries: self.journal.len(),
        }
    }

    /// Undoes what the open update wrote since the mark; what was latched stays.
    /// Later marks are void. A mark of another update does nothing.
    pub fn roll_back_to(&mut self, mark: Mark) {
        if self.open && mark.generation == self.journal.generation() {
            self.journal.undo(&mut self.medium, mark.entries);
            self.lower_top();
            self.notice_stuck();
        }
    }

    fn notice_stuck(&self) {
        if self.journal.is_stuck() {
            self.raise(Fault::Worn);
        }
    }

    /// Opens an update for one write, if none is open.
    #[inline]
    fn enter(&mut self) -> bool {
        let alone = !self.open;
        self.begin();
        alone
    }

    #[inline]
    fn leave(&mut self, alone: bool) {
        if alone {
            self.commit();
        }
    }
}

/// Faults, and what lies below.
impl<M: Medium> Store<M> {
    /// Remembers a fault; the first one stays.
    #[cold]
    pub fn raise(&self, fault: Fault) {
        if self.fault.get().is_none() {
            self.fault.set(Some(fault));
        }
    }

    /// The first fault since it was last taken.
    #[must_use]
    #[inline]
    pub fn fault(&self) -> Option<Fault> {
        self.fault.get()
    }

    /// The first fault since the last call, and forgets it.
    pub fn take_fault(&mut self) -> Option<Fault> {
        self.fault.take()
    }

    /// The medium below.
    pub fn medium(&self) -> &M {
        &self.medium
    }

    /// The medium below. What is written there passes by the journal.
    pub fn medium_mut(&mut self) -> &mut M {
        &mut self.medium
    }
}

#[cfg(test)]
impl<M: Medium> Store<M> {
    pub(super) fn journal_generation(&self) -> u64 {
        self.journal.generation()
    }

    pub(super) fn is_stuck(&self) -> bool {
        self.journal.is_stuck()
    }

    /// Where it stands where free memory begins.
    pub(super) fn top_at(&self) -> u32 {
        self.journal.end()
    }
}

impl<M: Medium> Store<M> {
    /// A copy of this memory with power, in whatever state it is; from now on
    /// each sees its own changes only.
    #[must_use]
    pub fn fork(&mut self) -> Store<M> {
        Store {
            medium: self.medium.fork(),
            journal: self.journal.fork(),
            starts: self.starts.clone(),
            fault: self.fault.clone(),
            ..*self
        }
    }
}

impl<M: Medium> fmt::Debug for Store<M> {
    /// Its sizes: the bytes are the card's secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Store")
            .field("size", &self.medium.size())
            .field("free_bytes", &self.free_bytes())
            .field("open", &self.open)
            .field("fault", &self.fault.get())
            .finish_non_exhaustive()
    }
}

/// Zeroes memory from `at` to `end`, writing only where it is not zero. False where the
/// cells did not take it.
fn clear(medium: &mut impl Medium, at: u32, end: u32) -> bool {
    let (mut at, end) = (at, end.min(medium.size()));
    let mut bytes = [0; CLEAR_LEN as usize];
    while at < end {
        let len = (end - at).min(CLEAR_LEN);
        let part = &mut bytes[..len as usize];
        medium.read(at, part);
        if part.iter().any(|byte| *byte != 0) {
            part.fill(0);
            if !medium.write(at, part) {
                return false;
            }
        }
        at += len;
    }
    true
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;
    use proptest::sample::Index;

    use super::super::{Cut, Ending, Pages, Tear};
    use super::{Damaged, Fault, Medium, Owner, Ref, Store};

    fn store() -> Store {
        Store::format(Tear::new(Pages::new(64 * 1024)))
    }

    #[test]
    fn a_commit_keeps_and_a_roll_back_undoes() {
        let mut store = store();
        let object = store.allocate(Owner(1), 600).expect("room");
        store.begin();
        store.write(object, 0, &[1; 600]);
        store.commit();
        store.begin();
        store.write(object, 10, &[2; 500]);
        store.write(object, 0, &[3; 2]);
        store.latch(object, 599, &[9]);
        store.roll_back();
        let mut bytes = [0; 600];
        store.read(object, 0, &mut bytes);
        assert_eq!((&bytes[..599], bytes[599]), (&[1; 599][..], 9));
        assert_eq!(store.take_fault(), None);
    }

    #[test]
    fn an_update_that_wrote_nothing_makes_no_physical_write() {
        let mut store = store();
        let object = store.allocate(Owner(1), 8).expect("room");
        let writes = store.medium().writes();
        store.begin();
        store.write(object, 3, &[]);
        let mark = store.mark();
        store.roll_back_to(mark);
        store.commit();
        store.begin();
        store.roll_back();
        store.recover();
        assert_eq!(store.medium().writes(), writes);
    }

    #[test]
    fn the_same_bytes_are_journaled_once_in_an_update() {
        let mut store = store();
        let object = store.allocate(Owner(1), 8).expect("room");
        let before = store.medium().writes();
        store.begin();
        for value in 0_u64..100_000 {
            store.write(object, 0, &value.to_be_bytes());
        }
        store.commit();
        assert_eq!(store.medium().writes() - before, 1 + 100_000 + 1);
        assert_eq!(store.take_fault(), None);
    }

    #[test]
    fn a_mark_brings_back_bytes_that_were_written_before_and_after_it() {
        let mut store = store();
        let object = store.allocate(Owner(1), 8).expect("room");
        store.begin();
        store.write(object, 0, &[1; 8]);
        let first = store.mark();
        store.write(object, 2, &[2; 4]);
        let second = store.mark();
        store.write(object, 2, &[3; 4]);
        store.latch(object, 7, &[9]);
        store.roll_back_to(second);
        assert_eq!(store.read_array(object, 0), [1, 1, 2, 2, 2, 2, 1, 9]);
        store.write(object, 3, &[4]);
        store.roll_back_to(second);
        assert_eq!(store.read_array(object, 0), [1, 1, 2, 2, 2, 2, 1, 9]);
        store.roll_back_to(first);
        assert_eq!(store.read_array(object, 0), [1, 1, 1, 1, 1, 1, 1, 9]);
        store.commit();
        store.roll_back_to(first);
        assert_eq!(store.read_array(object, 0), [1, 1, 1, 1, 1, 1, 1, 9]);
    }

    #[test]
    fn a_mark_brings_back_bytes_of_an_object_of_the_same_update() {
        let mut store = store();
        store.begin();
        let object = store.allocate(Owner(1), 8).expect("room");
        store.write(object, 0, &[1; 7]);
        let mark = store.mark();
        store.write(object, 0, &[2; 7]);
        store.latch(object, 7, &[9]);
        let gone = store.allocate(Owner(1), 8).expect("room");
        store.roll_back_to(mark);
        assert_eq!(store.object(gone.reference()), None);
        store.commit();
        store.recover();
        assert_eq!(store.read_array(object, 0), [1, 1, 1, 1, 1, 1, 1, 9]);
        assert_eq!(store.objects().collect::<Vec<_>>(), [object]);
    }

    #[test]
    fn a_rolled_back_object_is_gone() {
        let mut store = store();
        let first = store.allocate(Owner(1), 9).expect("room");
        let free = store.free_bytes();
        store.begin();
        let gone = store.allocate(Owner(2), 100).expect("room");
        store.write(gone, 0, &[7; 100]);
        store.roll_back();
        assert_eq!(store.free_bytes(), free);
        assert_eq!(store.object(gone.reference()), None);
        assert_eq!(store.first(), Some(first));
        store.write(gone, 0, &[7]);
        assert_eq!(store.take_fault(), Some(Fault::Bounds));
        let again = store.allocate(Owner(3), 100).expect("room");
        assert_eq!(store.read_array::<100>(again, 0), [0; 100]);
        assert_eq!(store.object(again.reference()), Some(again));
    }

    #[test]
    fn an_object_is_known_only_by_its_own_name() {
        let mut store = store();
        let objects: Vec<_> = [0, 1, 7, 8, 9, 100, 0]
            .into_iter()
            .map(|len| store.allocate(Owner(5), len).expect("room"))
            .collect();
        for object in &objects {
            // Bytes that look like the header of an object.
            store.write(*object, 0, &vec![0; object.len() as usize]);
        }
        let known: Vec<_> = (0..70_000)
            .filter_map(|number| store.object(Ref::from_number(number)))
            .collect();
        assert_eq!(known, objects);
        assert_eq!(store.objects().collect::<Vec<_>>(), objects);
        assert_eq!(store.object(Ref::from_number(u32::MAX)), None);
        assert_eq!(store.object(Ref::NONE), None);
    }

    #[test]
    fn memory_can_be_filled_to_the_last_byte() {
        let mut store = store();
        assert_eq!(store.allocate(Owner(1), store.free_bytes() + 1), None);
        assert_eq!(store.allocate(Owner(1), u32::MAX), None);
        let all = store.allocate(Owner(1), store.free_bytes()).expect("room");
        store.write(all, all.len() - 1, &[7]);
        assert_eq!(store.free_bytes(), 0);
        assert_eq!(store.allocate(Owner(1), 0), None);
        assert_eq!(store.take_fault(), None);
        store.recover();
        assert_eq!(store.read_array::<1>(all, all.len() - 1), [7]);
    }

    #[test]
    fn an_update_of_16_kib_fits_and_rolls_back() {
        let mut store = Store::format(Tear::new(Pages::new(128 * 1024)));
        let object = store.allocate(Owner(1), 16 * 1024).expect("room");
        store.begin();
        store.write(object, 0, &[1; 16 * 1024]);
        store.roll_back();
        assert_eq!(store.take_fault(), None);
        let mut bytes = Vec::new();
        store.append_to(object, 0, object.len(), &mut bytes);
        assert_eq!(bytes, [0; 16 * 1024]);
    }

    #[test]
    fn a_full_journal_is_a_fault_and_the_update_rolls_back() {
        let mut store = store();
        let object = store.allocate(Owner(1), 30_000).expect("room");
        store.begin();
        store.write(object, 0, &[1; 1000]);
        store.write(object, 0, &[2; 30_000]);
        store.commit();
        assert_eq!(store.take_fault(), Some(Fault::JournalFull));
        assert_eq!(store.read_array::<1000>(object, 0), [0; 1000]);
        store.write(object, 0, &[3]);
        assert_eq!(store.read_array::<2>(object, 0), [3, 0]);
    }

    #[test]
    fn a_latch_moves_in_an_update_that_filled_the_journal() {
        let mut store = store();
        let object = store.allocate(Owner(1), 3000).expect("room");
        let tries = store.allocate(Owner(1), 1).expect("room");
        store.begin();
        let mut offset = 0;
        while store.take_fault().is_none() {
            store.write(object, offset, &[1]);
            offset += 1;
        }
        store.latch(tries, 0, &[3]);
        assert_eq!(store.take_fault(), None);
        store.roll_back();
        assert_eq!(store.read_array::<1>(tries, 0), [3]);
        assert_eq!(store.read_array::<1>(object, 0), [0]);
    }

    #[test]
    fn a_fault_stays_until_it_is_taken_and_the_first_one_counts() {
        let mut store = store();
        let object = store.allocate(Owner(1), 4).expect("room");
        store.write(object, 0, &[1; 4]);
        store.begin();
        store.write(object, 0, &[2; 4]);
        store.raise(Fault::Foreign);
        assert_eq!(store.read_array::<8>(object, 0), [0; 8]);
        store.commit();
        let contents = store.contents();
        assert_eq!(store.allocate(Owner(1), 4), None);
        assert_eq!(store.contents(), contents);
        assert_eq!(store.take_fault(), Some(Fault::Foreign));
        assert_eq!(store.take_fault(), None);
        assert_eq!(store.read_array::<4>(object, 0), [1; 4]);
    }

    #[test]
    fn a_medium_that_is_too_small_has_no_room_and_is_a_fault() {
        for size in [0, 1024, 2048] {
            let mut store = Store::format(Tear::new(Pages::new(size)));
            assert_eq!(store.take_fault(), Some(Fault::Damaged));
            assert_eq!((store.free_bytes(), store.first()), (0, None));
            assert_eq!(store.allocate(Owner(1), 0), None);
        }
        assert!(Store::format(Tear::new(Pages::new(4096))).free_bytes() > 1000);
    }

    #[test]
    fn a_fork_and_its_origin_go_their_own_ways() {
        let mut store = store();
        let object = store.allocate(Owner(1), 2000).expect("room");
        store.begin();
        store.write(object, 0, &[1; 2000]);
        let mut fork = store.fork();
        fork.roll_back();
        let other = fork.allocate(Owner(2), 5).expect("room");
        store.commit();
        assert_eq!(store.read_array::<2000>(object, 0), [1; 2000]);
        assert_eq!(fork.read_array::<2000>(object, 0), [0; 2000]);
        assert_eq!(store.object(other.reference()), None);
        assert_ne!(store.contents(), fork.contents());
    }

    #[test]
    fn a_card_without_power_goes_on_in_the_dark_without_a_panic() {
        for ending in Ending::ALL {
            for after_writes in 0..12 {
                let mut store = store();
                let object = store.allocate(Owner(1), 20).expect("room");
                store.medium_mut().arm(Cut {
                    after_writes,
                    ending,
                });
                for round in 0..3 {
                    store.begin();
                    store.allocate(Owner(2), 300);
                    let mark = store.mark();
                    for object in store.objects().collect::<Vec<_>>() {
                        store.write(object, 0, &[round; 20]);
                        store.latch(object, 3, &[round; 2]);
                    }
                    store.roll_back_to(mark);
                    assert!(store.contents().len() < 64 * 1024);
                    store.roll_back();
                    store.take_fault();
                }
                store.recover();
                store.medium_mut().restore();
                store.recover();
                assert_eq!(store.objects().collect::<Vec<_>>(), [object]);
            }
        }
    }

    #[test]
    fn what_is_not_a_memory_is_refused() {
        let blank = Store::open(Pages::new(8192));
        assert_eq!(blank.err(), Some(Damaged::NotFormatted));
        let mut store = Store::format(Pages::new(8192));
        store.allocate(Owner(1), 100);
        let first = store.first().expect("just allocated").reference().number();
        for (at, reason) in [(9, Damaged::Plate), (first - 6, Damaged::Objects)] {
            let mut medium = store.medium_mut().fork();
            assert!(medium.write(at, &[0x55]));
            assert_eq!(Store::open(medium).err(), Some(reason));
        }
        let mut medium = store.medium_mut().fork();
        assert!(medium.write(32, &[0x55; 32]));
        assert_eq!(Store::open(medium).err(), Some(Damaged::Journal));
        assert!(Store::open(store.medium_mut().fork()).is_ok());
    }

    #[test]
    fn a_damaged_medium_never_panics() {
        let mut store = Store::format(Pages::new(8192));
        let object = store.allocate(Owner(1), 100).expect("room");
        store.begin();
        store.write(object, 0, &[1; 100]);
        store.latch(object, 0, &[1]);
        for at in 0..8192 {
            for bytes in [&[0][..], &[0xFF], &[0xFF; 8], &[0x80]] {
                let mut medium = store.medium_mut().fork();
                let _ = medium.write(at, bytes);
                let Ok(mut store) = Store::open(medium) else {
                    continue;
                };
                for object in store.objects().collect::<Vec<_>>() {
                    store.write(object, 0, &[1]);
                }
                store.allocate(Owner(2), 10);
                store.recover();
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn no_access_panics_or_leaves_its_object(
            lens in vec(0_u32..3000, 1..6),
            which in any::<Index>(),
            offset in prop_oneof![0_u32..4000, any::<u32>()],
            len in 0_usize..4000,
            small in any::<bool>(),
        ) {
            let mut origin = store();
            let objects: Vec<_> = lens
                .iter()
                .map(|len| origin.allocate(Owner(1), *len).expect("room"))
                .collect();
            // Handles of one card mean nothing on another, and do no harm there.
            let mut store = match small {
                true => Store::format(Tear::new(Pages::new(4096))),
                false => origin.fork(),
            };
            let before = store.contents();
            let object = *which.get(&objects);
            let within = u64::from(offset) + len as u64 <= u64::from(object.len());
            store.write(object, offset, &vec![7; len]);
            let faulted = store.take_fault();
            let mut into = vec![9; len];
            store.read(object, offset, &mut into);
            if faulted.is_some() {
                prop_assert_eq!(&into, &vec![0; len]);
                prop_assert_eq!(store.take_fault(), faulted);
                prop_assert_eq!(store.contents(), before);
            } else {
                prop_assert!(within);
                prop_assert_eq!(&into, &vec![7; len]);
                let changed = store.contents().iter().zip(&before).filter(|(a, b)| a != b).count();
                prop_assert_eq!(changed, len);
            }
            let mut out = vec![1];
            store.append_to(object, offset, u32::try_from(len).unwrap_or(0), &mut out);
            prop_assert_eq!(out.len(), if faulted.is_some() { 1 } else { 1 + len });
        }
    }
}
