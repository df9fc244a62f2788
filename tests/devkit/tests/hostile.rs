//! The hostile server does what its list says.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_devkit::{HOSTILE_PATHS, HostileServer, http, http_with};
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::Duration;

/// The first bytes that come back, up to so many; what the other side closes ends earlier.
fn begins(server: &HostileServer, target: &str, bytes: u64) -> String {
    let mut stream = TcpStream::connect(server.addr()).unwrap();
    stream.set_read_timeout(Some(Duration::from_secs(20))).unwrap();
    write!(stream, "GET {target} HTTP/1.1\r\nhost: here\r\n\r\n").unwrap();
    // So that a connection that is kept is closed as well.
    stream.shutdown(std::net::Shutdown::Write).unwrap();
    let mut found = Vec::new();
    stream.take(bytes).read_to_end(&mut found).unwrap();
    String::from_utf8_lossy(&found).into_owned()
}

#[test]
fn every_listed_path_is_there() {
    let server = HostileServer::start().unwrap();
    for (path, what) in HOSTILE_PATHS {
        if *path != "/silent" {
            let answer = begins(&server, path, 12);
            assert_ne!(answer, "HTTP/1.1 404", "{path}: {what}");
            assert_eq!(answer.is_empty(), *path == "/cut", "{path}: {what}");
        }
    }
    assert_eq!(begins(&server, "/nonsense", 12), "HTTP/1.1 404");
}

#[test]
fn answers_are_what_was_asked_for() {
    let server = HostileServer::start().unwrap();
    let check = |target: &str, bytes: u64, expected: &str| {
        let found = begins(&server, target, bytes);
        assert!(found.contains(expected), "{target}: {found:?} does not hold {expected:?}");
    };
    check("/ok?body=a%20b+c", 43, "\r\n\r\na b c");
    check("/status?code=429", 20, "HTTP/1.1 429 ");
    check("/redirect?to=http://[::1]/x", 70, "location: http://[::1]/x\r\n");
    check("/close?after=3", 100, "HTT");
    check("/gzip?mib=1", 120, "content-encoding: gzip\r\n");
    check("/1xx?count=2", 300, "at last");
    check("/longer", 200, "forged");
    check("/trickle", 60, "\r\n1\r\nx\r\n");
    check("/endless", 1 << 20, "xxx");
    check("/slow-head", 40, "x-slow: x");
}

#[test]
fn what_came_is_told() {
    let server = HostileServer::start().unwrap();
    let (status, body) = http_with("POST", server.addr(), "/echo?a=b", &[("x-one", "1")], "hello").unwrap();
    let echoed: serde_json::Value = serde_json::from_str(&body).unwrap();
    assert_eq!((status, &echoed["method"], &echoed["body"]), (200, &"POST".into(), &"hello".into()));
    assert_eq!(http("GET", server.addr(), "/ok", "").unwrap(), (200, "done".to_owned()));
    let seen = server.seen();
    assert_eq!((seen.len(), server.accepted(), seen[1].connection), (2, 2, 2));
    assert_eq!((seen[0].path(), seen[0].query("a").as_deref()), ("/echo", Some("b")));
    assert_eq!((seen[0].header("X-One"), seen[0].body.as_slice()), (Some("1"), b"hello".as_slice()));
    assert!((1..=2).contains(&server.most_open()));
}
