//! What belongs to one instance on the host's side: the data of its store.

use crate::binding::Bindings;
use crate::budget::Share;
use crate::deadline::Deadline;
use crate::exchanges::Exchanges;
use crate::files::{Files, FilesView, Lane};
use crate::http_client::Doors;
use crate::limiter::Limiter;
use crate::limits::Limits;
use crate::log_rate::{LeftOut, LogRate};
use crate::request_limits::RequestLimits;
use crate::secret_values::SecretValues;
use crate::stderr::Capture;
use crate::ticks::Alarm;
use crate::under_way::UnderWay;
use crossdock_engine::ports::{CallTrace, Clock, StateWrite};
use std::collections::BTreeMap;
use std::future::poll_fn;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::task::Poll;
use std::time::Duration;
use thiserror::Error;
use tokio::time::Instant;
use wasmtime::component::ResourceTable;
use wasmtime_wasi::{WasiCtx, WasiCtxView, WasiView};

/// The durable key-value pairs of a step, as they are after the last call that succeeded.
pub(crate) type State = Arc<Mutex<BTreeMap<String, Vec<u8>>>>;

/// Who and what an instance is, shared by all instances that one port starts one after the other.
pub(crate) struct Identity {
    pub(crate) route: String,
    pub(crate) step: String,
    pub(crate) plugin: String,
    /// Where it may send requests.
    pub(crate) doors: Doors,
    pub(crate) secrets: SecretValues,
    /// Where its secrets may be sent.
    pub(crate) bindings: Bindings,
    pub(crate) limits: Limits,
    /// What it says in the log, over time.
    pub(crate) log: Mutex<LogRate>,
    /// What this instance shares with others that talk to the same system.
    pub(crate) request_limits: Option<Arc<RequestLimits>>,
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) cancelled: Arc<AtomicBool>,
    pub(crate) state: State,
    /// Where requests are sent from: not on the threads that plugins compute on.
    pub(crate) io: tokio::runtime::Handle,
    /// Where operations on files run.
    pub(crate) lane: Lane,
}

impl Identity {
    /// Which plugin it is, and where it works, for people.
    pub(crate) fn place(&self) -> String {
        let Self { plugin, step, route, .. } = self;
        if route.is_empty() { plugin.clone() } else { format!("{plugin} at step {step} of route {route}") }
    }

    /// Tells what limits left out, together with what was left out before and not told yet: at most once a second,
    /// but for the last time.
    pub(crate) fn leave_out(&self, left_out: LeftOut, last: bool) {
        let mut log = self.log.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(LeftOut { messages, metrics }) = log.leave_out(left_out, last, Instant::now()) {
            let Self { route, step, plugin, .. } = self;
            tracing::warn!(%route, %step, %plugin, "left out {messages} log messages and {metrics} metrics: more than a call or an instance may say");
        }
    }
}

/// The host could not do its own work within an import: ends the call, and is no fault of the plugin.
#[derive(Debug, Error)]
#[error("a task of the host ended before its time: {0}")]
pub(crate) struct HostFailed(#[from] tokio::task::JoinError);

/// Which budget of time a call used up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
pub(crate) enum OutOfTime {
    #[error("its computing time")]
    Cpu,
    #[error("its time by the wall")]
    Wall,
}

/// What belongs to one call: begun anew before every entry into the instance.
pub(crate) struct CallState {
    pub(crate) deadline: Deadline,
    /// The first handle of the batch, and how many there are.
    pub(crate) handles: (u32, u32),
    /// It undoes or asks, which a run that is asked to stop still does.
    pub(crate) goes_on: bool,
    pub(crate) exchanges: Exchanges,
    pub(crate) requests: u32,
    /// Requests that were begun by themselves, and answers to them that were not fetched.
    pub(crate) under_way: Option<UnderWay>,
    /// State writes, the last of each key.
    pub(crate) writes: BTreeMap<String, Option<Vec<u8>>>,
    /// Bytes and number of all values as this call sees them, once it has asked.
    pub(crate) state_size: Option<(usize, usize)>,
    pub(crate) counted: BTreeMap<String, u64>,
    pub(crate) gauged: BTreeMap<String, f64>,
    pub(crate) metrics_left_out: u64,
    pub(crate) log_messages: u32,
    pub(crate) log_bytes: usize,
    pub(crate) log_left_out: u64,
}

impl CallState {
    fn new(limits: &Limits, handles: (u32, u32)) -> Self {
        Self {
            deadline: Deadline::new(
                Instant::now() + Duration::from_millis(limits.call_time_max_ms),
                Duration::from_millis(limits.http_wait_max_ms),
            ),
            handles,
            goes_on: false,
            exchanges: Exchanges::default(),
            requests: 0,
            under_way: None,
            writes: BTreeMap::new(),
            state_size: None,
            counted: BTreeMap::new(),
            gauged: BTreeMap::new(),
            metrics_left_out: 0,
            log_messages: 0,
            log_bytes: 0,
            log_left_out: 0,
        }
    }
}

/// The data of a store.
pub(crate) struct Host {
    pub(crate) identity: Arc<Identity>,
    pub(crate) wasi: WasiCtx,
    pub(crate) table: ResourceTable,
    pub(crate) files: Files,
    pub(crate) limiter: Limiter,
    pub(crate) capture: Capture,
    /// Woken before every entry.
    pub(crate) alarm: Alarm,
    pub(crate) call: CallState,
    /// Names of secrets that were opened; a handle is a position.
    pub(crate) opened: Vec<usize>,
    /// Names of counters and gauges this instance has used.
    pub(crate) metric_names: std::collections::BTreeSet<String>,
    next_handle: u32,
    /// When an import gave way to others last.
    gave_way: Instant,
}

impl Host {
    pub(crate) fn new(
        identity: Arc<Identity>,
        wasi: WasiCtx,
        files: Files,
        capture: Capture,
        first_handle: u32,
        share: Share,
        alarm: Alarm,
    ) -> Self {
        let limits = identity.limits;
        let mut table = ResourceTable::new();
        table.set_max_capacity(Limits::RESOURCES_MAX);
        Self {
            identity,
            wasi,
            table,
            files,
            limiter: Limiter::new(limits.memory_max_bytes, share),
            capture,
            alarm,
            call: CallState::new(&limits, (0, 0)),
            opened: Vec::new(),
            metric_names: std::collections::BTreeSet::new(),
            next_handle: first_handle,
            gave_way: Instant::now(),
        }
    }

    /// Begins a call that is given so many records; answers with the first of their handles. Handles of one
    /// batch are not those of the batch before, so that an answer to the wrong batch is noticed.
    pub(crate) fn begin(&mut self, records: u32) -> u32 {
        let first = if self.next_handle.checked_add(records).is_some() { self.next_handle } else { 1 };
        self.next_handle = first.wrapping_add(records).max(1);
        self.call = CallState::new(&self.identity.limits, (first, records));
        self.capture.clear();
        self.limiter.begin();
        first
    }

    /// Lets others compute, and has the call's time looked at, once a tick. WebAssembly does both by itself in its
    /// loops and functions, but not between calls of imports that stand one after the other, however many they are.
    pub(crate) async fn give_way(&mut self) {
        if self.gave_way.elapsed() < Duration::from_millis(Limits::TICK_MS) {
            return;
        }
        let mut given = false;
        poll_fn(|context| {
            if std::mem::replace(&mut given, true) {
                return Poll::Ready(());
            }
            // Not tokio's own way, which comes back only when there is nothing else to do.
            context.waker().wake_by_ref();
            Poll::Pending
        })
        .await;
        self.gave_way = Instant::now();
    }

    /// Whether the plugin should begin nothing more.
    pub(crate) fn is_cancelled(&self) -> bool {
        !self.call.goes_on && self.identity.cancelled.load(Ordering::Relaxed)
    }

    /// Ends a call that succeeded: keeps its state writes and answers with its trace.
    pub(crate) fn succeed(&mut self) -> CallTrace {
        self.note_left_out();
        let call = &mut self.call;
        let writes: Vec<_> =
            std::mem::take(&mut call.writes).into_iter().map(|(key, value)| StateWrite { key, value }).collect();
        if !writes.is_empty() {
            let mut state = self.identity.state.lock().unwrap_or_else(PoisonError::into_inner);
            for write in &writes {
                match &write.value {
                    Some(value) => drop(state.insert(write.key.clone(), value.clone())),
                    None => drop(state.remove(&write.key)),
                }
            }
        }
        CallTrace { state: writes, ..self.trace() }
    }

    /// Ends a call without an answer: forgets its state writes, and answers with what else it did.
    pub(crate) fn fail(&mut self) -> CallTrace {
        self.note_left_out();
        self.call.writes.clear();
        self.trace()
    }

    fn trace(&mut self) -> CallTrace {
        let call = &mut self.call;
        // Nobody would hear of what is still on its way.
        call.under_way = None;
        CallTrace {
            exchanges: call.exchanges.take(|| self.identity.clock.now()),
            state: Vec::new(),
            counted: std::mem::take(&mut call.counted).into_iter().collect(),
            gauged: std::mem::take(&mut call.gauged).into_iter().map(|(name, value)| (name, value.to_bits())).collect(),
        }
    }

    /// Notes at the end of a call what its limits left out.
    pub(crate) fn note_left_out(&mut self) {
        let call = &mut self.call;
        let (messages, metrics) = (std::mem::take(&mut call.log_left_out), std::mem::take(&mut call.metrics_left_out));
        if messages > 0 || metrics > 0 {
            self.identity.leave_out(LeftOut { messages, metrics }, false);
        }
    }

    /// What is left of the call's time by the wall.
    pub(crate) fn remaining(&self) -> Duration {
        self.call.deadline.left()
    }

    /// The granted directories.
    pub(crate) fn files(&mut self) -> FilesView<'_> {
        FilesView { files: &mut self.files, table: &mut self.table }
    }

    /// The position within the batch that a handle stands for.
    pub(crate) fn position(&self, handle: u32) -> Option<u32> {
        let (first, records) = self.call.handles;
        handle.checked_sub(first).filter(|position| *position < records)
    }
}

impl WasiView for Host {
    fn ctx(&mut self) -> WasiCtxView<'_> {
        WasiCtxView { ctx: &mut self.wasi, table: &mut self.table }
    }
}
