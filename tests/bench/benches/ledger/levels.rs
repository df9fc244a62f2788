//! What keeping the ledger costs a route: the same route with the same plugins at each level, beside one whose ledger
//! says yes to everything at once and keeps nothing.

use crate::made::RECORDS;
use crate::table::{Row, Samples, Took};
use anyhow::{Result, ensure};
use crossdock_bench::{Orders, Usage, Written};
use crossdock_devkit::plugins;
use crossdock_engine::driver::{self, Ports, StepPort};
use crossdock_engine::plan::{
    Breaker, Entry, LogLevel, OnError, Policy, Retry, Role, Rollback, RunSpec, SourceBudget, StepSpec,
};
use crossdock_engine::ports::{
    BatchCommit, Cause, Clock, DueRows, DueTasks, Intent, Ledger, PluginState, PortError, PortFuture, RecordRow,
    RunEnd, RunOpening, RunStart, TaskCommit,
};
use crossdock_ledger::{LedgerStore, OpenOptions};
use crossdock_model::{RecordId, RouteName, RunId, RunStatus, Status, StepName, Timestamp};
use crossdock_sandbox::{Compiler, DirGrant, Instance, Plugin, Sandbox, SandboxConfig, WriteBudget};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{SystemTime, UNIX_EPOCH};
use tokio::sync::watch;

const SEED: u64 = 20_261_122;
/// The defaults of a route, as the façade has them.
const BATCH_MAX_BYTES: u32 = 1 << 20;
const WINDOW: u32 = 4;
const NEVER: u64 = u64::MAX / 4;

pub(crate) struct Sizes {
    pub(crate) rounds: usize,
    pub(crate) orders: u64,
}

/// The clock of the machine.
struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn sleep_until(&self, _: Timestamp) -> PortFuture<'_, ()> {
        // Nothing here waits: no step fails.
        Box::pin(std::future::pending())
    }
}

/// Keeps nothing: logging is off.
struct Nothing;

fn at_once<T: Send + 'static>(answer: T) -> PortFuture<'static, Result<T, PortError>> {
    Box::pin(std::future::ready(Ok(answer)))
}

impl Ledger for Nothing {
    fn begin_run(&self, _: RunStart) -> PortFuture<'_, Result<RunOpening, PortError>> {
        at_once(RunOpening::default())
    }
    fn intend(&self, _: Intent) -> PortFuture<'static, Result<(), PortError>> {
        at_once(())
    }
    fn commit(&self, _: BatchCommit) -> PortFuture<'static, Result<(), PortError>> {
        at_once(())
    }
    fn due(&self, _: RouteName, _: Option<RunId>, _: Timestamp, _: u32) -> PortFuture<'_, Result<DueRows, PortError>> {
        at_once(DueRows::default())
    }
    fn rolling_back(&self, _: RouteName, _: Timestamp, _: u32) -> PortFuture<'_, Result<DueRows, PortError>> {
        at_once(DueRows::default())
    }
    fn open_applied(&self, _: RouteName) -> PortFuture<'_, Result<Vec<RecordRow>, PortError>> {
        at_once(Vec::new())
    }
    fn tasks(&self, _: RouteName, _: Timestamp, _: u32) -> PortFuture<'_, Result<DueTasks, PortError>> {
        at_once(DueTasks::default())
    }
    fn commit_tasks(&self, _: TaskCommit) -> PortFuture<'static, Result<(), PortError>> {
        at_once(())
    }
    fn load(&self, _: RouteName, _: Vec<RecordId>) -> PortFuture<'_, Result<Vec<RecordRow>, PortError>> {
        at_once(Vec::new())
    }
    fn state(&self, _: RouteName, _: StepName) -> PortFuture<'_, Result<PluginState, PortError>> {
        at_once(PluginState::new())
    }
    fn end_run(&self, _: RunEnd) -> PortFuture<'_, Result<(), PortError>> {
        at_once(())
    }
}

/// The route: its plugins compiled, and its folders.
struct Bench {
    folder: PathBuf,
    source: Plugin,
    shape: Plugin,
    keep: Plugin,
    written: Written,
}

impl Bench {
    async fn make(folder: &Path, orders: u64) -> Result<Self> {
        for name in ["in", "out"] {
            std::fs::create_dir_all(folder.join(name))?;
        }
        let mut out = BufWriter::new(File::create(folder.join("in/orders.ndjson"))?);
        let written = Orders::new(SEED).write(&mut out, orders)?;
        out.flush()?;
        // The plugins are our own, and compiling is not what is measured.
        let config = SandboxConfig { compiler: Compiler::InProcess, ..SandboxConfig::new(Arc::new(SystemClock)) };
        let (sandbox, plugins) = (Sandbox::new(config)?, plugins()?);
        Ok(Self {
            folder: folder.to_path_buf(),
            source: sandbox.load(plugins.path("text-source")?).await?,
            shape: sandbox.load(plugins.path("map")?).await?,
            keep: sandbox.load(plugins.path("file-destination")?).await?,
            written,
        })
    }

    fn instance(&self, step: StepName, settings: &str, dir: Option<(&str, &str, bool)>) -> Result<Instance> {
        let mut instance = Instance::new(RouteName::new("orders")?, step, settings);
        instance.grants.dirs.extend(dir.map(|(host, guest, write)| DirGrant {
            host: self.folder.join(host),
            guest: guest.to_owned(),
            write: write.then(WriteBudget::default),
        }));
        Ok(instance)
    }

    async fn ports(&self, ledger: Arc<dyn Ledger>) -> Result<Ports> {
        let shape = r#"{
            "drop_when": [{ "field": "/status", "equals": "cancelled" }],
            "fields": { "reference": "/order", "customer": "/customer/id", "name": "/customer/name",
                "currency": "/currency", "items": "/lines",
                "amount": { "from": "/total", "type": "decimal", "scale": 2 } }
        }"#;
        let read = r#"{ "files": "/in/orders.ndjson", "format": "ndjson", "id": ["order"] }"#;
        let write = r#"{ "file": "/out/orders.ndjson" }"#;
        let source = self.instance(StepName::source(), read, Some(("in", "/in", false)))?;
        let shape = self.instance(StepName::new("shape")?, shape, None)?;
        let keep = self.instance(StepName::new("keep")?, write, Some(("out", "/out", true)))?;
        Ok(Ports {
            source: Some(self.source.source(source).await?),
            steps: vec![
                StepPort::Transformer(self.shape.transformer(shape).await?),
                StepPort::Destination(self.keep.destination(keep).await?),
            ],
            connectors: Vec::new(),
            handlers: Vec::new(),
            ledger,
            clock: Arc::new(SystemClock),
        })
    }

    fn spec(&self, ports: &Ports, log: LogLevel) -> Result<RunSpec> {
        let retry = Retry { attempts: 1, first_ms: 1, max_ms: 1, total_ms: 1 };
        let breaker = Breaker { failures: 10, open_ms: 1_000, max_ms: 1_000, total_ms: 1_000 };
        let names = ["shape", "keep"];
        let steps = ports.steps.iter().zip(names).map(|(port, name)| {
            let (abilities, destination) = match port {
                StepPort::Transformer(port) => (port.abilities(), false),
                StepPort::Destination(port) => (port.abilities(), true),
            };
            let role = if destination {
                let (idempotency, probes) = (abilities.idempotency, abilities.probes);
                Role::Destination { idempotency, probes, compensates: abilities.compensates }
            } else {
                Role::Transformer { pure: abilities.pure }
            };
            let name = StepName::new(name)?;
            Ok(StepSpec { name, role, max_batch: abilities.max_batch, retry, breaker, handlers: Vec::new() })
        });
        let source = SourceBudget {
            pages_max: NEVER,
            records_max: NEVER,
            bytes_max: NEVER,
            time_max_ms: NEVER,
            empty_pages_max: 10,
            repeated_pages_max: 10,
        };
        Ok(RunSpec {
            run: RunId("bench".to_owned()),
            route: RouteName::new("orders")?,
            policy: Policy {
                on_error: OnError::Stop,
                max_failed: None,
                max_failed_ratio: None,
                max_failed_window: 100,
                max_faults: 1,
                rollback: Rollback::None,
                rollback_records_max: 1,
                log,
                batch_records: u32::try_from(RECORDS)?,
                batch_bytes: BATCH_MAX_BYTES,
                window: WINDOW,
                source,
            },
            steps: steps.collect::<Result<_>>()?,
            entry: Entry::Source { max_batch: u32::try_from(RECORDS)? },
            run_handlers: Vec::new(),
            seed: 1,
        })
    }

    /// Moves all orders once.
    async fn run(&self, ledger: Arc<dyn Ledger>, log: LogLevel) -> Result<Took> {
        let out = self.folder.join("out/orders.ndjson");
        if out.exists() {
            std::fs::remove_file(out)?;
        }
        let ports = self.ports(ledger).await?;
        let spec = self.spec(&ports, log)?;
        let start = RunStart {
            run: spec.run.clone(),
            route: spec.route.clone(),
            route_hash: "bench".to_owned(),
            definition: String::new(),
            plugins: Vec::new(),
            cause: Cause::Manual,
            at: SystemClock.now(),
        };
        let ((_keep, cancel), (progress, _told)) = (watch::channel(false), watch::channel(Default::default()));
        let begun = Usage::begin();
        let report = driver::run(spec, start, ports, cancel, progress).await?;
        let took = Took::since(begun);
        let ok = self.written.orders - self.written.cancelled;
        let moved = u64::try_from(report.counts.get(Status::Ok))?;
        ensure!(report.status == RunStatus::Ok && moved == ok, "the run ended {}: {:?}", report.status, report.reason);
        Ok(took)
    }

    /// The same with a ledger that was made for it.
    async fn run_with_ledger(&self, log: LogLevel) -> Result<Took> {
        let dir = tempfile::tempdir_in(&self.folder)?;
        let store = LedgerStore::open(dir.path(), OpenOptions::new(SystemClock.now()))?;
        self.run(Arc::new(store), log).await
    }
}

/// The route at each level beside the same without a ledger.
pub(crate) fn levels(folder: &Path, sizes: &Sizes) -> Result<Vec<Row>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let dir = tempfile::tempdir_in(folder)?;
        let bench = Bench::make(dir.path(), sizes.orders).await?;
        let levels = [LogLevel::Summary, LogLevel::Ids, LogLevel::Full];
        let (mut off, mut on) = (Samples::default(), vec![Samples::default(); levels.len()]);
        bench.run(Arc::new(Nothing), LogLevel::Summary).await?;
        for round in 0..sizes.rounds {
            // Whoever comes first finds the disk as the one before left it: take turns.
            for turn in 0..=levels.len() {
                match (turn + round) % (levels.len() + 1) {
                    0 => off.push(bench.run(Arc::new(Nothing), LogLevel::Summary).await?),
                    level => on[level - 1].push(bench.run_with_ledger(levels[level - 1]).await?),
                }
            }
        }
        let orders = sizes.orders as f64;
        let mut rows = vec![Row::each("route, logging off, a record", &off, orders)];
        for ((level, samples), target) in levels.iter().zip(&on).zip(["≥ 0.97", "≥ 0.85", ""]) {
            let word = format!("{level:?}").to_lowercase();
            rows.push(Row::each(&format!("route at `{word}`, a record"), samples, orders));
            let what = format!("route at `{word}` ÷ logging off");
            rows.push(Row::rate(&format!("{what}, wall"), target, samples, &off, |took| took.wall_s));
            rows.push(Row::rate(&format!("{what}, CPU"), target, samples, &off, |took| took.cpu_s));
        }
        Ok(rows)
    })
}
