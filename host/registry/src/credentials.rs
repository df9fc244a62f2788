//! What registries are shown so that they let us in.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Deserialize;
use std::collections::BTreeMap;
use std::fmt;
use zeroize::Zeroizing;

/// A user and a password, or a token that takes its place. Never shown.
#[derive(Clone)]
pub struct Credentials {
    user: String,
    password: Zeroizing<String>,
}

impl Credentials {
    /// A user's.
    #[must_use]
    pub fn new(user: impl Into<String>, password: impl Into<String>) -> Self {
        Self { user: user.into(), password: Zeroizing::new(password.into()) }
    }

    /// The password, so that it can be kept out of texts.
    #[must_use]
    pub fn password(&self) -> &str {
        &self.password
    }

    /// What stands in a header for them.
    pub(crate) fn basic(&self) -> Zeroizing<String> {
        let both = Zeroizing::new(format!("{}:{}", self.user, self.password.as_str()));
        Zeroizing::new(format!("Basic {}", STANDARD.encode(both.as_bytes())))
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Credentials").field("user", &self.user).finish_non_exhaustive()
    }
}

/// A `config.json` of Docker, as far as it is used here.
#[derive(Deserialize)]
struct DockerConfig {
    #[serde(default)]
    auths: BTreeMap<String, DockerAuth>,
}

#[derive(Deserialize)]
struct DockerAuth {
    #[serde(default)]
    auth: Option<String>,
}

/// The credentials for a registry in the text of a `config.json` of Docker, which `docker login` and others write. Only
/// those that stand in the file itself: helpers, which are programs, are not run. `None`, if there are none, or the text
/// is something else.
#[must_use]
pub fn docker_credentials(config: &str, registry: &str) -> Option<Credentials> {
    let config: DockerConfig = serde_json::from_str(config).ok()?;
    // Written as the host alone, or as an address with a scheme and perhaps the version of the interface.
    let host = |key: &str| {
        let key = key.strip_prefix("https://").or_else(|| key.strip_prefix("http://")).unwrap_or(key);
        key.split('/').next().unwrap_or_default().to_owned()
    };
    let found = config.auths.iter().find(|(key, auth)| host(key) == registry && auth.auth.is_some())?;
    let both = Zeroizing::new(STANDARD.decode(found.1.auth.as_ref()?.trim()).ok()?);
    let (user, password) = std::str::from_utf8(&both).ok()?.split_once(':')?;
    // Some write a zero byte behind it.
    Some(Credentials::new(user, password.trim_end_matches('\0')))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    #[track_caller]
    fn check(config: &str, registry: &str, expected: Option<(&str, &str)>) {
        let found = docker_credentials(config, registry);
        let found = found.as_ref().map(|found| (found.user.as_str(), found.password()));
        assert_eq!(found, expected, "{registry} in {config}");
    }

    #[test]
    fn what_docker_wrote_is_found() {
        let config = r#"{ "auths": {
            "ghcr.io": { "auth": "YWxpY2U6czNjcmV0" },
            "https://registry.example:5000/v1/": { "auth": "Ym9iOmE6Yg==" },
            "helped.example": {},
            "broken.example": { "auth": "%%%" }, "nobody.example": { "auth": "YWxpY2U=" }
        }, "credsStore": "desktop" }"#;
        check(config, "ghcr.io", Some(("alice", "s3cret")));
        check(config, "registry.example:5000", Some(("bob", "a:b")));
        check(config, "registry.example", None);
        check(config, "evil.ghcr.io", None);
        check(config, "helped.example", None);
        check(config, "broken.example", None);
        check(config, "nobody.example", None);
        check("{}", "ghcr.io", None);
        check("no json", "ghcr.io", None);
    }

    #[test]
    fn they_are_never_shown() {
        let shown = format!("{:?}", Credentials::new("alice", "s3cret"));
        assert!(shown.contains("alice") && !shown.contains("s3cret"), "{shown}");
        assert_eq!(*Credentials::new("alice", "s3cret").basic(), "Basic YWxpY2U6czNjcmV0");
    }
}
