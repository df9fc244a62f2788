//! The settings as written in a route, and as they are meant.

use crossdock_sdk::{CallError, Failure};
use schemars::JsonSchema;
use serde::Deserialize;
use std::path::PathBuf;

/// Which file is written, and what a line of it is.
#[derive(Debug, Clone, Deserialize, JsonSchema)]
#[serde(deny_unknown_fields)]
pub struct Settings {
    /// The file, as the plugin sees it: an absolute path within a directory that is granted for writing, for
    /// example `/out/orders.ndjson`. It is made if it is not there; its directory is not.
    pub file: String,
    /// What a line is.
    #[serde(default)]
    pub lines: Lines,
    /// With `lines = "envelope"`: the most records the file may hold. Their keys are kept in memory, at most 40 bytes
    /// each.
    #[serde(default = "default_max_keys")]
    #[schemars(range(min = 1))]
    pub max_keys: u32,
}

/// What a line is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Lines {
    /// A JSON object of idempotency key, id and record: what is there already is not written twice, and can be
    /// undone.
    #[default]
    Envelope,
    /// The payload and nothing else: the file can hold a record twice after a crash, and nothing can be undone.
    Payload,
}

fn default_max_keys() -> u32 {
    2_000_000
}

/// Settings that make sense.
#[derive(Debug)]
pub(crate) struct Plan {
    pub(crate) path: PathBuf,
    pub(crate) lines: Lines,
    pub(crate) max_keys: usize,
}

impl Settings {
    /// Checks what a schema cannot say.
    pub(crate) fn plan(self) -> Result<Plan, CallError> {
        if !self.file.starts_with('/') || self.file.ends_with('/') {
            let text = format!(
                "`file` must be the absolute path of a file as the route grants its directory, for example \
                 /out/orders.ndjson, not `{}`",
                self.file
            );
            return Err(CallError::invalid_settings(Failure::new("invalid-settings", text).pointer("/file")));
        }
        Ok(Plan { path: self.file.into(), lines: self.lines, max_keys: self.max_keys.max(1) as usize })
    }
}
