//! Commands and responses as values, and the class byte and status words in them.
//!
//! Knows the forms of ISO/IEC 7816-3 and 7816-4 and no application.

// Hostile bytes come through here; tests may index what they made themselves.
#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

mod class;
mod command;
mod response;
mod status;

pub use class::{Class, SecureMessaging};
pub use command::{Command, Malformed};
pub use response::Response;
pub use status::{Memory, Sw};
