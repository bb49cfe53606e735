//! A virtual contact CPU card: operating system, memory, file system, links.
//!
//! A card is a function from command to response over a memory; an applet is a
//! guest in it that owns handles and never bytes.

pub mod aid;
pub mod apdu;
pub mod crypto;
pub mod icc;
pub mod memory;
