//! Payment cannot be used for a while: records wait, spend no attempts, and come through by themselves.

use anyhow::{Context, Result};
use crossdock_acceptance::{Chain, until};
use serde_json::{Value, json};

const QUICK: &str = "breaker = { failures = 5, open = \"150ms\", max = \"300ms\", total = \"5m\" }";
const FEW_ATTEMPTS: &str = "retry = { attempts = 3, first = \"10ms\", max = \"5s\", total = \"5m\" }";

/// Payment's requests, oldest first.
fn requests(chain: &Chain) -> Result<Vec<Value>> {
    let ledger = chain.payment.ask("GET", "/_ledger", "")?;
    ledger["requests"].as_array().cloned().context("no requests")
}

fn failed_checks(chain: &Chain, status: u16) -> Result<usize> {
    Ok(requests(chain)?.iter().filter(|request| request["path"] == "/health" && request["status"] == status).count())
}

/// Once a check has failed, nothing but checks comes until one went well.
#[track_caller]
fn no_order_is_used_to_find_out(requests: &[Value]) {
    let mut open = false;
    for request in requests {
        if request["path"] == "/health" {
            open = request["status"] != 200;
        } else {
            assert!(!open, "while payment was left alone it got {request}");
        }
    }
}

fn patient(orders: usize) -> Result<Chain> {
    let chain = Chain::open(orders)?;
    chain.replace_line_of("charge", "breaker = ", QUICK)?;
    chain.replace_line_of("charge", "retry = ", FEW_ATTEMPTS)?;
    Ok(chain)
}

#[test]
fn an_outage_then_too_many_requests_then_another_token() -> Result<()> {
    let mut chain = patient(150)?;
    // Unavailable, its check too, for longer than all attempts of a record would last.
    chain.payment.faults(&json!([{ "method": "*", "answer": 503 }]))?;
    let mut run = chain.start_run()?;
    assert!(until(&mut run, || Ok(failed_checks(&chain, 503)? >= 6))?, "{}", run.finish()?.all());
    let refused = requests(&chain)?.iter().filter(|request| request["method"] == "POST").count();
    assert!((5..=20).contains(&refused), "{refused} orders were sent into the outage");

    // Then it asks for time. The answers are slow, so that all of this falls into one run.
    chain.payment.faults(&json!([{ "delay_ms": 10 }, { "answer": 429, "retry_after_s": 1, "times": 2 }]))?;
    let asked = |chain: &Chain| Ok(requests(chain)?.iter().any(|request| request["status"] == 429));
    assert!(until(&mut run, || asked(&chain))?, "{}", run.finish()?.all());

    // Then it wants another token, which the command does not have yet.
    chain.payment.wants_token("token-of-the-second-day")?;
    assert!(until(&mut run, || Ok(failed_checks(&chain, 401)? >= 3))?, "{}", run.finish()?.all());
    chain.put_token("token-of-the-second-day")?;

    let _ = run.finish()?.exits(0);
    let _ =
        chain.crossdock(&["events", "--limit", "1000"])?.exits(0).says(&["connector-down", "connector-up", "charge"]);
    no_order_is_used_to_find_out(&requests(&chain)?);
    let ledgers = chain.ledgers()?;
    ledgers.hold(chain.orders().iter().map(|order| order.id.as_str()), []);
    for order in chain.orders() {
        let sent = ledgers.story(&order.id).iter().filter(|what| what.starts_with("payment")).count();
        assert!(sent <= 5, "{} was sent {sent} times: {:?}", order.id, ledgers.story(&order.id));
        assert_eq!(ledgers.effects(&order.id), ["stock created", "payment created", "shipping created"]);
    }
    chain.verify()
}

#[test]
fn refused_credentials_hold_orders_up_and_cost_them_nothing() -> Result<()> {
    let mut chain = patient(60)?;
    chain.payment.wants_token("token-of-the-second-day")?;
    let mut run = chain.start_run()?;
    assert!(until(&mut run, || Ok(failed_checks(&chain, 401)? >= 3))?, "{}", run.finish()?.all());
    let refused = requests(&chain)?.iter().filter(|request| request["method"] == "POST").count();
    assert!((1..=8).contains(&refused), "one request under way in each place at most: {refused}");
    chain.put_token("token-of-the-second-day")?;
    let _ = run.finish()?.exits(0);
    no_order_is_used_to_find_out(&requests(&chain)?);
    chain.ledgers()?.hold(chain.orders().iter().map(|order| order.id.as_str()), []);
    let events = chain.crossdock(&["events", "--limit", "1000"])?.exits(0);
    let _ = events.says(&["refuses the credentials", "can be used again"]);

    // Credentials that stay wrong end the run, and nothing is held against the orders.
    let brief = "breaker = { failures = 3, open = \"50ms\", max = \"50ms\", total = \"300ms\" }";
    chain.replace_line_of("charge", "breaker = ", brief)?;
    chain.add_orders(5)?;
    chain.put_token("token-of-somebody-else")?;
    let _ = chain.run()?.exits(3).says(&["connector-unauthorized", "charge"]);
    assert_eq!(chain.ids("failed")?, [""; 0]);
    chain.put_token("token-of-the-second-day")?;
    let _ = chain.run()?.exits(0);
    chain.ledgers()?.hold(chain.orders().iter().map(|order| order.id.as_str()), []);
    chain.verify()
}

#[test]
fn what_waits_is_pending_for_all_to_see_and_survives_a_kill() -> Result<()> {
    let chain = patient(30)?;
    chain.payment.faults(&json!([{ "method": "*", "answer": 503 }]))?;
    let mut run = chain.start_run()?;
    assert!(until(&mut run, || Ok(failed_checks(&chain, 503)? >= 2))?, "{}", run.finish()?.all());
    assert!(run.kill()?);
    chain.payment.lift_faults()?;
    let _ = chain.run()?.exits(0);
    let ledgers = chain.ledgers()?;
    ledgers.hold(chain.orders().iter().map(|order| order.id.as_str()), []);
    for order in chain.orders() {
        assert_eq!(ledgers.effects(&order.id), ["stock created", "payment created", "shipping created"]);
    }
    chain.verify()
}

#[test]
fn a_connector_that_stays_down_ends_the_run_and_nothing_is_held_against_the_records() -> Result<()> {
    let chain = Chain::open(20)?;
    let brief = "breaker = { failures = 3, open = \"50ms\", max = \"50ms\", total = \"300ms\" }";
    chain.replace_line_of("charge", "breaker = ", brief)?;
    chain.replace_line_of(
        "charge",
        "retry = ",
        "retry = { attempts = 10, first = \"1s\", max = \"5s\", total = \"5m\" }",
    )?;
    chain.payment.faults(&json!([{ "method": "*", "answer": 503 }]))?;
    let _ = chain.run()?.exits(3).says(&["connector-down", "charge"]);
    assert_eq!(chain.ids("failed")?, [""; 0]);
    chain.payment.lift_faults()?;
    let _ = chain.run()?.exits(0);
    chain.ledgers()?.hold(chain.orders().iter().map(|order| order.id.as_str()), []);
    chain.verify()
}
