//! Servers that answer, and servers that answer badly: what is fetched is what was wanted, or nothing is.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_model::{Explained as _, OciReference};
use crossdock_registry::{
    ClientConfig, Component, Credentials, Limits, Problem, Registry, RegistryError, Signature, SigningKey, digest_of,
};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

const PLUGIN: &[u8] = b"\0asm\x0d\0\x01\0 a plugin";
const PASSWORD: &str = "open sesame 1234";

/// What was asked: the first line and the headers, in lower case.
type Asked = Arc<Mutex<Vec<String>>>;

/// A server of one test. It answers with what `answer` makes of the path and the whole request; `None` leaves the
/// connection open without a word until the other side gives up.
struct Server {
    host: String,
    asked: Asked,
}

trait Both: Read + Write {}
impl<T: Read + Write> Both for T {}

impl Server {
    fn start(answer: impl Fn(&str, &str) -> Option<Vec<u8>> + Send + Sync + 'static) -> Self {
        Self::with(answer, |stream| Box::new(stream))
    }

    fn with(
        answer: impl Fn(&str, &str) -> Option<Vec<u8>> + Send + Sync + 'static,
        wrap: impl Fn(TcpStream) -> Box<dyn Both> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let host = listener.local_addr().unwrap().to_string();
        let asked = Asked::default();
        let seen = Arc::clone(&asked);
        let both = Arc::new((answer, wrap));
        std::thread::spawn(move || {
            for stream in listener.incoming().filter_map(Result::ok) {
                let (seen, both) = (Arc::clone(&seen), Arc::clone(&both));
                std::thread::spawn(move || serve(stream, &both.0, &both.1, &seen));
            }
        });
        Self { host, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn serve(
    stream: TcpStream,
    answer: &dyn Fn(&str, &str) -> Option<Vec<u8>>,
    wrap: &dyn Fn(TcpStream) -> Box<dyn Both>,
    seen: &Asked,
) {
    let mut stream = BufReader::new(wrap(stream));
    let mut request = String::new();
    while !request.ends_with("\r\n\r\n") {
        if !matches!(stream.read_line(&mut request), Ok(1..)) {
            return;
        }
    }
    let path = request.split(' ').nth(1).unwrap_or_default().to_owned();
    seen.lock().unwrap().push(request.to_lowercase());
    match answer(&path, &request) {
        Some(bytes) => drop(stream.get_mut().write_all(&bytes).and_then(|()| stream.get_mut().flush())),
        None => drop(stream.read(&mut [0])),
    }
}

fn answer(status: &str, headers: &str, body: &[u8]) -> Option<Vec<u8>> {
    let head = format!("HTTP/1.1 {status}\r\nconnection: close\r\ncontent-length: {}\r\n{headers}\r\n", body.len());
    Some([head.as_bytes(), body].concat())
}

fn registry(limits: Limits) -> Registry {
    Registry::new(ClientConfig { limits, ..ClientConfig::default() }).unwrap()
}

fn small() -> Limits {
    Limits { plugin_max_bytes: 64, wait_max_ms: 300, time_max_ms: 20_000, redirects_max: 3, ..Limits::default() }
}

fn now<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(work)
}

/// What comes of fetching `/p.wasm` from a server: the code and a part of the message; empty, if it is the plugin.
#[track_caller]
fn check(
    name: &str,
    serve: impl Fn(&str, &str) -> Option<Vec<u8>> + Send + Sync + 'static,
    code: &str,
    parts: &[&str],
) {
    let server = Server::start(serve);
    let url = format!("http://user:word@{}/p.wasm?signed=canary", server.host);
    let found = now(registry(small()).fetch_url(&url, &digest_of(PLUGIN), None));
    let (found_code, message) = match &found {
        Ok(bytes) => (if bytes == PLUGIN { "" } else { "other bytes" }, String::new()),
        Err(error) => (error.code(), error.to_string()),
    };
    assert_eq!(found_code, code, "{name}: {message}");
    for part in parts {
        assert!(message.contains(part), "{name}: {message}\nhas no {part}");
    }
    assert!(!message.contains("canary") && !message.contains("word"), "{name}: {message}");
    if let Err(error) = found {
        assert!(error.fix().is_some(), "{name} has no fix");
    }
}

#[test]
fn answers_to_a_url() {
    check("the plugin", |_, _| answer("200 OK", "", PLUGIN), "", &[]);
    let chunked = |_: &str, _: &str| {
        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n";
        Some([head.as_bytes(), b"11\r\n", PLUGIN, b"\r\n0\r\n\r\n"].concat())
    };
    check("in pieces", chunked, "", &[]);
    let other = digest_of(b"other");
    check("other bytes", |_, _| answer("200 OK", "", b"other"), "registry-digest", &[&digest_of(PLUGIN), &other]);
    check("nothing", |_, _| answer("200 OK", "", b""), "registry-digest", &[]);
    let cut_off = |_: &str, _: &str| answer("200 OK", "", PLUGIN).map(|bytes| bytes[..bytes.len() - 3].to_vec());
    check("cut off", cut_off, "registry-unreachable", &["stopped in the middle"]);
    let said_larger = |_: &str, _: &str| answer("200 OK", "", &[b'x'; 65]);
    check("too large and says so", said_larger, "registry-too-large", &["65 bytes", "at most 64"]);
    let larger = |_: &str, _: &str| {
        let head = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n";
        Some([head.as_bytes(), &[b'x'; 100_000]].concat())
    };
    check("too large and does not say so", larger, "registry-too-large", &["more bytes than it said"]);
    check("not there", |_, _| answer("404 Not Found", "", b"nothing"), "registry-not-found", &["404"]);
    check("not for us", |_, _| answer("401 Unauthorized", "", b""), "registry-unauthorized", &["without credentials"]);
    check("forbidden", |_, _| answer("403 Forbidden", "", b""), "registry-unauthorized", &["403"]);
    check("broken", |_, _| answer("500 Internal Server Error", "", b"\x1b[31m"), "registry-answer", &["500"]);
    check("busy", |_, _| answer("429 Too Many Requests", "", b""), "registry-answer", &["429"]);
    check("empty", |_, _| answer("204 No Content", "", b""), "registry-answer", &["204"]);
    check("no word", |_, _| None, "registry-unreachable", &["did not answer in time"]);
    check("no HTTP", |_, _| Some(b"SSH-2.0\r\n\r\n".to_vec()), "registry-unreachable", &["gave no answer"]);
    check("closed", |_, _| Some(Vec::new()), "registry-unreachable", &["gave no answer"]);
    // An answer that stops in the middle without closing.
    let stands_still = |_: &str, _: &str| {
        let head = "HTTP/1.1 200 OK\r\ncontent-length: 17\r\n\r\n\0asm";
        Some(head.as_bytes().to_vec())
    };
    check("stands still", stands_still, "registry-unreachable", &[]);
}

#[test]
fn redirects() {
    let once = |path: &str, _: &str| match path {
        "/p.wasm?signed=canary" => answer("302 Found", "location: /other\r\n", b""),
        _ => answer("200 OK", "", PLUGIN),
    };
    check("to the same server", once, "", &[]);
    let round = |_: &str, _: &str| answer("302 Found", "location: /again?signed=canary\r\n", b"");
    check("round in a circle", round, "registry-redirect", &["too many redirects"]);
    let plain =
        |_: &str, _: &str| answer("307 Temporary Redirect", "location: http://plain.example/?x=canary\r\n", b"");
    check("without TLS", plain, "registry-redirect", &["plain.example", "without TLS"]);
    let file = |_: &str, _: &str| answer("302 Found", "location: file:///etc/passwd\r\n", b"");
    check("to a file", file, "registry-answer", &["302"]);
    check("to nowhere", |_, _| answer("302 Found", "", b""), "registry-answer", &["302"]);
}

/// From a server with TLS not even this machine is gone on to without it.
#[test]
fn no_way_leads_out_of_tls() {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let pem = made.cert.pem();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let tls = rustls::ServerConfig::builder_with_provider(Arc::new(rustls::crypto::ring::default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let tls = Arc::new(tls);
    let plain = Server::start(|_, _| answer("200 OK", "", PLUGIN));
    let location = format!("location: http://{}/p.wasm\r\n", plain.host);
    let server = Server::with(
        move |path, _| match path {
            "/p.wasm" => answer("200 OK", "", PLUGIN),
            _ => answer("302 Found", &location, b""),
        },
        move |stream| {
            let connection = rustls::ServerConnection::new(Arc::clone(&tls)).unwrap();
            Box::new(rustls::StreamOwned::new(connection, stream))
        },
    );
    let port = server.host.rsplit_once(':').unwrap().1;
    let trusting = Registry::new(ClientConfig { certificates: vec![pem.into_bytes()], ..ClientConfig::default() });
    let trusting = trusting.unwrap();
    let fetch = |registry: &Registry, path: &str| {
        now(registry.fetch_url(&format!("https://localhost:{port}/{path}"), &digest_of(PLUGIN), None))
    };
    assert_eq!(fetch(&trusting, "p.wasm").unwrap(), PLUGIN);
    let error = fetch(&trusting, "away").unwrap_err();
    assert_eq!(error.code(), "registry-redirect", "{error}");
    assert!(plain.asked().is_empty(), "{:?}", plain.asked());
    // Whoever does not trust its authority does not even ask.
    let error = fetch(&registry(small()), "p.wasm").unwrap_err();
    assert_eq!(error.code(), "registry-unreachable", "{error}");
    assert!(error.to_string().contains("certificate"), "{error}");
}

#[test]
fn certificates_that_are_none() {
    let damaged = b"-----BEGIN CERTIFICATE-----\n%%%\n-----END CERTIFICATE-----\n".to_vec();
    let error = Registry::new(ClientConfig { certificates: vec![damaged], ..ClientConfig::default() }).unwrap_err();
    assert_eq!(error.code(), "registry-setup", "{error}");
    assert!(error.to_string().starts_with("setting up TLS for registries: "), "{error}");
    assert!(error.fix().unwrap().contains("[network]"), "{error}");
}

#[test]
fn plain_http_is_for_this_machine_only() {
    let error =
        now(registry(small()).fetch_url("http://plugins.example/p.wasm", &digest_of(PLUGIN), None)).unwrap_err();
    assert_eq!(error.code(), "registry-plain-http", "{error}");
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let gone = format!("http://{}/p.wasm", listener.local_addr().unwrap());
    drop(listener);
    let error = now(registry(small()).fetch_url(&gone, &digest_of(PLUGIN), None)).unwrap_err();
    assert_eq!(error.code(), "registry-unreachable", "{error}");
    assert!(error.to_string().contains("could not be reached"), "{error}");
}

#[test]
fn credentials_go_to_their_server_only() {
    let other = Server::start(|_, _| answer("200 OK", "", PLUGIN));
    let location = format!("location: http://{}/p.wasm\r\n", other.host);
    let server = Server::start(move |_, request| match request.to_lowercase().contains("authorization: basic ywnt") {
        true => answer("302 Found", &location, b""),
        false => answer("404 Not Found", "", b""),
    });
    let credentials = Credentials::new("acme", PASSWORD);
    let url = format!("http://{}/p.wasm", server.host);
    let bytes = now(registry(small()).fetch_url(&url, &digest_of(PLUGIN), Some(&credentials))).unwrap();
    assert_eq!(bytes, PLUGIN);
    assert!(!other.asked()[0].contains("authorization"), "{:?}", other.asked());
}

#[test]
fn the_signature_stands_beside_the_file() {
    let server = Server::start(|path, _| match path {
        "/a/p.wasm.sig?token=1" => answer("200 OK", "", b"signed\n"),
        "/long.wasm.sig" => answer("200 OK", "", &[b'x'; 2000]),
        "/broken.wasm.sig" => answer("500 Internal Server Error", "", b""),
        _ => answer("404 Not Found", "", b""),
    });
    let registry = registry(small());
    let fetch = |path: &str| now(registry.fetch_url_signature(&format!("http://{}/{path}", server.host), None));
    assert_eq!(fetch("a/p.wasm?token=1").unwrap().as_deref(), Some("signed\n"));
    assert_eq!(fetch("p.wasm").unwrap(), None);
    assert_eq!(fetch("long.wasm").unwrap_err().code(), "registry-too-large");
    assert_eq!(fetch("broken.wasm").unwrap_err().code(), "registry-answer");
}

fn component(bytes: &'static [u8]) -> Component {
    Component {
        bytes: bytes::Bytes::from_static(bytes),
        name: "orders".into(),
        version: "1.2.0".into(),
        summary: "Takes orders.".into(),
        imports: vec!["crossdock:plugin/log@0.1.0".into()],
        exports: vec!["crossdock:plugin/describe@0.1.0".into()],
    }
}

fn fetch(
    registry: &Registry,
    reference: &OciReference,
    credentials: Option<&Credentials>,
) -> Result<Vec<u8>, RegistryError> {
    now(async {
        let found = registry.find(reference, credentials).await?;
        registry.fetch(reference, &found, credentials).await
    })
}

/// Against a real one: what is pushed is found and fetched by tag and by digest, with its signature.
#[test]
fn a_registry_gives_back_what_was_pushed() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = crossdock_devkit::OciRegistry::start(folder.path(), false).unwrap() else { return };
    let registry = registry(small());
    let reference = |rest: &str| OciReference::parse(&format!("{}/acme/orders{rest}", server.host())).unwrap();
    let missing = now(registry.find(&reference(":1.2.0"), None)).unwrap_err();
    assert_eq!(missing.code(), "registry-not-found", "{missing}");
    let key = SigningKey::generate(&folder.path().join("key")).unwrap();
    let signature = Signature::sign(&digest_of(PLUGIN), &key).to_string();
    let push = |bytes| now(registry.push(&reference(":1.2.0"), &component(bytes), Some(&signature), None)).unwrap();
    let pushed = push(PLUGIN);
    assert_eq!(pushed.digest, digest_of(PLUGIN));
    assert_eq!(push(PLUGIN), pushed, "pushed again it is something else");
    let found = now(registry.find(&reference(":1.2.0"), None)).unwrap();
    assert_eq!(found.manifest_digest, pushed.manifest_digest);
    assert_eq!((found.digest.as_str(), found.size_bytes), (&*digest_of(PLUGIN), PLUGIN.len() as u64));
    assert_eq!(found.signature.as_deref(), Some(&*signature));
    assert_eq!(fetch(&registry, &reference(":1.2.0"), None).unwrap(), PLUGIN);
    let by_digest = reference(&format!("@{}", pushed.manifest_digest));
    assert_eq!(fetch(&registry, &by_digest, None).unwrap(), PLUGIN);
    // The tag goes on to another; the digest stays with this one.
    push(b"another");
    assert_eq!(fetch(&registry, &reference(":1.2.0"), None).unwrap(), b"another");
    assert_eq!(fetch(&registry, &by_digest, None).unwrap(), PLUGIN);
}

#[test]
fn a_registry_that_asks_who_we_are() {
    let folder = tempfile::tempdir().unwrap();
    let Some(server) = crossdock_devkit::OciRegistry::start(folder.path(), true).unwrap() else { return };
    let registry = registry(small());
    let reference = OciReference::parse(&format!("{}/acme/orders:1", server.host())).unwrap();
    let push = |credentials| now(registry.push(&reference, &component(PLUGIN), None, credentials));
    let (right, wrong) = (Credentials::new("acme", PASSWORD), Credentials::new("acme", "a wrong password"));
    for (credentials, part) in [(None, "without credentials"), (Some(&wrong), "with these credentials")] {
        let error = push(credentials).unwrap_err();
        assert_eq!(error.code(), "registry-unauthorized", "{error}");
        assert!(error.to_string().contains(part) && !error.to_string().contains("password"), "{error}");
    }
    push(Some(&right)).unwrap();
    assert_eq!(fetch(&registry, &reference, Some(&right)).unwrap(), PLUGIN);
    assert_eq!(fetch(&registry, &reference, None).unwrap_err().code(), "registry-unauthorized");
}

/// A registry as a table: path to answer. It knows one plugin and changes it as it is told.
#[track_caller]
fn check_oci(
    name: &str,
    change: impl Fn(&str, &str) -> Option<Option<Vec<u8>>> + Send + Sync + 'static,
    code: &str,
    parts: &[&str],
) {
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": { "mediaType": "application/vnd.wasm.config.v0+json", "digest": digest_of(b"{}"), "size": 2 },
        "layers": [{ "mediaType": "application/wasm", "digest": digest_of(PLUGIN), "size": PLUGIN.len() }],
    })
    .to_string();
    let server = Server::start(move |path, request| match change(path, request) {
        Some(changed) => changed,
        None if path == "/v2/acme/orders/manifests/1" => answer("200 OK", "", manifest.as_bytes()),
        None if path == format!("/v2/acme/orders/blobs/{}", digest_of(PLUGIN)) => answer("200 OK", "", PLUGIN),
        None => answer("404 Not Found", "", b""),
    });
    let reference = OciReference::parse(&format!("{}/acme/orders:1", server.host)).unwrap();
    let credentials = Credentials::new("acme", PASSWORD);
    let found = fetch(&registry(small()), &reference, Some(&credentials));
    let (found_code, message) = match &found {
        Ok(bytes) => (if bytes == PLUGIN { "" } else { "other bytes" }, String::new()),
        Err(error) => (error.code(), error.to_string()),
    };
    assert_eq!(found_code, code, "{name}: {message}");
    parts.iter().for_each(|part| assert!(message.contains(part), "{name}: {message}\nhas no {part}"));
    assert!(!message.contains(PASSWORD) && !message.contains("t0ken"), "{name}: {message}");
}

#[test]
fn registries_that_answer_badly() {
    let blob =
        |bytes: &'static [u8]| move |path: &str, _: &str| path.contains("/blobs/").then(|| answer("200 OK", "", bytes));
    let manifest = |text: &'static str| {
        move |path: &str, _: &str| path.contains("/manifests/").then(|| answer("200 OK", "", text.as_bytes()))
    };
    check_oci("as it should", |_, _| None, "", &[]);
    check_oci("other bytes", blob(b"\0asm\x0d\0\x01\0 A plugin"), "registry-digest", &[&digest_of(PLUGIN)]);
    check_oci("a byte too few", blob(&PLUGIN[..16]), "registry-digest", &[]);
    check_oci("a byte too many", blob(b"\0asm\x0d\0\x01\0 a plugin!"), "registry-too-large", &[]);
    check_oci("no JSON", manifest("<html>"), "registry-not-a-plugin", &["not JSON"]);
    check_oci("an index", manifest("{\"manifests\":[]}"), "registry-not-a-plugin", &["an index"]);
    check_oci("an image", manifest("{\"schemaVersion\":2,\"layers\":[]}"), "registry-not-a-plugin", &["config"]);
    let huge = |path: &str, _: &str| path.contains("/manifests/").then(|| answer("200 OK", "", &vec![b' '; 5 << 20]));
    check_oci("a huge manifest", huge, "registry-too-large", &["4194304"]);
    let denied = br#"{"errors":[{"code":"DENIED","message":"no"}]}"#;
    check_oci("denied", |_, _| Some(answer("403 Forbidden", "", denied)), "registry-unauthorized", &["DENIED: no"]);
    check_oci("broken", |_, _| Some(answer("503 Service Unavailable", "", b"")), "registry-answer", &["503"]);
    check_oci("no word", |_, _| Some(None), "registry-unreachable", &["did not answer"]);
}

/// What a registry says that gives out tokens, and what it makes of the token.
fn token_server(token: &'static str, status: &'static str) -> impl Fn(&str, &str) -> Option<Option<Vec<u8>>> {
    move |path, request| {
        let host = request.lines().find_map(|line| line.strip_prefix("host: ")).unwrap_or_default();
        let asks = format!("www-authenticate: Bearer realm=\"http://{host}/token\",service=\"tests\"\r\n");
        if path == "/token?service=tests&scope=repository%3Aacme%2Forders%3Apull" {
            let knows = request.contains("authorization: Basic ");
            return Some(answer(if knows { status } else { "401 Unauthorized" }, "", token.as_bytes()));
        }
        (!request.contains("authorization: Bearer t0ken")).then(|| answer("401 Unauthorized", &asks, b""))
    }
}

#[test]
fn tokens() {
    check_oci("a token", token_server("{\"token\":\"t0ken\"}", "200 OK"), "", &[]);
    check_oci("by its other name", token_server("{\"access_token\":\"t0ken\"}", "200 OK"), "", &[]);
    check_oci(
        "another token",
        token_server("{\"token\":\"t0kem\"}", "200 OK"),
        "registry-unauthorized",
        &["with these"],
    );
    check_oci("no token", token_server("{}", "200 OK"), "registry-answer", &["without one"]);
    check_oci("no JSON", token_server("t0ken", "200 OK"), "registry-answer", &["without one"]);
    check_oci("a token with a line break", token_server("{\"token\":\"t0\\nken\"}", "200 OK"), "registry-answer", &[]);
    check_oci("refused", token_server("", "401 Unauthorized"), "registry-unauthorized", &["with these"]);
    check_oci("broken", token_server("", "500 Internal Server Error"), "registry-answer", &["500"]);
    // Credentials are not sent on without TLS.
    let away = |_: &str, _: &str| {
        let asks = "www-authenticate: Bearer realm=\"http://evil.example/token\"\r\n";
        Some(answer("401 Unauthorized", asks, b""))
    };
    check_oci("tokens without TLS", away, "registry-plain-http", &["evil.example"]);
}

#[test]
fn the_limit_of_everything_holds() {
    let server = Server::start(|_, _| None);
    let limits = Limits { wait_max_ms: 60_000, time_max_ms: 200, ..small() };
    let url = format!("http://{}/p.wasm", server.host);
    let error = now(registry(limits).fetch_url(&url, &digest_of(PLUGIN), None)).unwrap_err();
    assert!(matches!(error.problem, Problem::Unreachable { .. }), "{error}");
    assert!(error.to_string().contains("took longer"), "{error}");
}
