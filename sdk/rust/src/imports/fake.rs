//! The host that native tests talk to. One a thread, so that tests do not disturb each other.

use super::exchange::{HttpError, Request, Response};
use super::kinds::{Level, SecretError, StateError};
use std::cell::RefCell;
use std::collections::{BTreeMap, VecDeque};
use std::rc::Rc;

/// Answers the requests of a test.
pub(crate) type Server = Rc<RefCell<dyn FnMut(&Request) -> Result<Response, HttpError>>>;

/// A secret of a test.
pub(crate) struct FakeSecret {
    pub(crate) name: String,
    pub(crate) value: Vec<u8>,
    pub(crate) revealed: bool,
}

/// Everything that a test can set up and look at.
pub(crate) struct Host {
    pub(crate) now_ms: u64,
    pub(crate) remaining_ms: u64,
    pub(crate) cancelled: bool,
    pub(crate) messages: Vec<(Level, String)>,
    pub(crate) counters: BTreeMap<String, u64>,
    pub(crate) gauges: BTreeMap<String, f64>,
    pub(crate) state: BTreeMap<String, Vec<u8>>,
    pub(crate) secrets: Vec<FakeSecret>,
    pub(crate) server: Option<Server>,
    pub(crate) in_flight: Vec<u32>,
    /// Answers to requests that were begun and not told yet.
    pub(crate) answered: VecDeque<(u32, Result<Response, HttpError>)>,
    /// How many requests were begun.
    pub(crate) begun: u32,
}

impl Host {
    fn new() -> Self {
        Self {
            now_ms: 0,
            remaining_ms: 30_000,
            cancelled: false,
            messages: Vec::new(),
            counters: BTreeMap::new(),
            gauges: BTreeMap::new(),
            state: BTreeMap::new(),
            secrets: Vec::new(),
            server: None,
            in_flight: Vec::new(),
            answered: VecDeque::new(),
            begun: 0,
        }
    }
}

thread_local! {
    static HOST: RefCell<Host> = RefCell::new(Host::new());
}

pub(crate) fn with<T>(action: impl FnOnce(&mut Host) -> T) -> T {
    HOST.with_borrow_mut(action)
}

pub(crate) fn reset() {
    with(|host| *host = Host::new());
}

pub(super) fn now_ms() -> u64 {
    with(|host| host.now_ms)
}

pub(super) fn remaining_ms() -> u64 {
    with(|host| host.remaining_ms)
}

pub(super) fn cancelled() -> bool {
    with(|host| host.cancelled)
}

pub(super) fn write(level: Level, message: &str) {
    with(|host| host.messages.push((level, message.to_owned())));
}

pub(super) fn count(name: &str, delta: u64) {
    with(|host| *host.counters.entry(name.to_owned()).or_default() += delta);
}

pub(super) fn gauge(name: &str, value: f64) {
    with(|host| host.gauges.insert(name.to_owned(), value));
}

pub(super) fn get(key: &str) -> Option<Vec<u8>> {
    with(|host| host.state.get(key).cloned())
}

pub(super) fn set(key: &str, value: &[u8]) -> Result<(), StateError> {
    if key.is_empty() || key.len() > 256 || value.len() > 64 * 1024 {
        return Err(StateError::TooLarge);
    }
    with(|host| {
        let others: usize = host.state.iter().filter(|(known, _)| *known != key).map(|(_, value)| value.len()).sum();
        if others + value.len() > 1024 * 1024 {
            return Err(StateError::QuotaReached);
        }
        host.state.insert(key.to_owned(), value.to_vec());
        Ok(())
    })
}

pub(super) fn delete(key: &str) {
    with(|host| host.state.remove(key));
}

pub(super) fn open(name: &str) -> Result<u32, SecretError> {
    with(|host| match host.secrets.iter().position(|secret| secret.name == name) {
        Some(handle) => Ok(handle as u32),
        None => Err(SecretError::NotGranted),
    })
}

pub(super) fn reveal(handle: u32) -> Result<Vec<u8>, SecretError> {
    with(|host| match host.secrets.get(handle as usize) {
        Some(secret) if secret.revealed => Ok(secret.value.clone()),
        Some(_) => Err(SecretError::NotRevealed),
        None => Err(SecretError::NotGranted),
    })
}

/// Answers in the order of the requests.
pub(super) fn send(requests: &[Request], in_flight: u32) -> Vec<Result<Response, HttpError>> {
    with(|host| host.in_flight.push(in_flight));
    requests.iter().map(answer).collect()
}

/// Answered at once; told when it is asked for.
pub(super) fn begin(request: &Request) -> u32 {
    let answer = answer(request);
    with(|host| {
        host.begun += 1;
        host.answered.push_back((host.begun, answer));
        host.in_flight.push(host.answered.len() as u32);
        host.begun
    })
}

/// In the order of the requests.
pub(super) fn next() -> Option<(u32, Result<Response, HttpError>)> {
    with(|host| host.answered.pop_front())
}

/// The server may itself look at this host, so it is not called while the host is borrowed.
fn answer(request: &Request) -> Result<Response, HttpError> {
    match with(|host| host.server.clone()) {
        Some(server) => (server.borrow_mut())(request),
        None => Err(HttpError::NotGranted(request.url.clone())),
    }
}
