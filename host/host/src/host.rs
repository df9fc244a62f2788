//! The host: a project, its sandbox and its ledger.

use crate::error::Error;
use crate::files::Files;
use crate::load::{Loaded, load};
use crate::pins::Pins;
use crate::project::{OpenProject, find_project, read_route};
use crate::reach::OwnFiles;
use crate::run::{Running, start};
use crate::secrets::{clean, clean_failure, everything, known};
use crate::sharing::{Connectors, RouteTurn, RoutesInUse};
use crate::world::SystemClock;
use crossdock_engine::plan::Entry;
use crossdock_engine::ports::{Abilities, Atomicity, CallError, Cause, Clock, Idempotency, Ledger};
use crossdock_ledger::{LedgerReader, LedgerStore, OpenOptions, Quarantined, VerifyReport, Violation};
use crossdock_model::{ErrorClass, Failure, RouteName, StepName};
use crossdock_route::{Route, RouteFile};
use crossdock_sandbox::{CompileLimits, Compiler, Sandbox, SandboxConfig};
use serde::Serialize;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

/// Where data goes if there is no project.
const DATA_DEFAULT: &str = ".crossdock";
/// The folder of compiled plugins, within the data folder.
const CACHE_FOLDER: &str = "cache";

/// How a host is opened.
#[derive(Debug, Clone, Default)]
pub struct HostOptions {
    /// The project's folder. `None`: the nearest folder at or above the current one that holds a `crossdock.toml`,
    /// if there is one.
    pub project: Option<PathBuf>,
    /// The data folder. `None`: the one that the project names, else `.crossdock` in the current folder.
    pub data: Option<PathBuf>,
    /// Who compiles plugins. By default this program, started again, for which its `main` must call
    /// [`compile_if_asked`](crate::compile_if_asked) first.
    pub compiler: Compiler,
    /// Whether plugins that are not in the project's lock are refused. Otherwise the first run that uses one adds it.
    /// A file that is not the one in the lock is refused in both cases.
    pub locked: bool,
}

/// A project, ready to run its routes and to tell what became of their records.
///
/// Opening one touches nothing but the project file and the files of the secrets that it names, so that they are
/// known wherever they come up. The ledger is opened for writing by the first call that
/// needs it, and kept until the host is dropped; only one process can have it.
pub struct Host {
    project: Option<OpenProject>,
    data: PathBuf,
    compiler: Compiler,
    pub(crate) locked: bool,
    sandbox: Mutex<Option<Arc<Sandbox>>>,
    ledger: Mutex<Option<LedgerStore>>,
    connectors: Connectors,
    routes: RoutesInUse,
}

/// A route as it is given.
#[derive(Clone, Copy)]
enum Given<'a> {
    File(&'a Path),
    Text(&'a str),
}

/// What a route is, once it was checked.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct CheckReport {
    /// Its name.
    pub route: String,
    /// The version of its definition.
    pub hash: String,
    /// Its plugins, the source first.
    pub places: Vec<PlaceReport>,
}

/// A plugin at its place in a route.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PlaceReport {
    /// The step, `source`, or a handler's place like `ship.on_failure`.
    pub step: StepName,
    /// The plugin's name in the project.
    pub plugin: String,
    /// SHA-256 of the component, in hexadecimal.
    pub digest: String,
    /// What it can do with its settings, in a few words.
    pub abilities: String,
}

/// Whether a connector can be used now.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ConnectorReport {
    /// The step, `source`, or a handler's place like `ship.on_failure`.
    pub step: StepName,
    /// The plugin's name in the project.
    pub plugin: String,
    /// Whether it can be used.
    pub operational: bool,
    /// Why not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub failure: Option<Failure>,
}

impl Host {
    /// Opens a project.
    ///
    /// # Errors
    /// When the project file cannot be read, with all its mistakes.
    pub fn open(options: HostOptions) -> Result<Self, Error> {
        let folder = match options.project {
            Some(folder) => Some(absolute(&folder)?),
            None => find_project(Path::new(".")),
        };
        let project = folder.as_deref().map(OpenProject::read).transpose()?;
        let data = match (options.data, &project) {
            (Some(data), _) => absolute(&data)?,
            (None, Some(project)) => project.resolve(project.file.data()),
            (None, None) => absolute(Path::new(DATA_DEFAULT))?,
        };
        Ok(Self {
            project,
            data,
            compiler: options.compiler,
            locked: options.locked,
            sandbox: Mutex::new(None),
            ledger: Mutex::new(None),
            connectors: Connectors::default(),
            routes: RoutesInUse::default(),
        })
    }

    /// The data folder.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// The folder of compiled plugins, below the data folder.
    #[must_use]
    pub fn cache_dir(&self) -> PathBuf {
        self.data.join(CACHE_FOLDER)
    }

    /// Checks a route and everything it needs, except whether its connectors can be reached. Runs nothing and
    /// writes nothing but compiled code into the cache.
    ///
    /// # Errors
    /// All mistakes of the route at once.
    pub async fn check(&self, route: &Path) -> Result<CheckReport, Error> {
        let loaded = self.load(route, None).await?;
        let places = loaded.plugins.iter().filter_map(|(place, plugin, digest)| {
            let (can, destination) = loaded.abilities(place)?;
            Some(PlaceReport {
                step: place.clone(),
                plugin: plugin.to_string(),
                digest: digest.clone(),
                abilities: in_words(&can, destination),
            })
        });
        Ok(CheckReport {
            route: loaded.route.name().to_string(),
            hash: loaded.route.hash().to_owned(),
            places: places.collect(),
        })
    }

    /// Runs a route once: reads what is new at its source, takes up what waits for another attempt, and goes on
    /// undoing what is rolling back. One run a route at a time; different routes run beside each other, and share
    /// the breakers and rates of connectors that they both use.
    ///
    /// # Errors
    /// When the route has mistakes, its source says that it cannot be used, one of its plugins is quarantined, a run
    /// of it is under way, or the ledger cannot be opened. Nothing was read or written then.
    pub async fn run(&self, route: &Path) -> Result<Running, Error> {
        self.run_given(Given::File(route)).await
    }

    /// As [`Host::run`], of a route that stands in no file: `text` is what would stand there. It needs a project, whose
    /// plugins it names; paths in it begin at the project's folder. A resync of its records takes the definition that is
    /// recorded ([`Definition::Recorded`](crate::Definition::Recorded)).
    ///
    /// # Errors
    /// As [`Host::run`]; and when the host has no project.
    pub async fn run_text(&self, text: &str) -> Result<Running, Error> {
        self.run_given(Given::Text(text)).await
    }

    async fn run_given(&self, route: Given<'_>) -> Result<Running, Error> {
        // First without the ledger, so that a route with mistakes leaves nothing behind.
        let mut loaded = self.load_given(route, None).await?;
        let turn = self.routes.take(loaded.route.name())?;
        if let Err(error) = loaded.source.check().await.answer {
            return Err(source_refuses(&loaded, &error));
        }
        let ledger = self.ledger()?;
        if self.has_state(&loaded, &ledger).await? {
            loaded = self.load_given(route, Some(&ledger)).await?;
        }
        let max_batch = loaded.source.abilities().max_batch;
        self.begin(loaded, Entry::Source { max_batch }, Cause::Manual, turn).await
    }

    /// Asks the source and the destinations of a route whether they can be used now.
    ///
    /// # Errors
    /// When the route has mistakes. A connector that cannot be used is not an error but a report.
    pub async fn connectors(&self, route: &Path) -> Result<Vec<ConnectorReport>, Error> {
        let loaded = self.load(route, None).await?;
        check_connectors(&loaded, true).await
    }

    /// Answers questions about what happened. Needs no lock: another process may be running routes. The answers hold
    /// none of the project's secrets, not even where records do; ids of records are as they are.
    ///
    /// # Errors
    /// When there is no ledger, or it cannot be read.
    pub fn reports(&self) -> Result<LedgerReader, Error> {
        Ok(self.reader()?.showing(everything()))
    }

    /// As [`Host::reports`], with answers as they are in the ledger: for what is put to use and not handed out.
    pub(crate) fn reader(&self) -> Result<LedgerReader, Error> {
        Ok(LedgerReader::open(&self.data)?)
    }

    /// Checks the whole ledger: checksums, and that all numbers add up (invariant 3).
    ///
    /// # Errors
    /// When there is no ledger, or it cannot be read at all. What is wrong in it is in the report.
    pub fn verify(&self) -> Result<VerifyReport, Error> {
        Ok(clean_verified(crossdock_ledger::verify(&self.data)?))
    }

    pub(crate) fn project(&self) -> Result<&OpenProject, Error> {
        self.project.as_ref().ok_or_else(|| {
            Error::new(
                "host-no-project",
                ErrorClass::InvalidInput,
                "looking for the project: no crossdock.toml in this folder or above it",
                "Go to the project's folder, or name it with --project.",
            )
        })
    }

    pub(crate) async fn load(&self, route: &Path, ledger: Option<&LedgerStore>) -> Result<Loaded, Error> {
        let own;
        let project = match (&self.project, find_project(route)) {
            (Some(project), _) => project,
            (None, Some(folder)) => {
                own = OpenProject::read(&folder)?;
                &own
            }
            (None, None) => self.project()?,
        };
        self.load_into(project, read_route(route)?, Some(route), ledger).await
    }

    async fn load_given(&self, given: Given<'_>, ledger: Option<&LedgerStore>) -> Result<Loaded, Error> {
        match given {
            Given::File(path) => self.load(path, ledger).await,
            Given::Text(text) => {
                self.load_into(self.project()?, RouteFile::parse("the route", text)?, None, ledger).await
            }
        }
    }

    /// As [`Host::load`], of a route that was read before, from a file or from the ledger.
    pub(crate) async fn load_into(
        &self,
        project: &OpenProject,
        route: Route,
        file: Option<&Path>,
        ledger: Option<&LedgerStore>,
    ) -> Result<Loaded, Error> {
        let sandbox = self.sandbox()?;
        let pins = Pins::read(&project.folder, self.locked)?;
        let files = Files::new(project, pins, &self.data);
        let own = OwnFiles::of(project, &self.data, file);
        load(project, &files, &sandbox, &self.connectors, &own, route, ledger.map(|ledger| ledger as &dyn Ledger)).await
    }

    /// Takes a route for a run.
    ///
    /// # Errors
    /// When a run of it is under way.
    pub(crate) fn take(&self, route: &RouteName) -> Result<RouteTurn, Error> {
        self.routes.take(route)
    }

    /// Starts a run of a loaded route. Those of its plugins that are not in the lock yet are added to it before.
    ///
    /// # Errors
    /// When one of its plugins is quarantined in it, or the lock cannot be written.
    pub(crate) async fn begin(
        &self,
        loaded: Loaded,
        entry: Entry,
        cause: Cause,
        turn: RouteTurn,
    ) -> Result<Running, Error> {
        self.refuse_quarantined(&loaded)?;
        loaded.unlocked.add().await?;
        Ok(start(&*self.sandbox()?, loaded, entry, cause, self.ledger()?, turn))
    }

    /// Refuses to work with a plugin that committed too many faults in this route.
    ///
    /// # Errors
    /// When one of its plugins is quarantined in it.
    pub(crate) fn refuse_quarantined(&self, loaded: &Loaded) -> Result<(), Error> {
        let route = loaded.route.name();
        let quarantined = self.ledger()?.reader()?.quarantined(route)?;
        let is_in_use = |found: &&Quarantined| {
            loaded.plugins.iter().any(|(place, _, digest)| *place == found.step && *digest == found.digest)
        };
        let Some(found) = quarantined.iter().find(is_in_use) else { return Ok(()) };
        let step = &found.step;
        Err(Error::new(
            "plugin-quarantined",
            ErrorClass::NeedsOperator,
            format!("starting route {route}: the plugin at step {step} is quarantined: {}", found.reason),
            format!(
                "Replace the plugin's file by one without the fault, or let this one be used again: `crossdock plugin \
                 release {route} {step} --reason TEXT`."
            ),
        ))
    }

    pub(crate) fn sandbox(&self) -> Result<Arc<Sandbox>, Error> {
        let mut slot = lock(&self.sandbox);
        if let Some(sandbox) = &*slot {
            return Ok(Arc::clone(sandbox));
        }
        let default = SandboxConfig::new(Arc::new(SystemClock));
        let said = self.project.as_ref().map(|project| *project.file.total_limits()).unwrap_or_default();
        let compile = default.compile_limits;
        let config = SandboxConfig {
            cache_dir: Some(self.cache_dir()),
            compiler: self.compiler.clone(),
            memory_total_max_bytes: said.memory_total_max_bytes.unwrap_or(default.memory_total_max_bytes),
            compile_limits: CompileLimits {
                memory_max_bytes: said.compile_memory_max_bytes.unwrap_or(compile.memory_max_bytes),
                cpu_time_max_s: said.compile_cpu_time_max_s.unwrap_or(compile.cpu_time_max_s),
                time_max_s: said.compile_time_max_s.unwrap_or(compile.time_max_s),
                ..compile
            },
            secrets: known().clone(),
            certificates: self.project.as_ref().map(OpenProject::certificates).transpose()?.unwrap_or_default(),
            ..default
        };
        let sandbox = Arc::new(Sandbox::new(config).map_err(|error| Error::explained(&error))?);
        *slot = Some(Arc::clone(&sandbox));
        Ok(sandbox)
    }

    pub(crate) fn ledger(&self) -> Result<LedgerStore, Error> {
        let mut slot = lock(&self.ledger);
        if let Some(ledger) = &*slot {
            return Ok(ledger.clone());
        }
        let ledger = LedgerStore::open(
            &self.data,
            OpenOptions {
                process: Some(std::process::id()),
                max_bytes: self.project.as_ref().and_then(|project| project.file.ledger_max_bytes()),
                ..OpenOptions::new(SystemClock.now())
            },
        )?;
        *slot = Some(ledger.clone());
        Ok(ledger)
    }

    /// Lets go of the ledger; the next call that needs it opens it again. Runs that are under way keep it.
    pub(crate) fn close(&self) {
        drop(lock(&self.ledger).take());
    }

    async fn has_state(&self, loaded: &Loaded, ledger: &LedgerStore) -> Result<bool, Error> {
        for (step, ..) in &loaded.plugins {
            if !ledger.state(loaded.route.name().clone(), step.clone()).await?.is_empty() {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    // What it holds is set in one step, so a panic elsewhere cannot have left it half done.
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

fn absolute(path: &Path) -> Result<PathBuf, Error> {
    std::path::absolute(path).map_err(|error| {
        Error::new(
            "host-file-unreadable",
            ErrorClass::InvalidInput,
            format!("finding {}: {error}", path.display()),
            "Check the path.",
        )
    })
}

/// The source says that it cannot be used, before anything was begun.
fn source_refuses(loaded: &Loaded, error: &CallError) -> Error {
    let (class, code) = match error {
        CallError::Refused { kind, failure } => (kind.class(), failure.code.as_str()),
        CallError::Fault(fault) => (ErrorClass::InvalidInput, fault.kind.code()),
        CallError::Host(error) => return error.clone().into(),
    };
    Error::new(
        "host-source-not-operational",
        class,
        format!("starting route {}: its source cannot be used: {error} ({code})", loaded.route.name()),
        "Mend what the source names, then run the route again. Nothing was read or written.",
    )
}

/// Asks every connector of a route whether it can be used, those of its handlers only if they are wanted.
pub(crate) async fn check_connectors(loaded: &Loaded, handlers: bool) -> Result<Vec<ConnectorReport>, Error> {
    let mut reports = Vec::new();
    for (step, plugin, _) in &loaded.plugins {
        if !handlers && loaded.handlers.iter().any(|handler| handler.place.name() == *step) {
            continue;
        }
        let result = if *step == StepName::source() {
            loaded.source.check().await
        } else {
            let Some(destination) = loaded.destination(step) else { continue };
            destination.check().await
        };
        let failure = match result.answer {
            Ok(()) => None,
            Err(CallError::Refused { failure, .. }) => Some(clean_failure(failure)),
            Err(CallError::Fault(fault)) => Some(clean_failure(fault.failure())),
            Err(CallError::Host(error)) => return Err(error.into()),
        };
        reports.push(ConnectorReport {
            step: step.clone(),
            plugin: plugin.to_string(),
            operational: failure.is_none(),
            failure,
        });
    }
    Ok(reports)
}

/// What was found in a ledger, fit to be handed out.
pub(crate) fn clean_verified(report: VerifyReport) -> VerifyReport {
    let clean = |found: Violation| Violation { message: clean(found.message), ..found };
    VerifyReport { violations: report.violations.into_iter().map(clean).collect(), ..report }
}

/// `destination` is `None` for a source.
fn in_words(can: &Abilities, destination: Option<bool>) -> String {
    match destination {
        None if can.re_reads => "reads again from any checkpoint".into(),
        None => "cannot read again".into(),
        Some(false) if can.pure => "pure".into(),
        Some(false) => "not pure".into(),
        Some(true) => {
            let once = match can.idempotency {
                Idempotency::NativeKey => "recognises its idempotency key",
                Idempotency::Upsert => "writing again changes nothing",
                Idempotency::Probe => "can be asked what was applied",
                Idempotency::None => "a lost answer must be settled by a person",
            };
            let parts = match can.atomicity {
                Atomicity::Atomic => "a batch as a whole",
                Atomicity::PerRecord => "each record whole",
                Atomicity::BestEffort => "a record may be applied in part",
            };
            let undo = if can.compensates { ", can undo" } else { "" };
            format!("{once}; {parts}{undo}")
        }
    }
}
