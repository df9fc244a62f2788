//! The other system as the hostile host thinks of it: answers as the case's exchanges do, as often as it is asked, and
//! fails where it is told to.

use crate::bench::Service;
use crate::case::{Case, Exchange};
use crate::request::{Keys, Reply, Seen, differences};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// Where it fails.
#[derive(Debug, Clone)]
pub(crate) enum Failing {
    /// Nowhere.
    Never,
    /// At the request with this number, counted from 0, in this way.
    At(usize, Reply),
    /// At every request.
    Always(Reply),
}

/// A system that is thought of.
pub(crate) struct World {
    exchanges: Vec<Exchange>,
    keys: Keys,
    failing: Failing,
    keeps_log: bool,
    now: Mutex<Now>,
}

#[derive(Default)]
struct Now {
    used: Vec<bool>,
    log: Vec<Seen>,
    unknown: Option<String>,
}

impl World {
    pub(crate) fn new(case: &Case, keys: Keys, failing: Failing) -> Self {
        let exchanges = case.exchanges.clone();
        let now = Now { used: vec![false; exchanges.len()], ..Now::default() };
        Self { exchanges, keys, failing, keeps_log: true, now: Mutex::new(now) }
    }

    /// The same without a log, for very many requests.
    pub(crate) fn without_log(mut self) -> Self {
        self.keeps_log = false;
        self
    }

    fn now(&self) -> MutexGuard<'_, Now> {
        self.now.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// All requests in the order in which they came.
    pub(crate) fn log(&self) -> Vec<Seen> {
        self.now().log.clone()
    }

    /// Those that may change something.
    pub(crate) fn changes(&self) -> Vec<Seen> {
        self.log().into_iter().filter(Seen::is_change).collect()
    }

    /// A request that no exchange of the case is like.
    pub(crate) fn unknown(&self) -> Option<String> {
        self.now().unknown.clone()
    }
}

/// What is before the query, in pieces.
fn segments(url: &str) -> Vec<&str> {
    url.split(['?', '#']).next().unwrap_or_default().split('/').collect()
}

/// How alike two URLs are: how many pieces are equal, if they have equally many and the same origin.
fn likeness(expected: &str, found: &str) -> Option<usize> {
    let (expected, found) = (segments(expected), segments(found));
    let alike = expected.len() == found.len() && expected.get(..3) == found.get(..3);
    alike.then(|| expected.iter().zip(&found).filter(|(a, b)| a == b).count())
}

fn succeeds(exchange: &Exchange) -> bool {
    exchange.answer.as_ref().is_some_and(|answer| answer.status < 400)
}

impl World {
    /// What is answered when nothing goes wrong.
    fn normal(&self, request: &Seen, now: &mut Now) -> Option<Reply> {
        let fits = |exchange: &Exchange| differences(&exchange.request, request, &self.keys).is_empty();
        let fitting: Vec<usize> = (0..self.exchanges.len()).filter(|at| fits(&self.exchanges[*at])).collect();
        let fresh = fitting.iter().copied().find(|at| !now.used[*at] && succeeds(&self.exchanges[*at]));
        let again = fitting.iter().copied().rfind(|at| succeeds(&self.exchanges[*at]));
        if let Some(at) = fresh.or(again).or(fitting.last().copied()) {
            now.used[at] = true;
            return Some(Reply::of(&self.exchanges[at]));
        }
        let like = |exchange: &&Exchange| exchange.request.method == request.method && succeeds(exchange);
        let nearest = self.exchanges.iter().filter(like);
        let nearest = nearest.filter_map(|exchange| Some((likeness(&exchange.request.url, &request.url)?, exchange)));
        nearest.max_by_key(|(alike, _)| *alike).map(|(_, exchange)| Reply::of(exchange))
    }
}

impl Service for World {
    fn reply(&self, request: &Seen) -> Reply {
        let mut now = self.now();
        let number = now.log.len();
        if self.keeps_log {
            now.log.push(request.clone());
        }
        let normal = self.normal(request, &mut now);
        if normal.is_none() {
            now.unknown.get_or_insert_with(|| request.shown());
        }
        match &self.failing {
            Failing::At(at, reply) if *at == number => return reply.clone(),
            Failing::Always(reply) => return reply.clone(),
            _ => {}
        }
        normal.unwrap_or(Reply::NotConnected)
    }
}
