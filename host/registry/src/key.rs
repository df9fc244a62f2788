//! Keys that plugins are signed with: Ed25519 (RFC 8032).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use crossdock_model::{ErrorClass, Explained};
use ed25519_dalek::VerifyingKey;
use rustls::pki_types::PrivatePkcs8KeyDer;
use rustls::pki_types::pem::PemObject as _;
use std::fmt;
use std::fs::{File, OpenOptions};
use std::io::{self, Read as _, Write as _};
use std::os::unix::fs::{OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};
use thiserror::Error;
use zeroize::Zeroizing;

/// What stands before a public key.
const PUBLIC_PREFIX: &str = "ed25519:";
/// What stands before the 32 bytes of a private key in PKCS#8 (RFC 8410): version 0, the algorithm's number, and the
/// lengths of what follows.
const PKCS8_PREFIX: [u8; 16] = [0x30, 0x2e, 2, 1, 0, 0x30, 5, 6, 3, 0x2b, 0x65, 0x70, 4, 0x22, 4, 0x20];
/// The most bytes of a key's file.
const KEY_FILE_MAX_BYTES: u64 = 16 << 10;
/// What others than its owner may do with a key's file: nothing.
const OTHERS: u32 = 0o077;

/// Why a key cannot be used, or none could be made.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum KeyError {
    /// The file cannot be read.
    #[error("reading the key {}: {reason}", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The file is something else.
    #[error("reading the key {}: it is no private Ed25519 key in PEM (PKCS#8)", path.display())]
    NotAKey {
        /// The file.
        path: PathBuf,
    },
    /// Others can read it.
    #[error("reading the key {}: others than its owner may read or change it (its mode is {mode:o})", path.display())]
    Open {
        /// The file.
        path: PathBuf,
        /// What may be done with it, and by whom.
        mode: u32,
    },
    /// The file cannot be made.
    #[error("writing the key {}: {reason}", path.display())]
    Unwritable {
        /// The file.
        path: PathBuf,
        /// Why not.
        reason: String,
    },
    /// The text is no public key.
    #[error("reading a public key: it is not {PUBLIC_PREFIX} and 32 bytes in base64 that are one")]
    NotPublic,
}

impl Explained for KeyError {
    fn code(&self) -> &'static str {
        match self {
            Self::Unreadable { .. } | Self::NotAKey { .. } | Self::Open { .. } => "key-file",
            Self::Unwritable { .. } => "key-unwritable",
            Self::NotPublic => "key-public",
        }
    }

    fn class(&self) -> ErrorClass {
        match self {
            Self::Unwritable { .. } => ErrorClass::Environment,
            _ => ErrorClass::InvalidInput,
        }
    }

    fn fix(&self) -> Option<String> {
        Some(match self {
            Self::Unreadable { .. } | Self::NotAKey { .. } => {
                "name the file that `crossdock plugin keygen` or `openssl genpkey -algorithm ed25519` wrote".to_owned()
            }
            Self::Open { path, .. } => {
                format!("chmod 600 {}; and make a new key, if somebody else may have read it", path.display())
            }
            Self::Unwritable { .. } => "name a new file in a folder that you may write to".to_owned(),
            Self::NotPublic => "copy what `crossdock plugin keygen` wrote, from `ed25519:` to the end".to_owned(),
        })
    }
}

/// A publisher's public key, written as `ed25519:` and 32 bytes in base64.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PublicKey(VerifyingKey);

impl PublicKey {
    /// Reads a public key.
    ///
    /// # Errors
    /// When it is none.
    pub fn parse(text: &str) -> Result<Self, KeyError> {
        let bytes = text.strip_prefix(PUBLIC_PREFIX).and_then(|text| STANDARD.decode(text).ok());
        let bytes = bytes.and_then(|bytes| <[u8; 32]>::try_from(bytes).ok()).ok_or(KeyError::NotPublic)?;
        let key = VerifyingKey::from_bytes(&bytes).map_err(|_| KeyError::NotPublic)?;
        // With one of these a signature fits everything.
        if key.is_weak() { Err(KeyError::NotPublic) } else { Ok(Self(key)) }
    }

    /// Whether these 64 bytes are the signature of a text with this key.
    pub(crate) fn fits(&self, text: &[u8], signature: &[u8; 64]) -> bool {
        self.0.verify_strict(text, &ed25519_dalek::Signature::from_bytes(signature)).is_ok()
    }
}

impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{PUBLIC_PREFIX}{}", STANDARD.encode(self.0.as_bytes()))
    }
}

/// A publisher's private key. Never shown; its memory is wiped.
pub struct SigningKey(ed25519_dalek::SigningKey);

impl fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SigningKey").field("public", &self.public().to_string()).finish_non_exhaustive()
    }
}

impl SigningKey {
    /// Makes a new key and writes it into a new file, which only its owner may read: PEM with PKCS#8, as `openssl`
    /// reads and writes it.
    ///
    /// # Errors
    /// When the file is there already or cannot be written, or the machine has no random numbers.
    pub fn generate(path: &Path) -> Result<Self, KeyError> {
        let unwritable = |reason: String| KeyError::Unwritable { path: path.to_owned(), reason };
        let mut seed = Zeroizing::new([0; 32]);
        getrandom::fill(seed.as_mut_slice()).map_err(|error| unwritable(error.to_string()))?;
        let der = Zeroizing::new([&PKCS8_PREFIX[..], &seed[..]].concat());
        let text = Zeroizing::new(format!(
            "-----BEGIN PRIVATE KEY-----\n{}\n-----END PRIVATE KEY-----\n",
            Zeroizing::new(STANDARD.encode(&*der)).as_str()
        ));
        let write = || -> io::Result<()> {
            let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
            file.write_all(text.as_bytes())?;
            file.sync_all()
        };
        write().map_err(|error| unwritable(error.to_string()))?;
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// Reads a key from its file.
    ///
    /// # Errors
    /// When there is none, it is something else, or others may read it.
    pub fn read(path: &Path) -> Result<Self, KeyError> {
        let unreadable = |error: io::Error| KeyError::Unreadable { path: path.to_owned(), reason: error.to_string() };
        let not_a_key = || KeyError::NotAKey { path: path.to_owned() };
        // A pipe would hold up whoever opens it.
        if !std::fs::metadata(path).map_err(unreadable)?.is_file() {
            return Err(not_a_key());
        }
        let file = File::open(path).map_err(unreadable)?;
        let mode = file.metadata().map_err(unreadable)?.permissions().mode() & 0o777;
        if mode & OTHERS != 0 {
            return Err(KeyError::Open { path: path.to_owned(), mode });
        }
        let mut text = Zeroizing::new(Vec::new());
        file.take(KEY_FILE_MAX_BYTES).read_to_end(&mut text).map_err(unreadable)?;
        let der = PrivatePkcs8KeyDer::from_pem_slice(&text).map_err(|_| not_a_key())?;
        let seed = der.secret_pkcs8_der().strip_prefix(&PKCS8_PREFIX).and_then(|seed| <[u8; 32]>::try_from(seed).ok());
        let seed = Zeroizing::new(seed.ok_or_else(not_a_key)?);
        Ok(Self(ed25519_dalek::SigningKey::from_bytes(&seed)))
    }

    /// The public half.
    #[must_use]
    pub fn public(&self) -> PublicKey {
        PublicKey(self.0.verifying_key())
    }

    pub(crate) fn sign(&self, text: &[u8]) -> [u8; 64] {
        use ed25519_dalek::Signer as _;
        self.0.sign(text).to_bytes()
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use std::fs;

    /// The key of the first test of RFC 8032, section 7.1, as `openssl genpkey` would write it.
    const RFC: &str = "-----BEGIN PRIVATE KEY-----\n\
                       MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g\n-----END PRIVATE KEY-----\n";
    const RFC_PUBLIC: &str = "ed25519:11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=";

    fn write(folder: &Path, text: &str, mode: u32) -> PathBuf {
        let path = folder.join("key.pem");
        let _ = fs::remove_file(&path);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        path
    }

    #[test]
    fn a_new_key_is_read_again_and_is_only_its_owners() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("acme.key");
        let made = SigningKey::generate(&path).unwrap();
        assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
        let read = SigningKey::read(&path).unwrap();
        assert_eq!(read.public(), made.public());
        assert_eq!(PublicKey::parse(&made.public().to_string()).unwrap(), made.public());
        assert_eq!(SigningKey::generate(&path).unwrap_err().code(), "key-unwritable");
        assert_eq!(SigningKey::read(&path).unwrap().public(), made.public(), "an old key was written over");
        let shown = format!("{made:?}");
        assert!(!shown.contains(&STANDARD.encode(made.0.to_bytes())[..20]), "{shown}");
    }

    #[test]
    fn keys_of_openssl_are_read() {
        let folder = tempfile::tempdir().unwrap();
        let key = SigningKey::read(&write(folder.path(), RFC, 0o600)).unwrap();
        assert_eq!(key.public().to_string(), RFC_PUBLIC);
    }

    #[track_caller]
    fn check(text: &str, mode: u32, expected: &str) {
        let folder = tempfile::tempdir().unwrap();
        let error = SigningKey::read(&write(folder.path(), text, mode)).unwrap_err();
        assert!(error.to_string().contains(expected), "{error}");
        assert_eq!(error.code(), "key-file");
    }

    #[test]
    fn what_is_no_key_of_ones_own() {
        check(RFC, 0o644, "others than its owner may read or change it (its mode is 644)");
        check(RFC, 0o620, "its mode is 620");
        check("", 0o600, "no private Ed25519 key");
        check(&RFC.replace("PRIVATE", "PUBLIC"), 0o600, "no private Ed25519 key");
        check(&RFC.replace("MC4C", "MC8C"), 0o600, "no private Ed25519 key");
        let folder = tempfile::tempdir().unwrap();
        assert!(SigningKey::read(folder.path()).unwrap_err().to_string().contains("no private"));
        assert!(SigningKey::read(&folder.path().join("none")).unwrap_err().to_string().contains("reading the key"));
    }

    #[test]
    fn what_is_no_public_key() {
        assert!(PublicKey::parse(RFC_PUBLIC).is_ok());
        let weak = format!("ed25519:{}", STANDARD.encode([&[1_u8][..], &[0; 31]].concat()));
        let short = format!("ed25519:{}", STANDARD.encode([7; 31]));
        for text in ["", "ed25519:", "11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo=", &weak, &short, "ed25519:%%%"] {
            assert!(PublicKey::parse(text).is_err(), "{text}");
        }
    }
}
