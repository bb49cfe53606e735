//! What the PSAM keeps without power: counters, files, keys.
//!
//! One object holds everything but the keys; of those each environment has a table.
//! The numbers that must never come twice, and the tries, are latched: they hold before
//! the answer that they stand for is given.

use super::key::{KEY_LEN, SamKey};
use cardlab::apdu::Sw;
use cardlab::crypto::{Algorithm, Random};
use cardlab::memory::{Object, Owner, Pages, Silicon, Tear, Wear};
use std::sync::Arc;

/// How large the memory is, its journal included.
const MEMORY_LEN: u32 = 32 * 1024;
/// The memory has one owner.
const OWNER: Owner = Owner(1);
/// Keys in a table.
const KEYS_MAX: u32 = 160;

/// A run of bytes of the first object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Field {
    at: u32,
    pub(super) len: u16,
}

impl Field {
    const fn after(self, len: u16) -> Field {
        Field {
            at: self.at + self.len as u32,
            len,
        }
    }
}

const SEED: Field = Field { at: 0, len: 16 };
/// How many blocks of random numbers were drawn.
const DRAWN: Field = SEED.after(8);
/// 0019: the number of the next purchase.
pub(super) const NUMBER: Field = DRAWN.after(4);
/// Tries left of MAC2.
const TRIES: Field = NUMBER.after(1);
/// Tries left of the keys that prove who may write keys.
const PROOFS: Field = TRIES.after(4);
/// The levels that keys have still to go down, as the PSAM was given out.
const LEVELS: Field = PROOFS.after(1);
/// 0015: issuer 1, serial number 10, version 1, type of keys 1, data of the FCI 2.
pub(super) const INFORMATION: Field = LEVELS.after(15);
/// The first of them is the province's code.
pub(super) const PROVINCE: Field = Field {
    at: INFORMATION.at,
    len: 1,
};
/// 0016: the terminal's number.
pub(super) const TERMINAL: Field = INFORMATION.after(6);
/// 001A, 001B, 001C: purchase key index 1, version of authentication keys 1, valid from 4
/// to 4.
pub(super) const KEYS: [Field; 3] = {
    let first = TERMINAL.after(10);
    let second = first.after(10);
    [first, second, second.after(10)]
};
const END: u32 = KEYS[2].at + 10;

/// Wrong codes of cards until no purchase begins any more.
pub(super) const TRIES_MAX: u8 = 16;

/// Wrong proofs of who may write keys until the key locks.
pub(super) const PROOFS_MAX: u8 = 3;

/// What a PSAM is made of.
pub(super) struct Contents {
    pub(super) seed: [u8; 16],
    pub(super) levels: u8,
    pub(super) information: [u8; 15],
    pub(super) terminal: [u8; 6],
    pub(super) keys_information: [u8; 10],
    /// The keys of each environment; that of DES is always there.
    pub(super) tables: Vec<(Algorithm, Vec<SamKey>)>,
}

/// The memory.
pub(super) struct Data {
    pub(super) memory: Silicon,
    random: Arc<Random>,
}

impl Data {
    /// A memory with these contents; `None` where there are too many keys.
    pub(super) fn new(contents: &Contents) -> Option<Data> {
        let mut memory = Silicon::format(Tear::new(Wear::new(Pages::new(MEMORY_LEN))));
        memory.begin();
        let first = memory.allocate(OWNER, END)?;
        memory.write(first, SEED.at, &contents.seed);
        memory.write(first, NUMBER.at, &1u32.to_be_bytes());
        memory.write(first, TRIES.at, &[TRIES_MAX]);
        memory.write(first, PROOFS.at, &[PROOFS_MAX; 4]);
        memory.write(first, LEVELS.at, &[contents.levels]);
        memory.write(first, INFORMATION.at, &contents.information);
        memory.write(first, TERMINAL.at, &contents.terminal);
        for field in KEYS {
            memory.write(first, field.at, &contents.keys_information);
        }
        for (_, keys) in &contents.tables {
            let table = memory.allocate(OWNER, KEYS_MAX * KEY_LEN)?;
            let mut at = 0;
            for key in keys {
                memory.write(table, at, &key.to_bytes());
                at += KEY_LEN;
            }
        }
        memory.commit();
        if memory.take_fault().is_some() {
            return None;
        }
        let random = Arc::new(Random::new(&contents.seed));
        Some(Data { memory, random })
    }

    /// A copy in the same state; each sees its own changes only.
    pub(super) fn fork(&mut self) -> Data {
        Data {
            memory: self.memory.fork(),
            random: Arc::clone(&self.random),
        }
    }

    /// Whether it has the environment of 16-byte algorithms.
    pub(super) fn has_sixteen(&self) -> bool {
        self.table(Algorithm::Sm4).is_some()
    }

    /// The levels that its keys have still to go down.
    pub(super) fn levels(&self) -> u8 {
        let [levels] = self.get(LEVELS);
        levels
    }

    /// Fills `into` with random numbers that were never given.
    pub(super) fn draw(&mut self, into: &mut [u8]) {
        let drawn = u64::from_be_bytes(self.get(DRAWN));
        let next = self.random.fill(drawn, into);
        self.latch(DRAWN, &next.to_be_bytes());
    }

    /// The number of a purchase, never given before.
    ///
    /// # Errors
    /// '9402' where none is left.
    pub(super) fn next_number(&mut self) -> Result<[u8; 4], Sw> {
        let number: [u8; 4] = self.get(NUMBER);
        let next = u32::from_be_bytes(number).checked_add(1);
        let next = next.ok_or(Sw::COUNTER_AT_MAXIMUM)?;
        self.latch(NUMBER, &next.to_be_bytes());
        Ok(number)
    }

    /// The tries that MAC2 has left.
    pub(super) fn tries(&self) -> u8 {
        let [tries] = self.get(TRIES);
        tries
    }

    pub(super) fn set_tries(&mut self, tries: u8) {
        self.latch(TRIES, &[tries]);
    }

    /// The tries that a key has left, 00 to 03, by which one proves who may write keys.
    pub(super) fn proofs(&self, kid: u8) -> u8 {
        let proofs: [u8; 4] = self.get(PROOFS);
        proofs.get(usize::from(kid)).copied().unwrap_or_default()
    }

    pub(super) fn set_proofs(&mut self, kid: u8, tries: u8) {
        let first = self.first();
        self.memory
            .latch(first, PROOFS.at + u32::from(kid), &[tries]);
    }

    /// Writes a key of an environment: over the one at its place, else behind the last.
    ///
    /// # Errors
    /// '6A89' where it is to be `new` and there is one, '6A88' where it is not and there is
    /// none, '6A84'.
    pub(super) fn write_key(
        &mut self,
        algorithm: Algorithm,
        key: &SamKey,
        new: bool,
    ) -> Result<(), Sw> {
        let table = self.table(algorithm).ok_or(Sw::CONDITIONS_NOT_MET)?;
        let (usage, id) = key.place();
        let mut at = 0;
        while at < KEYS_MAX {
            let kept = SamKey::from_bytes(self.memory.read_array(table, at * KEY_LEN));
            match (kept, new) {
                (Some(kept), true) if kept.is_at(usage, id) => {
                    return Err(Sw::FILE_ALREADY_EXISTS);
                }
                (Some(kept), false) if kept.is_at(usage, id) => break,
                (None, true) => break,
                (None, false) => return Err(Sw::REFERENCE_DATA_NOT_FOUND),
                (Some(_), _) => at += 1,
            }
        }
        if at == KEYS_MAX {
            return Err(Sw::NOT_ENOUGH_MEMORY);
        }
        self.memory.write(table, at * KEY_LEN, &key.to_bytes());
        Ok(())
    }

    /// The bytes of a field.
    pub(super) fn get<const N: usize>(&self, field: Field) -> [u8; N] {
        self.memory.read_array(self.first(), field.at)
    }

    /// Appends `len` bytes of a field from an offset on.
    pub(super) fn append_to(&self, field: Field, offset: u16, len: u16, out: &mut Vec<u8>) {
        let at = field.at + u32::from(offset);
        self.memory.append_to(self.first(), at, u32::from(len), out);
    }

    /// The first key of an environment that is so.
    pub(super) fn key(
        &self,
        algorithm: Algorithm,
        wanted: impl Fn(&SamKey) -> bool,
    ) -> Option<SamKey> {
        let table = self.table(algorithm)?;
        let keys = (0..KEYS_MAX).map(|at| self.memory.read_array(table, at * KEY_LEN));
        keys.map_while(SamKey::from_bytes).find(wanted)
    }

    fn latch(&mut self, field: Field, bytes: &[u8]) {
        self.memory.latch(self.first(), field.at, bytes);
    }

    fn first(&self) -> Object {
        self.memory.first().unwrap_or(Object::NOWHERE)
    }

    fn table(&self, algorithm: Algorithm) -> Option<Object> {
        self.memory.objects().nth(match algorithm {
            Algorithm::Des => 1,
            Algorithm::Sm4 => 2,
        })
    }
}
