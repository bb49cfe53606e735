//! A medium whose cells wear out.
//!
//! Wraps a [`Medium`] and is one. Worn cells are worn for good: what is written there
//! is lost, and the write says so: it is read back.

use super::medium::Medium;
use core::ops::Range;

/// When cells wear out, and what becomes of their bytes.
///
/// Only writes that change something count.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Worn {
    /// How many more writes are made in full; the one after them wears its cells out.
    pub after_writes: u64,
    /// What the worn cells hold from then on.
    pub cells: Cells,
}

/// What worn cells hold.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Cells {
    /// What they held before.
    Stuck,
    /// The first half holds the new bytes, the rest what it held before.
    Half,
    /// Arbitrary bytes, neither the old nor the new ones.
    Lost,
}

impl Cells {
    /// All that can become of them.
    pub const ALL: [Cells; 3] = [Cells::Stuck, Cells::Half, Cells::Lost];
}

/// A medium whose cells can wear out.
#[derive(Debug)]
pub struct Wear<M> {
    medium: M,
    /// No cell is worn and none is about to be.
    is_new: bool,
    armed: Option<Worn>,
    worn: Vec<Range<u32>>,
}

impl<M> Wear<M> {
    /// This medium, with no cell worn.
    pub fn new(medium: M) -> Wear<M> {
        Wear {
            medium,
            is_new: true,
            armed: None,
            worn: Vec::new(),
        }
    }

    /// Wears cells out, later. Replaces what was armed before.
    pub fn arm(&mut self, worn: Worn) {
        self.armed = Some(worn);
        self.is_new = false;
    }

    /// Takes back what was armed and has not happened; worn cells stay worn. Whether it
    /// has happened.
    pub fn disarm(&mut self) -> bool {
        let happened = self.armed.take().is_none();
        self.is_new = self.worn.is_empty();
        happened
    }

    /// Where cells are worn, in the order in which they wore out.
    pub fn worn(&self) -> &[Range<u32>] {
        &self.worn
    }

    /// The medium within; what is written there wears nothing out.
    pub fn medium_mut(&mut self) -> &mut M {
        &mut self.medium
    }
}

impl<M: Medium> Wear<M> {
    /// A write to a medium that is not new.
    #[cold]
    fn write_worn(&mut self, at: u32, bytes: &[u8]) -> bool {
        if self.holds(at, bytes) {
            return true;
        }
        let now = match &mut self.armed {
            Some(Worn { after_writes, .. }) if *after_writes > 0 => {
                *after_writes -= 1;
                None
            }
            armed => armed.take().map(|worn| worn.cells),
        };
        match now {
            None => self.write_whole(at, bytes),
            Some(Cells::Stuck) => {}
            Some(Cells::Half) => self.write_whole(at, &bytes[..bytes.len() / 2]),
            Some(Cells::Lost) => {
                // Unlike the new bytes in each place.
                let lost: Vec<u8> = (at.to_be_bytes()[3]..=u8::MAX)
                    .chain(0..=u8::MAX)
                    .cycle()
                    .zip(bytes)
                    .map(|(noise, new)| if noise == *new { !noise } else { noise })
                    .collect();
                self.write_whole(at, &lost);
            }
        }
        if now.is_some() {
            let len = u32::try_from(bytes.len()).unwrap_or(u32::MAX);
            self.worn.push(at..at.saturating_add(len));
        }
        self.holds(at, bytes)
    }

    fn holds(&self, at: u32, bytes: &[u8]) -> bool {
        let mut held = vec![0; bytes.len()];
        self.medium.read(at, &mut held);
        held == bytes
    }

    /// Writes what is not worn.
    fn write_whole(&mut self, at: u32, bytes: &[u8]) {
        let mut left = bytes;
        let mut at = at;
        while !left.is_empty() {
            let is_worn = |at: u32| self.worn.iter().any(|worn| worn.contains(&at));
            let run = (at..).zip(left).take_while(|(at, _)| !is_worn(*at)).count();
            let (whole, rest) = left.split_at(run);
            if !whole.is_empty() {
                // Read back with the whole.
                let _ = self.medium.write(at, whole);
            }
            left = rest.get(1..).unwrap_or_default();
            at = at.saturating_add(u32::try_from(run + 1).unwrap_or(u32::MAX));
        }
    }
}

impl<M: Medium> Medium for Wear<M> {
    fn size(&self) -> u32 {
        self.medium.size()
    }

    #[inline]
    fn read(&self, at: u32, into: &mut [u8]) {
        self.medium.read(at, into);
    }

    #[inline]
    fn write(&mut self, at: u32, bytes: &[u8]) -> bool {
        if self.is_new {
            self.medium.write(at, bytes)
        } else {
            self.write_worn(at, bytes)
        }
    }

    /// With the same cells worn and the same ones about to be.
    fn fork(&mut self) -> Wear<M> {
        Wear {
            medium: self.medium.fork(),
            is_new: self.is_new,
            armed: self.armed,
            worn: self.worn.clone(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::super::medium::Pages;
    use super::{Cells, Medium, Wear, Worn};

    fn worn(cells: Cells) -> (Wear<Pages>, [u8; 4]) {
        let mut wear = Wear::new(Pages::new(1));
        assert!(wear.write(0, &[0xFF; 4]));
        wear.arm(Worn {
            after_writes: 1,
            cells,
        });
        assert!(wear.write(8, &[1]) && wear.worn().is_empty());
        assert!(!wear.write(0, &[0x55; 4]) && wear.worn().len() == 1);
        let mut bytes = [0; 4];
        wear.read(0, &mut bytes);
        (wear, bytes)
    }

    #[test]
    fn the_write_that_wears_cells_out_ends_as_asked() {
        assert_eq!(worn(Cells::Stuck).1, [0xFF; 4]);
        assert_eq!(worn(Cells::Half).1, [0x55, 0x55, 0xFF, 0xFF]);
        assert!(worn(Cells::Lost).1.iter().all(|byte| *byte != 0x55));
    }

    #[test]
    fn worn_cells_take_nothing_and_those_beside_them_do() {
        for cells in Cells::ALL {
            let (mut wear, old) = worn(cells);
            for mut wear in [wear.fork(), wear] {
                wear.disarm();
                assert!(!wear.write(0, &[7; 6]) && !wear.write(2, &[8]));
                let mut bytes = [0; 6];
                wear.read(0, &mut bytes);
                assert_eq!((&bytes[..4], &bytes[4..]), (&old[..], &[7, 7][..]));
                assert!(wear.write(4, &[8; 2]) && wear.write(0, &old));
            }
        }
    }

    #[test]
    fn what_was_armed_can_be_taken_back() {
        let mut wear = Wear::new(Pages::new(1));
        wear.arm(Worn {
            after_writes: 0,
            cells: Cells::Lost,
        });
        wear.disarm();
        assert!(wear.write(0, &[1]) && wear.worn().is_empty());
    }
}
