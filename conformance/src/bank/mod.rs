//! Bank applications in cases: the card issued for one, and its terminal.
//!
//! | file         | what                                                              |
//! |--------------|-------------------------------------------------------------------|
//! | `variant`    | the application of a case's card, where it differs from the profile |
//! | `step`       | the steps of a payment, as cases write them                       |
//! | `chain`      | the certificates that a card shows, and what it signed            |
//! | `cryptogram` | cryptograms as cards answer them, and the sums that they are      |
//! | `till`       | what a terminal and its bank know in the middle of a payment      |

pub(crate) mod chain;
pub(crate) mod cryptogram;
pub mod step;
pub(crate) mod till;
pub mod variant;
