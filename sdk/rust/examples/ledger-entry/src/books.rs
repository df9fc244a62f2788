//! The books' API.

use crate::REQUEST_MS;
use crossdock_sdk::http::{Request, Response, Value};
use crossdock_sdk::secrets::{self, Secret};
use crossdock_sdk::{CallError, Failure, Record, rest};
use std::time::Duration;

/// Where the books are, and with what to log in.
#[derive(Debug)]
pub(crate) struct Books {
    base: String,
    key: Secret,
    pub(crate) account: String,
}

/// What is posted.
#[derive(serde::Serialize)]
pub(crate) struct Entry<'a> {
    pub(crate) reference: &'a str,
    pub(crate) account: &'a str,
    pub(crate) cents: u64,
    pub(crate) currency: &'a str,
    pub(crate) text: &'a str,
}

impl Books {
    pub(crate) fn open(base: &str, secret: &str, account: String) -> Result<Self, CallError> {
        let key = secrets::open(secret).map_err(|error| error.for_secret(secret))?;
        Ok(Self { base: rest::base(base)?, key, account })
    }

    /// Posting twice under one key enters once.
    pub(crate) fn enter(&self, entry: &Entry<'_>, record: &Record<'_>) -> Result<Request, Failure> {
        let body = serde_json::to_vec(entry).map_err(|error| Failure::new("not-json", error.to_string()))?;
        let request = self.with_key(Request::post(format!("{}/entries", self.base)));
        Ok(request
            .header("content-type", "application/json")
            .header("idempotency-key", record.key())
            .body(body)
            .for_record(record))
    }

    pub(crate) fn take_back(&self, entry: &str, handle: u32) -> Request {
        self.with_key(Request::delete(format!("{}/entries/{entry}", self.base))).handle(handle)
    }

    pub(crate) fn health(&self) -> Request {
        self.with_key(Request::get(format!("{}/health", self.base)))
    }

    fn with_key(&self, request: Request) -> Request {
        request.header("authorization", Value::bearer(self.key)).timeout(Duration::from_millis(REQUEST_MS))
    }
}

/// The id of an entry, as the books answer it; one that could lead elsewhere within an address is none.
pub(crate) fn entry_id(response: &Response) -> Option<String> {
    #[derive(serde::Deserialize)]
    struct Answer {
        id: String,
    }
    let id = response.json::<Answer>().ok()?.id;
    let plain = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    ((1..=64).contains(&id.len()) && id.chars().all(plain)).then_some(id)
}

/// A refusal with a pointer to the field of the record that the books blame.
pub(crate) fn blamed(response: &Response) -> Failure {
    #[derive(serde::Deserialize)]
    struct Answer {
        field: String,
    }
    let failure = rest::failure(response);
    match response.json::<Answer>() {
        Ok(Answer { field }) if ["cents", "currency"].contains(&field.as_str()) => failure.pointer(format!("/{field}")),
        _ => failure,
    }
}
