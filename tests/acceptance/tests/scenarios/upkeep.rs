//! Backups while the route runs, what a restored ledger does, what is pruned and what never is.

use anyhow::{Context, Result, ensure};
use crossdock_acceptance::{Chain, until};
use serde_json::json;

fn ids(chain: &Chain) -> impl Iterator<Item = &str> {
    chain.orders().iter().map(|order| order.id.as_str())
}

#[test]
fn a_backup_of_a_running_route_is_whole_and_what_came_after_it_takes_effect_once() -> Result<()> {
    let mut chain = Chain::open(60)?;
    chain.replace_line("batch = ", "batch = { records = 10 }")?;
    // A restored ledger does not know what was sent since: only keys keep that from being done twice.
    let key = "target_id = \"/id\"\nidempotency_header = \"Idempotency-Key\"";
    chain.replace_line_of("ship", "target_id = ", key)?;
    chain.payment.faults(&json!([{ "delay_ms": 10 }]))?;
    let mut run = chain.start_run()?;
    assert!(until(&mut run, || Ok(chain.ledgers()?.requests_at("shipping") >= 5))?, "the run ended too soon");
    let _ = chain.crossdock(&["ledger", "backup", "backup"])?.exits(0);
    assert!(!run.ends_within(std::time::Duration::ZERO), "the backup was not made while the route ran");
    let _ = run.finish()?.exits(0);
    let _ = chain.crossdock(&["ledger", "verify-backup", "backup"])?.exits(0);
    let _ = chain.crossdock(&["ledger", "backup", "backup"])?.exits(2).says(&["backup"]);
    let before = chain.ledgers()?;
    before.hold(ids(&chain), []);

    // The disk is lost; the backup is not. It knows less than the services do.
    let refused = chain.crossdock(&["ledger", "restore", "backup"])?;
    assert_ne!(refused.code, 0, "a ledger that is there is not replaced unasked\n{}", refused.all());
    let _ = chain.crossdock(&["ledger", "restore", "backup", "--replace"])?.exits(0);
    chain.is_whole()?;
    // What was under way then was marked since, so the shop does not list it: the run says so instead of forgetting it.
    let _ = chain.run()?.exits(5).says(&["source-did-not-re-read"]);
    let unsettled = chain.records(&["--status", "new,processing,indeterminate"])?;
    ensure!(!unsettled.is_empty(), "nothing was under way when the backup was made");
    for record in &unsettled {
        let id = record["id"].as_str().context("a record without id")?;
        let _ = chain.shop.ask("POST", &format!("/orders/{id}/mark"), "{\"status\":\"new\"}")?;
    }
    chain.add_orders(3)?;
    let _ = chain.run()?.exits(0);
    let ledgers = chain.ledgers()?;
    for order in ids(&chain) {
        let wanted = ["stock created", "payment created", "shipping created"];
        assert_eq!(ledgers.effects(order), wanted, "{order}: {:?}", ledgers.story(order));
    }
    chain.verify()
}

#[test]
fn a_backup_with_a_flipped_bit_is_refused() -> Result<()> {
    let chain = Chain::open(5)?;
    let _ = chain.run()?.exits(0);
    let _ = chain.crossdock(&["ledger", "backup", "backup"])?.exits(0);
    let mut files: Vec<_> = std::fs::read_dir(chain.path("backup"))?.collect::<Result<_, _>>()?;
    files.sort_by_key(|file| std::cmp::Reverse(file.metadata().map(|data| data.len()).unwrap_or(0)));
    let largest = files.first().context("an empty backup")?.path();
    let mut bytes = std::fs::read(&largest)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    std::fs::write(&largest, bytes)?;
    let _ = chain.crossdock(&["ledger", "verify-backup", "backup"])?.exits(5);
    let refused = chain.crossdock(&["ledger", "restore", "backup", "--replace"])?;
    assert_ne!(refused.code, 0, "{}", refused.all());
    // The ledger that is there stays as it was.
    chain.verify()
}

#[test]
fn pruning_leaves_what_is_not_settled() -> Result<()> {
    let chain = Chain::open(30)?;
    let (refused, failed) = (chain.id(2).to_owned(), chain.id(8).to_owned());
    chain.stock.faults(&json!([{ "references": [failed], "answer": 422 }]))?;
    chain.shipping.faults(&json!([{ "references": [refused], "answer": 422 }]))?;
    chain.payment.faults(&json!([{ "references": [refused], "method": "DELETE", "answer": 422 }]))?;
    let _ = chain.run()?.exits(5);
    // Everything that is settled is old enough by now.
    chain.replace(
        "crossdock.toml",
        "ok = \"90d\"\nsettled = \"365d\"",
        "ok = \"1h\"\nsettled = \"1h\"\nevents = \"1h\"\nruns = \"1h\"",
    )?;
    let young = chain.json(&["ledger", "prune", "--dry-run"])?;
    let _ = chain.crossdock(&["ledger", "prune"])?.exits(0);
    ensure!(chain.records(&[])?.len() == 30, "what is younger than an hour stays: {young}");
    let record = chain.crossdock(&["record", &refused, "--json"])?.json()?;
    assert_eq!(record["status"], "rollback-failed", "{record}");
    assert_eq!(chain.ids("failed")?, [failed]);
    chain.is_whole()
}
