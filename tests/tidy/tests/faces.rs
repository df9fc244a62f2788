//! What the library shows, in small trees that are refused and mended.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_tidy::Tree;
use crossdock_tidy::checks::faces::foreign_types;

/// `facade` and `ledger` are files of theirs; each of `expected` is told, and nothing else.
fn check(facade: &str, ledger: &str, expected: &[&str]) {
    let lib = "pub use crossdock_ledger::Reader;\npub use run::{Running, start};\nmod run;\n";
    let files = [("host/host/src/lib.rs", lib), ("host/host/src/run.rs", facade), ("host/ledger/src/lib.rs", ledger)];
    let found: Vec<String> = foreign_types(&Tree::of(&files)).iter().map(ToString::to_string).collect();
    assert_eq!(found.len(), expected.len(), "{found:#?}");
    for words in expected {
        assert!(found.iter().any(|line| line.contains(words)), "nothing says {words:?}: {found:#?}");
    }
}

#[test]
fn types_of_others_in_public_items() {
    check("", "", &[]);
    let receiver = "use tokio::sync::watch;\npub struct Running { progress: watch::Receiver<u8> }\n";
    check(receiver, "", &[]);
    check(&receiver.replace("progress", "pub progress"), "", &["host/host/src/run.rs:2: `Running` is shown"]);
    let with = |member: &str| format!("{receiver}impl Running {{ {member} }}\n");
    check(&with("fn progress(&self) -> watch::Receiver<u8> { loop {} }"), "", &[]);
    check(&with("pub(crate) fn progress(&self) -> watch::Receiver<u8> { loop {} }"), "", &[]);
    check(
        &with("pub fn progress(&self) -> Option<watch::Receiver<u8>> { loop {} }"),
        "",
        &["tokio::sync::watch::Receiver"],
    );
    check(&with("pub fn give(&self, with: impl Fn(tokio::time::Instant)) {}"), "", &["tokio::time::Instant"]);
    check("pub fn start() -> std::sync::Arc<Vec<u8>> { loop {} }", "", &[]);
    check("pub fn start(with: &serde_json::Value) {}", "", &[]);
    check("pub fn start<T: Into<wasmtime::Engine>>(with: T) {}", "", &["wasmtime::Engine"]);
    check("pub fn other() -> tokio::time::Instant { loop {} }", "", &[]);
}

#[test]
fn items_of_other_rooms_that_are_handed_on() {
    let reader = "pub struct Reader { pub of: Place }\n";
    check("", reader, &[]);
    check("", &format!("{reader}pub struct Place {{ inner: rusqlite::Row }}\n"), &[]);
    check("", &format!("{reader}pub struct Place {{ pub inner: rusqlite::Row }}\n"), &["host/ledger/src/lib.rs:2"]);
    check("", &format!("{reader}pub enum Place {{ Row(rusqlite::Row) }}\n"), &["`Place` is shown by the library"]);
    check("", &format!("{reader}pub type Place = rusqlite::Row;\n"), &["rusqlite::Row"]);
    // Nobody is led there.
    check("", &format!("{reader}pub struct Else {{ pub inner: rusqlite::Row }}\n"), &[]);
    let error = "pub struct Reader;\nimpl From<rusqlite::Error> for Reader { fn from(_: rusqlite::Error) -> Self { Reader } }\n";
    check("", error, &["rusqlite::Error"]);
    check("", "pub(crate) struct Reader;\nimpl Reader { pub fn row(&self) -> rusqlite::Row { loop {} } }\n", &[]);
    let within = "mod kinds;\npub use kinds::Kind;\npub struct Reader { pub kind: Kind, pub other: kinds::Other }\n";
    check("", within, &[]);
    check("", "pub struct Reader;\nimpl serde::Serialize for Reader {}\n", &[]);
}
