//! What the SDK makes of plugins, looked at from outside: the built files themselves.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::collections::BTreeSet;
use std::path::Path;
use wasmparser::{Parser, Payload};

/// What a component says of itself.
#[derive(Debug, Default, PartialEq)]
struct Shape {
    exports: BTreeSet<String>,
    imports: BTreeSet<String>,
    contract: Vec<String>,
}

/// Reads a component. Exports and imports count at its top level, the contract section at any level.
fn shape(file: &Path) -> Shape {
    let bytes = std::fs::read(file).unwrap();
    let mut shape = Shape::default();
    let mut depth = 0;
    for payload in Parser::new(0).parse_all(&bytes) {
        match payload.unwrap() {
            Payload::ModuleSection { .. } | Payload::ComponentSection { .. } => depth += 1,
            Payload::End(_) => depth -= 1,
            Payload::ComponentExportSection(section) if depth == 0 => {
                shape.exports.extend(section.into_iter().map(|export| export.unwrap().name.name.to_owned()));
            }
            Payload::ComponentImportSection(section) if depth == 0 => {
                shape.imports.extend(section.into_iter().map(|import| import.unwrap().name.name.to_owned()));
            }
            Payload::CustomSection(section) if section.name() == "crossdock:contract" => {
                shape.contract.push(String::from_utf8(section.data().to_vec()).unwrap());
            }
            _ => {}
        }
    }
    shape
}

/// Checks what a plugin exports, and that of ours it imports no more than this.
fn check(file: &Path, exports: &[&str], imports_at_most: &[&str]) {
    let named = |names: &[&str]| -> BTreeSet<String> {
        names.iter().map(|name| format!("crossdock:plugin/{name}@0.1.0")).collect()
    };
    let shape = shape(file);
    let name = file.display();
    assert_eq!(shape.contract, ["0.1.0"], "{name}");
    assert_eq!(shape.exports, named(exports), "{name}");
    let ours: BTreeSet<String> = shape.imports.iter().filter(|name| !name.starts_with("wasi:")).cloned().collect();
    assert!(ours.is_subset(&named(imports_at_most)), "{name} imports {ours:?}");
}

#[test]
fn plugins_export_their_role_and_import_what_they_use() {
    let plugins = crossdock_devkit::plugins().unwrap();
    let types = "types";
    let map = plugins.path("map").unwrap();
    check(&map, &["describe", "lifecycle", "transformer"], &[types]);
    let source = plugins.path("text-source").unwrap();
    check(&source, &["describe", "lifecycle", "source"], &[types, "log", "metrics"]);
    let source = plugins.path("http-source").unwrap();
    check(&source, &["describe", "lifecycle", "source"], &[types, "log", "metrics", "control", "secrets", "http"]);
    let full = ["describe", "lifecycle", "destination", "compensate", "probe"];
    let file = plugins.path("file-destination").unwrap();
    check(&file, &full, &[types, "log", "metrics", "state", "control"]);
    let http = plugins.path("http-destination").unwrap();
    check(&http, &full, &[types, "log", "metrics", "state", "control", "secrets", "http"]);
    assert!(plugins.path("no-such-plugin").unwrap_err().to_string().contains("text-source"));
    assert_eq!(plugins.iter().count(), 5);
}
