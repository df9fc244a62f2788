//! What each path of the hostile server does.

use super::{SeenRequest, Stop};
use flate2::Compression;
use flate2::write::GzEncoder;
use serde_json::json;
use std::io::{self, Write};
use std::time::Duration;

/// The pause between two bytes of those who are slow.
const PAUSE: Duration = Duration::from_millis(20);
/// What those who never stop write at a time.
const PIECE_BYTES: usize = 64 << 10;

/// The paths of a [`HostileServer`](super::HostileServer), and what becomes of a request to each. `?name=` names a
/// value of the query that can be left out; its default stands in brackets.
pub const HOSTILE_PATHS: &[(&str, &str)] = &[
    ("/ok", "200 with the body `done`, or with `?body=`; the connection is kept"),
    ("/echo", "200 with what came as JSON: method, target, headers as pairs, body, connection; kept"),
    ("/status", "the status `?code=` [503] with the body `?body=` []; kept"),
    ("/after", "200 with the body `late`, after `?ms=` [100] milliseconds; kept"),
    ("/redirect", "the status `?code=` [302] with `location: ?to=` [http://169.254.169.254/latest/meta-data/]; kept"),
    ("/cookie", "200 that sets the cookie `session=hostile`; kept"),
    ("/hop", "200 with headers that belong to the connection: keep-alive, upgrade, te, proxy-authenticate; kept"),
    ("/text", "200 with `x-text` and a body of ANSI codes, bidirectional marks and HTML; kept"),
    ("/bytes", "200 with a body of `?bytes=` [1048576] times x; kept"),
    ("/gzip", "200 with gzip that holds `?mib=` [1] MiB of zeros; kept"),
    ("/gzip-empty", "200 with gzip members that hold nothing, one after the other without end"),
    ("/gzip-broken", "200 that says gzip and holds something else; kept"),
    ("/gzip-cut", "200 with gzip that ends in the middle; kept"),
    ("/two-codings", "200 that says `gzip, gzip` and is so; kept"),
    ("/silent", "nothing is ever answered"),
    ("/cut", "the connection is closed instead of an answer"),
    ("/close", "the connection is closed after `?after=` [10] bytes of an answer of 100,000"),
    ("/slow-head", "a head of which a byte comes every 20 ms, without end"),
    ("/trickle", "a body of which a byte comes every 20 ms, without end"),
    ("/endless", "a body in chunks without end, as quick as it goes"),
    ("/endless-close", "a body without a length and without end, as quick as it goes"),
    ("/endless-head", "headers without end, as quick as they go"),
    ("/endless-header", "one header without end"),
    ("/endless-trailers", "a complete body in chunks with trailers without end"),
    ("/tiny-chunks", "`?count=` [1000000] chunks of one byte with long extensions"),
    ("/huge-header", "200 with one header of `?bytes=` [1048576]; kept"),
    ("/many-headers", "200 with `?count=` [10000] headers; kept"),
    ("/1xx", "`?count=` [0: without end] times 103 in front of a 200 with the body `at last`; kept"),
    ("/101", "101 that switches to something nobody asked for, with some bytes of it"),
    ("/shorter", "a length of 400 and four bytes, then the connection is closed"),
    ("/longer", "a length of 4 and a second answer behind it that nobody asked for (`forged`); kept"),
    ("/two-lengths", "two lengths that contradict each other; kept"),
    ("/length-and-chunks", "a length and chunks, which contradict each other; kept"),
    ("/negative-length", "a length below zero; kept"),
    ("/bad-chunk", "a chunk whose size is no number; kept"),
    ("/huge-chunk", "a chunk whose size is 2^64 - 1; kept"),
    ("/no-last-chunk", "chunks without the last one, then the connection is closed"),
    ("/garbage", "bytes that are no HTTP"),
    ("/http09", "a body without a head"),
    ("/http2", "the beginning of HTTP/2"),
    ("/http10", "HTTP/1.0 without a length, until the connection is closed"),
    ("/version", "HTTP/9.9 200"),
    ("/status-line", "a status of `?code=` [99999]"),
    ("/folded", "a header that goes on in the next line; kept"),
    ("/split", "a header with a bare CR, and one with a NUL; kept"),
];

/// One connection, on the server's side.
pub(super) struct Wire<'a, W> {
    pub(super) stream: &'a mut W,
    pub(super) stop: &'a Stop,
}

impl<W: Write> Wire<'_, W> {
    fn put(&mut self, bytes: impl AsRef<[u8]>) -> io::Result<()> {
        self.stream.write_all(bytes.as_ref())?;
        self.stream.flush()
    }

    /// A complete answer in good order.
    fn complete(&mut self, status: &str, headers: &str, body: &[u8]) -> io::Result<bool> {
        let mut answer = format!("HTTP/1.1 {status}\r\n{headers}content-length: {}\r\n\r\n", body.len()).into_bytes();
        answer.extend_from_slice(body);
        self.put(answer)?;
        Ok(true)
    }

    /// The same again and again, until the other side closes the connection or the server is dropped.
    fn forever(&mut self, piece: &[u8], pause: Option<Duration>) -> io::Result<bool> {
        while !self.stop.is_over() {
            self.put(piece)?;
            if let Some(pause) = pause {
                self.stop.rest(pause);
            }
        }
        Ok(false)
    }
}

/// Does what the path asks for. Answers whether the connection is good for another request.
pub(super) fn answer<W: Write>(wire: &mut Wire<'_, W>, request: &SeenRequest) -> io::Result<bool> {
    let number = |name: &str, default: usize| request.query(name).and_then(|n| n.parse().ok()).unwrap_or(default);
    let text = |name: &str, default: &str| request.query(name).unwrap_or_else(|| default.to_owned());
    match request.path() {
        "/ok" => wire.complete("200 OK", "", text("body", "done").as_bytes()),
        "/echo" => wire.complete("200 OK", "content-type: application/json\r\n", echo(request).as_bytes()),
        "/status" => wire.complete(&format!("{} Because", number("code", 503)), "", text("body", "").as_bytes()),
        "/after" => {
            wire.stop.rest(Duration::from_millis(number("ms", 100) as u64));
            wire.complete("200 OK", "", b"late")
        }
        "/redirect" => {
            let to = text("to", "http://169.254.169.254/latest/meta-data/");
            wire.complete(&format!("{} Elsewhere", number("code", 302)), &format!("location: {to}\r\n"), b"")
        }
        "/cookie" => wire.complete("200 OK", "set-cookie: session=hostile; Path=/\r\n", b"done"),
        "/hop" => {
            let headers = "keep-alive: timeout=999999\r\nupgrade: h2c, websocket\r\nte: trailers\r\n\
                           trailer: x-late\r\nproxy-authenticate: Basic realm=\"give me\"\r\nx-stays: yes\r\n";
            wire.complete("200 OK", headers, b"done")
        }
        "/text" => {
            let nasty = "\u{1b}[2J\u{1b}[31mred \u{202e}gnp.exe <script>alert(1)</script> =1+1";
            wire.complete("200 OK", "x-text: \u{202e}right to left\u{9b}31m\r\n", nasty.as_bytes())
        }
        "/bytes" => wire.complete("200 OK", "", &vec![b'x'; number("bytes", 1 << 20)]),
        "/silent" => {
            while !wire.stop.is_over() {
                wire.stop.rest(Duration::from_secs(60));
            }
            Ok(false)
        }
        "/cut" => Ok(false),
        path if path.contains("gzip") || path == "/two-codings" => coded(wire, path, number("mib", 1)),
        path => endless(wire, path, &number).or_else(|| lying(wire, path, &number)).unwrap_or_else(|| {
            let body = format!("there is no {path}");
            wire.complete("404 Not Found", "", body.as_bytes())
        }),
    }
}

fn echo(request: &SeenRequest) -> String {
    let SeenRequest { connection, method, target, version, headers, body } = request;
    let body = String::from_utf8_lossy(body);
    json!({ "connection": connection, "method": method, "target": target, "version": version, "headers": headers, "body": body })
        .to_string()
}

fn gzip(bytes: &[u8]) -> io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    packed.write_all(bytes)?;
    packed.finish()
}

/// Zeros, packed without ever being there as a whole.
fn bomb(mib: usize) -> io::Result<Vec<u8>> {
    let mut packed = GzEncoder::new(Vec::new(), Compression::best());
    let zeros = vec![0; 1 << 20];
    for _ in 0..mib {
        packed.write_all(&zeros)?;
    }
    packed.finish()
}

fn coded<W: Write>(wire: &mut Wire<'_, W>, path: &str, mib: usize) -> io::Result<bool> {
    const GZIP: &str = "content-encoding: gzip\r\n";
    match path {
        "/gzip" => wire.complete("200 OK", GZIP, &bomb(mib)?),
        "/gzip-empty" => {
            wire.put("HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n")?;
            wire.forever(&gzip(b"")?.repeat(1_000), None)
        }
        "/gzip-broken" => wire.complete("200 OK", GZIP, b"this was never packed"),
        "/gzip-cut" => {
            let packed = gzip(b"a body that is longer than what is left of it")?;
            wire.complete("200 OK", GZIP, &packed[..packed.len() / 2])
        }
        _ => wire.complete("200 OK", "content-encoding: gzip, gzip\r\n", &gzip(&bomb(mib)?)?),
    }
}

/// Those who do not come to an end, or only very late.
fn endless<W: Write>(
    wire: &mut Wire<'_, W>,
    path: &str,
    number: &dyn Fn(&str, usize) -> usize,
) -> Option<io::Result<bool>> {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let mut piece = format!("{PIECE_BYTES:x}\r\n").into_bytes();
    piece.resize(piece.len() + PIECE_BYTES, b'x');
    piece.extend_from_slice(b"\r\n");
    let lines = "x-more: and more\r\n".repeat(1_000);
    let (begin, again, pause) = match path {
        "/slow-head" => ("HTTP/1.1 200 OK\r\nx-slow: ".to_owned(), b"x".to_vec(), Some(PAUSE)),
        "/trickle" => (CHUNKED.to_owned(), b"1\r\nx\r\n".to_vec(), Some(PAUSE)),
        "/endless" => (CHUNKED.to_owned(), piece, None),
        "/endless-close" => ("HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n".to_owned(), vec![b'x'; PIECE_BYTES], None),
        "/endless-head" => ("HTTP/1.1 200 OK\r\n".to_owned(), lines.into_bytes(), None),
        "/endless-header" => ("HTTP/1.1 200 OK\r\nx-long: ".to_owned(), vec![b'x'; PIECE_BYTES], None),
        "/endless-trailers" => (format!("{CHUNKED}4\r\ndone\r\n0\r\n"), lines.into_bytes(), None),
        "/tiny-chunks" => {
            let chunk = format!("1;{}\r\nx\r\n", "extension".repeat(100));
            let pieces = (0..number("count", 1_000_000).div_ceil(100)).map(|_| chunk.repeat(100));
            let mut all = std::iter::once(CHUNKED.to_owned()).chain(pieces).chain([String::from("0\r\n\r\n")]);
            return Some(all.try_for_each(|piece| wire.put(piece)).map(|()| true));
        }
        "/1xx" => {
            let early = "HTTP/1.1 103 Early Hints\r\nlink: </style.css>; rel=preload\r\n\r\n";
            let sent = match number("count", 0) {
                0 => wire.forever(early.repeat(1_000).as_bytes(), None),
                count => wire.put(early.repeat(count)).map(|()| true),
            };
            return Some(sent.and_then(|keep| if keep { wire.complete("200 OK", "", b"at last") } else { Ok(false) }));
        }
        _ => return None,
    };
    Some(wire.put(begin).and_then(|()| wire.forever(&again, pause)))
}

/// Those whose answer is not what it says.
fn lying<W: Write>(
    wire: &mut Wire<'_, W>,
    path: &str,
    number: &dyn Fn(&str, usize) -> usize,
) -> Option<io::Result<bool>> {
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n";
    let headers = |count: usize| (0..count).map(|n| format!("x-{n}: {n}\r\n")).collect::<String>();
    let (answer, keep) = match path {
        "/close" => {
            let whole = format!("HTTP/1.1 200 OK\r\ncontent-length: 100000\r\n\r\n{}", "x".repeat(100_000));
            (whole[..whole.len().min(number("after", 10))].to_owned(), false)
        }
        "/huge-header" => {
            let long = "x".repeat(number("bytes", 1 << 20));
            (format!("HTTP/1.1 200 OK\r\nx-long: {long}\r\ncontent-length: 4\r\n\r\ndone"), true)
        }
        "/many-headers" => {
            let many = headers(number("count", 10_000));
            (format!("HTTP/1.1 200 OK\r\n{many}content-length: 4\r\n\r\ndone"), true)
        }
        "/101" => {
            let head = "HTTP/1.1 101 Switching Protocols\r\nupgrade: websocket\r\nconnection: upgrade\r\n\r\n";
            (format!("{head}\u{1}\u{2}not HTTP any more"), false)
        }
        "/shorter" => ("HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\nhalf".to_owned(), false),
        "/longer" => {
            let forged = "HTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nforged";
            (format!("HTTP/1.1 200 OK\r\ncontent-length: 4\r\n\r\ndone{forged}"), true)
        }
        "/two-lengths" => {
            ("HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 9\r\n\r\ndone and".to_owned(), true)
        }
        "/length-and-chunks" => {
            let both =
                "HTTP/1.1 200 OK\r\ncontent-length: 2\r\ntransfer-encoding: chunked\r\n\r\n4\r\ndone\r\n0\r\n\r\n";
            (both.to_owned(), true)
        }
        "/negative-length" => ("HTTP/1.1 200 OK\r\ncontent-length: -4\r\n\r\ndone".to_owned(), true),
        "/bad-chunk" => (format!("{CHUNKED}four\r\ndone\r\n0\r\n\r\n"), true),
        "/huge-chunk" => (format!("{CHUNKED}ffffffffffffffff\r\ndone\r\n0\r\n\r\n"), true),
        "/no-last-chunk" => (format!("{CHUNKED}4\r\ndone\r\n"), false),
        "/garbage" => ("\u{0}\u{1}\u{2}\u{ff} this is not HTTP\r\n\r\n".repeat(100), false),
        "/http09" => ("<html>a body without a head</html>".to_owned(), false),
        "/http2" => ("\u{0}\u{0}\u{c}\u{4}\u{0}\u{0}\u{0}\u{0}\u{0}\u{0}\u{3}\u{0}\u{0}\u{0}d".to_owned(), false),
        "/http10" => ("HTTP/1.0 200 OK\r\n\r\ndone".to_owned(), false),
        "/version" => ("HTTP/9.9 200 OK\r\ncontent-length: 4\r\n\r\ndone".to_owned(), false),
        "/status-line" => (format!("HTTP/1.1 {} What\r\ncontent-length: 4\r\n\r\ndone", number("code", 99_999)), false),
        "/folded" => ("HTTP/1.1 200 OK\r\nx-a: one\r\n two\r\ncontent-length: 4\r\n\r\ndone".to_owned(), true),
        "/split" => {
            let head = "HTTP/1.1 200 OK\r\nx-a: one\rset-cookie: two\r\nx-b: a\u{0}b\r\n";
            (format!("{head}content-length: 4\r\n\r\ndone"), true)
        }
        _ => return None,
    };
    Some(wire.put(answer).map(|()| keep))
}
