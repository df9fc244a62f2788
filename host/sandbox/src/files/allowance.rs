//! How much a plugin may write into a directory that it was granted for writing.

use crate::grants::{DirGrant, WriteBudget};
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, OnceLock};

/// A directory that is granted to a plugin at one place.
#[derive(Debug)]
pub(crate) struct GrantedDir {
    pub(crate) host: PathBuf,
    pub(crate) guest: String,
    /// `None` for reading only.
    pub(crate) allowance: Option<Arc<Allowance>>,
}

impl GrantedDir {
    /// Grants it to the plugin at `place`, with nothing written yet.
    pub(crate) fn new(grant: DirGrant, place: &str) -> Self {
        let DirGrant { host, guest, write } = grant;
        let allowance = write.map(|budget| Allowance::new(place.to_owned(), host.clone(), guest.clone(), budget));
        Self { host, guest, allowance: allowance.map(Arc::new) }
    }
}

/// What one plugin at one place may write into one directory, shared by all instances that its port starts one after
/// the other. What is counted stays counted, also if it is overwritten or removed: nobody else can tell what was
/// replaced, and the disk had to take it.
#[derive(Debug)]
pub(crate) struct Allowance {
    /// Which plugin it is, and where it works, for people.
    place: String,
    host: PathBuf,
    guest: String,
    budget: WriteBudget,
    bytes: AtomicU64,
    files: AtomicU64,
    /// What was refused, the first time that anything was.
    used_up: OnceLock<String>,
}

impl Allowance {
    pub(crate) fn new(place: String, host: PathBuf, guest: String, budget: WriteBudget) -> Self {
        let zero = || AtomicU64::new(0);
        Self { place, host, guest, budget, bytes: zero(), files: zero(), used_up: OnceLock::new() }
    }

    /// Takes bytes that are about to be written; answers whether there were as many left.
    pub(crate) fn take_bytes(&self, bytes: u64) -> bool {
        let taken = take(&self.bytes, bytes, self.budget.max_bytes);
        if !taken {
            self.tell(&format!("{} bytes (`bytes` of the grant)", self.budget.max_bytes));
        }
        taken
    }

    /// Gives back what was not written after all.
    pub(crate) fn give_back_bytes(&self, bytes: u64) {
        self.bytes.fetch_sub(bytes, Ordering::Relaxed);
    }

    /// Takes one file or folder that is about to be made; answers whether there was one left.
    pub(crate) fn take_file(&self) -> bool {
        let taken = take(&self.files, 1, self.budget.max_files);
        if !taken {
            self.tell(&format!("{} files and folders (`files` of the grant)", self.budget.max_files));
        }
        taken
    }

    /// Gives back one that was not made after all.
    pub(crate) fn give_back_file(&self) {
        self.files.fetch_sub(1, Ordering::Relaxed);
    }

    /// What was refused, and what can be done, once something was.
    pub(crate) fn used_up(&self) -> Option<&str> {
        self.used_up.get().map(String::as_str)
    }

    #[cold]
    fn tell(&self, what: &str) {
        let mut is_first = false;
        let text = self.used_up.get_or_init(|| {
            is_first = true;
            format!(
                "the plugin {} has used up what it may write into the directory {} ({}) in one run: {what}. Look at \
                 what it wrote there; if that is right, raise the limit in the route file",
                self.place,
                self.guest,
                self.host.display()
            )
        });
        if is_first {
            tracing::warn!("{text}");
        }
    }
}

fn take(used: &AtomicU64, more: u64, max: u64) -> bool {
    let fits = |used: u64| used.checked_add(more).filter(|sum| *sum <= max);
    used.fetch_update(Ordering::Relaxed, Ordering::Relaxed, fits).is_ok()
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn what_is_used_up_is_said_once() {
        let budget = WriteBudget { max_bytes: 100, max_files: 2 };
        let allowance = Allowance::new("p at step s of route r".into(), "/srv/out".into(), "/out".into(), budget);
        assert!(allowance.take_bytes(60) && allowance.take_bytes(40) && allowance.take_bytes(0));
        assert!(allowance.take_file());
        assert_eq!(allowance.used_up(), None);
        assert!(!allowance.take_bytes(1));
        allowance.give_back_bytes(10);
        assert!(allowance.take_bytes(10) && !allowance.take_bytes(u64::MAX));
        assert!(allowance.take_file() && !allowance.take_file());
        allowance.give_back_file();
        assert!(allowance.take_file());
        let said = allowance.used_up().unwrap();
        for part in ["p at step s of route r", "/out", "/srv/out", "100 bytes", "`bytes`"] {
            assert!(said.contains(part), "{said}");
        }
        assert!(!said.contains("`files`"), "{said}");
    }
}
