//! Guests that take what they can.

use crate::case::{Case, LIMITS};
use crossdock::Status;
use crossdock_devkit::raw::{Put, guest, with_module};

const MEMORY: &str = "one limiter over all memories and tables of an instance";
const TWELVE_AND_A_HALF: &str = "limits = { cpu_time = \"200ms\", call_time = \"1500ms\", memory = \"64MiB\" }\n";

/// A case with a guest that does something for large records.
fn raw(name: &'static str, what: &'static str, control: &'static str, beside: &'static str, put: &str) -> Case {
    let put = format!("(if (i32.gt_u (i32.load (i32.const 548)) (i32.const 1000)) (then {put}))");
    let make = move || Ok(guest(Put { beside, transform: &put, ..Put::default() }));
    Case::new(name, what, control)
        .plugin(name, make)
        .step(&format!("plugin = \"{name}\"\n{TWELVE_AND_A_HALF}"))
        .memory(64)
}

/// A case with a guest that has other modules within it.
fn modules(name: &'static str, what: &'static str, control: &'static str, module: &'static str, times: u32) -> Case {
    let make = move || Ok(with_module(guest(Put::default()), module, times));
    let plugin = format!("plugin = \"{name}\"");
    Case::new(name, what, control).plugin(name, make).step(&format!("{plugin}\n{TWELVE_AND_A_HALF}")).mended(
        &plugin,
        "plugin = \"guest-transformer\"",
        8,
    )
}

/// Puts a list of so many elements at a place of the answer.
fn list(at: u32, length: u32) -> String {
    let behind = at + 4;
    format!("(i32.store (i32.const {at}) (i32.const 65536)) (i32.store (i32.const {behind}) (i32.const {length}))")
}

pub(super) fn cases() -> Vec<Case> {
    let fuel = "boundary fuel of 8 MiB";
    let grow = "(if (i32.eq (memory.grow (i32.const 2000)) (i32.const -1)) (then (unreachable)))";
    let table = "(if (i32.eq (table.grow $t (ref.null func) (i32.const 9000000)) (i32.const -1)) (then (unreachable)))";
    vec![
        Case::new("memory-bit-by-bit", "takes memory a MiB at a time", MEMORY)
            .transformer("poison-memory")
            .one(Status::Failed, "fault-out-of-memory")
            .says(&["memory_max_bytes"]),
        raw("memory-at-once", "takes 125 MiB of memory at once", MEMORY, "", grow)
            .one(Status::Failed, "fault-out-of-memory"),
        raw("tables", "lets a table grow to 9 million entries", MEMORY, "(table $t 1 funcref)", table)
            .one(Status::Failed, "fault-out-of-memory"),
        modules("many-memories", "has 20 modules with 20 MiB each", MEMORY, "(module (memory 320))", 20)
            .refused("plugin-describe")
            .says(&["memory_max_bytes"]),
        modules("many-instances", "instantiates 900 modules", "count of instances of a store", "(module)", 900)
            .refused("plugin-describe")
            .says(&["instance"]),
        raw(
            "pollables",
            "asks for pollables without end",
            "256 resources of the system an instance",
            "",
            "(loop $again (drop (call $pollable (i64.const 1))) (br $again))",
        )
        .one(Status::Failed, "fault-broken-contract")
        .says(&["resource"]),
        raw(
            "handles",
            "makes resources of its own without end",
            "1,024 handles an instance",
            "",
            "(loop $again (drop (call $thing (i32.const 1))) (br $again))",
        )
        .one(Status::Failed, "fault-broken-contract")
        .says(&["handle"]),
        raw("long-list", "answers with 12 million codes", fuel, "", &list(528, 12_000_000))
            .one(Status::Failed, "fault-broken-contract")
            .says(&["more than 8388608 bytes at once"]),
        raw("impossible-list", "answers with a list of 4 GiB", "bounds of its memory", "", &list(528, u32::MAX))
            .one(Status::Failed, "fault-broken-contract"),
        raw("many-failures", "answers with 150,000 failures for one record", fuel, "", &list(568, 150_000))
            .one(Status::Failed, "fault-broken-contract")
            .says(&["more than 8388608 bytes at once"]),
        Case::new("recursion", "calls itself without end", "1 MiB of stack")
            .transformer("poison-recursion")
            .one(Status::Failed, "fault-trap")
            .says(&["stack"]),
        Case::new("log-flood", "logs 20,000 messages in a call", "1,000 messages or 256 KiB a call, and a rate")
            .transformer("log-flood"),
        Case::new(
            "stderr-flood",
            "writes 2,000 coloured lines to stderr and panics",
            "64 KiB a call are kept, escaped",
        )
        .transformer("poison-stderr")
        .one(Status::Failed, "fault-trap")
        .says(&["after much noise"]),
        Case::new("metrics-flood", "counts under 20,000 names", "64 names a plugin").transformer("metrics-flood"),
        Case::new("state-flood", "fills its state until it is refused", "1 MiB of state a step")
            .transformer("state-limits")
            .head("batch = { records = 100 }"),
        Case::new("error-string", "fails with a message of 6 MiB", "boundary fuel; a message keeps 1 KiB")
            .transformer("poison-long-message")
            .records(4, vec![(4, Status::Rejected, "on-purpose")])
            .also(|site| {
                let longest = site.records().iter().filter_map(|record| record.message.as_ref()).map(String::len).max();
                anyhow::ensure!(longest.is_some_and(|longest| longest <= 2 << 10), "it keeps {longest:?} bytes");
                Ok(())
            }),
        Case::new("many-details", "rejects each of 1,000 records with 100 KB of evidence", "a detail keeps 8 KiB")
            .lines((0..1_000).map(|n| format!("{{\"n\":{n}}}")).collect())
            .head("batch = { records = 50 }")
            .step(&format!("plugin = \"guest-transformer\"\nsettings = {{ misbehave = \"reject-all\" }}\n{LIMITS}"))
            .records(0, vec![(1_000, Status::Rejected, "on-purpose")])
            .mended("reject-all", "polite", 4)
            .memory(64),
    ]
}
