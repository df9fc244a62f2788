//! Which records are meant, and how many of them.

use crate::since;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, value_parser};
use crossdock::{Choice, RecordFilter, RecordId, RouteName, RunId, Status, StepName, Timestamp};

/// Which records are meant: those for which everything that is given holds.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Filter {
    /// Of this route, by the name in its file. Example: --route orders-to-erp
    #[arg(long, value_name = "NAME", value_parser = |text: &str| RouteName::new(text))]
    pub(crate) route: Option<RouteName>,
    /// Last changed by this run. Example: --run 0199f0c2-6c1e-7d3a-9d53-0f2f6c1e7d3a
    #[arg(long, value_name = "ID", value_parser = |text: &str| Ok::<_, String>(RunId(text.to_owned())))]
    pub(crate) run: Option<RunId>,
    /// Standing there; several with commas. Examples: --status failed, --status failed,rejected
    #[arg(long, value_name = "STATUS", value_delimiter = ',', value_parser = statuses())]
    pub(crate) status: Vec<Status>,
    /// At this step; `source` for records that could not be read. Example: --step book
    #[arg(long, value_name = "NAME", value_parser = |text: &str| StepName::new(text))]
    pub(crate) step: Option<StepName>,
    /// With a failure of this code. Example: --code http-422
    #[arg(long, value_name = "CODE")]
    pub(crate) code: Option<String>,
    /// With a failure of this cause, as `crossdock failures` shows it. Example: --fingerprint 3f9c0d1e
    #[arg(long, value_name = "HEX")]
    pub(crate) fingerprint: Option<String>,
    /// Changed at this time or later: a time, a date (UTC), or how long ago in s, m, h, d or w. Examples: --since 2h,
    /// --since 2026-03-01, --since 2026-03-01T08:00:00-05:00
    #[arg(long, value_name = "TIME", value_parser = since::from_now)]
    pub(crate) since: Option<Timestamp>,
    /// Changed before this time, written in the same ways. Example: --until 2026-03-02
    #[arg(long, value_name = "TIME", value_parser = since::from_now)]
    pub(crate) until: Option<Timestamp>,
    /// With words that begin like these in the id or the failure. Example: --text "credit limit"
    #[arg(long, value_name = "WORDS")]
    pub(crate) text: Option<String>,
}

impl Filter {
    /// Whether anything is given that tells records of a route apart.
    pub(crate) fn is_empty(&self) -> bool {
        RecordFilter { route: None, ..self.filter() } == RecordFilter::default()
    }

    /// The same in the façade's words.
    pub(crate) fn filter(&self) -> RecordFilter {
        RecordFilter {
            route: self.route.clone(),
            run: self.run.clone(),
            status: None,
            statuses: self.status.clone(),
            code: self.code.clone(),
            fingerprint: self.fingerprint.clone(),
            since: self.since,
            until: self.until,
            text: self.text.clone(),
            id: None,
            step: self.step.clone(),
        }
    }
}

/// Records by their ids, by a filter, or both.
#[derive(Debug, Clone, Default, Args)]
pub(crate) struct Which {
    /// These records; may be given several times. Example: --record 00111/19970102 --record 00187/19970214
    #[arg(long, value_name = "ID", value_parser = record_id, num_args = 1..)]
    pub(crate) record: Vec<RecordId>,
    #[command(flatten)]
    pub(crate) filter: Filter,
}

impl Which {
    /// Whether neither ids nor a filter are given.
    pub(crate) fn is_empty(&self) -> bool {
        self.record.is_empty() && self.filter.is_empty()
    }

    /// The same in the façade's words.
    pub(crate) fn choice(&self) -> Choice {
        Choice { ids: self.record.clone(), filter: self.filter.filter() }
    }
}

/// Whether it is done at once. More than one record that a filter chose are shown first.
#[derive(Debug, Clone, Args)]
pub(crate) struct Consent {
    /// Show which records are meant, and how to do it; change nothing. Example: crossdock skip --code http-410 --plan
    #[arg(long, conflicts_with_all = ["yes", "confirm"])]
    pub(crate) plan: bool,
    /// Do it without showing the records first. Example: crossdock skip --code http-410 --reason "gone" --yes
    #[arg(long, conflicts_with = "confirm")]
    pub(crate) yes: bool,
    /// Do it if the records are still exactly those that were shown with this hash. Example: --confirm 3f9c0d1e2b4a5968
    #[arg(long, value_name = "HASH")]
    pub(crate) confirm: Option<String>,
}

/// Which part of a list.
#[derive(Debug, Clone, Args)]
pub(crate) struct Part {
    /// At most so many, 1 to 10000. Example: --limit 500
    #[arg(long, value_name = "N", default_value_t = 50, value_parser = value_parser!(u32).range(1..=10_000))]
    pub(crate) limit: u32,
    /// Go on where another list ended: what it gave as the next place. Example: --after r.1764000000000.17
    #[arg(long, value_name = "CURSOR")]
    pub(crate) after: Option<String>,
}

fn statuses() -> impl TypedValueParser<Value = Status> {
    PossibleValuesParser::new(Status::ALL.iter().map(|status| status.as_str()))
        .try_map(|word| Status::from_word(&word).ok_or("not a status"))
}

pub(super) fn record_id(text: &str) -> Result<RecordId, String> {
    match text.len() {
        0 => Err("a record's id is not empty".to_owned()),
        n if n > RecordId::MAX_BYTES => Err(format!("a record's id has at most {} bytes", RecordId::MAX_BYTES)),
        _ => Ok(RecordId(text.to_owned())),
    }
}

pub(super) fn reason(text: &str) -> Result<String, String> {
    match text.trim() {
        "" => Err("say why, in a few words".to_owned()),
        text => Ok(text.to_owned()),
    }
}
