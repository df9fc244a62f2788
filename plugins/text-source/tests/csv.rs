//! Compares what is read of any CSV with what the `csv` crate reads of it.
#![allow(clippy::unwrap_used, clippy::panic, clippy::disallowed_methods)]

use crossdock_sdk::{Limits, testing};
use proptest::prelude::*;
use std::fs;
use text_source::TextSource;

/// The records as the `csv` crate reads them, of those with three fields.
fn expected(text: &str) -> Vec<[String; 3]> {
    let mut reader = csv::ReaderBuilder::new().has_headers(false).flexible(true).from_reader(text.as_bytes());
    let three = |record: csv::StringRecord| {
        let fields: Vec<String> = record.iter().map(str::to_owned).collect();
        <[String; 3]>::try_from(fields).ok()
    };
    reader.records().filter_map(|record| three(record.unwrap())).collect()
}

/// Nothing if a quote is not closed: then the `csv` crate takes everything behind it as one field, and we do not.
fn found(text: &str, max_records: u32) -> Option<Vec<[String; 3]>> {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.csv");
    fs::write(&file, text).unwrap();
    let settings = serde_json::json!({ "files": file, "format": "csv", "columns": ["a", "b", "c"] });
    let mut source: TextSource = testing::source(settings).unwrap();
    let pages = testing::read_all(&mut source, Limits { max_records, max_bytes: 1 << 20 }).unwrap();
    let records: Vec<_> = pages.into_iter().flat_map(|page| page.records).collect();
    let is =
        |record: &testing::ReadRecord, code: &str| record.failure.as_ref().is_some_and(|found| found.code() == code);
    if records.iter().any(|record| is(record, "quote-not-closed")) {
        return None;
    }
    let fields = |record: testing::ReadRecord| {
        let object: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(&record.payload).unwrap();
        ["a", "b", "c"].map(|name| object[name].as_str().unwrap().to_owned())
    };
    Some(records.into_iter().filter(|record| !is(record, "wrong-number-of-fields")).map(fields).collect())
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::default() })]

    /// No lone carriage returns: the `csv` crate ends a record there, and we do not.
    #[test]
    fn any_text(parts in prop::collection::vec(prop::sample::select(vec!["a", "ü", "\"", "\"\"", ",", "\n", "\r\n", "\t", "\\", "\",\""]), 0..40), max_records in 1_u32..5) {
        let text = parts.concat();
        if let Some(found) = found(&text, max_records) {
            prop_assert_eq!(found, expected(&text), "{:?}", text);
        }
    }

    /// What the `csv` crate writes is read as it was.
    #[test]
    fn any_fields(records in prop::collection::vec(prop::array::uniform3(".{0,6}|[\"\r\n,]{0,6}"), 0..10), max_records in 1_u32..5) {
        let mut writer = csv::WriterBuilder::new().quote_style(csv::QuoteStyle::Always).from_writer(Vec::new());
        for record in &records {
            writer.write_record(record).unwrap();
        }
        let text = String::from_utf8(writer.into_inner().unwrap()).unwrap();
        prop_assert_eq!(found(&text, max_records), Some(records));
    }
}
