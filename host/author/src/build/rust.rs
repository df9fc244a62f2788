//! Rust: Cargo builds for `wasm32-wasip2`, in a profile and with flags that make a plugin small and fast, and the same
//! bytes wherever the folder stands.

use super::error::BuildError;
use super::manifest::Manifest;
use super::tools::{Tool, Tools, version_in};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fs;
use std::path::{Path, PathBuf};

/// What plugins are built for.
const TARGET: &str = "wasm32-wasip2";

/// The oldest compiler that the SDK takes: the one that this program was built with at least.
const RUST_MIN: &str = env!("CARGO_PKG_RUST_VERSION");

const CARGO: Tool = Tool {
    program: "cargo",
    what: "cargo, which builds Rust,",
    get: "Install Rust with rustup: `curl --proto '=https' --tlsv1.2 -sSf https://sh.rustup.rs | sh`, then open a new shell.",
};

const RUSTC: Tool = Tool { program: "rustc", what: "rustc, the compiler of Rust,", get: CARGO.get };

const RUSTUP: Tool = Tool {
    program: "rustup",
    what: "the Rust target wasm32-wasip2, and rustup to add it,",
    get: "Install Rust with rustup (https://rustup.rs) and run `rustup target add wasm32-wasip2`, or get the target in the \
          way of your Rust distribution.",
};

/// How plugins are built where the author has no `[profile.plugin]`: one unit of code that is optimised as a whole, without
/// what only unwinding and debuggers need. Without LTO a transformer of JSON takes 1.7 times as long, with opt-level "z"
/// 2.3 times.
const PROFILE: [(&str, &str); 7] = [
    ("INHERITS", "release"),
    ("OPT_LEVEL", "3"),
    ("LTO", "fat"),
    ("CODEGEN_UNITS", "1"),
    ("PANIC", "abort"),
    ("STRIP", "symbols"),
    ("DEBUG", "false"),
];

/// In the sandbox a turn of a loop and a call cost more than natively: more is inlined than is usual, and bytes are
/// searched for 16 at a time.
const FLAGS: [&str; 2] = ["-Cllvm-args=-inline-threshold=1000", "-Ctarget-feature=+simd128"];

/// Builds the plugin and gives its component.
pub(super) fn build(manifest: &mut Manifest, tools: &Tools<'_>) -> Result<Vec<u8>, BuildError> {
    let doing = format!("Building {} for {TARGET} with cargo", manifest.name);
    let sysroot = compiler(&doing, tools)?;
    target(&doing, tools)?;
    let metadata = metadata(&doing, tools)?;
    let package = own_package(&metadata, manifest)?;
    manifest.version.clone_from(&package.version);

    tools.say(&doing);
    let mut cargo = tools.command(CARGO.program);
    cargo.args(["build", "--target", TARGET, "--profile", "plugin", "--message-format", "json-render-diagnostics"]);
    // Of a folder that is one package of several, only this one.
    cargo.args(["--package", &package.name, "--lib"]);
    if !has_profile(&metadata.workspace_root)? {
        cargo.envs(PROFILE.map(|(key, value)| (format!("CARGO_PROFILE_PLUGIN_{key}"), value)));
    }
    // These are meant for the machine that builds, and some tools set them for all that Cargo starts.
    for name in ["RUSTFLAGS", "CARGO_BUILD_RUSTFLAGS", "CARGO_BUILD_TARGET"] {
        cargo.env_remove(name);
    }
    cargo.env("CARGO_ENCODED_RUSTFLAGS", flags(&metadata, &sysroot));
    let said = tools.run(&doing, CARGO, cargo)?;
    let file = component(&said, package).ok_or_else(|| BuildError::NoComponent {
        name: manifest.name.clone(),
        problem: "cargo made no .wasm file".to_owned(),
        fix: "Write `crate-type = [\"cdylib\", \"rlib\"]` under `[lib]` in Cargo.toml: a component is made of the \
              first, tests use the second."
            .to_owned(),
    })?;
    fs::read(&file).map_err(BuildError::file("reading", file))
}

/// Sees to it that there is a compiler that is new enough, and tells where its own files stand.
fn compiler(doing: &str, tools: &Tools<'_>) -> Result<String, BuildError> {
    let ask = |arguments: &[&str]| {
        let mut rustc = tools.command(RUSTC.program);
        rustc.args(arguments);
        tools.ask(doing, RUSTC, rustc)
    };
    let text = ask(&["--version"])?;
    let found = version_in(&text);
    if found.is_none() || found < version_in(RUST_MIN) {
        return Err(BuildError::ToolTooOld {
            doing: doing.to_owned(),
            tool: "rustc".to_owned(),
            found: text.split_whitespace().nth(1).unwrap_or("of an unknown version").to_owned(),
            needed: RUST_MIN.to_owned(),
            get: "Run `rustup update`, or get a newer one in the way of your Rust distribution.".to_owned(),
        });
    }
    ask(&["--print", "sysroot"]).map(|sysroot| sysroot.trim().to_owned())
}

/// Sees to it that the compiler has the standard library for the sandbox: rustup adds it where it is.
fn target(doing: &str, tools: &Tools<'_>) -> Result<(), BuildError> {
    if has_target(doing, tools)? {
        return Ok(());
    }
    let adding = format!("Adding the Rust target {TARGET} with rustup");
    tools.say(&adding);
    let mut rustup = tools.command(RUSTUP.program);
    rustup.args(["target", "add", TARGET]);
    tools.run(&adding, RUSTUP, rustup)?;
    if has_target(doing, tools)? {
        return Ok(());
    }
    // The compiler in use is not the one that rustup looks after.
    let (tool, get) = (format!("the Rust target {TARGET} of the rustc in PATH"), RUSTUP.get.to_owned());
    Err(BuildError::ToolMissing { doing: doing.to_owned(), tool, get })
}

fn has_target(doing: &str, tools: &Tools<'_>) -> Result<bool, BuildError> {
    let mut rustc = tools.command(RUSTC.program);
    rustc.args(["--print", "target-libdir", "--target", TARGET]);
    let folder = match tools.ask(doing, RUSTC, rustc) {
        Ok(folder) => folder,
        // A compiler that has never heard of it.
        Err(BuildError::ToolFailed { .. }) => return Ok(false),
        Err(error) => return Err(error),
    };
    let is_std = |entry: std::io::Result<fs::DirEntry>| {
        entry.is_ok_and(|entry| entry.file_name().to_string_lossy().starts_with("libstd-"))
    };
    Ok(fs::read_dir(folder.trim()).is_ok_and(|mut entries| entries.any(is_std)))
}

/// What Cargo knows of the folder and all that it needs.
#[derive(Debug, Deserialize)]
struct Metadata {
    packages: Vec<Package>,
    workspace_root: PathBuf,
}

#[derive(Debug, Deserialize)]
struct Package {
    id: String,
    name: String,
    version: String,
    manifest_path: PathBuf,
}

fn metadata(doing: &str, tools: &Tools<'_>) -> Result<Metadata, BuildError> {
    let mut cargo = tools.command(CARGO.program);
    cargo.args(["metadata", "--format-version", "1", "--filter-platform", TARGET]);
    let text = tools.ask(doing, CARGO, cargo)?;
    serde_json::from_str(&text).map_err(|error| BuildError::ToolFailed {
        doing: doing.to_owned(),
        command: "cargo metadata".to_owned(),
        status: "an answer that could not be read".to_owned(),
        said: Some(error.to_string()),
    })
}

fn own_package<'m>(metadata: &'m Metadata, manifest: &Manifest) -> Result<&'m Package, BuildError> {
    let own = |path: &Path| path == manifest.path || same_file(path, &manifest.path);
    metadata.packages.iter().find(|package| own(&package.manifest_path)).ok_or_else(|| BuildError::Manifest {
        path: manifest.path.clone(),
        problem: "cargo finds no package in it".to_owned(),
        fix: "Write `[package]` with a name and a version.".to_owned(),
    })
}

fn same_file(one: &Path, other: &Path) -> bool {
    matches!((fs::canonicalize(one), fs::canonicalize(other)), (Ok(one), Ok(other)) if one == other)
}

/// Whether the author has a profile of this name: then it is the author who decides.
fn has_profile(workspace_root: &Path) -> Result<bool, BuildError> {
    let path = workspace_root.join("Cargo.toml");
    let text = fs::read_to_string(&path).map_err(BuildError::file("reading", path))?;
    Ok(toml::from_str::<toml::Table>(&text)
        .is_ok_and(|root| root.get("profile").is_some_and(|profiles| profiles.get("plugin").is_some())))
}

/// The compiler's flags, as Cargo takes them from its environment: those above, and other names for each folder whose name
/// would get into the plugin with messages of panics.
fn flags(metadata: &Metadata, sysroot: &str) -> OsString {
    let mut names = BTreeMap::new();
    for package in &metadata.packages {
        let Some(folder) = package.manifest_path.parent() else { continue };
        // What stands below the workspace is named from there on by Cargo itself.
        if folder.starts_with(&metadata.workspace_root) {
            continue;
        }
        let own_name = format!("{}-{}", package.name, package.version);
        match folder.parent() {
            Some(all) if folder.file_name().is_some_and(|name| name == own_name.as_str()) => {
                names.insert(all.to_path_buf(), "/crates".to_owned());
            }
            _ => {
                names.insert(folder.to_path_buf(), format!("/crates/{own_name}"));
            }
        }
    }
    // The standard library's, if its source is installed: without it the compiler says this by itself.
    names.insert(Path::new(sysroot).join("lib/rustlib/src/rust"), "/rust".to_owned());
    let mut flags = OsString::from(FLAGS.join("\x1f"));
    for (folder, name) in names {
        flags.push("\x1f--remap-path-prefix=");
        flags.push(folder);
        flags.push("=");
        flags.push(name);
    }
    flags
}

/// One line of what Cargo says as JSON.
#[derive(Debug, Deserialize)]
struct Message {
    reason: String,
    #[serde(default)]
    package_id: String,
    #[serde(default)]
    filenames: Vec<PathBuf>,
}

/// The file that Cargo made of the package for the sandbox.
fn component(said: &[u8], package: &Package) -> Option<PathBuf> {
    let lines = said.split(|byte| *byte == b'\n').filter(|line| line.starts_with(b"{"));
    let messages = lines.filter_map(|line| serde_json::from_slice::<Message>(line).ok());
    let own = messages.filter(|message| message.reason == "compiler-artifact" && message.package_id == package.id);
    let is_wasm = |file: &PathBuf| file.extension().is_some_and(|kind| kind == "wasm");
    own.flat_map(|message| message.filenames).find(is_wasm)
}
