//! A server that misbehaves: what somebody who talks to strangers must hold out against.

mod ways;

use anyhow::{Context, Result};
use std::io::{self, BufRead, BufReader, Read, Write};
// It is one of the programs that listen, and lives within a test because it has to tell what it saw.
#[allow(clippy::disallowed_types)]
use std::net::TcpListener;
use std::net::{SocketAddr, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

pub use ways::HOSTILE_PATHS;

/// How long a connection may stand still, in either direction, before its thread ends.
const STILL_MAX: Duration = Duration::from_secs(30);
/// The longest head and body that are read of a request.
const HEAD_MAX_BYTES: u64 = 256 << 10;
const BODY_MAX_BYTES: u64 = 16 << 20;
/// How many requests are remembered.
const SEEN_MAX: usize = 50_000;

/// An HTTP server on a free loopback port that does to its clients what the path of a request asks for:
/// [`HOSTILE_PATHS`] lists them. Everything is written to the wire byte by byte, without a library that would keep it
/// from lying. Connections that answered in good order are kept for more requests, if
/// they came as HTTP/1.1.
///
/// Dropping it ends what it is doing; a thread that waits for the other side ends within half a minute.
#[derive(Debug)]
pub struct HostileServer {
    addr: SocketAddr,
    shared: Arc<Shared>,
}

/// One request as it came.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct SeenRequest {
    /// The connection that it came on, counted from 1.
    pub connection: usize,
    /// The method.
    pub method: String,
    /// What stands behind the method: path and query, as written.
    pub target: String,
    /// The version of HTTP, as written.
    pub version: String,
    /// The headers as written, in order.
    pub headers: Vec<(String, String)>,
    /// The body.
    pub body: Vec<u8>,
}

impl SeenRequest {
    /// The value of the first header of this name, in whatever case.
    #[must_use]
    pub fn header(&self, name: &str) -> Option<&str> {
        self.headers.iter().find(|(known, _)| known.eq_ignore_ascii_case(name)).map(|(_, value)| value.as_str())
    }

    /// The path without the query.
    #[must_use]
    pub fn path(&self) -> &str {
        self.target.split('?').next().unwrap_or_default()
    }

    /// A value of the query, with `%` and `+` undone.
    #[must_use]
    pub fn query(&self, name: &str) -> Option<String> {
        let query = self.target.split_once('?')?.1;
        let value = query.split('&').find_map(|pair| pair.strip_prefix(name)?.strip_prefix('='))?;
        Some(plain(value))
    }
}

#[derive(Debug, Default)]
struct Shared {
    stop: Stop,
    seen: Mutex<Vec<SeenRequest>>,
    accepted: AtomicUsize,
    open: AtomicUsize,
    most_open: AtomicUsize,
}

/// Whether it is over.
#[derive(Debug, Default)]
struct Stop {
    over: Mutex<bool>,
    changed: Condvar,
}

impl Stop {
    fn is_over(&self) -> bool {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn end(&self) {
        *self.over.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.changed.notify_all();
    }

    /// Waits for so long, or until it is over.
    fn rest(&self, time: Duration) {
        let over = self.over.lock().unwrap_or_else(PoisonError::into_inner);
        drop(self.changed.wait_timeout_while(over, time, |over| !*over));
    }
}

impl HostileServer {
    /// Starts one on a free port.
    ///
    /// # Errors
    /// The system gives no port or no thread.
    #[allow(clippy::disallowed_types)]
    pub fn start() -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0").context("listening on loopback")?;
        let addr = listener.local_addr().context("asking where a server listens")?;
        let shared: Arc<Shared> = Arc::default();
        let serving = shared.clone();
        let accept = move || {
            for stream in listener.incoming().flatten() {
                if serving.stop.is_over() {
                    return;
                }
                let shared = serving.clone();
                // Without another thread the connection is closed, which is a misbehaviour like any other.
                let _ = std::thread::Builder::new().name("hostile".to_owned()).spawn(move || {
                    let number = shared.accepted.fetch_add(1, Ordering::Relaxed) + 1;
                    let open = shared.open.fetch_add(1, Ordering::Relaxed) + 1;
                    shared.most_open.fetch_max(open, Ordering::Relaxed);
                    let _ = stream.set_nodelay(true);
                    let _ = stream.set_read_timeout(Some(STILL_MAX));
                    let _ = stream.set_write_timeout(Some(STILL_MAX));
                    // However it ends, nobody is told: the other side sees it.
                    let _ = serve(stream, number, &shared);
                    shared.open.fetch_sub(1, Ordering::Relaxed);
                });
            }
        };
        std::thread::Builder::new().name("hostile".to_owned()).spawn(accept).context("starting a thread")?;
        Ok(Self { addr, shared })
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

    /// Every request whose head was complete, in the order in which they came.
    #[must_use]
    pub fn seen(&self) -> Vec<SeenRequest> {
        self.shared.seen.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// How many connections were made to it.
    #[must_use]
    pub fn accepted(&self) -> usize {
        self.shared.accepted.load(Ordering::Relaxed)
    }

    /// How many connections there were at the same time, at most.
    #[must_use]
    pub fn most_open(&self) -> usize {
        self.shared.most_open.load(Ordering::Relaxed)
    }

    /// Answers requests on a connection that somebody else accepted, for example behind TLS, until one side closes it.
    ///
    /// # Errors
    /// The connection was lost.
    pub fn serve(&self, stream: impl Read + Write) -> io::Result<()> {
        let number = self.shared.accepted.fetch_add(1, Ordering::Relaxed) + 1;
        serve(stream, number, &self.shared)
    }
}

impl Drop for HostileServer {
    fn drop(&mut self) {
        self.shared.stop.end();
        // So that accepting ends too.
        drop(TcpStream::connect_timeout(&self.addr, Duration::from_secs(1)));
    }
}

fn serve(stream: impl Read + Write, connection: usize, shared: &Shared) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    while let Some(request) = read(&mut stream, connection)? {
        {
            let mut seen = shared.seen.lock().unwrap_or_else(PoisonError::into_inner);
            if seen.len() < SEEN_MAX {
                seen.push(request.clone());
            }
        }
        let keep = ways::answer(&mut ways::Wire { stream: stream.get_mut(), stop: &shared.stop }, &request)?;
        if !keep || request.version != "HTTP/1.1" || shared.stop.is_over() {
            break;
        }
    }
    Ok(())
}

/// Reads a request; `None` when the other side has closed the connection.
fn read(stream: &mut BufReader<impl Read>, connection: usize) -> io::Result<Option<SeenRequest>> {
    let mut head = stream.by_ref().take(HEAD_MAX_BYTES);
    let mut first = Vec::new();
    if head.read_until(b'\n', &mut first)? == 0 {
        return Ok(None);
    }
    let first = String::from_utf8_lossy(&first).into_owned();
    let mut words = first.trim_end().split(' ').map(str::to_owned);
    let mut request = SeenRequest {
        connection,
        method: words.next().unwrap_or_default(),
        target: words.next().unwrap_or_default(),
        version: words.next().unwrap_or_default(),
        ..SeenRequest::default()
    };
    loop {
        let mut line = Vec::new();
        if head.read_until(b'\n', &mut line)? == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let line = String::from_utf8_lossy(&line).trim_end_matches(['\r', '\n']).to_owned();
        if line.is_empty() {
            break;
        }
        let (name, value) = line.split_once(':').unwrap_or((&line, ""));
        request.headers.push((name.to_owned(), value.strip_prefix(' ').unwrap_or(value).to_owned()));
    }
    let length = request.header("content-length").and_then(|length| length.parse().ok()).unwrap_or(0);
    let mut body = Vec::new();
    stream.by_ref().take(BODY_MAX_BYTES.min(length)).read_to_end(&mut body)?;
    request.body = body;
    Ok(Some(request))
}

/// Text of a query as it was meant.
fn plain(value: &str) -> String {
    let bytes = value.as_bytes();
    let mut out = Vec::with_capacity(bytes.len());
    let mut at = 0;
    while let Some(&byte) = bytes.get(at) {
        let code = value.get(at + 1..at + 3).filter(|_| byte == b'%').and_then(|hex| u8::from_str_radix(hex, 16).ok());
        out.push(code.unwrap_or(if byte == b'+' { b' ' } else { byte }));
        at += if code.is_some() { 3 } else { 1 };
    }
    String::from_utf8_lossy(&out).into_owned()
}
