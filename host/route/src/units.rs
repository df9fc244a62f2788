//! Durations and sizes as they are written: a whole number and a unit, nothing else.

/// Milliseconds of a duration such as `500ms`, `30s`, `5m`, `1h` or `2d`.
///
/// # Errors
/// What is wrong with the text, in a few words.
pub(crate) fn duration_ms(text: &str) -> Result<u64, String> {
    let units: &[(&str, u64)] = &[("ms", 1), ("s", 1_000), ("m", 60_000), ("h", 3_600_000), ("d", 86_400_000)];
    number_and_unit(text, units, "duration", "\"30s\"")
}

/// The word for an age that is never reached.
pub(crate) const NEVER: &str = "never";
/// Bounds of how long something may be kept: an hour to 100 years.
pub(crate) const AGE_MIN_MS: u64 = 3_600_000;
pub(crate) const AGE_MAX_MS: u64 = 36_500 * 86_400_000;

/// Milliseconds of an age such as `12h` or `90d`.
///
/// # Errors
/// What is wrong with the text, in a few words.
pub(crate) fn age_ms(text: &str) -> Result<u64, String> {
    number_and_unit(text, &[("h", 3_600_000), ("d", 86_400_000)], "duration in hours or days", "\"90d\"")
}

/// Bytes of a size such as `512B`, `64KiB`, `1MiB` or `2GiB`.
///
/// # Errors
/// What is wrong with the text, in a few words.
pub(crate) fn size_bytes(text: &str) -> Result<u64, String> {
    let units: &[(&str, u64)] = &[("B", 1), ("KiB", 1 << 10), ("MiB", 1 << 20), ("GiB", 1 << 30)];
    number_and_unit(text, units, "size", "\"64MiB\"")
}

fn number_and_unit(text: &str, units: &[(&str, u64)], what: &str, example: &str) -> Result<u64, String> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    let (number, unit) = text.split_at(digits);
    let names = || units.iter().map(|(name, _)| *name).collect::<Vec<_>>().join(", ");
    if number.is_empty() {
        return Err(format!("a {what} is a whole number and a unit, for example {example}"));
    }
    let Some((_, factor)) = units.iter().find(|(name, _)| *name == unit) else {
        return Err(match unit {
            "" => format!("the unit is missing: one of {}", names()),
            _ => format!("{unit:?} is not a unit of a {what}: one of {}", names()),
        });
    };
    let number: u64 = number.parse().map_err(|_| format!("this {what} is too large"))?;
    number.checked_mul(*factor).ok_or_else(|| format!("this {what} is too large"))
}

/// A duration as it would be written, in the largest unit that holds it exactly.
pub(crate) fn show_ms(ms: u64) -> String {
    show(ms, &[("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000)], "ms")
}

/// A size as it would be written, in the largest unit that holds it exactly.
pub(crate) fn show_bytes(bytes: u64) -> String {
    show(bytes, &[("GiB", 1 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)], "B")
}

fn show(number: u64, units: &[(&str, u64)], smallest: &str) -> String {
    match units.iter().find(|(_, factor)| number >= *factor && number.is_multiple_of(*factor)) {
        Some((unit, factor)) => format!("{}{unit}", number / factor),
        None => format!("{number}{smallest}"),
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn check(parse: fn(&str) -> Result<u64, String>, show: fn(u64) -> String, text: &str, expected: Option<u64>) {
        let found = parse(text);
        assert_eq!(found.as_ref().ok().copied(), expected, "{text:?}: {found:?}");
        if let Some(number) = expected {
            assert_eq!(parse(&show(number)).unwrap(), number, "{text:?} written again");
        }
    }

    #[test]
    fn durations() {
        for (text, expected) in [
            ("500ms", Some(500)),
            ("1s", Some(1_000)),
            ("90s", Some(90_000)),
            ("5m", Some(300_000)),
            ("1h", Some(3_600_000)),
            ("2d", Some(172_800_000)),
            ("0s", Some(0)),
            ("", None),
            ("s", None),
            ("10", None),
            ("1.5s", None),
            ("-1s", None),
            ("+1s", None),
            ("1 s", None),
            (" 1s", None),
            ("1S", None),
            ("1m30s", None),
            ("1min", None),
            ("99999999999999999999s", None),
            ("18446744073709551615d", None),
        ] {
            check(duration_ms, show_ms, text, expected);
        }
    }

    #[test]
    fn ages() {
        for (text, expected) in [
            ("1h", Some(3_600_000)),
            ("90d", Some(7_776_000_000)),
            ("36500d", Some(AGE_MAX_MS)),
            ("90m", None),
            ("1w", None),
            ("90", None),
            ("never", None),
        ] {
            check(age_ms, show_ms, text, expected);
        }
    }

    #[test]
    fn sizes() {
        for (text, expected) in [
            ("0B", Some(0)),
            ("512B", Some(512)),
            ("64KiB", Some(65_536)),
            ("1MiB", Some(1_048_576)),
            ("3GiB", Some(3_221_225_472)),
            ("1MB", None),
            ("1M", None),
            ("1mib", None),
            ("MiB", None),
            ("1.5MiB", None),
            ("1024", None),
            ("17179869184GiB", None),
        ] {
            check(size_bytes, show_bytes, text, expected);
        }
    }
}
