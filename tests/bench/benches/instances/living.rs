//! What instances hold that do nothing at the moment.

use crate::project::StandingClock;
use crate::{Line, in_a_process, say};
use anyhow::{Context as _, Result, ensure};
use crossdock_devkit::guests;
use crossdock_engine::ports::TransformerPort;
use crossdock_model::{Batch, RouteName, StepName};
use crossdock_sandbox::{Compiler, Instance, Sandbox, SandboxConfig};
use serde::{Deserialize, Serialize};
use std::path::Path;
use std::sync::Arc;

/// The first argument of a process that keeps instances; their number, the plugin's file, the cache, and the work
/// that each does follow.
pub(crate) const CHILD: &str = "--living";
const MEMORY_MAX_MIB: f64 = 200.0;
/// How many there should be able to be.
const MANY: usize = 10_000;
/// Records that each instance has worked on.
const WORKED: usize = 100;

/// What a process holds.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub(crate) struct Held {
    /// Pages that are there, in KiB.
    pub(crate) resident_kib: u64,
    /// The same, pages that are there several times counted once.
    pub(crate) proportional_kib: u64,
    /// What the system keeps to find them, in KiB.
    pub(crate) tables_kib: u64,
    pub(crate) mappings: usize,
    pub(crate) files: usize,
}

impl Held {
    /// What this process holds now.
    pub(crate) fn now() -> Result<Self> {
        let read = |name: &str| std::fs::read_to_string(format!("/proc/self/{name}"));
        let number = |text: &str, key: &str| -> Result<u64> {
            let line = text.lines().find_map(|line| line.strip_prefix(key)).with_context(|| format!("no {key}"))?;
            Ok(line.trim().trim_end_matches("kB").trim().parse()?)
        };
        let rollup = read("smaps_rollup")?;
        Ok(Self {
            resident_kib: number(&rollup, "Rss:")?,
            proportional_kib: number(&rollup, "Pss:")?,
            tables_kib: number(&read("status")?, "VmPTE:")?,
            mappings: read("maps")?.lines().count(),
            files: std::fs::read_dir("/proc/self/fd")?.count(),
        })
    }

    /// What is more than in another process, in words.
    pub(crate) fn beyond(&self, one: &Self) -> String {
        let mib = |more: u64, less: u64| (more as f64 - less as f64) / 1024.0;
        format!(
            "{:.0} MiB ({:.0} counted once; page tables {:.0}; {} mappings, {} files)",
            mib(self.resident_kib, one.resident_kib),
            mib(self.proportional_kib, one.proportional_kib),
            mib(self.tables_kib, one.tables_kib),
            self.mappings,
            self.files
        )
    }
}

pub(crate) fn measure(quick: bool) -> Result<Vec<Line>> {
    let many = if quick { 100 } else { 1_000 };
    let file = guests()?.path("guest-transformer")?;
    let cache = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let hold = |instances: usize, records: usize| -> Result<Held> {
        let (file, cache) = (file.to_string_lossy(), cache.path().join("cache"));
        in_a_process(&[CHILD, &instances.to_string(), &file, &cache.to_string_lossy(), &records.to_string()])
    };
    // Also compiles it.
    hold(1, 0)?;
    let mut lines = Vec::new();
    for (records, when) in [(0, "configured"), (WORKED, "after a batch of 100 each")] {
        let (one, held) = (hold(1, records)?, hold(many, records)?);
        let mib = (held.resident_kib as f64 - one.resident_kib as f64) / 1024.0;
        let max = MEMORY_MAX_MIB * many as f64 / 1_000.0;
        let met = (records == 0).then_some(mib <= max);
        let target = if records == 0 { format!("≤ {max:.0} MiB") } else { String::new() };
        lines.push(Line::of(format!("{many} live instances of a small guest, {when}"), target, held.beyond(&one), met));
    }
    let most = if quick { 1_000 } else { 9_000 };
    let (one, held) = (hold(1, 0)?, hold(most, 0)?);
    let (room, each) = (mappings_max()?, (held.mappings - one.mappings) as f64 / (most - 1) as f64);
    // Beyond this number the system gives no more mappings, whatever memory there is.
    let possible = one.mappings as f64 + MANY as f64 * each <= room as f64;
    lines.push(Line::of(
        format!("{most} live instances of it, {each:.1} mappings each, of {room} that the system allows a process"),
        format!("{MANY} possible"),
        held.beyond(&one),
        Some(possible),
    ));
    Ok(lines)
}

/// How many mappings the system allows a process (`vm.max_map_count`).
fn mappings_max() -> Result<usize> {
    Ok(std::fs::read_to_string("/proc/sys/vm/max_map_count")?.trim().parse()?)
}

/// Starts instances, keeps them, and says what the process holds then.
pub(crate) fn child(arguments: &[String]) -> Result<()> {
    let [instances, file, cache, records] = arguments else { anyhow::bail!("{CHILD} NUMBER FILE CACHE RECORDS") };
    let (instances, records): (usize, usize) = (instances.parse()?, records.parse()?);
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let held = runtime.block_on(keep(instances, Path::new(file), Path::new(cache), records))?;
    say(&serde_json::to_string(&held)?);
    Ok(())
}

async fn keep(instances: usize, file: &Path, cache: &Path, records: usize) -> Result<Held> {
    let config = SandboxConfig {
        compiler: Compiler::InProcess,
        cache_dir: Some(cache.to_owned()),
        // What they say they have is more than what they hold.
        memory_total_max_bytes: 1 << 40,
        ..SandboxConfig::new(Arc::new(StandingClock))
    };
    let sandbox = Sandbox::new(config)?;
    let plugin = sandbox.load(file).await?;
    let batch = Arc::new(Batch {
        ids: (0..records).map(|n| format!("SO-{n:08}")).collect(),
        payloads: (0..records).map(|_| "x".repeat(400)).collect(),
        attributes: Vec::new(),
    });
    let mut ports: Vec<Arc<dyn TransformerPort>> = Vec::with_capacity(instances);
    for number in 0..instances {
        let route = RouteName::new(format!("r{number}"))?;
        let port = plugin.transformer(Instance::new(route, StepName::new("step")?, "{}")).await?;
        if records > 0 {
            let (answer, _) = port.transform(Arc::clone(&batch)).await.answered()?;
            ensure!(answer.payloads.len() == records, "records are missing");
        }
        ports.push(port);
    }
    let held = Held::now()?;
    ensure!(ports.len() == instances, "instances are missing");
    Ok(held)
}
