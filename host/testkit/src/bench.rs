//! Where plugins are tried out: one sandbox, its clock, and whoever answers requests at the moment.

use crate::clock::{BEGINNING, SetClock};
use crate::request::{Reply, Seen};
use crossdock_sandbox::{
    Answering, Compiler, GivenAnswer, OutgoingRequest, Plugin, Sandbox, SandboxConfig, SandboxError,
};
use std::future::Future;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex, PoisonError};

/// Who answers requests: a script of exchanges, or a system that is thought of.
pub(crate) trait Service: Send + Sync {
    fn reply(&self, request: &Seen) -> Reply;
}

/// Hands requests to whoever answers at the moment.
#[derive(Default)]
struct Switch(Mutex<Option<Arc<dyn Service>>>);

impl Answering for Switch {
    fn answer(&self, request: OutgoingRequest) -> Pin<Box<dyn Future<Output = GivenAnswer> + Send + '_>> {
        let service = self.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let OutgoingRequest { method, url, headers, body } = request;
        let reply = service.map(|service| service.reply(&Seen { method, url, headers, body }));
        Box::pin(async move {
            match reply {
                Some(Reply::Answer { status, headers, body }) => GivenAnswer::Answer { status, headers, body },
                Some(Reply::NotConnected) => GivenAnswer::NotConnected("connection refused".to_owned()),
                Some(Reply::NoAnswer) => {
                    GivenAnswer::NoAnswer("the connection was closed before the answer".to_owned())
                }
                Some(Reply::TooLarge(status)) => GivenAnswer::TooLarge(status),
                Some(Reply::Silence) => std::future::pending().await,
                None => GivenAnswer::NotConnected("nobody answers".to_owned()),
            }
        })
    }
}

/// One sandbox with its clock. One case at a time is on it.
pub(crate) struct Bench {
    sandbox: Sandbox,
    pub(crate) clock: Arc<SetClock>,
    switch: Arc<Switch>,
}

impl Bench {
    pub(crate) fn new(compiler: Compiler, cache_dir: Option<PathBuf>) -> Result<Self, SandboxError> {
        let clock = Arc::new(SetClock::new(BEGINNING));
        let switch = Arc::new(Switch::default());
        let config = SandboxConfig {
            compiler,
            cache_dir,
            answering: Some(switch.clone()),
            // One instance computes at a time.
            threads: Some(1),
            ..SandboxConfig::new(clock.clone())
        };
        Ok(Self { sandbox: Sandbox::new(config)?, clock, switch })
    }

    pub(crate) async fn load(&self, path: &Path) -> Result<Plugin, SandboxError> {
        self.sandbox.load(path).await
    }

    /// From now on this one answers.
    pub(crate) fn answered_by(&self, service: Arc<dyn Service>) {
        *self.switch.0.lock().unwrap_or_else(PoisonError::into_inner) = Some(service);
    }
}
