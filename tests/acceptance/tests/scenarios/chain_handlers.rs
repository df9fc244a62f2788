//! Handlers are called once with what became of a record, change nothing of it, and are not lost; orders of one customer
//! stay in their order.

use anyhow::{Context, Result};
use crossdock_acceptance::{Chain, until};
use serde_json::json;

fn ids(chain: &Chain) -> impl Iterator<Item = &str> {
    chain.orders().iter().map(|order| order.id.as_str())
}

#[test]
fn each_order_is_marked_once_and_left_out_by_the_next_run() -> Result<()> {
    let mut chain = Chain::open(25)?;
    let (refused_early, refused_late) = (chain.id(3).to_owned(), chain.id(9).to_owned());
    chain.stock.faults(&json!([{ "references": [refused_early], "answer": 422, "message": "Sold out" }]))?;
    chain.shipping.faults(&json!([{ "references": [refused_late], "answer": 422, "message": "Address unknown" }]))?;
    let run = chain.run_json()?.exits(4).json()?;
    let ledgers = chain.ledgers()?;
    let refused = [refused_early.as_str(), refused_late.as_str()];
    ledgers.hold(ids(&chain).filter(|id| !refused.contains(id)), refused);
    for order in ids(&chain) {
        let expected: &[&str] = match order {
            _ if order == refused_early => &["failed reserve: "],
            _ if order == refused_late => &["failed ship: ", "charge DOC-", "reservation DOC-"],
            _ => &["processed"],
        };
        let marks = ledgers.marks(order);
        assert_eq!(marks.len(), expected.len(), "{order}: {marks:?}");
        assert!(expected.iter().all(|wanted| marks.iter().any(|mark| mark.starts_with(wanted))), "{marks:?}");
    }
    assert!(ledgers.marks(&refused_early)[0].contains("Sold out"), "{:?}", ledgers.marks(&refused_early));
    // The shop was told of the run too, once, with its report.
    assert_eq!(ledgers.notices.len(), 1, "{:?}", ledgers.notices);
    assert!(ledgers.notices[0].to_string().contains(run["run"].as_str().context("no run")?), "{:?}", ledgers.notices);

    let again = chain.run_json()?.exits(0).json()?;
    assert_eq!(again["read"], 0);
    chain.add_orders(3)?;
    let more = chain.run_json()?.exits(0).json()?;
    assert_eq!(more["read"], 3, "{more}");
    assert_eq!(chain.ledgers()?.notices.len(), 1, "a run that went well tells nothing");
    chain.verify()
}

#[test]
fn a_handler_that_fails_changes_nothing_of_the_order() -> Result<()> {
    let chain = Chain::open(8)?;
    let unlucky = chain.id(2).to_owned();
    chain.shop.faults(&json!([{ "references": [unlucky], "answer": 422, "message": "The order is locked" }]))?;
    let _ = chain.run()?.exits(0);
    let ledgers = chain.ledgers()?;
    assert_eq!((ledgers.documents(&unlucky), ledgers.status(&unlucky)), ([1; 3], "new"));
    assert_eq!(chain.json(&["record", &unlucky])?["status"], "ok");
    let _ = chain.crossdock(&["record", &unlucky])?.exits(0).says(&["on_success", "The order is locked"]);
    let _ =
        chain.crossdock(&["events", "--record", &unlucky])?.exits(0).says(&["ship.on_success", "The order is locked"]);
    chain.verify()
}

#[test]
fn a_call_that_was_not_made_when_the_process_died_is_made_by_the_next_run() -> Result<()> {
    let chain = Chain::open(8)?;

    chain.shop.faults(&json!([{ "answer": 503 }]))?;
    let mut run = chain.start_run()?;
    let shipped = || Ok(chain.ledgers()?.requests_at("shipping") == 8 && chain.shop.first_fault_met()? >= 1);
    assert!(until(&mut run, shipped)?, "the run ended before it could be killed");
    assert!(run.kill()?);
    let ledgers = chain.ledgers()?;
    assert!(ids(&chain).all(|id| ledgers.marks(id).is_empty()), "nothing could be marked");
    chain.shop.lift_faults()?;
    let again = chain.run_json()?.exits(0).json()?;
    let ledgers = chain.ledgers()?;
    ledgers.hold(ids(&chain), []);
    for order in ids(&chain) {
        assert_eq!(ledgers.marks(order), ["processed"], "{order}");
        assert_eq!(ledgers.effects(order), ["stock created", "payment created", "shipping created"], "{again}");
    }
    chain.verify()
}

#[test]
fn an_order_that_waits_holds_up_its_customer_only() -> Result<()> {
    let chain = Chain::open(40)?;
    chain.replace_line_of(
        "reserve",
        "retry = ",
        "retry = { attempts = 1000, first = \"10ms\", max = \"100ms\", total = \"1h\" }",
    )?;
    chain.replace_line_of("reserve", "breaker = ", "breaker = { failures = 10000 }")?;
    let orders = chain.orders();
    let first = orders.windows(2).position(|pair| pair[0].customer == pair[1].customer).context("no such customer")?;
    let customer = orders[first].customer.clone();
    let (his, others): (Vec<_>, Vec<_>) = orders.iter().partition(|order| order.customer == customer);
    chain.stock.faults(&json!([{ "references": [his[0].id], "answer": 503 }]))?;
    let mut run = chain.start_run()?;
    let all_others = || chain.ledgers().map(|l| others.iter().all(|order| l.documents(&order.id) == [1; 3]));
    assert!(until(&mut run, all_others)?, "{}", run.finish()?.all());
    let ledgers = chain.ledgers()?;
    assert!(his[1..].iter().all(|order| ledgers.story(&order.id).is_empty()), "an order went past an earlier one");
    let waiting = chain.crossdock(&["record", &his[1].id])?;
    let _ = waiting.says(&["pending", "waits-for-order", &his[0].id]);
    chain.stock.lift_faults()?;
    let _ = run.finish()?.exits(0);
    let ledgers = chain.ledgers()?;
    ledgers.hold(ids(&chain), []);
    for service in ["stock", "payment", "shipping"] {
        let requests = chain.service(service).ask("GET", "/_ledger", "")?;
        let requests = requests["requests"].as_array().context("no requests")?;
        let when =
            |id: &str| requests.iter().position(|request| request["reference"] == id && !request["applied"].is_null());
        let order: Vec<_> = his.iter().map(|order| when(&order.id)).collect();
        assert!(order.is_sorted() && order.iter().all(Option::is_some), "{service}: {order:?}");
    }
    chain.verify()
}
