//! A transformer that misbehaves as its settings say.
//!
//! **Does**: hands records on as they are, or breaks the rule that `misbehave` names.
//! **May touch**: whatever its grants let it, and it tries what they do not.
//! **Never**: leaves this repository; it is for tests only.

wit_bindgen::generate!({ path: "../../../wit", world: "transformer-plugin" });

use crate::crossdock::plugin::types::{Attribute, CallError, Column, ErrorKind, Failure, RecordFailure};
use crate::crossdock::plugin::{control, log, metrics, secrets, state};
use exports::crossdock::plugin::describe::{Description, Role};
use exports::crossdock::plugin::lifecycle::{Abilities, Atomicity, Idempotency};
use exports::crossdock::plugin::transformer::{Batch, Transformed};
use std::cell::RefCell;

include!("../../leaks.rs");

#[used]
#[unsafe(link_section = "crossdock:contract")]
static CONTRACT: [u8; 5] = *b"0.1.0";

thread_local! { static MODE: RefCell<String> = const { RefCell::new(String::new()) }; }

thread_local! { static REMEMBERED: RefCell<String> = const { RefCell::new(String::new()) }; }

struct Guest;

/// The value of the secret TOKEN, if it may be seen.
fn seen_secret() -> String {
    let revealed = secrets::open("TOKEN").and_then(secrets::reveal);
    revealed.map_or_else(|error| format!("{error:?}"), |value| String::from_utf8_lossy(&value).into_owned())
}

fn failure(message: &str) -> Failure {
    let code = "on-purpose".to_string();
    Failure { code, message: message.to_string(), detail: None, pointer: None, retry_after_ms: None }
}

/// The text of `{"misbehave": "..."}`.
fn mode_of(settings: &str) -> String {
    settings.split('"').nth(3).unwrap_or("").to_string()
}

impl exports::crossdock::plugin::describe::Guest for Guest {
    fn describe() -> Description {
        Description {
            name: "guest-transformer".to_string(),
            version: "0.1.0".to_string(),
            summary: "Misbehaves on purpose.".to_string(),
            role: Role::Transformer,
            settings_schema: "{}".to_string(),
            wants: vec![],
            max_batch: 10_000,
        }
    }
}

impl exports::crossdock::plugin::lifecycle::Guest for Guest {
    fn configure(settings: String) -> Result<Abilities, CallError> {
        let mode = mode_of(&settings);
        match mode.as_str() {
            "configure-loop" => loop {
                std::hint::black_box(());
            },
            "configure-panic" => panic!("no settings please me"),
            "configure-refuse" => {
                return Err(CallError { kind: ErrorKind::InvalidSettings, failure: failure("not these settings") });
            }
            _ => {}
        }
        let lies = mode == "lies-of-probe";
        let compensates = mode == "lies-of-compensate";
        MODE.set(mode);
        Ok(Abilities {
            re_reads: false,
            pure: true,
            idempotency: if lies { Idempotency::Probe } else { Idempotency::None },
            atomicity: Atomicity::Atomic,
            compensates,
        })
    }

    fn check() -> Result<(), CallError> {
        Ok(())
    }

    fn close() {}
}

fn deeper(n: u64) -> u64 {
    if n == u64::MAX { n } else { std::hint::black_box(deeper(std::hint::black_box(n + 1))) + 1 }
}

fn texts(values: impl IntoIterator<Item = String>) -> Column {
    let mut column = Column { data: vec![], offsets: vec![0] };
    for value in values {
        column.data.extend_from_slice(value.as_bytes());
        column.offsets.push(column.data.len() as u32);
    }
    column
}

fn value(column: &Column, index: usize) -> &[u8] {
    &column.data[column.offsets[index] as usize..column.offsets[index + 1] as usize]
}

fn refuse(message: &str) -> Result<Transformed, CallError> {
    Err(CallError { kind: ErrorKind::Internal, failure: failure(message) })
}

/// With `poison-` in front, only batches misbehave in which a payload has the word poison in it.
fn only_if_poisoned(mode: String, batch: &Batch) -> String {
    let Some(mode) = mode.strip_prefix("poison-") else { return mode };
    let poisoned = |index| value(&batch.payloads, index).windows(6).any(|word| word == b"poison");
    if (0..batch.handles.len()).any(poisoned) { mode.to_string() } else { String::new() }
}

/// Does not come back in good order.
fn fall(mode: &str, batch: &Batch) {
    match mode {
        "panic" => panic!("on purpose"),
        "poison" if (0..batch.handles.len()).any(|i| value(&batch.payloads, i) == b"poison") => panic!("poisoned"),
        "loop" => loop {
            std::hint::black_box(0);
        },
        "sleep" => std::thread::sleep(std::time::Duration::from_secs(3600)),
        "recursion" => {
            deeper(0);
        }
        "exit" => std::process::exit(1),
        "leak-panic" => panic!("the secret is {}", seen_secret()),
        "remember-fall"
            if (0..batch.handles.len()).any(|i| value(&batch.payloads, i).windows(6).any(|w| w == b"poison")) =>
        {
            REMEMBERED.set("what a record gave before it fell".to_string());
            panic!("remembering");
        }
        "exit0" => std::process::exit(0),
        "memory" => {
            let mut hoard: Vec<Vec<u8>> = vec![];
            loop {
                hoard.push(vec![1; 1 << 20]);
            }
        }
        "stderr" => {
            for _ in 0..2_000 {
                eprintln!("noise \u{1b}[31m noise noise noise noise noise noise noise");
            }
            panic!("after much noise");
        }
        _ => {}
    }
}

/// Answers that break a rule.
fn broken(mode: &str, answer: &mut Transformed) {
    match mode {
        "too-few" => {
            answer.handles.pop();
            answer.codes.pop();
        }
        "too-many" => {
            answer.handles.push(7);
            answer.codes.push(0);
        }
        "codes-missing" => drop(answer.codes.pop()),
        "twice" => answer.handles[1] = answer.handles[0],
        "forged" => answer.handles[0] = answer.handles[0].wrapping_add(1_000_000),
        "yesterday" => answer.handles = (1..=answer.handles.len() as u32).collect(),
        "unknown-code" => answer.codes[0] = 99,
        "destination-code" => answer.codes[0] = 6,
        "failure-missing" => {
            answer.codes.fill(3);
            answer.payloads = texts([]);
        }
        "failure-extra" => {
            answer.failures.push(RecordFailure { handle: answer.handles[0], failure: failure("for nothing") });
        }
        "offsets-descend" => answer.payloads.offsets.swap(0, 1),
        "offsets-missing" => answer.payloads.offsets.clear(),
        "offsets-far" => *answer.payloads.offsets.last_mut().unwrap() = u32::MAX,
        "payloads-missing" => answer.payloads = texts([]),
        "outputs-zero" => answer.outputs = vec![0; answer.handles.len()],
        "split-bomb" => {
            answer.outputs = vec![1_500_000 / answer.handles.len() as u32; answer.handles.len()];
            answer.payloads =
                Column { data: vec![], offsets: vec![0; 1_500_000 / answer.handles.len() * answer.handles.len() + 1] };
        }
        "outputs-overflow" => answer.outputs = vec![u32::MAX; answer.handles.len()],
        "forge-host" => {
            let forged = || texts(answer.handles.iter().map(|_| "forged".to_string()));
            let names = ["steps.step0.target_id", "event.kind", "own"];
            let attribute = |name: &str| Attribute { name: name.to_string(), values: forged() };
            answer.attributes = names.map(attribute).into();
        }
        "retry-for-ever" => {
            answer.codes.fill(4);
            answer.payloads = texts([]);
            let mut failure = failure("come back at the end of time");
            failure.retry_after_ms = Some(u64::MAX);
            let handles = answer.handles.iter();
            answer.failures = handles.map(|&handle| RecordFailure { handle, failure: failure.clone() }).collect();
        }
        "inflate" => answer.payloads = texts(answer.handles.iter().map(|_| format!("\"{}\"", "x".repeat(1_800_000)))),
        "attribute-short" => answer.attributes = vec![Attribute { name: "a".to_string(), values: texts([]) }],
        "large" => answer.payloads.data = vec![0; 4 << 20],
        _ => {}
    }
}

/// Legal answers that are not the usual one.
fn legal(mode: &str, batch: &Batch, answer: &mut Transformed) {
    let records = batch.handles.len();
    match mode {
        "reversed" => {
            answer.handles.reverse();
            answer.payloads =
                texts((0..records).rev().map(|i| format!("{}!", String::from_utf8_lossy(value(&batch.payloads, i)))));
        }
        "split" => {
            answer.outputs = vec![2; records];
            answer.payloads = texts((0..records * 2).map(|i| format!("part {i}")));
        }
        "split-reversed" => {
            answer.handles.reverse();
            answer.outputs = (1..=records as u32).collect();
            answer.payloads = texts((0..records).flat_map(|i| (0..=i).map(move |part| format!("{i}.{part}"))));
        }
        "reject-all" => {
            answer.codes = vec![3; records];
            answer.payloads = texts([]);
            answer.failures = batch
                .handles
                .iter()
                .rev()
                .map(|&handle| {
                    let mut failure = failure("an \u{1b}[31mANSI\u{1b}[0m\nmessage");
                    failure.detail = Some("x".repeat(100_000));
                    RecordFailure { handle, failure }
                })
                .collect();
        }
        "leak" => {
            let reveal = |name: &&str| secrets::reveal(secrets::open(name).ok()?).ok();
            let known = ["TOKEN", "PASSWORD", "KEY", "QUOTED"].iter().filter_map(reveal);
            let all = known.flat_map(|value| forms(&String::from_utf8(value).unwrap())).map(|(_, text)| text);
            let all = all.collect::<Vec<_>>().join("\n");
            let payload = |index| format!("{}\n{all}", String::from_utf8_lossy(value(&batch.payloads, index)));
            answer.payloads = texts((0..records).map(payload));
            let values = texts((0..records).map(|_| all.clone()));
            answer.attributes = vec![Attribute { name: "leaked".to_string(), values }];
        }
        "leak-message" | "nasty-message" => {
            answer.codes = vec![3; records];
            answer.payloads = texts([]);
            let said = if mode == "leak-message" {
                format!("the secret is {}", seen_secret())
            } else {
                "=cmd|' /C calc'!A0\u{1b}[2J\u{1b}[31m\r\nERROR forged line\u{202e}gpj.exe\u{0}<script>alert(1)</script>".to_string()
            };
            let mut failure = failure(&said);
            failure.code = if mode == "leak-message" { said.clone() } else { "=1+1".to_string() };
            (failure.detail, failure.pointer) = (Some(said.clone()), Some(said));
            let handles = batch.handles.iter();
            answer.failures = handles.map(|&handle| RecordFailure { handle, failure: failure.clone() }).collect();
        }
        "long-message" => {
            answer.codes = vec![3; records];
            answer.payloads = texts([]);
            let failure = failure(&"long \u{202e}".repeat((6 << 20) / 8 / records));
            let handles = batch.handles.iter();
            answer.failures = handles.map(|&handle| RecordFailure { handle, failure: failure.clone() }).collect();
        }
        "drop-all" => {
            answer.codes = vec![2; records];
            answer.payloads = texts([]);
        }
        _ => {}
    }
}

/// Uses what the host offers, and answers with what came of it in place of each payload.
fn with_host(mode: &str) -> Option<String> {
    let said = match mode {
        "state-count" | "state-panic" => {
            let before = state::get("count").map_or(0, |bytes| bytes[0]);
            state::set("count", &[before + 1]).unwrap();
            if mode == "state-panic" {
                panic!("after writing state");
            }
            format!("{}", state::get("count").unwrap()[0])
        }
        "state-limits" => {
            let long_key = state::set(&"k".repeat(257), &[]);
            let long_value = state::set("k", &vec![0; (64 << 10) + 1]);
            let mut full = 0;
            while state::set(&format!("k{full}"), &vec![0; 64 << 10]).is_ok() {
                full += 1;
            }
            state::delete("k0");
            let again = state::set("again", &vec![0; 64 << 10]);
            format!("{long_key:?} {long_value:?} {full} {again:?}")
        }
        "secret" => {
            let granted = secrets::open("TOKEN");
            let shown = granted.map(secrets::reveal);
            eprintln!("{shown:?}");
            format!("{granted:?} {shown:?} {:?} {:?}", secrets::open("OTHER"), secrets::reveal(99))
        }
        "log" => {
            for n in 0..2_000 {
                log::write(log::Level::Warn, &format!("message {n}\n\u{1b}[31m"));
            }
            "logged".to_string()
        }
        "state-mark" => {
            state::set("count", b"mark of somebody").unwrap();
            "marked".to_string()
        }
        "state-peek" => format!("{:?}", state::get("count").map(|bytes| String::from_utf8_lossy(&bytes).into_owned())),
        "remember-fall" => format!("remembered {:?}", REMEMBERED.take()),
        "remember" => {
            let before = REMEMBERED.take();
            REMEMBERED.set("what somebody else gave".to_string());
            format!("remembered {before:?}")
        }
        "stdin" => {
            use std::io::Read as _;
            let mut text = String::new();
            format!("{:?} {text:?}", std::io::stdin().read_to_string(&mut text).map_err(|error| error.kind()))
        }
        "leak-log" => {
            let secret = seen_secret();
            log::write(log::Level::Error, &format!("the secret is {secret}"));
            eprintln!("the secret is {secret}");
            metrics::count(&secret, 1);
            "leaked".to_string()
        }
        "log-flood" => {
            for n in 0..20_000 {
                log::write(log::Level::Error, &format!("flood {n} {}", "x".repeat(100)));
            }
            "logged".to_string()
        }
        "metrics-flood" => {
            for n in 0..20_000 {
                metrics::count(&format!("c{n}"), 1);
            }
            "counted".to_string()
        }
        "metrics" => {
            for n in 0..70 {
                metrics::count(&format!("c{n}"), 2);
                metrics::count(&format!("c{n}"), 3);
            }
            metrics::count("Not A Name", 1);
            metrics::gauge("c0", 1.5);
            "counted".to_string()
        }
        "control" => {
            let wall = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_millis();
            let left = control::remaining_ms();
            format!("{} {wall} {} {}", control::now_ms(), left > 0 && left <= 30_000, control::cancelled())
        }
        "environment" => {
            let (vars, args) = (std::env::vars().count(), std::env::args().count());
            format!("{vars} {args} {:?}", std::fs::read_dir("/").is_err())
        }
        _ => return None,
    };
    Some(said)
}

impl exports::crossdock::plugin::transformer::Guest for Guest {
    fn transform(batch: Batch) -> Result<Transformed, CallError> {
        let mut mode = only_if_poisoned(MODE.with_borrow(String::clone), &batch);
        if value(&batch.payloads, 0) == b"rest" {
            // For once it behaves.
            mode.clear();
        }
        fall(&mode, &batch);
        if mode == "refuse" {
            return refuse("not today");
        }
        if mode == "refuse-after-state" {
            state::set("count", &[200]).unwrap();
            return refuse("not today");
        }
        let records = batch.handles.len();
        let mut answer = Transformed {
            handles: batch.handles.clone(),
            codes: vec![0; records],
            outputs: vec![],
            payloads: Column { data: batch.payloads.data.clone(), offsets: batch.payloads.offsets.clone() },
            attributes: vec![],
            failures: vec![],
        };
        if mode == "attributes" {
            let seen =
                batch.attributes.iter().map(|a| format!("{}={}", a.name, String::from_utf8_lossy(value(&a.values, 0))));
            let seen = seen.collect::<Vec<_>>().join(" ");
            answer.payloads = texts((0..records).map(|_| seen.clone()));
        }
        if let Some(said) = with_host(&mode) {
            answer.payloads = texts((0..records).map(|_| said.clone()));
        }
        legal(&mode, &batch, &mut answer);
        broken(&mode, &mut answer);
        Ok(answer)
    }
}

export!(Guest);
