//! The first work: orders from one file into another, by everyone.

use crate::asked::Asked;
use crate::child::{self, Task};
use crate::contender::{Contender, in_turns, note};
use crate::peers;
use crate::say;
use crate::seen::{Documents, Kept};
use crate::shop::{PLUGINS, ROUTE, RouteText, Shop, Tally};
use anyhow::{Context as _, Result, ensure};
use crossdock_bench::{Orders, Written, table};
use crossdock_devkit::plugins;
use std::path::Path;

const SEED: u64 = 20_261_122;
/// To which the others are compared.
const BASE: &str = "native";
/// The levels of the log, by the key of the contender and the name of its route.
const LEVELS: [(&str, &str); 3] = [("summary", "orders-summary"), ("ids", ROUTE), ("full", "orders-full")];

/// Who must write the same file byte for byte, with the same keys: the route's name decides about them.
const SAME_BYTES: [&str; 3] = ["bare", BASE, "ids"];

/// Measures and prints.
pub(crate) fn measure(asked: &Asked, folder: &Path) -> Result<()> {
    let shop = Shop::make(folder, &plugins()?, &PLUGINS)?;
    for (log, name) in LEVELS {
        shop.add_route(&RouteText { name, file: ROUTE, log, passing: 0 })?;
    }
    let written = shop.add_orders(ROUTE, &mut Orders::new(SEED), asked.orders)?;
    let mut contenders = ours(&shop, written);
    let (peers, missing) = peers::all(asked, &shop, written)?;
    contenders.extend(peers);
    contenders.retain(|who| who.key == BASE || asked.wants(&who.key));
    let total = check_the_same_work(&contenders, &shop, written)?;
    let measured = in_turns(&contenders, asked)?;
    let base = contenders.iter().position(|who| who.key == BASE).context("native was left out")?;
    say(&format!(
        "{} orders of {} bytes, {} of them cancelled, the others worth {total}; {} rounds in turns; medians\n\n{}",
        written.orders,
        written.bytes / written.orders.max(1),
        written.cancelled,
        asked.rounds,
        table(&measured, &measured[base])
    ));
    let least = crossdock_bench::peak_memory_kib().unwrap_or(0).div_ceil(1024);
    say(&format!("\nThe peak memory of other programs than ours is not told below {least} MiB."));
    for line in missing {
        say(&line);
    }
    Ok(())
}

/// The route at each level, and its limits.
fn ours(shop: &Shop, written: Written) -> Vec<Contender> {
    let one = |key: &str, name: &str, task: Task| child::contender(key, name, task, shop, Tally::of(written));
    let mut all = vec![
        one("bare", "native, no ledger", Task::Bare(ROUTE.to_owned())),
        one(BASE, "native, same ledger", Task::Native(ROUTE.to_owned())),
    ];
    for (log, route) in LEVELS {
        all.push(one(log, &format!("route, log = {log}"), Task::Routes(vec![route.to_owned()])));
    }
    all.push(one("floor", "bare wasmtime", Task::Floor { stoppable: false }));
    all.push(one("floor-stoppable", "bare wasmtime, stoppable", Task::Floor { stoppable: true }));
    all
}

/// Lets each do the work once, and looks at what it has written. Also fills the caches of compiled plugins and of the
/// disk. Returns the sum of all amounts.
fn check_the_same_work(contenders: &[Contender], shop: &Shop, written: Written) -> Result<String> {
    let mut first: Option<Documents> = None;
    let mut first_bytes: Option<u64> = None;
    let mut kept: Option<Kept> = None;
    for who in contenders {
        note(&format!("{} …", who.name));
        who.once()?;
        let seen = child::look(shop, ROUTE)?;
        ensure!(seen.documents == Tally::of(written).ok, "{} wrote {} documents", who.name, seen.documents);
        let first = first.get_or_insert_with(|| seen.clone());
        ensure!(first.total == seen.total, "{} wrote {seen:?}, and others {first:?}", who.name);
        if first.content != seen.content {
            ensure!(who.says.is_none(), "{} wrote {seen:?}, and others {first:?}", who.name);
            note(&format!("{}: as many documents of the same sum, but their order or text is not the same", who.name));
        }
        if SAME_BYTES.contains(&who.key.as_str()) {
            let bytes = *first_bytes.get_or_insert(seen.bytes);
            ensure!(bytes == seen.bytes, "{} wrote the same documents in other bytes", who.name);
        }
        if who.key == BASE || who.key == "ids" {
            let seen = child::verify(shop)?;
            let kept = kept.get_or_insert(seen);
            ensure!(*kept == seen, "the ledgers do not hold the same: {kept:?} and, of {}, {seen:?}", who.name);
        }
    }
    Ok(first.context("nobody did anything")?.total)
}
