//! How much a source may give in one run.

use crate::formats;
use crate::read::{At, Fields, Node, Notes, duration, number, size};
use crate::retry::TOTAL_MAX_MS;
use schemars::JsonSchema;
use serde::Serialize;

/// The most pages, and records, that a route may allow.
const COUNT_MAX: u64 = 1_000_000_000_000;
/// Bounds of bytes.
const BYTES_MIN: u64 = 1 << 10;
const BYTES_MAX: u64 = 1 << 50;
/// The shortest time.
const TIME_MIN_MS: u64 = 1_000;

/// The most that the source may give in one run; the next run goes on behind it. A source that never comes to an end
/// comes to this one, and the run fails.
#[derive(Debug, Clone, Copy, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Budget")]
pub(crate) struct BudgetFile {
    /// The most pages, with or without records.
    #[schemars(with = "Option<u64>", range(min = 1, max = COUNT_MAX), extend("default" = SourceBudget::DEFAULT.pages_max))]
    pages: Option<At<u64>>,
    /// The most records.
    #[schemars(with = "Option<u64>", range(min = 1, max = COUNT_MAX), extend("default" = SourceBudget::DEFAULT.records_max))]
    records: Option<At<u64>>,
    /// The most bytes of ids, payloads and attributes together.
    #[schemars(with = "Option<formats::Size>", extend("default" = "1024GiB"))]
    bytes: Option<At<u64>>,
    /// The longest time spent in reading, at least "1s" and at most "30d".
    #[schemars(with = "Option<formats::Duration>", extend("default" = "1d"))]
    time: Option<At<u64>>,
    /// The most pages without records, one after the other.
    #[schemars(with = "Option<u64>", range(min = 1, max = COUNT_MAX), extend("default" = SourceBudget::DEFAULT.empty_pages_max))]
    empty_pages: Option<At<u64>>,
    /// The most pages with the same ids as an earlier page of the run.
    #[schemars(with = "Option<u64>", range(min = 1, max = COUNT_MAX), extend("default" = SourceBudget::DEFAULT.repeated_pages_max))]
    repeated_pages: Option<At<u64>>,
}

impl BudgetFile {
    pub(crate) fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Self> {
        let table = node.table(notes, "budget = { records = 1_000_000, time = \"2h\" }")?;
        let mut fields = Fields::new("`budget`", table, Some(node.span()), notes);
        let budget = Self {
            pages: fields.optional("pages", number(1, COUNT_MAX)),
            records: fields.optional("records", number(1, COUNT_MAX)),
            bytes: fields.optional("bytes", size(BYTES_MIN, BYTES_MAX)),
            time: fields.optional("time", duration(TIME_MIN_MS, TOTAL_MAX_MS)),
            empty_pages: fields.optional("empty_pages", number(1, COUNT_MAX)),
            repeated_pages: fields.optional("repeated_pages", number(1, COUNT_MAX)),
        };
        fields.finish();
        Some(budget)
    }

    pub(crate) fn check(self) -> SourceBudget {
        let or = |written: Option<At<u64>>, default| written.map_or(default, |at| at.value);
        let default = SourceBudget::DEFAULT;
        SourceBudget {
            pages_max: or(self.pages, default.pages_max),
            records_max: or(self.records, default.records_max),
            bytes_max: or(self.bytes, default.bytes_max),
            time_max_ms: or(self.time, default.time_max_ms),
            empty_pages_max: or(self.empty_pages, default.empty_pages_max),
            repeated_pages_max: or(self.repeated_pages, default.repeated_pages_max),
        }
    }
}

/// The most that the source of a route may give in one run. Each is at least 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct SourceBudget {
    /// Pages.
    pub pages_max: u64,
    /// Records.
    pub records_max: u64,
    /// Bytes of ids, payloads and attributes together.
    pub bytes_max: u64,
    /// Milliseconds spent in reading.
    pub time_max_ms: u64,
    /// Pages without records, one after the other.
    pub empty_pages_max: u64,
    /// Pages with the same ids as an earlier one of the run.
    pub repeated_pages_max: u64,
}

impl SourceBudget {
    /// More than any honest run reads, and little enough that a source without end comes to one: 10 million pages,
    /// 1,000 million records, 1 TiB, a day, 1,000 empty pages in a row, 100 repeated ones.
    pub const DEFAULT: Self = Self {
        pages_max: 10_000_000,
        records_max: 1_000_000_000,
        bytes_max: 1 << 40,
        time_max_ms: 24 * 3_600_000,
        empty_pages_max: 1_000,
        repeated_pages_max: 100,
    };
}
