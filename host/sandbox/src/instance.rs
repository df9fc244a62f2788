//! One warm instance, and what happens around every call into it.

use crate::admission::{Admitted, Role};
use crate::bindings::{roles, types};
use crate::contract::Broken;
use crate::deadline::Deadline;
use crate::description::{Description, check_description};
use crate::fault::{self, Verdict};
use crate::files::{Files, GrantedDir, open_granted};
use crate::grants::DirGrant;
use crate::host::{Host, Identity, OutOfTime};
use crate::limits::Limits;
use crate::machine;
use crate::meter::Meter;
use crate::shared::Shared;
use crate::stderr::Capture;
use crate::text::PluginText;
use crossdock_engine::ports::{Abilities, Atomicity, CallError, CallResult, Clock, Idempotency, PortError};
use crossdock_model::ErrorClass;
use std::fs::File;
use std::future::{Future, poll_fn};
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::task::Poll;
use std::time::{Duration, Instant};
use wasmtime::Store;
use wasmtime::component::{Instance, InstancePre};
use wasmtime_wasi::{HostWallClock, WasiCtxBuilder};

/// Calls that a run which is asked to stop still makes, to leave nothing half done: their plugin is not told to stop.
const GOES_ON: [&str; 3] = ["compensate", "probe", "check"];
/// How long a plugin may take to close.
const CLOSE_MAX: Duration = Duration::from_secs(1);

/// How much is told of a mistake of ours.
const LOST_MAX_BYTES: usize = 1 << 10;

/// Where the functions of a plugin are found in its component.
#[derive(Clone)]
pub(crate) struct Exports {
    describe: roles::describe::GuestIndices,
    lifecycle: roles::lifecycle::GuestIndices,
    source: Option<roles::source::GuestIndices>,
    transformer: Option<roles::transformer::GuestIndices>,
    destination: Option<roles::destination::GuestIndices>,
    compensate: Option<roles::compensate::GuestIndices>,
    probe: Option<roles::probe::GuestIndices>,
}

impl Exports {
    pub(crate) fn find(pre: &InstancePre<Host>, admitted: &Admitted) -> wasmtime::Result<Self> {
        let is = |role| admitted.role == role;
        Ok(Self {
            describe: roles::describe::GuestIndices::new(pre)?,
            lifecycle: roles::lifecycle::GuestIndices::new(pre)?,
            source: is(Role::Source).then(|| roles::source::GuestIndices::new(pre)).transpose()?,
            transformer: is(Role::Transformer).then(|| roles::transformer::GuestIndices::new(pre)).transpose()?,
            destination: is(Role::Destination).then(|| roles::destination::GuestIndices::new(pre)).transpose()?,
            compensate: admitted.compensate.then(|| roles::compensate::GuestIndices::new(pre)).transpose()?,
            probe: admitted.probe.then(|| roles::probe::GuestIndices::new(pre)).transpose()?,
        })
    }

    fn load(&self, store: &mut Store<Host>, instance: &Instance) -> wasmtime::Result<Functions> {
        Ok(Functions {
            describe: self.describe.load(&mut *store, instance)?,
            lifecycle: self.lifecycle.load(&mut *store, instance)?,
            source: self.source.as_ref().map(|found| found.load(&mut *store, instance)).transpose()?,
            transformer: self.transformer.as_ref().map(|found| found.load(&mut *store, instance)).transpose()?,
            destination: self.destination.as_ref().map(|found| found.load(&mut *store, instance)).transpose()?,
            compensate: self.compensate.as_ref().map(|found| found.load(&mut *store, instance)).transpose()?,
            probe: self.probe.as_ref().map(|found| found.load(&mut *store, instance)).transpose()?,
        })
    }
}

/// The functions of one instance; those that its role does not have are missing.
pub(crate) struct Functions {
    pub(crate) describe: roles::describe::Guest,
    pub(crate) lifecycle: roles::lifecycle::Guest,
    pub(crate) source: Option<roles::source::Guest>,
    pub(crate) transformer: Option<roles::transformer::Guest>,
    pub(crate) destination: Option<roles::destination::Guest>,
    pub(crate) compensate: Option<roles::compensate::Guest>,
    pub(crate) probe: Option<roles::probe::Guest>,
}

/// An instance with its store. Whatever is not put back after a call is dropped with its store: an instance that
/// was interrupted can never be entered again.
pub(crate) struct Live {
    pub(crate) store: Store<Host>,
    pub(crate) functions: Functions,
}

/// What a call does with a live instance.
pub(crate) type Work<'a, T> = Pin<Box<dyn Future<Output = Result<T, Verdict>> + Send + 'a>>;

/// A function that this call needs and the plugin does not have: a mistake of the host's own.
pub(crate) fn function<T>(found: Option<&T>) -> Result<&T, Verdict> {
    found.ok_or_else(|| Verdict::Broken("it does not export this function".to_owned()))
}

/// The clock that a plugin sees through WASI is the host's.
struct WallClock(Arc<dyn Clock>);

impl HostWallClock for WallClock {
    fn resolution(&self) -> Duration {
        Duration::from_millis(1)
    }

    fn now(&self) -> Duration {
        Duration::from_millis(u64::try_from(self.0.now().0).unwrap_or(0))
    }
}

/// Opens a directory that is granted, however long that takes: no longer than a call may.
async fn open_dir(identity: &Identity, dir: &GrantedDir) -> Result<File, CallError> {
    let (path, time_max_ms) = (dir.host.clone(), identity.limits.call_time_max_ms);
    let opening = identity.lane.run(move || open_granted(&path));
    let opened = match tokio::time::timeout(Duration::from_millis(time_max_ms), opening).await {
        Ok(opened) => opened.map_err(|lost| fault::internal(lost.to_string()))?.map_err(|error| error.to_string()),
        Err(_) => Err(format!("it did not answer within {time_max_ms} ms (call_time_max_ms)")),
    };
    opened.map_err(|reason| {
        CallError::Host(PortError {
            code: "grant-directory",
            class: ErrorClass::Environment,
            message: format!(
                "granting the directory {} to the plugin {}: {reason}",
                dir.host.display(),
                identity.place()
            ),
            fix: Some("make the directory, or mend its path in the route file".to_owned()),
        })
    })
}

async fn store(shared: &Shared, identity: Arc<Identity>, dirs: &[GrantedDir]) -> Result<Store<Host>, CallError> {
    let capture = Capture::new(identity.limits.stderr_max_bytes);
    let mut wasi = WasiCtxBuilder::new();
    wasi.stdout(capture.clone()).stderr(capture.clone()).wall_clock(WallClock(identity.clock.clone()));
    wasi.max_random_size(1 << 20);
    let mut files = Files::new(identity.lane.clone(), shared.open_files.held(), identity.clock.clone());
    for dir in dirs {
        files.grant(dir, open_dir(&identity, dir).await?);
    }
    let mut seed = [0; 4];
    getrandom::fill(&mut seed).map_err(|error| fault::internal(format!("no random numbers: {error}")))?;
    // Below 2^31, so that there is room above.
    let first_handle = (u32::from_le_bytes(seed) >> 1).max(1);
    let limits = identity.limits;
    let share = shared.budget.share(identity.place());
    let alarm = shared.ticks.alarm();
    let host = Host::new(identity, wasi.build(), files, capture, first_handle, share, alarm);
    let mut store = Store::new(&shared.engine, host);
    store.limiter(|host| &mut host.limiter);
    store.set_hostcall_fuel(limits.boundary_max_bytes);
    store.set_max_component_handles(Limits::HANDLES_MAX);
    machine::watch(&mut store);
    Ok(store)
}

/// Waits for an entry into the instance, no longer than its call may compute and may take. An entry that computes
/// gives way at every tick; one that used up its time is not polled again, and its store must be dropped.
async fn within<T>(
    deadline: &Deadline,
    limits: Limits,
    entry: impl Future<Output = Result<T, Verdict>>,
) -> Result<T, Verdict> {
    let cpu_time_max = Duration::from_millis(limits.cpu_time_max_ms);
    let out_of = |time: OutOfTime| Err(Verdict::Interrupted(time.into()));
    let mut meter = Meter::default();
    let mut entry = pin!(entry);
    let mut metered = pin!(poll_fn(|context| match meter.turn(|| entry.as_mut().poll(context)) {
        Poll::Pending if meter.computed() > cpu_time_max => Poll::Ready(out_of(OutOfTime::Cpu)),
        // Looked at here as well: one that never waits for long must not depend on how busy the timers are.
        Poll::Pending if deadline.left().is_zero() => Poll::Ready(out_of(OutOfTime::Wall)),
        polled => polled,
    }));
    loop {
        match tokio::time::timeout_at(deadline.look_at(), metered.as_mut()).await {
            Ok(done) => return done,
            // It moved while the call waited for its turn to send.
            Err(_) if !deadline.left().is_zero() => {}
            Err(_) => return out_of(OutOfTime::Wall),
        }
    }
}

async fn instantiate(
    store: &mut Store<Host>,
    pre: &InstancePre<Host>,
    exports: &Exports,
) -> Result<(Functions, roles::describe::Description), CallError> {
    store.data_mut().begin(0);
    machine::arm(store);
    let (deadline, limits) = (store.data().call.deadline.clone(), store.data().identity.limits);
    let entry = async {
        let instance = pre.instantiate_async(&mut *store).await?;
        let functions = exports.load(&mut *store, &instance)?;
        machine::arm(store);
        let description = functions.describe.call_describe(&mut *store).await?;
        Ok((functions, description))
    };
    let done = within(&deadline, limits, entry).await;
    store.data_mut().note_left_out();
    done.map_err(|verdict| fault::judge(verdict, "describe", store.data()))
}

/// What a plugin said of itself, and what that took.
pub(crate) struct Described {
    pub(crate) said: roles::describe::Description,
    pub(crate) took: Duration,
    /// The memories and the tables that its instance had then, in bytes.
    pub(crate) used_bytes: (u64, u64),
}

/// Asks a plugin what it is, in an instance of its own that is granted nothing.
pub(crate) async fn describe_alone(
    shared: &Arc<Shared>,
    pre: &InstancePre<Host>,
    exports: &Exports,
    identity: Arc<Identity>,
) -> Result<Described, CallError> {
    let pre = pre.clone();
    let exports = exports.clone();
    let describing = shared.clone();
    let task = async move {
        let begun = Instant::now();
        let mut store = store(&describing, identity, &[]).await?;
        let (_, said) = instantiate(&mut store, &pre, &exports).await?;
        Ok(Described { said, took: begun.elapsed(), used_bytes: store.data().limiter.used() })
    };
    shared.run(Box::pin(task)).await.map_err(fault::internal)?
}

/// A compiled plugin that has said what it is.
pub(crate) struct Loaded {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pre: InstancePre<Host>,
    pub(crate) exports: Exports,
    /// What it said of itself, and what that means.
    pub(crate) said: roles::describe::Description,
    pub(crate) description: Description,
    pub(crate) admitted: Admitted,
}

impl Loaded {
    /// Whether an instance says of itself what the plugin said when it was loaded.
    fn check_same(&self, said: roles::describe::Description) -> Result<(), Verdict> {
        // To the letter: nothing has to be read then. Its schema may also be the same in another order.
        if said == self.said {
            return Ok(());
        }
        let description =
            check_description(said, &self.admitted).map_err(|error| Verdict::Broken(error.to_string()))?;
        if description == self.description {
            return Ok(());
        }
        Err(Verdict::Broken("`describe` does not answer the same each time".to_owned()))
    }
}

/// Keeps one instance warm for a port, and starts another when it is gone.
pub(crate) struct Keeper {
    loaded: Arc<Loaded>,
    identity: Arc<Identity>,
    dirs: Vec<GrantedDir>,
    settings: String,
    slot: tokio::sync::Mutex<Option<Live>>,
}

impl Keeper {
    pub(crate) fn new(loaded: Arc<Loaded>, identity: Arc<Identity>, dirs: Vec<DirGrant>, settings: String) -> Self {
        let place = identity.place();
        let dirs = dirs.into_iter().map(|dir| GrantedDir::new(dir, &place)).collect();
        Self { loaded, identity, dirs, settings, slot: tokio::sync::Mutex::new(None) }
    }

    pub(crate) fn redactor(&self) -> Arc<crate::redact::Redactor> {
        self.identity.secrets.redactor()
    }

    /// Starts the first instance and answers with what it can do.
    pub(crate) async fn configured(self: &Arc<Self>) -> Result<Abilities, CallError> {
        let keeper = self.clone();
        let task = async move {
            let mut slot = keeper.slot.lock().await;
            let (live, abilities) = keeper.start().await?;
            *slot = Some(live);
            Ok(abilities)
        };
        self.loaded.shared.run(Box::pin(task)).await.map_err(|why| self.lost("configure", &why))?
    }

    /// What ended a call that is no answer of the plugin: a mistake of ours.
    fn lost(&self, call: &str, why: &str) -> CallError {
        let message = format!("{call} of the plugin {} has no answer: {why}", self.identity.place());
        fault::internal(PluginText::line(&message, LOST_MAX_BYTES, &self.redactor()).into_string())
    }

    async fn start(self: &Arc<Self>) -> Result<(Live, Abilities), CallError> {
        let mut store = store(&self.loaded.shared, self.identity.clone(), &self.dirs).await?;
        let (functions, said) = instantiate(&mut store, &self.loaded.pre, &self.loaded.exports).await?;
        let mut live = Live { store, functions };
        let keeper = self.clone();
        let abilities = self.enter(&mut live, "configure", 0, move |live, _| {
            Box::pin(async move {
                keeper.loaded.check_same(said)?;
                let lifecycle = &live.functions.lifecycle;
                let abilities = lifecycle.call_configure(&mut live.store, &keeper.settings).await?;
                Ok(keeper.abilities(abilities.map_err(Verdict::Refused)?)?)
            })
        });
        let abilities = abilities.await.answer?;
        Ok((live, abilities))
    }

    fn abilities(&self, said: roles::lifecycle::Abilities) -> Result<Abilities, Broken> {
        let broken = |rule: &str| Err(Broken(rule.to_owned()));
        let Admitted { compensate, probe, .. } = self.loaded.admitted;
        let idempotency = match said.idempotency {
            roles::lifecycle::Idempotency::NativeKey => Idempotency::NativeKey,
            roles::lifecycle::Idempotency::Upsert => Idempotency::Upsert,
            roles::lifecycle::Idempotency::Probe => Idempotency::Probe,
            roles::lifecycle::Idempotency::None => Idempotency::None,
        };
        if idempotency == Idempotency::Probe && !probe {
            return broken("it says that it can be asked afterwards, and does not export `probe`");
        }
        if said.compensates && !compensate {
            return broken("it says that it compensates, and does not export `compensate`");
        }
        Ok(Abilities {
            re_reads: said.re_reads,
            pure: said.pure,
            idempotency,
            atomicity: match said.atomicity {
                roles::lifecycle::Atomicity::Atomic => Atomicity::Atomic,
                roles::lifecycle::Atomicity::PerRecord => Atomicity::PerRecord,
                roles::lifecycle::Atomicity::BestEffort => Atomicity::BestEffort,
            },
            compensates: said.compensates,
            // A plugin may export `probe` for other settings than these.
            probes: idempotency == Idempotency::Probe,
            max_batch: self.loaded.description.max_batch,
        })
    }

    /// One call into a live instance. After any error but a refusal the instance must not be used again.
    async fn enter<T>(
        &self,
        live: &mut Live,
        call: &str,
        records: u32,
        work: impl for<'a> FnOnce(&'a mut Live, u32) -> Work<'a, T>,
    ) -> CallResult<T> {
        let first = live.store.data_mut().begin(records);
        live.store.data_mut().call.goes_on = GOES_ON.contains(&call);
        machine::arm(&mut live.store);
        let deadline = live.store.data().call.deadline.clone();
        match within(&deadline, self.identity.limits, work(live, first)).await {
            Ok(answer) => CallResult { answer: Ok(answer), trace: live.store.data_mut().succeed() },
            Err(verdict) => {
                let answer = Err(fault::judge(verdict, call, live.store.data()));
                CallResult { answer, trace: live.store.data_mut().fail() }
            }
        }
    }

    /// One call, in the warm instance if there is one and in a fresh one otherwise. `records` handles are made
    /// for it; the first of them is given to `work`.
    pub(crate) async fn call<T: Send + 'static>(
        self: Arc<Self>,
        call: &'static str,
        records: usize,
        work: impl for<'a> FnOnce(&'a mut Live, u32) -> Work<'a, T> + Send + 'static,
    ) -> CallResult<T> {
        let most = self.loaded.description.max_batch;
        let Some(records) = u32::try_from(records).ok().filter(|records| *records <= most) else {
            return fault::internal(format!("a batch of {records} records was to be given to {call}")).into();
        };
        let keeper = self.clone();
        let task = async move {
            let mut slot = keeper.slot.lock().await;
            let mut live = match slot.take() {
                Some(live) => live,
                // On the heap: it is much larger than a call, and rare.
                None => match Box::pin(keeper.start()).await {
                    Ok((live, _)) => live,
                    Err(error) => return error.into(),
                },
            };
            let result = keeper.enter(&mut live, call, records, work).await;
            if matches!(result.answer, Ok(_) | Err(CallError::Refused { .. })) {
                *slot = Some(live);
            }
            result
        };
        self.loaded.shared.run(Box::pin(task)).await.unwrap_or_else(|why| self.lost(call, &why).into())
    }

    /// Asks whether the other system can be used now.
    pub(crate) async fn check(self: Arc<Self>) -> CallResult<()> {
        self.call("check", 0, |live, _| {
            Box::pin(async move {
                let answer = live.functions.lifecycle.call_check(&mut live.store).await?;
                answer.map_err(Verdict::Refused)
            })
        })
        .await
    }
}

impl Drop for Keeper {
    fn drop(&mut self) {
        self.identity.leave_out(crate::log_rate::LeftOut::default(), true);
        // Nobody else can hold the slot: every call keeps the keeper alive.
        let Some(mut live) = self.slot.get_mut().take() else { return };
        let task = async move {
            live.store.data_mut().begin(0);
            machine::arm(&mut live.store);
            let close = live.functions.lifecycle.call_close(&mut live.store);
            // What comes of it is of no interest to anyone any more.
            let _ = tokio::time::timeout(CLOSE_MAX, close).await;
        };
        if let Some(guests) = self.loaded.shared.threads.guests() {
            drop(guests.spawn(task));
        }
    }
}

/// A column as the guest is given it.
pub(crate) fn lowered(column: &crossdock_model::Column) -> types::ColumnParam<'_> {
    types::ColumnParam { data: column.data(), offsets: column.offsets() }
}
