//! The bank's side of a card: its certification authority, keys and host.
//!
//! | file          | what                                                     |
//! |---------------|----------------------------------------------------------|
//! | `rsa`         | RSA keys for tests                                       |
//! | `authority`   | certificates of issuers and cards, signed static data    |
//! | `key`         | master keys, and the keys of a card                      |
//! | `application` | what a bank orders                                       |
//! | `grouping`    | the data groupings that an order becomes                 |
//! | `side`        | the bank side of a profile: what it orders, and its host |
//! | `personalise` | the groupings sent to a card, as a bureau's tool does it |
//! | `look`        | what anybody may see of the bank side of a card          |
//! | `host`        | authorisation, the answer to a card, scripts             |
//!
//! All keys are for tests: the RSA keys are printed in this source, the symmetric ones
//! are a function of a seed.

pub mod application;
pub mod authority;
pub mod grouping;
pub mod host;
pub mod key;
pub mod look;
pub mod personalise;
pub mod rsa;
pub mod side;
