//! The way out against those who misbehave.

use super::*;
use crate::budget::Budget;
use bytes::Bytes;
use crossdock_devkit::HostileServer;
use http_body_util::Full;
use std::collections::VecDeque;
use std::io;
use std::net::IpAddr;
use std::sync::Mutex;

/// Answers in turn what it was given; the last of it again and again.
#[derive(Debug, Default)]
pub(super) struct Names {
    answers: Mutex<VecDeque<Vec<IpAddr>>>,
    asked: Mutex<Vec<String>>,
}

impl Names {
    pub(super) fn new(answers: &[&str]) -> Arc<Self> {
        let parse = |answer: &&str| answer.split_whitespace().map(|address| address.parse().unwrap()).collect();
        Arc::new(Self { answers: Mutex::new(answers.iter().map(parse).collect()), asked: Mutex::default() })
    }
}

impl Resolver for Names {
    fn resolve<'a>(&'a self, host: &'a str) -> Resolving<'a> {
        self.asked.lock().unwrap().push(host.to_owned());
        let mut answers = self.answers.lock().unwrap();
        let answer = if answers.len() > 1 { answers.pop_front() } else { answers.front().cloned() };
        Box::pin(async move { answer.ok_or_else(|| io::Error::other("nobody knows it")) })
    }
}

pub(super) fn doors(client: &Arc<HttpClient>, origin: &str, ranges: &[&str]) -> Doors {
    let ranges = ranges.iter().map(|range| range.parse().unwrap()).collect();
    Doors::new(client.clone(), vec![(Origin::parse(origin).unwrap(), ranges)])
}

pub(super) fn client(names: Arc<Names>, certificates: Certificates) -> Arc<HttpClient> {
    Arc::new(HttpClient::new(certificates, names))
}

pub(super) fn run<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap().block_on(work)
}

/// What a GET comes to, as one line: `200 body`, `too large …`, `lost …`, `not connected …` or `time` after so long.
pub(super) async fn get(doors: &Doors, target: &str, time_ms: u64) -> String {
    let gathered = Gathered::new(64 << 20, Budget::new(1 << 30).share("it".to_owned()));
    let request = Request::builder().uri(target).body(Full::new(Bytes::new())).unwrap();
    let begun = AtomicBool::new(false);
    let sent = doors.send(0, request, &begun, &gathered);
    match tokio::time::timeout(Duration::from_millis(time_ms), sent).await {
        Ok(Ok(Answer::Complete { status, headers, body, .. })) => {
            let headers: String = headers.iter().map(|(name, value)| format!("|{name}: {value}")).collect();
            format!("{status} {}{headers}", String::from_utf8_lossy(&body[..body.len().min(2_000)]))
        }
        Ok(Ok(Answer::TooLarge { status, what })) => format!("too large {status}: {what}"),
        Ok(Err(NoAnswer::Lost(why))) => format!("lost: {why}"),
        Ok(Err(NoAnswer::NotConnected(why))) => {
            assert!(!begun.load(Ordering::Relaxed) || why.contains("clos"), "{target}: {why}");
            format!("not connected: {why}")
        }
        Err(_) => "time".to_owned(),
    }
}

#[test]
fn whatever_a_server_does_comes_to_an_end() {
    let server = HostileServer::start().unwrap();
    let client = client(Names::new(&[]), Certificates::default());
    let doors = doors(&client, &server.url(), &[]);
    let check = |target: &str, expected: &str| {
        let time_ms = if expected == "time" { 150 } else { 30_000 };
        let found = run(async {
            let found = get(&doors, target, time_ms).await;
            // Whatever that was, the next request has its own answer.
            assert!(get(&doors, "/ok?body=mine", 30_000).await.starts_with("200 mine"), "after {target}");
            found
        });
        assert!(found.starts_with(expected), "{target}: {found:?} does not begin with {expected:?}");
    };
    const LONG: &str = "too large 200: the body is longer than 4194304 bytes";
    check("/ok", "200 done|content-length: 4");
    check("/redirect", "302 |location: http://169.254.169.254/latest/meta-data/");
    check("/redirect?code=307&to=/ok", "307 |location: /ok");
    check("/cookie", "200 done|set-cookie: session=hostile");
    check("/hop", "200 done|x-stays: yes|content-length: 4");
    check("/http10", "200 done");
    check("/bytes?bytes=4194304", "200 xxx");
    check("/bytes?bytes=4194305", LONG);
    check("/gzip?mib=4", "200 \0\0");
    check("/gzip?mib=5", LONG);
    check("/gzip?mib=50", LONG);
    check("/gzip-empty", "too large 200: more than 4194304 bytes came");
    check("/gzip-broken", "lost: the body of the answer is not packed as it says");
    check("/gzip-cut", "lost: the body of the answer is not packed as it says");
    check("/two-codings", "200 \u{1f}");
    check("/endless", LONG);
    check("/endless-close", LONG);
    check("/endless-head", "lost");
    check("/endless-header", "lost");
    check("/endless-trailers", "lost");
    check("/tiny-chunks", "lost");
    check("/huge-header", "lost");
    check("/huge-header?bytes=60000", "200 done|x-long: xxx");
    check("/many-headers", "lost");
    check("/many-headers?count=101", "lost");
    check("/many-headers?count=99", "200 done|x-0: 0");
    check("/1xx?count=3", "200 at last");
    check("/1xx", "lost: connection error: too much came in front of the answer");
    check("/101", "lost: the other side went over to another protocol");
    check("/slow-head", "time");
    check("/trickle", "time");
    check("/silent", "time");
    check("/cut", "lost");
    check("/close", "lost");
    check("/close?after=200", "lost");
    check("/shorter", "lost");
    check("/longer", "200 done");
    check("/two-lengths", "lost");
    check("/length-and-chunks", "200 done");
    check("/negative-length", "lost");
    check("/bad-chunk", "lost");
    // It could be, and is waited for as long as anything.
    check("/huge-chunk", "time");
    check("/no-last-chunk", "lost");
    check("/garbage", "lost");
    check("/http09", "lost");
    check("/http2", "lost");
    check("/version", "lost");
    check("/status-line", "lost");
    check("/folded", "lost");
    check("/split", "lost");
}

#[test]
fn an_answer_that_nobody_asked_for_is_nobodys() {
    let server = HostileServer::start().unwrap();
    let client = client(Names::new(&[]), Certificates::default());
    let doors = doors(&client, &server.url(), &[]);
    run(async {
        for number in 0..50 {
            assert!(get(&doors, "/longer", 30_000).await.starts_with("200 done"));
            let found = get(&doors, &format!("/ok?body=mine-{number}"), 30_000).await;
            assert!(found.starts_with(&format!("200 mine-{number}|")), "{found}");
        }
    });
}

#[test]
fn a_request_holds_what_it_should_and_nothing_more() {
    let server = HostileServer::start().unwrap();
    let client = client(Names::new(&[]), Certificates::default());
    let (one, other) = (doors(&client, &server.url(), &[]), doors(&client, &server.url(), &[]));
    run(async {
        for (doors, target) in [(&one, "/cookie"), (&one, "/redirect?to=/echo"), (&other, "/ok"), (&one, "/echo?a=b")] {
            assert!(!get(doors, target, 30_000).await.is_empty());
        }
    });
    let seen = server.seen();
    assert_eq!(seen.iter().map(|request| request.path()).collect::<Vec<_>>(), ["/cookie", "/redirect", "/ok", "/echo"]);
    for request in &seen {
        let mut names: Vec<_> = request.headers.iter().map(|(name, _)| name.to_lowercase()).collect();
        names.sort();
        assert_eq!(names, ["accept", "accept-encoding", "host", "user-agent"]);
        assert_eq!(request.header("host"), Some(server.addr().to_string().as_str()));
    }
    // A connection is kept for more requests, of the same instance only.
    assert_eq!(seen.iter().map(|request| request.connection).collect::<Vec<_>>(), [1, 1, 2, 1]);
    drop((one, other));
    assert_eq!(client.pool.waiting(), 0);
}

#[test]
fn a_connection_is_made_to_the_address_that_was_checked() {
    let server = HostileServer::start().unwrap();
    let port = server.addr().port();
    // What a name resolves to each time, the ranges it was granted with, and what requests come to one after the other.
    let check = |name: &str, ranges: &[&str], answers: &[&str], requests: &[(&str, &str)], asked: usize| {
        let names = Names::new(answers);
        let client = client(names.clone(), Certificates::default());
        let doors = doors(&client, &format!("http://{name}:{port}"), ranges);
        run(async {
            for (target, expected) in requests {
                let found = get(&doors, target, 30_000).await;
                assert!(found.contains(expected), "{name} {answers:?} {target}: {found:?} does not hold {expected:?}");
            }
        });
        assert_eq!(names.asked.lock().unwrap().len(), asked, "{name} {answers:?}");
    };
    let corp = &["127.0.0.1/32", "fd00::/8"];
    check("erp.example", corp, &["127.0.0.1"], &[("/ok", "200 done")], 1);
    check("erp.example", corp, &["::ffff:127.0.0.1"], &[("/ok", "200 done")], 1);
    check("ERP.example.", corp, &["127.0.0.1"], &[("/ok", "200 done")], 1);
    // Rebinding: each connection is checked anew.
    let moved = [("/ok", "200 done"), ("/http10", "200 done"), ("/ok", "no address within"), ("/ok", "127.0.0.2")];
    check("erp.example", corp, &["127.0.0.1", "127.0.0.2"], &moved, 3);
    // Of several addresses only those that are granted are tried.
    check("erp.example", corp, &["127.0.0.2 169.254.169.254 127.0.0.1 10.0.0.1"], &[("/ok", "200 done")], 1);
    check("erp.example", corp, &["127.0.0.2 169.254.169.254"], &[("/ok", "no address within")], 1);
    check("erp.example", &[], &["127.0.0.1"], &[("/ok", "not public: 127.0.0.1; if that is right")], 1);
    check("erp.example", &[], &["10.1.2.3 ::1 fd00::1 fe80::1"], &[("/ok", "addresses = [\"10.1.2.3/32\"]")], 1);
    check("erp.example", &[], &[""], &[("/ok", "has no address")], 1);
    check("erp.example", &[], &[], &[("/ok", "nobody knows it")], 1);
    // What is an address is not resolved.
    check("127.0.0.1", &[], &[], &[("/ok", "200 done")], 0);
    check("localhost", &[], &["10.0.0.1 127.0.0.1"], &[("/ok", "200 done")], 1);
    check("localhost", &[], &["10.0.0.1"], &[("/ok", "no address of this machine")], 1);
}

#[test]
fn answers_share_one_room() {
    let server = HostileServer::start().unwrap();
    let client = client(Names::new(&[]), Certificates::default());
    let doors = doors(&client, &server.url(), &[]);
    let budget = Budget::new(10_000);
    let check = |gathered: &Gathered, target: &str, expected: Option<u16>, is_full: bool| {
        let request = Request::builder().uri(target).body(Full::new(Bytes::new())).unwrap();
        let begun = AtomicBool::new(false);
        let status = match run(async { doors.send(0, request, &begun, gathered).await.unwrap() }) {
            Answer::Complete { status, .. } => Some(status),
            Answer::TooLarge { what, .. } => {
                assert_eq!(what, TOGETHER);
                None
            }
        };
        assert_eq!((status, gathered.is_full()), (expected, is_full), "{target}");
    };
    let gathered = Gathered::new(6_000, budget.share("one".to_owned()));
    check(&gathered, "/bytes?bytes=3000", Some(200), false);
    check(&gathered, "/bytes?bytes=3000", None, false);
    check(&gathered, "/bytes?bytes=2000", Some(200), false);
    check(&gathered, "/huge-header?bytes=5000", None, false);
    // All sandboxes' instances have one room too.
    let other = Gathered::new(6_000, budget.share("other".to_owned()));
    check(&other, "/bytes?bytes=5000", None, false);
    check(&other, "/bytes?bytes=3000", Some(200), false);
    drop(gathered);
    check(&other, "/bytes?bytes=2000", Some(200), false);
}
