//! The `erp-stand-in` program: see README.md.

use std::{
    io::Write,
    net::SocketAddr,
    path::{Path, PathBuf},
};

use anyhow::Context;
use clap::Parser;
use erp_stand_in::{Faults, Options, Store, serve};
use tokio::net::TcpListener;

/// An ERP stand-in: takes documents over HTTP and keeps its own ledger of every request.
#[derive(Parser)]
#[command(name = "erp-stand-in", version)]
struct Args {
    /// Address to listen on; port 0 takes a free one.
    #[arg(long, default_value = "127.0.0.1:0", value_name = "ADDR:PORT")]
    listen: SocketAddr,
    /// Database file with documents and requests. Made if it is not there, kept over restarts.
    #[arg(long, default_value = "erp-stand-in.db", value_name = "FILE")]
    data: PathBuf,
    /// JSON file with a list of faults to begin with; `PUT /_faults` changes them later.
    #[arg(long, value_name = "FILE")]
    faults: Option<PathBuf>,
    /// Refuse requests with 401 unless they carry `Authorization: Bearer TOKEN`.
    #[arg(long, value_name = "TOKEN")]
    token: Option<String>,
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let args = Args::parse();
    let store = Store::open(&args.data).with_context(|| format!("opening the database {}", args.data.display()))?;
    let faults = args.faults.as_deref().map(read_faults).transpose()?.unwrap_or_default();
    let listener = TcpListener::bind(args.listen).await.with_context(|| format!("listening on {}", args.listen))?;
    announce(listener.local_addr()?, &args.data)?;
    tokio::select! {
        served = serve(listener, store, Options { faults, token: args.token }) => served.context("serving"),
        stopped = tokio::signal::ctrl_c() => stopped.context("waiting for Ctrl-C"),
    }
}

fn read_faults(path: &Path) -> anyhow::Result<Faults> {
    let text = std::fs::read(path).with_context(|| format!("reading the faults file {}", path.display()))?;
    let rules = serde_json::from_slice(&text).with_context(|| format!("in the faults file {}", path.display()))?;
    Faults::new(rules).with_context(|| format!("in the faults file {}", path.display()))
}

/// The first line is for programs that started this one with port 0 and wait for it.
fn announce(address: SocketAddr, data: &Path) -> std::io::Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "listening on {address}")?;
    writeln!(out, "documents and requests are kept in {}", data.display())?;
    writeln!(out, "what happened: curl http://{address}/_ledger/summary")?;
    out.flush()
}
