//! A request and its answer, as every part of the stand-in sees them.

use std::time::Duration;

use axum::http::Uri;
use serde_json::{Value, json};

/// One request as it came in.
pub(crate) struct Call<'a> {
    pub(crate) method: &'a str,
    pub(crate) uri: &'a Uri,
    pub(crate) key: Option<&'a str>,
    pub(crate) authorized: bool,
    pub(crate) body: &'a [u8],
}

/// What is sent back.
#[derive(Debug, Default)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) body: Option<Value>,
    pub(crate) retry_after_s: Option<u64>,
    /// The document was there already, under the same key.
    pub(crate) replayed: bool,
    /// Close the connection instead of answering.
    pub(crate) cut: bool,
    pub(crate) delay: Duration,
    /// For the ledger: what changed.
    pub(crate) applied: Option<String>,
    pub(crate) items: Option<Value>,
}

pub(crate) fn query(uri: &Uri, name: &str) -> Option<String> {
    let axum::extract::Query(pairs) = axum::extract::Query::<Vec<(String, String)>>::try_from_uri(uri).ok()?;
    pairs.into_iter().find(|(key, _)| key == name).map(|(_, value)| value)
}

pub(crate) fn body(status: u16, body: Value) -> Reply {
    Reply { status, body: Some(body), ..Reply::default() }
}

pub(crate) fn error(status: u16, code: &str, field: &str, message: &str) -> Reply {
    body(status, json!({ "error": { "code": code, "field": field, "message": message } }))
}
