//! What the guard counts, as a program: `crossdock-guard walk PATH BATCHES FOLDER [PLUGIN]` walks a hot path, and
//! `crossdock-guard count OPTION walk …` becomes valgrind with this option and lets it run the same.

use anyhow::{Context as _, Result, bail};
use crossdock_guard::{HotPath, VALGRIND, without_auxv};
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::Command;

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    match arguments.as_slice() {
        ["count", how, rest @ ..] => {
            let program = std::env::current_exe().context("finding this program")?;
            without_auxv().context("refusing a call of the system")?;
            let mut valgrind = Command::new(VALGRIND);
            // Of an option that is given twice the second counts.
            valgrind.args(["--tool=callgrind", how]).arg(program).args(rest);
            Err(valgrind.exec()).context("becoming valgrind")
        }
        ["walk", path, batches, folder, plugin @ ..] => {
            let path = HotPath::named(path).with_context(|| format!("there is no hot path {path}"))?;
            path.walk(batches.parse()?, Path::new(folder), plugin.first().map(Path::new))
        }
        _ => bail!("say what to walk; `cargo test --workspace --test counts` counts all there is"),
    }
}
