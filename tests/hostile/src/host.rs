//! The process in which everything runs: the host, the second route, and one case after the other.

use crate::case::Case;
use crate::cases::{cases, texts};
use crate::memory;
use crate::neighbour::{self, Neighbour};
use crate::round::{act, judge, next, prepare};
use crate::suite::{Line, Report, Verdict};
use anyhow::{Context as _, Result, ensure};
use crossdock::{Host, HostOptions};
use crossdock_devkit::{HostileServer, guests, plugins};
use std::fmt::Write as _;
use std::fs::{self, File};
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

/// What every route of the suite may use.
const PLUGINS: [&str; 3] = ["text-source", "map", "file-destination"];

/// Runs these cases and says of each, as a line of JSON, that it begins and what came of it. Each goes on for at least
/// `window`, again and again, and so does the quiet between them; with none, each is run once and no pace is measured.
///
/// # Errors
/// The folder of a case cannot be made, or the host itself does not end in good order.
pub fn serve(names: &[String], window: Duration) -> Result<()> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    runtime.block_on(async {
        let server = Arc::new(HostileServer::start()?);
        let mut chosen = cases();
        chosen.retain(|case| names.iter().any(|name| name == case.name));
        let folder = Folder::make(&chosen)?;
        let host = Host::open(HostOptions { project: Some(folder.project()), ..HostOptions::default() });
        let host = Arc::new(host.map_err(neighbour::explained)?);
        warm(&host, &folder, &server).await?;
        neighbour::write(&folder.project())?;
        let mut neighbour = Neighbour::start(&host, &folder.project()).await?;
        let mut quiet = quiet(&mut neighbour, window).await?;
        for case in &chosen {
            say(&Line::Begins(case.name.to_owned()))?;
            let mut tried = Tried::default();
            let began = Instant::now();
            let verdict = tried.run(case, &host, &folder, &server, &mut neighbour, window).await;
            let took_ms = u64::try_from(began.elapsed().as_millis())?;
            let mut report = Report::of(case, &verdict, took_ms);
            report.named = tried.named;
            report.host_memory_mib = tried.memory_bytes.map(|bytes| bytes as f64 / f64::from(1 << 20));
            let after = self::quiet(&mut neighbour, window).await?;
            let pace = tried.window.and_then(|(from, to)| neighbour.pace(from, to));
            if let (Some(pace), Some(before), Some(after)) = (pace, quiet, after) {
                // In the quiet after a case it makes up for what it lost: it is held to no more than it is asked for.
                report.pace = Some(pace / ((before + after) / 2.0).min(neighbour::RECORDS_PER_SECOND));
            }
            quiet = after;
            say(&Line::Came(Box::new(report)))?;
        }
        neighbour.end(&folder.project()).await?;
        let verified = host.verify().map_err(neighbour::explained)?;
        ensure!(verified.is_whole(), "the ledger is not whole: {:?}", verified.violations);
        drop(host);
        folder.keep_compiled()?;
        say(&Line::Ended)
    })
}

/// How far a case came.
#[derive(Default)]
struct Tried {
    named: Option<String>,
    memory_bytes: Option<u64>,
    window: Option<(Instant, Instant)>,
}

impl Tried {
    async fn run(
        &mut self,
        case: &Case,
        host: &Arc<Host>,
        folder: &Folder,
        server: &Arc<HostileServer>,
        neighbour: &mut Neighbour,
        window: Duration,
    ) -> Result<()> {
        let project = folder.project();
        let mut site = prepare(host, &project, server, case, 1)?;
        let resident = memory::begin()?;
        let began = neighbour.moment().await.context("the second route, before the case")?;
        act(&mut site, case).await?;
        // Once is soon over; its pace is seen over a longer time.
        let mut round = 1;
        while began.elapsed() < window {
            round += 1;
            act(&mut prepare(host, &project, server, case, round)?, case).await?;
        }
        self.memory_bytes = Some(memory::peak()?.saturating_sub(resident));
        let ended = neighbour.moment().await.context("the second route, after the case")?;
        self.window = Some((began, ended));
        self.named = Some(judge(&site, case)?);
        next(&site, case).await.context("the next batch")?;
        let (took, most) = (self.memory_bytes.unwrap_or(0) >> 20, case.memory_max_mib);
        ensure!(took <= most, "the memory of the host rose by {took} MiB; the bound is {most} MiB");
        Ok(())
    }
}

/// Its pace while nothing else is going on.
async fn quiet(neighbour: &mut Neighbour, window: Duration) -> Result<Option<f64>> {
    if window.is_zero() {
        return Ok(None);
    }
    let from = neighbour.moment().await?;
    tokio::time::sleep(window / 2).await;
    let to = neighbour.moment().await?;
    Ok(neighbour.pace(from, to))
}

/// Has everything compiled that is used by more than one case, and every part of the host used once.
async fn warm(host: &Arc<Host>, folder: &Folder, server: &Arc<HostileServer>) -> Result<()> {
    let polite = Case::new("warm", "", "").transformer("polite");
    let mut site = prepare(host, &folder.project(), server, &polite, 0)?;
    act(&mut site, &polite).await?;
    judge(&site, &polite).context("a route that behaves")?;
    Ok(())
}

#[allow(clippy::print_stdout)]
fn say(line: &Line) -> Result<()> {
    println!("{}", serde_json::to_string(line)?);
    std::io::stdout().flush().context("saying how far it is")
}

impl Report {
    fn of(case: &Case, verdict: &Result<()>, took_ms: u64) -> Self {
        Self {
            name: case.name.to_owned(),
            what: case.what.to_owned(),
            control: case.control.to_owned(),
            verdict: match (verdict, case.open) {
                (Ok(()), _) => Verdict::Held,
                (Err(_), None) => Verdict::Failed,
                (Err(_), Some(_)) => Verdict::Open,
            },
            why: verdict.as_ref().err().map(|why| match case.open {
                Some(open) => format!("{open} ({why:#})"),
                None => format!("{why:#}"),
            }),
            named: None,
            host_memory_mib: None,
            memory_max_mib: case.memory_max_mib,
            pace: None,
            took_ms,
        }
    }
}

/// The project of the suite.
struct Folder {
    folder: tempfile::TempDir,
    compiled: PathBuf,
}

impl Folder {
    fn make(cases: &[Case]) -> Result<Self> {
        let program = std::env::current_exe().context("finding this program")?;
        let target = program.ancestors().nth(2).context("a program without target folder")?.join("tmp");
        fs::create_dir_all(&target)?;
        // On the disk of the target folder: a file system in memory would be part of the memory that is measured.
        let folder = tempfile::tempdir_in(&target).context("making a folder")?;
        let made = Self { folder, compiled: target.join("hostile-compiled") };
        made.write(cases)?;
        made.take_compiled()?;
        Ok(made)
    }

    fn project(&self) -> PathBuf {
        self.folder.path().to_owned()
    }

    fn write(&self, cases: &[Case]) -> Result<()> {
        let folder = self.folder.path();
        for name in ["plugins", "routes", "cases"] {
            fs::create_dir_all(folder.join(name))?;
        }
        fs::write(folder.join("token"), texts::CANARY)?;
        let mut file = String::from("[secrets]\nTOKEN = { file = \"token\" }\n\n[plugins]\n");
        let (ours, guests) = (plugins()?, guests()?);
        for (name, path) in ours.iter().filter(|(name, _)| PLUGINS.contains(name)).chain(guests.iter()) {
            fs::copy(path, folder.join(format!("plugins/{name}.wasm")))?;
            let _ = writeln!(file, "{name} = {{ path = \"plugins/{name}.wasm\" }}");
        }
        for (name, digest, make) in cases.iter().flat_map(|case| &case.scene.plugins) {
            fs::write(folder.join(format!("plugins/{name}.wasm")), make()?)?;
            let digest = digest.as_ref().map(|digest| format!(", digest = \"{digest}\"")).unwrap_or_default();
            let _ = writeln!(file, "{name} = {{ path = \"plugins/{name}.wasm\"{digest} }}");
        }
        fs::write(folder.join("crossdock.toml"), file).context("writing the project file")
    }

    /// Compiling plugins takes seconds: what was compiled before is taken over, as a whole folder that belongs to one
    /// installation.
    fn take_compiled(&self) -> Result<()> {
        let _lock = self.lock()?;
        if self.compiled.is_dir() { copy_new(&self.compiled, &self.own_compiled()) } else { Ok(()) }
    }

    fn keep_compiled(&self) -> Result<()> {
        let _lock = self.lock()?;
        let key = |folder: &Path| fs::read(folder.join("key")).ok();
        let (own, kept) = (self.own_compiled(), key(&self.compiled));
        if kept.is_none() || kept == key(&own) { copy_new(&own, &self.compiled) } else { Ok(()) }
    }

    fn own_compiled(&self) -> PathBuf {
        self.folder.path().join(".crossdock/cache")
    }

    fn lock(&self) -> Result<File> {
        let lock = File::create(self.compiled.with_extension("lock"))?;
        lock.lock().context("waiting for other processes of the suite")?;
        Ok(lock)
    }
}

/// Copies the files that are not there yet.
fn copy_new(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let to = to.join(entry.file_name());
        if !to.exists() {
            fs::copy(entry.path(), to)?;
        }
    }
    Ok(())
}
