//! A run as it is watched: its events, its numbers, and a route that stands in no file.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock::{Compiler, EventFilter, EventOrder, Events, Host, HostOptions, Running, Status};
use crossdock_devkit::workspace_root;
use std::fs;
use tempfile::TempDir;
use tokio::runtime::Builder;

/// So many records, each of which is rejected, which is an event.
const RECORDS: usize = 350;

fn wait<T>(future: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

fn project() -> (TempDir, Host) {
    let dir = tempfile::tempdir().unwrap();
    let frozen = |role: &str| workspace_root().join("tests/frozen/0.1.0").join(format!("{role}.wasm"));
    let plugin = |role: &str| format!("{role} = {{ path = {:?} }}\n", frozen(role).display().to_string());
    let file = dir.path().join("crossdock.toml");
    fs::write(file, format!("[plugins]\n{}{}", plugin("source"), plugin("transformer"))).unwrap();
    let plugins = crossdock_devkit::plugins().unwrap();
    let keep = format!("keep = {{ path = {:?} }}\n", plugins.path("file-destination").unwrap().display().to_string());
    let file = fs::OpenOptions::new().append(true).open(dir.path().join("crossdock.toml"));
    std::io::Write::write_all(&mut file.unwrap(), keep.as_bytes()).unwrap();
    fs::create_dir(dir.path().join("out")).unwrap();
    let options =
        HostOptions { project: Some(dir.path().into()), compiler: Compiler::InProcess, ..HostOptions::default() };
    let host = Host::open(options).unwrap();
    (dir, host)
}

fn route() -> String {
    let lines: Vec<String> = (0..RECORDS).map(|n| format!("r{n} bend x")).collect();
    format!(
        "name = \"watched\"\non_error = \"continue\"\nlog = \"full\"\n[source]\nplugin = \"source\"\n\
         settings = {{ lines = \"{}\" }}\n[[step]]\nname = \"shape\"\nplugin = \"transformer\"\n\
         [[step]]\nname = \"keep\"\nplugin = \"keep\"\nsettings = {{ file = \"/out/kept.ndjson\" }}\n\
         grants = {{ dirs = [{{ host = \"out\", guest = \"/out\", write = true }}] }}\n",
        lines.join("|")
    )
}

/// The numbers of all events that are given until there are no more.
async fn all(mut events: Events) -> Vec<u64> {
    let mut numbers = Vec::new();
    while let Some(logged) = events.next().await.unwrap() {
        numbers.push(logged.number);
    }
    assert!(events.next().await.unwrap().is_none(), "an end stays one");
    numbers
}

#[test]
fn each_event_of_a_run_is_given_once_whenever_it_is_asked_for() {
    let (_dir, host) = project();
    wait(async {
        let running: Running = host.run_text(&route()).await.unwrap();
        let (run, late) = (running.run().clone(), running.events().unwrap());
        let mut progress = running.progress();
        let while_it_runs = all(running.events().unwrap()).await;
        while progress.changed().await.is_some() {}
        assert_eq!(progress.now().read, RECORDS as u64);
        let report = running.finish().await.unwrap();
        assert_eq!(report.count(Status::Rejected), RECORDS as u64, "{report:?}");

        let reader = host.reports().unwrap();
        let filter = EventFilter { run: Some(run), ..EventFilter::default() };
        let (mut written, mut after) = (Vec::new(), None);
        loop {
            let page = reader.events(&filter, EventOrder::OldestFirst, 1_000, after.as_ref()).unwrap();
            written.extend(page.items.iter().map(|logged| logged.number));
            after = page.next;
            if after.is_none() {
                break;
            }
        }
        assert!(written.len() > RECORDS, "{} events", written.len());
        assert_eq!(while_it_runs, written);
        // Somebody who was asked for them in time, and looks when all is over.
        assert_eq!(all(late).await, written);
    });
}

#[test]
fn a_route_that_stands_in_no_file() {
    let (dir, host) = project();
    let Err(error) = wait(host.run_text("name = \"watched\"\n")) else { panic!("a route without a source ran") };
    assert_eq!(error.class().exit_code(), 2, "{error}");
    assert!(error.render_mistakes(false).unwrap().contains("the route"), "{error}");
    assert!(!dir.path().join(".crossdock/ledger.db").exists(), "a route with mistakes left something behind");
    let alone = Host::open(HostOptions {
        data: Some(dir.path().join("data")),
        project: Some(dir.path().join("out")),
        ..HostOptions::default()
    });
    assert!(alone.is_err(), "a folder without a project file is a project");
}
