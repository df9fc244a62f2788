//! Runs the stories in `cases/`, each with one instance and with a fresh one for each step, and breaks off a write at
//! each byte.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::disallowed_methods)]

use crossdock_sdk::testing::{self, Outcome};
use crossdock_sdk::{CallError, Destination, Failure};
use file_destination::FileDestination;
use serde::Deserialize;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::path::Path;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Case {
    /// `/out` stands for a directory of the test.
    settings: serde_json::Value,
    step: Vec<Step>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Step {
    /// What somebody else does to the file first: put this text into it.
    content: Option<String>,
    /// Records to write: id and payload.
    #[serde(default)]
    write: Vec<(String, String)>,
    /// Stop at the first failure.
    #[serde(default)]
    stop: bool,
    /// Records to undo, by their ids.
    #[serde(default)]
    undo: Vec<String>,
    /// Records to ask about, by their ids.
    #[serde(default)]
    probe: Vec<String>,
    /// What becomes of each: an outcome, or `OUTCOME: CODE`.
    #[serde(default)]
    answers: Vec<String>,
    /// `CODE: part of the message`.
    error: Option<String>,
    /// `check` answers the same error, or is fine.
    #[serde(default)]
    check: bool,
    /// What the file holds then. `<1>` stands for the key of the record 1.
    file: Option<String>,
    settings: Option<serde_json::Value>,
}

/// The key of a record, as the host would have made it: 32 digits.
fn key(id: &str) -> String {
    format!("{:0>32}", id.bytes().map(|byte| format!("{byte:02x}")).collect::<String>())
}

fn given(id: &str, payload: &str) -> testing::Given {
    testing::record(id, payload).key(&key(id))
}

fn answer(outcome: Outcome, failure: Option<&Failure>) -> String {
    let word = format!("{outcome:?}").to_lowercase();
    failure.map_or(word.clone(), |failure| format!("{word}: {}", failure.code()))
}

fn act(destination: &mut FileDestination, step: &Step) -> Result<Vec<String>, CallError> {
    let mut answers = Vec::new();
    if step.check {
        destination.check()?;
    }
    if !step.write.is_empty() {
        let records: Vec<_> = step.write.iter().map(|(id, payload)| given(id, payload)).collect();
        let written = match step.stop {
            true => testing::write_until_failure(destination, &records)?,
            false => testing::write(destination, &records)?,
        };
        for written in written {
            if written.outcome == Outcome::Ok && !written.receipt.is_empty() {
                assert_eq!(
                    (written.target_id.as_str(), written.receipt.as_slice()),
                    (&*written.key, written.key.as_bytes())
                );
            }
            answers.push(answer(written.outcome, written.failure.as_ref()));
        }
    }
    if !step.undo.is_empty() {
        let records: Vec<_> = step.undo.iter().map(|id| testing::applied(id, &key(id)).receipt(key(id))).collect();
        let undone = testing::compensate(destination, &records)?;
        answers.extend(undone.iter().map(|undone| answer(undone.outcome, undone.failure.as_ref())));
    }
    if !step.probe.is_empty() {
        let records: Vec<_> = step.probe.iter().map(|id| given(id, "")).collect();
        let found = testing::probe(destination, &records)?;
        answers.extend(found.iter().map(|found| answer(found.outcome, found.failure.as_ref())));
    }
    Ok(answers)
}

fn with_keys(text: &str) -> String {
    let mut text = text.to_owned();
    for id in (0..10).map(|id| id.to_string()) {
        text = text.replace(&format!("<{id}>"), &key(&id));
    }
    text
}

fn check(name: &str, case: &Case, fresh: bool) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().display().to_string();
    let make = |settings: &serde_json::Value| {
        testing::destination::<FileDestination>(settings.to_string().replace("\"/out", &format!("\"{path}")))
    };
    let mut settings = &case.settings;
    let mut destination = make(settings);
    for (number, step) in case.step.iter().enumerate() {
        let place = format!("{name}, step {}, fresh {fresh}", number + 1);
        let file = directory.path().join("a.ndjson");
        if let Some(content) = &step.content {
            fs::write(&file, with_keys(content)).unwrap();
        }
        if fresh || step.settings.is_some() {
            settings = step.settings.as_ref().unwrap_or(settings);
            destination = make(settings);
        }
        let acted = match &mut destination {
            Ok(destination) => act(destination, step),
            Err(error) => Err(error.clone()),
        };
        match (acted, &step.error) {
            (Ok(answers), None) => assert_eq!(answers, step.answers, "{place}"),
            (Err(found), Some(expected)) => {
                let (code, part) = expected.split_once(": ").unwrap_or((expected, ""));
                let message = found.failure().message().replace(&path, "/out");
                assert_eq!(found.failure().code(), code, "{place}: {message}");
                assert!(message.contains(part), "{place}: {message:?} does not say {part:?}");
            }
            (found, expected) => panic!("{place}: {found:?}, expected {expected:?}"),
        }
        if let Some(expected) = &step.file {
            assert_eq!(fs::read_to_string(&file).unwrap_or_default(), with_keys(expected), "{place}");
        }
    }
}

#[test]
fn stories() {
    let mut told = 0;
    for entry in fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")).unwrap() {
        let path = entry.unwrap().path();
        let name = path.file_stem().unwrap().to_string_lossy().into_owned();
        let case: Case =
            toml::from_str(&fs::read_to_string(&path).unwrap()).unwrap_or_else(|error| panic!("{name}: {error}"));
        check(&name, &case, false);
        check(&name, &case, true);
        told += 1;
    }
    assert!(told > 5, "only {told} cases");
}

/// What a reader takes from the file: the records by key. Panics at a line that is not whole.
fn read_file(path: &Path) -> BTreeMap<String, (String, serde_json::Value)> {
    let mut records = BTreeMap::new();
    for line in fs::read_to_string(path).unwrap().lines() {
        let line: HashMap<String, serde_json::Value> =
            serde_json::from_str(line).unwrap_or_else(|error| panic!("{line}: {error}"));
        let text = |name: &str| line.get(name).and_then(|value| value.as_str()).map(str::to_owned);
        if let Some(key) = text("undo") {
            records.remove(&key).expect("only what is there is undone");
        } else {
            let known = records.insert(text("key").unwrap(), (text("id").unwrap(), line["record"].clone()));
            assert!(known.is_none(), "a record is there twice: {line:?}");
        }
    }
    records
}

/// The process dies when any number of bytes of a call has reached the file. A fresh instance is given the same call
/// again, and everything is there once.
#[test]
fn a_crash_at_each_byte() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.ndjson");
    let make = || testing::destination::<FileDestination>(serde_json::json!({ "file": file })).unwrap();
    let records: Vec<_> = (0..5).map(|n| given(&n.to_string(), &format!("{{\"n\":{n},\n\"text\":\"ü\"}}"))).collect();
    testing::write(&mut make(), &records[..2]).unwrap();
    let before = fs::read(&file).unwrap();
    testing::write(&mut make(), &records).unwrap();
    let written = fs::read(&file).unwrap();
    let undo: Vec<_> = ["3", "1"].iter().map(|id| testing::applied(id, &key(id))).collect();
    testing::compensate(&mut make(), &undo).unwrap();
    let undone = fs::read(&file).unwrap();
    assert!(before.len() < written.len() && written.len() < undone.len());

    for length in before.len()..=undone.len() {
        fs::write(&file, &undone[..length]).unwrap();
        let found = testing::probe(&mut make(), &records).unwrap();
        assert_eq!(fs::metadata(&file).unwrap().len(), length as u64, "asking changes nothing");
        if length <= written.len() {
            let answers = testing::write(&mut make(), &records).unwrap();
            for (found, answer) in found.iter().zip(answers) {
                let expected = if found.outcome == Outcome::Ok { Outcome::Unchanged } else { Outcome::Ok };
                assert_eq!(answer.outcome, expected, "{} at {length}", answer.id);
            }
            assert_eq!(fs::read(&file).unwrap(), written, "broken off at {length}");
        } else {
            let answers = testing::compensate(&mut make(), &undo).unwrap();
            assert!(answers.iter().all(|answer| matches!(answer.outcome, Outcome::Ok | Outcome::Unchanged)));
            let left = read_file(&file);
            let ids: Vec<_> = left.values().map(|(id, _)| id.as_str()).collect();
            assert_eq!(ids, ["0", "2", "4"], "broken off at {length}");
        }
    }
}

/// Two instances in turn, as after a fault, and a file that is moved away in between.
#[test]
fn instances_in_turn() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.ndjson");
    let make = || testing::destination::<FileDestination>(serde_json::json!({ "file": file })).unwrap();
    let (mut one, mut two) = (make(), make());
    for round in 0..10 {
        let record = [given(&round.to_string(), "{}")];
        let (first, second) = if round % 2 == 0 { (&mut one, &mut two) } else { (&mut two, &mut one) };
        assert_eq!(testing::write(first, &record).unwrap()[0].outcome, Outcome::Ok);
        assert_eq!(testing::write(second, &record).unwrap()[0].outcome, Outcome::Unchanged);
    }
    assert_eq!(read_file(&file).len(), 10);
    fs::rename(&file, directory.path().join("old.ndjson")).unwrap();
    assert_eq!(testing::probe(&mut one, &[given("3", "{}")]).unwrap()[0].outcome, Outcome::Dropped);
    assert_eq!(testing::write(&mut two, &[given("3", "{}")]).unwrap()[0].outcome, Outcome::Ok);
    assert_eq!(read_file(&file).len(), 1);
}

#[test]
fn a_call_without_time_does_not_begin() {
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("a.ndjson");
    let mut destination = testing::destination::<FileDestination>(serde_json::json!({ "file": file })).unwrap();
    testing::remaining_ms(10);
    assert_eq!(testing::write(&mut destination, &[given("1", "{}")]).unwrap()[0].outcome, Outcome::Untouched);
    assert!(!file.exists());
}
