//! What one plugin at one step of one route may reach. Nothing is granted by default.

use ipnet::IpNet;
use std::fmt;
use std::path::PathBuf;
use thiserror::Error;
use url::{Host, Url};
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
    /// Whether the plugin may see the value, and not only have it put on the wire. Where a value goes that a plugin
    /// has seen, nobody can hold it to: `to` binds the host, not the plugin then.
    pub reveal: bool,
    /// The origins to which the host may send the value, each as in [`HttpGrant::origin`]. If there are none, it may
    /// go to the one origin that the plugin is granted, behind TLS or on this machine; with several it goes nowhere.
    pub to: Vec<String>,
}

impl fmt::Debug for SecretGrant {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, value, reveal, to } = self;
        write!(f, "SecretGrant {{ name: {name:?}, value: {value:?}, reveal: {reveal}, to: {to:?} }}")
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
    /// Where HTTP requests may go.
    pub http: Vec<HttpGrant>,
    /// Secrets.
    pub secrets: Vec<SecretGrant>,
}

/// An origin that requests may go to.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct HttpGrant {
    /// Scheme, host and port, for example `https://pay.example.com`. The port may be left out if it is the usual one.
    pub origin: String,
    /// Which addresses the host may have, as ranges in CIDR notation such as `10.1.0.0/16`. If there are none, a name
    /// may have public addresses only, and `localhost` those of this machine. With ranges only addresses in them are
    /// connected to, public or not; addresses of link-local and of cloud metadata must be named by a range that
    /// holds no others. A host that is an address is that address, and has no ranges.
    pub addresses: Vec<String>,
}

impl From<&str> for HttpGrant {
    /// An origin without ranges.
    fn from(origin: &str) -> Self {
        Self { origin: origin.to_owned(), addresses: Vec::new() }
    }
}

/// Why a grant cannot be given.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub(crate) enum GrantError {
    #[error("{found:?} is not an origin: {reason}")]
    Origin { found: String, reason: String },
    #[error("{found:?} is not a range of addresses such as 10.1.0.0/16 or fd00::/8")]
    Range { found: String },
    #[error("{origin} has no other addresses than its own, and was granted with ranges")]
    RangesOfAddress { origin: Origin },
}

impl GrantError {
    pub(crate) fn fix(&self) -> &'static str {
        match self {
            Self::Origin { .. } => "write scheme, host and, if it is not the usual one, port: https://api.example.com",
            Self::Range { .. } => "write an address, a slash and how many of its bits count",
            Self::RangesOfAddress { .. } => "grant it without ranges",
        }
    }
}

impl HttpGrant {
    /// The origin and the ranges, looked at.
    pub(crate) fn checked(&self) -> Result<(Origin, Vec<IpNet>), GrantError> {
        let origin = Origin::parse(&self.origin)?;
        let is_name = matches!(&origin.host, Host::Domain(name) if name != "localhost");
        if !is_name && !self.addresses.is_empty() {
            return Err(GrantError::RangesOfAddress { origin });
        }
        let range = |text: &String| text.parse().map_err(|_| GrantError::Range { found: text.clone() });
        Ok((origin, self.addresses.iter().map(range).collect::<Result<_, _>>()?))
    }
}

/// Scheme, host and port after normalisation.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Origin {
    https: bool,
    host: Host<String>,
    port: u16,
}

impl Origin {
    /// The origin of a URL, if it has one that requests can be sent to.
    pub(crate) fn of(url: &Url) -> Option<Self> {
        let https = match url.scheme() {
            "https" => true,
            "http" => false,
            _ => return None,
        };
        let host = match url.host()? {
            // `example.com.` is the same host as `example.com`.
            Host::Domain(name) => Host::Domain(name.strip_suffix('.').unwrap_or(name).to_owned()),
            Host::Ipv4(address) => Host::Ipv4(address),
            Host::Ipv6(address) => Host::Ipv6(address),
        };
        if matches!(&host, Host::Domain(name) if name.is_empty()) {
            return None;
        }
        Some(Self { https, host, port: url.port_or_known_default()? })
    }

    pub(crate) fn is_https(&self) -> bool {
        self.https
    }

    pub(crate) fn host(&self) -> &Host<String> {
        &self.host
    }

    pub(crate) fn host_ref(&self) -> Host<&str> {
        match &self.host {
            Host::Domain(name) => Host::Domain(name),
            Host::Ipv4(address) => Host::Ipv4(*address),
            Host::Ipv6(address) => Host::Ipv6(*address),
        }
    }

    /// The host as certificates name it: an address without brackets.
    pub(crate) fn host_name(&self) -> String {
        match &self.host {
            Host::Ipv6(address) => address.to_string(),
            host => host.to_string(),
        }
    }

    pub(crate) fn port(&self) -> u16 {
        self.port
    }

    /// Host and port as the `Host` header has them: without the usual port.
    pub(crate) fn authority(&self) -> String {
        let usual = if self.https { 443 } else { 80 };
        if self.port == usual { self.host.to_string() } else { format!("{}:{}", self.host, self.port) }
    }

    /// Whether nobody between here and there can read along.
    pub(crate) fn is_private(&self) -> bool {
        let is_here = match &self.host {
            Host::Domain(name) => name == "localhost",
            Host::Ipv4(address) => address.is_loopback(),
            Host::Ipv6(address) => address.is_loopback(),
        };
        self.https || is_here
    }

    pub(crate) fn parse(text: &str) -> Result<Self, GrantError> {
        let refuse = |reason: &str| GrantError::Origin { found: text.to_owned(), reason: reason.to_owned() };
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
        write!(f, "{}://{}", if self.https { "https" } else { "http" }, self.authority())
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
        let grant = SecretGrant { name: "A".into(), value: Some(b"canary".to_vec()).into(), reveal: false, to: vec![] };
        assert!(!format!("{grant:?}").contains("canary"));
        let grants = Grants { secrets: vec![grant], ..Grants::default() };
        assert!(!format!("{grants:?}").contains("canary"));
        let redactor = crate::redact::Redactor::new([("A", &b"canary"[..])]);
        assert!(!format!("{redactor:?}").contains("canary"));
    }
}
