//! Looking at a plugin: what it says of itself, what is found in its file, and what it costs.

use crate::approval::unknown;
use crate::error::Error;
use crate::files::Seek;
use crate::host::Host;
use crate::schema::{SettingReport, settings};
use crate::secrets::{clean, redact_json};
use crossdock_model::PluginName;
use crossdock_sandbox::{Plugin, Want};
use serde::Serialize;
use std::path::{Path, PathBuf};

/// What a plugin says of itself, what is found in its file, and what it costs.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct PluginReport {
    /// The file.
    pub path: PathBuf,
    /// Its name.
    pub name: String,
    /// Its version.
    pub version: String,
    /// The version of the contract it was built for.
    pub contract: String,
    /// What it is for.
    pub summary: String,
    /// Its role.
    pub role: String,
    /// The optional abilities it exports.
    pub exports: Vec<&'static str>,
    /// What it wants to be granted.
    pub wants: Vec<String>,
    /// What its imports let it ask the host for, found in its file; what it is given is decided by its grants.
    pub imports: Vec<&'static str>,
    /// The most records in one batch.
    pub max_batch: u32,
    /// Its settings one by one, as far as its schema says them by name: those within others behind them.
    pub settings: Vec<SettingReport>,
    /// The JSON Schema of its settings.
    pub settings_schema: serde_json::Value,
    /// SHA-256, in hexadecimal.
    pub digest: String,
    /// Its size in bytes.
    pub size_bytes: u64,
    /// What it costs.
    pub cost: PluginCost,
}

/// What it took to load a plugin this time, and what each instance of it takes before it has done anything.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[non_exhaustive]
pub struct PluginCost {
    /// Whether its machine code was found in the cache; otherwise it was compiled, and is in the cache now.
    pub from_cache: bool,
    /// How long it took to have the machine code, in microseconds: to read it from the cache, or to compile it.
    pub prepared_us: u64,
    /// The machine code with what belongs to it, in bytes. It is held once, for all instances.
    pub code_bytes: u64,
    /// How long an instance took from nothing to its description, in microseconds; `configure` comes on top.
    pub start_us: u64,
    /// The linear memories of an instance that has described itself and has no settings yet, in bytes. It is reserved;
    /// the system holds only what was written to.
    pub memory_bytes: u64,
    /// Its tables, in bytes.
    pub table_bytes: u64,
    /// What the host keeps of each instance beside that, in bytes at most.
    pub structures_max_bytes: u64,
}

impl Host {
    /// Looks at a plugin and asks it to describe itself: a file, or where there is none of this name, a plugin of the
    /// project by its name, which is fetched if it comes from elsewhere. It is granted nothing. Its machine code goes into
    /// the cache.
    ///
    /// # Errors
    /// When it is not a plugin for this host; nothing of it is compiled then if that shows in its file.
    pub async fn inspect(&self, which: &Path) -> Result<PluginReport, Error> {
        let path = self.file_of(which).await?;
        let plugin = self.sandbox()?.load(&path).await.map_err(|error| Error::explained(&error))?;
        Ok(report(path, &plugin))
    }

    /// The file that is meant, fetched if need be.
    async fn file_of(&self, which: &Path) -> Result<PathBuf, Error> {
        let name = which.to_str().and_then(|text| PluginName::new(text).ok());
        match (name, self.project()) {
            (Some(name), Ok(project)) if !which.exists() => {
                let found = self.files(project)?.find(&name, Seek::Wanted).await?;
                found.ok_or_else(|| unknown(project, "looking at", &name))
            }
            _ => Ok(which.to_path_buf()),
        }
    }
}

fn report(path: PathBuf, plugin: &Plugin) -> PluginReport {
    let description = plugin.description();
    let abilities = [("compensate", plugin.exports_compensate()), ("probe", plugin.exports_probe())];
    let mut settings_schema = description.settings_schema.clone();
    redact_json(&mut settings_schema);
    let cost = plugin.cost();
    PluginReport {
        path,
        name: description.name.clone(),
        version: description.version.clone(),
        contract: plugin.contract_version().to_string(),
        summary: clean(description.summary.clone()),
        role: description.role.as_str().to_owned(),
        exports: abilities.into_iter().filter(|(_, has)| *has).map(|(name, _)| name).collect(),
        wants: description.wants.iter().map(want_in_words).map(clean).collect(),
        imports: plugin.imports().to_vec(),
        max_batch: description.max_batch,
        settings: settings(&settings_schema),
        settings_schema,
        digest: plugin.digest().to_owned(),
        size_bytes: plugin.size_bytes(),
        cost: PluginCost {
            from_cache: cost.from_cache,
            prepared_us: cost.prepared_us,
            code_bytes: cost.code_bytes,
            start_us: cost.start_us,
            memory_bytes: cost.memory_bytes,
            table_bytes: cost.table_bytes,
            structures_max_bytes: cost.structures_max_bytes,
        },
    }
}

fn want_in_words(want: &Want) -> String {
    match want {
        Want::ReadDir(what) => format!("a directory to read: {what}"),
        Want::WriteDir(what) => format!("a directory to write to: {what}"),
        Want::Http(what) => format!("HTTP requests: {what}"),
        Want::Secret(what) => format!("a secret: {what}"),
    }
}
