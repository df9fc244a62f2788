//! From a route file to a route whose plugins are loaded, configured and checked.

use crate::error::Error;
use crate::files::{Files, Seek};
use crate::pins::{Refusal, Unlocked};
use crate::project::OpenProject;
use crate::reach::OwnFiles;
use crate::settings;
use crate::sharing::{Connectors, PacedSource, SharedConnector};
use crate::world::SystemClock;
use crossdock_engine::driver::StepPort;
use crossdock_engine::ports::{Abilities, CallError, DestinationPort, Idempotency, Ledger, SourcePort};
use crossdock_model::{ErrorClass, Explained, HandlerPlace, PluginName, StepName};
use crossdock_route::{
    LockedPlugin, Mistake, Place, PluginUse, Rate, Route, RouteAbilities, SecretFrom, StepAbilities, Want, codes,
};
use crossdock_sandbox::{
    Description, DirGrant, Grants, HttpGrant, Instance, Limits, Plugin, Role, Sandbox, SandboxError, SecretGrant,
    WriteBudget,
};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// Place, name and SHA-256 of each plugin of a route: the source first, then the steps, then the handlers.
pub(crate) type LoadedPlugins = Vec<(StepName, PluginName, String)>;

/// A route that is ready to run.
pub(crate) struct Loaded {
    pub(crate) route: Route,
    pub(crate) source: Arc<dyn SourcePort>,
    pub(crate) steps: Vec<LoadedStep>,
    pub(crate) handlers: Vec<LoadedHandler>,
    pub(crate) plugins: LoadedPlugins,
    /// Those that are not in the lock yet.
    pub(crate) unlocked: Unlocked,
    /// Set to tell its plugins that the run was asked to stop.
    pub(crate) cancelled: Arc<AtomicBool>,
}

/// A step that is ready to run.
pub(crate) struct LoadedStep {
    pub(crate) name: StepName,
    pub(crate) port: StepPort,
    pub(crate) abilities: Abilities,
    pub(crate) checked: StepAbilities,
    /// What is shared with other runs.
    pub(crate) connector: Arc<SharedConnector>,
}

/// A handler that is ready to be called.
pub(crate) struct LoadedHandler {
    pub(crate) place: HandlerPlace,
    pub(crate) port: Arc<dyn DestinationPort>,
    pub(crate) checked: StepAbilities,
}

/// A plugin in use, in one of the three roles.
enum Port {
    Source(Arc<dyn SourcePort>),
    Step(StepPort),
}

impl Port {
    fn abilities(&self) -> Abilities {
        match self {
            Self::Source(port) => port.abilities(),
            Self::Step(StepPort::Transformer(port)) => port.abilities(),
            Self::Step(StepPort::Destination(port)) => port.abilities(),
        }
    }
}

impl LoadedStep {
    pub(crate) fn destination(&self) -> Option<&Arc<dyn DestinationPort>> {
        match &self.port {
            StepPort::Destination(port) => Some(port),
            StepPort::Transformer(_) => None,
        }
    }
}

impl Loaded {
    /// What the plugin at a place can do, and whether it is a destination; `None` for the source.
    pub(crate) fn abilities(&self, place: &StepName) -> Option<(Abilities, Option<bool>)> {
        if *place == StepName::source() {
            return Some((self.source.abilities(), None));
        }
        let step = self.steps.iter().find(|step| step.name == *place);
        let handler = || self.handlers.iter().find(|handler| handler.place.name() == *place);
        step.map(|step| (step.abilities, Some(step.destination().is_some())))
            .or_else(|| handler().map(|handler| (handler.port.abilities(), Some(true))))
    }

    /// The destination at a place.
    pub(crate) fn destination(&self, place: &StepName) -> Option<&Arc<dyn DestinationPort>> {
        let step = self.steps.iter().find(|step| step.name == *place).and_then(LoadedStep::destination);
        let handler = || self.handlers.iter().find(|handler| handler.place.name() == *place);
        step.or_else(|| handler().map(|handler| &handler.port))
    }
}

/// A place of the route at which a plugin stands.
struct Spot<'r> {
    place: Place<'r>,
    name: StepName,
    uses: &'r PluginUse,
    rate: Rate,
}

fn spots<'r>(route: &'r Route, handlers: &'r [HandlerPlace]) -> Vec<Spot<'r>> {
    let (uses, rate) = (route.source(), route.source_rate());
    let mut spots = vec![Spot { place: Place::Source, name: StepName::source(), uses, rate }];
    spots.extend(route.steps().iter().map(|step| Spot {
        place: Place::Step(&step.name),
        name: step.name.clone(),
        uses: &step.uses,
        rate: step.rate,
    }));
    spots.extend(handlers.iter().filter_map(|place| {
        let uses = &route.handler(place)?.uses;
        Some(Spot { place: Place::Handler(place), name: place.name(), uses, rate: Rate::default() })
    }));
    spots
}

/// Loads a route: checks it against its project, loads and configures its plugins and checks what they can do.
/// Changes nothing outside. With a ledger the plugins get their durable state.
///
/// # Errors
/// All mistakes at once, as far as they can be seen independently of each other.
pub(crate) async fn load(
    project: &OpenProject,
    files: &Files<'_>,
    sandbox: &Sandbox,
    connectors: &Connectors,
    own: &OwnFiles,
    route: Route,
    ledger: Option<&dyn Ledger>,
) -> Result<Loaded, Error> {
    route.check_project(&project.file)?;
    let cancelled = Arc::new(AtomicBool::new(false));
    let loader =
        Loader { project, files, sandbox, connectors, own, route: &route, ledger, cancelled: cancelled.clone() };
    let mut mistakes = Vec::new();
    let mut plugins = HashMap::new();
    let mut unlocked = BTreeMap::new();
    let handlers: Vec<HandlerPlace> = route.handlers().into_iter().map(|(place, _)| place).collect();
    let spots = spots(&route, &handlers);
    let mut found = Vec::with_capacity(spots.len());
    for spot in &spots {
        if !plugins.contains_key(&spot.uses.plugin) {
            let loaded = loader.load(spot, &mut unlocked, &mut mistakes).await?;
            plugins.insert(spot.uses.plugin.clone(), loaded);
        }
        let Some(Some(plugin)) = plugins.get(&spot.uses.plugin) else {
            found.push(None);
            continue;
        };
        found.push(loader.open(spot, plugin, &mut mistakes).await?);
    }
    let mut abilities = found.iter().map(|opened| opened.as_ref().map(|opened| opened.checked.clone()));
    let all = RouteAbilities {
        source: abilities.next().flatten(),
        steps: abilities.by_ref().take(route.steps().len()).collect(),
        handlers: abilities.collect(),
    };
    if let Err(more) = route.check_abilities(&all) {
        mistakes.extend(more.into_list());
    }
    route.report(mistakes)?;
    assemble(&route, &spots, found, cancelled, files.pins.unlocked(unlocked))
}

/// A plugin at its place in the route.
struct Opened {
    port: Option<Port>,
    checked: StepAbilities,
    digest: String,
    connector: Arc<SharedConnector>,
}

/// Why a plugin was not loaded.
enum Unloaded {
    /// Something is to be put right in route, project or plugin; others may be wrong as well.
    Mistake(Mistake),
    /// Nothing can be said of the route.
    Error(Error),
}

struct Loader<'l> {
    project: &'l OpenProject,
    files: &'l Files<'l>,
    sandbox: &'l Sandbox,
    connectors: &'l Connectors,
    own: &'l OwnFiles,
    route: &'l Route,
    ledger: Option<&'l dyn Ledger>,
    cancelled: Arc<AtomicBool>,
}

impl Loader<'_> {
    /// Loads the plugin of a place, if it is the file that is let in: that is decided before anything of it is compiled.
    /// `None` if a mistake was noted.
    ///
    /// # Errors
    /// When it has to be fetched and cannot be.
    async fn load(
        &self,
        spot: &Spot<'_>,
        unlocked: &mut BTreeMap<PluginName, LockedPlugin>,
        mistakes: &mut Vec<Mistake>,
    ) -> Result<Option<Plugin>, Error> {
        let name = &spot.uses.plugin;
        let loading = async {
            let path = self.files.find(name, Seek::Wanted).await.map_err(|refusal| self.refused(spot, refusal))?;
            let read = self
                .sandbox
                .read(path.unwrap_or_default())
                .await
                .map_err(|error| Unloaded::Mistake(self.cannot_load(spot, &error)))?;
            self.files.check(name, &read).await.map_err(|refusal| self.refused(spot, refusal))?;
            let plugin = self.sandbox.load_read(read).await;
            let plugin = plugin.map_err(|error| Unloaded::Mistake(self.cannot_load(spot, &error)))?;
            let new = self.files.pins.check_plugin(name, &plugin, self.files.origin(name));
            let new = new.map_err(|refusal| self.refused(spot, refusal))?;
            Ok((plugin, new))
        };
        match loading.await {
            Ok((plugin, new)) => {
                unlocked.extend(new.map(|new| (name.clone(), new)));
                Ok(Some(plugin))
            }
            Err(Unloaded::Mistake(mistake)) => {
                mistakes.push(mistake);
                Ok(None)
            }
            Err(Unloaded::Error(error)) => Err(error),
        }
    }

    /// Configures the plugin of one place. `None` if mistakes were noted that leave nothing to check.
    async fn open(
        &self,
        spot: &Spot<'_>,
        plugin: &Plugin,
        mistakes: &mut Vec<Mistake>,
    ) -> Result<Option<Opened>, Error> {
        let uses = spot.uses;
        let description = plugin.description();
        let mut checked = described(description);
        let connector = self.connectors.get(self.project, plugin.digest(), uses, spot.rate);
        let opened = |port, checked, connector| Opened { port, checked, digest: plugin.digest().to_owned(), connector };
        let fits = match spot.place {
            Place::Source => description.role == Role::Source,
            Place::Step(_) => description.role != Role::Source,
            Place::Handler(_) => description.role == Role::Destination,
        };
        if !fits {
            // Reported with the abilities; its settings are of another plugin's kind.
            return Ok(Some(opened(None, checked, connector)));
        }
        let unfit =
            settings::check(self.route, spot.place, uses.plugin.as_str(), &description.settings_schema, &uses.settings);
        if !unfit.is_empty() {
            mistakes.extend(unfit);
            // What it could do, if its settings were right, is not known: nothing is said about it.
            return Ok(None);
        }
        let refused = self.refused_dirs(spot);
        if !refused.is_empty() {
            mistakes.extend(refused);
            return Ok(None);
        }
        let instance = self.instance(spot, &connector).await?;
        let configured = match description.role {
            Role::Source => plugin.source(instance).await.map(|port| {
                Port::Source(PacedSource::of(port, Arc::clone(&connector), spot.rate, Arc::new(SystemClock)))
            }),
            Role::Transformer => plugin.transformer(instance).await.map(|p| Port::Step(StepPort::Transformer(p))),
            Role::Destination => plugin.destination(instance).await.map(|p| Port::Step(StepPort::Destination(p))),
        };
        match configured {
            Ok(port) => {
                let abilities = port.abilities();
                configured_so(&mut checked, &abilities);
                Ok(Some(opened(Some(port), checked, connector)))
            }
            Err(CallError::Host(error)) => Err(error.into()),
            Err(error) => {
                mistakes.push(self.cannot_configure(spot, &error));
                Ok(None)
            }
        }
    }

    fn refused(&self, spot: &Spot<'_>, refusal: Refusal) -> Unloaded {
        // What is wrong with a network is no mistake of the route.
        if refusal.class != ErrorClass::InvalidInput {
            return Unloaded::Error(refusal.into());
        }
        let label = if refusal.found.is_empty() { "this plugin".to_owned() } else { refusal.found };
        let mut mistake = Mistake::new(codes::SETTINGS, refusal.message)
            .at(self.route.span_of_plugin(spot.place), label)
            .with_fix(refusal.fix);
        mistake.code = refusal.code;
        Unloaded::Mistake(mistake)
    }

    fn cannot_load(&self, spot: &Spot<'_>, error: &SandboxError) -> Mistake {
        let mut mistake = Mistake::new(codes::SETTINGS, error.to_string())
            .at(self.route.span_of_plugin(spot.place), format!("plugin `{}` cannot be loaded", spot.uses.plugin));
        mistake.code = error.code();
        match error.fix() {
            Some(fix) => mistake.with_fix(fix),
            None => mistake,
        }
    }

    fn cannot_configure(&self, spot: &Spot<'_>, error: &CallError) -> Mistake {
        let uses = spot.uses;
        let (code, message, pointer, fix) = match error {
            CallError::Refused { failure, .. } => (
                codes::SETTINGS.name,
                format!("`{}` does not accept its settings: {}", uses.plugin, failure.message),
                failure.pointer.clone().unwrap_or_default(),
                failure.detail.clone(),
            ),
            CallError::Fault(fault) => (
                fault.kind.code(),
                format!("`{}` could not be configured: {}", uses.plugin, fault.message),
                String::new(),
                Some("report it to the author of the plugin".to_owned()),
            ),
            CallError::Host(error) => (error.code, error.message.clone(), String::new(), error.fix.clone()),
        };
        let mut mistake =
            Mistake::new(codes::SETTINGS, message).at(self.route.span_of(spot.place, &pointer), "in these settings");
        mistake.code = code;
        match fix.or_else(|| self.absent_secrets(uses)) {
            Some(fix) => mistake.with_fix(fix),
            None => mistake,
        }
    }

    /// Where the secrets that are granted and have no value at the moment should come from.
    fn absent_secrets(&self, uses: &PluginUse) -> Option<String> {
        let is_absent = |name: &&String| matches!(self.project.secret(name), Ok(None));
        let remedies = uses.grants.secrets.iter().filter(is_absent).filter_map(|name| {
            let entry = self.project.file.secret(name)?;
            Some(match &entry.from {
                SecretFrom::Env(variable) => format!("set the environment variable {variable} to the secret {name}"),
                SecretFrom::File(path) => {
                    format!("write the secret {name} into {}", self.project.resolve(path).display())
                }
            })
        });
        let remedies: Vec<String> = remedies.collect();
        (!remedies.is_empty()).then(|| remedies.join("; "))
    }

    /// Directories that are not there, or through which the plugin would reach what the host itself goes by.
    fn refused_dirs(&self, spot: &Spot<'_>) -> Vec<Mistake> {
        let refused = |(index, dir): (usize, &crossdock_route::DirGrant)| {
            let path = self.project.resolve(&dir.host);
            let (code, message, fix) = if !path.is_dir() {
                (
                    codes::MISSING_GRANT,
                    format!("{} is not a directory", path.display()),
                    "make the directory, or grant another one",
                )
            } else {
                let what = self.own.within(&path, dir.write)?;
                let does = if dir.write { "write to" } else { "read" };
                let message =
                    format!("through {} the plugin could {does} what the host goes by: {what}", path.display());
                (crate::codes::OWN_FILES, message, "grant a directory that holds nothing but what the plugin is for")
            };
            let span = self.route.span_of_dir(spot.place, index);
            Some(Mistake::new(code, message).at(span, "granted here").with_fix(fix))
        };
        spot.uses.grants.dirs.iter().enumerate().filter_map(refused).collect()
    }

    async fn instance(&self, spot: &Spot<'_>, connector: &SharedConnector) -> Result<Instance, Error> {
        let (step, uses) = (spot.name.clone(), spot.uses);
        let mut secrets = Vec::new();
        for name in &uses.grants.secrets {
            let value = self.project.secret_value(name)?;
            let to = self.project.file.secret(name).map(|entry| entry.to.clone()).unwrap_or_default();
            secrets.push(SecretGrant { name: name.clone(), value, reveal: uses.grants.reveal.contains(name), to });
        }
        let dirs = uses.grants.dirs.iter().map(|dir| DirGrant {
            host: self.project.resolve(&dir.host),
            guest: dir.guest.clone(),
            write: dir.budget.map(|budget| WriteBudget { max_bytes: budget.max_bytes, max_files: budget.max_files }),
        });
        let http = uses
            .grants
            .http
            .iter()
            .map(|grant| HttpGrant { origin: grant.origin.clone(), addresses: grant.addresses.clone() });
        let limits = uses.limits.within(self.project.file.limits());
        let state = match self.ledger {
            Some(ledger) => ledger.state(self.route.name().clone(), step.clone()).await?,
            None => Vec::new(),
        };
        let settings = serde_json::Value::Object(uses.settings.clone()).to_string();
        Ok(Instance {
            grants: Grants { dirs: dirs.collect(), http: http.collect(), secrets },
            limits: Limits {
                memory_max_bytes: limits.memory_max_bytes,
                call_time_max_ms: limits.call_time_max_ms,
                cpu_time_max_ms: limits.cpu_time_max_ms,
                http_wait_max_ms: limits.http_wait_max_ms,
                ..Limits::default()
            },
            request_limits: connector.requests.clone(),
            state,
            cancelled: self.cancelled.clone(),
            ..Instance::new(self.route.name().clone(), step, settings)
        })
    }
}

/// What a plugin says of itself, before it has settings.
fn described(description: &Description) -> StepAbilities {
    let mut checked = StepAbilities::of(match description.role {
        Role::Source => crossdock_route::Role::Source,
        Role::Transformer => crossdock_route::Role::Transformer,
        Role::Destination => crossdock_route::Role::Destination,
    });
    checked.wants = description.wants.iter().filter_map(want).collect();
    checked
}

/// The same with what it can do with its settings.
fn configured_so(checked: &mut StepAbilities, abilities: &Abilities) {
    checked.re_reads = abilities.re_reads;
    checked.compensates = abilities.compensates;
    checked.probes = abilities.probes;
    checked.idempotency = match abilities.idempotency {
        Idempotency::NativeKey => crossdock_route::Idempotency::NativeKey,
        Idempotency::Upsert => crossdock_route::Idempotency::Upsert,
        Idempotency::Probe => crossdock_route::Idempotency::Probe,
        Idempotency::None => crossdock_route::Idempotency::None,
    };
}

fn want(want: &crossdock_sandbox::Want) -> Option<Want> {
    match want {
        crossdock_sandbox::Want::ReadDir(_) => Some(Want::ReadDir),
        crossdock_sandbox::Want::WriteDir(_) => Some(Want::WriteDir),
        crossdock_sandbox::Want::Http(_) => Some(Want::Http),
        crossdock_sandbox::Want::Secret(_) => None,
    }
}

fn assemble(
    route: &Route,
    spots: &[Spot<'_>],
    found: Vec<Option<Opened>>,
    cancelled: Arc<AtomicBool>,
    unlocked: Unlocked,
) -> Result<Loaded, Error> {
    let mut source = None;
    let (mut steps, mut handlers, mut plugins) = (Vec::new(), Vec::new(), Vec::new());
    for (spot, opened) in spots.iter().zip(found) {
        // What could not be opened was reported as a mistake before.
        let Some(Opened { port: Some(port), checked, digest, connector }) = opened else { continue };
        plugins.push((spot.name.clone(), spot.uses.plugin.clone(), digest));
        let abilities = port.abilities();
        match (spot.place, port) {
            (Place::Source, Port::Source(port)) => source = Some(port),
            (Place::Step(name), Port::Step(port)) => {
                steps.push(LoadedStep { name: name.clone(), port, abilities, checked, connector });
            }
            (Place::Handler(place), Port::Step(StepPort::Destination(port))) => {
                handlers.push(LoadedHandler { place: place.clone(), port, checked });
            }
            _ => {}
        }
    }
    let source = source.ok_or_else(|| {
        Error::new(
            "host-internal",
            crossdock_model::ErrorClass::Internal,
            "loading a route: its source was neither opened nor reported",
            "This is a mistake in Crossdock; please report it with the route.",
        )
    })?;
    Ok(Loaded { route: route.clone(), source, steps, handlers, plugins, unlocked, cancelled })
}
