//! Calls of a guest to the host, as the input says, and an answer of a service, which the input holds too.

use super::guests::{fit, instance, judged, load, wait};
use crate::Target;
use crossdock_engine::ports::{CallTrace, TransformerPort};
use crossdock_model::Batch;
use crossdock_sandbox::{DirGrant, Grants, SecretGrant, WriteBudget};
use std::io::{Read as _, Write as _};
use std::net::{Shutdown, TcpListener};
use std::path::Path;
use std::sync::{Arc, LazyLock, Mutex, PoisonError};
use std::time::Duration;
use tempfile::TempDir;

/// How long the service's answer is (one byte, in parts of 4), the answer, and the calls: see `tests/guests/fuzz`.
pub(super) const IMPORTS: Target = Target {
    name: "imports",
    more_seeds: &[],
    words: &[
        "\u{9}\u{1}\u{1}",
        "\u{6}",
        "\u{8}\0",
        "\u{d}",
        "\u{e}\u{2}",
        "../",
        "/dir/",
        "link",
        "a.txt",
        "http://",
        "@",
        "\\",
        "%2e",
        "localhost",
        "[::1]",
        "host",
        "connection",
        "content-length",
        "transfer-encoding",
        "\r\n",
        "HTTP/1.1 200 OK\r\n",
        "content-encoding: gzip\r\n",
        "transfer-encoding: chunked\r\n\r\n",
        "location: http://127.0.0.1/\r\n",
        "content-length: 99999999999\r\n",
        "HTTP/1.1 100 Continue\r\n\r\n",
    ],
    short_run: 300,
    run: |bytes| {
        let _ = imports(bytes);
    },
};

const SECRET: &str = "canary-7731-of-the-fuzz-target";
const OUTSIDE: &str = "what lies beside the directory";

/// A guest, the directory that it was granted, and who must not be talked to.
struct World {
    folder: TempDir,
    port: Arc<dyn TransformerPort>,
    /// What the service answers next.
    answer: Arc<Mutex<Vec<u8>>>,
    /// Listens at an address that was not granted.
    other: TcpListener,
}

static WORLD: LazyLock<Mutex<World>> = LazyLock::new(|| Mutex::new(World::new()));

impl World {
    fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder can be made");
        let dir = folder.path().join("dir");
        std::fs::write(folder.path().join("outside.txt"), OUTSIDE).expect("a temporary file can be written");
        fresh(&dir);
        let listen = || TcpListener::bind("127.0.0.1:0").expect("a free port");
        let (service, other) = (listen(), listen());
        other.set_nonblocking(true).expect("a listener can be looked at without waiting");
        let base = format!("http://{}", service.local_addr().expect("a listener has an address"));
        let answer = Arc::new(Mutex::new(Vec::new()));
        serve(service, answer.clone());
        let mut instance = instance(&format!("{{\"base\":\"{base}\"}}"));
        // Used up, it would end all that follows.
        let unbounded = WriteBudget { max_bytes: u64::MAX, max_files: u64::MAX };
        instance.grants = Grants {
            dirs: vec![DirGrant { host: dir, guest: "/dir".into(), write: Some(unbounded) }],
            http: vec![base.as_str().into()],
            secrets: vec![SecretGrant {
                name: "TOKEN".into(),
                value: Some(SECRET.as_bytes().to_vec()).into(),
                reveal: false,
                to: vec![],
            }],
        };
        instance.limits.memory_max_bytes = 64 << 20;
        let guests = crossdock_devkit::guests().unwrap_or_else(|error| panic!("{error:#}"));
        let plugin = load(&guests.path("guest-fuzz").unwrap_or_else(|error| panic!("{error:#}")));
        let port = wait(plugin.transformer(instance)).unwrap_or_else(|error| panic!("{error}"));
        Self { folder, port, answer, other }
    }
}

/// A directory with one file in it, and a link that leads out.
fn fresh(dir: &Path) {
    // It may not be there yet.
    let _ = std::fs::remove_dir_all(dir);
    std::fs::create_dir(dir).expect("a temporary folder can be made");
    std::fs::write(dir.join("a.txt"), "inside").expect("a temporary file can be written");
    #[cfg(unix)]
    std::os::unix::fs::symlink("../outside.txt", dir.join("link")).expect("a link can be made");
}

/// Answers each connection once, with whatever is to be answered.
fn serve(service: TcpListener, answer: Arc<Mutex<Vec<u8>>>) {
    std::thread::spawn(move || {
        for connection in service.incoming() {
            let Ok(mut connection) = connection else { continue };
            // A client that goes away has a reason; what it sent does not matter, but that it was read does: a connection
            // that is closed with something unread takes the answer back. On a busy machine it comes late.
            let _ = connection.set_read_timeout(Some(Duration::from_secs(1)));
            let _ = connection.read(&mut [0; 4_096]);
            let answer = answer.lock().unwrap_or_else(PoisonError::into_inner).clone();
            let _ = connection.write_all(&answer);
            let _ = connection.shutdown(Shutdown::Write);
            let _ = connection.set_read_timeout(Some(Duration::from_millis(50)));
            while connection.read(&mut [0; 4_096]).is_ok_and(|bytes| bytes > 0) {}
        }
    });
}

/// What the calls came to, if there are any and the guest got through them.
fn imports(bytes: &[u8]) -> Option<CallTrace> {
    let (length, rest) = bytes.split_first()?;
    let (answer, calls) = rest.split_at(rest.len().min(usize::from(*length) * 4));
    let world = WORLD.lock().unwrap_or_else(PoisonError::into_inner);
    *world.answer.lock().unwrap_or_else(PoisonError::into_inner) =
        if answer.is_empty() { b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok".to_vec() } else { answer.to_vec() };
    let payloads = [calls, b"\x0a"].into_iter().collect();
    let batch = Arc::new(Batch { ids: ["a", "b"].iter().collect(), payloads, attributes: Vec::new() });
    let (answer, trace) = judged(wait(world.port.transform(batch)));
    let shown = format!("{answer:?} {trace:?}");
    assert!(!shown.contains(SECRET), "the secret is told: {shown}");
    for exchange in &trace.exchanges {
        fit(&exchange.url, 16 << 10, false);
        fit(exchange.error.as_deref().unwrap_or_default(), 16 << 10, false);
        assert!(exchange.record.is_none_or(|position| position < 2), "{exchange:?}");
    }
    assert!(world.other.accept().is_err(), "a connection was made to an address that is not granted");
    let beside = world.folder.path().join("outside.txt");
    assert_eq!(std::fs::read_to_string(beside).ok().as_deref(), Some(OUTSIDE), "a file beside the directory changed");
    let entries = std::fs::read_dir(world.folder.path()).map(Iterator::count).unwrap_or_default();
    assert_eq!(entries, 2, "something was made beside the directory");
    fresh(&world.folder.path().join("dir"));
    answer.map(|_| trace)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeds;

    /// Otherwise all mutations would be of calls that are never made.
    #[test]
    fn the_calls_of_a_seed_are_made() {
        let of = |name: &str| {
            let seed = seeds(&IMPORTS).into_iter().find(|(path, _)| path.ends_with(name));
            seed.and_then(|(_, bytes)| imports(&bytes)).unwrap_or_else(|| panic!("{name} makes no calls"))
        };
        let statuses = |name| of(name).exchanges.iter().map(|exchange| exchange.status).collect::<Vec<_>>();
        assert_eq!(statuses("http"), [Some(200)]);
        assert_eq!(statuses("http-many"), [Some(302)]);
        let trace = of("log-metrics-state");
        assert_eq!(trace.counted, [("count".to_owned(), 5)]);
    }
}
