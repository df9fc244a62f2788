//! A door for fuzz targets: what is read of servers' answers, without servers.

use crate::auth::asks_for_token;
use crate::error::Problem;
use crate::manifest::Manifest;
use crate::oci::address;
use crossdock_model::OciReference;

/// Reads a manifest. Gives the digest and the size of the plugin in it.
///
/// # Errors
/// It is none of a plugin.
pub fn manifest(text: &[u8]) -> Result<(String, u64), Problem> {
    let layer = Manifest::read(text)?.layers.into_iter().next();
    layer.map(|layer| (layer.digest, layer.size)).ok_or(Problem::NotAPlugin { found: "no layer".to_owned() })
}

/// Reads what a server asks for: whether it gives out tokens, and where.
#[must_use]
pub fn challenge(header: &str) -> Option<String> {
    asks_for_token(header)
}

/// The host and the path of the address at which a registry has something.
///
/// # Errors
/// It is no address.
pub fn place(reference: &OciReference, what: &str) -> Result<(String, String), Problem> {
    let url = address("https", reference, what)?;
    Ok((crate::client::host_of(&url), url.path().to_owned()))
}
