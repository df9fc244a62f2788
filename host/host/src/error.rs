//! The one error of the façade.

use crate::secrets::{clean, serialize_clean};
use crossdock_engine::ports::PortError;
use crossdock_ledger::LedgerError;
use crossdock_model::{ErrorClass, Explained};
use crossdock_route::Mistakes;
use serde::Serialize;
use std::fmt;

/// The host could not do what it was asked. Holds no secret that was read when it was made. What plugins say of records is never an error but a status.
#[derive(Debug, Clone, Serialize)]
pub struct Error {
    code: String,
    #[serde(skip)]
    class: ErrorClass,
    message: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    fix: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none", serialize_with = "serialize_clean")]
    mistakes: Option<Box<Mistakes>>,
}

impl Error {
    pub(crate) fn new(code: &str, class: ErrorClass, message: impl Into<String>, fix: impl Into<String>) -> Self {
        let (message, fix) = (clean(message.into()), Some(clean(fix.into())));
        Self { code: code.to_owned(), class, message, fix, mistakes: None }
    }

    pub(crate) fn explained(error: &impl Explained) -> Self {
        Self {
            code: error.code().to_owned(),
            class: error.class(),
            message: clean(error.to_string()),
            fix: error.fix().map(clean),
            mistakes: None,
        }
    }

    /// The stable name of what went wrong; [`explain`](crate::explain) has a page for it.
    #[must_use]
    pub fn code(&self) -> &str {
        &self.code
    }

    /// Who can do something about it.
    #[must_use]
    pub fn class(&self) -> ErrorClass {
        self.class
    }

    /// What to do next.
    #[must_use]
    pub fn fix(&self) -> Option<&str> {
        self.fix.as_deref()
    }

    /// The mistakes of a route or project file, each with line, caret and fix, as text for people.
    #[must_use]
    pub fn render_mistakes(&self, color: bool) -> Option<String> {
        self.mistakes.as_ref().map(|mistakes| clean(mistakes.render(color)))
    }
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.message)
    }
}

impl std::error::Error for Error {}

impl From<Mistakes> for Error {
    fn from(mistakes: Mistakes) -> Self {
        let mut error = Self::explained(&mistakes);
        error.mistakes = Some(Box::new(mistakes));
        error
    }
}

impl From<PortError> for Error {
    fn from(error: PortError) -> Self {
        Self::explained(&error)
    }
}

impl From<LedgerError> for Error {
    fn from(error: LedgerError) -> Self {
        Self::explained(&error)
    }
}
