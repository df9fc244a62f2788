//! The settings as written in a route. What they mean together is checked in `plan`.

use std::collections::BTreeMap;

use crossdock_sdk::rest::Auth;
use schemars::JsonSchema;
use serde::Deserialize;

/// Settings of the plugin http-source.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// Where the API is, for example `https://shop.example.com/api`.
    pub base: String,
    /// What follows `base`, with `/` in front; may go on with `?` and a query, for example `/orders?status=new`.
    pub path: String,
    /// Further headers.
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    /// Credentials, secrets by name.
    #[serde(default)]
    pub auth: Option<Auth>,

    /// JSON pointer to the array of records in the answer. Unless told, the answer is that array.
    #[serde(default)]
    pub records: String,
    /// JSON pointers, within a record, to the values that make its id.
    #[schemars(length(min = 1))]
    pub id: Vec<String>,
    /// JSON pointers, within a record, to the values that make its order key: records with the same one are kept in
    /// order.
    #[serde(default)]
    pub order_key: Vec<String>,

    /// How the rest of the list is asked for. Unless told, one answer is the whole list.
    #[serde(default)]
    pub next: Next,
    /// JSON pointer to what says whether there is more: anything but false, null and an empty text.
    #[serde(default)]
    pub more: Option<String>,
    /// How many records an answer should have.
    #[serde(default)]
    pub page_size: Option<PageSize>,

    /// Whether a record stays in the list until it is settled, so that it is found again after a crash. Say `false` for
    /// an API that gives each record only once.
    #[serde(default = "yes")]
    pub re_reads: bool,
    /// Time for one request, such as `500ms`, `30s`, `2m`.
    #[serde(default = "thirty_seconds")]
    pub timeout: String,
    /// What follows `base` in the request that finds out whether the API can be used now. Unless told, the first page of
    /// the list is asked for.
    #[serde(default)]
    pub check: Option<String>,
}

fn yes() -> bool {
    true
}

fn thirty_seconds() -> String {
    "30s".to_owned()
}

/// How the rest of a list is asked for.
#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case", deny_unknown_fields)]
pub enum Next {
    /// It is not: one answer is the whole list. Each run asks for the list anew.
    #[default]
    None,
    /// JSON pointer to the address of the next page in the answer; nothing stands there on the last page. Each run
    /// asks for the list anew.
    Link(String),
    /// The next page's address stands in the header `Link`, with `rel="next"`. Each run asks for the list anew.
    LinkHeader,
    /// A value of the answer goes into a field of the query of the next request. Each run asks for the list anew.
    Continuation {
        /// JSON pointer to the value in the answer; nothing stands there on the last page.
        at: String,
        /// The field of the query.
        parameter: String,
    },
    /// Pages have numbers. Each run asks for the list anew.
    Number {
        /// The field of the query.
        parameter: String,
        /// The number of the first page: 1 unless told.
        #[serde(default = "one")]
        first: u64,
    },
    /// A value of the last record goes into a field of the query, and each run goes on where the last one ended. The
    /// list must be sorted by that value, ascending.
    Since {
        /// JSON pointer to the value within a record, for example `/id` or `/updated_at`.
        at: String,
        /// The field of the query.
        parameter: String,
        /// What the very first request says; the field is left out unless told.
        #[serde(default)]
        first: Option<String>,
    },
}

fn one() -> u64 {
    1
}

/// How many records an answer should have.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct PageSize {
    /// The field of the query that says so.
    pub parameter: String,
    /// How many: 1 to 10,000.
    #[schemars(range(min = 1, max = 10_000))]
    pub records: u32,
}
