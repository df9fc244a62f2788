//! An ERP stand-in for examples and tests.
//!
//! **Does**: takes documents over HTTP, hands out orders and lets them be marked, keeps all of it and every request it
//! received in an SQLite file of its own, and misbehaves when it is told to.
//! **May touch**: its database file, and the loopback port it is given.
//! **Never**: Crossdock. It knows nothing of the host, so what it says about the host's work is evidence.

mod connection;
mod document;
mod erp;
mod faults;
mod orders;
mod reply;
mod server;
mod store;

pub use faults::{Cut, Faults, InvalidFaults, Rule};
pub use server::{Options, serve};
pub use store::Store;
