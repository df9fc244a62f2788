//! A transformer in the sandbox, called through the port that the engine calls: the hop to the threads of plugins, what the
//! boundary costs, and the plugin's own compiled code.

use super::{BATCH, batch, orders};
use anyhow::{Result, ensure};
use crossdock_devkit::{guests, plugins};
use crossdock_engine::ports::{Clock, PortFuture, TransformerPort};
use crossdock_model::{Batch, RouteName, StepName, Timestamp};
use crossdock_sandbox::{Compiler, Instance, Sandbox, SandboxConfig};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Runtime;

/// What `map` makes of an order: some members under other names, one as a decimal, and no cancelled ones.
pub(crate) const SHAPE: &str = r#"{
    "drop_when": [{ "field": "/status", "equals": "cancelled" }],
    "fields": {
        "reference": "/order",
        "customer": "/customer/id",
        "name": "/customer/name",
        "currency": "/currency",
        "amount": { "from": "/total", "type": "decimal", "scale": 2 },
        "items": "/lines"
    }
}"#;

/// Time stands still: plugins that compute do not look at it.
struct StandingClock;

impl Clock for StandingClock {
    fn now(&self) -> Timestamp {
        super::machine::NOW
    }

    fn sleep_until(&self, _: Timestamp) -> PortFuture<'_, ()> {
        Box::pin(std::future::pending())
    }
}

/// A warm instance, and the batch that it is given again and again.
pub(crate) struct Warm {
    port: Arc<dyn TransformerPort>,
    batch: Arc<Batch>,
    runtime: Runtime,
}

/// The guest for tests, which without settings hands records on as they are.
pub(crate) fn identity() -> Result<PathBuf> {
    guests()?.path("guest-transformer")
}

/// The plugin that ships.
pub(crate) fn map() -> Result<PathBuf> {
    plugins()?.path("map")
}

impl Warm {
    /// Compiled code is kept in `cache`: compiling takes a thousand times as long as a call, and is not what is counted.
    pub(crate) fn new(plugin: &Path, settings: &str, cache: &Path) -> Result<Self> {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let config = SandboxConfig {
            compiler: Compiler::InProcess,
            cache_dir: Some(cache.to_owned()),
            threads: Some(1),
            ..SandboxConfig::new(Arc::new(StandingClock))
        };
        let instance = Instance::new(RouteName::new("guard")?, StepName::new("step")?, settings);
        let port = runtime.block_on(async {
            let plugin = Sandbox::new(config)?.load(plugin).await?;
            anyhow::Ok(plugin.transformer(instance).await?)
        })?;
        let port: Arc<dyn TransformerPort> = port;
        Ok(Self { port, batch: Arc::new(batch(&mut orders(), 0, BATCH)), runtime })
    }

    /// Has the batch transformed as often as this.
    pub(crate) fn transform(&self, times: usize) -> Result<()> {
        for _ in 0..times {
            let call = self.port.transform(Arc::clone(&self.batch));
            let (answer, _) = self.runtime.block_on(call).answered()?;
            ensure!(answer.outcomes.len() == BATCH && answer.failures.is_empty(), "it did not take all records");
        }
        Ok(())
    }
}
