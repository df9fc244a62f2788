//! Every file in `tests/cases` is a route file, or a project file if its name begins with `project-`, or a lock if it
//! begins with `lock-`. What comes of it stands beside it, in a file with the ending `expected`. Lines that begin with `#---` cut a case into parts:
//! after `#--- project` comes the project file that the route is checked against, after `#--- abilities` what its
//! plugins can do: `source` and lists `steps` and `handlers`, each as `StepAbilities` is written in TOML, or `{}`
//! for one that could not be loaded.
//!
//! `UPDATE=1 cargo test -p crossdock-route` writes the expected files anew; look at the difference.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]
#![allow(clippy::disallowed_methods, reason = "a test reads its cases")]

use crossdock_model::{Explained, HandlerKind, HandlerPlace, StepName};
use crossdock_route::{
    Idempotency, Lock, Mistake, Mistakes, Project, ProjectFile, Role, Route, RouteAbilities, RouteFile, Span,
    StepAbilities, codes,
};
use std::collections::BTreeSet;
use std::fmt::Write;
use std::path::{Path, PathBuf};

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn cases() -> Vec<(String, String)> {
    let mut cases: Vec<_> = std::fs::read_dir(folder())
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|ending| ending == "toml"))
        .map(|path| (path.file_name().unwrap().to_str().unwrap().to_owned(), std::fs::read_to_string(&path).unwrap()))
        .collect();
    cases.sort();
    assert!(cases.len() > 30, "the cases are where they should be");
    cases
}

/// The text of the file itself, of its project and of its abilities.
fn parts(text: &str) -> (String, Option<String>, Option<String>) {
    let (mut first, mut project, mut abilities) = (String::new(), None, None);
    let mut part: &mut String = &mut first;
    for line in text.split_inclusive('\n') {
        match line.trim_end() {
            "#--- project" => part = project.insert(String::new()),
            "#--- abilities" => part = abilities.insert(String::new()),
            _ => part.push_str(line),
        }
    }
    (first, project, abilities)
}

fn abilities(text: &str) -> RouteAbilities {
    let one = |value: &toml::Value| {
        let table = value.as_table().expect("abilities are a table");
        let mut found = StepAbilities::of(table.get("role")?.clone().try_into::<Role>().unwrap());
        if let Some(value) = table.get("idempotency") {
            found.idempotency = value.clone().try_into::<Idempotency>().unwrap();
        }
        let says = |key: &str| table.get(key).is_some_and(|value| value.as_bool().unwrap());
        found.re_reads = says("re_reads");
        found.compensates = says("compensates");
        found.probes = says("probes");
        if let Some(value) = table.get("wants") {
            found.wants = value.clone().try_into().unwrap();
        }
        Some(found)
    };
    let table: toml::Table = text.parse().unwrap();
    let all = |key: &str| table.get(key).into_iter().flat_map(|list| list.as_array().unwrap()).map(one).collect();
    RouteAbilities { source: one(&table["source"]), steps: all("steps"), handlers: all("handlers") }
}

fn route_and_more(name: &str, text: &str) -> Result<(Route, Option<Project>), Mistakes> {
    let (text, project, found) = parts(text);
    let route = RouteFile::parse(&format!("routes/{name}"), &text)?;
    let project = project.map(|text| ProjectFile::parse("crossdock.toml", &text)).transpose()?;
    let mut list = Vec::new();
    if let Some(project) = &project {
        list.extend(route.check_project(project).err().into_iter().flat_map(Mistakes::into_list));
    }
    if let Some(found) = found {
        list.extend(route.check_abilities(&abilities(&found)).err().into_iter().flat_map(Mistakes::into_list));
    }
    route.report(list)?;
    Ok((route, project))
}

fn outcome(name: &str, text: &str) -> Result<String, Mistakes> {
    if name.starts_with("project-") {
        let project = ProjectFile::parse("crossdock.toml", text)?;
        return Ok(format!("{}\n", serde_json::to_string_pretty(&project).unwrap()));
    }
    if name.starts_with("lock-") {
        return Ok(format!("{}\n", serde_json::to_string_pretty(&Lock::parse("crossdock.lock", text)?).unwrap()));
    }
    let (route, project) = route_and_more(name, text)?;
    let mut out = format!("{}\n", serde_json::to_string_pretty(&route).unwrap());
    for step in project.iter().flat_map(|project| route.steps().iter().map(move |step| (project, step))) {
        let (project, step) = step;
        writeln!(out, "limits of {}: {:?}", step.name, step.uses.limits.within(project.limits())).unwrap();
    }
    Ok(out)
}

fn check(name: &str, text: &str) -> BTreeSet<&'static str> {
    let (found, codes) = match outcome(name, text) {
        Ok(found) => (found, BTreeSet::new()),
        Err(mistakes) => {
            assert!(!mistakes.list().is_empty(), "{name}: an error says what is wrong");
            for mistake in mistakes.list() {
                assert!(mistake.fix.is_some(), "{name}: {mistake:?} says what to do");
            }
            let shown = format!("{mistakes} {} {}", mistakes.render(true), serde_json::to_string(&mistakes).unwrap());
            assert!(!shown.contains("hunter2"), "{name}: what may be a secret is not shown: {shown}");
            let head = format!("{}: {mistakes}\n\n", mistakes.code());
            (
                head + &mistakes.render(false),
                mistakes.list().iter().map(|mistake| mistake.code).chain([mistakes.code()]).collect(),
            )
        }
    };
    let path = folder().join(name).with_extension("expected");
    if std::env::var_os("UPDATE").is_some() {
        std::fs::write(&path, &found).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{name}: found\n{found}\nexpected\n{expected}");
    codes
}

#[test]
fn every_case_comes_out_as_expected_and_every_code_has_a_case() {
    let mut seen: BTreeSet<&str> = cases().iter().flat_map(|(name, text)| check(name, text)).collect();
    // Not a case: a megabyte.
    let large = RouteFile::parse("large.toml", &" ".repeat(crossdock_route::FILE_BYTES_MAX + 1)).unwrap_err();
    assert_eq!(large.code(), "config-too-large");
    let shown = large.render(false);
    for words in ["large.toml", "the file has 1048577 bytes, more than 1MiB", "split the route"] {
        assert!(shown.contains(words), "{words:?} is not in\n{shown}");
    }
    seen.insert(large.code());
    // Made by the host, which has the schema of the settings.
    seen.insert(codes::SETTINGS.name);
    assert_eq!(seen, codes::CODES.iter().map(|code| code.name).collect());
}

#[test]
fn every_code_has_a_whole_page() {
    for code in codes::CODES {
        let page = code.page;
        assert!(page.starts_with("# "), "{}: begins with a heading", code.name);
        let mut rest = page;
        for section in ["\n## Cause\n", "\n## What to check\n", "\n## What to do\n"] {
            let (_, after) =
                rest.split_once(section).unwrap_or_else(|| panic!("{}: no section {section:?}", code.name));
            assert!(after.trim_start().len() > 40, "{}: {section:?} says something", code.name);
            rest = after;
        }
    }
    let pages = std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("codes")).unwrap().count();
    assert_eq!(pages, codes::CODES.len(), "no page without a code");
}

const SETTINGS: &str = r#"name = "orders"
[source]
plugin = "text-source"
settings = { files = "/in/*.txt", "a/b~c" = [1, { deep = true }] }
[[step]]
name = "charge"
plugin = "http-destination"
[step.settings]
base = "http://127.0.0.1:8080"
headers.accept = "text/plain"
[step.on_failure]
plugin = "file-destination"
settings = { path = "/out/failed" }
grants = { dirs = [{ host = "out", guest = "/out", write = true }] }
[on_run_ok]
plugin = "mail-destination"
"#;

fn text(span: Option<Span>) -> Option<&'static str> {
    span.map(|span| &SETTINGS[span.start..span.end])
}

/// What stands at the span, for the source (step "") or a step.
fn check_span(step: &str, pointer: &str, expected: Option<(&str, &str)>) {
    let route = RouteFile::parse("orders.toml", SETTINGS).unwrap();
    let step = (!step.is_empty()).then(|| StepName::new(step).unwrap());
    let found = text(route.span_of(step.as_ref(), pointer)).zip(text(route.key_span_of(step.as_ref(), pointer)));
    assert_eq!(found, expected, "{step:?} {pointer:?}");
}

/// The plugin of the handler at this place, and what stands at a pointer into its settings.
fn check_handler_span(step: &str, kind: HandlerKind, pointer: &str, expected: Option<(&str, &str)>) {
    let route = RouteFile::parse("orders.toml", SETTINGS).unwrap();
    let step = (!step.is_empty()).then(|| StepName::new(step).unwrap());
    let place = HandlerPlace { step, kind };
    let found = text(route.span_of_plugin(&place)).zip(text(route.span_of(&place, pointer)));
    assert_eq!(found, expected, "{place} {pointer:?}");
    assert_eq!(route.handler(&place).is_some(), expected.is_some(), "{place}");
    assert_eq!(route.handlers().iter().any(|(known, _)| *known == place), expected.is_some(), "{place}");
}

#[test]
fn places_in_settings() {
    check_span("", "/files", Some(("\"/in/*.txt\"", "files")));
    check_span("source", "/files", Some(("\"/in/*.txt\"", "files")));
    check_span("", "/a~1b~0c/1/deep", Some(("true", "deep")));
    check_span("", "/a~1b~0c/0", Some(("1", "1")));
    check_span("charge", "/base", Some(("\"http://127.0.0.1:8080\"", "base")));
    check_span("charge", "/headers/accept", Some(("\"text/plain\"", "accept")));
    check_span("charge", "/nothing/there", Some(("settings", "settings")));
    check_span("charge", "", Some(("[step.settings]", "settings")));
    check_span("unknown", "/base", None);
}

#[test]
fn places_in_handlers() {
    use HandlerKind::{OnFailure, OnRunFailed, OnRunOk, OnSuccess};
    check_handler_span("charge", OnFailure, "/path", Some(("\"file-destination\"", "\"/out/failed\"")));
    check_handler_span("", OnRunOk, "/path", Some(("\"mail-destination\"", "on_run_ok")));
    check_handler_span("charge", OnSuccess, "/path", None);
    check_handler_span("charge", OnRunOk, "/path", None);
    check_handler_span("", OnRunFailed, "", None);
    check_handler_span("", OnFailure, "/path", None);
    check_handler_span("unknown", OnFailure, "/path", None);
    let route = RouteFile::parse("orders.toml", SETTINGS).unwrap();
    let place = HandlerPlace { step: Some(StepName::new("charge").unwrap()), kind: OnFailure };
    assert_eq!(text(route.span_of_dir(&place, 0)), Some("\"out\""));
}

#[test]
fn mistakes_found_afterwards_are_shown_in_the_route() {
    let route = RouteFile::parse("routes/orders.toml", SETTINGS).unwrap();
    let mistake = Mistake::new(codes::SETTINGS, "the settings do not fit")
        .at(route.span_of(None, "/files"), "must be a list")
        .with_fix("write a list");
    let mistakes = route.report(vec![mistake]).unwrap_err();
    let shown = mistakes.render(false);
    assert!(shown.contains("routes/orders.toml:4:22") && shown.contains("^ must be a list"), "{shown}");
    let json = serde_json::to_value(&mistakes).unwrap();
    assert_eq!(json["file"], "routes/orders.toml");
    assert_eq!(json["mistakes"][0]["place"]["start"], serde_json::json!({ "line": 4, "column": 22 }));
    assert_eq!(json["mistakes"][0]["fix"], "write a list");
    assert!(mistakes.render(true).contains("\u{1b}["), "colour is there when it is asked for");
    assert!(!shown.contains('\u{1b}'), "and only then");
}

#[test]
fn the_hash_is_that_of_the_text() {
    let one = RouteFile::parse("a.toml", SETTINGS).unwrap();
    let same = RouteFile::parse("b.toml", SETTINGS).unwrap();
    let other = RouteFile::parse("a.toml", &format!("{SETTINGS}# a comment\n")).unwrap();
    assert_eq!(one.hash().len(), 64);
    assert_eq!(one.hash(), same.hash());
    assert_ne!(one.hash(), other.hash());
    assert_eq!(one.text(), SETTINGS);
}
