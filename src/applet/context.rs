//! What an applet holds while it answers: its memory, the answer, and nothing else.
//!
//! A handle of another applet, or one that leads out of its object, is a fault of
//! the card: the command ends in '6F00' and all it wrote is rolled back.

use super::cell::Handle;
use super::{CardLifeCycle, Deed, Peers, Privileges};
use crate::aid::Aid;
use crate::apdu::Sw;
use crate::crypto::Random;
use crate::memory::{Fault, Object, Owner, Ram, Ref, Silicon};

/// Memory entered by one applet.
pub struct Hold<'c> {
    pub(crate) memory: &'c mut Silicon,
    pub(crate) ram: &'c mut Ram,
    pub(crate) owner: Owner,
    pub(crate) privileges: Privileges,
    pub(crate) channel: u8,
    pub(crate) card_life_cycle: CardLifeCycle,
    /// A bit for each owner that a shareable call has left behind.
    pub(crate) stack: u64,
}

/// The applet that a shareable call came from.
pub(super) struct Caller {
    owner: Owner,
    privileges: Privileges,
    stack: u64,
}

impl Hold<'_> {
    #[inline]
    pub(super) fn read(&self, object: Object, offset: u32, into: &mut [u8]) {
        if self.may_touch(object) {
            self.memory.read(object, offset, into);
        }
    }

    #[inline]
    pub(super) fn write(&mut self, object: Object, offset: u32, bytes: &[u8]) {
        if self.may_touch(object) {
            self.memory.write(object, offset, bytes);
        }
    }

    #[inline]
    pub(super) fn latch(&mut self, object: Object, offset: u32, bytes: &[u8]) {
        if self.may_touch(object) {
            self.memory.latch(object, offset, bytes);
        }
    }

    /// The firewall: whether the object is this context's; if not, that is a fault.
    #[inline]
    fn may_touch(&self, object: Object) -> bool {
        let own = object.owner() == self.owner;
        if !own {
            self.memory.raise(Fault::Foreign);
        }
        own
    }

    pub(super) fn is_on_stack(&self, owner: Owner) -> bool {
        owner == self.owner || self.stack >> (owner.0 & 63) & 1 == 1
    }

    pub(super) fn enter(&mut self, owner: Owner, privileges: Privileges) -> Caller {
        let caller = Caller {
            owner: self.owner,
            privileges: self.privileges,
            stack: self.stack,
        };
        self.stack |= 1 << (self.owner.0 & 63);
        self.owner = owner;
        self.privileges = privileges;
        caller
    }

    pub(super) fn leave(&mut self, caller: Caller) {
        self.owner = caller.owner;
        self.privileges = caller.privileges;
        self.stack = caller.stack;
    }
}

/// The context in which an applet answers one command.
pub struct Ctx<'c> {
    pub(crate) hold: Hold<'c>,
    pub(crate) answer: &'c mut Vec<u8>,
    pub(crate) peers: &'c dyn Peers,
    pub(crate) deed: &'c mut Option<Deed>,
    /// Fills bytes at random with the card's generator.
    pub(crate) random: &'c Random,
    pub(crate) draws: super::Latch<u64>,
}

impl Ctx<'_> {
    /// The value that a handle leads to.
    #[inline]
    #[must_use]
    pub fn get<H: Handle>(&self, handle: &H) -> H::Value {
        handle.read(&self.hold)
    }

    /// Sets the value that a handle leads to.
    #[inline]
    pub fn set<H: Handle>(&mut self, handle: &H, value: H::Value) {
        handle.write(&mut self.hold, &value);
    }

    /// A new object of this applet, all zero.
    ///
    /// # Errors
    /// '6A84' where there is no room.
    pub fn allocate(&mut self, len: u32) -> Result<Object, Sw> {
        let owner = self.hold.owner;
        self.hold
            .memory
            .allocate(owner, len)
            .ok_or(Sw::NOT_ENOUGH_MEMORY)
    }

    /// The object that a stored reference names.
    ///
    /// A reference that names nothing is a fault of the card; what is given then
    /// leads nowhere.
    #[inline]
    #[must_use]
    pub fn object(&self, reference: Ref) -> Object {
        self.hold.memory.object(reference).unwrap_or_else(|| {
            self.hold.memory.raise(Fault::Bounds);
            Object::NOWHERE
        })
    }

    /// Says that this applet's memory holds what the applet never wrote: a fault of
    /// the card.
    #[cold]
    pub fn report_damage(&self) {
        self.hold.memory.raise(Fault::Damaged);
    }

    /// Fills `into` from an object.
    #[inline]
    pub fn read(&self, object: Object, offset: u32, into: &mut [u8]) {
        self.hold.read(object, offset, into);
    }

    /// `N` bytes of an object.
    #[inline]
    #[must_use]
    pub fn read_array<const N: usize>(&self, object: Object, offset: u32) -> [u8; N] {
        let mut bytes = [0; N];
        self.hold.read(object, offset, &mut bytes);
        bytes
    }

    /// Writes into an object; rolls back with the command.
    #[inline]
    pub fn write(&mut self, object: Object, offset: u32, bytes: &[u8]) {
        self.hold.write(object, offset, bytes);
    }

    /// Writes into an object at once; never rolls back.
    #[inline]
    pub fn latch_bytes(&mut self, object: Object, offset: u32, bytes: &[u8]) {
        self.hold.latch(object, offset, bytes);
    }

    /// Adds to the data of the answer.
    #[inline]
    pub fn answer(&mut self, bytes: &[u8]) {
        self.answer.extend_from_slice(bytes);
    }

    /// Adds `len` bytes of an object to the data of the answer.
    #[inline]
    pub fn answer_from(&mut self, object: Object, offset: u32, len: u32) {
        if object.owner() == self.hold.owner {
            self.hold.memory.append_to(object, offset, len, self.answer);
        } else {
            self.hold.memory.raise(Fault::Foreign);
        }
    }

    /// Fills `into` with random bytes: a function of the card's seed and of how
    /// often it was asked. That count never rolls back: no challenge comes twice.
    pub fn random(&mut self, into: &mut [u8]) {
        let caller = self.hold.enter(Owner::OS, Privileges::empty());
        let draws = self.draws;
        let next = self.random.fill(self.get(&draws), into);
        // Counted at once and before anything leaves the card.
        self.set(&draws, next);
        self.hold.leave(caller);
    }

    /// The name that SELECT knows this applet by.
    #[must_use]
    pub fn name(&self) -> Option<Aid> {
        self.peers.name(self.hold.owner)
    }

    /// The logical channel, 0 to 19.
    #[must_use]
    pub const fn channel(&self) -> u8 {
        self.hold.channel
    }

    /// Does `work` as an update of its own within the command's: where it fails,
    /// what it wrote is rolled back and the command goes on.
    ///
    /// # Errors
    /// Those of `work`.
    pub fn update<R>(&mut self, work: impl FnOnce(&mut Self) -> Result<R, Sw>) -> Result<R, Sw> {
        let mark = self.hold.memory.mark();
        let done = work(self);
        if done.is_err() {
            self.hold.memory.roll_back_to(mark);
        }
        done
    }
}
