//! Runs each file of `tests/cases` against a stand-in of its own, in a process of its own.
//!
//! A line is a request and what must come back: `METHOD PATH [Name=value]… [BODY] -> STATUS [Name=value]… [JSON]`.
//! The JSON need only be contained in the answer. `cut` instead of a status: the connection closed without an answer.
//! `_` in a header's value stands for a blank. `restart` kills the process and starts it again on the same data;
//! `start ARGUMENTS` on the first line starts it with arguments (JSON after `--faults` goes to a file).

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use std::{
    io::{BufRead, BufReader, Read, Write},
    net::TcpStream,
    path::Path,
    process::{Child, Command, Stdio},
};

use serde_json::Value;

#[test]
fn documents() {
    check("documents");
}

#[test]
fn idempotency() {
    check("idempotency");
}

#[test]
fn validation() {
    check("validation");
}

#[test]
fn batch() {
    check("batch");
}

#[test]
fn faults() {
    check("faults");
}

#[test]
fn orders() {
    check("orders");
}

#[test]
fn token() {
    check("token");
}

#[test]
fn every_case_file_is_run() {
    let mut files: Vec<String> = std::fs::read_dir(cases())
        .unwrap()
        .map(|entry| entry.unwrap().path().file_stem().unwrap().to_str().unwrap().to_owned())
        .collect();
    files.sort();
    assert_eq!(files, ["batch", "documents", "faults", "idempotency", "orders", "token", "validation"]);
}

fn cases() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/cases")
}

fn check(name: &str) {
    let script = std::fs::read_to_string(cases().join(format!("{name}.txt"))).unwrap();
    let folder = tempfile::tempdir().unwrap();
    let mut arguments = String::new();
    let mut server = None;
    let mut exchanges = 0;
    for (line, number) in script.lines().zip(1..).filter(|(line, _)| !line.is_empty() && !line.starts_with('#')) {
        if let Some(given) = line.strip_prefix("start ") {
            arguments = given.to_owned();
            continue;
        }
        if line == "restart" {
            server = None;
            continue;
        }
        let server = server.get_or_insert_with(|| Server::start(folder.path(), &arguments));
        let (request, expected) = line.split_once(" -> ").expect("a line has an arrow");
        if let Err(problem) = exchange(&server.address, request, expected) {
            panic!("{name}.txt:{number}: {line}\n{problem}");
        }
        exchanges += 1;
    }
    assert!(exchanges > 0, "{name}.txt says nothing");
}

struct Server {
    child: Child,
    address: String,
}

impl Server {
    fn start(folder: &Path, arguments: &str) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_erp-stand-in"));
        command.arg("--data").arg(folder.join("erp.db"));
        for argument in arguments.split(' ').filter(|argument| !argument.is_empty()) {
            if argument.starts_with('[') {
                std::fs::write(folder.join("faults.json"), argument).unwrap();
                command.arg(folder.join("faults.json"));
            } else {
                command.arg(argument);
            }
        }
        let mut child = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
        let address = line.trim().strip_prefix("listening on ").expect("the first line names the address").to_owned();
        Self { child, address }
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // Also fails if the process ended by itself, which the exchanges would have noticed.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Words up to the first that begins a JSON value, or is not `Name=value` after the path; and the rest.
fn words(text: &str, fixed: usize) -> (Vec<&str>, &str) {
    let mut words = Vec::new();
    let mut rest = text.trim();
    while !rest.is_empty() && (words.len() < fixed || (!rest.starts_with(['{', '[']) && rest.contains('='))) {
        let (word, after) = rest.split_once(' ').unwrap_or((rest, ""));
        words.push(word);
        rest = after;
    }
    (words, rest)
}

fn exchange(address: &str, request: &str, expected: &str) -> Result<(), String> {
    let (head, body) = words(request, 2);
    let [method, path, headers @ ..] = head.as_slice() else { return Err("no method and path".to_owned()) };
    let mut text = format!("{method} {path} HTTP/1.1\r\nhost: {address}\r\nconnection: close\r\n");
    for header in headers {
        let (name, value) = header.split_once('=').ok_or("a header is Name=value")?;
        text += &format!("{name}: {}\r\n", value.replace('_', " "));
    }
    text += &format!("content-length: {}\r\n\r\n{body}", body.len());
    let mut stream = TcpStream::connect(address).map_err(|error| error.to_string())?;
    stream.write_all(text.as_bytes()).map_err(|error| error.to_string())?;
    let mut answer = String::new();
    // A cut connection may show as an error or as the end; either way there is no answer.
    let _ = stream.read_to_string(&mut answer);

    let (wanted, wanted_body) = words(expected, 1);
    if wanted == ["cut"] {
        return if answer.is_empty() { Ok(()) } else { Err(format!("answered: {answer}")) };
    }
    let (head, body) = answer.split_once("\r\n\r\n").ok_or("no answer")?;
    let status = head.split(' ').nth(1).ok_or("no status")?;
    if status != wanted[0] {
        return Err(format!("status {status}: {body}"));
    }
    for header in &wanted[1..] {
        let (name, value) = header.split_once('=').ok_or("a header is Name=value")?;
        let line = format!("{name}: {value}").to_lowercase();
        if !head.to_lowercase().lines().any(|found| found == line) {
            return Err(format!("no header {header} in: {head}"));
        }
    }
    if wanted_body.is_empty() {
        return Ok(());
    }
    let wanted: Value = serde_json::from_str(wanted_body).map_err(|error| error.to_string())?;
    let found: Value = serde_json::from_str(body).map_err(|error| format!("{error}: {body}"))?;
    if contains(&found, &wanted) { Ok(()) } else { Err(format!("body: {body}")) }
}

fn contains(found: &Value, wanted: &Value) -> bool {
    match (found, wanted) {
        (Value::Object(found), Value::Object(wanted)) => {
            wanted.iter().all(|(key, wanted)| found.get(key).is_some_and(|found| contains(found, wanted)))
        }
        (Value::Array(found), Value::Array(wanted)) => {
            found.len() == wanted.len() && found.iter().zip(wanted).all(|(found, wanted)| contains(found, wanted))
        }
        _ => found == wanted,
    }
}
