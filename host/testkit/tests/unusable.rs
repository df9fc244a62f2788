//! Cases that cannot be used say what is wrong with them, and what to do.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_testkit::{find_cases, find_plugin, read_cases};
use std::path::Path;

/// What the fix begins with.
#[track_caller]
fn check(error: &(dyn crossdock_testkit::Explained + 'static), code: &str, message: &str, fix: &str) {
    assert_eq!(error.code(), code);
    assert!(error.to_string().contains(message), "{error}");
    assert!(error.fix().unwrap().contains(fix), "{:?}", error.fix());
}

#[test]
fn cases_that_cannot_be_used() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    let missing = dir.join("missing");
    check(&read_cases(&missing).unwrap_err(), "cases-unreadable", "No such file", "--cases DIR");
    check(&read_cases(dir).unwrap_err(), "case-invalid", "no case in this folder", "mend the case");
    std::fs::write(dir.join("a.toml"), "[[record]]\nid = \"A\"\nexpects = \"ok\"\n").unwrap();
    check(&read_cases(dir).unwrap_err(), "case-invalid", "a.toml: TOML parse error at line 3", "mend the case");
    check(&find_cases(&dir.join("dist/a.wasm")).unwrap_err(), "cases-unreadable", "beside `dist`", "--cases DIR");
    check(&find_plugin(dir).unwrap_err(), "plugin-not-built", "there is none yet", "crossdock plugin build");
}

#[test]
fn a_plugin_and_its_cases_are_found_from_its_folder() {
    let folder = tempfile::tempdir().unwrap();
    let dir = folder.path();
    for name in ["dist", "cases"] {
        std::fs::create_dir(dir.join(name)).unwrap();
    }
    let file = dir.join("dist/a.wasm");
    std::fs::write(&file, "").unwrap();
    assert_eq!(find_plugin(dir).unwrap(), file);
    assert_eq!(find_plugin(&file).unwrap(), file);
    assert_eq!(find_cases(&file).unwrap(), dir.join("cases"));
    assert_eq!(find_cases(Path::new(&file)).unwrap(), find_cases(&dir.join("a.wasm")).unwrap());
}
