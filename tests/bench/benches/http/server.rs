//! The other system: a small HTTP/1.1 server in a process of its own, which takes every document.

use anyhow::{Context as _, Result, bail, ensure};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};

/// The first argument of the process that serves.
pub(crate) const SERVE: &str = "--serve";
/// The largest body that is taken.
const BODY_MAX_BYTES: usize = 1 << 20;

/// Documents that were taken so far, over all connections.
static TAKEN: AtomicU64 = AtomicU64::new(0);

/// Serves on a free port of loopback, says on stdout which, and goes on until stdin is closed.
#[allow(clippy::print_stdout)]
pub(crate) fn serve() -> Result<()> {
    let listener = TcpListener::bind("127.0.0.1:0")?;
    println!("{}", listener.local_addr()?.port());
    std::thread::spawn(move || {
        for stream in listener.incoming().flatten() {
            // What ends a connection is of no interest here: its client notices.
            std::thread::spawn(move || answer_all(&stream));
        }
    });
    std::io::stdin().read_to_end(&mut Vec::new())?;
    Ok(())
}

/// Answers requests on one connection until it is closed.
fn answer_all(mut stream: &TcpStream) -> Result<()> {
    stream.set_nodelay(true)?;
    let mut reader = BufReader::with_capacity(1 << 14, stream);
    let (mut line, mut body, mut answer) = (String::new(), Vec::new(), Vec::new());
    loop {
        let mut length = 0;
        let mut is_document = false;
        loop {
            line.clear();
            if reader.read_line(&mut line)? == 0 {
                return Ok(());
            }
            let (name, value) = line.trim_end().split_once(':').unwrap_or((line.trim_end(), ""));
            if name.eq_ignore_ascii_case("content-length") {
                length = value.trim().parse()?;
            } else if name == "POST /documents HTTP/1.1" {
                is_document = true;
            } else if name.is_empty() {
                break;
            }
        }
        ensure!(is_document && (1..=BODY_MAX_BYTES).contains(&length), "this is no document");
        body.resize(length, 0);
        reader.read_exact(&mut body)?;
        let number = TAKEN.fetch_add(1, Ordering::Relaxed);
        let document = format!("{{\"id\":\"DOC-{number:08}\",\"state\":\"new\"}}");
        answer.clear();
        write!(
            answer,
            "HTTP/1.1 201 Created\r\nserver: bench\r\ncontent-type: application/json\r\ncontent-length: {}\r\n\r\n{document}",
            document.len(),
        )?;
        stream.write_all(&answer)?;
    }
}

/// The server's process; ended when this is dropped.
pub(crate) struct Server {
    process: Child,
    /// Where it is, for example `http://127.0.0.1:41234`.
    pub(crate) origin: String,
    /// The same as host and port.
    pub(crate) address: String,
}

impl Server {
    /// Starts it and waits until it listens.
    pub(crate) fn start() -> Result<Self> {
        let mut command = Command::new(std::env::current_exe()?);
        command.arg(SERVE).stdin(Stdio::piped()).stdout(Stdio::piped());
        let mut process = command.spawn().context("starting the server")?;
        let Some(stdout) = process.stdout.take() else { bail!("the server has no stdout") };
        let mut port = String::new();
        BufReader::new(stdout).read_line(&mut port).context("waiting for the server")?;
        let address = format!("127.0.0.1:{}", port.trim());
        Ok(Self { process, origin: format!("http://{address}"), address })
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}
