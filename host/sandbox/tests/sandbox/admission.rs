//! Which files are let in, and what is known of those that are.

use crate::common::{Still, config, file, guest, instance, sandbox, wait};
use crossdock_engine::ports::CallError;
use crossdock_model::Explained as _;
use crossdock_sandbox::{Role, Sandbox, SandboxConfig};
use sha2::{Digest as _, Sha256};
use std::fs;

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
    check(&other, "plugin-contract-version", &["0.9.0", "0.1.0", "build the plugin against"]);
    let none = replaced(good(), "crossdock:contract0.1.0", "crossdock:contrast0.1.0");
    check(&none, "plugin-contract-version", &["does not say"]);
    let unknown = replaced(good(), "crossdock:plugin/log@0.1.0", "crossdock:plugin/lug@0.1.0");
    check(&unknown, "plugin-import-unknown", &["crossdock:plugin/lug@0.1.0"]);
    let mute = replaced(good(), "crossdock:plugin/describe@0.1.0", "crossdock:plugin/describf@0.1.0");
    check(&mute, "plugin-exports", &["does not export `crossdock:plugin/describe@0.1.0`"]);
    let none = replaced(good(), "crossdock:plugin/transformer@0.1.0", "crossdock:plugin/transfirmer@0.1.0");
    check(&none, "plugin-exports", &["none of the roles"]);
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
    assert_eq!(plugin.contract_version(), "0.1.0");
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
