//! What is pinned of a project's plugins, whether their files still are that, and letting others in.

use crate::error::Error;
use crate::files::{Files, Seek};
use crate::host::Host;
use crate::pins::{Difference, Pins, change, differences, facts, read};
use crate::project::{LOCK_FILE, OpenProject};
use crate::world::SystemClock;
use crossdock_engine::ports::Clock;
use crossdock_model::{ErrorClass, PluginName};
use crossdock_route::LockedPlugin;
use crossdock_sandbox::Sandbox;
use serde::Serialize;
use std::collections::BTreeSet;
use std::path::PathBuf;

/// How a plugin of the project stands to the lock.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Standing {
    /// Its file is the one that was let in.
    Locked,
    /// It is not in the lock: the first run adds it, unless nothing may be added.
    NotLocked,
    /// Its file is another one, or it says something else of itself than when it was let in: it is refused.
    Differs,
    /// The lock has it, and the project does not have it any more.
    NotInProject,
    /// It comes from elsewhere and is not on this machine: whatever needs it fetches it first.
    NotFetched,
    /// Its file cannot be fetched or loaded, or is not signed by whom it must be.
    Unusable,
}

impl Standing {
    /// The word for it, the same as in JSON.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Locked => "locked",
            Self::NotLocked => "not-locked",
            Self::Differs => "differs",
            Self::NotInProject => "not-in-project",
            Self::NotFetched => "not-fetched",
            Self::Unusable => "unusable",
        }
    }
}

/// A plugin of the project, or of its lock.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct ProjectPlugin {
    /// Its name in the project.
    pub name: PluginName,
    /// Its file, if the project has it and it is on this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// Where it is fetched from, if it does not come from this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Who must have signed it: a publisher of the project.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
    /// How it stands to the lock.
    pub standing: Standing,
    /// What was let in.
    pub locked: Option<LockedPlugin>,
    /// What its file is now.
    pub found: Option<LockedPlugin>,
    /// In what the file differs from what was let in.
    pub differences: Vec<Difference>,
    /// Why it cannot be loaded.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub error: Option<Error>,
}

/// Files that would be let in and entries that would be removed, as they were shown. Named by a hash.
#[derive(Debug, Clone, Serialize)]
#[non_exhaustive]
pub struct Approval {
    /// Names what would be written into the lock, and in place of what.
    pub hash: String,
    /// The plugins of which something would be written.
    pub plugins: Vec<ProjectPlugin>,
    #[serde(skip)]
    folder: PathBuf,
}

/// Which plugins are to be approved.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Approve<'a> {
    /// Those with these names in the project or in its lock.
    Named(&'a [PluginName]),
    /// All of the project; and what the lock has beside them is removed.
    All,
}

impl Host {
    /// The plugins of the project and of its lock, by name, each with what was let in and what its file is now. The
    /// files are loaded for that, without grants; nothing is fetched.
    ///
    /// # Errors
    /// When there is no project, or its lock is damaged. A plugin that cannot be loaded is no error but in the list.
    pub async fn plugins(&self) -> Result<Vec<ProjectPlugin>, Error> {
        let project = self.project()?;
        let lock = read(&project.folder)?;
        let files = self.files(project)?;
        let names: BTreeSet<PluginName> =
            project.file.plugins().iter().map(|entry| entry.name.clone()).chain(lock.plugins.keys().cloned()).collect();
        let sandbox = self.sandbox()?;
        let mut plugins = Vec::with_capacity(names.len());
        for name in names {
            plugins.push(look_at(&files, &sandbox, name, Seek::Here).await);
        }
        Ok(plugins)
    }

    /// Finds out what approving plugins would write into the lock. Changes nothing. `None`: there is nothing to
    /// approve. Of plugins that come from a registry, what it has now under their tags is fetched.
    ///
    /// # Errors
    /// When neither project nor lock has a plugin of a name, one of the plugins cannot be loaded or has not the digest
    /// that the project file wants, or the lock is damaged.
    pub async fn plan_approval(&self, which: Approve<'_>) -> Result<Option<Approval>, Error> {
        let project = self.project()?;
        let lock = read(&project.folder)?;
        let files = self.files(project)?;
        let sandbox = self.sandbox()?;
        let mut names: BTreeSet<PluginName> = match which {
            Approve::Named(names) => names.iter().cloned().collect(),
            Approve::All => project.file.plugins().iter().map(|entry| entry.name.clone()).collect(),
        };
        if which == Approve::All {
            names.extend(lock.plugins.keys().cloned());
        }
        let mut plugins = Vec::new();
        let mut hasher = blake3::Hasher::new();
        for name in names {
            if project.file.plugin(&name).is_none() && !lock.plugins.contains_key(&name) {
                return Err(unknown(project, "approving", &name));
            }
            let plugin = look_at(&files, &sandbox, name, Seek::Newest).await;
            if let Some(error) = plugin.error {
                return Err(error);
            }
            refuse_other_digest(project, &plugin)?;
            if plugin.standing != Standing::Locked {
                let parts = (&plugin.name, &plugin.locked, &plugin.found);
                hasher.update(serde_json::to_string(&parts).unwrap_or_default().as_bytes());
                plugins.push(plugin);
            }
        }
        let hash = hasher.finalize().to_hex()[..16].to_owned();
        let folder = project.folder.clone();
        Ok((!plugins.is_empty()).then_some(Approval { hash, plugins, folder }))
    }

    pub(crate) fn files<'p>(&self, project: &'p OpenProject) -> Result<Files<'p>, Error> {
        Ok(Files::new(project, Pins::read(&project.folder, self.locked)?, self.data()))
    }

    /// Lets in what was shown, and nothing else: a file that was changed since is refused by whatever loads it. Runs
    /// that are under way keep what they have; the next ones use what was approved, also to undo what an earlier
    /// version of a plugin has applied.
    ///
    /// # Errors
    /// When the lock has something else under one of the names than it had when that was shown, or it cannot be read or
    /// written. The lock is as it was then.
    pub async fn approve(&self, approval: &Approval) -> Result<(), Error> {
        let at = crate::export::time(SystemClock.now());
        change(&approval.folder, |lock| {
            for plugin in &approval.plugins {
                if lock.plugins.get(&plugin.name) != plugin.locked.as_ref() {
                    return Err(Error::new(
                        "plugin-approval-stale",
                        ErrorClass::InvalidInput,
                        format!("approving plugin `{}`: {LOCK_FILE} has changed since it was shown", plugin.name),
                        "Look at the difference again, and approve that.",
                    ));
                }
                match &plugin.found {
                    Some(found) => {
                        let replaces = plugin.locked.as_ref().map(|locked| locked.sha256.clone());
                        let entry = LockedPlugin { approved_at: Some(at.clone()), replaces, ..found.clone() };
                        lock.plugins.insert(plugin.name.clone(), entry);
                    }
                    None => {
                        lock.plugins.remove(&plugin.name);
                    }
                }
            }
            Ok(())
        })
        .await
    }
}

async fn look_at(files: &Files<'_>, sandbox: &Sandbox, name: PluginName, seek: Seek) -> ProjectPlugin {
    let mut plugin = ProjectPlugin {
        path: None,
        origin: files.origin(&name),
        publisher: files.publisher(&name),
        standing: Standing::NotInProject,
        locked: files.locked(&name).cloned(),
        found: None,
        differences: Vec::new(),
        error: None,
        name,
    };
    if !files.has(&plugin.name) {
        return plugin;
    }
    let looking = async {
        let Some(path) = files.find(&plugin.name, seek).await? else { return Ok(None) };
        plugin.path = Some(path.clone());
        let read = sandbox.read(path).await.map_err(|error| Error::explained(&error))?;
        files.check_signature(&plugin.name, read.digest(), seek).await?;
        sandbox.load_read(read).await.map(Some).map_err(|error| Error::explained(&error))
    };
    match looking.await {
        Ok(Some(loaded)) => {
            let found = facts(&loaded, plugin.origin.clone());
            plugin.differences = plugin.locked.as_ref().map(|from| differences(from, &found)).unwrap_or_default();
            plugin.standing = match (&plugin.locked, plugin.differences.is_empty()) {
                (None, _) => Standing::NotLocked,
                (Some(_), true) => Standing::Locked,
                (Some(_), false) => Standing::Differs,
            };
            plugin.found = Some(found);
        }
        Ok(None) => plugin.standing = Standing::NotFetched,
        Err(error) => {
            plugin.standing = Standing::Unusable;
            plugin.error = Some(error);
        }
    }
    plugin
}

/// Approving a file that the project file keeps out would only seem to help.
fn refuse_other_digest(project: &OpenProject, plugin: &ProjectPlugin) -> Result<(), Error> {
    let wanted = project.file.plugin(&plugin.name).and_then(|entry| entry.digest.as_deref());
    let found = plugin.found.as_ref().map(|found| format!("sha256:{}", found.sha256));
    match (wanted, found) {
        (Some(wanted), Some(found)) if wanted != found => Err(Error::new(
            crate::codes::DIGEST.name,
            ErrorClass::InvalidInput,
            format!(
                "approving plugin `{}`: its file has {found}, and {} pins {wanted}",
                plugin.name,
                project.file.file()
            ),
            "If the file is wanted, write its digest there first, or leave `digest` to the lock and take it out.",
        )),
        _ => Ok(()),
    }
}

/// The project has no plugin of this name.
pub(crate) fn unknown(project: &OpenProject, doing: &str, name: &PluginName) -> Error {
    let known: Vec<&str> = project.file.plugins().iter().map(|entry| entry.name.as_str()).collect();
    Error::new(
        "plugin-not-in-project",
        ErrorClass::InvalidInput,
        format!("{doing} plugin `{name}`: {} has no plugin of this name", project.file.file()),
        format!("Name one of those that it has: {}.", known.join(", ")),
    )
}
