//! A project of one's own and an ERP of one's own, for one test.

use crate::{Books, Command, Lines, Outcome, Purchase, purchases};
use anyhow::{Context, Result, bail, ensure};
use crossdock_devkit::{Child, binary, guests, http, plugins, workspace_root};
use serde_json::Value;
use std::fs::{self, File};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::time::{Duration, Instant};
use tempfile::TempDir;

/// The route of the example.
const ROUTE: &str = "routes/cdnow.toml";
/// Where the example's route expects its ERP.
const EXAMPLE_ERP: &str = "http://127.0.0.1:7411";
/// How long a test waits for something to come about.
const WAIT_MAX: Duration = Duration::from_secs(120);

/// A copy of the example project in a folder of its own, and an ERP stand-in with books of its own.
#[derive(Debug)]
pub struct Shop {
    folder: TempDir,
    erp: Option<Child>,
    erp_addr: SocketAddr,
    token: Option<String>,
    purchases: Vec<Purchase>,
    environment: Vec<(String, String)>,
}

impl Shop {
    /// A project with these lines of data.
    ///
    /// # Errors
    /// Something does not build or start.
    pub fn open(lines: Lines) -> Result<Self> {
        Self::guarded(lines, None)
    }

    /// The same, with an ERP that wants a token.
    ///
    /// # Errors
    /// As [`Shop::open`].
    pub fn guarded(lines: Lines, token: Option<&str>) -> Result<Self> {
        let folder = TempDir::with_prefix("crossdock-shop-")?;
        let text = lines.text()?;
        let mut shop = Self {
            folder,
            erp: None,
            erp_addr: SocketAddr::from(([127, 0, 0, 1], 0)),
            token: token.map(str::to_owned),
            purchases: purchases(&text)?,
            environment: Vec::new(),
        };
        shop.start_erp()?;
        let example = workspace_root().join("examples/cdnow");
        for file in ["crossdock.toml", ROUTE] {
            let path = example.join(file);
            let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            ensure!(file != ROUTE || text.contains(EXAMPLE_ERP), "{ROUTE} does not name {EXAMPLE_ERP} any more");
            shop.write(file, text.replace(EXAMPLE_ERP, &shop.erp_url()))?;
        }
        shop.write("data/CDNOW_sample.txt", &text)?;
        for name in ["text-source", "map", "http-destination"] {
            shop.copy_plugin(&plugins()?.path(name)?, name)?;
        }
        shop.take_compiled_plugins()?;
        Ok(shop)
    }

    /// Where a file of the project stands.
    #[must_use]
    pub fn path(&self, file: &str) -> PathBuf {
        self.folder.path().join(file)
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
        let text = fs::read_to_string(self.path(file)).with_context(|| format!("reading {file}"))?;
        ensure!(text.matches(from).count() == 1, "{from:?} stands not once in {file}:\n{text}");
        self.write(file, text.replace(from, to))
    }

    /// The same in the route.
    ///
    /// # Errors
    /// As [`Shop::replace`].
    pub fn edit_route(&self, from: &str, to: &str) -> Result<()> {
        self.replace(ROUTE, from, to)
    }

    /// Replaces the one line of the route that begins like this.
    ///
    /// # Errors
    /// There is not one such line.
    pub fn replace_line(&self, beginning: &str, line: &str) -> Result<()> {
        let text = fs::read_to_string(self.path(ROUTE)).with_context(|| format!("reading {ROUTE}"))?;
        let found: Vec<&str> = text.lines().filter(|line| line.starts_with(beginning)).collect();
        let [only] = found.as_slice() else { bail!("{} lines begin with {beginning:?} in\n{text}", found.len()) };
        self.edit_route(&format!("{only}\n"), &if line.is_empty() { String::new() } else { format!("{line}\n") })
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

    fn copy_plugin(&self, from: &Path, name: &str) -> Result<()> {
        self.write(&format!("plugins/{name}.wasm"), fs::read(from)?)
    }

    /// Gives the customer of one line of the data another name; returns the purchase as it is now.
    ///
    /// # Errors
    /// There is no such line.
    pub fn rename_customer(&mut self, line: usize, name: &str) -> Result<Purchase> {
        let file = "data/CDNOW_sample.txt";
        let text = fs::read_to_string(self.path(file))?;
        let mut lines: Vec<String> = text.split_inclusive('\n').map(str::to_owned).collect();
        let old = &self.purchases.get(line).context("no such line")?.customer;
        lines[line] = lines[line].replacen(old.as_str(), name, 1);
        let text: String = lines.concat();
        self.write(file, &text)?;
        self.purchases = purchases(&text)?;
        Ok(self.purchases[line].clone())
    }

    /// All purchases of the data, in their order.
    #[must_use]
    pub fn purchases(&self) -> &[Purchase] {
        &self.purchases
    }

    /// Those that the ERP should get.
    pub fn worthwhile(&self) -> impl Iterator<Item = &Purchase> {
        self.purchases.iter().filter(|purchase| !purchase.is_dropped())
    }

    /// How many purchases are worth nothing.
    #[must_use]
    pub fn dropped(&self) -> usize {
        self.purchases.iter().filter(|purchase| purchase.is_dropped()).count()
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
    /// As [`Shop::start`], or it takes too long.
    pub fn crossdock(&self, arguments: &[&str]) -> Result<Outcome> {
        self.start(arguments)?.finish()
    }

    /// `crossdock run` with the route.
    ///
    /// # Errors
    /// As [`Shop::crossdock`].
    pub fn run(&self) -> Result<Outcome> {
        self.crossdock(&["run", ROUTE])
    }

    /// `crossdock --json run` with the route.
    ///
    /// # Errors
    /// As [`Shop::crossdock`].
    pub fn run_json(&self) -> Result<Outcome> {
        self.crossdock(&["run", ROUTE, "--json"])
    }

    /// What a command answers with `--json`; its exit code must be 0.
    ///
    /// # Errors
    /// As [`Shop::crossdock`], or it is not one JSON document.
    #[track_caller]
    pub fn json(&self, arguments: &[&str]) -> Result<Value> {
        let arguments: Vec<&str> = arguments.iter().copied().chain(["--json"]).collect();
        self.crossdock(&arguments)?.exits(0).json()
    }

    /// All records with a status (or whatever else is asked for), page by page.
    ///
    /// # Errors
    /// As [`Shop::json`].
    pub fn records(&self, filter: &[&str]) -> Result<Vec<Value>> {
        let mut found = Vec::new();
        let mut after: Option<String> = None;
        loop {
            let mut arguments = vec!["records", "--limit", "1000"];
            arguments.extend(filter);
            if let Some(after) = &after {
                arguments.extend(["--after", after]);
            }
            let page = self.json(&arguments)?;
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
    /// As [`Shop::records`].
    pub fn ids(&self, status: &str) -> Result<Vec<String>> {
        let found = self.records(&["--status", status])?;
        let ids = found.iter().map(|record| record["id"].as_str().map(str::to_owned).context("a record without id"));
        let mut ids = ids.collect::<Result<Vec<_>>>()?;
        ids.sort();
        Ok(ids)
    }

    /// Where the ERP is.
    #[must_use]
    pub fn erp_url(&self) -> String {
        format!("http://{}", self.erp_addr)
    }

    /// Starts the ERP: the first time on a free port, then on the same one, with the same books.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_erp(&mut self) -> Result<()> {
        let program = binary("erp-stand-in", "erp-stand-in")?;
        let begun = Instant::now();
        loop {
            let mut command = std::process::Command::new(&program);
            command.arg("--listen").arg(self.erp_addr.to_string()).arg("--data").arg(self.path("erp.db"));
            if let Some(token) = &self.token {
                command.args(["--token", token]);
            }
            match Child::start(&mut command) {
                Ok(child) => {
                    self.erp_addr = child.addr();
                    self.erp = Some(child);
                    return Ok(());
                }
                // A connection of somebody else can have its port for a moment.
                Err(_) if self.erp_addr.port() != 0 && begun.elapsed() < WAIT_MAX => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// Kills the ERP: there is nobody at its port.
    ///
    /// # Errors
    /// The system refuses.
    pub fn stop_erp(&mut self) -> Result<()> {
        let mut erp = self.erp.take().context("the ERP is not running")?;
        erp.kill().map(drop)
    }

    /// Puts faults in force at the ERP.
    ///
    /// # Errors
    /// It does not take them.
    pub fn faults(&self, rules: &Value) -> Result<()> {
        let (status, body) = http("PUT", self.erp_addr, "/_faults", &rules.to_string())?;
        ensure!(status == 200, "the ERP does not take the faults {rules}: {status} {body}");
        Ok(())
    }

    /// How often the first fault met a request.
    ///
    /// # Errors
    /// The ERP does not answer.
    pub fn first_fault_met(&self) -> Result<u64> {
        let (_, body) = http("GET", self.erp_addr, "/_faults", "")?;
        let faults: Value = serde_json::from_str(&body).with_context(|| format!("the faults of the ERP: {body}"))?;
        faults[0]["met"].as_u64().context("the ERP shows no fault")
    }

    /// Waits until the first fault met this many requests, or the command has ended; says whether it still runs.
    ///
    /// # Errors
    /// It takes too long.
    pub fn until_met(&self, command: &mut Command, requests: u64) -> Result<bool> {
        let begun = Instant::now();
        loop {
            if self.first_fault_met()? >= requests {
                return Ok(true);
            }
            if command.ends_within(Duration::from_millis(2)) {
                return Ok(false);
            }
            ensure!(begun.elapsed() < WAIT_MAX, "the ERP got less than {requests} requests in {WAIT_MAX:?}");
        }
    }

    /// Lifts all faults.
    ///
    /// # Errors
    /// The ERP does not answer.
    pub fn lift_faults(&self) -> Result<()> {
        let (status, body) = http("DELETE", self.erp_addr, "/_faults", "")?;
        ensure!(status == 204, "the ERP does not lift its faults: {status} {body}");
        Ok(())
    }

    /// What the ERP says of itself.
    ///
    /// # Errors
    /// It does not answer.
    pub fn books(&self) -> Result<Books> {
        let (status, body) = http("GET", self.erp_addr, "/_ledger", "")?;
        ensure!(status == 200, "the ERP answered {status}: {body}");
        Books::read(&serde_json::from_str(&body).context("reading the ERP's books")?)
    }

    /// Whether a ledger was made.
    #[must_use]
    pub fn has_ledger(&self) -> bool {
        self.path(".crossdock/ledger.db").exists()
    }

    /// Holds that `verify` finds nothing wrong.
    ///
    /// # Errors
    /// As [`Shop::crossdock`].
    #[track_caller]
    pub fn verify(&self) -> Result<()> {
        let _ = self.crossdock(&["verify"])?.exits(0);
        Ok(())
    }

    /// Compiling plugins takes seconds; a shop that opens takes over what was compiled before, as a whole folder
    /// that belongs to one installation.
    fn take_compiled_plugins(&self) -> Result<()> {
        static COMPILED: Mutex<Option<PathBuf>> = Mutex::new(None);
        let mut compiled = COMPILED.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        let program = binary("crossdock-cli", "crossdock")?;
        let target = program.parent().and_then(Path::parent).context("a program without target folder")?;
        let folder = target.join("tmp/acceptance");
        fs::create_dir_all(&folder).with_context(|| format!("making {}", folder.display()))?;
        // Other processes that test come here as well. The lock ends with the file.
        let lock = File::create(folder.join("lock"))?;
        lock.lock().with_context(|| format!("locking {}", folder.display()))?;
        if compiled.is_none() {
            let data = folder.to_str().context("a target folder that is not UTF-8")?;
            let _ = self.crossdock(&["check", ROUTE, "--data", data])?.exits(0);
            *compiled = Some(folder.join("cache"));
        }
        let cache = compiled.as_ref().context("just set")?;
        copy_folder(cache, &self.path(".crossdock/cache"))
    }
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

/// Random numbers that come again from the same seed. SplitMix64 (Steele, Lea, Flood 2014).
#[derive(Debug, Clone)]
pub struct Dice(u64);

impl Dice {
    /// From a seed.
    #[must_use]
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// From 0 to below `end`.
    pub fn below(&mut self, end: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        (z ^ (z >> 31)) % end.max(1)
    }
}
