//! Plays about the other system's answers: refused, busy, broken, lost.

use super::trial::{Played, Sample, Trial, about, not_tried, of_error, texts};
use crate::case::Case;
use crate::compare::{self, Call};
use crate::diff::shown;
use crate::finding::{
    BUSY_REJECTED, CERTAIN_WITHOUT_ANSWER, Finding, Kind, NOT_UNAUTHORIZED, OK_ON_REFUSAL, OK_WITHOUT_ANSWER,
    RETRY_AFTER,
};
use crate::live::{Answer, Given};
use crate::request::Reply;
use crate::run::{CaseOutcome, is_good};
use crate::world::Failing;
use crossdock_engine::ports::{CallError, RefusalKind};
use crossdock_model::Outcome;

/// How many records of a case are tried.
const RECORDS_MAX: usize = 3;
/// How many requests of a record.
const REQUESTS_MAX: usize = 6;
/// What the other system says when it is busy.
const RETRY_AFTER_S: u64 = 7;

/// The requests that one record leads to: for each, whether it may change something.
async fn requests(trial: &Trial<'_>, sample: &Sample<'_>, given: &Given) -> Result<Vec<bool>, super::trial::Stop> {
    let world = trial.world(sample, Failing::Never);
    trial.pass_alone(sample, std::slice::from_ref(given)).await?;
    if let Some(unknown) = world.unknown() {
        return not_tried(format!("no exchange of the case is like {}", shown(&unknown)));
    }
    Ok(world.log().iter().map(super::super::request::Seen::is_change).collect())
}

/// What one record came to.
enum Came {
    To(Answer),
    Refused(RefusalKind, crossdock_model::Failure),
    Nothing,
}

/// Whether the cases say themselves what a status means.
fn is_scripted(cases: &[(Case, CaseOutcome)], status: u16) -> bool {
    let mut exchanges = cases.iter().filter(|(_, outcome)| outcome.holds()).flat_map(|(case, _)| &case.exchanges);
    exchanges.any(|exchange| exchange.answer.as_ref().is_some_and(|answer| answer.status == status))
}

/// The status of each request in turn is one that refuses.
pub(super) async fn statuses(trial: &Trial<'_>, sample: &Sample<'_>, cases: &[(Case, CaseOutcome)]) -> Played {
    let mut findings = Vec::new();
    let mut tried = false;
    for given in sample.good().iter().take(RECORDS_MAX) {
        let requests = requests(trial, sample, given).await?;
        for (number, is_change) in requests.into_iter().enumerate().take(REQUESTS_MAX) {
            for status in [422, 429, 500, 503, 401] {
                if status != 429 && is_scripted(cases, status) {
                    continue;
                }
                tried = true;
                let headers = match status {
                    429 => vec![("retry-after".to_owned(), RETRY_AFTER_S.to_string())],
                    _ => Vec::new(),
                };
                let reply = Reply::Answer { status, headers, body: Vec::new() };
                let done = format!("answered request {} with {status}", number + 1);
                let done = if status == 429 { format!("{done} and `Retry-After: {RETRY_AFTER_S}`") } else { done };
                let came = one(trial, sample, given, Failing::At(number, reply), &done, &mut findings).await?;
                if let Some((kind, expected)) = wrong_after(status, is_change, &came) {
                    findings.push(about(kind, sample, given, done, expected, seen(given, &came)));
                }
            }
        }
    }
    if !tried {
        return not_tried("no case gives records that lead to requests");
    }
    Ok(findings)
}

fn seen(given: &Given, came: &Came) -> String {
    match came {
        Came::To(answer) => {
            let after = answer.failure.as_ref().and_then(|failure| failure.retry_after_ms);
            let after = after.map(|ms| format!(", retry-after-ms {ms}")).unwrap_or_default();
            format!("record {}: {}{after}", given.id, compare::told(Call::Pass, answer))
        }
        Came::Refused(kind, failure) => {
            format!("the whole call was refused ({kind:?}, {}: {})", failure.code, failure.message)
        }
        Came::Nothing => "no answer".to_owned(),
    }
}

async fn one(
    trial: &Trial<'_>,
    sample: &Sample<'_>,
    given: &Given,
    failing: Failing,
    done: &str,
    findings: &mut Vec<Finding>,
) -> Result<Came, super::trial::Stop> {
    trial.world(sample, failing);
    let one = std::slice::from_ref(given);
    Ok(match trial.pass_alone(sample, one).await?.answers {
        Ok(answers) => {
            findings.extend(texts(sample, one, &answers, done));
            answers.into_iter().next().map_or(Came::Nothing, Came::To)
        }
        Err(CallError::Refused { kind, failure }) => Came::Refused(kind, failure),
        Err(error) => {
            findings.extend(of_error(&sample.only(one), done, &error));
            Came::Nothing
        }
    })
}

/// Which promise an outcome breaks after a status, and what was to be expected.
fn wrong_after(status: u16, is_change: bool, came: &Came) -> Option<(Kind, &'static str)> {
    let (outcome, after) = match came {
        Came::To(answer) if is_good(answer) => {
            // What is only asked for may be missing.
            let matters = is_change || status != 422;
            return matters.then_some((OK_ON_REFUSAL, "an outcome that is not ok"));
        }
        Came::To(answer) => (answer.outcome, answer.failure.as_ref().and_then(|failure| failure.retry_after_ms)),
        Came::Refused(kind, failure) => {
            let outcome = if *kind == RefusalKind::Unauthorized { Outcome::Unauthorized } else { Outcome::Retryable };
            (outcome, failure.retry_after_ms)
        }
        Came::Nothing => return None,
    };
    match (status, outcome) {
        (401, Outcome::Unauthorized | Outcome::Untouched) => None,
        (401, _) => Some((NOT_UNAUTHORIZED, "`unauthorized`")),
        (429 | 503, Outcome::Rejected) => Some((BUSY_REJECTED, "`retryable`")),
        (429, Outcome::Retryable) => {
            let right = RETRY_AFTER_S * 1_000;
            let near = after.is_some_and(|ms| (right..=right + 1_000).contains(&ms));
            (!near).then_some((RETRY_AFTER, "`retryable` with retry-after-ms of 7000"))
        }
        _ => None,
    }
}

/// The answer to each request in turn is lost.
pub(super) async fn lost(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    let mut findings = Vec::new();
    let mut tried = false;
    for given in sample.good().iter().take(RECORDS_MAX) {
        let requests = requests(trial, sample, given).await?;
        for (number, is_change) in requests.into_iter().enumerate().take(REQUESTS_MAX).filter(|(_, change)| *change) {
            tried = true;
            let done = format!("lost the answer to request {}", number + 1);
            let came = one(trial, sample, given, Failing::At(number, Reply::NoAnswer), &done, &mut findings).await?;
            let wrong = match &came {
                _ if !is_change => None,
                Came::To(answer) if is_good(answer) => Some(OK_WITHOUT_ANSWER),
                Came::To(answer) if answer.outcome != Outcome::Unknown => Some(CERTAIN_WITHOUT_ANSWER),
                Came::Refused(..) => Some(CERTAIN_WITHOUT_ANSWER),
                _ => None,
            };
            if let Some(kind) = wrong {
                findings.push(about(kind, sample, given, done, "`unknown`", seen(given, &came)));
            }
        }
    }
    if !tried {
        return not_tried("no case gives records that lead to requests which change something");
    }
    Ok(findings)
}

/// No request gets a connection.
pub(super) async fn no_network(trial: &Trial<'_>, sample: &Sample<'_>) -> Played {
    let mut findings = Vec::new();
    let mut tried = false;
    for given in sample.good().iter().take(RECORDS_MAX) {
        if requests(trial, sample, given).await?.is_empty() {
            continue;
        }
        tried = true;
        let done = "let no request get a connection";
        let came = one(trial, sample, given, Failing::Always(Reply::NotConnected), done, &mut findings).await?;
        let wrong = match &came {
            Came::To(answer) if is_good(answer) => Some(OK_WITHOUT_ANSWER),
            Came::To(answer) if answer.outcome == Outcome::Rejected => Some(BUSY_REJECTED),
            _ => None,
        };
        if let Some(kind) = wrong {
            findings.push(about(kind, sample, given, done, "`retryable`", seen(given, &came)));
        }
    }
    if !tried {
        return not_tried("no case gives records that lead to requests");
    }
    Ok(findings)
}
