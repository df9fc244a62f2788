//! The Crossdock plugin `{{name}}`: turns an order's price into cents, and drops cancelled orders.

use crossdock_sdk::{CallError, Description, Failure, Output, Record, Transform, Transformer};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// What a route may set. From this comes the JSON Schema by which routes are checked and that editors show.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The currency of all prices, for example `EUR`.
    currency: String,
}

/// A record as it comes. Members that are not named here are passed over.
#[derive(Deserialize)]
struct Order {
    customer: String,
    status: String,
    price: String,
}

/// A record as it goes on.
#[derive(Serialize)]
struct Priced<'a> {
    customer: &'a str,
    cents: u64,
    currency: &'a str,
}

/// The plugin, as the settings have made it.
#[derive(Debug)]
pub struct Plugin(Settings);

impl Transformer for Plugin {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new(
            env!("CARGO_PKG_NAME"),
            env!("CARGO_PKG_VERSION"),
            env!("CARGO_PKG_DESCRIPTION"),
        )
    }

    fn new(settings: Settings) -> Result<Self, CallError> {
        if settings.currency.is_empty() {
            return Err(CallError::invalid_settings("the currency is empty")); // Shown as a mistake in the route.
        }
        Ok(Self(settings))
    }

    /// One record in; none, one or many out. A failure that is returned with `?` rejects the record, and the others pass.
    fn transform(
        &mut self,
        record: &Record<'_>,
        out: &mut Output<'_>,
    ) -> Result<Transform, Failure> {
        let order: Order = record.json()?;
        if order.status == "cancelled" {
            return Ok(Transform::Dropped);
        }
        let cents = cents(&order.price).ok_or_else(|| {
            Failure::new("not-an-amount", "the price is not an amount such as 12.50")
                .detail(&*order.price)
                .pointer("/price")
        })?;
        out.json(&Priced {
            customer: &order.customer,
            cents,
            currency: &self.0.currency,
        })?; // Call it again to split.
        Ok(Transform::Ok)
    }
}

crossdock_sdk::export_transformer!(Plugin);

/// The cents of an amount such as `12.50` or `12`.
fn cents(text: &str) -> Option<u64> {
    let (whole, part) = text.split_once('.').unwrap_or((text, "00"));
    let is_number =
        |digits: &str| !digits.is_empty() && digits.bytes().all(|byte| byte.is_ascii_digit());
    if !is_number(whole) || !is_number(part) || part.len() != 2 {
        return None;
    }
    whole
        .parse::<u64>()
        .ok()?
        .checked_mul(100)?
        .checked_add(part.parse().ok()?)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crossdock_sdk::testing::{self, Outcome};

    #[test]
    fn prices_become_cents() {
        let mut plugin = testing::transformer::<Plugin>(r#"{ "currency": "EUR" }"#).unwrap();
        let answers = testing::transform(
            &mut plugin,
            &[
                testing::record(
                    "A-1",
                    r#"{ "customer": "ann", "status": "open", "price": "12.50" }"#,
                ),
                testing::record(
                    "A-2",
                    r#"{ "customer": "bob", "status": "cancelled", "price": "?" }"#,
                ),
                testing::record(
                    "A-3",
                    r#"{ "customer": "eve", "status": "open", "price": "12,50" }"#,
                ),
            ],
        );
        assert_eq!(
            answers[0].outputs[0].text(),
            r#"{"customer":"ann","cents":1250,"currency":"EUR"}"#
        );
        assert_eq!(answers[1].outcome, Outcome::Dropped);
        assert_eq!(
            answers[2].failure.as_ref().unwrap().pointer_text(),
            Some("/price")
        );
    }
}
