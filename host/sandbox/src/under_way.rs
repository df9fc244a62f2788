//! Requests that a plugin began, and what came of those that it was not told of yet.

use crate::bindings::imports::http::{HttpError, Response};
use crate::http_client::Gathered;
use std::future::Future;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::{JoinError, JoinSet};

/// A request that came to its end.
pub(crate) struct Sent {
    pub(crate) number: u32,
    pub(crate) answer: Result<Response, HttpError>,
    /// What is kept of the room for answers until this one is handed over.
    pub(crate) kept_bytes: usize,
}

/// Requests that were begun together. Dropping it ends those that are on their way.
pub(crate) struct UnderWay {
    /// How many were begun: also the number of the next one.
    begun: u32,
    places: Arc<Semaphore>,
    /// Where their answers count.
    pub(crate) gathered: Arc<Gathered>,
    sending: JoinSet<Sent>,
    /// Those that were not sent at all.
    refused: Vec<Sent>,
}

impl UnderWay {
    /// None yet, and at most so many at once.
    pub(crate) fn new(in_flight: u32, gathered: Gathered) -> Self {
        let places = Arc::new(Semaphore::new(in_flight.max(1) as usize));
        Self { begun: 0, places, gathered: Arc::new(gathered), sending: JoinSet::new(), refused: Vec::new() }
    }

    /// The number of the request that is begun now.
    pub(crate) fn number(&mut self) -> u32 {
        let number = self.begun;
        self.begun = self.begun.saturating_add(1);
        number
    }

    /// Waits for a place among those that are on their way; it is free again when this is dropped.
    pub(crate) async fn place(&self) -> Option<OwnedSemaphorePermit> {
        // It is never closed, so there is always a place in the end.
        self.places.clone().acquire_owned().await.ok()
    }

    /// Sends one.
    pub(crate) fn send(&mut self, sending: impl Future<Output = Sent> + Send + 'static, io: &Handle) {
        self.sending.spawn_on(sending, io);
    }

    /// Notes one that is not sent.
    pub(crate) fn refuse(&mut self, number: u32, error: HttpError) {
        self.refused.push(Sent { number, answer: Err(error), kept_bytes: 0 });
    }

    /// Waits for one that has come to its end; `None` if there is none any more.
    ///
    /// # Errors
    /// A panic of ours on the way.
    pub(crate) async fn ended(&mut self) -> Result<Option<Sent>, JoinError> {
        match self.refused.pop() {
            Some(refused) => Ok(Some(refused)),
            None => self.sending.join_next().await.transpose(),
        }
    }
}
