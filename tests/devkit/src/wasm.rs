//! Building plugins.

use crate::build::{artifacts, cargo, shown, target_dir, workspace_root};
use anyhow::{Context, Result, bail, ensure};
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs::File;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::Mutex;

/// What plugins are built for.
const TARGET: &str = "wasm32-wasip2";

/// The plugins of this workspace.
const PLUGINS: [&str; 5] = ["text-source", "http-source", "map", "http-destination", "file-destination"];

/// The example plugins of the kit for Rust.
const EXAMPLES: [&str; 2] = ["orders", "ledger-entry"];

/// Plugins that were built, by the name of their package.
#[derive(Debug, Clone)]
pub struct Plugins {
    files: BTreeMap<String, PathBuf>,
}

impl Plugins {
    /// The `.wasm` file of a plugin.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn path(&self, name: &str) -> Result<PathBuf> {
        let known = || self.files.keys().map(String::as_str).collect::<Vec<_>>().join(", ");
        self.files.get(name).cloned().with_context(|| format!("there is no plugin {name}; there are {}", known()))
    }

    /// All of them: name and file, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Path)> {
        self.files.iter().map(|(name, path)| (name.as_str(), path.as_path()))
    }
}

/// Builds the plugins of this workspace (`text-source`, `http-source`, `map`, `http-destination`, `file-destination`), as
/// they are shipped: in the profile `plugin`. The first time takes a minute; when everything is fresh, about a second, and
/// within a process it happens once.
///
/// # Errors
/// Cargo, or the target wasm32-wasip2 with no rustup to add it, is missing; or a plugin does not build.
pub fn plugins() -> Result<Plugins> {
    static BUILT: Mutex<Option<Plugins>> = Mutex::new(None);
    once(&BUILT, || {
        let arguments = PLUGINS.iter().flat_map(|name| ["-p", name]).map(OsString::from).collect();
        let built = build(arguments).context("building the plugins")?;
        let missing: Vec<&str> = PLUGINS.into_iter().filter(|name| !built.files.contains_key(*name)).collect();
        ensure!(missing.is_empty(), "the build made no plugin of {}: do they export a role?", missing.join(", "));
        Ok(built)
    })
}

/// Builds the example plugins of the kit for Rust (`orders`, `ledger-entry`), as their authors would.
///
/// # Errors
/// As [`plugins`].
pub fn examples() -> Result<Plugins> {
    static BUILT: Mutex<Option<Plugins>> = Mutex::new(None);
    once(&BUILT, || {
        let arguments = EXAMPLES.iter().flat_map(|name| ["-p", name]).map(OsString::from).collect();
        build(arguments).context("building the example plugins")
    })
}

/// Builds the guests of `tests/guests`, a workspace of its own: plugins that misbehave, for tests.
///
/// # Errors
/// As [`plugins`].
pub fn guests() -> Result<Plugins> {
    static BUILT: Mutex<Option<Plugins>> = Mutex::new(None);
    once(&BUILT, || {
        let manifest = workspace_root().join("tests/guests/Cargo.toml");
        ensure!(manifest.is_file(), "{} does not exist", manifest.display());
        build(vec!["--manifest-path".into(), manifest.into(), "--workspace".into()]).context("building the guests")
    })
}

fn once(built: &Mutex<Option<Plugins>>, build: impl FnOnce() -> Result<Plugins>) -> Result<Plugins> {
    let mut built = built.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
    if let Some(plugins) = &*built {
        return Ok(plugins.clone());
    }
    Ok(built.insert(build()?).clone())
}

/// Builds for the sandbox, in a target folder of its own: the outer Cargo may hold the lock on the usual one.
fn build(arguments: Vec<OsString>) -> Result<Plugins> {
    let folder = target_dir()?.join("plugins");
    std::fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
    // Programs that test in parallel come here at the same time: one installs and builds, the others wait.
    // The lock ends with the file.
    let path = folder.join(".devkit-lock");
    let lock = File::create(&path).with_context(|| format!("opening {}", path.display()))?;
    lock.lock().with_context(|| format!("locking {}", path.display()))?;

    install_target()?;
    let mut cargo = cargo();
    cargo.args(["build", "--target", TARGET, "--profile", "plugin"]).args(arguments);
    cargo.env("CARGO_TARGET_DIR", &folder);
    // These are meant for the machine that runs us, not for the sandbox; cargo-llvm-cov and others set them.
    for name in ["RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET", "RUSTDOCFLAGS"] {
        cargo.env_remove(name);
    }
    let files = artifacts(cargo)?.into_iter().filter_map(|artifact| {
        let wasm = artifact.files.into_iter().find(|file| file.extension().is_some_and(|kind| kind == "wasm"))?;
        Some((artifact.package, wasm))
    });
    Ok(Plugins { files: files.collect() })
}

/// Sees to it that the compiler has the standard library for the sandbox.
fn install_target() -> Result<()> {
    if has_target()? {
        return Ok(());
    }
    let mut rustup = Command::new("rustup");
    rustup.args(["target", "add", TARGET]).stdin(Stdio::null());
    let remedy = format!("plugins need the Rust target {TARGET}; add it with `rustup target add {TARGET}`");
    match rustup.status() {
        Ok(status) if status.success() && has_target()? => Ok(()),
        Ok(status) => bail!("{remedy} ({} ended with {status})", shown(&rustup)),
        Err(error) => bail!("{remedy}, or install it in the way of your Rust distribution (rustup: {error})"),
    }
}

fn has_target() -> Result<bool> {
    let mut rustc = Command::new(std::env::var_os("RUSTC").unwrap_or_else(|| "rustc".into()));
    rustc.args(["--print", "target-libdir", "--target", TARGET]).current_dir(workspace_root()).stdin(Stdio::null());
    let output = rustc.output().with_context(|| format!("running {}", shown(&rustc)))?;
    let folder = PathBuf::from(String::from_utf8_lossy(&output.stdout).trim());
    let holds_std = |entry: std::io::Result<std::fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
    };
    Ok(output.status.success() && std::fs::read_dir(folder).is_ok_and(|mut entries| entries.any(holds_std)))
}
