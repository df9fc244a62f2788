//! Operations on files wait for the disk, or for a machine far away: on threads of their own, of which there are only
//! so many.

use crate::limits::Limits;
use std::future::Future;
use std::sync::Arc;
use thiserror::Error;
use tokio::sync::{AcquireError, OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinHandle, spawn_blocking};

/// The operations of all plugins of a sandbox.
#[derive(Debug)]
pub(crate) struct Operations(Arc<Semaphore>);

impl Default for Operations {
    fn default() -> Self {
        Self(Arc::new(Semaphore::new(Limits::FILE_OPERATIONS_TOTAL_MAX)))
    }
}

impl Operations {
    /// Those of one plugin at one place.
    pub(crate) fn lane(&self) -> Lane {
        Lane { own: Arc::new(Semaphore::new(Limits::FILE_OPERATIONS_MAX)), all: self.0.clone() }
    }
}

/// An operation has no answer: a mistake of the host's own, or it is shut down.
#[derive(Debug, Error)]
#[error("an operation on a file ended before its time: {0}")]
pub(crate) struct Lost(String);

impl From<JoinError> for Lost {
    fn from(error: JoinError) -> Self {
        Self(error.to_string())
    }
}

impl From<AcquireError> for Lost {
    fn from(error: AcquireError) -> Self {
        Self(error.to_string())
    }
}

/// Where a plugin's operations on files run. Shared by all instances that its port starts one after the other: what
/// a call leaves behind when its time is over, because the disk does not answer, counts until it comes back. So a
/// directory that hangs keeps only so many threads, however often it is tried.
#[derive(Debug, Clone)]
pub(crate) struct Lane {
    own: Arc<Semaphore>,
    all: Arc<Semaphore>,
}

impl Lane {
    /// Does what may block its thread. Waits for its turn; whoever gives up waiting leaves nothing behind but what has
    /// begun.
    pub(crate) fn run<T, W>(&self, work: W) -> impl Future<Output = Result<T, Lost>> + Send + use<T, W>
    where
        T: Send + 'static,
        W: FnOnce() -> T + Send + 'static,
    {
        let (own, all) = (self.own.clone(), self.all.clone());
        async move {
            let turn: (OwnedSemaphorePermit, OwnedSemaphorePermit) =
                (own.acquire_owned().await?, all.acquire_owned().await?);
            let working = spawn_blocking(move || {
                let done = work();
                drop(turn);
                done
            });
            Ok(working.await?)
        }
    }

    /// How many have begun, or wait for their turn among those of all plugins.
    pub(crate) fn under_way(&self) -> usize {
        Limits::FILE_OPERATIONS_MAX - self.own.available_permits().min(Limits::FILE_OPERATIONS_MAX)
    }

    /// As [`run`](Self::run), without waiting for it.
    pub(crate) fn start<T: Send + 'static>(&self, work: impl FnOnce() -> T + Send + 'static) -> Started<T> {
        Started(tokio::spawn(self.run(work)))
    }
}

/// An operation that goes on by itself. One that has not begun when this is dropped never does.
#[derive(Debug)]
pub(crate) struct Started<T>(JoinHandle<Result<T, Lost>>);

impl<T> Started<T> {
    pub(crate) async fn done(&mut self) -> Result<T, Lost> {
        (&mut self.0).await?
    }
}

impl<T> Drop for Started<T> {
    fn drop(&mut self) {
        self.0.abort();
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::future::poll_fn;
    use std::pin::pin;
    use std::sync::mpsc;
    use std::task::Poll;

    /// Whether a future is ready when it is asked once.
    async fn is_ready(future: impl Future) -> bool {
        let mut future = pin!(future);
        poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_ready())).await
    }

    #[tokio::test]
    async fn what_hangs_keeps_its_place_and_no_other() {
        let operations = Operations::default();
        let (hanging, other) = (operations.lane(), operations.lane());
        let mut ends = Vec::new();
        for _ in 0..Limits::FILE_OPERATIONS_MAX {
            let (begun, has_begun) = tokio::sync::oneshot::channel();
            let (end, ended) = mpsc::channel::<()>();
            ends.push(end);
            let call = hanging.run(move || {
                begun.send(()).unwrap();
                ended.recv()
            });
            // The call is given up when the operation has begun and does not end.
            tokio::select! {
                _ = call => unreachable!("nobody ended it"),
                begun = has_begun => begun.unwrap(),
            }
        }
        assert_eq!((hanging.under_way(), other.under_way()), (Limits::FILE_OPERATIONS_MAX, 0));
        // However often it is tried, no more threads are taken.
        for _ in 0..100 {
            assert!(!is_ready(hanging.run(|| ())).await);
        }
        assert_eq!(operations.0.available_permits(), Limits::FILE_OPERATIONS_TOTAL_MAX - Limits::FILE_OPERATIONS_MAX);
        assert_eq!(other.run(|| 1).await.unwrap(), 1);
        // What comes back makes room again.
        ends.pop();
        assert_eq!(hanging.run(|| 2).await.unwrap(), 2);
        assert_eq!(hanging.start(|| 3).done().await.unwrap(), 3);
        ends.clear();
        assert!(hanging.own.acquire_many(u32::try_from(Limits::FILE_OPERATIONS_MAX).unwrap()).await.is_ok());
    }

    #[tokio::test]
    async fn a_mistake_of_ours_is_told_as_one() {
        let lane = Operations::default().lane();
        let said = lane.run(|| std::panic::resume_unwind(Box::new("on purpose"))).await;
        assert!(said.is_err_and(|lost: Lost| lost.to_string().contains("panic")));
        assert_eq!(lane.own.available_permits(), Limits::FILE_OPERATIONS_MAX);
    }
}
