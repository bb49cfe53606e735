//! Everything off the card: profiles, keys, security modules, issuing.
//!
//! The desk and the card share only the wire: what is here knows a card by
//! `Icc` and by the standards, never by its code.

pub mod bank;
mod certify;
pub mod emv;
pub mod encode;
pub mod host;
pub mod hsm;
pub mod issue;
pub mod medical;
pub mod numbers;
pub mod pki;
pub mod profile;
pub mod psam;
pub mod sam;
pub mod terminal;
pub mod wire;
