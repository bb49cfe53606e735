//! Secure channels as both ends see them: keys, cryptograms, wrapped commands.
//!
//! Pure sums: who keeps a session, and what it opens, is the issuer domain's
//! business on the card and the host's at the desk.

pub mod scp02;
