//! What targets with guests share: a sandbox, a runtime to call it from, and what must hold of every answer.

use crossdock_engine::ports::{CallError, CallResult, CallTrace, Clock, PortFuture};
use crossdock_model::{Failure, Outcome, RouteName, StepName, Timestamp};
use crossdock_sandbox::{Compiler, Instance, Limits, Plugin, Sandbox, SandboxConfig};
use std::path::Path;
use std::sync::{Arc, LazyLock};
use tokio::runtime::Runtime;

/// A clock that stands still.
struct Still;

impl Clock for Still {
    fn now(&self) -> Timestamp {
        Timestamp(1_700_000_000_123)
    }

    fn sleep_until(&self, _: Timestamp) -> PortFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

static CALLER: LazyLock<Runtime> = LazyLock::new(|| {
    tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().expect("a runtime can be made")
});

pub(super) fn wait<T>(future: impl Future<Output = T>) -> T {
    CALLER.block_on(future)
}

/// A plugin of ours, compiled in this process.
pub(super) fn load(path: &Path) -> Plugin {
    static SANDBOX: LazyLock<Sandbox> = LazyLock::new(|| {
        let config = SandboxConfig { compiler: Compiler::InProcess, ..SandboxConfig::new(Arc::new(Still)) };
        Sandbox::new(config).expect("a sandbox can be set up")
    });
    wait(SANDBOX.load(path)).unwrap_or_else(|error| panic!("{error}"))
}

pub(super) fn instance(settings: &str) -> Instance {
    let (route, step) = (RouteName::new("fuzz"), StepName::new("here"));
    let (Ok(route), Ok(step)) = (route, step) else { panic!("these are names") };
    let limits = Limits { call_time_max_ms: 5_000, cpu_time_max_ms: 5_000, ..Limits::default() };
    Instance { limits, ..Instance::new(route, step, settings) }
}

/// Whatever a guest does, the host answers with an answer, a refusal or a fault: never with a mistake of its own.
pub(super) fn judged<T>(result: CallResult<T>) -> (Option<T>, CallTrace) {
    let CallResult { answer, trace } = result;
    let answer = match answer {
        Ok(answer) => Some(answer),
        Err(CallError::Refused { failure, .. }) => {
            check_failure(&failure);
            None
        }
        Err(CallError::Fault(fault)) => {
            fit(&fault.message, 1 << 10, false);
            assert!(!fault.message.is_empty(), "{fault:?} says nothing");
            fit(fault.detail.as_deref().unwrap_or_default(), 8 << 10, true);
            None
        }
        Err(CallError::Host(error)) => panic!("the host could not do its work: {error:?}"),
    };
    (answer, trace)
}

/// One outcome a record, and a failure for each that needs one.
pub(super) fn check_outcomes(records: usize, outcomes: &[Outcome], failures: &[(u32, Failure)]) {
    assert_eq!(outcomes.len(), records, "one outcome a record");
    let needed: Vec<u32> =
        (0..).zip(outcomes).filter(|(_, outcome)| outcome.needs_failure()).map(|(position, _)| position).collect();
    let given: Vec<u32> = failures.iter().map(|(position, _)| *position).collect();
    assert_eq!(given, needed, "a failure for each that needs one, in order");
    failures.iter().for_each(|(_, failure)| check_failure(failure));
}

pub(super) fn check_failure(failure: &Failure) {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    assert!((1..=64).contains(&failure.code.len()) && failure.code.bytes().all(fits), "{failure:?}");
    fit(&failure.message, 1 << 10, false);
    fit(failure.detail.as_deref().unwrap_or_default(), 8 << 10, true);
    fit(failure.pointer.as_deref().unwrap_or_default(), 1 << 10, false);
}

/// A text that is not longer than it may be and holds no control characters.
pub(super) fn fit(text: &str, max_bytes: usize, lines: bool) {
    assert!(text.len() <= max_bytes, "{} bytes, {max_bytes} are allowed", text.len());
    assert!(!text.contains(|c: char| c.is_control() && !(lines && matches!(c, '\n' | '\t'))), "{text:?}");
}
