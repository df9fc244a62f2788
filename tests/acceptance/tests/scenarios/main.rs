//! What must be seen, through the command line, with the ERP as the witness.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stderr)]

mod bad_input;
mod canaries;
mod chain_handlers;
mod chain_kills;
mod chain_outages;
mod chain_poison;
mod chain_rollback;
mod guests;
mod kills;
mod locks;
mod lost_answers;
mod mass_resync;
mod output;
mod record_37;
mod retries;
mod secrets;
mod stop;
mod upkeep;
