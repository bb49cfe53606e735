//! The catalogue: the applets that a card of ours is made with.
//!
//! | module          | load file        | what it is                                     |
//! |-----------------|------------------|------------------------------------------------|
//! | [`isd`]         | A000000151       | issuer security domain                         |
//! | [`social`]      | F0"cardlab"      | social security: SSSE with files, keys and PIN |
//! | [`certificate`] | F0"cardlab"      | certificates: SM2 key pairs and their PINs     |
//! | [`debit`]       | A000000333010130 | PBOC debit or credit with electronic cash      |
//! | [`pse`]         | A000000333010130 | payment system environment, `1PAY.SYS.DDF01`   |
//!
//! An applet knows the door (`cardlab::applet`), the file system and the ground
//! floor, never the operating system.

pub mod certificate;
mod challenge;
pub mod debit;
pub mod isd;
pub mod pse;
pub mod social;

use cardlab::applet::Rom;

/// The ROM of our cards.
pub static ROM: Rom = Rom {
    issuer_domain: isd::MODULE,
    modules: &[
        social::MODULE,
        certificate::MODULE,
        debit::MODULE,
        pse::MODULE,
    ],
};
