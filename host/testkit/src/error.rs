//! Why the kit could not do its own work.

use crate::case::CaseError;
use crossdock_model::{ErrorClass, Explained};
use crossdock_sandbox::SandboxError;
use std::io;
use thiserror::Error;

/// Why the kit could not do its own work: not what it found about a plugin.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KitError {
    /// The plugin cannot be loaded, or the sandbox not be set up.
    #[error(transparent)]
    Sandbox(#[from] SandboxError),
    /// The cases cannot be used.
    #[error(transparent)]
    Case(#[from] CaseError),
    /// A folder for the plugin, or a case that was to be saved, could not be written.
    #[error("writing files for the case {case}: {source}")]
    Files {
        /// Which case.
        case: String,
        /// Why.
        source: io::Error,
    },
    /// The threads that wait for the plugin could not be started.
    #[error("starting what waits for the plugin: {0}")]
    Setup(io::Error),
}

impl KitError {
    pub(crate) fn files(case: &str, source: io::Error) -> Self {
        Self::Files { case: case.to_owned(), source }
    }
}

impl Explained for KitError {
    fn code(&self) -> &'static str {
        match self {
            Self::Sandbox(error) => error.code(),
            Self::Case(error) => error.code(),
            Self::Files { .. } => "kit-files",
            Self::Setup(_) => "kit-setup",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::Sandbox(error) => error.class(),
            Self::Case(error) => error.class(),
            Self::Files { .. } | Self::Setup(_) => ErrorClass::Environment,
        }
    }

    fn fix(&self) -> Option<String> {
        Some(match self {
            Self::Sandbox(error) => return error.fix(),
            Self::Case(error) => return error.fix(),
            Self::Files { .. } => {
                "see that there is room in the folder for temporary files, and in the one named".to_owned()
            }
            Self::Setup(_) => "check the limits of the process: threads, memory".to_owned(),
        })
    }
}
