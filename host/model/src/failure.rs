//! A plugin's "no", and the sandbox's verdict on a plugin. Both are values, not errors of ours.

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
