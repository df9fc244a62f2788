//! Asking: whether a record was applied, and whether the API can be used now.

use crossdock_sdk::{Batch, CallError, Failure, Finding, ProbeAnswers, Record, http};
use http::{HttpError, Response};

use crate::{
    answer::{capped, find_text, waiting},
    pace::Pace,
    plan::{Ask, CheckPlan, Plan},
    status::{NotDone, Seen, by_custom},
    template::NoValues,
    values::Receipt,
};

/// Finds out for each record of a batch whether it was applied.
///
/// # Errors
/// The settings have no request for it, or the grant does not cover the address.
pub(crate) fn probe(plan: &Plan, batch: &Batch<'_>, answers: &mut ProbeAnswers<'_>) -> Result<(), CallError> {
    let Some(ask) = &plan.probe else {
        return Err(CallError::invalid_settings("the settings have no `probe`, so nothing can be found out"));
    };
    let mut pace = Pace::new(plan.timeout_ms);
    let records: Vec<Record<'_>> = batch.iter().collect();
    for window in records.chunks(plan.in_flight as usize) {
        let Some(timeout_ms) = pace.next() else {
            for record in window {
                let message = "there was no time left to ask about the record";
                answers.set(record, Finding::retryable(Failure::new("no-time-left", message)));
            }
            continue;
        };
        let mut asked = Vec::with_capacity(window.len());
        let mut requests = Vec::with_capacity(window.len());
        for record in window {
            match ask.template.render(record) {
                Ok(rendered) => {
                    requests.push(rendered.request(&plan.credentials, timeout_ms, Some(record.handle())));
                    asked.push(record);
                }
                Err(failure) => answers.set(record, Finding::unknown(failure)),
            }
        }
        let found = pace.time(|| http::send_all(requests, plan.in_flight));
        for (record, answer) in asked.into_iter().zip(&found) {
            answers.set(record, finding(plan, ask, record, answer)?);
        }
    }
    Ok(())
}

fn finding(
    plan: &Plan,
    ask: &Ask,
    record: &Record<'_>,
    answer: &Result<Response, HttpError>,
) -> Result<Finding<'static>, CallError> {
    let response = match answer {
        Ok(response) => response,
        Err(error @ HttpError::NotGranted(_)) => return Err(CallError::not_granted(Failure::from(error.clone()))),
        // What the request would have to hold cannot be sent: asking again will not help.
        Err(error @ HttpError::Invalid(_)) => return Ok(Finding::unknown(Failure::from(error.clone()))),
        Err(error) => return Ok(Finding::retryable(Failure::from(error.clone()))),
    };
    let seen = ask.statuses.of(response.status).unwrap_or_else(|| Seen::by_custom(response.status));
    Ok(match seen {
        Seen::NotApplied => Finding::not_applied(),
        Seen::Answered if ask.applied.as_ref().is_none_or(|condition| condition.holds(&response.body)) => {
            applied(plan, ask, record, response)
        }
        // "Not applied" leads to another write: it must not be read out of an answer that could not be understood.
        Seen::Answered if !denies(ask, &response.body) => {
            Finding::unknown(refusal(response, "answer-unclear", "neither that it was applied nor that it was not"))
        }
        Seen::Answered => Finding::not_applied(),
        Seen::Later => Finding::retryable(waiting(status_refusal(response), NotDone::Retryable, response)),
        Seen::Unauthorized => Finding::unauthorized(waiting(status_refusal(response), NotDone::Unauthorized, response)),
        Seen::Never => Finding::unknown(status_refusal(response)),
    })
}

/// Whether an answer that does not say "applied" says "not applied".
fn denies(ask: &Ask, body: &[u8]) -> bool {
    match &ask.not_applied {
        Some(condition) => condition.holds(body),
        None => serde_json::from_slice::<serde::de::IgnoredAny>(body).is_ok(),
    }
}

fn applied(plan: &Plan, ask: &Ask, record: &Record<'_>, response: &Response) -> Finding<'static> {
    let id = ask.target_id.as_ref().and_then(|pointer| find_text(pointer, &response.body));
    let mut finding = Finding::applied();
    if let Some(id) = id.clone().filter(|id| id.len() <= crate::write::TARGET_ID_MAX_BYTES) {
        finding = finding.target_id(id);
    }
    if plan.undo.is_some()
        && let Ok(mut receipt) = Receipt::of_record(&plan.write.kept, record)
    {
        receipt.target_id = id;
        if let Some(bytes) = receipt.finish() {
            finding = finding.receipt(bytes);
        }
    }
    finding
}

/// Whether the API can be used now.
///
/// # Errors
/// It cannot, and why.
pub(crate) fn check(plan: &Plan) -> Result<(), CallError> {
    let CheckPlan { template, ok, any_answer } = &plan.check;
    let timeout_ms = Pace::new(plan.timeout_ms).next().unwrap_or(plan.timeout_ms);
    let rendered = template.render(&NoValues).map_err(CallError::invalid_settings)?;
    let response = match http::send(rendered.request(&plan.credentials, timeout_ms, None)) {
        Ok(response) => response,
        Err(error @ HttpError::NotGranted(_)) => return Err(CallError::not_granted(Failure::from(error))),
        Err(error @ HttpError::Invalid(_)) => return Err(CallError::invalid_settings(Failure::from(error))),
        Err(error) => return Err(CallError::unavailable(Failure::from(error))),
    };
    if ok.of(response.status).is_some() {
        return Ok(());
    }
    match by_custom(response.status, true) {
        Err(NotDone::Unauthorized) => {
            Err(CallError::unauthorized(waiting(status_refusal(&response), NotDone::Unauthorized, &response)))
        }
        Ok(_) | Err(NotDone::Rejected | NotDone::Unknown) if *any_answer => Ok(()),
        _ => Err(CallError::unavailable(waiting(status_refusal(&response), NotDone::Retryable, &response))),
    }
}

fn status_refusal(response: &Response) -> Failure {
    refusal(response, &format!("http-{}", response.status), &format!("HTTP {}", response.status))
}

fn refusal(response: &Response, code: &str, what: &str) -> Failure {
    let failure = Failure::new(code, format!("the other system answered with {what}"));
    if response.body.is_empty() { failure } else { failure.detail(capped(&response.body)) }
}
