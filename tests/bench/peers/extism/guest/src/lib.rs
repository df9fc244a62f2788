//! The transform of the orders as an Extism plugin: orders as lines of JSON in, documents as lines of JSON out, without
//! those that are cancelled. Written as the native program is: one typed parse a record, what is passed on borrowed.

use extism_pdk::{FnResult, plugin_fn};
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;
use std::borrow::Cow;

#[derive(Deserialize)]
struct Order<'a> {
    #[serde(borrow)]
    order: &'a RawValue,
    #[serde(borrow)]
    customer: Customer<'a>,
    #[serde(borrow)]
    currency: &'a RawValue,
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
    id: &'a RawValue,
    #[serde(borrow)]
    name: &'a RawValue,
}

#[derive(Serialize)]
struct Document<'a> {
    reference: &'a RawValue,
    customer: &'a RawValue,
    name: &'a RawValue,
    currency: &'a RawValue,
    #[serde(serialize_with = "as_text")]
    amount: Decimal,
    items: &'a RawValue,
}

fn as_text<S: serde::Serializer>(amount: &Decimal, to: S) -> Result<S::Ok, S::Error> {
    to.collect_str(amount)
}

/// Called with a batch of lines.
#[plugin_fn]
pub fn transform(batch: Vec<u8>) -> FnResult<Vec<u8>> {
    let mut out = Vec::with_capacity(batch.len());
    for line in batch.split(|byte| *byte == b'\n').filter(|line| !line.is_empty()) {
        let order: Order<'_> = serde_json::from_slice(line)?;
        if order.status == "cancelled" {
            continue;
        }
        let mut amount = Decimal::from_str_exact(order.total.get())?;
        amount.rescale(2);
        let document = Document {
            reference: order.order,
            customer: order.customer.id,
            name: order.customer.name,
            currency: order.currency,
            amount,
            items: order.lines,
        };
        serde_json::to_writer(&mut out, &document)?;
        out.push(b'\n');
    }
    Ok(out)
}
