//! The destination in the sandbox: through the engine's port, and in a whole route.

use anyhow::{Context as _, Result, ensure};
use crossdock::{Host, HostOptions, RunStatus, Status};
use crossdock_devkit::Plugins;
use crossdock_engine::ports::{Clock, DestinationPort, PortFuture, WriteOptions};
use crossdock_model::{Batch, Column, Outcome, RouteName, StepName, Timestamp};
use crossdock_sandbox::{Compiler, Grants, Instance, Plugin, Sandbox, SandboxConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};
use tokio::runtime::Runtime;

use crate::work::{Document, ROUTE, STEP, settings};

/// The folder of compiled plugins within a host's data folder.
const CACHE: &str = "cache";

struct SystemClock;

impl Clock for SystemClock {
    fn now(&self) -> Timestamp {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or(Duration::ZERO);
        Timestamp(i64::try_from(since.as_millis()).unwrap_or(i64::MAX))
    }

    fn sleep_until(&self, _: Timestamp) -> PortFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// The plugin, loaded.
pub(crate) struct Loaded {
    /// What the engine's driver runs on.
    pub(crate) runtime: Runtime,
    plugin: Plugin,
}

impl Loaded {
    pub(crate) fn new(plugins: &Plugins) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
        // The plugin is our own, and compiling is not what is measured.
        let config = SandboxConfig { compiler: Compiler::InProcess, ..SandboxConfig::new(Arc::new(SystemClock)) };
        let sandbox = Sandbox::new(config)?;
        let plugin = runtime.block_on(sandbox.load(plugins.path("http-destination")?))?;
        Ok(Self { runtime, plugin })
    }

    /// An instance that sends so many requests at once to this server.
    pub(crate) fn port(&self, origin: &str, in_flight: usize) -> Result<Arc<dyn DestinationPort>> {
        let json: serde_json::Value = toml::from_str(&settings(origin, in_flight))?;
        let grants = Grants { http: vec![origin.into()], ..Grants::default() };
        let instance =
            Instance { grants, ..Instance::new(RouteName::new(ROUTE)?, StepName::new(STEP)?, json.to_string()) };
        Ok(self.runtime.block_on(self.plugin.destination(instance))?)
    }
}

/// Writes the batches one after the other; every record must be applied and have its target id.
pub(crate) async fn write_all(
    port: Arc<dyn DestinationPort>,
    batches: Vec<(Arc<Batch>, Column)>,
    in_order: bool,
) -> Result<usize> {
    let mut applied = 0;
    for (batch, keys) in batches {
        let options = WriteOptions { stop_at_first_failure: in_order };
        let (written, trace) = port.write(batch.clone(), keys, options).await.answered()?;
        let well = written.outcomes.len() == batch.len() && written.outcomes.iter().all(|one| *one == Outcome::Ok);
        let named = written.target_ids.is_some_and(|ids| ids.iter().all(|id| id.starts_with(b"DOC-")));
        ensure!(
            well && named && trace.exchanges.len() == batch.len(),
            "not every record was applied: {:?}",
            written.failures
        );
        applied += batch.len();
    }
    Ok(applied)
}

/// A project in a folder: orders in a file, and a route that sends them.
pub(crate) struct Project {
    folder: PathBuf,
    records: u64,
}

impl Project {
    pub(crate) fn make(
        folder: &Path,
        plugins: &Plugins,
        origin: &str,
        in_flight: usize,
        work: &[Document],
    ) -> Result<Self> {
        for name in ["in", "plugins", "routes"] {
            std::fs::create_dir_all(folder.join(name))?;
        }
        let mut project = String::from("[plugins]\n");
        for name in ["text-source", "http-destination"] {
            let to = format!("plugins/{name}.wasm");
            std::fs::copy(plugins.path(name)?, folder.join(&to)).with_context(|| format!("copying to {to}"))?;
            project.push_str(&format!("{name} = {{ path = \"{to}\" }}\n"));
        }
        std::fs::write(folder.join("crossdock.toml"), project)?;
        let route = format!(
            r#"name = "{ROUTE}"
on_error = "continue"

[source]
plugin = "text-source"
settings = {{ files = "/in/orders.ndjson", format = "ndjson", id = ["order"] }}
grants = {{ dirs = [{{ host = "in", guest = "/in" }}] }}

[[step]]
name = "{STEP}"
plugin = "http-destination"
grants = {{ http = ["{origin}"] }}

[step.settings]
{}"#,
            settings(origin, in_flight)
        );
        std::fs::write(folder.join("routes/orders.toml"), route)?;
        let lines: Vec<&[u8]> = work.iter().map(|document| document.payload.as_slice()).collect();
        std::fs::write(folder.join("in/orders.ndjson"), lines.join(&b'\n'))?;
        Ok(Self { folder: folder.to_path_buf(), records: work.len() as u64 })
    }

    /// Runs the route once, with an empty ledger, from before the host is opened until the run's report is there.
    pub(crate) async fn run(&self) -> Result<()> {
        let data = self.folder.join("data");
        let options = HostOptions { project: Some(self.folder.clone()), data: Some(data), ..HostOptions::default() };
        let host = Host::open(options)?;
        let report = host.run(&self.folder.join("routes/orders.toml")).await?.finish().await?;
        let all_ok = report.status == RunStatus::Ok && report.count(Status::Ok) == self.records;
        ensure!(all_ok, "the run ended {}: {:?}", report.status, report.reason);
        Ok(())
    }

    /// Forgets what was done, but not the compiled plugins.
    pub(crate) fn clear(&self) -> Result<()> {
        let data = self.folder.join("data");
        if !data.exists() {
            return Ok(());
        }
        for entry in std::fs::read_dir(data)? {
            let entry = entry?;
            if entry.file_type()?.is_file() && entry.file_name() != CACHE {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }
}
