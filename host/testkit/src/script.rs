//! Answers requests as a case scripts them, and knows what was asked that it does not expect.

use crate::bench::Service;
use crate::case::{Exchange, Times};
use crate::request::{Keys, Reply, Seen, differences};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// The exchanges of a case, and what became of them.
pub(crate) struct Script {
    exchanges: Vec<Exchange>,
    keys: Keys,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    used: Vec<u32>,
    unexpected: Vec<String>,
}

impl Script {
    pub(crate) fn new(exchanges: Vec<Exchange>, keys: Keys) -> Self {
        let now = Now { used: vec![0; exchanges.len()], ..Now::default() };
        Self { exchanges, keys, now: Mutex::new(now) }
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What was asked and not expected, and expected and not asked.
    pub(crate) fn differences(&self) -> Vec<String> {
        let now = self.now();
        let mut differences = now.unexpected.clone();
        for (exchange, used) in self.exchanges.iter().zip(&now.used) {
            let what = format!("{} {}", exchange.request.method, exchange.request.url);
            match exchange.times {
                None if *used == 0 => differences.push(format!("request {what}: expected, and was not sent")),
                Some(Times::Number(times)) if *used < times => {
                    differences.push(format!("request {what}: expected {times} times, and was sent {used} times"));
                }
                _ => {}
            }
        }
        differences
    }
}

/// Whether an exchange may take place once more.
fn is_left(exchange: &Exchange, used: u32) -> bool {
    match exchange.times {
        None => used == 0,
        Some(Times::Number(times)) => used < times,
        Some(Times::Any(_)) => true,
    }
}

impl Service for Script {
    fn reply(&self, request: &Seen) -> Reply {
        let mut now = self.now();
        let mut nearest: Option<(usize, Vec<String>)> = None;
        for (at, exchange) in self.exchanges.iter().enumerate() {
            let left = is_left(exchange, now.used[at]);
            let mut lines = differences(&exchange.request, request, &self.keys);
            if lines.is_empty() && left {
                now.used[at] += 1;
                return Reply::of(exchange);
            }
            if lines.is_empty() {
                lines.push("it was sent already as often as expected".to_owned());
            }
            if nearest.as_ref().is_none_or(|(_, known)| lines.len() < known.len()) {
                nearest = Some((at, lines));
            }
        }
        let mut told = format!("request {}: not expected", request.shown());
        if let Some((at, lines)) = nearest {
            let expected = &self.exchanges[at].request;
            told = format!("{told}; nearest is {} {}: {}", expected.method, expected.url, lines.join("; "));
        }
        now.unexpected.push(told);
        Reply::NotConnected
    }
}
