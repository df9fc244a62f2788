//! JavaScript and TypeScript: the kit's own program, run by Node.js, bundles the author's modules and makes the component.

use super::error::BuildError;
use super::manifest::Manifest;
use super::tools::{Tool, Tools, version_in};
use std::fs;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

/// The oldest Node.js that the kit and its tools take.
const NODE_MIN: (u64, u64, u64) = (20, 0, 0);

const NODE: Tool = Tool {
    program: "node",
    what: "Node.js, which builds JavaScript,",
    get: "Install Node.js 20 or newer, with npm: from https://nodejs.org, or with the package manager of your system.",
};

const NPM: Tool = Tool { program: "npm", what: "npm, which fetches the packages of JavaScript,", get: NODE.get };

/// Where npm puts the kit, and the program in it that builds.
const KIT: &str = "node_modules/@crossdock/sdk";
const BUILDER: &str = "tools/main.js";

/// Builds the plugin and gives its component.
pub(super) fn build(manifest: &mut Manifest, tools: &Tools<'_>) -> Result<Vec<u8>, BuildError> {
    let doing = format!("Building {} with the JavaScript kit", manifest.name);
    let entry = tools.dir.join(&manifest.entry);
    if !entry.is_file() {
        return Err(BuildError::Manifest {
            path: manifest.path.clone(),
            problem: format!("`crossdock.entry` names {}, and there is no such file", manifest.entry),
            fix: "Name the file that the plugin begins in, for example \"src/plugin.js\" or \"src/plugin.ts\"."
                .to_owned(),
        });
    }
    node(&doing, tools)?;
    install(tools)?;
    let builder = kit(tools.dir).map(|kit| kit.join(BUILDER)).filter(|builder| builder.is_file());
    let builder = builder.ok_or_else(|| BuildError::Manifest {
        path: manifest.path.clone(),
        problem: "the kit @crossdock/sdk is not among the dependencies".to_owned(),
        fix: "Write \"dependencies\": { \"@crossdock/sdk\": \"file:vendor/crossdock-sdk\" }, or begin with `crossdock new`."
            .to_owned(),
    })?;
    tools.say(&doing);
    let mut command = tools.command(NODE.program);
    command.arg(builder);
    let component = tools.run(&doing, NODE, command)?;
    if component.is_empty() {
        return Err(BuildError::NoComponent {
            name: manifest.name.clone(),
            problem: "the kit made nothing".to_owned(),
            fix: "Fetch the packages anew: remove node_modules, then build again.".to_owned(),
        });
    }
    Ok(component)
}

/// Sees to it that there is a Node.js that is new enough.
fn node(doing: &str, tools: &Tools<'_>) -> Result<(), BuildError> {
    let mut node = tools.command(NODE.program);
    node.arg("--version");
    let text = tools.ask(doing, NODE, node)?;
    if version_in(&text).is_some_and(|found| found >= NODE_MIN) {
        return Ok(());
    }
    Err(BuildError::ToolTooOld {
        doing: doing.to_owned(),
        tool: "Node.js".to_owned(),
        found: text.trim().to_owned(),
        needed: NODE_MIN.0.to_string(),
        get: NODE.get.to_owned(),
    })
}

/// Fetches what package.json names, if it was not fetched, or if package.json is newer than what was: exactly what the lock
/// file says where there is one and nothing is there yet.
fn install(tools: &Tools<'_>) -> Result<(), BuildError> {
    let fetched = changed(&tools.dir.join("node_modules/.package-lock.json"));
    let wanted = changed(&tools.dir.join("package.json"));
    if kit(tools.dir).is_some() && (fetched.is_none() || fetched >= wanted) {
        return Ok(());
    }
    let locked = fetched.is_none() && tools.dir.join("package-lock.json").is_file();
    let doing = "Fetching packages with npm";
    tools.say(doing);
    let mut npm = tools.command(NPM.program);
    npm.arg(if locked { "ci" } else { "install" });
    // Scripts of packages are for what runs on this machine; nothing of that gets into a plugin.
    npm.args(["--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
    tools.run(doing, NPM, npm)?;
    Ok(())
}

fn changed(file: &Path) -> Option<SystemTime> {
    fs::metadata(file).and_then(|metadata| metadata.modified()).ok()
}

/// The kit as Node.js finds it from the plugin's folder: there, or in a folder above.
fn kit(dir: &Path) -> Option<PathBuf> {
    dir.ancestors().map(|folder| folder.join(KIT)).find(|kit| kit.is_dir())
}
