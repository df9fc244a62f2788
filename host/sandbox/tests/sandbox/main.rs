//! The sandbox against guests that misbehave (`tests/guests`): every case is what a guest is told to do, and what
//! the sandbox makes of it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::disallowed_types,
    clippy::print_stdout,
    clippy::large_futures
)]

mod admission;
mod bombs;
mod cache;
mod codes;
mod common;
mod compile;
mod destination;
mod egress;
mod figures;
mod files;
mod http;
mod loops;
mod own_mistakes;
mod pace;
mod request_limits;
mod secrets;
mod source;
mod transformer;

use crossdock_devkit::raw as core_guest;
