//! Folders that cannot be built, and what is said about them. What is built stands in `tests/acceptance`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_author::{CODES, ErrorClass, Explained, build};
use std::fs;

/// Building a folder with these files ends with this code; the message and the fix have these parts.
#[track_caller]
fn check(files: &[(&str, &str)], code: &str, message: &str, fix: &str) {
    let dir = tempfile::tempdir().unwrap();
    for (name, text) in files {
        fs::write(dir.path().join(name), text).unwrap();
    }
    let error = build(dir.path(), true).expect_err("it was built");
    assert_eq!(error.code(), code, "{error}");
    assert!(CODES.iter().any(|known| known.name == code), "{code} has no page");
    let (said, remedy) = (error.to_string(), error.fix().unwrap());
    assert!(said.contains(message), "{said}");
    assert!(remedy.contains(fix), "{remedy}");
    assert!(!dir.path().join("dist").exists(), "something was written");
}

#[test]
fn the_manifest_says_which_language() {
    check(&[], "build-no-manifest", "none of Cargo.toml, package.json, pyproject.toml", "crossdock new");
    let two = [
        ("Cargo.toml", "[package]\nname = \"a\"\nversion = \"1.0.0\"\n"),
        ("package.json", r#"{ "name": "a", "version": "1.0.0", "crossdock": { "entry": "a.js" } }"#),
    ];
    check(&two, "build-several-manifests", "Cargo.toml and package.json are there", "a folder of its own");
    // One that is there for another tool is passed over; the other one is then read further.
    let other = [("package.json", "{}"), ("pyproject.toml", "[tool.crossdock]\nentry = 'plugin'\n")];
    check(&other, "build-manifest", "pyproject.toml: there is no `name` in [project]", "Write one");
}

#[test]
fn the_manifest_says_what_is_needed() {
    let code = "build-manifest";
    check(&[("Cargo.toml", "[package\n")], code, "TOML parse error at line 1", "Mend the file");
    check(&[("package.json", "{,}")], code, "line 1 column 2", "Mend the file");
    check(&[("Cargo.toml", "[workspace]\n")], code, "no `name` in [package]", "Write one");
    check(&[("Cargo.toml", "[package]\nname = 'Big_Orders'\n")], code, "`Big_Orders` cannot be", "1 to 64 of `a-z`");
    let long = format!("[package]\nname = '{}'\n", "a".repeat(65));
    check(&[("Cargo.toml", &long)], code, "cannot be the name", "1 to 64");
    check(&[("package.json", r#"{ "name": "@me/a", "version": "1.0.0" }"#)], code, "not say that this", "\"entry\"");
    let entry = r#"{ "name": "@me/a", "crossdock": { "entry": "a.js" } }"#;
    check(&[("package.json", entry)], code, "there is no `version`", "0.1.0");
    check(&[("pyproject.toml", "[project]\nname = 'a'\nversion = '1.0.0'\n")], code, "not say that this", "entry = ");
}

#[test]
fn a_folder_that_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let error = build(&dir.path().join("nowhere"), true).expect_err("it was built");
    assert_eq!((error.code(), error.class()), ("build-no-manifest", ErrorClass::InvalidInput));
    // What the operating system refuses is not the author's mistake.
    fs::create_dir(dir.path().join("src")).unwrap();
    fs::write(dir.path().join("Cargo.toml"), [0xff, 0xfe]).unwrap();
    let error = build(dir.path(), true).expect_err("it was built");
    assert_eq!((error.code(), error.class()), ("build-file", ErrorClass::Environment));
}
