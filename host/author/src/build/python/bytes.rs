//! WebAssembly's way to write numbers, names and sections.

/// Appends a number.
pub(super) fn leb(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}

/// Appends a text with its length in front.
pub(super) fn name(out: &mut Vec<u8>, text: &str) {
    leb(out, text.len());
    out.extend_from_slice(text.as_bytes());
}

/// Appends a section.
pub(super) fn section(out: &mut Vec<u8>, id: u8, body: &[u8]) {
    out.push(id);
    leb(out, body.len());
    out.extend_from_slice(body);
}
