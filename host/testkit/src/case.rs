//! What a plugin is given, and what is expected of it: the form of case files, and the same as values.

mod exchange;
mod json;
mod read;

pub use exchange::{Answer, Any, Exchange, NoAnswer, Request, Times};
pub use json::Json;
pub(crate) use read::origin;
pub use read::{CaseError, read_cases};

use serde::de::value::MapAccessDeserializer;
use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// One case. `README.md` of this crate says what each key means; keys left out are not compared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Case {
    /// The name of its file without the ending.
    #[serde(skip)]
    pub name: String,
    /// One line for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub about: Option<String>,
    /// The plugin's settings.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub settings: Option<Json>,
    /// Granted secrets by name.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub secrets: BTreeMap<String, Secret>,
    /// Further grants.
    #[serde(skip_serializing_if = "is_default")]
    pub grants: Grants,
    /// How the plugin is called.
    #[serde(skip_serializing_if = "is_default")]
    pub call: Call,
    /// Durable pairs that are there already.
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    pub state: BTreeMap<String, String>,
    /// Durable pairs afterwards, all of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub state_after: Option<BTreeMap<String, String>>,
    /// The call as a whole must be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
    /// `check` must answer ok.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub check: Option<Fine>,
    /// `ack` must answer ok.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ack: Option<Fine>,
    /// Granted directories.
    #[serde(rename = "dir", skip_serializing_if = "Vec::is_empty")]
    pub dirs: Vec<Dir>,
    /// Requests that are expected, and their answers.
    #[serde(rename = "exchange", skip_serializing_if = "Vec::is_empty")]
    pub exchanges: Vec<Exchange>,
    /// Records that the plugin is given.
    #[serde(rename = "record", skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<Record>,
    /// Pages that a source is expected to give.
    #[serde(rename = "page", skip_serializing_if = "Vec::is_empty")]
    pub pages: Vec<Page>,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

impl Case {
    /// A case with these settings and nothing else.
    ///
    /// ```
    /// use crossdock_testkit::Case;
    /// let case = Case::new(r#"{ "smallest": 100 }"#).unwrap().record("A-1", r#"{ "cents": 250 }"#);
    /// assert_eq!(case.records.len(), 1);
    /// ```
    ///
    /// # Errors
    /// When the settings are not JSON.
    pub fn new(settings_json: &str) -> Result<Self, CaseError> {
        let settings = serde_json::from_str(settings_json).map_err(|error| {
            CaseError::refused("a case made in code", format!("its settings are not JSON: {error}"))
        })?;
        Ok(Self { name: "case".to_owned(), settings: Some(Json(settings)), ..Self::default() })
    }

    /// The same with one more record: its id, and its payload as text.
    #[must_use]
    pub fn record(mut self, id: impl Into<String>, payload: impl Into<String>) -> Self {
        self.records.push(Record { id: id.into(), text: Some(payload.into()), ..Record::default() });
        self
    }

    /// The same with one more exchange: a request, and the status and body of its answer. The request's origin is
    /// granted.
    #[must_use]
    pub fn exchange(mut self, method: &str, url: &str, status: u16, body: &str) -> Self {
        let request = Request { method: method.to_owned(), url: url.to_owned(), ..Request::default() };
        let answer = Some(Answer { status, text: Some(body.to_owned()), ..Answer::default() });
        self.exchanges.push(Exchange { request, answer, ..Exchange::default() });
        self
    }

    /// The case as a case file.
    ///
    /// # Errors
    /// When something in it has no form in TOML.
    pub fn to_toml(&self) -> Result<String, CaseError> {
        toml::to_string(self).map_err(|error| CaseError::refused(&self.name, error.to_string()))
    }

    /// The settings as JSON text.
    pub(crate) fn settings_json(&self) -> String {
        self.settings.as_ref().map_or_else(|| "{}".to_owned(), |settings| settings.0.to_string())
    }
}

/// A secret that is granted.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, default)]
pub struct Secret {
    /// Its value.
    pub value: String,
    /// Whether the plugin may see it.
    pub reveal: bool,
}

/// What is granted beside directories, secrets and the origins of exchanges.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Grants {
    /// Origins.
    pub http: Vec<String>,
}

/// A granted directory.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Dir {
    /// Its absolute path for the plugin.
    pub guest: String,
    /// Whether it may be written to.
    #[serde(default)]
    pub write: bool,
    /// The files in it, by path.
    #[serde(default)]
    pub files: BTreeMap<String, String>,
    /// All its files afterwards.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub after: Option<BTreeMap<String, String>>,
}

/// How the plugin is called.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Call {
    /// The clock; 2026-01-01T00:00:00Z unless told.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub now: Option<toml::value::Datetime>,
    /// The time of one call.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub time_max_ms: Option<u64>,
    /// The run was asked to stop.
    #[serde(skip_serializing_if = "is_default")]
    pub cancelled: bool,
    /// As the contract has it.
    #[serde(skip_serializing_if = "is_default")]
    pub stop_at_first_failure: bool,
    /// Of a page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_records: Option<u32>,
    /// Of a page.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<u32>,
    /// Where a source begins.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub checkpoint: Option<String>,
}

/// One record.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// Its id.
    pub id: String,
    /// Its content as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Json>,
    /// Its content as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Values beside it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// What is expected of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<Expect>,
    /// What `probe` is expected to say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub probe: Option<Expect>,
    /// What `compensate` is expected to say of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Expect>,
}

impl Record {
    /// The payload's bytes.
    pub(crate) fn bytes(&self) -> Vec<u8> {
        match (&self.payload, &self.text) {
            (Some(payload), _) => payload.0.to_string().into_bytes(),
            (None, text) => text.clone().unwrap_or_default().into_bytes(),
        }
    }
}

/// The word of an outcome.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Word {
    Ok,
    Unchanged,
    Dropped,
    Rejected,
    Retryable,
    Unauthorized,
    Unknown,
    Untouched,
    Applied,
    NotApplied,
    Undone,
}

/// What is expected of one record; what is not named is not compared.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(remote = "Self", deny_unknown_fields, default)]
pub struct Expect {
    /// The outcome.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outcome: Option<Word>,
    /// All output records, as JSON.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub outputs: Option<Vec<Json>>,
    /// All output records, as text.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub texts: Option<Vec<String>>,
    /// Attributes of the first output.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub attributes: Option<BTreeMap<String, String>>,
    /// The id that the other system gave it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub target_id: Option<String>,
    /// Whether there is a receipt, or what it holds.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub receipt: Option<Receipt>,
    /// The failure's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// A part of the failure's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// A part of the failure's detail.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// The failure's pointer.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// When another attempt may be useful.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

/// What is expected of a receipt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged)]
pub enum Receipt {
    /// There is one, or none.
    Present(bool),
    /// It holds this text.
    Holds(String),
}

/// A refusal of a whole call.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Refused {
    /// Which call.
    pub call: Refusing,
    /// What kind of refusal.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kind: Option<crossdock_engine::ports::RefusalKind>,
    /// The failure's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// A part of the failure's message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// A call that can be refused.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Refusing {
    #[default]
    Configure,
    Write,
    Transform,
    Read,
    Check,
}

/// Nothing but ok is expected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum Fine {
    Ok,
}

/// A page that is expected of a source.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Page {
    /// Its records.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub records: Vec<PageRecord>,
    /// What comes after it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more: Option<More>,
    /// It must be refused.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub refused: Option<Refused>,
}

/// What comes after a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
#[allow(missing_docs)]
pub enum More {
    More,
    Idle,
    End,
}

/// A record that a source gives.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct PageRecord {
    /// Its id.
    pub id: String,
    /// Its content as JSON.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub payload: Option<Json>,
    /// Its content as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub text: Option<String>,
    /// Values beside it.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub attributes: BTreeMap<String, String>,
    /// What it is ordered by.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order_key: Option<String>,
    /// It cannot be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub failure: Option<Unreadable>,
}

/// Why a record cannot be read.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Unreadable {
    /// The failure's code.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub code: Option<String>,
    /// A part of its message.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
}

/// Reads a text as a short form of a table, and a table as it is.
macro_rules! text_or_table {
    ($type:ident, $what:literal, $short:expr) => {
        impl<'de> Deserialize<'de> for $type {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                struct Either;
                impl<'de> Visitor<'de> for Either {
                    type Value = $type;
                    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                        f.write_str($what)
                    }
                    fn visit_str<E: Error>(self, text: &str) -> Result<$type, E> {
                        let short: fn(&str) -> Result<$type, E> = $short;
                        short(text)
                    }
                    fn visit_map<M: MapAccess<'de>>(self, map: M) -> Result<$type, M::Error> {
                        $type::deserialize(MapAccessDeserializer::new(map))
                    }
                }
                deserializer.deserialize_any(Either)
            }
        }
        impl Serialize for $type {
            fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                $type::serialize(self, serializer)
            }
        }
    };
}

text_or_table!(Secret, "the secret's value, or a table with `value` and `reveal`", |text| {
    Ok(Secret { value: text.to_owned(), reveal: false })
});
text_or_table!(Expect, "the word of an outcome, or a table with `outcome`", |text| {
    let word = serde::de::value::StrDeserializer::<E>::new(text);
    Ok(Expect { outcome: Some(Word::deserialize(word)?), ..Expect::default() })
});
