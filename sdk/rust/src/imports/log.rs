//! Messages for the person who runs the route.
//!
//! They go to the host's trace output with route, step and plugin attached. Beyond 1,000 messages or
//! 256 KiB a call the rest is counted and left out; one message keeps 4 KiB.

#[cfg(not(target_arch = "wasm32"))]
use super::fake as host;
#[cfg(target_arch = "wasm32")]
use crate::bindings::base::crossdock::plugin::log as host;

pub use super::kinds::Level;

/// Writes one message.
pub fn write(level: Level, message: impl AsRef<str>) {
    #[cfg(target_arch = "wasm32")]
    let level = match level {
        Level::Trace => host::Level::Trace,
        Level::Debug => host::Level::Debug,
        Level::Info => host::Level::Info,
        Level::Warn => host::Level::Warn,
        Level::Error => host::Level::Error,
    };
    host::write(level, message.as_ref());
}

/// Writes one message of level trace.
pub fn trace(message: impl AsRef<str>) {
    write(Level::Trace, message);
}

/// Writes one message of level debug.
pub fn debug(message: impl AsRef<str>) {
    write(Level::Debug, message);
}

/// Writes one message of level info.
pub fn info(message: impl AsRef<str>) {
    write(Level::Info, message);
}

/// Writes one message of level warn.
pub fn warn(message: impl AsRef<str>) {
    write(Level::Warn, message);
}

/// Writes one message of level error.
pub fn error(message: impl AsRef<str>) {
    write(Level::Error, message);
}
