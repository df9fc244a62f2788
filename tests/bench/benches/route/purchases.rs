//! The second work: the purchases of examples/cdnow from their file into the ERP stand-in, a request each.
//!
//! The route is the example's own. The native program sends the same requests, as many at once, over connections that are
//! kept, and keeps the same ledger. Before each turn the ERP is started anew, with nothing in it; what it takes itself
//! is in the time, not in the CPU time.

use crate::asked::Asked;
use crate::child::{self, Task};
use crate::clerk;
use crate::contender::{Contender, in_turns, note};
use crate::peers;
use crate::say;
use crate::shop::{Shop, Tally};
use anyhow::{Context as _, Result, ensure};
use crossdock_bench::table;
use crossdock_devkit::{Child, binary, http, plugins, workspace_root};
use serde_json::Value;
use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::rc::Rc;

/// The route's name in the example.
const ROUTE: &str = "cdnow";
/// Where the example expects the ERP.
const ADDRESS: &str = "127.0.0.1:7411";
/// The file that comes with the example: a part, with a column more.
pub(crate) const SAMPLE: &str = "CDNOW_sample.txt";
/// The column that only the part has.
const SAMPLE_ONLY: &str = r#""sample", "#;
const PLUGINS: [&str; 3] = ["text-source", "map", "http-destination"];

/// The ERP as it stands, if it does, and the route's text without its address.
struct Office {
    program: PathBuf,
    shop: Shop,
    route: String,
    stands: RefCell<Option<Child>>,
}

/// Measures and prints.
pub(crate) fn measure(asked: &Asked, folder: &Path) -> Result<()> {
    let shop = Shop::make(folder, &plugins()?, &PLUGINS)?;
    let (says, whole) = put_purchases(&shop, asked)?;
    let example = workspace_root().join("examples/cdnow/routes/cdnow.toml");
    let mut route = std::fs::read_to_string(&example).with_context(|| format!("reading {}", example.display()))?;
    route = route.replace("host = \"data\"", "host = \"in\"");
    if whole {
        route = route.replace(SAMPLE_ONLY, "");
    }
    let program = binary("erp-stand-in", "erp-stand-in")?;
    let office = Rc::new(Office { program, shop: shop.clone(), route, stands: RefCell::default() });
    let all = [
        ("bare", "native, no ledger", Task::Book { ledger: false }),
        ("native", "native, same ledger", Task::Book { ledger: true }),
        ("ids", "route", Task::Routes(vec![ROUTE.to_owned()])),
    ];
    let all = all.map(|(key, name, task)| {
        let office = Rc::clone(&office);
        let clear = Box::new(move || office.open());
        Contender { clear, ..child::contender(key, name, task, &shop, says) }
    });
    for who in &all {
        note(&format!("{} …", who.name));
        who.once()?;
        office.check(says).with_context(|| format!("what {} has booked", who.name))?;
    }
    let measured = in_turns(&all, asked)?;
    say(&format!(
        "{} purchases of the CDNOW {} file, {} of them worth nothing, into the ERP stand-in over loopback, four requests \
         at once; {} rounds in turns; medians\n\n{}",
        says.ok + says.dropped,
        if whole { "master" } else { "sample" },
        says.dropped,
        asked.rounds,
        table(&measured, &measured[1])
    ));
    if !whole {
        say("\nThe whole file, ten times as many, is fetched from PyPI by --install.");
    }
    Ok(())
}

/// Puts the purchases where the route and the native program read them. `true` if it is the whole file.
fn put_purchases(shop: &Shop, asked: &Asked) -> Result<(Tally, bool)> {
    let master = peers::purchases(asked.install)?;
    let text = match &master {
        Some(file) => {
            std::fs::read_to_string(file)?.lines().skip(1).fold(String::new(), |text, line| text + line + "\n")
        }
        None => std::fs::read_to_string(workspace_root().join("examples/cdnow/data").join(SAMPLE))?,
    };
    std::fs::write(shop.folder().join("in").join(SAMPLE), &text)?;
    let mut says = Tally::default();
    for line in text.lines() {
        let purchase = clerk::Purchase::read(line)?;
        *if purchase.amount.is_zero() { &mut says.dropped } else { &mut says.ok } += 1;
    }
    Ok((says, master.is_some()))
}

impl Office {
    /// Closes the ERP that stood, and opens one with nothing in it, to which the route then sends.
    fn open(&self) -> Result<()> {
        self.stands.borrow_mut().take();
        self.shop.clear()?;
        let folder = self.shop.folder().join("erp");
        if folder.exists() {
            std::fs::remove_dir_all(&folder)?;
        }
        std::fs::create_dir_all(&folder)?;
        let mut command = Command::new(&self.program);
        let erp = Child::start(command.arg("--data").arg(folder.join("erp.db")))?;
        self.shop.write_route(ROUTE, &self.route.replace(ADDRESS, &erp.addr().to_string()))?;
        std::fs::write(self.shop.folder().join(clerk::ADDRESS_FILE), erp.addr().to_string())?;
        *self.stands.borrow_mut() = Some(erp);
        Ok(())
    }

    /// That each purchase is there, once.
    fn check(&self, says: Tally) -> Result<()> {
        let stands = self.stands.borrow();
        let erp = stands.as_ref().context("the ERP does not stand")?;
        let (status, summary) = http("GET", erp.addr(), "/_ledger/summary", "")?;
        ensure!(status == 200, "the ERP answered {status}");
        let summary: Value = serde_json::from_str(&summary)?;
        let number = |name: &str| summary.get(name).and_then(Value::as_u64);
        ensure!(
            number("documents") == Some(says.ok) && number("requests") == Some(says.ok),
            "there should be {} documents, by one request each: {summary}",
            says.ok
        );
        let twice = summary.get("duplicates").and_then(Value::as_array).is_none_or(|twice| !twice.is_empty());
        ensure!(!twice, "some are there more than once: {summary}");
        Ok(())
    }
}
