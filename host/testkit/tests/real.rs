//! Plugins that are right: their cases hold, and the hostile host finds nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use crossdock_devkit::{plugins, workspace_root};
use crossdock_testkit::{Kit, Verdict, read_cases};
use std::path::Path;

/// Tries a plugin out. At least so many plays must have held: what cannot be tried proves nothing.
fn check(kit: &Kit, plugin: &Path, cases: &Path, held_at_least: usize) -> Option<String> {
    let report = kit.load(plugin).unwrap().test(&read_cases(cases).unwrap()).unwrap();
    let held = report.tried.iter().filter(|tried| tried.verdict == Verdict::Held).count();
    println!("{}: {held} plays held", report.plugin);
    let is_fine = report.holds() && held >= held_at_least;
    (!is_fine).then(|| format!("{}: {:#}", report.plugin, report.to_json()))
}

#[test]
fn the_plugins_of_this_repository_keep_their_promises() {
    let (kit, mut failed) = (Kit::new().unwrap(), Vec::new());
    let plugins = plugins().unwrap();
    let cases = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/plugins");
    for (name, held_at_least) in
        [("map", 7), ("text-source", 5), ("http-source", 6), ("http-destination", 14), ("file-destination", 8)]
    {
        failed.extend(check(&kit, &plugins.path(name).unwrap(), &cases.join(name), held_at_least));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}

#[test]
fn the_examples_of_the_kit_for_rust_keep_their_promises() {
    let (kit, mut failed) = (Kit::new().unwrap(), Vec::new());
    let examples = crossdock_devkit::examples().unwrap();
    for (name, held_at_least) in [("orders", 7), ("ledger-entry", 12)] {
        let cases = workspace_root().join("sdk/rust/examples").join(name).join("cases");
        failed.extend(check(&kit, &examples.path(name).unwrap(), &cases, held_at_least));
    }
    assert!(failed.is_empty(), "{}", failed.join("\n"));
}
