//! Connections that wait for their next request, and how many there may be.

use super::connect::{Connection, IDLE_TIMEOUT};
use crate::limits::Limits;
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::Instant;

/// Whose a connection is: that of one instance, to one of its origins. It is used for nothing else, so that what one
/// plugin left on it, a login or a lie of the other side, never meets another one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Place {
    pub(super) owner: u64,
    pub(super) origin: usize,
}

struct Idle {
    place: Place,
    since: Instant,
    connection: Connection,
}

/// All connections of a sandbox.
pub(super) struct Pool {
    sockets: Arc<Semaphore>,
    /// The one that has waited longest first.
    idle: Mutex<VecDeque<Idle>>,
}

impl Default for Pool {
    fn default() -> Self {
        Self { sockets: Arc::new(Semaphore::new(Limits::HTTP_SOCKETS_MAX)), idle: Mutex::default() }
    }
}

impl Pool {
    /// A connection that waits at this place.
    pub(super) fn take(&self, place: Place) -> Option<Connection> {
        let now = Instant::now();
        let mut idle = self.idle();
        idle.retain(|one| now.duration_since(one.since) < IDLE_TIMEOUT && !one.connection.sender.is_closed());
        let newest = idle.iter().rposition(|one| one.place == place)?;
        idle.remove(newest).map(|one| one.connection)
    }

    /// Keeps a connection for later.
    pub(super) fn keep(&self, place: Place, connection: Connection) {
        let mut idle = self.idle();
        let mine = idle.iter().filter(|one| one.place.owner == place.owner).count();
        if mine >= Limits::HTTP_IDLE_MAX
            && let Some(oldest) = idle.iter().position(|one| one.place.owner == place.owner)
        {
            idle.remove(oldest);
        }
        idle.push_back(Idle { place, since: Instant::now(), connection });
        while idle.len() > Limits::HTTP_IDLE_TOTAL_MAX {
            idle.pop_front();
        }
    }

    /// Closes what waits for somebody who is gone.
    pub(super) fn forget(&self, owner: u64) {
        self.idle().retain(|one| one.place.owner != owner);
    }

    /// Leave to open one more socket; the connection that has waited longest is closed if there is none left.
    pub(super) async fn socket(&self) -> Result<OwnedSemaphorePermit, String> {
        if let Ok(socket) = self.sockets.clone().try_acquire_owned() {
            return Ok(socket);
        }
        drop(self.idle().pop_front());
        self.sockets.clone().acquire_owned().await.map_err(|error| error.to_string())
    }

    /// How many connections wait for another request.
    #[cfg(test)]
    pub(super) fn waiting(&self) -> usize {
        self.idle().len()
    }

    fn idle(&self) -> MutexGuard<'_, VecDeque<Idle>> {
        self.idle.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
