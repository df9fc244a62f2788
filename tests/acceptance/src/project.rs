//! A project of one's own in a temporary folder, and the command that works in it.

use crate::{Command, Outcome};
use anyhow::{Context, Result, bail, ensure};
use crossdock_devkit::{binary, guests, plugins};
use serde_json::Value;
use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};
use tempfile::TempDir;

/// A project folder with one route.
#[derive(Debug)]
pub struct Project {
    folder: TempDir,
    route: String,
    environment: Vec<(String, String)>,
}

impl Project {
    /// An empty one; `route` is the file of its route, within it.
    pub(crate) fn new(route: &str) -> Result<Self> {
        let folder = TempDir::with_prefix("crossdock-project-")?;
        Ok(Self { folder, route: route.to_owned(), environment: Vec::new() })
    }

    /// The file of its route, within it.
    #[must_use]
    pub fn route(&self) -> &str {
        &self.route
    }

    /// Where a file of the project stands.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
    }

    /// What a file of the project says.
    ///
    /// # Errors
    /// It is not there.
    pub fn text(&self, file: &str) -> Result<String> {
        fs::read_to_string(self.path(file)).with_context(|| format!("reading {file}"))
    }

    /// Writes a file of the project.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&self, file: &str, content: impl AsRef<[u8]>) -> Result<()> {
        let path = self.path(file);
        let folder = path.parent().context("a file without folder")?;
        fs::create_dir_all(folder).with_context(|| format!("making {}", folder.display()))?;
        fs::write(&path, content).with_context(|| format!("writing {}", path.display()))
    }

    /// Replaces a text that stands once in a file of the project.
    ///
    /// # Errors
    /// It does not stand there once.
    pub fn replace(&self, file: &str, from: &str, to: &str) -> Result<()> {
        let text = self.text(file)?;
        ensure!(text.matches(from).count() == 1, "{from:?} stands not once in {file}:\n{text}");
        self.write(file, text.replace(from, to))
    }

    /// The same in the route.
    ///
    /// # Errors
    /// As [`Project::replace`].
    pub fn edit_route(&self, from: &str, to: &str) -> Result<()> {
        self.replace(&self.route, from, to)
    }

    /// Replaces the one line of the route that begins like this; an empty line takes it away.
    ///
    /// # Errors
    /// There is not one such line.
    pub fn replace_line(&self, beginning: &str, line: &str) -> Result<()> {
        let text = self.text(&self.route)?;
        self.write(&self.route, with_line_replaced(&text, beginning, line)?)
    }

    /// The same within one step.
    ///
    /// # Errors
    /// There is no such step, or not one such line in it.
    pub fn replace_line_of(&self, step: &str, beginning: &str, line: &str) -> Result<()> {
        let text = self.text(&self.route)?;
        let heading = format!("[[step]]\nname = \"{step}\"\n");
        let begins = text.find(&heading).with_context(|| format!("the route has no step {step}:\n{text}"))?;
        let ends = text[begins + heading.len()..].find("[[step]]").map_or(text.len(), |at| begins + heading.len() + at);
        let within = with_line_replaced(&text[begins..ends], beginning, line)?;
        self.write(&self.route, format!("{}{within}{}", &text[..begins], &text[ends..]))
    }

    /// Puts one of the guests that misbehave into the project, as a plugin of its own name.
    ///
    /// # Errors
    /// There is none of this name.
    pub fn add_guest(&self, name: &str) -> Result<()> {
        self.copy_plugin(&guests()?.path(name)?, name)?;
        self.declare_plugin(name)
    }

    /// Adds a plugin to the project file; its file is `plugins/NAME.wasm`.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn declare_plugin(&self, name: &str) -> Result<()> {
        self.replace(
            "crossdock.toml",
            "[plugins]\n",
            &format!("[plugins]\n{name} = {{ path = \"plugins/{name}.wasm\" }}\n"),
        )
    }

    /// Puts plugins of this workspace into the project.
    pub(crate) fn put_plugins(&self, names: &[&str]) -> Result<()> {
        names.iter().try_for_each(|name| self.copy_plugin(&plugins()?.path(name)?, name))
    }

    fn copy_plugin(&self, from: &Path, name: &str) -> Result<()> {
        self.write(&format!("plugins/{name}.wasm"), fs::read(from)?)
    }

    /// Sets an environment variable for the commands that follow.
    pub fn set_environment(&mut self, name: &str, value: &str) {
        self.environment.push((name.to_owned(), value.to_owned()));
    }

    /// Starts `crossdock` in the project's folder.
    ///
    /// # Errors
    /// It does not build or start.
    pub fn start(&self, arguments: &[&str]) -> Result<Command> {
        let mut command = std::process::Command::new(binary("crossdock-cli", "crossdock")?);
        command.args(arguments).current_dir(self.folder.path()).env_remove("RUST_LOG");
        command.envs(self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())));
        Command::start(&mut command)
    }

    /// Runs `crossdock` to its end.
    ///
    /// # Errors
    /// As [`Project::start`], or it takes too long.
    pub fn crossdock(&self, arguments: &[&str]) -> Result<Outcome> {
        self.start(arguments)?.finish()
    }

    /// `crossdock run` with the route, begun.
    ///
    /// # Errors
    /// As [`Project::start`].
    pub fn start_run(&self) -> Result<Command> {
        self.start(&["run", &self.route])
    }

    /// `crossdock run` with the route.
    ///
    /// # Errors
    /// As [`Project::crossdock`].
    pub fn run(&self) -> Result<Outcome> {
        self.crossdock(&["run", &self.route])
    }

    /// `crossdock --json run` with the route.
    ///
    /// # Errors
    /// As [`Project::crossdock`].
    pub fn run_json(&self) -> Result<Outcome> {
        self.crossdock(&["run", &self.route, "--json"])
    }

    /// What a command answers with `--json`; its exit code must be 0.
    ///
    /// # Errors
    /// As [`Project::crossdock`], or it is not one JSON document.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        self.crossdock(&arguments)?.exits(0).json()
    }

    /// All records with a status (or whatever else is asked for), page by page.
    ///
    /// # Errors
    /// As [`Project::json`].
    pub fn records(&self, filter: &[&str]) -> Result<Vec<Value>> {
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut arguments = vec!["records", "--json", "--limit", "1000"];
            arguments.extend(filter);
            if let Some(after) = &after {
                arguments.extend(["--after", after]);
            }
            let page = self.crossdock(&arguments)?;
            // Where something needs a person, it says so by its exit code.
            ensure!([0, 5].contains(&page.code), "{}", page.all());
            let page = page.json()?;
            found.extend(page["records"].as_array().context("a page without records")?.iter().cloned());
            match page["next"].as_str() {
                Some(next) => after = Some(next.to_owned()),
                None => return Ok(found),
            }
        }
    }

    /// The ids of all records with a status, sorted.
    ///
    /// # Errors
    /// As [`Project::records`].
    pub fn ids(&self, status: &str) -> Result<Vec<String>> {
        let found = self.records(&["--status", status])?;
        let ids = found.iter().map(|record| record["id"].as_str().map(str::to_owned).context("a record without id"));
        let mut ids = ids.collect::<Result<Vec<_>>>()?;
        ids.sort();
        Ok(ids)
    }

    /// Whether a ledger was made.
    #[must_use]
    pub fn has_ledger(&self) -> bool {
        self.path(".crossdock/ledger.db").exists()
    }

    /// Holds that `verify` finds nothing wrong; records that wait for a person are not wrong.
    ///
    /// # Errors
    /// As [`Project::crossdock`].
    #[track_caller]
    pub fn verify(&self) -> Result<()> {
        let _ = self.crossdock(&["verify"])?.says(&["The ledger is whole"]);
        Ok(())
    }

    /// Holds that the ledger is sound, though there may be records that need a person.
    ///
    /// # Errors
    /// As [`Project::crossdock`].
    #[track_caller]
    pub fn is_whole(&self) -> Result<()> {
        let outcome = self.crossdock(&["verify"])?.says(&["The ledger is whole"]);
        assert!([0, 5].contains(&outcome.code), "{}", outcome.all());
        Ok(())
    }

    /// Compiling plugins takes seconds; a project takes over what was compiled before, as a whole folder that belongs
    /// to one installation.
    pub(crate) fn take_compiled_plugins(&self) -> Result<()> {
        static COMPILED: Mutex<Option<HashMap<String, PathBuf>>> = Mutex::new(None);
        let mut compiled = COMPILED.lock().unwrap_or_else(PoisonError::into_inner);
        let compiled = compiled.get_or_insert_default();
        let program = binary("crossdock-cli", "crossdock")?;
        let target = program.parent().and_then(Path::parent).context("a program without target folder")?;
        let folder = target.join("tmp/acceptance").join(self.route.replace(['/', '.'], "-"));
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        // Other processes that test come here as well. The lock ends with the file.
        let lock = File::create(folder.join("lock"))?;
        lock.lock().with_context(|| format!("locking {}", folder.display()))?;
        if !compiled.contains_key(&self.route) {
            let data = folder.to_str().context("a target folder that is not UTF-8")?;
            let _ = self.crossdock(&["check", &self.route, "--data", data])?.exits(0);
            compiled.insert(self.route.clone(), folder.join("cache"));
        }
        let cache = compiled.get(&self.route).context("just set")?;
        copy_folder(cache, &self.path(".crossdock/cache"))
    }
}

fn with_line_replaced(text: &str, beginning: &str, line: &str) -> Result<String> {
    let found: Vec<&str> = text.lines().filter(|line| line.starts_with(beginning)).collect();
    let [only] = found.as_slice() else { bail!("{} lines begin with {beginning:?} in\n{text}", found.len()) };
    let with = if line.is_empty() { String::new() } else { format!("{line}\n") };
    Ok(text.replacen(&format!("{only}\n"), &with, 1))
}

fn copy_folder(from: &Path, to: &Path) -> Result<()> {
    fs::create_dir_all(to).with_context(|| format!("making {}", to.display()))?;
    for entry in fs::read_dir(from).with_context(|| format!("reading {}", from.display()))? {
        let entry = entry?;
        fs::copy(entry.path(), to.join(entry.file_name()))
            .with_context(|| format!("copying {}", entry.path().display()))?;
    }
    Ok(())
}
