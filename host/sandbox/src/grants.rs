//! What one plugin at one step of one route may reach. Nothing is granted by default.

use std::fmt;
use std::path::PathBuf;
use thiserror::Error;
use url::Url;
use zeroize::Zeroize as _;

/// A directory that the plugin sees.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DirGrant {
    /// Where it is. It must exist when the instance starts.
    pub host: PathBuf,
    /// Under which absolute path the plugin sees it.
    pub guest: String,
    /// Whether the plugin may change anything in it, and how much it may write; `None` is for reading only.
    pub write: Option<WriteBudget>,
}

/// How much a plugin may write into a directory, all its instances that one port starts together: in a run, that is
/// what one step or handler may write.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct WriteBudget {
    /// Bytes, counted as often as they are written, and those by which a file grows without being written. Default
    /// 16 GiB.
    pub max_bytes: u64,
    /// Files and folders that are made, also if they are removed again. Default 100,000.
    pub max_files: u64,
}

impl Default for WriteBudget {
    fn default() -> Self {
        Self { max_bytes: 16 << 30, max_files: 100_000 }
    }
}

/// A secret that the plugin may use.
#[derive(Clone, PartialEq, Eq)]
pub struct SecretGrant {
    /// Its name.
    pub name: String,
    /// Its value.
    pub value: SecretValue,
    /// Whether the plugin may see the value, and not only have it put on the wire.
    pub reveal: bool,
}

impl fmt::Debug for SecretGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SecretGrant {{ name: {:?}, value: {:?}, reveal: {} }}", self.name, self.value, self.reveal)
    }
}

/// Where the value of a secret comes from.
#[derive(Clone, PartialEq, Eq)]
pub enum SecretValue {
    /// This is the value as long as the instance lives; `None` if the project has none. Overwritten when it is dropped.
    Fixed(Option<Vec<u8>>),
    /// The content of this file, without one line break at its end, at most 64 KiB. It is looked at anew whenever the
    /// value is used, so that a token that is replaced counts from the next request on. While the file is gone, empty
    /// or unreadable, the value that was read last goes on; before there was any, the secret is not available.
    File(PathBuf),
}

impl From<Option<Vec<u8>>> for SecretValue {
    fn from(value: Option<Vec<u8>>) -> Self {
        Self::Fixed(value)
    }
}

impl fmt::Debug for SecretValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(value) => write!(f, "Fixed({})", if value.is_some() { "available" } else { "none" }),
            Self::File(path) => write!(f, "File({})", path.display()),
        }
    }
}

impl Drop for SecretValue {
    fn drop(&mut self) {
        if let Self::Fixed(value) = self {
            value.zeroize();
        }
    }
}

/// What a plugin may reach.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Grants {
    /// Directories.
    pub dirs: Vec<DirGrant>,
    /// Origins of HTTP requests: scheme, host and port, for example `https://pay.example.com`. The port
    /// may be left out if it is the usual one.
    pub http: Vec<String>,
    /// Secrets.
    pub secrets: Vec<SecretGrant>,
}

/// Why a text is not an origin.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{found:?} is not an origin: {reason}")]
pub struct InvalidOrigin {
    /// What was given.
    pub found: String,
    /// What is wrong with it.
    pub reason: String,
}

/// Scheme, host and port, as `url` writes them after normalisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of a URL, if it has one that requests can be sent to.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        if !matches!(url.scheme(), "http" | "https") {
            return None;
        }
        let host = url.host_str().filter(|host| !host.is_empty())?;
        // `example.com.` is the same host as `example.com`.
        let host = host.strip_suffix('.').unwrap_or(host);
        Some(Self { scheme: url.scheme().to_owned(), host: host.to_owned(), port: url.port_or_known_default()? })
    }

    pub(crate) fn parse(text: &str) -> Result<Self, InvalidOrigin> {
        let refuse = |reason: &str| InvalidOrigin { found: text.to_owned(), reason: reason.to_owned() };
        let url = Url::parse(text).map_err(|error| refuse(&error.to_string()))?;
        if !url.username().is_empty() || url.password().is_some() {
            return Err(refuse("it must not hold credentials"));
        }
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err(refuse("it must end after the host or the port; paths are not part of a grant"));
        }
        Self::of(&url).ok_or_else(|| refuse("it must begin with http:// or https:// and name a host"))
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}://{}:{}", self.scheme, self.host, self.port)
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    fn check(grant: &str, url: &str, covered: bool) {
        let url = Url::parse(url).unwrap();
        assert_eq!(Origin::of(&url) == Some(Origin::parse(grant).unwrap()), covered, "{grant} and {url}");
    }

    #[test]
    fn urls_are_compared_after_normalisation() {
        check("https://pay.example.com", "https://pay.example.com/v1?x=1", true);
        check("https://pay.example.com", "https://PAY.example.com:443/", true);
        check("https://pay.example.com:443", "https://pay.example.com./", true);
        check("https://pay.example.com", "http://pay.example.com/", false);
        check("https://pay.example.com", "https://pay.example.com:8443/", false);
        check("https://pay.example.com", "https://pay.example.com.evil.test/", false);
        check("https://pay.example.com", "https://pay.example.com@evil.test/", false);
        check("http://127.0.0.1:8080", "http://2130706433:8080/", true);
        check("http://127.0.0.1:8080", "http://0x7f.1:8080/", true);
        check("http://[::1]:80", "http://[0:0:0:0:0:0:0:1]/", true);
        check("http://[::1]:80", "http://[::ffff:127.0.0.1]/", false);
        check("https://bücher.example", "https://xn--bcher-kva.example/", true);
    }

    #[test]
    fn origins_are_only_origins() {
        for text in
            ["", "example.com", "ftp://example.com", "https://u:p@example.com", "https://example.com/v1", "https:"]
        {
            assert!(Origin::parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn debugging_shows_no_value() {
        let grant = SecretGrant { name: "A".into(), value: Some(b"canary".to_vec()).into(), reveal: false };
        assert!(!format!("{grant:?}").contains("canary"));
        let grants = Grants { secrets: vec![grant], ..Grants::default() };
        assert!(!format!("{grants:?}").contains("canary"));
        let redactor = crate::redact::Redactor::new([("A", &b"canary"[..])]);
        assert!(!format!("{redactor:?}").contains("canary"));
    }
}
