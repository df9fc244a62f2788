//! Running Cargo from within a program that Cargo runs.

use anyhow::{Context, Result, bail, ensure};
use serde_json::Value;
use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// Where the workspace stands: the folder with `wit`, `host`, `plugins` and so on.
#[must_use]
pub fn workspace_root() -> &'static Path {
    // CARGO_MANIFEST_DIR is tests/devkit.
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().and_then(Path::parent).unwrap_or(here)
}

/// Builds a program of this workspace and returns its path: for example
/// `binary("crossdock-cli", "crossdock")`. Cargo is run once a program and process; when everything is
/// fresh that takes about a second.
///
/// It is built in the profile that this crate was built in, with the features of the whole workspace: so
/// `cargo test --workspace` shares its artefacts.
///
/// # Errors
/// Cargo is missing, or the build fails; Cargo's own messages go to stderr.
pub fn binary(package: &str, bin: &str) -> Result<PathBuf> {
    static BUILT: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
    let mut built = BUILT.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    let built = built.get_or_insert_default();
    if let Some(path) = built.get(bin) {
        return Ok(path.clone());
    }
    let path = build(cargo(), package, bin)?;
    built.insert(bin.to_owned(), path.clone());
    Ok(path)
}

/// As [`binary`], with these crates of the workspace built as for a release and the others as ever: what they are made of
/// is the same from build to build, whoever builds. Cargo is run each time.
///
/// # Errors
/// As [`binary`].
pub fn binary_optimised(package: &str, bin: &str, crates: &[&str]) -> Result<PathBuf> {
    let mut cargo = cargo();
    // How the compiler cuts a crate into pieces decides what it can inline: it is one piece, and incremental builds are
    // many.
    cargo.env("CARGO_INCREMENTAL", "0");
    for name in crates {
        for setting in ["opt-level=3", "codegen-units=1", "debug-assertions=false", "overflow-checks=false"] {
            cargo.args(["--config", &format!("profile.dev.package.{name}.{setting}")]);
        }
    }
    build(cargo, package, bin)
}

fn build(mut cargo: Command, package: &str, bin: &str) -> Result<PathBuf> {
    cargo.args(["build", "--workspace", "--bin", bin]);
    if !cfg!(debug_assertions) {
        cargo.arg("--release");
    }
    let artifacts = artifacts(cargo).with_context(|| format!("building the program {bin}"))?;
    let executable = artifacts.iter().find(|artifact| artifact.target == bin && artifact.package == package);
    let path = executable.and_then(|artifact| artifact.executable.clone());
    path.with_context(|| format!("the package {package} has no program {bin}"))
}

/// The Cargo that runs us, or the one in PATH, started in the workspace and without what an outer Cargo tells the
/// program it runs.
pub(crate) fn cargo() -> Command {
    let mut command = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    command.current_dir(workspace_root()).stdin(Stdio::null());
    for (name, _) in std::env::vars_os() {
        if name.to_str().is_some_and(about_the_outer_build) {
            command.env_remove(name);
        }
    }
    command
}

/// Whether a variable describes the package that an outer Cargo is building or running. Variables with which a person
/// configures Cargo stay.
fn about_the_outer_build(name: &str) -> bool {
    const EXACT: [&str; 11] = [
        "CARGO_MANIFEST_DIR",
        "CARGO_MANIFEST_PATH",
        "CARGO_CRATE_NAME",
        "CARGO_PRIMARY_PACKAGE",
        "CARGO_TARGET_TMPDIR",
        "CARGO_MANIFEST_LINKS",
        "CARGO_MAKEFLAGS",
        "CARGO_ENCODED_RUSTFLAGS",
        "OUT_DIR",
        "RUSTC_WORKSPACE_WRAPPER",
        "CLIPPY_ARGS",
    ];
    const PREFIXES: [&str; 4] = ["CARGO_PKG_", "CARGO_BIN_", "CARGO_CFG_", "CARGO_FEATURE_"];
    EXACT.contains(&name) || PREFIXES.iter().any(|prefix| name.starts_with(prefix))
}

/// One thing that Cargo made.
#[derive(Debug)]
pub(crate) struct Artifact {
    pub(crate) package: String,
    pub(crate) target: String,
    pub(crate) files: Vec<PathBuf>,
    executable: Option<PathBuf>,
}

/// Runs a build and lists what it made, fresh or not.
pub(crate) fn artifacts(mut cargo: Command) -> Result<Vec<Artifact>> {
    cargo.arg("--message-format=json-render-diagnostics").stderr(Stdio::inherit());
    let output = cargo.output().with_context(|| format!("running {}", shown(&cargo)))?;
    ensure!(output.status.success(), "{} failed ({}); its messages stand above", shown(&cargo), output.status);
    let lines = output.stdout.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{"));
    let messages = lines.map(|line| serde_json::from_slice::<Value>(line).context("reading what Cargo made"));
    messages.filter_map(|message| message.map(|message| artifact(&message)).transpose()).collect()
}

fn artifact(message: &Value) -> Option<Artifact> {
    if message.get("reason")?.as_str()? != "compiler-artifact" {
        return None;
    }
    let manifest = Path::new(message.get("manifest_path")?.as_str()?);
    let files = message.get("filenames")?.as_array()?.iter().filter_map(Value::as_str).map(PathBuf::from).collect();
    Some(Artifact {
        package: package_name(message.get("package_id")?.as_str()?, manifest),
        target: message.pointer("/target/name")?.as_str()?.to_owned(),
        files,
        executable: message.get("executable").and_then(Value::as_str).map(PathBuf::from),
    })
}

/// The package's name from its id: `path+file:///somewhere/cli#crossdock-cli@0.1.0`, or, if the folder has
/// the same name, `path+file:///somewhere/map#0.1.0`.
fn package_name(id: &str, manifest: &Path) -> String {
    let fragment = id.rsplit_once('#').map_or("", |(_, fragment)| fragment);
    match fragment.split_once('@') {
        Some((name, _)) => name.to_owned(),
        None => {
            let folder = manifest.parent().and_then(Path::file_name).unwrap_or_default();
            folder.to_string_lossy().into_owned()
        }
    }
}

/// The folder that Cargo builds into: the workspace's own, or what the person has configured.
pub(crate) fn target_dir() -> Result<PathBuf> {
    let mut cargo = cargo();
    cargo.args(["metadata", "--no-deps", "--format-version=1"]).stderr(Stdio::inherit());
    let output = cargo.output().with_context(|| format!("running {}", shown(&cargo)))?;
    if !output.status.success() {
        bail!("{} failed ({}); its messages stand above", shown(&cargo), output.status);
    }
    let metadata: Value = serde_json::from_slice(&output.stdout).context("reading Cargo's metadata")?;
    let dir = metadata.get("target_directory").and_then(Value::as_str).context("Cargo did not name a target folder")?;
    Ok(PathBuf::from(dir))
}

pub(crate) fn shown(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(name: &str, removed: bool) {
        assert_eq!(about_the_outer_build(name), removed, "{name}");
    }

    #[test]
    fn only_what_describes_the_outer_build_is_removed() {
        check("CARGO_PKG_NAME", true);
        check("CARGO_MANIFEST_DIR", true);
        check("CARGO_BIN_EXE_crossdock", true);
        check("RUSTC_WORKSPACE_WRAPPER", true);
        check("CARGO_HOME", false);
        check("CARGO_TARGET_DIR", false);
        check("CARGO_REGISTRIES_MIRROR_INDEX", false);
        check("RUSTUP_TOOLCHAIN", false);
    }

    #[test]
    fn a_package_id_tells_the_name() {
        let manifest = Path::new("/somewhere/map/Cargo.toml");
        assert_eq!(package_name("path+file:///somewhere/map#0.1.0", manifest), "map");
        assert_eq!(package_name("path+file:///somewhere/cli#crossdock-cli@0.1.0", manifest), "crossdock-cli");
    }
}
