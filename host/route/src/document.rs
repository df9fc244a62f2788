//! From text to a TOML document, or to all its mistakes of syntax.

use crate::codes;
use crate::mistake::{Mistake, Mistakes, SourceText, Span};
use crate::units;
use std::sync::Arc;
use toml::Spanned;
use toml::de::DeTable;

/// The most bytes that a route or project file may have.
pub const FILE_BYTES_MAX: usize = 1 << 20;

/// The document in a text. While the syntax is wrong nothing else is said: what a broken line was meant to
/// be would be a guess.
///
/// # Errors
/// When the text is too large, or is not TOML.
pub(crate) fn document(source: &Arc<SourceText>) -> Result<Spanned<DeTable<'_>>, Mistakes> {
    let text = &source.text;
    if text.len() > FILE_BYTES_MAX {
        let message =
            format!("the file has {} bytes, more than {}", text.len(), units::show_bytes(FILE_BYTES_MAX as u64));
        let fix = "move what makes it large out of the settings, or split the route";
        Mistakes::check(source, vec![Mistake::new(codes::TOO_LARGE, message).with_fix(fix)])?;
    }
    let (table, errors) = DeTable::parse_recoverable(text);
    Mistakes::check(source, errors.iter().map(mistake).collect())?;
    Ok(table)
}

fn mistake(error: &toml::de::Error) -> Mistake {
    let (what, hint) = match error.message().split_once(", expected ") {
        Some((what, wanted)) => (what, Some(format!("expected here: {wanted}"))),
        None => (error.message(), None),
    };
    let fix = match (what, hint) {
        (what, _) if what.contains("must be quoted") => "put it in quotes".to_owned(),
        ("duplicate key", _) => "write each key once; keys of a table belong below its own header".to_owned(),
        (_, Some(hint)) => hint,
        _ => "correct it as TOML 1.0 (https://toml.io) wants it".to_owned(),
    };
    Mistake::new(codes::SYNTAX, format!("this is not TOML: {what}"))
        .at(error.span().map(Span::from), "here")
        .with_fix(fix)
}
