//! The clock, and errors of a port that could not do its own work.

use super::PortFuture;
use crossdock_model::{ErrorClass, Explained, Timestamp};
use thiserror::Error;

/// The host's clock.
pub trait Clock: Send + Sync {
    /// What time it is.
    fn now(&self) -> Timestamp;
    /// Resolves when that time has come; at once if it has passed.
    fn sleep_until(&self, at: Timestamp) -> PortFuture<'_, ()>;
}

/// A port could not do its own work: not a plugin's failure but the host's or its surroundings'.
/// It ends the run.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{message}")]
pub struct PortError {
    /// The name of a `Code`.
    pub code: &'static str,
    /// Who can do something about it.
    pub class: ErrorClass,
    /// What was being done and what went wrong.
    pub message: String,
    /// What to do next.
    pub fix: Option<String>,
}

impl Explained for PortError {
    fn code(&self) -> &'static str {
        self.code
    }
    fn class(&self) -> ErrorClass {
        self.class
    }
    fn fix(&self) -> Option<String> {
        self.fix.clone()
    }
}
