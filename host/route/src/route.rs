//! A route that was checked.

use crate::budget::SourceBudget;
use crate::mistake::{Mistake, Mistakes, SourceText};
use crate::pace::{Breaker, Rate};
use crate::retry::Retry;
use crate::shared::{Grants, PluginLimits};
use crate::spans::SpanTree;
use crossdock_model::{HandlerKind, HandlerPlace, PluginName, RouteName, StepName};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::Arc;

/// With `on_error = "continue"`: after how many failed records a run stops, if the route says nothing.
pub(crate) const MAX_FAILED_DEFAULT: u64 = 10_000;
/// Over how many records the share of those that failed is measured, if the route says nothing.
pub(crate) const MAX_FAILED_WINDOW_DEFAULT: u64 = 1_000;
/// How many records a run that may be undone as a whole holds open at most, if the route says nothing.
pub(crate) const ROLLBACK_RECORDS_MAX_DEFAULT: u64 = 100_000;
/// After how many faults a run stops, if the route says nothing.
pub(crate) const MAX_FAULTS_DEFAULT: u32 = 20;

/// When a route runs.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Trigger {
    /// When it is told to.
    #[default]
    Manual,
}

/// How a route stands against others that run at the same time. In this version a process runs one
/// route, so nothing competes yet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Priority {
    /// Before all others.
    Critical,
    /// Before most others.
    High,
    /// As most routes.
    #[default]
    Normal,
    /// After most others.
    Low,
    /// With what is left.
    Bulk,
}

/// What happens after a record failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum OnError {
    /// The run stops; later records stay new, and the next run goes on from there.
    #[default]
    Stop,
    /// The run goes on with the other records.
    Continue,
}

/// What is undone when a record fails at a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Rollback {
    /// Nothing.
    #[default]
    None,
    /// What earlier steps did for this record, newest first.
    Record,
    /// What was done for any record of the run, newest first.
    Run,
}

impl Rollback {
    /// The word for it in a route file.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::None => "none",
            Self::Record => "record",
            Self::Run => "run",
        }
    }
}

/// How much is kept of records that are ok. Of all others everything is kept.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum LogLevel {
    /// How many they were.
    Summary,
    /// Their ids, target ids and times.
    #[default]
    Ids,
    /// Their payloads too.
    Full,
}

/// How much is handed over together; the smaller limit counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct BatchLimits {
    /// The most records, from 1 to 10,000.
    pub records_max: u32,
    /// The most bytes of ids and payloads together, at most 4 MiB.
    pub bytes_max: u64,
}

impl BatchLimits {
    /// 1,000 records, 1 MiB. A batch costs something by itself: two transactions that are on disk, the calls of plugins,
    /// their operations on files. Measured, 1,000 a batch took a sixth less CPU time than 500.
    pub const DEFAULT: Self = Self { records_max: 1_000, bytes_max: 1 << 20 };
}

/// A plugin at its place in a route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PluginUse {
    /// The name under which the project knows it.
    pub plugin: PluginName,
    /// Its settings; dates and times are text.
    pub settings: Map<String, Value>,
    /// What it may reach.
    pub grants: Grants,
    /// What it may use, as far as the route says it; see [`PluginLimits::within`].
    pub limits: PluginLimits,
}

/// One transformer or destination of a route.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Step {
    /// Its name, unique in the route, never `source`.
    pub name: StepName,
    /// The plugin.
    #[serde(flatten)]
    pub uses: PluginUse,
    /// What the route says about retries; see [`Retry::policy`].
    pub retry: Retry,
    /// Destinations: how fast it is asked.
    pub rate: Rate,
    /// Destinations: when it is left alone for a while. A transformer's means nothing.
    pub breaker: Breaker,
    /// What is called when something became of a record here, by [`OnSuccess`](HandlerKind::OnSuccess),
    /// [`OnFailure`](HandlerKind::OnFailure) and [`OnRollback`](HandlerKind::OnRollback).
    pub handlers: Handlers,
}

/// A destination that is called with what became of a record at a step, or of a run.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Handler {
    /// The plugin.
    #[serde(flatten)]
    pub uses: PluginUse,
    /// What the route says about retries; see [`Retry::policy`].
    pub retry: Retry,
}

/// The handlers of a step or of the run, in the order of their kinds.
pub type Handlers = BTreeMap<HandlerKind, Handler>;

/// A route without mistakes in itself. Made by [`RouteFile::parse`](crate::RouteFile::parse) only, and never changed;
/// cheap to clone. Serialises to what it means, without its text.
#[derive(Debug, Clone)]
pub struct Route(pub(crate) Arc<Inner>);

#[derive(Debug, Serialize)]
pub(crate) struct Inner {
    pub(crate) name: RouteName,
    pub(crate) hash: String,
    pub(crate) trigger: Trigger,
    pub(crate) priority: Priority,
    pub(crate) on_error: OnError,
    pub(crate) max_failed: Option<u64>,
    pub(crate) max_failed_ratio: Option<f64>,
    pub(crate) max_failed_window: u64,
    pub(crate) max_faults: u32,
    pub(crate) keep_payloads: bool,
    pub(crate) rollback: Rollback,
    pub(crate) rollback_records_max: u64,
    pub(crate) log: LogLevel,
    pub(crate) batch: BatchLimits,
    pub(crate) source: PluginUse,
    pub(crate) source_rate: Rate,
    pub(crate) source_budget: SourceBudget,
    pub(crate) steps: Vec<Step>,
    pub(crate) handlers: Handlers,
    #[serde(skip)]
    pub(crate) text: Arc<SourceText>,
    #[serde(skip)]
    pub(crate) spans: SpanTree,
}

impl Serialize for Route {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Route {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &RouteName {
        &self.0.name
    }

    /// The version of its definition: 64 hexadecimal digits, BLAKE3 over the bytes of its text.
    #[must_use]
    pub fn hash(&self) -> &str {
        &self.0.hash
    }

    /// Its definition, as written.
    #[must_use]
    pub fn text(&self) -> &str {
        &self.0.text.text
    }

    /// The name of its file, as it was given.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.0.text.file
    }

    /// When it runs.
    #[must_use]
    pub fn trigger(&self) -> Trigger {
        self.0.trigger
    }

    /// How it stands against others.
    #[must_use]
    pub fn priority(&self) -> Priority {
        self.0.priority
    }

    /// What happens after a record failed.
    #[must_use]
    pub fn on_error(&self) -> OnError {
        self.0.on_error
    }

    /// With [`OnError::Continue`]: the run stops when more records than this failed. There is always such a limit
    /// then: 10,000 if the route says nothing.
    #[must_use]
    pub fn max_failed(&self) -> Option<u64> {
        self.0.max_failed
    }

    /// With [`OnError::Continue`]: the run stops when a larger share of its last records failed, from 0 to 1.
    #[must_use]
    pub fn max_failed_ratio(&self) -> Option<f64> {
        self.0.max_failed_ratio
    }

    /// Over how many of the run's last records [`Route::max_failed_ratio`] is measured; from 100 to 1,000,000.
    #[must_use]
    pub fn max_failed_window(&self) -> u64 {
        self.0.max_failed_window
    }

    /// The run stops when its plugins committed more faults than this; at least 1.
    #[must_use]
    pub fn max_faults(&self) -> u32 {
        self.0.max_faults
    }

    /// Whether the payloads of records that are not ok are kept.
    #[must_use]
    pub fn keep_payloads(&self) -> bool {
        self.0.keep_payloads
    }

    /// What is undone when a record fails at a step. With [`Rollback::Run`], [`Route::on_error`] is
    /// [`OnError::Stop`].
    #[must_use]
    pub fn rollback(&self) -> Rollback {
        self.0.rollback
    }

    /// With [`Rollback::Run`]: the most records that one run may hold open, from 1 to 10,000,000. A run with more
    /// of them stops and is rolled back.
    #[must_use]
    pub fn rollback_records_max(&self) -> u64 {
        self.0.rollback_records_max
    }

    /// How much is kept of records that are ok.
    #[must_use]
    pub fn log(&self) -> LogLevel {
        self.0.log
    }

    /// How much is handed over together.
    #[must_use]
    pub fn batch(&self) -> BatchLimits {
        self.0.batch
    }

    /// Where its records come from.
    #[must_use]
    pub fn source(&self) -> &PluginUse {
        &self.0.source
    }

    /// How fast its source is asked.
    #[must_use]
    pub fn source_rate(&self) -> Rate {
        self.0.source_rate
    }

    /// How much its source may give in one run.
    #[must_use]
    pub fn source_budget(&self) -> SourceBudget {
        self.0.source_budget
    }

    /// Its steps in order; at least one.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0.steps
    }

    /// What is called when a run ended, by [`OnRunOk`](HandlerKind::OnRunOk) and
    /// [`OnRunFailed`](HandlerKind::OnRunFailed).
    #[must_use]
    pub fn run_handlers(&self) -> &Handlers {
        &self.0.handlers
    }

    /// All handlers with their places: those of the steps, in the order of steps and kinds, then those of the run.
    #[must_use]
    pub fn handlers(&self) -> Vec<(HandlerPlace, &Handler)> {
        let of_steps = self.steps().iter().map(|step| (Some(&step.name), &step.handlers));
        let all = of_steps.chain(std::iter::once((None, self.run_handlers())));
        all.flat_map(|(step, handlers)| {
            handlers.iter().map(move |(kind, handler)| (HandlerPlace { step: step.cloned(), kind: *kind }, handler))
        })
        .collect()
    }

    /// The handler at a place.
    #[must_use]
    pub fn handler(&self, place: &HandlerPlace) -> Option<&Handler> {
        let handlers = match &place.step {
            Some(name) => &self.steps().iter().find(|step| step.name == *name)?.handlers,
            None => self.run_handlers(),
        };
        handlers.get(&place.kind)
    }

    /// Reports mistakes that were found in this route after it was read, in the order of their places.
    ///
    /// # Errors
    /// When there are any.
    pub fn report(&self, mistakes: Vec<Mistake>) -> Result<(), Mistakes> {
        Mistakes::check(&self.0.text, mistakes)
    }
}
