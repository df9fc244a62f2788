//! Python.

use super::error::BuildError;
use super::manifest::Manifest;
use super::tools::Tools;

/// Builds the plugin and gives its component.
pub(super) fn build(manifest: &mut Manifest, _tools: &Tools<'_>) -> Result<Vec<u8>, BuildError> {
    Err(BuildError::Manifest {
        path: manifest.path.clone(),
        problem: "plugins in Python are not built by this version".to_owned(),
        fix: "Write the plugin in Rust, or get a newer Crossdock.".to_owned(),
    })
}
