//! The header `Retry-After`.

use std::time::Duration;

const DAY_S: u64 = 86_400;

/// How long the header `Retry-After` of an answer says to wait, in seconds or until a date; a date that is over means now.
/// `None` if it says nothing that can be read.
#[must_use]
pub fn retry_after(value: &str, now_ms: u64) -> Option<Duration> {
    let value = value.trim();
    if !value.is_empty() && value.bytes().all(|byte| byte.is_ascii_digit()) {
        return value.parse().ok().map(Duration::from_secs);
    }
    let until_s = http_date(value)?;
    Some(Duration::from_millis((until_s * 1000).saturating_sub(now_ms)))
}

/// Seconds since 1970 of a date such as `Sun, 06 Nov 1994 08:49:37 GMT`, the one form that RFC 9110 lets servers send.
fn http_date(text: &str) -> Option<u64> {
    const MONTHS: [&str; 12] = ["Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"];
    let (_, rest) = text.split_once(", ")?;
    let [day, month, year, time, "GMT"] = <[&str; 5]>::try_from(rest.split(' ').collect::<Vec<_>>()).ok()? else {
        return None;
    };
    let [hour, minute, second] = <[&str; 3]>::try_from(time.split(':').collect::<Vec<_>>()).ok()?;
    let number = |text: &str, digits: usize, range: std::ops::RangeInclusive<u64>| {
        let fits = text.len() == digits && text.bytes().all(|byte| byte.is_ascii_digit());
        text.parse().ok().filter(|number| fits && range.contains(number))
    };
    let month = MONTHS.iter().position(|name| *name == month)? as u64 + 1;
    let days = days_since_1970(number(year, 4, 1970..=9999)?, month, number(day, 2, 1..=31)?);
    let clock = number(hour, 2, 0..=23)? * 3600 + number(minute, 2, 0..=59)? * 60 + number(second, 2, 0..=60)?;
    Some(days * DAY_S + clock)
}

fn days_since_1970(year: u64, month: u64, day: u64) -> u64 {
    // Years begin in March, so that the leap day is the last one of its year.
    let (year, month) = if month > 2 { (year, month - 3) } else { (year - 1, month + 9) };
    let leap_days = year / 4 - year / 100 + year / 400;
    let days_before_month = (153 * month + 2) / 5;
    // 719,468 days lie between 1 March of year 0 and 1 January 1970.
    (365 * year + leap_days + days_before_month + day - 1).saturating_sub(719_468)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

    use super::retry_after;
    use std::time::Duration;

    #[test]
    fn seconds_and_dates() {
        // Sun, 06 Nov 1994 08:49:30 GMT
        let now_ms = 784_111_770_000;
        let check = |value: &str, wanted_s: Option<u64>| {
            assert_eq!(retry_after(value, now_ms), wanted_s.map(Duration::from_secs), "{value}");
        };
        check("120", Some(120));
        check(" 0 ", Some(0));
        check("Sun, 06 Nov 1994 08:49:37 GMT", Some(7));
        check("Sun, 06 Nov 1994 08:49:29 GMT", Some(0));
        check("Mon, 07 Nov 1994 08:49:30 GMT", Some(86_400));
        check("Thu, 29 Feb 1996 08:49:30 GMT", Some(480 * 86_400));
        check("Fri, 01 Mar 1996 08:49:30 GMT", Some(481 * 86_400));
        check("Thu, 01 Jan 1970 00:00:00 GMT", Some(0));
        for unreadable in [
            "",
            "soon",
            "-1",
            "1.5",
            "Sun, 06 Nov 1994 08:49:37",
            "Sun, 06 Foo 1994 08:49:37 GMT",
            "Sun, 6 Nov 1994 08:49:37 GMT",
            "Sun, 06 Nov 1994 25:49:37 GMT",
        ] {
            check(unreadable, None);
        }
    }
}
