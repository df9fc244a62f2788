//! Where in the list the source is: what its checkpoint holds.

use crossdock_sdk::{CallError, Failure};
use serde::{Deserialize, Serialize};

const VERSION: u32 = 1;

/// What all ids together may have that share the last value of a list that goes on from run to run.
const TIES_MAX_BYTES: usize = 32 * 1024;

/// A position. The beginning, and the end of a list that each run asks for anew, have nothing in it but the count.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Position {
    v: u32,
    /// Rises with each page, so that the checkpoint moves even where the list begins again.
    n: u64,
    /// The page of the list: its address, its number, or the value that asks for it. Nothing is the first page.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) page: Option<String>,
    /// The last record that was given of that page, if there are more.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) after: Option<String>,
    /// How far a list was read that goes on from run to run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Since>,
}

/// How far a list was read that goes on from run to run.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Since {
    /// The value of the last record.
    pub(crate) value: String,
    /// The ids of all records with this value, because the API may give them again.
    pub(crate) ids: Vec<String>,
}

/// Only to see the version of one that cannot be read.
#[derive(Deserialize)]
struct Versioned {
    v: u32,
}

impl Position {
    /// The beginning.
    pub(crate) fn beginning() -> Self {
        Self { v: VERSION, n: 0, page: None, after: None, since: None }
    }

    /// The beginning of the same list, asked for anew.
    pub(crate) fn anew(&self) -> Self {
        Self { n: self.n, since: self.since.clone(), ..Self::beginning() }
    }

    /// A page of the same list.
    pub(crate) fn on_page(self, page: String) -> Self {
        Self { page: Some(page), ..self }
    }

    /// Behind a record of the same page.
    pub(crate) fn after(self, id: String) -> Self {
        Self { after: Some(id), ..self }
    }

    /// A list that goes on from run to run, read so far.
    pub(crate) fn read_to(self, since: Option<Since>) -> Self {
        Self { since, ..self }
    }

    /// The same, counted on from the position before.
    pub(crate) fn counted_on(self, before: &Self) -> Self {
        Self { n: before.n.saturating_add(1), ..self }
    }

    /// Reads a checkpoint.
    ///
    /// # Errors
    /// It is not one of ours, or one of a later version.
    pub(crate) fn decode(text: &[u8]) -> Result<Self, CallError> {
        let why = match (serde_json::from_slice::<Self>(text), serde_json::from_slice::<Versioned>(text)) {
            (Ok(position), _) if position.v == VERSION => return Ok(position),
            (_, Ok(Versioned { v })) if v != VERSION => format!(
                "has version {v}, this http-source reads version {VERSION}: use the version of the plugin that wrote it"
            ),
            (Err(error), _) => {
                format!("was not written by http-source ({error}): was the route's source another plugin before?")
            }
            (Ok(_), _) => "was not written by http-source".to_owned(),
        };
        Err(CallError::checkpoint_refused(Failure::new("checkpoint-refused", format!("the checkpoint {why}"))))
    }

    /// Writes a checkpoint.
    ///
    /// # Errors
    /// It cannot be written.
    pub(crate) fn encode(&self) -> Result<Vec<u8>, CallError> {
        serde_json::to_vec(self)
            .map_err(|error| CallError::internal(format!("the checkpoint could not be written: {error}")))
    }
}

impl Since {
    /// The same after one more record.
    ///
    /// # Errors
    /// Too many records share a value.
    pub(crate) fn passed(since: Option<Self>, value: &str, id: &str) -> Result<Self, CallError> {
        let mut since = since
            .filter(|since| since.value == value)
            .unwrap_or_else(|| Self { value: value.to_owned(), ids: Vec::new() });
        since.ids.push(id.to_owned());
        // Each id stands between quotes and commas.
        if since.ids.iter().map(|id| id.len() + 3).sum::<usize>() > TIES_MAX_BYTES {
            let message = format!(
                "{} records share the value `{value}`, so that the checkpoint cannot say which of them were read: \
                 take a value that tells records apart better",
                since.ids.len()
            );
            let failure = Failure::new("too-many-at-one-value", message).pointer("/next/since/at");
            return Err(CallError::invalid_settings(failure));
        }
        Ok(since)
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    #[test]
    fn what_is_written_is_read_and_small() {
        let since = Since::passed(None, "2026-01-02", "A").unwrap();
        let since = Since::passed(Some(since), "2026-01-02", "B").unwrap();
        let positions = [
            (Position::beginning().counted_on(&Position::beginning()), r#"{"v":1,"n":1}"#),
            (Position::beginning().on_page("2".into()).after("A".into()), r#"{"v":1,"n":0,"page":"2","after":"A"}"#),
            (
                Position::beginning().read_to(Some(since)),
                r#"{"v":1,"n":0,"since":{"value":"2026-01-02","ids":["A","B"]}}"#,
            ),
        ];
        for (position, expected) in positions {
            let text = position.encode().unwrap();
            assert_eq!(String::from_utf8_lossy(&text), expected);
            assert_eq!(Position::decode(&text).unwrap(), position);
        }
    }

    #[test]
    fn strangers_are_refused() {
        for (text, expected) in [
            (r#"{"v":2,"n":1,"more":[]}"#, "has version 2"),
            (r#"{"v":2,"n":1}"#, "has version 2"),
            (r#"{"v":1,"n":1,"pag":"x"}"#, "not written by http-source"),
            ("{}", "not written by http-source"),
            ("\0", "not written by http-source"),
        ] {
            let error = Position::decode(text.as_bytes()).unwrap_err();
            assert_eq!(error.failure().code(), "checkpoint-refused");
            assert!(error.failure().message().contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn records_of_one_value_have_a_limit() {
        let mut since = None;
        let refused =
            (0..10_000).find_map(|number| match Since::passed(since.take(), "same", &format!("record-{number:05}")) {
                Ok(passed) => {
                    since = Some(passed);
                    None
                }
                Err(error) => Some((number, error)),
            });
        let (number, error) = refused.unwrap();
        assert_eq!(error.failure().code(), "too-many-at-one-value");
        assert!(number > 1_000, "{number}");
    }
}
