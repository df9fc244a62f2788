//! The engine, and the threads that plugins run on.

use crate::host::Host;
use crate::limits::Limits;
use std::cell::Cell;
use std::hash::{Hash as _, Hasher};
use std::io;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::runtime::{Builder, Handle, Runtime};
use wasmtime::{Config, Engine, Store, Strategy, WasmFeatures};

/// The stack of a thread that runs plugins.
const THREAD_STACK_BYTES: usize = 4 << 20;
/// How much later than the host's own threads those of plugins have their turn, where the system allows to say so: a
/// step of the nice value is about a tenth of a core.
#[cfg(target_os = "linux")]
const NICE: i32 = 5;
/// After so many turns on a thread it looks at timers. A turn of a plugin that computes is a tick, not a microsecond.
const LOOK_AT_TIMERS_EVERY: u32 = 8;

/// The engine with everything off that plugins do not need.
///
/// Instances are allocated on demand: they are kept warm, so that making one costs nothing per record. A pool makes and
/// loses a small one in half the time (measured: 31 µs instead of 74), but has a fixed number of places, terabytes of
/// addresses, and takes 17 to 45 ms to set up for 2,000 of them at every start of the host. The reservation of 4 GiB a
/// memory (wasmtime's default) is kept: a smaller one makes every memory access of the guest dearer.
pub(crate) fn engine() -> wasmtime::Result<Engine> {
    let mut config = Config::new();
    // What is not named here is refused, and so is what a later version of wasmtime brings.
    let features = WasmFeatures::MUTABLE_GLOBAL
        | WasmFeatures::SATURATING_FLOAT_TO_INT
        | WasmFeatures::SIGN_EXTENSION
        | WasmFeatures::REFERENCE_TYPES
        | WasmFeatures::MULTI_VALUE
        | WasmFeatures::BULK_MEMORY
        | WasmFeatures::SIMD
        | WasmFeatures::FLOATS
        | WasmFeatures::EXTENDED_CONST
        | WasmFeatures::COMPONENT_MODEL
        // What stands between two components of a plugin has the memories of both. Admission refuses a module of the
        // plugin's own that has more than one.
        | WasmFeatures::MULTI_MEMORY;
    config
        .wasm_features(WasmFeatures::all() - features, false)
        .strategy(Strategy::Cranelift)
        .wasm_component_model(true)
        .concurrency_support(false)
        .epoch_interruption(true)
        .max_wasm_stack(Limits::STACK_MAX_BYTES)
        .async_stack_size(2 * Limits::STACK_MAX_BYTES)
        .memory_init_cow(true)
        .wasm_backtrace_max_frames(std::num::NonZeroUsize::new(16))
        .cranelift_nan_canonicalization(true);
    Engine::new(&config)
}

/// A number that changes with the engine's settings, its version and the machine.
pub(crate) fn settings_hash(engine: &Engine) -> [u8; 32] {
    struct Blake(blake3::Hasher);
    impl Hasher for Blake {
        fn write(&mut self, bytes: &[u8]) {
            self.0.update(bytes);
        }
        fn finish(&self) -> u64 {
            0
        }
    }
    let mut hasher = Blake(blake3::Hasher::new());
    engine.precompile_compatibility_hash().hash(&mut hasher);
    *hasher.0.finalize().as_bytes()
}

/// Has a plugin that computes give way at every tick: others compute then, and its time is looked at.
pub(crate) fn watch(store: &mut Store<Host>) {
    store.epoch_deadline_async_yield_and_update(1);
}

/// Must be called before every entry into a store, on a thread of plugins: a plugin whose deadline has passed already
/// gives way before it has done anything, and one at which nothing ticks never does.
pub(crate) fn arm(store: &mut Store<Host>) {
    store.data().alarm.wake();
    store.set_epoch_deadline(1);
}

/// Lets the host's own threads go before the current one.
fn stand_back() {
    // Of the thread, not of the process, on this system only. Without it plugins compute as fast as the host does.
    #[cfg(target_os = "linux")]
    if let Ok(now) = rustix::process::getpriority_process(None) {
        let _ = rustix::process::setpriority_process(None, now.saturating_add(NICE).min(19));
    }
}

thread_local! {
    /// Whose plugins compute on this thread; 0: nobody's.
    static COMPUTES_FOR: Cell<u64> = const { Cell::new(0) };
}

/// Tells the sandboxes of a process apart.
static NEXT: AtomicU64 = AtomicU64::new(1);

/// Two runtimes: one that plugins compute on, one that waits for their requests.
pub(crate) struct Threads {
    number: u64,
    guests: Option<Runtime>,
    io: Option<Runtime>,
}

impl Threads {
    pub(crate) fn start(guest_threads: usize) -> io::Result<Self> {
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let guests = Builder::new_multi_thread()
            .worker_threads(guest_threads.max(1))
            .thread_stack_size(THREAD_STACK_BYTES)
            .thread_name("crossdock-guest")
            .max_blocking_threads(Limits::FILE_OPERATIONS_TOTAL_MAX)
            // A call that comes in, or whose wait is over, goes before those that compute and gave way: it waits for
            // one tick at most, however many they are.
            .global_queue_interval(1)
            .event_interval(LOOK_AT_TIMERS_EVERY)
            .on_thread_start(move || {
                COMPUTES_FOR.set(number);
                stand_back();
            })
            .enable_all()
            .build()?;
        // Whole before the second one is made: if there is none to be had, the first must not be waited for either.
        let mut threads = Self { number, guests: Some(guests), io: None };
        threads.io =
            Some(Builder::new_multi_thread().worker_threads(1).thread_name("crossdock-http").enable_all().build()?);
        Ok(threads)
    }

    /// Whether the current thread is one that plugins compute on.
    pub(crate) fn are_here(&self) -> bool {
        COMPUTES_FOR.get() == self.number
    }

    pub(crate) fn guests(&self) -> Option<&Handle> {
        self.guests.as_ref().map(Runtime::handle)
    }

    pub(crate) fn io(&self) -> Option<&Handle> {
        self.io.as_ref().map(Runtime::handle)
    }
}

impl Drop for Threads {
    fn drop(&mut self) {
        // A runtime must not be waited for within another one, and this may be dropped anywhere.
        for runtime in [self.guests.take(), self.io.take()].into_iter().flatten() {
            runtime.shutdown_background();
        }
    }
}

#[cfg(all(test, target_os = "linux"))]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use rustix::process::getpriority_process;

    #[test]
    fn threads_of_plugins_stand_back_behind_others() {
        let mine = getpriority_process(None).unwrap();
        let threads = Threads::start(1).unwrap();
        let caller = Builder::new_current_thread().build().unwrap();
        let of = |handle: &Handle| {
            let spawned = handle.spawn(async { getpriority_process(None).unwrap() });
            caller.block_on(spawned).unwrap()
        };
        assert_eq!(of(threads.guests().unwrap()), (mine + NICE).min(19));
        assert_eq!(of(threads.io().unwrap()), mine);
    }
}
