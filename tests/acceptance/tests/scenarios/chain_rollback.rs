//! Shipping refuses an order: what stock and payment did is undone, newest first, each once, whatever dies between.

use anyhow::{Context, Result};
use crossdock_acceptance::{Chain, Ledgers, SERVICES, until};
use serde_json::{Value, json};

const DONE_AND_UNDONE: [&str; 4] = ["stock created", "payment created", "payment cancelled", "stock cancelled"];
const WHOLE: [&str; 3] = ["stock created", "payment created", "shipping created"];
/// Attempts follow each other at once, and the breaker keeps out of it.
const TWENTY: &str = "retry = { attempts = 20, first = \"1ms\", max = \"5ms\", total = \"5m\" }";
const NO_BREAKER: &str = "breaker = { failures = 10000 }";

fn all_but<'a>(chain: &'a Chain, one: &'a str) -> impl Iterator<Item = &'a str> {
    chain.orders().iter().map(|order| order.id.as_str()).filter(move |id| *id != one)
}

/// The shop was told each thing once.
#[track_caller]
fn told(ledgers: &Ledgers, order: &str, beginnings: &[&str]) {
    let marks = ledgers.marks(order);
    assert_eq!(marks.len(), beginnings.len(), "{marks:?}");
    for beginning in beginnings {
        assert_eq!(marks.iter().filter(|mark| mark.starts_with(beginning)).count(), 1, "{beginning} in {marks:?}");
    }
}

/// Shipping refuses one of twelve orders. If it is said, the run is killed as soon as so many requests about the order
/// took effect, before their answers come; then the route is run again.
#[track_caller]
fn check(kill_after: Option<usize>) {
    let all = || -> Result<()> {
        let chain = Chain::open(12)?;
        let refused = chain.id(4).to_owned();
        let refuses = json!({ "references": [refused], "answer": 422, "message": "Address unknown" });
        chain.shipping.faults(&json!([refuses]))?;
        if let Some(requests) = kill_after {
            let late = json!({ "references": [refused], "method": "*", "delay_ms": 300 });
            chain.stock.faults(&json!([late]))?;
            chain.payment.faults(&json!([late]))?;
            chain.shipping.faults(&json!([refuses, late]))?;
            let mut run = chain.start_run()?;
            let running = until(&mut run, || Ok(chain.ledgers()?.story(&refused).len() >= requests))?;
            assert!(running && run.kill()?, "the run ended before it could be killed");
            chain.is_whole()?;
        }
        let run = chain.run()?.exits(4);
        let ledgers = chain.ledgers()?;
        assert_eq!(ledgers.effects(&refused), DONE_AND_UNDONE, "{:?}", ledgers.story(&refused));
        ledgers.hold(all_but(&chain, &refused), [refused.as_str()]);
        for other in all_but(&chain, &refused) {
            assert_eq!(ledgers.effects(other), WHOLE, "{other}");
        }
        told(&ledgers, &refused, &["failed ship: ", "charge DOC-", "reservation DOC-"]);
        if kill_after.is_none() {
            let story = ["stock created", "payment created", "shipping 422", "payment cancelled", "stock cancelled"];
            assert_eq!(ledgers.story(&refused), story);
            let _ = run.says(&["rolled-back", "Address unknown", &refused]);
        }
        assert_eq!(chain.ids("rolled-back")?, std::slice::from_ref(&refused));
        let _ = chain.crossdock(&["record", &refused])?.says(&["rolled-back", "reserve", "charge", "ship", "http-422"]);
        // The next run leaves it out, and all the others.
        let again = chain.run_json()?.exits(0).json()?;
        assert_eq!((&again["read"], &again["status"]), (&json!(0), &json!("ok")), "{again}");
        assert_eq!(chain.ledgers()?.effects(&refused), DONE_AND_UNDONE);
        chain.verify()
    };
    if let Err(error) = all() {
        panic!("killed after {kill_after:?}: {error:?}");
    }
}

#[test]
fn what_was_done_is_undone_newest_first() {
    check(None);
}

#[test]
fn and_once_when_killed_after_the_reservation() {
    check(Some(1));
}

#[test]
fn and_once_when_killed_after_the_charge() {
    check(Some(2));
}

#[test]
fn and_once_when_killed_after_the_refusal() {
    check(Some(3));
}

#[test]
fn and_once_when_killed_after_the_refund() {
    check(Some(4));
}

#[test]
fn and_once_when_killed_after_the_release() {
    check(Some(5));
}

/// A chain whose refund for one order has failed twenty times.
fn refund_failed() -> Result<(Chain, String)> {
    let chain = Chain::open(10)?;
    let refused = chain.id(6).to_owned();
    chain.replace_line_of("charge", "retry = ", TWENTY)?;
    chain.replace_line_of("charge", "breaker = ", NO_BREAKER)?;
    chain.shipping.faults(&json!([{ "references": [refused], "answer": 422 }]))?;
    chain.payment.faults(&json!([{ "references": [refused], "method": "DELETE", "answer": 503 }]))?;
    let _ = chain.run()?.exits(5).says(&["rollback-failed", &refused, "crossdock rollback"]);
    let ledgers = chain.ledgers()?;
    assert_eq!(ledgers.story(&refused).iter().filter(|what| **what == "payment 503").count(), 20);
    // What was done before the step that cannot be undone stays until that is mended.
    assert_eq!(ledgers.documents(&refused), [1, 1, 0]);
    for view in [vec!["records"], vec!["record", &refused], vec!["rollback", "list"], vec!["runs"]] {
        let _ = chain.crossdock(&view)?.says(&["rollback-failed"]);
    }
    let _ = chain.crossdock(&["rollback", "list"])?.exits(5).says(&[&refused, "charge", "http-503"]);
    let _ = chain.crossdock(&["verify"])?.exits(5);
    // Another run does not touch it, and stays loud.
    let _ = chain.run()?;
    assert_eq!(chain.ids("rollback-failed")?, std::slice::from_ref(&refused));
    assert_eq!(chain.ledgers()?.story(&refused).len(), ledgers.story(&refused).len());
    Ok((chain, refused))
}

#[test]
fn a_refund_that_fails_for_ever_is_loud_and_is_resumed_after_mending() -> Result<()> {
    let (chain, refused) = refund_failed()?;
    chain.payment.lift_faults()?;
    let _ = chain.crossdock(&["rollback", "resume", "--record", &refused])?.exits(0).says(&["rolled-back"]);
    let ledgers = chain.ledgers()?;
    assert_eq!(ledgers.effects(&refused), DONE_AND_UNDONE);
    ledgers.hold(all_but(&chain, &refused), [refused.as_str()]);
    assert_eq!(chain.ids("rolled-back")?, std::slice::from_ref(&refused));
    let _ = chain.crossdock(&["rollback", "list"])?.exits(0);
    chain.verify()
}

#[test]
fn or_a_person_undoes_it_and_says_so() -> Result<()> {
    let (chain, refused) = refund_failed()?;
    let before = chain.ledgers()?.story(&refused).len();
    let no_reason = chain.crossdock(&["rollback", "mark-done", "--record", &refused])?;
    let _ = no_reason.exits(2).says(&["--reason"]);
    let said = ["rollback", "mark-done", "--record", &refused, "--reason", "refunded by hand, stock released by phone"];
    let _ = chain.crossdock(&said)?.exits(0);
    assert_eq!(chain.ids("rolled-back")?, std::slice::from_ref(&refused));
    let _ = chain.crossdock(&["record", &refused])?.says(&["rolled-back", "refunded by hand"]);
    assert_eq!(chain.ledgers()?.story(&refused).len(), before, "mark-done sends nothing");
    chain.verify()
}

/// Payment books a charge in the middle of the chain, and its answer is lost.
#[track_caller]
fn check_lost(edit: impl Fn(&Chain) -> Result<()>, story: &[&str]) {
    let all = || -> Result<()> {
        let chain = Chain::open(10)?;
        edit(&chain)?;
        let lost = chain.id(3);
        chain.payment.faults(&json!([{ "references": [lost], "cut": "after", "times": 1 }]))?;
        let _ = chain.run()?.exits(0);
        let ledgers = chain.ledgers()?;
        assert_eq!(ledgers.story(lost), story);
        ledgers.hold(chain.orders().iter().map(|order| order.id.as_str()), []);
        chain.verify()
    };
    if let Err(error) = all() {
        panic!("{story:?}: {error:?}");
    }
}

#[test]
fn a_lost_answer_in_the_middle_with_a_key_is_asked_for_again() {
    check_lost(
        |chain| chain.replace_line_of("charge", "probe = ", ""),
        &["stock created", "payment created", "payment again", "shipping created"],
    );
}

#[test]
fn a_lost_answer_in_the_middle_with_a_probe_is_found_out() {
    check_lost(|chain| without_key(chain, "charge"), &WHOLE);
}

fn without_key(chain: &Chain, step: &str) -> Result<()> {
    // Its handlers have keys of their own.
    let text = chain.text(chain.route())?;
    let heading = format!("name = \"{step}\"");
    let from = text.find(&heading).context("no such step")?;
    let line = "idempotency_header = \"Idempotency-Key\"\n";
    let at = from + text[from..].find(line).context("no key")?;
    chain.write(chain.route(), format!("{}{}", &text[..at], &text[at + line.len()..]))
}

#[test]
fn a_lost_answer_in_the_middle_with_neither_waits_for_a_person() -> Result<()> {
    let chain = Chain::open(10)?;
    without_key(&chain, "charge")?;
    chain.replace_line_of("charge", "probe = ", "")?;
    chain.replace_line_of("charge", "retry = ", "")?;
    let (booked, lost) = (chain.id(3).to_owned(), chain.id(7).to_owned());
    chain
        .payment
        .faults(&json!([{ "references": [booked], "cut": "after" }, { "references": [lost], "cut": "before" }]))?;
    let _ = chain.run()?.exits(5).says(&["indeterminate"]);
    chain.payment.lift_faults()?;
    assert_eq!(chain.ids("indeterminate")?, [booked.clone(), lost.clone()]);
    let before = chain.ledgers()?;
    assert_eq!((before.documents(&booked), before.documents(&lost)), ([1, 1, 0], [1, 0, 0]));
    let _ = chain.run()?;
    assert_eq!(chain.ledgers()?.requests_at("payment"), before.requests_at("payment"), "nobody tries again");

    // Applied: the chain goes on with the target id that the person found. Not applied: what was done before is undone.
    let id = target_id(&chain, &booked)?;
    let applied = ["resolve", "--record", &booked, "--applied", "--target-id", &id, "--reason", "seen in payment"];
    let _ = chain.crossdock(&applied)?.exits(0);
    let _ = chain.crossdock(&["resolve", "--record", &lost, "--not-applied", "--reason", "not in payment"])?;
    let _ = chain.run()?;
    let _ = chain.crossdock(&["resync", "--record", &lost, "--yes"])?;
    let ledgers = chain.ledgers()?;
    assert_eq!(ledgers.story(&booked), WHOLE);
    ledgers.hold(chain.orders().iter().map(|order| order.id.as_str()), []);
    chain.verify()
}

fn target_id(chain: &Chain, order: &str) -> Result<String> {
    let found = chain.payment.ask("GET", &format!("/_ledger?reference={order}"), "")?;
    Ok(found["documents"][0]["id"].as_str().context("payment has no such charge")?.to_owned())
}

/// `rollback = "run"`: whatever one bad order makes of the run, all of it is undone.
fn all_or_nothing(chain: &Chain) -> Result<()> {
    chain.replace_line("on_error = ", "")?;
    chain.replace_line("rollback = ", "rollback = \"run\"")?;
    let probe = "probe = { path = \"/documents?reference={{ id }}\", applied = { pointer = \"/0/id\" }, \
                 target_id = \"/0/id\" }\ncompensate = { path = \"/documents/{{ target_id }}\" }";
    chain.replace_line_of("ship", "probe = ", probe)
}

#[test]
fn all_or_nothing_leaves_nothing_and_after_mending_all() -> Result<()> {
    let chain = Chain::open(200)?;
    all_or_nothing(&chain)?;
    let bad = chain.id(177).to_owned();
    chain.shipping.faults(&json!([{ "references": [bad], "answer": 422, "message": "Address unknown" }]))?;
    let run = chain.run_json()?.exits(4).json()?;
    assert_eq!(run["status"], "failed", "{run}");
    let ledgers = chain.ledgers()?;
    assert!(ledgers.requests_at("shipping") > 100, "the run came nowhere");
    for order in chain.orders() {
        assert_eq!(ledgers.documents(&order.id), [0; 3], "{}: {:?}", order.id, ledgers.story(&order.id));
        assert_ne!(ledgers.status(&order.id), "processed", "{}", order.id);
    }
    chain.verify()?;
    chain.shipping.lift_faults()?;
    // What a handler marked failed is new again once a person has mended it.
    chain.shop.ask("POST", &format!("/orders/{bad}/mark"), "{\"status\":\"new\"}")?;
    let _ = chain.run()?.exits(0);
    chain.ledgers()?.hold(chain.orders().iter().map(|order| order.id.as_str()), []);
    chain.verify()
}

#[test]
fn all_or_nothing_asks_first_about_what_is_in_doubt() -> Result<()> {
    let chain = Chain::open(30)?;
    all_or_nothing(&chain)?;
    without_key(&chain, "charge")?;
    chain.replace_line_of("charge", "retry = ", "retry = { attempts = 1 }")?;
    let lost = chain.id(11).to_owned();
    // The answer is lost, and there is no further attempt in which payment would be asked.
    chain.payment.faults(&json!([{ "references": [lost], "cut": "after", "times": 1 }]))?;
    let run = chain.run()?.exits(4);
    let ledgers = chain.ledgers()?;
    for order in chain.orders() {
        assert_eq!(ledgers.documents(&order.id), [0; 3], "{}: {:?}", order.id, ledgers.story(&order.id));
    }
    assert_eq!(ledgers.effects(&lost), DONE_AND_UNDONE, "{}", run.all());
    assert_eq!(chain.records(&["--status", "indeterminate"])?, Vec::<Value>::new());
    chain.verify()
}

#[test]
fn a_cancel_undoes_what_is_half_done_and_a_kill_does_not() -> Result<()> {
    for cancel in [true, false] {
        let chain = Chain::open(40)?;
        chain.replace_line("batch = ", "batch = { records = 10 }")?;
        let slow = json!([{ "delay_ms": 30 }]);
        chain.payment.faults(&slow)?;
        let mut run = chain.start_run()?;
        assert!(until(&mut run, || Ok(chain.ledgers()?.requests_at("payment") >= 14))?, "the run ended too soon");
        if cancel {
            run.interrupt()?;
            let _ = run.finish()?.exits(4);
        } else {
            assert!(run.kill()?);
        }
        chain.payment.lift_faults()?;
        let ledgers = chain.ledgers()?;
        let stories = chain.orders().iter().map(|order| ledgers.effects(&order.id));
        let undone = stories.filter(|effects| effects.iter().any(|what| what.ends_with("cancelled"))).count();
        let half = chain.orders().iter().filter(|order| !matches!(ledgers.documents(&order.id), [0, 0, 0] | [1, 1, 1]));
        match cancel {
            true => assert_eq!(half.count(), 0, "a cancelled run leaves nothing half done"),
            false => assert!(undone == 0 && half.count() > 0, "a killed run undoes nothing"),
        }
        let _ = chain.run()?;
        let ledgers = chain.ledgers()?;
        for order in chain.orders() {
            assert_eq!(ledgers.documents(&order.id), [1; 3], "{}: {:?}", order.id, ledgers.story(&order.id));
        }
        assert!(SERVICES.iter().all(|service| ledgers.requests_at(service) >= 40));
        chain.verify()?;
    }
    Ok(())
}
