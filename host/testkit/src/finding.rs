//! What was found: which promise of the contract was broken, how, and how to mend it.

use crate::case::Case;
use crossdock_model::{Fault, FaultKind};
use serde::Serialize;

/// A kind of finding: the promise that it breaks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Kind {
    /// The stable code; `crossdock explain CODE` says more.
    pub code: &'static str,
    /// The promise, in plain words.
    pub promise: &'static str,
    /// Where it is written: a file of `wit/`, interface and function.
    pub written: &'static str,
    /// How it is mended.
    pub hint: &'static str,
}

macro_rules! kinds {
    ($($name:ident = $code:literal, $promise:literal, $written:literal, $hint:literal;)*) => {
        $(pub(crate) const $name: Kind = Kind { code: $code, promise: $promise, written: $written, hint: $hint };)*
        /// All kinds of findings.
        pub const KINDS: &[Kind] = &[$($name),*];
    };
}

kinds! {
    LOST_RECORD = "kit-lost-record", "every record of a batch is answered, exactly once",
        "wit/plugin.wit, destination.written and transformer.transformed: handles",
        "answer for each record that was given, also where nothing is to be done";
    FORGED_HANDLE = "kit-forged-handle", "an answer names the handles of its batch and no others",
        "wit/plugin.wit, destination.written and transformer.transformed: handles",
        "hand back the handles as they came; do not count them yourself";
    BROKEN_CONTRACT = "kit-broken-contract", "an answer keeps to the form that the contract gives it",
        "wit/plugin.wit and wit/types.wit",
        "read what the host says is wrong with the answer; the kits of the languages build answers that are right";
    TRAP = "kit-trap", "what a plugin is given, it answers: a record that makes no sense is rejected",
        "wit/types.wit, failure; wit/plugin.wit, types.call-error",
        "turn the mistake into a failure of its record, or into a call-error";
    BAD_SETTINGS = "kit-bad-settings", "settings that make no sense are refused with invalid-settings",
        "wit/plugin.wit, lifecycle.configure",
        "read the settings into a type and return what is wrong with them as `invalid-settings`";
    OUT_OF_TIME = "kit-deadline-missed", "a plugin answers before its time is over, with `untouched` for what it did not begin",
        "wit/host.wit, control.remaining-ms",
        "ask `control.remaining-ms` before each request, and stop in time";
    MEMORY_GROWS = "kit-memory-grows", "an instance takes any number of batches within the memory it is given",
        "wit/types.wit, package documentation: an instance lives over many calls",
        "keep nothing in globals from one batch to the next; caches need a bound";
    DESCRIBE_DIFFERS = "kit-describe-differs", "`describe` answers the same each time, without settings",
        "wit/plugin.wit, describe.describe",
        "make the description of constants only";
    STATE_IN_GLOBALS = "kit-state-in-globals", "the host makes new instances between any two calls: globals carry nothing over",
        "wit/types.wit, package documentation",
        "keep what must survive in a checkpoint, a receipt or `state`";
    NOT_THE_SAME = "kit-not-the-same", "a pure transformer's answer depends on the batch and the settings only",
        "wit/plugin.wit, lifecycle.abilities: pure",
        "take out what depends on chance or time, or say `pure: false`";
    ORDER_MATTERS = "kit-order-matters", "a pure transformer's answer for a record does not depend on the records beside it",
        "wit/plugin.wit, lifecycle.abilities: pure; transformer.transform",
        "make of each record what it is by itself, and put outputs in the order of `handles`";
    BATCH_MATTERS = "kit-batch-matters", "the host may cut a batch into smaller ones: each record comes to the same",
        "wit/plugin.wit, lifecycle.abilities: pure; describe.description: max-batch",
        "make of each record what it is by itself";
    UNTOUCHED = "kit-untouched-not-honoured", "with stop-at-first-failure nothing is sent for records after the first that is not applied",
        "wit/plugin.wit, destination.write-options",
        "write one record after the other when it is asked for, and answer `untouched` for the rest";
    OK_ON_REFUSAL = "kit-ok-on-refusal", "`applied` means that the other system took the record",
        "wit/plugin.wit, destination.written: codes",
        "look at the status of the answer: 4xx is rejected, 5xx retryable or unknown";
    OK_WITHOUT_ANSWER = "kit-ok-without-answer", "`applied` means that the other system said so",
        "wit/plugin.wit, destination.written: codes; wit/host.wit, http.http-error",
        "answer `unknown` for a request that got no answer, and `retryable` where nothing was sent";
    CERTAIN_WITHOUT_ANSWER = "kit-certain-without-answer", "a request that was sent and got no answer may have been applied: its record is `unknown`",
        "wit/host.wit, http.http-error: no-answer; wit/plugin.wit, destination.written: codes",
        "answer `unknown`; `retryable` and `rejected` promise that nothing was applied";
    RETRY_AFTER = "kit-retry-after-ignored", "when the other system says when to come back, the failure says it too",
        "wit/types.wit, failure: retry-after-ms",
        "read the header `Retry-After` (seconds or a date) into `retry-after-ms`";
    BUSY_REJECTED = "kit-busy-rejected", "`rejected` means that a record will never be accepted as it is",
        "wit/plugin.wit, destination.written: codes",
        "answer `retryable` where the other system is busy or away: 429, 503, no connection";
    NOT_UNAUTHORIZED = "kit-401-not-unauthorized", "credentials that are refused are `unauthorized`, and no fault of the record",
        "wit/plugin.wit, destination.written: codes",
        "answer `unauthorized` for 401, so that the host stops before it fails every record";
    DOUBLE_APPLY = "kit-double-apply", "a record that is written again under the same key takes effect once",
        "wit/plugin.wit, lifecycle.idempotency; destination.write: keys",
        "send the record's key, the same at each attempt, or write so that twice is once; else say `idempotency: none`";
    UNDO_NEEDS_INSTANCE = "kit-undo-needs-instance", "a receipt holds what is needed to undo, in a fresh instance, days later",
        "wit/plugin.wit, destination.written: receipts; compensate.compensate",
        "put everything that undoing needs into the receipt or take it from the target id";
    UNDO_TWICE = "kit-undo-twice", "undoing twice is harmless",
        "wit/plugin.wit, compensate.compensate",
        "answer `unchanged` where there is nothing left to undo, for example for 404";
    PROBE_CHANGES = "kit-probe-changes", "`probe` changes nothing and says the same when asked again",
        "wit/plugin.wit, probe.probe",
        "ask with requests that only read";
    CHECKPOINT_SKIPS = "kit-checkpoint-skips", "reading on from any checkpoint gives every record after it",
        "wit/plugin.wit, source.read",
        "let the checkpoint name the last record of its page, and begin directly after it";
    CHECKPOINT_REPEATS = "kit-checkpoint-repeats", "reading on from a checkpoint gives no record from before it, and each in its order",
        "wit/plugin.wit, source.read",
        "let the checkpoint name the last record of its page, and begin directly after it";
    CHECKPOINT_STUCK = "kit-checkpoint-stuck", "a page with records, or with more behind it, moves the checkpoint",
        "wit/plugin.wit, source.page: checkpoint",
        "make the checkpoint of the page's last record";
    CHECKPOINT_TRAPS = "kit-checkpoint-traps", "a checkpoint that the source cannot use is refused with checkpoint-refused",
        "wit/types.wit, error-kind: checkpoint-refused; wit/plugin.wit, source.read",
        "read the checkpoint like something from a stranger: an older version of the plugin may have written it";
    CHECKPOINT_TAKEN = "kit-checkpoint-taken", "a checkpoint that makes no sense is refused, and not read from somewhere else",
        "wit/types.wit, error-kind: checkpoint-refused",
        "refuse with `checkpoint-refused`; only a person can decide where to go on";
    RE_READ_DIFFERS = "kit-re-read-differs", "a source that re-reads gives the same records with the same ids",
        "wit/plugin.wit, lifecycle.abilities: re-reads; source.page: ids",
        "make ids of what the origin calls the record; or say `re-reads: false`";
    SECRET_IN_TEXT = "kit-secret-in-text", "a failure holds no secrets",
        "wit/types.wit, failure: message",
        "leave values of secrets out of messages and details; use handles, and not `reveal`";
    POINTER_ASTRAY = "kit-pointer-astray", "a pointer leads to the field to blame, within the payload as it was given",
        "wit/types.wit, failure: pointer",
        "write an RFC 6901 pointer: `/lines/0/price`, with `~1` for `/` and `~0` for `~`";
}

/// Something that was found.
#[derive(Debug, Clone, Serialize)]
pub struct Finding {
    /// The stable code.
    pub code: &'static str,
    /// The promise that was broken.
    pub promise: &'static str,
    /// Where it is written.
    pub written: &'static str,
    /// What was done.
    pub done: String,
    /// What was to be expected.
    pub expected: String,
    /// What was seen.
    pub seen: String,
    /// Of a fault: what the plugin wrote last, and where it was.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// How it is mended.
    pub hint: &'static str,
    /// The name of the case that it was found with.
    pub case: String,
    /// The smallest input that shows it, as a case file.
    pub input: String,
    #[serde(skip)]
    pub(crate) smallest: Case,
}

impl Finding {
    pub(crate) fn new(
        kind: Kind,
        case: &Case,
        done: impl Into<String>,
        expected: impl Into<String>,
        seen: impl Into<String>,
    ) -> Self {
        let found = Self {
            code: kind.code,
            promise: kind.promise,
            written: kind.written,
            done: done.into(),
            expected: expected.into(),
            seen: seen.into(),
            detail: None,
            hint: kind.hint,
            case: case.name.clone(),
            input: String::new(),
            smallest: Case::default(),
        };
        found.of(case)
    }

    /// The same, shown by another case.
    pub(crate) fn of(self, case: &Case) -> Self {
        let smallest = Case { about: Some(format!("{}: {}", self.code, self.done)), ..case.clone() };
        let input = smallest.to_toml().unwrap_or_else(|error| format!("# {error}\n"));
        Self { input, smallest, ..self }
    }
}

/// Which promise a fault breaks. The sandbox says in words which rule an answer broke.
pub(crate) fn of_fault(fault: &Fault) -> Kind {
    let says = |part: &str| fault.message.contains(part);
    match fault.kind {
        FaultKind::Trap => TRAP,
        FaultKind::OutOfTime => OUT_OF_TIME,
        FaultKind::OutOfMemory => MEMORY_GROWS,
        FaultKind::BrokenContract if says("not one of this batch") || says("answered twice for handle") => {
            FORGED_HANDLE
        }
        FaultKind::BrokenContract if says(" outcomes for ") => LOST_RECORD,
        FaultKind::BrokenContract if says("after the first failure") => UNTOUCHED,
        FaultKind::BrokenContract if says("does not answer the same") => DESCRIBE_DIFFERS,
        FaultKind::BrokenContract if says("checkpoint") => CHECKPOINT_STUCK,
        FaultKind::BrokenContract => BROKEN_CONTRACT,
    }
}

/// What a play came to.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case", tag = "verdict", content = "why")]
pub enum Verdict {
    /// It was tried, and everything held.
    Held,
    /// It was tried, and something was found.
    Found,
    /// It could not be tried.
    NotTried(String),
}

/// Something that the hostile host tried.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Tried {
    /// What was tried, for people.
    pub what: &'static str,
    /// What it came to.
    #[serde(flatten)]
    pub verdict: Verdict,
}
