//! Each check refuses a small bad tree, and lets the mended one pass: a check that cannot fail checks nothing.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_tidy::checks::{codes, crates, edges, links, modules, places, produced, sizes, words};
use crossdock_tidy::{Finding, Tree};

/// Runs a check over a tree and compares what it says: each finding must begin with its `path:line: ` (or
/// `path: `) and hold the words after it.
fn check(run: impl Fn(&Tree) -> Vec<Finding>, files: &[(&str, &str)], expected: &[(&str, &str)]) {
    let mut found: Vec<String> = run(&Tree::of(files)).iter().map(Finding::to_string).collect();
    found.sort();
    let list = found.join("\n");
    assert_eq!(found.len(), expected.len(), "expected {expected:#?}, found:\n{list}");
    for (place, words) in expected {
        let is_told = |line: &String| line.starts_with(&format!("{place}: ")) && line.contains(words);
        assert!(found.iter().any(is_told), "nothing at {place} says {words:?}; found:\n{list}");
    }
}

const MODEL: &str = "[package]\nname = \"crossdock-model\"\n";
const ENGINE: &str = "[package]\nname = \"crossdock-engine\"\n";
const FACADE: &str = "[package]\nname = \"crossdock\"\n";

#[test]
fn upward_edges() {
    let check = |files: &[(&str, &str)], expected: &[(&str, &str)]| check(edges::upward_edges, files, expected);
    let model = ("host/model/Cargo.toml", MODEL);

    check(
        &[model, ("host/engine/Cargo.toml", &format!("{ENGINE}[dependencies]\ncrossdock-model.workspace = true\n"))],
        &[],
    );
    check(
        &[
            (
                "host/model/Cargo.toml",
                &format!("{MODEL}[dependencies]\ncrossdock-engine = {{ path = \"../engine\" }}\n"),
            ),
            ("host/engine/Cargo.toml", ENGINE),
        ],
        &[("host/model/Cargo.toml:4", "must not see crossdock-engine")],
    );
    // As a build-dependency, and for one target only, it is an edge too; as a dev-dependency it is not.
    check(
        &[
            model,
            ("plugins/map/Cargo.toml", "[package]\nname = \"map\"\n[build-dependencies]\ncrossdock-model = \"0\"\n"),
        ],
        &[("plugins/map/Cargo.toml:4", "must not see crossdock-model")],
    );
    let of_target = "[package]\nname = \"map\"\n[target.'cfg(unix)'.dependencies]\ncrossdock-model = \"0\"\n";
    check(&[model, ("plugins/map/Cargo.toml", of_target)], &[("plugins/map/Cargo.toml:4", "must not see")]);
    check(
        &[
            model,
            ("plugins/map/Cargo.toml", "[package]\nname = \"map\"\n[dev-dependencies]\ncrossdock-model = \"0\"\n"),
        ],
        &[],
    );
    // Under another name, here or in the workspace.
    let renamed =
        "[package]\nname = \"crossdock-cli\"\n[dependencies]\nwords = { package = \"crossdock-model\", path = \"\" }\n";
    check(
        &[model, ("host/cli/Cargo.toml", renamed)],
        &[("host/cli/Cargo.toml:4", "it may see crossdock, crossdock-server, crossdock-testkit, crossdock-author")],
    );
    check(
        &[
            (
                "Cargo.toml",
                "[workspace.dependencies]\nwords = { package = \"crossdock-model\", path = \"host/model\" }\n",
            ),
            model,
            ("sdk/rust/Cargo.toml", "[package]\nname = \"crossdock-sdk\"\n[dependencies]\nwords.workspace = true\n"),
        ],
        &[("sdk/rust/Cargo.toml:4", "must not see crossdock-model")],
    );
    // A crate that nobody gave a room.
    check(
        &[("host/extra/Cargo.toml", "[package]\nname = \"extra\"\n")],
        &[("host/extra/Cargo.toml", "stands in no room")],
    );
    check(&[("host/model/Cargo.toml", "[package")], &[("host/model/Cargo.toml", "is not TOML")]);
}

#[test]
fn crates_of_others_in_their_rooms() {
    let check = |files: &[(&str, &str)], expected: &[(&str, &str)]| check(edges::upward_edges, files, expected);
    let all = "[dependencies]\nwasmtime = \"48\"\nwasmtime-wasi = \"48\"\nwit-bindgen = \"0\"\n[dev-dependencies]\nrusqlite = \"0\"\n";
    check(
        &[("host/host/Cargo.toml", &format!("{FACADE}{all}"))],
        &[
            ("host/host/Cargo.toml:4", "wasmtime belongs to host/sandbox and tests/bench only"),
            ("host/host/Cargo.toml:5", "wasmtime-wasi belongs to host/sandbox and tests/bench only"),
            ("host/host/Cargo.toml:6", "wit-bindgen belongs to"),
            ("host/host/Cargo.toml:8", "rusqlite belongs to host/ledger and examples/erp and tests/bench only"),
        ],
    );
    let ledger = "[package]\nname = \"crossdock-ledger\"\n[dependencies]\nrusqlite = \"0\"\n";
    let sandbox = "[package]\nname = \"crossdock-sandbox\"\n[dependencies]\nwasmtime = \"48\"\n";
    check(&[("host/ledger/Cargo.toml", ledger), ("host/sandbox/Cargo.toml", sandbox)], &[]);
}

#[test]
fn what_a_room_never_names() {
    let check = |files: &[(&str, &str)], expected: &[(&str, &str)]| check(edges::upward_edges, files, expected);
    let code = "use std::{fmt, fs};\nfn now() { let _ = std::time::SystemTime::now(); }\nfn f() { println!(\"{:?}\", std::net::TcpStream::connect(\"\")); }\n";
    check(
        &[("host/engine/src/lib.rs", code)],
        &[
            ("host/engine/src/lib.rs:1", "never names std::fs"),
            ("host/engine/src/lib.rs:2", "never names std::time::SystemTime"),
            ("host/engine/src/lib.rs:3", "never names std::net"),
        ],
    );
    check(&[("host/sandbox/src/lib.rs", "use std::fs;\n")], &[]);
    check(&[("host/engine/src/lib.rs", "#[cfg(test)]\nmod tests { use std::fs; }\n")], &[]);
    check(&[("host/engine/src/lib.rs", "use std::fsx;\n")], &[]);
    // A test module in files of its own, beside the root and deeper down; one that only sounds like it.
    let root = ("host/engine/src/lib.rs", "#[cfg(test)]\nmod seeded;\nmod run;\n");
    let run = ("host/engine/src/run.rs", "#[cfg(test)]\nmod cases;\n");
    let code = "use std::fs;\n";
    let tests = [
        ("host/engine/src/seeded.rs", code),
        ("host/engine/src/seeded/a.rs", code),
        ("host/engine/src/run/cases.rs", code),
    ];
    check(&[root, run, tests[0], tests[1], tests[2]], &[]);
    check(&[root, run, ("host/engine/src/seeded_runs.rs", code)], &[("host/engine/src/seeded_runs.rs:1", "std::fs")]);
}

/// The root of a crate of three modules, with re-exports.
const ROOT: (&str, &str) = ("x/src/lib.rs", "mod a;\nmod b;\nmod c;\npub use a::A;\npub use b::B;\npub use c::C;\n");

#[test]
fn module_cycles() {
    let check = |files: &[(&str, &str)], expected: &[(&str, &str)]| check(modules::module_cycles, files, expected);
    check(
        &[
            ROOT,
            ("x/src/a.rs", "use crate::b::B;\n"),
            ("x/src/b.rs", "use crate::c::C;\n"),
            ("x/src/c.rs", "pub struct C;\n"),
        ],
        &[],
    );
    // Two and three modules, by `crate`, by `super`, through the root's re-exports, and within a macro.
    check(
        &[ROOT, ("x/src/a.rs", "use crate::b::B;\n"), ("x/src/b.rs", "\nuse super::a::A;\n"), ("x/src/c.rs", "")],
        &[("x/src/a.rs:1", "a → b (x/src/a.rs:1) → a (x/src/b.rs:2)")],
    );
    check(
        &[
            ROOT,
            ("x/src/a.rs", "use crate::B;\n"),
            ("x/src/b.rs", "fn f() { crate::C; }\n"),
            ("x/src/c.rs", "fn f() { f!(1, crate::a::A); }\n"),
        ],
        &[("x/src/a.rs:1", "a → b (x/src/a.rs:1) → c (x/src/b.rs:1) → a (x/src/c.rs:1)")],
    );
    // Deeper down: children of one module against each other, and a child against an aunt.
    let parent = "pub(crate) mod one;\npub(crate) mod two;\npub(crate) use two::Two;\n";
    check(
        &[
            ("x/src/lib.rs", "mod a;"),
            ("x/src/a.rs", parent),
            ("x/src/a/one.rs", "use super::Two;\n"),
            ("x/src/a/two.rs", "use super::one::One;\n"),
        ],
        &[("x/src/a/one.rs:1", "one → two")],
    );
    check(
        &[
            ("x/src/lib.rs", "mod a;\nmod b;"),
            ("x/src/a.rs", "mod one;"),
            ("x/src/a/one.rs", "use crate::b::B;\n"),
            ("x/src/b.rs", "use crate::a::A;\n"),
        ],
        &[("x/src/a/one.rs:1", "a → b")],
    );
}

#[test]
fn what_counts_as_a_cycle() {
    let check = |files: &[(&str, &str)], expected: &[(&str, &str)]| check(modules::module_cycles, files, expected);
    // Inline modules count; test modules, inline or in a file, do not; nor do parent and child.
    check(
        &[("x/src/lib.rs", "mod a { use super::b::B; pub struct A; }\nmod b { use crate::a::A; }\n")],
        &[("x/src/lib.rs:1", "a → b")],
    );
    check(
        &[ROOT, ("x/src/a.rs", "use crate::b::B;\n"), ("x/src/b.rs", "#[cfg(test)]\nmod tests { use crate::a::A; }\n")],
        &[],
    );
    check(
        &[
            ROOT,
            ("x/src/a.rs", "use crate::b::B;\n"),
            ("x/src/b.rs", "#[cfg(test)]\nmod tests;\n"),
            ("x/src/b/tests.rs", "use crate::a::A;\n"),
        ],
        &[],
    );
    check(
        &[
            ("x/src/lib.rs", "mod a;"),
            ("x/src/a.rs", "mod one;\npub use one::One;\npub struct A;\n"),
            ("x/src/a/one.rs", "use super::A;\n"),
        ],
        &[],
    );
    check(&[("x/src/lib.rs", "mod {")], &[("x/src/lib.rs:1", "does not parse")]);
}

#[test]
fn banned_synonyms() {
    let check = |files: &[(&str, &str)], expected: &[(&str, &str)]| check(words::banned_synonyms, files, expected);
    check(
        &[
            (
                "a.rs",
                "/// Replays a record.\nfn redoAll() {}\nlet text = \"the sink failed\";\nconst ON_HOOK: u8 = 1;\n",
            ),
            ("b.md", "The pipelines.\n\n| word | not |\n|---|---|\n| route | pipeline |\n\n| pipeline |\n"),
            ("c.toml", "[[processor]]\n"),
            ("d.wit", "revert: func();\n"),
        ],
        // a.rs does not parse, and is read all the same.
        &[
            ("a.rs:3", "does not parse"),
            ("a.rs:1", "replay; our word is resync"),
            ("a.rs:2", "redo; our word is resync"),
            ("a.rs:3", "sink; our word is destination"),
            ("a.rs:4", "hook; our word is handler"),
            ("b.md:1", "pipeline; our word is route"),
            ("b.md:7", "pipeline; our word is route"),
            ("c.toml:1", "processor; our word is transformer"),
            ("d.wit:1", "revert; our word is compensate"),
        ],
    );
    check(
        &[("a.rs", "mod flow {}\nstruct StageA { undo_token: u8, token: u8 }\nenum E { Crash }\n")],
        &[
            ("a.rs:1", "`flow` says flow; our word is route"),
            ("a.rs:2", "`StageA` says stage; our word is step"),
            ("a.rs:2", "`undo_token` says token; our word is receipt"),
            ("a.rs:3", "`Crash` says crash; our word is fault"),
        ],
    );
    // Ordinary meanings stay free.
    check(
        &[
            (
                "a.rs",
                "/// A webhook. Control flow after a crash. PRAGMA journal_mode = WAL.\nfn stage(token: u8) -> ControlFlow {}\n",
            ),
            ("b.md", "For people from Jitterbit: an integration is a route. Overflow, an integration test.\n"),
            ("examples/x/data/c.md", "pipeline\n"),
        ],
        &[],
    );
}

#[test]
fn openings() {
    let check = |files: &[(&str, &str)], expected: &[(&str, &str)]| check(crates::openings, files, expected);
    let manifest = ("host/ledger/Cargo.toml", "[package]\nname = \"crossdock-ledger\"\n");
    let lib =
        ("host/ledger/src/lib.rs", "//! Keeps.\n//!\n//! **Does**: x.\n//! **May touch**: y.\n//! **Never**: z.\n");
    let clippy = ("host/ledger/clippy.toml", "disallowed-methods = [{ path = \"std::net::f\", reason = \"r\" }]\n");
    check(&[manifest, lib, clippy], &[]);
    check(
        &[manifest, clippy, ("host/ledger/src/lib.rs", "//! **Does**: x.\n//! **Never**: z.\n")],
        &[("host/ledger/src/lib.rs:1", "**Does**")],
    );
    check(
        &[
            manifest,
            clippy,
            ("host/ledger/src/lib.rs", "//! A.\n//! **Does**: x.\n//! **Never**: z.\n//! **May touch**: y.\n"),
        ],
        &[("host/ledger/src/lib.rs:1", "**Never**")],
    );
    check(
        &[
            manifest,
            clippy,
            ("host/ledger/src/lib.rs", "// A.\n// **Does**: x.\n// **May touch**: y.\n// **Never**: z.\n"),
        ],
        &[("host/ledger/src/lib.rs:1", "**Does**")],
    );
    check(&[manifest, clippy], &[("host/ledger", "has neither")]);
    check(&[manifest, lib], &[("host/ledger/clippy.toml", "is missing")]);
    check(
        &[manifest, lib, ("host/ledger/clippy.toml", "msrv = \"1\"\n")],
        &[("host/ledger/clippy.toml", "refuses nothing")],
    );
    check(
        &[manifest, lib, ("host/ledger/clippy.toml", "disallowed-types = [\"std::x\"]\n")],
        &[("host/ledger/clippy.toml", "no reason")],
    );
    let opening = lib.1;
    check(
        &[
            ("host/model/Cargo.toml", MODEL),
            ("host/model/src/lib.rs", opening),
            ("host/model/clippy.toml", "disallowed-methods = [{ path = \"std::fs::read\", reason = \"r\" }]\n"),
        ],
        &[
            ("host/model/clippy.toml", "std::time::SystemTime::now"),
            ("host/model/clippy.toml", "does not refuse std::net"),
        ],
    );
    // Outside of the host no clippy.toml of their own, but the three lines all the same.
    check(
        &[("plugins/map/Cargo.toml", "[package]\nname = \"map\"\n"), ("plugins/map/src/lib.rs", "")],
        &[("plugins/map/src/lib.rs:1", "**Does**")],
    );
}

#[test]
fn too_long() {
    let limits = sizes::Limits { file_lines_max: 9, function_lines_max: 3 };
    let check = |files: &[(&str, &str)], expected: &[(&str, &str)]| {
        check(|tree| sizes::too_long(tree, limits), files, expected)
    };
    let long = "struct S;\nimpl S {\n    /// Not counted.\n    fn long() {\n        1;\n        2;\n    }\n}\n";
    check(&[("a.rs", long)], &[("a.rs:4", "fn long has 4 lines, more than 3")]);
    check(&[("a.rs", "fn short() {\n    1;\n}\n"), ("b.wit", "\n\n\n\n\n\n\n\n\n")], &[]);
    check(&[("b.wit", &"\n".repeat(10))], &[("b.wit", "has 10 lines, more than 9")]);
}

#[test]
fn what_stands_where() {
    check(
        places::top_level,
        &[
            ("docs/a.md", ""),
            ("notes.txt", ""),
            ("host/x", ""),
            ("wit/x", ""),
            (".ci/run", ""),
            ("Cargo.toml", ""),
            ("LICENSE", ""),
        ],
        &[("docs", "this folder has no place"), ("notes.txt", "this file has no place")],
    );
    check(
        places::leftovers,
        &[
            (
                "a.rs",
                "todo!()\nunimplemented!(\"x\")\n#[ignore = \"slow\"]\n// FIXME: x\n// XXX\n// TODO y\nmy_todo!()\nAXXXB\n#[ignore = \"started by the test below\"]\n",
            ),
            ("b.md", "TODO"),
        ],
        &[
            ("a.rs:1", "todo!"),
            ("a.rs:2", "unimplemented!"),
            ("a.rs:3", "#[ignore"),
            ("a.rs:4", "FIXME"),
            ("a.rs:5", "XXX"),
            ("a.rs:6", "TODO"),
        ],
    );
    check(
        places::machine_paths,
        &[
            ("a.md", "in /home/me/x\n\"/Users/x\"\nhttps://a.b/home/x\nexamples/root/x\n$DIR/root/x\n"),
            ("b.toml", "x = '/root/x'\n"),
        ],
        &[("a.md:1", "/home/"), ("a.md:2", "/Users/"), ("b.toml:1", "/root/")],
    );
}

#[test]
fn error_codes() {
    let check = |files: &[(&str, &str)], expected: &[(&str, &str)]| check(codes::error_codes, files, expected);
    let page = "# One.\n\n## Cause\n\nIt is not there.\n\n## What to check\n\nLook at the (file).\n\n## What to do\n\nPut it there `again.`\n";
    let list =
        "pub const CODES: &[Code] = &[\n    Code { name: \"a-b\", page: include_str!(\"../codes/a-b.md\") },\n];\n";
    let files = [("host/x/src/codes.rs", list), ("host/x/codes/a-b.md", page)];
    check(&files, &[]);
    check(&files[..1], &[("host/x/src/codes.rs:2", "the code a-b has no page")]);
    check(&files[1..], &[("host/x/codes/a-b.md", "no code of host/x/src/codes.rs has this page")]);
    check(
        &[files[0], files[1], ("host/y/src/codes.rs", list), ("host/y/codes/a-b.md", page)],
        // Told where it is listed again, and the page beside it hangs in the air.
        &[("host/y/src/codes.rs:2", "also listed in host/x/src/codes.rs"), ("host/y/codes/a-b.md", "no code of")],
    );
    let bad = "One.\n\n## Cause\n\n## What to do\n\nPut it there\n";
    check(
        &[files[0], ("host/x/codes/a-b.md", bad)],
        &[
            ("host/x/codes/a-b.md:1", "does not begin"),
            ("host/x/codes/a-b.md", "`## Cause` is shorter than a sentence"),
            ("host/x/codes/a-b.md", "no section `## What to check`"),
            ("host/x/codes/a-b.md", "`## What to do` is shorter than a sentence"),
        ],
    );
    let error = "impl Explained for E {\n    fn code(&self) -> &'static str {\n        match self { A => \"a-b\", B => \"b-c\" }\n    }\n    fn fix(&self) -> Option<String> { Some(\"c-d\".into()) }\n}\n";
    check(
        &[files[0], files[1], ("host/x/src/lib.rs", error)],
        &[("host/x/src/lib.rs:3", "the code b-c is listed in no")],
    );
}

#[test]
fn codes_that_tests_produce() {
    let check = |exceptions: &[produced::Exception<'_>], files: &[(&str, &str)], expected: &[(&str, &str)]| {
        let files = [&[("host/x/codes/a-b.md", "")], files].concat();
        check(|tree| produced::produced_codes(tree, exceptions), &files, expected);
    };
    let missing = [("host/x/codes/a-b.md", "no test produces a-b; add one in host/x/tests")];
    let in_test = "#[cfg(test)]\nmod tests { fn f() { assert_eq!(code(), (\"a-b\", 1)); } }\n";
    for (path, text) in [
        ("host/x/src/a.rs", in_test),
        ("host/x/src/a.rs", "#[test]\nfn f() { let code = \"error[a-b]: what\"; }\n"),
        ("host/x/tests/one/main.rs", "fn f() { check(&[\"a-b\"]); }\n"),
        ("tests/acceptance/tests/scenarios/a.rs", "const CODE: &str = \"a-b\";\n"),
        ("host/x/tests/cases/one.toml", "# x\ncode = \"a-b\"\n"),
        ("plugins/x/cases/one.toml", "code = \"a-b\"\n"),
        ("host/x/tests/cases/one.expected", "# One.\nfile:1: a-b\n"),
    ] {
        check(&[], &[(path, text)], &[]);
        check(&[("a-b", "why")], &[(path, text)], &[("host/x/codes/a-b.md", "remove the exception (why)")]);
    }
    check(
        &[],
        &[("host/x/src/lib.rs", "#[cfg(test)]\nmod t;\n"), ("host/x/src/t.rs", "const CODE: &str = \"a-b\";\n")],
        &[],
    );
    for (path, text) in [
        ("README.md", "a-b"),
        ("host/x/src/a.rs", "fn code() -> &'static str { \"a-b\" }\n"),
        ("host/x/src/codes.rs", "codes! { \"a-b\" }\n#[cfg(test)]\nmod tests { fn f() { CODES; } }\n"),
        ("host/x/tests/a.rs", "//! \"a-b\"\n/// \"a-b\"\n// \"a-b\"\n#[doc = \"a-b\"]\nfn f() { a - b; }\n"),
        ("host/x/tests/a.rs", "const LONGER: [&str; 2] = [\"a-b-c\", \"x-a-b\"];\n"),
        ("host/x/tests/cases/one.toml", "  # a-b\n"),
        ("host/x/tests/cases/README.md", "a-b\n"),
        ("tests/guests/destination/src/lib.rs", "const CODE: &str = \"a-b\";\n"),
        ("tests/tidy/src/a.rs", in_test),
        ("host/cli/src/a.rs", in_test),
        ("host/host/src/a.rs", in_test),
    ] {
        check(&[], &[(path, text)], &missing);
        check(&[("a-b", "why")], &[(path, text)], &[]);
    }
    check(&[("a-b", "why"), ("b-c", "gone")], &[], &[("tests/tidy/src/checks/produced.rs", "b-c (gone) is no code")]);
    check(&[], &[("host/x/src/a.rs", "fn")], &[missing[0], ("host/x/src/a.rs:1", "does not parse")]);
}

#[test]
fn markdown_links() {
    let check = |files: &[(&str, &str)], expected: &[(&str, &str)]| check(links::markdown_links, files, expected);
    check(
        &[
            (
                "a.md",
                "[x](b/c.md) [y](b) [z](https://x.y/) [h](b/c.md#two-words)\n```\n[no](no.md)\n```\n`[no](no.md)`\n[r]: b/c.md\n",
            ),
            ("b/c.md", "## Two words!\n[up](../a.md)\n[here](#two-words)\n"),
        ],
        &[],
    );
    check(
        &[
            ("a.md", "[x](none.md)\n[out](../x.md)\n[h](b.md#none)\n[r]: gone.md\n"),
            ("b.md", "# One\n```\n# None\n```\n"),
        ],
        &[
            ("a.md:1", "none.md leads to nothing"),
            ("a.md:2", "../x.md leads to nothing"),
            ("a.md:3", "b.md has no heading for #none"),
            ("a.md:4", "gone.md leads to nothing"),
        ],
    );
    // Pages that the book makes by itself.
    check(
        &[
            ("host/docs/book/a.md", "[c](codes/x-y.md) [i](codes/index.md) [w](contract/http.md)\n[n](codes/no.md)\n"),
            ("host/docs/book/b/c.md", "[w](../contract/none.md)\n[c](../codes/x-y.md)\n"),
            ("host/engine/codes/x-y.md", "# X\n"),
            ("wit/imports.wit", "interface http {\n}\n"),
        ],
        &[
            ("host/docs/book/a.md:2", "codes/no.md leads to nothing"),
            ("host/docs/book/b/c.md:1", "../contract/none.md leads to nothing"),
        ],
    );
}
