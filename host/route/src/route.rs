//! A route that was checked.

use crate::mistake::{Mistake, Mistakes, SourceText, Span};
use crate::retry::Retry;
use crate::shared::{Grants, PluginLimits};
use crate::spans::SpanTree;
use crossdock_model::{PluginName, RouteName, StepName};
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use serde_json::{Map, Value};
use std::sync::Arc;

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

/// What is undone when a step fails.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[non_exhaustive]
pub enum Rollback {
    /// Nothing.
    #[default]
    None,
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
    /// The most bytes of ids and payloads together, at most 64 MiB.
    pub bytes_max: u64,
}

impl BatchLimits {
    /// 500 records, 1 MiB.
    pub const DEFAULT: Self = Self { records_max: 500, bytes_max: 1 << 20 };
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
}

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
    pub(crate) max_faults: u32,
    pub(crate) keep_payloads: bool,
    pub(crate) rollback: Rollback,
    pub(crate) log: LogLevel,
    pub(crate) batch: BatchLimits,
    pub(crate) source: PluginUse,
    pub(crate) steps: Vec<Step>,
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

    /// With [`OnError::Continue`]: the run stops when more records than this failed.
    #[must_use]
    pub fn max_failed(&self) -> Option<u64> {
        self.0.max_failed
    }

    /// With [`OnError::Continue`]: the run stops when a larger share of its records failed, from 0 to 1.
    #[must_use]
    pub fn max_failed_ratio(&self) -> Option<f64> {
        self.0.max_failed_ratio
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

    /// What is undone when a step fails.
    #[must_use]
    pub fn rollback(&self) -> Rollback {
        self.0.rollback
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

    /// Its steps in order; at least one.
    #[must_use]
    pub fn steps(&self) -> &[Step] {
        &self.0.steps
    }

    /// Where a part of a plugin's settings stands in the text. `step` is `None` (or `source`) for the source;
    /// `pointer` is an RFC 6901 pointer into the settings. Where nothing stands under the pointer, it is the
    /// place of the nearest thing around it. `None` if the route has no such step.
    #[must_use]
    pub fn span_of(&self, step: Option<&StepName>, pointer: &str) -> Option<Span> {
        Some(self.0.spans.nearest(&format!("{}/settings{pointer}", self.pointer_to(step)?), false))
    }

    /// The same for the key under which the value stands; for values that should not be there.
    #[must_use]
    pub fn key_span_of(&self, step: Option<&StepName>, pointer: &str) -> Option<Span> {
        Some(self.0.spans.nearest(&format!("{}/settings{pointer}", self.pointer_to(step)?), true))
    }

    /// Where a plugin is named: the value of `plugin` of the source (`None`) or of a step.
    #[must_use]
    pub fn span_of_plugin(&self, step: Option<&StepName>) -> Option<Span> {
        Some(self.0.spans.nearest(&format!("{}/plugin", self.pointer_to(step)?), false))
    }

    /// Where directory `index` of a plugin's grants stands: the value of its `host`.
    #[must_use]
    pub fn span_of_dir(&self, step: Option<&StepName>, index: usize) -> Option<Span> {
        Some(self.0.spans.nearest(&format!("{}/grants/dirs/{index}/host", self.pointer_to(step)?), false))
    }

    /// Reports mistakes that were found in this route after it was read, in the order of their places.
    ///
    /// # Errors
    /// When there are any.
    pub fn report(&self, mistakes: Vec<Mistake>) -> Result<(), Mistakes> {
        Mistakes::check(&self.0.text, mistakes)
    }

    fn pointer_to(&self, step: Option<&StepName>) -> Option<String> {
        match step {
            None => Some("/source".to_owned()),
            Some(name) if *name == StepName::source() => Some("/source".to_owned()),
            Some(name) => {
                let index = self.0.steps.iter().position(|step| step.name == *name)?;
                Some(format!("/step/{index}"))
            }
        }
    }
}
