//! What plugins read in answers of services: JSON by pointer, and how long they are asked to wait.

use super::parts;
use crate::Target;
use crossdock_sdk::rest::{Pointer, retry_after, scalar_text};
use serde_json::Value;

/// A JSON pointer, and the text that it points into.
pub(super) const POINTER: Target = Target {
    name: "pointer",
    more_seeds: &[],
    words: &[
        "/",
        "~0",
        "~1",
        "\n---\n",
        "{\"a\":",
        "[",
        "]",
        "}",
        ",",
        "null",
        "1e400",
        "\"\\ud800\"",
        "\\u0000",
        "/0",
        "/-",
    ],
    short_run: 20_000,
    run: pointer,
};

/// The value of the header `Retry-After`.
pub(super) const RETRY_AFTER: Target = Target {
    name: "retry-after",
    more_seeds: &[],
    words: &["Sun, ", "06 Nov 1994 ", "08:49:37", " GMT", "9999", "31 Feb 2000", "99999999999999999999", "-1", ":"],
    short_run: 20_000,
    run: |bytes| retried(&String::from_utf8_lossy(bytes)),
};

fn pointer(bytes: &[u8]) {
    let [pointer, text] = parts(bytes)[..] else { return };
    let Ok(pointer) = std::str::from_utf8(pointer) else { return };
    let Ok(read) = Pointer::parse(pointer) else { return };
    assert_eq!(read.to_string(), pointer, "a pointer is shown as it was written");
    assert_eq!(Pointer::parse(&read.to_string()).as_ref(), Ok(&read));
    let found = read.find(text);
    let Ok(found) = found else { return };
    // serde_json reads pointers too; it keeps the last of equal keys, as ours does, and refuses numbers that are too
    // large for it.
    let Ok(whole) = serde_json::from_slice::<Value>(text) else { return };
    let theirs = whole.pointer(pointer);
    let ours = found.map(|raw| serde_json::from_str::<Value>(raw.get()).expect("what is found is JSON"));
    assert_eq!(ours.as_ref(), theirs, "at {pointer}");
    if let Some(raw) = found {
        let is_scalar = theirs.is_some_and(|value| value.is_string() || value.is_number() || value.is_boolean());
        assert_eq!(scalar_text(raw).is_some(), is_scalar, "{raw}");
    }
}

fn retried(value: &str) {
    for now_ms in [0, 1_700_000_000_000, u64::MAX] {
        let Some(wait) = retry_after(value, now_ms) else { continue };
        let is_number = value.trim().bytes().all(|byte| byte.is_ascii_digit());
        if is_number {
            assert_eq!(value.trim().parse(), Ok(wait.as_secs()), "{value:?}");
        } else {
            // No date is later than the end of the year 9999.
            assert!(wait.as_secs() <= 253_402_300_800, "{value:?} means {wait:?}");
        }
    }
}
