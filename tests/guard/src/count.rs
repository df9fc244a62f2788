//! Counting: a path is walked under valgrind, few times and many times.

use crate::HotPath;
use anyhow::{Context as _, Result, bail, ensure};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// The program that counts.
pub const VALGRIND: &str = "valgrind";

/// Counts for one program: the one whose `walk` walks the paths.
#[derive(Debug)]
pub struct Counter {
    program: PathBuf,
    folder: PathBuf,
}

impl Counter {
    /// Whether counts here can be compared with those that are written down: valgrind is there, and the machine is of the
    /// kind they were taken on. If not, why.
    ///
    /// # Errors
    /// Why not.
    pub fn is_possible() -> Result<()> {
        ensure!(cfg!(all(target_arch = "x86_64", target_os = "linux")), "counts are those of x86-64 Linux");
        let version = Command::new(VALGRIND).arg("--version").stdin(Stdio::null()).stderr(Stdio::null()).output();
        let works = version.is_ok_and(|output| output.status.success());
        ensure!(works, "{VALGRIND} is not installed; on Debian: apt-get install {VALGRIND}");
        Ok(())
    }

    /// Counts for this program; `folder` is where it may leave things, for the next count too.
    #[must_use]
    pub fn new(program: PathBuf, folder: PathBuf) -> Self {
        Self { program, folder }
    }

    /// How many instructions the path takes for a record.
    ///
    /// # Errors
    /// When a walk does not succeed.
    pub fn count(&self, path: HotPath) -> Result<u64> {
        let (few, many) = path.walks();
        let plugin = path.plugin()?;
        if plugin.is_some() {
            // What it compiles is found by the others: for the machine that valgrind shows, which is not the real one.
            self.walk(path, few, plugin.as_deref(), "--tool=none")?;
        }
        let counted = |batches: usize, name: &str| {
            let out = self.profile(path, name);
            self.walk(path, batches, plugin.as_deref(), &format!("--callgrind-out-file={}", out.display()))?;
            total(&out)
        };
        let (few_took, many_took) = (counted(few, "few")?, counted(many, "many")?);
        let records = u64::try_from((many - few) * path.records())?;
        let more = many_took.checked_sub(few_took).context("many batches took less than few")?;
        Ok((more + records / 2) / records)
    }

    /// What `callgrind_annotate` shows: where the instructions of the longer walk went.
    #[must_use]
    pub fn profile_of(&self, path: HotPath) -> PathBuf {
        self.profile(path, "many")
    }

    fn profile(&self, path: HotPath, walk: &str) -> PathBuf {
        self.folder.join(format!("{}-{walk}.callgrind", path.name()))
    }

    fn walk(&self, path: HotPath, batches: usize, plugin: Option<&Path>, how: &str) -> Result<()> {
        let mut command = Command::new(&self.program);
        command.args(["count", how, "walk", path.name(), &batches.to_string()]).arg(&self.folder).args(plugin);
        let output = command.stdin(Stdio::null()).output().with_context(|| self.program.display().to_string())?;
        if !output.status.success() {
            let said = String::from_utf8_lossy(&output.stderr);
            bail!("walking {} under {VALGRIND} ended with {}: {said}", path.name(), output.status);
        }
        Ok(())
    }
}

/// The sum of all instructions in what callgrind wrote.
fn total(file: &Path) -> Result<u64> {
    let text = std::fs::read_to_string(file).with_context(|| format!("reading {}", file.display()))?;
    let total = text.lines().find_map(|line| line.strip_prefix("totals: "));
    total.and_then(|total| total.trim().parse().ok()).with_context(|| format!("{} has no totals", file.display()))
}

/// Has this process, and what it becomes, told nothing when it asks the kernel for its auxiliary vector with `prctl`: it
/// then reads the file in `/proc`, which valgrind has an answer of its own for. The kernel's own answer (rustix asks, since
/// Linux 6.4 knows it) tells of a page that valgrind has taken away, and reading that one ends the process.
///
/// # Errors
/// When the system does not allow it.
#[cfg(target_os = "linux")]
pub fn without_auxv() -> Result<()> {
    use seccompiler::{
        BpfProgram, SeccompAction, SeccompCmpArgLen, SeccompCmpOp, SeccompCondition, SeccompFilter, SeccompRule,
    };
    /// Its number in the kernel, which libc does not name on every system.
    const PR_GET_AUXV: u64 = 0x4155_5856;

    let asks = SeccompCondition::new(0, SeccompCmpArgLen::Dword, SeccompCmpOp::Eq, PR_GET_AUXV)?;
    let rules = [(libc::SYS_prctl, vec![SeccompRule::new(vec![asks])?])];
    let refuse = SeccompAction::Errno(u32::try_from(libc::EINVAL)?);
    let architecture = std::env::consts::ARCH.try_into()?;
    let filter = SeccompFilter::new(rules.into_iter().collect(), SeccompAction::Allow, refuse, architecture)?;
    let program = BpfProgram::try_from(filter)?;
    seccompiler::apply_filter(&program)?;
    Ok(())
}

/// Elsewhere there is nothing to be refused.
///
/// # Errors
/// Never.
#[cfg(not(target_os = "linux"))]
pub fn without_auxv() -> Result<()> {
    Ok(())
}
