//! Where each value of a file stands, for mistakes that are found after reading it.

use crate::mistake::Span;
use toml::Spanned;
use toml::de::{DeTable, DeValue};

/// The places of a value, its key and everything within it.
#[derive(Debug)]
pub(crate) struct SpanTree {
    key: Option<Span>,
    value: Span,
    within: Vec<(String, SpanTree)>,
}

impl SpanTree {
    pub(crate) fn of_document(table: &Spanned<DeTable<'_>>) -> Self {
        Self { key: None, value: table.span().into(), within: of_table(table.get_ref()) }
    }

    /// Whether there is a value at this RFC 6901 pointer.
    pub(crate) fn has(&self, pointer: &str) -> bool {
        let mut here = Some(self);
        for part in pointer.split('/').skip(1) {
            let name = part.replace("~1", "/").replace("~0", "~");
            here = here.and_then(|here| here.within.iter().find(|(n, _)| *n == name)).map(|(_, inner)| inner);
        }
        here.is_some()
    }

    /// The place of the value at an RFC 6901 pointer, or of the nearest value around it that exists.
    /// With `key`, the place of its key, if it has one.
    pub(crate) fn nearest(&self, pointer: &str, key: bool) -> Span {
        let mut here = self;
        for part in pointer.split('/').skip(1) {
            let name = part.replace("~1", "/").replace("~0", "~");
            match here.within.iter().find(|(n, _)| *n == name) {
                Some((_, inner)) => here = inner,
                // What is not there is best shown by the name of what should hold it.
                None => return here.key.unwrap_or(here.value),
            }
        }
        if key { here.key.unwrap_or(here.value) } else { here.value }
    }
}

fn of_table(table: &DeTable<'_>) -> Vec<(String, SpanTree)> {
    table.iter().map(|(key, value)| (key.get_ref().to_string(), of_value(value, Some(key.span().into())))).collect()
}

fn of_value(value: &Spanned<DeValue<'_>>, key: Option<Span>) -> SpanTree {
    let within = match value.get_ref() {
        DeValue::Table(table) => of_table(table),
        DeValue::Array(list) => {
            list.iter().enumerate().map(|(i, value)| (i.to_string(), of_value(value, None))).collect()
        }
        _ => Vec::new(),
    };
    SpanTree { key, value: value.span().into(), within }
}
