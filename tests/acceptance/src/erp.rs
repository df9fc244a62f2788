//! An ERP stand-in of one's own: started, told to misbehave, stopped, asked what happened.

use crate::Command;
use anyhow::{Context, Result, ensure};
use crossdock_devkit::{Child, binary, http};
use serde_json::Value;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long a test waits for something to come about.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// A process of the stand-in with books of its own.
#[derive(Debug)]
pub struct Erp {
    child: Option<Child>,
    addr: SocketAddr,
    data: PathBuf,
    token: Option<String>,
}

impl Erp {
    /// Starts one on a free port, with its books in this file; with a token it wants to see that.
    pub(crate) fn open(data: &Path, token: Option<&str>) -> Result<Self> {
        let addr = SocketAddr::from(([127, 0, 0, 1], 0));
        let mut erp = Self { child: None, addr, data: data.to_owned(), token: token.map(str::to_owned) };
        erp.start()?;
        Ok(erp)
    }

    /// Where it is.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// The token that it wants from now on; it is started anew.
    ///
    /// # Errors
    /// As [`Erp::start`].
    pub fn wants_token(&mut self, token: &str) -> Result<()> {
        self.token = Some(token.to_owned());
        self.stop()?;
        self.start()
    }

    /// Starts it: the first time on a free port, then on the same one, with the same books.
    ///
    /// # Errors
    /// It does not start.
    pub fn start(&mut self) -> Result<()> {
        let program = binary("erp-stand-in", "erp-stand-in")?;
        let begun = Instant::now();
        loop {
            let mut command = std::process::Command::new(&program);
            command.arg("--listen").arg(self.addr.to_string()).arg("--data").arg(&self.data);
            if let Some(token) = &self.token {
                command.args(["--token", token]);
            }
            match Child::start(&mut command) {
                Ok(child) => {
                    self.addr = child.addr();
                    self.child = Some(child);
                    return Ok(());
                }
                // A connection of somebody else can have its port for a moment.
                Err(_) if self.addr.port() != 0 && begun.elapsed() < WAIT_MAX => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Kills it: there is nobody at its port.
    ///
    /// # Errors
    /// The system refuses.
    pub fn stop(&mut self) -> Result<()> {
        let mut child = self.child.take().context("the ERP is not running")?;
        child.kill().map(drop)
    }

    /// Sends a request; the answer must be 200 with a JSON body.
    ///
    /// # Errors
    /// It is something else.
    pub fn ask(&self, method: &str, path: &str, body: &str) -> Result<Value> {
        let (status, answer) = http(method, self.addr, path, body)?;
        ensure!(status == 200, "the ERP answered {method} {path} with {status}: {answer}");
        serde_json::from_str(&answer).with_context(|| format!("the answer to {method} {path}: {answer}"))
    }

    /// Puts faults in force.
    ///
    /// # Errors
    /// It does not take them.
    pub fn faults(&self, rules: &Value) -> Result<()> {
        self.ask("PUT", "/_faults", &rules.to_string()).map(drop)
    }

    /// Lifts all faults.
    ///
    /// # Errors
    /// It does not answer.
    pub fn lift_faults(&self) -> Result<()> {
        self.ask("PUT", "/_faults", "[]").map(drop)
    }

    /// How often the first fault met a request.
    ///
    /// # Errors
    /// It does not answer.
    pub fn first_fault_met(&self) -> Result<u64> {
        self.ask("GET", "/_faults", "")?[0]["met"].as_u64().context("the ERP shows no fault")
    }

    /// Waits until the first fault met this many requests, or the command has ended; says whether it still runs.
    ///
    /// # Errors
    /// It takes too long.
    pub fn until_met(&self, command: &mut Command, requests: u64) -> Result<bool> {
        until(command, || Ok(self.first_fault_met()? >= requests))
    }
}

/// Waits until something holds, or the command has ended; says whether it still runs.
///
/// # Errors
/// It takes too long, or cannot be found out.
pub fn until(command: &mut Command, mut holds: impl FnMut() -> Result<bool>) -> Result<bool> {
    let begun = Instant::now();
    loop {
        if holds()? {
            return Ok(true);
        }
        if command.ends_within(Duration::from_millis(2)) {
            return Ok(false);
        }
        ensure!(begun.elapsed() < WAIT_MAX, "what was waited for did not come about in {WAIT_MAX:?}");
    }
}
