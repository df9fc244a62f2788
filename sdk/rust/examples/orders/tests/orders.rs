//! The plugin under plain `cargo test`. The files in `cases/` try the component itself: `crossdock plugin test`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_sdk::testing::{self, Outcome};
use orders::Orders;
use serde_json::{Value, json};

#[test]
fn an_order_becomes_its_lines() {
    let mut orders = testing::transformer::<Orders>(json!({ "currency": "EUR" })).unwrap();
    let order = json!({ "number": "A-1", "customer": "ann", "status": "open", "items": [
        { "sku": "tea", "quantity": 2, "price": "12.50" }, { "sku": "nail", "quantity": 100, "price": "0.05" },
    ] });
    let cancelled = json!({ "number": "A-2", "customer": "bob", "status": "cancelled", "items": [] });
    let records = [testing::record("A-1", order.to_string()), testing::record("A-2", cancelled.to_string())];
    let answers = testing::transform(&mut orders, &records);

    let lines: Vec<Value> =
        answers[0].outputs.iter().map(|line| serde_json::from_slice(&line.payload).unwrap()).collect();
    assert_eq!(lines.iter().map(|line| &line["cents"]).collect::<Vec<_>>(), [&json!(2500), &json!(500)]);
    assert_eq!(answers[0].outputs[1].attributes, [("order".to_owned(), b"A-1".to_vec())]);
    assert_eq!(answers[1].outcome, Outcome::Dropped);
}

#[test]
fn nothing_of_an_order_passes_if_one_line_does_not() {
    let mut orders = testing::transformer::<Orders>(json!({ "currency": "EUR" })).unwrap();
    let order = json!({ "number": "A-1", "customer": "ann", "status": "open", "items": [
        { "sku": "tea", "quantity": 2, "price": "12.50" }, { "sku": "nail", "quantity": 100, "price": "5 cents" },
    ] });
    let answers = testing::transform(&mut orders, &[testing::record("A-1", order.to_string())]);
    assert_eq!((answers[0].outcome, answers[0].outputs.len()), (Outcome::Rejected, 0));
    let failure = answers[0].failure.as_ref().unwrap();
    assert_eq!((failure.code(), failure.pointer_text()), ("not-an-amount", Some("/items/1/price")));
}

#[test]
fn a_currency_is_three_capital_letters() {
    let error = testing::transformer::<Orders>(json!({ "currency": "euro" })).unwrap_err();
    assert_eq!(error.failure().pointer_text(), Some("/currency"));
}
