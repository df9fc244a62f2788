//! What handlers are attached to.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a handler is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum HandlerKind {
    /// A step went well for a record.
    OnSuccess,
    /// A step gave a record up: it is failed or rejected there.
    OnFailure,
    /// What a step had applied for a record was undone.
    OnRollback,
    /// A run ended, and every record in it is fine.
    OnRunOk,
    /// A run ended otherwise.
    OnRunFailed,
}

impl HandlerKind {
    /// All of them.
    pub const ALL: &'static [Self] =
        &[Self::OnSuccess, Self::OnFailure, Self::OnRollback, Self::OnRunOk, Self::OnRunFailed];

    /// The word for it, the same in route files, messages and stored tasks.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::OnSuccess => "on_success",
            Self::OnFailure => "on_failure",
            Self::OnRollback => "on_rollback",
            Self::OnRunOk => "on_run_ok",
            Self::OnRunFailed => "on_run_failed",
        }
    }

    /// The kind with this word.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.iter().copied().find(|kind| kind.as_str() == word)
    }
}

impl fmt::Display for HandlerKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.as_str())
    }
}
