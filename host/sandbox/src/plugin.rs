//! A loaded plugin: what it is, and instances of it.

use crate::admission::{Admitted, CONTRACT_VERSION, Role};
use crate::bindings::roles::describe as wit;
use crate::grants::{Grants, Origin};
use crate::host::{Host, Identity};
use crate::instance::{Exports, Keeper, describe_alone};
use crate::limits::Limits;
use crate::ports::{Destination, Source, Transformer};
use crate::sandbox::{Compiled, SandboxError, Shared, invalid};
use crate::text::{PluginText, Redactor};
use crossdock_engine::ports::{CallError, DestinationPort, PortError, SourcePort, TransformerPort};
use crossdock_model::{ErrorClass, RouteName, StepName};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};
use thiserror::Error;
use wasmtime::component::InstancePre;

/// The longest summary that is kept.
const SUMMARY_MAX_BYTES: usize = 1 << 10;
/// The longest settings schema.
const SCHEMA_MAX_BYTES: usize = 256 << 10;
/// The most wants.
const WANTS_MAX: usize = 64;
/// The most records in one batch that any plugin may ask for.
const BATCH_MAX_RECORDS: u32 = 10_000;

/// What a plugin says of itself breaks the contract.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{rule}")]
pub struct DescriptionError {
    /// Which rule, and what was found.
    pub rule: String,
}

/// One thing that a plugin wants to be granted; the text says what for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Want {
    /// A directory to read.
    ReadDir(String),
    /// A directory to write to.
    WriteDir(String),
    /// HTTP requests.
    Http(String),
    /// A secret that the settings name.
    Secret(String),
}

/// What a plugin says of itself, checked and made fit to be shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Description {
    /// 1 to 64 of `a-z 0-9 -`.
    pub name: String,
    /// Semantic version.
    pub version: String,
    /// One line for people.
    pub summary: String,
    /// What it is there for.
    pub role: Role,
    /// JSON Schema of its settings.
    pub settings_schema: serde_json::Value,
    /// What it wants to be granted.
    pub wants: Vec<Want>,
    /// The most records in one batch.
    pub max_batch: u32,
}

/// What one instance of a plugin is for, and what it may do.
#[derive(Debug, Clone)]
pub struct Instance {
    /// The route it works in.
    pub route: RouteName,
    /// The step it works at; [`StepName::source`] for a source.
    pub step: StepName,
    /// Its settings as JSON text. That they fit the schema is checked by the caller.
    pub settings_json: String,
    /// What it may reach.
    pub grants: Grants,
    /// What it may use.
    pub limits: Limits,
    /// Its durable key-value pairs as the ledger has them.
    pub state: Vec<(String, Vec<u8>)>,
    /// Set to true to tell the plugin that the run was asked to stop.
    pub cancelled: Arc<AtomicBool>,
}

impl Instance {
    /// An instance without grants, with the default limits and without state.
    #[must_use]
    pub fn new(route: RouteName, step: StepName, settings_json: impl Into<String>) -> Self {
        Self {
            route,
            step,
            settings_json: settings_json.into(),
            grants: Grants::default(),
            limits: Limits::default(),
            state: Vec::new(),
            cancelled: Arc::default(),
        }
    }
}

/// A loaded plugin. Cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    inner: Arc<Loaded>,
}

pub(crate) struct Loaded {
    pub(crate) shared: Arc<Shared>,
    pub(crate) pre: InstancePre<Host>,
    pub(crate) exports: Exports,
    pub(crate) description: Description,
    pub(crate) admitted: Admitted,
    path: PathBuf,
    digest: String,
    size_bytes: u64,
    from_cache: bool,
}

impl Plugin {
    /// The file it was loaded from.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.inner.path
    }

    /// The SHA-256 of its file: 64 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.inner.digest
    }

    /// What it says of itself.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.inner.description
    }

    /// Whether it exports `compensate`.
    #[must_use]
    pub fn exports_compensate(&self) -> bool {
        self.inner.admitted.compensate
    }

    /// Whether it exports `probe`.
    #[must_use]
    pub fn exports_probe(&self) -> bool {
        self.inner.admitted.probe
    }

    /// The size of its file in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.inner.size_bytes
    }

    /// The version of the plugin contract that it was built for.
    #[must_use]
    pub fn contract_version(&self) -> &'static str {
        // No other version is admitted.
        CONTRACT_VERSION
    }

    /// Whether its compiled code came from the cache.
    #[must_use]
    pub fn is_from_cache(&self) -> bool {
        self.inner.from_cache
    }

    /// Configures an instance as a source.
    ///
    /// # Errors
    /// When it refuses its settings, commits a fault, has another role, or a grant cannot be given.
    pub async fn source(&self, instance: Instance) -> Result<Arc<dyn SourcePort>, CallError> {
        let (keeper, abilities) = self.configure(instance, Role::Source).await?;
        Ok(Arc::new(Source { keeper, abilities }))
    }

    /// Configures an instance as a transformer.
    ///
    /// # Errors
    /// As for [`Plugin::source`].
    pub async fn transformer(&self, instance: Instance) -> Result<Arc<dyn TransformerPort>, CallError> {
        let (keeper, abilities) = self.configure(instance, Role::Transformer).await?;
        Ok(Arc::new(Transformer { keeper, abilities }))
    }

    /// Configures an instance as a destination.
    ///
    /// # Errors
    /// As for [`Plugin::source`].
    pub async fn destination(&self, instance: Instance) -> Result<Arc<dyn DestinationPort>, CallError> {
        let (keeper, abilities) = self.configure(instance, Role::Destination).await?;
        Ok(Arc::new(Destination { keeper, abilities }))
    }

    async fn configure(
        &self,
        instance: Instance,
        wanted: Role,
    ) -> Result<(Arc<Keeper>, crossdock_engine::ports::Abilities), CallError> {
        let Description { name, role, .. } = &self.inner.description;
        if *role != wanted {
            return Err(CallError::Host(PortError {
                code: "plugin-wrong-role",
                class: ErrorClass::InvalidInput,
                message: format!(
                    "the plugin {name} at step {} of route {} is a {}, and a {} is needed there",
                    instance.step,
                    instance.route,
                    role.as_str(),
                    wanted.as_str()
                ),
                fix: Some(format!("name a plugin there that is a {}", wanted.as_str())),
            }));
        }
        let identity = identity(&self.inner, &instance)?;
        let keeper = Arc::new(Keeper::new(self.inner.clone(), identity, instance.grants.dirs, instance.settings_json));
        let abilities = keeper.configured().await?;
        Ok((keeper, abilities))
    }

    pub(crate) async fn describe(shared: Arc<Shared>, path: PathBuf, compiled: Compiled) -> Result<Self, SandboxError> {
        let Compiled { component, admitted, digest, size_bytes, from_cache } = compiled;
        let pre = shared.linker.instantiate_pre(&component).map_err(|error| invalid(&path, &error))?;
        let exports = Exports::find(&pre, &admitted).map_err(|error| invalid(&path, &error))?;
        let name = path.file_stem().map_or_else(|| "plugin".to_owned(), |stem| stem.to_string_lossy().into_owned());
        let identity = Arc::new(Identity {
            route: String::new(),
            step: String::new(),
            plugin: PluginText::line(&name, 64, &Redactor::default()).into_string(),
            origins: Vec::new(),
            secrets: Vec::new(),
            redactor: Redactor::default(),
            limits: shared.config.limits,
            clock: shared.config.clock.clone(),
            client: shared.client.clone(),
            cancelled: Arc::default(),
            state: Arc::default(),
            io: io(&shared).map_err(|error| SandboxError::Setup { reason: error.to_string() })?,
        });
        let described = describe_alone(&shared, &pre, &exports, identity).await;
        let described =
            described.map_err(|error| SandboxError::Describe { path: path.clone(), error: Box::new(error) })?;
        let description = check_description(described, &admitted)
            .map_err(|error| SandboxError::Description { path: path.clone(), error })?;
        let inner = Loaded { shared, pre, exports, description, admitted, path, digest, size_bytes, from_cache };
        Ok(Self { inner: Arc::new(inner) })
    }
}

fn io(shared: &Shared) -> Result<tokio::runtime::Handle, CallError> {
    shared.threads.io().cloned().ok_or_else(|| crate::fault::internal("the sandbox is shut down".to_owned()))
}

fn identity(loaded: &Loaded, instance: &Instance) -> Result<Arc<Identity>, CallError> {
    let place =
        || format!("the plugin {} at step {} of route {}", loaded.description.name, instance.step, instance.route);
    let mut origins = Vec::with_capacity(instance.grants.http.len());
    for text in &instance.grants.http {
        origins.push(Origin::parse(text).map_err(|error| {
            CallError::Host(PortError {
                code: "grant-invalid",
                class: ErrorClass::InvalidInput,
                message: format!("granting HTTP requests to {}: {error}", place()),
                fix: Some(
                    "write scheme, host and, if it is not the usual one, port: https://api.example.com".to_owned(),
                ),
            })
        })?);
    }
    Ok(Arc::new(Identity {
        route: instance.route.to_string(),
        step: instance.step.to_string(),
        plugin: loaded.description.name.clone(),
        origins,
        secrets: instance.grants.secrets.clone(),
        redactor: instance.grants.redactor(),
        limits: instance.limits,
        clock: loaded.shared.config.clock.clone(),
        client: loaded.shared.client.clone(),
        cancelled: instance.cancelled.clone(),
        state: Arc::new(Mutex::new(instance.state.iter().cloned().collect())),
        io: io(&loaded.shared)?,
    }))
}

/// Makes what a plugin says of itself fit to be believed and shown.
pub(crate) fn check_description(said: wit::Description, admitted: &Admitted) -> Result<Description, DescriptionError> {
    let refuse = |rule: String| Err(DescriptionError { rule });
    let plain = Redactor::default();
    let line = |text: &str| PluginText::line(text, SUMMARY_MAX_BYTES, &plain).into_string();
    let is_name = (1..=64).contains(&said.name.len())
        && said.name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !is_name {
        return refuse(format!("its name {:?} is not 1 to 64 of a-z, 0-9 and -", line(&said.name)));
    }
    if !is_version(&said.version) {
        return refuse(format!("its version {:?} is not a semantic version", line(&said.version)));
    }
    let role = match said.role {
        wit::Role::Source => Role::Source,
        wit::Role::Transformer => Role::Transformer,
        wit::Role::Destination => Role::Destination,
    };
    if role != admitted.role {
        return refuse(format!("it says that it is a {} and exports {}", role.as_str(), admitted.role.as_str()));
    }
    if said.settings_schema.len() > SCHEMA_MAX_BYTES {
        return refuse(format!("its settings schema is longer than {SCHEMA_MAX_BYTES} bytes"));
    }
    let settings_schema: serde_json::Value = match serde_json::from_str(&said.settings_schema) {
        Ok(schema @ (serde_json::Value::Object(_) | serde_json::Value::Bool(_))) => schema,
        Ok(_) => return refuse("its settings schema is neither an object nor a boolean".to_owned()),
        Err(error) => return refuse(format!("its settings schema is not JSON: {error}")),
    };
    if !(1..=BATCH_MAX_RECORDS).contains(&said.max_batch) {
        return refuse(format!("its max-batch {} is not between 1 and {BATCH_MAX_RECORDS}", said.max_batch));
    }
    if said.wants.len() > WANTS_MAX {
        return refuse(format!("it wants {} things; {WANTS_MAX} are allowed", said.wants.len()));
    }
    let wants = said.wants.iter().map(|want| match want {
        wit::Want::ReadDir(text) => Want::ReadDir(line(text)),
        wit::Want::WriteDir(text) => Want::WriteDir(line(text)),
        wit::Want::Http(text) => Want::Http(line(text)),
        wit::Want::Secret(text) => Want::Secret(line(text)),
    });
    let wants = wants.collect();
    let summary = line(&said.summary);
    Ok(Description {
        name: said.name,
        version: said.version,
        summary,
        role,
        settings_schema,
        wants,
        max_batch: said.max_batch,
    })
}

/// Three numbers, and perhaps more after `-` or `+`.
fn is_version(text: &str) -> bool {
    let is_word = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'+');
    let (numbers, rest) = text.split_at(text.find(['-', '+']).unwrap_or(text.len()));
    let numbers: Vec<_> = numbers.split('.').collect();
    text.len() <= 64
        && numbers.len() == 3
        && numbers.iter().all(|n| !n.is_empty() && n.bytes().all(|b| b.is_ascii_digit()))
        && rest.len() != 1
        && rest.bytes().all(is_word)
}

#[cfg(test)]
#[allow(clippy::panic)]
mod tests {
    use super::*;

    fn check(change: impl FnOnce(&mut wit::Description), expected: Result<(), &str>) {
        let mut said = wit::Description {
            name: "map".to_owned(),
            version: "0.1.0".to_owned(),
            summary: "maps\nfields".to_owned(),
            role: wit::Role::Transformer,
            settings_schema: "{}".to_owned(),
            wants: vec![wit::Want::Http("the ERP".to_owned())],
            max_batch: 500,
        };
        change(&mut said);
        let admitted = Admitted { role: Role::Transformer, compensate: false, probe: false };
        match (check_description(said, &admitted), expected) {
            (Ok(description), Ok(())) => assert_eq!(description.summary, "maps\\nfields"),
            (Err(error), Err(text)) => assert!(error.rule.contains(text), "{error}"),
            (found, expected) => panic!("{found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn descriptions_are_checked() {
        check(|_| {}, Ok(()));
        check(|d| d.version = "1.20.3-rc.1+b7".to_owned(), Ok(()));
        check(|d| d.name = "Map".to_owned(), Err("name"));
        check(|d| d.name = String::new(), Err("name"));
        check(|d| d.version = "1.0".to_owned(), Err("version"));
        check(|d| d.version = "1.0.0-".to_owned(), Err("version"));
        check(|d| d.version = "1.0.x".to_owned(), Err("version"));
        check(|d| d.role = wit::Role::Source, Err("exports transformer"));
        check(|d| d.settings_schema = "{".to_owned(), Err("not JSON"));
        check(|d| d.settings_schema = "[]".to_owned(), Err("neither"));
        check(|d| d.max_batch = 0, Err("max-batch"));
        check(|d| d.max_batch = 10_001, Err("max-batch"));
        check(|d| d.wants = vec![wit::Want::Http(String::new()); 65], Err("wants"));
    }
}
