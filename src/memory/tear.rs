//! A medium that loses power after a number of writes.
//!
//! Wraps a [`Medium`] and is one, so nothing above it needs a hook. With no cut
//! armed it only counts.

use super::medium::Medium;

/// When power goes, and what becomes of the write it interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Cut {
    /// How many more writes are made in full; the one after them is cut.
    pub after_writes: u64,
    /// What becomes of the cut write.
    pub ending: Ending,
}

/// What becomes of the write that loss of power interrupts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// Nothing of it is written.
    Clean,
    /// Its first half is written.
    Prefix,
    /// Its last half is written.
    Suffix,
    /// Its first half is written, and some bits of the byte after it.
    MixedByte,
    /// Every second byte is written.
    Comb,
    /// Its whole place holds arbitrary bytes, neither the old nor the new ones.
    Noise,
}

impl Ending {
    /// Every way in which a write can end.
    pub const ALL: [Ending; 6] = [
        Ending::Clean,
        Ending::Prefix,
        Ending::Suffix,
        Ending::MixedByte,
        Ending::Comb,
        Ending::Noise,
    ];
}

/// A medium whose power can be cut.
///
/// After the cut every write is swallowed, and reads give what stands there,
/// until [`Tear::restore`].
#[derive(Debug)]
pub struct Tear<M> {
    medium: M,
    writes: u64,
    /// The number of writes at which power goes; none is that large by itself.
    cut_at: u64,
    ending: Ending,
    is_cut: bool,
}

impl<M> Tear<M> {
    /// This medium, with power and with no cut armed.
    pub fn new(medium: M) -> Tear<M> {
        Tear {
            medium,
            writes: 0,
            cut_at: u64::MAX,
            ending: Ending::Clean,
            is_cut: false,
        }
    }

    /// Cuts power once, later. Replaces a cut armed before.
    pub fn arm(&mut self, cut: Cut) {
        if !self.is_cut {
            self.cut_at = self.writes.saturating_add(cut.after_writes);
            self.ending = cut.ending;
        }
    }

    /// Takes back a cut that has not happened.
    pub fn disarm(&mut self) {
        if !self.is_cut {
            self.cut_at = u64::MAX;
        }
    }

    /// Gives power back, with no cut armed.
    pub fn restore(&mut self) {
        self.is_cut = false;
        self.cut_at = u64::MAX;
    }

    /// How many writes were made in full.
    #[must_use]
    pub fn writes(&self) -> u64 {
        self.writes
    }

    /// Whether power is gone.
    #[must_use]
    pub fn is_cut(&self) -> bool {
        self.is_cut
    }

    /// The medium within.
    pub fn medium(&self) -> &M {
        &self.medium
    }

    /// The medium within; what is written there is neither counted nor cut.
    pub fn medium_mut(&mut self) -> &mut M {
        &mut self.medium
    }
}

impl<M: Medium> Tear<M> {
    /// The write at which power goes, and those after it.
    #[cold]
    fn write_without_power(&mut self, at: u32, bytes: &[u8]) -> bool {
        if self.is_cut {
            return true;
        }
        self.is_cut = true;
        let mut torn = vec![0; bytes.len()];
        self.medium.read(at, &mut torn);
        let half = bytes.len() / 2;
        match self.ending {
            Ending::Clean => return true,
            Ending::Prefix => torn[..half].copy_from_slice(&bytes[..half]),
            Ending::Suffix => torn[half..].copy_from_slice(&bytes[half..]),
            Ending::MixedByte => {
                torn[..half].copy_from_slice(&bytes[..half]);
                if let (Some(old), Some(new)) = (torn.get_mut(half), bytes.get(half)) {
                    *old = (*old & 0x5A) | (*new & 0xA5);
                }
            }
            Ending::Comb => {
                let pairs = torn.iter_mut().zip(bytes);
                pairs.step_by(2).for_each(|(old, new)| *old = *new);
            }
            Ending::Noise => {
                let mut noise = (self.writes << 32) | u64::from(at) | 1;
                for byte in &mut torn {
                    // Xorshift: enough to be unlike the old and the new bytes.
                    noise ^= noise << 13;
                    noise ^= noise >> 7;
                    noise ^= noise << 17;
                    *byte = noise.to_be_bytes()[0];
                }
            }
        }
        // Who wrote it lost power with it: what became of it is found at power-up.
        let _ = self.medium.write(at, &torn);
        true
    }
}

impl<M: Medium> Medium for Tear<M> {
    fn size(&self) -> u32 {
        self.medium.size()
    }

    #[inline]
    fn read(&self, at: u32, into: &mut [u8]) {
        self.medium.read(at, into);
    }

    #[inline]
    fn write(&mut self, at: u32, bytes: &[u8]) -> bool {
        if self.writes == self.cut_at {
            self.write_without_power(at, bytes)
        } else {
            self.writes += 1;
            self.medium.write(at, bytes)
        }
    }

    /// With no write counted and no cut armed.
    fn fork(&mut self) -> Tear<M> {
        Tear::new(self.medium.fork())
    }
}

#[cfg(test)]
mod tests {
    use super::super::medium::Pages;
    use super::{Cut, Ending, Medium, Tear};

    fn cut_write(ending: Ending) -> (Tear<Pages>, [u8; 4]) {
        let mut tear = Tear::new(Pages::new(1));
        assert!(tear.write(0, &[0xFF; 4]));
        tear.arm(Cut {
            after_writes: 1,
            ending,
        });
        assert!(tear.write(8, &[1]));
        assert!(!tear.is_cut());
        assert!(tear.write(0, &[0; 4]));
        assert!(tear.is_cut());
        assert!(tear.write(8, &[2]));
        let mut bytes = [0; 4];
        tear.read(0, &mut bytes);
        (tear, bytes)
    }

    #[test]
    fn the_cut_write_ends_as_asked() {
        assert_eq!(cut_write(Ending::Clean).1, [0xFF; 4]);
        assert_eq!(cut_write(Ending::Prefix).1, [0, 0, 0xFF, 0xFF]);
        assert_eq!(cut_write(Ending::Suffix).1, [0xFF, 0xFF, 0, 0]);
        assert_eq!(cut_write(Ending::MixedByte).1, [0, 0, 0x5A, 0xFF]);
        assert_eq!(cut_write(Ending::Comb).1, [0, 0xFF, 0, 0xFF]);
        let noise = cut_write(Ending::Noise).1;
        assert!(noise != [0; 4] && noise != [0xFF; 4]);
    }

    #[test]
    fn writes_after_the_cut_are_swallowed_until_power_is_back() {
        let (mut tear, _) = cut_write(Ending::Clean);
        let byte = |tear: &Tear<Pages>| {
            let mut byte = [0];
            tear.read(8, &mut byte);
            byte[0]
        };
        assert_eq!((byte(&tear), tear.writes()), (1, 2));
        tear.restore();
        assert!(tear.write(8, &[3]));
        assert_eq!((byte(&tear), tear.writes()), (3, 3));
    }

    #[test]
    fn a_cut_can_be_taken_back() {
        let mut tear = Tear::new(Pages::new(1));
        tear.arm(Cut {
            after_writes: 0,
            ending: Ending::Noise,
        });
        tear.disarm();
        assert!(tear.write(0, &[1]));
        assert!(!tear.is_cut());
    }
}
