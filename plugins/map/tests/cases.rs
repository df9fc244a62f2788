//! Runs the cases: each file of `cases/` has settings, records, and what is to become of them.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::disallowed_methods)] // The cases are files; the plugin itself reads none.

use crossdock_sdk::testing::{self, Outcome};
use map::Map;
use serde::Deserialize;
use std::path::Path;

/// A file of cases.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// Why it is there.
    about: String,
    settings: toml::Table,
    /// The settings are to be refused, at this JSON pointer, with this in the message.
    refused: Option<Refused>,
    #[serde(default, rename = "record")]
    records: Vec<Expected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Refused {
    pointer: String,
    message: String,
}

/// A record, and one of the three things that can become of it.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    r#in: String,
    out: Option<String>,
    #[serde(default)]
    dropped: bool,
    rejected: Option<Rejected>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rejected {
    code: String,
    pointer: Option<String>,
    detail: Option<String>,
    message: Option<String>,
}

fn check(path: &Path) {
    let name = path.file_name().unwrap().to_string_lossy().into_owned();
    let case: Case = toml::from_str(&std::fs::read_to_string(path).unwrap()).unwrap_or_else(|e| panic!("{name}: {e}"));
    let name = format!("{name} ({})", case.about);
    let settings = serde_json::to_string(&case.settings).unwrap();
    let made = testing::transformer::<Map>(&settings);
    if let Some(refused) = case.refused {
        let error = made.err().unwrap_or_else(|| panic!("{name}: the settings were not refused"));
        assert_eq!(error.failure().pointer_text(), Some(&refused.pointer[..]), "{name}: {error}");
        assert!(error.failure().message().contains(&refused.message), "{name}: {error}");
        assert!(case.records.is_empty(), "{name}: refused settings see no records");
        return;
    }
    assert!(!case.records.is_empty(), "{name}: no records");
    let mut map = made.unwrap_or_else(|error| panic!("{name}: {error}"));
    let given: Vec<_> = case.records.iter().map(|record| testing::record(&record.r#in, &record.r#in)).collect();
    for (answer, expected) in testing::transform(&mut map, &given).into_iter().zip(case.records) {
        let name = format!("{name}: {}", expected.r#in);
        let expected_outcome = match (&expected.out, expected.dropped, &expected.rejected) {
            (Some(_), false, None) => Outcome::Ok,
            (None, true, None) => Outcome::Dropped,
            (None, false, Some(_)) => Outcome::Rejected,
            _ => panic!("{name}: exactly one of out, dropped and rejected"),
        };
        assert_eq!(answer.outcome, expected_outcome, "{name}: {:?} {:?}", answer.failure, answer.outputs);
        if let Some(out) = expected.out {
            // Compared as text: digits and order count.
            assert_eq!(answer.outputs.len(), 1, "{name}");
            assert_eq!(answer.outputs[0].text(), out, "{name}");
            serde_json::from_str::<serde_json::Value>(&out).unwrap_or_else(|error| panic!("{name}: {error}"));
        }
        if let Some(rejected) = expected.rejected {
            let failure = answer.failure.unwrap();
            assert_eq!(failure.code(), rejected.code, "{name}: {failure}");
            assert_eq!(failure.pointer_text(), rejected.pointer.as_deref(), "{name}: {failure}");
            assert_eq!(failure.detail_text(), rejected.detail.as_deref(), "{name}: {failure}");
            let message = rejected.message.unwrap_or_default();
            assert!(failure.message().contains(&message), "{name}: {failure}");
        }
    }
}

#[test]
fn cases() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases");
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    assert!(files.len() > 5, "the cases are missing");
    files.iter().for_each(|file| check(file));
}

#[test]
fn the_schema_tells_what_the_settings_are() {
    let schema = testing::schema::<map::Settings>();
    assert_eq!(schema["additionalProperties"], false);
    assert_eq!(schema["required"], serde_json::json!(["fields"]));
    assert_eq!(schema["$defs"]["Rule"]["additionalProperties"], false);
}
