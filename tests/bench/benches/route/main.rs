//! A whole route beside the same work as one native program, in turns within one run.
//!
//! `cargo bench -p crossdock-bench --bench route` moves 100,000 orders of about 400 bytes (NDJSON → text-source → map →
//! file-destination) through the façade, and by the native program of `native.rs` with the same ledger and without any.
//! Each goes in a process of its own, so that CPU time and peak memory are its own. The figures are medians; a ratio is
//! the median of the ratios within a round. `--quick` moves 10,000 in three rounds.
//!
//! Before anything is measured, all must have written the same file byte for byte, and both ledgers must verify.

mod native;
mod shop;

use anyhow::{Context as _, Result, bail, ensure};
use crossdock_bench::{Usage, Written, peak_memory_kib};
use crossdock_devkit::plugins;
use serde::{Deserialize, Serialize};
use shop::{Shop, Tally};
use std::path::Path;
use std::process::{Command, ExitCode, Stdio};

const SEED: u64 = 20_261_122;
/// The first argument of a process that does the work once and says what it took.
const CHILD: &str = "--once";

/// Who does the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// A native program that keeps no ledger.
    Bare,
    /// A native program with the ledger.
    Native,
    /// The route, through the façade.
    Route,
}

impl Who {
    const ALL: [Self; 3] = [Self::Bare, Self::Native, Self::Route];

    fn word(self) -> &'static str {
        match self {
            Self::Bare => "native, no ledger",
            Self::Native => "native, same ledger",
            Self::Route => "route",
        }
    }
}

/// What it took once, as a child says it.
#[derive(Debug, Clone, Serialize, Deserialize)]
struct Took {
    tally: Tally,
    wall_s: f64,
    cpu_s: f64,
    peak_kib: Option<u64>,
}

struct Plan {
    orders: u64,
    rounds: usize,
}

fn main() -> Result<ExitCode> {
    if let Some(code) = crossdock::compile_if_asked() {
        return Ok(code);
    }
    measure().map(|()| ExitCode::SUCCESS)
}

fn measure() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if let [first, who, folder] = arguments.as_slice()
        && first == CHILD
    {
        return once(who, Path::new(folder));
    }
    let mut plan = Plan { orders: 100_000, rounds: 7 };
    for argument in &arguments {
        match argument.as_str() {
            "--quick" => plan = Plan { orders: 10_000, rounds: 3 },
            // Given by Cargo.
            "--bench" => {}
            other => bail!("unknown argument {other}; there is --quick"),
        }
    }
    // On the disk of the target folder: a file system in memory would make every sync free.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).context("making a folder")?;
    let (shop, written) = Shop::make(folder.path(), &plugins()?, plan.orders, SEED)?;
    check_the_same_work(&shop, folder.path(), written)?;
    let mut rounds = Vec::with_capacity(plan.rounds);
    for round in 0..plan.rounds {
        // Whoever comes first finds the disk as the round before left it: take turns.
        let mut order = Who::ALL;
        order.rotate_left(round % Who::ALL.len());
        let mut took: Vec<(Who, Took)> = Vec::with_capacity(order.len());
        for who in order {
            took.push((who, in_a_process(who, &shop, folder.path(), written)?));
        }
        rounds.push(took);
    }
    say(&table(&rounds, written));
    Ok(())
}

/// The work of a child: once, measured from before the ledger or host is opened until it is closed.
fn once(who: &str, folder: &Path) -> Result<()> {
    let who = Who::ALL.into_iter().find(|known| known.word() == who).context("who is to work?")?;
    let shop = Shop::at(folder);
    let begun = Usage::begin();
    let data = shop.data();
    let tally = match who {
        Who::Route => tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(shop.run_route())?,
        Who::Native | Who::Bare => {
            let data = (who == Who::Native).then_some(data.as_path());
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
            runtime.block_on(native::run(&shop.input(), &shop.output(), data))?
        }
    };
    let (wall, cpu) = begun.end();
    let (wall_s, cpu_s) = (wall.as_secs_f64(), cpu.as_secs_f64());
    say(&serde_json::to_string(&Took { tally, wall_s, cpu_s, peak_kib: peak_memory_kib() })?);
    Ok(())
}

fn in_a_process(who: Who, shop: &Shop, folder: &Path, written: Written) -> Result<Took> {
    shop.clear()?;
    let mut command = Command::new(std::env::current_exe()?);
    command.args([CHILD, who.word()]).arg(folder).stdin(Stdio::null()).stderr(Stdio::inherit());
    let output = command.output().context("starting a process")?;
    ensure!(output.status.success(), "{} ended with {}", who.word(), output.status);
    let took: Took = serde_json::from_slice(&output.stdout).context("reading what it took")?;
    let expected = Tally { ok: written.orders - written.cancelled, dropped: written.cancelled };
    ensure!(took.tally == expected, "{}: {:?}, and there should be {expected:?}", who.word(), took.tally);
    Ok(took)
}

/// Also fills the cache of compiled plugins and the cache of the disk.
fn check_the_same_work(shop: &Shop, folder: &Path, written: Written) -> Result<()> {
    let mut first: Option<Vec<u8>> = None;
    let mut kept = Vec::new();
    for who in Who::ALL {
        in_a_process(who, shop, folder, written)?;
        let output = std::fs::read(shop.output())?;
        ensure!(*first.get_or_insert_with(|| output.clone()) == output, "{} wrote another file", who.word());
        if who != Who::Bare {
            let report = crossdock_ledger::verify(shop.data())?;
            ensure!(report.violations.is_empty(), "{}: its ledger does not verify: {report:?}", who.word());
            kept.push((report.runs, report.batches, report.records, report.chunk_records));
        }
    }
    ensure!(kept.windows(2).all(|pair| pair[0] == pair[1]), "the ledgers do not hold the same: {kept:?}");
    Ok(())
}

fn table(rounds: &[Vec<(Who, Took)>], written: Written) -> String {
    let orders = written.orders as f64;
    let mut lines = vec![
        format!(
            "{} orders of {} bytes, {} of them cancelled; {} rounds in turns; medians",
            written.orders,
            written.bytes / written.orders.max(1),
            written.cancelled,
            rounds.len()
        ),
        String::new(),
        "| | CPU, µs a record | × native | time, µs a record (fastest to slowest) | × native | records a second | peak memory, MiB |".to_owned(),
        "|---|---|---|---|---|---|---|".to_owned(),
    ];
    for who in Who::ALL {
        let of = |round: &Vec<(Who, Took)>, who, value: fn(&Took) -> f64| {
            round.iter().find(|(found, _)| *found == who).map_or(f64::NAN, |(_, took)| value(took))
        };
        let all = |value: fn(&Took) -> f64| rounds.iter().map(move |round| of(round, who, value)).collect();
        let against = |value: fn(&Took) -> f64| {
            median(rounds.iter().map(|round| of(round, who, value) / of(round, Who::Native, value)).collect())
        };
        let walls: Vec<f64> = all(|took| took.wall_s);
        let us = |seconds: f64| seconds * 1e6 / orders;
        let (fastest, slowest) =
            walls.iter().fold((f64::MAX, 0.0_f64), |(least, most), &wall| (least.min(wall), most.max(wall)));
        let wall = median(walls);
        let peaks = rounds.iter().flatten().filter(|(found, _)| *found == who).filter_map(|(_, took)| took.peak_kib);
        let peak = peaks.max().map_or_else(|| "not known".to_owned(), |kib| format!("{}", kib / 1024));
        lines.push(format!(
            "| {} | {:.2} | {:.2} | {:.2} ({:.2} to {:.2}) | {:.2} | {:.0} | {peak} |",
            who.word(),
            us(median(all(|took| took.cpu_s))),
            against(|took| took.cpu_s),
            us(wall),
            us(fastest),
            us(slowest),
            against(|took| took.wall_s),
            orders / wall,
        ));
    }
    lines.join("\n")
}

fn median(mut values: Vec<f64>) -> f64 {
    values.sort_by(f64::total_cmp);
    let middle = values.len() / 2;
    match values.len() {
        0 => f64::NAN,
        len if len % 2 == 0 => (values[middle - 1] + values[middle]) / 2.0,
        _ => values[middle],
    }
}

#[allow(clippy::print_stdout)]
fn say(text: &str) {
    println!("{text}");
}
