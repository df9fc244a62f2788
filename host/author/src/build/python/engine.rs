//! The engines: one for each role and what it can do beside it, made once by componentize-py and kept for all plugins.
//!
//! They lie in `CROSSDOCK_TOOLS`, or else in `crossdock` below the user's cache folder, with the virtual environment that
//! componentize-py is installed in. Whoever builds with a copy of that folder gets the same bytes on another machine.

use super::super::error::BuildError;
use super::super::tools::{Tool, Tools};
use super::PYTHON;
use std::env;
use std::fs::{self, File};
use std::path::{Path, PathBuf};

/// The version of componentize-py that this version of Crossdock was tried with.
const COMPONENTIZE: &str = "componentize-py==0.25.1";

/// The contract, of which the bindings are made.
const WIT: [(&str, &str); 3] = [
    ("types.wit", include_str!("../../../../../wit/types.wit")),
    ("host.wit", include_str!("../../../../../wit/host.wit")),
    ("plugin.wit", include_str!("../../../../../wit/plugin.wit")),
];

/// The folders of the kit that go into an engine: what tests and tools use stays outside.
const KIT: [&str; 3] = ["crossdock", "crossdock/roles", "engine"];

/// The world of an engine: several of the contract's in one, since componentize-py takes one only.
const WORLD: &str = "python-engine";

pub(super) const PIP: Tool = Tool {
    program: "python3",
    what: "pip, which fetches packages of Python,",
    get: "Install it, for example with `apt install python3-pip python3-venv`.",
};

const COMPONENTIZE_PY: Tool = Tool {
    program: "componentize-py",
    what: "componentize-py, which makes components of Python,",
    get: "Remove the folder that CROSSDOCK_TOOLS names (or `~/.cache/crossdock`) and build again: it is installed anew.",
};

/// What an engine is for.
pub(super) struct Wanted<'a> {
    /// The folder of the kit that goes into it.
    pub(super) kit: &'a Path,
    /// `source`, `transformer` or `destination`.
    pub(super) role: &'a str,
    /// `compensate`, `probe`.
    pub(super) abilities: &'a [String],
}

impl Wanted<'_> {
    /// The world that it fills, in the words of the contract's package.
    fn world(&self) -> String {
        let role = format!("{}-plugin", self.role);
        let worlds = std::iter::once(role).chain(self.abilities.iter().map(|it| format!("{it}-ability")));
        let included: String = worlds.map(|world| format!(" include {world};")).collect();
        format!("world {WORLD} {{{included} }}\n")
    }

    /// What goes into it of the kit: places below its folder, and texts.
    fn modules(&self) -> Result<Vec<(PathBuf, Vec<u8>)>, BuildError> {
        let mut found = Vec::new();
        for folder in KIT {
            for file in modules(&self.kit.join(folder))? {
                let text = fs::read(&file).map_err(BuildError::file("reading", &file))?;
                found.push((file.strip_prefix(self.kit).unwrap_or(&file).to_path_buf(), text));
            }
        }
        Ok(found)
    }

    /// The name of its file, which changes with everything that it is made of.
    fn file_name(&self) -> Result<String, BuildError> {
        let mut hash = blake3::Hasher::new();
        let mut add = |text: &[u8]| {
            hash.update(&(text.len() as u64).to_le_bytes());
            hash.update(text);
        };
        add(COMPONENTIZE.as_bytes());
        for (name, text) in WIT {
            add(name.as_bytes());
            add(text.as_bytes());
        }
        for (place, text) in self.modules()? {
            add(place.as_os_str().as_encoded_bytes());
            add(&text);
        }
        let key = hash.finalize().to_hex();
        let kind: Vec<&str> = std::iter::once(self.role).chain(self.abilities.iter().map(String::as_str)).collect();
        Ok(format!("engine-{}-{}.wasm", kind.join("-"), key.get(..16).unwrap_or_default()))
    }
}

/// The Python files of a folder, in order.
fn modules(folder: &Path) -> Result<Vec<PathBuf>, BuildError> {
    let entries = fs::read_dir(folder).map_err(BuildError::file("reading", folder))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry.map_err(BuildError::file("reading", folder))?.path();
        if path.extension().is_some_and(|kind| kind == "py") {
            files.push(path);
        }
    }
    files.sort_unstable();
    Ok(files)
}

/// The engine's bytes; it is made first if it is not there.
pub(super) fn engine(wanted: &Wanted<'_>, tools: &Tools<'_>) -> Result<Vec<u8>, BuildError> {
    let home = home()?;
    let path = home.join(wanted.file_name()?);
    if !path.is_file() {
        let _lock = lock(&home)?;
        // Another build may have made it meanwhile.
        if !path.is_file() {
            make(wanted, tools, &home, &path)?;
        }
    }
    fs::read(&path).map_err(BuildError::file("reading", &path))
}

fn make(wanted: &Wanted<'_>, tools: &Tools<'_>, home: &Path, path: &Path) -> Result<(), BuildError> {
    let python = environment_in(tools, home)?;
    tools.say("making the Python engine: once for each role, about a minute");
    let folder = tempfile::tempdir_in(home).map_err(BuildError::file("making a folder in", home))?;
    let wit = folder.path().join("wit");
    fs::create_dir(&wit).map_err(BuildError::file("making", &wit))?;
    let world = wanted.world();
    for (name, text) in WIT.into_iter().chain([("engine.wit", world.as_str())]) {
        let file = wit.join(name);
        fs::write(&file, text).map_err(BuildError::file("writing", &file))?;
    }
    // A copy: the interpreter leaves compiled code beside what it reads.
    let kit = folder.path().join("kit");
    for (place, text) in wanted.modules()? {
        let file = kit.join(place);
        let within = file.parent().unwrap_or(&kit);
        fs::create_dir_all(within).map_err(BuildError::file("making", within))?;
        fs::write(&file, text).map_err(BuildError::file("writing", &file))?;
    }
    let made = folder.path().join("engine.wasm");
    let mut command = tools.command(python.with_file_name("componentize-py"));
    command.arg("--quiet").arg("--wit-path").arg(&wit);
    command
        .args(["--world", WORLD, "--world-module", "wit_world", "componentize", "--python-path"])
        .arg(kit.join("engine"));
    command.arg("--python-path").arg(&kit).args(["crossdock_engine", "--output"]).arg(&made);
    // It would look for packages of the environment that the author happens to be in.
    command.env_remove("VIRTUAL_ENV");
    tools.run("making the Python engine", COMPONENTIZE_PY, command)?;
    fs::rename(&made, path).map_err(BuildError::file("writing", path))
}

/// The interpreter of the virtual environment with componentize-py, made first if it is not there.
pub(super) fn environment(tools: &Tools<'_>) -> Result<PathBuf, BuildError> {
    let home = home()?;
    let _lock = lock(&home)?;
    environment_in(tools, &home)
}

fn environment_in(tools: &Tools<'_>, home: &Path) -> Result<PathBuf, BuildError> {
    let folder = home.join(COMPONENTIZE.replace("==", "-"));
    let programs = folder.join(if cfg!(windows) { "Scripts" } else { "bin" });
    let python = programs.join(if cfg!(windows) { "python.exe" } else { "python" });
    let ready = folder.join("ready");
    if ready.is_file() {
        return Ok(python);
    }
    tools.say(&format!("installing {COMPONENTIZE} into {}", folder.display()));
    let doing = "making a virtual environment of Python";
    let mut command = tools.command(PYTHON.program);
    command.args(["-m", "venv", "--clear"]).arg(&folder);
    tools.ask(doing, PYTHON, command).map_err(|error| match error {
        BuildError::ToolFailed { doing, said, .. } => BuildError::ToolMissing {
            doing,
            tool: format!("venv, a part of Python, ({})", said.unwrap_or_default().lines().next().unwrap_or_default()),
            get: "Install it, for example with `apt install python3-venv`.".to_owned(),
        },
        other => other,
    })?;
    let mut command = tools.command(&python);
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", COMPONENTIZE]);
    tools.run("installing componentize-py", PIP, command)?;
    fs::write(&ready, COMPONENTIZE).map_err(BuildError::file("writing", &ready))?;
    Ok(python)
}

/// Where engines and tools are kept.
fn home() -> Result<PathBuf, BuildError> {
    let set = |name: &str| env::var_os(name).filter(|value| !value.is_empty()).map(PathBuf::from);
    let cache = || set("XDG_CACHE_HOME").or_else(|| set("HOME").map(|home| home.join(".cache")));
    let home = set("CROSSDOCK_TOOLS").or_else(|| cache().map(|cache| cache.join("crossdock")));
    let home = home.unwrap_or_else(|| env::temp_dir().join("crossdock")).join("python");
    let home = std::path::absolute(&home).map_err(BuildError::file("looking at", &home))?;
    fs::create_dir_all(&home).map_err(BuildError::file("making", &home))?;
    Ok(home)
}

/// Held while something is made there; ends with the file.
fn lock(home: &Path) -> Result<File, BuildError> {
    let path = home.join(".lock");
    let file = File::create(&path).map_err(BuildError::file("opening", &path))?;
    file.lock().map_err(BuildError::file("locking", &path))?;
    Ok(file)
}
