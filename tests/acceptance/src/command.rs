//! The `crossdock` command as a process: started, watched, ended.

use anyhow::{Context, Result, bail};
use serde_json::Value;
use std::io::Read;
use std::process::{Child, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::time::Duration;

/// How long any command may take. The longest of the tests takes a tenth of it on a slow machine.
const COMMAND_TIME_MAX: Duration = Duration::from_secs(300);

/// A command that runs; killed when this is dropped.
#[derive(Debug)]
pub struct Command {
    process: Child,
    shown: String,
    stdout: Receiver<String>,
    stderr: Receiver<String>,
    /// What was received from `stdout`: it comes when the process ends.
    ended: Option<String>,
}

/// How a command ended and what it said.
#[derive(Debug, Clone)]
pub struct Outcome {
    /// The command as typed.
    pub shown: String,
    /// Its exit code; -1 if a signal ended it.
    pub code: i32,
    /// What it wrote to stdout.
    pub stdout: String,
    /// What it wrote to stderr.
    pub stderr: String,
}

impl Command {
    /// Starts it.
    ///
    /// # Errors
    /// The program is not there.
    pub fn start(command: &mut std::process::Command) -> Result<Self> {
        let words = std::iter::once(command.get_program()).chain(command.get_args());
        let shown = words.map(|word| word.to_string_lossy().into_owned()).collect::<Vec<_>>().join(" ");
        command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut process = command.spawn().with_context(|| format!("starting {shown}"))?;
        let stdout = all_of(process.stdout.take().context("no stdout")?);
        let stderr = all_of(process.stderr.take().context("no stderr")?);
        Ok(Self { process, shown, stdout, stderr, ended: None })
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits for its end, at most this long; says whether it has ended.
    pub fn ends_within(&mut self, time: Duration) -> bool {
        if self.ended.is_none() {
            match self.stdout.recv_timeout(time) {
                Ok(text) => self.ended = Some(text),
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => self.ended = Some(String::new()),
            }
        }
        self.ended.is_some()
    }

    /// Asks it to stop, as Ctrl-C does.
    ///
    /// # Errors
    /// It has ended, or the system has no `kill`.
    pub fn interrupt(&self) -> Result<()> {
        let status = std::process::Command::new("kill").args(["-INT", &self.id().to_string()]).status();
        let status = status.context("starting kill")?;
        if !status.success() {
            bail!("{} could not be interrupted", self.shown);
        }
        Ok(())
    }

    /// Kills it with SIGKILL: it has no chance to put anything in order. Says whether it was still running.
    ///
    /// # Errors
    /// The system refuses.
    pub fn kill(mut self) -> Result<bool> {
        // An error here means that it has ended by itself.
        let _ = self.process.kill();
        let status = self.process.wait().with_context(|| format!("waiting for the end of {}", self.shown))?;
        Ok(status.code().is_none())
    }

    /// Waits for its end.
    ///
    /// # Errors
    /// It takes longer than any command may.
    pub fn finish(mut self) -> Result<Outcome> {
        if !self.ends_within(COMMAND_TIME_MAX) {
            let _ = self.process.kill();
            let said = self.stderr.recv_timeout(COMMAND_TIME_MAX).unwrap_or_default();
            bail!("{} did not end within {} s; it said:\n{said}", self.shown, COMMAND_TIME_MAX.as_secs());
        }
        let status: ExitStatus = self.process.wait().with_context(|| format!("waiting for {}", self.shown))?;
        let stderr = self.stderr.recv_timeout(COMMAND_TIME_MAX).unwrap_or_default();
        let stdout = self.ended.take().unwrap_or_default();
        Ok(Outcome { shown: self.shown.clone(), code: status.code().unwrap_or(-1), stdout, stderr })
    }
}

impl Drop for Command {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

/// Everything that comes from a pipe, once it is closed.
fn all_of(mut pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (send, receive) = mpsc::channel();
    std::thread::spawn(move || {
        let mut bytes = Vec::new();
        let _ = pipe.read_to_end(&mut bytes);
        // Nobody waits any more after a kill.
        let _ = send.send(String::from_utf8_lossy(&bytes).into_owned());
    });
    receive
}

impl Outcome {
    /// Itself, if it ended with this code.
    #[track_caller]
    #[must_use]
    pub fn exits(self, code: i32) -> Self {
        assert_eq!(self.code, code, "wrong exit code\n{}", self.all());
        self
    }

    /// Itself, if all of these stand in what it said, whatever the line breaks.
    #[track_caller]
    #[must_use]
    pub fn says(self, parts: &[&str]) -> Self {
        let said = one_line(&format!("{}\n{}", self.stdout, self.stderr));
        for part in parts {
            assert!(said.contains(&one_line(part)), "{part:?} is not in\n{}", self.all());
        }
        self
    }

    /// Everything: what was typed, how it ended, what it said.
    #[must_use]
    pub fn all(&self) -> String {
        let Self { shown, code, stdout, stderr } = self;
        format!("$ {shown}\nexit code {code}\n--- stdout\n{stdout}\n--- stderr\n{stderr}")
    }

    /// Its stdout as one JSON document.
    ///
    /// # Errors
    /// It is not.
    pub fn json(&self) -> Result<Value> {
        serde_json::from_str(&self.stdout).with_context(|| format!("stdout is not one JSON document\n{}", self.all()))
    }
}

fn one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}
