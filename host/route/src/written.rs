//! A route as written.

use crate::budget::BudgetFile;
use crate::codes;
use crate::formats;
use crate::mistake::Mistake;
use crate::pace::{BreakerFile, RateFile};
use crate::read::{At, Fields, Node, Notes, Word, duration, flag, list, name, number, ratio, size, word};
use crate::retry::{ATTEMPTS_MAX, TOTAL_MAX_MS, WAIT_MIN_MS};
use crate::route::{
    BatchLimits, LogLevel, MAX_FAILED_DEFAULT, MAX_FAILED_WINDOW_DEFAULT, MAX_FAULTS_DEFAULT, OnError, Priority,
    ROLLBACK_RECORDS_MAX_DEFAULT, Rollback, Trigger,
};
use crate::shared::{GrantsFile, LimitsFile};
use crate::values;
use crossdock_model::{PluginName, RouteName, StepName};
use schemars::JsonSchema;
use serde_json::{Map, Value};
use toml::de::{DeTable, DeValue};

/// Bounds of what a route may set as the size of a batch.
const RECORDS_MAX: u32 = 10_000;
const BYTES_MIN: u64 = 1 << 10;
const BYTES_MAX: u64 = 4 << 20;
/// Bounds of how many records the share of those that failed is measured over. Among fewer, a few say nothing.
const WINDOW_MIN: u64 = 100;
const WINDOW_MAX: u64 = 1_000_000;
/// The most records that a route may let a run hold open until its end.
const ROLLBACK_RECORDS_MAX: u64 = 10_000_000;

/// Keys of the route that are easily written below a table, where TOML counts them to that table.
const ROUTE_KEYS: &[&str] = &[
    "trigger",
    "priority",
    "on_error",
    "max_failed",
    "max_failed_ratio",
    "max_failed_window",
    "max_faults",
    "keep_payloads",
    "rollback",
    "rollback_records_max",
    "on_run_ok",
    "on_run_failed",
    "log",
    "batch",
];
const ROUTE_KEYS_FIX: &str = "this is a key of the route: write it at the top of the file, above the first table";

/// Keys of a step that are easily taken for keys of the route.
const STEP_KEYS: &[&str] = &["retry", "rate", "breaker", "on_success", "on_failure", "on_rollback"];
const STEP_KEYS_FIX: &str = "this is a key of a step: write it below the [[step]] that it is meant for";

/// How a handler is written.
const HANDLER_EXAMPLE: &str = "{ plugin = \"http-destination\", settings = { … } }";

/// A Crossdock route: where records come from, what is done with them in which order, and what happens when
/// something fails.
#[derive(Debug, JsonSchema)]
#[schemars(
    deny_unknown_fields,
    title = "Crossdock route",
    extend("dependentRequired" = { "max_failed_window": ["max_failed_ratio"] })
)]
pub struct RouteFile {
    /// The name of the route: 1 to 64 characters of a-z, 0-9 and -, starting with a letter. The ledger knows the
    /// route by it, so a route that is renamed starts from the beginning.
    #[schemars(with = "formats::Name")]
    pub(crate) name: Option<At<RouteName>>,
    /// When the route runs. "manual": when `crossdock run` is called.
    #[schemars(with = "Option<Trigger>", extend("default" = "manual"))]
    pub(crate) trigger: Option<At<Trigger>>,
    /// How the route stands against others that run at the same time.
    #[schemars(with = "Option<Priority>", extend("default" = "normal"))]
    pub(crate) priority: Option<At<Priority>>,
    /// What happens after a record failed.
    #[schemars(with = "Option<OnError>", extend("default" = "stop"))]
    pub(crate) on_error: Option<At<OnError>>,
    /// With on_error = "continue": the run stops when more records than this failed.
    #[schemars(with = "Option<u64>", extend("default" = MAX_FAILED_DEFAULT))]
    pub(crate) max_failed: Option<At<u64>>,
    /// With on_error = "continue": the run stops when a larger share of its last records than this failed, from 0
    /// to 1. It is looked at once 100 records have come through.
    #[schemars(with = "Option<f64>", range(min = 0, max = 1))]
    pub(crate) max_failed_ratio: Option<At<f64>>,
    /// With max_failed_ratio: over how many of the run's last records the share is measured.
    #[schemars(
        with = "Option<u64>",
        range(min = WINDOW_MIN, max = WINDOW_MAX),
        extend("default" = MAX_FAILED_WINDOW_DEFAULT)
    )]
    pub(crate) max_failed_window: Option<At<u64>>,
    /// The run stops when its plugins committed more faults than this.
    #[schemars(with = "Option<u32>", range(min = 1), extend("default" = MAX_FAULTS_DEFAULT))]
    pub(crate) max_faults: Option<At<u32>>,
    /// Whether the payloads of records that are not ok are kept, so that they can be put through again. In this
    /// version they always are.
    #[schemars(with = "Option<bool>", extend("default" = true, "const" = true))]
    pub(crate) keep_payloads: Option<At<bool>>,
    /// What is undone when a record fails at a step. "run" is all or nothing, so it needs on_error = "stop".
    #[schemars(with = "Option<Rollback>", extend("default" = "none"))]
    pub(crate) rollback: Option<At<Rollback>>,
    /// With rollback = "run": the most records that one run may hold open, because they may have to be undone until
    /// it ends. A run with more of them stops and is rolled back.
    #[schemars(
        with = "Option<u64>",
        range(min = 1, max = ROLLBACK_RECORDS_MAX),
        extend("default" = ROLLBACK_RECORDS_MAX_DEFAULT)
    )]
    pub(crate) rollback_records_max: Option<At<u64>>,
    /// Called after a run in which every record is fine.
    #[schemars(with = "Option<HandlerFile>")]
    pub(crate) on_run_ok: Option<At<HandlerFile>>,
    /// Called after a run that ended otherwise.
    #[schemars(with = "Option<HandlerFile>")]
    pub(crate) on_run_failed: Option<At<HandlerFile>>,
    /// How much is kept of records that are ok.
    #[schemars(with = "Option<LogLevel>", extend("default" = "ids"))]
    pub(crate) log: Option<At<LogLevel>>,
    /// How many records are handed over together.
    #[schemars(with = "Option<BatchFile>")]
    pub(crate) batch: Option<At<BatchFile>>,
    /// Where records come from.
    #[schemars(with = "SourceFile")]
    pub(crate) source: Option<At<SourceFile>>,
    /// What is done with each record, in this order. At least one of the steps must be a destination.
    #[schemars(with = "Vec<StepFile>", length(min = 1))]
    pub(crate) step: Option<At<Vec<At<StepFile>>>>,
}

/// How many records are handed over together; the smaller limit counts.
#[derive(Debug, Clone, Copy, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Batch")]
pub(crate) struct BatchFile {
    /// The most records, from 1 to 10000; a plugin may want fewer.
    #[schemars(with = "Option<u32>", range(min = 1, max = RECORDS_MAX), extend("default" = BatchLimits::DEFAULT.records_max))]
    pub(crate) records: Option<At<u32>>,
    /// The most bytes of ids and payloads together, from "1KiB" to "4MiB". A single larger record makes a batch
    /// of its own.
    #[schemars(with = "Option<formats::Size>", extend("default" = "1MiB"))]
    pub(crate) bytes: Option<At<u64>>,
}

/// Where records come from.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Source")]
pub(crate) struct SourceFile {
    /// The name under which the project knows the plugin.
    #[schemars(with = "formats::Name")]
    pub(crate) plugin: Option<At<PluginName>>,
    /// The plugin's own settings; `crossdock plugin inspect` shows which there are.
    #[schemars(with = "Option<Map<String, Value>>")]
    pub(crate) settings: Option<At<Map<String, Value>>>,
    /// What the plugin may reach. What is not granted cannot be reached.
    #[schemars(with = "Option<GrantsFile>")]
    pub(crate) grants: Option<At<GrantsFile>>,
    /// What the plugin may use; what is not said here is decided by the project.
    #[schemars(with = "Option<LimitsFile>")]
    pub(crate) limits: Option<At<LimitsFile>>,
    /// How fast the source is asked, all its instances together. Not limited if it is absent.
    #[schemars(with = "Option<RateFile>")]
    pub(crate) rate: Option<At<RateFile>>,
    /// How much the source may give in one run.
    #[schemars(with = "Option<BudgetFile>")]
    pub(crate) budget: Option<At<BudgetFile>>,
}

/// One transformer or destination of the route.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Step")]
pub(crate) struct StepFile {
    /// The name of the step within the route: 1 to 64 characters of a-z, 0-9 and -, starting with a letter, and
    /// not "source".
    #[schemars(with = "formats::Name")]
    pub(crate) name: Option<At<StepName>>,
    /// The name under which the project knows the plugin.
    #[schemars(with = "formats::Name")]
    pub(crate) plugin: Option<At<PluginName>>,
    /// The plugin's own settings; `crossdock plugin inspect` shows which there are.
    #[schemars(with = "Option<Map<String, Value>>")]
    pub(crate) settings: Option<At<Map<String, Value>>>,
    /// What the plugin may reach. What is not granted cannot be reached.
    #[schemars(with = "Option<GrantsFile>")]
    pub(crate) grants: Option<At<GrantsFile>>,
    /// What the plugin may use; what is not said here is decided by the project.
    #[schemars(with = "Option<LimitsFile>")]
    pub(crate) limits: Option<At<LimitsFile>>,
    /// How often, and for how long, a record is tried again. If it is absent: 4 attempts, or a single one at a
    /// destination that nothing helps to take effect once.
    #[schemars(with = "Option<RetryFile>")]
    pub(crate) retry: Option<At<RetryFile>>,
    /// Destinations: how fast it is asked, all its instances together. Not limited if it is absent.
    #[schemars(with = "Option<RateFile>")]
    pub(crate) rate: Option<At<RateFile>>,
    /// Destinations: when it is left alone for a while. Records wait meanwhile and spend no attempts.
    #[schemars(with = "Option<BreakerFile>")]
    pub(crate) breaker: Option<At<BreakerFile>>,
    /// Called once for each record for which the step went well.
    #[schemars(with = "Option<HandlerFile>")]
    pub(crate) on_success: Option<At<HandlerFile>>,
    /// Called once for each record that the step gave up: it is failed or rejected there.
    #[schemars(with = "Option<HandlerFile>")]
    pub(crate) on_failure: Option<At<HandlerFile>>,
    /// Destinations: called once for each record for which what the step had done was undone. Needs a rollback other
    /// than "none".
    #[schemars(with = "Option<HandlerFile>")]
    pub(crate) on_rollback: Option<At<HandlerFile>>,
}

/// A destination that is called with what became of a record at a step, or of a run. What becomes of the call itself
/// changes nothing of that.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Handler")]
pub(crate) struct HandlerFile {
    /// The name under which the project knows the plugin; it must be a destination.
    #[schemars(with = "formats::Name")]
    pub(crate) plugin: Option<At<PluginName>>,
    /// The plugin's own settings; `crossdock plugin inspect` shows which there are.
    #[schemars(with = "Option<Map<String, Value>>")]
    pub(crate) settings: Option<At<Map<String, Value>>>,
    /// What the plugin may reach. What is not granted cannot be reached; the grants of the step do not count here.
    #[schemars(with = "Option<GrantsFile>")]
    pub(crate) grants: Option<At<GrantsFile>>,
    /// What the plugin may use; what is not said here is decided by the project.
    #[schemars(with = "Option<LimitsFile>")]
    pub(crate) limits: Option<At<LimitsFile>>,
    /// How often, and for how long, the call is tried again. If it is absent: 4 attempts, or a single one with a
    /// destination that nothing helps to take effect once.
    #[schemars(with = "Option<RetryFile>")]
    pub(crate) retry: Option<At<RetryFile>>,
}

/// How often, and for how long, a record is tried again.
#[derive(Debug, Clone, Copy, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Retry")]
pub(crate) struct RetryFile {
    /// How many attempts a record has, the first included.
    #[schemars(with = "Option<u32>", range(min = 1, max = ATTEMPTS_MAX), extend("default" = 4))]
    pub(crate) attempts: Option<At<u32>>,
    /// The upper bound of the wait after the first attempt; it doubles with each further one.
    #[schemars(with = "Option<formats::Duration>", extend("default" = "1s"))]
    pub(crate) first: Option<At<u64>>,
    /// The upper bound of any wait.
    #[schemars(with = "Option<formats::Duration>", extend("default" = "1m"))]
    pub(crate) max: Option<At<u64>>,
    /// How long a record is tried, counted from its first attempt; at most "30d".
    #[schemars(with = "Option<formats::Duration>", extend("default" = "15m"))]
    pub(crate) total: Option<At<u64>>,
}

impl RouteFile {
    pub(crate) fn read(table: &DeTable<'_>, notes: &mut Notes<'_>) -> Self {
        let mut fields = Fields::new("the route", table, None, notes);
        fields.elsewhere(STEP_KEYS, STEP_KEYS_FIX);
        let route = Self {
            name: fields.required("name", "a line like name = \"orders-to-erp\" at the top", name),
            trigger: fields.optional("trigger", trigger),
            priority: fields.optional("priority", word),
            on_error: fields.optional("on_error", word),
            max_failed: fields.optional("max_failed", number(0, i64::MAX.unsigned_abs())),
            max_failed_ratio: fields.optional("max_failed_ratio", ratio),
            max_failed_window: fields.optional("max_failed_window", number(WINDOW_MIN, WINDOW_MAX)),
            max_faults: fields.optional("max_faults", number(1, u32::MAX)),
            keep_payloads: fields.optional("keep_payloads", flag),
            rollback: fields.optional("rollback", word),
            rollback_records_max: fields.optional("rollback_records_max", number(1, ROLLBACK_RECORDS_MAX)),
            on_run_ok: fields.optional("on_run_ok", HandlerFile::read),
            on_run_failed: fields.optional("on_run_failed", HandlerFile::read),
            log: fields.optional("log", word),
            batch: fields.optional("batch", BatchFile::read),
            source: fields.required(
                "source",
                "a table [source] with the plugin that brings records in",
                SourceFile::read,
            ),
            step: fields.required("step", "a table [[step]] for each step", steps),
        };
        fields.finish();
        route
    }
}

fn steps<'a>(node: Node<'a, '_>, notes: &mut Notes<'_>) -> Option<Vec<At<StepFile>>> {
    if let DeValue::Table(_) = node.value.get_ref() {
        node.wrong_type(notes, "a list of steps", "write [[step]] with two brackets, once for each step");
        return None;
    }
    list(node, notes, "step = [{ name = \"order\", plugin = \"map\" }]", StepFile::read)
}

fn trigger(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Trigger> {
    let DeValue::Table(table) = node.value.get_ref() else {
        return word(node, notes);
    };
    let planned = ["every", "cron", "webhook"].into_iter().find(|key| table.contains_key(*key));
    let fix = "write trigger = \"manual\" and have cron, a systemd timer or the like call `crossdock run`";
    match planned {
        Some(key) => notes.add(
            Mistake::new(codes::NOT_AVAILABLE, format!("a trigger with `{key}` is not available in this version"))
                .at(node.span(), "only \"manual\" is")
                .with_fix(fix),
        ),
        None => node.wrong_type(notes, "\"manual\"", fix),
    }
    None
}

impl BatchFile {
    fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Self> {
        let table = node.table(notes, "batch = { records = 1000, bytes = \"1MiB\" }")?;
        let mut fields = Fields::new("`batch`", table, Some(node.span()), notes);
        let batch = Self {
            records: fields.optional("records", number(1, RECORDS_MAX)),
            bytes: fields.optional("bytes", size(BYTES_MIN, BYTES_MAX)),
        };
        fields.finish();
        Some(batch)
    }
}

impl SourceFile {
    fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Self> {
        let table = node.table(notes, "[source]")?;
        let mut fields = Fields::new("the source", table, Some(node.span()), notes);
        fields.elsewhere(ROUTE_KEYS, ROUTE_KEYS_FIX);
        let source = Self {
            plugin: fields.required("plugin", "plugin = \"…\", the name of a plugin of the project", name),
            settings: fields.optional("settings", values::settings),
            grants: fields.optional("grants", GrantsFile::read),
            limits: fields.optional("limits", LimitsFile::read),
            rate: fields.optional("rate", RateFile::read),
            budget: fields.optional("budget", BudgetFile::read),
        };
        fields.finish();
        Some(source)
    }
}

impl StepFile {
    fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Self> {
        let table = node.table(notes, "[[step]]")?;
        let mut fields = Fields::new("a step", table, Some(node.span()), notes);
        fields.elsewhere(ROUTE_KEYS, ROUTE_KEYS_FIX);
        let step = Self {
            name: fields.required("name", "name = \"…\", a name for the step that is its own within the route", name),
            plugin: fields.required("plugin", "plugin = \"…\", the name of a plugin of the project", name),
            settings: fields.optional("settings", values::settings),
            grants: fields.optional("grants", GrantsFile::read),
            limits: fields.optional("limits", LimitsFile::read),
            retry: fields.optional("retry", RetryFile::read),
            rate: fields.optional("rate", RateFile::read),
            breaker: fields.optional("breaker", BreakerFile::read),
            on_success: fields.optional("on_success", HandlerFile::read),
            on_failure: fields.optional("on_failure", HandlerFile::read),
            on_rollback: fields.optional("on_rollback", HandlerFile::read),
        };
        fields.finish();
        Some(step)
    }
}

impl HandlerFile {
    fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Self> {
        let table = node.table(notes, &format!("{} = {HANDLER_EXAMPLE}", node.key))?;
        let mut fields = Fields::new("a handler", table, Some(node.span()), notes);
        fields.elsewhere(ROUTE_KEYS, ROUTE_KEYS_FIX);
        let handler = Self {
            plugin: fields.required("plugin", "plugin = \"…\", the name of a destination of the project", name),
            settings: fields.optional("settings", values::settings),
            grants: fields.optional("grants", GrantsFile::read),
            limits: fields.optional("limits", LimitsFile::read),
            retry: fields.optional("retry", RetryFile::read),
        };
        fields.finish();
        Some(handler)
    }
}

impl RetryFile {
    fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Self> {
        let table = node.table(notes, "retry = { attempts = 4, first = \"1s\", max = \"1m\", total = \"15m\" }")?;
        let mut fields = Fields::new("`retry`", table, Some(node.span()), notes);
        let retry = Self {
            attempts: fields.optional("attempts", number(1, ATTEMPTS_MAX)),
            first: fields.optional("first", duration(WAIT_MIN_MS, TOTAL_MAX_MS)),
            max: fields.optional("max", duration(WAIT_MIN_MS, TOTAL_MAX_MS)),
            total: fields.optional("total", duration(WAIT_MIN_MS, TOTAL_MAX_MS)),
        };
        fields.finish();
        Some(retry)
    }
}

impl Word for Trigger {
    const WORDS: &'static [(&'static str, Self)] = &[("manual", Self::Manual)];
    const NOT_YET: &'static [(&'static str, &'static str)] =
        &[("continuous", "have cron, a systemd timer or the like call `crossdock run` meanwhile")];
}

impl Word for Priority {
    const WORDS: &'static [(&'static str, Self)] = &[
        ("critical", Self::Critical),
        ("high", Self::High),
        ("normal", Self::Normal),
        ("low", Self::Low),
        ("bulk", Self::Bulk),
    ];
}

impl Word for OnError {
    const WORDS: &'static [(&'static str, Self)] = &[("stop", Self::Stop), ("continue", Self::Continue)];
}

impl Word for Rollback {
    const WORDS: &'static [(&'static str, Self)] =
        &[("none", Self::None), ("record", Self::Record), ("run", Self::Run)];
}

impl Word for LogLevel {
    const WORDS: &'static [(&'static str, Self)] =
        &[("summary", Self::Summary), ("ids", Self::Ids), ("full", Self::Full)];
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check<W: Word + serde::Serialize>() {
        for (word, value) in W::WORDS {
            assert_eq!(serde_json::to_value(value).unwrap(), *word);
        }
    }

    #[test]
    fn words_are_what_serde_writes() {
        check::<Trigger>();
        check::<Priority>();
        check::<OnError>();
        check::<Rollback>();
        check::<LogLevel>();
    }

    #[test]
    fn keys_of_routes_and_steps_are_such() {
        let schema = crate::schema::route_schema();
        let (route, step) = (&schema["properties"], &schema["$defs"]["Step"]["properties"]);
        for key in ROUTE_KEYS {
            assert!(route.get(key).is_some() && step.get(key).is_none(), "{key}");
            assert!(schema["$defs"]["Handler"]["properties"].get(key).is_none(), "{key}");
        }
        for key in STEP_KEYS {
            assert!(step.get(key).is_some() && route.get(key).is_none(), "{key}");
        }
    }
}
