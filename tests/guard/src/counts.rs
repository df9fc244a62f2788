//! What was counted before: `counts.toml`, and what is said of a count that differs from it.

use crate::HotPath;
use anyhow::{Context as _, Result, ensure};
use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::PathBuf;

/// How much more instructions a path may take than written down.
pub const GREW_MAX_PER_CENT: u64 = 10;

/// How a file of counts begins.
const HEAD: &str = "\
# Instructions that each hot path takes for one record, as valgrind counts them on x86-64 Linux: not a speed, but what it
# comes to on any machine. A test fails when one grows by more than 10 %. Written by
# `UPDATE=1 cargo test --workspace --test counts`; say in the commit why a count grew.
";

/// Instructions a record, for each hot path.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Counts(BTreeMap<HotPath, u64>);

/// What a count is beside the one that was written down.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// It grew by more than [`GREW_MAX_PER_CENT`].
    Grew,
    /// It fell by more than that: it could grow again as much unseen, if the new count is not written down.
    Fell,
    /// Neither.
    Held,
}

impl Counts {
    /// The file.
    #[must_use]
    pub fn file() -> PathBuf {
        crossdock_devkit::workspace_root().join("tests/guard/counts.toml")
    }

    /// Reads what is written in such a file.
    ///
    /// # Errors
    /// When a path is missing, or there is something else.
    pub fn read(text: &str) -> Result<Self> {
        let table: BTreeMap<String, u64> = toml::from_str(text).context("reading counts")?;
        let of = |(name, count): (String, u64)| {
            ensure!(count > 0, "{name} = 0 guards nothing");
            Ok((HotPath::named(&name).with_context(|| format!("there is no hot path {name}"))?, count))
        };
        let counts = Self(table.into_iter().map(of).collect::<Result<_>>()?);
        for path in HotPath::ALL {
            ensure!(counts.get(path).is_some(), "no count of {}", path.name());
        }
        Ok(counts)
    }

    /// As [`Counts::read`] wants it.
    #[must_use]
    pub fn written(&self) -> String {
        let mut text = HEAD.to_owned();
        for (path, count) in &self.0 {
            // Writing to a string does not fail.
            let _ = write!(text, "\n# {}\n{} = {count}\n", path.of(), path.name());
        }
        text
    }

    /// Notes the count of a path.
    pub fn set(&mut self, path: HotPath, count: u64) {
        self.0.insert(path, count);
    }

    /// The count of a path.
    #[must_use]
    pub fn get(&self, path: HotPath) -> Option<u64> {
        self.0.get(&path).copied()
    }
}

impl Verdict {
    /// What to say of a path that took `was` instructions and takes `is`.
    #[must_use]
    pub fn of(was: u64, is: u64) -> Self {
        let (hundred, tenth) = (u128::from(was) * 100, u128::from(was) * u128::from(GREW_MAX_PER_CENT));
        match u128::from(is) * 100 {
            now if now > hundred + tenth => Self::Grew,
            now if now < hundred - tenth => Self::Fell,
            _ => Self::Held,
        }
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn a_tenth_is_the_limit() {
        let check = |was, is, expected| assert_eq!(Verdict::of(was, is), expected, "{was} to {is}");
        check(1_000, 1_100, Verdict::Held);
        check(1_000, 1_101, Verdict::Grew);
        check(1_000, 900, Verdict::Held);
        check(1_000, 899, Verdict::Fell);
        check(u64::MAX, u64::MAX, Verdict::Held);
    }

    #[test]
    fn what_is_written_is_read() {
        let mut counts = Counts::default();
        for (path, count) in HotPath::ALL.into_iter().zip(7..) {
            assert!(Counts::read(&counts.written()).is_err(), "{path:?} is missing");
            counts.set(path, count);
        }
        let text = counts.written();
        assert_eq!(Counts::read(&text).unwrap(), counts);
        assert!(Counts::read(&format!("{text}other = 1\n")).is_err());
        assert!(Counts::read(&text.replace("machine = 7", "machine = 0")).is_err());
    }
}
