//! Bank applications in cases: how a card is issued for one, and how its terminal talks.
//!
//! | file      | what                                                                 |
//! |-----------|----------------------------------------------------------------------|
//! | `variant` | the application of a case's card, where it differs from the profile  |
//! | `step`    | the steps of a payment, as cases write them                          |
//! | `till`    | what a terminal and its bank know in the middle of a payment         |

pub mod step;
pub(crate) mod till;
pub mod variant;
