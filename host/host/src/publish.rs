//! Plugins on their way: fetched beforehand, pushed to a registry, signed.

use crate::error::Error;
use crate::files::{Seek, read_signature};
use crate::host::Host;
use crate::remote::Remote;
use bytes::Bytes;
use crossdock_model::{ErrorClass, OciReference, PluginName};
use crossdock_registry::{Component, PublicKey, Signature, SigningKey, signature_file};
use crossdock_route::LockedPlugin;
use serde::Serialize;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// What became of fetching the plugins of a project.
#[derive(Debug, Clone, Serialize)]
pub struct Pulled {
    /// All of them, in the order in which the project has them.
    pub plugins: Vec<PulledPlugin>,
    /// Those that were added to the lock.
    pub added_to_lock: Vec<LockedPlugin>,
}

/// A plugin of a project that is on this machine, let in and compiled.
#[derive(Debug, Clone, Serialize)]
pub struct PulledPlugin {
    /// Its name in the project.
    pub name: PluginName,
    /// Where it comes from, if that is not this machine.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub origin: Option<String>,
    /// Its file.
    pub path: PathBuf,
    /// `sha256:` and the digest of the file.
    pub digest: String,
    /// The size of the file in bytes.
    pub size_bytes: u64,
    /// Whether it was fetched now. Otherwise it was here before.
    pub fetched: bool,
    /// Who signed it, if somebody must have.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub publisher: Option<String>,
}

/// What was pushed.
#[derive(Debug, Clone, Serialize)]
pub struct PushReport {
    /// Under which reference.
    pub reference: String,
    /// The name that the plugin gives itself.
    pub plugin: String,
    /// The version that it gives itself.
    pub version: String,
    /// `sha256:` and the digest of the plugin's file.
    pub digest: String,
    /// `sha256:` and the digest of the manifest, by which a registry knows it.
    pub manifest_digest: String,
    /// The public key that it is signed with, if it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub signed_by: Option<String>,
}

/// A file that is signed.
#[derive(Debug, Clone, Serialize)]
pub struct SignReport {
    /// The file.
    pub path: PathBuf,
    /// The file with its signature.
    pub signature: PathBuf,
    /// `sha256:` and the digest of the file.
    pub digest: String,
    /// The public key that it is signed with.
    pub key: String,
}

impl Host {
    /// Fetches what the project's plugins need, so that its routes run without a network: each is fetched unless it was
    /// before, held against lock, digest and publisher, and compiled. Those that are not in the lock are added to it,
    /// unless nothing may be.
    ///
    /// # Errors
    /// When there is no project, or one of its plugins cannot be fetched, is refused, or is no plugin. The others were
    /// fetched as far as they came before it; the lock is as it was.
    pub async fn pull_plugins(&self) -> Result<Pulled, Error> {
        let project = self.project()?;
        let (files, sandbox) = (self.files(project)?, self.sandbox()?);
        let (mut plugins, mut new) = (Vec::new(), BTreeMap::new());
        for entry in project.file.plugins() {
            let name = &entry.name;
            let before = files.find(name, Seek::Here).await?;
            let found = files.find(name, Seek::Wanted).await?;
            let fetched = before.is_none() && found.is_some();
            let path = found.unwrap_or_default();
            let read = sandbox.read(&path).await.map_err(|error| Error::explained(&error))?;
            files.check(name, &read).await?;
            let plugin = sandbox.load_read(read).await.map_err(|error| Error::explained(&error))?;
            let origin = files.origin(name);
            let added = files.pins.check_plugin(name, &plugin, origin.clone())?;
            new.extend(added.map(|added| (name.clone(), added)));
            plugins.push(PulledPlugin {
                name: name.clone(),
                origin,
                path,
                digest: format!("sha256:{}", plugin.digest()),
                size_bytes: plugin.size_bytes(),
                fetched,
                publisher: files.publisher(name),
            });
        }
        let added_to_lock = new.values().cloned().collect();
        files.pins.unlocked(new).add().await?;
        Ok(Pulled { plugins, added_to_lock })
    }

    /// Pushes a plugin's file to an OCI registry, in the layout that `wkg` uses. It is signed with a private key, if one
    /// is named; otherwise a signature that stands beside the file goes along. Pushing the same again changes nothing.
    ///
    /// # Errors
    /// When the file is no plugin, the reference has no tag, the key or the signature cannot be used, or the registry
    /// does not let us.
    pub async fn push_plugin(&self, file: &Path, reference: &str, key: Option<&Path>) -> Result<PushReport, Error> {
        let reference = push_reference(reference)?;
        let key = key.map(SigningKey::read).transpose().map_err(|error| Error::explained(&error))?;
        let sandbox = self.sandbox()?;
        let read = sandbox.read(file).await.map_err(|error| Error::explained(&error))?;
        let (imports, exports) = read.names().map_err(|error| Error::explained(&error))?;
        let bytes = Bytes::copy_from_slice(read.bytes());
        let plugin = sandbox.load_read(read).await.map_err(|error| Error::explained(&error))?;
        let digest = format!("sha256:{}", plugin.digest());
        let signature = match key {
            Some(key) => Some(Signature::sign(&digest, &key)),
            None => signature_beside(file, &digest)?,
        };
        let description = plugin.description();
        let component = Component {
            bytes,
            name: description.name.clone(),
            version: description.version.clone(),
            summary: description.summary.clone(),
            imports,
            exports,
        };
        let remote = Remote::new(self.project().ok());
        let (registry, credentials) = remote.of_registry(reference.registry())?;
        let text = signature.as_ref().map(ToString::to_string);
        let pushed = registry.push(&reference, &component, text.as_deref(), credentials.as_ref()).await;
        let pushed = pushed.map_err(|error| Error::explained(&error))?;
        Ok(PushReport {
            reference: reference.to_string(),
            plugin: component.name,
            version: component.version,
            digest: pushed.digest,
            manifest_digest: pushed.manifest_digest,
            signed_by: signature.map(|signature| signature.key().to_string()),
        })
    }

    /// Signs a file: its signature is written beside it, as `FILE.sig`, in place of the one that may be there.
    ///
    /// # Errors
    /// When the file or the key cannot be read, or the signature cannot be written.
    pub async fn sign_plugin(&self, file: &Path, key: &Path) -> Result<SignReport, Error> {
        let key = SigningKey::read(key).map_err(|error| Error::explained(&error))?;
        let digest = self.digest_of(file).await?;
        let path = signature_file(file);
        let text = format!("{}\n", Signature::sign(&digest, &key));
        std::fs::write(&path, text).map_err(|error| {
            Error::new(
                "host-file-unwritable",
                ErrorClass::Environment,
                format!("writing the signature {}: {error}", path.display()),
                "Let the user that signs write into the folder of the plugin's file.",
            )
        })?;
        Ok(SignReport { path: file.to_owned(), signature: path, digest, key: key.public().to_string() })
    }

    /// Holds a file against the signature beside it and a public key, written as `ed25519:` and 32 bytes in base64.
    ///
    /// # Errors
    /// When there is no signature, it does not fit, or is of another key.
    pub async fn verify_with_key(&self, file: &Path, key: &str) -> Result<SignReport, Error> {
        self.verify_signature(file, key, "this key").await
    }

    /// As [`Host::verify_with_key`], with the key of a publisher of the project.
    ///
    /// # Errors
    /// The same, and when the project has no publisher of this name.
    pub async fn verify_with_publisher(&self, file: &Path, publisher: &str) -> Result<SignReport, Error> {
        let project = self.project()?;
        let entry = project.file.publisher(publisher).ok_or_else(|| {
            Error::new(
                "key-public",
                ErrorClass::InvalidInput,
                format!("verifying {}: {} has no publisher {publisher:?}", file.display(), project.file.file()),
                "Name one that stands under [publishers], or give the key with --key.",
            )
        })?;
        self.verify_signature(file, &entry.key, publisher).await
    }

    async fn verify_signature(&self, file: &Path, key: &str, publisher: &str) -> Result<SignReport, Error> {
        let key = PublicKey::parse(key).map_err(|error| Error::explained(&error))?;
        let digest = self.digest_of(file).await?;
        let (path, of) = (signature_file(file), file.display().to_string());
        let text = read_signature(&path)?.ok_or_else(|| {
            let (publisher, place) = (publisher.to_owned(), path.display().to_string());
            crossdock_registry::SignatureError::Missing { of: of.clone(), publisher, place }
        });
        let checked = text.and_then(|text| Signature::parse(&text, &of)?.check(&of, &digest, publisher, &key));
        checked.map_err(|error| Error::explained(&error))?;
        Ok(SignReport { path: file.to_owned(), signature: path, digest, key: key.to_string() })
    }

    async fn digest_of(&self, file: &Path) -> Result<String, Error> {
        let read = self.sandbox()?.read(file).await.map_err(|error| Error::explained(&error))?;
        Ok(format!("sha256:{}", read.digest()))
    }
}

/// Makes a new key to sign plugins with, in a new file that only its owner may read. Gives its public half, as
/// `[publishers]` of a project has it.
///
/// # Errors
/// When the file is there already, or cannot be written.
pub fn generate_key(file: &Path) -> Result<String, Error> {
    let key = SigningKey::generate(file).map_err(|error| Error::explained(&error))?;
    Ok(key.public().to_string())
}

fn push_reference(text: &str) -> Result<OciReference, Error> {
    let wrong = |reason: &str| {
        Error::new(
            "push-reference",
            ErrorClass::InvalidInput,
            format!("pushing to {text:?}: {reason}"),
            "Write registry, repository and tag, for example ghcr.io/acme/orders:1.2.0.",
        )
    };
    let reference = OciReference::parse(text).map_err(|error| wrong(error.problem))?;
    match (reference.tag(), reference.digest()) {
        (_, Some(_)) => Err(wrong("the digest comes out of what is pushed, and is not written")),
        (None, _) => Err(wrong("a tag is missing")),
        _ => Ok(reference),
    }
}

/// The signature beside a file, if there is one: it must be of this file.
fn signature_beside(file: &Path, digest: &str) -> Result<Option<Signature>, Error> {
    let Some(text) = read_signature(&signature_file(file))? else { return Ok(None) };
    let of = file.display().to_string();
    let checked = Signature::parse(&text, &of).and_then(|signature| {
        let key = signature.key().clone();
        signature.check(&of, digest, "its signer", &key).map(|()| signature)
    });
    checked.map(Some).map_err(|error| Error::explained(&error))
}
