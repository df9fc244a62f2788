//! SIGKILL at random moments; then the route is run to its end.

use anyhow::{Result, ensure};
use crossdock_acceptance::{Dice, Lines, Shop};
use serde_json::{Value, json};
use std::time::Duration;

const KILLS: u64 = 20;
/// How many records are handed over together; a run that comes further than that has moved its checkpoint.
const BATCH: u64 = 10;

/// Kills the run `KILLS` times, spread over all of its requests, and then lets it come to its end.
fn check(seed: u64, lines: Lines, edit: impl Fn(&Shop) -> Result<()>) -> Result<()> {
    let shop = Shop::open(lines)?;
    edit(&shop)?;
    // Counts the requests, and bounds how fast even the fastest machine comes to the end.
    shop.faults(&json!([{ "delay_ms": 2 }]))?;
    let mut dice = Dice::new(seed);
    let purchases = shop.worthwhile().count() as u64;
    let (mut killed, mut in_vain) = (0, 0);
    while killed < KILLS {
        let mut run = shop.start(&["run", "routes/cdnow.toml"])?;
        // Either while the process starts and the ledger is put in order, or after some more requests.
        // A third death in a row that leads nowhere would mean that a record is to blame.
        let running = if dice.below(4) == 0 && in_vain < 1 {
            in_vain += 1;
            !run.ends_within(Duration::from_micros(dice.below(60_000)))
        } else {
            in_vain = 0;
            let more = 2 * BATCH + dice.below((purchases / KILLS).saturating_sub(2 * BATCH));
            let met = shop.first_fault_met()?;
            shop.until_met(&mut run, met + more)? && !run.ends_within(Duration::from_micros(dice.below(5_000)))
        };
        if !running {
            let outcome = run.finish()?;
            ensure!(outcome.code == 0, "seed {seed}: the run failed after {killed} kills\n{}", outcome.all());
            break;
        }
        killed += u64::from(run.kill()?);
    }
    eprintln!("seed {seed}: killed {killed} times");
    ensure!(killed == KILLS, "seed {seed}: the run came to its end after {killed} kills; kill it sooner");
    if shop.has_ledger() {
        // What a killed run leaves behind is sound before anything mends it.
        shop.verify()?;
    }
    let _ = shop.run()?.exits(0);
    everything_adds_up(&shop, seed)
}

fn everything_adds_up(shop: &Shop, seed: u64) -> Result<()> {
    shop.books()?.hold(shop.worthwhile());
    shop.verify()?;
    let mut by_status = std::collections::BTreeMap::<String, usize>::new();
    for record in shop.records(&[])? {
        *by_status.entry(record["status"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    let expected = [("dropped".to_owned(), shop.dropped()), ("ok".to_owned(), shop.worthwhile().count())];
    assert_eq!(by_status.into_iter().collect::<Vec<_>>(), expected, "seed {seed}");
    // The end of the story: nothing new, nothing sent.
    let requests = shop.books()?.posts(None).len();
    let again = shop.run_json()?.exits(0).json()?;
    assert_eq!(again["read"], Value::from(0), "seed {seed}");
    assert_eq!(shop.books()?.posts(None).len(), requests, "seed {seed}");
    Ok(())
}

/// Another seed with `CROSSDOCK_SEED=…`.
fn seed(default: u64) -> u64 {
    std::env::var("CROSSDOCK_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(default)
}

#[test]
fn with_an_idempotency_key() -> Result<()> {
    check(seed(1997), Lines::All, |shop| {
        shop.replace_line("on_error = ", "on_error = \"continue\"\nbatch = { records = 10 }")
    })
}

#[test]
fn with_a_probe_and_no_key() -> Result<()> {
    check(seed(1998), Lines::First(1_500), |shop| {
        shop.replace_line("on_error = ", "on_error = \"continue\"\nbatch = { records = 10 }")?;
        shop.replace_line("idempotency_header", "")?;
        shop.edit_route("/documents?key={{ key }}", "/documents?reference={{ id }}")
    })
}

#[test]
fn in_strict_order() -> Result<()> {
    check(seed(1999), Lines::First(800), |shop| shop.replace_line("on_error = ", "batch = { records = 10 }"))
}
