//! SIGKILL at seeded points of everything that writes: runs, rollbacks, handlers, backups. Then the services are asked.

use anyhow::{Result, ensure};
use crossdock_acceptance::{Chain, Dice, until};
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// How many kills, unless `CROSSDOCK_KILLS` says more.
const KILLS: u64 = 25;
/// As long as so many orders are not settled there is enough to be killed.
const ORDERS_AT_ONCE: usize = 30;
/// What no order is in the end.
const UNSETTLED: &str = "new,processing,pending,failed,rejected,indeterminate,rolling-back,rollback-failed";

fn number(variable: &str, default: u64) -> u64 {
    std::env::var(variable).ok().and_then(|text| text.parse().ok()).unwrap_or(default)
}

/// Which orders are refused, by whom. One in eight at shipping, one in sixteen at payment.
fn refused(chain: &Chain, dice: &mut Dice, known: &mut usize, refused: &mut [BTreeSet<String>; 2]) -> Result<()> {
    for order in &chain.orders()[*known..] {
        match dice.below(16) {
            0 | 1 => refused[0].insert(order.id.clone()),
            2 => refused[1].insert(order.id.clone()),
            _ => false,
        };
    }
    *known = chain.orders().len();
    // Besides, answers get lost, refunds fail at first, and everything is slow enough to be killed in between.
    chain.shipping.faults(
        &json!([{ "references": refused[0], "answer": 422 }, { "every": 23, "cut": "after" }, { "delay_ms": 3 }]),
    )?;
    chain.payment.faults(&json!([{ "references": refused[1], "answer": 422 }, { "every": 19, "cut": "before" },
        { "method": "DELETE", "every": 3, "answer": 503 }, { "method": "*", "delay_ms": 3 }]))?;
    chain.stock.faults(&json!([{ "every": 29, "cut": "after" }, { "method": "DELETE", "delay_ms": 10 }]))?;
    chain.shop.faults(&json!([{ "every": 13, "answer": 503 }, { "delay_ms": 2 }]))
}

fn settled(chain: &Chain) -> Result<usize> {
    let ledgers = chain.ledgers()?;
    Ok(chain.orders().iter().filter(|order| ledgers.status(&order.id) != "new").count())
}

/// Starts what is to be killed: mostly the route, now and then a backup while it runs.
fn kill_once(chain: &Chain, dice: &mut Dice, at: u64) -> Result<bool> {
    let mut run = chain.start_run()?;
    let running = match dice.below(4) {
        // While the process starts and the ledger is put in order.
        0 => !run.ends_within(Duration::from_millis(dice.below(150))),
        1 if chain.has_ledger() => {
            let to = format!("backup-{at}");
            let mut backup = chain.start(&["ledger", "backup", &to])?;
            let _ = backup.ends_within(Duration::from_millis(dice.below(120)));
            let _ = backup.kill()?;
            !run.ends_within(Duration::from_millis(dice.below(50)))
        }
        // After some more requests.
        _ => {
            let count = |chain: &Chain| -> Result<usize> {
                let ledgers = chain.ledgers()?;
                Ok(["stock", "payment", "shipping"].iter().map(|service| ledgers.requests_at(service)).sum())
            };
            let wanted = count(chain)? + usize::try_from(dice.below(40))?;
            until(&mut run, || Ok(count(chain)? >= wanted))? && !run.ends_within(Duration::from_millis(dice.below(12)))
        }
    };
    if running {
        return run.kill();
    }
    let outcome = run.finish()?;
    ensure!([0, 4].contains(&outcome.code), "a run that was not killed failed\n{}", outcome.all());
    Ok(false)
}

#[test]
fn each_order_is_in_all_three_or_in_none() -> Result<()> {
    let (seed, kills) = (number("CROSSDOCK_SEED", 2026), number("CROSSDOCK_KILLS", KILLS));
    let mut dice = Dice::new(seed);
    let mut chain = Chain::open(ORDERS_AT_ONCE)?;
    chain.replace_line("batch = ", "batch = { records = 8 }")?;
    for step in ["reserve", "charge", "ship"] {
        chain.replace_line_of(
            step,
            "retry = ",
            "retry = { attempts = 50, first = \"2ms\", max = \"20ms\", total = \"10m\" }",
        )?;
        chain.replace_line_of(
            step,
            "breaker = ",
            "breaker = { failures = 50, open = \"20ms\", max = \"50ms\", total = \"10m\" }",
        )?;
    }
    let (mut known, mut refuses) = (0, [BTreeSet::new(), BTreeSet::new()]);
    refused(&chain, &mut dice, &mut known, &mut refuses)?;
    let (mut killed, mut in_vain, mut done) = (0, 0, 0);
    while killed < kills {
        if chain.orders().len() - settled(&chain)? < ORDERS_AT_ONCE / 3 {
            chain.add_orders(ORDERS_AT_ONCE)?;
            refused(&chain, &mut dice, &mut known, &mut refuses)?;
        }
        if in_vain == 2 {
            // A third death in a row that leads nowhere would mean that a record is to blame: see `short_lives`.
            let outcome = chain.run()?;
            ensure!([0, 4].contains(&outcome.code), "seed {seed}: {}", outcome.all());
        } else {
            killed += u64::from(kill_once(&chain, &mut dice, killed)?);
        }
        let now = settled(&chain)?;
        in_vain = if now > done || in_vain == 2 { 0 } else { in_vain + 1 };
        done = now;
        if dice.below(8) == 0 && chain.has_ledger() {
            // What a killed process leaves behind is sound before anything mends it.
            chain.is_whole()?;
        }
    }
    let outcome = chain.run()?;
    ensure!([0, 4].contains(&outcome.code), "seed {seed}: {}", outcome.all());
    eprintln!("seed {seed}: killed {killed} times over {} orders", chain.orders().len());
    everything_agrees(&chain, &refuses)
}

fn everything_agrees(chain: &Chain, refuses: &[BTreeSet<String>; 2]) -> Result<()> {
    let left: Vec<Value> = chain.records(&["--status", UNSETTLED])?;
    assert!(left.is_empty(), "left: {left:#?}");
    let ledgers = chain.ledgers()?;
    let none: BTreeSet<&str> = refuses.iter().flatten().map(String::as_str).collect();
    let whole = chain.orders().iter().map(|order| order.id.as_str()).filter(|id| !none.contains(id));
    ledgers.hold(whole, none.iter().copied());
    for order in chain.orders() {
        let expected: &[&str] = match () {
            () if refuses[0].contains(&order.id) => {
                &["stock created", "payment created", "payment cancelled", "stock cancelled"]
            }
            () if refuses[1].contains(&order.id) => &["stock created", "stock cancelled"],
            () => &["stock created", "payment created", "shipping created"],
        };
        assert_eq!(ledgers.effects(&order.id), expected, "{}: {:?}", order.id, ledgers.story(&order.id));
        let marks = ledgers.marks(&order.id).len();
        let calls = if none.contains(order.id.as_str()) { 1 + expected.len() / 2 } else { 1 };
        assert_eq!(marks, calls, "{}: {:?}", order.id, ledgers.marks(&order.id));
    }
    let mut customers: BTreeMap<&str, Vec<Option<usize>>> = BTreeMap::new();
    for order in chain.orders() {
        let place = ledgers.place_of(&order.id, "stock created");
        customers.entry(&order.customer).or_default().push(place);
    }
    for (customer, places) in customers {
        assert!(places.is_sorted(), "the orders of customer {customer} did not stay in their order: {places:?}");
    }
    chain.verify()?;
    let again = chain.run_json()?.exits(0).json()?;
    assert_eq!(again["read"], 0, "{again}");
    Ok(())
}

/// Killed so soon and so often that it gets nowhere: each life takes up what the one before left, and nothing is lost.
#[test]
fn short_lives() -> Result<()> {
    let (seed, kills) = (number("CROSSDOCK_SEED", 7), number("CROSSDOCK_KILLS", KILLS));
    let mut dice = Dice::new(seed);
    let chain = Chain::open(12)?;
    chain.replace_line("batch = ", "batch = { records = 4 }")?;
    let slow = json!([{ "method": "*", "delay_ms": 15 }]);
    [&chain.stock, &chain.payment, &chain.shipping].into_iter().try_for_each(|service| service.faults(&slow))?;
    for _ in 0..kills {
        let mut run = chain.start_run()?;
        let _ = run.ends_within(Duration::from_millis(40 + dice.below(160)));
        let _ = run.kill()?;
    }
    let outcome = chain.run()?;
    // A record with which too many processes died alone waits for a person, and with it what stands behind it.
    let left = chain.records(&["--status", UNSETTLED])?;
    let waits = |record: &&Value| record["code"] == "record-quarantined" || record["code"] == "waits-for-order";
    let (waiting, others): (Vec<_>, Vec<_>) = left.iter().partition(waits);
    assert!(others.is_empty(), "left: {others:#?}\n{}", outcome.all());
    let _ = chain.crossdock(&["report"])?.exits(if waiting.is_empty() { 0 } else { 5 });
    eprintln!("seed {seed}: {kills} short lives, {} wait for a person", waiting.len());
    // Oldest first, so that none is held up by an earlier one.
    let mut ids: Vec<&str> = waiting.iter().filter_map(|record| record["id"].as_str()).collect();
    ids.sort_unstable();
    for id in ids {
        let _ = chain.crossdock(&["resync", "--yes", "--record", id])?.exits(0);
    }
    let ledgers = chain.ledgers()?;
    ledgers.hold(chain.orders().iter().map(|order| order.id.as_str()), []);
    for order in chain.orders() {
        let wanted = ["stock created", "payment created", "shipping created"];
        assert_eq!(ledgers.effects(&order.id), wanted, "{}: {:?}", order.id, ledgers.story(&order.id));
    }
    chain.verify()
}
