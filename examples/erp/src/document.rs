//! What a document must look like.

use serde::Deserialize;
use serde_json::value::RawValue;

/// The fields of a document that the ERP looks at; it keeps all others as they came.
#[derive(Deserialize)]
struct Fields {
    reference: Option<serde_json::Value>,
    key: Option<String>,
    amount: Option<serde_json::Value>,
    quantity: Option<serde_json::Value>,
    date: Option<serde_json::Value>,
}

/// A document that may be booked.
pub(crate) struct Document {
    pub(crate) reference: String,
    /// The idempotency key inside the document; only items of a batch need it.
    pub(crate) key: Option<String>,
    /// As it was sent, digit for digit.
    pub(crate) body: String,
}

/// Why a document is refused.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) status: u16,
    pub(crate) code: &'static str,
    pub(crate) field: &'static str,
    pub(crate) message: String,
}

const REFERENCE_MAX_CHARS: usize = 200;

impl Document {
    pub(crate) fn check(body: &RawValue) -> Result<Self, Refusal> {
        let text = body.get();
        let fields: Fields = serde_json::from_str(text).map_err(|error| Refusal {
            status: 400,
            code: "MALFORMED",
            field: "",
            message: format!("A document must be a JSON object: {error}"),
        })?;
        let reference = fields.reference.as_ref().and_then(|value| value.as_str()).unwrap_or_default();
        if reference.is_empty() || reference.chars().count() > REFERENCE_MAX_CHARS {
            return Err(invalid("/reference", "must be a text of 1 to 200 characters"));
        }
        if !fields.amount.as_ref().is_some_and(is_decimal) {
            return Err(invalid("/amount", "must be a decimal number with at most four decimal places"));
        }
        if fields.quantity.as_ref().is_some_and(|value| value.as_u64().is_none_or(|quantity| quantity == 0)) {
            return Err(invalid("/quantity", "must be a whole number from 1"));
        }
        if fields.date.as_ref().is_some_and(|value| !value.as_str().is_some_and(is_date)) {
            return Err(invalid("/date", "must be a date, YYYY-MM-DD"));
        }
        Ok(Self { reference: reference.to_owned(), key: fields.key, body: text.to_owned() })
    }
}

fn invalid(field: &'static str, rule: &str) -> Refusal {
    let message = format!("Field '{}' {rule}", field.trim_start_matches('/'));
    Refusal { status: 422, code: "VALIDATION", field, message }
}

fn is_decimal(value: &serde_json::Value) -> bool {
    let text = match value {
        serde_json::Value::String(text) => text.clone(),
        serde_json::Value::Number(number) => number.to_string(),
        _ => return false,
    };
    let digits = text.strip_prefix('-').unwrap_or(&text);
    let (whole, places) = digits.split_once('.').unwrap_or((digits, "0"));
    let all_digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    all_digits(whole) && all_digits(places) && whole.len() <= 15 && places.len() <= 4
}

fn is_date(text: &str) -> bool {
    let Ok([year, month, day]) = <[&str; 3]>::try_from(text.split('-').collect::<Vec<_>>()) else { return false };
    let number = |part: &str, length: usize| {
        (part.len() == length && part.bytes().all(|byte| byte.is_ascii_digit())).then(|| part.parse::<u32>().ok())?
    };
    let (Some(year), Some(month), Some(day)) = (number(year, 4), number(month, 2), number(day, 2)) else {
        return false;
    };
    let leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    let days = match month {
        2 => 28 + u32::from(leap),
        4 | 6 | 9 | 11 => 30,
        1..=12 => 31,
        _ => return false,
    };
    (1..=days).contains(&day)
}
