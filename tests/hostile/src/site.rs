//! The folder of a case within the project, and its route put to work there.

use crate::case::{Case, Expect, Scene};
use crate::cases::World;
use crate::neighbour::explained;
use anyhow::{Context as _, Result, bail, ensure};
use crossdock::{Csv, Error, Host, RecordFilter, RecordFound, RecordSummary, RouteName, RunReport, Status};
use crossdock_devkit::{HostileServer, SeenRequest};
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use tokio::time::timeout;

/// How long a run of a case may take. Those that compute until they are stopped take a second or two.
const RUN_TIME_MAX: Duration = Duration::from_secs(30);

/// One round of a case: a route of its own, with a folder of its own.
pub struct Site {
    host: Arc<Host>,
    project: PathBuf,
    name: String,
    server: Arc<HostileServer>,
    run: Option<Result<RunReport, Error>>,
    records: Vec<RecordSummary>,
}

impl Site {
    /// Writes the route of a case and its records.
    ///
    /// # Errors
    /// The disk refuses, or what the case does before does not go well.
    pub(crate) fn set(host: &Arc<Host>, project: &Path, world: &World, case: &Case, round: usize) -> Result<Self> {
        let name = format!("{}-{round}", case.name);
        let host = Arc::clone(host);
        let server = world.server.clone().context("no server for the cases")?;
        let project = project.to_owned();
        let site = Self { host, project, name, server, run: None, records: Vec::new() };
        std::fs::create_dir_all(site.path("in"))?;
        std::fs::create_dir_all(site.path("out"))?;
        site.write("in/1.ndjson", &(site.filled(&case.scene.lines.join("\n")) + "\n"))?;
        std::fs::write(site.route(), site.filled(&route(&site.name, &case.scene)))?;
        if let Some(before) = &case.scene.before {
            before(&site).context("preparing it")?;
        }
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

    fn filter(&self) -> Result<RecordFilter> {
        Ok(RecordFilter { route: Some(RouteName::new(self.name.clone())?), ..RecordFilter::default() })
    }

    /// What became of the records of the run.
    #[must_use]
    pub fn records(&self) -> &[RecordSummary] {
        &self.records
    }

    fn route(&self) -> PathBuf {
        self.project.join("routes").join(format!("{}.toml", self.name))
    }

    fn filled(&self, text: &str) -> String {
        text.replace("$CASE", &format!("cases/{}", self.name)).replace("$SERVER", &self.server.url())
    }

    /// Runs the route once.
    ///
    /// # Errors
    /// It does not end, or nothing can be learned of what became of its records.
    pub(crate) async fn act(&mut self, case: &Case) -> Result<()> {
        if let Some((from, to)) = &case.scene.twin {
            let twin = format!("{}-twin", self.name);
            let route =
                std::fs::read_to_string(self.route())?.replace(&format!("\"{}\"", self.name), &format!("\"{twin}\""));
            let route = route.replace("kept.ndjson", "twin.ndjson").replace(from, to);
            let path = self.project.join("routes").join(format!("{twin}.toml"));
            std::fs::write(&path, route)?;
            let report = timeout(RUN_TIME_MAX, run(&self.host, &path)).await.context("the twin did not end")?;
            report.map_err(explained).context("the twin")?;
        }
        if let Some(between) = &case.scene.between {
            between(self)?;
        }
        let run = timeout(RUN_TIME_MAX, run(&self.host, &self.route())).await;
        self.run = Some(run.with_context(|| format!("the run did not end within {} s", RUN_TIME_MAX.as_secs()))?);
        if self.project.join(".crossdock/ledger.db").exists() {
            let reader = self.host.reports().map_err(explained)?;
            self.records = reader.all_records(self.filter()?).collect::<Result<_, _>>()?;
        }
        Ok(())
    }

    /// Puts the next batch of the same route through.
    ///
    /// # Errors
    /// It does not go through.
    pub(crate) async fn next(&self, case: &Case) -> Result<()> {
        let mut route = std::fs::read_to_string(self.route())?;
        for (from, to) in &case.next.edits {
            let (from, to) = (self.filled(from), self.filled(to));
            ensure!(route.contains(&from), "{from:?} does not stand in the route");
            route = route.replace(&from, &to);
        }
        std::fs::write(self.route(), route)?;
        if let Some(within) = case.next.removed {
            std::fs::remove_file(self.path(within)).with_context(|| format!("taking {within} away"))?;
        }
        let more: Vec<String> = (101..=104).map(|n| format!("{{\"n\":{n}}}")).collect();
        self.write("in/2.ndjson", &(more.join("\n") + "\n"))?;
        let run = timeout(RUN_TIME_MAX, run(&self.host, &self.route())).await.context("the next run did not end")?;
        let report = run.map_err(explained)?;
        let ok = report.count(Status::Ok);
        ensure!(ok >= case.next.ok, "of the next batch {ok} are ok, not {}: {}", case.next.ok, shown(&report));
        Ok(())
    }

    /// Whether the run became what it must, and how that was named.
    ///
    /// # Errors
    /// It did not.
    pub(crate) fn judge(&self, case: &Case) -> Result<String> {
        let run = self.run.as_ref().context("it was not run")?;
        let mut said: Vec<String> = self.records.iter().filter_map(|record| record.message.clone()).collect();
        let named = match (&case.expect, run) {
            (Expect::Refused(code), Err(error)) => {
                said.push(error.to_string());
                said.extend(error.render_mistakes(false));
                let found = codes(&serde_json::to_value(error)?);
                ensure!(found.iter().any(|found| found == code), "refused with {}: {error}", found.join(", "));
                (*code).to_owned()
            }
            (_, Err(error)) => bail!("it was refused: {}: {error}", codes(&serde_json::to_value(error)?).join(", ")),
            (Expect::Refused(_), Ok(report)) => bail!("it was not refused: {}", shown(report)),
            (Expect::Run(code), Ok(report)) => {
                let reason = report.reason.as_ref();
                said.extend(reason.map(|reason| reason.message.clone()));
                let found = reason.map_or("", |reason| reason.code.as_str());
                ensure!(found == *code, "the run does not fail with {code}: {}", shown(report));
                (*code).to_owned()
            }
            (Expect::Records { ok, others }, Ok(report)) => {
                let mut expected: BTreeMap<(String, String), u64> = BTreeMap::new();
                expected.insert((Status::Ok.to_string(), String::new()), *ok);
                for (count, status, code) in others {
                    expected.insert((status.to_string(), (*code).to_owned()), *count);
                }
                expected.retain(|_, count| *count > 0);
                let found = self.standing();
                ensure!(found == expected, "records stand as {found:?}, not {expected:?}: {}", shown(report));
                let codes: Vec<&str> =
                    others.iter().map(|(_, _, code)| *code).filter(|code| !code.is_empty()).collect();
                if codes.is_empty() { "ok".to_owned() } else { codes.join(", ") }
            }
        };
        let said = said.join("\n");
        for words in &case.says {
            ensure!(said.contains(words), "{words:?} is not said, but: {said}");
        }
        for also in &case.also {
            also(self).context("beside it")?;
        }
        Ok(named)
    }

    /// How many records stand where, and why.
    fn standing(&self) -> BTreeMap<(String, String), u64> {
        let mut standing = BTreeMap::new();
        for record in &self.records {
            let code = record.code.clone().unwrap_or_default();
            *standing.entry((record.status.to_string(), code)).or_insert(0) += 1;
        }
        standing
    }
}

async fn run(host: &Host, route: &Path) -> Result<RunReport, Error> {
    host.run(route).await?.finish().await
}

/// The route of a scene, as its file holds it.
fn route(name: &str, scene: &Scene) -> String {
    let usual = "plugin = \"text-source\"\nsettings = { files = \"/in/*.ndjson\", format = \"ndjson\" }\n\
                 grants = { dirs = [{ host = \"$CASE/in\", guest = \"/in\" }] }";
    let source = scene.source.as_deref().unwrap_or(usual);
    let on_error = if scene.head.contains("on_error") { "" } else { "on_error = \"continue\"\n" };
    let batch = if scene.head.contains("batch") { "" } else { "batch = { records = 4 }\n" };
    let mut text = format!("name = \"{name}\"\n{on_error}{batch}{}\n[source]\n{source}\n", scene.head);
    for (at, step) in scene.steps.iter().enumerate() {
        text.push_str(&format!("\n[[step]]\nname = \"step{at}\"\n{step}\n"));
    }
    text + "\n[[step]]\nname = \"keep\"\nplugin = \"file-destination\"\nsettings = { file = \"/out/kept.ndjson\" }\n\
            grants = { dirs = [{ host = \"$CASE/out\", guest = \"/out\", write = true }] }\n"
}

/// Every code that stands in an error and its mistakes.
fn codes(error: &Value) -> Vec<String> {
    match error {
        Value::Object(fields) => fields
            .iter()
            .flat_map(|(key, value)| match value.as_str() {
                Some(code) if key == "code" => vec![code.to_owned()],
                _ => codes(value),
            })
            .collect(),
        Value::Array(values) => values.iter().flat_map(codes).collect(),
        _ => Vec::new(),
    }
}

fn shown(report: &RunReport) -> String {
    let reason = report.reason.as_ref().map(|reason| format!(", {}: {}", reason.code, reason.message));
    format!("{}{}, {:?}", report.status, reason.unwrap_or_default(), report.counts)
}
