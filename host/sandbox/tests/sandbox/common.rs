//! What the tests share: a sandbox, the guests, a clock that stands still.

use crossdock_engine::ports::{CallError, CallResult, CallTrace, Clock, PortFuture};
use crossdock_model::{Batch, Column, RouteName, StepName, Timestamp};
use crossdock_sandbox::{Compiler, Instance, Limits, Plugin, Sandbox, SandboxConfig};
use std::collections::HashMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, LazyLock, Mutex};
use tokio::runtime::Runtime;

/// A clock that stands still.
pub(crate) struct Still;

pub(crate) const NOW: Timestamp = Timestamp(1_700_000_000_123);

impl Clock for Still {
    fn now(&self) -> Timestamp {
        NOW
    }

    fn sleep_until(&self, _: Timestamp) -> PortFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// The runtime of a caller: not the sandbox's own.
static CALLER: LazyLock<Runtime> =
    LazyLock::new(|| tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap());

/// What most tests want to know of a call: its answer with its trace, or why there is none.
pub(crate) trait Told {
    type Told;
    fn told(self) -> Self::Told;
}

impl<T> Told for CallResult<T> {
    type Told = Result<(T, CallTrace), CallError>;

    fn told(self) -> Self::Told {
        self.answered()
    }
}

impl<T, E> Told for Result<T, E> {
    type Told = Self;

    fn told(self) -> Self {
        self
    }
}

impl<A, B> Told for (A, B) {
    type Told = Self;

    fn told(self) -> Self {
        self
    }
}

pub(crate) fn wait<T: Told>(future: impl Future<Output = T>) -> T::Told {
    all_of(future).told()
}

/// The same with what a call did that has no answer.
pub(crate) fn all_of<T>(future: impl Future<Output = T>) -> T {
    CALLER.block_on(future)
}

/// A test cannot be started again to compile: the program that comes with the crate does.
pub(crate) fn config(clock: impl Clock + 'static) -> SandboxConfig {
    let compiler = Compiler::Program { path: env!("CARGO_BIN_EXE_crossdock-compile").into(), arguments: vec![] };
    SandboxConfig { compiler, ..SandboxConfig::new(Arc::new(clock)) }
}

pub(crate) fn sandbox() -> Sandbox {
    static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| Sandbox::new(config(Still)).unwrap());
    SANDBOX.clone()
}

pub(crate) fn file(guest: &str) -> PathBuf {
    crossdock_devkit::guests().unwrap().path(guest).unwrap()
}

/// A guest, compiled once.
pub(crate) fn guest(name: &str) -> Plugin {
    static LOADED: LazyLock<Mutex<HashMap<String, Plugin>>> = LazyLock::new(Mutex::default);
    let mut loaded = LOADED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    loaded.entry(name.to_owned()).or_insert_with(|| wait(sandbox().load(file(name))).unwrap()).clone()
}

/// An instance that is told to misbehave in this way.
pub(crate) fn instance(misbehave: &str) -> Instance {
    let route = RouteName::new("tests").unwrap();
    let settings = format!("{{\"misbehave\": \"{misbehave}\"}}");
    let limits = Limits { call_time_max_ms: 20_000, ..Limits::default() };
    Instance { limits, ..Instance::new(route, StepName::new("here").unwrap(), settings) }
}

pub(crate) fn column(values: &[&str]) -> Column {
    values.iter().collect()
}

pub(crate) fn batch(payloads: &[&str]) -> Arc<Batch> {
    let ids = (0..payloads.len()).map(|n| format!("r{n}")).collect();
    Arc::new(Batch { ids, payloads: column(payloads), attributes: vec![] })
}

pub(crate) fn values(column: &Column) -> Vec<String> {
    (0..column.len()).map(|index| column.text(index).into_owned()).collect()
}
