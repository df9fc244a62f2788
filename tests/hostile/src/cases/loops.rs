//! Guests that do not come back, wherever they are entered.

use crate::case::{Case, LIMITS};
use crossdock::Status;
use crossdock_devkit::raw::{Put, guest};

const LOOP: &str = "(loop $again (br $again))";
const CPU: &str = "computing time of a call, looked at every tick";
const WALL: &str = "time of a call by the wall";

/// What happens for a large record only.
fn large(text: &str) -> String {
    format!("(if (i32.gt_u (i32.load (i32.const 548)) (i32.const 1000)) (then {text}))")
}

/// A case with a guest written instruction by instruction, as a step.
fn raw(name: &'static str, what: &'static str, put: Put<'static>) -> Case {
    let make = move || {
        let conditional = |text: &str| if text.is_empty() { String::new() } else { large(text) };
        let (transform, post) = (conditional(put.transform), conditional(put.post));
        Ok(guest(Put { transform: &transform, post: &post, ..put }))
    };
    Case::new(name, what, CPU).plugin(name, make).step(&format!("plugin = \"{name}\"\n{LIMITS}"))
}

/// One record is failed for computing too long.
fn computes(name: &'static str, what: &'static str, put: Put<'static>) -> Case {
    raw(name, what, put).one(Status::Failed, "fault-out-of-time").says(&["200 ms (cpu_time_max_ms)", "transform"])
}

/// A route with an honest plugin in place of the one of the case.
fn honest(case: Case) -> Case {
    let from = format!("plugin = \"{}\"", case.name);
    case.mended(&from, "plugin = \"guest-transformer\"", 8)
}

pub(super) fn cases() -> Vec<Case> {
    let drop = "(call $drop (call $thing (i32.const 7)))";
    vec![
        computes("loop-in-call", "computes without end in a call", Put { transform: LOOP, ..Put::default() }),
        computes(
            "loop-in-realloc",
            "computes without end while its memory is asked for",
            Put { realloc: LOOP, ..Put::default() },
        ),
        computes(
            "loop-in-post-return",
            "computes without end after it has answered",
            Put { post: LOOP, ..Put::default() },
        ),
        computes(
            "loop-in-destructor",
            "computes without end while a resource of its own is dropped",
            Put { transform: drop, dtor: LOOP, ..Put::default() },
        ),
        computes(
            "loop-over-an-import",
            "asks the host the time without end",
            Put { transform: "(loop $again (drop (call $now)) (br $again))", ..Put::default() },
        ),
        honest(
            raw(
                "loop-in-start",
                "computes without end while it is instantiated",
                Put { start: LOOP, ..Put::default() },
            )
            .refused("plugin-describe")
            .says(&["cpu_time_max_ms"]),
        ),
        raw("loop-in-close", "computes without end when it is thrown away", Put { close: LOOP, ..Put::default() }),
        honest(
            raw(
                "loop-in-describe",
                "computes without end when it is asked what it is",
                Put { describe: LOOP, ..Put::default() },
            )
            .refused("plugin-describe")
            .says(&["cpu_time_max_ms"]),
        ),
        Case::new("loop-in-configure", "computes without end when it is given its settings", CPU)
            .transformer("configure-loop")
            .refused("fault-out-of-time")
            .mended("\"configure-loop\"", "\"polite\"", 8),
        computes(
            "loop-over-logs",
            "logs without end",
            Put {
                transform: "(loop $again (call $log (i32.const 0) (i32.const 200) (i32.const 4)) (br $again))",
                ..Put::default()
            },
        ),
        computes(
            "loop-over-growth",
            "asks for no more memory, without end",
            Put { transform: "(loop $again (drop (memory.grow (i32.const 0))) (br $again))", ..Put::default() },
        ),
        computes(
            "loop-over-copies",
            "copies 12 MiB from here to there, without end",
            Put {
                transform: "(loop $again (memory.copy (i32.const 0) (i32.const 16) (i32.const 12000000)) (br $again))",
                ..Put::default()
            },
        ),
        raw(
            "wait-for-ever",
            "waits for a clock in the far future",
            Put { transform: "(call $block (call $pollable (i64.const 0x7000000000000000)))", ..Put::default() },
        )
        .one(Status::Failed, "fault-out-of-time")
        .says(&["call_time_max_ms"]),
        raw(
            "random-bomb",
            "asks for 4 GiB of random bytes",
            Put { transform: "(call $random (i64.const 0xffffffff) (i32.const 64))", ..Put::default() },
        )
        .one(Status::Failed, "fault-broken-contract"),
        Case::new("sleep", "sleeps for an hour", WALL)
            .transformer("poison-sleep")
            .one(Status::Failed, "fault-out-of-time")
            .says(&["1500 ms (call_time_max_ms)"]),
    ]
}
