//! Numbers with their exact digits.

use rust_decimal::Decimal;
use std::str::FromStr;

/// A number from its text, digits behind the point, exponent and all. Nothing if it is none, or has more than
/// 28 digits.
pub(crate) fn parse(text: &str) -> Option<Decimal> {
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
}
