//! The cases, by what they attack.

mod answers;
mod artefacts;
mod bombs;
mod files;
mod loops;
mod requests;
mod sources;
pub mod texts;
mod together;
mod undo;

use crate::case::Case;
use anyhow::Result;
use crossdock_devkit::HostileServer;
use std::sync::Arc;

/// What cases find beside the host.
#[derive(Debug, Default)]
pub struct World {
    /// A server that misbehaves; none where cases are only listed.
    pub server: Option<Arc<HostileServer>>,
}

impl World {
    /// Starts what is there for all cases.
    ///
    /// # Errors
    /// No port of loopback is to be had.
    pub fn start() -> Result<Self> {
        Ok(Self { server: Some(Arc::new(HostileServer::start()?)) })
    }
}

/// All cases. Their plugins are made when they are needed.
#[must_use]
pub fn cases() -> Vec<Case> {
    [
        loops::cases(),
        bombs::cases(),
        answers::cases(),
        sources::cases(),
        undo::cases(),
        files::cases(),
        requests::cases(),
        together::cases(),
        artefacts::cases(),
        texts::cases(),
    ]
    .into_iter()
    .flatten()
    .collect()
}
