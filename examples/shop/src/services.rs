//! The shop and the three services: four processes of the ERP stand-in, each with a database of its own.

use anyhow::{Context, Result, ensure};
use crossdock_devkit::{Child, binary, http};
use serde_json::{Value, json};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::Command;

/// Where routes/shop.toml expects them.
const PLACES: [(&str, &str); 4] = [
    ("shop", "127.0.0.1:7420"),
    ("stock", "127.0.0.1:7421"),
    ("payment", "127.0.0.1:7422"),
    ("shipping", "127.0.0.1:7423"),
];

/// What the payment service wants to see. An example's secret is none.
const PAYMENT_TOKEN: &str = "example-token-1";

/// All four, killed when this is dropped.
pub(crate) struct Services(Vec<(&'static str, Child)>);

impl Services {
    /// Starts them; what they knew before they know again.
    pub(crate) fn start(folder: &Path) -> Result<Self> {
        std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        let program = binary("erp-stand-in", "erp-stand-in")?;
        let mut all = Self(Vec::new());
        for (name, addr) in PLACES {
            is_free(name, addr)?;
            let mut command = Command::new(&program);
            command.args(["--listen", addr, "--data"]).arg(folder.join(format!("{name}.db")));
            if name == "payment" {
                command.args(["--token", PAYMENT_TOKEN]);
            }
            let child = Child::start(&mut command).with_context(|| format!("starting {name} on {addr}"))?;
            all.0.push((name, child));
        }
        Ok(all)
    }

    /// Puts orders into the shop; says how many it did not know.
    pub(crate) fn load(&self, orders: &Value) -> Result<u64> {
        let answer = self.ask("shop", "PUT", "/orders", &orders.to_string())?;
        answer["added"].as_u64().context("the shop does not say how many orders it added")
    }

    /// The carrier refuses an order.
    pub(crate) fn shipping_refuses(&self, order: &str, why: &str) -> Result<()> {
        let rules = json!([{ "references": [order], "answer": 422, "message": why }]);
        self.ask("shipping", "PUT", "/_faults", &rules.to_string()).map(drop)
    }

    /// It refuses nothing any more.
    pub(crate) fn shipping_accepts(&self) -> Result<()> {
        self.ask("shipping", "PUT", "/_faults", "[]").map(drop)
    }

    /// What each of them holds.
    pub(crate) fn summary(&self) -> Result<String> {
        let orders = self.ask("shop", "GET", "/_ledger/orders", "")?;
        let of = |status: &str| {
            orders["orders"].as_array().into_iter().flatten().filter(|order| order["status"] == status).count()
        };
        let mut lines = vec![
            "\nWhat they say themselves:".to_owned(),
            format!("  shop      {} orders processed, {} failed, {} new", of("processed"), of("failed"), of("new")),
        ];
        for (name, _) in &PLACES[1..] {
            let books = self.ask(name, "GET", "/_ledger/summary", "")?;
            let twice = books["duplicates"].as_array().map_or(0, Vec::len);
            lines.push(format!(
                "  {name:<9} {} documents, {} cancelled, {twice} orders with more than one",
                books["documents"], books["cancelled"]
            ));
        }
        Ok(lines.join("\n"))
    }

    /// Every request about an order that changed something or was refused, in the order they came.
    pub(crate) fn story_of(&self, order: &str) -> Result<String> {
        let mut requests: Vec<(String, String)> = Vec::new();
        for (name, _) in PLACES {
            let ledger = self.ask(name, "GET", &format!("/_ledger?reference={order}"), "")?;
            for request in ledger["requests"].as_array().into_iter().flatten() {
                let text = |field: &str| request[field].as_str().unwrap_or_default();
                if request["method"] == "GET" {
                    continue;
                }
                let what = request["applied"].as_str().unwrap_or("refused");
                let line =
                    format!("  {name:<9} {:<6} {:<24} {} {what}", text("method"), text("path"), request["status"]);
                requests.push((text("time").to_owned(), line));
            }
        }
        // Each time was taken inside the transaction that it belongs to.
        requests.sort();
        let lines: Vec<String> = requests.into_iter().map(|(_, line)| line).collect();
        Ok(format!("\nWhat they say themselves of {order}:\n{}", lines.join("\n")))
    }

    fn ask(&self, name: &str, method: &str, path: &str, body: &str) -> Result<Value> {
        let found = self.0.iter().find(|(known, _)| *known == name);
        let (_, service) = found.with_context(|| format!("there is no service {name}"))?;
        let (status, answer) = http(method, service.addr(), path, body)?;
        ensure!(status == 200, "{name} answered {method} {path} with {status}: {answer}");
        serde_json::from_str(&answer).with_context(|| format!("the answer of {name} to {method} {path}: {answer}"))
    }
}

/// The token as a file of the project; one that is there stays.
pub(crate) fn put_token(file: &Path) -> Result<()> {
    if file.exists() {
        return Ok(());
    }
    let folder = file.parent().context("a file without folder")?;
    std::fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
    std::fs::write(file, format!("{PAYMENT_TOKEN}\n")).with_context(|| format!("writing {}", file.display()))
}

/// Says it in words when somebody else listens there: the service's own message would be lost among Cargo's.
fn is_free(name: &str, addr: &str) -> Result<()> {
    let addr: SocketAddr = addr.parse().with_context(|| format!("{addr} is no address"))?;
    TcpListener::bind(addr).map(drop).with_context(|| {
        format!(
            "{name} should listen on {addr}, and that port is in use. Does another `cargo run -p shop -- --stay` \
             run? Stop it; or change the port in src/services.rs and routes/shop.toml"
        )
    })
}
