//! Compiles one plugin in a process of its own, for programs that cannot be started again to do it themselves.
//!
//! **Does**: what the host asks of it through arguments that only the host knows, and ends.
//! **May touch**: its stdin, stdout and stderr.
//! **Never**: anything else; the system refuses it.

use std::process::ExitCode;

fn main() -> ExitCode {
    // Started in any other way there is nothing to do.
    crossdock_sandbox::compile_if_asked().unwrap_or(ExitCode::from(2))
}
