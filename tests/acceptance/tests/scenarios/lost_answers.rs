//! The ERP books a purchase, and its answer is lost.

use anyhow::{Context, Result};
use crossdock_acceptance::{Lines, Shop};
use serde_json::{Value, json};

/// What the ERP does to one request, once.
#[derive(Debug, Clone, Copy)]
enum Lost {
    /// The document was booked.
    After,
    /// It was not.
    Before,
}

impl Lost {
    fn word(self) -> &'static str {
        match self {
            Self::After => "after",
            Self::Before => "before",
        }
    }
}

/// With a destination that can tell, the run itself settles what is in doubt. `posts`: how often the purchase is sent.
#[track_caller]
fn check(edit: impl Fn(&Shop) -> Result<()>, lost: Lost, posts: usize) {
    let all = || -> Result<()> {
        let shop = Shop::open(Lines::First(40))?;
        shop.replace_line("retry = ", "retry = { attempts = 5, first = \"10ms\", max = \"50ms\", total = \"1m\" }")?;
        edit(&shop)?;
        let id = shop.worthwhile().nth(16).context("too few purchases")?.id.clone();
        shop.faults(&json!([{ "references": [id], "cut": lost.word(), "times": 1 }]))?;
        let _ = shop.run()?.exits(0);
        let books = shop.books()?;
        books.hold(shop.worthwhile());
        assert_eq!(books.posts(Some(&id)).len(), posts);
        assert_eq!(first_outcome(&shop, &id)?, "unknown");
        assert_eq!(shop.json(&["record", &id])?["status"], "ok");
        shop.verify()
    };
    if let Err(error) = all() {
        panic!("{lost:?}: {error:?}");
    }
}

fn first_outcome(shop: &Shop, id: &str) -> Result<Value> {
    Ok(shop.json(&["record", id])?["attempts_made"][0]["outcome"].clone())
}

/// The ERP is asked by reference, because it has no key.
fn probe_without_key(shop: &Shop) -> Result<()> {
    shop.replace_line("idempotency_header", "")?;
    shop.edit_route("/documents?key={{ key }}", "/documents?reference={{ id }}")
}

#[test]
fn with_an_idempotency_key_there_is_no_second_document() {
    check(|_| Ok(()), Lost::After, 2);
    check(|_| Ok(()), Lost::Before, 2);
}

#[test]
fn with_a_probe_it_is_found_out() {
    check(probe_without_key, Lost::After, 1);
    check(probe_without_key, Lost::Before, 2);
}

#[test]
fn with_neither_a_person_settles_it() -> Result<()> {
    let shop = Shop::open(Lines::First(40))?;
    for line in ["idempotency_header", "probe", "retry"] {
        shop.replace_line(line, "")?;
    }
    let mut ids = shop.worthwhile().map(|purchase| purchase.id.clone());
    let (booked, lost) = (ids.nth(4).context("too few")?, ids.nth(8).context("too few")?);
    shop.faults(&json!([{ "references": [booked], "cut": "after" }, { "references": [lost], "cut": "before" }]))?;

    let run = shop.run_json()?.exits(5).json()?;
    assert_eq!((&run["status"], &run["counts"]["indeterminate"]), (&json!("completed-with-failures"), &json!(2)));
    let mut in_doubt = vec![booked.clone(), lost.clone()];
    in_doubt.sort();
    assert_eq!(shop.ids("indeterminate")?, in_doubt);

    // Nobody tries again: not the next run, not a resync, not a probe.
    shop.lift_faults()?;
    let requests = shop.books()?.posts(None).len();
    let _ = shop.run()?;
    let plan = shop.json(&["resync", "--status", "indeterminate", "--plan"])?;
    let verdicts: Vec<_> =
        plan["plan"]["records"].as_array().into_iter().flatten().map(|r| r["verdict"].clone()).collect();
    assert_eq!(verdicts, ["indeterminate", "indeterminate"], "{plan}");
    let _ =
        shop.crossdock(&["probe", "--record", &booked])?.exits(5).says(&["probe-not-possible", "crossdock resolve"]);
    assert_eq!(shop.books()?.posts(None).len(), requests);
    assert_eq!(shop.ids("indeterminate")?, in_doubt);

    // A person looks into the ERP and says so.
    let said =
        ["resolve", "--record", &booked, "--applied", "--target-id", "DOC-000005", "--reason", "seen in the ERP"];
    let _ = shop.crossdock(&said)?.exits(0);
    let record = shop.json(&["record", &booked])?;
    assert_eq!(record["status"], "ok");
    assert!(record.to_string().contains("DOC-000005") && record.to_string().contains("seen in the ERP"), "{record}");
    let _ = shop.crossdock(&["resolve", "--record", &lost, "--not-applied", "--reason", "not in the ERP"])?.exits(0);
    assert_eq!(shop.ids("failed")?, std::slice::from_ref(&lost));
    // Deciding twice is refused.
    let again = shop.crossdock(&["resolve", "--record", &booked, "--not-applied", "--reason", "changed my mind"])?;
    let _ = again.exits(2);
    let _ = shop.crossdock(&["resync", "--status", "failed", "--yes"])?.exits(0);
    let books = shop.books()?;
    books.hold(shop.worthwhile());
    assert_eq!(books.posts(None).len(), requests + 1);
    shop.verify()
}

#[test]
fn a_probe_settles_what_an_earlier_run_left() -> Result<()> {
    let shop = Shop::open(Lines::First(30))?;
    probe_without_key(&shop)?;
    // One attempt: the run leaves it in doubt.
    shop.replace_line("retry = ", "retry = { attempts = 1 }")?;
    let mut ids = shop.worthwhile().map(|purchase| purchase.id.clone());
    let (booked, lost) = (ids.nth(4).context("too few")?, ids.nth(8).context("too few")?);
    shop.faults(&json!([{ "references": [booked], "cut": "after" }, { "references": [lost], "cut": "before" }]))?;
    let _ = shop.run()?.exits(5);
    shop.lift_faults()?;
    let requests = shop.books()?.posts(None).len();
    let _ = shop.crossdock(&["probe", "--status", "indeterminate", "--yes"])?.exits(4);
    assert_eq!(shop.books()?.posts(None).len(), requests, "a probe only asks");
    assert_eq!(shop.json(&["record", &booked])?["status"], "ok");
    assert_eq!(shop.ids("failed")?, [lost]);
    let _ = shop.crossdock(&["resync", "--status", "failed", "--yes"])?.exits(0);
    shop.books()?.hold(shop.worthwhile());
    shop.verify()
}
