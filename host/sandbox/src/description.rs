//! What a plugin says of itself, checked.

use crate::admission::{Admitted, Role};
use crate::bindings::roles::describe as wit;
use crate::redact::Redactor;
use crate::text::PluginText;
use thiserror::Error;

/// The longest summary that is kept.
const SUMMARY_MAX_BYTES: usize = 1 << 10;
/// The longest settings schema.
const SCHEMA_MAX_BYTES: usize = 256 << 10;
/// The most wants.
const WANTS_MAX: usize = 64;
/// The most records in one batch that any plugin may ask for.
const BATCH_MAX_RECORDS: u32 = 10_000;

/// What a plugin says of itself breaks the contract.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{rule}")]
pub struct DescriptionError {
    /// Which rule, and what was found.
    pub rule: String,
}

/// One thing that a plugin wants to be granted; the text says what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// A directory to read.
    ReadDir(String),
    /// A directory to write to.
    WriteDir(String),
    /// HTTP requests.
    Http(String),
    /// A secret that the settings name.
    Secret(String),
}

/// What a plugin says of itself, checked and made fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// 1 to 64 of `a-z 0-9 -`.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// One line for people.
    pub summary: String,
    /// What it is there for.
    pub role: Role,
    /// JSON Schema of its settings.
    pub settings_schema: serde_json::Value,
    /// What it wants to be granted.
    pub wants: Vec<Want>,
    /// The most records in one batch.
    pub max_batch: u32,
}

/// Makes what a plugin says of itself fit to be believed and shown.
pub(crate) fn check_description(said: wit::Description, admitted: &Admitted) -> Result<Description, DescriptionError> {
    let refuse = |rule: String| Err(DescriptionError { rule });
    let plain = Redactor::default();
    let line = |text: &str| PluginText::line(text, SUMMARY_MAX_BYTES, &plain).into_string();
    let is_name = (1..=64).contains(&said.name.len())
        && said.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !is_name {
        return refuse(format!("its name {:?} is not 1 to 64 of a-z, 0-9 and -", line(&said.name)));
    }
    if !is_version(&said.version) {
        return refuse(format!("its version {:?} is not a semantic version", line(&said.version)));
    }
    let role = match said.role {
        wit::Role::Source => Role::Source,
        wit::Role::Transformer => Role::Transformer,
        wit::Role::Destination => Role::Destination,
    };
    if role != admitted.role {
        return refuse(format!("it says that it is a {} and exports {}", role.as_str(), admitted.role.as_str()));
    }
    if said.settings_schema.len() > SCHEMA_MAX_BYTES {
        return refuse(format!("its settings schema is longer than {SCHEMA_MAX_BYTES} bytes"));
    }
    let settings_schema: serde_json::Value = match serde_json::from_str(&said.settings_schema) {
        Ok(schema @ (serde_json::Value::Object(_) | serde_json::Value::Bool(_))) => schema,
        Ok(_) => return refuse("its settings schema is neither an object nor a boolean".to_owned()),
        Err(error) => return refuse(format!("its settings schema is not JSON: {error}")),
    };
    if !(1..=BATCH_MAX_RECORDS).contains(&said.max_batch) {
        return refuse(format!("its max-batch {} is not between 1 and {BATCH_MAX_RECORDS}", said.max_batch));
    }
    if said.wants.len() > WANTS_MAX {
        return refuse(format!("it wants {} things; {WANTS_MAX} are allowed", said.wants.len()));
    }
    let wants = said.wants.iter().map(|want| match want {
        wit::Want::ReadDir(text) => Want::ReadDir(line(text)),
        wit::Want::WriteDir(text) => Want::WriteDir(line(text)),
        wit::Want::Http(text) => Want::Http(line(text)),
        wit::Want::Secret(text) => Want::Secret(line(text)),
    });
    let wants = wants.collect();
    let summary = line(&said.summary);
    Ok(Description {
        name: said.name,
        version: said.version,
        summary,
        role,
        settings_schema,
        wants,
        max_batch: said.max_batch,
    })
}

/// Three numbers, and perhaps more after `-` or `+`.
fn is_version(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'+');
    let (numbers, rest) = text.split_at(text.find(['-', '+']).unwrap_or(text.len()));
    let numbers: Vec<_> = numbers.split('.').collect();
    text.len() <= 64
        && numbers.len() == 3
        && numbers.iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        && rest.len() != 1
        && rest.bytes().all(is_word)
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut wit::Description), expected: Result<(), &str>) {
        let mut said = wit::Description {
            name: "map".to_owned(),
            version: "0.1.0".to_owned(),
            summary: "maps\nfields".to_owned(),
            role: wit::Role::Transformer,
            settings_schema: "{}".to_owned(),
            wants: vec![wit::Want::Http("the ERP".to_owned())],
            max_batch: 500,
        };
        change(&mut said);
        let admitted = Admitted {
            role: Role::Transformer,
            compensate: false,
            probe: false,
            imports: Vec::new(),
            contract: crossdock_model::ContractVersion::OURS,
            structures_max_bytes: 0,
        };
        match (check_description(said, &admitted), expected) {
            (Ok(description), Ok(())) => assert_eq!(description.summary, "maps\\nfields"),
            (Err(error), Err(text)) => assert!(error.rule.contains(text), "{error}"),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn descriptions_are_checked() {
        check(|_| {}, Ok(()));
        check(|d| d.version = "1.20.3-rc.1+b7".to_owned(), Ok(()));
        check(|d| d.name = "Map".to_owned(), Err("name"));
        check(|d| d.name = String::new(), Err("name"));
        check(|d| d.version = "1.0".to_owned(), Err("version"));
        check(|d| d.version = "1.0.0-".to_owned(), Err("version"));
        check(|d| d.version = "1.0.x".to_owned(), Err("version"));
        check(|d| d.role = wit::Role::Source, Err("exports transformer"));
        check(|d| d.settings_schema = "{".to_owned(), Err("not JSON"));
        check(|d| d.settings_schema = "[]".to_owned(), Err("neither"));
        check(|d| d.max_batch = 0, Err("max-batch"));
        check(|d| d.max_batch = 10_001, Err("max-batch"));
        check(|d| d.wants = vec![wit::Want::Http(String::new()); 65], Err("wants"));
    }
}
