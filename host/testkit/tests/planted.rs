//! Plugins with one bug each, which the kit must find under its name; and the same plugins without it, which must be
//! clean.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::print_stdout)]

use crossdock_testkit::{Case, Kit, LoadedPlugin, Report, Verdict, read_cases};
use std::path::Path;

/// Role, bug, and the code under which it must be found.
const PLANTED: &[(&str, &str, &str)] = &[
    ("transformer", "lost-record", "kit-lost-record"),
    ("transformer", "forged-handle", "kit-forged-handle"),
    ("transformer", "state-in-globals", "kit-state-in-globals"),
    ("transformer", "order-matters", "kit-order-matters"),
    ("transformer", "batch-matters", "kit-batch-matters"),
    ("transformer", "broken-contract", "kit-broken-contract"),
    ("transformer", "chance", "kit-not-the-same"),
    ("transformer", "memory-grows", "kit-memory-grows"),
    ("transformer", "trap-on-record", "kit-trap"),
    ("transformer", "trap-on-settings", "kit-bad-settings"),
    ("transformer", "wrong-pointer", "kit-pointer-astray"),
    ("destination", "double-apply", "kit-double-apply"),
    ("destination", "no-key", "kit-double-apply"),
    ("destination", "receipt-in-globals", "kit-undo-needs-instance"),
    ("destination", "undo-twice", "kit-undo-twice"),
    ("destination", "ignores-retry-after", "kit-retry-after-ignored"),
    ("destination", "busy-rejected", "kit-busy-rejected"),
    ("destination", "ok-on-422", "kit-ok-on-refusal"),
    ("destination", "blames-the-record", "kit-401-not-unauthorized"),
    ("destination", "ok-without-answer", "kit-ok-without-answer"),
    ("destination", "certain-without-answer", "kit-certain-without-answer"),
    ("destination", "leaks-secret", "kit-secret-in-text"),
    ("destination", "goes-on", "kit-untouched-not-honoured"),
    ("destination", "seen-in-globals", "kit-state-in-globals"),
    ("destination", "probe-changes", "kit-probe-changes"),
    ("destination", "deadline-missed", "kit-deadline-missed"),
    ("source", "skips", "kit-checkpoint-skips"),
    ("source", "repeats", "kit-checkpoint-repeats"),
    ("source", "never-moves", "kit-checkpoint-stuck"),
    ("source", "ids-by-chance", "kit-re-read-differs"),
    ("source", "position-in-globals", "kit-state-in-globals"),
    ("source", "trap-on-checkpoint", "kit-checkpoint-traps"),
    ("source", "takes-any-checkpoint", "kit-checkpoint-taken"),
    ("description", "differs", "kit-describe-differs"),
];

/// The case of a role, with its settings naming this bug.
fn case(role: &str, bug: &str) -> Case {
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join(format!("tests/planted/{role}.toml"));
    let mut case = read_cases(&file).unwrap().remove(0);
    case.settings = Case::new(&format!("{{\"bug\":\"{bug}\"}}")).unwrap().settings;
    if bug == "repeats" {
        case.call.max_records = Some(4);
        case.pages.clear();
        for ids in [0..4, 3..7, 6..10] {
            case.pages.push(page(ids));
        }
    }
    if bug == "ids-by-chance" {
        case.pages[0].records.iter_mut().for_each(|record| record.id = "{{ any }}".to_owned());
    }
    case
}

fn page(ids: std::ops::Range<u32>) -> crossdock_testkit::Page {
    let record = |number| crossdock_testkit::PageRecord { id: format!("record-{number}"), ..Default::default() };
    crossdock_testkit::Page { records: ids.map(record).collect(), ..Default::default() }
}

fn load(kit: &Kit, role: &str) -> LoadedPlugin {
    let guests = crossdock_devkit::guests().unwrap();
    kit.load(guests.path(&format!("planted-{role}")).unwrap()).unwrap()
}

fn codes(report: &Report) -> String {
    report.findings.iter().map(|finding| finding.code).collect::<Vec<_>>().join(", ")
}

#[test]
fn every_planted_bug_is_found_under_its_name() {
    let kit = Kit::new().unwrap();
    let (mut missed, mut shown) = (Vec::new(), std::collections::BTreeSet::new());
    println!("{:<12} {:<24} {:<28} found as", "role", "bug", "expected");
    for role in ["transformer", "destination", "source", "description"] {
        let plugin = load(&kit, role);
        for (_, bug, expected) in PLANTED.iter().filter(|(of, ..)| *of == role) {
            let report = plugin.test(&[case(role, bug)]).unwrap();
            println!("{role:<12} {bug:<24} {expected:<28} {}", codes(&report));
            if !report.found(expected) {
                missed.push(format!("{role} {bug}: {}", report.to_json()));
            }
            if shown.insert(expected) {
                shown_again(&plugin, &report, expected);
            }
        }
    }
    assert!(missed.is_empty(), "{}", missed.join("\n"));
}

/// The smallest input of a finding shows it again when it is saved and read.
fn shown_again(plugin: &LoadedPlugin, report: &Report, code: &str) {
    if !report.found(code) || code == "kit-bad-settings" {
        return;
    }
    let folder = tempdir();
    let saved = report.save(folder.path()).unwrap();
    let file = saved.iter().find(|file| file.ends_with(format!("{code}.toml"))).unwrap();
    let cases = read_cases(file).unwrap();
    let again = plugin.test(&cases).unwrap();
    assert!(again.found(code), "{code} is not shown again by\n{}\n{}", cases[0].to_toml().unwrap(), again.to_json());
}

fn tempdir() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

#[test]
fn without_a_bug_nothing_is_found() {
    let kit = Kit::new().unwrap();
    for role in ["transformer", "destination", "source"] {
        let report = load(&kit, role).test(&[case(role, "none")]).unwrap();
        assert!(report.holds(), "{role}: {:#}", report.to_json());
        let held = report.tried.iter().filter(|tried| tried.verdict == Verdict::Held).count();
        assert!(held >= 5, "{role}: {:#}", report.to_json());
    }
}
