//! The requests of a call, known from when they are begun: a call that is interrupted leaves those that were on their
//! way.

use crossdock_engine::ports::Exchange;
use crossdock_model::Timestamp;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// What is told of a request whose call ended before it.
const INTERRUPTED: &str = "the call ended before an answer came";

/// The requests of one call, in the order they were begun. As many as the call may send.
#[derive(Debug, Clone, Default)]
pub(crate) struct Exchanges(Arc<Mutex<Vec<Exchange>>>);

impl Exchanges {
    /// Notes a request that is about to be sent.
    pub(crate) fn begin(&self, at: Timestamp, record: Option<u32>, method: String, url: String) -> Begun {
        let now = Exchange { at, record, method, url, status: None, error: None, took_ms: 0, bytes: 0 };
        let mut list = self.list();
        list.push(now.clone());
        Begun { of: self.clone(), place: list.len() - 1, now }
    }

    /// Ends the call: what is still on its way has come to nothing that anybody hears of. The time is asked for only
    /// if there is any.
    pub(crate) fn take(&self, now: impl Fn() -> Timestamp) -> Vec<Exchange> {
        let mut list = std::mem::take(&mut *self.list());
        for exchange in list.iter_mut().filter(|exchange| exchange.status.is_none() && exchange.error.is_none()) {
            exchange.error = Some(INTERRUPTED.to_owned());
            exchange.took_ms = now().ms_since(exchange.at);
        }
        list
    }

    fn list(&self) -> MutexGuard<'_, Vec<Exchange>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A request that is on its way.
pub(crate) struct Begun {
    of: Exchanges,
    place: usize,
    /// What is known of it by now.
    pub(crate) now: Exchange,
}

impl Begun {
    /// It has come to its end.
    pub(crate) fn end(self) {
        // Its call may have ended before.
        if let Some(exchange) = self.of.list().get_mut(self.place) {
            *exchange = self.now;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_on_its_way_when_the_call_ends_is_known_as_begun() {
        let exchanges = Exchanges::default();
        let begin =
            |at| exchanges.begin(Timestamp(at), Some(0), "POST".to_owned(), format!("https://erp.example/{at}"));
        let (mut first, second) = (begin(1), begin(2));
        first.now.status = Some(201);
        first.end();
        let told = exchanges.take(|| Timestamp(32));
        let told: Vec<_> = told.iter().map(|one| (one.status, one.error.as_deref(), one.took_ms)).collect();
        assert_eq!(told, [(Some(201), None, 0), (None, Some(INTERRUPTED), 30)]);
        // What comes of it later is of no call any more.
        second.end();
        assert!(exchanges.take(|| Timestamp(33)).is_empty());
    }
}
