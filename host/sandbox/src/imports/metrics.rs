//! Numbers of plugins, into the trace of the call.

use crate::bindings::imports::metrics;
use crate::host::Host;

/// Names of one instance.
const NAMES_MAX: usize = 64;
/// Bytes of one name.
const NAME_MAX_BYTES: usize = 64;

impl Host {
    fn takes_metric(&mut self, name: &str) -> bool {
        let is_name = (1..=NAME_MAX_BYTES).contains(&name.len())
            && name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
        let is_known = self.metric_names.contains(name);
        let is_name = is_name && (is_known || self.identity.secrets.redactor().held_by(name.as_bytes()).is_none());
        if !is_name || (!is_known && self.metric_names.len() >= NAMES_MAX) {
            self.call.metrics_left_out += 1;
            return false;
        }
        if !is_known {
            self.metric_names.insert(name.to_owned());
        }
        true
    }
}

impl metrics::Host for Host {
    async fn count(&mut self, name: String, delta: u64) -> wasmtime::Result<()> {
        self.give_way().await;
        if self.takes_metric(&name) {
            let sum = self.call.counted.entry(name).or_default();
            *sum = sum.saturating_add(delta);
        }
        Ok(())
    }

    async fn gauge(&mut self, name: String, value: f64) -> wasmtime::Result<()> {
        self.give_way().await;
        if self.takes_metric(&name) {
            self.call.gauged.insert(name, value);
        }
        Ok(())
    }
}
