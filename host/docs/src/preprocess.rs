//! What mdBook asks for before it sets the book: the same book, with our pages added.

use crate::page::Page;
use crate::{code_pages, wit_pages};
use anyhow::{Context as _, Result};
use serde_json::{Value, json};
use std::path::Path;

/// Adds the generated pages to a book as mdBook hands it over: a pair of its context and the book.
///
/// # Errors
/// When it is no such pair, or the contract cannot be read.
pub fn preprocess(handed_over: Value) -> Result<Value> {
    let Value::Array(pair) = handed_over else { anyhow::bail!("mdBook handed over something else than a pair") };
    let [context, mut book]: [Value; 2] =
        pair.try_into().map_err(|_| anyhow::anyhow!("mdBook handed over something else than a pair"))?;
    let root = context["root"].as_str().context("mdBook did not say where the book is")?;
    let items = book["items"].as_array_mut().context("mdBook handed over a book without items")?;
    let chapters = items.iter().filter(|item| item.get("Chapter").is_some()).count();
    let mut number = u32::try_from(chapters).context("counting the chapters")?;
    items.push(json!({ "PartTitle": "Reference" }));
    for pages in [wit_pages::pages(&Path::new(root).join("../../wit"))?, code_pages::pages()] {
        number += 1;
        let mut pages: std::vec::IntoIter<Page> = pages.into_iter();
        if let Some(first) = pages.next() {
            items.push(first.chapter(&[number], &[], pages.collect()));
        }
    }
    Ok(book)
}
