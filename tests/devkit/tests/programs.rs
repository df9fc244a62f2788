//! Building a program of the workspace, starting it and speaking to it.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use crossdock_devkit::{Child, binary, http, http_with};
use std::process::Command;

#[test]
fn a_program_is_built_started_and_asked() {
    let program = binary("erp-stand-in", "erp-stand-in").unwrap();
    assert_eq!(binary("erp-stand-in", "erp-stand-in").unwrap(), program);
    assert!(binary("erp-stand-in", "no-such-program").is_err());

    let data = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("erp-{}.db", std::process::id()));
    let mut erp = Child::start(Command::new(program).arg("--data").arg(&data)).unwrap();
    let (status, _) = http("GET", erp.addr(), "/health", "").unwrap();
    assert_eq!(status, 200);
    let document = r#"{"reference":"4711","amount":"1.00"}"#;
    let headers = [("content-type", "application/json"), ("idempotency-key", "k1")];
    let (status, body) = http_with("POST", erp.addr(), "/documents", &headers, document).unwrap();
    assert_eq!(status, 201, "{body}");
    assert!(body.contains("4711"), "{body}");

    erp.kill().unwrap();
    assert!(http("GET", erp.addr(), "/health", "").is_err());
    let _ = std::fs::remove_file(data);
}
