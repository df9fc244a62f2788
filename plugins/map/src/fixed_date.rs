//! The quick way for dates whose every part has a fixed width, such as `%Y%m%d`: most dates in data are such.

use jiff::civil::Date;

/// Part of a format.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Part {
    Number(Unit),
    Literal(u8),
}

/// What a number in a date counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Unit {
    Year,
    Month,
    Day,
    Hour,
    Minute,
    Second,
}

const UNITS: usize = 6;

impl Unit {
    fn width(self) -> usize {
        if self == Self::Year { 4 } else { 2 }
    }
}

/// Two formats made of fixed-width parts only.
#[derive(Debug, Clone)]
pub(crate) struct FixedFormats {
    from: Vec<Part>,
    to: Vec<Part>,
}

impl FixedFormats {
    /// Nothing if one of the formats has other parts, or `from` does not read a whole date, each part once.
    pub(crate) fn new(from: &str, to: &str) -> Option<Self> {
        let formats = Self { from: parts(from)?, to: parts(to)? };
        let times = |unit| formats.from.iter().filter(|part| **part == Part::Number(unit)).count();
        let whole = [Unit::Year, Unit::Month, Unit::Day].into_iter().all(|unit| times(unit) == 1);
        let once = [Unit::Hour, Unit::Minute, Unit::Second].into_iter().all(|unit| times(unit) <= 1);
        (whole && once).then_some(formats)
    }

    /// The text in the other format, if it is a date in the first one.
    pub(crate) fn convert(&self, text: &str) -> Option<String> {
        let mut numbers = [0_u16; UNITS];
        let mut rest = text.as_bytes();
        for part in &self.from {
            match part {
                Part::Literal(byte) => rest = rest.strip_prefix(std::slice::from_ref(byte))?,
                Part::Number(unit) => {
                    let (digits, behind) = rest.split_at_checked(unit.width())?;
                    *numbers.get_mut(*unit as usize)? = number(digits)?;
                    rest = behind;
                }
            }
        }
        let [year, month, day, hour, minute, second] = numbers;
        let date = Date::new(year.try_into().ok()?, month.try_into().ok()?, day.try_into().ok()?).is_ok();
        if !rest.is_empty() || !date || hour > 23 || minute > 59 || second > 59 {
            return None;
        }
        let mut written = String::with_capacity(self.to.len() * 4);
        for part in &self.to {
            match part {
                Part::Literal(byte) => written.push(char::from(*byte)),
                Part::Number(unit) => {
                    let number = numbers.get(*unit as usize)?;
                    let mut divisor = 10_u16.pow(unit.width() as u32 - 1);
                    while divisor > 0 {
                        written.push(char::from(b'0' + (number / divisor % 10) as u8));
                        divisor /= 10;
                    }
                }
            }
        }
        Some(written)
    }
}

fn number(digits: &[u8]) -> Option<u16> {
    digits.iter().try_fold(0, |number, digit| digit.is_ascii_digit().then(|| number * 10 + u16::from(digit - b'0')))
}

fn parts(format: &str) -> Option<Vec<Part>> {
    let mut parts = Vec::new();
    let mut bytes = format.bytes();
    while let Some(byte) = bytes.next() {
        parts.push(match byte {
            b'%' => Part::Number(match bytes.next()? {
                b'Y' => Unit::Year,
                b'm' => Unit::Month,
                b'd' => Unit::Day,
                b'H' => Unit::Hour,
                b'M' => Unit::Minute,
                b'S' => Unit::Second,
                _ => return None,
            }),
            byte if byte.is_ascii() => Part::Literal(byte),
            _ => return None,
        });
    }
    Some(parts)
}
