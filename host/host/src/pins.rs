//! The project's lock: which plugin files are let in, and how others are refused.

use crate::error::Error;
use crate::project::LOCK_FILE;
use crate::world::SystemClock;
use crossdock_engine::ports::Clock;
use crossdock_model::{ErrorClass, PluginName};
use crossdock_route::{Lock, LockedPlugin};
use crossdock_sandbox::{Plugin, ReadPlugin, Want};
use std::collections::BTreeMap;
use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind, Read as _, Write as _};
use std::path::{Path, PathBuf};

/// How long to wait for others who write the lock at the moment.
const WRITERS_WAIT_MAX_MS: u64 = 10_000;
/// How often they are looked for.
const WRITERS_LOOK_EVERY_MS: u64 = 10;
/// The most bytes of a lock that are read; longer ones are refused by whoever parses them.
const LOCK_READ_MAX_BYTES: u64 = crossdock_route::FILE_BYTES_MAX as u64 + 1;

/// What the lock of a project says at the moment.
#[derive(Debug, Clone)]
pub(crate) struct Pins {
    folder: PathBuf,
    lock: Lock,
    /// What is not in the lock is refused instead of being added.
    locked: bool,
}

/// Plugins that are used and not in their project's lock yet.
#[derive(Debug, Clone, Default)]
pub(crate) struct Unlocked {
    pub(crate) folder: PathBuf,
    pub(crate) plugins: BTreeMap<PluginName, LockedPlugin>,
}

/// Why a plugin is not let in.
#[derive(Debug)]
pub(crate) struct Refusal {
    pub(crate) code: &'static str,
    pub(crate) class: ErrorClass,
    pub(crate) message: String,
    pub(crate) found: String,
    pub(crate) fix: String,
}

impl From<Refusal> for Error {
    fn from(refusal: Refusal) -> Self {
        let message =
            if refusal.found.is_empty() { refusal.message } else { format!("{}; {}", refusal.message, refusal.found) };
        Self::new(refusal.code, refusal.class, message, refusal.fix)
    }
}

impl Pins {
    /// Reads the lock of a project; one without is one in which nothing is let in yet.
    ///
    /// # Errors
    /// When it cannot be read, or is not a lock.
    pub(crate) fn read(folder: &Path, locked: bool) -> Result<Self, Error> {
        Ok(Self { folder: folder.to_owned(), lock: read(folder)?, locked })
    }

    /// Whether a file is the one that is let in under a name. Nothing of it was looked at, compiled or run.
    pub(crate) fn check_file(&self, name: &PluginName, read: &ReadPlugin) -> Result<(), Refusal> {
        let found = format!("sha256:{}", read.digest());
        match self.lock.plugins.get(name) {
            Some(pinned) if pinned.sha256 == read.digest() => Ok(()),
            Some(pinned) => Err(Refusal {
                code: crate::codes::CHANGED.name,
                class: ErrorClass::InvalidInput,
                message: format!(
                    "the file of plugin `{name}` is not the one that was let in: {LOCK_FILE} has sha256:{}",
                    pinned.sha256
                ),
                found: format!("the file has {found}"),
                fix: approve(name),
            }),
            None if self.locked => Err(not_locked(name, format!("its file has {found}"))),
            None => Ok(()),
        }
    }

    /// What is let in under a name.
    pub(crate) fn locked(&self, name: &PluginName) -> Option<&LockedPlugin> {
        self.lock.plugins.get(name)
    }

    /// Whether a plugin may be fetched from somewhere, and if it is let in, with which digest. Nothing was fetched.
    pub(crate) fn check_origin(&self, name: &PluginName, from: &str) -> Result<Option<String>, Refusal> {
        match self.lock.plugins.get(name) {
            Some(pinned) if pinned.from.as_deref() == Some(from) => Ok(Some(format!("sha256:{}", pinned.sha256))),
            Some(pinned) => {
                let was = pinned.from.as_deref().unwrap_or("a file of this machine");
                Err(Refusal {
                    code: crate::codes::CHANGED.name,
                    class: ErrorClass::InvalidInput,
                    message: format!(
                        "plugin `{name}` comes from elsewhere than when it was let in: {LOCK_FILE} has {was}"
                    ),
                    found: format!("it comes from {from}"),
                    fix: approve(name),
                })
            }
            None if self.locked => Err(not_locked(name, format!("it would be fetched from {from}"))),
            None => Ok(None),
        }
    }

    /// Whether a plugin is what it was when its file was let in: `describe` may have answered otherwise then. What is
    /// to be added to the lock, if it is not in it yet.
    pub(crate) fn check_plugin(
        &self,
        name: &PluginName,
        plugin: &Plugin,
        from: Option<String>,
    ) -> Result<Option<LockedPlugin>, Refusal> {
        let found = facts(plugin, from);
        let Some(pinned) = self.lock.plugins.get(name) else { return Ok(Some(found)) };
        let differences = differences(pinned, &found);
        if differences.is_empty() {
            return Ok(None);
        }
        let all: Vec<String> = differences.iter().map(ToString::to_string).collect();
        Err(Refusal {
            code: crate::codes::LOCK_DIFFERS.name,
            class: ErrorClass::InvalidInput,
            message: format!(
                "plugin `{name}` is not what {LOCK_FILE} says, though its file is the same, sha256:{}",
                pinned.sha256
            ),
            found: all.join("; "),
            fix: format!(
                "bring {LOCK_FILE} back as it was if it was edited; if the plugin says something else each time, do not \
                 use it; otherwise {}",
                approve(name)
            ),
        })
    }

    /// What is new under these names, to be added.
    pub(crate) fn unlocked(&self, plugins: BTreeMap<PluginName, LockedPlugin>) -> Unlocked {
        Unlocked { folder: self.folder.clone(), plugins }
    }
}

fn not_locked(name: &PluginName, found: String) -> Refusal {
    Refusal {
        code: crate::codes::NOT_LOCKED.name,
        class: ErrorClass::InvalidInput,
        message: format!("plugin `{name}` is not in {LOCK_FILE}, and nothing may be added to it"),
        found,
        fix: format!("{}, and commit {LOCK_FILE}", approve(name)),
    }
}

fn approve(name: &PluginName) -> String {
    format!("look at what is different with `crossdock plugin approve {name}`, which changes nothing yet")
}

/// What is kept of a plugin in the lock.
pub(crate) fn facts(plugin: &Plugin, from: Option<String>) -> LockedPlugin {
    let description = plugin.description();
    let line = |text: &str| text.replace(char::is_control, "\u{fffd}");
    let mut wants: Vec<String> = description.wants.iter().map(|want| line(&want_in_a_line(want))).collect();
    wants.sort();
    wants.dedup();
    let exports = [(plugin.exports_compensate(), "compensate"), (plugin.exports_probe(), "probe")];
    LockedPlugin {
        plugin: description.name.clone(),
        version: description.version.clone(),
        from,
        sha256: plugin.digest().to_owned(),
        size_bytes: plugin.size_bytes(),
        contract: plugin.contract_version().to_string(),
        role: description.role.as_str().to_owned(),
        exports: exports.iter().filter(|(is, _)| *is).map(|(_, name)| (*name).to_owned()).collect(),
        wants,
        imports: plugin.imports().iter().map(|&word| word.to_owned()).collect(),
        approved_at: None,
        replaces: None,
    }
}

fn want_in_a_line(want: &Want) -> String {
    match want {
        Want::ReadDir(what) => format!("read-dir: {what}"),
        Want::WriteDir(what) => format!("write-dir: {what}"),
        Want::Http(what) => format!("http: {what}"),
        Want::Secret(what) => format!("secret: {what}"),
    }
}

/// One thing in which a plugin's file differs from the one that is let in under its name. What is new has no `from`,
/// what is gone no `to`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
pub struct Difference {
    /// What differs: `plugin` (the name that it gives itself), `version`, `sha256`, `size`, `contract`, `role`,
    /// `origin` (where it is fetched from, if it is), `export`, `want` or `import`.
    pub what: &'static str,
    /// What it was.
    pub from: Option<String>,
    /// What it is now.
    pub to: Option<String>,
}

impl std::fmt::Display for Difference {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match (&self.from, &self.to) {
            (Some(from), Some(to)) => write!(f, "{} was {from} and is {to}", self.what),
            (None, Some(to)) => write!(f, "new {}: {to}", self.what),
            (Some(from), None) => write!(f, "no {} any more: {from}", self.what),
            (None, None) => Ok(()),
        }
    }
}

/// In what a plugin's file differs from the one that is let in; what is the same is left out.
pub(crate) fn differences(from: &LockedPlugin, to: &LockedPlugin) -> Vec<Difference> {
    let size = |plugin: &LockedPlugin| plugin.size_bytes.to_string();
    let values = [
        ("plugin", from.plugin.clone(), to.plugin.clone()),
        ("version", from.version.clone(), to.version.clone()),
        ("sha256", from.sha256.clone(), to.sha256.clone()),
        ("size", size(from), size(to)),
        ("contract", from.contract.clone(), to.contract.clone()),
        ("role", from.role.clone(), to.role.clone()),
    ];
    let changed = values.into_iter().filter(|(_, from, to)| from != to);
    let mut all: Vec<Difference> =
        changed.map(|(what, from, to)| Difference { what, from: Some(from), to: Some(to) }).collect();
    if from.from != to.from {
        all.push(Difference { what: "origin", from: from.from.clone(), to: to.from.clone() });
    }
    let lists = [
        ("export", &from.exports, &to.exports),
        ("want", &from.wants, &to.wants),
        ("import", &from.imports, &to.imports),
    ];
    for (what, from, to) in lists {
        let gone = from.iter().filter(|entry| !to.contains(entry));
        all.extend(gone.map(|entry| Difference { what, from: Some(entry.clone()), to: None }));
        let new = to.iter().filter(|entry| !from.contains(entry));
        all.extend(new.map(|entry| Difference { what, from: None, to: Some(entry.clone()) }));
    }
    all
}

impl Unlocked {
    /// Adds the plugins to the lock, unless another process has done so in the meantime.
    ///
    /// # Errors
    /// When another file was let in under one of the names in the meantime, or the lock cannot be read or written.
    pub(crate) async fn add(&self) -> Result<(), Error> {
        if self.plugins.is_empty() {
            return Ok(());
        }
        change(&self.folder, |lock| {
            for (name, found) in &self.plugins {
                match lock.plugins.get(name) {
                    None => {
                        lock.plugins.insert(name.clone(), found.clone());
                    }
                    Some(there) if differences(there, found).is_empty() => {}
                    Some(there) => {
                        return Err(Error::new(
                            crate::codes::CHANGED.name,
                            ErrorClass::InvalidInput,
                            format!(
                                "adding plugin `{name}` with sha256:{} to {LOCK_FILE}: it was let in with sha256:{} in \
                                 the meantime",
                                found.sha256, there.sha256
                            ),
                            format!("To let this file in, {}.", approve(name)),
                        ));
                    }
                }
            }
            Ok(())
        })
        .await
    }
}

/// Reads the lock of a project.
///
/// # Errors
/// When it is there and cannot be read, or is not a lock.
pub(crate) fn read(folder: &Path) -> Result<Lock, Error> {
    let path = folder.join(LOCK_FILE);
    let mut text = String::new();
    let mut read = || {
        // Whoever opens a pipe waits until somebody writes into it.
        if !fs::metadata(&path)?.is_file() {
            return Err(io::Error::other("it is not a file"));
        }
        File::open(&path)?.take(LOCK_READ_MAX_BYTES).read_to_string(&mut text)
    };
    match read() {
        Ok(_) => Ok(Lock::parse(&path.display().to_string(), &text)?),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(Lock::default()),
        Err(error) => {
            let fix = match error.kind() {
                ErrorKind::InvalidData => "Bring the file back as it was, for example from version control.",
                _ => "Make the file readable for the user that runs Crossdock.",
            };
            let message = format!("reading the lock {}: {error}", path.display());
            Err(Error::new("host-file-unreadable", ErrorClass::InvalidInput, message, fix))
        }
    }
}

/// Changes the lock of a project: what others wrote before is seen, and it is replaced as a whole or not at all.
///
/// # Errors
/// When it cannot be read or written, or `work` refuses; the lock is as it was then.
pub(crate) async fn change<T>(folder: &Path, work: impl FnOnce(&mut Lock) -> Result<T, Error>) -> Result<T, Error> {
    let path = folder.join(LOCK_FILE);
    let _alone = alone(folder).await.map_err(|error| unwritable(&path, &error))?;
    let mut lock = read(folder)?;
    let before = lock.clone();
    let done = work(&mut lock)?;
    if lock != before {
        write(folder, &path, &lock).map_err(|error| unwritable(&path, &error))?;
    }
    Ok(done)
}

fn unwritable(path: &Path, error: &io::Error) -> Error {
    Error::new(
        "lock-unwritable",
        ErrorClass::Environment,
        format!("writing the lock {}: {error}", path.display()),
        format!(
            "Let the user that runs Crossdock write into the project's folder; or approve the plugins where the project \
             is kept, with `crossdock plugin approve --all`, and bring {LOCK_FILE} here with the rest."
        ),
    )
}

/// Keeps others who change the lock out, until what is returned is dropped. On a file system without locks nobody is
/// kept out: the last one wins, and what it wrote over is refused by the next run, never let in.
async fn alone(folder: &Path) -> io::Result<Option<File>> {
    let file = File::open(folder)?;
    let clock = SystemClock;
    let until = clock.now().plus_ms(WRITERS_WAIT_MAX_MS);
    loop {
        match file.try_lock() {
            Ok(()) => return Ok(Some(file)),
            Err(TryLockError::Error(_)) => return Ok(None),
            Err(TryLockError::WouldBlock) if clock.now() > until => {
                return Err(io::Error::other("another process has been changing it for too long"));
            }
            Err(TryLockError::WouldBlock) => clock.sleep_until(clock.now().plus_ms(WRITERS_LOOK_EVERY_MS)).await,
        }
    }
}

fn write(folder: &Path, path: &Path, lock: &Lock) -> io::Result<()> {
    // It would be replaced, whatever it allows itself.
    if fs::metadata(path).is_ok_and(|file| file.permissions().readonly()) {
        return Err(io::Error::new(ErrorKind::PermissionDenied, "it is read-only"));
    }
    let temporary = folder.join(format!(".{LOCK_FILE}.{}", uuid::Uuid::now_v7().simple()));
    let written = (|| {
        let mut file = OpenOptions::new().write(true).create_new(true).open(&temporary)?;
        file.write_all(lock.to_text().as_bytes())?;
        file.sync_all()?;
        fs::rename(&temporary, path)?;
        File::open(folder)?.sync_all()
    })();
    if written.is_err() {
        let _ = fs::remove_file(&temporary);
    }
    written
}

#[cfg(test)]
#[allow(clippy::unwrap_used, clippy::panic)]
mod tests {
    use super::*;

    fn entry(digest: char) -> LockedPlugin {
        LockedPlugin {
            plugin: "map".into(),
            version: "0.1.0".into(),
            from: None,
            sha256: digest.to_string().repeat(64),
            size_bytes: 7,
            contract: "0.1.0".into(),
            role: "destination".into(),
            exports: vec!["probe".into()],
            wants: vec!["http: the ERP".into()],
            imports: vec!["http".into(), "log".into()],
            approved_at: None,
            replaces: None,
        }
    }

    fn unlocked(folder: &Path, name: &str, digest: char) -> Unlocked {
        let plugins = BTreeMap::from([(PluginName::new(name).unwrap(), entry(digest))]);
        Unlocked { folder: folder.to_owned(), plugins }
    }

    fn runtime() -> tokio::runtime::Runtime {
        tokio::runtime::Builder::new_multi_thread().worker_threads(4).enable_all().build().unwrap()
    }

    #[test]
    fn all_that_add_at_once_are_heard() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = runtime();
        let adding: Vec<_> = (0..32)
            .map(|n| {
                let unlocked = unlocked(dir.path(), &format!("p{n}"), 'a');
                runtime.spawn(async move { unlocked.add().await })
            })
            .collect();
        adding.into_iter().for_each(|one| runtime.block_on(one).unwrap().unwrap());
        assert_eq!(read(dir.path()).unwrap().plugins.len(), 32);
        let left = fs::read_dir(dir.path()).unwrap().count();
        assert_eq!(left, 1, "files that nobody needs were left");
    }

    #[test]
    fn what_was_let_in_meanwhile_is_not_written_over() {
        let dir = tempfile::tempdir().unwrap();
        let runtime = runtime();
        runtime.block_on(unlocked(dir.path(), "p", 'a').add()).unwrap();
        runtime.block_on(unlocked(dir.path(), "p", 'a').add()).unwrap();
        fs::create_dir(dir.path().join("other")).unwrap();
        fs::create_dir(dir.path().join("other").join(LOCK_FILE)).unwrap();
        assert_eq!(read(&dir.path().join("other")).unwrap_err().code(), "host-file-unreadable");
        let error = runtime.block_on(unlocked(dir.path(), "p", 'b').add()).unwrap_err();
        assert_eq!(error.code(), "plugin-changed");
        assert_eq!(read(dir.path()).unwrap().plugins[&PluginName::new("p").unwrap()], entry('a'));
    }

    #[test]
    fn a_lock_that_is_a_link_is_replaced_and_not_followed() {
        let (dir, elsewhere) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let target = elsewhere.path().join("other");
        fs::write(&target, Lock::default().to_text()).unwrap();
        std::os::unix::fs::symlink(&target, dir.path().join(LOCK_FILE)).unwrap();
        runtime().block_on(unlocked(dir.path(), "p", 'a').add()).unwrap();
        assert_eq!(fs::read_to_string(&target).unwrap(), Lock::default().to_text());
        assert_eq!(read(dir.path()).unwrap().plugins.len(), 1);
    }

    /// The differences to a plugin after a change, in words.
    #[track_caller]
    fn check(change: impl FnOnce(&mut LockedPlugin), expected: &[&str]) {
        let mut to = entry('a');
        change(&mut to);
        let found: Vec<String> = differences(&entry('a'), &to).iter().map(ToString::to_string).collect();
        assert_eq!(found, expected);
    }

    #[test]
    fn only_what_differs_is_said() {
        check(|_| {}, &[]);
        check(|p| p.approved_at = Some("2026".into()), &[]);
        check(|p| p.version = "0.2.0".into(), &["version was 0.1.0 and is 0.2.0"]);
        check(|p| p.role = "source".into(), &["role was destination and is source"]);
        check(|p| p.exports = vec![], &["no export any more: probe"]);
        check(|p| p.exports.insert(0, "compensate".into()), &["new export: compensate"]);
        check(|p| p.wants = vec!["http: all".into()], &["no want any more: http: the ERP", "new want: http: all"]);
        check(|p| p.imports.push("state".into()), &["new import: state"]);
        check(|p| p.from = Some("ghcr.io/a:1".into()), &["new origin: ghcr.io/a:1"]);
        let all = |p: &mut LockedPlugin| {
            *p = LockedPlugin { plugin: "m".into(), size_bytes: 8, contract: "0.2.0".into(), ..entry('a') };
        };
        let words = ["plugin was map and is m", "size was 7 and is 8", "contract was 0.1.0 and is 0.2.0"];
        check(all, &words);
    }
}
