//! What a loaded route asks for, in the engine's words.

use crate::load::{Loaded, LoadedStep};
use crate::world::new_seed;
use crossdock_engine::driver::HandlerPort;
use crossdock_engine::handlers::HandlerSpec;
use crossdock_engine::plan::{
    Breaker, Entry, LogLevel, OnError, Policy, Retry, Role, Rollback, RunSpec, SourceBudget, StepSpec,
};
use crossdock_engine::ports::Idempotency;
use crossdock_model::RunId;
use crossdock_route::{Handlers, RetryPolicy, Route, Step};

/// How many batches may be under way at once: one is read while one is transformed and one is written.
const WINDOW: u32 = 4;

/// A run of a loaded route.
pub(crate) fn run_spec(loaded: &Loaded, run: RunId, entry: Entry) -> RunSpec {
    let route = &loaded.route;
    RunSpec {
        run,
        route: route.name().clone(),
        policy: policy(route),
        steps: loaded.steps.iter().zip(route.steps()).map(|(step, written)| step_spec(step, written)).collect(),
        entry,
        run_handlers: kinds(route.run_handlers()),
        seed: new_seed(),
    }
}

fn policy(route: &Route) -> Policy {
    let batch = route.batch();
    let budget = route.source_budget();
    Policy {
        on_error: match route.on_error() {
            crossdock_route::OnError::Stop => OnError::Stop,
            crossdock_route::OnError::Continue => OnError::Continue,
        },
        max_failed: route.max_failed(),
        max_failed_ratio: route.max_failed_ratio(),
        max_failed_window: route.max_failed_window(),
        max_faults: route.max_faults(),
        rollback: match route.rollback() {
            crossdock_route::Rollback::None => Rollback::None,
            crossdock_route::Rollback::Record => Rollback::Record,
            crossdock_route::Rollback::Run => Rollback::Run,
        },
        rollback_records_max: route.rollback_records_max(),
        log: match route.log() {
            crossdock_route::LogLevel::Summary => LogLevel::Summary,
            crossdock_route::LogLevel::Ids => LogLevel::Ids,
            crossdock_route::LogLevel::Full => LogLevel::Full,
        },
        batch_records: batch.records_max,
        batch_bytes: u32::try_from(batch.bytes_max).unwrap_or(u32::MAX),
        window: WINDOW,
        source: SourceBudget {
            pages_max: budget.pages_max,
            records_max: budget.records_max,
            bytes_max: budget.bytes_max,
            time_max_ms: budget.time_max_ms,
            empty_pages_max: budget.empty_pages_max,
            repeated_pages_max: budget.repeated_pages_max,
        },
    }
}

fn step_spec(step: &LoadedStep, written: &Step) -> StepSpec {
    let breaker = written.breaker;
    StepSpec {
        name: step.name.clone(),
        role: match step.destination() {
            None => Role::Transformer { pure: step.abilities.pure },
            Some(_) => Role::Destination {
                idempotency: step.abilities.idempotency,
                probes: step.abilities.probes,
                compensates: step.abilities.compensates,
            },
        },
        max_batch: step.abilities.max_batch,
        retry: retry(written.retry.policy(&step.checked)),
        breaker: Breaker {
            failures: breaker.failures,
            open_ms: breaker.open_ms,
            max_ms: breaker.max_ms,
            total_ms: breaker.total_ms,
        },
        handlers: kinds(&written.handlers),
    }
}

fn kinds(handlers: &Handlers) -> Vec<crossdock_model::HandlerKind> {
    handlers.keys().copied().collect()
}

fn retry(policy: RetryPolicy) -> Retry {
    Retry { attempts: policy.attempts_max, first_ms: policy.first_ms, max_ms: policy.max_ms, total_ms: policy.total_ms }
}

/// The handlers of a loaded route, as the engine calls them.
pub(crate) fn handler_ports(loaded: &Loaded) -> Vec<HandlerPort> {
    let ports = loaded.handlers.iter().filter_map(|handler| {
        let written = loaded.route.handler(&handler.place)?;
        let abilities = handler.port.abilities();
        let spec = HandlerSpec {
            place: handler.place.clone(),
            max_batch: abilities.max_batch,
            retry: retry(written.retry.policy(&handler.checked)),
            recognises: matches!(abilities.idempotency, Idempotency::NativeKey | Idempotency::Upsert),
        };
        Some(HandlerPort { spec, port: handler.port.clone() })
    });
    ports.collect()
}
