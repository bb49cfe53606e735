//! Keys that cannot be printed, and the sums done with them.
//!
//! A [`Key`] is bytes that erase themselves; an [`Expanded`] is the same key made
//! ready for work, which costs as much as a block or two and is therefore worth
//! keeping while a key is in use. Nothing here allocates, and nothing takes time
//! that depends on a secret but the tables of the block ciphers themselves.
//!
//! | file      | what                                                          |
//! |-----------|---------------------------------------------------------------|
//! | `key`     | key bytes, and which block cipher they are for                |
//! | `cipher`  | one block, ECB and CBC with any key                           |
//! | `des`     | DES and two-key triple DES                                    |
//! | `sm4`     | SM4                                                           |
//! | `rsa`     | RSA without padding, by OpenSSL's big numbers                  |
//! | `sha1`    | the hash SHA-1                                                 |
//! | `sm3`     | the hash SM3                                                  |
//! | `sm2`     | key pairs, signatures and encryption on the curve of SM2      |
//! | `mac`     | CBC-MAC, retail MAC and CMAC, fed piece by piece              |
//! | `derive`  | the key tree and session sums of the social security card     |
//! | `pboc`    | the key tree and sums of a PBOC debit or credit application   |
//! | `random`  | the card's random numbers, a function of a seed and a counter |
//!
//! Source: with each file.

mod cipher;
pub mod derive;
mod des;
mod key;
mod mac;
pub mod pboc;
mod random;
mod rsa;
mod sha1;
pub mod sm2;
mod sm3;
mod sm4;

pub use cipher::{Expanded, PartialBlock};
pub use key::{Algorithm, Cipher, Key, equal};
pub use mac::{CbcMac, Cmac, Mac, Padding};
pub use random::Random;
pub use rsa::{MODULUS_LEN_MAX, RsaPrivate, RsaPublic};
pub use sha1::Sha1;
pub use sm3::Sm3;
