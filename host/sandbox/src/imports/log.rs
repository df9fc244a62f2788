//! Messages of plugins, into the host's trace output.

use crate::bindings::imports::log::{self, Level};
use crate::host::{Host, Identity};
use crate::text::PluginText;
use std::sync::PoisonError;
use tokio::time::Instant;

/// Messages of one call.
const MESSAGES_MAX: u32 = 1_000;
/// Bytes of all messages of one call.
const BYTES_MAX: usize = 256 << 10;
/// Bytes of one message.
const MESSAGE_MAX_BYTES: usize = 4 << 10;

/// Does something with a level as tracing wants it: known when this is compiled.
macro_rules! at_level {
    ($level:expr, $with:ident!($($rest:tt)*)) => {
        match $level {
            Level::Trace => tracing::$with!(target: "crossdock::plugin", tracing::Level::TRACE, $($rest)*),
            Level::Debug => tracing::$with!(target: "crossdock::plugin", tracing::Level::DEBUG, $($rest)*),
            Level::Info => tracing::$with!(target: "crossdock::plugin", tracing::Level::INFO, $($rest)*),
            Level::Warn => tracing::$with!(target: "crossdock::plugin", tracing::Level::WARN, $($rest)*),
            Level::Error => tracing::$with!(target: "crossdock::plugin", tracing::Level::ERROR, $($rest)*),
        }
    };
}

impl Host {
    /// Whether the limits of the call and of the instance let a message of so many bytes pass.
    fn takes_message(&mut self, bytes: usize) -> bool {
        let call = &mut self.call;
        let bytes = bytes.min(MESSAGE_MAX_BYTES);
        let all = call.log_bytes.saturating_add(bytes);
        if call.log_messages >= MESSAGES_MAX || all > BYTES_MAX {
            return false;
        }
        if !self.identity.log.lock().unwrap_or_else(PoisonError::into_inner).takes(bytes, Instant::now()) {
            return false;
        }
        call.log_messages += 1;
        call.log_bytes = all;
        true
    }
}

impl log::Host for Host {
    async fn write(&mut self, level: Level, message: String) -> wasmtime::Result<()> {
        self.give_way().await;
        // What nobody listens to costs nothing more and is not missing.
        if !at_level!(level, enabled!()) {
            return Ok(());
        }
        if !self.takes_message(message.len()) {
            self.call.log_left_out += 1;
            return Ok(());
        }
        let Identity { route, step, plugin, secrets, .. } = &*self.identity;
        let text = PluginText::line(&message, MESSAGE_MAX_BYTES, &secrets.redactor());
        at_level!(level, event!(%route, %step, %plugin, "{text}"));
        Ok(())
    }
}
