//! The one door out: stdout for what was asked, stderr for everything else.

use crate::args::Global;
use crate::fail::Fail;
use crate::text::{Paint, Table, json_text, quote};
use crossdock::redact;
use serde::Serialize;
use std::io::{ErrorKind, IsTerminal, Write};
use std::path::Path;

/// Where things are written, and how.
#[derive(Debug, Clone)]
pub(crate) struct Out {
    /// One JSON document on stdout, nothing else.
    pub(crate) json: bool,
    /// Colours on stdout.
    pub(crate) paint: Paint,
    /// Colours on stderr.
    pub(crate) paint_err: Paint,
    /// The width of the terminal that stdout is, if it is one.
    pub(crate) width: Option<u16>,
    /// How progress is shown.
    pub(crate) progress: ProgressStyle,
    /// The words that a suggested command begins with, so that it means the same project and ledger.
    command: String,
}

/// How progress is shown.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum ProgressStyle {
    /// One line that changes.
    Bar,
    /// A line now and then.
    Lines,
    /// Not at all.
    Silent,
}

#[allow(clippy::disallowed_methods)]
impl Out {
    /// As the terminal and the options have it. `found` is the project that a route file brought along, if it is
    /// not the one that would be found from the current folder.
    pub(crate) fn new(global: &Global, found: Option<&Path>) -> Self {
        let plain = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty())
            || std::env::var_os("TERM").is_some_and(|term| term == "dumb");
        let terminal = std::io::stdout().is_terminal();
        let terminal_err = std::io::stderr().is_terminal();
        Self {
            json: global.json,
            paint: Paint { color: terminal && !plain },
            paint_err: Paint { color: terminal_err && !plain && !global.json },
            width: terminal.then(|| comfy_table::Table::new().width()).flatten(),
            progress: match (global.json, terminal_err && global.verbose == 0) {
                (true, _) => ProgressStyle::Silent,
                (false, true) => ProgressStyle::Bar,
                (false, false) => ProgressStyle::Lines,
            },
            command: command(global, found),
        }
    }

    /// A command that can be typed in next.
    pub(crate) fn command(&self, rest: &str) -> String {
        format!("{} {rest}", self.command)
    }

    /// A table as wide as stdout is.
    pub(crate) fn table(&self, headings: &[&str]) -> Table {
        Table::new(headings, self.width, self.paint)
    }

    /// Writes what was asked for. Somebody who stopped reading is no error.
    ///
    /// # Errors
    /// When stdout cannot be written to.
    pub(crate) fn text(&self, text: &str) -> Result<(), Fail> {
        self.raw(&redact(text))
    }

    fn raw(&self, text: &str) -> Result<(), Fail> {
        let mut stdout = std::io::stdout().lock();
        match stdout.write_all(text.as_bytes()).and_then(|()| stdout.flush()) {
            Err(error) if error.kind() != ErrorKind::BrokenPipe => Err(Fail::Output(error)),
            _ => Ok(()),
        }
    }

    /// Writes what was asked for piece by piece.
    ///
    /// # Errors
    /// As `write`.
    pub(crate) fn stream(&self, write: impl FnOnce(&mut dyn Write) -> Result<(), Fail>) -> Result<(), Fail> {
        let mut stdout = Ends { inner: std::io::BufWriter::new(std::io::stdout().lock()), closed: false };
        match write(&mut stdout) {
            // Somebody who stopped reading is no error.
            Err(_) if stdout.closed => Ok(()),
            done => done,
        }
    }

    /// The command that was typed, with other consent: to be typed in next.
    pub(crate) fn again(add: &[&str]) -> String {
        let given = std::env::args_os().skip(1).map(|word| word.to_string_lossy().into_owned());
        let words = given.filter(|word| word != "--plan").chain(add.iter().map(|&word| word.to_owned()));
        std::iter::once("crossdock".to_owned()).chain(words.map(|word| quote(&word))).collect::<Vec<_>>().join(" ")
    }

    /// Writes the JSON document that was asked for.
    ///
    /// # Errors
    /// When stdout cannot be written to.
    pub(crate) fn document(&self, value: &impl Serialize) -> Result<(), Fail> {
        let value = serde_json::to_value(value)
            .map_err(|error| Fail::internal(format!("writing the answer as JSON: {error}")))?;
        let mut text = json_text(value);
        text.push('\n');
        self.raw(&text)
    }

    /// A line beside what was asked for. Not with `--json`.
    pub(crate) fn note(&self, line: &str) {
        if !self.json {
            // A stderr that cannot be written to leaves nothing that could be done about it.
            let _ = writeln!(std::io::stderr().lock(), "{}", redact(line));
        }
    }

    /// Why the verb could not do its work.
    pub(crate) fn fail(&self, fail: &Fail) {
        let text = if self.json { format!("{}\n", json_text(fail.to_json())) } else { fail.render(self.paint_err) };
        let text = if self.json { text.into() } else { redact(&text) };
        let _ = std::io::stderr().lock().write_all(text.as_bytes());
    }
}

/// A way out that remembers whether somebody stopped reading.
struct Ends<W> {
    inner: W,
    closed: bool,
}

impl<W: Write> Ends<W> {
    fn note<T>(&mut self, done: std::io::Result<T>) -> std::io::Result<T> {
        done.inspect_err(|error| self.closed |= error.kind() == ErrorKind::BrokenPipe)
    }
}

impl<W: Write> Write for Ends<W> {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        let done = self.inner.write(bytes);
        self.note(done)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        let done = self.inner.flush();
        self.note(done)
    }
}

fn command(global: &Global, found: Option<&Path>) -> String {
    let mut words = vec!["crossdock".to_owned()];
    let options = [("--project", global.project.as_deref().or(found)), ("--data", global.data.as_deref())];
    for (option, path) in options {
        if let Some(path) = path {
            words.extend([option.to_owned(), quote(&path.display().to_string())]);
        }
    }
    words.join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::path::PathBuf;

    #[test]
    fn suggested_commands_mean_the_same_ledger() {
        let check = |project: Option<&str>, data: Option<&str>, found: Option<&str>, expected: &str| {
            let global = Global {
                data: data.map(PathBuf::from),
                project: project.map(PathBuf::from),
                json: false,
                verbose: 0,
                locked: false,
            };
            assert_eq!(command(&global, found.map(Path::new)), expected);
        };
        check(None, None, None, "crossdock");
        check(Some("p"), None, Some("q"), "crossdock --project p");
        check(None, None, Some("my shop"), "crossdock --project 'my shop'");
        check(None, Some("d"), None, "crossdock --data d");
    }
}
