//! From a route as written to a route as meant.

use crate::budget::SourceBudget;
use crate::codes;
use crate::document::document;
use crate::mistake::{Mistake, Mistakes, SourceText};
use crate::pace::{Rate, RateFile};
use crate::read::{At, Notes};
use crate::retry::Retry;
use crate::route::{
    BatchLimits, Handler, Handlers, Inner, MAX_FAILED_DEFAULT, MAX_FAILED_WINDOW_DEFAULT, MAX_FAULTS_DEFAULT, OnError,
    PluginUse, ROLLBACK_RECORDS_MAX_DEFAULT, Rollback, Route, Step,
};
use crate::shared::{GrantsFile, LimitsFile, refuse_repeated, refuse_unordered};
use crate::spans::SpanTree;
use crate::written::{BatchFile, HandlerFile, RetryFile, RouteFile, StepFile};
use crossdock_model::{HandlerKind, PluginName, StepName};
use serde_json::{Map, Value};
use std::sync::Arc;

/// The most steps a route may have.
const STEPS_MAX: usize = 100;

impl RouteFile {
    /// Reads and checks the text of a route. Looks at nothing but the text; what the project and the plugins
    /// have to do with it, [`Route::check_project`] and [`Route::check_abilities`] check afterwards.
    /// `file_name` appears in messages.
    ///
    /// # Errors
    /// All mistakes of the text. While its syntax is wrong, only mistakes of syntax are looked for.
    pub fn parse(file_name: &str, text: &str) -> Result<Route, Mistakes> {
        let source = SourceText::new(file_name, text);
        let document = document(&source)?;
        let mut notes = Notes::new(&source.text);
        let written = Self::read(document.get_ref(), &mut notes);
        let route = written.check(&source, SpanTree::of_document(&document), &mut notes);
        notes.settle(&source, route)
    }

    fn check(self, source: &Arc<SourceText>, spans: SpanTree, notes: &mut Notes<'_>) -> Option<Route> {
        let on_error = value(self.on_error);
        let rollback = value(self.rollback);
        self.check_limits(&spans, notes);
        self.check_rollback(&spans, notes);
        let keep_payloads = self.keep_payloads.is_none_or(|at| at.value);
        if let Some(keep) = self.keep_payloads.filter(|at| !at.value) {
            notes.add(without_payloads(keep, self.on_error));
        }
        let read = self.source.map(|at| at.value);
        let source_rate = rate(read.as_ref().and_then(|source| source.rate));
        let source_budget = read.as_ref().and_then(|source| source.budget).map(|at| at.value.check());
        let read = read.and_then(|s| plugin_use(s.plugin, s.settings, s.grants.as_ref(), s.limits.as_ref(), notes));
        let steps = steps(self.step, notes);
        let of_run = [(HandlerKind::OnRunOk, self.on_run_ok), (HandlerKind::OnRunFailed, self.on_run_failed)];
        let handlers = handlers(of_run, notes);
        Some(Route(Arc::new(Inner {
            name: self.name?.value,
            hash: blake3::hash(source.text.as_bytes()).to_hex().to_string(),
            trigger: value(self.trigger),
            priority: value(self.priority),
            on_error,
            max_failed: match (self.max_failed, on_error) {
                (None, OnError::Continue) => Some(MAX_FAILED_DEFAULT),
                (written, _) => written.map(|at| at.value),
            },
            max_failed_ratio: self.max_failed_ratio.map(|at| at.value),
            max_failed_window: self.max_failed_window.map_or(MAX_FAILED_WINDOW_DEFAULT, |at| at.value),
            max_faults: self.max_faults.map_or(MAX_FAULTS_DEFAULT, |at| at.value),
            keep_payloads,
            rollback,
            rollback_records_max: self.rollback_records_max.map_or(ROLLBACK_RECORDS_MAX_DEFAULT, |at| at.value),
            log: value(self.log),
            batch: batch(self.batch),
            source: read?,
            source_rate,
            source_budget: source_budget.unwrap_or(SourceBudget::DEFAULT),
            steps: steps?,
            handlers: handlers?,
            text: Arc::clone(source),
            spans,
        })))
    }

    /// A limit that would have no effect is a mistake: whoever wrote it relies on it.
    fn check_limits(&self, spans: &SpanTree, notes: &mut Notes<'_>) {
        if let Some(window) = self.max_failed_window.filter(|_| !spans.has("/max_failed_ratio")) {
            notes.add(
                Mistake::new(codes::BAD_VALUE, "`max_failed_window` has no effect without `max_failed_ratio`")
                    .at(window.span, "no share is measured")
                    .with_fix("write max_failed_ratio as well, for example 0.05, or leave this out"),
            );
        }
        let by_run = self.rollback.map_or(spans.has("/rollback"), |at| at.value == Rollback::Run);
        if let Some(records) = self.rollback_records_max.filter(|_| !by_run) {
            notes.add(
                Mistake::new(codes::BAD_VALUE, "`rollback_records_max` has no effect without rollback = \"run\"")
                    .at(records.span, "runs are not undone as a whole")
                    .with_fix("write rollback = \"run\" as well, or leave this out"),
            );
        }
    }

    /// What contradicts the rollback that the route asks for.
    fn check_rollback(&self, spans: &SpanTree, notes: &mut Notes<'_>) {
        let run = self.rollback.filter(|at| at.value == Rollback::Run);
        if let (Some(run), Some(on_error)) = (run, self.on_error.filter(|at| at.value == OnError::Continue)) {
            notes.add(
                Mistake::new(codes::BAD_VALUE, "a run that is all or nothing cannot go on after a failure")
                    .at(run.span, "the run is undone when a record fails")
                    .with_related(on_error.span, "the run goes on then")
                    .with_fix("write on_error = \"stop\", or rollback = \"record\""),
            );
        }
        if self.rollback.map_or(spans.has("/rollback"), |at| at.value != Rollback::None) {
            return;
        }
        let steps = self.step.iter().flat_map(|steps| &steps.value);
        for handler in steps.filter_map(|step| step.value.on_rollback.as_ref()) {
            let mistake = Mistake::new(codes::BAD_VALUE, "`on_rollback` would never be called")
                .at(notes.first_line(handler.span), "nothing is undone in this route")
                .with_fix("write rollback = \"record\" or \"run\" at the top of the file, or leave the handler out");
            notes.add(match self.rollback {
                Some(rollback) => mistake.with_related(rollback.span, "because of this"),
                None => mistake,
            });
        }
    }
}

/// `keep_payloads = false`: loses records if the run goes on after them, and is not available in any case.
fn without_payloads(keep: At<bool>, on_error: Option<At<OnError>>) -> Mistake {
    if let Some(on_error) = on_error.filter(|at| at.value == OnError::Continue) {
        return Mistake::new(codes::LOSES_FAILURES, "failed records would be lost")
            .at(keep.span, "their payloads are not kept")
            .with_related(on_error.span, "the run goes on after them")
            .with_fix("leave `keep_payloads` out: they are kept then");
    }
    Mistake::new(codes::NOT_AVAILABLE, "routes that do not keep payloads are not available in this version")
        .at(keep.span, "only `true` is")
        .with_fix("leave it out: the payloads of records that are not ok are kept")
}

fn value<T: Default + Copy>(written: Option<At<T>>) -> T {
    written.map(|at| at.value).unwrap_or_default()
}

fn batch(written: Option<At<BatchFile>>) -> BatchLimits {
    let BatchFile { records, bytes } = written.map_or(BatchFile { records: None, bytes: None }, |at| at.value);
    BatchLimits {
        records_max: records.map_or(BatchLimits::DEFAULT.records_max, |at| at.value),
        bytes_max: bytes.map_or(BatchLimits::DEFAULT.bytes_max, |at| at.value),
    }
}

fn steps(written: Option<At<Vec<At<StepFile>>>>, notes: &mut Notes<'_>) -> Option<Vec<Step>> {
    let At { value: written, span } = written?;
    if written.len() > STEPS_MAX {
        let message = format!("the route has {} steps, more than {STEPS_MAX}", written.len());
        notes.add(
            Mistake::new(codes::BAD_VALUE, message)
                .at(written.get(STEPS_MAX).map(|step| step.span), "the first one too many")
                .with_fix("split the route"),
        );
    }
    if written.is_empty() {
        notes.add(
            Mistake::new(codes::NO_DESTINATION, "the route has no steps")
                .at(span, "records would go nowhere")
                .with_fix("add a table [[step]] with a destination"),
        );
    }
    let names = written.iter().filter_map(|step| step.value.name.as_ref());
    for name in names.clone().filter(|name| name.value == StepName::source()) {
        notes.add(
            Mistake::new(codes::BAD_VALUE, "a step cannot be called `source`")
                .at(name.span, "this name stands for the source of the route")
                .with_fix("give the step another name"),
        );
    }
    let names: Vec<At<&str>> = names.map(|at| At { value: at.value.as_str(), span: at.span }).collect();
    refuse_repeated(names.iter(), "step", notes);
    let steps: Vec<_> = written.into_iter().map(|at| step(at.value, notes)).collect();
    steps.into_iter().collect()
}

fn step(written: StepFile, notes: &mut Notes<'_>) -> Option<Step> {
    let uses = plugin_use(written.plugin, written.settings, written.grants.as_ref(), written.limits.as_ref(), notes);
    let retry = check_retry(written.retry, notes);
    let breaker = written.breaker.map(|at| at.value.check(notes)).unwrap_or_default();
    let of_step = [
        (HandlerKind::OnSuccess, written.on_success),
        (HandlerKind::OnFailure, written.on_failure),
        (HandlerKind::OnRollback, written.on_rollback),
    ];
    let handlers = handlers(of_step, notes);
    Some(Step { name: written.name?.value, uses: uses?, retry, rate: rate(written.rate), breaker, handlers: handlers? })
}

fn rate(written: Option<At<RateFile>>) -> Rate {
    written.map(|at| at.value.check()).unwrap_or_default()
}

fn handlers<const N: usize>(
    written: [(HandlerKind, Option<At<HandlerFile>>); N],
    notes: &mut Notes<'_>,
) -> Option<Handlers> {
    let written = written.into_iter().filter_map(|(kind, at)| Some((kind, at?.value)));
    // Every one is looked at, so that all mistakes are found.
    let handlers: Vec<_> = written.map(|(kind, handler)| Some((kind, check_handler(handler, notes)?))).collect();
    handlers.into_iter().collect()
}

fn check_handler(written: HandlerFile, notes: &mut Notes<'_>) -> Option<Handler> {
    let HandlerFile { plugin, settings, grants, limits, retry } = written;
    let uses = plugin_use(plugin, settings, grants.as_ref(), limits.as_ref(), notes);
    let retry = check_retry(retry, notes);
    Some(Handler { uses: uses?, retry })
}

fn plugin_use(
    plugin: Option<At<PluginName>>,
    settings: Option<At<Map<String, Value>>>,
    grants: Option<&At<GrantsFile>>,
    limits: Option<&At<LimitsFile>>,
    notes: &mut Notes<'_>,
) -> Option<PluginUse> {
    let grants = grants.map(|at| at.value.check(notes)).unwrap_or_default();
    Some(PluginUse {
        plugin: plugin?.value,
        settings: settings.map(|at| at.value).unwrap_or_default(),
        grants,
        limits: limits.map(|at| at.value.check()).unwrap_or_default(),
    })
}

fn check_retry(written: Option<At<RetryFile>>, notes: &mut Notes<'_>) -> Retry {
    let Some(At { value: RetryFile { attempts, first, max, total }, .. }) = written else {
        return Retry::default();
    };
    refuse_unordered(&[("first", first), ("max", max), ("total", total)], notes);
    Retry {
        attempts_max: attempts.map(|at| at.value),
        first_ms: first.map(|at| at.value),
        max_ms: max.map(|at| at.value),
        total_ms: total.map(|at| at.value),
    }
}
