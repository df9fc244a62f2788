//! The sandbox: one engine, its threads, its cache; loads plugins.

use crate::admission::{self, AdmissionError, Admitted};
use crate::binding::Bindings;
use crate::budget::Budget;
use crate::cache::{Cache, CacheError};
use crate::compile::{CompileError, Compiler, Compiling};
use crate::cost::Cost;
use crate::description::{DescriptionError, check_description};
use crate::files::{OpenFiles, Operations};
use crate::host::Identity;
use crate::http_client::{Answering, Certificates, Doors, HttpClient, Resolver, SystemResolver};
use crate::imports;
use crate::instance::{Described, Exports, Loaded, describe_alone};
use crate::known_secrets::KnownSecrets;
use crate::limits::{CompileLimits, Limits};
use crate::machine::{self, Threads};
use crate::plugin::{Plugin, PluginFile};
use crate::redact::Redactor;
use crate::secret_values::SecretValues;
use crate::shared::Shared;
use crate::text::PluginText;
use crate::ticks::Ticks;
use crossdock_engine::ports::{CallError, Clock};
use crossdock_model::{ErrorClass, Explained};
use sha2::{Digest as _, Sha256};
use std::io::{self, Read as _};
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::{Path, PathBuf};
use std::pin::Pin;
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};
use thiserror::Error;
use wasmtime::component::{Component, Linker};

/// How a sandbox is set up.
#[derive(Clone)]
pub struct SandboxConfig {
    /// Where compiled plugins are kept; `None` compiles them at every start. The folder is made if it does
    /// not exist, and must belong to the host alone.
    pub cache_dir: Option<PathBuf>,
    /// Who compiles plugins that are not in the cache.
    pub compiler: Compiler,
    /// What compiling a plugin may use.
    pub compile_limits: CompileLimits,
    /// The limits under which a plugin describes itself while it is loaded.
    pub limits: Limits,
    /// The memories and tables of all live instances together, in bytes; [`Limits::MEMORY_TOTAL_MAX_BYTES`] unless
    /// set otherwise.
    pub memory_total_max_bytes: u64,
    /// The secrets that are taken out of all that plugins say. Those of its own plugins are told here as well.
    pub secrets: KnownSecrets,
    /// The clock that plugins see.
    pub clock: Arc<dyn Clock>,
    /// How many threads compute; `None` is one a core.
    pub threads: Option<usize>,
    /// Authorities whose certificates are trusted beside those that this machine trusts.
    pub certificates: Certificates,
    /// Who finds the addresses of hosts; `None` is the system.
    pub resolver: Option<Arc<dyn Resolver>>,
    /// Who answers requests in place of the network, for tests of plugins; `None` sends them.
    pub answering: Option<Arc<dyn Answering>>,
}

impl SandboxConfig {
    /// No cache, plugins compiled by this program in processes of its own, the default limits, one thread a core.
    #[must_use]
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            cache_dir: None,
            compiler: Compiler::default(),
            compile_limits: CompileLimits::default(),
            limits: Limits::default(),
            memory_total_max_bytes: Limits::MEMORY_TOTAL_MAX_BYTES,
            secrets: KnownSecrets::default(),
            clock,
            threads: None,
            certificates: Certificates::default(),
            resolver: None,
            answering: None,
        }
    }
}

/// Why a plugin could not be loaded, or the sandbox not be set up.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SandboxError {
    /// There is no such file.
    #[error("loading the plugin {}: there is no such file", path.display())]
    NotFound {
        /// Which file.
        path: PathBuf,
    },
    /// The file cannot be read.
    #[error("loading the plugin {}: {source}", path.display())]
    Unreadable {
        /// Which file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The file is not a plugin for this host.
    #[error("loading the plugin {}: {error}", path.display())]
    Refused {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: AdmissionError,
    },
    /// It does not compile within the limits, or there is nobody to compile it.
    #[error("compiling the plugin {}: {error}", path.display())]
    Compile {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: CompileError,
    },
    /// Its exports have other types than the contract says.
    #[error("linking the plugin {}: {reason}", path.display())]
    Invalid {
        /// Which file.
        path: PathBuf,
        /// Why.
        reason: String,
    },
    /// It could not say what it is.
    #[error("asking the plugin {} what it is: {error}", path.display())]
    Describe {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: Box<CallError>,
    },
    /// What it says of itself breaks the contract.
    #[error("asking the plugin {} what it is: {error}", path.display())]
    Description {
        /// Which file.
        path: PathBuf,
        /// Why.
        error: DescriptionError,
    },
    /// The cache cannot be used.
    #[error(transparent)]
    Cache(#[from] CacheError),
    /// The engine or its threads could not be started.
    #[error("setting up the sandbox: {reason}")]
    Setup {
        /// Why.
        reason: String,
    },
}

impl Explained for SandboxError {
    fn code(&self) -> &'static str {
        match self {
            Self::NotFound { .. } => "plugin-not-found",
            Self::Unreadable { .. } => "plugin-unreadable",
            Self::Refused { error, .. } => error.code(),
            Self::Compile { error, .. } => error.code(),
            Self::Invalid { .. } => "plugin-invalid",
            Self::Describe { .. } => "plugin-describe",
            Self::Description { .. } => "plugin-description",
            Self::Cache(error) => error.code(),
            Self::Setup { .. } => "sandbox-setup",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::Refused { error, .. } => error.class(),
            Self::Compile { error, .. } => error.class(),
            Self::Cache(error) => error.class(),
            Self::Setup { .. } => ErrorClass::Environment,
            _ => ErrorClass::InvalidInput,
        }
    }

    fn fix(&self) -> Option<String> {
        Some(match self {
            Self::NotFound { .. } => "build the plugin, or mend its path in the project file".to_owned(),
            Self::Unreadable { .. } => "let the user who runs the host read the file".to_owned(),
            Self::Refused { error, .. } => return error.fix(),
            Self::Compile { error, .. } => return error.fix(),
            Self::Invalid { .. } => "build it again for wasm32-wasip2 with a Crossdock SDK".to_owned(),
            Self::Describe { .. } => {
                "`describe` must answer without settings, grants or time; try it in the plugin's own tests".to_owned()
            }
            Self::Description { .. } => "mend what `describe` answers".to_owned(),
            Self::Cache(error) => return error.fix(),
            Self::Setup { .. } => "check the limits of the process: address space, threads, memory".to_owned(),
        })
    }
}

/// Runs plugins. Cheap to clone; all clones are one sandbox.
#[derive(Clone)]
pub struct Sandbox {
    shared: Arc<Shared>,
    limits: Limits,
}

impl Sandbox {
    /// Starts the engine and its threads.
    ///
    /// # Errors
    /// When the cache cannot be used, or the machine does not give what is needed.
    pub fn new(config: SandboxConfig) -> Result<Self, SandboxError> {
        let setup = |error: &dyn std::fmt::Display| SandboxError::Setup { reason: format!("{error:#}") };
        let engine = machine::engine().map_err(|error| setup(&error))?;
        let mut linker = Linker::new(&engine);
        imports::link(&mut linker).map_err(|error| setup(&error))?;
        let cache = match &config.cache_dir {
            Some(dir) => Some(Cache::open(dir, machine::settings_hash(&engine))?),
            None => None,
        };
        let threads = config.threads.unwrap_or_else(|| std::thread::available_parallelism().map_or(1, usize::from));
        let threads = Threads::start(threads).map_err(|error| setup(&error))?;
        let guests = threads.guests().ok_or_else(|| setup(&"the threads are gone"))?;
        let ticks = Ticks::start(&engine, guests).map_err(|error| setup(&error))?;
        let resolver = config.resolver.unwrap_or_else(|| Arc::new(SystemResolver::default()));
        let client = Arc::new(HttpClient::new(config.certificates, resolver).answered_by(config.answering));
        let SandboxConfig { limits, clock, secrets, compiler, compile_limits, memory_total_max_bytes, .. } = config;
        let compiling = Compiling::new(compiler, compile_limits);
        let budget = Budget::new(memory_total_max_bytes);
        let (open_files, operations) = (OpenFiles::default(), Operations::default());
        let shared = Shared {
            engine,
            linker,
            client,
            clock,
            secrets,
            cache,
            compiling,
            budget,
            open_files,
            operations,
            ticks,
            threads,
        };
        Ok(Self { shared: Arc::new(shared), limits })
    }

    /// Reads a plugin's file, once, and finds out its digest. Nothing of it is looked at, compiled or run: whoever
    /// wants certain files only decides between this and [`Sandbox::load_read`].
    ///
    /// # Errors
    /// When there is no such file, or it cannot be read or is too large for a plugin.
    pub async fn read(&self, path: impl Into<PathBuf>) -> Result<ReadPlugin, SandboxError> {
        self.blocking(&path.into(), |_, path| read(path)).await
    }

    /// Decides whether what was read may run here, compiles it or takes it from the cache, and asks it what it is.
    /// What happens to the file in the meantime changes nothing. Takes milliseconds from the cache, and up to many
    /// seconds otherwise; the work is done on threads of the sandbox.
    ///
    /// # Errors
    /// When the file is not a plugin for this host, with the first reason found.
    pub async fn load_read(&self, plugin: ReadPlugin) -> Result<Plugin, SandboxError> {
        let path = plugin.path.clone();
        let admitted = self.blocking(&path, |shared, path| admit(shared, path, plugin)).await?;
        let (file, component) = match admitted {
            (file, Found::Compiled(component)) => (file, *component),
            (file, Found::Bytes(bytes)) => {
                let (shared, begun) = (self.shared.clone(), Instant::now());
                let compiling = async move { shared.compiling.compile(&shared.engine, bytes).await };
                let compiled = self.shared.spawn_io(compiling).await.map_err(stopped)?;
                let code = compiled.map_err(|error| SandboxError::Compile { path: path.clone(), error })?;
                self.blocking(&path, move |shared, path| take(shared, path, file, &code, begun)).await?
            }
        };
        self.describe(path, file, component).await
    }

    /// Does work of the host's own on the threads that plugins compute on: what calls plugins all the time calls them
    /// from there without a change of thread. It begins at once, and ends when what this answers with is dropped. It
    /// must not block, and has its turns between those of plugins.
    ///
    /// # Errors
    /// When the work panicked.
    pub fn beside_plugins<T: Send + 'static>(
        &self,
        work: impl Future<Output = T> + Send + 'static,
    ) -> Pin<Box<dyn Future<Output = Result<T, SandboxError>> + Send>> {
        let working = self.shared.spawn(work);
        Box::pin(async move { working.await.map_err(stopped) })
    }

    /// [`Sandbox::read`] and [`Sandbox::load_read`] in one.
    ///
    /// # Errors
    /// As for both.
    pub async fn load(&self, path: impl Into<PathBuf>) -> Result<Plugin, SandboxError> {
        self.load_read(self.read(path).await?).await
    }

    /// Does what blocks its thread for a while: tokio has others for that.
    async fn blocking<T: Send + 'static>(
        &self,
        path: &Path,
        work: impl FnOnce(&Shared, &Path) -> Result<T, SandboxError> + Send + 'static,
    ) -> Result<T, SandboxError> {
        let (shared, path) = (self.shared.clone(), path.to_owned());
        let working = async move { tokio::task::spawn_blocking(move || work(&shared, &path)).await };
        // Not beside the files of plugins: they must not hold this up.
        let done = self.shared.spawn_io(working).await.map_err(stopped)?;
        done.map_err(|error| stopped(error.to_string()))?
    }

    /// Asks a compiled plugin what it is.
    async fn describe(&self, path: PathBuf, file: File, component: Component) -> Result<Plugin, SandboxError> {
        let File { admitted, digest, size_bytes, from_cache, prepared, code_bytes } = file;
        let shared = self.shared.clone();
        let pre = shared.linker.instantiate_pre(&component).map_err(|error| invalid(&path, &error))?;
        let exports = Exports::find(&pre, &admitted).map_err(|error| invalid(&path, &error))?;
        let name = path.file_stem().map_or_else(|| "plugin".to_owned(), |stem| stem.to_string_lossy().into_owned());
        let failed = |error| SandboxError::Describe { path: path.clone(), error: Box::new(error) };
        let identity = Arc::new(Identity {
            route: String::new(),
            step: String::new(),
            plugin: PluginText::line(&name, 64, &Redactor::default()).into_string(),
            doors: Doors::new(shared.client.clone(), Vec::new()),
            secrets: SecretValues::new(&[], shared.secrets.clone()),
            bindings: Bindings::default(),
            limits: self.limits,
            log: Mutex::default(),
            request_limits: None,
            clock: shared.clock.clone(),
            cancelled: Arc::default(),
            state: Arc::default(),
            io: shared.io().map_err(failed)?,
            lane: shared.operations.lane(),
        });
        let Described { said, took, used_bytes: (memory_bytes, table_bytes) } =
            describe_alone(&shared, &pre, &exports, identity).await.map_err(failed)?;
        let description = check_description(said.clone(), &admitted)
            .map_err(|error| SandboxError::Description { path: path.clone(), error })?;
        let cost = Cost {
            from_cache,
            prepared_us: micros(prepared),
            code_bytes,
            start_us: micros(took),
            memory_bytes,
            table_bytes,
            structures_max_bytes: admitted.structures_max_bytes,
        };
        let loaded = Loaded { shared, pre, exports, said, description, admitted };
        Ok(Plugin::new(loaded, PluginFile { path, digest, size_bytes, cost }))
    }
}

/// A file that may be a plugin: its bytes as they were read, and what they are known by.
#[derive(Clone)]
pub struct ReadPlugin {
    path: PathBuf,
    bytes: Vec<u8>,
    digest: String,
}

impl ReadPlugin {
    /// The file.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The SHA-256 of what was read: 64 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.digest
    }

    /// How many bytes were read.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.bytes.len() as u64
    }

    /// What was read.
    #[must_use]
    pub fn bytes(&self) -> &[u8] {
        &self.bytes
    }

    /// The full names of what the component imports, and of what it exports. Nothing of it is compiled or run.
    ///
    /// # Errors
    /// When it is no component, or is damaged.
    pub fn names(&self) -> Result<(Vec<String>, Vec<String>), SandboxError> {
        admission::names(&self.bytes).map_err(|error| SandboxError::Refused { path: self.path.clone(), error })
    }
}

/// What is known of a plugin's file before it says anything itself.
struct File {
    admitted: Admitted,
    digest: String,
    size_bytes: u64,
    from_cache: bool,
    /// How long it took to have the machine code, and how much that is.
    prepared: Duration,
    code_bytes: u64,
}

/// A plugin that may run here, compiled or not.
enum Found {
    Compiled(Box<Component>),
    Bytes(Vec<u8>),
}

fn stopped(reason: String) -> SandboxError {
    SandboxError::Setup { reason }
}

/// Decides whether what was read may run here, and looks for its code in the cache.
fn admit(shared: &Shared, path: &Path, plugin: ReadPlugin) -> Result<(File, Found), SandboxError> {
    let size_bytes = plugin.size_bytes();
    let ReadPlugin { bytes, digest, .. } = plugin;
    let admitted = admission::admit(&bytes).map_err(|error| SandboxError::Refused { path: path.to_owned(), error })?;
    let begun = Instant::now();
    let cached = shared.cache.as_ref().and_then(|cache| cache.get(&digest)).and_then(|code| {
        let code_bytes = code.bytes().len() as u64;
        // SAFETY: the cache hands out only code that carries the keyed hash of this installation for this digest and
        // these engine settings, which means that our own compiler wrote it and nothing changed it since.
        #[allow(unsafe_code)]
        let component = unsafe { Component::deserialize(&shared.engine, code.bytes()) }.ok()?;
        Some((component, code_bytes))
    });
    let from_cache = cached.is_some();
    let (found, code_bytes) = match cached {
        Some((component, code_bytes)) => (Found::Compiled(Box::new(component)), code_bytes),
        None => (Found::Bytes(bytes), 0),
    };
    Ok((File { admitted, digest, size_bytes, from_cache, prepared: begun.elapsed(), code_bytes }, found))
}

/// Takes what the compiler answered with, which was asked for when it `begun`, and keeps it for the next start.
fn take(
    shared: &Shared,
    path: &Path,
    file: File,
    code: &[u8],
    begun: Instant,
) -> Result<(File, Component), SandboxError> {
    // SAFETY: this is what `precompile_component` answered with in our own process, or in one that ran our own program
    // and wrote into a pipe that nobody else has. Code of another version or of other settings is refused.
    #[allow(unsafe_code)]
    let component = unsafe { Component::deserialize(&shared.engine, code) }.map_err(|error| {
        let reason = format!("has other settings than this one: {error:#}");
        SandboxError::Compile { path: path.to_owned(), error: CompileError::NoCompiler { reason } }
    })?;
    if let Some(cache) = &shared.cache {
        cache.put(&file.digest, code);
    }
    Ok((File { prepared: begun.elapsed(), code_bytes: code.len() as u64, ..file }, component))
}

fn micros(time: Duration) -> u64 {
    u64::try_from(time.as_micros()).unwrap_or(u64::MAX)
}

fn invalid(path: &Path, error: &wasmtime::Error) -> SandboxError {
    let reason = PluginText::line(&format!("{error:#}"), 1 << 10, &Redactor::default()).into_string();
    SandboxError::Invalid { path: path.to_owned(), reason }
}

/// Reads a file of bounded size. One that grows meanwhile is noticed.
fn read(path: &Path) -> Result<ReadPlugin, SandboxError> {
    let unreadable = |source: io::Error| match source.kind() {
        io::ErrorKind::NotFound => SandboxError::NotFound { path: path.to_owned() },
        _ => SandboxError::Unreadable { path: path.to_owned(), source },
    };
    let refused = |error| SandboxError::Refused { path: path.to_owned(), error };
    // Otherwise what is no file, like a FIFO, could hold up whoever opens it.
    let without_waiting = rustix::fs::OFlags::NONBLOCK.bits().cast_signed();
    let file = std::fs::OpenOptions::new().read(true).custom_flags(without_waiting).open(path).map_err(unreadable)?;
    let meta = file.metadata().map_err(unreadable)?;
    if !meta.is_file() {
        return Err(unreadable(io::Error::other("it is not a file")));
    }
    // Before it is read: it may be of any length. It can still grow meanwhile.
    admission::check_size(meta.len()).map_err(refused)?;
    let mut bytes = Vec::with_capacity(usize::try_from(meta.len()).unwrap_or(0).saturating_add(1));
    file.take(Limits::PLUGIN_MAX_BYTES + 1).read_to_end(&mut bytes).map_err(unreadable)?;
    admission::check_size(bytes.len() as u64).map_err(refused)?;
    let digest = Sha256::digest(&bytes).iter().map(|b| format!("{b:02x}")).collect();
    Ok(ReadPlugin { path: path.to_owned(), bytes, digest })
}
