//! What an answer says of the records that the request was for.

use crossdock_sdk::{Failure, Undo, Write, control, http};
use http::{HttpError, Response};
use serde_json::Value;

use crate::{
    find::{Pointer, scalar_text},
    plan::{Holds, Reading},
    retry_after::retry_after,
    status::Meaning,
};

/// The host keeps 8 KiB of a failure's detail.
const DETAIL_MAX_BYTES: usize = 8 * 1024;

/// What an answer means: the failure says why, unless it is ok or unchanged.
#[derive(Debug)]
pub(crate) struct Judged {
    pub(crate) meaning: Meaning,
    pub(crate) failure: Option<Failure>,
}

/// Whether a call should go on after some requests.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Mood {
    answered: bool,
    refused: bool,
}

impl Mood {
    /// Takes one answer into account.
    pub(crate) fn notice(&mut self, answer: &Result<Response, HttpError>, judged: &Judged) {
        self.answered |= matches!(answer, Ok(_) | Err(HttpError::TooLarge(_) | HttpError::Invalid(_)));
        let asked_to_wait = judged.failure.as_ref().is_some_and(|failure| failure.retry_after_ms().is_some());
        self.refused |= asked_to_wait || judged.meaning == Meaning::Unauthorized;
    }

    /// Nobody answers, credentials are refused, or the other system asked to wait: more requests would do harm.
    pub(crate) fn says_stop(self) -> bool {
        self.refused || !self.answered
    }
}

impl Judged {
    fn done(meaning: Meaning) -> Self {
        Self { meaning, failure: None }
    }

    fn not_done(meaning: Meaning, failure: Failure) -> Self {
        Self { meaning, failure: Some(failure) }
    }

    /// The request got no answer.
    pub(crate) fn no_answer(error: &HttpError) -> Self {
        let meaning = match error {
            // What a record makes of its request will not get better by itself.
            HttpError::Invalid(_) => Meaning::Rejected,
            error if error.may_have_been_sent() => Meaning::Unknown,
            _ => Meaning::Retryable,
        };
        Self::not_done(meaning, Failure::from(error.clone()))
    }

    pub(crate) fn into_write(self) -> Write<'static> {
        match (self.meaning, self.failure) {
            (Meaning::Ok, _) => Write::applied(),
            (Meaning::Unchanged, _) => Write::unchanged(),
            (Meaning::Rejected, failure) => Write::rejected(explained(failure)),
            (Meaning::Retryable, failure) => Write::retryable(explained(failure)),
            (Meaning::Unauthorized, failure) => Write::unauthorized(explained(failure)),
            (Meaning::Unknown, failure) => Write::unknown(explained(failure)),
        }
    }

    pub(crate) fn into_undo(self) -> Undo {
        match (self.meaning, self.failure) {
            (Meaning::Ok, _) => Undo::undone(),
            (Meaning::Unchanged, _) => Undo::unchanged(),
            (Meaning::Rejected, failure) => Undo::rejected(explained(failure)),
            (Meaning::Retryable, failure) => Undo::retryable(explained(failure)),
            (Meaning::Unauthorized, failure) => Undo::unauthorized(explained(failure)),
            (Meaning::Unknown, failure) => Undo::unknown(explained(failure)),
        }
    }
}

fn explained(failure: Option<Failure>) -> Failure {
    failure.unwrap_or_else(|| Failure::new("http-answer", "the answer does not count as ok"))
}

impl Reading {
    /// What an answer means by its status, and by its body if the settings look at it.
    pub(crate) fn judge(&self, answer: &Result<Response, HttpError>) -> Judged {
        match answer {
            Ok(response) => self.judge_part(response.status, response, &response.body),
            Err(error) => Judged::no_answer(error),
        }
    }

    /// What an answer for many records means as a whole; what it holds for each of them is judged by itself.
    pub(crate) fn judge_whole(&self, answer: &Result<Response, HttpError>) -> Judged {
        match answer {
            Ok(response) if self.meaning(response.status) == Meaning::Ok => Judged::done(Meaning::Ok),
            answer => self.judge(answer),
        }
    }

    fn meaning(&self, status: u16) -> Meaning {
        self.statuses.of(status).unwrap_or_else(|| Meaning::by_custom(status, self.repeatable))
    }

    /// The same for a status that may stand in the part of the answer for one record.
    fn judge_part(&self, status: u16, response: &Response, part: &[u8]) -> Judged {
        match self.meaning(status) {
            Meaning::Ok if self.ok_if.as_ref().is_none_or(|condition| condition.holds(part)) => {
                Judged::done(Meaning::Ok)
            }
            Meaning::Ok => {
                Judged::not_done(Meaning::Rejected, self.failure("answer-not-ok", "an answer that is not ok", part))
            }
            Meaning::Unchanged => Judged::done(Meaning::Unchanged),
            meaning => {
                let failure = self.failure(&format!("http-{status}"), &status_text(status, response), part);
                Judged::not_done(meaning, waiting(failure, meaning, response))
            }
        }
    }

    /// What one record's part of an answer for many means.
    pub(crate) fn judge_item(&self, status: Option<&Pointer>, response: &Response, item: &[u8]) -> Judged {
        let Some(pointer) = status else {
            return self.judge_part(200, response, item);
        };
        let found = pointer.find(item).ok().flatten().and_then(scalar_text);
        let odd = |text: &str| {
            let message = format!("an answer without a status at {pointer}: {text}");
            Judged::not_done(Meaning::Unknown, self.failure("no-status", &message, item))
        };
        match found.as_deref() {
            Some("true") => self.judge_part(200, response, item),
            Some("false") => {
                Judged::not_done(Meaning::Rejected, self.failure("answer-not-ok", "an answer that is not ok", item))
            }
            Some(text) => match text.parse() {
                Ok(status @ 100..=599) => self.judge_part(status, response, item),
                _ => odd(text),
            },
            None => odd("nothing there"),
        }
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
pub(crate) fn waiting(failure: Failure, meaning: Meaning, response: &Response) -> Failure {
    let wait = response.header("retry-after").and_then(|value| retry_after(value, control::now_ms()));
    match wait {
        Some(wait) if matches!(meaning, Meaning::Retryable | Meaning::Unauthorized) => failure.retry_after(wait),
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
