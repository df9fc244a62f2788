//! Replies as they lie in a guest's memory: every pointer, length, code, handle and text of them comes from the input.
//!
//! The guest is written instruction by instruction. What it is given as payload (a source: as checkpoint), it answers
//! with: 64 bytes in front say at which places of the rest the first handle of the batch is added, and the rest is the
//! answer in the layout of the component model. Guests allocate in the same order each time, so that a pointer that was
//! right stays right.

use super::guests::{check_outcomes, fit, instance, judged, load, wait};
use crate::Target;
use crossdock_engine::ports::{DestinationPort, PageLimits, SourcePort, TransformerPort, UndoBatch, WriteOptions};
use crossdock_model::{Batch, Checkpoint, Column};
use crossdock_model::{CONTRACT_SECTION, CONTRACT_VERSION};
use crossdock_sandbox::Plugin;
use std::path::Path;
use std::sync::{Arc, LazyLock};
use wit_component::{ComponentEncoder, StringEncoding, embed_component_metadata};
use wit_parser::Resolve;

/// What a transformer answers.
pub(super) const TRANSFORMED: Target = Target {
    name: "reply-transformed",
    run: |bytes| {
        let _ = transformed(bytes);
    },
    ..TARGET
};

/// What a source answers.
pub(super) const PAGE: Target = Target {
    name: "reply-page",
    run: |bytes| {
        let _ = page(bytes);
    },
    ..TARGET
};

/// What a destination answers to a write.
pub(super) const WRITTEN: Target = Target {
    name: "reply-written",
    run: |bytes| {
        let _ = written(bytes);
    },
    ..TARGET
};

/// What a destination answers when it is to undo.
pub(super) const UNDONE: Target = Target {
    name: "reply-undone",
    run: |bytes| {
        let _ = undone(bytes);
    },
    ..TARGET
};

/// What a destination answers when it is asked.
pub(super) const PROBED: Target = Target {
    name: "reply-probed",
    run: |bytes| {
        let _ = probed(bytes);
    },
    ..TARGET
};

const TARGET: Target = Target {
    name: "",
    more_seeds: &[],
    words: &["\u{1}", "\0\0\0\0", "\u{1}\0\0\0", "\u{2}\0\0\0", "\u{7f}\u{7f}\u{7f}\u{7f}", "\n", "\u{1b}[31m"],
    short_run: 3_000,
    run: |_| {},
};

/// Bytes in front of the answer.
const HEAD_BYTES: usize = 64;
/// The largest answer of any of these calls.
const ANSWER_BYTES: usize = 128;
/// A checkpoint may not be longer than 64 KiB.
const INPUT_MAX_BYTES: usize = 60_000;

fn core(role: u32, functions: &str) -> String {
    format!(
        r#"(module
  (memory (export "memory") 200)
  (global $free (mut i32) (i32.const 65536))
  (func (export "cabi_realloc") (param i32 i32 i32 i32) (result i32)
    (global.get $free)
    (global.set $free (i32.and (i32.add (i32.add (global.get $free) (local.get 3)) (i32.const 15)) (i32.const -16))))
  (func (export "crossdock:plugin/describe@0.1.0#describe") (result i32) (i32.const 16))
  (func (export "crossdock:plugin/lifecycle@0.1.0#configure") (param i32 i32) (result i32)
    (global.set $free (i32.const 65536)) (i32.const 128))
  (func (export "crossdock:plugin/lifecycle@0.1.0#check") (result i32) (i32.const 256))
  (func (export "crossdock:plugin/lifecycle@0.1.0#close"))
  (func $answer (param $handles i32) (param $data i32) (param $bytes i32) (result i32) (local $at i32) (local $to i32)
    (local.set $at (local.get $data))
    (block $done (loop $next
      (br_if $done (i32.ge_u (local.get $at) (i32.add (local.get $data) (i32.const 64))))
      (local.set $to (i32.load16_u (local.get $at)))
      (br_if $done (i32.gt_u (i32.add (local.get $to) (i32.const 68)) (local.get $bytes)))
      (local.set $to (i32.add (i32.add (local.get $data) (i32.const 64)) (local.get $to)))
      (i32.store (local.get $to) (i32.add (i32.load (local.get $to)) (i32.load (local.get $handles))))
      (local.set $at (i32.add (local.get $at) (i32.const 2)))
      (br $next)))
    (i32.add (local.get $data) (i32.const 64)))
  {functions}
  ;; The description: name, version, summary, role, schema, wants, max-batch.
  (data (i32.const 16) "\c8\00\00\00\03\00\00\00\cb\00\00\00\05\00\00\00\00\00\00\00\00\00\00\00\0{role}\00\00\00\d0\00\00\00\02\00\00\00\00\00\00\00\00\00\00\00\e8\03\00\00")
  ;; What it can do: read again, pure, probe, atomic, compensate.
  (data (i32.const 136) "{abilities}")
  (data (i32.const 200) "raw0.1.0{{}}"))"#,
        abilities = if role == 2 { r"\00\00\02\00\01" } else { r"\01\00\03\00\00" },
    )
}

/// A function of a role whose answer is made by `body`, and what is called after it.
fn function(interface: &str, name: &str, parameters: usize, body: &str) -> String {
    let parameters = " i32".repeat(parameters);
    format!(
        r#"(func (export "crossdock:plugin/{interface}@0.1.0#{name}") (param{parameters}) (result i32) {body})
  (func (export "cabi_post_crossdock:plugin/{interface}@0.1.0#{name}") (param i32) (global.set $free (i32.const 65536)))
  "#
    )
}

/// The component of a role, in a file that is gone when this has been loaded.
fn plugin(role: u32, interfaces: &[&str], functions: &str) -> Plugin {
    let mut module = wat::parse_str(core(role, functions)).unwrap_or_else(|error| panic!("{error}"));
    let exports: String =
        interfaces.iter().map(|interface| format!("export crossdock:plugin/{interface}@0.1.0;\n")).collect();
    let mut resolve = Resolve::default();
    let contract = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../wit");
    resolve.push_dir(contract).unwrap_or_else(|error| panic!("{error:?}"));
    let world = format!("package tests:raw;\nworld raw {{\n{exports}}}\n");
    let package = resolve.push_str("raw.wit", &world).unwrap_or_else(|error| panic!("{error:?}"));
    let world = resolve.select_world(&[package], Some("raw")).unwrap_or_else(|error| panic!("{error:?}"));
    embed_component_metadata(&mut module, &resolve, world, StringEncoding::UTF8)
        .unwrap_or_else(|error| panic!("{error:?}"));
    let encoder = ComponentEncoder::default().module(&module).unwrap_or_else(|error| panic!("{error:?}"));
    let mut component = encoder.validate(true).encode().unwrap_or_else(|error| panic!("{error:?}"));
    // A custom section: its number, its length, the length of its name, its name, its content. All are below 128.
    let length = |text: &str| u8::try_from(text.len()).unwrap_or(u8::MAX);
    component.extend([0, 1 + length(CONTRACT_SECTION) + length(CONTRACT_VERSION), length(CONTRACT_SECTION)]);
    component.extend([CONTRACT_SECTION, CONTRACT_VERSION].concat().bytes());
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let path = folder.path().join("raw.wasm");
    std::fs::write(&path, component).expect("a temporary file can be written");
    load(&path)
}

static TRANSFORMER: LazyLock<Arc<dyn TransformerPort>> = LazyLock::new(|| {
    let body = "(call $answer (local.get 0) (local.get 6) (local.get 7))";
    let functions = function("transformer", "transform", 12, body);
    let plugin = plugin(1, &["describe", "lifecycle", "transformer"], &functions);
    wait(plugin.transformer(instance("{}"))).unwrap_or_else(|error| panic!("{error}"))
});

static SOURCE: LazyLock<Arc<dyn SourcePort>> = LazyLock::new(|| {
    let read = function("source", "read", 5, "(call $answer (i32.const 0) (local.get 1) (local.get 2))");
    let ack = function("source", "ack", 2, "(i32.const 256)");
    let plugin = plugin(0, &["describe", "lifecycle", "source"], &(read + &ack));
    wait(plugin.source(instance("{}"))).unwrap_or_else(|error| panic!("{error}"))
});

/// Calls with more than 16 numbers get a pointer to them.
static DESTINATION: LazyLock<Arc<dyn DestinationPort>> = LazyLock::new(|| {
    let at = |handles: u32, data: u32| {
        format!(
            "(call $answer (i32.load offset={handles} (local.get 0)) (i32.load offset={data} (local.get 0)) \
             (i32.load offset={} (local.get 0)))",
            data + 4
        )
    };
    let write = function("destination", "write", 1, &at(0, 24));
    let compensate = function("compensate", "compensate", 1, &at(0, 56));
    let probe = function("probe", "probe", 16, "(call $answer (local.get 0) (local.get 6) (local.get 7))");
    let plugin =
        plugin(2, &["describe", "lifecycle", "destination", "compensate", "probe"], &(write + &compensate + &probe));
    wait(plugin.destination(instance("{}"))).unwrap_or_else(|error| panic!("{error}"))
});

/// What the guest is given: never shorter than an answer is.
fn given(bytes: &[u8]) -> Vec<u8> {
    let mut given = bytes[..bytes.len().min(INPUT_MAX_BYTES)].to_vec();
    given.resize(given.len().max(HEAD_BYTES + ANSWER_BYTES), 0);
    given
}

fn batch(bytes: &[u8]) -> Arc<Batch> {
    let payloads: Column = [given(bytes), b"second".to_vec()].into_iter().collect();
    Arc::new(Batch { ids: ["a", "b"].iter().collect(), payloads, attributes: Vec::new() })
}

fn keys() -> Column {
    ["0".repeat(32), "1".repeat(32)].into_iter().collect()
}

fn transformed(bytes: &[u8]) -> bool {
    let (answer, _) = judged(wait(TRANSFORMER.transform(batch(bytes))));
    let Some(answer) = &answer else { return false };
    check_outcomes(2, &answer.outcomes, &answer.failures);
    let ok = answer.outcomes.iter().filter(|outcome| outcome.is_success()).count();
    let outputs = answer.outputs.as_ref().map_or(ok, |outputs| outputs.iter().map(|n| *n as usize).sum());
    assert_eq!(answer.payloads.len(), outputs, "a payload for each output");
    for attribute in answer.attributes.iter().flatten() {
        fit(&attribute.name, 128, false);
        assert_eq!(attribute.values.len(), outputs, "a value for each output");
    }
    true
}

fn page(bytes: &[u8]) -> bool {
    let limits = PageLimits { max_records: 4, max_bytes: 4_000 };
    let before = Checkpoint(given(bytes));
    let (answer, _) = judged(wait(SOURCE.read(Some(before.clone()), limits)));
    let Some(page) = answer else { return false };
    let records = page.batch.ids.len();
    assert!(records <= 4 && page.batch.payloads.len() == records, "{page:?}");
    assert!(page.checkpoint.0.len() <= 64 << 10 && (records == 0 || page.checkpoint != before), "{page:?}");
    assert!(page.order_keys.is_none_or(|keys| keys.len() == records), "an order key a record");
    for id in page.batch.ids.iter() {
        assert!((1..=512).contains(&id.len()), "an id of {} bytes", id.len());
        fit(std::str::from_utf8(id).expect("an id is text"), 512, false);
    }
    assert!(page.unreadable.iter().all(|(position, _)| (*position as usize) < records), "{:?}", page.unreadable);
    page.unreadable.iter().for_each(|(_, failure)| super::guests::check_failure(failure));
    true
}

fn check_target_ids(target_ids: Option<&Column>, receipts: Option<&Column>) {
    for id in target_ids.iter().flat_map(|column| column.iter()) {
        fit(std::str::from_utf8(id).expect("a target id is text"), 512, false);
    }
    for column in [target_ids, receipts].into_iter().flatten() {
        assert_eq!(column.len(), 2, "one value a record");
    }
}

fn written(bytes: &[u8]) -> bool {
    let options = WriteOptions { stop_at_first_failure: bytes.last().is_some_and(|last| last % 2 == 1) };
    let (answer, _) = judged(wait(DESTINATION.write(batch(bytes), keys(), options)));
    let Some(answer) = answer else { return false };
    check_outcomes(2, &answer.outcomes, &answer.failures);
    check_target_ids(answer.target_ids.as_ref(), answer.receipts.as_ref());
    true
}

fn undone(bytes: &[u8]) -> bool {
    let target_ids = ["", ""].iter().collect();
    let receipts = [given(bytes), Vec::new()].into_iter().collect();
    let undo = UndoBatch { ids: ["a", "b"].iter().collect(), keys: keys(), target_ids, receipts };
    let (answer, _) = judged(wait(DESTINATION.compensate(undo)));
    let Some(answer) = answer else { return false };
    check_outcomes(2, &answer.outcomes, &answer.failures);
    true
}

fn probed(bytes: &[u8]) -> bool {
    let (answer, _) = judged(wait(DESTINATION.probe(batch(bytes), keys())));
    let Some(answer) = answer else { return false };
    check_outcomes(2, &answer.outcomes, &answer.failures);
    check_target_ids(answer.target_ids.as_ref(), answer.receipts.as_ref());
    true
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::seeds;

    /// Otherwise all mutations would be of something that is refused at once.
    fn check(target: &Target, read: fn(&[u8]) -> bool) {
        let right: Vec<_> = seeds(target).into_iter().filter(|(path, _)| path.ends_with("right")).collect();
        assert_eq!(right.len(), 1, "{} has one right seed", target.name);
        assert!(right.iter().all(|(_, bytes)| read(bytes)), "{}: the right answer is not taken", target.name);
        assert!(!read(&[0xff; 400]), "{}: nonsense is taken", target.name);
    }

    #[test]
    fn right_answers_are_taken_and_others_are_not() {
        check(&TRANSFORMED, transformed);
        check(&PAGE, page);
        check(&WRITTEN, written);
        check(&UNDONE, undone);
        check(&PROBED, probed);
    }
}
