//! Plugins in JavaScript and TypeScript: the kit's own tests, its examples and templates, and what they do in a host.
//!
//! Everything is done in copies below `target/javascript`, and what npm fetches is kept there.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use anyhow::{Context, Result, bail, ensure};
use crossdock_acceptance::authors::{are_here, copy, holds};
use crossdock_acceptance::{Command, Outcome};
use crossdock_devkit::{binary, plugins, workspace_root};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use std::process;

/// A copy of the kit with its examples, and a place for plugins.
struct Author {
    root: PathBuf,
}

impl Author {
    /// `None` where there is no Node.js 20 with npm, and none is required.
    fn begin(name: &str) -> Result<Option<Self>> {
        if !are_here(has_node(), "JavaScript")? {
            return Ok(None);
        }
        let root = workspace_root().join("target/javascript").join(name);
        if root.exists() {
            fs::remove_dir_all(&root)?;
        }
        copy(&workspace_root().join("sdk/js"), &root.join("sdk"))?;
        Ok(Some(Self { root }))
    }

    fn path(&self, path: &str) -> PathBuf {
        self.root.join(path)
    }

    fn npm(&self, arguments: &[&str], folder: &Path) -> Result<Outcome> {
        let mut command = process::Command::new("npm");
        command.args(arguments);
        self.finish(command, folder)
    }

    fn crossdock(&self, arguments: &[&str], folder: &Path) -> Result<Outcome> {
        let mut command = process::Command::new(binary("crossdock-cli", "crossdock")?);
        command.args(arguments);
        self.finish(command, folder)
    }

    fn finish(&self, mut command: process::Command, folder: &Path) -> Result<Outcome> {
        let cache = workspace_root().join("target/javascript/npm");
        command.current_dir(folder).env("npm_config_cache", cache).env("npm_config_update_notifier", "false");
        Command::start(&mut command)?.finish()
    }

    /// Fetches what the kit needs, which it names to the last digit. Not all of the engine's files for other machines are on
    /// every registry, and a lock file without them is none to npm.
    fn fetch_kit(&self) -> Result<()> {
        self.fetch(&["install", "--no-package-lock"], "sdk")
    }

    fn fetch(&self, how: &[&str], folder: &str) -> Result<()> {
        let arguments = [how, &["--ignore-scripts", "--no-audit", "--no-fund"]].concat();
        let fetched = self.npm(&arguments, &self.path(folder))?;
        ensure!(fetched.code == 0, "{folder}: {}", fetched.all());
        Ok(())
    }

    /// Builds a plugin and gives what the host says of it, and its file.
    fn build(&self, folder: &Path) -> Result<(Value, PathBuf)> {
        let said = self.crossdock(&["plugin", "build", "--json"], folder)?.exits(0);
        let said: Value = serde_json::from_str(&said.stdout)?;
        let file = said["plugin"]["path"].as_str().context("no file")?;
        let file = folder.join(file);
        Ok((said["plugin"].clone(), file))
    }

    /// A new plugin from a template, as `crossdock new` lays it out: the kit lies within the folder.
    fn folder_of_template(&self, role: &str, place: &str) -> Result<PathBuf> {
        let folder = self.path(place);
        copy(&self.path("sdk/templates").join(role), &folder)?;
        for file in ["package.json", "package-lock.json", "src/plugin.js"] {
            let text = fs::read_to_string(folder.join(file))?;
            fs::write(folder.join(file), text.replace("{{name}}", &format!("my-{role}")))?;
        }
        for part in ["src", "tools", "wit", "package.json"] {
            let (from, to) = (self.path("sdk").join(part), folder.join("vendor/crossdock-sdk").join(part));
            if from.is_dir() {
                copy(&from, &to)?;
            } else {
                fs::copy(&from, &to)?;
            }
        }
        Ok(folder)
    }
}

fn has_node() -> Result<()> {
    let version = |program: &str| -> Result<u64> {
        let output = process::Command::new(program).arg("--version").output();
        let output = output.with_context(|| format!("no {program} here (Node.js 20 or newer is needed)"))?;
        let text = String::from_utf8_lossy(&output.stdout).into_owned();
        let major = text.trim().trim_start_matches('v').split('.').next().unwrap_or_default();
        major.parse().with_context(|| format!("{program} --version said {text}"))
    };
    let node = version("node")?;
    ensure!(node >= 20, "Node.js {node} is here, and 20 or newer is needed");
    version("npm")?;
    Ok(())
}

#[test]
fn the_kit_passes_its_own_tests_and_those_of_its_examples() -> Result<()> {
    let Some(author) = Author::begin("kit")? else { return Ok(()) };
    author.fetch_kit()?;
    let check = |arguments: &[&str], folder: &str| -> Result<()> {
        let tested = author.npm(arguments, &author.path(folder))?;
        ensure!(tested.code == 0, "{folder}: {}", tested.all());
        Ok(())
    };
    check(&["test"], "sdk")?;
    for example in ["sdk/examples/orders", "sdk/examples/ledger-entry"] {
        author.fetch(&["ci"], example)?;
        check(&["test"], example)?;
    }
    // The types of the kit, as an author in TypeScript meets them.
    check(&["run", "check"], "sdk/examples/ledger-entry")?;

    let (orders, file) = author.build(&author.path("sdk/examples/orders"))?;
    assert_eq!((orders["role"].as_str(), orders["version"].as_str()), (Some("transformer"), Some("0.1.0")), "{orders}");
    let bytes = fs::read(file)?;
    let imports = |name: &str| holds(&bytes, Path::new(&format!("crossdock:plugin/{name}@")));
    ensure!(
        !imports("http") && !imports("secrets") && !imports("state"),
        "a transformer of text imports what it does not use"
    );
    let (entry, _) = author.build(&author.path("sdk/examples/ledger-entry"))?;
    assert_eq!(entry["role"], "destination", "{entry}");
    // The same cases as those of the examples in Rust, and the same hostile host.
    for name in ["orders", "ledger-entry"] {
        let cases = workspace_root().join("sdk/rust/examples").join(name).join("cases").display().to_string();
        let file = format!("dist/{name}.wasm");
        let folder = author.path("sdk/examples").join(name);
        let _ = author.crossdock(&["plugin", "test", &file, "--cases", &cases], &folder)?.exits(0);
    }
    Ok(())
}

#[test]
fn templates_build_to_the_same_file_wherever_they_stand() -> Result<()> {
    let Some(author) = Author::begin("templates")? else { return Ok(()) };
    for role in ["transformer", "source", "destination"] {
        let folder = author.folder_of_template(role, &format!("my-{role}"))?;
        // Fetches the packages by itself, as the lock file says.
        let (said, file) = author.build(&folder)?;
        assert_eq!(
            (said["role"].as_str(), said["name"].as_str()),
            (Some(role), Some(&*format!("my-{role}"))),
            "{said}"
        );
        let tested = author.npm(&["test"], &folder)?;
        ensure!(tested.code == 0, "{role}: {}", tested.all());
        let _ = author.crossdock(&["plugin", "test", &file.display().to_string()], &folder)?.exits(0);
        let bytes = fs::read(&file)?;
        let home = std::env::var_os("HOME").map(PathBuf::from);
        for path in [Some(&*author.root), home.as_deref()].into_iter().flatten() {
            ensure!(path.parent().is_none() || !holds(&bytes, path), "{role} holds {}", path.display());
        }
        let elsewhere = author.folder_of_template(role, &format!("deeper/within/another-{role}"))?;
        let (_, again) = author.build(&elsewhere)?;
        ensure!(bytes == fs::read(again)?, "{role}: built in two folders, it is two files");
    }
    Ok(())
}

const TOTAL: &str = r#"export interface Line {
  price?: { cents: number };
}

/** What a line comes to. */
export function totalOf(line: Line): number {
  const price = line.price!;
  return price.cents;
}
"#;

const PLUGIN: &str = r#"import { defineTransformer } from "@crossdock/sdk";
import { totalOf, type Line } from "./total.ts";

export default defineTransformer({
  summary: "Falls over what it did not expect",
  transform(record, out) {
    const order = record.json<{ customer: string; lines: Line[] }>();
    console.log("at work on", record.id);
    out.json({ customer: order.customer, cents: order.lines.map((line) => totalOf(line)).reduce((a, b) => a + b, 0) });
  },
});
"#;

const ROUTE: &str = r#"name = "orders"
on_error = "continue"

[source]
plugin = "text-source"
settings = { files = "/in/orders.ndjson", format = "ndjson" }
grants = { dirs = [{ host = "data", guest = "/in" }] }

[[step]]
name = "total"
plugin = "poison"

[[step]]
name = "keep"
plugin = "file-destination"
settings = { file = "/out/orders.ndjson" }
grants = { dirs = [{ host = "out", guest = "/out", write = true }] }
"#;

/// One record that the plugin falls over, among two hundred with letters of all kinds: it alone fails, and the failure names
/// the author's own files and lines.
#[test]
fn an_error_nobody_caught_is_told_in_the_authors_lines() -> Result<()> {
    let Some(author) = Author::begin("poison")? else { return Ok(()) };
    let folder = author.folder_of_template("transformer", "poison")?;
    let manifest = fs::read_to_string(folder.join("package.json"))?;
    let manifest = manifest.replace("my-transformer", "poison").replace("plugin.js", "plugin.ts");
    fs::write(folder.join("package.json"), manifest)?;
    fs::write(folder.join("src/plugin.ts"), PLUGIN)?;
    fs::write(folder.join("src/total.ts"), TOTAL)?;
    fs::remove_file(folder.join("package-lock.json"))?;
    let (_, poison) = author.build(&folder)?;

    let built = plugins()?;
    let path = |name: &str| -> Result<String> { Ok(built.path(name)?.display().to_string()) };
    fs::create_dir_all(author.path("data"))?;
    fs::create_dir_all(author.path("out"))?;
    let project = format!(
        "[plugins]\npoison = {{ path = {:?} }}\ntext-source = {{ path = {:?} }}\nfile-destination = {{ path = {:?} }}\n",
        poison.display().to_string(),
        path("text-source")?,
        path("file-destination")?
    );
    fs::write(author.path("crossdock.toml"), project)?;
    fs::write(author.path("orders.toml"), ROUTE)?;
    let names = ["ann", "bøb", "Łukasz €", "日本", "😀"];
    let orders: String = (0..200)
        .map(|n| match n {
            77 => "{\"customer\":\"eve\",\"lines\":[{\"price\":{\"cents\":1}},{}]}\n".to_owned(),
            n => {
                format!("{{\"customer\":\"{}\",\"lines\":[{{\"price\":{{\"cents\":{n}}}}}]}}\n", names[n % names.len()])
            }
        })
        .collect();
    fs::write(author.path("data/orders.ndjson"), orders)?;

    let run = author.crossdock(&["run", "orders.toml"], &author.root)?.exits(4);
    let _ = run.says(&["199 ok, 1 failed"]);
    let written = fs::read_to_string(author.path("out/orders.ndjson"))?;
    assert_eq!(written.lines().count(), 199);
    for n in (0..200).filter(|n| *n != 77) {
        let wanted = format!(r#""record":{{"customer":"{}","cents":{n}}}}}"#, names[n % names.len()]);
        ensure!(written.contains(&wanted), "{wanted} is missing");
    }
    let record = author.crossdock(&["record", "orders.ndjson:78"], &author.root)?.exits(0);
    let record = record.says(&[
        "the plugin poison failed in transform: TypeError: cannot read property 'cents' of undefined",
        "at totalOf (src/total.ts:8:10)",
        "at transform (src/plugin.ts:9:",
    ]);
    for inner in ["componentize", "vendor/crossdock-sdk", "called by", "panicked"] {
        if record.stdout.contains(inner) {
            bail!("the failure shows what is not the author's: {inner}\n{}", record.stdout);
        }
    }
    Ok(())
}
