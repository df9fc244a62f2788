//! Requests a second of the HTTP destination, beside the same client library driven natively.
//!
//! `cargo bench -p crossdock-bench --bench http` starts a server on loopback in a process of its own, and sends it one
//! order a request: natively (`native.rs`), through the destination's port in batches of 100 and of 500 (the most it takes), and in a
//! whole route; with 1, 4, 16 and 64 requests at once. All of them are measured in turns within one run. CPU time is
//! that of the client's process alone; a ratio is the median of the ratios within a round. `--quick` is a short look,
//! `--only NAME` measures one of them and does so until it is stopped, for a profiler.

mod native;
mod sandboxed;
mod server;
mod work;

use anyhow::{Context as _, Result, bail};
use crossdock_bench::{Spread, Usage};
use crossdock_devkit::plugins;
use crossdock_engine::ports::DestinationPort;
use crossdock_model::{Batch, Column, RouteName, StepName};
use native::Native;
use sandboxed::{Loaded, Project, write_all};
use server::{SERVE, Server};
use std::process::ExitCode;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;
use work::{Document, ROUTE, STEP, batches, documents};

const SEED: u64 = 20_261_122;
/// Requests at once.
const AT_ONCE: [usize; 4] = [1, 4, 16, 64];
/// Records a batch, at the port.
const BATCHES: [usize; 2] = [100, 500];
/// Requests at once of the whole route.
const ROUTE_AT_ONCE: usize = 16;
/// Requests a second through the port, against native.
const TARGET: f64 = 0.9;

/// How much is measured.
struct Plan {
    /// Requests a sample.
    requests: usize,
    /// Records of the whole route.
    records: usize,
    rounds: usize,
}

/// One way to send requests, and what was measured of it.
struct Contender<'a> {
    at_once: usize,
    name: String,
    work: Box<dyn FnMut() -> Result<()> + 'a>,
    requests: usize,
    /// For each round: time that passed and CPU time.
    samples: Vec<(Duration, Duration)>,
}

fn main() -> Result<ExitCode> {
    if let Some(code) = crossdock::compile_if_asked() {
        return Ok(code);
    }
    measure().map(|()| ExitCode::SUCCESS)
}

fn measure() -> Result<()> {
    let mut plan = Plan { requests: 5_000, records: 20_000, rounds: 15 };
    let mut only = None;
    let mut arguments = std::env::args().skip(1);
    while let Some(argument) = arguments.next() {
        match argument.as_str() {
            SERVE => return server::serve(),
            "--quick" => plan = Plan { requests: 400, records: 1_000, rounds: 5 },
            "--only" => only = Some(arguments.next().context("which one?")?),
            // Given by Cargo.
            "--bench" => {}
            other => bail!("unknown argument {other}; there are --quick and --only"),
        }
    }
    let (route, step) = (RouteName::new(ROUTE)?, StepName::new(STEP)?);
    let work = Rc::new(documents(&route, &step, SEED, plan.requests));
    let many = Rc::new(documents(&route, &step, SEED, plan.records));
    let (server, plugins) = (Server::start()?, plugins()?);
    let loaded = Loaded::new(&plugins)?;
    // On the disk of the target folder: a file system in memory would make every sync free.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).context("making a folder")?;
    let project = Project::make(folder.path(), &plugins, &server.origin, ROUTE_AT_ONCE, &many)?;
    let mut contenders = Vec::new();
    for at_once in AT_ONCE {
        contenders.push(native(at_once, &server, &work, "native")?);
        for records in BATCHES {
            let port = loaded.port(&server.origin, at_once)?;
            contenders.push(through_the_port(at_once, &loaded, port, batches(&work, records), records));
        }
    }
    contenders.push(native(ROUTE_AT_ONCE, &server, &many, "native, for the route")?);
    contenders.push(whole_route(&project, plan.records)?);
    if let Some(only) = only {
        let found = contenders.iter_mut().find(|one| format!("{} {}", one.at_once, one.name) == only);
        let found = found.with_context(|| format!("there is no {only}"))?;
        loop {
            once(found, &project)?;
        }
    }
    for round in 0..=plan.rounds {
        // Whoever comes first finds the machine as the round before left it: take turns.
        let first = round % contenders.len();
        contenders.rotate_left(first);
        for contender in &mut contenders {
            once(contender, &project)?;
        }
        contenders.rotate_right(first);
    }
    say(&table(&contenders, &plan));
    Ok(())
}

fn once(contender: &mut Contender<'_>, project: &Project) -> Result<()> {
    project.clear()?;
    let begun = Usage::begin();
    (contender.work)().with_context(|| contender.name.clone())?;
    contender.samples.push(begun.end());
    Ok(())
}

fn native<'a>(at_once: usize, server: &Server, work: &Rc<Vec<Document>>, name: &str) -> Result<Contender<'a>> {
    let client = Native::new(&server.address, at_once)?;
    let (work, requests) = (work.clone(), work.len());
    let send = move || {
        let ids = client.send(&work)?;
        anyhow::ensure!(ids.len() == work.len(), "not every request was answered");
        Ok(())
    };
    Ok(Contender { at_once, name: name.to_owned(), work: Box::new(send), requests, samples: Vec::new() })
}

fn through_the_port<'a>(
    at_once: usize,
    loaded: &'a Loaded,
    port: Arc<dyn DestinationPort>,
    batches: Vec<(Arc<Batch>, Column)>,
    records: usize,
) -> Contender<'a> {
    let requests = batches.iter().map(|(batch, _)| batch.len()).sum();
    let work = move || {
        // On the runtime's own thread, as the engine's driver does it.
        let writing = loaded.runtime.spawn(write_all(port.clone(), batches.clone(), at_once == 1));
        anyhow::ensure!(loaded.runtime.block_on(writing)?? == requests, "not every record was written");
        Ok(())
    };
    let name = format!("port, batches of {records}");
    Contender { at_once, name, work: Box::new(work), requests, samples: Vec::new() }
}

fn whole_route(project: &Project, records: usize) -> Result<Contender<'_>> {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let work = move || runtime.block_on(project.run());
    let name = "whole route".to_owned();
    Ok(Contender { at_once: ROUTE_AT_ONCE, name, work: Box::new(work), requests: records, samples: Vec::new() })
}

fn table(contenders: &[Contender<'_>], plan: &Plan) -> String {
    let mut lines = vec![
        format!(
            "{} requests a sample, {} of the whole route; {} rounds in turns, the first one not counted; medians",
            plan.requests, plan.records, plan.rounds
        ),
        String::new(),
        "| at once | | requests a second (slowest to fastest) | × native | target | CPU, µs a request | × native |"
            .to_owned(),
        "|---|---|---|---|---|---|---|".to_owned(),
    ];
    let mut native = None;
    for one in contenders {
        if one.name.starts_with("native") {
            native = Some(one);
        }
        let counted = |one: &Contender<'_>| one.samples.iter().skip(1).copied().collect::<Vec<_>>();
        let (mine, limit) = (counted(one), native.map(counted).unwrap_or_default());
        let mut rates: Vec<f64> = mine.iter().map(|(wall, _)| one.requests as f64 / wall.as_secs_f64()).collect();
        rates.sort_by(f64::total_cmp);
        let cpu = median(mine.iter().map(|(_, cpu)| cpu.as_secs_f64() * 1e6 / one.requests as f64).collect());
        let both = || mine.iter().zip(&limit);
        let rate = median(both().map(|(mine, limit)| limit.0.as_secs_f64() / mine.0.as_secs_f64()).collect());
        let dearer = median(both().map(|(mine, limit)| mine.1.as_secs_f64() / limit.1.as_secs_f64()).collect());
        let target = if one.name.starts_with("port") { format!("≥ {TARGET:.2}") } else { String::new() };
        lines.push(format!(
            "| {} | {} | {:.0} ({:.0} to {:.0}) | {rate:.2} | {target} | {cpu:.1} | {dearer:.2} |",
            one.at_once,
            one.name,
            median(rates.clone()),
            rates.first().copied().unwrap_or(f64::NAN),
            rates.last().copied().unwrap_or(f64::NAN),
        ));
    }
    lines.join("\n")
}

fn median(values: Vec<f64>) -> f64 {
    Spread::of(values).median
}

#[allow(clippy::print_stdout)]
fn say(text: &str) {
    println!("{text}");
}
