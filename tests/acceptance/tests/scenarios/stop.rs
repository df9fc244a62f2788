//! `on_error = "stop"`, the default: nothing behind a failed record is touched.

use anyhow::{Context, Result};
use crossdock_acceptance::{Lines, Shop};
use serde_json::json;

#[test]
fn the_route_stops_at_the_failed_record_and_goes_on_after_the_fix() -> Result<()> {
    let shop = Shop::open(Lines::First(120))?;
    shop.replace_line("on_error = ", "batch = { records = 50 }")?;
    let refused = shop.worthwhile().nth(36).context("less than 37 purchases")?.clone();
    let place = shop.purchases().iter().position(|purchase| purchase.id == refused.id).context("not there")?;
    let (before, behind) = (&shop.purchases()[..place], &shop.purchases()[place + 1..]);
    shop.faults(&json!([{ "references": [refused.id], "answer": 422, "message": "Credit limit exceeded" }]))?;

    let run = shop.run_json()?.exits(4).json()?;
    assert_eq!(run["status"], "failed");
    assert_eq!(run["reason"]["code"], "stopped-at-record");
    assert!(run["reason"]["message"].as_str().is_some_and(|text| text.contains(&refused.id)), "{run}");
    assert_eq!(shop.ids("failed")?, std::slice::from_ref(&refused.id));
    // The others of its batch are known, and new; later batches were not begun.
    let new = shop.ids("new")?;
    let mut expected: Vec<String> = behind[..50 - place - 1].iter().map(|purchase| purchase.id.clone()).collect();
    expected.sort();
    assert_eq!(new, expected);
    let books = shop.books()?;
    books.hold(before.iter().filter(|purchase| !purchase.is_dropped()));
    assert!(behind.iter().all(|purchase| books.posts(Some(&purchase.id)).is_empty()), "the ERP saw a later one");
    shop.verify()?;

    // Once more without a fix: the same, and still nothing behind it.
    let _ = shop.run()?.exits(4).says(&[&refused.id]);
    shop.books()?.hold(before.iter().filter(|purchase| !purchase.is_dropped()));

    // After the fix it goes on from there.
    shop.lift_faults()?;
    let requests = shop.books()?.posts(None).len();
    let _ = shop.run()?.exits(0);
    let books = shop.books()?;
    books.hold(shop.worthwhile());
    let rest = shop.worthwhile().count() - before.iter().filter(|purchase| !purchase.is_dropped()).count();
    assert_eq!(books.posts(None).len(), requests + rest, "what was booked before is not sent again");
    assert_eq!(shop.ids("failed")?, [""; 0]);
    assert_eq!(shop.ids("new")?, [""; 0]);
    shop.verify()
}
