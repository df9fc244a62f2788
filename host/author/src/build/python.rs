//! Python: componentize-py makes an engine once, an interpreter with the kit inside, and each plugin's source is put into a
//! copy of it.
//!
//! What componentize-py makes differs each time in what an interpreter draws when it starts, so plugins are not built with it
//! one by one: with the same engine, the same folder gives the same bytes, and in a second rather than a minute.

mod bytes;
mod cut;
mod engine;
mod slot;

use super::error::BuildError;
use super::manifest::Manifest;
use super::tools::{Tool, Tools, version_in};
use serde::Deserialize;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

/// The oldest Python that runs the kit and componentize-py.
const PYTHON_MIN: (u64, u64, u64) = (3, 10, 0);

const PYTHON: Tool = Tool {
    program: "python3",
    what: "python3, which builds plugins in Python,",
    get: "Install Python 3.10 or newer: https://www.python.org/downloads, or `apt install python3 python3-venv`.",
};

/// The kit's name as a package: no library that is fetched for a plugin.
const KIT: &str = "crossdock-sdk";

/// What the kit's planner says of a plugin.
#[derive(Debug, Deserialize)]
struct Plan {
    role: String,
    abilities: Vec<String>,
    /// It wants a directory.
    reads_files: bool,
    /// The host's interfaces that it names.
    uses: Vec<String>,
    /// Its modules: paths and texts.
    files: BTreeMap<String, String>,
}

/// Builds the plugin and gives its component.
pub(super) fn build(manifest: &mut Manifest, tools: &Tools<'_>) -> Result<Vec<u8>, BuildError> {
    let doing = format!("building {}", manifest.name);
    check_python(&doing, tools)?;
    let table = table(&manifest.path)?;
    let kit = kit(manifest, tools, &table)?;
    let libraries = libraries(&doing, manifest, tools, &table)?;
    let plan = plan(&doing, manifest, tools, &kit, libraries.as_deref())?;
    let engine = engine::engine(&engine::Wanted { kit: &kit, role: &plan.role, abilities: &plan.abilities }, tools)?;
    let payload = json!({
        "name": manifest.name, "version": manifest.version, "description": manifest.description,
        "entry": manifest.entry, "reads_files": plan.reads_files, "files": plan.files,
    });
    let broken = |problem: String| BuildError::NoComponent {
        name: manifest.name.clone(),
        problem,
        fix: "Leave out libraries that the plugin can do without; a plugin holds 1 MiB of Python at most.".to_owned(),
    };
    let filled = slot::fill(engine, payload.to_string().as_bytes()).map_err(broken)?;
    cut::cut(&filled, |import| wanted(import, &plan)).map_err(|problem| BuildError::NoComponent {
        name: manifest.name.clone(),
        problem,
        fix: "This is a mistake of Crossdock's own: please report it, with the version of componentize-py.".to_owned(),
    })
}

/// Whether a plugin keeps an import: its clock, its random numbers and its output always, the rest if it has a use for it.
fn wanted(import: &str, plan: &Plan) -> bool {
    let (name, _) = import.split_once('@').unwrap_or((import, ""));
    match name.split_once('/') {
        Some(("crossdock:plugin", "types")) => true,
        Some(("crossdock:plugin", interface)) => plan.uses.iter().any(|it| it == interface),
        Some(("wasi:filesystem", _)) => plan.reads_files,
        Some(("wasi:cli", interface)) => matches!(interface, "environment" | "stdout" | "stderr"),
        // The network is reached through the host's own interface only.
        Some(("wasi:sockets", _)) => false,
        _ => true,
    }
}

fn check_python(doing: &str, tools: &Tools<'_>) -> Result<(), BuildError> {
    let mut command = tools.command(PYTHON.program);
    command.arg("--version");
    let said = tools.ask(doing, PYTHON, command)?;
    let found = version_in(&said).unwrap_or_default();
    if found >= PYTHON_MIN {
        return Ok(());
    }
    Err(BuildError::ToolTooOld {
        doing: doing.to_owned(),
        tool: "python3".to_owned(),
        found: said.trim().trim_start_matches("Python ").to_owned(),
        needed: format!("{}.{}", PYTHON_MIN.0, PYTHON_MIN.1),
        get: PYTHON.get.to_owned(),
    })
}

fn table(path: &Path) -> Result<Value, BuildError> {
    let text = fs::read_to_string(path).map_err(BuildError::file("reading", path))?;
    toml::from_str(&text).map_err(|error| BuildError::Manifest {
        path: path.to_path_buf(),
        problem: error.to_string(),
        fix: "Mend the file; the place stands in the message.".to_owned(),
    })
}

/// The folder of the kit: the one that the manifest names, or the copy that a new plugin comes with.
fn kit(manifest: &Manifest, tools: &Tools<'_>, table: &Value) -> Result<PathBuf, BuildError> {
    let named = table.pointer("/tool/crossdock/sdk").and_then(Value::as_str);
    let kit = tools.dir.join(named.unwrap_or("vendor/crossdock-sdk"));
    if kit.join("crossdock/_plan.py").is_file() && kit.join("engine").is_dir() {
        return kit.canonicalize().map_err(BuildError::file("looking at", &kit));
    }
    Err(BuildError::Manifest {
        path: manifest.path.clone(),
        problem: format!("there is no Python kit in {}", kit.display()),
        fix: "Say where it is: [tool.crossdock] with sdk = \"vendor/crossdock-sdk\"; `crossdock new` lays one there."
            .to_owned(),
    })
}

/// The libraries that the plugin depends on, fetched into its own ignored folder. `None` if there are none.
fn libraries(
    doing: &str,
    manifest: &Manifest,
    tools: &Tools<'_>,
    table: &Value,
) -> Result<Option<PathBuf>, BuildError> {
    let named = table.pointer("/project/dependencies").and_then(Value::as_array).cloned().unwrap_or_default();
    let wanted: Vec<&str> = named.iter().filter_map(Value::as_str).filter(|it| !is_kit(it)).collect();
    if wanted.is_empty() {
        return Ok(None);
    }
    let folder = tools.dir.join(".crossdock/libraries");
    let state = folder.join(".wanted");
    let text = wanted.join("\n");
    if fs::read_to_string(&state).is_ok_and(|known| known == text) {
        return Ok(Some(folder));
    }
    tools.say(&format!("fetching the libraries of {}: {}", manifest.name, wanted.join(", ")));
    if folder.exists() {
        fs::remove_dir_all(&folder).map_err(BuildError::file("emptying", &folder))?;
    }
    let python = engine::environment(tools)?;
    let mut command = tools.command(python);
    command.args(["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--no-compile", "--target"]);
    command.arg(&folder).args(&wanted);
    tools.run(doing, engine::PIP, command)?;
    fs::write(&state, text).map_err(BuildError::file("writing", &state))?;
    Ok(Some(folder))
}

/// Whether a dependency is the kit itself, whatever its version.
fn is_kit(dependency: &str) -> bool {
    let end = dependency.find(|c: char| !(c.is_ascii_alphanumeric() || c == '-' || c == '_' || c == '.'));
    dependency[..end.unwrap_or(dependency.len())].replace(['_', '.'], "-").eq_ignore_ascii_case(KIT)
}

fn plan(
    doing: &str,
    manifest: &Manifest,
    tools: &Tools<'_>,
    kit: &Path,
    libraries: Option<&Path>,
) -> Result<Plan, BuildError> {
    let mut command = tools.command(PYTHON.program);
    command.args(["-m", "crossdock._plan", &manifest.entry]).args(libraries);
    command.env("PYTHONPATH", kit).env("PYTHONDONTWRITEBYTECODE", "1");
    let said = tools.run(doing, PYTHON, command)?;
    serde_json::from_slice(&said).map_err(|error| BuildError::NoComponent {
        name: manifest.name.clone(),
        problem: format!("the kit said something else than what the plugin is made of: {error}"),
        fix: "Let the plugin's modules print nothing while they are imported.".to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kit_is_no_library() {
        let check = |dependency: &str, kit: bool| assert_eq!(is_kit(dependency), kit, "{dependency}");
        check("crossdock-sdk", true);
        check("crossdock_sdk == 0.1.0", true);
        check("crossdock-sdk>=0.1", true);
        check("crossdock-sdk @ file:///vendor", true);
        check("crossdock-sdk-more", false);
        check("attrs", false);
    }

    #[test]
    fn what_a_plugin_does_not_use_is_taken_away() {
        let plan = |uses: &[&str], reads_files| Plan {
            role: "source".to_owned(),
            abilities: Vec::new(),
            reads_files,
            uses: uses.iter().map(|it| (*it).to_owned()).collect(),
            files: BTreeMap::new(),
        };
        let check = |import: &str, uses: &[&str], reads_files, kept: bool| {
            assert_eq!(wanted(import, &plan(uses, reads_files)), kept, "{import}");
        };
        check("crossdock:plugin/types@0.1.0", &[], false, true);
        check("crossdock:plugin/http@0.1.0", &[], false, false);
        check("crossdock:plugin/http@0.1.0", &["http"], false, true);
        check("wasi:filesystem/types@0.2.9", &[], false, false);
        check("wasi:filesystem/preopens@0.2.9", &[], true, true);
        check("wasi:sockets/tcp@0.2.9", &["http"], true, false);
        check("wasi:cli/stderr@0.2.9", &[], false, true);
        check("wasi:cli/exit@0.2.9", &[], false, false);
        check("wasi:clocks/wall-clock@0.2.9", &[], false, true);
    }
}
