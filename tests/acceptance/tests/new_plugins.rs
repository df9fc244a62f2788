//! `crossdock new` to a route: each template of Rust is laid out outside of this workspace, tested, built twice, and what
//! can run without a server runs in a route.
#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic)]

use anyhow::{Context, Result, ensure};
use crossdock_acceptance::authors::{copy, holds};
use crossdock_acceptance::{Command, Outcome};
use crossdock_devkit::{binary, plugins, workspace_root};
use serde_json::Value;
use std::fs;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// The folder in which plugins are begun, and the one that all are built in, so that what they need is built once.
struct Author {
    dir: TempDir,
    target: PathBuf,
}

impl Author {
    fn begin() -> Result<Self> {
        let target = workspace_root().join("target/authors");
        fs::create_dir_all(&target)?;
        Ok(Self { dir: TempDir::with_prefix("crossdock-author-")?, target })
    }

    fn path(&self, path: &str) -> PathBuf {
        self.dir.path().join(path)
    }

    fn crossdock(&self, arguments: &[&str], folder: &Path) -> Result<Outcome> {
        let mut command = std::process::Command::new(binary("crossdock-cli", "crossdock")?);
        command.args(arguments).current_dir(folder).env("CARGO_TARGET_DIR", &self.target);
        Command::start(&mut command)?.finish()
    }

    fn cargo(&self, arguments: &[&str], folder: &Path) -> Result<Outcome> {
        let mut command = std::process::Command::new("cargo");
        command.args(arguments).current_dir(folder).env("CARGO_TARGET_DIR", &self.target);
        // Those of the test that runs this.
        for name in ["RUSTFLAGS", "CARGO_ENCODED_RUSTFLAGS", "RUSTC_WORKSPACE_WRAPPER"] {
            command.env_remove(name);
        }
        Command::start(&mut command)?.finish()
    }

    /// A new plugin, with the versions of packages that this workspace was tested with.
    fn plugin(&self, role: &str, name: &str) -> Result<PathBuf> {
        let new = ["new", role, name, "--lang", "rust"];
        let said = self.crossdock(&new, self.dir.path())?.exits(0);
        let next = ["cd ", "cargo test", "crossdock plugin build", "crossdock plugin test dist/"];
        ensure!(next.iter().all(|part| said.stdout.contains(part)), "{}", said.all());
        let folder = self.path(name);
        fs::copy(workspace_root().join("Cargo.lock"), folder.join("Cargo.lock"))?;
        Ok(folder)
    }

    /// Builds, and gives what the host says of it and its bytes.
    fn build(&self, folder: &Path) -> Result<(Value, Vec<u8>)> {
        let said = self.crossdock(&["plugin", "build", "--json"], folder)?.exits(0);
        let said: Value = serde_json::from_str(&said.stdout)?;
        let file = said["plugin"]["path"].as_str().context("no file")?;
        let schema: Value = serde_json::from_slice(&fs::read(folder.join("dist/settings.schema.json"))?)?;
        ensure!(schema == said["plugin"]["settings_schema"], "{schema}");
        let bytes = fs::read(file)?;
        Ok((said, bytes))
    }

    /// Runs its cases and the plays of a hostile host: all hold.
    fn test(&self, folder: &Path, name: &str) -> Result<()> {
        let said = self.crossdock(&["plugin", "test", &format!("dist/{name}.wasm")], folder)?.exits(0);
        let counted = said.stdout.contains("Cases that hold: ") && !said.stdout.contains("Cases that hold: 0");
        ensure!(counted && said.stdout.contains("A hostile host"), "{}", said.all());
        Ok(())
    }
}

/// The examples, which other languages have too, and the cases that all of them hold.
#[test]
fn examples_hold_their_cases() -> Result<()> {
    let author = Author::begin()?;
    for name in ["orders", "ledger-entry"] {
        let folder = workspace_root().join("sdk/rust/examples").join(name);
        let (said, _) = author.build(&folder)?;
        assert_eq!(said["plugin"]["name"], name, "{said}");
        author.test(&folder, name)?;
    }
    Ok(())
}

fn check(author: &Author, role: &str) -> Result<()> {
    let name = format!("my-{role}");
    let folder = author.plugin(role, &name)?;
    let format = author.cargo(&["fmt", "--check"], &folder)?;
    ensure!(format.code == 0, "not as rustfmt lays it out: {}", format.all());
    let tests = author.cargo(&["test", "--quiet"], &folder)?;
    ensure!(tests.code == 0 && !tests.stderr.contains("warning"), "{}", tests.all());

    let (said, bytes) = author.build(&folder)?;
    assert_eq!(said["plugin"]["role"], role, "{said}");
    assert_eq!(
        (&said["plugin"]["name"], &said["plugin"]["version"]),
        (&name.clone().into(), &"0.1.0".into()),
        "{said}"
    );
    let elsewhere = author.path("deeper/within/another-folder");
    copy(&folder, &elsewhere)?;
    author.test(&folder, &name)?;
    let (_, again) = author.build(&elsewhere)?;
    ensure!(bytes == again, "{name}: built in two folders, it is two files");
    let home = std::env::var_os("HOME").map(PathBuf::from);
    for path in [Some(author.dir.path()), Some(workspace_root()), home.as_deref()].into_iter().flatten() {
        ensure!(path.parent().is_none() || !holds(&bytes, path), "{name} holds {}", path.display());
    }
    fs::remove_dir_all(author.path("deeper")).context("removing the copy")
}

#[test]
fn new_plugins_build_and_run_in_a_route() -> Result<()> {
    let author = Author::begin()?;
    for role in ["transformer", "source", "destination"] {
        check(&author, role).with_context(|| format!("the template of a {role}"))?;
    }
    let files = plugins()?.path("file-destination")?;
    fs::create_dir_all(author.path("data"))?;
    fs::create_dir_all(author.path("out"))?;
    let project = format!(
        "[plugins]\nmy-source = {{ path = \"my-source/dist/my-source.wasm\" }}\n\
         my-transformer = {{ path = \"my-transformer/dist/my-transformer.wasm\" }}\nfiles = {{ path = {:?} }}\n",
        files.display().to_string()
    );
    fs::write(author.path("crossdock.toml"), project)?;
    fs::write(
        author.path("orders.toml"),
        r#"name = "orders"
on_error = "continue"

[source]
plugin = "my-source"
settings = { file = "/in/orders.ndjson" }
grants = { dirs = [{ host = "data", guest = "/in" }] }

[[step]]
name = "price"
plugin = "my-transformer"
settings = { currency = "EUR" }

[[step]]
name = "keep"
plugin = "files"
settings = { file = "/out/orders.ndjson" }
grants = { dirs = [{ host = "out", guest = "/out", write = true }] }
"#,
    )?;
    let orders = r#"{"customer":"ann","status":"open","price":"12.50"}
{"customer":"bob","status":"cancelled","price":"1.00"}
{"customer":"eve","status":"open","price":"12,50"}
"#;
    fs::write(author.path("data/orders.ndjson"), orders)?;
    let ran = author.crossdock(&["run", "orders.toml", "--json"], author.dir.path())?.exits(4);
    let report: Value = serde_json::from_str(&ran.stdout).with_context(|| ran.all())?;
    let written = fs::read_to_string(author.path("out/orders.ndjson"))?;
    assert!(
        written.contains(r#""id":"line-1","record":{"customer":"ann","cents":1250,"currency":"EUR"}"#),
        "{written}"
    );
    assert_eq!(written.lines().count(), 1, "{report}\n{written}");
    let _ = author.crossdock(&["records", "--status", "rejected"], author.dir.path())?.exits(0).says(&["line-3"]);
    Ok(())
}
