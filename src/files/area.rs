//! The validity area: what is current on one logical channel.
//!
//! It sums up the selections that succeeded: the path to the current DF, the
//! current EF, the current record. A selection makes a new area and leaves the
//! old one alone; only when all has gone well does the new one take its place, so
//! a selection that failed changes nothing.
//!
//! Source: ISO/IEC 7816-4:2020, 7.2.1.

use crate::applet::Cell;
use crate::memory::Ref;

/// How many directories can lie in one another, the MF among them.
pub const DEPTH_MAX: usize = 4;

/// What is current on one logical channel; all zero: the MF, and no EF.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Area {
    path: [Ref; DEPTH_MAX],
    level: u8,
    file: Ref,
    record: u8,
}

impl Area {
    /// The area as after a reset: the MF is current, and nothing in it.
    #[must_use]
    pub(super) const fn at_root(root: Ref) -> Area {
        Area {
            path: [root, Ref::NONE, Ref::NONE, Ref::NONE],
            level: 0,
            file: Ref::NONE,
            record: 0,
        }
    }

    /// The area in which the directory at the end of this path is current.
    #[must_use]
    pub(super) const fn at(path: [Ref; DEPTH_MAX], level: u8) -> Area {
        Area {
            path,
            level,
            file: Ref::NONE,
            record: 0,
        }
    }

    /// The same directory with this EF current, and no record of it.
    #[must_use]
    pub(super) const fn with_file(mut self, file: Ref) -> Area {
        self.file = file;
        self.record = 0;
        self
    }

    /// How far the current directory lies below the MF: 0 is the MF itself.
    #[must_use]
    pub const fn level(&self) -> u8 {
        self.level
    }

    /// How many of the outermost directories of the two paths are the same.
    #[must_use]
    pub fn shared_levels(&self, other: &Area) -> usize {
        let least = usize::from(self.level.min(other.level)) + 1;
        self.path
            .iter()
            .zip(&other.path)
            .take(least)
            .take_while(|(a, b)| a == b)
            .count()
    }

    /// Whether both have the same current directory.
    #[must_use]
    pub fn is_in_same_directory(&self, other: &Area) -> bool {
        self.directory() == other.directory()
    }

    /// The number of the current record, 0 where none is.
    #[must_use]
    pub const fn record(&self) -> u8 {
        self.record
    }

    /// Makes a record current; 0 is none.
    pub const fn set_record(&mut self, number: u8) {
        self.record = number;
    }

    /// The current directory.
    #[inline]
    pub(super) fn directory(&self) -> Ref {
        self.at_level(self.level)
    }

    /// The directory of the path at a level not below the current one.
    #[inline]
    pub(super) fn at_level(&self, level: u8) -> Ref {
        self.path
            .get(usize::from(level))
            .copied()
            .unwrap_or(Ref::NONE)
    }

    /// The current EF.
    #[inline]
    pub(super) fn file(&self) -> Option<Ref> {
        (self.file != Ref::NONE).then_some(self.file)
    }

    /// Whether nothing was ever selected: the memory was cleared.
    pub(super) fn is_blank(&self) -> bool {
        self.path[0] == Ref::NONE
    }
}

/// Path, level, EF, record.
const LEN: usize = 4 * DEPTH_MAX + 1 + 4 + 1;

impl Cell for Area {
    #[expect(clippy::cast_possible_truncation, reason = "22 bytes")]
    const LEN: u32 = LEN as u32;

    #[inline]
    fn load(fill: impl FnOnce(&mut [u8])) -> Area {
        let bytes = <[u8; LEN]>::load(fill);
        let word = |at: usize| {
            let word = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
            Ref::from_number(u32::from_be_bytes(word))
        };
        Area {
            path: [word(0), word(4), word(8), word(12)],
            level: bytes[16],
            file: word(17),
            record: bytes[21],
        }
    }

    #[inline]
    fn store(&self, put: impl FnOnce(&[u8])) {
        let mut bytes = [0; LEN];
        for (field, entry) in bytes.chunks_exact_mut(4).zip(self.path) {
            field.copy_from_slice(&entry.number().to_be_bytes());
        }
        bytes[16] = self.level;
        bytes[17..21].copy_from_slice(&self.file.number().to_be_bytes());
        bytes[21] = self.record;
        put(&bytes);
    }
}

#[cfg(test)]
mod tests {
    use super::{Area, Cell};
    use crate::memory::Ref;

    fn area(path: [u32; 4], level: u8) -> Area {
        Area::at(path.map(Ref::from_number), level)
    }

    #[test]
    fn an_area_comes_back_from_memory() {
        let mut area = area([7, 8, 0x0102_0304, 0], 2).with_file(Ref::from_number(99));
        area.set_record(3);
        let mut kept = Vec::new();
        area.store(|bytes| kept.extend_from_slice(bytes));
        assert_eq!(Area::load(|into| into.copy_from_slice(&kept)), area);
    }

    #[test]
    fn cleared_memory_is_a_blank_area() {
        let area = Area::load(|_| ());
        assert!(area.is_blank());
        assert_eq!(
            (area.level(), area.file(), area.directory()),
            (0, None, Ref::NONE)
        );
    }

    #[test]
    fn paths_share_what_they_have_in_common() {
        let deep = area([1, 2, 3, 0], 2);
        assert_eq!(deep.shared_levels(&area([1, 2, 4, 0], 2)), 2);
        assert_eq!(deep.shared_levels(&area([1, 2, 0, 0], 1)), 2);
        assert_eq!(deep.shared_levels(&area([1, 0, 0, 0], 0)), 1);
        assert_eq!(deep.shared_levels(&deep), 3);
        assert_eq!(deep.shared_levels(&area([9, 2, 3, 0], 2)), 0);
    }
}
