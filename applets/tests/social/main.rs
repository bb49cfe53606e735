//! The social security applet on a card, driven by commands alone.

mod allocation;
mod command;
mod forged;
mod model;
mod power;
mod support;
mod truth;
