//! The silicon: what survives loss of power, and what does not.

pub mod image;
mod journal;
mod medium;
mod store;
mod tear;
mod transient;

pub use journal::JournalSize;
pub use medium::{Medium, Pages};
pub use store::{Damaged, Fault, Mark, Object, Owner, Ref, Store};
pub use tear::{Cut, Ending, Tear};
pub use transient::{Ram, RamObject};

/// The memory of a card, whose power can be cut.
pub type Silicon = Store<Tear<Pages>>;
