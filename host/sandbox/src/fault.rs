//! What went wrong in a call, and whose fault it is.

use crate::bindings::types;
use crate::files::Lost;
use crate::host::{Host, HostFailed, OutOfTime};
use crate::limiter::Refused;
use crate::redact::Redactor;
use crate::text::PluginText;
use crossdock_engine::ports::{CallError, PortError, RefusalKind};
use crossdock_model::{ErrorClass, Failure, Fault, FaultKind};
use wasmtime::{Trap, WasmBacktrace};
use wasmtime_wasi::I32Exit;

/// What the contract keeps of a failure's message.
const MESSAGE_MAX_BYTES: usize = 1 << 10;
/// What the contract keeps of a failure's detail.
const DETAIL_MAX_BYTES: usize = 8 << 10;
/// The longest pointer that is kept.
const POINTER_MAX_BYTES: usize = 1 << 10;
/// The code that takes the place of one that is none.
pub(crate) const CODE_REPLACED: &str = "failure-without-code";

/// Why a call has no answer, before it is known who is to blame.
pub(crate) enum Verdict {
    /// The call did not come back in good order.
    Interrupted(wasmtime::Error),
    /// It came back with an answer that breaks this rule of the contract.
    Broken(String),
    /// The plugin said no.
    Refused(types::CallError),
}

impl From<wasmtime::Error> for Verdict {
    fn from(error: wasmtime::Error) -> Self {
        Self::Interrupted(error)
    }
}

/// A failure as a plugin wrote it, made fit to be kept. A code that does not keep to its form is replaced: what
/// became of the record is worth more than the form of its code.
pub(crate) fn failure(failure: types::Failure, redactor: &Redactor) -> Failure {
    let is_code = (1..=64).contains(&failure.code.len())
        && failure.code.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'-' | b'.'))
        && redactor.redact(&failure.code) == failure.code;
    Failure {
        code: if is_code { failure.code } else { CODE_REPLACED.to_owned() },
        message: PluginText::line(&failure.message, MESSAGE_MAX_BYTES, redactor).into_string(),
        detail: failure.detail.map(|text| PluginText::lines(&text, DETAIL_MAX_BYTES, redactor).into_string()),
        pointer: failure.pointer.map(|text| PluginText::line(&text, POINTER_MAX_BYTES, redactor).into_string()),
        retry_after_ms: failure.retry_after_ms,
    }
}

fn refusal_kind(kind: types::ErrorKind) -> RefusalKind {
    match kind {
        types::ErrorKind::InvalidSettings => RefusalKind::InvalidSettings,
        types::ErrorKind::Unauthorized => RefusalKind::Unauthorized,
        types::ErrorKind::Unavailable => RefusalKind::Unavailable,
        types::ErrorKind::CheckpointRefused => RefusalKind::CheckpointRefused,
        types::ErrorKind::NotGranted => RefusalKind::NotGranted,
        types::ErrorKind::Internal => RefusalKind::Internal,
    }
}

/// A mistake of the host's own.
pub(crate) fn internal(message: String) -> CallError {
    CallError::Host(PortError {
        code: "sandbox-internal",
        class: ErrorClass::Internal,
        message,
        fix: Some("report this, with the output of `-v`".to_owned()),
    })
}

/// What the engine is told of a call without an answer.
pub(crate) fn judge(verdict: Verdict, call: &str, host: &Host) -> CallError {
    let plugin = &host.identity.plugin;
    let redactor = &host.identity.secrets.redactor();
    match verdict {
        Verdict::Refused(refused) => {
            let mut failure = failure(refused.failure, redactor);
            explain(&mut failure.detail, host);
            CallError::Refused { kind: refusal_kind(refused.kind), failure }
        }
        Verdict::Broken(rule) => {
            let message = format!("the plugin {plugin} broke the contract in {call}: {rule}");
            let mut detail = None;
            explain(&mut detail, host);
            CallError::Fault(Fault {
                kind: FaultKind::BrokenContract,
                message: PluginText::line(&message, MESSAGE_MAX_BYTES, redactor).into_string(),
                detail,
            })
        }
        Verdict::Interrupted(error) => {
            let failed = error.downcast_ref::<HostFailed>().map(ToString::to_string);
            if let Some(failed) = failed.or_else(|| error.downcast_ref::<Lost>().map(ToString::to_string)) {
                let place = host.identity.place();
                let message = format!("the host failed during {call} of the plugin {place}: {failed}");
                return internal(PluginText::line(&message, MESSAGE_MAX_BYTES, redactor).into_string());
            }
            if host.limiter.refused() == Some(Refused::Together) {
                return none_left(call, host);
            }
            let (kind, message) = interruption(&error, call, host);
            let mut detail = detail(&error, host);
            explain(&mut detail, host);
            CallError::Fault(Fault {
                kind,
                message: PluginText::line(&message, MESSAGE_MAX_BYTES, redactor).into_string(),
                detail,
            })
        }
    }
}

/// Puts in front of what is told of a failure what the host knows of its cause, and the plugin perhaps does not: that
/// it was refused to write more, or that the disk does not answer.
pub(crate) fn explain(detail: &mut Option<String>, host: &Host) {
    let mut known: Vec<String> = host.files.used_up().map(str::to_owned).collect();
    let under_way = host.files.under_way();
    if under_way > 0 {
        known.push(format!("{under_way} operations on files in granted directories have not come back"));
    }
    if known.is_empty() {
        return;
    }
    known.extend(detail.take());
    *detail = Some(known.join("\n"));
}

/// All instances together have all the memory that there is for them: not this plugin's fault.
fn none_left(call: &str, host: &Host) -> CallError {
    let share = host.limiter.share();
    let (place, max_mib) = (host.identity.place(), share.max_bytes() >> 20);
    CallError::Host(PortError {
        code: "sandbox-memory-total",
        class: ErrorClass::Environment,
        message: format!(
            "{call} of the plugin {place} needed more memory than was left of the {max_mib} MiB that all plugins have \
             together (memory_total_max_bytes): {}",
            share.holders()
        ),
        fix: Some(
            "run fewer routes at the same time, give them smaller batches, or raise `memory_total` below [limits] in \
             crossdock.toml"
                .to_owned(),
        ),
    })
}

fn interruption(error: &wasmtime::Error, call: &str, host: &Host) -> (FaultKind, String) {
    let plugin = &host.identity.plugin;
    let limits = &host.identity.limits;
    if let Some(out_of_time) = error.downcast_ref::<OutOfTime>() {
        let limit = match out_of_time {
            OutOfTime::Cpu => format!("computed for more than {} ms (cpu_time_max_ms)", limits.cpu_time_max_ms),
            OutOfTime::Wall => format!("took more than {} ms (call_time_max_ms)", limits.call_time_max_ms),
        };
        return (FaultKind::OutOfTime, format!("the plugin {plugin} {limit} in {call}"));
    }
    if let Some(Refused::Own(wanted)) = host.limiter.refused() {
        let limit = limits.memory_max_bytes;
        let text = format!(
            "the plugin {plugin} needed {wanted} bytes of memory in {call}; it may have {limit} (memory_max_bytes)"
        );
        return (FaultKind::OutOfMemory, text);
    }
    if let Some(uncaught) = ended(error).then(|| uncaught(&captured(host))).flatten() {
        return (FaultKind::Trap, format!("the plugin {plugin} failed in {call}: {uncaught}"));
    }
    if let Some(I32Exit(code)) = error.downcast_ref::<I32Exit>() {
        return (FaultKind::Trap, format!("the plugin {plugin} ended itself with exit code {code} in {call}"));
    }
    if let Some(trap) = error.downcast_ref::<Trap>() {
        let text = match panic_message(&captured(host)) {
            Some(panic) => format!("the plugin {plugin} panicked in {call}: {panic}"),
            None => format!("the plugin {plugin} trapped in {call}: {trap}"),
        };
        return (FaultKind::Trap, text);
    }
    let cause = error.root_cause();
    let boundary = limits.boundary_max_bytes;
    let text = if cause.to_string().contains("fuel") {
        format!("the plugin {plugin} broke the contract in {call}: it handed over more than {boundary} bytes at once")
    } else {
        format!("the plugin {plugin} broke the contract in {call}: {cause}")
    };
    (FaultKind::BrokenContract, text)
}

/// Whether the plugin ended by itself, as against being stopped.
fn ended(error: &wasmtime::Error) -> bool {
    error.downcast_ref::<I32Exit>().is_some() || error.downcast_ref::<Trap>().is_some()
}

/// What an interpreted plugin did not catch, in one line: as the kit for JavaScript writes it, `Uncaught TypeError: …`, with
/// the author's own places below; or the last line of a traceback of Python's.
fn uncaught(stderr: &str) -> Option<String> {
    let line = match stderr.lines().rev().find_map(|line| line.strip_prefix("Uncaught ")) {
        Some(line) => Some(line),
        None => {
            let from = stderr.rfind("Traceback (most recent call last):\n")?;
            stderr[from..].lines().skip(1).find(|line| !line.is_empty() && !line.starts_with(' '))
        }
    };
    line.map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)
}

/// The message of a Rust panic, as the standard library writes it: the line after `panicked at`.
fn panic_message(stderr: &str) -> Option<String> {
    let at = stderr.rfind("panicked at ")?;
    stderr[at..].lines().nth(1).map(str::trim).filter(|line| !line.is_empty()).map(str::to_owned)
}

/// What the plugin wrote last, without secrets, and without a beginning that may be the rest of one.
fn captured(host: &Host) -> String {
    let redactor = host.identity.secrets.redactor();
    let (text, cut) = host.capture.text();
    whole_lines(&text, cut, &redactor)
}

fn whole_lines(text: &str, cut: bool, redactor: &Redactor) -> String {
    let whole = match text.split_once('\n') {
        _ if !cut => text,
        Some((_, lines)) => lines,
        None => &text[text.ceil_char_boundary(redactor.longest())..],
    };
    redactor.redact(whole).into_owned()
}

/// The last lines of a text.
fn tail(text: String, max_bytes: usize) -> String {
    let Some(from) = text.len().checked_sub(max_bytes) else { return text };
    let rest = String::from_utf8_lossy(&text.as_bytes()[from..]).into_owned();
    rest.split_once('\n').map_or(rest.clone(), |(_, lines)| lines.to_owned())
}

/// What the plugin wrote before, and where it was.
fn detail(error: &wasmtime::Error, host: &Host) -> Option<String> {
    let said = captured(host);
    // The places of what was not caught are the author's; those of the interpreter around it would say nothing.
    let told = ended(error) && uncaught(&said).is_some();
    let mut text = tail(said, DETAIL_MAX_BYTES / 2);
    if let Some(backtrace) = error.downcast_ref::<WasmBacktrace>().filter(|_| !told) {
        let names: Vec<_> =
            backtrace.frames().iter().filter_map(|frame| frame.func_name()).take(8).map(str::to_owned).collect();
        if !names.is_empty() {
            if !text.is_empty() && !text.ends_with('\n') {
                text.push('\n');
            }
            text.push_str("in ");
            text.push_str(&names.join(", called by "));
        }
    }
    let text = PluginText::lines(&text, DETAIL_MAX_BYTES, &host.identity.secrets.redactor());
    (!text.as_str().is_empty()).then(|| text.into_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_line_of_a_panic_is_found() {
        let stderr = "noise\n\nthread '<unnamed>' (1) panicked at src/lib.rs:3:9:\nno such thing\nnote: run with\n";
        assert_eq!(panic_message(stderr).as_deref(), Some("no such thing"));
        assert_eq!(panic_message("thread 'main' panicked at src/lib.rs:3:9:"), None);
        assert_eq!(panic_message("nothing of the kind"), None);
    }

    #[test]
    fn what_was_not_caught_is_found() {
        let check = |stderr: &str, wanted: Option<&str>| assert_eq!(uncaught(stderr).as_deref(), wanted, "{stderr}");
        check("noise\nUncaught TypeError: boom\n    at total (src/plugin.ts:12:9)\n", Some("TypeError: boom"));
        let traceback = "Traceback (most recent call last):\n  File \"plugin.py\", line 3, in transform\n    1 / 0\n\
                         ZeroDivisionError: division by zero\n";
        check(traceback, Some("ZeroDivisionError: division by zero"));
        check("Traceback (most recent call last):\n  File \"plugin.py\", line 3\n", None);
        check("Uncaught \n", None);
        check("thread 'main' panicked at src/lib.rs:3:9:\nno such thing\n", None);
    }

    #[test]
    fn a_secret_that_was_cut_at_its_beginning_leaves_no_rest() {
        let redactor = Redactor::new([("KEY", &b"canary-1"[..])]);
        let check = |text: &str, cut, expected: &str| assert_eq!(whole_lines(text, cut, &redactor), expected);
        check("canary-1 said\n", false, "[secret KEY] said\n");
        check("ary-1 said\ncanary-1\n", true, "[secret KEY]\n");
        check("ary-1 said", true, "");
        let long = format!("ary-1{}", "x".repeat(redactor.longest()));
        check(&long, true, "xxxxx");
    }

    #[test]
    fn failures_are_made_fit() {
        let redactor = Redactor::new([("KEY", &b"canary-1"[..])]);
        let written = |code: &str| types::Failure {
            code: code.to_owned(),
            message: "told canary-1\n\u{1b}[2J".to_owned(),
            detail: Some("canary-1\nsecond line".to_owned()),
            pointer: Some("/a\r".to_owned()),
            retry_after_ms: Some(5),
        };
        let check = |code: &str, expected: &str| {
            let failure = failure(written(code), &redactor);
            assert_eq!(failure.code, expected);
            assert_eq!(failure.message, "told [secret KEY]\\n\\u{1b}[2J");
            assert_eq!(failure.detail.as_deref(), Some("[secret KEY]\nsecond line"));
            assert_eq!(failure.pointer.as_deref(), Some("/a\\r"));
            assert_eq!(failure.retry_after_ms, Some(5));
        };
        check("http-422", "http-422");
        check("", CODE_REPLACED);
        check("Not A Code", CODE_REPLACED);
        check("canary-1", CODE_REPLACED);
        check(&"x".repeat(65), CODE_REPLACED);
    }
}
