//! The plugins that come with the host, as ordinary libraries: settings, checkpoints, files and answers of services.

use super::parts;
use crate::Target;
use crossdock_sdk::http::Response;
use crossdock_sdk::testing::{self, Outcome};
use crossdock_sdk::{CallError, Limits, Source};
use http_destination::HttpDestination;
use http_source::HttpSource;
use map::Map;
use serde_json::Value;
use serde_json::value::RawValue;
use std::cell::OnceCell;
use std::path::Path;
use tempfile::TempDir;
use text_source::TextSource;

const LIMITS: Limits = Limits { max_records: 50, max_bytes: 64 << 10 };
/// The host refuses a longer one.
const CHECKPOINT_MAX_BYTES: usize = 64 << 10;
/// How often a source is asked for a page.
const PAGES_MAX: usize = 20;

/// text-source: its settings, a checkpoint, and a file.
pub(super) const TEXT_SOURCE: Target = Target {
    name: "text-source",
    more_seeds: &[],
    words: &[
        "\n---\n",
        "/in/a.txt",
        "ndjson",
        "csv",
        "columns",
        "\"header\":true",
        "\"id\":[\"a\"]",
        "\r\n",
        "\"\"",
        "{\"v\":1",
        "\u{feff}",
    ],
    short_run: 1_500,
    run: text_source,
};

/// http-source: its settings, a checkpoint, and an answer.
pub(super) const HTTP_SOURCE: Target = Target {
    name: "http-source",
    more_seeds: &[],
    words: &[
        "\n---\n",
        "{\"since\":",
        "{\"number\":",
        "\"link_header\"",
        "\"records\":\"/items\"",
        "\"id\":[\"/id\"]",
        "{\"v\":1,\"n\":1",
        "rel=\"next\"",
        "/id",
        "null",
        "1e400",
    ],
    short_run: 3_000,
    run: http_source,
};

/// http-destination: its settings, a payload, and an answer.
pub(super) const HTTP_DESTINATION: Target = Target {
    name: "http-destination",
    more_seeds: &[],
    words: &[
        "\n---\n",
        "{{ payload/a }}",
        "{{ id }}",
        "{{ key }}",
        "{{",
        "}}",
        "{{ records }}",
        "{{ steps.a.target_id }}",
        "\"body\":",
        "\"path\":",
        "\"probe\":",
        "\"undo\":",
        "\"batch\":",
        "\"target_id\":\"/id\"",
        "/a~1b",
        "null",
    ],
    short_run: 3_000,
    run: http_destination,
};

/// map: its settings, and a payload.
pub(super) const MAP: Target = Target {
    name: "map",
    more_seeds: &[],
    words: &[
        "\n---\n",
        "\"fields\":",
        "\"from\":",
        "\"to\":",
        "\"type\":",
        "decimal",
        "integer",
        "\"date\":",
        "\"round\":",
        "\"drop_if\":",
        "%Y",
        "1e400",
        "-0.00",
        "99999999999999999999999999999999",
    ],
    short_run: 3_000,
    run: map,
};

fn text(bytes: &[u8]) -> Option<&str> {
    std::str::from_utf8(bytes).ok()
}

fn text_source(bytes: &[u8]) {
    thread_local! { static FOLDER: OnceCell<TempDir> = const { OnceCell::new() }; }
    let [settings, checkpoint, file] = parts(bytes)[..] else { return };
    let Some(Ok(Value::Object(mut settings))) = text(settings).map(serde_json::from_str) else { return };
    // Here no sandbox holds it back: only files of its own folder.
    let Some(files) = settings.get("files").and_then(Value::as_str) else { return };
    let Some(name) = files.strip_prefix("/in/").filter(|name| !name.contains("..")).map(str::to_owned) else { return };
    FOLDER.with(|folder| {
        let folder = folder.get_or_init(|| tempfile::tempdir().expect("a temporary folder can be made"));
        let pattern = format!("{}/{name}", folder.path().display());
        settings.insert("files".to_owned(), Value::from(pattern));
        write(&folder.path().join("a.txt"), file);
        let Ok(mut source) = testing::source::<TextSource>(Value::Object(settings)) else { return };
        read(&mut source, checkpoint);
    });
}

fn write(path: &Path, content: &[u8]) {
    std::fs::write(path, content).expect("a temporary file can be written");
}

/// Reads on from a checkpoint. That pages keep the contract is looked at by what the SDK tests with.
fn read<S: Source>(source: &mut S, checkpoint: &[u8]) {
    let mut at = (!checkpoint.is_empty()).then(|| checkpoint.to_vec());
    for _ in 0..PAGES_MAX {
        match testing::read(source, at.as_deref(), LIMITS) {
            Ok(page) => {
                assert!(
                    page.checkpoint.len() <= CHECKPOINT_MAX_BYTES,
                    "a checkpoint of {} bytes",
                    page.checkpoint.len()
                );
                if page.more != crossdock_sdk::More::More {
                    return;
                }
                at = Some(page.checkpoint);
            }
            Err(error) => return check_error(&error),
        }
    }
}

fn check_error(error: &CallError) {
    let code = error.failure().code();
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.');
    assert!((1..=64).contains(&code.len()) && code.bytes().all(fits), "{code:?} is no code");
}

/// The answer to every request: its status, a header, and what follows.
fn serve(head: &[u8], body: &[u8]) {
    let head = String::from_utf8_lossy(head).into_owned();
    let (status, header) = head.split_once('\n').unwrap_or((&head, ""));
    let status = status.trim().parse().unwrap_or(200);
    let header = header.split_once(':').map(|(name, value)| (name.to_owned(), value.trim().to_owned()));
    let body = body.to_vec();
    testing::reset();
    testing::secret("TOKEN", "canary");
    testing::http(move |_| {
        let response = Response::new(status, body.clone());
        Ok(match &header {
            Some((name, value)) => response.with_header(name, value),
            None => response,
        })
    });
}

fn http_source(bytes: &[u8]) {
    let [settings, checkpoint, head, body] = parts(bytes)[..] else { return };
    let Some(settings) = text(settings) else { return };
    serve(head, body);
    let Ok(mut source) = testing::source::<HttpSource>(settings) else { return };
    read(&mut source, checkpoint);
}

fn http_destination(bytes: &[u8]) {
    let [settings, payload, head, body] = parts(bytes)[..] else { return };
    let Some(settings) = text(settings) else { return };
    serve(head, body);
    let Ok(mut destination) = testing::destination::<HttpDestination>(settings) else { return };
    let records = [
        testing::record("A/1", payload).attribute("steps.a.target_id", "T 1").key("0123456789abcdef0123456789abcdef"),
        testing::record("B\"2", "{\"a\":1}"),
    ];
    let written = match testing::write(&mut destination, &records) {
        Ok(written) => written,
        Err(error) => return check_error(&error),
    };
    assert_eq!(written.len(), records.len(), "one outcome a record");
    let mut applied = Vec::new();
    for (one, (id, key)) in written.iter().zip([("A/1", "0123456789abcdef0123456789abcdef"), ("B\"2", "")]) {
        if one.outcome == Outcome::Ok {
            applied.push(testing::applied(id, key).target_id(&one.target_id).receipt(&one.receipt));
        }
    }
    // What it gave it must be able to read; and whatever stands in a receipt, it answers.
    applied.push(testing::applied("C", "k").target_id("T").receipt(payload));
    for answer in [
        testing::compensate(&mut destination, &applied).map(drop),
        testing::probe(&mut destination, &records).map(drop),
    ] {
        if let Err(error) = answer {
            check_error(&error);
        }
    }
}

fn map(bytes: &[u8]) {
    let [settings, payload] = parts(bytes)[..] else { return };
    let Some(settings) = text(settings) else { return };
    let Ok(mut map) = testing::transformer::<Map>(settings) else { return };
    let answers = testing::transform(&mut map, &[testing::record("1", payload), testing::record("2", "{}")]);
    assert_eq!(answers.len(), 2, "one outcome a record");
    for output in answers.iter().flat_map(|answer| &answer.outputs) {
        serde_json::from_str::<&RawValue>(&output.text()).expect("what comes out is JSON");
    }
}
