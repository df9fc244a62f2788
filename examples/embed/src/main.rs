//! A whole run from a program of one's own: open, run, watch what happens, report, and put a record through again.
#![allow(clippy::print_stdout)]

mod project;

use anyhow::{Context, Result};
use crossdock::{Choice, Definition, Host, HostOptions, RecordFilter, Resync, Status};
use std::path::Path;
use std::process::ExitCode;

fn main() -> Result<ExitCode> {
    // Plugins are compiled in a process of their own: this program, started again.
    if let Some(code) = crossdock::compile_if_asked() {
        return Ok(code);
    }
    let folder = project::make()?;
    tokio::runtime::Runtime::new()?.block_on(orders(folder.path()))
}

async fn orders(folder: &Path) -> Result<ExitCode> {
    let host = Host::open(HostOptions { project: Some(folder.to_owned()), ..HostOptions::default() })?;
    let running = host.run_text(include_str!("../orders.toml")).await?;
    let mut events = running.events()?;
    while let Some(logged) = events.next().await? {
        println!("{:>3}  {}", logged.number, logged.event.message);
    }
    let report = running.finish().await?;
    println!("{}: {} read, {} ok", report.status, report.read, report.count(Status::Ok));

    // One order has a sum that is no number. It is given the right one and goes on from the step that rejected it.
    let filter = RecordFilter { status: Some(Status::Rejected), ..RecordFilter::default() };
    let edit = Some(br#"{"no": "A-3", "sum": "7.5"}"#.to_vec());
    let choice = Choice { filter, ..Choice::default() };
    let resync = Resync { choice, definition: Definition::Recorded, edit };
    let plan = host.plan_resync(&resync).await?.context("no record was rejected")?;
    let report = host.apply_resync(&plan.hash).await?.finish().await?;
    println!("again: {}, {} ok", report.status, report.count(Status::Ok));
    Ok(ExitCode::from(report.exit_code()))
}
