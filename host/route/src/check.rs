//! From a route as written to a route as meant.

use crate::codes;
use crate::document::document;
use crate::mistake::{Mistake, Mistakes, SourceText};
use crate::read::{At, Notes};
use crate::retry::Retry;
use crate::route::{BatchLimits, Inner, MAX_FAULTS_DEFAULT, OnError, PluginUse, Route, Step};
use crate::shared::{GrantsFile, LimitsFile, refuse_repeated};
use crate::spans::SpanTree;
use crate::units::show_ms;
use crate::written::{BatchFile, RetryFile, RouteFile, StepFile};
use crossdock_model::{PluginName, StepName};
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
        let keep_payloads = self.keep_payloads.is_none_or(|at| at.value);
        if let Some(keep) = self.keep_payloads.filter(|at| !at.value) {
            notes.add(without_payloads(keep, self.on_error));
        }
        let read = self.source.map(|at| at.value);
        let read = read.and_then(|s| plugin_use(s.plugin, s.settings, s.grants.as_ref(), s.limits.as_ref(), notes));
        let steps = steps(self.step, notes);
        Some(Route(Arc::new(Inner {
            name: self.name?.value,
            hash: blake3::hash(source.text.as_bytes()).to_hex().to_string(),
            trigger: value(self.trigger),
            priority: value(self.priority),
            on_error,
            max_failed: self.max_failed.map(|at| at.value),
            max_failed_ratio: self.max_failed_ratio.map(|at| at.value),
            max_faults: self.max_faults.map_or(MAX_FAULTS_DEFAULT, |at| at.value),
            keep_payloads,
            rollback: value(self.rollback),
            log: value(self.log),
            batch: batch(self.batch),
            source: read?,
            steps: steps?,
            text: Arc::clone(source),
            spans,
        })))
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
    let StepFile { name, plugin, settings, grants, limits, retry } = written;
    let uses = plugin_use(plugin, settings, grants.as_ref(), limits.as_ref(), notes);
    let retry = retry.map(|at| check_retry(at.value, notes)).unwrap_or_default();
    Some(Step { name: name?.value, uses: uses?, retry })
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

fn check_retry(written: RetryFile, notes: &mut Notes<'_>) -> Retry {
    let RetryFile { attempts, first, max, total } = written;
    let pairs =
        [(("first", first), ("max", max)), (("max", max), ("total", total)), (("first", first), ("total", total))];
    for ((small, low), (large, high)) in pairs {
        let (Some(low), Some(high)) = (low, high) else { continue };
        if low.value > high.value && !(small == "first" && large == "total" && max.is_some()) {
            let message = format!("`{small}` is longer than `{large}`");
            notes.add(
                Mistake::new(codes::BAD_VALUE, message)
                    .at(low.span, format!("longer than {}", show_ms(high.value)))
                    .with_related(high.span, format!("shorter than {}", show_ms(low.value)))
                    .with_fix("write them so that `first` ≤ `max` ≤ `total`"),
            );
        }
    }
    Retry {
        attempts_max: attempts.map(|at| at.value),
        first_ms: first.map(|at| at.value),
        max_ms: max.map(|at| at.value),
        total_ms: total.map(|at| at.value),
    }
}
