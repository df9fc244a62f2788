//! Watching a run: how it is getting on, and what is written down about it.

use crate::error::Error;
use crossdock_engine::machine::Progress;
use crossdock_ledger::{Cursor, EventFilter, EventOrder, LedgerReader, LoggedEvent};
use crossdock_model::RunId;
use std::collections::VecDeque;
use std::fmt;
use tokio::sync::watch;

/// How many events are read at once.
const EVENTS_READ: u32 = 100;

/// How a run is getting on. Needs no runtime of a certain kind, and does not slow the run down: what nobody looked at in
/// time is passed over.
#[derive(Debug, Clone)]
pub struct Watch(watch::Receiver<Progress>);

impl Watch {
    pub(crate) fn new(progress: watch::Receiver<Progress>) -> Self {
        Self(progress)
    }

    /// How it is getting on now, or how it was at its end.
    #[must_use]
    pub fn now(&self) -> Progress {
        self.0.borrow().clone()
    }

    /// Waits for the next change. `None` when the run has ended; [`Watch::now`] has its last numbers then.
    pub async fn changed(&mut self) -> Option<Progress> {
        self.0.changed().await.ok()?;
        Some(self.0.borrow_and_update().clone())
    }
}

/// What a run writes into the event log, as it is written: each event once, in order, none left out.
///
/// It is read back from the ledger, so whatever it gives is on disk. A reader that is slower than the run holds nobody up.
pub struct Events {
    reader: LedgerReader,
    filter: EventFilter,
    after: Option<Cursor>,
    ready: VecDeque<LoggedEvent>,
    progress: watch::Receiver<Progress>,
    has_ended: bool,
}

impl fmt::Debug for Events {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Events").field("run", &self.filter.run).field("after", &self.after).finish_non_exhaustive()
    }
}

impl Events {
    pub(crate) fn new(reader: LedgerReader, run: RunId, progress: watch::Receiver<Progress>) -> Self {
        let filter = EventFilter { run: Some(run), ..EventFilter::default() };
        Self { reader, filter, after: None, ready: VecDeque::new(), progress, has_ended: false }
    }

    /// Waits for the next event. `None` after the last one of a run that has ended. Reads the ledger on the thread of its
    /// caller, up to a hundred events at once, which takes about a millisecond.
    ///
    /// # Errors
    /// When the ledger cannot be read.
    pub async fn next(&mut self) -> Result<Option<LoggedEvent>, Error> {
        loop {
            if let Some(event) = self.ready.pop_front() {
                return Ok(Some(event));
            }
            // Before the log is looked at: what is written after that is told as a change.
            self.progress.mark_unchanged();
            let after = self.after.as_ref();
            let page = self.reader.events(&self.filter, EventOrder::OldestFirst, EVENTS_READ, after)?;
            if let Some(last) = page.items.last() {
                self.after = Some(last.cursor());
                self.ready.extend(page.items);
            } else if self.has_ended {
                return Ok(None);
            } else {
                // Once more after the end: its last events were written before it.
                self.has_ended = self.progress.changed().await.is_err();
            }
        }
    }
}
