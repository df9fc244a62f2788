//! What registries and servers answer, and what is said of plugins that are there.

use crate::Target;
use crossdock_model::{OciReference, is_digest};
use crossdock_registry::{PublicKey, Signature, docker_credentials, fuzzing};

/// References, manifests, signatures, keys, credentials, and what servers ask for.
pub(super) const REGISTRY: Target = Target {
    name: "registry",
    more_seeds: &["host/registry/tests/data"],
    words: &[
        "ghcr.io/acme/map:1.2.0",
        "@sha256:",
        "localhost:5000/",
        "[::1]:5000/",
        "application/wasm",
        "\"layers\":[",
        "\"annotations\":{",
        "crossdock-signature-1 ",
        "ed25519:",
        "Bearer realm=\"https://",
        "\",service=\"",
        "\"auths\":{\"ghcr.io\":{\"auth\":\"",
        "..",
        "//",
        "%2f",
    ],
    short_run: 4_000,
    run: |bytes| {
        if let Ok((digest, _)) = fuzzing::manifest(bytes) {
            assert!(is_digest(&digest), "{digest:?} becomes the name of a file");
        }
        let Ok(text) = std::str::from_utf8(bytes) else { return };
        reference(text);
        signature(text);
        let _ = docker_credentials(text, "ghcr.io");
        if let Some(realm) = fuzzing::challenge(text) {
            assert!(text.contains(realm.trim()), "{realm:?} is not in {text:?}");
        }
    },
};

/// What is a reference leads to its registry and nowhere else, and is written as it was read.
fn reference(text: &str) {
    let Ok(reference) = OciReference::parse(text) else { return };
    assert_eq!(reference.to_string(), text);
    let which = reference.digest().or(reference.tag()).unwrap_or_default();
    let Ok((host, path)) = fuzzing::place(&reference, &format!("manifests/{which}")) else { return };
    assert_eq!(path, format!("/v2/{}/manifests/{which}", reference.repository()), "{text:?}");
    // Addresses are written in their shortest form, and the usual port is left out.
    let is_name = !reference.registry().starts_with(|c: char| c.is_ascii_digit() || c == '[');
    let named = reference.registry().trim_end_matches(":443");
    assert!(!is_name || host == named || host.ends_with(|c: char| c.is_ascii_digit()), "{text:?} leads to {host}");
}

/// What is a signature or a key is written as it was read.
fn signature(text: &str) {
    if let Ok(signature) = Signature::parse(text, "f.wasm") {
        assert_eq!(signature.to_string(), text.trim_end());
    }
    if let Ok(key) = PublicKey::parse(text) {
        assert_eq!(key.to_string(), text);
    }
}
