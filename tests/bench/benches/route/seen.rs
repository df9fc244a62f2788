//! What somebody has written, looked at by one who did not write it.

use anyhow::{Context as _, Result, ensure};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fs::File;
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::io::{BufRead as _, BufReader};
use std::path::Path;

/// What a file of documents holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Documents {
    pub(crate) documents: u64,
    /// The sum of their amounts.
    pub(crate) total: String,
    /// Of all documents in their order, whatever the spelling of their JSON and what stands around them.
    pub(crate) content: u64,
    /// Of the file's bytes.
    pub(crate) bytes: u64,
}

/// What a ledger holds: runs, batches, records, records in chunks.
pub(crate) type Kept = (u64, u64, u64, u64);

/// Reads documents, one a line; those of file-destination stand in an envelope.
pub(crate) fn documents(path: &Path) -> Result<Documents> {
    let file = File::open(path).with_context(|| format!("opening {}", path.display()))?;
    let (mut documents, mut total) = (0, Decimal::ZERO);
    let (mut content, mut bytes) = (DefaultHasher::new(), DefaultHasher::new());
    for line in BufReader::with_capacity(1 << 18, file).lines() {
        let line = line?;
        line.hash(&mut bytes);
        let mut document: Value = serde_json::from_str(&line).context("reading a document")?;
        if let Some(record) = document.get_mut("record") {
            document = record.take();
        }
        let amount = document.get("amount").and_then(Value::as_str).context("a document has no amount")?;
        total += Decimal::from_str_exact(amount)?;
        documents += 1;
        same_numbers(&mut document);
        document.to_string().hash(&mut content);
    }
    Ok(Documents { documents, total: total.to_string(), content: content.finish(), bytes: bytes.finish() })
}

/// 19 and 19.0 are the same number.
fn same_numbers(value: &mut Value) {
    match value {
        Value::Number(number) => *value = number.as_f64().into(),
        Value::Array(values) => values.iter_mut().for_each(same_numbers),
        Value::Object(members) => members.values_mut().for_each(same_numbers),
        Value::Null | Value::Bool(_) | Value::String(_) => {}
    }
}

/// What a ledger holds, if it verifies.
pub(crate) fn ledger(data: &Path) -> Result<Kept> {
    let report = crossdock_ledger::verify(data)?;
    ensure!(report.violations.is_empty(), "the ledger does not verify: {report:?}");
    Ok((report.runs, report.batches, report.records, report.chunk_records))
}
