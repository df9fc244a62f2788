//! What the host found out about the configured plugins of a route, as plain data.

use serde::{Deserialize, Serialize};
use std::fmt;

/// What a plugin does in a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Role {
    /// Brings records in.
    Source,
    /// Changes, drops or splits records.
    Transformer,
    /// Writes records to another system.
    Destination,
}

impl fmt::Display for Role {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Source => "source",
            Self::Transformer => "transformer",
            Self::Destination => "destination",
        })
    }
}

/// What helps a destination to take effect once.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Idempotency {
    /// The other system recognises the idempotency key.
    NativeKey,
    /// Writing the same record again changes nothing.
    Upsert,
    /// It can be asked afterwards.
    Probe,
    /// Nothing.
    None,
}

/// One kind of thing that a plugin cannot work without.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Want {
    /// A directory to read.
    ReadDir,
    /// A directory to write to.
    WriteDir,
    /// HTTP requests.
    Http,
}

/// What the plugin at one place of a route is and can do with the settings it was given there.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StepAbilities {
    /// What it is.
    pub role: Role,
    /// Sources: reading again from an older checkpoint gives the same records.
    pub re_reads: bool,
    /// Destinations: what helps to take effect once.
    pub idempotency: Idempotency,
    /// Destinations: what it applied can be undone.
    pub compensates: bool,
    /// Destinations: it can be asked whether a record was applied.
    pub probes: bool,
    /// What it wants granted. Secrets are not among it: whether one is needed depends on the settings,
    /// and the plugin says so itself when it is configured.
    pub wants: Vec<Want>,
}

impl StepAbilities {
    /// A plugin of this role that can do nothing special and wants nothing.
    #[must_use]
    pub fn of(role: Role) -> Self {
        Self {
            role,
            re_reads: false,
            idempotency: Idempotency::None,
            compensates: false,
            probes: false,
            wants: Vec::new(),
        }
    }
}

/// What is known of the plugins of one route. `None` for one that could not be loaded or configured: the
/// host reports that by itself, and nothing is said about that place here.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct RouteAbilities {
    /// Of the source.
    pub source: Option<StepAbilities>,
    /// Of each step, in the order of the route; steps beyond the end of the list count as `None`.
    pub steps: Vec<Option<StepAbilities>>,
    /// Of each handler, in the order of [`Route::handlers`](crate::Route::handlers); handlers beyond the end of the
    /// list count as `None`.
    pub handlers: Vec<Option<StepAbilities>>,
}
