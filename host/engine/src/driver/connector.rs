//! What runs that use the same connector share: what is known of it, how fast it is called, and who goes first.

use crate::machine::ConnectorDown;
use crate::ports::Clock;
use crossdock_model::Timestamp;
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use tokio::sync::{Notify, watch};

/// How long a resync lets live work go first at a connector before it takes its turn, in milliseconds.
pub const RESYNC_YIELDS_MAX_MS: u64 = 5_000;

/// Who wants to call a connector.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lane {
    /// A run that reads from its source, or undoes something.
    Live,
    /// A run that puts records through again: it lets live work go first.
    Resync,
}

/// One connector, as all routes of a process share it that use the same plugin with the same settings and grants.
#[derive(Debug)]
pub struct Connector {
    down: watch::Sender<Option<ConnectorDown>>,
    /// Records a second; `None` is no limit.
    rate: Option<f64>,
    /// When the next record may be handed over.
    next: Mutex<Timestamp>,
    live: AtomicU32,
    idle: Notify,
}

/// A call under way; dropping it lets others go.
#[derive(Debug)]
pub(super) struct Turn<'c>(Option<&'c Connector>);

impl Drop for Turn<'_> {
    fn drop(&mut self) {
        if let Some(connector) = self.0
            && connector.live.fetch_sub(1, Ordering::Relaxed) == 1
        {
            connector.idle.notify_waiters();
        }
    }
}

impl Connector {
    /// A connector that nothing is known of yet. `records_per_second` limits what is handed to it, all runs together.
    #[must_use]
    pub fn new(records_per_second: Option<f64>) -> Self {
        Self {
            down: watch::Sender::new(None),
            rate: records_per_second.filter(|rate| rate.is_finite() && *rate > 0.0),
            next: Mutex::new(Timestamp(i64::MIN)),
            live: AtomicU32::new(0),
            idle: Notify::new(),
        }
    }

    /// Why it cannot be used, if a run has found that out.
    #[must_use]
    pub fn down(&self) -> Option<ConnectorDown> {
        self.down.borrow().clone()
    }

    pub(super) fn listen(&self) -> watch::Receiver<Option<ConnectorDown>> {
        self.down.subscribe()
    }

    pub(super) fn announce(&self, down: Option<ConnectorDown>) {
        self.down.send_if_modified(|known| {
            let changes = *known != down;
            *known = down;
            changes
        });
    }

    /// Waits until so many records may be handed over.
    pub(super) async fn turn(&self, lane: Lane, records: usize, clock: &dyn Clock) -> Turn<'_> {
        let turn = match lane {
            Lane::Live => {
                self.live.fetch_add(1, Ordering::Relaxed);
                Turn(Some(self))
            }
            Lane::Resync => {
                self.yield_to_live(clock).await;
                Turn(None)
            }
        };
        if let Some(at) = self.reserve(records, clock.now()) {
            clock.sleep_until(at).await;
        }
        turn
    }

    async fn yield_to_live(&self, clock: &dyn Clock) {
        let mut patience = clock.sleep_until(clock.now().plus_ms(RESYNC_YIELDS_MAX_MS));
        loop {
            let idle = self.idle.notified();
            if self.live.load(Ordering::Relaxed) == 0 {
                return;
            }
            tokio::select! {
                () = idle => {}
                () = &mut patience => return,
            }
        }
    }

    /// When they may go; the time after that is taken up by them.
    fn reserve(&self, records: usize, now: Timestamp) -> Option<Timestamp> {
        let rate = self.rate?;
        let took_ms = (records as f64 * 1_000.0 / rate).ceil() as u64;
        let mut next = self.next.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let at = (*next).max(now);
        *next = at.plus_ms(took_ms);
        (at > now).then_some(at)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn records_keep_their_distance() {
        let connector = Connector::new(Some(100.0));
        assert_eq!(connector.reserve(50, Timestamp(1_000)), None);
        assert_eq!(connector.reserve(10, Timestamp(1_100)), Some(Timestamp(1_500)));
        assert_eq!(connector.reserve(1, Timestamp(5_000)), None, "time that passed idle is not saved up");
        assert_eq!(Connector::new(None).reserve(1_000_000, Timestamp(0)), None);
    }
}
