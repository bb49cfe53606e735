//! The conformance suite: cases as data, run against any card.
//!
//! A [`Case`](case::Case) is a file, or is generated from the profile of the card
//! that is tested; a [`Subject`](subject::Subject) is a switch; the runner tells
//! [`Event`](event::Event)s, and reporters know nothing else. `INTERPRETING.md`
//! says how any runner must read a case.

pub mod bank;
pub mod cards;
pub mod case;
pub mod event;
pub mod expect;
pub mod explain;
pub mod generate;
pub mod monitor;
pub mod plan;
pub mod record;
pub mod report;
pub mod requirement;
pub mod runner;
pub mod said;
pub mod session;
pub mod status;
pub mod subject;
pub mod tear;
mod terminal;
pub mod verdict;
