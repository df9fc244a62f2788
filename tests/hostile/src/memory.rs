//! How much memory this process has, as the system says it.

use anyhow::{Context as _, Result};

/// Lets the peak begin anew at what is resident now, and answers with it, in bytes.
///
/// # Errors
/// The system does not say.
pub(crate) fn begin() -> Result<u64> {
    std::fs::write("/proc/self/clear_refs", "5").context("letting the peak of memory begin anew")?;
    resident("VmRSS:")
}

/// The most that was resident since, in bytes.
///
/// # Errors
/// The system does not say.
pub(crate) fn peak() -> Result<u64> {
    resident("VmHWM:")
}

fn resident(what: &str) -> Result<u64> {
    let status = std::fs::read_to_string("/proc/self/status").context("reading how much memory there is")?;
    let line = status.lines().find_map(|line| line.strip_prefix(what));
    let kib = line.and_then(|line| line.trim().strip_suffix(" kB")).and_then(|kib| kib.parse::<u64>().ok());
    Ok(kib.with_context(|| format!("the system does not say {what}"))? << 10)
}
