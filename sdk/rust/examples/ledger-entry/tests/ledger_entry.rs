//! The plugin under plain `cargo test`, with the books played by a function. The files in `cases/` try the component
//! itself: `crossdock plugin test`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_sdk::http::{HttpError, Response};
use crossdock_sdk::testing::{self, Outcome};
use ledger_entry::LedgerEntry;
use serde_json::json;

/// The plugin, before books that answer so. `deleted` counts.
fn with_books(answer: impl Fn(&str) -> Result<Response, HttpError> + 'static) -> LedgerEntry {
    testing::secret("BOOKS_KEY", "s3cret");
    testing::http(move |request| {
        let key = request.headers.iter().find(|(name, _)| name == "authorization").map(|(_, value)| value);
        assert_eq!(testing::rendered(key.unwrap()), "Bearer s3cret");
        answer(&request.method)
    });
    let settings = json!({ "base": "https://books.example.com", "secret": "BOOKS_KEY", "account": "4400" });
    testing::destination(settings).unwrap()
}

fn line() -> testing::Given {
    let line = json!({ "customer": "ann", "sku": "tea", "quantity": 2, "cents": 2500, "currency": "EUR" });
    testing::record("A-1/1", line.to_string())
}

#[test]
fn what_was_entered_is_taken_back_by_another_instance() {
    let entered = |method: &str| match method {
        "POST" => Ok(Response::new(201, r#"{ "id": "E-7" }"#)),
        _ => Ok(Response::new(204, "")),
    };
    let written = testing::write(&mut with_books(entered), &[line()]).unwrap();
    assert_eq!((written[0].outcome, written[0].target_id.as_str()), (Outcome::Ok, "E-7"));
    let undone = testing::compensate(&mut with_books(entered), &[written[0].applied()]).unwrap();
    assert_eq!(undone[0].outcome, Outcome::Ok);
}

#[test]
fn a_lost_answer_is_unknown() {
    let lost = |_: &str| Err(HttpError::NoAnswer("the connection was cut".to_owned()));
    let written = testing::write(&mut with_books(lost), &[line()]).unwrap();
    assert_eq!(written[0].outcome, Outcome::Unknown);
}

#[test]
fn nothing_is_begun_when_the_time_does_not_suffice() {
    testing::remaining_ms(1_000);
    let written = testing::write(&mut with_books(|_| panic!("something was sent")), &[line()]).unwrap();
    assert_eq!(written[0].outcome, Outcome::Untouched);
}
