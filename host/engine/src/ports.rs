//! The ports: what the engine needs from others, in its own words. Each is filled in one other
//! crate (`sandbox` the plugin ports, `ledger` the ledger port, the façade clock and randomness)
//! and by plain structs in tests.

mod ledger;
mod plugin;
mod task;
mod world;

pub use ledger::{
    Applied, AttemptKind, AttemptRow, BatchCommit, Cause, Chunk, ChunkColumn, DueRows, Intent, Ledger, Payload,
    PluginState, Progress, RecordRow, RunEnd, RunOpening, RunStart, StepCounts,
};
pub use plugin::{
    Abilities, Atomicity, CallError, CallResult, CallTrace, DestinationPort, Exchange, Idempotency, More, Page,
    PageLimits, Probed, RefusalKind, SourcePort, StateWrite, Transformed, TransformerPort, UndoBatch, Undone,
    WriteOptions, Written,
};
pub use task::{DueTask, DueTasks, HandlerTask, TaskCommit, TaskResult, TaskStatus};
pub use world::{Clock, PortError};

use std::future::Future;
use std::pin::Pin;

/// What an asynchronous port answers with. Ports are called once a batch, so the box costs nothing
/// that could be measured.
pub type PortFuture<'a, T> = Pin<Box<dyn Future<Output = T> + Send + 'a>>;
