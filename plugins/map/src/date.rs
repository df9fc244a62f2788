//! Dates and times from one format to another.

use crate::fixed_date::FixedFormats;
use jiff::civil::DateTime;
use jiff::fmt::strtime::BrokenDownTime;
use jiff::tz::Offset;

/// Two formats that were tried out.
#[derive(Debug, Clone)]
pub(crate) struct DateFormats {
    from: String,
    to: String,
    /// The quick way, where there is one.
    fixed: Option<FixedFormats>,
}

impl DateFormats {
    /// # Errors
    /// Which of the two, `from` or `to`, is no format, and why.
    pub(crate) fn new(from: &str, to: &str) -> Result<Self, (&'static str, String)> {
        let fixed = FixedFormats::new(from, to);
        let formats = Self { from: from.to_owned(), to: to.to_owned(), fixed };
        let sample = BrokenDownTime::from(DateTime::constant(1997, 1, 31, 13, 5, 9, 0));
        let mut with_offset = sample;
        with_offset.set_offset(Some(Offset::UTC));
        let written = with_offset.to_string(from).map_err(|error| ("from", error.to_string()))?;
        with_offset.to_string(to).map_err(|error| ("to", error.to_string()))?;
        // Only trying shows whether what `from` reads is enough for what `to` writes.
        match formats.convert_any(&written) {
            Some(_) => Ok(formats),
            None => Err(("to", format!("what {from:?} reads is not enough to write {to:?}"))),
        }
    }

    /// The text in the other format, if it is a date in the first one. Written back it must be the same text, so that
    /// nothing is taken for a date that only looks like one.
    pub(crate) fn convert(&self, text: &str) -> Option<String> {
        match &self.fixed {
            Some(fixed) => fixed.convert(text),
            None => self.convert_any(text),
        }
    }

    /// The same for any format.
    fn convert_any(&self, text: &str) -> Option<String> {
        let parsed = BrokenDownTime::parse(&self.from, text).ok()?;
        let offset = parsed.offset();
        let mut whole = match parsed.to_datetime() {
            Ok(datetime) => BrokenDownTime::from(datetime),
            // A date without its day, or a time without a date.
            Err(_) if parsed.day().is_none() => parsed,
            Err(_) => return None,
        };
        whole.set_offset(offset);
        let same = whole.to_string(&self.from).ok()? == text;
        same.then(|| whole.to_string(&self.to).ok()).flatten()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    fn check(from: &str, to: &str, text: &str, expected: Option<&str>) {
        let formats = DateFormats::new(from, to).unwrap_or_else(|error| panic!("{from} {to}: {error:?}"));
        assert_eq!(formats.convert(text).as_deref(), expected, "{from} {to} {text}");
    }

    #[test]
    fn dates() {
        check("%Y%m%d", "%Y-%m-%d", "19970101", Some("1997-01-01"));
        check("%Y%m%d", "%Y-%m-%d", "1997011", None);
        check("%Y%m%d", "%Y-%m-%d", "19970230", None);
        check("%Y%m%d", "%Y-%m-%d", "19971301", None);
        check("%Y%m%d", "%Y-%m-%d", "199701011", None);
        check("%Y%m%d", "%Y-%m-%d", "", None);
        check("%d.%m.%Y", "%Y-%m-%d", "31.12.1997", Some("1997-12-31"));
        check("%d.%m.%Y", "%Y-%m-%d", "1.2.1997", None);
        check("%-d.%-m.%Y", "%Y-%m-%d", "1.2.1997", Some("1997-02-01"));
        check("%m/%d/%Y %H:%M", "%Y-%m-%dT%H:%M:%S", "02/29/2024 23:59", Some("2024-02-29T23:59:00"));
        check(
            "%Y-%m-%dT%H:%M:%S%z",
            "%Y-%m-%dT%H:%M:%S%:z",
            "1997-01-01T10:00:00+0200",
            Some("1997-01-01T10:00:00+02:00"),
        );
        check("%Y-%m-%d", "%A", "1997-01-01", Some("Wednesday"));
        check("%Y-%m", "%Y%m", "1997-01", Some("199701"));
    }

    /// Both ways say the same of each text.
    fn check_both_ways(from: &str, to: &str, texts: &[String]) {
        let formats = DateFormats::new(from, to).unwrap_or_else(|error| panic!("{from} {to}: {error:?}"));
        let fixed = formats.fixed.as_ref().unwrap_or_else(|| panic!("{from} {to} has no quick way"));
        for text in texts {
            assert_eq!(fixed.convert(text), formats.convert_any(text), "{from} {to} {text:?}");
        }
    }

    #[test]
    fn the_quick_way_says_the_same() {
        let mut texts: Vec<String> = Vec::new();
        for year in ["0000", "0004", "1900", "1997", "2000", "2024", "9999", "-001", "+199", "19 7"] {
            for month in ["00", "01", "02", "04", "12", "13", "1 ", "+1"] {
                for day in ["00", "01", "28", "29", "30", "31", "32", " 1", "1"] {
                    texts.push(format!("{year}{month}{day}"));
                }
            }
        }
        check_both_ways("%Y%m%d", "%d.%m.%Y", &texts);
        let mut texts: Vec<String> = Vec::new();
        for date in ["2024-02-29", "2023-02-29", "2024-2-29", "2024/02/29", "", "x"] {
            for gap in ["T", " ", "  ", ""] {
                for time in
                    ["00:00:00", "23:59:59", "24:00:00", "12:60:00", "12:00:60", "12:00", "12:00:00 ", "1:00:00"]
                {
                    texts.push(format!("{date}{gap}{time}"));
                }
            }
        }
        check_both_ways("%Y-%m-%dT%H:%M:%S", "%H%M%S %Y%m%d", &texts);
        check_both_ways("%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M:%S", &texts);
    }

    #[test]
    fn formats_that_are_none() {
        let which = |from, to| DateFormats::new(from, to).err().map(|(which, _)| which);
        assert_eq!(which("%Q%", "%Y"), Some("from"));
        assert_eq!(which("%Y-%m-%d", "%!"), Some("to"));
        assert_eq!(which("%Y-%m-%d", "%z"), Some("to"));
        assert_eq!(which("%Y", "%d"), Some("to"));
    }
}
