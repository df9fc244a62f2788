//! As everybody writes it: types, and serde. The benchmark compiles this file natively too; there it is the limit.

use serde::{Deserialize, Serialize, Serializer};
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::fmt;

#[derive(Deserialize)]
struct Order<'a> {
    #[serde(borrow)]
    order: Cow<'a, str>,
    #[serde(borrow)]
    customer: Customer<'a>,
    #[serde(borrow)]
    currency: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    lines: &'a RawValue,
    #[serde(borrow)]
    total: &'a RawValue,
}

#[derive(Deserialize)]
struct Customer<'a> {
    #[serde(borrow)]
    id: Cow<'a, str>,
    #[serde(borrow)]
    name: Cow<'a, str>,
}

#[derive(Serialize)]
struct Document<'a> {
    reference: &'a str,
    customer: &'a str,
    name: &'a str,
    currency: &'a str,
    amount: Hundredths,
    items: &'a RawValue,
}

struct Hundredths(u64);

impl fmt::Display for Hundredths {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02}", self.0 / 100, self.0 % 100)
    }
}

impl Serialize for Hundredths {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        to.collect_str(self)
    }
}

/// Adds to `out` what becomes of an order. False if it is dropped; nothing is added then.
pub(crate) fn transform(order: &[u8], out: &mut Vec<u8>) -> Result<bool, String> {
    let order: Order<'_> = serde_json::from_slice(order).map_err(|error| error.to_string())?;
    if order.status == "cancelled" {
        return Ok(false);
    }
    let document = Document {
        reference: &order.order,
        customer: &order.customer.id,
        name: &order.customer.name,
        currency: &order.currency,
        amount: Hundredths(hundredths(order.total.get().as_bytes())?),
        items: order.lines,
    };
    serde_json::to_writer(out, &document).map_err(|error| error.to_string())?;
    Ok(true)
}

/// Hundredths of a number with at most two digits behind its point.
pub(crate) fn hundredths(number: &[u8]) -> Result<u64, String> {
    let refused = || "the total is no amount".to_owned();
    let (mut sum, mut behind_point) = (0_u64, None);
    for byte in number {
        match (byte, behind_point) {
            (b'0'..=b'9', _) => {
                sum =
                    sum.checked_mul(10).and_then(|sum| sum.checked_add(u64::from(byte - b'0'))).ok_or_else(refused)?;
                behind_point = behind_point.map(|digits: u32| digits + 1);
            }
            (b'.', None) => behind_point = Some(0),
            _ => return Err(refused()),
        }
    }
    match behind_point.unwrap_or(0) {
        digits @ 0..=2 => sum.checked_mul(10_u64.pow(2 - digits)).ok_or_else(refused),
        _ => Err(refused()),
    }
}
