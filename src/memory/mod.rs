//! The silicon: what survives loss of power, and what does not.
//!
//! A [`Store`] is non-volatile memory of objects, on a [`Medium`] that is one
//! flat run of bytes. [`Ram`] is what a reset clears. [`image`] keeps a medium
//! as a file. Nothing here knows an applet, a file, or a command.
//!
//! # Specification
//!
//! - An *object* is a run of bytes with an [`Owner`]. It is allocated zero, has
//!   one name ([`Ref`]) for ever, and is never freed or moved, unless the update
//!   that allocated it is rolled back.
//! - An *update* is what happens between [`Store::begin`] and [`Store::commit`];
//!   a change with no update open is an update of its own. What it *writes* and
//!   allocates is there wholly after it, or not at all after
//!   [`Store::roll_back`] or a loss of power. [`Store::roll_back_to`] goes back
//!   to a [`Mark`] within it.
//! - A *latch* is there wholly once [`Store::latch`] has returned, and wholly or
//!   not at all after a loss of power within it. No roll-back undoes it. Latches
//!   hold in the order in which they were made.
//! - Reads give what was written and latched last, in an open update too.
//! - Whatever is asked for outside of an object reads as zero and writes nothing.
//!   It is a [`Fault`], which stays until it is taken, and while it does,
//!   nothing commits.
//! - A write, a latch or the end of an update that cells do not take is a
//!   [`Fault::Worn`]: the update is rolled back, and nothing of it is there. Where cells do
//!   not take the roll-back either, or a latch, nothing changes any more, and all objects
//!   are as before the update but for the bytes in the worn cells.
//! - The law: after any loss of power and [`Store::recover`], itself interrupted
//!   any number of times, all objects are as they were after the last commit, or
//!   as after the commit that was interrupted, and with every latch made since.
//!
//! Bytes are either written or latched, not both in one update: the type of a
//! cell says which. Where it happens, the roll-back of the written bytes takes
//! the latched ones with it, in recovery exactly as with power.
//!
//! # Assumptions
//!
//! Of a medium whose cells are not worn:
//!
//! 1. Writes reach it in the order in which they were made.
//! 2. Loss of power touches at most the one write that it interrupts, and of
//!    that no byte outside of its range. Inside, any bytes may be left:
//!    [`Ending`] has some that are worse than others.
//! 3. After it, no write happens until power is back.
//! 4. Otherwise bytes stay.
//!
//! Cells may wear out in a write: of its range they hold for good what they happen to
//! hold, and later writes change nothing there ([`Wear`]). The medium says nothing of it.
//!
//! And that a sum of 64 bits (XXH3) over 24 bytes does not match by accident.
//!
//! # Implementation
//!
//! [`Store`] changes bytes in place. Before, it makes an entry in the journal, at
//! the start of the medium: of the old bytes for a write, of the new ones for a
//! latch. Up to 8 bytes stand in the entry itself; more are kept in a part of
//! their own, written before the entry. Each entry carries the *generation* in
//! force, and one write of a slot begins the next generation: this is the commit,
//! and the end of a roll-back. Two slots take turns, and the greater whole one is
//! in force.
//!
//! Recovery takes the entries from the first on as long as they are whole and of
//! the generation in force; puts the latched bytes in place, the oldest first;
//! then the old bytes of writes, the newest first; then begins a new generation.
//!
//! No entry is needed for bytes whose old value nobody can ask for: those of an
//! object that is newer than the update and its last mark; and those whose old
//! value an entry since that mark already holds.
//!
//! To allocate is to step `top`, where free memory begins: one write of four
//! bytes in the update. What lies above is nobody's, so it is cleared and given
//! its header without the journal.
//!
//! # Why it holds
//!
//! *An entry is taken exactly if its write was finished in this generation.* It
//! is one physical write at a place of its own (2). Torn, its sum does not match.
//! Left from another generation, it says so. Entries fill their places from the
//! first on, so that before a whole one there are whole ones. The bytes that it
//! keeps elsewhere were written before it (1), to a place that no other entry of
//! this generation uses.
//!
//! *A loss of power in an open update leaves the state before it.* By (1) every
//! changed byte has its entry or is fresh. The first undo entry of a byte holds
//! its value at the beginning of the update, and is put in place last. `top`
//! has an entry, so objects of the update are gone, and with them fresh bytes.
//!
//! *A commit is one write.* Slot whole: no entry is of the generation in force,
//! and the bytes in place are the new ones. Slot not whole: the other slot is
//! in force, and so are the entries. The slot that is written is never the one
//! in force.
//!
//! *A latch is at once.* Before its entry is whole, its bytes are the old ones.
//! From then on recovery puts the new ones in place, in the order in which they
//! were latched, which a roll-back does not touch. It ends with the generation,
//! when its bytes are in place.
//!
//! *Recovery can be interrupted and repeated.* It changes no entry and no slot
//! until its last write, and what it puts in place depends on entries alone. Its
//! last write is a slot, at which everything is in place: whichever slot is in
//! force afterwards, the same objects are.
//!
//! *Worn cells are found out.* Every write is read back before the next one is made. An
//! entry that is not whole is none, and nothing was changed in place for it. Bytes that are
//! not in place have their entry, and the roll-back puts back what its cells take. A
//! commit that is not whole leaves the other slot in force, and with it the entries. Entries
//! that cannot be put in place, and those that no slot can retire, stay in force for good:
//! the journal is *stuck*, each recovery does the same again, and no change is begun.
//!
//! *Nothing that an applet stores is ever read as an entry.* Entries lie at fixed
//! places, where bytes from outside fill at most 8 of the 32. A journal with
//! entries of different lengths one behind the other has left-over bytes of old
//! ones where it looks for the next; whoever chose these bytes, and cuts power in
//! time, writes anywhere.
//!
//! *A name is never a way to another's bytes.* Headers are objects' neighbours,
//! and their like can be stored in an object. So [`Store::object`] does not ask
//! the bytes before an address: it asks a map of where objects begin, made at
//! power-on by going from header to header.
//!
//! `law.rs` checks all this against a model, at every physical write.
//!
//! Source: Java Card 3.1 Runtime Environment Specification, chapter 7
//! (transactions and atomicity), for what an update and its roll-back promise.

pub mod image;
mod journal;
#[cfg(test)]
mod law;
mod medium;
mod store;
mod tear;
mod transient;
mod wear;

pub use journal::JournalSize;
pub use medium::{Medium, Pages};
pub use store::{Damaged, Fault, Mark, Object, Owner, Ref, Store};
pub use tear::{Cut, Ending, Tear};
pub use transient::{Ram, RamObject};
pub use wear::{Cells, Wear, Worn};

/// The memory of a card, whose power can be cut and whose cells can wear out.
pub type Silicon = Store<Tear<Wear<Pages>>>;
