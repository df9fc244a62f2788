//! Acceptance tests through the command line: whole projects, real processes, and ERPs that keep their own books.
//!
//! **Does**: makes copies of the example projects, starts ERP stand-ins and the `crossdock` command, reads what both say.
//! **May touch**: temporary folders, processes it started itself, the loopback interface, Cargo's target folder.
//! **Never**: a crate of the host. It knows what a user of the command line knows, and asks the ERPs what happened.

pub mod authors;
mod books;
mod chain;
mod command;
mod dice;
mod erp;
mod project;
mod purchases;
mod shop;

pub use books::Books;
pub use chain::{Chain, Ledgers, Order, SERVICES};
pub use command::{Command, Outcome};
pub use dice::Dice;
pub use erp::{Erp, until};
pub use project::Project;
pub use purchases::{Lines, Purchase, purchases};
pub use shop::Shop;
