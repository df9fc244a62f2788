//! References to plugins in OCI registries.

use serde::{Serialize, Serializer};
use std::fmt;
use thiserror::Error;

/// The longest reference, in bytes: a registry, and what the registries allow for the rest of it.
const REFERENCE_MAX_BYTES: usize = 512;
/// The longest tag, in bytes.
const TAG_MAX_BYTES: usize = 128;

/// Why a text is not a reference to a plugin in a registry.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[error("{problem}")]
pub struct InvalidReference {
    /// What is wrong with it.
    pub problem: &'static str,
}

/// A plugin in an OCI registry: `REGISTRY/REPOSITORY:TAG`, `REGISTRY/REPOSITORY@sha256:DIGEST` or both. The registry is
/// always named, since no one of them is the usual one for plugins; and so is a tag or digest, since "the latest" is
/// another plugin every now and then.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OciReference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<String>,
}

impl OciReference {
    /// Reads a reference.
    ///
    /// # Errors
    /// When it is none, or leaves out the registry, or both tag and digest.
    pub fn parse(text: &str) -> Result<Self, InvalidReference> {
        let wrong = |problem| Err(InvalidReference { problem });
        if text.len() > REFERENCE_MAX_BYTES {
            return wrong("a reference has at most 512 bytes");
        }
        if text.contains("://") {
            return wrong("a reference begins with the registry's name, without a scheme");
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest)),
            None => (text, None),
        };
        if digest.is_some_and(|digest| !is_digest(digest)) {
            return wrong("after @ stands sha256: and 64 hexadecimal digits in lower case");
        }
        let Some((registry, path)) = rest.split_once('/') else {
            return wrong("the registry is missing: a reference is REGISTRY/REPOSITORY:TAG");
        };
        if !is_registry(registry) {
            return wrong("the registry is missing, or is not a host with or without a port");
        }
        let (repository, tag) = match path.rsplit_once(':') {
            Some((repository, tag)) => (repository, Some(tag)),
            None => (path, None),
        };
        if !repository.split('/').all(is_part) {
            return wrong("a repository has parts of a-z, 0-9 and single separators . _ - between them");
        }
        if tag.is_some_and(|tag| !is_tag(tag)) {
            return wrong("a tag has 1 to 128 characters of A-Z, a-z, 0-9, _ . - and begins with none of . and -");
        }
        if tag.is_none() && digest.is_none() {
            return wrong("neither tag nor digest: it could be another plugin every day");
        }
        Ok(Self {
            registry: registry.to_owned(),
            repository: repository.to_owned(),
            tag: tag.map(str::to_owned),
            digest: digest.map(str::to_owned),
        })
    }

    /// The registry's host, with its port if it is not the usual one.
    #[must_use]
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The repository within the registry.
    #[must_use]
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag, which whoever may push can give to another plugin.
    #[must_use]
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// `sha256:` and the digest of the manifest, which is not that of the plugin's file.
    #[must_use]
    pub fn digest(&self) -> Option<&str> {
        self.digest.as_deref()
    }
}

impl fmt::Display for OciReference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.registry, self.repository)?;
        self.tag.iter().try_for_each(|tag| write!(f, ":{tag}"))?;
        self.digest.iter().try_for_each(|digest| write!(f, "@{digest}"))
    }
}

impl Serialize for OciReference {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

/// Whether a text is the host of a registry, with or without a port: a name with a dot, `localhost`, or an address. A
/// single word without a port is none: in other tools it would be a part of a repository somewhere else.
#[must_use]
pub fn is_registry(text: &str) -> bool {
    if let Some(address) = text.strip_prefix('[') {
        let Some((address, port)) = address.split_once(']') else { return false };
        let port_fits = port.is_empty() || port.strip_prefix(':').is_some_and(is_port);
        return port_fits && is_v6(address);
    }
    let (host, port) = match text.split_once(':') {
        Some((host, port)) => (host, Some(port)),
        None => (text, None),
    };
    let is_label = |label: &str| {
        !label.is_empty()
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let is_named = host.contains('.') || host == "localhost" || port.is_some();
    is_named && host.split('.').all(is_label) && port.is_none_or(is_port)
}

/// Whether a text is `sha256:` and 64 hexadecimal digits in lower case.
#[must_use]
pub fn is_digest(text: &str) -> bool {
    let hex = text.strip_prefix("sha256:").unwrap_or_default();
    hex.len() == 64 && hex.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b))
}

/// Whether it looks like an address of IPv6: whoever connects to it finds out whether it is one.
fn is_v6(text: &str) -> bool {
    (2..=39).contains(&text.len()) && text.contains(':') && text.bytes().all(|b| b.is_ascii_hexdigit() || b == b':')
}

fn is_port(text: &str) -> bool {
    !text.starts_with('0') && text.parse::<u16>().is_ok()
}

fn is_tag(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'.' | b'-');
    (1..=TAG_MAX_BYTES).contains(&text.len()) && text.bytes().all(fits) && !text.starts_with(['.', '-'])
}

/// Letters and digits, with `.`, `_`, `__` or any number of `-` between them.
fn is_part(text: &str) -> bool {
    let fits = |b: u8| b.is_ascii_lowercase() || b.is_ascii_digit() || matches!(b, b'.' | b'_' | b'-');
    let separators = text.split(|c: char| c.is_ascii_lowercase() || c.is_ascii_digit()).filter(|part| !part.is_empty());
    !text.is_empty()
        && text.bytes().all(fits)
        && !text.starts_with(['.', '_', '-'])
        && !text.ends_with(['.', '_', '-'])
        && separators
            .into_iter()
            .all(|between| matches!(between, "." | "_" | "__") || between.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    #![allow(clippy::panic)]
    use super::*;

    /// Registry, repository, tag and digest, or a part of what is said to be wrong.
    #[track_caller]
    fn check(text: &str, expected: Result<(&str, &str, Option<&str>, bool), &str>) {
        match (OciReference::parse(text), expected) {
            (Ok(found), Ok((registry, repository, tag, has_digest))) => {
                assert_eq!((found.registry(), found.repository(), found.tag()), (registry, repository, tag));
                assert_eq!(found.digest().is_some(), has_digest);
                assert_eq!(found.to_string(), text);
            }
            (Err(error), Err(part)) => assert!(error.to_string().contains(part), "{text}: {error}"),
            (found, expected) => panic!("{text}: {found:?}, expected {expected:?}"),
        }
    }

    #[test]
    fn references() {
        let digest = format!("sha256:{}", "0a".repeat(32));
        check("ghcr.io/acme/orders:1.2.0", Ok(("ghcr.io", "acme/orders", Some("1.2.0"), false)));
        check("localhost:5000/a:1", Ok(("localhost:5000", "a", Some("1"), false)));
        check("localhost/a/b__c/d.e-f--g:v_1.0-rc", Ok(("localhost", "a/b__c/d.e-f--g", Some("v_1.0-rc"), false)));
        check("[::1]:5000/a:1", Ok(("[::1]:5000", "a", Some("1"), false)));
        check("127.0.0.1:80/a:1", Ok(("127.0.0.1:80", "a", Some("1"), false)));
        check("registry:5000/a:1", Ok(("registry:5000", "a", Some("1"), false)));
        check(&format!("ghcr.io/a@{digest}"), Ok(("ghcr.io", "a", None, true)));
        check(&format!("ghcr.io/a:1@{digest}"), Ok(("ghcr.io", "a", Some("1"), true)));
        check("ghcr.io/acme/orders", Err("neither tag nor digest"));
        check("orders:1.2.0", Err("the registry is missing"));
        check("acme/orders:1.2.0", Err("the registry is missing"));
        check("https://ghcr.io/acme/orders:1", Err("without a scheme"));
        check("user:word@ghcr.io/acme/orders:1", Err("after @"));
        check("ghcr.io/Acme/orders:1", Err("a repository has parts"));
        check("ghcr.io/../orders:1", Err("a repository has parts"));
        check("ghcr.io//orders:1", Err("a repository has parts"));
        check("ghcr.io/a?b=c:1", Err("a repository has parts"));
        check("ghcr.io/a___b:1", Err("a repository has parts"));
        check("ghcr.io/a._b:1", Err("a repository has parts"));
        check("ghcr.io/a:", Err("a tag has"));
        check("ghcr.io/a:.1", Err("a tag has"));
        check(&format!("ghcr.io/a:{}", "1".repeat(129)), Err("a tag has"));
        check("ghcr.io:99999/a:1", Err("the registry is missing"));
        check("ghcr.io:/a:1", Err("the registry is missing"));
        check("-ghcr.io/a:1", Err("the registry is missing"));
        check("gh cr.io/a:1", Err("the registry is missing"));
        check("[::1/a:1", Err("the registry is missing"));
        check("ghcr.io/a@sha256:abc", Err("after @"));
        check(&format!("ghcr.io/{}:1", "a".repeat(600)), Err("512 bytes"));
        check("", Err("the registry is missing"));
    }
}
