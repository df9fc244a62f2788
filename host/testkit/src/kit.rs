//! The kit's face: load a plugin, give it cases, play with it.

use crate::bench::Bench;
use crate::case::Case;
use crate::error::KitError;
use crate::plays::{self, Plays};
use crate::report::Report;
use crate::run::{self, CaseOutcome};
use crossdock_sandbox::{Compiler, Plugin};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::runtime::Runtime;

/// Tries plugins out. All of its calls wait until they are done; they must not be made from within an asynchronous
/// task, but may be from a thread that blocks.
///
/// [`Kit::new`] is for plugins that you build yourself, [`Kit::confined`] for any.
///
/// ```no_run
/// use crossdock_testkit::{Case, Kit};
/// # fn main() -> Result<(), crossdock_testkit::KitError> {
/// let kit = Kit::new()?;
/// let plugin = kit.load("dist/large.wasm")?;
/// let case = Case::new(r#"{ "smallest": 100 }"#)?.record("A-1", r#"{"cents":250}"#).record("A-2", r#"{"cents":99}"#);
/// let outcome = plugin.run(&case)?;
/// assert_eq!(outcome.answers[0].text(), r#"{"cents":250}"#);
/// assert_eq!(outcome.answers[1].outcome.as_str(), "dropped");
/// // And everything that a hostile host does with these records:
/// assert!(plugin.test(&[case])?.holds());
/// # Ok(())
/// # }
/// ```
pub struct Kit {
    bench: Arc<Bench>,
    waiting: Arc<Runtime>,
}

impl Kit {
    /// A kit that compiles plugins in this process.
    ///
    /// # Errors
    /// When the machine does not give what the sandbox needs.
    pub fn new() -> Result<Self, KitError> {
        Self::with(Compiler::InProcess, None)
    }

    /// A kit that has plugins compiled by this program, started again: its `main` must call `crossdock::compile_if_asked`
    /// first. For plugins of others.
    ///
    /// # Errors
    /// As [`Kit::new`].
    pub fn confined() -> Result<Self, KitError> {
        Self::with(Compiler::ThisProgram, None)
    }

    /// As [`Kit::confined`], with a folder in which compiled plugins are kept: a host's own cache does, and then has what this
    /// one compiled. It is made if it is not there.
    ///
    /// # Errors
    /// As [`Kit::new`], and when the folder cannot be used.
    pub fn confined_with_cache(cache_dir: impl Into<PathBuf>) -> Result<Self, KitError> {
        Self::with(Compiler::ThisProgram, Some(cache_dir.into()))
    }

    fn with(compiler: Compiler, cache_dir: Option<PathBuf>) -> Result<Self, KitError> {
        let waiting = tokio::runtime::Builder::new_current_thread().enable_time().build().map_err(KitError::Setup)?;
        Ok(Self { bench: Arc::new(Bench::new(compiler, cache_dir)?), waiting: Arc::new(waiting) })
    }

    /// Loads a plugin.
    ///
    /// # Errors
    /// When it is no plugin for this host.
    pub fn load(&self, path: impl AsRef<Path>) -> Result<LoadedPlugin, KitError> {
        let plugin = self.waiting.block_on(self.bench.load(path.as_ref()))?;
        Ok(LoadedPlugin { plugin, bench: self.bench.clone(), waiting: self.waiting.clone() })
    }
}

/// A plugin that is tried out.
pub struct LoadedPlugin {
    plugin: Plugin,
    bench: Arc<Bench>,
    waiting: Arc<Runtime>,
}

impl LoadedPlugin {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.plugin.description().name
    }

    /// Its version.
    #[must_use]
    pub fn version(&self) -> &str {
        &self.plugin.description().version
    }

    /// Its role: `source`, `transformer` or `destination`.
    #[must_use]
    pub fn role(&self) -> &'static str {
        self.plugin.description().role.as_str()
    }

    /// Runs one case in fresh instances: what became of its records, and what is not as the case expects.
    ///
    /// # Errors
    /// When the folders of the case cannot be made.
    pub fn run(&self, case: &Case) -> Result<CaseOutcome, KitError> {
        let running = run::run(&self.bench, &self.plugin, case);
        self.waiting.block_on(running).map_err(|error| KitError::files(&case.name, error))
    }

    /// Runs the cases, and then plays a hostile host with those that hold.
    ///
    /// # Errors
    /// As [`LoadedPlugin::run`].
    pub fn test(&self, cases: &[Case]) -> Result<Report, KitError> {
        let mut run = Vec::with_capacity(cases.len());
        for case in cases {
            run.push((case.clone(), self.run(case)?));
        }
        let Plays { findings, tried } = self.waiting.block_on(plays::play(&self.bench, &self.plugin, &run))?;
        let cases = run.into_iter().map(|(_, outcome)| outcome).collect();
        Ok(Report {
            plugin: self.name().to_owned(),
            version: self.version().to_owned(),
            role: self.role(),
            digest: self.plugin.digest().to_owned(),
            cases,
            findings,
            tried,
        })
    }
}
