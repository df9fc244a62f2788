//! Starting the tools of a language.

use super::error::BuildError;
use std::ffi::OsStr;
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The most that is kept of what a tool said, in bytes: the end of it, where the reason stands.
const SAID_MAX_BYTES: usize = 16 << 10;

/// Starts tools in the plugin's folder, and either passes on what they say as they say it, or keeps it for the error.
#[derive(Debug)]
pub(crate) struct Tools<'a> {
    /// The plugin's folder, where each tool is started.
    pub(crate) dir: &'a Path,
    /// Whether what tools say is kept rather than passed on to stderr.
    pub(crate) quiet: bool,
}

/// A tool as people know it, and how to get it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Tool {
    /// The program.
    pub(crate) program: &'static str,
    /// What it is: `cargo, which builds Rust`.
    pub(crate) what: &'static str,
    /// One sentence with the command that gets it.
    pub(crate) get: &'static str,
}

impl Tools<'_> {
    /// A command in the plugin's folder, without input.
    pub(crate) fn command(&self, program: impl AsRef<OsStr>) -> Command {
        let mut command = Command::new(program);
        command.current_dir(self.dir).stdin(Stdio::null());
        command
    }

    /// Says what is being done, on stderr, where tools pass on what they say.
    #[allow(clippy::print_stderr, reason = "it stands in front of what the tool itself prints there")]
    pub(crate) fn say(&self, doing: &str) {
        if !self.quiet {
            eprintln!("{doing}");
        }
    }

    /// Runs a tool whose answer on stdout is wanted; what it says on stderr is kept for the error.
    pub(crate) fn ask(&self, doing: &str, tool: Tool, mut command: Command) -> Result<String, BuildError> {
        let output = started(doing, tool, command.stderr(Stdio::piped()).output())?;
        if output.status.success() {
            return Ok(String::from_utf8_lossy(&output.stdout).into_owned());
        }
        Err(failed(doing, &command, &output, true))
    }

    /// Runs a tool that does work. What it says on stderr is passed on, or kept if nothing is to be passed on; its stdout
    /// is given back.
    pub(crate) fn run(&self, doing: &str, tool: Tool, mut command: Command) -> Result<Vec<u8>, BuildError> {
        command.stdout(Stdio::piped());
        command.stderr(if self.quiet { Stdio::piped() } else { Stdio::inherit() });
        let output = started(doing, tool, command.spawn().and_then(std::process::Child::wait_with_output))?;
        if output.status.success() { Ok(output.stdout) } else { Err(failed(doing, &command, &output, self.quiet)) }
    }
}

fn started<T>(doing: &str, tool: Tool, done: io::Result<T>) -> Result<T, BuildError> {
    done.map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => {
            BuildError::ToolMissing { doing: doing.to_owned(), tool: tool.what.to_owned(), get: tool.get.to_owned() }
        }
        _ => BuildError::File { doing: "starting", path: tool.program.into(), error },
    })
}

fn failed(doing: &str, command: &Command, output: &Output, told: bool) -> BuildError {
    let said = told.then(|| {
        let said = String::from_utf8_lossy(&output.stderr);
        end_of(said.trim(), SAID_MAX_BYTES).to_owned()
    });
    BuildError::ToolFailed {
        doing: doing.to_owned(),
        command: shown(command),
        status: output.status.to_string(),
        said: said.filter(|said| !said.is_empty()),
    }
}

/// The end of a text, from the beginning of a line on.
fn end_of(text: &str, max_bytes: usize) -> &str {
    let Some(mut from) = text.len().checked_sub(max_bytes) else { return text };
    while !text.is_char_boundary(from) {
        from += 1;
    }
    let end = text.get(from..).unwrap_or_default();
    end.split_once('\n').map_or(end, |(_, rest)| rest)
}

/// The command as a person would type it, without what only we need.
fn shown(command: &Command) -> String {
    let mut line = command.get_program().to_string_lossy().into_owned();
    for argument in command.get_args() {
        let _ = write!(line, " {}", argument.to_string_lossy());
    }
    line
}

/// The first three numbers of a version within a text such as `rustc 1.95.0 (59807616e 2026-04-14)` or `v20.20.2`.
pub(crate) fn version_in(text: &str) -> Option<(u64, u64, u64)> {
    let from = text.find(|c: char| c.is_ascii_digit())?;
    let digits = text.get(from..)?;
    let mut numbers = digits.split(|c: char| !c.is_ascii_digit()).map(|number| number.parse().unwrap_or(0));
    Some((numbers.next()?, numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    #[test]
    fn versions_are_found() {
        let check = |text: &str, wanted: Option<(u64, u64, u64)>| assert_eq!(version_in(text), wanted, "{text}");
        check("rustc 1.95.0 (59807616e 2026-04-14)", Some((1, 95, 0)));
        check("rustc 1.97.0-nightly (abc 2026-04-14)", Some((1, 97, 0)));
        check("v20.20.2\n", Some((20, 20, 2)));
        check("Python 3.11", Some((3, 11, 0)));
        check("none", None);
    }

    #[test]
    fn the_end_begins_with_a_line() {
        assert_eq!(end_of("one\ntwo\nthree", 100), "one\ntwo\nthree");
        assert_eq!(end_of("one\ntwo\nthree", 9), "three");
        assert_eq!(end_of("ääää", 3), "ä");
    }
}
