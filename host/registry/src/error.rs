//! What can go wrong on the way to a plugin that is elsewhere.

use crossdock_model::{ErrorClass, Explained};
use thiserror::Error;

/// A plugin could not be fetched or pushed. Holds no credentials, and no address beyond host and path: the rest may be
/// credentials.
#[derive(Debug, Error)]
#[error("{doing}: {problem}")]
pub struct RegistryError {
    /// What was being done, and with what.
    pub doing: String,
    /// What went wrong.
    pub problem: Problem,
}

/// What goes wrong with servers.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum Problem {
    /// The server does not have it.
    #[error("{host} does not have it: {said}")]
    NotFound {
        /// The server.
        host: String,
        /// What it said.
        said: String,
    },
    /// The server does not let us.
    #[error("{host} does not allow it {}: {said}", if *known { "with these credentials" } else { "without credentials" })]
    Unauthorized {
        /// The server.
        host: String,
        /// Whether there are credentials for it.
        known: bool,
        /// What it said.
        said: String,
    },
    /// The server was not reached, or stopped answering.
    #[error("{host} {reason}")]
    Unreachable {
        /// The server.
        host: String,
        /// How far it went.
        reason: String,
    },
    /// The server answered with something that it should not.
    #[error("{host} answered {reason}")]
    Answer {
        /// The server.
        host: String,
        /// What it answered.
        reason: String,
    },
    /// The server wants us to go where we do not go.
    #[error("{host} redirects to {to}: {reason}")]
    Redirect {
        /// The server.
        host: String,
        /// Where to.
        to: String,
        /// Why not.
        reason: &'static str,
    },
    /// The server would be spoken to without TLS.
    #[error("{host} would be spoken to without TLS, so that anybody in between can change and read what is sent")]
    PlainHttp {
        /// The server.
        host: String,
    },
    /// It is another file.
    #[error("it is another file than the one that is wanted: wanted is {expected}, found was {found}")]
    Digest {
        /// The digest that is wanted.
        expected: String,
        /// The digest that it has.
        found: String,
    },
    /// It is larger than what is taken.
    #[error("it has {}, and at most {max_bytes} bytes are taken", found_bytes.map_or("more bytes than it said".to_owned(), |n| format!("{n} bytes")))]
    TooLarge {
        /// How large it says it is; `None`, if it was found to be larger than it had said.
        found_bytes: Option<u64>,
        /// The most bytes.
        max_bytes: u64,
    },
    /// Something else than a plugin has this reference.
    #[error("it is not a plugin: {found}")]
    NotAPlugin {
        /// What it is.
        found: String,
    },
    /// The client could not be made.
    #[error("{reason}")]
    Setup {
        /// What it lacks.
        reason: String,
    },
}

impl Problem {
    /// With what was being done.
    pub(crate) fn when(self, doing: impl Into<String>) -> RegistryError {
        RegistryError { doing: doing.into(), problem: self }
    }
}

impl Explained for RegistryError {
    fn code(&self) -> &'static str {
        match self.problem {
            Problem::NotFound { .. } => "registry-not-found",
            Problem::Unauthorized { .. } => "registry-unauthorized",
            Problem::Unreachable { .. } => "registry-unreachable",
            Problem::Answer { .. } => "registry-answer",
            Problem::Redirect { .. } => "registry-redirect",
            Problem::PlainHttp { .. } => "registry-plain-http",
            Problem::Digest { .. } => "registry-digest",
            Problem::TooLarge { .. } => "registry-too-large",
            Problem::NotAPlugin { .. } => "registry-not-a-plugin",
            Problem::Setup { .. } => "registry-setup",
        }
    }

    fn class(&self) -> ErrorClass {
        match self.problem {
            Problem::NotFound { .. }
            | Problem::Unauthorized { .. }
            | Problem::PlainHttp { .. }
            | Problem::Digest { .. }
            | Problem::TooLarge { .. }
            | Problem::NotAPlugin { .. } => ErrorClass::InvalidInput,
            Problem::Unreachable { .. } | Problem::Answer { .. } | Problem::Redirect { .. } | Problem::Setup { .. } => {
                ErrorClass::Environment
            }
        }
    }

    fn fix(&self) -> Option<String> {
        Some(match &self.problem {
            Problem::NotFound { .. } => {
                "check the reference, and that it was pushed; private plugins are not found without credentials".to_owned()
            }
            Problem::Unauthorized { host, known: false, .. } => format!(
                "give credentials: `docker login {host}`, or user and password under [registries.\"{host}\"] of the \
                 project file"
            ),
            Problem::Unauthorized { host, known: true, .. } => {
                format!("check what these credentials may do at {host}, and that they have not expired")
            }
            Problem::Unreachable { .. } => {
                "check the network and the name; what was fetched before is used without a network".to_owned()
            }
            Problem::Answer { .. } => "try again later; if it stays so, ask whoever runs the server".to_owned(),
            Problem::Redirect { .. } => "ask whoever runs the server, or name the address itself".to_owned(),
            Problem::PlainHttp { host } => format!(
                "use https; or write plain_http = true under [registries.\"{host}\"] of the project file, if the network \
                 in between is trusted"
            ),
            Problem::Digest { .. } => {
                "find out who changed it; if it is wanted, look at it with `crossdock plugin approve NAME`, or write its \
                 digest into the project file"
                    .to_owned()
            }
            Problem::TooLarge { .. } => "ask the author for a plugin without debug information".to_owned(),
            Problem::NotAPlugin { .. } => {
                "check the reference: it must be one that `crossdock plugin push` or `wkg` has pushed".to_owned()
            }
            Problem::Setup { .. } => {
                "check the certificates of this machine and those under [network] of the project file".to_owned()
            }
        })
    }
}
