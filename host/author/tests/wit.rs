//! Pairs of contracts and what is said about them: a folder a case. `UPDATE=1` writes what is said now; read it then.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_author::Explained as _;
use crossdock_author::wit;
use std::fs;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/wit")
}

#[test]
fn what_is_different_and_what_that_does() {
    let update = std::env::var_os("UPDATE").is_some();
    let mut cases: Vec<PathBuf> = fs::read_dir(folder()).unwrap().map(|entry| entry.unwrap().path()).collect();
    cases.sort();
    assert!(cases.len() > 30, "{} cases", cases.len());
    for case in cases {
        // A file each, or a folder each with what they use.
        let side = |name: &str| {
            let file = case.join(format!("{name}.wit"));
            if file.exists() { file } else { case.join(name) }
        };
        let found = wit::check(&side("old"), &side("new")).unwrap();
        let said = found.to_string();
        let expected = case.join("expected.txt");
        if update {
            fs::write(&expected, &said).unwrap();
        }
        assert_eq!(said, fs::read_to_string(&expected).unwrap(), "{}", case.display());
        // The same for programs.
        assert_eq!(found.goes_on, !said.contains("refused"), "{}", case.display());
        let json = serde_json::to_value(&found).unwrap();
        assert_eq!(json["goes_on"], found.goes_on, "{json}");
        assert_eq!(json["differences"].as_array().unwrap().len(), found.differences.len());
    }
}

#[test]
fn a_contract_is_no_different_from_itself_however_it_is_cut_into_files() {
    let case = folder().join("nothing/old.wit");
    let text = fs::read_to_string(&case).unwrap();
    let (one, rest) = text.split_once("interface undo").unwrap();
    let cut = tempfile::tempdir().unwrap();
    fs::write(cut.path().join("b.wit"), one).unwrap();
    fs::write(cut.path().join("a.wit"), format!("interface undo{rest}")).unwrap();
    let found = wit::check(&case, cut.path()).unwrap();
    assert_eq!(found.differences, [], "{found}");
}

#[test]
fn contracts_that_cannot_be_read() {
    let check = |path: &Path, words: &[&str]| {
        let error = wit::check(&folder().join("nothing/old.wit"), path).unwrap_err();
        assert_eq!((error.code(), error.class().exit_code()), ("wit-unreadable", 2));
        let told = format!("{error}; {}", error.fix().unwrap());
        for word in words.iter().copied().chain([path.to_str().unwrap(), "name a folder"]) {
            assert!(told.contains(word), "{told:?} does not say {word:?}");
        }
    };
    let dir = tempfile::tempdir().unwrap();
    check(&dir.path().join("none.wit"), &["No such file"]);
    check(dir.path(), &[]);
    let file = dir.path().join("bad.wit");
    let write = |text: &str| fs::write(&file, text).unwrap();
    write("package a:b@0.1.0;\ninterface i { f: func(x: nothing); }");
    check(&file, &["nothing", "bad.wit:2"]);
    check(dir.path(), &["nothing", "bad.wit:2"]);
    write("interface i {");
    check(&file, &["bad.wit"]);
    fs::write(&file, [0xff, 0xfe]).unwrap();
    check(&file, &["UTF-8"]);
}
