//! From a value as it came to the JSON text that goes out.

use crate::date::DateFormats;
use crate::input::{Kind, Value};
use crate::number;
use crate::settings::Round;
use crossdock_sdk::json::push_text;
use rust_decimal::{Decimal, RoundingStrategy};
use std::borrow::Cow;
use std::io::Write as _;

/// What is done with a value.
#[derive(Debug)]
pub(crate) enum Conversion {
    /// Passed on as it is.
    AsIs,
    Text,
    Integer,
    Number,
    Decimal {
        scale: Option<u32>,
        round: Option<Round>,
        as_text: bool,
    },
    Boolean,
    Date(DateFormats),
}

/// Why a value does not convert: code and line for people.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) message: String,
}

fn refuse(code: &'static str, message: impl Into<String>) -> Refusal {
    Refusal { code, message: message.into() }
}

impl Conversion {
    /// Writes the converted value as JSON.
    pub(crate) fn convert(&self, value: Value<'_>, trim: bool, out: &mut Vec<u8>) -> Result<(), Refusal> {
        let text = value.kind() == Kind::Text;
        match self {
            // Text that stays text keeps its escapes, so it need not be looked at.
            Self::AsIs if !(trim && text) => out.extend_from_slice(value.bytes()),
            Self::Text if text && !trim => out.extend_from_slice(value.bytes()),
            Self::AsIs | Self::Text => {
                let plain = plain(value, trim).ok_or_else(|| refuse("not-text", "the value is no text"))?;
                push_text(out, &plain);
            }
            Self::Number if !text => match value.kind() {
                Kind::Number => out.extend_from_slice(value.bytes()),
                _ => return Err(not_a_number()),
            },
            Self::Number => write_shown(&number_of(value, trim).ok_or_else(not_a_number)?, out),
            Self::Integer => write_shown(&integer(value, trim)?, out),
            Self::Decimal { scale, round, as_text } => {
                let decimal = number_of(value, trim).ok_or_else(not_a_number)?;
                let decimal = scale.map_or(Ok(decimal), |scale| with_scale(decimal, scale, *round))?;
                let quote: &[u8] = if *as_text { b"\"" } else { b"" };
                out.extend_from_slice(quote);
                write_shown(&decimal, out);
                out.extend_from_slice(quote);
            }
            Self::Boolean => {
                let truth = plain(value, trim).and_then(|text| truth(&text));
                let truth = truth.ok_or_else(|| refuse("not-a-boolean", "the value is neither true nor false"))?;
                write_shown(&truth, out);
            }
            Self::Date(formats) => {
                let date = plain(value, trim).and_then(|text| formats.convert(&text));
                let date = date.ok_or_else(|| refuse("not-a-date", "the value is no date in the expected format"))?;
                push_text(out, &date);
            }
        }
        Ok(())
    }
}

/// A number, or text that is one.
pub(crate) fn number_of(value: Value<'_>, trim: bool) -> Option<Decimal> {
    if value.kind() == Kind::Boolean {
        return None;
    }
    number::parse(&plain(value, trim)?)
}

fn not_a_number() -> Refusal {
    refuse("not-a-number", "the value is no number of at most 28 digits")
}

fn integer(value: Value<'_>, trim: bool) -> Result<Decimal, Refusal> {
    let whole = number_of(value, trim).filter(Decimal::is_integer);
    let whole = whole.ok_or_else(|| refuse("not-an-integer", "the value is no whole number of at most 28 digits"))?;
    Ok(whole.normalize())
}

/// The number with exactly `scale` digits behind the point.
fn with_scale(number: Decimal, scale: u32, round: Option<Round>) -> Result<Decimal, Refusal> {
    let strategy = match round {
        Some(Round::HalfUp) => Some(RoundingStrategy::MidpointAwayFromZero),
        Some(Round::HalfEven) => Some(RoundingStrategy::MidpointNearestEven),
        None => None,
    };
    let rounded = match strategy {
        Some(strategy) => number.round_dp_with_strategy(scale, strategy),
        None if number.scale() > scale && number.normalize().scale() > scale => {
            return Err(refuse("too-many-digits", format!("the value has more than {scale} digits behind the point")));
        }
        None => number,
    };
    let mut scaled = rounded;
    scaled.rescale(scale);
    // Rescaling stops early where the digits do not suffice.
    if scaled.scale() != scale || scaled != rounded {
        return Err(refuse("not-a-number", format!("the value with {scale} digits behind the point has more than 28")));
    }
    Ok(scaled)
}

fn truth(text: &str) -> Option<bool> {
    let is_one_of = |words: [&str; 3]| words.iter().any(|word| text.eq_ignore_ascii_case(word));
    match text {
        _ if is_one_of(["true", "yes", "1"]) => Some(true),
        _ if is_one_of(["false", "no", "0"]) => Some(false),
        _ => None,
    }
}

fn plain(value: Value<'_>, trim: bool) -> Option<Cow<'_, str>> {
    let plain = value.plain()?;
    if !trim || plain.trim().len() == plain.len() {
        return Some(plain);
    }
    Some(match plain {
        Cow::Borrowed(text) => Cow::Borrowed(text.trim()),
        Cow::Owned(text) => Cow::Owned(text.trim().to_owned()),
    })
}

fn write_shown(value: &impl std::fmt::Display, out: &mut Vec<u8>) {
    // Writing to memory cannot fail.
    let _ = write!(out, "{value}");
}
