//! Starting a host: until a route has delivered, and until a plugin is compiled.

use crate::project::Project;
use crate::{Line, Spread};
use anyhow::{Result, bail, ensure};
use crossdock::{Host, HostOptions, RunStatus};
use crossdock_bench::{Spent, Usage, run_measured};
use crossdock_devkit::plugins;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// The first argument of a process that opens a host for one thing; what, and where, follow.
pub(crate) const CHILD: &str = "--host";
/// Runs the first route of a project: its folder follows.
const RUN: &str = "run";
/// Asks a plugin what it is: its file and a data folder follow.
const INSPECT: &str = "inspect";
const CACHED_MAX_MS: f64 = 50.0;
const COMPILED_MAX_MS: f64 = 1_000.0;

pub(crate) fn measure(quick: bool) -> Result<Vec<Line>> {
    let starts = if quick { 5 } else { 25 };
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR"))?;
    let plugins = plugins()?;
    let mut project = Project::make(folder.path(), &plugins, 1)?;
    // Fills the cache of compiled plugins.
    project.add_order()?;
    run(&project)?;
    let mut lines = cached(&mut project, starts)?;
    lines.extend(compiled(&plugins.path("map")?, folder.path(), starts.div_ceil(3))?);
    Ok(lines)
}

/// A program that embeds the host, as the command does.
pub(crate) fn child(arguments: &[String]) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        match arguments {
            [what, folder] if what == RUN => {
                let folder = Path::new(folder);
                let project = Project::at(folder);
                let data = Some(project.data());
                let host =
                    Host::open(HostOptions { project: Some(folder.to_owned()), data, ..HostOptions::default() })?;
                let report = host.run(&project.route(0)).await?.finish().await?;
                ensure!(report.status == RunStatus::Ok, "the run ended {}: {:?}", report.status, report.reason);
            }
            [what, file, data] if what == INSPECT => {
                let host = Host::open(HostOptions { data: Some(PathBuf::from(data)), ..HostOptions::default() })?;
                ensure!(!host.inspect(Path::new(file)).await?.digest.is_empty(), "a plugin without a digest");
            }
            other => bail!("{CHILD} does not know {other:?}"),
        }
        Ok(())
    })
}

fn run(project: &Project) -> Result<Spent> {
    in_a_host(&[RUN.as_ref(), project.folder()])
}

fn in_a_host(what: &[&Path]) -> Result<Spent> {
    let ended = run_measured(Command::new(std::env::current_exe()?).arg(CHILD).args(what))?;
    ensure!(ended.status.success(), "the host ended with {}", ended.status);
    Ok(ended.spent)
}

/// One order is added, and a run delivers it.
fn cached(project: &mut Project, starts: usize) -> Result<Vec<Line>> {
    let (mut first, mut whole, mut cpu) = (Vec::new(), Vec::new(), Vec::new());
    let out = project.folder().join("out/orders-0.ndjson");
    for _ in 0..starts {
        project.add_order()?;
        let written = project.written(0);
        let (spent, delivered) = watched(out.clone(), || run(project));
        let spent = spent?;
        whole.push(spent.wall_s * 1e3);
        cpu.push(spent.cpu_s * 1e3);
        ensure!(project.written(0) == written + 1, "the order was not delivered");
        first.push(delivered);
    }
    let (first, whole, cpu) = (Spread::of(first), Spread::of(whole), Spread::of(cpu));
    Ok(vec![
        Line::of(
            "start of the process to the first record delivered, compiled plugins in the cache",
            format!("≤ {CACHED_MAX_MS:.0} ms"),
            first.say(0, " ms"),
            Some(first.median <= CACHED_MAX_MS),
        ),
        Line::aside(
            "the same: the whole process; its CPU time",
            format!("{}; {}", whole.say(0, " ms"), cpu.say(0, " ms")),
        ),
    ])
}

/// Does something, and says after how many milliseconds a file had grown.
fn watched<T>(file: PathBuf, work: impl FnOnce() -> T) -> (T, f64) {
    let length = move || std::fs::metadata(&file).map_or(0, |meta| meta.len());
    let before = length();
    let (is_over, begun) = (AtomicBool::new(false), Usage::begin());
    std::thread::scope(|scope| {
        let watching = scope.spawn(|| {
            // Looking costs a microsecond; giving way in between leaves the processors to what is measured.
            while length() == before && !is_over.load(Ordering::Relaxed) {
                std::thread::park_timeout(Duration::from_micros(200));
            }
            begun.end().0.as_secs_f64() * 1e3
        });
        let done = work();
        is_over.store(true, Ordering::Relaxed);
        (done, watching.join().unwrap_or(f64::NAN))
    })
}

fn compiled(file: &Path, folder: &Path, starts: usize) -> Result<Vec<Line>> {
    let (mut took, mut cpu) = (Vec::new(), Vec::new());
    for start in 0..starts {
        let data = folder.join(format!("compiled-{start}"));
        let spent = in_a_host(&[INSPECT.as_ref(), file, &data])?;
        took.push(spent.wall_s * 1e3);
        cpu.push(spent.cpu_s * 1e3);
    }
    let (took, cpu) = (Spread::of(took), Spread::of(cpu));
    let mib = std::fs::metadata(file)?.len() as f64 / 1_048_576.0;
    Ok(vec![Line::of(
        format!("start of the process until a plugin of {mib:.2} MiB that is not in the cache has said what it is"),
        format!("≤ {COMPILED_MAX_MS:.0} ms for 1 MB"),
        format!("{}; CPU {}", took.say(0, " ms"), cpu.say(0, " ms")),
        Some(took.median / (mib * 1.048_576) <= COMPILED_MAX_MS),
    )])
}
