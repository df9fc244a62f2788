//! What the host offers to plugins: one ability a file, each denied unless granted.

mod control;
mod http;
mod log;
mod metrics;
mod secrets;
mod state;

use crate::bindings::{Everything, types};
use crate::files::Files;
use crate::host::Host;
use wasmtime::component::{HasSelf, Linker};
use wasmtime_wasi::cli::{WasiCli, WasiCliView as _};
use wasmtime_wasi::p2::bindings::{cli, filesystem, random};
use wasmtime_wasi::random::{WasiRandom, WasiRandomView as _};

/// The WASI interfaces that are offered, without their version. Sockets are not among them: the network
/// is reached through `crossdock:plugin/http` only.
pub(crate) const WASI: &[&str] = &[
    "wasi:io/error",
    "wasi:io/poll",
    "wasi:io/streams",
    "wasi:clocks/wall-clock",
    "wasi:clocks/monotonic-clock",
    "wasi:random/random",
    "wasi:random/insecure",
    "wasi:random/insecure-seed",
    "wasi:cli/environment",
    "wasi:cli/exit",
    "wasi:cli/stdin",
    "wasi:cli/stdout",
    "wasi:cli/stderr",
    "wasi:cli/terminal-input",
    "wasi:cli/terminal-output",
    "wasi:cli/terminal-stdin",
    "wasi:cli/terminal-stdout",
    "wasi:cli/terminal-stderr",
    "wasi:filesystem/types",
    "wasi:filesystem/preopens",
];

/// Our own interfaces that a plugin can import.
pub(crate) const OWN: &[&str] = &["types", "log", "metrics", "state", "secrets", "http", "control"];

/// What an import lets a plugin ask the host for, in one word; `None` if it leads nowhere by itself, like types and
/// the streams that other imports hand out. What is asked for is given by grants only.
pub(crate) fn reach(import: &str) -> Option<&'static str> {
    let name = import.split_once('@').map_or(import, |(name, _)| name);
    let (package, interface) = name.split_once('/')?;
    Some(match (package, interface) {
        ("crossdock:plugin", "http") => "http",
        ("crossdock:plugin", "secrets") => "secrets",
        ("crossdock:plugin", "state") => "state",
        ("crossdock:plugin", "log") => "log",
        ("crossdock:plugin", "metrics") => "metrics",
        ("crossdock:plugin", "control") => "control",
        ("wasi:filesystem", _) => "files",
        ("wasi:clocks", _) => "clock",
        ("wasi:random", _) => "random",
        ("wasi:cli", "environment") => "environment",
        ("wasi:cli", "exit") => "exit",
        ("wasi:cli", _) => "standard-streams",
        _ => return None,
    })
}

impl types::Host for Host {}

/// Links everything that [`WASI`] and [`OWN`] name.
pub(crate) fn link(linker: &mut Linker<Host>) -> wasmtime::Result<()> {
    Everything::add_to_linker::<Host, HasSelf<Host>>(linker, |host| host)?;
    // Brings `wasi:io`, the clocks, `random/random` and the standard streams.
    wasmtime_wasi::p2::add_to_linker_proxy_interfaces_async(linker)?;
    random::insecure::add_to_linker::<Host, WasiRandom>(linker, Host::random)?;
    random::insecure_seed::add_to_linker::<Host, WasiRandom>(linker, Host::random)?;
    cli::environment::add_to_linker::<Host, WasiCli>(linker, Host::cli)?;
    cli::exit::add_to_linker::<Host, WasiCli>(linker, Host::cli)?;
    cli::terminal_input::add_to_linker::<Host, WasiCli>(linker, Host::cli)?;
    cli::terminal_output::add_to_linker::<Host, WasiCli>(linker, Host::cli)?;
    cli::terminal_stdin::add_to_linker::<Host, WasiCli>(linker, Host::cli)?;
    cli::terminal_stdout::add_to_linker::<Host, WasiCli>(linker, Host::cli)?;
    cli::terminal_stderr::add_to_linker::<Host, WasiCli>(linker, Host::cli)?;
    filesystem::preopens::add_to_linker::<Host, Files>(linker, Host::files)?;
    filesystem::types::add_to_linker::<Host, Files>(linker, Host::files)?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn whatever_is_offered_has_a_word() {
        let silent: Vec<_> = WASI.iter().filter(|name| reach(&format!("{name}@0.2.6")).is_none()).collect();
        assert_eq!(silent, [&"wasi:io/error", &"wasi:io/poll", &"wasi:io/streams"]);
        let own = |name: &&&str| reach(&format!("crossdock:plugin/{name}@0.1.0")).is_none();
        assert_eq!(OWN.iter().filter(own).collect::<Vec<_>>(), [&"types"]);
    }
}
