//! Requests to programs on the loopback interface.

use anyhow::{Context, Result, ensure};
use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

/// How long connecting, sending and receiving may take, each.
const WAIT_MAX: Duration = Duration::from_secs(60);

/// Sends one request without headers of its own, but for `content-type: application/json` if there is a body.
/// Returns the status and the body.
///
/// # Errors
/// No connection, or no complete answer.
pub fn http(method: &str, addr: SocketAddr, path: &str, body: &str) -> Result<(u16, String)> {
    let json = [("content-type", "application/json")];
    http_with(method, addr, path, if body.is_empty() { &[] } else { &json }, body)
}

/// Sends one request with these headers. Returns the status and the body.
///
/// Speaks HTTP/1.0: then the body ends with the connection, or where `content-length` says.
///
/// # Errors
/// No connection, or no complete answer.
pub fn http_with(
    method: &str,
    addr: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: &str,
) -> Result<(u16, String)> {
    let answer =
        exchange(method, addr, path, headers, body).with_context(|| format!("{method} http://{addr}{path}"))?;
    read_answer(&answer).with_context(|| format!("reading the answer to {method} http://{addr}{path}"))
}

fn exchange(method: &str, addr: SocketAddr, path: &str, headers: &[(&str, &str)], body: &str) -> Result<Vec<u8>> {
    let mut connection = TcpStream::connect_timeout(&addr, WAIT_MAX)?;
    connection.set_read_timeout(Some(WAIT_MAX))?;
    connection.set_write_timeout(Some(WAIT_MAX))?;
    let mut request = format!("{method} {path} HTTP/1.0\r\nhost: {addr}\r\ncontent-length: {}\r\n", body.len());
    for (name, value) in headers {
        request.push_str(&format!("{name}: {value}\r\n"));
    }
    request.push_str("\r\n");
    request.push_str(body);
    connection.write_all(request.as_bytes())?;
    let mut answer = Vec::new();
    connection.read_to_end(&mut answer)?;
    Ok(answer)
}

fn read_answer(answer: &[u8]) -> Result<(u16, String)> {
    let head_end =
        answer.windows(4).position(|window| window == b"\r\n\r\n").context("the answer has no end of head")?;
    let head = std::str::from_utf8(&answer[..head_end]).context("the head is not UTF-8")?;
    let body = String::from_utf8_lossy(&answer[head_end + 4..]).into_owned();
    let mut lines = head.split("\r\n");
    let status_line = lines.next().unwrap_or_default();
    let status = status_line.split(' ').nth(1).and_then(|status| status.parse().ok());
    let status = status.with_context(|| format!("{status_line:?} is no status line"))?;
    let fields = lines.filter_map(|line| line.split_once(':'));
    let length = fields.filter(|(name, _)| name.eq_ignore_ascii_case("content-length")).map(|(_, value)| value.trim());
    for length in length {
        let length: usize = length.parse().with_context(|| format!("{length:?} is no length"))?;
        ensure!(answer.len() - head_end - 4 == length, "the connection ended before the body of {length} bytes");
    }
    Ok((status, body))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(answer: &str, expected: Option<(u16, &str)>) {
        let read = read_answer(answer.as_bytes()).ok();
        assert_eq!(read, expected.map(|(status, body)| (status, body.to_owned())), "{answer}");
    }

    #[test]
    fn answers() {
        check("HTTP/1.1 204 No Content\r\n\r\n", Some((204, "")));
        check("HTTP/1.0 200 OK\r\nContent-Length: 2\r\n\r\n{}", Some((200, "{}")));
        check("HTTP/1.0 200 OK\r\n\r\nuntil the end", Some((200, "until the end")));
        check("HTTP/1.0 200 OK\r\ncontent-length: 3\r\n\r\n{}", None);
        check("HTTP/1.0 200 OK\r\ncontent-length: 3", None);
        check("nonsense\r\n\r\n", None);
        check("", None);
    }
}
