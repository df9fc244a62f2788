//! The checks over this repository.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::io::Write as _;
use std::path::Path;
use std::sync::LazyLock;

use crossdock_tidy::checks::{codes, crates, edges, faces, links, modules, places, produced, sizes, words};
use crossdock_tidy::{Finding, Tree};

static TREE: LazyLock<Tree> = LazyLock::new(|| {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("../..");
    Tree::load(&root).expect("the repository can be read")
});

fn check(what: &str, findings: Vec<Finding>) {
    assert!(TREE.holds("Cargo.toml"), "the repository was not found, nothing would be seen");
    let list: Vec<String> = findings.iter().map(|finding| format!("  {finding}\n")).collect();
    assert!(findings.is_empty(), "{what}: {} found\n{}", findings.len(), list.concat());
}

#[test]
fn no_upward_edges() {
    check("edges between rooms", edges::upward_edges(&TREE));
}

#[test]
fn no_module_cycles() {
    check("module cycles", modules::module_cycles(&TREE));
}

#[test]
fn no_banned_synonyms() {
    check("words", words::banned_synonyms(&TREE));
}

#[test]
fn crates_say_which_room_they_are() {
    check("openings and clippy.toml", crates::openings(&TREE));
}

#[test]
fn files_and_functions_are_short() {
    // Not through println: what should be shorter is to be seen also when nothing is refused.
    let mut screen = std::io::stderr().lock();
    for finding in sizes::too_long(&TREE, sizes::TARGET) {
        writeln!(screen, "to be shortened: {finding}").unwrap();
    }
    check("sizes", sizes::too_long(&TREE, sizes::REFUSED));
}

#[test]
fn the_top_level_holds_rooms_only() {
    check("top level", places::top_level(&TREE));
}

#[test]
fn nothing_unfinished_is_left() {
    check("leftovers", places::leftovers(&TREE));
}

#[test]
fn no_paths_of_one_machine() {
    check("machine paths", places::machine_paths(&TREE));
}

#[test]
fn error_codes_have_pages() {
    check("error codes", codes::error_codes(&TREE));
}

#[test]
fn error_codes_are_produced_by_tests() {
    check("codes that no test produces", produced::produced_codes(&TREE, produced::EXCEPTIONS));
}

#[test]
fn the_library_shows_types_of_its_own() {
    check("types of others in the library", faces::foreign_types(&TREE));
}

#[test]
fn links_lead_somewhere() {
    check("links", links::markdown_links(&TREE));
}
