//! Messages of plugins, into the host's trace output.

use crate::bindings::imports::log::{self, Level};
use crate::host::{Host, Identity};
use crate::text::PluginText;

/// Messages of one call.
const MESSAGES_MAX: u32 = 1_000;
/// Bytes of all messages of one call.
const BYTES_MAX: usize = 256 << 10;
/// Bytes of one message.
const MESSAGE_MAX_BYTES: usize = 4 << 10;

impl log::Host for Host {
    async fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.give_way().await;
        let call = &mut self.call;
        let bytes = call.log_bytes.saturating_add(message.len().min(MESSAGE_MAX_BYTES));
        if call.log_messages >= MESSAGES_MAX || bytes > BYTES_MAX {
            call.log_left_out += 1;
            return Ok(());
        }
        call.log_messages += 1;
        call.log_bytes = bytes;
        let Identity { route, step, plugin, secrets, .. } = &*self.identity;
        let text = PluginText::line(&message, MESSAGE_MAX_BYTES, &secrets.redactor());
        match level {
            Level::Trace => tracing::trace!(target: "crossdock::plugin", %route, %step, %plugin, "{text}"),
            Level::Debug => tracing::debug!(target: "crossdock::plugin", %route, %step, %plugin, "{text}"),
            Level::Info => tracing::info!(target: "crossdock::plugin", %route, %step, %plugin, "{text}"),
            Level::Warn => tracing::warn!(target: "crossdock::plugin", %route, %step, %plugin, "{text}"),
            Level::Error => tracing::error!(target: "crossdock::plugin", %route, %step, %plugin, "{text}"),
        }
        Ok(())
    }
}
