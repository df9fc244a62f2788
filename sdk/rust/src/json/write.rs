//! Text as JSON.

use super::scan::special;

/// Writes text as a JSON string, quotes and all. Only what JSON does not allow is escaped.
pub fn push_text(out: &mut Vec<u8>, text: &str) {
    out.reserve(text.len() + 2);
    out.push(b'"');
    let mut rest = text.as_bytes();
    loop {
        let left = special(rest);
        out.extend_from_slice(rest.get(..rest.len() - left.len()).unwrap_or_default());
        let [byte, tail @ ..] = left else { break };
        escape(out, *byte);
        rest = tail;
    }
    out.push(b'"');
}

#[cold]
fn escape(out: &mut Vec<u8>, byte: u8) {
    let short = match byte {
        b'"' | b'\\' => byte,
        b'\n' => b'n',
        b'\r' => b'r',
        b'\t' => b't',
        0x08 => b'b',
        0x0c => b'f',
        _ => {
            let hex = |nibble: u8| char::from_digit(u32::from(nibble), 16).unwrap_or('0') as u8;
            return out.extend_from_slice(&[b'\\', b'u', b'0', b'0', hex(byte >> 4), hex(byte & 15)]);
        }
    };
    out.extend_from_slice(&[b'\\', short]);
}
