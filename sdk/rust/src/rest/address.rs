//! Settings that say where an API is and how it is spoken to.

use crate::failure::{CallError, Failure};

/// A mistake in the settings, at a place in them that an RFC 6901 pointer names.
#[must_use]
pub fn invalid_setting(pointer: &str, problem: impl Into<String>) -> CallError {
    CallError::invalid_settings(Failure::new("invalid-settings", problem).pointer(pointer))
}

/// The setting `base`: scheme, host, perhaps a port and a path. Answers without `/` at its end.
///
/// # Errors
/// It cannot be the base of addresses, or holds what belongs elsewhere: credentials, a query, placeholders.
pub fn base(base: &str) -> Result<String, CallError> {
    let refuse =
        |problem: &str| Err(invalid_setting("/base", format!("`{base}` cannot be the base of addresses: {problem}")));
    let Some(rest) = base.strip_prefix("https://").or_else(|| base.strip_prefix("http://")) else {
        return refuse("it must begin with `http://` or `https://`");
    };
    let host = rest.split('/').next().unwrap_or_default();
    if host.is_empty() {
        return refuse("there is no host in it");
    }
    if host.contains('@') {
        return refuse("credentials belong into `auth`");
    }
    if rest.contains(['?', '#']) {
        return refuse("a query belongs into `path`");
    }
    if rest.contains("{{") || !rest.bytes().all(|byte| byte.is_ascii_graphic()) {
        return refuse("it must be plain text without blanks and placeholders");
    }
    Ok(base.trim_end_matches('/').to_owned())
}

/// Checks the name of a header that a setting names.
///
/// # Errors
/// It is no name of a header, or of one that the host alone sets.
pub fn check_header(pointer: &str, name: &str) -> Result<(), CallError> {
    const BY_HOST: [&str; 10] = [
        "connection",
        "content-length",
        "host",
        "keep-alive",
        "proxy-connection",
        "te",
        "trailer",
        "transfer-encoding",
        "upgrade",
        "expect",
    ];
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    if name.is_empty() || !name.bytes().all(token) {
        return Err(invalid_setting(pointer, format!("`{name}` cannot be the name of a header")));
    }
    if BY_HOST.iter().any(|known| name.eq_ignore_ascii_case(known)) {
        return Err(invalid_setting(pointer, format!("the header `{name}` is set by the host alone")));
    }
    Ok(())
}

/// Milliseconds of a text such as `500ms`, `30s`, `2m`.
#[must_use]
pub fn milliseconds(text: &str) -> Option<u64> {
    let (number, unit_ms) = match (text.strip_suffix("ms"), text.strip_suffix('s'), text.strip_suffix('m')) {
        (Some(number), ..) => (number, 1),
        (_, Some(number), _) => (number, 1_000),
        (.., Some(number)) => (number, 60_000),
        _ => return None,
    };
    if !number.bytes().all(|byte| byte.is_ascii_digit()) {
        return None;
    }
    number.parse::<u64>().ok()?.checked_mul(unit_ms)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::milliseconds;

    #[test]
    fn times_are_read() {
        let check = |text: &str, wanted: Option<u64>| assert_eq!(milliseconds(text), wanted, "{text}");
        check("500ms", Some(500));
        check("30s", Some(30_000));
        check("2m", Some(120_000));
        for bad in ["", "s", "30", "1h", "-1s", "+1s", "1.5s", "1 s", "99999999999999999999m", "999999999999999999m"] {
            check(bad, None);
        }
    }
}
