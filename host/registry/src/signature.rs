//! Who signed a plugin. What is signed is the digest of its file, so a signature goes wherever the file goes: beside it as
//! `FILE.sig`, at its URL with `.sig` behind, and as an annotation of its manifest in a registry.

use crate::key::{PublicKey, SigningKey};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crossdock_model::{ErrorClass, Explained, is_digest};
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};
use thiserror::Error;

/// The most bytes of a signature's text.
pub const SIGNATURE_MAX_BYTES: u64 = 1 << 10;
/// The first word of a signature: what it is, and in which form.
const FORM: &str = "crossdock-signature-1";
/// What is signed begins with this, so that a signature fits nothing else that somebody signs with the same key.
const STATEMENT: &str = "crossdock plugin file, version 1";

/// Why a signature is not accepted.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
#[non_exhaustive]
pub enum SignatureError {
    /// There is none.
    #[error("{of} is not signed, and must be by {publisher}: there is no signature at {place}")]
    Missing {
        /// What is not signed.
        of: String,
        /// Who should have.
        publisher: String,
        /// Where it should be.
        place: String,
    },
    /// What is there is no signature.
    #[error("the signature of {of} is damaged")]
    Damaged {
        /// What it is of.
        of: String,
    },
    /// It is of another file.
    #[error("the signature of {of} is of another file: signed is {signed}, and the file has {found}")]
    OtherFile {
        /// What it should be of.
        of: String,
        /// The digest that was signed.
        signed: String,
        /// The digest of the file.
        found: String,
    },
    /// It is of another key.
    #[error("{of} is signed by another key than that of {publisher}: by {found}, and {publisher} has {expected}")]
    OtherKey {
        /// What is signed.
        of: String,
        /// Who should have.
        publisher: String,
        /// Whose key it should be.
        expected: String,
        /// The key that it names.
        found: String,
    },
    /// It was not made with the key that it names.
    #[error("the signature of {of} was not made with the key that it names, {key}")]
    Forged {
        /// What it is of.
        of: String,
        /// The key.
        key: String,
    },
}

impl Explained for SignatureError {
    fn code(&self) -> &'static str {
        match self {
            Self::Missing { .. } => "signature-missing",
            Self::OtherKey { .. } => "signature-other-key",
            Self::Damaged { .. } | Self::OtherFile { .. } | Self::Forged { .. } => "signature-wrong",
        }
    }

    fn class(&self) -> ErrorClass {
        ErrorClass::InvalidInput
    }

    fn fix(&self) -> Option<String> {
        Some(match self {
            Self::Missing { .. } => {
                "ask the publisher for a signed plugin; your own you sign with `crossdock plugin sign FILE --key KEY`"
                    .to_owned()
            }
            Self::OtherKey { .. } => {
                "ask the publisher, by another way than this one, whether it has a new key; do not use the plugin until then"
                    .to_owned()
            }
            _ => "do not use this file; get it again from its publisher, together with its signature".to_owned(),
        })
    }
}

/// A signature: one line with its form, the digest that was signed, the public key, and the signature itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signature {
    digest: String,
    key: PublicKey,
    bytes: [u8; 64],
}

impl Signature {
    /// Signs a digest: `sha256:` and 64 hexadecimal digits.
    #[must_use]
    pub fn sign(digest: &str, key: &SigningKey) -> Self {
        Self { digest: digest.to_owned(), key: key.public(), bytes: key.sign(&statement(digest)) }
    }

    /// Reads a signature. `of` is what it is said to be of, for messages. Nothing of it is believed yet.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str, of: &str) -> Result<Self, SignatureError> {
        let damaged = || SignatureError::Damaged { of: of.to_owned() };
        let words: Vec<&str> = text.trim_end().split(' ').collect();
        let [FORM, digest, key, bytes] = words[..] else { return Err(damaged()) };
        let bytes = STANDARD.decode(bytes).ok().and_then(|bytes| <[u8; 64]>::try_from(bytes).ok());
        let key = PublicKey::parse(key).map_err(|_| damaged())?;
        if !is_digest(digest) {
            return Err(damaged());
        }
        Ok(Self { digest: digest.to_owned(), key, bytes: bytes.ok_or_else(damaged)? })
    }

    /// Whether this says that a publisher signed the file with this digest. `of` is the file, for messages.
    ///
    /// # Errors
    /// When it is of another key or another file, or was not made with the key that it names.
    pub fn check(&self, of: &str, digest: &str, publisher: &str, key: &PublicKey) -> Result<(), SignatureError> {
        let of = of.to_owned();
        if self.key != *key {
            let (publisher, expected, found) = (publisher.to_owned(), key.to_string(), self.key.to_string());
            return Err(SignatureError::OtherKey { of, publisher, expected, found });
        }
        if !self.key.fits(&statement(&self.digest), &self.bytes) {
            return Err(SignatureError::Forged { of, key: self.key.to_string() });
        }
        if self.digest != digest {
            return Err(SignatureError::OtherFile { of, signed: self.digest.clone(), found: digest.to_owned() });
        }
        Ok(())
    }

    /// The key that it names.
    #[must_use]
    pub fn key(&self) -> &PublicKey {
        &self.key
    }
}

impl fmt::Display for Signature {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{FORM} {} {} {}", self.digest, self.key, STANDARD.encode(self.bytes))
    }
}

/// The file beside a plugin's file that holds its signature: `FILE.sig`.
#[must_use]
pub fn signature_file(plugin: &Path) -> PathBuf {
    let mut name = OsString::from(plugin);
    name.push(".sig");
    PathBuf::from(name)
}

fn statement(digest: &str) -> Vec<u8> {
    format!("{STATEMENT}\n{digest}\n").into_bytes()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn key() -> SigningKey {
        let folder = tempfile::tempdir().unwrap();
        SigningKey::generate(&folder.path().join("key")).unwrap()
    }

    fn digest(digit: char) -> String {
        format!("sha256:{}", digit.to_string().repeat(64))
    }

    /// The code of what comes of a signature's text for the file `a`, signed by `key`; empty, if it fits.
    #[track_caller]
    fn check(text: &str, key: &SigningKey, expected: &str) {
        let found = Signature::parse(text, "f.wasm")
            .and_then(|signature| signature.check("f.wasm", &digest('a'), "acme", &key.public()));
        let code = found.as_ref().err().map_or("", Explained::code);
        assert_eq!(code, expected, "{text}: {found:?}");
    }

    #[test]
    fn only_the_publishers_own_of_this_file_fits() {
        let (acme, other) = (key(), key());
        let fitting = Signature::sign(&digest('a'), &acme).to_string();
        check(&fitting, &acme, "");
        check(&format!("{fitting}\n"), &acme, "");
        check(&Signature::sign(&digest('a'), &other).to_string(), &acme, "signature-other-key");
        check(&Signature::sign(&digest('b'), &acme).to_string(), &acme, "signature-wrong");
        // Only what it says of itself is exchanged.
        check(&fitting.replace(&digest('a'), &digest('b')), &acme, "signature-wrong");
        let of_b = Signature::sign(&digest('b'), &acme).to_string();
        check(&of_b.replace(&digest('b'), &digest('a')), &acme, "signature-wrong");
        let of_other = Signature::sign(&digest('a'), &other).to_string();
        check(&of_other.replace(&other.public().to_string(), &acme.public().to_string()), &acme, "signature-wrong");
        let (front, last) = fitting.rsplit_once(' ').unwrap();
        let flipped: String = last.chars().enumerate().map(|(n, c)| if n == 3 { 'B' } else { c }).collect();
        let flipped = if flipped == last { last.replacen('B', "C", 1) } else { flipped };
        check(&format!("{front} {flipped}"), &acme, "signature-wrong");
        for text in ["", "x", &fitting.replace("signature-1", "signature-2"), &fitting.replace(' ', "  "), front] {
            check(text, &acme, "signature-wrong");
        }
        check(&fitting.replace("sha256:", "sha256:A"), &acme, "signature-wrong");
    }

    /// The same key and digest give the same signature, which other implementations can be held against: made with
    /// `openssl pkeyutl -sign -rawin` and the key of RFC 8032, section 7.1, over the statement.
    #[test]
    fn it_is_plain_ed25519_over_the_statement() {
        assert_eq!(
            String::from_utf8(statement(&digest('a'))).unwrap(),
            format!("crossdock plugin file, version 1\n{}\n", digest('a'))
        );
        check(include_str!("../tests/data/by-openssl.sig"), &rfc(), "");
    }

    fn rfc() -> SigningKey {
        use std::os::unix::fs::PermissionsExt as _;
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("key");
        let text = "-----BEGIN PRIVATE KEY-----\nMC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n\
                    -----END PRIVATE KEY-----\n";
        std::fs::write(&path, text).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o600)).unwrap();
        SigningKey::read(&path).unwrap()
    }
}
