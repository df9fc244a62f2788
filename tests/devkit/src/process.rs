//! Starting programs that serve, and stopping them whatever happens.

use anyhow::{Context, Result, bail};
use std::io::{BufRead, BufReader, Read};
use std::net::SocketAddr;
use std::process::{Command, ExitStatus, Stdio};
use std::sync::mpsc;
use std::time::Duration;

/// How long a program may take until it serves.
const START_TIME_MAX: Duration = Duration::from_secs(60);

/// A program that listens on a loopback port; killed when this is dropped.
#[derive(Debug)]
pub struct Child {
    process: std::process::Child,
    addr: SocketAddr,
}

impl Child {
    /// Starts a program that prints `listening on ADDR` as its first line, and waits for that line. Its stderr stays
    /// ours.
    ///
    /// # Errors
    /// It cannot be started, ends, prints something else, or takes more than a minute.
    pub fn start(command: &mut Command) -> Result<Self> {
        let program = command.get_program().to_string_lossy().into_owned();
        let spawned = command.stdin(Stdio::null()).stdout(Stdio::piped()).spawn();
        let mut process = spawned.with_context(|| format!("starting {program}"))?;
        let stdout = process.stdout.take().with_context(|| format!("{program} has no stdout"))?;
        // From here on the guard kills it if anything goes wrong.
        let mut child = Self { process, addr: SocketAddr::from(([127, 0, 0, 1], 0)) };
        let (send, receive) = mpsc::channel();
        std::thread::spawn(move || {
            let mut stdout = BufReader::new(stdout);
            let mut line = String::new();
            let read = stdout.read_line(&mut line).map(|_| line);
            // Nobody waits any more if it took too long; what follows is read so that the program never
            // stands still before a full pipe.
            if send.send(read).is_ok() {
                let _ = std::io::copy(&mut stdout.by_ref(), &mut std::io::sink());
            }
        });
        let line = match receive.recv_timeout(START_TIME_MAX) {
            Ok(line) => line.with_context(|| format!("reading what {program} prints"))?,
            Err(_) => bail!("{program} did not say within {} s that it listens", START_TIME_MAX.as_secs()),
        };
        if line.is_empty() {
            let status = child.process.wait().with_context(|| format!("waiting for {program}"))?;
            bail!("{program} ended ({status}) before it listened; its messages stand above");
        }
        let addr = line.trim_end().strip_prefix("listening on ").and_then(|addr| addr.parse().ok());
        child.addr = addr.with_context(|| format!("{program} printed {line:?} and not `listening on ADDR`"))?;
        Ok(child)
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }

    /// The same as the beginning of a URL: `http://127.0.0.1:PORT`.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.addr)
    }

    /// Its process id.
    #[must_use]
    pub fn id(&self) -> u32 {
        self.process.id()
    }

    /// Waits until it ends by itself.
    ///
    /// # Errors
    /// The system refuses.
    pub fn wait(&mut self) -> Result<ExitStatus> {
        self.process.wait().context("waiting for the end of a program")
    }

    /// Kills it (SIGKILL) and waits for its end.
    ///
    /// # Errors
    /// The system refuses.
    pub fn kill(&mut self) -> Result<ExitStatus> {
        // An error here means that it has ended by itself.
        let _ = self.process.kill();
        self.process.wait().context("waiting for the end of a killed program")
    }
}

impl Drop for Child {
    fn drop(&mut self) {
        let _ = self.kill();
    }
}
