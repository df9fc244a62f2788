//! As an author writes it who has millions of orders: looked at once, and copied once.

use crossdock_sdk::Failure;
use crossdock_sdk::json::{Invalid, Object, Value};
use std::io::Write;

/// Adds to `out` what becomes of an order. False if it is dropped; nothing is added then.
pub(crate) fn transform(order: &[u8], out: &mut Vec<u8>) -> Result<bool, Failure> {
    let order = Object::parse(order).map_err(Invalid::failure)?;
    let order = order.ok_or_else(|| Failure::new("no-order", "the record is no object"))?;
    if field(&order, "status")?.bytes() == br#""cancelled""# {
        return Ok(false);
    }
    let customer = Object::of(field(&order, "customer")?);
    let total = crate::typed::hundredths(field(&order, "total")?.bytes());
    let total = total.map_err(|why| Failure::new("no-order", why))?;
    let parts: [(&[u8], Value<'_>); 4] = [
        (br#"{"reference":"#, field(&order, "order")?),
        (br#","customer":"#, field(&customer, "id")?),
        (br#","name":"#, field(&customer, "name")?),
        (br#","currency":"#, field(&order, "currency")?),
    ];
    let lines = field(&order, "lines")?;
    for (name, value) in parts {
        out.extend_from_slice(name);
        out.extend_from_slice(value.bytes());
    }
    // Writing to a vector cannot fail.
    let _ = write!(out, r#","amount":"{}.{:02}","items":"#, total / 100, total % 100);
    out.extend_from_slice(lines.bytes());
    out.push(b'}');
    Ok(true)
}

fn field<'a>(object: &Object<'a>, name: &str) -> Result<Value<'a>, Failure> {
    object.get(name).ok_or_else(|| Failure::new("missing-field", format!("the order has no {name}")))
}
