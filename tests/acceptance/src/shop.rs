//! A copy of the CDNOW example and an ERP of one's own, for one test.

use crate::erp::Erp;
use crate::{Books, Command, Lines, Project, Purchase, purchases};
use anyhow::{Context, Result, ensure};
use crossdock_devkit::workspace_root;
use serde_json::Value;
use std::fs;
use std::ops::{Deref, DerefMut};

/// The route of the example.
const ROUTE: &str = "routes/cdnow.toml";
/// Where the example's route expects its ERP.
const EXAMPLE_ERP: &str = "http://127.0.0.1:7411";

/// A copy of the example project in a folder of its own, and an ERP stand-in with books of its own.
#[derive(Debug)]
pub struct Shop {
    project: Project,
    erp: Erp,
    purchases: Vec<Purchase>,
}

impl Deref for Shop {
    type Target = Project;

    fn deref(&self) -> &Project {
        &self.project
    }
}

impl DerefMut for Shop {
    fn deref_mut(&mut self) -> &mut Project {
        &mut self.project
    }
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
        let project = Project::new(ROUTE)?;
        let erp = Erp::open(&project.path("erp.db"), token)?;
        let text = lines.text()?;
        let example = workspace_root().join("examples/cdnow");
        for file in ["crossdock.toml", ROUTE] {
            let path = example.join(file);
            let text = fs::read_to_string(&path).with_context(|| format!("reading {}", path.display()))?;
            ensure!(file != ROUTE || text.contains(EXAMPLE_ERP), "{ROUTE} does not name {EXAMPLE_ERP} any more");
            project.write(file, text.replace(EXAMPLE_ERP, &erp.url()))?;
        }
        project.write("data/CDNOW_sample.txt", &text)?;
        project.put_plugins(&["text-source", "map", "http-destination"])?;
        project.take_compiled_plugins()?;
        Ok(Self { project, erp, purchases: purchases(&text)? })
    }

    /// Gives the customer of one line of the data another name; returns the purchase as it is now.
    ///
    /// # Errors
    /// There is no such line.
    pub fn rename_customer(&mut self, line: usize, name: &str) -> Result<Purchase> {
        let file = "data/CDNOW_sample.txt";
        let text = self.text(file)?;
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

    /// Where the ERP is.
    #[must_use]
    pub fn erp_url(&self) -> String {
        self.erp.url()
    }

    /// Starts the ERP again, on the same port, with the same books.
    ///
    /// # Errors
    /// It does not start.
    pub fn start_erp(&mut self) -> Result<()> {
        self.erp.start()
    }

    /// Kills the ERP: there is nobody at its port.
    ///
    /// # Errors
    /// The system refuses.
    pub fn stop_erp(&mut self) -> Result<()> {
        self.erp.stop()
    }

    /// Puts faults in force at the ERP.
    ///
    /// # Errors
    /// It does not take them.
    pub fn faults(&self, rules: &Value) -> Result<()> {
        self.erp.faults(rules)
    }

    /// How often the first fault met a request.
    ///
    /// # Errors
    /// The ERP does not answer.
    pub fn first_fault_met(&self) -> Result<u64> {
        self.erp.first_fault_met()
    }

    /// Waits until the first fault met this many requests, or the command has ended; says whether it still runs.
    ///
    /// # Errors
    /// It takes too long.
    pub fn until_met(&self, command: &mut Command, requests: u64) -> Result<bool> {
        self.erp.until_met(command, requests)
    }

    /// Lifts all faults.
    ///
    /// # Errors
    /// The ERP does not answer.
    pub fn lift_faults(&self) -> Result<()> {
        self.erp.lift_faults()
    }

    /// What the ERP says of itself.
    ///
    /// # Errors
    /// It does not answer.
    pub fn books(&self) -> Result<Books> {
        Books::read(&self.erp.ask("GET", "/_ledger", "")?)
    }
}
