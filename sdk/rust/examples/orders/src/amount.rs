//! Amounts in text.

/// The cents of an amount such as `12.50`, `12.5` or `12`; `None` if it is none, or more than can be held.
pub(crate) fn cents(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "0"));
    let is_number = |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() > 2 {
        return None;
    }
    let tenths: u64 = part.parse().ok()?;
    let part = if part.len() == 1 { tenths * 10 } else { tenths };
    whole.parse::<u64>().ok()?.checked_mul(100)?.checked_add(part)
}

#[cfg(test)]
mod tests {
    use super::cents;

    #[test]
    fn amounts_are_exact() {
        let check = |text: &str, wanted: Option<u64>| assert_eq!(cents(text), wanted, "{text}");
        check("12.50", Some(1250));
        check("12.5", Some(1250));
        check("12", Some(1200));
        check("0.05", Some(5));
        check("007", Some(700));
        for bad in ["", ".", "12.", ".5", "12,50", "1.234", "-1", "+1", " 1", "1e2", "١", "99999999999999999999"] {
            check(bad, None);
        }
    }
}
