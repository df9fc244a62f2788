//! The project file `crossdock.toml`: as written and as checked.

use crate::codes;
use crate::document::document;
use crate::egress::origin;
use crate::formats;
use crate::mistake::{Mistake, Mistakes, SourceText, Span};
use crate::origin::{Known, PluginEntry, PluginFile, PublisherEntry, PublisherFile, RegistryEntry, RegistryFile};
use crate::read::{At, Fields, Node, Notes, age, list, shown, size, text};
use crate::shared::{PluginLimits, ProjectLimitsFile, TotalLimits, check_secret_name};
use crate::spans::SpanTree;
use crossdock_model::PluginName;
use schemars::JsonSchema;
use serde::{Serialize, Serializer};
use std::collections::BTreeMap;
use std::sync::Arc;
use toml::de::{DeTable, DeValue};

/// Where a project keeps its data, if it does not say.
const DATA_DEFAULT: &str = ".crossdock";
/// Bounds of what a project may set as the size of its ledger.
const LEDGER_MIN_BYTES: u64 = 16 << 20;
const LEDGER_MAX_BYTES: u64 = 64 << 40;

/// A Crossdock project: where plugins are, where secrets come from, what plugins may use.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, title = "Crossdock project")]
pub struct ProjectFile {
    /// The plugins of the project, each under the name by which routes refer to it.
    #[schemars(with = "Option<BTreeMap<formats::Name, PluginFile>>")]
    plugins: Option<At<Vec<(PluginName, PluginFile)>>>,
    /// Whose signatures plugins must have that name them as their `publisher`.
    #[schemars(with = "Option<BTreeMap<formats::Name, PublisherFile>>")]
    publishers: Option<At<Vec<(String, PublisherFile)>>>,
    /// What hosts need to be told from which plugins are fetched, each under its name, with the port if it is not the
    /// usual one. Without it, credentials are looked for in the configuration of Docker.
    #[schemars(with = "Option<BTreeMap<String, RegistryFile>>")]
    registries: Option<At<Vec<(String, RegistryFile)>>>,
    /// The secrets of the project: where each comes from, never what it is.
    #[schemars(with = "Option<BTreeMap<formats::SecretName, SecretFile>>")]
    secrets: Option<At<Vec<(String, SecretFile)>>>,
    /// What each plugin may use, unless its route says something else, and all of them together.
    #[schemars(with = "Option<ProjectLimitsFile>")]
    limits: Option<At<ProjectLimitsFile>>,
    /// The folder for the ledger and everything else that Crossdock keeps; if it is relative, within the
    /// project's folder.
    #[schemars(with = "Option<String>", length(min = 1), extend("default" = DATA_DEFAULT))]
    data: Option<At<String>>,
    /// How long the ledger keeps what is settled. What is not settled is kept in any case.
    #[schemars(with = "Option<RetentionFile>")]
    retention: Option<At<RetentionFile>>,
    /// The ledger itself.
    #[schemars(with = "Option<LedgerFile>")]
    ledger: Option<At<LedgerFile>>,
    /// What holds for all HTTP requests of plugins.
    #[schemars(with = "Option<NetworkFile>")]
    network: Option<At<NetworkFile>>,
}

/// What holds for all HTTP requests of plugins.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Network")]
struct NetworkFile {
    /// Files with certificates of authorities in PEM that are trusted beside those of this machine; if they are
    /// relative, within the project's folder.
    #[schemars(with = "Option<Vec<String>>", inner(length(min = 1)))]
    certificates: Option<At<Vec<At<String>>>>,
}

/// Where a secret comes from: exactly one of `env` and `file`; and where it may go.
#[derive(Debug, JsonSchema)]
#[schemars(
    deny_unknown_fields,
    rename = "Secret",
    extend("oneOf" = [{ "required": ["env"] }, { "required": ["file"] }])
)]
struct SecretFile {
    /// The environment variable that holds it.
    #[schemars(with = "Option<String>", length(min = 1))]
    env: Option<At<String>>,
    /// The file that holds it and nothing else (a newline at the end does not count); if it is relative, within
    /// the project's folder.
    #[schemars(with = "Option<String>", length(min = 1))]
    file: Option<At<String>>,
    /// The addresses to which it may be sent, each with scheme, host and, if it is not the usual one, port. If they
    /// are left out, it may be sent to the one address that a plugin is granted with it, behind TLS or on this machine.
    #[schemars(with = "Option<Vec<formats::Origin>>", length(min = 1))]
    to: Option<At<Vec<At<String>>>>,
}

/// How long the ledger keeps what is settled: "never" is never thrown away, or an age from "1h" to "36500d" in hours
/// or days, counted from when it was settled.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Retention")]
struct RetentionFile {
    /// Records that were simply ok or dropped: their ids, target ids and times, and with log = "full" their
    /// payloads.
    #[schemars(with = "Option<formats::Age>", extend("default" = "90d"))]
    ok: Option<At<Option<u64>>>,
    /// Records with a story that is over (ok after all, skipped, cancelled, rolled back), with their attempts and
    /// receipts.
    #[schemars(with = "Option<formats::Age>", extend("default" = "365d"))]
    settled: Option<At<Option<u64>>>,
    /// The entries of the event log.
    #[schemars(with = "Option<formats::Age>", extend("default" = "365d"))]
    events: Option<At<Option<u64>>>,
    /// Runs that ended, and plans.
    #[schemars(with = "Option<formats::Age>", extend("default" = "365d"))]
    runs: Option<At<Option<u64>>>,
    /// Failed and rejected records with their payloads. What is thrown away here cannot be put through again.
    #[schemars(with = "Option<formats::Age>", extend("default" = "never"))]
    failed: Option<At<Option<u64>>>,
}

/// The ledger itself.
#[derive(Debug, JsonSchema)]
#[schemars(deny_unknown_fields, rename = "Ledger")]
struct LedgerFile {
    /// The most bytes that the ledger's file may have, from "16MiB" to "65536GiB". When it is full, nothing more is
    /// taken in. Limited by the disk only, if it is absent.
    #[schemars(with = "Option<formats::Size>")]
    max_bytes: Option<At<u64>>,
}

impl ProjectFile {
    /// Reads and checks the text of a project file. Looks at nothing but the text. An empty text is a project
    /// without plugins. `file_name` appears in messages.
    ///
    /// # Errors
    /// All mistakes of the text. While its syntax is wrong, only mistakes of syntax are looked for.
    pub fn parse(file_name: &str, text: &str) -> Result<Project, Mistakes> {
        let source = SourceText::new(file_name, text);
        let document = document(&source)?;
        let mut notes = Notes::new(&source.text);
        let written = Self::read(document.get_ref(), &mut notes);
        let project = written.check(&source, SpanTree::of_document(&document));
        notes.settle(&source, project)
    }

    fn read(table: &DeTable<'_>, notes: &mut Notes<'_>) -> Self {
        let mut fields = Fields::new("the project", table, None, notes);
        let project = Self {
            plugins: fields.optional("plugins", |node, notes| {
                let table = node.table(notes, "[plugins] with a line for each plugin")?;
                let entries = Fields::entries(table).into_iter();
                Some(entries.filter_map(|(key, node)| PluginFile::read(key, node, notes)).collect())
            }),
            publishers: fields.optional("publishers", |node, notes| {
                let table = node.table(notes, "[publishers] with a line for each publisher")?;
                let entries = Fields::entries(table).into_iter();
                Some(entries.filter_map(|(key, node)| PublisherFile::read(key, node, notes)).collect())
            }),
            registries: fields.optional("registries", |node, notes| {
                let table = node.table(notes, "[registries] with a line for each host")?;
                let entries = Fields::entries(table).into_iter();
                Some(entries.filter_map(|(key, node)| RegistryFile::read(key, node, notes)).collect())
            }),
            secrets: fields.optional("secrets", |node, notes| {
                let table = node.table(notes, "[secrets] with a line for each secret")?;
                let entries = Fields::entries(table).into_iter();
                Some(entries.filter_map(|(key, node)| SecretFile::read(key, node, notes)).collect())
            }),
            limits: fields.optional("limits", ProjectLimitsFile::read),
            data: fields.optional("data", text),
            retention: fields.optional("retention", RetentionFile::read),
            ledger: fields.optional("ledger", LedgerFile::read),
            network: fields.optional("network", NetworkFile::read),
        };
        project.relate(table, fields.notes);
        fields.finish();
        project
    }

    /// Holds what plugins and registries refer to against what is there.
    fn relate(&self, table: &DeTable<'_>, notes: &mut Notes<'_>) {
        // Those that are there with mistakes are there.
        let names = |key: &str| match table.get(key).map(|value| value.get_ref()) {
            Some(DeValue::Table(table)) => table.keys().map(|key| key.get_ref().as_ref()).collect(),
            _ => Vec::new(),
        };
        let (publishers, secrets): (Vec<&str>, Vec<&str>) = (names("publishers"), names("secrets"));
        let registries = self.registries.iter().flat_map(|at| &at.value);
        let plain: Vec<String> =
            registries.clone().filter(|(_, registry)| registry.is_plain()).map(|(host, _)| host.clone()).collect();
        let known = Known { publishers: &publishers, secrets: &secrets, plain: &plain };
        self.plugins.iter().flat_map(|at| &at.value).for_each(|(_, plugin)| plugin.relate(known, notes));
        registries.for_each(|(_, registry)| registry.relate(known, notes));
    }

    fn check(self, source: &Arc<SourceText>, spans: SpanTree) -> Option<Project> {
        let plugins = self.plugins.map(|at| at.value).unwrap_or_default().into_iter();
        let plugins = plugins.map(|(name, file)| file.check(name));
        let publishers = self.publishers.map(|at| at.value).unwrap_or_default().into_iter();
        let publishers = publishers.map(|(name, file)| file.check(name));
        let registries = self.registries.map(|at| at.value).unwrap_or_default().into_iter();
        let registries = registries.map(|(host, file)| file.check(host));
        let secrets = self.secrets.map(|at| at.value).unwrap_or_default().into_iter();
        let secrets = secrets.map(|(name, file)| {
            let from = match (file.env, file.file) {
                (Some(env), None) => SecretFrom::Env(env.value),
                (None, Some(file)) => SecretFrom::File(file.value),
                _ => return None,
            };
            let to = file.to.map(|at| at.value.into_iter().map(|at| at.value).collect()).unwrap_or_default();
            Some(SecretEntry { name, from, to })
        });
        let (limits, total_limits) = self.limits.map(|at| at.value.check()).unwrap_or_default();
        Some(Project(Arc::new(Inner {
            plugins: plugins.collect::<Option<_>>()?,
            publishers: publishers.collect::<Option<_>>()?,
            registries: registries.collect::<Option<_>>()?,
            secrets: secrets.collect::<Option<_>>()?,
            limits,
            total_limits,
            data: self.data.map_or_else(|| DATA_DEFAULT.to_owned(), |at| at.value),
            retention: self.retention.map(|at| at.value.check()).unwrap_or_default(),
            certificates: self.network.map(|at| at.value.check()).unwrap_or_default(),
            ledger_max_bytes: self.ledger.and_then(|at| at.value.max_bytes).map(|at| at.value),
            text: Arc::clone(source),
            spans,
        })))
    }
}

impl SecretFile {
    fn read(key: At<&str>, node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<(String, Self)> {
        let named = check_secret_name(key, notes);
        let example = "{ env = \"ERP_TOKEN\" } or { file = \"secrets/erp-token\" }";
        let DeValue::Table(table) = node.value.get_ref() else {
            // Perhaps it is the secret itself that stands there.
            notes.hide(node.span());
            notes.add(
                Mistake::new(codes::WRONG_TYPE, format!("secret `{}` must be a table", shown(key.value)))
                    .at(key.span, "this secret")
                    .with_fix(format!("say where the secret comes from, never what it is: {example}")),
            );
            return None;
        };
        for (_, node) in Fields::entries(table).iter().filter(|(key, _)| !matches!(key.value, "env" | "file" | "to")) {
            notes.hide(node.span());
        }
        let mut fields = Fields::new("a secret", table, Some(key.span), notes);
        let secret = Self {
            env: fields.optional("env", text),
            file: fields.optional("file", text),
            to: fields.optional("to", bound),
        };
        for key in ["value", "text"] {
            fields.refuse(key, |span| {
                Mistake::new(codes::UNKNOWN_KEY, "a secret itself never stands in this file")
                    .at(span, "not allowed here")
                    .with_fix(format!("say where it comes from: {example}; and change it, if this file was shared"))
            });
        }
        match (table.contains_key("env"), table.contains_key("file")) {
            (false, false) if table.iter().all(|(key, _)| key.get_ref() == "to") => fields.notes.add(
                Mistake::new(codes::MISSING_KEY, format!("secret `{}` comes from nowhere", shown(key.value)))
                    .at(key.span, "neither `env` nor `file`")
                    .with_fix(format!("write {example}")),
            ),
            (true, true) => fields.notes.add(
                Mistake::new(codes::BAD_VALUE, format!("secret `{}` has two origins", shown(key.value)))
                    .at(key.span, "both `env` and `file`")
                    .with_fix(format!("write one of them: {example}")),
            ),
            _ => {}
        }
        // If there are other keys only, they were refused or are unknown.
        fields.finish();
        named.then(|| (key.value.to_owned(), secret))
    }
}

/// The origins that a secret is bound to.
fn bound(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Vec<At<String>>> {
    let origins = list(node, notes, "[\"https://erp.example.com\"]", origin)?;
    if matches!(node.value.get_ref(), DeValue::Array(written) if written.is_empty()) {
        let fix = "write where it may be sent, or leave `to` out";
        node.bad_value(notes, "`to` holds no address".to_owned(), "it could be sent nowhere", fix);
        return None;
    }
    Some(origins)
}

impl NetworkFile {
    fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Self> {
        let table = node.table(notes, "network = { certificates = [\"ca.pem\"] }")?;
        let mut fields = Fields::new("`network`", table, Some(node.span()), notes);
        let certificates = fields.optional("certificates", |node, notes| list(node, notes, "[\"ca.pem\"]", text));
        fields.finish();
        Some(Self { certificates })
    }

    fn check(self) -> Vec<String> {
        self.certificates.map(|at| at.value.into_iter().map(|at| at.value).collect()).unwrap_or_default()
    }
}

impl RetentionFile {
    fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Self> {
        let table = node.table(notes, "retention = { ok = \"90d\", failed = \"never\" }")?;
        let mut fields = Fields::new("`retention`", table, Some(node.span()), notes);
        let retention = Self {
            ok: fields.optional("ok", age),
            settled: fields.optional("settled", age),
            events: fields.optional("events", age),
            runs: fields.optional("runs", age),
            failed: fields.optional("failed", age),
        };
        fields.finish();
        Some(retention)
    }

    fn check(&self) -> Retention {
        let default = Retention::default();
        let or = |written: Option<At<Option<u64>>>, default| written.map_or(default, |at| at.value);
        Retention {
            ok_age_max_ms: or(self.ok, default.ok_age_max_ms),
            settled_age_max_ms: or(self.settled, default.settled_age_max_ms),
            events_age_max_ms: or(self.events, default.events_age_max_ms),
            runs_age_max_ms: or(self.runs, default.runs_age_max_ms),
            failed_age_max_ms: or(self.failed, default.failed_age_max_ms),
        }
    }
}

impl LedgerFile {
    fn read(node: Node<'_, '_>, notes: &mut Notes<'_>) -> Option<Self> {
        let table = node.table(notes, "ledger = { max_bytes = \"10GiB\" }")?;
        let mut fields = Fields::new("`ledger`", table, Some(node.span()), notes);
        let ledger = Self { max_bytes: fields.optional("max_bytes", size(LEDGER_MIN_BYTES, LEDGER_MAX_BYTES)) };
        fields.finish();
        Some(ledger)
    }
}

/// A project without mistakes in itself. Made by [`ProjectFile::parse`] only, and never changed; cheap to clone.
/// Serialises to what it means, without its text.
#[derive(Debug, Clone)]
pub struct Project(Arc<Inner>);

#[derive(Debug, Serialize)]
struct Inner {
    plugins: Vec<PluginEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    publishers: Vec<PublisherEntry>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    registries: Vec<RegistryEntry>,
    secrets: Vec<SecretEntry>,
    limits: PluginLimits,
    total_limits: TotalLimits,
    data: String,
    retention: Retention,
    ledger_max_bytes: Option<u64>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    certificates: Vec<String>,
    #[serde(skip)]
    text: Arc<SourceText>,
    #[serde(skip)]
    spans: SpanTree,
}

/// A secret of a project.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct SecretEntry {
    /// The name by which grants and settings refer to it.
    pub name: String,
    /// Where it comes from.
    pub from: SecretFrom,
    /// The origins to which it may be sent, normalised. None: the one that a plugin is granted with it, behind TLS or
    /// on this machine.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub to: Vec<String>,
}

/// Where a secret comes from.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum SecretFrom {
    /// The environment variable of this name.
    Env(String),
    /// The file at this path, as written; if it is relative, within the project's folder.
    File(String),
}

/// How long the ledger keeps what is settled, by class, in milliseconds since it was settled; from an hour to 100
/// years. `None`: for ever. What is not settled, and the payload it needs, is kept in any case.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct Retention {
    /// Records that were simply ok or dropped.
    pub ok_age_max_ms: Option<u64>,
    /// Records with a story that is over (ok after all, skipped, cancelled, rolled back), and their attempts.
    pub settled_age_max_ms: Option<u64>,
    /// The entries of the event log.
    pub events_age_max_ms: Option<u64>,
    /// Runs that ended, and plans.
    pub runs_age_max_ms: Option<u64>,
    /// Failed and rejected records with their payloads.
    pub failed_age_max_ms: Option<u64>,
}

impl Default for Retention {
    /// 90 days for what was simply ok, 365 days for the rest; failed records for ever.
    fn default() -> Self {
        let days = |days: u64| Some(days * 86_400_000);
        Self {
            ok_age_max_ms: days(90),
            settled_age_max_ms: days(365),
            events_age_max_ms: days(365),
            runs_age_max_ms: days(365),
            failed_age_max_ms: None,
        }
    }
}

impl Serialize for Project {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        self.0.serialize(serializer)
    }
}

impl Project {
    /// The name of its file, as it was given.
    #[must_use]
    pub fn file(&self) -> &str {
        &self.0.text.file
    }

    /// Its plugins, in the order in which they are written.
    #[must_use]
    pub fn plugins(&self) -> &[PluginEntry] {
        &self.0.plugins
    }

    /// The plugin with this name.
    #[must_use]
    pub fn plugin(&self, name: &PluginName) -> Option<&PluginEntry> {
        self.0.plugins.iter().find(|plugin| plugin.name == *name)
    }

    /// The publisher with this name.
    #[must_use]
    pub fn publisher(&self, name: &str) -> Option<&PublisherEntry> {
        self.0.publishers.iter().find(|publisher| publisher.name == name)
    }

    /// What hosts need to be told from which plugins are fetched, in the order in which they are written.
    #[must_use]
    pub fn registries(&self) -> &[RegistryEntry] {
        &self.0.registries
    }

    /// Its secrets, in the order in which they are written.
    #[must_use]
    pub fn secrets(&self) -> &[SecretEntry] {
        &self.0.secrets
    }

    /// The secret with this name.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<&SecretEntry> {
        self.0.secrets.iter().find(|secret| secret.name == name)
    }

    /// What it says about the limits of plugins; see [`PluginLimits::within`].
    #[must_use]
    pub fn limits(&self) -> &PluginLimits {
        &self.0.limits
    }

    /// What it says about the limits of all plugins together.
    #[must_use]
    pub fn total_limits(&self) -> &TotalLimits {
        &self.0.total_limits
    }

    /// The folder for the ledger and everything else that is kept, as written; if it is relative, within the
    /// project's folder.
    #[must_use]
    pub fn data(&self) -> &str {
        &self.0.data
    }

    /// How long the ledger keeps what is settled.
    #[must_use]
    pub fn retention(&self) -> &Retention {
        &self.0.retention
    }

    /// The most bytes that the ledger's file may have, from 16 MiB to 64 TiB. `None`: as much as the disk has.
    #[must_use]
    pub fn ledger_max_bytes(&self) -> Option<u64> {
        self.0.ledger_max_bytes
    }

    /// Files with certificates of authorities that are trusted beside those of the machine, as written; if they are
    /// relative, within the project's folder.
    #[must_use]
    pub fn certificates(&self) -> &[String] {
        &self.0.certificates
    }

    /// Where a secret stands in the text.
    #[must_use]
    pub fn span_of_secret(&self, name: &str) -> Span {
        self.0.spans.nearest(&format!("/secrets/{name}"), true)
    }

    /// Reports mistakes that were found in this project after it was read, in the order of their places.
    ///
    /// # Errors
    /// When there are any.
    pub fn report(&self, mistakes: Vec<Mistake>) -> Result<(), Mistakes> {
        Mistakes::check(&self.0.text, mistakes)
    }
}
