//! Where requests and secrets of guests may go, and what their answers may cost: against a server that misbehaves.

use crate::common::{batch, guest, instance, wait};
use crate::http::{SECRET, send, with_grant};
use crossdock_devkit::HostileServer;
use crossdock_engine::ports::WriteOptions;
use crossdock_model::{Column, Outcome};
use crossdock_sandbox::{HttpGrant, Instance, Limits, SecretGrant};

/// What a request to a URL as it is written comes to, with a grant: the path that arrived, or how the request was
/// refused before anything was sent.
fn check(grant: &str, url: &str, expected: Result<&str, &str>) {
    let server = HostileServer::start().unwrap();
    let port = server.addr().port().to_string();
    let with_port = |text: &str| text.replace("PORT", &port);
    let url = with_port(url).replace("\\t", "\t").replace("\\n", "\n").replace("\\0", "\0");
    let (outcome, said, _) = send(with_grant(&with_port(grant), "http"), &format!("GET {url}"));
    let seen = server.seen();
    match expected {
        Ok(target) => {
            assert_eq!(outcome, Outcome::Ok, "{url}: {said}");
            assert_eq!(seen.iter().map(|request| request.target.as_str()).collect::<Vec<_>>(), [target], "{url}");
        }
        Err(why) => {
            assert!(said.contains(why), "{url}: {said:?} does not hold {why:?}");
            assert_eq!(server.accepted(), 0, "{url}");
        }
    }
}

#[test]
fn a_url_means_one_thing() {
    const HERE: &str = "http://127.0.0.1:PORT";
    // Other ways to write the same.
    check(HERE, "http://127.0.0.1:PORT/ok", Ok("/ok"));
    check(HERE, "HTTP://127.0.0.1:PORT/ok", Ok("/ok"));
    check(HERE, "http://2130706433:PORT/ok", Ok("/ok"));
    check(HERE, "http://0x7f000001:PORT/ok", Ok("/ok"));
    check(HERE, "http://0177.0.0.1:PORT/ok", Ok("/ok"));
    check(HERE, "http://127.1:PORT/ok", Ok("/ok"));
    check(HERE, "http://127.0.0.1.:PORT/ok", Ok("/ok"));
    check(HERE, "http://%31%32%37.0.0.1:PORT/ok", Ok("/ok"));
    check(HERE, "http://１２７.0.0.1:PORT/ok", Ok("/ok"));
    check(HERE, "http:127.0.0.1:PORT/ok", Ok("/ok"));
    check(HERE, "http:///127.0.0.1:PORT/ok", Ok("/ok"));
    check(HERE, "http://127.0.0.1:0PORT/ok", Ok("/ok"));
    check("HTTP://LocalHost:PORT", "http://LOCALHOST.:PORT/ok", Ok("/ok"));
    // What follows the host is the path, whatever is in it.
    check(HERE, "http://127.0.0.1:PORT/../ok", Ok("/ok"));
    check(HERE, "http://127.0.0.1:PORT/a/%2e%2e/ok?x=1#fragment", Ok("/ok?x=1"));
    check(HERE, "http://127.0.0.1:PORT//evil.example/ok", Ok("//evil.example/ok"));
    check(HERE, "http://127.0.0.1:PORT/ok%0d%0ax-evil:%201", Ok("/ok%0d%0ax-evil:%201"));
    // Others that look alike.
    check(HERE, "http://127.0.0.1:PORT@evil.example/ok", Err("credentials"));
    check(HERE, "http://evil.example@127.0.0.1:PORT/ok", Err("credentials"));
    check(HERE, "http://@127.0.0.1:PORT/ok", Err("credentials"));
    check(HERE, "http://evil.example\\@127.0.0.1:PORT/ok", Err("backslash"));
    check(HERE, "http://127.0.0.1:PORT\\@evil.example/ok", Err("backslash"));
    check(HERE, "http://127.0.0.1:PORT/\\t/ok", Err("control"));
    check(HERE, "http://127.0.0.1:PORT/ok\\nx-evil:", Err("control"));
    check(HERE, "ht\\ntp://127.0.0.1:PORT/ok", Err("control"));
    check(HERE, "http://127.0.0.1\\0.evil.example:PORT/ok", Err("control"));
    check(HERE, "http://127.0.0.1:PORT#@evil.example/", Ok("/"));
    check(HERE, "http://127.0.0.1:PORT.evil.example/ok", Err("does not parse"));
    check(HERE, "http://127.0.0.1.evil.example:PORT/ok", Err("does not cover"));
    check(HERE, "http://127.0.0.2:PORT/ok", Err("does not cover"));
    check(HERE, "http://127.0.0.1/ok", Err("does not cover"));
    check(HERE, "http://0.0.0.0:PORT/ok", Err("does not cover"));
    check(HERE, "http://[::ffff:127.0.0.1]:PORT/ok", Err("does not cover"));
    check(HERE, "http://[::1]:PORT/ok", Err("does not cover"));
    check(HERE, "http://[::1%25lo]:PORT/ok", Err("does not parse"));
    check(HERE, "http://localhost:PORT/ok", Err("does not cover"));
    check(HERE, "https://127.0.0.1:PORT/ok", Err("does not cover"));
    check(HERE, "ftp://127.0.0.1:PORT/ok", Err("http://"));
    check(HERE, "file:///etc/passwd", Err("http://"));
    check("http://localhost:PORT", "http://localhost.evil.example:PORT/ok", Err("does not cover"));
    // Letters that look alike are other names.
    check("http://localhost:PORT", "http://l\u{43e}calhost:PORT/ok", Err("does not cover"));
    // Letters that are only written otherwise are the same name.
    check("http://localhost:PORT", "http://l\u{24de}calhost:PORT/ok", Ok("/ok"));
    check("http://0.0.0.0:PORT", "http://0.0.0.0:PORT/ok", Err("not an address that a connection can be made to"));
}

/// A guest with a secret that is bound to these origins, granted all of them.
fn with_secret(origins: &[&str], to: &[&str]) -> Instance {
    let mut instance = instance("http");
    instance.grants.http = origins.iter().map(|&origin| HttpGrant::from(origin)).collect();
    instance.grants.secrets = vec![SecretGrant {
        name: "TOKEN".into(),
        value: Some(SECRET.as_bytes().to_vec()).into(),
        reveal: false,
        to: to.iter().map(|&origin| origin.to_owned()).collect(),
    }];
    instance
}

#[test]
fn a_secret_is_sent_only_where_it_is_bound_to() {
    let (ours, theirs) = (HostileServer::start().unwrap(), HostileServer::start().unwrap());
    let (our, their) = (ours.url(), theirs.url());
    let check = |origins: &[&str], to: &[&str], request: &str, expected: &str| {
        let (outcome, said, exchanges) = send(with_secret(origins, to), request);
        let refused = outcome == Outcome::Unauthorized;
        assert!(said.contains(expected), "{request} with {origins:?} {to:?}: {outcome:?} {said:?}");
        assert_eq!(exchanges.is_empty(), refused, "{request}");
    };
    let both = [our.as_str(), their.as_str()];
    let no = "is bound to other origins";
    for (header, query) in [("x-key=a$b", "?q=$"), ("authorization=$user", "?q=$")] {
        for secret in [header, query] {
            check(&both, &[&our], &format!("GET {our}/ok {secret}"), "200 done");
            check(&both, &[&our], &format!("GET {their}/ok {secret}"), no);
            check(&both, &[], &format!("GET {our}/ok {secret}"), "several origins");
            check(&both[..1], &[], &format!("GET {our}/ok {secret}"), "200 done");
            check(&both[1..], &[&our], &format!("GET {their}/ok {secret}"), no);
        }
    }
    // Without the secret both may be asked.
    check(&both, &[&our], &format!("GET {their}/ok x-key=ab"), "200 done");
    // Behind a redirect nobody goes.
    check(&both, &[&our], &format!("GET {our}/redirect?to={their}/ok x-key=$"), "302");
    let stolen = theirs.seen().iter().map(|request| format!("{request:?}")).collect::<String>();
    assert!(!stolen.contains("canary") && !stolen.contains("Basic"), "{stolen}");
    check(&["http://erp.example"], &[], "GET http://erp.example/ok x-key=$", "not behind TLS");
}

#[test]
fn a_secret_that_would_split_a_header_is_refused() {
    let server = HostileServer::start().unwrap();
    let origin = server.url();
    let check = |value: &str, request: &str, outcome: Outcome, expected: &str| {
        let mut instance = with_secret(&[&origin], &[]);
        instance.grants.secrets[0].value = Some(value.as_bytes().to_vec()).into();
        let (found, said, _) = send(instance, &format!("GET {origin}/echo {request}"));
        assert_eq!(found, outcome, "{value:?} {request}: {said}");
        assert!(said.contains(expected), "{value:?} {request}: {said:?}");
    };
    const REFUSED: &str = "the secret TOKEN holds a line break or another control character";
    check("token-1\r\nx-evil: 1", "x-key=$", Outcome::Rejected, REFUSED);
    check("token-1\n", "x-key=a$b", Outcome::Rejected, REFUSED);
    check("token\0-1", "x-key=$", Outcome::Rejected, REFUSED);
    // Where it is packed it does no harm.
    check("token-1\n", "?q=$", Outcome::Ok, "200");
    check("token-1\n", "authorization=$user", Outcome::Ok, "200");
    let seen = server.seen();
    assert_eq!(seen.len(), 2);
    assert!(seen.iter().all(|request| request.header("x-evil").is_none()));
}

#[test]
fn what_answers_hold_together_has_a_limit() {
    let server = HostileServer::start().unwrap();
    let limits = Limits { http_answers_max_bytes: 3 << 20, http_in_flight_max: 1, ..Limits::default() };
    let instance = Instance { limits, ..with_grant(&server.url(), "http") };
    let port = wait(guest("guest-destination").destination(instance)).unwrap();
    let payload = format!("GET {}/bytes?bytes=1000000", server.url());
    let keys: Column = ["k"; 8].into_iter().collect();
    let options = WriteOptions { stop_at_first_failure: false };
    let (written, trace) = wait(port.write(batch(&[payload.as_str(); 8]), keys, options)).unwrap();
    use Outcome::{Ok, Unknown};
    // What was asked and is too large is in doubt; nobody knows that from the others.
    assert_eq!(written.outcomes[..4], [Ok, Ok, Ok, Unknown]);
    assert!(trace.exchanges[3].error.as_deref().unwrap_or_default().contains("too large together"));
    assert_eq!(server.seen().len(), trace.exchanges.len());
}
