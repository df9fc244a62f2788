//! Plugins that are right: their cases hold, and the hostile host finds nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use crossdock_devkit::{plugins, workspace_root};
use crossdock_testkit::{Kit, Verdict, read_cases};
use std::path::Path;

/// Tries a plugin out. At least so many plays must have held: what cannot be tried proves nothing.
#[track_caller]
fn check(kit: &Kit, plugin: &Path, cases: &Path, held_at_least: usize) {
    let report = kit.load(plugin).unwrap().test(&read_cases(cases).unwrap()).unwrap();
    assert!(report.holds(), "{}: {:#}", report.plugin, report.to_json());
    let held = report.tried.iter().filter(|tried| tried.verdict == Verdict::Held).count();
    println!("{}: {held} plays held", report.plugin);
    assert!(held >= held_at_least, "{}: {:#}", report.plugin, report.to_json());
}

#[test]
fn the_plugins_of_this_repository_keep_their_promises() {
    let kit = Kit::new().unwrap();
    let plugins = plugins().unwrap();
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plugins");
    for (name, held_at_least) in
        [("map", 7), ("text-source", 5), ("http-source", 6), ("http-destination", 14), ("file-destination", 8)]
    {
        check(&kit, &plugins.path(name).unwrap(), &cases.join(name), held_at_least);
    }
}

#[test]
fn the_examples_of_the_kit_for_rust_keep_their_promises() {
    let kit = Kit::new().unwrap();
    let examples = crossdock_devkit::examples().unwrap();
    for (name, held_at_least) in [("orders", 7), ("ledger-entry", 12)] {
        let cases = workspace_root().join("sdk/rust/examples").join(name).join("cases");
        check(&kit, &examples.path(name).unwrap(), &cases, held_at_least);
    }
}
