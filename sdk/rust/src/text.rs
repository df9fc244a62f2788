//! Bytes that somebody promised to be text.

/// Text that the host, or what looked at it before, promises to be UTF-8. A broken promise is answered with the
/// replacement character, never with undefined behaviour.
pub(crate) fn text_of(bytes: &[u8]) -> &str {
    std::str::from_utf8(bytes).unwrap_or("\u{fffd}")
}
