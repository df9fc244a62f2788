//! The settings as written in a route. What they mean together is checked in `plan`.

use std::{collections::BTreeMap, fmt};

use crossdock_sdk::rest::Auth;
use schemars::JsonSchema;
use serde::Deserialize;
use serde_json::Value;

/// Settings of the plugin http-destination.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the API is, for example `https://erp.example.com/api/v2`. No template: the address does not depend on records.
    pub base: String,
    /// The method of a write.
    #[serde(default)]
    pub method: Method,
    /// What follows `base`, with `/` in front; a template, which may go on with `?` and a query.
    pub path: String,
    /// The body of a write: a JSON template. The payload as it is, unless told.
    #[serde(default)]
    pub body: Option<Value>,
    /// Further headers, each a template.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Credentials, secrets by name.
    #[serde(default)]
    pub auth: Option<Auth>,

    /// The header in which the other system wants its idempotency key.
    #[serde(default)]
    pub idempotency_header: Option<String>,
    /// The other system recognises the key that a template puts into the request with `{{ key }}`.
    #[serde(default)]
    pub key_in_request: bool,
    /// Writing the same record again changes nothing, for example `PUT` under the record's own id.
    #[serde(default)]
    pub upsert: bool,

    /// JSON pointer to the id of the written record in the answer.
    #[serde(default)]
    pub target_id: Option<String>,
    /// What an answer must hold besides its status to count as ok.
    #[serde(default)]
    pub ok_if: Option<Condition>,
    /// JSON pointer to the line for people in an answer that is not ok.
    #[serde(default)]
    pub error_message: Option<String>,
    /// JSON pointer to the name of, or pointer to, the field to blame in an answer that is not ok.
    #[serde(default)]
    pub error_field: Option<String>,
    /// What the statuses of answers mean; those that are not named mean what is customary.
    #[serde(default)]
    pub statuses: Statuses,

    /// Requests at once: 1 to 64.
    #[serde(default = "four")]
    #[schemars(range(min = 1, max = 64))]
    pub in_flight: u32,
    /// Many records in one request.
    #[serde(default)]
    pub batch: Option<Batch>,
    /// Time for one request, such as `500ms`, `30s`, `2m`.
    #[serde(default = "thirty_seconds")]
    pub timeout: String,

    /// The request that undoes one record.
    #[serde(default)]
    pub compensate: Option<Compensate>,
    /// The request that finds out whether one record was applied.
    #[serde(default)]
    pub probe: Option<Probe>,
    /// The request that finds out whether the API can be used now.
    #[serde(default)]
    pub check: Option<Check>,
}

fn four() -> u32 {
    4
}

fn thirty_seconds() -> String {
    "30s".to_owned()
}

/// An HTTP method.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "UPPERCASE")]
pub enum Method {
    #[allow(missing_docs)]
    Get,
    #[allow(missing_docs)]
    #[default]
    Post,
    #[allow(missing_docs)]
    Put,
    #[allow(missing_docs)]
    Patch,
    #[allow(missing_docs)]
    Delete,
}

impl Method {
    pub(crate) fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Patch => "PATCH",
            Self::Delete => "DELETE",
        }
    }
}

/// A status such as `422`, or a class such as `"4xx"`.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum StatusPattern {
    /// One status.
    Code(u16),
    /// `"1xx"` to `"5xx"`.
    Class(String),
}

impl fmt::Display for StatusPattern {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Code(code) => code.fmt(f),
            Self::Class(class) => write!(f, "\"{class}\""),
        }
    }
}

/// What statuses mean for a record that is written or undone. An exact status counts before its class, and
/// both before what is customary.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct Statuses {
    /// Done.
    pub ok: Vec<StatusPattern>,
    /// It was so already.
    pub unchanged: Vec<StatusPattern>,
    /// It will never be accepted as it is.
    pub rejected: Vec<StatusPattern>,
    /// Certainly not done, and perhaps later.
    pub retryable: Vec<StatusPattern>,
    /// Certainly not done: credentials refused.
    pub unauthorized: Vec<StatusPattern>,
    /// Perhaps done, nobody knows.
    pub unknown: Vec<StatusPattern>,
}

/// Something that an answer's body holds.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Condition {
    /// JSON pointer into the answer.
    pub pointer: String,
    /// What must stand there. Without it: anything but null and false.
    #[serde(default)]
    pub equals: Option<Value>,
}

/// Many records in one request.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Batch {
    /// Records a request, at most: 2 to 1,000.
    #[schemars(range(min = 2, max = 1000))]
    pub records: u32,
    /// The whole body: a JSON template around `{{ records }}`. The array itself, unless told.
    #[serde(default)]
    pub body: Option<Value>,
    /// JSON pointer to the array of answers, one a record in the order of the request. Without it the
    /// request is taken as a whole: all records, or none.
    #[serde(default)]
    pub answers: Option<String>,
    /// JSON pointer within one of the answers: a status like that of HTTP, or true and false.
    #[serde(default)]
    pub status: Option<String>,
}

/// The request that undoes one record. It must do no harm when it comes twice.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Compensate {
    /// The method.
    #[serde(default = "delete")]
    pub method: Method,
    /// What follows `base`; a template.
    pub path: String,
    /// A JSON template; no body, unless told.
    #[serde(default)]
    pub body: Option<Value>,
    /// Further headers, each a template.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What statuses mean. Unless told, 404 and 410 are `unchanged`: there is nothing left to undo.
    #[serde(default)]
    pub statuses: Statuses,
}

fn delete() -> Method {
    Method::Delete
}

/// The request that finds out whether one record was applied. It must not change anything.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Probe {
    /// The method.
    #[serde(default = "get")]
    pub method: Method,
    /// What follows `base`; a template.
    pub path: String,
    /// A JSON template; no body, unless told.
    #[serde(default)]
    pub body: Option<Value>,
    /// Further headers, each a template.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// What the body of an answer holds if the record was applied. Without it the status decides alone.
    #[serde(default)]
    pub applied: Option<Condition>,
    /// What the body of an answer holds if the record was not applied; an answer that fits neither says nothing. Without
    /// it each answer in JSON that does not fit `applied` means that the record was not applied.
    #[serde(default)]
    pub not_applied: Option<Condition>,
    /// JSON pointer to the record's id in the answer.
    #[serde(default)]
    pub target_id: Option<String>,
    /// What statuses mean.
    #[serde(default)]
    pub statuses: ProbeStatuses,
}

fn get() -> Method {
    Method::Get
}

/// What statuses mean for a record that is asked about.
#[derive(Debug, Default, Deserialize, JsonSchema)]
#[serde(default, deny_unknown_fields)]
pub struct ProbeStatuses {
    /// The body decides. Unless told: `"2xx"`.
    pub answered: Vec<StatusPattern>,
    /// It was not applied. Unless told: 404, 410.
    pub not_applied: Vec<StatusPattern>,
    /// Nothing can be said at the moment. Unless told: 408, 425, 429, `"5xx"`.
    pub retryable: Vec<StatusPattern>,
    /// Credentials refused. Unless told: 401, 403, 407.
    pub unauthorized: Vec<StatusPattern>,
}

/// The request that finds out whether the API can be used now. It must not change anything.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Check {
    /// The method.
    #[serde(default = "get")]
    pub method: Method,
    /// What follows `base`; no template.
    pub path: String,
    /// Statuses that mean it can be used. Unless told: `"2xx"`.
    #[serde(default)]
    pub ok: Vec<StatusPattern>,
}
