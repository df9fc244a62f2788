//! Our own contenders: this program, started again for one task.

use crate::contender::{Contender, Said};
use crate::seen::{self, Documents, Kept};
use crate::shop::{ROUTE, Shop, Tally};
use crate::{clerk, floor, native, purchases, say};
use anyhow::{Context as _, Result, ensure};
use crossdock_bench::peak_memory_kib;
use serde::{Deserialize, Serialize, de::DeserializeOwned};
use std::path::Path;
use std::process::{Command, Stdio};

/// The first argument of a process that does one task. The second is the task as JSON, the third the project's folder.
const TASK: &str = "--task";

/// What a process is started for.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Task {
    /// Moves the orders of a file by the native program, without a ledger.
    Bare(String),
    /// Moves them by the native program, with the ledger.
    Native(String),
    /// Runs these routes at the same time.
    Routes(Vec<String>),
    /// Moves the orders by a bare wasmtime.
    Floor { stoppable: bool },
    /// Books the purchases by the native program.
    Book { ledger: bool },
    /// Says what a file of documents holds.
    Look(String),
    /// Says what the ledger holds.
    Verify,
}

/// Does what this process was started for; `false` if it was started by a person.
pub(crate) fn work_if_asked(arguments: &[String]) -> Result<bool> {
    let [first, task, folder] = arguments else { return Ok(false) };
    if first != TASK {
        return Ok(false);
    }
    let shop = Shop::at(Path::new(folder));
    let tally = match serde_json::from_str(task).context("which task?")? {
        Task::Routes(names) => {
            tokio::runtime::Builder::new_multi_thread().enable_all().build()?.block_on(shop.run_routes(&names))?
        }
        Task::Native(file) => by_hand(&shop, &file, Some(&shop.data()))?,
        Task::Bare(file) => by_hand(&shop, &file, None)?,
        Task::Floor { stoppable } => floor::run(&shop, ROUTE, stoppable)?,
        Task::Book { ledger } => current_thread()?.block_on(clerk::run(&shop, purchases::SAMPLE, ledger))?,
        Task::Look(file) => {
            say(&serde_json::to_string(&seen::documents(&shop.output(&file))?)?);
            return Ok(true);
        }
        Task::Verify => {
            say(&serde_json::to_string(&seen::ledger(&shop.data())?)?);
            return Ok(true);
        }
    };
    say(&serde_json::to_string(&Said { tally, peak_kib: peak_memory_kib() })?);
    Ok(true)
}

fn by_hand(shop: &Shop, file: &str, data: Option<&Path>) -> Result<Tally> {
    current_thread()?.block_on(native::run(&shop.input(file), &shop.output(file), data))
}

fn current_thread() -> Result<tokio::runtime::Runtime> {
    Ok(tokio::runtime::Builder::new_current_thread().enable_all().build()?)
}

/// One who does a task in a shop.
pub(crate) fn contender(key: &str, name: &str, task: Task, shop: &Shop, says: Tally) -> Contender {
    let (clears, shop) = (shop.clone(), shop.clone());
    Contender {
        key: key.to_owned(),
        name: name.to_owned(),
        records: says.ok + says.dropped,
        clear: Box::new(move || clears.clear()),
        command: Box::new(move || command(&task, &shop)),
        says: Some(says),
    }
}

fn command(task: &Task, shop: &Shop) -> Result<Command> {
    let mut command = Command::new(std::env::current_exe()?);
    command.args([TASK, &serde_json::to_string(task)?]).arg(shop.folder());
    Ok(command)
}

/// What a file of documents holds. In a process of its own, so that this one stays small: the peak memory of a program
/// that it starts is counted from its own.
pub(crate) fn look(shop: &Shop, file: &str) -> Result<Documents> {
    answer(&Task::Look(file.to_owned()), shop)
}

/// What the ledger holds, if it verifies.
pub(crate) fn verify(shop: &Shop) -> Result<Kept> {
    answer(&Task::Verify, shop)
}

fn answer<T: DeserializeOwned>(task: &Task, shop: &Shop) -> Result<T> {
    let output = command(task, shop)?.stdin(Stdio::null()).stderr(Stdio::inherit()).output()?;
    ensure!(output.status.success(), "{task:?} ended with {}", output.status);
    serde_json::from_slice(&output.stdout).with_context(|| format!("reading the answer to {task:?}"))
}
