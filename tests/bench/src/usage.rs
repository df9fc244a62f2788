//! What work took: time that passed, and time that processors spent.

use rustix::time::{ClockId, clock_gettime};
use std::time::{Duration, Instant};

/// A point from which to measure.
#[derive(Debug, Clone, Copy)]
pub struct Usage {
    wall: Instant,
    cpu: Duration,
}

impl Usage {
    /// Measures from here.
    #[must_use]
    pub fn begin() -> Self {
        Self { wall: Instant::now(), cpu: cpu() }
    }

    /// Since then: the time that passed, and the CPU time of all threads of this process, those that have ended
    /// included.
    #[must_use]
    pub fn end(self) -> (Duration, Duration) {
        (self.wall.elapsed(), cpu().saturating_sub(self.cpu))
    }
}

fn cpu() -> Duration {
    let spent = clock_gettime(ClockId::ProcessCPUTime);
    Duration::new(u64::try_from(spent.tv_sec).unwrap_or(0), u32::try_from(spent.tv_nsec).unwrap_or(0))
}

/// The most memory that this process has had resident so far, in KiB, where the system says it.
#[must_use]
pub fn peak_memory_kib() -> Option<u64> {
    let status = std::fs::read_to_string("/proc/self/status").ok()?;
    peak_in(&status)
}

fn peak_in(status: &str) -> Option<u64> {
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn peaks_are_read() {
        let check = |status: &str, expected| assert_eq!(peak_in(status), expected);
        check("Name:\tx\nVmHWM:\t   10240 kB\nVmRSS:\t 5 kB\n", Some(10_240));
        check("Name:\tx\n", None);
        check("VmHWM:\t many kB\n", None);
    }

    #[test]
    fn work_takes_cpu_time_and_both_clocks_go_forward() {
        let begun = Usage::begin();
        let sum = (0..3_000_000_u64).fold(0_u64, |sum, n| std::hint::black_box(sum ^ n));
        let (wall, cpu) = begun.end();
        assert!(std::hint::black_box(sum) < u64::MAX && !wall.is_zero() && !cpu.is_zero());
    }
}
