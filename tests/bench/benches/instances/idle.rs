//! Routes that do nothing at the moment: in a host that has run them, and with all their plugins configured.

use crate::living::Held;
use crate::project::{MAP_SETTINGS, Project, StandingClock};
use crate::{Line, in_a_process, say};
use anyhow::{Result, bail, ensure};
use crossdock::{Host, HostOptions, RunStatus};
use crossdock_bench::Usage;
use crossdock_devkit::plugins;
use crossdock_model::{RouteName, StepName};
use crossdock_sandbox::{Compiler, DirGrant, Grants, Instance, Sandbox, SandboxConfig, WriteBudget};
use serde::{Deserialize, Serialize};
use std::any::Any;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// The first argument of a process that keeps routes; how, their number and the project's folder follow.
pub(crate) const CHILD: &str = "--idle";
const MEMORY_MAX_MIB: f64 = 100.0;
/// How much of a core counts as none.
const CPU_MAX: f64 = 0.001;
const IDLE: Duration = Duration::from_secs(2);
/// A host that has run each route once.
const RAN: &str = "ran";
/// A sandbox with a configured instance for each place of each route.
const CONFIGURED: &str = "configured";

#[derive(Debug, Serialize, Deserialize)]
struct Idle {
    held: Held,
    /// CPU time while nothing was to do, as a part of one core.
    cpu: f64,
}

pub(crate) fn measure(quick: bool) -> Result<Vec<Line>> {
    let many = if quick { 20 } else { 1_000 };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let mut lines = Vec::new();
    for (how, what) in [(RAN, "run once"), (CONFIGURED, "with three configured instances each")] {
        let keep = |routes: usize| -> Result<Idle> {
            let folder = folder.path().join(format!("{how}-{routes}"));
            let mut project = Project::make(&folder, &plugins()?, routes)?;
            project.add_order()?;
            in_a_process(&[CHILD, how, &routes.to_string(), &folder.to_string_lossy()])
        };
        let (one, all) = (keep(1)?, keep(many)?);
        let mib = (all.held.resident_kib as f64 - one.held.resident_kib as f64) / 1024.0;
        let max = MEMORY_MAX_MIB * many as f64 / 1_000.0;
        lines.push(Line::of(
            format!("{many} idle routes in one process, {what}: memory beyond one"),
            format!("≤ {max:.0} MiB"),
            all.held.beyond(&one.held),
            Some(mib <= max),
        ));
        lines.push(Line::of(
            "the same: CPU while idle, of one core",
            format!("none (≤ {:.1} %)", CPU_MAX * 100.0),
            format!("{:.3} % ({:.3} % with one route)", all.cpu * 100.0, one.cpu * 100.0),
            Some(all.cpu <= CPU_MAX),
        ));
    }
    Ok(lines)
}

/// Keeps routes, does nothing for a while, and says what that took.
pub(crate) fn child(arguments: &[String]) -> Result<()> {
    let [how, routes, folder] = arguments else { bail!("{CHILD} HOW NUMBER FOLDER") };
    let (routes, folder): (usize, &Path) = (routes.parse()?, Path::new(folder));
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let idle = runtime.block_on(async {
        let kept: Box<dyn Any> = match how.as_str() {
            RAN => Box::new(ran(routes, folder).await?),
            CONFIGURED => Box::new(configured(routes, folder).await?),
            other => bail!("there is no way {other}"),
        };
        let held = Held::now()?;
        let begun = Usage::begin();
        tokio::time::sleep(IDLE).await;
        let (wall, cpu) = begun.end();
        drop(kept);
        Ok(Idle { held, cpu: cpu.as_secs_f64() / wall.as_secs_f64() })
    })?;
    say(&serde_json::to_string(&idle)?);
    Ok(())
}

async fn ran(routes: usize, folder: &Path) -> Result<Host> {
    let data = Some(folder.join("data"));
    let host = Host::open(HostOptions { project: Some(folder.to_owned()), data, ..HostOptions::default() })?;
    for number in 0..routes {
        let report = host.run(&folder.join(format!("routes/orders-{number}.toml"))).await?.finish().await?;
        ensure!(report.status == RunStatus::Ok, "the run ended {}: {:?}", report.status, report.reason);
    }
    Ok(host)
}

async fn configured(routes: usize, folder: &Path) -> Result<Vec<Arc<dyn Any>>> {
    let config = SandboxConfig {
        compiler: Compiler::InProcess,
        memory_total_max_bytes: 1 << 40,
        ..SandboxConfig::new(Arc::new(StandingClock))
    };
    let sandbox = Sandbox::new(config)?;
    let plugins = folder.join("plugins");
    let source = sandbox.load(plugins.join("text-source.wasm")).await?;
    let map = sandbox.load(plugins.join("map.wasm")).await?;
    let destination = sandbox.load(plugins.join("file-destination.wasm")).await?;
    let granted = |name: &str, write| Grants {
        dirs: vec![DirGrant { host: folder.join(name), guest: format!("/{name}"), write }],
        ..Grants::default()
    };
    let mut kept: Vec<Arc<dyn Any>> = Vec::with_capacity(3 * routes);
    for number in 0..routes {
        let route = RouteName::new(format!("orders-{number}"))?;
        let instance = |step: StepName, settings: &str, grants: Grants| Instance {
            grants,
            ..Instance::new(route.clone(), step, settings)
        };
        let reads = r#"{"files": "/in/orders.ndjson", "format": "ndjson", "id": ["order"]}"#;
        let from = source.source(instance(StepName::source(), reads, granted("in", None))).await?;
        let shape = map.transformer(instance(StepName::new("shape")?, MAP_SETTINGS, Grants::default())).await?;
        let writes = format!(r#"{{"file": "/out/orders-{number}.ndjson"}}"#);
        let budget = WriteBudget { max_bytes: 1 << 20, max_files: 1 };
        let to =
            destination.destination(instance(StepName::new("keep")?, &writes, granted("out", Some(budget)))).await?;
        kept.extend([Arc::new(from) as Arc<dyn Any>, Arc::new(shape), Arc::new(to)]);
    }
    Ok(kept)
}
