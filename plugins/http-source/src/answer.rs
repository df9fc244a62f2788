//! What came back: the list, or why there is none.

use crossdock_sdk::{
    CallError, Failure, control, http,
    rest::{Pointer, retry_after, scalar_text},
};
use http::{HttpError, Response};
use serde_json::value::RawValue;

use crate::{
    plan::{NextPlan, Plan},
    position::Position,
};

/// The host keeps 8 KiB of a failure's detail.
const DETAIL_MAX_BYTES: usize = 8 * 1024;

/// The longest value that asks for a page.
const PAGE_MAX_BYTES: usize = 4096;

/// Why a page could not be had.
#[derive(Debug)]
pub(crate) enum NoPage {
    /// The API does not know this page, or not any more; with the status.
    Gone(u16, CallError),
    Other(CallError),
}

impl From<CallError> for NoPage {
    fn from(error: CallError) -> Self {
        Self::Other(error)
    }
}

impl From<NoPage> for CallError {
    fn from(no_page: NoPage) -> Self {
        match no_page {
            NoPage::Gone(_, error) | NoPage::Other(error) => error,
        }
    }
}

/// The answer, if it is a good one.
pub(crate) fn good(answer: Result<Response, HttpError>) -> Result<Response, NoPage> {
    let response = match answer {
        Ok(response) => response,
        Err(error) => return Err(NoPage::Other(no_answer(error))),
    };
    let status = response.status;
    let failure = || refusal(&format!("http-{status}"), &format!("HTTP {status}"), &response);
    let later = |failure: Failure| match response.header("retry-after").and_then(|v| retry_after(v, control::now_ms()))
    {
        Some(wait) => failure.retry_after(wait),
        None => failure,
    };
    Err(match status {
        200..=299 => return Ok(response),
        401 | 403 | 407 => NoPage::Other(CallError::unauthorized(later(failure()))),
        408 | 425 | 429 | 500..=599 => NoPage::Other(CallError::unavailable(later(failure()))),
        300..=399 => {
            let to = response.header("location").unwrap_or("nowhere");
            let what = format!("HTTP {status} and a redirect to {to}, which is not followed");
            let failure = refusal(&format!("http-{status}"), &what, &response);
            NoPage::Other(CallError::invalid_settings(failure.pointer("/base")))
        }
        400 | 404 | 410 | 422 => NoPage::Gone(status, CallError::invalid_settings(failure().pointer("/path"))),
        _ => NoPage::Other(CallError::invalid_settings(failure().pointer("/path"))),
    })
}

fn no_answer(error: HttpError) -> CallError {
    match error {
        HttpError::NotGranted(_) => CallError::not_granted(Failure::from(error)),
        HttpError::Invalid(_) => CallError::invalid_settings(Failure::from(error)),
        HttpError::TooLarge(_) => {
            let message = "the answer is larger than 4 MiB: ask for fewer records at once with `page_size`";
            CallError::invalid_settings(Failure::new(error.code(), message).pointer("/page_size"))
        }
        error => CallError::unavailable(Failure::from(error)),
    }
}

/// The items of the list in an answer.
///
/// # Errors
/// The answer is not JSON, or the list is not where it should be.
pub(crate) fn list<'a>(plan: &Plan, response: &'a Response) -> Result<Vec<&'a RawValue>, CallError> {
    let not_json = |error: &dyn std::fmt::Display| {
        let message = format!("the API answered with something that is not JSON: {error}");
        CallError::unavailable(Failure::new("not-json", message).detail(capped(&response.body)))
    };
    // Also of what lies beside the list: an answer that was cut off is no answer.
    let found = plan.records.find(&response.body).map_err(|error| not_json(&error))?;
    found.and_then(|raw| serde_json::from_str(raw.get()).ok()).ok_or_else(|| {
        let message = format!("the answer has no array at `{}`", plan.records);
        let failure = Failure::new("no-list", message).pointer("/records").detail(capped(&response.body));
        CallError::invalid_settings(failure)
    })
}

/// What asks for the page after this one, if there is one. For a list that goes on from run to run, nothing.
///
/// # Errors
/// What the answer says of it cannot be followed.
pub(crate) fn next_page(
    plan: &Plan,
    position: &Position,
    response: &Response,
    items: usize,
) -> Result<Option<String>, CallError> {
    if says_no(plan.more.as_ref(), response) {
        return Ok(None);
    }
    let text = |at: &Pointer| {
        at.find(&response.body).ok().flatten().and_then(scalar_text).filter(|text| !text.is_empty() && text != "false")
    };
    let next = match &plan.next {
        NextPlan::None | NextPlan::Since { .. } => None,
        NextPlan::Link(at) => text(at).map(|found| plan.address(&found)).transpose()?,
        NextPlan::LinkHeader => linked(response).map(|found| plan.address(&found)).transpose()?,
        NextPlan::Continuation { at, .. } => text(at),
        // A page that asks for fewer than there are is no sign of the end: the API may have a limit of its own.
        NextPlan::Number { first, .. } if items > 0 => {
            let number = position.page.as_ref().and_then(|page| page.parse().ok()).unwrap_or(*first);
            Some(number.saturating_add(1).to_string())
        }
        NextPlan::Number { .. } => None,
    };
    match next {
        Some(next) if position.page.as_ref() == Some(&next) => Err(repeats("the answer names itself as the next page")),
        None if plan.more.is_some() && plan.next.is_told() => {
            let message = format!(
                "the answer says at `{}` that there is more, and not how to ask for it",
                plan.more.as_ref().map(ToString::to_string).unwrap_or_default()
            );
            Err(CallError::invalid_settings(Failure::new("no-next-page", message).pointer("/next")))
        }
        Some(next) if next.len() > PAGE_MAX_BYTES => {
            Err(repeats("what asks for the next page is longer than 4,096 bytes"))
        }
        next => Ok(next),
    }
}

/// Whether an answer says that there is nothing more.
pub(crate) fn says_no(more: Option<&Pointer>, response: &Response) -> bool {
    let Some(pointer) = more else { return false };
    let found = pointer.find(&response.body).ok().flatten();
    found.is_none_or(|raw| matches!(raw.get(), "false" | "null" | "\"\""))
}

/// The list cannot be read page by page.
pub(crate) fn repeats(problem: &str) -> CallError {
    let message = format!("the list has no end: {problem}; look at how this API asks for the next page");
    CallError::invalid_settings(Failure::new("pages-repeat", message).pointer("/next"))
}

/// The address with `rel="next"` in the header `Link` (RFC 8288).
fn linked(response: &Response) -> Option<String> {
    let headers = response.headers.iter().filter(|(name, _)| name == "link");
    headers.flat_map(|(_, value)| links(value)).find_map(|(address, parameters)| {
        let is_next = |parameter: &str| {
            let (name, value) = parameter.split_once('=').unwrap_or((parameter, ""));
            let mut relations = value.trim().trim_matches('"').split(' ');
            name.trim().eq_ignore_ascii_case("rel") && relations.any(|one| one.eq_ignore_ascii_case("next"))
        };
        parameters.split(';').any(is_next).then(|| address.to_owned())
    })
}

/// Addresses and what is said of them.
fn links(value: &str) -> Vec<(&str, &str)> {
    let mut links = Vec::new();
    let mut rest = value;
    while let Some((address, after)) = rest.split_once('<').and_then(|(_, rest)| rest.split_once('>')) {
        // The next address is the end of what is said of this one.
        let end = after.find('<').unwrap_or(after.len());
        links.push((address, after[..end].trim_end().trim_end_matches(',')));
        rest = &after[end..];
    }
    links
}

fn refusal(code: &str, what: &str, response: &Response) -> Failure {
    let failure = Failure::new(code, format!("the API answered with {what}"));
    if response.body.is_empty() { failure } else { failure.detail(capped(&response.body)) }
}

/// The beginning of a text, as much as the host keeps.
fn capped(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(DETAIL_MAX_BYTES)]).into_owned();
    if bytes.len() > DETAIL_MAX_BYTES {
        // The cut may have gone through a character.
        text.truncate(text.trim_end_matches('\u{fffd}').len());
    }
    text
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::{Response, linked};

    #[test]
    fn the_header_link_is_read() {
        let check = |value: &str, wanted: Option<&str>| {
            let response = Response::new(200, "").with_header("link", value);
            assert_eq!(linked(&response).as_deref(), wanted, "{value}");
        };
        check("<https://a/b?page=2>; rel=\"next\", <https://a/b?page=9>; rel=\"last\"", Some("https://a/b?page=2"));
        check("<https://a/b?page=1>; rel=\"prev\",<https://a/b?page=3>;rel=next", Some("https://a/b?page=3"));
        check("<https://a/b?x=1,2;3>; title=\"a\"; REL=\"last Next\"", Some("https://a/b?x=1,2;3"));
        for none in
            ["", "<https://a/b>", "<https://a/b>; rel=\"last\"", "https://a/b; rel=next", "<https://a/b; rel=next"]
        {
            check(none, None);
        }
    }
}
