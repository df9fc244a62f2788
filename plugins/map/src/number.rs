//! Numbers with their exact digits.

use rust_decimal::Decimal;
use std::str::FromStr;

/// A number from its text, digits behind the point, exponent and all. Nothing if it is none, or has more than
/// 28 digits.
pub(crate) fn parse(text: &str) -> Option<Decimal> {
    short(text.as_bytes()).or_else(|| any(text))
}

/// As nearly all numbers are: a few digits, perhaps some of them behind a point. Nothing for any other.
fn short(text: &[u8]) -> Option<Decimal> {
    // So many digits fit into 63 bits.
    const BYTES_MAX: usize = 18;
    let (negative, digits) = match text {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if !matches!(digits, [b'0'..=b'9', .., b'0'..=b'9'] | [b'1'..=b'9']) || digits.len() > BYTES_MAX {
        return None;
    }
    let (mut number, mut behind_point) = (0_i64, None);
    for byte in digits {
        match (byte, &mut behind_point) {
            (b'0'..=b'9', behind_point) => {
                number = number * 10 + i64::from(byte - b'0');
                if let Some(behind_point) = behind_point {
                    *behind_point += 1;
                }
            }
            (b'.', None) => behind_point = Some(0),
            _ => return None,
        }
    }
    // What is said of nothing with a sign is not decided here.
    (number != 0).then(|| Decimal::new(if negative { -number } else { number }, behind_point.unwrap_or(0)))
}

fn any(text: &str) -> Option<Decimal> {
    // Separators such as `1_000` are for programs, not for data.
    if text.contains('_') {
        return None;
    }
    let plain = |text: &str| Decimal::from_str_exact(text).ok();
    match text.find(['e', 'E']) {
        None => plain(text),
        // The exponent must not silently push digits out of reach.
        Some(at) => {
            let (mantissa, exponent) = (plain(text.get(..at)?)?, i32::from_str(text.get(at + 1..)?).ok()?);
            scaled(mantissa, exponent)
        }
    }
}

/// `mantissa` times ten to the power of `exponent`, exactly.
fn scaled(mantissa: Decimal, exponent: i32) -> Option<Decimal> {
    let mantissa = mantissa.normalize();
    let scale = i64::from(mantissa.scale()) - i64::from(exponent);
    let digits = mantissa.mantissa();
    if digits == 0 {
        return Some(Decimal::ZERO);
    }
    match u32::try_from(scale) {
        Ok(scale) => Decimal::try_from_i128_with_scale(digits, scale).ok(),
        Err(_) => {
            let factor = 10_i128.checked_pow(u32::try_from(-scale).ok()?)?;
            Decimal::try_from_i128_with_scale(digits.checked_mul(factor)?, 0).ok()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<&str>) {
        assert_eq!(parse(text).map(|number| number.to_string()).as_deref(), expected, "{text}");
    }

    #[test]
    fn numbers() {
        check("29.33", Some("29.33"));
        check("0.10", Some("0.10"));
        check("-7", Some("-7"));
        check("-0.70", Some("-0.70"));
        check("-0.0", any("-0.0").map(|zero| zero.to_string()).as_deref());
        check("1.2.3", None);
        check("--1", None);
        check("999999999999999999", Some("999999999999999999"));
        check("9999999999999999999", Some("9999999999999999999"));
        check("-0.1234567890123456789", Some("-0.1234567890123456789"));
        check("007", Some("7"));
        check("79228162514264337593543950335", Some("79228162514264337593543950335"));
        check("79228162514264337593543950336", None);
        check("0.12345678901234567890123456789", None);
        check("1e3", Some("1000"));
        check("1.5E-2", Some("0.015"));
        check("0e999999999", Some("0"));
        check("1e999999999", None);
        check("1e-999999999", None);
        check("1e", None);
        check("e1", None);
        check("", None);
        check(" 1", None);
        check("1 ", None);
        check("1_000", None);
        check("1,5", None);
        check("NaN", None);
        check("12,5O", None);
    }

    #[test]
    fn short_ones_are_what_they_would_be_otherwise() {
        let check = |text: &str| match short(text.as_bytes()) {
            Some(number) => {
                let same = any(text).map(|other| (other, other.scale()));
                assert_eq!(same, Some((number, number.scale())), "{text}");
                true
            }
            None => false,
        };
        for text in ["7", "29.33", "0.10", "-1.5", "007", "10", "123456789012345678", "-0.5"] {
            assert!(check(text), "{text} is short");
        }
        for text in ["", "-", ".", "1.", ".5", "+1", "0", "-0.00", "1e3", "1_0", "a", "1234567890123456789", " 1"] {
            assert!(!check(text), "{text} is not");
        }
    }
}
