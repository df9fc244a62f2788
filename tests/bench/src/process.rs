//! What a process took, from its start to its end, as the system counted it.

use serde::{Deserialize, Serialize};
use std::io::{self, Read as _};
use std::os::unix::process::ExitStatusExt as _;
use std::process::{Command, ExitStatus, Stdio};
use std::time::Instant;

/// What a process took.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct Spent {
    /// Seconds from its start to its end.
    pub wall_s: f64,
    /// Seconds of CPU, in the program and in the system for it, of all its threads and of the processes that it waited
    /// for.
    pub cpu_s: f64,
    /// The most memory that it, or one of the processes that it waited for, had resident, in KiB. Never less than what
    /// the process that started it had had resident until then: Linux counts from before the program was loaded.
    pub peak_kib: u64,
}

/// How a process ended.
#[derive(Debug)]
pub struct Ended {
    /// As it said itself.
    pub status: ExitStatus,
    /// What it wrote to its standard output.
    pub stdout: Vec<u8>,
    /// What it took.
    pub spent: Spent,
}

/// Runs a program to its end. It reads nothing; its errors go where ours go.
///
/// # Errors
/// It cannot be started, or the system does not say what it took.
pub fn run_measured(command: &mut Command) -> io::Result<Ended> {
    command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::inherit());
    let begun = Instant::now();
    let mut child = command.spawn()?;
    let mut stdout = Vec::new();
    if let Some(mut pipe) = child.stdout.take() {
        pipe.read_to_end(&mut stdout)?;
    }
    let (status, usage) = wait(child.id())?;
    let wall_s = begun.elapsed().as_secs_f64();
    let seconds = |time: libc::timeval| time.tv_sec as f64 + time.tv_usec as f64 / 1e6;
    let cpu_s = seconds(usage.ru_utime) + seconds(usage.ru_stime);
    let peak_kib = u64::try_from(usage.ru_maxrss).unwrap_or(0);
    Ok(Ended { status, stdout, spent: Spent { wall_s, cpu_s, peak_kib } })
}

/// Waits for the end of a child and learns what it took, which the standard library does not tell.
#[allow(unsafe_code)]
fn wait(process: u32) -> io::Result<(ExitStatus, libc::rusage)> {
    let process = libc::pid_t::try_from(process).map_err(io::Error::other)?;
    let mut status = 0;
    // SAFETY: `rusage` is made of integers, for which zero is a value.
    let mut usage: libc::rusage = unsafe { std::mem::zeroed() };
    loop {
        // SAFETY: both pointers are to locals that outlive the call. The child is ours and nobody else waits for it:
        // `Child` waits only when it is asked to.
        if unsafe { libc::wait4(process, &raw mut status, 0, &raw mut usage) } == process {
            return Ok((ExitStatus::from_raw(status), usage));
        }
        let error = io::Error::last_os_error();
        if error.kind() != io::ErrorKind::Interrupted {
            return Err(error);
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn shell(script: &str) -> Ended {
        run_measured(Command::new("sh").args(["-c", script])).unwrap()
    }

    #[test]
    fn what_a_process_says_and_how_it_ends() {
        let check = |script: &str, code, said: &str| {
            let ended = shell(script);
            assert_eq!((ended.status.code(), ended.stdout.as_slice()), (code, said.as_bytes()), "{script}");
            assert!(ended.spent.wall_s > 0.0 && ended.spent.peak_kib > 0, "{script}: {:?}", ended.spent);
        };
        check("echo moved", Some(0), "moved\n");
        check("exit 3", Some(3), "");
        check("kill -9 $$", None, "");
        assert!(run_measured(&mut Command::new("/no/such/program")).is_err());
    }

    #[test]
    fn what_its_children_take_is_counted() {
        let little = shell("true").spent;
        let much = shell("sh -c 'i=0; while [ $i -lt 300000 ]; do i=$((i+1)); done'; true").spent;
        assert!(much.cpu_s > little.cpu_s * 5.0, "{little:?} and {much:?}");
    }
}
