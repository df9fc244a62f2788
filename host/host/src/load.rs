//! From a route file to a route whose plugins are loaded, configured and checked.

use crate::error::Error;
use crate::project::{OpenProject, read_route};
use crate::settings;
use crossdock_engine::driver::StepPort;
use crossdock_engine::ports::{Abilities, CallError, DestinationPort, Idempotency, Ledger, SourcePort};
use crossdock_model::{Explained, PluginName, StepName};
use crossdock_route::{Mistake, PluginUse, Route, RouteAbilities, SecretFrom, StepAbilities, Want, codes};
use crossdock_sandbox::{DirGrant, Grants, Instance, Limits, Plugin, Role, Sandbox, SandboxError, SecretGrant};
use std::collections::HashMap;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

/// A route that is ready to run.
pub(crate) struct Loaded {
    pub(crate) route: Route,
    pub(crate) source: Arc<dyn SourcePort>,
    pub(crate) steps: Vec<LoadedStep>,
    /// Step, name and SHA-256 of each plugin; the source first.
    pub(crate) plugins: Vec<(StepName, PluginName, String)>,
    /// Set to tell its plugins that the run was asked to stop.
    pub(crate) cancelled: Arc<AtomicBool>,
}

/// A step that is ready to run.
pub(crate) struct LoadedStep {
    pub(crate) name: StepName,
    pub(crate) port: StepPort,
    pub(crate) abilities: Abilities,
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

/// Loads a route: reads it, checks it against its project, loads and configures its plugins and checks what
/// they can do. Changes nothing outside. With a ledger the plugins get their durable state.
///
/// # Errors
/// All mistakes at once, as far as they can be seen independently of each other.
pub(crate) async fn load(
    project: &OpenProject,
    sandbox: &Sandbox,
    path: &Path,
    ledger: Option<&dyn Ledger>,
) -> Result<Loaded, Error> {
    let route = read_route(path)?;
    route.check_project(&project.file)?;
    let cancelled = Arc::new(AtomicBool::new(false));
    let loader = Loader { project, sandbox, route: &route, ledger, cancelled: cancelled.clone() };
    let mut mistakes = Vec::new();
    let mut plugins = HashMap::new();
    let places: Vec<(Option<StepName>, PluginUse)> = std::iter::once((None, route.source().clone()))
        .chain(route.steps().iter().map(|step| (Some(step.name.clone()), step.uses.clone())))
        .collect();
    let mut ports = Vec::new();
    for (step, uses) in &places {
        ports.push(loader.open(step.as_ref(), uses, &mut plugins, &mut mistakes).await?);
    }
    let mut abilities = ports.iter().map(|found| found.as_ref().map(|found| found.checked.clone()));
    let all = RouteAbilities { source: abilities.next().flatten(), steps: abilities.collect() };
    if let Err(more) = route.check_abilities(&all) {
        mistakes.extend(more.into_list());
    }
    route.report(mistakes)?;
    assemble(route, places, ports, cancelled)
}

/// A plugin at its place in the route.
struct Opened {
    port: Option<Port>,
    checked: StepAbilities,
    digest: String,
}

struct Loader<'l> {
    project: &'l OpenProject,
    sandbox: &'l Sandbox,
    route: &'l Route,
    ledger: Option<&'l dyn Ledger>,
    cancelled: Arc<AtomicBool>,
}

impl Loader<'_> {
    /// Loads and configures the plugin of one place. `None` if mistakes were noted that leave nothing to check.
    async fn open(
        &self,
        step: Option<&StepName>,
        uses: &PluginUse,
        plugins: &mut HashMap<PluginName, Option<Plugin>>,
        mistakes: &mut Vec<Mistake>,
    ) -> Result<Option<Opened>, Error> {
        if !plugins.contains_key(&uses.plugin) {
            let path = self.project.plugin_path(&uses.plugin).unwrap_or_default();
            let plugin = match self.sandbox.load(path).await {
                Ok(plugin) => self.is_as_pinned(step, uses, &plugin, mistakes).then_some(plugin),
                Err(error) => {
                    mistakes.push(self.cannot_load(step, uses, &error));
                    None
                }
            };
            plugins.insert(uses.plugin.clone(), plugin);
        }
        let Some(Some(plugin)) = plugins.get(&uses.plugin) else { return Ok(None) };
        let description = plugin.description();
        let mut checked = StepAbilities::of(match description.role {
            Role::Source => crossdock_route::Role::Source,
            Role::Transformer => crossdock_route::Role::Transformer,
            Role::Destination => crossdock_route::Role::Destination,
        });
        checked.wants = description.wants.iter().filter_map(want).collect();
        let nothing_yet = |checked| Some(Opened { port: None, checked, digest: plugin.digest().to_owned() });
        let wanted_source = step.is_none();
        if wanted_source != (description.role == Role::Source) {
            // Reported with the abilities; its settings are of another plugin's kind.
            return Ok(nothing_yet(checked));
        }
        let schema = &description.settings_schema;
        let unfit = settings::check(self.route, step, uses.plugin.as_str(), schema, &uses.settings);
        if !unfit.is_empty() {
            mistakes.extend(unfit);
            // What it could do, if its settings were right, is not known: nothing is said about it.
            return Ok(None);
        }
        let missing = self.missing_dirs(step, uses);
        if !missing.is_empty() {
            mistakes.extend(missing);
            return Ok(None);
        }
        let instance = self.instance(step, uses).await?;
        let opened = match description.role {
            Role::Source => plugin.source(instance).await.map(Port::Source),
            Role::Transformer => plugin.transformer(instance).await.map(|p| Port::Step(StepPort::Transformer(p))),
            Role::Destination => plugin.destination(instance).await.map(|p| Port::Step(StepPort::Destination(p))),
        };
        match opened {
            Ok(port) => {
                let abilities = port.abilities();
                checked.re_reads = abilities.re_reads;
                checked.idempotency = match abilities.idempotency {
                    Idempotency::NativeKey => crossdock_route::Idempotency::NativeKey,
                    Idempotency::Upsert => crossdock_route::Idempotency::Upsert,
                    Idempotency::Probe => crossdock_route::Idempotency::Probe,
                    Idempotency::None => crossdock_route::Idempotency::None,
                };
                Ok(Some(Opened { port: Some(port), checked, digest: plugin.digest().to_owned() }))
            }
            Err(CallError::Host(error)) => Err(error.into()),
            Err(error) => {
                mistakes.push(self.cannot_configure(step, uses, &error));
                Ok(None)
            }
        }
    }

    /// Whether the file has the digest that the project wants, if it wants one.
    fn is_as_pinned(
        &self,
        step: Option<&StepName>,
        uses: &PluginUse,
        plugin: &Plugin,
        mistakes: &mut Vec<Mistake>,
    ) -> bool {
        let pinned = self.project.file.plugin(&uses.plugin).and_then(|entry| entry.digest.clone());
        let found = format!("sha256:{}", plugin.digest());
        if pinned.as_ref().is_none_or(|pinned| *pinned == found) {
            return true;
        }
        let message = format!("the file of plugin `{}` is not the one that the project pins", uses.plugin);
        mistakes.push(
            Mistake::new(crate::codes::DIGEST, message)
                .at(self.route.span_of_plugin(step), format!("the file has {found}"))
                .with_fix("bring back the file that was pinned, or look at the new one and pin its digest"),
        );
        false
    }

    fn cannot_load(&self, step: Option<&StepName>, uses: &PluginUse, error: &SandboxError) -> Mistake {
        let mut mistake = Mistake::new(codes::SETTINGS, error.to_string())
            .at(self.route.span_of_plugin(step), format!("plugin `{}` cannot be loaded", uses.plugin));
        mistake.code = error.code();
        match error.fix() {
            Some(fix) => mistake.with_fix(fix),
            None => mistake,
        }
    }

    fn cannot_configure(&self, step: Option<&StepName>, uses: &PluginUse, error: &CallError) -> Mistake {
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
            Mistake::new(codes::SETTINGS, message).at(self.route.span_of(step, &pointer), "in these settings");
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

    fn missing_dirs(&self, step: Option<&StepName>, uses: &PluginUse) -> Vec<Mistake> {
        let mut mistakes = Vec::new();
        for (index, dir) in uses.grants.dirs.iter().enumerate() {
            let path = self.project.resolve(&dir.host);
            if !path.is_dir() {
                mistakes.push(
                    Mistake::new(codes::MISSING_GRANT, format!("{} is not a directory", path.display()))
                        .at(self.route.span_of_dir(step, index), "granted here")
                        .with_fix("make the directory, or grant another one"),
                );
            }
        }
        mistakes
    }

    async fn instance(&self, step: Option<&StepName>, uses: &PluginUse) -> Result<Instance, Error> {
        let step = step.cloned().unwrap_or_else(StepName::source);
        let mut secrets = Vec::new();
        for name in &uses.grants.secrets {
            let value = self.project.secret_value(name)?;
            secrets.push(SecretGrant { name: name.clone(), value, reveal: uses.grants.reveal.contains(name) });
        }
        let dirs = uses.grants.dirs.iter().map(|dir| DirGrant {
            host: self.project.resolve(&dir.host),
            guest: dir.guest.clone(),
            write: dir.write,
        });
        let limits = uses.limits.within(self.project.file.limits());
        let state = match self.ledger {
            Some(ledger) => ledger.state(self.route.name().clone(), step.clone()).await?,
            None => Vec::new(),
        };
        let settings = serde_json::Value::Object(uses.settings.clone()).to_string();
        Ok(Instance {
            grants: Grants { dirs: dirs.collect(), http: uses.grants.http.clone(), secrets },
            limits: Limits {
                memory_max_bytes: limits.memory_max_bytes,
                call_time_max_ms: limits.call_time_max_ms,
                cpu_time_max_ms: limits.cpu_time_max_ms,
                ..Limits::default()
            },
            state,
            cancelled: self.cancelled.clone(),
            ..Instance::new(self.route.name().clone(), step, settings)
        })
    }
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
    route: Route,
    places: Vec<(Option<StepName>, PluginUse)>,
    ports: Vec<Option<Opened>>,
    cancelled: Arc<AtomicBool>,
) -> Result<Loaded, Error> {
    let mut source = None;
    let mut steps = Vec::new();
    let mut plugins = Vec::new();
    for ((name, uses), opened) in places.into_iter().zip(ports) {
        // What could not be opened was reported as a mistake before.
        let Some(Opened { port: Some(port), checked, digest }) = opened else { continue };
        plugins.push((name.clone().unwrap_or_else(StepName::source), uses.plugin, digest));
        let abilities = port.abilities();
        match (port, name) {
            (Port::Source(port), _) => source = Some(port),
            (Port::Step(port), Some(name)) => steps.push(LoadedStep { name, port, abilities, checked }),
            (Port::Step(_), None) => {}
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
    Ok(Loaded { route, source, steps, plugins, cancelled })
}
