//! The process that compiles one plugin and ends: what it does, and how it is spoken to.
//!
//! The component comes in through stdin, the compiled code goes out through stdout behind its length, and a reason
//! in words through stderr. How the process ends says the rest.

use crate::jail::{self, Bounds};
use crate::limits::Limits;
use crate::machine;
use std::ffi::OsString;
use std::io::{self, Read as _, Write as _};
use std::process::ExitCode;
use std::sync::atomic::{AtomicBool, Ordering};

/// The first argument of a process that is to compile a plugin; the numbers of [`Bounds`] follow.
pub(crate) const ARGUMENT: &str = "__compile-plugin";
/// Ended well.
pub(crate) const DONE: u8 = 0;
/// The component does not compile.
pub(crate) const INVALID: u8 = 10;
/// There was not enough memory, and the compiler noticed.
pub(crate) const NO_MEMORY: u8 = 11;
/// The process could not be confined, or was not spoken to as it should be.
pub(crate) const NOT_CONFINED: u8 = 12;
/// What Rust ends a process with that panicked.
pub(crate) const PANICKED: u8 = 101;

/// What stands before so many bytes of machine code: a mark, and the number, least byte first.
pub(crate) const fn head(code_bytes: u64) -> [u8; 16] {
    let [a, b, c, d, e, f, g, h] = code_bytes.to_le_bytes();
    [b'x', b'd', b'o', b'c', b'k', b'c', b'1', b'>', a, b, c, d, e, f, g, h]
}

/// Whether this program can be started again to compile.
static IS_COMPILER: AtomicBool = AtomicBool::new(false);

/// Whether [`compile_if_asked`] was called in this process, so that the same program can be started as the child.
pub(crate) fn is_compiler() -> bool {
    IS_COMPILER.load(Ordering::Relaxed)
}

/// Lets the program that calls this compile plugins in child processes of its own: the first thing that its `main`
/// must do, before there are threads or open files.
///
/// The host starts the same program again for each plugin that is not in the cache, with arguments that only this
/// function knows. In such a process it compiles the plugin under the limits it was given and does not return
/// `None`: `main` must end with the code at once. In every other process it returns `None` at once.
///
/// ```no_run
/// use std::process::ExitCode;
/// fn main() -> ExitCode {
///     if let Some(code) = crossdock_sandbox::compile_if_asked() {
///         return code;
///     }
///     // The program itself.
///     ExitCode::SUCCESS
/// }
/// ```
#[must_use = "`main` must end with this code"]
pub fn compile_if_asked() -> Option<ExitCode> {
    IS_COMPILER.store(true, Ordering::Relaxed);
    let mut arguments = std::env::args_os().skip(1);
    if arguments.next()? != ARGUMENT {
        return None;
    }
    let rest: Vec<OsString> = arguments.collect();
    Some(ExitCode::from(compile(&rest)))
}

/// The arguments that ask a program for a compilation.
pub(crate) fn arguments(bounds: Bounds) -> [String; 3] {
    [ARGUMENT.to_owned(), bounds.memory_max_bytes.to_string(), bounds.cpu_time_max_s.to_string()]
}

fn parse(arguments: &[OsString]) -> Option<Bounds> {
    let [memory, cpu] = arguments else { return None };
    let number = |argument: &OsString| argument.to_str()?.parse().ok();
    Some(Bounds { memory_max_bytes: number(memory)?, cpu_time_max_s: number(cpu)? })
}

fn compile(arguments: &[OsString]) -> u8 {
    let Some(bounds) = parse(arguments) else {
        return end(NOT_CONFINED, "the arguments are not those of this version");
    };
    // Made before the jail is shut: it asks the system what the processor can do.
    let engine = match machine::engine() {
        Ok(engine) => engine,
        Err(error) => return end(NOT_CONFINED, &format!("{error:#}")),
    };
    if let Err(error) = jail::enter(bounds) {
        return end(NOT_CONFINED, &format!("the process cannot be confined: {error}"));
    }
    let mut component = Vec::new();
    let read = io::stdin().lock().take(Limits::PLUGIN_MAX_BYTES + 1).read_to_end(&mut component);
    if read.is_err() || component.len() as u64 > Limits::PLUGIN_MAX_BYTES {
        return end(NOT_CONFINED, "the component could not be read");
    }
    let code = match engine.precompile_component(&component) {
        Ok(code) => code,
        Err(error) if error.is::<wasmtime::OutOfMemory>() => return end(NO_MEMORY, &error.to_string()),
        Err(error) => return end(INVALID, &format!("{error:#}")),
    };
    // A host that is gone is told nothing.
    match write(&code) {
        Ok(()) => DONE,
        Err(_) => NOT_CONFINED,
    }
}

fn write(code: &[u8]) -> io::Result<()> {
    let mut stdout = io::stdout().lock();
    stdout.write_all(&head(code.len() as u64))?;
    stdout.write_all(code)?;
    stdout.flush()
}

fn end(code: u8, reason: &str) -> u8 {
    // Whoever started this reads it; if nobody does, the code says enough.
    let _ = io::stderr().write_all(reason.as_bytes());
    code
}
