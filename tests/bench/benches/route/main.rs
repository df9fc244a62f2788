//! The whole, beside the same work by others, in turns within one run; `-- --help` says what can be asked for.
//!
//! `cargo bench -p crossdock-bench --bench route` moves 100,000 orders of about 400 bytes from one file of JSON lines into
//! another: renamed, the total as a decimal, without those that are cancelled. The route does it through the façade
//! (text-source → map → file-destination) at each level of the log; a native program with the same ledger and without
//! any; a bare wasmtime with the very same component; and, as far as they are there, Extism, scripts and other tools.
//!
//! Each goes in a process of its own and is measured from its start to its end, with the processes that it starts. Files
//! are on the disk of the target folder. The figures are medians; a ratio is the median of the ratios within a round.
//! Before anything is measured, what all have written must hold the same documents in the same order, and the ledgers
//! must verify and hold the same.

mod asked;
mod child;
mod clerk;
mod contender;
mod floor;
mod growth;
mod native;
mod orders;
mod peers;
mod purchases;
mod seen;
mod shop;

use anyhow::{Context as _, Result};
use asked::{Asked, USAGE, Work};
use std::process::ExitCode;

fn main() -> Result<ExitCode> {
    if let Some(code) = crossdock::compile_if_asked() {
        return Ok(code);
    }
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    if child::work_if_asked(&arguments)? {
        return Ok(ExitCode::SUCCESS);
    }
    let Some(asked) = Asked::read(arguments.into_iter())? else {
        say(USAGE);
        return Ok(ExitCode::SUCCESS);
    };
    // On the disk of the target folder: a file system in memory would make every sync free.
    let folder = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).context("making a folder")?;
    match asked.work {
        Work::Orders => orders::measure(&asked, folder.path())?,
        Work::Purchases => purchases::measure(&asked, folder.path())?,
        Work::Growth => growth::measure(&asked, folder.path())?,
    }
    Ok(ExitCode::SUCCESS)
}

#[allow(clippy::print_stdout)]
fn say(text: &str) {
    println!("{text}");
}
