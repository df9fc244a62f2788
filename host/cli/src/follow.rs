//! A run, watched until it has ended or somebody stops it.

use crate::fail::Fail;
use crate::out::Out;
use crate::plugins;
use crate::progress::Display;
use crate::summary;
use crossdock::{Host, RunReport, Running};
use std::time::{Duration, Instant};

/// How often the progress is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// A run to its end, with its summary. Gives the exit code.
///
/// # Errors
/// As [`follow`].
pub(crate) async fn watch(out: &Out, host: &Host, running: Running) -> Result<u8, Fail> {
    let report = follow(running, out).await?;
    summary::show(out, host, &report, None)?;
    Ok(report.exit_code())
}

/// Waits for the durable end of a run and shows how it gets on. The first signal stops the run in good order.
///
/// # Errors
/// When the host could not do its own work; at the second signal, which leaves the run as a kill would.
pub(crate) async fn follow(running: Running, out: &Out) -> Result<RunReport, Fail> {
    if let Some(line) = plugins::added(running.added_to_lock()) {
        out.note(&line);
    }
    let progress = running.progress();
    let canceller = running.canceller();
    let mut signals = Signals::new()?;
    let mut display = Display::new(out, running.expected(), Instant::now());
    let mut look = tokio::time::interval(LOOK_EVERY);
    let mut stopping = false;
    let finish = running.finish();
    tokio::pin!(finish);
    loop {
        tokio::select! {
            report = &mut finish => return Ok(report?),
            () = signals.next() => {
                if stopping {
                    return Err(Fail::Interrupted);
                }
                stopping = true;
                canceller.cancel();
                display.say("Stopping in good order: what is under way is finished and written down. Ctrl-C again stops at once.");
            }
            _ = look.tick() => display.show(&progress.now(), Instant::now()),
        }
    }
}

#[cfg(unix)]
struct Signals {
    interrupt: tokio::signal::unix::Signal,
    terminate: tokio::signal::unix::Signal,
}

#[cfg(unix)]
impl Signals {
    fn new() -> Result<Self, Fail> {
        use tokio::signal::unix::{SignalKind, signal};
        let fail = |error| Fail::internal(format!("listening for signals: {error}"));
        Ok(Self {
            interrupt: signal(SignalKind::interrupt()).map_err(fail)?,
            terminate: signal(SignalKind::terminate()).map_err(fail)?,
        })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

#[cfg(not(unix))]
struct Signals;

#[cfg(not(unix))]
impl Signals {
    fn new() -> Result<Self, Fail> {
        Ok(Self)
    }

    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            // Nobody can ask any more.
            std::future::pending::<()>().await;
        }
    }
}
