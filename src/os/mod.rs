//! The card operating system: from a command APDU to the applet that answers it.
//!
//! Knows neither how it is reached nor what a file is. The stair of a command:
//! parse, gather (chaining), route, enter (firewall), begin; and up again: settle,
//! leave, portion (GET RESPONSE), emit.
//!
//! | INS | P1 | command                     | who answers                          |
//! |-----|----|-----------------------------|--------------------------------------|
//! | 70  |    | MANAGE CHANNEL              | the OS                               |
//! | A4  | 04 | SELECT by AID               | the OS, then the applet so named;    |
//! |     |    |                             | if none is, the selected one         |
//! | C0  |    | GET RESPONSE                | the OS                               |
//! |     |    | all others                  | the channel's selected applet        |
//!
//! The order of checks: card locked '6A81'; length '6700' and class '6E00' by
//! [`Command::parse`](crate::apdu::Command::parse); closed channel '6881'; chaining
//! '6883'; then the command's own.
//!
//! Source: Java Card 3.0.4 Classic, runtime environment specification, 4 and 8;
//! ISO/IEC 7816-4:2020, 5.3 (chaining), 5.4.1, 11.1.2 (MANAGE CHANNEL), 11.2.2.

mod card;
mod channel;
mod dispatch;
mod firewall;
mod registry;

pub use card::{Card, NotThisCard};
