//! The ports to the outside that need no crate of their own: clock, ids, seeds.

use crossdock_engine::ports::{Clock, PortFuture};
use crossdock_model::{RunId, Timestamp};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// The clock of the machine.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn sleep_until(&self, at: Timestamp) -> PortFuture<'_, ()> {
        let wait = Duration::from_millis(at.ms_since(self.now()));
        Box::pin(tokio::time::sleep(wait))
    }
}

/// Ids of runs sort by time: UUIDs of version 7 (RFC 9562).
pub(crate) fn new_run_id() -> RunId {
    RunId(uuid::Uuid::now_v7().to_string())
}

/// A seed for the jitter of a run.
pub(crate) fn new_seed() -> u64 {
    // The last 62 bits of a UUID of version 7 are random.
    u64::from_le_bytes(uuid::Uuid::now_v7().into_bytes()[8..].try_into().unwrap_or_default())
}
