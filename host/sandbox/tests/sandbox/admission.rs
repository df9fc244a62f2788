//! Which files are let in, and what is known of those that are.

use crate::common::{Still, config, file, guest, instance, sandbox, wait};
use crossdock_devkit::raw::{self, Put, with_contract};
use crossdock_engine::ports::CallError;
use crossdock_model::Explained as _;
use crossdock_sandbox::{Role, Sandbox, SandboxConfig};
use sha2::{Digest as _, Sha256};
use std::fs;
use wasmparser::Parser;

/// Everything that stands between these two, wherever it stands.
fn replaced(mut bytes: Vec<u8>, from: &str, to: &str) -> Vec<u8> {
    assert_eq!(from.len(), to.len());
    let mut found = false;
    for start in 0..bytes.len() - from.len() {
        if bytes[start..].starts_with(from.as_bytes()) {
            bytes[start..start + to.len()].copy_from_slice(to.as_bytes());
            found = true;
        }
    }
    assert!(found, "{from} is not in the guest");
    bytes
}

/// What a file with this content is refused with: its code, and words of the message.
fn check(content: &[u8], code: &str, message: &[&str]) {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plugin.wasm");
    fs::write(&path, content).unwrap();
    let Err(error) = wait(sandbox().load(&path)) else { panic!("was let in, expected {code}") };
    assert_eq!(error.code(), code, "{error}");
    let told = format!("{error}; {}", error.fix().unwrap_or_default());
    for word in message {
        assert!(told.contains(word), "{told:?} does not say {word:?}");
    }
    assert!(told.contains("plugin.wasm"), "{told:?} does not name the file");
}

#[test]
fn what_is_not_a_plugin_is_refused_with_the_reason() {
    let good = || fs::read(file("guest-transformer")).unwrap();
    check(b"", "plugin-not-wasm", &["empty"]);
    check(b"#!/bin/sh\necho", "plugin-not-wasm", &["#!/bin/sh"]);
    check(b"  (component)", "plugin-text-format", &["binary"]);
    check(b"\0asm\x01\0\0\0", "plugin-core-module", &["component", "wasm32-wasip2"]);
    check(&good()[..5_000], "plugin-damaged", &[]);
    check(b"\0asm\x0d\0\x01\0", "plugin-contract-version", &["0.1.0", "crossdock:contract"]);
    let other = replaced(good(), "crossdock:contract0.1.0", "crossdock:contract0.9.0");
    check(&other, "plugin-contract-version", &["0.9.0", "0.1.0", "newer than this host"]);
    // Whatever else is in it: what a later WebAssembly brings, or nothing that can be read.
    let later = with_contract(b"\0asm\x99\0\x07\0\x4d\x03new".to_vec(), b"0.2.0");
    check(&later, "plugin-contract-version", &["0.2.0", "use a newer version of Crossdock"]);
    let earlier = with_contract(b"\0asm\x0d\0\x01\0\x05\x02\xff\xff".to_vec(), b"0.0.3");
    check(&earlier, "plugin-contract-version", &["0.0.3", "too old for this host", "SDK of version 0.1.0"]);
    let none = replaced(good(), "crossdock:contract0.1.0", "crossdock:contrast0.1.0");
    check(&none, "plugin-contract-version", &["does not say"]);
    let unknown = replaced(good(), "crossdock:plugin/log@0.1.0", "crossdock:plugin/lug@0.1.0");
    check(&unknown, "plugin-import-unknown", &["crossdock:plugin/lug@0.1.0"]);
    let mute = replaced(good(), "crossdock:plugin/describe@0.1.0", "crossdock:plugin/describf@0.1.0");
    check(&mute, "plugin-exports", &["does not export `crossdock:plugin/describe@0.1.0`"]);
    let none = replaced(good(), "crossdock:plugin/transformer@0.1.0", "crossdock:plugin/transfirmer@0.1.0");
    check(&none, "plugin-exports", &["none of the roles"]);
}

/// A component in text form that says it was built for this contract.
fn component(text: &str) -> Vec<u8> {
    let text = format!("(component {text})");
    with_contract(wat::parse_str(&text).unwrap_or_else(|error| panic!("{error}")), b"0.1.0")
}

/// A component that exports a transformer's interfaces, all of them with what is written here.
fn exporting(before: &str, within: &str) -> Vec<u8> {
    let names = ["describe", "lifecycle", "transformer"];
    let exports: String =
        names.iter().map(|name| format!("(export \"crossdock:plugin/{name}@0.1.0\" (instance $i))")).collect();
    component(&format!("{before} (instance $i {within}) {exports}"))
}

#[test]
fn files_that_are_something_else() {
    check(b"\x7fELF\x02\x01\x01\0\0\0\0\0", "plugin-not-wasm", &["ELF"]);
    check(b"PK\x03\x04", "plugin-not-wasm", &["PK"]);
    check(b"\0as", "plugin-not-wasm", &[]);
    check(b"\x1b[31m\r\n", "plugin-not-wasm", &["it begins with"]);
    check(&[0xff; 64], "plugin-not-wasm", &[]);
    check(b"(; a comment ;) (module)", "plugin-text-format", &["binary"]);
    // Of a version of the binary format that is not known.
    check(b"\0asm\x0e\0\x01\0", "plugin-damaged", &[]);
    check(b"\0asm\x02\0\0\0", "plugin-damaged", &[]);
    let module = wat::parse_str("(module (func (export \"run\")))").unwrap();
    check(&with_contract(module, b"0.1.0"), "plugin-core-module", &["wasm32-wasip2"]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("large.wasm");
    // It takes no room on the disk.
    fs::File::create(&path).unwrap().set_len((128 << 20) + 1).unwrap();
    let error = wait(sandbox().load(&path)).map(|_| ()).unwrap_err();
    assert_eq!(error.code(), "plugin-too-large");
}

#[test]
fn components_of_other_worlds() {
    check(&component(""), "plugin-exports", &["does not export `crossdock:plugin/describe@0.1.0`"]);
    let run = "(instance $i) (export \"wasi:cli/run@0.2.6\" (instance $i))";
    check(&component(run), "plugin-exports", &["describe"]);
    let func = |name: &str| component(&format!("(import \"{name}\" (func))"));
    for name in ["run", "wasi:cli/run@0.2.0", "wasi:io/poll", "wasi:io/poll@0.3.0", "crossdock:plugin/log@0.2.0"] {
        check(&func(name), "plugin-import-unknown", &[name, "crossdock explain"]);
    }
    for name in ["wasi:sockets/tcp@0.2.0", "wasi:http/outgoing-handler@0.2.0", "wasi:sockets/network@0.2.6"] {
        check(&func(name), "plugin-import-unknown", &[name, "crossdock:plugin/http"]);
    }
    for name in ["crossdock:plugin/describe@0.1.0", "crossdock:plugin/log@0.1.01", "crossdock:plugins/log@0.1.0"] {
        check(&func(name), "plugin-import-unknown", &[name]);
    }
    check(&component("(import \"m\" (core module))"), "plugin-import-unknown", &["`m`"]);
    let several = "(instance $i) (export \"crossdock:plugin/describe@0.1.0\" (instance $i))
        (export \"crossdock:plugin/lifecycle@0.1.0\" (instance $i)) (export \"crossdock:plugin/source@0.1.0\" (instance $i))";
    let second = "(export \"crossdock:plugin/destination@0.1.0\" (instance $i))";
    check(&component(&format!("{several}{second}")), "plugin-exports", &["exactly one role"]);
    let probe = "(export \"crossdock:plugin/probe@0.1.0\" (instance $i))";
    check(&component(&format!("{several}{probe}")), "plugin-exports", &["which only destinations have"]);
}

#[test]
fn versions_of_the_contract() {
    let without = wat::parse_str("(component)").unwrap();
    check(&without, "plugin-contract-version", &["does not say", "0.1.0"]);
    let said = |version: &[u8], words: &[&str]| {
        check(&with_contract(without.clone(), version), "plugin-contract-version", words);
    };
    said(b"", &["version "]);
    said(b"0.1.0\0", &["0.1.0\\"]);
    said(b"0.2.0", &["0.2.0", "newer than this host", "0.1.0"]);
    said(b"0.1.1", &["0.1.1", "newer than this host", "0.1.0"]);
    said(b"0.0.9", &["0.0.9", "too old for this host", "0.1.0"]);
    said(b"0.1", &["`0.1`", "which is none", "0.1.0"]);
    said(b" 0.1.0", &[]);
    said(b"\xff\xfe", &["\u{fffd}"]);
    said(b"\x1b[2Jgone", &["[2Jgone"]);
    // A megabyte is not repeated.
    said(&vec![b'9'; 1 << 20], &["999"]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("long.wasm");
    fs::write(&path, with_contract(without.clone(), &vec![b'9'; 1 << 20])).unwrap();
    assert!(wait(sandbox().load(&path)).map(|_| ()).unwrap_err().to_string().len() < 1_000);
    // Twice the same says the same; two that differ are two contracts.
    let twice = with_contract(raw::guest(Put::default()), b"0.1.0");
    fs::write(&path, twice).unwrap();
    assert!(wait(sandbox().load(&path)).is_ok());
    let differ = with_contract(raw::guest(Put::default()), b"0.9.0");
    check(&differ, "plugin-contract-version", &["0.9.0"]);
    let many = (0..1_001).fold(without.clone(), |component, _| with_contract(component, b"0.1.0"));
    check(&many, "plugin-exports", &["describe"]);
}

#[test]
fn exports_and_imports_with_other_types() {
    check(&exporting("", ""), "plugin-invalid", &["does not have export"]);
    let module = "(core module $m (func (export \"f\") (result i32) (i32.const 0)))
        (core instance $c (instantiate $m)) (func $f (result u32) (canon lift (core func $c \"f\")))";
    check(&exporting(module, "(export \"describe\" (func $f))"), "plugin-invalid", &["does not have export"]);
    let names = ["describe", "configure", "check", "close", "transform"];
    let all: String = names.iter().map(|name| format!("(export \"{name}\" (func $f))")).collect();
    check(&exporting(module, &all), "plugin-describe", &["describe", "expected `record` found `u32`"]);
    // Ours by name, and with a function in it that is not.
    let log = "(import \"crossdock:plugin/log@0.1.0\" (instance (export \"erase\" (func))))";
    check(&exporting(log, ""), "plugin-invalid", &["crossdock:plugin/log@0.1.0"]);
    let environment =
        "(import \"wasi:cli/environment@0.2.0\" (instance (export \"get-environment\" (func (result u32)))))";
    check(&exporting(environment, ""), "plugin-invalid", &["wasi:cli/environment@0.2.0"]);
}

/// What is not switched on in the engine is refused when it is compiled, by its name. Without it these would compile,
/// and be refused for what they do not export.
#[test]
fn proposals_that_are_not_offered() {
    let check = |text: &str, words: &str| check(&exporting(text, ""), "plugin-invalid", &[words]);
    let core = |text: &str, words: &str| check(&format!("(core module {text})"), words);
    check("(core module (memory 1))", "does not have export");
    let module = "(core module $m (func (export \"f\"))) (core instance $c (instantiate $m))";
    check(&format!("{module} (func $f async (canon lift (core func $c \"f\") async))"), "async");
    check("(type (stream u8))", "async");
    check("(type (future u8))", "async");
    core("(memory 1 1 shared)", "threads");
    core("(memory i64 1)", "64");
    core("(type (struct))", "gc");
    core("(tag)", "exceptions");
    let memories = exporting("(core module (memory 1) (memory 1))", "");
    self::check(&memories, "plugin-too-complex", &["multi-memory"]);
}

/// A plugin that ends early, wherever that is, is refused, and never for a reason that is ours.
#[test]
fn plugins_that_end_early() {
    let whole = raw::guest(Put::default());
    let mut borders = vec![0];
    for payload in Parser::new(0).parse_all(&whole) {
        if let Some((_, range)) = payload.unwrap().as_section() {
            borders.extend([range.start, range.end]);
        }
    }
    borders.retain(|&end| end < whole.len());
    assert!(borders.len() > 30, "{} borders", borders.len());
    let near = borders.iter().flat_map(|&end| [end.saturating_sub(1), end, end + 1]);
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plugin.wasm");
    for end in near.chain((0..whole.len()).step_by(211)) {
        fs::write(&path, &whole[..end]).unwrap();
        let error = wait(sandbox().load(&path)).map(|_| ()).unwrap_err();
        let known = ["plugin-not-wasm", "plugin-damaged", "plugin-contract-version"];
        assert!(known.contains(&error.code()), "cut at {end}: {}: {error}", error.code());
    }
}

/// A plugin of which one byte is another one is refused or let in, and the sandbox goes on.
#[test]
fn plugins_with_a_byte_that_is_another() {
    let whole = raw::guest(Put::default());
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plugin.wasm");
    for at in (0..whole.len()).step_by(53) {
        let mut bytes = whole.clone();
        bytes[at] ^= 0x55;
        fs::write(&path, bytes).unwrap();
        if let Err(error) = wait(sandbox().load(&path)) {
            let ours = ["sandbox-internal", "sandbox-setup", "sandbox-compiler", "plugin-compile-crashed"];
            assert!(!ours.contains(&error.code()), "byte {at}: {}: {error}", error.code());
        }
    }
    assert!(wait(sandbox().load(file("guest-transformer"))).is_ok());
}

#[test]
fn files_that_are_not_there_or_no_files() {
    let dir = tempfile::tempdir().unwrap();
    let missing = wait(sandbox().load(dir.path().join("none.wasm"))).map(|_| ()).unwrap_err();
    assert_eq!(missing.code(), "plugin-not-found");
    let folder = wait(sandbox().load(dir.path())).map(|_| ()).unwrap_err();
    assert_eq!(folder.code(), "plugin-unreadable");
}

#[test]
fn a_plugin_says_what_it_is() {
    let plugin = guest("guest-destination");
    assert_eq!(plugin.description().name, "guest-destination");
    assert_eq!(plugin.description().role, Role::Destination);
    assert_eq!(plugin.description().max_batch, 1_000);
    assert_eq!(plugin.contract_version().to_string(), "0.1.0");
    assert_eq!((plugin.exports_compensate(), plugin.exports_probe()), (true, true));
    let digest = Sha256::digest(fs::read(plugin.path()).unwrap());
    assert_eq!(plugin.digest(), digest.iter().map(|b| format!("{b:02x}")).collect::<String>());
    assert_eq!(plugin.size_bytes(), fs::metadata(plugin.path()).unwrap().len());
    let plugin = guest("guest-transformer");
    assert_eq!((plugin.exports_compensate(), plugin.exports_probe()), (false, false));
    let Err(CallError::Host(error)) = wait(plugin.source(instance(""))) else { panic!("a transformer is no source") };
    assert_eq!(error.code, "plugin-wrong-role");
}

#[test]
fn compiled_code_is_kept_and_not_believed_when_changed() {
    let dir = tempfile::tempdir().unwrap();
    let cache = dir.path().join("compiled");
    // Each time a new sandbox, as after a restart.
    let from_cache = || {
        let config = SandboxConfig { cache_dir: Some(cache.clone()), ..config(Still) };
        let plugin = wait(Sandbox::new(config).unwrap().load(file("guest-source"))).unwrap();
        assert_eq!(plugin.description().name, "guest-source");
        let cost = plugin.cost();
        assert_eq!(cost.from_cache, plugin.is_from_cache());
        assert!(cost.prepared_us > 0 && cost.start_us > 0, "{cost:?}");
        // The same whether it was compiled or not: a page of memory and a table at least, code that is more than the file.
        assert!(cost.memory_bytes >= 64 << 10 && cost.memory_bytes % (64 << 10) == 0, "{cost:?}");
        assert!(cost.table_bytes > 0 && cost.table_bytes < cost.memory_bytes, "{cost:?}");
        assert!((1..32 << 20).contains(&cost.structures_max_bytes), "{cost:?}");
        assert!(cost.code_bytes > plugin.size_bytes(), "{cost:?}");
        plugin.is_from_cache()
    };
    assert!(!from_cache());
    assert!(from_cache());
    let entry = || fs::read_dir(&cache).unwrap().map(|e| e.unwrap().path()).find(|p| p.extension().is_some()).unwrap();
    let mut bytes = fs::read(entry()).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(entry(), bytes).unwrap();
    assert!(!from_cache(), "changed machine code was run");
    assert!(from_cache());
    fs::write(cache.join("key"), [0; 32]).unwrap();
    assert!(!from_cache(), "code sealed under another key was run");
}
