//! What an answer says of the records that the request was for.

use crossdock_sdk::{
    Failure, Undo, Write, control, http,
    rest::{Pointer, retry_after, scalar_text},
};
use http::{HttpError, Response};
use serde_json::Value;

use crate::{
    plan::{Holds, Reading},
    status::{Done, Meaning, NotDone, by_custom},
};

/// The host keeps 8 KiB of a failure's detail.
const DETAIL_MAX_BYTES: usize = 8 * 1024;

/// What an answer means, and why if it is not done.
pub(crate) type Judged = Result<Done, (NotDone, Failure)>;

/// Whether a call should go on after the answers that have come so far.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mood {
    unanswered: bool,
    refused: bool,
}

impl Mood {
    /// Takes one answer into account.
    pub(crate) fn notice(&mut self, answer: &Result<Response, HttpError>, judged: &Judged) {
        self.unanswered = !matches!(answer, Ok(_) | Err(HttpError::TooLarge(_) | HttpError::Invalid(_)));
        self.refused |= judged
            .as_ref()
            .is_err_and(|(not_done, failure)| *not_done == NotDone::Unauthorized || failure.retry_after_ms().is_some());
    }

    /// The last request got no answer, credentials were refused, or the other system asked to wait: more requests would
    /// do harm. Of these only the first one passes, when another request that is on its way is answered.
    pub(crate) fn says_stop(self) -> bool {
        self.refused || self.unanswered
    }
}

/// The request got no answer.
fn no_answer(error: &HttpError) -> Judged {
    let not_done = match error {
        // What a record makes of its request will not get better by itself.
        HttpError::Invalid(_) => NotDone::Rejected,
        error if error.may_have_been_sent() => NotDone::Unknown,
        _ => NotDone::Retryable,
    };
    Err((not_done, Failure::from(error.clone())))
}

pub(crate) fn into_write(judged: Judged) -> Write<'static> {
    match judged {
        Ok(Done::Now) => Write::applied(),
        Ok(Done::Before) => Write::unchanged(),
        Err((NotDone::Rejected, failure)) => Write::rejected(failure),
        Err((NotDone::Retryable, failure)) => Write::retryable(failure),
        Err((NotDone::Unauthorized, failure)) => Write::unauthorized(failure),
        Err((NotDone::Unknown, failure)) => Write::unknown(failure),
    }
}

pub(crate) fn into_undo(judged: Judged) -> Undo {
    match judged {
        Ok(Done::Now) => Undo::undone(),
        Ok(Done::Before) => Undo::unchanged(),
        Err((NotDone::Rejected, failure)) => Undo::rejected(failure),
        Err((NotDone::Retryable, failure)) => Undo::retryable(failure),
        Err((NotDone::Unauthorized, failure)) => Undo::unauthorized(failure),
        Err((NotDone::Unknown, failure)) => Undo::unknown(failure),
    }
}

impl Reading {
    /// What an answer means by its status, and by its body if the settings look at it.
    pub(crate) fn judge(&self, answer: &Result<Response, HttpError>) -> Judged {
        match answer {
            Ok(response) => self.judge_part(response.status, response, &response.body),
            Err(error) => no_answer(error),
        }
    }

    /// What an answer for many records means as a whole; what it holds for each of them is judged by itself.
    pub(crate) fn judge_whole(&self, answer: &Result<Response, HttpError>) -> Judged {
        match answer {
            Ok(response) if self.meaning(response.status) == Ok(Done::Now) => Ok(Done::Now),
            answer => self.judge(answer),
        }
    }

    /// What one record's part of an answer for many means.
    pub(crate) fn judge_item(&self, status: Option<&Pointer>, response: &Response, item: &[u8]) -> Judged {
        let Some(pointer) = status else {
            return self.judge_part(200, response, item);
        };
        let found = pointer.find(item).ok().flatten().and_then(scalar_text);
        match found.as_deref() {
            Some("true") => self.judge_part(200, response, item),
            Some("false") => Err((NotDone::Rejected, self.not_ok(item))),
            Some(text) => match text.parse() {
                Ok(status @ 100..=599) => self.judge_part(status, response, item),
                _ => Err((NotDone::Unknown, self.failure("no-status", &format!("`{text}` instead of a status"), item))),
            },
            None => Err((NotDone::Unknown, self.failure("no-status", &format!("no status at `{pointer}`"), item))),
        }
    }

    /// The same for a status that may stand in the part of the answer for one record.
    fn judge_part(&self, status: u16, response: &Response, part: &[u8]) -> Judged {
        match self.meaning(status) {
            Ok(Done::Now) if self.ok_if.as_ref().is_some_and(|condition| !condition.holds(part)) => {
                Err((NotDone::Rejected, self.not_ok(part)))
            }
            Ok(done) => Ok(done),
            Err(not_done) => {
                let failure = self.failure(&format!("http-{status}"), &status_text(status, response), part);
                Err((not_done, waiting(failure, not_done, response)))
            }
        }
    }

    fn meaning(&self, status: u16) -> Meaning {
        self.statuses.of(status).unwrap_or_else(|| by_custom(status, self.repeatable))
    }

    fn not_ok(&self, part: &[u8]) -> Failure {
        self.failure("answer-not-ok", "an answer that does not count as ok", part)
    }

    /// The id of the written record; `None` if the answer does not hold one.
    pub(crate) fn target_id(&self, part: &[u8]) -> Option<String> {
        find_text(self.target_id.as_ref()?, part)
    }

    /// A failure with the other system's own words.
    fn failure(&self, code: &str, what: &str, part: &[u8]) -> Failure {
        let words = self.error_message.as_ref().and_then(|pointer| find_text(pointer, part));
        let message = match words {
            Some(words) => format!("the other system answered with {what}: {words}"),
            None => format!("the other system answered with {what}"),
        };
        let failure = Failure::new(code, message);
        if part.is_empty() { failure } else { failure.detail(capped(part)) }
    }

    /// The field to blame as the answer names it, taken apart.
    pub(crate) fn blamed(&self, part: &[u8]) -> Option<Pointer> {
        let name = find_text(self.error_field.as_ref()?, part)?;
        match name.strip_prefix('/') {
            Some(_) => Pointer::parse(&name).ok(),
            None => Some(Pointer::of(name.split('.').map(str::to_owned))),
        }
    }
}

impl Holds {
    pub(crate) fn holds(&self, body: &[u8]) -> bool {
        let Ok(Some(raw)) = self.pointer.find(body) else { return false };
        match &self.equals {
            None => !matches!(raw.get(), "null" | "false"),
            Some(wanted) => serde_json::from_str::<Value>(raw.get()).is_ok_and(|found| found == *wanted),
        }
    }
}

fn status_text(status: u16, response: &Response) -> String {
    match response.header("location") {
        Some(to) if (300..=399).contains(&status) => {
            format!("HTTP {status} and a redirect to {to}, which is not followed")
        }
        _ => format!("HTTP {status}"),
    }
}

/// A text that is not empty.
pub(crate) fn find_text(pointer: &Pointer, body: &[u8]) -> Option<String> {
    let raw = pointer.find(body).ok().flatten()?;
    scalar_text(raw).filter(|text| !text.is_empty())
}

/// Adds the time after which the other system wants to be asked again.
pub(crate) fn waiting(failure: Failure, not_done: NotDone, response: &Response) -> Failure {
    let wait = response.header("retry-after").and_then(|value| retry_after(value, control::now_ms()));
    match wait {
        Some(wait) if matches!(not_done, NotDone::Retryable | NotDone::Unauthorized) => failure.retry_after(wait),
        _ => failure,
    }
}

/// The beginning of a text, as much as the host keeps.
pub(crate) fn capped(bytes: &[u8]) -> String {
    let mut text = String::from_utf8_lossy(&bytes[..bytes.len().min(DETAIL_MAX_BYTES)]).into_owned();
    if bytes.len() > DETAIL_MAX_BYTES {
        // The cut may have gone through a character.
        text.truncate(text.trim_end_matches('\u{fffd}').len());
    }
    text
}
