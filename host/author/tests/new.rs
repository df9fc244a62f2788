//! New folders: what is refused, and what lies in one. That they build is seen in `tests/acceptance`.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_author::{CODES, ErrorClass, Explained, Language, Role, create};
use std::fs;
use std::path::{Path, PathBuf};

/// This name is refused with this code, the message has this part, and nothing is made.
#[track_caller]
fn check(name: &str, language: Language, code: &str, message: &str) {
    let dir = tempfile::tempdir().unwrap();
    let error = create(Role::Source, name, language, dir.path()).expect_err("it was made");
    assert_eq!((error.code(), error.class()), (code, ErrorClass::InvalidInput), "{error}");
    assert!(CODES.iter().any(|known| known.name == code), "{code} has no page");
    let (said, fix) = (error.to_string(), error.fix().unwrap());
    assert!(said.contains(message), "{said}");
    assert!(fix.contains("big-orders"), "{fix}");
    assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0, "something was made");
}

#[test]
fn names_that_will_not_do() {
    let long = "a".repeat(65);
    for name in ["", "Orders", "big_orders", "ördér", "../orders", "a b", long.as_str()] {
        check(name, Language::Python, "new-name", "1 to 64 of `a-z`, `0-9` and `-`");
    }
    for name in ["3pl", "-orders", "orders-", "big--orders"] {
        check(name, Language::JavaScript, "new-name", "begins with a letter");
    }
    check("serde", Language::Rust, "new-name", "a package that the plugin itself needs");
    check("match", Language::Rust, "new-name", "Rust has this word already");
}

#[test]
fn nothing_is_overwritten() {
    let dir = tempfile::tempdir().unwrap();
    for (name, is_folder) in [("file", false), ("folder", true)] {
        let path = dir.path().join(name);
        if is_folder {
            fs::create_dir(&path).unwrap()
        } else {
            fs::write(&path, "mine").unwrap()
        }
        let error = create(Role::Source, name, Language::Rust, dir.path()).expect_err("it was made");
        assert_eq!((error.code(), error.class()), ("new-exists", ErrorClass::InvalidInput), "{error}");
        assert!(error.to_string().contains("it is there already") && error.fix().unwrap().contains("--in"));
    }
    assert_eq!(fs::read_to_string(dir.path().join("file")).unwrap(), "mine");
    assert_eq!(fs::read_dir(dir.path().join("folder")).unwrap().count(), 0);
}

#[test]
fn where_nothing_can_be_written() {
    let dir = tempfile::tempdir().unwrap();
    let file = dir.path().join("file");
    fs::write(&file, "").unwrap();
    let error = create(Role::Source, "orders", Language::Rust, &file.join("in")).expect_err("it was made");
    assert_eq!((error.code(), error.class()), ("new-file", ErrorClass::Environment), "{error}");
    assert!(error.fix().unwrap().contains("--in"));
}

/// All files below a folder, by their paths within it.
fn below(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    entries.flat_map(|path| if path.is_dir() { below(&path) } else { vec![path] }).collect()
}

#[test]
fn a_folder_stands_by_itself() {
    for role in Role::ALL {
        let dir = tempfile::tempdir().unwrap();
        let created = create(role, "big-orders", Language::Rust, dir.path()).unwrap();
        let files = below(&created.dir);
        let has = |path: &str| files.contains(&created.dir.join(path));
        assert!(["Cargo.toml", "README.md", ".gitignore", "src/lib.rs"].iter().all(|path| has(path)), "{files:?}");
        assert!(has("vendor/crossdock-sdk/src/lib.rs") && has("vendor/crossdock-sdk/wit/plugin.wit"), "{files:?}");
        assert!(created.files.iter().any(|path| path.starts_with("cases")), "{role} has no cases");
        assert_eq!(created.next.len(), 3);
        for path in files {
            let text = String::from_utf8(fs::read(&path).unwrap()).unwrap();
            let foreign = ["{{name}}", env!("CARGO_MANIFEST_DIR"), "workspace = true"];
            let own = !path.starts_with(created.dir.join("vendor"));
            let found = foreign.iter().find(|part| (own || **part != "{{name}}") && text.contains(**part));
            assert_eq!(found, None, "{}", path.display());
        }
    }
}
