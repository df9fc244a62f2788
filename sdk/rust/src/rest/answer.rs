//! What an answer says of the record that was sent, by the custom of HTTP.

use super::retry_after::retry_after;
use crate::control;
use crate::failure::{CallError, Failure};
use crate::http::{HttpError, Response};
use crate::json::Value;
use crate::roles::compensate::Undo;
use crate::roles::destination::Write;

/// Where APIs say in words what was wrong: RFC 9457's `detail` and `title`, and what others use.
const WORDS: [&str; 5] = ["detail", "message", "error", "error_description", "title"];

/// What a status means.
enum Meaning {
    Done,
    Rejected,
    Retryable,
    Unauthorized,
    Unknown,
}

impl Meaning {
    fn of(status: u16) -> Self {
        match status {
            200..=299 => Self::Done,
            401 | 403 | 407 => Self::Unauthorized,
            // The server says that it did not begin.
            408 | 425 | 429 | 503 => Self::Retryable,
            // Answered with "look there": it may be done, or not.
            303 => Self::Unknown,
            300..=499 | 501 | 505 => Self::Rejected,
            // It may have done its work before it broke, or goes on behind a gateway that has lost sight of it.
            _ => Self::Unknown,
        }
    }
}

/// What a record's own request came to: the answer if it says that the record was applied, otherwise the outcome to
/// return.
///
/// | answer | outcome |
/// |---|---|
/// | 2xx | the answer is given back |
/// | 401, 403, 407 | `unauthorized` |
/// | 408, 425, 429, 503 | `retryable`, after the time of `Retry-After` if it says one |
/// | other 3xx and 4xx, 501, 505 | `rejected` |
/// | 303, other 5xx | `unknown`: it may have been applied |
/// | none, and the request may have been sent | `unknown` |
/// | none, and nothing was sent | `retryable`, but `rejected` if the request is malformed |
///
/// An API that means something else by a status is asked about that status first.
///
/// ```
/// use crossdock_sdk::http::{self, Request};
/// use crossdock_sdk::{Failure, Record, Write, rest};
/// # fn write_one(record: &Record<'_>) -> Result<Write<'static>, Failure> {
/// let request = Request::post("https://erp.example.com/orders").for_record(record).body(record.payload());
/// match rest::written(http::send(request)) {
///     Ok(answer) => Ok(Write::applied().target_id(answer.text().into_owned())),
///     Err(outcome) => Ok(outcome),
/// }
/// # }
/// ```
///
/// # Errors
/// The record was not applied, or nobody knows.
pub fn written(answer: Result<Response, HttpError>) -> Result<Response, Write<'static>> {
    let response = answer.map_err(|error| match error {
        HttpError::Invalid(_) => Write::rejected(error.into()),
        _ if error.may_have_been_sent() => Write::unknown(error.into()),
        _ => Write::retryable(error.into()),
    })?;
    match Meaning::of(response.status) {
        Meaning::Done => Ok(response),
        Meaning::Rejected => Err(Write::rejected(failure(&response))),
        Meaning::Retryable => Err(Write::retryable(failure(&response))),
        Meaning::Unauthorized => Err(Write::unauthorized(failure(&response))),
        Meaning::Unknown => Err(Write::unknown(failure(&response))),
    }
}

/// What the request that undoes a record came to: as [`written`], but 404 and 410 mean that there is nothing left to undo.
pub fn undone(answer: Result<Response, HttpError>) -> Undo {
    let response = match answer {
        Ok(response) => response,
        Err(error @ HttpError::Invalid(_)) => return Undo::rejected(error.into()),
        Err(error) if error.may_have_been_sent() => return Undo::unknown(error.into()),
        Err(error) => return Undo::retryable(error.into()),
    };
    match (response.status, Meaning::of(response.status)) {
        (404 | 410, _) => Undo::unchanged(),
        (_, Meaning::Done) => Undo::undone(),
        (_, Meaning::Rejected) => Undo::rejected(failure(&response)),
        (_, Meaning::Retryable) => Undo::retryable(failure(&response)),
        (_, Meaning::Unauthorized) => Undo::unauthorized(failure(&response)),
        (_, Meaning::Unknown) => Undo::unknown(failure(&response)),
    }
}

/// What a request came to on which a whole call depends, such as that of `check` or of a source's page: the answer if its
/// status is 2xx.
///
/// # Errors
/// Credentials were refused, the grant does not cover the address, or the other system cannot be used now.
pub fn answered(answer: Result<Response, HttpError>) -> Result<Response, CallError> {
    let response = answer.map_err(|error| match error {
        HttpError::NotGranted(_) => CallError::not_granted(Failure::from(error)),
        HttpError::Invalid(_) => CallError::invalid_settings(Failure::from(error)),
        _ => CallError::unavailable(Failure::from(error)),
    })?;
    match Meaning::of(response.status) {
        Meaning::Done => Ok(response),
        Meaning::Unauthorized => Err(CallError::unauthorized(failure(&response))),
        _ => Err(CallError::unavailable(failure(&response))),
    }
}

/// The failure that an answer tells of: the code `http-422`, the other system's own words if it answered with JSON that
/// has some, its answer as the detail, and how long it asks to wait.
#[must_use]
pub fn failure(response: &Response) -> Failure {
    let status = response.status;
    let body = Value::parse(&response.body).ok();
    let words = body.and_then(|body| WORDS.iter().find_map(|name| body.get(name)?.text()));
    let message = match words.as_deref().map(str::trim).filter(|words| !words.is_empty()) {
        Some(words) => format!("the other system answered {status}: {words}"),
        None => format!("the other system answered {status}"),
    };
    let mut failure = Failure::new(format!("http-{status}"), message);
    if !response.body.is_empty() {
        failure = failure.detail(response.text());
    }
    match response.header("retry-after").and_then(|value| retry_after(value, control::now_ms())) {
        Some(wait) => failure.retry_after(wait),
        None => failure,
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
    use super::*;

    fn refused(status: u16, body: &str) -> Failure {
        failure(&Response::new(status, body))
    }

    #[test]
    fn statuses_have_their_customary_meaning() {
        let check = |status: u16, write: Write<'_>, undo: Undo| {
            let answer = || Ok(Response::new(status, ""));
            match written(answer()) {
                Ok(_) => assert_eq!(write, Write::applied(), "{status}"),
                Err(outcome) => assert_eq!(outcome, write, "{status}"),
            }
            assert_eq!(undone(answer()), undo, "{status}");
            assert_eq!(answered(answer()).is_ok(), write.is_success(), "{status}");
        };
        let said = |status| refused(status, "");
        for status in [200, 201, 204, 299] {
            check(status, Write::applied(), Undo::undone());
        }
        for status in [401, 403, 407] {
            check(status, Write::unauthorized(said(status)), Undo::unauthorized(said(status)));
        }
        for status in [408, 425, 429, 503] {
            check(status, Write::retryable(said(status)), Undo::retryable(said(status)));
        }
        for status in [301, 400, 409, 422, 499, 501, 505] {
            check(status, Write::rejected(said(status)), Undo::rejected(said(status)));
        }
        for status in [303, 500, 502, 504, 599, 100] {
            check(status, Write::unknown(said(status)), Undo::unknown(said(status)));
        }
        for status in [404, 410] {
            check(status, Write::rejected(said(status)), Undo::unchanged());
        }
    }

    #[test]
    fn no_answer_is_no_success() {
        let check = |error: HttpError, write: fn(Failure) -> Write<'static>, undo: fn(Failure) -> Undo| {
            assert_eq!(written(Err(error.clone())), Err(write(error.clone().into())));
            assert_eq!(undone(Err(error.clone())), undo(error.clone().into()));
            assert!(answered(Err(error)).is_err());
        };
        check(HttpError::NoAnswer("lost".into()), Write::unknown, Undo::unknown);
        check(HttpError::TooLarge(200), Write::unknown, Undo::unknown);
        check(HttpError::NotConnected("refused".into()), Write::retryable, Undo::retryable);
        check(HttpError::NotGranted("x".into()), Write::retryable, Undo::retryable);
        check(HttpError::Invalid("x".into()), Write::rejected, Undo::rejected);
    }

    #[test]
    fn the_other_systems_words_are_told() {
        let check = |body: &str, message: &str| assert_eq!(refused(422, body).message(), message);
        check(r#"{ "error": "no such customer" }"#, "the other system answered 422: no such customer");
        check(r#"{ "title": "Bad", "detail": "no such customer" }"#, "the other system answered 422: no such customer");
        check(r#"{ "error": { "code": 7 } }"#, "the other system answered 422");
        check(r#"{ "error": " " }"#, "the other system answered 422");
        check("<html>", "the other system answered 422");
        assert_eq!(refused(422, "<html>").detail_text(), Some("<html>"));
        assert_eq!(refused(422, "").detail_text(), None);
        let wait = failure(&Response::new(429, "").with_header("Retry-After", "7"));
        assert_eq!(wait.retry_after_ms(), Some(7_000));
    }
}
