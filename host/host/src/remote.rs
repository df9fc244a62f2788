//! How registries and servers with plugins are reached: which are trusted, and what they are shown.

use crate::error::Error;
use crate::project::OpenProject;
use crate::secrets::{is_too_short, known};
use crossdock_model::ErrorClass;
use crossdock_registry::{ClientConfig, Credentials, Limits, Registry, docker_credentials};
use std::fs::File;
use std::io::Read as _;
use std::path::PathBuf;
use std::sync::OnceLock;

/// The largest file that is read as Docker's configuration.
const DOCKER_CONFIG_MAX_BYTES: u64 = 1 << 20;

/// The way out for plugins. A client is made when something is fetched or pushed for the first time.
pub(crate) struct Remote<'p> {
    project: Option<&'p OpenProject>,
    registry: OnceLock<Registry>,
}

impl<'p> Remote<'p> {
    pub(crate) fn new(project: Option<&'p OpenProject>) -> Self {
        Self { project, registry: OnceLock::new() }
    }

    /// The client, and what a registry is shown: what the project says, or else what Docker has for it.
    ///
    /// # Errors
    /// When certificates or a secret cannot be read, or TLS cannot be set up.
    pub(crate) fn of_registry(&self, host: &str) -> Result<(&Registry, Option<Credentials>), Error> {
        let credentials = match self.said(host)? {
            Some(said) => Some(said),
            None => docker_config().and_then(|config| docker_credentials(&config, host)),
        };
        if let Some(credentials) = &credentials
            && !is_too_short(credentials.password().as_bytes())
        {
            known().learn([(format!("the password for {host}").as_str(), credentials.password().as_bytes())]);
        }
        Ok((self.registry()?, credentials))
    }

    /// The client, and what the server at a URL is shown: what the project says.
    ///
    /// # Errors
    /// As for [`Remote::of_registry`].
    pub(crate) fn of_url(&self, url: &str) -> Result<(&Registry, Option<Credentials>), Error> {
        let authority =
            url.split_once("://").map_or(url, |(_, rest)| rest).split(['/', '?']).next().unwrap_or_default();
        Ok((self.registry()?, self.said(authority)?))
    }

    fn registry(&self) -> Result<&Registry, Error> {
        if let Some(registry) = self.registry.get() {
            return Ok(registry);
        }
        let plain = self.project.iter().flat_map(|project| project.file.registries());
        let config = ClientConfig {
            certificates: self.project.map(OpenProject::certificate_texts).transpose()?.unwrap_or_default(),
            plain_http: plain.filter(|entry| entry.plain_http).map(|entry| entry.host.clone()).collect(),
            limits: Limits { plugin_max_bytes: crossdock_sandbox::Limits::PLUGIN_MAX_BYTES, ..Limits::default() },
        };
        let registry = Registry::new(config).map_err(|error| Error::explained(&error))?;
        Ok(self.registry.get_or_init(|| registry))
    }

    fn said(&self, host: &str) -> Result<Option<Credentials>, Error> {
        let Some(project) = self.project else { return Ok(None) };
        let entry = project.file.registries().iter().find(|entry| entry.host == host);
        let Some((user, secret)) = entry.and_then(|entry| entry.user.as_ref()) else { return Ok(None) };
        let absent = || {
            Error::new(
                "host-secret-unreadable",
                ErrorClass::Environment,
                format!("reading secret {secret} for {host}: it is not there, or empty"),
                "Set the environment variable or write the file that the project names for it.",
            )
        };
        let value = project.secret(secret)?.ok_or_else(absent)?;
        let text = String::from_utf8(value).map_err(|_| absent())?;
        Ok(Some(Credentials::new(user, text.trim_end_matches(['\r', '\n']))))
    }
}

/// The text of Docker's configuration, if there is one that can be read.
fn docker_config() -> Option<String> {
    let folder = std::env::var_os("DOCKER_CONFIG").map(PathBuf::from);
    let folder = folder.or_else(|| Some(PathBuf::from(std::env::var_os("HOME")?).join(".docker")))?;
    let path = folder.join("config.json");
    if !path.is_file() {
        return None;
    }
    let mut text = String::new();
    File::open(path).ok()?.take(DOCKER_CONFIG_MAX_BYTES).read_to_string(&mut text).ok()?;
    Some(text)
}
