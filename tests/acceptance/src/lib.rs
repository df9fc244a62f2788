//! Acceptance tests through the command line: whole projects, real processes, and an ERP that keeps its own books.
//!
//! **Does**: makes copies of the example project, starts the ERP stand-in and the `crossdock` command, reads what both say.
//! **May touch**: temporary folders, processes it started itself, the loopback interface, Cargo's target folder.
//! **Never**: a crate of the host. It knows what a user of the command line knows, and asks the ERP what happened.

mod books;
mod command;
mod purchases;
mod shop;

pub use books::Books;
pub use command::{Command, Outcome};
pub use purchases::{Lines, Purchase, purchases};
pub use shop::{Dice, Shop};
