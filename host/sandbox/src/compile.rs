//! Turning a component into machine code, in a process of its own that can be lost.
//!
//! The compiler has no bound of its own: two kilobytes of component can make it take gigabytes, minutes, or the whole
//! process down. So a child does it, which has given up everything that it does not need (see `jail`), and the
//! host only waits, counts and reads.

use crate::compile_child::{self, arguments};
use crate::jail::Bounds;
use crate::limits::CompileLimits;
use crate::redact::Redactor;
use crate::text::PluginText;
use crossdock_model::{ErrorClass, Explained};
use std::ffi::OsString;
use std::io;
use std::os::unix::process::ExitStatusExt as _;
use std::path::PathBuf;
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWriteExt as _};
use tokio::sync::Semaphore;
use tokio::time::timeout;
use wasmtime::Engine;

/// How much of what a child says is read.
const WORDS_MAX_BYTES: u64 = 4 << 10;
/// The number of the signal by which a process ends itself.
const SIGABRT: i32 = 6;
/// The number of the signal that says that the computing time is over, where it is known.
#[cfg(target_os = "linux")]
const SIGXCPU: i32 = 24;
#[cfg(not(target_os = "linux"))]
const SIGXCPU: i32 = 30;

/// Who compiles plugins.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Compiler {
    /// This program, started again. Its `main` must call [`compile_if_asked`](crate::compile_if_asked) first; a
    /// sandbox refuses to compile otherwise.
    #[default]
    ThisProgram,
    /// Another program whose `main` calls [`compile_if_asked`](crate::compile_if_asked) first, of the same
    /// version and build settings: `crossdock-compile`, which comes with this crate, is one.
    Program {
        /// Where it is.
        path: PathBuf,
        /// What is put in front of the host's own arguments. Empty, unless `path` is a program that starts another
        /// one, like `nice`.
        arguments: Vec<OsString>,
    },
    /// No other process: this one. **A hostile plugin can then use up all memory, compute for hours or end the
    /// whole process**, before it has run a single instruction, and no limit of [`CompileLimits`] holds. For plugins
    /// that you built yourself, and where processes cannot be started.
    InProcess,
}

/// Why there is no machine code.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum CompileError {
    /// Compiling it takes more than it may.
    #[error("compiling it takes more than {max} ({limit})")]
    Limit {
        /// The limit's name in [`CompileLimits`].
        limit: &'static str,
        /// What it is set to, with its unit.
        max: String,
    },
    /// The compiler ended in the middle.
    #[error("the compiler did not survive it: {reason}")]
    Crashed {
        /// How it ended.
        reason: String,
    },
    /// The component is not valid.
    #[error("{reason}")]
    Invalid {
        /// What the compiler says.
        reason: String,
    },
    /// There is no process that compiles.
    #[error("the process that compiles plugins {reason}")]
    NoCompiler {
        /// What is the matter with it.
        reason: String,
    },
}

impl Explained for CompileError {
    fn code(&self) -> &'static str {
        match self {
            Self::Limit { .. } => "plugin-compile-limit",
            Self::Crashed { .. } => "plugin-compile-crashed",
            Self::Invalid { .. } => "plugin-invalid",
            Self::NoCompiler { .. } => "sandbox-compiler",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::NoCompiler { .. } => ErrorClass::Environment,
            _ => ErrorClass::InvalidInput,
        }
    }

    fn fix(&self) -> Option<String> {
        Some(match self {
            Self::Limit { .. } => {
                "make the plugin smaller; if you trust whoever built it, the program that embeds the sandbox can raise \
                 the limit"
            }
            Self::Crashed { .. } => {
                "do not use this plugin before you know what is in it; if it is your own, build it with less code in \
                 one function"
            }
            Self::Invalid { .. } => "build it again for wasm32-wasip2 with a Crossdock SDK",
            Self::NoCompiler { .. } => {
                "call `compile_if_asked` first thing in `main`, or name a program that does, of the same version"
            }
        }
        .to_owned())
    }
}

/// Compiles, so many at a time.
pub(crate) struct Compiling {
    compiler: Compiler,
    limits: CompileLimits,
    turns: Semaphore,
}

impl Compiling {
    pub(crate) fn new(compiler: Compiler, limits: CompileLimits) -> Self {
        Self { compiler, limits, turns: Semaphore::new(CompileLimits::AT_ONCE_MAX) }
    }

    /// Machine code for this engine. Waits for its turn, then as long as the limits say; dropping what this answers
    /// with ends the child. Must run where tokio can watch processes.
    pub(crate) async fn compile(&self, engine: &Engine, component: Vec<u8>) -> Result<Vec<u8>, CompileError> {
        let Ok(_turn) = self.turns.acquire().await else {
            return Err(CompileError::NoCompiler { reason: "is shut down".to_owned() });
        };
        let program = match &self.compiler {
            Compiler::ThisProgram => this_program()?,
            Compiler::Program { path, .. } => path.clone(),
            Compiler::InProcess => {
                let engine = engine.clone();
                let compiled = tokio::task::spawn_blocking(move || engine.precompile_component(&component)).await;
                let compiled = compiled.map_err(|_| CompileError::Crashed { reason: "it panicked".to_owned() })?;
                return compiled.map_err(|error| CompileError::Invalid { reason: words(&format!("{error:#}")) });
            }
        };
        let ended = timeout(Duration::from_secs(self.limits.time_max_s), self.run(&program, &component)).await;
        self.judge(ended.map_err(|_| self.over_time("time_max_s", self.limits.time_max_s))??)
    }

    async fn run(&self, program: &PathBuf, component: &[u8]) -> Result<Ended, CompileError> {
        let CompileLimits { memory_max_bytes, cpu_time_max_s, code_max_bytes, .. } = self.limits;
        let failed = |what: &str, error: io::Error| CompileError::NoCompiler {
            reason: format!("{what} ({}): {error}", program.display()),
        };
        // The one process that the sandbox starts: never for a plugin's sake, and never one that a plugin names.
        #[allow(clippy::disallowed_methods)]
        let mut command = tokio::process::Command::new(program);
        if let Compiler::Program { arguments, .. } = &self.compiler {
            command.args(arguments);
        }
        command.args(arguments(Bounds { memory_max_bytes, cpu_time_max_s })).env_clear().current_dir("/");
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped());
        // Ctrl-C ends the host's work in good order; a child that it ended too would look like a bad plugin.
        command.process_group(0).kill_on_drop(true);
        let mut child = command.spawn().map_err(|error| failed("cannot be started", error))?;
        let (stdin, stdout, stderr) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
        let give = async {
            if let Some(mut stdin) = stdin {
                // A child that does not take it all has a reason, which its end tells.
                let _ = stdin.write_all(component).await;
            }
        };
        let answer_max = code_max_bytes.saturating_add(HEAD_BYTES as u64 + 1);
        let (answer, said, ()) = tokio::join!(read(stdout, answer_max), read(stderr, WORDS_MAX_BYTES), give);
        let answer = answer.map_err(|error| failed("cannot be read from", error))?;
        let status = child.wait().await.map_err(|error| failed("cannot be waited for", error))?;
        Ok(Ended { status, answer, said: said.unwrap_or_default() })
    }

    fn over_time(&self, limit: &'static str, max_s: u64) -> CompileError {
        CompileError::Limit { limit, max: format!("{max_s} s") }
    }

    /// What a child's end means.
    fn judge(&self, ended: Ended) -> Result<Vec<u8>, CompileError> {
        let Ended { status, mut answer, said } = ended;
        let CompileLimits { memory_max_bytes, cpu_time_max_s, code_max_bytes, .. } = self.limits;
        let said = words(&String::from_utf8_lossy(&said));
        let over = |limit, max_bytes: u64| CompileError::Limit { limit, max: format!("{} MiB", max_bytes >> 20) };
        if answer.len() as u64 > code_max_bytes.saturating_add(HEAD_BYTES as u64) {
            return Err(over("code_max_bytes", code_max_bytes));
        }
        let reason = match (status.code().and_then(|code| u8::try_from(code).ok()), status.signal()) {
            (Some(compile_child::DONE), _) => {
                let head: Vec<u8> = answer.drain(..HEAD_BYTES.min(answer.len())).collect();
                return if head == compile_child::head(answer.len() as u64) {
                    Ok(answer)
                } else {
                    Err(CompileError::NoCompiler { reason: "gave an answer of another form".to_owned() })
                };
            }
            (Some(compile_child::INVALID), _) => return Err(CompileError::Invalid { reason: said }),
            (Some(compile_child::NO_MEMORY), _) => return Err(over("memory_max_bytes", memory_max_bytes)),
            (_, Some(SIGXCPU)) => return Err(self.over_time("cpu_time_max_s", cpu_time_max_s)),
            // What Rust and the system say when there is no more memory.
            (_, Some(SIGABRT)) if said.contains("memory allocation of") || said.contains("annot allocate memory") => {
                return Err(over("memory_max_bytes", memory_max_bytes));
            }
            (Some(compile_child::PANICKED), _) if said.contains("annot allocate memory") => {
                return Err(over("memory_max_bytes", memory_max_bytes));
            }
            (_, Some(signal)) => format!("it was ended by signal {signal}: {said}"),
            (Some(compile_child::PANICKED), _) => format!("it panicked: {said}"),
            _ => return Err(CompileError::NoCompiler { reason: format!("ended with {status}: {said}") }),
        };
        Err(CompileError::Crashed { reason })
    }
}

/// How a child ended, and what it left behind.
struct Ended {
    status: ExitStatus,
    answer: Vec<u8>,
    said: Vec<u8>,
}

const HEAD_BYTES: usize = compile_child::head(0).len();

/// The program that this process runs, if it can be started again.
fn this_program() -> Result<PathBuf, CompileError> {
    if !compile_child::is_compiler() {
        // Otherwise it would do its own work again, and start itself for that, without end.
        let reason = "would be this program, which did not call `compile_if_asked` when it began".to_owned();
        return Err(CompileError::NoCompiler { reason });
    }
    if cfg!(target_os = "linux") {
        // The very file that runs here, even if another version has taken its place meanwhile.
        return Ok("/proc/self/exe".into());
    }
    let unknown =
        |error| CompileError::NoCompiler { reason: format!("is this program, which cannot be found: {error}") };
    std::env::current_exe().map_err(unknown)
}

/// Reads to the end, or to the limit; then nobody reads any more, which ends a child that goes on writing.
async fn read(from: Option<impl AsyncRead + Unpin>, max_bytes: u64) -> io::Result<Vec<u8>> {
    let mut bytes = Vec::new();
    if let Some(from) = from {
        from.take(max_bytes).read_to_end(&mut bytes).await?;
    }
    Ok(bytes)
}

fn words(said: &str) -> String {
    PluginText::line(said.trim(), 1 << 10, &Redactor::default()).into_string()
}
