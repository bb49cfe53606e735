//! The bank applet and its directory on a card, driven by commands alone.

mod allocation;
mod firewall;
mod hostile;
mod model;
mod personalise;
mod power;
mod script;
mod sm2;
mod sm4;
mod support;
mod transaction;
mod truth;
mod wear;
