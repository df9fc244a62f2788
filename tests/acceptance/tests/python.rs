//! Plugins in Python: the kit's own tests, its examples and templates, and what they do in a host.
//!
//! Everything is done in copies below `target/python`; what pip fetches and the engines that are made are kept there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use anyhow::{Context, Result, ensure};
use crossdock_acceptance::authors::{are_here, copy, holds};
use crossdock_acceptance::{Command, Outcome};
use crossdock_devkit::{binary, plugins, workspace_root};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;
use std::time::Duration;

/// How long one command may take: three engines on a machine with much else to do.
const BUILD_TIME_MAX: Duration = Duration::from_secs(1_200);

/// A copy of the kit with its examples, and a place for plugins.
struct Author {
    root: PathBuf,
    /// The data folder: one for all plugins, unless a test needs its own, so that each file is compiled once.
    data: PathBuf,
}

impl Author {
    /// `None` where there is no Python 3.10 with venv and pip, and none is required.
    fn begin(name: &str) -> Result<Option<Self>> {
        if !are_here(has_python(), "Python")? {
            return Ok(None);
        }
        let root = workspace_root().join("target/python").join(name);
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        copy(&workspace_root().join("sdk/python"), &root.join("sdk"))?;
        Ok(Some(Self { root, data: workspace_root().join("target/python/data") }))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    /// Runs Python, which finds the kit.
    fn python(&self, arguments: &[&str], folder: &Path) -> Result<Outcome> {
        let mut command = process::Command::new("python3");
        command.args(arguments).env("PYTHONPATH", self.path("sdk"));
        self.finish(command, folder)
    }

    fn crossdock(&self, arguments: &[&str], folder: &Path) -> Result<Outcome> {
        let mut command = process::Command::new(binary("crossdock-cli", "crossdock")?);
        command.arg("--data").arg(&self.data).args(arguments);
        self.finish(command, folder)
    }

    fn finish(&self, mut command: process::Command, folder: &Path) -> Result<Outcome> {
        let tools = workspace_root().join("target/python/tools");
        command.current_dir(folder).env("CROSSDOCK_TOOLS", tools).env("PYTHONDONTWRITEBYTECODE", "1");
        let mut started = Command::start(&mut command)?;
        // The first build of all makes engines, for which those of other tests wait.
        started.ends_within(BUILD_TIME_MAX);
        started.finish()
    }

    fn unit_tests(&self, folder: &Path) -> Result<()> {
        let tests = self.python(&["-m", "unittest"], folder)?;
        ensure!(tests.code == 0 && !tests.stderr.contains("Ran 0 tests"), "{}: {}", folder.display(), tests.all());
        Ok(())
    }

    /// Builds a plugin and gives what the host says of it, and its file.
    fn build(&self, folder: &Path) -> Result<(Value, PathBuf)> {
        let said = self.crossdock(&["plugin", "build", "--json"], folder)?.exits(0);
        let said: Value = serde_json::from_str(&said.stdout)?;
        let file = said["plugin"]["path"].as_str().context("no file")?;
        Ok((said["plugin"].clone(), folder.join(file)))
    }

    /// A plugin of these modules, in a folder of its own.
    fn plugin(&self, name: &str, modules: &[(&str, &str)]) -> Result<PathBuf> {
        let folder = self.path(name);
        fs::create_dir_all(&folder)?;
        let manifest = format!(
            "[project]\nname = {name:?}\nversion = \"0.1.0\"\ndescription = \"A plugin of a test.\"\n\
             [tool.crossdock]\nentry = \"plugin\"\nsdk = \"../sdk\"\n"
        );
        fs::write(folder.join("pyproject.toml"), manifest)?;
        for (file, text) in modules {
            fs::write(folder.join(file), text)?;
        }
        Ok(folder)
    }

    /// A new plugin from a template, as `crossdock new` lays it out: the kit lies within the folder.
    fn folder_of_template(&self, role: &str) -> Result<PathBuf> {
        let name = format!("my-{role}");
        let folder = self.path(&name);
        copy(&self.path("sdk/templates").join(role), &folder)?;
        for file in ["pyproject.toml", "plugin.py"] {
            let text = fs::read_to_string(folder.join(file))?;
            fs::write(folder.join(file), text.replace("{{name}}", &name))?;
        }
        for part in ["crossdock", "engine"] {
            copy(&self.path("sdk").join(part), &folder.join("vendor/crossdock-sdk").join(part))?;
        }
        Ok(folder)
    }
}

fn has_python() -> Result<()> {
    let mut python = process::Command::new("python3");
    let probe = "import sys, venv, ensurepip; print(*sys.version_info[:2])";
    let output = python.args(["-c", probe]).output().context("no python3 here (3.10 or newer is needed)")?;
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "no venv or pip for python3 here (apt-get install python3-venv)");
    let numbers: Vec<u32> = text.split_whitespace().filter_map(|number| number.parse().ok()).collect();
    ensure!(numbers >= vec![3, 10], "Python {} is here, and 3.10 or newer is needed", text.trim());
    Ok(())
}

fn list(value: &Value) -> Vec<&str> {
    value.as_array().into_iter().flatten().filter_map(Value::as_str).collect()
}

#[test]
fn the_kits_own_tests_pass() -> Result<()> {
    let Some(author) = Author::begin("kit")? else { return Ok(()) };
    author.unit_tests(&author.path("sdk"))?;
    for example in ["orders", "ledger-entry"] {
        author.unit_tests(&author.path("sdk/examples").join(example))?;
    }
    for role in ["source", "transformer", "destination"] {
        author.unit_tests(&author.folder_of_template(role)?)?;
    }
    Ok(())
}

/// Built, it is what its manifest says, asks for what it uses only, and keeps to the cases.
fn check_plugin(author: &Author, folder: &Path, cases: &Path, role: &str, asks: &[&str]) -> Result<PathBuf> {
    let (said, file) = author.build(folder)?;
    assert_eq!(said["role"], role, "{said}");
    let harmless = ["clock", "environment", "random", "standard-streams"];
    let imports: Vec<_> = list(&said["imports"]).into_iter().filter(|it| !harmless.contains(it)).collect();
    assert_eq!(imports, asks, "{said}");
    let cases = cases.to_str().context("no path")?;
    let file_name = file.to_str().context("no path")?;
    let tried = author.crossdock(&["plugin", "test", file_name, "--cases", cases, "--json"], folder)?;
    let report: Value = serde_json::from_str(&tried.stdout).with_context(|| tried.all())?;
    let members = |list: &str| report[list].as_array().cloned().unwrap_or_default();
    let cases = members("cases");
    ensure!(!cases.is_empty() && cases.iter().all(|case| case["ok"] == true), "{}", tried.all());
    // What a plugin answers stays in its memory in part, whatever it does: the kit's README says so.
    let known = |finding: &Value| finding["code"] == "kit-memory-grows";
    ensure!(members("findings").iter().all(known), "{}", tried.all());
    Ok(file)
}

#[test]
fn examples_keep_to_the_cases_of_all_languages() -> Result<()> {
    let Some(author) = Author::begin("examples")? else { return Ok(()) };
    let check = |name: &str, role: &str, asks: &[&str]| -> Result<()> {
        let cases = workspace_root().join("sdk/rust/examples").join(name).join("cases");
        let folder = author.path("sdk/examples").join(name);
        check_plugin(&author, &folder, &cases, role, asks).with_context(|| name.to_owned()).map(drop)
    };
    check("orders", "transformer", &[])?;
    check("ledger-entry", "destination", &["control", "http", "secrets"])
}

#[test]
fn templates_keep_to_their_cases_and_are_the_same_bytes_elsewhere() -> Result<()> {
    let Some(author) = Author::begin("templates")? else { return Ok(()) };
    let check = |role: &str, asks: &[&str]| -> Result<()> {
        let folder = author.folder_of_template(role)?;
        let file = check_plugin(&author, &folder, &folder.join("cases"), role, asks)?;
        let elsewhere = author.path("deeper/within").join(role);
        copy(&folder, &elsewhere)?;
        let (_, again) = author.build(&elsewhere)?;
        let bytes = fs::read(file)?;
        ensure!(bytes == fs::read(again)?, "built in two folders, it is two files");
        for path in [workspace_root(), &author.root] {
            ensure!(!holds(&bytes, path), "it holds {}", path.display());
        }
        Ok(())
    };
    check("transformer", &[]).context("transformer")?;
    check("source", &["files"]).context("source")?;
    check("destination", &["control", "http", "secrets"]).context("destination")
}

/// A plugin with a mistake that one record brings out.
const MISTAKEN: &str = r#""""A plugin with a mistake."""
from crossdock import Output, Record, Transformer
import prices


class Plugin(Transformer[None]):
    def transform(self, record: Record, out: Output) -> None:
        order = record.json()
        if order.get("opens"):
            open("/etc/passwd")
        out.json({"cents": prices.cents(order)})
"#;
const PRICES: &str = r#"def cents(order):
    price = order["price"]
    try:
        return int(price.replace(".", ""))
    except ValueError as error:
        raise RuntimeError(f"no price: {price}") from error
"#;

#[test]
fn an_exception_is_told_in_the_authors_own_lines() -> Result<()> {
    let Some(mut author) = Author::begin("failures")? else { return Ok(()) };
    author.data = author.path("data");
    let folder = author.plugin("mistaken", &[("plugin.py", MISTAKEN), ("prices.py", PRICES)])?;
    let (_, file) = author.build(&folder)?;
    let files = plugins()?;
    for name in ["in", "out"] {
        fs::create_dir_all(folder.join(name))?;
    }
    let plugin = |name: &str, path: &Path| format!("{name} = {{ path = {:?} }}\n", path.display().to_string());
    let project = format!(
        "[plugins]\n{}{}{}",
        plugin("text-source", &files.path("text-source")?),
        plugin("file-destination", &files.path("file-destination")?),
        plugin("mistaken", &file),
    );
    fs::write(folder.join("crossdock.toml"), project)?;
    fs::write(
        folder.join("orders.toml"),
        r#"name = "orders"
on_error = "continue"

[source]
plugin = "text-source"
settings = { files = "/in/orders.ndjson", format = "ndjson", id = ["id"] }
grants = { dirs = [{ host = "in", guest = "/in" }] }

[[step]]
name = "price"
plugin = "mistaken"

[[step]]
name = "keep"
plugin = "file-destination"
settings = { file = "/out/orders.ndjson", lines = "payload" }
grants = { dirs = [{ host = "out", guest = "/out", write = true }] }
"#,
    )?;
    let mut orders: String = (1..=20).map(|id| format!("{{\"id\":\"{id}\",\"price\":\"{id}.00\"}}\n")).collect();
    orders += "{\"id\":\"wrong\",\"price\":\"free\"}\n{\"id\":\"opens\",\"opens\":true}\n{\"id\":\"last\",\"price\":\"2.50\"}\n";
    fs::write(folder.join("in/orders.ndjson"), orders)?;
    let ran = author.crossdock(&["run", "orders.toml", "--json"], &folder)?.exits(4);
    let report: Value = serde_json::from_str(&ran.stdout).with_context(|| ran.all())?;
    let written = fs::read_to_string(folder.join("out/orders.ndjson"))?;
    assert_eq!(written.lines().count(), 21, "{report}");

    let failed = |id: &str| author.crossdock(&["record", id], &folder);
    let wrong = failed("wrong")?.exits(0).says(&[
        "fault-trap",
        "RuntimeError: no price: free",
        "Traceback (most recent call last):",
        "File \"prices.py\", line 4, in cents",
        "ValueError: invalid literal for int()",
        "File \"plugin.py\", line 11, in transform",
        "raise RuntimeError(f\"no price: {price}\") from error",
    ]);
    // What stands behind it are commands to type, with the data folder of this test.
    let told = wrong.stdout.split("What to do").next().unwrap_or_default();
    for foreign in ["crossdock_engine", "/0/", "/1/", "roles/transformer", "abort", "target/python"] {
        assert!(!told.contains(foreign), "{foreign} stands in {told}");
    }
    let _ = failed("opens")?.exits(0).says(&[
        "PermissionError: '/etc/passwd'",
        "want_read_dir",
        "File \"plugin.py\", line 10",
    ]);
    Ok(())
}

#[test]
fn what_is_wrong_with_a_plugin_is_told_before_it_is_built() -> Result<()> {
    let Some(author) = Author::begin("wrong")? else { return Ok(()) };
    let check = |name: &str, module: &str, parts: &[&str]| -> Result<()> {
        let folder = author.plugin(name, &[("plugin.py", module)])?;
        let _ = author.crossdock(&["plugin", "build"], &folder)?.exits(2).says(parts);
        Ok(())
    };
    check("empty", "", &["must have one class that is a Source, a Transformer or a Destination"])?;
    check("broken", "x = 1\nraise ValueError('bad')\n", &["File \"plugin.py\", line 2", "ValueError: bad"])?;
    let other = "from crossdock import Source\nclass P(Source[None]):\n    pass\n";
    check("half", other, &["P has no `read`"])
}
