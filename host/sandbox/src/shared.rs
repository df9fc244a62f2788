//! What everything in a sandbox shares: the engine, its threads, the cache, the way out.

use crate::budget::Budget;
use crate::cache::Cache;
use crate::compile::Compiling;
use crate::fault;
use crate::host::Host;
use crate::http_client::HttpClient;
use crate::machine::Threads;
use crossdock_engine::ports::{CallError, Clock};
use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use wasmtime::Engine;
use wasmtime::component::Linker;

/// Shared by all plugins and instances of a sandbox; it is shut down with the last of them.
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<Host>,
    pub(crate) client: Arc<HttpClient>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cache: Option<Cache>,
    pub(crate) compiling: Compiling,
    /// The memory that all live instances have together.
    pub(crate) budget: Arc<Budget>,
    pub(crate) threads: Threads,
}

impl Shared {
    /// Where requests are sent from.
    pub(crate) fn io(&self) -> Result<Handle, CallError> {
        self.threads.io().cloned().ok_or_else(|| fault::internal("the sandbox is shut down".to_owned()))
    }

    /// Runs a task where plugins run. Dropping what this answers with ends the task at its next
    /// opportunity: within a tick if it computes, at once if it waits.
    pub(crate) fn spawn<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Pin<Box<dyn Future<Output = Result<T, String>> + Send>> {
        spawn_on(self.threads.guests(), task)
    }

    /// As [`Shared::spawn`], where nothing computes and much is waited for.
    pub(crate) fn spawn_io<T: Send + 'static>(
        &self,
        task: impl Future<Output = T> + Send + 'static,
    ) -> Pin<Box<dyn Future<Output = Result<T, String>> + Send>> {
        spawn_on(self.threads.io(), task)
    }
}

fn spawn_on<T: Send + 'static>(
    threads: Option<&Handle>,
    task: impl Future<Output = T> + Send + 'static,
) -> Pin<Box<dyn Future<Output = Result<T, String>> + Send>> {
    let mut tasks = JoinSet::new();
    if let Some(threads) = threads {
        tasks.spawn_on(task, threads);
    }
    Box::pin(async move {
        match tasks.join_next().await {
            Some(Ok(done)) => Ok(done),
            Some(Err(error)) if error.is_panic() => Err("a panic of the host's own".to_owned()),
            Some(Err(_)) | None => Err("the sandbox was shut down".to_owned()),
        }
    })
}
