//! The bank's side of a card: its certification authority, keys and host.
//!
//! | file        | what                                                       |
//! |-------------|------------------------------------------------------------|
//! | `rsa`       | RSA keys for tests                                         |
//! | `authority` | certificates of issuers and cards, signed static data      |
//!
//! All keys are for tests: the RSA keys are printed in this source, the symmetric ones
//! are a function of a seed.

pub mod authority;
pub mod rsa;
