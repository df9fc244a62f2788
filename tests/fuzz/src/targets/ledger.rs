//! What the ledger reads back from its file, and where a list goes on.

use crate::Target;
use crossdock_ledger::Cursor;
use crossdock_ledger::fuzzing::{Form, rewrite};

/// A stored value; the first byte says of which form.
pub(super) const STORED: Target = Target {
    name: "stored",
    more_seeds: &[],
    words: &["order-", "T", "R", "erp", "will-be-put-through"],
    short_run: 20_000,
    run: stored,
};

/// The text that `--after` is given.
pub(super) const CURSOR: Target = Target {
    name: "cursor",
    more_seeds: &[],
    words: &["r.", "t.", "c.", "f.", "e.", "u.", ".", "-1", "9223372036854775807", "9223372036854775808", "+1", "00"],
    short_run: 20_000,
    run: cursor,
};

fn stored(bytes: &[u8]) {
    let Some((form, bytes)) = bytes.split_first() else { return };
    let form = match form % 5 {
        0 => Form::Chunk,
        1 => Form::Plan,
        2 => Form::Attributes,
        3 => Form::Applied,
        _ => Form::Column,
    };
    if let Ok(written) = rewrite(form, bytes) {
        let again = rewrite(form, &written).expect("what was written is read");
        assert!(again == written, "what is read and written again stays the same");
    }
}

fn cursor(bytes: &[u8]) {
    let Ok(text) = std::str::from_utf8(bytes) else { return };
    let Ok(cursor) = text.parse::<Cursor>() else { return };
    let shown = cursor.to_string();
    assert_eq!(shown.parse::<Cursor>().ok(), Some(cursor), "{text} is shown as {shown}");
}
