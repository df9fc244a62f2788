//! What has plugins give way: a thread that ticks while they have something to do.

use crate::limits::Limits;
use std::io;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Arc, OnceLock};
use std::thread::Thread;
use std::time::Duration;
use tokio::runtime::Handle;
use wasmtime::Engine;

/// Moves the engine's epoch from a thread of its own, every [`Limits::TICK_MS`], while plugins have something to do;
/// otherwise the thread rests, so that a host that waits takes no CPU time.
pub(crate) struct Ticks(Arc<TickThread>);

struct TickThread {
    /// The thread looks at nothing until it is woken.
    rests: AtomicBool,
    /// Nobody begins anything any more.
    ends: AtomicBool,
    thread: OnceLock<Thread>,
}

impl Ticks {
    /// Starts the thread. It watches what is to do on the threads of plugins.
    pub(crate) fn start(engine: &Engine, guests: &Handle) -> io::Result<Self> {
        let state = TickThread { rests: AtomicBool::new(false), ends: AtomicBool::new(false), thread: OnceLock::new() };
        let state = Arc::new(state);
        let (engine, metrics, ticks) = (engine.weak(), guests.metrics(), Arc::clone(&state));
        let spawned = std::thread::Builder::new().name("crossdock-ticks".to_owned()).spawn(move || {
            let is_idle = || metrics.num_alive_tasks() == 0;
            // What is left when the sandbox is gone, like a plugin that does not come back, still has to give way.
            while !(ticks.ends.load(Ordering::Acquire) && is_idle()) {
                if is_idle() {
                    ticks.rest(is_idle);
                }
                std::thread::sleep(Duration::from_millis(Limits::TICK_MS));
                let Some(engine) = engine.upgrade() else { break };
                engine.increment_epoch();
            }
        })?;
        // Nobody else sets it. Until then the thread cannot be woken, which is done below if it rests already.
        let _ = state.thread.set(spawned.thread().clone());
        spawned.thread().unpark();
        Ok(Self(state))
    }

    /// What wakes the thread, for those who give it something to do.
    pub(crate) fn alarm(&self) -> Alarm {
        Alarm(Arc::clone(&self.0))
    }
}

impl Drop for Ticks {
    fn drop(&mut self) {
        self.0.ends.store(true, Ordering::Release);
        self.0.wake();
    }
}

impl TickThread {
    /// Waits until it is woken, unless there is something to do by now. Both sides say what they do and then look at
    /// what the other does: one of them sees the other.
    fn rest(&self, is_idle: impl Fn() -> bool) {
        self.rests.store(true, Ordering::Relaxed);
        fence(Ordering::SeqCst);
        if is_idle() && !self.ends.load(Ordering::Relaxed) {
            // May return for no reason, and is called again then.
            std::thread::park();
        }
        self.rests.store(false, Ordering::Relaxed);
    }

    fn wake(&self) {
        fence(Ordering::SeqCst);
        if self.rests.load(Ordering::Relaxed)
            && let Some(thread) = self.thread.get()
        {
            thread.unpark();
        }
    }
}

/// Wakes the thread that ticks.
pub(crate) struct Alarm(Arc<TickThread>);

impl Alarm {
    /// Must be called whenever a plugin is about to compute, on a thread of plugins.
    pub(crate) fn wake(&self) {
        self.0.wake();
    }
}
