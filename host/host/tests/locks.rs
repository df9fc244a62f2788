//! The lock as an embedder meets it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock::{Approve, Compiler, Error, Host, HostOptions, LOCK_FILE, PluginName, Standing, Status};
use std::fs;
use std::path::Path;
use tempfile::TempDir;
use tokio::runtime::Builder;

fn wait<T>(future: impl Future<Output = T>) -> T {
    Builder::new_current_thread().enable_all().build().unwrap().block_on(future)
}

/// A project that copies the lines of one file into another, with its own copies of the plugins.
fn project() -> TempDir {
    let dir = tempfile::tempdir().unwrap();
    let plugins = crossdock_devkit::plugins().unwrap();
    let file = "[plugins]\nfrom = { path = \"from.wasm\" }\nto = { path = \"to.wasm\" }\n";
    fs::copy(plugins.path("text-source").unwrap(), dir.path().join("from.wasm")).unwrap();
    fs::copy(plugins.path("file-destination").unwrap(), dir.path().join("to.wasm")).unwrap();
    fs::write(dir.path().join("crossdock.toml"), file).unwrap();
    let route = r#"
        name = "copy"
        [source]
        plugin = "from"
        settings = { files = "/in/lines.txt", format = "columns", columns = ["id", "what"], id = ["id"] }
        grants = { dirs = [{ host = "in", guest = "/in" }] }
        [[step]]
        name = "keep"
        plugin = "to"
        settings = { file = "/out/lines.ndjson" }
        grants = { dirs = [{ host = "out", guest = "/out", write = true }] }
    "#;
    for folder in ["in", "out"] {
        fs::create_dir(dir.path().join(folder)).unwrap();
    }
    fs::write(dir.path().join("copy.toml"), route).unwrap();
    fs::write(dir.path().join("in/lines.txt"), "1 one\n2 two\n").unwrap();
    dir
}

fn open(dir: &Path, locked: bool) -> Host {
    let options =
        HostOptions { project: Some(dir.into()), compiler: Compiler::InProcess, locked, ..HostOptions::default() };
    Host::open(options).unwrap()
}

fn run(host: &Host, dir: &Path) -> Result<crossdock::RunReport, Error> {
    wait(async { host.run(&dir.join("copy.toml")).await?.finish().await })
}

#[track_caller]
fn refused<T>(answer: Result<T, Error>, code: &str) {
    let Err(error) = answer else { panic!("went well, expected {code}") };
    let said = serde_json::to_string(&error).unwrap();
    assert!(said.contains(&format!("\"{code}\"")), "{said}");
}

#[test]
fn a_host_that_adds_nothing_and_one_that_approves() {
    let dir = project();
    refused(run(&open(dir.path(), true), dir.path()), "plugin-not-locked");
    assert!(!dir.path().join(LOCK_FILE).exists());
    let host = open(dir.path(), false);
    let standing = |host: &Host| wait(host.plugins()).unwrap().iter().map(|p| p.standing).collect::<Vec<_>>();
    assert_eq!(standing(&host), [Standing::NotLocked, Standing::NotLocked]);
    let report = run(&host, dir.path()).unwrap();
    assert_eq!((report.count(Status::Ok), report.added_to_lock.len()), (2, 2));
    assert_eq!(standing(&host), [Standing::Locked, Standing::Locked]);
    drop(host);

    // The same host sees what was approved while it was open.
    let host = open(dir.path(), true);
    let mut bytes = fs::read(dir.path().join("to.wasm")).unwrap();
    bytes.extend(b"\0\x02\x01x");
    fs::write(dir.path().join("to.wasm"), bytes).unwrap();
    refused(run(&host, dir.path()), "plugin-changed");
    assert_eq!(standing(&host), [Standing::Locked, Standing::Differs]);
    let names = [PluginName::new("to").unwrap()];
    let approval = wait(host.plan_approval(Approve::Named(&names))).unwrap().unwrap();
    assert_eq!(approval.plugins[0].differences.iter().map(|d| d.what).collect::<Vec<_>>(), ["sha256", "size"]);
    let again = wait(host.plan_approval(Approve::All)).unwrap().unwrap();
    assert_eq!(approval.hash, again.hash, "of the same plugins");
    wait(host.approve(&approval)).unwrap();
    assert!(run(&host, dir.path()).unwrap().added_to_lock.is_empty());
    // What was shown is not there any more.
    refused(wait(host.approve(&again)), "plugin-approval-stale");
    assert!(wait(host.plan_approval(Approve::All)).unwrap().is_none());
}

/// A file that is exchanged while its plugin is being loaded, or while a run of it is under way, changes nothing.
#[test]
fn what_is_pinned_is_what_was_read() {
    let dir = project();
    let host = open(dir.path(), false);
    let before = fs::read(dir.path().join("to.wasm")).unwrap();
    let digest = wait(host.inspect(&dir.path().join("to.wasm"))).unwrap().digest;
    let report = wait(async {
        let running = host.run(&dir.path().join("copy.toml")).await.unwrap();
        fs::write(dir.path().join("to.wasm"), b"\0asm").unwrap();
        running.finish().await.unwrap()
    });
    assert_eq!(report.count(Status::Ok), 2);
    assert_eq!(report.added_to_lock[1].sha256, digest);
    refused(run(&host, dir.path()), "plugin-changed");
    fs::write(dir.path().join("to.wasm"), before).unwrap();
    assert_eq!(run(&host, dir.path()).unwrap().read, 0);
}
