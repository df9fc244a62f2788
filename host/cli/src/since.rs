//! A time as people write it.

use crossdock::Timestamp;
use jiff::civil;
use jiff::tz::TimeZone;

/// A time, a date, or how long ago.
///
/// # Errors
/// What can be written, when this is none of it.
pub(crate) fn from_now(text: &str) -> Result<Timestamp, String> {
    parse(text, Timestamp(jiff::Timestamp::now().as_millisecond()))
}

fn parse(text: &str, now: Timestamp) -> Result<Timestamp, String> {
    let ago = ms(text).and_then(|ms| now.0.checked_sub(ms)).map(Timestamp);
    let at = || {
        let zoned = text.parse::<jiff::Timestamp>().ok();
        let local = || text.parse::<civil::DateTime>().ok()?.to_zoned(TimeZone::UTC).ok().map(|at| at.timestamp());
        zoned.or_else(local).map(|at| Timestamp(at.as_millisecond()))
    };
    ago.or_else(at).ok_or_else(|| {
        "write a time (2026-03-01T08:00:00Z), a date (2026-03-01, UTC), or how long ago (90s, 30m, 2h, 7d, 4w)"
            .to_owned()
    })
}

/// A number with its unit, in milliseconds.
fn ms(text: &str) -> Option<i64> {
    let unit = text.chars().last()?;
    let number = text.strip_suffix(unit)?;
    let seconds = match unit {
        's' => 1,
        'm' => 60,
        'h' => 3_600,
        'd' => 86_400,
        'w' => 7 * 86_400,
        _ => return None,
    };
    let digits = !number.is_empty() && number.bytes().all(|b| b.is_ascii_digit());
    if digits { number.parse::<i64>().ok()?.checked_mul(seconds * 1_000) } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str, expected: Option<i64>) {
        // 2001-09-09T01:46:40Z
        assert_eq!(parse(text, Timestamp(1_000_000_000_000)).ok(), expected.map(Timestamp), "{text}");
    }

    #[test]
    fn times_as_people_write_them() {
        check("0s", Some(1_000_000_000_000));
        check("90s", Some(999_999_910_000));
        check("2h", Some(999_992_800_000));
        check("7d", Some(999_395_200_000));
        check("1w", Some(999_395_200_000));
        check("1970-01-01T00:00:01Z", Some(1_000));
        check("1970-01-01T01:00:01+01:00", Some(1_000));
        check("1970-01-02", Some(86_400_000));
        check("1970-01-02T00:00:01", Some(86_401_000));
        for wrong in ["", "h", "2", "-2h", "2 h", "+2h", "2x", "yesterday", "2026-13-01", "99999999999999999w", "é"] {
            check(wrong, None);
        }
    }
}
