//! The second route: well-behaved, and paced, so that there is a pace that it should reach.

use anyhow::{Context as _, Result, bail, ensure};
use crossdock::{Error, Host, RunReport, Running, Status};
use std::fmt::Write as _;
use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};
use tokio::sync::watch;
use tokio::task::JoinHandle;

/// What its route asks for.
pub(crate) const RECORDS_PER_SECOND: f64 = 2_000.0;
/// How many records it has. At its pace they last for more than ten minutes.
const RECORDS: u64 = 1_500_000;
/// Its route, from the folder of the project.
pub(crate) const ROUTE: &str = "routes/neighbour.toml";
/// How long anything may take to be seen of it.
const SEEN_WITHIN: Duration = Duration::from_secs(30);

/// Writes the route and what it reads.
///
/// # Errors
/// The disk refuses.
pub(crate) fn write(project: &Path) -> Result<()> {
    let (input, output) = (project.join("neighbour/in"), project.join("neighbour/out"));
    std::fs::create_dir_all(&input)?;
    std::fs::create_dir_all(output)?;
    let mut text = String::with_capacity(24 << 20);
    for n in 0..RECORDS {
        let _ = writeln!(text, "{{\"n\":{n}}}");
    }
    std::fs::write(input.join("all.ndjson"), text).context("writing what the second route reads")?;
    let route = r#"name = "neighbour"
batch = { records = 200 }

[source]
plugin = "text-source"
settings = { files = "/in/all.ndjson", format = "ndjson" }
grants = { dirs = [{ host = "neighbour/in", guest = "/in" }] }
rate = { records_per_second = 2000 }

[[step]]
name = "map"
plugin = "map"
settings = { fields = { n = "/n" } }

[[step]]
name = "keep"
plugin = "file-destination"
settings = { file = "/out/all.ndjson", lines = "payload" }
grants = { dirs = [{ host = "neighbour/out", guest = "/out", write = true }] }
retry = { attempts = 1 }
"#;
    std::fs::write(project.join(ROUTE), route).context("writing the second route")
}

/// How many records were through by when.
type Seen = Arc<Mutex<Vec<(Instant, u64)>>>;

/// The second route, running.
pub(crate) struct Neighbour {
    running: Running,
    seen: Seen,
    latest: watch::Receiver<u64>,
    watching: JoinHandle<()>,
}

impl Neighbour {
    /// Starts it, and waits until its first records are through.
    ///
    /// # Errors
    /// It does not start, or gets nowhere.
    pub(crate) async fn start(host: &Host, project: &Path) -> Result<Self> {
        let running = host.run(&project.join(ROUTE)).await.map_err(explained)?;
        let seen: Seen = Arc::default();
        let (say, latest) = watch::channel(0);
        let (mut progress, noted) = (running.progress(), Arc::clone(&seen));
        let watching = tokio::spawn(async move {
            while let Some(progress) = progress.changed().await {
                let through = progress.counts.get(Status::Ok);
                let through = u64::try_from(through).unwrap_or(0);
                noted.lock().unwrap_or_else(PoisonError::into_inner).push((Instant::now(), through));
                say.send_replace(through);
            }
        });
        let mut neighbour = Self { running, seen, latest, watching };
        neighbour.more().await?;
        Ok(neighbour)
    }

    /// Waits until more records are through.
    ///
    /// # Errors
    /// There are none.
    async fn more(&mut self) -> Result<()> {
        let before = *self.latest.borrow();
        let more = tokio::time::timeout(SEEN_WITHIN, self.latest.wait_for(|now| *now > before)).await;
        match more {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(_)) => bail!("the second route has ended"),
            Err(_) => bail!("no record of the second route came through within {} s", SEEN_WITHIN.as_secs()),
        }
    }

    /// A moment from which or to which its pace is measured: that of the next records that are through.
    ///
    /// # Errors
    /// There are none.
    pub(crate) async fn moment(&mut self) -> Result<Instant> {
        let now = Instant::now();
        self.more().await?;
        Ok(now)
    }

    /// Records a second between two moments: from the first records that were through after the one to the first after the
    /// other, so that neither the size of its batches nor a standstill at the end is lost.
    pub(crate) fn pace(&self, from: Instant, to: Instant) -> Option<f64> {
        let seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        let first = |after: Instant| seen.iter().find(|(at, _)| *at >= after).copied();
        let ((began, before), (ended, after)) = (first(from)?, first(to)?);
        let seconds = ended.duration_since(began).as_secs_f64();
        (seconds > 0.0).then(|| (after - before) as f64 / seconds)
    }

    /// Stops it in good order. Every record that it says is ok must be in its file, once.
    ///
    /// # Errors
    /// It did not end in good order, or says something else than the file.
    pub(crate) async fn end(self, project: &Path) -> Result<RunReport> {
        self.running.cancel();
        let report = self.running.finish().await.map_err(explained)?;
        self.watching.abort();
        let kept = std::fs::read_to_string(project.join("neighbour/out/all.ndjson"))?;
        let right = kept.lines().enumerate().all(|(n, line)| line == format!("{{\"n\":{n}}}"));
        let (lines, ok) = (kept.lines().count() as u64, report.count(Status::Ok));
        ensure!(
            right && lines == ok,
            "the second route says {ok} records are ok; its file has {lines}, right: {right}"
        );
        Ok(report)
    }
}

/// An error of the host with its code and its mistakes.
pub(crate) fn explained(error: Error) -> anyhow::Error {
    let mistakes = error.render_mistakes(false).unwrap_or_default();
    anyhow::anyhow!("{}: {error}\n{mistakes}", error.code())
}
