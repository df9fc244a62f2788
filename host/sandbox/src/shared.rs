//! What everything in a sandbox shares: the engine, its threads, the cache, the way out.

use crate::budget::Budget;
use crate::cache::Cache;
use crate::compile::Compiling;
use crate::fault;
use crate::files::{OpenFiles, Operations};
use crate::host::Host;
use crate::http_client::HttpClient;
use crate::known_secrets::KnownSecrets;
use crate::machine::Threads;
use crate::redact::Redactor;
use crate::text::PluginText;
use crate::ticks::Ticks;
use crossdock_engine::ports::{CallError, Clock};
use std::any::Any;
use std::future::{Future, poll_fn};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::Pin;
use std::sync::Arc;
use std::task::{Poll, ready};
use tokio::runtime::Handle;
use tokio::task::JoinSet;
use wasmtime::Engine;
use wasmtime::component::Linker;

/// How much of a panic of our own is told.
const PANIC_MAX_BYTES: usize = 512;

/// Shared by all plugins and instances of a sandbox; it is shut down with the last of them.
pub(crate) struct Shared {
    pub(crate) engine: Engine,
    pub(crate) linker: Linker<Host>,
    pub(crate) client: Arc<HttpClient>,
    pub(crate) clock: Arc<dyn Clock>,
    /// All secrets that were read, whichever plugin may use them.
    pub(crate) secrets: KnownSecrets,
    pub(crate) cache: Option<Cache>,
    pub(crate) compiling: Compiling,
    /// The memory that all live instances have together.
    pub(crate) budget: Arc<Budget>,
    /// The files that all live instances hold open together, and what they do with them.
    pub(crate) open_files: OpenFiles,
    pub(crate) operations: Operations,
    pub(crate) ticks: Ticks,
    pub(crate) threads: Threads,
}

impl Shared {
    /// Where requests are sent from.
    pub(crate) fn io(&self) -> Result<Handle, CallError> {
        self.threads.io().cloned().ok_or_else(|| fault::internal("the sandbox is shut down".to_owned()))
    }

    /// Runs a task where plugins run: here and now if this is such a thread already, as in [`Shared::spawn`] otherwise.
    pub(crate) async fn run<T: Send + 'static>(&self, task: Task<T>) -> Result<T, String> {
        if self.threads.are_here() { caught(task).await } else { self.spawn(task).await }
    }

    /// Begins a task where plugins run. Dropping what this answers with ends the task at its next
    /// opportunity: within a tick if it computes, at once if it waits.
    pub(crate) fn spawn<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> Spawned<T> {
        spawn_on(self.threads.guests(), task)
    }

    /// As [`Shared::spawn`], where nothing computes and much is waited for.
    pub(crate) fn spawn_io<T: Send + 'static>(&self, task: impl Future<Output = T> + Send + 'static) -> Spawned<T> {
        spawn_on(self.threads.io(), task)
    }
}

/// Something to be done. On the heap, so that handing it on costs the same however large it is.
pub(crate) type Task<T> = Pin<Box<dyn Future<Output = T> + Send>>;

/// A task that runs by itself: what it comes to, or why it has come to nothing.
pub(crate) type Spawned<T> = Task<Result<T, String>>;

/// Runs a task within the current one, which a panic of it does not end.
async fn caught<T>(task: Task<T>) -> Result<T, String> {
    let mut task = Some(task);
    poll_fn(move |context| {
        let turn = || {
            let Some(running) = task.as_mut() else { return Poll::Ready(Err(shut_down())) };
            let done = ready!(running.as_mut().poll(context));
            // What it held is thrown away in here as well.
            task = None;
            Poll::Ready(Ok(done))
        };
        catch_unwind(AssertUnwindSafe(turn)).unwrap_or_else(|panic| {
            let _ = catch_unwind(AssertUnwindSafe(|| task = None));
            Poll::Ready(Err(panicked(&*panic)))
        })
    })
    .await
}

fn spawn_on<T: Send + 'static>(threads: Option<&Handle>, task: impl Future<Output = T> + Send + 'static) -> Spawned<T> {
    let mut tasks = JoinSet::new();
    if let Some(threads) = threads {
        tasks.spawn_on(task, threads);
    }
    Box::pin(async move {
        match tasks.join_next().await {
            Some(Ok(done)) => Ok(done),
            Some(Err(error)) => Err(error.try_into_panic().map_or_else(|_| shut_down(), |panic| panicked(&*panic))),
            None => Err(shut_down()),
        }
    })
}

fn shut_down() -> String {
    "the sandbox was shut down".to_owned()
}

/// What a panic of the host's own says of itself.
fn panicked(panic: &(dyn Any + Send)) -> String {
    let said = panic.downcast_ref::<&str>().copied().or_else(|| panic.downcast_ref::<String>().map(String::as_str));
    let said = PluginText::line(said.unwrap_or("it does not say why"), PANIC_MAX_BYTES, &Redactor::default());
    format!("a panic of the host's own: {said}")
}

#[cfg(test)]
#[allow(clippy::panic, clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::future::pending;
    use std::sync::atomic::{AtomicU32, Ordering};

    static DROPPED: AtomicU32 = AtomicU32::new(0);

    /// Something that cannot even be thrown away.
    struct Bomb;

    impl Drop for Bomb {
        fn drop(&mut self) {
            DROPPED.fetch_add(1, Ordering::SeqCst);
            panic!("on being thrown away");
        }
    }

    #[test]
    fn panics_of_our_own_end_their_task_only() {
        let threads = Threads::start(1).unwrap();
        let caller = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let check = |task: Pin<Box<dyn Future<Output = u32> + Send>>, expected: Result<u32, &str>| {
            let done = caller.block_on(spawn_on(threads.guests(), task));
            assert_eq!(done.as_ref().map_err(String::as_str), expected.as_ref().map_err(|text| *text));
        };
        check(Box::pin(async { panic!("on\npurpose") }), Err("a panic of the host's own: on\\npurpose"));
        check(Box::pin(async { 1 }), Ok(1));
        let thrown_away = Err("a panic of the host's own: on being thrown away");
        check(
            Box::pin(async {
                let _bomb = Bomb;
                tokio::task::yield_now().await;
                1
            }),
            thrown_away,
        );
        check(Box::pin(async { 2 }), Ok(2));
        // The same within a task, which goes on.
        let within = |task: Task<u32>, expected: &'static str| -> Task<u32> {
            Box::pin(async move { u32::from(caught(task).await == Err(expected.to_owned())) })
        };
        check(within(Box::pin(async { panic!("on purpose") }), "a panic of the host's own: on purpose"), Ok(1));
        let bomb = Box::pin(async {
            let _bomb = Bomb;
            tokio::task::yield_now().await;
            1
        });
        check(within(bomb, "a panic of the host's own: on being thrown away"), Ok(1));
        // One that is given up while it waits is thrown away on its thread, and the thread goes on.
        let held = Bomb;
        drop(spawn_on(threads.guests(), async move {
            let _held = held;
            pending::<()>().await;
        }));
        let is_gone = (0..100_000).any(|_| {
            check(Box::pin(async { 3 }), Ok(3));
            DROPPED.load(Ordering::SeqCst) == 3
        });
        assert!(is_gone);
    }
}
