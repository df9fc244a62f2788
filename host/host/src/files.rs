//! The files of a project's plugins: where they are, fetched if need be, and whether they are the ones that are wanted.

use crate::error::Error;
use crate::pins::{Pins, Refusal};
use crate::project::OpenProject;
use crate::remote::Remote;
use crossdock_model::{ErrorClass, Explained, PluginName};
use crossdock_registry::{
    Found, Problem, PublicKey, RegistryError, SIGNATURE_MAX_BYTES, Signature, SignatureError, Store, signature_file,
};
use crossdock_route::{LockedPlugin, PluginEntry, PluginOrigin};
use crossdock_sandbox::{Limits, ReadPlugin};
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::{Path, PathBuf};

/// The folder of fetched plugins, within the data folder.
const STORE_FOLDER: &str = "plugins";

/// What is looked for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Seek {
    /// What is let in; if nothing is yet, what is there now. It is fetched unless it was before.
    Wanted,
    /// What is there now, whatever is let in.
    Newest,
    /// What is let in, as far as it is on this machine.
    Here,
}

/// The files of the plugins of a project.
pub(crate) struct Files<'p> {
    project: &'p OpenProject,
    pub(crate) pins: Pins,
    store: Store,
    remote: Remote<'p>,
}

impl<'p> Files<'p> {
    /// Looks at nothing yet.
    pub(crate) fn new(project: &'p OpenProject, pins: Pins, data: &Path) -> Self {
        let store = Store::new(data.join(STORE_FOLDER), Limits::PLUGIN_MAX_BYTES);
        Self { project, pins, store, remote: Remote::new(Some(project)) }
    }

    /// Where a plugin comes from, if that is not this machine.
    pub(crate) fn origin(&self, name: &PluginName) -> Option<String> {
        self.project.file.plugin(name)?.origin.remote()
    }

    /// Who must have signed a plugin.
    pub(crate) fn publisher(&self, name: &PluginName) -> Option<String> {
        self.project.file.plugin(name)?.publisher.clone()
    }

    /// Whether the project has a plugin of this name.
    pub(crate) fn has(&self, name: &PluginName) -> bool {
        self.project.file.plugin(name).is_some()
    }

    /// The file of a plugin on this machine. `None`, if it is only looked for here and was not fetched, and if the
    /// project has none of this name.
    ///
    /// # Errors
    /// When it cannot be fetched, or may not be.
    pub(crate) async fn find(&self, name: &PluginName, seek: Seek) -> Result<Option<PathBuf>, Refusal> {
        let Some(entry) = self.project.file.plugin(name) else { return Ok(None) };
        let from = match &entry.origin {
            PluginOrigin::Path(path) => return Ok(Some(self.project.resolve(path))),
            PluginOrigin::Url(url) => url.clone(),
            PluginOrigin::Oci(reference) => reference.to_string(),
        };
        let locked = match seek {
            Seek::Wanted => self.pins.check_origin(name, &from)?,
            // What is let in from elsewhere is not what is asked for.
            Seek::Here => self.pins.check_origin(name, &from).ok().flatten(),
            Seek::Newest => None,
        };
        let wanted = entry.digest.clone().or(locked);
        if let Some(digest) = &wanted
            && let Some(path) = self.in_store(digest).await?
        {
            return Ok(Some(path));
        }
        if seek == Seek::Here { Ok(None) } else { self.fetch(entry, wanted.as_deref()).await.map(Some) }
    }

    async fn in_store(&self, digest: &str) -> Result<Option<PathBuf>, Refusal> {
        let (store, wanted) = (self.store.clone(), digest.to_owned());
        let found = tokio::task::spawn_blocking(move || store.find(&wanted)).await;
        found.unwrap_or(Ok(None)).map_err(|error| refusal(&error))
    }

    async fn fetch(&self, entry: &PluginEntry, wanted: Option<&str>) -> Result<PathBuf, Refusal> {
        let fetched = match (&entry.origin, wanted) {
            (PluginOrigin::Url(url), Some(digest)) => {
                let (registry, credentials) = self.remote.of_url(url)?;
                let bytes = registry.fetch_url(url, digest, credentials.as_ref()).await.map_err(|e| refusal(&e))?;
                (digest.to_owned(), bytes)
            }
            (PluginOrigin::Oci(reference), wanted) => {
                let (registry, credentials) = self.remote.of_registry(reference.registry())?;
                let found = registry.find(reference, credentials.as_ref()).await.map_err(|error| refusal(&error))?;
                if let Some(wanted) = wanted.filter(|wanted| *wanted != found.digest) {
                    let problem = Problem::Digest { expected: wanted.to_owned(), found: found.digest };
                    return Err(refusal(&RegistryError { doing: format!("looking for {reference}"), problem }));
                }
                self.keep_signature(&found)?;
                // It may have been fetched under another name.
                if let Some(path) = self.in_store(&found.digest).await? {
                    return Ok(path);
                }
                let bytes = registry.fetch(reference, &found, credentials.as_ref()).await;
                (found.digest, bytes.map_err(|error| refusal(&error))?)
            }
            // A URL without a digest is no entry of a project, and paths are not fetched.
            _ => return Err(Refusal::internal("fetching a plugin of which nobody said what it is")),
        };
        let (store, (digest, bytes)) = (self.store.clone(), fetched);
        let kept = tokio::task::spawn_blocking(move || store.put(&digest, &bytes)).await;
        kept.map_err(|_| Refusal::internal("keeping a fetched plugin"))?.map_err(|error| refusal(&error))
    }

    fn keep_signature(&self, found: &Found) -> Result<(), Refusal> {
        let Some(signature) = found.signature.as_ref().filter(|text| text.len() as u64 <= SIGNATURE_MAX_BYTES) else {
            return Ok(());
        };
        self.store.put_signature(&found.digest, signature).map(drop).map_err(|error| refusal(&error))
    }

    /// Whether what was read is the file that the project wants and that is let in, signed by whom it must be. Nothing
    /// of it was looked at, compiled or run.
    pub(crate) async fn check(&self, name: &PluginName, read: &ReadPlugin) -> Result<(), Refusal> {
        self.check_digest(name, read)?;
        self.pins.check_file(name, read)?;
        self.check_signature(name, read.digest(), Seek::Wanted).await
    }

    /// Whether the file has the digest that the project file wants, if it wants one.
    fn check_digest(&self, name: &PluginName, read: &ReadPlugin) -> Result<(), Refusal> {
        let pinned = self.project.file.plugin(name).and_then(|entry| entry.digest.clone());
        let found = format!("sha256:{}", read.digest());
        if pinned.as_ref().is_none_or(|pinned| *pinned == found) {
            return Ok(());
        }
        Err(Refusal {
            code: crate::codes::DIGEST.name,
            class: ErrorClass::InvalidInput,
            message: format!("the file of plugin `{name}` is not the one that the project pins"),
            found: format!("the file has {found}"),
            fix: "bring back the file that was pinned, or look at the new one and pin its digest".to_owned(),
        })
    }

    /// Whether a plugin is signed by its publisher, if the project names one. `sha256` is the digest of its file, in
    /// hexadecimal.
    pub(crate) async fn check_signature(&self, name: &PluginName, sha256: &str, seek: Seek) -> Result<(), Refusal> {
        let Some(entry) = self.project.file.plugin(name) else { return Ok(()) };
        let Some(publisher) = entry.publisher.as_ref().and_then(|name| self.project.file.publisher(name)) else {
            return Ok(());
        };
        let key = PublicKey::parse(&publisher.key).map_err(|error| refusal(&error))?;
        let (of, digest) = (format!("plugin `{name}`"), format!("sha256:{sha256}"));
        let check = |text: Option<String>, place: String| {
            let Some(text) = text else {
                return Err(SignatureError::Missing { of: of.clone(), publisher: publisher.name.clone(), place });
            };
            Signature::parse(&text, &of)?.check(&of, &digest, &publisher.name, &key)
        };
        let kept = match &entry.origin {
            PluginOrigin::Path(path) => {
                let file = signature_file(&self.project.resolve(path));
                return check(read_signature(&file)?, file.display().to_string()).map_err(|error| refusal(&error));
            }
            _ => self.store.signature(&digest).map_err(|error| refusal(&error))?,
        };
        match check(kept.clone(), String::new()) {
            Ok(()) => Ok(()),
            Err(error) if seek == Seek::Here => kept.map_or(Ok(()), |_| Err(refusal(&error))),
            // It was signed since, or there is a new key.
            Err(_) => {
                let (text, place) = self.fetch_signature(entry).await?;
                check(text.clone(), place).map_err(|error| refusal(&error))?;
                let text = text.unwrap_or_default();
                self.store.put_signature(&digest, &text).map(drop).map_err(|error| refusal(&error))
            }
        }
    }

    /// The signature of a plugin that is elsewhere, and where it is looked for.
    async fn fetch_signature(&self, entry: &PluginEntry) -> Result<(Option<String>, String), Refusal> {
        match &entry.origin {
            PluginOrigin::Url(url) => {
                let (registry, credentials) = self.remote.of_url(url)?;
                let text = registry.fetch_url_signature(url, credentials.as_ref()).await;
                Ok((text.map_err(|error| refusal(&error))?, format!("{url} with .sig behind its path")))
            }
            PluginOrigin::Oci(reference) => {
                let (registry, credentials) = self.remote.of_registry(reference.registry())?;
                let found = registry.find(reference, credentials.as_ref()).await.map_err(|error| refusal(&error))?;
                let place = format!("the annotation {} of {reference}", crossdock_registry::SIGNATURE_ANNOTATION);
                Ok((found.signature, place))
            }
            PluginOrigin::Path(_) => Ok((None, String::new())),
        }
    }

    /// What is let in under a name.
    pub(crate) fn locked(&self, name: &PluginName) -> Option<&LockedPlugin> {
        self.pins.locked(name)
    }
}

/// Reads the file of a signature.
///
/// # Errors
/// When it is there and cannot be read.
pub(crate) fn read_signature(path: &Path) -> Result<Option<String>, Refusal> {
    let read = || {
        // A pipe would hold up whoever opens it.
        if !std::fs::metadata(path)?.is_file() {
            return Err(std::io::Error::other("it is not a file"));
        }
        let mut bytes = Vec::new();
        File::open(path)?.take(SIGNATURE_MAX_BYTES).read_to_end(&mut bytes)?;
        Ok(String::from_utf8_lossy(&bytes).into_owned())
    };
    match read() {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(error) => Err(Refusal {
            code: "host-file-unreadable",
            class: ErrorClass::InvalidInput,
            message: format!("reading the signature {}: {error}", path.display()),
            found: String::new(),
            fix: "make the file readable for the user that runs Crossdock".to_owned(),
        }),
    }
}

/// An error of another crate, as a reason not to let a plugin in.
pub(crate) fn refusal(error: &impl Explained) -> Refusal {
    let (message, fix) = (error.to_string(), error.fix().unwrap_or_default());
    Refusal { code: error.code(), class: error.class(), message, found: String::new(), fix }
}

impl Refusal {
    fn internal(message: &str) -> Self {
        let fix = "this is a mistake in Crossdock; please report it with the project file".to_owned();
        Self {
            code: "host-internal",
            class: ErrorClass::Internal,
            message: message.to_owned(),
            found: String::new(),
            fix,
        }
    }
}

impl From<Error> for Refusal {
    fn from(error: Error) -> Self {
        // The codes of the façade's errors are its own.
        let code = crate::codes::explain(error.code()).map_or("host-internal", |code| code.name);
        let (message, fix) = (error.to_string(), error.fix().unwrap_or_default().to_owned());
        Self { code, class: error.class(), message, found: String::new(), fix }
    }
}
