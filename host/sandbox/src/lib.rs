//! Runs plugins as WebAssembly components: grants, limits, host imports, compile cache.
//!
//! **Does**: decides whether a file may run, compiles it, runs its calls within limits, offers it what it was
//! granted, and checks every answer before it becomes an answer of a plugin port.
//! **May touch**: wasmtime, the files and directories it is given, the network for granted requests, threads of
//! its own, and one kind of process: its own program again, to compile a plugin.
//! **Never**: the ledger, the route file, the machine's wall clock (the clock port says what time it is), or
//! anything that a plugin was not granted.
//!
//! A plugin is hostile until proven otherwise. What that means here: nothing is offered that was not granted; every
//! number and text from a guest is checked where it enters; whatever does not come back in good order is thrown away
//! with its store. What went wrong arrives at the engine as a value: a refusal, or a fault that says which.

mod admission;
mod binding;
mod bindings;
mod budget;
mod cache;
pub mod codes;
mod compile;
mod compile_child;
mod contract;
mod cost;
mod deadline;
mod decode;
mod description;
mod exchanges;
mod fault;
mod files;
mod grants;
mod host;
mod http_client;
mod imports;
mod instance;
mod jail;
mod known_secrets;
mod limiter;
mod limits;
mod log_rate;
mod machine;
mod meter;
mod pace;
mod plugin;
mod ports;
mod redact;
mod request_limits;
mod sandbox;
mod secret_values;
mod sections;
mod shape;
mod shared;
mod stderr;
mod text;
mod ticks;
mod under_way;

pub use admission::{AdmissionError, Role};
pub use cache::CacheError;
pub use compile::{CompileError, Compiler};
pub use compile_child::compile_if_asked;
pub use cost::Cost;
pub use description::{Description, DescriptionError, Want};
pub use grants::{DirGrant, Grants, HttpGrant, SecretGrant, SecretValue, WriteBudget};
pub use http_client::{Answering, Certificates, CertificatesError, GivenAnswer, OutgoingRequest, Resolver, Resolving};
pub use known_secrets::KnownSecrets;
pub use limits::{CompileLimits, Limits};
pub use plugin::{Instance, Plugin};
pub use redact::{Redactor, SECRET_MIN_BYTES};
pub use request_limits::RequestLimits;
pub use sandbox::{ReadPlugin, Sandbox, SandboxConfig, SandboxError};
pub use secret_values::read_secret;
pub use text::{PluginText, is_unfit};
