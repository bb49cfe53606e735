//! The bank's side of a card: its certification authority, keys and host.
//!
//! | file            | what                                                     |
//! |-----------------|----------------------------------------------------------|
//! | `rsa`, `sm2`    | RSA and SM2 keys for tests                               |
//! | `authority`     | certificates of issuers and cards, signed static data    |
//! | `authority_sm2` | the same by SM2, and what a card signs with it           |
//! | `key`           | master keys, and the keys of a card                      |
//! | `application`   | what a bank orders                                       |
//! | `facts`         | what an order says of its card                           |
//! | `grouping`      | the data groupings that an order becomes                 |
//! | `side`          | the bank side of a profile: what it orders, and its host |
//! | `personalise`   | the groupings sent to a card, as a bureau's tool does it |
//! | `look`          | what anybody may see of the bank side of a card          |
//! | `host`          | authorisation, the answer to a card, scripts             |
//!
//! All keys are for tests: the RSA keys are printed in this source, the SM2 keys made of
//! names, the symmetric ones are a function of a seed.

pub mod application;
pub mod authority;
pub mod authority_sm2;
pub mod facts;
pub mod grouping;
pub mod host;
pub mod key;
pub mod look;
pub mod personalise;
pub mod rsa;
pub mod side;
pub mod sm2;
