//! The folder of a case within the project, and what can be seen of its route.

use crate::neighbour::explained;
use anyhow::{Context as _, Result, bail};
use crossdock::{Csv, Error, Host, RecordFilter, RecordFound, RecordSummary, RouteName, RunReport};
use crossdock_devkit::{HostileServer, SeenRequest};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// One round of a case: a route of its own, with a folder of its own.
pub struct Site {
    host: Arc<Host>,
    project: PathBuf,
    name: String,
    server: Arc<HostileServer>,
    pub(crate) run: Option<Result<RunReport, Error>>,
    pub(crate) records: Vec<RecordSummary>,
}

impl Site {
    /// A folder for a route of this name.
    ///
    /// # Errors
    /// The disk refuses.
    pub(crate) fn make(host: &Arc<Host>, project: &Path, server: &Arc<HostileServer>, name: String) -> Result<Self> {
        let (host, server) = (Arc::clone(host), Arc::clone(server));
        let site = Self { host, project: project.to_owned(), name, server, run: None, records: Vec::new() };
        std::fs::create_dir_all(site.path("in"))?;
        std::fs::create_dir_all(site.path("out"))?;
        Ok(site)
    }

    /// A path within the folder of the case.
    #[must_use]
    pub fn path(&self, within: &str) -> PathBuf {
        self.project.join("cases").join(&self.name).join(within)
    }

    /// The folder of the project.
    #[must_use]
    pub fn project(&self) -> &Path {
        &self.project
    }

    /// The name of the route.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// The host that everything runs in.
    #[must_use]
    pub fn host(&self) -> &Host {
        &self.host
    }

    /// Writes a file within the folder of the case.
    ///
    /// # Errors
    /// The disk refuses.
    pub fn write(&self, within: &str, text: &str) -> Result<()> {
        std::fs::write(self.path(within), text).with_context(|| format!("writing {within}"))
    }

    /// What the route kept in the end, line by line.
    ///
    /// # Errors
    /// Nothing was kept.
    pub fn kept(&self) -> Result<Vec<String>> {
        let text = std::fs::read_to_string(self.path("out/kept.ndjson")).context("reading what the route kept")?;
        Ok(text.lines().map(str::to_owned).collect())
    }

    /// Whether what was kept holds this text.
    ///
    /// # Errors
    /// Nothing was kept.
    pub fn keeps(&self, text: &str) -> Result<bool> {
        Ok(self.kept()?.iter().any(|line| line.contains(text)))
    }

    /// What the hostile server was asked so far.
    #[must_use]
    pub fn seen(&self) -> Vec<SeenRequest> {
        self.server.seen()
    }

    /// The SHA-256 of a plugin's file, in hexadecimal.
    ///
    /// # Errors
    /// The route does not use it.
    pub fn digest(&self, plugin: &str) -> Result<String> {
        let reader = self.host.reports().map_err(explained)?;
        let runs = reader.runs(None, 50, None)?;
        for run in runs.items {
            let detail = reader.run(&run.run)?.context("a run that is listed")?;
            if let Some((_, _, digest)) = detail.plugins.iter().find(|(_, name, _)| name.as_str() == plugin) {
                return Ok(digest.clone());
            }
        }
        bail!("no run used the plugin {plugin}")
    }

    /// The records of the route as CSV.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn csv(&self) -> Result<String> {
        let mut csv = Vec::new();
        self.host.export_records(&self.filter()?, Csv::Writer(&mut csv)).map_err(explained)?;
        Ok(String::from_utf8(csv)?)
    }

    /// Everything that the host says of the route: its records, their failures and attempts, the event log, the
    /// reason of the run.
    ///
    /// # Errors
    /// The ledger cannot be read.
    pub fn everything_said(&self) -> Result<String> {
        let reader = self.host.reports().map_err(explained)?;
        let mut said = format!("{:?}\n", self.run.as_ref().map(|run| run.as_ref().ok().map(|report| &report.reason)));
        for record in &self.records {
            let record = reader.record(Some(&record.route), &record.id)?;
            let RecordFound::One(detail) = record else { bail!("a record that is listed is not there") };
            for text in [&detail.summary.code, &detail.summary.message].into_iter().flatten() {
                said.push_str(text);
                said.push(' ');
            }
            let attempts = detail.attempts.iter().map(|attempt| &attempt.attempt);
            for failure in attempts.filter_map(|attempt| attempt.failure.as_ref()) {
                for text in
                    [Some(&failure.message), failure.detail.as_ref(), failure.pointer.as_ref()].into_iter().flatten()
                {
                    // Line ends within a detail are the plugin's right.
                    said.push_str(&text.replace('\n', " "));
                    said.push(' ');
                }
            }
            for event in &detail.events {
                said.push_str(&serde_json::to_string(&event.event)?);
            }
        }
        Ok(said)
    }

    pub(crate) fn filter(&self) -> Result<RecordFilter> {
        Ok(RecordFilter { route: Some(RouteName::new(self.name.clone())?), ..RecordFilter::default() })
    }

    /// What became of the records of the run.
    #[must_use]
    pub fn records(&self) -> &[RecordSummary] {
        &self.records
    }

    pub(crate) fn route(&self) -> PathBuf {
        self.project.join("routes").join(format!("{}.toml", self.name))
    }

    pub(crate) fn filled(&self, text: &str) -> String {
        text.replace("$CASE", &format!("cases/{}", self.name)).replace("$SERVER", &self.server.url())
    }
}
