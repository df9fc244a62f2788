//! What every plugin's file carries: that it is a component, and the contract it was built for.

/// The version of the contract that this version of Crossdock builds for.
pub(crate) const CONTRACT: &str = "0.1.0";

/// The custom section that says it. The host reads it before it compiles anything.
const SECTION: &str = "crossdock:contract";

/// How a component begins, as against a module: magic number, version 13, layer 1.
const COMPONENT: [u8; 8] = [0, b'a', b's', b'm', 13, 0, 1, 0];
const MODULE: [u8; 8] = [0, b'a', b's', b'm', 1, 0, 0, 0];

/// The component with the section; a file that has it already is left as it is. The error says what was found instead.
pub(crate) fn with_contract(mut component: Vec<u8>) -> Result<Vec<u8>, &'static str> {
    if component.starts_with(&MODULE) {
        return Err("a module was made, not a component");
    }
    if !component.starts_with(&COMPONENT) {
        return Err("what was made is not WebAssembly");
    }
    if !has_section(&component, SECTION) {
        let mut body = Vec::new();
        push_leb(&mut body, SECTION.len());
        body.extend_from_slice(SECTION.as_bytes());
        body.extend_from_slice(CONTRACT.as_bytes());
        component.push(0);
        push_leb(&mut component, body.len());
        component.extend_from_slice(&body);
    }
    Ok(component)
}

/// Whether there is a custom section of this name at the top, or in a module or component directly within: wit-component
/// leaves those of a module where they were.
fn has_section(component: &[u8], name: &str) -> bool {
    let mut rest = component.get(COMPONENT.len()..).unwrap_or_default();
    while let [kind, tail @ ..] = rest {
        let Some((size, tail)) = leb(tail) else { return false };
        let Some((body, behind)) = tail.split_at_checked(size) else { return false };
        let found = match kind {
            0 => leb(body).and_then(|(len, text)| text.get(..len)) == Some(name.as_bytes()),
            // A core module, a component.
            1 | 4 => has_section(body, name),
            _ => false,
        };
        if found {
            return true;
        }
        rest = behind;
    }
    false
}

fn leb(bytes: &[u8]) -> Option<(usize, &[u8])> {
    let mut value = 0_usize;
    for (at, byte) in bytes.iter().enumerate().take(5) {
        value |= usize::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((value, bytes.get(at + 1..)?));
        }
    }
    None
}

fn push_leb(out: &mut Vec<u8>, mut value: usize) {
    while value >= 0x80 {
        out.push((value & 0x7f) as u8 | 0x80);
        value >>= 7;
    }
    out.push(value as u8);
}
