//! applets.
