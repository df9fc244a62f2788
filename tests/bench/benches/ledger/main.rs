//! What it costs to keep the ledger, beside what is wanted of it.
//!
//! `cargo bench -p crossdock-bench --bench ledger` measures, on the disk of the target folder: appending beside a bare
//! rusqlite loop that writes the same rows in as many transactions; 64 producers that each wait for the disk beside one
//! commit each; a route at each log level beside the same route without a ledger; and pages of reports over ten million
//! records. It prints one table. What is compared is done in turns; a ratio is the median of the ratios within a round.
//! Words after `--` choose parts: `append`, `producers`, `levels`, `reports`; `--quick` takes less of everything.

mod append;
mod levels;
mod made;
mod reports;
mod table;

use anyhow::{Context as _, Result, bail};
use std::process::ExitCode;

const PARTS: [&str; 4] = ["append", "producers", "levels", "reports"];

fn main() -> Result<ExitCode> {
    let (mut quick, mut chosen) = (false, Vec::new());
    for argument in std::env::args().skip(1) {
        match argument.as_str() {
            "--quick" => quick = true,
            // Given by Cargo.
            "--bench" => {}
            word if PARTS.contains(&word) => chosen.push(argument),
            other => bail!("unknown argument {other}; there are {} and --quick", PARTS.join(", ")),
        }
    }
    // On the disk of the target folder: a file system in memory would make every sync free.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).context("making a folder")?;
    let mut rows = Vec::new();
    for part in PARTS.into_iter().filter(|part| chosen.is_empty() || chosen.iter().any(|word| word == part)) {
        rows.extend(measure(part, folder.path(), quick).with_context(|| format!("measuring {part}"))?);
    }
    say(&table::table(&rows));
    Ok(ExitCode::SUCCESS)
}

fn measure(part: &str, folder: &std::path::Path, quick: bool) -> Result<Vec<table::Row>> {
    let written = if quick {
        append::Sizes { rounds: 3, commits: 50, acknowledgements: 1_280 }
    } else {
        append::Sizes { rounds: 7, commits: 200, acknowledgements: 6_400 }
    };
    match part {
        "append" => append::append(folder, &written),
        "producers" => append::acknowledgements(folder, &written),
        "levels" => {
            let (rounds, orders) = if quick { (3, 10_000) } else { (7, 100_000) };
            levels::levels(folder, &levels::Sizes { rounds, orders })
        }
        _ => {
            let (rounds, records) = if quick { (5, 500_000) } else { (15, 10_000_000) };
            reports::reports(folder, &reports::Sizes { rounds, records })
        }
    }
}

#[allow(clippy::print_stdout)]
fn say(text: &str) {
    println!("{text}");
}
