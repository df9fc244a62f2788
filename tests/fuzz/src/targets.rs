//! The targets.

mod elsewhere;
#[cfg(feature = "sandbox")]
mod guests;
#[cfg(feature = "sandbox")]
mod imports;
mod ledger;
mod plugins;
#[cfg(feature = "sandbox")]
mod raw;
mod rest;
mod route;
#[cfg(feature = "sandbox")]
mod texts;

use crate::Target;

/// Those that need no wasmtime.
pub const LIGHT: &[Target] = &[
    route::ROUTE,
    route::PROJECT,
    ledger::STORED,
    ledger::CURSOR,
    plugins::TEXT_SOURCE,
    plugins::HTTP_SOURCE,
    plugins::HTTP_DESTINATION,
    plugins::MAP,
    rest::POINTER,
    rest::RETRY_AFTER,
    elsewhere::REGISTRY,
];

/// Those that need the sandbox.
#[cfg(feature = "sandbox")]
pub const SANDBOX: &[Target] =
    &[texts::TEXTS, imports::IMPORTS, raw::TRANSFORMED, raw::PAGE, raw::WRITTEN, raw::UNDONE, raw::PROBED];

/// Texts in an input, apart by lines of three dashes: a seed is then something that people can read.
fn parts(bytes: &[u8]) -> Vec<&[u8]> {
    const BETWEEN: &[u8] = b"\n---\n";
    let mut parts = Vec::new();
    let mut rest = bytes;
    while let Some(at) = rest.windows(BETWEEN.len()).position(|window| window == BETWEEN) {
        parts.push(&rest[..at]);
        rest = &rest[at + BETWEEN.len()..];
    }
    parts.push(rest);
    parts
}
