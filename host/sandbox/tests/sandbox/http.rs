//! Requests of guests, against a server on loopback that says exactly what it is told to.

use crate::common::{NOW, all_of, batch, guest, instance, wait};
use crossdock_engine::ports::{CallError, Exchange, WriteOptions};
use crossdock_model::{Column, FaultKind, Outcome};
use crossdock_sandbox::{Instance, Limits, SecretGrant};
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

pub(crate) const SECRET: &str = "canary/+77 ö";

/// A server that answers by path, and remembers what it was sent.
pub(crate) struct Server {
    pub(crate) origin: String,
    seen: Arc<Seen>,
}

/// What a server was sent, and how many requests met each other.
#[derive(Default)]
pub(crate) struct Seen {
    heads: Mutex<Vec<(Instant, String)>>,
    /// How many requests to `/pair` are there now, and how many there were at most.
    pair: Mutex<(usize, usize)>,
    changed: Condvar,
}

impl Server {
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let origin = format!("http://{}", listener.local_addr().unwrap());
        let seen: Arc<Seen> = Arc::default();
        let noted = seen.clone();
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let noted = noted.clone();
                std::thread::spawn(move || serve(&stream, &noted));
            }
        });
        Self { origin, seen }
    }

    pub(crate) fn seen(&self) -> String {
        self.seen.heads.lock().unwrap().iter().map(|(_, text)| text.as_str()).collect()
    }

    /// When each request came.
    pub(crate) fn times(&self) -> Vec<Instant> {
        self.seen.heads.lock().unwrap().iter().map(|(at, _)| *at).collect()
    }

    /// How many requests to `/pair` were there at the same time, at most.
    pub(crate) fn most_at_once(&self) -> usize {
        self.seen.pair.lock().unwrap().1
    }
}

impl Seen {
    /// Holds a request to `/pair` until another one is there, or none has come for a while.
    fn meet(&self) {
        let mut pair = self.pair.lock().unwrap();
        pair.0 += 1;
        pair.1 = pair.1.max(pair.0);
        self.changed.notify_all();
        let alone = |pair: &mut (usize, usize)| pair.0 < 2;
        let (mut pair, _) = self.changed.wait_timeout_while(pair, Duration::from_millis(100), alone).unwrap();
        pair.0 -= 1;
    }
}

fn serve(mut stream: &TcpStream, seen: &Seen) {
    let mut lines = BufReader::new(stream);
    let mut head = String::new();
    while lines.read_line(&mut head).is_ok_and(|n| n > 2) {}
    let length = |head: &str| head.to_lowercase().split("content-length: ").nth(1)?.split('\r').next()?.parse().ok();
    let mut body = vec![0; length(&head).unwrap_or(0)];
    let _ = lines.read_exact(&mut body);
    seen.heads.lock().unwrap().push((Instant::now(), format!("{head}{}\n", String::from_utf8_lossy(&body))));
    let path = head.split(' ').nth(1).unwrap_or("").split('?').next().unwrap_or("").to_owned();
    let answer = match path.as_str() {
        "/ok" => "HTTP/1.1 201 Created\r\ncontent-length: 4\r\nconnection: close\r\n\r\ndone".to_owned(),
        "/pair" => {
            seen.meet();
            "HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n".to_owned()
        }
        "/elsewhere" => {
            "HTTP/1.1 302 Found\r\nlocation: http://127.0.0.1:1/\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
                .to_owned()
        }
        "/cut" => String::new(),
        "/half" => "HTTP/1.1 200 OK\r\ncontent-length: 400\r\n\r\nhalf".to_owned(),
        "/large" => format!("HTTP/1.1 200 OK\r\ncontent-length: {0}\r\n\r\n{1}", 5 << 20, "x".repeat(5 << 20)),
        "/wait" => {
            // Until the other side gives up.
            let _ = lines.read(&mut [0]);
            return;
        }
        _ => "HTTP/1.1 404 Not Found\r\ncontent-length: 0\r\nconnection: close\r\n\r\n".to_owned(),
    };
    let _ = stream.write_all(answer.as_bytes());
}

pub(crate) fn with_grant(origin: &str, misbehave: &str) -> Instance {
    let mut instance = instance(misbehave);
    instance.grants.http = vec![origin.into()];
    instance.grants.secrets = vec![SecretGrant {
        name: "TOKEN".into(),
        value: Some(SECRET.as_bytes().to_vec()).into(),
        reveal: false,
        to: vec![],
    }];
    instance
}

/// What one request comes to: outcome, receipt or message, and the exchange beside the record, if it was sent.
pub(crate) fn send(instance: Instance, payload: &str) -> (Outcome, String, Vec<Exchange>) {
    let port = wait(guest("guest-destination").destination(instance)).unwrap();
    let keys: Column = ["k"].into_iter().collect();
    let answer = wait(port.write(batch(&[payload]), keys, WriteOptions { stop_at_first_failure: false }));
    let (written, trace) = answer.unwrap();
    let said = match written.failures.first() {
        Some((_, failure)) => format!("{}: {}", failure.code, failure.message),
        None => written.receipts.unwrap().text(0).into_owned(),
    };
    (written.outcomes[0], said, trace.exchanges)
}

#[test]
fn what_becomes_of_requests() {
    for mode in ["http", "http-begin"] {
        becomes_of_requests(mode);
    }
}

fn becomes_of_requests(mode: &str) {
    let server = Server::start();
    let check = |path: &str, outcome: Outcome, expected: &str, status: Option<u16>, error: Option<&str>| {
        let payload = format!("POST {}{path} body=hello", server.origin);
        let (found, said, exchanges) = send(with_grant(&server.origin, mode), &payload);
        assert_eq!(found, outcome, "{path}: {said}");
        assert!(said.contains(expected), "{path}: {said:?} does not say {expected:?}");
        let [exchange] = exchanges.as_slice() else { panic!("{path}: {exchanges:?}") };
        assert_eq!((exchange.at, exchange.record, exchange.method.as_str()), (NOW, Some(0), "POST"));
        assert_eq!(exchange.url, format!("{}{}", server.origin, path.split('?').next().unwrap()));
        assert_eq!((exchange.status, exchange.error.is_some()), (status, error.is_some()), "{exchange:?}");
        assert!(exchange.error.as_deref().unwrap_or("").contains(error.unwrap_or("")), "{exchange:?}");
    };
    check("/ok", Outcome::Ok, "201 done", Some(201), None);
    check("/ok?a=b", Outcome::Ok, "201 done", Some(201), None);
    check("/elsewhere", Outcome::Ok, "302", Some(302), None);
    check("/cut", Outcome::Unknown, "no-answer", None, Some(""));
    check("/half", Outcome::Unknown, "no-answer", None, Some(""));
    check("/large", Outcome::Unknown, "too-large", Some(200), Some("4194304"));
    let (found, said, _) = send(with_grant(&server.origin, mode), &format!("GET {}/wait timeout=50", server.origin));
    assert_eq!(found, Outcome::Unknown, "{said}");
    assert!(server.seen().contains("\r\n\r\nhello\n"), "{}", server.seen());
    // A cut connection is not tried again by the host itself.
    assert_eq!(server.seen().matches("POST /cut ").count(), 1);
}

#[test]
fn what_was_begun_and_not_waited_for_ends_with_its_call() {
    let server = Server::start();
    let payload = format!("POST {}/wait", server.origin);
    let (outcome, _, exchanges) = send(with_grant(&server.origin, "http-begin-only"), &payload);
    let [exchange] = exchanges.as_slice() else { panic!("{exchanges:?}") };
    assert_eq!((outcome, exchange.status), (Outcome::Unknown, None));
    assert_eq!(exchange.error.as_deref(), Some("the call ended before an answer came"));
}

#[test]
fn requests_that_are_not_sent() {
    let server = Server::start();
    let origin = &server.origin;
    let port = origin.rsplit(':').next().unwrap();
    let check = |payload: &str, outcome: Outcome, expected: &str| {
        let (found, said, exchanges) = send(with_grant(origin, "http"), payload);
        assert_eq!(found, outcome, "{payload}: {said}");
        assert!(said.contains(expected), "{payload}: {said:?} does not say {expected:?}");
        assert_eq!(exchanges, [], "{payload}");
    };
    use Outcome::{Rejected, Unauthorized};
    check("GET http://127.0.0.1:1/ok", Unauthorized, "not-granted");
    check(&format!("GET http://localhost:{port}/ok"), Unauthorized, "not-granted");
    check(&format!("GET https://127.0.0.1:{port}/ok"), Unauthorized, "not-granted");
    check(&format!("GET http://127.0.0.1:{port}@evil.test/"), Rejected, "credentials");
    check(&format!("GET http://user:pw@127.0.0.1:{port}/ok"), Rejected, "credentials");
    check("GET file:///etc/passwd", Rejected, "http://");
    check("GET nonsense", Rejected, "does not parse");
    check(&format!("CONNECT {origin}/ok"), Rejected, "method");
    check(&format!("get {origin}/ok"), Rejected, "method");
    check(&format!("GET {origin}/ok host=evil.test"), Rejected, "host");
    check(&format!("GET {origin}/ok Transfer-Encoding=chunked"), Rejected, "transfer-encoding");
    check(&format!("GET {origin}/ok x=a\\nb"), Rejected, "characters");
    check(&format!("GET {origin}/ok b@d=x"), Rejected, "header name");
    check(&format!("GET {origin}/ok handle="), Rejected, "handle");
    check(&format!("GET {origin}/{}", "x".repeat(9_000)), Rejected, "8192");
    assert_eq!(server.seen(), "");
}

#[test]
fn nobody_listens() {
    let gone = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
    let origin = format!("http://{gone}");
    let (found, said, exchanges) = send(with_grant(&origin, "http"), &format!("GET {origin}/ok"));
    assert_eq!(found, Outcome::Retryable, "{said}");
    assert!(said.starts_with("not-connected"), "{said}");
    assert!(exchanges[0].error.is_some());
    // The name resolves to an address that is not public, and the grant names the name only.
    let origin = format!("http://localhost.localdomain:{}", gone.port());
    let (found, said, _) = send(with_grant(&origin, "http"), &format!("GET {origin}/ok"));
    assert_eq!(found, Outcome::Retryable, "{said}");
}

#[test]
fn localhost_is_a_name_that_may_be_granted() {
    let server = Server::start();
    let origin = server.origin.replace("127.0.0.1", "localhost");
    let (found, said, _) = send(with_grant(&origin, "http"), &format!("GET {origin}/ok"));
    assert_eq!(found, Outcome::Ok, "{said}");
}

#[test]
fn secrets_are_put_on_the_wire_and_nowhere_else() {
    let server = Server::start();
    let payload = format!("GET {}/ok ?q=$ x-key=a$b authorization=$user", server.origin);
    let (found, said, exchanges) = send(with_grant(&server.origin, "http"), &payload);
    // Header values may hold bytes beyond ASCII.
    assert_eq!(found, Outcome::Ok, "{said}");
    let seen = server.seen();
    assert!(seen.contains("/ok?q=canary%2F%2B77+%C3%B6 "), "{seen}");
    assert!(seen.contains(&format!("x-key: a{SECRET}b")), "{seen}");
    assert!(seen.contains("authorization: Basic dXNlcjpjYW5hcnkvKzc3IMO2"), "{seen}");
    let told = format!("{exchanges:?}");
    assert!(!told.contains("canary"), "{told}");
    // An address that holds the secret is redacted in what is told of it.
    let (_, said, _) = send(with_grant(&server.origin, "http"), "GET nonsense-canary/+77");
    assert!(said.contains("does not parse"), "{said}");
}

#[test]
fn a_call_has_a_limit_of_requests() {
    let server = Server::start();
    let limits = Limits { http_requests_max: 2, http_in_flight_max: 1, ..Limits::default() };
    let instance = Instance { limits, ..with_grant(&server.origin, "http") };
    let port = wait(guest("guest-destination").destination(instance)).unwrap();
    let payload = format!("GET {}/ok", server.origin);
    let keys: Column = ["k"; 3].into_iter().collect();
    let options = WriteOptions { stop_at_first_failure: false };
    let (written, trace) = wait(port.write(batch(&[payload.as_str(); 3]), keys, options)).unwrap();
    assert_eq!(written.outcomes, [Outcome::Ok, Outcome::Ok, Outcome::Rejected]);
    assert_eq!(trace.exchanges.iter().map(|e| e.record).collect::<Vec<_>>(), [Some(0), Some(1)]);
}

#[test]
fn what_was_sent_before_a_fault_is_known() {
    let server = Server::start();
    let port = wait(guest("guest-destination").destination(with_grant(&server.origin, "http-then-panic"))).unwrap();
    let payloads = [format!("POST {}/ok body=a", server.origin), format!("POST {}/cut body=b", server.origin)];
    let keys: Column = ["k", "l"].into_iter().collect();
    let batch = batch(&[payloads[0].as_str(), payloads[1].as_str()]);
    let result = all_of(port.write(batch, keys, WriteOptions { stop_at_first_failure: false }));
    assert!(matches!(&result.answer, Err(CallError::Fault(fault)) if fault.kind == FaultKind::Trap), "{result:?}");
    let [first, second] = result.trace.exchanges.as_slice() else { panic!("{result:?}") };
    assert_eq!((first.record, first.status, first.error.as_deref()), (Some(0), Some(201), None));
    assert_eq!((second.record, second.status, second.error.is_some()), (Some(1), None, true));
}

#[test]
fn a_call_that_runs_out_of_time_while_it_waits_can_still_answer() {
    let server = Server::start();
    let limits = Limits { call_time_max_ms: 600, ..Limits::default() };
    let instance = Instance { limits, ..with_grant(&server.origin, "http") };
    let (found, said, _) = send(instance, &format!("GET {}/wait", server.origin));
    assert_eq!(found, Outcome::Unknown);
    assert!(said.starts_with("no-answer"), "{said}");
}

#[test]
fn grants_that_are_no_origins_are_refused() {
    let granted = wait(guest("guest-destination").destination(with_grant("https://example.com/path", "")));
    let Err(CallError::Host(error)) = granted else { panic!("was granted") };
    assert_eq!(error.code, "grant-invalid");
}

#[test]
fn what_is_on_its_way_ends_with_its_call() {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let origin = format!("http://{}", listener.local_addr().unwrap());
    let (arrived, has_arrived) = tokio::sync::oneshot::channel();
    // A server that reads and never answers; it says whether the other side let go.
    let server = std::thread::spawn(move || {
        let (mut stream, _) = listener.accept().unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        let mut bytes = [0; 4096];
        let mut arrived = Some(arrived);
        loop {
            match stream.read(&mut bytes) {
                Ok(0) => return true,
                Ok(_) => drop(arrived.take().map(|arrived| arrived.send(()))),
                Err(error) => return error.kind() == std::io::ErrorKind::ConnectionReset,
            }
        }
    });
    let port = wait(guest("guest-destination").destination(with_grant(&origin, "http"))).unwrap();
    let payload = format!("GET {origin}/");
    let write = || {
        let keys: Column = ["k"].into_iter().collect();
        port.write(batch(&[payload.as_str()]), keys, WriteOptions { stop_at_first_failure: false })
    };
    all_of(async {
        tokio::select! {
            _ = write() => panic!("nobody answered"),
            _ = has_arrived => {}
        }
    });
    assert!(server.join().unwrap(), "the connection stayed open after its call was given up");
    // And the next call of the same connector works, in a fresh instance: nobody listens there any more.
    let (written, _) = wait(write()).unwrap();
    assert_eq!(written.outcomes, [Outcome::Retryable]);
}
