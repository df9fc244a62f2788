//! How the route grows: more records, longer ones, more steps, more routes.

use crate::asked::Asked;
use crate::child::{self, Task};
use crate::contender::{Contender, in_turns, note};
use crate::say;
use crate::shop::{PLUGINS, RouteText, Shop, Tally};
use anyhow::{Context as _, Result};
use crossdock_bench::{Measured, Orders, Written, table};
use crossdock_devkit::plugins;
use std::path::Path;

const SEED: u64 = 20_261_122;
/// How many times as many records, and how many times as long.
const TIMES: u64 = 10;
/// Lines of an order that is ten times as long.
const LONG_LINES_MAX: u64 = 106;
/// Steps in all that transform.
const STEPS: [usize; 3] = [4, 16, 64];
/// Routes in one process, which share the records among them.
const ROUTES: [u64; 3] = [10, 100, 1_000];

/// Measures and prints.
pub(crate) fn measure(asked: &Asked, folder: &Path) -> Result<()> {
    let shop = Shop::make(folder, &plugins()?, &PLUGINS)?;
    let orders = asked.orders;
    let mut all = Vec::new();
    let mut base_bytes = 0;
    let made: [(&str, String, u64, Orders); 3] = [
        ("base", "1 route, 1 step".to_owned(), orders, Orders::new(SEED)),
        ("records", format!("{TIMES} × the records"), orders * TIMES, Orders::new(SEED)),
        ("long", format!("{TIMES} × as long"), orders, Orders::new(SEED).with_lines(LONG_LINES_MAX)),
    ];
    for (file, what, orders, mut from) in made {
        note(&format!("making orders: {what} …"));
        let written = shop.add_orders(file, &mut from, orders)?;
        if file == "base" {
            base_bytes = written.bytes / written.orders;
        }
        shop.add_route(&RouteText { name: file, file, log: "ids", passing: 0 })?;
        let says = Tally::of(written);
        all.push(child::contender(file, &what, Task::Routes(vec![file.to_owned()]), &shop, says));
        all.push(child::contender(
            &format!("{file}-native"),
            &format!("native: {what}"),
            Task::Native(file.to_owned()),
            &shop,
            says,
        ));
        if file == "base" {
            all.extend(more_steps(&shop, written)?);
        }
    }
    all.extend(more_routes(&shop, orders)?);
    all.retain(|who| who.key == "base" || asked.wants(&who.key));
    for who in &all {
        note(&format!("{} …", who.name));
        who.once()?;
    }
    let measured = in_turns(&all, asked)?;
    let base = all.iter().position(|who| who.key == "base").context("the route was left out")?;
    say(&format!(
        "{orders} orders of {base_bytes} bytes through text-source, map, file-destination, log = ids; {} rounds in \
         turns; medians\n\n{}",
        asked.rounds,
        table(&measured, &measured[base])
    ));
    for line in read_off(&all, &measured) {
        say(&line);
    }
    Ok(())
}

/// The same records through more steps, which pass them on.
fn more_steps(shop: &Shop, written: Written) -> Result<Vec<Contender>> {
    let mut all = Vec::new();
    for steps in STEPS {
        let name = format!("steps-{steps}");
        shop.add_route(&RouteText { name: &name, file: "base", log: "ids", passing: steps - 1 })?;
        let task = Task::Routes(vec![name.clone()]);
        all.push(child::contender(&name, &format!("{steps} steps"), task, shop, Tally::of(written)));
    }
    Ok(all)
}

/// As many records, shared among more routes that run at the same time.
fn more_routes(shop: &Shop, orders: u64) -> Result<Vec<Contender>> {
    let mut all = Vec::new();
    for routes in ROUTES {
        let mut from = Orders::new(SEED);
        let (mut names, mut says) = (Vec::new(), Tally::default());
        for route in 0..routes {
            let name = format!("of-{routes}-{route}");
            let tally = Tally::of(shop.add_orders(&name, &mut from, orders / routes)?);
            shop.add_route(&RouteText { name: &name, file: &name, log: "ids", passing: 0 })?;
            says.ok += tally.ok;
            says.dropped += tally.dropped;
            names.push(name);
        }
        let (key, name) = (format!("routes-{routes}"), format!("{routes} routes of {} orders", orders / routes));
        all.push(child::contender(&key, &name, Task::Routes(names), shop, says));
    }
    Ok(all)
}

/// What the table means: the price of a step, of a route, and of a record that more records are kept waiting for.
fn read_off(all: &[Contender], measured: &[Measured]) -> Vec<String> {
    let find = |key: &str| all.iter().position(|who| who.key == key).map(|at| &measured[at]);
    let cpu = |measured: &Measured| measured.a_record(|spent| spent.cpu_s).median;
    let peak =
        |measured: &Measured| measured.rounds.iter().map(|spent| spent.peak_kib).max().unwrap_or(0) as f64 / 1024.0;
    let mut lines = Vec::new();
    let Some(base) = find("base") else { return lines };
    for steps in STEPS {
        if let Some(more) = find(&format!("steps-{steps}")) {
            let further = (steps - 1) as f64;
            lines.push(format!(
                "{steps} steps: each further one {:.2} µs CPU a record and {:.1} MiB.",
                (cpu(more) - cpu(base)) / further,
                (peak(more) - peak(base)) / further,
            ));
        }
    }
    for routes in ROUTES {
        if let Some(more) = find(&format!("routes-{routes}")) {
            let further = (routes - 1) as f64;
            lines.push(format!(
                "{routes} routes: each further one {:.1} ms CPU and {:.2} MiB.",
                (cpu(more) - cpu(base)) * base.records as f64 / 1e3 / further,
                (peak(more) - peak(base)) / further,
            ));
        }
    }
    if let Some(more) = find("records") {
        lines.push(format!(
            "{TIMES} × the records: {:.2} × the CPU a record, {:.1} MiB beside {:.1}.",
            more.times(base, |spent| spent.cpu_s).median,
            peak(more),
            peak(base)
        ));
    }
    lines
}
