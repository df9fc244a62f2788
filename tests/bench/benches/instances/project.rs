//! A project in a folder: a small route, or many.

use anyhow::{Context as _, Result};
use crossdock_bench::Orders;
use crossdock_devkit::Plugins;
use crossdock_engine::ports::{Clock, PortFuture};
use crossdock_model::Timestamp;
use std::fs::{File, OpenOptions};
use std::path::{Path, PathBuf};

/// What `map` does with an order.
pub(crate) const MAP_SETTINGS: &str = r#"{
    "drop_when": [{ "field": "/status", "equals": "cancelled" }],
    "fields": {
        "reference": "/order",
        "customer": "/customer/id",
        "name": "/customer/name",
        "currency": "/currency",
        "amount": { "from": "/total", "type": "decimal", "scale": 2 },
        "items": "/lines"
    }
}"#;

/// The plugins of the route.
const PLUGINS: [&str; 3] = ["text-source", "map", "file-destination"];

/// The time is of no interest to what does not wait.
pub(crate) struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp(0)
    }

    fn sleep_until(&self, _: Timestamp) -> PortFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// A project folder.
pub(crate) struct Project {
    folder: PathBuf,
    orders: Orders,
}

impl Project {
    /// Makes a project with so many routes, each over the same orders and into a file of its own.
    pub(crate) fn make(folder: &Path, plugins: &Plugins, routes: usize) -> Result<Self> {
        let project = Self::at(folder);
        for folder in ["in", "out", "plugins", "routes"] {
            std::fs::create_dir_all(project.folder.join(folder))?;
        }
        let mut text = String::from("[plugins]\n");
        for name in PLUGINS {
            let to = format!("plugins/{name}.wasm");
            std::fs::copy(plugins.path(name)?, project.folder.join(&to)).with_context(|| format!("copying to {to}"))?;
            text.push_str(&format!("{name} = {{ path = \"{to}\" }}\n"));
        }
        std::fs::write(project.folder.join("crossdock.toml"), text)?;
        for number in 0..routes {
            std::fs::write(project.route(number), route(number))?;
        }
        File::create(project.folder.join("in/orders.ndjson"))?;
        Ok(project)
    }

    /// The project that was made in this folder.
    pub(crate) fn at(folder: &Path) -> Self {
        Self { folder: folder.to_owned(), orders: Orders::new(1) }
    }

    pub(crate) fn folder(&self) -> &Path {
        &self.folder
    }

    pub(crate) fn data(&self) -> PathBuf {
        self.folder.join("data")
    }

    pub(crate) fn route(&self, number: usize) -> PathBuf {
        self.folder.join(format!("routes/orders-{number}.toml"))
    }

    /// How many orders a route has written.
    pub(crate) fn written(&self, number: usize) -> usize {
        let written = std::fs::read(self.folder.join(format!("out/orders-{number}.ndjson")));
        written.map_or(0, |lines| lines.iter().filter(|byte| **byte == b'\n').count())
    }

    /// Adds an order that is not cancelled to what the routes read.
    pub(crate) fn add_order(&mut self) -> Result<()> {
        use std::io::Write as _;
        let line = loop {
            if let (line, false) = self.orders.next_order() {
                break line;
            }
        };
        let mut file = OpenOptions::new().append(true).open(self.folder.join("in/orders.ndjson"))?;
        Ok(file.write_all(format!("{line}\n").as_bytes())?)
    }
}

fn route(number: usize) -> String {
    format!(
        r#"name = "orders-{number}"

[source]
plugin = "text-source"
settings = {{ files = "/in/orders.ndjson", format = "ndjson", id = ["order"] }}
grants = {{ dirs = [{{ host = "in", guest = "/in" }}] }}

[[step]]
name = "shape"
plugin = "map"

[step.settings]
drop_when = [{{ field = "/status", equals = "cancelled" }}]

[step.settings.fields]
reference = "/order"
customer = "/customer/id"
name = "/customer/name"
currency = "/currency"
amount = {{ from = "/total", type = "decimal", scale = 2 }}
items = "/lines"

[[step]]
name = "keep"
plugin = "file-destination"
settings = {{ file = "/out/orders-{number}.ndjson" }}
grants = {{ dirs = [{{ host = "out", guest = "/out", write = true }}] }}
"#
    )
}
