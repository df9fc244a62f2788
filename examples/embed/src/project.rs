//! A project for the example: the sample plugins of this repository, and a file with orders.

use anyhow::{Context, Result};
use std::fs;
use tempfile::TempDir;

/// What the route reads. The sum of the third order is no number.
const ORDERS: &str = r#"{"no": "A-1", "sum": "12.30"}
{"no": "A-2", "sum": "4"}
{"no": "A-3", "sum": "seven and a half"}
{"no": "A-4", "sum": "0.99"}
"#;

/// Makes the folder, which goes with what this answers with.
pub(crate) fn make() -> Result<TempDir> {
    let folder = tempfile::tempdir().context("making a folder")?;
    let plugins = crossdock_devkit::plugins()?;
    let mut project = "[plugins]\n".to_owned();
    for name in ["text-source", "map", "file-destination"] {
        project.push_str(&format!("{name} = {{ path = {:?} }}\n", plugins.path(name)?.display().to_string()));
    }
    fs::write(folder.path().join("crossdock.toml"), project)?;
    fs::create_dir(folder.path().join("in"))?;
    fs::create_dir(folder.path().join("out"))?;
    fs::write(folder.path().join("in/orders.ndjson"), ORDERS)?;
    Ok(folder)
}
