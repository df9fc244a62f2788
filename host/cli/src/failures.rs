//! Failures by cause, and what can be done about each.

use crate::args::{FailuresArgs, Filter};
use crate::fail::Fail;
use crate::json;
use crate::out::Out;
use crate::text::{Mood, clean, count, time_s};
use crossdock::{Csv, Error, FailureGroup, Host, LedgerReader, RecordFilter, Status};
use serde_json::{Value, json};
use std::fmt::Write as _;
use std::path::Path;

/// What helps records that failed, by where they stand.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    /// They can be put through again.
    Resync,
    /// What was done for them was undone: they begin anew with new content.
    NewContent,
    /// What was done for them could not be undone.
    Undo,
    /// Nothing of that.
    Look,
}

const WAYS: [(Way, &[Status]); 3] = [
    (Way::Resync, &[Status::Failed, Status::Rejected, Status::Indeterminate]),
    (Way::NewContent, &[Status::RolledBack]),
    (Way::Undo, &[Status::RollbackFailed]),
];

/// Failures of one cause, of records that can be helped in one way.
#[derive(Debug, Clone)]
pub(crate) struct Cause {
    pub(crate) group: FailureGroup,
    way: Way,
}

impl Cause {
    /// The words that come next, behind the program's name.
    fn next(&self) -> String {
        let FailureGroup { route, fingerprint, .. } = &self.group;
        let which = format!("--route {route} --fingerprint {fingerprint}");
        match self.way {
            Way::Resync => format!("resync {which} --plan"),
            Way::NewContent => format!("records {which} --status rolled-back"),
            Way::Undo => format!("rollback resume {which}"),
            Way::Look => format!("records {which}"),
        }
    }

    /// The same as JSON.
    pub(crate) fn to_json(&self) -> Value {
        let mut group = json::group(&self.group);
        group["next"] = format!("crossdock {}", self.next()).into();
        group
    }
}

/// Failures by cause, the largest group first, and how many records are in smaller groups than are listed.
///
/// # Errors
/// When the ledger cannot be read.
pub(crate) fn causes(reader: &LedgerReader, filter: &RecordFilter) -> Result<(Vec<Cause>, u64), Error> {
    let asked = &filter.statuses;
    let mut ways: Vec<(Way, Vec<Status>)> = WAYS
        .iter()
        .map(|(way, of)| {
            (*way, of.iter().copied().filter(|status| asked.is_empty() || asked.contains(status)).collect())
        })
        .collect();
    let helped = |status: &&Status| WAYS.iter().any(|(_, of)| of.contains(status));
    ways.push((Way::Look, asked.iter().filter(|status| !helped(status)).copied().collect()));
    let (mut causes, mut others) = (Vec::new(), 0);
    for (way, statuses) in ways.into_iter().filter(|(_, statuses)| !statuses.is_empty()) {
        let found = reader.failure_groups(&RecordFilter { statuses, ..filter.clone() })?;
        others += found.others;
        causes.extend(found.groups.into_iter().map(|group| Cause { group, way }));
    }
    causes.sort_by_key(|cause| std::cmp::Reverse(cause.group.count));
    Ok((causes, others))
}

/// Shows failures by cause, or writes them as CSV.
///
/// # Errors
/// When there is no ledger or it cannot be read.
pub(crate) fn failures(out: &Out, host: &Host, args: &FailuresArgs) -> Result<(), Fail> {
    if let Some(path) = &args.csv {
        let mut filter = args.filter.filter();
        if filter.statuses.is_empty() {
            filter.statuses = WAYS.iter().flat_map(|(_, statuses)| statuses.iter().copied()).collect();
        }
        return export(out, path, |to| Ok(host.export_failures(&filter, to)?), "cause");
    }
    groups(out, host, &args.filter)
}

/// Shows failures by cause.
///
/// # Errors
/// As [`failures`].
pub(crate) fn groups(out: &Out, host: &Host, filter: &Filter) -> Result<(), Fail> {
    let (causes, others) = causes(&host.reports()?, &filter.filter())?;
    if out.json {
        let all: Vec<Value> = causes.iter().map(Cause::to_json).collect();
        return out.document(&json!({ "failures": all, "others": others }));
    }
    if causes.is_empty() {
        out.note("No failure fits.");
        return Ok(());
    }
    out.text(&pages(out, &causes, others))
}

fn pages(out: &Out, causes: &[Cause], others: u64) -> String {
    let paint = out.paint;
    let mut text = String::new();
    for cause in causes {
        let FailureGroup { route, step, code, message, sample, .. } = &cause.group;
        let how = match cause.way {
            Way::Resync => "",
            Way::NewContent => ", undone: new content is needed, with resync --edit",
            Way::Undo => ", which could not be undone",
            Way::Look => ", which nothing has to be done about yet",
        };
        let title = format!("{} of route {route} at {step}{how}", count(cause.group.count, "record"));
        let _ = writeln!(text, "{}  {}", paint.bold(&title), paint.mood(Mood::Bad, &clean(code)));
        let _ = writeln!(text, "  {}", clean(message));
        let times = format!("first {}, last {}", time_s(cause.group.first_at), time_s(cause.group.last_at));
        let _ = writeln!(text, "  {}", paint.dim(&format!("{times}, for example {}", clean(&sample.0))));
        let _ = writeln!(text, "  {}\n", out.command(&cause.next()));
    }
    if others > 0 {
        let _ = writeln!(text, "… and {} in smaller groups", count(others, "record"));
    }
    text
}

/// Writes CSV into a file or to stdout.
///
/// # Errors
/// When the ledger cannot be read or the file not be written.
pub(crate) fn export(
    out: &Out,
    path: &Path,
    write: impl FnOnce(Csv<'_>) -> Result<u64, Fail>,
    thing: &str,
) -> Result<(), Fail> {
    if path.as_os_str() == "-" {
        return out.stream(|stdout| write(Csv::Writer(stdout)).map(|_| ()));
    }
    let lines = write(Csv::File(path))?;
    out.note(&format!("{} written to {}", count(lines, thing), clean(&path.display().to_string())));
    Ok(())
}
