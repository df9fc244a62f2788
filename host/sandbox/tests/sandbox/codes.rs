//! Errors that take more than a file with other words in it: each with its code, what was being done, what went wrong
//! where, and what to do.

use crate::common::{Still, batch, config, file, guest, instance, sandbox, wait};
use crossdock_engine::ports::{CallError, Clock, PortError, PortFuture};
use crossdock_model::{ErrorClass, Explained, Timestamp};
use crossdock_sandbox::{Limits, Sandbox, SandboxConfig};
use std::fs;
use std::os::unix::fs::symlink;
use std::path::Path;

/// The error has this code and class, its message has these words, and its fix that one.
#[track_caller]
fn check<T, E: Explained>(answer: Result<T, E>, code: &str, class: ErrorClass, message: &[&str], fix: &str) {
    let Err(error) = answer else { panic!("went well, expected {code}") };
    assert_eq!((error.code(), error.class()), (code, class), "{error}");
    let said = error.to_string();
    assert!(message.iter().all(|words| said.contains(words)), "{said:?} does not say {message:?}");
    assert!(error.fix().is_some_and(|text| text.contains(fix)), "{:?} does not say {fix:?}", error.fix());
}

/// A guest in which some bytes are others, written to a file of this folder.
fn changed(dir: &Path, name: &str, from: &str, to: &str) -> std::path::PathBuf {
    assert_eq!(from.len(), to.len());
    let mut bytes = fs::read(file(name)).unwrap();
    let places: Vec<usize> = (0..bytes.len()).filter(|&at| bytes[at..].starts_with(from.as_bytes())).collect();
    assert!(!places.is_empty(), "{from} is not in {name}");
    for at in places {
        bytes[at..at + to.len()].copy_from_slice(to.as_bytes());
    }
    let path = dir.join("plugin.wasm");
    fs::write(&path, bytes).unwrap();
    path
}

#[test]
fn plugins_that_do_not_say_what_they_are() {
    let dir = tempfile::tempdir().unwrap();
    let load = |path: &Path, limits: Limits| {
        let config = SandboxConfig { limits, ..config(Still) };
        wait(Sandbox::new(config).unwrap().load(path)).map(drop)
    };
    let other_name = changed(dir.path(), "guest-transformer", "guest-transformer", "Guest-Transformer");
    check(
        load(&other_name, Limits::default()),
        "plugin-description",
        ErrorClass::InvalidInput,
        &["asking the plugin", "plugin.wasm", "its name \"Guest-Transformer\" is not"],
        "mend what `describe` answers",
    );
    let other_function = changed(dir.path(), "guest-transformer", "configure", "configurf");
    check(
        load(&other_function, Limits::default()),
        "plugin-invalid",
        ErrorClass::InvalidInput,
        &["linking the plugin", "plugin.wasm", "configure"],
        "build it again",
    );
    check(
        load(&file("guest-transformer"), Limits { memory_max_bytes: 0, ..Limits::default() }),
        "plugin-describe",
        ErrorClass::InvalidInput,
        &["asking the plugin", "guest_transformer.wasm", "memory_max_bytes"],
        "must answer without settings",
    );
}

#[test]
fn a_file_that_is_too_large_is_not_read_to_its_end() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("plugin.wasm");
    // Nothing is on the disk of it.
    fs::File::create(&path).unwrap().set_len(8 * Limits::PLUGIN_MAX_BYTES).unwrap();
    check(
        wait(sandbox().load(&path)).map(drop),
        "plugin-too-large",
        ErrorClass::InvalidInput,
        &["loading the plugin", "plugin.wasm", "at most 134217728 bytes"],
        "debug information",
    );
}

#[test]
fn folders_in_which_compiled_code_is_not_kept() {
    let dir = tempfile::tempdir().unwrap();
    let check = |cache: &str, message: &str| {
        let config = SandboxConfig { cache_dir: Some(dir.path().join(cache)), ..config(Still) };
        let message = ["the folder for compiled plugins", cache, message];
        let fix = "name a folder that the user who runs the host owns";
        check(Sandbox::new(config).map(drop), "sandbox-cache", ErrorClass::Environment, &message, fix);
    };
    fs::write(dir.path().join("file"), "").unwrap();
    check("file", "cannot be used");
    check("file/cache", "cannot be used");
    fs::create_dir(dir.path().join("elsewhere")).unwrap();
    symlink(dir.path().join("elsewhere"), dir.path().join("link")).unwrap();
    check("link", "it is a symbolic link");
}

/// A clock of an embedder that cannot tell the time.
struct Stopped;

impl Clock for Stopped {
    fn now(&self) -> Timestamp {
        panic!("this clock has stopped")
    }

    fn sleep_until(&self, _: Timestamp) -> PortFuture<'_, ()> {
        Box::pin(std::future::ready(()))
    }
}

/// What a call ends with that is no fault of the plugin.
fn host_error<T: std::fmt::Debug>(answer: Result<T, CallError>) -> Result<(), PortError> {
    let Err(CallError::Host(error)) = answer else { panic!("no error of the host's: {answer:?}") };
    Err(error)
}

#[test]
fn mistakes_of_the_host_are_not_held_against_the_plugin() {
    let check = |error, message: &[&str]| {
        check(error, "sandbox-internal", ErrorClass::Internal, message, "report this");
    };
    let port = wait(guest("guest-transformer").transformer(instance(""))).unwrap();
    let records = vec!["x"; 10_001];
    check(host_error(wait(port.transform(batch(&records)))), &["10001 records", "transform"]);
    let stopped = Sandbox::new(config(Stopped)).unwrap();
    let plugin = wait(stopped.load(file("guest-transformer"))).unwrap();
    let port = wait(plugin.transformer(instance("control"))).unwrap();
    check(
        host_error(wait(port.transform(batch(&["one"])))),
        &["transform of the plugin guest-transformer at step here of route tests", "a panic of the host's own"],
    );
}

/// What it says instead is kept in the message.
#[test]
fn a_failure_whose_code_is_none() {
    let dir = tempfile::tempdir().unwrap();
    let path = changed(dir.path(), "guest-transformer", "on-purpose", "On Purpose");
    let plugin = wait(sandbox().load(path)).unwrap();
    let port = wait(plugin.transformer(instance("refuse"))).unwrap();
    let Err(CallError::Refused { failure, .. }) = wait(port.transform(batch(&["one"]))) else { panic!("no refusal") };
    assert_eq!((failure.code.as_str(), failure.message.as_str()), ("failure-without-code", "not today"));
}
