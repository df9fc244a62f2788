//! JSON by its text: for plugins that look at a few fields of a record and pass the rest on as it is.
//!
//! [`Record::json`](crate::Record::json) turns a record into your own type, which is the simplest. A plugin that handles
//! millions of records can do without that: [`Value::parse`] checks once that a payload is JSON, without making anything
//! of it, and everything found in it afterwards is a piece of that text. Numbers keep their digits, texts their escapes,
//! and nothing is copied.
//!
//! ```
//! use crossdock_sdk::json::{Kind, Value};
//!
//! let order = Value::parse(br#"{ "id": "A-1", "total": 12.50, "lines": [{ "sku": "x" }, { "sku": "y" }] }"#)?;
//! assert_eq!(order.get("id").and_then(|id| id.text()).as_deref(), Some("A-1"));
//! assert_eq!(order.get("total").map(|total| total.raw()), Some("12.50"));
//! let lines = order.get("lines").filter(|lines| lines.kind() == Kind::List);
//! let skus: Vec<_> = lines.into_iter().flat_map(|lines| lines.elements()).filter_map(|line| line.get("sku")).collect();
//! assert_eq!(skus.len(), 2);
//! assert!(Value::parse(b"{ \"id\": }").is_err());
//! # Ok::<(), crossdock_sdk::json::Invalid>(())
//! ```

mod members;
mod scan;
mod typed;
mod value;
mod write;

pub use members::{Member, Members, Object};
pub use scan::Invalid;
pub(crate) use typed::{parse, pointer, without_place};
pub use value::{Elements, Kind, Value};
pub use write::push_text;
