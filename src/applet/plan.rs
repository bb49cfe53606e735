//! The plan of an applet's cells, drawn alike at each power-on.
//!
//! `attach` runs twice: once to measure, once with the memory in place.

use super::cell::{Cell, Latch, Nv, Transient};
use crate::memory::{Object, RamObject};

/// How much memory of each kind a plan named, in bytes.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Extent {
    /// Non-volatile.
    pub nv: u32,
    /// Volatile, cleared on reset.
    pub on_reset: usize,
    /// Volatile, cleared on deselection; for one logical channel.
    pub on_deselect: usize,
}

/// Hands out the cells of one applet, in the order in which they are asked for.
#[derive(Debug)]
pub struct Plan {
    nv: Object,
    on_reset: RamObject,
    on_deselect: RamObject,
    /// What one logical channel's copy takes, once measured.
    stride: usize,
    used: Extent,
}

impl Plan {
    /// A plan that only measures: its handles lead nowhere.
    pub(crate) fn measuring() -> Plan {
        Plan::over(
            Object::NOWHERE,
            RamObject::NOWHERE,
            RamObject::NOWHERE,
            Extent::default(),
        )
    }

    /// A plan over memory of the measured extent.
    pub(crate) fn over(
        nv: Object,
        on_reset: RamObject,
        on_deselect: RamObject,
        extent: Extent,
    ) -> Plan {
        Plan {
            nv,
            on_reset,
            on_deselect,
            stride: extent.on_deselect,
            used: Extent::default(),
        }
    }

    /// What was handed out so far.
    pub(crate) const fn used(&self) -> Extent {
        self.used
    }

    /// A value that rolls back with its command.
    pub fn nv<T: Cell>(&mut self) -> Nv<T> {
        Nv::at(self.nv, advance(&mut self.used.nv, T::LEN))
    }

    /// A value that is written at once and never rolls back.
    pub fn latch<T: Cell>(&mut self) -> Latch<T> {
        Latch::at(self.nv, advance(&mut self.used.nv, T::LEN))
    }

    /// A value that a reset clears; one for all logical channels.
    pub fn transient_on_reset<T: Cell>(&mut self) -> Transient<T> {
        Transient::at(
            self.on_reset,
            advance(&mut self.used.on_reset, T::LEN as usize),
            0,
        )
    }

    /// A value that deselection clears, and a reset; one for each logical channel.
    pub fn transient_on_deselect<T: Cell>(&mut self) -> Transient<T> {
        let offset = advance(&mut self.used.on_deselect, T::LEN as usize);
        Transient::at(self.on_deselect, offset, self.stride)
    }
}

fn advance<N: Copy + core::ops::AddAssign>(used: &mut N, len: N) -> N {
    let offset = *used;
    *used += len;
    offset
}
