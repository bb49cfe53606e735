//! The wire: bytes of a reader or a socket to APDUs and back.
//!
//! Everything here drives any [`Icc`](crate::icc::Icc) and knows nothing of the
//! operating system behind it. Bytes come from strangers: parsers are pure
//! functions, and neither index nor wrap.
//!
//! | module   | speaks                                                          |
//! |----------|-----------------------------------------------------------------|
//! | `atr`    | the answer to reset                                             |
//! | `pps`    | protocol and parameters selection, both ends                    |
//! | `pulled` | an `Icc` that is pulled out of its reader at a command          |
//! | `t0`     | the protocol T=0, both ends, without I/O                        |
//! | `t1`     | the protocol T=1, both ends, without I/O                        |
//! | `tap`    | an `Icc` that tells a listener what goes through it             |
//! | `vpcd`   | the virtual reader of pcscd, over TCP                           |
//! | `pcsc`   | the socket protocol of pcsc-lite, in the place of pcscd         |
//!
//! Source: ISO/IEC 7816-3:2006.

#![cfg_attr(
    not(test),
    warn(clippy::indexing_slicing, clippy::arithmetic_side_effects)
)]

pub mod atr;
#[cfg(unix)]
pub mod pcsc;
pub mod pps;
pub mod pulled;
pub mod t0;
pub mod t1;
pub mod tap;
pub mod vpcd;

#[cfg(test)]
mod testing;
