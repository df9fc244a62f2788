//! A loaded plugin: what it is, and instances of it.

use crate::admission::Role;
use crate::binding::Bindings;
use crate::cost::Cost;
use crate::description::Description;
use crate::grants::{GrantError, Grants, HttpGrant};
use crate::host::Identity;
use crate::http_client::Doors;
use crate::instance::{Keeper, Loaded};
use crate::limits::Limits;
use crate::ports::{Destination, Source, Transformer};
use crate::request_limits::RequestLimits;
use crate::secret_values::SecretValues;
use crossdock_engine::ports::{Abilities, CallError, DestinationPort, PortError, SourcePort, TransformerPort};
use crossdock_model::{ContractVersion, ErrorClass, RouteName, StepName};
use std::path::PathBuf;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

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
    /// How many requests may go to the system it talks to, shared with all instances that have the same; `None` is
    /// as many as it likes.
    pub request_limits: Option<Arc<RequestLimits>>,
    /// Its durable key-value pairs as the ledger has them.
    pub state: Vec<(String, Vec<u8>)>,
    /// Set to true to tell the plugin that the run was asked to stop. Calls that undo or ask are not told: a run that
    /// stops in good order still makes them.
    pub cancelled: Arc<AtomicBool>,
}

impl Instance {
    /// An instance without grants, with the default limits, without limits shared with others, and without state.
    #[must_use]
    pub fn new(route: RouteName, step: StepName, settings_json: impl Into<String>) -> Self {
        Self {
            route,
            step,
            settings_json: settings_json.into(),
            grants: Grants::default(),
            limits: Limits::default(),
            request_limits: None,
            state: Vec::new(),
            cancelled: Arc::default(),
        }
    }
}

/// A loaded plugin. Cheap to clone.
#[derive(Clone)]
pub struct Plugin {
    loaded: Arc<Loaded>,
    file: Arc<PluginFile>,
}

/// The file that a plugin was loaded from.
pub(crate) struct PluginFile {
    pub(crate) path: PathBuf,
    pub(crate) digest: String,
    pub(crate) size_bytes: u64,
    pub(crate) cost: Cost,
}

impl Plugin {
    pub(crate) fn new(loaded: Loaded, file: PluginFile) -> Self {
        Self { loaded: Arc::new(loaded), file: Arc::new(file) }
    }

    /// The file it was loaded from.
    #[must_use]
    pub fn path(&self) -> &std::path::Path {
        &self.file.path
    }

    /// The SHA-256 of its file: 64 hexadecimal digits.
    #[must_use]
    pub fn digest(&self) -> &str {
        &self.file.digest
    }

    /// What it says of itself.
    #[must_use]
    pub fn description(&self) -> &Description {
        &self.loaded.description
    }

    /// Whether it exports `compensate`.
    #[must_use]
    pub fn exports_compensate(&self) -> bool {
        self.loaded.admitted.compensate
    }

    /// Whether it exports `probe`.
    #[must_use]
    pub fn exports_probe(&self) -> bool {
        self.loaded.admitted.probe
    }

    /// What its imports let it ask the host for, each word once and sorted: `clock`, `control`, `environment`, `exit`,
    /// `files`, `http`, `log`, `metrics`, `random`, `secrets`, `standard-streams`, `state`. That is found in its file
    /// and not something it says; what it is given is decided by its grants.
    #[must_use]
    pub fn imports(&self) -> &[&'static str] {
        &self.loaded.admitted.imports
    }

    /// The size of its file in bytes.
    #[must_use]
    pub fn size_bytes(&self) -> u64 {
        self.file.size_bytes
    }

    /// The version of the plugin contract that it was built for: this host's, or an earlier one that goes together with it.
    #[must_use]
    pub fn contract_version(&self) -> ContractVersion {
        self.loaded.admitted.contract
    }

    /// Whether its compiled code came from the cache.
    #[must_use]
    pub fn is_from_cache(&self) -> bool {
        self.file.cost.from_cache
    }

    /// What it took to load it this time, and what an instance of it takes.
    #[must_use]
    pub fn cost(&self) -> Cost {
        self.file.cost
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

    async fn configure(&self, instance: Instance, wanted: Role) -> Result<(Arc<Keeper>, Abilities), CallError> {
        let Description { name, role, .. } = &self.loaded.description;
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
        let identity = identity(&self.loaded, &instance)?;
        let keeper = Arc::new(Keeper::new(self.loaded.clone(), identity, instance.grants.dirs, instance.settings_json));
        let abilities = keeper.configured().await?;
        Ok((keeper, abilities))
    }
}

fn identity(loaded: &Loaded, instance: &Instance) -> Result<Arc<Identity>, CallError> {
    let place =
        || format!("the plugin {} at step {} of route {}", loaded.description.name, instance.step, instance.route);
    let refused = |what: &str, error: GrantError| {
        CallError::Host(PortError {
            code: "grant-invalid",
            class: ErrorClass::InvalidInput,
            message: format!("granting {what} to {}: {error}", place()),
            fix: Some(error.fix().to_owned()),
        })
    };
    let origins = instance.grants.http.iter().map(HttpGrant::checked).collect::<Result<Vec<_>, _>>();
    let origins = origins.map_err(|error| refused("HTTP requests", error))?;
    let bindings = Bindings::new(&instance.grants.secrets).map_err(|error| refused("secrets", error))?;
    Ok(Arc::new(Identity {
        route: instance.route.to_string(),
        step: instance.step.to_string(),
        plugin: loaded.description.name.clone(),
        doors: Doors::new(loaded.shared.client.clone(), origins),
        secrets: SecretValues::new(&instance.grants.secrets, loaded.shared.secrets.clone()),
        bindings,
        limits: instance.limits,
        log: Mutex::default(),
        request_limits: instance.request_limits.clone(),
        clock: loaded.shared.clock.clone(),
        cancelled: instance.cancelled.clone(),
        state: Arc::new(Mutex::new(instance.state.iter().cloned().collect())),
        io: loaded.shared.io()?,
        lane: loaded.shared.operations.lane(),
    }))
}
