//! Handles of one value each; the kind of memory is in the type.
//!
//! | handle         | rolls back with its command | survives power-off               |
//! |----------------|-----------------------------|----------------------------------|
//! | [`Nv`]         | yes                         | yes                              |
//! | [`Latch`]      | no, it is written at once   | yes                              |
//! | [`Transient`]  | no                          | no; cleared as it was planned    |

use super::context::Hold;
use crate::memory::{Object, RamObject, Ref};
use core::marker::PhantomData;

/// A value of fixed length that a handle can hold.
pub trait Cell: Sized {
    /// Its length in memory, in bytes.
    const LEN: u32;
    /// Makes the value of the bytes that `fill` puts down; all zero is valid.
    fn load(fill: impl FnOnce(&mut [u8])) -> Self;
    /// Lends the value's bytes to `put`.
    fn store(&self, put: impl FnOnce(&[u8]));
}

macro_rules! cell_of_integer {
    ($($integer:ty),*) => {$(
        impl Cell for $integer {
            const LEN: u32 = <$integer>::BITS / 8;

            #[inline]
            fn load(fill: impl FnOnce(&mut [u8])) -> Self {
                let mut bytes = <$integer>::to_be_bytes(0);
                fill(&mut bytes);
                <$integer>::from_be_bytes(bytes)
            }

            #[inline]
            fn store(&self, put: impl FnOnce(&[u8])) {
                put(&self.to_be_bytes());
            }
        }
    )*};
}

cell_of_integer!(u8, u16, u32, u64);

impl Cell for bool {
    const LEN: u32 = 1;

    #[inline]
    fn load(fill: impl FnOnce(&mut [u8])) -> bool {
        u8::load(fill) != 0
    }

    #[inline]
    fn store(&self, put: impl FnOnce(&[u8])) {
        put(&[u8::from(*self)]);
    }
}

impl<const N: usize> Cell for [u8; N] {
    #[expect(clippy::cast_possible_truncation, reason = "cells are small arrays")]
    const LEN: u32 = N as u32;

    #[inline]
    fn load(fill: impl FnOnce(&mut [u8])) -> [u8; N] {
        let mut bytes = [0; N];
        fill(&mut bytes);
        bytes
    }

    #[inline]
    fn store(&self, put: impl FnOnce(&[u8])) {
        put(self);
    }
}

impl Cell for Ref {
    const LEN: u32 = 4;

    #[inline]
    fn load(fill: impl FnOnce(&mut [u8])) -> Ref {
        Ref::from_number(u32::load(fill))
    }

    #[inline]
    fn store(&self, put: impl FnOnce(&[u8])) {
        self.number().store(put);
    }
}

/// A handle that [`Ctx::get`](super::Ctx::get) and [`Ctx::set`](super::Ctx::set) take.
pub trait Handle {
    /// What it holds.
    type Value: Cell;
    /// Reads it in the context of `hold`.
    fn read(&self, hold: &Hold<'_>) -> Self::Value;
    /// Writes it in the context of `hold`.
    fn write(&self, hold: &mut Hold<'_>, value: &Self::Value);
}

/// A value in non-volatile memory that rolls back with its command.
#[derive(Clone, Copy, Debug)]
pub struct Nv<T> {
    object: Object,
    offset: u32,
    value: PhantomData<fn() -> T>,
}

/// A value in non-volatile memory that is written at once and never rolls back:
/// try counters, the ATC.
#[derive(Clone, Copy, Debug)]
pub struct Latch<T> {
    object: Object,
    offset: u32,
    value: PhantomData<fn() -> T>,
}

/// A value in volatile memory, zero after a reset or after deselection.
#[derive(Clone, Copy, Debug)]
pub struct Transient<T> {
    object: RamObject,
    offset: usize,
    /// Bytes from one logical channel's copy to the next; 0 where there is one copy.
    stride: usize,
    value: PhantomData<fn() -> T>,
}

impl<T: Cell> Nv<T> {
    pub(crate) const fn at(object: Object, offset: u32) -> Nv<T> {
        Nv {
            object,
            offset,
            value: PhantomData,
        }
    }

    /// Where it lies.
    pub(crate) const fn place(&self) -> (Object, u32) {
        (self.object, self.offset)
    }
}

impl<T: Cell> Latch<T> {
    pub(crate) const fn at(object: Object, offset: u32) -> Latch<T> {
        Latch {
            object,
            offset,
            value: PhantomData,
        }
    }
}

impl<T: Cell> Transient<T> {
    pub(super) const fn at(object: RamObject, offset: usize, stride: usize) -> Transient<T> {
        Transient {
            object,
            offset,
            stride,
            value: PhantomData,
        }
    }

    #[inline]
    fn offset_on(&self, channel: u8) -> usize {
        self.offset + usize::from(channel) * self.stride
    }
}

impl<T: Cell> Handle for Nv<T> {
    type Value = T;

    #[inline]
    fn read(&self, hold: &Hold<'_>) -> T {
        T::load(|bytes| hold.read(self.object, self.offset, bytes))
    }

    #[inline]
    fn write(&self, hold: &mut Hold<'_>, value: &T) {
        value.store(|bytes| hold.write(self.object, self.offset, bytes));
    }
}

impl<T: Cell> Handle for Latch<T> {
    type Value = T;

    #[inline]
    fn read(&self, hold: &Hold<'_>) -> T {
        T::load(|bytes| hold.read(self.object, self.offset, bytes))
    }

    #[inline]
    fn write(&self, hold: &mut Hold<'_>, value: &T) {
        value.store(|bytes| hold.latch(self.object, self.offset, bytes));
    }
}

impl<T: Cell> Handle for Transient<T> {
    type Value = T;

    #[inline]
    fn read(&self, hold: &Hold<'_>) -> T {
        T::load(|bytes| {
            hold.ram
                .read(self.object, self.offset_on(hold.channel), bytes)
        })
    }

    #[inline]
    fn write(&self, hold: &mut Hold<'_>, value: &T) {
        let offset = self.offset_on(hold.channel);
        value.store(|bytes| hold.ram.write(self.object, offset, bytes));
    }
}
