//! A source that misbehaves as its settings say.
//!
//! **Does**: gives pages of records, or breaks the rule that `misbehave` names.
//! **May touch**: whatever its grants let it, and it tries what they do not.
//! **Never**: leaves this repository; it is for tests only.

mod files;

wit_bindgen::generate!({ path: "../../../wit", world: "source-plugin" });

use crate::crossdock::plugin::types::{CallError, Column, ErrorKind, Failure};
use exports::crossdock::plugin::describe::{Description, Role};
use exports::crossdock::plugin::lifecycle::{Abilities, Atomicity, Idempotency};
use exports::crossdock::plugin::source::{Limits, More, Page, Unreadable};
use std::cell::RefCell;

#[used]
#[unsafe(link_section = "crossdock:contract")]
static CONTRACT: [u8; 5] = *b"0.1.0";

thread_local! { static MODE: RefCell<String> = const { RefCell::new(String::new()) }; }

struct Guest;

fn failure(message: &str) -> Failure {
    let code = "on-purpose".to_string();
    Failure { code, message: message.to_string(), detail: None, pointer: None, retry_after_ms: None }
}

/// Does not come back from the call that is meant.
fn loop_in(call: &str) {
    if MODE.with_borrow(|mode| mode.strip_prefix("loop-in-") == Some(call)) {
        loop {
            std::hint::black_box(());
        }
    }
}

impl exports::crossdock::plugin::describe::Guest for Guest {
    fn describe() -> Description {
        Description {
            name: "guest-source".to_string(),
            version: "0.1.0".to_string(),
            summary: "Misbehaves on purpose.".to_string(),
            role: Role::Source,
            settings_schema: "{}".to_string(),
            wants: vec![],
            max_batch: 1_000,
        }
    }
}

impl exports::crossdock::plugin::lifecycle::Guest for Guest {
    fn configure(settings: String) -> Result<Abilities, CallError> {
        MODE.set(settings.split('"').nth(3).unwrap_or("").to_string());
        Ok(Abilities {
            re_reads: true,
            pure: false,
            idempotency: Idempotency::None,
            atomicity: Atomicity::Atomic,
            compensates: false,
        })
    }

    fn check() -> Result<(), CallError> {
        loop_in("check");
        if MODE.with_borrow(|mode| !mode.is_empty() && mode != "gone-fishing") {
            return Ok(());
        }
        Err(CallError { kind: ErrorKind::Unavailable, failure: failure("gone fishing") })
    }

    fn close() {}
}

fn texts(values: impl IntoIterator<Item = String>) -> Column {
    let mut column = Column { data: vec![], offsets: vec![0] };
    for value in values {
        column.data.extend_from_slice(value.as_bytes());
        column.offsets.push(column.data.len() as u32);
    }
    column
}

/// What is found on the directories that were granted, as text.
fn look(mode: &str) -> Option<String> {
    let done = |result: std::io::Result<String>| result.map_err(|error| error.kind().to_string());
    let said = match mode {
        "read-file" => done(std::fs::read_to_string("/in/a.txt")),
        "write-file" => done(std::fs::write("/in/b.txt", "new").map(|()| "written".to_string())),
        "delete-file" => done(std::fs::remove_file("/in/a.txt").map(|()| "deleted".to_string())),
        "climb" => done(std::fs::read_to_string("/in/../secret.txt")),
        "absolute" => done(std::fs::read_to_string("/etc/passwd")),
        "link" => done(std::fs::read_to_string("/in/link.txt")),
        "link-folder" => done(std::fs::read_to_string("/in/out/secret.txt")),
        "plant-link" => {
            #[allow(deprecated)] // The one way to make one that does not depend on the system.
            let planted = done(std::fs::soft_link("../secret.txt", "/in/planted").map(|()| "planted".to_string()));
            planted.and_then(|planted| done(std::fs::read_to_string("/in/planted")).map(|read| planted + &read))
        }
        "hard-link" => {
            let linked = done(std::fs::hard_link("/in/../secret.txt", "/in/linked").map(|()| "linked".to_string()));
            linked.and_then(|linked| done(std::fs::read_to_string("/in/linked")).map(|read| linked + &read))
        }
        "rename-out" => done(std::fs::rename("/in/a.txt", "/in/../taken.txt").map(|()| "renamed".to_string())),
        "fifo" => done(std::fs::read_to_string("/in/fifo")),
        "descriptors" => {
            let mut open = vec![];
            done(loop {
                match std::fs::File::open("/in/a.txt") {
                    Ok(file) if open.len() < 100_000 => open.push(file),
                    Ok(_) => break Ok(format!("{} open", open.len())),
                    Err(error) => break Err(error),
                }
            })
        }
        "disk" => {
            let piece = vec![b'x'; 1 << 20];
            done(std::fs::File::create("/in/big").and_then(|mut file| {
                use std::io::Write as _;
                (0..64).try_for_each(|_| file.write_all(&piece)).map(|()| "64 MiB written".to_string())
            }))
        }
        "files" => done(
            (0..5_000).try_for_each(|n| std::fs::write(format!("/in/made-{n}"), "x")).map(|()| "5000 made".to_string()),
        ),
        "listing" => done(std::fs::read_dir("/in").map(|entries| format!("{} entries", entries.count()))),
        _ => return files::tried(mode),
    };
    Some(format!("{said:?}"))
}

impl exports::crossdock::plugin::source::Guest for Guest {
    fn read(checkpoint: Option<Vec<u8>>, limits: Limits) -> Result<Page, CallError> {
        loop_in("read");
        let mode = MODE.with_borrow(String::clone);
        let from: u32 = checkpoint.as_deref().map_or(0, |text| std::str::from_utf8(text).unwrap().parse().unwrap());
        let mut records = limits.max_records.min(10u32.saturating_sub(from));
        match mode.as_str() {
            "panic" => panic!("on purpose"),
            "loop" => loop {
                std::hint::black_box(());
            },
            "sleep" => std::thread::sleep(std::time::Duration::from_secs(3600)),
            "refuse" => {
                return Err(CallError { kind: ErrorKind::CheckpointRefused, failure: failure("the file has changed") });
            }
            "too-many" => records = limits.max_records + 1,
            "endless" | "empty" => records = 0,
            _ => {}
        }
        let to = from + records;
        let said = look(&mode);
        let mut page = Page {
            ids: texts((from..to).map(|n| format!("r{n}"))),
            payloads: texts((from..to).map(|n| said.clone().unwrap_or_else(|| format!("payload {n}")))),
            attributes: vec![],
            order_keys: texts([]),
            unreadable: vec![],
            checkpoint: to.to_string().into_bytes(),
            more: if to < 10 { More::More } else { More::End },
        };
        match mode.as_str() {
            "same-ids" => page.ids = texts((from..to).map(|_| "r".to_string())),
            "empty-id" => page.ids = texts((from..to).map(|n| if n == 1 { String::new() } else { n.to_string() })),
            "control-id" => page.ids = texts((from..to).map(|n| format!("r\n{n}"))),
            "long-id" => page.ids = texts((from..to).map(|n| format!("{n}{}", "r".repeat(512)))),
            "ids-missing" => page.ids = texts([]),
            "large" => page.payloads = texts((from..to).map(|_| "x".repeat(limits.max_bytes as usize))),
            "one-large" => {
                page.ids = texts(["r".to_string()]);
                page.payloads = texts(["x".repeat(limits.max_bytes as usize * 2)]);
            }
            "back" => {
                page.checkpoint = if from == 0 { to } else { 0 }.to_string().into_bytes();
                page.more = More::More;
            }
            "never-ends" => {
                page.ids = texts([format!("n{from}")]);
                page.payloads = texts(["{}".to_string()]);
                page.checkpoint = (from + 1).to_string().into_bytes();
                page.more = More::More;
            }
            "empty-forever" => {
                (page.ids, page.payloads) = (texts([]), texts([]));
                // Always another one, and always the beginning.
                page.checkpoint = vec![b'0'; checkpoint.map_or(0, |text| text.len()) % 60_000 + 1];
                page.more = More::More;
            }
            "unmoved" => page.checkpoint = from.to_string().into_bytes(),
            "large-checkpoint" => page.checkpoint = vec![b'1'; (64 << 10) + 1],
            "keys-short" => page.order_keys = texts(["k".to_string()]),
            "keys" => page.order_keys = texts((from..to).map(|n| (n % 2).to_string())),
            "unreadable" => page.unreadable.push(Unreadable { index: 1, failure: failure("line 2 does not parse") }),
            "unreadable-far" => page.unreadable.push(Unreadable { index: to - from, failure: failure("where?") }),
            "unreadable-twice" => {
                page.unreadable.extend([1, 1].map(|index| Unreadable { index, failure: failure("again") }));
            }
            _ => {}
        }
        Ok(page)
    }

    fn ack(_: Vec<u8>) -> Result<(), CallError> {
        loop_in("ack");
        Ok(())
    }
}

export!(Guest);
