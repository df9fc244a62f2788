//! What people would use instead, as far as it is installed. Nobody of them keeps a ledger or syncs its output.

use crate::asked::Asked;
use crate::contender::{Contender, note};
use crate::shop::{ROUTE, Shop, Tally};
use anyhow::{Context as _, Result, ensure};
use crossdock_bench::Written;
use crossdock_devkit::workspace_root;
use std::ffi::{OsStr, OsString};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// Lines that are handed to the Extism plugin in one call.
const EXTISM_RECORDS: [u64; 4] = [1, 10, 100, 1_000];
/// What is fetched from PyPI.
const FROM_PYPI: [&str; 2] = ["bytewax==0.21.1", "duckdb>=1.3,<2"];
/// What is fetched from npm: the last that Node 20 runs.
const FROM_NPM: &str = "node-red@4";

/// The package that has all purchases, and where in it.
const PURCHASES: (&str, &str) = ("lifetimes==0.11.3", "lifetimes/datasets/CDNOW_master.txt");

/// A program, what it is given, and what it finds in its environment.
#[derive(Debug, Clone, Default)]
struct Start {
    program: PathBuf,
    arguments: Vec<OsString>,
    environment: Vec<(&'static str, OsString)>,
}

impl Start {
    fn new<A: AsRef<OsStr>>(program: impl Into<PathBuf>, arguments: impl IntoIterator<Item = A>) -> Self {
        let arguments = arguments.into_iter().map(|argument| argument.as_ref().to_owned()).collect();
        Self { program: program.into(), arguments, environment: Vec::new() }
    }

    fn with(mut self, name: &'static str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name, value.as_ref().to_owned()));
        self
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.args(&self.arguments).envs(self.environment.iter().map(|(name, value)| (name, value)));
        command
    }
}

/// Where things are.
struct Places {
    input: PathBuf,
    output: PathBuf,
    /// The scripts.
    scripts: PathBuf,
    /// What was fetched and built.
    installed: PathBuf,
    ok: u64,
}

/// The file of all purchases, which `--install` fetches; `None` if it is not there.
pub(crate) fn purchases(install: bool) -> Result<Option<PathBuf>> {
    let folder = installed()?.join("cdnow");
    let file = folder.join("CDNOW_master.txt");
    if install {
        std::fs::create_dir_all(&folder)?;
        let pip = ["-m", "pip", "download", "--quiet", "--no-deps", "--only-binary", ":all:", PURCHASES.0, "--dest"];
        done(Command::new("python3").args(pip).arg(&folder))?;
        let wheel = std::fs::read_dir(&folder)?.filter_map(|entry| entry.ok().map(|entry| entry.path()));
        let wheel = wheel.filter(|path| path.extension().is_some_and(|ending| ending == "whl")).max();
        let wheel = wheel.context("PyPI gave no wheel")?;
        let unpack =
            "import sys, zipfile; open(sys.argv[3], 'wb').write(zipfile.ZipFile(sys.argv[1]).read(sys.argv[2]))";
        done(Command::new("python3").args(["-c", unpack]).arg(wheel).arg(PURCHASES.1).arg(&file))?;
    }
    Ok(file.exists().then_some(file))
}

/// Where fetched and built things go.
fn installed() -> Result<PathBuf> {
    Ok(Path::new(env!("CARGO_TARGET_TMPDIR")).parent().context("no target folder")?.join("peers"))
}

/// Those that are wanted and there, and a line for each that is wanted and not.
pub(crate) fn all(asked: &Asked, shop: &Shop, written: Written) -> Result<(Vec<Contender>, Vec<String>)> {
    let places = Places {
        input: shop.input(ROUTE),
        output: shop.output(ROUTE),
        scripts: workspace_root().join("tests/bench/peers"),
        installed: installed()?,
        ok: Tally::of(written).ok,
    };
    if asked.install {
        places.install(asked)?;
    }
    let mut found: Vec<(String, String, Result<Start>)> = vec![
        ("python".to_owned(), "Python script".to_owned(), places.python()),
        ("node".to_owned(), "Node script".to_owned(), places.node()),
        ("jq".to_owned(), "jq".to_owned(), places.jq()),
        ("duckdb".to_owned(), "DuckDB".to_owned(), places.duckdb()),
        ("bytewax".to_owned(), "bytewax".to_owned(), places.bytewax()),
        ("node-red".to_owned(), "Node-RED".to_owned(), places.node_red()),
    ];
    for records in EXTISM_RECORDS {
        found.push((format!("extism-{records}"), format!("Extism, {records} a call"), places.extism(records)));
    }
    let (mut contenders, mut missing) = (Vec::new(), Vec::new());
    for (key, name, start) in found.into_iter().filter(|(key, _, _)| asked.wants(key)) {
        match start {
            Ok(start) => contenders.push(contender(key, name, start, shop, written)),
            Err(why) => missing.push(format!("Not measured: {name}: {why:#}.")),
        }
    }
    Ok((contenders, missing))
}

fn contender(key: String, name: String, start: Start, shop: &Shop, written: Written) -> Contender {
    let shop = shop.clone();
    Contender {
        key,
        name,
        records: written.orders,
        clear: Box::new(move || shop.clear()),
        command: Box::new(move || Ok(start.command())),
        says: None,
    }
}

impl Places {
    fn python(&self) -> Result<Start> {
        let python = answer(Path::new("python3"), &["-c", "import sys; print(sys.executable)"])?;
        Ok(self.script(python, "orders.py"))
    }

    fn node(&self) -> Result<Start> {
        answer(Path::new("node"), &["--version"])?;
        Ok(self.script("node", "orders.mjs"))
    }

    fn jq(&self) -> Result<Start> {
        answer(Path::new("jq"), &["--version"])?;
        let script = OsStr::new(r#"exec jq -c -f "$0" "$1" > "$2""#);
        let script = [OsStr::new("-c"), script, self.scripts.join("orders.jq").as_os_str()].map(OsStr::to_owned);
        Ok(Start::new(
            "sh",
            script.iter().chain([&self.input, &self.output].map(|path| path.as_os_str().to_owned()).iter()),
        ))
    }

    fn script(&self, program: impl Into<PathBuf>, name: &str) -> Start {
        Start::new(program, [self.scripts.join(name), self.input.clone(), self.output.clone()])
    }

    /// The Python into which packages are installed.
    fn packages(&self) -> PathBuf {
        self.installed.join("python/bin/python")
    }

    fn with_package(&self, package: &str) -> Result<PathBuf> {
        let python = self.packages();
        ensure!(python.exists(), "it is not installed (--install fetches it)");
        answer(&python, &["-c", &format!("import {package}")])?;
        Ok(python)
    }

    fn duckdb(&self) -> Result<Start> {
        Ok(self.script(self.with_package("duckdb")?, "orders_duckdb.py"))
    }

    fn bytewax(&self) -> Result<Start> {
        let start = Start::new(self.with_package("bytewax")?, ["-B", "-m", "bytewax.run", "orders_bytewax"]);
        Ok(self.with_paths(start).with("PYTHONPATH", &self.scripts))
    }

    fn with_paths(&self, start: Start) -> Start {
        start.with("ORDERS_IN", &self.input).with("ORDERS_OUT", &self.output)
    }

    fn node_red(&self) -> Result<Start> {
        let node_red = self.installed.join("node-red");
        let program = node_red.join("node_modules/node-red/red.js");
        ensure!(program.exists(), "it is not installed (--install fetches it)");
        let (settings, orders) = (self.scripts.join("node-red/settings.js"), self.scripts.join("node-red/orders.json"));
        let user = node_red.join("user");
        std::fs::create_dir_all(&user)?;
        let arguments =
            [program.as_os_str(), "-u".as_ref(), user.as_ref(), "-s".as_ref(), settings.as_ref(), orders.as_ref()];
        Ok(self.with_paths(Start::new("node", arguments)).with("ORDERS_OK", self.ok.to_string()))
    }

    fn extism(&self, records: u64) -> Result<Start> {
        let built = self.installed.join("extism");
        let host = built.join("release/extism-host");
        let guest = built.join("wasm32-unknown-unknown/plugin/extism_guest.wasm");
        ensure!(host.exists() && guest.exists(), "it is not built (--install builds it)");
        let records = records.to_string();
        let arguments = [guest.as_os_str(), self.input.as_ref(), self.output.as_ref(), records.as_ref()];
        Ok(Start::new(host, arguments).with("EXTISM_CACHE_CONFIG", built.join("cache.toml")))
    }

    /// Fetches and builds what is wanted.
    fn install(&self, asked: &Asked) -> Result<()> {
        if asked.wants("duckdb") || asked.wants("bytewax") {
            let folder = self.installed.join("python");
            done(Command::new("python3").args(["-m", "venv"]).arg(folder))?;
            done(Command::new(self.packages()).args(["-m", "pip", "install", "--quiet"]).args(FROM_PYPI))?;
        }
        if asked.wants("node-red") {
            let folder = self.installed.join("node-red");
            std::fs::create_dir_all(&folder)?;
            done(
                Command::new("npm").args(["install", "--no-audit", "--no-fund", "--prefix"]).arg(folder).arg(FROM_NPM),
            )?;
        }
        if EXTISM_RECORDS.iter().any(|records| asked.wants(&format!("extism-{records}"))) {
            self.build_extism()?;
        }
        Ok(())
    }

    /// A workspace of its own, with a target folder of its own: it brings another wasmtime.
    fn build_extism(&self) -> Result<()> {
        let target = self.installed.join("extism");
        let cargo = |arguments: &[&str]| {
            let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
            cargo.args(["build", "--locked", "--target-dir"]).arg(&target).args(arguments);
            done(cargo.current_dir(self.scripts.join("extism")))
        };
        done(Command::new("rustup").args(["target", "add", "wasm32-unknown-unknown"]))?;
        cargo(&["--release", "-p", "extism-host"])?;
        cargo(&["--profile", "plugin", "--target", "wasm32-unknown-unknown", "-p", "extism-guest"])?;
        let cache = target.join("cache");
        std::fs::write(target.join("cache.toml"), format!("[cache]\ndirectory = {cache:?}\n"))?;
        Ok(())
    }
}

/// The first line that a program says.
fn answer(program: &Path, arguments: &[&str]) -> Result<String> {
    let output = Command::new(program).args(arguments).stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("{} is not there", program.display()))?;
    ensure!(output.status.success(), "{} {} ended with {}", program.display(), arguments.join(" "), output.status);
    Ok(String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned())
}

/// Runs a command that installs something.
fn done(command: &mut Command) -> Result<()> {
    note(&format!("{command:?} …"));
    let status = command.stdin(Stdio::null()).status().with_context(|| format!("starting {command:?}"))?;
    ensure!(status.success(), "{command:?} ended with {status}");
    Ok(())
}
