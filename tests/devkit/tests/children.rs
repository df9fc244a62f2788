//! Programs that serve, and those that do not.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_devkit::Child;
use std::process::Command;

/// Starts a shell script as if it were one of our programs.
fn check(script: &str, expected: Result<&str, &str>) {
    let started = Child::start(Command::new("sh").args(["-c", script]));
    match (started, expected) {
        (Ok(child), Ok(url)) => assert_eq!(child.url(), url, "{script}"),
        (Err(error), Err(part)) => assert!(format!("{error:#}").contains(part), "{script}: {error:#}"),
        (started, expected) => panic!("{script}: {started:?}, expected {expected:?}"),
    }
}

#[test]
fn starting() {
    check("echo listening on 127.0.0.1:4711; exec sleep 600", Ok("http://127.0.0.1:4711"));
    check("echo listening on 127.0.0.1:4711", Ok("http://127.0.0.1:4711"));
    check("exit 3", Err("exit status: 3"));
    check("echo hello; exec sleep 600", Err("printed \"hello\\n\""));
    check("echo listening on nothing; exec sleep 600", Err("listening on nothing"));
}

#[test]
fn a_program_ends_with_its_guard() {
    let child = Child::start(Command::new("sh").args(["-c", "echo listening on 127.0.0.1:1; exec sleep 600"])).unwrap();
    let process = std::path::PathBuf::from(format!("/proc/{}", child.id()));
    let alive_before = process.exists();
    drop(child);
    assert!(!process.exists());
    assert!(alive_before || !cfg!(target_os = "linux"));
}

#[test]
fn a_talkative_program_never_stands_still() {
    let script = "echo listening on 127.0.0.1:1; i=0; while [ $i -lt 5000 ]; do echo a line of fifty bytes or so, again and again; i=$((i+1)); done; exit 7";
    let mut child = Child::start(Command::new("sh").args(["-c", script])).unwrap();
    assert_eq!(child.wait().unwrap().code(), Some(7));
}
