//! applets.
pub mod social;
