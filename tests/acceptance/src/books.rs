//! What the ERP says of itself.

use crate::Purchase;
use anyhow::{Context, Result};
use serde_json::Value;
use std::collections::BTreeMap;

/// The ERP's own books: every request it received, every document it holds.
#[derive(Debug, Clone)]
pub struct Books {
    requests: Vec<Value>,
    documents: BTreeMap<String, Vec<Value>>,
}

impl Books {
    pub(crate) fn read(ledger: &Value) -> Result<Self> {
        let list = |name: &str| ledger[name].as_array().cloned().with_context(|| format!("the ERP shows no {name}"));
        let mut documents: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for document in list("documents")?.into_iter().filter(|document| document["cancelled"].is_null()) {
            let reference = document["reference"].as_str().context("a document without reference")?;
            documents.entry(reference.to_owned()).or_default().push(document);
        }
        Ok(Self { requests: list("requests")?, documents })
    }

    /// The requests that could have booked something, about one reference or all.
    #[must_use]
    pub fn posts(&self, reference: Option<&str>) -> Vec<&Value> {
        let is_meant = |request: &&Value| {
            request["method"] == "POST" && reference.is_none_or(|reference| request["reference"] == reference)
        };
        self.requests.iter().filter(is_meant).collect()
    }

    /// How many documents stand under a reference.
    #[must_use]
    pub fn documents(&self, reference: &str) -> usize {
        self.documents.get(reference).map_or(0, Vec::len)
    }

    /// The references that have documents.
    pub fn references(&self) -> impl Iterator<Item = &str> {
        self.documents.keys().map(String::as_str)
    }

    /// Holds that these purchases are booked, each once and as they should be, and no others.
    #[track_caller]
    pub fn hold<'a>(&self, expected: impl IntoIterator<Item = &'a Purchase>) {
        let expected: BTreeMap<&str, &Purchase> = expected.into_iter().map(|p| (p.id.as_str(), p)).collect();
        let missing: Vec<_> = expected.keys().filter(|id| self.documents(id) == 0).collect();
        let twice: Vec<_> = self.documents.iter().filter(|(_, list)| list.len() > 1).map(|(id, _)| id).collect();
        let strange: Vec<_> = self.references().filter(|id| !expected.contains_key(id)).collect();
        assert!(
            missing.is_empty() && twice.is_empty() && strange.is_empty(),
            "the ERP misses {missing:?}, holds twice {twice:?}, holds what it should not {strange:?}"
        );
        for (reference, list) in &self.documents {
            let (document, purchase) = (&list[0]["document"], expected[reference.as_str()]);
            let amount = match &document["amount"] {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            assert_eq!(
                (document["customer"].as_str(), document["date"].as_str(), document["quantity"].as_u64(), amount),
                (
                    Some(purchase.customer.as_str()),
                    Some(purchase.date.as_str()),
                    Some(purchase.quantity),
                    purchase.amount.clone()
                ),
                "the document of {reference}"
            );
        }
    }
}
