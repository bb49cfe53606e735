//! The certificate application, over the wire.

mod allocation;
mod command;
mod power;
mod support;
mod truth;
