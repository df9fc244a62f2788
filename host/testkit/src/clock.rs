//! The clock that plugins under test see.

use crossdock_engine::ports::{Clock, PortFuture};
use crossdock_model::Timestamp;
use std::sync::atomic::{AtomicI64, Ordering};

/// 2026-01-01T00:00:00Z.
pub(crate) const BEGINNING: Timestamp = Timestamp(1_767_225_600_000);

/// A clock that is set.
#[derive(Debug)]
pub(crate) struct SetClock(AtomicI64);

impl SetClock {
    pub(crate) fn new(now: Timestamp) -> Self {
        Self(AtomicI64::new(now.0))
    }

    pub(crate) fn set(&self, to: Timestamp) {
        self.0.store(to.0, Ordering::Relaxed);
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        Timestamp(self.0.load(Ordering::Relaxed))
    }

    fn sleep_until(&self, _: Timestamp) -> PortFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}
