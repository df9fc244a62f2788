//! What the compile child takes from itself before it looks at a plugin: memory, time, files, the network, other
//! processes.

use rustix::process::{Resource, Rlimit, nice, setrlimit};
use std::io;

/// How far the child steps back behind others, of 19.
const NICE: i32 = 10;

/// How much of the machine the child may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Bounds {
    /// All addresses of the process, its own code included.
    pub(crate) memory_max_bytes: u64,
    pub(crate) cpu_time_max_s: u64,
}

/// Takes from this process, for the rest of its life, everything that compiling does not need. It must have a single
/// thread. Afterwards it can read what it has open as number 0, write to what it has open as 1 and 2, compute, and
/// end.
///
/// # Errors
/// When the machine does not allow it: then nothing must be compiled.
pub(crate) fn enter(bounds: Bounds) -> io::Result<()> {
    // Whoever computes already goes first. A machine that knows no such order compiles as quickly without.
    let _ = nice(NICE);
    let limit = |current, maximum| Rlimit { current: Some(current), maximum: Some(maximum) };
    let cpu_s = bounds.cpu_time_max_s;
    setrlimit(Resource::Core, limit(0, 0))?;
    // The first is a signal that says what happened, the second one ends what ignores it.
    setrlimit(Resource::Cpu, limit(cpu_s, cpu_s.saturating_add(1)))?;
    setrlimit(Resource::As, limit(bounds.memory_max_bytes, bounds.memory_max_bytes))?;
    // No file can grow, and nothing be opened beside the three that are open.
    setrlimit(Resource::Fsize, limit(0, 0))?;
    setrlimit(Resource::Nofile, limit(3, 3))?;
    confine()
}

/// Refuses every call of the system but those that compiling needs. Without this a compiler that was tricked into
/// running a plugin's code could reach whatever the host's user can.
#[cfg(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64")))]
fn confine() -> io::Result<()> {
    use rustix::process::{Pid, getpid};
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    };

    /// What a program needs to compute, to have memory, and to end.
    const ALLOWED: &[libc::c_long] = &[
        libc::SYS_brk,
        libc::SYS_clock_gettime,
        libc::SYS_exit,
        libc::SYS_exit_group,
        libc::SYS_futex,
        libc::SYS_getpid,
        libc::SYS_getrandom,
        libc::SYS_gettid,
        libc::SYS_madvise,
        libc::SYS_mprotect,
        libc::SYS_mremap,
        libc::SYS_munmap,
        libc::SYS_restart_syscall,
        libc::SYS_rt_sigaction,
        libc::SYS_rt_sigprocmask,
        libc::SYS_rt_sigreturn,
        libc::SYS_sched_yield,
        libc::SYS_sigaltstack,
    ];
    /// The input, the output, and where errors go.
    const READ: &[u64] = &[0];
    const WRITTEN: &[u64] = &[1, 2];

    let failed = |error: seccompiler::BackendError| io::Error::other(error.to_string());
    let when = |argument: u8, value: u64| {
        let condition = SeccompCondition::new(argument, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, value);
        condition.and_then(|condition| SeccompRule::new(vec![condition])).map_err(failed)
    };
    let files = |numbers: &[u64]| numbers.iter().map(|number| when(0, *number)).collect::<io::Result<Vec<_>>>();
    let itself = u64::try_from(Pid::as_raw(Some(getpid()))).map_err(io::Error::other)?;
    // Memory that belongs to no file: the anonymous kind, whose number of a file is -1.
    let no_file = vec![when(4, u64::from(u32::MAX))?];
    let some = [
        (libc::SYS_read, files(READ)?),
        (libc::SYS_write, files(WRITTEN)?),
        (libc::SYS_writev, files(WRITTEN)?),
        (libc::SYS_mmap, no_file),
        // With which a process ends itself when it is out of memory or panics twice.
        (libc::SYS_tgkill, vec![when(0, itself)?]),
    ];
    let rules = ALLOWED.iter().map(|call| (*call, Vec::new())).chain(some);
    let refuse = SeccompAction::Errno(u32::try_from(libc::EPERM).map_err(io::Error::other)?);
    let architecture = std::env::consts::ARCH.try_into().map_err(failed)?;
    let rules = rules.collect();
    let filter = SeccompFilter::new(rules, refuse, SeccompAction::Allow, architecture).map_err(failed)?;
    let program = BpfProgram::try_from(filter).map_err(failed)?;
    seccompiler::apply_filter(&program).map_err(|error| io::Error::other(error.to_string()))
}

/// Elsewhere the limits above are all there is: no file and no socket can be opened, because of their number.
#[cfg(not(all(target_os = "linux", any(target_arch = "x86_64", target_arch = "aarch64", target_arch = "riscv64"))))]
fn confine() -> io::Result<()> {
    Ok(())
}

#[cfg(all(test, target_os = "linux"))]
#[allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::disallowed_methods,
    clippy::disallowed_types
)]
mod tests {
    use super::*;
    use std::process::Command;

    /// What is tried within the jail, and by whom it is stopped.
    type Attempt = (&'static str, fn() -> io::Result<()>);

    const ATTEMPTS: &[Attempt] = &[
        ("open a file", || std::fs::File::open("/etc/passwd").map(drop)),
        ("make a file", || std::fs::write("/tmp/crossdock-jail", "x")),
        ("list a folder", || std::fs::read_dir("/").map(drop)),
        ("connect", || std::net::TcpStream::connect("127.0.0.1:1").map(drop)),
        ("listen", || std::net::TcpListener::bind("127.0.0.1:0").map(drop)),
        ("start a process", || Command::new("/bin/true").status().map(drop)),
        ("start a thread", || std::thread::Builder::new().spawn(|| {}).map(drop)),
        ("signal another process", || Ok(rustix::process::test_kill_process(rustix::process::Pid::INIT)?)),
        ("lift a limit", || {
            let limit = Rlimit { current: Some(1 << 40), maximum: Some(1 << 40) };
            Ok(setrlimit(Resource::As, limit)?)
        }),
    ];

    /// Runs in a process of its own, because there is no way out of the jail.
    #[test]
    #[ignore = "started by the test below"]
    fn within() {
        enter(Bounds { memory_max_bytes: 1 << 30, cpu_time_max_s: 10 }).unwrap();
        for (what, attempt) in ATTEMPTS {
            let answer = match attempt() {
                Ok(()) => "can".to_owned(),
                Err(error) => format!("{:?}", error.kind()),
            };
            println!("{what}: {answer};");
        }
        // What it is there for is still possible.
        let memory = vec![1_u8; 64 << 20];
        println!("compute: {};", memory.iter().map(|b| u64::from(*b)).sum::<u64>());
        println!("too much: {};", Vec::<u8>::new().try_reserve(2 << 30).is_err());
    }

    #[test]
    fn nothing_but_computing_is_left() {
        let this = std::env::current_exe().unwrap();
        let arguments = ["--exact", "jail::tests::within", "--ignored", "--nocapture", "--test-threads=1"];
        let told = Command::new(this).args(arguments).output().unwrap();
        let told = String::from_utf8_lossy(&told.stdout).into_owned();
        for (what, _) in ATTEMPTS {
            assert!(told.contains(&format!("{what}: PermissionDenied;")), "{what}: {told}");
        }
        assert!(told.contains("compute: 67108864;"), "{told}");
        assert!(told.contains("too much: true;"), "{told}");
    }
}
