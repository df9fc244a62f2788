//! A page of the book that nobody wrote by hand.

use serde_json::{Value, json};

/// A page with its title in the table of contents and its place below the book's folder.
#[derive(Debug, Clone)]
pub(crate) struct Page {
    pub(crate) title: String,
    pub(crate) path: String,
    pub(crate) text: String,
}

impl Page {
    /// As mdBook wants it, with the pages below it.
    pub(crate) fn chapter(self, number: &[u32], parents: &[&str], below: Vec<Page>) -> Value {
        let below_of = [parents, &[self.title.as_str()]].concat();
        let sub_items: Vec<Value> = (1..)
            .zip(below)
            .map(|(place, page)| page.chapter(&[number, &[place]].concat(), &below_of, Vec::new()))
            .collect();
        json!({ "Chapter": {
            "name": self.title,
            "content": self.text,
            "number": number,
            "sub_items": sub_items,
            "path": self.path,
            "source_path": null,
            "parent_names": parents,
        } })
    }
}
