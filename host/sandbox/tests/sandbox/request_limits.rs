//! Limits that instances share, against a server that notes when requests come.

use crate::common::{batch, guest, wait};
use crate::http::{Server, with_grant};
use crossdock_engine::ports::{DestinationPort, WriteOptions};
use crossdock_model::{Column, Outcome};
use crossdock_sandbox::{Instance, Limits, RequestLimits};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::time::{Duration, Instant};

fn start(instance: Instance) -> Arc<dyn DestinationPort> {
    wait(guest("guest-destination").destination(instance)).unwrap()
}

/// Writes records that each send one request; answers with outcomes, and the message of the last failure.
async fn write(port: &dyn DestinationPort, url: &str, records: usize) -> (Vec<Outcome>, String) {
    let keys: Column = vec!["k"; records].into_iter().collect();
    let payload = format!("POST {url}");
    let payloads = vec![payload.as_str(); records];
    let answer = port.write(batch(&payloads), keys, WriteOptions { stop_at_first_failure: false }).await;
    let written = answer.answer.unwrap();
    let message = written.failures.last().map(|(_, failure)| failure.message.clone());
    (written.outcomes, message.unwrap_or_default())
}

#[test]
fn a_rate_is_shared_and_its_waits_are_not_held_against_a_call() {
    const RATE: f64 = 40.0;
    let server = Server::start();
    let shared = Arc::new(RequestLimits::new(Some(RATE), None));
    // Less than the waits take, and enough for everything else.
    let limits = Limits { call_time_max_ms: 1_000, ..Limits::default() };
    let instance = || Instance { limits, request_limits: Some(shared.clone()), ..with_grant(&server.origin, "http") };
    let (one, other) = (start(instance()), start(instance()));
    let url = format!("{}/ok", server.origin);
    let begun = Instant::now();
    let both = async { tokio::join!(write(&*one, &url, 40), write(&*other, &url, 40)) };
    let ((first, said), (second, _)) = wait(both);
    assert_eq!((first, second), (vec![Outcome::Ok; 40], vec![Outcome::Ok; 40]), "{said}");
    // 4 may go at once, 76 at their pace.
    assert!(begun.elapsed() >= Duration::from_millis(1_900), "{:?}", begun.elapsed());
    let times = server.times();
    let within = Duration::from_millis(500);
    for first in &times {
        let crowd = times.iter().filter(|time| *time >= first && **time < *first + within).count();
        // What goes out at its pace may arrive a little late, and then closer together.
        assert!(crowd <= 20 + 4 + 6, "{crowd} requests within half a second at {RATE} a second");
    }
}

#[test]
fn waits_beyond_their_limit_count_as_the_time_of_the_call() {
    let server = Server::start();
    let limits = Limits { call_time_max_ms: 500, http_wait_max_ms: 300, ..Limits::default() };
    let shared = Arc::new(RequestLimits::new(Some(0.01), None));
    let port = start(Instance { limits, request_limits: Some(shared), ..with_grant(&server.origin, "http") });
    let begun = Instant::now();
    let (outcomes, said) = wait(write(&*port, &format!("{}/ok", server.origin), 3));
    assert_eq!(outcomes, [Outcome::Ok, Outcome::Retryable, Outcome::Retryable]);
    assert!(said.contains("no time left before the request had its turn"), "{said}");
    assert!(begun.elapsed() >= Duration::from_millis(500), "{:?}", begun.elapsed());
    assert_eq!(server.times().len(), 1);
}

#[test]
fn a_wait_ends_when_the_run_is_asked_to_stop() {
    let server = Server::start();
    let shared = Arc::new(RequestLimits::new(Some(0.01), None));
    let cancelled = Arc::new(AtomicBool::new(true));
    let port = start(Instance { request_limits: Some(shared), cancelled, ..with_grant(&server.origin, "http") });
    let (outcomes, said) = wait(write(&*port, &format!("{}/ok", server.origin), 2));
    assert_eq!(outcomes, [Outcome::Ok, Outcome::Retryable]);
    assert!(said.contains("asked to stop"), "{said}");
    assert_eq!(server.times().len(), 1);
}

#[test]
fn a_wait_that_is_given_up_takes_nothing_from_the_others() {
    let server = Server::start();
    let shared = Arc::new(RequestLimits::new(None, Some(1)));
    let start = || start(Instance { request_limits: Some(shared.clone()), ..with_grant(&server.origin, "http") });
    let (one, other) = (start(), start());
    let (stuck, url) = (format!("{}/wait", server.origin), format!("{}/ok", server.origin));
    let told = wait(async {
        // The call and its request are given up while the server still holds it.
        let given_up = tokio::time::timeout(Duration::from_millis(200), write(&*one, &stuck, 1)).await;
        assert!(given_up.is_err());
        write(&*other, &url, 2).await
    });
    assert_eq!(told.0, [Outcome::Ok, Outcome::Ok], "{}", told.1);
}

#[test]
fn requests_in_flight_are_counted_over_all_instances() {
    let check = |in_flight: Option<u32>, most: usize| {
        let server = Server::start();
        let shared = Arc::new(RequestLimits::new(None, in_flight));
        let instance = || Instance { request_limits: Some(shared.clone()), ..with_grant(&server.origin, "http") };
        let (one, other) = (start(instance()), start(instance()));
        let url = format!("{}/pair", server.origin);
        let both = async { tokio::join!(write(&*one, &url, 1), write(&*other, &url, 1)) };
        let (first, second) = wait(both);
        assert_eq!((first.0, second.0), (vec![Outcome::Ok], vec![Outcome::Ok]));
        assert_eq!(server.most_at_once(), most, "{in_flight:?} in flight");
    };
    check(None, 2);
    check(Some(2), 2);
    check(Some(1), 1);
    check(Some(0), 1);
}
