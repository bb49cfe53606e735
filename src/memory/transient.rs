//! Memory that loses its bytes when the card is reset.
//!
//! An arena of bytes: rights, session keys, the state of a conversation. Which
//! bytes are also cleared when an applet is deselected is for the operating
//! system to say; here a range is a range.

use core::cell::Cell;
use core::fmt;

use zeroize::{Zeroize, Zeroizing};

use super::store::Fault;

/// A handle of transient memory.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RamObject {
    at: usize,
    len: usize,
}

impl RamObject {
    /// An object that is nowhere: any access is a fault.
    pub const NOWHERE: RamObject = RamObject { at: 0, len: 0 };

    /// Its length in bytes.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "a length, not a collection")]
    pub fn len(self) -> usize {
        self.len
    }
}

/// The transient memory of a card; wiped when it is dropped.
#[derive(Clone, Default)]
pub struct Ram {
    bytes: Zeroizing<Vec<u8>>,
    fault: Cell<Option<Fault>>,
}

impl Ram {
    /// Empty transient memory.
    #[must_use]
    pub fn new() -> Ram {
        Ram::default()
    }

    /// Allocates `len` zero bytes, for as long as this memory lives.
    pub fn allocate(&mut self, len: usize) -> RamObject {
        let at = self.bytes.len();
        if at + len > self.bytes.capacity() {
            // A vector that grew by itself would leave its old bytes behind.
            let mut grown = Zeroizing::new(Vec::with_capacity((at + len).next_power_of_two()));
            grown.extend_from_slice(&self.bytes);
            self.bytes = grown;
        }
        self.bytes.resize(at + len, 0);
        RamObject { at, len }
    }

    /// How many bytes are allocated.
    #[must_use]
    #[expect(clippy::len_without_is_empty, reason = "an extent, not a collection")]
    pub fn len(&self) -> usize {
        self.bytes.len()
    }

    /// Takes back what was allocated beyond the first `len` bytes; an access there is
    /// a fault from then on.
    pub fn truncate(&mut self, len: usize) {
        if let Some(bytes) = self.bytes.get_mut(len..) {
            bytes.zeroize();
        }
        self.bytes.truncate(len);
    }

    /// Copies bytes. Outside of the object they are zero, and a fault.
    #[inline]
    pub fn read(&self, object: RamObject, offset: usize, into: &mut [u8]) {
        match place(object, offset, into.len()).and_then(|place| self.bytes.get(place)) {
            Some(bytes) => into.copy_from_slice(bytes),
            None => {
                into.fill(0);
                self.raise();
            }
        }
    }

    /// The `N` bytes from `offset` on. Outside of the object they are zero, and
    /// a fault.
    #[must_use]
    #[inline]
    pub fn read_array<const N: usize>(&self, object: RamObject, offset: usize) -> [u8; N] {
        let mut bytes = [0; N];
        self.read(object, offset, &mut bytes);
        bytes
    }

    /// Replaces bytes. Outside of the object nothing is written, and that is a
    /// fault.
    #[inline]
    pub fn write(&mut self, object: RamObject, offset: usize, bytes: &[u8]) {
        let place = place(object, offset, bytes.len());
        match place.and_then(|place| self.bytes.get_mut(place)) {
            Some(place) => place.copy_from_slice(bytes),
            None => self.raise(),
        }
    }

    /// Zeroes `len` bytes of an object. Outside of the object nothing is cleared,
    /// and that is a fault.
    pub fn clear(&mut self, object: RamObject, offset: usize, len: usize) {
        match place(object, offset, len).and_then(|place| self.bytes.get_mut(place)) {
            Some(bytes) => bytes.zeroize(),
            None => self.raise(),
        }
    }

    /// Zeroes everything; the objects stay.
    pub fn clear_all(&mut self) {
        self.bytes.as_mut_slice().zeroize();
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

    #[cold]
    fn raise(&self) {
        self.fault.set(Some(Fault::Bounds));
    }
}

/// Where the bytes are, if they are within the object.
#[inline]
fn place(object: RamObject, offset: usize, len: usize) -> Option<core::ops::Range<usize>> {
    let end = offset.checked_add(len)?;
    (end <= object.len).then_some(object.at + offset..object.at + end)
}

impl fmt::Debug for Ram {
    /// Its size: the bytes are the card's secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ram")
            .field("size", &self.bytes.len())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::{Fault, Ram};

    #[test]
    fn fresh_memory_is_zero_and_keeps_what_is_written() {
        let mut ram = Ram::new();
        let first = ram.allocate(3);
        ram.write(first, 0, &[1, 2, 3]);
        let second = ram.allocate(100);
        assert_eq!(ram.read_array::<100>(second, 0), [0; 100]);
        ram.write(second, 99, &[9]);
        assert_eq!(ram.read_array::<3>(first, 0), [1, 2, 3]);
        assert_eq!(ram.read_array::<2>(second, 98), [0, 9]);
        assert_eq!(ram.take_fault(), None);
    }

    #[test]
    fn clearing_one_object_leaves_the_others() {
        let mut ram = Ram::new();
        let (first, second) = (ram.allocate(2), ram.allocate(2));
        ram.write(first, 0, &[1, 1]);
        ram.write(second, 0, &[2, 2]);
        ram.clear(first, 0, first.len());
        assert_eq!(ram.read_array::<2>(first, 0), [0, 0]);
        assert_eq!(ram.read_array::<2>(second, 0), [2, 2]);
        ram.clear_all();
        assert_eq!(ram.read_array::<2>(second, 0), [0, 0]);
    }

    #[test]
    fn what_is_taken_back_is_nowhere_and_its_place_is_zero_again() {
        let mut ram = Ram::new();
        let kept = ram.allocate(2);
        let len = ram.len();
        let gone = ram.allocate(3);
        ram.write(kept, 0, &[1, 1]);
        ram.write(gone, 0, &[2, 2, 2]);
        ram.truncate(len);
        assert_eq!(ram.len(), len);
        assert_eq!(ram.read_array::<3>(gone, 0), [0; 3]);
        assert_eq!(ram.take_fault(), Some(Fault::Bounds));
        let next = ram.allocate(3);
        assert_eq!(ram.read_array::<3>(next, 0), [0; 3]);
        assert_eq!(ram.read_array::<2>(kept, 0), [1, 1]);
    }

    #[test]
    fn an_access_outside_of_an_object_is_a_fault_and_does_nothing() {
        for (offset, len) in [(0, 3), (2, 1), (3, 0), (usize::MAX, 1), (1, 2)] {
            let mut ram = Ram::new();
            let (object, next) = (ram.allocate(2), ram.allocate(8));
            ram.write(object, offset, &vec![7; len]);
            assert_eq!(ram.take_fault(), Some(Fault::Bounds));
            let mut into = vec![7; len];
            ram.read(object, offset, &mut into);
            assert_eq!(ram.take_fault(), Some(Fault::Bounds));
            assert_eq!(into, vec![0; len]);
            assert_eq!(ram.read_array::<2>(object, 0), [0; 2]);
            assert_eq!(ram.read_array::<8>(next, 0), [0; 8]);
        }
    }
}
