//! How fast a connector is asked, and when it is left alone.

use crate::formats;
use crate::read::{At, Fields, Node, Notes, decimal, duration, number};
use crate::retry::{TOTAL_MAX_MS, WAIT_MIN_MS, ascending};
use crate::shared::refuse_unordered;
use schemars::JsonSchema;
use serde::Serialize;

/// Bounds of a rate, a second: one in a thousand seconds to a million.
const RATE_MIN: f64 = 0.001;
const RATE_MAX: f64 = 1_000_000.0;
/// The most requests that may be under way at once.
const IN_FLIGHT_MAX: u32 = 256;
/// The most records in a row that a connector may leave before it is left alone.
const FAILURES_MAX: u32 = 10_000;

/// How fast a connector is asked; at least one of the three.
#[derive(Debug, Clone, Copy, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Rate", extend("minProperties" = 1))]
pub(crate) struct RateFile {
    /// The most HTTP requests a second; 0.5 is one in two seconds. From 0.001 to 1000000.
    #[schemars(with = "Option<f64>", range(min = RATE_MIN, max = RATE_MAX))]
    requests_per_second: Option<At<f64>>,
    /// The most records a second; 0.5 is one in two seconds. From 0.001 to 1000000.
    #[schemars(with = "Option<f64>", range(min = RATE_MIN, max = RATE_MAX))]
    records_per_second: Option<At<f64>>,
    /// The most HTTP requests that are under way at once, from 1 to 256.
    #[schemars(with = "Option<u32>", range(min = 1, max = IN_FLIGHT_MAX))]
    in_flight: Option<At<u32>>,
}

impl RateFile {
    pub(crate) fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Self> {
        let example = "rate = { requests_per_second = 20, in_flight = 4 }";
        let table = node.table(notes, example)?;
        if table.is_empty() {
            node.bad_value(notes, "`rate` limits nothing".to_owned(), "nothing in it", format!("write {example}"));
            return None;
        }
        let mut fields = Fields::new("`rate`", table, Some(node.span()), notes);
        let rate = Self {
            requests_per_second: fields.optional("requests_per_second", per_second),
            records_per_second: fields.optional("records_per_second", per_second),
            in_flight: fields.optional("in_flight", number(1, IN_FLIGHT_MAX)),
        };
        fields.finish();
        Some(rate)
    }

    pub(crate) fn check(&self) -> Rate {
        Rate {
            requests_per_second: self.requests_per_second.map(|at| at.value),
            records_per_second: self.records_per_second.map(|at| at.value),
            in_flight_max: self.in_flight.map(|at| at.value),
        }
    }
}

fn per_second(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<f64> {
    let what = "is a number a second, from 0.001 to 1000000";
    decimal(node, notes, (RATE_MIN, RATE_MAX), what, "write for example 20, or 0.5 for one in two seconds")
}

/// How fast a connector is asked, all its instances together; what is `None` is not limited.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize)]
pub struct Rate {
    /// The most HTTP requests a second, from 0.001 to 1,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub requests_per_second: Option<f64>,
    /// The most records a second, from 0.001 to 1,000,000.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub records_per_second: Option<f64>,
    /// The most HTTP requests under way at once, from 1 to 256.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub in_flight_max: Option<u32>,
}

/// When a destination is left alone for a while. What is not written is the default, or what the others pull it to.
#[derive(Debug, Clone, Copy, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Breaker")]
pub(crate) struct BreakerFile {
    /// After how many records in a row that the destination did not take, because it could not be reached, asked to
    /// be tried again later or gave no clear answer. From 1 to 10000.
    #[schemars(with = "Option<u32>", range(min = 1, max = FAILURES_MAX), extend("default" = 5))]
    failures: Option<At<u32>>,
    /// How long it is left alone before its own check is asked; the wait doubles each time that this fails.
    #[schemars(with = "Option<formats::Duration>", extend("default" = "10s"))]
    open: Option<At<u64>>,
    /// The upper bound of any such wait.
    #[schemars(with = "Option<formats::Duration>", extend("default" = "5m"))]
    max: Option<At<u64>>,
    /// After how long without a good answer the run gives up, with exit code 3; at most "30d".
    #[schemars(with = "Option<formats::Duration>", extend("default" = "1h"))]
    total: Option<At<u64>>,
}

impl BreakerFile {
    pub(crate) fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Self> {
        let example = "breaker = { failures = 5, open = \"10s\", max = \"5m\", total = \"1h\" }";
        let table = node.table(notes, example)?;
        let mut fields = Fields::new("`breaker`", table, Some(node.span()), notes);
        let breaker = Self {
            failures: fields.optional("failures", number(1, FAILURES_MAX)),
            open: fields.optional("open", duration(WAIT_MIN_MS, TOTAL_MAX_MS)),
            max: fields.optional("max", duration(WAIT_MIN_MS, TOTAL_MAX_MS)),
            total: fields.optional("total", duration(WAIT_MIN_MS, TOTAL_MAX_MS)),
        };
        fields.finish();
        Some(breaker)
    }

    pub(crate) fn check(&self, notes: &mut Notes<'_>) -> Breaker {
        refuse_unordered(&[("open", self.open), ("max", self.max), ("total", self.total)], notes);
        let default = Breaker::default();
        let written = [self.open, self.max, self.total].map(|at| at.map(|at| at.value));
        let [open_ms, max_ms, total_ms] = ascending(written, [default.open_ms, default.max_ms, default.total_ms]);
        Breaker { failures: self.failures.map_or(default.failures, |at| at.value), open_ms, max_ms, total_ms }
    }
}

/// When a destination is left alone for a while. Each has one, also if the route says nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Breaker {
    /// After so many records in a row that it did not take (retryable or unknown); from 1 to 10,000.
    pub failures: u32,
    /// How long until its own check is asked; doubles with each check that fails.
    pub open_ms: u64,
    /// The upper bound of any such wait; at least `open_ms`.
    pub max_ms: u64,
    /// After so long without a good answer the run gives up; at least `max_ms`.
    pub total_ms: u64,
}

impl Default for Breaker {
    /// 5 records, 10 s, 5 min, 1 h.
    fn default() -> Self {
        Self { failures: 5, open_ms: 10_000, max_ms: 300_000, total_ms: 3_600_000 }
    }
}
