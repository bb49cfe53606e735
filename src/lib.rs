//! A virtual contact CPU card: operating system, memory, file system, links.
//!
//! A card is a function from command to response over a memory; an applet is a
//! guest in it that owns handles and never bytes. From this everything follows:
//! roll-back is total, a torn write is a property of the memory and not of each
//! applet, two cards can be compared, and a saved card is a saved memory.
//!
//! # Floors
//!
//! ```text
//! 4   os/                files/
//! 3   applet/
//! 2   secure/                              link/
//! 1   apdu/   tlv/   crypto/   memory/   aid.rs   fen.rs   icc.rs
//! ```
//!
//! **Invariant:** imports point down only. Applets and the file system know the
//! door, [`applet`], and not the house; the OS knows neither how it is reached nor
//! what a file is; a link drives any [`Icc`](icc::Icc).
//!
//! **Invariant:** a run is a function of image, seed and commands: no clock, no
//! entropy, no I/O below the link but in `memory::image`.
//!
//! # The stair of a command
//!
//! ```text
//!  link      TPDU bytes -> C-APDU bytes                 R-APDU bytes -> TPDU bytes
//!  ─────────────────────────────── Icc::transmit ─────────────────────────────────
//!  1 parse   apdu::Command                              emit     apdu::Response
//!  2 gather  chained commands -> one                    portion  long answers
//!  3 route   the OS itself or the channel's applet
//!  4 enter   its context, its memory                    leave
//!  5 begin   an update of memory                        settle   Ok: commit, Err: roll back
//!            applet.process(&self, &mut ctx, &command) -> Ok(Reply) | Err(Sw)
//! ```

pub mod aid;
pub mod apdu;
pub mod applet;
pub mod crypto;
pub mod fen;
pub mod files;
pub mod icc;
pub mod link;
pub mod memory;
pub mod os;
pub mod secure;
pub mod tlv;
