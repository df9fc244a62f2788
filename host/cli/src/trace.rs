//! What the host and its libraries say of their work, on stderr.

use crate::args::Global;
use crossdock::redact_bytes;
use std::io::{IsTerminal as _, Write};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::time::Duration;
use tracing_subscriber::EnvFilter;
use tracing_subscriber::fmt::MakeWriter;

/// Lines that wait to be written, together. Beyond it lines are left out: whoever reads stderr slowly, or not at all,
/// must not hold up the threads that plugins run on.
const WAITING_MAX_BYTES: usize = 4 << 20;
/// How long the end of the command waits for lines to be written.
const FINISH_MAX: Duration = Duration::from_secs(1);

/// Shows the trace on stderr, if it is wanted, until what this answers with is dropped.
#[allow(clippy::disallowed_methods)]
pub(crate) fn trace(global: &Global) -> Option<Trace> {
    let levels = match global.verbose {
        0 => return None,
        1 => "info,wasmtime=warn,cranelift=warn,hyper=warn,rustls=warn",
        2 => "debug,wasmtime=info,cranelift=info,hyper=info",
        _ => "trace",
    };
    let (lines, trace) = start(std::io::stderr());
    // Fails only if somebody else has set one up before, which is nobody.
    let _ = tracing_subscriber::fmt()
        .with_env_filter(EnvFilter::new(levels))
        .with_writer(lines)
        .with_ansi(std::io::stderr().is_terminal() && !global.json)
        .try_init();
    Some(trace)
}

enum Message {
    Line(Vec<u8>),
    End,
}

/// Takes whole lines and never waits.
#[derive(Clone)]
struct Lines {
    sender: Sender<Message>,
    waiting: Arc<Waiting>,
}

#[derive(Default)]
struct Waiting {
    bytes: AtomicUsize,
    left_out: AtomicU64,
}

/// The trace while it is written. Dropping it writes what is still waiting, for at most a second.
pub(crate) struct Trace {
    lines: Lines,
    ended: Receiver<()>,
}

/// Starts the thread that writes. A thread that cannot be started leaves all lines out.
fn start(mut out: impl Write + Send + 'static) -> (Lines, Trace) {
    let (sender, messages) = channel();
    let (end, ended) = channel::<()>();
    let waiting = Arc::new(Waiting::default());
    let lines = Lines { sender, waiting: waiting.clone() };
    let work = move || {
        // Dropped with the thread, which is how the other side learns of its end.
        let _end = end;
        while let Ok(Message::Line(line)) = messages.recv() {
            // Here and not where it was said: this thread has nothing else to do.
            // A stderr that cannot be written to leaves nothing that could be done about it.
            let _ = out.write_all(&redact_bytes(&line));
            waiting.bytes.fetch_sub(line.len(), Ordering::Relaxed);
            let left_out = waiting.left_out.swap(0, Ordering::Relaxed);
            if left_out > 0 {
                let _ = writeln!(out, "left out {left_out} lines of the trace: the lines before were not read in time");
            }
        }
        let _ = out.flush();
    };
    // Without it, every line that is said finds nobody who takes it.
    let _ = std::thread::Builder::new().name("trace".to_owned()).spawn(work);
    (lines.clone(), Trace { lines, ended })
}

impl Drop for Trace {
    fn drop(&mut self) {
        if self.lines.sender.send(Message::End).is_ok() {
            let _ = self.ended.recv_timeout(FINISH_MAX);
        }
    }
}

impl Write for Lines {
    /// One call is one line: the formatter hands over what it made as a whole.
    fn write(&mut self, line: &[u8]) -> std::io::Result<usize> {
        let before = self.waiting.bytes.fetch_add(line.len(), Ordering::Relaxed);
        if before.saturating_add(line.len()) > WAITING_MAX_BYTES
            || self.sender.send(Message::Line(line.to_vec())).is_err()
        {
            self.waiting.bytes.fetch_sub(line.len(), Ordering::Relaxed);
            self.waiting.left_out.fetch_add(1, Ordering::Relaxed);
        }
        Ok(line.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

impl<'a> MakeWriter<'a> for Lines {
    type Writer = Self;

    fn make_writer(&'a self) -> Self {
        self.clone()
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use std::sync::{Condvar, Mutex};

    /// Somebody who reads nothing until the gate is open.
    #[derive(Clone, Default)]
    struct Slow(Arc<Gate>);

    #[derive(Default)]
    struct Gate {
        /// Whether it is open, and what came through.
        state: Mutex<(bool, Vec<u8>)>,
        opened: Condvar,
    }

    impl Slow {
        fn open(&self) {
            self.0.state.lock().unwrap().0 = true;
            self.0.opened.notify_all();
        }
    }

    impl Write for Slow {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            let mut state = self.0.opened.wait_while(self.0.state.lock().unwrap(), |(open, _)| !*open).unwrap();
            state.1.extend_from_slice(bytes);
            Ok(bytes.len())
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    #[test]
    fn nobody_waits_for_a_slow_reader_and_what_is_left_out_is_told() {
        let slow = Slow::default();
        let (mut lines, trace) = start(slow.clone());
        let line = [b'x'; 1 << 10];
        for _ in 0..5_000 {
            lines.write_all(&line).unwrap();
        }
        slow.open();
        drop(trace);
        let state = slow.0.state.lock().unwrap();
        let text = String::from_utf8_lossy(&state.1);
        let told = text.find("left out ").unwrap();
        let left_out: usize = text[told + 9..].split(' ').next().unwrap().parse().unwrap();
        assert_eq!(left_out, 5_000 - WAITING_MAX_BYTES / line.len());
        assert_eq!(text.matches('x').count(), WAITING_MAX_BYTES);
    }

    #[test]
    fn a_reader_that_never_reads_does_not_hold_up_the_end() {
        let begun = std::time::Instant::now();
        let (mut lines, trace) = start(Slow::default());
        lines.write_all(b"a line\n").unwrap();
        drop(trace);
        assert!(begun.elapsed() < FINISH_MAX * 20);
    }
}
