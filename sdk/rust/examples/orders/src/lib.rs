//! Makes one record of each line of an order, with amounts in cents.
//!
//! **Does**: checks each order, drops cancelled ones, splits the others by line, and turns amounts in text into cents.
//! **May touch**: the record it is given.
//! **Never**: anything else; it is pure and wants no grants.

mod amount;

use amount::cents;
use crossdock_sdk::{CallError, Description, Failure, Output, Record, Transform, Transformer, rest::invalid_setting};
use std::borrow::Cow;

/// The most cents that every system can count exactly: JSON's numbers are often kept as floating-point ones.
const CENTS_MAX: u64 = (1 << 53) - 1;

/// What a route may set.
#[derive(Debug, serde::Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The currency of all prices: three capital letters, for example `EUR`.
    #[schemars(regex(pattern = "^[A-Z]{3}$"))]
    currency: String,
    /// The most lines that an order may have.
    #[serde(default = "items_max")]
    #[schemars(range(min = 1))]
    items_max: usize,
}

fn items_max() -> usize {
    100
}

/// An order as it comes. What is not named here is passed over.
#[derive(serde::Deserialize)]
struct Order<'a> {
    #[serde(borrow)]
    number: Cow<'a, str>,
    #[serde(borrow)]
    customer: Cow<'a, str>,
    #[serde(borrow)]
    status: Cow<'a, str>,
    #[serde(borrow)]
    items: Vec<Item<'a>>,
}

#[derive(serde::Deserialize)]
struct Item<'a> {
    #[serde(borrow)]
    sku: Cow<'a, str>,
    quantity: u32,
    #[serde(borrow)]
    price: Cow<'a, str>,
}

/// One line of an order as it goes on.
#[derive(serde::Serialize)]
struct Line<'a> {
    order: &'a str,
    line: usize,
    customer: &'a str,
    sku: &'a str,
    quantity: u32,
    cents: u64,
    currency: &'a str,
}

/// The plugin.
#[derive(Debug)]
pub struct Orders(Settings);

impl Transformer for Orders {
    type Settings = Settings;

    fn describe() -> Description {
        Description::new(env!("CARGO_PKG_NAME"), env!("CARGO_PKG_VERSION"), env!("CARGO_PKG_DESCRIPTION"))
    }

    fn new(settings: Settings) -> Result<Self, CallError> {
        // The host goes by the schema already; a test or another host may not.
        if settings.currency.len() != 3 || !settings.currency.bytes().all(|byte| byte.is_ascii_uppercase()) {
            let problem = format!("the currency `{}` is not three capital letters", settings.currency);
            return Err(invalid_setting("/currency", problem));
        }
        Ok(Self(settings))
    }

    fn transform(&mut self, record: &Record<'_>, out: &mut Output<'_>) -> Result<Transform, Failure> {
        let order: Order<'_> = record.json()?; // Anything else is a rejection that names the place.
        if order.status == "cancelled" {
            return Ok(Transform::Dropped);
        }
        if order.items.is_empty() {
            return Err(Failure::new("no-items", "the order has no lines").pointer("/items"));
        }
        if order.items.len() > self.0.items_max {
            let message =
                format!("the order has {} lines, and at most {} are taken", order.items.len(), self.0.items_max);
            return Err(Failure::new("too-many-items", message).pointer("/items"));
        }
        for (at, item) in order.items.iter().enumerate() {
            let line = Line {
                order: &order.number,
                line: at + 1,
                customer: &order.customer,
                sku: &item.sku,
                quantity: item.quantity,
                cents: total(item, at)?, // What was written before for this record is forgotten.
                currency: &self.0.currency,
            };
            out.json(&line)?;
            out.attribute("order", &*order.number);
        }
        Ok(Transform::Ok)
    }
}

/// What a line comes to, in cents.
fn total(item: &Item<'_>, at: usize) -> Result<u64, Failure> {
    let field = |name: &str| format!("/items/{at}/{name}");
    if item.quantity == 0 {
        return Err(Failure::new("bad-quantity", "a line is of one piece at least").pointer(field("quantity")));
    }
    let price = cents(&item.price).ok_or_else(|| {
        Failure::new("not-an-amount", "the price is not an amount such as 12.50")
            .detail(&*item.price)
            .pointer(field("price"))
    })?;
    let total = price.checked_mul(u64::from(item.quantity)).filter(|total| *total <= CENTS_MAX);
    total.ok_or_else(|| {
        Failure::new("amount-too-large", "the line comes to more cents than can be counted exactly")
            .detail(&*item.price)
            .pointer(field("price"))
    })
}

crossdock_sdk::export_transformer!(Orders);
