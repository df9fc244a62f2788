//! Names and identities.

use crate::HandlerKind;
use serde::{Deserialize, Serialize};
use std::fmt;
use thiserror::Error;

/// Why a text is not a name.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{what} must be 1 to 64 characters of a-z, 0-9 and -, starting with a letter; got {found:?}")]
pub struct InvalidName {
    /// What kind of name was wanted.
    pub what: &'static str,
    /// What was given.
    pub found: String,
}

fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.starts_with(|c: char| c.is_ascii_lowercase())
        && text.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
}

/// A step's name, or that of a handler: `ship.on_failure`.
fn is_stored_step(text: &str) -> bool {
    match text.split_once('.') {
        Some((step, kind)) => is_name(step) && HandlerKind::from_word(kind).is_some(),
        None => is_name(text),
    }
}

macro_rules! name {
    ($(#[$doc:meta])* $name:ident, $what:literal, stored: $stored:path) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// A name of 1 to 64 characters of `a-z`, `0-9` and `-` that starts with a letter.
            ///
            /// # Errors
            /// When the text is not such a name.
            pub fn new(text: impl Into<String>) -> Result<Self, InvalidName> {
                let found = text.into();
                if is_name(&found) { Ok(Self(found)) } else { Err(InvalidName { what: $what, found }) }
            }

            /// The name as text.
            #[must_use]
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }

        impl TryFrom<String> for $name {
            type Error = InvalidName;
            fn try_from(found: String) -> Result<Self, InvalidName> {
                if $stored(&found) { Ok(Self(found)) } else { Err(InvalidName { what: $what, found }) }
            }
        }

        impl From<$name> for String {
            fn from(name: $name) -> Self {
                name.0
            }
        }
    };
}

name!(
    /// The name of a route.
    RouteName,
    "a route's name",
    stored: is_name
);
name!(
    /// The name of a step within its route. The source is called `source`. Where it is read back from a store, it may
    /// also be that of a handler, see [`HandlerPlace::name`](crate::HandlerPlace::name).
    StepName,
    "a step's name",
    stored: is_stored_step
);
name!(
    /// The name under which a project knows a plugin.
    PluginName,
    "a plugin's name",
    stored: is_name
);

impl StepName {
    /// The name under which the source of a route appears where a step is named.
    #[must_use]
    pub fn source() -> Self {
        Self("source".to_owned())
    }

    /// The name of a handler of this step.
    pub(crate) fn of_handler(step: &str, kind: HandlerKind) -> Self {
        Self(format!("{step}.{kind}"))
    }
}

/// One execution of a route. Given by the host's `Ids` port; sorts by time.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RunId(pub String);

impl fmt::Display for RunId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The stable identity of a record at its origin, within its route.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct RecordId(pub String);

impl RecordId {
    /// The most bytes a record id may have.
    pub const MAX_BYTES: usize = 512;
}

impl fmt::Display for RecordId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
