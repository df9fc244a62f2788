//! A plugin's "no", and the sandbox's verdict on a plugin. Both are values, not errors of ours.

use crate::StepName;
use serde::{Deserialize, Serialize};

/// Why a record, or a call, did not succeed.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct Failure {
    /// Stable and machine-readable, for example `http-422`.
    pub code: String,
    /// One line for people.
    pub message: String,
    /// Evidence: what the other system answered.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// RFC 6901 pointer to the field to blame.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pointer: Option<String>,
    /// When another attempt may be useful, in milliseconds from the failure on.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub retry_after_ms: Option<u64>,
}

impl Failure {
    /// A failure with a code and one line for people.
    pub fn new(code: impl Into<String>, message: impl Into<String>) -> Self {
        Self { code: code.into(), message: message.into(), ..Self::default() }
    }

    /// The same with evidence.
    #[must_use]
    pub fn with_detail(mut self, detail: impl Into<String>) -> Self {
        self.detail = Some(detail.into());
        self
    }
}

impl Failure {
    /// What failures of one cause have in common: 8 hexadecimal digits over the step, the code, the field to blame and
    /// the message without what differs from record to record (numbers, quoted parts, hexadecimal and mixed words).
    #[must_use]
    pub fn fingerprint(&self, step: &StepName) -> String {
        let mut hasher = blake3::Hasher::new();
        let pointer: String = self.pointer.iter().flat_map(|p| p.chars()).filter(|c| !c.is_ascii_digit()).collect();
        for part in [step.as_str(), &self.code, &pointer, &shape(&self.message)] {
            hasher.update(&(part.len() as u64).to_le_bytes());
            hasher.update(part.as_bytes());
        }
        hasher.finalize().to_hex()[..8].to_owned()
    }
}

/// A message without what differs from record to record.
fn shape(message: &str) -> String {
    let mut shape = String::with_capacity(message.len());
    let mut quote = None;
    let mut word = String::new();
    let flush = |word: &mut String, shape: &mut String| {
        // Words with a digit in them are ids, amounts, dates.
        shape.push_str(if word.chars().any(|c| c.is_ascii_digit()) { "#" } else { word });
        word.clear();
    };
    for c in message.chars() {
        match quote {
            Some(end) if c == end => {
                quote = None;
                shape.push_str("\"#\"");
            }
            Some(_) => {}
            None if matches!(c, '"' | '`' | '“') => {
                flush(&mut word, &mut shape);
                quote = Some(if c == '“' { '”' } else { c });
            }
            None if c.is_whitespace() || matches!(c, ',' | ';' | ':' | '(' | ')') => {
                flush(&mut word, &mut shape);
                shape.push(c);
            }
            None => word.push(c),
        }
    }
    flush(&mut word, &mut shape);
    shape
}

/// What kind of fault a plugin committed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum FaultKind {
    /// It panicked, or ran an instruction that stops it.
    Trap,
    /// It used up its time.
    OutOfTime,
    /// It asked for more memory than it may have.
    OutOfMemory,
    /// Its answer does not keep to the contract.
    BrokenContract,
}

impl FaultKind {
    /// The code of a failure that comes from such a fault.
    #[must_use]
    pub fn code(self) -> &'static str {
        match self {
            Self::Trap => "fault-trap",
            Self::OutOfTime => "fault-out-of-time",
            Self::OutOfMemory => "fault-out-of-memory",
            Self::BrokenContract => "fault-broken-contract",
        }
    }
}

/// The sandbox's verdict on a plugin. The instance that committed it is gone.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Fault {
    /// What kind.
    pub kind: FaultKind,
    /// One line: what happened, in which call.
    pub message: String,
    /// What the plugin wrote to stderr before, or a backtrace; bounded.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

impl Fault {
    /// A fault without detail.
    pub fn new(kind: FaultKind, message: impl Into<String>) -> Self {
        Self { kind, message: message.into(), detail: None }
    }

    /// The failure that a record suffers from this fault.
    #[must_use]
    pub fn failure(&self) -> Failure {
        Failure {
            code: self.kind.code().to_owned(),
            message: self.message.clone(),
            detail: self.detail.clone(),
            ..Failure::default()
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn fingerprint(code: &str, message: &str) -> String {
        Failure::new(code, message).fingerprint(&StepName::new("ship").unwrap())
    }

    #[track_caller]
    fn check(same: bool, a: (&str, &str), b: (&str, &str)) {
        assert_eq!(fingerprint(a.0, a.1) == fingerprint(b.0, b.1), same, "{a:?} {b:?}");
    }

    #[test]
    fn fingerprints() {
        check(true, ("http-422", "order A-17 has no stock"), ("http-422", "order B-9 has no stock"));
        check(true, ("x", "customer \"Anna\" is blocked"), ("x", "customer \"Bert Meier\" is blocked"));
        check(true, ("x", "took 17 ms (limit: 5)"), ("x", "took 9 ms (limit: 50)"));
        check(false, ("http-422", "order A-17 has no stock"), ("http-409", "order A-17 has no stock"));
        check(false, ("x", "no stock"), ("x", "no credit"));
        check(false, ("x", "an open \"quote"), ("x", "an open quote"));
        let failure = Failure::new("x", "y");
        let at = |step: &str| failure.fingerprint(&StepName::new(step).unwrap());
        assert_ne!(at("ship"), at("charge"));
    }
}
