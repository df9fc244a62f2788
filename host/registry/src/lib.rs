//! Plugins from elsewhere: by URL, and from OCI registries.
//!
//! **Does**: fetches the bytes of a plugin that a project names, keeps them by digest, checks who signed them, and pushes
//! them to a registry.
//! **May touch**: the network, for the references it is given; the folder of fetched plugins; the files of keys,
//! signatures and credentials that it is given; chance, for new keys.
//! **Never**: what is in a plugin: it neither looks at the bytes beyond their digest nor runs them.

mod auth;
mod client;
pub mod codes;
mod credentials;
mod error;
pub mod fuzzing;
mod key;
mod limits;
mod manifest;
mod oci;
mod signature;
mod store;
mod url;

pub use client::{ClientConfig, Registry};
pub use credentials::{Credentials, docker_credentials};
pub use error::{Problem, RegistryError};
pub use key::{KeyError, PublicKey, SigningKey};
pub use limits::Limits;
pub use manifest::SIGNATURE_ANNOTATION;
pub use oci::{Component, Found, Pushed};
pub use signature::{SIGNATURE_MAX_BYTES, Signature, SignatureError, signature_file};
pub use store::{Store, StoreError};

use sha2::{Digest as _, Sha256};

/// The SHA-256 of some bytes: `sha256:` and 64 hexadecimal digits.
#[must_use]
pub fn digest_of(bytes: &[u8]) -> String {
    Sha256::digest(bytes).iter().fold("sha256:".to_owned(), |text, byte| text + &format!("{byte:02x}"))
}
