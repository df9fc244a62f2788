//! A project in a folder: the orders, the routes over them, and what became of them.

use anyhow::{Context as _, Result, ensure};
use crossdock::{Host, HostOptions, RunStatus, Status};
use crossdock_bench::{Orders, Written};
use crossdock_devkit::Plugins;
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::BufWriter;
use std::path::{Path, PathBuf};

/// The route's name that the native program goes by, and that of its files.
pub(crate) const ROUTE: &str = "orders";
/// The step that transforms.
pub(crate) const SHAPE: &str = "shape";
/// The step that writes.
pub(crate) const KEEP: &str = "keep";

/// The plugins of the routes over orders.
pub(crate) const PLUGINS: [&str; 3] = ["text-source", "map", "file-destination"];

/// The settings of the step that transforms.
pub(crate) const SETTINGS: &str = concat!(
    r#"{ drop_when = [{ field = "/status", equals = "cancelled" }], "#,
    r#"fields = { reference = "/order", customer = "/customer/id", name = "/customer/name", currency = "/currency", "#,
    r#"amount = { from = "/total", type = "decimal", scale = 2 }, items = "/lines" } }"#,
);

/// The folder of compiled plugins within a host's data folder.
const CACHE: &str = "cache";

/// A route over a file of orders.
pub(crate) struct RouteText<'a> {
    /// Its name and that of its file.
    pub(crate) name: &'a str,
    /// The names of the files it reads and writes, without the ending.
    pub(crate) file: &'a str,
    /// How much it keeps of records that are ok.
    pub(crate) log: &'a str,
    /// Steps before the one that transforms, which pass on what they are given.
    pub(crate) passing: usize,
}

impl RouteText<'_> {
    fn text(&self) -> String {
        let Self { name, file, log, passing } = self;
        let mut text = format!(
            r#"name = "{name}"
log = "{log}"

[source]
plugin = "text-source"
settings = {{ files = "/in/{file}.ndjson", format = "ndjson", id = ["order"] }}
grants = {{ dirs = [{{ host = "in", guest = "/in" }}] }}
"#
        );
        for step in 0..*passing {
            text.push_str(&format!(
                "\n[[step]]\nname = \"pass-{step}\"\nplugin = \"map\"\nsettings = {{ keep_rest = true, fields = {{}} }}\n"
            ));
        }
        text.push_str(&format!(
            r#"
[[step]]
name = "{SHAPE}"
plugin = "map"
settings = {SETTINGS}

[[step]]
name = "{KEEP}"
plugin = "file-destination"
settings = {{ file = "/out/{file}.ndjson" }}
grants = {{ dirs = [{{ host = "out", guest = "/out", write = true }}] }}
"#
        ));
        text
    }
}

/// What became of the orders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub(crate) struct Tally {
    /// Written.
    pub(crate) ok: u64,
    /// Cancelled, and therefore not written.
    pub(crate) dropped: u64,
}

impl Tally {
    /// What must become of these.
    pub(crate) fn of(written: Written) -> Self {
        Self { ok: written.orders - written.cancelled, dropped: written.cancelled }
    }
}

/// A project folder.
#[derive(Debug, Clone)]
pub(crate) struct Shop {
    folder: PathBuf,
}

impl Shop {
    /// Makes the project, without orders and without routes.
    pub(crate) fn make(folder: &Path, plugins: &Plugins, names: &[&str]) -> Result<Self> {
        let shop = Self::at(folder);
        for folder in ["in", "out", "plugins", "routes"] {
            std::fs::create_dir_all(shop.folder.join(folder))?;
        }
        let mut project = String::from("[plugins]\n");
        for name in names {
            let to = format!("plugins/{name}.wasm");
            std::fs::copy(plugins.path(name)?, shop.folder.join(&to)).with_context(|| format!("copying to {to}"))?;
            project.push_str(&format!("{name} = {{ path = \"{to}\" }}\n"));
        }
        std::fs::write(shop.folder.join("crossdock.toml"), project)?;
        Ok(shop)
    }

    /// The project that was made in this folder.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_path_buf() }
    }

    /// Writes the next orders into a file that a route can read.
    pub(crate) fn add_orders(&self, file: &str, from: &mut Orders, orders: u64) -> Result<Written> {
        let mut out = BufWriter::with_capacity(1 << 18, File::create(self.input(file))?);
        let written = from.write(&mut out, orders)?;
        out.into_inner().context("writing the orders")?.sync_all()?;
        Ok(written)
    }

    /// Writes a route over a file of orders.
    pub(crate) fn add_route(&self, route: &RouteText<'_>) -> Result<()> {
        self.write_route(route.name, &route.text())
    }

    /// Writes a route.
    pub(crate) fn write_route(&self, name: &str, text: &str) -> Result<()> {
        Ok(std::fs::write(self.route(name), text)?)
    }

    /// Forgets what was done, but not the compiled plugins.
    pub(crate) fn clear(&self) -> Result<()> {
        for entry in std::fs::read_dir(self.folder.join("out"))? {
            std::fs::remove_file(entry?.path())?;
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

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    /// Orders.
    pub(crate) fn input(&self, file: &str) -> PathBuf {
        self.folder.join(format!("in/{file}.ndjson"))
    }

    /// Where they are written to.
    pub(crate) fn output(&self, file: &str) -> PathBuf {
        self.folder.join(format!("out/{file}.ndjson"))
    }

    /// Where the ledger is.
    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    /// The component that transforms.
    pub(crate) fn map(&self) -> PathBuf {
        self.folder.join("plugins/map.wasm")
    }

    fn route(&self, name: &str) -> PathBuf {
        self.folder.join(format!("routes/{name}.toml"))
    }

    /// Runs routes once, all at the same time, as somebody who embeds the host does.
    pub(crate) async fn run_routes(&self, names: &[String]) -> Result<Tally> {
        let options =
            HostOptions { project: Some(self.folder.clone()), data: Some(self.data()), ..HostOptions::default() };
        let host = Host::open(options)?;
        let mut running = Vec::with_capacity(names.len());
        for name in names {
            running.push(host.run(&self.route(name)).await?);
        }
        let mut tally = Tally::default();
        for running in running {
            let report = running.finish().await?;
            ensure!(report.status == RunStatus::Ok, "{} ended {}: {:?}", report.route, report.status, report.reason);
            tally.ok += report.count(Status::Ok);
            tally.dropped += report.count(Status::Dropped);
        }
        Ok(tally)
    }
}
