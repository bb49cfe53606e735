//! Non-volatile bytes, and pages of them that are shared until written.
//!
//! [`Medium`] is the seam between what a memory promises (`store.rs`) and what
//! silicon does: it can only be read and written, a write is what loss of power can
//! interrupt, and its controller reads back what it wrote. [`Pages`] is the medium of
//! a virtual card; it never fails. `tear.rs` wraps any medium and takes its power away,
//! `wear.rs` wears its cells out.

use core::fmt;
use std::sync::Arc;

/// Bytes that stay when power goes.
///
/// Bytes beyond the end read as zero, and writes there are lost.
pub trait Medium {
    /// How many bytes there are.
    fn size(&self) -> u32;

    /// Copies the bytes from address `at` on.
    fn read(&self, at: u32, into: &mut [u8]);

    /// Replaces the bytes from address `at` on: one physical write, which loss
    /// of power either prevents, or tears, or finds done. Whether the cells took it,
    /// which the controller reads back; without power nobody learns it, and it is true.
    #[must_use]
    fn write(&mut self, at: u32, bytes: &[u8]) -> bool;

    /// A second medium with the same bytes and with power. From now on each sees its
    /// own writes only.
    #[must_use]
    fn fork(&mut self) -> Self
    where
        Self: Sized;
}

/// Bytes in a page.
const PAGE: usize = 1024;

/// A medium in pages, copied cheaply because pages are shared until written.
///
/// A page is read and written through one pointer, with no count of sharers
/// touched on the way: whether it is shared stands beside the pointer, not
/// behind it.
pub struct Pages {
    table: Vec<Page>,
}

enum Page {
    /// Read by several; replaced by a copy when written.
    Shared(Arc<[u8; PAGE]>),
    /// Read and written by this medium alone.
    Own(Box<[u8; PAGE]>),
}

impl Pages {
    /// A blank medium, all zero, of `size` bytes, rounded up to whole pages.
    ///
    /// All pages are one page until they are written.
    #[must_use]
    pub fn new(size: u32) -> Pages {
        let blank = Arc::new([0; PAGE]);
        let pages = (size as usize).div_ceil(PAGE);
        Pages {
            table: (0..pages).map(|_| Page::Shared(blank.clone())).collect(),
        }
    }

    /// How many bytes this medium holds alone, shared with no other.
    #[must_use]
    pub fn own_bytes(&self) -> usize {
        let own = |page: &&Page| matches!(page, Page::Own(_));
        self.table.iter().filter(own).count() * PAGE
    }

    /// The general case: any range, over the edges of pages and of the medium.
    #[cold]
    fn read_across(&self, at: u32, into: &mut [u8]) {
        into.fill(0);
        for (index, start, part) in Parts::of(at, into.len()) {
            if let Some(page) = self.table.get(index) {
                into[part.clone()].copy_from_slice(&page.bytes()[start..][..part.len()]);
            }
        }
    }

    /// The general case: any range, over the edges of pages and of the medium,
    /// and pages that are shared. Whether all of it lies on the medium.
    #[cold]
    fn write_across(&mut self, at: u32, bytes: &[u8]) -> bool {
        let mut whole = true;
        for (index, start, part) in Parts::of(at, bytes.len()) {
            match self.table.get_mut(index) {
                Some(page) => page.own()[start..][..part.len()].copy_from_slice(&bytes[part]),
                None => whole = false,
            }
        }
        whole
    }
}

impl Medium for Pages {
    fn size(&self) -> u32 {
        u32::try_from(self.table.len() * PAGE).unwrap_or(u32::MAX)
    }

    #[inline]
    fn read(&self, at: u32, into: &mut [u8]) {
        let (index, start) = (at as usize / PAGE, at as usize % PAGE);
        if let Some(page) = self.table.get(index)
            && let Some(bytes) = page.bytes().get(start..start + into.len())
        {
            into.copy_from_slice(bytes);
        } else {
            self.read_across(at, into);
        }
    }

    #[inline]
    fn write(&mut self, at: u32, bytes: &[u8]) -> bool {
        let (index, start) = (at as usize / PAGE, at as usize % PAGE);
        if let Some(Page::Own(page)) = self.table.get_mut(index)
            && let Some(place) = page.get_mut(start..start + bytes.len())
        {
            place.copy_from_slice(bytes);
            true
        } else {
            self.write_across(at, bytes)
        }
    }

    /// A page is copied when one of the two writes to it.
    fn fork(&mut self) -> Pages {
        let table = self.table.iter_mut().map(Page::share).collect();
        Pages { table }
    }
}

impl Page {
    #[inline]
    fn bytes(&self) -> &[u8; PAGE] {
        match self {
            Page::Shared(bytes) => bytes,
            Page::Own(bytes) => bytes,
        }
    }

    /// Makes the page shared, and gives the other share.
    fn share(&mut self) -> Page {
        let bytes = match self {
            Page::Shared(bytes) => bytes.clone(),
            Page::Own(bytes) => {
                let bytes = Arc::new(**bytes);
                *self = Page::Shared(bytes.clone());
                bytes
            }
        };
        Page::Shared(bytes)
    }

    /// Makes the page this medium's own, and gives its bytes.
    fn own(&mut self) -> &mut [u8; PAGE] {
        if let Page::Shared(bytes) = self {
            *self = Page::Own(Box::new(**bytes));
        }
        match self {
            Page::Own(bytes) => bytes,
            // Replaced above.
            Page::Shared(bytes) => Arc::make_mut(bytes),
        }
    }
}

/// A range of addresses cut at the edges of pages: for each part the index of
/// its page, its start in the page, and its place in the whole range.
struct Parts {
    at: usize,
    done: usize,
    len: usize,
}

impl Parts {
    fn of(at: u32, len: usize) -> Parts {
        Parts {
            at: at as usize,
            done: 0,
            len,
        }
    }
}

impl Iterator for Parts {
    type Item = (usize, usize, core::ops::Range<usize>);

    fn next(&mut self) -> Option<Self::Item> {
        let at = self.at + self.done;
        let (index, start) = (at / PAGE, at % PAGE);
        let len = (PAGE - start).min(self.len - self.done);
        let part = self.done..self.done + len;
        self.done += len;
        (len > 0).then_some((index, start, part))
    }
}

impl fmt::Debug for Pages {
    /// Its sizes: the bytes are the card's secret.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Pages")
            .field("size", &self.size())
            .field("own_bytes", &self.own_bytes())
            .finish()
    }
}

#[cfg(test)]
mod tests {
    use proptest::collection::vec;
    use proptest::prelude::*;

    use super::{Medium, PAGE, Pages};

    const SIZE: usize = 4 * PAGE;

    fn bytes(medium: &Pages) -> Vec<u8> {
        let mut bytes = vec![9; SIZE];
        medium.read(0, &mut bytes);
        bytes
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn forks_are_vectors_of_their_own(
            steps in vec(
                (any::<bool>(), any::<usize>(), 0..SIZE + 100, 0_usize..2500, any::<u8>()),
                1..40,
            ),
        ) {
            let mut forks = vec![(Pages::new(4096), vec![0; SIZE])];
            for (fork, which, at, len, byte) in steps {
                let which = which % forks.len();
                let (medium, model) = &mut forks[which];
                if fork {
                    let forked = (medium.fork(), model.clone());
                    forks.push(forked);
                } else {
                    let taken = medium.write(u32::try_from(at).expect("small"), &vec![byte; len]);
                    prop_assert_eq!(taken, len == 0 || at + len <= SIZE);
                    let start = at.min(SIZE);
                    model[start..(at + len).min(SIZE).max(start)].fill(byte);
                }
            }
            for (medium, model) in &forks {
                prop_assert_eq!(&bytes(medium), model);
            }
        }

        #[test]
        fn what_lies_beyond_the_end_is_zero(at in any::<u32>(), len in 0_usize..5000) {
            let mut medium = Pages::new(4096);
            prop_assert!(medium.write(0, &[7; SIZE]));
            let mut into = vec![9; len];
            medium.read(at, &mut into);
            let within = SIZE.saturating_sub(at as usize).min(len);
            prop_assert_eq!(medium.write(at, &into), within == len);
            prop_assert!(into[..within].iter().all(|byte| *byte == 7));
            prop_assert!(into[within..].iter().all(|byte| *byte == 0));
        }
    }

    #[test]
    fn a_fork_holds_nothing_alone_until_it_writes() {
        let mut medium = Pages::new(128 * 1024);
        assert_eq!(medium.own_bytes(), 0);
        assert!(medium.write(0, &[1; 128 * 1024]));
        assert_eq!(medium.own_bytes(), 128 * 1024);
        let mut fork = medium.fork();
        assert_eq!((medium.own_bytes(), fork.own_bytes()), (0, 0));
        assert!(fork.write(1023, &[2, 2]));
        assert_eq!((medium.own_bytes(), fork.own_bytes()), (0, 2 * PAGE));
    }
}
