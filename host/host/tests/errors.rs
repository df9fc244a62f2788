//! Errors that only an embedder meets: the command line keeps its users from them, or is never so large.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock::{
    Choice, Compiler, Error, ErrorClass, Host, HostOptions, Purpose, RecordFilter, Resync, RunStatus, Status, explain,
};
use crossdock_engine::ports::{BatchCommit, Cause, Chunk, Ledger as _, RunStart};
use crossdock_ledger::{LedgerStore, OpenOptions};
use crossdock_model::{Checkpoint, Column, Counts, RouteName, RunId, Timestamp};
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use tokio::runtime::{Builder, Runtime};

/// The error has this code and class, its message and fix have these words, and the code has a page.
#[track_caller]
fn check<T>(answer: Result<T, Error>, code: &str, class: ErrorClass, message: &[&str], fix: &str) {
    let Err(error) = answer else { panic!("went well, expected {code}") };
    let said = error.to_string();
    assert_eq!((error.code(), error.class()), (code, class), "{said}");
    assert!(message.iter().all(|words| said.contains(words)), "{said:?} does not say {message:?}");
    assert!(error.fix().is_some_and(|text| text.contains(fix)), "{:?} does not say {fix:?}", error.fix());
    assert!(explain(code).is_some(), "{code} has no page");
}

fn runtime() -> Runtime {
    Builder::new_current_thread().enable_all().build().unwrap()
}

/// A project that copies the lines of one file into another.
fn project(lines: &str) -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let plugins = crossdock_devkit::plugins().unwrap();
    let path = |name: &str| plugins.path(name).unwrap();
    let file = format!(
        "[plugins]\ntext-source = {{ path = {:?} }}\nfile-destination = {{ path = {:?} }}\n",
        path("text-source"),
        path("file-destination")
    );
    fs::write(dir.path().join("crossdock.toml"), file).unwrap();
    let route = r#"
        name = "copy"
        on_error = "continue"
        [source]
        plugin = "text-source"
        settings = { files = "/in/lines.txt", format = "columns", columns = ["id", "what"], id = ["id"] }
        grants = { dirs = [{ host = "in", guest = "/in" }] }
        [[step]]
        name = "keep"
        plugin = "file-destination"
        settings = { file = "/out/lines.ndjson" }
        grants = { dirs = [{ host = "out", guest = "/out", write = true }] }
    "#;
    for folder in ["in", "out"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    fs::write(dir.path().join("copy.toml"), route).unwrap();
    fs::write(dir.path().join("in/lines.txt"), lines).unwrap();
    dir
}

fn open(dir: &Path) -> Host {
    let options =
        HostOptions { project: Some(dir.into()), data: None, compiler: Compiler::InProcess, ..HostOptions::default() };
    Host::open(options).unwrap()
}

/// The embedder starts a route twice, and then ends its runtime: the run, which is beside its plugins, goes on without.
#[test]
fn a_run_under_way_whose_runtime_goes() {
    const LINES: u64 = 50_000;
    let dir = project(&(0..LINES).map(|n| format!("{n} one\n")).collect::<String>());
    let host = open(dir.path());
    let first = runtime();
    let running = first.block_on(host.run(&dir.path().join("copy.toml"))).unwrap();
    let second = runtime().block_on(host.run(&dir.path().join("copy.toml")));
    let message = ["starting route copy: a run of it is under way in this process"];
    check(second, "route-busy", ErrorClass::Environment, &message, "Wait for the run to end");
    drop(first);
    let report = runtime().block_on(running.finish()).unwrap();
    assert_eq!((report.status, report.count(Status::Ok)), (RunStatus::Ok, LINES));
}

#[test]
fn one_new_content_for_several_records() {
    let dir = project("1 one\nonly-one-word\n2 two\nanother\n");
    let host = open(dir.path());
    let report = runtime().block_on(async { host.run(&dir.path().join("copy.toml")).await?.finish().await }).unwrap();
    assert_eq!(report.count(Status::Rejected), 2);
    let resync = Resync { edit: Some(b"{}".to_vec()), ..Resync::default() };
    let answer = runtime().block_on(host.plan_resync(&resync));
    let message = ["planning a resync with new content: 2 records fit"];
    check(answer, "resync-edit-one", ErrorClass::InvalidInput, &message, "Name the record with --record");
}

/// What one run with so many records that are ok leaves in the ledger of a data folder.
fn write_records(data: &Path, batches: u32, batch_records: u32) {
    let runtime = runtime();
    let store = LedgerStore::open(data, OpenOptions::new(Timestamp(1_000))).unwrap();
    let (run, route) = (RunId("r1".into()), RouteName::new("copy").unwrap());
    let start = RunStart {
        run: run.clone(),
        route: route.clone(),
        route_hash: "h1".into(),
        definition: String::new(),
        plugins: vec![],
        cause: Cause::Manual,
        at: Timestamp(1_000),
    };
    runtime.block_on(store.begin_run(start)).unwrap();
    for batch in 0..batches {
        let from = batch * batch_records;
        let ids: Column = (from..from + batch_records).map(|n| n.to_string()).collect();
        let records = batch_records as usize;
        let mut counts = Counts::default();
        counts.add(Status::Ok, i64::from(batch_records));
        let (statuses, steps) = (vec![Status::Ok; records], vec![0; records]);
        let commit = BatchCommit {
            route: route.clone(),
            run: run.clone(),
            batch: u64::from(batch) + 1,
            at: Timestamp(2_000),
            checkpoint: Some(Checkpoint(batch.to_le_bytes().to_vec())),
            passed: vec![],
            read: u64::from(batch_records),
            resumed: 0,
            counts,
            steps: vec![],
            chunk: Some(Chunk { ids, statuses, steps, ..Chunk::default() }),
            rows: vec![],
            attempts: vec![],
            events: vec![],
            state: vec![],
            progress: None,
            closes: true,
            tasks: vec![],
            settles_open: false,
        };
        runtime.block_on(store.commit(commit)).unwrap();
    }
}

#[test]
fn more_records_than_can_be_chosen_at_once() {
    let dir = tempfile::tempdir().unwrap();
    fs::write(dir.path().join("crossdock.toml"), "").unwrap();
    let host = open(dir.path());
    write_records(host.data(), 101, 10_000);
    let choice = |until: Option<Timestamp>| {
        let filter = RecordFilter { status: Some(Status::Ok), until, ..RecordFilter::default() };
        Choice { ids: vec![], filter }
    };
    let message = ["choosing records: more than 1000000 fit"];
    let answer = host.select(&choice(None), Purpose::Skip);
    check(answer, "records-too-many", ErrorClass::InvalidInput, &message, "Narrow the choice down");
    assert!(host.select(&choice(Some(Timestamp(1_500))), Purpose::Skip).unwrap().is_none(), "a narrower choice");
}
