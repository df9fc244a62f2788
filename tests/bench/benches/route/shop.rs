//! A project in a folder: the orders, the route over them, and what became of them.

use anyhow::{Context as _, Result, ensure};
use crossdock::{Host, HostOptions, RunStatus, Status};
use crossdock_bench::{Orders, Written};
use crossdock_devkit::Plugins;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{BufWriter, Write as _};
use std::path::{Path, PathBuf};

/// The route's name.
pub(crate) const ROUTE: &str = "orders";
/// The step that transforms.
pub(crate) const SHAPE: &str = "shape";
/// The step that writes.
pub(crate) const KEEP: &str = "keep";

/// The folder of compiled plugins within a host's data folder.
const CACHE: &str = "cache";

const TEXT: &str = r#"name = "orders"

[source]
plugin = "text-source"
settings = { files = "/in/orders.ndjson", format = "ndjson", id = ["order"] }
grants = { dirs = [{ host = "in", guest = "/in" }] }

[[step]]
name = "shape"
plugin = "map"

[step.settings]
drop_when = [{ field = "/status", equals = "cancelled" }]

[step.settings.fields]
reference = "/order"
customer = "/customer/id"
name = "/customer/name"
currency = "/currency"
amount = { from = "/total", type = "decimal", scale = 2 }
items = "/lines"

[[step]]
name = "keep"
plugin = "file-destination"
settings = { file = "/out/orders.ndjson" }
grants = { dirs = [{ host = "out", guest = "/out", write = true }] }
"#;

/// What became of the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Written.
    pub(crate) ok: u64,
    /// Cancelled, and therefore not written.
    pub(crate) dropped: u64,
}

/// A project folder.
pub(crate) struct Shop {
    folder: PathBuf,
}

impl Shop {
    /// Makes the project with so many orders.
    pub(crate) fn make(folder: &Path, plugins: &Plugins, orders: u64, seed: u64) -> Result<(Self, Written)> {
        let shop = Self::at(folder);
        for folder in ["in", "out", "plugins", "routes"] {
            std::fs::create_dir_all(shop.folder.join(folder))?;
        }
        let mut project = String::from("[plugins]\n");
        for name in ["text-source", "map", "file-destination"] {
            let to = format!("plugins/{name}.wasm");
            std::fs::copy(plugins.path(name)?, shop.folder.join(&to)).with_context(|| format!("copying to {to}"))?;
            project.push_str(&format!("{name} = {{ path = \"{to}\" }}\n"));
        }
        std::fs::write(shop.folder.join("crossdock.toml"), project)?;
        std::fs::write(shop.route(), TEXT)?;
        let mut out = BufWriter::new(File::create(shop.input())?);
        let written = Orders::new(seed).write(&mut out, orders)?;
        out.flush()?;
        Ok((shop, written))
    }

    /// The project that was made in this folder.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf() }
    }

    /// Forgets what was done, but not the compiled plugins.
    pub(crate) fn clear(&self) -> Result<()> {
        if self.output().exists() {
            std::fs::remove_file(self.output())?;
        }
        if !self.data().exists() {
            return Ok(());
        }
        for entry in std::fs::read_dir(self.data())? {
            let entry = entry?;
            if entry.file_type()?.is_file() && entry.file_name() != CACHE {
                std::fs::remove_file(entry.path())?;
            }
        }
        Ok(())
    }

    /// The orders.
    pub(crate) fn input(&self) -> PathBuf {
        self.folder.join("in/orders.ndjson")
    }

    /// Where they are written to.
    pub(crate) fn output(&self) -> PathBuf {
        self.folder.join("out/orders.ndjson")
    }

    /// Where the ledger is.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    fn route(&self) -> PathBuf {
        self.folder.join("routes/orders.toml")
    }

    /// Runs the route once, as somebody who embeds the host does.
    pub(crate) async fn run_route(&self) -> Result<Tally> {
        let options =
            HostOptions { project: Some(self.folder.clone()), data: Some(self.data()), ..HostOptions::default() };
        let host = Host::open(options)?;
        let report = host.run(&self.route()).await?.finish().await?;
        ensure!(report.status == RunStatus::Ok, "the run ended {}: {:?}", report.status, report.reason);
        Ok(Tally { ok: report.count(Status::Ok), dropped: report.count(Status::Dropped) })
    }
}
