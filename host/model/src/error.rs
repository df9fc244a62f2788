//! What every error of every crate can say about itself.

/// A stable error code and its page: cause, what to check, what to do. Each crate lists its own
/// in `CODES`; `crossdock explain NAME` prints the page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Code {
    /// Words of `a-z 0-9` joined by hyphens, for example `route-unknown-key`. Never reused.
    pub name: &'static str,
    /// Markdown. The first line is a heading with one sentence.
    pub page: &'static str,
}

/// Who can do something about an error; decides the exit code of the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// A mistake of ours. Exit code 1.
    Internal,
    /// What was given cannot work as it is: a file, a setting, an argument. Exit code 2.
    InvalidInput,
    /// Something outside is not there or does not answer. Exit code 3.
    Environment,
    /// A person has to decide. Exit code 5.
    NeedsOperator,
}

impl ErrorClass {
    /// The exit code of the command line for errors of this class.
    #[must_use]
    pub fn exit_code(self) -> u8 {
        match self {
            Self::Internal => 1,
            Self::InvalidInput => 2,
            Self::Environment => 3,
            Self::NeedsOperator => 5,
        }
    }
}

/// An error for the person who must act. `Display` says what was being done and what went wrong where.
pub trait Explained: std::error::Error {
    /// The name of its [`Code`].
    fn code(&self) -> &'static str;
    /// Who can do something about it.
    fn class(&self) -> ErrorClass;
    /// What to do next, in one sentence.
    fn fix(&self) -> Option<String>;
}
